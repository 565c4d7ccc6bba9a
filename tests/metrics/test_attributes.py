"""Exposure by what items are, popularity as of an event, and item vectors by id."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import test_gating
from test_metrics import RECS, TEST, TRAIN, frame, random_world, recs_frame

import headtail as ht
from headtail.exceptions import InvalidInputError
from headtail.joining import split_of
from headtail.metrics import arp, arp_then, audit, gate, gini, ilad, popularity_lift_then

# Lists: 1 b c; 2 c d; 3 b (see test_metrics), items a b c d.
GENRES = pl.DataFrame({"item_id": ["a", "b", "b", "c", "d"], "genre": ["x", "x", "y", "y", "z"]})


def shares(result, attribute="genre"):
    return {row["value"]: row for row in result.attribute_shares if row["attribute"] == attribute}


def test_shares_by_hand():
    slots = dict(RECS.group_by("item_id").len().iter_rows())
    result = audit(RECS, TRAIN, k=2, items=GENRES, n_bootstrap=0)
    found, total = shares(result), len(RECS)
    assert found["x"]["recommendations@2"] == pytest.approx(slots["b"] / 2 / total)
    assert found["y"]["recommendations@2"] == pytest.approx((slots["b"] / 2 + slots["c"]) / total)
    assert [found[v]["items"] for v in "xyz"] == [1.5 / 4, 1.5 / 4, 1 / 4]
    trained = dict(TRAIN.group_by("item_id").len().iter_rows())
    assert found["z"]["training"] == pytest.approx(trained["d"] / len(TRAIN))
    held = np.sort([found[v]["recommendations@2"] for v in "xyz"])
    assert result["gini_of_genre@2"] == pytest.approx(2 / 3 * (held[2] - held[0]))  # half the mean difference over mean
    assert "y" in result.to_markdown() and "By attributes of the items" in result.to_markdown()


@pytest.mark.parametrize(
    "items",
    [
        pd.DataFrame({"movieId": ["a", "b", "c", "d"], "genre": ["x", "x|y", "y", "z"]}),
        pl.DataFrame({"item": ["a", "b", "c", "d", "q"], "genre": [["x"], ["x", "y", "x"], ["y"], ["z"], ["x"]]}),
        pl.concat([GENRES, GENRES, pl.DataFrame({"item_id": ["a"], "genre": [None]}, schema=GENRES.schema)]),
    ],
)
def test_forms_of_several_values(items):
    expected = audit(RECS, TRAIN, k=2, items=GENRES, n_bootstrap=0)
    found = audit(RECS, TRAIN, k=2, items=items, n_bootstrap=0)
    assert found.attribute_shares == expected.attribute_shares
    assert any("Left out: 1 row of items that are not in the catalogue" in note for note in found.notes) == (
        len(items) == 5 and "item" in items.columns
    )


def test_items_without_a_value_are_one_group_and_noted():
    items = pl.DataFrame({"item_id": ["a", "b", "c"], "genre": ["x", None, "x"], "year": [1990, 1990, 1991]})
    blank = items.with_columns(genre=pl.Series(["x|", " ", "| x"]))
    result, same = (audit(RECS, TRAIN, k=2, items=each, n_bootstrap=0) for each in (items, blank))
    assert same.attribute_shares == result.attribute_shares
    assert shares(result)["missing"]["items"] == 0.5 and list(shares(result, "year")) == ["1990", "1991", "missing"]
    assert "Without genre: 2 of 4 items, shown as 'missing'." in result.notes


def test_one_value_an_item_is_the_gini_of_items_and_its_interval():
    known = test_gating.KNOWN
    items = pl.DataFrame({"item_id": known.item_ids, "provider": [f"p{i}" for i in known.item_ids]})
    recs = test_gating.drawn(range(600), 0).lists
    recs = ht.Recommendations(known.user_ids, known.item_ids, recs.users, recs.items)
    result = audit(recs, known, k=5, metrics=[gini], items=items)
    assert result["gini_of_provider@5"] == pytest.approx(result["gini@5"])
    # First order, where that of gini takes out what several lists bring about together.
    widths = [np.linalg.norm(result.influence(name)) for name in ("gini_of_provider@5", "gini@5")]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)
    assert not gate(result, ["gini_of_provider@5 rises"], baseline=result)[0].met


def test_influence_of_unevenness_is_that_of_leaving_users_out():
    known = test_gating.KNOWN
    items = pl.DataFrame({"item_id": known.item_ids, "provider": known.item_ids % 7})
    top = test_gating.drawn(range(300), 0).lists
    recs = ht.Recommendations(known.user_ids, known.item_ids, top.users, top.items)
    result = audit(recs, known, k=5, metrics=[gini], items=items)
    metric = result.measures["gini_of_provider"]
    without = np.array([metric(top.take(np.delete(np.arange(300), u))) for u in range(300)])
    expected = (without.mean() - without) * np.sqrt(299 / 300)
    assert np.corrcoef(result.influence("gini_of_provider@5"), expected)[0, 1] > 0.99
    assert np.linalg.norm(result.influence("gini_of_provider@5")) == pytest.approx(np.linalg.norm(expected), rel=0.05)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (pl.DataFrame({"item_id": ["a"]}), "Give the ids and attributes"),
        (pl.DataFrame({"item_id": ["a"], "Genre": ["x"], "genre": ["y"]}), "each of another name"),
        (GENRES.with_columns(item_id=1), "ids are Int64 here"),
        ([1], "items is a list, not a frame"),
    ],
)
def test_items_that_cannot_be_right(items, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        audit(RECS, TRAIN, k=2, items=items)


def test_popularity_as_of_an_event_against_a_count_by_hand():
    train, test, recs = random_world(5)
    rng = np.random.default_rng(0)
    train_times, test_times = rng.integers(0, 50, len(train)), rng.integers(0, 60, len(test))
    known = frame(train).with_columns(timestamp=train_times)
    wanted = frame(test).with_columns(timestamp=test_times)
    result = audit(recs_frame(recs), known, wanted, k=6, as_of_event=True, strict=False, catalogue=range(40))
    first = dict(wanted.group_by("user_id").agg(pl.col("timestamp").min()).iter_rows())

    def before(user, items):
        counts = [sum(j == i and t < first[user] for (_, j), t in zip(train, train_times, strict=True)) for i in items]
        return sum(counts) / len(counts)

    lists = {u: [i for v, i, rank in recs if v == u and rank <= 6] for u in {r[0] for r in recs}}
    shown = {u: before(u, items) for u, items in lists.items() if u in first}
    chosen = {u: before(u, [i for v, i in test if v == u]) for u in shown}
    assert result["arp_then@6"] == pytest.approx(np.mean(list(shown.values())))
    assert result["popularity_lift_then@6"] == pytest.approx(sum(shown.values()) / sum(chosen.values()) - 1)
    assert result.influence("popularity_lift_then@6") @ result.influence("popularity_lift_then@6") > 0
    assert "arp_then" not in audit(recs_frame(recs), known, wanted, k=6, strict=False, catalogue=range(40)).facts


def test_as_of_event_after_all_of_training_is_the_popularity():
    known = TRAIN.with_columns(timestamp=pl.Series(np.arange(len(TRAIN))))
    wanted = TEST.with_columns(timestamp=1000)
    result = audit(RECS, known, wanted, k=2, metrics=[arp, arp_then], as_of_event=True, n_bootstrap=0)
    assert result["arp_then@2"] == result["arp@2"]
    for given in ((known, None), (TRAIN, wanted), (known, TEST)):
        with pytest.raises(InvalidInputError, match="as_of_event=True needs the times"):
            audit(RECS, *given, k=2, as_of_event=True)
    with pytest.raises(InvalidInputError, match="needs times"):
        audit(RECS, known, wanted, k=2, metrics=[popularity_lift_then])


def test_item_vectors_are_joined_by_id():
    order = ["d", "b", "a", "c"]
    of = {i: np.array([np.cos(n), np.sin(n)]) for n, i in enumerate("abcd")}
    expected = audit(RECS, TRAIN, k=2, metrics=[ilad], item_vectors=of)["ilad@2"]
    rows = np.stack([of[i] for i in order])
    assert audit(RECS, TRAIN, k=2, metrics=[ilad], item_vectors=ht.Vectors(np.eye(2), rows, item_ids=order))[
        "ilad@2"
    ] == pytest.approx(expected)
    plain = ht.Vectors(np.eye(2), np.stack([of[i] for i in "abcd"]))
    assert audit(RECS, TRAIN, k=2, metrics=[ilad], item_vectors=plain)["ilad@2"] == pytest.approx(expected)
    labelled = pd.DataFrame(rows, index=order)
    for each in (labelled, labelled.iloc[::-1], ht.Vectors(np.eye(2), labelled)):
        assert audit(RECS, TRAIN, k=2, metrics=[ilad], item_vectors=each)["ilad@2"] == pytest.approx(expected)
    with pytest.raises(InvalidInputError, match="item_vectors lacks 1 item, for example 'c'"):
        audit(RECS, TRAIN, k=2, item_vectors=ht.Vectors(np.eye(2), rows[:3], item_ids=order[:3]))


@pytest.mark.parametrize(
    "items",
    [
        {"a": "x", "b": ["x", "y"], "c": "y", "d": "z"},
        {"a": ["x"], "b": {"y", "x"}, "c": ["y"], "d": ["z"]},
        {"a": {"genre": ["x"]}, "b": {"genre": ["x", "y"]}, "c": {"genre": ["y"]}, "d": {"genre": ["z"]}},
        pd.Series({"a": "x", "b": "x|y", "c": "y", "d": "z"}, name="genre"),
    ],
)
def test_a_dict_from_items_to_their_attributes(items):
    found, expected = (audit(RECS, TRAIN, k=2, items=one, n_bootstrap=0) for one in (items, GENRES))
    name = "attribute" if isinstance(items, dict) and not isinstance(items["a"], dict) else "genre"
    assert {v: {**row, "attribute": "genre"} for v, row in shares(found, name).items()} == shares(expected)


def test_a_dict_from_users_to_their_groups():
    users = TRAIN["user_id"].unique().sort().to_list()
    groups = pl.DataFrame({"user_id": users, "group": ["ab"[u % 2] for u in users]})
    expected = [(m.users, m.metric, m.value) for m in audit(RECS, TRAIN, k=2, users=groups, n_bootstrap=0).measurements]
    rows = {user: {"group": group} for user, group in groups.iter_rows()}
    for given in (dict(groups.iter_rows()), rows, groups.to_dicts(), pd.Series(dict(groups.iter_rows()), name="group")):
        found = audit(RECS, TRAIN, k=2, users=given, n_bootstrap=0).measurements
        np.testing.assert_equal([(m.users, m.metric, m.value) for m in found], expected)


def test_times_of_train_and_test_are_in_one_unit():
    late = 1_600_000_000 + np.arange(len(TRAIN))
    known = TRAIN.with_columns(timestamp=pl.Series(late * 1000))
    wanted = pl.DataFrame({"user_id": [1], "item_id": ["d"], "timestamp": [late[-1] + 1]})
    options = {"k": 2, "metrics": [arp_then], "as_of_event": True, "strict": False, "n_bootstrap": 0}
    with pytest.raises(InvalidInputError, match=r"time of train and test mixes units: it holds .* \(seconds\) and"):
        audit(RECS, known, wanted, **options)
    assert audit(RECS, known, wanted.with_columns(pl.col("timestamp") * 1000), **options)["arp_then@2"] > 0
    split = split_of(known, wanted, wanted.with_columns(user_id=pl.lit(2)))
    with pytest.raises(InvalidInputError, match="time of two parts mixes units"):
        _ = split.known
