"""Line and scatter charts, with their labels placed on the lines and beside the points."""

from dataclasses import replace

from headtail.reports._placing import Box, Label, along, around, place, spread
from headtail.reports._scales import Scale, tick_labels
from headtail.reports._series import Style, series_of
from headtail.reports._values import Row, finite, shorten, text_width
from headtail.reports._vega import (
    COLOR,
    GRID,
    MUTED,
    SURFACE,
    TEXT,
    Frame,
    Spec,
    axis,
    layer,
    numbers,
    on,
    raw,
    texts,
    titles,
    told,
)  # fmt: skip
from headtail.reports.blocks import Chart

Point = tuple[float, float]


def draw_lines(chart: Chart, styles: dict[str, Style], frame: Frame) -> tuple[Frame, list[Spec], bool]:
    heights = [v for key in (chart.y, chart.low, chart.high) for v in numbers(chart, key)]
    if chart.reference not in (None, "diagonal"):
        heights.append(finite(chart.reference))
    known = [v for v in heights if v is not None]
    zero = chart.y_scale == "linear" and bool(known) and min(known) >= 0 and min(known) < 0.5 * max(known)
    x = Scale.of(numbers(chart, chart.x), log=chart.x_scale == "log", round_ends=False)
    y = Scale.of(heights, log=chart.y_scale == "log", zero=zero)
    series = series_of(chart)
    named = len(series) > 1 and not frame.narrow and len(series) <= 8
    frame, x_axis, y_axis = _axes(chart, x, y, frame)
    labels: list[Label] = []
    if named:
        frame, labels = _line_labels(chart, series, styles, x, y, frame)
    layers = [_base(x, y, x_axis, y_axis), *_reference(chart, x, y)]
    records = _records(chart, styles)
    position = {"x": on(x, "x"), "y": on(y, "y"), "color": COLOR, "detail": {"field": "c"}}
    if chart.low:
        band = {**position, "y": on(y, "lo"), "y2": {"field": "hi"}}
        inside = [r for r in records if r["lo"] is not None and r["hi"] is not None]
        layers.append(layer("area", inside, band, fillOpacity=0.16, strokeWidth=0))
    layers.append(layer("line", records, position, strokeWidth=2.25, strokeJoin="round", strokeCap="round"))
    few = max(len(rows) for rows in series.values()) <= 30 if series else False
    marks = {**position, "shape": raw("s", "nominal"), "description": {"field": "d"}}
    options = {"size": 44, "opacity": 1} if few else {"size": 120, "opacity": 0}
    layers.append(layer("point", [r for r in records if r["y"] is not None], marks, filled=True, **options))
    return frame, [*layers, *texts(labels, frame.size), *titles(frame, chart.x_label, chart.y_label)], bool(labels)


def _line_labels(
    chart: Chart, series: dict[str, list[Row]], styles: dict[str, Style], x: Scale, y: Scale, frame: Frame
) -> tuple[Frame, list[Label]]:
    """Label lines at their right ends if these lie apart, else where the lines do."""
    widest = max(text_width(name, frame.size) for name in series) * 1.06
    beside = replace(frame, right=max(frame.right, min(widest, 190) + 14))
    paths = {name: _pixels(rows, chart, x, y, beside) for name, rows in series.items()}
    paths = {name: sorted(path) for name, path in paths.items() if path}
    ends = [path[-1] for path in paths.values()]
    placed = spread([end[1] for end in ends], frame.size + 4, 0, frame.height)
    if all(abs(at - end[1]) < 22 and end[0] > 0.8 * beside.width for at, end in zip(placed, ends, strict=True)):
        return beside, [
            Label(end[0] + 8, at, shorten(name, 180, frame.size), styles[name].css, bold=True)
            for name, end, at in zip(paths, ends, placed, strict=True)
        ]
    paths = {name: sorted(_pixels(rows, chart, x, y, frame)) for name, rows in series.items() if name in paths}
    obstacles = [box for path in paths.values() for box in along(path, radius=3.0)]
    if chart.reference == "diagonal":
        obstacles += along([(0.0, frame.height), (frame.width, 0.0)])
    labels: list[Label] = []
    for name, path in paths.items():
        others = [p for other, points in paths.items() if other != name for p in points]
        apart = sorted(path, key=lambda p: -_distance(p, others))
        label = place(
            apart[:12], name, styles[name].css, size=frame.size, frame=frame.box, obstacles=obstacles, needed=True,
            bold=True,
        )  # fmt: skip
        labels += [label] if label else []
    return frame, labels


def _distance(point: Point, others: list[Point]) -> float:
    return min(((point[0] - a) ** 2 + (point[1] - b) ** 2 for a, b in others), default=0.0)


def draw_points(chart: Chart, styles: dict[str, Style], frame: Frame) -> tuple[Frame, list[Spec], bool]:
    heights = [v for key in (chart.y, chart.low, chart.high) for v in numbers(chart, key)]
    if chart.reference not in (None, "diagonal"):
        heights.append(finite(chart.reference))
    x = Scale.of(numbers(chart, chart.x), log=chart.x_scale == "log", round_ends=False, pad=0.07)
    y = Scale.of(heights, log=chart.y_scale == "log", round_ends=False, pad=0.08)
    frame, x_axis, y_axis = _axes(chart, x, y, frame)
    records = _records(chart, styles)
    picked = [bool(chart.chosen and row[chart.chosen]) for rows in series_of(chart).values() for row in rows]
    for i, (record, is_picked) in enumerate(zip(records, picked, strict=True)):
        record["i"] = i
        record["size"] = (240 if is_picked else 80 if any(picked) else 90) * (0.8 if frame.narrow else 1)
    records = [r for r in records if r["x"] is not None and r["y"] is not None]
    position = {"x": on(x, "x"), "y": on(y, "y"), "color": COLOR}
    layers = [_base(x, y, {**x_axis, "grid": True, "gridColor": GRID}, y_axis), *_reference(chart, x, y)]
    if chart.low:
        inside = [r for r in records if r["lo"] is not None and r["hi"] is not None]
        bars = {**position, "y": on(y, "lo"), "y2": {"field": "hi"}}
        layers.append(layer("rule", inside, bars, strokeWidth=1.25, opacity=0.45))
    if chart.connect:
        path = {**position, "detail": {"field": "c"}, "order": {"field": "i", "type": "quantitative"}}
        layers.append(layer("line", records, path, strokeWidth=1.5, opacity=0.6, strokeJoin="round"))
    marks = {**position, "shape": raw("s", "nominal"), "size": raw("size"), "description": {"field": "d"}}
    marks["size"] = {"field": "size", "type": "quantitative", "scale": None, "legend": None}
    layers.append(layer("point", records, marks, filled=True, opacity=1, stroke=SURFACE, strokeWidth=1.25))
    labels, labelled = _scatter_labels(chart, styles, x, y, frame)
    return frame, [*layers, *texts(labels, frame.size - 0.5), *titles(frame, chart.x_label, chart.y_label)], labelled


def _scatter_labels(
    chart: Chart, styles: dict[str, Style], x: Scale, y: Scale, frame: Frame
) -> tuple[list[Label], bool]:
    """Name each series at one point, then the points themselves where there is room, the chosen ones first.

    A path is named where it is furthest from the others, for paths that start together are told apart at their far
    ends; separate points are named at the chosen, else the last one.
    """
    series = series_of(chart)
    obstacles = _scatter_obstacles(chart, series, x, y, frame)
    size = frame.size - 0.5
    labels: list[Label] = []
    labelled = len(series) > 1 and len(series) <= 8 and not frame.narrow
    own = chart.label if chart.label != chart.color else None
    todo: list[tuple[Row, str, str, bool]] = []
    for name, rows in series.items():
        at = [row for row in rows if finite(row[chart.x]) is not None and finite(row[chart.y]) is not None]
        picked = [row for row in at if chart.chosen and row[chart.chosen]] or at[-1:]
        if labelled and at:
            others = [
                p for other, theirs in series.items() if other != name for p in _pixels(theirs, chart, x, y, frame)
            ]
            apart = max(at, key=lambda row: _distance(_pixels([row], chart, x, y, frame)[0], others))
            first = apart if chart.connect else picked[0]
            text = f"{name} {first[own]}" if own and first[own] is not None and len(at) > 1 else name
            todo.append((first, text, styles[name].css, True))
            at = [row for row in at if row is not first]
        if own:
            color = MUTED if len(series) > 1 else TEXT
            colors = [styles[name].css if labelled and row in picked else color for row in at]
            todo += [(row, str(row[own]), c, False) for row, c in zip(at, colors, strict=True) if row[own] is not None]
        elif chart.label and not labelled and at and not frame.narrow:
            todo += [(row, str(row[chart.label]), TEXT, False) for row in at if row[chart.label] is not None]
    todo.sort(key=lambda one: (not one[3], not (chart.chosen and one[0][chart.chosen])))
    for row, text, color, bold in todo:
        anchor = _pixels([row], chart, x, y, frame)
        # Settings that coincide (such as weight 0 of every method) are named once.
        if not bold and any(
            label.text == text and _distance(anchor[0], [(label.x, label.y)]) < 40**2 for label in labels
        ):
            continue
        label = place(
            anchor, shorten(text, 0.55 * frame.width, size), color, size=size, frame=frame.box, obstacles=obstacles,
            needed=bold or len(todo) <= 8, bold=bold,
        )  # fmt: skip
        labels += [label] if label else []
    return labels, labelled


def _scatter_obstacles(
    chart: Chart, series: dict[str, list[Row]], x: Scale, y: Scale, frame: Frame
) -> list[Box]:  # fmt: skip
    obstacles = []
    for rows in series.values():
        points = _pixels(rows, chart, x, y, frame)
        obstacles += around(points, 5.0)
        if chart.connect:
            obstacles += along(points)
        for row in rows if chart.low and chart.high else []:
            ends = [finite(row[key]) for key in (chart.x, chart.low, chart.high) if key]
            if None not in ends:
                px, low, high = x(ends[0] or 0.0), y(ends[1] or 0.0), y(ends[2] or 0.0)
                across = px * frame.width
                obstacles.append(Box(across - 1.5, (1 - high) * frame.height, across + 1.5, (1 - low) * frame.height))
    if chart.reference == "diagonal":
        low, high = max(x.low, y.low), min(x.high, y.high)
        if low < high:
            ends_px = [(x(v) * frame.width, (1 - y(v)) * frame.height) for v in (low, high)]
            obstacles += along(ends_px)
    return obstacles


def _axes(chart: Chart, x: Scale, y: Scale, frame: Frame) -> tuple[Frame, Spec, Spec]:
    """Return the frame with room for the tick labels, and the two axes."""
    y_ticks = y.ticks(5)
    y_labels = tick_labels(y_ticks, chart.y_format)
    widest = max((text_width(label, frame.size) for label in y_labels), default=0)
    frame = replace(frame, left=widest + 12)
    x_ticks = x.ticks(4 if frame.narrow else 8)
    x_labels = tick_labels(x_ticks, chart.x_format)
    if x_labels and x(x_ticks[-1]) > 0.97:
        frame = replace(frame, right=max(frame.right, text_width(x_labels[-1], frame.size) / 2 + 2))
    return frame, axis(x_ticks, x_labels, frame, grid=False), axis(y_ticks, y_labels, frame, grid=True)


def _base(x: Scale, y: Scale, x_axis: Spec, y_axis: Spec) -> Spec:
    """Return the layer that carries the axes."""
    return layer("point", [{"x": x.low, "y": y.low}], {"x": on(x, "x", x_axis), "y": on(y, "y", y_axis)}, opacity=0)


def _reference(chart: Chart, x: Scale, y: Scale) -> list[Spec]:
    if chart.reference is None:
        return []
    if chart.reference == "diagonal":
        low, high = max(x.low, y.low), min(x.high, y.high)
        if low >= high:
            return []
        ends = {"x": low, "y": low, "x2": high, "y2": high}
    else:
        ends = {"x": x.low, "x2": x.high, "y": chart.reference, "y2": chart.reference}
    encoding = {"x": on(x, "x"), "y": on(y, "y"), "x2": {"field": "x2"}, "y2": {"field": "y2"}}
    return [layer("rule", [ends], encoding, stroke=MUTED, strokeDash=[4, 4], strokeWidth=1)]


def _records(chart: Chart, styles: dict[str, Style]) -> list[Spec]:
    records = []
    for name, rows in series_of(chart).items():
        style = styles[name]
        for row in rows:
            record: Spec = {"x": row[chart.x], "y": row[chart.y], "c": name, "k": style.css, "s": style.marker}
            record["d"] = told(chart, name, row)
            if chart.low and chart.high:
                record["lo"], record["hi"] = row[chart.low], row[chart.high]
            records.append(record)
    return records


def _pixels(rows: list[Row], chart: Chart, x: Scale, y: Scale, frame: Frame) -> list[Point]:
    known = ((finite(row[chart.x]), finite(row[chart.y])) for row in rows)
    return [
        (x(a) * frame.width, (1 - y(b)) * frame.height) for a, b in known if a is not None and b is not None
    ]  # fmt: skip
