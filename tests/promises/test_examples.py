"""The examples run as they stand, with little training."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*command):
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here():
    code = Path(__file__).read_text(encoding="utf-8")
    for example in EXAMPLES.glob("*.py"):
        assert f'"{example.name}"' in code, f"{example.name} has no test"


def test_resn_in_your_own_loop():
    example = EXAMPLES / "resn_in_your_own_loop.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 80
    output = run(example, "--epochs", 2)
    rows = re.findall(r"(without|with) ReSN" + r" +(\d\.\d+)" * 4, output)
    assert [row[0] for row in rows] == ["without", "with"]
    assert rows[0][1:] != rows[1][1:]


def test_resn_torchrun():
    distributed = pytest.importorskip("torch.distributed")
    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("this build of torch has no gloo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", 2, "--master_addr", "127.0.0.1")
    output = run(*launcher, "--master_port", port, EXAMPLES / "resn_torchrun.py", "--epochs", 2)
    world, whole, own = re.search(
        r"(\d) processes: ReSN of all users (\S+), from each process's own (\S+)", output
    ).groups()
    assert world == "2"
    assert float(own) == pytest.approx(float(whole), rel=1e-4)
