"""Alternating least squares for implicit feedback, with the spectral term in closed form."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from headtail._checks import checked, integer, number
from headtail._tensors import without_autocast
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.models.mf import MF
from headtail.models.normal_equations import Equations, Side
from headtail.penalties import Penalty, ReSN
from headtail.typing import RNG, Array


class ALS(MF):
    r"""Matrix factorization with squared loss on all pairs, solved in closed form (iALS), with ReSN's spectral term.

    With scores s_ui = u_u . v_i, S the set of training pairs, n users and m items, r_i the popularity of an item (its
    training interactions), :func:`headtail.fit` lowers the loss ::

        1/|S| * { sum over (u, i) in S of (1 - s_ui)^2  +  unobserved_weight * sum over all pairs of s_ui^2
                  + weight_decay * [sum over u of (|S_u| + unobserved_weight m) |u_u|^2
                                    + sum over i of (r_i + unobserved_weight n) |v_i|^2] }

    and with ``penalties=[ReSN(w)]`` the sum of it and ``w * mean over users of (s_u . q)^2``: s_u is the row of all
    scores of a user and q = r / |r| the popularity direction, held fixed, near which the first right singular vector of
    the scores lies. It is :class:`~headtail.penalties.ReSN` with the direction given by the data, and w of the same
    unit. A squared score along popularity then costs ``1 + c`` times what it costs along any other direction,
    ``c = w |S| / (n unobserved_weight)``; c from 0.3 to 3 spans the useful range on MovieLens-1M. No other penalty has
    a closed form.

    Each epoch solves for all users and then for all items, by preconditioned conjugate gradients from where they were,
    so that the objective falls at every epoch until it is level to rounding. Users and items without training
    interactions have zero vectors after training.

    Source: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008, equation 4.
    Rendle et al., Revisiting the performance of iALS on item recommendation benchmarks, arXiv 2110.14037 (the
    regularizer, with nu = 1, and the initial vectors). Lin et al., WSDM 2025 (the spectral norm as a penalty; its
    closed form is ours).

    Parameters
    ----------
    n_users, n_items : int
    embedding_dim : int, default 64
        Dimension d of the vectors.
    unobserved_weight : float, optional
        Weight of the squared score of every pair beside that of an observed pair, above 0. By default training takes
        ten times the density of the training interactions, at most 1. The first thing to tune, with `weight_decay`:
        0.001 to 1, smaller for sparser data; far too large a weight leaves the same few items in everybody's list.
    weight_decay : float, optional
        L2 regularization, scaled by the weight of the pairs that a vector takes part in; above 0. By default 0.08 over
        the square root of the mean number of interactions behind a vector, user or item. Afterwards ``config`` holds
        what training took, of both.
    steps : int, default 2
        Steps of conjugate gradients for either side in an epoch.
    rng : seed or generator, default 0
        Source of the initial item vectors, normal with standard deviation 0.1 / sqrt(d). Users start at 0.

    Examples
    --------
    >>> train = ht.datasets.checkerboard(20, 20).train
    >>> model = ALS.for_data(train, embedding_dim=4, rng=0)
    >>> losses = [row["loss"] for row in ht.fit(model, train, epochs=5).rows]
    >>> losses == sorted(losses, reverse=True)
    True
    """

    usual: ClassVar[Mapping[str, Any]] = MappingProxyType({"epochs": 12, "eval_every": 1})

    @checked
    def __init__(
        self,
        n_users: int,
        n_items: int,
        embedding_dim: int = 64,
        *,
        unobserved_weight: float | None = None,
        weight_decay: float | None = None,
        steps: int = 2,
        rng: RNG = 0,
    ) -> None:
        super().__init__(n_users, n_items, embedding_dim, rng=rng)
        self.unobserved_weight, self.weight_decay = (
            None if value is None else number(name, value, low=0, low_open=True)
            for name, value in (("unobserved_weight", unobserved_weight), ("weight_decay", weight_decay))
        )
        self.steps = integer("steps", steps, low=1)
        self.config |= {
            "unobserved_weight": self.unobserved_weight, "weight_decay": self.weight_decay, "steps": self.steps,
        }  # fmt: skip

    def _start(self, source: torch.Generator) -> tuple[nn.Parameter, ...]:
        """Return the vectors of users, all 0, and of items to begin with."""
        items = torch.randn(self.n_items, self.embedding_dim, generator=source, device="cpu") * (
            0.1 / self.embedding_dim**0.5
        )
        # No gradient ever flows here: solve() below does all.
        tables = torch.zeros(self.n_users, self.embedding_dim, device="cpu"), items
        return tuple(nn.Parameter(table, requires_grad=False) for table in tables)

    def extra_repr(self) -> str:
        """Return the arguments, for the model's ``repr``."""
        return ", ".join(f"{name}={value}" for name, value in self.config.items() if name != "model")

    @checked
    def solve(
        self, train: Interactions, *, penalties: Sequence[Penalty] = (), item_weights: Array | None = None
    ) -> Callable[[], dict[str, float]]:
        """Return what solves for all users and then for all items, each time that it is called.

        :func:`headtail.fit` calls it once an epoch. Solving again starts from the vectors that the model holds: with
        the same interactions, two trainings of 6 epochs are one of 12.

        Parameters
        ----------
        train : Interactions
            Training interactions; every one counts as observed, whatever its rating.
        penalties : sequence, optional
            None, or one :class:`~headtail.penalties.ReSN` in its linear form; others have no closed form and raise.
        item_weights : array of shape (n_items,), optional
            Multiplies the squared error of every observed pair by the weight of its item; without it all are 1.

        Returns
        -------
        callable
            Without arguments; it returns the parts of the objective as means over the training pairs: ``observed``,
            ``unobserved`` and ``decay``, their sum ``loss``, and ``ReSN`` where it is penalized.
        """
        if not len(train):
            raise InvalidInputError("train is empty; there is nothing to learn from.")
        if self.users.dtype not in (torch.float32, torch.float64):
            raise InvalidInputError(f"ALS has vectors in {self.users.dtype}, which is too coarse. Give model.float().")
        weight = _spectral_weight(penalties)
        unobserved, decay = self._weights(train)
        spectral = weight * len(train) / self.n_users
        users, items = self.users, self.items
        observed = train.matrix
        if item_weights is not None:
            observed = observed.astype(np.float64)
            observed.data = np.asarray(item_weights)[observed.indices]
        by_user, by_item = (
            Side(matrix, users, weighted=item_weights is not None) for matrix in (observed, observed.T.tocsr())
        )
        direction = by_item.counts / torch.linalg.vector_norm(by_item.counts)  # q, (I,)
        terms: dict[str, Any] = {"unobserved": unobserved, "decay": decay, "spectral": spectral}
        scores: Tensor | None = None

        @torch.no_grad()
        @without_autocast
        def epoch() -> dict[str, float]:
            nonlocal scores
            if scores is None:
                users[by_user.counts == 0] = 0
                items[by_item.counts == 0] = 0
                scores = by_user.scores(users, items)
            of_users = Equations(by_user, items, **terms, within=items.T @ direction)
            users.copy_(of_users.solve(users, scores, self.steps))
            of_items = Equations(by_item, users, **terms, across=direction)
            items.copy_(of_items.solve(items, by_item.scores(items, users), self.steps))
            scores = by_user.scores(users, items)  # for the objective, and for the next epoch's first residual
            parts = self._objective(by_user, by_item, scores, direction, **terms)
            along = parts.pop()
            shown = {"loss": sum(parts), **dict(zip(("observed", "unobserved", "decay"), parts, strict=True))}
            return {**shown, "ReSN": along} if penalties else shown

        return epoch

    def _weights(self, train: Interactions) -> tuple[float, float]:
        """Return the weights of unobserved pairs and of the decay, and keep them where the interactions give them."""
        if self.unobserved_weight is None:
            self.unobserved_weight = min(1.0, 10 * len(train) / (self.n_users * self.n_items))
        if self.weight_decay is None:
            self.weight_decay = 0.08 / math.sqrt(2 * len(train) / (self.n_users + self.n_items))
        self.config |= {"unobserved_weight": self.unobserved_weight, "weight_decay": self.weight_decay}
        return self.unobserved_weight, self.weight_decay

    def _objective(
        self,
        by_user: "Side",
        by_item: "Side",
        scores: Tensor,
        direction: Tensor,
        *,
        unobserved: float,
        decay: float,
        spectral: float,
    ) -> list[float]:
        """Return the parts of the objective, the spectral one last, each divided by the number of training pairs."""
        users, items = self.users, self.items
        gram = users.T @ users  # (d, d)
        along = items.T @ direction  # (d,)
        decays = [
            ((side.counts + unobserved * side.n_columns) * rows.square().sum(dim=1)).sum(dtype=torch.float64)
            for side, rows in ((by_user, users), (by_item, items))
        ]
        parts = torch.stack(
            [
                by_user.weighted((1 - scores).square()).sum(dtype=torch.float64),
                unobserved * (gram * (items.T @ items)).sum(dtype=torch.float64),
                decay * torch.stack(decays).sum(),
                spectral * (along @ gram @ along).double(),
            ]
        )
        return [float(part) for part in (parts / len(scores)).tolist()]


def _spectral_weight(penalties: Sequence[Penalty]) -> float:
    """Return the weight of the only penalty that has a closed form."""
    weights = []
    for penalty in penalties:
        if not isinstance(penalty, ReSN) or penalty.form != "linear" or penalty.distributed:
            raise InvalidInputError(
                f"ALS has a closed form of ReSN alone, in its linear form and of one process, and not of {penalty!r}. "
                f"Leave the penalty out, or train another model with it."
            )
        weights.append(penalty.weight)
    if len(weights) > 1:
        raise InvalidInputError(f"penalties holds ReSN {len(weights)} times; give one with the sum of their weights.")
    return sum(weights)
