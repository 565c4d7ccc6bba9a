from . import amplification, baselines, datasets, losses, metrics, models, penalties, reports, rerank, sae, tradeoffs
from .data import (
    Interactions,
    PopularityGroups,
    Recommendations,
    Split,
    read_interactions,
    split_debiased,
    split_leave_last,
    split_ratio,
    split_time,
)
from .metrics import audit, compare, describe
from .models import MF
from .penalties import ReSN
from .posthoc import penalize_popularity, shrink, tilt
from .spectral import data_spectrum, spectrum
from .training import fit, load_model, recommend, save_model, vectors
from .typing import Vectors

__all__ = [
    "MF",
    "Interactions",
    "PopularityGroups",
    "ReSN",
    "Recommendations",
    "Split",
    "Vectors",
    "amplification",
    "audit",
    "baselines",
    "compare",
    "data_spectrum",
    "datasets",
    "describe",
    "fit",
    "load_model",
    "losses",
    "metrics",
    "models",
    "penalize_popularity",
    "penalties",
    "read_interactions",
    "recommend",
    "reports",
    "rerank",
    "sae",
    "save_model",
    "shrink",
    "spectrum",
    "split_debiased",
    "split_leave_last",
    "split_ratio",
    "split_time",
    "tilt",
    "tradeoffs",
    "vectors",
]
