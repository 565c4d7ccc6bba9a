"""One method against all others: at equal evenness, over whole curves, and in seconds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from headtail._checks import number
from headtail._printable import counted
from headtail._stats import holm
from headtail.exceptions import InvalidInputError
from headtail.reports import Column, Report, Table
from headtail.reports._markdown import plain
from headtail.tradeoffs.curves import Curves
from headtail.tradeoffs.pages import noun, setting_name
from headtail.tradeoffs.points import Estimate

LEVELS = (0.05, 0.1, 0.2)  # how far below the reference's unfairness accuracy is read off
HEAD = 0.2  # and below its share of the head
_DOUBT = 0.05


def versus_page(frontier: Curves, method: str, levels: Sequence[tuple[str, float]] | None) -> Report:
    """Compare every other method that has a curve with this one."""
    frontier.settings(method)  # raises for an unknown method, listing those there are
    others = [name for name in frontier.curves if name != method]
    if not others:
        raise InvalidInputError(f"There is no curve to compare that of {method!r} with. Sweep another dial as well.")
    given = _usual(frontier) if levels is None else [_level(pair) for pair in levels]
    columns, rows = [Column("method", "Method")], [{"method": name} for name in others]
    told = []
    for metric, level in given:
        at = partial(replace(frontier, unfairness=metric).accuracy_at, unfairness=-level, relative=True, against=method)
        label = f"{frontier.accuracy} at {metric} {-level:+.0%}"
        if _compare(label, "+.1%", rows, columns, at):
            told.append(_said(f"{noun(frontier, metric)} {level:.0%} lower (`{metric}`)", label, rows, method))
    _compare(
        "Accuracy kept over all levels", "+.4f", rows, columns, lambda name: frontier.hypervolume(name, against=method)
    )
    _seconds(frontier, rows, columns)
    start = setting_name(frontier, *frontier.reference)
    caption = (
        f"Each method's figure less that of “{method}”, on the test, user by user and seed by seed. Accuracy is read "
        f"off the settings that are best on validation, in shares of that of “{start}”; "
        f"a dash is a level that not every seed of both reaches, and one that no method reaches is left out. p is the "
        f"chance of such a difference were there none (Student's t), after Holm's correction for all methods of a "
        f"column; below {_DOUBT:g} it is beyond doubt."
    )
    title = f"Difference from “{method}”"
    return Report(f"“{method}” beside the others", [Table(columns, rows, title=title, caption=caption)], " ".join(told))


def _said(where: str, label: str, rows: Sequence[dict[str, Any]], method: str) -> str:
    """Say which of the methods that reach the level, or how many, are more and less accurate beyond doubt."""
    known = [row for row in rows if np.isfinite(row[label].value)]
    sure = {row["method"]: row[label].value for row in known if row[f"{label} p"] < _DOUBT}
    if not sure:
        of = plain(known[0]["method"]) if len(known) == 1 else counted(len(known), "other method")
        return f"With {where}, the accuracy of **{plain(method)}** is not told apart from that of {of}."
    said = []
    for word, turn in (("more", -1), ("less", 1)):
        if others := [plain(name) for name, value in sure.items() if turn * value > 0]:
            of = " and ".join(others) if len(others) < 3 else f"{len(others)} of {len(known)} other methods"
            said.append(f"{word} accuracy than {of}")
    return f"With {where}, **{plain(method)}** keeps {' and '.join(said)} beyond doubt."


def _level(pair: Any) -> tuple[str, float]:
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
        raise InvalidInputError(f"levels holds {pair!r}; give pairs of a metric and a share, such as ('gini@20', 0.1).")
    return pair[0], number("levels", pair[1], low=0, high=1)


def _usual(frontier: Curves) -> list[tuple[str, float]]:
    head = f"head_share@{frontier.accuracy.partition('@')[2]}"
    known = head in frontier.points[0].test and head in frontier.points[0].validation and head != frontier.unfairness
    return [*((frontier.unfairness, level) for level in LEVELS), *([(head, HEAD)] * known)]


def _compare(
    label: str, spec: str, rows: list[dict[str, Any]], columns: list[Column], read: Callable[[str], Estimate]
) -> bool:
    """Add a column of differences and one of p-values, if there are any; return whether there are."""
    found = [read(row["method"]) for row in rows]
    adjusted = holm(np.array([np.nan if each.p is None else each.p for each in found]))
    for row, each, chance in zip(rows, found, adjusted, strict=True):
        row |= {label: each, f"{label} p": float(chance)}
    reached = any(np.isfinite(each.value) for each in found)
    if reached:
        columns += [Column(label, label, format=spec), Column(f"{label} p", "p", format="<.3f")]
    return reached


def _seconds(frontier: Curves, rows: list[dict[str, Any]], columns: list[Column]) -> None:
    """Add the time to make a setting, and then each list, where measured."""
    for row in rows:
        of = [taken for (name, setting, _), taken in frontier.seconds.items() if name == row["method"] and setting]
        made, served = np.median(of, axis=0) if of else (np.nan, np.nan)
        row |= {"made": float(made), "served": 1000 * float(served)}
    if any(np.isfinite(row["made"]) for row in rows):
        made = "Time to make one setting, training included: median over settings, on the machine of this sweep."
        served = "Time for the list of one user after that, where dials of lists do their work; without candidates."
        columns += [
            Column("made", "To make (s)", format="<.2f", note=made),
            Column("served", "Then a list (ms)", format=".3f", note=served),
        ]
