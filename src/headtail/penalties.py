"""Penalties on the factors of a model: small frozen callables, usable in any loop.

Each takes queries (B, d) and items (I, d) and returns a scalar tensor of at least 0: its ``weight``, a number of at
least 0, times what it is about. Arguments out of range, and factors that do not fit together or are of another number
of items, are an :class:`~headtail.exceptions.InvalidInputError`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import headtail._torch  # noqa: F401 - first, for its error

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from headtail._checks import checked, number
from headtail._distributed import all_sum
from headtail._factors import as_pair
from headtail._products import row_blocks
from headtail._tensors import as_tensor, full, no_autocast, transformed
from headtail.exceptions import InvalidInputError

_BLOCK, _CUDA_BLOCK = 1 << 20, 1 << 26  # scores held at once by the sigmoid form: 4 MiB, on CUDA 256 MiB


Penalty: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""What :func:`headtail.fit` asks of a penalty: from queries (B, d) and items (I, d) to a scalar for the loss."""


@dataclass(frozen=True, eq=False)
class _Weighted:
    weight: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", number("weight", self.weight, low=0))


@checked
@dataclass(frozen=True)
class ReSN(_Weighted):
    """Penalty on the spectral norm of the scores: the share of them that lies along popularity.

    The scores of ``queries`` Q (B, d) and ``items`` V (I, d) have a first singular direction that is nearly the
    popularity of the items. ReSN takes one power step from the all-ones vector to a popularity direction u of unit
    length and penalizes what the scores S hold along it::

        weight * ||S u||^2 / B

    ``||S u||^2`` is a Rayleigh quotient: never above sigma_1(S)^2, and close to it where u is close to the first
    singular direction. Divided by B it is a mean over users, so that one weight means the same for any batch size.

    * ``form="linear"``: S = Q V^T and u = r' / ||r'||, r' = V Q^T 1, at a cost of O((B + I) d). Gradients flow through
      everything, u included. The penalty is homogeneous of degree 2 in Q and in V.
    * ``form="sigmoid"``: S = sigmoid(Q V^T), u = S^T 1 / ||S^T 1|| held constant (no gradient through it), the form of
      the authors' code, at a cost of O(B I d), in blocks of at most 2^20 scores (2^26 on CUDA). For losses in which the
      sigmoid of a score is a probability (bce, mse with the sigmoid link): where a constant that is added to all scores
      of a user costs nothing, a model lowers this form by moving all its scores down, without changing any ranking.

    Where r' is 0 (no direction) the penalty is 0 with a zero gradient.

    With several processes, each of which holds other users and the same items, ``distributed=True`` gives all of them
    the penalty of all their users together, by sums over the processes of one vector of d (I for the sigmoid form) and
    of one scalar; with gradients averaged over processes, as ``DistributedDataParallel`` does, training is that of one
    process. Every process must call it; without torch's default process group there is one.

    Source: Lin et al., How Do Recommendation Models Amplify Popularity Bias? An Analysis from the Spectral Perspective,
    WSDM 2025, section 4. The division by B is ours.

    Parameters
    ----------
    weight : float
    form : {"linear", "sigmoid"}, default "linear"
    distributed : bool, default False

    Examples
    --------
    >>> queries, items = torch.tensor([[1.0, 0.0], [1.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> penalty = ReSN(weight=0.5)
    >>> round(penalty(queries, items).item(), 4)
    1.25
    >>> round(penalty.rayleigh(queries, items).item(), 4), round(penalty.sigma1_squared(queries, items).item(), 4)
    (5.0, 5.2361)
    """

    form: Literal["linear", "sigmoid"] = "linear"
    distributed: bool = False

    def __call__(self, queries: Tensor, items: Tensor) -> Tensor:
        """Return ``weight * rayleigh(queries, items) / B``, a scalar tensor of at least 0."""
        total, n_users = self._parts(queries, items)
        return total * (self.weight / n_users)

    def rayleigh(self, queries: Tensor, items: Tensor) -> Tensor:
        """Return ``||S u||^2``, without weight and division; a lower bound of :meth:`sigma1_squared`."""
        return self._parts(queries, items)[0]

    def _parts(self, queries: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``||S u||^2`` and the number of users."""
        queries, items = _pair(queries, items)
        share: Callable[[Tensor], Tensor] = all_sum if self.distributed else lambda values: values
        own: Tensor
        with no_autocast(items.device):
            if transformed():
                own = self._plainly(queries, items, share)
            elif self.form == "linear":
                own = _AlongPopularity.apply(queries, items, share(queries.sum(dim=0)))  # type: ignore[no-untyped-call]
            else:
                block = _CUDA_BLOCK if queries.is_cuda else _BLOCK
                own = _AlongScores.apply(queries, items, max(1, block // len(items)), share)  # type: ignore[no-untyped-call]
        total, n_users = share(torch.stack([own, own.new_tensor(len(queries))])).unbind()
        return total, n_users

    def _plainly(self, queries: Tensor, items: Tensor, share: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``||S u||^2`` by operations that torch.func can differentiate and batch."""
        if self.form == "linear":
            return (queries @ (items.T @ _unit(items @ share(queries.sum(dim=0))))).square().sum()
        scores = (queries @ items.T).sigmoid()
        return (scores @ _unit(share(scores.detach().sum(dim=0)))).square().sum()

    @torch.no_grad()
    def sigma1_squared(self, queries: Tensor, items: Tensor) -> Tensor:
        """Return the squared spectral norm of S by a full SVD in float64; a check for small inputs (it forms B x I)."""
        queries, items = _pair(queries, items)
        scores = queries.double() @ items.double().T  # (B, I)
        if not torch.isfinite(scores).all():
            raise InvalidInputError(
                "queries or items hold values that are not finite. Look for a diverged training run."
            )
        norm: Tensor = torch.linalg.matrix_norm(scores.sigmoid() if self.form == "sigmoid" else scores, 2)
        return norm.square()


def _pair(queries: Any, items: Any) -> tuple[Tensor, Tensor]:
    """Return both as tensors of one type of at least 32 bits, with their gradients, if they belong together."""
    as_pair(queries, items)
    queries, items = full(as_tensor("queries", queries), as_tensor("items", items))
    return queries, items


def _unit(direction: Tensor) -> Tensor:
    """Scale to unit length; 0 stays 0."""
    largest = direction.detach().abs().amax()
    empty = (largest == 0).to(direction.dtype)
    scaled = direction / (largest + empty)  # its square neither overflows nor underflows
    return scaled / (scaled.square().sum() + empty).sqrt()


class _AlongPopularity(Function):
    """||Q V^T u||^2 for u = V t / ||V t||; t is Q^T 1.

    Time goes into reading V, which does not fit in a cache: written out, forward and backward pass read it once each,
    by blocks of rows that serve two products, and one table of its size is made, the gradient. With a for Q^T (S u)
    twice, that of row v of V is ``u_v a + h_v t`` with ``h = (V a - u (u . V a)) / ||V t||``, and ``u . V a`` is the
    load ``V^T u`` times a.
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, items: Tensor, total: Tensor) -> Tensor:
        largest = total.abs().amax()
        scale = torch.where(largest > 0, largest, 1)  # u is the same for t of any length; this one cannot overflow
        along = total / scale
        direction, load = items.new_empty(len(items)), torch.zeros_like(total)  # (I,), (d,)
        for part, block in row_blocks(items):
            torch.mv(block, along, out=direction[part])
            load.addmv_(block.T, direction[part])
        length = torch.linalg.vector_norm(direction)
        length = torch.where(length > 0, length, 1)
        unit, load = direction.div_(length), load / length
        scores = queries @ load  # (B,)
        ctx.save_for_backward(queries, items, along, scale, unit, length, load, scores)
        return scores.square().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, items, along, scale, unit, length, load, scores = ctx.saved_tensors
        with no_autocast(items.device):
            to_scores = 2 * slope * scores  # (B,)
            to_load = queries.T @ to_scores  # (d,)
            level = load @ to_load
            to_items, to_along = torch.empty_like(items), torch.zeros_like(along)
            for part, block in row_blocks(items):
                to_direction = (block @ to_load).addcmul_(unit[part], level, value=-1).div_(length)
                to_along.addmv_(block.T, to_direction)
                torch.outer(unit[part], to_load, out=to_items[part]).addcmul_(to_direction[:, None], along)
            return torch.outer(to_scores, load), to_items, to_along / scale


class _AlongScores(Function):
    """||S u||^2 for S = sigmoid(Q V^T) and a constant u, with its gradient at once, while a block is in the cache.

    The direction needs all blocks before the first can be used, so that each is made twice: with the two products of
    the gradient 8 B I d operations in all, where a backward pass of its own needs 10.
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, items: Tensor, rows: int, share: Callable[[Tensor], Tensor]) -> Tensor:
        blocks = torch.split(queries, rows)
        columns = items.new_zeros(len(items))
        for block in blocks:
            columns += (block @ items.T).sigmoid_().sum(dim=0)
        unit = _unit(share(columns))  # (I,)
        of_queries, of_items = torch.empty_like(queries), torch.zeros_like(items)
        total = queries.new_zeros(())
        for block, of_block in zip(blocks, torch.split(of_queries, rows), strict=True):
            scores = (block @ items.T).sigmoid_()  # (b, I)
            along = scores @ unit  # (b,)
            total += along.square().sum()
            slopes = scores.addcmul_(scores, scores, value=-1).mul_(unit)  # of `along`: s (1 - s) u
            twice = 2 * along[:, None]
            of_block.copy_(slopes @ items).mul_(twice)
            of_items.addmm_(slopes.T, twice * block)
        ctx.save_for_backward(of_queries, of_items)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_queries, of_items = ctx.saved_tensors
        return slope * of_queries, slope * of_items, None, None


@checked
@dataclass(frozen=True)
class LogDet(_Weighted):
    """Penalty on dimensional collapse: how far the vectors are from filling all d dimensions evenly.

    With C(X) = X^T X / rows, d x d, of the queries Q and of the items V, and eigenvalues e_1 .. e_d of each::

        weight * [ c(Q) + c(V) ],   c(X) = log( mean of e ) - mean of log( e )

    at least 0, and 0 where all dimensions hold the same. It is 1/d of the log-determinant (Stein) divergence ``tr C -
    log det C - d`` between C and the identity, at the scale of X at which that is least; the published method takes the
    divergence at the scale that the vectors have, and so pulls their lengths towards one as well.

    1e-6 of the mean eigenvalue is added to each, so that c is at most 13.8, also where rows are fewer than d.
    Computed in float64, at a cost of O((B + I) d^2).

    Source: Zhang et al., Mitigating the popularity bias of graph collaborative filtering: a dimensional collapse
    perspective, NeurIPS 2023.

    Examples
    --------
    >>> even, uneven = torch.eye(2), torch.diag(torch.tensor([2.0, 1.0]))
    >>> round(LogDet(1.0)(even, even).item(), 4)
    0.0
    >>> round(LogDet(1.0)(even, uneven).item(), 4)  # log(5 / 2) - log(4 * 1) / 2
    0.2231
    """

    def __call__(self, queries: Tensor, items: Tensor) -> Tensor:
        """Return the penalty, a scalar tensor of at least 0."""
        queries, items = _pair(queries, items)
        collapse = _collapse(queries.double()) + _collapse(items.double())
        return self.weight * collapse.to(queries.dtype)


_RIDGE = 1e-6


def _collapse(rows: Tensor) -> Tensor:
    gram = rows.T @ rows  # (d, d)
    mean = gram.diagonal().mean()
    even = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    gram = gram / torch.where(mean > 0, mean, 1) + _RIDGE * even
    logarithms: Tensor = 2 * torch.linalg.cholesky(gram).diagonal().log()
    return (gram.diagonal().mean().log() - logarithms.mean()).clamp_min(0)
