"""What an index keeps of a correction, and how a bias is served."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest

import headtail as ht
from headtail import rerank, serving
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.serving import checking

IDS = ["a", "b", "c", "d"]
TRAIN = pl.DataFrame({"user_id": [0, 1, 2, 2, 3, 3, 3], "item_id": ["a", "a", "a", "b", "b", "c", "d"]})
SCORES = np.array([[2, 0.9, 0.5, 0.1], [2, 0.8, 0.7, 0.2], [2, 1, 0.6, 0.5], [0.3, 1, 1, 1]])
PLAIN = ht.Vectors(SCORES, np.eye(4), item_ids=IDS)  # the best that is new to each user: b, b, c, a
WITH_BIAS = ht.posthoc.add_bias(PLAIN, bias=[1.0, 2.0, 3.0, 4.0])
BIAS = serving.item_bias([0.3, 0, 0.15, 0], item_ids=["d", "b", "c", "a"])  # and with it b, c, d, a


def halves(popularity):
    return ht.PopularityGroups(("head", "tail"), np.array([0, 0, 1, 1], dtype=np.int8), "by hand", popularity)


def exact(vectors, without=()):
    """Return an exact search, but for items that it never finds."""
    kept = [i for i, item in enumerate(vectors.item_ids) if item not in without]

    def search(queries, n):
        order = np.argsort(-(queries @ vectors.items[kept].T), axis=1)[:, :n]
        return np.asarray(vectors.item_ids)[kept][order]

    return search


def test_a_lossy_index_by_hand():
    """Without d, user 2 sees c: exposure 1, 1, 2, 0 is as uneven as it was (1, 2, 1, 0), and all gain is lost."""
    tilted = BIAS.added_to(PLAIN)
    found = serving.check(exact(tilted, without="d"), tilted, TRAIN, k=1, plain=PLAIN, groups=halves)
    ginis = {name: audit["gini@1"] for name, audit in found.comparison.audits.items()}
    assert ginis == {"not corrected, exact": 0.375, "corrected, exact": 0, "corrected, served": 0.375}
    assert found.gain_kept[0] == 0
    assert found.recall == 0.75
    assert [(g["group"], g["items"], g["places"], g["recall"]) for g in found.groups] == [
        ("head", 2, 2, 1), ("tail", 2, 2, 0.5),
    ]  # fmt: skip


def test_errors_of_the_index_are_no_gain_by_hand():
    """Without b it shows c, c, c, a, and c, c, d, a with the bias: Gini falls by .25 where .375 is due."""
    tilted = BIAS.added_to(PLAIN)
    found = serving.check(
        exact(tilted, without="b"),
        tilted,
        TRAIN,
        k=1,
        plain=PLAIN,
        plain_index=exact(PLAIN, without="b"),
        groups=halves,
    )
    ginis = {name: audit["gini@1"] for name, audit in found.comparison.audits.items()}
    assert ginis["not corrected, served"] == 0.625 and ginis["corrected, served"] == 0.375
    assert found.gain_kept[0] == pytest.approx(2 / 3)
    alone = serving.check(exact(tilted, without="b"), tilted, TRAIN, k=1, plain=PLAIN, groups=halves)
    assert alone.gain_kept[0] == 0


def test_more_than_all_of_the_gain_is_told_by_hand():
    """Gini falls from .625 (3, 1) to .375 (2, 1, 1) exactly, and to 0 as served: two and a half times the gain."""
    plain, corrected, served = (
        ht.Recommendations(np.arange(4), np.array(IDS), np.arange(4), np.array(items)[:, None])
        for items in ([1, 1, 1, 0], [1, 1, 2, 0], [3, 1, 2, 0])
    )
    found = serving.check(served, corrected, TRAIN, k=1, plain=plain, groups=halves)
    assert found.gain_kept[0] == 2.5 and found.recall == 0.75
    assert found.verdict.endswith("comes of items that the index misses: look at recall and NDCG.")


def test_candidates_by_hand():
    """The best candidate alone is what it was; the second is all it takes."""
    for n, kept in {1: 0, 2: 1, 4: 1}.items():
        found = serving.check(exact(PLAIN), PLAIN, TRAIN, k=1, bias=BIAS, n_candidates=n, groups=halves)
        assert (found.gain_kept[0], found.n_candidates) == (kept, n)
    assert serving.fewest_candidates(exact(PLAIN), PLAIN, TRAIN, BIAS, k=1, groups=halves).n_candidates == 2
    with pytest.raises(InvalidInputError, match=r"all 4 items as candidates 0.0% of the gain is kept, below keep=0.5"):
        serving.fewest_candidates(exact(PLAIN, without="d"), PLAIN, TRAIN, BIAS, k=1, keep=0.5)
    with pytest.raises(InvalidInputError, match=r"no gain to keep: it changes Gini@1 from 0.3750 to 0.3750"):
        serving.fewest_candidates(exact(PLAIN), PLAIN, TRAIN, np.zeros(4), k=1)


@pytest.fixture(scope="module")
def world():
    """Vectors whose ids are not in the order of the rows, a tilt of them, and what users know."""
    made = ht.datasets.power_law(300, 90, n_interactions=2000, rng=0)
    known, shuffled = made.interactions, np.random.default_rng(0).permutation(90)
    plain = ht.Vectors(made.queries, made.items[shuffled], known.user_ids, known.item_ids[shuffled])
    return plain, ht.tilt(plain, strength=0.3, k=5, seen=known), known


def test_an_exact_index_keeps_everything(world):
    plain, tilted, known = world
    for found in (
        serving.check(exact(tilted), tilted, known, k=5, plain=plain, test=known.subset([0, 1])),
        serving.check(exact(plain), plain, known, k=5, bias=tilted, n_candidates=90),
    ):
        assert found.recall == 1
        assert found.gain_kept[0] == 1
    np.testing.assert_array_equal(
        serving.retrieve(exact(tilted), tilted, known, k=5).items, ht.recommend(tilted, known, k=5).items
    )


def test_what_is_served_against_a_naive_count(world):
    plain, tilted, known = world
    gone = set(plain.item_ids[::7].tolist())
    found = serving.check(exact(tilted, without=gone), tilted, known, k=5, plain=plain)
    groups = ht.PopularityGroups.by_mass(known.popularity)
    lists, hits = ht.recommend(tilted, known, k=5), {name: [] for name in groups.names}
    for user, row in enumerate(lists.items):
        scores = tilted.queries[user] @ tilted.items.T
        best = [i for i in np.argsort(-scores) if tilted.item_ids[i] not in gone]
        seen = set(known.items[known.users == user].tolist())
        ours = [tilted.item_ids[i] for i in best if tilted.item_ids[i] not in known.item_ids[list(seen)]][:5]
        for item in row:
            hits[groups.names[groups.codes[item]]].append(known.item_ids[item] in ours)
    assert {g["group"]: g["recall"] for g in found.groups} == {name: np.mean(own) for name, own in hits.items()}
    kept, low, high = found.gain_kept
    assert low < kept < high
    gini = {name: audit["gini@5"] for name, audit in found.comparison.audits.items()}
    plain_gini = gini["not corrected, exact"]
    assert kept == (plain_gini - gini["corrected, served"]) / (plain_gini - gini["corrected, exact"])
    assert f"{kept:.1%}" in found.verdict and "Gini@5" in repr(found)
    assert found.to_polars().filter(pl.col("measure") == "recall")["value"].to_list()[-1] == found.recall
    again = serving.check(
        serving.retrieve(exact(tilted, without=gone), tilted, known, k=5), lists, known, k=5, plain=plain
    )
    assert again.to_dict() == found.to_dict()


def test_more_candidates_keep_more(world, monkeypatch):
    plain, tilted, known = world
    asked, lists_of = [], checking.lists_of
    monkeypatch.setattr(checking, "lists_of", lambda index, of, n: asked.append(n) or lists_of(index, of, n))
    found = serving.fewest_candidates(exact(plain), plain, known, tilted, k=5, keep=0.8)
    assert len(asked) == len(set(asked)), "nothing is asked twice"
    below = serving.check(exact(plain), plain, known, k=5, bias=tilted, n_candidates=found.n_candidates - 1)
    assert below.gain_kept[0] < 0.8 <= found.gain_kept[0]


def test_lists_are_ordered_by_a_part_of_the_bias(world):
    plain, tilted, known = world
    bias = serving.BiasTable(plain.item_ids, tilted.items[:, -1], order=0.0)
    found = serving.check(exact(plain), plain, known, k=5, bias=bias, n_candidates=90)
    lists = rerank.add_bias(ht.recommend(plain, known, k=40), bias.of(known.item_ids), k=5, order=0)
    np.testing.assert_array_equal(found.comparison.audits["corrected, served"].lists.items, lists.items)


# -- indexes of libraries, by objects that have what theirs have; the real ones are in tests/integrations --------------


def faiss_like(vectors, metric=0, rows=None, **changes):
    def search(queries, n):
        order = np.argsort(-(queries @ vectors.items.T), axis=1)[:, :n]
        return np.zeros(order.shape), order if rows is None else rows[order]

    own = {} if rows is None else {"id_map": rows}
    size = {"ntotal": len(vectors.items), "d": vectors.items.shape[1]}
    return SimpleNamespace(**{"metric_type": metric, **size, **changes}, search=search, **own)


def hnswlib_like(vectors, space="ip", fails=False):
    def knn_query(queries, k):
        if fails:
            raise RuntimeError("Cannot return the results in a contiguous 2D array. Probably ef or M is too small")
        order = np.argsort(-(queries @ vectors.items.T), axis=1)[:, :k]
        return order, np.zeros(order.shape)

    n, dim = vectors.items.shape
    return SimpleNamespace(
        knn_query=knn_query, space=space, dim=dim, get_current_count=lambda: n, get_ids_list=lambda: list(range(n))
    )


def test_indexes_of_libraries_return_rows_or_ids(world):
    plain, _, known = world
    expected = ht.recommend(plain, known, k=5).items
    ids = plain.item_ids.astype(np.int64)
    for index in (faiss_like(plain), faiss_like(plain, rows=ids), hnswlib_like(plain)):
        np.testing.assert_array_equal(serving.retrieve(index, plain, known, k=5).items, expected)
    by_row = ht.Vectors(plain.queries, plain.items[np.argsort(ids)])  # in the order of the interactions, without ids
    found = serving.retrieve(lambda q, n: [[*row, -1] for row in faiss_like(by_row).search(q, n)[1]], by_row, known)
    np.testing.assert_array_equal(found.items[:, :5], expected)


def test_distances_rank_vectors_of_one_length(world):
    plain, _, known = world
    lengths = np.linalg.norm(plain.items, axis=1, keepdims=True)
    even = plain._replace(items=plain.items / lengths)
    expected = ht.recommend(even, known, k=5).items
    for index in (faiss_like(even, metric=1), hnswlib_like(even, "cosine")):
        np.testing.assert_array_equal(serving.retrieve(index, even, known, k=5).items, expected)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (lambda v: faiss_like(v, ntotal=3), "holds 3 items of 4 dimensions, and the vectors have 4 of 4"),
        (lambda v: faiss_like(v, d=5), "holds 4 items of 5 dimensions"),
        (lambda v: faiss_like(v, metric=1), "measures L2.*these run from 1 to 4.12.*METRIC_INNER_PRODUCT"),
        (lambda v: hnswlib_like(v, "cosine"), "measures cosine"),
        (lambda v: hnswlib_like(v, fails=True), "hnswlib does not find 1 items .* larger M and ef"),
        (lambda v: lambda queries, n: [["x"]] * 4, "returns 'x', not among the item_ids of the vectors"),
        (lambda v: lambda queries, n: np.zeros((4, 1), int), "ids are .* here and"),
        (lambda v: lambda queries, n: [["a"]] * 3, r"items of shape \(3, 1\) for 4 queries"),
        (lambda v: lambda queries, n: 7, r"items of shape \(\) for 4 queries"),
        (lambda v: lambda queries, n: [["a", "a"]] * 4, "an item twice"),
        (lambda v: "index", "str is no index"),
    ],
)  # fmt: skip
def test_indexes_that_do_not_fit(index, message):
    vectors = PLAIN._replace(items=np.eye(4) + np.diag([1, 0, 0, 0])[::-1] * 4)
    k = 2 if "twice" in message else 1
    with pytest.raises(InvalidInputError, match=message):
        serving.retrieve(index(vectors), vectors, TRAIN, k=k)


def test_rows_that_are_not_there():
    with pytest.raises(InvalidInputError, match="returns 9, not among the 4 rows"):
        serving.retrieve(lambda q, n: np.full((len(q), n), 9), PLAIN._replace(item_ids=None), TRAIN, k=1)
    with pytest.raises(InvalidInputError, match=r"no numbers of rows. Return \(items, scores\), in this order"):
        serving.retrieve(lambda q, n: (np.ones((4, 1)), None), PLAIN._replace(item_ids=None), TRAIN, k=1)
    with pytest.raises(InvalidInputError, match=r"are no ids. Return \(items, scores\), in this order"):
        serving.retrieve(lambda q, n: (np.full((4, 1), 2.5), None), PLAIN, TRAIN, k=1)


@pytest.mark.parametrize(
    ("ids", "bias", "message"),
    [
        ([1, 1], [0.1, 0.2], "holds 1 more than once"),
        ([1, 2], [0.1, np.nan], "bias holds 1 value that is not finite"),
        ([1, 2], [0.1], "holds 2 ids for 1 item"),
        ([1, 2], ["a", "b"], "give a number an item"),
    ],
)
def test_a_table_of_biases_is_checked(ids, bias, message):
    with pytest.raises(InvalidInputError, match=message):
        serving.BiasTable(ids, bias)


def test_a_bias_with_labels_is_that_of_the_items_they_name():
    labelled = pd.Series([1.0, 2.0], index=["b", "a"])
    assert serving.BiasTable(["a", "b"], labelled).bias.tolist() == [2, 1]
    assert serving.item_bias(labelled, item_ids=["a", "b"]).bias.tolist() == [2, 1]
    assert serving.item_bias(labelled).item_ids.tolist() == ["b", "a"]
    with pytest.raises(InvalidInputError, match=r"1 item has no bias, such as 'c'\."):
        serving.BiasTable(["a", "c"], labelled)


def test_lists_are_as_short_as_the_index_makes_them():
    lists = serving.retrieve(lambda queries, n: [["a", None], ["b"], [], ["c"]], PLAIN, TRAIN, k=2)
    assert lists.items.tolist() == [[-1, -1], [1, -1], [-1, -1], [-1, -1]]
    with pytest.raises(InvalidInputError, match=r"longest list that is served has 1 item, and k=2.*hnsw.ef_search"):
        serving.check(lambda queries, n: [["b"]] * 4, PLAIN, TRAIN, k=2)
    found = serving.check(lambda queries, n: [["b", "c"]] * len(queries), PLAIN, TRAIN, k=2)
    assert "fewer than 2 recommendations" in " ".join(found.comparison.audits["corrected, served"].notes)
    assert np.isnan(found.gain_kept[0]) and "gain" not in found.verdict


def test_served_lists_need_no_index_and_no_bias(world):
    plain, _, known = world
    lists = ht.recommend(plain, known, k=5)
    with pytest.raises(InvalidInputError, match="leave out the others"):
        serving.check(lists, lists, known, k=5, bias=np.zeros(90))
    with pytest.raises(InvalidInputError, match="leave out n_candidates"):
        serving.check(lists, lists, known, k=5, n_candidates=9)
    with pytest.raises(InvalidInputError, match="give them as plain"):
        serving.check(lists, lists, known, k=5, plain_index=lists)
    with pytest.raises(InvalidInputError, match="different users"):
        serving.check(ht.recommend(plain, known, k=5, codes=np.arange(9)), lists, known, k=5)


def test_the_interval_of_the_gain_kept_pairs_users_and_not_rows(world):
    plain, tilted, known = world
    before, after = (ht.recommend(vectors, known, k=5) for vectors in (plain, tilted))
    noisy = ht.Vectors(tilted.queries, tilted.items.round(1), tilted.user_ids, tilted.item_ids)
    served = ht.recommend(noisy, known, k=5)
    rows = np.random.default_rng(0).permutation(len(served))
    other = replace(served, users=served.users[rows], items=served.items[rows], scores=served.scores[rows])
    found = [serving.check(each, after, known, k=5, plain=before).gain_kept for each in (served, other)]
    assert found[0] == pytest.approx(found[1]) and not np.isnan(found[0]).any()
    # As many users, but others, where each of two has an empty list: no interval.
    short = [replace(each, items=each.items.copy()) for each in (served, after, before)]
    for user, each in enumerate(short):
        each.items[user] = -1
    gone = serving.check(short[0], short[1], known, k=5, plain=short[2]).gain_kept
    assert np.isfinite(gone[0]) and np.isnan(gone[1:]).all()


# -- the bias itself ---------------------------------------------------------------------------------------------------


def test_a_bias_of_vectors_of_a_correction_and_of_numbers(world):
    plain, tilted, known = world
    table = serving.item_bias(tilted)
    np.testing.assert_array_equal(table.bias, tilted.items[:, -1])
    np.testing.assert_array_equal(table.added_to(plain).items, tilted.items)
    long = serving.item_bias([0.5, -0.5], item_ids=[1234567, 2345678])
    assert "1,234,567" not in long.report().to_text() and "1234567" in long.report().to_text()  # an id, no amount
    split = ht.split_ratio(known, rng=0)
    options = {"dials": ["log penalty"], "strength": 0.1, "k": 5, "progress": False}
    made = ht.correct(plain, split, **options)
    table = serving.item_bias(made)
    np.testing.assert_array_equal(table.bias, made.made.bias)
    np.testing.assert_array_equal(table.item_ids, made.subject.split.train.item_ids)
    assert table.order == made.made.order
    with pytest.raises(NotAvailableError, match="shrink adds no number to items"):
        serving.item_bias(ht.correct(plain, split, **options | {"dials": ["shrink"]}))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: serving.item_bias(PLAIN), "The last coordinate of the queries is not 1"),
        (lambda: serving.item_bias([1.0, np.nan]), "bias holds 1 value that is not finite"),
        (lambda: serving.item_bias("x"), r"The bias has shape \(\) and type <U1"),
        (lambda: serving.item_bias(WITH_BIAS, item_ids=IDS[::-1]), "item_ids differs from the ids that the vectors"),
        (lambda: serving.item_bias([1.0], item_ids=["a", "b"]), "item_ids holds 2 ids for 1 item"),
        (lambda: serving.item_bias([1.0], item_ids=["a"]).added_to(PLAIN), "3 items have no bias, such as 'b', 'c'"),
        (lambda: BIAS.formula("solr"), "engine='solr' is not known"),
        (lambda: BIAS.formula("qdrant", k=20, n_candidates=10), "n_candidates=10 is out of range"),
    ],
)
def test_what_is_no_bias_is_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def served_by(request, scores, bias):
    """Run a request for Qdrant or Milvus as their documentation says they do, on the scores of one user."""
    if "prefetch" in request:
        inner = request["prefetch"]
        found = served_by(inner, scores, bias) if "prefetch" in inner else top(scores, inner["limit"])
        total = {}
        for item, score in found.items():
            worth = {"$score": score, "bias": bias[item]}
            terms = [t if isinstance(t, str) else t["mult"] for t in request["query"]["formula"]["sum"]]
            total[item] = sum(worth[t] if isinstance(t, str) else t[0] * worth[t[1]] for t in terms)
        return top(total, request["limit"])
    found = top(scores, request["limit"])
    for op in request["functionChains"][0]["ops"]:
        if op["op"] == "map":
            weights = op["expr"]["params"]["weights"]
            found = {item: weights[0] * score + weights[1] * bias[item] for item, score in found.items()}
        else:
            found = top(found, op["params"].get("limit", len(found)))
    return found


def top(scores, n):
    return dict(sorted(scores.items(), key=lambda pair: -pair[1])[:n])


@pytest.mark.parametrize("order", [1.0, 0.25])
@pytest.mark.parametrize("engine", ["qdrant", "milvus"])
def test_requests_give_the_lists_of_add_bias(engine, order, world):
    plain, tilted, _ = world
    table = serving.BiasTable(plain.item_ids, tilted.items[:, -1], order)
    request = json.loads(table.formula(engine, k=5, n_candidates=20))
    scores = plain.queries[0] @ plain.items.T
    lists = ht.Recommendations.from_scores(scores[None], k=20, item_ids=plain.item_ids)
    expected = rerank.add_bias(lists, table.bias, k=5, order=order).to_polars()
    found = served_by(
        request, dict(zip(plain.item_ids, scores, strict=True)), dict(zip(table.item_ids, table.bias, strict=True))
    )
    assert list(found) == expected["item_id"].to_list()
    np.testing.assert_allclose(list(found.values()), expected["score"])


def test_rescoring_adds_no_negative_scores():
    table = serving.BiasTable(np.array(["x", "y"]), np.array([-2.0, 1.0]), order=0.25)
    request = json.loads(table.formula("opensearch", k=2, n_candidates=9, field="lift"))
    assert request == json.loads(table.formula("elasticsearch", k=2, n_candidates=9, field="lift"))
    (first, second), scripts = request["rescore"], []
    for stage, window in ((first, 9), (second, 2)):
        assert stage["window_size"] == window and stage["query"]["score_mode"] == "total"
        script = stage["query"]["rescore_query"]["script_score"]["script"]
        source = script["source"].replace("doc['lift'].value", "lift").replace("Math.max", "max")
        for name, value in script["params"].items():
            source = source.replace(f"params.{name}", str(value))
        scripts.append(source)
    added = {lift: [eval(source, {"max": max, "lift": lift}) for source in scripts] for lift in (-2.0, 1.0)}
    assert added == {-2.0: [0.0, 2.25], 1.0: [3.0, 0.0]}  # by order 1 y gains 3 on x, by 0.25 3 - 2.25


def test_a_table_shows_both_ends_and_writes_whole_numbers_as_such():
    table = serving.item_bias(np.linspace(-1, 1, 50))
    assert "Lowered most" in repr(table) and "-1.0000" in repr(table)
    assert table.to_sql("lifts").startswith("CREATE TABLE lifts (item_id bigint PRIMARY KEY, bias real NOT NULL);")
    assert table.to_polars().columns == ["item_id", "bias"]
