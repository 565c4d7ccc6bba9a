"""The command line, run in this process; files in, files and exit status out."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from headtail.cli import main
from headtail.data import write_table
from headtail.datasets import checkerboard, power_law


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
    assert "failed gini@1 > 0" in capsys.readouterr().err


def test_an_unexpected_error_is_no_verdict(files, capsys, monkeypatch):
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
    assert len(json.loads(out[out.index("\n{") :])["directions"]) == 8
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


@pytest.mark.parametrize(
    ("kind", "how", "method"),
    [("mf", [], "PopSteer v2"), ("sasrec", ["--rule", "damp", "--by-user"], "PopSteer damp, by user")],
)
def test_probe_and_steer(tmp_path, capsys, kind, how, method):
    pytest.importorskip("torch")
    world = power_law(120, 40, n_interactions=800, rng=0).interactions
    times = np.random.default_rng(0).permutation(len(world))
    train, model, probe, steered = (tmp_path / name for name in ("train.parquet", "model", "probe", "steered"))
    write_table(world.to_polars().with_columns(timestamp=times), train)
    options = ["--model", kind, "--epochs", "6", "--embedding-dim", "8", "--k", "5", "--max-length", "10"]
    assert main(["train", str(train), "-o", str(model), *options]) == 0
    assert main(["probe", str(model), "-o", str(probe), "--expansion", "4", "--k", "4", "--epochs", "5"]) == 0
    names = {"autoencoder", "report.html", "neurons.parquet", "neurons.json", "neurons.safetensors"}
    assert {p.name for p in probe.iterdir()} == names
    assert len(pl.read_parquet(probe / "neurons.parquet")) == 32
    capsys.readouterr()
    dial = ["--probe", str(probe), "-k", "5", "--alphas", "0", "--alphas", "0.5", "--max-loss", "1"]
    assert main(["steer", str(model), *dial, *how, "-o", str(steered), "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert [(point["method"], point["setting"]) for point in points] == [(method, 0.0), (method, 0.5)]
    recs = pl.read_parquet(steered / "recommendations.parquet")
    assert main(["recommend", str(steered / "model"), "-k", "5", "-o", str(tmp_path / "again.parquet")]) == 0
    assert pl.read_parquet(tmp_path / "again.parquet").equals(recs)
    assert main(["spectrum", str(steered / "model")]) == 0
    for i, (change, message) in enumerate({"--lr": "made for another model", "--k-core": "other interactions"}.items()):
        other = tmp_path / f"other-{i}"
        assert main(["train", str(train), "-o", str(other), *options, change, "0.1" if change == "--lr" else "2"]) == 0
        assert main(["steer", str(other), *dial, *how, "-o", str(steered)]) == 2
        assert message in capsys.readouterr().err


def test_steer_needs_something_held_out(tmp_path, capsys):
    pytest.importorskip("torch")
    world = power_law(60, 30, n_interactions=300, rng=0).interactions
    train, model, probe = (tmp_path / name for name in ("train.parquet", "model", "probe"))
    write_table(world.to_polars(), train)
    assert main(["train", str(train), "-o", str(model), "--epochs", "1", "--validation", "0"]) == 0
    assert main(["probe", str(model), "-o", str(probe), "--epochs", "1"]) == 0
    assert main(["steer", str(model), "--probe", str(probe), "-o", str(tmp_path / "steered")]) == 2
    assert "nothing is left to choose on" in capsys.readouterr().err
    assert main(["steer", str(model), "--probe", str(probe), "-o", str(tmp_path / "s"), "--alphas", "1"]) == 2
    assert "the first must be 0" in capsys.readouterr().err


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
        (["audit"], "requires an argument"),
        (["audit", "missing.csv", "train.csv"], "There is no file"),
        (["nonsense"], "Unknown command"),
        (["data", "train.csv", "--k-core", "1000"], "k_core=1000 leaves no interactions"),
        (["data", "train.csv", "--output", "report.pdf"], "the ending is not one of .html, .md, .json"),
        (["audit", "empty.csv", "train.csv"], "empty"),
        (["audit", "truncated.parquet", "train.csv"], "truncated.parquet"),
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


def test_installed_command_says_its_version():
    done = subprocess.run([sys.executable, "-m", "headtail", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip().count(".") == 2


@pytest.mark.parametrize(("flags", "n"), [([], 68_055), (["--k-core", "5"], 68_055), (["--k-core", "0"], 100_000)])
def test_the_core_of_the_set_that_comes_along(capsys, flags, n):
    assert main(["data", "movietweetings", *flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_interactions"] == n
