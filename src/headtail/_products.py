"""Losses over products with large tables, block by block."""

from collections.abc import Callable, Iterator
from typing import Any

import headtail._torch  # noqa: F401 - first, for its error

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from headtail._tensors import full, no_autocast
from headtail._top import slices

_BLOCK, _CUDA_BLOCK = 1 << 20, 1 << 26  # products held at once: 4 MiB on a CPU, 256 MiB on CUDA
_ROW_BLOCK = 1 << 17  # elements of a table taken at once on a CPU: 512 KiB

Terms = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def row_blocks(table: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of rows, and the rows, small enough to stay in a CPU's cache."""
    step = len(table) if table.is_cuda else max(1, _ROW_BLOCK // table.shape[1])
    for part in slices(len(table), step):
        yield part, table[part]


def loss_over_products(terms: Terms, queries: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over b of a loss of the products of query b, (B, d), with all items, (I, d), one its target.

    It is computed block by block together with its gradient, while the products are in the cache. `terms` takes
    products (b, I), which it may overwrite, and targets (b,), rows of `items`, and returns the sum of the losses and
    its slopes (b, I).
    """
    queries, items = full(queries, items)
    with no_autocast(items.device):
        value: Tensor = _LossOverProducts.apply(terms, queries, items, targets)  # type: ignore[no-untyped-call]
    return value


def softmax_terms(products: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of ``logsumexp(products_b) - products_b[target]`` and its slopes, in place of the products."""
    of_target = products.gather(1, targets[:, None])
    highest = products.amax(dim=1, keepdim=True)
    shares = products.sub_(highest).exp_()
    totals = shares.sum(dim=1, keepdim=True)
    value = (totals.log() + (highest - of_target)).sum()
    slopes = shares.div_(totals)
    return value, slopes.scatter_add_(1, targets[:, None], slopes.new_full((len(slopes), 1), -1))


class _LossOverProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, terms: Terms, queries: Tensor, items: Tensor, targets: Tensor) -> Tensor:
        of_queries, of_items = torch.empty_like(queries), torch.zeros_like(items)
        total = queries.new_zeros(())
        n_rows = max(1, (_CUDA_BLOCK if queries.is_cuda else _BLOCK) // len(items))
        for part in slices(len(queries), n_rows):
            block = queries[part]
            value, slopes = terms(block @ items.T, targets[part])
            total += value
            torch.mm(slopes, items, out=of_queries[part])
            of_items.addmm_(slopes.T, block)
        ctx.save_for_backward(of_queries, of_items)
        return total / len(queries)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor, Tensor, None]:
        of_queries, of_items = ctx.saved_tensors
        slope = slope / len(of_queries)
        return None, slope * of_queries, slope * of_items, None
