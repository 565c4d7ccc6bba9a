"""Alternating least squares for implicit feedback, with the spectral term in closed form."""

import logging
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from headtail._checks import generator, integer, number
from headtail._progress import progress_bar
from headtail._tensors import check_module, without_autocast
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError, TrainingDivergedError
from headtail.models.lookup import rows_of
from headtail.reports import Chart, Column, Figure, Figures, Report, Result, Table
from headtail.typing import RNG, Array, Vectors

logger = logging.getLogger("headtail")

_ROUND = 2  # steps between solving for what couples the rows
_PARTS = ("observed", "unobserved", "decay", "resn")


@dataclass(frozen=True)
class Descent(Result):
    """The course of alternating least squares; what :meth:`ALS.fit` returns.

    Attributes
    ----------
    rows : tuple of dict
        One for each sweep: ``sweep`` (1 first), ``objective`` and its parts ``observed``, ``unobserved``, ``decay`` and
        ``resn``, all as means over users, and ``seconds``.
    settings : dict
        The model's configuration and the arguments of the call.
    """

    rows: tuple[dict[str, Any], ...]
    settings: dict[str, Any]

    def report(self) -> Report:
        """Return the run as a document: key figures, the objective's course, one row a sweep."""
        # A dict is what a callback recorded, which has a report of its own.
        rows = [{name: value for name, value in row.items() if not isinstance(value, dict)} for row in self.rows]
        last = rows[-1]
        figures = [
            Figure("Sweeps", len(rows), format="d"),
            Figure("Objective", last["objective"], format=".4f", note="Mean over users, after the last sweep."),
            Figure("Time", sum(row["seconds"] for row in rows), format=".1f", note="Seconds."),
        ]
        columns = [
            Column("sweep"),
            *(Column(name, format=".4f") for name in ("objective", *_PARTS)),
            Column("seconds", format=".2f"),
        ]
        chart = Chart("line", rows, x="sweep", y="objective", title="Objective")
        return Report("Alternating least squares", [Figures(figures), chart, Table(columns, rows, title="Sweeps")])

    def to_dict(self) -> dict[str, Any]:
        """Return rows and settings as plain values."""
        return {"rows": list(self.rows), "settings": self.settings}

    def _rows(self) -> list[dict[str, Any]]:
        return list(self.rows)


class ALS(nn.Module):
    r"""Matrix factorization with squared loss on all pairs, solved in closed form (iALS), with ReSN's spectral term.

    With scores s_ui = u_u . v_i, S the set of training pairs, n users and m items, r_i the popularity of an item (its
    training interactions), :meth:`fit` lowers::

        sum over (u, i) in S of (1 - s_ui)^2
          + unobserved_weight * [sum over all pairs of s_ui^2  +  resn * sum over users of (s_u . q)^2]
          + weight_decay * [sum over u of (|S_u| + unobserved_weight m) |u_u|^2
                            + sum over i of (r_i + unobserved_weight n) |v_i|^2]

    s_u is the row of all scores of a user and q = r / |r| the popularity direction, held fixed, which is where the
    first right singular vector of the scores lies nearly; so the term with `resn` is the part of the spectral norm's
    square that goes to popularity, ReSN with the direction given by the data. `resn` has no unit: a squared score
    along popularity costs ``1 + resn`` times what it costs along any other direction. One value therefore means about
    the same for any unobserved weight, number of users and number of items; 0.3 to 3 spans the useful range on
    MovieLens-1M. 0 is plain iALS.

    Each sweep solves for all users and then for all items, by conjugate gradients from where they were, so that the
    objective falls at every sweep until it is level to rounding. The preconditioner is the matrix that the normal
    equations would have if everybody had met items at random; with it two steps come as close as many. With `resn`, the
    items are coupled through q; each still takes steps of its own, and the coupling is solved for beside them.

    Users and items without training interactions have zero vectors after :meth:`fit`: all their scores are 0.

    Parameters
    ----------
    n_users, n_items : int
        Sizes of the catalogue, at least 1.
    embedding_dim : int, default 64
        Dimension d of the vectors, at least 1.
    unobserved_weight : float, optional
        Weight of the squared score of every pair beside that of an observed pair, above 0. By default :meth:`fit` takes
        ten times the density of the training interactions, at most 1. The first thing to tune, with `weight_decay`:
        0.001 to 1, smaller for sparser data; far too large a weight leaves the same few items in everybody's list.
    weight_decay : float, optional
        L2 regularization, scaled by the weight of the pairs that a vector takes part in; above 0. By default
        :meth:`fit` takes 0.08 over the square root of the mean number of interactions behind a vector, user or item.
    resn : float, default 0
        Weight of the spectral term, at least 0.
    rng : int, numpy Generator or None
        Source of the initial item vectors, normal with standard deviation 0.1 / sqrt(d). Users start at 0.

    Attributes
    ----------
    config : dict
        The arguments that make this model again, with its class's name under ``"model"``; after :meth:`fit` with the
        weights that it took.

    Raises
    ------
    InvalidInputError
        If a size is not a whole number of at least 1, or a weight is out of range.

    References
    ----------
    Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008, equation 4.
    Rendle, Krichene, Zhang and Koren, Revisiting the performance of iALS on item recommendation benchmarks,
    arXiv 2110.14037 (the regularizer, with nu = 1, and the initial vectors).
    Lin et al., How do recommendation models amplify popularity bias?, WSDM 2025 (the spectral norm as a penalty; the
    closed form is ours).

    Examples
    --------
    >>> from headtail.datasets import checkerboard
    >>> train = checkerboard(20, 20).train
    >>> model = ALS(train.n_users, train.n_items, embedding_dim=4, rng=0)
    >>> descent = model.fit(train, sweeps=5)
    >>> objective = [row["objective"] for row in descent.rows]
    >>> objective == sorted(objective, reverse=True)
    True
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        embedding_dim: int = 64,
        *,
        unobserved_weight: float | None = None,
        weight_decay: float | None = None,
        resn: float = 0.0,
        rng: RNG = None,
    ) -> None:
        super().__init__()
        self.n_users = integer("n_users", n_users, low=1)
        self.n_items = integer("n_items", n_items, low=1)
        self.embedding_dim = integer("embedding_dim", embedding_dim, low=1)
        self.unobserved_weight, self.weight_decay = (
            None if value is None else number(name, value, low=0, low_open=True)
            for name, value in (("unobserved_weight", unobserved_weight), ("weight_decay", weight_decay))
        )
        self.resn = number("resn", resn, low=0)
        self.config: dict[str, object] = {
            "model": "ALS",
            "n_users": self.n_users,
            "n_items": self.n_items,
            "embedding_dim": self.embedding_dim,
            "unobserved_weight": self.unobserved_weight,
            "weight_decay": self.weight_decay,
            "resn": self.resn,
        }
        source = torch.Generator().manual_seed(int(generator(rng).integers(2**63)))
        items = torch.randn(self.n_items, self.embedding_dim, generator=source) * (0.1 / self.embedding_dim**0.5)
        # No gradient ever flows here: fit() below solves, it does not step.
        self.users = nn.Parameter(torch.zeros(self.n_users, self.embedding_dim), requires_grad=False)
        self.items = nn.Parameter(items, requires_grad=False)
        self.query = nn.Identity()  # where hooks find the queries

    def extra_repr(self) -> str:
        """Return the arguments, for the model's ``repr``."""
        return ", ".join(f"{name}={value}" for name, value in self.config.items() if name != "model")

    def forward(self, users: Tensor) -> Vectors:
        """Return the vectors of the users (B,) as (B, d) and of all items as (I, d)."""
        return Vectors(self.query(rows_of(self.users, users)), self.items)

    @torch.no_grad()
    @without_autocast
    def fit(
        self,
        train: Interactions,
        *,
        sweeps: int = 12,
        steps: int = 2,
        item_weights: Array | None = None,
        device: str | torch.device | None = None,
        progress: bool | None = None,
        callback: Callable[[nn.Module, dict[str, Any]], object] | None = None,
    ) -> Descent:
        """Lower the objective, from the vectors that the model holds.

        Another call goes on from there: with the same interactions, two calls of 6 sweeps are one of 12, also where
        the model was saved and loaded in between.

        Parameters
        ----------
        train : Interactions, frame or sparse matrix
            Training interactions; every one counts as observed, whatever its rating.
        sweeps : int, default 12
            Times that users and items are solved for.
        steps : int, default 2
            Steps of conjugate gradients for either side in a sweep.
        item_weights : array of shape (n_items,), optional
            Multiplies the squared error of every observed pair by the weight of its item, such as those of
            :func:`headtail.losses.inverse_propensity`; without it all are 1. The other terms stay as they are.
        device : str or torch.device, optional
            Where to compute; the model is moved there. Without it, where the model is.
        progress : bool, optional
            Show a progress bar on standard error; without it, only where that is a terminal.
        callback : callable, optional
            Called as ``callback(model, row)`` after every sweep with the row of the result, and may add to it.

        Returns
        -------
        Descent

        Raises
        ------
        InvalidInputError
            If the model and `train` differ in size, `train` is empty, or an argument is out of range.
        TrainingDivergedError
            If the objective is not finite, which means that the model's vectors were not.
        """
        train = Interactions.of(train, what="train")
        integer("sweeps", sweeps, low=1)
        integer("steps", steps, low=1)
        for name in ("n_users", "n_items"):
            if getattr(self, name) != getattr(train, name):
                raise InvalidInputError(
                    f"the model has {name}={getattr(self, name)} and train {getattr(train, name)}; make the model with "
                    f"the sizes of train."
                )
        if not len(train):
            raise InvalidInputError("train holds no interactions, so there is nothing to learn from. Check the split.")
        check_module(self)
        self.to(self.users.device if device is None else device)
        weights = self._weights(train)
        users, items = self.users, self.items
        observed = train.matrix
        if item_weights is not None:
            observed = observed.astype(np.float64)
            observed.data = _checked(item_weights, self.n_items)[observed.indices]
        by_user, by_item = (
            _Side(matrix, users, weighted=item_weights is not None) for matrix in (observed, observed.T.tocsr())
        )
        direction = by_item.counts / torch.linalg.vector_norm(by_item.counts)  # q, (I,)
        users[by_user.counts == 0] = 0
        items[by_item.counts == 0] = 0

        rows: list[dict[str, Any]] = []
        scores = by_user.scores(users, items)
        with progress_bar("sweeps", sweeps, show=progress) as advance:
            for sweep in range(1, sweeps + 1):
                started = time.perf_counter()
                user_side = self._equations(by_user, items, weights, within=items.T @ direction)
                users.copy_(user_side.solve(users, scores, steps))
                item_side = self._equations(by_item, users, weights, across=direction)
                items.copy_(item_side.solve(items, by_item.scores(items, users), steps))
                scores = by_user.scores(users, items)  # for the objective, and for the next sweep's first residual
                parts = self._objective(by_user, by_item, scores, direction, weights)
                row = {"sweep": sweep, "objective": sum(parts), **dict(zip(_PARTS, parts, strict=True))}
                row["seconds"] = time.perf_counter() - started
                if not np.isfinite(row["objective"]):
                    raise TrainingDivergedError(
                        f"Sweep {sweep}: the objective is {row['objective']}. Likely cause: the model held values that "
                        f"are not finite, or too large, before; make a new one."
                    )
                rows.append(row)
                advance(1, f"objective {row['objective']:.4f}")
                if callback is not None:
                    callback(self, row)
        logger.info("ALS: %d sweeps, objective %.6g", sweeps, rows[-1]["objective"])
        self.eval()
        settings = {**self.config, "sweeps": sweeps, "steps": steps, "weighted": item_weights is not None}
        return Descent(rows=tuple(rows), settings=settings)

    def _weights(self, train: Interactions) -> tuple[float, float]:
        """Return the weights of unobserved pairs and of the decay, and keep them where the interactions give them."""
        if self.unobserved_weight is None:
            self.unobserved_weight = min(1.0, 10 * len(train) / (self.n_users * self.n_items))
        if self.weight_decay is None:
            self.weight_decay = 0.08 / math.sqrt(2 * len(train) / (self.n_users + self.n_items))
        self.config |= {"unobserved_weight": self.unobserved_weight, "weight_decay": self.weight_decay}
        return self.unobserved_weight, self.weight_decay

    def _equations(
        self,
        side: "_Side",
        other: Tensor,
        weights: tuple[float, float],
        *,
        within: Tensor | None = None,
        across: Tensor | None = None,
    ) -> "_Equations":
        unobserved, decay = weights
        return _Equations(
            side,
            other,
            unobserved=unobserved,
            decay=decay,
            spectral=unobserved * self.resn,
            within=within,
            across=across,
        )

    def _objective(
        self, by_user: "_Side", by_item: "_Side", scores: Tensor, direction: Tensor, weights: tuple[float, float]
    ) -> list[float]:
        """Return the parts of the objective, each divided by the number of users."""
        users, items, (weight, decay) = self.users, self.items, weights
        gram = users.T @ users  # (d, d)
        along = items.T @ direction  # (d,)
        decays = [
            ((side.counts + weight * side.n_columns) * rows.square().sum(dim=1)).sum(dtype=torch.float64)
            for side, rows in ((by_user, users), (by_item, items))
        ]
        parts = torch.stack(
            [
                by_user.weighted((1 - scores).square()).sum(dtype=torch.float64),
                weight * (gram * (items.T @ items)).sum(dtype=torch.float64),
                decay * torch.stack(decays).sum(),
                weight * self.resn * (along @ gram @ along).double(),
            ]
        )
        return [float(part) for part in (parts / self.n_users).tolist()]


def _checked(item_weights: Array, n_items: int) -> NDArray[np.float64]:
    weights = np.asarray(item_weights, dtype=np.float64)
    if weights.shape != (n_items,):
        raise InvalidInputError(f"item_weights has shape {weights.shape}; give one for each of the {n_items} items.")
    if (bad := ~np.isfinite(weights) | (weights < 0)).any():
        first = int(bad.argmax())
        raise InvalidInputError(f"item_weights is {weights[first]} at item {first}; give finite weights of at least 0.")
    return weights


class _Side:
    """The interactions of one side, by rows: those of each user, or those of each item."""

    def __init__(self, matrix: Any, like: Tensor, *, weighted: bool) -> None:
        self.n_columns: int = matrix.shape[1]
        self.starts = torch.from_numpy(matrix.indptr.astype(np.int64)).to(like.device)
        self.columns = torch.from_numpy(matrix.indices.astype(np.int64)).to(like.device)
        self.counts = self.starts.diff().to(like.dtype)  # (rows,)
        self.weights = torch.from_numpy(matrix.data).to(like) if weighted else None  # (n,)
        self.mass = torch.from_numpy(matrix.sum(axis=1)).to(like) if weighted else self.counts
        with warnings.catch_warnings():  # torch calls its sparse matrices a beta
            warnings.simplefilter("ignore", UserWarning)
            zeros = self.counts.new_zeros(len(self.columns))
            self.pattern = torch.sparse_csr_tensor(
                self.starts, self.columns, zeros, matrix.shape, check_invariants=True
            )

    def scores(self, rows: Tensor, other: Tensor) -> Tensor:
        """Return the inner products of the pairs that interacted, (n,), of rows (R, d) and the other side (C, d)."""
        product: Tensor = torch.sparse.sampled_addmm(self.pattern, rows, other.T, beta=0.0)
        return product.values()

    def weighted(self, values: Tensor) -> Tensor:
        """Return values of the pairs, (n,), times the pairs' weights."""
        return values if self.weights is None else values * self.weights

    def sums(self, values: Tensor, other: Tensor) -> Tensor:
        """Return each row's sum of the vectors that it met times the pairs' values and weights, (R, d)."""
        factors = self.weighted(values)
        return embedding_bag(
            self.columns, other, self.starts, mode="sum", per_sample_weights=factors, include_last_offset=True
        )


class _Equations:
    """The normal equations of one side's vectors X (R, d), the other side's Y (C, d) held.

    The objective is quadratic in X. Half its Hessian maps a direction P (R, d), with rows p, to the sum of::

        sum over met y of weight y (y . p) + unobserved Y^T Y p + decay C c p,   c = met / C + unobserved, for every row
        spectral P w w^T on the users' side,   spectral q (P^T q)^T Y^T Y on the items' side

    w (`within`) is a vector of d and q (`across`) one of R; one of them is given.
    """

    def __init__(
        self,
        side: _Side,
        other: Tensor,
        *,
        unobserved: float,
        decay: float,
        spectral: float,
        within: Tensor | None,
        across: Tensor | None,
    ) -> None:
        self.side, self.other = side, other
        self.gram = other.T @ other
        self.dense = unobserved * self.gram
        self.across = across if spectral else None
        self.spectral = spectral
        if within is not None:
            self.dense = self.dense + spectral * torch.outer(within, within)
        self.level = (side.counts / side.n_columns + unobserved)[:, None]  # c, (R, 1)
        self.decay = decay * side.n_columns * self.level
        # Were a row's items a fair sample of all, its matrix would be c times one d x d matrix: the preconditioner.
        matrix = self.dense.double() / unobserved
        least = torch.finfo(other.dtype).eps * matrix.diagonal().sum()  # so that rounding leaves it positive definite
        ridge = decay * side.n_columns + least
        even = torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        self.inverse = torch.linalg.inv(matrix + ridge * even).to(other.dtype)
        self.least = self.level * ridge.to(other.dtype)

    def solve(self, rows: Tensor, scores: Tensor, steps: int) -> Tensor:
        """Return the rows after some steps of conjugate gradients; `scores` are those of the rows as they are."""
        if self.across is None:
            return rows + self._steps(rows, self._residual(rows, scores), steps)[0]
        for taken in range(0, steps, _ROUND):
            if taken:
                scores = self.side.scores(rows, self.other)
            rows = self._round(rows, scores, min(_ROUND, steps - taken), self.across)
        return rows

    def _round(self, rows: Tensor, scores: Tensor, steps: int, across: Tensor) -> Tensor:
        """Return coupled rows after some steps, and the coupling solved for.

        They too take steps of their own, which converge far sooner than steps of one length for all. They are taken
        against the coupling that is foreseen at the end: that after the best move of all rows by g_r a, one vector a
        for all, g = q / c, which is how rows would answer the coupling were their matrices alike. Then the objective is
        lowered exactly over the change found and those moves.
        """
        residual = self._residual(rows, scores).addr_(across, self._coupling(across @ rows), alpha=-1)
        shares = across / self.level[:, 0]  # g, (R,)
        moves, downhill = self._matrix_of_moves(shares, across), (shares @ residual).double()
        foreseen = self._coupling((across @ shares) * _minimum(moves, downhill).to(rows.dtype))
        change, image = self._steps(rows, torch.addr(residual, across, foreseen, alpha=-1), steps)
        image.addr_(across, self._coupling(across @ change))
        mixed, own = (shares @ image).double(), (change * image).sum().double()
        matrix = torch.cat([torch.cat([moves, mixed[:, None]], dim=1), torch.cat([mixed, own[None]])[None]])
        downhill = torch.cat([downhill, (residual * change).sum().double()[None]])
        best = _minimum(matrix, downhill)
        best = torch.where(downhill @ best > self._rounding(rows).sum(), best, 0).to(rows.dtype)
        return torch.addr(rows + best[-1] * change, shares, best[:-1])

    def _residual(self, rows: Tensor, scores: Tensor) -> Tensor:
        """Return half the negative gradient, (R, d), without the coupling."""
        return self.side.sums(1 - scores, self.other) - self._dense(rows)

    def _steps(self, rows: Tensor, residual: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Return the change of the rows by preconditioned conjugate gradients, each by itself, and its image."""
        side, other = self.side, self.other
        change, images, search = (torch.zeros_like(rows) for _ in range(3))
        previous = rows.new_tensor(torch.inf)
        rounding = self._rounding(rows)
        for _ in range(steps):
            scaled = (residual / self.level) @ self.inverse
            square = _dot(residual, scaled)
            search = scaled + (square / previous) * search
            image = side.sums(side.scores(search, other), other) + self._dense(search)
            # The Hessian is at least `decay`; below `least` rounding hides it.
            curvature = torch.maximum(_dot(search, image), _dot(search, self.least * search))
            slope = _dot(residual, search)
            # A step for a gain that is lost in rounding would follow noise.
            length = torch.where(slope * (slope / curvature) > rounding, slope / curvature, 0)
            change = change + length * search
            images = images + length * image
            residual = residual - length * image
            previous = torch.where(square > 0, square, torch.inf)
        return change, images

    def _dense(self, rows: Tensor) -> Tensor:
        """Return what the Hessian makes of rows without the observed pairs and without the coupling."""
        return rows @ self.dense + self.decay * rows

    def _coupling(self, along: Tensor) -> Tensor:
        """Return (d,) what, times q, the coupling adds to the Hessian's image of rows with the sum `along` over q."""
        return self.spectral * (self.gram @ along)

    def _matrix_of_moves(self, shares: Tensor, across: Tensor) -> Tensor:
        """Return half the Hessian, (d, d), of moves of every row r by shares_r a, as a function of a."""
        side, squares = self.side, shares.square()
        observed = side.weighted(squares.repeat_interleave(side.starts.diff()))
        of_others = squares.new_zeros(side.n_columns).index_add_(0, side.columns, observed)
        matrix = (self.other.T * of_others) @ self.other + squares.sum() * self.dense
        matrix += self.spectral * (shares @ across).square() * self.gram
        matrix.diagonal().add_(squares @ self.decay[:, 0])
        return matrix.double()

    def _rounding(self, rows: Tensor) -> Tensor:
        """Return how far rounding may move the objective, by each row, (R, 1)."""
        largest = self.dense.diagonal().sum()
        if self.across is not None:
            largest = largest + self.spectral * self.gram.diagonal().sum()
        return torch.finfo(rows.dtype).eps * (self.side.mass[:, None] + _dot(rows, rows) * largest)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Return the inner products of rows with rows, (R, 1)."""
    products: Tensor = torch.linalg.vecdot(left, right)
    return products[:, None]


def _minimum(matrix: Tensor, downhill: Tensor) -> Tensor:
    """Return where ``x @ matrix @ x - 2 * downhill @ x`` is lowest."""
    lowest: Tensor = torch.linalg.pinv(matrix, hermitian=True) @ downhill
    return lowest
