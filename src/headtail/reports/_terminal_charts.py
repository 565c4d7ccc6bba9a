"""Charts in the terminal: bars of blocks, lines and points on a braille canvas."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from headtail.reports._canvas import Canvas
from headtail.reports._scales import Scale, tick_labels
from headtail.reports._series import Style, Styles, fixed_color, series_of
from headtail.reports._values import finite, show, show_interval
from headtail.reports.blocks import Chart

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text as RichText

COLORS = {
    "head": "#d2593c", "mid": "#d9a53a", "tail": "#2f9bab", "neutral": "default", "c1": "#6d80f5", "c2": "#d0679c",
    "c3": "#5fb35a", "c4": "#3fa9e0", "c5": "#a878d8", "c6": "#c99345",
}  # fmt: skip
MARKS = {"circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆", "triangle-down": "▼", "cross": "✚",
         "triangle-right": "▶"}  # fmt: skip
EIGHTHS = " ▏▎▍▌▋▊▉"
HEIGHT = 14


def chart_lines(chart: Chart, width: int, styles: Styles) -> "Iterator[RenderableType]":
    """Yield the lines of a chart that is at most `width` characters wide."""
    from rich.text import Text as RichText

    if not chart.rows:
        yield RichText("(no data)", style="dim")
        return
    looks = styles.of(series_of(chart))
    if len(looks) > 1:
        yield _legend(chart, looks)
    if chart.kind == "bar":
        yield from (_stacked if chart.stacked else _bars)(chart, looks, width)
    else:
        yield from _plot(chart, looks, width)


def _legend(chart: Chart, looks: dict[str, Style]) -> "RichText":
    from rich.text import Text as RichText

    text = RichText()
    for name, look in looks.items():
        mark = "■" if chart.kind == "bar" else MARKS[look.marker]
        text.append(f"{mark} ", style=COLORS[look.color])
        text.append(f"{name}   ")
    return text


def _fit(text: str, width: int) -> str:
    """Cut or pad `text` to `width` cells (wide characters take two)."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _bars(chart: Chart, looks: dict[str, Style], width: int) -> "Iterator[RichText]":
    """Yield horizontal bars from 0; negative ones are drawn to the left of it."""
    from rich.cells import cell_len
    from rich.text import Text as RichText

    names = [show(row[chart.x], chart.x_format) for row in chart.rows]
    shown = [show(row[chart.y], chart.y_format) for row in chart.rows]
    values = [finite(row[chart.y]) or 0.0 for row in chart.rows]
    left = min(max(map(cell_len, names)), max(16, width * 2 // 5))
    ends = [""] * len(names)
    if chart.low and chart.high:
        ends = [show_interval(row[chart.low], row[chart.high], chart.y_format) for row in chart.rows]
    room = max(8, width - left - max(map(cell_len, shown)) - max(map(cell_len, ends)) - 4)
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    zero = round(-low / span * room)
    # The series of a category stand together, whatever the order of the rows.
    order = sorted(range(len(names)), key=lambda i: names.index(names[i]) if chart.color else i)
    last = None
    for i in order:
        row = chart.rows[i]
        kept = fixed_color(row[chart.x]) if chart.color is None else None
        color = COLORS[kept or looks[str(row[chart.color]) if chart.color else ""].color]
        text = RichText(_fit("" if chart.color and names[i] == last else names[i], left) + " ", no_wrap=True)
        bar = _block_bar(values[i] / span * room) if values[i] >= 0 else "█" * max(1, round(-values[i] / span * room))
        text.append(" " * (zero if values[i] >= 0 else max(zero - len(bar), 0)))
        text.append(bar, style=color)
        text.append(f" {shown[i]}")
        text.append(f" {ends[i]}", style="dim")
        last = names[i]
        yield text


def _block_bar(length: float) -> str:
    whole, rest = divmod(max(0, round(length * 8)), 8)
    return ("█" * whole + EIGHTHS[rest].strip()) or ("▏" if length > 0 else "")


def _stacked(chart: Chart, looks: dict[str, Style], width: int) -> "Iterator[RichText]":
    from rich.cells import cell_len
    from rich.text import Text as RichText

    cells: dict[str, list[tuple[str, float, str]]] = {}
    for row in chart.rows:
        entry = (str(row[chart.color or ""]), finite(row[chart.y]) or 0.0, show(row[chart.y], chart.y_format))
        cells.setdefault(show(row[chart.x], chart.x_format), []).append(entry)
    left = min(max(map(cell_len, cells)), max(16, width * 2 // 5))
    room = max(8, width - left - 2)
    whole = max(sum(value for _, value, _ in entries) for entries in cells.values()) or 1.0
    for name, entries in cells.items():
        text = RichText(_fit(name, left) + " ", no_wrap=True)
        total = 0.0
        for series, value, shown in entries:
            length = round((total + value) / whole * room) - round(total / whole * room)
            total += value
            color = COLORS[looks[series].color]
            # The number where there is room, and a gap, so that the parts are seen without color too.
            label = f" {shown} " if length >= len(shown) + 5 else ""
            gap = " " if length > 1 else ""
            before = (length - len(label)) // 2
            text.append("█" * before, style=color)
            text.append(label, style=f"bold {color}")
            text.append("█" * (length - before - len(label) - len(gap)) + gap, style=color)
        yield text


def _plot(chart: Chart, looks: dict[str, Style], width: int) -> "Iterator[RichText]":
    """Yield lines or points on a canvas with both axes."""
    from rich.text import Text as RichText

    scatter = chart.kind == "scatter"
    heights = [finite(row[chart.y]) for row in chart.rows]
    zero = not scatter and chart.y_scale == "linear" and min((h for h in heights if h is not None), default=0) >= 0
    x = Scale.of(
        [finite(row[chart.x]) for row in chart.rows], log=chart.x_scale == "log", round_ends=False,
        pad=0.04 if scatter else 0.0,
    )  # fmt: skip
    y = Scale.of(heights, log=chart.y_scale == "log", zero=zero, round_ends=not scatter, pad=0.06 if scatter else 0.0)
    y_ticks = y.ticks(4)
    y_labels = tick_labels(y_ticks, chart.y_format)
    left = max((len(label) for label in y_labels), default=0)
    canvas = Canvas(max(20, min(width, 100) - left - 2), HEIGHT)
    _draw(canvas, chart, looks, x, y)
    marked = {round((1 - y(t)) * (HEIGHT - 1)): label for t, label in zip(y_ticks, y_labels, strict=True)}
    if chart.y_label:
        yield RichText(chart.y_label, style="dim")
    for i, cells in enumerate(canvas.rows()):
        line = RichText(marked.get(i, "").rjust(left), style="", no_wrap=True)
        line.append(" ┤" if i in marked else " │", style="dim")
        for character, color in cells:
            line.append(" " if character == "⠀" else character, style=color or None)
        yield line
    yield RichText(" " * left + " └" + "─" * canvas.width, style="dim", no_wrap=True)
    yield RichText(" " * (left + 2) + _x_labels(chart, x, canvas.width), no_wrap=True)
    if chart.x_label:
        yield RichText(" " * (left + 2) + chart.x_label.rjust(canvas.width), style="dim", no_wrap=True)


def _x_labels(chart: Chart, x: Scale, width: int) -> str:
    ticks = x.ticks(max(2, width // 14))
    line = [" "] * width
    for tick, label in zip(ticks, tick_labels(ticks, chart.x_format), strict=True):
        start = min(max(round(x(tick) * (width - 1)) - len(label) // 2, 0), width - len(label))
        if all(c == " " for c in line[max(start - 1, 0) : start + len(label) + 1]):
            line[start : start + len(label)] = label
    return "".join(line).rstrip()


def _draw(canvas: Canvas, chart: Chart, looks: dict[str, Style], x: Scale, y: Scale) -> None:
    if chart.reference == "diagonal":
        low, high = max(x.low, y.low), min(x.high, y.high)
        if low < high:
            canvas.line((x(low), y(low)), (x(high), y(high)), "dim", gap=2)
    elif chart.reference is not None:
        canvas.line((0.0, y(chart.reference)), (1.0, y(chart.reference)), "dim", gap=2)
    points: list[_Point] = []
    for i, (name, rows) in enumerate(series_of(chart).items()):
        color, mark = COLORS[looks[name].color], MARKS[looks[name].marker]
        path: list[tuple[float, float] | None] = []
        for row in rows:
            a, b = finite(row[chart.x]), finite(row[chart.y])
            at = None if a is None or b is None else (x(a), y(b))
            path.append(at)
            if at and chart.kind == "scatter":
                label = str(row[chart.label]) if chart.label and row[chart.label] is not None else ""
                points.append(_Point(at, mark, color, label, bool(chart.chosen and row[chart.chosen])))
        for start, end in pairwise(path):
            if start and end and (chart.kind == "line" or chart.connect):
                canvas.line(start, end, color)
        if chart.kind == "line" and len(looks) > 1:
            _mark_line(canvas, [at for at in path if at], mark, color, (i + 0.5) / len(looks))
    _draw_points(canvas, points, some=bool(chart.chosen))


class _Point(NamedTuple):
    at: tuple[float, float]
    mark: str
    color: str
    label: str
    chosen: bool


def _mark_line(canvas: Canvas, path: list[tuple[float, float]], mark: str, color: str, shift: float) -> None:
    """Put the marker of a line on it a few times, so that lines are told apart without color."""
    known = sorted(path)
    for i in range(4):
        across = (i + shift) / 4
        at = min(known, key=lambda point: abs(point[0] - across), default=None)
        if at:
            canvas.mark(at, mark, color)


def _draw_points(canvas: Canvas, points: list[_Point], *, some: bool) -> None:
    """Draw points and their labels; where some are chosen, these are drawn last, and only they are labelled."""
    cells = []
    for point in sorted(points, key=lambda p: p.chosen):
        mark = "·" if some and not point.chosen else point.mark
        color = f"bold {point.color}" if point.chosen else point.color
        cells.append((canvas.mark(point.at, mark, color), point))
    for cell, point in cells:
        if point.label and point.chosen == some:
            canvas.write(cell, point.label, "bold" if point.chosen else "")
