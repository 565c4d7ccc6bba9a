"""Batches: every target once, negatives uniform over what the user has not met, and never a training pair."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.training import batches
from headtail.training.batches import Negatives, Pairs, Windows


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
    train=worlds(), n=st.integers(0, 4), batch_size=st.integers(1, 12), bitmap=st.booleans(), seed=st.integers(0, 99)
)
def test_an_epoch_holds_every_pair_once_and_no_negative_is_a_training_pair(train, n, batch_size, bitmap, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "_BITMAP_BYTES", 1 << 20 if bitmap else 2)
        pairs = Pairs(train, n)
    known = set(zip(train.users.tolist(), train.items.tolist(), strict=True))
    met = []
    for batch in pairs.epoch(batch_size, np.random.default_rng(seed)):
        assert (np.diff(batch.inputs) > 0).all()
        assert batch.candidates.shape == (len(batch.rows), 1 + n)
        users, negatives = batch.inputs[batch.rows].tolist(), batch.candidates[:, 1:]
        met += zip(users, batch.candidates[:, 0].tolist(), strict=True)
        assert not known & {(u, i) for u, row in zip(users, negatives.tolist(), strict=True) for i in row}
        assert ((negatives >= 0) & (negatives < train.n_items)).all()
    assert sorted(met) == sorted(known)


@pytest.mark.parametrize("bitmap_bytes", [1, 16, 1 << 20])
def test_membership_equals_a_set(monkeypatch, bitmap_bytes):
    rng = np.random.default_rng(0)
    pairs = [(u, i) for u in range(20) for i in rng.choice(30, 7, replace=False)]
    monkeypatch.setattr(batches, "_BITMAP_BYTES", bitmap_bytes)
    negatives = Negatives(interactions(pairs, 20, 30), 1)
    users, items = (grid.ravel() for grid in np.meshgrid(np.arange(20), np.arange(30)))
    expected = [(u, i) in set(pairs) for u, i in zip(users.tolist(), items.tolist(), strict=True)]
    np.testing.assert_array_equal(negatives.seen(users, items), expected)


def test_negatives_are_uniform():
    # One user with half of 10 items, and one who has met all but items 3 and 997 of 1,000: the last resort.
    train = interactions([(0, i) for i in range(0, 10, 2)], 1, 10)
    drawn = Negatives(train, 1).draw(np.zeros(50_000, dtype=np.int64), np.random.default_rng(0))
    counts = np.bincount(drawn.ravel(), minlength=10)
    np.testing.assert_array_equal(counts[::2], 0)
    np.testing.assert_allclose(counts[1::2], 10_000, rtol=0.05)
    train = interactions([(0, i) for i in range(1000) if i not in (3, 997)], 1, 1000)
    drawn = Negatives(train, 1).draw(np.zeros(2_000, dtype=np.int64), np.random.default_rng(0))
    items, counts = np.unique(drawn, return_counts=True)
    assert items.tolist() == [3, 997]
    np.testing.assert_allclose(counts, 1_000, rtol=0.1)


def test_order_of_the_rows_does_not_matter():
    pairs = [(0, 1), (1, 0), (1, 2), (2, 1)]
    epochs = [list(Pairs(interactions(p, 3, 4), 2).epoch(3, np.random.default_rng(0))) for p in (pairs, pairs[::-1])]
    for ours, theirs in zip(*epochs, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_user_without_negatives_is_named():
    with pytest.raises(InvalidInputError, match="1 user has interacted with all 2 items, the first is 11"):
        Negatives(interactions([(0, 0), (1, 0), (1, 1)], 2, 2), 1)


# -- histories ---------------------------------------------------------------------------------------------------------


def in_order(train, seed):
    return replace(train, order=np.random.default_rng(seed).permutation(len(train)))


def predictions(batch):
    """Return, for each target of a batch, the items of its window that it is predicted from, and the target itself.

    The former begin with the user's start, -1, if that is in the window; filling is left out.
    """
    made = []
    for row, at, target in zip(*np.divmod(batch.rows, batch.inputs.shape[1]), batch.candidates[:, 0], strict=True):
        before = batch.inputs[row, : at + 1].tolist()
        filled = max((i for i, code in enumerate(before) if code < 0), default=0)
        made.append((tuple(before[filled:]), int(target)))
    return made


@given(
    train=worlds(),
    n=st.integers(0, 3),
    max_length=st.integers(1, 5),
    batch_size=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_every_interaction_is_predicted_once_from_those_before_it(train, n, max_length, batch_size, seed):
    train = in_order(train, seed)
    expected, met = [], []
    for user in range(train.n_users):
        history = train.histories[train.matrix.indptr[user] : train.matrix.indptr[user + 1]].tolist()
        for at, target in enumerate(history):
            # Windows are counted from the last item, so the first of them is the one that may be short.
            begin = max(0, len(history) - max_length * -(-(len(history) - at) // max_length))
            expected.append((tuple([-1, *history][begin : at + 1]), target))
    known = set(zip(train.users.tolist(), train.items.tolist(), strict=True))
    for batch in Windows(train, n, max_length).epoch(batch_size, np.random.default_rng(seed)):
        assert batch.inputs.shape[1] <= max_length
        assert batch.candidates.shape == (len(batch.rows), 1 + n)
        assert len(batch.rows) < batch_size + max_length
        met += predictions(batch)
        for row in batch.candidates.tolist():  # some user has met the target and none of its negatives
            assert any((u, row[0]) in known and not known & {(u, i) for i in row[1:]} for u in range(train.n_users))
    assert sorted(met) == sorted(expected)


def test_windows_by_hand():
    """A history of 7 in windows of 3: one target, then three, then three, each with the item before it."""
    train = replace(interactions([(0, i) for i in range(7)] + [(2, 8)], 3, 9), order=np.arange(8))
    made = [
        (batch.inputs.tolist(), batch.rows.tolist(), batch.candidates.ravel().tolist())
        for batch in Windows(train, 0, 3).epoch(1, np.random.default_rng(0))
    ]
    assert sorted(made) == [
        ([[-1]], [0], [0]),
        ([[-1]], [0], [8]),
        ([[0, 1, 2]], [0, 1, 2], [1, 2, 3]),
        ([[3, 4, 5]], [0, 1, 2], [4, 5, 6]),
    ]


def test_windows_of_like_length_share_a_batch():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 40, 400)
    train = interactions([(u, i) for u, n in enumerate(lengths) for i in range(n)], 400, 41)
    train = replace(train, order=np.arange(len(train)))
    batches = list(Windows(train, 0, 50).epoch(200, rng))
    computed, needed = sum(b.inputs.size for b in batches), sum(len(b.rows) for b in batches)
    assert needed == len(train)
    assert computed < 1.15 * needed
    assert np.std([b.inputs.shape[1] for b in batches[:20]]) > 3  # and the short ones do not all come first
