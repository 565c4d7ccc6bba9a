"""recommend() against a naive full sort, its blocks, ties, filters and errors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.models import MF
from headtail.training import ranking, recommend, vectors
from headtail.typing import Vectors


def world(n_users=6, n_items=11, density=0.3, seed=0):
    seen = np.random.default_rng(seed).random((n_users, n_items)) < density
    users, items = np.nonzero(seen)
    ids = np.array([f"u{u}" for u in range(n_users)], dtype=object)
    return Interactions(ids, np.arange(n_items) * 10, users.astype(np.int32), items.astype(np.int32)), seen


def naive(scores, seen, k):
    """Sort everything; ties by code; -1 where nothing is left."""
    rows = []
    for u in range(len(scores)):
        order = sorted((i for i in range(scores.shape[1]) if not seen[u, i]), key=lambda i: (-scores[u, i], i))[:k]
        rows.append(order + [-1] * (k - len(order)))
    return np.array(rows)


@given(
    seed=st.integers(0, 2**32 - 1),
    n_users=st.integers(1, 8),
    n_items=st.integers(1, 12),
    density=st.floats(0, 1),
    levels=st.integers(1, 4),
    exclude_seen=st.booleans(),
    blocks=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    data=st.data(),
)
def test_equals_a_full_sort_with_ties_over_any_blocks(
    seed, n_users, n_items, density, levels, exclude_seen, blocks, data
):
    """Whole numbers of few levels are exact in floating point and tie often."""
    k = data.draw(st.integers(1, n_items))
    train, seen = world(n_users, n_items, density, seed)
    rng = np.random.default_rng(seed)
    queries, items = rng.integers(0, levels, (n_users, 2)), rng.integers(0, levels, (n_items, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_ITEMS", blocks[1])
        lists = recommend(
            (queries.astype(np.float32), items.astype(np.float32)),
            train,
            k=k,
            exclude_seen=exclude_seen,
            batch_size=blocks[0],
        )
    expected = naive(queries @ items.T, seen & exclude_seen, k)
    np.testing.assert_array_equal(lists.items, expected)
    filled = expected >= 0
    np.testing.assert_array_equal(np.isnan(lists.scores), ~filled)
    taken = np.take_along_axis(queries @ items.T, np.maximum(expected, 0), axis=1)
    np.testing.assert_array_equal(lists.scores[filled], taken[filled])


def test_seen_items_never_appear_and_lists_are_cut_short():
    train, seen = world(density=0.8)
    lists = recommend((np.ones((6, 1)), np.ones((11, 1))), train, k=11)
    rows, columns = np.nonzero(lists.items >= 0)
    assert not seen[rows, lists.items[rows, columns]].any()
    np.testing.assert_array_equal((lists.items >= 0).sum(axis=1), 11 - train.activity)


def test_all_kinds_of_factors_give_the_same():
    train, _ = world()
    model = MF(6, 11, 4, rng=0)
    out = vectors(model)
    expected = recommend(model, train, k=4).items
    for factors in (out, tuple(out), (out.queries.numpy(), out.items.numpy()), Vectors(*(m.numpy() for m in out))):
        np.testing.assert_array_equal(recommend(factors, train, k=4).items, expected)


def test_users_are_served_in_the_order_asked():
    train, _ = world()
    factors = vectors(MF(6, 11, 4, rng=0))
    every, some = recommend(factors, train, k=3), recommend(factors, train, users=["u4", "u0"], k=3)
    assert some.users.tolist() == [4, 0]
    np.testing.assert_array_equal(some.items, every.items[[4, 0]])
    model = recommend(MF(6, 11, 4, rng=0), train, users=["u4", "u0"], k=3)
    np.testing.assert_array_equal(model.items, some.items)
    reordered = recommend(factors, train, users=[f"u{u}" for u in (5, 4, 3, 2, 1, 0)], k=3)
    np.testing.assert_array_equal(reordered.items, every.items[::-1])


def test_precision_is_kept():
    # In float32 both items would score the same and the lower code would win.
    train, _ = world(1, 2, 0)
    lists = recommend((np.array([[1.0]]), np.array([[1.0], [1.0 + 1e-12]])), train, k=1)
    assert lists.items.tolist() == [[1]]
    assert lists.scores.dtype == np.float64
    half = recommend((torch.ones(1, 1).half(), torch.tensor([[300.0], [301.0]]).half()), train, k=1)
    assert half.items.tolist() == [[1]]


def test_training_mode_and_weights_are_left_alone():
    model = MF(6, 11, 4, rng=0).train()
    train, _ = world()
    recommend(model, train)
    assert model.training
    assert model.users.requires_grad


def test_vectors_in_blocks():
    model = MF(6, 11, 4, rng=0)
    whole, parts = vectors(model), vectors(model, batch_size=4)
    assert torch.equal(whole.queries, parts.queries)
    assert torch.equal(vectors(model, np.array([3, 1])).queries, whole.queries[[3, 1]])
    assert not whole.queries.requires_grad
    with pytest.raises(InvalidInputError, match="users is empty"):
        vectors(model, np.array([], dtype=int))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 12}, "k=12 exceeds the catalogue of 11 items; lower k"),
        ({"k": 0}, "k=0 is out of range"),
        (
            {"users": ["u1", "nobody"]},
            "1 of 2 users are not among the users of the interactions",
        ),
        ({"users": ["u1", "u1"]}, "names a user more than once"),
        ({"users": []}, "give at least one user id"),
        ({"batch_size": -1}, "batch_size=-1 is out of range"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    train, _ = world()
    with pytest.raises(InvalidInputError, match=message):
        recommend(vectors(MF(6, 11, 4, rng=0)), train, **change)


@pytest.mark.parametrize(
    ("queries", "items", "message"),
    [
        (np.ones((5, 2)), np.ones((11, 2)), r"queries have shape \(5, 2\) .* 6 users and 11 items"),
        (np.ones((6, 2)), np.ones((11, 3)), "queries have dimension 2 and items 3"),
        (np.full((6, 2), np.nan), np.ones((11, 2)), "NaN, infinite or too large"),
        (np.ones((6, 2)), np.full((11, 2), np.inf), "NaN, infinite or too large"),
        (np.full((6, 2), 1e30, np.float32), np.full((11, 2), 1e30, np.float32), "too large to score"),
    ],
)
def test_bad_factors_are_refused(queries, items, message):
    train, _ = world()
    with pytest.raises(InvalidInputError, match=message):
        recommend((queries, items), train)


def test_a_model_of_another_size_is_refused():
    train, _ = world()
    with pytest.raises(InvalidInputError, match="the model has n_items=12 and the interactions 11"):
        recommend(MF(6, 12, 4), train)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_lists():
    train, _ = world(50, 200)
    queries, items = np.random.default_rng(0).integers(0, 3, (2, 200, 4))
    factors = queries[:50].astype(np.float32), items.astype(np.float32)
    ours, theirs = (recommend(factors, train, k=20, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(ours.items, theirs.items)
