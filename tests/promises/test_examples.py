"""The examples run as they stand, with little training."""

import importlib.util
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.usefixtures("few_tweets")


def test_every_example_is_run_here():
    code = Path(__file__).read_text(encoding="utf-8")
    for example in EXAMPLES.glob("*.py"):
        assert f'"{example.name}"' in code, f"{example.name} has no test"


def test_resn_in_your_own_loop(run):
    example = EXAMPLES / "resn_in_your_own_loop.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 80
    output = run(example, "--epochs", 2)
    rows = re.findall(r"(without|with) ReSN" + r" +(\d\.\d+)" * 4, output)
    assert [row[0] for row in rows] == ["without", "with"]
    assert rows[0][1:] != rows[1][1:]


def alphas(output):
    rows = [row.split() for row in output.split("alpha", 1)[1].splitlines()[1:]]
    return [float(row[0]) for row in rows], [float(row[2 if len(row) == 4 else 1]) for row in rows]


def test_steer_gru4rec(run):
    example = EXAMPLES / "steer_gru4rec.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 80
    dial, accuracy = alphas(run(example, "--epochs", 2))
    assert dial == [0.0, 0.25, 0.5, 1.0]
    assert len(set(accuracy)) == 4


def test_steer_implicit_factors(run, tmp_path):
    output = run(EXAMPLES / "steer_implicit_factors.py", "--epochs", 3, "--out", tmp_path / "factors.npz")
    assert "these factors are by" in output
    assert len(set(alphas(output)[1])) == 4
    factors = np.load(tmp_path / "factors.npz")
    assert factors["users"].shape[1] == factors["items"].shape[1] == 64


def test_steer_recbole_sasrec(run):
    output = run(EXAMPLES / "steer_recbole_sasrec.py", "--epochs", 2)
    assert "this shows the way, not a result" in output
    assert alphas(output)[0] == [0.0, 0.5, 1.0]


def recbole_example():
    spec = importlib.util.spec_from_file_location("steer_recbole_sasrec", EXAMPLES / "steer_recbole_sasrec.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_recbole_model_equals_its_definition():
    """One head and one layer written out, for a history that does and one that does not fill the sequence."""
    torch = pytest.importorskip("torch")
    from torch.nn.functional import gelu, layer_norm, linear

    example = recbole_example()
    w = {k: v for k, v in example.stand_in(9, dim=4, length=3).items() if ".layer.1." not in k}
    model = example.SASRec(w, n_heads=1).eval()

    def norm(x, name):
        return layer_norm(x, (4,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-12)

    def dense(x, name):
        return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    for history in ([5, 2], [1, 7, 3]):
        x = norm(w["item_embedding.weight"][torch.tensor(history) + 1] + w["position_embedding.weight"][: len(history)],
                 "LayerNorm")  # fmt: skip
        p = "trm_encoder.layer.0.multi_head_attention"
        q, k, v = (dense(x, f"{p}.{name}") for name in ("query", "key", "value"))
        scores = (q @ k.T / 2).masked_fill(torch.ones(len(x), len(x)).triu(1).bool(), -torch.inf)
        x = norm(dense(scores.softmax(dim=1) @ v, f"{p}.dense") + x, f"{p}.LayerNorm")
        f = "trm_encoder.layer.0.feed_forward"
        x = norm(dense(gelu(dense(x, f"{f}.dense_1")), f"{f}.dense_2") + x, f"{f}.LayerNorm")
        padded = torch.tensor([[-1] * (3 - len(history)) + history])
        torch.testing.assert_close(model(padded).queries, x[-1:], atol=1e-5, rtol=1e-4)


def test_resn_torchrun(tmp_path):
    distributed = pytest.importorskip("torch.distributed")
    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("this build of torch has no gloo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = f"-m torch.distributed.run --nproc_per_node 2 --master_addr 127.0.0.1 --master_port {port}".split()
    example, last = str(EXAMPLES / "resn_torchrun.py"), tmp_path / "run_and_look.py"
    last.write_text(
        f"import pathlib, runpy; runpy.run_path({example!r}, run_name='__main__')\n"
        "names = [each.read_text() for each in pathlib.Path('/proc/self/task').glob('*/comm')]\n"
        "assert not [name for name in names if 'gloo' in name]  # such threads may abort the process at its exit\n"
    )
    command += [str(last), "--epochs", "1"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    world, whole, own = re.search(
        r"(\d) processes: ReSN of all users (\S+), from each process's own (\S+)", done.stdout
    ).groups()
    assert world == "2"
    assert float(own) == pytest.approx(float(whole), rel=1e-4)


def test_two_effects(run, tmp_path):
    example = EXAMPLES / "two_effects.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 60
    output = run(example, "--output", tmp_path, "--epochs", 2, "--dims", 1, 8)
    pages = sorted(path.stem for path in tmp_path.glob("*.html"))
    assert pages == ["by-dimension", "in-training", "memory", "over-history"]
    shares = re.findall(r"^ +(\d+) +\d+\.\d% +\S+ +\d\.\d+ +(\d+\.\d)%", output, flags=re.MULTILINE)
    assert [int(dimension) for dimension, _ in shares] == [1, 8]
    assert float(shares[0][1]) > float(shares[1][1])  # the fewer dimensions, the more of the head


def test_from_what_you_hold(run, tmp_path):
    output = run(EXAMPLES / "from_what_you_hold.py", "--output", tmp_path)
    assert output.count("All this is on the test") == 3
    assert len(list(tmp_path.glob("*.html"))) == len(list(tmp_path.glob("*.parquet"))) == 3
    first, second = (line.partition(": ")[2] for line in output.splitlines()[-3:-1])
    assert first == second  # the same vectors, in memory and from files
