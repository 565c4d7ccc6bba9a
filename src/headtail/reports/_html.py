"""Reports as HTML: documents become plain values, which templates lay out."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from importlib import metadata, resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from headtail._printable import counted, printable
from headtail.reports import _prose
from headtail.reports._drawing import NARROW, WIDE, draw
from headtail.reports._grid import Cell, data_table, grid, is_missing
from headtail.reports._series import styles_of
from headtail.reports._values import finite, is_number, minus, show
from headtail.reports.blocks import Block, Chart, Document, Figure, Figures, Section, Table, Text, definitions

View = dict[str, Any]

DATA_ROWS = 200
NOTEBOOK = 300_000  # most bytes of a report in a notebook, which keeps every output
NOTEBOOK_ROWS = 25


def source(name: str) -> str:
    """Return the text of a file of this package."""
    return resources.files("headtail.reports").joinpath(name).read_text(encoding="utf-8")


def version() -> str:
    """Return the version of headtail."""
    try:
        return metadata.version("headtail")
    except metadata.PackageNotFoundError:
        return "(not installed)"


TEMPLATES = Environment(
    loader=FunctionLoader(source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    finalize=lambda value: printable(value) if type(value) is str else value,
)  # fmt: skip


def page(report: Document) -> str:
    """Return a standalone page."""
    view = _View(report, prefix="").whole()
    sections = [block for block in view["blocks"] if block["kind"] == "section"]
    toc = sections if len(sections) > 2 else []
    return TEMPLATES.get_template("page.html.jinja").render(view, toc=toc, version=version())


def fragment(report: Document) -> str:
    """Return an element for a notebook, with charts in one size and the last blocks left out beyond `NOTEBOOK` bytes.

    Its ids start with a digest of the report, so that reports can share a page.
    """
    digest = hashlib.sha256(json.dumps(report.to_dict()).encode()).hexdigest()[:8]
    view = _View(report, prefix=f"ht-{digest}-", notebook=True).whole()
    template, left_out = TEMPLATES.get_template("notebook.html.jinja"), list[str]()
    body = view["blocks"][: len(report.blocks)]
    ends = view["blocks"][len(body) :]
    while len((html := template.render(view, left_out=left_out)).encode()) > NOTEBOOK and body:
        left_out = [_drop_last(body), *left_out]
        view["blocks"] = body + ends
    return html


def _drop_last(blocks: list[View]) -> str:
    """Remove the last block, from within a section as long as another one remains there; return its name."""
    inner = blocks[-1].get("blocks", [])
    if len(inner) > 1:
        return _drop_last(inner)
    dropped = blocks.pop()
    return str(dropped.get("title") or dropped["kind"])


class _View:
    """Builds the values for the templates, and keeps track of ids in use."""

    def __init__(self, report: Document, prefix: str, *, notebook: bool = False) -> None:
        self.report = report
        self.prefix = prefix
        self.notebook = notebook
        self.styles = styles_of(report.blocks)
        self.terms = definitions(report)
        self.used: set[str] = set()
        self.regions: Counter[str] = Counter()

    def whole(self) -> View:
        blocks = [self._block(block, level=2) for block in self.report.blocks]
        if self.terms:
            entries = [
                {"id": self._term_id(i), "term": term, "html": Markup(_prose.to_inline_html(note))}
                for i, (term, note) in enumerate(self.terms)
            ]
            within = [{"kind": "definitions", "entries": entries}]
            blocks.append(self._section(Section("Definitions", [], folded=True), 2) | {"blocks": within})
        lede = Markup(_prose.to_html(self.report.lede)) if self.report.lede else ""
        css = source("report.css")
        # An untrusted notebook removes style sheets and drawings, but leaves their text.
        bare = "height: 0; overflow: hidden" if self.notebook else ""
        if self.notebook:  # the root font size varies: classic Jupyter has 10 px
            css = re.sub(r"([\d.]+)rem\b", lambda size: f"{15 * float(size[1]):g}px", css)
        return {"report": self.report, "lede": lede, "blocks": blocks, "css": Markup(css), "bare": bare}

    def _id(self, title: str) -> str:
        plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
        slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "section"
        n, free = 1, slug
        while free in self.used:
            n, free = n + 1, f"{slug}-{n + 1}"
        self.used.add(free)
        return self.prefix + free

    def _term_id(self, position: int) -> str:
        return f"{self.prefix}definition-{position + 1}"

    def _href(self, term: str, note: str) -> str:
        return self._term_id(self.terms.index((term, note))) if note else ""

    def _block(self, block: Block, level: int) -> View:
        if isinstance(block, Text):
            return {"kind": "text", "html": Markup(_prose.to_html(block.markdown))}
        if isinstance(block, Figures):
            return {"kind": "figures", "figures": [self._figure(figure) for figure in block.figures]}
        if isinstance(block, Table):
            return {"kind": "table", **self._heading(block), **self._table(block)}
        if isinstance(block, Chart):
            return self._chart(block)
        return self._section(block, level)

    def _section(self, block: Section, level: int) -> View:
        name = self._id(block.title)
        inner = [self._block(one, min(level + 1, 4)) for one in block.blocks]
        return {
            "kind": "section", "id": name, "title": block.title, "level": level, "blocks": inner,
            "folded": block.folded,
        }  # fmt: skip

    def _figure(self, figure: Figure) -> View:
        return {
            "label": figure.label,
            "value": minus(show(figure.value, figure.format)) if is_number(figure.value) else show(figure.value),
            "words": isinstance(figure.value, str),
            "beside": [_interval(text) for text in figure.beside],
            "code": figure.code,
            "note": figure.note,
            "href": self._href(figure.label, figure.note),
        }

    def _heading(self, block: Table | Chart) -> View:
        return {"title": block.title, "caption": Markup(_prose.to_inline_html(block.caption)) if block.caption else ""}

    def _table(self, table: Table, name: str = "") -> View:
        written = grid(table)
        columns = [
            {"label": column.label, "code": column.code, "note": column.note, "numeric": numeric,
             "href": self._href(column.label, column.note)}
            for column, numeric in zip(table.columns, written.numeric, strict=True)
        ]  # fmt: skip
        rows = [
            [
                _cell(cell, numeric) | {"note": cell.note, "href": self._href(cell.text, cell.note)}
                for cell, numeric in zip(row, written.numeric, strict=True)
            ]
            for row in written.rows
        ]
        marked = any(cell.best for row in written.rows for cell in row)
        label = name or table.title
        self.regions[label] += 1
        if label and self.regions[label] > 1:  # landmarks of a page need distinct names
            label = f"{label} ({self.regions[label]})"
        return {"columns": columns, "rows": rows, "marked": marked, "label": label}

    def _chart(self, chart: Chart) -> View:
        table, n = data_table(chart, NOTEBOOK_ROWS if self.notebook else DATA_ROWS)
        shown = len(table.rows)
        summary = f"Data: {counted(n, 'row')}" if shown == n else f"Data: {shown:,} of {n:,} rows, evenly spaced"
        known = any(finite(row[chart.y]) is not None for row in chart.rows)
        drawn = [
            draw(chart, self.styles, frame) if known else '<p class="ht-missing">There is no value to draw.</p>'
            for frame in ((WIDE,) if self.notebook else (WIDE, NARROW))
        ]
        return {
            "kind": "chart",
            **self._heading(chart),
            "wide": Markup(drawn[0]),
            "narrow": Markup("".join(drawn[1:])),
            "summary": summary,
            "data": self._table(table, f"Data of {chart.title or chart.y_label}"),
        }


def _cell(cell: Cell, numeric: bool) -> View:
    classes = " ".join(
        name for name, holds in
        (("ht-number", numeric), ("ht-best", cell.best), ("ht-missing", is_missing(cell)),
         (f"ht-{cell.tone}", cell.tone)) if holds
    )  # fmt: skip
    text = minus(cell.text) if numeric else cell.text
    return {"text": text, "interval": _interval(cell.interval), "best": cell.best, "classes": classes}


def _interval(text: str) -> str:
    """Write an interval so that a narrow cell breaks it before the "to"."""
    return minus(text).replace(" to ", " to\N{NO-BREAK SPACE}")
