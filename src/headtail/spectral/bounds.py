"""Power laws of popularity, and theorems on the first direction of a matrix of zeros and ones."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from headtail import _factors
from headtail._checks import checked, number
from headtail._printable import counted
from headtail.exceptions import InvalidInputError


@dataclass(frozen=True)
class PowerLaw:
    """A power law through the popularity of the items in order: popularity of rank i is about ``scale * i**-exponent``.

    Attributes
    ----------
    exponent, scale : float
        How steeply popularity falls with rank (0: all items are equally popular), and that fitted for rank 1.
    r_squared : float
        Share of the variation of log popularity that the law explains, up to 1; below about .9 it is a poor picture.
    n_items, n_zero : int
        Items that were fitted, ranks 1 to `n_items`, and those left out, without a single interaction.
    """

    exponent: float
    scale: float
    r_squared: float
    n_items: int
    n_zero: int


@dataclass(frozen=True)
class MemoryBound:
    """A lower bound on the cosine between the first right singular vector and popularity.

    Attributes
    ----------
    value : float or None
        The bound, 0 to 1, or None where there is none.
    status : {"holds", "says nothing", "not applicable"}
        The theorem says nothing where a root is negative; the measured cosine can be high all the same. It is not
        applicable where the square of sigma_1 does not lie between the largest popularity and the number of
        interactions, as for a matrix of zeros and ones it does.
    """

    value: float | None
    status: Literal["holds", "says nothing", "not applicable"]

    def __str__(self) -> str:
        return self.status if self.value is None else f"{self.value:.3f}"


@checked
def fit_power_law(popularity: Any) -> PowerLaw:
    """Fit ``scale * rank**-exponent`` to the popularity of the items, most popular first.

    Least squares of log popularity on log rank over all items with at least one interaction, of which there must be
    three. Each rank is weighted by 1/rank, so that every decade of ranks counts the same.

    Parameters
    ----------
    popularity : array of shape (m,)
        Interactions per item.

    Examples
    --------
    >>> law = fit_power_law([1000, 250, 111, 62, 40])
    >>> round(law.exponent, 2), round(law.r_squared, 3)
    (2.0, 1.0)
    """
    values = _factors.as_popularity(popularity)
    ordered = np.sort(values[values > 0])[::-1]
    if len(ordered) < 3:
        raise InvalidInputError(
            f"popularity has {counted(len(ordered), 'item')} with interactions; a fit needs at least 3."
        )
    ranks = np.arange(1, len(ordered) + 1)
    x, y, w = np.log(ranks), np.log(ordered), 1.0 / ranks
    x0, y0 = np.average(x, weights=w), np.average(y, weights=w)
    slope = np.dot(w, (x - x0) * (y - y0)) / np.dot(w, (x - x0) ** 2)
    spread = np.dot(w, (y - y0) ** 2)
    missed = np.dot(w, (y - y0 - slope * (x - x0)) ** 2)
    return PowerLaw(
        exponent=float(-slope) + 0.0,
        scale=float(np.exp(y0 - slope * x0)),
        r_squared=float(1 - missed / spread) if spread > 1e-20 * w.sum() else 1.0,
        n_items=len(ordered),
        n_zero=int(len(values) - len(ordered)),
    )


@checked
def memory_bound(sigma_1: float, popularity: Any) -> MemoryBound:
    """Bound from below the cosine of q_1 with popularity, for a matrix of zeros and ones, whatever its popularity.

    ``sigma_1**2 / ||r|| * sqrt(1 - (sum(r) - max(r)) / sigma_1**2)``, sigma_1 the largest singular value and r (m,) the
    interactions per item. It holds for the data matrix, not for a model's scores; on real data it usually says nothing,
    where the cosine is high all the same.

    Source: Lyubinin, https://arxiv.org/abs/2511.19999.

    Examples
    --------
    >>> memory_bound(10.1, [100, 3, 1])
    MemoryBound(value=0.9994..., status='holds')
    >>> memory_bound(10.1, [100, 50, 40, 30])
    MemoryBound(value=None, status='says nothing')
    """
    sigma_1 = number("sigma_1", sigma_1, low=0)
    r = _factors.as_popularity(popularity)
    if not on_scale(sigma_1, r.max(), r.sum()):
        return MemoryBound(None, "not applicable")
    root = 1 - (r.sum() - r.max()) / sigma_1**2
    return _bound(sigma_1**2 / float(np.linalg.norm(r)), root)


@checked
def memory_bound_power_law(exponent: float, *, sigma_1: float | None = None, r_max: float | None = None) -> MemoryBound:
    """Bound from below the cosine of q_1 with popularity, if popularity is exactly ``r_max * rank**-exponent``.

    ``sigma_1**2 / (r_max sqrt(zeta(2a))) * sqrt(1 - r_max (zeta(a) - 1) / sigma_1**2)``, zeta Riemann's function.
    Without `sigma_1` and `r_max` it uses ``sigma_1**2 >= r_max``, which every matrix of zeros and ones satisfies, and
    is ``sqrt((2 - zeta(a)) / zeta(2a))``; that form says something for exponents above about 1.73.

    Source: Lin et al., WSDM 2025, theorem 1.

    Parameters
    ----------
    exponent : float
        Exponent a of the power law.
    sigma_1, r_max : float, optional
        Largest singular value and popularity of the most popular item; give both or none.

    Examples
    --------
    >>> [str(memory_bound_power_law(a)) for a in (1.5, 2, 3)]
    ['says nothing', '0.573', '0.886']
    """
    from scipy.special import zeta

    a = number("exponent", exponent)
    if (sigma_1 is None) != (r_max is None):
        raise InvalidInputError(f"sigma_1={sigma_1} and r_max={r_max}; give both, or none for the general bound.")
    ratio = 1.0  # sigma_1^2 / r_max
    if sigma_1 is not None and r_max is not None:
        sigma_1 = number("sigma_1", sigma_1, low=0, low_open=True)
        ratio = sigma_1**2 / number("r_max", r_max, low=0, low_open=True)
    if a <= 1:
        return MemoryBound(None, "says nothing")
    if not 1 - 1e-9 <= ratio <= zeta(a) + 1e-9:
        return MemoryBound(None, "not applicable")
    return _bound(ratio / math.sqrt(zeta(2 * a)), 1 - (float(zeta(a)) - 1) / ratio)


def on_scale(sigma_1: float, r_max: float, r_sum: float) -> bool:
    """Whether sigma_1 can belong to a matrix of zeros and ones whose columns have this largest sum and total."""
    return bool(r_max * (1 - 1e-9) <= sigma_1**2 <= r_sum * (1 + 1e-9))


def _bound(factor: float, root: float) -> MemoryBound:
    if root < 0:
        return MemoryBound(None, "says nothing")
    return MemoryBound(min(float(factor * math.sqrt(root)), 1.0), "holds")
