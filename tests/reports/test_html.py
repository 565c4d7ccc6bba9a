import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from headtail.reports import Chart, Column, Figure, Figures, Report, Section, Table, Text, chart_svg

HOSTILE = """<b>&'"</b><script>alert(1)</script>"""


class Page(HTMLParser):
    """Collects tags, attributes, ids and text; complains about tags that are not closed in order."""

    VOID = ("meta", "br", "link", "img", "path", "line", "rect")

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.attributes, self.text, self.stack = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag not in ("meta", "br"):
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def html(sample):
    return sample.to_html()


def test_page_is_complete_in_itself(html):
    page = Page(html)
    assert "script" not in page.tags and "img" not in page.tags and "link" not in page.tags
    outside = [link for link in page.links if not link.startswith("#")]
    assert outside == ["https://example.org/paper"]  # a link of the text itself; followed only by a click
    assert "@import" not in html and "url(" not in html
    assert not [name for name in page.attributes if name.startswith("on")]


def test_ids_are_unique_and_links_lead_somewhere(html):
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_every_chart_is_drawn_twice_described_and_backed_by_its_data(html):
    assert html.count('<figure class="ht-chart"') == 8
    drawings = re.findall(r"<svg xmlns.*?</svg>", html, re.S)
    assert len(drawings) == 16
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("viewBox") and root.get("width") is None and root.get("role") == "img"
    assert html.count("<summary>Data: ") == 8
    assert "<title>Lorenz curve</title><desc>Line chart of share of exposure by share of items" in html


def test_groups_have_their_own_colors(html):
    drawing = next(d for d in re.findall(r"<svg xmlns.*?</svg>", html, re.S) if "var(--ht-tail)" in d)
    assert {"var(--ht-head)", "var(--ht-mid)", "var(--ht-tail)"} <= set(re.findall(r'fill="([^"]+)"', drawing))


def test_hostile_text_is_escaped_everywhere():
    rows = [{"t": HOSTILE, "s": HOSTILE, "x": 1, "y": 2.0}, {"t": HOSTILE + "2", "s": HOSTILE + "2", "x": 2, "y": 3.0}]
    charts = [
        Chart(
            kind, rows, x, "y", color="s", label="t", title=HOSTILE, caption=HOSTILE, x_label=HOSTILE, y_label=HOSTILE
        )
        for kind, x in (("bar", "t"), ("line", "x"), ("scatter", "x"))
    ]
    table = Table([Column("t", HOSTILE, note=HOSTILE)], rows, HOSTILE, HOSTILE)
    figures = Figures([Figure(HOSTILE, HOSTILE, note=HOSTILE)])
    report = Report(HOSTILE, [figures, Text(HOSTILE), Section(HOSTILE, [table, *charts])], HOSTILE)
    for html in (report.to_html(), report._repr_html_()):
        assert "<script" not in html and "<b>&" not in html
        assert Page(html).text.count("alert") == 0
        assert HOSTILE in "".join(Page(html).text)
    markdown = report.to_markdown()
    assert "<script" not in markdown and "<b>" not in markdown


def test_prose_is_a_small_subset_of_markdown():
    html = Report(
        "r", [Text("**b** *i* `c<d` [l](https://x.org) ![p](https://x.org/p.png)\n\n- one\n- two\n\n# no")]
    ).to_html()
    assert "<strong>b</strong> <em>i</em> <code>c&lt;d</code>" in html
    assert "<li>one</li>" in html and "<img" not in html and "# no" in html
    assert (
        "falls −1.5% to −2, not 2013-10-01, a-1 or <code>-1</code>"
        in Report("r", [Text("It falls -1.5% to -2, not 2013-10-01, a-1 or `-1`")]).to_html()
    )
    assert "javascript:" not in re.findall(r'href="([^"]*)"', Report("r", [Text("[l](javascript:x)")]).to_html())


def test_numbers_of_a_table():
    columns = [Column("m", "Model"), Column("v", "V", ".2f", "What V is.", "lower", "lo", "hi")]
    rows = [
        {"m": "a", "v": -0.5, "lo": -0.75, "hi": 0.25},
        {"m": "b", "v": 0.5, "lo": 0, "hi": 1},
        {"m": "c", "v": None},
    ]
    html = Report("r", [Table(columns, rows)]).to_html()
    assert (
        '<td class="ht-number ht-best"><b>−0.50</b><div class="ht-interval">−0.75 to\N{NO-BREAK SPACE}0.25</div></td>'
        in html
    )
    assert '<td class="ht-number">0.50<div class="ht-interval">0.00 to\N{NO-BREAK SPACE}1.00</div></td>' in html
    assert '<td class="ht-number ht-missing">–</td>' in html
    assert (
        '<th scope="col" class="ht-number"><a class="ht-term" href="#definition-1" title="What V is.">V</a></th>'
        in html
    )
    assert '<p id="definition-1"><dfn>V</dfn> What V is.</p>' in html


def test_section_names_that_repeat_get_ids_of_their_own():
    html = Report("r", [Section("Ä / b", [Section("Ä / b", [])]), Section("日本", [])]).to_html()
    assert re.findall(r'<h(\d) id="([^"]+)"', html) == [("2", "a-b"), ("3", "a-b-2"), ("2", "section")]


def test_fragments_of_two_reports_share_a_page():
    one, two = (Report(t, [Section("Same", []), Figures([Figure("f", 1, note="n")])])._repr_html_() for t in "ab")
    ids = Page(f"<div>{one}{two}</div>").ids
    assert len(ids) == 6 == len(set(ids))
    assert "<html" not in one and "<body" not in one


def test_styles_stay_inside_the_report(html):
    css = re.search(r"<style>(.*?)</style>", html, re.S).group(1).replace("@page { margin: 15mm 14mm; }", "")
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    css = re.sub(r"@(?:media|container)[^{]*\{", "", css)
    selectors = [s.strip() for group in re.findall(r"([^{}]+)\{", css) for s in re.split(r",(?![^(]*\))", group)]
    assert len(selectors) > 80
    assert [s for s in selectors if ".ht" not in s] == []


def test_same_report_same_bytes(sample, html):
    assert sample.to_html() == html


@pytest.mark.parametrize("kind", ["bar", "line", "scatter"])
def test_degenerate_charts_are_drawn(kind):
    for rows in ([{"x": 1, "y": 0.0}], [{"x": 1, "y": 5}, {"x": 2, "y": 5}]):
        html = Report("r", [Chart(kind, rows, "x", "y")]).to_html()
        assert html.count("<svg xmlns") == 2
        assert "NaN" not in html and "undefined" not in html


def test_intervals_references_and_log_scales_are_drawn():
    rows = [{"x": 10.0**i, "y": 10.0**-i, "l": 10.0**-i / 2, "h": 10.0**-i * 2} for i in range(6)]
    chart = Chart("line", rows, "x", "y", low="l", high="h", x_scale="log", y_scale="log", reference=0.01)
    html = Report("r", [chart]).to_html()
    assert ">0.00001<" in html and 'stroke-dasharray="4,4"' in html
    assert 'opacity="0.16"' in html


@pytest.mark.parametrize("n", [2, 30])
def test_a_chart_as_a_picture_of_its_own(tmp_path, n):
    rows = [{"x": x, "y": x + i / n, "s": f"a < {i}"} for i in range(n) for x in range(3)]
    chart = Chart("line", rows, "x", "y", color="s")
    root = ElementTree.fromstring(chart_svg(chart))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert all(any(f"a < {i}" in text for text in texts) for i in range(n))
    text = chart_svg(chart, tmp_path / "chart.svg").read_text(encoding="utf-8")
    assert text == chart_svg(chart) and "var(" not in text


def test_a_long_cell_can_be_cut_on_a_small_screen_and_says_all_of_it_on_hover():
    name = "Stainless steel " * 12
    html = Report("r", [Table([Column("item")], [{"item": name}, {"item": "short"}])]).to_html()
    assert f'<td><div class="ht-long" title="{name}">{name}</div></td>' in html and "<td>short</td>" in html


def test_a_chart_without_a_value_says_so():
    for rows in ([], [{"x": 1.0, "y": float("nan")}, {"x": 2.0, "y": None}]):
        html = Report("r", [Chart("line", rows, "x", "y")]).to_html()
        assert html.count("There is no value to draw.") == 2 and "<svg" not in html


def test_numbers_of_bars_below_zero_stand_apart_from_the_names():
    chart = Chart("bar", [{"x": name, "y": -value} for name, value in (("one", 1.0), ("two", 4.0))], "x", "y")
    svg = chart_svg(chart)
    texts = re.findall(r'translate\([-\d.]+,([-\d.]+)\)"[^>]*font-size="12px"[^>]*>−(\d)<', svg)
    assert {number: float(place) < 380 - 8 for place, number in texts} == {"1": True, "4": True}


def test_emoji_and_scripts_that_join_their_letters_are_drawn_whole():
    family, persian = "\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u0631\u0648\u0645"
    rows = [{"x": name, "y": 1.0} for name in (family, persian, "a\u200db")]
    html = Report("r", [Chart("bar", rows, "x", "y")]).to_html()
    assert f">{family}<" in html and f">{persian}<" in html and r">a\u200db<" in html
