"""The pages on the reproductions hold what the records hold."""

import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from headtail import MF, load_model, split_ratio
from headtail.datasets import power_law
from headtail.dials import dial
from headtail.subjects import Subject
from headtail.tradeoffs import Estimate, Frontier, Point
from headtail.training import Recipe

ROOT = Path(__file__).parents[2]


def test_pages_are_made_from_the_records(run, tmp_path):
    shutil.copytree(ROOT / "reproduce", tmp_path / "reproduce", ignore=shutil.ignore_patterns("__pycache__"))
    run(tmp_path / "reproduce" / "page.py")
    for made in sorted((tmp_path / "docs").glob("*.md")):
        assert made.read_text(encoding="utf-8") == (ROOT / "docs" / made.name).read_text(encoding="utf-8")


def test_the_tables_of_the_other_pages_are_made_from_the_records(run, tmp_path):
    shutil.copytree(ROOT / "reproduce", tmp_path / "reproduce", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    pages = ("README.md", "docs/figures.md", "docs/explain.md", "docs/index.md")
    for page in pages:
        right = (ROOT / page).read_text(encoding="utf-8")
        spoilt = right.replace("| MF | .", "| MF | 9.", 1).replace("| IPR | -", "| IPR | +", 1)
        spoilt = (
            spoilt.replace("> **Popular", "> **Rare")
            .replace("| SASRec | 10 | .", "| SASRec | 10 | 9.")
            .replace("| Horror ", "| Love ")
        )
        (tmp_path / page).write_text(spoilt, encoding="utf-8")
    run(tmp_path / "reproduce" / "tables.py")
    for page in pages:
        assert (tmp_path / page).read_text(encoding="utf-8") == (ROOT / page).read_text(encoding="utf-8")


def test_what_is_said_of_all_rivals_as_one_family_is_what_the_records_hold(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "reproduce")
    import comparisons
    import page_parts
    import spectral

    combined = [comparisons.then_allocation(name) for name in comparisons.FIRST]
    rows = []
    for cell in page_parts.read("resn", spectral.CELLS):
        methods = cell.frontier.methods
        family = [name for name in methods if name in comparisons.FAMILY]
        rivals = [name for name in methods if name not in (*family, *combined, "most popular")]
        if "allocation" in methods:
            at = partial(cell.frontier.accuracy_at, family, relative=True, against=rivals)
            rows += [at(-share) for share in spectral.EVENER]
    ahead, clear, behind = (
        sum(test(row) for row in rows)
        for test in (lambda r: r.value > 0, lambda r: (r.low or -1) > 0, lambda r: (r.high or 1) < 0)
    )
    page = " ".join((ROOT / "docs" / "figures.md").read_text(encoding="utf-8").split())
    assert f"is ahead in {ahead} of {len(rows)} (in {clear} the interval over seeds is above 0) and in {behind}" in page


def test_what_the_guide_says_of_genres_is_what_the_record_holds(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "reproduce")
    import tags

    rows = (record := json.loads(tags.RECORD.read_text(encoding="utf-8")))["rows"]
    tweets, lens = (next(r for r in rows if (r["data"], r["model"]) == (data, "SASRec")) for data in tags.FOLDERS)
    page = " ".join((ROOT / "docs" / "explain.md").read_text(encoding="utf-8").split())
    shared = [f"{100 * row['alike'][name]:.0f}" for row in (lens, tweets) for name in ("next", "any")]
    explained = [f"{100 * row[name]:.0f}" for name in ("of_popularity", "of_tags") for row in (tweets, lens)]
    assert "in {}% of cases, any two of their films in {}% (MovieTweetings: {} and {}%)".format(*shared) in page
    assert (
        "log popularity explains {}% on MovieTweetings and {}% on MovieLens-1M, all genres {} and {}%".format(
            *explained
        )
        in page
    )
    for row in rows:
        for each in row["steered"]:
            more = [each["changes"][f"{strength:g}"]["share"]["value"] for strength in tags.STRENGTHS[1:]]
            assert more == sorted(more) and more[0] > 0  # at every strength, up to 4
    assert f"{'One' if len(record['seeds']) == 1 else 'Three'} training" in page


def test_what_the_guide_says_of_steering_stands_in_the_summary_of_the_reproduction():
    guide, summary = (" ".join((ROOT / "docs" / name).read_text(encoding="utf-8").split())
                      for name in ("explain.md", "reproduction-popsteer.md"))  # fmt: skip
    found = {}  # by how much each row of a measure is lowered: by the best steering, by the best of all dials
    for row in (ROOT / "docs" / "reproduction-popsteer.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        if len(cells) == 6 and cells[0] in ("Gini", "Calibration error"):
            for place in (3, 5):
                value, high, low = (f"{0.0 - float(each):.1f}" for each in re.findall(r"[-+]?[\d.]+", cells[place]))
                found.setdefault(cells[0], []).append((value, low, high))
    lens, _, *others = found["Calibration error"]
    tweets, pct, lastfm, pct_there, graph, tilt = others  # of steering and of all dials
    assert "falls by {}% ({} to {}) for".format(*lens) in guide and "({}%, {} to {}, beside".format(*pct) in guide
    assert "beside {}%, {} to {}, of a".format(*tweets) in guide
    assert "LightGCN: {}%, {} to {}, beside {}%, {} to {})".format(*pct_there, *lastfm) in guide
    assert "alpha-fair tilt ({}%, {} to {}, beside {}%, {} to {})".format(*tilt, *graph) in guide
    lowered = ["{} ({} to {})".format(*each) for each in found["Gini"]]
    assert (
        "lowers Gini by {}, {}, {} and {}% on these four, and allocation by {}, {}, {} and {}%".format(
            *lowered[::2], *lowered[1::2]
        )
        in guide
    )
    claimed, reached = re.search(
        r"Gini by ([\d.]+ to [\d.]+)% for under .* Gini by ([\d.]+)% at best", summary
    ).groups()
    assert (
        f"*Claimed* (PopSteer): {claimed}% less Gini" in guide
        and f"*Found* for the published rule: {reached}% less" in guide
    )


@pytest.mark.parametrize("script", ["spectral.py", "neurons.py"])
def test_an_unknown_cell_is_refused(run, script, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(ROOT / "reproduce" / script, "als/nowhere/common")
    assert "there is no cell 'als/nowhere/common'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["neurons.py", "sasrec/ml-1m/leave-last"], ["tags.py"]])
def test_data_that_is_not_there_is_asked_for(run, command, tmp_path):
    with pytest.raises(SystemExit, match=r"There is no .*\.parquet\. Give --data a folder with a folder for each set"):
        run(ROOT / "reproduce" / command[0], *command[1:], "--data", tmp_path, "--work", tmp_path / "work")


def test_residuals_of_a_set_are_those_at_which_a_bias_warns(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "reproduce")
    import settling

    world = power_law(80, 40, n_interactions=560, rng=0).interactions
    split = split_ratio(world, rng=0)
    monkeypatch.setattr(settling, "split_of", lambda *_: split)
    monkeypatch.setattr(settling, "K", 5)
    row = settling.measured(tmp_path, "lastfm")
    grids = {name: [f"{strength:g}" for strength in dial(name).grid[1:]] for name in settling.DIALS}
    assert {name: list(found) for name, found in row["residuals"].items()} == grids
    assert all(0 <= residual < 1 for found in row["residuals"].values() for residual in found.values())
    row["residuals"]["tilt (entropy)"] |= {"0.4": 0.05, "0.8": 0.2}
    assert ".200 (at 0.4, 0.8) |" in settling.table({"rows": [row]})[-1]
    assert row["users"] == 80 and row["items"] == 40


def test_seeds_of_tags_run_apart_and_are_joined(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "reproduce")
    import cells
    import tags

    world = power_law(80, 40, n_interactions=560, rng=0).interactions
    genres = pl.DataFrame({"item_id": world.item_ids, "genres": [("a", "b")[i % 2] for i in range(world.n_items)]})
    monkeypatch.setattr(tags, "split_of", lambda *_: split_ratio(world, validation=0.1, rng=0))
    monkeypatch.setattr(cells, "frame", lambda *_: genres)
    monkeypatch.setattr(tags, "RECIPES", {("MovieLens-1M", "MF"): Recipe(MF, {"embedding_dim": 4}, {"epochs": 1})})
    monkeypatch.setattr(tags, "AUTOENCODER", {"expansion": 2, "n_active": 3})
    monkeypatch.setattr(tags, "TAGS", ("a",))
    alone = [next(tags.run(tmp_path, tmp_path, [seed])) for seed in tags.SEEDS]
    monkeypatch.setattr(tags, "trained", lambda *given: load_model(given[2]))  # nothing is trained again
    monkeypatch.setattr(tags, "find_concepts", None)
    (joined,) = tags.run(tmp_path, tmp_path, tags.SEEDS)
    assert joined["by_seed"] == [row["by_seed"][0] for row in alone]
    assert joined["best_auc"] == pytest.approx(np.mean([row["best_auc"] for row in alone]))
    found, each = (row["steered"][0]["changes"]["2"]["share"] for row in (joined, alone[0]))
    assert found.value == pytest.approx(np.mean([r["steered"][0]["changes"]["2"]["share"].value for r in alone]))
    assert (found.n_seeds, each.n_seeds) == (3, 1) and found.low < found.value < found.high
    assert "± " in tags.known_table({"rows": [joined]})[-1]


def test_a_cell_of_neurons_turns_every_dial(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "reproduce")
    import cells
    import neurons

    world = power_law(80, 40, n_interactions=560, rng=0).interactions
    monkeypatch.setattr(cells, "load", lambda *_: split_ratio(world, validation=0.1, rng=0))
    monkeypatch.setattr(cells, "EXTENSIONS", 0)
    monkeypatch.setattr(cells, "REFINEMENTS", 0)
    monkeypatch.setattr(neurons, "SEEDS", (0,))
    small = {"expansion": 2, "k": 4, "epochs": 1}
    monkeypatch.setitem(neurons.SETTINGS, "lightgcn/lastfm", neurons.Settings({"epochs": 1}, small))
    monkeypatch.setattr(neurons, "ITEMS", small)
    monkeypatch.setattr(neurons, "TURNED", tuple(replace(each, grid=each.grid[:2]) for each in neurons.TURNED))
    found = neurons.run("lightgcn/lastfm/common", tmp_path, tmp_path, neurons.TURNED)
    assert {point["method"] for point in found["frontier"]["points"]} == {each.name for each in neurons.TURNED}
    changed = [change for row in found["compared"]["losses"] for change in row["changes"].values()]
    assert {change.over for change in changed} == {"users", None}
    assert found["stability"] is not None and len(found["autoencoders"]) == 1


def test_settings_are_tried_finely_above_the_one_that_is_chosen_for_little(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "reproduce")
    import cells

    split = split_ratio(power_law(300, 60, n_interactions=1800, rng=0).interactions, validation=0.2, rng=0)
    known = split.train.matrix.toarray().astype(float)
    subject = Subject((known, known.T @ known), split, k=5)
    coarse, fine = (
        cells.turned([dial("log penalty")], subject, tmp_path / name, finely=loss, n_bootstrap=0)
        for name, loss in (("coarse", None), ("fine", 0.005))
    )
    added = sorted(set(fine.settings("log penalty")) - set(coarse.settings("log penalty")))
    chosen = coarse.choose("log penalty", 0.005)
    following = next(setting for setting in coarse.settings("log penalty") if setting > chosen)
    assert len(added) == cells.REFINEMENTS and all(chosen < setting < following for setting in added)


def test_each_seed_has_its_own_split_and_all_have_the_same_settings(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "reproduce")
    import cells
    import spectral

    world = power_law(200, 50, n_interactions=1500, rng=0).interactions
    subjects = {}
    for seed in range(3):
        split = split_ratio(world, validation=0.2, rng=seed)
        known = split.train.matrix.toarray().astype(float)
        subjects[seed] = Subject((known, known.T @ known), split, k=5)
    short = replace(dial("log penalty"), grid=(0.0, 0.01))
    found = cells.turned_over_splits(short, subjects, tmp_path, spectral._metrics)
    settings = [[p.setting for p in found.points if p.seed == seed] for seed in subjects]
    assert settings[0] == settings[1] == settings[2]
    assert len(settings[0]) > 2  # extended, since the last was chosen over the splits together
    assert len({point.test["ndcg@5"] for point in found.points if not point.setting}) == 3
    assert found.estimate("log penalty", 0.01, "ndcg@5", relative=True).over == "users and seeds"


def test_intervals_of_a_record_are_over_users_where_their_parts_were_at_hand(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "reproduce")
    import comparisons

    rng = np.random.default_rng(0)
    points, influences = [], {}
    both = comparisons.then_allocation("IPS")
    for method, loss in (("allocation", 0.01), ("tilt (entropy)", 0.02), ("IPR", 0.04), ("IPS", 0.05), (both, 0.0)):
        for seed in range(3):
            for setting in (0.0, 1.0):
                noise = rng.normal(scale=1e-3)
                measured = {"ndcg@20": 0.3 - loss * setting + noise, "gini@20": 0.9 - 0.1 * setting}
                points.append(Point(method, setting, seed, measured, measured, {}))
                parts = {name: rng.normal(scale=1e-3, size=50) for name in measured}
                influences[method, setting, seed, "test"] = parts
    bare = Frontier(tuple(points), "ndcg@20", "gini@20")
    ask = partial(comparisons.compared, levels=[("gini@20", 0.1)], losses=(0.05, None), metrics=["ndcg@20"])
    whole = replace(bare, influences=influences)
    (level,), losses = (ask(whole)[part] for part in ("levels", "losses"))
    family = ["allocation", "tilt (entropy)"]
    at = partial(whole.accuracy_at, unfairness=-0.1, relative=True)
    assert level["ahead"] == {rival: at(family, against=rival) for rival in ("IPR", "IPS")}
    assert level["ahead"]["IPR"].over == "users and seeds" and level["least"] == both
    assert level["rivals"] == at(family, against=["IPR", "IPS"])
    assert level["then"] == {
        "IPS": {
            "alone": at(both),
            "allocation": at(both, against="allocation"),
            "training": at(both, against="IPS"),
        }
    }
    assert list(level["allocation"]) == ["tilt (entropy)", "IPR"]
    assert [(row["method"], row["setting"]) for row in losses[:3]] == [
        ("allocation", 1.0),
        ("tilt (entropy)", 0.0),
        ("IPR", 0.0),
    ]
    assert losses[0]["changes"]["ndcg@20"].over == "users and seeds"
    (level,) = ask(bare)["levels"]
    assert level["ahead"]["IPR"].over == "seeds"


@pytest.mark.parametrize(
    ("ahead", "why"),
    [
        ((0.02, 0.01, 0.03, "users and seeds"), ""),
        ((-0.02, -0.03, -0.01, "users and seeds"), "the other is ahead"),
        ((0.01, -0.02, 0.04, "seeds"), "±3.0% over 3 seeds; the record keeps no users"),
        ((0.01, -0.02, 0.04, "users and seeds"), "±3.0% with 1,234 test interactions"),
        ((0.0, -0.01, 0.01, "users and seeds"), "±1.0%, and the other's own change is -0.2%"),
    ],
)
def test_a_row_that_is_not_ahead_says_why(monkeypatch, ahead, why):
    monkeypatch.syspath_prepend(ROOT / "reproduce")
    import page_resn

    assert (
        page_resn._doubt(Estimate(*ahead, 3), Estimate(-0.002, None, None, None, 3), {"sizes": {"test": 1234}}) == why
    )
