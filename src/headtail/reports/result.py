"""The mixin of everything that headtail shows to a user."""

import importlib
import json
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from headtail._files import write_text
from headtail._printable import printable
from headtail.exceptions import NotAvailableError
from headtail.reports._values import jsonable
from headtail.reports.blocks import Report

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console, ConsoleOptions, RenderResult


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
    def report(self) -> Report:
        """Return the result as a document."""
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
        text = report.to_text(width=100, brief=True)
        return f"<{type(self).__name__}: {printable(report.title)}>\n{text}".rstrip()

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        yield self.report()

    @overload
    def to_html(self, path: None = None) -> str: ...
    @overload
    def to_html(self, path: str | os.PathLike[str]) -> Path: ...
    def to_html(self, path: str | os.PathLike[str] | None = None) -> str | Path:
        """Return one self-contained HTML page, or write it and return the path."""
        return self.report().to_html(path)

    @overload
    def to_markdown(self, path: None = None) -> str: ...
    @overload
    def to_markdown(self, path: str | os.PathLike[str]) -> Path: ...
    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str | Path:
        """Return Markdown, or write it and return the path."""
        return self.report().to_markdown(path)

    @overload
    def to_json(self, path: None = None) -> str: ...
    @overload
    def to_json(self, path: str | os.PathLike[str]) -> Path: ...
    def to_json(self, path: str | os.PathLike[str] | None = None) -> str | Path:
        """Return :meth:`to_dict` as JSON text, or write it and return the path; what is not finite becomes null."""
        text = json.dumps(jsonable(self.to_dict()), indent=2, allow_nan=False) + "\n"
        return text if path is None else write_text(path, text)

    def to_polars(self) -> "pl.DataFrame":
        """Return the result as a Polars frame, one row a measured value."""
        import polars as pl

        return pl.DataFrame(self._rows(), infer_schema_length=None)

    def to_pandas(self) -> Any:
        """Return the result as a pandas frame, one row a measured value.

        Raises
        ------
        NotAvailableError
            If pandas is not installed.
        """
        try:
            # By name: this package itself must never need pandas.
            pandas = importlib.import_module("pandas")
        except ImportError:
            raise NotAvailableError(
                "to_pandas() needs pandas, which is not installed. Install it (pip install pandas) or use to_polars()."
            ) from None
        return pandas.DataFrame(self._rows())
