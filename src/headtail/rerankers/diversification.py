"""xQuAD: head and tail items both find a place in a list, as far as its user cares for them."""

from typing import Literal

import numpy as np

from headtail._checks import checked, number
from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.data.popularity import Grouping
from headtail.rerankers._queues import Queues, best_first, greedily, profiles, tail_of
from headtail.typing import Floats


@checked
def xquad(
    recs: Recommendations,
    known: Interactions,
    *,
    strength: float,
    k: int,
    variant: Literal["smooth", "binary"] = "smooth",
    groups: Grouping = PopularityGroups.by_mass,
) -> Recommendations:
    """Re-rank lists so that they cover both the tail and the other items, each as its user's history does.

    Item by item, the list S of a user grows by the candidate v of class c, the tail or the rest, with the highest::

        (1 - strength) * score(v) + strength * P(c) * (1 - covered(c, S))

    P(c) is the share of the class in the user's history. "smooth": covered is its share in S; "binary": 1 once S has an
    item of it. (The equation's product over the items of S is taken once: covered is the same for all of them.)

    Source: Abdollahpouri, Burke and Mobasher, Managing popularity bias in recommender systems with personalized
    re-ranking, FLAIRS 2019, equation 4.

    Parameters
    ----------
    recs, known, k, groups
        See :mod:`headtail.rerankers`.
    strength : float
        From 0, which only shortens the lists, to 1, at which scores count within a class alone.
    variant : {"smooth", "binary"}, default "smooth"

    Examples
    --------
    >>> known = Interactions.of(pl.DataFrame({"user_id": [7, 7, 8, 8, 9], "item_id": [1, 3, 1, 2, 1]}))
    >>> lists = Recommendations(
    ...     known.user_ids, known.item_ids, np.array([0]), np.array([[0, 1, 2]]), scores=np.array([[3.0, 2.0, 1.0]])
    ... )
    >>> xquad(lists, known, strength=0.7, k=2).items.tolist()
    [[0, 2]]
    """
    tail, strength = tail_of(groups, known.popularity), number("strength", strength, low=0, high=1)
    recs, own = best_first(recs, k), profiles(recs, known, tail, 2)

    def values(rows: slice, slot: int, queues: Queues, scores: Floats) -> Floats:
        covered = queues.taken / max(slot, 1) if variant == "smooth" else queues.taken > 0
        return np.asarray((1 - strength) * scores + strength * own[rows] * (1 - covered))

    return greedily(recs, tail, 2, k, values)
