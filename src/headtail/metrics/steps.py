"""How intervals come of metrics that sum a function of the slots of each item."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headtail._stats import degrees_of_freedom, jackknife_influence
from headtail.metrics.topk import TopK
from headtail.typing import Array

_FEW_LISTS = 10  # items in fewer lists owe much of their variance to what several lists bring about together
_FEWEST = 30  # degrees of freedom of an influence, about twice the users that decide


def decided_by_enough(df: float, n: int) -> bool:
    """Whether influences of so many degrees of freedom show that enough of n users decide on a metric."""
    return not df < min(_FEWEST, (n - 1) / 4)


def where_enough_decide(influence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the influences, NaN where too few users decide on the metric."""
    enough = decided_by_enough(degrees_of_freedom(influence), len(influence))
    return influence if enough else np.full(len(influence), np.nan)


class Steps(NamedTuple):
    """A sum over items of a function of their slots, as far as its interval needs it.

    Attributes
    ----------
    steps : float array of shape (most slots of an item + 1,)
        The function at each number of slots, less that at one slot fewer; the first is not used.
    per_slot : float, default 0
        What the figure falls by for each slot that is there.
    counted : bool array of shape (I,), optional
        Items in the sum; all without it.
    most : float, optional
        What the variance cannot exceed if items are independent.
    """

    steps: Array
    per_slot: float = 0.0
    counted: Array | None = None
    most: float = math.inf

    def by_item(self, slots: Array) -> NDArray[np.float64]:
        """Return what the sum would fall by without one list that holds the item, shape (I,)."""
        return np.asarray(np.append(0.0, self.steps[1:])[self._slots(slots)])

    def of_single(self, slots: Array, variance: float) -> float:
        """Return the part of a jackknife's variance that single lists bring about.

        It is too large where single lists decide on many items, for it counts what r lists bring about together r times
        (the Hoeffding decomposition). So what two and three lists bring about is taken out, item by item, as far as a
        quarter of the variance is left.
        """
        steps = np.append(0.0, self.steps[1:])
        items = np.bincount(self._slots(slots), minlength=len(steps)).astype(np.float64)
        n = np.arange(len(items), dtype=np.float64)
        items[_FEW_LISTS:] = 0
        second, third = np.diff(steps, prepend=0.0), np.diff(steps, 2, prepend=[0.0, 0.0])
        excess = items @ (n * (n - 1) / 2 * second**2) - items @ (n * (n - 1) * (n - 2) / 6 * third**2)
        excess = max(excess, items @ (n * steps**2) - self.most)
        return min(1.0, max(0.25, 1 - excess / variance)) if variance > 0 else 1.0

    def _slots(self, slots: Array) -> Array:
        return slots if self.counted is None else np.where(self.counted, slots, 0)


@dataclass(frozen=True)
class StepsInfluence:
    """Each user's influence on a sum over items of a function of their slots, which `steps` returns."""

    steps: Callable[..., Steps]

    def __call__(self, top: TopK, **options: Any) -> NDArray[np.float64]:
        """Return the influences, shape (U,)."""
        found = self.steps(top, **options)
        falls = top.sum(found.by_item(top.slots)) - found.per_slot * top.lengths
        influence = where_enough_decide(jackknife_influence(-falls))
        return influence * math.sqrt(found.of_single(top.slots, float(influence @ influence)))
