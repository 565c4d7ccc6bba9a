import io
import re

import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console

import headtail as ht
from headtail.exceptions import InvalidInputError
from headtail.reports import Chart, Column, Figure, Figures, Report, Section, Table, Text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(sample, width):
    lines = sample.to_text(width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "\x1b" not in "".join(lines)


def test_rich_prints_a_report_in_color(sample):
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True, color_system="truecolor", legacy_windows=False).print(sample)
    text = out.getvalue()
    assert "\x1b[" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "Exposure ────" in plain and "<b>Bold & Brash</b>" in plain and "[bold" not in plain
    assert "Text with <script>alert(1)</script> & an ampersand" in plain


def test_rich_markup_in_text_is_shown_as_it_is():
    report = Report(
        "[red]t[/red]", [Table([Column("a", "[b]")], [{"a": "[link=x]y[/]"}]), Text("[/red] [bold]")], "[i]"
    )
    text = report.to_text(80)
    for part in ("[red]t[/red]", "[b]", "[link=x]y[/]", "[/red] [bold]", "[i]"):
        assert part in text


def test_bars_have_the_length_of_their_values():
    rows = [{"x": name, "y": value} for name, value in (("a", 1.0), ("b", 0.5), ("c", 0.0), ("d", None))]
    lines = Report("r", [Chart("bar", rows, "x", "y", y_format=".1f")]).to_text(60).splitlines()[2:]
    full, half, none, missing = (line.count("█") for line in lines)
    assert full == 2 * half or abs(full - 2 * half) <= 1
    assert none == missing == 0 and lines[2].split() == ["c", "0.0"] and lines[3].split() == ["d", "–"]


def test_a_sure_change_that_would_be_written_as_nothing_has_a_digit_more():
    rows = [{"change": -0.0003, "low": -0.0004, "high": -0.0002}, {"change": 0.0001, "low": -0.0002, "high": 0.0004}]
    column = Column("change", low="low", high="high", format="+.1%", better="lower", change=True)
    text = Report("r", [Table([column], rows)]).to_text(80)
    assert "↓ -0.03% -0.04% to -0.02%" in text and "≈ 0.0%" in text


def test_what_was_before_and_points_read_well_everywhere():
    tile = Figure("Gini", 0.765, 0.761, 0.7701, format=".4f", code="gini@20", before=0.9897)
    rows = [{"change": 0.10274, "low": 0.0981, "high": 0.1066}, {"change": -0.00001, "low": None, "high": None}]
    shares = Table([Column("change", low="low", high="high", format="+.2p")], rows)
    report = Report("r", [Figures([tile]), shares])
    text, html = report.to_text(80), report.to_html()
    assert "Gini gini@20   0.7650   0.7610 to 0.7701, was 0.9897" in text
    assert "| Gini (gini@20) | 0.7650 (0.7610 to 0.7701, was 0.9897) |" in report.to_markdown()
    assert "Gini (gini@20) & 0.7650 (0.7610 to 0.7701, was 0.9897)" in report.to_latex()
    assert (
        '<div class="ht-interval">0.7610 to\N{NO-BREAK SPACE}0.7701</div><div class="ht-interval">was 0.9897</div>'
        in html
    )
    for written in (text, html.replace("\N{NO-BREAK SPACE}", " "), report.to_markdown(), report.to_latex()):
        assert (
            "+10.27 points" in written
            and "+9.81 to +10.66" in written
            and "10.66 points" not in written
            and "0.00 points" in written
        )
    with pytest.raises(InvalidInputError, match="is not a format for numbers"):
        Chart("line", [{"x": 1, "y": 1}], "x", "y", y_format=".1p")


def test_negative_bars_end_where_positive_ones_start():
    rows = [{"x": "up", "y": 2}, {"x": "down", "y": -2}]
    up, down = Report("r", [Chart("bar", rows, "x", "y")]).to_text(60).splitlines()[2:]
    assert down.rindex("█") + 1 == up.index("█")


def test_lines_rise_to_the_right():
    rows = [{"x": i, "y": i} for i in range(5)]
    lines = Report("r", [Chart("line", rows, "x", "y")]).to_text(60).splitlines()
    drawn = [line for line in lines if re.search("[\u2801-\u28ff]", line)]
    starts = [re.search("[\u2801-\u28ff]", line).start() for line in drawn]
    assert len(drawn) == 14 and starts == sorted(starts, reverse=True)


def test_a_single_point_is_drawn():
    lines = Report("r", [Chart("line", [{"epoch": 3, "ndcg": 0.25}], "epoch", "ndcg")]).to_text(60).splitlines()
    assert sum(line.count("●") for line in lines) == 1
    assert "3" in lines[-2].split() and lines[-1].split() == ["epoch"]


def test_a_point_apart_from_its_line_is_drawn():
    rows = [{"x": x, "y": y, "of": of} for of, x, y in (("a", 0, 0), ("a", 1, 1), ("b", 0.5, 0.9))]
    assert Report("r", [Chart("line", rows, "x", "y", color="of")]).to_text(60).count("■") == 2  # in the legend, too


def test_the_choice_is_labelled_in_the_terminal():
    rows = [{"x": x, "y": 1 - x, "of": "tilt", "at": str(x), "best": x == 0.5} for x in (0.0, 0.5, 1.0)]
    chart = Chart("scatter", rows, "x", "y", color="of", label="at", chosen="best", connect=True)
    drawn = [line for line in Report("r", [chart]).to_text(60).splitlines() if "●" in line or "·" in line]
    assert len(drawn) == 3 and [line for line in drawn if "●⠒0.5" in line] == [drawn[1]]


def test_labels_in_the_terminal_keep_clear_of_marks_that_are_drawn_later():
    rows = [
        {"x": x, "y": 1, "of": "items", "name": name}
        for x, name in ((0.0, ""), (0.9, "a long name"), (0.8, ""), (1.0, ""))
    ]
    text = Report("r", [Chart("scatter", rows, "x", "y", color="of", label="name")]).to_text(60)
    assert "long" not in text and text.count("●") == 4
    rows[2]["x"] = 0.3
    assert "a long name ●" in Report("r", [Chart("scatter", rows, "x", "y", color="of", label="name")]).to_text(60)


def test_wide_tables_are_split_with_the_first_column_repeated():
    columns = [Column("name"), *(Column(f"a_rather_long_heading_{i}") for i in range(6))]
    row = {"name": "the row"} | {f"a_rather_long_heading_{i}": i + 0.5 for i in range(6)}
    text = Report("r", [Table(columns, [row])]).to_text(80)
    assert text.count("the row") == 3
    assert all(f"a_rather_long_heading_{i}" in text and f"{i}.5" in text for i in range(6))


def test_headings_are_folded_where_the_values_then_stand_in_one_table():
    columns = [Column(name, name) for name in ("item", "share of training", "share of the places", "other people")]
    table = Table(columns, [{"item": "a", "share of training": 1, "share of the places": 2, "other people": 3}])
    wide, narrow = (Report("T", [table]).to_text(width) for width in (80, 50))
    assert "share of training" in wide and "share of training" not in narrow
    assert narrow.count("item") == 1 and re.search(r"^a +1 +2 +3$", narrow, re.M)


def test_brief_text_has_tables_and_figures_only(sample):
    text = sample.to_text(100, brief=True)
    assert "NDCG@20" in text and "MF + ReSN" in text
    assert "popularity bias" not in text and "Definitions" not in text and "Spirited" in text
    assert not re.search("[\u2800-\u28ff█]", text)
    assert "Trade-off" not in text  # a section that has charts only
    long = Report("r", [Table([Column("i")], [{"i": i} for i in range(50)])]).to_text(100, brief=True)
    assert "... and 30 more rows" in long


def test_markdown_of_a_small_report():
    report = Report(
        "A *b*",
        [
            Text("See `x < y` and <b>."),
            Figures([Figure("F", 0.5, format=".1f"), Figure("G", "n/a", note="It is `g`.")]),
            Section("S", [
                Table([Column("t", "T|U"), Column("v", "V", better="higher")],
                      [{"t": "a|b *c* &lt; <i>\n", "v": 1}, {"t": "d", "v": 2}], "Title"),
            ]),
        ],
        "Lede.",
    )  # fmt: skip
    expected = r"""# A \*b\*

Lede.

See `x < y` and &lt;b>.

| Figure | Value |
| :--- | ---: |
| F | 0.5 |
| G | n/a |

## S

**Title**

| T\|U | V |
| :--- | ---: |
| a\|b \*c\* &amp;lt; &lt;i> | 1 |
| d | **2** |

## Definitions

- **G**: It is `g`.
"""
    assert report.to_markdown() == expected


def test_latex_by_hand():
    report = Report(
        "50% & more",
        [
            Text("See *this*, **that** and `a_b`.\n\n- one\n- two"),
            Figures([Figure("F_1", 0.5, 0.4, 0.6, format=".1f", note="It is 10~%.")]),
            Section("S", [
                Table([Column("t", "T#"), Column("v", "V", better="higher")],
                      [{"t": "a\\b", "v": 1}, {"t": "{d}", "v": 2}], "Title", caption="Said `here`."),
            ]),
        ],
        "Lede.",
    )  # fmt: skip
    expected = r"""\section{50\% \& more}

Lede.

See \emph{this}, \textbf{that} and \texttt{a\_b}.
\begin{itemize}
\item one
\item two
\end{itemize}

\begin{tabular}{lr}
\toprule
Figure & Value \\
\midrule
F\_1 & 0.5 (0.4 to 0.6) \\
\bottomrule
\end{tabular}

\subsection{S}

\begin{table}
\centering
\caption{Title}
\begin{tabular}{lr}
\toprule
T\# & V \\
\midrule
a\textbackslash{}b & 1 \\
\{d\} & \textbf{2} \\
\bottomrule
\end{tabular}
\par\smallskip\footnotesize Said \texttt{here}.
\end{table}

\subsection{Definitions}

\begin{description}
\item[F\_1] It is 10\textasciitilde{}\%.
\end{description}
"""
    assert report.to_latex() == expected


def test_latex_of_signs_and_brackets_compiles():
    """Arrows are no text there, and a row or a term that begins with a bracket would be an argument."""
    rows = [{"a": "[MF]", "b": "\u2193 -0.2"}, {"a": "\u2248", "b": "\u221e"}]
    report = Report("", [Table([Column("a", "A"), Column("b", "B", note="Of [b].")], rows)])
    written = report.to_latex()
    assert r"{[}MF{]} & \ensuremath{\downarrow} -0.2 \\" in written
    assert r"\ensuremath{\approx} & \ensuremath{\infty} \\" in written
    assert "Of {[}b{]}." in written
    arms = {name: ht.audit(pl.DataFrame({"user_id": [1, 2, 3], "item_id": items, "rank": 1}),
                           pl.DataFrame({"user_id": [1, 2, 3], "item_id": [7, 8, 8]}), k=1)
            for name, items in (("a", [8, 7, 7]), ("b", [8, 7, 8]))}  # fmt: skip
    known = "\u201c\u201d\u2018\u2019\u2026\u2014\xa0"  # to LaTeX
    assert not {letter for letter in ht.compare(arms).to_latex() if letter > "~"} - set(known)


def test_markdown_tells_when_data_is_thinned(sample):
    markdown = sample.to_markdown()
    assert "25 of 64 rows, evenly spaced" in markdown
    assert "| model | head | mid | tail |" in markdown


def test_texts_of_others_are_shown_escaped_wherever_they_stand():
    hostile = "\x1b[2J\x9b1m\u202e\u200b\u2028&#27;[red]x[/red]"
    report = Report(
        hostile,
        [
            Text(f"{hostile} `{hostile}`\n\n- {hostile}"),
            Figures([Figure(hostile, 1.0, note=hostile)]),
            Table([Column(hostile, note=hostile)], [{hostile: hostile}], title=hostile, caption=hostile),
            Section(hostile, []),
        ],
        hostile,
    )
    for text in (report.to_text(), report.to_markdown(), report.to_latex(), report.to_json(), report.to_html()):
        assert not set(text) & set("\x1b\x9b\u202e\u200b\u2028")
    assert r"\x1b[2J" in report.to_text()
    assert "[red]x[/red]" in report.to_text()


def test_a_reference_beyond_the_data_lies_on_the_axis():
    rows = [{"x": 1, "y": 0.1}, {"x": 2, "y": 0.3}]
    plain, beyond = (Report("r", [Chart("line", rows, "x", "y", reference=at)]).to_text(60) for at in (None, 0.9))
    tops = [float(re.findall(r"(\S+) ┤", text)[0]) for text in (plain, beyond)]
    assert tops[0] < 0.4 and tops[1] > 0.7
