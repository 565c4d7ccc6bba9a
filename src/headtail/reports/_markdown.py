"""Reports as Markdown, with charts as tables of their data."""

import re
from collections.abc import Iterable

from headtail._checks import checked
from headtail._printable import printable
from headtail.reports._grid import Cell, Grid, data_table, figures_grid, grid
from headtail.reports.blocks import Block, Chart, Document, Figures, Section, Table, Text, definitions

DATA_ROWS = 25


def to_markdown(report: Document) -> str:
    """Return the report as Markdown with tables."""
    parts = [f"# {plain(report.title)}", _prose(report.lede)]
    for block in report.blocks:
        parts += _block(block, 2)
    terms = definitions(report)
    if terms:
        parts += ["## Definitions", "\n".join(f"- **{plain(term)}**: {_prose(note)}" for term, note in terms)]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


@checked
def plain(text: str) -> str:
    """Return `text` so that Markdown shows it as it is, on one line."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", printable(" ".join(text.split())))
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", text).replace("<", "&lt;")


def bullets(lines: Iterable[str]) -> Text:
    """Return lines as a list that shows them as they are."""
    return Text("\n".join(f"- {plain(line)}" for line in lines))


def _prose(text: str) -> str:
    """Return Markdown in which HTML is shown and not run (inside code it never is)."""
    text = "\n".join(printable(line) for line in text.split("\n"))
    parts = re.split(r"(`+[^`]+`+)", text)
    return "".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))


def _block(block: Block, level: int) -> list[str]:
    if isinstance(block, Text):
        return [_prose(block.markdown)]
    if isinstance(block, Section):
        inner = [part for one in block.blocks for part in _block(one, min(level + 1, 6))]
        return [f"{'#' * level} {plain(block.title)}", *inner]
    if isinstance(block, Figures):
        return [_rows(figures_grid(block))]
    title = f"**{plain(block.title)}**" if block.title else ""
    if isinstance(block, Table):
        return [title, _prose(block.caption), _rows(grid(block))]
    return [title, _prose(block.caption), *_chart(block)]


def _chart(chart: Chart) -> list[str]:
    table, n = data_table(chart, DATA_ROWS)
    said = f"{chart.y_label or chart.y} by {chart.x_label or chart.x}"
    if len(table.rows) < n:
        said += f"; {len(table.rows)} of {n:,} rows, evenly spaced"
    return [f"*{plain(said)}*", _rows(grid(table))]


def _rows(written: Grid) -> str:
    lines = [[plain(heading) for heading in written.headings]]
    lines += [["---:" if right else ":---" for right in written.numeric]]
    lines += [[_cell(cell) for cell in row] for row in written.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell) -> str:
    text = f"**{plain(cell.text)}**" if cell.best else plain(cell.text)
    return f"{text} ({plain(cell.interval)})" if cell.interval else text
