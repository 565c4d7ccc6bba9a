"""Corrections of finished lists: longer lists in, shorter and re-ordered ones out."""

from dataclasses import replace
from typing import Any

import numpy as np

from headtail._checks import integer, number
from headtail._factors import as_popularity
from headtail.data import Recommendations
from headtail.exceptions import InvalidInputError


def ipr(recommendations: Recommendations, popularity: Any, strength: float, *, k: int = 10) -> Recommendations:
    """Re-rank lists by inverse popularity: every score is raised by up to `strength`, the more the rarer the item.

    A score s becomes ``s (1 + strength (1 - popularity / max popularity))``. A negative score is divided by that factor
    instead, so that it rises as well.

    Parameters
    ----------
    recommendations : Recommendations
        With scores, and longer than `k`: the items that may move up. The authors of PopSteer take 250.
    popularity : array of shape (n_items,)
        Training interactions of each item.
    strength : float
        At least 0; 0 only shortens the lists. Usual values lie between 0.01 and 1.
    k : int, default 10
        Length of the new lists.

    Returns
    -------
    Recommendations
        With the new scores. Items of equal score stay in their order.

    Raises
    ------
    InvalidInputError
        If there are no scores, `k` exceeds the length of the lists, or popularity does not fit the catalogue.

    References
    ----------
    The baseline IPR of Ahmadov and Mansoury, RecSys 2025, section 5.

    Examples
    --------
    >>> lists = Recommendations(
    ...     user_ids=np.array([7]), item_ids=np.array([10, 20, 30]), users=np.array([0]), items=np.array([[2, 0, 1]]),
    ...     scores=np.array([[2.0, 1.8, 1.0]]),
    ... )
    >>> ipr(lists, [1, 4, 4], strength=0.5, k=2).to_polars().select("item_id", "score").rows()
    [(10, 2.475), (30, 2.0)]
    """
    if recommendations.scores is None:
        raise InvalidInputError("the recommendations have no scores; make them with headtail.recommend.")
    integer("k", k, low=1, high=recommendations.k)
    strength = number("strength", strength, low=0)
    counts = as_popularity(popularity, len(recommendations.item_ids))
    items = recommendations.items
    factor = 1 + strength * (1 - counts / counts.max())[items]
    scores = recommendations.scores.astype(np.float64)
    scores = np.where(scores < 0, scores / factor, scores * factor)
    filled = items >= 0
    order = np.argsort(np.where(filled, -scores, np.inf), axis=1, kind="stable")[:, :k]
    items, scores = (np.take_along_axis(values, order, axis=1) for values in (items, scores))
    return replace(recommendations, items=items, scores=np.where(items >= 0, scores, np.nan))
