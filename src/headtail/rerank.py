"""Corrections of finished lists: longer lists in, shorter and re-ordered ones out.

Each takes :class:`~headtail.data.Recommendations` with scores and longer than `k`, and returns the k items of each user
that are best after the correction, with the scores that they are ordered by. They know nothing of the recommender, so
that they serve where only a table is at hand; where its vectors are, :mod:`headtail.posthoc` corrects over the whole
catalogue. Lists without scores or shorter than `k`, or all of one score where a strength is in units of their spread,
and numbers that do not fit the catalogue are an :class:`~headtail.exceptions.InvalidInputError`.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from headtail._checks import checked, integer, number
from headtail._exposure import Goal, Welfare, counter, sampled
from headtail._factors import per_item
from headtail._top import highest
from headtail.data import Recommendations
from headtail.data.rows import popularity_by_id
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Array, Floats, Mask


@checked
def add_bias(recs: Recommendations, bias: Any, *, k: int, order: float = 1.0) -> Recommendations:
    """Choose the k items with the highest ``score + bias`` of each list, and order them by ``score + order * bias``.

    Which items are shown decides how even exposure over the catalogue is; their order decides much of the accuracy.
    `bias`, (n_items,), is the same for every user. With `order` (0 to 1; choose on validation) 0 the chosen items
    stand as the recommender would have them. Items of equal score stay in their order.

    Examples
    --------
    >>> lists = Recommendations.from_scores([[1.8, 1.0, 2.0]], k=3, item_ids=[10, 20, 30])
    >>> add_bias(lists, [0.0, 1.0, 0.0], k=2).to_polars()["item_id"].to_list()
    [30, 20]
    """
    scores = scores_of(recs, k)
    order = number("order", order, low=0, high=1)
    values = per_item("bias", bias, len(recs.item_ids))
    added = values[recs.items]
    chosen = best(recs, scores + added, k)
    if order == 1:
        return chosen
    return best(chosen, scores_of(chosen, k) - (1 - order) * values[chosen.items], k)


@checked
def penalize_popularity(recs: Recommendations, popularity: Any, *, strength: float, k: int) -> Recommendations:
    """Lower the score of popular items, ``score - strength * spread * log(1 + popularity)``, and keep the best k.

    `popularity`, (n_items,), are the training interactions of each item; `spread` is the standard deviation of the
    scores within a list (root mean square over lists), so that the same strength means the same for scores of any
    scale; 0 only shortens the lists.

    Examples
    --------
    >>> lists = Recommendations.from_scores([[2.0, 1.0]], k=2, item_ids=[10, 20])
    >>> penalize_popularity(lists, [99, 0], strength=1.0, k=1).to_polars()["item_id"].to_list()
    [20]
    """
    counts = popularity_by_id(popularity, recs.item_ids)
    return add_bias(recs, -number("strength", strength) * spread(recs) * np.log1p(counts), k=k)


@checked
def tilt(recs: Recommendations, *, strength: float, k: int, **options: Any) -> Recommendations:
    """Spread the exposure that the lists themselves give, by one number added to the score of each item.

    As :func:`headtail.tilt`, of candidates in place of the whole catalogue; `options` are those of :func:`tilt_bias`.
    The strength is at least 0, which only shortens the lists.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> lists = Recommendations.from_scores(rng.normal(size=(500, 50)) - np.arange(50) / 25, k=50)
    >>> before, after = lists.head(5).slots.max(), tilt(lists, strength=0.3, k=5).slots.max()
    >>> bool(after < before)
    True
    """
    return add_bias(recs, tilt_bias(recs, strength=strength, k=k, **options), k=k)


@checked
def tilt_bias(
    recs: Recommendations,
    *,
    strength: float,
    k: int,
    welfare: Welfare = "alpha",
    aversion: float = 0.5,
    popularity: Any = None,
    n_users: int = 4000,
    rounds: int = 100,
    rng: RNG = 0,
) -> Floats:
    """Return what :func:`tilt` adds to the score of each item, shape (n_items,), of mean 0.

    An item that is in no list has the bias of an item that is never shown. The parameters are those of
    :func:`headtail.tilt`, with the spread of the scores within a list.

    Examples
    --------
    >>> lists = Recommendations.from_scores([[1.0, 0.0], [1.0, 0.0]], k=2)
    >>> bias = tilt_bias(lists, strength=0.1, k=1)
    >>> bool(bias[0] < 0 < bias[1])
    True
    """
    goal = Goal(strength, welfare, aversion, rounds)
    scores, rows, n_items = scores_of(recs, k), sampled(len(recs), n_users, rng), len(recs.item_ids)
    scale = spread(recs)
    rows = rows[_decided(recs.items[rows], scores[rows], k)]
    items = recs.items[rows]
    count = counter(items, (scores[rows] / scale).astype(np.float32), n_items, k)
    popularity = None if popularity is None else popularity_by_id(popularity, recs.item_ids)
    return scale * goal.settle(count, n_slots=len(items) * k, n_items=n_items, popularity=popularity)


def _decided(items: Array, scores: Array, k: int) -> Mask:
    """Whether scores decide what a list shows, (U,): one of equal scores for more than k follows any bias at once."""
    there = items >= 0
    equal = ((scores == scores[:, :1]) | ~there).all(axis=1) & (there.sum(axis=1) > k)
    return np.asarray(~equal | equal.all())


@checked
def spread(recs: Recommendations) -> float:
    """Return the standard deviation of the scores within a list, root mean square over lists; an error if it is 0.

    Examples
    --------
    >>> spread(Recommendations.from_scores([[3.0, 1.0]], k=2))
    1.0
    """
    scores = np.where(recs.items >= 0, scores_of(recs, 1), np.nan)
    filled = scores[recs.items[:, 0] >= 0]
    found = float(np.sqrt(np.mean(np.nanvar(filled, axis=1)))) if len(filled) else 0.0
    if found <= 1e-12 * np.nanmax(np.abs(filled), initial=0):
        raise InvalidInputError("all items of a list score the same; there is no order to change. Check the scores.")
    return found


def scores_of(recs: Recommendations, k: int) -> Floats:
    """Return the scores in float64, if there are scores and lists of at least k."""
    if recs.scores is None:
        raise InvalidInputError("the recommendations have no scores; make them with headtail.recommend.")
    k = integer("k", k, low=1, high=recs.k)
    return recs.scores.astype(np.float64)


def best(recs: Recommendations, scores: Array, k: int, *, keep: Array | None = None) -> Recommendations:
    """Return the k items of each list with the highest scores, of equal ones those that stand first.

    They have those scores, or those of `keep`.
    """
    found, places = highest(np.where(recs.items >= 0, scores, -np.inf), k)
    items = np.where(found > -np.inf, np.take_along_axis(recs.items, places, axis=1), np.int32(-1))
    scores = found if keep is None else np.take_along_axis(keep, places, axis=1)
    return replace(recs, items=items, scores=np.where(items >= 0, scores, np.nan))
