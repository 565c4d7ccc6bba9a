"""Who interacted with what: the noun on which everything else stands."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from headtail import _checks, _frames
from headtail._checks import choice, finite, integer, number, shown
from headtail._threads import both
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Codes, IntoFrame

if TYPE_CHECKING:
    import polars as pl

Duplicates = Literal["error", "first", "last", "mean"]
_ROLES = ("user_id", "item_id", "rating", "timestamp", "order", "item_title")


def pair_keys(users: Array, items: Array) -> NDArray[np.int64]:
    """Return one number for each (user, item) pair of codes, in the order of users and then items."""
    keys = users.astype(np.int64)
    keys <<= 32
    keys |= items
    return keys


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Interactions of users with items, ids mapped to contiguous codes.

    Use :meth:`from_frame` or :func:`headtail.read_interactions`; the constructor takes arrays that are already coded.
    Splits and subsets share the ids of the whole, so that a code means the same user or item everywhere.

    Parameters
    ----------
    user_ids : array of shape (n_users,)
        External user ids; the position is the code.
    item_ids : array of shape (n_items,)
        External item ids, the catalogue; the position is the code.
    users, items : int array of shape (n,)
        Codes of each interaction. A pair occurs once.
    ratings : float array of shape (n,), optional
        Rating, play count or other strength.
    timestamps : array of shape (n,), optional
        Unix seconds.
    order : int array of shape (n,), optional
        Rank in the user's own time order, where only that is known (0 first).
    item_titles : object array of shape (n_items,), optional
        Titles to show.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"user": ["ann", "ann", "bob"], "item": [10, 30, 10]})
    >>> interactions = Interactions.from_frame(frame)
    >>> interactions
    Interactions(2 users, 2 items, 3 interactions, density 75.00%)
    >>> interactions.popularity
    array([2, 1])
    """

    user_ids: Array
    item_ids: Array
    users: Codes
    items: Codes
    ratings: NDArray[np.float64] | None = field(default=None)
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
                raise InvalidInputError(f"{name} has {len(values)} entries and users has {n}; they must match.")
        for name, codes, ids in (("users", self.users, self.user_ids), ("items", self.items, self.item_ids)):
            if n and (codes.min() < 0 or codes.max() >= len(ids)):
                raise InvalidInputError(
                    f"{name} holds codes from {codes.min()} to {codes.max()}; there are {len(ids)} ids, so give 0 to "
                    f"{len(ids) - 1}, or use Interactions.from_frame for external ids."
                )
        if self.item_titles is not None and len(self.item_titles) != len(self.item_ids):
            raise InvalidInputError(f"item_titles has {len(self.item_titles)} entries for {len(self.item_ids)} items.")

    @classmethod
    def from_frame(
        cls,
        frame: IntoFrame,
        *,
        user: str | None = None,
        item: str | None = None,
        rating: str | None = None,
        timestamp: str | None = None,
        order: str | None = None,
        titles: "IntoFrame | Mapping[Any, str] | None" = None,
        min_rating: float | None = None,
        k_core: int = 0,
        duplicates: Duplicates = "error",
        what: str = "interactions",
    ) -> Self:
        """Read interactions from a frame of any engine.

        Parameters
        ----------
        frame : pandas, Polars, PyArrow, DuckDB or PySpark frame
            One row for each interaction.
        user, item, rating, timestamp, order : str, optional
            Names of the columns. Without them the usual names are looked for (``user_id``, ``userId``, ``query_id``,
            ``movieId`` ...), and the choice is logged.
        titles : frame or mapping, optional
            Title of each item: a frame with an item and a title column, or a mapping from item id to title. Without
            it, a column ``item_title`` of `frame` is taken.
        min_rating : float, optional
            Keep interactions with at least this rating, and forget users and items that have none left.
        k_core : int, default 0
            Keep, repeatedly, users and items with at least this many interactions; 0 keeps all.
        duplicates : {"error", "first", "last", "mean"}, default "error"
            What to do with several rows of one (user, item) pair: refuse them, keep the first or last row (by time or
            order, else by position), or keep the first with the mean rating.
        what : str, default "interactions"
            What to call the frame in messages.

        Raises
        ------
        InvalidInputError
            If the frame is empty, has missing or mixed ids, ratings that are not finite, or duplicate pairs.
        MissingColumnError
            If the user or item column is not found.
        """
        if min_rating is not None:
            min_rating = number("min_rating", min_rating)
        integer("k_core", k_core)
        names = {"user_id": user, "item_id": item, "rating": rating, "timestamp": timestamp, "order": order}
        table = _read(frame, names, rating_needed=min_rating is not None, what=what)
        result = cls._from_table(table)._without_duplicates(duplicates, what)
        if min_rating is not None:
            result = result._rated(min_rating).compact()
        if k_core:
            result = result._k_core(k_core)
        return result if titles is None else result.with_titles(titles)

    @classmethod
    def of(cls, data: Any, *, like: "Interactions | None" = None, what: str = "interactions") -> "Interactions":
        """Return what any function here takes as interactions: themselves, or those of a frame or a sparse matrix.

        Parameters
        ----------
        data : Interactions, frame of any engine, or SciPy sparse matrix
            A frame as :meth:`from_frame` reads it. The row and column numbers of a matrix are the ids; stored zeros are
            no interactions, and values other than 1 are ratings.
        like : Interactions, optional
            Take the users and items of these, so that a code means the same in both; a matrix must have their shape.
        what : str, default "interactions"
            What to call the data in messages.

        Raises
        ------
        InvalidInputError, MissingColumnError
            If the data cannot be interactions, or hold a user or an item that `like` does not have.

        Examples
        --------
        >>> import scipy.sparse as sp
        >>> Interactions.of(sp.csr_array([[1, 0], [5, 2]])).to_polars().rows()
        [(0, 0, 1.0), (1, 0, 5.0), (1, 1, 2.0)]
        """
        if sp.issparse(data):
            found = cls._from_matrix(data, like, what)
        else:
            found = data if isinstance(data, Interactions) else cls.from_frame(data, what=what)
        return found if like is None else found._coded_like(like, what)

    @classmethod
    def _from_matrix(cls, data: Any, like: "Interactions | None", what: str) -> "Interactions":
        matrix = sp.coo_array(sp.csr_array(data))  # adds up what stands in one place
        values = np.asarray(matrix.data)
        if values.dtype.kind not in "fiub" or (like is not None and matrix.shape != (like.n_users, like.n_items)):
            wanted = "(users, items)" if like is None else f"({like.n_users}, {like.n_items})"
            raise InvalidInputError(
                f"{what} is a sparse matrix of shape {matrix.shape} and type {values.dtype}; give real numbers of "
                f"shape {wanted}."
            )
        values = values.astype(np.float64)
        finite(what, values)
        if (values < 0).any():
            raise InvalidInputError(f"{what} holds {values.min():g}; a value of a matrix counts interactions.")
        kept = values > 0
        return cls(
            user_ids=np.arange(matrix.shape[0]) if like is None else like.user_ids,
            item_ids=np.arange(matrix.shape[1]) if like is None else like.item_ids,
            users=matrix.row[kept].astype(np.int32),
            items=matrix.col[kept].astype(np.int32),
            ratings=None if (values[kept] == 1).all() else values[kept],
        )

    def _coded_like(self, other: "Interactions", what: str) -> "Interactions":
        """Return the same interactions with the ids, and so the codes, of others."""
        codes = []
        for name, own, ids in (("users", self.user_ids, other.user_ids), ("items", self.item_ids, other.item_ids)):
            given = getattr(self, name)
            if own is ids or np.array_equal(own, ids):
                codes.append(given)
                continue
            known = _frames.lookup(own, ids, f"{what} {name}")
            met = np.flatnonzero(np.bincount(given, minlength=len(own)))
            unknown = met[known[met] < 0]
            if len(unknown):
                raise InvalidInputError(
                    f"{what} holds {len(unknown)} {name} that train does not have; the first is "
                    f"{shown(own[unknown[:1]])}. Leave their interactions out, or take both from one split."
                )
            codes.append(known[given])
        titles = other.item_titles
        return replace(
            self,
            user_ids=other.user_ids,
            item_ids=other.item_ids,
            users=codes[0],
            items=codes[1],
            item_titles=titles,
        )

    @classmethod
    def _from_table(cls, table: "pl.DataFrame") -> Self:
        (user_ids, users), (item_ids, items) = both(
            lambda: _frames.encode(table["user_id"]), lambda: _frames.encode(table["item_id"])
        )
        result = cls(
            user_ids=user_ids,
            item_ids=item_ids,
            users=users,
            items=items,
            ratings=_numeric(table, "rating"),
            timestamps=_frames.seconds(table["timestamp"]) if "timestamp" in table.columns else None,
            order=_numeric(table, "order"),
        )
        if "item_title" not in table.columns:
            return result
        return result.with_titles(_frames.first_titles(table.select("item_id", title="item_title")))

    # -- sizes and views ----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        density = len(self) / max(1, self.n_users * self.n_items)
        return (
            f"Interactions({self.n_users:,} users, {self.n_items:,} items, {len(self):,} interactions, "
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
    def popularity(self) -> NDArray[np.int64]:
        """Interactions per item, int64 array of shape (n_items,)."""
        return np.bincount(self.items, minlength=self.n_items)

    @cached_property
    def activity(self) -> NDArray[np.int64]:
        """Interactions per user, int64 array of shape (n_users,)."""
        return np.bincount(self.users, minlength=self.n_users)

    @cached_property
    def matrix(self) -> sp.csr_array:
        """Ones where a user met an item: float32 CSR array of shape (n_users, n_items), column indices sorted."""
        order = np.lexsort((self.items, self.users))
        starts = np.concatenate([[0], np.cumsum(self.activity)])
        ones = np.ones(len(self), dtype=np.float32)
        return sp.csr_array((ones, self.items[order], starts), shape=(self.n_users, self.n_items))

    @cached_property
    def sorted_pairs(self) -> NDArray[np.int64]:
        """Every (user, item) pair as ``user * 2**32 + item``, ascending, int64 array of shape (n,)."""
        return np.sort(pair_keys(self.users, self.items))

    def contains(self, users: Array, items: Array) -> NDArray[np.bool_]:
        """Return which (user, item) pairs of codes occur, bool array of shape (n,); quickest for sorted pairs."""
        pairs = pair_keys(users, items)
        if not len(self):
            return np.zeros(len(pairs), dtype=bool)
        places = np.minimum(np.searchsorted(self.sorted_pairs, pairs), len(self) - 1)
        return np.asarray(self.sorted_pairs[places] == pairs)

    @cached_property
    def fingerprint(self) -> str:
        """Number of pairs and a hash of them that does not depend on the order of the rows."""
        digest = hashlib.sha256(f"{self.n_users} {self.n_items} ".encode())
        digest.update(self.sorted_pairs.tobytes())
        return f"{len(self)} pairs, sha256 {digest.hexdigest()[:16]}"

    @cached_property
    def time_rank(self) -> NDArray[np.int64] | None:
        """Position of every interaction in time within its user (0 first), or None where no time is known.

        By `order` where given, else by timestamp; ties keep the order of the rows.
        """
        times = self.order if self.order is not None else self.timestamps
        if times is None:
            return None
        by_time = np.lexsort((times, self.users))
        starts = np.concatenate([[0], np.cumsum(self.activity)])[:-1]
        ranks = np.empty(len(self), dtype=np.int64)
        ranks[by_time] = np.arange(len(self)) - starts[self.users[by_time]]
        return ranks

    @cached_property
    def histories(self) -> Codes:
        """Items of every user in time order, user after user, int32 array of shape (n,).

        Those of the user with code u are ``histories[matrix.indptr[u] : matrix.indptr[u + 1]]``.

        Raises
        ------
        InvalidInputError
            If no time is known.
        """
        ranks = self.time_rank
        if ranks is None:
            raise InvalidInputError(
                "interactions has neither timestamps nor an order, so that nobody's history has a sequence. Name the "
                "column when reading (timestamp=... or order=...)."
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
            Whose; all users without it.
        max_length : int, default 50
            Length L of the sequences, at least 1.
        codes : int array of shape (U,), optional
            Codes of the users, instead of their ids; one may stand there several times.

        Returns
        -------
        int32 array of shape (U, L)
            Codes of items, the latest at the right end, filled with -1 at the left.

        Raises
        ------
        InvalidInputError
            If no time is known, `max_length` is not at least 1, or a user is not known.

        Examples
        --------
        >>> import polars as pl
        >>> frame = pl.DataFrame({"user_id": [1, 1, 1, 2], "item_id": [7, 8, 9, 7], "timestamp": [30, 10, 20, 5]})
        >>> Interactions.from_frame(frame).sequences(max_length=4)
        array([[-1,  1,  2,  0],
               [-1, -1, -1,  0]], dtype=int32)
        """
        integer("max_length", max_length, low=1)
        codes = self.user_codes(users, codes=codes)
        items, ends = self.histories, np.cumsum(self.activity)[codes]
        from_end = np.arange(max_length, 0, -1)
        places = np.maximum(ends[:, None] - from_end, 0)  # (U, L)
        known = from_end <= self.activity[codes][:, None]
        return np.where(known, items[places] if len(items) else np.int32(-1), np.int32(-1))

    def user_codes(self, user_ids: "Iterable[Any] | IntoFrame | None" = None, *, codes: Array | None = None) -> Codes:
        """Return the codes of some users, given as ids or as a frame with a column of them, in their order.

        Without `user_ids` they are those of all users.

        `codes` that are known already are checked and returned instead; they may repeat.

        Raises
        ------
        InvalidInputError
            If a user is unknown or named twice, none is named, or both ids and codes are given.
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
                f"{len(unknown)} of {len(ids)} users are not among the users of the interactions; the first is "
                f"{shown(unknown[:1])}."
            )
        if len(np.unique(codes)) < len(codes):
            raise InvalidInputError("users names a user more than once; give each user once.")
        return codes

    # -- parts --------------------------------------------------------------------------------------------------------

    def subset(self, keep: Array) -> Self:
        """Return the interactions selected by a mask or by positions, with the same users and items."""

        def take(values: Array | None) -> Any:
            return None if values is None else values[keep]

        names = ("users", "items", "ratings", "timestamps", "order")
        try:
            return replace(self, **{name: take(getattr(self, name)) for name in names})
        except IndexError as error:
            raise InvalidInputError(
                f"keep={shown([keep])} selects none of the {len(self)} interactions: {error}. Give a mask or positions."
            ) from None

    def compact(self) -> Self:
        """Forget users and items that have no interactions, and renumber the others."""
        keep_users, keep_items = self.activity > 0, self.popularity > 0
        return replace(
            self,
            user_ids=self.user_ids[keep_users],
            item_ids=self.item_ids[keep_items],
            users=(np.cumsum(keep_users, dtype=np.int32) - np.int32(1))[self.users],
            items=(np.cumsum(keep_items, dtype=np.int32) - np.int32(1))[self.items],
            item_titles=None if self.item_titles is None else self.item_titles[keep_items],
        )

    def with_items(self, item_ids: "Iterable[Any] | IntoFrame") -> Self:
        """Return the same interactions with a larger catalogue: items that are not in it yet come after the others.

        Items that nobody has met belong to what a recommender can show, and count in coverage and in the Gini index.
        They are given as ids, or as a frame with a column of them.
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

    def with_titles(self, titles: "IntoFrame | Mapping[Any, str]") -> Self:
        """Return the same interactions with item titles; an item that is not in `titles` shows its id."""
        if not isinstance(titles, Mapping):
            table = _frames.first_titles(_frames.to_table(titles, required=("item_id", "title"), what="titles"))
            titles = dict(zip(table["item_id"].to_list(), table["title"].to_list(), strict=True))
        if not any(i in titles for i in self.item_ids.tolist()):
            ours, theirs = self.item_ids[:1].tolist()[0], next(iter(titles), None)
            raise InvalidInputError(
                f"titles holds none of the {self.n_items} items; ids are {ours!r} ({type(ours).__name__}) in the "
                f"interactions and {theirs!r} ({type(theirs).__name__}) in titles. Cast one of them."
            )
        names = [str(title if _is_title(title := titles.get(i)) else i) for i in self.item_ids.tolist()]
        return replace(self, item_titles=np.array(names, dtype=object))

    def to_polars(self) -> "pl.DataFrame":
        """Return a Polars frame with `user_id`, `item_id` and, where known, `rating`, `timestamp`, `order`."""
        import polars as pl

        columns: dict[str, Any] = {
            "user_id": _frames.from_ids(self.user_ids, self.users),
            "item_id": _frames.from_ids(self.item_ids, self.items),
        }
        known = {"rating": self.ratings, "timestamp": self.timestamps, "order": self.order}
        return pl.DataFrame(columns | {name: values for name, values in known.items() if values is not None})

    def _rated(self, min_rating: float) -> Self:
        assert self.ratings is not None
        keep = self.ratings >= min_rating
        if not keep.any():
            raise InvalidInputError(
                f"min_rating={min_rating:g} leaves no interactions; the highest rating is {self.ratings.max():g}."
            )
        return self.subset(keep)

    def _without_duplicates(self, policy: str, what: str = "interactions") -> Self:
        choice("duplicates", policy, ("error", "first", "last", "mean"))
        if (self.sorted_pairs[1:] != self.sorted_pairs[:-1]).all():
            return self
        pair = pair_keys(self.users, self.items)
        times = self.order if self.order is not None else self.timestamps
        rows = np.arange(len(self)) if times is None else np.lexsort((times,))
        if policy == "last":
            rows = rows[::-1]
        _, first, inverse, counts = np.unique(pair[rows], return_index=True, return_inverse=True, return_counts=True)
        if policy == "error":
            worst = rows[first[np.argmax(counts)]]
            user, item = shown([self.user_ids[self.users[worst]]]), shown([self.item_ids[self.items[worst]]])
            raise InvalidInputError(
                f"{what} holds {len(self) - len(first):,} rows that repeat a (user, item) pair; user "
                f"{user} and item {item} stand there {counts.max()} times. Say which to keep: duplicates='first', "
                f"'last' or 'mean' (of the ratings)."
            )
        _frames.logger.info("interactions: %d repeated pairs merged (%s)", len(self) - len(first), policy)
        kept = np.sort(rows[first])
        result = self.subset(kept)
        if policy == "mean" and self.ratings is not None:
            means = np.bincount(inverse, weights=self.ratings[rows]) / counts
            return replace(result, ratings=means[np.argsort(rows[first])])
        return result

    def _k_core(self, k: int) -> Self:
        keep = np.ones(len(self), dtype=bool)
        while True:
            activity = np.bincount(self.users[keep], minlength=self.n_users)
            popularity = np.bincount(self.items[keep], minlength=self.n_items)
            still = keep & (activity[self.users] >= k) & (popularity[self.items] >= k)
            if not still.any():
                raise InvalidInputError(
                    f"k_core={k} leaves no interactions. Lower it; the busiest user has {self.activity.max()} "
                    f"and the most popular item {self.popularity.max()}."
                )
            if still.sum() == keep.sum():
                return self.subset(keep).compact()
            keep = still


def _is_title(title: Any) -> bool:
    return not _frames.is_missing(title) and bool(str(title).strip())


def read_pairs(
    given: "Interactions | IntoFrame", what: str, *, repeats: bool = False
) -> tuple[Interactions, tuple[str, ...]]:
    """Return who met what, and which of rating, timestamp and order is known of each interaction.

    These columns of a frame are not read: they may be of any kind, or have gaps. With `repeats`, pairs may be repeated.
    """
    if isinstance(given, Interactions) or sp.issparse(given):
        pairs = Interactions.of(given, what=what)
        values = {"rating": pairs.ratings, "timestamp": pairs.timestamps, "order": pairs.order}
        return pairs, tuple(role for role, column in values.items() if column is not None)
    table = _frames.to_table(given, required=("user_id", "item_id"), optional=("item_title",), what=what)
    pairs = Interactions._from_table(table)
    found = _frames.resolve_columns(_frames.column_names(given, what), _ROLES[:2], _ROLES[2:], what=what)
    known = tuple(role for role in found if role in ("rating", "timestamp", "order"))
    return pairs if repeats else pairs._without_duplicates("error", what), known


def rating_notes(pairs: Interactions, known: Iterable[str], what: str) -> list[str]:
    """Return what a reader should know of ratings that are not used: a list of one note, or of none."""
    values = ""
    if pairs.ratings is not None and len(pairs):
        low, high = pairs.ratings.min(), pairs.ratings.max()
        values = f" ({low:g} to {high:g})" if low < high else ""
        known = known if values else ()
    return [
        f"Every row of {what} counts as an interaction, whatever its rating{values}; min_rating=... on reading keeps "
        f"those from a value on."
    ] * ("rating" in known)


def _read(
    frame: IntoFrame, names: Mapping[str, str | None], *, rating_needed: bool = False, what: str = "interactions"
) -> "pl.DataFrame":
    """Collect the columns that make interactions, and any further ones that are named."""
    further = [role for role, name in names.items() if role not in _ROLES and name is not None]
    required = ["user_id", "item_id", *further, *(["rating"] if rating_needed else [])]
    optional = [role for role in _ROLES if role not in required]
    return _frames.to_table(frame, required=required, optional=optional, given=names, what=what)


def _numeric(table: "pl.DataFrame", role: str) -> Any:
    import polars as pl

    if role not in table.columns:
        return None
    column = table[role]
    if not column.dtype.is_numeric():
        raise InvalidInputError(
            f"{role} is {column.dtype}, not a number. Cast the column, or rename it to leave it out."
        )
    if column.null_count():
        raise InvalidInputError(
            f"{role} has {column.null_count()} missing values. Drop or fill those rows, or drop the column."
        )
    if role == "rating":
        values: Any = column.cast(pl.Float64).to_numpy()
        finite(role, values)
        return values
    whole = column.cast(pl.Int64, strict=False)
    wrong = whole.is_null() | (whole != column)
    if wrong.any():
        raise InvalidInputError(f"{role} holds {column.filter(wrong)[0]}; give whole numbers, 0 for the first.")
    return whole.to_numpy()
