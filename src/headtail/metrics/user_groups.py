"""Groups of users side by side: sums, influences and counts of items of all of them at once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from headtail._stats import satterthwaite
from headtail.metrics.topk import TopK, blocks, discounts
from headtail.typing import Array, Floats, Ints, Mask

_FEWEST = 30  # degrees of freedom of an influence, about twice the users that decide

_CROWD, _FEW_LISTS = 10, 9  # items of which a slope is known; below, chance moves an item by too little to matter


@dataclass(frozen=True, eq=False)
class UserGroups:
    """The lists of G groups of users, one group after another: n in all, since a list may be in several."""

    top: TopK  # all lists
    rows: Ints | slice  # (n,), of each list in `top`
    sizes: Ints  # (G,), lists of each group, at least one

    @classmethod
    def of_all(cls, top: TopK) -> "UserGroups":
        """Return all lists as the one group."""
        return cls(top, slice(None), np.array([len(top)]))

    @property
    def are_all(self) -> bool:
        """Whether all lists are here as the one group."""
        return isinstance(self.rows, slice)

    @cached_property
    def apart(self) -> list[TopK]:
        """The lists of each group."""
        if isinstance(self.rows, slice):
            return [self.top]
        return [self.top.take(rows) for rows in np.split(self.rows, np.cumsum(self.sizes)[:-1])]

    @cached_property
    def of(self) -> Ints:
        """Group of each list, shape (n,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def sum(self, values: Array) -> Array:
        """Sum values of lists, shape (n,) or (n, m), by group: shape (G,) or (G, m)."""
        if len(self.sizes) == 1:
            return np.asarray(values.sum(axis=0, keepdims=True))
        return np.asarray(np.add.reduceat(values, np.cumsum(self.sizes) - self.sizes, axis=0))

    def each(self, values: Array, rows: slice = slice(None)) -> Array:
        """Return for each list what its group has; of one group as it is, which NumPy repeats as needed."""
        return values if len(self.sizes) == 1 else values[self.of[rows]]

    def mean(self, values: Array) -> tuple[Floats, Floats, Ints]:
        """Return the mean of values of lists that are not NaN by group, its influences, and the number of values."""
        known = ~np.isnan(values)
        n = self.sum(known)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.sum(np.where(known, values, 0.0)) / n
            scale = np.where(n > 1, np.sqrt(n * (n - 1.0)), np.nan)
            return mean, np.where(known, (values - self.each(mean)) / self.each(scale), 0.0), n

    def jackknife(self, without: Array, *, first_order: bool = False) -> Floats:
        """What each list adds to the error of its group's figure, from the figure without the list, shape (n,).

        To first order a list that is gone makes a mean change by its distance / n, where really it is / (n - 1).
        """
        n = self.sizes.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):  # infinite figures, and groups of one
            scale = np.where(n > 1, np.sqrt(n / (n - 1) if first_order else (n - 1) / n), np.nan)
            return np.asarray((self.each(self.sum(without) / self.sizes) - without) * self.each(scale))

    def of_sums(self, figure: Callable[..., Array], *parts: Array) -> tuple[Floats, Floats]:
        """Return a figure of sums of all lists' `parts` by group, and its influences."""
        mine = [part[self.rows] for part in parts]
        sums = [self.sum(part) for part in mine]
        without = np.empty(len(mine[0]))
        with np.errstate(invalid="ignore", divide="ignore"):  # without its only list nothing is left
            for rows in blocks(len(without)):
                rest = (self.each(total, rows) - part[rows] for total, part in zip(sums, mine, strict=True))
                without[rows] = figure(*rest)
            return figure(*sums), self.jackknife(without)

    def error(self, influence: Array, single: Array | float = 1.0) -> tuple[Floats, Floats]:
        """Return the standard error that influences make by group, and its degrees of freedom, shape (G,) each.

        Where only the part `single` of a variance was left, it is as uncertain as the whole was.
        """
        squares = influence * influence
        total = self.sum(squares)
        return np.sqrt(total), satterthwaite(total, self.sum(squares * squares), self.sizes) * np.square(single)

    def where_enough_decide(self, influence: Floats) -> Floats:
        """Return the influences, NaN in groups where too few users decide on the metric."""
        enough = decided_by_enough(self.error(influence)[1], self.sizes)
        return np.where(self.each(enough), influence, np.nan)

    @cached_property
    def cells(self) -> "Cells":
        """The items of each group's lists."""
        n_items = len(self.top.popularity)
        if isinstance(self.rows, slice):
            return Cells(np.zeros(n_items, np.int64), np.arange(n_items), self.top.slots, self.top.items)
        items = self.top.items[self.rows]
        keys = items + self.of[:, None] * (n_items + 1)
        keys[items < 0] += n_items + 1
        found, place, slots = np.unique(keys, return_inverse=True, return_counts=True)
        items = found % (n_items + 1)
        return Cells(found // (n_items + 1), items, np.where(items < n_items, slots, 0), place.reshape(keys.shape))

    @cached_property
    def attention(self) -> Floats:
        """Exposure by rank of the items of each group's lists, shape (C,)."""
        if isinstance(self.rows, slice):
            return self.top.attention
        columns = zip(self.cells.place.T, discounts(self.top.k), strict=True)
        return np.asarray(sum(worth * np.bincount(cell, minlength=len(self.cells.slots)) for cell, worth in columns))

    @cached_property
    def levels(self) -> "Levels":
        """How many lists items of each group can be in."""
        cells = self.cells
        most = np.zeros(len(self.sizes), np.int64)
        np.maximum.at(most, cells.group, cells.slots)
        starts = np.cumsum(most + 1) - most - 1
        group = np.repeat(np.arange(len(most)), most + 1)
        return Levels(cells, starts, group, np.arange(len(group)) - starts[group])

    def over_lists(self, values: Array) -> Floats:
        """Sum values of cells over each list, shape (n,)."""
        if isinstance(self.rows, slice):
            return self.top.sum(values)
        return np.asarray(values[self.cells.place].sum(axis=1))


@dataclass(frozen=True, eq=False)
class Cells:
    """The C pairs of a group of users and an item that its lists hold; of all users as the one group, all items.

    Groups, and the items of each, ascend; item I fills the end of lists that are shorter than k.
    """

    group: Ints  # (C,)
    items: Ints  # (C,)
    slots: Ints  # (C,), lists of the group that hold the item
    place: Array  # (n, k), which cell each place of a list is; -1, too, where a list has ended


@dataclass(frozen=True, eq=False)
class Levels:
    """Each number of lists that an item of a group can be in, from 0 to that of the item that most hold."""

    cells: Cells
    starts: Ints  # (G,), where each group begins
    group: Ints  # (L,)
    slots: Ints  # (L,)

    def items(self, counted: Mask) -> Ints:
        """Return how many of some items, a mask of shape (I,), are at each level, shape (L,)."""
        there = self.cells.slots > 0
        there[there] = counted[self.cells.items[there]]
        items = np.bincount(self.of_cells[there], minlength=len(self.group))
        items[self.starts] = int(counted.sum()) - self.sum(items)
        return items

    def sum(self, values: Array) -> Array:
        """Sum values of levels by group, shape (G,)."""
        return np.asarray(np.add.reduceat(values, self.starts))

    @cached_property
    def of_cells(self) -> Ints:
        """Level of each cell, shape (C,)."""
        return np.asarray(self.starts[self.cells.group] + self.cells.slots)

    @cached_property
    def near(self) -> tuple[Ints, Ints]:
        """The levels before and at the end of those that chance moves an item of each level to, shape (L,) each."""
        reach = np.sqrt(self.slots).astype(np.int64) // 3
        places, last = np.arange(len(self.slots)), np.append(self.starts[1:], len(self.slots)) - 1
        return places - reach - 1, np.minimum(places + reach, last[self.group])

    def slope(self, values: Array) -> Floats:
        """Return how steeply values rise about each level, shape (L,)."""
        before, end = self.near
        return np.where(self.slots > 0, (values[end] - values[before]) / (end - before), 0.0)

    def among_others(self, items: Array) -> Mask:
        """Whether so many items are about each level, or chance moves one by so little, that slopes are known."""
        before, end = self.near
        below = np.cumsum(items)
        return np.asarray((self.slots < _FEW_LISTS) | (below[end] - below[before] >= _CROWD))


@dataclass(frozen=True)
class ByGroup:
    """The influences on a metric that is one number, of all groups of users at once.

    ``by_group(groups)`` returns the metric of each group, (G,), what each list adds to its error, (n,), and, if lists
    have influence together too, the part of single lists in the variance, (G,).
    """

    by_group: Callable[..., tuple[Floats, ...]]

    def __call__(self, top: TopK, **options: Any) -> Floats:
        """Return the influences over all users, shape (U,)."""
        return self.by_group(UserGroups.of_all(top), **options)[1]


def decided_by_enough(df: Any, n: Any) -> Any:
    """Whether influences with `df` degrees of freedom show that enough of n users decide on a metric."""
    return ~(df < np.minimum(_FEWEST, (n - 1) / 4))
