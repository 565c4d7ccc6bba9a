"""PCT: the tail gets a share of all exposure, and each list stays as near to its user's history as that allows."""

import numpy as np

from headtail._checks import checked, number
from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.data.popularity import Grouping
from headtail.metrics.topk import discounts
from headtail.rerankers._queues import Places, Queues, best_first, blocks, picked, profiles, tail_of
from headtail.typing import Floats

_ROUNDING = 1e-9  # of an exposure: the order in which one is summed decides nothing


@checked
def pct(
    recs: Recommendations,
    known: Interactions,
    *,
    strength: float,
    k: int,
    relevance: float = 0.5,
    groups: Grouping = PopularityGroups.by_mass,
) -> Recommendations:
    """Re-rank lists so that the tail gets a share of all exposure, and each list fits its user's own target.

    A user's target starts from the tail's share in the user's history. All targets are moved by the same amount, or as
    far as 0 or 1 allows, so that their mean is `strength`. That is one of the solutions that change histories the least
    in all (in the sum of the users' distances there are many; the authors' linear program returns one of them).

    Then each list is filled. Exposure of a rank r counts ``1 / log2(r + 1)``. First every rank, from the top, takes the
    best item left whose class, tail or rest, stays within the exposure that the target gives it. A rank without such an
    item takes, of the best item left of either class, the one with the highest ``relevance / place - (1 - relevance) *
    d / 2``: place is the item's in the long list, d the squared distance of the list's exposure from the target's.

    Source: Wang et al., Two-sided calibration for quality-aware responsible recommendation, RecSys 2023 (PCT-Solver and
    PCT-Reranker).

    Parameters
    ----------
    recs, k, groups
        See :mod:`headtail.rerankers`.
    known : Interactions
        The target of a user without history is `strength` itself.
    strength : float
        Share of the exposure for the tail, above 0 up to 1. 0 only shortens the lists. A share below that of the
        histories takes exposure from the tail.
    relevance : float, default 0.5
        Weight of the place in the long list, 0 to 1.

    Examples
    --------
    >>> known = Interactions.of(pl.DataFrame({"user_id": [7, 7, 8, 8, 9], "item_id": [1, 3, 1, 2, 1]}))
    >>> lists = Recommendations(
    ...     known.user_ids, known.item_ids, np.array([0]), np.array([[0, 1, 2]]), scores=np.array([[3.0, 2.0, 1.0]])
    ... )
    >>> pct(lists, known, strength=0.3, k=2).items.tolist()
    [[0, 2]]
    """
    tail, strength = tail_of(groups, known.popularity), number("strength", strength, low=0, high=1)
    relevance = number("relevance", relevance, low=0, high=1)
    recs, own = best_first(recs, k), profiles(recs, known, tail, 2)
    if strength == 0:
        return recs.head(k)
    share = np.full(len(recs), strength)
    has_history = own.any(axis=1)
    share[has_history] = targets(own[has_history, 1], strength)
    weights = discounts(k)
    chosen = []
    for rows, queues in blocks(recs, tail, 2, k):
        target = np.stack([1 - share[rows], share[rows]], axis=1) * weights.sum()
        chosen.append(_filled(queues, target, weights, relevance))
    return picked(recs, chosen, k)


def targets(shares: Floats, mean: float) -> Floats:
    """Return shares that are all moved by the same amount, or as far as 0 or 1 allows, to have this mean."""
    if not len(shares):
        return shares
    up = mean >= shares.mean()
    room = np.sort(1 - shares if up else shares)
    missing = abs(mean - shares.mean()) * len(shares)
    # With the i smallest rooms used up, the others move by what is left of the change, evenly.
    used = np.concatenate([[0.0], np.cumsum(room)[:-1]])
    moves = (missing - used) / np.arange(len(room), 0, -1)
    move = float(moves[min(int(np.searchsorted(room >= moves, True)), len(room) - 1)])
    return np.asarray(np.clip(shares + (move if up else -move), 0.0, 1.0))


def _filled(queues: Queues, target: Floats, weights: Floats, relevance: float) -> Places:
    """Return the columns of the items that fill the lists, rank by rank."""
    exposure = np.zeros_like(target)
    slots = np.full((len(target), len(weights)), queues.none)
    rows = np.arange(len(target))
    for within in (True, False):
        for rank, weight in enumerate(weights):
            first, after = queues.first, exposure + weight
            if within:
                fits = (after <= target + _ROUNDING) & (first < queues.none)
                values, where = np.where(fits, -first.astype(np.float64), -np.inf), fits.any(axis=1)
            else:
                away = ((exposure - target) ** 2).sum(axis=1, keepdims=True)
                away = away - (exposure - target) ** 2 + (after - target) ** 2
                values, where = relevance / (first + 1) - (1 - relevance) * away / 2, slots[:, rank] == queues.none
            columns, classes = queues.take(values, where)
            taken = columns < queues.none
            slots[taken, rank] = columns[taken]
            exposure[rows[taken], classes[taken]] += weight
    ended = np.argsort(slots == queues.none, axis=1, kind="stable")  # what stands behind an empty rank moves up
    return np.take_along_axis(slots, ended, axis=1)
