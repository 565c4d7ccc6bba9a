"""P-MMF: the groups that get the least of what they earn are favored, by prices that follow the users as they come."""

from dataclasses import replace
from typing import Any

import numpy as np

from headtail._checks import checked, generator, integer, number
from headtail._top import highest
from headtail.data import PopularityGroups, Recommendations
from headtail.data.popularity import Grouping, as_groups
from headtail.data.rows import popularity_by_id
from headtail.exceptions import InvalidInputError
from headtail.rerank import scores_of
from headtail.rerankers._queues import best_first, unit_scores
from headtail.typing import RNG, Floats


@checked
def p_mmf(
    recs: Recommendations,
    popularity: Any,
    *,
    strength: float,
    k: int,
    groups: Grouping = PopularityGroups.by_mass,
    window: int = 256,
    lr: float = 0.1,
    momentum: float = 0.1,
    rng: RNG = 0,
) -> Recommendations:
    """Re-rank lists so that the group of items that gets the least of its share gets more.

    The aim is the largest ``sum of scores / T + strength * min_p e_p / (T k rho_p)``: e_p is the exposure of group p
    in a window of T users, rho_p its share of the training interactions times 1 + 1 / groups, which no group may
    exceed. Users come one after another, and see the k items with the largest ``score - mu_p``, of groups that have
    room left, ordered by score. After each, with B_p the room that is left to group p::

        g  <- momentum * (B / (T k) - exposure of the user's list / k) + (1 - momentum) * g
        mu <- the nearest to mu - lr / sqrt(T) * g / rho^2 with  sum over p of min(rho_p mu_p, 0) >= -strength

    nearest in the Euclidean norm of rho * mu. Every window begins with prices mu of 0. Scores stay as they were.

    Source: Xu et al., P-MMF: provider max-min fairness re-ranking in recommender system, WWW 2023, algorithm 1; shares,
    window, momentum and the room in the gradient as in the authors' code. The nearest prices need no solver: they are
    those of a threshold.

    Parameters
    ----------
    recs, popularity, k
        See :mod:`headtail.rerankers`.
    strength : float
        At least 0; 0 only shortens the lists.
    groups : PopularityGroups, or function from popularity to one, default PopularityGroups.by_mass
        The providers of the items, each with interactions.
    window : int, default 256
        Users of a window, at most: T.
    lr : float, default 0.1
        Above 0. (The authors take 0.001, for sigmoids of scores: then the caps do the work alone, which costs more.)
    momentum : float, default 0.1
        Weight of the newest gradient, above 0 up to 1.
    rng : seed or generator, default 0
        Draws the order in which users are served: the same users in other rows get other lists.

    Examples
    --------
    >>> lists = Recommendations.from_scores([[2.0, 1.0]] * 4, k=2)
    >>> found = p_mmf(lists, [2, 2], strength=0.1, k=1, groups=lambda counts: PopularityGroups.by_rank(counts, (0.5,)))
    >>> np.bincount(found.items[:, 0]).tolist()  # no more than 1.5 times the half of the slots
    [3, 1]
    """
    counts = popularity_by_id(popularity, recs.item_ids)
    found = as_groups(groups, counts)
    strength, window = number("strength", strength, low=0), integer("window", window, low=1)
    lr, momentum = number("lr", lr, low=0, low_open=True), number("momentum", momentum, low=0, high=1, low_open=True)
    recs = best_first(recs, k)
    if strength == 0 or not len(recs):
        return recs.head(k)
    present, codes = np.unique(found.codes, return_inverse=True)  # groups without items are none
    rho = (1 + 1 / len(present)) * np.bincount(codes, weights=counts) / counts.sum()
    if not rho.all():
        raise InvalidInputError(
            f"group {found.names[present[rho.argmin()]]!r} has no interactions, and so no share to be measured by. "
            f"Give groups that all have some."
        )
    padded = np.append(codes, len(rho))  # -1, where a list has ended, picks the last
    order, n_windows = generator(rng).permutation(len(recs)), -(-len(recs) // window)
    sizes = len(recs) // n_windows + (np.arange(n_windows) < len(recs) % n_windows)
    starts = np.cumsum(sizes) - sizes
    room = sizes[:, None] * k * rho  # (W, P)
    prices, slope = np.zeros_like(room), np.zeros_like(room)
    chosen = np.empty((len(recs), k), dtype=np.int64)
    for step in range(sizes[0]):  # the next user of every window at the same time; those that end early are the last
        on = slice(0, int((sizes > step).sum()))
        rows, size = order[starts[on] + step], sizes[on, None]
        owners = padded[recs.items[rows]]  # (W, R)
        cost = np.pad(np.where(room[on] > _ROUNDING, prices[on], _FULL), ((0, 0), (0, 1)), constant_values=2 * _FULL)
        values = unit_scores(recs, rows) - np.take_along_axis(cost, owners, axis=1)
        chosen[rows] = np.sort(highest(values, k)[1], axis=1)
        shown = np.take_along_axis(owners, chosen[rows], axis=1)
        exposure = (shown[:, :, None] == np.arange(len(rho))).sum(axis=1)  # (W, P)
        room[on] -= exposure
        slope[on] = momentum * (room[on] / (size * k) - exposure / k) + (1 - momentum) * slope[on]
        prices[on] = nearest_prices(prices[on] - lr / np.sqrt(size) * slope[on] / rho**2, rho, strength)
    scores = np.take_along_axis(scores_of(recs, k), chosen, axis=1)
    return replace(recs, items=np.take_along_axis(recs.items, chosen, axis=1), scores=scores)


def nearest_prices(prices: Floats, rho: Floats, strength: float) -> Floats:
    """Return the prices nearest to these, in the norm of rho * mu, of which the negative sum up to at most `strength`.

    The positive ones stay; the negative ones, in units of 1 / rho, are projected on a simplex: all are raised by the
    same amount, and none above 0.
    """
    values = prices * rho  # (W, P)
    below = np.sort(np.maximum(-values, 0.0), axis=1)[:, ::-1]  # the largest first
    raises = (np.cumsum(below, axis=1) - strength) / np.arange(1, below.shape[1] + 1)
    raised = np.maximum(raises.max(axis=1, keepdims=True), 0.0)
    return np.asarray(np.where(values < 0, np.minimum(values + raised, 0.0), values) / rho)


_ROUNDING = 1e-9  # of a place: no room is left
_FULL = 1e4  # more than any score and price: what a group costs that has no room left
