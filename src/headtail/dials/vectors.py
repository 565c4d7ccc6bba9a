"""Dials that correct vectors; where queries depend on histories they return lists."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from headtail import posthoc
from headtail._factors import to_numpy
from headtail.data import Interactions, Recommendations
from headtail.subjects import Subject
from headtail.typing import Floats, Vectors

Correct = Callable[[Vectors, Interactions, float], Vectors]

_PREFERENCE = 0.5  # weight of interactions that are not due to popularity


def of_vectors(correct: Correct, subject: Subject, strength: float, seed: int) -> Any:
    """Correct the vectors, again for other histories where queries depend on them."""
    if subject.sequential:
        return partial(_lists, correct, subject, strength, seed)
    return correct(subject.vectors(seed), subject.split.train, strength)


def linearly(correct: Correct, subject: Subject, strength: float, seed: int) -> Any:
    """As :func:`of_vectors`, for what changes vectors in proportion to the strength: at 1 it is computed once."""
    if subject.sequential:
        return of_vectors(correct, subject, strength, seed)
    vectors = subject.vectors(seed)
    full = subject.cached((correct, seed), lambda: correct(vectors, subject.split.train, 1.0))
    pairs = zip(vectors[:2], full[:2], strict=True)
    queries, items = ((1 - strength) * before.astype(np.float64) + strength * after for before, after in pairs)
    return vectors._replace(queries=queries, items=items)


def _lists(correct: Correct, subject: Subject, strength: float, seed: int, known: Interactions) -> Recommendations:
    return subject.recommend(correct(subject.vectors(seed, known), known, strength), known)


def shrunk(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    """Return vectors with a smaller first singular value."""
    return posthoc.shrink(vectors, strength=strength)


def normalized(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    """Return vectors with item vectors closer to unit length (TTEN)."""
    return posthoc.normalize(vectors, strength=strength)


def without_popularity(vectors: Vectors, train: Interactions, strength: float) -> Vectors:
    """Return the vectors with a share of their component along their own popularity direction removed.

    Of unit vectors e, an item is popular by ``p_i = mean over users of e_u . e_i``, and one of a user's kind by ``r_ui
    = mean over j of sigmoid(e_i . e_j) - p_i p_j``, j the user's own items. An interaction is due to popularity by
    ``b_ui = p_i - r_ui``; p, r and b are brought to [0, 1] by their least and largest. A user's direction is the mean
    of their items' unit vectors, weighted by b, less half of that weighted by 1 - b; an item's is the same of its
    users. `strength` is the share of a vector's part along it that is taken off; without a direction a vector stays as
    it is.

    Source: Islam, Zheleva and Wang, Post-hoc popularity bias correction in GNN-based collaborative filtering, 2025
    (PPD), in the form of its public code. That puts all vectors of a graph's first layer to unit length as well, takes
    off the whole part, and propagates them again; here the vectors that are served keep their lengths.
    """
    queries, items = (to_numpy(part).astype(np.float64) for part in vectors[:2])
    of_users, of_items = (_unit(part) for part in (queries, items))
    p = _scaled(of_items @ of_users.mean(axis=0))
    r = np.empty(len(train))
    rows = train.matrix.tocsr()
    for user in np.flatnonzero(train.activity):
        own = rows.indices[(here := slice(*rows.indptr[user : user + 2]))]
        alike = 1 / (1 + np.exp(-of_items[own] @ of_items[own].T))
        r[here] = (alike - np.outer(p[own], p[own])).mean(axis=1)
    due = sp.csr_array((_scaled(p[rows.indices] - _scaled(r)), rows.indices, rows.indptr), shape=rows.shape)
    sides = (queries, _direction(due, of_items)), (items, _direction(due.T.tocsr(), of_users))
    queries, items = (x - strength * (x * along).sum(axis=1, keepdims=True) * along for x, along in sides)
    return vectors._replace(queries=queries, items=items)


def _direction(due: sp.csr_array, units: Floats) -> Floats:
    """Return a unit vector, or 0, for each row: its entries' vectors weighted by `due`, less those by 1 - `due`."""
    means, some = [], np.ones(due.shape[0], dtype=bool)
    for weights in (due, sp.csr_array((1 - due.data, due.indices, due.indptr), shape=due.shape)):
        total = weights.sum(axis=1)
        some &= total > 0
        means.append(weights @ units / np.where(total > 0, total, 1)[:, None])
    return _unit((means[0] - _PREFERENCE * means[1]) * some[:, None])


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def _scaled(values: Floats) -> Floats:
    least, most = values.min(), values.max()
    return np.asarray((values - least) / (most - least)) if most > least else np.zeros_like(values)
