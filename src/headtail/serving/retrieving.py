"""Lists from any index: FAISS, hnswlib, or a function that asks a database."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from headtail import _frames
from headtail._checks import checked, integer, shown
from headtail._factors import as_pair, numbers, to_numpy
from headtail._top import slices
from headtail.data import Interactions, Recommendations
from headtail.data.interactions import read_pairs
from headtail.data.recommendations import holds_id, of_one_length
from headtail.data.rows import in_order_of, joined_with
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Codes, Floats

_BLOCK = 2**23  # numbers in memory at a time
_ALIKE = 1e-3  # relative difference of lengths below which distances rank items as inner products do


class Joined(NamedTuple):
    """Vectors and interactions with the same users and items."""

    known: Interactions
    users: Codes
    queries: Floats
    items: Floats
    by_row: bool  # whether items have no ids of their own
    item_ids: Array  # of the rows of the index, in its order
    places: Codes  # and where those items are among the interactions


def join(vectors: Any, train: Any) -> Joined:
    """Join vectors with what their users know, as :func:`headtail.recommend` does."""
    pair, known = joined_with(as_pair(vectors), read_pairs(train, "train")[0])
    users = np.arange(known.n_users, dtype=np.int32)
    if pair.user_ids is not None:
        users = np.sort(_frames.lookup(pair.user_ids, known.user_ids, "vectors users"))
    item_ids = known.item_ids if pair.item_ids is None else pair.item_ids
    places = _frames.lookup(item_ids, known.item_ids, "vectors items")
    queries, items = (to_numpy(part) for part in in_order_of(pair, known, users))
    if not all(np.isfinite(part).all() for part in (queries, items)):
        raise InvalidInputError("queries or items hold values that are not finite; check that training converged.")
    return Joined(known, users, queries, items, pair.item_ids is None, item_ids, places)


@checked
def retrieve(index: Any, vectors: Any, train: Any, *, k: int = 20) -> Recommendations:
    """Retrieve lists for all users from an index, without known items.

    Users whose lists become short are queried again, each time for twice as many items, like iterative scans do.

    Parameters
    ----------
    index : FAISS index, hnswlib index, or function
        Holds the items of `vectors`, in their order. A function takes queries, a float32 array of shape (B, d), and a
        number n, and returns up to n items per query, best first: their ids if `vectors` has ``item_ids``, else their
        row numbers, padded with -1 or None; or a pair of items and scores. FAISS and hnswlib return rows, or the ids
        that items were added with.
    vectors : Vectors or (Q, V)
        The queries to ask, and the items that the index holds.
    train : Interactions, frame or sparse matrix
        What users know.
    k : int, default 20

    Returns
    -------
    Recommendations
        Ordered and scored by the exact inner products. A list is shorter than k where the index returns no more.

    Examples
    --------
    >>> vectors = ht.Vectors(np.eye(2), np.array([[3, 1], [2, 2], [1, 3]]), ["ann", "bob"], ["x", "y", "z"])
    >>> def search(queries, n):  # misses "y", as an approximate index may
    ...     return [["x", "z"][:n] for query in queries]
    >>> train = pl.DataFrame({"user_id": ["ann", "bob"], "item_id": ["x", "y"]})
    >>> retrieve(search, vectors, train, k=2).to_polars().rows()
    [('ann', 'z', 1, 1.0), ('bob', 'z', 1, 3.0), ('bob', 'x', 2, 1.0)]
    """
    return lists_of(index, join(vectors, train), k)


def lists_of(index: Any, of: Joined, k: int) -> Recommendations:
    """Return the lists of an index, as :func:`retrieve` says."""
    search, (known, n_items) = _search_of(index, of), (of.known, len(of.item_ids))
    k = integer("k", k, low=1, high=n_items)
    items = np.full((len(of.users), k), -1, dtype=np.int32)
    scores = np.full(items.shape, np.nan)
    waiting, n = np.arange(len(of.users)), k
    while len(waiting):
        short: list[Array] = []
        step = max(1, _BLOCK // (n * of.queries.shape[1]))
        for rows in (waiting[some] for some in slices(len(waiting), step)):
            found = search(of.queries[rows], n)
            there = found >= 0
            users = np.broadcast_to(of.users[rows, None], found.shape)
            there[there] = ~known.contains(users[there], found[there])
            order = np.argsort(~there, axis=1, kind="stable")[:, :k]
            found = np.take_along_axis(np.where(there, found, -1), order, axis=1)
            exact = np.einsum("ud,ukd->uk", of.queries[rows], of.items[found], dtype=np.float64)
            order = np.argsort(np.where(found >= 0, -exact, np.inf), axis=1, kind="stable")
            width = found.shape[1]
            items[rows, :width] = np.take_along_axis(found, order, axis=1)
            scores[rows, :width] = np.take_along_axis(np.where(found >= 0, exact, np.nan), order, axis=1)
            short.append(rows[items[rows, -1] < 0])
        waiting, n = np.concatenate(short) if n < n_items else waiting[:0], min(2 * n, n_items)
    return Recommendations(known.user_ids, known.item_ids, of.users, items, scores)


def _search_of(index: Any, of: Joined) -> Callable[[Floats, int], Codes]:
    """Return a function that finds the codes of n items per query, padded with -1, in any index."""
    ask, by_row = _ask(index, of)

    def search(queries: Floats, n: int) -> Codes:
        found = ask(np.ascontiguousarray(queries, dtype=np.float32), n)
        table = _table(found, len(queries), n)
        filled = holds_id(table)
        codes = np.full(table.shape, -1, dtype=np.int32)
        if filled.any():
            codes[filled] = of.places[_rows(table[filled], None if by_row else of.item_ids, len(of.item_ids))]
        ordered = np.sort(codes, axis=1)
        if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
            raise InvalidInputError("The index returns an item twice for one query. Add each item to it once.")
        return codes

    return search


def _rows(ids: Array, item_ids: Array | None, n_items: int) -> Codes:
    ids = np.array(ids.tolist()) if ids.dtype == object else ids
    if ids.dtype.kind == "f" or (item_ids is None and ids.dtype.kind not in "iu"):
        raise InvalidInputError(
            f"The index returns {shown(ids)}, which are no {'numbers of rows' if item_ids is None else 'ids'}. Return "
            f"(items, scores), in this order, and give Vectors(..., item_ids=...) if these are ids."
        )
    if item_ids is None:
        rows = np.where((ids >= 0) & (ids < n_items), ids, -1).astype(np.int32)
    else:
        rows = _frames.lookup(_frames.read_ids(ids, "item_id", "what the index returns"), item_ids, "index")
    if (rows < 0).any():
        what = f"{n_items:,} rows" if item_ids is None else "item_ids of the vectors"
        raise InvalidInputError(
            f"The index returns {shown(np.unique(ids[rows < 0]))}, not among the {what}. It must hold the items of "
            f"these vectors; a function returns ids where the vectors have item_ids, else rows."
        )
    return rows


def _table(found: Any, n_queries: int, n: int) -> Array:
    """Return search results as an array of shape (queries, at most n), padded with None."""
    if isinstance(found, tuple) and len(found) == 2:
        found = found[0]
    table = numbers(of_one_length(found, None))
    if table.ndim != 2 or len(table) != n_queries:
        raise InvalidInputError(
            f"The index returns items of shape {table.shape} for {n_queries} queries; give a list of items for each."
        )
    return table[:, :n]


def _ask(index: Any, of: Joined) -> tuple[Callable[[Floats, int], Any], bool]:
    """Return a function that queries an index, and whether it answers with row numbers."""
    if hasattr(index, "ntotal") and hasattr(index, "metric_type"):  # FAISS
        metric = {0: "", 1: "L2"}.get(int(index.metric_type), f"metric {index.metric_type}")
        _refuse(of, int(index.ntotal), int(index.d), metric)
        return lambda queries, n: index.search(queries, n)[1], not hasattr(index, "id_map")
    if hasattr(index, "knn_query") and hasattr(index, "space"):  # hnswlib
        _refuse(of, int(index.get_current_count()), int(index.dim), "" if index.space == "ip" else str(index.space))
        labels = np.sort(np.asarray(index.get_ids_list(), dtype=np.int64))
        return lambda queries, n: _ask_hnswlib(index, queries, n), np.array_equal(labels, np.arange(len(labels)))
    if not callable(index):
        raise InvalidInputError(
            f"{type(index).__name__} is no index; give one of FAISS or hnswlib, or a function of queries and a "
            f"number of items that returns items."
        )
    return index, of.by_row


def _ask_hnswlib(index: Any, queries: Floats, n: int) -> Any:
    try:
        return index.knn_query(queries, k=n)
    except RuntimeError as error:
        raise InvalidInputError(f"hnswlib does not find {n} items ({error}); build it with larger M and ef.") from None


def _refuse(of: Joined, n_items: int, dim: int, metric: str) -> None:
    """Raise if an index does not hold these vectors, or ranks them differently."""
    if (n_items, dim) != of.items.shape:
        raise InvalidInputError(
            f"The index holds {n_items:,} items of {dim} dimensions, and the vectors have {of.items.shape[0]:,} of "
            f"{of.items.shape[1]}. Give the vectors that it was built of, the coordinate of a bias included."
        )
    lengths = np.linalg.norm(of.items, axis=1)
    if metric and lengths.max() - lengths.min() > _ALIKE * lengths.max():
        raise InvalidInputError(
            f"The index measures {metric}, which ranks items as scores do only if their vectors are of one length; "
            f"these run from {lengths.min():.3g} to {lengths.max():.3g}. Build it for inner products "
            f"(faiss.METRIC_INNER_PRODUCT, hnswlib's space='ip', vector_ip_ops of pgvector)."
        )
