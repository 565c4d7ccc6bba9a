"""The exact best items of users, on the device where the factors lie."""

from typing import Any

import torch
from torch import Tensor

from headtail._tensors import as_device, as_tensor, no_autocast
from headtail.typing import Array, Floats

_WIDE = (torch.float64, torch.int64, torch.int32)  # what float32 does not hold exactly


def placed(queries: Any, items: Any, device: "str | torch.device | None") -> tuple[Tensor, Tensor]:
    """Return both factors as tensors of one floating type, on the device given or else on that of the queries."""
    queries, items = as_tensor("queries", queries), as_tensor("items", items)
    both = torch.float64 if queries.dtype in _WIDE and items.dtype in _WIDE else torch.float32
    device = queries.device if device is None else as_device(device)
    return queries.to(device, both), items.to(device, both)


def best_of_block(
    queries: Tensor, block: Tensor, seen: tuple[Array, Array] | None, k: int, *, floor: Floats | None
) -> tuple[Array, Array]:
    """Return the k highest scores of each query with a block of items, (B, k), and their columns, as arrays.

    `floor`, below which no score counts, is not used: to leave scores out takes longer here than to sort them.
    """
    with no_autocast(queries.device):
        scores = queries @ block.T  # (B, columns)
    if seen is not None:
        scores[tuple(torch.from_numpy(place).to(scores.device) for place in seen)] = -torch.inf
    values, columns = _top(scores, min(k, len(block)))
    return values.cpu().numpy(), columns.cpu().numpy()


def _top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k highest values of each row and their columns; of equal values the lowest columns, ascending."""
    values, columns = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    # topk leaves the order of equal values open. One more value than asked for shows where that matters.
    tied = ((values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf)).any(dim=1).nonzero()[:, 0]
    values, columns = values[:, :k], columns[:, :k]
    for rows in torch.split(tied, max(1, len(scores) // 8)):
        sorted_values, order = scores[rows].sort(dim=1, descending=True, stable=True)
        values[rows], columns[rows] = sorted_values[:, :k], order[:, :k]
    return values, columns
