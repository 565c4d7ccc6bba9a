"""MACR against the equations, pair by pair; its training, serving and saving."""

import numpy as np
import pytest
import torch

from headtail import losses, recommend
from headtail.datasets import checkerboard, power_law
from headtail.exceptions import InvalidInputError
from headtail.models import ALS, MACR, MF, LightGCN, SASRec, XSimGCL
from headtail.training import fit, load_model, save_model, vectors

WORLD = power_law(60, 30, n_interactions=380, rng=0).interactions


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def naive(model):
    """All scores without the gates, and the gates' inputs of users and of items."""
    q, v = (table.detach().numpy() for table in vectors(model.model, interactions=WORLD)[:2])
    return q @ v.T, q @ model.of_users.detach().numpy()[:, 0], v @ model.of_items.detach().numpy()[:, 0]


@pytest.mark.parametrize("c", [0.0, 1.5])
@pytest.mark.parametrize("make", [lambda: MF(60, 30, 4, rng=0), lambda: LightGCN(WORLD, 4, n_layers=1, rng=0)])
def test_scores_are_those_of_the_paper(make, c):
    model = MACR(make(), c=c, rng=1).double().eval()
    y, n, m = naive(model)
    queries, items = vectors(model, interactions=WORLD)[:2]
    expected = [[(y[u, i] - c) * sigmoid(m[i]) * sigmoid(n[u]) for i in range(30)] for u in range(60)]
    np.testing.assert_allclose((queries @ items.T).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_losses_of_the_gates_are_those_of_the_paper_pair_by_pair():
    model = MACR(MF(60, 30, 4, rng=0), alpha=0.3, beta=0.7, rng=1).double()
    users, rows, candidates = (
        torch.tensor([5, 9]),
        torch.tensor([0, 0, 1]),
        torch.tensor([[3, 4, 4], [2, 7, 1], [3, 0, 2]]),
    )
    _, n, m = naive(model)
    of_items, of_users = [], []
    for row, drawn in zip(rows.tolist(), candidates.tolist(), strict=True):
        for at, item in enumerate(drawn):
            side = 1 if at == 0 else -1  # label 1 for the positive, 0 for others
            of_items.append(-np.log(sigmoid(side * m[item])))
            of_users.append(-np.log(sigmoid(side * n[users[row]])))
    _, loss = model.forward_with_loss(users, rows, candidates)
    assert loss.item() == pytest.approx(0.3 * np.mean(of_items) + 0.7 * np.mean(of_users))


def test_a_loss_of_the_model_within_is_kept():
    model = MACR(XSimGCL(WORLD, 4, rng=0, eps=0.0), alpha=0.0, beta=0.0).double()
    batch = torch.tensor([1, 4]), torch.tensor([0, 1]), torch.tensor([[3, 2], [0, 1]])
    assert model.forward_with_loss(*batch)[1] == model.model.forward_with_loss(*batch)[1] > 0


def test_c_holds_down_what_all_like():
    """The gates learn popularity, and a higher c takes it out of the lists, from one set of weights."""
    model = MACR(MF(60, 30, 8, rng=0), alpha=1.0)
    history = fit(
        model, WORLD, n_negatives=1, loss=losses.bce, epochs=20, batch_size=256, lr=0.05, weight_decay=1e-5, rng=0
    )
    assert history.rows[-1]["auxiliary"] < history.rows[0]["auxiliary"]
    assert np.corrcoef(naive(model)[2], np.log1p(WORLD.popularity))[0, 1] > 0.9
    shown = [WORLD.popularity[recommend(model.at(c), WORLD, k=5).items].mean() for c in (0.0, 2.0, 8.0)]
    assert shown[0] > shown[1] > shown[2]


def test_saved_and_loaded_with_the_model_within(tmp_path):
    train = checkerboard(14, 10).train
    model = MACR(LightGCN(train, 4, n_layers=1, rng=0), c=2.0, alpha=0.1, rng=3).eval()
    again = load_model(save_model(model, tmp_path / "macr"))
    assert again.config == model.config and again.config["of"]["model"] == "LightGCN"
    users = torch.arange(14)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model(users)[:2], again(users)[:2], strict=True))


@pytest.mark.parametrize(
    "model", [ALS(60, 30, 4), SASRec(30, 5, 4), torch.nn.Linear(2, 2)], ids=lambda m: type(m).__name__
)
def test_refuses_what_does_not_learn_from_users_and_negatives(model):
    with pytest.raises(InvalidInputError, match=f"{type(model).__name__} is not a model that learns of users"):
        MACR(model)
