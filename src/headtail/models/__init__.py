"""Recommenders: ``torch.nn.Module`` s that return :class:`headtail.typing.Vectors` for user codes or for sequences.

Each takes its sizes, whole numbers of at least 1, and ``rng``, a seed or generator (default 0) of its initial vectors.
``config`` holds the arguments that make it again, with its class's name under ``"model"``; hooks find queries and items
at ``query`` and ``item``.
"""

from collections.abc import Mapping
from typing import Any

import headtail._torch  # noqa: F401 - first, for its error

from torch import nn

from headtail.exceptions import InvalidInputError
from headtail.models.als import ALS
from headtail.models.lightgcn import LightGCN
from headtail.models.macr import MACR
from headtail.models.mf import MF
from headtail.models.sasrec import SASRec
from headtail.models.sprint import SPRINT
from headtail.models.xsimgcl import XSimGCL

MODELS: dict[str, type[nn.Module]] = {
    "mf": MF, "lightgcn": LightGCN, "xsimgcl": XSimGCL, "sasrec": SASRec, "als": ALS,
}  # fmt: skip
"""Every model by its name on the command line.

Each has ``for_data(train, rng=..., **sizes)``, which makes one of the right shape; ``usual``, the arguments of
:func:`headtail.fit` that it is trained with where none are given; and ``needs_order``, whether it learns from the order
of interactions.
"""


def classes() -> dict[str, type[nn.Module]]:
    """Return every model by the name of its class, those that change how another one is trained included."""
    return {kind.__name__: kind for kind in (*MODELS.values(), MACR, SPRINT)}


def from_config(config: Mapping[str, Any]) -> nn.Module:
    """Return a model of the right shapes, of what ``model.config`` holds."""
    name, known = config.get("model"), classes()
    if name not in known:
        raise InvalidInputError(f"{name!r} is not a model of this version of headtail ({', '.join(known)}).")
    build = getattr(known[name], "from_config", known[name])
    try:
        model: nn.Module = build(**{key: value for key, value in config.items() if key != "model"})
    except (TypeError, InvalidInputError) as error:
        raise InvalidInputError(f"There are arguments that {name} does not take: {error}") from None
    return model


__all__ = ["ALS", "MACR", "MF", "MODELS", "SPRINT", "LightGCN", "SASRec", "XSimGCL"]
