"""Vectors with ids are joined by them; without, the order of their rows is checked and the check is shown."""

import copy
import logging
import pickle

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import headtail as ht
from headtail._factors import as_pair, to_numpy
from headtail.data.rows import order_of, with_ids
from headtail.exceptions import InvalidInputError

K = 5


@pytest.fixture(scope="module")
def split():
    return ht.split_ratio(ht.datasets.power_law(300, 80, n_interactions=2800, rng=0).interactions, rng=0)


@pytest.fixture(scope="module")
def plain(split):
    model = ht.models.ALS(split.train.n_users, split.train.n_items, 8, rng=0)
    ht.fit(model, split.train, progress=False)
    return ht.Vectors(*(matrix.numpy() for matrix in ht.vectors(model)))


@pytest.fixture(scope="module")
def shuffled(split, plain):
    users, items = (np.random.default_rng(0).permutation(len(matrix)) for matrix in plain)
    known = split.train
    return ht.Vectors(plain.queries[users], plain.items[items], known.user_ids[users], known.item_ids[items])


def test_vectors_are_a_pair_that_keeps_its_ids():
    vectors = ht.Vectors(np.eye(2), np.eye(2), ["a", "b"], [7, 8])
    queries, items = vectors
    assert len(vectors) == 2 and queries is vectors.queries and items is vectors.items
    for other in (copy.deepcopy(vectors), pickle.loads(pickle.dumps(vectors)), vectors._replace(items=items * 2)):
        assert (other.user_ids, other.item_ids) == (["a", "b"], [7, 8])
    assert ht.Vectors(queries, items).user_ids is None
    with pytest.raises(InvalidInputError, match="item_ids holds 3 ids for 2 rows"):
        ht.Vectors(queries, items, item_ids=[1, 2, 3])
    with pytest.raises(InvalidInputError, match="user_ids is an int"):
        ht.Vectors(queries, items, user_ids=5)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_recommend_joins_by_id(split, plain, shuffled, kind):
    known = split.train
    expected = ht.recommend(plain, known, k=K).to_polars()
    given = ht.Vectors(*map(kind, shuffled), shuffled.user_ids, shuffled.item_ids)
    assert ht.recommend(given, known, k=K).to_polars().drop("score").equals(expected.drop("score"))
    some = known.user_ids[[9, 2, 5]]
    found = ht.recommend(given, known, k=K, users=some)
    assert found.user_ids[found.users].tolist() == some.tolist()
    first = expected.filter(pl.col("user_id").is_in(some.tolist()))
    assert found.to_polars().sort("user_id", "rank").drop("score").equals(first.sort("user_id", "rank").drop("score"))


def test_only_the_ids_of_items_may_be_given(split, plain, shuffled):
    expected = ht.recommend(plain, split.train, k=K)
    half = ht.Vectors(plain.queries, shuffled.items, item_ids=shuffled.item_ids)
    assert np.array_equal(ht.recommend(half, split.train, k=K).items, expected.items)


def test_users_and_items_that_only_the_vectors_know_are_served():
    train = pl.DataFrame({"user_id": ["ann", "bob"], "item_id": ["x", "y"]})
    vectors = ht.Vectors(np.array([[0.0, 1], [1, 0], [1, 1]]), np.array([[2.0, 1], [1, 3], [0, 9]]),
                         ["eve", "bob", "ann"], ["z", "y", "x"])  # fmt: skip
    assert ht.recommend(vectors, train, k=2).to_polars().rows() == [
        ("ann", "y", 1, 4.0), ("ann", "z", 2, 3.0), ("bob", "z", 1, 2.0), ("bob", "x", 2, 0.0),
        ("eve", "x", 1, 9.0), ("eve", "y", 2, 3.0),
    ]  # fmt: skip


def test_an_id_without_a_row_is_refused_by_name():
    train = pl.DataFrame({"user_id": ["ann", "bob"], "item_id": ["x", "y"]})
    fewer = ht.Vectors(np.eye(2), np.eye(1, 2), ["ann", "bob"], ["x"])
    with pytest.raises(InvalidInputError, match=r"1 of 2 items, such as 'y', have no vector, and 1 of 2"):
        ht.recommend(fewer, train, k=1)
    with pytest.raises(InvalidInputError, match="item_ids holds 'x' more than once"):
        ht.recommend(ht.Vectors(np.eye(2), np.eye(2), ["ann", "bob"], ["x", "x"]), train, k=1)
    with pytest.raises(InvalidInputError, match=r"users of the vectors: ids are .*Cast one of them"):
        ht.recommend(ht.Vectors(np.eye(2), np.eye(2), [1, 2], ["x", "y"]), train, k=1)
    only = ht.Vectors(np.eye(1, 2), np.eye(2), ["bob"], ["x", "y"])
    assert ht.recommend(only, train, users=["bob"], k=2).to_polars()["item_id"].to_list() == ["x"]
    with pytest.raises(InvalidInputError, match="queries has no row for 1 of 1 ids of the interactions, such as 'ann'"):
        ht.recommend(only, train, k=1, users=["ann"])
    assert ht.recommend(only, train, k=1).to_polars()["user_id"].to_list() == ["bob"]


def test_what_has_no_vector_is_left_out_and_said(split, plain, caplog):
    known = split.train
    fewer = ht.Vectors(plain.queries[:-3], plain.items[:-2], known.user_ids[:-3], known.item_ids[:-2])
    lists = ht.recommend(fewer, known, k=K)
    assert "2 of 80 items, such as 78, 79, have no vector" in caplog.text
    assert len(lists) == known.n_users - 3
    better = ht.correct(fewer, split, dials=["log penalty"], k=K, max_loss=0.5, progress=False)
    said = better.subject.split.description
    assert "3 of" in said and "2 of 80 items" in said and "Left out of test: " in said
    assert better.vectors.items.shape[0] == 78


def test_vectors_of_other_users_alone_are_told(caplog):
    train = pl.DataFrame({"user_id": [1, 2], "item_id": ["x", "y"]})
    ht.recommend(ht.Vectors(np.eye(2), np.eye(2), [2, 3], ["x", "y"]), train, k=1)
    assert not caplog.text  # a new user beside a known one is no surprise
    ht.recommend(ht.Vectors(np.eye(2), np.eye(2), [101, 102], ["x", "y"]), train, k=1)
    assert "No user of the vectors (101, 102) is among those of the interactions (1, 2)" in caplog.text


def test_what_is_corrected_keeps_its_ids_and_counts_by_them(split, plain, shuffled):
    known, popularity = split.train, split.train.popularity
    users, items = (ids.argsort() for ids in (shuffled.user_ids, shuffled.item_ids))
    for of_ids, of_rows in (
        (ht.penalize_popularity(shuffled, popularity=known, strength=0.3),
         ht.penalize_popularity(*plain, popularity, strength=0.3)),
        (ht.shrink(shuffled, strength=0.3, popularity=known), ht.shrink(*plain, strength=0.3, popularity=popularity)),
        (ht.tilt(shuffled, strength=0.3, k=K, seen=known), ht.tilt(*plain, strength=0.3, k=K, seen=known)),
    ):  # fmt: skip
        assert of_ids.item_ids.tolist() == shuffled.item_ids.tolist()
        np.testing.assert_allclose(of_ids.items[items], of_rows.items, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(of_ids.queries[users], of_rows.queries)
    found, expected = ht.spectrum(shuffled, popularity=known), ht.spectrum(*plain, popularity=popularity)
    np.testing.assert_allclose(found.alignment[0], expected.alignment[0])


def test_interactions_without_a_vector_are_counted(split, plain, caplog):
    known = split.train
    fewer = ht.Vectors(plain.queries, plain.items[:70], known.user_ids, known.item_ids[:70])
    found = ht.spectrum(fewer, popularity=known)
    assert found.popularity.tolist() == known.popularity[:70].tolist()
    gone = known.popularity[70:].sum()
    assert f"{gone} of {len(known)} interactions of popularity left out" in caplog.text


def test_the_trap_is_never_silent(split, plain, shuffled, caplog):
    """Rows in another order than the interactions: a warning without ids, the right result with them."""
    nameless = ht.Vectors(*shuffled)
    caplog.set_level(logging.WARNING)
    verbs = (
        lambda pair: ht.recommend(pair, split.train, k=K),
        lambda pair: ht.recommend(pair, split.train, users=split.train.user_ids[:1], k=K),
        lambda pair: ht.recommend(lambda users: ht.Vectors(pair.queries[users], pair.items), split.train, k=K),
        lambda pair: ht.spectrum(pair, popularity=split.train),
        lambda pair: ht.tilt(pair, strength=0.1, k=K, seen=split.train),
        lambda pair: ht.correct(pair, split, dials=["log penalty"], k=K, max_loss=0.5, progress=False),
    )
    for verb in verbs:
        caplog.clear()
        verb(plain)
        assert "order" not in caplog.text
        verb(nameless)
        assert "their rows do not seem to be in the order of the interactions" in caplog.text
        assert "user_ids=..., item_ids=..." in caplog.text


def test_correct_shows_the_check(split, plain, shuffled):
    options = {"dials": ["log penalty"], "k": K, "max_loss": 0.5, "progress": False}
    checked = ht.correct(plain, split, **options)
    assert "the order of their rows was checked" in checked.notes[0]
    wrong = ht.correct(ht.Vectors(*shuffled), split, **options)  # the warning opens all that is shown
    for shown in (wrong.verdict, wrong.report().lede, wrong.summary().lede, wrong.explore().data["verdict"]):
        assert "do not seem to be in the order of the interactions" in shown
    by_id = ht.correct(shuffled, split, **options)
    assert by_id.subject.order is None
    assert by_id.strength == checked.strength
    lists = ht.recommend(by_id.vectors, split.known, k=K)
    np.testing.assert_array_equal(np.sort(lists.items, axis=1), np.sort(by_id.lists.items, axis=1))
    more = ht.Vectors(np.vstack([plain.queries, plain.queries[:2]]), plain.items,
                      np.append(split.train.user_ids, [1000, 1001]), split.train.item_ids)  # fmt: skip
    said = ht.correct(more, split, **options).subject.split.description
    assert "Left out: vectors of 2 users that the split does not have" in said


@pytest.mark.parametrize("wrong", ["users", "items", "both", "by popularity", "as text", "shifted"])
def test_right_and_wrong_orders_are_told_apart(split, plain, wrong):
    known, (queries, items) = split.train, plain
    users, of_items = np.arange(len(queries)), np.arange(len(items))
    rng = np.random.default_rng(1)
    if wrong in ("users", "both"):
        users = rng.permutation(users)
    if wrong in ("items", "both"):
        of_items = rng.permutation(of_items)
    if wrong == "by popularity":
        users, of_items = np.argsort(-known.activity), np.argsort(-known.popularity)
    if wrong == "as text":
        users, of_items = (np.argsort(each.astype(str)) for each in (users, of_items))
    if wrong == "shifted":
        users = np.roll(users, 1)
    assert order_of(plain, known).fits
    assert not order_of(ht.Vectors(queries[users], items[of_items]), known).fits


def test_a_bias_of_items_and_users_all_alike_say_nothing_of_the_order(split, plain):
    known = split.train
    right = order_of(plain, known).share
    biased = ht.posthoc.add_bias(*plain, 100.0 * np.log1p(known.popularity))
    assert order_of(biased, known).share == pytest.approx(right, abs=0.01)
    alike = ht.Vectors(np.ones((known.n_users, 1)), known.popularity[:, None].astype(float))
    assert order_of(alike, known) is None


def test_vectors_of_a_model_have_the_ids_of_the_interactions(split):
    model = ht.MF(split.train.n_users, split.train.n_items, 4, rng=0)
    found = ht.vectors(model, interactions=split.train, codes=np.array([3, 1]))
    assert found.user_ids.tolist() == split.train.user_ids[[3, 1]].tolist()
    assert found.item_ids is split.train.item_ids


def _tables_of_vectors(given, duck):
    ids, rows = given.tolist(), np.arange(3 * len(given), dtype=float).reshape(-1, 3)
    written = ["[" + ",".join(map(str, row)) + "]" for row in rows.tolist()]
    return rows, {
        "ids and lists, as of Spark's ALS": pl.DataFrame({"id": ids, "features": rows.tolist()}),
        "of pandas": pd.DataFrame({"id": ids, "features": list(rows)}),
        "lazy": pl.LazyFrame({"user": ids, "title": ["x"] * len(ids), "v": rows.tolist()}),
        "arrays of DuckDB": duck.from_arrow(pl.DataFrame({"id": ids, "v": rows}).to_arrow()),
        "text, as of pgvector": pd.DataFrame({"user_id": ids, "embedding": written}),
        "text, as of numpy": pl.DataFrame({"who": list(map(str, ids)), "v": [str(row) for row in rows]}),
        "a column each": pd.DataFrame(rows, columns=list("xyz")).assign(user_id=ids),
        "a column each, and one of text": pl.DataFrame(rows, schema=list("xyz")).with_columns(
            who=pl.Series(list(map(str, ids)))
        ),
        "a dict": dict(zip(ids, rows, strict=True)),
        "a dict of tensors": {one: torch.tensor(row, requires_grad=True) for one, row in zip(ids, rows, strict=True)},
        "rows with names": [{"id": one, "v": row.tolist()} for one, row in zip(ids, rows, strict=True)],
        "columns with names": {"id": ids, "v": rows.tolist()},
    }  # fmt: skip


def test_tables_of_ids_and_vectors_go_in_as_they_are():
    ids = np.array([5, 1, 9])
    rows, tables = _tables_of_vectors(ids, duckdb.connect())
    for name, table in tables.items():
        found = as_pair((table, np.eye(3)))
        assert np.array_equal(to_numpy(found.queries), rows), name
        assert list(map(int, found.user_ids)) == ids.tolist(), name
        assert found.item_ids is None


def test_tables_of_vectors_are_joined_by_their_ids(split, plain):
    known, order = split.train, np.random.default_rng(0).permutation(len(plain.items))
    users = dict(zip(known.user_ids.tolist(), plain.queries, strict=True))
    items = pl.DataFrame({"item": known.item_ids[order], "vector": plain.items[order]})
    expected = ht.recommend(plain, known, k=K).to_polars()
    assert ht.recommend((users, items), known, k=K).to_polars().equals(expected)
    lists = ht.recommend(plain, known, k=K)
    by_id = ht.audit(lists, known, k=K, item_vectors=items, n_bootstrap=0)
    assert by_id["ilad@5"] == ht.audit(lists, known, k=K, item_vectors=plain.items, n_bootstrap=0)["ilad@5"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pl.DataFrame({"id": [1, 2], "v": [[1, 2], [1]]}), r"a vector of 1 numbers for 2 \(row 1\), where others "),
        ({"a": [1, 2], "b": None}, r"no vector for 'b' \(row 1\)"),
        (pl.DataFrame({"id": [1], "v": [[1]], "w": [[2]]}), "vectors in 'v', 'w'. Give two columns"),
        (pl.DataFrame({"a": ["x"], "b": ["y"], "w": [[2]]}), "what may be ids in 'a', 'b'. Give two columns"),
        (pl.DataFrame({"id": [1], "title": ["a"], "x": [2]}), "has 'title' beside numbers that make vectors. Leave it"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_vectors(table, message):
    with pytest.raises(InvalidInputError, match=f"queries .*{message}"):
        as_pair((table, np.eye(2)))


def test_ids_as_bytes_and_as_a_numbering():
    ids = np.array([b"ann", b"bob"])
    for given in (ids, ids.astype(object), {"bob": 1, "ann": 0}, {1: "bob", 0: "ann"}):
        named = with_ids(ht.Vectors(np.eye(2), np.eye(2), given, {0: 0, 1: 1}))
        assert named.user_ids.tolist() == ["ann", "bob"] and named.item_ids.tolist() == [0, 1]
    for given, said in (({0: 1, 1: 2, 2: 0}, "could be read both ways"), ({"a": 1, "b": 2}, "does not number its ids")):
        with pytest.raises(InvalidInputError, match=said):
            with_ids(ht.Vectors(np.eye(len(given)), np.eye(2), given))
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        with_ids(ht.Vectors(np.eye(1), np.eye(2), [b"\xff"]))
