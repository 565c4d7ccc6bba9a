"""How many users a low rank forces to see the most popular item first."""

import numpy as np

from headtail import _factors
from headtail._checks import checked
from headtail.exceptions import InvalidInputError
from headtail.spectral.decomposition import Spectrum

_ROUNDING = 1e-6  # the coordinates are good to about this, relative to the largest


@checked
def top_item_bound(found: Spectrum) -> float:
    """Bound from below the share of users, 0 to 1, whose highest score is that of the most popular item.

    Write each score as the inner product of the coordinates ``a = sqrt(sigma_k) p_uk`` of the user and
    ``b = sqrt(sigma_k) q_ik`` of the item. By Cauchy and Schwarz item 1, the most popular, outscores item i for user u
    if ``a_1 (b_11 - b_i1) > |a_rest| |b_1rest - b_irest|``, where `rest` stands for all directions but the first; with
    ``t = max_i |b_1rest - b_irest| / (b_11 - b_i1)``, one number for the whole catalogue, it outscores all items for
    those with ``a_1 > t |a_rest|``. Time is linear in users plus items.

    It is a worst case over all items, and beyond a few dimensions mostly 0, which says nothing. Seen items are not left
    out: measure the share itself with ``recommend(..., k=1, exclude_seen=False)``.

    Source: a computable form, derived for headtail, of the amplification effect of Lin et al., WSDM 2025.

    Parameters
    ----------
    found : Spectrum
        Of a model's factors, with popularity. Among equally popular items the first counts as the most popular.

    Examples
    --------
    >>> queries = [[2.0, 0.1], [2.0, -0.1], [0.5, 1.0]]
    >>> items = [[3.0, 0.0], [1.0, 0.5], [1.0, -1.5]]
    >>> round(top_item_bound(ht.spectrum(queries, items, popularity=[9, 3, 1])), 2)
    0.67
    """
    if found.popularity is None:
        raise InvalidInputError("the spectrum has no popularity; make it with popularity=interactions.popularity.")
    if not found.rank:
        return 0.0
    root, top = np.sqrt(found.sigma), int(np.argmax(found.popularity))
    items = _factors.times(found.items, found.right_basis * root)  # (m, r)
    difference = np.delete(items[top] - items, top, axis=0)
    gap, across = difference[:, 0], np.linalg.norm(difference[:, 1:], axis=1)
    if (gap <= _ROUNDING * np.abs(items[:, 0]).max()).any():
        return 0.0
    steepest = (across / gap).max(initial=0.0)
    users = _factors.times(found.queries, found.left_basis * root)  # (n, r)
    along, rest = users[:, 0], np.linalg.norm(users[:, 1:], axis=1)
    return float((along > (1 + _ROUNDING) * steepest * rest + _ROUNDING * np.abs(along).max()).mean())
