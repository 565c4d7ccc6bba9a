"""Batches of targets with sampled negatives, drawn with numpy so that every device sees the same."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from headtail._printable import counted
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Ints

_BITMAP_BYTES = 1 << 28  # at most; a bitmap of all pairs is the fastest index, and a folded one tells most that are not
_ROUNDS = 16  # of rejection, after which a user's unseen items are listed instead
_POOL = 16  # batches whose sequences are sorted by length together


class Batch(NamedTuple):
    """Items to predict, and what to predict them from; int64 arrays of codes.

    `inputs` is what the model takes: the distinct users of the batch, ascending, (D,), or sequences filled with -1 at
    the left, (D, L). `rows` (B,) is the position of each target's query among those that the model makes of `inputs`:
    one for each user, or one for each place of the sequences, row after row. `candidates` (B, 1 + n) holds each target,
    then n items that its user has not met in training.
    """

    inputs: Ints
    rows: Ints
    candidates: Ints

    def share(self, part: int, n_parts: int) -> "Batch":
        """Return one of `n_parts` parts of the inputs, which are at least as many, with their targets."""
        first, end = (len(self.inputs) * p // n_parts for p in (part, part + 1))
        places = self.inputs[0].size  # that each input has a query for
        own = slice(*np.searchsorted(self.rows, (first * places, end * places)))
        return Batch(self.inputs[first:end], self.rows[own] - first * places, self.candidates[own])


class Pairs:
    """Training pairs, for a model that takes users: the items of a batch are spread over many users."""

    def __init__(self, train: Interactions, n_negatives: int) -> None:
        self._negatives = Negatives(train, n_negatives)
        self._pairs = train.sorted_pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def epoch(self, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield every training pair once, in random batches."""
        order = rng.permutation(len(self)).astype(np.min_scalar_type(-len(self)))  # narrow numbers sort faster
        for start in range(0, len(order), batch_size):
            pairs = self._pairs[np.sort(order[start : start + batch_size])]  # user and item from one place of memory
            users, items = pairs >> 32, pairs & 0xFFFFFFFF  # (B,), the users ascending
            rows = np.cumsum(np.diff(users, prepend=users[:1]) > 0)
            inputs = np.empty(rows[-1] + 1, np.int64)
            inputs[rows] = users
            yield Batch(inputs, rows, self._negatives.after(items, users, rng))


class Windows:
    """Histories cut into windows, for a model that takes sequences: each place of a window predicts the item after it.

    The last window of a user ends with the user's last item, and holds `max_length` targets if there are as many; the
    others come before it, without overlap, so that each interaction is a target once. The input of a target is
    the item before it, be it of the window before; that of a user's first item is -1.
    """

    def __init__(self, train: Interactions, n_negatives: int, max_length: int) -> None:
        self._negatives = Negatives(train, n_negatives)
        self._items = train.histories.astype(np.int64)
        # The item before each, -1 before a user's first.
        starts = np.cumsum(train.activity) - train.activity
        self._before = np.concatenate([[-1], self._items[:-1]])
        self._before[starts[train.activity > 0]] = -1
        n_windows = -(-train.activity // max_length)
        self._users = np.repeat(np.arange(train.n_users), n_windows)
        from_last = np.repeat(np.cumsum(n_windows), n_windows) - 1 - np.arange(len(self._users))
        self._ends = (starts + train.activity)[self._users] - from_last * max_length
        self._lengths = np.minimum(self._ends - starts[self._users], max_length)

    def __len__(self) -> int:
        return len(self._items)

    def epoch(self, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield every window once, in random batches of windows of like lengths with about `batch_size` targets."""
        order = rng.permutation(len(self._lengths))
        # Sorted by length within pools of several batches, up and down by turns so that neighbours are alike.
        pool = np.cumsum(self._lengths[order]) // (_POOL * batch_size)
        order = order[np.lexsort((np.where(pool % 2, -1, 1) * self._lengths[order], pool))]
        total = np.cumsum(self._lengths[order])
        batch = (total - self._lengths[order]) // batch_size
        parts = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
        for i in rng.permutation(len(parts)):
            yield self._batch(parts[i], rng)

    def _batch(self, windows: Array, rng: np.random.Generator) -> Batch:
        lengths = self._lengths[windows]
        from_end = np.arange(lengths.max(), 0, -1)
        valid = from_end <= lengths[:, None]  # (D, L)
        places = (self._ends[windows][:, None] - from_end)[valid]  # (B,)
        inputs = np.full(valid.shape, -1)
        inputs[valid] = self._before[places]
        users = np.repeat(self._users[windows], lengths)
        return Batch(inputs, np.flatnonzero(valid), self._negatives.after(self._items[places], users, rng))


class Distinct:
    """Numbers the distinct codes of an array whose codes are below `n`."""

    def __init__(self, n: int) -> None:
        self._places = np.empty(n, dtype=np.int64)

    def __call__(self, codes: Array) -> tuple[Array, Array]:
        """Return the distinct codes, ascending, and of each code its place among them; ``np.unique`` sorts all."""
        flat, places = codes.ravel(), np.arange(codes.size)
        self._places[flat] = places
        distinct = np.sort(flat[self._places[flat] == places])  # one of the places of equal codes
        self._places[distinct] = places[: len(distinct)]
        return distinct, self._places[codes]


class Negatives:
    """Draws n items that a user has not met in training; raises for a user who has met them all."""

    def __init__(self, train: Interactions, n: int) -> None:
        self.n = n
        if not n:
            return
        full = np.flatnonzero(train.activity >= train.n_items)
        if len(full):
            raise InvalidInputError(
                f"{counted(len(full), 'user', 'has', 'have')} interacted with all {train.n_items} items, the first is "
                f"{train.user_ids[full].tolist()[0]!r}; no negative can be drawn for them. Leave them out of train."
            )
        self.n_items = train.n_items
        self.starts = train.matrix.indptr
        self.items = train.matrix.indices.astype(np.int64)
        self._keys = np.repeat(np.arange(train.n_users), train.activity) * self.n_items + self.items  # ascending
        self._n_bits = min(train.n_users * train.n_items, 8 * _BITMAP_BYTES)
        self._folded = self._n_bits < train.n_users * train.n_items
        self._bits = np.zeros(self._n_bits // 8 + 1, dtype=np.uint8)
        places = np.sort(self._keys % self._n_bits) if self._folded else self._keys
        starts = np.flatnonzero(np.diff(places >> 3, prepend=-1))  # where the bits of a byte begin
        bits = np.uint8(1) << (places & 7).astype(np.uint8)
        self._bits[places[starts] >> 3] = np.bitwise_or.reduceat(bits, starts)

    def seen(self, users: Array, items: Array) -> Array:
        """Return a mask: which of the pairs are training pairs."""
        keys = users * self.n_items + items
        places = keys % self._n_bits if self._folded else keys
        found: Array = (self._bits[places >> 3] >> (places & 7).astype(np.uint8) & 1).view(bool)
        if self._folded:
            some = np.flatnonzero(found)
            at = np.searchsorted(self._keys, keys[some])
            found[some] = self._keys[np.minimum(at, len(self._keys) - 1)] == keys[some]
        return found

    def after(self, targets: Array, users: Array, rng: np.random.Generator) -> Array:
        """Return the targets (B,) with n negatives after each; int64 of shape (B, 1 + n)."""
        return np.column_stack([targets, self.draw(users, rng)]) if self.n else targets[:, None]

    def draw(self, users: Array, rng: np.random.Generator) -> Array:
        """Draw uniformly, with replacement, from the items that each user has not met; int64 of shape (B, n)."""
        drawn = rng.integers(self.n_items, size=(len(users), self.n))
        flat, owners = drawn.reshape(-1), np.repeat(users, self.n)
        again = np.flatnonzero(self.seen(owners, flat))
        for _ in range(_ROUNDS):
            if not len(again):
                return drawn
            flat[again] = rng.integers(self.n_items, size=len(again))
            again = again[self.seen(owners[again], flat[again])]
        # Users who have met nearly everything: draw a rank among the unseen items and look up which item that is.
        for at in again:
            met = self.items[self.starts[owners[at]] : self.starts[owners[at] + 1]]
            rank = rng.integers(self.n_items - len(met))
            flat[at] = rank + np.searchsorted(met - np.arange(len(met)), rank, side="right")
        return drawn
