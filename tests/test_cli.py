"""The command line, run in this process; files in, files and exit status out."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import headtail as ht
from headtail.cli import app, main
from headtail.data import write_table
from headtail.datasets import DATASETS, checkerboard, power_law
from headtail.exceptions import CheckpointMismatchError
from headtail.subjects import Subject

WRITTEN = {"report.html", "correction.json", "explorer.json", "recommendations.parquet"}


@pytest.fixture
def files(tmp_path):
    """A folder with training, test, recommendations, users and titles of a small world."""
    split = checkerboard(n_users=20, n_items=20)
    write_table(split.train.to_polars().rename({"user_id": "userId", "item_id": "movieId"}), tmp_path / "train.csv")
    write_table(split.test.to_polars(), tmp_path / "test.parquet")
    seen = {(u, i) for u, i in split.train.to_polars().select("user_id", "item_id").iter_rows()}
    users, items = split.train.user_ids.tolist(), split.train.item_ids.tolist()
    lists = {u: [i for i in items if (u, i) not in seen][:3] for u in users}
    rows = [(u, i, rank) for u in users for rank, i in enumerate(lists[u], start=1)]
    recs = pl.DataFrame(rows, schema=["user_id", "item_id", "rank"], orient="row")
    write_table(recs, tmp_path / "recs.tsv")
    write_table(pl.DataFrame({"user_id": users, "parity": [u % 2 for u in users]}), tmp_path / "users.csv")
    write_table(pl.DataFrame({"item_id": items, "title": [f"film {i}" for i in items]}), tmp_path / "titles.csv")
    return tmp_path


def test_users_without_interactions_are_left_out_of_a_model_that_later_verbs_read(tmp_path, monkeypatch, capsys):
    few = power_law(40, 20, n_interactions=150, rng=0).interactions
    few = few.subset(few.users > 2).with_items([1000])
    monkeypatch.setitem(DATASETS, "few", lambda **_: few)
    model = str(tmp_path / "model")
    assert main(["train", "few", "-o", model, "--model", "als", "--epochs", "1", "--validation", "0"]) == 0
    idle = (few.activity == 0).sum()
    assert f"Left out: {idle} users and 1 item without interactions." in capsys.readouterr().out and idle >= 3
    assert main(["recommend", model, "-o", str(tmp_path / "lists.csv"), "-k", "3"]) == 0


def test_audit_in_all_forms(files, capsys):
    inputs = [
        "audit",
        str(files / "recs.tsv"),
        str(files / "train.csv"),
        "--test",
        str(files / "test.parquet"),
        "-k",
        "3",
    ]
    for ending in ("html", "md", "json"):
        report = files / f"report.{ending}"
        assert (
            main([*inputs, "--output", str(report), "--titles", str(files / "titles.csv"), "--n-bootstrap", "0"]) == 0
        )
        assert "film" in report.read_text(encoding="utf-8")
    assert "gini" in capsys.readouterr().out
    assert main([*inputs, "--users", str(files / "users.csv"), "--json"]) == 0
    payload = json.loads(capsys.readouterr().out)
    assert {m["users"] for m in payload["measurements"]} == {"all", "parity=0", "parity=1"}


def test_fail_if_sets_the_exit_status(files, capsys):
    inputs = ["audit", str(files / "recs.tsv"), str(files / "train.csv"), "-k", "3", "--n-bootstrap", "0", "--json"]
    assert main([*inputs, "--fail-if", "gini@3 > 0.999"]) == 0
    assert main([*inputs, "--fail-if", "gini@3 > 0.999", "--fail-if", "coverage@3 <= 1"]) == 1
    assert "coverage@3 <= 1" in capsys.readouterr().err
    assert main([*inputs, "--fail-if", "gini@3 is big"]) == 2
    assert "is not of the form" in capsys.readouterr().err
    assert main([*inputs, "--fail-if", "gina@3 > 0"]) == 2
    assert "Did you mean 'gini@3'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        *((f"gini@3 > {number}", "is not of the form") for number in ("1e", "-", "1.2.3", "e", "nan", "1e999", "")),
        ("gini > 0.9", "is not of the form"),
        ("gina@3 > 0", "Did you mean 'gini@3'?"),
        ("gini@10 > 0", "no 'gini@10'"),
        ("ndcg@3 < 0.1", "no 'ndcg@3'"),  # there is no --test
    ],
)
def test_conditions_are_checked_before_any_file_is_read(tmp_path, capsys, condition, message):
    files = [str(tmp_path / "no-recs.csv"), str(tmp_path / "no-train.csv")]
    assert main(["audit", *files, "-k", "3", "--fail-if", condition]) == 2
    assert message in capsys.readouterr().err


def test_a_condition_on_an_undefined_metric_is_neither_met_nor_passed(tmp_path, capsys):
    for name, rows in {"train": "1,a\n1,b\n2,a\n", "recs": "1,c\n2,b\n", "test": "1,c\n2,b\n"}.items():
        (tmp_path / f"{name}.csv").write_text("user_id,item_id\n" + rows)
    inputs = ["audit", *(str(tmp_path / f"{name}.csv") for name in ("recs", "train")), "-k", "1", "--json"]
    inputs += ["--test", str(tmp_path / "test.csv"), "--n-bootstrap", "0"]
    for sign in ("<", "<=", ">", ">="):
        assert main([*inputs, "--fail-if", f"ndcg_head@1 {sign} 0.5"]) == 2
        captured = capsys.readouterr()
        assert json.loads(captured.out)["kind"] == "audit"
        assert "ndcg_head@1 is undefined (NaN)" in captured.err
    assert main([*inputs, "--fail-if", "ndcg_head@1 < 0.5", "--fail-if", "gini@1 > 0"]) == 2
    assert "Of the others these are met: gini@1 > 0" in capsys.readouterr().err


def test_exposure_by_what_items_are_and_popularity_then(files, capsys):
    items = pl.read_csv(files / "titles.csv").with_columns(kind=pl.col("item_id") % 2)
    write_table(items, files / "items.csv")
    inputs = ["audit", str(files / "recs.tsv"), str(files / "train.csv"), "-k", "3", "--n-bootstrap", "0", "--json"]
    known = ["--items", str(files / "items.csv")]
    assert main([*inputs, *known, "--by", "kind", "--fail-if", "gini_of_kind@3 >= 0"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {row["value"] for row in report["attribute_shares"]} == {"0", "1"}
    for wrong, message in [
        ([*inputs, *known], "--items and --by go together"),
        ([*inputs, *known, "--by", "kin"], "Did you mean 'kind'?"),
        ([*inputs, "--as-of-event"], "--as-of-event needs the times"),
        ([*inputs, "--fail-if", "gini_of_kind@3 > 0"], "this audit has no 'gini_of_kind@3'"),
    ]:
        assert main(wrong) == 2
        assert message in capsys.readouterr().err
    for name in ("train.csv", "test.parquet"):
        table = pl.read_csv(files / name) if name.endswith("csv") else pl.read_parquet(files / name)
        write_table(table.with_columns(timestamp=pl.Series(range(len(table)))), files / f"timed-{name}")
    timed = [inputs[0], inputs[1], str(files / "timed-train.csv"), "--test", str(files / "timed-test.parquet")]
    assert main([*timed, *inputs[3:], "--as-of-event", "--fail-if", "arp_then@3 >= 0"]) == 1


def test_a_report_is_evidence(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    line = ["audit", "recs.tsv", "train.csv", "--test", "test.parquet", "-k", "2", "-k", "3", "--users", "users.csv",
            "--no-strict", "--items", "titles.csv", "--by", "title", "--item", "item_id"]  # fmt: skip
    train = pl.read_csv("train.csv").rename({"movieId": "item_id"})
    write_table(train, files / "train.csv")
    assert main([*line, "--fail-if", "gini@3 > 1", "-o", "report.json"]) == 0
    report = json.loads((files / "report.json").read_text())
    assert report["provenance"]["command"] == [
        "audit", "recs.tsv", "train.csv", "--test=test.parquet", "--users=users.csv", "--items=titles.csv",
        "--by=title", "--k=2", "--k=3", "--no-strict", "--item=item_id",
    ]  # fmt: skip
    assert set(report["provenance"]["files"]) == {"recs", "train", "test", "users", "items"}
    assert {"python", "headtail", "numpy", "polars"} <= set(report["provenance"]["versions"])
    assert report["provenance"]["rng"] == 0 and report["ranges"]["arp"] == [0, None]
    assert main([*line, "--json"]) == 0
    assert capsys.readouterr().out.endswith((files / "report.json").read_text())
    assert main(["audit", "--again", "report.json"]) == 0
    assert "recomputed, equal byte for byte" in capsys.readouterr().out

    (files / "kept").mkdir()
    (files / "kept" / "report.json").write_text((files / "report.json").read_text())
    (files / "elsewhere").mkdir()
    monkeypatch.chdir(files / "elsewhere")
    assert main(["audit", "--again", "../kept/report.json"]) == 0
    assert f"Its files are looked for in {files.resolve()}" in capsys.readouterr().out
    monkeypatch.chdir(files)

    write_table(train.head(len(train) - 1), files / "train.csv")
    assert main(["audit", "--again", "report.json"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "train.csv is another file than it was (sha256 " in said and "@2 of all.value: 0." in said
    assert said.endswith(" more differences.")
    write_table(train.head(0), files / "train.csv")  # of which there can be no audit
    assert main(["audit", "--again", "report.json"]) == 2
    assert "train.csv is another file than it was (sha256 " in " ".join(capsys.readouterr().err.split())
    write_table(train, files / "train.csv")
    text = (files / "report.json").read_text()
    (files / "edited.json").write_text(text.replace('"value": 0.', '"value": 0.1', 1))
    assert main(["audit", "--again", "edited.json"]) == 1
    assert ".value: 0.1" in capsys.readouterr().err
    (files / "spaced.json").write_text(text + "\n")
    assert main(["audit", "--again", "spaced.json"]) == 1
    assert "The text alone is different" in capsys.readouterr().err

    (files / "writes.json").write_text(text.replace('"--no-strict"', '"--output=made.json"'))
    other = report | {"provenance": report["provenance"] | {"command": ["data", "recs.tsv"]}}
    (files / "other.json").write_text(json.dumps(other))
    for name, message in [("recs.tsv", "no report in JSON"), ("writes.json", "did not write"), ("none", "no report"),
                          ("other.json", "did not write")]:  # fmt: skip
        assert main(["audit", "--again", name]) == 2
        assert message in capsys.readouterr().err
    assert not (files / "made.json").exists()
    assert main(["audit", "recs.tsv", "train.csv", "--again", "report.json"]) == 2
    assert main(["audit", "recs.tsv"]) == 0  # of lists alone


def test_a_gate_compares_with_an_earlier_audit(files, capsys):
    inputs = ["audit", str(files / "recs.tsv"), str(files / "train.csv"), "-k", "3"]
    assert main([*inputs, "-o", str(files / "old.json")]) == 0
    gated = [*inputs, "--baseline", str(files / "old.json")]
    assert main([*gated, "--fail-if", "arp@3 rises", "--fail-if", "head_share@3 falls by 2%"]) == 0
    found = pl.read_parquet(files / "test.parquet").group_by("user_id").first().with_columns(rank=1).head(15)
    write_table(found.select("user_id", "item_id", "rank"), files / "found.csv")  # what they want, for most of them
    better = ["audit", str(files / "found.csv"), *inputs[2:3], "-k", "1", "--test", str(files / "test.parquet")]
    before = ["audit", str(files / "recs.tsv"), *better[2:]]
    assert main([*before, "-o", str(files / "before.json")]) == 0
    capsys.readouterr()
    assert main([*better, "--baseline", str(files / "before.json"), "--fail-if", "ndcg@1 rises by 10%", "--json"]) == 1
    captured = capsys.readouterr()
    assert "failed ndcg@1 rises by 10% (0" in captured.err and json.loads(captured.out)["kind"] == "audit"
    assert main([*better, "--baseline", str(files / "before.json"), "--fail-if", "ndcg@1 falls"]) == 0
    assert "not met ndcg@1 falls (0" in capsys.readouterr().err
    for wrong, message in [
        ([*inputs, "--fail-if", "arp@3 rises"], "Give the baseline"),
        ([*gated, "--fail-if", "arp@3 > 9"], "--baseline is there for conditions of a change"),
        ([*gated, "--fail-if", "arp@3 rises", "--n-bootstrap", "0"], "--n-bootstrap 0 leaves out"),
        ([*inputs, "--fail-if", "arp@3 rises", "--baseline", str(files / "spoilt.json")], "is no audit in JSON"),
    ]:
        (files / "spoilt.json").write_text('{"kind": "audit"')
        assert main(wrong) == 2
        assert message in capsys.readouterr().err


def test_lists_are_compared_with_other_lists(files, capsys):
    recs, train, test = (str(files / name) for name in ("recs.tsv", "train.csv", "test.parquet"))
    table = pl.read_csv(recs, separator="\t")
    (files / "new").mkdir()
    new = str(files / "new" / "recs.csv")
    found = pl.read_parquet(test).group_by("user_id").first().with_columns(rank=pl.lit(1, pl.Int64))
    write_table(found.select("user_id", "item_id", "rank"), new)  # what they want
    line = ["audit", new, train, "--test", test, "-k", "1", "--baseline", recs]
    assert main([*line, "--json", "--fail-if", "ndcg@1 rises by 10%", "-o", str(files / "two.html")]) == 1
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert list(report["audits"]) == [recs, new] and report["baseline"] == recs  # both are called recs
    change = next(row for row in report["differences"] if row["metric"] == "ndcg@1")
    assert change["difference"] == 1 - report["audits"][recs]["measurements"][0]["value"]
    assert "failed ndcg@1 rises by 10% (0" in captured.err and "The gate stops" in (files / "two.html").read_text()
    # Lists alone have the items of both as their catalogue.
    assert main(["audit", new, "-k", "1", "--baseline", recs]) == 0
    assert "instead of" in capsys.readouterr().out
    # A list in JSON is a table; arms of other users have no test in common.
    keyed = {str(user): items["item_id"].to_list() for (user,), items in table.group_by("user_id")}
    (files / "keyed.json").write_text(json.dumps(keyed))
    assert main(["audit", recs, train, "-k", "1", "--baseline", str(files / "keyed.json"), "--json"]) == 0
    assert all(row["difference"] == 0 for row in json.loads(capsys.readouterr().out)["differences"])
    half = pl.col("user_id") % 2 == 0
    for name, rows in (("even", half), ("odd", ~half)):
        write_table(table.filter(rows), files / f"{name}.csv")
    assert main(["audit", new, train, "-k", "1", "--baseline", new]) == 2
    assert "is its own baseline" in " ".join(capsys.readouterr().err.split())
    arms = ["audit", str(files / "even.csv"), train, "-k", "1", "--baseline", str(files / "odd.csv")]
    assert main(arms) == 0
    assert "No user is in two of the audits (odd 10, even 10)" in " ".join(capsys.readouterr().out.split())
    assert main([*arms, "--test", test]) == 2
    assert "Leave out --test" in capsys.readouterr().err


def test_an_unexpected_error_is_no_verdict(files, capsys, monkeypatch):
    def panic(*_, **__):
        raise pl.exceptions.PanicException("out of bounds")

    def broken(*_, **__):
        raise RuntimeError("a fault\x1b[2J [red]of ours[/]")

    monkeypatch.setattr("headtail.metrics.audit", broken)
    inputs = ["audit", str(files / "recs.tsv"), str(files / "train.csv"), "--fail-if", "gini@10 > 0.9"]
    assert main(inputs) == 70
    shown = capsys.readouterr().err
    assert r"RuntimeError: a fault\x1b[2J [red]of ours[/]" in shown
    assert "Traceback" not in shown
    monkeypatch.setenv("HEADTAIL_TRACEBACK", "1")
    assert main(inputs) == 70
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "\x1b" not in shown
    monkeypatch.setattr("headtail.metrics.audit", panic)
    assert main(inputs) == 70


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 3 GiB"), RuntimeError("can't allocate memory"), MemoryError()]
)
def test_out_of_memory_is_no_fault(files, capsys, monkeypatch, error):
    def large(*_, **__):
        raise error

    monkeypatch.setattr("headtail.metrics.audit", large)
    assert main(["audit", str(files / "recs.tsv"), str(files / "train.csv")]) == 2
    shown = capsys.readouterr().err
    assert f"out of memory {error}".strip() in shown
    assert "Give less at a time" in shown


def test_a_reader_that_goes_away_is_no_verdict(files):
    code = "import sys; from headtail.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["audit", str(files / "recs.tsv"), str(files / "train.csv"), "-k", "3", "--n-bootstrap", "0"]
    for form in ([], ["--json"]):
        run = subprocess.Popen(
            [sys.executable, "-c", code, *arguments, *form], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        run.stdout.close()
        complaint = run.stderr.read()
        run.stderr.close()
        assert (run.wait(), complaint) == (141, b"")


def test_an_output_that_cannot_be_written_is_no_verdict(files, monkeypatch):
    arguments = ["audit", str(files / "recs.tsv"), str(files / "train.csv"), "-k", "3", "--n-bootstrap", "0"]
    monkeypatch.setattr(sys, "stdout", None)  # closed, as by >&-
    assert main([*arguments, "--fail-if", "gini@3 > 0"]) == 1
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            run = subprocess.run([sys.executable, "-m", "headtail", *arguments], stdout=full, stderr=subprocess.PIPE)
        assert (run.returncode, b"standard output" in run.stderr) == (2, True)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_reader_that_has_not_all_letters_gets_the_others(files, monkeypatch, encoding):
    pipe = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", pipe)
    inputs = ["audit", str(files / "recs.tsv"), str(files / "train.csv"), "-k", "3", "--n-bootstrap", "0"]
    assert main(inputs) == 0
    assert b"Popularity audit of 20 users" in pipe.buffer.getvalue()


HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202edlrow\u2066 \u200bzero\x9b31m\u2028next [red]line[/]"
SHOWN = r"\x1b]0;owned\x07\x1b[2J\u202edlrow\u2066 \u200bzero\x9b31m\u2028next [red]line[/]"
UNSEEN = "\x1b\x07\x9b\u202e\u2066\u200b\u2028"


def test_texts_of_others_reach_the_terminal_escaped(files, capsys):
    """Titles, names of user groups, ids in an error, arguments and what --json prints."""
    titles = pl.read_csv(files / "titles.csv").with_columns(title=pl.lit(HOSTILE))
    users = pl.read_csv(files / "users.csv").select("user_id", pl.lit(HOSTILE).alias(HOSTILE))
    write_table(titles, files / "titles.parquet")
    write_table(users, files / "users.parquet")
    inputs = ["audit", str(files / "recs.tsv"), str(files / "train.csv"), "-k", "3", "--n-bootstrap", "0"]
    inputs += ["--titles", str(files / "titles.parquet"), "--users", str(files / "users.parquet")]
    odd = pl.DataFrame({HOSTILE: [1], "item_id": [2]})
    write_table(odd, files / "odd.parquet")
    shown = ""
    for arguments, status in [
        (inputs, 0),
        ([*inputs, "--json"], 0),
        (["audit", str(files / "recs.tsv"), str(files / "odd.parquet")], 2),
        (["audit", HOSTILE, str(files / "train.csv")], 2),
        (["audit", "a", "b", "-k", HOSTILE], 2),
        ([HOSTILE], 2),
    ]:
        assert main(arguments) == status
        captured = capsys.readouterr()
        assert not set(captured.out + captured.err) & set(UNSEEN)
        shown += captured.out + captured.err
    assert SHOWN in shown.replace("\n", "")


def test_data_describes_converts_and_splits(files, capsys):
    assert main(["data", str(files / "train.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_users"] == 20
    assert main(["data", str(files / "train.csv"), "--to", str(files / "train.inter")]) == 0
    assert (files / "train.inter").read_text().startswith("user_id:token\titem_id:token")
    for rule in ("ratio", "debiased"):
        folder = files / rule
        assert main(["data", str(files / "train.csv"), "--split", rule, "--to", str(folder)]) == 0
        assert {p.name for p in folder.iterdir()} >= {"train.parquet", "test.parquet"}
    assert main(["data", str(files / "train.csv"), "--split", "ratio"]) == 2
    assert "--split needs --to" in capsys.readouterr().err


def test_train_recommend_spectrum_audit(tmp_path, capsys):
    pytest.importorskip("torch")
    world = power_law(80, 40, n_interactions=550, rng=0)
    train, model, recs = tmp_path / "train.parquet", tmp_path / "model", tmp_path / "recs.parquet"
    write_table(world.interactions.to_polars(), train)
    options = ["--epochs", "4", "--embedding-dim", "8", "--resn", "0.01", "--k", "5"]
    assert main(["train", str(train), "--output", str(model), *options]) == 0
    assert main(["train", str(train), "--output", str(model), *options, "--lr", "0.01"]) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"train.parquet", "model"}
    assert main(["spectrum", str(model), "--json"]) == 0
    out = capsys.readouterr().out
    directions = json.loads(out[out.index("\n{") :])["directions"]
    assert len(directions) == 8
    learned = ht.Split.from_frame(pl.read_parquet(model / "interactions.parquet"), "split", test="held out").train
    found = ht.spectrum(ht.vectors(ht.load_model(model)), popularity=learned)  # without what was held out
    assert [each["alignment"] for each in directions] == pytest.approx(found.alignment)
    assert main(["recommend", str(model), "--output", str(recs), "-k", "5"]) == 0
    write_table(pl.DataFrame({"userId": [3, 1]}), tmp_path / "some.csv")
    assert main(["recommend", str(model), "-o", str(tmp_path / "few.csv"), "--users", str(tmp_path / "some.csv")]) == 0
    assert pl.read_csv(tmp_path / "few.csv")["user_id"].unique(maintain_order=True).to_list() == [3, 1]
    lists = pl.read_parquet(recs)
    assert lists.columns == ["user_id", "item_id", "rank", "score"]
    assert lists.group_by("user_id").len()["len"].unique().to_list() == [5]
    seen = world.interactions.to_polars().select("user_id", "item_id")
    assert lists.join(seen, on=["user_id", "item_id"]).is_empty()
    assert main(["audit", str(recs), str(train), "--n-bootstrap", "0"]) == 0


@pytest.mark.parametrize(("kind", "dial"), [("mf", "spree"), ("sasrec", "PopSteer, damped by user")])
def test_probe_and_correct_by_its_neurons(tmp_path, capsys, kind, dial):
    pytest.importorskip("torch")
    world = power_law(120, 40, n_interactions=800, rng=0).interactions
    times = np.random.default_rng(0).permutation(len(world))
    train, model, probe, better = (tmp_path / name for name in ("train.parquet", "model", "probe", "better"))
    write_table(world.to_polars().with_columns(timestamp=times), train)
    options = ["--model", kind, "--epochs", "10", "--embedding-dim", "8", "--k", "5", "--batch-size", "64"]
    options += ["--max-length", "10"] if kind == "sasrec" else []
    assert main(["train", str(train), "-o", str(model), *options]) == 0
    sizes = ["--expansion", "4", "--k", "4", "--epochs", "5"]
    if kind == "mf":
        items, half = tmp_path / "items", tmp_path / "half.csv"
        assert main(["probe", str(model), "-o", str(items), "--layer", "item", *sizes]) == 0
        assert main(["correct", str(model), "--probe", str(items), "--dial", dial, "-k", "5"]) == 2
        assert "holds neurons of item vectors" in capsys.readouterr().err
        write_table(pl.DataFrame({"item_id": world.item_ids[:19], "tags": "x"}), half)
        assert main(["probe", str(model), "-o", str(probe), "--tags", str(half), *sizes]) == 2
        assert "only 19 of the 40 items with interactions have a tag" in capsys.readouterr().err
    tags = ["even" if item % 2 == 0 else "odd" for item in world.item_ids.tolist()]
    write_table(pl.DataFrame({"item_id": world.item_ids, "genres": tags}), tmp_path / "tags.csv")
    assert main(["probe", str(model), "-o", str(probe), "--tags", str(tmp_path / "tags.csv"), *sizes]) == 0
    assert "Which neuron speaks for which tag" in capsys.readouterr().out
    names = {"autoencoder", "report.html", "neurons.parquet", "neurons.json", "neurons.safetensors"}
    assert {p.name for p in probe.iterdir()} == names | {"portraits.json", "tags.html"}
    told = json.loads((probe / "portraits.json").read_text(encoding="utf-8"))["neurons"]
    table = pl.read_parquet(probe / "neurons.parquet")
    fire = table.filter(pl.col("firing_rate") > 0)["neuron"].to_list()
    assert {row["neuron"] for row in told} == set(fire) and all(len(row["hears"]) == 8 for row in told)
    assert len(table) == 32
    known = ht.Split.from_frame(pl.read_parquet(model / "interactions.parquet"), "split", test="held out").train
    assert len(ht.sae.load_neurons(probe, known)) == 32  # as the page on the command line says
    with pytest.raises(CheckpointMismatchError, match=r"give those, or none.*Split\.from_frame"):
        ht.sae.load_neurons(probe, world)
    capsys.readouterr()
    how = ["--probe", str(probe), "-k", "5", "--dial", dial, "--max-loss", "1", "-o", str(better)]
    assert main(["correct", str(model), *how, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["strength"] > 0
    assert "one half of the users" in found["split"]
    assert json.loads((better / "correction.json").read_text(encoding="utf-8")) == found
    assert {p.name for p in better.iterdir()} == WRITTEN | {"model"}
    recs = pl.read_parquet(better / "recommendations.parquet")
    assert recs.join(world.to_polars(), on=["user_id", "item_id"], how="semi").is_empty()
    assert main(["recommend", str(better / "model"), "-k", "5", "-o", str(tmp_path / "again.parquet")]) == 0
    assert pl.read_parquet(tmp_path / "again.parquet").equals(recs)
    assert main(["spectrum", str(better / "model")]) == 0
    for i, (change, message) in enumerate({"--lr": "made for another model", "--k-core": "other interactions"}.items()):
        other = tmp_path / f"other-{i}"
        assert main(["train", str(train), "-o", str(other), *options, change, "0.1" if change == "--lr" else "2"]) == 0
        assert main(["correct", str(other), *how]) == 2
        assert message in capsys.readouterr().err


def test_more_of_a_tag_is_chosen_by_the_places_it_gets(corrections, tmp_path, capsys):
    model, tags, out = corrections / "model", tmp_path / "tags.csv", tmp_path / "more"
    names = ["rare" if item % 10 == 0 else "even|x" if item % 2 == 0 else "odd" for item in range(120)]
    names[0] = "one|rare"
    write_table(pl.DataFrame({"item_id": range(120), "tags": names}), tags)
    how = ["correct", str(model), "--tags", str(tags), "--k", "10", "--max-loss", "0.3"]
    assert main([*how, "--more", "rare", "-o", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "this one has the lowest share of places without rare there" in said and "Share of the places, on test" in said
    )
    assert re.search(r"rare \d+\.\d+% \d+\.\d+% \+\d+\.\d+ points", said), "a difference of shares"
    found = json.loads((out / "correction.json").read_text(encoding="utf-8"))
    assert found["strength"] > 0 and found["dial"] == "more rare"
    rare = pl.read_parquet(out / "recommendations.parquet")["item_id"].is_in(list(range(0, 120, 10)))
    assert main(["recommend", str(model), "-k", "10", "-o", str(tmp_path / "plain.parquet")]) == 0
    assert rare.mean() > pl.read_parquet(tmp_path / "plain.parquet")["item_id"].is_in(list(range(0, 120, 10))).mean()
    capsys.readouterr()
    held = tmp_path / "tags.json"
    held.write_text(json.dumps({item: name.split("|") for item, name in enumerate(names)}), encoding="utf-8")
    assert main(["correct", str(model), "--tags", str(held), "--more", "rear"]) == 2
    assert "Did you mean 'rare'?" in " ".join(capsys.readouterr().err.split())
    refused = {
        ("--more", "rear"): "'rear': there is no such tag. Did you mean 'rare'? There are: 'odd', 'even', 'x', 'rare'",
        ("--more", "one"): "'one': too few items have it, or lack it",
        (): "--more names a tag of the file --tags",
        ("--more", "rare", "--dial", "spree"): "takes the place of --dial",
    }
    for flags, message in refused.items():
        assert main([*how, *flags]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    lists = ["--train", str(corrections / "train.parquet"), "--validation", str(corrections / "validation.parquet")]
    assert main(["correct", str(corrections / "lists.parquet"), *lists, *how[2:], "--more", "rare"]) == 2
    assert "lists have no neurons" in capsys.readouterr().err


def test_a_model_of_all_interactions_leaves_nothing_to_choose_on(tmp_path, capsys):
    pytest.importorskip("torch")
    world = power_law(60, 30, n_interactions=300, rng=0).interactions
    train, model = tmp_path / "train.parquet", tmp_path / "model"
    write_table(world.to_polars(), train)
    assert main(["train", str(train), "-o", str(model), "--epochs", "1", "--validation", "0"]) == 0
    assert main(["correct", str(model)]) == 2
    assert "nothing is left to choose on" in capsys.readouterr().err
    assert main(["correct", str(model), "--train", str(train)]) == 2
    assert "Leave the flag out" in capsys.readouterr().err


@pytest.fixture(scope="module")
def corrections(tmp_path_factory):
    """A folder with the parts of a split, a model of its training part, the model's vectors with ids, and its lists."""
    pytest.importorskip("torch")
    import headtail as ht

    folder = tmp_path_factory.mktemp("corrections")
    split = ht.split_ratio(power_law(400, 120, n_interactions=4500, rng=0).interactions, rng=0)
    for name, part in split.parts.items():
        write_table(part.to_polars(), folder / f"{name}.parquet")
    options = ["--epochs", "12", "--embedding-dim", "8", "--lr", "0.02", "--batch-size", "512"]
    assert main(["train", str(folder / "train.parquet"), "-o", str(folder / "model"), *options]) == 0
    factors = ht.vectors(ht.load_model(folder / "model"))
    users, items = np.random.default_rng(0).permutation(400), np.random.default_rng(1).permutation(120)
    np.save(folder / "queries.npy", factors.queries.numpy()[users])
    np.save(folder / "items.npy", factors.items.numpy()[items])
    np.save(folder / "users.npy", split.train.user_ids[users])
    (folder / "items.txt").write_text("".join(f"{i}\n" for i in split.train.item_ids[items]))
    write_table(ht.recommend(factors, split.train, k=60).to_polars(), folder / "lists.parquet")
    return folder


@pytest.mark.parametrize(
    ("source", "written"),
    [
        (
            "model --validation validation.parquet --test test.parquet",
            {"queries.npy", "items.npy", "user_ids.parquet", "item_ids.parquet"},
        ),
        (
            "--queries queries.npy --items items.npy --user-ids users.npy --item-ids items.txt --train train.parquet "
            "--validation validation.parquet --test test.parquet",
            {"queries.npy", "items.npy", "user_ids.parquet", "item_ids.parquet"},
        ),
        ("lists.parquet --train train.parquet --validation validation.parquet --test test.parquet", set()),
    ],
)
def test_correct_a_model_vectors_and_lists(corrections, tmp_path, capsys, monkeypatch, source, written):
    monkeypatch.chdir(corrections)
    better = tmp_path / "better"
    how = ["--dial", "log-penalty", "--max-loss", "0.1", "-k", "10", "-o", str(better)]
    assert main(["correct", *source.split(), *how]) == 0
    assert "of all settings that lose at most 10%" in " ".join(capsys.readouterr().out.split())
    assert {p.name for p in better.iterdir()} == written | WRITTEN
    found = json.loads((better / "correction.json").read_text(encoding="utf-8"))
    assert found["dial"] == "log penalty"
    before, after = (found["comparison"]["audits"][name]["measurements"] for name in ("as it is", "corrected"))
    ginis = [next(m["value"] for m in audit if m["metric"] == "gini") for audit in (before, after)]
    assert ginis[1] < ginis[0]
    assert main(["audit", str(better / "recommendations.parquet"), "train.parquet", "--test", "test.parquet",
                 "-k", "10", "--n-bootstrap", "0", "--json"]) == 0  # fmt: skip
    measured = json.loads(capsys.readouterr().out)["measurements"]
    assert next(m["value"] for m in measured if m["metric"] == "gini") == pytest.approx(ginis[1], rel=1e-6)
    assert not list(better.parent.glob("*.checkpoint")), "what was kept to resume from is gone with the result"
    if written:
        names = {"--queries": "queries.npy", "--items": "items.npy"}
        names |= {"--user-ids": "user_ids.parquet", "--item-ids": "item_ids.parquet"}
        again = [word for flag, name in names.items() for word in (flag, str(better / name))]
        parts = ["--train", "train.parquet", "--validation", "validation.parquet", "--test", "test.parquet"]
        assert main(["correct", *again, *parts, "--dial", "shrink", "-k", "10", "--json"]) == 0
        start = json.loads(capsys.readouterr().out)["frontier"]["points"][0]["test"]
        assert start["gini@10"] == pytest.approx(ginis[1], rel=1e-3)


def test_vectors_from_elsewhere_are_probed_and_steered(corrections, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(corrections)
    pair = "--queries queries.npy --items items.npy --user-ids users.npy --item-ids items.txt --train train.parquet"
    probe, better = tmp_path / "probe", tmp_path / "better"
    assert main(["probe", *pair.split(), "-o", str(probe), "--expansion", "2", "--k", "4", "--epochs", "2"]) == 0
    parts = ["--validation", "validation.parquet", "--test", "test.parquet", "--dial", "PopSteer", "-k", "10"]
    how = [*pair.split(), *parts, "--strength", "0.5", "--probe", str(probe), "-o", str(better)]
    assert main(["correct", *how]) == 0
    assert {p.name for p in better.iterdir()} == WRITTEN | {
        "queries.npy", "items.npy", "user_ids.parquet", "item_ids.parquet"
    }  # fmt: skip
    users, items = (pl.read_parquet(better / f"{role}_ids.parquet")[f"{role}_id"] for role in ("user", "item"))
    before, after = np.load("queries.npy"), np.load(better / "queries.npy")
    old = np.argsort(np.load("users.npy"))[np.searchsorted(np.sort(np.load("users.npy")), users)]
    assert not np.allclose(before[old], after, atol=1e-3), "the queries are steered"
    lists = pl.read_parquet(better / "recommendations.parquet").sort("user_id", "rank")
    scores = dict(zip(items.to_list(), (after @ np.load(better / "items.npy").T).T, strict=True))
    place = {user: row for row, user in enumerate(users.to_list())}
    theirs = [scores[item][place[user]] for user, item in lists.select("user_id", "item_id").iter_rows()]
    np.testing.assert_allclose(theirs, lists["score"], rtol=1e-4, atol=1e-5)
    np.save(tmp_path / "other.npy", np.load("items.npy")[::-1])
    capsys.readouterr()
    for arguments, message in (
        (["probe", *pair.split()[:-2], "-o", str(probe)], "--train goes with --queries and --items, and is needed"),
        (["probe", "model", *pair.split()[-2:], "-o", str(probe)], "A model's folder has its own"),
        (["probe", "model", *pair.split(), "-o", str(probe)], "Give either the folder of a model, or both"),
        (["correct", *[word.replace("items.npy", str(tmp_path / "other.npy")) for word in how]], "another model"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err.replace("\n", " ")


def test_explore_what_correct_wrote(corrections, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(corrections)
    parts = ["--train", "train.parquet", "--validation", "validation.parquet", "--test", "test.parquet"]
    how = ["--dial", "log-penalty", "--strength", "0.2", "-k", "10", "-o", str(tmp_path / "better")]
    assert main(["correct", "lists.parquet", *parts, *how]) == 0
    assert f"headtail explore {tmp_path / 'better'}" in capsys.readouterr().out.replace("\n", "")
    items = pl.read_parquet("train.parquet")["item_id"].unique()
    write_table(pl.DataFrame({"item_id": items, "title": [f"film {i}" for i in items]}), tmp_path / "titles.csv")
    assert main(["explore", str(tmp_path / "better"), "--titles", str(tmp_path / "titles.csv")]) == 0
    page = tmp_path / "better" / "explorer.html"
    assert str(page) in capsys.readouterr().out.replace("\n", "")
    assert f'"film {items[0]}"' in page.read_text(encoding="utf-8")
    assert main(["correct", "lists.parquet", *parts, *how]) == 0, "the page is ours, too"
    killed = tmp_path / ".other.html.0123abcd.tmp"
    killed.touch()
    assert main(["explore", str(tmp_path / "better"), "-o", str(tmp_path / "other.html")]) == 0
    assert not killed.exists()
    assert '"film ' not in (tmp_path / "other.html").read_text(encoding="utf-8")
    capsys.readouterr()
    write_table(pl.DataFrame({"item_id": ["x"], "title": ["film"]}), tmp_path / "strange.csv")
    for arguments, message in (
        ([str(tmp_path), "-o", "page.md"], "--output page.md: the page is HTML."),
        ([str(tmp_path)], "holds no explorer.json. Give a folder that `headtail correct --output`"),
        ([str(tmp_path / "better"), "--titles", str(tmp_path / "strange.csv")], "holds none of the items"),
        ([str(tmp_path / "better"), "-o", str(tmp_path / "titles.csv" / "page.html")], "is not a folder"),
    ):
        assert main(["explore", *arguments]) == 2
        assert message in capsys.readouterr().err.replace("\n", "")


def test_lists_that_were_reported_are_not_made_again(corrections, tmp_path, monkeypatch):
    monkeypatch.chdir(corrections)
    module = sys.modules["headtail.cli.correct"]
    write, recommend = module._write, Subject.recommend

    def without_making_any(found, *arguments, **options):
        made = []
        with monkeypatch.context() as patch:
            patch.setattr(Subject, "recommend", lambda self, *given: made.append(given[0]) or recommend(self, *given))
            write(found, *arguments, **options)
        assert not any(each is found.made for each in made)

    monkeypatch.setattr(module, "_write", without_making_any)
    parts = ["--train", "train.parquet", "--validation", "validation.parquet", "--test", "test.parquet"]
    assert main(["correct", "lists.parquet", *parts, "--dial", "IPR", "-k", "10", "-o", str(tmp_path / "better")]) == 0
    known = pl.concat([pl.read_parquet(f"{part}.parquet") for part in ("train", "validation")], how="diagonal")
    recs = pl.read_parquet(tmp_path / "better" / "recommendations.parquet")
    assert recs.join(known, on=["user_id", "item_id"], how="semi").is_empty()


def test_without_a_test_file_everything_known_is_left_out_of_the_lists(corrections, tmp_path, monkeypatch):
    monkeypatch.chdir(corrections)
    parts = ["--train", "train.parquet", "--validation", "validation.parquet"]
    assert main(["correct", "lists.parquet", *parts, "--dial", "IPR", "-k", "10", "-o", str(tmp_path / "better")]) == 0
    recs = pl.read_parquet(tmp_path / "better" / "recommendations.parquet")
    for part in ("train", "validation"):
        known = pl.read_parquet(f"{part}.parquet")
        assert recs.join(known, on=["user_id", "item_id"], how="semi").is_empty()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "Give the folder of a model, a file of lists, or both --queries and --items."),
        ("lists.parquet", "--train, and what users did later as --validation"),
        ("none.parquet PARTS", "There is no file none.parquet"),
        ("empty.csv PARTS", "empty"),
        ("train.parquet PARTS", "lists has neither a rank nor a score"),
        ("train.parquet PARTS", "If one holds scores, name it by --score"),
        ("nan.csv PARTS", "lists has 1 missing value in 'score'"),
        ("lists.parquet PARTS -k 60", "The longest list has 60 items and --k 60, so that no other item can move up"),
        ("lists.parquet PARTS --probe model", "--probe holds the neurons of a model"),
        ("lists.parquet PARTS --user-ids users.npy", "--user-ids and --item-ids name the rows of --queries"),
        ("lists.parquet PARTS --dial shrink", "'shrink' works on vectors, and this is a subject of lists"),
        ("lists.parquet PARTS --dial tild", "There is no dial 'tild'"),
        ("lists.parquet --train train.parquet --validation strange.csv", "Nothing is left of validation"),
        ("lists.parquet --train train.parquet --validation missed.csv", "No interaction of validation is among"),
        ("lists.parquet --train train.parquet --validation text.csv", "Cast one of them"),
        ("--queries queries.npy --items items.npy PARTS --user-ids items.txt", "user_ids holds 120 ids for 400 rows"),
        ("--queries queries.npy --items train.parquet PARTS", "whose ids would be taken for numbers"),
        ("--queries queries.npy --items items.npy PARTS --item-ids twice.txt", "more than once"),
    ],
)
def test_wrong_inputs_of_correct(corrections, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(corrections)
    (corrections / "empty.csv").write_text("")
    (corrections / "nan.csv").write_text("user_id,item_id,score\n0,1,0.5\n0,2,nan\n")
    (corrections / "strange.csv").write_text("user_id,item_id\n999999,888888\n")
    (corrections / "text.csv").write_text("user_id,item_id\nann,x\n")
    (corrections / "twice.txt").write_text("7\n" * 120)
    lists, train = pl.read_parquet("lists.parquet"), pl.read_parquet("train.parquet")
    seen = pl.concat([lists.select("user_id", "item_id"), train.select("user_id", "item_id")])
    pairs = lists.select("user_id").unique().join(train.select("item_id").unique(), how="cross")
    write_table(pairs.join(seen, on=["user_id", "item_id"], how="anti").gather_every(40), corrections / "missed.csv")
    line = arguments.replace("PARTS", "--train train.parquet --validation validation.parquet")
    assert main(["correct", *line.split()]) == 2
    captured = capsys.readouterr()
    assert message in captured.err.replace("\n│ ", " ")
    assert "Traceback" not in captured.err


def test_dials_are_listed(capsys):
    assert main(["dials"]) == 0
    listed = capsys.readouterr().out
    assert "tilt (alpha-fair)" in listed and "penalizes the first singular direction" in listed
    assert main(["dials", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["works_on"] for row in rows} == {"training", "model", "vectors", "lists"}
    assert all(row["strengths"][0] == 0 and row["does"] for row in rows)


def test_every_model_is_trained_as_is_usual_for_it(tmp_path, capsys):
    pytest.importorskip("torch")
    from headtail import load_model
    from headtail.models import MODELS

    world = power_law(60, 30, n_interactions=300, rng=0).interactions
    write_table(world.to_polars().with_columns(timestamp=np.arange(len(world))), tmp_path / "train.parquet")
    for name, kind in MODELS.items():
        how = ["--model", name, "--epochs", "1", "--embedding-dim", "4", "-o", str(tmp_path / name)]
        assert main(["train", str(tmp_path / "train.parquet"), *how]) == 0
        assert type(load_model(tmp_path / name)) is kind
    assert main(["train", str(tmp_path / "train.parquet"), *how, "--max-length", "5"]) == 2
    assert "ALS has no max_length" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "train.parquet"), *how[2:], "--loss", "softmax", "--n-negatives", "3"]) == 2
    assert "Leave out --n-negatives 3" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "train.parquet"), "--model", "lightgnc", *how[2:]]) == 2
    assert "Did you mean 'lightgcn'?" in capsys.readouterr().err


def test_spectrum_of_arrays(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for name, rows in (("queries", 12), ("items", 9)):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(rows, 3)))
    arrays = ["--queries", str(tmp_path / "queries.npy"), "--items", str(tmp_path / "items.npy")]
    assert main(["spectrum", *arrays, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["directions"]) == 3
    assert main(["spectrum", *arrays[:2]]) == 2
    assert "Give either the folder of a model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit"], "Give the file of recommendations"),
        (["audit", "missing.csv", "train.csv"], "There is no file"),
        (["nonsense"], "Unknown command"),
        (["data", "train.csv", "--k-core", "1000"], "--k-core 1000 leaves no interactions"),
        (["data", "train.csv", "--output", "report.pdf"], "the ending is not one of .html, .md, .tex, .json"),
        (["audit", "empty.csv", "train.csv"], "empty"),
        (["audit", "truncated.parquet", "train.csv"], "truncated.parquet"),
        (["audit", "recs.tsv", "train.csv", "-k", "2.5"], "'2.5' is not a whole number. It is: Cut-off"),
        (
            ["train", "train.csv", "-o", "m", "--validation", "test.csv"],
            "'test.csv' is not a number. It is: Share of each user's",
        ),
        (["train", "train.csv", "-o", "m", "--seed", "0.5"], "Invalid value for --seed: '0.5' is not a whole number"),
        (["train", "train.csv", "-o", "m", "--resn", "-1"], "--resn -1.0 is out of range"),
        (["train", "train.csv", "-o", "/"], "Cannot write /: it is the root of all"),
        (["probe", "m", "-o", "/"], "Cannot write /: it is the root of all"),
        (["spectrum", "train.csv"], "train.csv"),
        (["recommend", "no-model", "-o", "recs.csv"], "no-model"),
    ],
)
def test_bad_input_has_exit_status_2_and_says_why(files, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    (files / "empty.csv").write_text("")
    (files / "truncated.parquet").write_bytes((files / "test.parquet").read_bytes()[:200])
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err.replace("\n│ ", " ")
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("audit recs.tsv train.csv --catalogue none.npy", "Cannot read none.npy: it is empty."),
        ("audit recs.tsv train.csv --catalogue none.txt", "Cannot read none.txt: it is empty."),
        ("audit recs.tsv train.csv --baseline none.json --fail-if", "Cannot read none.json: it is empty."),
        ("audit --again none.json", "Cannot read none.json: it is empty."),
        ("spectrum --queries none.vec --items none.vec", "Cannot read none.vec: it is empty."),
        ("correct none.trec --train train.csv --validation train.csv", "Cannot read none.trec: it is empty."),
        ("explore broken", "broken/explorer.json cannot be read as JSON: it is empty."),
    ],
)
def test_an_empty_file_is_said_to_be_empty_by_every_reader(files, capsys, monkeypatch, words, message):
    monkeypatch.chdir(files)
    (files / "broken").mkdir()
    for name in ("none.npy", "none.txt", "none.json", "none.vec", "none.trec", "broken/explorer.json"):
        (files / name).write_text("")
    assert main([*words.split(), *["gini@1 rises"] * words.endswith("--fail-if")]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("data train.csv --to train.csv", "train.csv would be written over train.csv, which this command reads"),
        ("data train.csv --to new/../train.csv", "train.csv would be written over train.csv"),
        ("data train.csv --to link.csv", "link.csv would be written over train.csv"),
        ("data link.csv --to train.csv", "train.csv would be written over link.csv"),
        ("data train.csv --titles ml.item --to ml.inter", "ml.item would be written over ml.item"),
        ("data parts/train.parquet --split ratio --to parts", "parts would be written over parts/train.parquet"),
        ("data days --to days/day-3.csv", "days/day-3.csv would become a part of the table days"),
        ("data days/*.csv --to days/all.csv", "days/all.csv would become a part of the table days/*.csv"),
        ("data movielens:ml --to ml/ratings.csv", "ml/ratings.csv would be written over movielens:ml"),
        ("audit recs.tsv --users old.json --output old.json", "old.json would be written over old.json"),
        ("recommend model -o model/interactions.parquet", "model/interactions.parquet would be written over model"),
        ("train model/interactions.parquet -o model", "model would be written over model/interactions.parquet"),
        ("explore model -o model/explorer.json", "model/explorer.json would be written over model"),
        ("spectrum --queries q.json --items q.json -o q.json", "q.json would be written over q.json"),
    ],
)
def test_no_verb_writes_over_what_it_reads(files, capsys, monkeypatch, words, message):
    monkeypatch.chdir(files)
    (files / "new").mkdir()
    (files / "link.csv").symlink_to("train.csv")
    made = "ml.item old.json q.json ml/ratings.csv ml/movies.csv days/day-1.csv days/day-2.csv parts/train.parquet "
    made += "model/interactions.parquet model/explorer.json"
    for name in made.split():
        (files / name).parent.mkdir(exist_ok=True)
        (files / name).write_text("user_id,item_id\n1,2\n")
    held = {path: path.read_bytes() for path in files.rglob("*.*") if path.is_file()}
    assert main(words.split()) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert {path: path.read_bytes() for path in files.rglob("*.*") if path.is_file()} == held


def test_a_tilde_is_the_home(files, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(files))
    monkeypatch.chdir(files.parent)
    assert main(["audit", "~/recs.tsv", "~/train.csv", "--test=~/test.parquet", "-o", "~/report.json"]) == 0
    assert (files / "report.json").exists()
    assert main(["spectrum", "--queries=~/none.npy", "--items=~/none.npy"]) == 2
    assert str(files / "none.npy") in capsys.readouterr().err.replace("\n", "")
    assert main(["data", "~no-such-user/train.csv"]) == 2
    assert "~no-such-user/train.csv" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["data days/*.csv --to days/all.parquet", "data train.csv --to model/train.csv"])
def test_an_output_may_lie_beside_what_is_read(files, monkeypatch, words):
    monkeypatch.chdir(files)
    for folder in ("days", "model"):
        (files / folder).mkdir()
        (files / folder / "day-1.csv").write_bytes((files / "train.csv").read_bytes())
    assert [main(words.split()) for _ in range(2)] == [0, 0]


def test_installed_command_says_its_version():
    done = subprocess.run([sys.executable, "-m", "headtail", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip().count(".") == 2


@pytest.mark.parametrize(("flags", "n"), [([], 68_055), (["--k-core", "5"], 68_055), (["--k-core", "0"], 100_000)])
def test_the_core_of_the_set_that_comes_along(capsys, flags, n):
    assert main(["data", "movietweetings", *flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_interactions"] == n


def test_a_data_set_of_a_folder(tmp_path, capsys):
    (tmp_path / "ratings.dat").write_text("1::7::5::978300760\n2::7::3::978302109\n")
    (tmp_path / "movies.dat").write_text("7::Sabrina (1995)::Comedy\n")
    assert main(["data", f"movielens:{tmp_path}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_interactions"] == 2
    assert main(["data", "movietweetings", "--user", "u", "--min-rating", "9", "--json"]) == 0
    assert "columns of its own, so --user does not matter to it" in " ".join(capsys.readouterr().err.split())
    for wrong, message in {"movielens": "as movielens:FOLDER", "movietweetings:x": "leave out 'x'"}.items():
        assert main(["data", wrong]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "audit NAME y", "correct NAME --train y --validation y", "data NAME", "doctor NAME", "explore NAME",
        "probe NAME --output out", "spectrum NAME", "spectrum --queries NAME --items NAME", "train NAME --output out",
    ],
)  # fmt: skip
def test_a_name_that_no_file_can_have_is_told(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words.replace("NAME", "y" * 300).split()) == 2
    shown = capsys.readouterr().err
    assert f"{'y' * 200} ...': File name too long. Give another path." in shown
    assert "y" * 201 not in shown


@pytest.mark.parametrize("kind", ["text", "several", "objects"])
def test_what_is_no_array_of_vectors_is_refused(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with Path("queries.npy").open("wb") as file:
        if kind == "text":
            file.write(b"user_id,item_id\n")
        elif kind == "several":
            np.savez(file, np.eye(2), np.eye(3))
        elif kind == "objects":
            np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    assert main(["spectrum", "--queries", "queries.npy", "--items", "queries.npy"]) == 2
    assert "Cannot read queries.npy as a .npy array" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("verb", [name for name in app if not name.startswith("-")])
def test_help_of_each_verb_ends_with_an_example_that_can_be_read(verb, capsys):
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    example = re.search(r"^Example: headtail (.+?) *$", shown, flags=re.MULTILINE)[1].split()
    command, *_ = app.parse_args(example, exit_on_error=False, print_error=False)
    assert command.__name__ == verb == example[0]
    if "--min-rating" in shown:  # what is the same for all tables stands apart, below
        assert shown.index("─ Parameters ─") < shown.index("─ How tables are read ─") < shown.index("--min-rating")


def test_a_terminal_leaves_out_what_a_page_folds_and_says_where_it_is(files, capsys):
    inputs = ["audit", str(files / "recs.tsv"), str(files / "train.csv")]
    assert main([*inputs, "-o", str(files / "page.md")]) == 0
    shown, page = capsys.readouterr().out, (files / "page.md").read_text(encoding="utf-8")
    assert "## All metrics" in page and "All metrics ─" not in shown and "Who gets the places ─" in shown
    assert "In the report that --output writes: All metrics; How this was measured." in " ".join(shown.split())
