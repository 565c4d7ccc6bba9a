"""What the pages of audits, comparisons and descriptions have in common."""

from collections.abc import Iterable, Mapping
from typing import Any

from headtail.data import PopularityGroups
from headtail.reports import Block, Chart, Section, Text

MEANING = """**What is meant by popularity bias here.** A recommender has popularity bias when items that many people
already chose get more of the recommendations than that popularity, or the taste of the person who is shown them,
accounts for. Three questions tell it apart from mere popularity. *Exposure*: how unevenly do the recommendations spread
over the catalogue, compared with training? *Calibration*: are people shown more popular items than they
themselves choose? *Accuracy*: is what people wanted found as often when it is a rarer item?"""

LORENZ_TITLE = "Lorenz curve: who holds the interactions, who gets the recommendations"


def groups_text(groups: PopularityGroups) -> str:
    """Return what the groups are and their sizes in one paragraph."""
    sizes = ", ".join(f"{name} {size:,} items" for name, size in groups.sizes.items())
    return f"**Popularity groups.** {groups.description} Here: {sizes}."


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
