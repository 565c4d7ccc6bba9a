"""Calibrated popularity: each list mixes head, mid and tail as its user's history does."""

import numpy as np

from headtail._checks import checked, number
from headtail._stats import jensen_shannon
from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.data.popularity import Grouping, as_groups
from headtail.rerankers._queues import Queues, best_first, greedily, profiles
from headtail.typing import Floats


@checked
def calibrated_popularity(
    recs: Recommendations,
    known: Interactions,
    *,
    strength: float,
    k: int,
    groups: Grouping = PopularityGroups.by_mass,
) -> Recommendations:
    """Re-rank lists so that their mix of popularity groups comes near that of each user's history.

    Item by item, the list L of a user grows by the candidate with which it has the largest::

        (1 - strength) * (sum of the scores in L) - strength * J(P, Q(L))

    J is the Jensen-Shannon divergence in bits, P the shares of the groups in the user's history and Q(L) those in L.

    Source: Abdollahpouri, Mansoury, Burke, Mobasher and Malthouse, User-centered evaluation of popularity bias in
    recommender systems, UMAP 2021 (CP); the greedy choice is that of Steck, Calibrated recommendations, RecSys 2018.

    Parameters
    ----------
    recs, known, k, groups
        See :mod:`headtail.rerankers`.
    strength : float
        From 0, which only shortens the lists, to 1, at which scores count within a group alone.

    Examples
    --------
    >>> known = Interactions.of(pl.DataFrame({"user_id": [7, 7, 8, 8, 9], "item_id": [1, 3, 1, 2, 1]}))
    >>> lists = Recommendations(  # the likes of item 1 are in every history, item 3 in that of user 7 alone
    ...     known.user_ids, known.item_ids, np.array([0]), np.array([[1, 2]]), scores=np.array([[2.0, 1.0]])
    ... )
    >>> calibrated_popularity(lists, known, strength=0.9, k=1, groups=PopularityGroups.by_rank).items.tolist()
    [[2]]
    """
    found = as_groups(groups, known.popularity)
    codes, n_groups = found.codes, len(found.names)
    strength = number("strength", strength, low=0, high=1)
    recs, own = best_first(recs, k), profiles(recs, known, codes, n_groups)
    added = np.eye(n_groups)  # (G, G): one more item of each group

    def values(rows: slice, slot: int, queues: Queues, scores: Floats) -> Floats:
        mixes = (queues.taken[:, None, :] + added) / (slot + 1)  # (U, G, G)
        apart = jensen_shannon(np.repeat(own[rows], n_groups, axis=0), mixes.reshape(-1, n_groups))
        has_history = own[rows].any(axis=1, keepdims=True)
        return (1 - strength) * scores - np.where(has_history, strength * apart.reshape(scores.shape), 0.0)

    return greedily(recs, codes, n_groups, k, values)
