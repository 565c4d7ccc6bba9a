"""The features by which the relevance of a candidate is learned and predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from headtail._factors import numbers
from headtail._top import slices
from headtail.data import Interactions, Recommendations
from headtail.exceptions import InvalidInputError
from headtail.rerank import scores_of, spread, tilt_bias
from headtail.typing import Array, Codes, Floats

_MOST = 1e29  # of a probability on any scale, so that what is made of it fits single precision
_ROWS = 4096  # users whose features are held at a time
ALONG = np.array([1, 1, 1, -1, -1, 0])  # the sign of each feature of a candidate that follows the order of the list
_TILTS: tuple[dict[str, Any], ...] = (
    {"strength": 0.1, "welfare": "alpha"},
    {"strength": 0.4, "welfare": "alpha"},
    {"strength": 0.2, "welfare": "popularity"},
)


def features(
    recs: Recommendations, known: Interactions, items: Floats, k: int, scale: float
) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of rows and the features of their candidates, shape (rows, R, F)."""
    table = items.astype(np.float32)
    rank = np.log1p(np.arange(recs.k, dtype=np.float32))
    for rows in slices(len(recs), _ROWS):
        some = lists_at(recs, rows)
        codes = some.items
        scores = np.where(codes >= 0, scores_of(some, 1) / scale, np.nan).astype(np.float32)
        scores[codes[:, 0] < 0] = 0  # an empty list has no spread
        last = np.minimum((codes >= 0).sum(axis=1) - 1, k - 1).clip(0)[:, None]
        deviation = np.nanstd(scores, axis=1, keepdims=True)
        top = scores[:, :1]
        total = np.log(np.nansum(np.exp(scores - top), axis=1, keepdims=True))
        of_users = np.log1p(known.activity[recs.users[rows]]).astype(np.float32)[:, None]
        columns = [
            (scores - np.take_along_axis(scores, last, axis=1)) / np.maximum(deviation, np.float32(1e-9)),
            scores,
            scores - top - total,
            np.broadcast_to(rank, codes.shape),
            np.broadcast_to(rank**2, codes.shape),
            np.broadcast_to(of_users, codes.shape),
        ]
        found = np.concatenate([np.stack(columns, axis=2), table[codes]], axis=2)
        found[codes < 0] = 0
        yield rows, found


def lists_at(recs: Recommendations, rows: Array | slice) -> Recommendations:
    """Return the lists of some users."""
    scores = None if recs.scores is None else recs.scores[rows]
    return replace(recs, users=recs.users[rows], items=recs.items[rows], scores=scores)


def lists_of_parts(parts: Sequence[Recommendations], users: Codes) -> Recommendations:
    """Return the lists of these users, who are spread over parts, in their order."""
    order = np.argsort(np.concatenate([part.users for part in parts]))[np.argsort(np.argsort(users))]
    names = ("users", "items") if parts[0].scores is None else ("users", "items", "scores")
    return replace(parts[0], **{name: np.concatenate([getattr(part, name) for part in parts])[order] for name in names})


def features_of(recs: Recommendations, known: Interactions, k: int) -> Floats:
    """Return the features of each item: popularity, exposure in the lists as they are, and the biases of tilts."""
    popularity, scale = known.popularity, spread(recs)
    shown = recs.items[:, :k]
    exposure = np.bincount(shown[shown >= 0], minlength=len(recs.item_ids))
    tilts = [tilt_bias(recs, k=k, popularity=popularity, **options) / scale for options in _TILTS]
    return np.column_stack([np.log1p(popularity), np.log(exposure / exposure.mean() + 0.03), *tilts])


def probabilities(recs: Recommendations, relevance: Any) -> Array:
    """Return the probability of every candidate, if there is one for each."""
    values = numbers(relevance)
    if values.shape != recs.items.shape or values.dtype.kind != "f":
        raise InvalidInputError(
            f"relevance has shape {values.shape} and type {values.dtype}; give one of at least 0 for each "
            f"candidate: {recs.items.shape}. calibrate makes them."
        )
    if not (fitting := (values >= 0) & (values < _MOST)).all():
        row, place = (int(i) for i in np.argwhere(~fitting)[0])
        raise InvalidInputError(
            f"relevance holds {values[row, place]} for candidate {place} of list {row}; give a probability of at least "
            f"0. calibrate makes them."
        )
    return values
