"""recommend() against a naive full sort, its blocks, ties, filters and errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from headtail import _top
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.models import MF
from headtail.training import ranking, recommend, vectors
from headtail.training.device import placed
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
    n_items=st.integers(1, 40),
    density=st.floats(0, 1),
    levels=st.integers(1, 4),
    exclude_seen=st.booleans(),
    blocks=st.tuples(st.integers(1, 4), st.integers(1, 40)),
    group=st.integers(1, 3),
    on_device=st.booleans(),
    data=st.data(),
)
def test_equals_a_full_sort_with_ties_over_any_blocks(
    seed, n_users, n_items, density, levels, exclude_seen, blocks, group, on_device, data
):
    """Whole numbers of few levels are exact in floating point and tie often."""
    k = data.draw(st.integers(1, n_items))
    train, seen = world(n_users, n_items, density, seed)
    rng = np.random.default_rng(seed)
    queries, items = rng.integers(0, levels, (n_users, 2)), rng.integers(0, levels, (n_items, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_ITEMS", blocks[1])
        patch.setattr(ranking, "_CUDA_SCORES", blocks[0] * blocks[1])
        patch.setattr(_top, "_GROUPS", group)
        if on_device:  # the way of GPUs, taken on the CPU
            patch.setattr(ranking, "to_numpy", torch.as_tensor)
            patch.setattr(ranking, "_of_one_type", lambda *factors: placed(*factors, None))
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


@pytest.mark.parametrize("ascending", [False, True])
def test_of_later_items_those_that_reach_the_list_so_far_are_sorted(ascending, monkeypatch):
    """Where most of them do, the highest are looked for as in the first block."""
    scores = np.random.default_rng(0).normal(size=(4, 900)).astype(np.float32)
    scores = np.sort(scores, axis=1) if ascending else scores
    floor = _top.highest(scores[:, :600], 5)[0][:, -1]
    expected = _top.highest(scores[:, 600:], 5)
    called, partition = [], np.partition
    monkeypatch.setattr(np, "partition", lambda *a, **options: called.append(a) or partition(*a, **options))
    values, columns = _top.highest(scores[:, 600:], 5, floor)
    there = expected[0] >= floor[:, None]
    np.testing.assert_array_equal(values, np.where(there, expected[0], -np.inf))
    np.testing.assert_array_equal(columns[there], expected[1][there])
    assert bool(called) == ascending


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


def test_parts_that_are_frozen_stay_in_evaluation_mode():
    model = MF(5, 6, 4, rng=0).train()
    model.query.eval()
    vectors(model)
    assert model.training and not model.query.training


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
    assert torch.equal(vectors(model, codes=[3, 1, 3]).queries, whole.queries[[3, 1, 3]])
    assert torch.equal(vectors(model, ["u3", "u1"], interactions=world()[0]).queries, whole.queries[[3, 1]])
    assert not whole.queries.requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codes": np.array([], dtype=int)}, r"codes has shape \(0,\)"),
        ({"codes": np.ones(6, dtype=bool)}, "type bool; give at least one whole number"),
        ({"codes": [0, 6]}, "codes holds 6; there are 6 users, so give 0 to 5"),
        ({"users": ["u0"]}, "MF does not know the ids of users; give interactions="),
        ({"users": ["u0"], "codes": [0], "interactions": world()[0]}, "users and codes are both given"),
        ({"interactions": world(n_users=7)[0]}, "the model has n_users=6 and the interactions 7"),
        ({"users": [0], "interactions": world()[0]}, "users: ids are Int64 here and String in the interactions"),
    ],
)
def test_users_are_ids_and_codes_are_codes(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        vectors(MF(6, 11, 4, rng=0), **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 12}, "k=12 exceeds the catalogue of 11 items; lower k"),
        ({"k": 0}, "k=0 is out of range"),
        (
            {"users": ["u1", "nobody"]},
            "The interactions lack 1 of 2 users",
        ),
        ({"users": ["u1", "u1"]}, "names a user more than once"),
        ({"users": []}, "give at least one user id"),
        ({"users": 5}, "users=5 is no collection of ids"),
        ({"codes": [1, 1]}, "codes names a user more than once"),
        ({"codes": [-1]}, "codes holds -1"),
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
        (np.ones((5, 2)), np.ones((11, 2)), "queries has 5 rows and the interactions 6 ids"),
        (np.ones((6, 2)), np.ones((11, 3)), r"queries has shape \(6, 2\) and items \(11, 3\)"),
        (np.full((6, 2), np.nan), np.ones((11, 2)), "NaN, infinite or too large"),
        (np.ones((6, 2)), np.full((11, 2), np.inf), "NaN, infinite or too large"),
        (np.full((6, 2), 1e30, np.float32), np.full((11, 2), 1e30, np.float32), "too large to score"),
        (np.full((6, 2), 1e-25, np.float32), np.full((11, 2), 1e-25, np.float32), "vanish in float32"),
        (np.full((6, 2), 1e-170), np.full((11, 2), 1e-170), "vanish in float64"),
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


PLAIN = np.random.default_rng(1).integers(-3, 4, (6, 4)).astype(float), np.arange(44.0).reshape(11, 4) % 7


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[:, ::-1].copy()[:, ::-1],
        lambda m: np.repeat(m, 2, axis=0)[::2],
        np.asfortranarray,
        lambda m: m.astype(">f8"),
        lambda m: m.astype(">f4"),
        lambda m: m.astype("<i2"),
        lambda m: m.astype(np.float16),
        lambda m: m.astype(np.longdouble),
        lambda m: m.tolist(),
        lambda m: torch.tensor(m).bfloat16(),
        lambda m: torch.tensor(m).half(),
        lambda m: torch.tensor(m, requires_grad=True),
        lambda m: torch.tensor(m).T.contiguous().T,
    ],
)
def test_factors_of_any_layout_and_type_give_the_same_lists(change):
    train, _ = world()
    expected = recommend(PLAIN, train, k=4).items
    changed = tuple(change(m) for m in PLAIN)
    np.testing.assert_array_equal(recommend(changed, train, k=4).items, expected)
    np.testing.assert_array_equal(recommend(changed, train, k=4, device=torch.device("cpu")).items, expected)
    np.testing.assert_array_equal(recommend((changed[0], PLAIN[1]), train, k=4).items, expected)


@pytest.mark.parametrize(
    "queries", [None, "abc", PLAIN[0].astype(str), PLAIN[0].astype(object), PLAIN[0] + 1j, [[1.0], [1.0, 2.0]], 5.0]
)
def test_what_is_no_matrix_of_numbers_is_named(queries):
    train, _ = world()
    with pytest.raises(InvalidInputError, match=r"queries is an? .*; give a dense matrix of real numbers"):
        recommend((queries, PLAIN[1]), train)


@pytest.mark.parametrize("model", [None, 5, PLAIN[0], (PLAIN[0],)])
def test_what_is_no_model_and_no_pair_is_refused(model):
    with pytest.raises(InvalidInputError, match="give Vectors, or two factors"):
        recommend(model, world()[0])


def test_masked_factors_are_refused():
    masked = np.ma.masked_array(PLAIN[0], mask=PLAIN[0] == 3)
    with pytest.raises(InvalidInputError, match="queries is a MaskedArray"):
        recommend((masked, PLAIN[1]), world()[0])


class Wrapped(torch.nn.Module):
    """Two factors as a stranger's model: no attributes of ours."""

    def __init__(self, queries, items):
        super().__init__()
        self.of_users, self.of_items = (torch.nn.Embedding.from_pretrained(torch.tensor(m)) for m in (queries, items))

    def forward(self, users):
        return Vectors(self.of_users(users), self.of_items.weight)


ADAPTERS = {
    "function of arrays": lambda users: Vectors(PLAIN[0][users], PLAIN[1]),
    "function of tensors": lambda users: (torch.tensor(PLAIN[0])[users], torch.tensor(PLAIN[1])),
    "reversed arrays": lambda users: (PLAIN[0][:, ::-1][users], PLAIN[1][:, ::-1]),
    "module": Wrapped(*PLAIN),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_is_a_model(name):
    adapter = ADAPTERS[name]
    train, _ = world()
    lists = recommend(adapter, train, users=["u4", "u0"], k=3)
    np.testing.assert_array_equal(lists.items, recommend(PLAIN, train, k=3).items[[4, 0]])
    queries, items = vectors(adapter, interactions=train, batch_size=4)
    assert np.array_equal(queries @ items.T, PLAIN[0] @ PLAIN[1].T)
    with pytest.raises(InvalidInputError, match=r"does not say of how many users it is \(n_users\); give inter"):
        vectors(adapter)


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (lambda users: PLAIN[0], "returned an ndarray; return Vectors"),
        (lambda users: None, "returned a NoneType; return Vectors"),
        (lambda users: (PLAIN[0], PLAIN[1]), r"returned queries of shape \(6, 4\) for 2 users"),
        (lambda users: (PLAIN[0][users], PLAIN[1][:5]), "items has 5 rows and the interactions 11 items"),
        (lambda users: (["a", "b"], PLAIN[1]), "What <lambda> returned: queries is a list"),
        (lambda users: (np.nan * PLAIN[0][users], PLAIN[1]), "What <lambda> returned: queries holds values that are"),
        (
            lambda users, items: 0,
            "not called with users alone: missing a required argument: 'items'. Where scores are inner",
        ),
    ],
)
def test_an_adapter_that_returns_something_else_is_refused(adapter, message):
    with pytest.raises(InvalidInputError, match=message):
        recommend(adapter, world()[0], codes=[0, 1])


def test_frames_and_matrices_are_interactions():
    train, _ = world()
    expected = recommend(PLAIN, train, k=3)
    as_matrix = recommend(PLAIN, train.matrix, k=3)
    np.testing.assert_array_equal(as_matrix.items, expected.items)
    assert as_matrix.item_ids.tolist() == list(range(11))
    full = Interactions(train.user_ids, train.item_ids, *(c.astype(np.int32) for c in np.nonzero(np.eye(6, 11) + 1)))
    from_frame = recommend(PLAIN, full.to_polars(), k=3, exclude_seen=False)
    assert from_frame.to_polars().equals(recommend(PLAIN, full, k=3, exclude_seen=False).to_polars())
    with pytest.raises(InvalidInputError, match="not a frame"):
        recommend(PLAIN, None)


@pytest.mark.parametrize("matrix", ["queries", "items"])
def test_vectors_of_a_model_that_diverged_are_refused(matrix):
    made = {"queries": torch.ones(6, 2), "items": torch.ones(11, 2)}
    made[matrix][3, 1] = np.nan
    with pytest.raises(InvalidInputError, match=f"{matrix} holds values that are NaN or infinite; check that training"):
        vectors(lambda users: Vectors(made["queries"][users], made["items"]), interactions=world()[0])


def test_parts_of_a_large_catalogue_give_the_lists_of_whole_blocks(monkeypatch):
    assert list(ranking._parts(700, 512, 96)) == [
        slice(0, 96), slice(96, 192), slice(192, 288), slice(288, 384), slice(384, 512), slice(512, 700),
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    queries, items = (rng.normal(size=(n, 16)).astype(np.float32) for n in (700, 5000))
    known = Interactions(np.arange(700), np.arange(5000), rng.integers(700, size=4000), rng.integers(5000, size=4000))
    found = ranking.recommend((queries, items), known, k=10)
    monkeypatch.setattr(ranking, "_CACHED", 1 << 40)
    whole = ranking.recommend((queries, items), known, k=10)
    np.testing.assert_array_equal(found.items, whole.items)
    np.testing.assert_allclose(found.scores, whole.scores, rtol=1e-5)


def test_models_that_are_no_vectors_of_all_items_are_refused_with_their_name():
    train, _ = world()
    table = torch.nn.Embedding(4, 2)  # of 6 users

    def few(users):
        return Vectors(table(users), torch.ones(11, 2))

    def of_batch(users):
        queries = torch.eye(6)[users, :2]
        return Vectors(queries, torch.ones(11, 2) + queries.mean(0))

    def named(users):
        return {"queries": torch.ones(len(users), 2), "items": torch.ones(11, 2)}

    for model, problem in (
        (few, "few has no row for one of the codes 0 to 5"),
        (named, "named returned a dict; return Vectors"),
        (of_batch, "of_batch returned other items for other users"),
    ):
        with pytest.raises(InvalidInputError, match=problem):
            vectors(model, interactions=train, batch_size=6 if model is few else 2)
