"""A progress bar on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headtail._printable import printable


@contextmanager
def progress_bar(title: str, total: int, *, done: int = 0, show: bool | None = None) -> Iterator[Callable[..., None]]:
    """Yield ``advance(steps, state)``, which moves a bar, or does nothing.

    Without `show` there is a bar where standard error is a terminal.
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda steps, state: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    texts = (TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[state]"))
    columns = (next(texts), BarColumn(), next(texts), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(printable(title), total=total, completed=done, state="")
        yield lambda steps, state: bar.update(task, advance=steps, state=printable(state))
