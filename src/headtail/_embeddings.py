"""Tables of vectors: a row for each id, with its numbers in a list, in a text or in columns of their own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from headtail._checks import shown
from headtail._columns import ALIASES, logger, normalized
from headtail._containers import of_columns
from headtail._native import as_native, collected, column_names, is_frame
from headtail.exceptions import InvalidInputError
from headtail.typing import Array

_IDS = {"id", *(name for role in ("user_id", "item_id") for name in (role, *ALIASES[role]))}
_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_WRITTEN = rf"^\s*[\[{{(]?\s*{_NUMBER}([\s,;|]+{_NUMBER})+[\s,;|]*[\]}})]?\s*$"  # as pgvector and numpy do


def is_id(name: Any) -> bool:
    """Whether a column of this name holds ids, wherever it stands."""
    return isinstance(name, str) and normalized(name) in _IDS


def taken_apart(values: Any, what: str) -> tuple[Array, list[Any]] | None:
    """Return the matrix and the ids of a table of vectors, or of a mapping from id to vector; None of a matrix."""
    if isinstance(values, Mapping) and values and not any(map(is_id, values)):
        return _stacked(list(values.values()), list(values), what), list(values)
    if not is_frame(values) and not _is_rows(values):
        return None
    frame = as_native(of_columns(values, what) if isinstance(values, Mapping) else values, what)
    names, schema = column_names(frame, what), frame.collect_schema()
    if not any(map(is_id, names)) and all(schema[name].is_numeric() for name in names):
        return None
    table = collected(frame, dict(zip(map(str, range(len(names))), names, strict=True)), what)
    called, table = dict(zip(table.columns, names, strict=True)), _numeric(table)
    several = [name for name in table.columns if isinstance(table[name].dtype, (pl.List, pl.Array))]
    rest = [name for name in table.columns if name not in several]
    ids = [name for name in rest if is_id(called[name])] or [n for n in rest if not table[n].dtype.is_numeric()]
    ids = ids or (rest if several else [])
    if not ids or (not several and len(ids) > 1):
        return None
    if len(several) > 1 or (len(ids) > 1 and not is_id(called[ids[0]])):
        of = several if len(several) > 1 else ids
        raise InvalidInputError(
            f"{what} is a table with {'vectors' if of is several else 'what may be ids'} in "
            f"{shown([called[name] for name in of], 9)}. Give two columns: the ids and the vectors."
        )
    key = ids[0]
    if several:
        lists = table[several[0]].cast(pl.List(table[several[0]].dtype.inner))  # type: ignore[attr-defined]
        lengths = lists.list.len()
        if lengths.n_unique() == 1 and lengths[0]:  # of one block of memory
            matrix = lists.explode().to_numpy().reshape(len(lists), -1)
        else:
            matrix = _stacked(lists.to_list(), table[key].to_list(), what)
    else:
        rest = [name for name in rest if name != key]
        if text := [called[name] for name in rest if not table[name].dtype.is_numeric()]:
            raise InvalidInputError(f"{what} has {shown(text)} beside numbers that make vectors. Leave it out.")
        if not rest:
            return None
        matrix = table.select(rest).to_numpy()
    logger.info("%s: the ids of the rows are read from %r", what, called[key])
    return matrix, table[key].to_list()


def _is_rows(values: Any) -> bool:
    return (
        isinstance(values, Mapping)
        or hasattr(values, "column_names")
        or (isinstance(values, list) and bool(values) and isinstance(values[0], Mapping))
    )


def _numeric(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with lists of numbers in place of the texts that write them."""
    for name in table.columns:
        column = table[name]
        if column.dtype == pl.String and len(column) and column.head(100).str.contains(_WRITTEN).all():
            parts = column.str.strip_chars("[]{}() \n").str.replace_all(r"[\s,;|]+", " ").str.split(" ")
            table = table.with_columns(parts.cast(pl.List(pl.Float64), strict=False).alias(name))
    return table


def _stacked(rows: list[Any], ids: list[Any], what: str) -> Array:
    """Return vectors as the rows of a matrix; raise if they are not as many numbers each."""
    lengths = [len(row) if hasattr(row, "__len__") else 0 for row in rows]
    usual = max(lengths, key=lengths.count)
    for row, (one, length) in enumerate(zip(ids, lengths, strict=True)):
        if length != usual or usual < 1:
            has = "no vector" if length < 1 else f"a vector of {length} numbers"
            raise InvalidInputError(
                f"{what} has {has} for {one!r} (row {row}), where others have {usual}. Leave the row out, or mend it."
            )
    return np.stack([np.asarray(row.detach().cpu() if hasattr(row, "detach") else row) for row in rows])
