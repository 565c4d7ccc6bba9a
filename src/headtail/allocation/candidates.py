"""Candidates of calibrated relevance: the highest scores, and what a strong correction would bring in."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from headtail.allocation import cross_fitted
from headtail.data import Interactions, Recommendations, Split
from headtail.metrics.gains import gained
from headtail.metrics.topk import discounts
from headtail.posthoc import add_bias, shrink, tilt
from headtail.rerank import best, scores_of
from headtail.training.ranking import recommend
from headtail.typing import Array, Codes, Vectors

_SHRUNK = 0.4
_TILTED = 0.8


@dataclass(frozen=True, eq=False)
class Reach:
    """Where prices may take a recommender of vectors.

    `shrunk` is the strength of :func:`headtail.shrink`: above 0 where lists become more accurate on validation by more
    than a standard error, by score and by calibrated relevance as well, as they do where popularity earns nothing.
    `bias`, (n_items,), is that of a strong tilt: of the highest scores alone many items are nobody's candidates, so
    that no price makes exposure even. `relevance` is that of the candidates where only the training part is known, if
    it was calibrated to choose `shrunk`.
    """

    shrunk: float
    bias: Array
    k: int
    relevance: Any = None

    @classmethod
    def of(cls, vectors: Vectors, split: Split, k: int, n: int, seed: int, codes: Codes | None = None) -> Self:
        """Return the shrinking that validation of these users chooses, and the tilt; n is of :meth:`candidates`."""
        train, relevant = split.train, split.validation
        plain = cls(0.0, _tilted(vectors, train, k, seed), k)
        if relevant is None:
            return plain
        fewer = shrink(vectors, strength=_SHRUNK)
        fewer_lists, plain_lists = (recommend(each, train, codes=codes, k=k) for each in (fewer, vectors))
        if not _surely_better(fewer_lists, plain_lists, relevant):
            return plain
        shrunk = cls(_SHRUNK, _tilted(fewer, train, k, seed), k)
        judged, lists = [], []
        for reach in (shrunk, plain):
            recs = reach.candidates(reach.both(vectors), train, n, codes)
            judged.append(replace(reach, relevance=cross_fitted(recs, train, relevant, k=k, rng=seed)))
            lists.append(best(recs, judged[-1].relevance, k))
        return judged[0] if _surely_better(lists[0], lists[1], relevant) else judged[1]

    def both(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Return the vectors, shrunk, and the same with the tilt."""
        if self.shrunk:
            vectors = shrink(vectors, strength=self.shrunk)
        return vectors, add_bias(vectors, bias=self.bias)

    def candidates(
        self, both: tuple[Vectors, Vectors], known: Interactions, n: int, codes: Codes | None = None
    ) -> Recommendations:
        """Return lists of n: of each user the half of the highest scores, and the half that the tilt puts first."""
        n = n if n == known.n_items else max(self.k, n // 2)
        high, low = (recommend(each, known, codes=codes, k=n) for each in both)
        items = np.concatenate([high.items, low.items], axis=1)
        scores = np.concatenate([scores_of(high, n), scores_of(low, n) - self.bias[low.items]], axis=1)
        by_item = np.argsort(items, axis=1, kind="stable")
        items, scores = (np.take_along_axis(values, by_item, axis=1) for values in (items, scores))
        items[:, 1:][items[:, 1:] == items[:, :-1]] = -1
        by_score = np.argsort(np.where(items >= 0, -scores, np.inf), axis=1, kind="stable")
        longest = max(self.k, int((items >= 0).sum(axis=1).max()))  # all users may know nearly all items
        items, scores = (np.take_along_axis(values, by_score[:, :longest], axis=1) for values in (items, scores))
        return replace(high, items=items, scores=np.where(items >= 0, scores, np.nan))


def _tilted(vectors: Vectors, train: Interactions, k: int, seed: int) -> Array:
    return np.asarray(tilt(vectors, seen=train, strength=_TILTED, k=k, rng=seed).items[:, -1])


def _surely_better(lists: Recommendations, others: Recommendations, relevant: Interactions) -> bool:
    mean, error = gained(lists, others, relevant)
    return mean > error


def scored(lists: Recommendations) -> Recommendations:
    """Return lists with scores; those that have ranks alone count a place as metrics do."""
    if lists.scores is not None:
        return lists
    return replace(lists, scores=np.where(lists.items >= 0, discounts(lists.k), np.nan))
