"""Rows: a block at a time, the k highest values of each, and the positions of those of unequal lengths."""

from collections.abc import Iterator

import numpy as np

from headtail.typing import Array, Floats, Ints

_GROUPS = 4  # of values that share a maximum in the search for the k highest, times k
_FEW = 64  # values beyond 4 k of a row that are sorted at once


def slices(n: int, step: int) -> Iterator[slice]:
    """Yield the positions of n rows, `step` at a time."""
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def ranges(starts: Array, counts: Array) -> Ints:
    """Return the positions of rows that start at `starts` and have `counts` entries, row after row."""
    return np.asarray(np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts))


def highest(scores: Floats, k: int, floor: Floats | None = None) -> tuple[Floats, Ints]:
    """Return the k highest values of each row, descending, and their columns; of equal values the lowest columns first.

    Values below the k-th largest maximum of groups of columns cannot be among the k highest, which leaves few to sort;
    rows with too many equal values are sorted whole. A row with fewer than k finite values ends with minus infinity,
    and so it may where some are below its `floor`, (n_rows,), as where others are known that reach it.
    """
    n_rows, n = scores.shape
    if k == n:
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.take_along_axis(scores, order, axis=1), order
    lowest = np.finfo(scores.dtype).min
    least = np.full(n_rows, lowest) if floor is None else np.maximum(floor, lowest)
    reached = None if floor is None else scores >= least[:, None]
    if reached is None or np.count_nonzero(reached) > 2 * k * n_rows:
        size = max(1, n // (_GROUPS * k))
        best = scores[:, : n - n % size].reshape(n_rows, size, n // size).max(axis=1)
        if k < n // size:
            least = np.maximum(least, np.partition(best, n // size - k, axis=1)[:, n // size - k])
        reached = scores >= least[:, None]
    places = np.flatnonzero(reached)
    counts = np.diff(np.searchsorted(places, n * np.arange(n_rows + 1)))
    crowded = np.flatnonzero(counts > 4 * k + _FEW)
    if len(crowded):
        places = places[~np.isin(places // n, crowded)]
        counts[crowded] = 0
    at = np.repeat(np.arange(n_rows), counts), ranges(np.zeros_like(counts), counts)
    values = np.full((n_rows, max(k, counts.max(initial=0))), -np.inf, dtype=scores.dtype)
    columns = np.zeros(values.shape, dtype=np.int64)
    values[at], columns[at] = scores.ravel()[places], places - n * at[0]
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]  # equal values stay in the order of their columns
    top_values, top_columns = (np.take_along_axis(table, order, axis=1) for table in (values, columns))
    step = max(1, n_rows // 8)
    for part in (crowded[rows] for rows in slices(len(crowded), step)):
        whole = np.argsort(-scores[part], axis=1, kind="stable")[:, :k]
        top_columns[part], top_values[part] = whole, np.take_along_axis(scores[part], whole, axis=1)
    return top_values, top_columns
