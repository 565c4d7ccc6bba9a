"""How many of the wanted items are in the lists, and how high.

Each is a mean over the users that have test interactions. With ``group=`` only test items of that popularity group
count as wanted (head, mid or tail accuracy), and only users that have some are in the mean.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from headtail._checks import checked
from headtail.metrics.facts import better
from headtail.metrics.topk import TopK

_accuracy = partial(better, "higher", low=0, high=1, family="accuracy", needs="targets")


def _wanted(
    top: TopK, metric: str, group: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the row and rank of every test item that was found, and the number of test items of each user."""
    top.require_targets(metric)
    rows, ranks, items = top.hits
    wanted = np.diff(top.target_starts).astype(np.float64)
    if group is not None:
        inside = top.groups.mask(group)[items]
        rows, ranks = rows[inside], ranks[inside]
        wanted = top.group_targets[:, top.groups.names.index(group)].astype(np.float64)
    wanted[wanted == 0] = np.nan
    return rows, ranks, wanted


@_accuracy(headline=True)
@checked
def ndcg(top: TopK, *, group: str | None = None) -> NDArray[np.float64]:
    """Normalized discounted cumulative gain: found test items, weighted by rank, against the best possible list.

    Formula: sum over found items of 1/log2(rank + 1), divided by the same sum over ranks 1 .. min(|test_u|, k).
    Range 0 to 1, higher is better.

    Parameters
    ----------
    top : TopK
    group : str, optional
        Count only test items of this popularity group.

    Returns
    -------
    float array of shape (U,)

    References
    ----------
    Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002; the ideal is cut at k, as in
    ranx, implicit and the ReSN protocol.
    """
    rows, ranks, wanted = _wanted(top, "ndcg", group)
    discounts = 1 / np.log2(np.arange(top.k) + 2)
    gained = np.bincount(rows, weights=discounts[ranks], minlength=len(top))
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(np.nan_to_num(wanted), top.k).astype(int)]
    return np.where(np.isnan(wanted), np.nan, gained / np.where(ideal > 0, ideal, 1))


@_accuracy(headline=True)
@checked
def recall(top: TopK, *, group: str | None = None) -> NDArray[np.float64]:
    """Share of a user's test items that are in the list.

    Formula: |L_u and test_u| / |test_u|. Range 0 to 1, higher is better. Options and result as for :func:`ndcg`.
    """
    rows, _, wanted = _wanted(top, "recall", group)
    return np.asarray(np.bincount(rows, minlength=len(top)) / wanted)


@_accuracy(format=".1%")
@checked
def hit_rate(top: TopK, *, group: str | None = None) -> NDArray[np.float64]:
    """Share of users with at least one test item in the list. Range 0 to 1, higher is better.

    Options and result as for :func:`ndcg`.
    """
    rows, _, wanted = _wanted(top, "hit_rate", group)
    return np.where(np.isnan(wanted), np.nan, np.bincount(rows, minlength=len(top)) > 0)


@_accuracy(fewest=200)
@checked
def mrr(top: TopK, *, group: str | None = None) -> NDArray[np.float64]:
    """Mean reciprocal rank of the first test item in the list, 0 where none is.

    Formula: mean_u 1 / rank of the first hit. Range 0 to 1, higher is better. Options and result as for :func:`ndcg`.
    """
    rows, ranks, wanted = _wanted(top, "mrr", group)
    reciprocal = np.zeros(len(top))
    np.maximum.at(reciprocal, rows, 1 / (ranks + 1))
    return np.where(np.isnan(wanted), np.nan, reciprocal)


@_accuracy()
@checked
def precision(top: TopK, *, group: str | None = None) -> NDArray[np.float64]:
    """Share of the k slots that hold a test item.

    Formula: |L_u and test_u| / k. Range 0 to 1, higher is better. A list shorter than k is judged as if it had k.
    Options and result as for :func:`ndcg`.
    """
    rows, _, wanted = _wanted(top, "precision", group)
    return np.where(np.isnan(wanted), np.nan, np.bincount(rows, minlength=len(top)) / top.k)
