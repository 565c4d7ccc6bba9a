import math
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headtail.reports._placing import Box, along, around, place, spread
from headtail.reports._scales import Scale, tick_labels
from headtail.reports._values import shorten, text_width, wrap

FINITE = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 4))


@given(st.lists(FINITE, min_size=1, max_size=20), st.booleans(), st.booleans())
def test_scale_covers_its_values(values, zero, round_ends):
    scale = Scale.of(values, zero=zero, round_ends=round_ends)
    assert all(-1e-9 <= scale(v) <= 1 + 1e-9 for v in values)
    if zero:
        assert -1e-9 <= scale(0.0) <= 1 + 1e-9
    ticks = scale.ticks()
    assert ticks == sorted(set(ticks)) and len(ticks) <= 12
    assert all(-1e-9 <= scale(t) <= 1 + 1e-9 for t in ticks)
    assert len(set(tick_labels(ticks))) == len(ticks)


@pytest.mark.parametrize(("low", "high"), [(0.685, 1.0), (0.61, 0.69), (0.12, 0.34), (1e-5, 7e-5), (-0.3, 0.7)])
def test_rounded_ends_are_ticks(low, high):
    # An end at 0.6000000000000001 would leave out the tick at 0.6, and the labels would move to other ticks.
    scale = Scale.of([low, high])
    ticks = scale.ticks()
    assert scale.low <= ticks[0] and ticks[-1] <= scale.high


@given(st.lists(st.floats(1e-8, 1e8), min_size=1, max_size=20), st.booleans())
@example([34049840.0, 33800000.0], False)
def test_log_scale_covers_its_values(values, round_ends):
    scale = Scale.of(values, log=True, round_ends=round_ends)
    assert all(-1e-9 <= scale(v) <= 1 + 1e-9 for v in values)
    ticks = scale.ticks()
    assert ticks == sorted(set(ticks)) and 0 < len(ticks) <= 12
    assert len(set(tick_labels(ticks))) == len(ticks)


def test_ticks_by_hand():
    assert Scale(0, 1).ticks(5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert Scale(0.42, 0.71).ticks(4) == [0.5, 0.6, 0.7]
    assert Scale(1, 4, whole=True).ticks(8) == [1, 2, 3, 4]
    assert Scale(5, 5000, log=True).ticks() == [10, 100, 1000]
    assert Scale.of([9, 3000], log=True) == Scale(5, 5000, log=True)


def test_tick_labels_by_hand():
    assert tick_labels([0, 0.25, 0.5], ".1%") == ["0%", "25%", "50%"]
    assert tick_labels([0, 0.025, 0.05], ".0%") == ["0.0%", "2.5%", "5.0%"]
    assert tick_labels([0.13, 0.14, 0.15]) == ["0.13", "0.14", "0.15"]
    assert tick_labels([1000, 2000]) == ["1,000", "2,000"]
    assert tick_labels([1e-5, 1e-3, 0.1]) == ["10⁻⁵", "10⁻³", "10⁻¹"]
    assert tick_labels([0.1, 1, 10]) == ["0.1", "1", "10"]


@given(st.lists(st.floats(0, 300), min_size=1, max_size=12))
def test_spread_keeps_order_gap_and_bounds(wanted):
    placed = spread(wanted, gap=16, low=0, high=300)
    assert all(-1e-6 <= p <= 300 + 1e-6 for p in placed)
    ordered = [placed[i] for i in sorted(range(len(wanted)), key=lambda i: wanted[i])]
    assert all(b - a >= 16 - 1e-6 for a, b in pairwise(ordered))


def test_spread_leaves_alone_what_is_apart():
    assert spread([100.0, 20.0, 60.0], gap=16, low=0, high=300) == [100.0, 20.0, 60.0]


@given(st.lists(st.tuples(st.floats(20, 580), st.floats(20, 330)), min_size=1, max_size=8))
def test_labels_of_up_to_eight_points_do_not_cover_each_other(points):
    # Points closer than their markers are wide cannot be labelled apart, so they are thinned first.
    apart = [p for i, p in enumerate(points) if all(math.dist(p, q) > 40 for q in points[:i])]
    frame, obstacles = Box(0, 0, 600, 350), around(apart, 5.0)
    boxes = []
    for i, point in enumerate(apart):
        label = place(
            [point], f"model {i}", "red", size=13, frame=frame, obstacles=obstacles, needed=True
        )  # fmt: skip
        assert label is not None
        boxes.append(obstacles[-1])
    for i, box in enumerate(boxes):
        assert all(box.overlap(other) == 0 for other in boxes[:i])
        assert box.left >= 0 and box.right <= 600 and box.top >= 0 and box.bottom <= 350


def test_a_label_without_a_free_place_is_left_out_unless_needed():
    frame = Box(0, 0, 100, 100)
    options = {"size": 13, "frame": frame}
    assert place([(50, 50)], "name", "red", obstacles=[frame], needed=False, **options) is None
    assert place([(50, 50)], "name", "red", obstacles=[frame], needed=True, **options).text == "name"


def test_path_samples_reach_both_ends():
    boxes = along([(0, 0), (70, 0)], radius=2)
    assert boxes[0] == Box(-2, -2, 2, 2) and boxes[-1] == Box(68, -2, 72, 2)
    assert max(b.left - a.left for a, b in pairwise(boxes)) <= 8


@given(st.text(max_size=120), st.floats(30, 300))
def test_shortened_text_fits(text, width):
    assert text_width(shorten(text, width, 12), 12) <= width
    assert all(text_width(line, 12) <= width for line in wrap(text, width, 12))


def test_wrapping_keeps_the_words():
    lines = wrap("The Fellowship of the Ring (Extended Edition) (2001)", 180, 13)
    assert len(lines) == 2 and " ".join(lines) == "The Fellowship of the Ring (Extended Edition) (2001)"
    assert text_width("千と千尋", 10) == pytest.approx(40)
