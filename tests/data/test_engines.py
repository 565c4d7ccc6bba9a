"""Every engine's frame gives the same interactions."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from headtail.data import Interactions

ROWS = {
    "userId": ["ann", "bob", "ann", "cee", "bob"],
    "movieId": [30, 10, 10, 20, 30],
    "rating": [4.5, 1.0, 3.0, 5.0, 2.0],
    "when": [50, 40, 30, 20, 10],
    "junk": ["x", None, "y", "z", None],
}
TITLES = {"movieId": [10, 20, 30], "title": ["ten", "twenty", None]}


def pandas_with(**kwargs):
    def make(columns):
        return pd.DataFrame(columns).convert_dtypes(**kwargs)

    return make


DATABASE = duckdb.connect()  # before 1.5 a relation does not keep its connection


def duck(columns):
    return DATABASE.from_arrow(pl.DataFrame(columns).to_arrow())


ENGINES = {
    "pandas": pd.DataFrame,
    "pandas nullable": pandas_with(dtype_backend="numpy_nullable"),
    "pandas pyarrow": pandas_with(dtype_backend="pyarrow"),
    "polars": pl.DataFrame,
    "polars lazy": pl.LazyFrame,
    "pyarrow": lambda columns: pl.DataFrame(columns).to_arrow(),
    "duckdb": duck,
}


def check(make):
    made = Interactions.from_frame(make(ROWS), timestamp="when", titles=make(TITLES), min_rating=2)
    assert made.user_ids.tolist() == ["ann", "bob", "cee"]
    assert made.item_ids.tolist() == [10, 20, 30]
    assert made.item_titles.tolist() == ["ten", "twenty", "30"]
    for name, expected, dtype in [
        ("users", [0, 0, 2, 1], np.int32),
        ("items", [2, 0, 1, 2], np.int32),
        ("ratings", [4.5, 3.0, 5.0, 2.0], np.float64),
        ("timestamps", [50, 30, 20, 10], np.int64),
    ]:
        values = getattr(made, name)
        assert values.tolist() == expected
        assert values.dtype == dtype
    assert {type(i) for i in made.item_ids.tolist()} == {int}
    assert {type(u) for u in made.user_ids.tolist()} == {str}


@pytest.mark.parametrize("engine", ENGINES)
def test_engine(engine):
    check(ENGINES[engine])


@pytest.mark.parametrize("engine", ENGINES)
def test_dates(engine):
    times = np.array(["2020-01-01T12:00:00", "2020-01-01T12:00:01"], dtype="datetime64[us]")
    columns = {"user_id": [1, 2], "item_id": [1, 1], "timestamp": times}
    made = Interactions.from_frame(ENGINES[engine](columns))
    assert made.timestamps.tolist() == [1577880000, 1577880001]


def test_dates_of_pandas_with_a_zone():
    times = pd.to_datetime(["2020-01-01T14:00:00+02:00"]).tz_convert("Europe/Paris")
    made = Interactions.from_frame(pd.DataFrame({"user_id": [1], "item_id": [1], "timestamp": times}))
    assert made.timestamps.tolist() == [1577880000]
