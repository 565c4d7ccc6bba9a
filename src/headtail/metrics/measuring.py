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
from headtail.metrics.facts import facts_of
from headtail.metrics.results import ALL_USERS, Measurement
from headtail.metrics.topk import Metric, TopK
from headtail.typing import RNG, Floats

MOST_GROUPS = 25  # more of them give no truer intervals (benchmarks/interval_coverage.py)


def measure(
    top: TopK, metrics: Mapping[str, Metric], segments: Sequence[tuple[str, NDArray[np.intp]]], n_groups: int, rng: RNG
) -> tuple[list[Measurement], dict[str, Floats], dict[str, Floats]]:
    """Return all metrics at one cut-off, the per-user values of those that have them, and the others' influences."""
    values = {name: _evaluate(top, name, metric) for name, metric in metrics.items()}
    influences: dict[str, Floats] = {}
    measurements = []
    for label, rows in [(ALL_USERS, None), *segments]:
        some = top if rows is None else top.take(rows)
        for name, metric in metrics.items():
            # What a user's own list gives is the same in every group.
            mine = (
                values[name]
                if rows is None
                else values[name][rows]
                if values[name].ndim
                else _evaluate(some, name, metric)
            )
            error, df = np.nan, np.nan
            unknown = np.isnan(mine)
            known = mine[~unknown] if mine.ndim and unknown.any() else mine
            if n_groups:
                influence, df = _influence(some, metric, known, n_groups, rng)
                error = float(np.linalg.norm(influence))
                if rows is None and not mine.ndim:
                    influences[name] = influence.astype(np.float32)
            measurements.append(measurement_of(name, metric, some, label, known, error, df))
    return measurements, {name: found for name, found in values.items() if found.ndim}, influences


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


def _influence(top: TopK, metric: Metric, values: Floats, n_groups: int, rng: RNG) -> tuple[NDArray[np.float64], float]:
    """Return what each user adds to the error of a metric, and how many degrees of freedom that error has."""
    if values.ndim:
        influence = mean_influence(values)
    elif (own := facts_of(metric).influence) is not None:
        bound = metric if isinstance(metric, partial) else partial(metric)
        influence = np.asarray(own(top, *bound.args, **bound.keywords), dtype=np.float64)
    else:
        return _grouped_influence(top, metric, min(n_groups, MOST_GROUPS, len(top)), rng)
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
    name: str, metric: Metric, top: TopK, label: str, values: Floats, error: float, df: float
) -> Measurement:
    """Return the mean of the values of the users that have one, or the one number that is there, with its interval."""
    value, n = (float(values.mean()) if values.size else np.nan), (len(values) if values.ndim else len(top))
    return with_interval(name, metric, top.k, label, value, n, error, df, is_mean=bool(values.ndim))


def with_interval(
    name: str, metric: Metric, k: int, label: str, value: float, n: int, error: float, df: float, *, is_mean: bool
) -> Measurement:
    """Return the value of a metric, a mean over n users or one number of them, with its interval."""
    facts = facts_of(metric)
    ends = facts.low, facts.high
    if is_mean:
        # Without an upper end a few users may decide, as where all others have one and the same list.
        low, high = score_interval(value, error, student(n - 1 if np.isfinite(facts.high) else df), *ends, n=n)
    elif np.isfinite(facts.high):
        low, high = score_interval(value, error, student(df), *ends)
    else:
        low, high = plain_interval(value, error, student(df), facts.low)
    shown = n >= facts.fewest and np.isfinite(low) and np.isfinite(high)
    return Measurement(name, k, label, value, low if shown else None, high if shown else None, n)
