"""Dials that re-rank long lists; groups and popularity are those of the training part."""

from collections.abc import Callable
from functools import partial

from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.subjects import Lists, Subject

Rerank = Callable[..., Recommendations]


def by_popularity(rerank: Rerank, subject: Subject, strength: float, seed: int) -> Lists:
    """Re-rank by item popularity."""
    options = {"popularity": subject.split.train.popularity, "strength": strength, "k": subject.k}
    return partial(_reranked, partial(rerank, **options), subject, seed)


def by_history(rerank: Rerank, subject: Subject, strength: float, seed: int) -> Lists:
    """Re-rank by each user's history."""
    groups = PopularityGroups.by_mass(subject.split.train.popularity)
    return partial(_of_histories, partial(rerank, strength=strength, k=subject.k, groups=groups), subject, seed)


def _reranked(rerank: Rerank, subject: Subject, seed: int, known: Interactions) -> Recommendations:
    return subject.in_blocks(lambda block: rerank(block.candidates(seed, known)))


def _of_histories(rerank: Rerank, subject: Subject, seed: int, known: Interactions) -> Recommendations:
    return subject.in_blocks(lambda block: rerank(block.candidates(seed, known), known))
