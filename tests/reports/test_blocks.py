import datetime as dt
import json

import numpy as np
import pytest

from headtail.exceptions import InvalidInputError, MissingColumnError, UnreadableFileError
from headtail.reports import Chart, Column, Figure, Figures, Report, Section, Table, Text
from headtail.reports._grid import data_table
from headtail.reports._values import best_rows, show
from headtail.reports.blocks import definitions
from headtail.tradeoffs import Estimate


@pytest.mark.parametrize(
    ("value", "spec", "text"),
    [
        (None, ".3f", "–"),
        (float("nan"), ".3f", "–"),
        (0.12345, ".3f", "0.123"),
        (0.5, ".1%", "50.0%"),
        (1234567, None, "1,234,567"),
        (0.000123456, None, "0.0001235"),
        (-0.0001, ".2f", "0.00"),
        (-0.01, ".2f", "-0.01"),
        (0.0004, "<.3f", "< 0.001"),
        (0.0, "<.3f", "< 0.001"),
        (0.0123, "<.3f", "0.012"),
        (3.0, "d", "3"),
        (float("inf"), ".3f", "∞"),
        (True, None, "yes"),
        ("vacuous", ".3f", "vacuous"),
    ],
)
def test_values_as_text(value, spec, text):
    assert show(value, spec) == text


def test_best_cells():
    assert best_rows([1.0, 3.0, None, 3.0], "higher") == {1, 3}
    assert best_rows([1.0, 3.0, float("nan"), "n/a"], "lower") == {0}
    assert best_rows([1.0, 3.0], None) == set()
    assert best_rows([1.0], "higher") == set()
    assert best_rows([2.0, 2.0], "higher") == set()  # all equal: none is better


def test_numpy_scalars_and_dates_become_plain():
    table = Table(
        [Column("a"), Column("b"), Column("c")], [{"a": np.float32(0.5), "b": np.int64(3)}, {"c": dt.date(2024, 5, 1)}]
    )
    assert table.rows == ({"a": 0.5, "b": 3, "c": None}, {"a": None, "b": None, "c": "2024-05-01"})
    assert type(table.rows[0]["b"]) is int
    assert Figure("x", np.float64("nan")).value is None
    assert Figure("x", np.ma.masked).value is Figure("x", np.ma.array(1.0, mask=True)).value is None


def test_a_cell_may_be_a_figure_with_the_ends_of_its_interval():
    known, unknown = Estimate(0.5, 0.4, 0.6, "users", 1), Estimate(float("nan"), None, None, None, 1)
    rows = [{"a": "x", "b": known}, {"a": "y", "b": unknown}, {"a": "z", "b": 1.0}]
    table = Table([Column("a"), Column("b", format=".1f")], rows)
    flat = [{"a": "x", "b": 0.5, "b low": 0.4, "b high": 0.6}, {"a": "y", "b": None}, {"a": "z", "b": 1.0}]
    assert table == Table([Column("a"), Column("b", format=".1f", low="b low", high="b high")], flat)
    assert "| x | 0.5 (0.4 to 0.6) |" in Report("t", [table]).to_markdown()
    told = Figure("", "x", note="What x is.", code="ex"), Figure("", 0.5, 0.4, 0.6, format=".0%")
    drawn = Chart("scatter", [{"x": 1, "y": known}, {"x": 2, "y": unknown}], "x", "y")
    assert (drawn.low, drawn.high, drawn.rows[0]["y"], drawn.rows[1]["y high"]) == ("y low", "y high", 0.5, None)
    assert Chart("scatter", [{"x": 2, "y": unknown}], "x", "y").low is None  # nothing to draw
    report = Report("t", [Table([Column("a"), Column("b")], [dict(zip("ab", told, strict=True))])])
    assert "| x (ex) | 50% (40% to 60%) |" in report.to_markdown() and "- **x**: What x is." in report.to_markdown()


def test_dict_is_json_and_carries_a_schema(sample):
    payload = sample.to_dict()
    assert (payload["schema"], payload["version"]) == ("headtail/report", 1)
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload
    assert [block["type"] for block in payload["blocks"]] == ["figures", "text"] + ["section"] * 5
    scatter = payload["blocks"][5]["blocks"][0]
    assert scatter["kind"] == "scatter" and len(scatter["rows"]) == 24 and scatter["rows"][3]["chosen"] is True
    items = payload["blocks"][6]["blocks"][0]
    assert items["columns"][4]["format"] == "+.2f" and items["columns"][4]["note"].startswith("Log ratio")
    assert items["rows"][4]["lift"] is None


def test_definitions_are_collected_once_in_order(sample):
    terms = [term for term, _ in definitions(sample)]
    assert terms[:4] == ["NDCG@20", "Gini@10", "Head exposure", "Popularity lift"]
    assert terms.count("NDCG@20") == 1
    assert terms[-1] == "Lift"


def test_chart_data_is_spread_by_series():
    rows = [{"x": x, "y": x * k, "of": f"m{k}"} for k in (1, 2) for x in (1, 2, 3)]
    table, n = data_table(Chart("line", rows, "x", "y", color="of"), limit=10)
    assert n == 3
    assert [column.label for column in table.columns] == ["x", "m1", "m2"]
    assert [tuple(row.values()) for row in table.rows] == [(1, 1, 2), (2, 2, 4), (3, 3, 6)]


def test_chart_data_is_thinned_evenly_with_both_ends():
    table, n = data_table(Chart("line", [{"x": i, "y": i} for i in range(101)], "x", "y"), limit=5)
    assert n == 101
    assert [row["x"] for row in table.rows] == [0, 25, 50, 75, 100]


def test_written_files_are_whole_and_paths_come_back(tmp_path, sample):
    report = Report("T", [Text("x")])
    for name, method in (("r.html", report.to_html), ("r.md", report.to_markdown), ("r.json", report.to_json)):
        path = tmp_path / "new" / name
        assert method(path) == path
        assert path.read_text(encoding="utf-8") == method()
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["r.html", "r.json", "r.md"]


def test_unwritable_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnreadableFileError, match="is not a folder"):
        Report("T", []).to_html(tmp_path / "file" / "r.html")


ROWS = [{"x": 1, "y": 2.0}]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Text(3), InvalidInputError, r"Text.markdown=3 is not text"),
        (lambda: Figure("f", [1]), InvalidInputError, r"Figure 'f': value is a list"),
        (lambda: Figure("f", 1, format=".3q"), InvalidInputError, r"format='.3q' is not a format"),
        (lambda: Figures(Figure("f", 1)), InvalidInputError, r"Figures is a Figure. Give a list"),
        (lambda: Figures(["f"]), InvalidInputError, r"entry 0 is a str. Give Figure"),
        (lambda: Column("a", better="more"), InvalidInputError, r"better='more' is not known"),
        (lambda: Table([], ROWS), InvalidInputError, r"no columns"),
        (lambda: Table([Column("x"), Column("x")], ROWS), InvalidInputError, r"'x' is there more than once"),
        (lambda: Table([Column("xx")], ROWS), MissingColumnError, r"no row has 'xx'.*There are: 'x', 'y'"),
        (lambda: Table([Column("x")], [[1]]), InvalidInputError, r"row 0 is a list"),
        (lambda: Chart("pie", ROWS, "x", "y"), InvalidInputError, r"kind='pie' is not known"),
        (lambda: Chart("line", ROWS, "x", "z"), MissingColumnError, r"no row has 'z'"),
        (lambda: Chart("line", [{"x": "a", "y": 1}], "x", "y"), InvalidInputError, r"'x' of row 0 is 'a'"),
        (lambda: Chart("line", [{"x": 1, "y": float("inf")}], "x", "y"), InvalidInputError, r"no place on an axis"),
        (
            lambda: Chart("line", [{"x": 1, "y": 0}], "x", "y", y_scale="log"),
            InvalidInputError,
            r"positive values only",
        ),
        (lambda: Chart("line", ROWS, "x", "y", low="x"), InvalidInputError, r"both low and high"),
        (lambda: Chart("bar", ROWS, "x", "y", y_scale="log"), InvalidInputError, r"bars start at 0"),
        (lambda: Chart("bar", ROWS, "x", "y", stacked=True), InvalidInputError, r"needs kind='bar' and a color"),
        (lambda: Chart("bar", [{"x": "a", "y": -1}], "x", "y", color="x", stacked=True), InvalidInputError, r"below 0"),
        (lambda: Chart("bar", ROWS * 2, "x", "y", color="x"), InvalidInputError, r"several bars of 1, 1"),
        (lambda: Chart("line", ROWS, "x", "y", reference="vertical"), InvalidInputError, r"reference='vertical'"),
        (lambda: Section("s", ["text"]), InvalidInputError, r"entry 0 is a str. Give Text, Figures"),
        (lambda: Report("r", Text("x")), InvalidInputError, r"is a Text. Give a list"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
