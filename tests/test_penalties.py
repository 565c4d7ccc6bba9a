"""ReSN against naive float64 references, its bound, its scale and its edges."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from headtail import penalties
from headtail.exceptions import InvalidInputError
from headtail.penalties import LogDet, ReSN

FORMS = ("linear", "sigmoid")


def factors(seed=0, b=5, i=7, d=3, dtype=torch.float64, shift=0.3):
    rng = np.random.default_rng(seed)
    queries = torch.tensor(rng.normal(shift, 1, (b, d)), dtype=dtype, requires_grad=True)
    items = torch.tensor(rng.normal(shift, 1, (i, d)), dtype=dtype, requires_grad=True)
    return queries, items


def naive(form, queries, items):
    """The formula, with the whole score matrix."""
    scores = queries @ items.T
    if form == "sigmoid":
        scores = 1 / (1 + torch.exp(-scores))
    direction = scores.T @ torch.ones(len(queries), dtype=scores.dtype)
    if form == "sigmoid":
        direction = direction.detach()
    return (scores @ direction).pow(2).sum() / direction.pow(2).sum()


@pytest.mark.parametrize("form", FORMS)
def test_values_and_gradients_equal_the_naive_formula(form):
    queries, items = factors()
    value = ReSN(0.7, form)(queries, items)
    expected = 0.7 * naive(form, queries, items) / len(queries)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    for ours, theirs in zip(
        torch.autograd.grad(value, (queries, items)), torch.autograd.grad(expected, (queries, items)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "penalty", [*map(partial(ReSN, 0.7), FORMS), *map(partial(ReSN, 0.7, distributed=True), FORMS), LogDet(0.7)]
)
def test_torch_func_differentiates_and_batches(penalty, monkeypatch):
    monkeypatch.setattr(penalties, "all_sum", lambda values: values + 1)  # as of another process
    queries, items = factors(b=8)
    expected = torch.autograd.grad(penalty(queries, items), (queries, items))
    queries, items = queries.detach(), items.detach()
    for ours, theirs in zip(torch.func.grad(penalty, argnums=(0, 1))(queries, items), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    both = torch.stack([queries, 2 * queries])
    found = torch.vmap(penalty, in_dims=(0, None))(both, items)
    torch.testing.assert_close(found, torch.stack([penalty(part, items) for part in both]))


def test_linear_gradient_is_the_numerical_one():
    assert torch.autograd.gradcheck(ReSN(0.7), factors())


def test_sigmoid_gradient_is_the_numerical_one_with_the_direction_held():
    queries, items = factors()
    with torch.no_grad():
        direction = torch.sigmoid(queries @ items.T).sum(dim=0)
        direction /= direction.norm()
    held = lambda q, v: (torch.sigmoid(q @ v.T) @ direction).square().sum()  # noqa: E731
    assert torch.autograd.gradcheck(held, (queries, items))
    ours = torch.autograd.grad(ReSN(1, "sigmoid").rayleigh(queries, items), (queries, items))
    for a, b in zip(ours, torch.autograd.grad(held(queries, items), (queries, items)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_blocks_change_neither_value_nor_gradient(monkeypatch, block):
    queries, items = factors()
    whole = ReSN(1.0, "sigmoid")(queries, items)
    expected = torch.autograd.grad(whole, (queries, items))
    monkeypatch.setattr(penalties, "_BLOCK", block * len(items))
    parts = ReSN(1.0, "sigmoid")(queries, items)
    torch.testing.assert_close(parts, whole)
    for ours, theirs in zip(torch.autograd.grad(parts, (queries, items)), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_worked_example():
    # S = [[1, 0], [1, 2]], r' = (2, 2), u = (1, 1) / sqrt 2, S u = (1, 3) / sqrt 2.
    queries, items = torch.tensor([[1.0, 0.0], [1.0, 2.0]]), torch.eye(2)
    penalty = ReSN(0.1)
    assert penalty.rayleigh(queries, items).item() == pytest.approx(5)
    assert penalty(queries, items).item() == pytest.approx(0.1 * 5 / 2)
    assert penalty.sigma1_squared(queries, items).item() == pytest.approx(3 + 5**0.5)


@pytest.mark.parametrize("form", FORMS)
@given(seed=st.integers(0, 2**32 - 1), b=st.integers(1, 9), i=st.integers(1, 9), d=st.integers(1, 4))
def test_never_above_the_squared_spectral_norm(form, seed, b, i, d):
    queries, items = factors(seed, b, i, d, shift=0)
    penalty = ReSN(1.0, form)
    bound = penalty.sigma1_squared(queries, items).item()
    assert 0 <= penalty.rayleigh(queries, items).item() <= bound * (1 + 1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_equals_the_bound_for_scores_of_rank_one(form):
    queries, items = torch.full((4, 1), 2.0), torch.full((3, 1), 0.5)
    penalty = ReSN(1.0, form)
    torch.testing.assert_close(penalty.rayleigh(queries, items).double(), penalty.sigma1_squared(queries, items))


@given(seed=st.integers(0, 2**32 - 1), a=st.floats(0.01, 100), c=st.floats(0.01, 100))
def test_linear_form_is_homogeneous_of_degree_two_in_each_factor(seed, a, c):
    queries, items = factors(seed)
    penalty = ReSN(1.0)
    torch.testing.assert_close(
        penalty(a * queries, c * items), a**2 * c**2 * penalty(queries, items), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("form", FORMS)
def test_is_a_mean_over_users(form):
    queries, items = factors()
    penalty = ReSN(1.0, form)
    torch.testing.assert_close(penalty(torch.cat([queries, queries]), items), penalty(queries, items))


@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e8])
def test_float32_of_any_scale(scale):
    queries, items = factors(dtype=torch.float32)
    value = ReSN(1.0)(queries * scale, items)
    expected = naive("linear", queries.double(), items.double()) / len(queries) * scale**2
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_without_a_direction_it_is_zero_with_a_zero_gradient():
    # The users cancel: Q^T 1 = 0.
    queries = torch.tensor([[1.0, 2.0], [-1.0, -2.0]], requires_grad=True)
    items = torch.ones(3, 2, requires_grad=True)
    value = ReSN(1.0)(queries, items)
    value.backward()
    assert value.item() == 0
    assert not queries.grad.any()
    assert not items.grad.any()


def test_gradient_descent_lowers_it():
    queries, items = factors()
    penalty = ReSN(1.0)
    value = penalty(queries, items)
    steps = torch.autograd.grad(value, (queries, items))
    assert penalty(queries - 1e-3 * steps[0], items - 1e-3 * steps[1]) < value


@pytest.mark.parametrize("weight", [-1e-9, float("nan"), float("inf"), "much"])
def test_weights_out_of_range_are_refused(weight):
    with pytest.raises(InvalidInputError, match="weight="):
        ReSN(weight)


def test_weight_zero_is_allowed():
    assert ReSN(0)(*factors()).item() == 0


def test_bad_input_is_refused():
    queries, items = factors()
    with pytest.raises(InvalidInputError, match="form='cubic' is not known"):
        ReSN(1.0, "cubic")
    with pytest.raises(InvalidInputError, match=r"queries is a Tensor of shape \(0, 3\)"):
        ReSN(1.0)(queries[:0], items)
    with pytest.raises(InvalidInputError, match=r"items is a Tensor of shape \(7,\)"):
        ReSN(1.0)(queries, items[:, 0])
    with pytest.raises(InvalidInputError, match=r"queries has shape \(.*, 2\) and items \(.*, 3\)"):
        ReSN(1.0)(queries[:, :2], items)
    with pytest.raises(InvalidInputError, match=r"queries is a Tensor .* type torch\.complex128"):
        ReSN(1.0)(queries + 0j, items)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("form", FORMS)
def test_cuda_equals_cpu(form):
    queries, items = factors(b=64, i=128, d=16, dtype=torch.float32)
    value = ReSN(1.0, form)(queries.cuda(), items.cuda())
    torch.testing.assert_close(value.cpu(), ReSN(1.0, form)(queries, items), rtol=1e-4, atol=0)
