"""Recommenders: ``torch.nn.Module`` s whose ``forward(users)`` returns :class:`headtail.typing.Vectors`."""

from torch import nn

from headtail.models.als import ALS
from headtail.models.lightgcn import LightGCN
from headtail.models.mf import MF
from headtail.models.xsimgcl import XSimGCL

MODELS: dict[str, type[nn.Module]] = {"ALS": ALS, "LightGCN": LightGCN, "MF": MF, "XSimGCL": XSimGCL}
"""The classes that a saved model may name."""

__all__ = ["ALS", "MF", "MODELS", "LightGCN", "XSimGCL"]
