"""Any engine's frame in, a checked Polars table out; and ids, to and from codes. Polars is the embedded engine."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from headtail._checks import shown
from headtail._columns import logger, resolve_columns
from headtail._containers import frame_of, is_missing as is_missing, is_several, mixed_values, objects, series
from headtail._native import (
    as_native as as_native,
    collected,
    column_names as column_names,
    is_frame as is_frame,
    series_frame,
    unnested as unnested,
)
from headtail._printable import counted, kind_of
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Codes

# What databases, pandas and R write where there is no value. As a name of its own it would be one busy user.
MISSING = {
    "", "NULL", "null", "Null", "(null)", "(NULL)", "[NULL]", "<null>", "#NULL!", r"\N", "<NA>", "NA", "N/A", "n/a",
    "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "None", "none", "NONE", "NaN", "nan", "NAN", "NaT",
}  # fmt: skip
_IDS = ("user_id", "item_id")
_PART = 1 << 16
_SHORTENED = r"^[+-]?\d([.,]\d+)?E\+\d\d+$"
_LISTED = r"(?s)^(\[.*\]|\w*\d\w*([ ,;|]+\w*\d\w*)*)$"  # what may be several ids in one text


def to_table(
    frame: Any,
    *,
    required: Iterable[str],
    optional: Iterable[str] = (),
    given: Mapping[str, Any] | None = None,
    what: str = "the table",
) -> pl.DataFrame:
    """Narrow any engine's frame to the columns of the given roles and collect it, as :func:`named_table` does."""
    return named_table(frame, required=required, optional=optional, given=given, what=what)[0]


def named_table(
    frame: Any, *, required: Iterable[str], optional: Iterable[str], given: Mapping[str, Any] | None, what: str
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return a Polars frame of the columns of the given roles of any engine's frame, and the name of each column.

    Ids come back as Int64 or String: integers of any width, whole floats and categories are converted.
    """
    required, frame = list(required), as_native(frame, what)
    native = unnested(frame, what, [role for role in _IDS if role in required], given)
    names = column_names(native, what)
    apart = {name for name in column_names(frame, what) if name not in names}
    given = {role: name for role, name in (given or {}).items() if name not in apart}
    columns = resolve_columns(names, required, optional, given, what)
    table = _exploded(collected(native, columns, what), columns, what)
    if table.is_empty():
        raise InvalidInputError(f"{what} has no rows. Check the filter or the file it came from.")
    for role in columns:
        if role in required and role not in _IDS and role != "title":  # an item without a title shows its id
            _refuse_missing(table[role], columns[role], role, what)
    table = table.with_columns([id_column(table[role], columns[role], what) for role in columns if role in _IDS])
    if set(_IDS) <= set(columns) and isinstance(table["item_id"].dtype, pl.String):
        refuse_lists_in_text(table["item_id"], columns["item_id"], what, table["user_id"])
    return table, columns


def refuse_lists_in_text(items: pl.Series, column: Any, what: str, users: pl.Series | None = None) -> None:
    """Raise where each row seems to hold several items in one text, which is no id."""
    if holds_lists(items, users):
        first = items.head(100)
        several = first.filter(first.str.contains("[ ,;|]"))
        raise InvalidInputError(
            f"{what} has lists written as text in {column!r}, such as {shown(several[:1])}. Make lists of it: "
            f"frame.with_columns(pl.col({column!r}).str.extract_all(r'[\\w.-]+')) in Polars, then "
            f".cast(pl.List(pl.Int64)) if ids are numbers; frame[{column!r}] = frame[{column!r}].str.findall("
            f"r'[\\w.-]+') in pandas, then .map(lambda ids: [*map(int, ids)]). If each is one id, join it by '-'."
        )


def holds_lists(items: pl.Series, users: pl.Series | None = None) -> bool:
    """Whether each text seems to hold several items, and is not an id in parts, such as "12|34".

    Ids have as many parts in each row, and few, and a user, where these are known, has several rows.
    """
    first = items.head(100)
    several = first.filter(first.str.contains("[ ,;|]"))
    written = bool(first.str.starts_with("[").all())
    if len(several) <= (0 if written else len(first) // 2) or not first.str.contains(_LISTED).all():
        return False
    marks = several.str.count_matches("[ ,;|]+")
    alike = len(several) == len(first) and marks.n_unique() == 1 and marks[0] < 5
    in_parts = alike and users is not None and users.is_duplicated().any()
    return written or not in_parts


def _exploded(table: pl.DataFrame, columns: Mapping[str, Any], what: str) -> pl.DataFrame:
    """Return a row for each item of a table whose rows hold lists of items."""
    if "item_id" not in columns or not isinstance(table["item_id"].dtype, (pl.List, pl.Array)):
        return table
    nested = [role for role in columns if isinstance(table[role].dtype, (pl.List, pl.Array)) and role != "user_id"]
    try:
        rows = table.filter(pl.col("item_id").list.len() > 0 if table["item_id"].dtype == pl.List else pl.lit(True))
        rows = rows.explode(nested)
    except pl.exceptions.PolarsError as error:
        raise InvalidInputError(
            f"{what} has lists in {', '.join(repr(columns[role]) for role in nested)} that do not pair: "
            f"{str(error).splitlines()[0]}. Give each row lists of one length."
        ) from None
    return rows


def read_ids(values: Any, role: str, what: str) -> pl.Series:
    """Return ids given as a frame with such a column, a series, an array or any other collection."""
    keyed = isinstance(values, Mapping) and not _holds_column(values, role)
    held = None if keyed else frame_of(values, what)  # a dict of columns, or a list of dicts
    known = series_frame(values if held is None else held, role)
    if known is not None:
        return to_table(known, required=(role,), what=what)[role]
    if isinstance(values, Mapping):
        values = _in_order(values, what)
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidInputError(f"{what}={shown([values])} is no collection of ids. Give a list, such as [1, 2, 3].")
    if hasattr(values, "__array__") and not isinstance(values, np.ma.MaskedArray):
        try:
            values = np.asarray(values)
        except Exception as error:  # a tensor of another device or type, say
            raise InvalidInputError(f"{what} is {kind_of(values)} that is no array: {error}.") from error
    array = values if isinstance(values, np.ndarray) else objects(values)
    if array.ndim != 1 or not len(array):
        raise InvalidInputError(
            f"{what} has shape {array.shape}; give at least one {role.replace('_', ' ')}, in one dimension."
        )
    return id_column(series(role, array, role, what), role, what)


def _holds_column(values: Mapping[Any, Any], role: str) -> bool:
    """Whether a mapping is one of columns, among them one of this role."""
    names = (name for name, column in values.items() if isinstance(name, str) and is_several(column))
    return bool(resolve_columns(names, (), [role]))


def _in_order(numbered: Mapping[Any, Any], what: str) -> list[Any]:
    """Return the ids of a mapping between ids and rows in the order of the rows."""
    rows = range(len(numbered))
    by_id = {row: key for key, row in numbered.items() if isinstance(row, (int, np.integer))}
    ways = [[found[row] for row in rows] for found in (by_id, numbered) if found.keys() == set(rows)]
    if not ways or any(way != ways[0] for way in ways):
        raise InvalidInputError(
            f"{what} is a mapping that {'could be read both ways' if ways else 'does not number its ids from 0'}. Give "
            f"a list in the order of the rows: sorted(ids, key=ids.get) if it maps ids to rows."
        )
    return ways[0]


def unique_ids(values: Any, role: str, n: int | None = None) -> Array:
    """Return ids as an array; raise if one stands there more than once, or if there are not `n` of them."""
    found = to_ids(read_ids(values, role, f"{role}s"))
    distinct, counts = np.unique(found, return_counts=True)
    if (counts > 1).any():
        raise InvalidInputError(
            f"{role}s holds {shown(distinct[counts > 1])} more than once. Give each row an id of its own."
        )
    if n is not None and len(found) != n:
        raise InvalidInputError(
            f"{role}s holds {counted(len(found), 'id')} for {counted(n, role[:-3])}. Give one id for each."
        )
    return found


def hashes(ids: Array) -> Array:
    """Return a hash of each id, which is the same wherever the id stands."""
    return from_ids(ids, np.arange(len(ids), dtype=np.int32)).hash().to_numpy()


def first_titles(table: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each item with the first of its titles; log that an item has several."""
    if isinstance(table["title"].dtype, pl.Binary):
        table = table.with_columns(_as_text(table["title"], "title", "titles"))
    title = table["title"]
    known = title.is_not_null()
    if title.dtype.is_float():
        known &= title.is_not_nan()
    elif isinstance(title.dtype, pl.String):
        known &= title.str.strip_chars() != ""
    titled = table.filter(known).unique(["item_id", "title"], keep="first", maintain_order=True)
    found = pl.concat([titled, table.filter(~known)]).unique("item_id", keep="first", maintain_order=True)
    if len(more := titled.filter(titled["item_id"].is_duplicated())):
        n, of_one = more["item_id"].n_unique(), more.filter(more["item_id"] == more["item_id"][0])
        logger.warning(
            "%s several titles, such as %s of %s; the first is taken.", counted(n, "item", "has", "have"),
            shown(of_one["title"]), shown(of_one["item_id"][:1]),
        )  # fmt: skip
    return found


def as_ids(values: Any, role: str, what: str) -> Array:
    """Return ids as an int64 or object array, the two that join without loss: int64 with uint64 would be floats."""
    known = np.asarray(values)
    if known.dtype in (np.int64, object) and known.ndim == 1:
        return known
    return to_ids(read_ids(known, role, what)) if known.size or known.ndim != 1 else known.astype(np.int64)


def id_column(ids: pl.Series, column: Any, what: str) -> pl.Series:
    """Return ids as Int64 or String, the two forms that the rest of the package knows."""
    if isinstance(ids.dtype, (pl.Categorical, pl.Enum, pl.Binary)):
        ids = _as_text(ids, column, what)
    _refuse_missing(ids, column, ids.name, what)
    if isinstance(ids.dtype, pl.String):
        return ids
    if ids.dtype.is_numeric():
        # Floats arise when a table with gaps passes through pandas: 1.0, 2.0 are the ids 1 and 2. A string of digits is
        # never made a number here, so that "007" and "7" stay two ids.
        whole = ids.cast(pl.Int64, strict=False)
        wrong = whole.is_null()
        if not ids.dtype.is_integer():
            wrong |= whole.cast(ids.dtype, strict=False) != ids
        if wrong.any():
            raise InvalidInputError(
                f"{what} has ids in {column!r} that are not whole numbers of 64 bits; the first is "
                f"{ids.filter(wrong)[0]}. Cast the column to text."
            )
        if ids.dtype.is_float():
            # From here on a float stands for several whole numbers, so that different ids may have become one.
            inexact = 2 ** (11 if ids.dtype == pl.Float16 else 24 if ids.dtype == pl.Float32 else 53)
            if (largest := int(ids.abs().max())) >= inexact:  # type: ignore[arg-type]
                raise InvalidInputError(
                    f"{what} has ids in {column!r} that are {ids.dtype} and reach {largest}; such numbers are exact "
                    f"below {inexact} only, and different ids may have become one. Read the ids as whole numbers or "
                    f"text where they come from."
                )
        return whole
    if isinstance(ids.dtype, pl.Object):
        raise mixed_values(what, column, ids.to_list())
    if isinstance(ids.dtype, pl.Struct):  # none of its fields is one, which this says
        resolve_columns(ids.struct.fields, [ids.name], what=f"{what}, in {column!r},")
    raise InvalidInputError(f"{what} has ids of type {ids.dtype} in {column!r}. Cast them to whole numbers or text.")


def _as_text(values: pl.Series, column: Any, what: str) -> pl.Series:
    try:
        return values.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise InvalidInputError(f"{what} has bytes in {column!r} that are not UTF-8. Decode them to text.") from None


def _refuse_missing(values: pl.Series, column: Any, role: str, what: str) -> None:
    missing = values.null_count()
    if values.dtype.is_float():
        missing += int(values.is_nan().sum())
    if missing:
        raise InvalidInputError(
            f"{what} has {counted(missing, 'missing value')} in {column!r} ({role}). Drop or fill those rows first."
        )
    if role in _IDS and isinstance(values.dtype, pl.String):
        short = values.filter(values.str.len_bytes() <= 24)  # no such word or number is longer
        gaps = short.filter(short.str.strip_chars().is_in(MISSING))
        if len(gaps):
            raise InvalidInputError(
                f"{what} has {counted(len(gaps), 'missing value')} in {column!r} ({role}), written {gaps[0]!r}. Drop "
                f"or fill those rows first. If one is really called so, give it another name."
            )
        if (shortened := short.str.contains(_SHORTENED)).any():
            raise InvalidInputError(
                f"{what} has ids in {column!r} that a spreadsheet shortened, such as {short.filter(shortened)[0]!r}; "
                f"different ids may have become one. Show them there as text or whole numbers and export it again."
            )


def encode(ids: pl.Series) -> tuple[Array, Codes]:
    """Number the distinct ids in ascending order.

    Returns
    -------
    distinct : array of shape (n_distinct,)
        int64 for whole numbers, object for strings.
    codes : int32 array of shape (n,)
        Position of each id in `distinct`.
    """
    if ids.dtype.is_integer() and len(ids):
        low, high = int(ids.min()), int(ids.max())  # type: ignore[arg-type]
        widest = 4 * len(ids) + 1_000_000
        if high - low <= widest:  # a table over the range is the cheapest index there is
            if low > 0 and high <= widest:
                low = 0  # the ids themselves are the offsets
            present, codes = np.zeros(high - low + 1, dtype=bool), np.empty(len(ids), dtype=np.int32)
            for rows, part in _parts(ids):
                offsets = part - low if low else part
                present[offsets] = True
                codes[rows] = offsets
            if present.all():
                return np.arange(high - low + 1) + low, codes
            positions = np.cumsum(present, dtype=np.int32) - np.int32(1)
            return np.flatnonzero(present).astype(np.int64) + low, positions[codes]
    distinct = to_ids(ids.unique().sort())
    return distinct, lookup(ids, distinct)


def _parts(ids: pl.Series) -> Iterator[tuple[slice, Array]]:
    """Yield whole numbers as int64, in parts that stay in the cache: fresh memory costs more than the work on it."""
    end = 0
    for chunk in ids.get_chunks():
        for start in range(0, len(chunk), _PART):
            part = chunk[start : start + _PART].to_numpy().astype(np.int64, copy=False)
            rows, end = slice(end, end + len(part)), end + len(part)
            yield rows, part


def to_ids(ids: pl.Series) -> Array:
    """Return ids as numpy: int64 for whole numbers, object for strings."""
    if ids.dtype.is_integer():
        return ids.to_numpy().astype(np.int64)
    return np.array(ids.to_list(), dtype=object)


def lookup(ids: pl.Series | Array, known: Array, what: str = "ids", among: str = "the interactions") -> Codes:
    """Return the position of each id among the `known` ones, -1 where it is not one of them."""
    ids = pl.Series("id", ids)
    if not len(known):
        return np.full(len(ids), -1, dtype=np.int32)
    vocabulary = pl.Series("id", known.tolist() if known.dtype == object else known)
    if ids.dtype.is_integer() != vocabulary.dtype.is_integer() and len(ids):
        raise InvalidInputError(
            f"{what}: ids are {ids.dtype} here and {vocabulary.dtype} in {among}. Cast one of them."
        )
    if ids.dtype.is_integer():
        low, high = int(known.min()), int(known.max())
        if high - low <= 4 * (len(ids) + len(known)) + 1_000_000:
            positions = np.full(high - low + 1, -1, dtype=np.int32)
            positions[known - low] = np.arange(len(known), dtype=np.int32)
            codes = np.empty(len(ids), dtype=np.int32)
            for rows, part in _parts(ids):
                inside = (part >= low) & (part <= high)
                if inside.all():
                    codes[rows] = positions.take(part - low)
                else:
                    codes[rows] = np.where(inside, positions[np.where(inside, part - low, 0)], np.int32(-1))
            return codes
        ids, vocabulary = ids.cast(pl.Int64), vocabulary.cast(pl.Int64)
    code = pl.Series("code", np.arange(len(known), dtype=np.int32))
    left, right = pl.DataFrame({"id": ids}), pl.DataFrame({"id": vocabulary, "code": code})
    joined = left.join(right, on="id", how="left", maintain_order="left")
    return joined["code"].fill_null(-1).to_numpy()


def from_ids(ids: Array, codes: Codes) -> pl.Series:
    """Return the external ids of codes as a Polars column."""
    vocabulary = pl.Series(ids.tolist(), dtype=pl.String) if ids.dtype == object else pl.Series(ids)
    return vocabulary.gather(codes)


def labels(values: pl.Series, what: str) -> pl.Series:
    """Return the name of each row's group as text, "missing" without one; raise if a row holds several."""
    if values.dtype.is_nested():
        raise InvalidInputError(
            f"{what} has {values.dtype} in {values.name!r}; a user is in one group of each column. Give one value a "
            f"row, or leave the column out."
        )
    if isinstance(values.dtype, (pl.Object, pl.Binary, pl.Duration)):  # such as the intervals that pandas.cut makes
        text = pl.Series(values.name, [None if value is None else str(value) for value in values.to_list()], pl.String)
    elif values.dtype.is_float():
        text = values.fill_nan(None).cast(pl.String).replace("-0.0", "0.0")
    else:
        text = values.cast(pl.String)
    text = text.str.strip_chars()
    return text.replace("", None).fill_null("missing")


def _number_reader(values: pl.Series, column: Any) -> str:
    """Return words for the line of Polars that makes numbers of these texts, if one does."""
    if values.dtype == pl.Boolean:
        return f", such as by: frame.with_columns(pl.col({column!r}).cast(pl.Int8)) in Polars"
    if values.dtype != pl.String:
        return ""
    number = r"^\s*(-?\d+\.?\d*)[^\d.,]*$"
    ways = [(values.str.strip_chars("% "), "strip_chars('% ')"), (values.str.extract(number), f"extract(r'{number}')")]
    if values.str.contains(r"^-?\d+,(\d\d?|\d{4,})$").any() and not values.str.contains(r",.*[,.]|\..*,").any():
        ways.append((values.str.replace(",", ".", literal=True), "replace(',', '.')"))
    for found, code in ways:
        if found.cast(pl.Float64, strict=False).is_not_null().all():
            return f", such as by: frame.with_columns(pl.col({column!r}).str.{code}.cast(pl.Float64)) in Polars"
    return ""


def numbers(values: pl.Series, column: Any, what: str) -> Array:
    """Return a column of real numbers as numpy, decimals and very wide integers as float64; raise if it is no such."""
    if not values.dtype.is_numeric():
        raise InvalidInputError(
            f"{what} has {values.dtype} in {column!r}, for example {shown(values[:1].to_list())}; it must be numbers. "
            f"Cast the column{_number_reader(values, column)}, or drop the column {column!r}."
        )
    wide = isinstance(values.dtype, (pl.Decimal, pl.Int128, pl.UInt128))
    return (values.cast(pl.Float64) if wide else values).to_numpy()
