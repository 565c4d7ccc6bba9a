"""Containers of Python, NumPy and JSON as frames and columns of Polars."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from headtail._columns import resolve_columns
from headtail._printable import kind_of
from headtail.exceptions import InvalidInputError
from headtail.typing import Array

_Keys: TypeAlias = Callable[[pl.Series], pl.Series]


def _same(keys: pl.Series) -> pl.Series:
    return keys


def frame_of(held: Any, what: str, of_keys: _Keys = _same, keyed: tuple[str, str] | None = None) -> pl.DataFrame | None:
    """Return a frame of rows with names, of a dict of columns, or of a dict of each user's items; None of other things.

    Rows are dicts, named tuples, rows or a cursor of a database, or a structured array. The items of a user are a list
    of ids, of (item, score) pairs or of rows, or a dict of scores. `of_keys` reads the ids that are keys of a dict.
    Where one holds attributes of ids in place of items, `keyed` are the names of the ids and of an attribute that has
    no name.
    """
    if isinstance(held, np.ndarray) and held.dtype.names:
        return of_columns({name: held[name] for name in held.dtype.names}, what)
    if isinstance(held, (list, tuple)) and held:
        rows = None if _row(held[0]) is None else [*map(_row, held)]
        return None if rows is None or None in rows else _of_rows(rows, what)
    if hasattr(held, "executemany") and getattr(held, "description", None):
        rows = [tuple(row.values()) if isinstance(row, Mapping) else row for row in held.fetchall()]
        return of_columns({column[0]: [row[i] for row in rows] for i, column in enumerate(held.description)}, what)
    if not isinstance(held, Mapping) or not held:
        return None
    inner = next(iter(held.values()))
    if len(held) == 1 and isinstance(inner, Mapping) and inner and all(map(is_several, inner.values())):
        held = inner  # under a name of the whole
    if {"columns", "data"} <= held.keys():  # as pandas writes it by "split"
        return _of_rows([dict(zip(held["columns"], row, strict=True)) for row in held["data"]], what)
    if not (named := _ids_among(held)):
        return _of_users(held, what, of_keys) if keyed is None else _of_ids(held, what, of_keys, *keyed)
    if not all(is_several(held[name]) for name in named.values()):
        return None
    return of_columns(_aligned({name: values for name, values in held.items() if is_several(values)}, what), what)


def _aligned(columns: Mapping[Any, Any], what: str) -> dict[Any, Any]:
    """Return columns whose values have labels as lists, all in the order of the first one's."""
    labelled = [column for column in columns.values() if isinstance(column, Mapping)]
    if any(column.keys() != labelled[0].keys() for column in labelled):
        raise InvalidInputError(f"{what} has columns whose values have different labels. Give all the same ones.")
    return {
        name: [column[label] for label in labelled[0]] if isinstance(column, Mapping) else column
        for name, column in columns.items()
    }


def of_columns(columns: Mapping[Any, Any], what: str) -> pl.DataFrame:
    """Return a frame of columns by name, whatever holds them."""
    if len({len(column) for column in columns.values()}) > 1:
        counts = ", ".join(f"{len(column):,} in {name!r}" for name, column in columns.items())
        raise InvalidInputError(f"{what} has columns of different lengths: {counts}. Give each a value for every row.")
    return pl.DataFrame([series(str(name), column, name, what) for name, column in columns.items()])


def _of_rows(rows: Any, what: str) -> pl.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    return of_columns({name: [row.get(name) for row in rows] for name in names}, what)


def _of_ids(held: Mapping[Any, Any], what: str, of_keys: _Keys, role: str, attribute: str) -> pl.DataFrame:
    """Return a row for each id, whose attributes have names, or are one value or several of one attribute."""
    values = [sorted(one) if isinstance(one, (set, frozenset)) else one for one in held.values()]
    ids = of_keys(series(role, list(held), role, what))
    if all(isinstance(one, Mapping) for one in values):
        table = _of_rows(values, what)
        return table if role in resolve_columns(table.columns, (), [role]) else table.insert_column(0, ids)
    if any(map(is_several, values)):
        values = [one if is_several(one) or is_missing(one) else [one] for one in values]
    return pl.DataFrame([ids, series(attribute, values, attribute, what)])


def _of_users(held: Mapping[Any, Any], what: str, of_keys: _Keys) -> pl.DataFrame | None:
    """Return a row for each item of each user; None if what is held are no lists of items."""
    if any(isinstance(theirs, (set, frozenset)) for theirs in held.values()):
        raise InvalidInputError(
            f"{what} holds sets, whose order is chance. Make lists of them: {{user: sorted(items) for user, items in "
            f"held.items()}}."
        )
    if not all(map(is_several, held.values())):
        return None
    keyed = all(isinstance(theirs, Mapping) for theirs in held.values())
    if keyed and any(map(_ids_among, held.values())):  # a row of a user
        table = _of_rows([*held.values()], what)
        if "user_id" in _ids_among(table.columns):
            return table
        return table.insert_column(0, of_keys(series("user_id", [*held], "user_id", what)))
    lists = [list(theirs.items()) if keyed else _list(theirs, what) for theirs in held.values()]
    items = [one for theirs in lists for one in theirs]
    users = series("user_id", [user for user, theirs in zip(held, lists, strict=True) for _ in theirs], "user_id", what)
    first = {type(one): one for one in items}.values()  # one of each type
    rows = [] if None in map(_row, first) else [*map(_row, items)]
    if rows:
        if [*_ids_among(rows[0])] != ["item_id"]:
            return None
        columns = _of_rows(rows, what).get_columns()
    elif items and all(map(is_several, first)) and all(len(one) == 2 and not is_several(one[1]) for one in items):
        ids, scores = ([one[i] for one in items] for i in (0, 1))
        known = series("item_id", ids, "item_id", what)
        columns = [of_keys(known) if keyed else known, series("score", scores, "score", what)]
    elif any(map(is_several, first)):
        return None
    else:
        columns = [series("item_id", items, "item_id", what)]
    return pl.DataFrame([of_keys(users), *columns])


def _list(theirs: Any, what: str) -> list[Any]:
    """Return the items of a user as a list; raise if labels of pandas may be the items."""
    labels = getattr(theirs, "index", None)
    if hasattr(labels, "to_numpy") and type(labels).__name__ != "RangeIndex":
        raise InvalidInputError(
            f"{what} holds {kind_of(theirs)} with labels for each user. Give its .to_dict() where the labels "
            f"are the items and the values their scores, and its .to_list() where the values are the items."
        )
    return list(theirs.tolist() if hasattr(theirs, "tolist") else theirs)  # also of tensors


def _row(value: Any) -> Any:
    """Return a row whose values have names as a mapping, None if it is no such."""
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "keys"):  # of SQLite
        return {name: value[name] for name in value.keys()}  # noqa: SIM118 - it iterates over values
    as_mapping = getattr(value, "_asdict", getattr(value, "asDict", None))  # named tuples, rows of Spark
    return None if as_mapping is None else as_mapping()


def is_several(value: Any) -> bool:
    return isinstance(value, Mapping) or (hasattr(value, "__len__") and not isinstance(value, (str, bytes)))


def _ids_among(names: Iterable[Any]) -> dict[str, Any]:
    return resolve_columns([name for name in names if isinstance(name, str)], (), ("user_id", "item_id"))


def series(role: str, values: Any, column: Any, what: str) -> pl.Series:
    """Return a column of an array or any other collection."""
    if isinstance(values, list) and set(map(type, values)) in ({int}, {str}):
        with suppress(Exception, pl.exceptions.PanicException):  # each kind of value has errors of its own
            return pl.Series(role, values)
    if isinstance(values, np.ma.MaskedArray):
        values = values.tolist()  # None where masked
    array = np.asarray(values) if hasattr(values, "__array__") else objects(values)
    gaps = np.array([not is_several(one) and is_missing(one) for one in array]) if array.dtype == object else None
    return from_numpy(role, array, gaps, column, what)


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


def mixed_values(what: str, column: Any, values: list[Any]) -> InvalidInputError:
    kinds = sorted({type(v).__name__ for v in values if not is_missing(v)})
    are = "of mixed type" if len(kinds) > 1 else "that cannot be read"
    cure = "Cast the column to one type, for example to text."
    if {"list", "tuple"} & set(kinds):
        cure = 'Give lists of ids, or of dicts such as {"item_id": 1, "score": 0.5}.'
    return InvalidInputError(f"{what} has values {are} in {column!r} ({', '.join(kinds)}). {cure}")


def from_numpy(role: str, values: Array, gaps: Array | None, column: Any, what: str) -> pl.Series:
    listed: Any = values
    if gaps is not None:
        listed = [None if gap else value for value, gap in zip(values.tolist(), gaps.tolist(), strict=True)]
        listed = [value.tolist() if isinstance(value, np.ndarray) else value for value in listed]
        if any(map(_is_deep, listed)):
            raise mixed_values(what, column, listed)
        first = next((value for value in listed if value is not None), None)
        if isinstance(first, uuid.UUID):
            listed = [str(value) if isinstance(value, uuid.UUID) else value for value in listed]
        if hasattr(first, "to_datetime64"):  # pandas' own, to the nanosecond
            listed = np.array([v if v is None else v.to_datetime64() for v in listed], dtype="datetime64[ns]")
    elif values.dtype.kind == "f" and values.dtype.itemsize > 8:
        listed = values.astype(np.float64)
    elif not values.dtype.isnative:
        listed = values.astype(values.dtype.newbyteorder("="))
    elif values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] not in ("ns", "us", "ms"):
        listed = values.astype("datetime64[ms]")  # polars knows no whole seconds
    for made in (listed, None):
        try:
            return pl.Series(role, _as_floats(listed) if made is None else made)
        except (Exception, pl.exceptions.PanicException):  # each kind of value has errors of its own
            continue
    raise mixed_values(what, column, values.tolist())


def _as_floats(value: Any) -> Any:
    """Return what is held with all its numbers as floats: Polars takes no whole ones among decimals."""
    if isinstance(value, list):
        return [_as_floats(one) for one in value]
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return float(value) if is_number else value


def _is_deep(value: Any, most: int = 8) -> bool:
    """Whether lists are nested endlessly, or deeper than can be told: Polars would crash the process."""
    if not isinstance(value, (list, tuple, dict)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    flat = {list, tuple, dict}.isdisjoint(map(type, inner))
    return not flat and (not most or any(_is_deep(one, most - 1) for one in inner))
