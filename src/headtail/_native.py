"""Frames of any engine as they come: their columns, and those collected; the one place that speaks narwhals.

A frame of another engine than Polars (pandas, PyArrow, DuckDB, PySpark, Modin ...) is narrowed to the columns that are
needed inside that engine, and only those are collected.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from headtail._checks import shown
from headtail._columns import logger, resolve_columns
from headtail.exceptions import InvalidInputError
from headtail.typing import Array


def column_names(frame: Any, what: str = "the table") -> list[Any]:
    """Return the column names of a frame of any engine."""
    native = as_native(frame, what)
    try:
        return list(native.collect_schema().names())
    except Exception as error:
        raise failed(what, error, "Mend the query.") from error


def is_frame(values: Any) -> bool:
    """Whether this is a frame of some engine."""
    return isinstance(nw.from_native(values, pass_through=True), (nw.DataFrame, nw.LazyFrame))


def series_frame(values: Any, name: str) -> Any:
    """Return a frame as it is and a series as a frame of one column; None for what is neither."""
    known: Any = nw.from_native(values, pass_through=True, allow_series=True)
    if isinstance(known, nw.Series):
        return known.alias(name).to_frame()
    return known if isinstance(known, (nw.DataFrame, nw.LazyFrame)) else None


def as_native(frame: Any, what: str) -> Any:
    """Return a frame of any engine as narwhals sees it, the index of pandas as columns where it has names."""
    index = [name for name in getattr(getattr(frame, "index", None), "names", ()) if name is not None]
    if index and hasattr(frame, "columns") and not set(index) & set(frame.columns):
        frame = frame.reset_index(level=index)
    try:
        return nw.from_native(frame)
    except TypeError:
        cure = "polars.DataFrame(...) makes one of structured arrays, of dicts, and of batches of Arrow."
        if isinstance(frame, Mapping):
            cure = (
                "Where it holds each user's items, make one: polars.DataFrame([(user, item) for user, items in "
                'held.items() for item in items], schema=["user_id", "item_id"], orient="row").'
            )
        raise InvalidInputError(
            f"{what} is a {type(frame).__name__}, not a frame. Give a pandas, Polars, PyArrow, DuckDB or PySpark "
            f"frame. {cure}"
        ) from None
    except nw.exceptions.DuplicateError as error:
        raise InvalidInputError(f"{what} has a column more than once ({error}). Rename or drop one of them.") from None


def unnested(
    frame: Any, what: str, roles: Iterable[str] = ("user_id", "item_id"), given: Mapping[str, Any] | None = None
) -> Any:
    """Return a frame whose ids are columns: structs, and lists of structs, that hold them are taken apart.

    So Spark's ALS recommends items with their ratings, and databases of documents export what they hold.
    """
    native, roles = as_native(frame, what), list(roles)
    while (name := _holding(native, roles, given or {}, what)) is not None:
        table = collected(native, {other: other for other in column_names(native)}, what)
        if not isinstance(table[name].dtype, pl.Struct):
            table = table.filter(pl.col(name).list.len() > 0).explode(name)
        table, inner = table.drop(name), table[name].struct.unnest()
        inner = inner.rename({field: f"{name}.{field}" for field in inner.columns if field in table.columns})
        logger.info("%s: %r is taken apart: %s", what, name, shown(inner.columns))
        native = nw.from_native(table.hstack(inner))
    return native


def _holding(native: Any, roles: Iterable[str], given: Mapping[str, Any], what: str) -> Any:
    """Return a column of structs that hold the ids of a role, where no column of ids has its name; None without one."""
    names, schema = column_names(native, what), native.collect_schema()
    nested = {name: schema[name] for name in names if isinstance(schema[name], (nw.Struct, nw.List, nw.Array))}
    for name in (name for name in names if isinstance(schema[name], nw.Object)):  # of pandas; its first value tells
        held = native[:, names.index(name)].drop_nulls()[:1000].to_list()
        first = next((value for value in held if not isinstance(value, (list, np.ndarray)) or len(value)), None)
        if isinstance(first, (dict, list, np.ndarray)):
            known = from_numpy("first", objects([first]), np.array([False]), name, what)
            nested[name] = nw.from_native(known, series_only=True).dtype
    for role in roles if nested else ():
        own = resolve_columns(names, (), [role], {role: given[role]} if given.get(role) in names else None, what)
        for name in own.values() or nested:
            if _has_field(nested.get(name), role, given.get(role)):
                return name
    return None


def _has_field(kind: Any, role: str, given: Any) -> bool:
    """Whether a type is one of structs, or of lists of structs, that hold what is named for a role, or usually is."""
    kind = kind.inner if isinstance(kind, (nw.List, nw.Array)) else kind
    if not isinstance(kind, nw.Struct):
        return False
    names = [field.name for field in kind.fields]
    found = given in names or resolve_columns(names, (), [role])
    return bool(found) or any(_has_field(field.dtype, role, given) for field in kind.fields)


def is_missing(value: Any) -> bool:
    """Whether a single value is None, NaN, NaT or the NA of pandas."""
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):
        return True


def objects(values: Iterable[Any]) -> Array:
    try:
        items = list(values)
    except Exception as error:  # a sparse matrix, say, or a tensor without dimensions
        raise InvalidInputError(f"{type(values).__name__} is no collection of ids ({error}). Give a list.") from error
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def failed(what: str, error: BaseException, cure: str) -> InvalidInputError:
    """Return what an engine says of a query of its own."""
    return InvalidInputError(f"{what} cannot be read: {str(error).split(chr(10))[0]}. {cure}")


def mixed_values(what: str, column: Any, values: list[Any]) -> InvalidInputError:
    kinds = sorted({type(v).__name__ for v in values if not is_missing(v)})
    are = "of mixed type" if len(kinds) > 1 else "that cannot be read"
    cure = "Cast the column to one type, for example to text."
    if {"list", "tuple"} & set(kinds):
        cure = 'Give lists of ids, or of dicts such as {"item_id": 1, "score": 0.5}.'
    return InvalidInputError(f"{what} has values {are} in {column!r} ({', '.join(kinds)}). {cure}")


def collected(frame: Any, columns: Mapping[str, Any], what: str) -> pl.DataFrame:
    if not frame.implementation.is_pandas_like():
        narrowed = frame.select(*(nw.col(name).alias(role) for role, name in columns.items()))
        try:
            if isinstance(frame, nw.LazyFrame):
                return narrowed.collect("polars").to_native()  # type: ignore[no-any-return]
            return narrowed.to_polars()  # type: ignore[no-any-return]
        except (Exception, pl.exceptions.PanicException) as error:  # unknown types, a query that fails
            cast = f"cast {', '.join(map(str, columns.values()))} to numbers or text."
            raise failed(what, error, f"Mend the query, or {cast}") from error
    # By way of numpy, so that pandas users need no pyarrow; by position, as names may be of any type.
    names = frame.columns
    series = []
    for role, name in columns.items():
        column = frame[:, names.index(name)]
        if column.dtype == nw.Datetime and column.dtype.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        values: Any = column.to_numpy()
        gaps = column.is_null().to_numpy().astype(bool) if values.dtype == object else None
        series.append(from_numpy(role, values, gaps, name, what))
    return pl.DataFrame(series)


def from_numpy(role: str, values: Array, gaps: Array | None, column: Any, what: str) -> pl.Series:
    listed: Any = values
    if gaps is not None:
        listed = [None if gap else value for value, gap in zip(values.tolist(), gaps.tolist(), strict=True)]
        listed = [value.tolist() if isinstance(value, np.ndarray) else value for value in listed]
        if any(map(_is_deep, listed)):
            raise mixed_values(what, column, listed)
        if hasattr(next((v for v in listed if v is not None), None), "to_datetime64"):  # pandas' own, to the nanosecond
            listed = np.array([v if v is None else v.to_datetime64() for v in listed], dtype="datetime64[ns]")
    elif values.dtype.kind == "f" and values.dtype.itemsize > 8:
        listed = values.astype(np.float64)
    elif not values.dtype.isnative:
        listed = values.astype(values.dtype.newbyteorder("="))
    elif values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] not in ("ns", "us", "ms"):
        listed = values.astype("datetime64[ms]")  # polars knows no whole seconds
    try:
        return pl.Series(role, listed)
    except (Exception, pl.exceptions.PanicException):  # each kind of value has errors of its own
        raise mixed_values(what, column, values.tolist()) from None


def _is_deep(value: Any, most: int = 8) -> bool:
    """Whether lists stand in lists without end, or so deep that they may: polars would end the process at one."""
    if not isinstance(value, (list, tuple, dict)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    flat = {list, tuple, dict}.isdisjoint(map(type, inner))
    return not flat and (not most or any(_is_deep(one, most - 1) for one in inner))
