import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, strategies as st

from headtail.data import Interactions, PopularityGroups
from headtail.data.popularity import as_groups
from headtail.exceptions import InvalidInputError, MissingColumnError

RULES = (PopularityGroups.by_mass, PopularityGroups.by_rank, PopularityGroups.equal_mass)

popularities = st.lists(st.integers(0, 50), min_size=1, max_size=30).filter(any)


def named(groups):
    return [groups.names[code] for code in groups.codes]


class TestByMass:
    def test_the_item_that_crosses_a_cut_completes_head_or_tail(self):
        # Of 100: 15 alone are less than 20, so the head takes the second item; 9 + 8 < 20, so the tail takes the 10.
        groups = PopularityGroups.by_mass([8, 15, 14, 9, 13, 10, 12, 11, 8])
        assert groups.sizes == {"head": 2, "mid": 4, "tail": 3}
        assert np.flatnonzero(groups.mask("head")).tolist() == [1, 2]
        assert np.flatnonzero(groups.mask("tail")).tolist() == [0, 3, 8]

    def test_a_cut_that_is_met_exactly(self):
        assert named(PopularityGroups.by_mass([2, 2, 2, 2, 2])) == ["head", "mid", "mid", "mid", "tail"]
        tenths = PopularityGroups.by_mass([1] * 10, cuts=(0.3, 0.7))  # 0.1 + 0.1 + 0.1 > 0.3 in floating point
        assert tenths.sizes == {"head": 3, "mid": 4, "tail": 3}

    def test_items_without_interactions_are_tail(self):
        assert named(PopularityGroups.by_mass([0, 5, 0, 3, 2])) == ["tail", "head", "tail", "mid", "tail"]

    def test_ties_are_broken_by_position(self):
        assert named(PopularityGroups.by_mass([1, 1, 1])) == ["head", "mid", "tail"]

    def test_the_head_goes_before_the_tail(self):
        assert named(PopularityGroups.by_mass([100, 1])) == ["head", "tail"]
        assert named(PopularityGroups.by_mass([3])) == ["head"]
        assert PopularityGroups.by_mass([3]).sizes == {"head": 1, "mid": 0, "tail": 0}

    def test_one_cut(self):
        groups = PopularityGroups.by_mass([60, 30, 6, 4], cuts=(0.8,))
        assert named(groups) == ["head", "head", "tail", "tail"]
        assert groups.names == ("head", "tail")

    @given(popularities, st.floats(0.05, 0.45), st.floats(0.55, 0.95))
    def test_definition(self, popularity, low, high):
        groups = PopularityGroups.by_mass(popularity, cuts=(low, high))
        order = sorted(range(len(popularity)), key=lambda i: (-popularity[i], i))
        total, held, head = sum(popularity), 0, []
        for i in order:
            if held >= low * total - 1e-6:
                break
            head.append(i)
            held += popularity[i]
        held, tail = 0, []
        for i in reversed(order):
            if held >= (1 - high) * total - 1e-6 or i in head:
                break
            tail.append(i)
            held += popularity[i]
        assert np.flatnonzero(groups.mask("head")).tolist() == sorted(head)
        assert np.flatnonzero(groups.mask("tail")).tolist() == sorted(tail)


class TestByRank:
    def test_shares_of_the_items(self):
        groups = PopularityGroups.by_rank(range(10))
        assert named(groups) == ["tail"] * 2 + ["mid"] * 6 + ["head"] * 2

    def test_rounded_up(self):
        assert PopularityGroups.by_rank([3, 2, 1]).sizes == {"head": 1, "mid": 1, "tail": 1}
        assert PopularityGroups.by_rank(range(3416), cuts=(0.1, 0.9)).sizes == {"head": 342, "mid": 2732, "tail": 342}
        assert PopularityGroups.by_rank(range(100), cuts=(0.07,)).sizes == {"head": 7, "tail": 93}

    def test_one_cut_is_the_bottom_80_percent(self):
        assert PopularityGroups.by_rank(range(1, 11), cuts=(0.2,)).sizes == {"head": 2, "tail": 8}


class TestEqualMass:
    def test_filled_from_the_rarest(self):
        # Of 12, a third is 4: {1, 1, 2} makes 4; each 4 makes one.
        groups = PopularityGroups.equal_mass([4, 4, 1, 2, 1], n=3)
        assert named(groups) == ["q1", "q2", "q3", "q3", "q3"]

    def test_excess_is_not_carried_over(self):
        # A third of 43 is 14.3. 5 + 5 + 6 = 16 completes the rarest; 6 + 7 = 13 is too little for the next, although
        # 16 + 13 is more than two thirds.
        groups = PopularityGroups.equal_mass([7, 7, 7, 6, 6, 5, 5], n=3)
        assert named(groups) == ["q1", "q2", "q2", "q2", "q3", "q3", "q3"]

    def test_too_few_items(self):
        with pytest.raises(InvalidInputError, match=r"too few of the 3 items.*the most popular one 98%.*Lower n"):
            PopularityGroups.equal_mass([98, 1, 1])

    @pytest.mark.parametrize("n", [1, 0, 2.5, 128])
    def test_number_of_groups(self, n):
        with pytest.raises(InvalidInputError, match="n="):
            PopularityGroups.equal_mass([1, 2, 3], n=n)


class TestPublishedSizes:
    def test_ml_1m_in_five_groups(self, shared_data):
        ratings = pl.read_parquet(shared_data("ml-1m") / "interactions.parquet")
        train = Interactions.from_frame(ratings.filter(pl.col("resn_split") == "train")).with_items(range(1, 3953))
        assert list(PopularityGroups.equal_mass(train.popularity).sizes.values()) == [112, 200, 316, 554, 2770]

    def test_coat_in_five_groups(self, shared_data):
        ratings = pl.read_parquet(shared_data("coat") / "interactions.parquet")
        train = Interactions.from_frame(ratings.filter(pl.col("split") == "train"), min_rating=4).with_items(range(300))
        assert list(PopularityGroups.equal_mass(train.popularity).sizes.values()) == [13, 27, 39, 61, 160]

    def test_ml_1m_5_core_head_and_tail(self, shared_data):
        core = Interactions.from_frame(pl.read_parquet(shared_data("ml-1m") / "interactions.parquet"), k_core=5)
        sizes = PopularityGroups.by_mass(core.popularity).sizes
        assert (core.n_items, sizes["head"], sizes["tail"]) == (3416, 113, 2237)


class TestSums:
    groups = PopularityGroups.by_mass([60, 1, 20, 10, 9])

    def test_sum(self):
        assert self.groups.sum([1, 2, 3, 4, 5]).tolist() == [1, 3, 11]

    def test_shares(self):
        assert self.groups.shares([1, 2, 3, 2, 2]).tolist() == [0.1, 0.3, 0.6]

    def test_shares_of_nothing(self):
        assert np.isnan(self.groups.shares(np.zeros(5))).all()

    def test_values_of_another_length(self):
        with pytest.raises(InvalidInputError, match=r"values has shape \(2,\) .*; give one number for each of the 5"):
            self.groups.sum([1, 2])

    def test_unknown_group(self):
        with pytest.raises(MissingColumnError, match=r"no popularity group 'heads'. Did you mean 'head'"):
            self.groups.mask("heads")

    def test_repr(self):
        assert repr(self.groups) == "PopularityGroups(head 1 item, mid 1 item, tail 3 items)"


@pytest.mark.parametrize("rule", RULES)
class TestAllRules:
    @given(popularity=popularities)
    def test_more_popular_items_are_never_in_a_rarer_group(self, rule, popularity):
        try:
            groups = rule(popularity)
        except InvalidInputError:  # too few items for five groups
            assert rule == PopularityGroups.equal_mass
            return
        order = sorted(range(len(popularity)), key=lambda i: (-popularity[i], i))
        assert (np.diff(groups.codes[order]) >= 0).all()
        assert sum(groups.sizes.values()) == len(popularity)
        assert groups.codes.dtype == np.int8

    def test_scale_does_not_matter(self, rule):
        popularity = np.array([9, 9, 9, 5, 4, 4, 3, 2])
        assert rule(popularity).codes.tolist() == rule(popularity * 1_000_003).codes.tolist()
        assert rule(popularity).codes.tolist() == rule(popularity.astype(np.uint8)).codes.tolist()

    def test_the_rule_names_ties(self, rule):
        assert "Items of equal popularity are ordered as in the catalogue" in rule([3] * 9 + [2]).description

    @pytest.mark.parametrize(
        ("popularity", "message"),
        [
            ([], "0 for every item"),
            ([[1, 2]], r"shape \(1, 2\)"),
            ([0, 0], "0 for every item"),
            ([3, -1], r"is -1\.0 at item 1; counts cannot be negative"),
            ([1.0, float("nan")], "not finite"),
            (["a"], "give one number for each"),
        ],
    )
    def test_bad_popularity(self, rule, popularity, message):
        with pytest.raises(InvalidInputError, match=message):
            rule(popularity)


@pytest.mark.parametrize("rule", RULES[:2])
@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ((0.8, 0.2), "do not increase"),
        ((0.2, 0.2), "do not increase"),
        ((0.0, 0.5), "out of range"),
        ((0.5, 1.0), "out of range"),
        ((), "has 0 entries"),
        ((0.1, 0.2, 0.3), "has 3 entries"),
        ((float("nan"),), "out of range"),
    ],
)
def test_bad_cuts(rule, cuts, message):
    with pytest.raises(InvalidInputError, match=message):
        rule([3, 2, 1], cuts=cuts)


def test_rules_for_reports():
    assert PopularityGroups.by_mass([3, 2, 1]).description == (
        "Head: the most popular items, as few as hold at least 20% of the training interactions. Tail: the least "
        "popular items, as few as hold at least 20% of the training interactions. Mid: between them. Items of equal "
        "popularity are ordered as in the catalogue, the earlier one counting as more popular."
    )
    assert PopularityGroups.by_rank([3, 2, 1], cuts=(0.25,)).description.startswith(
        "Head: the most popular 25% of the items. Tail: all others."
    )
    assert "a group is complete once it holds 1/2 of all" in PopularityGroups.equal_mass([3, 2, 1], n=2).description


@pytest.mark.parametrize("popularity", [None, "a", ["a"], [[1], [1, 2]], [1e300, 1], [[1, 2]], object()])
def test_what_is_no_popularity(popularity):
    with pytest.raises(InvalidInputError, match="popularity "):
        PopularityGroups.by_mass(popularity)


def test_popularity_as_a_tensor_of_any_precision():
    counts = torch.tensor([60, 1, 20, 10, 9])
    expected = PopularityGroups.by_mass([60, 1, 20, 10, 9])
    for dtype in (torch.int64, torch.bfloat16, torch.float16):
        assert PopularityGroups.by_mass(counts.to(dtype)).codes.tolist() == expected.codes.tolist()


def test_groups_as_they_are_or_as_a_function():
    popularity = np.array([6, 3, 1])
    groups = PopularityGroups.by_mass(popularity)
    assert as_groups(groups, popularity) is groups
    assert as_groups(PopularityGroups.by_mass, popularity).codes.tolist() == groups.codes.tolist()
    for wrong in ("mass", 5, None, lambda popularity: popularity):
        with pytest.raises(InvalidInputError, match=r"groups=.* is not known"):
            as_groups(wrong, popularity)
    with pytest.raises(InvalidInputError, match="groups has 3 items and the catalogue 2"):
        as_groups(groups, popularity[:2])
    with pytest.raises(InvalidInputError, match=r"cuts=0\.2 is no tuple"):
        PopularityGroups.by_mass(popularity, cuts=0.2)
    with pytest.raises(InvalidInputError, match="give one number for each"):
        groups.sum(["a", "b", "c"])
