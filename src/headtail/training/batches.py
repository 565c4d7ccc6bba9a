"""Batches of positive pairs with sampled negatives, drawn with numpy so that every device sees the same ones."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.typing import Array

_BITMAP_BYTES = 1 << 28  # a bitmap of all pairs is the fastest index, up to this size
_ROUNDS = 16  # after so many rejections a user's unseen items are listed instead


class Batch(NamedTuple):
    """Positive pairs; int64 arrays of codes.

    Attributes
    ----------
    users : array of shape (D,)
        The distinct users of the batch, ascending.
    rows : array of shape (B,)
        Position of each pair's user in `users`.
    candidates : array of shape (B, 1 + n)
        The item of each pair, then n items that the pair's user has not met in training.
    """

    users: NDArray[np.int64]
    rows: NDArray[np.int64]
    candidates: NDArray[np.int64]


class Sampler:
    """Draws batches from training interactions.

    Raises
    ------
    InvalidInputError
        If there are no interactions, or a user has met every item and so has no negative.
    """

    def __init__(self, train: Interactions, n_negatives: int, *, bitmap_bytes: int = _BITMAP_BYTES) -> None:
        if not len(train):
            raise InvalidInputError("train holds no interactions, so there is nothing to learn from. Check the split.")
        full = np.flatnonzero(train.activity >= train.n_items)
        if len(full):
            raise InvalidInputError(
                f"{len(full)} users have interacted with all {train.n_items} items, the first is "
                f"{train.user_ids[full].tolist()[0]!r}; no negative can be drawn for them. Leave them out of train."
            )
        self.n_negatives = n_negatives
        self.n_items = train.n_items
        matrix = train.matrix  # pairs in the order of users, so that sorted positions are sorted users
        self.starts = matrix.indptr
        self.items = matrix.indices.astype(np.int64)
        self.users = np.repeat(np.arange(train.n_users), train.activity)
        self._keys = self.users * self.n_items + self.items  # ascending
        self._bits: Array | None = None
        if train.n_users * train.n_items <= 8 * bitmap_bytes:
            self._bits = np.zeros(train.n_users * train.n_items // 8 + 1, dtype=np.uint8)
            np.bitwise_or.at(self._bits, self._keys >> 3, np.uint8(1) << (self._keys & 7).astype(np.uint8))

    def __len__(self) -> int:
        return len(self.items)

    def seen(self, users: Array, items: Array) -> Array:
        """Return a mask: which of the pairs are training pairs."""
        keys = users * self.n_items + items
        if self._bits is not None:
            bits: Array = self._bits[keys >> 3] >> (keys & 7).astype(np.uint8) & 1
            return bits.view(bool)
        at = np.searchsorted(self._keys, keys)
        return np.asarray(self._keys[np.minimum(at, len(self._keys) - 1)] == keys)

    def negatives(self, users: Array, rng: np.random.Generator) -> Array:
        """Draw uniformly, with replacement, from the items that each user has not met; int64 of shape (B, n)."""
        drawn = rng.integers(self.n_items, size=(len(users), self.n_negatives))
        flat, owners = drawn.reshape(-1), np.repeat(users, self.n_negatives)
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

    def epoch(self, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield every training pair once, in random batches."""
        order = rng.permutation(len(self))
        for start in range(0, len(order), batch_size):
            pairs = np.sort(order[start : start + batch_size])
            users = self.users[pairs]  # (B,), ascending
            first = np.concatenate([[True], users[1:] != users[:-1]])
            candidates = np.column_stack([self.items[pairs], self.negatives(users, rng)])
            yield Batch(users[first], np.cumsum(first) - 1, candidates)
