"""Reads recommendations and tests of any form into the arrays that metrics take."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from headtail import _frames
from headtail._checks import finite, shown
from headtail._columns import ranking_columns
from headtail._printable import counted
from headtail._spelling import respelled
from headtail._times import refuse_mixed_units
from headtail.data import Interactions, Recommendations
from headtail.data.coded import ascending, order_by, pair_keys, recoded
from headtail.data.interactions import without_duplicates
from headtail.data.ranking import checked_ranks, ranks_by, users_with
from headtail.data.recommendations import refuse_repeats, repeated
from headtail.exceptions import InvalidInputError
from headtail.metrics.topk import Profiles, TopK, find_ranks, lengths_of
from headtail.typing import Array, Codes, Floats, IntoFrame


@dataclass
class InputNotes:
    """Suspicious findings about the input: errors when strict, else notes in the report."""

    strict: bool
    notes: list[str] = field(default_factory=list)
    any_user: bool = False  # no training interactions say who the users are,
    any_item: bool = False  # and nothing says what the catalogue is

    def raise_or_note(self, finding: str, cure: str, consequence: str) -> None:
        """Raise the finding with its cures, or note it with its consequence."""
        if self.strict:
            raise InvalidInputError(f"{finding} {cure} Or give strict=False: {consequence}.")
        self.notes.append(f"{finding} {consequence[0].upper()}{consequence[1:]}.")

    def of_users(
        self, *, unlisted: int, cold: int, short: int, k: int, idle: int = 0, example: str = "", alike: str = ""
    ) -> None:
        """Report how many users have no list, no history, or fewer than k recommendations.

        Users whose ids training does not know may be others, or be written otherwise (`alike`); `idle` ones, as a split
        leaves them, it knows.
        """
        apart = "they are left out of popularity_lift and upd, and kept in all other metrics"
        if unlisted:
            lacking = counted(unlisted, "test user", "has", "have")
            self.notes.append(f"{lacking} no recommendations; they count with an empty list.")
        if cold and not self.any_user:
            self.raise_or_note(
                f"recs or test have {counted(cold, 'user')} without training history{example}.{alike}",
                "Give the training interactions that the recommender was trained on, or leave those users out.",
                apart,
            )
        if idle:
            self.notes.append(f"{counted(idle, 'user', 'has', 'have')} no training interactions; {apart}.")
        if short:
            self.notes.append(f"{counted(short, 'user', 'has', 'have')} fewer than {counted(k, 'recommendation')}.")

    def of_overlap(self, n: str) -> None:
        """Report how many test interactions are in training."""
        self.raise_or_note(
            f"train holds {n} as well.",
            "Remove them from one of the two, or check that the right files were given.",
            "they count as wanted items, which no recommender that leaves out seen items can find",
        )


def within(longest: int, cutoffs: Sequence[int], *, asked: bool) -> list[int]:
    """Return the cut-offs within the longest list, or its length; raise if one that was asked for is beyond it."""
    if longest < cutoffs[-1] and asked:
        raise InvalidInputError(
            f"k={cutoffs[-1]} is above the longest list, which has {counted(longest, 'item')}. Ask for less."
        )
    return [c for c in cutoffs if c <= longest] or [longest]


class Lists(NamedTuple):
    """Ranked item codes, one row a user; short lists are padded with -1."""

    row_ids: Array
    items: Codes


def read_lists(
    recs: "Recommendations | IntoFrame", train: Interactions, k: int, noted: InputNotes
) -> tuple[Lists, int, Interactions]:
    """Read the first `k` recommendations of every user as codes of `train`'s catalogue.

    Beside the lists it returns the length of the longest before the cut, and `train` with the items that it lacked,
    where these may be.
    """
    if isinstance(recs, Recommendations):
        lists, longest, train = _lists_from_array(recs, train, noted)
    else:
        lists, longest, train = _lists_from_frame(recs, train, k, noted)
    refuse_repeats(lists.items, train.item_ids, lists.row_ids, "recs")
    return Lists(lists.row_ids, lists.items[:, :k]), longest, train


def _lists_from_array(recs: Recommendations, train: Interactions, noted: InputNotes) -> tuple[Lists, int, Interactions]:
    """Leave out users whose list is empty, as in a table; test users among them get an empty list again."""
    lengths = lengths_of(recs.items)
    listed = lengths > 0
    if not listed.any():
        raise InvalidInputError("recs has no recommendations: all lists are empty.")
    if not listed.all():
        empty = counted(int((~listed).sum()), "user")
        noted.notes.append(f"recs has an empty list for {empty}; only those of the test count.")
    items, train = _coded(recs, train, noted)
    items = items if listed.all() else items[listed]
    return Lists(recs.user_ids[recs.users[listed]], items), int(lengths.max()), train


def _coded(recs: Recommendations, train: Interactions, noted: InputNotes) -> tuple[Codes, Interactions]:
    if recs.item_ids is train.item_ids:
        return recs.items, train
    train = with_cold(train, recs.item_ids[np.unique(recs.items[recs.items >= 0])], noted)
    codes = _frames.lookup(recs.item_ids, train.item_ids, "recs item_id")
    return np.where(recs.items >= 0, codes[recs.items], np.int32(-1)), train


def _lists_from_frame(
    recs: IntoFrame, train: Interactions, k: int, noted: InputNotes
) -> tuple[Lists, int, Interactions]:
    recs = _frames.unnested(recs, "recs")
    columns, notes = ranking_columns(_frames.column_names(recs, "recs"), "recs")
    noted.notes += notes
    table = _frames.to_table(recs, required=("user_id", "item_id"), optional=list(columns), given=columns, what="recs")
    scores = None
    if "score" in columns and ("rank" not in columns or table["score"].dtype.is_numeric()):
        scores = _frames.numbers(table["score"], columns["score"], "recs")
        finite("recs score", scores, "Leave out items that have no score.")
    row_ids, rows = _frames.encode(table["user_id"])
    codes = _frames.lookup(table["item_id"], train.item_ids, "recs item_id")
    if codes.min() < 0:
        train = with_cold(train, _frames.to_ids(table["item_id"].unique().sort()), noted)
        codes = _frames.lookup(table["item_id"], train.item_ids, "recs item_id")
    if "rank" in columns:
        ranks = checked_ranks(
            _frames.numbers(table["rank"], columns["rank"], "recs"), rows, row_ids, "recs", columns["rank"]
        )
        if scores is not None and (disagreeing := users_with(np.greater, scores, rows, ranks)):
            noted.notes.append(
                f"{columns['rank']!r} ranks the recommendations of recs; {columns['score']!r} would rank those of "
                f"{counted(disagreeing, 'user')} otherwise."
            )
    else:
        ranks = ranks_by(scores, rows)
        if scores is not None and (tied := users_with(np.equal, scores, rows, ranks, k)):
            noted.notes.append(
                f"{columns['score']!r} is the same for several items of {counted(tied, 'user')}, up to place {k}; of "
                f"these the one whose row comes first ranks first."
            )
    longest = int(ranks.max())
    if longest > k:  # repeats beyond the cut are errors too
        keys = ascending(pair_keys(rows, codes))
        if len(twice := keys[1:][keys[1:] == keys[:-1]]):
            raise repeated(train.item_ids[twice[0] & 0xFFFFFFFF], row_ids[twice[0] >> 32], len(twice), "recs")
        kept = ranks <= k
        rows, codes, ranks = rows[kept], codes[kept], ranks[kept]
    items = np.full((len(row_ids), min(k, longest)), -1, dtype=np.int32)
    items[rows, ranks - 1] = codes
    return Lists(row_ids, items), longest, train


def with_cold(train: Interactions, ids: Array, noted: InputNotes) -> Interactions:
    """Return the training interactions with the unknown items of the lists added, unless strict."""
    new = ids[_frames.lookup(ids, train.item_ids, "recs item_id") < 0]
    if not len(new):
        return train
    if noted.any_item:
        return train.with_items(new)
    strange = counted(len(new), "item", "that is", "that are")
    finding = f"recs has {strange} not in the catalogue, for example {shown(new)}."
    finding += respelled(new, train.item_ids, "item_id")
    cure = (
        "The catalogue is the items of the training interactions; give catalogue=... with all item ids if more can be "
        "recommended."
    )
    if len(new) == len(ids):
        raise InvalidInputError(f"{finding} {cure}")
    noted.raise_or_note(finding, cure, "they count as items without interactions")
    return train.with_items(new)


def widen(
    train: Interactions, catalogue: Iterable[Any] | None, test: Interactions | None, noted: InputNotes
) -> Interactions:
    """Return the training interactions with the items of the catalogue and of the test added.

    A test item that training does not have counts as one that no list held, not as one that was never asked for.
    """
    if catalogue is not None:
        ids = _frames.to_ids(_frames.read_ids(catalogue, "item_id", "catalogue"))
        held = np.count_nonzero(np.unique(_frames.lookup(ids, train.item_ids, "catalogue")) >= 0)
        if 0 < held < train.n_items:
            lacking = counted(int(train.n_items - held), "item", "of training is", "of training are")
            noted.notes.append(f"{lacking} not in the catalogue given; all the same they count as recommendable.")
        train = train.with_items(ids)
    if test is None or test.item_ids is train.item_ids:
        return train
    new = _frames.lookup(test.item_ids, train.item_ids, "test item_id") < 0
    if new.all() and not noted.any_user:
        raise InvalidInputError(
            f"test has no item in common with training; it holds {shown(test.item_ids)} and training "
            f"{shown(train.item_ids)}. Check that both use the same ids."
            f"{respelled(test.item_ids, train.item_ids, 'item_id')}"
        )
    if not new.any():
        return train
    if not noted.any_user:
        wanted = counted(int(new.sum()), "test item", "is", "are")
        noted.notes.append(
            f"{wanted} not in training ({test.popularity[new].sum():,} of its {test.popularity.sum():,} "
            f"interactions). They belong to the catalogue and count as wanted."
            f"{respelled(test.item_ids[new], train.item_ids, 'item_id')}"
        )
    return train.with_items(test.item_ids[new])


def judge(
    lists: Lists, profiles: Profiles, test: Interactions | None, item_vectors: Floats | None, noted: InputNotes
) -> tuple[TopK, Array]:
    """Join lists with training and test into a :class:`TopK`, and return it with the user id of each row.

    A test user without a list gets an empty one, so that a recommender cannot gain by leaving hard users out.
    """
    train = profiles.train
    row_ids, items = lists
    target_items = np.empty(0, dtype=np.int32)
    target_rows = np.empty(0, dtype=np.int32)
    unlisted = train.user_ids[:0]
    if test is not None:
        target_items = recoded(test.items, test.item_ids, train.item_ids, "test item_id")
        unlisted = test.user_ids[(test.activity > 0) & (_frames.lookup(test.user_ids, row_ids, "test user_id") < 0)]
        if len(unlisted):
            row_ids = np.concatenate([row_ids, unlisted])
            items = np.vstack([items, np.full((len(unlisted), items.shape[1]), -1, dtype=np.int32)])
        target_rows = recoded(test.users, test.user_ids, row_ids, "test user_id")
    users = _frames.lookup(row_ids, train.user_ids, "recs user_id")
    cold, idle = users < 0, np.append(train.activity, 1)[users] == 0  # -1, of a cold user, picks the last
    noted.of_users(
        unlisted=len(unlisted),
        cold=int(cold.sum()),
        idle=int(idle.sum()),
        short=int(((items[:, -1] < 0) & (items[:, 0] >= 0)).sum()),
        k=items.shape[1],
        example=f", for example {shown(row_ids[cold][:1])}",
        alike=respelled(row_ids[cold], train.user_ids, "user_id"),
    )
    users = np.where(idle, np.int32(-1), users)
    order = order_by(target_rows)
    rows, relevant = target_rows[order].astype(np.int64), target_items[order]
    starts = np.append(0, np.cumsum(np.bincount(rows, minlength=len(row_ids))))
    ranks = find_ranks(items, rows, relevant)
    return TopK(items, users, profiles, starts, relevant, ranks, item_vectors, test is not None), row_ids


def with_times(top: TopK, test: Interactions | None, row_ids: Array) -> TopK:
    """Return the lists with the time of each user's first test interaction."""
    if test is None or test.timestamps is None or top.profiles.train.timestamps is None:
        raise InvalidInputError(
            "as_of_event=True needs the times of interactions. Give train and test with timestamps, or leave it out."
        )
    refuse_mixed_units(np.concatenate([top.profiles.train.timestamps, test.timestamps]), "The time of train and test")
    first = np.full(len(top), np.inf)
    np.minimum.at(first, recoded(test.users, test.user_ids, row_ids, "test user_id"), test.timestamps)
    return replace(top, times=np.where(np.isfinite(first), first, np.nan))


def fingerprints(profiles: Profiles, test: Interactions | None) -> dict[str, str]:
    """Return short descriptions of what lists are judged by, to compare audits: sums of hashes that ignore order.

    Of the training interactions that is the number of each user and of each item.
    """
    train, groups = profiles.train, profiles.groups
    users, items = _frames.hashes(train.user_ids), _frames.hashes(train.item_ids)
    counts = np.concatenate([train.activity, train.popularity]).astype(np.uint64)
    training = (np.concatenate([users, items]) * counts).sum()
    found = {"catalogues": f"{train.n_items:,} items, {items.sum():x}"}
    if len(train):
        found |= {
            "training interactions": f"{len(train):,} interactions, {training:x}",
            "popularity groups": f"{groups!r}, {(items * (groups.codes + 1).astype(np.uint64)).sum():x}",
        }
    if test is not None:
        pairs = _frames.hashes(test.user_ids)[test.users] * (_frames.hashes(test.item_ids)[test.items] | np.uint64(1))
        found["test interactions"] = f"{len(test):,} interactions, {pairs.sum():x}"
    return found


def count_overlap(train: Interactions, test: Interactions | None) -> int:
    """Raise if training pairs repeat, and count the test interactions that are in training too."""
    without_duplicates(train, "error", "train")
    if test is None:
        return 0
    users = recoded(test.users, test.user_ids, train.user_ids, "test user_id")
    pairs = ascending(pair_keys(users, recoded(test.items, test.item_ids, train.item_ids, "test item_id")))
    pairs = pairs[np.searchsorted(pairs, 0) :]  # drop users that training does not know
    pairs = ascending(np.concatenate([train.sorted_pairs, pairs]))
    return int(np.count_nonzero(pairs[1:] == pairs[:-1]))
