"""NDCG of each user's list, without an audit."""

import numpy as np

from headtail.data import Interactions, Recommendations
from headtail.metrics.topk import discounts, ideal
from headtail.typing import Floats


def gains(lists: Recommendations, wanted: Interactions, scale: float = 1.0) -> Floats:
    """Return the NDCG of each list, shape (U,), as ``ndcg`` scales it; 0 for users without wanted items."""
    rows, columns = np.nonzero(lists.items >= 0)
    hit = wanted.contains(lists.users[rows], lists.items[rows, columns])
    found = np.bincount(rows[hit], discounts(lists.k)[columns[hit]], len(lists))
    return np.asarray(found / ideal(wanted.activity[lists.users], lists.k, scale))


def mean_gain(lists: Recommendations, others: Recommendations, wanted: Interactions) -> tuple[float, float]:
    """Return the mean difference in NDCG of lists of the same users with wanted items, and its standard error."""
    more = (gains(lists, wanted) - gains(others, wanted))[wanted.activity[lists.users] > 0]
    return float(more.mean()), float(more.std() / len(more) ** 0.5)
