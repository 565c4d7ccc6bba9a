import logging
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from headtail import Interactions, _columns, _frames, _times
from headtail.exceptions import HeadtailError, InvalidInputError, MissingColumnError


def columns(names, required=("user_id", "item_id"), optional=(), named=None):
    return _columns.resolve_columns(names, required, optional, named)


class TestResolveColumns:
    @pytest.mark.parametrize(
        ("user", "item"),
        [
            ("user_id", "item_id"),
            ("userId", "movieId"),
            ("User-ID", "Item ID"),
            ("query_id", "item_id"),
            ("reviewerID", "asin"),
            ("uid", "iid"),
        ],
    )
    def test_usual_names(self, user, item):
        assert columns(["extra", item, user]) == {"user_id": user, "item_id": item}

    @pytest.mark.parametrize("role", ["user_id", "item_id"])
    def test_every_usual_name_is_found_in_any_spelling(self, role):
        other = {"user_id": "item_id", "item_id": "user_id"}[role]
        for alias in _columns.ALIASES[role]:
            for spelling in (alias, alias.upper(), alias.replace("_", "-")):
                assert columns([other, spelling])[role] == spelling

    def test_the_own_name_goes_before_an_alias_and_before_another_spelling(self):
        assert columns(["uid", "USER_ID", "user_id", "item_id"])["user_id"] == "user_id"

    def test_a_given_name_goes_before_all(self):
        assert columns(["user_id", "buyer", "item_id"], named={"user_id": "buyer"})["user_id"] == "buyer"

    def test_one_column_has_one_role(self):
        found = columns(["user_id", "item_id", "score"], optional=("rating", "score"))
        assert found == {"user_id": "user_id", "item_id": "item_id", "rating": "score"}

    def test_optional_roles_may_be_absent(self):
        assert columns(["user_id", "item_id"], optional=("rating",)) == {"user_id": "user_id", "item_id": "item_id"}

    def test_the_choice_is_said_in_one_line(self, caplog):
        with caplog.at_level(logging.INFO, logger="headtail"):
            columns(["userId", "item_id"])
        assert caplog.messages == ["the table: read 'userId' as user_id"]

    def test_nothing_is_said_where_nothing_was_chosen(self, caplog):
        with caplog.at_level(logging.INFO, logger="headtail"):
            columns(["user_id", "item_id"])
        assert caplog.messages == []

    def test_missing_column(self):
        with pytest.raises(MissingColumnError, match=r"no column 'item_id'.*There are: 'thing'. Rename one"):
            columns(["user_id", "thing"])

    def test_missing_given_column(self):
        with pytest.raises(MissingColumnError, match=r"no column 'buyr'. Did you mean 'buyer'"):
            columns(["buyer", "item_id"], named={"user_id": "buyr"})

    def test_doubled_column(self):
        with pytest.raises(InvalidInputError, match="'item_id' more than once"):
            columns(["user_id", "item_id", "item_id"])


class TestToTable:
    def table(self, frame, **kwargs):
        return _frames.to_table(frame, required=("user_id", "item_id"), **kwargs)

    def test_only_the_needed_columns_are_collected(self):
        frame = pl.DataFrame({"item": [2], "user": [1], "junk": ["x"]})
        assert self.table(frame).to_dict(as_series=False) == {"user_id": [1], "item_id": [2]}

    @pytest.mark.parametrize("frame", [{"a": 1}, [1, 2], None, np.zeros(2), "file.csv"])
    def test_not_a_frame(self, frame):
        with pytest.raises(InvalidInputError, match=r"not a frame. Give a pandas, Polars, PyArrow, DuckDB or PySpark"):
            self.table(frame)

    @pytest.mark.parametrize("engine", [pl.DataFrame, pl.LazyFrame, pd.DataFrame])
    def test_empty(self, engine):
        with pytest.raises(InvalidInputError, match="has no rows"):
            self.table(engine({"user_id": [], "item_id": []}))

    def test_doubled_column_of_pandas(self):
        frame = pd.DataFrame([[1, 2, 3]], columns=["user_id", "item_id", "item_id"])
        with pytest.raises(InvalidInputError, match="more than once"):
            self.table(frame)

    @pytest.mark.parametrize(
        "frame",
        [
            pl.DataFrame({"user": [1, None], "item": [1, 2]}),
            pl.DataFrame({"user": [1.0, float("nan")], "item": [1, 2]}),
            pd.DataFrame({"user": [1, None], "item": [1, 2]}),
            pd.DataFrame({"user": ["a", None], "item": [1, 2]}),
            pd.DataFrame({"user": pd.array([1, None], dtype="Int64"), "item": [1, 2]}),
        ],
    )
    def test_missing_ids(self, frame):
        with pytest.raises(InvalidInputError, match=r"1 missing value in 'user' \(user_id\)"):
            self.table(frame)

    @pytest.mark.parametrize(
        "frame",
        [
            pd.DataFrame({"user": ["a", 1], "item": [1, 2]}),
            pd.DataFrame({"user": [1, "a"], "item": [1, 2]}),
            pl.DataFrame({"user": pl.Series([1, "a"], dtype=pl.Object), "item": [1, 2]}),
        ],
    )
    def test_mixed_ids(self, frame):
        with pytest.raises(InvalidInputError, match=r"mixed type in 'user' \(int, str\)"):
            self.table(frame)

    @pytest.mark.parametrize(
        "ids",
        [
            pl.Series([7, 8], dtype=pl.UInt8),
            pl.Series([7, 8], dtype=pl.Int128),
            pl.Series([7.0, 8.0]),
            pl.Series([7, 8], dtype=pl.Decimal(10, 2)),
        ],
    )
    def test_whole_numbers_of_any_type_become_int64(self, ids):
        table = self.table(pl.DataFrame({"user": ids, "item": ["a", "b"]}))
        assert table["user_id"].dtype == pl.Int64
        assert table["user_id"].to_list() == [7, 8]

    def test_categories_become_text(self):
        frame = pl.DataFrame({"user": [1, 2], "item": pl.Series(["b", "a"], dtype=pl.Categorical)})
        assert self.table(frame)["item_id"].to_list() == ["b", "a"]
        assert self.table(frame.to_pandas())["item_id"].to_list() == ["b", "a"]

    @pytest.mark.parametrize("ids", [[1.5, 2.0], [float("inf"), 2.0], [2**63, 1]])
    def test_numbers_that_are_no_ids(self, ids):
        with pytest.raises(InvalidInputError, match="not whole numbers of 64 bits"):
            self.table(pl.DataFrame({"user": ids, "item": [1, 2]}))

    def test_a_list_that_holds_itself_is_no_id(self):
        endless = [1]
        endless.append(endless)
        with pytest.raises(InvalidInputError, match=r"that cannot be read in 'user_id' \(.*list\)"):
            _frames.read_ids([endless, endless], "user_id", "users")

    @pytest.mark.parametrize("ids", [[True, False], [date(2020, 1, 1)] * 2, [[1], [2]]])
    def test_types_that_are_no_ids(self, ids):
        with pytest.raises(InvalidInputError, match=r"ids of type .* in 'user'. Cast them"):
            self.table(pl.DataFrame({"user": ids, "item": [1, 2]}))


class TestEncode:
    @given(st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 50), min_size=1))
    def test_numbers_are_coded_in_ascending_order(self, ids):
        distinct, codes = _frames.encode(pl.Series(ids, dtype=pl.Int64))
        assert distinct.tolist() == sorted(set(ids))
        assert distinct[codes].tolist() == ids

    @given(st.lists(st.text(max_size=3), min_size=1))
    def test_text_is_coded_in_ascending_order(self, ids):
        distinct, codes = _frames.encode(pl.Series(ids, dtype=pl.String))
        assert distinct.tolist() == sorted(set(ids), key=lambda text: text.encode())
        assert distinct[codes].tolist() == ids

    @given(st.lists(st.integers(-9, 9) | st.just(2**60)), st.sets(st.integers(-5, 5) | st.just(2**60)))
    def test_lookup_is_the_position_or_minus_one(self, ids, known):
        known = sorted(known)
        expected = [known.index(i) if i in known else -1 for i in ids]
        found = _frames.lookup(pl.Series(ids, dtype=pl.Int64), np.array(known, dtype=np.int64))
        assert found.tolist() == expected

    def test_lookup_of_text_among_numbers(self):
        with pytest.raises(InvalidInputError, match=r"recs: ids are String here and Int64 in the interactions. Cast"):
            _frames.lookup(pl.Series(["1"]), np.array([1, 2]), "recs")

    def test_from_ids_is_the_way_back(self):
        distinct, codes = _frames.encode(pl.Series(["b", "a", "b"]))
        assert _frames.from_ids(distinct, codes).to_list() == ["b", "a", "b"]


class TestSeconds:
    noon = 1577880000  # 2020-01-01 12:00:00 UTC

    @pytest.mark.parametrize(
        "times",
        [
            [noon],
            [datetime(2020, 1, 1, 12)],
            [datetime(2020, 1, 1, 12, tzinfo=UTC)],
            [datetime(2020, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))],
            ["2020-01-01 12:00:00"],
            ["2020-01-01T12:00:00Z"],
            ["2020-01-01T14:00:00+02:00"],
        ],
    )
    def test_any_form_of_one_moment(self, times):
        seconds = _times.seconds(pl.Series(times))
        assert seconds.tolist() == [self.noon]
        assert seconds.dtype == np.int64

    def test_dates(self):
        assert _times.seconds(pl.Series([date(1970, 1, 2)])).tolist() == [86400]
        assert _times.seconds(pl.Series(["1970-01-02"])).tolist() == [86400]

    def test_parts_of_a_second_are_kept(self):
        assert _times.seconds(pl.Series([datetime(1970, 1, 1, 0, 0, 1, 500_000)])).tolist() == [1.5]
        assert _times.seconds(pl.Series([1.5])).tolist() == [1.5]

    @pytest.mark.parametrize(
        ("times", "message"),
        [
            ([1, None], "1 missing value"),
            ([1.0, float("nan")], "1 value that is not finite"),
            (["1/2/2020"], "'1/2/2020', which is no ISO 8601 time"),
            (["2020-01-01", "soon"], "'soon', which is no ISO 8601 time"),
            (["2020-02-30"], "times that do not exist"),
            ([True], "timestamp is Boolean"),
            ([timedelta(1)], "timestamp is Duration"),
        ],
    )
    def test_no_times(self, times, message):
        with pytest.raises(InvalidInputError, match=message):
            _times.seconds(pl.Series(times))


class TestWhatIdsMustNotBecome:
    """Ids that were damaged on the way, or that stand for no id at all, are refused, whichever door they come by."""

    def read(self, users):
        return _frames.to_table(users, required=("user_id",))["user_id"].to_list()

    @pytest.mark.parametrize(("dtype", "limit"), [(np.float16, 2**11), (np.float32, 2**24), (np.float64, 2**53)])
    def test_floats_are_ids_as_far_as_they_are_exact(self, dtype, limit):
        for engine in (pd.DataFrame, pl.DataFrame):
            assert self.read(engine({"user_id": np.array([1, limit - 1], dtype=dtype)})) == [1, limit - 1]
            for beyond in (limit, -limit):
                with pytest.raises(InvalidInputError, match=rf"reach {limit}; .* are exact below {limit} only"):
                    self.read(engine({"user_id": np.array([1, beyond], dtype=dtype)}))
        with pytest.raises(InvalidInputError, match=f"reach {2**63};"):
            self.read(pl.DataFrame({"user_id": [-(2.0**63)]}))

    def test_decimals_are_exact_throughout(self):
        ids = pl.Series(["9007199254740993", "9007199254740992"]).cast(pl.Decimal(38, 0))
        assert self.read(pl.DataFrame({"user_id": ids})) == [2**53 + 1, 2**53]

    @pytest.mark.parametrize("written", ["", " ", "NULL", r"\N", "<NA>", "NA", "None", "nan", "NaT", "#N/A", "#REF!"])
    def test_written_gaps_are_gaps(self, written):
        for frame in (
            pl.DataFrame({"user_id": ["a", written]}),
            pd.DataFrame({"user_id": ["a", written]}),
            pl.DataFrame({"user_id": pl.Series(["a", written], dtype=pl.Categorical)}),
        ):
            with pytest.raises(InvalidInputError, match=r"1 missing value in 'user_id' \(user_id\), written"):
                self.read(frame)

    def test_words_that_only_begin_so_are_ids(self):
        assert self.read(pl.DataFrame({"user_id": ["Nana", "Nan", "NULLA", "null-7"]})) == [
            "Nana",
            "Nan",
            "NULLA",
            "null-7",
        ]

    @pytest.mark.parametrize(
        ("ids", "expected"),
        [
            ([3, 1], [3, 1]),
            ({7: "seven"}.keys(), [7]),
            (np.array([3, 1], dtype=np.uint64), [3, 1]),
            (np.array(["b", "a"]), ["b", "a"]),
            (pl.Series("anything", [3, 1]), [3, 1]),
            (pd.Series([3, 1]), [3, 1]),
            (pa.chunked_array([[3], [1]]), [3, 1]),
            (pl.DataFrame({"movieId": [3, 1], "title": ["c", "a"]}), [3, 1]),
            (pd.DataFrame({"iid": ["b", "a"], 5: [0, 0]}), ["b", "a"]),
            ([np.uint64(3), 1], [3, 1]),
            ({"item_id": ["b", "a"], "title": ["B", "A"]}, ["b", "a"]),
            ([{"movieId": 3}, {"movieId": 1}], [3, 1]),
            (np.array([(3,), (1,)], dtype=[("item_id", "i8")]), [3, 1]),
            ([2**53 + 1], [2**53 + 1]),
        ],
    )
    def test_a_collection_of_ids(self, ids, expected):
        assert _frames.read_ids(ids, "item_id", "catalogue").to_list() == expected

    @pytest.mark.parametrize(
        "ids", ["abc", b"abc", 5, {"item_id": 1}, {"title": ["a"]}, [], [[1, 2]], [1, None], ["a", None], [1, "a"],
                [1.5], [True], [float("nan")], ["NULL"], np.zeros((2, 2)), pl.DataFrame({"title": ["a"]}), [1 + 2j],
                [10**40]]
    )  # fmt: skip
    def test_no_collection_of_ids(self, ids):
        with pytest.raises(HeadtailError):
            _frames.read_ids(ids, "item_id", "catalogue")

    def test_wide_whole_numbers_stay_whole_beside_int64(self):
        wide = _frames.as_ids(np.array([2**53 + 1, 1], dtype=np.uint64), "item_id", "item_ids")
        assert np.concatenate([wide, np.array([5])]).tolist() == [2**53 + 1, 1, 5]


class TestColumnsOfAnyKind:
    def test_names_that_are_no_text(self):
        frame = pd.DataFrame([[1, 10, 5.0], [2, 11, 4.0]])
        with pytest.raises(
            MissingColumnError, match=r"no column 'user_id'.*There are: 0, 1, 2. There is no 'item_id' either. Give"
        ):
            _frames.to_table(frame, required=("user_id", "item_id"), given={"user_id": None})
        found = _frames.to_table(frame, required=("user_id", "item_id"), given={"user_id": 0, "item_id": 1})
        assert found.rows() == [(1, 10), (2, 11)]
        named = _frames.to_table(frame.rename(columns={0: "user", 1: "item"}), required=("user_id", "item_id"))
        assert named.rows() == found.rows()
        with pytest.raises(MissingColumnError, match="no column 7"):
            _frames.to_table(frame, required=("user_id",), given={"user_id": 7})

    def test_names_of_several_levels(self):
        levels = pd.MultiIndex.from_tuples([("user_id", ""), ("item_id", "")])
        frame = pd.DataFrame([[1, 10]], columns=levels)
        with pytest.raises(MissingColumnError):
            _frames.to_table(frame, required=("user_id", "item_id"))
        given = {"user_id": ("user_id", ""), "item_id": ("item_id", "")}
        assert _frames.to_table(frame, required=("user_id", "item_id"), given=given).rows() == [(1, 10)]

    def test_one_column_named_for_two_roles(self):
        with pytest.raises(InvalidInputError, match="'id' of the table is named for more than one role"):
            columns(["id", "b"], named={"user_id": "id", "item_id": "id"})

    def test_a_wide_table_is_not_listed_whole(self):
        with pytest.raises(MissingColumnError, match=r"49 \.\.\. \(9,000 in all\)"):
            _frames.to_table(pd.DataFrame(np.zeros((1, 9000))), required=("user_id",))

    @pytest.mark.parametrize(
        "column",
        [
            pd.Series([1, 2], dtype=object),
            pd.Series(np.array([1, 2], dtype=np.longdouble)),
            pd.Series(np.array([1, 2], dtype=np.float16)),
            pd.Series(np.array([1, 2], dtype=">i4")),
            pd.Series(pd.arrays.SparseArray([1, 2])),
            pd.Series([1, 2], dtype="UInt64"),
        ],
        ids=["object", "longdouble", "float16", "big-endian", "sparse", "nullable"],
    )
    def test_whole_numbers_of_any_kind_in_pandas(self, column):
        frame = pd.DataFrame({"user_id": column})
        assert _frames.to_table(frame, required=("user_id",)).rows() == [(1,), (2,)]

    @pytest.mark.parametrize(
        "values",
        [
            pd.Series(["\ud800"], dtype=object),
            pd.Series([1 + 2j]),
            pd.Series([10**40], dtype=object),
            pd.Series(pd.period_range("2020", periods=1, freq="M")),
        ],
        ids=["surrogate", "complex", "very wide", "period"],
    )
    def test_what_makes_no_ids_in_pandas(self, values):
        with pytest.raises(InvalidInputError, match="'user_id'"):
            _frames.to_table(pd.DataFrame({"user_id": values}), required=("user_id",))

    def test_types_that_polars_does_not_know(self):
        months = pa.table({"user_id": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
        with pytest.raises(InvalidInputError, match=r"the table cannot be read: .* cast user_id to numbers or text"):
            _frames.to_table(months, required=("user_id",))

    def test_wide_decimals_are_numbers(self, capfd):
        wide = pa.table({"user_id": pa.array([Decimal(1), Decimal(7)], pa.decimal256(50, 2))})
        assert _frames.to_table(wide, required=("user_id",))["user_id"].to_list() == [1, 7]
        assert not capfd.readouterr().err  # no panic of Polars

    @pytest.mark.parametrize(
        "query",
        [
            lambda t: t.lazy().with_columns(x=pl.col("nowhere")),
            lambda t: t.lazy().with_columns(pl.col("item_id").cast(pl.String).str.to_integer(base=2)),
            lambda t: duckdb.sql("SELECT user_id, ('x' || item_id)::int AS item_id FROM t"),
        ],
        ids=["column", "values", "duckdb"],
    )
    def test_a_query_that_fails(self, query):
        frame = query(pl.DataFrame({"user_id": [1], "item_id": [3]}))
        with pytest.raises(InvalidInputError, match=r"the table cannot be read: .*\. Mend the query"):
            _frames.to_table(frame, required=("user_id", "item_id"))

    def test_labels_of_groups(self):
        ages = pd.cut([25, 45, float("nan")], [0, 30, 60])
        table = _frames.to_table(
            pd.DataFrame({"user_id": [1, 2, 3], "age": ages}), required=("user_id",), optional=("age",),
            given={"age": "age"},
        )  # fmt: skip
        assert _frames.labels(table["age"], "users").to_list() == ["(0.0, 30.0]", "(30.0, 60.0]", "missing"]
        assert _frames.labels(pl.Series("g", [1.5, float("nan"), None]), "users").to_list() == ["1.5", *["missing"] * 2]
        assert _frames.labels(pl.Series("g", [0.0, -0.0]), "users").to_list() == ["0.0", "0.0"]
        waits = pl.Series("g", [timedelta(days=1), None])
        assert _frames.labels(waits, "users").to_list() == ["1 day, 0:00:00", "missing"]
        for several in ([["a"], ["b", "c"]], [{"a": 1}, {"a": 2}]):
            with pytest.raises(InvalidInputError, match="a user is in one group of each column"):
                _frames.labels(pl.Series("genres", several), "users")


class TestMoments:
    ns = np.array(["2020-01-01T00:00:00.000000003", "2020-01-01T00:00:00.000000001"], dtype="datetime64[ns]")

    @pytest.mark.parametrize(
        "times",
        [
            pd.Series(ns),
            pd.Series(ns).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
            pd.Series(ns).astype(object),
            pd.Series(ns).dt.tz_localize("UTC").astype(object),
            pd.Series(ns).convert_dtypes(dtype_backend="pyarrow"),
            pd.Series(ns.astype(str)),
        ],
        ids=["naive", "zone", "objects", "objects with zone", "arrow", "text"],
    )
    def test_nanoseconds_keep_their_order(self, times):
        table = _frames.to_table(pd.DataFrame({"t": times}), required=("timestamp",), given={"timestamp": "t"})
        found = _times.seconds(table["timestamp"])
        assert found.dtype == np.int64
        assert (found - 1577836800 * 10**9).tolist() == [3, 1]

    @pytest.mark.parametrize("dtype", [pl.Int64, pl.Int32, pl.Float64, pl.UInt32])
    def test_dates_written_as_numbers(self, dtype):
        assert _times.seconds(pl.Series([20200705, 20191231]).cast(dtype)).tolist() == [1593907200, 1577750400]

    def test_seconds_of_a_day_written_as_numbers(self):
        times = pl.Series([20200705183001, 20200705235959])
        assert _times.seconds(times).tolist() == [1593973801, 1593993599]

    def test_numbers_in_their_range_that_are_no_dates_stay_seconds(self):
        assert _times.seconds(pl.Series([20200705, 20200732])).tolist() == [20200705, 20200732]
        assert _times.seconds(pl.Series([20200705.5])).tolist() == [20200705.5]

    def test_numbers_too_large(self):
        with pytest.raises(InvalidInputError, match="timestamp holds 18446744073709551615; give Unix seconds"):
            _times.seconds(pl.Series([1, 2**64 - 1], dtype=pl.UInt64))


def test_pandas_needs_no_pyarrow():
    script = """
import sys
sys.modules["pyarrow"] = None
import pandas as pd
from headtail.data import Interactions
frame = pd.DataFrame({
    "user": ["ann", "bob", "ann"], "item": pd.array([3, 1, 1], dtype="Int64"), "rating": [1, 2, 3],
    "timestamp": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"]),
})
interactions = Interactions.from_frame(frame, titles=pd.DataFrame({"item_id": [1, 3], "title": ["one", None]}))
print(interactions.to_polars().rows()[0], interactions.item_titles.tolist())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "('ann', 3, 1.0, 1577836800) ['one', '3']", done.stderr


def test_whole_seconds_of_pandas_and_small_integers_are_times():
    for unit in ("s", "ms", "us", "ns"):
        when = pd.Series(np.array(["2020-01-02", "2020-01-01"], dtype=f"datetime64[{unit}]"))
        frame = pd.DataFrame({"user_id": [0, 0], "item_id": [0, 1], "timestamp": when})
        assert Interactions.from_frame(frame).timestamps.tolist() == [1577923200, 1577836800], unit
    frame["timestamp"] = np.array([127, -128], dtype=np.int8)
    assert Interactions.from_frame(frame).histories.tolist() == [1, 0]


def test_columns_are_found_among_many_at_once():
    names = [f"c{i}" for i in range(100_000)]
    start = time.perf_counter()
    assert _columns.resolve_columns([*names, "user", "item"], ["user_id", "item_id"]) == {
        "user_id": "user",
        "item_id": "item",
    }
    assert time.perf_counter() - start < 20  # counting each name among all took minutes


@given(st.lists(st.lists(st.integers(-3, 9) | st.integers(0, 10**6)), min_size=1), st.integers(1, 4))
def test_ids_are_coded_part_by_part(chunks, size):
    whole = np.array([i for chunk in chunks for i in chunk], dtype=np.int64)
    ids = pl.concat([pl.Series("id", chunk, dtype=pl.Int64) for chunk in chunks], rechunk=False)
    before, _frames._PART = _frames._PART, size
    try:
        distinct, codes = _frames.encode(ids)
        known = np.array([4, 2, 7])
        found = _frames.lookup(ids, known)
    finally:
        _frames._PART = before
    expected, inverse = np.unique(whole, return_inverse=True)
    assert distinct.tolist() == expected.tolist()
    assert codes.tolist() == inverse.tolist()
    assert found.tolist() == [{4: 0, 2: 1, 7: 2}.get(i, -1) for i in whole.tolist()]
