"""Recommenders: ``torch.nn.Module`` s whose ``forward(users)`` returns :class:`headtail.typing.Vectors`."""

from torch import nn

from headtail.models.als import ALS
from headtail.models.mf import MF

MODELS: dict[str, type[nn.Module]] = {"ALS": ALS, "MF": MF}
"""The classes that a saved model may name."""

__all__ = ["ALS", "MF", "MODELS"]
