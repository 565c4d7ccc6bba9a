"""How different the items within one list are."""

import numpy as np

from headtail._top import slices
from headtail.exceptions import InvalidInputError
from headtail.metrics.facts import better
from headtail.metrics.topk import TopK
from headtail.typing import Floats


@better("higher", title="Difference within a list", low=0, high=2, family="diversity", needs=("vectors",))
def ilad(top: TopK) -> Floats:
    """Intra-list average distance: mean cosine distance over the pairs of items of a list.

    Formula: mean_{i != j in L_u} (1 - cos(v_i, v_j)). Range 0 to 2, higher is more diverse. NaN for lists of fewer than
    two items. The item vectors are those of the audit; compare only audits that use the same ones.

    Source: Zhang and Hurley, "Avoiding monotony", RecSys 2008.
    """
    if top.item_vectors is None:
        raise InvalidInputError("ilad needs item vectors. Give item_vectors=..., or leave the metric out.")
    largest = np.abs(top.item_vectors).max(axis=1, keepdims=True)  # taken out first, that no square overflows
    vectors = top.item_vectors / np.where(largest > 0, largest, 1)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.vstack([vectors / np.where(norms > 0, norms, 1), np.zeros_like(vectors[:1])])
    n = top.lengths.astype(np.float64)
    # The sum of all pairwise cosines is the squared length of the summed unit vectors, so no pair is formed.
    own = top.sum((norms[:, 0] > 0).astype(np.float64))
    squared = np.zeros(len(top))
    block = max(1, (1 << 22) // (top.k * units.shape[1]))
    for part in slices(len(top), block):
        squared[part] = np.square(units[top.items[part]].sum(axis=1, dtype=np.float64)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n > 1, 1 - (squared - own) / (n * (n - 1)), np.nan)
