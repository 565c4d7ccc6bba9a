"""LogDet and the zerosum loss against naive float64 references."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from headtail._tensors import as_tensor
from headtail.exceptions import InvalidInputError
from headtail.losses import bpr, zerosum
from headtail.penalties import LogDet, ReSN


def factors(seed=0, b=5, i=7, d=3, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    return tuple(torch.tensor(rng.normal(0.3, 1, (n, d)), dtype=dtype, requires_grad=True) for n in (b, i))


def naive(queries, items):
    total = 0
    for rows in (queries.detach().numpy(), items.detach().numpy()):
        values = np.linalg.svd(rows, compute_uv=False) ** 2 / len(rows)
        values = np.pad(values, (0, rows.shape[1] - len(values)))
        values += 1e-6 * values.mean()
        total += np.log(values.mean()) - np.log(values).mean()
    return 0.7 * total


@given(seed=st.integers(0, 2**32 - 1), b=st.integers(1, 9), d=st.integers(1, 4))
def test_values_equal_the_naive_formula(seed, b, d):
    queries, items = factors(seed, b, 7, d)
    value = LogDet(0.7)(queries, items).item()
    assert value >= 0
    assert value == pytest.approx(naive(queries, items), rel=1e-6, abs=1e-9)


def test_gradients_are_the_numerical_ones():
    assert torch.autograd.gradcheck(LogDet(0.7), factors())


def test_float32_and_gradient_descent():
    queries, items = factors(dtype=torch.float32)
    value = LogDet(0.7)(queries, items)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(naive(queries.double(), items.double()), rel=1e-5)
    steps = torch.autograd.grad(value, (queries, items))
    assert LogDet(0.7)(queries - 1e-3 * steps[0], items - 1e-3 * steps[1]) < value


def test_is_a_mean_over_users():
    queries, items = factors()
    torch.testing.assert_close(LogDet(0.7)(torch.cat([queries, queries]), items), LogDet(0.7)(queries, items))


def test_weight_scales_and_zero_is_allowed():
    queries, items = factors()
    torch.testing.assert_close(LogDet(1.4)(queries, items), 2 * LogDet(0.7)(queries, items))
    assert LogDet(0)(queries, items).item() == 0
    for weight in (-1, float("nan")):
        with pytest.raises(InvalidInputError, match="weight="):
            LogDet(weight)


def test_bad_factors_are_refused():
    queries, items = factors()
    with pytest.raises(InvalidInputError, match=r"queries has shape \(.*, 2\) and items \(.*, 3\)"):
        LogDet(0.7)(queries[:, :2], items)


# -- LogDet ------------------------------------------------------------------------------------------------------------


def test_logdet_is_the_stein_divergence_at_its_best_scale():
    rows = factors(b=9, d=3)[0].detach().numpy()
    gram = rows.T @ rows / len(rows)
    scales = np.exp(np.linspace(-5, 5, 20001))
    divergence = scales * np.trace(gram) - np.log(np.linalg.det(gram)) - 3 * np.log(scales) - 3
    expected = divergence.min() / 3
    even = torch.eye(3, dtype=torch.float64)
    assert LogDet(1.0)(torch.tensor(rows), even).item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(scale=st.floats(1e-12, 1e12), seed=st.integers(0, 2**32 - 1))
def test_logdet_does_not_depend_on_scale_or_rotation(scale, seed):
    queries, items = factors(seed)
    rotation = torch.linalg.qr(torch.tensor(np.random.default_rng(seed).normal(size=(3, 3))))[0]
    torch.testing.assert_close(
        LogDet(1.0)(scale * queries @ rotation, items), LogDet(1.0)(queries, items), rtol=1e-6, atol=1e-9
    )


def test_logdet_of_vectors_on_one_line_is_finite():
    line = torch.ones(5, 4, requires_grad=True)
    value = LogDet(1.0)(line, torch.eye(4))
    assert value.item() == pytest.approx(-3 / 4 * np.log(1e-6) - np.log(4) / 4, rel=1e-3)
    value.backward()
    assert torch.isfinite(line.grad).all()


def test_logdet_of_zeros_is_zero():
    rows = torch.zeros(5, 4, requires_grad=True)
    value = LogDet(1.0)(rows, torch.eye(4))
    value.backward()
    assert value.item() == pytest.approx(0)
    assert not rows.grad.any()


# -- zerosum -----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_zerosum_equals_the_naive_formula(seed, share):
    rng = np.random.default_rng(seed)
    positive, negative = rng.normal(size=4), rng.normal(size=(4, 3))
    sums = -np.log(1 - np.tanh(np.abs(positive[:, None] + negative))).mean()
    pairs = -np.log(1 / (1 + np.exp(negative - positive[:, None]))).mean()
    value = zerosum(torch.tensor(positive), torch.tensor(negative), share=share)
    assert value.item() == pytest.approx((1 - share) * pairs + share * sums)


def test_zerosum_gradient_large_scores_and_ends():
    positive = torch.tensor([0.3, 2.0], dtype=torch.float64, requires_grad=True)
    negative = torch.tensor([[0.5], [-1.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(zerosum, (positive, negative))
    torch.testing.assert_close(zerosum(positive, negative, share=0), bpr(positive, negative))
    assert torch.isfinite(zerosum(torch.tensor([1e4]), torch.tensor([[1e4]])))
    with pytest.raises(InvalidInputError, match=r"share=1\.5"):
        zerosum(positive, negative, share=1.5)


EVERY = {"LogDet": LogDet(0.7), "ReSN": ReSN(0.7), "ReSN sigmoid": ReSN(0.7, "sigmoid")}
KINDS = {
    "arrays": (lambda m: m.detach().numpy(), 1e-12),
    "lists": (lambda m: m.tolist(), 1e-12),
    "reversed arrays": (lambda m: np.flip(np.flip(m.detach().numpy(), 1).copy(), 1), 1e-12),
    "whole numbers": (lambda m: (8 * m.detach()).long(), None),
    "float16": (lambda m: m.half(), 1e-2),
    "bfloat16": (lambda m: m.bfloat16(), 5e-2),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_factors_of_any_kind(name, kind):
    change, rtol = KINDS[kind]
    queries, items = factors(5)
    expected = EVERY[name](queries, items)
    if rtol is None:  # a value of its own
        expected = EVERY[name](change(queries).double(), change(items).double())
        rtol = 1e-5
    for given_ in ((change(queries), change(items)), (change(queries), as_tensor("items", change(items)).double())):
        value = EVERY[name](*given_)
        assert value.dtype in (torch.float32, torch.float64)
        torch.testing.assert_close(value.double(), expected, rtol=rtol, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_autocast_changes_no_value(name):
    found = []
    for on in (False, True):
        queries, items = factors(dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=on):
            value = EVERY[name](queries, items)
            value.backward()
        found.append((value.detach(), queries.grad, items.grad))
    assert torch.equal(found[0][0], found[1][0])
    for ours, theirs in zip(*found, strict=True):  # torch's own backward passes run in 16 bits there
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", EVERY)
def test_gradients_return_in_the_type_of_the_factors(name):
    queries, items = (m.detach().bfloat16().requires_grad_() for m in factors())
    EVERY[name](queries, items).backward()
    assert queries.grad.dtype == items.grad.dtype == torch.bfloat16
