"""Types that headtail's signatures share."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from narwhals.typing import IntoFrame as IntoFrame
else:
    IntoFrame = Any

Array: TypeAlias = NDArray[Any]
"""A numpy array of any kind."""

Floats: TypeAlias = NDArray[np.floating[Any]]
"""A numpy array of floating-point numbers."""

Codes: TypeAlias = NDArray[np.int32]
"""Positions in a catalogue of users or items: contiguous, starting at 0."""

ArrayLike2D: TypeAlias = "Array | torch.Tensor"
"""A matrix given as numpy array or torch tensor."""

RNG: TypeAlias = "int | np.random.Generator | None"
"""A seed, a numpy generator, or None for fresh entropy (SPEC 7)."""


class Vectors(NamedTuple):
    """The two matrices that every recommender ends in: scores are ``queries @ items.T``.

    Attributes
    ----------
    queries : array or tensor of shape (B, d)
        One row for each user (or encoded history) that was asked for.
    items : array or tensor of shape (I, d)
        One row for each item of the catalogue.
    """

    queries: Any
    items: Any


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
