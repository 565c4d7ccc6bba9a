"""A progress bar on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from headtail._printable import printable

Show: TypeAlias = bool | Callable[[int, str], None] | None
"""Whether a bar is shown, or what moves the one that is there; None where standard error is a terminal."""


@contextmanager
def progress_bar(title: str, total: int, *, done: int = 0, show: Show = None) -> Iterator[Callable[..., None]]:
    """Yield ``advance(steps, state)``, which moves a bar, the one that `show` moves, or does nothing.

    The bar of `show` is moved by `total` steps in all, by those that are left at the end.
    """
    if callable(show):
        left, move = total, show

        def advance(steps: int, state: str) -> None:
            nonlocal left
            left -= steps
            move(steps, f"{title} {state}")

        try:
            yield advance
        finally:
            move(left, title)
        return
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda steps, state: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    # In a narrow terminal the bar and the state give way, the title and the forecast do not.
    named, forecast = Column(no_wrap=True, min_width=min(len(title), 12)), Column(no_wrap=True, min_width=7)
    of_title, state = (
        TextColumn(f"{{task.{name}}}", markup=False, table_column=column)
        for name, column in (("description", named), ("fields[state]", None))
    )
    columns = (of_title, BarColumn(), TimeRemainingColumn(table_column=forecast), state)
    whole_run = 24 * 3600.0  # the forecast goes by all that was done, not by the last seconds
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=whole_run) as bar:
        task = bar.add_task(printable(title), total=total, completed=done, state="")
        yield lambda steps, state: bar.update(task, advance=steps, state=printable(state))
