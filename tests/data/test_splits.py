from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from headtail.data import Interactions, Split, split_debiased, split_leave_last, split_ratio, split_time
from headtail.data.splits import draw_each, shuffled
from headtail.exceptions import InvalidInputError, MissingColumnError


def read(rows, names=("user_id", "item_id", "timestamp")):
    return Interactions.from_frame(pl.DataFrame(rows, schema=list(names)[: len(rows[0])], orient="row"))


def pairs(part):
    return [row[:2] for row in part.to_polars().rows()]


def items_of(part):
    return part.to_polars()["item_id"].to_list()


worlds = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 12)), min_size=12).map(sorted)


class TestRatio:
    def test_numbers_per_user(self):
        # Rounded half up: of 10, 5, 3, 2 and 1 interactions, .2 is 2, 1, 1, 0, 0 and .1 is 1, 1, 0, 0, 0.
        rows = [(user, item) for user, n in enumerate([10, 5, 3, 2, 1]) for item in range(n)]
        split = split_ratio(read(rows), rng=0)
        assert split.test.activity.tolist() == [2, 1, 1, 0, 0]
        assert split.validation.activity.tolist() == [1, 1, 0, 0, 0]
        assert split.train.activity.tolist() == [7, 3, 2, 2, 1]
        assert split.description == (
            "At random, 0.2 of each user's interactions in the test and 0.1 in the validation, rounded; at least one "
            "in training. 2 of 5 users have nothing in the test. 1 of the 4 items in the test (25.0%) has no training "
            "interactions. 3 of 5 users have nothing in the validation. 1 of the 2 items in the validation (50.0%) "
            "has no training interactions."
        )

    def test_something_stays_in_training(self):
        rows = [(user, item) for user, n in enumerate([1, 2, 3, 4]) for item in range(n)]
        split = split_ratio(read(rows), test=0.5, validation=0.4, rng=0)
        assert split.test.activity.tolist() == [0, 1, 2, 2]
        assert split.validation.activity.tolist() == [0, 0, 0, 1]
        assert split.train.activity.tolist() == [1, 1, 1, 1]

    def test_a_half_that_floating_point_misses(self):
        split = split_ratio(read([(1, item) for item in range(30)]), test=0.15, validation=0.35, rng=0)
        assert (len(split.test), len(split.validation)) == (5, 11)

    @pytest.mark.parametrize("none", [None, 0, 0.0])
    def test_no_validation(self, none):
        split = split_ratio(read([(1, item) for item in range(10)]), validation=none, rng=0)
        assert split.validation is None
        assert list(split.parts) == ["train", "test"]
        assert "validation" not in split.description

    def test_same_seed_same_split(self):
        whole = read([(user, item) for user in range(5) for item in range(20)])
        tests = [pairs(split_ratio(whole, rng=seed).test) for seed in (1, np.random.default_rng(1), 2)]
        assert tests[0] == tests[1] != tests[2]

    def test_every_interaction_is_as_likely_to_be_tested(self):
        whole = read([(user, item) for user in range(2000) for item in range(5)])
        counts = split_ratio(whole, validation=None, rng=0).test.popularity
        assert counts.sum() == 2000
        assert (abs(counts - 400) < 5 * np.sqrt(2000 * 0.2 * 0.8)).all()

    @pytest.mark.parametrize(
        ("shares", "message"),
        [
            ({"test": 0}, "test=0 is out of range"),
            ({"test": 1}, "test=1 is out of range"),
            ({"test": float("nan")}, "test=nan"),
            ({"validation": -0.1}, "validation=-0.1 is out of range"),
            ({"test": 0.5, "validation": 0.5}, r"test=0\.5 and validation=0\.5 leave nothing for training"),
            ({"test": 0.01}, "The test part would be empty"),
            ({"test": 0.2, "validation": 0.001}, "The validation part would be empty"),
        ],
    )
    def test_bad_shares(self, shares, message):
        with pytest.raises(InvalidInputError, match=message):
            split_ratio(read([(1, item) for item in range(10)]), rng=0, **shares)


class TestLeaveLast:
    rows = ((1, 7, 30), (1, 8, 10), (2, 7, 5), (1, 9, 20), (3, 8, 2), (3, 7, 1))

    def test_last_and_the_one_before(self):
        split = split_leave_last(read(self.rows))
        assert pairs(split.test) == [(1, 7), (3, 8)]
        assert pairs(split.validation) == [(1, 9)]
        assert pairs(split.train) == [(1, 8), (2, 7), (3, 7)]
        assert split.description == (
            "Each user's last interaction in the test and the one before it in the validation; ties in time by the "
            "order of the rows. 1 of 3 users has nothing in the test. 2 of 3 users have nothing in the validation. "
            "1 of the 1 items in the validation (100.0%) has no training interactions."
        )

    def test_without_validation(self):
        split = split_leave_last(read(self.rows), validation=False)
        assert split.validation is None
        assert pairs(split.train) == [(1, 8), (2, 7), (1, 9), (3, 7)]

    def test_ties_go_by_row(self):
        assert items_of(split_leave_last(read([(1, 9, 4), (1, 7, 4), (1, 8, 4)])).test) == [8]

    def test_order_will_do(self):
        whole = read([(1, 7, 2), (1, 8, 1), (1, 9, 0)], ("user_id", "item_id", "order"))
        assert items_of(split_leave_last(whole).test) == [7]

    def test_without_time(self):
        with pytest.raises(InvalidInputError, match=r"neither timestamps nor an order.*timestamp=.*or use split_ratio"):
            split_leave_last(read([(1, 2), (1, 3)]))

    def test_no_user_has_two(self):
        with pytest.raises(InvalidInputError, match="The test part would be empty"):
            split_leave_last(read([(1, 2, 3), (2, 2, 4)]))


class TestTime:
    def test_one_cut_for_all(self):
        whole = read([(user, item, 10 * item + user) for item in range(5) for user in range(2)])
        split = split_time(whole, test=0.2, validation=0.1)
        assert split.test.timestamps.tolist() == [40, 41]
        assert split.validation.timestamps.tolist() == [31]
        assert split.train.timestamps.max() == 30

    def test_one_moment_is_in_one_part(self):
        whole = read([(user, 0, 1 if user < 6 else 2) for user in range(10)])
        split = split_time(whole, test=0.2, validation=None)
        assert (len(split.train), len(split.test)) == (6, 4)
        assert "4 of 10 users have nothing in training." in split.description

    @given(st.lists(st.integers(0, 20), min_size=5), st.sampled_from([0.1, 0.2, 0.5]))
    def test_training_is_strictly_before_the_test(self, times, share):
        whole = read([(n, 0, time) for n, time in enumerate(times)])
        try:
            split = split_time(whole, test=share, validation=None)
        except InvalidInputError as error:
            assert "too many of them are of one time" in str(error)
            return
        assert split.train.timestamps.max() < split.test.timestamps.min()
        assert len(split.test) >= int(len(times) * share)
        # The cut is no earlier than needed: without its first moment the test is smaller than its share.
        assert (split.test.timestamps > split.test.timestamps.min()).sum() < max(1, len(times) * share)

    def test_all_at_one_time(self):
        with pytest.raises(
            InvalidInputError, match=r"The training part would be empty.*too many of them are of one time"
        ):
            split_time(read([(1, 2, 3), (2, 2, 3)]))

    def test_without_timestamps(self):
        with pytest.raises(InvalidInputError, match=r"has no timestamps. Name the column"):
            split_time(read([(1, 2), (1, 3)]))
        with pytest.raises(InvalidInputError, match="Its order holds within each user only"):
            split_time(read([(1, 2, 0), (1, 3, 1)], ("user_id", "item_id", "order")))


@given(rows=worlds, seed=st.integers(0, 9), kind=st.sampled_from(["ratio", "last", "time", "debiased", "paper"]))
def test_parts_share_out_everything_once(rows, seed, kind):
    times = np.random.default_rng(seed).permutation(len(rows))
    whole = replace(read([(*row, int(time)) for row, time in zip(rows, times, strict=True)]), ratings=times / 2)
    try:
        split = {
            "ratio": lambda: split_ratio(whole, test=0.4, rng=seed),
            "last": lambda: split_leave_last(whole),
            "time": lambda: split_time(whole, test=0.4),
            "debiased": lambda: split_debiased(split_ratio(whole, test=0.4, validation=0.3, rng=seed), rng=seed),
            "paper": lambda: split_debiased(split_ratio(whole, test=0.4, rng=seed), variant="paper", rng=seed),
        }[kind]()
    except InvalidInputError as error:
        assert "would be empty" in str(error) or "cannot be debiased" in str(error)
        return
    together = [row for part in split.parts.values() for row in part.to_polars().rows()]
    assert sorted(together) == sorted(whole.to_polars().rows())
    for part in split.parts.values():
        assert part.item_ids is whole.item_ids
        assert part.user_ids is whole.user_ids
    if kind == "debiased":
        held = whole.popularity - split.train.popularity
        assert (held <= whole.popularity // 2).all()  # so that one interaction stays, too


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**53 - 1) | st.integers(0, 3)), max_size=40),
    st.sampled_from([0, 2**31 - 10]),
)
def test_draws_are_the_first_of_each_code_by_chance_then_position(rows, lowest):
    # Codes of 31 bits leave the fewest bits for the chance; chances of 0 to 3 times 2**-53 differ in the last two only.
    codes, numbers = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    draw = SimpleNamespace(random=lambda n: numbers / 2.0**53)
    if lowest:
        order = shuffled((codes + lowest).astype(np.int32), numbers / 2.0**53)
        assert order.tolist() == np.lexsort((numbers, codes)).tolist()
    counts = np.bincount(codes, minlength=4)
    found = draw_each(codes.astype(np.int32), counts, [counts // 3, counts // 2], draw)
    for code in range(4):
        mine = np.flatnonzero(codes == code)
        mine = mine[np.argsort(numbers[mine], kind="stable")]
        first, second = counts[code] // 3, counts[code] // 2
        assert found[mine].tolist() == [0] * first + [1] * second + [-1] * (len(mine) - first - second)


class TestDebiased:
    @pytest.fixture
    def ten(self):
        """Ten test interactions over four items, t = 2: item 0 has 6, item 1 has 3, item 2 has 1, item 3 has none."""
        test = [(user, 0) for user in range(6)] + [(user, 1) for user in range(3)] + [(0, 2)]
        train = [(user, 0) for user in range(6, 9)] + [(3, 1)] + [(user, 2) for user in range(1, 6)] + [(5, 3)]
        rows = [(*row, "test") for row in test] + [(*row, "train") for row in train]
        return Split.from_frame(pl.DataFrame(rows, schema=["user_id", "item_id", "split"], orient="row"))

    def test_numbers_per_item(self, ten):
        split = split_debiased(ten, rng=0)
        # Item 3 has one interaction in all, which stays where something can be learned from it.
        assert split.test.popularity.tolist() == [2, 2, 2, 0]
        assert split.train.popularity.tolist() == [7, 2, 4, 1]
        assert split.description == (
            "As the column 'split' of the data gives it. Then debiased: up to 2 test interactions an item, exchanged "
            "with training at random; at least half of an item's, and one, in training. 1 of 9 users has nothing in "
            "training. 6 of 9 users have nothing in the test."
        )

    def test_interactions_are_split_first(self):
        pairs = {"user_id": np.repeat(range(30), 20), "item_id": np.tile(range(20), 30)}
        whole = Interactions.from_frame(pl.DataFrame(pairs))
        expected = split_debiased(split_ratio(whole, rng=3), rng=3)
        for one in (whole, whole.to_polars()):
            found = split_debiased(one, rng=3)
            assert found.test.to_polars().equals(expected.test.to_polars())
            assert found.description == expected.description

    def test_numbers_per_item_by_the_papers_rule(self, ten):
        split = split_debiased(ten, variant="paper", rng=0)
        assert split.test.popularity.tolist() == [2, 2, 2, 1]
        assert split.train.popularity.tolist() == [7, 2, 4, 0]
        assert (
            "Then debiased: about 2 test interactions an item, exchanged with training at random." in split.description
        )
        assert split.description.endswith("1 of the 4 items in the test (25.0%) has no training interactions.")

    def test_no_such_variant(self, ten):
        with pytest.raises(InvalidInputError, match="variant='published'"):
            split_debiased(ten, variant="published")

    def test_what_stays_was_there(self, ten):
        split = split_debiased(ten, rng=0)
        before, after = set(pairs(ten.test)), set(pairs(split.test))
        assert {item for _, item in after - before} <= {2, 3}
        assert (0, 2) in after

    def test_same_seed_same_split(self, ten):
        tests = [set(pairs(split_debiased(ten, rng=seed).test)) for seed in (0, 0, 1)]
        assert tests[0] == tests[1] != tests[2]

    def test_which_ones_stay_is_random(self, ten):
        kept = np.zeros(9)
        for seed in range(600):
            test = split_debiased(ten, rng=seed).test
            kept[test.users[test.items == 0]] += 1
        assert kept[6:].sum() == 0
        assert (abs(kept[:6] - 200) < 5 * np.sqrt(600 * 2 / 9)).all()

    def test_validation_is_debiased_too(self):
        rows = [(user, item) for user in range(60) for item in range(8) if user % 2 == 0 or item < 5]
        before = split_ratio(read(rows), test=0.2, validation=0.1, rng=0)
        split = split_debiased(before, variant="paper", rng=0)
        assert split.test.popularity.tolist() == [len(before.test) // 8] * 8
        assert split.validation.popularity.tolist() == [len(before.validation) // 8] * 8
        assert f"and {len(before.validation) // 8} in the validation" in split.description

    def test_test_and_validation_share_what_may_leave_training(self):
        rows = [(user, item, "test") for item in range(3) for user in range(12)]
        rows += [(user, item, "validation") for item in range(3) for user in range(12, 18)]
        rows += [(user, 0, "train") for user in range(18, 60)] + [(user, 1, "train") for user in range(18, 28)]
        split = Split.from_frame(pl.DataFrame(rows, schema=["user_id", "item_id", "split"], orient="row"))
        split = split_debiased(split, rng=0)
        # Of 60, 28 and 18 interactions 30, 14 and 9 may leave; test and validation have 12 and 6 of each.
        assert split.test.popularity.tolist() == [12, 9, 6]
        assert split.validation.popularity.tolist() == [6, 5, 3]
        assert split.train.popularity.tolist() == [42, 14, 9]

    def test_less_than_one_an_item(self):
        rows = [(0, 0, "test")] + [(1, item, "train") for item in range(3)]
        split = Split.from_frame(pl.DataFrame(rows, schema=["user_id", "item_id", "split"], orient="row"))
        with pytest.raises(InvalidInputError, match="1 interaction for 3 items, less than one an item"):
            split_debiased(split, rng=0)

    def test_ml_1m(self, shared_data):
        ratings = pl.read_parquet(shared_data("ml-1m") / "interactions.parquet")
        given = Split.from_frame(ratings, "resn_split")
        t = 200_042 // 3706
        whole = given.test.popularity + given.train.popularity
        split, papers = split_debiased(given, rng=0), split_debiased(given, variant="paper", rng=0)
        assert (papers.test.popularity == np.minimum(whole, t)).all()
        assert (papers.train.popularity == 0).mean() > 0.2
        assert (split.test.popularity == np.minimum(whole // 2, t)).all()
        assert (split.train.popularity > 0).all()


def test_the_scale_of_the_test_is_that_of_a_user_who_has_something_there():
    rows = [(1, 0, "train"), (1, 1, "validation"), (1, 2, "test"), (1, 3, "test"), (2, 0, "test"), (3, 0, "test")]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "split"], orient="row")
    assert Split.from_frame(frame).scale == pytest.approx(4 / 3)
    assert Split.from_frame(frame.filter(pl.col("split") != "validation")).scale == 1
    others = frame.with_columns(user_id=pl.Series([1, 1, 2, 3, 4, 5]))  # each wants one item, whoever they are
    assert Split.from_frame(others).scale == 1


class TestFromFrame:
    def frame(self, labels=("train", "test", "train", "valid")):
        return pl.DataFrame({"user": [1, 1, 2, 2], "item": ["b", "a", "a", "c"], "part": list(labels)})

    def test_the_parts_share_one_catalogue(self):
        split = Split.from_frame(self.frame(), "part", titles={"a": "A"})
        assert split.train.to_polars().rows() == [(1, "b"), (2, "a")]
        assert split.validation.to_polars().rows() == [(2, "c")]
        assert split.test.to_polars().rows() == [(1, "a")]
        assert split.test.item_ids is split.train.item_ids
        assert split.train.item_titles.tolist() == ["A", "b", "c"]
        assert split.description == "As the column 'part' of the data gives it."

    def test_other_labels(self):
        frame = self.frame([0, 1, 0, 2])
        split = Split.from_frame(frame, "part", train="0", test="1", validation="2")
        assert [len(part) for part in split.parts.values()] == [2, 1, 1]

    def test_rows_of_no_part_are_not_dropped_in_silence(self):
        with pytest.raises(InvalidInputError, match=r"holds 'test', 'train', 'unused'; asked for were train='train'"):
            Split.from_frame(self.frame(["train", "test", "train", "unused"]), "part")

    def test_a_part_that_is_not_there(self):
        with pytest.raises(InvalidInputError, match="asked for were train='train', test='held out'"):
            Split.from_frame(self.frame(["train"] * 4), "part", test="held out")

    def test_a_label_for_two_parts(self):
        with pytest.raises(InvalidInputError, match="Name each part"):
            Split.from_frame(self.frame(["train"] * 4), "part", test="train")

    def test_no_such_column(self):
        with pytest.raises(MissingColumnError, match="no column 'split'"):
            Split.from_frame(self.frame())

    def test_min_rating_keeps_the_catalogue(self):
        frame = self.frame(["train", "test", "train", "train"]).with_columns(rating=pl.Series([5, 4, 3, 2]))
        split = Split.from_frame(frame, "part", min_rating=4)
        assert split.train.to_polars().rows() == [(1, "b", 5.0)]
        assert split.train.item_ids.tolist() == ["a", "b", "c"]

    def test_overlap(self):
        frame = pl.DataFrame({"user_id": [1, 1, 1], "item_id": [7, 8, 8], "split": ["train", "train", "test"]})
        with pytest.raises(
            InvalidInputError, match=r"train and test share 1 \(user, item\) pairs, .* user 1 with item 8"
        ):
            Split.from_frame(frame)
        frame = pl.concat([frame, pl.DataFrame({"user_id": [2], "item_id": [7], "split": ["test"]})])
        split = Split.from_frame(frame, overlap="train")
        assert pairs(split.test) == [(2, 7)]
        assert len(split.train) == 2
        assert "Kept in train alone: 1 pair that test has as well." in split.description

    def test_duplicates_are_per_part(self):
        frame = pl.DataFrame({"user_id": [1, 1, 1], "item_id": [7, 7, 8], "split": ["train", "train", "test"]})
        with pytest.raises(InvalidInputError, match="1 row that repeats"):
            Split.from_frame(frame)
        assert len(Split.from_frame(frame, duplicates="first").train) == 1

    def test_coat(self, shared_data):
        ratings = pl.read_parquet(shared_data("coat") / "interactions.parquet")
        split = Split.from_frame(ratings, test="test_uniform", min_rating=4, overlap="train")
        assert (len(split.train), len(split.test)) == (1905, 860 - 91)
        assert (split.train.n_users, split.train.n_items) == (290, 300)


class TestFromFrames:
    def test_the_catalogue_is_that_of_all_parts(self):
        train, test = pl.DataFrame({"user": [1], "item": [7]}), pl.DataFrame({"userId": [2], "movieId": [8]})
        split = Split.from_frames(train, test.to_pandas(), test.lazy().with_columns(movieId=9))
        assert split.train.item_ids.tolist() == [7, 8, 9]
        assert [pairs(part) for part in split.parts.values()] == [[(1, 7)], [(2, 9)], [(2, 8)]]

    def test_a_column_that_only_one_has(self, caplog):
        train = pl.DataFrame({"user_id": [1], "item_id": [7], "rating": [3.0]})
        split = Split.from_frames(train, pl.DataFrame({"user_id": [2], "item_id": [8]}))
        assert split.train.ratings is None
        assert "train: rating left out, as not all parts have it" in caplog.messages

    def test_ids_of_two_types(self):
        train, test = pl.DataFrame({"user_id": [1], "item_id": [7]}), pl.DataFrame({"user_id": [1], "item_id": ["7"]})
        with pytest.raises(InvalidInputError, match="item_id is Int64 in train and String in test"):
            Split.from_frames(train, test)

    def test_errors_name_the_part(self):
        train = pl.DataFrame({"user_id": [1], "item_id": [7]})
        with pytest.raises(InvalidInputError, match="test has no rows"):
            Split.from_frames(train, train.clear())


class TestSplit:
    def test_parts_of_two_worlds(self):
        one, other = read([(1, 2)]), read([(1, 2), (1, 3)])
        with pytest.raises(InvalidInputError, match=r"different item_ids \(1 and 2\).*Split.from_frames"):
            Split(one, other)

    def test_parts_that_overlap(self):
        whole = read([(1, 2), (1, 3)])
        with pytest.raises(InvalidInputError, match="train and validation share 2"):
            Split(whole, whole.subset(np.zeros(2, dtype=bool)), whole)
        with pytest.raises(InvalidInputError, match="validation and test share 1"):
            Split(whole.subset([0]), whole.subset([1]), whole.subset([1]))

    def test_validation_can_be_carved_out_of_a_given_training_part(self):
        whole = read([(user, item) for user in range(3) for item in range(10)])
        given = split_ratio(whole, validation=None, rng=0)
        carved = split_ratio(given.train, test=0.25, validation=None, rng=0)
        split = Split(carved.train, given.test, carved.test, given.description)
        assert [len(part) for part in split.parts.values()] == [18, 6, 6]
