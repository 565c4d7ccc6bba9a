"""Specifications of Vega-Lite, in the little that charts here need, and their rendering to SVG by vl-convert.

Colors are CSS variables, which vl-convert keeps as they are, so that one drawing serves light and dark pages.
"""

import re
from dataclasses import dataclass
from typing import Any

from headtail.reports._placing import Box, Label
from headtail.reports._scales import Scale
from headtail.reports._values import Row, finite, minus, shorten, show
from headtail.reports.blocks import Chart

Spec = dict[str, Any]

TEXT, MUTED, GRID, LINE, SURFACE = (f"var(--ht-{name})" for name in ("text", "muted", "grid", "line", "surface"))


@dataclass(frozen=True)
class Frame:
    """The space of a drawing in pixels: the whole, the size of its text, and the margins around the plot."""

    total: int
    narrow: bool
    size: float
    height: float = 0.0
    left: float = 0.0
    right: float = 14.0
    top: float = 34.0
    bottom: float = 46.0

    @property
    def width(self) -> float:
        """Width of the plot between the margins."""
        return self.total - self.left - self.right

    @property
    def box(self) -> Box:
        """The plot as a box."""
        return Box(0, 0, self.width, self.height)


def render(frame: Frame, layers: list[Spec]) -> str:
    import vl_convert

    spec = {
        "width": frame.width,
        "height": frame.height,
        "autosize": "none",
        "padding": {"left": frame.left, "right": frame.right, "top": frame.top, "bottom": frame.bottom},
        "background": None,
        "config": {"view": {"stroke": None}, "font": "sans-serif", "text": {"fontSize": frame.size}},
        "layer": layers,
    }
    svg = vl_convert.vegalite_to_svg(spec)
    svg = re.sub(r'<path class="(?:back|fore)ground"[^>]*/>', "", svg)
    # Descriptions of marks become titles, which browsers show on hover.
    svg = re.sub(r'<path aria-label="([^"]*)"([^>]*)/>', r"<path\2><title>\1</title></path>", svg)
    svg = re.sub(r' (?:aria-[a-z]+|role)="[^"]*"', "", svg)
    # The size comes from the view box and the space that there is; the caption names the figure to screen readers.
    return re.sub(
        r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg xmlns="http://www.w3.org/2000/svg" \1 role="img">', svg
    )


def layer(mark: str, values: list[Spec], encoding: Spec, **options: Any) -> Spec:
    return {"data": {"values": values}, "mark": {"type": mark, "clip": False, **options}, "encoding": encoding}


def on(scale: Scale, field: str, axis: Spec | None = None) -> Spec:
    kind = {"type": "log" if scale.log else "linear", "domain": [scale.low, scale.high], "nice": False, "zero": False}
    # The layers' axes are merged; a null one would take away the axis of the base layer.
    return {"field": field, "type": "quantitative", "scale": kind} | ({"axis": axis} if axis else {"title": None})


def raw(field: str, kind: str = "quantitative") -> Spec:
    """Return an encoding that takes the values as they are: pixels, colors, shapes."""
    return {"field": field, "type": kind, "scale": None, "axis": None} if kind == "quantitative" else {
        "field": field, "type": kind, "scale": None, "legend": None
    }  # fmt: skip


COLOR = raw("k", "nominal")


def axis(ticks: list[float], labels: list[str], frame: Frame, *, grid: bool) -> Spec:
    last = max(len(labels) - 1, 1)
    return {
        "values": ticks,
        "labelExpr": f"{[minus(label) for label in labels]!r}[round(datum.index * {last})]",
        "grid": grid,
        "gridColor": GRID,
        "domain": not grid,
        "domainColor": LINE,
        "ticks": False,
        "labelPadding": 8,
        "labelColor": MUTED,
        "labelFontSize": frame.size - 0.5,
        "labelOverlap": False,
        "labelFlush": False,
        "title": None,
    }


def texts(labels: list[Label], size: float) -> list[Spec]:
    layers = []
    for align, bold, halo in sorted({(label.align, label.bold, label.halo) for label in labels}):
        values = [
            {"px": one.x, "py": one.y, "t": one.text, "k": one.color}
            for one in labels
            if (one.align, one.bold, one.halo) == (align, bold, halo)
        ]
        encoding = {"x": raw("px"), "y": raw("py"), "text": {"field": "t"}, "color": COLOR}
        options: Spec = {"align": align, "baseline": "middle", "fontSize": size}
        if halo:
            options |= {"stroke": SURFACE, "strokeWidth": 3}
        layers.append(layer("text", values, encoding, fontWeight=600 if bold else 400, **options))
    return layers


def titles(frame: Frame, x_label: str | None, y_label: str | None) -> list[Spec]:
    """Name the axes: y above its top, x below its right end, both level, so that they can be read."""
    room = frame.total - 4
    labels = [
        Label(-frame.left + 1, -frame.top + 9, shorten(y_label or "", room, frame.size), MUTED),
        Label(frame.width, frame.height + frame.bottom - 10, shorten(x_label or "", room, frame.size), MUTED, "right"),
    ]
    return texts([label for label in labels if label.text], frame.size)


def numbers(chart: Chart, key: str | None) -> list[float | None]:
    return [finite(row[key]) for row in chart.rows] if key else []


def told(chart: Chart, name: str, row: Row) -> str:
    """Say in words what a mark shows; browsers show it on hover."""
    said = [name] if name else []
    if chart.label and row[chart.label] is not None and str(row[chart.label]) != name:
        said.append(str(row[chart.label]))
    said.append(f"{chart.x_label or chart.x}: {show(row[chart.x], chart.x_format)}")
    said.append(f"{chart.y_label or chart.y}: {show(row[chart.y], chart.y_format)}")
    if chart.low and chart.high and row[chart.low] is not None:
        said[-1] += f" ({show(row[chart.low], chart.y_format)} to {show(row[chart.high], chart.y_format)})"
    return " · ".join(said)
