import logging
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, strategies as st

from headtail import Vectors, audit, correct, recommend, spectrum
from headtail.data import Interactions, Recommendations, Split, coded
from headtail.data.coded import ascending, order_by
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.joining import split_of


def frame(rows, names=("user_id", "item_id", "rating")):
    return pl.DataFrame(rows, schema=list(names)[: len(rows[0])], orient="row")


def read(rows, names=("user_id", "item_id", "rating"), **kwargs):
    return Interactions.from_frame(frame(rows, names), **kwargs)


def test_interactions_are_counted_by_parts(monkeypatch):
    monkeypatch.setattr(coded, "_PART", 3)
    rng = np.random.default_rng(0)
    users, items = rng.permutation([(u, i) for u in range(5) for i in range(4) if (u + i) % 3]).T
    part = Interactions(np.arange(5), np.arange(4), users.astype(np.int32), items.astype(np.int32))
    assert part.popularity.tolist() == [(items == i).sum() for i in range(4)]
    assert part.activity.tolist() == [(users == u).sum() for u in range(5)]
    assert part.subset(np.zeros(len(part), bool)).activity.tolist() == [0] * 5
    with pytest.raises(ValueError, match="read-only"):
        part.popularity[0] = 1


@pytest.fixture
def small():
    """Two users, three items; item 30 has no title."""
    return read(
        [("ann", 20, 5.0, 3), ("bob", 10, 2.0, 1), ("ann", 10, 4.0, 2), ("ann", 30, 1.0, 2)],
        ("user_id", "item_id", "rating", "timestamp"),
        titles={10: "ten", 20: "twenty"},
    )


class TestShape:
    def test_codes_are_positions_among_the_sorted_ids(self, small):
        assert small.user_ids.tolist() == ["ann", "bob"]
        assert small.item_ids.tolist() == [10, 20, 30]
        assert small.users.tolist() == [0, 1, 0, 0]
        assert small.items.tolist() == [1, 0, 0, 2]
        assert small.users.dtype == small.items.dtype == np.int32

    def test_counts(self, small):
        assert len(small) == 4
        assert (small.n_users, small.n_items) == (2, 3)
        assert small.popularity.tolist() == [2, 1, 1]
        assert small.activity.tolist() == [3, 1]
        assert repr(small) == "Interactions(2 users, 3 items, 4 interactions, density 66.67%)"

    def test_matrix(self, small):
        assert small.matrix.toarray().tolist() == [[1, 1, 1], [1, 0, 0]]
        assert small.matrix.dtype == np.float32
        assert small.matrix.has_sorted_indices

    def test_time_rank_breaks_ties_by_row(self, small):
        assert small.time_rank.tolist() == [2, 0, 0, 1]

    def test_order_goes_before_timestamps(self, small):
        assert replace(small, order=np.array([0, 0, 1, 2])).time_rank.tolist() == [0, 0, 1, 2]

    def test_no_time(self):
        assert read([(1, 2)]).time_rank is None

    def test_contains(self, small):
        assert small.contains(np.array([0, 1, 1]), np.array([2, 0, 1])).tolist() == [True, True, False]
        nothing = small.subset(np.zeros(4, dtype=bool))
        assert nothing.contains(np.array([0]), np.array([0])).tolist() == [False]

    def test_the_way_back(self, small):
        assert small.to_polars().rows() == [
            ("ann", 20, 5.0, 3),
            ("bob", 10, 2.0, 1),
            ("ann", 10, 4.0, 2),
            ("ann", 30, 1.0, 2),
        ]

    def test_titles(self, small):
        assert small.item_titles.tolist() == ["ten", "twenty", "30"]
        assert read([(1, 2)]).item_titles is None

    def test_a_column_of_titles(self):
        rows = [(1, 7, "seven"), (2, 7, "Seven"), (1, 8, None)]
        assert read(rows, ("user_id", "item_id", "item_title")).item_titles.tolist() == ["seven", "8"]

    def test_titles_from_a_frame_with_usual_names(self):
        titles = pl.DataFrame({"movieId": [2, 3], "title": ["two", "three"]})
        assert read([(1, 2)], titles=titles).item_titles.tolist() == ["two"]

    @pytest.mark.parametrize(
        "titles",
        [
            pd.Series({2: "two", 3: "three"}),
            pd.Series({2: "two", 3: "three"}, name="title").rename_axis("movieId"),
            {"movieId": [3, 2], "title": ["three", "two"]},
        ],
    )
    def test_titles_from_a_series_with_ids_and_a_dict_of_columns(self, titles):
        assert read([(1, 2)], titles=titles).item_titles.tolist() == ["two"]

    @pytest.mark.parametrize("titles", [pd.Series(["two"]), pl.Series(["two"]), np.array(["two"])])
    def test_titles_without_ids(self, titles):
        with pytest.raises(InvalidInputError, match=r"without ids\. Give a mapping from item id to title"):
            read([(1, 2)], titles=titles)

    def test_titles_of_other_ids(self):
        with pytest.raises(
            InvalidInputError, match=r"titles holds none of the 1 items; ids are 2 \(int\).*'2' \(str\)"
        ):
            read([(1, 2)], titles={"2": "two"})


class TestParts:
    def test_subset_keeps_the_catalogue(self, small):
        part = small.subset(np.array([False, True, False, False]))
        assert part.to_polars().rows() == [("bob", 10, 2.0, 1)]
        assert part.item_ids is small.item_ids
        assert part.popularity.tolist() == [1, 0, 0]

    def test_subset_by_positions(self, small):
        assert small.subset(np.array([3, 0])).items.tolist() == [2, 1]

    def test_compact_forgets_who_has_nothing(self, small):
        part = small.subset(np.array([0, 3])).compact()
        assert part.user_ids.tolist() == ["ann"]
        assert part.item_ids.tolist() == [20, 30]
        assert part.item_titles.tolist() == ["twenty", "30"]
        assert part.items.tolist() == [0, 1]

    def test_with_items_appends_to_the_catalogue(self, small):
        more = small.with_items([5, 10, 40, 5])
        assert more.item_ids.tolist() == [10, 20, 30, 5, 40]
        assert more.item_titles.tolist() == ["ten", "twenty", "30", "5", "40"]
        assert more.popularity.tolist() == [2, 1, 1, 0, 0]
        assert more.items is small.items

    def test_with_items_of_text(self):
        assert read([(1, "b")]).with_items(["a", "b"]).item_ids.tolist() == ["b", "a"]
        with pytest.raises(InvalidInputError, match="catalogue: ids are String here and Int64"):
            read([(1, 2)]).with_items(["a"])


class TestFilters:
    def test_min_rating_forgets_who_has_nothing_left(self, small):
        liked = read([("ann", 20, 5.0), ("bob", 10, 2.0), ("ann", 10, 4.0)], min_rating=4)
        assert liked.to_polars().rows() == [("ann", 20, 5.0), ("ann", 10, 4.0)]
        assert liked.user_ids.tolist() == ["ann"]

    def test_min_rating_that_nothing_reaches(self):
        with pytest.raises(InvalidInputError, match=r"min_rating=6 leaves no interactions; the highest rating is 5"):
            read([(1, 2, 5.0)], min_rating=6)

    def test_min_rating_without_ratings(self):
        with pytest.raises(MissingColumnError, match="no column 'rating'"):
            read([(1, 2)], min_rating=4)

    def test_k_core_goes_on_until_it_holds(self):
        # Item 3 falls first; user 3 is then left with one item, and falls as well.
        rows = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 3)]
        core = read(rows, k_core=2)
        assert core.to_polars().rows() == [(1, 1), (1, 2), (2, 1), (2, 2)]
        assert core.user_ids.tolist() == [1, 2]

    def test_k_core_that_leaves_nothing(self):
        with pytest.raises(InvalidInputError, match=r"k_core=3 leaves no interactions.*busiest user has 2"):
            read([(1, 1), (1, 2)], k_core=3)

    @given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1), st.integers(1, 3))
    def test_k_core_is_the_largest_part_that_holds(self, pairs, k):
        kept = set(pairs)
        while True:
            users, items = [u for u, _ in kept], [i for _, i in kept]
            still = {(u, i) for u, i in kept if users.count(u) >= k and items.count(i) >= k}
            if still == kept:
                break
            kept = still
        if kept:
            assert set(read(sorted(pairs), k_core=k).to_polars().rows()) == kept
        else:
            with pytest.raises(InvalidInputError, match="leaves no interactions"):
                read(sorted(pairs), k_core=k)


class TestDuplicates:
    rows = ((1, 7, 2.0, 30), (1, 8, 3.0, 10), (1, 7, 4.0, 20), (1, 7, 3.0, 40))
    names = ("user_id", "item_id", "rating", "timestamp")

    def test_refused_by_default(self):
        with pytest.raises(InvalidInputError, match=r"2 rows that repeat.*user 1 and item 7 stand there 3 times"):
            read(self.rows, self.names)

    def test_several_titles_of_an_item_are_told(self, caplog):
        rows = {"user_id": [1, 2, 3, 4], "item_id": [1, 1, 2, 2], "item_title": ["a", None, "b", "b"]}
        assert Interactions.from_frame(pl.DataFrame(rows)).item_titles.tolist() == ["a", "b"]
        assert not caplog.text
        made = Interactions.from_frame(pl.DataFrame(rows | {"item_title": ["a", "z", "b", "b"]}))
        assert made.item_titles.tolist() == ["a", "b"]
        assert caplog.messages == ["1 item has several titles, such as 'a', 'z' of 1; the first is taken."]

    @pytest.mark.parametrize(
        ("policy", "kept"),
        [
            ("first", [(1, 8, 3.0, 10), (1, 7, 4.0, 20)]),
            ("last", [(1, 8, 3.0, 10), (1, 7, 3.0, 40)]),
            ("mean", [(1, 8, 3.0, 10), (1, 7, 3.0, 20)]),
        ],
    )
    def test_policies_go_by_time(self, policy, kept):
        assert read(self.rows, self.names, duplicates=policy).to_polars().rows() == kept

    @pytest.mark.parametrize(("policy", "rating"), [("first", 2.0), ("last", 3.0), ("mean", 3.0)])
    def test_policies_go_by_row_without_time(self, policy, rating):
        rows = [row[:3] for row in self.rows]
        assert dict(read(rows, duplicates=policy).to_polars().select("item_id", "rating").rows()) == {7: rating, 8: 3.0}

    def test_what_was_merged_is_said(self, caplog):
        with caplog.at_level(logging.INFO, logger="headtail"):
            read(self.rows, self.names, duplicates="first")
        assert "interactions: 2 repeated pairs merged (first)" in caplog.messages

    def test_unknown_policy(self):
        with pytest.raises(InvalidInputError, match=r"duplicates='frist' is not known. Did you mean 'first'"):
            read([(1, 2)], duplicates="frist")

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 5)), min_size=1))
    def test_mean_is_the_mean(self, rows):
        groups = {}
        for user, item, rating in rows:
            groups.setdefault((user, item), []).append(rating)
        table = read([(u, i, float(r)) for u, i, r in rows], duplicates="mean").to_polars()
        assert {(u, i): r for u, i, r in table.rows()} == pytest.approx({k: np.mean(v) for k, v in groups.items()})


class TestBadInput:
    @pytest.mark.parametrize("rating", [float("nan"), float("inf"), float("-inf")])
    def test_rating_that_is_not_finite(self, rating):
        with pytest.raises(InvalidInputError, match="rating holds 1 value that is not finite"):
            read([(1, 2, 3.0), (1, 3, rating)])

    def test_rating_that_is_missing(self):
        with pytest.raises(InvalidInputError, match="rating has 1 missing value"):
            read([(1, 2, 3.0), (1, 3, None)])

    def test_rating_that_is_text(self):
        with pytest.raises(InvalidInputError, match="String in 'rating', for example 'good'; it must be numbers"):
            read([(1, 2, "good")])

    def test_order_that_is_not_whole(self):
        with pytest.raises(InvalidInputError, match=r"order holds 0\.5; give whole numbers"):
            read([(1, 2, 0.5)], ("user_id", "item_id", "order"))

    def test_timestamp_that_is_missing(self):
        with pytest.raises(InvalidInputError, match="timestamp has 1 missing value"):
            read([(1, 2, 1), (1, 3, None)], ("user_id", "item_id", "timestamp"))

    @pytest.mark.parametrize(("columns", "values", "message"), [
        ("timestamp", [1, None], "'my col' (timestamp) has 1 missing value. Drop or fill those rows, or drop the"),
        ("timestamp", ["2020-01-01", "x"], "'my col' (timestamp) holds 'x', which is no ISO 8601 time"),
        ("timestamp", [2e9, 2e12], "'my col' (timestamp) mixes units"),
        ("rating", [1.0, None], "'my col' (rating) has 1 missing value. Drop or fill those rows, or drop the column"),
        ("rating", [1.0, float("nan")], "'my col' (rating) holds 1 value that is not finite"),
        ("rating", ["good", "bad"], "String in 'my col', for example 'good'"),
        ("order", [0.5, 1], "'my col' (order) holds 0.5; give whole numbers"),
    ])  # fmt: skip
    def test_messages_name_the_column_of_the_user(self, columns, values, message):
        table = pl.DataFrame({"user_id": [1, 1], "item_id": [2, 3], "my col": values}, strict=False)
        for read_all in (Interactions.from_frame, partial(Split.from_frames, test=table[:1])):
            with pytest.raises(InvalidInputError, match=re.escape(message)):
                read_all(table, **{columns: "my col"})

    @pytest.mark.parametrize(("name", "value"), [("min_rating", float("nan")), ("min_rating", "4?"), ("k_core", -1)])
    def test_arguments(self, name, value):
        with pytest.raises(InvalidInputError, match=f"{name}="):
            read([(1, 2, 3.0)], **{name: value})

    def test_arrays_that_do_not_match(self, small):
        with pytest.raises(InvalidInputError, match="ratings holds 1 value and users 4"):
            replace(small, ratings=np.ones(1))
        with pytest.raises(InvalidInputError, match="item_titles holds 1 title for 3 items"):
            replace(small, item_titles=np.array(["a"]))

    def test_codes_without_an_id(self, small):
        with pytest.raises(InvalidInputError, match="items holds codes from 0 to 3; there are 3 ids"):
            replace(small, items=np.array([0, 1, 2, 3]))
        with pytest.raises(InvalidInputError, match="users holds codes from -1 to 1"):
            replace(small, users=np.array([0, 1, 0, -1]))


def test_frames_and_matrices_are_taken_as_interactions():
    frame = pl.DataFrame({"user_id": ["b", "a"], "item_id": [5, 7]})
    made = Interactions.of(frame)
    assert Interactions.of(made) is made
    assert made.to_polars().sort("user_id").rows() == [("a", 7), ("b", 5)]
    twice = sp.coo_array(([1.0, 2.0, 0.0, 1.0], ([0, 0, 1, 1], [2, 2, 0, 1])), shape=(3, 4))
    found = Interactions.of(twice)
    assert (found.n_users, found.n_items) == (3, 4)
    assert found.to_polars().rows() == [(0, 2, 3.0), (1, 1, 1.0)]
    assert Interactions.of(found.matrix).ratings is None


def test_interactions_are_coded_like_others():
    train = Interactions.of(pl.DataFrame({"user_id": ["a", "b", "c"], "item_id": [5, 6, 7]}))
    later = Interactions.of(pl.DataFrame({"user_id": ["c", "a"], "item_id": [5, 7]}), like=train)
    assert later.user_ids is train.user_ids and later.item_ids is train.item_ids
    assert later.users.tolist() == [2, 0] and later.items.tolist() == [0, 2]
    matrix = Interactions.of(sp.csr_array([[0, 1, 0], [0, 0, 0], [0, 0, 1]]), like=train)
    assert matrix.to_polars().rows() == [("a", 6), ("c", 7)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pl.DataFrame({"user_id": ["a", "x"], "item_id": [5, 6]}), "later holds 1 user that train does not have.*'x'"),
        (pl.DataFrame({"user_id": ["a", "b"], "item_id": [8, 9]}), "later holds 2 items that train does not have.* 8"),
        (pl.DataFrame({"user_id": [1], "item_id": [5]}), "later users: ids are Int64 here and String"),
        (
            sp.csr_array([[1.0, 0.0]]),
            "user_ids holds 3 ids for 1 user",
        ),
        (sp.csr_array(np.diag([1.0, -1.0, 1.0])), "later holds -1; a value of a matrix counts interactions"),
        (sp.csr_array(np.diag([1.0, np.nan, 1.0])), "later holds 1 value that is not finite"),
        (np.eye(3), "later is an ndarray, not a frame"),
        (None, "later is a NoneType, not a frame"),
    ],
)
def test_what_cannot_be_interactions_is_refused(data, message):
    train = Interactions.of(pl.DataFrame({"user_id": ["a", "b", "c"], "item_id": [5, 6, 7]}))
    with pytest.raises(InvalidInputError, match=message):
        Interactions.of(data, like=train, what="later")


class TestDoors:
    """Ids and columns keep what they are, whichever door they come by."""

    def test_wide_ids_stay_whole_in_every_form(self):
        wide = 2**60 + 1
        unsigned = np.array([wide], dtype=np.uint64)
        made = Interactions(unsigned, unsigned, np.array([0]), np.array([0])).with_items([5])
        assert made.item_ids.tolist() == [wide, 5]
        assert made.with_items(unsigned + np.uint64(1)).item_ids.tolist() == [wide, 5, wide + 1]
        assert made.user_codes(unsigned).tolist() == [0]
        text = Interactions(["ann"], ["x"], np.array([0]), np.array([0]))
        assert text.with_items(["y"]).item_ids.tolist() == ["x", "y"]

    def test_users_and_catalogue_as_frames(self):
        made = read([(7, 1), (8, 2)], names=("user_id", "item_id"))
        assert made.user_codes(pl.DataFrame({"uid": [8]})).tolist() == [1]
        assert made.with_items(pl.DataFrame({"title": ["three"], "movieId": [3]})).item_ids.tolist() == [1, 2, 3]

    def test_the_first_title_that_is_one(self):
        rows = {"user_id": [1, 2, 3, 4], "item_id": [1, 1, 1, 2], "item_title": [None, " ", "x", ""]}
        assert Interactions.from_frame(pl.DataFrame(rows)).item_titles.tolist() == ["x", "2"]
        made = read([(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)], names=("user_id", "item_id"))
        titles = {1: float("nan"), 2: None, 3: "", 4: pd.NA, 5: "five"}
        assert made.with_titles(titles).item_titles.tolist() == ["1", "2", "3", "4", "five"]
        frame = pd.DataFrame({"item_id": [1, 1, 2], "title": [float("nan"), 1984.5, 2.5]})
        assert made.with_titles(frame).item_titles.tolist()[:3] == ["1984.5", "2.5", "3"]

    @pytest.mark.parametrize(
        "order",
        [
            pl.Series([2**63, 1], dtype=pl.UInt64), pl.Series([1e300, 1]), pl.Series([0.5, 1]), pl.Series([None, 1]),
            pl.Series(["0", "1"]), pl.Series([float("nan"), 1.0]),
        ],
    )  # fmt: skip
    def test_an_order_that_is_none(self, order):
        with pytest.raises(InvalidInputError, match=r"order\b"):
            Interactions.from_frame(pl.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "order": order}))

    def test_an_order_is_kept_to_the_unit(self):
        frame = pl.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "order": [2**53 + 1, 2**53]})
        assert Interactions.from_frame(frame).histories.tolist() == [1, 0]

    def test_ratings_of_wide_types(self):
        for dtype in (pl.Int128, pl.Decimal(10, 2), pl.UInt8):
            frame = pl.DataFrame({"user_id": [1], "item_id": [1], "rating": pl.Series([4]).cast(dtype)})
            assert Interactions.from_frame(frame).ratings.tolist() == [4.0]

    @pytest.mark.parametrize("keep", ["a", [True], [99], [1.5]])
    def test_a_subset_of_what_is_not_there(self, keep):
        with pytest.raises(InvalidInputError, match="Give a mask or positions"):
            read([(1, 1), (2, 2)], names=("user_id", "item_id")).subset(keep)


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 3)), st.sampled_from(["i8", "f8"]))
def test_order_by_is_a_stable_sort(values, kind):
    values = np.array(values, dtype=kind)
    assert order_by(values).tolist() == np.argsort(values, kind="stable").tolist()


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 3)).map(sorted), max_size=12))
def test_ascending_sorts_runs_in_place(runs):
    keys = np.array([key for run in runs for key in run], dtype=np.int64)
    expected = np.sort(keys)
    assert ascending(keys) is keys
    assert keys.tolist() == expected.tolist()


@pytest.mark.parametrize("times", [[1577836801, 1577836802000], [1.5778368e9, 1.5778368e15], [1577836801000, 10**18]])
def test_times_of_several_units_are_refused(times):
    frame = pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "timestamp": times})
    with pytest.raises(InvalidInputError, match=r"timestamp mixes units: it holds .* and .* Bring all to one unit"):
        Interactions.from_frame(frame)
    Interactions.from_frame(frame.with_columns(pl.lit(times[1]).alias("timestamp")))
    Interactions.from_frame(frame.with_columns(timestamp=pl.Series([0, 10**12])))  # no time of our days in seconds


def test_the_finest_of_several_times_is_read():
    frame = pl.DataFrame({"user_id": [1, 1], "item_id": [1, 2], "date": [20220421] * 2, "time_ms": [2, 1]})
    assert Interactions.from_frame(frame).time_rank.tolist() == [1, 0]


@pytest.mark.parametrize("other", ["cafe\u0301", "caf\u00e9 ", " caf\u00e9", "\ufeffcaf\u00e9", "caf\u00e9\u200b"])
def test_ids_that_look_alike_are_told(other, caplog):
    train = pl.DataFrame({"user_id": [1, 1, 2], "item_id": ["caf\u00e9", "b", "b"]})
    Interactions.from_frame(train)
    assert not caplog.text
    mixed = pl.concat([train, pl.DataFrame({"user_id": [2], "item_id": [other]})]).rename({"item_id": "track"})
    said = "2 ids of {}, such as .*caf.* differ from each other only in blanks around them, what is invisible or how"
    found = Interactions.from_frame(mixed, item="track")
    assert re.search(said.format("'track'"), caplog.text)
    cure = re.search(r"by (frame.*) in Polars", caplog.text)[1]
    again = eval(cure, {"frame": mixed, "pl": pl})
    assert (found.n_items, Interactions.from_frame(again, item="track", duplicates="first").n_items) == (3, 2)
    recs = pl.DataFrame({"user_id": [1, 2], "item_id": ["b", "caf\u00e9"], "rank": [1, 1]})
    notes = audit(recs, mixed, k=1).notes
    assert any(re.match(said.format("the items of train"), note) for note in notes)
    assert not any("differ from each other" in note for note in audit(recs, train, k=1).notes)


@pytest.mark.parametrize(("other", "how"), [
    ("cafe\u0301", "blanks around them, what is invisible or how accents are encoded"), ("caf\u00e9\t", "blanks"),
    ("caf\u00ad\u00e9", "blanks around them, what is invisible"),
    ("CAF\u00c9", "upper and lower case"),
])  # fmt: skip
def test_ids_that_are_written_otherwise_in_another_table_are_told(other, how):
    train = pl.DataFrame({"user_id": ["caf\u00e9", "v"], "item_id": ["caf\u00e9", "b"]})
    recs = pl.DataFrame({"user_id": ["caf\u00e9", "v"], "item_id": ["b", "caf\u00e9"], "rank": [1, 1]})
    told = f"1 of these is known but for {how}"
    for role in ("user_id", "item_id"):
        with pytest.raises(InvalidInputError, match=told) as raised:
            audit(recs.with_columns(pl.col(role).replace("caf\u00e9", other)), train, k=1)
        cure = re.search(r"by frame(.*?\)) in Polars", str(raised.value))[1]
        assert cure.startswith(f".with_columns(pl.col('{role}').str.strip_chars().str.normalize('NFC')")
    test = pl.DataFrame({"user_id": ["v", "v"], "item_id": [other, "b"]})
    assert any(told in note for note in audit(recs, train, test, k=1, strict=False).notes)
    with pytest.raises(InvalidInputError, match=told):
        Recommendations.from_frame(
            recs.with_columns(pl.col("item_id").replace("caf\u00e9", other)), Interactions.from_frame(train)
        )


@pytest.mark.parametrize(("ours", "theirs", "how"), [
    ("7", "7.0", "a decimal point and zero at the end"), ("7.0", "7", "a decimal point and zero at the end"),
    ("7", "007", "zeros at the beginning"),
])  # fmt: skip
def test_ids_that_a_program_wrote_as_other_numbers_are_told(ours, theirs, how):
    train = pl.DataFrame({"user_id": ["a", "b"], "item_id": [ours, "x"]})
    with pytest.raises(InvalidInputError, match=f"1 of these is known but for {how}; write") as raised:
        audit(pl.DataFrame({"user_id": ["b"], "item_id": [theirs], "rank": [1]}), train, k=1)
    cure = re.search(r"by (frame.*\)\)) in Polars", str(raised.value))[1]
    made = [eval(cure, {"frame": pl.DataFrame({"item_id": [one]}), "pl": pl}).item() for one in (ours, theirs)]
    assert made == ["7", "7"]


def test_ids_that_are_written_otherwise_are_told_at_every_door(caplog):
    train = pl.DataFrame({"user_id": ["a", "b", "c"], "item_id": ["x", "y", "z"]})
    recs = pl.DataFrame({"user_id": ["a", "b", "c"], "item_id": ["y", "z", "x"], "rank": [1, 1, 1]})
    told = "known but for upper and lower case"
    for role in ("users", "items"):
        table = pl.DataFrame({f"{role[:-1]}_id": ["A", "B", "C", "X", "Y", "Z"], "kind": list("pqpqpq")})
        assert any(told in note for note in audit(recs, train, k=1, n_bootstrap=0, **{role: table}).notes)
    known = Interactions.from_frame(train)
    for refused in (
        lambda: Interactions.of(train.with_columns(pl.col("item_id").str.to_uppercase()), like=known),
        lambda: known.with_titles({"X": "The X", "Y": "The Y"}),
        lambda: known.user_codes(["A", "B"]),
        lambda: recommend(Vectors(np.eye(3), np.eye(3), ["a", "b", "c"], ["X", "Y", "Z"]), train, k=1),
    ):
        with pytest.raises(InvalidInputError, match=told):
            refused()
    recommend(Vectors(np.eye(3), np.eye(3), ["A", "B", "C"], ["x", "y", "z"]), train, k=1)
    assert "No user of the vectors" in caplog.text and told in caplog.text
    caplog.clear()
    spectrum(Vectors(np.eye(3), np.eye(3), ["a", "b", "c"], ["x", "y", "Z"]), popularity=train)
    assert "1 of 3 interactions of popularity left out" in caplog.text and told in caplog.text
    later = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["y", "Z"]})
    test = pl.DataFrame({"user_id": ["c"], "item_id": ["y"]})
    split = split_of(train, later, test, items=np.array(["X", "y", "z"], dtype=object))
    assert "Added: 1 item that only the recommender knows. 1 of these is " + told in split.description
    assert re.search(
        "Left out of validation: 1 interaction, of 0 the user and of 1 .*1 of these is " + told, split.description
    )
    with pytest.raises(InvalidInputError, match=f"none of the 3 items of the recommender. 3 of these are {told}"):
        correct(recs.with_columns(pl.col("item_id").str.to_uppercase()), train, validation=later, k=1, progress=False)


def test_the_ids_of_a_recommender_are_in_one_dimension():
    pairs = pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2]})
    with pytest.raises(InvalidInputError, match=r"items has shape \(1, 2\); give at least one item id"):
        split_of(pairs, pairs, items=np.array([[1, 2]]))


def test_both_tables_are_named_where_ids_are_of_two_types():
    train = pl.DataFrame({"user_id": [1, 2], "item_id": ["x", "y"]})
    recs = pl.DataFrame({"user_id": [1, 2], "item_id": ["y", "x"], "rank": [1, 1]})
    text = pl.DataFrame({"user_id": ["1", "2"], "kind": ["p", "q"]})
    with pytest.raises(InvalidInputError, match="recs user_id: ids are Int64 here and String in users"):
        audit(recs, train, k=1, users=text)
    vectors = Vectors(np.eye(2), np.eye(2), ["1", "2"], ["x", "y"])
    with pytest.raises(InvalidInputError, match="users of the vectors: ids are String here and Int64 in the inter"):
        recommend(vectors, train, k=1)
    later = pl.DataFrame({"user_id": [1, 2], "item_id": ["y", "x"]})
    with pytest.raises(InvalidInputError, match="users of the interactions: ids are Int64 here and String in the vec"):
        correct(vectors, train, validation=later, k=1, progress=False)
    with pytest.raises(InvalidInputError, match="user_id of the recommender: ids are String here and Int64"):
        correct(recs.with_columns(pl.col("user_id").cast(pl.String)), train, validation=later, k=1, progress=False)


def test_a_sum_of_ratings_beyond_all_numbers_is_refused():
    frame = pl.DataFrame({"user_id": [1, 1], "item_id": [1, 1], "rating": [1e308, 1e308]})
    with pytest.raises(InvalidInputError, match="The sum of ratings holds 1 value that is not finite"):
        Interactions.from_frame(frame, duplicates="sum")


def test_titles_in_bytes_are_text():
    interactions = Interactions.from_frame(pl.DataFrame({"user_id": [1, 1], "item_id": [1, 2]}))
    titles = pl.DataFrame({"item_id": [1, 2], "title": ["Amélie".encode(), b""]})
    assert interactions.with_titles(titles).item_titles.tolist() == ["Amélie", "2"]
    with pytest.raises(InvalidInputError, match="titles has bytes in 'title' that are not UTF-8"):
        interactions.with_titles(titles.with_columns(title=pl.Series([b"\xff", b"b"])))


def test_times_that_floats_do_not_tell_apart_are_told(caplog):
    whole = [1_577_836_800_000_000_003, 1_577_836_800_000_000_001]
    frame = pl.DataFrame({"user_id": 1, "item_id": [1, 2], "timestamp": whole})
    assert Interactions.from_frame(frame).histories.tolist() == [1, 0]
    assert not caplog.text
    Interactions.from_frame(frame.cast({"timestamp": pl.Float64}))
    assert "timestamp: as floats, times such as 1.5778368e+18 stand for several whole numbers" in caplog.text


@pytest.mark.parametrize(("times", "n"), [([0.0, -1.0, 16e8, 17e8, 17e8], 2), ([0, 1, 2], 0), ([-5.0, 3e8, 17e8], 0)])
def test_times_that_may_stand_for_none_are_told(times, n, caplog):
    Interactions.from_frame(pl.DataFrame({"user_id": 1, "item_id": range(len(times)), "timestamp": times}))
    assert (f"timestamp: {n} values are 0 or less beside times since 1989" in caplog.text) == bool(n)


def test_rows_that_say_no_are_told(caplog):
    rows = pl.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 2], "clicked": [1, 0, 1]})
    Interactions.from_frame(rows, min_rating=1)
    Interactions.from_frame(rows.with_columns(clicked=1))
    scale = pl.DataFrame({"user_id": range(200), "item_id": range(200), "rating": [*range(10)] + 190 * [7]})
    Interactions.from_frame(scale)  # one 0 of a scale from 0
    assert not caplog.text
    for read_all in (Interactions.from_frame, Interactions.of):
        caplog.clear()
        read_all(rows)
        assert "1 of 3 rows have a rating of 0 or less, and count as interactions like the others" in caplog.text


@pytest.mark.parametrize(("column", "values", "expected"), [
    ("rating", ["0,5", "1,25"], [0.5, 1.25]), ("rating", [True, False], [1, 0]), ("timestamp", ["7", "9"], [7, 9]),
])  # fmt: skip
def test_lines_that_make_numbers_of_a_column(column, values, expected):
    frame = pl.DataFrame({"user_id": [1, 1], "item_id": [2, 3], column: values})
    with pytest.raises(InvalidInputError, match=f"'?{column}'?") as raised:
        Interactions.from_frame(frame)
    made = eval(re.search(r"by: (frame.*) in Polars", str(raised.value))[1], {"frame": frame, "pl": pl})
    assert made[column].to_list() == expected == Interactions.from_frame(made).to_polars()[column].to_list()


@pytest.mark.parametrize("kind", [pd.DataFrame, dict, pl.DataFrame])
@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.int16])
def test_later_changes_of_what_was_read_do_not_reach_interactions(kind, dtype):
    columns = {"user_id": np.arange(4), "item_id": np.arange(4)}
    columns |= {name: np.arange(4).astype(dtype) for name in ("rating", "timestamp", "order")}
    made = Interactions.from_frame(pd.DataFrame(columns, copy=False) if kind is pd.DataFrame else kind(columns))
    for values in columns.values():
        values[:] = 77
    for values in (made.user_ids, made.item_ids, made.ratings, made.timestamps, made.order):
        assert values.tolist() == [0, 1, 2, 3]
