import numpy as np
import pandas as pd
import polars as pl
import pytest

from headtail.data import Recommendations
from headtail.exceptions import InvalidInputError, MissingColumnError

IDS = {"user_ids": np.array(["ann", "bob"], dtype=object), "item_ids": np.array([10, 20, 30])}


def test_table():
    lists = Recommendations(
        **IDS,
        users=np.array([1, 0]),
        items=np.array([[2, -1], [0, 1]]),
        scores=np.array([[0.5, np.nan], [2.0, 1.0]]),
    )
    assert (len(lists), lists.k, repr(lists)) == (2, 2, "Recommendations(2 users, top-2)")
    assert lists.to_polars().rows() == [("bob", 30, 1, 0.5), ("ann", 10, 1, 2.0), ("ann", 20, 2, 1.0)]
    assert lists.to_pandas()["item_id"].tolist() == [30, 10, 20]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"users": [0], "items": [[0], [1]]}, r"items has shape \(2, 1\); give \(1, k\)"),
        ({"users": [0], "items": [0]}, r"items has shape \(1,\)"),
        ({"users": [0], "items": [[0, 1]], "scores": [[1.0]]}, r"scores has shape \(1, 1\) and items \(1, 2\)"),
        ({"users": [0], "items": [[0, 1]], "scores": [[1.0, np.nan]]}, "scores holds NaN or infinity beside an item"),
        ({"users": [0], "items": [[0, 1]], "scores": [[np.inf, 1.0]]}, "scores holds NaN or infinity beside an item"),
        ({"users": [0], "items": [[0, 3]]}, "items holds codes from 0 to 3; there are 3 ids, so give -1 to 2"),
        ({"users": [2], "items": [[0, 1]]}, "users holds codes from 2 to 2; there are 2 ids, so give 0 to 1"),
        ({"users": [0, 1], "items": [[0, 1], [-1, 1]]}, r"gap inside the list of row 1"),
    ],
)
def test_bad_input(parts, message):
    with pytest.raises(InvalidInputError, match=message):
        Recommendations(**IDS, **{name: np.array(values) for name, values in parts.items()})


def test_scores_of_any_type_put_the_highest_first():
    for scores in ([0, 255], [0, 2**64 - 1]):  # of which minus the lowest is the lowest again
        kind = np.uint8 if scores[1] == 255 else np.uint64
        lists = Recommendations.from_arrays(np.array([[5, 7]]), np.array([scores], dtype=kind))
        assert lists.to_polars()["item_id"].to_list() == [7, 5], kind
    lists = Recommendations.from_arrays(np.array([[5, 7]]), np.array([[-128, 127]], dtype=np.int8))
    assert lists.to_polars()["item_id"].to_list() == [7, 5]
    near = {"user_id": [1, 1], "item_id": [5, 7], "score": [2**53, 2**53 + 1]}  # one number in float64
    assert Recommendations.from_frame(pl.DataFrame(near)).to_polars()["item_id"].to_list() == [7, 5]


@pytest.mark.parametrize("k", [0, -1, 1.5])
def test_the_first_of_a_list_are_one_at_least(k):
    with pytest.raises(InvalidInputError, match="k="):
        Recommendations.from_arrays(np.array([[5, 7]])).head(k)


@pytest.mark.parametrize("ranks", [[1, 1], [1, 3], [0, 1], [1.5, 1]])
def test_ranks_are_refused_as_in_an_audit(ranks):
    with pytest.raises(InvalidInputError, match=r"lists has ranks that"):
        Recommendations.from_frame(pl.DataFrame({"user_id": [4, 4], "item_id": [5, 7], "rank": ranks}))


@pytest.mark.parametrize("stem", ["rank_{}", "Item {}", "top{}"])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("kind", [pl.DataFrame, pd.DataFrame])
def test_a_column_for_each_rank(stem, first, kind):
    columns = {stem.format(first + place): items for place, items in enumerate([[7, 5], [6, 7], [9, None]])}
    lists = Recommendations.from_frame(kind({**dict(reversed(columns.items())), "user": ["ann", "bob"]}))
    assert lists.to_polars().rows() == [
        ("ann", 7, 1), ("ann", 6, 2), ("ann", 9, 3), ("bob", 5, 1), ("bob", 7, 2)
    ]  # fmt: skip


@pytest.mark.parametrize("names", [("rank_1", "rank_3"), ("1", "2"), ("rank_2", "rank_3"), ("f1", "f2")])
def test_other_numbered_columns_are_no_ranks(names):
    with pytest.raises(MissingColumnError, match="no column 'item_id'"):
        Recommendations.from_frame(pl.DataFrame({"user": ["ann"], names[0]: [7], names[1]: [6]}))


def test_numbered_columns_beside_items_are_let_alone():
    lists = pl.DataFrame({"user": ["ann", "ann"], "item": [7, 6], "item_1": [1, 2], "item_2": [3, 4], "rank": [2, 1]})
    assert Recommendations.from_frame(lists).to_polars().rows() == [("ann", 6, 1), ("ann", 7, 2)]
