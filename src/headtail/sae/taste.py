"""Steering by the user: as hard as the recommendations are more popular than what the user chose, or less popular."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headtail._checks import checked, number
from headtail.data import Interactions
from headtail.data.popularity import tastes_of
from headtail.exceptions import InvalidInputError
from headtail.sae.contrasts import Contrast
from headtail.sae.controls import Direction, popularity_direction
from headtail.sae.neurons import Neurons
from headtail.sae.steered import Steered
from headtail.sae.steering import neuron_edit
from headtail.sae.table import list_popularity

_RIDGE = 1e-3  # of the regression, relative to the mean variance of the vectors
_UNIT = 0.5  # of the push whose slope is measured


class Excess(nn.Module):
    """How far a user's recommendations exceed the user's own taste for popular items, read off the vector.

    ``x . weight + bias``, kept between two bounds; made by :func:`personal_strength`.

    Parameters
    ----------
    weight : Tensor of shape (d,)
    bias : float
    r_squared : float
        Share of the excess's variation between users that the vector tells, 0 to 1.
    low, high : float, default 0 and infinity
        The bounds: with a lower one of 0, users whose recommendations are rarer than their own choices are left alone.

    Examples
    --------
    >>> Excess(torch.tensor([1.0, 0.0]), bias=-1.0)(torch.tensor([[3.0, 5.0], [0.0, 5.0]]))
    tensor([[2.],
            [0.]])
    """

    weight: Tensor
    bias: Tensor
    bounds: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: float,
        r_squared: float = float("nan"),
        *,
        low: float = 0.0,
        high: float = float("inf"),
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().clone())
        self.register_buffer("bias", weight.new_tensor(bias))
        self.register_buffer("bounds", weight.new_tensor([low, high]))
        self.r_squared = r_squared

    def forward(self, x: Tensor) -> Tensor:
        """Return one number for each vector, (..., 1) of (..., d)."""
        found = x.to(self.weight.dtype) @ self.weight + self.bias
        return torch.minimum(torch.maximum(found, self.bounds[0]), self.bounds[1])[..., None]


def _scaled(excess: Excess, factor: float) -> Excess:
    low, high = sorted((factor * excess.bounds).tolist()) if factor else (0.0, 0.0)
    return Excess(factor * excess.weight, factor * float(excess.bias), excess.r_squared, low=low, high=high)


@checked
def personal_strength(
    contrast: Contrast,
    interactions: Interactions,
    *,
    k: int | None = None,
    both_ways: bool = False,
    bound: float = 3.0,
    prior: float = 0.0,
) -> Excess:
    """Return the strength that steers a user the more, the more popular the recommendations are than the history.

    The excess of a user is the mean log(1 + popularity) of the k recommendations less that of the history. It is
    regressed on the user's vector, so that a steered model needs nothing but the vector, for new users too. What is
    returned, for `per_user` of :func:`~headtail.sae.steer`, has a mean size of 1 over the real users.

    Parameters
    ----------
    contrast : Contrast
        With item vectors and codes of the real users, as :func:`~headtail.sae.contrast` makes it.
    interactions : Interactions
        Training interactions.
    k : int, optional
        Length of the lists; by default 20, or the size of the catalogue.
    both_ways : bool, default False
        Also steer users whose recommendations are rarer than their own choices towards popular items, all users at most
        `bound` times as hard as the mean user; otherwise they are left alone.
    bound : float, default 3
    prior : float, default 0
        A history of n items is steered by ``n / (n + prior)`` of its excess, since a short one says little.

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> model = ht.models.ALS(200, 50, 4, rng=0)
    >>> _ = ht.fit(model, train)
    >>> found = ht.sae.contrast(model, train)
    >>> strength = personal_strength(found, train)
    >>> round(float(strength(found.real).mean()), 4)
    1.0
    """
    excess, mean = _excess(contrast, interactions, k, prior, bound if both_ways else None)
    return _scaled(excess, 1 / mean)


def _excess(
    contrast: Contrast, interactions: Interactions, k: int | None, prior: float, bound: float | None
) -> tuple[Excess, float]:
    """Return the excess in log popularity, both ways if there is a bound, and its mean size."""
    recommended, users = list_popularity(contrast, interactions, k), contrast.recommendable()[1]
    activity = interactions.activity[users]
    if (activity == 0).any():
        raise InvalidInputError(
            "interactions lacks the histories of users of the contrast; give those that it was made from."
        )
    taste = tastes_of(interactions.matrix, interactions.popularity)[users]
    excess = (recommended - taste) * activity / (activity + number("prior", prior, low=0))
    x = contrast.real.double().numpy()
    centered = x - x.mean(axis=0)
    gram = centered.T @ centered
    penalty = _RIDGE * np.trace(gram) / len(gram)
    weight = np.linalg.lstsq(gram + penalty * np.eye(len(gram)), centered.T @ (excess - excess.mean()), rcond=None)[0]
    fitted = centered @ weight + excess.mean()
    mean = float((np.maximum(fitted, 0) if bound is None else np.abs(fitted)).mean())
    if not mean > 0:
        raise InvalidInputError(
            "nobody's recommendations are more popular than the user's history, so that there is nothing to correct."
        )
    variance = ((excess - excess.mean()) ** 2).sum()
    return Excess(
        torch.from_numpy(weight).to(contrast.real),
        float(excess.mean() - x.mean(axis=0) @ weight),
        float(1 - ((excess - fitted) ** 2).sum() / variance) if variance > 0 else float("nan"),
        low=0.0 if bound is None else -mean * number("bound", bound, low=0, low_open=True),
        high=np.inf if bound is None else mean * bound,
    ), mean


@checked
def spree(
    model: nn.Module,
    contrast: Contrast,
    interactions: Interactions,
    strength: float = 1.0,
    *,
    neurons: Neurons | None = None,
    k: int | None = None,
    bound: float = 3.0,
    prior: float = 10.0,
    layer: str = "query",
    **options: Any,
) -> Steered:
    """Return a model that steers each user by sign and amount to where lists are as popular as the user's own choices.

    The excess of a user, see :func:`personal_strength` with `both_ways`, is taken out by a push along one direction,
    the difference of the mean vectors of users of popular and of niche tastes, or through neurons. What one unit of
    the push does is measured on the lists of the real users::

        x' = x + strength * excess(x) / slope * (push(x) - x),
        slope = mean log popularity of the lists of x, less that of the lists of push(x)

    so that with strength 1 lists meet histories on average, as far as popularity answers to a push in proportion. It
    often answers faster: on MovieTweetings (SASRec) :func:`~headtail.metrics.pce` was lowest at strengths of .5 to .75.

    Source: Schirmer et al., Aligning recommendations with user popularity preferences (SPREE), FAccT 2026, arXiv
    2604.01036: steering by each user's own sign and amount. The measured slope, the shrinking and the neurons are ours.

    Parameters
    ----------
    model : torch.nn.Module
    contrast, interactions, k, bound, prior
        See :func:`personal_strength`.
    strength : float, default 1
        0 changes nothing.
    neurons : Neurons, optional
        Push through these: as :func:`~headtail.sae.steer` does with both alphas 0.5. Without them, along the direction,
        by half the standard deviation of the real users.
    layer : str, default "query"
    **options
        With `neurons`: see :func:`~headtail.sae.neuron_edit`.

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> model = ht.models.ALS(200, 50, 4, rng=0)
    >>> _ = ht.fit(model, train)
    >>> spree(model, ht.sae.contrast(model, train), train, 0.5)(torch.arange(3)).queries.shape
    torch.Size([3, 4])
    """
    strength = number("strength", strength)
    excess, _ = _excess(contrast, interactions, k, prior, bound)
    direction, spread = popularity_direction(contrast)

    def push(per_user: nn.Module | None) -> nn.Module:
        if neurons is None:
            return Direction(direction, strength=_UNIT * spread, per_user=per_user)
        alphas = {"alpha_popular": _UNIT, "alpha_niche": _UNIT}
        return neuron_edit(neurons.source.sae, neurons, per_user=per_user, **(alphas | options))

    with torch.no_grad():
        on = contrast.real if neurons is None else contrast.real.to(neurons.source.sae.bias.device)
        pushed = replace(contrast, real=push(None)(on))
    slope = float((list_popularity(contrast, interactions, k) - list_popularity(pushed, interactions, k)).mean())
    if abs(slope) < 1e-6:
        raise InvalidInputError("a push leaves the popularity of all lists as it is; choose other neurons.")
    return Steered(model, push(_scaled(excess, strength / slope)), layer)
