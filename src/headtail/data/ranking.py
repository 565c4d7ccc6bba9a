"""The ranks of lists: as given, or by score."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from headtail._checks import shown
from headtail._columns import logger
from headtail._printable import counted
from headtail.data.coded import places_within
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Ints


def checked_ranks(given: Array, rows: Ints, row_ids: Array, what: str, column: Any) -> Ints:
    """Return ranks as whole numbers if they are 1, 2, 3 ... for every user, however far down."""
    cure = f"or drop the column {column!r}, so that scores rank, or the order of the rows."
    if not (given == np.floor(given)).all():
        raise InvalidInputError(
            f"{what} has ranks that are not whole numbers. Number each user's items 1, 2, 3 ..., {cure}"
        )
    if given.min() != 1:
        raise InvalidInputError(
            f"{what} has ranks that start at {given.min():g}. Number each user's items from 1, {cure}"
        )
    counts = np.bincount(rows)
    starts = np.cumsum(counts) - counts
    # As many cells as rows: every cell is hit only if no rank is doubled or beyond the end.
    inside = given <= counts[rows]
    hit = np.zeros(len(rows), dtype=bool)
    hit[starts[rows[inside]] + given[inside].astype(np.int64) - 1] = True
    if not hit.all():
        wrong = np.unique(np.repeat(np.arange(len(counts)), counts)[~hit])
        raise InvalidInputError(
            f"{what} has ranks that are not 1, 2, 3 ... for {counted(len(wrong), 'user')}; user "
            f"{shown(row_ids[wrong[:1]])} has {shown(np.sort(given[rows == wrong[0]]))}. Number each user's items "
            f"from 1 without gaps or repeats, {cure}"
        )
    return given.astype(np.int64)


def note_other_order(table: pl.DataFrame, columns: Mapping[str, Any], scores: Any, rows: Ints) -> None:
    """Log for how many users the ranks beside the scores give another order; the order of equal scores is open."""
    if len(columns) < 2 or not table["rank"].dtype.is_numeric():
        return
    order = np.lexsort((falling(scores), table["rank"].cast(pl.Float64).to_numpy()))
    if n := users_with(np.greater, scores, rows, places_within(rows, order) + 1):
        logger.warning(
            "%r ranks the lists; %r would rank those of %s otherwise. Leave %r out to rank by that.",
            columns["score"], columns["rank"], counted(n, "user"), columns["score"],
        )  # fmt: skip


def falling(scores: Array) -> Array:
    """Return numbers that fall where the scores rise: ``~x`` of whole numbers, of which ``-x`` may overflow."""
    return np.asarray(~scores if scores.dtype.kind in "iu" else -scores)


def rise_everywhere(scores: Array, filled: Array) -> bool:
    """Whether scores never fall along any list and rise in at least 20 places: they may be distances."""
    beside = filled[:, 1:] & filled[:, :-1]
    later, earlier = scores[:, 1:][beside], scores[:, :-1][beside]
    return bool(np.sum(later > earlier) >= 20 and (later >= earlier).all())


def users_with(relation: np.ufunc, scores: Array, rows: Ints, ranks: Ints, k: int | None = None) -> int:
    """Count the users with a score, among the first k, that is in this relation to the one before it."""
    counts = np.bincount(rows)
    starts, whose = np.cumsum(counts) - counts, np.repeat(np.arange(len(counts)), counts)
    ordered = np.empty_like(scores)
    ordered[starts[rows] + ranks - 1] = scores
    found = relation(ordered[1:], ordered[:-1]) & (whose[1:] == whose[:-1])
    if k is not None and found.any():
        found &= np.arange(1, len(whose)) - starts[whose[1:]] <= k
    return len(np.unique(whose[1:][found]))


def ranks_by(scores: Array | None, rows: Ints) -> Ints:
    """Return the rank of each recommendation, 1 first: by score, highest first and ties by row, else by row."""
    order = np.arange(len(rows)) if scores is None else np.argsort(falling(scores), kind="stable")
    return places_within(rows, order) + 1
