"""How many of the wanted items are in the lists, and how high.

Each is a mean over the users that have test interactions. With ``group=`` only test items of that popularity group
count as wanted (head, mid or tail accuracy), and only users that have some are in the mean.
"""

from functools import partial

import numpy as np

from headtail._checks import checked, number
from headtail.metrics.facts import better
from headtail.metrics.topk import TopK, discounts, ideal
from headtail.typing import Floats, Ints

_accuracy = partial(better, "higher", low=0, high=1, family="accuracy", needs=("targets",))


def _relevant(top: TopK, metric: str, group: str | None) -> tuple[Ints, Ints, Ints]:
    """Return the row and rank of every test item that was found, and the number of test items of each user."""
    top.require_targets(metric)
    rows, ranks, items = top.hits
    if group is None:
        return rows, ranks, np.diff(top.target_starts)
    inside = top.groups.mask(group)[items]
    return rows[inside], ranks[inside], top.group_targets[:, top.groups.names.index(group)]


def _judged(values: Floats, relevant: Ints) -> Floats:
    """Return the values, NaN for users that want nothing."""
    values[relevant == 0] = np.nan
    return values


@_accuracy(title="Wanted items found, high ranks first", headline=True)
@checked
def ndcg(top: TopK, *, group: str | None = None, scale: float = 1.0) -> Floats:
    """Normalized discounted cumulative gain: found test items, weighted by rank, against the best possible list.

    Formula: sum over found items of 1/log2(rank + 1), divided by the same sum over ranks 1 .. min(|test_u|, k).
    Range 0 to 1, higher is better.

    Source: Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002; the ideal is cut at
    k, as in ranx, implicit and the ReSN protocol.

    Parameters
    ----------
    top : TopK
    group : str, optional
        Count only test items of this popularity group.
    scale : float, default 1
        Items that a user wants for each one that is in the test: the best possible list holds as many, so that with a
        smaller part users count as they would with the whole.
    """
    scale = number("scale", scale, low=0, low_open=True)
    rows, ranks, relevant = _relevant(top, "ndcg", group)
    worth = discounts(top.k)
    gained = np.bincount(rows, weights=worth[ranks], minlength=len(top))
    return np.asarray(gained / np.where(relevant > 0, ideal(relevant, top.k, scale), np.nan))


@_accuracy(title="Share of the wanted items found", headline=True)
@checked
def recall(top: TopK, *, group: str | None = None) -> Floats:
    """Share of a user's test items that are in the list.

    Formula: |L_u and test_u| / |test_u|. Range 0 to 1, higher is better. Options and result as for :func:`ndcg`.
    """
    rows, _, relevant = _relevant(top, "recall", group)
    return _judged(np.bincount(rows, minlength=len(top)) / np.maximum(relevant, 1), relevant)


@_accuracy(title="Users with a wanted item", format=".1%")
@checked
def hit_rate(top: TopK, *, group: str | None = None) -> Floats:
    """Share of users with at least one test item in the list. Range 0 to 1, higher is better.

    Options and result as for :func:`ndcg`.
    """
    rows, _, relevant = _relevant(top, "hit_rate", group)
    return _judged((np.bincount(rows, minlength=len(top)) > 0).astype(np.float64), relevant)


@_accuracy(title="How high the first wanted item stands", fewest=200)
@checked
def mrr(top: TopK, *, group: str | None = None) -> Floats:
    """Mean reciprocal rank of the first test item in the list, 0 where none is.

    Formula: mean_u 1 / rank of the first hit. Range 0 to 1, higher is better. Options and result as for :func:`ndcg`.
    """
    rows, ranks, relevant = _relevant(top, "mrr", group)
    reciprocal = np.zeros(len(top))
    np.maximum.at(reciprocal, rows, 1 / (ranks + 1))
    return _judged(reciprocal, relevant)


@_accuracy(title="Share of the places with a wanted item")
@checked
def precision(top: TopK, *, group: str | None = None) -> Floats:
    """Share of the k slots that hold a test item.

    Formula: |L_u and test_u| / k. Range 0 to 1, higher is better. A list shorter than k is judged as if it had k.
    Options and result as for :func:`ndcg`.
    """
    rows, _, relevant = _relevant(top, "precision", group)
    return _judged(np.bincount(rows, minlength=len(top)) / top.k, relevant)
