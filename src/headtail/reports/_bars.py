"""Bar charts: standing, or lying where names are long, bars are many or space is narrow."""

from dataclasses import dataclass, replace

from headtail.reports._placing import Label
from headtail.reports._scales import Scale, tick_labels
from headtail.reports._series import Style, fixed_color, series_of
from headtail.reports._values import finite, minus, shorten, show, text_width, wrap
from headtail.reports._vega import (
    COLOR,
    LINE,
    MUTED,
    SURFACE,
    TEXT,
    Frame,
    Spec,
    axis,
    layer,
    on,
    raw,
    texts,
    titles,
    told,
)  # fmt: skip
from headtail.reports.blocks import Chart


@dataclass(frozen=True)
class _Bar:
    """One bar: its category, its place among the series, and the values of its ends."""

    category: int
    lane: int
    start: float
    end: float
    low: float | None
    high: float | None
    color: str
    told: str
    shown: str


def draw_bars(chart: Chart, styles: dict[str, Style], frame: Frame) -> tuple[Frame, list[Spec], bool]:
    categories, bars, lanes = _bars(chart, styles)
    ends = [v for bar in bars for v in (bar.start, bar.end, bar.low, bar.high)]
    if chart.reference not in (None, "diagonal"):
        ends.append(finite(chart.reference))
    scale = Scale.of(ends, zero=True, round_ends=not chart.stacked)
    lying = frame.narrow or chart.stacked or len(categories) * lanes > 24
    lying = lying or max((text_width(name, frame.size) for name in categories), default=0) > 110
    if lying:
        return (*_lying_bars(chart, categories, bars, lanes, scale, frame), False)
    return (*_standing_bars(chart, categories, bars, lanes, scale, frame), False)


def _bars(chart: Chart, styles: dict[str, Style]) -> tuple[list[str], list[_Bar], int]:
    """Return the names of the categories, the bars, and how many lanes a category has."""
    series = series_of(chart)
    by_row = chart.color is None
    names = [show(row[chart.x], chart.x_format) for row in chart.rows]
    categories = names if by_row else list(dict.fromkeys(names))
    bars, sums = [], [0.0] * len(categories)
    seen = 0
    for lane, (name, rows) in enumerate(series.items()):
        for row in rows:
            label = show(row[chart.x], chart.x_format)
            category = seen if by_row else categories.index(label)
            seen += 1
            value = finite(row[chart.y])
            start = sums[category] if chart.stacked else 0.0
            if chart.stacked:
                sums[category] += value or 0.0
            kept = fixed_color(row[chart.x]) if by_row else None
            color = f"var(--ht-{kept})" if kept else styles[name].css
            low, high = (finite(row[chart.low]), finite(row[chart.high])) if chart.low and chart.high else (None, None)
            shown = minus(show(row[chart.y], chart.y_format))
            end = start + (value or 0.0)
            said = told(chart, name, row)
            bars.append(_Bar(category, 0 if chart.stacked else lane, start, end, low, high, color, said, shown))
    return categories, bars, 1 if chart.stacked else max(len(series), 1)


def _standing_bars(
    chart: Chart, categories: list[str], bars: list[_Bar], lanes: int, y: Scale, frame: Frame
) -> tuple[Frame, list[Spec]]:
    ticks = y.ticks(5)
    tick_texts = tick_labels(ticks, chart.y_format)
    frame = replace(frame, left=max(text_width(t, frame.size) for t in tick_texts) + 12, height=320, right=2)
    step = frame.width / max(len(categories), 1)
    width = min(46.0, 0.76 * step / lanes)
    marks: list[Spec] = []
    labels: list[Label] = []
    fits = max((text_width(bar.shown, frame.size - 1) for bar in bars), default=0) <= width + 4
    for bar in bars:
        middle = (bar.category + 0.5) * step + (bar.lane - (lanes - 1) / 2) * width
        mark: Spec = {"p": middle - width / 2 + 1, "p2": middle + width / 2 - 1, "m": middle, "v": bar.start}
        marks.append(mark | {"v2": bar.end, "lo": bar.low, "hi": bar.high, "k": bar.color, "d": bar.told})
        if fits:
            down = bar.end < 0
            beyond = bar.low if down else bar.high
            edge = (1 - y(bar.end if beyond is None else beyond)) * frame.height
            labels.append(Label(middle, edge + (9 if down else -9), bar.shown, TEXT, "center"))
    base = y(0.0)
    for i, name in enumerate(categories):
        labels.append(Label((i + 0.5) * step, frame.height + 18, shorten(name, step - 6, frame.size), TEXT, "center"))
    values = axis(ticks, tick_texts, frame, grid=True)
    layers = [layer("point", [{"v": y.low}], {"y": on(y, "v", values)}, opacity=0)]
    across = {"x": raw("p"), "x2": {"field": "p2"}}
    layers.append(layer("rect", marks, {**across, "y": on(y, "v"), "y2": {"field": "v2"}, "color": COLOR,
                                         "description": {"field": "d"}}))  # fmt: skip
    zero = [{"p": 0, "p2": frame.width, "q": (1 - base) * frame.height}]
    layers.append(layer("rule", zero, {**across, "y": raw("q")}, stroke=LINE))
    if isinstance(chart.reference, float):
        dashed = [{"p": 0, "p2": frame.width, "q": (1 - y(chart.reference)) * frame.height}]
        layers.append(layer("rule", dashed, {**across, "y": raw("q")}, stroke=MUTED, strokeDash=[4, 4]))
    layers += _intervals(marks, {"x": raw("m"), "y": on(y, "lo"), "y2": {"field": "hi"}})
    frame = replace(frame, bottom=52 if chart.x_label else 30)
    return frame, [*layers, *texts(labels, frame.size - 1), *titles(frame, chart.x_label, chart.y_label)]


def _lying_bars(
    chart: Chart, categories: list[str], bars: list[_Bar], lanes: int, x: Scale, frame: Frame
) -> tuple[Frame, list[Spec]]:
    size = frame.size
    shown = max((text_width(bar.shown, size - 1) for bar in bars), default=0)
    frame = replace(frame, right=20 if chart.stacked else shown + 10, bottom=46)
    # Long names stand above their bars where there is little room, else to the left in at most two lines.
    widest = max((text_width(name, size) for name in categories), default=0)
    above = frame.narrow and widest > 90
    room = frame.total - 4 if above else min(widest, 90 if frame.narrow else 260)
    names = [[shorten(name, room, size)] if above else wrap(name, room + 4, size) for name in categories]
    frame = replace(frame, left=2 if above else room + 14)
    if x.low < 0:  # the numbers of negative bars stand to their left
        x = replace(x, low=x.low - (shown + 8) * (x.high - x.low) / frame.width)
    head, thick = (size + 8 if above else 0.0), (24 if lanes == 1 else 15)
    gap = max(12.0 if lanes == 1 else 16.0, max((len(n) for n in names), default=1) * (size + 3) - thick * lanes)
    step = head + thick * lanes + gap
    frame = replace(frame, height=step * max(len(categories), 1))
    marks: list[Spec] = []
    labels: list[Label] = []
    for bar in bars:
        top = bar.category * step + gap / 2 + head + bar.lane * thick
        mark: Spec = {"p": top + 1, "p2": top + thick - 1, "m": top + thick / 2, "v": bar.start, "v2": bar.end}
        marks.append(mark | {"lo": bar.low, "hi": bar.high, "k": bar.color, "d": bar.told})
        label = _bar_label(chart, bar, x, frame, top + thick / 2)
        labels += [label] if label else []
    for i, lines in enumerate(names):
        middle = i * step + gap / 2 + (head / 2 - 2 if above else thick * lanes / 2)
        for j, line in enumerate(lines):
            at = middle + (j - (len(lines) - 1) / 2) * (size + 2)
            labels.append(Label(0 if above else -12, at, line, TEXT, "left" if above else "right"))
    ticks = x.ticks(4 if frame.narrow else 6)
    values = axis(ticks, tick_labels(ticks, chart.y_format), frame, grid=True)
    layers = [layer("point", [{"v": x.low}], {"x": on(x, "v", values)}, opacity=0)]
    down = {"y": raw("p"), "y2": {"field": "p2"}}
    layers.append(layer("rect", marks, {**down, "x": on(x, "v"), "x2": {"field": "v2"}, "color": COLOR,
                                         "description": {"field": "d"}}))  # fmt: skip
    edge = [{"p": 0, "p2": frame.height, "q": x(0.0) * frame.width}]
    layers.append(layer("rule", edge, {**down, "x": raw("q")}, stroke=LINE))
    if isinstance(chart.reference, float):
        dashed = [{"p": 0, "p2": frame.height, "q": x(chart.reference) * frame.width}]
        layers.append(layer("rule", dashed, {**down, "x": raw("q")}, stroke=MUTED, strokeDash=[4, 4]))
    layers += _intervals(marks, {"y": raw("m"), "x": on(x, "lo"), "x2": {"field": "hi"}})
    # The value axis runs along the bottom, so its name does too.
    frame = replace(frame, top=8 if frame.narrow or not chart.x_label else 30)
    top_title = "" if frame.top == 8 else chart.x_label
    return frame, [*layers, *texts(labels, size - 1), *titles(frame, chart.y_label, top_title)]


def _intervals(marks: list[Spec], encoding: Spec) -> list[Spec]:
    """Draw error bars with a halo, to be seen on bars of any color."""
    spans = [m for m in marks if m["lo"] is not None and m["hi"] is not None]
    widths = ((SURFACE, 4.0), (TEXT, 1.5)) if spans else ()
    return [layer("rule", spans, encoding, stroke=color, strokeWidth=width) for color, width in widths]


def _bar_label(chart: Chart, bar: _Bar, x: Scale, frame: Frame, middle: float) -> Label | None:
    size = frame.size - 1
    start, end = x(bar.start) * frame.width, x(bar.end) * frame.width
    if chart.stacked:
        if text_width(bar.shown, size) + 8 > end - start:
            return None
        return Label((start + end) / 2, middle, bar.shown, bar.color.replace("--ht-", "--ht-on-"), "center", halo=False)
    if bar.end < 0:
        return Label(x(bar.low if bar.low is not None else bar.end) * frame.width - 6, middle, bar.shown, TEXT, "right")
    return Label(x(bar.high if bar.high is not None else bar.end) * frame.width + 6, middle, bar.shown, TEXT)
