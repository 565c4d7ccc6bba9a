"""Checks of arguments, each with an error that names the argument, its value and the cure."""

import difflib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Array, Codes

_LISTED = 50


def nearest(name: Any, known: Iterable[str]) -> str:
    """Return a hint that lists the known names, the one most like `name` first."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(str(name).lower(), [k.lower() for k in known], n=1, cutoff=0.6)
    meant = next((k for k in known if close and k.lower() == close[0]), None)
    listed = ", ".join(known[:_LISTED]) + (f" ... ({len(known):,} in all)" if len(known) > _LISTED else "") or "none"
    return f"Did you mean {meant!r}? There are: {listed}." if meant else f"There are: {listed}."


def shown(values: Iterable[Any], most: int = 5) -> str:
    """Write the first values as Python would, numpy's wrappers taken off, for messages."""
    values = [v.item() if hasattr(v, "item") else v for v in values]
    return ", ".join(map(repr, values[:most])) + (" ..." if len(values) > most else "")


def choice(name: str, value: Any, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`."""
    options = tuple(options)
    if value not in options:
        raise InvalidInputError(f"{name}={value!r} is not known. {nearest(str(value), options)}")
    return str(value)


def number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """Return `value` as a float if it is a finite number in the range."""
    bounded = math.isfinite(low) or math.isfinite(high)
    bounds = f" in {'(' if low_open else '['}{low:g}, {high:g}{')' if high_open else ']'}" if bounded else ""
    try:
        result = float(value + 0)  # text is no number, though float() reads it
    except OverflowError:
        result = math.inf
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name}={value!r} is not a number; give one{bounds}.") from None
    below = result <= low if low_open else result < low
    above = result >= high if high_open else result > high
    if not math.isfinite(result) or below or above:
        raise InvalidInputError(f"{name}={value!r} is out of range; give a finite number{bounds}.")
    return result


def integer(name: str, value: Any, *, low: int = 0, high: int | None = None) -> int:
    """Return `value` as an int if it is whole and in the range."""
    upto = "" if high is None else f" and at most {high}"
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InvalidInputError(f"{name}={value!r} is not a whole number; give one of at least {low}{upto}.")
    if value < low or (high is not None and value > high):
        raise InvalidInputError(f"{name}={value!r} is out of range; give a whole number of at least {low}{upto}.")
    return int(value)


def user_codes(codes: Any, n_users: int) -> Codes:
    """Return `codes` as int32 if they are those of users, at least one; one may stand there several times."""
    values = np.asarray(codes)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iu":
        raise InvalidInputError(
            f"codes has shape {values.shape} and type {values.dtype}; give at least one whole number, such as "
            f"interactions.user_codes(ids) returns them."
        )
    wrong = values[(values < 0) | (values >= n_users)]
    if len(wrong):
        raise InvalidInputError(
            f"codes holds {wrong[0]}; there are {n_users} users, so give 0 to {n_users - 1}, or ids as users=."
        )
    return values.astype(np.int32)


def finite(name: str, values: Array, cure: str = "Remove or replace those rows first.") -> None:
    """Raise if any of the `values` is NaN or infinite, saying how many and where the first one is."""
    if not np.issubdtype(values.dtype, np.floating):
        return
    bad = ~np.isfinite(values)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        place = first[0] if len(first) == 1 else first
        raise InvalidInputError(
            f"{name} holds {int(bad.sum())} values that are not finite; the first is {values[first]} at {place}. {cure}"
        )


def generator(rng: RNG) -> np.random.Generator:
    """Return a numpy generator for a seed, a generator or None."""
    seed = isinstance(rng, (int, np.integer)) and rng >= 0
    if rng is not None and not seed and not isinstance(rng, np.random.Generator):
        raise InvalidInputError(
            f"rng={rng!r} is neither a seed nor a numpy Generator; give an int of at least 0, such as rng=0."
        )
    return np.random.default_rng(rng)
