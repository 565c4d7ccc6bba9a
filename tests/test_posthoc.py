import warnings

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings, strategies as st

import headtail as ht
from headtail import _factors, posthoc, rerank
from headtail._exposure import Response, _solved, counter_of_vectors, respond, shares
from headtail._stats import gini
from headtail.data import Interactions, Recommendations
from headtail.exceptions import InvalidInputError
from headtail.posthoc import add_bias, penalize_popularity, shrink, tilt
from headtail.typing import Vectors

torch = pytest.importorskip("torch")


def factors(n=40, m=30, d=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((m, d)) + 0.5


def world(n=400, m=120, d=8, seed=0):
    """Latent tastes, and items of unequal appeal: a model that shows a few items to almost everyone."""
    rng = np.random.default_rng(seed)
    queries = np.column_stack([rng.standard_normal((n, d)), np.ones(n)])
    appeal = 3.0 * np.arange(1, m + 1) ** -0.5
    items = np.column_stack([rng.standard_normal((m, d)) * 0.3, appeal])
    popularity = np.ceil(300 * np.arange(1, m + 1) ** -0.8).astype(int)
    seen = sp.csr_array(rng.random((n, m)) < 0.2 * popularity / popularity.max())
    return queries, items, popularity, seen


def lists(vectors, seen=None, k=10):
    scores = np.asarray(vectors[0]) @ np.asarray(vectors[1]).T
    if seen is not None:
        scores = np.where(seen.toarray(), -np.inf, scores)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def exposure(vectors, seen=None, k=10):
    return np.bincount(lists(vectors, seen, k).ravel(), minlength=len(vectors[1]))


KINDS = [
    (np.asarray, np.ndarray),
    (lambda a: a.astype(np.float32), np.ndarray),
    (torch.tensor, torch.Tensor),
    (lambda a: torch.tensor(a, dtype=torch.float32), torch.Tensor),
]


# -- bias and penalty -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "cls"), KINDS)
def test_penalty_equals_dense_scores(kind, cls):
    queries, items = (kind(f) for f in factors())
    popularity = np.arange(30) ** 2
    found = penalize_popularity(queries, items, popularity, strength=0.3)
    assert isinstance(found, Vectors)
    assert all(isinstance(f, cls) and f.dtype == queries.dtype for f in found)
    scores = np.asarray(queries @ items.T)
    expected = scores - 0.3 * np.sqrt(scores.var(axis=1).mean()) * np.log1p(popularity)
    np.testing.assert_allclose(np.asarray(found.queries @ found.items.T), expected, atol=1e-5)


def test_penalty_means_the_same_at_any_scale():
    queries, items = factors()
    small, large = (penalize_popularity(scale * queries, items, np.arange(30), strength=0.3) for scale in (1e-3, 1e3))
    np.testing.assert_allclose(large.queries @ large.items.T, 1e6 * (small.queries @ small.items.T), rtol=1e-9)


def test_penalty_of_many_users_takes_its_unit_from_some_evenly_spaced(monkeypatch):
    queries, items = factors()
    monkeypatch.setattr(posthoc, "_USERS", 15)  # so that every third of 40 counts
    found = penalize_popularity(queries, items, np.arange(30), strength=0.3)
    unit = np.sqrt((queries[::3] @ items.T).var(axis=1).mean())
    np.testing.assert_allclose(found.items[:, -1], -0.3 * unit * np.log1p(np.arange(30)))


def test_penalty_refuses_scores_without_an_order():
    with pytest.raises(InvalidInputError, match="all items score the same for every user"):
        penalize_popularity(np.ones((3, 1)), np.ones((4, 1)), np.arange(4), strength=0.3)
    queries, items = factors()
    with pytest.raises(InvalidInputError, match="too large to square in float64"):
        penalize_popularity(1e100 * queries, 1e100 * items, np.arange(30), strength=0.3)


def test_penalty_of_zero_keeps_scores():
    queries, items = factors()
    found = penalize_popularity(queries, items, np.ones(30), strength=0)
    np.testing.assert_array_equal(found.queries @ found.items.T, queries @ items.T + 0.0)


def test_whole_numbers_become_floats():
    found = add_bias(np.ones((2, 1), dtype=int), torch.ones((3, 1), dtype=torch.int64), [0.5, 0, 0])
    assert found.queries.dtype == np.float64 and found.items.dtype == torch.float32
    assert found.items[0, 1] == 0.5


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_normalized_items_have_lengths_of_a_power_less(kind):
    queries, items = factors()
    items[3] = 0
    found = posthoc.normalize(kind(queries), kind(items), strength=0.25)
    assert type(found.items) is type(kind(items)) and found.queries is not None
    lengths = np.linalg.norm(items, axis=1)
    expected = [row / max(length, 1e-300) ** 0.25 for row, length in zip(items, lengths, strict=True)]
    np.testing.assert_allclose(np.asarray(found.items), expected, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(posthoc.normalize(queries, items).items, axis=1), np.sign(lengths))
    np.testing.assert_array_equal(posthoc.normalize(queries, items, strength=0).items, items)
    assert posthoc.normalize(queries, np.eye(6, dtype=int)).items.dtype == np.float64
    for wide, dtype in ((300.0, np.float16), (1e30, np.float32), (1e-30, np.float32)):  # whose squares are no number
        scaled = posthoc.normalize(queries, kind(np.full((3, 6), wide, dtype))).items
        np.testing.assert_allclose(np.asarray(scaled, dtype=float), 6**-0.5, rtol=1e-3)
    named = Vectors(queries, items, item_ids=list(range(len(items)))[::-1])
    assert posthoc.normalize(named).item_ids == named.item_ids
    with pytest.raises(InvalidInputError, match="strength=2 is out of range"):
        posthoc.normalize(queries, items, strength=2)


def test_bias_refuses():
    queries, items = factors()
    with pytest.raises(InvalidInputError, match=r"bias has shape \(29,\).*each of the 30 items"):
        add_bias(queries, items, np.ones(29))
    with pytest.raises(InvalidInputError, match="bias holds 1 value"):
        add_bias(queries, items, np.r_[np.nan, np.ones(29)])
    with pytest.raises(InvalidInputError, match="strength=nan"):
        penalize_popularity(queries, items, np.ones(30), strength=np.nan)
    with pytest.raises(InvalidInputError, match="popularity is 0 for every item"):
        penalize_popularity(queries, items, np.zeros(30), strength=1)


# -- shrink -----------------------------------------------------------------------------------------------------------


def dense_shrink(queries, items, strength, directions):
    u, sigma, vt = np.linalg.svd(queries @ items.T, full_matrices=False)
    sigma[list(directions)] *= 1 - strength
    return u * sigma @ vt


@pytest.mark.parametrize("directions", [None, 0, (0,), (1, 3), range(6)])
@pytest.mark.parametrize("strength", [1, 0.6, 0, -1])
def test_shrink_equals_the_dense_computation(directions, strength):
    queries, items = factors()
    found = shrink(queries, items, strength=strength, directions=directions)
    assert found.items.shape == items.shape
    chosen = (0,) if directions is None else np.atleast_1d(list(directions) if directions != 0 else 0)
    np.testing.assert_allclose(found.queries @ found.items.T, dense_shrink(queries, items, strength, chosen), atol=1e-9)


def test_shrink_along_popularity_equals_the_dense_computation():
    queries, items = factors()
    r = np.arange(30.0)
    found = shrink(queries, items, strength=0.75, popularity=r)
    unit = r / np.linalg.norm(r)
    scores = queries @ items.T
    np.testing.assert_allclose(found.queries @ found.items.T, scores - 0.75 * np.outer(scores @ unit, unit), atol=1e-9)
    gone = shrink(queries, items, strength=1, popularity=r)
    np.testing.assert_allclose(gone.queries @ gone.items.T @ r, 0, atol=1e-9)


@pytest.mark.parametrize(("kind", "cls"), KINDS)
@pytest.mark.parametrize("options", [{}, {"popularity": np.arange(30)}])
def test_shrink_keeps_kind_and_type(kind, cls, options, monkeypatch):
    monkeypatch.setattr(_factors, "_BLOCK_ELEMENTS", 50)
    queries, items = (kind(f) for f in factors())
    found = shrink(queries, items, strength=0.5, **options)
    assert isinstance(found.items, cls) and found.items.dtype == items.dtype
    expected = shrink(*factors(), strength=0.5, **options)
    np.testing.assert_allclose(np.asarray(found.items), expected.items, atol=1e-5)


def test_shrink_of_rank_deficient_factors():
    queries, items = factors(d=3)
    queries, items = np.hstack([queries, queries]), np.hstack([items, items])
    found = shrink(queries, items, strength=0.5, directions=(0, 4))
    np.testing.assert_allclose(found.queries @ found.items.T, dense_shrink(queries, items, 0.5, (0,)), atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(-2, 1), st.integers(0, 3))
def test_shrink_scales_one_singular_value(seed, strength, k):
    queries, items = factors(15, 12, 4, seed)
    found = shrink(queries, items, strength=strength, directions=k)
    before = np.linalg.svd(queries @ items.T)[1][:4]
    after = np.linalg.svd(found.queries @ found.items.T)[1][:4]
    before[k] *= 1 - strength
    np.testing.assert_allclose(after, np.sort(before)[::-1], atol=1e-8 * before.max())


@pytest.mark.parametrize("of", ["items", "queries"])
@pytest.mark.parametrize("along", [False, True])
@pytest.mark.parametrize(("kind", "cls"), KINDS)
def test_where_all_is_taken_out_no_rounding_is_left_to_order_by(kind, cls, along, of):
    queries, items = factors()
    popularity = np.arange(30.0) + 1
    if along or of == "items":
        items = np.outer(popularity, items[0])
    else:
        queries = np.outer(queries[:, 0], queries[0])
    gone = shrink(kind(queries), kind(items), strength=1, popularity=popularity if along else None)
    assert not np.asarray(gone.items).any()
    assert np.asarray(shrink(kind(queries), kind(items), strength=0.9).items).any()


def test_shrink_refuses():
    queries, items = factors()
    for options, message in [
        ({"strength": 2}, "strength=2"),
        ({"strength": 0.5, "directions": 6}, "directions=6 is out of range"),
        ({"strength": 0.5, "directions": (1, 1)}, "names a direction twice"),
        ({"strength": 0.5, "directions": 0, "popularity": np.ones(30)}, "both given"),
        ({"strength": 0.5, "popularity": np.ones(3)}, r"popularity has shape \(3,\)"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            shrink(queries, items, **options)
    items[3, 2] = np.nan
    for options in ({}, {"popularity": np.ones(30)}):
        with pytest.raises(InvalidInputError, match="items holds nan at row 3, column 2"):
            shrink(queries, items, strength=0.5, **options)


# -- tilt -------------------------------------------------------------------------------------------------------------


def test_strength_zero_changes_nothing():
    queries, items, _, seen = world()
    found = tilt(queries, items, strength=0, k=10, seen=seen)
    np.testing.assert_array_equal(found.items[:, -1], 0)
    np.testing.assert_array_equal(lists(found, seen), lists((queries, items), seen))


def test_of_a_seen_matrix_each_entry_that_is_not_zero_counts_once():
    queries, items, _, seen = world()
    rows, columns = seen.nonzero()
    stored = np.r_[rows, rows, np.arange(400)], np.r_[columns, columns, np.arange(400) % 120]
    values = np.r_[np.ones(2 * len(rows)), np.zeros(400)]
    order = np.lexsort((stored[1], stored[0]))
    starts = np.concatenate([[0], np.cumsum(np.bincount(stored[0], minlength=400))])
    doubled = sp.csr_array((values[order], stored[1][order], starts), shape=seen.shape)
    for welfare in ("entropy", "popularity"):
        expected = tilt(queries, items, strength=0.2, k=10, seen=seen, welfare=welfare)
        found = tilt(queries, items, strength=0.2, k=10, seen=doubled, welfare=welfare)
        np.testing.assert_array_equal(found.items, expected.items)
    assert doubled.nnz == 2 * seen.nnz + 400  # the caller's own stays as it is


@pytest.mark.parametrize("with_seen", [True, False])
def test_exposure_spreads_with_strength(with_seen):
    queries, items, _, seen = world()
    seen = seen if with_seen else None
    ginis = [gini(exposure((queries, items), seen))]
    for strength in (0.05, 0.1, 0.2, 0.4, 0.8):
        found = tilt(queries, items, strength=strength, k=10, seen=seen)
        ginis.append(gini(exposure(found, seen)))
    assert (np.diff(ginis) < -0.01).all()


def test_fixed_point():
    queries, items, _, seen = world()
    found = tilt(queries, items, strength=0.2, k=10, seen=seen, welfare="entropy")
    scores = queries @ items.T
    spread = np.sqrt(scores.var(axis=1).mean())
    slots = exposure(found, seen) / (400 * 10 / 120)
    called = -np.log(slots + 0.03)
    called = 0.2 * spread * (called - called.mean())
    bias = found.items[:, -1]
    assert np.linalg.norm(bias - called) < 0.1 * np.linalg.norm(called)  # a list more or less of the rarest counts
    assert abs(bias.mean()) < 1e-12


def test_scale_does_not_matter():
    queries, items, _, seen = world()
    once = tilt(queries, items, strength=0.3, k=10, seen=seen)
    for scale in (1e-12, 10.0, 1e12):
        again = tilt(queries * scale, items, strength=0.3, k=10, seen=seen)
        np.testing.assert_allclose(again.items[:, -1] / scale, once.items[:, -1], atol=0.02)
        assert np.mean(lists(again, seen) == lists(once, seen)) > 0.98


def test_popularity_only_removes_amplification():
    queries, items, popularity, seen = world()
    earned = popularity / popularity.sum()

    def excess(vectors):
        slots = exposure(vectors, seen)
        return np.abs(slots / slots.sum() - earned).sum()

    base = excess((queries, items))
    found = [tilt(queries, items, strength=s, k=10, seen=seen, welfare="popularity", popularity=popularity)
             for s in (0.1, 0.3, 1.0)]  # fmt: skip
    amounts = [excess(v) for v in found]
    assert base > amounts[0] > amounts[1] > amounts[2]
    # It stops where popularity is, and entropy goes on to equal exposure.
    equal = tilt(queries, items, strength=1, k=10, seen=seen, welfare="entropy")
    assert gini(exposure(found[2], seen)) > gini(popularity) - 0.05 > gini(exposure(equal, seen))


def test_popularity_is_counted_from_seen():
    queries, items, _, seen = world()
    counted = tilt(queries, items, strength=0.3, k=10, seen=seen, welfare="popularity")
    given_ = tilt(queries, items, strength=0.3, k=10, seen=seen, welfare="popularity", popularity=seen.sum(axis=0))
    np.testing.assert_array_equal(counted.items, given_.items)


def test_alpha_cares_for_the_least_shown():
    queries, items, _, seen = world()
    mild = tilt(queries, items, strength=0.1, k=10, seen=seen, welfare="alpha", aversion=1e-6)
    np.testing.assert_allclose(
        mild.items, tilt(queries, items, strength=0.1, k=10, seen=seen, welfare="entropy").items, atol=1e-3
    )
    found = tilt(queries, items, strength=0.1, k=10, seen=seen, welfare="alpha", aversion=1)
    assert (exposure(found, seen) > 0).sum() > (exposure(mild, seen) > 0).sum()


def test_sample_of_users_suffices_and_is_drawn_by_rng():
    queries, items, _, seen = world(n=3000)
    everyone = tilt(queries, items, strength=0.2, k=10, seen=seen)
    part = tilt(queries, items, strength=0.2, k=10, seen=seen, n_users=1000)
    assert abs(gini(exposure(everyone, seen)) - gini(exposure(part, seen))) < 0.02
    same, other = (tilt(queries, items, strength=0.2, k=10, seen=seen, n_users=1000, rng=rng) for rng in (0, 1))
    np.testing.assert_array_equal(part.items, same.items)
    assert (part.items != other.items).any()


@pytest.mark.parametrize("sample", [100, 400])
def test_kinds_agree(sample):
    queries, items, _, seen = world()
    expected = tilt(queries, items, strength=0.2, k=10, seen=seen, n_users=sample)
    for kind, cls in KINDS:
        found = tilt(kind(queries), kind(items), strength=0.2, k=10, seen=seen, n_users=sample)
        assert isinstance(found.items, cls)
        np.testing.assert_allclose(np.asarray(found.items[:, -1]), expected.items[:, -1], atol=0.02)


def test_blocks_do_not_matter(monkeypatch):
    queries, items, _, seen = world()
    whole = tilt(queries, items, strength=0.2, k=10, seen=seen)
    monkeypatch.setattr("headtail._exposure._SCORES", 1000)
    monkeypatch.setattr("headtail._exposure._FEWEST", 8)
    np.testing.assert_allclose(tilt(queries, items, strength=0.2, k=10, seen=seen).items, whole.items, atol=0.02)


def answer(queries, items, seen, k, width) -> Response:
    queries, items = queries.astype(np.float32), items.astype(np.float32)
    return counter_of_vectors(queries, items, k, seen)(np.zeros(len(items)), width)


def test_exposure_is_counted_as_lists_are_made():
    queries, items, _, seen = world()
    found = answer(queries, items, seen, 10, 1e-9)
    np.testing.assert_allclose(found.slots, exposure((queries, items), seen), rtol=1e-5)


def test_users_who_have_seen_nearly_all():
    queries, items, _, _ = world(n=50)
    seen = np.ones((50, 120))
    seen[:, :4] = 0
    found = answer(queries, items, sp.csr_array(seen), 10, 0.1)
    np.testing.assert_array_equal(found.slots, [50] * 4 + [0] * 116)
    assert not found.growth.any() and not found.change(np.arange(120.0)).any()  # whatever their bias


@pytest.mark.parametrize("welfare", ["entropy", "alpha", "popularity"])
def test_where_all_have_seen_all_there_is_no_exposure_to_spread(welfare):
    queries, items, _, _ = world(n=50)
    with pytest.raises(InvalidInputError, match="no user has an item left to be shown"):
        tilt(queries, items, strength=0.1, k=10, seen=sp.csr_array(np.ones((50, 120))), welfare=welfare)


def test_ties_share_the_last_slots():
    # Item 0 is ahead of all, and items 1 to 4 share the second slot of each of the three users.
    slots = answer(np.ones((3, 1)), np.array([[2], [1], [1], [1], [1], [0]]), None, 2, 1e-6).slots
    np.testing.assert_allclose(slots[1:], [slots[1]] * 4 + [0])
    assert slots.sum() == pytest.approx(6)


def test_items_take_slots_from_each_other():
    """Where four items share the last slot of a list, one takes a third of what it gains from each of the others."""
    found = answer(np.ones((3, 1)), np.array([[2], [1], [1], [1], [1], [0]]), None, 2, 0.5)
    matrix = np.column_stack([found.change(unit) for unit in np.eye(6)])
    expected = np.zeros((6, 6))
    expected[1:5, 1:5] = 3 * (np.eye(4) - 1 / 4)  # of three users, each by 1 / (2 * width)
    np.testing.assert_allclose(matrix, expected, atol=1e-9)
    np.testing.assert_allclose(found.growth, np.diag(expected), atol=1e-9)
    own = np.linspace(0.1, 1, 6)
    wanted = np.arange(6.0) - 2
    found = _solved(found.change, wanted, 0.7, found.growth, own)
    np.testing.assert_allclose(found, np.linalg.solve(0.7 * expected + np.diag(own), wanted), atol=0.02)


def test_seen_may_be_interactions():
    queries, items, _, seen = world(n=60)
    users, codes = seen.nonzero()
    interactions = Interactions(np.arange(60), np.arange(120), users.astype(np.int32), codes.astype(np.int32))
    found = tilt(queries, items, strength=0.1, k=5, seen=interactions)
    np.testing.assert_array_equal(found.items, tilt(queries, items, strength=0.1, k=5, seen=seen).items)


def test_it_warns_where_strength_is_of_no_use():
    # All users want the same: whatever the bias, all get one list, and exposure cannot be spread.
    items = np.random.default_rng(0).standard_normal((50, 1))
    with pytest.warns(UserWarning, match=r"strength=0.5: the bias has not settled after 10 rounds"):
        tilt(np.ones((300, 1)), items, strength=0.5, k=5, rounds=10)
    with pytest.warns(UserWarning, match=r"not settled after 2 rounds \(residual 1\.00\)"):
        tilt(np.ones((300, 1)), items, strength=0.5, k=5, rounds=2)
    with pytest.warns(UserWarning, match=r"strength=2: \d\d% of the slots are with other items"):
        tilt(np.ones((300, 1)), items, strength=2, k=5)
    queries, items, _, seen = world()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tilt(queries, items, strength=0.3, k=10, seen=seen)


def test_how_far_a_bias_has_settled_is_logged(caplog):
    queries, items, _, seen = world()
    caplog.set_level("DEBUG", "headtail")
    tilt(queries, items, strength=0.3, k=10, seen=seen)
    (residual,) = (record.residual for record in caplog.records if hasattr(record, "residual"))
    assert 0 < residual < 0.02


@pytest.mark.parametrize("welfare", ["entropy", "alpha", "popularity"])
@pytest.mark.parametrize("strength", [0.0125, 0.1, 0.4, 1.6])
@pytest.mark.parametrize("n", [60, 400])
def test_every_welfare_settles_over_its_range(welfare, strength, n):
    queries, items, popularity, seen = world(n=n)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*has not settled")
        warnings.filterwarnings("ignore", ".*with other items")
        tilt(queries, items, strength=strength, k=10, seen=seen, welfare=welfare, popularity=popularity)


def dense_shares(scores, k, width):
    places, *found = shares(np.array(scores, dtype=np.float32), k, width)
    dense = np.zeros((2, *np.shape(scores)))
    for values, of_places in zip(dense, found, strict=True):
        values.ravel()[places] = of_places
    return dense


def test_shares_by_hand():
    scores = np.array([[4, 3, 2.9, 1], [1, 1, 1, 1], [5, 4, -np.inf, -np.inf], [5, -np.inf, -np.inf, -np.inf]])
    part, growth = dense_shares(scores, 2, 0.1)
    # Of the first list the end lies at 2.95: the second item is 3/4 within it, the third 1/4.
    np.testing.assert_allclose(part, [[1, 0.75, 0.25, 0], [0.5] * 4, [1, 1, 0, 0], [1, 0, 0, 0]], atol=1e-5)
    np.testing.assert_allclose(growth, [[0, 5, 5, 0], [5] * 4, [0] * 4, [0] * 4], atol=1e-4)
    everything, _ = dense_shares(scores[:, :2], 2, 0.1)
    np.testing.assert_allclose(everything, [[1, 1], [1, 1], [1, 1], [1, 0]])


@given(st.lists(st.floats(-3, 3, width=32), min_size=6, max_size=6), st.integers(1, 6), st.floats(1e-3, 1))
def test_shares_of_a_user_sum_to_k_at_most(scores, k, width):
    part, growth = dense_shares([scores], k, width)
    assert 0.5 <= part.sum() <= k + 1e-4
    assert (growth >= 0).all()
    order = np.argsort(scores)
    assert (np.diff(part[0][order]) >= -1e-6).all()


@pytest.mark.parametrize(("n", "k"), [(4000, 3), (1001, 10), (60, 20), (20, 20)])
@pytest.mark.parametrize("decimals", [0, 4])
def test_shares_equal_those_of_whole_rows_in_order(n, k, decimals):
    rng = np.random.default_rng(n)
    scores = rng.normal(size=(30, n)).round(decimals).astype(np.float32)  # many ties, or few
    scores[rng.random((30, n)) < np.linspace(0, 1, 30)[:, None]] = -np.inf  # of the last, all
    part, growth = dense_shares(scores, k, 0.05)
    for row, found, grows in zip(scores, part, growth, strict=True):
        ordered = np.append(-np.sort(-row), -np.inf)
        end = (ordered[k - 1] + ordered[k]) / 2 if ordered[k] > -np.inf else max(ordered[k - 1] - 0.1, -1e30)
        expected = np.clip((row - end) / 0.1 + 0.5, 0, 1)
        unit = min(1, k / max(expected.sum(), 1e-9))
        np.testing.assert_allclose(found, expected * unit, atol=1e-4)
        np.testing.assert_allclose(grows, ((expected > 0) & (expected < 1)) * unit / 0.1, atol=1e-4)


@pytest.mark.parametrize("reach", [0.3, 3.0, 30.0])
def test_of_a_large_catalogue_the_highest_scores_are_counted_as_all_are(reach):
    """A mild bias brings no other item into any list, a strong one into some, and the strongest into all."""
    rng = np.random.default_rng(0)
    queries, items = rng.normal(size=(300, 4)).astype(np.float32), rng.normal(size=(1500, 4)).astype(np.float32)
    seen = rng.random((300, 1500)) < 0.05
    seen[0], seen[1, 3:] = True, True  # nothing is left of these, or three
    count = counter_of_vectors(queries, items, 2, sp.csr_array(seen))
    bias = rng.uniform(-reach, reach, size=1500)
    scores = queries @ items.T + bias.astype(np.float32)
    scores[seen] = -np.inf
    for width in (0.05, 1e-6):
        expected, found = respond([(scores, None)], 1500, 2, width), count(bias, width)
        np.testing.assert_allclose(found.slots, expected.slots, atol=1e-3 if width > 1e-3 else 0.5)
        np.testing.assert_allclose(found.change(bias), expected.change(bias), rtol=1e-4, atol=0.1)


def test_a_bias_may_lift_items_that_nobody_has_among_the_highest():
    rng = np.random.default_rng(0)
    queries, items = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(2000, 3)).astype(np.float32)
    scores = queries @ items.T
    bias = np.where(np.argsort(np.argsort(scores.max(axis=0))) < 3, 100.0, 0.0)
    found = counter_of_vectors(queries, items, 2, None)(bias, 1e-6)
    shown = np.argsort(-(scores + bias), axis=1)[:, :2]
    np.testing.assert_allclose(found.slots, np.bincount(shown.ravel(), minlength=2000))


@pytest.mark.parametrize("of_lists", [False, True])
def test_users_who_prefer_nothing_do_not_count(of_lists):
    """They only lower the spread, the unit of a strength; their lists are equal and change all at once."""
    queries, items, _, _ = world()
    nobody = np.zeros((100, queries.shape[1]))
    everyone = np.concatenate([nobody, queries])

    def bias(users, strength):
        if not of_lists:
            return tilt(users, items, strength=strength, k=10, n_users=500).items[:, -1]
        lists = Recommendations.from_scores(users @ items.T, k=len(items))
        return rerank.tilt_bias(lists, strength=strength, k=10, n_users=500)

    np.testing.assert_allclose(bias(everyone, 0.2 * (500 / 400) ** 0.5), bias(queries, 0.2), atol=1e-5)


def test_tilt_refuses():
    queries, items, popularity, seen = world(n=20)
    for options, message in [
        ({"strength": -0.1}, "strength=-0.1"),
        ({"k": 0}, "k=0"),
        ({"k": 121}, "k=121"),
        ({"n_users": 0}, "n_users=0"),
        ({"rounds": 0}, "rounds=0"),
        ({"welfare": "entropie"}, "Did you mean 'entropy'"),
        ({"welfare": "alpha", "aversion": 0}, "aversion=0"),
        ({"welfare": "popularity"}, "needs what popularity earns"),
        ({"welfare": "popularity", "popularity": popularity[:5]}, r"popularity has shape \(5,\)"),
        ({"seen": seen[:10]}, "queries has 20 rows and the interactions 10 ids"),
        ({"seen": [1]}, "seen is a list"),
        ({"rng": "x"}, "rng='x'"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            tilt(queries, items, **({"strength": 0.1, "k": 10} | options))
    with pytest.raises(InvalidInputError, match="all items score the same"):
        tilt(queries, np.ones_like(items), strength=0.1, k=10)
    queries[3, 0] = np.nan
    with pytest.raises(InvalidInputError, match="queries holds 1 value that is not finite"):
        tilt(queries, items, strength=0.1, k=10)


def test_vectors_that_are_not_finite_are_not_normalized():
    queries, items = np.ones((3, 2)), np.ones((4, 2))
    for place in (queries, items):
        place[0, 0], before = np.nan, place[0, 0]
        with pytest.raises(InvalidInputError, match="not finite"):
            posthoc.normalize(queries, items)
        place[0, 0] = before


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_lengths_are_taken_out_of_items_of_any_size(scale, strength):
    items = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.5]])
    lengths = np.array([5.0, 1.0, 0.5])
    with np.errstate(all="raise"):
        found = posthoc.normalize(np.eye(2), items * scale, strength=strength).items
    expected = items * (scale ** (1 - strength) / lengths**strength)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.raises(InvalidInputError, match="not finite"):
        posthoc.normalize(np.eye(2), np.array([[np.inf, 1.0]]), strength=strength)


@pytest.mark.parametrize("scales", [(1e100, 1e-90), (1e-100, 1e90), (1e30, 1e30)])
def test_factors_of_very_different_size_are_corrected_as_others(scales):
    queries, items, popularity, _ = world()
    very = queries.astype(np.float64) * scales[0], items.astype(np.float64) * scales[1]
    unit = scales[0] * scales[1]
    for plain, scaled in (
        (shrink(queries.astype(np.float64), items.astype(np.float64), strength=0.4), shrink(*very, strength=0.4)),
        (tilt(queries, items, strength=0.2, k=10), tilt(*very, strength=0.2, k=10)),
        (
            penalize_popularity(queries, items, popularity, strength=0.2),
            penalize_popularity(*very, popularity, strength=0.2),
        ),
    ):
        expected = plain.queries @ plain.items.T
        np.testing.assert_allclose((scaled.queries @ scaled.items.T) / unit, expected, atol=1e-3 * abs(expected).max())


def test_items_that_are_all_the_same_have_no_order_whatever_rounding_says():
    rng = np.random.default_rng(0)
    queries, items = rng.normal(size=(20, 4)), np.tile(rng.normal(size=4), (15, 1))
    for wrong in (
        lambda: penalize_popularity(queries, items, np.arange(15), strength=0.1),
        lambda: tilt(queries, items, strength=0.1, k=3),
    ):
        with pytest.raises(InvalidInputError, match="all items score the same for every user"):
            wrong()


@pytest.mark.parametrize("strength", [np.float64(5e-324), 2.2e-308, 1e-12])
def test_a_strength_that_no_score_notices_changes_nothing(strength):
    queries, items, _, _ = world()
    assert not tilt(queries, items, strength=strength, k=10).items[:, -1].any()


def test_half_precision_of_a_strength_is_that_of_the_strength_alone():
    queries, items, _, _ = world()
    half = np.float16(0.2)
    np.testing.assert_array_equal(
        tilt(queries, items, strength=half, k=10).items, tilt(queries, items, strength=float(half), k=10).items
    )


def test_a_strong_tilt_settles_where_most_items_are_seldom_shown(shared_data):
    rows = pl.read_parquet(shared_data("lastfm") / "interactions.parquet").select("user_id", "item_id")
    split = ht.split_ratio(rows.unique(maintain_order=True), rng=0)
    model = ht.models.ALS.for_data(split.train, embedding_dim=32, rng=0)
    ht.fit(model, split.train, epochs=3, rng=0, progress=False)
    with warnings.catch_warnings(action="error"):  # with 60 rounds the residual is .06
        ht.tilt(*ht.vectors(model)[:2], strength=0.8, k=20, seen=split.train, welfare="alpha")
