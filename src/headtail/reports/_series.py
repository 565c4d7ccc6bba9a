"""Series of a chart, and the color and marker that each keeps through a report."""

from collections.abc import Iterable
from dataclasses import dataclass

from headtail.reports._values import Row, Value
from headtail.reports.blocks import Block, Chart, walk

GROUPS = {"head": "head", "mid": "mid", "tail": "tail"}
NEUTRAL = dict.fromkeys(("training", "training data", "catalogue", "catalog", "history"), "neutral")
N_COLORS = 6
MARKERS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
FIXED_MARKERS = {"head": "circle", "mid": "square", "tail": "triangle-up", "neutral": "triangle-right"}

PATHS = {
    "circle": "M4.5,0A4.5,4.5,0,1,1,-4.5,0A4.5,4.5,0,1,1,4.5,0",
    "square": "M-4,-4H4V4H-4Z",
    "triangle-up": "M0,-4.5L5,4H-5Z",
    "diamond": "M0,-5.5L4.5,0L0,5.5L-4.5,0Z",
    "triangle-down": "M0,4.5L5,-4H-5Z",
    "triangle-right": "M4.5,0L-4,5V-5Z",
    "cross": "M-5,-1.7H-1.7V-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5Z",
}


@dataclass(frozen=True)
class Style:
    """How a series looks: the name of its color, and its marker."""

    color: str
    marker: str

    @property
    def css(self) -> str:
        """The color as a CSS value."""
        return f"var(--ht-{self.color})"


def fixed_color(name: Value) -> str | None:
    """Return the color that is kept for `name`, if there is one."""
    return (GROUPS | NEUTRAL).get(str(name).lower())


class Styles:
    """Gives each series of a report a style, the same in every chart.

    Where two series that share a color (there are more series than colors) meet in one chart, the later one takes a
    color that is free there.
    """

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._slots: dict[str, int] = {}
        for block in walk(tuple(blocks)):
            if isinstance(block, Chart) and block.color:
                for row in block.rows:
                    name = str(row[block.color])
                    if not fixed_color(name):
                        self._slots.setdefault(name, len(self._slots))

    def of(self, names: Iterable[Value]) -> dict[str, Style]:
        """Return the styles of the series that stand in one chart."""
        styles: dict[str, Style] = {}
        taken: set[int] = set()
        for i, name in enumerate(str(n) for n in names):
            kept = fixed_color(name)
            if kept and all(style.color != kept for style in styles.values()):
                styles[name] = Style(kept, FIXED_MARKERS[kept])
                continue
            slot = self._slots.get(name, 0) % N_COLORS
            free = [s for s in range(N_COLORS) if s not in taken]
            if slot in taken and free:
                slot = free[0]
            taken.add(slot)
            # Beyond the number of colors, the marker still tells two series apart.
            styles[name] = Style(f"c{slot + 1}", MARKERS[(slot + i // N_COLORS) % len(MARKERS)])
        return styles


def series_of(chart: Chart) -> dict[str, list[Row]]:
    """Return the rows of each series in order of appearance; one nameless series where there is no color."""
    found: dict[str, list[Row]] = {}
    for row in chart.rows:
        found.setdefault(str(row[chart.color]) if chart.color else "", []).append(row)
    return found
