"""Tables from text: separators, quotes, line ends, and columns that become numbers where that loses nothing."""

import csv
import mmap
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from headtail import _frames
from headtail._columns import KNOWN, logger, normalized
from headtail._printable import counted
from headtail.data.foreign import DATA, refuse_rows, refuse_words
from headtail.data.packed import PIECE, ZIP, format_of, in_utf8
from headtail.exceptions import InvalidInputError, UnreadableFileError

TEXT = (".csv", ".tsv", ".txt", ".dat", ".data")
ATOMIC = (".inter", ".item", ".user")
_OTHERS = {b"PAR1": "Parquet; give it that ending", ZIP: "an archive or a workbook; unpack it, or save it as CSV"}
_BLANK = re.compile(rb'((?<![^\r\n,;\t|])"(?:[^"]++|"")*+")|(\r\n|\n|\r(?!\n))[\r\n]+')  # lines; those in quotes stay
_COLONS = re.compile(rb"[^,;|\t\r\n]*::[^,;|\t\r\n]*[\r\n]").match  # a first line without other separators
_LONGEST = 1 << 20  # characters of a line of names
_SAMPLE, _FEW = 10_000, 1000  # values that are looked at, and the most that are few among them
_LIKE_AN_ID = r"^[+-]?(0\d|\d{16}|\d+[eE]\d+$|\d(\.\d+)?E\+\d+$)"  # the last as spreadsheets shorten it


class NoNamesError(InvalidInputError):
    """The first line of a text file holds data where the names of the columns should stand."""


class _Text(NamedTuple):
    """A text file in UTF-8, and how it is laid out."""

    path: Path
    content: "bytes | mmap.mmap"
    mapped: bool  # whether the content is that of the file as it is
    first: str  # its first line
    start: int  # where the second line starts
    end: str  # what ends a line for polars: LF or CR
    separator: str

    def read(self, quote: str | None, names: bool, whole: Iterable[str] = (), rows: int | None = None) -> pl.DataFrame:
        """Return the table as text, but for the columns that are said to be whole numbers."""
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
        ).rechunk()


def read_text(path: Path, given: Sequence[str] | None) -> pl.DataFrame:
    """Return the table of a text file, plain or RecBole's, with columns of numbers where that loses nothing."""
    text = _open_text(path)
    if _holds(text, b"\0"):
        logger.warning("%s holds NUL, as where UTF-16 was added to UTF-8. If so, save it as UTF-8 anew.", path)
    atomic = format_of(path) in ATOMIC
    quotes = not atomic and _holds(text, b'"')
    found = _fields(text, quotes)
    _refuse_layouts(path, text, found)
    found[0] = _without_mark(found)
    typed = [name.strip().partition(":")[::2] if atomic else (name.strip(), "") for name in found]
    names = [name for name, _ in typed] if given is None else _given_names(path, given, found)
    _check_names(path, names, given is None)
    table = text.read(_quote(text), given is None) if quotes else _read_unquoted(text, given is None)
    if all(column.null_count() for column in table):
        table = table.filter(~pl.all_horizontal(pl.all().is_null()))
    if table.width != len(names):
        raise UnreadableFileError(
            f"Cannot read {path}: its lines have {counted(table.width, 'field')}, but {counted(len(names), 'name')}."
        )
    table.columns = names
    if given is None:  # "user, item": blanks around a name are around its values too
        padded = [name for name, field in zip(names, found, strict=True) if field != field.strip()]
        table = table.with_columns(table[name].str.strip_chars() for name in padded if table[name].dtype == pl.String)
    values = {column.name: _distinct(column) for column in table}
    if text.separator != "," and (commas := [name for name, column in values.items() if _has_decimal_commas(column)]):
        logger.warning("%s: commas in %s are read as decimal commas.", path, ", ".join(map(repr, commas)))
        table = table.with_columns(pl.col(commas).str.replace(",", ".", literal=True))
        values |= {name: _distinct(table[name]) for name in commas}
    mixed = not quotes and _holds(text, b"\r")
    _check_lines(path, [column for column in values.values() if column.dtype == pl.String], names, given is None, mixed)
    return table.with_columns(
        [_typed(table[name], values[name], kind, path) for name, (_, kind) in zip(names, typed, strict=True)]
    )


def first_fields(path: Path) -> list[str]:
    """Return the fields of the first line of a text file, be they names or data."""
    text = _open_text(path)
    return _fields(text, format_of(path) not in ATOMIC and _holds(text, b'"'))


def _holds(text: _Text, byte: bytes) -> bool:
    """Whether a byte is in the text, searched piece by piece: bytes are searched far faster than mapped memory."""
    return any(byte in text.content[start : start + PIECE] for start in range(0, len(text.content), PIECE))


def _fields(text: _Text, quotes: bool) -> list[str]:
    return next(csv.reader([text.first], delimiter=text.separator)) if quotes else text.first.split(text.separator)


def _open_text(path: Path) -> _Text:
    """Look at the marks, the first line and the line ends of a text file."""
    content = in_utf8(path)
    mapped = not isinstance(content, bytes)
    if other := _OTHERS.get(content[:4]):
        raise UnreadableFileError(f"Cannot read {path}: it is not text but {other}.")
    colons = b"::" in content[:PIECE] if format_of(path) == ".dat" else format_of(path) in TEXT and _COLONS(content)
    if colons and content.find(b"\t") < 0:  # MovieLens
        mapped, content = False, content[:].replace(b"::", b"\t")
    if sep := re.match(rb"(?:\xef\xbb\xbf)?sep=.\r?\n", content):  # as for Excel
        mapped, content = False, content[sep.end() :]
    if _mostly_blank(content):  # each blank line would be a row, and take 60 times its own memory
        mapped, content = False, _BLANK.sub(rb"\1\2", content[:])
    line = re.search(rb"[^\r\n]+", content)
    if line is None or re.search(rb"[^\s\xef\xbb\xbf]", content) is None:
        raise UnreadableFileError(f"Cannot read {path}: it is empty.")
    if len(line[0]) > _LONGEST:
        raise UnreadableFileError(
            f"Cannot read {path}: its first line holds {len(line[0]):,} bytes, too many for names. Is it a table?"
        )
    first = line[0].decode("utf-8-sig").lstrip("\ufeff")
    if "\0" in first:
        raise UnreadableFileError(
            f"Cannot read {path}: its first line holds NUL, so it is not UTF-8. Save it as UTF-8, such as by: iconv -f "
            f"utf-16{'be' if first[0] == chr(0) else 'le'} -t utf-8 {shlex.quote(str(path))} > "
            f"{shlex.quote(f'utf8-{path.name}')}"
        )
    after = content[line.end() : line.end() + 2]
    end = "\r" if after[:1] == b"\r" and after != b"\r\n" else "\n"
    if end == "\r" and content.find(b"\n") >= 0:
        raise _mixed_ends(path)
    tabs = format_of(path) in (".tsv", *ATOMIC)
    tabs &= "\t" in first or not set(first) & set(",;|")
    separator = "\t" if tabs else max(",;\t|", key=first.count)
    start = line.end() + (2 if after == b"\r\n" else 1)
    return _Text(path, content, mapped, first, start, end, separator)


def _mostly_blank(content: "bytes | mmap.mmap") -> bool:
    """Whether most of a text seems to be blank lines."""
    starts = range(0, len(content), max(len(content) // 64, 4096))
    some = b"".join(content[start : start + 4096] for start in starts)
    return 2 * (some.count(b"\n") + some.count(b"\r")) > len(some)


def _without_mark(first: list[str]) -> str:
    """Return the first name without the comment mark that some programs, such as NumPy, put before names."""
    bare = first[0].lstrip("#% ")
    return bare if _any_known([bare]) else first[0]


def _refuse_layouts(path: Path, text: _Text, first: list[str]) -> None:
    """Raise if a file is laid out in a way that is no table but widely known, saying how to make one of it."""
    name, table = shlex.quote(str(path)), shlex.quote(f"{path.stem}.table{path.suffix}")
    if first[0].startswith(("#", "%")) and not _any_known(text.first.split()) and _differs(text, first):
        raise UnreadableFileError(
            f"Cannot read {path}: its first line seems to be a comment. Leave it out: tail -n +2 {name} > {table}"
        )
    refuse_rows(path, first, text.separator)
    if words := _words(text, first):
        refuse_words(path, words)


def _words(text: _Text, first: list[str]) -> list[list[str]]:
    """Return what stands between the blanks of some first lines, nothing if other marks separate the fields."""
    words = text.first.split()
    mixed = text.separator == "\t" and " " in first[0].strip() and all(re.fullmatch(DATA, word) for word in words)
    if (len(first) > 1 or _any_known(first)) and not mixed:
        return []
    lines = text.content[text.start : text.start + PIECE].decode("utf-8", "replace").splitlines()
    return [words, *filter(None, map(str.split, lines[:-1] or lines))]


def _differs(text: _Text, first: list[str]) -> bool:
    """Whether the second line differs from the first in its number of fields, or of words where that is one field."""
    line = text.content[text.start : text.start + _LONGEST].partition(b"\n")[0]
    n = line.count(text.separator.encode()) + 1
    return n != len(first) or (n == 1 and len(line.split()) != len(first[0].split()))


def _given_names(path: Path, given: Sequence[str], found: list[str]) -> list[str]:
    names = [str(name) for name in given]
    if len(names) != len(found):
        raise InvalidInputError(
            f"names={names} holds {counted(len(names), 'name')}, but the first line of {path} has "
            f"{counted(len(found), 'field')} between commas, semicolons, tabs or bars. Name each."
        )
    if set(names) & set(found):
        raise InvalidInputError(f"The first line of {path} holds the names of the columns. Leave out names=.")
    return names


def _check_names(path: Path, names: list[str], from_file: bool) -> None:
    fields = names if len(names) > 1 else names[0].split()  # blanks do not separate, but data stays data
    if from_file and not _any_known(names) and any(re.fullmatch(DATA, field) for field in fields):
        raise _no_names(path, names)
    if len(set(names)) < len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(f"{path} has the column {doubled!r} more than once. Rename or drop one of them.")
    if max(map(len, names)) > 1000:
        raise UnreadableFileError(
            f"Cannot read {path}: its first line holds {max(map(len, names))} characters without a separator, which "
            f"cannot be the name of a column. Is it a table?"
        )


def _check_lines(path: Path, text: list[pl.Series], names: list[str], from_file: bool, mixed: bool) -> None:
    """Raise if names from the first line are among the values of their columns: it is data, or it comes twice."""
    if mixed and any(column.str.contains("\r", literal=True).any() for column in text):
        raise _mixed_ends(path)
    if any(column.str.starts_with("\ufeff").any() for column in text):
        raise UnreadableFileError(
            f"Cannot read {path}: a byte order mark stands inside it, as after files were joined. Join them without "
            f"their marks and, but for the first, without their lines of names."
        )
    again = [column.name for column in text if from_file and (column == column.name).any()]
    if again and not _any_known(names):
        raise _no_names(path, names)
    if len(again) == len(names):
        raise InvalidInputError(
            f"The first line of {path} stands in it again, as after two files were joined. Remove the others."
        )


def _any_known(names: list[str]) -> bool:
    return any(normalized(name) in KNOWN for name in names)


def _mixed_ends(path: Path) -> UnreadableFileError:
    return UnreadableFileError(f"Cannot read {path}: some of its lines end in CR and some in LF. Save it again.")


def _no_names(path: Path, fields: list[str]) -> NoNamesError:
    return NoNamesError(
        f"The first line of {path} holds data ({', '.join(fields[:4])}), not the names of the columns. Add a first "
        f"line such as user_id,item_id, or give names=[...], one for each column."
    )


def _read_unquoted(text: _Text, names: bool) -> pl.DataFrame:
    """Read a text without quotes: columns that begin with whole numbers as such, if they prove to be written so.

    They are if the lengths of all fields, as they would be written again, add up to that of the file.
    """
    sample = text.read(None, names, rows=100)
    whole = [column.name for column in sample if column.null_count() == 0 and as_numbers(column).dtype == pl.Int64]
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


def _bytes(column: pl.Series) -> int:
    return int(column.str.len_bytes().sum())


def _width(column: pl.Series) -> int:
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


def _distinct(column: pl.Series) -> pl.Series:
    """Return each value of a column once, if they seem to be few: what each of these is, each of the column's is."""
    few = column.dtype == pl.String and len(column) > _SAMPLE and column.head(_SAMPLE).n_unique() <= _FEW
    return column.unique() if few else column


def _typed(column: pl.Series, distinct: pl.Series, kind: str, path: Path) -> pl.Series:
    """Return a column as RecBole's type says, or as numbers if that loses nothing."""
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
    numbers = as_numbers(distinct)
    if numbers.dtype == pl.String and not kind:
        _note_word(distinct)
    if numbers.dtype == pl.String or (kind == "token" and numbers.dtype == pl.Float64):
        return column
    if distinct is column:
        return numbers
    return (_with_gaps(column) if numbers.null_count() > distinct.null_count() else column).cast(numbers.dtype)


def _note_word(column: pl.Series) -> None:
    """Log that a column is text because of a single word among its numbers, which may stand where there is no value."""
    some = column.head(_SAMPLE).drop_nulls()
    words = some.filter(some.cast(pl.Float64, strict=False).is_null())
    if 0 < 2 * len(words) <= len(some) and words.n_unique() == 1:
        logger.warning("column %r holds %r among numbers, and is read as text", column.name, words[0])


def _with_gaps(column: pl.Series) -> pl.Series:
    """Return a column of text without the values that only say that there is none."""
    return column.set(column.str.strip_chars().is_in(_frames.MISSING), None)


def _has_decimal_commas(column: pl.Series) -> bool:
    """Whether a column of text holds numbers with decimal commas, not all of which could separate thousands."""
    if column.dtype != pl.String or not column.str.contains(",", literal=True).any():
        return False
    known = _with_gaps(column).drop_nulls()
    if not known.str.contains(r"^[+-]?\d+(,\d+)?$").all() or not known.str.contains(r",(\d\d?|\d{4,})$").any():
        return False
    return as_numbers(column.str.replace(",", ".", literal=True)).dtype == pl.Float64


def as_numbers(column: pl.Series) -> pl.Series:
    """Return a column of text as numbers if that loses nothing but ways to write that there is no value."""
    if column.dtype != pl.String or _cast(_with_gaps(column.head(100)), pl.Float64) is None:
        return column
    whole = _cast(column, pl.Int64)
    if whole is not None:
        return whole if _bytes(column) == _width(whole) else column
    decimal = _cast(column, pl.Float64)
    if decimal is not None:
        return column if column.str.contains(_LIKE_AN_ID).any() else decimal
    rest = _with_gaps(column)
    numbers = as_numbers(rest) if rest.null_count() > column.null_count() else rest
    return column if numbers.dtype == pl.String else numbers


def _cast(column: pl.Series, kind: type[pl.DataType]) -> pl.Series | None:
    """Return a column as numbers if all its values are such."""
    numbers = column.cast(kind, strict=False)
    return numbers if numbers.null_count() == column.null_count() else None
