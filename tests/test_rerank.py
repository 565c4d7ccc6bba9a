import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtail.data import Recommendations
from headtail.exceptions import InvalidInputError
from headtail.rerank import ipr

POPULARITY = np.array([100, 50, 10, 1, 0])


def lists(items, scores):
    return Recommendations(np.arange(len(items)), np.arange(5), np.arange(len(items)), np.array(items), scores)


def test_by_hand():
    given_ = lists([[0, 1, 2], [3, 0, -1]], np.array([[4.0, 3.0, 2.0], [-1.0, -1.2, np.nan]]))
    found = ipr(given_, POPULARITY, strength=1.0, k=3)
    # Factors 1, 1.5, 1.9 and 1.99.
    assert found.items.tolist() == [[1, 0, 2], [3, 0, -1]]
    np.testing.assert_allclose(found.scores, [[4.5, 4.0, 3.8], [-1 / 1.99, -1.2, np.nan]])


def test_strength_0_shortens():
    given_ = lists([[0, 1, 2]], np.array([[3.0, 2.0, 2.0]]))
    assert ipr(given_, POPULARITY, strength=0, k=2).items.tolist() == [[0, 1]]


@given(st.lists(st.floats(-5, 5), min_size=5, max_size=5), st.floats(0, 2), st.floats(0, 2))
def test_more_strength_never_favors_popular_items(scores, low, high):
    low, high = sorted((low, high))
    order = np.argsort(-np.array(scores), kind="stable")
    given_ = lists([order], np.array([np.array(scores)[order]]))
    means = [POPULARITY[ipr(given_, POPULARITY, strength=s, k=1).items[0]].mean() for s in (low, high)]
    assert means[1] <= means[0] + 1e-9 or np.isclose(*sorted(scores)[-2:], atol=1e-6)


def test_bad_input():
    given_ = lists([[0, 1, 2]], np.array([[3.0, 2.0, 2.0]]))
    with pytest.raises(InvalidInputError, match="have no scores"):
        ipr(lists([[0, 1]], None), POPULARITY, strength=1.0, k=1)
    with pytest.raises(InvalidInputError, match=r"k=10 is out of range; .* at most 3"):
        ipr(given_, POPULARITY, strength=1.0, k=10)
    with pytest.raises(InvalidInputError, match="strength=-1"):
        ipr(given_, POPULARITY, strength=-1, k=2)
    with pytest.raises(InvalidInputError, match="popularity has shape \\(2,\\)"):
        ipr(given_, [1, 2], strength=1, k=2)
