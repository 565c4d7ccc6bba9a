"""Charts as SVG: each chart becomes a Vega-Lite specification, which vl-convert renders.

Colors are CSS variables, which vl-convert keeps, so that one drawing serves light and dark pages. A chart is drawn at a
wide and at a narrow size with the same text size.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib import resources
from typing import Any
from zlib import crc32

import numpy as np

from headtail._printable import printable
from headtail.reports._labels import Placing
from headtail.reports._scales import Scale, from_zero
from headtail.reports._series import MARKERS, Style, kept_color, series_of, styles_of
from headtail.reports._values import WIDER, Row, finite, minus, printable_texts, shorten, show, tell_apart, text_width
from headtail.reports.blocks import Chart

Spec = dict[str, Any]
Looks = Mapping[str, Style]

TEXT, MUTED, GRID, LINE, SURFACE = (f"var(--ht-{name})" for name in ("text", "muted", "grid", "line", "surface"))
MARKED = 30  # most points of a line with markers
TOLD = 150  # most points of a scatter with tooltips
AXIS = 50  # pixels for the numbers of a vertical axis
NAMED = 8  # most series that are named beside their points rather than in a legend
LONGEST = 300  # characters of a text
TICKS = 8  # most values of a logarithmic axis that are ticks themselves
SAME = 6  # pixels within which points coincide to the eye


@dataclass(frozen=True)
class Frame:
    """The width of a drawing and the height of its plot in pixels, and its text size."""

    width: int
    height: int
    size: float
    narrow: bool = False


WIDE, NARROW = Frame(920, 380, 13.0), Frame(360, 270, 12.5, narrow=True)


def draw(chart: Chart, styles: Looks, frame: Frame) -> str:
    """Return a chart as an SVG element that scales to its container."""
    import vl_convert

    looks = {_cut(name): styles[name] for name in series_of(chart)}
    rows = [{key: _cut(value) for key, value in row.items()} for row in chart.rows]
    chart = replace(chart, rows=rows, **{name: _cut(getattr(chart, name)) for name in ("title", "x_label", "y_label")})
    spec = {"bar": _bars, "line": _lines, "scatter": _scatter}[chart.kind](chart, looks, frame)
    config: Spec = {
        "font": "sans-serif",
        "view": {"stroke": None},
        "text": {"fontSize": frame.size - 1},
        "background": None,
    }
    # To hold texts to a limit, Vega measures them again and again, which takes longer than all else.
    config |= {"axis": {"labelLimit": 0, "titleLimit": 0}, "legend": {"labelLimit": 0}}
    # NUL would crash vl-convert.
    svg = vl_convert.vegalite_to_svg(printable_texts({"padding": 2, "config": config, **spec}))
    svg = re.sub(r'<path class="(?:back|fore)ground"[^>]*/>', "", svg)
    # Descriptions of marks become titles, which browsers show on hover; needless attributes go.
    svg = re.sub(r'<path aria-label="([^"]*)"([^>]*)/>', r"<path\2><title>\1</title></path>", svg)
    svg = re.sub(r' (?:aria-[a-z]+|role|class|font-family)="[^"]*"| opacity="1"| stroke-dasharray="1,0"', "", svg)
    svg = re.sub(r' (?:d|transform)="[^"]*"', lambda found: re.sub(r"(\.\d)\d+", r"\1", found[0]), svg)
    box = re.findall(r'viewBox="[^"]*"', svg)[0]
    title, told = (escape(printable(text)) for text in (chart.title or chart.y_label or chart.y, describe(chart)))
    about = f"<title>{title}</title><desc>{told}</desc>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">{about}{svg[svg.index("<g") :]}'


def _cut(text: Any) -> Any:
    """Return a text; a long one, which would take seconds to draw, is cut and gets a checksum."""
    if not isinstance(text, str) or len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… {crc32(text.encode(errors='surrogatepass')):08x}"


def standalone(chart: Chart, beside: Sequence[Chart] = (), frame: Frame = WIDE) -> str:
    """Return a standalone picture in the colors of a light page."""
    svg = draw(chart, styles_of([*beside, chart]), frame)
    width, height = re.findall(r'viewBox="0 0 (\S+) (\S+)"', svg)[0]
    style = "text { paint-order: stroke; stroke-linejoin: round; font-variant-numeric: tabular-nums; }"
    page = f'<style>{style}</style><rect width="100%" height="100%" fill="{SURFACE}"/>'
    svg = svg.replace("<svg ", f'<svg width="{width}" height="{height}" font-family="sans-serif" ', 1)
    svg = svg.replace("</desc>", f"</desc>{page}", 1)
    css = resources.files("headtail.reports").joinpath("report.css").read_text(encoding="utf-8")
    colors = dict(re.findall(r"--ht-([\w-]+): (?:light-dark\()?(#\w+)", css))
    return re.sub(r"var\(--ht-([\w-]+)\)", lambda name: colors[name[1]], svg)


def describe(chart: Chart) -> str:
    """Say in a sentence what a chart shows."""
    names = [name for name in series_of(chart) if name]
    shown = [*names[:8], f"and {len(names) - 8} more"] if len(names) > 8 else names
    of = f", for {', '.join(shown)}" if names else ""
    return f"{chart.kind.capitalize()} chart of {chart.y_label or chart.y} by {chart.x_label or chart.x}{of}."


# -- what the charts have in common -----------------------------------------------------------------------------------


def _rows(chart: Chart) -> list[tuple[Spec, Row]]:
    """Return each row under short field names that are safe in Vega-Lite, with the row itself, series by series."""
    pairs = []
    for name, rows in series_of(chart).items():
        for row in rows:
            low, high = (row[key] if key else None for key in (chart.low, chart.high))
            record = {"x": row[chart.x], "y": row[chart.y], "lo": low, "hi": high, "c": name}
            pairs.append((record | {"d": _told(chart, name, row)}, row))
    return pairs


def _told(chart: Chart, name: str, row: Row) -> str:
    """Describe a mark in words, for its tooltip."""
    label = str(row[chart.label]) if chart.label and row[chart.label] is not None else ""
    said = [part for part in (name, label if label != name else "") if part]
    said.append(f"{chart.x_label or chart.x}: {show(row[chart.x], chart.x_format)}")
    said.append(f"{chart.y_label or chart.y}: {show(row[chart.y], chart.y_format)}")
    if chart.low and chart.high and row[chart.low] is not None:
        said[-1] += f" ({show(row[chart.low], chart.y_format)} to {show(row[chart.high], chart.y_format)})"
    return " · ".join(said)


def _numbers(chart: Chart, *keys: str | None) -> list[float]:
    found = (finite(row[key]) for key in keys if key for row in chart.rows)
    return [value for value in found if value is not None]


def _heights(chart: Chart) -> list[float]:
    reference = [] if chart.reference in (None, "diagonal") else [float(chart.reference)]
    return _numbers(chart, chart.y, chart.low, chart.high) + reference


def _layer(values: Sequence[Spec], mark: str, encoding: Spec, **options: Any) -> Spec:
    return {"data": {"values": values}, "mark": {"type": mark, **options}, "encoding": encoding}


def _raw(field: str, kind: str = "nominal") -> Spec:
    """Return an encoding of raw values: colors, sizes and pixels."""
    return {"field": field, "type": kind, "scale": None} | ({"axis": None} if kind == "quantitative" else {})


def _axis(frame: Frame, label: str | None, spec: str | None, *, upright: bool, **options: Any) -> Spec:
    """Return an axis; the title of a vertical one is horizontal, above its numbers."""
    place: Spec = {"titlePadding": 10, "tickCount": 4 if frame.narrow else 8, "grid": False}
    if upright:
        place = {"titleAngle": 0, "titleAlign": "left", "titleY": -14, "titlePadding": 0, "titleBaseline": "bottom",
                 "tickCount": 5, "domain": False}  # fmt: skip
    return {
        "title": shorten(label or "", frame.width - 20, frame.size) or None, "titleAnchor": "end", "titleColor": MUTED,
        "titleFontSize": frame.size, "titleFontWeight": 400, "labelColor": MUTED, "labelFontSize": frame.size - 0.5,
        "labelPadding": 8, "labelFlush": False, "ticks": False, "gridColor": GRID, "domainColor": LINE, **place,
        **({"format": "%"} if spec and spec.endswith("%") else {}), **options,
    }  # fmt: skip


def _number(field: str, axis: Spec, scale: Scale | None = None, *, at: Sequence[float] = (), **options: Any) -> Spec:
    """Return the encoding of a number, on the given `scale` or one that Vega-Lite chooses.

    A logarithmic one has its ticks `at` values where those are few.
    """
    if scale is not None:
        options = {"domain": [scale.low, scale.high], "nice": False, "zero": False}
    if scale is not None and scale.log:  # Vega would draw lines at ticks without labels
        form = ",.3~p" if axis.get("format") == "%" else ",~g"
        options |= {"type": "log"}
        axis = axis | {
            "values": at if 0 < len(at) <= TICKS else scale.ticks(),
            "labelExpr": f"format(datum.value, '{form}')",
        }
    return {"field": field, "type": "quantitative", "scale": options, "axis": axis}


def _told_apart(looks: Looks, frame: Frame, *, above: str | None, legend: bool = True, **options: Any) -> Spec:
    """Return the encodings of color, shape and dash by series, with one legend above the plot."""
    key: Spec | None = None
    if legend and len(looks) > 1:
        widest, most = WIDER * max(text_width(name, frame.size) for name in looks), frame.width - 40.0
        key = {
            "title": None, "orient": "top", "direction": "horizontal", "offset": 36 if above else 12,
            "columns": max(1, int(frame.width / (widest + 40))), "columnPadding": 12 + 0.12 * widest, "rowPadding": 5,
            "labelColor": TEXT, "labelFontSize": frame.size, "symbolLimit": 0,
            "symbolSize": 100, "symbolOpacity": 1, "symbolStrokeWidth": 2.25,
            **({"labelLimit": most / WIDER} if widest > most else {}), **options,
        }  # fmt: skip
    styles = looks.values()
    channels = {"color": [one.css for one in styles], "shape": [MARKERS[one.marker] for one in styles],
                "strokeDash": [one.dash for one in styles]}  # fmt: skip
    return {
        channel: {"field": "c", "type": "nominal", "scale": {"domain": list(looks), "range": values}, "legend": key}
        for channel, values in channels.items()
    }


def _reference(chart: Chart, value: str = "y") -> list[Spec]:
    """Return the dashed reference line."""
    if chart.reference is None:
        return []
    encoding: Spec = {value: {"datum": chart.reference, "type": "quantitative"}}
    if chart.reference == "diagonal":
        x, y = _numbers(chart, chart.x), _numbers(chart, chart.y)
        ends = (max(min(x), min(y)), min(max(x), max(y))) if x and y else (0.0, 0.0)
        encoding = {key: {"datum": ends[len(key) - 1], "type": "quantitative"} for key in ("x", "y", "x2", "y2")}
    return [_layer([{}], "rule", encoding, stroke=MUTED, strokeDash=[4, 4], strokeWidth=1)]


# -- lines and points -------------------------------------------------------------------------------------------------


def _lines(chart: Chart, looks: Looks, frame: Frame) -> Spec:
    records, widths, heights = [record for record, _ in _rows(chart)], _numbers(chart, chart.x), _heights(chart)
    few = len(records) <= MARKED * len(looks)
    across = _axis(frame, chart.x_label, chart.x_format, upright=False)
    if widths and "format" not in across and all(map(float.is_integer, widths)):  # no ticks between them
        low, high = int(min(widths)), int(max(widths))
        across |= {"values": list(range(low, high + 1)), "format": "d"} if high - low <= across["tickCount"] else {}
    y_scale = Scale.of(heights, log=True, pad=0.04) if chart.y_scale == "log" else None
    x = _number("x", across, Scale.of(widths, log=chart.x_scale == "log"), at=sorted(set(widths)))
    y = _number("y", _axis(frame, chart.y_label, chart.y_format, upright=True), y_scale, zero=from_zero(heights))
    apart = _told_apart(looks, frame, above=chart.y_label, symbolSize=100 if few else 500)
    place = {"x": x, "y": y, "color": apart["color"], "description": {"field": "c"}}
    band = place | {"y": y | {"field": "lo"}, "y2": {"field": "hi"}}
    line = place | {"strokeDash": apart["strokeDash"]}
    layers = [_layer(records, "area", band, opacity=0.16)] if chart.low else []
    layers.append(_layer(records, "line", line, strokeWidth=2.25, strokeJoin="round"))
    if few and records:
        points = place | {"shape": apart["shape"], "description": {"field": "d"}}
        layers.append(_layer(records, "point", points, filled=True, size=44, opacity=1))
    layers += _reference(chart)
    return {"width": frame.width - AXIS, "height": frame.height, "layer": layers}


def _scatter(chart: Chart, looks: Looks, frame: Frame) -> Spec:
    plot = Placing(frame.width - AXIS, frame.height)
    x_scale = Scale.of(_numbers(chart, chart.x), log=chart.x_scale == "log", pad=0.07, middle=True)
    y_scale = Scale.of(_heights(chart), log=chart.y_scale == "log", pad=0.07, middle=True)

    def pixels(row: Row, y: str = chart.y) -> tuple[float, float] | None:
        a, b = finite(row[chart.x]), finite(row[y])
        return None if a is None or b is None else (x_scale(a) * plot.width, (1 - y_scale(b)) * plot.height)

    texts, named = _names(chart, looks, frame, plot, pixels) if chart.label else ([], False)
    records = []
    for i, (record, row) in enumerate(_rows(chart)):
        picked = bool(chart.chosen and row[chart.chosen])
        records.append(record | {"i": i, "s": (240 if picked else 80) * (0.8 if frame.narrow else 1)})
    apart = _told_apart(looks, frame, above=chart.y_label, legend=not named)
    x = _number("x", _axis(frame, chart.x_label, chart.x_format, upright=False, grid=True), x_scale)
    y = _number("y", _axis(frame, chart.y_label, chart.y_format, upright=True), y_scale)
    place = {"x": x, "y": y, "color": apart["color"], "description": {"field": "c"}}
    whisker = place | {"y": y | {"field": "lo"}, "y2": {"field": "hi"}}
    layers = [_layer(records, "rule", whisker, strokeWidth=1.25, opacity=0.45)] if chart.low else []
    if chart.connect:
        path = place | {"order": {"field": "i", "type": "quantitative"}}
        layers.append(_layer(records, "line", path, strokeWidth=1.5, opacity=0.6, strokeJoin="round"))
    marks = place | {"shape": apart["shape"], "size": _raw("s"), "description": {"field": "d"}}
    options = {"filled": True, "opacity": 1, "stroke": SURFACE, "strokeWidth": 1.25, "aria": len(records) <= TOLD}
    layers += [_layer(records, "point", marks, **options), *_reference(chart)]
    text = {"x": _raw("px", "quantitative"), "y": _raw("py", "quantitative")}
    text |= {"text": {"field": "t"}, "color": _raw("k")}
    options = {"stroke": SURFACE, "strokeWidth": 3, "fontWeight": {"expr": "datum.bold ? 600 : 400"}}
    layers.append(_layer(texts, "text", text, align={"expr": "datum.align"}, **options))
    return {"width": plot.width, "height": plot.height, "layer": layers}


def _names(
    chart: Chart, looks: Looks, frame: Frame, plot: Placing, pixels: Callable[..., Any]
) -> tuple[list[Spec], bool]:
    """Label points where there is room, the chosen ones first and in bold, with their series if all series fit.

    Return the texts, and whether they name the series, so that no legend is needed.
    """
    assert chart.label is not None
    marks: list[tuple[str, Row, bool]] = []
    texts: list[Spec] = []
    for name, rows in series_of(chart).items():
        shown = [row for row in rows if pixels(row)]
        path = [pixels(row) for row in shown]
        for row, at in zip(shown, path, strict=True):
            plot.take(np.array([at]), 9.0 if chart.chosen and row[chart.chosen] else 5.0)
        plot.take_path(path if chart.connect else [])
        for row in shown if chart.low else []:
            plot.take_path([at for key in (chart.low, chart.high) if (at := pixels(row, key))])
        main = next((row for row in shown if chart.chosen and row[chart.chosen]), None)
        main = main or next((row for row in reversed(shown) if row[chart.label] is None), shown[-1] if shown else None)
        marks += [(name, row, row is main and len(looks) > 1) for row in shown]
    told = {id(row): "" if row[chart.label] is None or chart.label == chart.color else str(row[chart.label])
            for _, row, _ in marks}  # fmt: skip
    # First the labels that contain their series' name: the page's text refers to these points.
    marks.sort(key=lambda mark: (not told[id(mark[1])].startswith(mark[0]), not mark[2]))
    few, size = len(looks) <= NAMED, frame.size - 1
    for named in (1 < len(looks) <= NAMED and not frame.narrow, False):
        tried, texts, points = replace(plot), [], list[tuple[float, float]]()
        for name, row, first in marks:
            bold = first and (named or bool(chart.chosen and row[chart.chosen]))
            said = told[id(row)]
            whole = said.startswith(name) and bool(said)
            parts = [name] * (named and first and not whole) + [said] * bool(said)
            text, (x, y) = shorten(" ".join(parts), 0.55 * plot.width, size), pixels(row)
            # Coinciding settings, such as 0 of every method, are labelled once.
            again = any(math.hypot(a - x, b - y) < SAME for a, b in points)
            if not text or (again and not bold) or not (few or bold or whole):
                continue
            needed = whole or (few if bold else len(marks) <= NAMED)
            label = tried.put((x, y), text, size * (1.06 if bold else 1), needed=needed, far=first)
            if label and named and first and not label.free:
                break
            color = looks[name].css if bold else MUTED if len(looks) > 1 else TEXT
            if label:
                points.append((x, y))
                texts.append({"px": label.x, "py": label.y, "align": label.align, "t": text, "k": color, "bold": bold})
        else:
            return texts, named
    return [], False


# -- bars -------------------------------------------------------------------------------------------------------------


def _bars(chart: Chart, looks: Looks, frame: Frame) -> Spec:
    names = [show(row[chart.x], chart.x_format) for row in chart.rows]
    names = list(dict.fromkeys(names)) if chart.color else names
    records = _stack(chart, looks, names)
    lanes = 1 if chart.stacked else max(len(looks), 1)
    widest = max((text_width(name, frame.size) for name in names), default=0.0)
    longest = max((text_width(one["t"], frame.size - 1) for one in records), default=0.0)
    lying = frame.narrow or chart.stacked or len(names) * lanes > 24 or widest > 110
    room = min(widest, 0.4 * frame.width)  # of the names of lying bars
    spare = 0.16 * room if lying else 0.0  # Vega takes names for narrower than browsers do
    width = frame.width - (room + spare + 35 if lying else AXIS)
    step = width / max(len(names), 1)
    thick = min(46.0, 0.76 * step / lanes)  # of standing bars
    scale = Scale.of([one[key] for one in records for key in ("a", "b", "e")], zero=True)
    unit = (scale.high - scale.low) / width  # of a pixel along lying bars
    labelled = [one for one in records if lying or longest <= thick + 4]
    where: Spec = {"align": "center", "dy": {"expr": "datum.b < 0 ? 9 : -9"}}
    if chart.stacked:
        labelled = [one for one in records if text_width(one["t"], frame.size) + 8 <= (one["b"] - one["a"]) / unit]
        where = {"align": "center"}
    elif lying:
        beyond = (longest + 14) * unit
        scale = Scale(scale.low - beyond * (scale.low < 0), scale.high + beyond * (scale.high > 0))
        where = {"align": {"expr": "datum.b < 0 ? 'right' : 'left'"}, "dx": {"expr": "datum.b < 0 ? -6 : 6"}}
    elif scale.low < 0:  # the names of bars stand below
        room = 0.07 * (scale.high - scale.low)
        scale = Scale(scale.low - room, scale.high + room)
    along, across = ("x", "y") if lying else ("y", "x")  # of the values, of the names
    numbers = _axis(frame, chart.y_label, chart.y_format, upright=not lying, grid=True, domain=False)
    titles = _axis(frame, chart.x_label, None, upright=lying, domain=False, labelColor=TEXT, labelAngle=0)
    titles["labelExpr"] = f"{json.dumps(printable_texts(names))}[datum.value]"
    if widest > (most := room if lying else step - 4):
        titles["labelLimit"] = most + 5 * lying
    bands: Spec = {"paddingOuter": 0.15, "paddingInner": 0.3 if lying else 1 - thick * lanes / step}
    bands |= {"domain": [str(i) for i in range(len(names))]}
    value = _number("a", numbers, scale if lying or scale.low < 0 else None, zero=True)
    place = {across: {"field": "x", "type": "nominal", "axis": titles, "scale": bands}}
    if lanes > 1:
        place[f"{across}Offset"] = {"field": "c", "type": "nominal", "scale": {"domain": list(looks)}}
    legend = _told_apart(looks, frame, above=chart.x_label if lying else chart.y_label, symbolType="square")
    color = legend["color"] if chart.color else _raw("k") | {"legend": None}
    bars = place | {along: value, f"{along}2": {"field": "b"}, "color": color, "description": {"field": "d"}}
    zero = _layer([{}], "rule", {along: {"datum": 0, "type": "quantitative"}}, stroke=LINE)
    layers = [_layer(records, "bar", bars), zero, *_reference(chart, along)]
    if chart.low:  # with a halo, to be seen on bars of any color
        span = place | {along: value | {"field": "lo"}, f"{along}2": {"field": "hi"}}
        layers += [_layer(records, "rule", span, stroke=one, strokeWidth=w) for one, w in ((SURFACE, 4), (TEXT, 1.5))]
    text = place | {along: value | {"field": "e"}, "text": {"field": "t"}, "color": _raw("on")}
    layers.append(_layer(labelled, "text", text, baseline="middle", **where))
    height: Any = frame.height if not lying else {"step": 15, "for": "offset"} if lanes > 1 else {"step": 34}
    padding = {"left": 2 + spare, "top": 2, "right": 2, "bottom": 2}
    return {"width": width, "height": height, "padding": padding, "layer": layers}


def _stack(chart: Chart, looks: Looks, names: list[str]) -> list[Spec]:
    """Return where bars start (a) and end (b), their colors (k), and numbers (t), with place (e) and color (on)."""
    pairs, sums = _rows(chart), [0.0] * len(names)
    values = [row[chart.y] for _, row in pairs]
    texts = [show(v, chart.y_format) for v in values] if chart.stacked else tell_apart(values, chart.y_format)
    for i, ((record, row), text) in enumerate(zip(pairs, texts, strict=True)):
        place = names.index(show(row[chart.x], chart.x_format)) if chart.color else i
        start = sums[place] if chart.stacked else 0.0
        sums[place] = end = start + (finite(row[chart.y]) or 0.0)
        beyond = finite(record["lo" if end < 0 else "hi"])
        kept = kept_color(row[chart.x]) if chart.color is None else None
        color = f"var(--ht-{kept})" if kept else looks[record["c"]].css
        on = color.replace("--ht-", "--ht-on-") if chart.stacked else TEXT
        at = (start + end) / 2 if chart.stacked else end if beyond is None else beyond
        record |= {"x": str(place), "a": start, "b": end, "t": minus(text), "k": color, "on": on, "e": at}
    return [record for record, _ in pairs]
