"""Lazy tables of an engine: narrowed to what is asked for, counted there, and joined with what the driver knows."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import narwhals as nw
import polars as pl

from headtail._columns import resolve_columns
from headtail._frames import MISSING, column_names, id_column, refuse_lists_in_text
from headtail._printable import counted, kind_of
from headtail.exceptions import InvalidInputError

SPARK = (nw.Implementation.PYSPARK, nw.Implementation.PYSPARK_CONNECT)
_ENGINES = (nw.Implementation.POLARS, nw.Implementation.DUCKDB, *SPARK)


def lazy_frame(frame: Any, what: str) -> Any:
    """Return a lazy table of a known engine as narwhals sees it."""
    native = nw.from_native(frame, pass_through=True)
    if not isinstance(native, nw.LazyFrame) or native.implementation not in _ENGINES:
        raise InvalidInputError(
            f"{what} is {kind_of(frame)}, not a lazy table. Give a Polars LazyFrame, a DuckDB relation or a "
            f"PySpark DataFrame; tables in memory go to headtail.audit, and a Polars frame becomes lazy by .lazy()."
        )
    column_names(native, what)  # where the query fails, it says so
    return native


def lazy_table(frame: Any, required: Iterable[str], what: str) -> Any:
    """Return a lazy table with the columns of the given roles, ids as 64-bit whole numbers or text."""
    native = lazy_frame(frame, what)
    schema = native.collect_schema()
    columns = resolve_columns(schema.names(), required, what=what)
    chosen = []
    for role, name in columns.items():
        kind = schema[name]
        if not kind.is_integer() and (role == "rank" or kind != nw.String):
            raise InvalidInputError(
                f"{what} has {kind} in {name!r} ({role}). Cast it in the engine to whole numbers"
                f"{'' if role == 'rank' else ' or text'}."
            )
        column = nw.col(name)
        chosen.append((column.cast(nw.Int64) if kind.is_integer() else column).alias(role))
    return native.select(*chosen)


def of_one_engine(**tables: Any) -> None:
    """Raise unless the tables lie in one engine and their ids are of one type."""
    (first, table), *rest = tables.items()
    for what, other in rest:
        if other.implementation != table.implementation:
            raise InvalidInputError(
                f"{first} is a table of {table.implementation} and {what} one of {other.implementation}. Read both in "
                f"one engine."
            )
        for role in ("user_id", "item_id"):
            ours, theirs = table.collect_schema()[role], other.collect_schema()[role]
            if ours != theirs:
                raise InvalidInputError(f"{role} is {ours} in {first} and {theirs} in {what}. Cast one of them.")


def either(condition: Any, value: Any, otherwise: float = 0.0) -> Any:
    """Return a value where a condition holds, and a number elsewhere."""
    return nw.when(condition).then(value).otherwise(nw.lit(otherwise))


def collect(table: Any) -> pl.DataFrame:
    """Run a query and return its result; Polars streams it, so that memory does not grow with the rows read."""
    options = {"engine": "streaming"} if table.implementation == nw.Implementation.POLARS else {}
    try:
        found: pl.DataFrame = table.collect("polars", **options).to_native()
    except Exception as error:  # each engine has errors of its own
        said = str(error).splitlines() or [type(error).__name__]
        raise InvalidInputError(
            f"{table.implementation} could not run the query: {said[0]} Look at the columns of the tables there."
        ) from error
    return found


def count_items(table: Any, what: str, **sums: Any) -> pl.DataFrame:
    """Return the rows of each item as `n`, and sums over them, by item id, ids checked; of `longest` the maximum."""
    user, nobody = nw.col("user_id"), nw.col("user_id").is_null()
    if table.collect_schema()["user_id"] == nw.String:
        nobody |= (user.str.len_chars() <= 16) & user.str.strip_chars().is_in(sorted(MISSING))
    counts = {"n": nw.lit(1.0), "nobody": either(nobody, 1.0)} | sums
    total = [nw.col(name).max() if name == "longest" else nw.col(name).sum() for name in counts]
    found = collect(table.select("item_id", **counts).group_by("item_id").agg(*total))
    if n := int(found["nobody"].sum()):
        raise InvalidInputError(
            f"{what} has {counted(n, 'missing value')} in user_id, none or written such as NULL. Drop or fill those "
            f"rows first."
        )
    items = id_column(found["item_id"], "item_id", what)
    if items.dtype == pl.String:
        refuse_lists_in_text(items, "item_id", what)
    return found.with_columns(items).sort("item_id")


def in_parts(tables: Mapping[str, Any], n_parts: float) -> Iterator[dict[str, Any]]:
    """Yield the tables that are there with the rows of a part of the users each; all at once unless Polars has them."""
    there = {name: table for name, table in tables.items() if table is not None}
    whole = math.ceil(n_parts)
    if whole <= 1 or next(iter(there.values())).implementation != nw.Implementation.POLARS:
        yield there
        return
    for part in range(whole):
        mine = pl.col("user_id").hash() % whole == part
        yield {name: nw.from_native(table.to_native().filter(mine)) for name, table in there.items()}


def placed_beside(table: Any, columns: pl.DataFrame) -> Any:
    """Return a small table of the driver in the engine of another table, to be joined with it."""
    native = table.to_native()
    if table.implementation == nw.Implementation.DUCKDB:
        rows = columns.to_arrow()  # noqa: F841 - the query reads it by its name
        return nw.from_native(native.query("_headtail", "select * from rows"))
    if table.implementation in SPARK:
        session = native.sparkSession
        return nw.from_native(session.createDataFrame(columns.rows(), columns.columns))
    return nw.from_native(columns.lazy())
