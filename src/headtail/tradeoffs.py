"""Trade-off curves: a dial is swept, every setting is measured, and one is chosen on validation."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from headtail._checks import generator, nearest, number
from headtail._files import write_text
from headtail._progress import progress_bar
from headtail._stats import pareto_front
from headtail.data import Interactions, Recommendations, Split
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.metrics import Audit, Metric, arp, audit, coverage, gini, head_share, ndcg, recall, tail_share
from headtail.reports import Chart, Column, Report, Result, Table
from headtail.training import recommend
from headtail.training.checkpoints import FORMAT, check_settings, read_json

Setting: TypeAlias = float | int | str
Maker: TypeAlias = Callable[[Setting, np.random.Generator], Any]

METRICS: tuple[Metric, ...] = (ndcg, recall, gini, coverage, arp, head_share, tail_share)


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


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Result):
    """What accuracy each setting of each method pays for how even an exposure; made by :func:`sweep`.

    Attributes
    ----------
    points : tuple of Point
        In the order of the grids; the first setting of a method is its reference, such as no correction.
    accuracy : str
        Metric of which more is better, with its cut-off.
    unfairness : str
        Metric of which less is better, with its cut-off.
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
        return replace(self, points=self.points + other.points)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in order."""
        return tuple(dict.fromkeys(point.method for point in self.points))

    def without(self, *methods: str) -> "Frontier":
        """Return the same frontier without some methods."""
        for method in methods:
            self.settings(method)
        return replace(self, points=tuple(point for point in self.points if point.method not in methods))

    def settings(self, method: str) -> tuple[Setting, ...]:
        """Return the settings of a method, in the order of its grid."""
        found = tuple(dict.fromkeys(point.setting for point in self.points if point.method == method))
        if not found:
            raise MissingColumnError(f"There is no method {method!r}. {nearest(method, self.methods)}")
        return found

    def mean(self, method: str, setting: Setting, metric: str, part: Literal["validation", "test"] = "test") -> float:
        """Return a metric of one setting, as a mean over seeds."""
        values = [
            getattr(point, part)[metric] for point in self.points if (point.method, point.setting) == (method, setting)
        ]
        return float(np.mean(values)) if values else float("nan")

    def choose(self, method: str, max_loss: float = 0.05) -> Setting:
        """Return the setting that is fairest on validation among those that lose little accuracy there.

        Parameters
        ----------
        method : str
        max_loss : float, default 0.05
            Accuracy that may be lost, as a share of the accuracy of the method's first setting.
        """
        number("max_loss", max_loss, low=0, high=1)
        settings = self.settings(method)
        accuracy = {s: self.mean(method, s, self.accuracy, "validation") for s in settings}
        allowed = [s for s in settings if accuracy[s] >= (1 - max_loss) * accuracy[settings[0]]]
        return min(allowed, key=lambda s: self.mean(method, s, self.unfairness, "validation"))

    def front(self) -> tuple[tuple[str, Setting], ...]:
        """Return the (method, setting) pairs that no other pair beats on test in both metrics."""
        pairs = [(method, setting) for method in self.methods for setting in self.settings(method)]
        gain, cost = (np.array([self.mean(*pair, name) for pair in pairs]) for name in (self.accuracy, self.unfairness))
        return tuple(pair for pair, on_front in zip(pairs, pareto_front(gain, cost), strict=True) if on_front)

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

    def report(self) -> Report:
        """Return the trade-off as a page, with the setting marked that :meth:`choose` picks for each method."""
        return Report("Accuracy against even exposure", [self.chart(), self.table()])

    def chart(self, max_loss: float = 0.05) -> Chart:
        """Return the curves of all methods on test; the chosen setting of each is marked."""
        chosen = {method: self.choose(method, max_loss) for method in self.methods}
        rows = [
            {
                "method": method,
                "setting": str(setting),
                "x": self.mean(method, setting, self.unfairness),
                "y": self.mean(method, setting, self.accuracy),
                "chosen": setting == chosen[method] and len(self.settings(method)) > 1,
            }
            for method in self.methods
            for setting in self.settings(method)
        ]
        return Chart(
            "scatter", rows, x="x", y="y", color="method", connect=True, chosen="chosen",
            title="Trade-off on the test", x_label=f"{self.unfairness} (lower is more even)", y_label=self.accuracy,
            caption="Every point is one setting of one method. The marked ones were chosen on the validation part: the "
            f"fairest that lose at most {max_loss:.0%} of the accuracy of the method's first setting there.",
        )  # fmt: skip

    def table(self, max_loss: float = 0.05) -> Table:
        """Return all settings with their test metrics."""
        metrics = list(self.points[0].test)
        front = set(self.front())
        rows = [
            {
                "method": method,
                "setting": str(setting),
                "chosen": "chosen" if setting == self.choose(method, max_loss) else "",
                "front": "yes" if (method, setting) in front else "",
                **{name: self.mean(method, setting, name) for name in metrics},
            }
            for method in self.methods
            for setting in self.settings(method)
        ]
        columns = [
            Column("method", "Method"),
            Column("setting", "Setting"),
            Column("chosen", "On validation"),
            Column(
                "front", "Pareto",
                note="No other setting here is better in one of accuracy and exposure and not worse in the other.",
            ),
            *(Column(name, name, format=",.1f" if name.startswith("arp") else ".4f") for name in metrics),
        ]  # fmt: skip
        return Table(columns, rows, title="All settings on the test")


def sweep(
    method: str,
    make: Maker,
    grid: Iterable[Setting],
    split: Split,
    *,
    k: int = 20,
    metrics: Sequence[Metric] = METRICS,
    accuracy: str = "ndcg",
    unfairness: str = "gini",
    seeds: Sequence[int] = (0,),
    n_bootstrap: int = 0,
    folder: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Frontier:
    """Measure a method at every setting of its dial, on validation and on test.

    Parameters
    ----------
    method : str
        Its name.
    make : callable
        ``make(setting, rng)`` returns what :func:`headtail.recommend` takes (a model, Vectors or a pair of factors), or
        a function from the interactions to leave out to Recommendations.
    grid : numbers or str
        Settings; the first is the reference, such as no correction.
    split : Split
        With a validation part. Models learn from its training part; the test leaves out what is in the validation too.
    k : int, default 20
        Cut-off.
    metrics : functions of a TopK
        What is measured of every setting.
    accuracy, unfairness : str
        Names of the two metrics that are traded: more of the first and less of the second is better.
    seeds : sequence of int, default (0,)
        ``make`` is called for each setting and seed.
    n_bootstrap : int, default 0
        Resamples for the intervals of the test's metrics.
    folder : path, optional
        Where every point is kept as soon as it is measured; a sweep that was stopped goes on from there.
    progress : bool, optional
        Show a progress bar; without it, only where standard error is a terminal.

    Raises
    ------
    CheckpointMismatchError
        If the folder holds a sweep with another grid, split or measurement.
    InvalidInputError
        If the split has no validation part, the grid is empty or repeats a setting, or a traded metric is not measured.

    Examples
    --------
    >>> import numpy as np
    >>> import headtail as ht
    >>> split = ht.split_ratio(ht.datasets.power_law(300, 100, n_interactions=3000, rng=0).interactions, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.normal(size=(300, 4)), rng.normal(size=(100, 4))
    >>> popularity = split.train.popularity
    >>> frontier = sweep(
    ...     "penalty", lambda g, rng: ht.penalize_popularity(*factors, popularity, g), [0.0, 1.0], split, k=5
    ... )
    >>> frontier.mean("penalty", 1.0, "arp@5") < frontier.mean("penalty", 0.0, "arp@5")
    True
    """
    settings = list(grid)
    if not settings or len(set(settings)) < len(settings):
        raise InvalidInputError(f"grid={settings!r} is empty or repeats a setting. Give each setting once.")
    if split.validation is None:
        raise InvalidInputError("The split has no validation part to choose on. Make one, such as validation=0.1.")
    names = {getattr(metric, "__name__", "") for metric in metrics}
    for name in (accuracy, unfairness):
        if name not in names:
            raise InvalidInputError(f"{name!r} is not among the metrics. {nearest(name, names)}")
    plan = {
        "format": FORMAT,
        "method": method,
        "grid": [str(setting) for setting in settings],
        "seeds": list(seeds),
        "k": k,
        "metrics": sorted(names),
        "n_bootstrap": n_bootstrap,
        **{name: part.fingerprint for name, part in split.parts.items()},
    }
    kept = None if folder is None else _open(Path(folder), plan)
    tasks = [(seed, setting) for seed in seeds for setting in settings]
    points = []
    with progress_bar(method, len(tasks), show=progress) as advance:
        for i, (seed, setting) in enumerate(tasks):
            file = None if kept is None else kept / f"point-{i:04d}.json"
            if file is not None and file.exists():
                point = _load(file, setting)
            else:
                lists = partial(_lists, make(setting, generator(seed)), k=k)
                point = _measure(method, setting, seed, lists, split, partial(audit, k=k, metrics=metrics), n_bootstrap)
                if file is not None:
                    write_text(file, json.dumps({"format": FORMAT, **asdict(point)}))
            points.append(point)
            advance(1, f"{setting}, {accuracy} {point.validation[f'{accuracy}@{k}']:.4f}")
    return Frontier(tuple(points), f"{accuracy}@{k}", f"{unfairness}@{k}")


def _measure(
    method: str,
    setting: Setting,
    seed: int,
    lists: Callable[[Interactions], Recommendations],
    split: Split,
    measure: Callable[..., Audit],
    n_bootstrap: int,
) -> Point:
    on_validation = measure(lists(split.train), split.train, split.validation, strict=False, n_bootstrap=0)
    on_test = measure(lists(split.known), split.train, split.test, strict=False, n_bootstrap=n_bootstrap)
    found = {m.name: m for m in on_test.measurements}
    return Point(
        method,
        setting,
        seed,
        validation={m.name: m.value for m in on_validation.measurements},
        test={name: m.value for name, m in found.items()},
        intervals={name: (m.low, m.high) for name, m in found.items() if m.low is not None and m.high is not None},
    )


def _open(folder: Path, plan: dict[str, Any]) -> Path:
    """Return the folder if it holds this very sweep, or none yet."""
    file = folder / "sweep.json"
    if file.exists():
        check_settings(read_json(file), plan, folder)
    else:
        write_text(file, json.dumps(plan, indent=2))
    return folder


def _load(file: Path, setting: Setting) -> Point:
    saved = read_json(file)
    intervals = {name: (low, high) for name, (low, high) in saved["intervals"].items()}
    return Point(saved["method"], setting, saved["seed"], saved["validation"], saved["test"], intervals)


def _lists(made: Any, seen: Interactions, *, k: int) -> Recommendations:
    if callable(made) and not hasattr(made, "parameters"):
        lists: Recommendations = made(seen)
        return lists
    return recommend(made, seen, k=k)
