"""Charts in the terminal: bars of blocks, lines and points on a braille canvas."""

from collections.abc import Iterator, Mapping
from itertools import pairwise, product

from rich.cells import cell_len, set_cell_size
from rich.console import RenderableType
from rich.text import Text as RichText

from headtail.reports._canvas import Canvas
from headtail.reports._scales import Scale, from_zero, tick_labels
from headtail.reports._series import Style, kept_color, series_of
from headtail.reports._values import Row, finite, show, show_interval, tell_apart
from headtail.reports.blocks import Chart

COLORS = {
    "head": "#d2593c", "mid": "#d9a53a", "tail": "#2f9bab", "neutral": "default", "c1": "#6d80f5", "c2": "#d0679c",
    "c3": "#5fb35a", "c4": "#3fa9e0", "c5": "#a878d8", "c6": "#c99345", "c7": "#9aa12f", "c8": "#c4587a",
    "c9": "#43a047", "c10": "#8f88b8",
}  # fmt: skip
MARKS = {"circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆", "triangle-down": "▼", "cross": "✚",
         "triangle-left": "◀", "star": "★", "x": "✖", "bar": "▬", "triangle-right": "▶"}  # fmt: skip
EIGHTHS = " ▏▎▍▌▋▊▉"
HEIGHT = 14


def chart_lines(chart: Chart, width: int, styles: Mapping[str, Style]) -> Iterator[RenderableType]:
    """Yield the lines of a chart, at most `width` characters wide."""
    if not chart.rows:
        yield RichText("(no data)", style="dim")
        return
    looks = {name: styles[name] for name in series_of(chart)}
    if len(looks) > 1:
        legend = [
            part
            for name, look in looks.items()
            for part in (("■ " if chart.kind == "bar" else f"{MARKS[look.marker]} ", COLORS[look.color]), f"{name}   ")
        ]
        yield RichText.assemble(*legend)
    yield from (_plot if chart.kind != "bar" else _stacked if chart.stacked else _bars)(chart, looks, width)


def _name(text: str, width: int) -> RichText:
    """Return the start of a line: `text` cut or padded to `width` cells (wide characters take two)."""
    text = text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"
    return RichText(set_cell_size(text, width) + " ", no_wrap=True)


def _names_width(names: list[str], width: int) -> int:
    return min(max(map(cell_len, names)), max(16, width * 2 // 5))


def _bars(chart: Chart, looks: Mapping[str, Style], width: int) -> Iterator[RichText]:
    """Yield horizontal bars, negative ones to the left of 0."""
    # The series of a category are adjacent, whatever the order of the rows.
    names = [show(row[chart.x], chart.x_format) for row in chart.rows]
    order = sorted(range(len(names)), key=lambda i: names.index(names[i]) if chart.color else i)
    rows, names = [chart.rows[i] for i in order], [names[i] for i in order]
    shown = tell_apart([row[chart.y] for row in rows], chart.y_format)
    values = [finite(row[chart.y]) or 0.0 for row in rows]
    ends = [""] * len(rows)
    if chart.low and chart.high:
        ends = [show_interval(row[chart.low], row[chart.high], chart.y_format) for row in rows]
    left = _names_width(names, width)
    room = max(8, width - left - max(map(len, shown)) - max(map(len, ends)) - 4)
    unit = room / ((max(0.0, *values) - min(0.0, *values)) or 1.0)
    zero = round(-min(0.0, *values) * unit)
    for i, (row, value) in enumerate(zip(rows, values, strict=True)):
        kept = kept_color(row[chart.x]) if chart.color is None else None
        color = COLORS[kept or looks[str(row[chart.color]) if chart.color else ""].color]
        text = _name("" if chart.color and i and names[i] == names[i - 1] else names[i], left)
        whole, rest = divmod(round(abs(value) * unit * 8), 8)
        bar = "█" * whole + EIGHTHS[rest].strip() or "▏" * (value != 0)
        bar = "█" * max(1, round(-value * unit)) if value < 0 else bar
        text.append(" " * (zero - len(bar) * (value < 0)) + bar, style=color)
        text.append(f" {shown[i]} ")
        yield text.append(ends[i], style="dim")


def _stacked(chart: Chart, looks: Mapping[str, Style], width: int) -> Iterator[RichText]:
    categories: dict[str, list[Row]] = {}
    for row in chart.rows:
        categories.setdefault(show(row[chart.x], chart.x_format), []).append(row)
    left = _names_width(list(categories), width)
    heights = {name: [finite(row[chart.y]) or 0.0 for row in rows] for name, rows in categories.items()}
    unit = max(8, width - left - 2) / (max(map(sum, heights.values())) or 1.0)
    for name, rows in categories.items():
        text, total = _name(name, left), 0.0
        for row, value in zip(rows, heights[name], strict=True):
            length = round((total + value) * unit) - round(total * unit)
            total += value
            color = COLORS[looks[str(row[chart.color or ""])].color]
            # The number where there is room, and a gap that separates the parts without color too.
            shown = f" {show(row[chart.y], chart.y_format)} "
            shown = shown if length >= len(shown) + 3 else ""
            before, gap = (length - len(shown)) // 2, " " * (length > 1)
            text.append("█" * before, style=color).append(shown, style=f"bold {color}")
            text.append("█" * (length - before - len(shown) - len(gap)) + gap, style=color)
        yield text


def _plot(chart: Chart, looks: Mapping[str, Style], width: int) -> Iterator[RichText]:
    """Yield lines or points on a canvas with both axes."""
    scatter = chart.kind == "scatter"
    across, heights = ([v for row in chart.rows if (v := finite(row[key])) is not None] for key in (chart.x, chart.y))
    heights += [] if chart.reference in (None, "diagonal") else [float(chart.reference)]
    zero = not scatter and chart.y_scale == "linear" and from_zero(heights)
    x = Scale.of(across, log=chart.x_scale == "log", pad=0.04 * scatter)
    y = Scale.of(heights, log=chart.y_scale == "log", zero=zero, pad=0.0 if zero else 0.05)
    ticks = y.ticks(4)
    labels = tick_labels(ticks, chart.y_format)
    left = max(map(len, labels), default=0)
    canvas = Canvas(max(20, min(width, 100) - left - 2), HEIGHT)
    _draw(canvas, chart, looks, x, y)
    marked = {round((1 - y(tick)) * (HEIGHT - 1)): label for tick, label in zip(ticks, labels, strict=True)}
    yield RichText(chart.y_label or "", style="dim")
    for i, cells in enumerate(canvas.rows()):
        line = RichText(marked.get(i, "").rjust(left), no_wrap=True).append(" ┤" if i in marked else " │", style="dim")
        for character, color in cells:
            line.append(" " if character == "⠀" else character, style=color or None)
        yield line
    indent = " " * (left + 2)
    yield RichText(f"{indent[:-1]}└{'─' * canvas.width}", style="dim", no_wrap=True)
    yield RichText(indent + _x_labels(chart, x, canvas.width), no_wrap=True)
    if chart.x_label:
        yield RichText(indent + chart.x_label.rjust(canvas.width), style="dim", no_wrap=True)


def _x_labels(chart: Chart, x: Scale, width: int) -> str:
    whole = all(isinstance(row[chart.x], int) for row in chart.rows)
    ticks = [tick for tick in x.ticks(max(2, width // 14)) if tick.is_integer() or not whole]
    line = ""
    for tick, label in zip(ticks, tick_labels(ticks, chart.x_format), strict=True):
        start = min(max(round(x(tick) * (width - 1)) - len(label) // 2, 0), width - len(label))
        if not line or start > len(line):
            line = line.ljust(start) + label
    return line


def _draw(canvas: Canvas, chart: Chart, looks: Mapping[str, Style], x: Scale, y: Scale) -> None:
    """Draw the reference line, the series, and the chosen points, which alone are labelled if there are any."""
    if chart.reference == "diagonal":
        low, high = max(x.low, y.low), min(x.high, y.high)
        if low < high:
            canvas.line((x(low), y(low)), (x(high), y(high)), "dim", gap=2)
    elif chart.reference is not None:
        canvas.line((0.0, y(chart.reference)), (1.0, y(chart.reference)), "dim", gap=2)
    points = []
    for i, (name, rows) in enumerate(series_of(chart).items()):
        color, mark = COLORS[looks[name].color], MARKS[looks[name].marker]
        pairs = [(finite(row[chart.x]), finite(row[chart.y])) for row in rows]
        path = [None if a is None or b is None else (x(a), y(b)) for a, b in pairs]
        known = sorted(at for at in path if at)
        if chart.kind == "line" or chart.connect:
            for start, end in pairwise(path):
                if start and end:
                    canvas.line(start, end, color)
        if chart.kind == "line" and known:
            # A few markers distinguish lines without color; a single point has nothing else.
            places = [(j + (i + 0.5) / len(looks)) / 4 for j in range(4)] if len(known) > 1 else [0.0]
            for place in places if len(looks) > 1 or len(known) == 1 else []:
                canvas.mark(min(known, key=lambda at: abs(at[0] - place)), mark, color)
        if chart.kind == "scatter":
            for row, at in zip(rows, path, strict=True):
                chosen = bool(chart.chosen and row[chart.chosen])
                label = str(row[chart.label]) if chart.label and row[chart.label] is not None else ""
                points += [(chosen, at, mark, color, label)] if at else []
    some, points = bool(chart.chosen), sorted(points, key=lambda point: point[0])
    for named, (chosen, at, mark, color, label) in product((False, True), points):  # labels keep clear of all marks
        style = f"bold {color}" if chosen else color
        canvas.mark(at, "·" if some and not chosen else mark, style, label if named and chosen == some else "")
