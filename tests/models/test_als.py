"""ALS against a naive solver, its objective, and what the spectral term does."""

import numpy as np
import pytest
import torch

from headtail.data import Interactions, split_ratio
from headtail.datasets import checkerboard, movietweetings
from headtail.exceptions import InvalidInputError, TrainingDivergedError
from headtail.losses import inverse_propensity
from headtail.metrics import audit
from headtail.models import ALS
from headtail.training import load_model, recommend, save_model, vectors

WEIGHT, DECAY = 0.2, 0.05


def skewed(seed=0, n=40, m=25, density=0.25, empty=True):
    """Random pairs of skewed popularity; the last user and the last item have none."""
    rng = np.random.default_rng(seed)
    met = rng.random((n, m)) < density * 3 / (1 + np.arange(m) / 4)
    if empty:
        met[-1], met[:, -1] = False, False
    users, items = np.nonzero(met)
    return Interactions(np.arange(n), np.arange(m), users.astype(np.int32), items.astype(np.int32))


def make(train, resn, d=5, dtype=torch.float64, rng=0):
    return ALS(train.n_users, train.n_items, d, unobserved_weight=WEIGHT, weight_decay=DECAY, resn=resn, rng=rng).to(
        dtype
    )


def naive_objective(users, items, train, resn, weights=None):
    """The formula of the docstring, with all scores; mean over users."""
    met = train.matrix.toarray() > 0
    scores = users @ items.T
    q = train.popularity / np.linalg.norm(train.popularity)
    n, m = met.shape
    observed = (1 - scores) ** 2 * met * (1 if weights is None else weights)
    total = observed.sum() + WEIGHT * (scores**2).sum() + WEIGHT * resn * ((scores @ q) ** 2).sum()
    total += DECAY * ((train.activity + WEIGHT * m) @ (users**2).sum(axis=1))
    total += DECAY * ((train.popularity + WEIGHT * n) @ (items**2).sum(axis=1))
    return total / n


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
def test_with_enough_steps_a_sweep_is_the_exact_solution(resn):
    train = skewed()
    model = make(train, resn)
    start = model.items.numpy().copy()
    start[-1] = 0  # nobody has met it
    model.fit(train, sweeps=1, steps=200)
    users, items = naive_sweep(start, train, resn)
    np.testing.assert_allclose(
        model.users, users, rtol=1e-6, atol=1e-7
    )  # steps below rounding in the objective are not taken
    np.testing.assert_allclose(model.items, items, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("resn", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_objective_falls_at_every_sweep(dtype, resn, steps):
    train = skewed(seed=1, n=120, m=80)
    model = make(train, resn, d=8, dtype=dtype)
    seen = []
    descent = model.fit(
        train,
        sweeps=15,
        steps=steps,
        callback=lambda m, row: seen.append(
            naive_objective(*(t.double().numpy() for t in (m.users, m.items)), train, resn)
        ),
    )
    assert (np.diff(seen) < 0).all()
    np.testing.assert_allclose([row["objective"] for row in descent.rows], seen, rtol=1e-5)


@pytest.mark.parametrize("resn", [1e-6, 1.0, 30.0])
def test_few_steps_come_as_close_with_the_spectral_term_as_without(resn):
    train = movietweetings()
    above = []  # how far two steps stay above many, as a share
    for weight in (0.0, resn):
        ends = []
        for steps in (2, 40):
            model = ALS(train.n_users, train.n_items, 16, unobserved_weight=0.01, weight_decay=1e-3, resn=weight, rng=0)
            ends.append(model.fit(train, sweeps=6, steps=steps).rows[-1]["objective"])
        above.append(ends[0] / ends[1] - 1)
    assert above[1] < above[0] + 2e-3


def test_the_parts_of_the_objective_add_up():
    train = skewed()
    descent = make(train, 2.0).fit(train, sweeps=3)
    for row in descent.rows:
        parts = [row[name] for name in ("observed", "unobserved", "decay", "resn")]
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(row["objective"])
    assert descent.to_polars().columns[:2] == ["sweep", "objective"]
    assert "Sweeps" in descent.to_markdown()


def test_few_steps_come_to_the_same_end_as_many():
    train = skewed(seed=2, n=120, m=80)
    ends = []
    for steps in (1, 20):
        model = make(train, 1.0)
        ends.append(model.fit(train, sweeps=300, steps=steps).rows[-1]["objective"])
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


def test_resn_takes_from_popularity():
    train = movietweetings()
    q = train.popularity / np.linalg.norm(train.popularity)
    shares, heads = [], []
    head = np.argsort(-train.popularity)[:100]
    for resn in (0.0, 0.3, 1.0, 3.0):
        model = ALS(train.n_users, train.n_items, 16, resn=resn, rng=0)
        model.fit(train, sweeps=6)
        queries, items = (matrix.numpy().astype(np.float64) for matrix in vectors(model))
        total = np.trace(queries.T @ queries @ items.T @ items)
        shares.append(((queries @ (items.T @ q)) ** 2).sum() / total)
        heads.append(np.isin(recommend(model, train, k=10).items, head).mean())
    assert (np.diff(shares) < 0).all()
    assert (np.diff(heads) < 0).all()


@pytest.mark.parametrize("resn", [0.0, 1.0])
def test_checkerboard(resn):
    split = checkerboard(30, 30)
    model = ALS(30, 30, 8, resn=resn, rng=0)
    model.fit(split.train)
    np.testing.assert_array_equal(recommend(model, split.train, k=1).items[:, 0], split.test.items)


def test_users_and_items_without_interactions_have_zero_vectors():
    train = skewed()
    model = make(train, 1.0)
    model.fit(train, sweeps=3)
    assert not model.users[-1].any()
    assert not model.items[-1].any()
    assert torch.isfinite(model.users).all()
    assert torch.isfinite(model.items).all()


def test_two_calls_are_one_longer_call(tmp_path):
    train = skewed()
    whole, parts = make(train, 1.0, dtype=torch.float32), make(train, 1.0, dtype=torch.float32)
    whole.fit(train, sweeps=6)
    parts.fit(train, sweeps=2)
    loaded = load_model(save_model(parts, tmp_path / "als"))
    loaded.fit(train, sweeps=4)
    assert loaded.config == whole.config
    assert torch.equal(loaded.users, whole.users)
    assert torch.equal(loaded.items, whole.items)


def test_same_seed_same_vectors_and_no_global_seed():
    train = skewed()
    before = torch.get_rng_state()
    first, second, third = (make(train, 1.0, rng=seed) for seed in (1, 1, 2))
    for model in (first, second, third):
        model.fit(train, sweeps=2)
    assert torch.equal(first.users, second.users)
    assert not torch.equal(first.users, third.users)
    assert torch.equal(before, torch.get_rng_state())


def test_more_dimensions_than_items():
    train = skewed(n=12, m=6)
    descent = make(train, 1.0, d=16).fit(train, sweeps=5)
    assert (np.diff([row["objective"] for row in descent.rows]) < 0).all()


@pytest.mark.parametrize("weight", [1e-6, 10.0])
@pytest.mark.parametrize("decay", [1e-10, 100.0])
@pytest.mark.parametrize("resn", [0.0, 1e4])
def test_extreme_weights_in_float32_do_not_raise_the_objective(weight, decay, resn):
    train = skewed(n=12, m=6)
    model = ALS(12, 6, 16, unobserved_weight=weight, weight_decay=decay, resn=resn, rng=0)
    objective = [row["objective"] for row in model.fit(train, sweeps=10, steps=4).rows]
    assert (np.diff(objective) <= 2e-6 * np.array(objective[:-1])).all()


def test_weights_that_are_not_given_follow_the_interactions():
    train = skewed(n=40, m=25)
    model = ALS(40, 25, 4, rng=0)
    assert model.config["unobserved_weight"] is model.config["weight_decay"] is None
    descent = model.fit(train, sweeps=2, progress=False)
    expected = {
        "unobserved_weight": min(1, 10 * len(train) / (40 * 25)),
        "weight_decay": 0.08 / (train.activity.sum() + train.popularity.sum()) ** 0.5 * 65**0.5,
    }
    for name, value in expected.items():
        assert model.config[name] == descent.settings[name] == pytest.approx(value)
        assert f"{name}={model.config[name]}" in repr(model)
    before = dict(model.config)
    model.fit(train.subset(np.arange(5)), sweeps=1, progress=False)
    assert model.config == before  # what was taken once stays, as a fit goes on from where the last one ended


def test_the_default_weights_are_as_good_as_tuned_ones_on_sparse_data():
    split = split_ratio(movietweetings(), rng=0)
    found = []
    for weights in ({}, {"unobserved_weight": 0.03, "weight_decay": 0.03}):  # the best of a grid on validation
        model = ALS(split.train.n_users, split.train.n_items, rng=0, **weights)
        model.fit(split.train, progress=False)
        lists = recommend(model, split.known, k=20)
        found.append(audit(lists, split.train, split.test, k=20, n_bootstrap=0, strict=False)["ndcg@20"])
    assert found[0] > 0.95 * found[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resn": -1}, r"resn=-1 is out of range"),
        ({"resn": float("nan")}, "resn=nan is out of range"),
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
        ALS(train.n_users, 7).fit(train)
    with pytest.raises(InvalidInputError, match="train holds no interactions"):
        make(train, 0.0).fit(train.subset(np.array([], dtype=int)))
    with pytest.raises(InvalidInputError, match="sweeps=0"):
        make(train, 0.0).fit(train, sweeps=0)
    with pytest.raises(InvalidInputError, match="steps=0"):
        make(train, 0.0).fit(train, steps=0)
    model = make(train, 0.0)
    model.items[0, 0] = float("nan")
    with pytest.raises(TrainingDivergedError, match="Sweep 1: the objective is nan"):
        model.fit(train)


def test_progress_bar_when_asked(capsys):
    train = skewed()
    make(train, 0.0).fit(train, sweeps=2, progress=True)
    assert "objective" in capsys.readouterr().err
    make(train, 0.0).fit(train, sweeps=2, progress=False)
    assert not capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_the_cpu():
    train = skewed(n=200, m=100)
    models = [make(train, 1.0, dtype=torch.float32) for _ in range(2)]
    for model, device in zip(models, ("cpu", "cuda"), strict=True):
        model.fit(train, sweeps=5, device=device)
    torch.testing.assert_close(models[1].users.cpu(), models[0].users, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("resn", [0.0, 1.0])
def test_item_weights_equal_a_naive_weighted_solution(resn):
    train = skewed()
    weights = np.random.default_rng(3).uniform(0.2, 5, train.n_items)
    model = make(train, resn)
    start = model.items.numpy().copy()
    start[-1] = 0
    descent = model.fit(train, sweeps=1, steps=200, item_weights=weights)
    users, items = naive_sweep(start, train, resn, weights)
    np.testing.assert_allclose(model.users, users, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(model.items, items, rtol=1e-6, atol=1e-7)
    assert descent.rows[-1]["objective"] == pytest.approx(naive_objective(users, items, train, resn, weights))
    further = [row["objective"] for row in model.fit(train, sweeps=10, item_weights=weights).rows]
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
        model.fit(train, sweeps=3, item_weights=weights)
        shares[name] = np.isin(recommend(model, train, k=10).items, head).mean()
    assert shares["equal"] == pytest.approx(shares["none"], abs=1e-3)
    assert shares["ips"] < shares["none"] - 0.02


def test_wrong_item_weights_are_refused():
    train = skewed()
    with pytest.raises(InvalidInputError, match=r"item_weights has shape \(2,\); give one for each of the 25 items"):
        make(train, 0).fit(train, item_weights=[1.0, 2.0])
    with pytest.raises(InvalidInputError, match=r"item_weights is -1\.0 at item 3"):
        make(train, 0).fit(train, item_weights=np.where(np.arange(25) == 3, -1.0, 1.0))


def test_the_callers_modes_change_nothing():
    train = checkerboard(20, 20).train
    expected = ALS(20, 20, 4, rng=0)
    expected.fit(train)
    model = ALS(20, 20, 4, rng=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model.fit(train.to_polars())
    assert torch.equal(model.users, expected.users) and torch.equal(model.items, expected.items)
    with torch.inference_mode():
        model = ALS(20, 20, 4, rng=0)
    with pytest.raises(InvalidInputError, match="ALS was made under torch"):
        model.fit(train)
