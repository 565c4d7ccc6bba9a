"""Every model, with every loss, on a world in which the right answer is known.

Even users like even items and odd users odd ones; the item with the user's own number is withheld. A model that has
learned anything recommends just that item first, and everything of the right parity before anything of the wrong one.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from headtail import models
from headtail.datasets import checkerboard
from headtail.losses import bce, bpr, mse, sampled_softmax
from headtail.models import MODELS
from headtail.penalties import ReSN
from headtail.training import fit, inputs, load_model, recommend, save_model, vectors

N = 30

SIZES = {
    "als": {},
    "lightgcn": {"n_layers": 2},
    "mf": {},
    "sasrec": {"max_length": 8, "n_layers": 1, "n_heads": 1, "inner_dim": 16, "dropout": 0},
    # The contrast tells users of one taste apart, who are all alike here: little of it.
    "xsimgcl": {"contrast_weight": 0.01},
}
# Trained by gradients, with any loss; the others are solved for, and have one loss.
BY_GRADIENT = ("lightgcn", "mf", "sasrec", "xsimgcl")

LOSSES = {
    "bpr": bpr,
    "bce": bce,
    "mse": mse,
    "mse_sigmoid": partial(mse, link="sigmoid"),
    "sampled_softmax": sampled_softmax,
}

COMBINATIONS = [*((name, loss) for name in BY_GRADIENT for loss in LOSSES), ("als", "its own")]


def build(name, train):
    return MODELS[name].for_data(train, rng=0, embedding_dim=8, **SIZES[name])


@pytest.fixture(scope="module")
def train():
    board = checkerboard(N, N).train
    return replace(board, order=np.random.default_rng(0).permutation(len(board)))  # for models of sequences


@pytest.fixture(scope="module")
def trained(train):
    """One trained model a combination, for all tests."""
    made = {}

    def get(name, loss, penalties=()):
        key = name, loss, penalties
        if key not in made:
            settings = {}
            if name in BY_GRADIENT:
                settings = {"n_negatives": 4, "epochs": 60, "batch_size": 64, "weight_decay": 0, "rng": 0}
                settings["lr"] = 0.005 if name == "sasrec" else 0.02  # for weights of layers, and for rows of a table
                settings["loss"] = LOSSES[loss]
            made[key] = build(name, train)
            fit(made[key], train, penalties=penalties, **settings)
        return made[key]

    return get


def test_every_model_is_here():
    assert SIZES.keys() == MODELS.keys()
    classes = {made for name in models.__all__ if isinstance(made := getattr(models, name), type)}
    assert classes - set(MODELS.values()) == {models.MACR, models.SPRINT}  # trainings of one of the others
    assert [name for name, made in MODELS.items() if made.needs_order] == ["sasrec"]


@pytest.mark.parametrize("name", MODELS)
def test_with_its_usual_training_the_withheld_item_comes_first(train, name):
    """Only batches are smaller for a world of so few pairs, and SASRec stops before it knows all of them by heart."""
    model = build(name, train)
    few = {"batch_size": 64} if name in BY_GRADIENT else {}
    few |= {"epochs": 50} if name == "sasrec" else {}
    history = fit(model, train, rng=0, **few)
    np.testing.assert_array_equal(recommend(model, train, k=1).items[:, 0], np.arange(N))
    assert history.settings["model.model"] == type(model).__name__
    for key, value in model.usual.items():
        if key in history.settings and key not in (*few, "loss"):
            assert history.settings[key] == value
    if name in BY_GRADIENT:
        assert history.settings["loss"].endswith(model.usual["loss"].__name__)


@pytest.mark.parametrize(("name", "loss"), COMBINATIONS)
def test_the_withheld_item_comes_first(trained, train, name, loss):
    lists = recommend(trained(name, loss), train, k=3)
    np.testing.assert_array_equal(lists.items[:, 0], np.arange(N))
    # Of what the user has not seen only the withheld item is of the user's parity.
    assert ((lists.items[:, 1:] - np.arange(N)[:, None]) % 2 == 1).all()


@pytest.mark.parametrize(("name", "loss"), COMBINATIONS)
def test_all_items_of_the_right_parity_come_before_the_others(trained, train, name, loss):
    lists = recommend(trained(name, loss), train, k=N, exclude_seen=False)
    wrong = (lists.items - np.arange(N)[:, None]) % 2
    assert (np.diff(wrong, axis=1) >= 0).all()


@pytest.mark.parametrize(("form", "loss"), [("linear", "bpr"), ("linear", "mse"), ("sigmoid", "bce")])
@pytest.mark.parametrize("name", BY_GRADIENT)
def test_a_mild_penalty_lowers_the_spectral_norm_and_keeps_the_answer(trained, train, name, form, loss):
    plain, held = trained(name, loss), trained(name, loss, (ReSN(1e-3, form),))
    lists = recommend(held, train, k=1)
    np.testing.assert_array_equal(lists.items[:, 0], np.arange(N))
    norms = [ReSN(1).sigma1_squared(*vectors(model, interactions=train)) for model in (held, plain)]
    assert norms[0] < norms[1]


@pytest.mark.parametrize("name", MODELS)
def test_shapes_and_gradients(train, name):
    model = build(name, train)
    queries, items = model(next(inputs(model, train, codes=[0, 3, 3])))
    assert queries.shape == (3, model.embedding_dim)
    assert items.shape == (N, model.embedding_dim)
    torch.testing.assert_close(queries[1], queries[2])
    if name in BY_GRADIENT:
        (queries @ items.T).square().sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_vectors_stay_what_they_were_when_training_goes_on(train, name):
    model = build(name, train)
    found = vectors(model, interactions=train)
    before = [part.clone() for part in found[:2]]
    fit(model, train, epochs=1, rng=0)
    assert all(torch.equal(part, kept) for part, kept in zip(found[:2], before, strict=True))
    found.items.zero_()
    assert vectors(model, interactions=train).items.any(), "the model has weights of its own"


@pytest.mark.parametrize("name", MODELS)
def test_same_seed_same_weights(train, name):
    runs = []
    for _ in range(2):
        model = build(name, train)
        fit(model, train, epochs=3, rng=5)
        runs.append(vectors(model, interactions=train))
    assert torch.equal(runs[0].queries, runs[1].queries)
    assert torch.equal(runs[0].items, runs[1].items)


@pytest.mark.parametrize(("name", "loss"), [("als", "its own"), *((name, "bpr") for name in BY_GRADIENT)])
def test_saved_and_loaded_it_recommends_the_same(trained, train, name, loss, tmp_path):
    model = trained(name, loss)
    loaded = load_model(save_model(model, tmp_path / "model"))
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(recommend(loaded, train, k=5).items, recommend(model, train, k=5).items)


# XSimGCL draws its noise where it lies: another on each device.
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", [name for name in BY_GRADIENT if name != "xsimgcl"])
def test_cuda_trains_like_the_cpu(train, name):
    models = [build(name, train), build(name, train)]
    for model, device in zip(models, ("cpu", "cuda"), strict=True):
        fit(model, train, epochs=5, batch_size=64, rng=0, device=device)
    for ours, theirs in zip(*(vectors(model, interactions=train) for model in models), strict=True):
        torch.testing.assert_close(theirs.cpu(), ours, rtol=1e-3, atol=1e-4)
