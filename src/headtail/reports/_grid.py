"""A table with its cells written out: what the HTML, Markdown and terminal renderers have in common."""

from dataclasses import dataclass

from headtail.reports._values import MISSING, best_rows, is_number, show, show_interval
from headtail.reports.blocks import Table


@dataclass(frozen=True)
class Cell:
    """A cell as text."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Grid:
    """A table as text; `numeric` says which columns hold numbers, and so are aligned to the right."""

    headings: list[str]
    notes: list[str]
    numeric: list[bool]
    rows: list[list[Cell]]


def grid(table: Table) -> Grid:
    """Write out the cells of a table."""
    numeric, columns = [], []
    for column in table.columns:
        values = [row[column.key] for row in table.rows]
        known = [v for v in values if v is not None]
        numeric.append(bool(known) and all(is_number(v) for v in known))
        best = best_rows(values, column.better)
        cells = []
        for i, (row, value) in enumerate(zip(table.rows, values, strict=True)):
            ends = show_interval(row[column.low], row[column.high], column.format) if column.low and column.high else ""
            cells.append(Cell(show(value, column.format), "" if value is None else ends, i in best))
        columns.append(cells)
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    return Grid([c.label for c in table.columns], [c.note for c in table.columns], numeric, rows)


def is_missing(cell: Cell) -> bool:
    """Whether the cell says that there is no value."""
    return cell.text == MISSING
