"""Scores of sampled pairs, without a tensor of all their vectors.

The plain way gathers the vectors of all candidates, (B, n, d), and its backward pass makes two more tensors of that
size; on a CPU nearly all the time goes into moving that memory. Here nothing is larger than (B, d).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding, embedding_bag


def pair_scores(queries: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
    """Return the scores (B, n) of queries (B, d) with candidates (B, n), which are rows of items (I, d)."""
    if queries.is_cuda:
        return (embedding(candidates, items) * queries[:, None]).sum(dim=2)
    scores: Tensor = _PairScores.apply(queries, items, candidates)  # type: ignore[no-untyped-call]
    return scores


class _PairScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        ctx.save_for_backward(queries, items, candidates)
        columns = [torch.linalg.vecdot(queries, items.index_select(0, codes)) for codes in candidates.unbind(dim=1)]
        return torch.stack(columns, dim=1)  # (B, n)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        queries, items, candidates = ctx.saved_tensors
        of_queries = of_items = None
        if ctx.needs_input_grad[0]:  # (B, d): the weighted sum of each query's candidates
            of_queries = embedding_bag(candidates, items, per_sample_weights=slopes.contiguous(), mode="sum")
        if ctx.needs_input_grad[1]:  # (I, d)
            of_items = torch.zeros_like(items)
            for codes, slope in zip(candidates.unbind(dim=1), slopes.unbind(dim=1), strict=True):
                of_items.index_add_(0, codes, slope[:, None] * queries)
        return of_queries, of_items, None
