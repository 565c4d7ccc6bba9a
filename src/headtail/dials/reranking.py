"""Dials that re-rank long lists; groups and popularity are those of the training part."""

from collections.abc import Callable
from functools import partial

from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.subjects import Make, Subject

Lists = Callable[[Interactions], Recommendations]


def by_popularity(rerank: Callable[..., Recommendations]) -> Make:
    """Return the `make` of a re-ranker by item popularity, in blocks of users."""

    def make(subject: Subject, strength: float, seed: int) -> Lists:
        popularity = subject.split.train.popularity

        def lists(block: Subject, known: Interactions) -> Recommendations:
            return rerank(block.candidates(seed, known), popularity, strength=strength, k=block.k)

        return lambda known: subject.in_blocks(partial(lists, known=known))

    return make


def by_history(rerank: Callable[..., Recommendations]) -> Make:
    """Return the `make` of a re-ranker by each user's history, in blocks of users."""

    def make(subject: Subject, strength: float, seed: int) -> Lists:
        options = {"k": subject.k, "groups": PopularityGroups.by_mass(subject.split.train.popularity)}

        def lists(block: Subject, known: Interactions) -> Recommendations:
            return rerank(block.candidates(seed, known), known, strength=strength, **options)

        return lambda known: subject.in_blocks(partial(lists, known=known))

    return make
