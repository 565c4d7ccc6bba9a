"""Frames of any engine as they come: their columns, and those collected; the one place that speaks narwhals.

A frame of another engine than Polars (pandas, PyArrow, DuckDB, PySpark, Modin ...) is narrowed to the columns that are
needed inside that engine, and only those are collected.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, ValuesView
from contextlib import suppress
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from headtail._checks import shown
from headtail._columns import logger, normalized, resolve_columns
from headtail._containers import frame_of, from_numpy, objects
from headtail._printable import kind_of
from headtail.exceptions import InvalidInputError

_PLACE = re.compile(r"(?:rank|place|position|pos|top|rec|recs|recommendation|item|item_id|product|r)_?(\d+)")


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


def as_native(frame: Any, what: str, keyed: tuple[str, str] | None = None) -> Any:
    """Return a frame of any engine as narwhals sees it, the index of pandas as columns where it has names.

    `keyed` are the names of ids and of their attribute where a dict, or a series of pandas, goes from one to the other.
    """
    if keyed is not None and hasattr(frame, "index") and hasattr(frame, "to_dict") and not hasattr(frame, "columns"):
        frame, keyed = frame.to_dict(), (keyed[0], str(keyed[1] if frame.name is None else frame.name))
    index = [name for name in getattr(getattr(frame, "index", None), "names", ()) if name is not None]
    if index and hasattr(frame, "columns") and not set(index) & set(frame.columns):
        frame = frame.reset_index(level=index)
    rows = [*frame] if _gives_rows(frame) else frame
    made = frame_of(rows, what, keyed=keyed)
    try:
        return nw.from_native(frame if made is None else made)
    except TypeError:
        if hasattr(frame, "__arrow_c_stream__"):
            with suppress(pl.exceptions.SchemaError):  # a column of its own, such as a Series
                return nw.from_native(pl.DataFrame(frame))
        if hasattr(frame, "column_names") and hasattr(frame, "to_polars"):  # data sets of Hugging Face
            return nw.from_native(frame.to_polars())
        cure = (
            "Give a pandas, Polars, PyArrow, DuckDB or PySpark frame, a database's cursor, a list of dicts or a dict "
        )
        cure += "of columns or of each user's items. Of rows without names make one: polars.DataFrame(list(rows), "
        cure += 'schema=["user_id", "item_id"], orient="row").'
        if getattr(frame, "ndim", 0) == 2:
            cure = "Of a matrix make interactions by headtail.Interactions.from_matrix(matrix), or lists: by "
            cure += "headtail.Recommendations.from_scores(matrix, k=20) of scores, by .from_arrays(matrix) of item ids."
        elif isinstance(frame, tuple) and all(getattr(part, "ndim", 0) == 2 for part in frame):
            cure = "Of item ids and their scores make lists by headtail.Recommendations.from_arrays(ids, scores)."
        raise InvalidInputError(f"{what} is {kind_of(frame)}, not a frame. {cure}") from None
    except nw.exceptions.DuplicateError as error:
        raise InvalidInputError(f"{what} has a column more than once ({error}). Rename or drop one of them.") from None


def _gives_rows(frame: Any) -> bool:
    """Whether this may give one row after another, such as a csv.DictReader, and is no reader of Arrow or cursor."""
    known = hasattr(frame, "__arrow_c_stream__") or hasattr(frame, "fetchall")
    return isinstance(frame, (Iterator, ValuesView, deque)) and not known


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
        if _by_id(name, inner.columns, roles):
            inner = inner.rename({"id": name})
        inner = inner.rename({field: f"{name}.{field}" for field in inner.columns if field in table.columns})
        logger.info("%s: %r is taken apart: %s", what, name, shown(inner.columns))
        native = nw.from_native(table.hstack(inner))
    return _long(native, given or {}, what) if {"user_id", "item_id"} <= {*roles} else native


def _long(native: Any, given: Mapping[str, Any], what: str) -> Any:
    """Return a row an item where each rank has a column, such as `rank_1`, `rank_2`; other frames as they are."""
    names = column_names(native, what)
    places = {int(found[1]): name for name in names if (found := _PLACE.fullmatch(normalized(name)))}
    first = min(places, default=0)
    listed = len(places) > 1 and first in (0, 1) and sorted(places) == [*range(first, first + len(places))]
    if not listed or given.get("item_id") is not None or resolve_columns(names, (), ["item_id"]):
        return native
    logger.warning("%s: read as lists, %r the first and %r the last place", what, places[first], places[max(places)])
    table = collected(native, {name: name for name in names}, what)
    ranks = {str(name): place - first + 1 for place, name in places.items()}
    table = table.unpivot([*ranks], index=pl.selectors.exclude(*ranks), variable_name="rank", value_name="item_id")
    if table["item_id"].dtype.is_float():
        table = table.with_columns(pl.col("item_id").fill_nan(None))
    return nw.from_native(table.drop_nulls("item_id").with_columns(pl.col("rank").replace_strict(ranks)))


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
            kind = nested.get(name)
            fields = [field.name for field in kind.fields] if isinstance(kind, nw.Struct) else []
            if _has_field(kind, role, given.get(role)) or _by_id(name, fields, [role]):
                return name
    return None


def _by_id(name: str, fields: list[str], roles: Iterable[str]) -> bool:
    """Whether a struct column named after a role holds its id as "id": such as {"user": {"id": 7, "age": 30}}."""
    return "id" in fields and any(
        resolve_columns([name], (), [role]) and not resolve_columns(fields, (), [role]) for role in roles
    )


def _has_field(kind: Any, role: str, given: Any) -> bool:
    """Whether a type is one of structs, or of lists of structs, that hold what is named for a role, or usually is."""
    kind = kind.inner if isinstance(kind, (nw.List, nw.Array)) else kind
    if not isinstance(kind, nw.Struct):
        return False
    names = [field.name for field in kind.fields]
    found = given in names or resolve_columns(names, (), [role])
    return bool(found) or any(_has_field(field.dtype, role, given) for field in kind.fields)


def failed(what: str, error: BaseException, cure: str) -> InvalidInputError:
    """Return what an engine says of a query of its own."""
    return InvalidInputError(f"{what} cannot be read: {str(error).split(chr(10))[0]}. {cure}")


def collected(frame: Any, columns: Mapping[str, Any], what: str) -> pl.DataFrame:
    if not frame.implementation.is_pandas_like():
        narrowed = frame.select(*(nw.col(name).alias(role) for role, name in columns.items()))
        try:
            if frame.implementation.is_pyarrow():  # Polars panics at wide decimals
                unknown = [name for name, kind in narrowed.schema.items() if kind == nw.Unknown]
                narrowed = narrowed.with_columns(nw.col(name).cast(nw.Float64) for name in unknown)
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
