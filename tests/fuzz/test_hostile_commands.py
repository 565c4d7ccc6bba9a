"""Command lines: a status of 0, 1 or 2, whatever they say."""

import shutil
import subprocess
import sys

import hostile
import numpy as np
import polars as pl
import pytest
import verbs
from hypothesis import given, strategies as st

from headtail import data
from headtail.cli import app, main

LINES = {
    "data": "train.csv --titles titles.csv --min-rating 1 --k-core 1 --duplicates first --split ratio --seed 0 "
            "--to parts --output data.md --json --user user_id --item item_id --rating rating --timestamp timestamp "
            "--order order --score score --columns user,item",
    "audit": "recs.csv train.csv --test test.csv --users users.csv --titles titles.csv --catalogue titles.csv -k 2 "
             "--items titles.csv --by title --as-of-event "
             "-k 3 --groups rank --no-strict --n-bootstrap 3 --fail-if gini@2>0.1 "
             "--baseline old.json --output audit.json",
    "spectrum": "--queries queries.npy --items items.npy --train train.csv --output spectrum.md "
                "--item-ids titles.csv --user-ids users.csv",
    "train": "train.csv --output made --model mf --resn 0.1 --resn-form linear --loss bpr --n-negatives 1 --epochs 1 "
             "--embedding-dim 2 --batch-size 64 --lr 0.01 --weight-decay 0 --validation 0.1 --k 2 "
             "--patience 1 --titles titles.csv --min-rating 1 --k-core 1 --device cpu --seed 0",
    "probe": "model --output probed --layer query --tags tags.csv --expansion 2 --k 2 --epochs 1 "
             "--batch-size 64 --lr 0.01 --device cpu --seed 0",
    "correct": "model --test test.csv --probe probe --dial PopSteer --dial ipr --max-loss 0.5 -k 2 --device cpu "
               "--seed 0 --output out",
    "dials": "--json",
    "doctor": "train.csv --user user_id --duplicates sum --min-rating 2 --columns a,b,c",
    "recommend": "model --output lists.csv -k 3 --users users.csv --no-exclude-seen --device cpu",
    "explore": "out --titles titles.csv --output page.html",
    "demo": "--seed x",
}  # fmt: skip
WORDS = ("-1", "0", "1", "1.5", "nan", "inf", "1e999", "9" * 30, "", "x", "-", "--", "--help", "--version", "\ud800",
"a\0b", "🙂",
         "\x1b[31m", "[red]", "y" * 5000, ".", "..", "missing", "missing/x.csv", "train.csv", "recs.csv", "model",
         "queries.npy",
         "objects.npy", "junk.csv", "junk.parquet", "gini@2", "ndcg@2 < nan", "gini@99 > 0", "gini@2 rises",
         "arp@2 falls by 1%",
         "movietweetings", "--again", "old.json")  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder of good and bad files, a model and a probe."""
    folder = tmp_path_factory.mktemp("commands")
    split, made = verbs.split(), verbs.factors()
    data.write_interactions(split.train, folder / "train.csv")
    data.write_interactions(split.test, folder / "test.csv")
    data.write_table(verbs.lists().to_polars(), folder / "recs.csv")
    users = split.train.user_ids
    data.write_table(pl.DataFrame({"user_id": users, "half": users % 2}), folder / "users.csv")
    ids = split.train.item_ids
    data.write_table(pl.DataFrame({"item_id": ids, "title": [f"film {i}" for i in ids]}), folder / "titles.csv")
    tags = ["even" if code % 2 == 0 else "odd" for code in range(len(ids))]
    data.write_table(pl.DataFrame({"item_id": ids, "tags": tags}), folder / "tags.csv")
    np.save(folder / "queries.npy", made["queries"])
    np.save(folder / "items.npy", made["items"])
    np.save(folder / "objects.npy", np.array([None, 1]), allow_pickle=True)
    verbs.audit().to_json(folder / "old.json")
    for name in ("junk.csv", "junk.parquet"):
        (folder / name).write_bytes(b'\xff\x00junk,\n"')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "train.csv", "-o", "model", "--epochs", "2", "--embedding-dim", "4", "--k", "3"]) == 0
        assert main(["probe", "model", "-o", "probe", "--expansion", "2", "--k", "2", "--epochs", "2"]) == 0
    return folder


@st.composite
def lines(draw):
    """Draw a command line in which a few words are other ones."""
    command = draw(st.sampled_from(sorted(LINES)))
    words = [command, *LINES[command].split()]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(1, len(words) - 1))
        flags = st.sampled_from([w for line in LINES.values() for w in line.split() if w[0] == "-"])
        words[at : at + draw(st.integers(0, 2))] = draw(st.lists(st.sampled_from(WORDS) | flags, max_size=2))
        if len(words) < 2:
            words.append("x")
    return words


def test_every_command_is_fuzzed():
    assert {name for name in app if not name.startswith("-")} == set(LINES)


@given(words=lines())
def test_command_lines(words, prepared, monkeypatch):
    shutil.rmtree("work", ignore_errors=True)
    shutil.copytree(prepared, "work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("work")
        patch.setenv("HEADTAIL_TRACEBACK", "1")
        if words[0] == "demo" and "--seed" in words:  # the demo itself takes a minute
            words = ["demo", "--seed", "x", *words[1:]]
        status = hostile.attempt(main, words)
    assert status in (0, 1, 2), f"status {status}"


@pytest.mark.parametrize(
    "line", ["audit recs.csv train.csv -k 2", "data junk.csv", "audit recs.csv train.csv --fail-if x", "data \udcff"]
)
def test_command_lines_in_a_process_of_their_own(line, prepared):
    done = subprocess.run(
        [sys.executable, "-m", "headtail", *line.split(" ")], cwd=prepared, capture_output=True, check=False
    )
    assert done.returncode in (0, 2)
    assert b"Traceback" not in done.stderr
