"""Losses of a positive item against sampled negatives: plain functions of scores.

Each takes the scores of the positives, ``positive`` of shape (B,), and of the negatives of each, ``negative`` of shape
(B, n), and returns the mean over the batch, a tensor of shape (). Shapes that do not match or are empty, and keywords
out of range, are an :class:`~headtail.exceptions.InvalidInputError`. All are written with ``softplus`` and
``logsumexp``, so that scores of any finite size give finite losses and gradients. Any function of the same shape can be
given to :func:`headtail.fit`; fix a keyword with :func:`functools.partial`.

``weight`` of shape (B,), such as :func:`inverse_propensity` gives it, multiplies the term of each positive: in
:func:`bpr` and :func:`sampled_softmax` that of the positive against its negatives, in :func:`bce` and :func:`mse` that
of the positive alone. Without it every weight is 1.

``values`` of shape (B, 1 + n), such as :func:`headtail.fit` makes it of `item_values`, is a number of each candidate,
the positive first.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import headtail._torch  # noqa: F401 - first, for its error

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, elu, softplus

from headtail._checks import choice, number
from headtail._factors import as_popularity
from headtail._tensors import as_floats, full
from headtail.exceptions import InvalidInputError
from headtail.typing import Floats

Loss: TypeAlias = Callable[..., Tensor]
"""What :func:`headtail.fit` asks of a loss: from scores of positives (B,) and negatives (B, n) to their mean loss."""


def _check(positive: Tensor, negative: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return scores that belong together, in at least 32 bits: sums of half precision overflow."""
    for name, scores in (("positive", positive), ("negative", negative)):
        as_floats(name, scores)
    if positive.ndim != 1 or negative.ndim != 2 or len(positive) != len(negative) or not negative.numel():
        raise InvalidInputError(
            f"positive has shape {tuple(positive.shape)} and negative {tuple(negative.shape)}; "
            f"give (B,) and (B, n) with B and n of at least 1."
        )
    if weight is not None and (not isinstance(weight, Tensor) or weight.shape != positive.shape or weight.is_sparse):
        raise InvalidInputError(
            f"weight has shape {tuple(getattr(weight, 'shape', ()))} and positive {tuple(positive.shape)}; give a "
            f"tensor of one for each positive."
        )
    positive, negative = full(positive, negative)
    return positive, negative


def _candidates(positive: Tensor, negative: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the scores of all candidates, the positive first, (B, 1 + n)."""
    positive, negative = _check(positive, negative, weight)
    return torch.cat([positive[:, None], negative], dim=1)


def _checked_values(scores: Tensor, values: Tensor, name: str = "values") -> Tensor:
    """Return a value for each of the candidates, (B, 1 + n)."""
    if not isinstance(values, Tensor) or values.shape != scores.shape or values.is_sparse or values.is_complex():
        raise InvalidInputError(
            f"{name} has shape {tuple(getattr(values, 'shape', ()))}; give a tensor of one real number for each of the "
            f"{tuple(scores.shape)} candidates, the positives first."
        )
    return values.to(scores)


def _weighted(terms: Tensor, weight: Tensor | None) -> Tensor:
    return terms if weight is None else terms * weight.view(-1, *[1] * (terms.ndim - 1))


def _labelled(positive: Tensor, negative: Tensor, weight: Tensor | None) -> Tensor:
    """Return the mean of terms of positives (B,), which are weighted, and of negatives (B, n)."""
    return (_weighted(positive, weight).sum() + negative.sum()) / (positive.numel() + negative.numel())


def bpr(positive: Tensor, negative: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Bayesian personalized ranking: the positive should score above each negative.

    ``mean over b, j of -log sigmoid(positive_b - negative_bj)``; range [0, inf), log 2 where scores are equal.
    Source: Rendle et al., BPR, UAI 2009, section 4.1 (without the regularizer).

    Examples
    --------
    >>> round(bpr(torch.tensor([1.0]), torch.tensor([[1.0]])).item(), 4)
    0.6931
    """
    positive, negative = _check(positive, negative, weight)
    return _weighted(softplus(negative - positive[:, None]), weight).mean()


def bce(positive: Tensor, negative: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy: the positive is labelled 1, each negative 0.

    ``mean over the B (1 + n) labelled scores x of -log sigmoid(x)`` for label 1 and ``-log sigmoid(-x)`` for label 0;
    range [0, inf), log 2 where all scores are 0.

    Examples
    --------
    >>> round(bce(torch.tensor([0.0]), torch.tensor([[0.0, 0.0]])).item(), 4)
    0.6931
    """
    positive, negative = _check(positive, negative, weight)
    return _labelled(softplus(-positive), softplus(negative), weight)


def mse(
    positive: Tensor,
    negative: Tensor,
    *,
    link: Literal["identity", "sigmoid"] = "identity",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared error against the labels 1 (positive) and 0 (negative).

    ``mean over the B (1 + n) labelled scores x of (label - mu(x))^2``, `link` mu; range [0, inf) for the identity,
    [0, 1] for the sigmoid. With the identity the scores themselves estimate the 0/1 interactions, so that their
    spectrum can be read beside that of the data. With the sigmoid it is the base loss of the ReSN authors' experiments
    (Lin et al., WSDM 2025, with 4 negatives for each positive).

    Examples
    --------
    >>> mse(torch.tensor([0.5]), torch.tensor([[0.5]])).item()
    0.25
    """
    positive, negative = _check(positive, negative, weight)
    choice("link", link, ("sigmoid", "identity"))
    if link == "sigmoid":
        # 1 - sigmoid(x) = sigmoid(-x), which keeps its digits where sigmoid(x) is close to 1.
        return _labelled((-positive).sigmoid().square(), negative.sigmoid().square(), weight)
    return _labelled((1 - positive).square(), negative.square(), weight)


def sampled_softmax(
    positive: Tensor,
    negative: Tensor,
    *,
    temperature: float = 1.0,
    weight: Tensor | None = None,
    log_q: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of picking the positive among itself and its negatives.

    ``mean over b of logsumexp([positive_b, negative_b1, ..., negative_bn] / t) - positive_b / t``; range [0, inf),
    log(1 + n) where scores are equal. With one negative and t = 1 it equals :func:`bpr`.

    Source: Bengio and Senécal, Adaptive importance sampling to accelerate training of a neural probabilistic language
    model, 2008; for recommenders Yi et al., Sampling-bias-corrected neural modeling, RecSys 2019, section 3 (logQ
    correction).

    Parameters
    ----------
    temperature : float, default 1.0
        The divisor t of the scores, above 0.
    log_q : tensor of shape (B, 1 + n), optional
        Log of the chance with which each candidate is drawn, the positive first, up to a constant: it is taken off from
        the scores over t. Without it popular items are held down where negatives are drawn by their popularity, as
        those of a batch's other users are. Negatives of :func:`headtail.fit` are drawn uniformly and need none.

    Examples
    --------
    >>> round(sampled_softmax(torch.tensor([2.0]), torch.tensor([[2.0, 2.0, 2.0]])).exp().item(), 4)
    4.0
    """
    scores = _candidates(positive, negative, weight)
    t = number("temperature", temperature, low=0, low_open=True)
    scores = scores if t == 1 else scores / t
    if log_q is not None:
        scores = scores - _checked_values(scores, log_q, "log_q")
    first = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
    return _weighted(cross_entropy(scores, first, reduction="mean" if weight is None else "none"), weight).mean()


def zerosum(positive: Tensor, negative: Tensor, *, share: float = 0.1) -> Tensor:
    """Pairwise loss that also draws the sum of a positive's and a negative's score to zero, against popularity bias.

    ``(1 - share) * bpr + share * mean over b, j of -log(1 - tanh|positive_b + negative_bj|)``, share from 0 to 1; range
    [0, inf). Where the two scores add up to 0 for all pairs, all positives of a user score alike, be they popular or
    not, and so do the negatives. Written as ``softplus(2 |x|) - log 2``, which is the second term exactly.

    Source: Rhee, Cho and Suh, Countering popularity bias by regularizing score differences, RecSys 2022 (Zerosum; the
    weighting as in the authors' code).

    Examples
    --------
    >>> round(zerosum(torch.tensor([1.0]), torch.tensor([[-1.0]]), share=0.5).item(), 4)  # half of bpr's
    0.0635
    """
    share = number("share", share, low=0, high=1)
    pairs = bpr(positive, negative)
    sums = softplus(2 * (positive[:, None] + negative).abs()).mean() - math.log(2)
    return (1 - share) * pairs + share * sums


def deconfounded(positive: Tensor, negative: Tensor, *, values: Tensor) -> Tensor:
    """Pairwise loss of scores times popularity, so that the scores need not hold it: popularity deconfounding (PD).

    ``mean over b, j of -log sigmoid(f(positive_b) v_b - f(negative_bj) v_bj)``, f(s) = s + 1 for s > 0 and exp(s) for
    others, and v, the `values`, the candidates' popularity to a power, such as
    ``item_values=(popularity / popularity.sum()) ** 0.1`` in :func:`headtail.fit`. Items are then served by their
    scores alone. (PDA, of the same paper, multiplies by a forecast of popularity there.) Range [0, inf), log 2 where
    all is equal.

    Source: Zhang et al., Causal intervention for leveraging popularity bias in recommendation, SIGIR 2021, section 3.

    Examples
    --------
    >>> round(deconfounded(torch.tensor([1.0]), torch.tensor([[0.0]]), values=torch.tensor([[1.0, 2.0]])).item(), 4)
    0.6931
    """
    scores = _candidates(positive, negative)
    likely = (elu(scores) + 1) * _checked_values(scores, values)
    return bpr(likely[:, 0], likely[:, 1:])


def pr_entmax(positive: Tensor, negative: Tensor, *, values: Tensor) -> Tensor:
    """Entmax loss of picking the positive, with a prior that grows with popularity: PR-Entmax.

    The scores z = [positive, negatives] + v are those of the training alone: a score need not make up for what the
    prior v, the `values`, says already (``item_values=gamma * np.log(shares + 1e-6)``), and items are served without
    it. With p the 1.5-entmax of z, which is exactly 0 for candidates far behind, the loss is
    ``(p - e_1) . z + 4/3 (1 - sum p^1.5)`` and its gradient p - e_1. Range [0, inf), 0 where the positive leads by 2 or
    more.

    Source: PR-Entmax of "Mitigating popularity bias in sequential recommendations with sparse prior-regularized
    objective", as RePlay 0.23 has it (sampled form); Peters, Niculae and Martins, Sparse sequence-to-sequence models,
    ACL 2019 (entmax and its loss).

    Examples
    --------
    >>> round(pr_entmax(torch.tensor([1.0]), torch.tensor([[0.0]]), values=torch.tensor([[0.0, 1.0]])).item(), 4)
    0.3905
    """
    scores = _candidates(positive, negative)
    scores = scores + _checked_values(scores, values)
    chances = _entmax(scores.detach())  # the loss is stationary in them
    entropy = (1 - chances.pow(1.5).sum(dim=1)) * 4 / 3
    return ((chances * scores).sum(dim=1) - scores[:, 0] + entropy).mean()


def _entmax(scores: Tensor) -> Tensor:
    """Return the 1.5-entmax of each row: ``max(score / 2 - tau, 0)^2`` with the tau at which it sums up to 1."""
    halves = (scores - scores.amax(dim=1, keepdim=True)) / 2
    ordered = halves.sort(dim=1, descending=True).values
    n = torch.arange(1, ordered.shape[1] + 1, dtype=scores.dtype, device=scores.device)
    mean, square = ordered.cumsum(dim=1) / n, ordered.square().cumsum(dim=1) / n
    tau = mean - ((1 / n - square + mean.square()).clamp_min(0)).sqrt()  # with the first n in the support
    size = (tau <= ordered).sum(dim=1, keepdim=True).clamp_min(1)  # 0 where scores are not finite
    return (halves - tau.gather(1, size - 1)).clamp_min(0).square()


def inverse_propensity(popularity: Any, *, power: float = 0.5, clip: float = 0.1) -> Floats:
    """Weights of positive items against the bias of exposure: the less popular an item, the more an interaction counts.

    The chance that an interaction with item i was observed is taken to be ``p_i = (r_i / max r)^power``, r_i the
    popularity, and its weight is ``1 / max(p_i, clip)``, scaled to a mean of 1 over the training interactions. Items
    without interactions have the weight of the smallest propensity. To be used as `weight` of a loss here or as
    `item_weights` of :func:`headtail.fit`: inverse-propensity weighting (IPS), of the positives alone.

    Source: Schnabel et al., Recommendations as treatments, ICML 2016 (weighting by inverse propensities). Saito et al.,
    Unbiased recommender learning from missing-not-at-random implicit feedback, WSDM 2020 (implicit feedback,
    propensities from relative popularity, the clipped estimator).

    Parameters
    ----------
    popularity : array of shape (I,)
        Training interactions of each item.
    power, clip : float in [0, 1] and (0, 1], default 0.5 and 0.1
        A power of 0 gives equal weights; so does a `clip`, the smallest propensity, of 1.

    Examples
    --------
    >>> inverse_propensity([100, 25, 25], clip=0.01)  # the rarer items' interactions count twice as much
    array([0.75, 1.5 , 1.5 ])
    """
    counts = as_popularity(popularity)
    power, clip = number("power", power, low=0, high=1), number("clip", clip, low=0, high=1, low_open=True)
    weights = 1 / np.maximum((counts / counts.max()) ** power, clip)
    return np.asarray(weights * counts.sum() / (counts @ weights))
