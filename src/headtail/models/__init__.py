"""Recommenders: ``torch.nn.Module`` s that return :class:`headtail.typing.Vectors` for user codes or for sequences.

Each takes its sizes, whole numbers of at least 1, and ``rng``, a seed or generator (default 0) of its initial vectors;
what is out of range is an :class:`~headtail.exceptions.InvalidInputError`. ``config`` holds the arguments that make it
again, with its class's name under ``"model"``; hooks find queries and items at ``query`` and ``item``.
"""

import headtail._torch  # noqa: F401 - first, for its error

from torch import nn

from headtail.models.als import ALS
from headtail.models.lightgcn import LightGCN
from headtail.models.mf import MF
from headtail.models.sasrec import SASRec
from headtail.models.xsimgcl import XSimGCL

MODELS: dict[str, type[nn.Module]] = {
    "mf": MF, "lightgcn": LightGCN, "xsimgcl": XSimGCL, "sasrec": SASRec, "als": ALS,
}  # fmt: skip
"""Every model by its name on the command line.

Each has ``for_data(train, rng=..., **sizes)``, which makes one of the right shape; ``usual``, the arguments of
:func:`headtail.fit` that it is trained with where none are given; and ``needs_order``, whether it learns from the order
of interactions.
"""

__all__ = ["ALS", "MF", "MODELS", "LightGCN", "SASRec", "XSimGCL"]
