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


@pytest.fixture
def small(monkeypatch):
    world = power_law(300, 120, n_interactions=4000, exponent=0.5, rng=0)
    monkeypatch.setattr(demo.datasets, "movietweetings", lambda: world.interactions)
    monkeypatch.setattr(demo, "TRAINING", demo.TRAINING | {"epochs": 3})
    monkeypatch.setattr(demo, "EMBEDDING_DIM", 8)
    monkeypatch.setattr(demo, "RESN_WEIGHTS", (0.0, 1e-3))
    monkeypatch.setattr(demo, "PENALTY_STRENGTHS", (0.0, 0.2))
    monkeypatch.setattr(demo, "SHRINK_FACTORS", (1.0, 0.8))
    monkeypatch.setattr(demo, "TILT_STRENGTHS", (0.0, 0.1))


def test_demo_writes_a_report_that_compares_all_methods(small, tmp_path):
    screen = io.StringIO()
    path = demo.run_demo(tmp_path / "out", console=Console(file=screen, width=100))
    page = path.read_text(encoding="utf-8")
    for name in demo.NAMES.values():
        assert name in page
        assert name in screen.getvalue()
    assert str(path) in screen.getvalue().replace("\n", "")
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
