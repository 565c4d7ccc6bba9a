"""A step of matrix factorization without autograd, by three loops that numba compiles where it is installed."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from headtail.models.mf import MF
from headtail.training.adam import Adam
from headtail.training.batches import Batch
from headtail.typing import Array, Floats

_TABLES = "users", "items"


class Step:
    """Moves the tables of a model that fits as torch does, to rounding, in 70% of its time."""

    def __init__(self, model: nn.Module, optimizer: Adam) -> None:
        self._optimizer = optimizer
        self._tables = [model.get_parameter(name) for name in _TABLES]
        self._gradients = [np.zeros(table.shape, np.float32) for table in self._tables]  # 0 between steps

    def __call__(self, batch: Batch, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Take a step by ``loss(scores)`` of a batch, whose codes are places among the rows taken; return the loss."""
        parts = [[part.detach().numpy() for part in self._optimizer.parts(table)] for table in self._tables]
        (queries, *_), (items, *_) = parts
        at = batch.inputs[batch.rows]  # (B,)
        scores = torch.empty(batch.candidates.shape, device="cpu")
        _compiled(_score)(queries, at, items, batch.candidates, scores.numpy())
        value = loss(scores.requires_grad_())
        torch.autograd.backward(value)
        self._optimizer.check()
        slopes = cast(Tensor, scores.grad).contiguous().numpy()
        gradients = [whole[: len(own)] for whole, (own, *_) in zip(self._gradients, parts, strict=True)]
        _compiled(_differentiate)(queries, at, items, batch.candidates, slopes, *gradients)
        for table, gradient in zip(self._tables, gradients, strict=True):
            if table.grad is not None:  # of a loss that reads the table, too
                gradient += table.grad.numpy()
                table.grad = None
        numbers = self._optimizer.count(*self._tables)
        for (own, mean, square), gradient in zip(parts, gradients, strict=True):
            _compiled(_move)(*(part.reshape(-1) for part in (own, gradient, mean, square)), *numbers)
        self._optimizer.settle()
        return value.detach()


def fits(model: Any) -> bool:
    """Return whether numba is there, and a model on a CPU is matrix factorization and nothing more."""
    if getattr(type(model), "forward", None) is not MF.forward or _numba() is None:
        return False
    trained = {name: (p.device.type, p.dtype) for name, p in model.named_parameters() if p.requires_grad}
    hooked = any(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks for part in model.modules())
    plain = {type(model.query), type(model.item)} == {nn.Identity} and not hooked
    return plain and trained == dict.fromkeys(_TABLES, ("cpu", torch.float32))


@cache
def _numba() -> Any:
    """Return numba, or None where it is missing, or does not know the NumPy that is there."""
    try:
        import numba
    except ImportError:
        return None
    return numba


@cache
def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Return a loop compiled, which is kept on disk where it can be; sums may be taken in any order."""
    options = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy", "nogil": True}
    compiled: Callable[..., None]
    try:
        compiled = _numba().njit(**options, cache=True)(function)
    except RuntimeError:  # nowhere to keep it
        compiled = _numba().njit(**options)(function)
    return compiled


def _score(queries: Floats, at: Array, items: Floats, candidates: Array, scores: Floats) -> None:
    """Set the scores (B, 1 + n) of the queries at (B,) and their candidates."""
    for b in range(len(at)):
        for j in range(candidates.shape[1]):
            total = np.float32(0)
            for c in range(queries.shape[1]):
                total += queries[at[b], c] * items[candidates[b, j], c]
            scores[b, j] = total


def _differentiate(
    queries: Floats, at: Array, items: Floats, candidates: Array, slopes: Floats, of_queries: Floats, of_items: Floats
) -> None:
    """Add the gradients of both tables, given those of the scores (B, 1 + n)."""
    for b in range(len(at)):
        u = at[b]
        for j in range(candidates.shape[1]):
            i, slope = candidates[b, j], slopes[b, j]
            for c in range(queries.shape[1]):
                of_queries[u, c] += slope * items[i, c]
            for c in range(queries.shape[1]):
                of_items[i, c] += slope * queries[u, c]


def _move(
    values: Floats, gradient: Floats, mean: Floats, square: Floats, rate: float, root: float, beta1: float,
    beta2: float, decay: float, eps: float,
) -> None:  # fmt: skip
    """Move values (N,) and their moments by Adam's step, and set the gradient to 0."""
    one = np.float32(1)
    for i in range(len(values)):
        slope = gradient[i] + decay * values[i]
        gradient[i] = 0
        mean[i] += (one - beta1) * (slope - mean[i])
        square[i] = beta2 * square[i] + (one - beta2) * slope * slope
        values[i] -= rate * mean[i] / (np.sqrt(square[i]) * root + eps)
