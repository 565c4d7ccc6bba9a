"""Rows of vectors and interactions: joined by their ids, or their order checked where there are none."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from headtail import _frames
from headtail._checks import shown
from headtail._columns import logger
from headtail._factors import as_popularity, axis_ids, to_numpy
from headtail._printable import counted
from headtail._spelling import respelled
from headtail.data.coded import between, recoded
from headtail.data.interactions import Interactions, read_pairs
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Codes, Floats, Vectors

_PAIRS = 4000  # interactions that are drawn to check an order
_FEWEST = 200  # below, chance is too wide to tell anything
_ITEMS = 20  # different ones among them, at least
_LEAST = 0.6  # shuffled rows gave .48 to .54 on real data, trained recommenders .8 and more


def known_ids(role: str, ids: Any, like: Array | None = None) -> Array | None:
    """Return the ids of rows as an array, each once; `like` are ids that need no check."""
    return ids if ids is None or ids is like else _frames.unique_ids(ids, role)


def with_ids(vectors: Vectors, like: Interactions | None = None) -> Vectors:
    """Return vectors whose ids, if they have any, are arrays in which each stands once."""
    of = {role: None if like is None else getattr(like, f"{role}s") for role in ("user_id", "item_id")}
    ids = {f"{role}s": known_ids(role, getattr(vectors, f"{role}s"), known) for role, known in of.items()}
    return vectors._replace(**ids)


def with_given_ids(vectors: Vectors, user_ids: Any = None, item_ids: Any = None) -> Vectors:
    """Return vectors with checked ids: those given, or their own, from which those given must not differ."""
    own, given = with_ids(vectors), with_ids(Vectors(*vectors, user_ids, item_ids))
    ids = {name: (getattr(own, name), getattr(given, name)) for name in ("user_ids", "item_ids")}
    for name, (mine, other) in ids.items():
        if mine is not None and other is not None and not np.array_equal(mine, other):
            raise InvalidInputError(f"{name} differs from the ids that the vectors have already. Leave one out.")
    return own._replace(**{name: mine if other is None else other for name, (mine, other) in ids.items()})


def widened(interactions: Interactions, vectors: Vectors) -> Interactions:
    """Return the interactions with the users and items that only the vectors know after their own."""
    if vectors.item_ids is not None:
        interactions = interactions.with_items(vectors.item_ids)
    if vectors.user_ids is not None:
        interactions = interactions.with_users(vectors.user_ids)
    return interactions


def narrowed(interactions: Interactions, vectors: Vectors, *, users: bool = True) -> tuple[Interactions, str]:
    """Return the interactions of those items, and of those users if wanted, that have a vector, and what was left out.

    Raise if that were half of the interactions or more: these are hardly vectors of the same users and items.
    """
    has = {"users": np.ones(interactions.n_users, dtype=bool), "items": np.ones(interactions.n_items, dtype=bool)}
    said, alike = [], ""
    for name, rows in (("users", vectors.user_ids if users else None), ("items", vectors.item_ids)):
        ids = getattr(interactions, f"{name[:-1]}_ids")
        if rows is not None and ids is not rows:
            has[name] = _frames.lookup(ids, rows, f"{name} of the interactions", "the vectors") >= 0
            if not has[name].all():
                said.append(f"{(~has[name]).sum():,} of {len(ids):,} {name}, such as {shown(ids[~has[name]], 3)},")
                alike += respelled(ids[~has[name]], rows, f"{name[:-1]}_id")
    if not said:
        return interactions, ""
    part = between(interactions, has["users"], has["items"])
    gone = len(interactions) - len(part)
    if 2 * len(part) <= len(interactions):
        raise InvalidInputError(
            f"{' and '.join(said)} have no vector, and {gone:,} of {len(interactions):,} interactions are theirs. "
            f"Check that the ids of the vectors are those of the interactions.{alike}"
        )
    return part, f"{' and '.join(said)} have no vector; left out with {counted(gone, 'interaction')} of theirs.{alike}"


def joined_with(vectors: Vectors, interactions: Interactions) -> tuple[Vectors, Interactions]:
    """Return vectors with checked ids, and the interactions with what only they know, less items without a vector."""
    vectors = with_ids(vectors, like=interactions)
    check_sizes(vectors, interactions)
    interactions, gone = narrowed(interactions, vectors, users=False)
    if gone:
        logger.warning("%s", gone)
    users, known = vectors.user_ids, interactions.user_ids
    others = users is not None and users is not known and len(interactions) > 0
    if others and not (_frames.lookup(users, known, "users of the vectors") >= 0).any():
        logger.warning(
            "No user of the vectors (%s) is among those of the interactions (%s), so that lists leave nothing out that "
            "their users have seen. Check that both are the same ids, unless all users are new.%s",
            shown(users, 3), shown(known, 3), respelled(users, known, "user_id"),
        )  # fmt: skip
    return vectors, widened(interactions, vectors)


def in_order_of(vectors: Vectors, interactions: Interactions, codes: Codes | None = None) -> Vectors:
    """Return the vectors of the users with these codes, all without them, and of all items, in the order of the codes.

    Raise if an id has no row. Rows without ids must be as many as ids; a warning is logged if their order seems wrong.
    """
    check_sizes(vectors, interactions)
    queries, items = vectors
    users = interactions.user_ids if codes is None else interactions.user_ids[codes]
    if vectors.item_ids is not None:
        items = _rows("items", items, vectors.item_ids, interactions.item_ids)
    if vectors.user_ids is None:
        check_order(Vectors(queries, items), interactions)
        if codes is not None and (len(codes) < len(queries) or (codes[1:] < codes[:-1]).any()):
            queries = queries[codes.astype(np.int64)]
    else:
        queries = _rows("queries", queries, vectors.user_ids, users)
        if vectors.item_ids is None:
            check_order(Vectors(queries, items), interactions, codes)
    return Vectors(queries, items, users, interactions.item_ids)


def by_codes(vectors: Vectors, interactions: Interactions) -> Vectors:
    """Return vectors in the order of the codes, with the ids; those without ids are in that order already."""
    ids = {name: getattr(interactions, name) for name in ("user_ids", "item_ids")}
    own = vectors._replace(**{name: known for name, known in ids.items() if getattr(vectors, name) is None})
    return in_order_of(with_ids(own, like=interactions), interactions)


def _rows(name: str, matrix: Any, ids: Array, wanted: Array) -> Any:
    if ids is wanted or np.array_equal(ids, wanted):
        return matrix
    codes = _frames.lookup(wanted, ids, f"ids of {name}", "those of their rows")
    if (codes < 0).any():
        raise InvalidInputError(
            f"{name} has no row for {(codes < 0).sum():,} of {len(wanted):,} ids of the interactions, such as "
            f"{shown(wanted[codes < 0])}. Leave those out of the interactions, or add their vectors."
            f"{respelled(wanted[codes < 0], ids, 'item_id' if name == 'items' else 'user_id')}"
        )
    return matrix[codes.astype(np.int64)]


def check_sizes(vectors: Vectors, interactions: Interactions) -> None:
    """Raise if vectors without ids have not one row for each id of the interactions."""
    for name, ids, matrix, known in (
        ("queries", vectors.user_ids, vectors.queries, interactions.user_ids),
        ("items", vectors.item_ids, vectors.items, interactions.item_ids),
    ):
        if ids is None and len(matrix) != len(known):
            raise InvalidInputError(
                f"{name} has {counted(len(matrix), 'row')} and the interactions {counted(len(known), 'id')}. Say "
                f"whose each row is: Vectors(queries, items, user_ids=..., item_ids=...)."
            )


class Order(NamedTuple):
    """How well the order of rows without ids fits the interactions."""

    what: str  # vectors or scores
    share: float  # of interactions that score higher than the same item for another user; chance is 0.5
    n_pairs: int  # interactions that were drawn

    @property
    def fits(self) -> bool:
        """Whether it is well above chance."""
        return self.share >= _LEAST

    def __str__(self) -> str:
        found = (
            f"an interaction scores higher than the same item for another user in {self.share:.0%} of "
            f"{self.n_pairs:,} draws (chance is 50%)"
        )
        lacking = f"The {self.what} have no ids"
        if self.fits:
            return f"{lacking}; the order of their rows was checked against the interactions: {found}."
        return (
            f"{lacking}, and their rows do not seem to be in the order of the interactions: {found}. "
            f"Give Vectors(queries, items, user_ids=..., item_ids=...); without ids rows must be in ascending order of "
            f"the ids (of a matrix, in that of its rows and columns)."
        )


def order_of(source: Any, interactions: Interactions, codes: Codes | None = None) -> Order | None:
    """Compare the scores of interactions with those of the same items for other users, who are exchanged at random.

    The source is Vectors, or a matrix of scores (users, items). An item's own part of a score (its bias, what is common
    to all users) is the same on both sides. Return None where there are too few interactions, or users who all score
    alike, so that nothing can be told.
    """

    def scores(users: Array, items: Array) -> Array:
        if not isinstance(source, Vectors):
            return np.asarray(to_numpy(source[users, items]), dtype=np.float64).ravel()
        queries, wanted = to_numpy(source.queries[users]), to_numpy(source.items[items])
        return np.asarray(np.einsum("ij,ij->i", queries.astype(np.float64), wanted.astype(np.float64)))

    rng = np.random.default_rng(0)
    users, items = interactions.users, interactions.items
    if codes is not None:
        place = np.full(interactions.n_users, -1)
        place[codes] = np.arange(len(codes))
        users = place[users]
    there = np.flatnonzero(users >= 0)
    drawn = rng.choice(there, min(_PAIRS, len(there)), replace=False)
    users, items = users[drawn], items[drawn]
    others = rng.permutation(users)
    users, items, others = (values[users != others].astype(np.int64) for values in (users, items, others))
    if len(users) < _FEWEST or len(np.unique(items)) < _ITEMS:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        own, other = scores(users, items), scores(others, items)
        differ = np.isfinite(own - other) & (own != other)
    if np.mean(differ) < 0.5:
        return None
    what = "vectors" if isinstance(source, Vectors) else "scores"
    return Order(what, float(np.mean(own[differ] > other[differ])), int(differ.sum()))


def check_order(source: Any, interactions: Interactions, codes: Codes | None = None) -> None:
    """Log a warning if rows without ids do not seem to be in the order of the interactions."""
    found = order_of(source, interactions, codes)
    if found is not None and not found.fits:
        logger.warning("%s", found)


def popularity_of(popularity: Any, vectors: Vectors) -> Floats:
    """Return the interactions of each row of the items: as counted already, or counted in interactions of any form."""
    if not _are_interactions(popularity):
        return _by_label(popularity, vectors.item_ids, len(vectors.items))
    counts, _ = read_pairs(popularity, "popularity")
    return as_popularity(_of_rows(counts, vectors, "popularity").popularity, len(vectors.items))


def popularity_by_id(popularity: Any, item_ids: Array) -> Floats:
    """Return the interactions of each item of some lists, from what :func:`popularity_of` takes."""
    if not _are_interactions(popularity):
        return _by_label(popularity, item_ids, len(item_ids))
    counts, _ = read_pairs(popularity, "popularity")
    return as_popularity(rows_of(counts, counts.user_ids, item_ids, what="popularity").popularity, len(item_ids))


def _are_interactions(popularity: Any) -> bool:
    return isinstance(popularity, Interactions) or sp.issparse(popularity) or _frames.is_frame(popularity)


def _by_label(popularity: Any, item_ids: Any, n_items: int) -> Floats:
    if item_ids is not None and (labels := axis_ids(popularity, 0)) is not None:  # such as value_counts()
        known = _frames.unique_ids(labels, "item_id")
        places = _frames.lookup(_frames.unique_ids(item_ids, "item_id"), known, "items", "popularity")
        popularity = np.where(places >= 0, np.asarray(popularity)[places], 0)
    return as_popularity(popularity, n_items)


def matrix_of(seen: Any, vectors: Vectors) -> sp.csr_array | None:
    """Return which items the users of the rows have met, a sparse matrix of ones of shape (B, I)."""
    if seen is None:
        return None
    return _of_rows(read_pairs(seen, "seen")[0], vectors, "seen").matrix


def _of_rows(interactions: Interactions, vectors: Vectors, what: str) -> Interactions:
    """Return the interactions with the rows of the vectors as codes; say how many belong to no row."""
    vectors = with_ids(vectors)
    check_sizes(vectors, interactions)
    if vectors.user_ids is None and vectors.item_ids is None:
        check_order(vectors, interactions)
        return interactions
    ids = interactions.user_ids, interactions.item_ids
    given = vectors.user_ids, vectors.item_ids
    return rows_of(interactions, *(own if new is None else new for own, new in zip(ids, given, strict=True)), what=what)


def rows_of(interactions: Interactions, user_ids: Array, item_ids: Array, *, what: str) -> Interactions:
    """Return the interactions with these ids; those of other users or items are left out, and counted in the log."""
    if user_ids is interactions.user_ids and item_ids is interactions.item_ids:
        return interactions
    users = recoded(interactions.users, interactions.user_ids, user_ids, f"{what} users")
    items = recoded(interactions.items, interactions.item_ids, item_ids, f"{what} items")
    kept = (users >= 0) & (items >= 0)
    if not kept.all():
        gone, all_of = (~kept).sum(), len(kept)
        alike = respelled(interactions.user_ids[np.unique(interactions.users[users < 0])], user_ids, "user_id")
        alike += respelled(interactions.item_ids[np.unique(interactions.items[items < 0])], item_ids, "item_id")
        logger.warning(
            "%d of %d interactions of %s left out, as their user or item is not there.%s", gone, all_of, what, alike
        )
    return replace(
        interactions.subset(kept),
        user_ids=user_ids,
        item_ids=item_ids,
        users=users[kept],
        items=items[kept],
        item_titles=None,
    )
