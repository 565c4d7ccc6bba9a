"""Tables with formatted cells, shared by the HTML, Markdown, LaTeX and terminal renderers."""

from dataclasses import dataclass

from headtail.reports._values import MISSING, Row, Value, best_rows, finer, finite, is_number, show, show_interval
from headtail.reports.blocks import Chart, Column, Figures, Table


@dataclass(frozen=True)
class Cell:
    """A cell as text."""

    text: str
    interval: str = ""  # or other small text below
    best: bool = False
    tone: str = ""  # of a change: good, bad, or noise if its interval contains 0
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """A table as text; `numeric` marks columns of numbers, which are right-aligned."""

    headings: list[str]
    numeric: list[bool]
    rows: list[list[Cell]]


def figures_grid(block: Figures) -> Grid:
    """Format figures, one a row."""
    rows = [
        [Cell(figure.label + f" ({figure.code})" * bool(figure.code)),
         Cell(show(figure.value, figure.format), ", ".join(figure.beside))]
        for figure in block.figures
    ]  # fmt: skip
    return Grid(["Figure", "Value"], [False, True], rows)


def grid(table: Table) -> Grid:
    """Format the cells of a table."""
    numeric, columns = [], []
    for column in table.columns:
        values = [row[column.key] for row in table.rows]
        known = [v for v in values if v is not None]
        numeric.append(bool(known) and all(is_number(v) for v in known))
        best = set() if column.change else best_rows(values, column.better)
        cells = []
        for i, (row, value) in enumerate(zip(table.rows, values, strict=True)):
            said = {one: str(row.get(f"{column.key} {one}") or "") for one in ("format", "note", "code")}
            spec = column.format or said["format"] or None
            arrow, tone = _turn(column, row) if column.change else ("", "")
            if tone in ("good", "bad") and not any(digit in "123456789" for digit in show(value, spec)):
                spec = finer(spec)  # an arrow at nothing says nothing
            ends = show_interval(row[column.low], row[column.high], spec) if column.low and column.high else ""
            ends = said["code"] or ends
            cells.append(Cell(arrow + show(value, spec), "" if value is None else ends, i in best, tone, said["note"]))
        columns.append(cells)
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    headings = [c.code or c.label for c in table.columns]  # codes are short, and defined at the end
    return Grid(headings, numeric, rows)


def _turn(column: Column, row: Row) -> tuple[str, str]:
    """Return the arrow of a change, and whether it is good, bad, or noise."""
    value = finite(row[column.key])
    low, high = (finite(row[end]) if end else None for end in (column.low, column.high))
    better = row.get(f"{column.key} better") or column.better
    if not value:
        return "", ""
    if low is not None and high is not None and low <= 0 <= high:
        return "≈ ", "noise"
    if better is None:
        return "↑ " if value > 0 else "↓ ", ""
    return "↑ " if value > 0 else "↓ ", "good" if (value > 0) == (better == "higher") else "bad"


def is_missing(cell: Cell) -> bool:
    """Whether the cell has no value."""
    return cell.text == MISSING


def data_table(chart: Chart, limit: int) -> tuple[Table, int]:
    """Return the data of a chart as a table of about `limit` evenly spaced rows at most, and the number of all rows.

    Lines and bars get a column per series where x and series identify every row.
    """
    table = _spread(chart) or _flat(chart)
    n = len(table.rows)
    if n <= limit:
        return table, n
    kept = sorted({round(i * (n - 1) / (limit - 1)) for i in range(limit)})
    return Table(table.columns, [table.rows[i] for i in kept]), n


def _spread(chart: Chart) -> Table | None:
    names = list(dict.fromkeys(row[chart.color] for row in chart.rows)) if chart.color else []
    pairs = {(row[chart.x], row[chart.color]) for row in chart.rows} if chart.color else set()
    if chart.kind == "scatter" or chart.low or len(names) < 2 or len(pairs) < len(chart.rows):
        return None
    cells: dict[Value, dict[str, Value]] = {}
    for row in chart.rows:
        # Series can have any name, so their columns are numbered.
        cells.setdefault(row[chart.x], {"x": row[chart.x]})[f"y{names.index(row[chart.color or ''])}"] = row[chart.y]
    columns = [Column("x", chart.x_label or chart.x, chart.x_format)]
    columns += [Column(f"y{i}", str(name), chart.y_format) for i, name in enumerate(names)]
    return Table(columns, list(cells.values()))


def _flat(chart: Chart) -> Table:
    columns = {key: Column(key) for key in (chart.color, chart.label) if key}
    columns[chart.x] = Column(chart.x, chart.x_label or chart.x, chart.x_format)
    columns[chart.y] = Column(chart.y, chart.y_label or chart.y, chart.y_format, low=chart.low, high=chart.high)
    columns |= {chart.chosen: Column(chart.chosen)} if chart.chosen else {}
    return Table(list(columns.values()), chart.rows)
