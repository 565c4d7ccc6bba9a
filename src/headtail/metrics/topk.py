"""The input of metrics: the top-k lists of all users, the training interactions and, where given, the test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import scipy.sparse as sp

from headtail._top import ranges, slices
from headtail.data import Interactions, PopularityGroups
from headtail.data.coded import ascending, pair_keys
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Codes, Floats, Ints, Mask

BLOCK = 1 << 14  # lists at a time, so that results stay in the processor's cache


def blocks(n: int) -> Iterator[slice]:
    """Yield the rows of n lists or users, a block at a time."""
    return slices(n, BLOCK)


def _by_group(groups: PopularityGroups, items: Codes, rows: Array, n_rows: int) -> Ints:
    """Count the items of each row in each popularity group, shape (n_rows, n_groups), stored group by group."""
    n_groups = len(groups.names)
    cells = np.multiply(groups.codes, n_rows, dtype=np.int64).take(items)
    cells += rows
    return np.bincount(cells, minlength=n_groups * n_rows).reshape(n_groups, n_rows).T


@dataclass(frozen=True, eq=False)
class Standings:
    """The distinct popularity levels in users' histories; those of user u are at ``starts[u]:starts[u + 1]``."""

    levels: Codes  # (I,), of each item, 0 for the least popular ones; items of equal popularity share one
    starts: Ints  # (n_users + 1,)
    level: Codes  # (n,)
    weight: Floats  # (n,), the share of the history at the level
    below: Floats  # (n,), the share of the history below the level, and half of that at it


@dataclass(frozen=True, eq=False)
class Profiles:
    """Statistics of each training user's history, computed once and shared by all lists of an audit."""

    train: Interactions
    groups: PopularityGroups

    @cached_property
    def group_counts(self) -> Ints:
        """Training interactions of each user in each popularity group, shape (n_users, n_groups)."""
        codes, names = self.groups.codes, self.groups.names
        counts = [self.train.matrix @ (codes == group).astype(np.float32) for group in range(len(names))]
        return np.array(counts, dtype=np.int64).T

    @cached_property
    def mean_popularity(self) -> Floats:
        """Mean popularity of the items in each user's history, shape (n_users,); NaN without history."""
        with np.errstate(invalid="ignore"):
            return np.asarray((self.train.matrix @ self.train.popularity) / self.train.activity)

    @cached_property
    def standings(self) -> "Standings":
        """The popularity levels of each user's history, and their place in it."""
        levels = np.unique(self.train.popularity, return_inverse=True)[1].astype(np.int32)
        histories, activity = self.train.matrix, self.train.activity
        parts = []
        for part in blocks(self.train.n_users):
            first, last = histories.indptr[[part.start, part.stop]]
            users = np.repeat(np.arange(part.start, part.stop), activity[part])
            keys, counts = np.unique(pair_keys(users, levels[histories.indices[first:last]]), return_counts=True)
            users = keys >> 32
            held = np.bincount(users - part.start, minlength=part.stop - part.start)  # levels of each history
            before = np.cumsum(counts) - counts
            below = before - before[(np.cumsum(held) - held)[users - part.start]] + counts / 2
            of = activity[users]
            parts.append((held, keys.astype(np.int32), counts / of, below / of))  # the cast leaves the level of the key
        held, level, weight, below = map(np.concatenate, zip(*parts, strict=True))
        return Standings(levels, np.append(0, np.cumsum(held)), level, weight, below)

    @cached_property
    def _moments(self) -> tuple[Floats, Ints]:
        """The distinct times of the training interactions, and a sorted key of item and time for each."""
        times, moment = np.unique(np.asarray(self.train.timestamps, dtype=np.float64), return_inverse=True)
        return times, ascending(pair_keys(self.train.items, moment.astype(np.int32)))

    def popularity_before(self, items: Array, times: Array) -> Ints:
        """Training interactions of each item before each time, both of shape (n,)."""
        moments, keys = self._moments
        moment = np.searchsorted(moments, times).astype(np.int32)
        start, end = (np.searchsorted(keys, pair_keys(items, at)) for at in (np.zeros_like(moment), moment))
        return np.asarray(end - start)

    @cached_property
    def rare(self) -> Mask:
        """Which items are the least popular 80% of the catalogue, shape (n_items,)."""
        return PopularityGroups.by_rank(self.train.popularity, cuts=(0.2,)).mask("tail")


if TYPE_CHECKING:
    _figure = cached_property
else:

    class _figure(cached_property):  # noqa: N801 - a decorator
        """A cached property whose array cannot be written to, for all metrics share it."""

        def __get__(self, instance, owner=None):
            found = super().__get__(instance, owner)
            if isinstance(found, np.ndarray):
                found.setflags(write=False)
            return found


def _of_uncut(figure: "Callable[[TopK], Array]") -> Any:
    """A cached property of lists that is the same at every cut-off, and is computed only once."""

    @wraps(figure)
    def found(top: "TopK") -> Array:
        return figure(top) if top.uncut is None else getattr(top.uncut, figure.__name__)

    return _figure(found)


@dataclass(frozen=True, eq=False)
class TopK:
    """Top-k lists and all that metrics judge them by.

    A metric is any function of one TopK that returns a number, or one number a user (shape (U,), NaN where it is not
    defined for that user), which the audit averages. All metrics share the arrays, which cannot be written to.

    Attributes
    ----------
    items : int32 array of shape (U, k)
        Item codes, best first; -1 fills the end of a list that is shorter than k.
    users : int32 array of shape (U,)
        Code of each list's user in the training interactions, -1 for a user without training history.
    profiles : Profiles
        The training interactions, the popularity groups, and the users' histories.
    target_starts : int array of shape (U + 1,)
        The test items of list u are ``target_items[target_starts[u]:target_starts[u + 1]]``; all 0 without a test.
    target_items : int32 array of shape (n,)
        Item codes of the test interactions.
    target_ranks : int array of shape (n,)
        Position of each test item in its user's list, 0 first; a position of k or more means that it is not there.
    item_vectors : float array of shape (I, d), optional
    has_targets : bool, default True
        Whether a test was given. Some lists of an audit may have no test items all the same.
    times : float array of shape (U,), optional
        When each user's first test interaction was, NaN where there is none.
    uncut : TopK, optional
        The lists that these were cut from.
    """

    items: Codes
    users: Codes
    profiles: Profiles
    target_starts: Ints
    target_items: Codes
    target_ranks: Ints
    item_vectors: Floats | None = None
    has_targets: bool = True
    times: Floats | None = None
    uncut: "TopK | None" = None

    def __post_init__(self) -> None:
        for name in ("items", "users", "target_starts", "target_items", "target_ranks", "item_vectors", "times"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, _not_writable(values))

    def __len__(self) -> int:
        return len(self.users)

    @property
    def k(self) -> int:
        """The cut-off."""
        return int(self.items.shape[1])

    @property
    def extras(self) -> list[str]:
        """Optional inputs of some metrics that are there."""
        return ["vectors"] * (self.item_vectors is not None) + ["times"] * (self.times is not None)

    @property
    def popularity(self) -> Ints:
        """Training interactions of each item, shape (I,)."""
        return _not_writable(self.profiles.train.popularity)

    @property
    def groups(self) -> PopularityGroups:
        """Popularity groups of the items."""
        return self.profiles.groups

    @_figure
    def lengths(self) -> Ints:
        """Length of each list, shape (U,)."""
        return lengths_of(self.items)

    @_figure
    def _lists(self) -> list[sp.csr_array]:
        """Membership matrices of lists and items, (b, I), in blocks of lists that fit in a cache."""
        ones = np.ones(min(len(self), BLOCK) * self.k)
        parts = blocks(len(self)) if len(self) else [slice(0)]
        return [_membership_of(self.items[part], self.lengths[part], len(self.popularity), ones) for part in parts]

    @_figure
    def slots(self) -> Ints:
        """Lists that each item is in, shape (I,): its exposure."""
        return np.asarray(sum(lists.sum(axis=0) for lists in self._lists), dtype=np.int64)

    @_figure
    def attention(self) -> Floats:
        """Exposure of each item by rank, shape (I,): a place at rank r of a list counts 1 / log2(r + 1)."""
        counts, worth = np.zeros(len(self.popularity) + 1), np.tile(discounts(self.k), min(len(self), BLOCK))
        for part in blocks(len(self)):
            items = self.items[part].ravel()
            counts += np.bincount(items + 1, worth[: items.size], len(counts))
        return counts[1:]

    @_figure
    def mean_popularity(self) -> Floats:
        """Mean popularity of the items of each list, shape (U,); NaN for an empty list."""
        return self.mean(self.popularity)

    @_figure
    def group_slots(self) -> Ints:
        """Slots of each list that items of each popularity group take, shape (U, n_groups)."""
        of_group = self.groups.codes[:, None] == np.arange(len(self.groups.names))  # (I, n_groups)
        return self.sum(of_group).astype(np.int64, order="F")  # group by group, as callers read them

    @_of_uncut
    def histories(self) -> Ints:
        """Training interactions of each list's user in each popularity group, shape (U, n_groups); 0 without any."""
        counts = self.profiles.group_counts.T.take(self.users, axis=1)
        counts[:, self.users < 0] = 0
        return counts.T

    @_of_uncut
    def chances(self) -> Ints:
        """Items of each popularity group that each list could have held, shape (U, n_groups); 0 for an empty list."""
        sizes = np.bincount(self.groups.codes, minlength=len(self.groups.names))
        return np.where(self.lengths[:, None] > 0, sizes - self.histories, 0)

    @_of_uncut
    def target_rows(self) -> Ints:
        """Row of each test interaction, shape (n,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.target_starts))

    @_figure
    def hits(self) -> tuple[Ints, Ints, Codes]:
        """Row, rank (0 first) and item of each test interaction that is in the lists."""
        found = np.flatnonzero(self.target_ranks < self.k)
        return self.target_rows[found], self.target_ranks[found], self.target_items[found]

    @_figure
    def group_hits(self) -> Ints:
        """Test interactions in each list by popularity group, shape (U, n_groups)."""
        return _by_group(self.groups, self.hits[2], self.hits[0], len(self))

    @_of_uncut
    def group_targets(self) -> Ints:
        """Test interactions of each list's user in each popularity group, shape (U, n_groups)."""
        return _by_group(self.groups, self.target_items, self.target_rows, len(self))

    def mean(self, values: Array) -> Floats:
        """Mean of item values, shape (I,), over each list: shape (U,), NaN for an empty list."""
        return self.sum(values) / np.where(self.lengths > 0, self.lengths, np.nan)

    def sum(self, values: Array) -> Floats:
        """Sum of item values, shape (I,) or (I, n), over each list: shape (U,) or (U, n)."""
        values = np.asarray(values, dtype=np.float64)
        return np.concatenate([lists @ values for lists in self._lists])

    def at(self, k: int) -> "TopK":
        """Return the same lists cut at a smaller k."""
        if k == self.k:
            return self
        return replace(self, items=np.ascontiguousarray(self.items[:, :k]), uncut=self.uncut or self)

    def take(self, rows: Ints) -> "TopK":
        """Return the lists of some rows, in that order, repeats included."""
        counts = np.diff(self.target_starts)[rows]
        positions = ranges(self.target_starts[:-1][rows], counts)
        return replace(
            self,
            items=self.items[rows],
            users=self.users[rows],
            target_starts=np.append(0, np.cumsum(counts)),
            target_items=self.target_items[positions],
            target_ranks=self.target_ranks[positions],
            times=None if self.times is None else self.times[rows],
            uncut=None,
        )

    def require_targets(self, metric: str) -> None:
        """Raise if no test was given."""
        if not self.has_targets:
            raise without_test(metric)


def without_test(metric: str) -> InvalidInputError:
    """Return the error of a metric that lacks a test."""
    return InvalidInputError(f"{metric} needs test interactions. Give test=..., or leave the metric out.")


class Metric(Protocol):
    """A function of the lists that returns one number, or one a user."""

    def __call__(self, top: TopK, /) -> "float | Floats":
        """Return the metric of these lists."""
        ...


def discounts(k: int) -> Floats:
    """Return the discounts of ranks 1 to k, 1 / log2(rank + 1), shape (k,)."""
    return np.asarray(1 / np.log2(np.arange(k) + 2))


def ideal(wanted: Array, k: int, scale: float = 1.0) -> Floats:
    """Return the DCG of the best list of k for users who want ``scale * wanted`` items, counted as at least one."""
    return np.asarray(np.interp(scale * wanted, np.arange(1, k + 1), np.cumsum(discounts(k))))


def _not_writable(values: Array) -> Array:
    """Return a view of an array through which it cannot be changed."""
    view = values.view()
    view.setflags(write=False)
    return view


def _membership_of(items: Codes, lengths: Array, n_items: int, ones: Floats) -> sp.csr_array:
    """Return the membership matrix of lists and items, shape (U, I)."""
    lists = sp.csr_array((len(lengths), n_items))
    lists.indptr = np.append(0, np.cumsum(lengths)).astype(np.int32)
    lists.indices = items.ravel() if lists.indptr[-1] == items.size else items[items >= 0]
    lists.data = ones[: lists.indptr[-1]]
    return lists


def lengths_of(items: Codes) -> Ints:
    """Return the lengths, (U,), of lists padded with -1, (U, k)."""
    lengths = np.full(len(items), items.shape[1])
    short = np.flatnonzero(items[:, -1] < 0)
    lengths[short] = (items[short] >= 0).sum(axis=1)
    return lengths


def find_ranks(items: Codes, rows: Ints, relevant: Codes) -> Ints:
    """Return the position of each relevant item, shape (n,), in the list of its row, k where it is not there."""
    k = items.shape[1]
    ranks = np.full(len(relevant), k, dtype=np.int64)
    for part in blocks(len(relevant)):
        places = np.flatnonzero(items.take(rows[part], axis=0) == relevant[part, None])
        ranks[part.start + places // k] = places % k
    return ranks
