"""How intervals come of metrics that sum a function of the slots of each item."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headtail.metrics.topk import TopK
from headtail.metrics.user_groups import Levels, UserGroups
from headtail.typing import Array

_FEW_LISTS = 10  # items in fewer lists owe much of their variance to what several lists bring about together


class Steps(NamedTuple):
    """A sum over items of a function of their slots, for G groups of users, as far as its interval needs it.

    Attributes
    ----------
    figure : float array of shape (G,)
        The metric.
    steps : float array of shape (L,)
        The function at each of the `levels`, less that at one slot fewer; at no slots it is not used.
    levels : Levels
    counted : bool array of shape (I,)
        Items in the sum.
    items : int array of shape (L,)
        How many of them are at each level.
    per_slot : float array of shape (G,), or 0
        What the figure falls by for each slot that is there.
    most : float array of shape (G,), or infinity
        What the variance cannot exceed if items are independent.
    """

    figure: Array
    steps: Array
    levels: Levels
    counted: Array
    items: Array
    per_slot: Array | float = 0.0
    most: Array | float = math.inf

    @property
    def by_cell(self) -> NDArray[np.float64]:
        """What the sum would fall by without one list that holds the item, of each item of a group, shape (C,)."""
        cells, steps = self.levels.cells, np.where(self.levels.slots > 0, self.steps, 0.0)
        return np.where(np.append(self.counted, False)[cells.items], steps[self.levels.of_cells], 0.0)

    def of_single(self, variance: Array) -> NDArray[np.float64]:
        """Return the part of a jackknife's variance that single lists bring about, by group, shape (G,).

        It is too large where single lists decide on many items, for it counts what r lists bring about together r times
        (the Hoeffding decomposition). So what two and three lists bring about is taken out, item by item, as far as a
        quarter of the variance is left.
        """
        first = np.where(self.levels.slots > 0, self.steps, 0.0)
        items, steps = (self.levels.first(values, _FEW_LISTS) for values in (self.items, first))
        n = np.arange(_FEW_LISTS, dtype=np.float64)
        second = np.diff(steps, prepend=0.0)
        third = np.diff(second, prepend=0.0)
        excess = (items * (n * (n - 1) / 2 * second**2 - n * (n - 1) * (n - 2) / 6 * third**2)).sum(axis=1)
        excess = np.maximum(excess, (items * n * steps**2).sum(axis=1) - self.most)
        return np.where(variance > 0, np.clip(1 - excess / np.where(variance > 0, variance, 1.0), 0.25, 1.0), 1.0)


@dataclass(frozen=True)
class StepsInfluence:
    """Each user's influence on a sum over items of a function of their slots, which `steps` returns."""

    steps: Callable[..., Steps]

    def by_group(self, groups: UserGroups, **options: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the metric of each group and the influences, as :class:`ByGroup` does."""
        found = self.steps(groups, **options)
        falls = groups.over_lists(found.by_cell)
        falls -= groups.each(np.broadcast_to(found.per_slot, found.figure.shape)) * groups.top.lengths[groups.rows]
        influence = groups.where_enough_decide(groups.jackknife(-falls))
        return found.figure, influence * groups.each(np.sqrt(found.of_single(groups.sum(influence * influence))))

    def __call__(self, top: TopK, **options: Any) -> NDArray[np.float64]:
        """Return the influences over all users, shape (U,)."""
        return self.by_group(UserGroups.of_all(top), **options)[1]
