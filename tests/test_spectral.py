from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings, strategies as st

from headtail import _factors
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.spectral import (
    MemoryBound,
    Spectrum,
    data_spectrum,
    fit_power_law,
    memory_bound,
    memory_bound_power_law,
    spectrum,
)

torch = pytest.importorskip("torch")

DATA = Path(__file__).parents[2] / "shared" / "data"


def factors(n=40, m=30, d=6, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)).astype(dtype), (rng.standard_normal((m, d)) + 0.5).astype(dtype)


def read(name):
    path = DATA / name / "interactions.parquet"
    if not path.exists():
        pytest.skip(f"the data set {name} is not here")
    return pl.read_parquet(path)


# -- singular values and vectors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 30, 6), (5, 30, 6), (40, 4, 9), (3, 3, 3), (1, 1, 1), (7, 1, 2)])
def test_equals_the_dense_decomposition(shape):
    queries, items = factors(*shape)
    popularity = np.arange(1.0, shape[1] + 1)
    found = spectrum(queries, items, popularity=popularity)
    u, sigma, vt = np.linalg.svd(queries @ items.T, full_matrices=False)
    r = min(shape)
    assert found.sigma.shape == (r,)
    np.testing.assert_allclose(found.sigma, sigma[:r], rtol=1e-9)
    cosines = np.abs(vt[:r] @ popularity) / np.linalg.norm(popularity)
    np.testing.assert_allclose(found.alignment, cosines, atol=1e-7)
    for k in range(r):
        np.testing.assert_allclose(np.abs(found.left(k)), np.abs(u[:, k]), atol=1e-7)
        np.testing.assert_allclose(np.abs(found.right(k)), np.abs(vt[k]), atol=1e-7)
        assert found.right(k) @ popularity >= 0
    np.testing.assert_allclose(found.energy.sum(), 1)


def test_vectors_rebuild_the_scores():
    queries, items = factors()
    found = spectrum(queries, items)
    scores = sum(found.sigma[k] * np.outer(found.left(k), found.right(k)) for k in range(6))
    np.testing.assert_allclose(scores, queries @ items.T, atol=1e-8)
    assert found.alignment is None
    assert all(found.right(k).sum() >= 0 for k in range(6))


def test_rank_deficient_factors_give_exact_zeros():
    rng = np.random.default_rng(1)
    queries = rng.standard_normal((50, 3)) @ rng.standard_normal((3, 8))
    items = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 8))
    found = spectrum(queries, items, popularity=np.ones(40))
    sigma = np.linalg.svd(queries @ items.T)[1]
    np.testing.assert_allclose(found.sigma[:3], sigma[:3], rtol=1e-9)
    assert (found.sigma[3:] == 0).all() and found.rank == 3
    assert np.isnan(found.alignment[3:]).all() and np.isfinite(found.alignment[:3]).all()
    assert found.to_dict()["directions"][5]["alignment"] is None
    with pytest.raises(InvalidInputError, match=r"singular value 0.*rank is 3"):
        found.right(4)


def test_zero_factors():
    found = spectrum(np.zeros((3, 2)), np.ones((4, 2)), popularity=[1, 0, 0, 0])
    assert found.rank == 0 and (found.energy == 0).all()


def test_columns_of_very_different_units():
    queries, items = factors()
    units = 10.0 ** np.arange(-9, 9, 3)
    found = spectrum(queries * units, items / units)
    np.testing.assert_allclose(found.sigma, spectrum(queries, items).sigma, rtol=1e-8)


def test_blocks_do_not_matter(monkeypatch):
    queries, items = factors()
    whole = spectrum(queries, items, popularity=np.arange(30))
    monkeypatch.setattr(_factors, "_BLOCK_ELEMENTS", 20)
    parts = spectrum(queries, items, popularity=np.arange(30))
    np.testing.assert_allclose(parts.sigma, whole.sigma)
    np.testing.assert_allclose(parts.alignment, whole.alignment)
    np.testing.assert_allclose(parts.right(2), whole.right(2), atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_sums_run_in_float64(dtype):
    queries, items = factors()
    queries, items = (queries * 4).astype(dtype), (items * 4).astype(dtype)
    expected = np.linalg.svd(queries.astype(float) @ items.astype(float).T)[1][:6]
    np.testing.assert_allclose(spectrum(queries, items).sigma, expected, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_tensors(dtype):
    queries, items = (torch.tensor(f).to(dtype).requires_grad_() for f in factors())
    found = spectrum(queries, items, popularity=torch.arange(30))
    expected = spectrum(queries.detach().double().numpy(), items.detach().double().numpy(), popularity=np.arange(30))
    np.testing.assert_allclose(found.sigma, expected.sigma)
    np.testing.assert_allclose(found.alignment, expected.alignment)
    np.testing.assert_allclose(found.left(1), expected.left(1))


class OnDevice(torch.Tensor):
    """A CPU tensor that says it is elsewhere, to run the code for CUDA; turning it into an array by numpy() fails."""

    is_cuda = True

    def numpy(self, *, force=False):
        if self.ndim == 2 and self.shape[0] > 6:
            raise AssertionError("a matrix with as many rows as users or items was copied")
        return torch.Tensor.numpy(self.as_subclass(torch.Tensor), force=force)


def test_products_run_where_the_tensors_are():
    queries, items = factors()
    found = spectrum(*(torch.tensor(f).as_subclass(OnDevice) for f in (queries, items)), popularity=np.arange(30))
    expected = spectrum(queries, items, popularity=np.arange(30))
    np.testing.assert_allclose(found.sigma, expected.sigma)
    np.testing.assert_allclose(found.alignment, expected.alignment)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    queries, items = factors(dtype=np.float32)
    on = [torch.tensor(f, device="cuda") for f in (queries, items)]
    found, expected = spectrum(*on, popularity=np.arange(30)), spectrum(queries, items, popularity=np.arange(30))
    np.testing.assert_allclose(found.sigma, expected.sigma)
    np.testing.assert_allclose(found.right(0), expected.right(0))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 6), st.integers(0, 10**6), st.floats(-6, 6),
)  # fmt: skip
def test_properties(n, m, d, seed, log_scale):
    queries, items = factors(n, m, d, seed)
    popularity = np.random.default_rng(seed).integers(0, 50, m) + 1
    found = spectrum(queries, items, popularity=popularity)
    assert (np.diff(found.sigma) <= 0).all() and (found.sigma >= 0).all()
    known = found.alignment[~np.isnan(found.alignment)]
    assert (known >= 0).all() and (known <= 1).all()
    # The cosines with orthonormal directions: their squares cannot sum above 1.
    assert (known**2).sum() <= 1 + 1e-6
    np.testing.assert_allclose((found.sigma**2).sum(), ((queries @ items.T) ** 2).sum(), rtol=1e-8)
    scaled = spectrum(queries * 10**log_scale, items, popularity=popularity * 3)
    np.testing.assert_allclose(scaled.sigma, found.sigma * 10**log_scale, rtol=1e-6, atol=1e-9 * scaled.sigma[0])
    np.testing.assert_allclose(scaled.alignment[0], found.alignment[0], atol=1e-6)
    order = np.random.default_rng(seed).permutation(m)
    mixed = spectrum(queries, items[order], popularity=popularity[order])
    np.testing.assert_allclose(mixed.sigma, found.sigma, rtol=1e-6, atol=1e-7 * found.sigma[0])


def test_a_popularity_model_is_aligned():
    popularity = np.array([100.0, 50, 20, 3, 1])
    found = spectrum(np.ones((10, 1)), popularity[:, None], popularity=popularity)
    np.testing.assert_allclose(found.alignment, [1.0])
    np.testing.assert_allclose(found.energy, [1.0])


# -- bad input --------------------------------------------------------------------------------------------------------


def test_shapes():
    queries, items = factors()
    with pytest.raises(InvalidInputError, match=r"queries has shape \(40, 6\) and items \(30, 5\)"):
        spectrum(queries, items[:, :5])
    with pytest.raises(InvalidInputError, match=r"queries is an ndarray of shape \(40,\)"):
        spectrum(queries[:, 0], items)
    with pytest.raises(InvalidInputError, match=r"items.*shape \(0, 6\)"):
        spectrum(queries, items[:0])
    with pytest.raises(InvalidInputError, match="dense matrix of real numbers"):
        spectrum(queries.astype(complex), items)
    with pytest.raises(InvalidInputError, match="dense matrix of real numbers"):
        spectrum(sp.csr_array(queries), items)
    with pytest.raises(InvalidInputError, match="dense matrix of real numbers"):
        spectrum(torch.tensor(queries).to_sparse(), torch.tensor(items))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_values_that_are_not_finite_are_found(value, kind, monkeypatch):
    monkeypatch.setattr(_factors, "_BLOCK_ELEMENTS", 60)
    queries, items = factors()
    items[27, 3] = value
    with pytest.raises(InvalidInputError, match=r"items holds -?(nan|inf) at row 27, column 3"):
        spectrum(kind(queries), kind(items))
    with pytest.raises(InvalidInputError, match="queries holds"):
        spectrum(kind(items), kind(queries))


def test_overflow():
    queries, items = factors()
    with pytest.raises(InvalidInputError, match="too large to square"):
        spectrum(queries * 1e200, items)


@pytest.mark.parametrize(
    ("popularity", "message"),
    [
        (np.ones(29), r"popularity has shape \(29,\).*each of the 30 items"),
        (np.zeros(30), "0 for every item"),
        (np.r_[np.ones(29), -1], "popularity is -1.0 at item 29"),
        (np.r_[np.ones(29), np.nan], "popularity holds 1 value that is not finite"),
        (["a"] * 30, "type <U1"),
    ],
)
def test_popularity(popularity, message):
    with pytest.raises(InvalidInputError, match=message):
        spectrum(*factors(), popularity=popularity)


def test_direction_out_of_range():
    found = spectrum(*factors())
    with pytest.raises(InvalidInputError, match="k=6 is out of range"):
        found.left(6)
    with pytest.raises(InvalidInputError, match="k=-1"):
        found.right(-1)


# -- the data matrix --------------------------------------------------------------------------------------------------


def test_data_spectrum_equals_the_dense_decomposition():
    rng = np.random.default_rng(0)
    matrix = sp.csr_array((rng.random((60, 40)) < np.linspace(0.6, 0.02, 40)).astype(float))
    _, sigma, vt = np.linalg.svd(matrix.toarray())
    r = matrix.sum(axis=0)
    for k in (3, 40, 100):
        found = data_spectrum(matrix, k=k)
        kept = min(k, 40)
        np.testing.assert_allclose(found.sigma, sigma[:kept], rtol=1e-8)
        np.testing.assert_allclose(found.energy, sigma[:kept] ** 2 / matrix.sum(), rtol=1e-8)
        np.testing.assert_allclose(found.alignment[0], abs(vt[0] @ r) / np.linalg.norm(r), rtol=1e-8)
    np.testing.assert_array_equal(data_spectrum(matrix, 3).sigma, data_spectrum(matrix, 3).sigma)


def test_data_spectrum_takes_interactions():
    frame = pl.DataFrame({"user": [0, 0, 1, 1, 2], "item": [0, 1, 0, 2, 0]})
    interactions = Interactions.from_frame(frame)
    found = data_spectrum(interactions, k=2)
    for same in (interactions.matrix, frame):
        np.testing.assert_allclose(found.sigma, data_spectrum(same, k=2).sigma)
    np.testing.assert_array_equal(found.popularity, [3, 1, 1])


def test_data_spectrum_of_doubled_and_stored_zero_entries_is_that_of_their_sum():
    indices, values = np.array([0, 0, 1, 2, 1, 2]), np.array([1.0, 1.0, 0.0, 1.0, 3.0, 1.0])
    given = sp.csr_array((values, indices, np.array([0, 3, 6])), shape=(2, 3))
    found, expected = data_spectrum(given, k=2), data_spectrum(sp.csr_array(given.toarray()), k=2)
    np.testing.assert_allclose(found.sigma, expected.sigma)
    assert found.total_energy == pytest.approx(expected.total_energy)
    assert given.nnz == 6  # the caller's own stays as it is


def test_data_spectrum_refuses():
    with pytest.raises(InvalidInputError, match="data is a list"):
        data_spectrum([[1, 0]])
    with pytest.raises(InvalidInputError, match="no interactions"):
        data_spectrum(sp.csr_array((3, 4)))
    with pytest.raises(InvalidInputError, match="data holds 1 value that is not finite"):
        data_spectrum(sp.csr_array([[1.0, np.nan]]))
    with pytest.raises(InvalidInputError, match="k=0"):
        data_spectrum(sp.csr_array([[1.0]]), k=0)


@pytest.mark.parametrize(
    ("name", "sigma", "cosine"), [("ml-1m", [403.9, 138.1, 121.8], 0.9863), ("coat", [12.0, 9.2, 6.9], 0.8686)]
)
def test_published_data_sets(name, sigma, cosine):
    frame = read(name)
    if name == "ml-1m":
        train = frame.filter(pl.col("resn_split") == "train")
    else:
        train = frame.filter((pl.col("split") == "train") & (pl.col("rating") >= 4))
    found = data_spectrum(Interactions.from_frame(train.select("user_id", "item_id")), k=3)
    np.testing.assert_allclose(found.sigma, sigma, atol=0.06)
    assert found.alignment[0] == pytest.approx(cosine, abs=6e-5)
    assert found.bound == MemoryBound(None, "says nothing")


# -- power law and bounds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.3])
def test_power_law_is_recovered(exponent):
    popularity = 1e6 * np.arange(1.0, 501) ** -exponent
    rng = np.random.default_rng(0)
    law = fit_power_law(np.concatenate([rng.permutation(popularity), np.zeros(20)]))
    assert law.exponent == pytest.approx(exponent, abs=1e-9)
    assert law.scale == pytest.approx(1e6)
    assert law.r_squared == pytest.approx(1)
    assert (law.n_items, law.n_zero) == (500, 20)


def test_power_law_goodness_falls_for_another_shape():
    linear = fit_power_law(np.arange(1, 200))
    assert linear.r_squared < 0.9
    with pytest.raises(InvalidInputError, match="2 items with interactions"):
        fit_power_law([3, 2, 0])


def power_law_matrix(exponent, n_users=4000, n_items=300, r_max=3000, seed=0):
    """Zeros and ones whose columns sum to floor(r_max i^-a), the users of each item drawn at random."""
    rng = np.random.default_rng(seed)
    counts = np.floor(r_max * np.arange(1, n_items + 1.0) ** -exponent).astype(int)
    counts = counts[counts > 0]
    rows = np.concatenate([rng.choice(n_users, c, replace=False) for c in counts])
    columns = np.repeat(np.arange(len(counts)), counts)
    return sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n_users, len(counts))), counts


@pytest.mark.parametrize("exponent", [1.8, 2, 2.5, 3, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_bounds_hold_on_power_law_matrices(exponent, seed):
    matrix, counts = power_law_matrix(exponent, seed=seed)
    found = data_spectrum(matrix, k=2)
    cosine = found.alignment[0]
    sigma_1 = float(found.sigma[0])
    corollary = memory_bound_power_law(exponent)
    theorem = memory_bound_power_law(exponent, sigma_1=sigma_1, r_max=int(counts[0]))
    free = memory_bound(sigma_1, counts)
    for bound in (corollary, theorem, free):
        assert bound.status == "holds"
        assert 0 < bound.value <= cosine
    # The theorem knows sigma_1, and the distribution-free form the very popularity: each is at least as tight.
    assert corollary.value <= theorem.value + 1e-12 <= free.value + 2e-12


def test_corollary_by_hand():
    values = [memory_bound_power_law(a).value for a in (2, 2.5, 3, 4, 5)]
    np.testing.assert_allclose(values, [0.573, 0.797, 0.886, 0.956, 0.981], atol=5e-4)
    assert memory_bound_power_law(1.72).status == "says nothing"
    assert memory_bound_power_law(1.74).status == "holds"
    assert memory_bound_power_law(0.9).status == "says nothing"


def test_bound_by_hand():
    # Two items shared by no users: Y'Y is diagonal with 9 and 4, q_1 the first axis, cos = 9 / sqrt(97).
    found = memory_bound(3.0, [9, 4])
    assert found.value == pytest.approx(9 / np.sqrt(97) * np.sqrt(1 - 4 / 9))
    assert memory_bound(3.0, [9, 8, 2]).status == "says nothing"
    assert str(memory_bound(3.0, [9, 8, 2])) == "says nothing"
    assert memory_bound(30.0, [9, 4]).status == "not applicable"
    assert memory_bound(0.3, [9, 4]).status == "not applicable"


def test_bounds_of_scores_on_another_scale_do_not_apply():
    matrix, counts = power_law_matrix(2.5)
    data = data_spectrum(matrix, k=5)
    assert data.bound.status == data.bound_power_law.status == "holds"
    scaled = spectrum(data.queries * 100, data.items, popularity=counts)
    assert scaled.bound.status == scaled.bound_power_law.status == "not applicable"
    assert spectrum(data.queries, data.items).bound is None


def test_bounds_refuse():
    with pytest.raises(InvalidInputError, match=r"give both, or none"):
        memory_bound_power_law(2, sigma_1=3.0)
    with pytest.raises(InvalidInputError, match="sigma_1=-1"):
        memory_bound(-1.0, [1])
    with pytest.raises(InvalidInputError, match="exponent=nan"):
        memory_bound_power_law(np.nan)


# -- the result -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("popularity", [None, np.r_[np.arange(28) + 1.0, 0, 0], np.r_[1.0, 1, np.zeros(28)]])
def test_result_shows_itself(popularity):
    found = spectrum(*factors(), popularity=popularity)
    assert isinstance(found, Spectrum)
    assert found.to_polars().shape == (6, 4)
    payload = found.to_dict()
    assert len(payload["directions"]) == 6
    assert payload["directions"][0]["sigma"] == pytest.approx(found.sigma[0])
    text = found.report().to_markdown()
    assert "energy" in text
    assert ("alignment" in text.lower()) and (("R²" in text) == (popularity is not None and popularity[5] > 0))
    assert "Spectrum" in repr(found)


def test_report_of_zero_scores():
    found = spectrum(np.zeros((3, 2)), np.ones((4, 2)), popularity=[1, 0, 0, 0])
    assert "0 directions" not in found.report().lede
    assert found.report().to_markdown()
