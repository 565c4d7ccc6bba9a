"""The item bias at a fixed point: the one that the exposure of its own lists calls for.

It minimizes a convex function of the bias: the sum of the lists' best totals less a welfare term. Lists respond to a
bias in jumps, so during the search an item close to the end of a list counts fractionally (:func:`shares`), which makes
the function nearly smooth. Newton steps follow from how items take slots from each other there; a step that ends uphill
is shortened.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.sparse as sp

from headtail._checks import choice, generator, integer, number
from headtail._columns import logger
from headtail._factors import as_popularity, stored
from headtail._top import highest, ranges, slices
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Array, Floats, Ints

Welfare = Literal["entropy", "alpha", "popularity"]

_SETTLED, _UNSETTLED = 0.02, 0.03  # residuals at which the rounds stop, and above which a warning is given
_ASTRAY = 1 / 3  # share of the slots
_NOTHING = 1e-9  # strength below which no score in single precision changes
_WIDTH = 0.05  # within which an item counts fractionally, in units of the strength
_WIDER = 8, 4, 2  # times that in the first rounds
_AHEAD = 0.3  # share of a step's slope that may be left at its end
_GRADIENTS = 100  # conjugate gradients per step
_CELLS = 2**18  # of long lists at a time: they stay in the cache
_SCORES, _FEWEST = 2**21, 64  # in memory at a time, but of no fewer users: products of few rows are slow
_LISTS, _FEW = 32, 16  # kept of each user: so many lists, where the catalogue has so many times their items


class Response(NamedTuple):
    """How lists respond to a bias: the slots of each item, (I,), and how they change with the bias."""

    slots: Floats
    growth: Floats  # of an item's slots with its own bias
    change: Callable[[Floats], Floats]  # of the slots of all items, by a change of the bias


Count = Callable[[Floats, float], Response]
"""From a bias and a width, in units of the spread, to the response of the lists."""


@dataclass(frozen=True)
class Goal:
    """A welfare and its strength; :meth:`settle` finds the bias.

    `strength` is at least 0, `aversion` from 1e-6 to 2, and at most `rounds` are taken.
    """

    strength: float
    welfare: Welfare
    aversion: float = 0.5
    rounds: int = 100

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", number("strength", self.strength, low=0))
        choice("welfare", self.welfare, ("entropy", "alpha", "popularity"))
        object.__setattr__(self, "aversion", number("aversion", self.aversion, low=1e-6, high=2))
        integer("rounds", self.rounds, low=1)

    def settle(self, count: Count, *, n_slots: int, n_items: int, popularity: Any = None) -> Floats:
        """Return the bias, (I,), in units of the scores' spread and of mean 0; warn if it has not settled.

        How far it has is a record of the log, at level DEBUG, with an attribute `residual`: the distance between the
        bias and the one that its own lists call for, as a share of the latter's size.
        `n_slots` are those of all lists; `popularity`, (I,), earns exposure under the welfare "popularity" alone.
        Newton's method with conjugate gradients: Nocedal and Wright, Numerical Optimization, 2006, chapter 7.
        """
        if self.strength < _NOTHING:
            return np.zeros(n_items)
        floor = max(0.03, n_items / n_slots)
        earned = self._earned(popularity, n_items, floor)
        width = _WIDTH * self.strength * (floor ** (-self.aversion / 2) if self.welfare == "alpha" else 1.0)
        bias, start, step = list[Floats](np.zeros((3, n_items)))
        best: tuple[float, Floats, Floats] = np.inf, bias, bias
        slope, length, narrowing = 0.0, 1.0, iter((*_WIDER, 1))
        wider = next(narrowing)
        for _ in range(self.rounds):
            answer = count(self.strength * bias, wider * width)
            mean = answer.slots.mean()
            if mean == 0:
                raise InvalidInputError(
                    "no user has an item left to be shown: all know the whole catalogue, or their lists are empty. "
                    "There is no exposure to spread."
                )
            exposure = answer.slots / mean + floor
            called = self._called(exposure) + earned
            gap, size = called - bias, float(np.linalg.norm(called - called.mean()))
            residual = float(np.linalg.norm(gap - gap.mean())) / size if size > 0 else 0.0
            due, curvature = self._exposure(bias - earned)
            gradient = exposure - due
            ahead = float(gradient @ step)
            if ahead > _AHEAD * abs(slope):  # too far: back to where the slope along the step vanishes
                length *= max(slope / (slope - ahead), 0.1)
                bias = start + length * step
                continue
            if (wider == 1 or size == 0) and residual < best[0]:
                best = residual, bias, answer.slots
            if size == 0 or best[0] < _SETTLED:
                break
            wider, scale = next(narrowing, 1), self.strength / mean
            step = _solved(answer.change, -gradient, scale, answer.growth, curvature)
            if self.welfare == "alpha":  # no bias is called for below -1 / aversion
                step = np.maximum(step, -(1 / self.aversion + bias) / 2)
            start, slope, length = bias, float(gradient @ step), min(1.0, 2 * length)
            bias = start + length * step
        residual, bias, meant = best
        residual = residual if np.isfinite(residual) else 1.0  # that of no bias, where no round came near
        bias = bias - bias.mean()
        lists = count(self.strength * bias, 1e-6 * width).slots
        astray = float(np.abs(lists - meant).sum()) / 2 / n_slots
        logger.debug("residual %.4f, %.1f%% of the slots astray", residual, 100 * astray, extra={"residual": residual})
        self._warn(residual, astray)
        return np.asarray(self.strength * bias)

    def _called(self, relative: Floats) -> Floats:
        if self.welfare == "alpha":
            return np.asarray((relative**-self.aversion - 1) / self.aversion)
        return -np.log(relative)

    def _exposure(self, bias: Floats) -> tuple[Floats, Floats]:
        """Return the exposure that calls for a bias, and its rate of decrease."""
        if self.welfare == "alpha":
            base = 1 + self.aversion * bias
            return base ** (-1 / self.aversion), base ** (-1 / self.aversion - 1)
        exposure = np.exp(-bias)
        return exposure, exposure

    def _earned(self, popularity: Any, n_items: int, floor: float) -> Floats | float:
        """Return the log of the exposure that popularity earns, relative to the mean."""
        if self.welfare != "popularity":
            return 0.0
        if popularity is None:
            raise InvalidInputError(
                "welfare='popularity' needs what popularity earns. Give popularity=, the interactions of each item."
            )
        values = as_popularity(popularity, n_items)
        return np.asarray(np.log(values / values.mean() + floor))

    def _warn(self, residual: float, astray: float) -> None:
        why = ""
        if residual > _UNSETTLED:
            why = (
                f"the bias has not settled after {self.rounds} rounds (residual {residual:.2f}). Give more rounds, "
                f"or a lower strength if they do not help."
            )
        elif astray > _ASTRAY:
            why = (
                f"{astray:.0%} of the slots are with other items than the bias is meant for: users are so alike that "
                f"their lists change at once. Give a lower strength."
            )
        if why:
            warnings.warn(f"strength={self.strength:g}: {why}", UserWarning, stacklevel=5)


def _solved(change: Callable[[Floats], Floats], right: Floats, scale: float, growth: Floats, own: Floats) -> Floats:
    """Solve ``scale * change(x) + own * x = right`` approximately by conjugate gradients."""
    x, left, diagonal = np.zeros_like(right), right, scale * growth + own
    search = left / diagonal
    first = size = float(left @ search)
    for _ in range(_GRADIENTS):
        if size <= 1e-4 * first:
            break
        image = scale * change(search) + own * search
        length = size / float(search @ image)
        x, left = x + length * search, left - length * image
        before, size = size, float(left @ (left / diagonal))
        search = left / diagonal + size / before * search
    return x


def respond(blocks: Iterable[tuple[Floats, Array | None]], n_items: int, k: int, width: float) -> Response:
    """Return the response of lists of k to the bias in their scores; `width` is as for :func:`shares`.

    A block holds users' scores, (B, m), and their items, (B, m), or None for all items in order.
    """
    slots, ends, items = np.zeros(n_items), [np.zeros(1, dtype=np.int64)], list[Array]()
    for scores, codes in blocks:
        places, part, growth = shares(scores, k, width)
        near = growth > 0
        of = places % scores.shape[1] if codes is None else codes.ravel()[places]
        slots += np.bincount(of, part, n_items)
        ends.append(np.bincount(places[near] // scores.shape[1], minlength=len(scores)))
        items.append(of[near].astype(np.int32))
    near = np.concatenate(items)
    counts = np.concatenate(ends)
    crowd = np.maximum(counts[1:], 1)[:, None]
    close = sp.csr_array((np.ones(len(near)), near, np.cumsum(counts)), shape=(len(crowd), n_items))
    many = np.bincount(near, minlength=n_items)
    growth = np.asarray(many - close.T @ (1 / crowd[:, 0])) / (2 * width)

    def change(of_bias: Floats) -> Floats:
        return np.asarray(many * of_bias - close.T @ ((close @ of_bias) / crowd[:, 0])) / (2 * width)

    return Response(slots, growth, change)


def shares(scores: Floats, k: int, width: float) -> tuple[Ints, Floats, Floats]:
    """Return which items are at least partly in their user's top k, their shares, and the growth of these.

    Half-way between the scores at places k and k + 1 an item counts a half, and from `width` above that in full. A
    user's shares sum to at most k; minus infinity excludes an item. The scores, (B, m), must be contiguous. The three
    arrays (n,) are ascending positions in ``scores.ravel()`` of all items that count, their shares from 0 to 1, and the
    growth of these per unit of score.
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


def _near(scores: Floats, k: int, width: float) -> tuple[Ints, Floats]:
    """Return the positions of scores no more than `width` below a level that k + 1 of each row reach, and that level.

    The level comes from the highest scores of groups of items: k + 1 items reach it, and few others.
    """
    n_rows, n = scores.shape
    size = max(1, min(64, n // (4 * (k + 1))))  # of a group
    highest = scores[:, : n // size * size].reshape(n_rows, size, n // size).max(axis=1)
    at = highest.shape[1] - k - 1
    reached = np.partition(highest, at, axis=1)[:, at] if at >= 0 else np.full(n_rows, -np.inf, dtype=np.float32)
    with np.errstate(over="ignore"):
        least = np.maximum(reached - np.float32(width), np.finfo(np.float32).min)
    return np.flatnonzero(scores >= least[:, None]), reached


def _last_places(values: Floats, rows: Ints, k: int, n_rows: int) -> tuple[Floats, Floats]:
    """Return the k-th and the next highest value of each row, minus infinity where it has fewer."""
    counts = np.bincount(rows, minlength=n_rows)
    table = np.full((n_rows, max(k + 1, counts.max(initial=0))), -np.inf, dtype=np.float32)
    table[rows, ranges(np.zeros_like(counts), counts)] = values
    table.partition((table.shape[1] - k - 1, table.shape[1] - k), axis=1)
    return table[:, -k], table[:, -k - 1]


def sampled(n: int, n_users: int, rng: RNG) -> Ints:
    """Return ascending rows of `n_users` of n users drawn without replacement, or of all if there are no more."""
    drawn, random = integer("n_users", n_users, low=1), generator(rng)
    return np.sort(random.choice(n, drawn, replace=False)) if drawn < n else np.arange(n)


def counter(items: Array, values: Floats, n_items: int, k: int) -> Count:
    """Return a function from a bias to the response of the first k of long lists."""
    values = np.where(items < 0, -np.float32(np.inf), values)
    step = max(1, _CELLS // items.shape[1])

    def blocks(bias: Floats) -> Iterator[tuple[Floats, Array]]:
        for rows in slices(len(items), step):
            codes = items[rows]
            scores = bias.take(codes, mode="wrap")
            scores += values[rows]
            yield scores, codes

    return lambda bias, width: respond(blocks(bias.astype(np.float32)), n_items, k, width)


def counter_of_vectors(queries: Floats, items: Floats, k: int, seen: sp.csr_array | None) -> Count:
    """Return a function from a bias to the response of the first k of all unseen items.

    Of a large catalogue each user's highest scores are kept: where no other item can come near the end of the list
    under a bias, they alone are counted.
    """
    n, d = queries.shape
    m = len(items)
    # The bias is one more coordinate, and the items lie as a product reads them.
    widened, table = np.ones((n, d + 1), np.float32), np.zeros((d + 1, m), np.float32)
    widened[:, :-1], table[:-1] = queries, items.T

    def scored(rows: Array) -> Iterator[Floats]:
        step = max(_FEWEST, _SCORES // m)
        for part in (rows[some] for some in slices(len(rows), step)):
            scores = widened[part] @ table
            if seen is not None:
                scores[stored(seen[part])] = -np.inf
            yield scores

    everyone, n_kept = np.arange(n), _LISTS * k
    kept, codes = list[Array](np.empty((2, 0, n_kept)))
    if n and m >= _FEW * n_kept:
        kept, codes = map(np.concatenate, zip(*(highest(scores, n_kept) for scores in scored(everyone)), strict=True))

    def blocks(bias: Floats, width: float) -> Iterator[tuple[Floats, Array | None]]:
        table[-1], left, step = bias, [everyone[len(kept) :]], max(1, _CELLS // n_kept)
        for rows in (everyone[some] for some in slices(len(kept), step)):
            scores = kept[rows] + bias[codes[rows]]
            following = np.partition(scores, -k - 1, axis=1)[:, -k - 1]
            alone = following - width > kept[rows, -1] + bias.max()
            left.append(rows[~alone])
            yield scores[alone], codes[rows[alone]]
        for scores in scored(np.concatenate(left)):
            yield scores, None

    return lambda bias, width: respond(blocks(bias.astype(np.float32), width), m, k, width)
