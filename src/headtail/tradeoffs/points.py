"""What is measured of one setting, and figures with their intervals."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from headtail._checks import nearest
from headtail._stats import mean_interval
from headtail.exceptions import MissingColumnError

Setting: TypeAlias = float | int | str
Part: TypeAlias = Literal["validation", "test"]
Rule: TypeAlias = Literal["fairest", "gain"]
Ends: TypeAlias = tuple[float, float, float]  # a value and its interval's ends, NaN where there is none

NO_ENDS = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Point:
    """One setting of one method, measured on validation and on test.

    Attributes
    ----------
    method : str
    setting : number or str
        Where the dial stood.
    seed : int
    validation, test : dict of str to float
        Metrics by name with cut-off, such as ``ndcg@20``.
    intervals : dict of str to (low, high)
        95% intervals of the test's metrics over users; empty if the bootstrap was left out.
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
        Ends of the interval; None without one, as for what is the same in all seeds.
    over : {"seeds", "users"} or None
        What the interval speaks of. "seeds": how far another training could be off, by Student's t over the seeds, on
        the same split. "users": how far other users could be, of one training, by the audit's bootstrap.
    n_seeds : int
        Seeds behind the value.
    """

    value: float
    low: float | None
    high: float | None
    over: Literal["seeds", "users"] | None
    n_seeds: int


NOTHING = Estimate(float("nan"), None, None, None, 0)


def summary(ends: list[Ends]) -> Estimate:
    """Join the values of the seeds; that of one seed keeps its own interval, which is over users."""
    if not ends:
        return NOTHING
    values = np.array([value for value, *_ in ends])
    value, low, high = mean_interval(values)
    over: Literal["seeds", "users"] = "seeds"
    if len(ends) == 1:
        (_, low, high), over = ends[0], "users"
    if np.isnan([low, high]).any() or (len(ends) > 1 and np.ptp(values) == 0):  # what no seed changes has no spread
        return Estimate(value, None, None, None, len(ends))
    return Estimate(value, low, high, over, len(ends))


def metric_of(point: Point, metric: str, part: Part) -> float:
    """Return a metric of a point, or say which ones were measured."""
    values = point.test if part == "test" else point.validation
    if metric not in values:
        raise MissingColumnError(f"{metric!r} was not measured. {nearest(metric, values)}")
    return values[metric]


def change(value: float, start: float) -> float:
    """Return the change from `start` as a share of it, NaN where it is 0."""
    return value / start - 1 if start else float("nan")
