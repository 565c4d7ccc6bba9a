"""Losses against hand-worked values, naive float64 formulas and numerical gradients."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from headtail.exceptions import InvalidInputError
from headtail.losses import bce, bpr, deconfounded, inverse_propensity, mse, pr_entmax, sampled_softmax

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
def test_scores_in_half_precision_do_not_overflow(name):
    """Sums over a batch and squares exceed 65,504, the largest number that float16 holds."""
    scores = torch.randn(30_000, 5, generator=torch.Generator().manual_seed(0)).mul(3).half()
    scores[0] = torch.tensor([300.0, -300, 300, 0, 1])
    halves, whole = ((s[:, 0], s[:, 1:]) for s in (scores, scores.float()))
    torch.testing.assert_close(ALL[name](*halves), ALL[name](*whole))


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


def told(seed=0, b=5, n=6):
    """Scores, with a value of each candidate."""
    rng = np.random.default_rng(seed)
    positive, negative, values = (torch.tensor(rng.normal(size=size)) for size in (b, (b, n), (b, 1 + n)))
    return positive.requires_grad_(), negative.requires_grad_(), values


def test_log_q_undoes_how_negatives_are_drawn():
    positive, negative, values = told()
    total = 0.0
    for p, row, q in zip(positive.tolist(), negative.tolist(), values.tolist(), strict=True):
        weighed = [math.exp(s / 0.5) / math.exp(x) for s, x in zip([p, *row], q, strict=True)]
        total -= math.log(weighed[0] / sum(weighed)) / 5
    found = sampled_softmax(positive, negative, temperature=0.5, log_q=values)
    assert found.item() == pytest.approx(total, rel=1e-12)
    equal = sampled_softmax(positive, negative, log_q=torch.full_like(values, -3.0))
    torch.testing.assert_close(equal, sampled_softmax(positive, negative))
    # Drawn by popularity and corrected, items are pushed down as the softmax over all of them would.
    popular, scores = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.5, 0.1, -0.4], requires_grad=True)
    drawn = torch.tensor(np.random.default_rng(1).choice(3, (1, 200_000), p=[0.7, 0.2, 0.1]))
    log_q = popular.log()[torch.cat([torch.tensor([[0]]), drawn], dim=1)]
    sampled_softmax(scores[:1], scores[drawn], log_q=log_q).backward()
    assert (scores.grad[2] / scores.grad[1]).item() == pytest.approx(math.exp(-0.4 - 0.1), abs=0.02)


def test_deconfounded_equals_the_naive_formula():
    positive, negative, values = told()
    values = values.exp()

    def likely(s, v):
        return (s + 1 if s > 0 else math.exp(s)) * v

    terms = []
    for p, row, (v, *rest) in zip(positive.tolist(), negative.tolist(), values.tolist(), strict=True):
        terms += [-math.log(sigmoid(likely(p, v) - likely(s, w))) for s, w in zip(row, rest, strict=True)]
    found = deconfounded(positive, negative, values=values)
    assert found.item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)
    assert torch.autograd.gradcheck(partial(deconfounded, values=values), (positive, negative))


@pytest.mark.parametrize("spread", (0.0, 0.3, 1.0, 4.0))
def test_pr_entmax_is_what_its_definition_says(spread):
    """The loss is the largest p . z + H(p) over all p, less the positive's z; and its gradient is p - e_1."""
    positive, negative, values = (spread * x for x in told(2))
    positive, negative = positive.detach().requires_grad_(), negative.detach().requires_grad_()
    found = pr_entmax(positive, negative, values=values)
    found.backward()
    total = 0.0
    for i in range(5):
        z = (torch.cat([positive[i : i + 1], negative[i]]) + values[i]).tolist()
        low, high = max(z) / 2 - 1, max(z) / 2  # of tau, halved until the chances sum up to 1
        for _ in range(200):
            tau = (low + high) / 2
            low, high = (tau, high) if sum(max(x / 2 - tau, 0) ** 2 for x in z) > 1 else (low, tau)
        p = [max(x / 2 - low, 0) ** 2 for x in z]
        total += sum(a * b for a, b in zip(p, z, strict=True)) - z[0] + 4 / 3 * (1 - sum(x**1.5 for x in p))
        slopes = [positive.grad[i].item(), *negative.grad[i].tolist()]
        np.testing.assert_allclose(slopes, [(a - (j == 0)) / 5 for j, a in enumerate(p)], atol=1e-9)
    assert found.item() == pytest.approx(total / 5, abs=1e-9)
    assert spread == 0 or torch.autograd.gradcheck(partial(pr_entmax, values=values), (positive, negative), atol=1e-4)


def test_pr_entmax_is_0_from_a_lead_of_2_on_and_far_negatives_have_no_gradient():
    negative = torch.tensor([[0.0, -5.0]], requires_grad=True)
    assert pr_entmax(torch.tensor([2.0]), negative, values=torch.zeros(1, 3)).item() == 0
    pr_entmax(torch.tensor([0.5]), negative, values=torch.zeros(1, 3)).backward()
    assert negative.grad[0, 0] > 0 == negative.grad[0, 1]


@pytest.mark.parametrize("loss", [deconfounded, pr_entmax])
def test_values_must_be_those_of_the_candidates(loss):
    with pytest.raises(InvalidInputError, match=r"values has shape \(3, 1\); .* \(3, 2\) candidates"):
        loss(torch.zeros(3), torch.zeros(3, 1), values=torch.ones(3, 1))
    with pytest.raises(InvalidInputError, match=r"give \(B,\) and \(B, n\)"):
        loss(torch.zeros(3), torch.zeros(2, 1), values=torch.ones(3, 2))
    with pytest.raises(InvalidInputError, match=r"log_q has shape \(\)"):
        sampled_softmax(torch.zeros(3), torch.zeros(3, 1), log_q=0.5)
    flags = torch.tensor([[False, True]])
    assert sampled_softmax(torch.zeros(1), torch.zeros(1, 1), log_q=flags) == sampled_softmax(
        torch.zeros(1), torch.zeros(1, 1), log_q=flags.float()
    )


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
    with pytest.raises(InvalidInputError, match="popularity is 0 for every item"):
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


@pytest.mark.parametrize("score", [float("inf"), float("nan")])
def test_scores_that_are_not_finite_give_a_loss_that_is_not(score):
    scores = torch.full((3, 3), score)
    assert not torch.isfinite(pr_entmax(scores[:, 0], scores[:, 1:], values=torch.ones(3, 3)))
