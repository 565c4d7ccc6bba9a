"""Calibrated relevance: the probability that an item is what its user wants, learned from the validation part."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from headtail._checks import checked, generator, integer
from headtail._checksums import FORMAT, read_json, write_json
from headtail._exposure import sampled
from headtail._files import atomic_file, to_path
from headtail.allocation.features import ALONG, features, features_of, lists_at
from headtail.allocation.logistic import logistic
from headtail.data import Interactions, Recommendations
from headtail.data.recommendations import check_same_ids
from headtail.exceptions import InvalidInputError, UnreadableFileError
from headtail.metrics.gains import mean_gain
from headtail.rerank import best, spread
from headtail.typing import RNG, Array, Floats


@dataclass(frozen=True, eq=False)
class Relevance:
    """The probability that a candidate is what its user wants; made by :func:`calibrate`.

    A logistic model of the candidate's score and place in its list, of the item's popularity and exposure, and of how
    much the user did. Beyond the range of a feature that it was fitted on, the end of that range counts.

    Attributes
    ----------
    weights : float array of shape (F + 1,)
        Of the standardized features, and first a constant.
    center, scale, low, high : float arrays of shape (F,)
        Mean, standard deviation and range of the features.
    items : float array of shape (n_items, G)
        What is known of each item; with G = 0 a candidate is never more likely than those before it.
    k : int
        Length of the lists that users see.
    spread : float
        Unit of the scores.
    """

    weights: Floats
    center: Floats
    scale: Floats
    low: Floats
    high: Floats
    items: Floats
    k: int
    spread: float

    def __call__(self, recs: Recommendations, known: Interactions) -> Floats:
        """Return the probability of every candidate, shape (U, R), 0 where a list has ended.

        The lists, with scores, are those of the recommender that it was fitted on; `known` are the users' histories.
        """
        if len(recs.item_ids) != len(self.items):
            raise InvalidInputError(
                f"The calibration was made for {len(self.items)} items, and recs has {len(recs.item_ids)}. Give lists "
                f"of the recommender that it was made for."
            )
        found = np.zeros(recs.items.shape, dtype=np.float32)
        for rows, block in features(recs, known, self.items, self.k, self.spread):
            x = (np.clip(block, self.low, self.high) - self.center) / self.scale
            found[rows] = expit(self.weights[0] + x @ self.weights[1:])
        found[recs.items < 0] = 0
        return found


@checked
def save_relevance(relevance: Relevance, file: str | os.PathLike[str]) -> Path:
    """Write a calibration as one small JSON file, whole or not at all, and return its path.

    Examples
    --------
    >>> import tempfile
    >>> made = Relevance(*np.ones((5, 2)), np.zeros((3, 1)), k=5, spread=1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_relevance(save_relevance(made, f"{folder}/relevance.json")).k
    5
    """
    with atomic_file(to_path(file)) as temporary:
        write_json({"format": FORMAT, "kind": "relevance", **asdict(relevance)}, temporary)
    return Path(file)


@checked
def load_relevance(file: str | os.PathLike[str]) -> Relevance:
    """Return a calibration that :func:`save_relevance` wrote; any other file is an UnreadableFileError."""
    saved = read_json(to_path(file))
    if saved.pop("kind", None) != "relevance":
        raise UnreadableFileError(f"{file} holds no calibration. Give a file that save_relevance wrote.")
    del saved["format"]
    values: dict[str, Any] = {k: np.array(v) if isinstance(v, list) else v for k, v in saved.items()}
    return Relevance(**values)


@checked
def calibrate(
    recs: Recommendations,
    known: Interactions,
    relevant: Interactions,
    *,
    k: int,
    codes: Array | None = None,
    by_item: bool = True,
    n_users: int = 20_000,
    rng: RNG = 0,
) -> Relevance:
    """Fit the probability that a candidate is among what its user did next.

    Source: Platt, Probabilistic outputs for support vector machines, 1999 (logistic calibration of scores). Calibrated
    relevance as the currency of exposure: derived for headtail.

    Parameters
    ----------
    recs : Recommendations
        Long lists with scores, without what is known; some hundred candidates a user.
    known : Interactions
        What the recommender learned from.
    relevant : Interactions
        What the users did afterwards, such as a validation part.
    k : int
        Length of the lists that users see.
    codes : int array, optional
        Codes of the users to learn from; all that have something in `relevant`, without it.
    by_item : bool, default True
        Learn from the items' popularity and exposure as well. Without it a list keeps its order, and probabilities only
        say what its scores mean.
    n_users : int, default 20,000
        Users, drawn without replacement, to learn from. Five candidates at least must be relevant, and not all.
    rng : seed or generator, default 0
    """
    items = _items(recs, known, relevant, k, by_item)
    return _fitted(recs, known, relevant, items, k=k, codes=codes, n_users=n_users, rng=rng)


def _items(recs: Recommendations, known: Interactions, relevant: Interactions, k: int, by_item: bool) -> Floats:
    """Return the features of the items, (n_items, G), of data that fit together."""
    for part in (known, relevant):
        check_same_ids(recs, part)
    return features_of(recs, known, k) if by_item else np.empty((len(recs.item_ids), 0))


def _fitted(
    recs: Recommendations,
    known: Interactions,
    relevant: Interactions,
    items: Floats,
    *,
    k: int,
    codes: Array | None,
    n_users: int = 20_000,
    rng: RNG = 0,
) -> Relevance:
    scale, k = spread(recs), min(integer("k", k, low=1), recs.k)
    learning = relevant.activity[recs.users] > 0
    if codes is not None:
        learning &= np.isin(recs.users, codes)
    learners = np.flatnonzero(learning)
    chosen = lists_at(recs, learners[sampled(len(learners), n_users, rng)])
    rows, columns = np.nonzero(chosen.items >= 0)
    hits = relevant.contains(chosen.users[rows], chosen.items[rows, columns])
    if hits.sum() < 5 or hits.all():
        raise InvalidInputError(
            f"{hits.sum():,} of {len(hits):,} candidates of {len(chosen):,} users are relevant. A calibration needs "
            f"at least five, and others that are not: give longer lists, a larger validation part, or use a tilt."
        )
    parts = [part[chosen.items[rows] >= 0] for rows, part in features(chosen, known, items, k, scale)]
    table = np.concatenate(parts)
    center, deviation = table.mean(axis=0, dtype=np.float64), table.std(axis=0, dtype=np.float64)
    low, high = table.min(axis=0), table.max(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    table = (table - center.astype(np.float32)) / deviation.astype(np.float32)
    weights = logistic(table, hits, None if items.shape[1] else ALONG)
    return Relevance(weights, center, deviation, low, high, items, k, scale)


@checked
def cross_fitted(
    recs: Recommendations,
    known: Interactions,
    relevant: Interactions,
    *,
    k: int,
    by_item: bool = True,
    rng: RNG = 0,
) -> Floats:
    """Return probabilities as :func:`calibrate` gives them, (U, R), each user's from a fit on the other half of users.

    So settings can be chosen on the very interactions that the calibration learns from. The parameters are those of
    :func:`calibrate`; `rng` draws the halves.

    Examples
    --------
    >>> split = ht.split_ratio(ht.datasets.power_law(300, 60, n_interactions=2000, rng=0).interactions, rng=0)
    >>> model = ht.models.ALS(300, 60, 4, rng=0)
    >>> _ = ht.fit(model, split.train, progress=False)
    >>> recs = ht.recommend(model, split.train, k=40)
    >>> cross_fitted(recs, split.train, split.validation, k=5).shape
    (300, 40)
    """
    order = generator(rng).permutation(len(recs))
    order = order[np.argsort(relevant.activity[recs.users[order]] == 0, kind="stable")]  # hits in both halves
    part = np.empty(len(recs), dtype=np.int64)
    part[order] = np.arange(len(recs)) % 2
    found = np.zeros(recs.items.shape, dtype=np.float32)
    items = _items(recs, known, relevant, k, by_item)
    for fold in (0, 1):
        inside = np.flatnonzero(part == fold)
        fitted = _fitted(recs, known, relevant, items, k=k, codes=recs.users[part != fold])
        found[inside] = fitted(lists_at(recs, inside), known)
    return found


def by_item_or_plain(
    recs: Recommendations, known: Interactions, relevant: Interactions, by_item: Floats | None, *, k: int, rng: RNG
) -> tuple[bool, Floats, str]:
    """Return whether the items' popularity and exposure count, the cross-fitted probabilities, and why.

    They count if lists gain more than a standard error of NDCG by it; `by_item` are the probabilities if known already.
    """
    found = cross_fitted(recs, known, relevant, k=k, rng=rng) if by_item is None else by_item
    mean, error = mean_gain(best(recs, found, k), recs.head(k), relevant)
    told = f"on validation their order changes NDCG by {mean:+.4f}, with a standard error of {error:.4f}"
    if mean > error:
        return True, found, f"Calibrated relevance counts the items' popularity and exposure: {told}."
    plain = cross_fitted(recs, known, relevant, k=k, by_item=False, rng=rng)
    return False, plain, f"Calibrated relevance leaves the items' popularity and exposure out: {told}."
