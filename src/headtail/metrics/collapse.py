"""Signs of a collapsed recommender or of wrong files: the same few items for all, popular ones, or known ones."""

import numpy as np

from headtail._printable import counted
from headtail.baselines import most_popular, random_items
from headtail.metrics.accuracy import ndcg
from headtail.metrics.references import with_lists
from headtail.metrics.topk import TopK
from headtail.typing import Array, Codes

_FEW = 0.05  # share of the items that this number of slots could hold
_SAMPLE = 1000  # lists at most that are compared with the most popular items, or with what their users know
_USERS = 15  # below these, few metrics have an interval
_PLACES, _SOME, _KNOWN = 100, 0.05, 0.9  # places at least, and shares of them with items that their users know


def collapse_notes(top: TopK) -> list[str]:
    """Return notes on collapsed lists; empty for most lists."""
    wanting, listed = np.diff(top.target_starts) > 0, top.items[:, 0] >= 0
    notes = few_items(top.slots, int(listed.sum())) + _known_items(top)
    rows = np.flatnonzero(wanting & listed)
    notes += few_lists(int(wanting.sum()), len(rows)) + few_users(int(listed.sum()))
    if len(rows) and len(top.profiles.train):
        some = top.take(rows[:: -(-len(rows) // _SAMPLE)])
        found, simple = (float(ndcg(lists).mean()) for lists in (some, with_lists(some, _most_popular(some))))
        if found <= simple > 0:
            notes.append(
                f"The lists are no more accurate than the most popular items would be: ndcg@{top.k} is {found:.4f}, "
                f"theirs {simple:.4f} (over {counted(len(some), 'user')}, what each of them knows left out)."
                f"{_beside_random(some.take(np.flatnonzero(some.users >= 0)))}"
            )
    return notes


def _beside_random(top: TopK) -> str:
    """Say so if random items would be more accurate, beyond two standard errors; empty where they would not."""
    if not len(top):
        return ""
    train = top.profiles.train
    random = random_items(train, top.k, users=train.user_ids[top.users], rng=0).items
    more = ndcg(with_lists(top, random)) - ndcg(top)
    if more.mean() <= 2 * more.std() / len(more) ** 0.5:
        return ""
    return (
        f" Even random items would be more accurate, by {more.mean():.4f}. Check that the files belong together, and "
        f"that the model is not out of date for this test."
    )


def _known_items(top: TopK) -> list[str]:
    """Return a note if lists hold what their users have in training, all of it as where files were exchanged."""
    some = top.take(np.flatnonzero(top.users >= 0)[:: -(-len(top) // _SAMPLE)])
    rows, places = np.nonzero(some.items >= 0)
    known = some.profiles.train.contains(some.users[rows], some.items[rows, places])
    if len(known) < _PLACES or known.mean() < _SOME:
        return []
    if known.mean() < _KNOWN:
        wanted = some.profiles.train.contains(np.repeat(some.users, np.diff(some.target_starts)), some.target_items)
        if len(wanted) and wanted.mean() >= _SOME:  # the test repeats what users know, so lists are meant to
            return []
        return [
            f"{known.mean():.0%} of what is recommended stands in its users' own training interactions. Leave these "
            f"out before lists are cut, unless repeats are meant; a test without repeats cannot find them."
        ]
    return [
        f"{known.mean():.0%} of what is recommended stands in its users' own training interactions, which lists "
        f"usually leave out. Look at whether recs and train are the right files."
    ]


def _most_popular(top: TopK) -> Codes:
    """Return the most popular items that each user has not met, shape (U, k), or of all items without a history."""
    train, known = top.profiles.train, top.users >= 0
    items = np.tile(most_popular(train, top.k, users=train.user_ids[:1], exclude_seen=False).items, (len(top), 1))
    if known.any():
        items[known] = most_popular(train, top.k, users=train.user_ids[top.users[known]]).items
    return items


def few_lists(n_wanting: int, n_listed: int) -> list[str]:
    """Return a note if fewer than half of the users of the test have a list."""
    if 2 * n_listed >= n_wanting:
        return []
    return [
        f"Of {counted(n_wanting, 'user')} of the test {n_listed:,} {'has' if n_listed == 1 else 'have'} "
        f"recommendations; for the others nothing counts as found. Unless they should have had lists, leave them out "
        f"of the test."
    ]


def few_users(n_lists: int) -> list[str]:
    """Return a note if there are so few lists that chance decides every figure."""
    if n_lists >= _USERS:
        return []
    return [f"These are the lists of {counted(n_lists, 'user')}: the figures of others may be quite different."]


def few_items(slots: Array, n_lists: int) -> list[str]:
    """Return a note if lists hold few items, or all the same, from the number of lists that hold each item, (I,)."""
    shown, n_slots = np.count_nonzero(slots), int(slots.sum())
    same = n_lists >= _USERS and n_slots == shown * n_lists < len(slots) * n_lists
    if shown >= _FEW * min(len(slots), n_slots) and not same:
        return []
    return [
        f"The lists may have collapsed to few items: all {n_lists:,} of them hold {shown:,} of {len(slots):,} items. "
        f"Look at how the recommender was trained or tuned before reading anything else of them."
    ]
