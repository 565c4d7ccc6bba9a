"""Tables with formatted cells, shared by the HTML, Markdown, LaTeX and terminal renderers."""

from dataclasses import dataclass

from headtail.reports._values import MISSING, Row, best_rows, finer, finite, is_number, show, show_interval
from headtail.reports.blocks import Column, Figures, Table


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
