"""The normal equations of alternating least squares, and some steps towards their solution."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from headtail._tensors import sparse_rows

_ROUND = 2  # steps between solving for what couples the rows


class Side:
    """The interactions of one side, by rows: those of each user, or those of each item."""

    def __init__(self, matrix: Any, like: Tensor, *, weighted: bool) -> None:
        self.n_columns: int = matrix.shape[1]
        self.starts = torch.from_numpy(matrix.indptr.astype(np.int64)).to(like.device)
        self.columns = torch.from_numpy(matrix.indices.astype(np.int64)).to(like.device)
        self.counts = self.starts.diff().to(like.dtype)  # (rows,)
        self.weights = torch.from_numpy(matrix.data).to(like) if weighted else None  # (n,)
        self.mass = torch.from_numpy(matrix.sum(axis=1)).to(like) if weighted else self.counts
        self.pattern = sparse_rows(self.starts, self.columns, matrix.shape, like, check=True)

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


class Equations:
    """The normal equations of one side's vectors X (R, d), the other side's Y (C, d) held.

    The objective is quadratic in X. Half its Hessian maps a direction P (R, d), with rows p, to the sum of::

        sum over met y of weight y (y . p) + unobserved Y^T Y p + decay C c p,   c = met / C + unobserved, for every row
        spectral P w w^T on the users' side,   spectral q (P^T q)^T Y^T Y on the items' side

    w (`within`) is a vector of d and q (`across`) one of R; one of them is given.
    """

    def __init__(
        self,
        side: Side,
        other: Tensor,
        *,
        unobserved: float,
        decay: float,
        spectral: float,
        within: Tensor | None = None,
        across: Tensor | None = None,
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
