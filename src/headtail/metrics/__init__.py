"""Metrics of popularity bias and accuracy, and the audit that computes them all.

A metric is a function of one :class:`TopK`, which holds the lists of all users and what to judge them by. It returns
one number, or one number a user. :func:`audit` takes yours beside these.
"""

from headtail._stats import jackknife_influence
from headtail.metrics.accuracy import hit_rate, mrr, ndcg, precision, recall
from headtail.metrics.auditing import audit
from headtail.metrics.comparison import Comparison, compare
from headtail.metrics.describing import Description, describe
from headtail.metrics.diversity import ilad
from headtail.metrics.exposure import (
    coverage,
    entropy,
    gini,
    gini_by_rank,
    group_share,
    head_share,
    pop_reo,
    pop_rsp,
    tail_coverage,
    tail_exposure,
    tail_share,
)
from headtail.metrics.facts import Facts, better
from headtail.metrics.gating import gate
from headtail.metrics.popularity import (
    aclt,
    aplt,
    arp,
    arp_then,
    novelty,
    pce,
    popularity_lift,
    popularity_lift_then,
    upd,
)
from headtail.metrics.results import Audit, Judgement, Measurement
from headtail.metrics.topk import Metric, Profiles, TopK

__all__ = [
    "Audit", "Comparison", "Description", "Facts", "Judgement", "Measurement", "Metric", "Profiles", "TopK", "aclt",
    "aplt", "arp", "arp_then", "audit", "better", "compare", "coverage", "describe", "entropy", "gate", "gini",
    "gini_by_rank", "group_share", "head_share", "hit_rate", "ilad", "jackknife_influence", "mrr", "ndcg",
    "novelty", "pce", "pop_reo", "pop_rsp", "popularity_lift", "popularity_lift_then", "precision", "recall",
    "tail_coverage", "tail_exposure", "tail_share", "upd",
]  # fmt: skip
