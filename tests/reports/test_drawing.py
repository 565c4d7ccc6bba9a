import math
import re
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from headtail.reports import Chart, Report, chart_svg
from headtail.reports._labels import Placing
from headtail.reports._scales import Scale, from_zero, tick_labels
from headtail.reports._series import styles_of
from headtail.reports._values import shorten, tell_apart, text_width

FINITE = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 4))
SVG = "{http://www.w3.org/2000/svg}"


# -- scales -----------------------------------------------------------------------------------------------------------


@given(st.lists(FINITE, min_size=1, max_size=20), st.booleans(), st.sampled_from([0.0, 0.05]))
def test_scale_covers_its_values(values, zero, pad):
    scale = Scale.of(values, zero=zero, pad=pad)
    assert all(-1e-9 <= scale(v) <= 1 + 1e-9 for v in values)
    if zero:
        assert -1e-9 <= scale(0.0) <= 1 + 1e-9
    ticks = scale.ticks()
    assert ticks == sorted(set(ticks)) and len(ticks) <= 12
    assert all(-1e-9 <= scale(t) <= 1 + 1e-9 for t in ticks)
    assert len(set(tick_labels(ticks))) == len(ticks)


@given(st.lists(st.floats(1e-8, 1e8), min_size=1, max_size=20), st.sampled_from([0.0, 0.05]))
@example([34049840.0, 33800000.0], 0.0)
def test_log_scale_covers_its_values(values, pad):
    scale = Scale.of(values, log=True, pad=pad)
    assert all(-1e-9 <= scale(v) <= 1 + 1e-9 for v in values)
    ticks = scale.ticks()
    assert ticks == sorted(set(ticks)) and 0 < len(ticks) <= 12
    assert len(set(tick_labels(ticks))) == len(ticks)


@pytest.mark.parametrize("log", [False, True])
def test_the_axis_of_a_single_share_does_not_go_beyond_it(log):
    assert Scale.of([1.0], log=log, pad=0.05).high == 1
    assert Scale.of([1.0, 1.0], zero=True) == Scale(0, 1)
    assert Scale.of([1.0], log=log, middle=True)(1.0) == pytest.approx(0.5)
    assert from_zero([1.0]) and from_zero([0.0, 0.0]) and not from_zero([-1.0])


def test_ticks_by_hand():
    assert Scale(0, 1).ticks(5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert Scale(0.42, 0.71).ticks(4) == [0.5, 0.6, 0.7]
    assert Scale(5, 5000, log=True).ticks() == [10, 100, 1000]
    assert Scale(0.13, 1.02, log=True).ticks() == [0.2, 0.5, 1]


def test_tick_labels_by_hand():
    assert tick_labels([0, 0.25, 0.5], ".1%") == ["0%", "25%", "50%"]
    assert tick_labels([0, 0.025, 0.05], ".0%") == ["0.0%", "2.5%", "5.0%"]
    assert tick_labels([0.13, 0.14, 0.15]) == ["0.13", "0.14", "0.15"]
    assert tick_labels([1000, 2000]) == ["1,000", "2,000"]
    assert tick_labels([0.1, 1, 10]) == ["0.1", "1", "10"]
    assert tick_labels([1e-7, 1e-5, 1e-3], ".3%") == ["0.00001%", "0.001%", "0.1%"]


# -- labels -----------------------------------------------------------------------------------------------------------


def overlap(one, other):
    """Return the area that two boxes share."""
    width, height = (min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1))
    return max(width, 0.0) * max(height, 0.0)


@given(st.lists(st.tuples(st.floats(20, 580), st.floats(20, 330)), min_size=1, max_size=8))
def test_labels_of_up_to_eight_points_do_not_cover_each_other(points):
    # Points closer than their markers are wide cannot be labelled apart, so they are thinned first.
    apart = [p for i, p in enumerate(points) if all(math.dist(p, q) > 40 for q in points[:i])]
    plot = Placing(600, 350)
    plot.take(np.array(apart), 5.0)
    labels = [plot.put(point, f"model {i}", 13, needed=True) for i, point in enumerate(apart)]
    assert all(label.free for label in labels)
    boxes = plot.labels + np.array([4, 2, -4, -2])  # without their gaps
    for i, box in enumerate(boxes):
        assert all(overlap(box, other) == 0 for other in [*boxes[:i], *plot.boxes[: len(apart)]])
        assert box[0] >= 0 and box[2] <= 600 and box[1] >= 0 and box[3] <= 350


def test_a_label_without_a_free_place_is_left_out_unless_needed():
    plot = Placing(100, 100)
    plot.take(np.array([[50.0, 50.0]]), 60.0)
    assert plot.put((50, 50), "name", 13, needed=False) is None
    assert plot.put((50, 50), "name", 13, needed=True).free is False


def test_labels_do_not_touch_and_fit_also_in_a_wider_font():
    plot = Placing(400, 100)
    labels = [plot.put((50.0, 30.0 + 15 * i), "name", 13, needed=False) for i in range(2)]
    assert labels[0].align != labels[1].align or abs(labels[1].y - labels[0].y) >= 13 + 4
    narrow = Placing(5 + 1.1 * text_width("name", 13), 100)
    assert narrow.put((0.0, 50.0), "name", 13, needed=False) is None


def test_a_label_covers_marks_rather_than_a_label():
    plot = Placing(200, 40)
    plot.take(np.array([[50.0, 20.0]]), 50.0)  # marks everywhere on the left, a label everywhere on the right
    plot.labels = np.array([[100.0, 0.0, 200.0, 40.0]])
    assert plot.put((100.0, 20.0), "here", 13, needed=True).align == "right"


def test_a_label_keeps_off_a_path():
    plot = Placing(300, 100)
    plot.take_path([(0.0, 50.0), (300.0, 50.0)])
    label = plot.put((150.0, 50.0), "name", 13, needed=False)
    assert label.free and abs(label.y - 50) >= 7.5 + 2


@given(st.text(max_size=120), st.floats(30, 300))
def test_shortened_text_fits(text, width):
    assert text_width(shorten(text, width, 12), 12) <= width


def test_wide_characters_are_wide():
    assert text_width("千と千尋", 10) == pytest.approx(40)


# -- series -----------------------------------------------------------------------------------------------------------


def lines(*names, **options):
    rows = [{"x": x, "y": x + i, "m": name} for i, name in enumerate(names) for x in (0, 1)]
    return Chart("line", rows, "x", "y", color="m", **options)


def test_a_name_looks_the_same_in_every_chart():
    styles = styles_of([lines("a", "b"), lines("c", "b"), lines("training", "c"), lines("head", "a")])
    assert len({styles[name].color for name in "abc"}) == 3
    assert (styles["training"].color, styles["head"].color) == ("neutral", "head")


@given(st.lists(st.lists(st.sampled_from("abcdefghijklmnopqrstuvwx"), min_size=1, unique=True), min_size=1, max_size=6))
def test_series_that_meet_are_told_apart(charts):
    styles = styles_of([lines(*names) for names in charts])
    for names in charts:
        assert len({(styles[name].color, styles[name].marker) for name in names}) == len(names)


def test_colors_repeat_only_where_there_are_more_series_than_colors():
    names = [f"m{i}" for i in range(10)]
    styles = styles_of([lines("loss"), lines("training", *names)])
    assert len({styles[name].color for name in ("training", *names)}) == 11
    assert len({styles[name].marker for name in ("training", *names)}) == 11
    crowd = styles_of([lines(*(f"m{i}" for i in range(20)))])
    assert len({(style.color, style.dash) for style in crowd.values()}) == 20


def test_the_legend_of_a_lorenz_chart_repeats_no_look():
    svg = chart_svg(lines(*(f"m{i}" for i in range(12))))
    legend = svg[svg.rindex("m0") - 600 :]
    looks = re.findall(r'<path transform="[^"]*" d="([^"]*)" fill="([^"]*)"', legend)
    assert len(set(looks)) >= 11


# -- drawings ---------------------------------------------------------------------------------------------------------


def texts_of(svg):
    """Return every text of a drawing with its weight, its color and its place in the plot."""
    found = []
    for element in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        x, y = map(float, re.findall(r"-?[\d.]+", element.get("transform"))[:2])
        found.append((element.text, element.get("font-weight"), element.get("fill"), x, y))
    return found


TRADE_OFF = [
    {"x": x, "y": y, "m": name, "at": str(i), "best": i == 1}
    for name, points in {
        "tilt": [(0.9, 0.3), (0.7, 0.29), (0.3, 0.1)],
        "ReSN": [(0.9, 0.3), (0.8, 0.2), (0.5, 0.05)],
    }.items()
    for i, (x, y) in enumerate(points)
]


def test_a_method_is_named_at_its_choice_and_nowhere_else():
    chart = Chart("scatter", TRADE_OFF, "x", "y", color="m", label="at", connect=True, chosen="best")
    found = [(text, x, y) for text, weight, _, x, y in texts_of(chart_svg(chart)) if weight == "600"]
    assert sorted(text for text, _, _ in found) == ["ReSN 1", "tilt 1"]
    for text, x, y in found:
        right, down = {"tilt 1": (0.7, 0.29), "ReSN 1": (0.8, 0.2)}[text]
        at = (Scale.of([0.3, 0.9], pad=0.07)(right) * 870, (1 - Scale.of([0.05, 0.3], pad=0.07)(down)) * 380)
        assert math.dist((x, y), at) < 45


def test_choices_of_the_same_setting_are_all_labelled():
    # More series than can be named beside their points, each a level line that ends at its choice, 35 pixels apart.
    rows = [{"x": x, "y": i, "m": f"m{i}", "at": str(x), "best": x == 1} for i in range(10) for x in (0, 1)]
    chart = Chart("scatter", rows, "x", "y", color="m", label="at", connect=True, chosen="best")
    assert [text for text, weight, *_ in texts_of(chart_svg(chart)) if weight == "600"] == ["1"] * 10


def test_what_says_its_series_is_named_however_crowded():
    # Of ten series whose points lie on one another the one that a page speaks of, and no grey setting of any.
    rows = [
        {"x": x, "y": x * (1 + i / 1000), "m": f"m{i}", "at": f"{x:g}", "best": x == 1}
        for i in range(10) for x in (0, 1, 2)
    ]  # fmt: skip
    rows[13]["at"] = "m4 at 1"
    chart = Chart("scatter", rows, "x", "y", color="m", label="at", connect=True, chosen="best")
    found = [text for text, *_ in texts_of(chart_svg(chart))]
    assert "m4 at 1" in found and "2" not in found


def test_a_cloud_is_named_in_the_legend_alone():
    rng = np.random.default_rng(0)
    rows = [
        {"x": x + 3 * (i % 2), "y": y, "kind": ("niche", "popular")[i % 2]}
        for i, (x, y) in enumerate(rng.normal(size=(80, 2)))
    ]
    svg = chart_svg(Chart("scatter", rows, "x", "y", color="kind"))
    assert sorted(text for text, *_ in texts_of(svg) if text in ("niche", "popular")) == ["niche", "popular"]
    assert all(y < 20 for text, *_, y in texts_of(svg) if text in ("niche", "popular"))  # in lines of the legend


def test_numbers_at_bars_tell_values_apart():
    assert tell_apart([0.98, 0.94, 1.0], ".1f") == ["0.98", "0.94", "1.00"]
    assert tell_apart([0.98, 0.5, None], ".1f") == ["1.0", "0.5", "–"]
    assert tell_apart([0.5, 0.5], ".1f") == ["0.5", "0.5"]
    assert tell_apart([0.204, 0.199], ".0%") == ["20.4%", "19.9%"]
    rows = [{"x": name, "y": value} for name, value in (("a", 0.98), ("b", 0.94), ("c", 1.0))]
    shown = {text for text, *_ in texts_of(chart_svg(Chart("bar", rows, "x", "y", y_format=".1f")))}
    assert {"0.98", "0.94", "1.00"} <= shown


def test_a_narrow_picture_has_text_of_the_same_size():
    wide, narrow = (chart_svg(lines("a", "b"), narrow=turn) for turn in (False, True))
    widths = [float(re.findall(r'viewBox="0 0 (\S+) ', svg)[0]) for svg in (wide, narrow)]
    sizes = [min(float(size) for size in re.findall(r'font-size="([\d.]+)px"', svg)) for svg in (wide, narrow)]
    assert widths[0] > 800 and widths[1] < 400 and abs(sizes[0] - sizes[1]) < 1


@pytest.mark.parametrize("kind", ["bar", "line", "scatter"])
def test_a_drawing_says_what_it_is(kind):
    chart = Chart(
        kind, [{"x": 1, "y": 2, "m": "<a>"}, {"x": 2, "y": 3, "m": "b & c"}], "x", "y", color="m", title="T < U"
    )
    root = ElementTree.fromstring(chart_svg(chart))
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title" and root[0].text == "T < U"
    assert root[1].tag == f"{SVG}desc" and root[1].text == f"{kind.capitalize()} chart of y by x, for <a>, b & c."


def test_bars_of_items_with_the_same_name_stay_apart():
    svg = chart_svg(Chart("bar", [{"x": "Solaris", "y": 1}, {"x": "Solaris", "y": 2}], "x", "y"))
    assert [text for text, *_ in texts_of(svg)].count("Solaris") == 2


def test_a_crowded_trade_off_is_placed_in_a_moment():
    rng = np.random.default_rng(0)
    rows = [
        {"x": x, "y": y, "m": f"method {i // 12}", "at": f"{i % 12 / 7:.3g}", "best": i % 12 == 5}
        for i, (x, y) in enumerate(rng.normal(size=(180, 2)))
    ]  # fmt: skip
    chart = Chart("scatter", rows, "x", "y", color="m", label="at", connect=True, chosen="best")
    chart_svg(chart)  # starts vl-convert
    start = time.process_time()
    chart_svg(chart)
    assert time.process_time() - start < 3  # the placing alone took longer when it went label by label


def test_pictures_of_one_page_keep_the_look_of_a_series():
    some = [lines("A", "B"), lines("B", "C"), lines("C", "A")]
    colors = {
        color
        for chart in some
        for color in re.findall(r'stroke="(#\w+)" stroke-width="2.25" stroke-l', chart_svg(chart, beside=some))
    }
    assert len(colors) == 3


def test_a_report_keeps_the_look_of_a_series():
    report = Report("r", [lines("A", "B", "C"), lines("C")])
    first, _, second, _ = re.findall(r"<svg xmlns.*?</svg>", report.to_html(), re.S)
    assert "var(--ht-c3)" in first and "var(--ht-c3)" in second and "var(--ht-c1)" not in second


def test_control_characters_in_a_chart_end_no_process():
    chart = Chart(
        "line", [{"x\0": 1, "y": 2, "c": "a\0b"}, {"x\0": 2, "y": 3, "c": "d"}], "x\0", "y", color="c", title="\0"
    )
    svg = chart_svg(chart)
    assert "\0" not in svg
    assert r"a\x00b" in svg
    bars = [{"x": "\x1b[31mred", "y": 1}, {"x": "\0", "y": 2}]  # names that an expression holds
    assert r"\x1b[31mred" in chart_svg(Chart("bar", bars, "x", "y"))


def test_a_text_without_end_is_cut_before_it_is_measured():
    long = "z" * 5000
    rows = [{"x": x, "y": y, "kind": long + kind} for x, y, kind in ((1, 2, "a"), (2, 3, "b"), (1, 1, "b"))]
    svg = chart_svg(Chart("line", rows, "x", "y", color="kind", y_label=long))
    assert "z" * 250 in svg and "z" * 301 not in svg
    assert len(re.findall(r"z{9,}… \w{8}", svg)) >= 2


def test_long_names_of_a_legend_stand_apart_also_in_a_wider_font():
    names = [f"a correction of many words {i}" for i in range(9)]
    svg = chart_svg(Chart("line", [{"x": x, "y": x, "m": m} for m in names for x in (1, 2)], "x", "y", color="m"))
    groups = [e for e in ElementTree.fromstring(svg).iter(f"{SVG}g") if "".join(e.itertext()) in names]
    starts = {float(found[0]) for e in groups if (found := re.findall(r"[\d.]+", e.get("transform", "")))}
    assert len(starts) > 1 and np.diff(sorted(starts)).min() > 1.12 * text_width(names[0], 13) + 14  # and its symbol


@pytest.mark.parametrize(("narrow", "name"), [(False, "the top-10 lists of one recommender"), (True, "top-10 lists")])
def test_the_names_of_lying_bars_are_whole_in_a_wider_font(narrow, name):
    chart = Chart("bar", [{"x": name, "y": 1.0, "of": "a"}], "x", "y", color="of", stacked=True)
    left = float(re.findall(r"translate\(([\d.]+)", chart_svg(chart, narrow=narrow))[0])
    assert left > text_width(name, 12.5 if narrow else 13) + 8  # and the space before its bar


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 30])
def test_an_axis_of_whole_numbers_has_no_ticks_between_them(n):
    rows = [{"epoch": i + 1, "loss": i / 7 + 1} for i in range(n)]
    for narrow in (False, True):
        svg = chart_svg(Chart("line", rows, "epoch", "loss"), narrow=narrow)
        across = re.findall(r">([\d.]+)</text>", svg[: svg.index(">epoch<")])
        assert across and all(map(str.isdigit, across))


def test_few_values_of_a_logarithmic_axis_are_its_ticks():
    chart = Chart("line", [{"x": x, "y": 1 / x} for x in (2, 8, 32)], "x", "y", x_scale="log")
    assert {"2", "8", "32"} <= {text for text, *_ in texts_of(chart_svg(chart))}


@pytest.mark.parametrize("narrow", [False, True])
def test_titles_of_axes_and_names_of_a_legend_are_cut_to_the_width_of_the_drawing(narrow):
    long = "a long name of something " * 9
    rows = [{"x": x, "y": x, "m": m} for m in (f"{long} a", f"{long} b") for x in (1, 2)]
    svg = chart_svg(Chart("line", rows, "x", "y", color="m", x_label=long, y_label=long), narrow=narrow)
    said = [text for text, *_ in texts_of(svg) if text.startswith("a long")]
    assert len(said) == 4 and all(text_width(text, 12.5) < 1.1 * (360 if narrow else 920) for text in said)
