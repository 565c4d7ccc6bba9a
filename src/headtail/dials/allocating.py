"""Allocation dials: the slots of all lists are assigned to items by calibrated relevance and prices."""

from functools import partial
from typing import Any

import numpy as np

from headtail._stats import gini
from headtail.allocation import allocate, allocation_bias, ndcg_worth
from headtail.data import Interactions, Recommendations
from headtail.metrics.gains import gains
from headtail.subjects import Lists, Subject

_ENDS = 0.0, 1.0  # values of gamma: maximize hits, or each item's share of its own chance
_PROBES = 0.1, 0.2, 0.4  # strengths at which the two are compared


def allocation(
    subject: Subject, strength: float, seed: int, *, gamma: float | None = None, max_user_loss: float = 1.0
) -> Lists:
    """Allocate at one strength; without `gamma`, validation chooses between 0 and 1.

    The choice is the one with the higher NDCG where exposure is equally even.
    """
    learner = subject.learner
    if gamma is None:
        gamma = learner.cached(("gamma", seed), lambda: _better(learner, seed))
    return partial(_allocated, subject, strength, seed, gamma, max_user_loss)


def _allocated(
    subject: Subject, strength: float, seed: int, gamma: float, max_user_loss: float, known: Interactions
) -> Recommendations:
    learner, k, train = subject.learner, subject.k, subject.split.train

    def settle() -> Any:
        recs = learner.reachable(seed, train)
        worth = ndcg_worth(recs, learner.calibrated(seed, train), k=k)
        return allocation_bias(recs, worth, strength=strength, k=k, gamma=gamma, rng=seed)

    prices = learner.cached(("prices", gamma, strength, seed), settle)

    def of_block(block: Subject) -> Recommendations:
        recs = block.reachable(seed, known)
        worth = ndcg_worth(recs, block.calibrated(seed, known), k=k)
        return allocate(recs, worth, prices, k=k, gamma=gamma, max_user_loss=max_user_loss)

    return subject.in_blocks(of_block)


def _better(subject: Subject, seed: int) -> float:
    """Return the end of gamma that is more accurate at the lowest and the highest Gini that both reach, and halfway.

    NDCG is that of as many wanted items as the test has: in small parts users who want one item count for too much,
    and the logarithm, which spares them, seems better than it is.
    """
    train, relevant = subject.split.train, subject.split.validation
    assert relevant is not None
    curves = []
    for gamma in _ENDS:
        shown = [_allocated(subject, strength, seed, gamma, 1.0, train) for strength in (0.0, *_PROBES)]
        slots = [recs.slots for recs in shown]
        points = sorted(
            (gini(count), float(gains(recs, relevant, subject.split.scale).sum()))
            for count, recs in zip(slots, shown, strict=True)
        )
        curves.append(np.array(points).T)
    levels = np.linspace(max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves), 3)
    return _ENDS[int(np.argmax([np.interp(levels, x, y).sum() for x, y in curves]))]
