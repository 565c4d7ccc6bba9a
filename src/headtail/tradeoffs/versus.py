"""One method against all others: at equal evenness, over whole curves, and in seconds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from headtail._checks import number
from headtail._stats import holm
from headtail.exceptions import InvalidInputError
from headtail.reports import Column, Report, Table
from headtail.tradeoffs.curves import Curves
from headtail.tradeoffs.points import Estimate

LEVELS = (0.05, 0.1, 0.2)  # how far below the reference's unfairness accuracy is read off
HEAD = 0.2  # and below its share of the head


def versus_page(frontier: Curves, method: str, levels: Sequence[tuple[str, float]] | None) -> Report:
    """Return how every other method of more than one setting does beside this one."""
    frontier.settings(method)  # or say which there are
    others = [name for name in frontier.methods if name != method and len(frontier.settings(name)) > 1]
    if not others:
        raise InvalidInputError(f"There is no curve to compare that of {method!r} with. Sweep another dial as well.")
    given = _usual(frontier) if levels is None else [_level(pair) for pair in levels]
    columns, rows = [Column("method", "Method")], [{"method": name} for name in others]
    for metric, level in given:
        label = f"{frontier.accuracy} at {metric} {-level:+.0%}"
        at = partial(replace(frontier, unfairness=metric).accuracy_at, unfairness=-level, relative=True, against=method)
        _compare(label, "+.1%", rows, columns, at)
    _compare("Hypervolume", "+.4f", rows, columns, lambda name: frontier.hypervolume(name, against=method))
    _seconds(frontier, rows, columns)
    first, start = frontier.reference
    caption = (
        f"Each method's figure less that of {method}, on the test, user by user and seed by seed. Accuracy is read off "
        f"the settings that are best on validation, in shares of that of {first} {start:g}; a dash is a level that not "
        f"every seed of both reaches. p is the chance of such a difference were there none (Student's t), after Holm's "
        f"correction for all methods of a column."
    )
    return Report(f"{method} against the others", [Table(columns, rows, title=f"Less {method}", caption=caption)])


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
) -> None:
    """Add a column of differences, and one of their chances."""
    found = [read(row["method"]) for row in rows]
    adjusted = holm(np.array([np.nan if each.p is None else each.p for each in found]))
    low, high, p = (f"{label} {end}" for end in ("low", "high", "p"))
    for row, each, chance in zip(rows, found, adjusted, strict=True):
        row |= {label: each.value, low: each.low, high: each.high, p: float(chance)}
    columns += [Column(label, label, format=spec, low=low, high=high), Column(p, "p", format=".3f")]


def _seconds(frontier: Curves, rows: list[dict[str, Any]], columns: list[Column]) -> None:
    """Add what a setting takes to make, and each list then, where that was measured."""
    for row in rows:
        of = [taken for (name, setting, _), taken in frontier.seconds.items() if name == row["method"] and setting]
        made, served = np.median(of, axis=0) if of else (np.nan, np.nan)
        row |= {"made": float(made), "served": 1000 * float(served)}
    if any(np.isfinite(row["made"]) for row in rows):
        made = "Time to make one setting, training included: median over settings, on the machine of this sweep."
        served = "Time for the list of one user after that, candidates that are there already not counted."
        columns += [
            Column("made", "Made (s)", format=".2f", note=made),
            Column("served", "A list (ms)", format=".3f", note=served),
        ]
