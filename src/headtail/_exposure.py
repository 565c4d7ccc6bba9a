"""The bias of the items at which the exposure of the lists that it leads to calls for that very bias."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from headtail._checks import choice, integer, number
from headtail._factors import Matrix, as_popularity
from headtail._stats import entropy, gini
from headtail.exceptions import InvalidInputError

Welfare = Literal["entropy", "alpha", "popularity"]

_SETTLED, _UNSETTLED = 0.03, 0.5  # residuals at which the rounds stop, and above which a warning is given


@dataclass(frozen=True)
class TiltRound:
    """One round of a tilt, for its `callback`.

    Attributes
    ----------
    round : int
        0 is the state before any bias.
    gini : float
        Inequality of the exposure of the items in the sampled lists under the bias that the round began with, 0 to 1.
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

    def settle(self, count: Callable[[Matrix], Matrix], *, n_slots: int, n_items: int, popularity: Any) -> Matrix:
        """Return the bias, shape (I,), in units of the scores' spread, of mean 0.

        Parameters
        ----------
        count : callable
            From a bias in units of the spread to the slots that each item then has.
        n_slots : int
            Slots that are counted, of all items together.
        n_items : int
        popularity : array of shape (I,) or None
            For "popularity" only: what earns exposure.

        Warns
        -----
        UserWarning
            If the bias has not settled, or an earlier round spread exposure wider.
        """
        if self.strength == 0:
            return np.zeros(n_items)
        floor = max(0.03, n_items / n_slots)
        earned = self._earned(popularity, n_items, floor)
        bias, before, history = np.zeros(n_items), np.zeros(n_items), []
        # The stronger the tilt, the more exposure answers to a step: start with one that does not overshoot.
        step = np.full(n_items, 1 / (2 + 8 * self.strength * self._slope(floor)))
        for i in range(self.rounds + 1):
            slots = count(self.strength * bias)
            called = self._called(slots / slots.mean() + floor) + earned
            called -= called.mean()
            gap, size = called - bias, float(np.linalg.norm(called))
            residual = float(np.linalg.norm(gap)) / size if size > 0 else 0.0
            state = TiltRound(i, gini(slots), entropy(slots) / np.log(max(n_items, 2)), residual)
            history.append(state)
            if self.callback is not None:
                self.callback(state)
            if residual < _SETTLED or i == self.rounds:
                break
            step = np.where(gap * before < 0, step / 2, step)
            bias, before = bias + step * gap, gap
            bias -= bias.mean()
        self._warn(history)
        return self.strength * bias

    def _called(self, relative: Matrix) -> Matrix:
        if self.welfare == "alpha":
            return np.asarray((relative**-self.aversion - 1) / self.aversion)
        return -np.log(relative)

    def _slope(self, floor: float) -> float:
        """How much faster than the logarithm the bias answers to exposure, for items between never shown and mean."""
        return float(floor ** (-self.aversion / 2)) if self.welfare == "alpha" else 1.0

    def _earned(self, popularity: Any, n_items: int, floor: float) -> Matrix | float:
        """Return the log of the exposure that popularity earns, relative to the mean."""
        if self.welfare != "popularity":
            return 0.0
        if popularity is None:
            raise InvalidInputError("welfare='popularity' needs popularity=, or seen= to count it from.")
        values = as_popularity(popularity, n_items)
        return np.asarray(np.log(values / values.mean() + floor))

    def _warn(self, history: list[TiltRound]) -> None:
        last, widest = history[-1], min(history, key=lambda state: state.gini)
        recent = [state.gini for state in history[-4:]]
        if self.welfare != "popularity" and last.gini > widest.gini + 0.02:
            problem = (
                f"round {widest.round} spread exposure wider (Gini {widest.gini:.3f}) than the last one "
                f"({last.gini:.3f}), so that more strength will not spread it further. Lower the strength"
            )
        elif last.residual > _UNSETTLED or (last.residual >= _SETTLED and max(recent) - min(recent) > 0.01):
            problem = (
                f"the bias has not settled after {last.round} rounds (residual {last.residual:.2f}, Gini of the last "
                f"rounds {min(recent):.3f} to {max(recent):.3f}). Give more rounds, or a lower strength if they do not "
                f"help"
            )
        else:
            return
        warnings.warn(f"strength={self.strength:g}: {problem}.", UserWarning, stacklevel=5)
