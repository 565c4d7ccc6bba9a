"""Recommenders: ``torch.nn.Module`` s that return :class:`headtail.typing.Vectors` for user codes or for sequences."""

import headtail._torch  # noqa: F401 - first, for its error

from torch import nn

from headtail.models.als import ALS
from headtail.models.lightgcn import LightGCN
from headtail.models.mf import MF
from headtail.models.sasrec import SASRec
from headtail.models.xsimgcl import XSimGCL

MODELS: dict[str, type[nn.Module]] = {"ALS": ALS, "LightGCN": LightGCN, "MF": MF, "SASRec": SASRec, "XSimGCL": XSimGCL}
"""The classes that a saved model may name."""

__all__ = ["ALS", "MF", "MODELS", "LightGCN", "SASRec", "XSimGCL"]
