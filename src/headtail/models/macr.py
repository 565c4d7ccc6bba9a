"""MACR."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from headtail._checks import checked, generator, number
from headtail._tensors import take_rows
from headtail.exceptions import InvalidInputError
from headtail.losses import bce
from headtail.typing import RNG, Vectors


class MACR(nn.Module):
    """A model of users whose scores are gated by how popular the item is and how active the user, for training.

    With q and v the vectors of the model within, and w and w' learned, ``m_i = w . v_i`` and ``n_u = w' . q_u`` tell
    popular items and active users; the score is ``(q_u . v_i - c) * sigmoid(m_i) * sigmoid(n_u)``. In training c is 0,
    and to the loss of the scores, :func:`headtail.losses.bce` as published, are added `alpha` times that of the m_i
    alone and `beta` times that of the n_u alone. A c above 0, given afterwards by :meth:`at`, holds an item down the
    more, the more the gates say that all like it. Queries are ``sigmoid(n_u) (q_u, -c)`` and items
    ``sigmoid(m_i) (v_i, 1)``, vectors that any index serves.

    Source: Wei et al., Model-agnostic counterfactual reasoning for eliminating popularity bias in recommender system,
    KDD 2021; the scores, linear gates, losses and inference of its public code.

    Parameters
    ----------
    model : torch.nn.Module
        Of users, such as :class:`MF` or :class:`LightGCN`; it becomes a part of this one.
    c : float, default 0
        In units of the scores of the model within; choose on validation. The authors' runs take 30 to 40.
    alpha, beta : float, default 0.1 and 1e-3
        At least 0. The authors' alpha, 1e-3 to 1e-2 for up to 2,000 epochs, is too small for the usual 60.
    rng : seed or generator, default 0

    Examples
    --------
    >>> model = MACR(ht.MF(n_users=4, n_items=6, embedding_dim=2, rng=0), c=30.0)
    >>> queries, items = model(torch.tensor([0, 3]))
    >>> queries.shape, items.shape
    (torch.Size([2, 3]), torch.Size([6, 3]))
    """

    needs_order: ClassVar[bool] = False

    @checked
    def __init__(
        self, model: nn.Module, *, c: float = 0.0, alpha: float = 0.1, beta: float = 1e-3, rng: RNG = 0
    ) -> None:
        super().__init__()
        if hasattr(model, "max_length") or hasattr(model, "solve") or not hasattr(model, "embedding_dim"):
            raise InvalidInputError(
                f"{type(model).__name__} is not a model that learns of users from drawn negatives, as MACR does. "
                f"Give MF, LightGCN or XSimGCL."
            )
        self.model = within = cast(Any, model)
        self.c, self.alpha, self.beta = number("c", c), number("alpha", alpha, low=0), number("beta", beta, low=0)
        self.n_users, self.n_items = within.n_users, within.n_items
        self.usual = {**within.usual, "loss": bce}
        source = torch.Generator().manual_seed(int(generator(rng).integers(2**63)))
        self.of_users, self.of_items = (
            nn.Parameter(nn.init.xavier_uniform_(torch.empty(within.embedding_dim, 1, device="cpu"), generator=source))
            for _ in range(2)
        )
        self.query, self.item = nn.Identity(), nn.Identity()  # where hooks find queries and items

    @property
    def config(self) -> dict[str, object]:
        """Arguments that make it again, those of the model within under ``"of"``."""
        return {"model": "MACR", "c": self.c, "alpha": self.alpha, "beta": self.beta, "of": self.model.config}

    @classmethod
    @checked
    def from_config(cls, *, of: Mapping[str, Any], **settings: Any) -> Self:
        """Return a model of the right shapes, for :func:`headtail.load_model` to fill with weights."""
        from headtail.models import from_config

        return cls(from_config(of), **settings)

    @checked
    def at(self, c: float) -> Self:
        """Return the same model, weights included, with another c."""
        other = copy.copy(self)
        other.c = number("c", c)
        return other

    def forward(self, users: Tensor) -> Vectors:
        """Return the vectors of the users (B,) as (B, d + 1) and of all items as (I, d + 1)."""
        return self._gated(*self.model(users))[0]

    def forward_with_loss(self, users: Tensor, rows: Tensor, candidates: Tensor) -> tuple[Vectors, Tensor]:
        """Return what :meth:`forward` does, and the losses of the gates and of the model within, if it has one."""
        if hasattr(self.model, "forward_with_loss"):
            vectors, loss = self.model.forward_with_loss(users, rows, candidates)
        else:
            vectors, loss = self.model(users), 0.0
        gated, active, popular = self._gated(*vectors)
        of_items = take_rows(popular, candidates.flatten()).view_as(candidates)
        of_users = take_rows(active, rows).expand_as(candidates)
        return gated, loss + sum(
            weight * bce(answers[:, 0], answers[:, 1:])
            for weight, answers in ((self.alpha, of_items), (self.beta, of_users))
        )

    def _gated(self, queries: Tensor, items: Tensor) -> tuple[Vectors, Tensor, Tensor]:
        """Return the vectors that are served, and n and m."""
        active, popular = queries @ self.of_users, items @ self.of_items  # (B, 1), (I, 1)
        queries = active.sigmoid() * torch.cat([queries, -self.c * torch.ones_like(active)], dim=1)
        items = popular.sigmoid() * torch.cat([items, torch.ones_like(popular)], dim=1)
        return Vectors(self.query(queries), self.item(items)), active, popular
