"""Pairs of users and items as codes, and what follows from them alone."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
import polars as pl
import scipy.sparse as sp

from headtail import _checks, _frames
from headtail._checks import checked, integer, shown
from headtail._checksums import digest
from headtail._printable import counted
from headtail._spelling import respelled
from headtail._top import ranges, slices
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Codes, Floats, IntoFrame, Ints, Mask

C = TypeVar("C", bound="Coded")
_RUNS = 8
_PART = 1 << 18  # interactions that are counted at a time


def pair_keys(users: Array, items: Array) -> Ints:
    """Return one number for each (user, item) pair of codes, in the order of users and then items."""
    keys = users.astype(np.int64)
    keys <<= 32
    keys |= items
    return keys


def ascending(keys: Ints) -> Ints:
    """Sort whole numbers in place, and return them: few ascending runs are merged, others sorted by Polars."""
    falls = np.count_nonzero(keys[1:] < keys[:-1])
    if falls > _RUNS:
        keys[:] = pl.Series(keys).sort().to_numpy()  # up to four times as fast as NumPy
    elif falls:
        keys.sort(kind="stable")
    return keys


def order_by(values: Array) -> Ints:
    """Return the positions in the order of the values, and of one value in their own order.

    The same as ``numpy.argsort(values, kind="stable")``, but faster: whole numbers whose span leaves room for the
    position are sorted together with it, as one number; values that are in order are not sorted.
    """
    if (values[1:] >= values[:-1]).all():
        return np.arange(len(values))
    for_position = len(values).bit_length()
    if len(values) and values.dtype.kind == "i":
        low, span = int(values.min()), int(values.max()) - int(values.min())
        if span.bit_length() + for_position <= 63:
            keys = np.subtract(values, low, dtype=np.int64)
            keys <<= for_position
            keys |= np.arange(len(values))
            keys = ascending(keys)
            keys &= (1 << for_position) - 1
            return keys
    return np.argsort(values, kind="stable")


def places_within(groups: Array, order: Ints) -> Ints:
    """Return the place of each row among those of its group, 0 first, where rows are taken in an order."""
    order, counts = order[order_by(groups[order])], np.bincount(groups)
    places = np.empty(len(groups), dtype=np.int64)
    places[order] = np.arange(len(groups)) - (np.cumsum(counts) - counts)[groups[order]]
    return places


def _counts(codes: Codes, n: int) -> Ints:
    """Return how often each of n codes occurs, read-only; counted by parts, whose copies stay in the cache."""
    found, step = np.zeros(n, dtype=np.int64), max(n, _PART)
    for part in slices(len(codes), step):
        found += np.bincount(codes[part], minlength=n)
    found.setflags(write=False)
    return found


def of_graph(rows: Codes, columns: Codes) -> bool:
    """Whether a square matrix holds links of some with others behind them, and these links the other way round."""
    up, down = rows < columns, rows > columns
    if not np.count_nonzero(up) == np.count_nonzero(down) > 0:
        return False
    return bool(rows[up].max() < columns[up].min() and columns[down].max() < rows[down].min())


def recoded(codes: Codes, ids: Array, others: Array, what: str) -> Codes:
    """Return codes of ids as codes of others, -1 where these do not hold an id, or where a place is empty (-1)."""
    if ids is others or np.array_equal(ids, others):
        return codes
    return np.append(_frames.lookup(ids, others, what), np.int32(-1))[codes]


def check_codes(name: str, codes: Codes, ids: Array, low: int = 0) -> None:
    """Raise if a code is below `low` or beyond the ids."""
    if codes.size and (codes.min() < low or codes.max() >= len(ids)):
        raise InvalidInputError(
            f"{name} holds codes from {codes.min()} to {codes.max()}; there are {len(ids)} ids, so give {low} to "
            f"{len(ids) - 1}, or use from_frame for external ids."
        )


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Coded:
    """The columns of :class:`~headtail.Interactions`, their sizes, views and parts."""

    user_ids: Array
    item_ids: Array
    users: Codes
    items: Codes
    ratings: Floats | None = field(default=None)
    timestamps: Array | None = field(default=None)
    order: Array | None = field(default=None)
    item_titles: Array | None = field(default=None)

    def __post_init__(self) -> None:
        for name in ("user_ids", "item_ids"):
            object.__setattr__(self, name, _frames.as_ids(getattr(self, name), name[:-1], name))
        n = len(self.users)
        for name in ("items", "ratings", "timestamps", "order"):
            values = getattr(self, name)
            if values is not None and len(values) != n:
                raise InvalidInputError(f"{name} holds {counted(len(values), 'value')} and users {n}; they must match.")
        check_codes("users", self.users, self.user_ids)
        check_codes("items", self.items, self.item_ids)
        if self.item_titles is not None and len(self.item_titles) != len(self.item_ids):
            raise InvalidInputError(
                f"item_titles holds {counted(len(self.item_titles), 'title')} for "
                f"{counted(len(self.item_ids), 'item')}. Give one each."
            )

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        density = len(self) / max(1, self.n_users * self.n_items)
        return (
            f"{type(self).__name__}({self.n_users:,} users, {self.n_items:,} items, {len(self):,} interactions, "
            f"density {density:.2%})"
        )

    @property
    def n_users(self) -> int:
        """Number of users, those without interactions in this part included."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items of the catalogue, those without interactions in this part included."""
        return len(self.item_ids)

    @cached_property
    def popularity(self) -> Ints:
        """Interactions per item, int64 array of shape (n_items,), read-only."""
        return _counts(self.items, self.n_items)

    @cached_property
    def activity(self) -> Ints:
        """Interactions per user, int64 array of shape (n_users,), read-only."""
        return _counts(self.users, self.n_users)

    @cached_property
    def matrix(self) -> sp.csr_array:
        """Ones where a user met an item: float32 CSR array of shape (n_users, n_items), column indices sorted."""
        items = (self.sorted_pairs & 0xFFFFFFFF).astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(self.activity)])
        return sp.csr_array((np.ones(len(self), dtype=np.float32), items, starts), shape=(self.n_users, self.n_items))

    @cached_property
    def sorted_pairs(self) -> Ints:
        """Every (user, item) pair as ``user * 2**32 + item``, ascending, int64 array of shape (n,)."""
        return ascending(pair_keys(self.users, self.items))

    def contains(self, users: Codes, items: Codes) -> Mask:
        """Return which (user, item) pairs of codes occur, bool array of shape (n,); quickest for sorted pairs."""
        if np.shape(users) != np.shape(items):
            raise InvalidInputError(f"users has shape {np.shape(users)} and items {np.shape(items)}; they must match.")
        pairs = pair_keys(users, items)
        if not len(self):
            return np.zeros(len(pairs), dtype=bool)
        places = np.minimum(np.searchsorted(self.sorted_pairs, pairs), len(self) - 1)
        return np.asarray(self.sorted_pairs[places] == pairs)

    @cached_property
    def fingerprint(self) -> str:
        """Number of pairs and a hash of them that does not depend on the order of the rows."""
        pairs = digest(f"{self.n_users} {self.n_items} ".encode(), self.sorted_pairs)
        return f"{len(self)} pairs, sha256 {pairs}"

    @cached_property
    def time_rank(self) -> Ints | None:
        """Position of every interaction in time within its user (0 first), or None where no time is known.

        By `order` where given, else by timestamp; ties keep the order of the rows.
        """
        times = self.order if self.order is not None else self.timestamps
        return None if times is None else places_within(self.users, order_by(times))

    @property
    def item_labels(self) -> Array:
        """Titles of the items where these are known, else their ids, shape (n_items,)."""
        return self.item_ids if self.item_titles is None else self.item_titles

    @cached_property
    def histories(self) -> Codes:
        """Items of every user in time order, user after user, int32 array of shape (n,); raises without a time.

        Those of the user with code u are ``histories[matrix.indptr[u] : matrix.indptr[u + 1]]``.
        """
        ranks = self.time_rank
        if ranks is None:
            raise InvalidInputError(
                "interactions has neither timestamps nor an order, so that nobody's history has a sequence. Name the "
                "column, as in Interactions.from_frame(..., timestamp='when')."
            )
        result = np.empty(len(self), dtype=np.int32)
        result[(np.cumsum(self.activity) - self.activity)[self.users] + ranks] = self.items
        return result

    def sequences(
        self, users: Iterable[Any] | None = None, max_length: int = 50, *, codes: Array | None = None
    ) -> Codes:
        """Return users' histories as sequences of items, oldest first; what a sequential model takes.

        Time is `order` where known, else `timestamps`; interactions of one time are in the order of the rows. A longer
        history keeps its latest items.

        Parameters
        ----------
        users : sequence of user ids, optional
            All users if not given.
        max_length : int, default 50
            Length L of the sequences.
        codes : int array of shape (U,), optional
            Codes of the users, instead of their ids; one may stand there several times.

        Returns
        -------
        int32 array of shape (U, L)
            Codes of items, the latest at the right end, filled with -1 at the left.

        Examples
        --------
        >>> frame = pl.DataFrame({"user_id": [1, 1, 1, 2], "item_id": [7, 8, 9, 7], "timestamp": [30, 10, 20, 5]})
        >>> ht.Interactions.from_frame(frame).sequences(max_length=4)
        array([[-1,  1,  2,  0],
               [-1, -1, -1,  0]], dtype=int32)
        """
        max_length = integer("max_length", max_length, low=1)
        codes = self.user_codes(users, codes=codes)
        items, ends = self.histories, np.cumsum(self.activity)[codes]
        from_end = np.arange(max_length, 0, -1)
        places = np.maximum(ends[:, None] - from_end, 0)  # (U, L)
        known = from_end <= self.activity[codes][:, None]
        return np.where(known, items[places] if len(items) else np.int32(-1), np.int32(-1))

    def user_codes(self, user_ids: "Iterable[Any] | IntoFrame | None" = None, *, codes: Array | None = None) -> Codes:
        """Return the codes of some users, given as ids or as a frame with a column of them, in their order; or of all.

        Ids must be known, each once. `codes` that are known already are checked and returned instead; they may repeat.
        """
        if codes is not None:
            if user_ids is not None:
                raise InvalidInputError("users and codes are both given; name the users by one of them.")
            return _checks.user_codes(codes, self.n_users)
        if user_ids is None:
            return np.arange(self.n_users, dtype=np.int32)
        ids = _frames.to_ids(_frames.read_ids(user_ids, "user_id", "users"))
        codes = _frames.lookup(ids, self.user_ids, "users")
        if (codes < 0).any():
            unknown = ids[codes < 0]
            raise InvalidInputError(
                f"The interactions lack {len(unknown)} of {counted(len(ids), 'user')}; the first is "
                f"{shown(unknown[:1])}. Leave them out, or add them by with_users."
                f"{respelled(unknown, self.user_ids, 'user_id')}"
            )
        if len(np.unique(codes)) < len(codes):
            raise InvalidInputError("users names a user more than once; give each user once.")
        return codes

    def subset(self, keep: Array) -> Self:
        """Return the interactions selected by a mask or by positions, with the same users and items."""

        def take(values: Array | None) -> Any:
            return None if values is None else values[keep]

        if isinstance(keep, np.ndarray) and keep.shape == (len(self),) and keep.dtype == bool:
            keep = np.flatnonzero(keep)  # once for all columns
        names = ("users", "items", "ratings", "timestamps", "order")
        try:
            return replace(self, **{name: take(getattr(self, name)) for name in names})
        except IndexError as error:
            raise InvalidInputError(
                f"keep={shown([keep])} selects none of the {len(self)} interactions: {error}. Give a mask or positions."
            ) from None

    def compact(self) -> Self:
        """Forget users and items that have no interactions, and renumber the others."""
        return between(self, self.activity > 0, self.popularity > 0)

    def with_items(self, item_ids: "Iterable[Any] | IntoFrame") -> Self:
        """Return the same interactions with a larger catalogue: items that are not in it yet come after the others.

        Items, as ids or a frame with a column of them, that nobody has met can be recommended all the same, and count
        in coverage and in the Gini index.
        """
        ids = _frames.to_ids(_frames.read_ids(item_ids, "item_id", "catalogue"))
        new = np.unique(ids[_frames.lookup(ids, self.item_ids, "catalogue") < 0])
        if not len(new):
            return self
        titles = self.item_titles
        if titles is not None:
            titles = np.concatenate([titles, np.array([str(i) for i in new.tolist()], dtype=object)])
        result = replace(self, item_ids=np.concatenate([self.item_ids, new]), item_titles=titles)
        # The pairs and users are the same, so what was worked out of them stays.
        result.__dict__.update(
            (name, self.__dict__[name]) for name in ("sorted_pairs", "activity") if name in self.__dict__
        )
        if "popularity" in self.__dict__:
            result.__dict__["popularity"] = np.concatenate([self.popularity, np.zeros(len(new), dtype=np.int64)])
        return result

    def with_users(self, user_ids: "Iterable[Any] | IntoFrame") -> Self:
        """Return the same interactions with users that have none yet, after the others; given as items are above."""
        ids = _frames.to_ids(_frames.read_ids(user_ids, "user_id", "users"))
        new = np.unique(ids[_frames.lookup(ids, self.user_ids, "users") < 0])
        return replace(self, user_ids=np.concatenate([self.user_ids, new])) if len(new) else self

    def to_polars(self) -> pl.DataFrame:
        """Return a Polars frame with `user_id`, `item_id` and, where known, `rating`, `timestamp`, `order`."""
        columns: dict[str, Any] = {
            "user_id": _frames.from_ids(self.user_ids, self.users),
            "item_id": _frames.from_ids(self.item_ids, self.items),
        }
        known = {"rating": self.ratings, "timestamp": self.timestamps, "order": self.order}
        return pl.DataFrame(columns | {name: values for name, values in known.items() if values is not None})


def met_by(whole: Coded, users: Codes) -> tuple[Ints, Ints]:
    """Return what some users (codes, (U,)) met: the place of the user among them and the item, of each interaction.

    For a few users that costs far less than the matrix of all.
    """
    first, end = (np.searchsorted(whole.sorted_pairs, (users.astype(np.int64) + more) << 32) for more in (0, 1))
    counts = end - first
    rows = np.repeat(np.arange(len(users)), counts)
    return rows, whole.sorted_pairs[ranges(first, counts)] & 0xFFFFFFFF


def between(whole: C, users: Mask, items: Mask) -> C:
    """Return the interactions of some users with some items, two masks; others are forgotten, and these renumbered."""
    inside = users[whole.users] & items[whole.items]
    part = whole if inside.all() else whole.subset(inside)
    return replace(
        part,
        user_ids=whole.user_ids[users],
        item_ids=whole.item_ids[items],
        users=(np.cumsum(users, dtype=np.int32) - np.int32(1))[part.users],
        items=(np.cumsum(items, dtype=np.int32) - np.int32(1))[part.items],
        item_titles=None if whole.item_titles is None else whole.item_titles[items],
    )
