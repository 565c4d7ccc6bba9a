"""Every setting of a dial, measured on validation and on test."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from headtail import dials
from headtail._checks import checked, integer, nearest, number, shown
from headtail._checksums import FORMAT, digest, identity_of
from headtail._files import to_path
from headtail._printable import kind_of
from headtail._progress import Forecast, Show, progress_bar
from headtail._stats import mean_influence
from headtail.data import Interactions, PopularityGroups, Recommendations, Split
from headtail.data.popularity import Grouping, as_groups
from headtail.dials import Dial
from headtail.exceptions import InvalidInputError
from headtail.metrics import Measurement, Metric, ndcg
from headtail.metrics.auditing import judged
from headtail.metrics.built_in import HEADLINES, metrics_of
from headtail.metrics.facts import Metrics, by_name, facts_of, kept_facts
from headtail.metrics.lists import InputNotes, widen
from headtail.metrics.measuring import measure
from headtail.metrics.topk import Profiles
from headtail.subjects import Subject
from headtail.tradeoffs.frontier import Frontier
from headtail.tradeoffs.kept import Influence, check_same, file_name, load_point, open_folder, save_point
from headtail.tradeoffs.points import Part, Point
from headtail.tradeoffs.settings import reached
from headtail.typing import Floats


@checked
def sweep(
    dial: str | Dial,
    subject: Subject | Callable[[float, int], Any],
    grid: Iterable[float] | None = None,
    split: Split | None = None,
    *,
    k: int | None = None,
    seeds: Sequence[int] = (0,),
    extend: int = 0,
    refine: int = 0,
    max_loss: float = 0.05,
    margin: float = 1.0,
    metrics: Metrics | None = None,
    accuracy: str = "ndcg",
    unfairness: str = "gini",
    groups: Grouping = PopularityGroups.by_mass,
    n_bootstrap: int = 200,
    folder: str | os.PathLike[str] | None = None,
    identity: str | None = None,
    progress: Show = None,
) -> Frontier:
    """Measure a recommender at every setting of a dial, on validation and on test.

    Parameters
    ----------
    dial : str or Dial
        A correction, by its name where it is one of :data:`headtail.dials.DIALS`.
    subject : Subject, or function
        The recommender, with its split and the length k of its lists. Models learn from the training part; the test
        leaves out what is in the validation part too. Or a function ``make(strength, seed)`` of your own, which returns
        what :func:`headtail.recommend` takes; `dial` is then its name, and `grid` and `split` are needed.
    grid : sequence of float, optional
        Strengths, the first as reference, in place of the dial's own.
    split : Split, optional
        With a validation part; for a function of your own only, as a subject has one.
    k : int, optional
        Cut-off; for a function of your own only; by default 20, or the size of the catalogue.
    seeds : sequence of int, default (0,)
        Every setting is made for each seed.
    extend : int, default 0
        How often the grid is extended while its last setting is the most even, but for the first, that loses little.
    refine : int, default 0
        How often a setting between the chosen one and the next stronger one is measured as well.
    max_loss, margin : float, default 0.05 and 1.0
        By which `extend` and `refine` choose, as :meth:`Frontier.choose` does; the frontier keeps the margin.
    metrics : functions of a TopK, or mapping from name to function
        What is measured of every setting.
    accuracy, unfairness : str
        Names of the two metrics that are traded, of `metrics` or of :mod:`headtail.metrics`: more of the first and
        less of the second is better.
    groups : PopularityGroups, or function from popularity to one, default PopularityGroups.by_mass
        What head, mid and tail mean, as for :func:`headtail.audit`.
    n_bootstrap : int, default 200
        As for :func:`headtail.audit`; 0 leaves out all intervals over users on the test. Choices are the same.
    folder : path, optional
        Where every point is saved as soon as it is measured, in a folder named after the dial; saved points are not
        measured again, whatever the grid.
    identity : str, optional
        Identifies a dial, or a class of models, of your own when a sweep resumes. Without it the first and the last
        saved point are measured again, and must come out the same.
    progress : bool or callable, optional
        Show a progress bar; by default only where standard error is a terminal. A callable gets the number of steps
        and a text, such as to move another bar.

    Raises
    ------
    CheckpointMismatchError
        If the folder holds another sweep: of another dial, recommender, split or measurement.
    NotAvailableError
        If the subject does not have what the dial works on.

    Notes
    -----
    The NDCG of validation counts as many wanted items a user as the test has (:attr:`Split.scale
    <headtail.Split.scale>`): with its own, smaller number, users who want one item would count for more than there.

    To measure on several splits, sweep a subject for each with a seed of its own, and join the results with ``+``:
    intervals then hold the chance of the split as well.

    For the exposure of five groups of equal interactions, give ``groups=PopularityGroups.equal_mass`` and, as metrics,
    a mapping such as ``{"ndcg": ndcg, "gini": gini, "q1": partial(group_share, group="q1"), ...}``.

    Examples
    --------
    >>> split = ht.split_ratio(ht.datasets.power_law(300, 100, n_interactions=3000, rng=0).interactions, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> subject = Subject((rng.normal(size=(300, 4)), rng.normal(size=(100, 4))), split, k=5)
    >>> frontier = sweep("log penalty", subject, grid=[0.0, 1.0])
    >>> frontier.mean("log penalty", 1.0, "arp@5") < frontier.mean("log penalty", 0.0, "arp@5")
    True
    """
    if split is not None or not isinstance(subject, Subject):
        dial, subject = _of_ones_own(dial, subject, grid, split, k)
    elif k not in (None, subject.k):
        raise InvalidInputError(
            f"k={k!r} is not that of the subject, {subject.k}. Leave it out, or make another Subject."
        )
    dial = dials.as_dial(dial)
    settings = _listed("grid", dial.grid if grid is None else grid, number)
    popularity = subject.split.train.popularity
    if subject.split.validation is None:
        raise InvalidInputError(
            "The split has no validation part to choose on. Make one, such as split.with_validation(0.1)."
        )
    groups = as_groups(groups, popularity)
    usual, measured = metrics_of(groups.names), dict(HEADLINES if metrics is None else by_name(metrics))
    known = usual | measured
    _check_traded(known, accuracy, "higher")
    _check_traded(known, unfairness, "lower")
    measured |= {name: known[name] for name in (accuracy, unfairness)}
    seeds = _listed("seeds", seeds, integer)
    accuracy, unfairness = (f"{name}@{subject.k}" for name in (accuracy, unfairness))
    meter = _Meter(dial, subject, seeds, measured, accuracy, unfairness, groups, n_bootstrap)
    if subject.changed(seeds):
        raise InvalidInputError(
            "The recommender was changed since it was first used here, such as by training it on, so that what is kept "
            "of it holds no more. Make another Subject of it, or change a copy."
        )
    if folder is not None:
        meter = replace(meter, folder=open_folder(to_path(folder) / file_name(dial.name), meter.plan(identity)))
    check = identity is None and not (dials.is_built_in(dial) and _known_by_weights(subject))
    total = len(seeds) * (len(settings) + integer("extend", extend) + integer("refine", refine))
    forecast = Forecast({dial.name: (len(seeds) * (len(settings) + (extend + refine) // 2), 1.0)})
    with progress_bar(dial.name, total, show=progress, forecast=forecast) as advance:
        frontier = replace(meter.measure(settings, advance, check=check), margin=margin)
        frontier = around_choice(dial, frontier, lambda more: meter.measure(more, advance), extend, refine, max_loss)
    if len(frontier.settings(dial.name)) > len(settings):
        first = settings[0]  # stays the reference
        by_strength = sorted(frontier.points, key=lambda p: (seeds.index(p.seed), p.setting != first, abs(p.setting)))
        frontier = replace(frontier, points=tuple(by_strength))
    return frontier


def _of_ones_own(name: Any, make: Any, grid: Any, split: Any, k: int | None) -> tuple[Dial, Subject]:
    """Return the dial and the subject for a function that makes recommenders by itself."""
    if not isinstance(name, str) or not callable(make) or not isinstance(split, Split):
        raise InvalidInputError(
            f"sweep was given {kind_of(name)}, {kind_of(make)} and {kind_of(split)}. Give a "
            f"dial and a Subject, which has its split; or a name, a function of a strength and a seed, a grid and a "
            f"Split."
        )
    return Dial.of(name, make, _listed("grid", grid, number)), Subject(None, split, k=k)


def around_choice(
    dial: Dial,
    frontier: Frontier,
    measure: Callable[[list[float]], Frontier],
    extend: int = 0,
    refine: int = 0,
    max_loss: float = 0.05,
) -> Frontier:
    """Return a frontier with further settings, at the grid's end and where validation chooses, as for :func:`sweep`."""
    for n, following, choose in ((extend, dial.beyond, reached), (refine, _between, Frontier.choose)):
        for _ in range(n):
            chosen = choose(frontier, dial.name, max_loss)
            setting = None if chosen is None else following(frontier.settings(dial.name), chosen)
            if setting is None:
                break
            frontier += measure([setting])
    return frontier


def _between(settings: Sequence[float], chosen: float) -> float | None:
    """Return a round number between the chosen strength and the next stronger one, None if there is none."""
    stronger = [setting for setting in settings if abs(setting) > abs(chosen) and chosen * setting >= 0]
    if not stronger:
        return None
    following = min(stronger, key=abs)
    between = float(f"{np.copysign(np.sqrt(chosen * following), following) if chosen else following / 2:.2g}")
    return None if between in settings else between


def _listed(name: str, values: Any, check: Callable[[str, Any], Any]) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInputError(f"{name}={values!r} is not a list. Give several, such as [{values!r}].")
    listed = [check(name, value) for value in values]
    if not listed or len(set(listed)) < len(listed):
        raise InvalidInputError(f"{name}={listed!r} is empty or repeats a value. Give each once.")
    return listed


def _known_by_weights(subject: Subject) -> bool:
    """Whether weights say all of a model; one of another's class may have more, such as settings in attributes."""
    return subject.form != "model" or type(subject.source).__module__.startswith("headtail.")


def _check_traded(metrics: Mapping[str, Metric], name: str, better: str) -> None:
    if name not in metrics:
        raise InvalidInputError(
            f"{name!r} is not among the metrics: those given, and those of headtail that need neither vectors nor "
            f"times. {nearest(name, metrics)}"
        )
    if (facts_of(metrics[name]).better or better) != better:
        kind = "accuracy" if better == "higher" else "unfairness"
        fitting = [other for other, metric in metrics.items() if facts_of(metric).better == better]
        raise InvalidInputError(
            f"{kind}={name!r} does not fit: of that metric {'less' if better == 'higher' else 'more'} is better. Take "
            f"one of {shown(fitting, 50) or 'another kind'}; the opposite of a tail's share is head_share, with groups "
            f"of one cut."
        )


@dataclass(frozen=True)
class _Meter:
    """A dial on a subject, how its settings are measured, and where points are saved."""

    dial: Dial
    subject: Subject
    seeds: list[int]
    metrics: Mapping[str, Metric]
    accuracy: str
    unfairness: str
    groups: PopularityGroups
    n_bootstrap: int
    folder: Path | None = None

    def measure(self, settings: list[float], advance: Callable[..., None], *, check: bool = False) -> Frontier:
        """Measure the settings for each seed; with `check`, the first and last saved points are measured again."""
        tasks = [(seed, setting, self._file(seed, setting)) for seed in self.seeds for setting in settings]
        there = [file for _, _, file in tasks if file is not None and file.exists()]
        again = {there[0], there[-1]} if there and check else set()
        points: list[Point] = []
        influences: dict[tuple[str, float, int, Part], dict[str, Floats]] = {}
        seconds: dict[tuple[str, float, int], tuple[float, float]] = {}
        for seed, setting, file in tasks:
            if file is None or file not in there:
                try:
                    point, influence, taken = self._point(setting, seed)
                except KeyboardInterrupt as stop:
                    if file is not None:  # replaces the note of the training within
                        kept = f"What was measured is kept in {file.parent.parent}; run the same again to resume."
                        stop.__notes__ = [kept]
                    raise
                seconds[self.dial.name, setting, seed] = taken
                if file is not None:
                    save_point(file, point, influence)
            else:
                point, influence = load_point(file)
                if file in again:
                    check_same(point, self._point(setting, seed)[0], file)
            influences |= {(self.dial.name, setting, seed, part): found for part, found in influence.items()}
            points.append(point)
            advance(1, f"{setting:g}, {self.accuracy} {point.validation[self.accuracy]:.4f}")
        facts = kept_facts(self.metrics)
        judged_by = dict.fromkeys(self.seeds, self.subject.split.test.fingerprint)
        return Frontier(
            tuple(points), self.accuracy, self.unfairness, influences, facts, seconds, judged_by=judged_by
        )  # fmt: skip

    def _file(self, seed: int, setting: float) -> Path | None:
        return None if self.folder is None else self.folder / f"seed-{seed}-strength-{setting!r}.json"

    def _point(self, setting: float, seed: int) -> tuple[Point, Influence, tuple[float, float]]:
        """Measure a setting; return its point, each user's influences on the metrics, and the seconds it took."""
        split = self.subject.split
        assert split.validation is not None
        started = perf_counter()
        made = self.dial.at(self.subject, setting, seed)
        took = perf_counter() - started
        if not dials.is_built_in(self.dial) and self.subject.changed([seed]):
            raise InvalidInputError(
                f"The dial {self.dial.name!r} at strength {setting:g} changed the recommender itself, from which other "
                f"settings start. Let it change a copy, such as copy.deepcopy(subject.plain(seed))."
            )
        lists = self.dial.lists(made, self.subject, setting, split.train)
        validation, of_validation = self._measured(lists, split.validation, self._at_scale, n_bootstrap=0)
        started = perf_counter()
        lists = self.dial.lists(made, self.subject, setting, split.known)
        seconds = took, (perf_counter() - started) / max(len(lists), 1)
        found, of_test = self._measured(lists, split.test, self.metrics, n_bootstrap=self.n_bootstrap)
        point = Point(
            self.dial.name,
            setting,
            seed,
            validation={name: m.value for name, m in validation.items()},
            test={name: m.value for name, m in found.items()},
            intervals={name: (m.low, m.high) for name, m in found.items() if m.low is not None and m.high is not None},
        )
        of_accuracy = {name: of for name, of in of_validation.items() if name == self.accuracy}
        influence: Influence = {"validation": of_accuracy}  # which choices need
        if self.n_bootstrap:
            influence["test"] = of_test
        return point, influence, seconds

    @cached_property
    def profiles(self) -> Profiles:
        """What all lists are judged by."""
        return Profiles(self.subject.split.train, self.groups)

    @property
    def _at_scale(self) -> Mapping[str, Metric]:
        """The metrics of the validation part, whose NDCG counts at the test's scale."""
        at_scale = partial(ndcg, scale=self.subject.split.scale)
        return {name: at_scale if metric is ndcg else metric for name, metric in self.metrics.items()}

    def _measured(
        self, lists: Recommendations, relevant: Interactions, metrics: Mapping[str, Metric], *, n_bootstrap: int
    ) -> tuple[dict[str, Measurement], dict[str, Floats]]:
        """Return metrics of lists by name, as `audit` has them, and each user's influence on them by code."""
        train, k = self.subject.split.train, self.subject.k
        known = widen(train, None, relevant, noted := InputNotes(strict=False))
        top, user_ids = judged(lists, known, relevant, [k], self.profiles, noted)[:2]
        found, values, influences = measure(top.at(k), metrics, [], n_bootstrap, 0)
        codes, by_user = train.user_codes(user_ids), {}
        for name, of in {**{name: mean_influence(mine) for name, mine in values.items()}, **influences}.items():
            by_user[f"{name}@{k}"] = np.zeros(train.n_users, dtype=np.float32)
            by_user[f"{name}@{k}"][codes] = of
        return {m.name: m for m in found}, by_user

    def plan(self, identity: str | None) -> dict[str, Any]:
        """Return what identifies this sweep in a folder."""
        return {
            "format": FORMAT,
            "dial": self.dial.name,
            "subject": self.subject.fingerprint,
            "identity": identity,
            "metrics": {name: identity_of(metric) for name, metric in sorted(self.metrics.items())},
            "scale": self.subject.split.scale,
            "accuracy": self.accuracy,
            "groups": f"{self.groups.description} ({digest(self.groups.codes)})",
            "n_bootstrap": self.n_bootstrap,
        }
