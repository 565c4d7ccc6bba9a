"""The series of charts, and the color, marker and dash of each throughout a report."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from headtail.reports._values import Row, Value
from headtail.reports.blocks import Block, Chart, walk

N_COLORS = 10
KEPT = {"head": "head", "mid": "mid", "tail": "tail"} | dict.fromkeys(
    ("training", "training data", "training interactions", "catalogue", "catalog", "history"), "neutral"
)
PREFERRED = {  # of series on many pages, so that they look the same everywhere
    name: f"c{i}"
    for i, names in enumerate((
        ("as it is", "mf", "plain", "recommendations", "popular tastes", "popularity"),
        ("resn", "niche tastes", "niche"), ("log penalty",), ("corrected", "tilt (alpha-fair)"),
        ("tilt (entropy)",), ("allocation",), ("popsteer",), ("ipr", "resn, fine-tuned"),
        ("shrink", "tilt (popularity)"), ("most popular", "random"),
    ), 1) for name in names
}  # fmt: skip
MARKERS = {  # by color, the last for neutral ones; shapes that Vega has no name for are paths from -1 to 1
    "circle": "circle", "square": "square", "triangle-up": "triangle-up", "diamond": "diamond",
    "triangle-down": "triangle-down", "cross": "cross", "triangle-left": "triangle-left",
    "star": "M0,-1L.29,-.4L.95,-.31L.48,.15L.59,.81L0,.5L-.59,.81L-.48,.15L-.95,-.31L-.29,-.4Z",
    "x": "M-.9,-.5L-.5,-.9L0,-.4L.5,-.9L.9,-.5L.4,0L.9,.5L.5,.9L0,.4L-.5,.9L-.9,.5L-.4,0Z",
    "bar": "M-1,-.4H1V.4H-1Z", "triangle-right": "triangle-right",
}  # fmt: skip
DASHES = ((1, 0), (7, 3), (2, 2))


@dataclass(frozen=True)
class Style:
    """The look of a series: the name of its color, and its number among those of this color."""

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
    """Return the color reserved for `name`, if any."""
    return KEPT.get(str(name).lower())


def styles_of(blocks: Iterable[Block]) -> dict[str, Style]:
    """Return the style of every series of a report.

    A name looks the same in all charts. Series of one chart share a color only if there are more than `N_COLORS`, and
    then differ in marker and dash.
    """
    beside: dict[str, list[str]] = {}
    for block in walk(tuple(blocks)):
        if isinstance(block, Chart):
            names = list(series_of(block))
            for name in names:
                beside.setdefault(name, []).extend(names)
    styles: dict[str, Style] = {}
    used: Counter[str] = Counter()
    # The nameless series first, then those with a preferred color.
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
    """Return the rows of each series in order of appearance; a single nameless one without a color."""
    found: dict[str, list[Row]] = {}
    for row in chart.rows:
        found.setdefault(str(row[chart.color]) if chart.color else "", []).append(row)
    return found
