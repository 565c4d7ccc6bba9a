"""Signs that a recommender has collapsed: the same few items for everybody, or no better ones than the popular."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from headtail.metrics.accuracy import ndcg
from headtail.metrics.topk import TopK
from headtail.typing import Array

_FEW = 0.05  # of the items that lists of this number and length could show
_SAMPLE = 1000  # lists at most that are compared with the most popular items


def collapse_notes(top: TopK) -> list[str]:
    """Return what an audit has to say of lists that have collapsed: nothing of most."""
    notes = few_items(top.slots, len(top))
    rows = np.flatnonzero(np.diff(top.target_starts))
    if len(rows):
        some = top.take(rows[:: -(-len(rows) // _SAMPLE)])
        found, simple = (
            float(ndcg(lists).mean()) for lists in (some, replace(some, target_ranks=_most_popular_ranks(some)))
        )
        if found <= simple > 0:
            notes.append(
                f"The lists are no more accurate than the most popular items would be: ndcg@{top.k} is {found:.4f}, "
                f"theirs {simple:.4f} (among {len(some):,} of the users, without what each of them knows)."
            )
    return notes


def few_items(slots: Array, n_lists: int) -> list[str]:
    """Return what there is to say of lists that hold few items, by the lists that each item is in, shape (I,)."""
    shown, reachable = np.count_nonzero(slots), min(len(slots), int(slots.sum()))
    if shown >= _FEW * reachable:
        return []
    return [
        f"The lists have collapsed to few items: all {n_lists:,} of them hold {shown:,} of {len(slots):,} items. "
        f"Look at how the recommender was trained or tuned before reading anything else of them."
    ]


def _most_popular_ranks(top: TopK) -> NDArray[np.int64]:
    """Return the rank of each test item, 0 first, among the most popular items outside the user's history."""
    train = top.profiles.train
    place = np.empty(train.n_items, dtype=np.int64)
    place[np.argsort(-train.popularity, kind="stable")] = np.arange(train.n_items)
    judged = np.unique(top.users[top.users >= 0])
    counts, ends = train.activity[judged], np.cumsum(train.activity)[judged]
    pairs = train.sorted_pairs[np.arange(counts.sum()) + np.repeat(ends - np.cumsum(counts), counts)]
    met = np.sort((pairs >> 32) * train.n_items + place[pairs & 0xFFFFFFFF])
    ranks, users = place[top.target_items], top.users[top.target_rows].astype(np.int64)
    starts = users * train.n_items  # of a user without a history, -1, before all
    return ranks - (np.searchsorted(met, starts + ranks) - np.searchsorted(met, starts))
