"""Dials that add a bias to each item: score plus bias selects a list's items, a share of the bias orders them."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from headtail import posthoc, rerank
from headtail._exposure import Goal
from headtail.allocation.features import lists_at
from headtail.data import Interactions, Recommendations
from headtail.dials.dial import of_products
from headtail.metrics.gains import gains
from headtail.subjects import Subject
from headtail.training.ranking import served_anew
from headtail.typing import Array, Vectors

ORDERS = 1.0, 0.75, 0.5, 0.25, 0.0
_FEW = 16  # candidates are few where the catalogue has so many times their number


class ItemBias:
    """A recommender with a bias added to each item's scores; called with the known interactions, it returns lists.

    Attributes
    ----------
    subject : Subject
    bias : float array of shape (n_items,)
        Lists hold the items of the highest ``score + bias``.
    order : float
        They are ordered by ``score + order * bias``; of 1, 0.75, 0.5, 0.25 and 0 the best on validation, by NDCG
        of at most 30,000 users.
    """

    def __init__(self, subject: Subject, bias: Array, seed: int) -> None:
        self.subject, self.bias, self._seed = subject, bias, seed
        learner, self.order = subject.learner, 1.0
        self._of_learner, relevant = self._shown(learner, subject.split.train), learner.split.validation
        if relevant is not None:
            found = gains(self._of_learner, relevant)
            hit = np.flatnonzero(found)  # the order of other lists earns nothing
            lists, of_order = lists_at(self._of_learner, hit), []
            for order in ORDERS:
                found[hit] = gains(self._ordered(lists, order), relevant)
                of_order.append(found.sum())
            self.order = ORDERS[int(np.argmax(of_order))]

    def vectors(self, known: Interactions) -> Vectors:
        """Return vectors with the bias as the items' last coordinate, so that any index retrieves the lists' items."""
        return self._biased(known) if self.subject.sequential else self._of_all

    def _biased(self, known: Interactions | None = None) -> Vectors:
        return posthoc.add_bias(self.subject.vectors(self._seed, known), bias=self.bias)

    @cached_property
    def _of_all(self) -> Vectors:
        return self._biased()

    def __call__(self, known: Interactions) -> Recommendations:
        """Return lists without the known interactions."""
        subject = self.subject
        there = subject.learner is subject and known.fingerprint == subject.split.train.fingerprint
        return self._ordered(self._of_learner if there else self._shown(subject, known), self.order)

    @property
    def note(self) -> str:
        """How the lists are ordered, and how to order what an index returns."""
        if self.order == 1:
            return "Lists are ordered by score and bias, which is best on validation."
        how = "as without the bias" if self.order == 0 else f"by the score and {self.order:g} of the bias"
        note = f"Lists are ordered {how}, which is best on validation."
        if self.subject.has("vectors"):
            note += (
                f" An index returns their items by score and bias: subtract {1 - self.order:g} of the item's last "
                f"coordinate from each score, and sort."
            )
        return note

    def _shown(self, subject: Subject, known: Interactions) -> Recommendations:
        if not subject.has("vectors"):
            return subject.in_blocks(
                lambda block: rerank.add_bias(block.candidates(self._seed, known), self.bias, k=block.k)
            )
        if subject.learner is not subject or known.n_items < _FEW * subject.n_candidates:
            return subject.recommend(self.vectors(known), known)
        candidates = subject.candidates(self._seed, known)
        lists = rerank.add_bias(candidates, self.bias, k=subject.k)
        last, outside = (rerank.scores_of(each, 1)[:, -1] for each in (lists, candidates))
        return served_anew(lists, outside + self.bias.max() >= last, self.vectors(known), known)

    def _ordered(self, shown: Recommendations, order: float) -> Recommendations:
        return shown if order == 1 else rerank.add_bias(shown, (order - 1) * self.bias, k=shown.k)


def item_bias(bias: Callable[..., Array], subject: Subject, strength: float, seed: int, **options: Any) -> ItemBias:
    """Add what a function computes from these arguments."""
    return ItemBias(subject, bias(subject, strength, seed, **options), seed)


def log_penalty(subject: Subject, strength: float, seed: int) -> Array:
    """Return the bias of the log penalty."""
    popularity = subject.split.train.popularity
    if subject.has("vectors"):
        vectors = subject.vectors(seed)
        return np.asarray(posthoc.penalize_popularity(vectors, popularity=popularity, strength=strength).items[:, -1])
    spread = rerank.spread(subject.learner.candidates(seed, subject.split.train))
    return np.asarray(-strength * spread * np.log1p(popularity))


def tilt(subject: Subject, strength: float, seed: int, *, welfare: Any) -> Array:
    """Return the bias of a tilt."""
    train = subject.split.train
    if subject.has("vectors"):
        exposure = subject.exposure(seed)
        bias = exposure.bias(Goal(strength, welfare), train.popularity)
        return np.asarray(posthoc.add_bias(exposure.pair, bias=bias).items[:, -1])
    options: dict[str, Any] = {"strength": strength, "k": subject.k, "welfare": welfare, "rng": seed}
    return rerank.tilt_bias(subject.learner.candidates(seed, train), popularity=train.popularity, **options)


def cost_of_penalty(subject: Subject) -> float:
    """Return what a setting of the log penalty costs."""
    return of_products(subject) if subject.has("vectors") else 1.0


def cost_of_tilt(subject: Subject) -> float:
    """Return what a setting of a tilt costs: rounds over candidates, or over all scores of at most 4,000 users."""
    if not subject.has("vectors"):
        return 2.0
    train, codes = subject.split.train, subject.codes
    n_served = train.n_users if codes is None else len(codes)
    return (3 + train.n_items / 1000) * min(train.n_users, 4000) / n_served
