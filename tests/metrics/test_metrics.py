"""Metrics against hand-worked examples, naive re-implementations, and properties."""

import math
from functools import partial

import naive
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from headtail.data import Interactions, PopularityGroups
from headtail.exceptions import InvalidInputError
from headtail.metrics import (
    arp,
    audit,
    coverage,
    entropy,
    gini,
    group_share,
    hit_rate,
    ilad,
    mrr,
    ndcg,
    pce,
    precision,
    topk,
)  # fmt: skip


def frame(pairs):
    return pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")


def recs_frame(rows):
    return pl.DataFrame(rows, schema=["user_id", "item_id", "rank"], orient="row")


def random_world(seed, n_users=30, n_items=40, k=6, equal_lengths=True):
    """Training, test and recommendations that overlap in nothing, as (user, item[, rank]) rows."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, n_items + 1)
    train, test, recs = [], [], []
    for u in range(n_users):
        order = rng.choice(n_items, n_items, replace=False, p=weights / weights.sum())
        n_train, n_test = rng.integers(2, 8), rng.integers(0, 5)
        train += [(u, int(i)) for i in order[:n_train]]
        test += [(u, int(i)) for i in order[n_train : n_train + n_test]]
        rest = rng.permutation(order[n_train : n_train + 3 * k])
        length = k if equal_lengths else rng.integers(1, k + 1)
        recs += [(u, int(i), r + 1) for r, i in enumerate(rest[:length])]
    return train, test, recs


def sets(pairs):
    result = {}
    for user, item in pairs:
        result.setdefault(user, set()).add(item)
    return result


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 3, 6])
@pytest.mark.parametrize("equal_lengths", [True, False])
def test_all_metrics_equal_naive_ones(seed, k, equal_lengths, monkeypatch):
    monkeypatch.setattr(topk, "BLOCK", 7)  # so that lists are taken in blocks, the last one smaller
    train, test, recs = random_world(seed, equal_lengths=equal_lengths)
    interactions = Interactions.from_frame(frame(train))
    catalogue = interactions.item_ids.tolist()
    test = [(u, i) for u, i in test if i in catalogue]
    recs = [(u, i, r) for u, i, r in recs if i in catalogue]
    recs = [(u, i, r + 1) for u in range(30) for r, (_, i) in enumerate([(v, j) for v, j, _ in recs if v == u])]
    vectors = np.random.default_rng(seed).normal(size=(len(catalogue), 5))
    result = audit(recs_frame(recs), interactions, frame(test), k=k, item_vectors=vectors, n_bootstrap=0)

    popularity = dict(zip(catalogue, interactions.popularity.tolist(), strict=True))
    names = result.groups.names
    group_of = {i: names[c] for i, c in zip(catalogue, result.groups.codes, strict=True)}
    tail = {i for i in catalogue if group_of[i] == "tail"}
    lists, own, wanted = naive.lists_of(recs, k), sets(train), sets(test)
    taken = sum(naive.slots(lists).values())
    rare = sorted(catalogue, key=lambda i: -popularity[i])[math.ceil(len(catalogue) * 0.2) :]
    expected = {
        "gini": naive.gini(lists, catalogue),
        "gini_by_rank": naive.gini_by_rank(lists, catalogue),
        "entropy": naive.entropy(lists),
        "coverage": naive.coverage(lists, set(catalogue)),
        "tail_coverage": naive.coverage(lists, tail),
        "tail_share": sum(naive.slots(lists)[i] for i in tail) / taken,
        "tail_exposure": sum(naive.slots(lists)[i] for i in rare) / taken,
        "head_share": sum(c for i, c in naive.slots(lists).items() if group_of[i] == "head") / taken,
        "pop_rsp": naive.pop_rsp(lists, own, group_of, names, catalogue),
        "arp": naive.arp(lists, popularity),
        "novelty": naive.novelty(lists, popularity, len(own)),
        "aplt": naive.aplt(lists, tail),
        "aclt": naive.aclt(lists, tail),
        "popularity_lift": naive.popularity_lift(lists, own, popularity),
        "upd": naive.upd(lists, own, group_of, names),
        "pce": naive.pce(lists, own, popularity),
        "ilad": naive.ilad(lists, dict(zip(catalogue, vectors.tolist(), strict=True))),
        "ndcg": naive.ndcg(lists, wanted, k),
        "recall": naive.recall(lists, wanted),
        "precision": naive.precision(lists, wanted, k),
        "hit_rate": naive.hit_rate(lists, wanted),
        "mrr": naive.mrr(lists, wanted),
        "pop_reo": naive.pop_reo(lists, wanted, group_of, names) if any(naive.slots(lists)) else math.nan,
    }
    for name in ("head", "mid", "tail"):
        only = {u: {i for i in items if group_of[i] == name} for u, items in wanted.items()}
        expected[f"ndcg_{name}"] = naive.ndcg(lists, only, k)
        expected[f"recall_{name}"] = naive.recall(lists, only)
    assert {m.metric for m in result.measurements} == set(expected)
    for name, value in expected.items():
        assert result[f"{name}@{k}"] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_accuracy_of_a_group_counts_its_items_alone():
    train, test, recs = random_world(3)
    interactions = Interactions.from_frame(frame(train))
    groups = PopularityGroups.by_mass(interactions.popularity)
    items = interactions.item_ids.tolist()
    test = [(u, i) for u, i in test if i in items]
    ranked = [(u, i) for u, i, _ in recs if i in items]
    recs = [(u, i, r + 1) for u in range(30) for r, i in enumerate(j for v, j in ranked if v == u)]
    of_groups = {f"{m.__name__} {g}": partial(m, group=g) for m in (precision, hit_rate, mrr) for g in groups.names}
    found = audit(recs_frame(recs), interactions, frame(test), k=4, metrics=of_groups, n_bootstrap=0)
    lists = {u: [i for v, i, _ in recs if v == u][:4] for u in range(30)}
    for name in groups.names:
        wanted = sets([(u, i) for u, i in test if groups.mask(name)[items.index(i)]])
        assert found[f"precision {name}@4"] == pytest.approx(naive.precision(lists, wanted, 4))
        assert found[f"hit_rate {name}@4"] == pytest.approx(naive.hit_rate(lists, wanted))
        assert found[f"mrr {name}@4"] == pytest.approx(naive.mrr(lists, wanted))


TRAIN = frame([(1, "a"), (1, "b"), (2, "a"), (2, "c"), (3, "a"), (3, "b"), (3, "d")])
RECS = recs_frame([(1, "c", 1), (1, "d", 2), (2, "b", 1), (2, "d", 2), (3, "c", 1)])
TEST = frame([(1, "d"), (2, "b"), (2, "d"), (3, "c")])


def test_by_hand():
    # popularity: a 3, b 2, c 1, d 1; exposure: a 0, b 1, c 2, d 2
    result = audit(RECS, TRAIN, TEST, k=2, n_bootstrap=0)
    # |0-1| + 2|0-2| + 2|1-2| over all ordered pairs: 2 (1 + 2 + 2 + 1 + 1 + 0) = 14; 14 / (2 * 4 * 5)
    assert result["gini@2"] == pytest.approx(14 / 40)
    assert result["coverage@2"] == 3 / 4
    assert result["arp@2"] == pytest.approx((1 + 1.5 + 1) / 3)
    own = (2.5 + 2 + 2) / 3
    assert result["popularity_lift@2"] == pytest.approx((3.5 / 3 - own) / own)
    # user 1 chose 3 and 2 and gets 1 and 1: |1 - 3/4| and |1 - 1/4|; user 2 chose 3 and 1 and gets 2 and 1:
    # |1 - 3/4| and |1/4 - 1/4|; user 3 chose 3, 2 and 1 and gets 1: |1 - 5/6|, |1 - 1/2| and |1/2 - 1/6|
    assert result["pce@2"] == pytest.approx((1 / 2 + 1 / 8 + 1 / 3) / 3)
    assert result["ndcg@2"] == pytest.approx((1 / math.log2(3) + 1 + 1) / 3)
    assert result["mrr@2"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert result["recall@2"] == 1
    assert result["precision@2"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (partial(gini, catalogue="recommended"), 2 / 15),  # exposures 1, 2, 2: pairs sum 4, 4 / (2 * 3 * 5)
        (partial(entropy, base=2), -(0.2 * math.log2(0.2) + 2 * 0.4 * math.log2(0.4))),
        (partial(entropy, normalize=True), -(0.2 * math.log(0.2) + 2 * 0.4 * math.log(0.4)) / math.log(4)),
        (partial(arp, normalize="max"), 3.5 / 9),
        (partial(arp, normalize="total"), 3.5 / 21),
        (partial(coverage, at_least=2), 2 / 4),
        (partial(group_share, group="head"), 0.0),
        # c, d: two of three first places, and both second ones
        (partial(group_share, group="tail", by_rank=True), (2 + 2 / math.log2(3)) / (3 + 2 / math.log2(3))),
    ],
)
def test_other_definitions(metric, value):
    assert audit(RECS, TRAIN, k=2, metrics={"m": metric}, n_bootstrap=0)["m@2"] == pytest.approx(value)


def test_gini_counts_the_catalogue_given():
    wider = audit(RECS, TRAIN, k=2, metrics=[gini], catalogue=["a", "e", "f"], n_bootstrap=0)
    by_train = audit(
        RECS, TRAIN, k=2, metrics={"gini": partial(gini, catalogue="train")}, catalogue=["e", "f"], n_bootstrap=0
    )
    assert wider["gini@2"] > 14 / 40
    assert by_train["gini@2"] == pytest.approx(14 / 40)


@pytest.mark.parametrize("metric", [partial(gini, catalogue="none"), partial(arp, normalize="mean")])
def test_unknown_definition(metric):
    with pytest.raises(InvalidInputError, match="is not known"):
        audit(RECS, TRAIN, k=2, metrics={"m": metric}, n_bootstrap=0)


def test_metrics_that_lack_their_input():
    with pytest.raises(InvalidInputError, match="ndcg needs test interactions"):
        audit(RECS, TRAIN, k=2, metrics=[ndcg])
    with pytest.raises(InvalidInputError, match="ilad needs item vectors"):
        audit(RECS, TRAIN, k=2, metrics=[ilad])


worlds = st.integers(0, 10_000)


@settings(max_examples=25, deadline=None)
@given(worlds, st.integers(0, 5))
def test_a_head_item_in_place_of_a_tail_item_raises_popularity(seed, user):
    train, _, recs = random_world(seed)
    interactions = Interactions.from_frame(frame(train))
    groups = PopularityGroups.by_mass(interactions.popularity)
    known = set(interactions.item_ids.tolist())
    recs = [(u, i, 1) for u, i in {u: i for u, i, _ in recs if i in known}.items()]
    head = interactions.item_ids[np.flatnonzero(groups.mask("head"))[0]].item()
    tail = interactions.item_ids[np.flatnonzero(groups.mask("tail"))[-1]].item()
    before = audit(recs_frame([(u, tail if u == user else i, 1) for u, i, _ in recs]), interactions, n_bootstrap=0)
    after = audit(recs_frame([(u, head if u == user else i, 1) for u, i, _ in recs]), interactions, n_bootstrap=0)
    assert after["arp@1"] > before["arp@1"]
    assert after["aplt@1"] < before["aplt@1"]
    assert after["head_share@1"] > before["head_share@1"]
    assert after["popularity_lift@1"] > before["popularity_lift@1"]


@settings(max_examples=25, deadline=None)
@given(worlds)
def test_bounds_and_invariance_to_names_and_row_order(seed):
    train, test, recs = random_world(seed)
    catalogue = range(40)
    first = audit(recs_frame(recs), frame(train), frame(test), k=6, catalogue=catalogue, n_bootstrap=0)
    for name in ("gini", "coverage", "tail_coverage", "head_share", "tail_share", "aplt", "upd", "ndcg", "recall",
                 "precision", "hit_rate", "mrr"):  # fmt: skip
        assert 0 <= first[f"{name}@6"] <= 1, name
    assert 0 <= first["entropy@6"] <= math.log(40) + 1e-12
    assert first["popularity_lift@6"] > -1
    assert 0 <= first["pce@6"] <= 0.5

    shuffled = recs_frame(recs).sample(fraction=1, shuffle=True, seed=seed)
    renamed = [
        table.with_columns(pl.format("u{}", "user_id").alias("user_id"))
        for table in (shuffled, frame(train), frame(test))
    ]
    second = audit(*renamed, k=6, catalogue=catalogue, n_bootstrap=0)
    for m in first.measurements:
        assert second[m.name] == pytest.approx(m.value, nan_ok=True), m.name


def test_equal_exposure_and_one_item_for_all():
    train = frame([(u, i) for u in range(4) for i in range(8, 12)] + [(0, i) for i in range(8)])
    spread = recs_frame([(u, (2 * u + r) % 8, r + 1) for u in range(4) for r in range(2)])
    metrics = {"gini": partial(gini, catalogue="recommended"), "entropy": entropy}
    result = audit(spread, train, k=2, metrics=metrics, n_bootstrap=0)
    assert result["gini@2"] == pytest.approx(0)
    assert result["entropy@2"] == pytest.approx(math.log(8))
    single = audit(recs_frame([(u, 8, 1) for u in range(4)]), train, k=1, metrics=[gini, entropy], n_bootstrap=0)
    assert single["gini@1"] == pytest.approx(11 / 12)
    assert single["entropy@1"] == 0


def test_calibration_error_of_what_is_as_popular_as_the_history():
    # items 10 to 13 are as popular as 0 to 3, one by one
    train = frame(
        [(u, i) for i in range(4) for u in range(i + 1)] + [(u, 10 + i) for i in range(4) for u in range(9, 10 + i)]
    )
    own = {0: range(4), 1: range(1, 4), 2: range(2, 4), 3: [3]}
    lists = recs_frame([(u, 10 + i, r + 1) for u, items in own.items() for r, i in enumerate(items)])
    assert audit(lists, train, metrics=[pce], n_bootstrap=0)["pce@4"] == 0
    # the error is half at most: user 3 knows the most popular item alone, and gets ever less popular ones
    for item, error in ((13, 0), (12, 0.5), (10, 0.5)):
        found = audit(recs_frame([(3, item, 1)]), train, metrics=[pce], n_bootstrap=0)
        assert found["pce@1"] == error


def test_calibration_error_only_of_users_with_a_history():
    stranger = audit(recs_frame([(1, "c", 1), (9, "c", 1)]), TRAIN, metrics=[pce], strict=False, n_bootstrap=0)
    assert stranger.measurement("pce@1").n_users == 1
