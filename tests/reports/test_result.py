import importlib
import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from headtail.exceptions import NotAvailableError
from headtail.reports import Chart, Column, Figure, Figures, Report, Result, Section, Table, Text


@dataclass(frozen=True)
class Shares(Result):
    shares: dict

    def report(self):
        table = Table([Column("group"), Column("share", format=".1%")], self._rows(), "Shares")
        chart = Chart("bar", self._rows(), "group", "share")
        return Report("Exposure by group", [Text("Long prose."), table, chart])

    def to_dict(self):
        return {"shares": self.shares, "rows": np.array([1, 2]), "bad": float("nan"), "n": np.float32(2.0)}

    def _rows(self):
        return [{"group": name, "share": share} for name, share in self.shares.items()]


SHARES = Shares({"head": 0.75, "tail": 0.25})


def test_repr_is_brief_plain_text_though_the_class_is_a_dataclass():
    lines = repr(SHARES).splitlines()
    assert [line.split() for line in lines] == [
        ["<Shares:", "Exposure", "by", "group>"],
        ["Shares"],
        ["group", "share"],
        ["─" * len(lines[3])],
        ["head", "75.0%"],
        ["tail", "25.0%"],
    ]


def test_a_repr_fits_a_terminal_that_is_narrow_and_is_the_same_elsewhere(monkeypatch):
    wide = Report("r", [Table([Column("t", "T"), Column("n", "N")], [{"t": "word " * 30, "n": 1}])], "said " * 40)
    lines = repr(wide).splitlines()
    assert 60 < max(map(len, lines)) <= 100
    monkeypatch.setenv("COLUMNS", "50")
    assert repr(wide).splitlines() == lines
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert max(map(len, repr(wide).splitlines())) <= 50
    monkeypatch.setattr("sys.stdout", None)
    assert repr(wide).splitlines() == lines


def test_a_repr_of_its_own_is_kept():
    class Own(Shares):
        def __repr__(self):
            return "own"

    assert repr(Own({})) == "own"


def test_notebook_page_and_markdown_are_those_of_the_report():
    report = SHARES.report()
    assert SHARES._repr_html_() == report._repr_html_()
    assert SHARES.to_html() == report.to_html()
    assert SHARES.to_markdown() == report.to_markdown()


def test_options_of_a_report_are_those_of_every_rendering(tmp_path):
    class Chosen(Shares):
        def report(self, top=2):
            return Report("Chosen", [Table([Column("group")], self._rows()[:top])])

    chosen = Chosen({"head": 0.75, "tail": 0.25})
    one = chosen.report(top=1)
    assert chosen.to_html(top=1) == one.to_html() != chosen.to_html()
    assert chosen.to_markdown(tmp_path / "one.md", top=1).read_text() == one.to_markdown()
    assert chosen.to_text(40, top=1) == one.to_text(40)
    with pytest.raises(TypeError, match="bottom"):
        chosen.to_html(bottom=1)


def test_a_report_is_a_result_too():
    report = Report("r", [Section("s", [Figures([Figure("a", 0.5, 0.25, 0.75), Figure("b", "n/a")])])])
    assert report.to_polars().drop("value").rows() == [("a", 0.25, 0.75), ("b", None, None)]
    assert repr(report).startswith("<Report: r>")


def test_rich_prints_the_whole_report(capsys):
    import rich

    rich.print(SHARES)
    assert "Long prose." in capsys.readouterr().out


def test_json_is_strict(tmp_path):
    payload = json.loads(SHARES.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert payload == {"shares": {"head": 0.75, "tail": 0.25}, "rows": [1, 2], "bad": None, "n": 2.0}
    path = SHARES.to_json(tmp_path / "shares.json")
    assert json.loads(path.read_text(encoding="utf-8")) == payload


def test_frames():
    assert SHARES.to_polars().rows() == [("head", 0.75), ("tail", 0.25)]
    assert SHARES.to_pandas().to_dict("records") == [{"group": "head", "share": 0.75}, {"group": "tail", "share": 0.25}]


def test_pandas_missing(monkeypatch):
    real = importlib.import_module

    def without(name, *args):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(NotAvailableError, match=r"pip install pandas.*to_polars"):
        SHARES.to_pandas()


def test_an_incomplete_result_cannot_be_made():
    class Empty(Result):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Empty()


def test_import_is_light():
    heavy = ["altair", "vl_convert", "jinja2", "rich", "polars", "torch", "pandas", "markdown_it", "narwhals"]
    code = f"import sys, headtail.reports; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
