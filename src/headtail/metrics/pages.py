"""How audits and comparisons are laid out as reports."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headtail.data import PopularityGroups
from headtail.reports import Block, Chart, Column, Figure, Figures, Report, Section, Table, Text

if TYPE_CHECKING:
    from headtail.metrics.auditing import Audit, ItemExposure
    from headtail.metrics.comparison import Comparison

MEANING = """**What is meant by popularity bias here.** A recommender has popularity bias when items that many people
already chose get more of the recommendations than that popularity, or the taste of the person who is shown them,
accounts for. Three questions tell it apart from mere popularity. *Exposure*: how unevenly do the recommendations spread
over the catalogue, compared with training? *Calibration*: are people shown more popular items than they
themselves choose? *Accuracy*: is what people wanted found as often when it is a rarer item?"""

HEADLINES = ("ndcg", "recall", "gini", "coverage", "tail_share", "popularity_lift", "upd", "arp")
COMPARED = ("ndcg", "gini", "coverage", "tail_share", "popularity_lift", "upd")
FORMATS = {"arp": ",.1f", "aclt": ".2f", "entropy": ".2f", "popularity_lift": "+.1%"}
SHARES = {"coverage", "tail_coverage", "tail_exposure", "head_share", "tail_share", "aplt", "hit_rate"}


LORENZ_TITLE = "Lorenz curve: who holds the interactions, who gets the recommendations"


def number_format(metric: str) -> str:
    """Return how a metric's values are written."""
    return FORMATS.get(metric, ".1%" if metric in SHARES else ".4f")


def groups_text(groups: PopularityGroups) -> str:
    """Return the rule of the groups and their sizes in one paragraph."""
    sizes = ", ".join(f"{name} {size:,} items" for name, size in groups.sizes.items())
    return f"**Popularity groups.** {groups.rule} Here: {sizes}."


def notes_block(notes: Iterable[str]) -> list[Block]:
    """Return the notes as a list, or nothing."""
    lines = [f"- {note}" for note in notes]
    return [Section("Notes on the input", [Text("\n".join(lines))])] if lines else []


def lorenz_chart(curves: Mapping[str, tuple[Any, Any]], caption: str, title: str = LORENZ_TITLE) -> Chart:
    """Return Lorenz curves, such as those of training and recommendations."""
    rows = [
        {"items": float(a), "held": float(b), "curve": name}
        for name, (x, y) in curves.items()
        for a, b in zip(x[::2], y[::2], strict=True)
    ]
    return Chart(
        "line", rows, x="items", y="held", color="curve", reference="diagonal", x_format=".0%", y_format=".0%",
        title=title, caption=caption,
        x_label="share of the catalogue, least exposed first", y_label="share of the total",
    )  # fmt: skip


LORENZ_CAPTION = (
    "The dashed line is perfect equality. The further a curve hangs below it, the fewer items hold the total; a curve "
    "of recommendations below that of training means that the recommender concentrates what people did."
)


def exposure_chart(
    shares: Mapping[str, Mapping[str, float]], caption: str = "", title: str = "Exposure by popularity group"
) -> Chart:
    """Return bars of the share of each popularity group, by what is shared out: {bar: {group: share}}."""
    rows = [
        {"of": bar, "group": group, "share": share} for bar, groups in shares.items() for group, share in groups.items()
    ]
    return Chart(
        "bar", rows, x="of", y="share", color="group", stacked=True, y_format=".0%",
        title=title, caption=caption, x_label="", y_label="share",
    )  # fmt: skip


def items_table(items: "Sequence[ItemExposure]", title: str) -> Table:
    """Return a table of items with their shares of training and of recommendations."""
    columns = [
        Column("title", "Item"),
        Column("group", "Group"),
        Column("popularity", "Training interactions", format=",d"),
        Column("slots", "Lists", format=",d", note="Users whose list holds the item."),
        Column("interaction_share", "Share of training", format=".2%"),
        Column("exposure_share", "Share of slots", format=".2%"),
    ]
    rows = [{c.key: getattr(item, c.key) for c in columns} for item in items]
    return Table(columns, rows, title=title)


def audit_page(audit: "Audit") -> Report:
    """Return the report of one audit."""
    k = audit.cutoffs[-1]
    everyone = {m.name: m for m in audit.measurements if m.users == "all"}
    metrics = list(dict.fromkeys(m.metric for m in audit.measurements))
    figures = [
        Figure(f"{name}@{k}", m.value, m.low, m.high, format=number_format(name), note=audit.definitions[name])
        for name in HEADLINES
        if (m := everyone.get(f"{name}@{k}")) is not None
    ]
    shares = {"catalogue": "items", "training": "training"} | {
        f"top-{c} lists": f"recommendations@{c}" for c in audit.cutoffs
    }
    bars = {label: {row["group"]: row[key] for row in audit.group_shares} for label, key in shares.items()}
    blocks: list[Block] = [Figures(figures)] if figures else []
    blocks += [
        Section("Exposure", [
            exposure_chart(bars, "Share of the items, of the training interactions, and of the recommended slots."),
            lorenz_chart(audit.curves, LORENZ_CAPTION),
            Text(groups_text(audit.groups)),
        ]),
        Section("All metrics", [_metrics_table(audit, metrics), _meanings(audit, metrics)]),
    ]  # fmt: skip
    segments = list(dict.fromkeys(m.users for m in audit.measurements if m.users != "all"))
    if segments:
        blocks.append(Section("By user group", [_segments_table(audit, metrics, segments, k)]))
    if audit.over_exposed or audit.under_exposed:
        blocks.append(Section("Most unequal items", [
            items_table(audit.over_exposed, f"Over-exposed in the top {k}"),
            items_table(audit.under_exposed, f"Under-exposed in the top {k}"),
        ]))  # fmt: skip
    blocks += notes_block(audit.notes)
    return Report(f"Popularity audit of {len(audit.user_ids):,} users", [Text(MEANING), *blocks])


def _metrics_table(audit: "Audit", metrics: Sequence[str]) -> Table:
    columns = [Column("metric", "Metric"), Column("better", "Better")]
    columns += [Column(f"@{k}", f"@{k}") for k in audit.cutoffs]
    rows = []
    for metric in metrics:
        row: dict[str, Any] = {"metric": metric, "better": audit.directions.get(metric, "")}
        for k in audit.cutoffs:
            m = audit.measurement(f"{metric}@{k}")
            spec = number_format(metric)
            margin = "" if m.low is None or m.high is None else f" ± {(m.high - m.low) / 2:{spec.lstrip('+')}}"
            row[f"@{k}"] = f"{m.value:{spec}}{margin}" if m.value == m.value else None
        rows.append(row)
    return Table(columns, rows, caption="Values with half the width of the 95% interval over users.")


def _meanings(audit: "Audit", metrics: Sequence[str]) -> Text:
    """Return the definitions of the metrics that are not among the headlines, whose definitions stand at the end."""
    return Text("\n".join(f"- **{name}**: {audit.definitions[name]}" for name in metrics if name not in HEADLINES))


def _segments_table(audit: "Audit", metrics: Sequence[str], segments: Sequence[str], k: int) -> Table:
    shown = [m for m in HEADLINES if m in metrics] or list(metrics)
    columns = [Column("users", "Users"), Column("n", "Number", format=",d")]
    columns += [
        Column(m, f"{m}@{k}", format=number_format(m), low=f"{m} low", high=f"{m} high", note=audit.definitions[m])
        for m in shown
    ]
    rows = []
    for segment in segments:
        found = {m: audit.measurement(f"{m}@{k}", segment) for m in shown}
        row: dict[str, Any] = {"users": segment, "n": max(f.n_users for f in found.values())}
        for name, f in found.items():
            row |= {name: f.value, f"{name} low": f.low, f"{name} high": f.high}
        rows.append(row)
    return Table(columns, rows)


def comparison_page(comparison: "Comparison") -> Report:
    """Return the report of several audits side by side."""
    k = comparison.k
    first = next(iter(comparison.audits.values()))
    shared = [m for m in first.definitions if all(m in audit.definitions for audit in comparison.audits.values())]
    shown = [metric for metric in COMPARED if metric in shared] or shared
    columns = [Column("recommender", "Recommender")]
    columns += [
        Column(m, f"{m}@{k}", format=number_format(m), better=first.directions.get(m), low=f"{m} low", high=f"{m} high",
               note=first.definitions[m])
        for m in shown
    ]  # fmt: skip
    rows = []
    for name, audit in comparison.audits.items():
        row: dict[str, Any] = {"recommender": name}
        for m in shown:
            found = audit.measurement(f"{m}@{k}")
            row |= {m: found.value, f"{m} low": found.low, f"{m} high": found.high}
        rows.append(row)
    key = f"recommendations@{k}"
    bars = {"training": {row["group"]: row["training"] for row in first.group_shares}} | {
        name: {row["group"]: row[key] for row in audit.group_shares} for name, audit in comparison.audits.items()
    }
    curves = {"training": first.curves["training"]} | {
        name: audit.curves["recommendations"] for name, audit in comparison.audits.items()
    }
    blocks: list[Block] = [
        Table(columns, rows, title=f"Side by side, top {k}"),
        exposure_chart(bars, "Share of the training interactions and of the recommended slots."),
        lorenz_chart(curves, LORENZ_CAPTION),
        Text(groups_text(first.groups)),
    ]
    if any(row["metric"].removesuffix(f"@{k}") in PAIRED for row in comparison.differences):
        blocks.append(_differences_table(comparison))
    blocks += notes_block(comparison.notes)
    return Report(f"{len(comparison.audits)} recommenders compared", blocks)


PAIRED = ("ndcg", "ndcg_head", "ndcg_tail", "aplt", "upd", "arp")


def _differences_table(comparison: "Comparison") -> Table:
    """Return one row a recommender; metrics that have no value for each user are not there."""
    found = {(row["recommender"], row["metric"]): row for row in comparison.differences}
    k = comparison.k
    measured = [metric for metric in PAIRED if any(name == f"{metric}@{k}" for _, name in found)]
    columns = [Column("recommender", "Recommender")]
    rows = []
    for metric in measured:
        spec = "+.1f" if metric == "arp" else "+.4f"
        columns.append(Column(metric, f"{metric}@{k}", format=spec, low=f"{metric} low", high=f"{metric} high"))
    for recommender in comparison.audits:
        row: dict[str, Any] = {"recommender": recommender}
        for metric in measured:
            paired = found.get((recommender, f"{metric}@{k}"), {})
            row |= {metric: paired.get("difference")}
            row |= {f"{metric} {end}": paired.get(end) for end in ("low", "high")}
        if recommender != comparison.baseline:
            rows.append(row)
    return Table(
        columns, rows, title=f"Paired differences to {comparison.baseline}, user by user",
        caption="The same users are compared with themselves. Where the 95% interval leaves out 0, the difference is "
        "told apart from chance.",
    )  # fmt: skip
