"""Logistic regression of many rows, block by block."""

from collections.abc import Iterator

import numpy as np
from scipy.special import expit

from headtail.typing import Array, Floats, Mask

_RIDGE = 1.0  # in units of a hit: a single one should not decide on a weight
_BLOCK = 1 << 17


def logistic(features: Floats, hits: Mask, signs: Array | None = None) -> Floats:
    """Return the weights of a logistic regression, the constant first, with a small ridge.

    A feature whose weight would not have its sign is left out, with the weight 0; of the sign 0 any weight will do.
    """
    if signs is None:
        return _fitted(features, hits)
    used = np.ones(len(signs), dtype=bool)
    while True:
        weights = np.zeros(1 + len(signs))
        weights[np.append(True, used)] = _fitted(np.ascontiguousarray(features[:, used]), hits)
        against = -weights[1:] * signs
        if against.max() <= 0:
            return weights
        used[against.argmax()] = False


def _fitted(features: Floats, hits: Mask) -> Floats:
    from scipy.optimize import minimize

    n, width = features.shape
    ridge = np.append(0.0, np.full(width, _RIDGE))

    def blocks() -> Iterator[tuple[Floats, Array]]:
        for start in range(0, n, _BLOCK):
            block = features[start : start + _BLOCK]
            yield np.column_stack([np.ones(len(block), np.float32), block]), hits[start : start + _BLOCK]

    def loss(weights: Floats) -> tuple[float, Floats]:
        total, gradient = float(ridge @ weights**2) / 2, ridge * weights
        for x, y in blocks():
            logit = _logits(x, weights)
            total += float((np.logaddexp(0, logit) - y * logit).sum(dtype=np.float64))
            gradient += x.T @ (expit(logit) - y)
        return total, gradient

    def curvature(weights: Floats) -> Floats:
        total = np.diag(ridge)
        for x, _ in blocks():
            p = expit(_logits(x, weights))
            total += x.T @ (x * (p * (1 - p))[:, None])
        return total

    start = np.append(np.log(hits.mean() / (1 - hits.mean())), np.zeros(width))
    found = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-6 * n})
    return np.asarray(found.x)


def _logits(x: Floats, weights: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # some kernels of BLAS raise the flag in lanes that they do not use
        return np.asarray(x @ weights.astype(np.float32))
