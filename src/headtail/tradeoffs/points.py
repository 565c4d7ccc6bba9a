"""Measured settings, and figures with their intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from headtail._checks import nearest
from headtail._stats import degrees_of_freedom, student, two_sided
from headtail.exceptions import MissingColumnError
from headtail.typing import Floats

Setting: TypeAlias = float
Part: TypeAlias = Literal["validation", "test"]
Over: TypeAlias = Literal["users and seeds", "users", "seeds"]
Criterion: TypeAlias = Literal["fairest", "gain"]
Influences: TypeAlias = Mapping[tuple[str, Setting, int, Part], Mapping[str, Floats]]
Seconds: TypeAlias = Mapping[tuple[str, Setting, int], tuple[float, float]]

NO_ENDS = (float("nan"), float("nan"))
FEWEST_SEEDS = 3  # from which on their spread is a part of an interval


@dataclass(frozen=True)
class Point:
    """One setting of one method, measured on validation and on test.

    Attributes
    ----------
    method : str
    setting : float
        Where the dial stood.
    seed : int
    validation, test : dict of str to float
        Metrics by name with cut-off, such as ``ndcg@20``; validation's NDCG is at the scale of the test
        (:attr:`Split.scale <headtail.Split.scale>`).
    intervals : dict of str to (low, high)
        95% intervals of the test's metrics over users; empty if intervals were left out.
    """

    method: str
    setting: Setting
    seed: int
    validation: dict[str, float]
    test: dict[str, float]
    intervals: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval.

    Attributes
    ----------
    value : float
        The mean over seeds; NaN where a seed has no value, such as a level that its curve does not reach.
    low, high : float or None
        Ends of the interval; None without one.
    over : {"users and seeds", "users", "seeds"} or None
        What the interval accounts for: both the users and the training, the users alone (fewer than three seeds, or
        all the same), or the training alone (Student's t over the seeds).
    n_seeds : int
        Seeds behind the value.
    p : float or None
        Two-sided p-value of the hypothesis that it is 0, by the same Student's t as the interval.
    """

    value: float
    low: float | None
    high: float | None
    over: Over | None
    n_seeds: int
    p: float | None = None


NOTHING = Estimate(float("nan"), None, None, None, 0)


@dataclass(frozen=True)
class Reading:
    """A figure of one seed, with each user's influence on it and, where it has one, its own interval."""

    value: float
    influence: Floats | None = None
    ends: tuple[float, float] = NO_ENDS


def combined(value: float, parts: Iterable[tuple[float, Reading]]) -> Reading:
    """Return a figure that depends on others with these slopes (the delta method)."""
    moving = [(slope, part.influence) for slope, part in parts if slope]
    total: Floats | None = None
    for slope, influence in moving:
        if influence is None or (total is not None and total.shape != influence.shape):
            return Reading(value)
        total = slope * influence if total is None else total + slope * influence
    return Reading(value, total)


def change(value: Reading, start: Reading) -> Reading:
    """Return the change from `start` as a share of it, NaN where it is 0."""
    if not start.value:
        return Reading(float("nan"))
    ratio = value.value / start.value
    return combined(ratio - 1, [(1 / start.value, value), (-ratio / start.value, start)])


def paired_change(value: Reading, start: Reading) -> Estimate:
    """Return the change from `start` as a share of it, with its interval over the users that both speak of."""
    return summary([change(value, start)])


def summary(readings: list[Reading]) -> Estimate:
    """Average the readings of the seeds.

    The variance of the mean is that over users plus that over seeds, less their interaction, which is in both. Its
    degrees of freedom are Satterthwaite's.
    """
    n = len(readings)
    if not n:
        return NOTHING
    values = np.array([reading.value for reading in readings])
    mean = float(values.mean())
    if n == 1 and not np.isnan(readings[0].ends).any():
        return Estimate(mean, *readings[0].ends, "users", 1)
    by_users = combined(mean, [(1 / n, reading) for reading in readings]).influence
    of_users = 0.0 if by_users is None else float(by_users @ by_users)
    of_seeds = float(values.var(ddof=1)) / n if n >= FEWEST_SEEDS and np.ptp(values) else 0.0
    both = 0.0
    if by_users is not None and of_seeds:
        both = float(np.var([r.influence for r in readings if r.influence is not None], axis=0, ddof=1).sum()) / n
    variance = of_users + max(of_seeds - both, 0.0)
    if not (np.isfinite(mean) and variance > 0):
        return Estimate(mean, None, None, None, n)
    spread = of_seeds**2 / (n - 1) if of_seeds else 0.0
    if by_users is not None and of_users:
        spread += of_users**2 / degrees_of_freedom(by_users)
    df = variance**2 / spread
    margin = float(student(df) * variance**0.5)
    over: Over = "users and seeds" if of_users and of_seeds else "users" if of_users else "seeds"
    return Estimate(mean, mean - margin, mean + margin, over, n, two_sided(mean / variance**0.5, df))


def metric_of(point: Point, metric: str, part: Part) -> float:
    """Return a metric of a point; raise if it was not measured."""
    values = point.test if part == "test" else point.validation
    if metric not in values:
        raise MissingColumnError(f"{metric!r} was not measured. {nearest(metric, values)}")
    return values[metric]
