"""Lists made batch by batch where the users' vectors lie are those of one machine."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

import headtail as ht
from headtail import allocation, engines
from headtail.exceptions import InvalidInputError

DATABASE = duckdb.connect()
LAZY = {"polars": pl.DataFrame.lazy, "duckdb": lambda table: DATABASE.from_arrow(table.to_arrow())}


@pytest.fixture(scope="module")
def world():
    made = ht.datasets.power_law(3000, 60, n_interactions=9000, rng=0)
    known = ht.Interactions.of(made.interactions)
    vectors = ht.Vectors(made.queries, made.items, made.interactions.user_ids, made.interactions.item_ids)
    seen = known.to_polars().group_by("user_id").agg(seen="item_id")
    users = pl.DataFrame({"user_id": vectors.user_ids, "vector": made.queries.tolist()})
    users = users.join(seen, on="user_id", how="left").with_columns(pl.col("seen").fill_null([]))
    return known, vectors, users


def collected(lists):
    lists = lists.collect() if isinstance(lists, pl.LazyFrame) else pl.DataFrame(pl.from_arrow(lists.to_arrow_table()))
    return lists.sort("user_id", "rank")


def check(lists, known, vectors, k=5):
    theirs = ht.recommend(vectors, known, k=k).to_polars().sort("user_id", "rank")
    assert lists.select("user_id", "item_id", "rank").equals(
        theirs.select("user_id", "item_id", pl.col("rank").cast(pl.Int64))
    )
    np.testing.assert_allclose(lists["score"], theirs["score"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("engine", LAZY)
def test_lists_are_those_of_one_machine(engine, world):
    known, vectors, users = world
    parts = engines.recommend(LAZY[engine](users), vectors.items, vectors.item_ids, k=5)
    check(collected(parts), known, vectors)


@pytest.mark.parametrize("engine", LAZY)
def test_a_tilt_from_a_sample_of_users_is_applied_to_all(engine, world):
    known, vectors, users = world
    sample = np.stack(users["vector"].to_numpy()[:500])
    tilted = ht.tilt(sample, vectors.items, strength=0.1, k=5)
    parts = engines.recommend(LAZY[engine](users), tilted.items, vectors.item_ids, k=5)
    bias = tilted.items[:, -1]
    check(collected(parts), known, ht.posthoc.add_bias(vectors, bias=bias))
    before = ht.recommend(vectors, known, k=5).to_polars()
    assert collected(parts)["item_id"].value_counts()["count"].max() < before["item_id"].value_counts()["count"].max()


def allocating(world):
    """Return a correction whose calibration and prices come from some of the users, and what it makes of all."""
    known, vectors, _ = world
    long, some = ht.recommend(vectors, known, k=30), known.user_ids[::3]
    sample = ht.recommend(vectors, known, users=some, k=30)
    wanted = pl.DataFrame({"user_id": some, "item_id": sample.item_ids[sample.items[:, 2]]})
    relevance = allocation.calibrate(sample, known, ht.Interactions.of(wanted, like=known), k=5)
    prices = allocation.allocation_bias(sample, relevance(sample, known), strength=0.2, k=5)

    def correct(recs, known):
        return allocation.allocate(recs, relevance(recs, known), prices, k=5)

    return correct, correct(long, known).to_polars().sort("user_id", "rank")


@pytest.mark.parametrize("engine", LAZY)
def test_an_allocation_by_prices_of_some_users_is_that_of_one_machine(engine, world):
    _, vectors, users = world
    correct, expected = allocating(world)
    lists = engines.recommend(LAZY[engine](users), vectors.items, vectors.item_ids, k=30, correct=correct)
    assert same_lists(collected(lists), expected)
    plain = engines.recommend(LAZY[engine](users), vectors.items, vectors.item_ids, k=5)
    assert not same_lists(collected(plain), expected)


@pytest.mark.parametrize("engine", LAZY)
def test_long_lists_are_reranked_where_they_lie(engine, world):
    known, vectors, users = world
    groups = ht.PopularityGroups.by_mass(known.popularity)
    long = ht.recommend(vectors, known, k=20)
    bias = ht.rerank.tilt_bias(long, strength=0.3, k=5, n_users=500)
    lists = long.to_polars().group_by("user_id", maintain_order=True).agg("item_id", "score")
    lists = LAZY[engine](lists.join(users.select("user_id", "seen"), on="user_id"))
    for correct in (
        lambda recs, known: ht.rerank.add_bias(recs, bias, k=5),
        lambda recs, known: ht.rerankers.calibrated_popularity(recs, known, strength=0.5, k=5, groups=groups),
    ):
        expected = correct(long, known).to_polars().sort("user_id", "rank")
        assert same_lists(collected(engines.rerank(lists, correct, known.item_ids)), expected)


def same_lists(ours, theirs):
    columns = ("user_id", "item_id", "rank")
    return ours.select(columns).rows() == theirs.select(columns).rows()


def biased(recs, known, bias):
    return ht.rerank.add_bias(recs, bias, k=5)


def executor(users, vectors, bias):
    """Return the lists of some users, long ones and those after a correction, as a process of its own makes them."""
    long = engines.recommend(users.lazy(), vectors.items, vectors.item_ids, k=30).collect()
    lists = long.group_by("user_id", maintain_order=True).agg("item_id", "score").lazy()
    return long, engines.rerank(lists, partial(biased, bias=bias), vectors.item_ids).collect()


def test_two_processes_make_the_lists_of_one(world):
    known, vectors, users = world
    bias = -0.1 * np.log1p(known.popularity)
    parts = [users.filter(pl.col("user_id") % 2 == part) for part in range(2)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(executor, parts, [vectors] * 2, [bias] * 2))
    long = ht.recommend(vectors, known, k=30)
    for here, there in zip((long, biased(long, known, bias)), zip(*found, strict=True), strict=True):
        assert same_lists(collected(pl.concat(there).lazy()), here.to_polars().sort("user_id", "rank"))


def test_without_histories_everything_may_be_shown():
    users = pl.LazyFrame({"userId": ["ann"], "vector": [[2.0]]})
    assert engines.recommend(users, np.array([[1.0], [3.0]]), [8, 9], k=2).collect().rows() == [
        ("ann", 9, 1, 6.0),
        ("ann", 8, 2, 2.0),
    ]


@pytest.mark.parametrize("change, message", [
    ({"items": np.ones((2, 3))}, "vectors of 1 to 1 numbers"),
    ({"items": np.ones((3, 1))}, r"shape \(3, 1\)"),
    ({"items": np.array([[1.0], [np.nan]])}, "not finite"),
    ({"items": pd.DataFrame(np.ones((2, 1)), index=[2, 1])}, r"items has the labels 2, 1 where item_ids says 1, 2\."),
    ({"k": 3}, "exceeds the catalogue of 2"),
    ({"users": pl.DataFrame({"user_id": [1], "vector": [[1.0]]})}, "not a lazy table"),
    ({"users": pl.LazyFrame({"user_id": [1], "vector": [1.0]})}, "Give each user a list"),
    ({"users": pl.LazyFrame({"user_id": [1, 2], "vector": [[1.0], [1.0, 2.0]]})}, "vectors of"),
])  # fmt: skip
def test_what_cannot_be_right_is_refused(change, message):
    right = {"users": pl.LazyFrame({"user_id": [1], "vector": [[1.0]]}), "items": np.ones((2, 1)), "item_ids": [1, 2]}
    with pytest.raises((InvalidInputError, pl.exceptions.ComputeError), match=message):
        engines.recommend(**({"k": 1} | right | change)).collect()


def test_a_wrong_correction_or_list_is_refused():
    lists = pl.LazyFrame({"user_id": [1], "item_id": [[1, 2]], "score": [[2.0, 1.0]]})
    for ids, message, correct in (
        ([1], "does not have|do not have", lambda recs, known: recs),
        ([1, 2], "correct returned a dict", lambda recs, known: {}),
    ):
        with pytest.raises((InvalidInputError, pl.exceptions.ComputeError), match=message):
            engines.rerank(lists, correct, ids).collect()
    with pytest.raises(InvalidInputError, match="correct=5 is not a function"):
        engines.rerank(lists, 5, [1, 2])
    with pytest.raises(InvalidInputError, match="Give each user a list"):
        engines.rerank(lists.explode("item_id", "score"), lambda recs, known: recs, [1, 2])


@pytest.mark.parametrize("engine", LAZY)
def test_some_users_have_met_nothing(engine):
    users = pl.DataFrame({"user_id": [1, 2, 3], "vector": [[1.0, 0.0]] * 3, "seen": [["a"], [], None]})
    found = engines.recommend(LAZY[engine](users), np.eye(2), ["a", "b"], k=1)
    found = found.collect() if engine == "polars" else found.pl()
    assert sorted(found.select("user_id", "item_id").rows()) == [(1, "b"), (2, "a"), (3, "a")]


def test_what_is_seen_twice_counts_once():
    lists = pl.LazyFrame({"user_id": [1], "item_id": [["a", "b"]], "score": [[2.0, 1.0]], "seen": [["c", "c", "a"]]})
    told = []
    engines.rerank(lists, lambda recs, known: told.append(known) or recs, ["a", "b", "c"]).collect()
    assert told[-1].popularity.tolist() == [1, 0, 1] and len(told[-1]) == 2


def test_a_user_without_an_id_is_refused():
    users = pl.LazyFrame({"user_id": [1, None], "vector": [[1.0, 0.0]] * 2})
    with pytest.raises(InvalidInputError, match="user_id is missing"):
        engines.recommend(users, np.eye(2), ["a", "b"], k=1).collect()


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("user_id", [1, None], "InvalidInputError: A user_id is missing"),
        ("vector", [[1.0, 0.0], None], "InvalidInputError: users has vectors of"),
    ],
)
def test_duckdb_prints_what_is_missing(column, values, reason, capfd):
    users = pl.DataFrame({"user_id": [1, 2], "vector": [[1.0, 0.0]] * 2}).with_columns(pl.Series(column, values))
    with pytest.raises(duckdb.Error):
        engines.recommend(LAZY["duckdb"](users), np.eye(2), ["a", "b"], k=1).fetchall()
    assert reason in capfd.readouterr().err
