"""The measured settings of each method, and how one is chosen."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import erfc
from typing import Self, TypeAlias

import numpy as np

from headtail._checks import checked, nearest, number, shown
from headtail._stats import Z95, pareto_front
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.metrics.built_in import BUILT_IN
from headtail.metrics.facts import Facts, kept_facts
from headtail.tradeoffs.points import (
    NO_ENDS,
    Criterion,
    Estimate,
    Influences,
    Part,
    Point,
    Reading,
    Seconds,
    Setting,
    change,
    metric_of,
    summary,
)
from headtail.typing import Array, Mask

Front: TypeAlias = Callable[[Array, Array], Mask]
"""From gains and costs to which points count."""


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Settings:
    """The measured settings of each method; what a :class:`~headtail.tradeoffs.Frontier` says of one of them."""

    points: tuple[Point, ...]
    accuracy: str
    unfairness: str
    influences: Influences = field(default_factory=dict)
    facts: Mapping[str, Facts] = field(default_factory=partial(kept_facts, BUILT_IN))
    seconds: Seconds = field(default_factory=dict)
    margin: float = 1.0
    judged_by: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the margin."""
        number("margin", self.margin, low=0)

    @cached_property
    def _index(self) -> dict[tuple[str, Setting, int], Point]:
        return {(point.method, point.setting, point.seed): point for point in self.points}

    @cached_property
    def _by_method(self) -> dict[str, list[Point]]:
        found: dict[str, list[Point]] = {}
        for point in self.points:
            found.setdefault(point.method, []).append(point)
        return found

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in order."""
        return tuple(self._by_method)

    @property
    def curves(self) -> tuple[str, ...]:
        """Names of the methods of more than one setting, in order."""
        return tuple(method for method in self.methods if len(self.settings(method)) > 1)

    @property
    def pairs(self) -> tuple[tuple[str, Setting], ...]:
        """Each method with each of its settings, in order."""
        return tuple((method, setting) for method in self.methods for setting in self.settings(method))

    @property
    def reference(self) -> tuple[str, Setting]:
        """The first method at its first setting, such as no correction."""
        return self.points[0].method, self.points[0].setting

    def without(self, *methods: str) -> Self:
        """Return the same frontier without some methods."""
        for method in methods:
            self.settings(method)
        kept = tuple(point for point in self.points if point.method not in methods)
        if not kept:
            raise InvalidInputError(f"without {shown(methods, 50)} no method is left. Keep at least one.")
        return replace(self, points=kept)

    def settings(self, method: str) -> tuple[Setting, ...]:
        """Return the settings of a method, in the order of its grid."""
        return tuple(dict.fromkeys(point.setting for point in self._points_of(method)))

    def seeds(self, method: str) -> tuple[int, ...]:
        """Return the seeds of a method, in order."""
        return tuple(dict.fromkeys(point.seed for point in self._points_of(method)))

    def _points_of(self, method: str) -> list[Point]:
        if method not in self._by_method:
            raise MissingColumnError(f"There is no method {method!r}. {nearest(method, self.methods)}")
        return self._by_method[method]

    def mean(self, method: str, setting: Setting, metric: str, part: Part = "test") -> float:
        """Return a metric of one setting, as a mean over seeds."""
        key = (method, setting, metric, part)
        if key not in self._means:
            self._means[key] = self.estimate(method, setting, metric, part=part).value
        return self._means[key]

    @cached_property
    def _means(self) -> dict[tuple[str, Setting, str, Part], float]:
        return {}

    def estimate(
        self, method: str, setting: Setting, metric: str, *, part: Part = "test", relative: bool = False
    ) -> Estimate:
        """Return a metric of one setting with its interval.

        Parameters
        ----------
        method : str
        setting : float
            One of the method's grid.
        metric : str
            With its cut-off, such as ``ndcg@20``.
        part : {"test", "validation"}, default "test"
            On validation there are intervals for the accuracy alone.
        relative : bool, default False
            Return the relative change from the method's first setting, seed by seed: -0.03 where 3% are lost, NaN where
            that was 0.
        """
        if relative:
            return self.change((method, self.settings(method)[0]), (method, setting), metric, part)
        self._check(method, setting)
        points = (self._index.get((method, setting, seed)) for seed in self.seeds(method))
        return summary([self._reading(point, metric, part) for point in points if point is not None])

    def change(
        self, start: tuple[str, Setting], end: tuple[str, Setting], metric: str, part: Part = "test"
    ) -> Estimate:
        """Return how a metric changes between two (method, setting) pairs, as a share of the first and seed by seed."""
        for pair in (start, end):
            self._check(*pair)
        both = ([self._index.get((*pair, seed)) for pair in (start, end)] for seed in self.seeds(end[0]))
        readings = [[self._reading(point, metric, part) for point in pair if point is not None] for pair in both]
        return summary([change(pair[1], pair[0]) for pair in readings if len(pair) == 2])

    def _check(self, method: str, setting: Setting) -> None:
        if setting not in (settings := self.settings(method)):
            raise MissingColumnError(
                f"{method!r} was not measured at {setting!r}. {nearest(str(setting), map(str, settings))}"
            )

    def _reading(self, point: Point, metric: str, part: Part = "test") -> Reading:
        influence = self.influences.get((point.method, point.setting, point.seed, part), {}).get(metric)
        ends = point.intervals.get(metric, NO_ENDS) if part == "test" else NO_ENDS
        return Reading(metric_of(point, metric, part), influence, ends)

    def choose(self, method: str, max_loss: float = 0.05, criterion: Criterion = "fairest") -> Setting:
        """Return the best setting on validation among those that lose little accuracy there, :attr:`margin` included.

        Parameters
        ----------
        method : str
        max_loss : float, default 0.05
            Accuracy that may be lost, as a share of the accuracy of the method's first setting.
        criterion : {"fairest", "gain"}, default "fairest"
            "fairest" minimizes unfairness; "gain" maximizes its relative decrease less that of accuracy (by which
            PopSteer was tuned; Ahmadov and Mansoury, RecSys 2025).
        """
        max_loss = number("max_loss", max_loss, low=0, high=1)
        first = (method, self.settings(method)[0])
        at_first = {name: self.mean(*first, name, "validation") for name in (self.accuracy, self.unfairness)}
        for name in (self.accuracy, *([self.unfairness] if criterion == "gain" else [])):
            value = at_first[name]
            if not np.isfinite(value) or (criterion == "gain" and not value):  # a gain is a share of it
                raise InvalidInputError(
                    f"{name} of {method!r} at its first setting, {first[1]!r}, is {value} on validation, so that no "
                    f"change from it can be judged. Begin the grid with a setting that can be measured."
                )

        def lost(pair: tuple[str, Setting]) -> float:
            accuracy, unfairness = (self.mean(*pair, name, "validation") / at_first[name] for name in at_first)
            return unfairness - accuracy

        pairs = [(method, setting) for setting in self.settings(method)]
        found = self._first_allowed(pairs, first, max_loss, lost if criterion == "gain" else self._unevenness)
        if found is None:
            raise InvalidInputError(
                f"No setting of {method!r} that loses at most {max_loss:.3g} of {self.accuracy} on validation has a "
                f"{self.unfairness} there. Allow a larger loss, or look at the measured values with to_polars()."
            )
        return found[1]

    def best(self, max_loss: float = 0.05) -> tuple[str, Setting]:
        """Return the method and setting with the most even exposure on validation, of all that lose little there.

        At most `max_loss` of the accuracy of :attr:`reference` may be lost, :attr:`margin` included. It is the
        reference itself where no other setting is more even.
        """
        max_loss = number("max_loss", max_loss, low=0, high=1)
        found = self._first_allowed(self.pairs, self.reference, max_loss, self._unevenness)
        return self.reference if found is None else found

    def _unevenness(self, pair: tuple[str, Setting]) -> float:
        return self.mean(*pair, self.unfairness, "validation")

    def _first_allowed(
        self,
        pairs: Iterable[tuple[str, Setting]],
        reference: tuple[str, Setting],
        max_loss: float,
        key: Callable[[tuple[str, Setting]], float],
    ) -> tuple[str, Setting] | None:
        """Return the first by `key` of the pairs that lose no more on validation, :attr:`margin` included."""
        least = (1 - max_loss) * self.mean(*reference, self.accuracy, "validation")
        there = (
            pair for pair in pairs
            if np.isfinite(self._unevenness(pair)) and self.mean(*pair, self.accuracy, "validation") >= least
        )  # fmt: skip
        return next((pair for pair in sorted(there, key=key) if self._surely(pair, reference, max_loss)), None)

    def _surely(self, pair: tuple[str, Setting], reference: tuple[str, Setting], max_loss: float) -> bool:
        """Return whether :attr:`margin` standard errors below the change of accuracy on validation no more is lost.

        Where the accuracy of none of n users changes, the error is the share of users who may lose theirs
        nevertheless: none among n has then the probability that a normal value is below its mean by the margin.
        """
        if not self.margin or pair == reference:
            return True
        found = self.change(reference, pair, self.accuracy, "validation")
        if found.low is not None:
            return found.value - self.margin / Z95 * (found.value - found.low) >= -max_loss
        influence = self._reading(self._points_of(pair[0])[0], self.accuracy, "validation").influence
        n = 0 if influence is None else np.count_nonzero(influence)
        return not n or found.value + float((erfc(self.margin / 2**0.5) / 2) ** (1 / n)) - 1 >= -max_loss

    def notes(self, max_loss: float = 0.05) -> tuple[str, ...]:
        """Return which choices are at the end of their grid, so that an extended grid may hold a better one."""
        found = []
        for method in self.methods:
            settings = self.settings(method)
            chosen = self.choose(method, max_loss)
            if len(settings) > 1 and chosen != settings[0] and chosen in (min(settings), max(settings)):
                found.append(
                    f"{method}: the choice, {chosen}, is the last of its grid. Unless that is the dial's natural end, "
                    f"extend the grid."
                )
        return tuple(found)

    def front(self, *, part: Part = "validation") -> tuple[tuple[str, Setting], ...]:
        """Return the (method, setting) pairs that no other pair beats in both metrics, on validation or on test."""
        on_front = self._on_front(self.pairs, part)
        return tuple(pair for pair, is_on in zip(self.pairs, on_front, strict=True) if is_on)

    def _on_front(self, pairs: Iterable[tuple[str, Setting]], part: Part, front: Front = pareto_front) -> Mask:
        """Return which (method, setting) pairs no other of them beats in both metrics, of those that have both."""
        means = [[self.mean(*pair, name, part) for name in (self.accuracy, self.unfairness)] for pair in pairs]
        gain, cost = np.array(means).reshape(-1, 2).T
        known = np.isfinite(gain) & np.isfinite(cost)
        known[known] = front(gain[known], cost[known])
        return np.asarray(known)


def reached(settings: Settings, method: str, max_loss: float) -> Setting | None:
    """Return the most even of a method's settings but the first, of those that lose little on validation.

    Where the first, which is off, is more even than all others, a stronger one than these may not be.
    """
    first, *turned = ((method, setting) for setting in settings.settings(method))
    found = settings._first_allowed(turned, first, max_loss, settings._unevenness)
    return None if found is None else found[1]


def facts_for(settings: Settings, metric: str) -> Facts:
    """Return the facts of a metric with its cut-off; without a title it goes by its name."""
    facts = settings.facts.get(metric.partition("@")[0], Facts())
    return facts if facts.title else replace(facts, title=metric)
