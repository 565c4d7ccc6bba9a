"""Values of metrics with their intervals over users."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from headtail._checks import generator
from headtail._factors import numbers
from headtail._stats import (
    degrees_of_freedom,
    jackknife_influence,
    mean_influence,
    plain_interval,
    score_interval,
    student,
)
from headtail.exceptions import InvalidInputError
from headtail.metrics.facts import Facts, facts_of
from headtail.metrics.results import ALL_USERS, Measurement
from headtail.metrics.topk import Metric, TopK
from headtail.typing import RNG, Floats

MOST_GROUPS = 25  # more of them give no truer intervals (benchmarks/interval_coverage.py)


def measure(
    top: TopK, metrics: Mapping[str, Metric], segments: Sequence[tuple[str, NDArray[np.intp]]], n_groups: int, rng: RNG
) -> tuple[list[Measurement], dict[str, Floats], dict[str, Floats]]:
    """Return all metrics at one cut-off, the per-user values of those that have them, and the others' influences."""
    values = {name: _evaluate(top, name, metric) for name, metric in metrics.items()}
    facts = {name: facts_of(metric) for name, metric in metrics.items()}
    mine = {name: found for name, found in values.items() if found.ndim}
    others = {name: metric for name, metric in metrics.items() if name not in mine}
    groups = [(ALL_USERS, np.arange(len(top))), *segments]
    means = {name: [_mean(found), *_means(found, [rows for _, rows in segments])] for name, found in mine.items()}
    influences: dict[str, Floats] = {}
    measurements = []
    for g, (label, rows) in enumerate(groups):
        some = top if label == ALL_USERS or not others else top.take(rows)
        for name, metric in metrics.items():
            error, df, n = np.nan, np.nan, float(len(rows))
            if name in mine:  # what a user's own list gives is the same in every group
                value, error, df, n = means[name][g]
            else:
                value = float(values[name] if some is top else _evaluate(some, name, metric))
                if n_groups:
                    influence, df = _influence(some, metric, facts[name], n_groups, rng)
                    error = float(np.linalg.norm(influence))
                    if some is top:
                        influences[name] = influence.astype(np.float32)
            error, df = (error, df) if n_groups else (np.nan, np.nan)
            measurements.append(
                measurement_of(name, facts[name], top.k, label, value, int(n), error, df, per_user=name in mine)
            )
    return measurements, mine, influences


def _mean(values: Floats) -> tuple[float, ...]:
    """Return the mean of the values that are not NaN, its error, its degrees of freedom, and how many they are."""
    unknown = np.isnan(values)
    known = values[~unknown] if unknown.any() else values
    influence = mean_influence(known)
    mean = float(known.mean()) if known.size else np.nan
    return mean, float(np.linalg.norm(influence)), degrees_of_freedom(influence, len(values)), len(known)


def _means(values: Floats, groups: Sequence[NDArray[np.intp]]) -> list[tuple[float, ...]]:
    """Return what :func:`_mean` does of the values of each group, for thousands of groups at once."""
    if not groups:
        return []
    sizes = np.array([len(rows) for rows in groups])
    starts, of = np.cumsum(sizes) - sizes, np.repeat(np.arange(len(sizes)), sizes)
    found = values[np.concatenate(groups)]
    known = ~np.isnan(found)
    n = np.add.reduceat(known.astype(np.float64), starts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.add.reduceat(np.where(known, found, 0.0), starts) / n
        squares = np.where(known, found - mean[of], 0.0) ** 2
        total, fourth = np.add.reduceat(squares, starts), np.add.reduceat(squares * squares, starts)
        error = np.sqrt(total / (n * (n - 1)))
        spread = fourth / total**2 - 1 / sizes
        df = np.where(spread > 0, np.minimum(sizes - 1.0, 2 / spread), sizes - 1.0)
    df[~((total > 0) & (n > 1))] = np.nan
    return list(zip(*(figures.tolist() for figures in (mean, error, df, n)), strict=True))


def _evaluate(top: TopK, name: str, metric: Metric) -> Floats:
    """Return the metric of these lists: one number, or one for each of them."""
    found = numbers(metric(top))
    if found.dtype.kind not in "biuf":
        raise InvalidInputError(f"The metric {name!r} returned {found.dtype}. Return one number, or one for each user.")
    found = found.astype(np.float64, copy=False)
    if found.shape not in ((), (len(top),)):
        raise InvalidInputError(
            f"The metric {name!r} returned an array of shape {found.shape}. Return one number, or one for each of the "
            f"{len(top)} users."
        )
    return found


def _influence(top: TopK, metric: Metric, facts: Facts, n_groups: int, rng: RNG) -> tuple[NDArray[np.float64], float]:
    """Return what each user adds to the error of a metric that is one number, and that error's degrees of freedom."""
    if facts.influence is None:
        return _grouped_influence(top, metric, min(n_groups, MOST_GROUPS, len(top)), rng)
    bound = metric if isinstance(metric, partial) else partial(metric)
    influence = np.asarray(facts.influence(top, *bound.args, **bound.keywords), dtype=np.float64)
    return influence, degrees_of_freedom(influence, len(top))


def _grouped_influence(top: TopK, metric: Metric, n_groups: int, rng: RNG) -> tuple[NDArray[np.float64], float]:
    """Evaluate a metric anew without each of some groups of users that are drawn at random."""
    if n_groups < 2:
        return np.full(len(top), np.nan), np.nan
    group = generator(rng).permutation(len(top)) % n_groups
    without = [float(metric(top.take(np.flatnonzero(group != g)))) for g in range(n_groups)]
    # The users of a group share its influence such that theirs have the same sum of squares.
    return (jackknife_influence(np.array(without)) / np.sqrt(np.bincount(group)))[group], n_groups - 1.0


def measurement_of(
    name: str, facts: Facts, k: int, label: str, value: float, n: int, error: float, df: float, *, per_user: bool
) -> Measurement:
    """Return a mean over `n` users that have a value, or the one number that is there, with its interval."""
    ends = facts.low, facts.high
    if per_user:
        # Without an upper end a few users may decide, as where all others have one and the same list.
        low, high = score_interval(value, error, student(n - 1 if np.isfinite(facts.high) else df), *ends, n=n)
    elif np.isfinite(facts.high):
        low, high = score_interval(value, error, student(df), *ends)
    else:
        low, high = plain_interval(value, error, student(df), facts.low)
    shown = n >= facts.fewest and np.isfinite(low) and np.isfinite(high)
    return Measurement(name, k, label, value, low if shown else None, high if shown else None, n)
