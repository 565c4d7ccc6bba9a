"""What the re-rankings share: the candidates of a list as one queue for each group of items.

A re-ranking that treats all items of a group alike never takes an item before a better one of its group. So the choice
of each slot is one between the heads of a few queues, whatever the length of the lists.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from headtail._top import slices
from headtail.data import Interactions, Recommendations
from headtail.data.popularity import Grouping, as_groups
from headtail.data.recommendations import check_same_ids
from headtail.rerank import best, scores_of
from headtail.typing import Array, Floats, Ints, Mask

_ROWS = 4096  # lists that are re-ranked at a time

Places = Ints


class Queues:
    """The candidates of some lists, a queue for each group of items, best first, to fill k slots.

    `codes`, (U, R), is the group of each candidate, -1 where a list has ended. `taken`, (U, G), counts the items taken
    of each group; `none`, which is R, is the column where there is no candidate.
    """

    def __init__(self, codes: Array, n_groups: int, k: int) -> None:
        self.none = codes.shape[1]
        self._columns = np.full((len(codes), n_groups, k + 1), self.none)
        for group in range(n_groups):
            inside = codes == group
            place = np.cumsum(inside, axis=1, dtype=np.int32)
            rows, columns = np.nonzero(inside & (place <= k))
            self._columns[rows, group, place[rows, columns] - 1] = columns
        self.taken = np.zeros((len(codes), n_groups), dtype=np.int64)

    @property
    def first(self) -> Places:
        """Column of the best item that is left of each group, shape (U, G)."""
        return np.take_along_axis(self._columns, self.taken[:, :, None], axis=2)[:, :, 0]

    def take(self, values: Floats, where: Mask | None = None) -> tuple[Places, Places]:
        """Take the item of the group with the highest value from each list, of equal ones the one that stands first.

        `values`, (U, G), are those of the first item of each group; -inf is taken only where nothing else is left. Only
        lists `where` that is true are taken from. Return the columns and groups, (U,), of the items; the column is
        :attr:`none` where nothing was taken.
        """
        first = self.first
        left = first < self.none
        values = np.where(left, np.round(values, 12), -np.inf)  # equal up to rounding is equal
        tied = left & (values == values.max(axis=1, keepdims=True))
        groups = np.argmin(np.where(tied, first, self.none), axis=1)
        rows = np.arange(len(first))
        columns = first[rows, groups]
        if where is not None:
            columns = np.where(where, columns, self.none)
        self.taken[rows, groups] += columns < self.none
        return columns, groups


def greedily(
    recs: Recommendations, codes: Array, n_groups: int, k: int, values: Callable[[slice, int, Queues, Floats], Floats]
) -> Recommendations:
    """Fill each list, best first, slot by slot with the item of the highest value.

    `codes`, (n_items,), is the group of each item. ``values(rows, slot, queues, scores)`` returns the value of the
    first item of each group, of which `scores` are scaled.
    """
    chosen = []
    for rows, queues in blocks(recs, codes, n_groups, k):
        scores = np.pad(unit_scores(recs, rows), ((0, 0), (0, 1)))
        slots = []
        for slot in range(k):
            score = np.take_along_axis(scores, queues.first, axis=1)
            slots.append(queues.take(values(rows, slot, queues, score))[0])
        chosen.append(np.stack(slots, axis=1))
    return picked(recs, chosen, k)


def blocks(recs: Recommendations, codes: Array, n_groups: int, k: int) -> Iterator[tuple[slice, Queues]]:
    """Yield the lists block by block, with their queues."""
    padded = np.append(codes, np.int8(-1))
    for rows in slices(len(recs), _ROWS):
        yield rows, Queues(padded[recs.items[rows]], n_groups, k)


def picked(recs: Recommendations, columns: list[Places], k: int) -> Recommendations:
    """Return the lists of these columns, in this order.

    Their scores are k, k - 1 and so on: no number of an item alone would put them in this order.
    """
    every = np.concatenate([np.empty((0, k), dtype=np.int64), *columns])
    items = np.take_along_axis(np.pad(recs.items, ((0, 0), (0, 1)), constant_values=-1), every, axis=1)
    return replace(recs, items=items, scores=np.where(items >= 0, np.arange(k, 0, -1.0), np.nan))


def best_first(recs: Recommendations, k: int) -> Recommendations:
    """Return the lists ordered by their scores, if there are scores and lists of at least k."""
    scores = scores_of(recs, k)
    rising = (scores[:, 1:] > scores[:, :-1]).any()
    return best(recs, scores, recs.k) if rising else recs


def unit_scores(recs: Recommendations, rows: slice | Places) -> Floats:
    """Return the scores scaled to run from 0 to 1 within each list, 0 where a list has ended or all are the same."""
    assert recs.scores is not None
    filled = recs.items[rows] >= 0
    scores = recs.scores[rows].astype(np.float64)
    low = np.where(filled, scores, np.inf).min(axis=1, keepdims=True)
    width = np.where(filled, scores, -np.inf).max(axis=1, keepdims=True) - low
    return np.where(filled & (width > 0), (scores - low) / np.where(width > 0, width, 1.0), 0.0)


def tail_of(groups: Grouping, popularity: Array) -> Ints:
    """Return 1 for the items of the last popularity group, and 0 for the others."""
    found = as_groups(groups, popularity)
    return np.asarray(found.codes == len(found.names) - 1, dtype=np.int8)


def profiles(recs: Recommendations, known: Interactions, codes: Array, n_groups: int) -> Floats:
    """Return the share of each group in the history of each list's user, all 0 without history; shape (U, G)."""
    check_same_ids(recs, known)
    cells = known.users.astype(np.int64) * n_groups + codes[known.items]
    counts = np.bincount(cells, minlength=known.n_users * n_groups).reshape(-1, n_groups)[recs.users]
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
