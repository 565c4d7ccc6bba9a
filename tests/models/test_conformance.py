"""Every model, with every loss, on a world in which the right answer is known.

Even users like even items and odd users odd ones; the item with the user's own number is withheld. A model that has
learned anything recommends just that item first, and everything of the right parity before anything of the wrong one.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from headtail.datasets import checkerboard
from headtail.exceptions import InvalidInputError
from headtail.losses import bce, bpr, mse, sampled_softmax
from headtail.models import ALS, MF, MODELS, LightGCN, SASRec, XSimGCL
from headtail.penalties import ReSN
from headtail.training import fit, inputs, load_model, recommend, save_model, vectors

N = 30

BUILD = {
    "ALS": lambda train: ALS(train.n_users, train.n_items, embedding_dim=8, rng=0),
    "LightGCN": lambda train: LightGCN(train, embedding_dim=8, n_layers=2, rng=0),
    "MF": lambda train: MF(train.n_users, train.n_items, embedding_dim=8, rng=0),
    "SASRec": lambda train: SASRec(train.n_items, 8, 8, n_layers=1, n_heads=1, inner_dim=16, dropout=0, rng=0),
    # The contrast tells users of one taste apart, who are all alike here: little of it.
    "XSimGCL": lambda train: XSimGCL(train, embedding_dim=8, contrast_weight=0.01, rng=0),
}
# Trained by fit(), with any loss; the others have a solver, and so one loss, of their own.
BY_GRADIENT = ("LightGCN", "MF", "SASRec", "XSimGCL")

LOSSES = {
    "bpr": bpr,
    "bce": bce,
    "mse": mse,
    "mse_sigmoid": partial(mse, link="sigmoid"),
    "sampled_softmax": sampled_softmax,
}

COMBINATIONS = [*((name, loss) for name in BY_GRADIENT for loss in LOSSES), ("ALS", "its own")]


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
            model = BUILD[name](train)
            if name in BY_GRADIENT:
                settings = {"n_negatives": 4, "epochs": 60, "batch_size": 64, "weight_decay": 0, "rng": 0}
                lr = 0.005 if name == "SASRec" else 0.02  # for weights of layers, and for rows of a table
                fit(model, train, loss=LOSSES[loss], penalties=penalties, lr=lr, **settings)
            else:
                model.fit(train)
            made[key] = model
        return made[key]

    return get


def test_every_model_is_here():
    assert BUILD.keys() == MODELS.keys()


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
    model = BUILD[name](train)
    queries, items = model(next(inputs(model, train, codes=[0, 3, 3])))
    assert queries.shape == (3, model.embedding_dim)
    assert items.shape == (N, model.embedding_dim)
    torch.testing.assert_close(queries[1], queries[2])
    if name in BY_GRADIENT:
        (queries @ items.T).square().sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_same_seed_same_weights(train, name):
    runs = []
    for _ in range(2):
        model = BUILD[name](train)
        if name in BY_GRADIENT:
            fit(model, train, epochs=3, batch_size=64, rng=5)
        else:
            model.fit(train, sweeps=3)
        runs.append(vectors(model, interactions=train))
    assert torch.equal(runs[0].queries, runs[1].queries)
    assert torch.equal(runs[0].items, runs[1].items)


@pytest.mark.parametrize(("name", "loss"), [("ALS", "its own"), *((name, "bpr") for name in BY_GRADIENT)])
def test_saved_and_loaded_it_recommends_the_same(trained, train, name, loss, tmp_path):
    model = trained(name, loss)
    loaded = load_model(save_model(model, tmp_path / "model"))
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(recommend(loaded, train, k=5).items, recommend(model, train, k=5).items)


@pytest.mark.parametrize("name", sorted(MODELS.keys() - set(BY_GRADIENT)))
def test_a_model_with_a_solver_of_its_own_says_so(train, name):
    with pytest.raises(InvalidInputError, match=f"{name} has no weights that gradients train"):
        fit(BUILD[name](train), train)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", BY_GRADIENT)
def test_cuda_trains_like_the_cpu(train, name):
    models = [BUILD[name](train), BUILD[name](train)]
    for model, device in zip(models, ("cpu", "cuda"), strict=True):
        fit(model, train, epochs=5, batch_size=64, rng=0, device=device)
    for ours, theirs in zip(*(vectors(model, interactions=train) for model in models), strict=True):
        torch.testing.assert_close(theirs.cpu(), ours, rtol=1e-3, atol=1e-4)
