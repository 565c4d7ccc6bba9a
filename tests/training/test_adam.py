"""Adam by rows: torch's dense Adam, step for step, and rows that are up to date whenever they are read."""

from functools import partial

import numpy as np
import pytest
import torch

from headtail.datasets import power_law
from headtail.losses import bpr
from headtail.models import MF
from headtail.penalties import ReSN
from headtail.sae import Steered
from headtail.training import fit, passes
from headtail.training.adam import Adam, _put
from headtail.training.batches import Distinct

SHAPE, STEPS = (60, 3), 120
START = torch.from_numpy(np.random.default_rng(1).normal(0, 0.1, SHAPE)).float()


def gradients(seed=0):
    """Yield, step by step, a few rows and their gradients; the first ten rows never come."""
    rng = np.random.default_rng(seed)
    for _ in range(STEPS):
        codes = np.sort(rng.choice(np.arange(10, SHAPE[0]), 5, replace=False))
        yield codes, torch.from_numpy(rng.normal(0, 1e-3, (5, SHAPE[1]))).float()


def dense(**settings):
    """Torch's own Adam with a gradient of the whole table at every step; yields the table after each."""
    table = torch.nn.Parameter(START.clone())
    optimizer = torch.optim.Adam([table], **settings)
    for codes, slope in gradients():
        table.grad = torch.zeros_like(table)
        table.grad[codes] = slope
        optimizer.step()
        yield table.detach().clone()


def by_rows(**settings):
    table = torch.nn.Parameter(START.clone())
    return table, Adam([table], [table], **settings)


@pytest.mark.parametrize("fused", [True, False])
def test_without_weight_decay_every_row_is_adams_when_it_is_read(fused):
    settings = {"lr": 0.01, "eps": 1e-15, "fused": fused}
    table, optimizer = by_rows(**settings)
    before = START
    for (codes, slope), after in zip(gradients(), dense(**settings), strict=True):
        rows = optimizer.rows(table, codes)
        torch.testing.assert_close(rows.detach(), before[codes], rtol=2e-5, atol=1e-6)
        rows.grad = slope
        optimizer.step()
        before = after
    optimizer.refresh()
    torch.testing.assert_close(table.detach(), before, rtol=2e-5, atol=1e-6)


def test_with_weight_decay_it_stays_near_to_adam_and_rows_without_a_gradient_go_to_zero():
    settings = {"lr": 1e-3, "weight_decay": 1e-4}
    table, optimizer = by_rows(**settings)
    for codes, slope in gradients():
        optimizer.rows(table, codes).grad = slope
        optimizer.step()
    optimizer.refresh()
    *_, expected = dense(**settings)
    moved = (expected - START)[10:].norm()
    assert (table.detach() - expected)[10:].norm() < 0.1 * moved
    # Adam moves a row that has met nothing but weight decay by lr a step, towards 0 and then about it.
    torch.testing.assert_close(
        table.detach()[:10], START[:10] * (-0.001 * STEPS / START[:10].abs()).exp(), rtol=0.1, atol=1e-4
    )


def test_a_step_of_the_whole_table_follows_one_of_rows():
    """As where a penalty, in one batch of so many, has a gradient for every item."""
    settings = {"lr": 0.01, "eps": 1e-15}
    table, optimizer = by_rows(**settings)
    for step, (codes, slope) in enumerate(gradients()):
        if step % 3:
            optimizer.rows(table, codes).grad = slope
        else:
            optimizer.refresh(table)
            table.grad = torch.zeros_like(table)
            table.grad[codes] = slope
        optimizer.step()
        optimizer.zero_grad()
    optimizer.refresh()
    *_, expected = dense(**settings)
    torch.testing.assert_close(table.detach(), expected, rtol=2e-5, atol=1e-6)


def test_distinct_codes_and_places_put_an_array_together_again():
    codes = np.random.default_rng(0).integers(50, size=(40, 3))
    distinct = Distinct(50)
    for part in (codes, codes[:7]):
        chosen, places = distinct(part)
        np.testing.assert_array_equal(chosen[places], part)
        np.testing.assert_array_equal(chosen, np.unique(part))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rows_of_a_table_are_put_as_torch_puts_them(dtype):
    table, codes, rows = START.to(dtype), np.array([1, 7, 50]), torch.full((3, 3), 0.3, dtype=dtype)
    expected = table.clone().index_copy_(0, torch.from_numpy(codes), rows)
    _put(table, codes, rows)
    torch.testing.assert_close(table, expected, rtol=0, atol=0)


@pytest.mark.parametrize("penalty_every", [None, 1, 4])
def test_fit_is_the_same_by_rows_and_by_whole_tables(monkeypatch, penalty_every):
    train = power_law(300, 200, n_interactions=1500, rng=0).interactions
    how = {} if penalty_every is None else {"penalties": [ReSN(1e-2)], "penalty_every": penalty_every}
    run = partial(fit, loss=bpr, n_negatives=1, weight_decay=0, batch_size=20, epochs=2, rng=0, **how)
    found = []
    for large in (2, 1e9):
        monkeypatch.setattr(passes, "_LARGE", large)
        model = MF(train.n_users, train.n_items, 4, rng=0)
        loss = run(model, train).rows[-1]["loss"]
        found.append((loss, model.users.detach(), model.items.detach()))
    (loss, users, items), (expected, *tables) = found
    assert loss == pytest.approx(expected, rel=1e-3)
    for own, whole in zip((users, items), tables, strict=True):
        assert (own - whole).norm() < 0.02 * whole.norm()
        assert not torch.equal(own, whole)  # the rows were taken indeed


def test_a_run_by_rows_resumes_to_the_bit(tmp_path):
    train = power_law(300, 200, n_interactions=1500, rng=0).interactions
    run = partial(fit, train=train, batch_size=20, n_negatives=1, eval_every=1, rng=0)
    whole, resumed = (MF(train.n_users, train.n_items, 4, rng=0) for _ in range(2))
    run(whole, epochs=3)
    run(resumed, epochs=1, checkpoint=tmp_path)
    run(resumed, epochs=3, checkpoint=tmp_path)
    assert torch.equal(whole.users, resumed.users)
    assert torch.equal(whole.items, resumed.items)


def test_gradients_that_a_model_comes_with_do_not_count():
    world = power_law(40, 30, n_interactions=200, rng=0).interactions
    models = MF(40, 30, 4, rng=0), MF(40, 30, 4, rng=0)
    for weights in models[0].parameters():
        weights.grad = torch.ones_like(weights)
    for model in models:
        fit(model, world, epochs=2, weight_decay=0, rng=0, progress=False)
    assert torch.equal(models[0].items, models[1].items)
    assert models[0].items.grad is None


class Centred(torch.nn.Module):
    def forward(self, items):
        return items - items.mean(dim=0)


def centred(model):
    model.item = Centred()


def hooked(model):
    model.item.register_forward_hook(lambda _, args, out: out - out.mean(dim=0))


def frozen(model):
    model.users.requires_grad_(False)


def parametrized(model):
    torch.nn.utils.parametrize.register_parametrization(model, "users", torch.nn.Tanh())


CHANGES = {
    "a layer after the items": (centred, lambda model: model),
    "a hook": (hooked, lambda model: model),
    "frozen users": (frozen, lambda model: model),
    "users computed of others": (parametrized, lambda model: model),
    "a wrapper": (lambda model: None, lambda model: Steered(model, torch.nn.Tanh())),
}


@pytest.mark.parametrize("name", CHANGES)
def test_models_whose_tables_are_not_what_they_return_train_whole(monkeypatch, name):
    train, found = power_law(200, 160, n_interactions=400, rng=0).interactions, []
    change, wrap = CHANGES[name]
    for large in (passes._LARGE, 10**9):
        monkeypatch.setattr(passes, "_LARGE", large)
        model = MF(200, 160, 4, rng=0)
        change(model)
        fit(wrap(model), train, epochs=2, batch_size=4, lr=0.01, weight_decay=0, rng=0)
        found.append([weights.detach() for weights in model.parameters()])
    for own, whole in zip(*found, strict=True):
        assert (own - whole).norm() < 0.05 * whole.norm()
    if name == "frozen users":
        assert torch.equal(found[0][0], MF(200, 160, 4, rng=0).users)
