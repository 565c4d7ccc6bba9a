"""IPR: every score is raised, the more the rarer its item."""

from typing import Any

import numpy as np

from headtail._checks import checked, number
from headtail.data import Recommendations
from headtail.data.rows import popularity_by_id
from headtail.rerank import best, scores_of


@checked
def ipr(recs: Recommendations, popularity: Any, *, strength: float, k: int) -> Recommendations:
    """Re-rank lists by inverse popularity: every score is raised by up to `strength`, the more the rarer the item.

    A score s becomes ``s (1 + strength (1 - popularity / max popularity))``. A negative score is divided by that factor
    instead, so that it rises as well. What a strength does depends on where scores have their zero. Lists have the new
    scores; items of equal score stay in their order.

    Source: the baseline IPR of Ahmadov and Mansoury, RecSys 2025, section 5.

    Parameters
    ----------
    recs, popularity, k
        See :mod:`headtail.rerankers`.
    strength : float
        At least 0; 0 only shortens the lists. Usual values lie between 0.01 and 1.

    Examples
    --------
    >>> lists = Recommendations.from_scores([[1.8, 1.0, 2.0]], k=3, item_ids=[10, 20, 30])
    >>> ipr(lists, [1, 4, 4], strength=0.5, k=2).to_polars().select("item_id", "score").rows()
    [(10, 2.475), (30, 2.0)]
    """
    scores = scores_of(recs, k)
    counts = popularity_by_id(popularity, recs.item_ids)
    factor = 1 + number("strength", strength, low=0) * (1 - counts / counts.max())[recs.items]
    return best(recs, np.where(scores < 0, scores / factor, scores * factor), k)
