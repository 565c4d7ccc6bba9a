"""ALS against a naive solver, its objective, and what the spectral term does."""

import numpy as np
import pytest
import torch

from headtail.data import Interactions, split_ratio
from headtail.datasets import checkerboard, movietweetings
from headtail.exceptions import InvalidInputError, TrainingDivergedError
from headtail.losses import inverse_propensity, zerosum
from headtail.metrics import audit
from headtail.models import ALS
from headtail.penalties import LogDet, ReSN
from headtail.training import fit, load_model, recommend, save_model, vectors

WEIGHT, DECAY = 0.2, 0.05


def skewed(seed=0, n=40, m=25, density=0.25, empty=True):
    """Random pairs of skewed popularity; the last user and the last item have none."""
    rng = np.random.default_rng(seed)
    met = rng.random((n, m)) < density * 3 / (1 + np.arange(m) / 4)
    if empty:
        met[-1], met[:, -1] = False, False
    users, items = np.nonzero(met)
    return Interactions(np.arange(n), np.arange(m), users.astype(np.int32), items.astype(np.int32))


def make(train, d=5, dtype=torch.float64, **options):
    options = {"unobserved_weight": WEIGHT, "weight_decay": DECAY, "rng": 0} | options
    return ALS.for_data(train, embedding_dim=d, **options).to(dtype)


def spectral(train, resn, weight=WEIGHT):
    """The penalty by which a squared score along popularity costs 1 + resn times as much."""
    return [ReSN(resn * weight * train.n_users / len(train))]


def naive_objective(users, items, train, resn, weights=None):
    """The formula of the docstring, with all scores; mean over training pairs."""
    met = train.matrix.toarray() > 0
    scores = users @ items.T
    q = train.popularity / np.linalg.norm(train.popularity)
    n, m = met.shape
    observed = (1 - scores) ** 2 * met * (1 if weights is None else weights)
    total = observed.sum() + WEIGHT * (scores**2).sum() + WEIGHT * resn * ((scores @ q) ** 2).sum()
    total += DECAY * ((train.activity + WEIGHT * m) @ (users**2).sum(axis=1))
    total += DECAY * ((train.popularity + WEIGHT * n) @ (items**2).sum(axis=1))
    return total / met.sum()


def naive_sweep(items, train, resn, weights=None):
    """Both sides solved by dense linear algebra; the items as one system of I * d unknowns."""
    met = train.matrix.toarray()
    n, m = met.shape
    weights = np.ones(m) if weights is None else weights
    d = items.shape[1]
    q = train.popularity / np.linalg.norm(train.popularity)
    w = items.T @ q
    users = np.zeros((n, d))
    for u in range(n):
        own = items[met[u] > 0]
        confidence = weights[met[u] > 0]
        matrix = own.T * confidence @ own + WEIGHT * (items.T @ items + resn * np.outer(w, w))
        matrix += DECAY * (len(own) + WEIGHT * m) * np.eye(d)
        users[u] = np.linalg.solve(matrix, confidence @ own)
    gram = users.T @ users
    matrix = WEIGHT * resn * np.kron(np.outer(q, q), gram)
    right = np.zeros(m * d)
    for i in range(m):
        own = users[met[:, i] > 0]
        at = slice(i * d, (i + 1) * d)
        matrix[at, at] += weights[i] * own.T @ own + WEIGHT * gram + DECAY * (len(own) + WEIGHT * n) * np.eye(d)
        right[at] = weights[i] * own.sum(axis=0)
    return users, np.linalg.solve(matrix, right).reshape(m, d)


@pytest.mark.parametrize("resn", [0.0, 1.0, 30.0])
def test_with_enough_steps_an_epoch_is_the_exact_solution(resn):
    train = skewed()
    model = make(train, steps=200)
    start = model.items.numpy().copy()
    start[-1] = 0  # nobody has met it
    fit(model, train, epochs=1, penalties=spectral(train, resn))
    users, items = naive_sweep(start, train, resn)
    np.testing.assert_allclose(
        model.users, users, rtol=1e-6, atol=1e-7
    )  # steps below rounding in the objective are not taken
    np.testing.assert_allclose(model.items, items, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("resn", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_objective_falls_at_every_epoch(dtype, resn, steps):
    train = skewed(seed=1, n=120, m=80)
    model = make(train, d=8, dtype=dtype, steps=steps)
    seen = []

    def look(m, row):
        seen.append(naive_objective(*(t.double().numpy() for t in (m.users, m.items)), train, resn))

    history = fit(model, train, epochs=15, penalties=spectral(train, resn), callbacks=[look])
    assert (np.diff(seen) < 0).all()
    np.testing.assert_allclose([row["loss"] + row["ReSN"] for row in history.rows], seen, rtol=1e-5)


@pytest.mark.parametrize("resn", [1e-6, 1.0, 30.0])
def test_few_steps_come_as_close_with_the_spectral_term_as_without(resn):
    train = movietweetings()
    above = []  # how far two steps stay above many, as a share
    for weight in (0.0, resn):
        ends = []
        for steps in (2, 40):
            model = make(train, 16, torch.float32, unobserved_weight=0.01, weight_decay=1e-3, steps=steps)
            last = fit(model, train, epochs=6, penalties=spectral(train, weight, 0.01)).rows[-1]
            ends.append(last["loss"] + last["ReSN"])
        above.append(ends[0] / ends[1] - 1)
    assert above[1] < above[0] + 2e-3


def test_the_parts_of_the_loss_add_up_and_resn_is_the_penalty_itself():
    train = skewed()
    model = make(train)
    history = fit(model, train, epochs=3, penalties=[ReSN(0.7)])
    for row in history.rows:
        parts = [row[name] for name in ("observed", "unobserved", "decay")]
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(row["loss"])
    q = train.popularity / np.linalg.norm(train.popularity)
    scores = model.users.numpy() @ model.items.numpy().T
    assert history.rows[-1]["ReSN"] == pytest.approx(0.7 * ((scores @ q) ** 2).mean())
    assert history.to_polars().columns[:2] == ["epoch", "loss"]
    assert "Training of ALS" in history.to_markdown()


def test_validation_keeps_the_best_epoch_and_a_killed_run_resumes_to_the_bit(tmp_path):
    split = split_ratio(movietweetings(), validation=0.1, rng=0)
    settings = {"validation": split.validation, "patience": None, "epochs": 4, "penalties": [ReSN(1e-4)]}

    def stop(model, row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    whole, resumed = (make(split.train, 8, torch.float32) for _ in range(2))
    history = fit(whole, split.train, **settings)
    assert history.best_value == max(row["ndcg@20"] for row in history.rows)
    with pytest.raises(KeyboardInterrupt):
        fit(make(split.train, 8, torch.float32), split.train, checkpoint=tmp_path, callbacks=[stop], **settings)
    again = fit(resumed, split.train, checkpoint=tmp_path, **settings)
    assert [row["ndcg@20"] for row in again.rows] == [row["ndcg@20"] for row in history.rows]
    assert torch.equal(resumed.users, whole.users) and torch.equal(resumed.items, whole.items)


def test_few_steps_come_to_the_same_end_as_many():
    train = skewed(seed=2, n=120, m=80)
    ends = []
    for steps in (1, 10):
        last = fit(make(train, steps=steps), train, epochs=150, penalties=spectral(train, 1.0)).rows[-1]
        ends.append(last["loss"] + last["ReSN"])
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


def test_resn_takes_from_popularity():
    train = movietweetings()
    q = train.popularity / np.linalg.norm(train.popularity)
    shares, heads = [], []
    head = np.argsort(-train.popularity)[:100]
    for resn in (0.0, 0.3, 1.0, 3.0):
        model = ALS.for_data(train, embedding_dim=16, rng=0)
        fit(model, train, epochs=6, penalties=[ReSN(10 * resn / train.n_items)])
        queries, items = (matrix.numpy().astype(np.float64) for matrix in vectors(model))
        total = np.trace(queries.T @ queries @ items.T @ items)
        shares.append(((queries @ (items.T @ q)) ** 2).sum() / total)
        heads.append(np.isin(recommend(model, train, k=10).items, head).mean())
    assert (np.diff(shares) < 0).all()
    assert (np.diff(heads) < 0).all()


@pytest.mark.parametrize("resn", [0.0, 1.0])
def test_checkerboard(resn):
    split = checkerboard(30, 30)
    model = ALS(30, 30, 8, rng=0)
    fit(model, split.train, penalties=spectral(split.train, resn))
    np.testing.assert_array_equal(recommend(model, split.train, k=1).items[:, 0], split.test.items)


def test_users_and_items_without_interactions_have_zero_vectors():
    train = skewed()
    model = make(train)
    fit(model, train, epochs=3, penalties=[ReSN(0.1)])
    assert not model.users[-1].any()
    assert not model.items[-1].any()
    assert torch.isfinite(model.users).all()
    assert torch.isfinite(model.items).all()


def test_two_calls_are_one_longer_call(tmp_path):
    train = skewed()
    whole, parts = make(train, dtype=torch.float32), make(train, dtype=torch.float32)
    fit(whole, train, epochs=6, penalties=[ReSN(0.1)])
    fit(parts, train, epochs=2, penalties=[ReSN(0.1)])
    loaded = load_model(save_model(parts, tmp_path / "als"))
    fit(loaded, train, epochs=4, penalties=[ReSN(0.1)])
    assert loaded.config == whole.config
    assert torch.equal(loaded.users, whole.users)
    assert torch.equal(loaded.items, whole.items)


def test_same_seed_same_vectors_and_no_global_seed():
    train = skewed()
    before = torch.get_rng_state()
    first, second, third = (make(train, rng=seed) for seed in (1, 1, 2))
    for model in (first, second, third):
        fit(model, train, epochs=2)
    assert torch.equal(first.users, second.users)
    assert not torch.equal(first.users, third.users)
    assert torch.equal(before, torch.get_rng_state())


def test_more_dimensions_than_items():
    train = skewed(n=12, m=6)
    history = fit(make(train, d=16), train, epochs=5, penalties=spectral(train, 1.0))
    assert (np.diff([row["loss"] + row["ReSN"] for row in history.rows]) < 0).all()


@pytest.mark.parametrize("weight", [1e-6, 10.0])
@pytest.mark.parametrize("decay", [1e-10, 100.0])
@pytest.mark.parametrize("resn", [0.0, 1e4])
def test_extreme_weights_in_float32_do_not_raise_the_objective(weight, decay, resn):
    train = skewed(n=12, m=6)
    model = ALS(12, 6, 16, unobserved_weight=weight, weight_decay=decay, steps=4, rng=0)
    rows = fit(model, train, epochs=10, penalties=spectral(train, resn, weight)).rows
    objective = [row["loss"] + row["ReSN"] for row in rows]
    assert (np.diff(objective) <= 2e-6 * np.array(objective[:-1])).all()


def test_weights_that_are_not_given_follow_the_interactions():
    train = skewed(n=40, m=25)
    model = ALS(40, 25, 4, rng=0)
    assert model.config["unobserved_weight"] is model.config["weight_decay"] is None
    history = fit(model, train, epochs=2)
    expected = {
        "unobserved_weight": min(1, 10 * len(train) / (40 * 25)),
        "weight_decay": 0.08 / (train.activity.sum() + train.popularity.sum()) ** 0.5 * 65**0.5,
    }
    for name, value in expected.items():
        assert model.config[name] == history.settings[f"model.{name}"] == pytest.approx(value)
        assert f"{name}={model.config[name]}" in repr(model)
    before = dict(model.config)
    fit(model, train.subset(np.arange(5)), epochs=1)
    assert model.config == before  # what was taken once stays, as a fit goes on from where the last one ended


def test_the_default_weights_are_as_good_as_tuned_ones_on_sparse_data():
    split = split_ratio(movietweetings(), rng=0)
    found = []
    for weights in ({}, {"unobserved_weight": 0.03, "weight_decay": 0.03}):  # the best of a grid on validation
        model = ALS(split.train.n_users, split.train.n_items, rng=0, **weights)
        fit(model, split.train)
        lists = recommend(model, split.known, k=20)
        found.append(audit(lists, split.train, split.test, k=20, n_bootstrap=0, strict=False)["ndcg@20"])
    assert found[0] > 0.95 * found[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps=0 is out of range"),
        ({"unobserved_weight": 0}, "unobserved_weight=0 is out of range"),
        ({"weight_decay": 0}, "weight_decay=0 is out of range"),
        ({"embedding_dim": 0}, "embedding_dim=0 is out of range"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        ALS(3, 4, **arguments)


def test_bad_calls_are_refused():
    train = skewed()
    with pytest.raises(InvalidInputError, match="the model has n_items=7 and train 25"):
        fit(ALS(train.n_users, 7), train)
    with pytest.raises(InvalidInputError, match="train holds no interactions"):
        fit(make(train), train.subset(np.array([], dtype=int)))
    with pytest.raises(InvalidInputError, match=r"ALS has vectors in torch\.bfloat16, which is too coarse"):
        fit(make(train).bfloat16(), train)
    for refused in (LogDet(0.1), ReSN(0.1, "sigmoid")):
        with pytest.raises(InvalidInputError, match=rf"closed form of ReSN alone.*{type(refused).__name__}"):
            fit(make(train), train, penalties=[refused])
    with pytest.raises(InvalidInputError, match="penalties holds ReSN 2 times"):
        fit(make(train), train, penalties=[ReSN(0.1), ReSN(0.1)])
    with pytest.raises(InvalidInputError, match="ALS is solved for in closed form, without loss and lr; leave"):
        fit(make(train), train, loss=zerosum, lr=0.1)
    with pytest.raises(InvalidInputError, match="without penalty_every"):
        fit(make(train), train, penalties=[ReSN(0.1)], penalty_every=8)
    model = make(train)
    model.items[0, 0] = float("nan")
    with pytest.raises(TrainingDivergedError, match="Epoch 1: the loss is nan"):
        fit(model, train)


def test_progress_bar_when_asked(capsys):
    train = skewed()
    fit(make(train), train, epochs=2, progress=True)
    assert "loss" in capsys.readouterr().err
    fit(make(train), train, epochs=2, progress=False)
    assert not capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_the_cpu():
    train = skewed(n=200, m=100)
    models = [make(train, dtype=torch.float32) for _ in range(2)]
    for model, device in zip(models, ("cpu", "cuda"), strict=True):
        fit(model, train, epochs=5, device=device, penalties=[ReSN(0.1)])
    torch.testing.assert_close(models[1].users.cpu(), models[0].users, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("resn", [0.0, 1.0])
def test_item_weights_equal_a_naive_weighted_solution(resn):
    train = skewed()
    weights = np.random.default_rng(3).uniform(0.2, 5, train.n_items)
    model = make(train, steps=200)
    penalties = spectral(train, resn)
    start = model.items.numpy().copy()
    start[-1] = 0
    history = fit(model, train, epochs=1, item_weights=weights, penalties=penalties)
    users, items = naive_sweep(start, train, resn, weights)
    np.testing.assert_allclose(model.users, users, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(model.items, items, rtol=1e-6, atol=1e-7)
    last = history.rows[-1]
    assert last["loss"] + last["ReSN"] == pytest.approx(naive_objective(users, items, train, resn, weights))
    rows = fit(model, train, epochs=10, item_weights=weights, penalties=penalties).rows
    further = [row["loss"] + row["ReSN"] for row in rows]
    assert further == sorted(further, reverse=True)


def test_equal_item_weights_change_nothing_and_inverse_propensities_lift_rare_items():
    train = movietweetings()
    head = np.argsort(-train.popularity)[:100]
    shares = {}
    for name, weights in {
        "none": None,
        "equal": np.ones(train.n_items),
        "ips": inverse_propensity(train.popularity),
    }.items():
        model = ALS(train.n_users, train.n_items, 8, rng=0)
        fit(model, train, epochs=3, item_weights=weights)
        shares[name] = np.isin(recommend(model, train, k=10).items, head).mean()
    assert shares["equal"] == pytest.approx(shares["none"], abs=1e-3)
    assert shares["ips"] < shares["none"] - 0.02


def test_wrong_item_weights_are_refused():
    train = skewed()
    with pytest.raises(
        InvalidInputError,
        match=r"item_weights has shape \(2,\) .*; give one number for each of the 25 items",
    ):
        fit(make(train), train, item_weights=[1.0, 2.0])
    with pytest.raises(InvalidInputError, match=r"item_weights is -1\.0 at item 3"):
        fit(make(train), train, item_weights=np.where(np.arange(25) == 3, -1.0, 1.0))


def test_the_callers_modes_change_nothing():
    train = checkerboard(20, 20).train
    expected = ALS(20, 20, 4, rng=0)
    fit(expected, train)
    model = ALS(20, 20, 4, rng=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fit(model, train.to_polars())
    assert torch.equal(model.users, expected.users) and torch.equal(model.items, expected.items)
    with torch.inference_mode():
        model = ALS(20, 20, 4, rng=0)
    with pytest.raises(InvalidInputError, match="ALS was made under torch"):
        fit(model, train)
