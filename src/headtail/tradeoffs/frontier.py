"""What accuracy each setting of each method pays for how even an exposure."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from headtail._checks import choice, nearest, number
from headtail._stats import hypervolume, pareto_front
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.reports import Chart, Report, Result, Table
from headtail.tradeoffs.points import NO_ENDS, Ends, Estimate, Part, Point, Rule, Setting, change, metric_of, summary


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Result):
    """What accuracy each setting of each method pays for how even an exposure; made by :func:`sweep`.

    Settings are chosen on validation (:meth:`choose`); every figure is one of the test. Figures are means over seeds.
    Their intervals are over seeds where there are two or more, else over users where these were measured.

    Attributes
    ----------
    points : tuple of Point
        In the order of the grids; the first setting of a method is its reference, such as no correction.
    accuracy : str
        Metric of which more is better, with its cut-off.
    unfairness : str
        Metric of which less is better, with its cut-off.

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
        return replace(self, points=self.points + other.points)

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
            Users' intervals are there for the test alone.
        relative : bool, default False
            Instead of the metric its change from the method's first setting, as a share of it and seed by seed: -0.03
            where 3% are lost, NaN where that was 0. With one seed it has no interval.

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

        ends: list[Ends] = []
        for seed in self.seeds(method):
            point = self._index.get((method, setting, seed))
            first = self._index.get((method, settings[0], seed)) if relative else point
            if point is None or first is None:
                continue
            value = metric_of(point, metric, part)
            if relative:
                ends.append((change(value, metric_of(first, metric, part)), *NO_ENDS))
            else:
                ends.append((value, *(point.intervals.get(metric, NO_ENDS) if part == "test" else NO_ENDS)))
        return summary(ends)

    def choose(self, method: str, max_loss: float = 0.05, rule: Rule = "fairest") -> Setting:
        """Return the best setting on validation among those that lose little accuracy there.

        Parameters
        ----------
        method : str
        max_loss : float, default 0.05
            Accuracy that may be lost, as a share of the accuracy of the method's first setting.
        rule : {"fairest", "gain"}, default "fairest"
            "fairest" takes the least unfairness; "gain" the largest difference of the share of unfairness that is gone
            and the share of accuracy that is lost (Ahmadov and Mansoury, RecSys 2025).
        """
        number("max_loss", max_loss, low=0, high=1)
        choice("rule", rule, ("fairest", "gain"))
        settings = self.settings(method)
        accuracy, unfairness = (
            {s: self.mean(method, s, metric, "validation") for s in settings}
            for metric in (self.accuracy, self.unfairness)
        )
        first = settings[0]
        allowed = [s for s in settings if accuracy[s] >= (1 - max_loss) * accuracy[first]]
        if rule == "fairest":
            return min(allowed, key=lambda s: unfairness[s])
        return max(allowed, key=lambda s: accuracy[s] / accuracy[first] - unfairness[s] / unfairness[first])

    # -- whole curves ----------------------------------------------------------------------------------------------

    def front(self) -> tuple[tuple[str, Setting], ...]:
        """Return the (method, setting) pairs that no other pair beats on test in both metrics."""
        pairs = [(method, setting) for method in self.methods for setting in self.settings(method)]
        gain, cost = (np.array([self.mean(*pair, name) for pair in pairs]) for name in (self.accuracy, self.unfairness))
        return tuple(pair for pair, on_front in zip(pairs, pareto_front(gain, cost), strict=True) if on_front)

    def accuracy_at(
        self, method: str, unfairness: float, *, relative: bool = False, against: str | None = None
    ) -> Estimate:
        """Return the accuracy that a method reaches where exposure is at most so uneven.

        Each seed has its own curve: straight lines through those of its settings that no other setting of the method
        beats on test. A place on a line can be had, too: serve a random part of the users with either setting. Since
        the best settings are picked on test here, compare curves by it, and report one setting by :meth:`choose`.

        Parameters
        ----------
        method : str
        unfairness : float
            Level of the metric of unfairness. The value is NaN if a seed does not come down to it.
        relative : bool, default False
            Give the level and the result as changes from :attr:`reference` in the same seed: the level -0.1 means an
            unfairness 10% lower, the result -0.03 an accuracy 3% lower.
        against : str, optional
            Another method, whose accuracy at that level is subtracted, seed by seed, of the seeds that both have.

        Returns
        -------
        Estimate
            With one seed the interval holds the users' uncertainty of the accuracy alone, with the unfairness as
            measured; a difference or a relative figure then has none.

        Raises
        ------
        MissingColumnError
            If there is no such method.
        InvalidInputError
            If the methods share no seed, or the level is not a number.
        """
        at = number("unfairness", unfairness)
        return self._compared(
            lambda name, seed: self._along(name, seed, self.unfairness, self.accuracy, at, relative), method, against
        )

    def unfairness_at(
        self, method: str, accuracy: float, *, relative: bool = False, against: str | None = None
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
            Another method, whose unfairness at that level is subtracted, seed by seed.

        Returns
        -------
        Estimate
        """
        at = number("accuracy", accuracy)
        return self._compared(
            lambda name, seed: self._along(name, seed, self.accuracy, self.unfairness, at, relative), method, against
        )

    def hypervolume(
        self, method: str, reference: tuple[float, float] = (0.0, 1.0), *, against: str | None = None
    ) -> Estimate:
        """Return how much of the plane of the two metrics a method's settings dominate on test; more is better.

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
            Another method, whose figure is subtracted, seed by seed.

        Returns
        -------
        Estimate
            Without an interval if there is one seed.

        References
        ----------
        Zitzler and Thiele, Multiobjective optimization using evolutionary algorithms, PPSN 1998 (exact in two metrics).
        """
        worst = number("reference", reference[0]), number("reference", reference[1], low=0, low_open=True)

        def read(name: str, seed: int) -> Ends:
            gain, cost = (
                np.array([1 + change(point.test[metric], self._unit(metric, seed)) for point in self._of(name, seed)])
                for metric in (self.accuracy, self.unfairness)
            )
            return hypervolume(gain, cost, worst), *NO_ENDS

        return self._compared(read, method, against)

    def _of(self, method: str, seed: int) -> list[Point]:
        return [point for point in self.points if (point.method, point.seed) == (method, seed)]

    def _unit(self, metric: str, seed: int) -> float:
        """Return a metric of the reference in one seed, or over all of its seeds where it lacks that one."""
        point = self._index.get((*self.reference, seed))
        return self.mean(*self.reference, metric) if point is None else point.test[metric]

    def _along(self, method: str, seed: int, given: str, wanted: str, at: float, relative: bool) -> Ends:
        """Read one metric off the curve of one seed where the other one is `at`."""
        points = self._of(method, seed)
        gain, cost = (np.array([point.test[metric] for point in points]) for metric in (self.accuracy, self.unfairness))
        on_front = [point for point, is_on in zip(points, pareto_front(gain, cost), strict=True) if is_on]
        on_front.sort(key=lambda point: point.test[given])  # the front rises, so that either metric sorts both
        places = [point.test[given] for point in on_front]
        unreached = {"left" if given == self.unfairness else "right": float("nan")}

        def read(at: float, column: list[float]) -> float:
            return float(np.interp(at, places, column, **unreached))

        values = [point.test[wanted] for point in on_front]
        if relative:
            at = (1 + at) * self._unit(given, seed)
            return change(read(at, values), self._unit(wanted, seed)), *NO_ENDS
        ends = [point.intervals.get(wanted, NO_ENDS) for point in on_front]
        return read(at, values), read(at, [low for low, _ in ends]), read(at, [high for _, high in ends])

    def _compared(self, read: Callable[[str, int], Ends], method: str, against: str | None) -> Estimate:
        """Join what is read of each seed, less what is read of another method in the same seed."""
        if against is None:
            return summary([read(method, seed) for seed in self.seeds(method)])
        shared = [seed for seed in self.seeds(method) if seed in self.seeds(against)]
        if not shared:
            raise InvalidInputError(
                f"{method!r} has the seeds {self.seeds(method)} and {against!r} {self.seeds(against)}. Methods are "
                f"compared seed by seed; sweep both with the same seeds."
            )
        return summary([(read(method, seed)[0] - read(against, seed)[0], *NO_ENDS) for seed in shared])

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
