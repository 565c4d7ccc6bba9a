"""XSimGCL against dense matrices, its noise and its contrastive loss."""

import numpy as np
import pytest
import torch

from headtail.datasets import checkerboard
from headtail.exceptions import InvalidInputError
from headtail.models import XSimGCL
from headtail.training import fit, vectors

TRAIN = checkerboard(14, 10).train


def propagated(model, n_layers=2):
    """The layers without noise, by dense matrices: a pair of tables for each layer."""
    met = torch.tensor(TRAIN.matrix.toarray(), dtype=torch.float64)
    met = met / met.sum(dim=1, keepdim=True).sqrt() / met.sum(dim=0).sqrt()
    layers = [(model.users, model.items)]
    for _ in range(n_layers):
        layers.append((met @ layers[-1][1], met.T @ layers[-1][0]))
    return layers[1:]


def info_nce(final, other, temperature):
    """The formula of the docstring, pair by pair."""
    unit = [table / table.norm(dim=1, keepdim=True) for table in (final, other)]
    losses = []
    for i in range(len(final)):
        scores = torch.stack([unit[0][i] @ unit[1][j] for j in range(len(final))]) / temperature
        losses.append(-(scores[i].exp() / scores.exp().sum()).log())
    return torch.stack(losses).mean()


def test_outside_training_it_is_the_mean_of_the_layers_without_the_start():
    model = XSimGCL(TRAIN, 4, rng=0).double().eval()
    layers = propagated(model)
    queries, items = model(torch.arange(14))
    torch.testing.assert_close(queries, sum(users for users, _ in layers) / 2, rtol=1e-12, atol=0)
    torch.testing.assert_close(items, sum(items for _, items in layers) / 2, rtol=1e-12, atol=0)


@pytest.mark.parametrize("contrast_layer", [1, 2])
def test_contrastive_loss_and_its_gradient_equal_the_naive_formula(contrast_layer):
    settings = {"eps": 0, "contrast_layer": contrast_layer, "temperature": 0.3, "contrast_weight": 0.7}
    model = XSimGCL(TRAIN, 4, rng=0, **settings).double()
    users, positives = torch.tensor([1, 4, 9]), torch.tensor([3, 0, 3, 7, 0])
    candidates = torch.stack([positives, positives.flip(0)], dim=1)
    found, loss = model.forward_with_loss(users, torch.arange(5) % 3, candidates)
    layers = propagated(model)
    final = [sum(tables) / 2 for tables in zip(*layers, strict=True)]
    contrast = layers[contrast_layer - 1]
    kept = torch.tensor([0, 3, 7])
    expected = 0.7 * (
        info_nce(final[0][users], contrast[0][users], 0.3) + info_nce(final[1][kept], contrast[1][kept], 0.3)
    )
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.queries, final[0][users])
    parameters = list(model.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_noise_has_the_length_eps_and_the_signs_of_the_vector():
    model = XSimGCL(TRAIN, 4, eps=0.3, rng=0)
    table = torch.randn(50, 4)
    noise = model._noisy(table) - table
    torch.testing.assert_close(noise.norm(dim=1), torch.full((50,), 0.3))
    assert ((noise * table) >= 0).all()


def test_noise_only_in_training():
    model = XSimGCL(TRAIN, 4, rng=0)
    users = torch.arange(3)
    assert not torch.equal(model(users).queries, model(users).queries)
    model.eval()
    assert torch.equal(model(users).queries, model(users).queries)
    assert torch.equal(model(users).items, vectors(model.train()).items)


def test_training_reports_the_contrastive_loss_and_lowers_it():
    model = XSimGCL(TRAIN, 4, contrast_layer=1, rng=0)
    history = fit(model, TRAIN, epochs=30, batch_size=32, lr=0.02, rng=0)
    losses = [row["auxiliary"] for row in history.rows]
    assert losses[-1] < losses[0]
    assert "auxiliary" in history.to_markdown()


def test_without_contrast_and_noise_training_is_plain():
    plain = XSimGCL(TRAIN, 4, eps=0, contrast_weight=0, rng=0)
    history = fit(plain, TRAIN, epochs=2, rng=0)
    assert [row["auxiliary"] for row in history.rows] == [0, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"contrast_layer": 3}, "contrast_layer=3 is out of range"),
        ({"contrast_layer": 0}, "contrast_layer=0 is out of range"),
        ({"eps": -0.1}, "eps=-0.1 is out of range"),
        ({"temperature": 0}, "temperature=0 is out of range"),
        ({"contrast_weight": np.nan}, "contrast_weight=nan is out of range"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        XSimGCL(TRAIN, 4, **settings)
