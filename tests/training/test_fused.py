"""The step that numba compiles: torch's own to rounding, and only where a model is nothing but its two tables."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from runs import StoppedError, same, stop_at, weights

import headtail as ht
from headtail.datasets import power_law
from headtail.exceptions import InvalidInputError
from headtail.training import fused

TRAIN = power_law(40, 20, n_interactions=200, rng=0).interactions
WEIGHTS = np.linspace(0.5, 2, TRAIN.n_items)
HOW = {
    "bpr": {"loss": ht.losses.bpr, "n_negatives": 1, "batch_size": 64},
    "four negatives": {"batch_size": 64},
    "weighted": {"loss": ht.losses.bpr, "batch_size": 64, "item_weights": WEIGHTS},
    "rows of both tables": {"epochs": 1, "loss": ht.losses.bpr, "n_negatives": 1, "batch_size": 2},
    "a penalty now and then": {"batch_size": 32, "penalties": [ht.ReSN(0.01)], "penalty_every": 2},
}


@pytest.fixture(
    params=[
        "as they are",
        pytest.param("compiled", marks=pytest.mark.skipif(not find_spec("numba"), reason="needs numba")),
    ]
)
def loops(request, monkeypatch):
    """The loops as Python runs them, and as numba compiles them."""
    if request.param == "as they are":
        monkeypatch.setattr(fused, "_numba", lambda: True)
        monkeypatch.setattr(fused, "_compiled", lambda loop: loop)


def trained(epochs=3, **more):
    model = ht.MF.for_data(TRAIN, embedding_dim=5, rng=0)
    return model, ht.fit(model, TRAIN, epochs=epochs, rng=0, progress=False, **more)


@pytest.mark.parametrize("how", HOW)
def test_it_is_torchs_step_to_rounding(loops, monkeypatch, how):
    calls = []
    step = fused.Step.__call__
    monkeypatch.setattr(fused.Step, "__call__", lambda *args: calls.append(1) or step(*args))
    own, history = trained(**HOW[how])
    assert calls
    monkeypatch.setattr(fused, "_numba", lambda: None)
    n_calls = len(calls)
    plain, expected = trained(**HOW[how])
    assert len(calls) == n_calls
    for name, weight in own.state_dict().items():
        torch.testing.assert_close(weight, plain.state_dict()[name], rtol=1e-3, atol=2e-5)
    for row, other in zip(history.rows, expected.rows, strict=True):
        assert {**row, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-4)


def test_a_loss_that_reads_the_tables_counts_whole_or_is_refused(loops, monkeypatch):
    def trained(batch_size):
        model = ht.MF.for_data(TRAIN, embedding_dim=5, rng=0)
        loss = lambda positive, negative: ht.losses.bpr(positive, negative) + 0.1 * model.items.square().sum()  # noqa: E731
        ht.fit(model, TRAIN, loss=loss, n_negatives=1, batch_size=batch_size, epochs=3, rng=0, progress=False)
        return model.items

    own = trained(64)
    with pytest.raises(InvalidInputError, match="reads a large table"):
        trained(2)
    monkeypatch.setattr(fused, "_numba", lambda: None)
    torch.testing.assert_close(own, trained(64), rtol=1e-3, atol=2e-5)
    with pytest.raises(InvalidInputError, match="reads a large table"):
        trained(2)


def test_a_resumed_run_is_that_of_one_that_never_stopped(loops, tmp_path):
    whole, _ = trained(4, eval_every=1)
    with pytest.raises(StoppedError):
        trained(4, eval_every=1, checkpoint=tmp_path, callbacks=[stop_at(3)])
    resumed, _ = trained(4, eval_every=1, checkpoint=tmp_path)
    assert same(weights(resumed), weights(whole))


class Normalized(ht.MF):
    def forward(self, users):
        queries, items = super().forward(users)
        return ht.Vectors(queries / queries.norm(dim=1, keepdim=True), items)


def changed(model, change):
    change(model)
    return model


@pytest.mark.parametrize(
    "model",
    [
        Normalized(4, 6, 2, rng=0),
        ht.MF(4, 6, 2, rng=0).double(),
        changed(ht.MF(4, 6, 2, rng=0), lambda m: m.items.requires_grad_(False)),
        changed(ht.MF(4, 6, 2, rng=0), lambda m: setattr(m, "query", torch.nn.Tanh())),
        changed(ht.MF(4, 6, 2, rng=0), lambda m: m.item.register_forward_hook(lambda *_: None)),
        ht.models.MACR(ht.MF(4, 6, 2, rng=0), rng=0),
    ],
    ids=["a forward of its own", "float64", "frozen", "a layer between", "a hook", "more tables"],
)
def test_what_is_more_than_two_tables_goes_torchs_way(loops, model):
    assert fused.fits(ht.MF(4, 6, 2, rng=0))
    assert not fused.fits(model)


def test_loops_are_compiled_where_they_cannot_be_kept(monkeypatch):
    class Numba:
        @staticmethod
        def njit(cache=False, **options):
            if cache:
                raise RuntimeError("cannot cache function: no locator available")
            return lambda loop: ("compiled", loop)

    monkeypatch.setattr(fused, "_numba", Numba)
    monkeypatch.setattr(fused, "_compiled", fused._compiled.__wrapped__)
    assert fused._compiled(len) == ("compiled", len)
