"""The one place that speaks narwhals: any engine's frame in, a checked Polars table out.

Polars is the embedded engine. A frame of another engine (pandas, PyArrow, DuckDB, PySpark, Modin ...) is narrowed to
the columns that are needed inside that engine, and only those are collected.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from headtail._checks import finite, nearest
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.typing import Array, Codes

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger("headtail")

ALIASES: dict[str, tuple[str, ...]] = {
    "user_id": ("user", "userid", "uid", "query_id", "queryid", "query", "customer_id", "customerid", "reviewer_id",
                "reviewerid", "session_id", "sessionid", "visitor_id", "visitorid", "account_id"),
    "item_id": ("item", "itemid", "iid", "movie_id", "movieid", "product_id", "productid", "asin", "artist_id",
                "artistid", "track_id", "song_id", "business_id", "book_id", "game_id", "article_id", "news_id",
                "doc_id", "document_id"),
    "rating": ("weight", "score", "stars", "overall", "plays", "count", "value", "label", "relevance"),
    "timestamp": ("time", "datetime", "date", "unix_timestamp", "event_time", "ts"),
    "order": ("position", "step"),
    "rank": ("position", "place"),
    "score": ("prediction", "rating", "estimate", "relevance", "weight"),
    "title": ("item_title", "movie_title", "name", "artist", "artist_name"),
    "item_title": ("movie_title",),
    "genres": ("genre", "category", "categories"),
    "group": ("segment", "cohort", "gender"),
}  # fmt: skip


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def resolve_columns(
    names: Iterable[str],
    required: Iterable[str],
    optional: Iterable[str] = (),
    given: Mapping[str, str | None] | None = None,
    what: str = "the table",
) -> dict[str, str]:
    """Find the column of each role: the one given, the role's own name, or a common alias, in that order.

    Returns
    -------
    dict
        Role to column name, for the required roles and those optional ones that are there.
    """
    names = list(names)
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise InvalidInputError(f"{what} has the column {doubled[0]!r} more than once. Rename or drop one of them.")
    named = {role: name for role, name in (given or {}).items() if name is not None}
    required = list(required)
    found: dict[str, str] = {}
    for role in [*required, *optional]:
        if role in named:
            if named[role] not in names:
                raise MissingColumnError(f"{what} has no column {named[role]!r}. {nearest(named[role], names)}")
            found[role] = named[role]
            continue
        accepted = [role, *ALIASES.get(role, ())]
        taken = {*found.values(), *named.values()}
        plain = {_plain(n): n for n in reversed(names) if n not in taken}
        match = role if role in names and role not in taken else next((plain[a] for a in accepted if a in plain), None)
        if match is not None:
            found[role] = match
        elif role in required:
            raise MissingColumnError(
                f"{what} has no column {role!r}, nor one of its usual names ({', '.join(accepted[1:5])} ...). "
                f"{nearest(role, names)} Name it, for example {role.removesuffix('_id')}={(names or ['name'])[0]!r}."
            )
    renamed = {role: name for role, name in found.items() if role != name}
    if renamed:
        logger.info("%s: read %s", what, ", ".join(f"{name!r} as {role}" for role, name in renamed.items()))
    return found


def to_table(
    frame: Any,
    *,
    required: Iterable[str],
    optional: Iterable[str] = (),
    given: Mapping[str, str | None] | None = None,
    what: str = "the table",
) -> "pl.DataFrame":
    """Narrow any engine's frame to the columns of the given roles and collect it as a Polars frame.

    Ids come back as Int64 or String: integers of any width, whole floats and categories are converted.

    Raises
    ------
    InvalidInputError
        If it is not a frame, is empty, has a doubled column, missing ids, ids of mixed type, or ids that are neither
        whole numbers nor text.
    MissingColumnError
        If a required column is not there.
    """
    try:
        native: Any = nw.from_native(frame)
        names = native.collect_schema().names()
    except TypeError:
        raise InvalidInputError(
            f"{what} is a {type(frame).__name__}, not a frame. Give a pandas, Polars, PyArrow, DuckDB or PySpark frame."
        ) from None
    except nw.exceptions.DuplicateError as error:
        raise InvalidInputError(f"{what} has a column more than once ({error}). Rename or drop one of them.") from None
    columns = resolve_columns(names, required, optional, given, what)
    narrowed = native.select(*(nw.col(name).alias(role) for role, name in columns.items()))
    table = _collect(narrowed, columns, what)
    if table.is_empty():
        raise InvalidInputError(f"{what} has no rows. Check the filter or the file it came from.")
    for role in columns:
        missing = table[role].null_count()
        if table[role].dtype.is_float():
            missing += int(table[role].is_nan().sum())
        if missing and role in required and role != "title":  # an item without a title shows its id
            raise InvalidInputError(
                f"{what} has {missing} missing values in {columns[role]!r} ({role}). Drop or fill those rows first."
            )
    ids = [_whole_or_text(table[role], columns[role], what) for role in columns if role in ("user_id", "item_id")]
    return table.with_columns(ids)


def _whole_or_text(ids: "pl.Series", column: str, what: str) -> "pl.Series":
    """Return ids as Int64 or String, the two forms that the rest of the package knows."""
    import polars as pl

    if isinstance(ids.dtype, (pl.String, pl.Categorical, pl.Enum)):
        return ids.cast(pl.String)
    if ids.dtype.is_numeric():
        # Floats arise when a table with gaps passes through pandas: 1.0, 2.0 are the ids 1 and 2. A string of digits is
        # never made a number here, so that "007" and "7" stay two ids.
        whole = ids.cast(pl.Int64, strict=False)
        wrong = whole.is_null() if ids.dtype.is_integer() else whole.is_null() | (whole.cast(pl.Float64) != ids)
        if not wrong.any():
            return whole
        raise InvalidInputError(
            f"{what} has ids in {column!r} that are not whole numbers of 64 bits; the first is {ids.filter(wrong)[0]}. "
            f"Cast the column to text."
        )
    if isinstance(ids.dtype, pl.Object):
        raise _mixed(what, column, ids.to_list())
    raise InvalidInputError(f"{what} has ids of type {ids.dtype} in {column!r}. Cast them to whole numbers or text.")


def _mixed(what: str, column: str, values: list[Any]) -> InvalidInputError:
    kinds = ", ".join(sorted({type(v).__name__ for v in values}))
    return InvalidInputError(
        f"{what} has values of mixed type in {column!r} ({kinds}). Cast the column to one type, for example to text."
    )


def _collect(frame: Any, columns: Mapping[str, str], what: str) -> "pl.DataFrame":
    import polars as pl

    if isinstance(frame, nw.LazyFrame):
        return frame.collect("polars").to_native()  # type: ignore[no-any-return]
    if not frame.implementation.is_pandas_like():
        return frame.to_polars()  # type: ignore[no-any-return]
    # By way of numpy, so that pandas users need no pyarrow.
    series = []
    for role in frame.columns:
        values: Any = frame[role].to_numpy()
        if values.dtype == object:
            missing = frame[role].is_null().to_numpy().astype(bool)
            values = [None if gap else value for value, gap in zip(values.tolist(), missing.tolist(), strict=True)]
        try:
            series.append(pl.Series(role, values))
        except (TypeError, pl.exceptions.PolarsError):
            raise _mixed(what, columns[role], values) from None
    return pl.DataFrame(series)


def column_names(frame: Any) -> list[str]:
    """Return the column names of a frame of any engine."""
    return list(nw.from_native(frame).collect_schema().names())


def encode(ids: "pl.Series") -> tuple[Array, Codes]:
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
        if high - low <= 4 * len(ids) + 1_000_000:  # a table over the range is the cheapest index there is
            offsets = np.subtract(ids.to_numpy(), low, dtype=np.int64)
            present = np.zeros(high - low + 1, dtype=bool)
            present[offsets] = True
            if present.all():
                return np.arange(low, high + 1), offsets.astype(np.int32)
            positions = np.cumsum(present, dtype=np.int32) - np.int32(1)
            return np.flatnonzero(present).astype(np.int64) + low, positions[offsets]
    distinct = to_ids(ids.unique().sort())
    return distinct, lookup(ids, distinct)


def to_ids(ids: "pl.Series") -> Array:
    """Return ids as numpy: int64 for whole numbers, object for strings."""
    if ids.dtype.is_integer():
        return ids.to_numpy().astype(np.int64)
    return np.array(ids.to_list(), dtype=object)


def lookup(ids: "pl.Series | Array", known: Array, what: str = "ids") -> Codes:
    """Return the position of each id among the `known` ones, -1 where it is not one of them."""
    import polars as pl

    ids = pl.Series("id", ids)
    vocabulary = pl.Series("id", known.tolist() if known.dtype == object else known)
    if ids.dtype.is_integer() != vocabulary.dtype.is_integer() and len(ids) and len(vocabulary):
        raise InvalidInputError(
            f"{what}: ids are {ids.dtype} here and {vocabulary.dtype} in the interactions. Cast one of them."
        )
    if ids.dtype.is_integer() and len(known):
        low, high = int(known.min()), int(known.max())
        if high - low <= 4 * (len(ids) + len(known)) + 1_000_000:
            positions = np.full(high - low + 1, -1, dtype=np.int32)
            positions[known - low] = np.arange(len(known), dtype=np.int32)
            values = ids.to_numpy().astype(np.int64, copy=False)
            inside = (values >= low) & (values <= high)
            codes: Codes = positions[np.where(inside, values - low, 0)]
            return codes if inside.all() else np.where(inside, codes, np.int32(-1))
        ids, vocabulary = ids.cast(pl.Int64), vocabulary.cast(pl.Int64)
    code = pl.Series("code", np.arange(len(known), dtype=np.int32))
    left, right = pl.DataFrame({"id": ids}), pl.DataFrame({"id": vocabulary, "code": code})
    joined = left.join(right, on="id", how="left", maintain_order="left")
    return joined["code"].fill_null(-1).to_numpy()


def from_ids(ids: Array, codes: Codes) -> "pl.Series":
    """Return the external ids of codes as a Polars column."""
    import polars as pl

    vocabulary = pl.Series(ids.tolist(), dtype=pl.String) if ids.dtype == object else pl.Series(ids)
    return vocabulary.gather(codes)


def seconds(times: "pl.Series", column: str = "timestamp") -> Array:
    """Return times as Unix seconds, int64 where whole: numbers stay as they are, dates and ISO 8601 text are converted.

    Times of day without a zone are read as UTC.
    """
    import polars as pl

    if times.null_count():
        raise InvalidInputError(f"{column} has {times.null_count()} missing values. Drop or fill those rows first.")
    if isinstance(times.dtype, pl.String):
        times = _parse_times(times, column)
    if isinstance(times.dtype, (pl.Date, pl.Datetime)):
        micro = times.dt.epoch("us").to_numpy()
        return micro // 1_000_000 if not (micro % 1_000_000).any() else micro / 1e6
    if not times.dtype.is_numeric():
        raise InvalidInputError(f"{column} is {times.dtype}. Give Unix seconds, dates, or text in ISO 8601.")
    values = times.cast(pl.Int64 if times.dtype.is_integer() else pl.Float64).to_numpy()
    finite(column, values)
    return values


def _parse_times(times: "pl.Series", column: str) -> "pl.Series":
    import polars as pl

    # Year first only: whether 1/2/2020 is in January or in February nobody can know.
    wrong = ~times.str.contains(r"^\d{4}-\d{2}-\d{2}")
    if not wrong.any():
        try:
            times = times.str.to_datetime(strict=False)
            if not times.null_count():
                return times
        except pl.exceptions.PolarsError:
            pass
        raise InvalidInputError(f"{column} holds text in several forms, or times that do not exist. Parse it first.")
    raise InvalidInputError(f"{column} holds {times.filter(wrong)[0]!r}, which is no ISO 8601 time. Parse it first.")
