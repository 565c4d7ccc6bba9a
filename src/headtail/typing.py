"""Types that headtail's signatures share."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from headtail._printable import kind_of
from headtail.exceptions import InvalidInputError

if TYPE_CHECKING:
    import torch
    from narwhals.typing import IntoFrame as IntoFrame
else:
    IntoFrame = Any

Array: TypeAlias = NDArray[Any]
"""A numpy array of any kind."""

Floats: TypeAlias = NDArray[np.floating[Any]]
"""A numpy array of floating-point numbers."""

Ints: TypeAlias = NDArray[np.signedinteger[Any]]
"""A numpy array of whole numbers: counts, rows, ranks."""

Mask: TypeAlias = NDArray[np.bool_]
"""A numpy array of truth values."""

Codes: TypeAlias = NDArray[np.int32]
"""Positions in a catalogue of users or items: contiguous, starting at 0."""

ArrayLike2D: TypeAlias = "Array | torch.Tensor"
"""A matrix given as numpy array or torch tensor."""

RNG: TypeAlias = "int | np.random.Generator | None"
"""A seed, a numpy generator, or None for fresh entropy (SPEC 7)."""


class _Pair(NamedTuple):
    queries: Any
    items: Any


class Vectors(_Pair):
    """The two matrices that every recommender ends in, scores are ``queries @ items.T``, and whose their rows are.

    It unpacks like a pair. Where the ids are known, every verb that takes vectors with interactions joins them by id;
    where they are not, rows must be in the order of the codes of the interactions, which is checked.

    Parameters
    ----------
    queries : array or tensor of shape (B, d)
        One row for each user (or encoded history) that was asked for.
    items : array or tensor of shape (I, d)
        One row for each item of the catalogue.
    user_ids, item_ids : sequence of ids of length B and I, optional
        Whose the rows are.

    Examples
    --------
    >>> vectors = Vectors(np.eye(2), np.eye(2), user_ids=["ann", "bob"], item_ids=[30, 10])
    >>> queries, items = vectors
    >>> vectors.item_ids
    [30, 10]
    """

    user_ids: Any = None
    item_ids: Any = None

    def __new__(cls, queries: Any, items: Any, user_ids: Any = None, item_ids: Any = None) -> Self:
        """Make a pair, with ids if there are any."""
        made = super().__new__(cls, queries, items)
        for name, ids, rows in (("user_ids", user_ids, queries), ("item_ids", item_ids, items)):
            if ids is None:
                continue
            try:
                counts = len(ids), len(rows)
            except Exception:  # each kind of thing has errors of its own
                raise InvalidInputError(
                    f"{name} is {kind_of(ids)} and {name[:-4]} vectors {kind_of(rows)}; give a "
                    f"matrix, and a sequence with one id for each of its rows."
                ) from None
            if counts[0] != counts[1]:
                raise InvalidInputError(f"{name} holds {counts[0]} ids for {counts[1]} rows. Give one id a row.")
            setattr(made, name, ids)
        return made

    def _replace(self, **changes: Any) -> Self:
        """Return the same rows with other vectors."""
        kept = {"queries": self.queries, "items": self.items, "user_ids": self.user_ids, "item_ids": self.item_ids}
        return type(self)(**{**kept, **changes})


@runtime_checkable
class Recommender(Protocol):
    """Anything that maps a batch to :class:`Vectors`: every model of headtail, and an adapter of yours.

    A batch holds codes of users, as an int64 tensor; where the adapter has an attribute ``max_length``, sequences of
    items. To recommend, a function of one line will do; to be trained by :func:`headtail.fit` it is a
    ``torch.nn.Module``::

        lambda users: Vectors(theirs.user_factors[users], theirs.item_factors)
    """

    def __call__(self, x: Any, /) -> Vectors:
        """Return the queries of the batch ``x`` and the vectors of all items."""
        ...
