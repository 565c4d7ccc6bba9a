"""Self-attention over a user's history."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention

from headtail._checks import checked, generator, integer, number
from headtail._tensors import take_rows
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.losses import sampled_softmax
from headtail.typing import RNG, Vectors

_SPREAD = 0.02  # standard deviation of the initial embeddings


class SASRec(nn.Module):
    """The next item from the sequence of those before it, by a causal transformer.

    A sequence is a row of item codes, the latest at the right end, filled with -1 at the left, such as
    ``interactions.sequences(max_length=50)`` gives. The query of a user is the state at the last position. Items enter
    and leave by the same table, which has no row for padding: the amount of padding does not matter. Before the first
    item of a history stands, where there is room, a learned start, whose state is trained to predict everybody's first
    item, and is the query of a user without history.

    The published objective is :func:`headtail.losses.bce` with one negative; the usual one here is
    :func:`headtail.losses.sampled_softmax` with ``n_negatives="all"``, which gives better models. Blocks normalize
    before they attend (pre-norm), and dropout falls on embeddings and on what a block adds, not on attention weights.

    Source: Kang and McAuley, Self-attentive sequential recommendation, ICDM 2018.

    Parameters
    ----------
    n_items : int
    max_length : int, default 50
        Longest sequence L that the model takes.
    embedding_dim : int, default 64
        Dimension d of the vectors, a multiple of `n_heads`.
    n_layers, n_heads, inner_dim : int, default 2, 2 and 256
        Blocks (at most 1000), heads of the attention, and width of the feed-forward layers.
    dropout : float in [0, 1), default 0.2
        Share of values dropped in training.
    rng : seed or generator, default 0

    Examples
    --------
    >>> model = SASRec(n_items=6, max_length=4, embedding_dim=8, rng=0).eval()
    >>> queries, items = model(torch.tensor([[-1, -1, 3, 5], [-1, -1, -1, -1]]))
    >>> queries.shape, items.shape
    (torch.Size([2, 8]), torch.Size([6, 8]))
    """

    usual: ClassVar[Mapping[str, Any]] = MappingProxyType({
        "loss": sampled_softmax, "n_negatives": "all", "lr": 1e-3, "weight_decay": 0.0, "batch_size": 4096,
        "epochs": 100, "eval_every": 1,
    })  # fmt: skip
    needs_order: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        n_items: int,
        max_length: int = 50,
        embedding_dim: int = 64,
        n_layers: int = 2,
        n_heads: int = 2,
        inner_dim: int = 256,
        dropout: float = 0.2,
        *,
        rng: RNG = 0,
    ) -> None:
        super().__init__()
        self.n_items = integer("n_items", n_items, low=1)
        self.max_length = integer("max_length", max_length, low=1)
        self.embedding_dim = integer("embedding_dim", embedding_dim, low=1)
        n_layers = integer("n_layers", n_layers, low=1, high=1000)
        inner_dim = integer("inner_dim", inner_dim, low=1)
        if embedding_dim % integer("n_heads", n_heads, low=1):
            raise InvalidInputError(
                f"embedding_dim={embedding_dim} is not a multiple of n_heads={n_heads}; change one."
            )
        self.dropout = nn.Dropout(number("dropout", dropout, low=0, high=1, high_open=True))
        self.config: dict[str, object] = {
            "model": type(self).__name__,
            "n_items": self.n_items,
            "max_length": self.max_length,
            "embedding_dim": self.embedding_dim,
            "n_layers": int(n_layers),
            "n_heads": int(n_heads),
            "inner_dim": int(inner_dim),
            "dropout": self.dropout.p,
        }
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):  # torch's layers draw from the global state
            torch.default_generator.manual_seed(int(generator(rng).integers(2**63)))
            self.items = nn.Parameter(torch.randn(self.n_items, embedding_dim) * _SPREAD)
            self.start = nn.Parameter(torch.randn(embedding_dim) * _SPREAD)
            self.positions = nn.Parameter(torch.randn(self.max_length, embedding_dim) * _SPREAD)  # the latest is last
            self.blocks = nn.ModuleList(
                _Block(embedding_dim, n_heads, inner_dim, self.dropout.p) for _ in range(n_layers)
            )
            self.norm = nn.LayerNorm(embedding_dim)
        self.query, self.item = nn.Identity(), nn.Identity()

    @classmethod
    @checked
    def for_data(cls, train: Interactions, *, rng: RNG = 0, **sizes: Any) -> Self:
        """Return a model for the items of `train`."""
        return cls(Interactions.of(train, what="train").n_items, rng=rng, **sizes)

    def forward(self, sequences: Tensor) -> Vectors:
        """Return the queries (B, d) of sequences (B, L), filled with -1 at the left, and all items (I, d)."""
        _check(sequences, self.max_length)
        if sequences.shape[1] < self.max_length:
            sequences = pad(sequences, (1, 0), value=-1)  # room for the start
        x, allowed = self._embed(sequences)
        *others, last = self.blocks
        for block in others:
            x = block(x, allowed)
        # Of the last block only the last position is needed.
        x = last(x, allowed, last_only=True)[:, -1]
        return Vectors(self.query(self.norm(x)), self.item(self.items))

    def states(self, sequences: Tensor) -> Vectors:
        """Return the states (B, L, d) at all positions of sequences (B, L), and the vectors of items (I, d).

        The state at a position is the query that a user had when the item there was their latest. At the position just
        before a history's first item it is that of a user without history; further to the left it means nothing.
        """
        x, allowed = self._embed(sequences)
        for block in self.blocks:
            x = block(x, allowed)
        return Vectors(self.query(self.norm(x)), self.item(self.items))

    def _embed(self, sequences: Tensor) -> tuple[Tensor, Tensor]:
        """Return what enters the blocks, (B, L, d), and which position may attend to which, (B, 1, L, L)."""
        length = sequences.shape[1]
        real = sequences >= 0
        x = take_rows(self.items, sequences.clamp_min(0).flatten()).view(*sequences.shape, -1)
        x = torch.where(real[:, :, None], x + self.positions[self.max_length - length :], self.start)
        # The filling is hidden but for its last position, the start; every position sees itself, so that none sees
        # nothing at all, which would give NaN.
        known = real | pad(real[:, 1:], (0, 1), value=True)
        itself = torch.eye(length, dtype=torch.bool, device=x.device)
        allowed = (known[:, None, None, :] | itself).tril()
        return self.dropout(x), allowed


class _Block(nn.Module):
    """Attention to earlier positions, then a feed-forward layer; each adds to what comes in."""

    def __init__(self, dim: int, n_heads: int, inner_dim: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_attention, self.norm_inner = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.of_query, self.of_key_value = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.inner, self.outer = nn.Linear(dim, inner_dim), nn.Linear(inner_dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, allowed: Tensor, last_only: bool = False) -> Tensor:
        """Return states (B, L, d), or (B, 1, d) of the last position alone."""
        queries, keys, values = self._projected(x, last_only)
        if last_only:
            x, allowed = x[:, -1:], allowed[:, :, -1:]
        attended = scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)  # (B, H, L, d / H)
        x = x + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        added: Tensor = self.dropout(self.outer(gelu(self.inner(self.norm_inner(x)))))
        return x + added

    def attention(self, x: Tensor, allowed: Tensor) -> Tensor:
        """Return how much each position attends to each other, (B, H, L, L), of states (B, L, d)."""
        queries, keys, _ = self._projected(x)
        scores: Tensor = queries @ keys.mT / keys.shape[3] ** 0.5
        return scores.masked_fill(~allowed, -torch.inf).softmax(dim=3)

    def _projected(self, x: Tensor, last_only: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        normed = self.norm_attention(x)
        keys, values = self.of_key_value(normed).chunk(2, dim=2)
        queries = self.of_query(normed[:, -1:] if last_only else normed)
        return self._heads(queries), self._heads(keys), self._heads(values)

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)


def _check(sequences: Tensor, max_length: int) -> None:
    if sequences.ndim != 2 or not 1 <= sequences.shape[1] <= max_length:
        raise InvalidInputError(
            f"sequences have shape {tuple(sequences.shape)}; give (B, L) with L of 1 to max_length={max_length}, the "
            f"latest item at the right, such as interactions.sequences(max_length={max_length})."
        )
    if torch.compiler.is_compiling():  # what follows depends on the values
        return
    if bool(((sequences[:, :-1] >= 0) & (sequences[:, 1:] < 0)).any()):
        raise InvalidInputError("sequences have -1 after an item; fill them at the left, with the latest item last.")
