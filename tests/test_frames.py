import logging
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtail import _frames
from headtail.exceptions import InvalidInputError, MissingColumnError


def columns(names, required=("user_id", "item_id"), optional=(), named=None):
    return _frames.resolve_columns(names, required, optional, named)


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
        with pytest.raises(MissingColumnError, match=r"no column 'item_id'.*There are: user_id, thing.*item='user_id'"):
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

    @pytest.mark.parametrize("frame", [{"user_id": [1]}, [1, 2], None, np.zeros((2, 2)), "file.csv"])
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
        with pytest.raises(InvalidInputError, match=r"1 missing values in 'user' \(user_id\)"):
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

    @pytest.mark.parametrize("ids", [[True, False], [date(2020, 1, 1)] * 2, [b"a", b"b"], [[1], [2]]])
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
        seconds = _frames.seconds(pl.Series(times))
        assert seconds.tolist() == [self.noon]
        assert seconds.dtype == np.int64

    def test_dates(self):
        assert _frames.seconds(pl.Series([date(1970, 1, 2)])).tolist() == [86400]
        assert _frames.seconds(pl.Series(["1970-01-02"])).tolist() == [86400]

    def test_parts_of_a_second_are_kept(self):
        assert _frames.seconds(pl.Series([datetime(1970, 1, 1, 0, 0, 1, 500_000)])).tolist() == [1.5]
        assert _frames.seconds(pl.Series([1.5])).tolist() == [1.5]

    @pytest.mark.parametrize(
        ("times", "message"),
        [
            ([1, None], "1 missing values"),
            ([1.0, float("nan")], "1 values that are not finite"),
            (["1/2/2020"], "'1/2/2020', which is no ISO 8601 time"),
            (["2020-01-01", "soon"], "'soon', which is no ISO 8601 time"),
            (["2020-02-30"], "times that do not exist"),
            ([True], "timestamp is Boolean"),
            ([timedelta(1)], "timestamp is Duration"),
        ],
    )
    def test_no_times(self, times, message):
        with pytest.raises(InvalidInputError, match=message):
            _frames.seconds(pl.Series(times))


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
