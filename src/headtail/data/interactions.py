"""Who interacted with what: the noun on which everything else stands."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import polars as pl
import scipy.sparse as sp

from headtail import _frames
from headtail._checks import checked, finite, integer, number, shown
from headtail._columns import called, logger, resolve_columns
from headtail._containers import is_several
from headtail._factors import axis_ids, refuse_ids
from headtail._printable import counted, kind_of
from headtail._spelling import respelled, twins
from headtail._times import seconds
from headtail.data.coded import Coded, of_graph, order_by, pair_keys, recoded
from headtail.exceptions import InvalidInputError
from headtail.typing import IntoFrame

Duplicates = Literal["error", "first", "last", "mean", "sum"]
_ROLES = ("user_id", "item_id", "rating", "timestamp", "order", "item_title")


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Interactions(Coded):
    """Interactions of users with items, ids mapped to contiguous codes.

    Use :meth:`from_frame` or :func:`headtail.read_interactions`; the constructor takes arrays that are already coded.
    Splits and subsets share the ids of the whole, so that a code means the same user or item everywhere.

    Parameters
    ----------
    user_ids, item_ids : array of shape (n_users,) and (n_items,)
        External ids; the position is the code. The items are the catalogue.
    users, items : int array of shape (n,)
        Codes of each interaction. A pair occurs once.
    ratings : float array of shape (n,), optional
        Rating, play count or other strength.
    timestamps : array of shape (n,), optional
        Unix seconds.
    order : int array of shape (n,), optional
        Rank in the user's own time order, where only that is known (0 first).
    item_titles : object array of shape (n_items,), optional

    Examples
    --------
    >>> frame = pl.DataFrame({"user": ["ann", "ann", "bob"], "item": [10, 30, 10]})
    >>> interactions = Interactions.from_frame(frame)
    >>> interactions
    Interactions(2 users, 2 items, 3 interactions, density 75.00%)
    >>> interactions.popularity
    array([2, 1])
    """

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
    ) -> "Interactions":
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
        duplicates : {"error", "first", "last", "mean", "sum"}, default "error"
            What to do with several rows of one (user, item) pair: refuse them, keep the first or last row (by time or
            order, else by position), or keep the first with the mean or the sum of the ratings; without ratings, the
            sum is the number of rows.
        what : str, default "interactions"
            What to call the frame in messages.
        """
        if min_rating is not None:
            min_rating = number("min_rating", min_rating)
        k_core = integer("k_core", k_core)
        names = {"user_id": user, "item_id": item, "rating": rating, "timestamp": timestamp, "order": order}
        result = _read(frame, names, duplicates, what, rating_needed=min_rating is not None)
        if min_rating is not None:
            result = rated(result, min_rating).compact()
        result = _k_core(result, k_core) if k_core else result
        return result if titles is None else result.with_titles(titles)

    @classmethod
    def of(cls, data: Any, *, like: "Interactions | None" = None, what: str = "interactions") -> "Interactions":
        """Return what any function here takes as interactions: themselves, or those of a frame or a sparse matrix.

        Parameters
        ----------
        data : Interactions, frame of any engine, or SciPy sparse matrix
            Read as by :meth:`from_frame` or :meth:`from_matrix`.
        like : Interactions, optional
            Take the users and items of these, so that a code means the same in both; others are an error.
        what : str, default "interactions"
            What to call the data in messages.

        Examples
        --------
        >>> import scipy.sparse as sp
        >>> Interactions.of(sp.csr_array([[1, 0], [5, 2]])).to_polars().rows()
        [(0, 0, 1.0), (1, 0, 5.0), (1, 1, 2.0)]
        """
        if sp.issparse(data):
            given = {} if like is None else {"user_ids": like.user_ids, "item_ids": like.item_ids}
            found = cls.from_matrix(data, **given, what=what)
        else:
            found = data if isinstance(data, Interactions) else _read(data, {}, "error", what)
        return found if like is None else found._coded_like(like, what)

    @classmethod
    def from_matrix(
        cls, matrix: Any, *, user_ids: Any = None, item_ids: Any = None, what: str = "interactions"
    ) -> "Interactions":
        """Read interactions from a matrix with a row for each user and a column for each item.

        Parameters
        ----------
        matrix : SciPy sparse matrix, or array of shape (n_users, n_items)
            Above zero where a user met an item; values other than 1 are ratings, entries of one place are summed.
            Negative values are an error, as is a matrix of a graph, whose rows and columns are users and then items.
        user_ids, item_ids : sequences of ids, optional
            Ids of the rows and columns, each once; if not given, the labels of a pandas frame, else their numbers.
        what : str, default "interactions"
            What to call the matrix in messages.

        Examples
        --------
        >>> import scipy.sparse as sp
        >>> plays = sp.csr_array([[1, 0], [5, 2]])
        >>> Interactions.from_matrix(plays, user_ids=["ann", "bob"], item_ids=[70, 80]).to_polars().rows()
        [('ann', 70, 1.0), ('bob', 70, 5.0), ('bob', 80, 2.0)]
        """
        refuse_ids(matrix)
        try:
            table = sp.coo_array(matrix)
        except Exception:  # each kind of thing has errors of its own
            raise InvalidInputError(
                f"{what} is {kind_of(matrix)}; give a matrix of numbers, one row a user and one column an item."
            ) from None
        values = np.asarray(table.data)
        if values.dtype.kind not in "fiub" or table.ndim != 2:
            raise InvalidInputError(
                f"{what} is a matrix of shape {table.shape} and type {values.dtype}; give real numbers, (users, items)."
            )
        table = sp.coo_array(sp.csr_array(table.astype(np.float64)))  # adds up what stands in one place
        values = table.data
        finite(what, values, "Give 0 where there are none, such as by frame.fillna(0).")
        if (values < 0).any():
            raise InvalidInputError(
                f"{what} holds {values.min():g}; a value of a matrix counts interactions. Give 0 where there are none."
            )
        kept = values > 0
        users, items = table.coords
        n_users, n_items = table.shape
        if n_users == n_items > 100 and of_graph(users[kept], items[kept]):
            raise InvalidInputError(
                f"{what} is the matrix of a graph: its {n_users:,} rows, and its columns, are users and then items. "
                f"Give the users by items, matrix[:n_users, n_users:]."
            )
        user_ids, item_ids = (axis_ids(matrix, i) if ids is None else ids for i, ids in enumerate((user_ids, item_ids)))
        return cls(
            user_ids=np.arange(n_users) if user_ids is None else _frames.unique_ids(user_ids, "user_id", n_users),
            item_ids=np.arange(n_items) if item_ids is None else _frames.unique_ids(item_ids, "item_id", n_items),
            users=users[kept].astype(np.int32),
            items=items[kept].astype(np.int32),
            ratings=None if (values[kept] == 1).all() else values[kept],
        )

    def _coded_like(self, other: "Interactions", what: str) -> "Interactions":
        """Return the same interactions with the ids, and so the codes, of others."""
        codes = []
        for name, own, ids in (("users", self.user_ids, other.user_ids), ("items", self.item_ids, other.item_ids)):
            codes.append(recoded(given := getattr(self, name), own, ids, f"{what} {name}"))
            if len(unknown := np.unique(given[codes[-1] < 0])):
                raise InvalidInputError(
                    f"{what} holds {counted(len(unknown), name[:-1])} that train does not have; the first is "
                    f"{shown(own[unknown[:1]])}. Leave their interactions out, or take both from one split."
                    f"{respelled(own[unknown], ids, f'{name[:-1]}_id')}"
                )
        return replace(
            self, user_ids=other.user_ids, item_ids=other.item_ids, users=codes[0], items=codes[1],
            item_titles=other.item_titles,
        )  # fmt: skip

    def with_titles(self, titles: "IntoFrame | Mapping[Any, str]") -> Self:
        """Return the same interactions with item titles; an item that is not in `titles` shows its id."""
        series: Any = titles if len(getattr(titles, "shape", ())) == 1 else None
        if series is not None and axis_ids(series, 0) is None:
            raise InvalidInputError(
                f"titles is {kind_of(titles)} without ids. Give a mapping from item id to title, a frame of "
                f"both, or a Series of pandas whose index holds the ids."
            )
        if series is not None:
            titles = series.to_frame("title").rename_axis("item_id")
        if not isinstance(titles, Mapping) or all(map(is_several, titles.values())):
            table = _frames.first_titles(_frames.to_table(titles, required=("item_id", "title"), what="titles"))
            titles = dict(zip(table["item_id"].to_list(), table["title"].to_list(), strict=True))
        if not any(i in titles for i in self.item_ids.tolist()):
            ours, theirs = self.item_ids[:1].tolist()[0], next(iter(titles), None)
            known = np.array([key for key in titles if isinstance(key, str)], dtype=object)
            raise InvalidInputError(
                f"titles holds none of the {self.n_items} items; ids are {ours!r} ({type(ours).__name__}) here and "
                f"{theirs!r} ({type(theirs).__name__}) there. Cast one.{respelled(self.item_ids, known, 'item_id')}"
            )
        names = [str(title if _is_title(title := titles.get(i)) else i) for i in self.item_ids.tolist()]
        return replace(self, item_titles=np.array(names, dtype=object))


def _read(frame: Any, names: Mapping[str, str | None], duplicates: str, what: str, **needed: bool) -> Interactions:
    found = without_duplicates(from_table(*read_roles(frame, names, **needed, what=what)), duplicates, what)
    n = 0 if any(needed.values()) or found.ratings is None else int((found.ratings <= 0).sum())
    if n > len(found) / 100:  # a scale from 0 has some
        logger.warning(
            "%s: %d of %d rows have a rating of 0 or less, and count as interactions like the others; min_rating=VALUE "
            "keeps those from a value on", what, n, len(found),
        )  # fmt: skip
    return found


def from_table(table: pl.DataFrame, names: Mapping[str, Any]) -> Interactions:
    """Return the interactions of a checked table whose columns are named by role, repeated pairs included.

    `names` are those that the columns had, for messages.
    """
    with ThreadPoolExecutor(1) as pool:
        of_users = pool.submit(_frames.encode, table["user_id"])
        item_ids, items = _frames.encode(table["item_id"])
    user_ids, users = of_users.result()
    for role, ids in (("user_id", user_ids), ("item_id", item_ids)):
        for note in twins(ids, names[role], f"{names[role]!r}"):
            logger.warning("%s", note)
    result = Interactions(
        user_ids=user_ids,
        item_ids=item_ids,
        users=users,
        items=items,
        ratings=_own(_numeric(table, "rating", names)),
        timestamps=_own(seconds(table["timestamp"], names["timestamp"])) if "timestamp" in table.columns else None,
        order=_own(_numeric(table, "order", names)),
    )
    titled = "item_title" in table.columns
    return result.with_titles(_frames.first_titles(table.select("item_id", title="item_title"))) if titled else result


def rated(given: Interactions, min_rating: float) -> Interactions:
    """Return the interactions with at least this rating, with the same users and items."""
    assert given.ratings is not None
    keep = given.ratings >= min_rating
    if not keep.any():
        raise InvalidInputError(
            f"min_rating={min_rating:g} leaves no interactions; the highest rating is {given.ratings.max():g}."
        )
    return given.subset(keep)


def without_duplicates(given: Interactions, policy: str, what: str = "interactions") -> Interactions:
    """Return the interactions with each pair once, by one of the policies of :meth:`Interactions.from_frame`."""
    if (given.sorted_pairs[1:] != given.sorted_pairs[:-1]).all():
        return given
    pair = pair_keys(given.users, given.items)
    times = given.order if given.order is not None else given.timestamps
    rows = np.arange(len(given)) if times is None else order_by(times)
    if policy == "last":
        rows = rows[::-1]
    _, first, inverse, counts = np.unique(pair[rows], return_index=True, return_inverse=True, return_counts=True)
    if policy == "error":
        worst = rows[first[np.argmax(counts)]]
        user, item = shown([given.user_ids[given.users[worst]]]), shown([given.item_ids[given.items[worst]]])
        raise InvalidInputError(
            f"{what} holds {counted(len(given) - len(first), 'row', 'that repeats', 'that repeat')} a (user, item) "
            f"pair; user {user} and item {item} stand there {counts.max()} times. Say which to keep when reading: "
            f"Interactions.from_frame(..., duplicates='first'); or 'last', or 'mean' or 'sum' of the ratings."
        )
    logger.info("interactions: %d repeated pairs merged (%s)", len(given) - len(first), policy)
    kept = np.sort(rows[first])
    result = given.subset(kept)
    if policy == "sum" or (policy == "mean" and given.ratings is not None):
        ratings = np.bincount(inverse, weights=None if given.ratings is None else given.ratings[rows])
        merged = ratings / (counts if policy == "mean" else 1)
        finite(f"The {policy} of ratings", merged)
        return replace(result, ratings=merged[np.argsort(rows[first])])
    return result


def _k_core(given: Interactions, k: int) -> Interactions:
    keep = np.ones(len(given), dtype=bool)
    while True:
        activity = np.bincount(given.users[keep], minlength=given.n_users)
        popularity = np.bincount(given.items[keep], minlength=given.n_items)
        still = keep & (activity[given.users] >= k) & (popularity[given.items] >= k)
        if not still.any():
            raise InvalidInputError(
                f"k_core={k} leaves no interactions. Lower it; the busiest user has {given.activity.max()} "
                f"and the most popular item {given.popularity.max()}."
            )
        if still.sum() == keep.sum():
            return given.subset(keep).compact()
        keep = still


def _is_title(title: Any) -> bool:
    return not _frames.is_missing(title) and bool(str(title).strip())


def read_pairs(
    given: "Interactions | IntoFrame", what: str, *, repeats: bool = False, times: bool = False
) -> tuple[Interactions, tuple[str, ...]]:
    """Return who met what, and which of rating, timestamp and order is known of each interaction.

    These columns of a frame are not read: they may be of any kind, or have gaps. With `repeats`, pairs may be repeated;
    with `times`, timestamps are read all the same.
    """
    if isinstance(given, Interactions) or sp.issparse(given):
        pairs = Interactions.of(given, what=what)
        values = {"rating": pairs.ratings, "timestamp": pairs.timestamps, "order": pairs.order}
        return pairs, tuple(role for role, column in values.items() if column is not None)
    given = _frames.unnested(given, what)
    read = ("item_title", "timestamp") if times else ("item_title",)
    pairs = from_table(
        *_frames.named_table(given, required=("user_id", "item_id"), optional=read, given=None, what=what)
    )
    found = resolve_columns(_frames.column_names(given, what), _ROLES[:2], _ROLES[2:], what=what)
    known = tuple(role for role in found if role in ("rating", "timestamp", "order"))
    return pairs if repeats else without_duplicates(pairs, "error", what), known


def rating_notes(pairs: Interactions, known: Iterable[str], what: str) -> list[str]:
    """Return what a reader should know of ratings that are not used: a list of one note, or of none."""
    values = ""
    if pairs.ratings is not None and len(pairs):
        low, high = pairs.ratings.min(), pairs.ratings.max()
        values = f" ({low:g} to {high:g})" if low < high else ""
        known = known if values else ()
    return [
        f"Every row of {what} counts as an interaction, whatever its rating{values}; min_rating sets a least "
        f"one on reading."
    ] * ("rating" in known)


def read_roles(
    frame: IntoFrame, names: Mapping[str, str | None], *, rating_needed: bool = False, what: str = "interactions"
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Collect the columns that make interactions, and any further ones that are named; return their names, too."""
    further = [role for role, name in names.items() if role not in _ROLES and name is not None]
    required = ["user_id", "item_id", *further, *(["rating"] if rating_needed else [])]
    optional = [role for role in _ROLES if role not in required]
    return _frames.named_table(frame, required=required, optional=optional, given=names, what=what)


def _own(values: Any) -> Any:
    """Return numbers that no later change of the user's frame reaches; Polars gives views, which are read-only."""
    return values if values is None or values.flags.writeable else values.copy()


def _numeric(table: pl.DataFrame, role: str, names: Mapping[str, Any]) -> Any:
    if role not in table.columns:
        return None
    column, name = table[role], names[role]
    values = _frames.numbers(column, name, "the table")
    if n := column.null_count():
        raise InvalidInputError(
            f"{called(name, role)} has {counted(n, 'missing value')}. Drop or fill those rows, or drop the column "
            f"{name!r}."
        )
    if role == "rating":
        values = values.astype(np.float64, copy=False)
        finite(called(name, role), values)
        return values
    whole = column.cast(pl.Int64, strict=False)
    wrong = whole.is_null() | (whole != column)
    if wrong.any():
        raise InvalidInputError(
            f"{called(name, role)} holds {column.filter(wrong)[0]}; give whole numbers, 0 for the first."
        )
    return whole.to_numpy()
