"""Metrics by sums over users: their values, and what their intervals need, from power sums of values by user."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import mul
from typing import Any

import narwhals as nw
import numpy as np

from headtail._stats import satterthwaite

_FAR = 100.0  # a mean this many variances squared off its center leaves 14 digits of the variance


@dataclass(frozen=True)
class Moments:
    """Mean and central moments of a value over the users that have one."""

    n: int
    mean: float
    second: float
    fourth: float

    def interval(self, n_users: int) -> tuple[float, float]:
        """Return the standard error of the mean, and its degrees of freedom."""
        if self.n < 2:
            return math.nan, math.nan
        error = math.sqrt(max(self.second, 0.0) / (self.n * (self.n - 1.0)))
        return error, float(satterthwaite(self.second, self.fourth, n_users))

    def jackknife(self, n_users: int) -> tuple[float, float]:
        """Return the same where the value is that of a figure without the user, or rises and falls with it."""
        if n_users < 2 or self.n < n_users:
            return math.nan, math.nan
        error = math.sqrt(max(self.second, 0.0) * (n_users - 1) / n_users)
        return error, float(satterthwaite(self.second, self.fourth, n_users))


@dataclass(frozen=True)
class Part:
    """A metric at one cut-off, as a value by user.

    `values` are expressions of the columns of the table of users, null for users that have none: one, or two whose
    means make a ratio. `centers` are near their means, so that no digits are lost. `figure` is the metric where it is
    known without users; None where it is the mean, or the ratio of the means less 1. `finish` makes the standard error
    and its degrees of freedom of the moments and the number of users.
    """

    name: str
    metric: Any
    k: int
    values: tuple[Any, ...]
    centers: tuple[float, ...]
    figure: float | None
    finish: Callable[[Moments, int], tuple[float, float]]


def power_sums(parts: Mapping[str, Part], users: Any, further: Mapping[str, Any]) -> Any:
    """Return the query of one row with the sums of all powers, up to the fourth, of values about their centers.

    Beside them the sums of the `further` values by user.
    """
    centered: dict[str, Any] = {}
    sums = []
    for key, part in parts.items():
        names = [f"{key} {i}" for i in range(len(part.values))]
        shifted = zip(names, part.values, part.centers, strict=True)
        centered |= {name: value - nw.lit(center) for name, value, center in shifted}
        sums.append(nw.col(names[0]).count().alias(f"{key} n"))
        for a, b in _powers(len(names)):
            product = reduce(mul, map(nw.col, [names[0]] * a + [names[-1]] * b))
            sums.append(product.sum().alias(f"{key} {a} {b}"))
    return users.with_columns(**centered, **further).select(*sums, *(nw.col(name).sum() for name in further))


def moments_of(key: str, part: Part, row: Mapping[str, Any]) -> tuple[Moments, tuple[float, ...]]:
    """Return the moments of a part's value, or of the first less the ratio times the second; and the means of all."""
    n = int(row[f"{key} n"])
    if not n:
        return Moments(0, math.nan, math.nan, math.nan), part.centers
    two = len(part.values) == 2
    total = {(a, b): float(row[f"{key} {a} {b}"]) for a, b in _powers(1 + two)} | {(0, 0): float(n)}
    means = tuple(c + total[p] / n for c, p in zip(part.centers, [(1, 0), (0, 1)], strict=False))
    ratio = means[0] / means[1] if two else 0.0
    raw = np.array([
        sum(math.comb(p, b) * (-ratio) ** b * total[p - b, b] for b in range(p + 1 if two else 1)) for p in range(5)
    ]) / n  # fmt: skip
    _, m, s, t, f = raw.tolist()
    second, fourth = s - m * m, f - 4 * m * t + 6 * m * m * s - 3 * m**4  # central moments
    if two:  # what a mean owes to each user, in units of the second mean
        return Moments(n, ratio - 1, second * n / means[1] ** 2, fourth * n / means[1] ** 4), means
    return Moments(n, means[0], second * n, fourth * n), means


def lost(moments: Moments, part: Part, means: tuple[float, ...]) -> bool:
    """Whether the centers were so far from the means that digits of the variance are lost."""
    if not moments.n:
        return False
    spread = max(moments.second, 0.0) / moments.n * (means[-1] ** 2 if len(means) == 2 else 1)
    off = max(abs(mean - center) for mean, center in zip(means, part.centers, strict=True))
    return off > 0 and off**2 > _FAR * spread


def _powers(n_values: int) -> list[tuple[int, int]]:
    return [(p - b, b) for p in range(1, 5) for b in range(p + 1 if n_values == 2 else 1)]
