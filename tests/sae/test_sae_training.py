"""Training: the loss against a naive one, unit rows, dead neurons, early stopping, files, resuming to the bit."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from headtail._checksums import write_json
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, TrainingDivergedError, UnreadableFileError
from headtail.sae import TopKSAE, fit_sae, stability
from headtail.sae.rows import _in_windows
from headtail.sae.training import _losses, _step


def world(n=600, d=6, directions=12, seed=0):
    """Vectors that are sums of two of a few directions, away from the origin."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((directions, d))
    chosen = np.stack([rng.permutation(directions)[:2] for _ in range(n)])
    return (atoms[chosen].sum(axis=1) + 5).astype(np.float32)


DATA = world()


def autoencoder(seed=0, **sizes):
    return TopKSAE(**({"d_in": 6, "n_neurons": 32, "k": 4, "rng": seed} | sizes))


def run(sae=None, data=DATA, **changes):
    sae = autoencoder() if sae is None else sae
    given = {"epochs": 6, "batch_size": 50, "lr": 0.01, "rng": 0}
    return sae, fit_sae(sae, data, **(given | changes))


def weights(sae):
    return torch.cat([p.detach().flatten() for p in sae.parameters()])


def fvu(sae, x, mean):
    x, mean = torch.as_tensor(x), torch.as_tensor(mean)
    with torch.no_grad():
        return float((sae(x) - x).square().sum() / (x - mean).square().sum())


def test_it_learns_and_keeps_unit_rows():
    sae, history = run(epochs=30)
    assert history.metric == "fvu" and history.better == "lower" and history.best_value < 0.05
    torch.testing.assert_close(sae.decoder.norm(dim=1), torch.ones(32))
    assert not sae.training
    assert "fvu" in history.report().to_text() and "dead" in history.report().to_text()


def test_the_autoencoder_takes_the_vectors_as_they_are_and_reaches_the_best_fvu():
    held_out = world(100, seed=3)
    sae, history = run(validation=held_out)
    assert fvu(sae, held_out, DATA.mean(axis=0)) == pytest.approx(history.best_value, rel=1e-4)
    assert history.best_value == min(row["fvu"] for row in history.rows)


def test_scale_and_place_of_the_vectors_do_not_matter():
    held_out = world(100, seed=3)
    one, first = run(validation=held_out)
    two, second = run(data=DATA * 64 + 1000, validation=held_out * 64 + 1000)
    assert second.best_value == pytest.approx(first.best_value, rel=1e-2)
    torch.testing.assert_close(two.encoder, one.encoder, rtol=0.02, atol=2e-3)
    torch.testing.assert_close(two.bias, one.bias * 64 + 1000, rtol=1e-3, atol=0.1)


def test_a_trained_one_goes_on_from_its_weights():
    held_out = world(100, seed=3)
    sae, first = run(validation=held_out, epochs=20)
    _, second = run(sae, validation=held_out, epochs=1, lr=1e-12)
    assert second.best_value == pytest.approx(first.best_value, rel=1e-3)


def test_a_new_one_starts_from_the_data_and_a_trained_one_from_its_weights():
    short = {"validation": 0, "epochs": 1, "lr": 1e-12}
    torch.testing.assert_close(weights(run(**short)[0]), weights(run(start="data", **short)[0]))
    given = autoencoder()
    with torch.no_grad():
        given.encoder_bias += 0.1
    rows = given.decoder.detach().clone()
    torch.testing.assert_close(run(given, **short)[0].decoder.detach(), rows)


def naive_losses(sae, x, dead):
    pre = (x - sae.bias) @ sae.encoder.T + sae.encoder_bias

    def reconstruct(pre, k):
        values, neurons = pre.relu().topk(k, dim=1)
        return torch.zeros_like(pre).scatter(1, neurons, values) @ sae.decoder

    error = x - (reconstruct(pre, sae.k) + sae.bias)
    n_dead = int(dead.sum())
    pre_dead = (x - sae.bias.detach()) @ sae.encoder.T + sae.encoder_bias
    explained = reconstruct(pre_dead.masked_fill(~dead, -torch.inf), min(2 * sae.d_in, n_dead))
    auxiliary = (explained - error.detach()).square().sum() * min(n_dead / (2 * sae.d_in), 1)
    return error.square().sum() / x.numel(), auxiliary / x.numel()


@pytest.mark.parametrize("n_dead", [1, 5, 20])
def test_losses_and_gradients_equal_the_naive_ones(n_dead):
    sae = autoencoder()
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    dead = torch.zeros(32, dtype=torch.bool)
    dead[torch.from_numpy(np.random.default_rng(0).permutation(32)[:n_dead])] = True
    with torch.no_grad():
        sae.bias += 0.3
        sae.encoder_bias[dead] -= 0.2
    ours = _losses(sae, x, torch.where(dead, 100, 0), dead_after=100)
    (ours[0] + 0.5 * ours[1]).backward()
    mine = [p.grad.clone() for p in sae.parameters()]
    sae.zero_grad()
    theirs = naive_losses(sae, x, dead)
    (theirs[0] + 0.5 * theirs[1]).backward()
    torch.testing.assert_close(ours, theirs)
    for grad, p in zip(mine, sae.parameters(), strict=True):
        torch.testing.assert_close(grad, p.grad, rtol=1e-4, atol=1e-6)


def test_a_silent_neuron_counts_rows_until_it_fires():
    sae = autoencoder(k=1)
    x = sae.decoder.detach()[[3, 3, 7]] * 2  # only neurons 3 and 7 are the most active
    silent = torch.full((32,), 10)
    _losses(sae, x, silent, dead_after=10_000)
    assert silent[[3, 7]].tolist() == [0, 0] and set(silent.tolist()) == {0, 13}


def test_dead_neurons_learn_what_the_others_leave_over():
    def auxiliary(aux_weight):
        sae = autoencoder(n_neurons=64, k=2)
        with torch.no_grad():
            sae.encoder_bias[:48] = -1.0  # asleep at the start
        _, history = run(sae, aux_weight=aux_weight, epochs=12, dead_after=500, patience=None)
        assert history.rows[-1]["dead"] > 0
        return history.rows[-1]["auxiliary"] / history.rows[-1]["loss"]

    assert auxiliary(0.5) < auxiliary(1e-9) - 0.1  # the share of the residual that they leave unexplained


def test_a_start_from_the_data_has_its_directions_and_its_size_and_is_found_again():
    ways = (DATA - DATA.mean(axis=0)) / np.linalg.norm(DATA - DATA.mean(axis=0), axis=1, keepdims=True)
    begun, _ = run(start="data", validation=0, epochs=1, lr=1e-9)
    cosines = begun.decoder.detach().numpy() @ ways.T
    assert (cosines.max(axis=1) > 0.9999).all() and len(set(cosines.argmax(axis=1))) == 32
    with torch.no_grad():
        vectors = torch.as_tensor(DATA)
        x, rebuilt = (each - vectors.mean(dim=0) for each in (vectors, begun(vectors)))
    assert float((x * rebuilt).sum() / rebuilt.square().sum()) == pytest.approx(1, rel=1e-3)
    agreement = {
        start: stability([run(autoencoder(seed), start=start, rng=seed)[0] for seed in (0, 1)], DATA)
        for start in ("given", "data")
    }
    assert agreement["data"] > agreement["given"] + 0.05
    few, _ = run(autoencoder(), data=DATA[:9], start="data", validation=0, epochs=1, lr=1e-9)
    torch.testing.assert_close(few.decoder[9:], autoencoder().decoder[9:], atol=1e-4, rtol=0)


def test_it_stops_early_and_keeps_the_best():
    sae, history = run(validation=world(50, directions=3, seed=9), epochs=200, patience=2, lr=0.05)
    assert len(history.rows) == history.best_epoch + 2 < 200
    assert fvu(sae, world(50, directions=3, seed=9), DATA.mean(axis=0)) == pytest.approx(history.best_value, rel=1e-3)


def test_without_validation_it_runs_to_the_end():
    _, history = run(validation=0, epochs=4)
    assert history.metric is None and len(history.rows) == 4 and "fvu" not in history.rows[0]


def test_the_loss_of_the_history_is_the_mean_over_rows():
    sae = autoencoder()
    _, history = run(sae, start="given", lr=1e-12, epochs=1, validation=0, batch_size=175)  # the last batch is shorter
    scaled = torch.from_numpy(DATA - DATA.mean(axis=0)) / float((DATA - DATA.mean(axis=0)).std())
    with torch.no_grad():
        expected = autoencoder()(scaled).sub(scaled).square().sum() / scaled.square().sum()
    assert history.rows[0]["loss"] == pytest.approx(float(expected), rel=1e-3)


def test_arrays_tensors_and_mapped_files_are_all_taken(tmp_path):
    one, _ = run()
    two, _ = run(data=torch.from_numpy(DATA).double())
    assert torch.equal(weights(one), weights(two))
    np.save(tmp_path / "x.npy", DATA.astype(np.float16))
    _, history = run(data=np.load(tmp_path / "x.npy", mmap_mode="r"), epochs=30)
    assert history.best_value < 0.05


def test_windows_hold_every_row_once_and_stay_local(monkeypatch):
    monkeypatch.setattr("headtail.sae.rows._PIECE", 10)
    monkeypatch.setattr("headtail.sae.rows._PIECES", 5)
    rows = np.arange(0, 2000, 2)
    order = _in_windows(rows, np.random.default_rng(0))
    assert sorted(order.tolist()) == rows.tolist() and order.tolist() != rows.tolist()
    assert len(set(order[:50] // 20)) == 5  # the first window reads five pieces only


def test_seeds_and_the_global_random_state():
    before = torch.get_rng_state()
    one, two, other = (run(rng=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(weights(one), weights(two)) and not torch.equal(weights(one), weights(other))
    assert torch.equal(torch.get_rng_state(), before)


def test_progress_bar_goes_to_standard_error(capsys):
    run(epochs=2, progress=True)
    out, err = capsys.readouterr()
    assert "autoencoder" in err and not out


# -- checkpoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_run_that_was_stopped_resumes_to_the_same_bits(tmp_path, epoch):
    changes = {"dead_after": 300, "epochs": 8}
    whole, expected = run(**changes)
    run(checkpoint=tmp_path / "run", **(changes | {"epochs": epoch}))
    resumed, history = run(checkpoint=tmp_path / "run", **changes)
    assert torch.equal(weights(whole), weights(resumed))
    assert [row["fvu"] for row in history.rows] == [row["fvu"] for row in expected.rows]
    assert len(list((tmp_path / "run").iterdir())) == 1


def test_a_killed_process_resumes_to_the_same_bits(tmp_path):
    script = """
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {here!r})
        from test_sae_training import run
        from headtail.training import checkpoints
        import headtail.sae.training as training
        step, count = training._step, 0
        def dying(*args):
            global count
            count += 1
            if count == 50:
                os.kill(os.getpid(), signal.SIGKILL)
            step(*args)
        training._step = dying
        run(checkpoint={folder!r})
    """
    here, folder = os.path.dirname(__file__), str(tmp_path / "run")  # noqa: PTH120
    script = textwrap.dedent(script).format(here=here, folder=folder)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert found.returncode == -signal.SIGKILL, found.stderr
    resumed, _ = run(checkpoint=folder)
    assert torch.equal(weights(resumed), weights(run()[0]))


def test_resume_false_starts_over(tmp_path):
    run(checkpoint=tmp_path, epochs=2)
    _, history = run(checkpoint=tmp_path, epochs=1, resume=False)
    assert len(history.rows) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.02}, "lr: 0.01 in the checkpoint, 0.02 now"),
        ({"data": world(seed=5)}, "activations: "),
        ({"sae": autoencoder(seed=7)}, "weights: "),
        ({"sae": autoencoder(k=3)}, "model.k: 4 in the checkpoint, 3 now"),
        ({"epochs": 1}, "at epoch 2, beyond epochs=1"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, changes, message):
    run(checkpoint=tmp_path, epochs=2)
    with pytest.raises(CheckpointMismatchError, match=message):
        run(checkpoint=tmp_path, **changes)


def test_a_damaged_checkpoint_is_named(tmp_path):
    run(checkpoint=tmp_path, epochs=2)
    path = tmp_path / "epoch-00002" / "state.json"
    state = json.loads(path.read_text())
    del state["stale"]
    path.write_text(json.dumps(state))
    with pytest.raises(UnreadableFileError, match=r"state\.json is not what headtail wrote"):
        run(checkpoint=tmp_path)
    write_json({name: value for name, value in state.items() if "checksum" not in name}, path)
    with pytest.raises(UnreadableFileError, match="lacks 'stale'"):
        run(checkpoint=tmp_path)


# -- what cannot work --------------------------------------------------------------------------------------------------


def broken(value):
    data = DATA.copy()
    data[17, 2] = value
    return data


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": broken(np.nan), "validation": 0}, "not finite, first in row 17"),
        ({"data": broken(np.inf), "validation": 0.5}, "not finite, first in row 17"),
        ({"validation": broken(np.nan)}, "validation hold values that are not finite, first in row 17"),
        ({"data": np.full((50, 6), 3.3, np.float32)}, "all 48 activations are the same vector"),
        ({"data": DATA[:, :5]}, "activations have width 5, the autoencoder has 6"),
        ({"validation": DATA[:, :5]}, "validation have width 5"),
        ({"data": DATA[0]}, r"shape \(n, d\); this is an ndarray of shape \(6,\)"),
        ({"data": DATA.tolist()}, "this is a list"),
        ({"data": DATA[:1]}, "hold 1 row;"),
        (
            {"validation": np.tile(DATA.mean(axis=0, dtype=float), (2, 1))},
            "all validation vectors are the mean of the activations",
        ),
        ({"validation": 0.9}, "validation=0.9 is out of range"),
        ({"lr": 0}, "lr=0 is out of range"),
        ({"start": "zero"}, "start='zero' is not known"),
        ({"aux_weight": -1}, "aux_weight=-1 is out of range"),
        ({"dead_after": 0}, "dead_after=0 is out of range"),
        ({"patience": 0}, "patience=0 is out of range"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        run(**changes)


def test_a_run_that_diverges_stops_and_leaves_everything_as_it_was(tmp_path):
    run(checkpoint=tmp_path, epochs=1)
    kept = sorted(path.name for path in tmp_path.iterdir())
    sae = autoencoder()
    before = weights(sae).clone()
    with pytest.raises(TrainingDivergedError, match=r"Epoch 1, batch .* is not finite"):
        run(sae, checkpoint=tmp_path, lr=1e15, resume=False)
    assert torch.equal(weights(sae), before)
    assert sorted(path.name for path in tmp_path.iterdir()) == kept


def test_frozen_weights_are_refused():
    with pytest.raises(InvalidInputError, match="decoder of the autoencoder does not require gradients"):
        run(autoencoder().requires_grad_(False))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_autoencoders_of_other_types_train_in_float32(dtype):
    sae, history = run(autoencoder().to(dtype))
    plain, expected = run(autoencoder().to(dtype).float())
    assert history.best_value == expected.best_value
    assert sae.decoder.dtype == dtype
    assert torch.equal(weights(sae), weights(plain).to(dtype))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, ::-1].copy()[:, ::-1],
        lambda x: x.astype(">f4"),
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.longdouble),
        lambda x: torch.tensor(x).double(),
    ],
)
def test_vectors_of_any_layout(change):
    assert torch.equal(weights(run(data=change(DATA), epochs=1)[0]), weights(run(epochs=1)[0]))


@pytest.mark.parametrize("data", [DATA.astype(str), DATA.astype(object), None, DATA.tolist(), DATA + 1j])
def test_what_is_no_array_of_numbers_is_refused(data):
    with pytest.raises(InvalidInputError, match="activations"):
        run(data=data)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_it_trains_whatever_the_caller_has_switched_on_or_off(off):
    sae = autoencoder()
    with off():
        run(sae)
    assert torch.equal(weights(sae), weights(run()[0]))
    with torch.inference_mode():
        sae = autoencoder()
    with pytest.raises(InvalidInputError, match=r"TopKSAE was made under torch.inference_mode\(\)"):
        run(sae)


def test_the_number_of_threads_changes_nothing_and_is_given_back(monkeypatch):
    """All threads are quicker, then one is, as the clock has it."""
    used = []

    def step(*arguments):
        used.append(torch.get_num_threads())
        _step(*arguments)

    monkeypatch.setattr("headtail.sae.training._step", step)
    vectors = np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float32)
    given, found = torch.get_num_threads(), []
    try:
        for quicker, ticks in ((2, (0, 1, 0, 9)), (1, (0, 9, 0, 1))):
            torch.set_num_threads(2)
            ticking = iter(3 * ticks)
            monkeypatch.setattr(time, "perf_counter", lambda ticking=ticking: next(ticking, 0))
            sae = TopKSAE(16, 32, 8, rng=0)
            history = fit_sae(sae, vectors, epochs=2, batch_size=1000, dead_after=1000, rng=0, progress=False)
            assert torch.get_num_threads() == 2 and set(used) == {quicker}
            used.clear()
            found.append((history.rows, sae.state_dict()))
    finally:
        torch.set_num_threads(given)
    assert found[0][0] == found[1][0]
    assert all(torch.equal(value, found[1][1][name]) for name, value in found[0][1].items())
