"""Interactions and lists from what people hold: matrices, arrays, frames with lists, scores."""

import logging
import re
import sqlite3
import uuid
from collections import deque, namedtuple
from functools import partial

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from hypothesis import assume, given, strategies as st

import headtail as ht
from headtail.data import Interactions, Recommendations, recommendations
from headtail.exceptions import InvalidInputError, MissingColumnError


def test_a_matrix_with_ids():
    plays = sp.coo_array(([1.0, 2.0, 3.0, 0.0], ([0, 0, 1, 1], [1, 1, 0, 1])), shape=(2, 3))
    found = Interactions.from_matrix(plays, user_ids=["ann", "bob"], item_ids=[30, 10, 20])
    assert found.to_polars().rows() == [("ann", 10, 3.0), ("bob", 30, 3.0)]
    assert found.item_ids.tolist() == [30, 10, 20]  # those that nobody met as well
    assert Interactions.from_matrix(plays.toarray()).to_polars().rows() == [(0, 1, 3.0), (1, 0, 3.0)]
    assert Interactions.from_matrix(plays > 2).ratings is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"matrix": np.eye(2), "user_ids": ["a"]}, "user_ids holds 1 id for 2 users"),
        ({"matrix": np.eye(2), "item_ids": ["a", "a"]}, "item_ids holds 'a' more than once"),
        ({"matrix": -np.eye(2)}, "holds -1"),
        ({"matrix": np.eye(2) * np.nan}, r"not finite.*Give 0 where there are none, such as by frame\.fillna\(0\)"),
        ({"matrix": "x"}, "give a matrix of numbers"),
        ({"matrix": np.array([["a"]])}, "give"),
    ],
)
def test_what_is_no_matrix_of_interactions(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        Interactions.from_matrix(**arguments)


def test_the_matrix_of_a_graph_is_none_of_interactions():
    clicks = sp.random(70, 50, density=0.1, random_state=0, format="csr")
    graph = sp.bmat([[sp.eye(70), clicks], [clicks.T, None]], format="csr")  # as graph models keep it
    with pytest.raises(InvalidInputError, match=r"its 120 rows, .* matrix\[:n_users, n_users:\]"):
        Interactions.from_matrix(graph)
    assert len(Interactions.from_matrix(graph[:70, 70:])) == clicks.nnz
    assert len(Interactions.from_matrix(sp.random(120, 120, density=0.1, random_state=0))) == 1440
    assert Interactions.from_matrix(sp.random(120, 50) @ sp.random(50, 120)).n_users == 120


def test_a_frame_with_a_column_for_each_item_is_a_matrix():
    clicks = pd.DataFrame({"user": [1, 1, 2], "item": [30, 40, 40], "rating": [5, 3, 4]})
    wide = clicks.pivot_table(index="user", columns="item", values="rating").fillna(0)
    with pytest.raises(
        MissingColumnError, match=r"each column is an item, .* headtail\.Interactions\.from_matrix\(frame"
    ):
        Interactions.from_frame(wide)
    assert Interactions.from_matrix(wide).to_polars().rows() == [(1, 30, 5.0), (1, 40, 3.0), (2, 40, 4.0)]


def test_lists_in_text_become_lists_in_either_engine():
    texts = {"user_id": [1, 2], "recs": ["[30, 40]", "[40, 50]"]}
    for make, then in (
        (pl.DataFrame, ".cast(pl.List(pl.Int64))"),
        (pd.DataFrame, ".map(lambda ids: [*map(int, ids)])"),
    ):
        frame = make(texts)
        with pytest.raises(InvalidInputError, match="Make lists of it") as told:
            Recommendations.from_frame(frame)
        assert then in str(told.value)
        if make is pl.DataFrame:
            frame = frame.with_columns(pl.col("recs").str.extract_all(r"[\w.-]+").cast(pl.List(pl.Int64)))
        else:
            exec(re.search(r"; (frame\['recs'\] = .*?) in pandas", str(told.value))[1] + then, {"frame": frame})
        assert Recommendations.from_frame(frame).to_polars()["item_id"].to_list() == [30, 40, 40, 50]


def test_matrices_are_taken_by_every_door():
    world = ht.datasets.power_law(60, 30, n_interactions=300, rng=0).interactions
    matrix = world.matrix
    assert ht.describe(matrix).n_interactions == len(world)
    assert len(ht.baselines.most_popular(matrix, k=3)) == 60
    assert len(ht.split_ratio(matrix, rng=0).train) < len(world)
    model = ht.MF(60, 30, 4, rng=0)
    ht.fit(model, matrix, epochs=1, progress=False, rng=0)
    lists = ht.recommend(model, matrix, k=3)
    assert ht.audit(lists, matrix, k=3, n_bootstrap=0)["coverage@3"] > 0


@pytest.mark.parametrize("policy", ["sum", "mean"])
def test_repeated_pairs_are_summed(policy):
    frame = pl.DataFrame({"user_id": [2, 1, 2, 2], "item_id": [5, 5, 5, 6], "rating": [1.0, 4.0, 3.0, 2.0]})
    expected = {"sum": [4.0, 4.0, 2.0], "mean": [2.0, 4.0, 2.0]}[policy]
    assert Interactions.from_frame(frame, duplicates=policy).ratings.tolist() == expected
    counted = Interactions.from_frame(frame.drop("rating"), duplicates="sum")
    assert counted.to_polars().rows() == [(2, 5, 2.0), (1, 5, 1.0), (2, 6, 1.0)]


# -- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [lambda t: t, lambda t: t.to_pandas(), lambda t: t.to_arrow(), lambda t: t.lazy()])
def test_lists_from_frames_with_list_columns(engine):
    table = pl.DataFrame(
        {"user_id": [2, 1, 3], "item_id": [["b", "a"], ["c"], []], "score": [[0.1, 0.9], [0.5], []]},
        schema_overrides={"item_id": pl.List(pl.String), "score": pl.List(pl.Float64)},
    )
    found = Recommendations.from_frame(engine(table))
    assert found.to_polars().rows() == [(1, "c", 1, 0.5), (2, "a", 1, 0.9), (2, "b", 2, 0.1)]
    baskets = Interactions.from_frame(engine(table.select("user_id", "item_id")))
    assert sorted(baskets.to_polars().rows()) == [(1, "c"), (2, "a"), (2, "b")]
    train = pl.DataFrame({"user_id": [1, 2], "item_id": ["a", "c"]})
    audit = ht.audit(engine(table), train, catalogue=["b"], k=1, n_bootstrap=0)
    assert audit["coverage@1"] == pytest.approx(2 / 3)


def test_lists_that_are_written_as_text_are_no_items():
    written = pl.DataFrame({"user_id": [1, 2], "item_id": ["[7, 8]", "[9]"]})
    for door in (Interactions.from_frame, Recommendations.from_frame):
        with pytest.raises(InvalidInputError, match=r"lists written as text in 'item_id', such as '\[7, 8\]'"):
            door(written)
    for names in (["[REC]", "Alien"], ["Alien 3", "Se7en"], ["12 34", "12"]):
        titled = written.with_columns(item_id=pl.Series(names))
        assert Interactions.from_frame(titled).item_ids.tolist() == sorted(names)


@pytest.mark.parametrize("between", [" ", ",", "|", "; "])
def test_ids_in_one_text_are_taken_apart_as_the_error_says(between):
    written = pl.DataFrame({"user_id": [1, 2], "item_id": [between.join(["07", "18"]), between.join(["18", "29"])]})
    with pytest.raises(InvalidInputError, match="Make lists of it: ") as refused:
        Recommendations.from_frame(written)
    assert Interactions.from_frame(written.rename({"user_id": "item_id", "item_id": "user_id"})).n_users == 2
    cure = re.search("Make lists of it: (.*) in Polars", str(refused.value))[1]
    lists = Recommendations.from_frame(eval(cure, {"frame": written, "pl": pl}))
    assert lists.to_polars().rows() == [(1, "07", 1), (1, "18", 2), (2, "18", 1), (2, "29", 2)]


def test_ids_in_parts_are_ids_where_users_have_several():
    table = pl.DataFrame({"user_id": [1, 1, 2], "item_id": ["12|34", "12|35", "7|34"]})
    assert Interactions.from_frame(table).item_ids.tolist() == sorted(table["item_id"])
    assert Recommendations.from_frame(table).item_ids.tolist() == sorted(table["item_id"])
    audit = ht.audit(table, table, catalogue=["12|99"], items=table.select("item_id", a=1), k=1, strict=False)
    assert audit["coverage@1"] == 0.5
    for parts in (["1 2", "3 4 5", "6"], ["1,2", "3", "4,5"]):
        with pytest.raises(InvalidInputError, match="lists written as text"):
            Interactions.from_frame(table.with_columns(item_id=pl.Series(parts)))


def test_lists_that_do_not_pair_are_refused():
    table = pl.DataFrame({"user_id": [1], "item_id": [["a", "b"]], "score": [[0.5]]})
    with pytest.raises(InvalidInputError, match="lists in 'item_id', 'score' that do not pair"):
        Recommendations.from_frame(table)


def test_a_rank_or_the_order_of_rows_ranks_where_there_is_no_score(caplog):
    table = pl.DataFrame({"user": [1, 1, 1], "item": [7, 8, 9], "rank": [2, 3, 1]})
    assert Recommendations.from_frame(table).to_polars()["item_id"].to_list() == [9, 7, 8]
    assert "order of the rows" not in caplog.text
    assert Recommendations.from_frame(table.drop("rank")).to_polars()["item_id"].to_list() == [7, 8, 9]
    assert "order of the rows ranks" in caplog.text
    with pytest.raises(MissingColumnError, match=r"has no column 'item_id'.*Rename one to 'item_id'"):
        Recommendations.from_frame(table.drop("item"))


def test_lists_from_arrays_as_implicit_and_others_return_them():
    low = np.finfo(np.float32).min
    ids = np.array([[2, 0, 1], [1, 2, 0]], dtype=np.int32)
    scores = np.array([[0.9, 0.5, low], [0.2, 0.8, 0.1]], dtype=np.float32)
    found = Recommendations.from_arrays(ids, scores, user_ids=["ann", "bob"], item_ids=[70, 80, 90])
    assert found.to_polars().select("user_id", "item_id", "rank").rows() == [
        ("ann", 90, 1), ("ann", 70, 2), ("bob", 90, 1), ("bob", 80, 2), ("bob", 70, 3)
    ]  # fmt: skip
    of_tensors = Recommendations.from_arrays(torch.from_numpy(ids), torch.from_numpy(scores))
    assert of_tensors.to_polars()["item_id"].to_list() == [2, 0, 2, 1, 0]
    text = np.array([["x", "y"], ["z", None]], dtype=object)
    assert Recommendations.from_arrays(text).to_polars().rows() == [(0, "x", 1), (0, "y", 2), (1, "z", 1)]


def test_minus_one_is_no_item_whether_it_stands_for_a_place_or_an_id():
    for more in ({}, {"item_ids": [0, 1]}, {"scores": [[0.9, 0.8], [0.7, 0.1]]}):
        found = Recommendations.from_arrays([[1, 0], [0, -1]], **more)
        assert found.to_polars().select("user_id", "item_id").rows() == [(0, 1), (0, 0), (1, 0)]


@pytest.mark.parametrize("engine", ["polars", "lazy", "arrow", "pandas", "duckdb"])
def test_lists_of_items_with_their_ratings_as_spark_writes_them(engine):
    best = [[{"movieId": 7, "rating": 0.8}, {"movieId": 5, "rating": 0.9}], [{"movieId": 5, "rating": 0.7}]]
    lists = pl.DataFrame({"userId": [1, 2], "recommendations": best})
    frame = {
        "polars": lists, "lazy": lists.lazy(), "arrow": lists.to_arrow(), "duckdb": duckdb.sql("from lists"),
        "pandas": pd.DataFrame({"userId": [1, 2], "recommendations": best}),
    }[engine]  # fmt: skip
    rows = [(1, 5, 1, 0.9), (1, 7, 2, 0.8), (2, 5, 1, 0.7)]
    assert Recommendations.from_frame(frame).to_polars().rows() == rows
    train = pl.DataFrame({"userId": [1, 2], "movieId": [7, 5]})
    assert ht.audit(frame, train, k=1, n_bootstrap=0)["coverage@1"] == 0.5
    with pytest.raises(MissingColumnError, match=r"lists, in 'item', has no column 'item_id'.*There are: 'a'"):
        Recommendations.from_frame(pl.DataFrame({"user": [1], "item": [[{"a": 1}]]}))


HITS = [{"_id": "k", "_source": {"user_id": 1, "item_id": 7}}, {"_id": "l", "_source": {"user_id": 2, "item_id": 5}}]


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        (HITS, {}),
        ([{"took": 3, "hits": {"total": 2, "hits": HITS}}], {}),
        ([{"session": 1, "events": [{"aid": 7}]}, {"session": 2, "events": [{"aid": 5}]}], {}),
        ([{"session": 1, "events": [{"x": 7}]}, {"session": 2, "events": [{"x": 5}]}], {"item": "x"}),
        ([{"a": 1, "lines": [{"sku": 7, "a": 3}]}, {"a": 2, "lines": [{"sku": 5, "a": 4}]}], {"user": "a"}),
        ([{"user": 1, "lines": []}, {"user": 1, "lines": [{"sku": 7}]}, {"user": 2, "lines": [{"sku": 5}]}], {}),
    ],
    ids=["hits", "answer", "sessions", "named", "collision", "empty"],
)
def test_ids_within_objects(rows, names):
    for frame in (pl.DataFrame(rows), pd.DataFrame(rows)):
        found = Interactions.from_frame(frame, **names)
        assert found.to_polars().select("user_id", "item_id").rows() == [(1, 7), (2, 5)]


def test_objects_beside_ids_stay_as_they_are():
    table = pl.DataFrame({"user_id": [1], "item_id": [7], "basket": [[{"item_id": 5}, {"item_id": 6}]]})
    assert Interactions.from_frame(table).to_polars().rows() == [(1, 7)]
    groups = pl.DataFrame({"user_id": [1], "plan": ["free"], "bought": [[{"item_id": 5}, {"item_id": 6}]]})
    assert ht.audit(table, table, users=groups.select("user_id", "plan"), k=1, n_bootstrap=0)["coverage@1"] == 1


def test_an_index_of_pandas_that_has_a_name_is_a_column():
    table = pd.DataFrame({"user_id": [1, 2], "item_id": [7, 5], "score": [0.5, 0.4]})
    rows = [(1, 7, 1, 0.5), (2, 5, 1, 0.4)]
    for frame in (table.set_index("user_id"), table.set_index(["user_id", "item_id"])):
        assert Recommendations.from_frame(frame).to_polars().rows() == rows


Rated = namedtuple("Rated", ["uid", "iid", "est"])


_QUERY = "SELECT 1 AS user, 7 AS item, 0.9 AS score UNION ALL SELECT 1, 5, 0.4 UNION ALL SELECT 2, 5, 1.0"


def _rows_of_sqlite():
    base = sqlite3.connect(":memory:")
    base.row_factory = sqlite3.Row
    return base.execute(_QUERY)


class _DictCursor:
    """A cursor whose rows are dicts, as that of psycopg and PyMySQL can be."""

    description = (("user", int, None), ("item", int, None))

    def fetchall(self):
        return [{"user": 1, "item": 7}, {"user": 1, "item": 5}, {"user": 2, "item": 5}]

    executemany = execute = fetchall


@pytest.mark.parametrize("cursor", [
    _rows_of_sqlite, lambda: sqlite3.connect(":memory:").execute(_QUERY), lambda: duckdb.connect().execute(_QUERY),
    _DictCursor,
])  # fmt: skip
def test_a_cursor_is_the_table_that_it_returns(cursor):
    found = Recommendations.from_frame(cursor()).to_polars()
    assert found.select("user_id", "item_id", "rank").rows() == [(1, 7, 1), (1, 5, 2), (2, 5, 1)]
    assert ht.audit(cursor(), cursor(), cursor(), strict=False, k=1, n_bootstrap=0)["coverage@1"] == 1


def test_a_cursor_without_a_result_is_no_table():
    with pytest.raises(InvalidInputError, match="is a Cursor, not a frame"):
        Interactions.from_frame(sqlite3.connect(":memory:").cursor())


@pytest.mark.parametrize(
    "held",
    [
        {1: [7, 5], 2: [5]},
        {1: np.array([7, 5]), 2: np.array([5])},
        {np.int64(1): (7, 5), np.int64(2): (5,)},
        {1: [(7, 0.9), (5, 0.4)], 2: [(5, 1)]},
        {1: [(5, 0.4), (7, 0.9)], 2: [(5, 1)]},
        {1: np.array([[7, 0.9], [5, 0.4]]), 2: np.array([[5, 1]])},
        {1: {5: 0.4, 7: 0.9}, 2: {5: 1}},
        {1: torch.tensor([7, 5]), 2: torch.tensor([5])},
        {1: pd.Series([7, 5]), 2: pl.Series([5])},
        {1: [{"item": 7, "score": 0.9}, {"item": 5, "score": 0.4}], 2: [{"item": 5, "score": 1}]},
        {"users": {1: [7, 5], 2: [5]}},
        {"user": [1, 1, 2], "item": [5, 7, 5], "score": [0.4, 0.9, 1]},
        {"user": pd.Series([1, 1, 2]), "item": pl.Series([5, 7, 5]), "score": np.array([0.4, 0.9, 1])},
        {"user": {"0": 1, "1": 1, "2": 2}, "item": {"0": 5, "1": 7, "2": 5}, "score": {"0": 0.4, "1": 0.9, "2": 1}},
        {"user": [1, 2], "item": [[7, 5], [5]], "score": [[1, 0.5], [2]]},
        {"columns": ["user", "item"], "index": [0, 1, 2], "data": [[1, 7], [1, 5], [2, 5]]},
        [
            {"user": 1, "item": 5, "score": 0.4},
            {"user": 1, "item": 7, "score": 0.9},
            {"user": 2, "item": 5, "score": 1},
        ],
        [Rated(1, 5, 0.4), Rated(1, 7, 0.9), Rated(2, 5, 1)],
        list(_rows_of_sqlite()),
        np.array([(1, 7, 0.9), (1, 5, 0.4), (2, 5, 1)], dtype=[("user", "i8"), ("item", "i4"), ("score", "f4")]),
    ],
)
def test_what_python_holds_without_a_frame(held):
    found = Recommendations.from_frame(held).to_polars()
    assert found.select("user_id", "item_id", "rank").rows() == [(1, 7, 1), (1, 5, 2), (2, 5, 1)]
    assert Interactions.from_frame(held).to_polars().select("user_id", "item_id").sort(pl.all()).rows() == [
        (1, 5), (1, 7), (2, 5)]  # fmt: skip
    train = pl.DataFrame({"user_id": [1, 2], "item_id": [5, 7]})
    assert ht.audit(held, train, k=1, n_bootstrap=0)["coverage@1"] == 1


def test_a_row_for_each_key_and_text_as_ids():
    rows = {"first": {"user_id": "007", "item_id": "a"}, "other": {"user_id": "7", "item_id": "a"}}
    assert Interactions.from_frame(rows).to_polars().rows() == [("007", "a"), ("7", "a")]
    assert Interactions.from_frame({"007": {"a": 1}, "7": {"a": 2}}).to_polars().rows() == [
        ("007", "a", 1),
        ("7", "a", 2),
    ]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({1: {7, 5}}, "holds sets, whose order is chance"),
        ({1: pd.Series([3, 2], index=[7, 5])}, "holds a Series with labels for each user"),
        ({1: [2**64, 5]}, "whole numbers of 64 bits"),
        ({"user": [1, 2], "item": [5]}, "columns of different lengths: 2 in 'user', 1 in 'item'"),
        ({1: [7, "a"]}, r"mixed type in 'item_id' \(int, str\)"),
        ({1: [(0.5, "a"), (0.4, "b")]}, "ids in 'item_id' that are not whole numbers"),
        ({1: [(7, 0.5), 8]}, "is a dict, not a frame"),
        ({1: 7}, "is a dict, not a frame"),
        ({"took": 3, "hits": [1]}, "is a dict, not a frame"),
        (np.zeros((2, 2)), "is an ndarray, not a frame"),
        ({}, "is a dict, not a frame"),
    ],
)
def test_what_python_holds_and_is_no_table(held, message):
    with pytest.raises(InvalidInputError, match=message):
        Recommendations.from_frame(held)


def test_the_cures_for_what_is_no_frame_work():
    rows = [(1, 7), (1, 5), (2, 5)]
    with pytest.raises(InvalidInputError, match="make one: ") as refused:
        Recommendations.from_frame(iter(rows))
    made = eval(re.search("make one: (.*)[.]$", str(refused.value))[1], {"polars": pl, "rows": rows})
    assert Recommendations.from_frame(made).to_polars().rows() == [(1, 7, 1), (1, 5, 2), (2, 5, 1)]
    held = {1: {7, 5}, 2: {5}}
    with pytest.raises(InvalidInputError, match="Make lists of them: ") as refused:
        Interactions.from_frame(held)
    made = eval(re.search("Make lists of them: (.*)[.]$", str(refused.value))[1], {"held": held})
    assert Interactions.from_frame(made).to_polars().rows() == [(1, 5), (1, 7), (2, 5)]


@pytest.mark.parametrize("made", [list, lambda rows: pd.Series(rows, index=["u", "v"]), pl.Series, tuple])
def test_lists_of_different_lengths(made):
    users = ["u", "v"]
    for items in ([["a", "b"], ["c"]], [[3, 4], [5]]):
        found = Recommendations.from_arrays(made(items), user_ids=users).to_polars()
        (first, second), (third,) = items
        assert found.rows() == [("u", first, 1), ("u", second, 2), ("v", third, 1)]
        found = Recommendations.from_arrays(made(items), made([[0.1, 0.2], [0.3]]), user_ids=users).to_polars()
        assert found.rows() == [("u", second, 1, 0.2), ("u", first, 2, 0.1), ("v", third, 1, 0.3)]
    places = Recommendations.from_arrays(made([[1, 0], [1]]), item_ids=["x", "y"], user_ids=users)
    assert places.to_polars()["item_id"].to_list() == ["y", "x", "y"]


def test_distances_in_place_of_scores_are_told(caplog):
    distances = np.sort(np.random.default_rng(0).random((10, 4)), axis=1)
    items = np.tile([3, 1, 2, 0], (10, 1))
    assert Recommendations.from_arrays(items, -distances).items[0].tolist() == [3, 1, 2, 0]
    assert "distances" not in caplog.text
    Recommendations.from_arrays(items, distances)
    assert "scores rise along every list, as distances do; give -scores" in caplog.text


@pytest.mark.parametrize("engine", [pl.DataFrame, pd.DataFrame])
@pytest.mark.parametrize("door", [
    Interactions.from_matrix,
    Recommendations.from_scores,
    Recommendations.from_arrays,
], ids=["matrix", "scores", "arrays"])  # fmt: skip
def test_a_column_of_ids_is_no_column_of_numbers(engine, door):
    with pytest.raises(InvalidInputError, match="has the column 'User ID', whose ids would be taken for numbers"):
        door(engine({"User ID": [0, 1, 2], "a": [1, 0, 1], "b": [0, 1, 1]}))
    with pytest.raises(InvalidInputError, match="has the column 'item_id'"):
        door(engine({"a": [1, 0, 1], "item_id": [0, 1, 1]}))
    with pytest.raises(InvalidInputError, match="holds no numbers yet"):
        door(pl.DataFrame({"a": [1, 0, 1], "b": [0, 1, 1]}).lazy())


def test_an_array_with_a_label_for_each_item_is_joined_by_it_or_refused():
    rng = np.random.default_rng(0)
    queries, items = rng.normal(size=(30, 4)), rng.normal(size=(4, 4))
    clicks = pd.DataFrame({"user_id": np.arange(10), "item_id": ["a"] + ["c"] * 4 + ["d"] * 3 + ["b"] * 2})
    counts = clicks["item_id"].value_counts()  # the most popular first: c, d, b, a
    vectors = ht.Vectors(queries, items, item_ids=["d", "b", "e", "c"])
    expected = ht.spectrum(queries, items, popularity=np.array([3, 2, 0, 4])).alignment
    assert ht.spectrum(vectors, popularity=counts).alignment == pytest.approx(expected)
    lists = Recommendations.from_arrays([["a", "b"]], [[0.2, 0.1]])
    for wrong in (
        lambda: ht.spectrum(queries, items, popularity=counts),
        lambda: ht.rerank.add_bias(lists, counts[:2], k=1),
    ):
        with pytest.raises(InvalidInputError, match=r"has labels \('c', 'd', 'b' ...\)|has labels \('c', 'd'\)"):
            wrong()


def test_a_place_inside_a_list_without_an_item_or_a_score_is_told(caplog):
    found = Recommendations.from_arrays([[5, 3, 7], [5, 3, None]], [[0.9, np.nan, 0.1], [0.2, 0.1, np.nan]])
    assert [row[1] for row in found.to_polars().rows()] == [5, 7, 5, 3]
    assert "1 places inside a list have no item or no score" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": [[5.0, np.nan, 7.0]]}, "a gap inside the list of row 0"),
        ({"items": [[0, 1], [-1, 0]], "item_ids": [1, 2]}, "a gap inside the list of row 1"),
        ({"items": [[0, 5]], "item_ids": [1, 2]}, "places from 0 to 5; with item_ids"),
        ({"items": [[0, 0]], "item_ids": [1, 2]}, "item 1 more than once for user 0"),
        ({"items": [["a", "b"]], "item_ids": [1, 2]}, "with item_ids give whole numbers"),
        ({"items": [[0, 1]], "item_ids": [1, 2], "user_ids": [1, 2]}, "user_ids holds 2 ids for 1 user"),
        ({"items": [[0, 1]], "scores": [[1.0]]}, r"scores has shape \(1, 1\)"),
        ({"items": [0, 1]}, r"lists has shape \(2,\)"),
        ({"items": []}, "give a list or a row of items for each user"),
    ],
)
def test_what_are_no_arrays_of_lists(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        Recommendations.from_arrays(**arguments)


@given(
    seed=st.integers(0, 2**16), n_users=st.integers(1, 9), n_items=st.integers(1, 40), k=st.integers(1, 40),
    block=st.sampled_from([1, 50, 10**6]), kind=st.sampled_from(["dense", "sparse", "tensor"]), ties=st.booleans(),
)  # fmt: skip
def test_the_best_of_scores_equal_a_full_sort(seed, n_users, n_items, k, block, kind, ties):
    rng = np.random.default_rng(seed)
    k = min(k, n_items)
    scores = rng.integers(1, 4, (n_users, n_items)) * 1.0 if ties else rng.normal(size=(n_users, n_items))
    known = sp.csr_array(rng.random((n_users, n_items)) < 0.3)
    assume(known.nnz < n_users * n_items)  # else nothing is left, which is refused
    given = {"dense": np.asarray, "sparse": sp.csr_array, "tensor": torch.from_numpy}[kind](scores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recommendations, "_BLOCK", block)
        found = Recommendations.from_scores(given, k, known=known)
    for row in range(n_users):
        unknown = np.flatnonzero(known.toarray()[row] == 0)
        best = unknown[np.argsort(-scores[row, unknown], kind="stable")][:k]
        assert found.items[row][found.items[row] >= 0].tolist() == best.tolist()
        np.testing.assert_array_equal(found.scores[row][: len(best)], scores[row, best])


def test_of_sparse_scores_only_what_is_stored_is_recommended():
    scores = sp.csr_array(([0.0, -1.0], ([0, 1], [1, 0])), shape=(2, 3))
    assert Recommendations.from_scores(scores, 2).to_polars().rows() == [(0, 1, 1, 0.0), (1, 0, 1, -1.0)]


def test_what_is_known_is_left_out_by_its_ids_and_an_order_without_ids_is_checked(caplog):
    train = pl.DataFrame({"user_id": ["ann", "bob"], "item_id": ["x", "y"]})
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    found = Recommendations.from_scores(scores, 1, user_ids=["bob", "eve"], item_ids=["y", "x", "z"], known=train)
    assert found.to_polars().rows() == [("bob", "x", 1, 2.0), ("eve", "y", 1, 3.0)]
    assert "1 of 2 interactions of known left out" in caplog.text
    world = ht.datasets.power_law(200, 60, n_interactions=1500, rng=0)
    right = world.interactions.matrix.toarray() + np.random.default_rng(0).normal(size=(200, 60))
    caplog.clear()
    caplog.set_level(logging.WARNING)
    Recommendations.from_scores(right, 5, known=world.interactions)
    assert not caplog.text
    Recommendations.from_scores(right[::-1], 5, known=world.interactions)
    assert "scores have no ids, and their rows do not seem to be in the order" in caplog.text
    with pytest.raises(InvalidInputError, match="item_ids holds 60 ids for 59 items"):
        Recommendations.from_scores(right[:, 1:], 5, known=world.interactions)
    with pytest.raises(InvalidInputError, match="holds infinity"):
        Recommendations.from_scores(np.array([[np.inf, 1.0]]))
    for nothing in (np.full((1, 2), np.nan), sp.csr_array((1, 2))):
        with pytest.raises(InvalidInputError, match="scores leaves nothing to recommend"):
            Recommendations.from_scores(nothing)


def test_pandas_frames_of_arrays():
    table = pd.DataFrame({"user": [1, 2], "items": [np.array([5, 6]), np.array([7, 8])]})
    found = Recommendations.from_frame(table.rename(columns={"items": "item"}))
    assert found.to_polars()["item_id"].to_list() == [5, 6, 7, 8]


def test_doors_that_need_no_times_read_none():
    rng = np.random.default_rng(0)
    ids = {"user_id": [0, 1, 2], "item_id": [0, 1, 2]}
    frame = pl.DataFrame({**ids, "timestamp": [1, None, 3], "rating": ["a", "b", "c"]})
    factors = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    assert ht.recommend(factors, frame, k=1).items.shape == (3, 1)
    ht.tilt(*factors, strength=0.1, k=1, seen=frame)
    ht.spectrum(*factors, popularity=frame)
    ht.Recommendations.from_scores(factors[0] @ factors[1].T, k=1, known=frame)


def test_what_stands_in_one_place_of_a_matrix_of_small_integers_adds_up():
    doubled = sp.coo_array((np.array([100, 100, 100], dtype=np.int8), ([0, 0, 0], [0, 0, 0])), shape=(1, 1))
    assert Interactions.from_matrix(doubled).ratings.tolist() == [300]


def test_labels_of_pandas_frames_are_ids():
    plays = pd.DataFrame([[1, 0], [5, 2]], index=["bob", "ann"], columns=[80, 70])
    expected = [("bob", 80, 1.0), ("ann", 80, 5.0), ("ann", 70, 2.0)]
    assert ht.Interactions.from_matrix(plays).to_polars().rows() == expected
    assert ht.Interactions.from_matrix(plays, user_ids=[3, 4]).user_ids.tolist() == [3, 4]
    assert ht.Recommendations.from_scores(plays, k=1).to_polars().rows() == [("bob", 80, 1, 1.0), ("ann", 80, 1, 5.0)]
    lists = ht.Recommendations.from_arrays(pd.DataFrame([[7], [8]], index=["bob", "ann"]))
    assert lists.to_polars().rows() == [("bob", 7, 1), ("ann", 8, 1)]
    numbered = pd.DataFrame(np.eye(2))  # its labels say no more than the places
    assert ht.Interactions.from_matrix(numbered).to_polars().rows() == [(0, 0), (1, 1)]


def test_vectors_in_pandas_frames_are_joined_by_their_labels():
    rng = np.random.default_rng(0)
    queries, items = rng.normal(size=(30, 4)), rng.normal(size=(40, 4))
    train = ht.Interactions.from_matrix(rng.random((30, 40)) < 0.2)
    expected = ht.recommend((queries, items), train, k=5).to_polars()
    users, order = rng.permutation(30), rng.permutation(40)
    shuffled = pd.DataFrame(queries[users], index=users), pd.DataFrame(items[order], index=order)
    assert ht.recommend(shuffled, train, k=5).to_polars().equals(expected)
    theirs = ht.spectrum(*shuffled, popularity=train).alignment
    np.testing.assert_allclose(theirs, ht.spectrum(queries, items, popularity=train).alignment)
    with pytest.raises(InvalidInputError, match="Cast one of them"):
        ht.recommend((shuffled[0], shuffled[1].add_prefix("i", axis=0)), train, k=5)


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
@pytest.mark.parametrize("made", [np.array, sp.csr_array])
def test_whole_scores_that_floats_do_not_tell_apart_are_refused(kind, made):
    with pytest.raises(InvalidInputError, match=r"whole numbers beyond 2\*\*53, up to 1152921504606846977"):
        ht.Recommendations.from_scores(made(np.array([[2**60, 2**60 + 1, 5]], dtype=kind)), k=2)
    fine = ht.Recommendations.from_scores(made(np.array([[2**53 - 1, 2**53, 5]], dtype=kind)), k=2)
    assert fine.items.tolist() == [[1, 0]]


def test_masked_arrays_hold_nothing_where_they_are_masked():
    masked = np.ma.array([[1, 1]], mask=[[True, False]])
    with pytest.raises(InvalidInputError, match="matrix has 1 masked value"):
        ht.Interactions.from_matrix(masked)
    with pytest.raises(InvalidInputError, match="user_ids has 1 masked value"):
        ht.Interactions.from_matrix(np.eye(2), user_ids=np.ma.array([1, 2], mask=[True, False]))
    whole = ht.Interactions.from_matrix(np.eye(2), user_ids=np.ma.array([7, 8]))
    assert whole.user_ids.tolist() == [7, 8]
    columns = {"user": np.array([1, 2]), "item": np.ma.array([7, 8], mask=[False, True])}
    with pytest.raises(InvalidInputError, match="1 missing value in 'item'"):
        Interactions.from_frame(columns)
    lists = Recommendations.from_arrays([np.ma.array([7, 8], mask=[False, True]), np.array([8, 9])])
    assert lists.to_polars().rows() == [(0, 7, 1), (1, 8, 1), (1, 9, 2)]


def test_ids_of_databases_that_are_uuids():
    one, other = uuid.UUID(int=7), uuid.UUID(int=9)
    for held in (pd.DataFrame({"user_id": [one, other], "item_id": [1, 2]}), [{"user_id": one, "item_id": 1}]):
        assert Interactions.from_frame(held).user_ids[0] == "00000000-0000-0000-0000-000000000007"
    with pytest.raises(InvalidInputError, match="missing value in 'user_id'"):
        Interactions.from_frame(pd.DataFrame({"user_id": [one, None], "item_id": [1, 2]}))


def test_lists_of_whole_numbers_and_decimals():
    lists = pd.DataFrame({"user_id": [1, 2], "item_id": [[7, 5], [5, 7]], "score": [[1, 0.5], [0.4, 2]]})
    assert Recommendations.from_frame(lists).to_polars()["score"].to_list() == [1, 0.5, 2, 0.4]


def test_the_cures_for_scores_and_times_as_text_work():
    for texts in (["6.5%", " 71 %"], ["3 stars", "4.5 stars"]):
        frame = pl.DataFrame({"user_id": [1, 1], "item_id": [7, 5], "score": texts})
        with pytest.raises(InvalidInputError, match="it must be numbers") as refused:
            Recommendations.from_frame(frame)
        made = eval(re.search("such as by: (.*) in Polars", str(refused.value))[1], {"frame": frame, "pl": pl})
        assert Recommendations.from_frame(made).to_polars()["item_id"].to_list() == [5, 7]
    frame = pl.DataFrame({"user_id": [1, 1], "item_id": [7, 5], "score": ["3,500", "4"]})  # a comma may be either
    with pytest.raises(InvalidInputError, match="Cast the column, or drop the column 'score'"):
        Recommendations.from_frame(frame)
    for text in ("31.12.2020", "31/12/2020 09:30", "31-12-2020 9:30:05"):
        frame = pl.DataFrame({"user_id": [1], "item_id": [7], "timestamp": [text]})
        with pytest.raises(InvalidInputError, match="no ISO 8601 time") as refused:
            Interactions.from_frame(frame)
        made = eval(re.search("comes first by: (.*) in Polars", str(refused.value))[1], {"frame": frame, "pl": pl})
        assert Interactions.from_frame(made).timestamps[0] // 86400 == 18627


def test_long_lists_that_python_holds_are_corrected():
    world = ht.datasets.power_law(300, 80, n_interactions=2200, rng=0)
    split = ht.split_ratio(world.interactions, rng=0)
    lists = ht.baselines.most_popular(split.train, k=30).to_polars().select("user_id", "item_id")
    options = {"k": 5, "dials": ["log penalty"], "refine": 0, "extend": 0, "progress": False}
    of = ht.correct(lists, split.train, split.validation, split.test, **options)
    for held in (lists.to_dicts(), {user: one["item_id"].to_list() for (user,), one in lists.group_by("user_id")}):
        found = ht.correct(held, split.train, split.validation, split.test, **options)
        assert found.frontier.points == of.frontier.points


def test_what_polars_reads_and_matrices_in_place_of_frames():
    class Dataset:  # as of Hugging Face
        column_names = ("user_id", "item_id")

        def to_polars(self):
            return pl.DataFrame({"user_id": [1, 2], "item_id": [3, 4]})

    assert len(Interactions.from_frame(Dataset())) == 2
    scores = np.array([[0.1, 0.3], [0.5, 0.2]])
    with pytest.raises(InvalidInputError, match="recs is an ndarray, not a frame") as told:
        ht.audit(scores, Dataset())
    call = re.search(r"headtail\.(Recommendations\.from_scores\(matrix, k=)20\)", str(told.value))
    assert eval(f"ht.{call[1]}1)", {"ht": ht, "matrix": scores}).items.ravel().tolist() == [1, 0]


def test_ids_inside_the_objects_of_users_and_items():
    rows = [{"user": {"id": "u1", "age": 30}, "item": {"id": 7, "title": "x"}, "ts": 5}]
    assert Interactions.from_frame(rows).to_polars().rows() == [("u1", 7, 5)]
    named = [{"user": {"id": "row 1", "user_id": "u1"}, "item_id": 7}]
    assert Interactions.from_frame(named).to_polars().rows() == [("u1", 7)]


def test_batches_of_amazon_personalize():
    lines = [{"input": {"userId": "u1"}, "output": {"recommendedItems": [7, 5], "scores": [0.9, 0.4]}, "error": None}]
    assert Recommendations.from_frame(lines).to_polars().rows() == [("u1", 7, 1, 0.9), ("u1", 5, 2, 0.4)]


def test_a_table_of_users_alone_is_told_what_it_holds():
    with pytest.raises(MissingColumnError, match=r"no column 'item_id'.* There are: 'user_id'\. Rename one"):
        ht.audit(pl.DataFrame({"user_id": [1, 2]}))


@pytest.mark.parametrize(
    "held_as",
    [lambda table: table.to_arrow().to_reader(), lambda table: table.to_arrow().combine_chunks().to_batches()[0]],
    ids=["RecordBatchReader", "RecordBatch"],
)
def test_what_speaks_arrow_is_a_frame(held_as):
    table = pl.DataFrame({"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"], "rank": [1, 2, 1]})
    read = Interactions.from_frame(held_as(table.drop("rank")))
    assert read.to_polars().equals(Interactions.from_frame(table.drop("rank")).to_polars())
    lists = Recommendations.from_frame(held_as(table))
    assert lists.to_polars().equals(Recommendations.from_frame(table).to_polars())


@pytest.mark.parametrize(
    ("ranks", "items", "n"),
    [
        ([1, 2, 3, 1, 2], [5, 6, 7], 0), ([1, 3, 2, 1, 2], [5, 7, 6], 0), ([1, 1, 1, 1, 1], [5, 6, 7], 0),
        ([3, 2, 1, 2, 1], [5, 7, 6], 2), ([2, 3, 1, 2, 1], [5, 7, 6], 2),
    ],
)  # fmt: skip
def test_lists_by_score_say_where_the_ranks_beside_it_give_another_order(ranks, items, n, caplog):
    frame = pl.DataFrame({"user_id": [1, 1, 1, 2, 2], "item_id": [5, 6, 7, 5, 6], "score": [0.9, 0.8, 0.8, 3.0, 1.0]})
    lists = Recommendations.from_frame(frame.with_columns(rank=pl.Series(ranks)))
    assert lists.to_polars()["item_id"].to_list() == [*items, 5, 6]  # equal scores by rank
    said = (
        f"'score' ranks the lists; 'rank' would rank those of {n} users otherwise. Leave 'score' out to rank by that."
    )
    assert (said in caplog.text) == (n > 0)  # the second and the third of user 1 score alike
    Recommendations.from_frame(frame.with_columns(rank=pl.Series(ranks).cast(pl.Decimal(9, 0))))
    Recommendations.from_frame(frame.with_columns(rank=pl.lit("x")))  # no numbers


@pytest.mark.parametrize("one_by_one", [iter, deque, partial(map, dict), lambda rows: dict(enumerate(rows)).values()])
def test_rows_that_come_one_after_another_are_read(one_by_one):
    rows = [{"user": 1, "item": "a", "rank": 1}, {"user": 2, "item": "b", "rank": 1}]
    assert Interactions.from_frame(one_by_one(rows)).to_polars().rows() == [(1, "a"), (2, "b")]
    assert Recommendations.from_frame(one_by_one(rows)).to_polars().rows() == [(1, "a", 1), (2, "b", 1)]
    assert ht.audit(one_by_one(rows), one_by_one(rows), k=1, n_bootstrap=0)["coverage@1"] == 1
    with pytest.raises(InvalidInputError, match="a list of dicts"):
        Interactions.from_frame(iter([1, 2]))
