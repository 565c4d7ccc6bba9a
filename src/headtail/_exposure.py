"""The bias of the items at which the exposure of the lists that it leads to calls for that very bias.

Lists answer to a bias in jumps: a user either sees an item or not. So while the bias is sought, an item close to the
end of a list counts in part (:func:`shares`). How many lists an item is close to entering says how its exposure will
answer, which makes for Newton steps; Anderson mixing of the last ones accounts for what the items take from each other.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headtail._checks import choice, generator, integer, number
from headtail._factors import Matrix, as_popularity
from headtail._stats import entropy, gini
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Array

Welfare = Literal["entropy", "alpha", "popularity"]

_SETTLED, _UNSETTLED = 0.03, 0.1  # residuals at which the rounds stop, and above which a warning is given
_WIDTH = 0.1  # within which an item counts in part, in units of the strength
_WIDER = 8, 4, 2  # times that, in the first rounds
_ROWS = 4096  # lists that are counted at a time
_MEMORY, _PATIENCE = 5, 6  # steps that are mixed, and rounds without a smaller residual

Count = Callable[[Matrix, float], tuple[Matrix, Matrix]]
"""From a bias and a width to the slots of each item and how fast these grow with its bias, in units of the spread."""


@dataclass(frozen=True)
class TiltRound:
    """One round of a tilt, for its `callback`.

    Attributes
    ----------
    round : int
        0 is the state before any bias.
    gini : float
        Inequality of the exposure of the items in the sampled lists under the bias that the round began with, 0 to 1;
        items close to the end of a list count in part, but not after the last round.
    entropy : float
        Entropy of that exposure over its largest possible value, 0 to 1; 1 means equal exposure.
    residual : float
        Distance of the bias from the one that its own exposure calls for, over the size of the latter (both as root
        mean square over items): 1 at round 0, 0 at the fixed point.
    """

    round: int
    gini: float
    entropy: float
    residual: float


@dataclass(frozen=True)
class Goal:
    """What bias an exposure calls for, in units of the strength, and how the rounds come to it.

    Parameters
    ----------
    strength : float
        At least 0.
    welfare : {"entropy", "alpha", "popularity"}
    aversion : float
        Above 0, up to 2.
    rounds : int
        At most.
    callback : callable, optional
        Called with a :class:`TiltRound` before every round and once after the last.
    """

    strength: float
    welfare: Welfare
    aversion: float
    rounds: int
    callback: Callable[[TiltRound], None] | None = None

    def __post_init__(self) -> None:
        number("strength", self.strength, low=0)
        choice("welfare", self.welfare, ("entropy", "alpha", "popularity"))
        number("aversion", self.aversion, low=0, high=2, low_open=True)
        integer("rounds", self.rounds, low=1)

    def settle(self, count: Count, *, n_slots: int, n_items: int, popularity: Any) -> Matrix:
        """Return the bias, shape (I,), in units of the scores' spread, of mean 0.

        Parameters
        ----------
        count : callable
            See :data:`Count`.
        n_slots : int
            Slots that are counted, of all items together.
        n_items : int
        popularity : array of shape (I,) or None
            For "popularity" only: what earns exposure.

        Warns
        -----
        UserWarning
            If the bias has not settled.

        References
        ----------
        Anderson, Iterative procedures for nonlinear integral equations, JACM 1965 (mixing).
        """
        if self.strength == 0:
            return np.zeros(n_items)
        floor = max(0.03, n_items / n_slots)
        earned = self._earned(popularity, n_items, floor)
        width = _WIDTH * self.strength * (floor ** (-self.aversion / 2) if self.welfare == "alpha" else 1.0)
        bias, mixing, damping = np.zeros(n_items), _Mixing(), 1.0
        best, since = (np.inf, bias, bias), 0
        for i in range(self.rounds):
            slots, growth = count(self.strength * bias, width * (_WIDER[i] if i < len(_WIDER) else 1))
            mean = slots.mean()
            exposure = slots / mean + floor
            called = self._called(exposure) + earned
            called -= called.mean()
            gap, size = called - bias, float(np.linalg.norm(called))
            residual = float(np.linalg.norm(gap)) / size if size > 0 else 0.0
            self._tell(i, slots, residual)
            step = gap / (1 + self._slope(exposure) * self.strength * growth / mean)
            if i >= len(_WIDER) or size == 0:
                if residual < best[0]:
                    best, since = (residual, bias, step), i
                if best[0] < _SETTLED:
                    break
                if residual > 2 * best[0] or i - since == _PATIENCE:  # astray: on from the best in smaller steps
                    mixing, damping, since = _Mixing(), damping / 2, i
                    _, bias, step = best
            bias = mixing.next(bias, damping * step)
            bias -= bias.mean()
        residual, bias, _ = best
        if self.callback is not None:
            self._tell(i + 1, count(self.strength * bias, 1e-6 * width)[0], residual)
        self._warn(i + 1, residual)
        return self.strength * bias

    def _tell(self, i: int, slots: Matrix, residual: float) -> None:
        if self.callback is not None:
            self.callback(TiltRound(i, gini(slots), entropy(slots) / np.log(max(len(slots), 2)), residual))

    def _called(self, relative: Matrix) -> Matrix:
        if self.welfare == "alpha":
            return np.asarray((relative**-self.aversion - 1) / self.aversion)
        return -np.log(relative)

    def _slope(self, relative: Matrix) -> Matrix:
        """Return how fast the bias that is called for falls with exposure."""
        return relative ** -(self.aversion + 1 if self.welfare == "alpha" else 1)

    def _earned(self, popularity: Any, n_items: int, floor: float) -> Matrix | float:
        """Return the log of the exposure that popularity earns, relative to the mean."""
        if self.welfare != "popularity":
            return 0.0
        if popularity is None:
            raise InvalidInputError(
                "welfare='popularity' needs what popularity earns. Give popularity=, the interactions of each item."
            )
        values = as_popularity(popularity, n_items)
        return np.asarray(np.log(values / values.mean() + floor))

    def _warn(self, rounds: int, residual: float) -> None:
        if residual > _UNSETTLED:
            warnings.warn(
                f"strength={self.strength:g}: the bias has not settled after {rounds} rounds (residual "
                f"{residual:.2f}). Give more rounds, or a lower strength if they do not help.",
                UserWarning,
                stacklevel=5,
            )


class _Mixing:
    """Anderson mixing: of the last steps, the combination is gone that would have left least to go."""

    def __init__(self) -> None:
        self._places: list[Matrix] = []
        self._steps: list[Matrix] = []

    def next(self, place: Matrix, step: Matrix) -> Matrix:
        self._places, self._steps = [*self._places[-_MEMORY:], place], [*self._steps[-_MEMORY:], step]
        if len(self._steps) == 1:
            return place + step
        steps, moves = np.diff(self._steps, axis=0).T, np.diff(self._places, axis=0).T
        weights = np.linalg.lstsq(steps, step, rcond=1e-3)[0]
        return np.asarray(place + step - (moves + steps) @ weights)


def shares(
    scores: NDArray[np.float32], k: int, width: float
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Return which items are within their user's first k in part at least, how far, and how fast that grows.

    Half-way between the scores at the places k and k + 1 an item is a half within them, `width` above it wholly. The
    shares of a user sum to k at most. Scores of minus infinity are of what the user cannot have.

    Parameters
    ----------
    scores : float32 array of shape (B, m), in one piece
    k : int
    width : float
        Above 0, in units of the scores.

    Returns
    -------
    places : int array of shape (n,)
        Positions in ``scores.ravel()``, in their order; the others are not within at all.
    part, growth : float arrays of shape (n,)
        From 0 to 1, and per unit of the score.
    """
    n = scores.shape[1]
    places, reached = _near(scores, k, width)
    rows, values = places // n, scores.ravel()[places]
    first = values >= reached[rows]
    inside, below = _last_places(values[first], rows[first], k, len(scores))
    with np.errstate(invalid="ignore"):
        end = np.where(below > -np.inf, (inside + below) / 2, np.maximum(inside - 2 * width, np.float32(-1e30)))
    end = end.astype(np.float32)
    within = values > (end - np.float32(width))[rows]
    places, rows, values = places[within], rows[within], values[within]
    with np.errstate(over="ignore"):
        part = (values - end[rows]) / np.float32(2 * width) + np.float32(0.5)
    near = (part > 0) & (part < 1)
    part = np.clip(part, 0, 1).astype(np.float64)
    unit = np.minimum(1, k / np.maximum(np.bincount(rows, part, len(scores)), 1e-9))[rows]
    return places, part * unit, near * unit / (2 * width)


def _near(scores: NDArray[np.float32], k: int, width: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the positions of the scores up to `width` below what k + 1 of each row reach, and what they reach.

    Of groups of items only the highest score is looked at first: at least k + 1 items reach what the highest of k + 1
    groups do, and few others.
    """
    n_rows, n = scores.shape
    size = max(1, min(32, n // (4 * (k + 1))))  # of a group
    highest = scores[:, : n // size * size].reshape(n_rows, size, -1).max(axis=1)
    at = highest.shape[1] - k - 1
    reached = np.partition(highest, at, axis=1)[:, at] if at >= 0 else np.full(n_rows, -np.inf, dtype=np.float32)
    with np.errstate(over="ignore"):
        least = np.maximum(reached - np.float32(width), np.finfo(np.float32).min)
    return np.flatnonzero(scores >= least[:, None]), reached


def _last_places(
    values: NDArray[np.float32], rows: NDArray[np.intp], k: int, n_rows: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the k-th and the next highest value of each row, minus infinity where there are not so many."""
    ordered = np.append(np.float32(-np.inf), values[np.lexsort((values, rows))])
    counts = np.bincount(rows, minlength=n_rows)
    ends = np.cumsum(counts)
    inside, below = (np.where(counts >= place, ends - place + 1, 0) for place in (k, k + 1))
    return ordered[inside], ordered[below]


def sampled(n: int, sample: int, rng: RNG) -> NDArray[np.int64]:
    """Return the rows of a sample, drawn without replacement and ascending; all of them if it is as large."""
    drawn, random = integer("sample", sample, low=1), generator(rng)
    return np.sort(random.choice(n, drawn, replace=False)) if drawn < n else np.arange(n)


def counter(items: Array, values: NDArray[np.float32], n_items: int, k: int) -> Count:
    """Return what counts the slots that each item has in the first k of long lists under a bias."""

    def count(bias: Matrix, width: float) -> tuple[Matrix, Matrix]:
        slots, growth = np.zeros((2, n_items))
        added = bias.astype(np.float32)
        for start in range(0, len(items), _ROWS):
            codes = items[start : start + _ROWS]
            total = np.where(codes < 0, -np.float32(np.inf), values[start : start + _ROWS] + added[codes])
            places, part, grows = shares(total, k, width)
            slots += np.bincount(codes.ravel()[places], part, n_items)
            growth += np.bincount(codes.ravel()[places], grows, n_items)
        return slots, growth

    return count
