"""FA*IR: at every rank a list has as many items of the tail as a fair lottery would have put there."""

from typing import Any

import numpy as np
from scipy.special import bdtr

from headtail._checks import checked, integer, number
from headtail.data import PopularityGroups, Recommendations
from headtail.data.popularity import Grouping
from headtail.data.rows import popularity_by_id
from headtail.rerankers._queues import Queues, best_first, greedily, tail_of
from headtail.typing import Floats, Ints


@checked
def fa_ir(
    recs: Recommendations,
    popularity: Any,
    *,
    strength: float,
    k: int,
    significance: float = 0.1,
    groups: Grouping = PopularityGroups.by_mass,
) -> Recommendations:
    """Re-rank lists so that every beginning of a list has enough items of the tail.

    Enough is what :func:`fewest_protected` says. Each rank takes the best item that is left, and the best one of the
    tail where there would be too few otherwise; where a list has no more of them, the other items follow.

    Source: Zehlike, Bonchi, Castillo, Hajian, Megahed and Baeza-Yates, FA*IR: a fair top-k ranking algorithm, CIKM
    2017.

    Parameters
    ----------
    recs, popularity, k, groups
        See :mod:`headtail.rerankers`.
    strength : float
        Share of tail items that the lottery draws, 0 to 1; 0 only shortens the lists.
    significance : float, default 0.1
        How unlikely for that lottery a whole list may be, above 0 and below 1.

    Examples
    --------
    >>> lists = Recommendations.from_scores([[5.0, 4.0, 3.0, 2.0, 1.0]], k=5)
    >>> fa_ir(lists, [40, 30, 20, 6, 4], strength=0.9, k=3).items.tolist()
    [[0, 2, 3]]
    """
    tail = tail_of(groups, popularity_by_id(popularity, recs.item_ids))
    strength = number("strength", strength, low=0, high=1)
    fewest = fewest_protected(strength, k, significance=significance)

    def values(rows: slice, slot: int, queues: Queues, scores: Floats) -> Floats:
        short = queues.taken[:, 1] < fewest[slot]
        return np.where(short[:, None] & [True, False], -np.inf, -queues.first.astype(np.float64))

    return greedily(best_first(recs, k), tail, 2, k, values)


@checked
def fewest_protected(share: float, k: int, *, significance: float = 0.1) -> Ints:
    """Return the fewest protected items that a fair list has in its first 1, 2 .. k places, shape (k,).

    Fair is what a lottery could have drawn that puts a protected item in each place with probability `share`, 0 to 1:
    the first i places must have m items with a binomial ``F(m; i, share) > alpha``. All k tests must be passed, so that
    alpha is corrected: it is the largest at which the lottery itself fails one of them with a probability of at most
    `significance`, above 0 and below 1. (The authors' package stays further below that: for 20 places, a share of 0.25
    and 0.1 the lottery fails what it asks for in 4.9% of cases, and what is asked for here in 9.0%.)

    Source: Zehlike et al., FA*IR, CIKM 2017, definition 3.1 and section 4.

    Examples
    --------
    >>> fewest_protected(0.5, 12).tolist()
    [0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3]
    """
    share, k = number("share", share, low=0, high=1), integer("k", k, low=1)
    significance = number("significance", significance, low=0, high=1, low_open=True, high_open=True)
    places = np.arange(1, k + 1)[:, None]
    below = bdtr(np.minimum(np.arange(k + 1), places), places, share)  # (k, k + 1): F(m; i, share)
    steps = np.unique(np.append(below[below <= significance], 0.0))  # where a demand rises as alpha does
    low, high = 0, len(steps)  # steps[low] is passed; the demands of 0 are those of no test at all
    while high - low > 1:
        middle = (low + high) // 2
        passed = _passed(_fewest(below, steps[middle]), share) >= 1 - significance
        low, high = (middle, high) if passed else (low, middle)
    return _fewest(below, steps[low])


def _fewest(below: Floats, alpha: float) -> Ints:
    """Return the fewest protected items with F > alpha, for each number of places."""
    return np.asarray((below <= alpha).sum(axis=1), dtype=np.int64)


def _passed(fewest: Ints, share: float) -> float:
    """Return the probability that the lottery has the fewest items everywhere."""
    chances = np.zeros(len(fewest) + 1)  # of each number of protected items, all tests passed
    chances[0] = 1.0
    for least in fewest:
        chances[1:] = share * chances[:-1] + (1 - share) * chances[1:]
        chances[0] *= 1 - share
        chances[:least] = 0.0
    return float(chances.sum())
