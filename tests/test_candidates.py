"""Candidates of calibrated relevance, and which worth of a probability validation chooses."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import headtail as ht
from headtail import Interactions, Vectors, rerank, rerankers
from headtail._sampled_exposure import sampled_exposure
from headtail._stats import gini
from headtail.allocation import allocate, allocation_bias, cross_fitted, ndcg_worth
from headtail.allocation.candidates import _WAYS, Reach
from headtail.allocation.features import lists_at
from headtail.dials import as_dial
from headtail.dials.allocating import allocation
from headtail.dials.item_bias import ItemBias
from headtail.dials.menus import worth
from headtail.metrics.gains import gains
from headtail.subjects import Subject

N_USERS, N_ITEMS, K = 300, 80, 5


@pytest.fixture(scope="module")
def split():
    world = ht.datasets.power_law(N_USERS, N_ITEMS, n_interactions=2800, rng=0)
    return ht.split_ratio(world.interactions, rng=0)


@pytest.fixture(scope="module")
def vectors(split):
    rng = np.random.default_rng(0)
    queries = np.column_stack([rng.normal(size=(N_USERS, 4)), rng.uniform(-2, 2, N_USERS)])
    items = np.column_stack([rng.normal(size=(N_ITEMS, 4)), 2 * np.log1p(split.train.popularity)])
    return Vectors(queries, items)


def candidates(reach, vectors, known, n):
    return reach.candidates(reach.both(vectors), known, n)


def test_candidates_are_of_the_highest_scores_and_of_what_a_tilt_brings_in(split, vectors):
    bias = np.linspace(0, 20, N_ITEMS)
    recs = candidates(Reach((), bias, K), vectors, split.train, 20)
    scores = vectors.queries @ vectors.items.T
    for user in range(0, N_USERS, 37):
        unseen = ~split.train.contains(np.full(N_ITEMS, user), np.arange(N_ITEMS))
        first, tilted = (
            set(np.argsort(-np.where(unseen, each, -np.inf))[:10]) for each in (scores[user], scores[user] + bias)
        )
        shown = recs.items[user][recs.items[user] >= 0]
        assert sorted(shown) == sorted(first | tilted)
        np.testing.assert_allclose(recs.scores[user, : len(shown)], np.sort(scores[user, shown])[::-1], rtol=1e-5)
        assert np.isnan(recs.scores[user, len(shown) :]).all()
    everything = candidates(Reach((), bias, K), vectors, split.train, N_ITEMS)
    np.testing.assert_array_equal((everything.items >= 0).sum(axis=1), N_ITEMS - split.train.activity)
    assert (candidates(Reach((), bias, K), vectors, split.train, K).items >= 0).sum(axis=1).min() >= K


def test_users_who_know_nearly_all_or_all_get_what_is_left(split, vectors):
    """Their lists are as wide as all others, and they stop no calibration."""
    left = np.tile(np.arange(N_ITEMS) < K - 2, (N_USERS, 1))
    left[:3] = False
    known = Interactions(split.train.user_ids, split.train.item_ids, *np.nonzero(~left))
    found = candidates(Reach((), np.zeros(N_ITEMS), K), vectors, known, N_ITEMS)
    assert found.items.shape == (N_USERS, K)
    np.testing.assert_array_equal((found.items >= 0).sum(axis=1), left.sum(axis=1))
    shown = allocation(Subject(vectors, split, k=K), 0.1, 0)(known)
    np.testing.assert_array_equal((shown.items >= 0).sum(axis=1), left.sum(axis=1))


@pytest.mark.parametrize("niche", [False, True])
def test_the_first_singular_value_is_shrunk_where_validation_gains_by_it(split, vectors, niche):
    """What was wanted next follows the scores, or the scores without what popularity adds to them."""
    scores = vectors.queries[:, :4] @ vectors.items[:, :4].T if niche else vectors.queries @ vectors.items.T
    rows, columns = np.nonzero(scores >= np.sort(scores, axis=1)[:, [-30]])
    new = ~split.train.contains(rows, columns)
    wanted = Interactions(split.train.user_ids, split.train.item_ids, rows[new], columns[new])
    one = np.arange(len(wanted)) == 0
    divided = ht.Split(split.train, wanted.subset(one), wanted.subset(~one))
    reach = Reach.of(sampled_exposure(vectors, K, split.train), divided, K, 60, 0)
    assert (_WAYS[0] in reach.ways) == niche
    assert (reach.relevance is not None) or not niche
    if reach.relevance is not None:  # calibrated on the way, it is what the subject would calibrate
        recs = candidates(reach, vectors, split.train, 60)
        anew = cross_fitted(recs, split.train, divided.validation, k=K, rng=0)
        np.testing.assert_array_equal(anew, reach.relevance)
        assert Subject(vectors, divided, k=K, n_candidates=60).calibrated(0, split.train).shape == anew.shape


@pytest.mark.parametrize("by_length", [False, True])
def test_item_vectors_are_normalized_where_validation_gains_by_it(split, by_length):
    """What was wanted next follows the scores, or the scores without what an item's length adds to them."""
    rng = np.random.default_rng(1)
    queries, directions = rng.normal(size=(N_USERS, 6)), rng.normal(size=(N_ITEMS, 6))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    vectors = Vectors(queries, directions * rng.uniform(0.2, 3.0, (N_ITEMS, 1)))
    scores = queries @ (vectors.items if by_length else directions).T
    rows, columns = np.nonzero(scores >= np.sort(scores, axis=1)[:, [-20]])
    new = ~split.train.contains(rows, columns)
    wanted = Interactions(split.train.user_ids, split.train.item_ids, rows[new], columns[new])
    one = np.arange(len(wanted)) == 0
    divided = ht.Split(split.train, wanted.subset(one), wanted.subset(~one))
    reach = Reach.of(sampled_exposure(vectors, K, split.train), divided, K, 60, 0)
    assert (_WAYS[1] in reach.ways) != by_length
    lengths = np.linalg.norm(reach.both(vectors)[0].items, axis=1)
    expected = np.linalg.norm(vectors.items, axis=1) ** (1 if by_length else 0.5)
    if _WAYS[0] not in reach.ways:
        np.testing.assert_allclose(lengths, expected)


@pytest.mark.filterwarnings("ignore:strength=:UserWarning")  # in a world this small prices hardly settle
def test_a_probability_is_worth_what_is_more_accurate_at_equal_evenness(split, vectors):
    subject = Subject(vectors, split, k=K, n_candidates=60)
    curves = {}
    for gamma in (0.0, 1.0):
        shown = [subject.plain(0), *(allocation(subject, strength, 0, gamma=gamma) for strength in (0.1, 0.2, 0.4))]
        lists = [subject.recommend(made, split.train) for made in shown]
        points = [
            (
                gini(np.bincount(recs.items.ravel(), minlength=N_ITEMS)),
                gains(recs, split.validation, split.scale).mean(),
            )
            for recs in lists
        ]
        curves[gamma] = np.array(sorted(points)).T
    lowest, highest = max(x[0] for x, _ in curves.values()), min(x[-1] for x, _ in curves.values())
    levels = [lowest, (lowest + highest) / 2, highest]
    best = max(curves, key=lambda gamma: sum(np.interp(levels, *curves[gamma])))
    found, other = (
        subject.recommend(allocation(subject, 0.3, 0, gamma=gamma), split.known) for gamma in (best, 1 - best)
    )
    chosen = subject.recommend(allocation(subject, 0.3, 0), split.known)
    np.testing.assert_array_equal(chosen.items, found.items)
    assert (chosen.items != other.items).any()


def test_a_users_weight_in_validation_is_that_of_the_larger_test():
    """Hits at the first place, of one wanted item and of two in validation, and of so many times more in the test."""
    part = Interactions.from_frame(pl.DataFrame({"user_id": [0, 1, 1], "item_id": [0, 1, 2]}))
    lists = ht.Recommendations.from_arrays(np.array([[0, 2], [1, 0]]), item_ids=part.item_ids)
    best = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(gains(lists, part), [1, 1 / best])
    np.testing.assert_allclose(gains(lists, part, 1.5), [1 / (1 + 0.5 / np.log2(3)), 1 / best])
    np.testing.assert_allclose(gains(lists, part, 3), [1 / best, 1 / best])


@pytest.mark.parametrize("form", ["vectors", "lists"])
def test_lists_of_many_users_are_made_in_blocks_and_the_same_to_the_last_item(split, vectors, form, monkeypatch):
    monkeypatch.setattr("headtail.subjects._AT_ONCE", 130)
    long = ht.recommend(vectors, split.train, k=40)
    long = replace(long, users=long.users[::-1], items=long.items[::-1], scores=long.scores[::-1])
    source = vectors if form == "vectors" else long
    whole, known = Subject(source, split, k=K, n_candidates=30), split.known
    learner = whole.learner
    assert len(learner.codes) == 130 and whole.sample(130) is learner
    found = as_dial("allocation").at(whole, 0.2)(known)

    recs = learner.reachable(0, split.train)
    gamma = learner.cached(("gamma", 0), None)
    worth_of = ndcg_worth(recs, learner.calibrated(0, split.train), k=K)
    prices = allocation_bias(recs, worth_of, strength=0.2, k=K, gamma=gamma)
    every = long.without(known)
    if form == "vectors":
        reach = learner._reach(0)
        every = reach.candidates(reach.both(vectors), known, 30)
    relevance = learner._relevance(0, learner._cross_fitted(0)[0])(every, known)
    same(found, allocate(every, ndcg_worth(every, relevance, k=K), prices, k=K, gamma=gamma))

    assert whole.decisions() == learner.decisions()
    biased = as_dial("tilt (alpha-fair)").at(whole, 0.2)
    assert len(biased._of_learner) == 130 and biased.order == ItemBias(learner, biased.bias, 0).order
    biased.order = 1.0
    if form == "lists":
        same(whole.lists(known), every.head(K))
        same(biased(known), rerank.add_bias(every, biased.bias, k=K))
    else:
        same(biased(known), ht.recommend(biased.vectors(known), known, k=K))


@pytest.mark.parametrize("name", ["IPR", "calibrated popularity", "xQuAD", "FA*IR"])
def test_rerankers_make_the_same_lists_in_blocks(split, vectors, name, monkeypatch):
    dial = as_dial(name)
    whole, known = Subject(vectors, split, k=K, n_candidates=30), split.known
    expected = dial.at(whole, dial.grid[3])(known)
    monkeypatch.setattr("headtail.subjects._AT_ONCE", 130)
    same(dial.at(Subject(vectors, split, k=K, n_candidates=30), dial.grid[3])(known), expected)


@pytest.mark.parametrize("name", ["PCT", "P-MMF"])
def test_what_rerankers_ask_of_all_users_holds_of_each_block(split, vectors, name, monkeypatch):
    monkeypatch.setattr("headtail.subjects._AT_ONCE", 130)
    whole, known = Subject(vectors, split, k=K, n_candidates=30), split.train
    found = as_dial(name).at(whole, 0.3 if name == "PCT" else 0.1)(known)
    np.testing.assert_array_equal(found.users, np.arange(N_USERS))
    codes = [block.codes for block in whole.blocks()]
    assert [len(part) for part in codes] == [130, 130, 40]
    assert codes[0][-1] > 200, "each block is like the whole"
    for block in whole.blocks():
        recs, popularity = block.candidates(0, known), split.train.popularity
        if name == "PCT":
            expected = rerankers.pct(recs, known, strength=0.3, k=K)
        else:
            expected = rerankers.p_mmf(recs, popularity, strength=0.1, k=K)
        same(lists_at(found, np.isin(found.users, block.codes)), expected)


def test_a_menu_weighs_the_lists_of_all_users_in_blocks(split, vectors, monkeypatch):
    monkeypatch.setattr("headtail.subjects._AT_ONCE", 130)
    whole, known = Subject(vectors, split, k=K, n_candidates=30), split.known
    menu = as_dial("log penalty").menu([0, 0.2]).make
    _, items, values = menu._options(whole, 0, known)
    learner = whole.learner
    every = candidates(learner._reach(0), whole.vectors(0), known, 30)
    relevance = learner._relevance(0, learner._cross_fitted(0)[0])(every, known)
    np.testing.assert_allclose(values, worth(items, every.items, relevance, 0, N_ITEMS), rtol=1e-5)


def same(found, expected):
    np.testing.assert_array_equal(found.users, expected.users)
    np.testing.assert_array_equal(found.items, expected.items)
    if expected.scores is None:
        assert found.scores is None
    else:
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
