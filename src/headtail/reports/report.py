"""The mixin of all results, and the document that each of them is shown as."""

import json
import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from headtail._checks import checked, pandas
from headtail._files import deliver
from headtail._printable import printable
from headtail.reports import _drawing, _markdown
from headtail.reports._values import jsonable
from headtail.reports.blocks import Chart, Document, Figures, walk

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console, ConsoleOptions, RenderResult


@checked
class Result(ABC):
    """Shows a frozen dataclass everywhere: REPL, terminal, notebook, HTML, Markdown, JSON and frames.

    A subclass implements :meth:`report`, :meth:`to_dict` and `_rows` (flat dicts, for the frames).

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from headtail.reports import Column, Report, Result, Table
    >>> @dataclass(frozen=True)
    ... class Shares(Result):
    ...     shares: dict[str, float]
    ...
    ...     def report(self):
    ...         return Report("Exposure", [Table([Column("group"), Column("share", format=".0%")], self._rows())])
    ...
    ...     def to_dict(self):
    ...         return {"shares": self.shares}
    ...
    ...     def _rows(self):
    ...         return [{"group": name, "share": share} for name, share in self.shares.items()]
    >>> shares = Shares({"head": 0.75, "tail": 0.25})
    >>> shares.to_polars().rows()
    [('head', 0.75), ('tail', 0.25)]
    >>> print(repr(shares).splitlines()[0])
    <Shares: Exposure>
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A dataclass writes its own __repr__ over an inherited one, but not over one that stands in the class itself.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = Result.__repr__  # type: ignore[method-assign]

    @abstractmethod
    def report(self, *args: Any, **options: Any) -> "Report":
        """Return the result as a document; options depend on the result."""
        raise NotImplementedError

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain dicts, lists, text and numbers."""
        raise NotImplementedError

    @abstractmethod
    def _rows(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def __repr__(self) -> str:
        report = self.report()
        terminal = getattr(sys.stdout, "isatty", bool)()  # elsewhere the same text whatever the window
        width = min(100, shutil.get_terminal_size().columns) if terminal else 100
        text = report.to_text(width, brief=True)
        return f"<{type(self).__name__}: {printable(report.title)}>\n{text}".rstrip()

    def _repr_html_(self) -> str:
        from headtail.reports import _html

        return _html.fragment(self.report())

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from headtail.reports import _terminal

        yield from _terminal.renderables(self.report(), options.max_width)

    @overload
    def to_html(self, path: None = None, **options: Any) -> str: ...
    @overload
    def to_html(self, path: str | os.PathLike[str], **options: Any) -> Path: ...
    def to_html(self, path: str | os.PathLike[str] | None = None, **options: Any) -> str | Path:
        """Return one self-contained HTML page, or write it and return the path.

        The page needs no network and no JavaScript, follows the reader's light or dark setting, and prints well.

        Parameters
        ----------
        path : path, optional
            Where to write it.
        **options
            What :meth:`report` takes.

        Raises
        ------
        UnreadableFileError
            If `path` cannot be written; this is checked before the charts are drawn.
        """
        from headtail.reports import _html

        return deliver(path, lambda: _html.page(self.report(**options)))

    @overload
    def to_markdown(self, path: None = None, **options: Any) -> str: ...
    @overload
    def to_markdown(self, path: str | os.PathLike[str], **options: Any) -> Path: ...
    def to_markdown(self, path: str | os.PathLike[str] | None = None, **options: Any) -> str | Path:
        """Return Markdown (charts as tables of their data), or write it and return the path; see :meth:`to_html`."""
        return deliver(path, lambda: _markdown.to_markdown(self.report(**options)))

    @overload
    def to_latex(self, path: None = None, **options: Any) -> str: ...
    @overload
    def to_latex(self, path: str | os.PathLike[str], **options: Any) -> Path: ...
    def to_latex(self, path: str | os.PathLike[str] | None = None, **options: Any) -> str | Path:
        """Return prose and tables for a LaTeX document that uses booktabs, or write them; see :meth:`to_html`."""
        from headtail.reports import _latex

        return deliver(path, lambda: _latex.to_latex(self.report(**options)))

    def to_text(self, width: int = 100, *, brief: bool = False, **options: Any) -> str:
        """Return plain text without color.

        Parameters
        ----------
        width : int
            Characters a line.
        brief : bool
            Leave out prose, charts and definitions, and show at most 20 rows of a table.
        **options
            What :meth:`report` takes.
        """
        from headtail.reports import _terminal

        return _terminal.to_text(self.report(**options), width, brief=brief)

    @overload
    def to_json(self, path: None = None) -> str: ...
    @overload
    def to_json(self, path: str | os.PathLike[str]) -> Path: ...
    def to_json(self, path: str | os.PathLike[str] | None = None) -> str | Path:
        """Return :meth:`to_dict` as JSON text, or write it and return the path; what is not finite becomes null."""
        return deliver(path, lambda: json.dumps(jsonable(self.to_dict()), indent=2, allow_nan=False) + "\n")

    def to_polars(self) -> "pl.DataFrame":
        """Return the result as a Polars frame, one row a measured value."""
        import polars as pl

        return pl.DataFrame(self._rows(), infer_schema_length=None)

    def to_pandas(self) -> Any:
        """Return the result as a pandas frame, one row a measured value."""
        return pandas().DataFrame(self._rows())


@dataclass(frozen=True, repr=False)
class Rows(Result):
    """A result that holds figures row by row."""

    rows: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain values."""
        return dict(vars(self)) | {"rows": list(self.rows)}

    def _rows(self) -> list[dict[str, Any]]:
        return list(self.rows)


class Report(Document, Result):
    """A document that can be read in a browser, in a terminal, in a notebook, as Markdown and by machines.

    Parameters
    ----------
    title : str
    blocks : sequence of Text, Figures, Table, Chart and Section
    lede : str
        One or two sentences that open it, in the Markdown subset of :class:`Text`.

    Examples
    --------
    >>> from headtail.reports import Figure, Figures, Report
    >>> report = Report("Audit", [Figures([Figure("Gini@10", 0.9137, 0.91, 0.92, note="Inequality of exposure.")])])
    >>> print(report.to_markdown())
    # Audit
    <BLANKLINE>
    | Figure | Value |
    | :--- | ---: |
    | Gini@10 | 0.914 (0.910 to 0.920) |
    <BLANKLINE>
    ## Definitions
    <BLANKLINE>
    - **Gini@10**: Inequality of exposure.
    <BLANKLINE>
    """

    def report(self) -> "Report":
        """Return the report itself."""
        return self

    def _rows(self) -> list[dict[str, Any]]:
        figures = [figure for block in walk(self.blocks) if isinstance(block, Figures) for figure in block.figures]
        return [{name: getattr(figure, name) for name in ("label", "value", "low", "high")} for figure in figures]


@overload
def chart_svg(chart: Chart, path: None = None, *, beside: Sequence[Chart] = (), narrow: bool = False) -> str: ...
@overload
def chart_svg(
    chart: Chart, path: str | os.PathLike[str], *, beside: Sequence[Chart] = (), narrow: bool = False
) -> Path: ...
@checked
def chart_svg(
    chart: Chart, path: str | os.PathLike[str] | None = None, *, beside: Sequence[Chart] = (), narrow: bool = False
) -> str | Path:
    """Return a chart as a picture that stands alone, on white, or write it and return the path.

    Title and caption are left to the text around it; a screen reader reads the title, and a sentence on what is drawn.

    Parameters
    ----------
    chart : Chart
    path : path, optional
        Where to write it.
    beside : sequence of Chart
        The charts of the same page, in order, so that a series has one color in all of them.
    narrow : bool, default False
        Draw it for a small screen, with text of the same size.

    Examples
    --------
    >>> from headtail.reports import Chart, chart_svg
    >>> chart = Chart("bar", [{"group": "head", "share": 0.7}, {"group": "tail", "share": 0.3}], "group", "share")
    >>> chart_svg(chart).startswith("<svg")
    True
    """
    frame = _drawing.NARROW if narrow else _drawing.WIDE
    return deliver(path, lambda: _drawing.standalone(chart, beside, frame))
