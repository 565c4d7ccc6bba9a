"""An audit whose rows stay in their engine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from headtail import _frames
from headtail._checks import checked
from headtail._printable import counted
from headtail.data import Interactions, PopularityGroups
from headtail.data.popularity import Grouping, as_groups
from headtail.engines.measures import Measures, by_group, function_of, is_sum, refuse_others
from headtail.engines.moments import Moments, Part, lost, moments_of, power_sums
from headtail.engines.results import EngineAudit
from headtail.engines.sums import UserSums
from headtail.engines.tables import collect, count_items, either, in_parts, lazy_table, of_one_engine
from headtail.exceptions import InvalidInputError
from headtail.metrics.auditing import cutoffs_of, group_shares, most_unequal
from headtail.metrics.built_in import metrics_of
from headtail.metrics.collapse import few_items, few_lists, few_users
from headtail.metrics.exposure import pop_reo, pop_rsp
from headtail.metrics.facts import Metrics, by_name, definition, facts_of, kept_facts
from headtail.metrics.lists import InputNotes, widen, with_cold, within
from headtail.metrics.measuring import measurements_of
from headtail.metrics.results import ALL_USERS, Measurement
from headtail.metrics.topk import Metric, Profiles, TopK, without_test
from headtail.typing import Array, IntoFrame

_PAIR = ("user_id", "item_id")
_PAIRS = 30_000_000  # rows whose pairs Polars compares at a time


@checked
def audit(
    recs: "IntoFrame",
    train: "IntoFrame",
    test: "IntoFrame | None" = None,
    *,
    k: int | Sequence[int] | None = None,
    metrics: Metrics | None = None,
    groups: Grouping = PopularityGroups.by_mass,
    catalogue: Iterable[Any] | None = None,
    strict: bool = True,
) -> EngineAudit:
    """Measure popularity bias of recommendations where they lie: in DuckDB, Spark, or files that Polars scans.

    The figures and intervals of :func:`headtail.audit`, by queries of the engine that count items and sum up users;
    what is collected is as long as the catalogue. Per-user values stay there, so that two such audits have no paired
    differences.

    Parameters
    ----------
    recs : Polars LazyFrame, DuckDB relation or PySpark DataFrame
        One row for each recommended item: user, item, and rank (1 = first), for rows of an engine have no order.
    train, test : tables of the same engine
        Ids are of the same type in all three.
    k, groups, catalogue, strict
        As for :func:`headtail.audit`.
    metrics : functions of a TopK, or mapping from name to function, optional
        Of headtail's own those that are made of sums over items and users: all but `gini_by_rank`, `pce`, `novelty` and
        `ilad`. All of them by default; others are an error.

    Examples
    --------
    >>> train = pl.LazyFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "c", "a"]})
    >>> recs = pl.LazyFrame({"user_id": [1, 2, 3], "item_id": ["c", "b", "b"], "rank": [1, 1, 1]})
    >>> result = audit(recs, train, k=1)
    >>> result["arp@1"], round(result["gini@1"], 3)
    (1.0, 0.444)
    """
    cutoffs = cutoffs_of(k)
    noted = InputNotes(strict=strict)
    tables = {"recs": lazy_table(recs, (*_PAIR, "rank"), "recs"), "train": lazy_table(train, _PAIR, "train")}
    tables |= {} if test is None else {"test": lazy_table(test, _PAIR, "test")}
    of_one_engine(**tables)
    chosen = _chosen(metrics, has_test=test is not None)

    shown_items = _count_slots(tables["recs"], cutoffs)
    catalogued, targets = _catalogue(tables, catalogue, shown_items, noted)
    _check_pairs(tables, max(shown_items["n"].sum(), catalogued.popularity.sum()), noted)
    profiles = Profiles(catalogued, as_groups(groups, catalogued.popularity))
    slots = {c: _on(catalogued, shown_items, f"at {c}", "recs").astype(np.int64) for c in cutoffs}
    n_listed, longest = float(shown_items["at 1"].sum()), int(shown_items["longest"].max())
    reached = within(longest, cutoffs, asked=k is not None)
    tops = {c: _totals(profiles, c, slots[c if c in slots else cutoffs[0]]) for c in reached}
    if chosen is None:
        names = profiles.groups.names if test is not None else None
        chosen = {name: one for name, one in metrics_of(names).items() if is_sum(one)}

    uses = {function_of(one) for one in chosen.values()}
    sums = UserSums(catalogued.item_ids, by_group(next(iter(tops.values()))), reached[-1], **tables)
    measures = Measures(
        sums,
        heard=_heard(tables, catalogued) if pop_rsp in uses else catalogued.popularity,
        n_listed=n_listed,
        hits={c: _hits(tables, catalogued, c) for c in reached} if pop_reo in uses else {},
        targets=targets,
    )
    parts = {f"{name}@{c}": measures.part(name, one, top) for c, top in tops.items() for name, one in chosen.items()}
    found, n = _summed(parts, sums, n_listed, noted)
    measurements = [_measurement(part, found[key], n["users"]) for key, part in parts.items()]
    top = tops[reached[-1]]
    over, under = most_unequal(top)
    n_lists = n["users"] - n["unlisted"]
    doubts = few_items(top.slots, n_lists) + few_lists(n["wanting"], n["wanting"] - n["unlisted"]) + few_users(n_lists)
    return EngineAudit(
        measurements=tuple(measurements),
        group_shares=group_shares(tops),
        over_exposed=over,
        under_exposed=under,
        groups=profiles.groups,
        definitions={name: definition(one) for name, one in chosen.items()},
        facts=kept_facts(chosen),
        notes=(*noted.notes, *doubts),
        doubts=tuple(doubts),
        n_users=n["users"],
        item_ids=catalogued.item_ids,
        popularity=top.popularity,
        slots=top.slots,
    )


def _chosen(metrics: Metrics | None, *, has_test: bool) -> dict[str, Metric] | None:
    """Return the metrics that are asked for, if any; raise if one cannot be had here."""
    if metrics is None:
        return None
    chosen = by_name(metrics)
    refuse_others(chosen)
    for name, one in chosen.items():
        if not has_test and "targets" in facts_of(one).needs:
            raise without_test(name)
    return chosen


def _catalogue(
    tables: Mapping[str, Any], catalogue: Iterable[Any] | None, shown_items: Any, noted: InputNotes
) -> tuple[Interactions, Array | None]:
    """Return the catalogue with the popularity of its items, and the test interactions of each."""
    counts = {what: count_items(tables[what], what) for what in ("train", "test") if what in tables}
    for what, table in counts.items():
        if table.is_empty():
            raise InvalidInputError(f"{what} has no rows. Check the filter or the table it came from.")
    parts = {what: _counted(table) for what, table in counts.items()}
    items = widen(parts["train"], catalogue, parts.get("test"), noted)
    items = with_cold(items, _frames.to_ids(shown_items["item_id"]), noted)
    targets = _on(items, counts["test"], "n", "test").astype(np.int64) if "test" in counts else None
    return items, targets


def _counted(table: Any) -> Interactions:
    """Return a catalogue without users, whose items are as popular as a table says."""
    nobody = np.empty(0, dtype=np.int32)
    items = Interactions(np.empty(0, dtype=np.int64), _frames.to_ids(table["item_id"]), nobody, nobody)
    items.__dict__["popularity"] = table["n"].to_numpy().astype(np.int64)
    return items


def _on(items: Interactions, table: Any, column: str, what: str) -> Array:
    """Return a column of a table of items in the order of the catalogue, 0 where an item has no row."""
    values = np.zeros(items.n_items)
    codes = _frames.lookup(table["item_id"], items.item_ids, f"{what} item_id")
    values[codes] = table[column].to_numpy()
    return values


def _count_slots(lists: Any, cutoffs: Sequence[int]) -> Any:
    """Return the slots of each item that is recommended, by cut-off, and its last rank."""
    rank = nw.col("rank")
    within = {f"at {c}": either(rank <= c, 1.0) for c in {1, *cutoffs}}
    table = count_items(lists, "recs", **within, longest=rank)
    if table.is_empty():
        raise InvalidInputError("recs has no rows. Check the filter or the table it came from.")
    if not table["at 1"].sum() or table["longest"].max() < 1:  # type: ignore[operator]
        raise InvalidInputError("recs has no row of rank 1. Number each user's items 1, 2, 3 ...")
    return table


def _totals(profiles: Profiles, k: int, slots: Array) -> TopK:
    """Return lists of which only the slots of items are known, all that metrics of counts read."""
    items, none = np.empty((0, k), dtype=np.int32), np.zeros(1, dtype=np.int64)
    top = TopK(items, items[:, 0], profiles, none, items[:0, 0], none[:0], has_targets=False)
    top.__dict__["slots"] = slots
    return top


def _heard(tables: Mapping[str, Any], items: Interactions) -> Array:
    """Return the training interactions of each item by users who have a list."""
    listed = tables["recs"].filter(nw.col("rank") == 1).select("user_id")
    return _on(items, count_items(tables["train"].join(listed, on="user_id", how="semi"), "train"), "n", "train")


def _hits(tables: Mapping[str, Any], items: Interactions, k: int) -> Array:
    """Return the test interactions of each item that are in the first k places."""
    shown_items = tables["recs"].filter(nw.col("rank") <= k)
    found = tables["test"].join(shown_items, on=[*_PAIR], how="inner")
    return _on(items, count_items(found, "test"), "n", "test")


def _check_pairs(tables: Mapping[str, Any], n_rows: float, noted: InputNotes) -> None:
    """Refuse pairs that are there twice, and report those in training and in the test."""
    repeated, overlap = dict.fromkeys(tables, 0), 0
    for part in in_parts(tables, n_rows / _PAIRS):
        for what, table in part.items():
            counts = table.group_by(*_PAIR).agg(nw.len().alias("n")).filter(nw.col("n") > 1)
            repeated[what] += collect(counts.select((nw.col("n") - 1).sum().alias("n")))["n"][0] or 0
        if "test" in part:
            both = part["test"].join(part["train"], on=[*_PAIR], how="semi")
            overlap += collect(both.select(nw.len().alias("n")))["n"][0]
    for what, n in repeated.items():
        if n:
            raise InvalidInputError(
                f"{what} has {counted(n, 'row', 'that repeats', 'that repeat')} a pair of user and item. Keep each "
                f"pair once."
            )
    if overlap:
        noted.of_overlap(counted(overlap, "test interaction"))


def _run(parts: Mapping[str, Part], sums: UserSums, n_users: float, counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sums over all users."""
    rows = [collect(power_sums(parts, table, counts)) for table in sums.tables(n_users)]
    return pl.concat(rows).sum().row(0, named=True)


def _summed(
    parts: dict[str, Part], sums: UserSums, n_users: float, noted: InputNotes
) -> tuple[dict[str, Any], dict[str, int]]:
    """Run the query over users, again where the first run showed that the centers were far off, and count the users."""
    ones = np.ones(len(sums.item_ids))
    listed = nw.col("n") > 0
    asked = {
        "users": nw.lit(True),
        "gaps": (nw.col("high") != nw.col("n")) | sums.gaps(),
        "short": listed & (nw.col("n") < sums.k),
        "unlisted": ~listed,
        "wanting": sums.wants(),
        "cold": sums.history(ones) == 0,
    }
    counts = {f"{name} count": either(condition, 1.0) for name, condition in asked.items()}
    row = _run(parts, sums, n_users, counts)
    found = {key: moments_of(key, part, row) for key, part in parts.items()}
    n = {name: int(row[f"{name} count"]) for name in asked}
    _judge(n, sums.k, noted)
    far = {
        key: replace(part, centers=found[key][1])
        for key, part in parts.items()
        if lost(found[key][0], part, found[key][1])
    }
    if far:
        row = _run(far, sums, n_users, counts)
        found |= {key: moments_of(key, part, row) for key, part in far.items()}
    return {key: moments for key, (moments, _) in found.items()}, n


def _judge(n: Mapping[str, int], k: int, noted: InputNotes) -> None:
    """Refuse what cannot be right, and note what a reader should know."""
    if n["gaps"]:
        raise InvalidInputError(
            f"recs has ranks that are not 1, 2, 3 ... for {counted(n['gaps'], 'user')}. Number each user's items from "
            f"1 without gaps or repeats, such as by row_number() over each user."
        )
    noted.of_users(unlisted=n["unlisted"], cold=n["cold"], short=n["short"], k=k)


def _measurement(part: Part, moments: Moments, n_users: int) -> Measurement:
    is_mean, figure = part.figure is None and len(part.values) == 1, part.figure
    value, n = (moments.mean if figure is None else figure), (moments.n if is_mean else n_users)
    error, df = part.finish(moments, n_users)
    figures = np.array(value)[None], np.array(n)[None], np.array(error)[None], np.array(df)[None]
    (found,) = measurements_of(part.name, facts_of(part.metric), part.k, [ALL_USERS], figures, per_user=is_mean)
    return found
