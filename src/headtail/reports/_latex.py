"""Reports as LaTeX: prose and tables, to be included in a paper."""

from headtail._printable import printable
from headtail.reports import _prose
from headtail.reports._grid import Cell, Grid, figures_grid, grid
from headtail.reports.blocks import Block, Chart, Document, Figures, Section, Text, definitions

_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "–": "--", "−": r"\ensuremath{-}", "×": r"\ensuremath{\times}",
    "↑": r"\ensuremath{\uparrow}", "↓": r"\ensuremath{\downarrow}", "≈": r"\ensuremath{\approx}",
    "∞": r"\ensuremath{\infty}", "[": "{[}", "]": "{]}",  # brackets would be the argument of \\ or of \item
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip
_LEVELS = ("section", "subsection", "subsubsection", "paragraph")
_SPANS = {
    "strong_open": r"\textbf{", "em_open": r"\emph{", "strong_close": "}", "em_close": "}",
    "softbreak": "\n", "hardbreak": r"\\" + "\n",
}  # fmt: skip
_BLOCKS = {
    "bullet_list_open": r"\begin{itemize}", "bullet_list_close": r"\end{itemize}", "list_item_open": r"\item ",
    "ordered_list_open": r"\begin{enumerate}", "ordered_list_close": r"\end{enumerate}", "paragraph_close": "",
}  # fmt: skip


def to_latex(report: Document) -> str:
    """Return the report for a LaTeX document that uses the package booktabs; charts are left out."""
    parts = [_heading(report.title, 0), _text(report.lede)]
    for block in report.blocks:
        parts += _block(block, 1)
    if terms := definitions(report):
        lines = [rf"\item[{plain(term)}] {_text(note)}" for term, note in terms]
        parts += [_heading("Definitions", 1), "\n".join([r"\begin{description}", *lines, r"\end{description}"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Return `text` so that LaTeX shows it as it is, on one line."""
    return "".join(_SPECIAL.get(letter, letter) for letter in printable(" ".join(text.split())))


def _heading(text: str, level: int) -> str:
    return rf"\{_LEVELS[min(level, len(_LEVELS) - 1)]}{{{plain(text)}}}"


def _text(markdown: str) -> str:
    lines = []
    for token in _prose.tokens(markdown):
        if token.type == "fence":
            lines.append(rf"\texttt{{{plain(token.content)}}}")
        spans = "".join(_span(child.type, child.content) for child in token.children or [])
        lines.append(spans or _BLOCKS.get(token.type, ""))
    return "\n".join(line for line in lines if line).replace("\\item \n", "\\item ")


def _span(kind: str, content: str) -> str:
    if kind == "code_inline":
        return rf"\texttt{{{plain(content)}}}"
    padded = content[:1] == " ", content[-1:] == " " and len(content) > 1
    return _SPANS.get(kind, " " * padded[0] + plain(content) + " " * padded[1])


def _block(block: Block, level: int) -> list[str]:
    if isinstance(block, Text):
        return [_text(block.markdown)]
    if isinstance(block, Section):
        return [_heading(block.title, level), *(part for one in block.blocks for part in _block(one, level + 1))]
    if isinstance(block, Chart):
        return []
    if isinstance(block, Figures):
        return [_rows(figures_grid(block))]
    above = [rf"\caption{{{plain(block.title)}}}"] * bool(block.title)
    below = [rf"\par\smallskip\footnotesize {_text(block.caption)}"] * bool(block.caption)
    return ["\n".join([r"\begin{table}", r"\centering", *above, _rows(grid(block)), *below, r"\end{table}"])]


def _rows(written: Grid) -> str:
    lines = [
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in written.numeric)}}}", r"\toprule",
        " & ".join(plain(heading) for heading in written.headings) + r" \\", r"\midrule",
        *(" & ".join(_cell(cell) for cell in row) + r" \\" for row in written.rows),
        r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    text = rf"\textbf{{{plain(cell.text)}}}" if cell.best else plain(cell.text)
    return f"{text} ({plain(cell.interval)})" if cell.interval else text
