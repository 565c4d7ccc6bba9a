"""Reading attributes of other libraries' objects."""

from typing import Any

import numpy as np

from headtail._factors import to_numpy
from headtail.exceptions import InvalidInputError
from headtail.typing import Array


def ask(thing: Any, name: str, wanted: str) -> Any:
    """Return an attribute of an object; raise if it is missing or None, naming the object that is wanted."""
    found = None if isinstance(thing, type) else getattr(thing, name, None)
    if found is None:
        raise InvalidInputError(f"{type(thing).__name__} has no {name}; give {wanted}.")
    return found


def matrix_of(thing: Any, name: str, wanted: str) -> Array:
    """Return a matrix attribute as a numpy array, from any device."""
    found = ask(thing, name, wanted)
    found = to_numpy(found.to_numpy() if hasattr(found, "to_numpy") else found)  # matrices of implicit's GPU models
    if found.ndim != 2 or found.dtype.kind != "f":
        raise InvalidInputError(
            f"{name} of {type(thing).__name__} has shape {found.shape} and type {found.dtype}; give {wanted}."
        )
    return found


def beside(*parts: Any) -> Array:
    """Return matrices and columns (or one number for all rows) side by side."""
    n = max(len(np.atleast_1d(part)) for part in parts)
    columns = [np.broadcast_to(part, n)[:, None] if np.ndim(part) < 2 else part for part in parts]
    return np.hstack(columns).astype(np.asarray(parts[0]).dtype)
