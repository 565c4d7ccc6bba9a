"""A re-ranking as a dial turns it: lists of a subject in, groups and popularity those of its training part."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from headtail.data import Interactions, PopularityGroups, Recommendations

if TYPE_CHECKING:
    from headtail.subjects import Subject

Lists = Callable[[Interactions], Recommendations]
Make = Callable[["Subject", float, int], Lists]


def by_popularity(rerank: Callable[..., Recommendations]) -> Make:
    """Return the `make` of a dial that re-ranks by the popularity of the items."""

    def make(subject: "Subject", strength: float, seed: int) -> Lists:
        popularity = subject.split.train.popularity
        return lambda known: rerank(subject.candidates(seed, known), popularity, strength=strength, k=subject.k)

    return make


def by_history(rerank: Callable[..., Recommendations]) -> Make:
    """Return the `make` of a dial that re-ranks by what each user did so far."""

    def make(subject: "Subject", strength: float, seed: int) -> Lists:
        options = {"k": subject.k, "groups": PopularityGroups.by_mass(subject.split.train.popularity)}
        return lambda known: rerank(subject.candidates(seed, known), known, strength=strength, **options)

    return make
