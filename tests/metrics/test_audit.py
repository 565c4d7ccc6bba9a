"""The audit: every engine, every kind of bad input, intervals, user groups, and metrics of one's own."""

import inspect
import json
import pickle
import re
from datetime import date
from functools import partial

import naive
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy.stats import ttest_ind
from test_metrics import RECS, TEST, TRAIN, frame, random_world, recs_frame

from headtail import engines
from headtail.baselines import most_popular
from headtail.data import Interactions, PopularityGroups, Recommendations, split_time
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.metrics import arp, audit, better, compare, coverage, describe, gini, group_share, ndcg
from headtail.metrics.facts import definition


def values(result):
    return {m.name: m.value for m in result.measurements}


def test_an_audit_is_gone_through_by_the_names_of_its_metrics():
    result = audit(recs_frame(RECS), frame(TRAIN), k=2, metrics=[gini, coverage])
    assert list(result) == ["gini@2", "coverage@2"] and "gini@2" in result and "gini@3" not in result
    assert dict(result) == values(result) == result.metrics()


def as_duckdb(table):
    import duckdb

    return duckdb.from_arrow(table.to_arrow())


ENGINES = {
    "polars": lambda table: table,
    "polars lazy": lambda table: table.lazy(),
    "pandas": lambda table: table.to_pandas(),
    "pyarrow": lambda table: table.to_arrow(),
    "duckdb": as_duckdb,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ids", ["numbers", "text"])
def test_engines_give_equal_audits(engine, ids):
    tables = [recs_frame(random_world(3)[2]), frame(random_world(3)[0]), frame(random_world(3)[1])]
    if ids == "text":
        tables = [t.with_columns(pl.format("é{}", "user_id").alias("user_id")) for t in tables]
    expected = audit(*tables, k=6, strict=False, catalogue=range(40), n_bootstrap=0)
    found = audit(*map(ENGINES[engine], tables), k=6, strict=False, catalogue=range(40), n_bootstrap=0)
    assert values(found) == pytest.approx(values(expected), nan_ok=True)
    assert len(values(found)) > 20


def test_recommendations_object_equals_its_frame():
    train, test, recs = random_world(1)
    interactions = Interactions.from_frame(frame(train)).with_items(np.arange(40))
    table = recs_frame(recs)
    lists = naive.lists_of(recs, 6)
    codes = {i: c for c, i in enumerate(interactions.item_ids.tolist())}
    given = Recommendations(
        user_ids=interactions.user_ids,
        item_ids=interactions.item_ids,
        users=np.arange(30, dtype=np.int32),
        items=np.array([[codes[i] for i in lists[u]] for u in range(30)], dtype=np.int32),
    )
    expected = values(audit(table, interactions, frame(test), k=6, strict=False, n_bootstrap=0))
    assert values(audit(given, interactions, frame(test), k=6, strict=False, n_bootstrap=0)) == pytest.approx(
        expected, nan_ok=True
    )
    # The same lists against a catalogue that is numbered differently.
    assert values(
        audit(given, frame(train), frame(test), k=6, strict=False, n_bootstrap=0, catalogue=range(40))
    ) == pytest.approx(expected, nan_ok=True)


def test_order_comes_from_rank_else_score_else_rows():
    ranked = pl.DataFrame({"user_id": [1, 1, 1], "item_id": ["c", "d", "b"], "rank": [2, 3, 1]})
    scored = pl.DataFrame({"user_id": [1, 1, 1], "item_id": ["c", "d", "b"], "score": [0.5, 0.1, 0.9]})
    in_order = pl.DataFrame({"user_id": [1, 1, 1], "item_id": ["b", "c", "d"]})
    test = frame([(1, "c")])
    for recs in (ranked, scored, in_order):
        result = audit(recs, TRAIN, test, k=3, metrics=[ndcg], n_bootstrap=0)
        assert result["ndcg@3"] == pytest.approx(1 / np.log2(3))


def test_default_cutoffs_reach_as_far_as_the_lists():
    assert audit(RECS, TRAIN, n_bootstrap=0).cutoffs == (2,)
    train = frame([(1, i) for i in range(30)])
    recs = pl.DataFrame({"user_id": [1] * 15, "item_id": range(15)})
    assert audit(recs, train, n_bootstrap=0).cutoffs == (10,)
    assert audit(recs, train, k=[3, 7], n_bootstrap=0).cutoffs == (3, 7)


def test_test_users_without_lists_count_as_misses():
    recs = RECS.filter(pl.col("user_id") != 2)
    result = audit(recs, TRAIN, TEST, k=2, n_bootstrap=0)
    assert result["recall@2"] == pytest.approx(2 / 3)
    assert result["arp@2"] == 1  # but they have no list whose popularity could be averaged
    assert "1 test user has no recommendations" in result.notes[0]


def test_user_groups_are_measured_apart():
    users = pd.DataFrame({"userId": [1, 2, 3, 9], "gender": ["F", "M", "F", "M"], "age": [20, 20, 30, 30]})
    result = audit(RECS, TRAIN, TEST, users=users, k=2, n_bootstrap=0)
    women = audit(RECS.filter(pl.col("user_id") != 2), TRAIN, TEST.filter(pl.col("user_id") != 2), k=2, n_bootstrap=0)
    assert {m.users for m in result.measurements} == {"all", "gender=F", "gender=M", "age=20", "age=30"}
    for m in women.measurements:
        assert result.measurement(m.name, "gender=F").value == pytest.approx(m.value, nan_ok=True), m.name
    with pytest.raises(MissingColumnError, match=r"Did you mean 'gini@2 of gender=F'\?"):
        result.measurement("gini@2", "gender=f")


def test_definitions_are_there_without_docstrings(monkeypatch):
    expected = definition(gini)
    monkeypatch.setattr(inspect.unwrap(gini), "__doc__", None)  # as python -OO leaves it
    monkeypatch.setattr(gini, "__doc__", None)
    assert definition(gini) == expected != definition(lambda top: 0.0) == "A metric of your own."


def test_metrics_of_ones_own():
    def longest(top):
        """Length of the longest list."""
        return float(top.lengths.max())

    def first_popularity(top):
        return top.popularity[top.items[:, 0]].astype(float)

    result = audit(RECS, TRAIN, k=2, metrics=[longest, first_popularity], n_bootstrap=20)
    assert result["longest@2"] == 2
    assert result["first_popularity@2"] == pytest.approx((1 + 2 + 1) / 3)
    assert result.definitions["longest"] == "Length of the longest list."
    assert result.measurement("first_popularity@2").low is not None
    with pytest.raises(InvalidInputError, match=re.escape("returned an array of shape (3, 2)")):
        audit(RECS, TRAIN, k=2, metrics={"wrong": lambda top: top.items})
    with pytest.raises(InvalidInputError, match="has no name"):
        audit(RECS, TRAIN, k=2, metrics=["gini"])


@pytest.mark.parametrize("name", ["slots", "attention", "popularity", "items", "users", "lengths", "target_items"])
def test_a_metric_of_ones_own_cannot_change_what_others_are_given(name):
    def sorts_in_place(top):
        getattr(top, name).sort()
        return 0.0

    with pytest.raises(ValueError, match="read-only"):
        audit(RECS, TRAIN, TEST, k=2, metrics=[sorts_in_place, gini])


def test_a_metric_of_ones_own_states_the_same_facts_as_others():
    @better("lower", low=0, high=1, format=".1%", headline=True, family="exposure")
    def share_of_first(top):
        """Share of the lists that begin with the first item."""
        return float((top.items[:, 0] == 0).mean())

    def plain(top):
        return 0.25

    plain.better = "higher"
    result = audit(RECS, TRAIN, k=2, metrics=[share_of_first, plain, gini], n_bootstrap=0)
    assert result.headlines == ["share_of_first", "gini"]
    assert result.directions == {"share_of_first": "lower", "plain": "higher", "gini": "lower"}
    text = result.to_markdown()
    assert f"{result['share_of_first@2']:.1%}" in text and "0.2500" in text
    two = compare({"a": result, "b": result}).to_markdown()
    assert r"share\_of\_first" in two and "plain" not in two
    # With options set it is another metric, and no headline.
    by_name = audit(RECS, TRAIN, TEST, k=2, metrics={"ndcg": ndcg, "of_head": partial(ndcg, group="head")})
    assert by_name.headlines == ["ndcg"] and by_name.facts["of_head"].needs == ("targets",)


def test_what_is_measured_follows_from_what_metrics_need():
    names = set(audit(RECS, TRAIN, k=2, n_bootstrap=0).facts)
    assert {"gini", "arp", "tail_exposure"} <= names and not names & {"ndcg", "pop_reo", "ilad", "group_share"}
    assert {"ndcg", "pop_reo", "ndcg_head"} <= set(audit(RECS, TRAIN, TEST, k=2, n_bootstrap=0).facts)


def test_lists_alone_show_how_evenly_they_share_the_places():
    alone = audit(RECS, k=2)
    # Exposure over what the lists hold needs nothing else, and is what a catalogue of just that gives.
    shown = audit(RECS, TRAIN, k=2, strict=False, metrics={"gini": partial(gini, catalogue="recommended")})
    assert alone["gini@2"] == shown["gini@2"]
    assert set(alone.facts) == {"gini", "gini_by_rank", "entropy"}
    assert any("Only training interactions say" in note and "arp" in note for note in alone.notes)
    assert any("a catalogue of all ids" in note for note in alone.notes)
    assert "training" not in alone.judged_by and not alone.references
    text = alone.to_markdown()
    assert alone.verdict in text and compare({"a": alone, "b": alone}).verdict
    assert "recommended places go to" in text and "of what people chose" not in text
    alone.to_html()
    # With all ids, or a test, there is more.
    catalogue = [*RECS["item_id"].unique(), "y", "z"]
    wide = audit(RECS, catalogue=catalogue, k=2)
    n = RECS["item_id"].n_unique()
    assert wide["coverage@2"] == n / (n + 2)
    assert audit(RECS, test=TEST, k=2)["ndcg@2"] == audit(RECS, TRAIN, TEST, k=2, strict=False)["ndcg@2"]
    two = compare({"a": wide, "b": audit(RECS.reverse(), catalogue=catalogue, k=2)})
    assert two.changes["b"]["gini"]["difference"] == 0 and "in training" not in two.to_markdown()
    for metrics in ([arp], {"x": partial(group_share, group="head")}):
        with pytest.raises(InvalidInputError, match=r"Give train=\.\.\."):
            audit(RECS, k=2, metrics=metrics)
    with pytest.raises(InvalidInputError, match=r"give each catalogue=\.\.\. with the items of all"):
        compare({"a": wide, "b": alone})


def test_arms_of_an_ab_test_are_compared_as_independent_samples():
    rng = np.random.default_rng(0)
    train = Interactions.from_frame(frame([(u, i) for u in range(300) for i in rng.choice(30, 3, replace=False)]))

    def arm(users):
        items = np.argsort(rng.random((len(users), 30)), axis=1)[:, :3].astype(np.int32)
        return Recommendations(train.user_ids, train.item_ids, users.astype(np.int32), items)

    some, others = np.arange(140), np.arange(140, 300)
    one, two = (audit(arm(users), train, k=3, metrics=[arp, gini]) for users in (some, others))
    result = compare({"one": one, "two": two})
    found = result.changes["two"]
    told = ttest_ind(two.user_values["arp@3"], one.user_values["arp@3"], equal_var=False)
    assert found["arp"]["difference"] == pytest.approx(two["arp@3"] - one["arp@3"]) and found["arp"]["n_users"] == 300
    assert [found["arp"][end] for end in ("low", "high")] == pytest.approx(told.confidence_interval(), rel=0.02)
    # Gini falls with the number of users alone, so that the larger arm is sampled down.
    fewer = [gini(two.lists.take(rng.permutation(160)[:140])) for _ in range(200)]
    assert found["gini"]["difference"] == pytest.approx(np.mean(fewer) - one["gini@3"], abs=3 * np.std(fewer) / 8**0.5)
    assert not found["gini"]["significant"] and found["gini"]["low"] < 0 < found["gini"]["high"]
    assert not result.paired and "No user is in two of the audits (one 140, two 160)" in result.notes[0]
    assert "the same people" not in result.to_markdown()
    assert compare({"one": one, "again": one}).paired


def test_intervals_have_the_spread_of_new_samples_of_users():
    """The interval's width against the spread of the metric over independent samples from one population of lists."""
    rng = np.random.default_rng(0)
    train = frame([(u, i) for u in range(600) for i in rng.choice(50, 3, replace=False)])
    interactions = Interactions.from_frame(train)
    weights = 1 / np.arange(1, interactions.n_items + 1)

    def sample():
        keys = rng.exponential(size=(600, interactions.n_items)) / weights
        lists = np.argsort(keys, axis=1)[:, :5]  # drawn by weight, without replacement
        return Recommendations(
            interactions.user_ids,
            interactions.item_ids,
            np.arange(600, dtype=np.int32),
            lists.astype(np.int32),
        )

    found = [audit(sample(), interactions, k=5, metrics=[gini, arp], n_bootstrap=0) for _ in range(100)]
    one = audit(sample(), interactions, k=5, metrics=[gini, arp], n_bootstrap=300)
    for name in ("gini@5", "arp@5"):
        spread = np.std([result[name] for result in found])
        m = one.measurement(name)
        assert (m.high - m.low) / (2 * 1.96) == pytest.approx(spread, rel=0.2)
        assert (
            m.low < np.mean([result[name] for result in found]) < m.high or abs(m.value - found[0][name]) < 4 * spread
        )


def test_intervals_are_the_same_every_time_and_can_be_left_out():
    first, second = (audit(RECS, TRAIN, TEST, k=2).to_json() for _ in range(2))
    assert first == second
    assert all(m.low is None for m in audit(RECS, TRAIN, k=2, n_bootstrap=0).measurements)


@pytest.mark.parametrize("form", ["frame", "array", "engine"])
def test_recommended_items_without_interactions_are_refused_or_noted(form):
    recs, options = with_row(RECS, 3, "x", 2), {"k": 2, "strict": False}
    train, test, measured = TRAIN, TEST, audit
    if form == "array":
        recs = Recommendations.from_frame(recs)
    if form == "engine":
        recs, train, test, measured = recs.lazy(), TRAIN.lazy(), TEST.lazy(), engines.audit
    with pytest.raises(InvalidInputError, match=r"not in the catalogue, for example 'x'.* Or give strict=False: they"):
        measured(recs, train, test, k=2)
    found = measured(recs, train, test, **options)
    assert any(
        "for example 'x'" in note and "They count as items without interactions." in note for note in found.notes
    )
    expected = measured(recs, train, test, catalogue=[*"abcd", "x"], **options)
    assert {m.name: m.value for m in found.measurements} == pytest.approx(
        {m.name: m.value for m in expected.measurements}, nan_ok=True
    )


def bad(**changes):
    arguments = {"recs": RECS, "train": TRAIN, "test": TEST, "k": 2} | changes
    return audit(**arguments)


def with_row(table, *row):
    return pl.concat([table, pl.DataFrame([row], schema=table.schema, orient="row")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recs": RECS.drop("item_id")}, "recs has no column 'item_id'"),
        ({"recs": RECS.clear()}, "recs has no rows"),
        ({"recs": [1, 2]}, "recs is a list, not a frame"),
        ({"recs": (np.zeros((2, 2), int), np.ones((2, 2)))}, r"scores make lists by .*from_arrays\(ids, scores\)"),
        ({"recs": with_row(RECS, None, "a", 1)}, "recs has 1 missing value in 'user_id'"),
        ({"recs": RECS.with_columns(score=pl.lit(float("nan")))}, "recs score holds 5 values that are not finite"),
        ({"recs": RECS.with_columns(score=pl.lit(float("inf")))}, "recs score holds 5 values that are not finite"),
        ({"recs": RECS.with_columns(pl.col("rank") - 1)}, "ranks that start at 0"),
        ({"recs": RECS.with_columns(pl.lit(1).alias("rank"))}, "ranks that are not 1, 2, 3 ... for 2 users; user 1"),
        ({"recs": RECS.with_columns(pl.col("rank") ** 2), "k": 4}, "not 1, 2, 3 ... for 2 users; user 1 has 1, 4"),
        ({"recs": RECS.with_columns(pl.col("rank") + 0.5)}, "ranks that are not whole numbers"),
        ({"recs": with_row(RECS, 3, "c", 2)}, "recs has item 'c' more than once for user 3"),
        ({"recs": with_row(RECS, 3, "c", 2), "k": 1}, "recs has item 'c' more than once for user 3, and 1 such"),
        ({"recs": with_row(RECS, 3, "x", 2)}, "1 item that is not in the catalogue, for example 'x'"),
        ({"recs": with_row(RECS, 9, "a", 1)}, "1 user without training history, for example 9"),
        ({"recs": RECS.with_columns(pl.col("item_id").replace_strict({"b": 1, "c": 2, "d": 3}))}, "ids are Int64 here"),
        ({"k": 3}, "k=3 is above the longest list, which has 2 items"),
        ({"k": 0}, "k=0 is out of range"),
        ({"k": "ten"}, "k='ten' is not a whole number"),
        ({"test": with_row(TEST, 1, "a")}, "train holds 1 of 5 test interactions as well"),
        ({"test": TEST.with_columns(pl.col("item_id").str.to_uppercase())}, "no item in common with"),
        ({"train": with_row(TRAIN, 1, "a")}, "train holds 1 row that repeats a \\(user, item\\) pair"),
        ({"users": pl.DataFrame({"user_id": [1, 1], "g": ["a", "b"]})}, "users has a user more than once"),
        ({"users": pl.DataFrame({"user_id": [1]})}, "Give the ids and attributes"),
        ({"item_vectors": np.ones((3, 2))}, "give one row for each of the 4 items"),
        ({"item_vectors": {"a": [1.0, 2.0]}}, "item_vectors lacks 3 items, for example 'b'"),
        ({"groups": PopularityGroups.by_mass(np.array([3, 2]))}, "groups has 2 items and the catalogue 4"),
        ({"n_bootstrap": -1}, "n_bootstrap=-1 is out of range"),
        ({"n_bootstrap": 1}, "n_bootstrap=1 has no spread"),
        ({"rng": -1}, "rng=-1 is neither a seed"),
        ({"k": []}, "k names no cut-off"),
        ({"metrics": []}, "metrics names nothing to measure"),
        ({"metrics": gini}, "metrics=.* is no list"),
        ({"metrics": {5: gini}}, "is no function or has no name"),
        ({"metrics": {"": gini}}, "is no function or has no name"),
        ({"metrics": {"mine": lambda top: "x"}}, "The metric 'mine' returned <U1"),
        ({"metrics": ["gini"]}, "metrics has 'gini', which is no function"),
        ({"metrics": [lambda top: 1.0, lambda top: 2.0]}, "two functions of the name '<lambda>'"),
        ({"groups": "mass"}, "groups='mass' is not known. Give PopularityGroups, or a function"),
        ({"groups": lambda popularity: popularity}, "groups=.* is not known"),
        ({"users": 5}, "users is an int, not a frame"),
        ({"users": pl.DataFrame({"user_id": [1], "genres": [["x", "y"]]})}, "in 'genres'; a user is in one group"),
        ({"catalogue": "abcdx"}, "catalogue='abcdx' is no collection of ids"),
        ({"catalogue": ["x", None]}, "catalogue has 1 missing value"),
        ({"catalogue": {"x": "The X", "y": "The Y"}}, "catalogue is a mapping that does not number its ids"),
        (
            {"item_vectors": {"a": [1.0], "b": [1.0, 2.0], "c": [1.0], "d": [1.0]}},
            "give one row for each of the 4 items",
        ),
        ({"item_vectors": np.ones((4, 0))}, r"item_vectors has shape \(4, 0\)"),
        ({"item_vectors": np.full((4, 2), np.nan)}, "item_vectors holds 8 values that are not finite"),
        ({"item_vectors": np.full((4, 2), "x")}, "item_vectors has shape"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises((InvalidInputError, MissingColumnError), match=message):
        bad(**changes)


def test_doubled_column():
    doubled = pd.DataFrame([[1, "a", "b"]], columns=["user_id", "item_id", "item_id"])
    with pytest.raises(InvalidInputError, match="more than once"):
        bad(recs=doubled)


def test_items_of_the_test_that_training_lacks_count_as_wanted():
    result = bad(test=with_row(TEST, 1, "x"))
    assert result["recall@2"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert result["coverage@2"] == 3 / 5


def test_what_is_not_strict_is_noted():
    recs = with_row(with_row(RECS, 9, "a", 1), 9, "b", 2)
    result = bad(recs=recs, test=with_row(with_row(TEST, 1, "a"), 1, "x"), strict=False)
    assert any("1 user without training history" in note for note in result.notes)
    assert any("1 test item is not in training (1 of its 6 interactions)" in note for note in result.notes)
    assert any("train holds 1 of 6 test interactions as well" in note for note in result.notes)
    assert result["arp@2"] == pytest.approx((1 + 1.5 + 1 + 2.5) / 4)
    assert result["popularity_lift@2"] == bad()["popularity_lift@2"]


def test_users_that_a_split_leaves_without_history_are_noted():
    times = pl.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "c", "b"], "timestamp": range(5)})
    split = split_time(times, test=0.2, validation=None)
    result = audit(most_popular(split.train, 1), split.train, split.test, k=1, n_bootstrap=0)
    assert any(note.startswith("1 user has no training interactions; they are left out of") for note in result.notes)
    assert result.measurement("upd@1").n_users == 2 < result.measurement("arp@1").n_users == 3


def test_report_in_every_form(tmp_path):
    titles = {"a": "Amélie <b>", "b": "B & C", "c": "C", "d": "D"}
    train = Interactions.from_frame(TRAIN, titles=titles)
    users = pl.DataFrame({"user_id": [1, 2, 3], "gender": ["F", "M", "F"]})
    result = audit(RECS, train, TEST, k=(1, 2), users=users, n_bootstrap=20)
    html = result.to_html(tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "Amélie &lt;b&gt;" in html
    assert "<b>" not in html.replace("Amélie &lt;b&gt;", "")
    assert not re.search(r"(src|href)=.?https?:", html)
    assert "What is meant by popularity bias" in html
    markdown = result.to_markdown()
    assert "gender=F" in markdown
    payload = json.loads(result.to_json())
    assert payload["measurements"][0]["users"] == "all"
    assert "gini" in repr(result)
    table = result.to_polars()
    assert set(table.columns) == {"metric", "k", "users", "value", "low", "high", "n_users"}
    assert result.to_pandas().shape == table.shape


def test_most_unequal_items():
    result = audit(RECS, TRAIN, k=2, n_bootstrap=0)
    assert [i.item_id for i in result.over_exposed] == ["c", "d"]
    assert [i.item_id for i in result.under_exposed] == ["a", "b"]
    assert result.under_exposed[0].interaction_share == pytest.approx(3 / 7)
    assert result.under_exposed[0].exposure_share == 0


def test_compare_pairs_users():
    rng = np.random.default_rng(0)
    train = frame([(u, i) for u in range(40) for i in rng.choice(20, 5, replace=False)])
    base = pl.DataFrame({"user_id": range(40), "item_id": rng.integers(0, 20, 40)})
    better = base.with_columns(pl.when(pl.col("user_id") < 30).then("item_id").otherwise(0).alias("item_id"))
    audits = {
        n: audit(r, train, catalogue=range(20), metrics=[arp, coverage]) for n, r in {"a": base, "b": better}.items()
    }
    result = compare(audits)
    assert json.loads(json.dumps(result.to_dict()["differences"])) == list(result.differences)
    assert [row["metric"] for row in result.differences] == ["arp@1", "coverage@1"]
    for row in result.differences:
        assert row["difference"] == pytest.approx(audits["b"][row["metric"]] - audits["a"][row["metric"]])
    of_means, of_counts = result.differences
    assert of_means["significant"] == (of_means["low"] > 0 or of_means["high"] < 0)
    assert (of_counts["low"], of_counts["significant"]) == (None, False)  # on which fewer than ten users decide
    assert json.loads(result.to_json())["baseline"] == "a"
    assert "Differences compare the same people with themselves." in result.to_markdown()
    assert "What changes from" in compare(audits | {"c": audits["a"]}).to_markdown()
    assert not result.notes and compare(audits | {"c": audits["a"]}).notes == ("The lists of c are those of a.",)
    assert set(result.to_polars()["recommender"]) == {"a", "b"}


def test_compare_bad_input():
    one = audit(RECS, TRAIN, k=1, n_bootstrap=0)
    two = audit(RECS, TRAIN, k=2, n_bootstrap=0)
    with pytest.raises(InvalidInputError, match="share no cut-off"):
        compare({"one": one, "two": two})
    with pytest.raises(MissingColumnError, match="There is no audit 'tow'"):
        compare({"one": one, "two": two}, baseline="tow")
    with pytest.raises(InvalidInputError, match="nothing to compare"):
        compare({})
    with pytest.raises(InvalidInputError, match="audits has the name 1, which is not text"):
        compare({1: one})


def test_an_audit_from_another_process_is_compared():
    one, two = (audit(lists, TRAIN, TEST, k=1, n_bootstrap=20) for lists in (RECS, RECS.reverse()))
    sent = pickle.loads(pickle.dumps(two))
    assert compare({"one": one, "two": sent}).to_json() == compare({"one": one, "two": two}).to_json()


def test_arrow_strings_and_categories():
    table = pa.table({"user_id": pa.array(["x", "y"]), "item_id": pa.array(["a", "b"]).dictionary_encode()})
    assert audit(table, table.rename_columns(["user_id", "item_id"]), k=1, n_bootstrap=0)["coverage@1"] == 1


def ranked(**columns):
    """Three items of user 1; the first of the list is judged by ``first``."""
    return pl.DataFrame({"user_id": [1, 1, 1], "item_id": ["b", "c", "d"]} | columns)


def first(recs, **kwargs):
    result = audit(recs, TRAIN, k=1, metrics=[arp], n_bootstrap=0, **kwargs)
    notes = [note for note in result.notes if note not in result.doubts]
    return next(item.item_id for item in result.over_exposed if item.slots), notes


@pytest.mark.parametrize(
    ("columns", "best", "noted"),
    [
        ({"score": [1, 3, 2]}, "c", ()),
        ({"rank": [3, 1, 2]}, "c", ()),
        ({"rank": [3, 1, 2], "score": [0.1, 0.9, 0.5]}, "c", ()),
        (
            {"rank": [3, 1, 2], "score": [0.9, 0.1, 0.5]},
            "c",
            ("'rank' ranks", "'score' would rank those of 1 user "),
        ),
        ({"score": [1, 3, 1]}, "c", ()),  # the tie is below the cut-off
        ({"score": [3, 1, 3]}, "b", ("'score' is the same for several items of 1 user, up to place 1;",)),
        ({"rank": [3, 1, 2], "score": ["x", "y", "z"]}, "c", ()),
        ({"rank": [3, 1, 2], "position": [1, 2, 3]}, "c", ("'rank' ranks", "'position' not used")),
        ({"r_ui": [5, 1, 1], "est": [3.1, 4.9, 1.0]}, "c", ("'est' ranks", "'r_ui' not used")),
        ({"rating": [5, 1, 1], "prediction": [3.1, 4.9, 1.0]}, "c", ("'prediction' ranks", "'rating' not used")),
        ({"label": [1, 0, 0], "score": [3.1, 4.9, 1.0]}, "c", ("'score' ranks", "'label' not used")),
        ({"y_true": [1, 0, 0], "y_score": [3.1, 4.9, 1.0]}, "c", ("'y_score' ranks", "'y_true' not used")),
        ({"pred": [1, 3, 2], "score": [3, 2, 1]}, "b", ("'score' ranks", "'pred' not used")),
        ({"rating": [1, 3, 2]}, "c", ("'rating' ranks",)),
        (
            {"label": [0, 1, 0]},
            "b",
            ("neither a rank nor a score", "'user_id', 'item_id', 'label'", "order of the rows"),
        ),
        ({}, "b", ("order of the rows",)),
    ],
)
def test_what_ranks_is_noted_where_there_was_a_choice(columns, best, noted):
    found, notes = first(ranked(**columns))
    assert found == best
    assert len(notes) == bool(noted)
    assert all(words in notes[0] for words in noted)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        (pl.Series([0, 200, 100], dtype=pl.UInt8), "c"),
        (pl.Series([-128, 127, 0], dtype=pl.Int8), "c"),
        (pl.Series([-(2**63), 5, 4], dtype=pl.Int64), "c"),
        (pl.Series([0, 2**64 - 1, 2**64 - 2], dtype=pl.UInt64), "c"),
        (pl.Series([2**53, 2**53 + 1, 0], dtype=pl.Int64), "c"),
        (pl.Series(["0.1", "0.3", "0.2"]).cast(pl.Decimal(4, 2)), "c"),
        (pl.Series([1, 3, 2], dtype=pl.Int128), "c"),
        (pl.Series([0.1, 0.3, 0.2], dtype=pl.Float32), "c"),
    ],
)
def test_the_highest_score_comes_first_in_any_type(scores, best):
    assert first(ranked(score=scores))[0] == best


@pytest.mark.parametrize("scores", [["a", "b", "c"], [True, False, True], [date(2020, 1, 1)] * 3, [[1]] * 3])
def test_scores_that_are_no_numbers(scores):
    with pytest.raises(InvalidInputError, match=r"recs has .* in 'score', for example .*; it must be numbers"):
        first(ranked(score=scores))


@pytest.mark.parametrize(
    "ranks",
    [[1, 2, 4], [1, 10**18, 10**18 + 1], [1.0, 2.0, 1e300], [1, 1, 2], [1.0, 2.0, float("inf")], [2, 3, 4], [-1, 1, 2]],
)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_ranks_are_counted_through_at_every_cut_off(ranks, k):
    recs = pl.concat([ranked(rank=ranks), ranked(rank=[1.0, 2, 3]).with_columns(user_id=2 + pl.col("user_id"))],
                     how="vertical_relaxed")  # fmt: skip
    with pytest.raises(InvalidInputError, match=r"recs has ranks that (are not 1, 2, 3|start at)"):
        audit(recs, TRAIN, k=k, n_bootstrap=0)


def test_an_empty_list_counts_as_in_a_table():
    train = Interactions.from_frame(TRAIN)
    items = np.array([[0, 1], [-1, -1], [2, -1]], dtype=np.int32)
    recs = Recommendations(train.user_ids, train.item_ids, np.arange(3), items)
    for test in (None, TEST):
        of_lists, of_table = (audit(r, train, test, k=2, n_bootstrap=0) for r in (recs, recs.to_polars()))
        assert [repr(m) for m in of_lists.measurements] == [repr(m) for m in of_table.measurements]
    assert "recs has an empty list for 1 user; only those" in of_lists.notes[0]
    nothing = Recommendations(train.user_ids, train.item_ids, np.arange(1), items[1:2])
    with pytest.raises(InvalidInputError, match="all lists are empty"):
        audit(nothing, train, k=1)


def test_columns_that_are_not_read_may_be_anything():
    expected = audit(RECS, TRAIN, TEST, k=2, n_bootstrap=0)
    n, m = len(TRAIN), len(TEST)
    odd = {"timestamp": [None, *range(n - 1)], "label": ["click"] * n, "order": ["?"] * n}
    train = TRAIN.with_columns(**{name: pl.Series(values) for name, values in odd.items()})
    test = TEST.with_columns(timestamp=pl.Series([None] * m), rating=pl.Series(["good"] * m))
    found = audit(RECS, train, test, k=2, n_bootstrap=0)
    assert values(found) == pytest.approx(values(expected), nan_ok=True)
    assert describe(train).n_interactions == n
    assert most_popular(train, 1).items.tolist() == most_popular(Interactions.from_frame(TRAIN), 1).items.tolist()


def test_what_the_top_items_hold_is_said_by_name():
    train = pl.DataFrame({"user_id": [0, 1, 2, 0], "item_id": [5, 5, 5, 6]})
    assert "Share of the top item (1 of 2): interactions 75%." in describe(train).to_markdown()
    train = pl.DataFrame({"user_id": range(400), "item_id": [i % 200 for i in range(400)]})
    assert "Share of the top 1% of items (2 of 200): interactions 1%." in describe(train).to_markdown()
    assert "half of the items have 2 each." in describe(train).to_markdown(), "none has fewer"


def test_which_rows_count_is_said_where_there_are_ratings():
    rated = TRAIN.with_columns(stars=pl.Series(np.arange(len(TRAIN)) % 5 + 1))
    for train, note in (
        (rated, "Every row of train counts as an interaction, whatever its rating; min_rating sets a least"),
        (Interactions.from_frame(rated), "whatever its rating (1 to 5); min_rating sets a least"),
        (Interactions.from_frame(rated, min_rating=4), "whatever its rating (4 to 5); min_rating sets a least"),
    ):
        assert note.replace("train", "the interactions") in describe(train).to_markdown()
    assert "Every row of train" in audit(RECS, rated, k=2, n_bootstrap=0).notes[0]
    for silent in (TRAIN, TRAIN.with_columns(rating=1.0).pipe(Interactions.from_frame)):
        assert not any("rating" in note for note in audit(RECS, silent, k=2, n_bootstrap=0).notes)


def test_half_precision_vectors():
    rng = np.random.default_rng(0)
    exact = rng.integers(-300, 300, size=(4, 3)).astype(np.float64)
    expected = audit(RECS, TRAIN, k=2, n_bootstrap=0, item_vectors=exact)["ilad@2"]
    for vectors in (
        exact.astype(np.float16),
        exact.astype(np.int16),
        exact * 1e300,
        (exact * 1e-30).astype(np.float32),
    ):
        found = audit(RECS, TRAIN, k=2, n_bootstrap=0, item_vectors=vectors)["ilad@2"]
        assert found == pytest.approx(expected, rel=1e-5)
    tensor = torch.tensor(exact, dtype=torch.bfloat16)
    assert audit(RECS, TRAIN, k=2, n_bootstrap=0, item_vectors=tensor)["ilad@2"] == pytest.approx(expected, rel=1e-2)


def test_compare_refuses_other_data_and_notes_other_users():
    one = audit(RECS, TRAIN, TEST, k=2, n_bootstrap=0)
    for what, other in {
        "catalogues": audit(RECS, TRAIN, TEST, k=2, n_bootstrap=0, catalogue=["x"]),
        "training interactions": audit(RECS, with_row(TRAIN, 3, "c"), TEST, k=2, n_bootstrap=0, strict=False),
        "test interactions": audit(RECS, TRAIN, TEST[:2], k=2, n_bootstrap=0),
        "popularity groups": audit(RECS, TRAIN, TEST, k=2, n_bootstrap=0, groups=PopularityGroups.by_rank),
    }.items():
        with pytest.raises(InvalidInputError, match=rf"'other' and 'one' have different {what} \("):
            compare({"one": one, "other": other})
    shuffled = audit(RECS, TRAIN.sample(fraction=1, shuffle=True, seed=1), TEST.reverse(), k=2, n_bootstrap=0)
    assert compare({"one": one, "shuffled": shuffled}).notes == ("The lists of shuffled are those of one.",)
    untested = audit(RECS.filter(pl.col("user_id") < 3), TRAIN, k=2, n_bootstrap=0)
    page = compare({"one": one, "fewer": untested}).to_markdown()
    assert "different users (one 3, fewer 2)" in page
    assert "ndcg" not in page
    with pytest.raises(InvalidInputError, match="share no metric"):
        compare({"one": audit(RECS, TRAIN, k=2, metrics=[gini]), "two": audit(RECS, TRAIN, k=2, metrics=[arp])})
    for wrong in ([one], {"one": 5}):
        with pytest.raises(InvalidInputError, match="no mapping from names to audits"):
            compare(wrong)


@pytest.mark.parametrize("kept", [0, 1, 2, None])
def test_a_catalogue_that_lacks_items_of_training_is_told(kept):
    items = sorted(set(TRAIN["item_id"]))
    found = audit(RECS, TRAIN, k=2, n_bootstrap=0, strict=False, catalogue=[*items[:kept], "new", "other"])
    told = [note for note in found.notes if "not in the catalogue given" in note]
    assert len(told) == (kept in (1, 2))  # new items alone are added to those of training
    assert all(note.startswith(f"{len(items) - kept} items of training are") for note in told)
