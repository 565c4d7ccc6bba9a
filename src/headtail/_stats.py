"""Statistics on plain arrays."""

from typing import Any

import numpy as np

from headtail._checks import checked
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Floats, Mask

Z95 = 1.959963984540054  # standard normal quantile of a two-sided 95% interval
_ROUNDING = 1e-12  # an error below this share of the value is none


def gini(values: Array) -> float:
    """Gini coefficient of non-negative values: 0 when all are equal, 1 - 1/n when one holds all, NaN for all 0.

    Sum over i of (2 i - n - 1) x_i / (n sum x), x ascending and i from 1.
    """
    x = np.asarray(values, dtype=np.float64)
    total, n = x.sum(), len(x)
    if total <= 0:
        return float("nan")
    x = np.sort(x[x > 0])  # the zeros come first and add nothing
    return float(np.dot(2 * np.arange(n - len(x) + 1, n + 1) - n - 1, x) / (n * total))


def entropy(values: Array, base: float = np.e) -> float:
    """Shannon entropy of non-negative values taken as shares; NaN if all are 0."""
    x = np.asarray(values, dtype=np.float64)
    total = x.sum()
    if total <= 0:
        return float("nan")
    p = x / total
    p = p[p > 0]
    return float(-(p * np.log(p)).sum() / np.log(base) + 0.0)


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """Jensen-Shannon divergence in bits between the rows of two arrays of shares, shape (n, groups): 0 to 1."""
    middle = (p + q) / 2

    def divergence(a: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(a > 0, a * np.log2(a / middle), 0.0)
        return np.asarray(terms.sum(axis=1))

    return (divergence(p) + divergence(q)) / 2


def mean_influence(values: Floats) -> Floats:
    """Each unit's contribution to the error of the mean of the values that are not NaN.

    The root of the sum of squares is the standard error of the mean, and that of the differences of two such arrays
    over the same units is the paired standard error of the difference.
    """
    unknown = np.isnan(values)
    n = len(values) - int(np.count_nonzero(unknown))
    if n < 2:
        return np.full(len(values), np.nan)
    if n == len(values):
        return np.asarray((values - values.mean()) / np.sqrt(n * (n - 1.0)))
    return np.where(unknown, 0.0, (values - values[~unknown].mean()) / np.sqrt(n * (n - 1.0)))


@checked
def jackknife_influence(without: Floats) -> Floats:
    """Each of n units' contribution to the error of a statistic, from its values without each unit: the jackknife.

    The same as :func:`mean_influence` where the statistic is a mean.

    Source: Efron and Stein, "The jackknife estimate of variance", Annals of Statistics 1981.
    """
    if without.ndim != 1:
        raise InvalidInputError(f"without has shape {without.shape}; give the statistic without each user, (U,).")
    n = len(without)
    if n < 2:
        return np.full(n, np.nan)
    with np.errstate(invalid="ignore"):  # of an infinite statistic it is undefined
        return np.asarray((without.mean() - without) * np.sqrt((n - 1.0) / n))


def degrees_of_freedom(influence: Floats, n: int | None = None) -> float:
    """Degrees of freedom of the variance that influences of n units sum up to, after Satterthwaite.

    About n - 1 for values of a normal distribution, and about twice as many as there are units that matter where few
    do. Units that are left out have none.
    """
    squares = influence * influence
    return float(satterthwaite(squares.sum(), squares @ squares, n or len(influence)))


def satterthwaite(total: Array | float, fourth: Array | float, n: Array | int) -> Floats:
    """Return :func:`degrees_of_freedom` from sums of the squares and of the fourth powers of n influences."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # The variance of the estimated variance, in shares of its square, is (kurtosis - 1) / n.
        spread = np.asarray(fourth / np.square(total) - 1 / np.asarray(n, dtype=np.float64))
        df = np.where(spread > 0, np.minimum(n - 1.0, 2 / spread), n - 1.0)
    return np.where((np.asarray(n) > 1) & (np.asarray(total) > 0), df, np.nan)[()]  # nor if one is NaN


def student(df: Array | float) -> Any:
    """Quantile of a two-sided 95% interval by Student's t, one for each number; NaN below one degree of freedom."""
    from scipy.special import stdtrit

    enough = np.asarray(df) >= 1
    return np.where(enough, stdtrit(np.where(enough, df, 1.0), 0.975), np.nan)[()]


def two_sided(t: float, df: float) -> float:
    """Chance that Student's t lies as far from 0 as this one; NaN below one degree of freedom."""
    from scipy.special import stdtr

    return float(2 * stdtr(df, -abs(t))) if df >= 1 else float("nan")


def holm(p: Floats) -> Floats:
    """P-values of several tests with Holm's correction for their number; NaN is no test.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 1979.
    """
    adjusted, order = np.full(len(p), np.nan), np.argsort(p)  # NaN last
    order = order[: int((~np.isnan(p)).sum())]
    adjusted[order] = np.maximum.accumulate(np.minimum(p[order] * np.arange(len(order), 0, -1), 1.0))
    return adjusted


def plain_interval(value: Any, error: Any, quantile: Any, low: float = -np.inf) -> tuple[Any, Any]:
    """Value plus and minus `quantile` errors, cut where the range begins; NaN where the error is 0 but for rounding.

    Of numbers, or of arrays of one shape.
    """
    margin = quantile * error
    margin = np.where(margin > _ROUNDING * np.abs(value), margin, np.nan)[()]
    return np.maximum(value - margin, low), value + margin


def influence_interval(value: float, influence: Floats) -> tuple[float, float]:
    """Interval of a figure from each unit's influence on it, by Student's t."""
    return plain_interval(value, float(np.linalg.norm(influence)), student(degrees_of_freedom(influence)))


def score_interval(
    value: Any, error: Any, quantile: Any, low: float = -np.inf, high: float = np.inf, n: Any = 0
) -> tuple[Any, Any]:
    """Score interval of a figure whose variance falls to 0 at the ends of its range, as that of a share does.

    It holds the true values t at most `quantile` standard errors away, where the standard error at t is `error` scaled
    as sqrt(t - low), times sqrt(high - t) if there is an upper end. For a share of n draws this is Wilson's interval;
    without ends of the range it is value +- quantile * error. At an end of a range that has two it is that of `n` draws
    of which none or all are hits, such as 0 to about 4 / n; elsewhere NaN where the error is 0, but for rounding. Takes
    numbers, or arrays of one shape.
    """
    if not np.isfinite(low):
        return plain_interval(value, error, quantile)
    closed = np.isfinite(high)
    width = high - low if closed else 1.0
    p = (value - low) / width
    inside = (error > _ROUNDING * np.abs(value)) & (quantile > 0) & (p > 0) & ((p < 1) | (not closed))
    safe = np.where(inside, p, 0.5)
    # (t - p)^2 = c t (1 - t), or c t without a highest value.
    c = (quantile * error / width) ** 2 / (safe * (1 - safe) if closed else safe)
    curve = c if closed else 0.0
    middle, root = (safe + c / 2) / (1 + curve), np.sqrt(c * c / 4 + c * safe - curve * safe * safe) / (1 + curve)
    ends = [low + width * np.where(inside, end, np.nan) for end in (middle - root, middle + root)]
    if closed:
        reach = width * quantile**2 / (n + quantile**2)
        none, all_of_them = (p == 0) & (np.asarray(n) > 0), (p == 1) & (np.asarray(n) > 0)
        ends[0] = np.where(none, low, np.where(all_of_them, high - reach, ends[0]))
        ends[1] = np.where(none, low + reach, np.where(all_of_them, high, ends[1]))
    return ends[0][()], ends[1][()]


def pareto_front(gain: Array, cost: Array) -> Mask:
    """Return which points are on the Pareto front of gain and cost; equal points are all on it or all off it."""
    order = np.lexsort((-gain, cost))  # by cost, the highest gain of equal costs first
    front = np.zeros(len(gain), dtype=bool)
    best, best_cost = -np.inf, np.nan
    for i in order:
        if gain[i] > best or (gain[i] == best and cost[i] == best_cost):
            front[i] = True
            best, best_cost = gain[i], cost[i]
    return front


def concave_front(gain: Array, cost: Array) -> Mask:
    """Return which points neither another point nor a mixture of two others beats: those of no bend inwards."""
    kept: list[int] = []
    on_front = pareto_front(gain, cost)
    for i in np.flatnonzero(on_front)[np.unique(cost[on_front], return_index=True)[1]]:
        while len(kept) > 1 and _below(gain[[kept[-2], kept[-1], i]], cost[[kept[-2], kept[-1], i]]):
            kept.pop()
        kept.append(int(i))
    return on_front & np.isin(cost, cost[kept])  # on the front equal costs are equal points


def _below(gain: Array, cost: Array) -> bool:
    """Whether the second of three points, in the order of their costs, lies below the line between the others."""
    (rise, whole), (run, width) = gain[1:] - gain[0], cost[1:] - cost[0]
    return bool(rise * width < whole * run)


def hypervolume(gain: Array, cost: Array, reference: tuple[float, float]) -> float:
    """Exact area between points of two criteria and a reference (gain, cost).

    Higher gain and lower cost are better; a point that is not better than the reference in both adds nothing.
    """
    inside = (gain > reference[0]) & (cost < reference[1])
    gain, cost = np.asarray(gain)[inside], np.asarray(cost)[inside]
    order = np.argsort(cost)
    best = np.maximum.accumulate(gain[order] - reference[0])  # height of the staircase from each cost on
    return float((best * np.diff(cost[order], append=reference[1])).sum())
