"""NDCG of lists, user by user."""

import numpy as np

from headtail._factors import Matrix
from headtail.data import Interactions, Recommendations
from headtail.metrics.topk import discounts


def gains(lists: Recommendations, wanted: Interactions) -> Matrix:
    """Return the NDCG of each list, shape (U,); 0 for users without wanted items."""
    rows, columns = np.nonzero(lists.items >= 0)
    hit = wanted.contains(lists.users[rows], lists.items[rows, columns])
    discount = discounts(lists.k)
    ideal = np.append(1.0, np.cumsum(discount))[np.minimum(wanted.activity[lists.users], lists.k)]
    return np.asarray(np.bincount(rows[hit], discount[columns[hit]], len(lists)) / ideal)


def gained(lists: Recommendations, others: Recommendations, wanted: Interactions) -> tuple[float, float]:
    """Return the mean difference in NDCG of lists of the same users with wanted items, and its standard error."""
    more = (gains(lists, wanted) - gains(others, wanted))[wanted.activity[lists.users] > 0]
    return float(more.mean()), float(more.std() / len(more) ** 0.5)
