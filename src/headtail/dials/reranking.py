"""What the dials make that re-rank long lists; groups and popularity are those of the training part."""

from collections.abc import Callable

from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.subjects import Make, Subject

Lists = Callable[[Interactions], Recommendations]


def by_popularity(rerank: Callable[..., Recommendations]) -> Make:
    """Return what re-ranks by the popularity of the items."""

    def make(subject: Subject, strength: float, seed: int) -> Lists:
        popularity = subject.split.train.popularity
        return lambda known: rerank(subject.candidates(seed, known), popularity, strength=strength, k=subject.k)

    return make


def by_history(rerank: Callable[..., Recommendations]) -> Make:
    """Return what re-ranks by each user's history."""

    def make(subject: Subject, strength: float, seed: int) -> Lists:
        options = {"k": subject.k, "groups": PopularityGroups.by_mass(subject.split.train.popularity)}
        return lambda known: rerank(subject.candidates(seed, known), known, strength=strength, **options)

    return make
