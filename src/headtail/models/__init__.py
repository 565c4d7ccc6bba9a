"""Recommenders: ``torch.nn.Module`` s whose ``forward(users)`` returns :class:`headtail.typing.Vectors`."""

from torch import nn

from headtail.models.mf import MF

MODELS: dict[str, type[nn.Module]] = {"MF": MF}
"""The classes that a saved model may name."""

__all__ = ["MF", "MODELS"]
