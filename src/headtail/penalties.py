"""Penalties on the factors of a model: small frozen callables ``(queries, items) -> scalar``, usable in any loop."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from headtail._checks import choice, number
from headtail.exceptions import InvalidInputError

_BLOCK = 1 << 24  # scores held at once by the sigmoid form: 64 MiB as float32


class Penalty(Protocol):
    """What :func:`headtail.fit` asks of a penalty."""

    def __call__(self, queries: Tensor, items: Tensor, /) -> Tensor:
        """Return a scalar that is added to the loss, of queries (B, d) and items (I, d)."""
        ...


@dataclass(frozen=True)
class ReSN:
    """Penalty on the spectral norm of the scores: the share of them that lies along popularity.

    The scores of ``queries`` Q (B, d) and ``items`` V (I, d) have a first singular direction that is nearly the
    popularity of the items. ReSN takes one power step from the all-ones vector to a popularity direction u of unit
    length and penalizes what the scores S hold along it::

        weight * ||S u||^2 / B

    ``||S u||^2`` is a Rayleigh quotient: never above sigma_1(S)^2, and close to it where u is close to the first
    singular direction. Divided by B it is a mean over users, so one weight means the same for any batch size or
    number of users: its unit is the loss per squared score of a user along u.

    * ``form="linear"``: S = Q V^T and u = r' / ||r'||, r' = V Q^T 1, at a cost of O((B + I) d); no B x I matrix is
      made. Gradients flow through everything, u included: it is the gradient of the very quotient that is reported.
      The penalty is homogeneous of degree 2 in Q and in V: vectors that are all scaled by c scale it by c^4.
    * ``form="sigmoid"``: S = sigmoid(Q V^T), u = S^T 1 / ||S^T 1|| held constant (no gradient through it), the form
      of the authors' code. It forms the B x I scores in blocks of at most 2^24 and, where there are several, computes
      them again in the backward pass, so that memory stays bounded.

    Where r' is 0 (no direction) the penalty is 0 with a zero gradient.

    Source: Lin et al., How Do Recommendation Models Amplify Popularity Bias? An Analysis from the Spectral Perspective,
    WSDM 2025, section 4. The division by B is ours.

    Parameters
    ----------
    weight : float
        Strength, at least 0.
    form : {"linear", "sigmoid"}, default "linear"
        Which scores are penalized.

    Raises
    ------
    InvalidInputError
        If the weight is negative or not finite, the form is not known, or the factors do not fit together.

    Examples
    --------
    >>> import torch
    >>> queries, items = torch.tensor([[1.0, 0.0], [1.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> penalty = ReSN(weight=0.5)
    >>> round(penalty(queries, items).item(), 4)
    1.25
    >>> round(penalty.rayleigh(queries, items).item(), 4), round(penalty.sigma1_squared(queries, items).item(), 4)
    (5.0, 5.2361)
    """

    weight: float
    form: Literal["linear", "sigmoid"] = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", number("weight", self.weight, low=0))
        choice("form", self.form, ("linear", "sigmoid"))

    def __call__(self, queries: Tensor, items: Tensor) -> Tensor:
        """Return ``weight * rayleigh(queries, items) / B``, a scalar tensor of at least 0."""
        return self.rayleigh(queries, items) * (self.weight / len(queries))

    def rayleigh(self, queries: Tensor, items: Tensor) -> Tensor:
        """Return ``||S u||^2``, without weight and division; a lower bound of :meth:`sigma1_squared`."""
        _check(queries, items)
        if self.form == "linear":
            return _linear(queries, items)
        return _sigmoid(queries, items, max(1, _BLOCK // len(items)))

    @torch.no_grad()
    def sigma1_squared(self, queries: Tensor, items: Tensor) -> Tensor:
        """Return the squared spectral norm of S by a full SVD in float64; a check for small inputs (it forms B x I)."""
        _check(queries, items)
        scores = queries.double() @ items.double().T  # (B, I)
        norm: Tensor = torch.linalg.matrix_norm(scores.sigmoid() if self.form == "sigmoid" else scores, 2)
        return norm.square()


def _check(queries: Tensor, items: Tensor) -> None:
    for name, values in (("queries", queries), ("items", items)):
        if values.ndim != 2 or not values.numel():
            raise InvalidInputError(f"{name} has shape {tuple(values.shape)}; give rows of vectors, at least one.")
        if not values.is_floating_point():
            raise InvalidInputError(f"{name} is {values.dtype}; give floating-point vectors, for example .float().")
    if queries.shape[1] != items.shape[1]:
        raise InvalidInputError(
            f"queries have dimension {queries.shape[1]} and items {items.shape[1]}; both must be (rows, d) of one d."
        )


def _unit(direction: Tensor) -> Tensor:
    """Scale to unit length; 0 stays 0, with a finite gradient."""
    largest = direction.detach().abs().amax()
    empty = (largest == 0).to(direction.dtype)
    scaled = direction / (largest + empty)  # its square neither overflows nor underflows
    return scaled / (scaled.square().sum() + empty).sqrt()


def _linear(queries: Tensor, items: Tensor) -> Tensor:
    unit = _unit(items @ queries.sum(dim=0))  # (I,)
    return (queries @ (items.T @ unit)).square().sum()  # (B,) -> ()


def _sigmoid(queries: Tensor, items: Tensor, rows: int) -> Tensor:
    """Sum over blocks of `rows` users."""
    if len(queries) <= rows:
        scores = (queries @ items.T).sigmoid()  # (B, I)
        return (scores @ _unit(scores.detach().sum(dim=0))).square().sum()
    blocks = torch.split(queries, rows)
    with torch.no_grad():
        columns = torch.stack([(block @ items.T).sigmoid().sum(dim=0) for block in blocks]).sum(dim=0)
        unit = _unit(columns)  # (I,)

    def along(block: Tensor, items: Tensor) -> Tensor:
        return ((block @ items.T).sigmoid() @ unit).square().sum()

    parts = [checkpoint(along, block, items, use_reentrant=False, preserve_rng_state=False) for block in blocks]
    return torch.stack(parts).sum()
