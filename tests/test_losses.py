"""Losses against hand-worked values, naive float64 formulas and numerical gradients."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headtail.exceptions import InvalidInputError
from headtail.losses import bce, bpr, inverse_propensity, mse, sampled_softmax

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


def naive(name, positive, negative, weight=None):
    """One pair at a time, straight from the formulas."""
    b, n = negative.shape
    weight = [1.0] * b if weight is None else weight.tolist()
    terms = []
    for i in range(b):
        p, row = float(positive[i]), [float(x) for x in negative[i]]
        if name == "bpr":
            terms.append(weight[i] * sum(-math.log(sigmoid(p - x)) for x in row) / n)
        elif name == "bce":
            terms.append((-weight[i] * math.log(sigmoid(p)) - sum(math.log(1 - sigmoid(x)) for x in row)) / (1 + n))
        elif name == "mse_sigmoid":
            terms.append((weight[i] * (1 - sigmoid(p)) ** 2 + sum(sigmoid(x) ** 2 for x in row)) / (1 + n))
        elif name == "mse":
            terms.append((weight[i] * (1 - p) ** 2 + sum(x**2 for x in row)) / (1 + n))
        else:
            t = 0.2 if name.endswith("_t") else 1.0
            terms.append(-weight[i] * math.log(math.exp(p / t) / sum(math.exp(x / t) for x in [p, *row])))
    return sum(terms) / b


@pytest.mark.parametrize("name", ALL)
def test_values_and_gradients_equal_the_naive_formula(name):
    rng = np.random.default_rng(0)
    positive = torch.tensor(rng.normal(size=7), requires_grad=True)
    negative = torch.tensor(rng.normal(size=(7, 3)), requires_grad=True)
    expected = naive(name, positive.detach(), negative.detach())
    assert ALL[name](positive, negative).item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(ALL[name], (positive, negative))


@pytest.mark.parametrize("name", ALL)
def test_weights_multiply_the_terms_of_the_positives(name):
    rng = np.random.default_rng(1)
    positive = torch.tensor(rng.normal(size=7), requires_grad=True)
    negative = torch.tensor(rng.normal(size=(7, 3)), requires_grad=True)
    weight = torch.tensor(rng.uniform(0.1, 5, 7))
    weighted = partial(ALL[name], weight=weight)
    expected = naive(name, positive.detach(), negative.detach(), weight)
    assert weighted(positive, negative).item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(weighted, (positive, negative))
    ones = ALL[name](positive, negative, weight=torch.ones(7))
    torch.testing.assert_close(ones, ALL[name](positive, negative).to(ones.dtype))


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


def test_inverse_propensity_by_hand():
    # Propensities 1, 1/2, 1/10: weights 1, 2 and 10 before their mean over the interactions becomes 1.
    mean = (100 * 1 + 25 * 2 + 1 * 10) / 126
    np.testing.assert_allclose(inverse_propensity([100, 25, 1], clip=0.01), np.array([1, 2, 10]) / mean)
    mean = (100 * 1 + 25 * 2 + 1 * 5) / 126
    np.testing.assert_allclose(inverse_propensity([100, 25, 1, 0], clip=0.2), np.array([1, 2, 5, 5]) / mean)


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=30).filter(any),
    st.floats(0, 1),
    st.floats(0.01, 1),
)
def test_inverse_propensity_falls_with_popularity_within_its_bounds(popularity, power, clip):
    popularity = np.array(popularity)
    weights = inverse_propensity(popularity, power=power, clip=clip)
    assert popularity @ weights / popularity.sum() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(popularity)]) <= 1e-12).all()
    assert weights.max() / weights.min() <= 1 / clip * (1 + 1e-9)


def test_wrong_weights_are_refused():
    with pytest.raises(InvalidInputError, match=r"weight has shape \(2,\) and positive \(3,\)"):
        bpr(torch.zeros(3), torch.zeros(3, 1), weight=torch.ones(2))
    with pytest.raises(InvalidInputError, match="popularity is 0 for all items"):
        inverse_propensity([0, 0])
    with pytest.raises(InvalidInputError, match="clip=0 is out of range"):
        inverse_propensity([1, 2], clip=0)
    with pytest.raises(InvalidInputError, match="power=-1 is out of range"):
        inverse_propensity([1, 2], power=-1)


def test_wrong_keywords_are_refused():
    scores = torch.zeros(1), torch.zeros(1, 1)
    with pytest.raises(InvalidInputError, match="link='relu' is not known"):
        mse(*scores, link="relu")
    with pytest.raises(InvalidInputError, match="temperature=0 is out of range"):
        sampled_softmax(*scores, temperature=0)
