import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from headtail import baselines
from headtail.baselines import most_popular, random_items
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError


def interactions(pairs, n_users, n_items):
    users, items = np.array(sorted(pairs), dtype=np.int32).reshape(-1, 2).T
    return Interactions(np.arange(n_users) + 100, np.arange(n_items) * 10, users, items)


def randomly(n_users, n_items, density, seed):
    rng = np.random.default_rng(seed)
    seen = rng.random((n_users, n_items)) < density * np.linspace(2, 0.1, n_items)
    return interactions(set(zip(*map(list, np.nonzero(seen)), strict=True)), n_users, n_items), seen


def naive_most_popular(seen, k):
    popularity = seen.sum(axis=0)
    order = sorted(range(seen.shape[1]), key=lambda i: (-popularity[i], i))
    found = [[i for i in order if not row[i]][:k] for row in seen]
    return np.array([f + [-1] * (k - len(f)) for f in found])


def test_by_hand():
    train = interactions({(0, 0), (1, 0), (1, 2), (2, 2), (2, 1), (3, 0)}, 5, 4)
    found = most_popular(train, k=3)
    np.testing.assert_array_equal(found.items, [[2, 1, 3], [1, 3, -1], [0, 3, -1], [2, 1, 3], [0, 2, 1]])
    np.testing.assert_array_equal(found.scores[1], [1, 0, np.nan])
    np.testing.assert_array_equal(most_popular(train, k=2, exclude_seen=False).items, [[0, 2]] * 5)
    np.testing.assert_array_equal(most_popular(train, k=4, exclude_seen=False).items, [[0, 2, 1, 3]] * 5)
    np.testing.assert_array_equal(most_popular(train, k=1, users=[104, 101]).items, [[0], [1]])
    assert most_popular(train, k=1, users=[104, 101]).to_polars()["user_id"].to_list() == [104, 101]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 30), st.integers(1, 90), st.sampled_from([0.02, 0.3, 0.5]), st.integers(0, 999), st.integers(1, 9)
)
def test_most_popular_equals_the_naive_list(n_users, n_items, density, seed, k):
    train, seen = randomly(n_users, n_items, density, seed)
    k = min(k, n_items)
    np.testing.assert_array_equal(most_popular(train, k).items, naive_most_popular(seen, k))


def test_users_who_have_seen_the_head(monkeypatch):
    # These need to look beyond the first window, in blocks of a few users.
    monkeypatch.setattr(baselines, "_BLOCK", 300)
    seen = np.zeros((9, 800), dtype=bool)
    for user in range(9):
        seen[user, : 90 * user] = True
    train = interactions(set(zip(*map(list, np.nonzero(seen)), strict=True)), 9, 800)
    np.testing.assert_array_equal(most_popular(train, 4).items, naive_most_popular(seen, 4))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 30), st.integers(1, 40), st.sampled_from([0.0, 0.3, 0.5]), st.integers(0, 999), st.integers(1, 40)
)
def test_random_lists_hold_different_unseen_items(n_users, n_items, density, seed, k):
    train, seen = randomly(n_users, n_items, density, seed)
    found = random_items(train, k := min(k, n_items), rng=seed)
    for row, known in zip(found.items, seen, strict=True):
        kept = row[row >= 0]
        assert len(kept) == min(k, (~known).sum())
        assert len(set(kept)) == len(kept) and not known[kept].any() and (kept < n_items).all()
        assert (row[len(kept) :] == -1).all()


def test_random_lists_are_even_over_the_unseen_items_and_over_their_order():
    seen = {(u, i) for u in range(40_000) for i in (1, 4)}
    found = random_items(interactions(seen, 40_000, 7), k=3, rng=0).items
    ordered, counts = np.unique(found, axis=0, return_counts=True)
    assert len(ordered) == 5 * 4 * 3  # every ordered choice of 3 out of the 5 unseen
    expected = 40_000 / 60
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 59 + 5 * np.sqrt(2 * 59)


def test_random_lists_without_exclusion():
    train = interactions({(0, 0), (0, 1), (0, 2)}, 2000, 3)
    found = random_items(train, k=3, exclude_seen=False, rng=1).items
    assert (np.sort(found, axis=1) == [0, 1, 2]).all()


def test_same_seed_same_lists(monkeypatch):
    train, _ = randomly(50, 40, 0.2, 0)
    once = random_items(train, 5, rng=3)
    np.testing.assert_array_equal(once.items, random_items(train, 5, rng=3).items)
    assert (once.items != random_items(train, 5, rng=4).items).any()
    assert once.scores is None
    monkeypatch.setattr(baselines, "_BLOCK", 20)
    blocks = random_items(train, 5, rng=3, users=[107, 103])
    assert blocks.items.shape == (2, 5)


@pytest.mark.parametrize("recommend", [most_popular, random_items])
def test_bad_input(recommend):
    train, _ = randomly(5, 6, 0.3, 0)
    for k, message in ((0, "k=0"), (7, "k=7 exceeds the catalogue of 6 items")):
        with pytest.raises(InvalidInputError, match=message):
            recommend(train, k)
    with pytest.raises(InvalidInputError, match="The interactions lack 1 of 2 users; the first is 105"):
        recommend(train, users=[100, 105])
    with pytest.raises(InvalidInputError, match="users names a user more than once"):
        recommend(train, users=[101, 101])
    with pytest.raises(InvalidInputError, match="users: ids are String here and Int64"):
        recommend(train, users=["ann"])
    with pytest.raises(InvalidInputError, match="give at least one user id"):
        recommend(train, users=[])
