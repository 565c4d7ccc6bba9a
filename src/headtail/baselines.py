"""Trivial recommenders, which stand in every comparison: the most popular items, and random ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from headtail._checks import checked, generator, list_length
from headtail._top import slices
from headtail.data import Interactions, Recommendations
from headtail.data.coded import met_by
from headtail.data.interactions import read_pairs
from headtail.typing import RNG, Codes, IntoFrame, Ints

_BLOCK = 2**22  # cells of a block of users


@checked
def most_popular(
    train: "Interactions | IntoFrame", k: int | None = None, *, users: Any = None, exclude_seen: bool = True
) -> Recommendations:
    """Recommend to everyone the items with the most training interactions.

    The score is the popularity; of equally popular items the one with the smaller code comes first.

    Parameters
    ----------
    train : Interactions or frame
        Counts the popularity, and says what a user has seen.
    k : int, optional
        Length of the lists, by default 20 or the size of the catalogue; a user with fewer items left gets fewer.
    users : sequence of user ids, optional
        Whom to serve; all users without it.
    exclude_seen : bool, default True
        Leave out what the user met in `train`.

    Examples
    --------
    >>> train = Interactions.from_frame(pl.DataFrame({"user": [1, 2, 2, 3], "item": [10, 10, 20, 30]}))
    >>> most_popular(train, k=2).items
    array([[ 1,  2],
           [ 2, -1],
           [ 0,  1]], dtype=int32)
    """
    train = read_pairs(train, "train")[0]
    k = list_length(k, train.n_items)
    codes = train.user_codes(users)
    order = np.argsort(-train.popularity, kind="stable").astype(np.int32)
    found = np.full((len(codes), k), -1, dtype=np.int32)
    if exclude_seen:
        place = np.empty(train.n_items, dtype=np.int32)
        place[order] = np.arange(train.n_items, dtype=np.int32)
        rest, window = np.arange(len(codes)), 4 * k + 50
        while len(rest):  # most users find k items among the most popular few; the search widens for the rest
            window = min(window, train.n_items)
            short = [_first_unseen(train, codes, rows, place, order, window, found) for rows in _chunks(rest, window)]
            rest = np.concatenate(short) if window < train.n_items else rest[:0]
            window *= 4
    else:
        top = order[:k]
        found[:, : len(top)] = top
    scores = np.where(found >= 0, train.popularity[found], np.nan).astype(np.float64)
    return Recommendations(train.user_ids, train.item_ids, codes, found, scores)


@checked
def random_items(
    train: "Interactions | IntoFrame",
    k: int | None = None,
    *,
    users: Any = None,
    exclude_seen: bool = True,
    rng: RNG = 0,
) -> Recommendations:
    """Recommend to every user k different items drawn evenly from the catalogue, without scores.

    Parameters
    ----------
    train, k, users, exclude_seen
        See :func:`most_popular`; items without interactions are drawn as well.
    rng : seed or generator, default 0

    Examples
    --------
    >>> train = Interactions.from_frame(pl.DataFrame({"user": [1, 2, 2], "item": [10, 20, 30]}))
    >>> random_items(train, k=2, rng=0).items.shape
    (2, 2)
    """
    train = read_pairs(train, "train")[0]
    k = list_length(k, train.n_items)
    codes = train.user_codes(users)
    random = generator(rng)
    found = np.full((len(codes), k), -1, dtype=np.int32)
    for rows in _chunks(np.arange(len(codes)), k):
        if not exclude_seen:
            found[rows] = _draw(np.full(len(rows), train.n_items), k, random)
            continue
        seen = train.matrix[codes[rows]]
        n_seen = np.diff(seen.indptr)
        found[rows] = _skip_seen(_draw(train.n_items - n_seen, k, random), seen.indices, n_seen, train.n_items)
    return Recommendations(train.user_ids, train.item_ids, codes, found)


def _chunks(rows: Ints, width: int) -> Iterator[Ints]:
    return (rows[part] for part in slices(len(rows), max(1, _BLOCK // width)))


def _first_unseen(
    train: Interactions, codes: Codes, rows: Ints, place: Codes, order: Codes, window: int, found: Codes
) -> Ints:
    """Fill the lists of `rows` from the `window` most popular items; return the rows that need to look further."""
    k = found.shape[1]
    who, seen = met_by(train, codes[rows])
    where = place[seen]
    near = where < window
    free = np.ones((len(rows), window), dtype=bool)
    free[who[near], where[near]] = False
    rank = np.cumsum(free, axis=1, dtype=np.int32)
    row, column = np.nonzero(free & (rank <= k))
    found[rows[row], rank[row, column] - 1] = order[column]
    return np.asarray(rows[rank[:, -1] < k])


def _draw(sizes: Ints, k: int, random: np.random.Generator) -> Ints:
    """Draw k different numbers below the size of each row, in random order; -1 where a row has no more.

    The j-th draw picks one of the numbers that are left by its rank among them.
    """
    drawn = np.full((len(sizes), k), -1, dtype=np.int64)
    # The numbers taken, ascending, less their positions: those of at most the rank lie below the pick.
    taken = np.empty((len(sizes), 0), dtype=np.int64)
    for j in range(min(k, int(sizes.max(initial=0)))):
        left = sizes - j
        rank = (random.random(len(sizes)) * left).astype(np.int64)
        pick = rank + (taken - np.arange(j) <= rank[:, None]).sum(axis=1)
        drawn[:, j] = np.where(left > 0, pick, -1)
        taken = np.sort(np.column_stack([taken, pick]), axis=1)
    return drawn


def _skip_seen(drawn: Ints, seen: Codes, n_seen: Ints, n_items: int) -> Ints:
    """Turn positions among the unseen items of each row into item codes; `seen` is ascending within a row."""
    starts = np.cumsum(n_seen) - n_seen
    who = np.repeat(np.arange(len(n_seen)), n_seen)
    # As above: how many seen items lie below the position. One sorted list for all rows, kept apart by an offset.
    keys = who * (n_items + 1) + seen - (np.arange(len(seen)) - starts[who])
    rows = np.arange(len(n_seen))[:, None]
    below = np.searchsorted(keys, rows * (n_items + 1) + drawn, side="right") - starts[:, None]
    return np.where(drawn >= 0, drawn + below, -1)
