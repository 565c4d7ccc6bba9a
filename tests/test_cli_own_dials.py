"""Dials of one's own on the command line."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from headtail.cli import main
from headtail.data import write_table
from headtail.datasets import power_law

PARTS = "--train train.parquet --validation validation.parquet --test test.parquet -k 10 --max-loss 1"
PAIR = "--queries queries.npy --items items.npy"
SCRIPT = """
from dataclasses import dataclass, replace
import headtail as ht
from beside import SHARE
from headtail.dials import Dial, dial

@dataclass
class Centered:  # looks its own module up
    share: float

    def __call__(self, subject, strength, seed):
        Q, V = subject.vectors(seed)[:2]
        return ht.Vectors(Q, V - self.share * strength * V.mean(axis=0))

def broken(subject, strength, seed):
    return 1 / 0

def made():
    return Dial("made", Centered(SHARE), (0, 0.5))

def fails():
    raise KeyError("no such thing")

mine = Dial("mean out", Centered(SHARE), (0, 0.5, 1))
finer = replace(dial("shrink"), grid=(0, 0.01, 0.02))
taken = Dial("Log-penalty", Centered(SHARE), (0, 0.5))
plain = Dial("as it is", Centered(SHARE), (0, 0.5))
wrong = Dial("wrong", broken, (0, 0.5))
none = Dial("none", lambda *given: None, (0, 0.5))
number = 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the parts of a split, vectors, and files of code."""
    import headtail as ht

    folder, rng = tmp_path_factory.mktemp("own dials"), np.random.default_rng(0)
    split = ht.split_ratio(power_law(300, 100, n_interactions=3000, rng=0).interactions, rng=0)
    for name, part in split.parts.items():
        write_table(part.to_polars(), folder / f"{name}.parquet")
    np.save(folder / "queries.npy", np.column_stack([rng.normal(size=(300, 4)), np.ones(300)]))
    np.save(folder / "items.npy", np.column_stack([rng.normal(size=(100, 4)), np.log1p(split.train.popularity)]))
    (folder / "code").mkdir()
    (folder / "code" / "mine.py").write_text(SCRIPT)
    (folder / "code" / "beside.py").write_text("SHARE = 1.0\n")
    (folder / "polars.py").write_text("raise RuntimeError('a file of another library was taken')\n")
    (folder / "own_module.py").write_text("from code_of_own import mine\n")
    (folder / "code_of_own.py").write_text(SCRIPT.replace("from beside import SHARE", "SHARE = 0.5"))
    (folder / "raises.py").write_text("import math\n\nmath.sqrt(-1)\n")
    (folder / "lacks.py").write_text("import a_library_that_is_not_there\n")
    (folder / "ends.py").write_text("import sys\n\nsys.exit(3)\n")
    (folder / "typed.py").write_text("dial = (\n")
    return folder


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    """Run in the folder, and leave Python's search path as it was."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("code/mine.py:mine", "mean out"),
        ("code/mine.py:made", "made"),
        ("own_module:mine", "mean out"),
        ("code/mine.py:finer", "shrink"),
    ],
)
def test_a_dial_of_ones_own_is_tried_and_named_as_any_other(folder, capsys, typed, name):
    assert main(["correct", *PAIR.split(), *PARTS.split(), "--dial", typed, "--dial", "TTEN", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {point["method"] for point in found["frontier"]["points"]} == {"as it is", name, "TTEN"}
    assert main(["correct", *PAIR.split(), *PARTS.split(), "--dial", typed, "--strength", "0.02", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dial"], found["strength"]) == (name, 0.02)


def test_its_folder_says_how_it_was_made(folder, tmp_path):
    typed = "code/mine.py:mine"
    assert main(["correct", *PAIR.split(), *PARTS.split(), "--dial", typed, "-o", str(tmp_path / "out")]) == 0
    assert "mean out" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out" / "explorer.json").read_text(encoding="utf-8"))["typed"] == {"mean out": typed}


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("code/none.py:mine", "There is no file code/none.py. Give one with a Dial in it, as FILE.py:NAME."),
        ("code/mine.py", "lacks the name of a dial in it. Give FILE.py:NAME or MODULE:NAME."),
        ("code/mine.py:", "lacks the name of a dial in it"),
        (":mine", "lacks a file or module"),
        ("code/mine.py:mein", "code/mine.py holds no 'mein'. Did you mean 'mine'?"),
        ("code/mine.py:number", "is of type int, not a Dial. Make one in code/mine.py"),
        ("code/mine.py:broken", "headtail.dials.Dial('mine', broken, grid=[0, 0.1, 0.3])"),
        ("code/mine.py:taken", "is named 'Log-penalty', as one of headtail's own. Give it another name."),
        ("code/mine.py:plain", "'as it is' is what results call the recommender without a dial"),
        ("code/mine.py:none", "The dial 'none' at strength 0.5 returned a NoneType"),
        ("a_module_that_is_not_there:mine", "There is no module 'a_module_that_is_not_there', installed or here."),
        ("json.that_is_not_there:mine", "There is no module 'json.that_is_not_there', installed or here."),
        ("ends.py:mine", "ends.py ends Python (exit 3) when it is read"),
        ("code/mine.py:mine --dial code/mine.py:mine", "'mean out' 2 times. Give each dial once"),
    ],
)
def test_what_is_no_dial_is_told(capsys, typed, message):
    assert main(["correct", *PAIR.split(), *PARTS.split(), "--dial", *typed.split()]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert message in told and "Traceback" not in told


@pytest.mark.parametrize(
    ("typed", "place", "message"),
    [
        ("raises.py:mine", 'raises.py", line 3', "raises.py raised ValueError: "),
        ("lacks.py:mine", 'lacks.py", line 1', "raised ModuleNotFoundError: No module named 'a_library_that"),
        ("lacks:mine", 'lacks.py", line 1', "raised ModuleNotFoundError: No module named 'a_library_that"),
        ("typed.py:mine", 'typed.py", line 1', "typed.py raised SyntaxError: '(' was never closed"),
        ("code/mine.py:fails", 'mine.py", line 22', "fails of code/mine.py raised KeyError: 'no such thing'"),
        ("code/mine.py:wrong", 'mine.py", line 16', "The dial 'wrong' at strength 0.5 raised ZeroDivisionError"),
    ],
)
def test_the_place_where_its_code_raised_is_told_without_headtails_own(capsys, typed, place, message):
    assert main(["correct", *PAIR.split(), *PARTS.split(), "--dial", typed]) == 2
    told = capsys.readouterr().err
    assert place in told.replace("\n", "") and message in " ".join(told.split())
    assert "cli/_own.py" not in told and "dials/dial.py" not in told


def test_help_says_that_code_is_run(capsys):
    assert main(["correct", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "FILE.py:NAME or MODULE:NAME of a Dial, whose code is run" in told


def test_the_example_of_the_page_runs(folder, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    page = (Path(__file__).parents[1] / "docs" / "extend.md").read_text(encoding="utf-8")
    code, line = re.search(
        r"With a `mine\.py`\n\n```python\n(.*?)^```.*?```sh\nheadtail (.*?)\n", page, re.S | re.M
    ).groups()
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(code)
    assert (
        main(
            [
                "train",
                str(folder / "train.parquet"),
                "--model",
                "ALS",
                "--epochs",
                "2",
                "--embedding-dim",
                "4",
                "-o",
                "model",
            ]
        )
        == 0
    )
    parts = ["--validation", str(folder / "validation.parquet"), "--test", str(folder / "test.parquet"), "-k", "10"]
    assert main([*shlex.split(line), *parts]) == 0
    points = json.loads(Path("better/correction.json").read_text(encoding="utf-8"))["frontier"]["points"]
    assert {point["method"] for point in points} == {"as it is", "mean out", "shrink"}
