"""Menus: each user gets the dial setting that is best for them, at item prices that are the same for all."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from headtail._exposure import Goal, Response
from headtail._top import slices
from headtail.data import Interactions, Recommendations
from headtail.data.recommendations import items_of
from headtail.metrics.topk import discounts
from headtail.subjects import Lists, Subject
from headtail.typing import Array, Codes, Floats

_ROWS = 1024  # users per dense block of relevance
_ROUNDS = 60


@dataclass(frozen=True)
class Menu:
    """The `make` of :meth:`headtail.dials.Dial.menu`: one recommender out of all settings of a dial."""

    dial: Any  # a Dial
    settings: tuple[float, ...]

    def __call__(self, subject: Subject, strength: float, seed: int) -> Lists:
        """Return a function from the known interactions to lists."""
        return partial(self._lists, subject, strength, seed)

    def _lists(self, subject: Subject, strength: float, seed: int, known: Interactions) -> Recommendations:
        plain, items, _ = self._options(subject, seed, known)
        best = self._chosen(subject, strength, seed, known)
        return Recommendations(
            plain.user_ids, plain.item_ids, plain.users, np.ascontiguousarray(items[np.arange(len(items)), best])
        )

    def choices(self, subject: Subject, strength: float, seed: int, known: Interactions) -> Floats:
        """Return the setting that each user gets, (U,), in the order of the lists."""
        return np.array(self.settings)[self._chosen(subject, strength, seed, known)]

    def _chosen(self, subject: Subject, strength: float, seed: int, known: Interactions) -> Array:
        _, items, values = self._options(subject, seed, known)
        return chosen(items, values, self._prices(subject, strength, seed))

    def _prices(self, subject: Subject, strength: float, seed: int) -> Floats:
        """Return the prices, fitted on the training part."""
        subject = subject.learner

        def make() -> Floats:
            _, items, values = self._options(subject, seed, subject.split.train)
            return prices(items, values, strength, subject.split.train.n_items)

        return subject.cached(("prices", self, strength, seed), make)

    def _options(self, subject: Subject, seed: int, known: Interactions) -> tuple[Recommendations, Codes, Floats]:
        """Return the lists at setting 0, and every user's list and its worth at each setting."""

        def make() -> tuple[Recommendations, Codes, Floats]:
            made = subject.cached((self, seed), lambda: [self.dial.at(subject, at, seed) for at in self.settings])
            lists = [self.dial.lists(each, subject, at, known) for at, each in zip(self.settings, made, strict=True)]
            plain = self.settings.index(0)
            items = np.stack([items_of(each, lists[plain].users) for each in lists], axis=1)
            place = np.full(known.n_users, -1)
            place[lists[plain].users] = np.arange(len(items))
            values = np.zeros(items.shape[:2])
            for block in subject.blocks():
                candidates, relevance = block.reachable(seed, known), block.calibrated(seed, known)
                rows = place[candidates.users]
                there = rows >= 0
                rows = rows[there]
                values[rows] = worth(items[rows], candidates.items[there], relevance[there], plain, known.n_items)
            none = (items < 0).all(axis=2) & (np.arange(len(lists)) != plain)
            values[none] = -np.inf  # a setting without a list is not chosen
            return lists[plain], items, values

        return subject.cached((self, "options", seed, known.fingerprint), make)


def worth(items: Codes, candidates: Codes, relevance: Array, plain: int, n_items: int) -> Floats:
    """Return the expected DCG of each list over that of the user's plain one, (U, S).

    `items`, (U, S, k), are each user's lists at each setting, padded with -1; `plain` is the position of the
    uncorrected setting. `relevance`, (U, R), is each candidate's probability of being relevant; an item that is not a
    candidate counts as the user's least relevant one.
    """
    discount = discounts(items.shape[2])
    found = np.empty(items.shape[:2])
    for rows in slices(len(items), _ROWS):
        known = candidates[rows] >= 0
        least = np.where(known, relevance[rows], np.inf).min(axis=1)
        table = np.repeat(np.where(np.isfinite(least), least, 0.0)[:, None], n_items + 1, axis=1)
        row, column = np.nonzero(known)
        table[row, candidates[rows][row, column]] = relevance[rows][row, column]
        table[:, -1] = 0.0  # padding
        shown = items[rows]
        found[rows] = table[np.arange(len(shown))[:, None, None], shown] @ discount
    return found / np.maximum(found[:, [plain]], 1e-12)


def chosen(items: Codes, values: Floats, price: Floats) -> Array:
    """Return the setting with the largest worth plus prices for each user, (U,); the first of equal ones."""
    padded = np.append(price, 0.0)
    return np.asarray((values + padded[items].sum(axis=2)).argmax(axis=1))


def prices(items: Codes, values: Floats, strength: float, n_items: int) -> Floats:
    """Return the price of each item, (I,), in units of a plain list's slot: the fixed point of alpha-fairness, 0.5."""
    n_users, _, k = items.shape
    ended = np.where(items < 0, n_items, items)  # padding counts as one more item
    places = np.arange(n_users)[:, None, None] * (n_items + 1) + ended
    pairs, pair = np.unique(places, return_inverse=True)
    item = pairs % (n_items + 1)

    def count(bias: Floats, width: float) -> Response:
        """Count lists of nearly the same worth fractionally."""
        total = (values + np.append(bias, 0.0)[items].sum(axis=2) / k) * (k / width)
        part = np.exp(total - total.max(axis=1, keepdims=True))
        part /= part.sum(axis=1, keepdims=True)
        shown = np.bincount(pair.ravel(), np.repeat(part.ravel(), k), len(pairs))
        growth = np.maximum(shown * (1 - shown), 0) / width

        def change(of_bias: Floats) -> Floats:
            gained = np.append(of_bias, 0.0)[items].sum(axis=2)
            gained = part * (gained - (part * gained).sum(axis=1, keepdims=True)) / width
            return np.asarray(np.bincount(ended.ravel(), np.repeat(gained.ravel(), k), n_items + 1)[:n_items], float)

        slots, of_own = (np.bincount(item, each, n_items + 1)[:n_items] for each in (shown, growth))
        return Response(slots.astype(np.float64), of_own.astype(np.float64), change)

    goal = Goal(strength, "alpha", 0.5, _ROUNDS)
    settled = goal.settle(count, n_slots=n_users * k, n_items=n_items)
    return np.asarray(settled / k)
