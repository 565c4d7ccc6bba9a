"""Tables in parts: files in a folder, or of a pattern, as Spark, Hive, Dask and DuckDB write them."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import polars as pl

from headtail._checks import shown
from headtail._columns import logger
from headtail.data.packed import format_of
from headtail.data.text_files import TEXT, as_numbers
from headtail.exceptions import InvalidInputError, UnreadableFileError

_WILD = re.compile(r"[*?[]")
_VARIES = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|\d+")  # in the names of parts
_LAKES = {"_delta_log": "Delta", ".hoodie": "Hudi"}
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class Part(NamedTuple):
    """A file of a table, and what the names of its folders, such as ``date=2020-01-01``, say of its rows."""

    file: Path
    values: dict[str, str]


def parts_of(path: Path) -> list[Part] | None:
    """Return the files that a folder or a pattern stands for, in the order of their numbers; None for a single file.

    Left out, as by Spark, are empty files and what begins with a dot or an underscore.

    Raises
    ------
    UnreadableFileError
        If there are no such files, or those of a folder are not of one form, named alike but for numbers, and in no
        other folders than ``name=value``: they are hardly one table.
    """
    if path.is_dir():
        if lake := next((name for name in _LAKES if (path / name).exists()), None):
            raise UnreadableFileError(
                f"Cannot read {path}: it is a {_LAKES[lake]} table, whose folder keeps rows that were deleted too. "
                f"Read it with its own library, and write what it returns to one Parquet file."
            )
        root = path
        files = [Path(folder) / name for folder, _, names in os.walk(path, onerror=_refuse) for name in names]
    elif not path.exists() and _WILD.search(str(path)):
        root = next(parent for parent in path.parents if not _WILD.search(str(parent)))
        files = list(root.glob(str(path.relative_to(root))))
    else:
        return None
    named = [
        (file, names)
        for file, names in ((file, file.relative_to(root).parts) for file in files)
        if file.is_file() and file.stat().st_size and not any(name.startswith(("_", ".")) for name in names)
    ]
    named.sort(key=lambda one: [_numbered(name) for name in one[1]])
    found = [Part(file, dict(name.split("=", 1) for name in names[:-1] if "=" in name)) for file, names in named]
    if not found:
        raise UnreadableFileError(f"Cannot read {path}: it is a folder or pattern without files of a table.")
    kinds = {_VARIES.sub("#", file.name): file.name for file, _ in found}
    folders = {name for _, names in named for name in names[:-1] if "=" not in name}
    if len({format_of(file) for file, _ in found}) > 1 or (root == path and (len(kinds) > 1 or folders)):
        pattern = path / ("**" if folders else "") / f"*{found[0].file.suffix}"
        other = f", or a pattern such as '{pattern}' if they are" if root == path else ""
        holds = shown(sorted([*folders, *kinds.values()]), 5)
        raise UnreadableFileError(
            f"Cannot read {path}: its files ({holds}) are hardly parts of one table. Give one of them{other}."
        )
    return found


def _refuse(error: OSError) -> None:
    """Raise where a folder cannot be read: its parts would be missing."""
    raise UnreadableFileError(f"Cannot read {error.filename}: {error.strerror}.") from error


def _numbered(name: str) -> list[tuple[int, str]]:
    """Return a key by which part.10 comes after part.9."""
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", name)]


def read_parts(path: Path, parts: Iterable[Part], read: Callable[[Path], pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of all parts, one after the other, with a column for each name of ``name=value`` folders."""
    tables, named = [], list(parts)
    for file, values in named:
        table = read(file)
        said = {name: None if value == _NO_VALUE else unquote(value) for name, value in values.items()}
        tables.append(
            table.with_columns(
                pl.lit(value, pl.String).alias(name) for name, value in said.items() if name not in table.columns
            )
        )
    text = format_of(named[0].file) in TEXT
    for column in dict.fromkeys(name for table in tables for name in table.columns):
        kinds: dict[Any, Path] = {table[column].dtype: part.file for table, part in zip(tables, named, strict=True)
                 if column in table.columns and len(table) > table[column].null_count()}  # fmt: skip
        if lacking := [part.file for table, part in zip(tables, named, strict=True) if column not in table.columns]:
            logger.warning(
                "%s has no column %r, as %d of %d files; all their values are missing.",
                lacking[0], column, len(lacking), len(named),
            )  # fmt: skip
        # Whole numbers that were read from text would be written as they stood there; others might not be.
        apart = {kind for kind in kinds if kind != pl.String and not (text and kind.is_integer())}
        if text and pl.Float64 in kinds and (long := _with_long_numbers(tables, column)) is not None:
            kinds[pl.String] = named[long].file  # one file with both would be text
        if pl.String in kinds and apart:
            other = min(apart, key=str)
            raise InvalidInputError(
                f"{path} has text in {column!r} in {kinds[pl.String].name} and {other} in {kinds[other].name}. Write "
                f"it again with one type."
            )
    try:
        whole = pl.concat([table for table in tables if len(table)] or tables[:1], how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise UnreadableFileError(f"Cannot read {path}: its parts do not fit together: {error}.") from error
    if len(named) > 1:
        logger.warning("%s: %d files are read as one table, %s to %s.", path, len(named), named[0].file, named[-1].file)
    return whole.with_columns(
        as_numbers(whole[name]) for name in dict.fromkeys(name for part in named for name in part.values)
        if name in whole.columns and whole[name].dtype == pl.String
    )  # fmt: skip


def _with_long_numbers(tables: list[pl.DataFrame], column: str) -> int | None:
    """Return which table, the first one, holds whole numbers of 16 digits or more in a column."""
    for place, values in ((i, table[column].drop_nulls()) for i, table in enumerate(tables) if column in table.columns):
        if values.dtype.is_integer() and ((values >= 10**15) | (values <= -(10**15))).any():
            return place
    return None
