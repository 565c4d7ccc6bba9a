"""LightGCN against dense matrices."""

import numpy as np
import pytest
import torch

from headtail.data import Interactions
from headtail.datasets import checkerboard
from headtail.exceptions import CheckpointMismatchError, InvalidInputError
from headtail.models import LightGCN, XSimGCL
from headtail.models.lightgcn import Graph
from headtail.training import fit, load_model, save_model, vectors


def skewed(seed=0, n=12, m=9):
    """Random pairs; the last user and the last item have none."""
    met = np.random.default_rng(seed).random((n, m)) < 0.4
    met[-1], met[:, -1] = False, False
    users, items = np.nonzero(met)
    order = np.random.default_rng(seed).permutation(len(users))
    return Interactions(np.arange(n), np.arange(m), users[order].astype(np.int32), items[order].astype(np.int32))


def dense(train):
    """The normalized adjacency of all nodes, users first; 1 on the diagonal of nodes without neighbors."""
    met = torch.tensor(train.matrix.toarray(), dtype=torch.float64)
    n, m = met.shape
    whole = torch.zeros(n + m, n + m, dtype=torch.float64)
    whole[:n, n:], whole[n:, :n] = met, met.T
    degree = whole.sum(dim=1)
    scale = torch.where(degree > 0, degree, 1).rsqrt()
    return scale[:, None] * whole * scale + torch.diag((degree == 0).double())


@pytest.mark.parametrize("n_layers", [1, 2, 3])
def test_values_and_gradients_equal_dense_propagation(n_layers):
    train = skewed()
    model = LightGCN(train, 4, n_layers, rng=0).double()
    queries, items = model(torch.arange(train.n_users))
    start = torch.cat([model.users, model.items])
    adjacency = dense(train)
    layers = [start]
    for _ in range(n_layers):
        layers.append(adjacency @ layers[-1])
    expected = sum(layers) / (n_layers + 1)
    torch.testing.assert_close(torch.cat([queries, items]), expected, rtol=1e-12, atol=1e-14)
    weights = torch.tensor(np.random.default_rng(1).normal(size=expected.shape))
    ours = torch.autograd.grad((torch.cat([queries, items]) * weights).sum(), list(model.parameters()))
    theirs = torch.autograd.grad((expected * weights).sum(), list(model.parameters()))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_a_step_by_hand():
    # User 0 met items 0 and 1, user 1 met item 1: a step divides by the roots of both numbers of neighbors.
    train = Interactions(np.arange(2), np.arange(2), np.array([0, 0, 1], np.int32), np.array([0, 1, 1], np.int32))
    users, items = Graph(train)(torch.tensor([[1.0], [10.0]]), torch.tensor([[2.0], [4.0]]))
    np.testing.assert_allclose(users, [[2 / 2**0.5 + 4 / 2], [4 / 2**0.5]], rtol=1e-6)
    np.testing.assert_allclose(items, [[1 / 2**0.5], [1 / 2 + 10 / 2**0.5]], rtol=1e-6)


def test_gradient_is_the_numerical_one():
    train = skewed()
    tables = [torch.randn(size, 2, dtype=torch.float64, requires_grad=True) for size in (train.n_users, train.n_items)]
    assert torch.autograd.gradcheck(Graph(train), tables)


@pytest.mark.parametrize("kind", [LightGCN, XSimGCL])
def test_users_and_items_without_interactions_keep_their_own_vectors(kind):
    train = skewed()
    model = kind(train, 4, rng=0)
    queries, items = vectors(model)
    torch.testing.assert_close(queries[-1], model.users[-1].detach())
    torch.testing.assert_close(items[-1], model.items[-1].detach())
    fit(model, train, epochs=2, rng=0)
    queries, items = vectors(model)
    assert torch.isfinite(queries).all()
    assert torch.isfinite(items).all()


def test_initialization_and_seeds():
    train = checkerboard(200, 200).train
    before = torch.get_rng_state()
    first, second, third = (LightGCN(train, 50, rng=seed) for seed in (3, 3, 4))
    for table in (first.users, first.items):
        assert table.std().item() == pytest.approx(0.1, rel=0.02)
        assert table.mean().item() == pytest.approx(0, abs=0.005)
    assert torch.equal(first.users, second.users)
    assert not torch.equal(first.users, third.users)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", [LightGCN, XSimGCL])
def test_the_graph_is_saved_with_the_weights(kind, tmp_path):
    train = skewed()
    model = kind(train, 4, rng=0)
    loaded = load_model(save_model(model, tmp_path / "model"))
    assert loaded.config == model.config
    for ours, theirs in zip(vectors(model), vectors(loaded), strict=True):
        assert torch.equal(ours, theirs)


def test_weights_of_another_graph_do_not_fit(tmp_path):
    train = skewed()
    model = LightGCN(train, 4, rng=0)
    other = LightGCN(train.subset(np.arange(len(train) - 1)), 4, rng=0)
    other.config = model.config
    with pytest.raises(CheckpointMismatchError, match=r"graph\.user_met"):
        load_model(save_model(other, tmp_path / "model"))


@pytest.mark.parametrize("kind", [LightGCN, XSimGCL])
def test_a_run_that_is_cut_off_resumes_to_the_same_result(kind, tmp_path):
    train = checkerboard(20, 20).train
    settings = {"batch_size": 32, "eval_every": 2, "rng": 0}
    whole, parts = kind(train, 4, rng=0), kind(train, 4, rng=0)
    fit(whole, train, epochs=6, **settings)
    fit(parts, train, epochs=2, checkpoint=tmp_path / "run", **settings)
    again = kind(train, 4, rng=1)
    fit(again, train, epochs=6, checkpoint=tmp_path / "run", **settings)
    for ours, theirs in zip(vectors(whole), vectors(again), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "settings", [{"embedding_dim": 0}, {"n_layers": 0}, {"n_layers": 1.5}, {"n_layers": 2**31 - 1}]
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(InvalidInputError, match="at least 1"):
        LightGCN(skewed(), **settings)


def test_an_empty_graph_is_refused():
    with pytest.raises(InvalidInputError, match="train holds no interactions, so there is no graph"):
        LightGCN(skewed().subset(np.array([], dtype=int)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_the_cpu():
    train = skewed()
    model = LightGCN(train, 4, rng=0)
    ours = vectors(model)
    for a, b in zip(vectors(model, device="cuda"), ours, strict=True):
        torch.testing.assert_close(a.cpu(), b)
