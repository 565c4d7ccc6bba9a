"""How intervals come of metrics that sum a function of the slots of each item."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from headtail.metrics.topk import TopK
from headtail.metrics.user_groups import Levels, UserGroups
from headtail.typing import Array, Floats

_TOGETHER = 1.0, -1.0, 0.5  # weights of what 2, 3, 4 lists bring about: an alternating sum, of which the last is halved


class Steps(NamedTuple):
    """A sum over items of a function of their slots, for G groups of users, as far as its interval needs it."""

    figure: Array  # (G,), the metric
    steps: Array  # (L,), the function at each of the levels, less that at one slot fewer; not used at no slots
    levels: Levels
    counted: Array  # (I,), which items are in the sum
    items: Array  # (L,), how many of them are at each level
    per_slot: Array | float = 0.0  # (G,), what the figure falls by for each slot that is there
    most: Array | float = math.inf  # (G,), what the variance cannot exceed if items are independent

    @property
    def by_cell(self) -> Floats:
        """What the sum would fall by without one list that holds the item, of each item of a group, shape (C,)."""
        cells, steps = self.levels.cells, np.where(self.levels.slots > 0, self.steps, 0.0)
        return np.where(np.append(self.counted, False)[cells.items], steps[self.levels.of_cells], 0.0)

    def of_single(self, variance: Array) -> Floats:
        """Return the part of a jackknife's variance that single lists bring about, by group, shape (G,).

        It is too large where single lists decide on many items, for it counts what r lists bring about together r times
        (the Hoeffding decomposition). So what two to four lists bring about is taken out, item by item, as far as a
        quarter of the variance is left.
        """
        levels, n = self.levels, self.levels.slots.astype(np.float64)
        change = first = np.where(n > 0, self.steps, 0.0)
        excess, ways = np.zeros(len(variance)), n * levels.among_others(self.items)
        for r, weight in enumerate(_TOGETHER, 2):
            change, ways = levels.slope(change), ways * (n - r + 1) / r
            excess += weight * levels.sum(self.items * ways * change**2)
        excess = np.maximum(excess, levels.sum(self.items * n * first**2) - self.most)
        return np.where(variance > 0, np.clip(1 - excess / np.where(variance > 0, variance, 1.0), 0.25, 1.0), 1.0)


@dataclass(frozen=True)
class StepsInfluence:
    """Each user's influence on a sum over items of a function of their slots, which `steps` returns."""

    steps: Callable[..., Steps]

    def by_group(self, groups: UserGroups, **options: Any) -> tuple[Floats, ...]:
        """Return the metric of each group, the influences, and the part of single lists in their variance."""
        found = self.steps(groups, **options)
        falls = groups.over_lists(found.by_cell)
        falls -= groups.each(np.broadcast_to(found.per_slot, found.figure.shape)) * groups.top.lengths[groups.rows]
        influence = groups.where_enough_decide(groups.jackknife(-falls, first_order=True))
        single = found.of_single(groups.sum(influence * influence))
        return found.figure, influence * groups.each(np.sqrt(single)), single

    def __call__(self, top: TopK, **options: Any) -> Floats:
        """Return the influences over all users, shape (U,)."""
        return self.by_group(UserGroups.of_all(top), **options)[1]
