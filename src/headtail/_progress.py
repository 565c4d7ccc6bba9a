"""A progress bar on standard error."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from time import monotonic
from types import SimpleNamespace
from typing import Any, TypeAlias

from headtail._printable import printable

Show: TypeAlias = bool | Callable[[int, str], None] | None
"""Whether a bar is shown, or what moves the one that is there; None where standard error is a terminal."""


class Forecast:
    """Estimates the time left of parts whose steps take different times.

    Of each part the first two steps are set aside: a setting that is off, and one that learns what others use, too. A
    part that has no further step yet takes as long as others have, by its weight beside theirs.

    Parameters
    ----------
    parts : mapping
        Of each part, in their order, the number of steps and what one of them weighs.
    clock : function, optional
        Returns seconds.

    Examples
    --------
    >>> seconds = iter([0, 1, 9, 11, 11.5])
    >>> left = Forecast({"a": (4, 1.0), "b": (3, 2.0)}, clock=lambda: next(seconds))
    >>> left.step(), left.step(), left.step(), left.seconds()
    (None, None, None, 13.5)
    """

    def __init__(self, parts: Mapping[str, tuple[int, float]], clock: Callable[[], float] = monotonic) -> None:
        self._parts, self._clock, self._last = parts, clock, clock()
        self._took: dict[str, list[float]] = {part: [] for part in parts}
        self._part = next(iter(parts), "")

    def begin(self, part: str) -> None:
        """Note which part runs now; those before it are over."""
        self._part, self._last = part, self._clock()

    def step(self) -> None:
        """Note that a step is done."""
        now = self._clock()
        self._took[self._part].append(now - self._last)
        self._last = now

    def seconds(self) -> float | None:
        """Return how many seconds are left; None while nothing is known yet."""
        of_a_step = {part: median(took[2:]) for part, took in self._took.items() if len(took) > 2}
        if not of_a_step:
            return None
        a_weight = median(each / self._parts[part][1] for part, each in of_a_step.items())
        left, names = 0.0, [*self._parts]
        for part in names[names.index(self._part) :]:
            n, weight = self._parts[part]
            left += max(n - len(self._took[part]), 0) * of_a_step.get(part, weight * a_weight)
        return max(left - (self._clock() - self._last), 0.0)


@contextmanager
def progress_bar(
    title: str,
    total: int,
    *,
    done: int = 0,
    show: Show = None,
    forecast: Forecast | None = None,
    at_most: bool = False,
) -> Iterator[Callable[..., None]]:
    """Yield ``advance(steps, state)``, which moves a bar, the one that `show` moves, or does nothing.

    The bar of `show` is moved by `total` steps in all, by those that are left at the end. Without a `forecast` all
    steps take as long. With `at_most` it is an upper bound, of what may stop before its last step.
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
    from rich.text import Text

    class Left(TimeRemainingColumn):
        def render(self, task: Any) -> Any:
            if forecast is not None and not task.finished:
                task = SimpleNamespace(finished=False, total=1, time_remaining=forecast.seconds())
            text = super().render(task)
            return Text("< ", text.style) + text if at_most and text.plain[:1].isdigit() else text

    # In a narrow terminal the bar and the state give way, the title and the forecast do not.
    named = Column(no_wrap=True, min_width=min(len(title), 12))
    at_right = Column(no_wrap=True, min_width=7 + 2 * at_most)
    of_title, state = (
        TextColumn(f"{{task.{name}}}", markup=False, table_column=column)
        for name, column in (("description", named), ("fields[state]", None))
    )
    columns = (of_title, BarColumn(), Left(table_column=at_right), state)
    whole_run = 24 * 3600.0  # the forecast goes by all that was done, not by the last seconds
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=whole_run) as bar:
        task = bar.add_task(printable(title), total=total, completed=done, state="")

        def update(steps: int, state: str) -> None:
            if forecast is not None:
                forecast.step()
            bar.update(task, advance=steps, state=printable(state))

        yield update
