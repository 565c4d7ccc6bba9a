"""The demonstration, on a small world and with few epochs: what it writes and says."""

import io
import json

import polars as pl
import pytest

pytest.importorskip("torch")

from rich.console import Console

from headtail import demo
from headtail.datasets import power_law
from headtail.exceptions import UnreadableFileError
from headtail.models import MF
from headtail.reports.explorer import Explorer
from headtail.training import Recipe


@pytest.fixture
def small(monkeypatch):
    world = power_law(300, 120, n_interactions=4000, exponent=0.5, rng=0)
    monkeypatch.setattr(demo.datasets, "movietweetings", lambda: world.interactions)
    training = demo.RECIPE.training | {"epochs": 3}
    monkeypatch.setattr(demo, "RECIPE", Recipe(MF, {"embedding_dim": 8}, training))
    monkeypatch.setattr(demo, "GRIDS", {method: grid[:2] for method, grid in demo.GRIDS.items()})


def test_demo_writes_a_report_that_compares_all_methods(small, tmp_path):
    screen = io.StringIO()
    path = demo.run_demo(tmp_path / "out", console=Console(file=screen, width=100))
    page = path.read_text(encoding="utf-8")
    for name in (demo.PLAIN, *demo.GRIDS, "most popular", "random"):
        assert name in page
        assert name in screen.getvalue()
    for made in (path, tmp_path / "out" / "explorer.html"):
        assert str(made) in screen.getvalue().replace("\n", "")
    explored = Explorer.read(tmp_path / "out" / "explorer.json").data
    assert [each["name"] for each in explored["dials"]] == [*demo.GRIDS, "most popular", "random"]
    assert all(each["built_in"] for each in explored["dials"])
    assert all(setting["row"] is not None for setting in explored["settings"])
    assert explored["neurons"] and explored["spectrum"]
    assert "http" not in page.replace("http://www.w3.org", "")
    payload = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert payload["title"] == "Popularity bias, measured, explained and corrected"
    assert (tmp_path / "out" / "report.md").read_text(encoding="utf-8").startswith("# Popularity bias")
    lists = pl.read_parquet(tmp_path / "out" / "recommendations.parquet")
    assert lists.group_by("user_id").len()["len"].max() == demo.K


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(demo.datasets, "movietweetings", lambda: pytest.fail("work began"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UnreadableFileError, match="is not a folder"):
        demo.run_demo(tmp_path / "file" / "out")
