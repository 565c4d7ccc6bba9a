"""The training loop: learning, stopping, history, resuming to the bit, and refusing what cannot work."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.utils.prune
from runs import StoppedError, same, stop_at, weights

from headtail._checksums import write_json
from headtail._progress import progress_bar
from headtail.data import Interactions
from headtail.datasets import checkerboard
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, TrainingDivergedError, UnreadableFileError
from headtail.losses import bce, bpr, mse
from headtail.metrics import gini, ndcg, recall
from headtail.models import MF, SASRec
from headtail.penalties import LogDet, ReSN
from headtail.training import fit, load_model, recommend, save_model
from headtail.training.loop import Validation
from headtail.typing import Vectors

SIZE = 24


def part(keep, n_users=SIZE, n_items=SIZE):
    users, items = np.nonzero(keep)
    return Interactions(np.arange(n_users), np.arange(n_items), users.astype(np.int32), items.astype(np.int32))


PARITY = np.add.outer(np.arange(SIZE), np.arange(SIZE)) % 2 == 0
DIAGONAL = np.eye(SIZE, dtype=bool)
TRAIN, HELD_OUT = part(PARITY & ~DIAGONAL), part(DIAGONAL)


def model(seed=0):
    return MF(SIZE, SIZE, 4, rng=seed)


# -- learning ----------------------------------------------------------------------------------------------------------


def test_history_has_a_row_an_epoch():
    history = fit(
        model(),
        TRAIN,
        penalties=[ReSN(0.1), ReSN(0.2), ReSN(0.1, "sigmoid")],
        validation=HELD_OUT,
        k=5,
        epochs=5,
        eval_every=2,
        batch_size=64,
        rng=0,
    )
    assert [row["epoch"] for row in history.rows] == [1, 2, 3, 4, 5]
    assert [row["ndcg@5"] is None for row in history.rows] == [True, False, True, False, False]
    for row in history.rows:
        assert row.keys() == {"epoch", "loss", "ReSN", "ReSN 2", "ReSN 3", "seconds", "ndcg@5"}
        assert row["ReSN 2"] == pytest.approx(2 * row["ReSN"], rel=1e-5)
    assert history.best_value == max(row["ndcg@5"] for row in history.rows if row["ndcg@5"] is not None)
    assert history.settings["penalties"][0].startswith("ReSN(weight=0.1, form='linear'")


def test_arguments_that_are_not_given_are_the_models_usual_ones():
    class Stranger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model()

        def forward(self, users):
            return self.inner(users)

    common = {"loss": "headtail.losses.bpr", "n_negatives": 1, "lr": 5e-3, "weight_decay": 1 / len(TRAIN)}
    common |= {"batch_size": 8192}
    usual = common | {"loss": "headtail.losses.mse", "n_negatives": 4}
    for m, expected in ((Stranger(), common), (model(), usual)):
        found = fit(m, TRAIN, epochs=1, rng=0)
        assert {name: found.settings[name] for name in expected} == expected
    assert fit(model(), TRAIN, epochs=1, lr=0.1, rng=0).settings["lr"] == 0.1


def test_history_is_a_result():
    history = fit(model(), TRAIN, validation=HELD_OUT, epochs=3, eval_every=2, rng=0)
    assert history.to_polars().height == 3
    assert json.loads(history.to_json())["best_epoch"] in (2, 3)
    assert "Training of MF" in repr(history)
    assert "Validation ndcg@20" in history.to_html()
    assert "Epochs" in repr(fit(model(), TRAIN, epochs=1, rng=0))


def test_the_loss_of_the_history_is_the_mean_over_pairs():
    """With a learning rate of nearly nothing every batch sees the same weights, and the last batch is a small one."""
    m, seen = model(), []

    def loss(positive, negative):
        seen.append((len(positive), bpr(positive, negative).item()))
        return bpr(positive, negative)

    history = fit(m, TRAIN, loss=loss, epochs=1, batch_size=100, lr=1e-12, rng=0)
    sizes, values = zip(*seen, strict=True)
    assert sum(sizes) == len(TRAIN)
    assert len(set(sizes)) == 2
    assert history.rows[0]["loss"] == pytest.approx(np.average(values, weights=sizes), rel=1e-6)


def test_penalties_see_distinct_users_and_all_items():
    seen = []

    class Spy:
        def __call__(self, queries, items):
            seen.append((queries.detach().clone(), items.detach().clone()))
            return 0 * queries.sum()

    m = model()
    before = weights(m)
    fit(m, TRAIN, penalties=[Spy()], epochs=1, batch_size=len(TRAIN), rng=0)
    queries, items = seen[0]
    assert torch.equal(queries, before["users"])
    assert torch.equal(items, before["items"])


@pytest.mark.parametrize("every", [1, 3, 5, 100])
def test_penalties_taken_in_some_batches_weigh_as_much_over_an_epoch(every):
    seen = []

    class Spy:
        def __call__(self, queries, items):
            value = items.sum()
            value.register_hook(lambda slope: seen.append(slope.item()))
            return value

    batch_size = len(TRAIN) // 10
    n_batches = -(-len(TRAIN) // batch_size)
    fit(model(), TRAIN, penalties=[Spy()], penalty_every=every, epochs=2, batch_size=batch_size, rng=0)
    assert len(seen) == 2 * -(-n_batches // every)
    assert sum(seen) == pytest.approx(2 * n_batches)


def test_resn_in_some_batches_lowers_the_spectral_norm_as_in_all():
    norms = []
    for weight, every in ((0.0, 1), (0.1, 1), (0.1, 4)):
        m = model()
        settings = {"epochs": 60, "batch_size": 32, "lr": 0.02, "rng": 0}
        fit(m, TRAIN, penalties=[ReSN(weight)], penalty_every=every, **settings)
        norms.append(torch.linalg.matrix_norm(m.users @ m.items.T, 2).item())
    assert norms[1] < 0.8 * norms[0]
    assert norms[2] < 0.8 * norms[0]
    assert norms[2] == pytest.approx(norms[1], rel=0.2)


def test_weight_decay_shrinks_the_weights():
    norms = []
    for decay in (0.0, 1e-2):
        m = model()
        fit(m, TRAIN, epochs=40, lr=0.02, weight_decay=decay, rng=0)
        norms.append(m.items.norm().item())
    assert norms[1] < 0.8 * norms[0]


def test_the_best_weights_are_restored_and_training_stops_early():
    """Weights are set by a callback, so that epoch 2 is the best by far and nothing after it improves."""
    good = model()
    fit(good, TRAIN, epochs=60, lr=0.05, batch_size=64, rng=0)
    good, seen = weights(good), []

    def meddle(m, row):
        m.load_state_dict(good if row["epoch"] == 1 else {name: torch.zeros_like(v) for name, v in good.items()})
        seen.append(row["epoch"])

    m = model()
    history = fit(
        m, TRAIN, validation=HELD_OUT, epochs=50, eval_every=1, patience=3, lr=1e-9, rng=0, callbacks=[meddle]
    )
    assert history.best_epoch == 2
    assert seen == [1, 2, 3, 4, 5]
    assert history.best_value == pytest.approx(1.0)
    assert recommend(m, TRAIN, k=1).items[:, 0].tolist() == list(range(SIZE))
    assert Validation(TRAIN, HELD_OUT, ndcg, 20)(m) == history.best_value


def test_without_patience_it_never_stops_early():
    history = fit(model(), TRAIN, validation=HELD_OUT, epochs=9, eval_every=1, patience=None, lr=1e-9, rng=0)
    assert len(history.rows) == 9


def test_seeds():
    runs = []
    for seed in (0, 0, 1):
        m = model()
        fit(m, TRAIN, epochs=2, batch_size=64, rng=seed)
        runs.append(weights(m))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_the_global_random_state_is_left_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(model(), TRAIN, epochs=1, rng=0)
    assert torch.equal(torch_state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


def test_the_models_own_randomness_follows_rng():
    class Noisy(MF):
        def forward(self, users):
            out = super().forward(users)
            return out._replace(queries=torch.nn.functional.dropout(out.queries, 0.5, self.training))

    runs = []
    for seed in (0, 0, 1):
        m = Noisy(SIZE, SIZE, 4, rng=0)
        fit(m, TRAIN, epochs=2, rng=seed)
        runs.append(weights(m))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_progress_bar_goes_to_standard_error(capsys):
    fit(model(), TRAIN, epochs=2, rng=0, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "training" in err
    fit(model(), TRAIN, epochs=2, rng=0)
    assert capsys.readouterr() == ("", "")


# -- validation --------------------------------------------------------------------------------------------------------


def test_validation_equals_a_naive_count():
    rng = np.random.default_rng(0)
    seen = rng.random((9, 15)) < 0.3
    held_out = (rng.random((9, 15)) < 0.3) & ~seen
    held_out[4] = False  # a user without held-out items does not count
    train, other = part(seen, 9, 15), part(held_out, 9, 15)
    m = MF(9, 15, 3, rng=0)
    scores = (m.users @ m.items.T).detach().numpy()
    for k in (1, 4, 15):
        ndcgs, recalls = [], []
        for u in np.flatnonzero(held_out.any(axis=1)):
            ranked = [i for i in np.argsort(-scores[u]) if not seen[u, i]][:k]
            hits = [held_out[u, i] for i in ranked]
            gain = sum(1 / np.log2(r + 2) for r, hit in enumerate(hits) if hit)
            ndcgs.append(gain / sum(1 / np.log2(r + 2) for r in range(min(held_out[u].sum(), k))))
            recalls.append(sum(hits) / held_out[u].sum())
        assert Validation(train, other, ndcg, k)(m) == pytest.approx(np.mean(ndcgs))
        assert Validation(train, other, recall, k)(m) == pytest.approx(np.mean(recalls))


# -- stopping and resuming ---------------------------------------------------------------------------------------------

SETTINGS = {
    "validation": HELD_OUT,
    "penalties": (ReSN(1e-3),),
    "penalty_every": 2,
    "epochs": 12,
    "eval_every": 2,
    "batch_size": 64,
    "lr": 0.02,
    "rng": 0,
    "patience": None,
}


def uninterrupted():
    m = model()
    return m, fit(m, TRAIN, **SETTINGS)


def without_seconds(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]


@pytest.mark.parametrize("epoch", [1, 2, 5, 12])
def test_a_run_that_was_stopped_resumes_to_the_same_bits(tmp_path, epoch):
    whole, history = uninterrupted()
    with pytest.raises(StoppedError):
        fit(model(), TRAIN, **SETTINGS, checkpoint=tmp_path / "run", callbacks=[stop_at(epoch)])
    m = model(seed=7 if epoch > 2 else 0)  # the checkpoint brings its own weights, once there is one
    resumed = fit(m, TRAIN, **SETTINGS, checkpoint=tmp_path / "run")
    assert same(weights(whole), weights(m))
    assert without_seconds(resumed) == without_seconds(history)
    assert (resumed.best_epoch, resumed.best_value) == (history.best_epoch, history.best_value)


def test_a_killed_process_resumes_to_the_same_bits(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        from test_loop import SETTINGS, TRAIN, model
        from headtail.training import fit

        def kill(m, row):
            if row["epoch"] == 7:
                os.kill(os.getpid(), signal.SIGKILL)

        fit(model(), TRAIN, **SETTINGS, checkpoint=sys.argv[2], callbacks=[kill])
        """
    )
    here = os.path.dirname(__file__)  # noqa: PTH120
    done = subprocess.run([sys.executable, "-c", script, here, tmp_path / "run"], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["epoch-00006"]
    (tmp_path / "run" / ".epoch-00008.0a1b2c3d.tmp").mkdir()  # what a kill in the middle of a write leaves
    whole, _ = uninterrupted()
    m = model()
    fit(m, TRAIN, **SETTINGS, checkpoint=tmp_path / "run")
    assert same(weights(whole), weights(m))
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["epoch-00012"]


def test_a_generator_and_the_models_noise_resume_too(tmp_path):
    class Noisy(MF):
        def forward(self, users):
            out = super().forward(users)
            return out._replace(queries=torch.nn.functional.dropout(out.queries, 0.5, self.training))

    def run(**more):
        m = Noisy(SIZE, SIZE, 4, rng=0)
        fit(m, TRAIN, epochs=4, eval_every=1, batch_size=64, rng=np.random.default_rng(3), **more)
        return weights(m)

    with pytest.raises(StoppedError):
        run(checkpoint=tmp_path, callbacks=[stop_at(3)])
    assert same(run(checkpoint=tmp_path), run())


def test_a_finished_run_comes_back_at_once_and_can_be_lengthened(tmp_path):
    first = model()
    fit(first, TRAIN, **SETTINGS, checkpoint=tmp_path)
    again = model()
    history = fit(again, TRAIN, **SETTINGS, checkpoint=tmp_path, callbacks=[stop_at(1), stop_at(12)])
    assert same(weights(first), weights(again))
    assert len(history.rows) == 12
    longer = fit(model(), TRAIN, **{**SETTINGS, "epochs": 14}, checkpoint=tmp_path)
    assert len(longer.rows) == 14
    with pytest.raises(CheckpointMismatchError, match="is at epoch 14, beyond epochs=12"):
        fit(model(), TRAIN, **SETTINGS, checkpoint=tmp_path)


def test_resume_false_starts_over(tmp_path):
    fit(model(), TRAIN, epochs=5, checkpoint=tmp_path, rng=0)
    history = fit(model(), TRAIN, epochs=2, checkpoint=tmp_path, rng=1, resume=False)
    assert len(history.rows) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["epoch-00002"]


class Squares:
    def __init__(self, size):
        self.size = size

    def __call__(self, queries, items):
        return self.size * queries.square().sum()


def squares(size):
    return lambda queries, items: size * queries.square().sum()


def half_made(size):
    def penalty(queries, items):
        return size * queries.square().sum() if size else unknown

    if not size:
        unknown = 0
    return penalty


@pytest.mark.parametrize("kind", [Squares, squares, half_made])
def test_a_penalty_of_ones_own_with_another_number_is_another(tmp_path, kind):
    fit(model(), TRAIN, epochs=1, penalties=[kind(1e-3)], checkpoint=tmp_path)
    fit(model(), TRAIN, epochs=2, penalties=[kind(1e-3)], checkpoint=tmp_path)
    with pytest.raises(CheckpointMismatchError, match=r"penalties: .*0\.001.* in the checkpoint, .*0\.002.* now"):
        fit(model(), TRAIN, epochs=3, penalties=[kind(2e-3)], checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lr": 0.03}, "lr: 0.02 in the checkpoint, 0.03 now"),
        ({"loss": bce}, "loss: 'headtail.losses.mse' in the checkpoint, 'headtail.losses.bce' now"),
        ({"loss": partial(mse, link="sigmoid")}, r"mse\(link='sigmoid'\)"),
        ({"penalties": (ReSN(2e-3),)}, "penalties: .*0.001.* in the checkpoint, .*0.002"),
        ({"validation": None}, r"metric: '.*\.ndcg@20' in the checkpoint, None now; validation: "),
        ({"metric": partial(ndcg, group="tail")}, r"ndcg\(group='tail'\)@20. now"),
        ({"rng": 1}, "rng: 0 in the checkpoint, 1 now"),
        ({"rng": np.random.default_rng(0)}, "rng: 0 in the checkpoint, 'generator "),
        ({"train": part(PARITY & ~DIAGONAL & (np.arange(SIZE) != 3))}, "train: '264 pairs"),
        ({"model": MF(SIZE, SIZE, 5)}, "model.embedding_dim: 4 in the checkpoint, 5 now"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_and_kept(tmp_path, change, field):
    fit(model(), TRAIN, **SETTINGS, checkpoint=tmp_path)
    settings = {**SETTINGS, **change}
    with pytest.raises(CheckpointMismatchError, match=field):
        fit(settings.pop("model", model()), settings.pop("train", TRAIN), **settings, checkpoint=tmp_path)
    assert (tmp_path / "epoch-00012" / "model.safetensors").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "best.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_checkpoint_is_named(tmp_path, name, damage):
    fit(model(), TRAIN, **SETTINGS, checkpoint=tmp_path)
    path = tmp_path / "epoch-00012" / name
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.unlink()
    with pytest.raises(UnreadableFileError, match=name.replace(".", r"\.")):
        fit(model(), TRAIN, **SETTINGS, checkpoint=tmp_path)


def test_an_unwritable_checkpoint_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnreadableFileError, match="is not a folder"):
        fit(model(), TRAIN, checkpoint=tmp_path / "file" / "run", callbacks=[stop_at(1)])


# -- divergence --------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
    calls = []

    def loss(positive, negative):
        calls.append(1)
        # 5 batches an epoch: the second batch of epoch 4 fails.
        return bpr(positive, negative) * (float("nan") if len(calls) == 17 else 1)

    with pytest.raises(TrainingDivergedError, match=r"Epoch 4, batch 2: loss is not finite.*lr=0\.02.*epoch|kept"):
        fit(model(), TRAIN, loss=loss, epochs=9, eval_every=1, batch_size=60, lr=0.02, checkpoint=tmp_path, rng=0)
    assert [p.name for p in tmp_path.iterdir()] == ["epoch-00003"]
    assert all(torch.isfinite(v).all() for v in load_model(tmp_path).state_dict().values())


@pytest.mark.parametrize("n_negatives", [1, "all"])
@pytest.mark.parametrize("returned", [None, 1.0, torch.zeros(()), torch.zeros(1, requires_grad=True)])
def test_a_loss_returns_one_number_with_a_gradient(returned, n_negatives):
    with pytest.raises(InvalidInputError, match=r"loss returned a .*; return one number"):
        fit(model(), TRAIN, loss=lambda *_: returned, n_negatives=n_negatives, epochs=1, rng=0)


def test_a_penalty_returns_one_number():
    with pytest.raises(InvalidInputError, match=r"returned a tensor of shape \(.*, .*\); return one number"):
        fit(model(), TRAIN, penalties=[lambda queries, items: items], epochs=1, rng=0)


def test_a_penalty_that_is_not_finite_is_named():
    class Wild:
        def __call__(self, queries, items):
            return queries.sum() * float("inf")

    with pytest.raises(TrainingDivergedError, match=r"Epoch 1, batch 1: Wild is not finite.*weight of Wild"):
        fit(model(), TRAIN, penalties=[Wild()], rng=0)


def test_gradients_that_are_not_finite_are_found_before_they_are_saved(tmp_path):
    def loss(positive, negative):
        return bpr(positive, negative) + 0 * (positive - positive.detach()).sqrt().sum()  # sqrt has no slope at 0

    with pytest.raises(TrainingDivergedError, match="a weight is not finite"):
        fit(model(), TRAIN, loss=loss, epochs=1, checkpoint=tmp_path, rng=0)
    assert not list(tmp_path.iterdir())


# -- what the caller has switched on or off ----------------------------------------------------------------------------


class Headless(torch.nn.Module):
    """A stranger's model, of which only the call is ours."""

    def __init__(self, n_users, n_items):
        super().__init__()
        torch.manual_seed(0)
        self.of_users, self.of_items = torch.nn.Embedding(n_users, 4), torch.nn.Embedding(n_items, 4)

    def forward(self, users):
        return self.of_users(users), self.of_items.weight


def test_a_model_of_which_only_the_call_is_ours():
    m = Headless(SIZE, SIZE)
    losses = [row["loss"] for row in fit(m, TRAIN, epochs=30, lr=0.1, rng=0).rows]
    assert losses[-1] < losses[0] / 2


def test_frames_and_matrices_are_trained_on():
    expected = weights(trained(validation=HELD_OUT))
    for train, held_out in ((TRAIN.to_polars(), HELD_OUT.to_polars()), (TRAIN.matrix, HELD_OUT.matrix)):
        m = model()
        fit(m, train, validation=held_out, epochs=2, rng=0)
        assert same(weights(m), expected)


def trained(make=None, **arguments):
    m = model() if make is None else make()
    fit(m, TRAIN, epochs=2, rng=0, **arguments)
    return m


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_gradients_are_recorded_where_the_caller_has_none(off):
    made = model()
    with off():
        inside = trained(lambda: made)
    assert same(weights(inside), weights(trained()))
    with torch.inference_mode():
        m = model()
    with pytest.raises(InvalidInputError, match=r"MF was made under torch.inference_mode\(\).*Make it outside"):
        fit(m, TRAIN, epochs=1, rng=0)


@pytest.mark.parametrize("n_negatives", [2, "all"])
def test_under_autocast_losses_and_penalties_keep_their_precision(n_negatives):
    made = {"n_negatives": n_negatives, "penalties": [ReSN(0.1), ReSN(0.1, "sigmoid"), LogDet(0.1)]}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = trained(**made)
    assert same(weights(inside), weights(trained(**made)))


class Tables(torch.nn.Module):
    """Of one table for users and items, which stands in the model twice."""

    def __init__(self, sparse=False):
        super().__init__()
        self.users = torch.nn.Embedding(SIZE, 4, sparse=sparse, _weight=model().users.detach().clone())
        self.items = torch.nn.Embedding(SIZE, 4, sparse=sparse)
        self.items.weight = self.users.weight

    def forward(self, users):
        return Vectors(self.users(users), self.items(torch.arange(SIZE)))


def test_weights_that_stand_in_two_places_are_saved_and_resumed(tmp_path):
    whole, part = Tables(), Tables()
    fit(whole, TRAIN, epochs=3, rng=0)
    fit(part, TRAIN, epochs=1, rng=0, checkpoint=tmp_path)
    part = Tables()
    fit(part, TRAIN, epochs=3, rng=0, checkpoint=tmp_path)
    assert same(weights(whole), weights(part))


def test_embeddings_with_sparse_gradients_train_as_others():
    dense, sparse = Tables(), Tables(sparse=True)
    for each in (dense, sparse):
        fit(each, TRAIN, epochs=2, rng=0)
    torch.testing.assert_close(sparse.users.weight, dense.users.weight)


def test_state_that_is_no_tensor_is_refused():
    class Counting(Tables):
        def get_extra_state(self):
            return {"calls": 3}

    with pytest.raises(InvalidInputError, match="_extra_state in the state of Counting is a dict; make it a tensor"):
        fit(Counting(), TRAIN, epochs=1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_default_type_changes_nothing(dtype):
    m = model()
    torch.set_default_dtype(dtype)  # bfloat16 cannot count beyond 256 steps
    try:
        inside = trained(lambda: m)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(weights(inside), weights(trained()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_models_of_other_types_train(dtype):
    m = trained(lambda: model().to(dtype), penalties=[ReSN(0.1)], validation=HELD_OUT)
    for ours, theirs in zip(
        m.parameters(), trained(penalties=[ReSN(0.1)], validation=HELD_OUT).parameters(), strict=True
    ):
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.float(), theirs, atol=0.02, rtol=0.02)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0}, "lr=0 is out of range"),
        ({"lr": float("nan")}, "lr=nan is out of range"),
        ({"weight_decay": -1}, "weight_decay=-1 is out of range"),
        ({"epochs": 0}, "epochs=0 is out of range"),
        ({"batch_size": 1.5}, "batch_size=1.5 is not a whole number"),
        ({"n_negatives": 0}, "n_negatives=0 is out of range"),
        ({"penalty_every": 0}, "penalty_every=0 is out of range"),
        ({"patience": 0}, "patience=0 is out of range"),
        ({"metric": gini, "validation": HELD_OUT}, "is better when it is lower"),
        ({"model": MF(SIZE + 1, SIZE, 4)}, "the model has n_users=25 and train 24"),
        ({"model": lambda users: None}, "function cannot be trained; give a torch.nn.Module"),
        ({"model": Headless(SIZE, SIZE - 1)}, "the model has vectors of 23 items and train 24"),
        ({"model": model().half()}, "MF has weights in float16, in which Adam's steps overflow"),
        ({"model": torch.nn.LazyLinear(4)}, "LazyLinear has lazy layers, whose sizes are not known"),
        ({"model": torch.nn.Module()}, "Module has no weights that gradients train"),
        ({"train": None}, "train is a NoneType, not a frame"),
        (
            {"validation": part(np.eye(SIZE + 1, dtype=bool), SIZE + 1, SIZE + 1)},
            "validation holds 1 user that train does not have",
        ),
        ({"train": TRAIN.subset(np.zeros(len(TRAIN), dtype=bool))}, "train holds no interactions"),
        ({"train": part(np.ones((SIZE, SIZE), dtype=bool))}, "no negative can be drawn"),
        ({"validation": TRAIN}, "validation pairs can be found in train as well"),
        ({"validation": HELD_OUT.subset(np.zeros(SIZE, dtype=bool))}, "validation holds no interactions"),
        ({"rng": "seed"}, "rng='seed' is neither a seed"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    arguments = {"model": model(), "train": TRAIN, "epochs": 1, **change}
    with pytest.raises(InvalidInputError, match=message):
        fit(**arguments)


# -- models on disk ----------------------------------------------------------------------------------------------------


def test_a_saved_model_comes_back(tmp_path):
    m = model()
    loaded = load_model(save_model(m, tmp_path / "mf"))
    assert same(weights(m), weights(loaded))
    assert not loaded.training
    assert sorted(p.name for p in (tmp_path / "mf").iterdir()) == ["model.json", "model.safetensors"]


def test_a_strangers_model_is_not_saved(tmp_path):
    with pytest.raises(InvalidInputError, match="Linear is not a model of headtail"):
        save_model(torch.nn.Linear(2, 2), tmp_path / "linear")


def hooked(m):
    m.item.register_forward_hook(lambda *_: None)


def doubled(m):
    m.query = torch.nn.ReLU()


def parametrized(m):
    torch.nn.utils.parametrizations.weight_norm(m, "users")


@pytest.mark.parametrize(
    "change", [hooked, doubled, lambda m: torch.nn.utils.prune.l1_unstructured(m, "users", 0.5), parametrized]
)
def test_a_model_that_is_more_than_its_weights_is_not_saved(tmp_path, change):
    m = model()
    change(m)
    with pytest.raises(InvalidInputError, match=r"MF.* (was changed by a hook|is not a model)"):
        save_model(m, tmp_path / "mf")
    assert not (tmp_path / "mf").exists()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"config": {"model": "Evil"}}, CheckpointMismatchError, "'Evil' is not a model of this version"),
        ({"config": {"model": "MF", "size": 3}}, CheckpointMismatchError, "arguments that MF does not"),
        (
            {"config": {"model": "MF", "n_users": 9, "n_items": 24, "embedding_dim": 4}},
            CheckpointMismatchError,
            r"users: \(24, 4\) in the file, \(9, 4\) in the model",
        ),
        (
            {"config": {"model": "MF", "n_users": 2**31 - 1, "n_items": 24, "embedding_dim": 64}},
            CheckpointMismatchError,
            "fits no weights of 192 numbers",  # not half a terabyte of other ones first
        ),
        ({"config": "MF"}, UnreadableFileError, "does not say which model"),
        ({"config": {"model": ["MF"]}}, UnreadableFileError, "does not say which model"),
        ({"format": 2}, UnreadableFileError, "is not of format 1"),
    ],
)
def test_a_model_folder_that_is_not_right_is_refused(tmp_path, values, error, message):
    save_model(model(), tmp_path / "mf")
    write_json({"format": 1, **values}, tmp_path / "mf" / "model.json")
    with pytest.raises(error, match=message):
        load_model(tmp_path / "mf")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_pipe_in_place_of_a_model_is_refused(tmp_path, name):
    path = save_model(model(), tmp_path / "mf") / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UnreadableFileError, match="is a pipe or a device"):
        load_model(tmp_path / "mf")


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_a_missing_or_truncated_model_is_refused(tmp_path, name):
    with pytest.raises(UnreadableFileError, match="does not exist"):
        load_model(tmp_path / "nowhere")
    path = save_model(model(), tmp_path / "mf") / name
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(UnreadableFileError, match="truncated"):
        load_model(tmp_path / "mf")
    path.unlink()
    with pytest.raises(UnreadableFileError, match=name):
        load_model(tmp_path / "mf")
    path.write_bytes(whole)
    load_model(tmp_path / "mf")


@pytest.mark.parametrize("width", [30, 42, 100])
def test_title_and_forecast_are_whole_in_a_narrow_terminal(width, monkeypatch, capsys):
    for name, value in {"COLUMNS": str(width), "TTY_COMPATIBLE": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    with progress_bar("correct", 3, show=True) as move:
        for i in range(3):
            move(1, f"tilt (alpha-fair) 0.{i}, ndcg@20 0.1234")
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err).rstrip("\n").split("\r")[-1].split("\n")[-1]
    assert re.match(r"correct ?\S* 0:00:00 tilt", last) and len(last) <= width


def test_a_model_that_learns_nothing_is_refused():
    class Beside(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused, self.held = torch.nn.Parameter(torch.zeros(3)), [torch.ones(30, 2, requires_grad=True)]

        def forward(self, users):
            return Vectors(self.held[0][users], self.held[0])

    with pytest.raises(InvalidInputError, match="the loss depends on no parameter of the model"):
        fit(Beside(), checkerboard(30, 30).train, epochs=1)


def test_what_callbacks_record_besides_numbers_leaves_the_report_readable():
    def record(_, row):
        row |= {"lengths": [1, 2], "deep": {"a": 1}, "share": 0.5}

    history = fit(model(), TRAIN, epochs=2, rng=0, callbacks=[record])
    assert history.rows[0]["lengths"] == [1, 2]
    assert "share" in history.to_text() and "lengths" not in history.to_text()


class Returns(torch.nn.Module):
    def __init__(self, made):
        super().__init__()
        self.users, self.items = (torch.nn.Parameter(torch.ones(n, 2)) for n in (TRAIN.n_users, TRAIN.n_items))
        self.made = made

    def forward(self, users):
        return self.made(self.users[users], self.items)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda q, v: None, "Returns returned a NoneType; return Vectors"),
        (lambda q, v: q @ v.T, "Returns returned a Tensor; return Vectors"),
        (lambda q, v: (q[:1], v), "Returns returned queries of shape"),
        (lambda q, v: (q[:, :1], v), "What Returns returned: queries has shape"),
        (lambda q, v: {"queries": q, "items": v}, "Returns returned a dict; return Vectors"),
        (lambda q, v: (q[:, 0], v[:, 0]), "What Returns returned: queries is a Tensor"),
    ],
)
def test_a_model_that_returns_something_else_is_named(made, said):
    with pytest.raises(InvalidInputError, match=f"^{said}"):
        fit(Returns(made), TRAIN, epochs=1, batch_size=50, rng=0)


def test_a_sequential_model_returns_a_state_for_each_place():
    class Short(SASRec):
        def states(self, sequences):
            queries, items = super().states(sequences)
            return queries[:, :1], items

    with pytest.raises(InvalidInputError, match=r"^Short returned queries of shape .* places of sequences"):
        fit(Short(TRAIN.n_items, 5, 8, rng=0), replace(TRAIN, timestamps=np.arange(float(len(TRAIN)))), epochs=1, rng=0)
