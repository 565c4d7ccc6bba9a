"""Interactions from files and into files: CSV, TSV, Parquet and RecBole's atomic files."""

import csv
import difflib
import gzip
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import error as zlib_error

from headtail import _frames
from headtail._files import atomic_file
from headtail.data.interactions import Duplicates, Interactions
from headtail.exceptions import InvalidInputError, UnreadableFileError
from headtail.typing import IntoFrame

if TYPE_CHECKING:
    import polars as pl

PathLike: TypeAlias = "str | os.PathLike[str]"

_TEXT = (".csv", ".tsv", ".txt")
_ATOMIC = (".inter", ".item", ".user")
_PARQUET = (".parquet", ".pq")
_READABLE = (*_TEXT, *_ATOMIC, *_PARQUET)
_WRITABLE = (".inter", ".csv", ".tsv", ".parquet")
_LIKE_AN_ID = r"^[+-]?(0\d|\d{16}|\d+[eE]\d+$)"
_RECBOLE_TYPES = {"user_id": "token", "item_id": "token", "rating": "float", "timestamp": "float", "order": "float"}


def read_interactions(
    path: PathLike,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    timestamp: str | None = None,
    order: str | None = None,
    titles: "PathLike | IntoFrame | Mapping[Any, str] | None" = None,
    min_rating: float | None = None,
    k_core: int = 0,
    duplicates: Duplicates = "error",
) -> Interactions:
    r"""Read interactions from a file.

    Parameters
    ----------
    path : path
        A file that :func:`read_table` can read.
    user, item, rating, timestamp, order, min_rating, k_core, duplicates
        As in :meth:`Interactions.from_frame`.
    titles : path, frame or mapping, optional
        Title of each item: a file or frame with an item and a title column, or a mapping from item id to title.
        Without it, a RecBole ``.inter`` file takes the titles of the ``.item`` file of the same name, if there is one
        with a column of titles, and another file those of its column ``item_title``.

    Returns
    -------
    Interactions

    Raises
    ------
    UnreadableFileError
        If the file is missing, empty, damaged, or of an unknown form.
    InvalidInputError
        If its content cannot be right; see :meth:`Interactions.from_frame`.
    MissingColumnError
        If the user or item column is not found.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "clicks.csv"
    ...     _ = path.write_text("user,movieId\n1,10\n1,30\n2,10\n")
    ...     read_interactions(path)
    Interactions(2 users, 2 items, 3 interactions, density 75.00%)
    """
    table = read_table(path)
    if isinstance(titles, (str, os.PathLike)):
        titles = read_table(titles)
    elif titles is None and _form(Path(path)) == ".inter":
        titles = _titles_beside(Path(path))
    return Interactions.from_frame(
        table,
        user=user,
        item=item,
        rating=rating,
        timestamp=timestamp,
        order=order,
        titles=titles,
        min_rating=min_rating,
        k_core=k_core,
        duplicates=duplicates,
    )


def write_interactions(interactions: Interactions, path: PathLike) -> Path:
    r"""Write interactions to a file, whole or not at all.

    Users and items without interactions are not written. Titles go to a column ``item_title``; for RecBole to a file
    ``.item`` beside the ``.inter`` file, with runs of blanks made one. Parquet keeps the type of the ids; from text
    files, ids that are text made of digits come back as numbers.

    Parameters
    ----------
    interactions : Interactions
        What to write.
    path : path
        Where to: a file ``.csv``, ``.tsv``, ``.parquet`` or ``.inter`` (RecBole).

    Returns
    -------
    Path
        The path of the file.

    Raises
    ------
    UnreadableFileError
        If the ending is another one, or the file cannot be written.
    InvalidInputError
        If an id holds a tab or a line break and the file is for RecBole, which has no way to write it.

    Examples
    --------
    >>> import tempfile
    >>> import polars as pl
    >>> interactions = Interactions.from_frame(pl.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"]}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_interactions(interactions, f"{folder}/tiny.inter").read_text()
    'user_id:token\titem_id:token\n1\ta\n2\tb\n'
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in _WRITABLE:
        raise UnreadableFileError(f"Cannot write {path}: the ending {ending!r} is not one of {', '.join(_WRITABLE)}.")
    table = interactions.to_polars()
    titles = interactions.item_titles
    if ending == ".inter":
        _write_recbole(table.rename({name: f"{name}:{_RECBOLE_TYPES[name]}" for name in table.columns}), path)
        if titles is not None:
            _write_recbole(_item_table(interactions), path.with_suffix(".item"))
        return path
    if titles is not None:
        table = table.with_columns(_frames.from_ids(titles, interactions.items).alias("item_title"))
    return write_table(table, path)


def write_table(table: "pl.DataFrame", path: PathLike) -> Path:
    """Write a Polars frame to a file ``.csv``, ``.tsv`` or ``.parquet``, whole or not at all, and return its path.

    Raises
    ------
    UnreadableFileError
        If the ending is another one, or the file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in _WRITABLE or ending == ".inter":
        raise UnreadableFileError(f"Cannot write {path}: the ending {ending!r} is not one of .csv, .tsv, .parquet.")
    with atomic_file(path) as temporary:
        if ending == ".parquet":
            table.write_parquet(temporary, compression="zstd")
        else:
            table.write_csv(temporary, separator="\t" if ending == ".tsv" else ",")
    return path


def read_table(path: PathLike) -> "pl.DataFrame":
    r"""Read a table from CSV, TSV, text, Parquet or a RecBole file.

    ``.csv`` and ``.txt`` may be separated by comma, semicolon, tab or bar, whichever the first line holds most;
    ``.tsv`` is separated by tabs. These and RecBole's ``.inter``, ``.item`` and ``.user`` may be compressed (``.gz``).
    Text is UTF-8, its first line names the columns, and blank lines are left out.

    A column of a text file becomes numbers only if nothing is lost: whole numbers if every value is written as such a
    number of 64 bits is, so that ``007`` or ``+5`` leaves the column text; else decimals, unless a value looks like an
    id (a superfluous zero at the beginning, 16 digits or more, ``12e4``).

    Raises
    ------
    UnreadableFileError
        If the file is missing, empty, damaged, not UTF-8, or of an unknown form, or if a line has too many fields.
    InvalidInputError
        If a column name occurs twice, or the first line holds data instead of names.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "clicks.csv"
    ...     _ = path.write_text("user;item;rating\n007;1;4.5\n008;12;3\n")
    ...     read_table(path).rows()
    [('007', 1, 4.5), ('008', 12, 3.0)]
    """
    import polars as pl

    path = _existing(Path(path))
    form = _form(path)
    try:
        if form in _PARQUET:
            return pl.read_parquet(path, glob=False)
        return _read_text(path, form)
    except (pl.exceptions.PolarsError, EOFError, gzip.BadGzipFile, zlib_error) as error:
        reason = str(error).split("\n")[0]
        cure = "Read it again from its source." if form in _PARQUET or path.suffix == ".gz" else ""
        if "more fields" in reason:
            cure = "A line has more fields than the first line has names; quote fields that hold the separator."
        elif "utf-8" in reason:
            cure = "Save it as UTF-8."
        raise UnreadableFileError(f"Cannot read {path}: {reason}. {cure}".rstrip()) from error
    except PermissionError as error:
        raise UnreadableFileError(f"Cannot read {path}: {error.strerror}.") from error


def _form(path: Path) -> str:
    """Return the ending that tells the form of a file, without that of compression."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def _existing(path: Path) -> Path:
    if path.is_dir():
        raise UnreadableFileError(f"Cannot read {path}: it is a folder. Give the path of a file in it.")
    if not path.exists():
        if not path.parent.is_dir():
            raise UnreadableFileError(f"There is no file {path}, nor the folder {path.parent}.")
        names = [p.name for p in path.parent.iterdir() if _form(p) in _READABLE]
        close = difflib.get_close_matches(path.name, names, n=5, cutoff=0.5)
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "Nothing there has a name like it."
        raise UnreadableFileError(f"There is no file {path}. {hint}")
    if _form(path) not in _READABLE:
        raise UnreadableFileError(
            f"Cannot read {path}: the ending {_form(path)!r} is not one of {', '.join(_READABLE)} (text also with .gz)."
        )
    if not path.stat().st_size:
        raise UnreadableFileError(f"Cannot read {path}: it is empty.")
    return path


def _read_text(path: Path, form: str) -> "pl.DataFrame":
    import polars as pl

    zipped = path.suffix.lower() == ".gz"
    source = gzip.decompress(path.read_bytes()) if zipped else path
    with gzip.open(path) if zipped else path.open("rb") as file:
        first = file.readline().decode("utf-8-sig", errors="replace").rstrip("\r\n")
    separator = "\t" if form == ".tsv" or form in _ATOMIC else max(",", ";", "\t", "|", key=first.count)
    quote = None if form in _ATOMIC else '"'
    names = first.split(separator) if quote is None else next(csv.reader([first], delimiter=separator), [])
    _check_names(path, names)
    table = pl.read_csv(
        source,
        separator=separator,
        quote_char=quote,
        infer_schema=False,
        null_values=[""],
        glob=False,
    )
    table = table.filter(~pl.all_horizontal(pl.all().is_null()))
    if form in _ATOMIC:
        table.columns = [name.split(":")[0] for name in names]
    return table.with_columns([_numbers(column) for column in table])


def _check_names(path: Path, names: list[str]) -> None:
    plain = [name.split(":")[0] for name in names]
    doubled = next((name for name in plain if plain.count(name) > 1), None)
    if doubled is not None and not re.fullmatch(r"-?\d+(\.\d+)?", doubled):
        raise InvalidInputError(f"{path} has the column {doubled!r} more than once. Rename or drop one of them.")
    if all(re.fullmatch(r"-?\d+(\.\d+)?", name) for name in names):
        raise InvalidInputError(
            f"The first line of {path} holds data ({', '.join(names[:4])}), not the names of the columns. Add a first "
            f"line such as user_id,item_id."
        )


def _numbers(column: "pl.Series") -> "pl.Series":
    """Return a column of text as numbers if that loses nothing."""
    import polars as pl

    whole = column.cast(pl.Int64, strict=False)
    if whole.null_count() == column.null_count():
        return whole if (whole.cast(pl.String) == column).all() else column
    decimal = column.cast(pl.Float64, strict=False)
    if decimal.null_count() > column.null_count() or column.str.contains(_LIKE_AN_ID).any():
        return column
    return decimal


def _titles_beside(path: Path) -> "pl.DataFrame | None":
    """Return the titles of a RecBole data set, from the `.item` file beside its `.inter` file."""
    stem = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    beside = next((p for p in (stem.with_suffix(".item"), stem.with_suffix(".item.gz")) if p.exists()), None)
    if beside is None:
        return None
    table = read_table(beside)
    columns = _frames.resolve_columns(table.columns, ["item_id"], ["title"], what=beside.name)
    return table.select(**columns) if "title" in columns else None


def _item_table(interactions: Interactions) -> "pl.DataFrame":
    import polars as pl

    titles = pl.Series(interactions.item_titles.tolist(), dtype=pl.String)  # type: ignore[union-attr]
    ids = interactions.item_ids
    return pl.DataFrame(
        {
            "item_id:token": ids.tolist() if ids.dtype == object else ids,
            "item_title:token_seq": titles.str.replace_all(r"\s+", " "),
        }
    )


def _write_recbole(table: "pl.DataFrame", path: Path) -> None:
    """Write a RecBole file: tabs, typed names, no quotes."""
    import polars as pl

    for column in table.select(pl.col(pl.String)):
        wrong = column.str.contains(r"[\t\r\n]")
        if wrong.any():
            raise InvalidInputError(
                f"{column.name.split(':')[0]} {column.filter(wrong)[0]!r} holds a tab or a line break, which "
                f"{path.name} cannot hold. Rename it, or write .csv or .parquet."
            )
    with atomic_file(path) as temporary:
        table.write_csv(temporary, separator="\t", quote_style="never")
