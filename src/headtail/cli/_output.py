"""Printing, and writing reports."""

import sys
from pathlib import Path
from typing import Any

import headtail as ht
from headtail._files import check_writable
from headtail._printable import printable
from headtail.exceptions import InvalidInputError

_WRITERS = {".html": "to_html", ".md": "to_markdown", ".tex": "to_latex", ".json": "to_json"}


def console(*, stderr: bool = False) -> Any:
    """Return the terminal."""
    from rich.console import Console

    return Console(stderr=stderr)


def say(text: str, *, stderr: bool = False) -> None:
    """Print one line verbatim, without markup or control characters."""
    console(stderr=stderr).print(printable(text), markup=False, highlight=False, soft_wrap=True)


def complain(what: str, text: str, *, style: str = "bold red") -> None:
    """Print an error or a judgement on standard error."""
    from rich.text import Text

    console(stderr=True).print(Text(what, style=style), Text(printable(text)), soft_wrap=True)


def check_output(output: Path | None) -> None:
    """Raise if a report could not be written; to be called before the work."""
    if output is not None:
        if output.suffix not in _WRITERS:
            raise InvalidInputError(f"--output {output}: the ending is not one of {', '.join(_WRITERS)}.")
        check_writable(output)


def show(result: "ht.reports.Result", output: Path | None, json: bool, **options: Any) -> None:
    """Print the result, and write it to a file if one is given, with the options of its report."""
    if output is not None:
        getattr(result, _WRITERS[output.suffix])(output, **({} if output.suffix == ".json" else options))
    if json:
        sys.stdout.write(result.to_json())
    else:
        console().print(_opened(result.report(**options)))


def _opened(report: "ht.reports.Report") -> "ht.reports.Report":
    """Return a report without the sections that are folded on its page, and say where they are."""
    folded = [block for block in report.blocks if isinstance(block, ht.reports.Section) and block.folded]
    if not folded:
        return report
    more = f"In the report that --output writes: {'; '.join(block.title for block in folded)}."
    shown = [block for block in report.blocks if block not in folded]
    return ht.reports.Report(report.title, [*shown, ht.reports.Text(more)], report.lede)
