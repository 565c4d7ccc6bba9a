"""How the lists of a sample of users answer a bias of the items, by their vectors."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headtail import _factors
from headtail._checks import finite, integer
from headtail._exposure import Count, Goal, counter_of_vectors, sampled
from headtail.data.rows import matrix_of, popularity_of
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Floats, Ints, Vectors


@dataclass(frozen=True, eq=False)
class SampledExposure:
    """How the lists of a sample of users respond to a bias of the items, whatever strength and welfare ask for one."""

    pair: Vectors
    count: Count
    n_slots: int
    spread: float
    popularity: Ints | None  # of the items in what was seen

    def bias(self, goal: Goal, popularity: Any = None) -> Floats:
        """Return the bias, (m,), that settles a goal; without `popularity` that of what was seen earns exposure."""
        earned = self.popularity if popularity is None else popularity_of(popularity, self.pair)
        n_items = len(self.pair.items)
        return self.spread * goal.settle(self.count, n_slots=self.n_slots, n_items=n_items, popularity=earned)


def sampled_exposure(pair: Vectors, k: int, seen: Any = None, n_users: int = 4000, rng: RNG = 0) -> SampledExposure:
    """Return the response of a sample of users' lists; the arguments are those of :func:`tilt`."""
    (n, _), m = pair.queries.shape, pair.items.shape[0]
    k, users, matrix = integer("k", k, low=1, high=m), sampled(n, n_users, rng), matrix_of(seen, pair)
    q, v, spread = _standardized(*pair[:2], users)
    prefers = q.any(axis=1)
    q, users = q[prefers], users[prefers]
    count = counter_of_vectors(q, v, k, None if matrix is None else matrix[users])
    popularity = None if matrix is None else np.bincount(matrix.indices, minlength=m)
    return SampledExposure(pair, count, len(users) * k, spread, popularity)


def _standardized(queries: Any, items: Any, users: Any) -> tuple[Any, Any, float]:
    """Return the sampled queries over the spread of their scores, and all items, in float32; and the spread."""
    if len(users) < len(queries):
        queries = queries[queries.new_tensor(users, dtype=None).long() if _factors.is_tensor(queries) else users]
    chosen = _factors.to_numpy(queries).astype(np.float64)
    finite("queries", chosen, "Look for a diverged training run.")
    with np.errstate(over="ignore", invalid="ignore"):
        spread = score_spread(chosen.T @ chosen / len(chosen), items)
        items = _factors.to_numpy(items)
        # Neither is too large for float32 then, nor vanishes; a power of two rounds nothing.
        unit = float(2.0 ** np.floor(np.log2(np.abs(items).max())))
        return (chosen * unit / spread).astype(np.float32), (items / unit).astype(np.float32), spread


def score_spread(moment: Floats, items: Any) -> float:
    """Return the standard deviation of a user's scores, root mean square over users; `moment` is the mean of q q'."""
    square, total = _factors.gram("items", items, np.ones(len(items)))
    mean, count = total / len(items), len(items)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = np.sqrt(max(float(np.sum(moment * (square / count - np.outer(mean, mean)))), 0.0))
        largest = np.sqrt(np.trace(moment) * np.trace(square) / count)
        if spread < 1e-6 * largest:  # the difference of numbers so close is their rounding: first without the mean
            centered = _factors.gram("items", _factors.to_numpy(items) - mean)[0] / count
            spread = np.sqrt(max(float(np.sum(moment * centered)), 0.0))
    if not np.isfinite(spread + largest):
        raise InvalidInputError("queries or items hold values too large to square in float64. Scale them down.")
    if spread <= 1e-12 * largest:
        raise InvalidInputError(
            "all items score the same for every user; there is no order to change. Check the vectors."
        )
    return float(spread)
