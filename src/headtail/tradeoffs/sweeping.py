"""A dial is turned through its settings, and each of them is measured."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from headtail._checks import integer, nearest
from headtail._files import atomic_file, to_path
from headtail._progress import progress_bar
from headtail._sealed import FORMAT, read_json, write_json
from headtail.data import Interactions, PopularityGroups, Recommendations, Split
from headtail.data.popularity import Grouping, as_groups
from headtail.exceptions import InvalidInputError
from headtail.metrics import (
    Audit,
    Metric,
    arp,
    audit,
    coverage,
    gini,
    head_share,
    ndcg,
    recall,
    tail_exposure,
    tail_share,
)  # fmt: skip
from headtail.metrics.auditing import Metrics, _attribute, _named
from headtail.tradeoffs.frontier import Frontier
from headtail.tradeoffs.points import Point, Setting
from headtail.training.checkpoints import check_settings
from headtail.training.ranking import lists_of

Maker: TypeAlias = Callable[[Setting, int], Any]

METRICS: tuple[Metric, ...] = (ndcg, recall, gini, coverage, arp, head_share, tail_share, tail_exposure)


def sweep(
    method: str,
    make: Maker,
    grid: Iterable[Setting],
    split: Split,
    *,
    k: int = 20,
    metrics: Metrics = METRICS,
    accuracy: str = "ndcg",
    unfairness: str = "gini",
    groups: Grouping = PopularityGroups.by_mass,
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
        ``make(setting, seed)`` returns what :func:`headtail.recommend` takes (a model, Vectors or a pair of factors),
        or a function from the interactions to leave out to Recommendations. The seed is what every ``rng=`` takes.
    grid : numbers or str
        Settings; the first is the reference, such as no correction.
    split : Split
        With a validation part. Models learn from its training part; the test leaves out what is in the validation too.
    k : int, default 20
        Cut-off.
    metrics : functions of a TopK, or mapping from name to function
        What is measured of every setting.
    accuracy, unfairness : str
        Names of the two metrics that are traded: more of the first and less of the second is better.
    groups : PopularityGroups, or function from popularity to one, default PopularityGroups.by_mass
        What head, mid and tail mean, as for :func:`headtail.audit`.
    seeds : sequence of int, default (0,)
        ``make`` is called for each seed and, within it, each setting.
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
        If the split has no validation part, the grid or the seeds are empty or repeat one, a traded metric is not
        measured, or is better the other way round.

    Notes
    -----
    Where one costly model serves all settings of a seed, cache it by the seed. It is then made when the first setting
    needs it, and not at all where a resumed sweep has measured every setting of that seed::

        @functools.cache
        def trained(seed):
            model = MF(train.n_users, train.n_items, rng=seed)
            fit(model, train, rng=seed)
            return vectors(model)

        sweep("tilt", lambda s, seed: tilt(*trained(seed), strength=s, seen=train), grid, split, seeds=(0, 1, 2))

    For the exposure of five groups of equal interactions, give ``groups=PopularityGroups.equal_mass`` and, as metrics,
    a mapping such as ``{"ndcg": ndcg, "gini": gini, "q1": partial(group_share, group="q1"), ...}``.

    Examples
    --------
    >>> import numpy as np
    >>> import headtail as ht
    >>> split = ht.split_ratio(ht.datasets.power_law(300, 100, n_interactions=3000, rng=0).interactions, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.normal(size=(300, 4)), rng.normal(size=(100, 4))
    >>> popularity = split.train.popularity
    >>> frontier = sweep(
    ...     "penalty", lambda g, seed: ht.penalize_popularity(*factors, popularity, g), [0.0, 1.0], split, k=5
    ... )
    >>> frontier.mean("penalty", 1.0, "arp@5") < frontier.mean("penalty", 0.0, "arp@5")
    True
    """
    settings, seeds = list(grid), [integer("seeds", seed) for seed in seeds]
    for name, given, one in (("grid", settings, "a setting"), ("seeds", seeds, "a seed")):
        if not given or len(set(given)) < len(given):
            raise InvalidInputError(f"{name}={given!r} is empty or repeats {one}. Give each once.")
    if split.validation is None:
        raise InvalidInputError(
            "The split has no validation part to choose on. Make one, such as split.with_validation(0.1)."
        )
    named = _named(metrics)
    _check_traded(named, accuracy, "higher")
    _check_traded(named, unfairness, "lower")
    grouped = as_groups(groups, split.train.popularity)
    plan = {
        "format": FORMAT,
        "method": method,
        "grid": [str(setting) for setting in settings],
        "seeds": seeds,
        "k": k,
        "metrics": sorted(named),
        "groups": grouped.rule,
        "n_bootstrap": n_bootstrap,
        **{name: part.fingerprint for name, part in split.parts.items()},
    }
    kept = None if folder is None else _open(to_path(folder), plan)
    measure = partial(audit, k=k, metrics=named, groups=grouped, strict=False)
    tasks = [(seed, setting) for seed in seeds for setting in settings]
    points = []
    with progress_bar(method, len(tasks), show=progress) as advance:
        for i, (seed, setting) in enumerate(tasks):
            file = None if kept is None else kept / f"point-{i:04d}.json"
            if file is not None and file.exists():
                point = _load(file, setting)
            else:
                lists = partial(lists_of, make(setting, seed), k=k)
                point = _measure(method, setting, seed, lists, split, measure, n_bootstrap)
                if file is not None:
                    _write({"format": FORMAT, **asdict(point)}, file)
            points.append(point)
            advance(1, f"{setting}, {accuracy} {point.validation[f'{accuracy}@{k}']:.4f}")
    return Frontier(tuple(points), f"{accuracy}@{k}", f"{unfairness}@{k}")


def _check_traded(metrics: dict[str, Metric], name: str, better: str) -> None:
    if name not in metrics:
        raise InvalidInputError(f"{name!r} is not among the metrics. {nearest(name, metrics)}")
    direction = _attribute(metrics[name], "better", better)
    if direction != better:
        kind = "accuracy" if better == "higher" else "unfairness"
        fitting = [other for other, metric in metrics.items() if _attribute(metric, "better") == better]
        raise InvalidInputError(
            f"{kind}={name!r} does not fit: of that metric {'less' if better == 'higher' else 'more'} is better. Take "
            f"one of {', '.join(fitting) or 'another kind'}; the opposite of a tail's share is head_share, with groups "
            f"of one cut."
        )


def _measure(
    method: str,
    setting: Setting,
    seed: int,
    lists: Callable[[Interactions], Recommendations],
    split: Split,
    measure: Callable[..., Audit],
    n_bootstrap: int,
) -> Point:
    on_validation = measure(lists(split.train), split.train, split.validation, n_bootstrap=0)
    on_test = measure(lists(split.known), split.train, split.test, n_bootstrap=n_bootstrap)
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
        _write(plan, file)
    return folder


def _write(values: dict[str, Any], file: Path) -> None:
    with atomic_file(file) as temporary:
        write_json(values, temporary)


def _load(file: Path, setting: Setting) -> Point:
    saved = read_json(file)
    intervals = {name: (low, high) for name, (low, high) in saved["intervals"].items()}
    return Point(saved["method"], setting, saved["seed"], saved["validation"], saved["test"], intervals)
