"""Scores of targets and their negatives, without large intermediate tensors.

For sampled negatives that gathers the vectors of all candidates, (B, n, d), and the backward pass makes two more
tensors of that size; for all items it forms the scores (B, I), and as much again for every step of the loss. On a CPU
nearly all the time goes into moving that memory. Here nothing is larger than (B, d), but blocks that stay in the cache.
"""

from functools import partial
from typing import Any

import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding, embedding_bag

from headtail._checks import number
from headtail._printable import kind_of
from headtail._products import loss_over_products, softmax_terms
from headtail._tensors import full, sampled_products, take_rows
from headtail.exceptions import InvalidInputError
from headtail.losses import Loss, sampled_softmax


def pair_scores(queries: Tensor, rows: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
    """Return the scores (B, n) of queries (Q, d), one for each of rows (B,), ascending, with items (I, d).

    Candidates (B, n) are rows of the items.
    """
    queries, items = full(queries, items)
    if queries.device.type != "cpu":
        return (embedding(candidates, items) * take_rows(queries, rows)[:, None]).sum(dim=2)
    if candidates.numel() > len(queries) * len(items):  # torch's sparse matrices hold each element once
        return (queries @ items.T)[rows[:, None], candidates]
    scores: Tensor = _PairScores.apply(queries, rows, items, candidates)  # type: ignore[no-untyped-call]
    return scores


class _PairScores(torch.autograd.Function):
    """The scores are elements of a product, in the places of a sparse matrix with a row for each query."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, rows: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        counts = torch.bincount(rows, minlength=len(queries)) * candidates.shape[1]
        starts = nn.functional.pad(counts.cumsum(0), (1, 0))
        ctx.save_for_backward(queries, items, candidates, starts)
        return sampled_products(queries, items, starts, candidates.flatten()).view_as(candidates)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, None, Tensor | None, None]:
        queries, items, candidates, starts = ctx.saved_tensors
        weights, codes = slopes.flatten(), candidates.flatten()
        of_queries = of_items = None
        if ctx.needs_input_grad[0]:  # the weighted sum of each query's candidates
            of_queries = embedding_bag(codes, items, starts[:-1], per_sample_weights=weights, mode="sum")
        if ctx.needs_input_grad[2]:  # that of each candidate's queries; SciPy needs no order of them
            shape = len(items), len(queries)
            by_query = sp.csc_array((weights.numpy(), codes.numpy(), starts.numpy()), shape=shape)
            of_items = torch.from_numpy(by_query @ queries.detach().numpy())
        return of_queries, None, of_items, None


def catalogue_loss(loss: Loss, queries: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of the target of each query against all other items, without ever holding their scores (B, I).

    The loss must be a mean over targets, each with its own scores; so it can be taken block by block, and its gradient
    at once with it. That of :func:`headtail.losses.sampled_softmax` is then the full softmax, which has a faster way.
    """
    temperature = _softmax_temperature(loss)
    if temperature is not None:
        return loss_over_products(softmax_terms, queries if temperature == 1 else queries / temperature, items, targets)
    return loss_over_products(partial(_terms, loss), queries, items, targets)


def _softmax_temperature(loss: Loss) -> float | None:
    """Return the temperature of a sampled softmax, None for any other loss."""
    function, args, options = (loss.func, loss.args, loss.keywords) if isinstance(loss, partial) else (loss, (), {})
    if function is not sampled_softmax or args or not options.keys() <= {"temperature"}:
        return None
    return number("temperature", options.get("temperature", 1.0), low=0, low_open=True)


def _terms(loss: Loss, scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of any loss over targets and its slopes, by autograd."""
    columns = targets[:, None]
    scores = _exchange(scores, columns)  # (b, I), the target's now first
    positive, negative = scores[:, 0].requires_grad_(), scores[:, 1:].requires_grad_()
    with torch.enable_grad():
        value = one_number("loss", loss(positive, negative)) * len(scores)
        slopes = torch.autograd.grad(value, (positive, negative))
    return value.detach(), _exchange(torch.cat([slopes[0][:, None], slopes[1]], dim=1), columns)


def one_number(name: str, value: Any, *, constant: bool = False) -> Tensor:
    """Return what a loss or a penalty returned, if it is one number, with a gradient unless it may be constant."""
    if isinstance(value, Tensor) and value.ndim == 0 and (constant or value.requires_grad):
        return value
    kind = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else kind_of(value)
    raise InvalidInputError(f"{name} returned {kind}; return one number, a tensor computed from what it was given.")


def _exchange(rows: Tensor, columns: Tensor) -> Tensor:
    """Exchange in place, in each row (b, I), the value at its column (b, 1) with the first."""
    first = rows[:, :1].clone()
    rows[:, :1] = rows.gather(1, columns)
    return rows.scatter_(1, columns, first)
