import itertools
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.special import expit

import headtail as ht
from headtail._stats import gini
from headtail.allocation import (
    allocate,
    allocation_bias,
    calibrate,
    calibration,
    cross_fitted,
    load_relevance,
    ndcg_worth,
    save_relevance,
)
from headtail.allocation.allocating import values_of
from headtail.allocation.features import features_of, lists_at
from headtail.allocation.logistic import logistic
from headtail.data import Interactions, Recommendations
from headtail.exceptions import InvalidInputError, UnreadableFileError
from headtail.metrics.gains import gains
from headtail.metrics.topk import discounts, ideal
from headtail.subjects import Subject


def lists(items, scores=None):
    items = np.array(items, dtype=np.int32)
    scores = np.tile(np.arange(items.shape[1], 0, -1.0), (len(items), 1)) if scores is None else np.array(scores)
    scores = np.where(items >= 0, scores, np.nan)
    return Recommendations(np.arange(len(items)), np.arange(items.max() + 1), np.arange(len(items)), items, scores)


@pytest.fixture(scope="module")
def world():
    """A world with many users whose next items follow a known probability of score and popularity."""
    rng = np.random.default_rng(0)
    n_users, n_items, width = 3000, 60, 40
    users, items = np.nonzero(rng.random((n_users, n_items)) < np.linspace(0.3, 0.02, n_items))
    seen = Interactions(np.arange(n_users), np.arange(n_items), users.astype(np.int32), items.astype(np.int32))
    scores = rng.normal(size=(n_users, n_items))
    order = np.argsort(-scores, axis=1)[:, :width].astype(np.int32)
    recs = Recommendations(
        seen.user_ids, seen.item_ids, np.arange(n_users), order, np.take_along_axis(scores, order, axis=1)
    )
    truth = expit(-3 + 1.5 * recs.scores + 0.3 * np.log1p(seen.popularity)[order] - 1.5)
    hits = rng.random(truth.shape) < truth
    rows, columns = np.nonzero(hits)
    wanted = Interactions(seen.user_ids, seen.item_ids, rows.astype(np.int32), order[rows, columns])
    return recs, seen, wanted, truth


def test_a_known_probability_is_found(world):
    recs, seen, wanted, truth = world
    found = calibrate(recs, seen, wanted, k=10)(recs, seen)
    assert np.corrcoef(np.log(found).ravel(), np.log(truth).ravel())[0, 1] > 0.97
    assert found.mean() == pytest.approx(truth.mean(), rel=0.02)
    crossed = cross_fitted(recs, seen, wanted, k=10)
    assert np.corrcoef(np.log(crossed).ravel(), np.log(truth).ravel())[0, 1] > 0.95


def test_nobodys_own_interactions_decide(world):
    """Who wants something else is judged as before: only the fits of the other users changed."""
    recs, seen, wanted, _ = world
    before = cross_fitted(recs, seen, wanted, k=10, rng=0)
    order = np.random.default_rng(0).permutation(len(recs))
    order = order[np.argsort(wanted.activity[order] == 0, kind="stable")]
    part = np.empty(len(recs), dtype=int)
    part[order] = np.arange(len(recs)) % 2
    mine = np.flatnonzero(part == 0)
    first = np.zeros(len(wanted), dtype=bool)
    first[np.unique(wanted.users, return_index=True)[1]] = True  # who learns stays the same
    other = wanted.subset(first | ~np.isin(wanted.users, mine[:500]))
    after = cross_fitted(recs, seen, other, k=10, rng=0)
    np.testing.assert_array_equal(before[mine], after[mine])
    assert not np.allclose(before[part == 1], after[part == 1])


def test_both_halves_know_the_same_of_the_items_which_is_worked_out_once(world, monkeypatch):
    recs, seen, wanted, _ = world
    asked = []
    monkeypatch.setattr(calibration, "features_of", lambda *args: asked.append(args) or features_of(*args))
    cross_fitted(recs, seen, wanted, k=10)
    assert len(asked) == 1


def test_every_fold_has_users_to_learn_from(world):
    """Also where only those whom the same seed draws have something in the validation part."""
    recs, seen, wanted, _ = world
    half = np.random.default_rng(0).permutation(len(recs)) % 2 == 0
    found = cross_fitted(recs, seen, wanted.subset(half[wanted.users]), k=10, rng=0)
    assert (found > 0).all()


def test_the_logistic_fit_is_at_its_optimum():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 3)).astype(np.float32)
    y = rng.random(5000) < expit(x @ [1.0, -0.5, 0.0] - 2)
    weights = logistic(x, y)
    design = np.column_stack([np.ones(5000), x])
    gradient = design.T @ (y - expit(design @ weights)) - np.array([0, 1, 1, 1]) * weights
    np.testing.assert_allclose(gradient, 0, atol=0.01)
    signed = logistic(x, y, np.array([-1, -1, 0]))
    assert signed[1] == 0
    np.testing.assert_allclose(np.delete(signed, 1), logistic(np.ascontiguousarray(x[:, 1:]), y))
    separated = logistic(x[:, :1], x[:, 0] > 0)  # the ridge keeps what separates completely finite
    assert np.isfinite(separated).all()


def test_no_price_shows_what_is_most_relevant_in_its_order():
    recs = lists([[0, 1, 2, 3], [3, 2, 1, -1]])
    relevance = np.array([[0.1, 0.4, 0.2, 0.3], [0.1, 0.2, 0.3, 0.0]], dtype=np.float32)
    assert allocation_bias(recs, relevance, strength=0, k=2).tolist() == [0.0] * 4
    assert allocate(recs, relevance, np.zeros(4), k=2).items.tolist() == [[1, 3], [1, 2]]


def test_prices_choose_the_set_and_relevance_the_order():
    recs = lists([[0, 1, 2, 3]])
    relevance = np.array([[0.4, 0.3, 0.2, 0.1]], dtype=np.float32)
    prices = np.array([0.0, -10.0, 0.0, 10.0])
    assert allocate(recs, relevance, prices, k=3, gamma=0).items.tolist() == [[0, 2, 3]]


def test_prices_reach_the_optimum_of_the_welfare():
    """Of all ways to fill one slot of each of six users, none has more relevance and welfare than the priced one."""
    rng = np.random.default_rng(0)
    n_users, n_items = 6, 3
    relevance = rng.uniform(0.5, 1, size=(n_users, n_items)).astype(np.float32)
    relevance[:, 0] += 0.5
    recs = lists(np.tile(np.arange(n_items), (n_users, 1)))
    value = values_of(relevance, 0.0)
    value /= np.sqrt(value.var(axis=1).mean())  # the unit of the strength

    def worth(choice, strength):
        slots = np.bincount(choice, minlength=n_items)
        share = slots / slots.mean() + 0.5
        return value[np.arange(n_users), choice].sum() - strength * slots.mean() * (share * (np.log(share) - 1)).sum()

    strength = 0.6
    prices = allocation_bias(recs, relevance, strength=strength, k=1, welfare="entropy", gamma=0)
    chosen = allocate(recs, relevance, prices, k=1, gamma=0).items[:, 0]
    best = max(worth(np.array(choice), strength) for choice in itertools.product(range(n_items), repeat=n_users))
    plain = worth(np.zeros(n_users, dtype=int), strength)
    assert worth(chosen, strength) > plain + 0.7 * (best - plain)


def test_prices_are_those_that_the_welfare_asks_for_at_their_own_exposure():
    rng, popularity, strength = np.random.default_rng(0), np.arange(8, 0, -1) ** 2, 0.3
    recs = lists(np.tile(np.arange(8), (4000, 1)))
    relevance = rng.uniform(0.1, 0.9, size=(4000, 8)) ** [1, 1, 1, 1, 2, 2, 3, 3]
    unit = np.sqrt(relevance.var(axis=1).mean())

    def asked(slots, welfare, aversion):
        share = slots / slots.mean() + 0.03
        if welfare == "alpha":
            return (share**-aversion - 1) / aversion
        return (welfare == "popularity") * np.log(popularity / popularity.mean() + 0.03) - np.log(share)

    found = []
    for welfare, aversion in (("entropy", 0.5), ("alpha", 0.2), ("alpha", 1.5), ("popularity", 0.5)):
        options = {"welfare": welfare, "aversion": aversion, "rounds": 200}
        options["popularity"] = popularity if welfare == "popularity" else None
        found.append(allocation_bias(recs, relevance, strength=strength, k=2, gamma=0, **options))
        slots = allocate(recs, relevance, found[-1], k=2, gamma=0).slots
        wanted = strength * unit * asked(slots, welfare, aversion)
        np.testing.assert_allclose(found[-1], wanted - wanted.mean(), atol=0.02 * unit)
    _, alpha, more, popular = found
    assert np.abs(alpha - more).max() > 0.03 * unit < np.abs(alpha - popular).max()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_more_strength_spreads_exposure_further(world, gamma):
    recs, _, _, truth = world
    ginis = []
    for strength in (0.0, 0.1, 0.4):
        prices = allocation_bias(recs, truth.astype(np.float32), strength=strength, k=5, gamma=gamma)
        shown = allocate(recs, truth.astype(np.float32), prices, k=5, gamma=gamma)
        ginis.append(_gini(shown))
    assert ginis[0] > ginis[1] > ginis[2]


def _gini(recs):
    return gini(np.bincount(recs.items[recs.items >= 0], minlength=len(recs.item_ids)))


def test_what_a_probability_is_worth_rises_ever_less_with_gamma():
    p = np.array([[0.04, 0.16]])
    assert values_of(p, 0.0)[0] == pytest.approx([0.04, 0.16])
    assert values_of(p, 0.5)[0] == pytest.approx([0.4, 0.8])
    assert values_of(p, 1.0)[0] == pytest.approx(np.log([0.04, 0.16]))
    assert np.isfinite(values_of(np.zeros((1, 2)), 1.0)).all()


def test_a_hit_is_worth_what_it_adds_to_the_ndcg_of_a_user_who_wants_so_many():
    relevance = np.array([[0.2, 0.1, 0.0], [0.5, 0.5, 1.0], [1.0, 1.0, 1.0]])  # 0.3, 2 and 3 items wanted
    ideal = [discounts(n).sum() for n in (1, 2, 2)]  # of lists of 2
    recs = lists(np.tile(np.arange(3), (3, 1)), relevance)
    np.testing.assert_allclose(ndcg_worth(recs, relevance, k=2), relevance / np.array(ideal)[:, None], rtol=1e-6)


def test_the_slot_is_taken_from_the_user_who_wants_many():
    # Both want item 0 as much, and 1 less by as much; the first wants eight others as well.
    relevance = np.array([[0.9, 0.6, *[0.5] * 8], [0.9, 0.6, *[0.0] * 8]])
    recs = lists(np.tile(np.arange(10), (2, 1)), relevance)
    price = np.r_[0.0, 0.2, np.full(8, -9.0)]
    assert allocate(recs, ndcg_worth(recs, relevance, k=5), price, k=1, gamma=0).items[:, 0].tolist() == [1, 0]


def test_with_gamma_1_a_users_confidence_does_not_count():
    recs, prices = lists([[0, 1, 2], [0, 1, 2]]), np.array([-2.0, 0.0, 0.5])
    relevance = np.array([[0.4, 0.1, 0.05], [0.04, 0.01, 0.005]], dtype=np.float32)
    one, other = allocate(recs, relevance, prices, k=2, gamma=1).items.tolist()
    assert one == other == [1, 2]
    assert allocate(recs, relevance, 0.1 * prices, k=1, gamma=0).items.tolist() == [[0], [2]]


def test_what_cannot_be_learned_is_refused(world):
    recs, seen, wanted, _ = world
    for wrong in (np.nan, -0.5):
        relevance = np.full(recs.items.shape, 0.5)
        relevance[3, 2] = wrong
        for verb in (ndcg_worth, partial(allocation_bias, strength=1.0)):
            with pytest.raises(InvalidInputError, match=f"relevance holds {wrong} for candidate 2 of list 3"):
                verb(recs, relevance, k=2)
    with pytest.raises(InvalidInputError, match=r"3 of \d.* candidates of 3 users are relevant"):
        few = wanted.subset(np.isin(np.arange(len(wanted)), np.unique(wanted.users, return_index=True)[1][:3]))
        calibrate(recs, seen, few, k=10)
    with pytest.raises(InvalidInputError, match="no scores"):
        calibrate(replace(recs, scores=None), seen, wanted, k=10)


def test_a_calibration_is_saved_and_loaded(world, tmp_path):
    recs, seen, wanted, _ = world
    found = calibrate(recs, seen, wanted, k=10)
    file = save_relevance(found, tmp_path / "relevance.json")
    np.testing.assert_array_equal(load_relevance(file)(recs, seen), found(recs, seen))
    assert file.stat().st_size < 40_000
    file.write_text(file.read_text().replace('"k": 10', '"k": 11'))
    with pytest.raises(UnreadableFileError, match="checksum is wrong"):
        load_relevance(file)
    with pytest.raises(UnreadableFileError, match="does not exist"):
        load_relevance(tmp_path / "none.json")
    with pytest.raises(InvalidInputError, match="is of type dict; give Relevance"):
        save_relevance({}, file)


def test_relevance_of_another_catalogue_is_refused(world):
    recs, seen, wanted, _ = world
    fitted = calibrate(recs, seen, wanted, k=10)
    other = lists([[0, 1, 2]], [[3.0, 2.0, 1.0]])
    with pytest.raises(InvalidInputError, match="was made for 60 items, and recs has 3"):
        fitted(other, seen)
    with pytest.raises(InvalidInputError, match="different user_ids"):
        calibrate(other, seen, wanted, k=2)
    with pytest.raises(InvalidInputError, match="different item_ids"):
        calibrate(recs, seen, replace(wanted, item_ids=wanted.item_ids + 1), k=10)


def test_without_the_items_a_list_keeps_its_order(world, tmp_path):
    recs, seen, wanted, truth = world
    fitted = calibrate(recs, seen, wanted, k=10, by_item=False)
    found = load_relevance(save_relevance(fitted, tmp_path / "relevance.json"))(recs, seen)
    np.testing.assert_array_equal(found, fitted(recs, seen))
    assert (np.diff(found, axis=1) < 0).all()  # nowhere level, or prices would decide the order there
    assert found.mean() == pytest.approx(truth.mean(), rel=0.02)
    assert allocate(recs, found, np.zeros(60), k=10).items.tolist() == recs.items[:, :10].tolist()


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_what_is_known_of_items_counts_where_validation_says_so(world, effect):
    """Of what was wanted by score alone, fits by the items are noise; of what popularity decides as well, they help."""
    recs, seen, _, _ = world
    hits = np.random.default_rng(3).random(recs.items.shape) < expit(
        -6 + 1.5 * recs.scores + effect * (np.log1p(seen.popularity)[recs.items] - 4)
    )
    rows, columns = np.nonzero(hits)
    rows, items = rows.astype(np.int32), recs.items[rows, columns]
    new = ~seen.contains(rows, items)
    later = Interactions(seen.user_ids, seen.item_ids, rows[new], items[new])
    wanted = later.subset(later.users % 3 > 0)
    subject = Subject(recs, ht.Split(seen, later.subset(later.users % 3 == 0), wanted), k=10)
    found, unseen = subject.calibrated(0, seen), subject.candidates(0, seen)
    assert (np.diff(found, axis=1) <= 0).all() == (effect == 0)
    np.testing.assert_array_equal(found, cross_fitted(unseen, seen, wanted, k=10, by_item=effect > 0))
    (note,) = subject.decisions()
    assert note.startswith(
        f"Calibrated relevance {'counts' if effect else 'leaves'} the items' popularity and exposure"
    )


def test_gains_are_the_ndcg_of_each_user(world):
    recs, seen, wanted, _ = world
    shown, some = recs.head(10), wanted.subset(wanted.users > 99)  # the first want nothing
    audited = ht.audit(shown, seen, some, k=10, metrics=[ht.metrics.ndcg], n_bootstrap=0, strict=False)
    found = gains(shown, some)
    assert not found[:100].any()
    assert found[some.activity > 0].mean() == pytest.approx(audited["ndcg@10"], rel=1e-9)
    places = np.argwhere(shown.items >= 0)  # one by one, in the order of the lists
    naive = np.zeros(len(shown))
    for row, rank in places[some.contains(shown.users[places[:, 0]], shown.items[tuple(places.T)])]:
        naive[row] += discounts(shown.k)[rank]
    np.testing.assert_array_equal(found, naive / ideal(some.activity[shown.users], shown.k))


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_no_user_loses_more_than_the_floor_allows(world, gamma):
    recs, _, _, truth = world
    relevance, prices = truth.astype(np.float32), np.random.default_rng(0).normal(size=60) / 2

    def expected(lists):
        return lists.scores @ discounts(5)

    plain = expected(allocate(recs, relevance, 0 * prices, k=5, gamma=gamma))
    free = allocate(recs, relevance, prices, k=5, gamma=gamma)
    held = allocate(recs, relevance, prices, k=5, gamma=gamma, max_user_loss=0.1)
    losing = expected(free) < 0.9 * plain
    assert losing.mean() > 0.1
    assert (expected(held) >= 0.9 * plain - 1e-6).all()
    np.testing.assert_array_equal(held.items[~losing], free.items[~losing])
    untouched = allocate(recs, relevance, 0 * prices, k=5, gamma=gamma).items
    assert (held.items[losing] != untouched[losing]).any()  # lower prices, not none
    never = allocate(recs, relevance, prices, k=5, gamma=gamma, max_user_loss=0)
    np.testing.assert_allclose(expected(never), plain, rtol=1e-6)


def test_an_item_without_interactions_is_placed_by_its_score(world):
    """Its popularity counts as the lowest of the range that the fit has seen, so that it has a finite probability."""
    recs, seen, wanted, _ = world
    cold = seen.subset(seen.items != 59)
    fitted = calibrate(recs, cold, wanted, k=10)
    found = fitted(recs, cold)
    of_it = recs.items == 59
    assert cold.popularity[59] == 0 and (found[of_it] > 0).all()
    assert np.corrcoef(recs.scores[of_it], np.log(found[of_it]))[0, 1] > 0.9
    prices = allocation_bias(recs, found, strength=0.4, k=5)
    before, after = ((allocate(recs, found, b, k=5).items == 59).sum() for b in (0 * prices, prices))
    assert after > before


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("strength", [0.025, 0.1, 0.4])
def test_prices_settle_where_all_want_the_same_few_and_hardly_anything_else(gamma, strength):
    """Few of many items are shown at first, and the rest of every list is worth next to nothing."""
    rng, n_users, n_items, width = np.random.default_rng(0), 1500, 400, 100
    appeal = -1.5 * np.log1p(np.arange(n_items)) + rng.normal(scale=0.5, size=(n_users, n_items))
    items = np.argsort(-appeal, axis=1)[:, :width].astype(np.int32)
    relevance = (0.05 * np.arange(1, width + 1) ** -0.9 * rng.gamma(1.0, size=(n_users, 1))).astype(np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*has not settled")
        warnings.filterwarnings("ignore", ".*with other items")
        prices = allocation_bias(lists(items), relevance, strength=strength, k=10, gamma=gamma)
    before, after = (allocate(lists(items), relevance, b, k=10, gamma=gamma) for b in (0 * prices, prices))
    assert _gini(after) < _gini(before)


def test_a_sample_of_users_serves_all_of_them_block_by_block(world):
    recs, seen, wanted, _ = world
    fitted = calibrate(recs, seen, wanted, k=5, n_users=1000, rng=1)
    whole = calibrate(recs, seen, wanted, k=5)
    few = np.sort(np.random.default_rng(1).choice(np.flatnonzero(wanted.activity > 0), 1000, replace=False))
    np.testing.assert_array_equal(fitted.weights, calibrate(recs, seen, wanted, k=5, codes=few).weights)
    relevance = fitted(recs, seen)
    assert np.corrcoef(np.log(relevance).ravel(), np.log(whole(recs, seen)).ravel())[0, 1] > 0.95
    prices = allocation_bias(recs, relevance, strength=0.2, k=5, n_users=1000)
    together = allocate(recs, relevance, prices, k=5)
    for rows in (slice(0, 7), slice(2000, 3000)):
        block = lists_at(recs, rows)
        alone = allocate(block, fitted(block, seen), prices, k=5)
        np.testing.assert_array_equal(alone.items, together.items[rows])
