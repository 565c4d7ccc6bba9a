"""Singular values and vectors of scores and of data, and how far each direction follows popularity."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from headtail import _factors
from headtail._checks import checked, finite, integer
from headtail._printable import counted
from headtail.data import Interactions
from headtail.data.rows import popularity_of
from headtail.exceptions import InvalidInputError
from headtail.reports import Block, Chart, Column, Figure, Figures, Report, Result, Section, Table, Text
from headtail.reports._values import jsonable
from headtail.spectral.bounds import (
    MemoryBound,
    PowerLaw,
    fit_power_law,
    memory_bound,
    memory_bound_power_law,
    on_scale,
)
from headtail.typing import Array, Floats

_SHOWN_RANKS = 150
_SHOWN_DIRECTIONS = 20
_ABOUT = (
    "The scores are a sum of directions. Each has a *singular value* (its strength), a pattern over users and a "
    "pattern over items. Its *energy* is its share in the sum of all squared scores. Its *alignment* is the cosine "
    "between its pattern over items and the number of training interactions of each item: 1 means that the direction "
    "orders items by popularity and nothing else, 0 that it ignores popularity. Where the first direction has most of "
    "the energy and an alignment near 1, the model mostly repeats popularity to everyone."
)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Result):
    """Singular values of a score matrix and how far each direction follows popularity; made by :func:`spectrum`.

    Attributes
    ----------
    sigma : float array of shape (r,)
        Singular values, descending, r = min(users, items, embedding_dim).
    alignment : float array of shape (r,) or None
        ``|cos(q_k, popularity)|`` of the right singular vector of each direction, 0 to 1; 1 means that the direction
        ranks the items exactly as popularity does. NaN where sigma is zero, None without popularity.
    total_energy : float
        Sum of the squares of all singular values (of all entries of the matrix).
    queries, items, popularity
        As given.
    power_law : PowerLaw or None
        The law fitted to `popularity`.
    left_basis, right_basis : float arrays of shape (d, r)
        What the singular vectors are made of: ``queries @ left_basis`` and ``items @ right_basis``.
    """

    sigma: Floats
    alignment: Floats | None
    total_energy: float
    queries: Any
    items: Any
    popularity: Floats | None
    power_law: PowerLaw | None
    left_basis: Floats
    right_basis: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Users (queries) and items of the score matrix."""
        return self.queries.shape[0], self.items.shape[0]

    @property
    def rank(self) -> int:
        """Number of singular values above zero."""
        return int(np.count_nonzero(self.sigma))

    @property
    def energy(self) -> Floats:
        """Share of every direction in the sum of squares of all scores, float array of shape (r,), 0 to 1."""
        return self.sigma**2 / self.total_energy if self.total_energy > 0 else np.zeros_like(self.sigma)

    @property
    def first(self) -> dict[str, float | None]:
        """Of the first direction its `energy`, its `cosine` with popularity, and its `ratio` to the second."""
        return {
            "energy": float(self.energy[0]),
            "cosine": float(self.alignment[0]) if self.alignment is not None and self.rank else None,
            "ratio": float(self.sigma[0] / self.sigma[1]) if self.rank > 1 else None,
        }

    def left(self, k: int) -> Floats:
        """Return the left singular vector of direction `k` (0 is the first): float64, shape (n,), one a user."""
        return _factors.times(self.queries, self.left_basis[:, self._direction(k)])

    def right(self, k: int) -> Floats:
        """Return the right singular vector of direction `k` (0 is the first): float64, shape (m,), one an item.

        Signs are chosen so that its product with popularity (with ones, without popularity) is not negative.
        """
        return _factors.times(self.items, self.right_basis[:, self._direction(k)])

    def _direction(self, k: int) -> int:
        k = integer("k", k, high=len(self.sigma) - 1)
        if self.sigma[k] == 0:
            raise InvalidInputError(
                f"k={k} has the singular value 0 and so no direction; the rank is {self.rank}, give less."
            )
        return k

    @property
    def bound(self) -> MemoryBound | None:
        """:func:`memory_bound` for sigma_1 and the given popularity; None without popularity."""
        return None if self.popularity is None else memory_bound(float(self.sigma[0]), self.popularity)

    @property
    def bound_power_law(self) -> MemoryBound | None:
        """:func:`memory_bound_power_law` for sigma_1 and the fitted law; None without a fitted law."""
        if self.popularity is None or self.power_law is None:
            return None
        sigma_1, r_max = float(self.sigma[0]), float(self.popularity.max())
        if not on_scale(sigma_1, r_max, self.popularity.sum()):
            return MemoryBound(None, "not applicable")
        return memory_bound_power_law(self.power_law.exponent, sigma_1=sigma_1, r_max=r_max)

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain numbers and lists; what is not defined is None."""
        bounds = {"distribution_free": self.bound, "power_law": self.bound_power_law}
        return {
            "n_users": self.shape[0],
            "n_items": self.shape[1],
            "rank": self.rank,
            "total_energy": self.total_energy,
            "directions": self._rows(),
            "power_law": None if self.power_law is None else jsonable(vars(self.power_law)),
            "memory_bounds": {name: None if b is None else dict(vars(b)) for name, b in bounds.items()},
        }

    def _rows(self) -> list[dict[str, Any]]:
        alignment = np.full(len(self.sigma), np.nan) if self.alignment is None else self.alignment
        return [
            jsonable({"direction": k + 1, "sigma": s, "energy": e, "alignment": a})
            for k, (s, e, a) in enumerate(zip(self.sigma, self.energy, alignment, strict=True))
        ]

    def report(self) -> Report:
        """Return the report: the directions, their alignment with popularity, the power law and the bounds."""
        return _page(self)


@checked
def spectrum(queries: Any, items: Any = None, *, popularity: Any = None) -> Spectrum:
    """Measure the singular values of ``queries @ items.T`` from the factors, and their alignment with popularity.

    Exact, by the eigenvalues of the two d x d matrices of inner products, which are summed in float64: time is linear
    in users plus items, and the score matrix is never formed. Singular values below about a millionth of the product of
    the factors' largest cannot be told from rounding and are given as 0. The bounds hold for the data matrix; for a
    model they mean something only if its scores are on the scale of the data (0 and 1), else they say "not applicable".

    Source: Lin et al., "How Do Recommendation Models Amplify Popularity Bias? An Analysis from the Spectral
    Perspective", WSDM 2025.

    Parameters
    ----------
    queries, items : array or tensor of shape (n, d) and (m, d), or Vectors as the first
        The factors; users and items that do not take part in training belong left out.
    popularity : array of shape (m,) or Interactions, optional
        Training interactions per item, such as ``interactions.popularity``; or the interactions themselves (or a frame
        or sparse matrix), joined by the ids of the vectors, or by the order of the rows, which is then checked.

    Examples
    --------
    >>> queries = np.array([[2.0, 0.0], [2.0, 1.0]])
    >>> items = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.5]])
    >>> found = spectrum(queries, items, popularity=[2, 2, 0])
    >>> found.sigma.round(3), found.alignment.round(3)
    (array([4.016, 0.352]), array([0.996, 0.089]))
    """
    pair = _factors.as_pair(queries, items)
    if popularity is not None:
        popularity = popularity_of(popularity, pair)
    return _spectrum(*pair, popularity, None)


def _spectrum(queries: Any, items: Any, popularity: Floats | None, total_energy: float | None) -> Spectrum:
    svd = _factors.factor_svd(queries, items, popularity)
    along = svd.right.T @ svd.moment  # q_k . popularity
    signs = np.where(along < 0, -1.0, 1.0)
    alignment = None
    if popularity is not None:
        alignment = np.minimum(np.abs(along) / np.linalg.norm(popularity), 1.0)
        alignment[svd.sigma == 0] = np.nan
    return Spectrum(
        sigma=svd.sigma,
        alignment=alignment,
        total_energy=float((svd.sigma**2).sum()) if total_energy is None else total_energy,
        queries=queries,
        items=items,
        popularity=popularity,
        power_law=None if popularity is None or np.count_nonzero(popularity) < 3 else fit_power_law(popularity),
        left_basis=svd.left * signs,
        right_basis=svd.right * signs,
    )


@checked
def data_spectrum(data: Any, k: int = 10, *, popularity: Any = None) -> Spectrum:
    """Measure the first singular values of the training data itself: what a model can learn of popularity from them.

    `energy` is the share in the whole matrix, so that it need not sum to 1; `queries` and `items` are the truncated
    factors (left vectors times sigma, and right vectors).

    Parameters
    ----------
    data : Interactions, frame, or sparse matrix of shape (n, m)
        Training interactions, one where a user met an item.
    k : int, default 10
        Number of directions, at most min(n, m).
    popularity : array of shape (m,), optional
        By default the non-zero entries of each column.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> data_spectrum(sp.csr_array([[1, 1, 0], [1, 0, 1], [1, 0, 0]]), k=2).sigma.round(3)
    array([1.932, 1.   ])
    """
    matrix = _as_sparse(data)
    k = integer("k", k, low=1)
    if popularity is None:
        popularity = np.diff(matrix.tocsc().indptr)
    popularity = _factors.as_popularity(popularity, matrix.shape[1])
    k = min(k, *matrix.shape)
    if k == min(matrix.shape):
        u, sigma, vt = np.linalg.svd(matrix.toarray(), full_matrices=False)
    else:
        from scipy.sparse.linalg import svds

        # A fixed random start: the same result every time, and orthogonal to no direction of a regular pattern.
        start = np.random.default_rng(0).standard_normal(min(matrix.shape))
        u, sigma, vt = svds(matrix, k=k, v0=start)
    return _spectrum(u * sigma, np.ascontiguousarray(vt.T), popularity, float((matrix.data**2).sum()))


def _as_sparse(data: Any) -> sp.csr_array:
    if sp.issparse(data) and (data.ndim != 2 or data.dtype.kind not in "fiub"):
        raise InvalidInputError(f"data is {data.dtype} of {data.shape}; give real numbers, a sparse (users, items).")
    found = data if sp.issparse(data) else Interactions.of(data, what="data").matrix
    matrix = sp.csr_array(found, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    finite("data", matrix.data, "Use ones for interactions.")
    if not matrix.nnz:
        raise InvalidInputError(
            f"data has no interactions (shape {matrix.shape}), so it has no spectrum. Check the filter."
        )
    return matrix


def _page(found: Spectrum) -> Report:
    share, n = found.energy[0], len(found.sigma)
    lede = f"The strongest of {n} directions carries {share:.1%} of the energy"
    if found.alignment is not None and found.rank:
        cosine = found.alignment[0]
        popular = float(np.nansum(found.energy * found.alignment**2))  # alignment: cosines of orthonormal directions
        follows = (
            "orders items much as their popularity does ({}): `shrink` takes it out of finished vectors, `ReSN` holds "
            "it down in training"
            if cosine**2 > 0.5
            else "has more to do with other things than with popularity ({})"
        ).format(f"cosine {cosine:.3f}")
        lede = f"**Popularity alone makes up {popular:.0%} of the scores.** {lede} and {follows}"
    blocks: list[Block] = [Text(_ABOUT), _figures(found), *_charts(found), _table(found)]
    if found.power_law is not None:
        blocks.append(Section("How unequal popularity is", _power_law_blocks(found, found.power_law)))
    if found.bound is not None:
        blocks.append(Section("What theory says about the first direction", [Text(_bounds_text(found))]))
    return Report("Spectrum", blocks, lede + ".")


def _figures(found: Spectrum) -> Figures:
    numbers = [
        Figure("Energy of the first direction", float(found.energy[0]), format=".1%", note="of all squared scores"),
        Figure("Singular values above zero", found.rank, format="d"),
    ]
    if found.alignment is not None and found.rank:
        note = "cosine, 1 = the first direction is popularity itself"
        numbers.insert(1, Figure("Popularity in the first direction", float(found.alignment[0]), note=note))
    return Figures(numbers)


def _charts(found: Spectrum) -> list[Chart]:
    rows = [row for row in found._rows() if row["sigma"]]
    strength = Chart(
        "line", rows, x="direction", y="sigma", y_scale="log", title="Strength of the directions",
        x_label="direction", y_label="singular value",
    )  # fmt: skip
    if found.alignment is None:
        return [strength]
    alignment = Chart(
        "bar", rows[:_SHOWN_DIRECTIONS], x="direction", y="alignment", y_format=".2f", x_label="direction",
        title="Alignment of the first directions with popularity", y_label="cosine with popularity",
    )  # fmt: skip
    return [strength, alignment]


def _table(found: Spectrum) -> Table:
    columns = [
        Column("direction", "Direction"),
        Column("sigma", "Singular value", format="#.4g"),
        Column("energy", "Energy", format=".1%", note="share in the sum of all squared scores"),
    ]
    if found.alignment is not None:
        note = "cosine with popularity without its sign, 0 to 1"
        columns.append(Column("alignment", "Alignment", format=".3f", note=note))
    rows = found._rows()
    return Table(columns, rows[:10], title=f"The first {min(10, len(rows))} of {len(rows)} directions")


def _power_law_blocks(found: Spectrum, law: PowerLaw) -> list[Block]:
    assert found.popularity is not None
    ordered = np.sort(found.popularity[found.popularity > 0])[::-1]
    ranks = np.unique(np.geomspace(1, len(ordered), _SHOWN_RANKS).astype(int))
    fitted = law.scale * ranks.astype(float) ** -law.exponent
    curves: list[tuple[str, Floats | Array]] = [("data", ordered[ranks - 1]), ("power law", fitted)]
    rows = [
        {"rank": int(rank), "popularity": float(value), "curve": name}
        for name, values in curves
        for rank, value in zip(ranks, values, strict=True)
    ]
    zero = f"; without {counted(law.n_zero, 'item')} that nobody chose" if law.n_zero else ""
    text = (
        f"With the items in order of popularity, the item of rank i has about {law.scale:,.0f} · i^-{law.exponent:.2f} "
        f"interactions (least squares of the logarithms over ranks 1 to {law.n_items:,}, every decade of ranks "
        f"counting the same{zero}). The law explains {law.r_squared:.1%} of the variation (R²); the larger the "
        f"exponent, the more a few items dominate."
    )
    chart = Chart(
        kind="line", rows=rows, x="rank", y="popularity", color="curve", x_scale="log", y_scale="log",
        title="Popularity by rank", x_label="rank of the item", y_label="training interactions",
    )  # fmt: skip
    return [Text(text), chart]


def _bounds_text(found: Spectrum) -> str:
    names = {
        "for any distribution of popularity": found.bound,
        "for an exact power law with the fitted exponent": found.bound_power_law,
    }
    meaning = {
        "says nothing": "the theorem says nothing here, and the measured cosine stands on its own",
        "not applicable": "not applicable: these scores are not on the scale of a matrix of zeros and ones",
    }
    lines = [
        f"- {name}: " + (f"at least {b.value:.3f}" if b.value is not None else meaning[b.status])
        for name, b in names.items()
        if b is not None
    ]
    return (
        "Theorems give a smallest possible alignment of the first direction of a data matrix of zeros and ones. They "
        "are separate from the measured alignment above.\n\n" + "\n".join(lines)
    )
