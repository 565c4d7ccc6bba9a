"""The memory effect side by side, and the bound on how many users see the most popular item first."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from headtail.exceptions import InvalidInputError
from headtail.spectral import data_spectrum, memory_effect, spectrum, top_item_bound


def measured_share(queries, items, popularity):
    return float(((queries @ items.T).argmax(axis=1) == np.argmax(popularity)).mean())


def naive_bound(queries, items, popularity):
    """Return the share of users for whom every item passes the inequality, pair by pair."""
    p, sigma, qt = np.linalg.svd(queries @ items.T, full_matrices=False)
    sign = np.sign(qt[0] @ popularity)
    a, b = p * np.sqrt(sigma) * sign, qt.T * np.sqrt(sigma) * sign
    top = int(np.argmax(popularity))
    others = [i for i in range(len(items)) if i != top]
    certain = [
        all(
            u[0] * (b[top, 0] - b[i, 0]) > np.linalg.norm(u[1:]) * np.linalg.norm(b[top, 1:] - b[i, 1:]) for i in others
        )
        for u in a
    ]
    return float(np.mean(certain))


def leaning(seed, n=30, m=8, d=3, lean=4.0):
    """Factors with one strong direction that follows popularity."""
    rng = np.random.default_rng(seed)
    popularity = np.sort(rng.integers(1, 100, m))[::-1] + np.arange(m, 0, -1)
    queries = rng.standard_normal((n, d)) + np.eye(d)[0] * lean
    items = 0.2 * rng.standard_normal((m, d)) + np.outer(popularity / popularity.max(), np.eye(d)[0])
    return queries, items, popularity


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("d", [1, 2, 3])
def test_bound_equals_the_inequality_checked_pair_by_pair(seed, d):
    queries, items, popularity = leaning(seed, d=d)
    found = top_item_bound(spectrum(queries, items, popularity=popularity))
    assert found == pytest.approx(naive_bound(queries, items, popularity))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 30),
    m=st.integers(1, 12),
    d=st.integers(1, 5),
    rank=st.integers(1, 5),
    lean=st.floats(0, 20),
)
def test_bound_is_never_above_the_measured_share(seed, n, m, d, rank, lean):
    queries, items, popularity = leaning(seed, n, m, d, lean)
    if rank < d:  # directions that are not there
        mix = np.random.default_rng(seed).standard_normal((d, rank))
        queries, items = queries @ mix @ mix.T, items
    bound = top_item_bound(spectrum(queries, items, popularity=popularity))
    assert 0 <= bound <= measured_share(queries, items, popularity) + 1e-12


def test_bound_says_something_where_one_direction_is_strong():
    shares = [top_item_bound(spectrum(*f[:2], popularity=f[2])) for f in (leaning(s, lean=12.0) for s in range(20))]
    assert max(shares) > 0.9


def test_bound_grows_with_sigma_1_and_as_directions_are_dropped():
    queries, items, popularity = leaning(1, n=200, d=4, lean=3.0)
    p, sigma, qt = np.linalg.svd(queries @ items.T, full_matrices=False)

    def bound(values):
        r = len(values)
        return top_item_bound(spectrum(p[:, :r] * values, qt[:r].T, popularity=popularity))

    stronger = [bound(sigma[:4] * np.array([factor, 1, 1, 1])) for factor in (1, 3, 10, 100)]
    assert stronger == sorted(stronger) and stronger[0] < stronger[-1]
    lower = [bound(sigma[:r]) for r in (4, 3, 2, 1)]
    assert lower == sorted(lower) and lower[-1] == 1.0


def test_bound_by_hand():
    # Scores 3, 1, 1 for both users, but for a second direction of +-e on the rare items.
    queries, popularity = np.array([[1.0, 1.0], [1.0, -1.0]]), [5, 2, 2]
    small = np.array([[3.0, 0.0], [1.0, 0.5], [1.0, -0.5]])
    assert top_item_bound(spectrum(queries, small, popularity=popularity)) == 1.0
    large = np.array([[3.0, 0.0], [1.0, 2.5], [1.0, -2.5]])
    assert top_item_bound(spectrum(queries, large, popularity=popularity)) == 0.0
    assert measured_share(queries, large, popularity) == 0.0


def test_bound_without_anything_to_say():
    ones = np.ones((4, 1))
    assert top_item_bound(spectrum(ones, np.array([[1.0], [2.0]]), popularity=[9, 1])) == 0.0  # another item is higher
    assert top_item_bound(spectrum(ones, np.array([[2.0], [2.0]]), popularity=[9, 1])) == 0.0  # as high: a tie
    assert top_item_bound(spectrum(ones, np.zeros((2, 1)), popularity=[9, 1])) == 0.0
    with pytest.raises(InvalidInputError, match="no popularity"):
        top_item_bound(spectrum(ones, ones))


# -- side by side -----------------------------------------------------------------------------------------------------


def steep_data():
    """Zeros and ones with a popularity steep enough for the bounds: 64 users of item 0, two of items 1 and 2."""
    rows = np.r_[np.arange(64), [0, 1], [2, 3]]
    columns = np.r_[np.zeros(64, int), [1, 1], [2, 2]]
    import scipy.sparse as sp

    return sp.csr_array((np.ones(68), (rows, columns)), shape=(64, 3))


def test_memory_effect_sets_measured_and_bound_side_by_side():
    data = data_spectrum(steep_data(), k=3)
    rng = np.random.default_rng(0)
    model = spectrum(100 * rng.standard_normal((20, 2)), rng.standard_normal((3, 2)), popularity=[64, 2, 2])
    found = memory_effect({"data": data, "model": model})
    rows = found.to_polars().rows(named=True)
    assert [row["matrix"] for row in rows] == ["data", "model"]
    assert rows[0]["cosine"] == pytest.approx(data.alignment[0]) and rows[0]["energy"] == pytest.approx(data.energy[0])
    assert rows[0]["ratio"] == pytest.approx(data.sigma[0] / data.sigma[1])
    assert float(rows[0]["bound"]) == pytest.approx(data.bound.value, abs=5e-4)
    assert rows[1]["bound"] == rows[1]["bound_power_law"] == "not applicable"
    bars = next(block for block in found.blocks() if getattr(block, "kind", "") == "bar")
    drawn = {(row["matrix"], row["value"]): row["cosine"] for row in bars.rows}
    assert set(drawn) == {("data", "measured"), ("data", "lower bound"), ("model", "measured")}
    assert 0 < drawn["data", "lower bound"] <= drawn["data", "measured"]
    assert "not applicable" in found.report().to_markdown() and "Memory effect" in repr(found)
    assert f"makes up {data.energy[0]:.0%} in data (cosine with popularity 1.00), " in found.report().lede
    assert "a theorem on matrices" not in memory_effect({"model": model}).report().to_markdown()  # nor the column


def test_memory_effect_of_nothing_but_zeros():
    found = memory_effect({"zero": spectrum(np.zeros((3, 2)), np.ones((4, 2)), popularity=[1, 1, 1, 0])})
    assert "bound" not in [column.key for column in found.table().columns]  # it would say nothing
    assert found.to_polars()["cosine"].to_list() == [None]
    assert found.report().to_markdown()


def test_memory_effect_refuses():
    with pytest.raises(InvalidInputError, match="spectra is empty"):
        memory_effect({})
    with pytest.raises(InvalidInputError, match="spectrum of 'MF' has no popularity"):
        memory_effect({"MF": spectrum(np.ones((3, 2)), np.ones((4, 2)))})
