"""Statistics on plain arrays."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from headtail.typing import RNG, Array, Floats

Z95 = 1.959963984540054  # standard normal quantile of a two-sided 95% interval


def gini(values: Array) -> float:
    """Gini coefficient of non-negative values: 0 when all are equal, 1 - 1/n when one holds all, NaN for all 0.

    Sum over i of (2 i - n - 1) x_i / (n sum x), x ascending and i from 1.
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    total, n = x.sum(), len(x)
    if total <= 0:
        return float("nan")
    return float(np.dot(2 * np.arange(1, n + 1) - n - 1, x) / (n * total))


def entropy(values: Array, base: float = np.e) -> float:
    """Shannon entropy of non-negative values taken as shares; NaN if all are 0."""
    x = np.asarray(values, dtype=np.float64)
    total = x.sum()
    if total <= 0:
        return float("nan")
    p = x[x > 0] / total
    return float(-(p * np.log(p)).sum() / np.log(base) + 0.0)


def lorenz(values: Array, points: int = 201) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lorenz curve: share of the total (y) held by the share x of positions with the smallest values.

    Returns
    -------
    x, y : float arrays of shape (points,)
        Both from 0 to 1.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    held = np.concatenate([[0.0], np.cumsum(ordered)]) / max(ordered.sum(), np.finfo(float).tiny)
    x = np.linspace(0, 1, points)
    return x, np.interp(x, np.linspace(0, 1, len(held)), held)


def jensen_shannon(p: Floats, q: Floats) -> NDArray[np.float64]:
    """Jensen-Shannon divergence in bits between the rows of two arrays of shares, shape (n, groups): 0 to 1."""
    middle = (p + q) / 2

    def divergence(a: Floats) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(a > 0, a * np.log2(a / middle), 0.0)
        return np.asarray(terms.sum(axis=1))

    return (divergence(p) + divergence(q)) / 2


def standard_error(values: Array) -> float:
    """Standard error of the mean of the values that are not NaN; NaN with fewer than two.

    This is the bootstrap's standard error of a mean in the limit of infinitely many resamples (n - 1 in place of n).
    """
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")


def bootstrap_errors(
    statistics: Callable[[NDArray[np.intp]], list[float]], n: int, n_resamples: int, rng: RNG = None
) -> NDArray[np.float64]:
    """Bootstrap standard errors of several statistics of n units.

    Parameters
    ----------
    statistics : callable
        Given the positions of a resample, an int array of shape (n,), returns the values of all statistics.
    n : int
        Number of units.
    n_resamples : int
        Number of resamples.
    rng : seed or generator

    Returns
    -------
    float array
        One standard error for each statistic.
    """
    generator = np.random.default_rng(rng)
    replicates = np.array([statistics(generator.integers(0, n, n)) for _ in range(n_resamples)], dtype=np.float64)
    return np.asarray(replicates.std(axis=0, ddof=1))


def pareto_front(gain: Array, cost: Array) -> NDArray[np.bool_]:
    """Return which points no other beats: none has at least the gain for at most the cost, and one of the two better.

    Parameters
    ----------
    gain, cost : float arrays of shape (n,)
        Higher gain and lower cost are better. Equal points are all on the front or all off it.
    """
    order = np.lexsort((-gain, cost))  # by cost, the highest gain of equal costs first
    front = np.zeros(len(gain), dtype=bool)
    best, best_cost = -np.inf, np.nan
    for i in order:
        if gain[i] > best or (gain[i] == best and cost[i] == best_cost):
            front[i] = True
            best, best_cost = gain[i], cost[i]
    return front


def hypervolume(gain: Array, cost: Array, reference: tuple[float, float]) -> float:
    """Area that points of two criteria dominate, exactly: of all places between them and a reference point.

    Parameters
    ----------
    gain, cost : float arrays of shape (n,)
        Higher gain and lower cost are better.
    reference : (gain, cost)
        The worst place that counts; a point that is not better in both adds nothing.
    """
    inside = (gain > reference[0]) & (cost < reference[1])
    gain, cost = np.asarray(gain)[inside], np.asarray(cost)[inside]
    order = np.argsort(cost)
    best = np.maximum.accumulate(gain[order] - reference[0])  # the height of the stairs from each cost on
    return float((best * np.diff(cost[order], append=reference[1])).sum())


def mean_interval(values: Array) -> tuple[float, float, float]:
    """Mean with the ends of its 95% interval by Student's t; the ends are NaN for fewer than two values."""
    from scipy.special import stdtrit

    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if len(x) < 2:
        return mean, float("nan"), float("nan")
    margin = float(stdtrit(len(x) - 1, 0.975) * x.std(ddof=1) / np.sqrt(len(x)))
    return mean, mean - margin, mean + margin
