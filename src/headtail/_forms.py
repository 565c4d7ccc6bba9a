"""The forms of a recommender to correct, and their fingerprints."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Literal, TypeAlias

from headtail._caching import kept
from headtail._checksums import digest, fingerprint_in_order, identity_of, parts_of
from headtail._factors import is_tensor, to_numpy
from headtail._printable import counted
from headtail.data import Interactions, Recommendations
from headtail.exceptions import InvalidInputError
from headtail.training.recipes import Recipe
from headtail.typing import Codes

Form: TypeAlias = Literal["training", "model", "vectors", "lists", "data"]
"""What a correction needs, from the most to the least; "data" is the split alone."""

FORMS: tuple[Form, ...] = ("training", "model", "vectors", "lists", "data")


def form_of(source: Any) -> Form:
    """Return the form of a source."""
    if isinstance(source, Recipe):
        return "training"
    if hasattr(source, "parameters"):
        return "model"
    if isinstance(source, tuple) and len(source) == 2:
        return "vectors"
    if isinstance(source, Recommendations):
        return "lists"
    if source is None:
        return "data"
    raise InvalidInputError(
        f"{type(source).__name__} cannot be corrected. Give a Recipe, a torch.nn.Module, a pair of factors (Q, V), "
        f"or Recommendations."
    )


def fingerprint_of(source: Any) -> str:
    """Identify a source among others of its form: how it is trained, or a hash of its numbers."""
    if isinstance(source, Recipe):
        return identity_of({"model": source.model, "sizes": source.sizes, "training": source.training})
    if source is None:
        return ""
    arrays: Iterable[Any]
    told = b""
    if hasattr(source, "state_dict"):
        state = source.state_dict()
        arrays = [to_numpy(part) for value in state.values() if is_tensor(value) for part in parts_of(value)]
        told = identity_of(getattr(source, "config", None)).encode()  # what weights do not say, such as c of MACR
        if extra := {name: value for name, value in state.items() if not is_tensor(value)}:
            told += identity_of(extra).encode()
    elif isinstance(source, Recommendations):
        arrays = [source.items, source.scores]
    else:
        arrays = [to_numpy(matrix) for matrix in source]
    parts = (part for array in arrays for part in (f"{array.shape} {array.dtype} ".encode(), array))
    return f"{type(source).__name__}, sha256 {digest(told, *parts)}"


def learned_by(made: Any) -> str:
    """Identify what a recommender has learned; empty if it cannot be known: of lists, and before lazy layers run."""
    if hasattr(made, "state_dict"):
        made = [part for weight in made.parameters() for part in ([weight] if is_lazy(weight) else parts_of(weight))]
    return "" if callable(made) or any(map(is_lazy, made)) else fingerprint_of(made)


def is_lazy(weight: Any) -> bool:
    """Whether a weight has no size yet."""
    return hasattr(weight, "materialize")


def encoded(made: Any, known: Interactions, codes: Codes | None, cache: dict[Any, Any]) -> Any:
    """Return the vectors of a model, for users with these codes or all, and anything else as it is.

    What a model computes before its ends is kept in the cache, of the last model and for each histories: edits of the
    ends alone, such as those of neurons, leave it as it is.
    """
    if not hasattr(made, "parameters"):
        return made
    from headtail.training import encoding

    if (inner := encoding.within(made)) is None:
        return encoding.vectors(made, interactions=known, codes=codes)
    histories = fingerprint_in_order(inner, known) if hasattr(inner, "max_length") else ""
    before = partial(encoding.before_ends, inner, known, codes)
    return encoding.through_ends(made, inner, kept(cache, ("encoded", histories), fingerprint_of(inner), before))


def check_lists(lists: Recommendations, k: int) -> None:
    """Raise unless there is something to choose from: lists longer than k."""
    if lists.k <= k:
        raise InvalidInputError(
            f"The longest list has {counted(lists.k, 'item')} and k={k}, so that no other item can move up. Give "
            f"longer lists, such as {10 * k} a user, or lower k."
        )
