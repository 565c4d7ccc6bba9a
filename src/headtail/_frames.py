"""The one place that speaks narwhals: any engine's frame in, a checked Polars table out.

Polars is the embedded engine. A frame of another engine (pandas, PyArrow, DuckDB, PySpark, Modin ...) is narrowed to the
columns that are needed inside that engine, and only those are collected.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from headtail._checks import nearest
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.typing import Array, Codes

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger("headtail")

ALIASES: dict[str, tuple[str, ...]] = {
    "user_id": ("user", "userid", "uid", "query_id", "queryid", "query", "customer_id", "session_id", "visitorid"),
    "item_id": ("item", "itemid", "iid", "movie_id", "movieid", "product_id", "asin", "artist_id", "artistid", "track_id",
                "business_id", "book_id", "article_id", "doc_id", "document_id"),
    "rating": ("weight", "score", "stars", "plays", "count", "value", "label", "relevance"),
    "timestamp": ("time", "datetime", "date", "unix_timestamp", "event_time", "ts"),
    "order": ("position", "step"),
    "rank": ("position", "place"),
    "score": ("prediction", "rating", "estimate", "relevance", "weight"),
    "title": ("name", "item_title", "movie_title", "artist", "artist_name"),
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
    given = {role: name for role, name in (given or {}).items() if name is not None}
    required = list(required)
    found: dict[str, str] = {}
    for role in [*required, *optional]:
        if role in given:
            if given[role] not in names:
                raise MissingColumnError(f"{what} has no column {given[role]!r}. {nearest(given[role], names)}")
            found[role] = given[role]
            continue
        accepted = [role, *ALIASES.get(role, ())]
        taken = {*found.values(), *given.values()}
        plain = {_plain(n): n for n in reversed(names) if n not in taken}
        match = next((plain[a] for a in accepted if a in plain), None)
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

    Raises
    ------
    InvalidInputError
        If it is not a frame, is empty, has a doubled column, missing ids, or ids of mixed type.
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
    table = _collect(narrowed, what)
    if table.is_empty():
        raise InvalidInputError(f"{what} has no rows. Check the filter or the file it came from.")
    for role in columns:
        missing = table[role].null_count()
        if table[role].dtype.is_float():
            missing += int(table[role].is_nan().sum())
        if missing and role in required:
            raise InvalidInputError(
                f"{what} has {missing} missing values in {columns[role]!r} ({role}). Drop or fill those rows first."
            )
    return table


def _collect(frame: Any, what: str) -> "pl.DataFrame":
    import polars as pl

    if isinstance(frame, nw.LazyFrame):
        return frame.collect("polars").to_native()  # type: ignore[no-any-return]
    if not frame.implementation.is_pandas_like():
        return frame.to_polars()  # type: ignore[no-any-return]
    # By way of numpy, so that pandas users need no pyarrow.
    series = []
    for name in frame.columns:
        column = frame[name]
        try:
            values: Any = column.to_numpy()
            if values.dtype == object:
                values = [None if v is None or v != v else v for v in values.tolist()]
            series.append(pl.Series(name, values))
        except (TypeError, pl.exceptions.PolarsError):
            kinds = sorted({type(v).__name__ for v in column.to_list()})
            raise InvalidInputError(
                f"{what} has values of mixed type in {name!r} ({', '.join(kinds)}). "
                f"Cast the column to one type, for example with .astype(str)."
            ) from None
    return pl.DataFrame(series)


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
            offsets = ids.to_numpy().astype(np.int64) - low
            present = np.zeros(high - low + 1, dtype=bool)
            present[offsets] = True
            positions = np.cumsum(present, dtype=np.int32) - np.int32(1)
            return np.flatnonzero(present).astype(np.int64) + low, positions[offsets]
    distinct = ids.unique().sort()
    return to_ids(distinct), lookup(ids, to_ids(distinct))


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
            values = ids.to_numpy().astype(np.int64)
            inside = (values >= low) & (values <= high)
            if inside.all():
                return positions[values - low]
            return np.where(inside, positions[np.where(inside, values - low, 0)], np.int32(-1))
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


def seconds(times: "pl.Series") -> Array:
    """Return times as Unix seconds: numbers stay as they are, dates and datetimes are converted."""
    import polars as pl

    if times.dtype.is_temporal():
        return times.cast(pl.Datetime("us")).dt.epoch("us").to_numpy() / 1e6
    if not times.dtype.is_numeric():
        raise InvalidInputError(f"timestamp is {times.dtype}. Give Unix seconds or a date type; parse strings first.")
    return times.to_numpy()
