"""The table that comes out of a recommender, in array form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from headtail import _frames
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Codes

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False, repr=False)
class Recommendations:
    """Ranked lists of items, one a user; what :func:`headtail.recommend` returns and :func:`headtail.audit` takes.

    Parameters
    ----------
    user_ids, item_ids : array of shape (n_users,) and (n_items,)
        External ids; the position is the code.
    users : int array of shape (U,)
        Codes of the users that have a list, each once.
    items : int32 array of shape (U, k)
        Item codes, best first; -1 fills a list that is shorter than k, at its end only.
    scores : float array of shape (U, k), optional
        The scores that gave the order; higher is better. NaN where `items` is -1.

    Examples
    --------
    >>> import numpy as np
    >>> lists = Recommendations(
    ...     user_ids=np.array([7, 8]), item_ids=np.array([10, 20, 30]), users=np.array([0, 1]),
    ...     items=np.array([[2, 0], [1, -1]]),
    ... )
    >>> lists
    Recommendations(2 users, top-2)
    >>> lists.to_polars().rows()
    [(7, 30, 1), (7, 10, 2), (8, 20, 1)]
    """

    user_ids: Array
    item_ids: Array
    users: Codes
    items: Codes
    scores: NDArray[np.floating[Any]] | None = None

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or len(self.items) != len(self.users):
            raise InvalidInputError(f"items has shape {self.items.shape}; give ({len(self.users)}, k), one row a user.")
        if self.scores is not None and self.scores.shape != self.items.shape:
            raise InvalidInputError(f"scores has shape {self.scores.shape} and items {self.items.shape}.")
        for name, codes, ids in (("users", self.users, self.user_ids), ("items", self.items, self.item_ids)):
            low = 0 if name == "users" else -1
            if codes.size and (codes.min() < low or codes.max() >= len(ids)):
                raise InvalidInputError(
                    f"{name} holds codes from {codes.min()} to {codes.max()}; there are {len(ids)} ids, so give {low} "
                    f"to {len(ids) - 1}."
                )
        gaps = ((self.items[:, :-1] < 0) & (self.items[:, 1:] >= 0)).any(axis=1)
        if gaps.any():
            raise InvalidInputError(
                f"items has a gap (-1) inside the list of row {gaps.argmax()}. Fill at the end only."
            )

    @property
    def k(self) -> int:
        """Length of the longest list."""
        return int(self.items.shape[1])

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        return f"Recommendations({len(self):,} users, top-{self.k})"

    def to_dict(self) -> Mapping[str, Any]:
        """Return the columns `user_id`, `item_id`, `rank` (1 = first) and, where known, `score`."""
        filled = self.items >= 0
        rows, ranks = np.nonzero(filled)
        columns: dict[str, Any] = {
            "user_id": _frames.from_ids(self.user_ids, self.users[rows]),
            "item_id": _frames.from_ids(self.item_ids, self.items[filled]),
            "rank": (ranks + 1).astype(np.int32),
        }
        if self.scores is not None:
            columns["score"] = self.scores[filled]
        return columns

    def to_polars(self) -> "pl.DataFrame":
        """Return a Polars frame with one row for each recommended item."""
        import polars as pl

        return pl.DataFrame(dict(self.to_dict()))

    def to_pandas(self) -> Any:
        """Return a pandas frame with one row for each recommended item (pandas must be installed)."""
        return self.to_polars().to_pandas()
