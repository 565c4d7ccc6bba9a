"""Sweeps and frontiers, on points whose right answers are known."""

import functools
import json
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from scipy.stats import t

from headtail import PopularityGroups, baselines, penalize_popularity, shrink, split_ratio
from headtail._files import writing
from headtail._stats import concave_front, holm, hypervolume, mean_influence, pareto_front
from headtail.datasets import power_law
from headtail.dials import REFERENCES, Dial
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, MissingColumnError, UnreadableFileError
from headtail.metrics import arp, audit, gini, group_share, ndcg, recall, tail_share
from headtail.models import MF, SASRec
from headtail.subjects import Subject
from headtail.tradeoffs import Estimate, Frontier, Point, sweep
from headtail.tradeoffs.sweeping import _between


def point(method, setting, accuracy, unfairness, seed=0, test=None, intervals=None):
    validation = {"ndcg@20": accuracy, "gini@20": unfairness}
    return Point(method, setting, seed, validation, test or dict(validation), intervals or {})


POINTS = (
    point("dial", 0.0, 0.50, 0.90),
    point("dial", 0.1, 0.49, 0.80),
    point("dial", 0.2, 0.46, 0.70),
    point("other", 0.0, 0.45, 0.85),
    point("other", 1.0, 0.45, 0.75),
)
FRONTIER = Frontier(POINTS, "ndcg@20", "gini@20")


def test_a_family_takes_of_each_method_what_validation_holds_best():
    # On validation "other" at 1 is beaten by no setting of "dial" that is as even; on test its accuracy is 0.2.
    test = {"ndcg@20": 0.2, "gini@20": 0.6}
    frontier = replace(FRONTIER, points=(*POINTS[:4], point("other", 1.0, 0.47, 0.65, test=test)))
    both = ("dial", "other")
    assert frontier.accuracy_at(both, 0.6).value == 0.2
    assert frontier.accuracy_at(both, 0.8).value == frontier.accuracy_at("dial", 0.8).value == 0.49
    lead = frontier.accuracy_at(both, 0.8, against="dial")
    assert lead.value == 0
    assert np.isnan(frontier.accuracy_at("dial", 0.6).value)
    for level in (0.65, 0.7, 0.8, 0.9):  # where the test is the validation again, no member is ahead
        values = [FRONTIER.accuracy_at(names, level).value for names in ("dial", "other", both)]
        assert not values[2] < np.nanmax([*values[:2], 0.0])
    assert FRONTIER.hypervolume(both).value >= FRONTIER.hypervolume("dial").value
    with pytest.raises(InvalidInputError, match=r"method=\[\] names none. There are: 'dial'"):
        FRONTIER.hypervolume([])


def test_the_best_of_all_settings_loses_little_of_the_accuracy_of_the_reference():
    # "other" loses nothing of its own first setting, but a tenth of the plain 0.50.
    assert FRONTIER.best(max_loss=0.05) == ("dial", 0.1)
    assert FRONTIER.best(max_loss=0.10) == ("dial", 0.2)
    assert FRONTIER.without("dial").best(max_loss=0) == ("other", 1.0)
    assert FRONTIER.best(max_loss=0) == FRONTIER.reference
    unknown = replace(FRONTIER, points=(point("dial", 0.0, float("nan"), 0.90), *POINTS[1:]))
    assert unknown.best(max_loss=1) == unknown.reference
    assert "**dial at 0.1** has the most even exposure" in FRONTIER.report(0.05).lede
    assert FRONTIER.report(0).lede.startswith("No method made exposure more even on validation")
    popular = [replace(p, validation={"ndcg@20": p.validation["ndcg@20"], "arp@20": 9.0 - p.setting}) for p in POINTS]
    popular = Frontier(tuple(replace(p, test=p.validation) for p in popular), "ndcg@20", "arp@20").report(1.0)
    assert popular.title == "Accuracy against popularity of what is shown"
    assert "has the lowest popularity of what is shown on validation" in popular.lede
    assert "even" not in popular.to_text(), "what is lowered is no inequality"
    assert FRONTIER.change(("dial", 0.0), ("other", 1.0), "ndcg@20").value == pytest.approx(-0.1)
    with pytest.raises(MissingColumnError, match=r"'dial' was not measured at 0\.7"):
        FRONTIER.change(("dial", 0.7), ("other", 1.0), "ndcg@20")
    with pytest.raises(InvalidInputError, match="max_loss=2"):
        FRONTIER.best(max_loss=2)


def test_choose_the_fairest_that_loses_little():
    assert FRONTIER.choose("dial", max_loss=0.05) == 0.1
    assert FRONTIER.choose("dial", max_loss=0.10) == 0.2
    assert FRONTIER.choose("dial", max_loss=0) == 0.0
    assert FRONTIER.choose("other", max_loss=0) == 1.0


def test_figures_are_written_as_their_metrics_say():
    def usual(top):
        return 0.123

    usual.format = ".1%"
    split = split_ratio(power_law(60, 30, n_interactions=380, rng=0).interactions, validation=0.1, rng=0)
    factors = np.random.default_rng(0).normal(size=(60, 4)), np.random.default_rng(1).normal(size=(30, 4))
    subject = Subject(factors, split, k=5)
    found = sweep("shrink", subject, grid=[0], metrics=[ndcg, gini, usual], n_bootstrap=0)
    assert "12.3%" in found.to_markdown() and Frontier(POINTS, "ndcg@20", "gini@20").facts["coverage"].format == ".1%"
    assert {"ndcg@5", "popularity_lift@5"} < set(sweep("shrink", subject, grid=[0]).points[0].test)


def test_choose_by_gain():
    # Unfairness falls by a tenth for a fiftieth of the accuracy, then hardly further for as much again.
    points = point("a", 0, 1.0, 1.0), point("a", 1, 0.98, 0.9), point("a", 2, 0.96, 0.89)
    frontier = Frontier(points, "ndcg@20", "gini@20")
    assert (frontier.choose("a"), frontier.choose("a", criterion="gain")) == (2, 1)
    with pytest.raises(InvalidInputError, match="criterion"):
        frontier.choose("a", criterion="best")
    nothing_found = Frontier((point("a", 0, 0.0, 1.0), point("a", 1, 0.1, 0.9)), "ndcg@20", "gini@20")
    assert nothing_found.choose("a") == 1 and "goes from 0.0000 to 0.1000" in nothing_found.to_markdown()
    with pytest.raises(InvalidInputError, match=r"ndcg@20 of 'a' at its first setting, 0, is 0\.0 on validation"):
        nothing_found.choose("a", criterion="gain")


def test_choice_looks_at_validation_alone():
    misleading = {"ndcg@20": 0.0, "gini@20": 1.0}
    points = (POINTS[0], point("dial", 0.1, 0.49, 0.80, test=misleading))
    assert Frontier(points, "ndcg@20", "gini@20").choose("dial") == 0.1


def test_front_and_means_over_seeds():
    assert FRONTIER.front() == (("dial", 0.0), ("dial", 0.1), ("dial", 0.2))
    second = Frontier((point("dial", 0.0, 0.40, 0.80, seed=1),), "ndcg@20", "gini@20")
    joined = FRONTIER + second
    assert joined.mean("dial", 0.0, "ndcg@20") == pytest.approx(0.45)
    assert joined.settings("dial") == (0.0, 0.1, 0.2)
    assert json.loads(joined.to_json())["kind"] == "frontier"
    assert "Trade-off" in joined.to_html()
    assert joined.to_polars().height == 6 * 4


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_pareto_front_equals_its_definition(points):
    gain, cost = np.array(points, dtype=float).T
    expected = [not any((g2 >= g and c2 <= c) and (g2 > g or c2 < c) for g2, c2 in points) for g, c in points]
    assert pareto_front(gain, cost).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
@example([(1, 0), (2, 2), (2, 2), (3, 3)])
def test_on_a_concave_front_is_what_no_mixture_of_two_others_beats(points):
    gain, cost = np.array(points, dtype=float).T
    pairs = [(a, b) for a in points for b in points if a[1] < b[1]]
    beaten = [
        any(c1 < c < c2 and (g - g1) * (c2 - c1) < (g2 - g1) * (c - c1) for (g1, c1), (g2, c2) in pairs)
        for g, c in points
    ]
    assert concave_front(gain, cost).tolist() == (pareto_front(gain, cost) & ~np.array(beaten)).tolist()


corners = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12)


@given(corners, st.integers(0, 3), st.integers(3, 6))
def test_hypervolume_counts_the_unit_squares_that_some_point_dominates(points, least, most):
    gain, cost = np.array(points, dtype=float).T
    squares = [(g, c) for g in range(least, 6) for c in range(most)]  # by their lower left corner
    expected = sum(any(g < gi and ci <= c for gi, ci in points) for g, c in squares)
    assert hypervolume(gain, cost, (least, most)) == pytest.approx(expected)


def test_what_a_mixture_of_two_settings_beats_on_validation_bends_no_curve():
    # Between 0 and 0.2 a mixture of their users has an accuracy of 0.48 at 0.8; on test 0.1 would be lucky.
    lucky = {"ndcg@20": 0.7, "gini@20": 0.8}
    frontier = replace(FRONTIER, points=(POINTS[0], point("dial", 0.1, 0.47, 0.80, test=lucky), POINTS[2]))
    assert frontier.accuracy_at("dial", 0.8).value == pytest.approx(0.48)
    assert frontier.unfairness_at("dial", 0.48).value == pytest.approx(0.8)
    assert ("dial", 0.1) in frontier.front()  # no single setting beats it
    assert frontier.hypervolume("dial").value > replace(frontier, points=frontier.points[::2]).hypervolume("dial").value


def test_equal_levels_are_read_off_the_straight_lines_of_the_own_front():
    beaten = Frontier((*POINTS, point("dial", 0.3, 0.40, 0.75)), "ndcg@20", "gini@20")
    for frontier in (FRONTIER, beaten):
        assert frontier.accuracy_at("dial", 0.75).value == pytest.approx((0.46 + 0.49) / 2)
        assert frontier.accuracy_at("dial", 0.95).value == 0.50  # no more than the best
        assert np.isnan(frontier.accuracy_at("dial", 0.65).value)
        assert frontier.unfairness_at("dial", 0.47).value == pytest.approx(0.7 + 0.1 / 3)
        assert frontier.unfairness_at("dial", 0.30).value == 0.70
        assert np.isnan(frontier.unfairness_at("dial", 0.51).value)
    relative = FRONTIER.accuracy_at("dial", 0.75 / 0.90 - 1, relative=True)
    assert relative.value == pytest.approx(0.475 / 0.50 - 1)
    difference = FRONTIER.accuracy_at("dial", 0.8, against="other")
    assert difference == Estimate(pytest.approx(0.49 - 0.45), None, None, None, 1)


@given(
    st.lists(st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)), min_size=1, max_size=8), st.floats(0, 1), st.floats(0, 1)
)
def test_curves_rise_and_either_reading_undoes_the_other(places, part, more):
    points = tuple(point("dial", i, *place) for i, place in enumerate(places))
    frontier = Frontier(points, "ndcg@20", "gini@20")
    best = frontier.unfairness_at("dial", max(accuracy for accuracy, _ in places)).value
    least = min(unfairness for _, unfairness in places)
    level = least + part * (best - least)
    accuracy = frontier.accuracy_at("dial", level).value
    assert accuracy <= frontier.accuracy_at("dial", level + more).value + 1e-12
    assert frontier.accuracy_at("dial", frontier.unfairness_at("dial", accuracy).value).value == pytest.approx(accuracy)


def test_where_accuracy_rises_and_falls_on_test_the_least_uneven_place_of_it_counts():
    points = [point("dial", s, a, u) for s, a, u in ((0.0, 0.50, 0.90), (0.1, 0.49, 0.80), (0.2, 0.45, 0.70))]
    points[1] = replace(points[1], test={"ndcg@20": 0.51, "gini@20": 0.80})
    frontier = Frontier(tuple(points), "ndcg@20", "gini@20")
    assert frontier.unfairness_at("dial", 0.48).value == pytest.approx(0.75)  # between the last two
    assert frontier.unfairness_at("dial", 0.51).value == 0.80
    assert frontier.accuracy_at("dial", 0.75).value == pytest.approx(0.48)


def test_hypervolume_in_shares_of_the_reference():
    # Stairs of the dial: 0.46 / 0.5 from 7/9 to 8/9, then 0.49 / 0.5 up to 1.
    assert FRONTIER.hypervolume("dial").value == pytest.approx((0.92 + 0.98) / 9)
    assert FRONTIER.hypervolume("dial", (0.95, 1)).value == pytest.approx((0.98 - 0.95) / 9)
    assert FRONTIER.hypervolume("other").value == pytest.approx(0.90 * 1.5 / 9)
    unit = FRONTIER.hypervolume("dial", against="other").value
    scaled = tuple(point(p.method, p.setting, 3 * p.test["ndcg@20"], 100 * p.test["gini@20"]) for p in POINTS)
    assert Frontier(scaled, "ndcg@20", "gini@20").hypervolume("dial", against="other").value == pytest.approx(unit)
    assert FRONTIER.without("other").hypervolume("dial") == FRONTIER.hypervolume("dial")


def seeds_of(method, shifts, slope=0.2):
    """Points of three settings for each seed; the accuracy of a whole seed is shifted."""
    return tuple(
        point(method, s, 0.5 + shift - slope * s * (1 + shift), 0.9 - s, seed)
        for seed, shift in enumerate(shifts)
        for s in (0.0, 0.1, 0.2)
    )


def test_intervals_are_over_seeds_and_differences_are_taken_seed_by_seed():
    shifts = (-0.1, 0.0, 0.13)
    frontier = Frontier(seeds_of("one", shifts) + seeds_of("two", shifts, slope=0.5), "ndcg@20", "gini@20")
    at = np.array([0.5 + shift - 0.02 * (1 + shift) for shift in shifts])
    found = frontier.accuracy_at("one", 0.8)
    half = t.ppf(0.975, 2) * at.std(ddof=1) / np.sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx((at.mean(), at.mean() - half, at.mean() + half))
    assert (found.over, found.n_seeds) == ("seeds", 3)
    # The seeds shift both methods alike, so that the difference is far clearer than either.
    gap = frontier.accuracy_at("one", 0.8, against="two")
    assert gap.value == pytest.approx(0.03 * (1 + np.mean(shifts)))
    assert gap.high - gap.low < 0.1 * (found.high - found.low)
    change = frontier.estimate("one", 0.1, "ndcg@20", relative=True)
    assert change.value == pytest.approx(np.mean([-0.02 * (1 + s) / (0.5 + s) for s in shifts]))
    unmoved = frontier.estimate("one", 0.1, "gini@20")
    assert (unmoved.low, unmoved.over, unmoved.n_seeds) == (None, None, 3)
    few = Frontier(seeds_of("one", shifts) + seeds_of("two", shifts[:1]), "ndcg@20", "gini@20")
    assert few.accuracy_at("one", 0.8, against="two").n_seeds == 1
    later = (point("late", 0.0, 0.4, 0.8, seed=7),)
    with pytest.raises(InvalidInputError, match=r"No seed is that of all: 'one' \(0, 1, 2\), 'late' \(7,\)"):
        Frontier(seeds_of("one", shifts) + later, "ndcg@20", "gini@20").hypervolume("one", against="late")


def test_a_level_that_one_seed_does_not_reach_has_no_value():
    frontier = Frontier((*POINTS, point("dial", 0.0, 0.5, 0.9, seed=1)), "ndcg@20", "gini@20")
    found = frontier.accuracy_at("dial", 0.8)
    assert np.isnan(found.value)
    assert found.low is None


def test_with_one_seed_the_intervals_are_those_over_users():
    def wide(setting, accuracy, unfairness, half):
        ends = {"ndcg@20": (accuracy - half, accuracy + half), "gini@20": (unfairness - 0.01, unfairness + 0.01)}
        return point("dial", setting, accuracy, unfairness, intervals=ends)

    frontier = Frontier((wide(0.0, 0.5, 0.9, 0.02), wide(0.1, 0.4, 0.8, 0.04)), "ndcg@20", "gini@20")
    expected = Estimate(0.4, pytest.approx(0.36), pytest.approx(0.44), "users", 1)
    assert frontier.estimate("dial", 0.1, "ndcg@20") == expected
    assert frontier.estimate("dial", 0.1, "ndcg@20", part="validation").over is None
    assert "95% intervals over users, of one seed" in frontier.to_markdown()


def test_the_page_shows_the_choice_the_curves_and_the_spread():
    frontier = Frontier(seeds_of("one", (-0.1, 0.0, 0.13)) + seeds_of("two", (0.0, 0.0, 0.1)), "ndcg@20", "gini@20")
    page = frontier.report(max_loss=0.03).to_markdown()
    assert "lose at most 3% of the accuracy" in page
    assert "95% intervals over 3 seeds (Student's t)" in page
    assert "Change of accuracy where inequality of exposure is lower" in page
    assert "| 20% lower |" in page
    assert frontier.chart(0.03).low == "y low"
    assert FRONTIER.chart().low is None
    worthless = Frontier((point("dial", 0.0, 0.0, 0.9), point("dial", 1.0, 0.1, 0.8)), "ndcg@20", "gini@20")
    assert np.isnan(worthless.estimate("dial", 1.0, "ndcg@20", relative=True).value)
    assert "dial" in worthless.to_markdown()
    alone = Frontier((point("dial", 0.0, 0.5, 0.9),), "ndcg@20", "gini@20")
    assert "One seed, without intervals." in alone.to_markdown()


@pytest.fixture(scope="module")
def world():
    split = split_ratio(power_law(120, 60, n_interactions=900, rng=0).interactions, rng=0)
    rng = np.random.default_rng(0)
    return split, (rng.normal(size=(120, 4)), rng.normal(size=(60, 4)))


def test_sweep_measures_every_setting_and_seed(world):
    split, factors = world
    seen_by_make = []

    def make(strength, seed):
        seen_by_make.append((strength, seed))
        return penalize_popularity(*factors, split.train.popularity, strength=strength)

    dial = Dial.of("penalty", make, (0.0, 0.5, 2.0))
    frontier = sweep(dial, Subject(None, split, k=5), seeds=(0, 1), n_bootstrap=10)
    assert [(p.setting, p.seed) for p in frontier.points] == [(s, seed) for seed in (0, 1) for s in (0.0, 0.5, 2.0)]
    popularity = [frontier.mean("penalty", s, "arp@5") for s in (0.0, 0.5, 2.0)]
    assert popularity == sorted(popularity, reverse=True)
    assert seen_by_make == [(p.setting, p.seed) for p in frontier.points]
    low, high = frontier.points[0].intervals["gini@5"]
    assert low < frontier.points[0].test["gini@5"] < high


def test_accuracy_on_validation_is_that_of_as_many_wanted_items_as_the_test_has(world):
    split, factors = world
    subject = Subject(factors, split, k=5)
    frontier = sweep("shrink", subject, grid=[0.0], metrics=[ndcg, recall, gini], n_bootstrap=10)
    in_test, in_validation = (part.activity[part.activity > 0].mean() for part in (split.test, split.validation))
    lists = subject.recommend(factors, split.train).items
    expected = []
    for user in np.flatnonzero(split.validation.activity):
        wanted = split.validation.items[split.validation.users == user]
        n, ideal = min(len(wanted) * in_test / in_validation, 5), 1 / np.log2(np.arange(2, 7))
        best = ideal[: int(n)].sum() + (n - int(n)) * ideal[min(int(n), 4)]
        expected.append(ideal[np.isin(lists[user], wanted)].sum() / best)
    point = frontier.points[0]
    assert in_test > 1.2 * in_validation
    assert point.validation["ndcg@5"] == pytest.approx(np.mean(expected))
    for part, known, relevant in (("validation", split.train, split.validation), ("test", split.known, split.test)):
        plain = audit(subject.recommend(factors, known), split.train, relevant, k=5, metrics=[ndcg, recall, gini])
        same = ["recall@5", "gini@5", *(["ndcg@5"] if part == "test" else [])]
        assert [getattr(point, part)[name] for name in same] == pytest.approx([plain[name] for name in same])


def test_a_stopped_sweep_goes_on_where_it_was(world, tmp_path):
    split, factors = world
    calls = []

    def make(strength, seed):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(strength)
        return penalize_popularity(*factors, split.train.popularity, strength=strength)

    def make_all(strength, seed):
        resumed.append(strength)
        return penalize_popularity(*factors, split.train.popularity, strength=strength)

    subject, resumed = Subject(None, split, k=5), []
    options = {"seeds": (0, 1), "n_bootstrap": 5, "progress": False}
    whole = sweep(Dial.of("penalty", make_all, (0.0, 0.5)), subject, **options)
    with pytest.raises(KeyboardInterrupt):
        sweep(Dial.of("penalty", make, (0.0, 0.5)), subject, folder=tmp_path, **options)
    resumed.clear()
    again = sweep(Dial.of("penalty", make_all, (0.0, 0.5)), subject, folder=tmp_path, **options)
    assert sorted(resumed) == [0.0, 0.0, 0.5]  # the first and the last point that were there are measured again
    assert again.points == whole.points
    with pytest.raises(CheckpointMismatchError, match=r"k=5.*in the checkpoint.*k=6.*now"):
        sweep(Dial.of("penalty", make_all, (0.0, 0.5)), Subject(None, split, k=6), folder=tmp_path, **options)


def test_a_dial_of_the_toolkit_needs_no_identity_and_a_folder_serves_any_grid(world, tmp_path):
    split, factors = world
    subject, options = Subject(factors, split, k=5), {"folder": tmp_path, "n_bootstrap": 0}
    first = sweep("log penalty", subject, grid=[0.0, 0.5], **options)
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "log penalty").glob("seed-*")}
    assert files
    wider = sweep("log penalty", subject, grid=[0.0, 0.2, 0.5], **options)
    assert [wider.points[0], wider.points[2]] == list(first.points)
    assert all(file.stat().st_mtime_ns == time for file, time in files.items())
    with pytest.raises(CheckpointMismatchError, match=r"subject: .vectors Vectors"):
        sweep("log penalty", Subject((factors[0], -factors[1]), split, k=5), **options)
    sweep("FA*IR", subject, grid=[0.0], **options)
    assert {path.name for path in tmp_path.iterdir()} == {"log penalty", "FA-IR"}  # as any file system can name it


def test_a_grid_goes_on_where_its_end_is_chosen_and_is_refined_around_the_choice(world):
    split, _ = world
    places = {0.0: (0.50, 0.9), 0.1: (0.49, 0.8), 0.2: (0.48, 0.7), 0.4: (0.47, 0.6), 0.8: (0.30, 0.5)}
    made = []

    def measured(name):
        def metric(top):
            accuracy, unfairness = places.get(made[-1], (0.46, 0.55))
            return accuracy if name == "ndcg" else unfairness

        return metric

    def make(strength, seed):
        made.append(strength)
        return lambda known: baselines.most_popular(known, 5)

    def turned(dial, **options):
        made.clear()
        metrics = {name: measured(name) for name in ("ndcg", "gini")}
        return sweep(dial, Subject(None, split, k=5), metrics=metrics, max_loss=0.1, n_bootstrap=0, **options)

    dial = Dial.of("m", make, (0.0, 0.1, 0.2))
    assert turned(dial).settings("m") == (0.0, 0.1, 0.2)
    # 0.4 is chosen and 0.8 is not, so that the grid ends; then come 0.57 between them, which is chosen, and 0.68.
    assert turned(dial, extend=3, refine=2).settings("m") == (0.0, 0.1, 0.2, 0.4, 0.57, 0.68, 0.8)
    assert made == [0.0, 0.1, 0.2, 0.4, 0.8, 0.57, 0.68]
    assert turned(dial, extend=1).settings("m")[-1] == 0.4
    # The first of a grid stays the reference, wherever it stands; nothing lies between strengths of two signs.
    found = sweep(dial, Subject(None, split, k=5), [0.4, 0.1, 0.2, 0.0], refine=1, n_bootstrap=0)
    assert found.reference == ("m", 0.4)
    assert _between([0.0, 0.2, -0.4, 0.8, -0.8], 0.2) == 0.4 and _between([0.0, 0.2, -0.4, 0.4], 0.4) is None
    assert turned(replace(dial, end=0.3), extend=9).settings("m") == (0.0, 0.1, 0.2, 0.3)
    # Where a dial makes exposure less even at first, its grid goes on while accuracy allows.
    places |= {0.1: (0.9, 0.98), 0.2: (0.8, 0.95), 0.4: (0.7, 0.92), 0.8: (0.6, 0.85), 1.6: (0.3, 0.7)}
    found = turned(dial, extend=5)
    assert (found.settings("m"), found.choose("m", 0.1)) == ((0.0, 0.1, 0.2, 0.4, 0.8, 1.6), 0.8)
    places |= {0.1: (0.3, 0.98), 0.2: (0.3, 0.95)}
    assert turned(dial, extend=5).settings("m") == (0.0, 0.1, 0.2)


def test_one_model_serves_all_settings_of_a_seed_and_none_where_all_are_measured(world, tmp_path):
    split, _ = world
    trained = []

    @functools.cache
    def factors(seed):
        trained.append(seed)
        rng = np.random.default_rng(seed)
        return rng.normal(size=(120, 4)), rng.normal(size=(60, 4))

    def run():
        factors.cache_clear()
        make = lambda s, seed: penalize_popularity(*factors(seed), split.train.popularity, strength=s)  # noqa: E731
        dial, options = Dial.of("penalty", make, (0.0, 1.0)), {"folder": tmp_path, "identity": "normal factors"}
        return sweep(dial, Subject(None, split, k=5), seeds=(3, 4), **options)

    first = run()
    assert trained == [3, 4]
    (tmp_path / "penalty" / "seed-4-strength-1.0.json").unlink()
    assert run().points == first.points
    assert trained == [3, 4, 4]


def test_groups_and_named_metrics_are_handed_to_the_audit(world, tmp_path):
    split, factors = world
    five = {name: functools.partial(group_share, group=name) for name in ("q1", "q2", "q3", "q4", "q5")}
    metrics = {"ndcg": ndcg, "gini": gini, "tail_share": tail_share, **five}
    dial, subject = Dial.of("m", lambda *_: factors), Subject(None, split, k=5)
    options = {"metrics": metrics, "folder": tmp_path}
    frontier = sweep(dial, subject, groups=PopularityGroups.equal_mass, **options)
    measured = frontier.points[0].test
    assert sum(measured[f"{name}@5"] for name in five) == pytest.approx(1)
    assert measured["tail_share@5"] == measured["q5@5"]
    with pytest.raises(CheckpointMismatchError, match="groups: '5 groups"):
        sweep(dial, subject, **options)


def test_sweep_of_lists_leaves_out_validation_items_on_the_test(world):
    split, _ = world
    popular, _ = REFERENCES
    frontier = sweep(popular, Subject(None, split, k=5))
    assert frontier.methods == ("most popular",)
    assert frontier.points[0].test["ndcg@5"] > 0
    assert len(split.known) == len(split.train) + len(split.validation)


def test_sweep_takes_an_adapter(world):
    split, (queries, items) = world
    measured = [
        sweep(Dial.of("m", lambda *_, made=made: made), Subject(None, split, k=5)).points[0].test
        for made in ((queries, items), lambda users: (queries[users], items))
    ]
    assert measured[0] == measured[1]


def test_what_a_function_of_ones_own_raises_is_named_with_it(world):
    split, factors = world

    def broken(*_):
        raise KeyError("mine")

    subject, whole = Subject(None, split, k=5), {"ndcg": ndcg, "gini": gini}
    for dial, metrics, who in (
        (Dial.of("m", broken), whole, "The dial 'm' at strength 0"),
        (Dial.of("m", lambda *_: broken), whole, "What the dial 'm' made at strength 0"),
        (Dial.of("m", lambda *_: factors), whole | {"mine": broken}, "The metric 'mine'"),
    ):
        with pytest.raises(InvalidInputError, match=f"^{who} raised KeyError: 'mine'. The traceback") as raised:
            sweep(dial, subject, metrics=metrics)
        assert isinstance(raised.value.__cause__, KeyError)
    for error in (KeyboardInterrupt, SystemExit, MemoryError):

        def stopped(*_, error=error):
            raise error

        with pytest.raises(error):
            sweep(Dial.of("m", stopped), subject)


def test_what_a_killed_sweep_left_goes_with_the_next_one(world, tmp_path):
    split, factors = world
    dial, options = Dial.of("m", lambda *_: factors, (0.0, 1.0)), {"folder": tmp_path, "n_bootstrap": 0}
    sweep(dial, Subject(None, split, k=5), **options)
    files = set(tmp_path.rglob("*"))
    gone = tmp_path / "m" / "seed-0-strength-1.0.json"
    gone.unlink()
    for name in (gone.name, gone.with_suffix(".npz").name):
        gone.with_name(f".{name}.0123abcd.tmp").write_bytes(b"half")
        gone.with_name(f".{name}.lock").write_text("1234")
    sweep(dial, Subject(None, split, k=5), **options)
    assert set(tmp_path.rglob("*")) == files


def test_points_that_do_not_say_of_which_sweep_are_not_taken_for_this_one(world, tmp_path):
    split, factors = world
    dial = Dial.of("m", lambda *_: factors, (0.0, 1.0))
    sweep(dial, Subject(None, split, k=5), folder=tmp_path, n_bootstrap=0)
    (tmp_path / "m" / "sweep.json").unlink()
    with pytest.raises(CheckpointMismatchError, match=r"holds points without sweep\.json"):
        sweep(dial, Subject(None, split, k=6), folder=tmp_path, n_bootstrap=0, identity="m")


def test_a_folder_knows_what_metrics_groups_neurons_and_histories_hold(world, tmp_path):
    split, factors = world
    folders, many = iter(range(99)), np.arange(5000.0)

    def mean_of(held):
        return lambda top: float(np.mean(held))

    class Held:
        def __init__(self, held):
            self.held = held

        def __call__(self, top):
            return float(np.mean(self.held))

        def bound(self, top):
            return float(np.mean(self.held))

    def swept(folder, groups=PopularityGroups.by_mass, **mine):
        options = {"folder": tmp_path / str(folder), "n_bootstrap": 0, "groups": groups}
        metrics = {"ndcg": ndcg, "gini": gini, **mine}
        return sweep("log penalty", Subject(factors, split, k=5), [0.0], metrics=metrics, **options)

    def refuses(first, second, what):
        folder = next(folders)
        swept(folder, **first())
        swept(folder, **first())  # the same of other objects
        with pytest.raises(CheckpointMismatchError, match=what):
            swept(folder, **second())

    other = np.where(many == 2500, 0.0, many)
    named = lambda held: lambda top, held=held: float(np.mean(held))  # noqa: E731
    bound = lambda held: Held(held).bound  # noqa: E731
    for make in (mean_of, Held, bound, named, lambda held: functools.partial(lambda top, held: 0.5, held=held)):
        refuses(lambda make=make: {"mine": make(many.copy())}, lambda make=make: {"mine": make(other)}, "metrics")

    def grouped(turn):
        return lambda p: PopularityGroups(("head", "tail"), (np.arange(len(p)) % 2 == turn).astype(np.int8), "mine", p)

    refuses(lambda: {"groups": grouped(0)}, lambda: {"groups": grouped(1)}, "groups")
    rows = np.arange(len(split.train))
    there, back = (replace(split, train=replace(split.train, order=order.copy())) for order in (rows, rows[::-1]))
    model = SASRec(split.train.n_items, embedding_dim=4, rng=0)
    assert Subject(model, there, k=5).fingerprint != Subject(model, back, k=5).fingerprint
    assert Subject(factors, there, k=5).fingerprint == Subject(factors, back, k=5).fingerprint  # they have no order
    neurons = Subject(
        MF(120, 60, 4, rng=0), split, k=5, autoencoder={"expansion": 2, "n_active": 2, "epochs": 1}
    ).neurons(0)
    some = [Subject(model, split, k=5, neurons=each).fingerprint for each in (neurons, neurons, neurons.select(top=1))]
    assert some[0] == some[1] != some[2]


def test_sweeps_of_other_splits_are_not_joined(world):
    split, factors = world
    other = split_ratio(split.whole, rng=7)
    first, second = (Dial.of(name, lambda *_: factors, (0.0,)) for name in ("first", "second"))
    one = sweep(first, Subject(None, split, k=5))
    assert (one + sweep(second, Subject(None, split, k=5))).methods == ("first", "second")
    with pytest.raises(InvalidInputError, match="judged by other test interactions at seed 0, so that their figures"):
        one + sweep(second, Subject(None, other, k=5))
    assert len((one + sweep(second, Subject(None, other, k=5), seeds=(1,))).points) == 2  # a split for each seed


def test_bad_input(world):
    split, factors = world

    dial, subject = Dial.of("m", lambda *_: factors), Subject(None, split, k=5)

    with pytest.raises(InvalidInputError, match=r"seeds=\[1, 1\] is empty or repeats a value"):
        sweep(dial, subject, seeds=(1, 1))
    with pytest.raises(InvalidInputError, match="unfairness='coverage' does not fit: of that metric more is better"):
        sweep(dial, subject, unfairness="coverage")
    with pytest.raises(InvalidInputError, match=r"accuracy='arp' does not fit.*Take one of 'ndcg', 'recall'"):
        sweep(dial, subject, accuracy="arp")
    with pytest.raises(InvalidInputError, match="repeats a value"):
        sweep(dial, subject, grid=[0.1, 0.1])
    with pytest.raises(InvalidInputError, match="is empty or repeats"):
        sweep(dial, subject, grid=[])
    with pytest.raises(InvalidInputError, match="'speed' is not among the metrics"):
        sweep(dial, subject, metrics=[arp, gini], unfairness="speed")
    with pytest.raises(
        InvalidInputError, match=r"'pcee' is not among the metrics: .* Did you mean 'pce'\? There are: "
    ):
        sweep(dial, subject, metrics=[arp, gini], unfairness="pcee")
    with pytest.raises(InvalidInputError, match=r"accuracy='pce' does not fit.* 'recall', 'hit_rate'"):
        sweep(dial, subject, metrics=[arp, gini], accuracy="pce")
    found = sweep(dial, subject, grid=[0.0], metrics=[arp], unfairness="pce", n_bootstrap=0)
    assert {"arp@5", "ndcg@5", "pce@5"} <= found.points[0].test.keys(), "what is traded is measured"
    unvalidated = split_ratio(split.train, validation=None, rng=0)
    with pytest.raises(InvalidInputError, match="no validation part"):
        sweep(dial, Subject(None, unvalidated, k=5))
    with pytest.raises(InvalidInputError, match="Join sweeps of the same metrics"):
        FRONTIER + sweep(dial, subject, metrics=[ndcg, gini])
    with pytest.raises(InvalidInputError, match=r"Both sweeps hold method 'dial' at setting 0.0 with seed 0"):
        FRONTIER + FRONTIER.without("other")
    with pytest.raises(MissingColumnError, match=r"'dial' was not measured at 0.15"):
        FRONTIER.estimate("dial", 0.15, "ndcg@20")
    with pytest.raises(MissingColumnError, match=r"'ndcg@10' was not measured. Did you mean 'ndcg@20'"):
        FRONTIER.mean("dial", 0.1, "ndcg@10")
    with pytest.raises(InvalidInputError, match="unfairness=nan"):
        FRONTIER.accuracy_at("dial", float("nan"))
    with pytest.raises(MissingColumnError, match="There is no method 'dail'"):
        FRONTIER.choose("dail")
    with pytest.raises(InvalidInputError, match="max_loss=2"):
        FRONTIER.choose("dial", max_loss=2)


def test_a_sweep_moves_the_bar_of_another_by_all_that_it_might_do(world):
    split, factors = world
    moves = []
    dial, subject = Dial.of("m", lambda *_: factors), Subject(None, split, k=5)
    sweep(dial, subject, [0.0, 1.0], extend=2, refine=1, progress=lambda steps, state: moves.append((steps, state)))
    assert sum(steps for steps, _ in moves) == 5, "what was not needed is made up for at the end"
    assert moves[0][0] == 1 and moves[0][1].startswith("m 0, ndcg@5 ")


def test_sweep_names_what_does_not_fit(world):
    split, factors = world
    subject = Subject(factors, split, k=5)
    with pytest.raises(InvalidInputError, match=r"\['shrink'\] is no dial. Give one"):
        sweep(["shrink"], subject)
    with pytest.raises(InvalidInputError, match="k=4 is not that of the subject, 5"):
        sweep("shrink", subject, k=4)
    with pytest.raises(InvalidInputError, match="was given a str, a Subject and a Split"):
        sweep("shrink", subject, split=split)


def test_a_folder_of_something_else_is_refused(world, tmp_path):
    split, factors = world
    dial, subject = Dial.of("m", lambda *_: factors), Subject(None, split, k=5)
    options = {"folder": tmp_path, "progress": False}
    sweep(dial, subject, **options)
    assert sweep(dial, subject, **options).points[0].seed == 0
    with pytest.raises(CheckpointMismatchError, match=r"holds a sweep of something else: ndcg@5 on validation of 'm'"):
        sweep(Dial.of("m", lambda *_: (-factors[0], factors[1])), subject, **options)
    with pytest.raises(CheckpointMismatchError, match="metrics"):
        sweep(dial, subject, metrics={"ndcg": lambda _: 0.5, "gini": gini}, **options)
    with pytest.raises(CheckpointMismatchError, match="identity"):
        sweep(dial, subject, identity="another", **options)
    both = tmp_path / "both"
    with writing(both / "m" / "sweep.json"), pytest.raises(UnreadableFileError, match="is writing it"):
        sweep(dial, subject, folder=both)


def test_arrays_beside_the_points_survive_a_resumed_sweep(world, tmp_path):
    split, factors = world
    subject, options = Subject(factors, split, k=5), {"grid": [0.0, 1.0], "folder": tmp_path}
    first, again = (sweep("log penalty", subject, **options) for _ in range(2))
    again = pickle.loads(pickle.dumps(again))  # as from another process
    for name in ("ndcg@5", "gini@5"):
        found = again.estimate("log penalty", 1.0, name, relative=True)
        assert found.low is not None
        assert found == first.estimate("log penalty", 1.0, name, relative=True)
    for damaged in (b"PK", b""):
        (tmp_path / "log penalty" / "seed-0-strength-1.0.npz").write_bytes(damaged)
        with pytest.raises(UnreadableFileError, match="seed-0-strength"):
            sweep("log penalty", subject, **options)


def owed(points, arrays):
    """Frontier whose users owe these arrays to accuracy and unfairness, on test and validation."""
    influences = {
        (p.method, p.setting, p.seed, part): dict(zip(("ndcg@20", "gini@20"), a, strict=True))
        for p, a in zip(points, arrays, strict=True)
        for part in ("test", "validation")
    }
    return Frontier(tuple(points), "ndcg@20", "gini@20", influences)


def test_figures_move_with_each_user_as_their_derivatives_say():
    """Every figure's error over users against that of figures measured anew with one user's influence added."""
    rng = np.random.default_rng(0)
    points = [*POINTS]
    arrays = rng.normal(size=(5, 2, 40)) * 1e-4
    arrays -= arrays.mean(axis=2, keepdims=True)
    frontier = owed(points, arrays)
    figures = [
        lambda f: f.estimate("dial", 0.1, "ndcg@20", relative=True),
        lambda f: f.accuracy_at("dial", 0.77),
        lambda f: f.accuracy_at("dial", -0.12, relative=True),
        lambda f: f.accuracy_at("dial", 0.83, against="other"),
        lambda f: f.unfairness_at("dial", 0.47),
        lambda f: f.unfairness_at("dial", -0.05, relative=True),
        lambda f: f.hypervolume("dial"),
        lambda f: f.hypervolume("dial", against="other"),
    ]
    for figure in figures:
        moved = []
        for user in range(40):
            changed = [
                point(p.method, p.setting, p.test["ndcg@20"] + a[0, user], p.test["gini@20"] + a[1, user])
                for p, a in zip(points, arrays, strict=True)
            ]
            moved.append(figure(Frontier(tuple(changed), "ndcg@20", "gini@20")).value)
        found = figure(frontier)
        error = np.sqrt(np.sum((np.array(moved) - found.value) ** 2))
        assert found.over == "users"
        assert (found.high - found.low) / 2 == pytest.approx(2.02 * error, rel=0.1)


@given(st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=8))
def test_holm_rejects_step_by_step(chances):
    found = holm(np.array(chances))
    for level in (0.01, 0.05, 0.3):
        left, rejected = sorted(p for p in chances if p == p), 0
        while left and left[0] <= level / len(left):
            left, rejected = left[1:], rejected + 1
        assert (found <= level * (1 - 1e-9)).sum() <= rejected <= (found <= level * (1 + 1e-9)).sum()
    assert (np.isnan(found) == np.isnan(chances)).all()


def test_one_method_against_the_others():
    rng = np.random.default_rng(0)
    third = [point("third", s, a, u) for s, a, u in ((0.0, 0.50, 0.90), (1.0, 0.40, 0.72))]
    points = [*POINTS, *third, point("alone", 0.0, 0.4, 0.4)]
    arrays = rng.normal(size=(len(points), 2, 40)) * 1e-3
    frontier = owed(points, arrays - arrays.mean(axis=2, keepdims=True))
    frontier = replace(frontier, seconds={("other", 1.0, 0): (2.0, 0.003), ("other", 0.0, 0): (9.0, 9.0)})
    (table,) = frontier.versus("dial", [("gini@20", 0.1), ("gini@20", 0.3)]).blocks
    assert [row["method"] for row in table.rows] == ["other", "third"]
    label = "ndcg@20 at gini@20 -10%"
    chances = []
    for row in table.rows:
        found = frontier.accuracy_at(row["method"], -0.1, relative=True, against="dial")
        assert (row[label], row[f"{label} low"], row[f"{label} high"]) == (found.value, found.low, found.high)
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)
        chances.append(found.p)
    np.testing.assert_allclose([row[f"{label} p"] for row in table.rows], holm(np.array(chances)))
    assert all(row["ndcg@20 at gini@20 -30%"] is None for row in table.rows)
    assert (table.rows[0]["made"], table.rows[0]["served"]) == (2.0, 3.0) and table.rows[1]["made"] is None
    sure = [row["method"] for row in table.rows if row[f"{label} p"] < 0.05 and row[label] < 0]
    assert f"**dial** keeps more accuracy than {' and '.join(sure)} beyond doubt." in frontier.versus("dial").lede
    assert (
        re.search(r"\*\*dial\*\* (keeps more accuracy than|is not told apart from that)", frontier.versus("dial").lede)
        and "p is the chance" in " ".join(frontier.versus("dial").to_text().split())
        and "To make (s)" in frontier.versus("dial").to_markdown()
    )
    with pytest.raises(InvalidInputError, match="no curve to compare that of 'dial'"):
        frontier.without("other", "third").versus("dial")
    with pytest.raises(MissingColumnError, match="arp@20"):
        frontier.versus("dial", [("arp@20", 0.1)])
    with pytest.raises(InvalidInputError, match=r"levels holds 0\.1; give pairs"):
        frontier.versus("dial", [0.1])


def test_what_settings_take_is_measured_and_kept_when_sweeps_are_joined(world):
    split, factors = world
    subject = Subject(factors, split, k=5)
    found = [sweep(name, subject, grid=[0, 0.5], n_bootstrap=0) for name in ("shrink", "log penalty")]
    assert all(len(each.seconds) == 2 and min(min(pair) for pair in each.seconds.values()) > 0 for each in found)
    assert len(sum(found[1:], start=found[0]).seconds) == 4


def test_intervals_hold_users_and_seeds_together():
    """Over simulated studies: a value, what users share over seeds, what seeds share over users, and both."""
    rng = np.random.default_rng(1)
    held = {3: 0, 6: 0}
    n, studies = 60, 300
    for n_seeds in held:
        for _ in range(studies):
            users, seeds = rng.normal(size=n), rng.normal(size=n_seeds) * 0.1
            values = 0.5 + users + seeds[:, None] + rng.normal(size=(n_seeds, n)) * 0.5
            points = [point("dial", 0.0, row.mean(), 0.5, seed) for seed, row in enumerate(values)]
            arrays = [(mean_influence(row), np.zeros(n)) for row in values]
            found = owed(points, arrays).estimate("dial", 0.0, "ndcg@20")
            held[n_seeds] += found.low <= 0.5 <= found.high
            assert found.over == "users and seeds"
    assert all(0.92 <= count / studies <= 0.99 for count in held.values()), held


def test_two_seeds_have_intervals_over_users_alone():
    arrays = np.random.default_rng(0).normal(size=(2, 30)) / 1000
    points = [point("dial", 0.0, 0.5 + seed / 10, 0.9, seed) for seed in (0, 1)]
    found = owed(points, [(row, row) for row in arrays]).estimate("dial", 0.0, "ndcg@20")
    assert (found.over, found.n_seeds) == ("users", 2)
    assert found.high - found.low < 0.02
    assert Frontier(tuple(points), "ndcg@20", "gini@20").estimate("dial", 0.0, "ndcg@20").low is None


def test_fronts_are_picked_on_validation():
    lucky = {"ndcg@20": 0.6, "gini@20": 0.75}
    frontier = Frontier((*POINTS[:3], point("dial", 0.3, 0.40, 0.85, test=lucky)), "ndcg@20", "gini@20")
    assert ("dial", 0.3) not in frontier.front()
    assert ("dial", 0.3) in frontier.front(part="test")
    assert frontier.accuracy_at("dial", 0.8).value == 0.49
    assert frontier.accuracy_at("dial", 0.8, part="test").value == 0.6
    assert frontier.hypervolume("dial") == FRONTIER.hypervolume("dial")
    assert frontier.hypervolume("dial", part="test").value > frontier.hypervolume("dial").value


def test_what_cannot_be_judged_is_not_chosen():
    nan = float("nan")

    def grid(*places):
        return Frontier(tuple(point("a", i, *place) for i, place in enumerate(places)), "ndcg@20", "gini@20")

    assert grid((0.5, nan), (0.5, 0.8), (0.49, 0.7), (nan, 0.1)).choose("a") == 2
    with pytest.raises(InvalidInputError, match=r"ndcg@20 of 'a' at its first setting, 0, is nan"):
        grid((nan, 0.9), (0.5, 0.8)).choose("a")
    with pytest.raises(InvalidInputError, match=r"gini@20 of 'a' at its first setting"):
        grid((0.5, nan), (0.5, 0.8)).choose("a", criterion="gain")
    with pytest.raises(InvalidInputError, match=r"No setting of 'a' that loses at most 0\.05"):
        grid((0.5, nan), (0.4, 0.8)).choose("a")


@pytest.mark.parametrize(("n", "chosen"), [(2, 0.0), (33, 0.0), (91, 0.0), (92, 0.1), (4000, 0.1)])
def test_few_users_whose_accuracy_does_not_change_are_not_enough_to_choose(n, chosen):
    # None of 91 changes with the probability .1587, that of one error below a mean, where 2.002% do.
    points = [point("a", s, 0.5, 0.9 - s) for s in (0.0, 0.1)]
    influence = mean_influence(np.arange(n) ** 2.0)
    influences = {("a", s, 0, "validation"): {"ndcg@20": np.append(influence, 0.0)} for s in (0.0, 0.1)}
    frontier = Frontier(tuple(points), "ndcg@20", "gini@20", influences)
    assert frontier.choose("a", max_loss=0.02) == chosen
    assert replace(frontier, margin=0).choose("a", max_loss=0.02) == 0.1


def test_a_margin_for_the_noise_of_the_validation():
    points = [point("a", s, 0.5 - s / 10, 0.9 - s) for s in (0.0, 0.1, 0.2)]
    noise = np.random.default_rng(0).normal(size=(3, 30)) * 0.0006
    frontier = owed(points, [(row, row) for row in noise])
    assert replace(frontier, margin=0).choose("a", max_loss=0.05) == 0.2
    found = frontier.estimate("a", 0.2, "ndcg@20", part="validation", relative=True)
    error = (found.value - found.low) / 1.959963984540054
    just_enough = (found.value + 0.05) / error
    for margin, setting in ((just_enough * 0.999, 0.2), (just_enough * 1.001, 0.1)):
        spared = replace(frontier, margin=margin)
        assert spared.choose("a", max_loss=0.05) == setting
        assert spared.best(max_loss=0.05) == ("a", setting)
    without = Frontier(tuple(points), "ndcg@20", "gini@20", margin=5)
    assert without.choose("a", max_loss=0.05) == 0.2, "no interval"
    assert "accuracy of the method's first setting there, with 5 standard" in without.report().to_markdown()
    with pytest.raises(InvalidInputError, match="margin"):
        replace(frontier, margin=-1)


def test_a_choice_at_the_end_of_a_grid_is_noted():
    assert FRONTIER.notes(max_loss=0.1)[0].startswith("dial: the choice, 0.2, is the last of its grid.")
    assert FRONTIER.without("other").notes(max_loss=0.05) == ()
    assert "Notes on the grids" in FRONTIER.report(0.1).to_markdown()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": 5}, "grid=5 is not a list"),
        ({"grid": "abc"}, "grid='abc' is not a list"),
        ({"grid": [[1]]}, "grid=\\[1\\]"),
        ({"grid": [None]}, "grid=None"),
        ({"seeds": 3}, "seeds=3 is not a list"),
        ({"dial": "shrunk"}, "There is no dial 'shrunk'. Did you mean 'shrink'"),
        ({"extend": -1}, "extend=-1"),
        ({"accuracy": None}, "None is not among the metrics"),
    ],
)
def test_arguments_of_a_sweep(world, changes, message):
    arguments = {"dial": Dial.of("m", lambda *_: world[1]), "subject": Subject(None, world[0], k=5)} | changes
    with pytest.raises(InvalidInputError, match=message):
        sweep(**arguments)
    with pytest.raises(InvalidInputError, match="make=None of 'm' is not a function"):
        Dial.of("m", None)


def test_a_function_of_ones_own_is_swept_by_its_name_its_grid_and_a_split():
    split = split_ratio(power_law(60, 30, n_interactions=300, rng=0).interactions, rng=0)
    factors = np.random.default_rng(0).normal(size=(60, 4)), np.random.default_rng(1).normal(size=(30, 4))
    mine = sweep("mine", lambda s, seed: shrink(*factors, strength=s), [0.0, 0.5], split, k=5, progress=False)
    subject = Subject(factors, split, k=5)
    ours = sweep("shrink", subject, [0.0, 0.5], progress=False)
    assert mine.mean("mine", 0.5, "gini@5") == ours.mean("shrink", 0.5, "gini@5")
    with pytest.raises(InvalidInputError, match=r"a name, a function of a strength and a seed, a grid and a Split"):
        sweep("mine", lambda s, seed: factors, [0.0])


def test_the_interval_of_an_unfairness_holds_the_places_where_the_accuracy_may_be_at_the_level():
    rng = np.random.default_rng(1)
    arrays = rng.normal(size=(len(POINTS), 2, 60)) * 2e-4
    arrays -= arrays.mean(axis=2, keepdims=True)
    frontier = owed([*POINTS], arrays)
    for level, options in ((0.47, {}), (-0.05, {"relative": True})):
        found = frontier.unfairness_at("dial", level, **options)
        assert found.low < found.value < found.high
        unmeasured = replace(POINTS[0], setting=9.0, test=POINTS[0].test | {frontier.unfairness: float("nan")})
        more = replace(frontier, points=(frontier.points[0], unmeasured, *frontier.points[1:]))
        assert more.unfairness_at("dial", level, **options) == found
        at_low, at_high = (frontier.accuracy_at("dial", at, **options) for at in (found.low, found.high))
        assert at_low.high == pytest.approx(level, abs=2e-4) and at_high.low == pytest.approx(level, abs=2e-4)
    against = frontier.unfairness_at("dial", 0.45, against="other")
    assert np.isfinite(against.value) and against.low is against.high is against.over is None
