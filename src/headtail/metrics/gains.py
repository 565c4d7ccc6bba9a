"""NDCG of each user's list, without an audit."""

import numpy as np

from headtail.data import Interactions, Recommendations
from headtail.metrics.topk import discounts, find_ranks, ideal
from headtail.typing import Floats


def gains(lists: Recommendations, wanted: Interactions, scale: float = 1.0) -> Floats:
    """Return the NDCG of each list, shape (U,), as ``ndcg`` scales it; 0 for users without wanted items."""
    row_of = np.full(wanted.n_users, -1)
    row_of[lists.users] = np.arange(len(lists))
    rows = row_of[wanted.users]
    there = np.flatnonzero(rows >= 0)
    ranks = find_ranks(lists.items, rows[there], wanted.items[there])
    hits = np.unique((rows[there] * lists.k + ranks)[ranks < lists.k])  # list by list, best first
    found = np.bincount(hits // lists.k, discounts(lists.k)[hits % lists.k], len(lists))
    return np.asarray(found / ideal(wanted.activity[lists.users], lists.k, scale))


def mean_gain(lists: Recommendations, others: Recommendations, wanted: Interactions) -> tuple[float, float]:
    """Return the mean difference in NDCG of lists of the same users with wanted items, and its standard error."""
    more = (gains(lists, wanted) - gains(others, wanted))[wanted.activity[lists.users] > 0]
    return float(more.mean()), float(more.std() / len(more) ** 0.5)
