"""Kills and damage: a folder is the former or the new one, and a flipped bit never passes for what was written."""

import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from headtail._checksums import read_json, write_json
from headtail._files import writing
from headtail.exceptions import HeadtailError, UnreadableFileError

torch = pytest.importorskip("torch")

from headtail.cli import main  # noqa: E402
from headtail.cli._folders import read_known  # noqa: E402
from headtail.data import write_interactions  # noqa: E402
from headtail.datasets import power_law  # noqa: E402
from headtail.models import MF  # noqa: E402
from headtail.sae import (  # noqa: E402
    TopKSAE,
    contrast,
    find_neurons,
    fit_sae,
    load_neurons,
    load_sae,
    load_steered,
    save_neurons,
    save_sae,
    save_steered,
    steer,
)
from headtail.subjects import Subject  # noqa: E402
from headtail.tradeoffs import sweep  # noqa: E402
from headtail.training import fit, load_model, save_model  # noqa: E402

WORLD = power_law(60, 30, n_interactions=330, rng=0).interactions
MODEL = MF(WORLD.n_users, WORLD.n_items, 4, rng=0)
NEURONS = find_neurons(TopKSAE(4, expansion=2, k=2, rng=0), contrast(MODEL, WORLD), WORLD, rng=0)

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills are made in forked processes")

KILLS = """
    import os, signal, sys

    CALLS = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir")

    def killed_at(n, work):
        '''Do the work in a process that is killed at its n-th change on the disk; return whether it came that far.'''
        child = os.fork()
        if child:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, -signal.SIGKILL), status
            return status != 0
        calls = 0

        def counted(call):
            def counting(*args, **options):
                nonlocal calls
                calls += 1
                if calls == n:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **options)
            return counting

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        try:
            work()
            open("changes", "w").write(str(calls))
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)

"""


def run_script(script, folder):
    code = textwrap.dedent(KILLS) + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@posix
@pytest.mark.parametrize("exchange", ["one step", "two moves"])
def test_a_kill_leaves_the_former_folder_or_the_new_one(tmp_path, exchange):
    script = f"""
    import ctypes, shutil
    from pathlib import Path
    from headtail._files import atomic_folder

    if {exchange == "two moves"}:
        ctypes.CDLL = None  # as on a system that cannot exchange two folders

    def write(text):
        with atomic_folder("out") as folder:
            for name in "abc":
                (folder / name).write_text(text)

    def content(folder):
        return "".join(sorted(file.read_text() for file in folder.glob("?")))

    n = 0
    while True:
        n += 1
        write("1")
        if not killed_at(n, lambda: write("2")):
            break
        print(content(Path("out")) if Path("out").exists() else "hidden:" + ",".join(
            sorted(map(content, Path(".").glob(".out.*")))))
        for rest in Path(".").glob("*out*"):
            shutil.rmtree(rest)
    """
    found = run_script(script, tmp_path)
    assert set(found) == {"111", "222", *(["hidden:111,222"] if exchange == "two moves" else [])}


@posix
def test_train_leaves_the_former_folder_or_the_new_one(tmp_path):
    """Killed in training, and at changes of the disk while the model and what it knows are written."""
    script = """
    import contextlib, io, shutil
    from pathlib import Path
    import torch, polars, headtail.training.loop  # only loaded: thread pools do not survive a fork
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # loads the compiler
    from headtail.cli import main

    def train(folder, seed):
        with contextlib.redirect_stdout(io.StringIO()):
            options = ["--epochs", "1", "--embedding-dim", "4", "--k", "5", "--json"]
            assert main(["train", "world.parquet", *options, "-o", folder, "--seed", seed]) == 0

    def is_that_of(seed):
        same = [name for name in ("model.safetensors", "interactions.parquet") if Path("out", name).read_bytes()
                == Path(f"made-{seed}", name).read_bytes()]
        return len(same) == 2

    for seed in "01":
        killed_at(0, lambda: train(f"made-{seed}", seed))
    total = int(Path("changes").read_text())
    for n in (total // 3, *range(total - 12, total + 1, 3)):
        shutil.copytree("made-0", "out")
        killed_at(n, lambda: train("out", "1"))
        print([seed for seed in "01" if is_that_of(seed)][0])
        for rest in ("out", "out.checkpoint"):
            shutil.rmtree(rest, ignore_errors=True)
    """
    write_interactions(WORLD, tmp_path / "world.parquet")
    assert set(run_script(script, tmp_path)) == {"0", "1"}


@posix
def test_what_is_kept_of_a_run_goes_as_a_whole(tmp_path):
    """A kill while it is removed leaves nothing that the next run, maybe of other settings, would take for its own."""
    script = """
    from pathlib import Path
    from headtail.cli._folders import resumable

    def finish():
        with resumable(Path("out"), set()):
            pass

    n, kept = 0, Path("out.checkpoint")
    while True:
        n += 1
        kept.mkdir(exist_ok=True)
        for name in "abc":
            (kept / name).write_text(name)
        if not killed_at(n, finish):
            break
        print(len(list(kept.glob("?"))))
    print(len(list(Path(".").glob("*out*"))) - len(list(Path(".").glob("*.lock"))))
    """
    found = run_script(script, tmp_path)
    assert set(found[:-1]) == {"3", "0"}, "whole or gone"
    assert found[-1] == "0", "what killed runs left goes with the next one"


# -- flipped bits ------------------------------------------------------------------------------------------------------


def train_model(folder):
    write_interactions(WORLD, folder.parent / "world.parquet")
    options = ["--epochs", "1", "--embedding-dim", "4", "--k", "5", "--json"]
    assert main(["train", str(folder.parent / "world.parquet"), "-o", str(folder), *options]) == 0


def numbers(module):
    return [p.tolist() for p in module.state_dict().values()]


def known(folder):
    return [part.fingerprint for part in read_known(folder)], numbers(load_model(folder))


def go_on(folder):
    """Resume a finished run of two epochs with a third one."""
    model = MF(WORLD.n_users, WORLD.n_items, 4, rng=0)
    history = fit(model, WORLD, epochs=3, checkpoint=folder, rng=0)
    return [{**row, "seconds": 0} for row in history.rows], numbers(model)


def go_on_sae(folder):
    sae = TopKSAE(4, expansion=2, k=2, rng=0)
    fit_sae(sae, NEURONS.source.contrast.real, epochs=3, batch_size=32, checkpoint=folder, rng=0)
    return numbers(sae)


def swept(folder):
    split = power_law(60, 30, n_interactions=330, rng=0).interactions
    from headtail.data import split_ratio

    frontier = sweep("shrink", Subject(MODEL, split_ratio(split, rng=0), k=5), grid=[0.0], folder=folder)
    return frontier.to_dict()


WRITERS = {
    "model": (lambda folder: save_model(MODEL, folder), lambda folder: numbers(load_model(folder))),
    "trained": (train_model, known),
    "run": (
        lambda folder: fit(MF(WORLD.n_users, WORLD.n_items, 4, rng=0), WORLD, epochs=2, checkpoint=folder, rng=0),
        go_on,
    ),
    "run of an autoencoder": (
        lambda folder: fit_sae(
            TopKSAE(4, expansion=2, k=2, rng=0),
            NEURONS.source.contrast.real,
            epochs=2,
            batch_size=32,
            checkpoint=folder,
            rng=0,
        ),
        go_on_sae,
    ),
    "autoencoder": (
        lambda folder: save_sae(NEURONS.source.sae, folder),
        lambda folder: (load_sae(folder).k, numbers(load_sae(folder))),
    ),
    "steered": (
        lambda folder: save_steered(steer(MODEL, NEURONS.source.sae, NEURONS), folder),
        lambda folder: (numbers(load_steered(folder)), load_steered(folder).layer, load_steered(folder).output),
    ),
    "neurons": (
        lambda folder: save_neurons(NEURONS, folder),
        lambda folder: (load_neurons(folder).to_dict(), load_neurons(folder).source.contrast.real.tolist()),
    ),
    "sweep": (swept, swept),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_flipped_bit_is_found(tmp_path, kind):
    write, read = WRITERS[kind]
    whole, damaged = tmp_path / "whole", tmp_path / "damaged"
    write(whole)
    shutil.copytree(whole, damaged)
    right = json.dumps(read(damaged))
    rng = np.random.default_rng(0)
    names = [path.relative_to(whole) for path in sorted(whole.rglob("*")) if path.is_file()]
    for name in names:
        for place in rng.integers(8 * (whole / name).stat().st_size, size=8):
            shutil.rmtree(damaged)
            shutil.copytree(whole, damaged)
            content = bytearray((whole / name).read_bytes())
            content[place // 8] ^= 1 << (place % 8)
            (damaged / name).write_bytes(content)
            try:
                found = json.dumps(read(damaged))
            except HeadtailError:
                continue
            assert found == right, (name, place)  # as in a digit beyond a number's precision


def test_json_of_the_right_sum_and_none_other_is_read(tmp_path):
    path, beside = tmp_path / "state.json", tmp_path / "weights"
    beside.write_bytes(b"1234")
    values = {"format": 1, "epoch": 3, "nan": float("nan"), "deep": {"value": np.float32(0.1), "array": np.arange(2)}}
    write_json(values, path, [beside])
    assert read_json(path)["deep"] == {"value": float(np.float32(0.1)), "array": [0, 1]}
    written = json.loads(path.read_text())
    for change in ({"epoch": "3"}, {"epoch": -3}, {"checksum": None}, {"checksums": {}}, {"more": 1}):
        path.write_text(json.dumps(written | change))
        with pytest.raises(UnreadableFileError, match=r"state\.json is not what headtail wrote"):
            read_json(path)
    path.write_text(json.dumps(written))
    for content in (b"1235", b"123", b"12345"):
        beside.write_bytes(content)
        with pytest.raises(UnreadableFileError, match="weights is not what was written with state"):
            read_json(path)


# -- two writers -------------------------------------------------------------------------------------------------------


@posix
def test_a_folder_has_one_writer_and_a_dead_one_is_none(tmp_path):
    script = """
    import time
    from headtail._files import writing
    with writing("out"):
        print("here", flush=True)
        time.sleep(60)
    """
    path = tmp_path / "out"
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout.readline() == "here\n"
        with pytest.raises(UnreadableFileError, match=f"process {other.pid} is writing it"), writing(path):
            pass
        with pytest.raises(UnreadableFileError, match="is writing it"):
            fit(MODEL, WORLD, epochs=1, checkpoint=path)
        other.kill()
    with writing(path):
        assert [file.name for file in tmp_path.iterdir()] == [".out.lock"]
    assert not list(tmp_path.iterdir())


def test_other_things_in_a_folder_are_not_replaced(tmp_path, capsys):
    write_interactions(WORLD, tmp_path / "world.parquet")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    for verb in (
        ["train", "world.parquet"],
        ["probe", "model"],
        ["correct", "model", "--probe", "probe"],
        ["data", str(tmp_path / "world.parquet"), "--split", "ratio"],
    ):
        assert main([*verb, "--to" if verb[0] == "data" else "--output", str(tmp_path / "out")]) == 2
        assert "it holds other things: 'thesis.tex'" in capsys.readouterr().err
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


def stop_at(epoch):
    def callback(model, row):
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return callback


def test_ctrl_c_says_what_is_kept(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    for epoch, checkpoint, said in (
        (2, None, "Nothing is kept; with a folder for checkpoint="),
        (1, folder, "Nothing is kept, for no epoch was saved yet."),
        (3, folder, f"Epoch 2 is kept in {folder}; run the same again"),
    ):
        model = MF(WORLD.n_users, WORLD.n_items, 4, rng=0)
        with pytest.raises(KeyboardInterrupt) as stopped:
            fit(model, WORLD, epochs=4, eval_every=1, checkpoint=checkpoint, callbacks=[stop_at(epoch)], rng=0)
        assert stopped.value.__notes__[0].startswith(said)
    assert [path.name for path in folder.iterdir()] == ["epoch-00002"]

    write_interactions(WORLD, tmp_path / "world.parquet")
    import headtail.training

    given = headtail.training.fit
    command = ["train", str(tmp_path / "world.parquet"), "-o", str(tmp_path / "model"), "--epochs", "4", "--k", "5"]
    with monkeypatch.context() as patch:
        stopping = lambda *args, **options: given(*args, **options, eval_every=1, callbacks=[stop_at(3)])  # noqa: E731
        patch.setattr(headtail.training, "fit", stopping)
        assert main(command) == 130
    assert f"Epoch 2 is kept in {tmp_path}/model.checkpoint; run the same again" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    monkeypatch.setattr(headtail.training, "fit", lambda *args, **options: given(*args, **options, eval_every=1))
    assert main([*command, "--json"]) == 0
    out = capsys.readouterr().out
    assert [row["epoch"] for row in json.loads(out)["rows"]] == [1, 2, 3, 4]
