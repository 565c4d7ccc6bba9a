"""The series of charts, and the color, marker and dash by which each is known throughout a report."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from headtail.reports._values import Row, Value
from headtail.reports.blocks import Block, Chart, walk

N_COLORS = 10
KEPT = {"head": "head", "mid": "mid", "tail": "tail"} | dict.fromkeys(
    ("training", "training data", "training interactions", "catalogue", "catalog", "history"), "neutral"
)
PREFERRED = {  # of what most pages show, so that it looks the same in all of them
    name: f"c{i}"
    for i, names in enumerate((
        ("as it is", "mf", "plain", "recommendations", "popular tastes", "popularity"),
        ("resn", "niche tastes", "niche"), ("log penalty",), ("corrected", "tilt (alpha-fair)"),
        ("tilt (entropy)",), ("allocation",), ("popsteer",), ("ipr", "resn, fine-tuned"),
        ("shrink", "tilt (popularity)"), ("most popular", "random"),
    ), 1) for name in names
}  # fmt: skip
MARKERS = {  # of each color, the last that of neutral ones; what Vega has no name for as a path from -1 to 1
    "circle": "circle", "square": "square", "triangle-up": "triangle-up", "diamond": "diamond",
    "triangle-down": "triangle-down", "cross": "cross", "triangle-left": "triangle-left",
    "star": "M0,-1L.29,-.4L.95,-.31L.48,.15L.59,.81L0,.5L-.59,.81L-.48,.15L-.95,-.31L-.29,-.4Z",
    "x": "M-.9,-.5L-.5,-.9L0,-.4L.5,-.9L.9,-.5L.4,0L.9,.5L.5,.9L0,.4L-.5,.9L-.9,.5L-.4,0Z",
    "bar": "M-1,-.4H1V.4H-1Z", "triangle-right": "triangle-right",
}  # fmt: skip
DASHES = ((1, 0), (7, 3), (2, 2))


@dataclass(frozen=True)
class Style:
    """How a series looks: the name of its color, and which of those of this color it is."""

    color: str
    turn: int = 0

    @property
    def css(self) -> str:
        """The color as a CSS value."""
        return f"var(--ht-{self.color})"

    @property
    def marker(self) -> str:
        """The name of the marker of points."""
        place = {"head": 0, "mid": 1, "tail": 2, "neutral": N_COLORS}.get(self.color)
        place = int(self.color[1:]) - 1 if place is None else place
        return list(MARKERS)[(place + self.turn) % len(MARKERS)]

    @property
    def dash(self) -> tuple[int, int]:
        """The dash pattern of lines."""
        return DASHES[self.turn % len(DASHES)]


def kept_color(name: Value) -> str | None:
    """Return the color that is kept for `name`, if there is one."""
    return KEPT.get(str(name).lower())


def styles_of(blocks: Iterable[Block]) -> dict[str, Style]:
    """Return the style of every series of a report.

    A name looks the same in all charts. Series that meet in a chart share a color only where it has more than
    `N_COLORS` of them; marker and dash tell them apart then.
    """
    beside: dict[str, list[str]] = {}
    for block in walk(tuple(blocks)):
        if isinstance(block, Chart):
            names = list(series_of(block))
            for name in names:
                beside.setdefault(name, []).extend(names)
    styles: dict[str, Style] = {}
    used: Counter[str] = Counter()
    # The nameless series first, then those that have a color of their own.
    for name, others in sorted(beside.items(), key=lambda one: (one[0] != "", one[0].lower() not in PREFERRED)):
        near = {styles[other] for other in others if other in styles}
        crowd = Counter(style.color for style in near)
        kept = kept_color(name) or PREFERRED.get(name.lower())
        color = min((f"c{i + 1}" for i in range(N_COLORS)), key=lambda one: (crowd[one], used[one]))
        if kept and not crowd[kept]:
            color = kept
        turn = next(i for i in range(len(near) + 1) if Style(color, i) not in near)
        styles[name] = Style(color, turn)
        used[color] += 1
    return styles


def series_of(chart: Chart) -> dict[str, list[Row]]:
    """Return the rows of each series in order of appearance; one nameless series where there is no color."""
    found: dict[str, list[Row]] = {}
    for row in chart.rows:
        found.setdefault(str(row[chart.color]) if chart.color else "", []).append(row)
    return found
