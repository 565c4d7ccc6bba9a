"""Reports in the terminal, with rich."""

import io
from collections.abc import Callable, Iterable, Iterator

from markdown_it.token import Token
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text as RichText

from headtail._printable import counted, printable
from headtail.reports import _prose
from headtail.reports._grid import Cell, Grid, grid, is_missing
from headtail.reports._series import Style, styles_of
from headtail.reports._terminal_charts import chart_lines
from headtail.reports._values import printable_texts, show
from headtail.reports.blocks import Block, Chart, Document, Figures, Section, Table, Text, definitions

BRIEF_ROWS = 20
TONES = {"": "", "good": "green", "bad": "red", "noise": "dim"}
FOLDED = 24  # least width of a column of text
PROSE = ("markdown", "lede", "caption", "note")  # escaped after parsing, since Markdown has character references


def to_text(report: Document, width: int, *, brief: bool = False) -> str:
    """Return the report as plain text; a brief one has no prose, charts and definitions."""
    out = io.StringIO()
    # Without the environment, so that the text is the same in any terminal or notebook.
    console = Console(
        file=out, width=width, color_system=None, force_terminal=False, force_jupyter=False, legacy_windows=False,
        _environ={},
    )  # fmt: skip
    for part in _brief(report, width) if brief else renderables(report, width):
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n")


def renderables(report: Document, width: int) -> Iterator[RenderableType]:
    """Yield what rich prints for a report."""
    report = printable_texts(report, PROSE)
    styles = styles_of(report.blocks)
    yield RichText(report.title, style="bold")
    yield from _paragraphs(report.lede)
    yield ""
    for block in report.blocks:
        yield from _block(block, width, styles)
    terms = definitions(report)
    if terms:
        yield from _heading("Definitions")
        for term, note in terms:
            yield RichText(term, style="bold")
            yield Padding(_spans(_prose.inline_tokens(note), "dim"), (0, 0, 0, 2))


def _brief(report: Document, width: int) -> Iterator[RenderableType]:
    def shown(blocks: Iterable[Block]) -> list[Block]:
        kept: list[Block] = []
        for block in blocks:
            if isinstance(block, Section):
                inner = shown(block.blocks)
                kept += [Section(block.title, inner)] if inner else []
            elif isinstance(block, (Figures, Table)):
                kept.append(block)
        return kept

    if report.lede:
        yield from _paragraphs(report.lede)
        yield ""
    for block in printable_texts(shown(report.blocks), PROSE):
        yield from _block(block, width, {}, BRIEF_ROWS)


def _heading(title: str) -> Iterator[RenderableType]:
    yield Rule(RichText(title, style="bold"), align="left", style="dim", characters="─")


def _block(block: Block, width: int, styles: dict[str, Style], limit: int | None = None) -> Iterator[RenderableType]:
    if isinstance(block, Section):
        yield from _heading(block.title)
        for one in block.blocks:
            yield from _block(one, width, styles, limit)
        return
    if isinstance(block, Text):
        yield from _paragraphs(block.markdown)
    elif isinstance(block, Figures):
        yield _figures(block)
    else:
        if block.title:
            yield RichText(block.title, style="bold")
        if block.caption:
            yield _spans(_prose.inline_tokens(block.caption), "dim")
        if isinstance(block, Chart):
            yield from chart_lines(block, width, styles)
        else:
            yield from _table(block, width, limit)
    yield ""


def _paragraphs(markdown: str) -> Iterator[RenderableType]:
    depth, bullets = 0, [""]
    first = True
    for token in _prose.tokens(markdown):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            depth += 1
            bullets.append("")
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            depth -= 1
            bullets.pop()
        elif token.type == "list_item_open":
            bullets[-1] = f"{token.info}. " if token.info else "• "
        elif token.type == "paragraph_open" and not depth and not first:
            yield ""
        elif token.type == "fence":
            lines = token.content.rstrip("\n").split("\n")
            yield Padding(RichText("\n".join(map(printable, lines))), (0, 0, 0, 4))
        elif token.type == "inline":
            text = _spans(token.children or [], "")
            item = RichTable.grid()
            item.add_row(bullets[-1], text)
            yield Padding(item, (0, 0, 0, 2 * depth)) if depth else text
            bullets[-1] = " " * len(bullets[-1])
            first = False


def _spans(tokens: Iterable[Token], style: str) -> RichText:
    text, stack = RichText(style=style), [""]
    opened = {"strong_open": "bold", "em_open": "italic", "link_open": "underline"}
    target = ""
    for token in tokens:
        if token.type in opened:
            stack.append(f"{stack[-1]} {opened[token.type]}".strip())
            target = str(token.attrs.get("href", "")) or target
        elif token.type.endswith("_close"):
            stack.pop()
            if token.type == "link_close" and target:
                text.append(printable(f" ({target})"), style="dim")
        elif token.type == "code_inline":
            text.append(printable(token.content), style=f"{stack[-1]} cyan".strip())
        elif token.type in ("softbreak", "hardbreak"):
            text.append(" " if token.type == "softbreak" else "\n")
        else:
            text.append(printable(token.content), style=stack[-1] or None)
    return text


def _figures(block: Figures) -> RenderableType:
    table = RichTable.grid(padding=(0, 3, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for figure in block.figures:
        value = RichText(show(figure.value, figure.format), style="bold")
        label = RichText(figure.label).append(f" {figure.code}" if figure.code else "", style="dim")
        table.add_row(label, value, RichText(", ".join(figure.beside), style="dim"))
    return table


def _table(table: Table, width: int, limit: int | None) -> Iterator[RenderableType]:
    n = len(table.rows)
    written = grid(Table(table.columns, table.rows[:limit])) if table.rows else grid(table)
    parts, widths = _parts(written, width)
    for i, columns in enumerate(parts):
        if i:
            yield ""
        yield _rich_table(written, widths, columns)
    if limit is not None and n > limit:
        yield RichText(f"... and {counted(n - limit, 'more row')}", style="dim")


def _parts(written: Grid, width: int) -> tuple[list[list[int]], list[int]]:
    """Split the columns into parts that fit the width, each starting with the first, and return the columns' widths.

    Headings are folded between words if that makes fewer parts.
    """

    def widths(part: Callable[[str], list[str]]) -> list[int]:
        cells = [[(row[i].text, row[i].interval) for row in written.rows] for i in range(len(written.headings))]
        needed = [
            max(
                [*map(cell_len, part(heading)), *(cell_len(f"{text} {interval}".rstrip()) for text, interval in column)]
            )
            for heading, column in zip(written.headings, cells, strict=True)
        ]
        return [w if right else min(w, FOLDED) for w, right in zip(needed, written.numeric, strict=True)]

    def split(widths: list[int]) -> list[list[int]]:
        parts, used = [[0]], widths[0]
        for i in range(1, len(widths)):
            if used + widths[i] + 3 > width and len(parts[-1]) > 1:
                parts.append([0])
                used = widths[0]
            parts[-1].append(i)
            used += widths[i] + 3
        return parts

    whole, folded = widths(lambda heading: [heading]), widths(lambda heading: heading.split() or [""])
    return min(((split(one), one) for one in (whole, folded)), key=lambda found: len(found[0]))


def _rich_table(written: Grid, widths: list[int], columns: list[int]) -> RenderableType:
    table = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for i in columns:
        right = written.numeric[i]
        table.add_column(
            RichText(written.headings[i]), justify="right" if right else "left", overflow="fold",
            width=widths[i] if right else None, min_width=widths[i],
        )  # fmt: skip
    for row in written.rows:
        table.add_row(*(_cell(row[i]) for i in columns))
    return table


def _cell(cell: Cell) -> RichText:
    style = "dim" if is_missing(cell) else "bold green" if cell.best else TONES[cell.tone]
    text = RichText(cell.text, style=style)
    return text.append(f" {cell.interval}", style="not bold dim") if cell.interval else text
