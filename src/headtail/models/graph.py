"""The graph of who met what, and one step of propagation over it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from headtail.data import Interactions


class Graph(nn.Module):
    """Training interactions as a bipartite graph with symmetric normalization; each is an edge of weight 1.

    The edges are buffers, so that they are saved with the model that holds them.
    """

    def __init__(self, train: Interactions) -> None:
        super().__init__()
        for name, rows, columns, n_rows in (
            ("user", train.users, train.items, train.n_users),
            ("item", train.items, train.users, train.n_items),
        ):
            order = np.lexsort((columns, rows))
            starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
            self.register_buffer(f"{name}_starts", torch.from_numpy(starts.astype(np.int32)))
            self.register_buffer(f"{name}_met", torch.from_numpy(columns[order].astype(np.int32)))

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Propagate once: users (U, d) take from their items, and items (I, d) from their users.

        The new vector of node a is the sum over its neighbors b of b's vector / sqrt(|a| |b|), |.| the number of
        neighbors. A node without neighbors keeps its vector.
        """
        given = (users, items, self.user_starts, self.user_met, self.item_starts, self.item_met)
        result: tuple[Tensor, Tensor] = _Step.apply(*given)  # type: ignore[no-untyped-call]
        return result


class _Step(torch.autograd.Function):
    """The step is a symmetric linear map of all nodes' vectors, so that it is its own backward pass.

    ``embedding_bag`` sums the neighbors' vectors; on a CPU it is about three times as fast as a product with a sparse
    CSR matrix, and nothing of the size of the edges times d is made.
    """

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, *graph: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(*graph)
        return _step(users, items, *graph)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_users: Tensor, of_items: Tensor) -> tuple[Tensor | None, ...]:
        return *_step(of_users, of_items, *ctx.saved_tensors), None, None, None, None


def _step(
    users: Tensor, items: Tensor, user_starts: Tensor, user_met: Tensor, item_starts: Tensor, item_met: Tensor
) -> tuple[Tensor, Tensor]:
    user_counts, item_counts = (starts.diff()[:, None] for starts in (user_starts, item_starts))
    user_scale, item_scale = (counts.clamp_min(1).to(users.dtype).rsqrt() for counts in (user_counts, item_counts))
    new_users = _sums(items * item_scale, user_starts, user_met).mul_(user_scale)
    new_items = _sums(users * user_scale, item_starts, item_met).mul_(item_scale)
    return torch.where(user_counts == 0, users, new_users), torch.where(item_counts == 0, items, new_items)


def _sums(vectors: Tensor, starts: Tensor, met: Tensor) -> Tensor:
    return embedding_bag(met, vectors, starts, mode="sum", include_last_offset=True)
