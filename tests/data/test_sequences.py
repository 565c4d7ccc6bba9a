"""Histories as sequences, against plain lists."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from headtail.data import Interactions, split_leave_last
from headtail.exceptions import InvalidInputError


def interactions(rows, n_users=3, n_items=6, **given):
    """Return interactions of (user, item, time) rows; the time goes to the name given."""
    users, items, times = np.array(rows).T
    name = given.pop("name", "timestamps")
    codes = users.astype(np.int32), items.astype(np.int32)
    return Interactions(np.arange(n_users) + 10, np.arange(n_items), *codes, **{name: times})


ROWS = [(0, 5, 30), (2, 1, 7), (0, 2, 10), (0, 3, 20)]


@pytest.mark.parametrize("name", ["timestamps", "order"])
def test_the_latest_stands_at_the_right_end(name):
    sequences = interactions(ROWS, name=name).sequences(max_length=4)
    assert sequences.tolist() == [[-1, 2, 3, 5], [-1, -1, -1, -1], [-1, -1, -1, 1]]
    assert sequences.dtype == np.int32


def test_a_longer_history_keeps_its_latest_and_users_are_in_the_order_asked():
    assert interactions(ROWS).sequences(codes=[2, 0, 2], max_length=2).tolist() == [[-1, 1], [3, 5], [-1, 1]]


@given(
    pairs=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 8)), min_size=1),
    length=st.integers(1, 12),
    data=st.data(),
)
def test_equals_sorted_lists_with_ties_in_the_order_of_the_rows(pairs, length, data):
    rows = [(u, i, data.draw(st.integers(0, 3))) for u, i in data.draw(st.permutations(sorted(pairs)))]
    expected = []
    for user in range(5):
        items = [i for _, i in sorted(((t, i) for u, i, t in rows if u == user), key=lambda pair: pair[0])]
        expected.append(([-1] * length + items)[-length:])
    made = interactions(rows, 5, 9)
    np.testing.assert_array_equal(made.sequences(max_length=length), expected)
    flat = [i for row in made.sequences(max_length=9).tolist() for i in row if i >= 0]
    np.testing.assert_array_equal(made.histories, flat)


def test_what_is_known_at_the_test_ends_with_the_validation_item():
    split = split_leave_last(interactions([(0, i, i) for i in range(5)] + [(1, 5 - i, i) for i in range(4)], 2))
    assert split.train.sequences(max_length=3).tolist() == [[0, 1, 2], [-1, 5, 4]]
    assert split.known.sequences(max_length=3).tolist() == [[1, 2, 3], [5, 4, 3]]
    assert split.test.items.tolist() == [4, 2]


def test_no_interactions_give_filling_alone():
    none = interactions(ROWS).subset(np.zeros(4, dtype=bool))
    assert none.sequences(max_length=2).tolist() == [[-1, -1]] * 3


def test_users_are_named_by_their_ids():
    assert interactions(ROWS).sequences([12, 10], max_length=2).tolist() == [[-1, 1], [3, 5]]


@pytest.mark.parametrize("codes", [[3], [-1], [0, 7]])
def test_codes_that_are_none_are_refused(codes):
    with pytest.raises(InvalidInputError, match=r"codes holds .*; there are 3 users, so give 0 to 2, or ids as users="):
        interactions(ROWS).sequences(codes=codes)


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (5, "users=5 is no collection of ids"),
        ("a", "users='a' is no collection of ids"),
        ([0], "The interactions lack 1 of 1 user"),
    ],
)
def test_users_that_are_none_are_refused(users, message):
    with pytest.raises(InvalidInputError, match=message):
        interactions(ROWS).sequences(users)


def test_without_time_there_is_no_sequence():
    with pytest.raises(InvalidInputError, match=r"neither timestamps nor an order.*\(\.\.\., timestamp='when'\)"):
        Interactions(np.arange(1), np.arange(1), np.zeros(1, np.int32), np.zeros(1, np.int32)).sequences()


def test_length_0_is_refused():
    with pytest.raises(InvalidInputError, match="max_length=0 is out of range"):
        interactions(ROWS).sequences(max_length=0)
