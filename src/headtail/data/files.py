"""Interactions from files and into files: text, Parquet, Arrow, JSON lines and RecBole's atomic files."""

import codecs
import contextlib
import csv
import difflib
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import Any, TypeAlias
from zlib import error as zlib_error

import polars as pl

from headtail import _frames
from headtail._checks import checked, shown
from headtail._columns import resolve_columns
from headtail._containers import frame_of, series
from headtail._files import atomic_file, check_writable, refuse_empty, to_path
from headtail._printable import python_command
from headtail.data.foreign import refuse_ending
from headtail.data.interactions import Interactions
from headtail.data.packed import PACKED, format_of, in_utf8, unpacked
from headtail.data.parts import parts_of, read_parts
from headtail.data.text_files import ATOMIC, TEXT, as_numbers, first_fields, read_text
from headtail.exceptions import HeadtailError, InvalidInputError, UnreadableFileError
from headtail.typing import IntoFrame

PathLike: TypeAlias = "str | os.PathLike[str]"

_PARQUET = (".parquet", ".pq")
_JSON, _ARROW = (".jsonl", ".ndjson", ".json"), (".arrow", ".feather", ".ipc")
_READABLE = (*TEXT, *ATOMIC, *_PARQUET, *_JSON, *_ARROW)
_WRITABLE = (".inter", ".csv", ".tsv", ".parquet")
_RECBOLE_TYPES = {"user_id": "token", "item_id": "token", "rating": "float", "timestamp": "float", "order": "float"}


@checked
def read_interactions(
    path: PathLike,
    *,
    names: Sequence[str] | None = None,
    titles: "PathLike | IntoFrame | Mapping[Any, str] | None" = None,
    **options: Any,
) -> Interactions:
    r"""Read interactions from a file; what is wrong raises as for :func:`read_table` and `from_frame`.

    Parameters
    ----------
    path : path
        A file that :func:`read_table` can read.
    names : sequence of str, optional
        As for :func:`read_table`, such as ``["user_id", "item_id", "rating"]``.
    titles : path, frame or mapping, optional
        As for `from_frame`, also in a file of their own. Without it, a RecBole ``.inter`` file takes those of the
        ``.item`` file of the same name.
    **options
        What :meth:`Interactions.from_frame` takes: the names of columns, `min_rating`, `k_core`, `duplicates`.

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
    elif titles is None:
        titles = titles_beside(Path(path))
    return Interactions.from_frame(table, titles=titles, **options)


@checked
def write_interactions(interactions: Interactions, path: PathLike) -> Path:
    r"""Write interactions to a file, whole or not at all.

    Users and items without interactions are not written. Titles go to a column ``item_title``; for RecBole to a file
    ``.item`` beside the ``.inter`` file, with runs of blanks made one. Parquet keeps the type of the ids; from text
    files, ids that are text made of digits come back as numbers.

    Parameters
    ----------
    interactions : Interactions
    path : path
        A file ``.csv``, ``.tsv``, ``.parquet`` or ``.inter`` (RecBole); returned.

    Raises
    ------
    UnreadableFileError
        If the ending is another one, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> interactions = Interactions.from_frame(pl.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"]}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_interactions(interactions, f"{folder}/tiny.inter").read_text()
    'user_id:token\titem_id:token\n1\ta\n2\tb\n'
    """
    path = to_path(path)
    ending = _ending(path, _WRITABLE)
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


def check_table(path: PathLike) -> None:
    """Raise unless a table could be written there, before long work and not after it."""
    check_writable(path)
    _ending(Path(path), _WRITABLE[1:])


@checked
def write_table(table: pl.DataFrame, path: PathLike) -> Path:
    """Write a Polars frame to a file ``.csv``, ``.tsv`` or ``.parquet``, whole or not at all, and return its path."""
    path = to_path(path)
    ending = _ending(path, _WRITABLE[1:])
    nested = [name for name, dtype in table.schema.items() if dtype == pl.Object or dtype.is_nested()]
    if nested and ending != ".parquet":
        raise InvalidInputError(f"{path.name} cannot hold the lists or objects of {nested[0]!r}. Write .parquet.")
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


def _ending(path: Path, known: Sequence[str]) -> str:
    ending = path.suffix.lower()
    if ending not in known:
        raise UnreadableFileError(f"Cannot write {path}: the ending {ending!r} is not one of {', '.join(known)}.")
    return ending


@checked
def read_table(
    path: PathLike, *, names: Sequence[str] | None = None, keyed: tuple[str, str] | None = None
) -> pl.DataFrame:
    r"""Read a table from text, Parquet, Arrow, JSON or a RecBole file, or from a folder or pattern of such.

    ``.csv``, ``.txt``, ``.dat`` and ``.data`` may be separated by comma, semicolon, tab or bar, whichever the first
    line holds most, or by ``::``; ``.tsv`` is separated by tabs. JSON is an object a line, a list of
    objects, or one object: of columns, or of users and their items (a list, with scores too, or a dict of scores).
    These, and RecBole's ``.inter``, ``.item`` and ``.user``, may be compressed (``.gz``, ``.bz2``, ``.xz``, with
    pyarrow ``.zst``, or the only file of a ``.zip``). Text is UTF-8, or UTF-16 if its first bytes say so; its first
    line names the columns, and blank lines are left out. Blanks around a name, as in ``user, item``, are taken off its
    values too.

    A folder of parts, such as Spark and Hive write, is one table, as is a pattern such as ``lists/*.parquet``. What
    begins with a dot or an underscore is no part, and folders such as ``date=2020-01-01`` are columns. Files of a
    folder that are not of one form and, but for numbers, of one name are refused: they may be tables of their own.

    A column of a text file becomes numbers only if nothing is lost: whole numbers if every value is written as such a
    number of 64 bits is, so that ``007`` or ``+5`` leaves the column text; else decimals, unless a value looks like
    an id (a superfluous zero at the beginning, 16 digits or more, ``12e4``, or ``1.2E+11`` as spreadsheets shorten
    it). Where commas do not separate, ``3,5`` is a decimal, unless all commas of a column could be those of
    thousands. Among numbers, ``NULL``, ``NA`` and the like are missing values. RecBole's types go before: ``float``
    is a number however it is written, ``token`` is never a decimal, and what holds several values stays text.

    Quotes enclose a field in which there are separators, line breaks or, doubled, quotes. Between tabs they do so only
    if the names are in quotes too, or if every quote of the file fits that on its line; otherwise they are text.

    Parameters
    ----------
    path : path
    names : sequence of str, optional
        Names of the columns of a text file whose first line holds data.
    keyed : (str, str), optional
        Names of the keys and of the values of one object of JSON that holds not users and their items but attributes,
        such as ``("item_id", "genre")`` of ``{"dune": ["drama"]}``; values that are objects have names of their own.

    Raises
    ------
    UnreadableFileError
        If the file is missing, empty, damaged, not UTF-8, or of an unknown form, or if a line has too many fields or
        a quote that is not closed.

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
    path = to_path(path)
    parts = parts_of(path)
    read = partial(_read_file, names=names, keyed=keyed)
    return read(path) if parts is None else read_parts(path, parts, read)


def _read_file(path: Path, names: Sequence[str] | None, keyed: tuple[str, str] | None) -> pl.DataFrame:
    """Return the table of a single file."""
    with readable(path):
        check_exists(path)
        form = format_of(path)
        if form in (*TEXT, *ATOMIC):
            return read_text(path, names)
        if names is not None:
            raise InvalidInputError(f"{path} has names of its own, so names= is of no use. Leave it out.")
        if form in _JSON:
            return _read_json(in_utf8(path)[:].removeprefix(codecs.BOM_UTF8), str(path), keyed)
        content = unpacked(path)
        source = content if isinstance(content, bytes) else path
        if form not in _ARROW:
            return pl.read_parquet(source, glob=False)
        return pl.read_ipc(source) if content[:6] == b"ARROW1" else pl.read_ipc_stream(source)  # of Hugging Face


def _read_json(content: bytes, what: str, keyed: tuple[str, str] | None) -> pl.DataFrame:
    """Return the table of a list of objects, of an object a line, or of one object: columns, or each user's items."""
    if not content.strip():
        raise UnreadableFileError(f"Cannot read {what}: it is empty.")
    if content[:100].lstrip()[:1] == b"[":
        if keyed is not None and content[:100].lstrip(b"[ \n\r\t")[:1] != b"{":  # ids alone
            return pl.DataFrame([series(keyed[0], json.loads(content), keyed[0], what)])
        return pl.read_json(content, infer_schema_length=None)
    first, _, more = content.strip().partition(b"\n")
    named = partial(_object, what)
    try:
        held = json.loads(first, object_pairs_hook=named)
        if more:
            return pl.read_ndjson(content, infer_schema_length=None)
    except ValueError:  # an object of several lines, or none
        try:
            held = json.loads(content, object_pairs_hook=named)
        except ValueError:
            return pl.read_ndjson(content, infer_schema_length=None)
    table = frame_of(held, what, as_numbers, keyed)
    return pl.read_json(content, infer_schema_length=None) if table is None else table


def _object(what: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, in which no name may stand twice."""
    held = dict(pairs)
    if len(held) < len(pairs):
        twice = [name for name, n in Counter(name for name, _ in pairs).items() if n > 1]
        raise UnreadableFileError(
            f"{what} names {shown(twice)} twice in one object, of which readers keep the last alone. Join the two."
        )
    return held


def names_for(path: Path, choices: Sequence[list[str]]) -> list[str] | None:
    """Return which names the columns of a text file need: those of its width; none where its first line has names."""
    path = next((part.file for part in parts_of(path) or ()), path)
    if format_of(path) not in (*TEXT, *ATOMIC):
        return None
    with readable(path):
        check_exists(path)
        found = first_fields(path)
    names = next((names for names in choices if len(names) == len(found)), choices[0])
    typed = any(re.search(r":(token|float)(_seq)?$", field) for field in found)  # as in RecBole's files
    return None if typed or (len(found) == len(names) and not set(found).isdisjoint(names)) else names


@contextlib.contextmanager
def readable(path: Path, cure: str = "") -> Iterator[None]:
    """Turn what the system and the libraries below say about a file that cannot be read into our error."""
    below = (OSError, EOFError, UnicodeError, zlib_error, LZMAError, csv.Error)
    try:
        refuse_empty(path, cure)
        yield
    except HeadtailError:
        raise
    except (*below, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(getattr(error, "strerror", None) or error).split("\n")[0]
        raise UnreadableFileError(
            f"Cannot read {path}: {reason}. {cure or _cure(path, reason, error)}".rstrip()
        ) from error


def _cure(path: Path, reason: str, error: BaseException) -> str:
    """Return what to do about a file that cannot be read, empty where nothing is known."""
    if "more fields" in reason:
        return "A line has more fields than the first line has names; quote fields that hold the separator."
    if "utf-8" in reason.lower() or isinstance(error, UnicodeError):
        made = shlex.quote(f"utf8-{path.name}")
        return f"Save it as UTF-8, such as by: iconv -f windows-1252 -t utf-8 {shlex.quote(str(path))} > {made}"
    if format_of(path) in _JSON and unpacked(path)[:2] == b"{'":
        name, made = (shlex.quote(text) for text in (str(path), f"{path.name.split('.')[0]}.jsonl"))
        return (
            f"Its lines are Python's, not JSON's. Write them anew: zcat -f {name} | python -c 'import ast, json, sys; "
            f"[print(json.dumps(ast.literal_eval(line))) for line in sys.stdin]' > {made}"
        )
    if format_of(path) in _JSON:
        return 'Each line must be an object of JSON, such as {"user_id": 1, "item_id": 2}.'
    if "malformed" in reason or '"' in reason:
        return "Put a text that holds quotes in quotes as a whole, and double the quotes in it."
    if format_of(path) in _PARQUET:
        return "Read it again from its source, or leave out columns of types that Polars does not know."
    return "Read it again from its source." if path.suffix in PACKED else ""


def check_exists(path: Path) -> None:
    """Raise unless there is a file with content, of a form that can be read."""
    if not path.exists():
        kind = "file" if path.suffix else "folder or file"
        if not path.parent.is_dir():
            raise UnreadableFileError(f"There is no {kind} {path}, nor the folder {path.parent}.")
        names = sorted(p.name for p in path.parent.iterdir() if format_of(p) in _READABLE)
        close = difflib.get_close_matches(path.name, names, n=5, cutoff=0.5)
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else "Nothing there has a name like it."
        if names and not close:
            hint = f"Nothing there has a name like it; there is {shown(names)}."
        raise UnreadableFileError(f"There is no {kind} {path}. {hint}")
    if not path.is_file():
        raise UnreadableFileError(f"Cannot read {path}: it is a pipe or a device. Save its content to a file first.")
    if format_of(path) not in _READABLE:
        with path.open("rb") as file:
            head = file.read(16)
        if head.startswith(b"SQLite format 3") or head[8:12] == b"DUCK":
            needed, read = "duckdb", f"duckdb.connect({str(path)!r}).sql('FROM NAME')"
            if head.startswith(b"SQLite"):
                needed = "polars, sqlite3"
                read = f"polars.read_database('SELECT * FROM NAME', sqlite3.connect({str(path)!r}))"
            command = python_command(f"import {needed}; {read}.write_parquet('NAME.parquet')")
            raise UnreadableFileError(
                f"Cannot read {path}: it is a database. Write a table NAME of it to a file: {command}"
            )
        refuse_ending(path, _READABLE)


def titles_beside(path: Path) -> pl.DataFrame | None:
    """Return the titles of a RecBole data set, from the `.item` file beside its `.inter` file; None for other files."""
    if format_of(path) != ".inter":
        return None
    stem = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    beside = next((p for p in (stem.with_suffix(".item"), stem.with_suffix(".item.gz")) if p.exists()), None)
    if beside is None:
        return None
    table = read_table(beside)
    columns = resolve_columns(table.columns, ["item_id"], ["title"], what=beside.name)
    return table.select(**columns) if "title" in columns else None


def _item_table(interactions: Interactions) -> pl.DataFrame:
    titles = pl.Series(interactions.item_titles.tolist(), dtype=pl.String)  # type: ignore[union-attr]
    ids = interactions.item_ids
    return pl.DataFrame(
        {
            "item_id:token": ids.tolist() if ids.dtype == object else ids,
            "item_title:token_seq": titles.str.replace_all(r"\s+", " "),
        }
    )


def _write_recbole(table: pl.DataFrame, path: Path) -> None:
    """Write a RecBole file: tabs, typed names, no quotes."""
    for column in table.select(pl.col(pl.String)):
        wrong = column.str.contains(r"[\t\r\n]")
        if wrong.any():
            raise InvalidInputError(
                f"{column.name.split(':')[0]} {column.filter(wrong)[0]!r} holds a tab or a line break, which "
                f"{path.name} cannot hold. Rename it, or write .csv or .parquet."
            )
    with atomic_file(path) as temporary:
        table.write_csv(temporary, separator="\t", quote_style="never")
