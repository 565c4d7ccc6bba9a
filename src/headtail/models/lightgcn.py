"""LightGCN."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from headtail._checks import checked, integer
from headtail._tensors import take_rows
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.losses import bpr
from headtail.models.mf import MF
from headtail.typing import RNG, Vectors


class LightGCN(MF):
    """Vectors propagated over the graph of training interactions, without weights or activations in between.

    Each layer replaces a node's vector by the normalized sum of its neighbors' (divided by the roots of both numbers of
    neighbors); a final vector is the mean over the start and all layers. A user or item without training interactions
    keeps its own. Start vectors are normal with standard deviation 0.1, as in the authors' code.

    The graph is saved and loaded with the weights; train on the same interactions. Every batch propagates over the
    whole graph, so that larger batches, with a larger `lr`, make shorter epochs.

    Source: He et al., LightGCN: simplifying and powering graph convolution network for recommendation, SIGIR 2020,
    section 3.1.

    Parameters
    ----------
    train : Interactions, frame or sparse matrix
        Training interactions, the edges of the graph; never those of validation or test.
    embedding_dim : int, default 64
        Dimension d of the vectors.
    n_layers : int, default 3
        Number of propagations, at most 1000.
    rng : seed or generator, default 0

    Examples
    --------
    >>> train = ht.datasets.checkerboard(20, 20).train
    >>> model = LightGCN(train, embedding_dim=4, n_layers=2, rng=0)
    >>> queries, items = model(torch.tensor([0, 3]))
    >>> queries.shape, items.shape
    (torch.Size([2, 4]), torch.Size([20, 4]))
    """

    usual: ClassVar[Mapping[str, Any]] = MappingProxyType({
        "loss": bpr, "n_negatives": 1, "lr": 1e-2, "weight_decay": 1e-6, "batch_size": 8192,
        "epochs": 200, "eval_every": 10,
    })  # fmt: skip
    row_tables: ClassVar[tuple[str, str] | None] = None  # every batch takes the whole graph

    @checked
    def __init__(self, train: Interactions, embedding_dim: int = 64, n_layers: int = 3, *, rng: RNG = 0) -> None:
        train = Interactions.of(train, what="train")
        if not len(train):
            raise InvalidInputError("train holds no interactions, so there is no graph. Check the split.")
        super().__init__(train.n_users, train.n_items, embedding_dim, rng=rng)
        self.n_layers = integer("n_layers", n_layers, low=1, high=1000)
        self.config |= {"n_layers": self.n_layers, "n_interactions": len(train)}
        self.graph = Graph(train)

    def _start(self, source: torch.Generator) -> tuple[nn.Parameter, ...]:
        """Return the vectors of users and items to begin with."""
        shapes = (self.n_users, self.embedding_dim), (self.n_items, self.embedding_dim)
        return tuple(nn.Parameter(torch.randn(shape, generator=source, device="cpu") * 0.1) for shape in shapes)

    @classmethod
    @checked
    def for_data(cls, train: Interactions, *, rng: RNG = 0, **sizes: Any) -> Self:
        """Return a model with the graph of `train`."""
        return cls(train, rng=rng, **sizes)

    @classmethod
    @checked
    def from_config(cls, *, n_users: int, n_items: int, n_interactions: int, **settings: Any) -> Self:
        """Return a model of the right shapes, for :func:`headtail.load_model` to fill with weights and graph."""
        nowhere = np.zeros(integer("n_interactions", n_interactions, low=1), dtype=np.int32)
        user_ids = np.arange(integer("n_users", n_users, low=1))
        item_ids = np.arange(integer("n_items", n_items, low=1))
        return cls(Interactions(user_ids, item_ids, nowhere, nowhere), **settings)

    def forward(self, users: Tensor) -> Vectors:
        """Return the vectors of the users (B,) as (B, d) and of all items as (I, d)."""
        queries, items = mean_of(self._layers())
        return Vectors(self.query(take_rows(queries, users)), self.item(items))

    def _layers(self) -> list[tuple[Tensor, Tensor]]:
        """Return the vectors of users and items at the start and after each propagation."""
        layers: list[tuple[Tensor, Tensor]] = [(self.users, self.items)]
        for _ in range(self.n_layers):
            layers.append(self.graph(*layers[-1]))
        return layers


def mean_of(layers: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the mean vectors of users and of items over the layers."""
    users, items = (torch.stack(tables).mean(dim=0) for tables in zip(*layers, strict=True))
    return users, items


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
