"""Times of any form as Unix seconds."""

import re
from typing import Any

import numpy as np
import polars as pl

from headtail._checks import finite
from headtail._columns import called, logger
from headtail._printable import counted
from headtail.exceptions import InvalidInputError
from headtail.typing import Array

_SINCE, _UNTIL = 6e8, 4.1e9  # 1989 to 2099, in seconds


def seconds(times: pl.Series, name: Any = "timestamp") -> Array:
    """Return times as Unix seconds, int64 where whole: numbers stay as they are, dates and ISO 8601 text are converted.

    Times without a zone are read as UTC, and whole numbers that are all dates, such as 20200705 or 20200705183000, as
    dates. Times finer than a microsecond come back as whole nanoseconds, since a float of seconds would lose their
    order.
    """
    column = called(name, "timestamp")
    if times.null_count():
        raise InvalidInputError(
            f"{column} has {counted(times.null_count(), 'missing value')}. Drop or fill those rows, or drop the "
            f"column {name!r}."
        )
    if isinstance(times.dtype, pl.String):
        times = _parse_times(times, name)
    elif (dates := _numeric_dates(times)) is not None:
        logger.info("%s: read whole numbers such as %s as dates", column, times[0])
        times = dates
    if isinstance(times.dtype, (pl.Date, pl.Datetime)):
        if getattr(times.dtype, "time_unit", None) == "ns":
            nano = times.dt.epoch("ns").to_numpy()
            if (nano % 1000).any():
                return nano
        micro = times.dt.epoch("us").to_numpy()
        return micro // 1_000_000 if not (micro % 1_000_000).any() else micro / 1e6
    if not times.dtype.is_numeric():
        raise InvalidInputError(f"{column} is {times.dtype}. Give Unix seconds, dates, or text in ISO 8601.")
    numbers = times.cast(pl.Int64 if times.dtype.is_integer() else pl.Float64, strict=False)
    if numbers.null_count():
        raise InvalidInputError(f"{column} holds {times.filter(numbers.is_null())[0]}; give Unix seconds.")
    values = numbers.to_numpy()
    finite(column, values)
    if values.dtype.kind == "f" and np.abs(values).max(initial=0) >= 2**53:
        logger.warning(
            "%s: as floats, times such as %s stand for several whole numbers, and events may have lost their order; "
            "give whole numbers or dates", column, values[0],
        )  # fmt: skip
    refuse_mixed_units(values, column)
    early = int((values <= 0).sum())
    if early and np.median(values) >= _SINCE:
        logger.warning(
            "%s: %s 0 or less beside times since 1989, and so the earliest; leave them out if they mean no time",
            column, counted(early, "value", "is", "are"),
        )  # fmt: skip
    return values


def refuse_mixed_units(times: Array, column: str) -> None:
    """Raise if some numbers are recent times in one unit and others in another, whose order would be wrong."""
    units = {"seconds": 1, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
    if not len(times) or times.max() < _SINCE * 1e3:
        return
    some = {unit: times[(times >= _SINCE * each) & (times < _UNTIL * each)][:1] for unit, each in units.items()}
    found = [f"{time[0]} ({unit})" for unit, time in some.items() if len(time)]
    if len(found) > 1:
        raise InvalidInputError(f"{column} mixes units: it holds {' and '.join(found)}. Bring all to one unit.")


def _numeric_dates(times: pl.Series) -> pl.Series | None:
    """Return numbers such as 20200705 or 20200705183000 as dates; None unless all are dates between 1900 and 2100."""
    if not times.dtype.is_numeric():
        return None
    whole = times.cast(pl.Int64, strict=False)
    for form, unit in (("%Y%m%d", 1), ("%Y%m%d%H%M%S", 1_000_000)):
        first, last = 19_000_101 * unit, 21_001_232 * unit
        if all(some.is_between(first, last).all() for some in (whole.head(1), whole)):  # mostly seen at once
            dates = whole.cast(pl.String).str.to_datetime(form, time_unit="us", strict=False)
            return None if dates.null_count() or (whole != times).any() else dates
    return None


def _parse_times(times: pl.Series, name: Any) -> pl.Series:
    column = called(name, "timestamp")
    # Year first only: whether 1/2/2020 is in January or in February nobody can know.
    wrong = ~times.str.contains(r"^\d{4}-\d{2}-\d{2}")
    if not wrong.any():
        unit: Any = "ns" if times.str.contains(r"\.\d{7}").any() else "us"
        try:
            times = times.str.to_datetime(strict=False, time_unit=unit)
            if not times.null_count():
                return times
        except pl.exceptions.PolarsError:
            pass
        raise InvalidInputError(
            f"{column} holds text in several forms, or times that do not exist. Parse it first, or "
            f"drop the column {name!r}."
        )
    first = times.filter(wrong)[0]
    if times.cast(pl.Float64, strict=False).null_count() == 0:
        raise InvalidInputError(
            f"{column} holds {first!r} as text. Make numbers of it by: frame.with_columns(pl.col({name!r}).cast("
            f"pl.Float64)) in Polars, or drop the column {name!r}."
        )
    form = re.sub(r"(\d\d?)(\D)(\d\d?)\2(\d{4})", r"%d\2%m\2%Y", first)
    form = re.sub(r"\d\d?:\d\d(:\d\d)?", lambda found: "%H:%M:%S" if found[1] else "%H:%M", form)
    made = f", where the day comes first by: frame.with_columns(pl.col({name!r}).str.to_datetime({form!r})) in Polars"
    raise InvalidInputError(
        f"{column} holds {first!r}, which is no ISO 8601 time. Parse it first{made if '%d' in form else ''}, or "
        f"drop the column {name!r}."
    )
