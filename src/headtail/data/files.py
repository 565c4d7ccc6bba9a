"""Interactions from files and into files: CSV, TSV, Parquet and RecBole's atomic files."""

import codecs
import contextlib
import csv
import difflib
import gzip
import mmap
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from zlib import error as zlib_error

import numpy as np

from headtail import _frames
from headtail._files import atomic_file, to_path
from headtail.data.interactions import Duplicates, Interactions
from headtail.exceptions import HeadtailError, InvalidInputError, UnreadableFileError
from headtail.typing import IntoFrame

if TYPE_CHECKING:
    import polars as pl

PathLike: TypeAlias = "str | os.PathLike[str]"

_TEXT = (".csv", ".tsv", ".txt")
_ATOMIC = (".inter", ".item", ".user")
_PARQUET = (".parquet", ".pq")
_READABLE = (*_TEXT, *_ATOMIC, *_PARQUET)
_WRITABLE = (".inter", ".csv", ".tsv", ".parquet")
_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_KNOWN = {name for role, aliases in _frames.ALIASES.items() for name in (role, *aliases)}
_DATA = r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?|\d{4}-\d\d-\d\d.*"
_LIKE_AN_ID = r"^[+-]?(0\d|\d{16}|\d+[eE]\d+$)"
_RECBOLE_TYPES = {"user_id": "token", "item_id": "token", "rating": "float", "timestamp": "float", "order": "float"}


def read_interactions(
    path: PathLike,
    *,
    names: Sequence[str] | None = None,
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
    names : sequence of str, optional
        Names of the columns of a text file whose first line holds data, such as ``["user_id", "item_id", "rating"]``.
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
    table = read_table(path, names=names)
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
    path = to_path(path)
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
    import polars as pl

    path = to_path(path)
    ending = path.suffix.lower()
    if ending not in _WRITABLE or ending == ".inter":
        raise UnreadableFileError(f"Cannot write {path}: the ending {ending!r} is not one of .csv, .tsv, .parquet.")
    with atomic_file(path) as temporary:
        if ending == ".parquet":
            table.write_parquet(temporary, compression="zstd")
        else:
            # Between tabs the reader takes quotes for quotes where the names are in quotes too.
            quoted = ending == ".tsv" and any(
                c.str.contains(r'["\t\r\n]').any() for c in table.select(pl.col(pl.String))
            )
            table.write_csv(
                temporary,
                separator="\t" if ending == ".tsv" else ",",
                quote_style="non_numeric" if quoted else "necessary",
            )
    return path


def read_table(path: PathLike, *, names: Sequence[str] | None = None) -> "pl.DataFrame":
    r"""Read a table from CSV, TSV, text, Parquet or a RecBole file.

    ``.csv`` and ``.txt`` may be separated by comma, semicolon, tab or bar, whichever the first line holds most;
    ``.tsv`` is separated by tabs. These and RecBole's ``.inter``, ``.item`` and ``.user`` may be compressed (``.gz``).
    Text is UTF-8, or UTF-16 if its first bytes say so; its first line names the columns, and blank lines are left out.

    A column of a text file becomes numbers only if nothing is lost: whole numbers if every value is written as such a
    number of 64 bits is, so that ``007`` or ``+5`` leaves the column text; else decimals, unless a value looks like an
    id (a superfluous zero at the beginning, 16 digits or more, ``12e4``). Among numbers, ``NULL``, ``NA`` and the like
    are missing values. RecBole's types go before: ``float`` is a number however it is written, ``token`` is never a
    decimal, and what holds several values stays text.

    Quotes enclose a field in which there are separators, line breaks or, doubled, quotes. Between tabs they do so only
    if the names are in quotes too, or if every quote of the file fits that on its line; otherwise they are text.

    Parameters
    ----------
    path : path
        The file.
    names : sequence of str, optional
        Names of the columns of a text file whose first line holds data.

    Raises
    ------
    UnreadableFileError
        If the file is missing, empty, damaged, not UTF-8, or of an unknown form, or if a line has too many fields or
        a quote that is not closed.
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

    path = to_path(path)
    with readable(path):
        _check_exists(path)
        if _form(path) not in _PARQUET:
            return _read_text(path, names)
        if names is not None:
            raise InvalidInputError(f"{path} has names of its own, so names= is of no use. Leave it out.")
        return pl.read_parquet(path, glob=False)


@contextlib.contextmanager
def readable(path: Path, cure: str = "") -> Iterator[None]:
    """Turn what the system and the libraries below say about a file that cannot be read into our error."""
    import polars as pl

    below = (OSError, EOFError, UnicodeError, zlib_error, csv.Error)
    try:
        yield
    except HeadtailError:
        raise
    except (*below, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(getattr(error, "strerror", None) or error).split("\n")[0]
        if cure:
            pass
        elif "more fields" in reason:
            cure = "A line has more fields than the first line has names; quote fields that hold the separator."
        elif "utf-8" in reason or isinstance(error, UnicodeError):
            cure = "Save it as UTF-8."
        elif "malformed" in reason or '"' in reason:
            cure = "Put a text that holds quotes in quotes as a whole, and double the quotes in it."
        elif _form(path) in _PARQUET:
            cure = "Read it again from its source, or leave out columns of types that Polars does not know."
        elif path.suffix == ".gz":
            cure = "Read it again from its source."
        raise UnreadableFileError(f"Cannot read {path}: {reason}. {cure}".rstrip()) from error


def _form(path: Path) -> str:
    """Return the ending that tells the form of a file, without that of compression."""
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()


def _check_exists(path: Path) -> None:
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


# -- text --------------------------------------------------------------------------------------------------------------


class _Text(NamedTuple):
    """A text file in UTF-8, and how it is laid out."""

    path: Path
    content: "bytes | mmap.mmap"
    mapped: bool  # whether the content is that of the file as it is
    first: str  # its first line
    start: int  # where the second line starts
    end: str  # what ends a line for polars: LF or CR
    separator: str

    def read(
        self, quote: str | None, names: bool, whole: Iterable[str] = (), rows: int | None = None
    ) -> "pl.DataFrame":
        """Return the table as text, but for the columns that are said to be whole numbers."""
        import polars as pl

        return pl.read_csv(
            self.path if self.mapped else self.content[:],
            separator=self.separator,
            eol_char=self.end,
            quote_char=quote,
            has_header=names,
            infer_schema=False,
            schema_overrides=dict.fromkeys(whole, pl.Int64),
            null_values=[""],
            n_rows=rows,
            glob=False,
        )


def _read_text(path: Path, given: Sequence[str] | None) -> "pl.DataFrame":
    import polars as pl

    text = _open_text(path)
    atomic = _form(path) in _ATOMIC
    quotes = not atomic and re.search(b'"', text.content) is not None
    found = next(csv.reader([text.first], delimiter=text.separator)) if quotes else text.first.split(text.separator)
    typed = [name.strip().partition(":")[::2] if atomic else (name.strip(), "") for name in found]
    names = [name for name, _ in typed] if given is None else _given_names(path, given, found)
    _check_names(path, names, given is None)
    table = text.read(_quote(text), given is None) if quotes else _read_unquoted(text, given is None)
    if all(column.null_count() for column in table):
        table = table.filter(~pl.all_horizontal(pl.all().is_null()))
    if table.width != len(names):
        raise UnreadableFileError(f"Cannot read {path}: its lines have {table.width} fields, but {len(names)} names.")
    table.columns = names
    _check_lines(path, table, given is None, quotes)
    return table.with_columns([_typed(table[name], kind, path) for name, (_, kind) in zip(names, typed, strict=True)])


def _open_text(path: Path) -> _Text:
    """Look at the marks, the first line and the line ends of a text file."""
    with path.open("rb") as file:
        content: bytes | mmap.mmap = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    mapped = path.suffix.lower() != ".gz"
    if not mapped:
        content = gzip.decompress(content)
    encoding = next((name for mark, name in _WIDE.items() if content[: len(mark)] == mark), None)
    if encoding is not None:
        mapped, content = False, content[:].decode(encoding).encode()
    line = re.search(rb"[^\r\n]+", content)
    if line is None:
        raise UnreadableFileError(f"Cannot read {path}: it is empty.")
    first = line[0].decode("utf-8-sig")
    if "\0" in first:
        raise UnreadableFileError(
            f"Cannot read {path}: its first line holds NUL, so it is not UTF-8. Save it as UTF-8."
        )
    after = content[line.end() : line.end() + 2]
    end = "\r" if after[:1] == b"\r" and after != b"\r\n" else "\n"
    if end == "\r" and content.find(b"\n") >= 0:
        raise _mixed_ends(path)
    tabs = _form(path) in (".tsv", *_ATOMIC)
    separator = "\t" if tabs else max(",", ";", "\t", "|", key=first.count)
    start = line.end() + (2 if after == b"\r\n" else 1)
    return _Text(path, content, mapped, first, start, end, separator)


def _given_names(path: Path, given: Sequence[str], found: list[str]) -> list[str]:
    names = [str(name) for name in given]
    if len(names) != len(found):
        raise InvalidInputError(
            f"names={names} are {len(names)}, but the first line of {path} has {len(found)} fields. Name each of them."
        )
    if set(names) & set(found):
        raise InvalidInputError(f"The first line of {path} holds the names of the columns. Leave out names=.")
    return names


def _check_names(path: Path, names: list[str], from_file: bool) -> None:
    fields = names if len(names) > 1 else names[0].split()  # blanks do not separate, but data stays data
    if from_file and not _any_known(names) and any(re.fullmatch(_DATA, field) for field in fields):
        raise _no_names(path, names)
    if len(set(names)) < len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(f"{path} has the column {doubled!r} more than once. Rename or drop one of them.")
    if max(map(len, names)) > 1000:
        raise UnreadableFileError(
            f"Cannot read {path}: its first line holds {max(map(len, names))} characters without a separator, which "
            f"cannot be the name of a column. Is it a table?"
        )


def _check_lines(path: Path, table: "pl.DataFrame", from_file: bool, quotes: bool) -> None:
    """Raise if names from the first line are among the values of their columns: it is data, or it comes twice."""
    import polars as pl

    text = table.select(pl.col(pl.String))
    if not quotes and any(column.str.contains("\r", literal=True).any() for column in text):
        raise _mixed_ends(path)
    again = [column.name for column in text if from_file and (column == column.name).any()]
    if again and not _any_known(table.columns):
        raise _no_names(path, table.columns)
    if len(again) == table.width:
        raise InvalidInputError(
            f"The first line of {path} stands in it again, as after two files were joined. Remove the others."
        )


def _any_known(names: list[str]) -> bool:
    return any(name.lower().replace("-", "_").replace(" ", "_") in _KNOWN for name in names)


def _mixed_ends(path: Path) -> UnreadableFileError:
    return UnreadableFileError(f"Cannot read {path}: some of its lines end in CR and some in LF. Save it again.")


def _no_names(path: Path, fields: list[str]) -> InvalidInputError:
    return InvalidInputError(
        f"The first line of {path} holds data ({', '.join(fields[:4])}), not the names of the columns. Add a first "
        f"line such as user_id,item_id, or from Python give names=[...], one for each column."
    )


def _read_unquoted(text: _Text, names: bool) -> "pl.DataFrame":
    """Read a text without quotes: columns that begin with whole numbers as such, if they prove to be written so.

    They are if the lengths of all fields, as they would be written again, add up to that of the file.
    """
    import polars as pl

    sample = text.read(None, names, rows=100)
    whole = [column.name for column in sample if column.null_count() == 0 and _numbers(column).dtype == pl.Int64]
    if names and whole:
        try:
            table = text.read(None, names, whole)
        except pl.exceptions.PolarsError:
            return text.read(None, names)
        ends = 2 if text.content[text.start - 2 : text.start] == b"\r\n" else 1
        length = table.height * (table.width - 1 + ends)
        length += sum(_width(table[name]) if name in whole else _bytes(table[name]) for name in table.columns)
        last = text.content[len(text.content) - 1 :] in (b"\n", b"\r")
        if length - (0 if last else ends) == len(text.content) - text.start:
            return table
    return text.read(None, names)


def _bytes(column: "pl.Series") -> int:
    return int(column.str.len_bytes().sum())


def _width(column: "pl.Series") -> int:
    """Return how many characters all whole numbers of a column take together."""
    values = column.drop_nulls().to_numpy()
    negative = int(np.count_nonzero(values < 0))
    width, largest = len(values) + negative, max(abs(int(values.max())), abs(int(values.min()))) if len(values) else 0
    power = 10
    while power <= largest:
        width += int(np.count_nonzero(values >= power))
        width += int(np.count_nonzero(values <= -power)) if negative else 0
        power *= 10
    return width


def _quote(text: _Text) -> str | None:
    """Return the quote if it encloses fields, None if every quote is a part of the text.

    Polars notices most quotes out of place, but not all; and one that opens on a line and closes on another may be text
    on both.
    """
    ends = rb"%b\r\n" % re.escape(text.separator.encode())
    opening = rb'(?:(?<![^%b])|(?<=\A\xef\xbb\xbf))"' % ends
    if text.separator == "\t" and not text.first.startswith('"'):
        within_lines = rb'%b(?:[^"\r\n]++|"")*+"(?![^%b])' % (opening, ends)
        return '"' if re.fullmatch(rb'(?:[^"]*+%b)*+[^"]*+' % within_lines, text.content) else None
    if not re.search(opening, text.content):
        return None
    enclosed_or_inner = rb'(?:%b(?:[^"]++|"")*+"(?![^%b])|(?<=[^%b])"[^%b]*+)' % (opening, ends, ends, ends)
    fitting = re.match(rb'(?:[^"]*+%b)*+[^"]*+' % enclosed_or_inner, text.content)
    if fitting is None or fitting.end() < len(text.content):
        line = 1 if fitting is None else text.content[: fitting.end()].count(text.end.encode()) + 1
        raise UnreadableFileError(
            f"Cannot read {text.path}: the quotes do not pair, first in line {line}. Put a text that holds quotes or "
            f"separators in quotes as a whole, and double the quotes in it."
        )
    return '"'


def _typed(column: "pl.Series", kind: str, path: Path) -> "pl.Series":
    """Return a column as RecBole's type says, or as numbers if that loses nothing."""
    import polars as pl

    if kind.endswith("_seq"):
        return column.cast(pl.String)
    if kind == "float":
        column = _with_gaps(column) if column.dtype == pl.String else column
        number = column.cast(pl.Float64, strict=False)
        wrong = column.filter(number.is_null() & column.is_not_null())
        if len(wrong):
            raise InvalidInputError(f"{path} says that {column.name!r} is float, but it holds {wrong[0]!r}. Mend one.")
        whole = column.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == column.null_count() else number
    numbers = _numbers(column)
    return column if kind == "token" and numbers.dtype == pl.Float64 else numbers


def _with_gaps(column: "pl.Series") -> "pl.Series":
    """Return a column of text without the values that only say that there is none."""
    return column.set(column.is_in(_frames.MISSING), None)


def _numbers(column: "pl.Series") -> "pl.Series":
    """Return a column of text as numbers if that loses nothing but ways to write that there is no value."""
    import polars as pl

    if column.dtype != pl.String or _cast(_with_gaps(column.head(100)), pl.Float64) is None:
        return column
    whole = _cast(column, pl.Int64)
    if whole is not None:
        return whole if _bytes(column) == _width(whole) else column
    decimal = _cast(column, pl.Float64)
    if decimal is not None:
        return column if column.str.contains(_LIKE_AN_ID).any() else decimal
    rest = _with_gaps(column)
    numbers = _numbers(rest) if rest.null_count() > column.null_count() else rest
    return column if numbers.dtype == pl.String else numbers


def _cast(column: "pl.Series", kind: "type[pl.DataType]") -> "pl.Series | None":
    """Return a column as numbers if all its values are such."""
    numbers = column.cast(kind, strict=False)
    return numbers if numbers.null_count() == column.null_count() else None


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
