"""The code of the README runs as it stands, and so do the command lines of the documentation."""

import re
import shlex
from pathlib import Path

import pytest

from headtail.cli import main

ROOT = Path(__file__).parents[2]


def blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("page", ["README.md"])
def test_python_blocks(page, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    code = blocks(page, "python")
    assert code
    namespace = {}
    for block in code:
        exec(compile(block, page, "exec"), namespace)  # as one session, from top to bottom


@pytest.mark.parametrize("page", ["docs/command-line.md"])
def test_command_lines(page, few_tweets, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    commands = [line for line in lines if line.startswith("headtail ") and "demo" not in line]
    assert commands
    for command in commands:
        assert main(shlex.split(command, comments=True)[1:]) == 0, command
    capsys.readouterr()
