"""The audit: what a table of recommendations does with popularity, in one call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headtail import _frames
from headtail._checks import finite, generator, integer, nearest
from headtail._factors import numbers, to_numpy
from headtail._stats import (
    degrees_of_freedom,
    jackknife_influence,
    lorenz,
    mean_influence,
    plain_interval,
    score_interval,
    student,
)
from headtail._threads import both
from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.data.interactions import rating_notes, read_pairs
from headtail.data.popularity import Grouping, as_groups
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.metrics.accuracy import hit_rate, mrr, ndcg, precision, recall
from headtail.metrics.collapse import collapse_notes
from headtail.metrics.diversity import ilad
from headtail.metrics.exposure import coverage, entropy, gini, head_share, pop_reo, pop_rsp, tail_coverage, tail_share
from headtail.metrics.lists import Doubts, count_overlap, fingerprints, judge, read_lists, widen
from headtail.metrics.popularity import aclt, aplt, arp, popularity_lift, upd
from headtail.metrics.topk import Better, Metric, Profiles, TopK
from headtail.reports import Report, Result
from headtail.typing import RNG, Array, Floats, IntoFrame

ACCURACY: tuple[Metric, ...] = (ndcg, recall, hit_rate, mrr, precision)
POPULARITY: tuple[Metric, ...] = (arp, aplt, aclt, popularity_lift, upd)
EXPOSURE: tuple[Metric, ...] = (gini, coverage, tail_coverage, entropy, head_share, tail_share, pop_rsp)

Metrics = Iterable[Metric] | Mapping[str, Metric]

ALL_USERS = "all"
MOST_GROUPS = 25  # more of them give no truer intervals (benchmarks/interval_coverage.py)


@dataclass(frozen=True)
class Measurement:
    """One metric at one cut-off for one group of users.

    Attributes
    ----------
    metric : str
        Name without the cut-off.
    k : int
        The cut-off.
    users : str
        "all", or a user group such as "gender=F".
    value : float
        The metric; NaN where it is not defined.
    low, high : float or None
        95% interval over users; None where there is none that could be trusted (see :func:`audit`).
    n_users : int
        Users that the value speaks of.
    """

    metric: str
    k: int
    users: str
    value: float
    low: float | None
    high: float | None
    n_users: int

    @property
    def name(self) -> str:
        """Name with the cut-off, such as ``ndcg@10``."""
        return f"{self.metric}@{self.k}"


@dataclass(frozen=True)
class ItemExposure:
    """How much exposure one item gets, beside its share of the training interactions."""

    item_id: Any
    title: str
    group: str
    popularity: int
    slots: int
    interaction_share: float
    exposure_share: float


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Result):
    """What recommendations do with popularity; made by :func:`audit`.

    Attributes
    ----------
    measurements : tuple of Measurement
        All metrics, cut-offs and user groups.
    group_shares : tuple of dict
        For each popularity group its share of items, of training interactions, and of the slots at each cut-off.
    curves : dict of str to (x, y)
        Lorenz curves of the training interactions ("training") and of the exposure at the largest cut-off
        ("recommendations"): share of the total held by the share x of items that have least.
    over_exposed, under_exposed : tuple of ItemExposure
        Items whose share of the slots is furthest above and below their share of the training interactions.
    groups : PopularityGroups
        What head, mid and tail mean here.
    definitions : dict of str to str
        What each metric means.
    directions : dict of str to str
        Which direction of each metric is better, where one is.
    notes : tuple of str
        What a reader should know about the input.
    user_ids : array of shape (U,)
        The users audited.
    user_values : dict of str to float array of shape (U,)
        Per-user values of the metrics that have them, by name with cut-off.
    user_influences : dict of str to float32 array of shape (U,)
        What each user adds to the error of the other metrics; empty without intervals. See :meth:`influence`.
    judged_by : dict of str to str
        Sizes and hashes of the catalogue, the training and test interactions and the groups, by which :func:`compare`
        knows audits that can stand side by side.
    """

    measurements: tuple[Measurement, ...]
    group_shares: tuple[dict[str, Any], ...]
    curves: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    over_exposed: tuple[ItemExposure, ...]
    under_exposed: tuple[ItemExposure, ...]
    groups: PopularityGroups
    definitions: dict[str, str]
    directions: dict[str, Better]
    notes: tuple[str, ...]
    user_ids: Array
    user_values: dict[str, Floats]
    user_influences: dict[str, Floats]
    judged_by: dict[str, str]

    def __getitem__(self, name: str) -> float:
        """Return the value of a metric such as ``"gini@10"`` over all users."""
        return self.measurement(name).value

    def measurement(self, name: str, users: str = ALL_USERS) -> Measurement:
        """Return one metric with its interval.

        Raises
        ------
        MissingColumnError
            If there is no such metric or user group.
        """
        for m in self.measurements:
            if m.name == name and m.users == users:
                return m
        known = dict.fromkeys(m.name if users == ALL_USERS else f"{m.name} of {m.users}" for m in self.measurements)
        wanted = name if users == ALL_USERS else f"{name} of {users}"
        raise MissingColumnError(f"The audit has no {wanted!r}. {nearest(wanted, known)}")

    def influence(self, name: str) -> NDArray[np.float64]:
        """Return what each user adds to the error of a metric over all users, shape (U,).

        The root of the sum of squares is the metric's standard error. Of two audits of the same users, that of the
        differences is the paired standard error of the difference of the two figures.

        Raises
        ------
        MissingColumnError
            If there is no such metric, or the audit was made without intervals.
        """
        if name in self.user_values:
            return mean_influence(self.user_values[name])
        if name not in self.user_influences:
            known = {*self.user_values, *self.user_influences}
            raise MissingColumnError(f"The audit has no influences of {name!r}. {nearest(name, sorted(known))}")
        return self.user_influences[name].astype(np.float64)

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """Cut-offs, ascending."""
        return tuple(sorted({m.k for m in self.measurements}))

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the per-user values as JSON-able values."""
        return {
            "kind": "audit",
            "measurements": [asdict(m) for m in self.measurements],
            "groups": {"rule": self.groups.rule, "items": self.groups.sizes},
            "group_shares": list(self.group_shares),
            "curves": {name: {"x": x.tolist(), "y": y.tolist()} for name, (x, y) in self.curves.items()},
            "over_exposed": [asdict(i) for i in self.over_exposed],
            "under_exposed": [asdict(i) for i in self.under_exposed],
            "definitions": self.definitions,
            "directions": self.directions,
            "notes": list(self.notes),
        }

    def _rows(self) -> list[dict[str, Any]]:
        return [asdict(m) for m in self.measurements]

    def report(self) -> Report:
        """Return the audit as a page."""
        from headtail.metrics.pages import audit_page

        return audit_page(self)


def audit(
    recs: "Recommendations | IntoFrame",
    train: "Interactions | IntoFrame",
    test: "Interactions | IntoFrame | None" = None,
    *,
    k: int | Sequence[int] | None = None,
    users: "IntoFrame | None" = None,
    metrics: Metrics | None = None,
    groups: Grouping = PopularityGroups.by_mass,
    catalogue: Iterable[Any] | None = None,
    item_vectors: Array | Mapping[Any, Array] | None = None,
    strict: bool = True,
    n_bootstrap: int = 200,
    rng: RNG = 0,
) -> Audit:
    """Measure popularity bias of recommendations from anywhere.

    Parameters
    ----------
    recs : Recommendations or frame of any engine
        One row for each recommended item: user, item and a rank (1 = first) or a score; with neither, the rows of a
        user are taken in their order.
    train : Interactions or frame
        What the recommender learned from. It defines popularity, the users' own taste and the catalogue.
    test : Interactions or frame, optional
        What the users did later, for accuracy. Test users without recommendations count as misses.
    k : int or sequence of int, optional
        Cut-offs; 10 and 20 by default, as far as the lists reach.
    users : frame, optional
        A user column and any number of others; each of those splits the users into groups that are measured apart.
    metrics : functions of a TopK, or mapping from name to function, optional
        What to measure instead of the whole set, yours included. Accuracy also by target group: ``ndcg_head`` ...
    groups : PopularityGroups, or function from popularity to one, default PopularityGroups.by_mass
        What head, mid and tail mean: the most popular items that hold 20% of interactions, and the least popular that
        hold 20%. For example ``functools.partial(PopularityGroups.by_rank, cuts=(0.1, 0.9))``.
    catalogue : ids, optional
        All items that could be recommended, if there are more than training and test show.
    item_vectors : array of shape (n_items, d), or mapping from item id to vector, optional
        For the distance between items of a list (``ilad``). Rows follow ``train.item_ids``.
    strict : bool, default True
        Refuse users without training history and test interactions that are in training too. False keeps them, and
        notes it.
    n_bootstrap : int, default 200
        0 leaves out all intervals. Else how often a metric of yours may be evaluated for its interval, if it is one
        number and does not say what it owes to each user (see :func:`headtail.metrics.better`); 25 times at most.
    rng : seed or generator, default 0
        Draws the groups of users that such a metric is evaluated without.

    Returns
    -------
    Audit

    Raises
    ------
    InvalidInputError, MissingColumnError
        If an input cannot be right; the message says what is wrong and how to mend it.

    Notes
    -----
    An interval speaks of what an audit of as many users of the same kind gives on average. Coverage, Gini, entropy and
    their like depend on that number: do not compare audits of different numbers of users by them.

    Means over users have score intervals (Wilson's for a share of users), which hold where hits are rare: without any
    hit among n users the upper end is near to 4 / n. Other metrics have the value plus and minus Student's quantile
    times a jackknife error over users. They have none where it would leave the metric's range; nor have those that
    count lists of items where fewer than about 15 users decide on them, and `pop_rsp` where a popularity group has
    fewer than 20 slots. How often intervals
    hold what they should is measured by ``benchmarks/interval_coverage.py``.

    Examples
    --------
    >>> import polars as pl
    >>> train = pl.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "c", "a"]})
    >>> recs = pl.DataFrame({"user_id": [1, 2, 3], "item_id": ["c", "b", "b"], "rank": [1, 1, 1]})
    >>> result = audit(recs, train, k=1, n_bootstrap=0)
    >>> result["arp@1"], round(result["gini@1"], 3)
    (1.0, 0.444)
    """
    doubts = Doubts(strict=strict)
    wanted = (10, 20) if k is None else k if isinstance(k, Iterable) and not isinstance(k, str) else (k,)
    cutoffs = sorted({integer("k", cutoff, low=1) for cutoff in wanted})
    if not cutoffs:
        raise InvalidInputError("k names no cut-off. Give at least one, such as k=10.")
    if integer("n_bootstrap", n_bootstrap) == 1:
        raise InvalidInputError("n_bootstrap=1 has no spread; give at least 2, or 0 for no intervals.")
    generator(rng)
    named = None if metrics is None else _named(metrics)
    interactions, known = read_pairs(train, "train", repeats=True)  # which count_overlap refuses
    doubts.notes += rating_notes(interactions, known, "train")
    if test is not None:
        test, known = read_pairs(test, "test")
        doubts.notes += rating_notes(test, known, "test")
    interactions = widen(interactions, catalogue, test, doubts)

    def read_and_judge() -> tuple[TopK, Array, list[int]]:
        lists, longest = read_lists(recs, interactions, cutoffs[-1], doubts)
        if longest < cutoffs[-1] and k is not None:
            raise InvalidInputError(
                f"k={cutoffs[-1]} is above the longest list, which has {longest} items. Ask for less."
            )
        reached = [c for c in cutoffs if c <= longest] or [longest]
        vectors = None if item_vectors is None else _vectors(item_vectors, interactions)
        profiles = Profiles(interactions, as_groups(groups, interactions.popularity))
        return *judge(lists, profiles, test, vectors, doubts), reached

    # The other thread reads no frames, for not all engines bear two.
    (full, user_ids, cutoffs), overlap = both(read_and_judge, lambda: count_overlap(interactions, test))
    if overlap:
        doubts.raise_or_note(
            f"{overlap:,} of {len(full.target_items):,} test interactions are in the training interactions too.",
            "Remove them from one of the two, or check that the right files were given.",
            "they count as wanted items, which no recommender that leaves out seen items can find",
        )
    chosen = named or metrics_of(full.groups.names if full.has_targets else None, vectors=full.item_vectors is not None)
    segments = [] if users is None else _segments(users, user_ids, doubts)

    measurements: list[Measurement] = []
    user_values: dict[str, Floats] = {}
    user_influences: dict[str, Floats] = {}
    for cutoff in cutoffs:
        top = full.at(cutoff)
        found, values, influences = _measure(top, chosen, segments, n_bootstrap, rng)
        measurements += found
        user_values |= {f"{name}@{cutoff}": value for name, value in values.items()}
        user_influences |= {f"{name}@{cutoff}": value for name, value in influences.items()}
    over, under = _most_unequal(full.at(cutoffs[-1]))
    return Audit(
        measurements=tuple(measurements),
        group_shares=_group_shares(full, cutoffs),
        curves={"training": lorenz(interactions.popularity), "recommendations": lorenz(full.at(cutoffs[-1]).slots)},
        over_exposed=over,
        under_exposed=under,
        groups=full.groups,
        definitions={name: _definition(metric) for name, metric in chosen.items()},
        directions={name: d for name, metric in chosen.items() if (d := _attribute(metric, "better"))},
        notes=(*doubts.notes, *collapse_notes(full)),
        user_ids=user_ids,
        user_values=user_values,
        user_influences=user_influences,
        judged_by=fingerprints(full.profiles, test),
    )


def metrics_of(targets: Iterable[str] | None, *, vectors: bool) -> dict[str, Metric]:
    """Return what an audit measures: `targets` are the groups of the test's items, None without a test."""
    chosen: list[Metric] = [*EXPOSURE, *POPULARITY]
    if vectors:
        chosen.append(ilad)
    if targets is None:
        return _named(chosen)
    by_target: dict[str, Metric] = {
        f"{metric.__name__}_{group}": partial(metric, group=group) for metric in (ndcg, recall) for group in targets
    }
    return _named(ACCURACY) | by_target | _named([pop_reo, *chosen])


def _attribute(metric: Metric, name: str, default: Any = None) -> Any:
    return getattr(metric.func if isinstance(metric, partial) else metric, name, default)


def _named(metrics: Metrics) -> dict[str, Metric]:
    cure = "Give functions, or a mapping from name to function, such as metrics={'gini': headtail.metrics.gini}."
    if not isinstance(metrics, Iterable):
        raise InvalidInputError(f"metrics={metrics!r} is no list. {cure}")
    pairs = metrics.items() if isinstance(metrics, Mapping) else [(getattr(m, "__name__", None), m) for m in metrics]
    named: dict[str, Metric] = {}
    for name, metric in pairs:
        if not callable(metric) or not isinstance(name, str):
            raise InvalidInputError(f"metrics has {metric!r}, which is no function or has no name. {cure}")
        if name in named:
            raise InvalidInputError(f"metrics has two functions of the name {name!r}. {cure}")
        named[name] = metric
    if not named:
        raise InvalidInputError(f"metrics names nothing to measure. {cure}")
    return named


def _definition(metric: Metric) -> str:
    if isinstance(metric, partial):
        options = ", ".join(f"{name}={value}" for name, value in metric.keywords.items())
        return f"{_definition(metric.func)} Here with {options}."
    paragraphs = (metric.__doc__ or "A metric of your own.").strip().split("\n\n")
    return " ".join(paragraphs[0].split())


def _evaluate(top: TopK, name: str, metric: Metric) -> Floats:
    """Return the metric of these lists: one number, or one for each of them."""
    found = numbers(metric(top))
    if found.dtype.kind not in "biuf":
        raise InvalidInputError(f"The metric {name!r} returned {found.dtype}. Return one number, or one for each user.")
    found = found.astype(np.float64, copy=False)
    if found.shape not in ((), (len(top),)):
        raise InvalidInputError(
            f"The metric {name!r} returned an array of shape {found.shape}. Return one number, or one for each of the "
            f"{len(top)} users."
        )
    return found


def _influence(top: TopK, metric: Metric, values: Floats, n_groups: int, rng: RNG) -> tuple[NDArray[np.float64], float]:
    """Return what each user adds to the error of a metric, and how many degrees of freedom that error has."""
    if values.ndim:
        influence = mean_influence(values)
    elif (own := _attribute(metric, "influence")) is not None:
        bound = metric if isinstance(metric, partial) else partial(metric)
        influence = np.asarray(own(top, *bound.args, **bound.keywords), dtype=np.float64)
    else:
        return _grouped_influence(top, metric, min(n_groups, MOST_GROUPS, len(top)), rng)
    return influence, degrees_of_freedom(influence)


def _grouped_influence(top: TopK, metric: Metric, n_groups: int, rng: RNG) -> tuple[NDArray[np.float64], float]:
    """Evaluate a metric anew without each of some groups of users that are drawn at random."""
    if n_groups < 2:
        return np.full(len(top), np.nan), np.nan
    group = generator(rng).permutation(len(top)) % n_groups
    without = [float(metric(top.take(np.flatnonzero(group != g)))) for g in range(n_groups)]
    # The users of a group share its influence such that theirs have the same sum of squares.
    return (jackknife_influence(np.array(without)) / np.sqrt(np.bincount(group)))[group], n_groups - 1.0


def _measurement(
    name: str, metric: Metric, top: TopK, label: str, values: Floats, error: float, df: float
) -> Measurement:
    """Return the mean of per-user values, or the one number that is there, with its interval."""
    known = values[~np.isnan(values)]
    value, n = (float(known.mean()) if len(known) else np.nan), (len(known) if values.ndim else len(top))
    ends = _attribute(metric, "low", -np.inf), _attribute(metric, "high", np.inf)
    if values.ndim:
        low, high = score_interval(value, error, student(n - 1), *ends, n=n)
    else:
        low, high = plain_interval(value, error, student(df), *ends)
    shown = np.isfinite(low) and np.isfinite(high)
    return Measurement(name, top.k, label, value, low if shown else None, high if shown else None, n)


def _measure(
    top: TopK, metrics: Mapping[str, Metric], segments: Sequence[tuple[str, NDArray[np.intp]]], n_groups: int, rng: RNG
) -> tuple[list[Measurement], dict[str, Floats], dict[str, Floats]]:
    """Return all metrics at one cut-off, the per-user values of those that have them, and the others' influences."""
    values = {name: _evaluate(top, name, metric) for name, metric in metrics.items()}
    influences: dict[str, Floats] = {}
    measurements = []
    for label, rows in [(ALL_USERS, None), *segments]:
        some = top if rows is None else top.take(rows)
        for name, metric in metrics.items():
            # What a user's own list gives is the same in every group.
            mine = (
                values[name]
                if rows is None
                else values[name][rows]
                if values[name].ndim
                else _evaluate(some, name, metric)
            )
            error, df = np.nan, np.nan
            if n_groups:
                influence, df = _influence(some, metric, mine, n_groups, rng)
                error = float(np.linalg.norm(influence))
                if rows is None and not mine.ndim:
                    influences[name] = influence.astype(np.float32)
            measurements.append(_measurement(name, metric, some, label, mine, error, df))
    return measurements, {name: found for name, found in values.items() if found.ndim}, influences


def _segments(users: IntoFrame, user_ids: Array, doubts: Doubts) -> list[tuple[str, NDArray[np.intp]]]:
    """Return a label and the rows of each group of users."""
    names = _frames.column_names(users, "users")
    key = _frames.resolve_columns(names, ["user_id"], what="users")["user_id"]
    columns = {str(name): name for name in names if name != key}
    if len(columns) < len(names) - 1:
        raise InvalidInputError(f"users has columns of one name once written as text ({names}). Rename one of them.")
    if not columns:
        raise InvalidInputError("users has no column besides the user ids. Add one with the group of each user.")
    given = {"user_id": key} | columns
    table = _frames.to_table(users, required=("user_id",), optional=list(columns), given=given, what="users")
    if table["user_id"].is_duplicated().any():
        raise InvalidInputError("users has a user more than once. Keep one row a user.")
    place = _frames.lookup(user_ids, _frames.to_ids(table["user_id"]), "users user_id")
    if missing := int((place < 0).sum()):
        doubts.notes.append(f"{missing:,} users with recommendations are not in users; they are in no user group.")
    segments = []
    for name in columns:
        labels, codes = _frames.encode(_frames.labels(table[name], "users"))
        mine = np.where(place >= 0, codes[place], -1)
        segments += [(f"{name}={label}", np.flatnonzero(mine == code)) for code, label in enumerate(labels)]
    return [(label, rows) for label, rows in segments if len(rows)]


def _vectors(vectors: Array | Mapping[Any, Array], train: Interactions) -> NDArray[np.floating[Any]]:
    if isinstance(vectors, Mapping):
        missing = [i for i in train.item_ids.tolist() if i not in vectors]
        if missing:
            raise InvalidInputError(f"item_vectors lacks {len(missing)} items, for example {missing[0]!r}.")
        vectors = [to_numpy(vectors[i]) for i in train.item_ids.tolist()]  # type: ignore[assignment]
    found = numbers(vectors)
    if found.ndim != 2 or len(found) != train.n_items or not found.shape[1] or found.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"item_vectors has shape {found.shape} and type {found.dtype}; give one row for each of the "
            f"{train.n_items} items, in the order of train.item_ids, or a mapping from item id to its numbers."
        )
    finite("item_vectors", found, "Leave them out, or give every item a vector.")
    return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)


def _group_shares(full: TopK, cutoffs: Sequence[int]) -> tuple[dict[str, Any], ...]:
    groups = full.groups
    shares = {
        "items": np.array([groups.sizes[name] for name in groups.names]) / len(groups.codes),
        "training": groups.shares(full.popularity),
    } | {f"recommendations@{k}": groups.shares(full.at(k).slots) for k in cutoffs}
    return tuple(
        {"group": name} | {key: float(values[i]) for key, values in shares.items()}
        for i, name in enumerate(groups.names)
    )


def _most_unequal(top: TopK, n: int = 10) -> tuple[tuple[ItemExposure, ...], tuple[ItemExposure, ...]]:
    train = top.profiles.train
    popularity = train.popularity / max(1, train.popularity.sum())
    exposure = top.slots / max(1, top.slots.sum())
    difference = exposure - popularity
    order = np.argsort(-difference, kind="stable")

    def describe(code: int) -> ItemExposure:
        title = str(train.item_ids[code]) if train.item_titles is None else str(train.item_titles[code])
        return ItemExposure(
            item_id=train.item_ids[code].item() if hasattr(train.item_ids[code], "item") else train.item_ids[code],
            title=title,
            group=top.groups.names[top.groups.codes[code]],
            popularity=int(train.popularity[code]),
            slots=int(top.slots[code]),
            interaction_share=float(popularity[code]),
            exposure_share=float(exposure[code]),
        )

    over = tuple(describe(c) for c in order[:n] if difference[c] > 0)
    under = tuple(describe(c) for c in order[::-1][:n] if difference[c] < 0)
    return over, under
