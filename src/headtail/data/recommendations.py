"""The table that comes out of a recommender, in array form."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from headtail import _frames
from headtail._checks import checked, finite, shown
from headtail._columns import logger, ranking_columns
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.typing import Array, Codes

if TYPE_CHECKING:
    import polars as pl

    from headtail.data.interactions import Interactions
    from headtail.typing import IntoFrame


@checked
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
        for name in ("user_ids", "item_ids"):
            object.__setattr__(self, name, _frames.as_ids(getattr(self, name), name[:-1], name))
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

    @classmethod
    @checked
    def from_frame(cls, frame: "IntoFrame", interactions: "Interactions", *, what: str = "lists") -> Self:
        """Read lists with scores of the users and items of some interactions, from a frame of any engine.

        Parameters
        ----------
        frame : frame
            A row for each item of a list: a user, an item and a score; higher is better, ties by row.
        interactions : Interactions
            Whose ids become the codes.
        what : str, default "lists"
            What errors call it.

        Raises
        ------
        InvalidInputError
            If a user or an item is not in the interactions, an item stands twice in a list, or a score is not finite.
        MissingColumnError
            If there is no user, item or score.

        Examples
        --------
        >>> import polars as pl
        >>> from headtail import Interactions
        >>> train = Interactions.from_frame(pl.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"]}))
        >>> lists = pl.DataFrame({"user_id": [2, 2], "item_id": ["b", "a"], "score": [0.1, 0.9]})
        >>> Recommendations.from_frame(lists, train).to_polars().rows()
        [(2, 'a', 1, 0.9), (2, 'b', 2, 0.1)]
        """
        names = [name for name in _frames.column_names(frame, what) if name != "rank"]
        found, notes = ranking_columns(names, what)
        for note in notes:
            logger.warning("%s", note)
        given = {"score": found.get("score")}
        table = _frames.to_table(frame, required=("user_id", "item_id", "score"), given=given, what=what)
        scores = _frames.numbers(table["score"], found["score"], what).astype(np.float64)
        finite(f"{what} score", scores, "Leave out items that have no score.")
        codes = {}
        for kind, ids in (("user_id", interactions.user_ids), ("item_id", interactions.item_ids)):
            codes[kind] = _frames.lookup(table[kind], ids, f"{what} {kind}")
            if codes[kind].min(initial=0) < 0:
                unknown = _frames.to_ids(table[kind].filter(codes[kind] < 0).unique().sort())
                raise InvalidInputError(
                    f"{what} has {len(unknown):,} {kind}s that the interactions do not have, for example "
                    f"{shown(unknown)}. Leave them out, or give interactions with all of them."
                )
        order = np.lexsort((-scores, codes["user_id"]))
        users, items, scores = codes["user_id"][order], codes["item_id"][order], scores[order]
        pairs = np.sort(users.astype(np.int64) * interactions.n_items + items)
        if (twice := pairs[1:] == pairs[:-1]).any():
            user, item = divmod(int(pairs[1:][twice][0]), interactions.n_items)
            raise InvalidInputError(
                f"{what} has item {shown(interactions.item_ids[[item]])} more than once for user "
                f"{shown(interactions.user_ids[[user]])}. Keep each item once a user."
            )
        listed, rows, lengths = np.unique(users, return_inverse=True, return_counts=True)
        columns = np.arange(len(users)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        table_of = np.full((len(listed), lengths.max(initial=0)), -1, dtype=np.int32)
        table_of[rows, columns] = items
        scored = np.full(table_of.shape, np.nan)
        scored[rows, columns] = scores
        return cls(interactions.user_ids, interactions.item_ids, listed, table_of, scored)

    @property
    def k(self) -> int:
        """Length of the longest list."""
        return int(self.items.shape[1])

    def __len__(self) -> int:
        return len(self.users)

    @checked
    def head(self, k: int) -> Self:
        """Return the first k of each list."""
        scores = None if self.scores is None else self.scores[:, :k]
        return replace(self, items=np.ascontiguousarray(self.items[:, :k]), scores=scores)

    @checked
    def without(self, known: "Interactions") -> Self:
        """Return the lists less the items that their users know; those behind move up.

        Raises
        ------
        InvalidInputError
            If the interactions have other user or item ids.
        """
        for name in ("user_ids", "item_ids"):
            ours, theirs = getattr(self, name), getattr(known, name)
            if ours is not theirs and not np.array_equal(ours, theirs):
                raise InvalidInputError(f"The recommendations and the interactions have different {name}.")
        gone = self.items < 0
        rows, columns = np.nonzero(~gone)
        gone[rows, columns] = known.contains(self.users[rows], self.items[rows, columns])
        order = np.argsort(gone, axis=1, kind="stable")
        gone, items = np.take_along_axis(gone, order, axis=1), np.take_along_axis(self.items, order, axis=1)
        scores = self.scores
        if scores is not None:
            scores = np.where(gone, np.nan, np.take_along_axis(scores, order, axis=1))
        return replace(self, items=np.where(gone, np.int32(-1), items), scores=scores)

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
        import importlib

        try:
            pandas = importlib.import_module("pandas")  # by name: this package itself must never need it
        except ImportError:
            raise NotAvailableError(
                "to_pandas() needs pandas, which is not installed. Install it (pip install pandas) or use to_polars()."
            ) from None
        return pandas.DataFrame(self.to_polars().to_dict(as_series=False))  # without PyArrow
