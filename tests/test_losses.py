"""Losses against hand-worked values, naive float64 formulas and numerical gradients."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headtail.exceptions import InvalidInputError
from headtail.losses import bce, bpr, mse, sampled_softmax

ALL = {
    "bpr": bpr,
    "bce": bce,
    "mse": mse,
    "mse_sigmoid": partial(mse, link="sigmoid"),
    "sampled_softmax": sampled_softmax,
    "sampled_softmax_t": partial(sampled_softmax, temperature=0.2),
}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def naive(name, positive, negative):
    """One pair at a time, straight from the formulas."""
    b, n = negative.shape
    terms = []
    for i in range(b):
        p, row = float(positive[i]), [float(x) for x in negative[i]]
        if name == "bpr":
            terms.append(sum(-math.log(sigmoid(p - x)) for x in row) / n)
        elif name == "bce":
            terms.append((-math.log(sigmoid(p)) - sum(math.log(1 - sigmoid(x)) for x in row)) / (1 + n))
        elif name == "mse_sigmoid":
            terms.append(((1 - sigmoid(p)) ** 2 + sum(sigmoid(x) ** 2 for x in row)) / (1 + n))
        elif name == "mse":
            terms.append(((1 - p) ** 2 + sum(x**2 for x in row)) / (1 + n))
        else:
            t = 0.2 if name.endswith("_t") else 1.0
            terms.append(-math.log(math.exp(p / t) / sum(math.exp(x / t) for x in [p, *row])))
    return sum(terms) / b


@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients_equal_the_naive_formula(name):
    rng = np.random.default_rng(0)
    positive = torch.tensor(rng.normal(size=7), requires_grad=True)
    negative = torch.tensor(rng.normal(size=(7, 3)), requires_grad=True)
    expected = naive(name, positive.detach(), negative.detach())
    assert ALL[name](positive, negative).item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(ALL[name], (positive, negative))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (bpr, math.log(1 + math.exp(-1))),
        (bce, (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2),
        (partial(mse, link="sigmoid"), (sigmoid(-2) ** 2 + sigmoid(1) ** 2) / 2),
        (mse, (1 + 1) / 2),
        (sampled_softmax, math.log(1 + math.exp(-1))),
    ],
)
def test_worked_example(loss, expected):
    assert loss(torch.tensor([2.0]), torch.tensor([[1.0]])).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_scores_stay_finite(name, size):
    positive = torch.tensor([size, 0.0], requires_grad=True)
    negative = torch.tensor([[-size, 0.0], [size, -size]], requires_grad=True)
    loss = ALL[name](positive, negative)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(positive.grad).all()
    assert torch.isfinite(negative.grad).all()


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32 - 1), lift=st.floats(0.01, 0.5))
def test_a_step_down_the_gradient_lowers_the_loss(name, seed, lift):
    """Raising positives below 1 and lowering negatives above 0 is right for every loss here."""
    rng = np.random.default_rng(seed)
    positive, negative = torch.tensor(rng.uniform(0, 0.5, 4)), torch.tensor(rng.uniform(0.5, 1, (4, 2)))
    assert ALL[name](positive + lift, negative - lift) < ALL[name](positive, negative)


def test_sampled_softmax_with_one_negative_is_bpr():
    positive, negative = torch.tensor([0.3, -1.0]), torch.tensor([[0.1], [0.4]])
    torch.testing.assert_close(sampled_softmax(positive, negative), bpr(positive, negative))


@pytest.mark.parametrize("loss", [bpr, bce, mse, sampled_softmax])
@pytest.mark.parametrize(
    ("positive", "negative"), [((3,), (3,)), ((3,), (2, 1)), ((3, 1), (3, 1)), ((3,), (3, 0)), ((0,), (0, 1))]
)
def test_wrong_shapes_are_refused(loss, positive, negative):
    with pytest.raises(InvalidInputError, match=r"give \(B,\) and \(B, n\)"):
        loss(torch.zeros(positive), torch.zeros(negative))


def test_wrong_keywords_are_refused():
    scores = torch.zeros(1), torch.zeros(1, 1)
    with pytest.raises(InvalidInputError, match="link='relu' is not known"):
        mse(*scores, link="relu")
    with pytest.raises(InvalidInputError, match="temperature=0 is out of range"):
        sampled_softmax(*scores, temperature=0)
