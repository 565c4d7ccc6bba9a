"""Intervals over users: influences against naive leave-one-out, and how often intervals hold what they should."""

import importlib.util
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_metrics import RECS, TEST, TRAIN, frame

from headtail.data import Interactions, PopularityGroups
from headtail.metrics import (
    Profiles,
    TopK,
    arp,
    audit,
    better,
    compare,
    coverage,
    entropy,
    gini,
    gini_by_rank,
    group_share,
    head_share,
    hit_rate,
    jackknife_influence,
    mrr,
    pop_reo,
    pop_rsp,
    popularity_lift,
    tail_coverage,
    tail_exposure,
    tail_share,
)
from headtail.metrics.measuring import measure
from headtail.metrics.topk import find_ranks
from headtail.metrics.user_groups import UserGroups

SCALARS = {
    "gini": gini,
    "gini of train": partial(gini, catalogue="train"),
    "gini of recommended": partial(gini, catalogue="recommended"),
    "gini_by_rank": gini_by_rank,
    "coverage": coverage,
    "coverage from 12": partial(coverage, at_least=12),
    "tail_coverage": tail_coverage,
    "entropy": entropy,
    "entropy in bits": partial(entropy, base=2),
    "entropy, normalized": partial(entropy, normalize=True),
    "group_share": partial(group_share, group="mid"),
    "group_share by rank": partial(group_share, group="mid", by_rank=True),
    "head_share": head_share,
    "tail_share": tail_share,
    "tail_exposure": tail_exposure,
    "pop_rsp": pop_rsp,
    "pop_reo": pop_reo,
    "popularity_lift": popularity_lift,
}


def lists(n_users, n_items, k, seed=0):
    """Lists of unequal lengths, with popular items in more of them, and tests that they often meet."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, n_items + 1) ** 0.7
    items = np.stack([rng.choice(n_items, k, replace=False, p=weights / weights.sum()) for _ in range(n_users)])
    items = items.astype(np.int32)
    items[rng.random(n_users) < 0.2, -1] = -1
    history = np.stack([rng.choice(n_items, 4, replace=False, p=weights / weights.sum()) for _ in range(n_users)])
    train = Interactions(
        np.arange(n_users), np.arange(n_items), np.repeat(np.arange(n_users, dtype=np.int32), 4),
        history.ravel().astype(np.int32),
    )  # fmt: skip
    wanted = rng.integers(0, n_items, 2 * n_users).astype(np.int32)
    rows = np.repeat(np.arange(n_users), 2)
    profiles = Profiles(train, PopularityGroups.by_mass(train.popularity))
    users = np.where(rng.random(n_users) < 0.1, -1, np.arange(n_users)).astype(np.int32)
    starts = np.arange(0, 2 * n_users + 1, 2)
    return TopK(items, users, profiles, starts, wanted, find_ranks(items, rows, wanted))


def naive_influence(metric, top):
    rows = np.arange(len(top))
    return jackknife_influence(np.array([metric(top.take(rows[rows != u])) for u in rows]))


@pytest.mark.parametrize("name", SCALARS)
def test_influence_is_that_of_leaving_each_user_out(name):
    metric, top = SCALARS[name], lists(200, 25, 6)
    own = metric.func.influence if isinstance(metric, partial) else metric.influence
    found = own(top, **(metric.keywords if isinstance(metric, partial) else {}))
    expected = naive_influence(metric, top)
    assert found == pytest.approx(expected, abs=0.03 * np.abs(expected).max() + 1e-12)


def test_what_few_lists_bring_about_together_is_counted_once():
    # Items drawn evenly, each in about one list: the jackknife's variance of coverage is then far too large.
    rng = np.random.default_rng(0)

    def sample():
        top = lists(300, 300, 1)
        items = rng.integers(0, 300, (300, 1)).astype(np.int32)
        return TopK(items, top.users, top.profiles, top.target_starts, top.target_items, top.target_ranks)

    samples = [sample() for _ in range(60)]
    errors = [np.linalg.norm(coverage.influence(top)) for top in samples]
    naive = [np.linalg.norm(naive_influence(coverage, top)) for top in samples[:3]]
    true = np.std([coverage(top) for top in samples], ddof=1)
    assert np.mean(naive) > 1.4 * true
    assert np.mean(errors) == pytest.approx(true, rel=0.25)


@pytest.mark.parametrize(("metric", "n_users", "k"), [
    (gini_by_rank, 300, 1), (gini, 300, 8), (gini_by_rank, 300, 8), (entropy, 300, 8), (coverage, 60, 5), (gini, 25, 5),
])  # fmt: skip
def test_errors_where_exposure_is_even(metric, n_users, k):
    rng, top = np.random.default_rng(0), lists(n_users, 300, k)
    samples = [
        replace(top, items=np.argsort(rng.random((n_users, 300)), axis=1)[:, :k].astype(np.int32)) for _ in range(150)
    ]
    errors = [np.linalg.norm(metric.influence(top)) for top in samples]
    naive = [np.linalg.norm(naive_influence(metric, top)) for top in samples[:3]]
    true = np.std([metric(top) for top in samples], ddof=1)
    assert np.mean(naive) > 1.2 * true
    assert np.mean(errors) == pytest.approx(true, rel=0.2)


def test_few_users_and_what_they_bring_about_together_leave_few_degrees_of_freedom():
    groups = UserGroups.of_all(lists(25, 300, 5))
    _, influence, single = gini.influence.by_group(groups)
    assert 0.25 <= single[0] < 0.9
    plain, fewer = groups.error(influence), groups.error(influence, single)
    assert (fewer[0], fewer[1]) == (plain[0], pytest.approx(plain[1] * single**2))


def test_no_hit_and_only_hits():
    train = frame([(u, i) for u in range(100) for i in (0, 1 + u % 5)])
    recs = pl.DataFrame({"user_id": range(100), "item_id": [6] * 100})
    missed, met = (
        audit(recs, train, frame([(u, wanted) for u in range(100)]), k=1, metrics=[hit_rate], catalogue=range(9))
        for wanted in (7, 6)
    )
    square = 1.98**2  # of Student's quantile with 99 degrees of freedom
    none, all_of_them = missed.measurement("hit_rate@1"), met.measurement("hit_rate@1")
    assert (none.low, none.high) == (0, pytest.approx(square / (100 + square), rel=0.01))
    assert (all_of_them.low, all_of_them.high) == (pytest.approx(1 - square / (100 + square), rel=0.01), 1)


def test_a_share_has_wilsons_interval():
    train = frame([(u, i) for u in range(200) for i in (0, 1 + u % 5)])
    recs = pl.DataFrame({"user_id": range(200), "item_id": [6] * 3 + [7] * 197})
    test = frame([(u, 6) for u in range(200)])
    found = audit(recs, train, test, k=1, metrics=[hit_rate], catalogue=range(9)).measurement("hit_rate@1")
    assert (found.low, found.high) == (pytest.approx(0.0051, abs=2e-4), pytest.approx(0.0432, abs=4e-4))


def test_where_no_interval_could_be_trusted_there_is_none():
    train = frame([(u, i) for u in range(100) for i in (u % 7, 7 + u % 5)])
    same = audit(pl.DataFrame({"user_id": range(100), "item_id": [13] * 100}), train, k=1, catalogue=range(20))
    found = {m.metric: (m.low, m.high) for m in same.measurements}
    assert found["coverage"] == found["gini"] == found["entropy"] == found["head_share"] == (None, None)
    few = audit(pl.DataFrame({"user_id": range(100), "item_id": [13] * 96 + [0, 1, 2, 3]}), train, k=1, catalogue=[13])
    assert few.measurement("coverage@1").low is None
    assert all(m.low != m.high or m.low is None for m in few.measurements)


def two_recommenders(n_users=150):
    """Lists of two recommenders for the same users, alike in half of them, and a function that audits lists."""
    one, other = (lists(n_users, 30, 5, seed) for seed in (1, 2))
    one = replace(one, users=np.arange(n_users, dtype=np.int32))
    two = replace(one, items=np.where(np.arange(n_users)[:, None] % 2, one.items, other.items))
    train = pl.DataFrame({"user_id": one.profiles.train.users, "item_id": one.profiles.train.items})
    ids = {"user_id": np.repeat(np.arange(n_users), 5)}

    def audited(top, **options):
        recs = pl.DataFrame(ids | {"item_id": top.items.ravel()}).filter(pl.col("item_id") >= 0)
        return audit(recs, train, k=5, catalogue=range(30), **options)

    return one, two, audited


def test_influences_give_errors():
    one, _, audited = two_recommenders()
    result = audited(one)
    for name in ("gini@5", "arp@5", "popularity_lift@5"):
        m = result.measurement(name)
        assert np.linalg.norm(result.influence(name)) == pytest.approx((m.high - m.low) / 2 / 1.976, rel=0.02)


def test_paired_intervals_are_those_of_leaving_each_user_out_of_both():
    one, two, audited = two_recommenders()
    names = "gini", "entropy in bits", "head_share", "tail_share", "popularity_lift"
    metrics = {name: SCALARS[name] for name in names} | {"arp": arp}
    result = compare({"two": audited(two, metrics=metrics), "one": audited(one, metrics=metrics)})
    found = {row["metric"].removesuffix("@5"): row for row in result.differences}
    for name in names:
        metric, row = metrics[name], found[name]
        difference = naive_influence(metric, one) - naive_influence(metric, two)
        assert row["difference"] == pytest.approx(metric(one) - metric(two))
        # Student's quantile is between those of 149 and of 60 degrees of freedom.
        assert 1.9 < (row["high"] - row["low"]) / 2 / np.linalg.norm(difference) < 2.1, name
        assert row["n_users"] == 150
    values = arp(one) - arp(two)
    margin = (found["arp"]["high"] - found["arp"]["low"]) / 2
    assert margin == pytest.approx(1.98 * values.std(ddof=1) / np.sqrt(150), rel=0.02)


def test_paired_intervals_where_there_can_be_none():
    one, two, audited = two_recommenders()
    same = compare({"one": audited(one), "again": audited(one)}).differences
    assert {"arp@5", "gini@5"} < {row["metric"] for row in same}
    assert all((row["difference"], row["low"], row["significant"]) == (0, None, False) for row in same)
    # Means over users alone have paired intervals without influences, or where the users differ.
    plain = compare({"one": audited(one, n_bootstrap=0), "two": audited(two, n_bootstrap=0)}).differences
    fewer = replace(two, items=np.where(np.arange(150)[:, None] < 100, two.items, -1))
    other = compare({"one": audited(one), "fewer": audited(fewer)})
    for rows in (plain, other.differences):
        assert {row["metric"] for row in rows} == {"arp@5", "novelty@5", "aplt@5", "aclt@5", "upd@5", "pce@5"}
    assert {row["n_users"] for row in other.differences} == {100}
    assert "no paired difference" in other.notes[0]


def test_metrics_of_ones_own_are_left_without_groups_of_users_or_say_their_influence():
    calls = []

    def longest_share(top):
        calls.append(len(top))
        return float((top.lengths == top.k).mean())

    top = lists(150, 30, 5)
    recs = pl.DataFrame({"user_id": np.repeat(np.arange(150), 5), "item_id": top.items.ravel()})
    train = pl.DataFrame({"user_id": top.profiles.train.users, "item_id": top.profiles.train.items})
    given = recs.filter(pl.col("item_id") >= 0), train
    grouped = audit(*given, k=5, metrics=[longest_share], catalogue=range(30)).measurement("longest_share@5")
    assert calls == [150] + [144] * 25 + [138] * 25
    calls.clear()
    marked = better(None, influence=lambda top: jackknife_influence(
        ((top.lengths == top.k).sum() - (top.lengths == top.k)) / (len(top) - 1)
    ))(longest_share)  # fmt: skip
    told = audit(*given, k=5, metrics=[marked], catalogue=range(30)).measurement("longest_share@5")
    assert calls == [150]
    p = told.value
    assert told.high - p == pytest.approx(1.976 * np.sqrt(p * (1 - p) / 149), rel=0.01)
    assert (grouped.high - grouped.low) == pytest.approx(told.high - told.low, rel=0.5)


def test_metrics_of_ones_own_that_groups_of_users_bring_about_together_have_no_interval():
    def typical(top):
        return float(np.median(top.mean_popularity))

    def found_items(top):
        return float((top.slots > 0).sum())

    def taken(top):
        return float(top.slots[:20].sum() / top.slots.sum())

    top = lists(300, 400, 5)
    measured, _, influences = measure(top, {f.__name__: f for f in (typical, found_items, taken)}, [], 200, 0)
    assert {m.metric: m.low is not None for m in measured} == {"typical": False, "found_items": False, "taken": True}
    assert not np.isfinite(influences["typical"]).any()

    train = pl.DataFrame({"user_id": top.profiles.train.users, "item_id": top.profiles.train.items})
    recs = pl.DataFrame({"user_id": np.repeat(np.arange(300), 5), "item_id": top.items.ravel()})
    given = recs.filter(pl.col("item_id") >= 0), train
    result = audit(*given, k=5, metrics=[found_items, taken], catalogue=range(400))
    assert any("No interval of found_items@5: too few users decide" in note for note in result.notes)


def test_user_groups_without_a_test_have_no_accuracy():
    users = pl.DataFrame({"user_id": [1, 2, 3], "side": ["left", "right", "right"]})
    result = audit(RECS, TRAIN, TEST.filter(pl.col("user_id") == 1), k=2, users=users)
    for name in ("ndcg@2", "recall_tail@2", "pop_reo@2"):
        assert np.isnan(result.measurement(name, "side=right").value)
        assert result.measurement(name, "side=right").low is None
    assert result.measurement("recall@2", "side=left").value == result["recall@2"]


def test_skewed_metrics_take_more_users():
    for n, shown in ((199, False), (200, True)):
        train = frame([(u, i) for u in range(n) for i in (u % 7, 7 + u % 5)])
        recs = pl.DataFrame({"user_id": range(n), "item_id": [13 + u % 2 for u in range(n)]})
        found = audit(
            recs, train, frame([(u, 13) for u in range(n)]), k=1, metrics=[mrr, hit_rate], catalogue=range(15)
        )
        assert (found.measurement("mrr@1").low is not None) == shown
        assert found.measurement("hit_rate@1").low is not None


@pytest.fixture(scope="module")
def benchmark():
    file = Path(__file__).parents[2] / "benchmarks" / "interval_coverage.py"
    spec = importlib.util.spec_from_file_location("interval_coverage", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("world", ["hardly a hit", "sparse and even", "50 heavy-tailed users"])
def test_intervals_hold_what_they_should(benchmark, world, monkeypatch):
    monkeypatch.setattr(benchmark, "POPULATION", 40_000)
    found = benchmark.trials(benchmark.WORLDS[world], benchmark.METRICS, 300, np.random.default_rng(1))
    for name, values in found.items():
        share, error, shown = benchmark.held(values)
        assert shown < 0.5 or 0.93 - 2.5 * error <= share <= 0.97 + 2.5 * error, (name, share)


def test_means_that_a_few_users_decide_have_no_interval(benchmark, monkeypatch):
    monkeypatch.setattr(benchmark, "POPULATION", 20_000)
    metrics = {name: benchmark.METRICS[name] for name in ("arp", "popularity_lift", "novelty", "ndcg_head", "ndcg")}
    found = benchmark.trials(
        benchmark.WORLDS["100 users, sparse and even"], metrics, 50, np.random.default_rng(1)
    )  # a list holds one of the few popular items now and then
    shown = {name: benchmark.held(values)[2] for name, values in found.items()}
    assert max(shown["arp"], shown["popularity_lift"]) < 0.3 and shown["novelty"] == shown["ndcg"] == 1
    assert shown["ndcg_head"] == 0, "fewer than 200 users want an item of the head"


def test_page_of_intervals_is_that_of_its_record(benchmark):
    record = json.loads(benchmark.RECORD.read_text(encoding="utf-8"))
    text = (Path(__file__).parents[2] / "docs" / "intervals.md").read_text(encoding="utf-8")
    assert benchmark.page(record) == text
    assert set(record["held, error, shown"]) == set(benchmark.WORLDS)
    for world, metrics in record["held, error, shown"].items():
        assert set(metrics) == set(benchmark.METRICS | (benchmark.OWN if world in benchmark.OWN_WORLDS else {}))
        for name, (share, error, shown) in metrics.items():
            assert shown < 0.5 or 0.93 - 2 * error <= share <= 0.97 + 2 * error, name
            assert shown >= 0.5 or share is None or shown * (1 - share) < 0.05, name
