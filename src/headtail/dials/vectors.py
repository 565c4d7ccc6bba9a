"""Dials that correct vectors; where queries depend on histories they return lists."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from headtail import posthoc
from headtail.data import Interactions, Recommendations
from headtail.subjects import Subject
from headtail.typing import Vectors

Correct = Callable[[Vectors, Interactions, float], Vectors]


def of_vectors(correct: Correct, subject: Subject, strength: float, seed: int) -> Any:
    """Correct the vectors, again for other histories where queries depend on them."""
    if subject.sequential:
        return partial(_lists, correct, subject, strength, seed)
    return correct(subject.vectors(seed), subject.split.train, strength)


def linearly(correct: Correct, subject: Subject, strength: float, seed: int) -> Any:
    """As :func:`of_vectors`, for what changes vectors in proportion to the strength: at 1 it is computed once."""
    if subject.sequential:
        return of_vectors(correct, subject, strength, seed)
    vectors = subject.vectors(seed)
    full = subject.cached((correct, seed), lambda: correct(vectors, subject.split.train, 1.0))
    pairs = zip(vectors[:2], full[:2], strict=True)
    queries, items = ((1 - strength) * before.astype(np.float64) + strength * after for before, after in pairs)
    return vectors._replace(queries=queries, items=items)


def _lists(correct: Correct, subject: Subject, strength: float, seed: int, known: Interactions) -> Recommendations:
    return subject.recommend(correct(subject.vectors(seed, known), known, strength), known)


def shrunk(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    """Return vectors with a smaller first singular value."""
    return posthoc.shrink(vectors, strength=strength)


def normalized(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    """Return vectors with item vectors closer to unit length (TTEN)."""
    return posthoc.normalize(vectors, strength=strength)
