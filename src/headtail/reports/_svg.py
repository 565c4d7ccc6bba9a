"""Charts as SVG, each drawn for a wide and for a narrow space; text has the same size in both."""

from dataclasses import dataclass

from headtail.reports._bars import draw_bars
from headtail.reports._lines import draw_lines, draw_points
from headtail.reports._series import Style
from headtail.reports._vega import Frame, render
from headtail.reports.blocks import Chart

WIDE = Frame(total=920, narrow=False, size=13.0, height=400)
NARROW = Frame(total=360, narrow=True, size=12.5, height=280)


@dataclass(frozen=True)
class Drawing:
    """An SVG element and whether its series are labelled in it, so that it needs no legend."""

    svg: str
    labelled: bool


def draw(chart: Chart, styles: dict[str, Style], frame: Frame) -> Drawing:
    """Draw a chart into a frame."""
    kinds = {"line": draw_lines, "scatter": draw_points, "bar": draw_bars}
    frame, layers, labelled = kinds[chart.kind](chart, styles, frame)
    return Drawing(render(frame, layers), labelled)
