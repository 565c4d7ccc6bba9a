"""Matrix factorization."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from headtail._checks import checked, generator, integer
from headtail._tensors import take_rows
from headtail.data import Interactions
from headtail.losses import mse
from headtail.typing import RNG, Vectors


class MF(nn.Module):
    """One vector for each user and each item; a score is their inner product. No biases.

    Both tables start from Xavier's uniform distribution (Glorot and Bengio 2010), as in the ReSN authors' set-up.
    Train it with :func:`headtail.fit`; the loss decides which of the classic models it is (BPR-MF with
    :func:`headtail.losses.bpr`). Usually it is :func:`headtail.losses.mse`, with 4 negatives.

    Parameters
    ----------
    n_users, n_items : int
    embedding_dim : int, default 64
        Dimension d of the vectors.
    rng : seed or generator, default 0

    Examples
    --------
    >>> model = MF(n_users=4, n_items=6, embedding_dim=2, rng=0)
    >>> queries, items = model(torch.tensor([0, 3]))
    >>> queries.shape, items.shape
    (torch.Size([2, 2]), torch.Size([6, 2]))
    """

    # The squared loss makes the scores follow the data, popularity included.
    usual: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"loss": mse, "n_negatives": 4, "lr": 5e-3, "batch_size": 8192, "epochs": 60, "eval_every": 2}
    )
    needs_order: ClassVar[bool] = False
    # What forward takes rows of, and what it returns whole.
    row_tables: ClassVar[tuple[str, str] | None] = ("users", "items")

    @checked
    def __init__(self, n_users: int, n_items: int, embedding_dim: int = 64, *, rng: RNG = 0) -> None:
        super().__init__()
        self.n_users = integer("n_users", n_users, low=1)
        self.n_items = integer("n_items", n_items, low=1)
        self.embedding_dim = integer("embedding_dim", embedding_dim, low=1)
        self.config: dict[str, Any] = {
            "model": type(self).__name__, "n_users": self.n_users, "n_items": self.n_items,
            "embedding_dim": self.embedding_dim,
        }  # fmt: skip
        source = torch.Generator().manual_seed(int(generator(rng).integers(2**63)))
        self.users, self.items = self._start(source)
        self.query, self.item = nn.Identity(), nn.Identity()  # where hooks find queries and items

    def _start(self, source: torch.Generator) -> tuple[nn.Parameter, ...]:
        """Return the vectors of users and items to begin with."""
        shapes = (self.n_users, self.embedding_dim), (self.n_items, self.embedding_dim)
        return tuple(
            nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape, device="cpu"), generator=source))
            for shape in shapes
        )

    @classmethod
    @checked
    def for_data(cls, train: Interactions, *, rng: RNG = 0, **sizes: Any) -> Self:
        """Return a model for the users and items of `train`."""
        train = Interactions.of(train, what="train")
        return cls(train.n_users, train.n_items, rng=rng, **sizes)

    def forward(self, users: Tensor) -> Vectors:
        """Return the vectors of the users (B,) as (B, d) and of all items as (I, d)."""
        return Vectors(self.query(take_rows(self.users, users)), self.item(self.items))
