"""The audit of a table of recommendations."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from headtail import _frames
from headtail._checks import checked, finite, generator, integer
from headtail._embeddings import taken_apart
from headtail._factors import axis_ids, numbers, to_numpy
from headtail._printable import counted
from headtail._spelling import respelled, twins
from headtail._top import highest
from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.data.interactions import rating_notes, read_pairs
from headtail.data.popularity import Grouping, as_groups
from headtail.exceptions import InvalidInputError
from headtail.metrics.attributes import read_attributes, read_columns
from headtail.metrics.built_in import metrics_of
from headtail.metrics.collapse import collapse_notes
from headtail.metrics.facts import Metrics, by_name, definition, facts_of, kept_facts
from headtail.metrics.lists import InputNotes, count_overlap, fingerprints, judge, read_lists, widen, with_times, within
from headtail.metrics.measuring import measure
from headtail.metrics.results import ALL_USERS, Audit, ItemExposure, Measurement
from headtail.metrics.topk import Metric, Profiles, TopK
from headtail.typing import RNG, Array, Floats, IntoFrame, Ints, Vectors

_NAMED = 10  # of the items that are over-exposed most, and of those that are under-exposed most


@checked
def audit(
    recs: "Recommendations | IntoFrame",
    train: "Interactions | IntoFrame | None" = None,
    test: "Interactions | IntoFrame | None" = None,
    *,
    k: int | Sequence[int] | None = None,
    users: "IntoFrame | None" = None,
    items: "IntoFrame | None" = None,
    metrics: Metrics | None = None,
    groups: Grouping = PopularityGroups.by_mass,
    catalogue: Iterable[Any] | None = None,
    item_vectors: Array | Mapping[Any, Array] | Vectors | None = None,
    as_of_event: bool = False,
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
    train : Interactions or frame, optional
        What the recommender learned from. It defines popularity, the users' own taste and the catalogue. Without it the
        lists alone are measured: how evenly they share the places, and accuracy, if there is a test.
    test : Interactions or frame, optional
        What the users did later, for accuracy. Test users without recommendations count as misses.
    k : int or sequence of int, optional
        Cut-offs; 10 and 20 by default, as far as the lists reach.
    users : frame or mapping, optional
        A user column and any number of others; each of those splits the users into groups that are measured apart. Or
        from each user to a group, or to a mapping of attributes.
    items : frame or mapping, optional
        An item column and any number of others, such as provider, genre or language: exposure is shown by the values of
        each, with its Gini between them (``gini_of_genre``). An item of several values has several rows, a list, or
        text with "|" between them, and counts in equal parts for each. A mapping goes from items to any of these.
    metrics : functions of a TopK, or mapping from name to function, optional
        What to measure instead of the whole set, yours included. Accuracy also by target group: ``ndcg_head`` ...
    groups : PopularityGroups, or function from popularity to one, default PopularityGroups.by_mass
        What head, mid and tail mean: the most popular items that hold 20% of interactions, and the least popular that
        hold 20%. For example ``functools.partial(PopularityGroups.by_rank, cuts=(0.1, 0.9))``.
    catalogue : ids, optional
        All items that could be recommended, if there are more than training and test show.
    item_vectors : array of shape (n_items, d), mapping or table from item id to vector, or Vectors, optional
        For the distance between items of a list (``ilad``). Rows follow ``train.item_ids``; Vectors with `item_ids` are
        joined by them.
    as_of_event : bool, default False
        Measure popularity as of each user's first test interaction too (``arp_then``, ``popularity_lift_then``): only
        training interactions before it count. Needs times in `train` and `test`.
    strict : bool, default True
        Refuse users and recommended items that `train` does not know, and test interactions that are in training too.
        False keeps them, and notes it.
    n_bootstrap : int, default 200
        0 leaves out all intervals. Else how often a metric of yours may be evaluated for its interval, if it is one
        number and does not say what it owes to each user (see :func:`headtail.metrics.better`); 50 times at most.
    rng : seed or generator, default 0
        Draws the groups of users that such a metric is evaluated without.

    Notes
    -----
    An interval speaks of what an audit of as many users of the same kind gives on average. Coverage, Gini, entropy and
    their like depend on that number: do not compare audits of different numbers of users by them.

    Means over users and shares have score intervals (Wilson's for a share of users), which hold where hits are rare:
    without any hit among n users the upper end is near to 4 / n. Other metrics have the value plus and minus Student's
    quantile times a jackknife error over users, without what lists bring about together, which the jackknife counts
    several times. Metrics of counts of items, and means without an upper end, have no interval where fewer than about
    15 users decide on them. Means of popularity take 100 users; so does `pop_rsp`, and 20 slots in a popularity group;
    `mrr`, `pop_reo` and accuracy by target group take 200. A metric of yours that is one number and does not say what
    it owes to each user has none where it is not about the sum of what groups of users add, as medians and counts of
    distinct items are not; a note says so. How often intervals cover the true value is measured by
    ``benchmarks/interval_coverage.py`` (docs/intervals.md).

    Examples
    --------
    >>> train = pl.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "c", "a"]})
    >>> recs = pl.DataFrame({"user_id": [1, 2, 3], "item_id": ["c", "b", "b"], "rank": [1, 1, 1]})
    >>> result = audit(recs, train, k=1, n_bootstrap=0)
    >>> result["arp@1"], round(result["gini@1"], 3)
    (1.0, 0.444)
    """
    noted = InputNotes(strict=strict, any_user=train is None, any_item=train is None and catalogue is None)
    cutoffs = cutoffs_of(k)
    if integer("n_bootstrap", n_bootstrap) == 1:
        raise InvalidInputError("n_bootstrap=1 has no spread; give at least 2, or 0 for no intervals.")
    generator(rng)
    given = None if metrics is None else by_name(metrics)
    known, test = _read(train, test, noted, times=as_of_event)
    interactions = widen(known, catalogue, test, noted)

    with ThreadPoolExecutor(1) as pool:  # reads no frames: some engines are not thread-safe
        overlapping = pool.submit(count_overlap, interactions, test)
        asked = k is not None
        full, user_ids, cutoffs = judged(recs, interactions, test, cutoffs, groups, noted, item_vectors, asked=asked)
        full = with_times(full, test, user_ids) if as_of_event else full
    if overlap := overlapping.result():
        noted.of_overlap(f"{overlap:,} of {counted(len(full.target_items), 'test interaction')}")
    attributes = [] if items is None else read_attributes(items, full.profiles.train, noted.notes)
    named = () if train is None else full.groups.names
    chosen = metrics_of(named if full.has_targets else None, full.extras) if given is None else given
    chosen = chosen if train is not None else _without_training(chosen, full, noted, refuse=given is not None)
    chosen = chosen | {attribute.metric: attribute.unevenness for attribute in attributes}
    segments = [] if users is None else _segments(users, user_ids, noted)

    tops = {cutoff: full.at(cutoff) for cutoff in cutoffs}
    measurements, user_values, user_influences = list[Measurement](), dict[str, Floats](), dict[str, Floats]()
    for cutoff, top in tops.items():
        found, values, influences = measure(top, chosen, segments, n_bootstrap, rng)
        measurements += found
        user_values |= {f"{name}@{cutoff}": value for name, value in values.items()}
        user_influences |= {f"{name}@{cutoff}": value for name, value in influences.items()}
    noted.notes += _without_interval(measurements, chosen, user_influences)
    over, under = most_unequal(top)
    doubts = collapse_notes(top)
    return Audit(
        measurements=tuple(measurements),
        group_shares=() if train is None else group_shares(tops),
        attribute_shares=tuple(row for attribute in attributes for row in attribute.shares(tops)),
        over_exposed=over,
        under_exposed=under,
        groups=full.groups,
        definitions={name: definition(metric) for name, metric in chosen.items()},
        facts=kept_facts(chosen),
        measures=dict(chosen),
        notes=(*noted.notes, *doubts),
        doubts=tuple(doubts),
        lists=top,
        user_ids=user_ids,
        user_values=user_values,
        user_influences=user_influences,
        judged_by=fingerprints(full.profiles, test),
        provenance={
            "k": cutoffs, "n_bootstrap": n_bootstrap, "strict": strict, "as_of_event": as_of_event,
            "rng": "a generator" if isinstance(rng, np.random.Generator) else rng,
        },
    )  # fmt: skip


def _read(train: Any, test: Any, noted: InputNotes, *, times: bool) -> tuple[Interactions, Interactions | None]:
    """Read the training interactions, empty where not given, and those of the test; note what is odd about them."""
    if train is None:
        known = Interactions(*np.empty((2, 0), dtype=np.int64), *np.empty((2, 0), dtype=np.int32))
    else:  # count_overlap refuses repeats
        known, given = read_pairs(train, "train", repeats=True, times=times)
        noted.notes += rating_notes(known, given, "train")
    noted.notes += twins(known.item_ids, "item_id", "the items of train")
    if test is None:
        return known, None
    later, given = read_pairs(test, "test", times=times)
    noted.notes += rating_notes(later, given, "test")
    return known, later


def judged(
    recs: "Recommendations | IntoFrame", train: Interactions, test: Interactions | None, cutoffs: Sequence[int],
    groups: Grouping | Profiles, noted: InputNotes, item_vectors: Any = None, *, asked: bool = True,
) -> tuple[TopK, Array, list[int]]:  # fmt: skip
    """Return lists with what they are judged by, the user id of each, and the cut-offs that they reach.

    Profiles, which hold groups, serve as they are unless lists have other items than training.
    """
    lists, longest, known = read_lists(recs, train, cutoffs[-1], noted)
    reached = within(longest, cutoffs, asked=asked)
    vectors = None if item_vectors is None else _vectors(item_vectors, known)
    if isinstance(groups, Profiles) and groups.train is known:
        profiles = groups
    else:
        given = groups.groups if isinstance(groups, Profiles) else groups
        if noted.any_user:  # nothing says how popular items are
            given = PopularityGroups(("all",), np.zeros(known.n_items, dtype=np.int8), "", known.popularity)
        profiles = Profiles(known, as_groups(given, known.popularity))
    top, user_ids = judge(lists, profiles, test, vectors, noted)
    return top, user_ids, reached


def _without_training(
    metrics: Mapping[str, Metric], top: TopK, noted: InputNotes, *, refuse: bool
) -> dict[str, Metric]:
    """Return the metrics that lists alone allow; refuse or note the others, and what would allow them."""
    needs = {name: set(facts_of(metric).needs) for name, metric in metrics.items()}
    unknown = [name for name in needs if "popularity" in needs[name]]
    said = "Only training interactions say how popular items are and what people like"
    if refuse and unknown:
        raise InvalidInputError(f"{said}. Give train=... to measure {', '.join(unknown)}.")
    noted.notes.append(f"{said}; without them {', '.join(unknown)} are left out.")
    if noted.any_item:
        unknown.append("coverage")
        noted.notes.append(
            f"The catalogue is the {counted(top.profiles.train.n_items, 'item')} of the lists"
            f"{' and the test' * top.has_targets}, which says nothing of coverage. Those that nobody is shown count "
            f"where a catalogue of all ids, or training interactions, are given."
        )
    return {name: metric for name, metric in metrics.items() if refuse or name not in unknown}


def cutoffs_of(k: int | Sequence[int] | None) -> list[int]:
    """Return the cut-offs, ascending; 10 and 20 where none are given."""
    wanted = (10, 20) if k is None else k if isinstance(k, Iterable) and not isinstance(k, str) else (k,)
    cutoffs = sorted({integer("k", cutoff, low=1) for cutoff in wanted})
    if not cutoffs:
        raise InvalidInputError("k names no cut-off. Give at least one, such as k=10.")
    return cutoffs


def _without_interval(
    measurements: Iterable[Measurement], metrics: Mapping[str, Metric], influences: Mapping[str, Floats]
) -> list[str]:
    """Return a note if metrics of one's own have no interval though they were evaluated for one."""
    silent = [
        f"{m.metric}@{m.k}" for m in measurements
        if m.users == ALL_USERS and m.low is None and np.isfinite(m.value) and f"{m.metric}@{m.k}" in influences
        and facts_of(metrics[m.metric]).influence is None
    ]  # fmt: skip
    if not silent:
        return []
    return [
        f"No interval of {', '.join(silent)}: too few users decide, or many only together. Say what such a metric owes "
        f"to each user (headtail.metrics.better), or let it return one value for each user."
    ]


def _segments(users: IntoFrame, user_ids: Array, noted: InputNotes) -> list[tuple[str, Ints]]:
    """Return a label and the rows of each group of users."""
    table, names = read_columns(users, "user_id", "users", "group")
    if table["user_id"].is_duplicated().any():
        raise InvalidInputError("users has a user more than once. Keep one row a user.")
    known = _frames.to_ids(table["user_id"])
    place = _frames.lookup(user_ids, known, "recs user_id", "users")
    if missing := int((place < 0).sum()):
        alike = respelled(user_ids[place < 0], known, "user_id")
        noted.notes.append(
            f"users lacks {counted(missing, 'user')} with recommendations; they are in no user group.{alike}"
        )
    segments = []
    for name in names:
        labels, codes = _frames.encode(_frames.labels(table[name], "users"))
        mine = np.where(place >= 0, codes[place], -1)
        order = np.argsort(mine, kind="stable")
        rows = np.split(order, np.searchsorted(mine[order], np.arange(len(labels))))[1:]
        segments += [(f"{name}={label}", found) for label, found in zip(labels, rows, strict=True)]
    return [(label, rows) for label, rows in segments if len(rows)]


def _vectors(vectors: Array | Mapping[Any, Array] | Vectors, train: Interactions) -> Floats:
    ids = vectors.item_ids if isinstance(vectors, Vectors) else None
    vectors = vectors.items if isinstance(vectors, Vectors) else vectors
    if not isinstance(vectors, Mapping) and (table := taken_apart(vectors, "item_vectors")) is not None:
        vectors, ids = table
    if (ids := axis_ids(vectors, 0) if ids is None else ids) is not None:
        vectors = dict(zip(_frames.unique_ids(ids, "item_id").tolist(), numbers(vectors), strict=True))
    if isinstance(vectors, Mapping):
        missing = [i for i in train.item_ids.tolist() if i not in vectors]
        if missing:
            raise InvalidInputError(f"item_vectors lacks {counted(len(missing), 'item')}, for example {missing[0]!r}.")
        vectors = [to_numpy(vectors[i]) for i in train.item_ids.tolist()]  # type: ignore[assignment]
    found = numbers(vectors)
    if found.ndim != 2 or len(found) != train.n_items or not found.shape[1] or found.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"item_vectors has shape {found.shape} and type {found.dtype}; give one row for each of the "
            f"{train.n_items} items, in the order of train.item_ids, or a mapping from item id to its numbers."
        )
    finite("item_vectors", found, "Leave them out, or give every item a vector.")
    return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)


def group_shares(tops: Mapping[int, TopK]) -> tuple[dict[str, Any], ...]:
    """Return the share of the items, the training interactions and the slots that each popularity group has."""
    first = next(iter(tops.values()))
    groups = first.groups
    shares = {
        "items": np.array([groups.sizes[name] for name in groups.names]) / len(groups.codes),
        "training": groups.shares(first.popularity),
    } | {f"recommendations@{k}": groups.shares(top.slots) for k, top in tops.items()}
    return tuple(
        {"group": name} | {key: float(values[i]) for key, values in shares.items()}
        for i, name in enumerate(groups.names)
    )


def most_unequal(top: TopK) -> tuple[tuple[ItemExposure, ...], tuple[ItemExposure, ...]]:
    """Return the items whose share of the slots exceeds, and falls below, that of training most."""
    train = top.profiles.train
    popularity = train.popularity / max(1, train.popularity.sum())
    exposure = top.slots / max(1, top.slots.sum())
    difference, n = exposure - popularity, min(_NAMED, len(popularity))

    def describe(code: int) -> ItemExposure:
        return ItemExposure(
            item_id=train.item_ids[code].item() if hasattr(train.item_ids[code], "item") else train.item_ids[code],
            title=str(train.item_labels[code]),
            group=top.groups.names[top.groups.codes[code]],
            popularity=int(train.popularity[code]),
            slots=int(top.slots[code]),
            interaction_share=float(popularity[code]),
            exposure_share=float(exposure[code]),
        )

    # Of ties the first above, the last below.
    above, below = highest(difference[None], n)[1][0], len(difference) - 1 - highest(-difference[None, ::-1], n)[1][0]
    return tuple(map(describe, above[difference[above] > 0])), tuple(map(describe, below[difference[below] < 0]))
