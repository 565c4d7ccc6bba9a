"""A dial is turned through its settings, and each of them is measured."""

import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any, TypeAlias, cast
from zipfile import BadZipFile

import numpy as np

from headtail._checks import checked, integer, nearest
from headtail._files import atomic_file, to_path
from headtail._progress import progress_bar
from headtail._sealed import FORMAT, check_settings, read_json, write_json
from headtail.data import Interactions, PopularityGroups, Recommendations, Split
from headtail.data.popularity import Grouping, as_groups
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, UnreadableFileError
from headtail.metrics import Audit, Metric, audit
from headtail.metrics.built_in import HEADLINES
from headtail.metrics.facts import Metrics, facts_of, named
from headtail.tradeoffs.frontier import Frontier
from headtail.tradeoffs.points import Part, Point, Setting
from headtail.training.ranking import lists_of
from headtail.typing import Floats

Maker: TypeAlias = Callable[[Setting, int], Any]


@checked
def sweep(
    method: str,
    make: Maker,
    grid: Iterable[Setting],
    split: Split,
    *,
    k: int = 20,
    metrics: Metrics | None = None,
    accuracy: str = "ndcg",
    unfairness: str = "gini",
    groups: Grouping = PopularityGroups.by_mass,
    seeds: Sequence[int] = (0,),
    n_bootstrap: int = 200,
    folder: str | os.PathLike[str] | None = None,
    identity: str | None = None,
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
    metrics : functions of a TopK, or mapping from name to function, optional
        What is measured of every setting; without it, the headlines of an audit.
    accuracy, unfairness : str
        Names of the two metrics that are traded: more of the first and less of the second is better.
    groups : PopularityGroups, or function from popularity to one, default PopularityGroups.by_mass
        What head, mid and tail mean, as for :func:`headtail.audit`.
    seeds : sequence of int, default (0,)
        ``make`` is called for each seed and, within it, each setting.
    n_bootstrap : int, default 200
        As for :func:`headtail.audit`; 0 leaves out all intervals over users.
    folder : path, optional
        Where every point is kept as soon as it is measured; an interrupted sweep resumes there.
    identity : str, optional
        Says what is swept (the data, the model, its settings), and must be the same when a sweep resumes. Without it
        the first and the last point in the folder are made and measured again, and must come out the same.
    progress : bool, optional
        Show a progress bar; without it, only where standard error is a terminal.

    Raises
    ------
    CheckpointMismatchError
        If the folder holds a sweep of something else, or with another grid, split or measurement.
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
    if not callable(make):
        raise InvalidInputError(f"make={make!r} is not a function. Give one of a setting and a seed.")
    settings = _listed("grid", grid)
    for setting in settings:
        if not isinstance(setting, (int, float, str, np.integer, np.floating)):
            raise InvalidInputError(f"grid has {setting!r}, which is neither a number nor a name.")
    seeds = [integer("seeds", seed) for seed in _listed("seeds", seeds)]
    if split.validation is None:
        raise InvalidInputError(
            "The split has no validation part to choose on. Make one, such as split.with_validation(0.1)."
        )
    measured = HEADLINES if metrics is None else named(metrics)
    _check_traded(measured, accuracy, "higher")
    _check_traded(measured, unfairness, "lower")
    grouped = as_groups(groups, split.train.popularity)
    plan = {
        "format": FORMAT,
        "method": method,
        "grid": [str(setting) for setting in settings],
        "seeds": seeds,
        "k": k,
        "metrics": {name: _identity(metric) for name, metric in sorted(measured.items())},
        "identity": identity,
        "groups": grouped.description,
        "n_bootstrap": n_bootstrap,
        **{name: part.fingerprint for name, part in split.parts.items()},
    }
    kept = None if folder is None else _open(to_path(folder), plan)
    measure = partial(audit, k=k, metrics=measured, groups=grouped, strict=False)
    tasks = [(seed, setting) for seed in seeds for setting in settings]
    points = []
    influences: dict[tuple[str, Setting, int, Part], dict[str, Floats]] = {}
    there = [i for i in range(len(tasks)) if kept is not None and (kept / f"point-{i:04d}.json").exists()]
    again = {there[0], there[-1]} if there and identity is None else set()
    with progress_bar(method, len(tasks), show=progress) as advance:
        for i, (seed, setting) in enumerate(tasks):
            file = None if kept is None else kept / f"point-{i:04d}.json"
            if i not in there or i in again:
                lists = partial(lists_of, make(setting, seed), k=k)
                point, owed = _measure(method, setting, seed, lists, split, measure, n_bootstrap, f"{accuracy}@{k}")
            if file is not None and i in there:
                saved, arrays = _load(file, setting)
                if i in again:
                    _check_same(saved, point, file)
                point, owed = saved, arrays
            elif file is not None:
                _save(file, point, owed)
            influences |= {(method, setting, seed, part): found for part, found in owed.items()}
            points.append(point)
            advance(1, f"{setting}, {accuracy} {point.validation[f'{accuracy}@{k}']:.4f}")
    formats = {name: facts_of(metric).format for name, metric in measured.items()}
    return Frontier(tuple(points), f"{accuracy}@{k}", f"{unfairness}@{k}", influences, formats)


def _listed(name: str, values: Any) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInputError(f"{name}={values!r} is not a list. Give several, such as [{values!r}].")
    listed = list(values)
    try:
        once = len(set(listed)) == len(listed) > 0
    except TypeError:
        raise InvalidInputError(f"{name}={listed!r} holds a list. Give plain values.") from None
    if not once:
        raise InvalidInputError(f"{name}={listed!r} is empty or repeats a value. Give each once.")
    return listed


def _check_traded(metrics: dict[str, Metric], name: str, better: str) -> None:
    if name not in metrics:
        raise InvalidInputError(f"{name!r} is not among the metrics. {nearest(str(name), metrics)}")
    if (facts_of(metrics[name]).better or better) != better:
        kind = "accuracy" if better == "higher" else "unfairness"
        fitting = [other for other, metric in metrics.items() if facts_of(metric).better == better]
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
    accuracy: str,
) -> tuple[Point, dict[Part, dict[str, Floats]]]:
    """Return a point, and what each user of the split adds to the errors of its metrics."""
    on_validation = measure(lists(split.train), split.train, split.validation, n_bootstrap=0)
    on_test = measure(lists(split.known), split.train, split.test, n_bootstrap=n_bootstrap)
    found = {m.name: m for m in on_test.measurements}
    point = Point(
        method,
        setting,
        seed,
        validation={m.name: m.value for m in on_validation.measurements},
        test={name: m.value for name, m in found.items()},
        intervals={name: (m.low, m.high) for name, m in found.items() if m.low is not None and m.high is not None},
    )
    if not n_bootstrap:
        return point, {}
    owed: dict[Part, dict[str, Floats]] = {
        "test": {name: _by_user(on_test, name, split) for name in (*on_test.user_values, *on_test.user_influences)},
        "validation": {
            name: _by_user(on_validation, name, split) for name in {accuracy} & {*on_validation.user_values}
        },
    }
    return point, owed


def _by_user(audited: Audit, name: str, split: Split) -> Floats:
    values = np.zeros(split.train.n_users, dtype=np.float32)
    values[split.train.user_codes(audited.user_ids)] = audited.influence(name)
    return values


def _identity(metric: Any) -> str:
    """Return what tells a metric from others: where it stands, its options, and what it does."""
    if isinstance(metric, partial):
        options = [*map(repr, metric.args), *(f"{name}={value!r}" for name, value in sorted(metric.keywords.items()))]
        return f"{_identity(metric.func)}({', '.join(options)})"
    kind = metric if hasattr(metric, "__qualname__") else type(metric)
    name = f"{kind.__module__}.{kind.__qualname__}"
    code = getattr(metric, "__code__", None)
    return name if code is None else f"{name} {zlib.crc32(_code(code)):08x}"


def _code(code: CodeType) -> bytes:
    constants = [_code(c) if isinstance(c, CodeType) else repr(c).encode() for c in code.co_consts]
    return b"".join([code.co_code, *constants, *(name.encode() for name in code.co_names)])


def _check_same(saved: Point, measured: Point, file: Path) -> None:
    """Refuse to go on where a point that is measured again comes out otherwise."""
    for part, there, now in (
        ("validation", saved.validation, measured.validation),
        ("test", saved.test, measured.test),
    ):
        for name, value in there.items():
            if not np.isclose(value, now.get(name, np.nan), rtol=1e-6, atol=1e-12, equal_nan=True):
                raise CheckpointMismatchError(
                    f"{file.parent} holds a sweep of something else: {name} on {part} of {saved.method!r} at "
                    f"{saved.setting!r} is {value:.6g} there and {now.get(name, np.nan):.6g} now. Give another folder; "
                    f"if only chance in training differs, say what is swept with identity=..."
                )


def _save(file: Path, point: Point, owed: Mapping[Part, Mapping[str, Floats]]) -> None:
    """Write the arrays first, for the JSON file says that a point is there."""
    arrays = {f"{part} {name}": values for part, found in owed.items() for name, values in found.items()}
    with atomic_file(file.with_suffix(".npz")) as temporary, temporary.open("wb") as opened:
        np.savez(opened, **arrays)  # type: ignore[arg-type]
    _write({"format": FORMAT, **asdict(point)}, file)


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


def _load(file: Path, setting: Setting) -> tuple[Point, dict[Part, dict[str, Floats]]]:
    saved = read_json(file)
    try:
        intervals = {name: (low, high) for name, (low, high) in saved["intervals"].items()}
        point = Point(saved["method"], setting, saved["seed"], saved["validation"], saved["test"], intervals)
        owed: dict[Part, dict[str, Floats]] = {"validation": {}, "test": {}}
        with np.load(file.with_suffix(".npz"), allow_pickle=False) as arrays:
            for key in arrays.files:
                part, _, name = key.partition(" ")
                owed[cast(Part, part)][name] = arrays[key]
    except (KeyError, TypeError, AttributeError, ValueError, OSError, BadZipFile) as error:
        raise UnreadableFileError(f"{file} or the arrays beside it cannot be read: {error}. Remove both.") from error
    return point, owed
