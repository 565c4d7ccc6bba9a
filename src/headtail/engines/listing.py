"""Lists where the users are: batches of users go through one function, and what it needs goes to them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from headtail import _frames
from headtail._checks import checked, finite, list_length, shown
from headtail._columns import resolve_columns
from headtail._factors import axis_ids, numbers
from headtail._printable import kind_of
from headtail.data import Interactions, Recommendations
from headtail.engines.tables import SPARK, lazy_frame
from headtail.exceptions import InvalidInputError
from headtail.training.ranking import recommend as recommend_in_memory
from headtail.typing import Array, Floats, IntoFrame, Vectors

Correct = Callable[[Recommendations, Interactions], Recommendations]

_SQL = {"Int64": "bigint", "String": "string", "Float64": "double"}


@checked
def recommend(
    users: "IntoFrame", items: Array, item_ids: Iterable[Any], *, k: int = 20, correct: Correct | None = None
) -> Any:
    """Return the best items of each user, worked out where the users' vectors lie, batch by batch.

    Each list is that of :func:`headtail.recommend`. The items are sent to every worker of the engine; a correction that
    lives in the items, as those of :mod:`headtail.posthoc` do, goes with them. Find :func:`headtail.tilt` from a sample
    of users on one machine and give the items that it returns.

    Parameters
    ----------
    users : Polars LazyFrame, DuckDB relation or PySpark DataFrame
        A row a user: `user_id`, `vector` (a list of d numbers) and, where items are to be left out, `seen` (a list of
        item ids; those that are not recommended anyway may be among them).
    items : array of shape (I, d) or (I, d + 1)
        With one more coordinate than the users' vectors, it is a number added to the score of the item.
    item_ids : sequence of ids of length I
    k : int, default 20
    correct : callable, optional
        As for :func:`rerank`; `k` is then the length of the lists that it is given.

    Returns
    -------
    lazy table of the same engine
        `user_id`, `item_id`, `rank` (1 = first), `score`; nothing runs before it is asked for, and what is wrong with a
        row is told then, in the engine's own manner: DuckDB prints it, and raises an error of its own. Polars and Spark
        hand over batches as they are set to, DuckDB 2,048 users at a time, by way of pandas.

    Examples
    --------
    >>> users = pl.LazyFrame({"user_id": [7, 8], "vector": [[1.0, 0.0], [0.0, 1.0]], "seen": [["a"], []]})
    >>> recommend(users, np.eye(2), ["a", "b"], k=1).collect().rows()
    [(7, 'b', 1, 0.0), (8, 'b', 1, 1.0)]
    """
    matrix, ids = numbers(items), _frames.unique_ids(item_ids, "item_id")
    if matrix.ndim != 2 or len(matrix) != len(ids) or matrix.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"items has shape {matrix.shape} and type {matrix.dtype}; give a vector for each of the {len(ids)} ids."
        )
    if (labels := axis_ids(items, 0)) is not None and not np.array_equal(_frames.unique_ids(labels, "item_id"), ids):
        raise InvalidInputError(
            f"items has the labels {shown(labels, 3)} where item_ids says {shown(ids, 3)}. Give "
            f"item_ids=items.index, or items.to_numpy() if its rows are in the order of item_ids."
        )
    finite("items", matrix)
    found = _Best(matrix.astype(np.float64 if matrix.dtype.kind != "f" else matrix.dtype), list_length(k, len(ids)))
    return _by_batch(users, "users", ("vector",), _Lists(found, ids, correct))


@checked
def rerank(lists: "IntoFrame", correct: Correct, item_ids: Iterable[Any]) -> Any:
    """Return lists after a correction, worked out where they lie, batch by batch: a table as of :func:`recommend`.

    Parameters
    ----------
    lists : Polars LazyFrame, DuckDB relation or PySpark DataFrame
        A row a user: `user_id`, `item_id` (a list of ids), `score` (a list of numbers, higher is better; of equal ones
        the first) and, where the correction asks for histories, `seen` (a list of item ids).
    correct : callable
        ``correct(recs, known)`` is called in the workers with the :class:`~headtail.data.Recommendations` of a batch
        of users and their histories, :class:`~headtail.data.Interactions`, and returns new Recommendations, such as
        those of :mod:`headtail.rerank`, :mod:`headtail.rerankers` and :func:`headtail.allocation.allocate`. It must
        treat each user alone: what depends on all users, such as a bias, prices or popularity groups, is found from a
        sample on one machine and held by it.
    item_ids : sequence of ids
        The catalogue, in the order of what the correction knows of items.

    Examples
    --------
    >>> lists = pl.LazyFrame({"user_id": [7], "item_id": [["a", "b"]], "score": [[0.3, 0.2]]})
    >>> correct = lambda recs, known: ht.rerank.add_bias(recs, [0.0, 0.5], k=1)
    >>> rerank(lists, correct, ["a", "b"]).collect().rows()
    [(7, 'b', 1, 0.7)]
    """
    ids = _frames.unique_ids(item_ids, "item_id")
    return _by_batch(lists, "lists", ("item_id", "score"), _Lists(_given, ids, correct))


def _by_batch(frame: "IntoFrame", what: str, needed: tuple[str, ...], lists: "_Lists") -> Any:
    """Return the query that makes the lists of every batch of a table with a row a user."""
    if lists.correct is not None and not callable(lists.correct):
        raise InvalidInputError(f"correct={lists.correct!r} is not a function. Give one.")
    table = lazy_frame(frame, what)
    schema = table.collect_schema()
    columns = resolve_columns(schema.names(), ("user_id", *needed), ("seen",), what=what)
    for role, name in columns.items():
        if role != "user_id" and not isinstance(schema[name], (nw.List, nw.Array)):
            raise InvalidInputError(f"{what} has {schema[name]} in {name!r} ({role}). Give each user a list.")
    kinds = {
        "user_id": "Int64" if schema[columns["user_id"]].is_integer() else "String",
        "item_id": "Int64" if lists.item_ids.dtype == np.int64 else "String",
        "rank": "Int64",
        "score": "Float64",
    }
    narrowed = table.select(*(nw.col(name).alias(role) for role, name in columns.items())).to_native()
    if table.implementation == nw.Implementation.DUCKDB:
        # A batch gives no more rows than it has, so that a list stays in one until all are made.
        sql = {name: _SQL[kind].replace("string", "varchar") for name, kind in kinds.items()}
        wide = {name: kind if name == "user_id" else f"{kind}[]" for name, kind in sql.items()}
        rest = (f"unnest({name}) as {name}" for name in sql if name != "user_id")
        return narrowed.map(lists.of_pandas, schema=wide).project(", ".join(["user_id", *rest]))
    if table.implementation in SPARK:
        return narrowed.mapInArrow(lists.of_arrow, ", ".join(f"{n} {_SQL[kind]}" for n, kind in kinds.items()))
    types = {name: getattr(pl, kind) for name, kind in kinds.items()}
    return narrowed.map_batches(lists, schema=types, streamable=True)


@dataclass(frozen=True)
class _Lists:
    """Makes the lists of a batch of users; sent to the workers of an engine."""

    found: Callable[[pl.DataFrame, Interactions], Recommendations]
    item_ids: Array
    correct: Correct | None

    def __call__(self, batch: pl.DataFrame) -> pl.DataFrame:
        users = batch["user_id"].cast(pl.Int64 if batch["user_id"].dtype.is_integer() else pl.String)
        batch = batch.with_columns(users)
        nothing = pl.DataFrame(
            {"user_id": users[:0], "item_id": _frames.from_ids(self.item_ids, np.empty(0, np.int32))}
        )
        if batch.is_empty():
            return nothing.with_columns(rank=pl.lit(0, pl.Int64), score=pl.lit(0.0)).clear()
        rows, items = np.empty(0, np.int32), np.empty(0, np.int32)
        if "seen" in batch.columns:
            met = batch.select(pl.int_range(pl.len(), dtype=pl.Int32).alias("row"), "seen").explode("seen").drop_nulls()
            met = met.unique()  # what is seen twice is one interaction
            items = _frames.lookup(met["seen"], self.item_ids, "seen")
            rows, items = met["row"].to_numpy()[items >= 0], items[items >= 0]
        if users.null_count():
            raise InvalidInputError("A user_id is missing. Drop or fill those rows first.")
        known = Interactions(_frames.to_ids(users), self.item_ids, rows, items)
        recs = self.found(batch, known)
        if self.correct is not None:
            recs = self.correct(recs, known)
            if not isinstance(recs, Recommendations):
                raise InvalidInputError(f"correct returned {kind_of(recs)}. Return Recommendations.")
        found = recs.to_polars()
        return found.select("user_id", "item_id", pl.col("rank").cast(pl.Int64), pl.col("score").cast(pl.Float64))

    def of_pandas(self, batch: Any) -> Any:
        """Return the lists of a pandas frame as one, a row a user."""
        columns: dict[str, Any] = {"user_id": pl.from_pandas(batch["user_id"])}
        for name in batch.columns[1:]:  # arrays of objects, of numbers where a list is empty, NaN where there is none
            columns[name] = [values.tolist() if isinstance(values, np.ndarray) else None for values in batch[name]]
        return self(pl.DataFrame(columns)).group_by("user_id", maintain_order=True).agg(pl.all()).to_pandas()

    def of_arrow(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Yield the lists of Arrow batches as such."""
        import pyarrow as pa

        for batch in batches:
            made = self(pl.DataFrame(pl.from_arrow(batch))).to_arrow()
            plain = pa.schema(
                (f.name, pa.string() if pa.types.is_large_string(f.type) else f.type) for f in made.schema
            )
            yield from made.cast(plain).to_batches()


@dataclass(frozen=True)
class _Best:
    """Finds the best items of users by their vectors."""

    items: Floats
    k: int

    def __call__(self, batch: pl.DataFrame, known: Interactions) -> Recommendations:
        return recommend_in_memory(Vectors(self._queries(batch["vector"]), self.items), known, k=self.k)

    def _queries(self, vectors: pl.Series) -> Floats:
        n, width = len(vectors), self.items.shape[1]
        lengths: Any = vectors.cast(pl.List(vectors.dtype.inner)).list.len()  # type: ignore[attr-defined]
        d = int(lengths[0] or 0)
        if lengths.null_count() or lengths.min() != lengths.max() or d not in (width, width - 1):
            raise InvalidInputError(
                f"users has vectors of {lengths.min()} to {lengths.max()} numbers, and items {width} columns. Give "
                f"each user {width} numbers, or {width - 1} where the last column of items is added to scores."
            )
        queries = vectors.explode().to_numpy().reshape(n, d)
        return queries if d == width else np.append(queries, np.ones((n, 1), queries.dtype), axis=1)


def _given(batch: pl.DataFrame, known: Interactions) -> Recommendations:
    """Return the lists of a batch as they are."""
    return Recommendations.from_frame(batch.select("user_id", "item_id", "score"), known)
