"""What is known of a candidate when its relevance is learned or told."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from headtail._factors import Matrix
from headtail.data import Interactions, Recommendations
from headtail.rerank import scores_of

_ROWS = 4096  # users whose features are held at a time


def features(
    recs: Recommendations, known: Interactions, items: Matrix, k: int, scale: float
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield blocks of rows and the features of their candidates, shape (rows, R, F)."""
    table = items.astype(np.float32)
    rank = np.log1p(np.arange(recs.k, dtype=np.float32))
    for start in range(0, len(recs), _ROWS):
        rows = slice(start, start + _ROWS)
        codes = recs.items[rows]
        scores = np.where(codes >= 0, scores_of(recs, 1)[rows] / scale, np.nan).astype(np.float32)
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
