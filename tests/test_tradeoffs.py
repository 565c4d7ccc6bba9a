"""Sweeps and frontiers, on points whose right answers are known."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtail import baselines, penalize_popularity, split_ratio
from headtail._stats import pareto_front
from headtail.datasets import power_law
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, MissingColumnError
from headtail.metrics import arp, gini, ndcg
from headtail.tradeoffs import Frontier, Point, sweep


def point(method, setting, accuracy, unfairness, seed=0, test=None):
    validation = {"ndcg@20": accuracy, "gini@20": unfairness}
    return Point(method, setting, seed, validation, test or dict(validation), {})


POINTS = (
    point("dial", 0.0, 0.50, 0.90),
    point("dial", 0.1, 0.49, 0.80),
    point("dial", 0.2, 0.46, 0.70),
    point("other", 0.0, 0.45, 0.85),
    point("other", 1.0, 0.45, 0.75),
)
FRONTIER = Frontier(POINTS, "ndcg@20", "gini@20")


def test_choose_the_fairest_that_loses_little():
    assert FRONTIER.choose("dial", max_loss=0.05) == 0.1
    assert FRONTIER.choose("dial", max_loss=0.10) == 0.2
    assert FRONTIER.choose("dial", max_loss=0) == 0.0
    assert FRONTIER.choose("other", max_loss=0) == 1.0


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


@pytest.fixture(scope="module")
def world():
    split = split_ratio(power_law(120, 60, n_interactions=900, rng=0).interactions, rng=0)
    rng = np.random.default_rng(0)
    return split, (rng.normal(size=(120, 4)), rng.normal(size=(60, 4)))


def test_sweep_measures_every_setting_and_seed(world):
    split, factors = world
    seen_by_make = []

    def make(strength, rng):
        seen_by_make.append((strength, int(rng.integers(1 << 30))))
        return penalize_popularity(*factors, split.train.popularity, strength)

    frontier = sweep("penalty", make, [0.0, 0.5, 2.0], split, k=5, seeds=(0, 1), n_bootstrap=10)
    assert [(p.setting, p.seed) for p in frontier.points] == [(s, seed) for seed in (0, 1) for s in (0.0, 0.5, 2.0)]
    popularity = [frontier.mean("penalty", s, "arp@5") for s in (0.0, 0.5, 2.0)]
    assert popularity == sorted(popularity, reverse=True)
    assert seen_by_make[0][1] == seen_by_make[1][1] != seen_by_make[3][1]
    low, high = frontier.points[0].intervals["gini@5"]
    assert low < frontier.points[0].test["gini@5"] < high


def test_a_stopped_sweep_goes_on_where_it_was(world, tmp_path):
    split, factors = world
    calls = []

    def make(strength, rng):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(strength)
        return penalize_popularity(*factors, split.train.popularity, strength)

    options = {"k": 5, "seeds": (0, 1), "n_bootstrap": 5, "progress": False}
    grid = [0.0, 0.5]
    whole = sweep("penalty", make_all := lambda s, rng: penalize_popularity(*factors, split.train.popularity, s), grid,
                  split, **options)  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        sweep("penalty", make, grid, split, folder=tmp_path, **options)
    resumed = []
    again = sweep(
        "penalty", lambda s, rng: resumed.append(s) or make_all(s, rng), grid, split, folder=tmp_path, **options
    )
    assert resumed == [0.5]
    assert again.points == whole.points
    with pytest.raises(
        CheckpointMismatchError, match=r"grid: \['0.0', '0.5'\] in the checkpoint, \['0.0', '1.0'\] now"
    ):
        sweep("penalty", make_all, [0.0, 1.0], split, folder=tmp_path, **options)


def test_sweep_of_lists_leaves_out_validation_items_on_the_test(world):
    split, _ = world
    frontier = sweep("popular", lambda _, __: lambda seen: baselines.most_popular(seen, 5), ["popular"], split, k=5)
    assert frontier.points[0].test["ndcg@5"] > 0
    assert len(split.known) == len(split.train) + len(split.validation)


def test_bad_input(world):
    split, factors = world

    def make(_, __):
        return factors

    with pytest.raises(InvalidInputError, match="repeats a setting"):
        sweep("m", make, [0.1, 0.1], split)
    with pytest.raises(InvalidInputError, match="is empty or repeats"):
        sweep("m", make, [], split)
    with pytest.raises(InvalidInputError, match="'ndcg' is not among the metrics"):
        sweep("m", make, [0], split, metrics=[arp, gini])
    unvalidated = split_ratio(split.train, validation=None, rng=0)
    with pytest.raises(InvalidInputError, match="no validation part"):
        sweep("m", make, [0], unvalidated)
    with pytest.raises(InvalidInputError, match="Join sweeps of the same metrics"):
        FRONTIER + sweep("m", make, [0], split, k=5, metrics=[ndcg, gini])
    with pytest.raises(MissingColumnError, match="There is no method 'dail'"):
        FRONTIER.choose("dail")
    with pytest.raises(InvalidInputError, match="max_loss=2"):
        FRONTIER.choose("dial", max_loss=2)
