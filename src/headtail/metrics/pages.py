"""How audits and comparisons are laid out as reports."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from headtail._printable import counted
from headtail._stats import gini
from headtail.metrics.charts import (
    MEANING,
    concentration_chart,
    exposure_chart,
    frequency_chart,
    groups_text,
    items_chart,
    notes_block,
)
from headtail.metrics.facts import Better
from headtail.metrics.references import MOST_POPULAR, RANDOM
from headtail.metrics.verdicts import of_gate
from headtail.reports import Block, Chart, Column, Figure, Figures, Report, Section, Table, Text
from headtail.reports._markdown import bullets
from headtail.typing import Array

if TYPE_CHECKING:
    from headtail.metrics.comparison import Comparison
    from headtail.metrics.results import Audit, ItemExposure, Judgement, Measured, Measurement

FAMILIES = {
    "accuracy": "Accuracy: is what people wanted found?",
    "exposure": "Exposure: who gets the places?",
    "popularity": "Popularity, and people's own taste",
    "diversity": "Diversity",
    None: "Metrics of your own",
}
_VALUES, _SEGMENTS = 20, 100  # values of an attribute and user groups in a table, and user groups with those folded
_EQUAL_PARTS = """Share of the items, of the training interactions, and of the recommended places; an item of several
values counts in equal parts for each."""
_SAMPLE = 1000  # people at most among whom that one is picked
BESIDE = "Beside what people did (training), the most popular items for everyone, and random items for everyone."
_SAME = "Differences compare the same people with themselves. "
_NOISE = "≈ stands where the 95% interval holds 0, so that the difference may be noise, as one without interval may."
CHANGES = ("ndcg", "ndcg_head", "ndcg_tail", "recall", "gini", "coverage", "head_share", "tail_share", "aplt", "arp",
           "popularity_lift", "upd")  # fmt: skip
CHANGES_OF_MANY = ("ndcg", "ndcg_tail", "gini", "coverage", "head_share", "popularity_lift")


def audit_page(audit: "Audit") -> Report:
    """Return the report of one audit: the verdict, the scale, who gets the places, items, and all metrics."""
    k, top = audit.cutoffs[-1], audit.lists
    blocks = headline_figures(audit)
    if audit.headlines and audit.references:
        scale = [("these lists", {m: audit[f"{m}@{k}"] for m in audit.headlines}), *audit.references.items()]
        blocks.append(_by_metric(audit, audit.headlines, scale, title="On one scale", caption=BESIDE))
    chart = items_chart(top)
    blocks += who_gets_the_places(audit, top.popularity, top.slots, [] if chart is None else [chart])
    if audit.attribute_shares:
        blocks.append(Section("By attributes of the items", _attribute_tables(audit)))
    segments = list(dict.fromkeys(m.users for m in audit.measurements if m.users != "all"))
    if segments:
        blocks += _by_user_group(audit, segments, k)
    blocks.append(all_metrics(audit))
    blocks.append(_how(audit))
    blocks += notes_block(note for note in audit.notes if note not in audit.doubts)  # those open the page
    return Report(f"Popularity audit of {counted(len(audit.user_ids), 'user')}", blocks, audit.verdict)


def comparison_page(comparison: "Comparison") -> Report:
    """Return the report of a comparison: the verdict, the trade-off, changes, the scale, and who gets the places."""
    k, audits = comparison.k, comparison.audits
    first, base = next(iter(audits.values())), audits[comparison.baseline]
    shared = [m for m in first.definitions if all(m in audit.definitions for audit in audits.values())]
    shown = [metric for metric in first.headlines if metric in shared] or shared
    counts = {name: audit.lists.at(k).slots for name, audit in audits.items()}
    popularity, trained = base.lists.popularity, bool(base.group_shares)
    chart = _tradeoff(comparison) if {"ndcg", "gini"} <= set(shared) and len(audits.keys() - {RANDOM}) > 1 else None
    blocks: list[Block] = [] if chart is None else [chart]
    several = len(audits) > 2
    blocks += _changes(comparison) if several else [_side_by_side(comparison, shown)]
    blocks += [table for table in [_one_list(comparison)] if table]
    blocks += [_scale(comparison, shown)] if several else []
    places: list[Block] = [concentration_chart(({"training": popularity} if trained else {}) | counts)]
    if trained:
        bars = {"training": _bars(first, {})["training"]} | {
            name: _bars(audit, {name: f"recommendations@{k}"})[name] for name, audit in audits.items()
        }
        places = [
            exposure_chart(bars, "Share of the training interactions and of the recommended places."),
            Text(groups_text(first.groups)),
            *places,
            frequency_chart(popularity, counts),
        ]
    blocks += [Section("Who gets the places", places), *notes_block(comparison.notes)]
    title = (
        f"{len(audits)} recommenders compared" if len(audits) > 1 else f"{comparison.baseline} beside the references"
    )
    return Report(title, blocks, comparison.verdict)


def gated(page: Report, judged: "Sequence[Judgement]") -> Report:
    """Return a page that opens with what a gate decided, if that is given."""
    return Report(page.title, page.blocks, f"{of_gate(judged)}\n\n{page.lede}") if judged else page


def headline_figures(audit: "Measured") -> list[Block]:
    """Return the metrics that come first as a strip of figures, where there are any."""
    figures = [figure_of(audit, name) for name in audit.headlines]
    return [Figures(figures)] if figures else []


def figure_of(audit: "Measured", metric: str, before: float | None = None) -> Figure:
    """Return a metric at the largest cut-off as a figure."""
    m = audit.measurement(f"{metric}@{audit.cutoffs[-1]}")
    return Figure(
        title_of(audit, metric), m.value, m.low, m.high, format=audit.facts[metric].format, code=m.name,
        note=defined(audit, metric), before=before,
    )  # fmt: skip


def who_gets_the_places(
    audit: "Measured", popularity: Array, slots: Array, charts: Sequence[Chart] = ()
) -> list[Block]:
    """Return how places spread over the items, and the items that get too many and too few of them."""
    k = audit.cutoffs[-1]
    if not audit.group_shares:  # lists alone
        shown = concentration_chart({"recommendations": slots})
        most = items_table(audit.over_exposed, f"Most shown in the top {k}", trained=False)
        return [Section("Who gets the places", [shown, most])]
    tables = [items_table(audit.over_exposed, f"Over-exposed in the top {k}"),
              items_table(audit.under_exposed, f"Under-exposed in the top {k}")]  # fmt: skip
    return [
        Section("Who gets the places", [
            exposure_chart(_bars(audit, {f"top-{c} lists": f"recommendations@{c}" for c in audit.cutoffs}),
                           "Share of the items, of the training interactions, and of the recommended places."),
            Text(groups_text(audit.groups)),
            concentration_chart({"training": popularity, "recommendations": slots}),
            frequency_chart(popularity, {"recommendations": slots}),
        ]),
        Section("Items", [*charts, *(table for table in tables if table.rows)]),
    ]  # fmt: skip


def title_of(audit: "Measured", metric: str) -> str:
    """Return what a metric is in plain words, or its name where it says none."""
    return audit.facts[metric].title or metric


def defined(audit: "Measured", metric: str) -> str:
    """Return the definition of a metric, under its name."""
    return f"`{metric}`: {audit.definitions[metric]}"


def metric_column(audit: "Audit", metric: str, k: int, *, better: Better | None = None) -> Column:
    """Return the column of a metric, for rows of measurements."""
    return Column(
        metric, title_of(audit, metric), format=audit.facts[metric].format, better=better,
        note=defined(audit, metric), code=f"{metric}@{k}",
    )  # fmt: skip


def items_table(items: "Sequence[ItemExposure]", title: str, *, trained: bool = True) -> Table:
    """Return a table of items with their shares of training, where there is one, and of recommendations."""
    columns = [
        Column("title", "Item"),
        Column("group", "Group"),
        Column("popularity", "Training interactions", format=",d"),
        Column("slots", "Lists", format=",d", note="Users whose list holds the item."),
        Column("interaction_share", "Share of training", format=".2%"),
        Column("exposure_share", "Share of places", format=".2%"),
    ]
    columns = [c for c in columns if trained or c.key in ("title", "slots", "exposure_share")]
    rows = [{c.key: getattr(item, c.key) for c in columns} for item in items]
    return Table(columns, rows, title=title)


def _bars(audit: "Measured", lists: dict[str, str]) -> dict[str, dict[str, float]]:
    keys = {"catalogue": "items", "training": "training"} | lists
    return {label: {row["group"]: row[key] for row in audit.group_shares} for label, key in keys.items()}


def _scale(comparison: "Comparison", shown: Sequence[str]) -> Table:
    """Return a row a recommender, and below them the references, between which a value can be read."""
    k, audits = comparison.k, comparison.audits
    base = audits[comparison.baseline]
    rows: list[dict[str, Any]] = [
        {"recommender": name} | {m: audit.measurement(f"{m}@{k}") for m in shown} for name, audit in audits.items()
    ]
    rows += [{"recommender": name} | values for name, values in base.references.items() if name not in audits]
    columns = [Column("recommender", "Recommender"), *(metric_column(base, m, k) for m in shown)]
    return Table(columns, rows, title=f"Side by side, top {k}", caption=BESIDE * bool(base.references))


def _by_metric(
    audit: "Measured",
    metrics: Iterable[str],
    columns: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    change: Mapping[str, Any] | None = None,
    **texts: Any,
) -> Table:
    """Return a row a metric and a column for each mapping from metric to a value, or a figure.

    The mapping `change` is of differences.
    """
    shown = [Column(f"{i}", name, change=values is change) for i, (name, values) in enumerate(columns)]
    rows = []
    for m in metrics:
        facts = audit.facts[m]
        code = f"{m}, {facts.better} is better" if facts.better else m
        row: dict[str, Any] = {"title": Figure("", title_of(audit, m), note=defined(audit, m), code=code)}
        for i, (_, values) in enumerate(columns):
            found, spec = values.get(m), _signed(facts.format) if values is change else facts.format
            ends = getattr(found, "low", None), getattr(found, "high", None)
            row |= {f"{i}": Figure("", getattr(found, "value", found), *ends, format=spec), f"{i} better": facts.better}
        rows.append(row)
    return Table([Column("title", "Metric"), *shown], rows, **texts)


def _signed(spec: str) -> str:
    """Return the format of differences of a metric; those of shares are small, and in percentage points."""
    return "+.1p" if spec.endswith("%") else f"+{spec.lstrip('+,')}"


def _measured(audit: "Measured", k: int) -> "dict[str, Measurement]":
    """Return each metric over all users."""
    return {name: audit.measurement(f"{name}@{k}") for name in audit.facts}


def all_metrics(audit: "Measured") -> Section:
    """Return all metrics with their intervals, a table for each family."""
    columns = [(f"@{k}", _measured(audit, k)) for k in audit.cutoffs]
    by_family = {
        title: [name for name, facts in audit.facts.items() if facts.family == family]
        for family, title in FAMILIES.items()
    }
    tables: list[Block] = [
        _by_metric(audit, names, columns, title=title) for title, names in by_family.items() if names
    ]
    return Section("All metrics", tables, folded=True)


def _attribute_tables(audit: "Audit") -> list[Block]:
    """Return a table of shares for each attribute of the items, the values with most of the training first."""
    tables: list[Block] = []
    for name in dict.fromkeys(row["attribute"] for row in audit.attribute_shares):
        rows = [row for row in audit.attribute_shares if row["attribute"] == name]
        shares = [Column(key, key, format=".2%") for key in rows[0] if key not in ("attribute", "value")]
        most = f", the {_VALUES} of {len(rows):,} values with most training interactions" if len(rows) > _VALUES else ""
        tables.append(Table([Column("value", name), *shares], rows[:_VALUES], title=name + most, caption=_EQUAL_PARTS))
    return tables


def _by_user_group(audit: "Audit", segments: Sequence[str], k: int) -> list[Block]:
    """Return a row for each group of users; of many the largest, most of them folded."""
    shown = audit.headlines or list(audit.facts)
    columns = [Column("users", "Users"), Column("n", "Number", format=",d")]
    columns += [metric_column(audit, m, k) for m in shown]
    rows: list[dict[str, Any]] = []
    for segment in segments:
        found = [audit.measurement(f"{m}@{k}", segment) for m in shown]
        rows.append({"users": segment, "n": max(f.n_users for f in found)} | {f.metric: f for f in found})
    if len(rows) <= _VALUES:
        return [Section("By user group", [Table(columns, rows)])]
    rows = sorted(rows, key=lambda row: -row["n"])[:_SEGMENTS]
    caption = f"The {_VALUES} largest of {len(segments):,} groups; further ones stand below, and the JSON has all."
    return [
        Section("By user group", [Table(columns, rows[:_VALUES], caption=caption)]),
        Section(f"User groups {_VALUES + 1} to {len(rows)} by size", [Table(columns, rows[_VALUES:])], folded=True),
    ]


def _how(audit: "Audit") -> Section:
    """Return what the audit means by its words, and what it was made of."""
    lines = [f"Lists: the first {audit.cutoffs[-1]} places of {counted(len(audit.user_ids), 'user')}."]
    lines += [f"{what.capitalize()}: {said}." for what, said in audit.judged_by.items()]
    lines.append("Intervals are 95% intervals over users, as an audit of as many users of the same kind would vary.")
    return Section("How this was measured", [Text(MEANING), bullets(lines)], folded=True)


def _tradeoff(comparison: "Comparison") -> Chart:
    k = comparison.k
    rows = [
        {"recommender": name, "gini": audit[f"gini@{k}"], "ndcg": audit.measurement(f"ndcg@{k}")}
        for name, audit in comparison.audits.items()
        if name != RANDOM  # so even, and so far off, that the others would shrink to a point beside it
    ]
    return Chart(
        "scatter", rows, x="gini", y="ndcg", color="recommender", label="recommender",
        title="Accuracy against even exposure",
        x_label=f"inequality of exposure, gini@{k} (lower is more even)", y_label=f"accuracy, ndcg@{k}",
        caption="Up is more accurate, left is more even.",
    )  # fmt: skip


def _one_list(comparison: "Comparison") -> Table | None:
    """Return what leaves and what enters one person's list, one that changes as much as half of all do."""
    before = comparison.audits[comparison.baseline]
    others = {
        name: audit for name, audit in comparison.audits.items()
        if name not in (comparison.baseline, MOST_POPULAR, RANDOM) and np.array_equal(audit.user_ids, before.user_ids)
    }  # fmt: skip
    if not others or not len(before.user_ids):
        return None
    name = min(others, key=lambda name: gini(others[name].lists.slots))
    some = slice(None, None, -(-len(before.user_ids) // _SAMPLE))
    old, new = (audit.lists.at(comparison.k).items[some] for audit in (before, others[name]))
    enters = (new[:, :, None] != old[:, None, :]).all(axis=2) & (new >= 0)
    leaves = (old[:, :, None] != new[:, None, :]).all(axis=2) & (old >= 0)
    n_new = enters.sum(axis=1)
    changed = np.flatnonzero(n_new >= max(1, np.median(n_new)))
    if not len(changed):
        return None
    user = int(changed[np.argmin(n_new[changed])])
    titles, popularity = before.lists.profiles.train.item_labels, before.lists.popularity
    sides = [items[user][turn[user]].tolist() for items, turn in ((old, leaves), (new, enters))]
    rows = [
        {key: value for i, item in enumerate(pair) if item is not None
         for key, value in ((f"item {i}", str(titles[item])), (f"chosen {i}", int(popularity[item])))}
        for pair in zip_longest(*sides)
    ]  # fmt: skip
    columns = [
        Column("item 0", "Leaves"), Column("chosen 0", "Chosen by", format=",d"),
        Column("item 1", "Enters"), Column("chosen 1", "Chosen by", format=",d"),
    ][:: 1 if before.group_shares else 2]  # fmt: skip
    return Table(
        columns, rows, title=f"One person's list, from “{comparison.baseline}” to “{name}”",
        caption=f"This person's list gets {counted(len(sides[1]), 'new item')} of {comparison.k}, and half of all "
        f"people's {f'{half:g} or fewer' if (half := np.median(n_new)) else 'none'}."
        + " Beside each item how many people chose it in training." * bool(before.group_shares),
    )  # fmt: skip


def _side_by_side(comparison: "Comparison", shown: Sequence[str]) -> Table:
    """Return a row a metric: one or two recommenders, how they differ, and the references."""
    k, audits = comparison.k, comparison.audits
    base = audits[comparison.baseline]
    columns: list[tuple[str, Any]] = [(name, _measured(audit, k)) for name, audit in audits.items()]
    beside = [(name, found) for name, found in base.references.items() if name not in audits]
    metrics, caption = list(shown), BESIDE * bool(beside)
    change = {m: _difference(row) for rows in comparison.changes.values() for m, row in rows.items()}
    if change:
        metrics = [m for m in CHANGES if m in change or m in shown] + [m for m in shown if m not in CHANGES]
        columns, caption = [*columns, ("difference", change)], f"{_told(comparison)} {caption}".strip()
    columns += beside
    return _by_metric(base, metrics, columns, change=change, title=f"Side by side, top {k}", caption=caption)


def _told(comparison: "Comparison") -> str:
    return _SAME * comparison.paired + _NOISE


def _difference(row: Mapping[str, Any]) -> Figure:
    return Figure("", row["difference"], row["low"], row["high"])


def _changes(comparison: "Comparison") -> list[Table]:
    """Return how each of several recommenders differs from the baseline, user by user."""
    k, base, found = comparison.k, comparison.audits[comparison.baseline], comparison.changes
    measured = list(dict.fromkeys(metric for changes in found.values() for metric in CHANGES if metric in changes))
    measured = [m for m in measured if m in CHANGES_OF_MANY] or measured
    if not measured:
        return []
    columns, rows = [Column("recommender", "Recommender")], list[dict[str, Any]]()
    for m in measured:
        column = metric_column(base, m, k, better=base.facts[m].better)
        columns.append(replace(column, format=_signed(base.facts[m].format), change=True))
    for name, changes in found.items():
        rows.append({"recommender": name} | {m: _difference(changes[m]) for m in measured if m in changes})
    return [Table(columns, rows, title=f"What changes from “{comparison.baseline}”", caption=_told(comparison))]
