"""Charts shared by the pages of audits, comparisons and descriptions."""

from collections.abc import Iterable, Mapping

import numpy as np

from headtail._printable import counted
from headtail.data import PopularityGroups
from headtail.metrics.topk import TopK
from headtail.reports import Block, Chart, Section
from headtail.reports._markdown import bullets, plain
from headtail.typing import Array

MEANING = """**What is meant by popularity bias here.** A recommender has popularity bias when items that many people
already chose get more of the recommendations than that popularity, or the taste of the person who is shown them,
accounts for. Three questions tell it apart from mere popularity. *Exposure*: how unevenly do the recommendations spread
over the catalogue, compared with training? *Calibration*: are people shown more popular items than they
themselves choose? *Accuracy*: is what people wanted found as often when it is a rarer item?"""

_STEPS = 40  # points of a curve over items
_POINTS = 250  # items of a scatter
_NAMED = 4  # items named above and below the line


def groups_text(groups: PopularityGroups) -> str:
    """Describe the popularity groups and their sizes in one paragraph."""
    sizes = ", ".join(f"{plain(name)} {size:,}" for name, size in groups.sizes.items())
    return (
        f"**Popularity groups.** {plain(groups.description)} Of the {counted(len(groups.codes), 'item')} here: {sizes}."
    )


def notes_block(notes: Iterable[str]) -> list[Block]:
    """Return the notes as a list, or nothing."""
    notes = list(notes)
    return [Section("Notes on the input", [bullets(notes)])] if notes else []


def top_percent(counts: Array) -> tuple[int, float]:
    """Return how many items the top 1% are, at least one, and their share of the total."""
    n = max(1, round(len(counts) / 100))
    return n, float(np.sort(counts)[::-1][:n].sum() / max(1, counts.sum()))


def concentration_chart(counts: Mapping[str, Array], title: str = "How much the most shown items get") -> Chart:
    """Return Lorenz curves from the upper end: the share of the total that the top items hold."""
    rows = []
    for name, held in counts.items():
        total = np.cumsum(np.sort(held)[::-1]) / max(1, held.sum())
        places = np.unique(np.geomspace(1, len(total), _STEPS).astype(int))
        rows += [{"items": n / len(total), "held": float(total[n - 1]), "of": name} for n in places.tolist()]
    tops = {name: top_percent(held) for name, held in counts.items()}
    held_by = ", ".join(f"{plain(name)} {share:.0%}" for name, (_, share) in tops.items())
    n, n_items = next(iter(tops.values()))[0], len(next(iter(counts.values())))
    top = "top item" if n == 1 else "top 1% of items"
    return Chart(
        "line", rows, x="items", y="held", color="of", x_scale="log", x_format=".2%", y_format=".0%", title=title,
        caption=f"Share of the {top} ({n:,} of {n_items:,}): {held_by}. The faster a curve rises, the fewer items "
        "share the total.",
        x_label="share of the items, those with most first", y_label="share of the total",
    )  # fmt: skip


def frequency_chart(popularity: Array, counts: Mapping[str, Array]) -> Chart:
    """Return how often items are recommended by popularity rank, beside their share of training."""
    order = np.argsort(-popularity, kind="stable")
    edges = np.unique(np.geomspace(1, len(order) + 1, _STEPS).astype(int)) - 1
    rows = []
    for name, held in ({"training": popularity} | dict(counts)).items():
        shares = held[order] / max(1, held.sum())
        means = np.add.reduceat(shares, edges[:-1]) / np.diff(edges)
        middles = np.sqrt((edges[:-1] + 1.0) * edges[1:])
        rows += [
            {"rank": x, "share": y, "of": name} for x, y in zip(middles.tolist(), means.tolist(), strict=True) if y
        ]
    return Chart(
        "line", rows, x="rank", y="share", color="of", x_scale="log", y_scale="log", x_format=",.0f", y_format=".3%",
        title="How often items are recommended, by their popularity",
        caption="Mean share of one item among items of about the same rank. A curve above that of training at the left "
        "means that the most popular items are shown more often than they were chosen.",
        x_label="rank in popularity (1 is the most popular item)", y_label="share of one item",
    )  # fmt: skip


def items_chart(top: TopK) -> Chart | None:
    """Return each item's share of the places against its share of training; the most unequal ones are labelled."""
    popularity, slots = top.popularity, top.slots
    chosen, shown = popularity / max(1, popularity.sum()), slots / max(1, slots.sum())
    known = np.flatnonzero((popularity > 0) & (slots > 0))
    if len(known) < 2:
        return None
    apart = known[np.argsort((shown - chosen)[known], kind="stable")]
    named = set(apart[-_NAMED:].tolist()) | set(apart[:_NAMED].tolist())
    spread = known[np.argsort(popularity[known], kind="stable")][:: max(1, -(-len(known) // _POINTS))]
    titles = top.profiles.train.item_labels
    rows = [
        {
            "chosen": float(chosen[i]), "shown": float(shown[i]), "title": str(titles[i]) if i in named else None,
            "group": top.groups.names[top.groups.codes[i]],
        }
        for i in sorted({*spread.tolist(), *named}, key=lambda i: (top.groups.codes[i], i))
    ]  # fmt: skip
    never = int(((popularity > 0) & (slots == 0)).sum())
    part = f"{len(rows):,} of {len(known):,} items that are shown" if len(rows) < len(known) else "Items that are shown"
    rest = f"; {counted(never, 'other')} {'was' if never == 1 else 'were'} chosen and never shown" * bool(never)
    return Chart(
        "scatter", rows, x="chosen", y="shown", color="group", label="title", x_scale="log", y_scale="log",
        reference="diagonal", x_format=".3%", y_format=".3%", title="Every item: how often chosen, how often shown",
        caption=f"{part}{rest}. On the dashed line an item is shown as often as it was chosen; above it more often.",
        x_label="share of training interactions", y_label="share of the places",
    )  # fmt: skip


def exposure_chart(
    shares: Mapping[str, Mapping[str, float]], caption: str = "", title: str = "Exposure by popularity group"
) -> Chart:
    """Return stacked bars of the shares of popularity groups: {bar: {group: share}}."""
    rows = [
        {"of": bar, "group": group, "share": share} for bar, groups in shares.items() for group, share in groups.items()
    ]
    return Chart(
        "bar", rows, x="of", y="share", color="group", stacked=True, y_format=".0%",
        title=title, caption=caption, x_label="", y_label="share",
    )  # fmt: skip
