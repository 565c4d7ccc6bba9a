"""Every door that takes factors takes them in any layout and type, and names what is no matrix of numbers."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

import headtail as ht
from headtail import _factors
from headtail._factors import as_matrix, to_numpy
from headtail.exceptions import InvalidInputError

RNG = np.random.default_rng(0)
QUERIES, ITEMS = RNG.integers(-4, 5, (20, 4)).astype(float), RNG.integers(-4, 5, (15, 4)).astype(float)
POPULARITY = np.arange(1, 16)


def product(vectors):
    queries, items = (to_numpy(matrix).astype(np.float64) for matrix in vectors)
    return queries @ items.T


DOORS = {
    "spectrum": lambda q, v, p=POPULARITY: ht.spectrum(q, v, popularity=p).sigma,
    "shrink": lambda q, v, p=POPULARITY: product(ht.shrink(q, v, strength=0.5, popularity=p)),
    "shrink a direction": lambda q, v: product(ht.shrink(q, v, strength=0.5)),
    "tilt": lambda q, v, p=POPULARITY: product(
        ht.tilt(q, v, strength=0.01, k=3, welfare="popularity", popularity=p, rounds=50)
    ),
    "penalize_popularity": lambda q, v, p=POPULARITY: product(ht.penalize_popularity(q, v, p, strength=0.3)),
}
LAYOUTS = {
    "reversed": lambda m: np.flip(np.flip(m, -1).copy(), -1),
    "strided": lambda m: np.repeat(m, 2, axis=0)[::2],
    "big-endian": lambda m: m.astype(">f8"),
    "big-endian integers": lambda m: m.astype(">i4"),
    "long double": lambda m: m.astype(np.longdouble),
    "float16": lambda m: m.astype(np.float16),
    "lists": lambda m: m.tolist(),
    "bfloat16": lambda m: torch.tensor(m).bfloat16(),
    "with gradient": lambda m: torch.tensor(m).double().requires_grad_(),
}
WRONG = {
    "text": lambda m: m.astype(str),
    "objects": lambda m: m.astype(object),
    "None": lambda m: None,
    "complex": lambda m: m + 1j,
    "times": lambda m: m.astype("M8[s]"),
    "ragged": lambda m: [[1.0], [1.0, 2.0]],
    "masked": lambda m: np.ma.masked_array(m, m == m.flat[0]),
    "sparse": lambda m: sp.coo_array(m),
    "without data": lambda m: torch.empty(m.shape, device="meta"),
}


@pytest.mark.filterwarnings("ignore:tilt")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("door", DOORS)
def test_layouts_and_types(door, layout):
    change = LAYOUTS[layout]
    expected = DOORS[door](QUERIES, ITEMS)
    tolerance = {"rtol": 2e-2, "atol": 0.1} if layout in ("float16", "bfloat16") else {"rtol": 1e-5, "atol": 1e-6}
    for queries, items in ((change(QUERIES), change(ITEMS)), (QUERIES, change(ITEMS)), (change(QUERIES), ITEMS)):
        np.testing.assert_allclose(DOORS[door](queries, items), expected, **tolerance)
    if door != "shrink a direction":
        np.testing.assert_allclose(DOORS[door](QUERIES, ITEMS, change(POPULARITY)), expected, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:tilt")
@pytest.mark.parametrize("door", DOORS)
def test_embeddings_of_torch_are_their_weights(door):
    queries, items = (torch.nn.Embedding.from_pretrained(torch.tensor(m), freeze=False) for m in (QUERIES, ITEMS))
    np.testing.assert_allclose(DOORS[door](queries, items), DOORS[door](QUERIES, ITEMS), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_matrix_of_numbers_is_named(door, kind):
    told = {"None": "came in place of vectors", "masked": "items has 9 masked values"}
    named = told.get(kind, r"items is an? .*; give a dense matrix of real numbers")
    with pytest.raises(InvalidInputError, match=named):
        DOORS[door](QUERIES, WRONG[kind](ITEMS))
    if door != "shrink a direction" and kind != "None":  # there is a way without popularity
        with pytest.raises(InvalidInputError, match=r"popularity (has|is a matrix of) (shape|\d+ masked)"):
            DOORS[door](QUERIES, ITEMS, WRONG[kind](POPULARITY))


def test_counts_that_float64_cannot_tell_apart_are_refused():
    with pytest.raises(InvalidInputError, match=r"popularity is 1e\+300 at item 0, which counts nothing real"):
        ht.spectrum(QUERIES, ITEMS, popularity=np.full(15, 1e300))


@pytest.mark.parametrize(
    ("directions", "message"), [(1.5, "not a whole number"), ([], "is empty"), ("a", "not a whole")]
)
def test_directions_that_are_none_are_refused(directions, message):
    with pytest.raises(InvalidInputError, match=message):
        ht.shrink(QUERIES, ITEMS, strength=0.5, directions=directions)


def test_tensors_that_negate_lazily_or_have_8_bits_are_read():
    values = torch.tensor([[1.0, -2.0], [0.5, 4.0]])
    lazily = torch.complex(values, -values).conj().imag  # a view that negates when it is read
    assert lazily.is_neg()
    assert np.array_equal(to_numpy(lazily), values.numpy())
    eight = as_matrix("queries", values.to(torch.float8_e4m3fn))
    assert torch.equal(eight, values)


@pytest.mark.parametrize("n", [1, 63, 64, 1000])
@pytest.mark.parametrize("width", [None, 1, 64, 600])
def test_product_in_stacks_is_the_product(n, width):
    rng = np.random.default_rng(0)
    block, small = rng.normal(size=(n, 64)), rng.normal(size=64 if width is None else (64, width))
    np.testing.assert_allclose(_factors.product(block, small), block @ small, rtol=1e-12, atol=1e-12)
