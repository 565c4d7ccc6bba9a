"""The sampler: every pair once, negatives uniform over what the user has not met, and never a training pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.training.batches import Sampler


def interactions(pairs, n_users, n_items):
    users, items = np.array(pairs, dtype=np.int32).T
    return Interactions(np.arange(n_users) + 10, np.arange(n_items), users, items)


@st.composite
def worlds(draw):
    """Random interactions in which nobody has met everything."""
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(2, 9))
    seen = draw(
        st.lists(st.sets(st.integers(0, n_items - 1), max_size=n_items - 1), min_size=n_users, max_size=n_users)
    )
    pairs = [(u, i) for u, items in enumerate(seen) for i in items] or [(0, 0)]
    return interactions(draw(st.permutations(pairs)), n_users, n_items)


@given(
    train=worlds(), n=st.integers(1, 4), batch_size=st.integers(1, 12), bitmap=st.booleans(), seed=st.integers(0, 99)
)
def test_an_epoch_holds_every_pair_once_and_no_negative_is_a_training_pair(train, n, batch_size, bitmap, seed):
    sampler = Sampler(train, n, bitmap_bytes=1 << 20 if bitmap else 0)
    known = set(zip(train.users.tolist(), train.items.tolist(), strict=True))
    met = []
    for batch in sampler.epoch(batch_size, np.random.default_rng(seed)):
        assert (np.diff(batch.users) > 0).all()
        assert batch.candidates.shape == (len(batch.rows), 1 + n)
        users, negatives = batch.users[batch.rows].tolist(), batch.candidates[:, 1:]
        met += zip(users, batch.candidates[:, 0].tolist(), strict=True)
        assert not known & {(u, i) for u, row in zip(users, negatives.tolist(), strict=True) for i in row}
        assert ((negatives >= 0) & (negatives < train.n_items)).all()
    assert sorted(met) == sorted(known)


@pytest.mark.parametrize("bitmap_bytes", [0, 1 << 20])
def test_membership_equals_a_set(bitmap_bytes):
    rng = np.random.default_rng(0)
    pairs = [(u, i) for u in range(20) for i in rng.choice(30, 7, replace=False)]
    sampler = Sampler(interactions(pairs, 20, 30), 1, bitmap_bytes=bitmap_bytes)
    users, items = (grid.ravel() for grid in np.meshgrid(np.arange(20), np.arange(30)))
    expected = [(u, i) in set(pairs) for u, i in zip(users.tolist(), items.tolist(), strict=True)]
    np.testing.assert_array_equal(sampler.seen(users, items), expected)


def test_negatives_are_uniform():
    # One user with half of 10 items, and one who has met all but items 3 and 997 of 1,000: the last resort.
    train = interactions([(0, i) for i in range(0, 10, 2)], 1, 10)
    drawn = Sampler(train, 1).negatives(np.zeros(50_000, dtype=np.int64), np.random.default_rng(0))
    counts = np.bincount(drawn.ravel(), minlength=10)
    np.testing.assert_array_equal(counts[::2], 0)
    np.testing.assert_allclose(counts[1::2], 10_000, rtol=0.05)
    train = interactions([(0, i) for i in range(1000) if i not in (3, 997)], 1, 1000)
    drawn = Sampler(train, 1).negatives(np.zeros(2_000, dtype=np.int64), np.random.default_rng(0))
    items, counts = np.unique(drawn, return_counts=True)
    assert items.tolist() == [3, 997]
    np.testing.assert_allclose(counts, 1_000, rtol=0.1)


def test_order_of_the_rows_does_not_matter():
    pairs = [(0, 1), (1, 0), (1, 2), (2, 1)]
    epochs = [list(Sampler(interactions(p, 3, 4), 2).epoch(3, np.random.default_rng(0))) for p in (pairs, pairs[::-1])]
    for ours, theirs in zip(*epochs, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_user_without_negatives_is_named():
    with pytest.raises(InvalidInputError, match="1 users have interacted with all 2 items, the first is 11"):
        Sampler(interactions([(0, 0), (1, 0), (1, 1)], 2, 2), 1)


def test_no_interactions_are_refused():
    empty = interactions([(0, 0)], 1, 2).subset(np.array([False]))
    with pytest.raises(InvalidInputError, match="train holds no interactions"):
        Sampler(empty, 1)
