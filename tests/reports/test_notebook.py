"""Results in a real notebook: one output each, of a size that a notebook can keep."""

import re

import pytest

from headtail.reports import Chart, Report, Section, _html

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

SET_UP = """
import numpy as np
import headtail as ht
from headtail.reports import Figure, Figures, Report
from headtail.tradeoffs import Frontier, Point

split = ht.split_ratio(ht.datasets.power_law(120, 60, n_interactions=700, rng=0).interactions, rng=0)
popular, random = (make(split.known, k=5) for make in (ht.baselines.most_popular, ht.baselines.random_items))
audits = {name: ht.audit(recs, split.train, split.test, k=5) for name, recs in {"a": popular, "b": random}.items()}
measured = [{"ndcg@5": 0.3 - x, "gini@5": 0.9 - x} for x in (0.0, 0.1)]
points = [Point("tilt", setting, 0, values, values, {}) for setting, values in zip((0.0, 0.1), measured)]
"""
RESULTS = (
    "ht.describe(split.train)",
    "audits['a']",
    "ht.compare(audits)",
    "ht.spectrum(np.eye(120, 3), np.eye(60, 3), popularity=split.train.popularity)",
    "Frontier(tuple(points), 'ndcg@5', 'gini@5')",
    "Report('Report', [Figures([Figure('Gini', 0.9)])])",
)


@pytest.mark.filterwarnings("ignore")  # of the notebook's own machinery
def test_each_result_is_one_output():
    cells = [nbformat.v4.new_code_cell(source) for source in (SET_UP, *RESULTS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    assert notebook.cells[0].outputs == []
    for cell in notebook.cells[1:]:
        (output,) = cell.outputs
        assert output.output_type == "execute_result"
        assert set(output.data) == {"text/html", "text/plain"}
        assert len(output.data["text/html"].encode()) <= _html.NOTEBOOK
        assert output.data["text/plain"].startswith("<")
        assert not re.search(r"\drem\b", output.data["text/html"])  # the root's size is the notebook's own


def test_what_is_too_long_for_a_notebook_is_named(monkeypatch):
    rows = [{"x": x, "y": x % 7} for x in range(60)]
    charts = [Chart("scatter", rows, "x", "y", title=f"Chart {i}") for i in range(4)]
    report = Report("Long", [Section("First", charts[:1]), Section("Second", charts[1:])])
    bare, whole = (len(each._repr_html_().encode()) for each in (Report("Long", []), report))
    monkeypatch.setattr(_html, "NOTEBOOK", most := (bare + 2 * whole) // 3)
    html = report._repr_html_()
    drawn = html.count("<svg xmlns")
    assert len(html.encode()) <= most and 1 < drawn < 4
    assert ", ".join(f"Chart {i}" for i in range(drawn, 4)) in html


def test_an_untrusted_notebook_says_so_and_shows_no_words_of_charts(sample):
    """JupyterLab takes style sheets and drawings out of what it does not trust, and leaves their words."""
    html = sample._repr_html_()
    bare = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    plots = re.findall(r'<div class="ht-plot[^>]*>', bare)
    assert plots and all('style="height: 0; overflow: hidden"' in plot for plot in plots)
    assert "once this notebook is trusted" in bare
    sheet = re.search(r"<style>.*?</style>", html, re.DOTALL)[0]
    assert ".ht-untrusted { display: none" in sheet and "height: auto !important" in sheet
    assert "untrusted" not in sample.to_html().replace(sheet, "").partition("</style>")[2]
