"""The table that comes out of a recommender, in array form."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl
import scipy.sparse as sp

from headtail import _frames
from headtail._checks import checked, finite, integer, list_length, pandas, shown
from headtail._columns import logger, ranking_columns
from headtail._factors import as_matrix, axis_ids, is_tensor, numbers, stored, to_numpy
from headtail._printable import kind_of
from headtail._spelling import respelled
from headtail._top import highest, slices
from headtail.data.coded import check_codes
from headtail.data.interactions import Interactions, read_pairs
from headtail.data.ranking import checked_ranks, falling, note_other_order, ranks_by, rise_everywhere
from headtail.data.rows import check_order, rows_of
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Codes, Floats, IntoFrame, Ints, Mask

_BLOCK = 2**22  # scores in memory at a time


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
    scores: Floats | None = None

    def __post_init__(self) -> None:
        for name in ("user_ids", "item_ids"):
            object.__setattr__(self, name, _frames.as_ids(getattr(self, name), name[:-1], name))
        if self.items.ndim != 2 or len(self.items) != len(self.users):
            raise InvalidInputError(f"items has shape {self.items.shape}; give ({len(self.users)}, k), one row a user.")
        if self.scores is not None and self.scores.shape != self.items.shape:
            raise InvalidInputError(
                f"scores has shape {self.scores.shape} and items {self.items.shape}. Give one each."
            )
        if self.scores is not None and not np.isfinite(self.scores[self.items >= 0]).all():
            raise InvalidInputError("scores holds NaN or infinity beside an item; give a finite score, or -1 as item.")
        check_codes("users", self.users, self.user_ids)
        check_codes("items", self.items, self.item_ids, low=-1)
        gaps = ((self.items[:, :-1] < 0) & (self.items[:, 1:] >= 0)).any(axis=1)
        if gaps.any():
            raise InvalidInputError(
                f"items has a gap inside the list of row {gaps.argmax()}: -1, or no id. Fill at the end only."
            )

    @classmethod
    def from_frame(cls, frame: "IntoFrame", interactions: "Interactions | None" = None) -> Self:
        """Read lists from a frame of any engine.

        Parameters
        ----------
        frame : frame
            A row for each item of a list: a user, an item and a score, higher is better, ties by rank, if there is one,
            and row; without a score a rank, 1 the first; without either, the order of the rows. Or a row for each user,
            with a list of items and one of scores; or rows as dicts, or a dict of each user's items.
        interactions : Interactions, optional
            Their ids become the codes; if not given, those of the frame, ascending.

        Examples
        --------
        >>> lists = pl.DataFrame({"user_id": [2, 2], "item_id": ["b", "a"], "score": [0.1, 0.9]})
        >>> Recommendations.from_frame(lists).to_polars().rows()
        [(2, 'a', 1, 0.9), (2, 'b', 2, 0.1)]
        >>> lists = pl.DataFrame({"user_id": [2, 5], "item_id": [["b", "a"], ["a"]]})
        >>> Recommendations.from_frame(lists).to_polars().rows()
        [(2, 'b', 1), (2, 'a', 2), (5, 'a', 1)]
        """
        frame = _frames.unnested(frame, "lists")
        found, notes = ranking_columns(_frames.column_names(frame, "lists"), "lists")
        for note in [] if "score" in found else notes:
            logger.warning("%s", note)
        by, values = "score" if "score" in found else "rank", None
        wanted = ("user_id", "item_id", *[by][: len(found)])
        table = _frames.to_table(frame, required=wanted, optional=list(found), given=found, what="lists")
        if found:
            if len(found) == 2 and table["rank"].dtype.is_numeric():
                table = table.sort("rank", maintain_order=True)  # decides between equal scores
            values = _frames.numbers(table[by], found[by], "lists")
            finite(f"lists {by}", values, f"Leave out items that have no {by}.")
        ids, codes = {}, {}
        for kind in ("user_id", "item_id"):
            if interactions is None:
                ids[kind], codes[kind] = _frames.encode(table[kind])
                continue
            ids[kind] = getattr(interactions, f"{kind}s")
            codes[kind] = _frames.lookup(table[kind], ids[kind], f"lists {kind}")
            if codes[kind].min(initial=0) < 0:
                unknown = _frames.to_ids(table[kind].filter(codes[kind] < 0).unique().sort())
                raise InvalidInputError(
                    f"lists has {len(unknown):,} {kind}s that the interactions do not have, for example "
                    f"{shown(unknown)}. Leave them out, or give interactions with all of them."
                    f"{respelled(unknown, ids[kind], kind)}"
                )
        listed, rows = np.unique(codes["user_id"], return_inverse=True)
        if by == "rank" and values is not None:
            ranks, values = checked_ranks(values, rows, ids["user_id"][listed], "lists", found[by]), None
        else:
            ranks = ranks_by(values, rows)
            note_other_order(table, found, values, rows)
        table_of = np.full((len(listed), ranks.max(initial=0)), -1, dtype=np.int32)
        table_of[rows, ranks - 1] = codes["item_id"]
        scored = None if values is None else np.full(table_of.shape, np.nan)
        if scored is not None:
            scored[rows, ranks - 1] = values
        return cls(ids["user_id"], ids["item_id"], listed, table_of, scored)._each_once()

    @classmethod
    def from_arrays(cls, items: Any, scores: Any = None, *, user_ids: Any = None, item_ids: Any = None) -> Self:
        """Read lists from an array with a row for each user, such as other libraries return.

        Parameters
        ----------
        items : array or tensor of shape (U, k), or U lists of any length
            Items, best first: their ids, or, with `item_ids`, their places among those. What is missing at the end of a
            list is -1, None or NaN.
        scores : array or tensor of shape (U, k), or U lists, optional
            Higher is better; they order each list, ties as they stand. Where one is NaN, infinite, or the lowest number
            of its type (as libraries fill short lists), there is no item; such places inside a list are logged.
        user_ids : sequence of ids of length U, optional
            Ids of the rows; if not given, the labels of a pandas frame, else their numbers.
        item_ids : sequence of ids, optional
            Ids of the items, where `items` holds places.

        Examples
        --------
        >>> lists = Recommendations.from_arrays(np.array([[1, 0], [0, -1]]), user_ids=["ann", "bob"], item_ids=[70, 80])
        >>> lists.to_polars().rows()
        [('ann', 80, 1), ('ann', 70, 2), ('bob', 70, 1)]
        """
        table = numbers(of_one_length(items, -1))
        user_ids = axis_ids(items, 0) if user_ids is None else user_ids
        if table.ndim != 2 or not table.size:
            raise InvalidInputError(
                f"lists has shape {table.shape}, read from {kind_of(items)}; give a list or a row of items for "
                f"each user, or from_frame a dict of users and their items."
            )
        if item_ids is not None:
            known = _frames.unique_ids(item_ids, "item_id")
            places = table.astype(np.int64) if table.dtype.kind in "iub" else None
            if places is None or places.max() >= len(known) or places.min() < -1:
                found = f"type {table.dtype}" if places is None else f"places from {places.min()} to {places.max()}"
                raise InvalidInputError(
                    f"lists has {found}; with item_ids give whole numbers, places among the {len(known)} ids and -1 "
                    f"where there is none. Leave out item_ids if these are the ids themselves."
                )
        else:
            filled = holds_id(table)
            known, codes = _frames.encode(_frames.read_ids(table[filled], "item_id", "lists"))
            places = np.full(table.shape, -1, dtype=np.int64)
            places[filled] = codes
        users = np.arange(len(table)) if user_ids is None else _frames.unique_ids(user_ids, "user_id", len(table))
        values = None
        if scores is not None:
            values = numbers(of_one_length(scores, np.nan))
            if values.shape != table.shape or values.dtype.kind not in "fiu":
                raise InvalidInputError(
                    f"scores has shape {values.shape} and type {values.dtype}; give a number for each of {table.shape}."
                )
            low = np.finfo(values.dtype).min if values.dtype.kind == "f" else -np.inf
            scored = np.isfinite(values) & (values > low)
            filled, columns = scored & (places >= 0), np.arange(places.shape[1])
            inside = columns < np.where(filled, columns, -1).max(axis=1, keepdims=True)
            if lost := int((~filled & (inside | scored)).sum()):
                logger.warning("lists: %d places inside a list have no item or no score; what follows moved up", lost)
            if rise_everywhere(values, filled):
                logger.warning("lists: scores rise along every list, as distances do; give -scores if they are such")
            order = np.lexsort((falling(values), ~filled), axis=1)
            places, values = np.where(filled, places, -1), np.where(filled, values, np.nan)
            places, values = (np.take_along_axis(each, order, axis=1) for each in (places, values))
        codes = np.arange(len(users), dtype=np.int32)
        return cls(users, known, codes, places.astype(np.int32), values)._each_once()

    @classmethod
    def from_scores(
        cls,
        scores: Any,
        k: int | None = None,
        *,
        user_ids: Any = None,
        item_ids: Any = None,
        known: "Interactions | None" = None,
    ) -> Self:
        """Take the k best items of each user from a matrix of scores, block by block.

        Parameters
        ----------
        scores : array, tensor or SciPy sparse matrix of shape (U, I)
            Higher is better, ties by column. Of a sparse matrix what is stored can be recommended; of others what is
            not minus infinity or NaN.
        k : int, optional
            Length of the lists, by default 20 or the size of the catalogue; long ones, such as 200, can be re-ranked.
        user_ids, item_ids : sequences of ids, optional
            Ids of the rows and columns. If not given, the labels of a pandas frame, or those of `known`, whose order
            they must be in, or their numbers.
        known : Interactions, frame or sparse matrix, optional
            What is left out: what the users know.

        Examples
        --------
        >>> scores = np.array([[0.3, 0.9, 0.5], [0.2, 0.1, 0.8]])
        >>> Recommendations.from_scores(scores, k=2, user_ids=["ann", "bob"], item_ids=[7, 8, 9]).to_polars().rows()
        [('ann', 8, 1, 0.9), ('ann', 9, 2, 0.5), ('bob', 9, 1, 0.8), ('bob', 7, 2, 0.2)]
        """
        sparse = sp.issparse(scores)
        matrix = sp.csr_array(scores) if sparse else as_matrix("scores", scores)
        n_users, n_items = matrix.shape
        k = list_length(k, n_items)
        seen = None if known is None else read_pairs(known, "known")[0]
        ids = []
        for axis, (role, given) in enumerate({"user_id": user_ids, "item_id": item_ids}.items()):
            size, own = matrix.shape[axis], axis_ids(scores, axis) if given is None else given
            own = getattr(seen, f"{role}s") if own is None and seen is not None else own
            ids.append(np.arange(size) if own is None else _frames.unique_ids(own, role, size))
        if seen is not None:
            if user_ids is None and item_ids is None:
                check_order(matrix, seen)
            left_out = rows_of(seen, *ids, what="known").matrix
        items = np.full((n_users, k), -1, dtype=np.int32)
        best = np.full(items.shape, np.nan, dtype=np.float64)
        step = max(1, _BLOCK // n_items)
        for rows in slices(n_users, step):
            if sparse:
                part = matrix[rows]
                block = np.full(part.shape, -np.inf)
                block[stored(part)] = _exact(part.data)
            else:
                block = _exact(to_numpy(matrix[rows]))
            if np.isposinf(block).any():
                raise InvalidInputError(f"scores holds infinity in rows from {rows.start}; give finite scores.")
            block[np.isnan(block)] = -np.inf
            if seen is not None:
                block[stored(left_out[rows])] = -np.inf
            values, columns = highest(block, k)
            items[rows] = np.where(values > -np.inf, columns, -1)
            best[rows] = np.where(values > -np.inf, values, np.nan)
        if not (items >= 0).any():
            raise InvalidInputError(
                "scores leaves nothing to recommend: all are NaN, minus infinity or of known items. Check both."
            )
        return cls(ids[0], ids[1], np.arange(n_users, dtype=np.int32), items, best)

    def _each_once(self) -> Self:
        refuse_repeats(self.items, self.item_ids, self.user_ids[self.users], "lists")
        return self

    @property
    def k(self) -> int:
        """Length of the longest list."""
        return int(self.items.shape[1])

    @property
    def slots(self) -> Ints:
        """Lists that each item is in, int64 array of shape (n_items,): its exposure."""
        return np.bincount(self.items[self.items >= 0], minlength=len(self.item_ids))

    def __len__(self) -> int:
        return len(self.users)

    def head(self, k: int) -> Self:
        """Return the first k of each list."""
        k = integer("k", k, low=1)
        scores = None if self.scores is None else self.scores[:, :k]
        return replace(self, items=np.ascontiguousarray(self.items[:, :k]), scores=scores)

    def without(self, known: "Interactions") -> Self:
        """Return the lists without the items that their users know; those behind move up. Ids must be the same."""
        check_same_ids(self, known)
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

    def to_polars(self) -> pl.DataFrame:
        """Return a Polars frame with one row for each recommended item."""
        return pl.DataFrame(dict(self.to_dict()))

    def to_pandas(self) -> Any:
        """Return a pandas frame with one row for each recommended item (pandas must be installed)."""
        return pandas().DataFrame(self.to_polars().to_dict(as_series=False))  # without PyArrow


def of_one_length(lists: Any, fill: float | None) -> Any:
    """Pad lists of different lengths at their ends, those of text with None; return other things as they are."""
    if is_tensor(lists) or len(getattr(lists, "shape", (0,))) != 1 or not isinstance(lists, Collection):
        return lists
    arrays = (one if isinstance(one, (list, tuple)) or np.ma.is_masked(one) else to_numpy(one) for one in lists)
    rows = [one if isinstance(one, (list, tuple)) else one.tolist() for one in arrays]  # None where masked
    if not all(isinstance(row, (list, tuple)) for row in rows):
        return lists
    longest, text = max(map(len, rows), default=0), any(isinstance(one, str) for row in rows for one in row)
    return [[*row, *[None if text else fill] * (longest - len(row))] for row in rows]


def _exact(scores: Array) -> Array:
    """Return a copy of scores as float64; raise if that would make ties of whole numbers."""
    if scores.dtype.kind in "iu" and scores.size and max(int(scores.max()), -int(scores.min())) > 2**53:
        raise InvalidInputError(
            f"scores holds whole numbers beyond 2**53, up to {scores.max()}, of which several would tie. Give their "
            f"ranks, or numbers that floats tell apart."
        )
    return np.array(scores, dtype=np.float64)


def holds_id(table: Array) -> Mask:
    """Return where a table holds an id, and not -1, None or NaN."""
    if table.dtype.kind in "iu":
        return np.asarray(table != -1)
    found = [not _frames.is_missing(one) and one != -1 for one in table.ravel()]
    return np.array(found, dtype=bool).reshape(table.shape)


def refuse_repeats(items: Codes, item_ids: Array, row_ids: Array, what: str) -> None:
    """Raise if a list holds an item twice."""
    ordered = np.sort(items, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, column = np.argwhere(twice)[0]
        raise repeated(item_ids[ordered[row, column]], row_ids[row], twice.sum(), what)


def repeated(item: Any, user: Any, n: Any, what: str) -> InvalidInputError:
    """Return the error of lists in which `n` items stand twice, such as `item` in that of `user`."""
    return InvalidInputError(
        f"{what} has item {shown([item])} more than once for user {shown([user])}, and {n} such repeats in all. Keep "
        f"each item once a user."
    )


def check_same_ids(recs: Recommendations, known: Interactions) -> None:
    """Raise if lists and interactions have other user or item ids, or have them in another order."""
    for name in ("user_ids", "item_ids"):
        ours, theirs = getattr(recs, name), getattr(known, name)
        if ours is not theirs and not np.array_equal(ours, theirs):
            raise InvalidInputError(
                f"The recommendations and the interactions have different {name}. Give lists and interactions of the "
                f"same users and items."
            )


def items_of(lists: Recommendations, codes: Codes) -> Codes:
    """Return the lists of the users with these codes, (B, k); -1 throughout for a user without a list."""
    rows = np.full(len(lists.user_ids), -1)
    rows[lists.users] = np.arange(len(lists))
    return np.asarray(np.vstack([lists.items, np.full((1, lists.k), np.int32(-1))])[rows[codes]])
