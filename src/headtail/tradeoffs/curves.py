"""Whole curves: what a method reaches at a given level, and how much of the plane it dominates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Literal, TypeAlias

import numpy as np

from headtail._checks import checked, nearest, number
from headtail._stats import concave_front, hypervolume, pareto_front
from headtail.exceptions import InvalidInputError
from headtail.tradeoffs.points import Estimate, Part, Point, Reading, change, combined, metric_of, summary
from headtail.tradeoffs.settings import Front, Settings

Methods: TypeAlias = str | Sequence[str]
"""A method, or several that are one family."""
Read: TypeAlias = Callable[[tuple[str, ...], int], Reading]
"""From the methods of a family and a seed to a figure."""


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Curves(Settings):
    """The curve of each method through its settings; what a :class:`~headtail.tradeoffs.Frontier` says of it."""

    def accuracy_at(
        self,
        method: Methods,
        unfairness: float,
        *,
        relative: bool = False,
        against: Methods | None = None,
        part: Part = "validation",
    ) -> Estimate:
        """Return the accuracy that a method reaches at a level of unfairness.

        Each seed has its own curve on the test: straight lines through settings of the method. Points between two
        settings are attainable: serve a random part of the users with either. So the settings are those that neither
        another one nor such a mixture of two others beats on validation, as means over seeds. The interval holds the
        chance in both metrics.

        Parameters
        ----------
        method : str, or several
            Several are one family: its curve runs through settings of all of them.
        unfairness : float
            Level of the metric of unfairness. The value is NaN if a seed does not reach it.
        relative : bool, default False
            Give the level and the result as changes from :attr:`reference` in the same seed: the level -0.1 means an
            unfairness 10% lower, the result -0.03 an accuracy 3% lower.
        against : str, or several, optional
            Another method, whose accuracy at that level is subtracted, user by user and seed by seed, of the seeds that
            both have.
        part : {"validation", "test"}, default "validation"
            Where the settings of the curve are picked. On test the curve flatters methods with many settings.
        """
        level = number("unfairness", unfairness)
        return self._compared(self._along(self.unfairness, self.accuracy, level, relative, part), method, against)

    def unfairness_at(
        self,
        method: Methods,
        accuracy: float,
        *,
        relative: bool = False,
        against: Methods | None = None,
        part: Part = "validation",
    ) -> Estimate:
        """Return the least unfairness that a method reaches at a level of accuracy.

        The curve and the other parameters are as in :meth:`accuracy_at`. Where accuracy rises and falls along
        the curve, the least uneven place with that accuracy counts.

        The interval holds the places of the curve whose accuracy may be at the level (Fieller's method). Differences
        from another method have none.

        Parameters
        ----------
        accuracy : float
            Level of the metric of accuracy. The value is NaN if a seed does not reach it.
        """
        level = number("accuracy", accuracy)
        found = self._compared(self._along(self.accuracy, self.unfairness, level, relative, part), method, against)
        if found.low is None or against is not None:
            return replace(found, low=None, high=None, over=None, p=None)
        accuracy_of = cache(partial(self.accuracy_at, method, relative=relative, part=part))
        places = [self.mean(name, s, self.unfairness) for name in _family(method) for s in self.settings(name)]
        if relative:
            unit = self.mean(*self.reference, self.unfairness)
            places = [place / unit - 1 for place in places]
        places = sorted(place for place in places if np.isfinite(place))
        low = _least(places, lambda at: _end(accuracy_of(at), "high") >= level)
        high = _least(places, lambda at: _end(accuracy_of(at), "low") >= level)
        return replace(found, low=min(low, found.value), high=max(high, found.value), p=None)

    def hypervolume(
        self,
        method: Methods,
        reference: tuple[float, float] = (0.0, 1.0),
        *,
        against: Methods | None = None,
        part: Part = "validation",
    ) -> Estimate:
        """Return how much of the plane of the two metrics a method's settings dominate on test; more is better.

        The settings are those that no other setting of the method beats on validation, as means over its seeds. Both
        metrics are divided by those of :attr:`reference` in the same seed. With the default reference point, it is the
        share of the reference's accuracy that the method keeps, averaged over all levels of unfairness from 0 to the
        reference's: at each level that of the best setting at most as uneven, or 0. Without any correction it is 0.

        Source: Zitzler and Thiele, Multiobjective optimization using evolutionary algorithms, PPSN 1998 (exact in two
        metrics).

        Parameters
        ----------
        method : str, or several
        reference : (accuracy, unfairness), default (0, 1)
            The worst point that counts, as shares of :attr:`reference`. With (0.9, 1) only settings that keep 90% of
            the accuracy count.
        against : str, or several, optional
            Another method, whose figure is subtracted, user by user and seed by seed.
        part : {"validation", "test"}, default "validation"
            Where the settings are picked.
        """
        worst = number("reference", reference[0]), number("reference", reference[1], low=0, low_open=True)

        def read(names: tuple[str, ...], seed: int) -> Reading:
            units = {metric: self._unit(metric, seed) for metric in (self.accuracy, self.unfairness)}
            points = self._best(names, seed, part, pareto_front)
            places = [
                tuple(change(self._reading(point, metric), unit) for metric, unit in units.items()) for point in points
            ]
            gain, cost = (np.array([1 + place[i].value for place in places]) for i in (0, 1))
            inside = [int(i) for i in np.argsort(cost, kind="stable") if gain[i] > worst[0] and cost[i] < worst[1]]
            if not inside:
                return Reading(0.0)
            slopes, best = [], -1
            for i, after in zip(inside, [*cost[inside[1:]], worst[1]], strict=True):
                height = 0.0 if best < 0 else gain[best] - worst[0]
                best = i if best < 0 or gain[i] > gain[best] else best
                slopes += [(after - cost[i], places[best][0]), (height - (gain[best] - worst[0]), places[i][1])]
            return combined(hypervolume(gain, cost, worst), slopes)

        return self._compared(read, method, against)

    def _best(self, names: tuple[str, ...], seed: int, part: Part, front: Front) -> list[Point]:
        """Return one seed's points with both metrics on test, of settings on the front of these methods."""
        key = names, seed, part, front
        if key in self._fronts:
            return self._fronts[key]
        traded = (self.accuracy, self.unfairness)
        points = [
            point
            for name in names
            for point in self._points_of(name)
            if point.seed == seed and np.isfinite([metric_of(point, each, "test") for each in traded]).all()
        ]
        on_front = self._on_front([(point.method, point.setting) for point in points], part, front)
        found = [point for point, is_on in zip(points, on_front, strict=True) if is_on]
        return self._fronts.setdefault(key, found)

    @cached_property
    def _fronts(self) -> dict[tuple[tuple[str, ...], int, Part, Front], list[Point]]:
        return {}

    def _unit(self, metric: str, seed: int) -> Reading:
        """Return a metric of the reference in one seed, or over all of its seeds if it lacks that one."""
        point = self._index.get((*self.reference, seed))
        return Reading(self.mean(*self.reference, metric)) if point is None else self._reading(point, metric)

    def _along(self, given: str, metric: str, at: float, relative: bool, part: Part) -> Read:
        """Return a function that reads one metric off a seed's curve where the other one is `at`."""

        def read(names: tuple[str, ...], seed: int) -> Reading:
            best = self._best(names, seed, part, concave_front)
            if not relative:
                return self._between(best, given, metric, Reading(at))
            unit = self._unit(given, seed)
            level = combined((1 + at) * unit.value, [(1 + at, unit)])
            return change(self._between(best, given, metric, level), self._unit(metric, seed))

        return read

    def _between(self, points: list[Point], given: str, metric: str, level: Reading) -> Reading:
        """Interpolate one metric between points, the least uneven first, where another one is at a level.

        If the other one is accuracy, that is where the curve first reaches it.
        """
        points = sorted(points, key=lambda point: point.test[self.unfairness])
        x, y = ([self._reading(point, each) for point in points] for each in (given, metric))
        places = np.array([reading.value for reading in x])
        if not points or np.isnan(level.value):
            return Reading(float("nan"))
        up_to = np.flatnonzero(places >= level.value)
        if not len(up_to):
            return y[-1] if given == self.unfairness else Reading(float("nan"))
        right = int(up_to[0])
        if right == 0 and places[0] > level.value:
            return Reading(float("nan")) if given == self.unfairness else y[0]
        if right == 0:  # on the first point, the line to the second has the slope
            right = min(1, len(points) - 1)
        left = right - 1
        width = places[right] - places[left]
        if not width:
            return y[right]
        share = (level.value - places[left]) / width
        slope = (y[right].value - y[left].value) / width
        return combined(
            (1 - share) * y[left].value + share * y[right].value,
            [
                (1 - share, y[left]),
                (share, y[right]),
                (-slope * (1 - share), x[left]),
                (-slope * share, x[right]),
                *([] if level.influence is None else [(slope, level)]),
            ],
        )

    def _compared(self, read: Read, method: Methods, against: Methods | None) -> Estimate:
        """Summarize the readings of each seed, less those of other methods in the same seed."""
        family, others = _family(method), _family(against)
        if not family:
            raise InvalidInputError(f"method={method!r} names none. {nearest('', self.methods)}")
        seeds = [self.seeds(name) for name in (*family, *others)]
        shared = [seed for seed in seeds[0] if all(seed in each for each in seeds)]
        if not shared:
            had = ", ".join(f"{name!r} {each}" for name, each in zip((*family, *others), seeds, strict=True))
            raise InvalidInputError(
                f"No seed is that of all: {had}. Methods are compared seed by seed; sweep all with the same seeds."
            )
        if not others:
            return summary([read(family, seed) for seed in shared])
        pairs = [(read(family, seed), read(others, seed)) for seed in shared]
        return summary([combined(one.value - other.value, [(1, one), (-1, other)]) for one, other in pairs])


def _family(methods: Methods | None) -> tuple[str, ...]:
    return (methods,) if isinstance(methods, str) else () if methods is None else tuple(methods)


def _end(found: Estimate, name: Literal["low", "high"]) -> float:
    """Return an end of an interval, or the value where there is none."""
    end: float | None = getattr(found, name)
    return found.value if end is None else end


def _least(places: Sequence[float], holds: Callable[[float], bool]) -> float:
    """Return the least number at which a condition holds, by bisection between two of the places."""
    right = next((i for i, place in enumerate(places) if holds(place)), len(places) - 1)
    if right == 0:
        return places[0]
    low, high = places[right - 1], places[right]
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
