"""Dials that correct vectors; where queries depend on histories they return lists."""

from collections.abc import Callable
from typing import Any

from headtail import posthoc
from headtail.data import Interactions, Recommendations
from headtail.subjects import Make, Subject
from headtail.typing import Vectors


def of_vectors(correct: Callable[[Vectors, Interactions, float], Vectors]) -> Make:
    """Return the `make` of a correction of vectors, repeated for other histories where queries depend on them."""

    def make(subject: Subject, strength: float, seed: int) -> Any:
        if not subject.sequential:
            return correct(subject.vectors(seed), subject.split.train, strength)

        def lists(known: Interactions) -> Recommendations:
            return subject.recommend(correct(subject.vectors(seed, known), known, strength), known)

        return lists

    return make


def shrunk(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    """Return vectors with a smaller first singular value."""
    return posthoc.shrink(vectors, strength=strength)


def normalized(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    """Return vectors with item vectors closer to unit length (TTEN)."""
    return posthoc.normalize(vectors, strength=strength)
