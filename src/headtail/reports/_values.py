"""Values of cells and figures: cleaned on input, formatted on output."""

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from headtail._checks import nearest
from headtail._printable import kind_of, printable
from headtail.exceptions import InvalidInputError, MissingColumnError

Value: TypeAlias = "str | int | float | bool | None"
Row: TypeAlias = "Mapping[str, Value]"

MISSING = "–"
WIDER = 1.12  # times as wide as estimated is a text in a browser's font


def clean(value: Any, where: str) -> Value:
    """Return `value` as plain Python: scalars of numpy and torch, dates as ISO text; what is NaN or masked as None."""
    if hasattr(value, "item") and not isinstance(value, str):
        value = None if np.ma.is_masked(value) else value.item()
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()  # lone surrogates cannot be encoded
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    raise InvalidInputError(
        f"{where} is {kind_of(value)}, which a report cannot show. Give text, a number, a bool or None."
    )


def jsonable(node: Any) -> Any:
    """Return nested dicts, lists and scalars as JSON has them: arrays as lists, what is not finite as None."""
    if hasattr(node, "tolist"):
        node = node.tolist()
    if isinstance(node, Mapping):
        return {str(key): jsonable(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [jsonable(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def printable_texts(node: Any, but: Sequence[str] = ()) -> Any:
    """Return nested values, or a document, with all texts printable except in the fields named in `but`."""
    if isinstance(node, str):
        return printable(node)
    if isinstance(node, Mapping):
        return {printable_texts(key): printable_texts(value, but) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [printable_texts(value, but) for value in node]
    if is_dataclass(node) and not isinstance(node, type):
        kept = {f.name: getattr(node, f.name) for f in fields(node) if f.name not in but}
        return replace(node, **{name: printable_texts(value, but) for name, value in kept.items()})
    return node


def with_ends(rows: Iterable[Any]) -> tuple[list[Any], set[str]]:
    """Return rows whose figures are spread to plain values, the ends of intervals among them, and where figures are."""
    spread, names = list[Any](), set[str]()
    for row in rows:
        cells = row.items() if isinstance(row, Mapping) else ()
        figures = {name: cell for name, cell in cells if all(hasattr(cell, end) for end in ("value", "low", "high"))}
        values = {name: cell.value for name, cell in figures.items()}
        beside = {f"{name} {end}": getattr(cell, end) for name, cell in figures.items() for end in ("low", "high")}
        for name, cell in figures.items():
            said = {one: getattr(cell, one, None) for one in ("format", "note", "code")}
            beside |= {f"{name} {one}": value for one, value in said.items() if value}
        spread.append({**row, **values, **beside} if figures else row)
        names |= figures.keys()
    return spread, names


def clean_rows(rows: Iterable[Mapping[str, Any]], keys: Iterable[str | None], what: str) -> tuple[Row, ...]:
    """Return the rows as plain dicts, each with all of the `keys` (None where a row lacks one)."""
    rows = tuple(rows)
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InvalidInputError(f"{what}: row {i} is {kind_of(row)}. Give a dict of column to value.")
    known = list(dict.fromkeys(key for row in rows for key in row))
    wanted = [key for key in keys if key is not None]
    for key in wanted:
        if rows and key not in known:
            raise MissingColumnError(f"{what}: no row has {key!r}. {nearest(key, known)}")
    names = list(dict.fromkeys([*known, *wanted]))
    return tuple(
        {name: clean(row.get(name), f"{what}: {name!r} of row {i}") for name in names} for i, row in enumerate(rows)
    )


def check_format(spec: str | None, what: str, *, points: bool = True) -> None:
    """Raise if `spec` is not a Python format specification for numbers, or for points, see :func:`show`."""
    if spec is None:
        return
    try:
        format(1, spec[:-1] + "f" if points and isinstance(spec, str) and spec.endswith("p") else spec)
    except (ValueError, TypeError):
        raise InvalidInputError(
            f"{what}: format={spec!r} is not a format for numbers. Give one such as '.3f', '.1%' or ',d'."
        ) from None


def is_number(value: Value) -> bool:
    """Whether `value` is a number (a bool is not one)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def finite(value: Value) -> float | None:
    """Return `value` as a float if it is a finite number, else None."""
    return float(value) if is_number(value) and math.isfinite(value) else None  # type: ignore[arg-type]


def show(value: Value, spec: str | None = None) -> str:
    """Format `value`; a missing one becomes an en dash.

    A `spec` that ends with "p", such as "+.1p", formats differences of shares in percentage points; one that begins
    with "<", such as "<.3f", writes "< 0.001" where the value would round to 0. By default whole numbers get thousands
    separators and others four significant digits.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if spec is None:
        spec = ",d" if isinstance(value, int) else ".4g"
    points = " points" * spec.endswith("p")
    if points:
        value, spec = 100 * value, spec[:-1] + "f"
    if spec.endswith("d") and isinstance(value, float):
        spec = spec[:-1] + (".0f" if value.is_integer() else "g")
    text = format(value, spec)
    # A rounded "-0.00" or "+0.00" would show a sign that is not known.
    nought = not any(c in "123456789" for c in text)
    if nought and spec.startswith("<"):
        return f"< {text[:-1]}1"
    return (text.lstrip("+-") if nought else text) + points


def tell_apart(values: Sequence[Value], spec: str | None) -> list[str]:
    """Format the values, with one more digit than `spec` has if that distinguishes more of them.

    Examples
    --------
    >>> tell_apart([0.98, 0.99, 0.5], ".1f"), tell_apart([0.9, 0.5], ".1f")
    (['0.98', '0.99', '0.50'], ['0.9', '0.5'])
    """
    written, more = ([show(value, one) for value in values] for one in (spec, finer(spec)))
    return more if len(set(more)) > len(set(written)) else written


def finer(spec: str | None) -> str | None:
    """Return a format with one more digit, if it says how many."""
    return re.sub(r"\.(\d+)", lambda found: f".{int(found[1]) + 1}", spec) if spec else spec


def minus(text: str) -> str:
    """Replace hyphens by minus signs."""
    return text.replace("-", "−")


def show_interval(low: Value, high: Value, spec: str | None = None) -> str:
    """Format an interval without its unit; empty if both ends are missing."""
    if low is None and high is None:
        return ""
    return f"{show(low, spec)} to {show(high, spec)}".replace(" points", "")


def best_rows(values: Sequence[Value], better: str | None) -> set[int]:
    """Return the positions of the best values, ties included; none if there is nothing to compare."""
    numbers = {i: n for i, value in enumerate(values) if (n := finite(value)) is not None}
    if better is None or len(numbers) < 2:
        return set()
    top = (max if better == "higher" else min)(numbers.values())
    best = {i for i, n in numbers.items() if n == top}
    return best if len(best) < len(numbers) else set()


def text_width(text: str, size: float) -> float:
    """Estimate the width of `text` in pixels, in a sans-serif font of `size` pixels."""
    wide, thin = set("mwMW@%—"), set("iljtfrI.,:;'|!()[] ")
    em = sum(
        0.0 if unicodedata.combining(c)
        else 1.0 if unicodedata.east_asian_width(c) in "WF"
        else 0.86 if c in wide
        else 0.33 if c in thin
        else 0.68 if c.isupper()
        else 0.58
        for c in text
    )  # fmt: skip
    return em * size


def shorten(text: str, width: float, size: float) -> str:
    """Cut `text` with an ellipsis so that it is at most `width` pixels wide."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"
