"""What accuracy each setting of each method pays for how even an exposure."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headtail._checks import choice, nearest, number
from headtail._stats import hypervolume, pareto_front
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.reports import Chart, Report, Result, Table
from headtail.tradeoffs.points import (
    NO_ENDS,
    Estimate,
    Influences,
    Part,
    Point,
    Reading,
    Rule,
    Setting,
    change,
    combined,
    metric_of,
    summary,
)
from headtail.typing import Array


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Result):
    """What accuracy each setting of each method pays for how even an exposure; made by :func:`sweep`.

    Settings are chosen on validation (:meth:`choose`); every figure is one of the test. Figures are means over seeds.
    Their intervals hold both sources of chance, users and seeds, with three seeds or more; with fewer that of the users
    alone. Differences are taken user by user and seed by seed.

    Attributes
    ----------
    points : tuple of Point
        In the order of the grids; the first setting of a method is its reference, such as no correction.
    accuracy : str
        Metric of which more is better, with its cut-off.
    unfairness : str
        Metric of which less is better, with its cut-off.
    influences : mapping from (method, setting, seed, part) to {metric: float array of shape (n_users,)}
        What each user adds to the error of a metric; without it intervals are those of the points or over seeds.

    Examples
    --------
    >>> def point(method, setting, ndcg, gini):
    ...     measured = {"ndcg@20": ndcg, "gini@20": gini}
    ...     return Point(method, setting, 0, measured, measured, {})
    >>> points = point("tilt", 0.0, 0.30, 0.90), point("tilt", 0.1, 0.29, 0.80), point("tilt", 0.2, 0.25, 0.70)
    >>> frontier = Frontier(points, "ndcg@20", "gini@20")
    >>> frontier.choose("tilt", max_loss=0.05)
    0.1
    >>> round(frontier.accuracy_at("tilt", unfairness=0.75).value, 3)
    0.27
    """

    points: tuple[Point, ...]
    accuracy: str
    unfairness: str
    influences: Influences = field(default_factory=dict)

    def __add__(self, other: "Frontier") -> "Frontier":
        """Join the points of two sweeps of the same metrics."""
        if (self.accuracy, self.unfairness) != (other.accuracy, other.unfairness):
            raise InvalidInputError(
                f"The sweeps measure {self.accuracy}, {self.unfairness} and {other.accuracy}, {other.unfairness}. "
                f"Join sweeps of the same metrics and cut-offs."
            )
        if twice := self._index.keys() & other._index.keys():
            method, setting, seed = min(twice, key=str)
            raise InvalidInputError(
                f"Both sweeps hold method {method!r} at setting {setting!r} with seed {seed}. Give one of them another "
                f"name, or leave the method out with without()."
            )
        return replace(self, points=self.points + other.points, influences={**self.influences, **other.influences})

    # -- what is there ---------------------------------------------------------------------------------------------

    @cached_property
    def _index(self) -> dict[tuple[str, Setting, int], Point]:
        return {(point.method, point.setting, point.seed): point for point in self.points}

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in order."""
        return tuple(dict.fromkeys(point.method for point in self.points))

    @property
    def reference(self) -> tuple[str, Setting]:
        """The first method and its first setting, which whole curves are measured against."""
        return self.points[0].method, self.points[0].setting

    def without(self, *methods: str) -> "Frontier":
        """Return the same frontier without some methods."""
        for method in methods:
            self.settings(method)
        kept = tuple(point for point in self.points if point.method not in methods)
        if not kept:
            raise InvalidInputError(f"without {', '.join(methods)} no method is left. Keep at least one.")
        return replace(self, points=kept)

    def settings(self, method: str) -> tuple[Setting, ...]:
        """Return the settings of a method, in the order of its grid."""
        found = tuple(dict.fromkeys(point.setting for point in self.points if point.method == method))
        if not found:
            raise MissingColumnError(f"There is no method {method!r}. {nearest(method, self.methods)}")
        return found

    def seeds(self, method: str) -> tuple[int, ...]:
        """Return the seeds of a method, in order."""
        self.settings(method)
        return tuple(dict.fromkeys(point.seed for point in self.points if point.method == method))

    # -- one setting -----------------------------------------------------------------------------------------------

    def mean(self, method: str, setting: Setting, metric: str, part: Part = "test") -> float:
        """Return a metric of one setting, as a mean over seeds."""
        return self.estimate(method, setting, metric, part=part).value

    def estimate(
        self, method: str, setting: Setting, metric: str, *, part: Part = "test", relative: bool = False
    ) -> Estimate:
        """Return a metric of one setting with its interval.

        Parameters
        ----------
        method : str
        setting : number or str
            One of the method's grid.
        metric : str
            With its cut-off, such as ``ndcg@20``.
        part : {"test", "validation"}, default "test"
            On validation there are intervals for the accuracy alone.
        relative : bool, default False
            Instead of the metric its change from the method's first setting, as a share of it and seed by seed: -0.03
            where 3% are lost, NaN where that was 0.

        Raises
        ------
        MissingColumnError
            If there is no such method, setting or metric.
        """
        settings = self.settings(method)
        if setting not in settings:
            raise MissingColumnError(
                f"{method!r} was not measured at {setting!r}. {nearest(str(setting), map(str, settings))}"
            )

        readings = []
        for seed in self.seeds(method):
            point = self._index.get((method, setting, seed))
            first = self._index.get((method, settings[0], seed)) if relative else point
            if point is None or first is None:
                continue
            value = self._reading(point, metric, part)
            readings.append(change(value, self._reading(first, metric, part)) if relative else value)
        return summary(readings)

    def _reading(self, point: Point, metric: str, part: Part = "test") -> Reading:
        influence = self.influences.get((point.method, point.setting, point.seed, part), {}).get(metric)
        ends = point.intervals.get(metric, NO_ENDS) if part == "test" else NO_ENDS
        return Reading(metric_of(point, metric, part), influence, ends)

    def choose(self, method: str, max_loss: float = 0.05, rule: Rule = "fairest", *, margin: bool = False) -> Setting:
        """Return the best setting on validation among those that lose little accuracy there.

        Parameters
        ----------
        method : str
        max_loss : float, default 0.05
            Accuracy that may be lost, as a share of the accuracy of the method's first setting.
        rule : {"fairest", "gain"}, default "fairest"
            "fairest" takes the least unfairness; "gain" the largest difference of the share of unfairness that is gone
            and the share of accuracy that is lost (Ahmadov and Mansoury, RecSys 2025).
        margin : bool, default False
            Keep a margin for the noise of the validation: the whole 95% interval of the loss must be allowed.

        Raises
        ------
        InvalidInputError
            If the accuracy of the first setting is not a number, no setting can be judged, or there is no interval of
            a loss that `margin` asks for.
        """
        number("max_loss", max_loss, low=0, high=1)
        choice("rule", rule, ("fairest", "gain"))
        settings = self.settings(method)
        accuracy, unfairness = (
            {s: self.mean(method, s, metric, "validation") for s in settings}
            for metric in (self.accuracy, self.unfairness)
        )
        first = settings[0]
        judged = (self.accuracy, accuracy[first]), *([(self.unfairness, unfairness[first])] if rule == "gain" else [])
        for name, value in judged:
            if not np.isfinite(value):
                raise InvalidInputError(
                    f"{name} of {method!r} at its first setting, {first!r}, is {value} on validation, so that no "
                    f"change from it can be judged. Begin the grid with a setting that can be measured."
                )
        allowed = [
            s for s in settings
            if np.isfinite(unfairness[s])
            and accuracy[s] >= (1 - max_loss) * accuracy[first]
            and (not margin or s == first or self._surely(method, s, max_loss))
        ]  # fmt: skip
        if not allowed:
            raise InvalidInputError(
                f"No setting of {method!r} that loses at most {max_loss:.3g} of {self.accuracy} on validation has a "
                f"{self.unfairness} there. Allow a larger loss, or look at the measured values with to_polars()."
            )
        if rule == "fairest":
            return min(allowed, key=lambda s: unfairness[s])
        return max(allowed, key=lambda s: accuracy[s] / accuracy[first] - unfairness[s] / unfairness[first])

    def _surely(self, method: str, setting: Setting, max_loss: float) -> bool:
        found = self.estimate(method, setting, self.accuracy, part="validation", relative=True)
        if found.low is None and found.value:
            raise InvalidInputError(
                f"The change of {self.accuracy} on validation at {setting!r} of {method!r} has no interval to keep a "
                f"margin by. Sweep anew with n_bootstrap above 0, or leave out margin."
            )
        return found.low is None or found.low >= -max_loss

    def notes(self, max_loss: float = 0.05) -> tuple[str, ...]:
        """Return which choices stand at the end of their grid, so that a longer grid may hold a better one."""
        found = []
        for method in self.methods:
            settings = self.settings(method)
            chosen = self.choose(method, max_loss)
            numbers = [s for s in settings if not isinstance(s, str)]
            ends = (min(numbers), max(numbers)) if len(numbers) == len(settings) else settings[-1:]
            if len(settings) > 1 and chosen != settings[0] and chosen in ends:
                found.append(
                    f"{method}: the choice, {chosen}, is the last of its grid. Unless that is the dial's natural end, "
                    f"extend the grid."
                )
        return tuple(found)

    # -- whole curves ----------------------------------------------------------------------------------------------

    def front(self, *, part: Part = "validation") -> tuple[tuple[str, Setting], ...]:
        """Return the (method, setting) pairs that no other pair beats in both metrics, on validation or on test."""
        pairs = [(method, setting) for method in self.methods for setting in self.settings(method)]
        gain, cost = (
            np.array([self.mean(*pair, name, part) for pair in pairs]) for name in (self.accuracy, self.unfairness)
        )
        return tuple(pair for pair, on_front in zip(pairs, _front(gain, cost), strict=True) if on_front)

    def accuracy_at(
        self,
        method: str,
        unfairness: float,
        *,
        relative: bool = False,
        against: str | None = None,
        part: Part = "validation",
    ) -> Estimate:
        """Return the accuracy that a method reaches where exposure is at most so uneven.

        Each seed has its own curve on the test: straight lines through those of its settings that no other setting of
        the method beats on validation. Points between two settings are attainable: serve a random part of the users
        with either.

        Parameters
        ----------
        method : str
        unfairness : float
            Level of the metric of unfairness. The value is NaN if a seed does not come down to it.
        relative : bool, default False
            Give the level and the result as changes from :attr:`reference` in the same seed: the level -0.1 means an
            unfairness 10% lower, the result -0.03 an accuracy 3% lower.
        against : str, optional
            Another method, whose accuracy at that level is subtracted, user by user and seed by seed, of the seeds that
            both have.
        part : {"validation", "test"}, default "validation"
            Where the settings of the curve are picked. On test the curve flatters methods with many settings.

        Returns
        -------
        Estimate
            Its interval holds the chance in both metrics.

        Raises
        ------
        MissingColumnError
            If there is no such method.
        InvalidInputError
            If the methods share no seed, or the level is not a number.
        """
        at = number("unfairness", unfairness)
        return self._compared(
            lambda name, seed: self._along(name, seed, self.unfairness, self.accuracy, at, relative, part),
            method,
            against,
        )

    def unfairness_at(
        self,
        method: str,
        accuracy: float,
        *,
        relative: bool = False,
        against: str | None = None,
        part: Part = "validation",
    ) -> Estimate:
        """Return the least unfairness that a method reaches where it is at least so accurate.

        The curve, the intervals and the errors are as in :meth:`accuracy_at`, the two metrics exchanged.

        Parameters
        ----------
        method : str
        accuracy : float
            Level of the metric of accuracy. The value is NaN if a seed does not come up to it.
        relative : bool, default False
            Give the level and the result as changes from :attr:`reference` in the same seed.
        against : str, optional
            Another method, whose unfairness at that level is subtracted, user by user and seed by seed.
        part : {"validation", "test"}, default "validation"
            Where the settings of the curve are picked.

        Returns
        -------
        Estimate
        """
        at = number("accuracy", accuracy)
        return self._compared(
            lambda name, seed: self._along(name, seed, self.accuracy, self.unfairness, at, relative, part),
            method,
            against,
        )

    def hypervolume(
        self,
        method: str,
        reference: tuple[float, float] = (0.0, 1.0),
        *,
        against: str | None = None,
        part: Part = "validation",
    ) -> Estimate:
        """Return how much of the plane of the two metrics a method's settings dominate on test; more is better.

        Counted are the settings that no other setting of the method beats on validation.

        Both metrics are divided by those of :attr:`reference` in the same seed, so that the figure has no unit. With
        the default it is the share of the reference's accuracy that the method keeps, on average over all levels of
        unfairness from 0 to the reference's: at each level that of the best setting at most so uneven, 0 where there is
        none. Without any correction it is 0.

        Parameters
        ----------
        method : str
        reference : (accuracy, unfairness), default (0, 1)
            The worst place that counts, in shares of those of :attr:`reference`. With (0.9, 1) only settings that keep
            90% of the accuracy count.
        against : str, optional
            Another method, whose figure is subtracted, user by user and seed by seed.
        part : {"validation", "test"}, default "validation"
            Where the settings are picked.

        Returns
        -------
        Estimate

        References
        ----------
        Zitzler and Thiele, Multiobjective optimization using evolutionary algorithms, PPSN 1998 (exact in two metrics).
        """
        worst = number("reference", reference[0]), number("reference", reference[1], low=0, low_open=True)

        def read(name: str, seed: int) -> Reading:
            units = {metric: self._unit(metric, seed) for metric in (self.accuracy, self.unfairness)}
            points = self._best(name, seed, part)
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

    def _of(self, method: str, seed: int) -> list[Point]:
        return [point for point in self.points if (point.method, point.seed) == (method, seed)]

    def _best(self, method: str, seed: int, part: Part) -> list[Point]:
        """Return the points of one seed that no other of the method beats in that part."""
        points = self._of(method, seed)
        gain, cost = (np.array([metric_of(p, name, part) for p in points]) for name in (self.accuracy, self.unfairness))
        return [point for point, is_on in zip(points, _front(gain, cost), strict=True) if is_on]

    def _unit(self, metric: str, seed: int) -> Reading:
        """Return a metric of the reference in one seed, or over all of its seeds where it lacks that one."""
        point = self._index.get((*self.reference, seed))
        return Reading(self.mean(*self.reference, metric)) if point is None else self._reading(point, metric)

    def _along(self, method: str, seed: int, given: str, wanted: str, at: float, relative: bool, part: Part) -> Reading:
        """Read one metric off the curve of one seed where the other one is `at`."""
        level = Reading(at)
        if relative:
            unit = self._unit(given, seed)
            level = combined((1 + at) * unit.value, [(1 + at, unit)])
        found = self._between(self._best(method, seed, part), given, wanted, level)
        return change(found, self._unit(wanted, seed)) if relative else found

    def _between(self, points: list[Point], given: str, wanted: str, level: Reading) -> Reading:
        """Read one metric off the straight lines through points where the other one is at a level."""
        points = sorted(points, key=lambda point: point.test[given])
        x, y = ([self._reading(point, metric) for point in points] for metric in (given, wanted))
        places = [reading.value for reading in x]
        right = int(np.searchsorted(places, level.value))
        if right == 0 and len(points) > 1 and places[0] == level.value:
            right = 1  # on the first point, the line to the second has the slope
        if not points or np.isnan(level.value):
            return Reading(float("nan"))
        if right == 0:
            unreached = given == self.unfairness and places[0] > level.value
            return Reading(float("nan")) if unreached else y[0]
        if right == len(points):
            unreached = given != self.unfairness and places[-1] < level.value
            return Reading(float("nan")) if unreached else y[-1]
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

    def _compared(self, read: Callable[[str, int], Reading], method: str, against: str | None) -> Estimate:
        """Join what is read of each seed, less what is read of another method in the same seed."""
        if against is None:
            return summary([read(method, seed) for seed in self.seeds(method)])
        shared = [seed for seed in self.seeds(method) if seed in self.seeds(against)]
        if not shared:
            raise InvalidInputError(
                f"{method!r} has the seeds {self.seeds(method)} and {against!r} {self.seeds(against)}. Methods are "
                f"compared seed by seed; sweep both with the same seeds."
            )
        pairs = [(read(method, seed), read(against, seed)) for seed in shared]
        return summary([combined(one.value - other.value, [(1, one), (-1, other)]) for one, other in pairs])

    # -- showing ---------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return all points as JSON-able values."""
        return {
            "kind": "frontier",
            "accuracy": self.accuracy,
            "unfairness": self.unfairness,
            "points": [asdict(point) for point in self.points],
            "front": [list(pair) for pair in self.front()],
        }

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "method": p.method,
                "setting": str(p.setting),
                "seed": p.seed,
                "part": part,
                "metric": name,
                "value": value,
            }
            for p in self.points
            for part, metrics in (("validation", p.validation), ("test", p.test))
            for name, value in metrics.items()
        ]

    def report(self, max_loss: float = 0.05) -> Report:
        """Return the trade-off as a page, with the setting marked that :meth:`choose` picks for each method."""
        from headtail.tradeoffs.pages import frontier_page

        return frontier_page(self, max_loss)

    def chart(self, max_loss: float = 0.05) -> Chart:
        """Return the curves of all methods on test; the chosen setting of each is marked."""
        from headtail.tradeoffs.pages import curves

        return curves(self, max_loss)

    def table(self, max_loss: float = 0.05) -> Table:
        """Return all settings with their test metrics."""
        from headtail.tradeoffs.pages import settings_table

        return settings_table(self, max_loss)


def _front(gain: Array, cost: Array) -> NDArray[np.bool_]:
    """Return the Pareto front of the points that have both metrics."""
    known = np.isfinite(gain) & np.isfinite(cost)
    known[known] = pareto_front(gain[known], cost[known])
    return np.asarray(known)
