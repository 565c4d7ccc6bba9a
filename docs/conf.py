"""The documentation site: `make docs` builds it; dictionaries and the reference are made from the code itself."""

import re
import shutil
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from docutils import nodes

import headtail
from headtail.dials import CONTROLS, DIALS, REFERENCES
from headtail.metrics.built_in import BUILT_IN
from headtail.metrics.facts import definition, facts_of
from headtail.metrics.pages import FAMILIES

project, author, copyright = "headtail", "The headtail authors", "The headtail authors, Apache-2.0"
release = version = metadata.version("headtail")
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
html_theme = "furo"
html_title = "headtail"
html_static_path, html_css_files = ["site.css"], ["site.css"]
html_show_sourcelink = False
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"

LONG, WIDE = 15, 7  # rows and columns of a table
GENERATED = Path(__file__).parent / "generated"
ROOMS = ("", "metrics", "data", "datasets", "baselines", "spectral", "amplification", "sae", "losses", "penalties",
         "posthoc", "rerank", "rerankers", "allocation", "dials", "tradeoffs", "models", "training", "serving",
         "engines", "reports",
         "integrations.implicit", "integrations.lenskit", "integrations.pytorch", "integrations.rectools",
         "integrations.recbole", "exceptions")  # fmt: skip


def strengths(dial: Any) -> str:
    """Return the grid of a dial."""
    return ", ".join(f"{s:g}" for s in dial.grid)


def table(headings: list[str], rows: list[list[Any]]) -> list[str]:
    """Return a table in Markdown."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *cells)]


def plain(said: str) -> str:
    """Return a definition without the range, which has a column of its own."""
    return re.sub(r" Range [-0-9]+ to [^.]*\.$", "", said)


def metric_page() -> str:
    """Return the dictionary of metrics, by family."""
    lines = [
        "# Metrics", "",
        "What an audit measures, made from what each metric says of itself. In code a metric is",
        "`headtail.metrics.NAME`, in an audit `NAME@k`. What other libraries mean by the same names is on",
        "[a page of its own](../definitions.md).",
    ]  # fmt: skip
    for family, title in FAMILIES.items():
        rows = []
        for name, metric in BUILT_IN.items():
            facts = facts_of(metric)
            if facts.family == family:
                end = "∞" if facts.high == float("inf") else f"{facts.high:g}"
                rows.append(
                    [facts.title, f"`{name}`", facts.better or "", f"{facts.low:g} to {end}", plain(definition(metric))]
                )
        if rows:
            lines += ["", f"## {title}", "", *table(["What it is", "In code", "Better", "Range", "Definition"], rows)]
    return "\n".join(lines) + "\n"


def dial_page() -> str:
    """Return the dictionary of dials."""
    needs = {
        "lists": "For long lists with scores, and so for vectors and models too",
        "vectors": "For vectors of users and items",
        "model": "For a trained model with an autoencoder",
        "training": "For a recipe that can be trained again",
    }
    lines = [
        "# Dials", "",
        "Every correction under one name, with its strengths; `headtail dials` lists them too. A dial at 0 is off.",
        "[Which dial when](../which-dial.md) helps to choose.",
    ]  # fmt: skip
    for form, title in needs.items():
        rows = [[f"`{d.name}`", d.about, strengths(d)] for d in DIALS if d.works_on == form]
        if rows:
            lines += ["", f"## {title}", "", *table(["Dial", "What it does", "Strengths that are tried"], rows)]
    rest = [[f"`{d.name}`", d.about, strengths(d)] for d in (*CONTROLS, *REFERENCES)]
    lines += ["", "## What dials are compared with", "", *table(["Name", "What it does", "Strengths"], rest)]
    lines += ["", "In a training loop of your own add [ReSN or LogDet](headtail.penalties.md) to any loss."]
    return "\n".join(lines) + "\n"


def first_line(one: Any) -> str:
    """Return the first line of a docstring."""
    return (one.__doc__ or "").strip().partition("\n")[0]


def public(path: str) -> list[str]:
    """Return the public functions and classes of a room: those that it names, or those that it defines."""
    module = import_module(path)
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    found = {name: getattr(module, name) for name in sorted(names, key=str.lower)}
    ours = {name: one for name, one in found.items() if callable(one) and one.__module__.startswith("headtail")}
    if not hasattr(module, "__all__"):
        ours = {name: one for name, one in ours.items() if one.__module__ == path}
    return [name for name in ours if path == "headtail" or name not in headtail.__all__]


def reference_page(path: str) -> str:
    """Return the page of a room, which autodoc fills from the docstrings."""
    about = first_line(import_module(path))
    lines = [f"# {path}", "", about, "", "```{eval-rst}", f".. currentmodule:: {path}", ""]
    for name in public(path):
        is_class = isinstance(getattr(import_module(path), name), type)
        lines += [f".. auto{'class' if is_class else 'function'}:: {name}", *(["   :members:"] if is_class else []), ""]
    return "\n".join([*lines, "```"]) + "\n"


GENERATED.mkdir(exist_ok=True)
rooms = [f"headtail.{room}".rstrip(".") for room in ROOMS]
pages = {"metrics": metric_page(), "dials": dial_page()} | {room: reference_page(room) for room in rooms}
TAKEN = "Examples take `import headtail as ht, numpy as np, polars as pl, torch` for granted."
index = ["# Reference", "", f"Everything public, room by room. {TAKEN}", ""]
index += ["```{toctree}", ":hidden:", *rooms, "```", ""]
index += [f"- [{room}]({room}.md): {first_line(import_module(room))}" for room in rooms]
for made, text in (pages | {"reference": "\n".join(index) + "\n"}).items():
    page = GENERATED / f"{made}.md"
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def escape(app: Any, what: str, name: str, one: Any, options: Any, lines: list[str]) -> None:
    """Show bars of docstrings, such as those of |d|, as they are: they would be substitutions elsewhere.

    Blocks after a double colon, and code, are shown as they are anyway.
    """
    literal = None  # how far the line before such a block is indented
    for i, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        if literal is not None and line.strip() and depth <= literal:
            literal = None
        if literal is None and line.rstrip().endswith("::"):
            literal = depth
        elif "|" in line and literal is None and not line.lstrip().startswith(">>>"):
            parts = line.split("``")
            lines[i] = "``".join(part if j % 2 else part.replace("|", "\\|") for j, part in enumerate(parts))


ACCESSIBLE = {  # what the theme leaves out for keyboards and screen readers
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    'role="heading"><span class="caption-text">': 'role="heading" aria-level="2"><span class="caption-text">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Site">',
    '<aside class="toc-drawer': '<aside aria-label="On this page" class="toc-drawer',
    '<div id="search-results">': '<h1>Search</h1><div id="search-results">',
}


def for_small_screens(found: re.Match[str]) -> str:
    """Return a picture that small screens show as it is drawn for them."""
    narrow = f'<source media="(max-width: 46em)" srcset="{found[2]}narrow/{found[3]}.svg">'
    return f'<picture>{narrow}{found[1]}</picture>'


def finish(app: Any, error: Exception | None) -> None:
    """Put into the pages what :data:`ACCESSIBLE` says, and the pictures for small screens."""
    shutil.copytree(
        Path(__file__).parent / "figures" / "narrow", Path(app.outdir) / "_images" / "narrow", dirs_exist_ok=True
    )
    for page in Path(app.outdir).rglob("*.html") if error is None else ():
        text = made = page.read_text(encoding="utf-8")
        for ours, theirs in ACCESSIBLE.items():
            made = made.replace(ours, theirs)
        made = re.sub(r'(<img [^>]*src="([./]*_images/)([^"/]+)\.svg" />)', for_small_screens, made)
        if made != text:
            page.write_text(made, encoding="utf-8")


def readable(app: Any, page: nodes.document, name: str) -> None:
    """Put intervals of tables below their values, and fold the long tables of evidence."""
    for entry in page.findall(nodes.entry):
        found = re.fullmatch(r"([^ ]+) \(([^()]+ to [^()]+)\)", entry.astext())
        if found:
            below = nodes.inline("", found[2], classes=["interval"])
            entry.children[:] = [nodes.paragraph("", "", nodes.Text(found[1]), below)]
    for table in page.findall(nodes.table):
        if len(list(table.findall(nodes.colspec))) >= WIDE:
            table["classes"].append("wide")
    tables = list(page.findall(nodes.table)) if name.startswith(("reproduction", "serving")) else []
    for table in tables:
        n = len(list(table.findall(nodes.row))) - 1
        if n > LONG:
            place = table.parent.index(table)
            table.parent.insert(place + 1, nodes.raw("", "</details>", format="html"))
            table.parent.insert(place, nodes.raw("", f"<details><summary>All {n} rows</summary>", format="html"))


def skip(app: Any, what: str, name: str, one: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which stand among the attributes already."""
    return True if (getattr(one, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Any) -> None:
    """Connect what is done to docstrings before numpydoc reads them, and to pages once they are made."""
    app.connect("autodoc-process-docstring", escape, priority=100)
    app.connect("autodoc-skip-member", skip)
    app.connect("doctree-resolved", readable)
    app.connect("build-finished", finish)
