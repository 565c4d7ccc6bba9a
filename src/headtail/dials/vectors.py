"""What the dials of vectors make: vectors, or lists where a model's queries depend on a user's history."""

from collections.abc import Callable
from typing import Any

from headtail import posthoc
from headtail.data import Interactions, Recommendations
from headtail.subjects import Make, Subject
from headtail.typing import Vectors


def of_vectors(correct: Callable[[Vectors, Interactions, float], Vectors]) -> Make:
    """Return what corrects vectors, anew for each history where queries depend on it."""

    def make(subject: Subject, strength: float, seed: int) -> Any:
        if not subject.sequential:
            return correct(subject.vectors(seed), subject.split.train, strength)

        def lists(known: Interactions) -> Recommendations:
            return subject.recommend(correct(subject.vectors(seed, known), known, strength), known)

        return lists

    return make


def shrunk(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    """Return vectors with less of the first singular value."""
    return posthoc.shrink(vectors, strength=strength)


def normalized(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    """Return vectors whose items are brought towards length 1 (TTEN)."""
    return posthoc.normalize(vectors, strength=strength)
