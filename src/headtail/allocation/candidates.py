"""Candidates of calibrated relevance: the highest scores, and what a strong correction would bring in."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self, TypeAlias

import numpy as np

from headtail._exposure import Goal
from headtail._sampled_exposure import SampledExposure, sampled_exposure
from headtail.allocation import cross_fitted
from headtail.data import Interactions, Recommendations, Split
from headtail.metrics.gains import mean_gain
from headtail.metrics.topk import discounts
from headtail.posthoc import add_bias, normalize, shrink
from headtail.rerank import best, scores_of
from headtail.training.ranking import recommend
from headtail.typing import Array, Codes, Vectors

Way: TypeAlias = Callable[[Vectors], Vectors]

_TILTED = 0.8
_WAYS: tuple[Way, ...] = (partial(shrink, strength=0.4), partial(normalize, strength=0.5))


@dataclass(frozen=True, eq=False)
class Reach:
    """Where prices may take a recommender of vectors.

    `ways` are the corrections that its vectors get first: :func:`headtail.shrink`, then
    :func:`headtail.posthoc.normalize`, each where lists become more accurate on validation, by score by more than a
    standard error, and by calibrated relevance as well, as they do where popularity earns nothing. `bias`, (n_items,),
    is that of a strong tilt: of the highest scores alone many items are nobody's candidates, so that no price makes
    exposure even. `relevance` is that of the candidates where only the training part is known, if it was calibrated to
    choose `ways`.
    """

    ways: tuple[Way, ...]
    bias: Array
    k: int
    relevance: Any = None

    @classmethod
    def of(cls, plain: SampledExposure, split: Split, k: int, n: int, seed: int, codes: Codes | None = None) -> Self:
        """Return the ways that validation of these users chooses, and the tilt; n is of :meth:`candidates`."""
        train, relevant, made = split.train, split.validation, plain.pair
        chosen, lists = cls._along((), plain, k), None
        if relevant is None:
            return chosen

        def judged(reach: Self) -> tuple[Self, Recommendations]:
            recs = reach.candidates(reach.both(plain.pair), train, n, codes)
            relevance = cross_fitted(recs, train, relevant, k=k, rng=seed)
            return replace(reach, relevance=relevance), best(recs, relevance, k)

        shown = recommend(made, train, codes=codes, k=k)
        for way in _WAYS:
            further = way(made)
            by_score = recommend(further, train, codes=codes, k=k)
            mean, error = mean_gain(by_score, shown, relevant)
            if mean <= error:
                continue
            if lists is None:
                chosen, lists = judged(chosen)
            exposure = sampled_exposure(further, k, train, rng=seed)
            reach, by_relevance = judged(cls._along((*chosen.ways, way), exposure, k))
            if mean_gain(by_relevance, lists, relevant)[0] > 0:
                chosen, lists, made, shown = reach, by_relevance, further, by_score
        return chosen

    @classmethod
    def _along(cls, ways: tuple[Way, ...], exposure: SampledExposure, k: int) -> Self:
        tilted = add_bias(exposure.pair, bias=exposure.bias(Goal(_TILTED, "alpha")))
        return cls(ways, np.asarray(tilted.items[:, -1]), k)

    def both(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Return the vectors, corrected, and the same with the tilt."""
        for way in self.ways:
            vectors = way(vectors)
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


def scored(lists: Recommendations) -> Recommendations:
    """Return lists with scores; those that have ranks alone count a place as metrics do."""
    if lists.scores is not None:
        return lists
    return replace(lists, scores=np.where(lists.items >= 0, discounts(lists.k), np.nan))
