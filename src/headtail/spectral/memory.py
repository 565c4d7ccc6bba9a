"""The memory effect: spectra of several models, data sets or dimensions side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headtail._checks import checked
from headtail.exceptions import InvalidInputError
from headtail.reports import Block, Chart, Column, Report, Result, Table, Text
from headtail.reports._markdown import plain
from headtail.spectral.decomposition import Spectrum

_SHOWN_DIRECTIONS = 50
_ALIGNED_DIRECTIONS = 8
_ALIGNED_MATRICES = 4
_ABOUT = """The scores of a recommender are a sum of directions. In training interactions the strongest one follows the
popularity of the items, and a model that learns from them keeps it: the *memory effect* (Lin et al., WSDM 2025). The
cosine tells how closely the first direction follows popularity, its energy how much of the scores it makes up."""
_ABOUT_BOUNDS = """The lower bound is a theorem on matrices of zeros and ones with this popularity. Where it *says
nothing* it allows any cosine; it is *not applicable* to scores on another scale. The measured cosine stands in either
case."""


@dataclass(frozen=True, eq=False, repr=False)
class MemoryEffect(Result):
    """How closely the first direction of several matrices, `spectra` by name, follows popularity."""

    spectra: dict[str, Spectrum]

    def to_dict(self) -> dict[str, Any]:
        """Return one row a matrix as plain values."""
        return {"rows": self._rows()}

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "matrix": name,
                **found.first,
                "exponent": None if found.power_law is None else found.power_law.exponent,
                "bound": str(found.bound),
                "bound_power_law": "not applicable" if found.power_law is None else str(found.bound_power_law),
            }
            for name, found in self.spectra.items()
        ]

    def report(self) -> Report:
        """Return the comparison as a document."""
        about = [Text(_ABOUT), *([Text(_ABOUT_BOUNDS)] if self._bounded else [])]
        return Report("Memory effect", [*about, *self.blocks()], self._lede())

    def _lede(self) -> str:
        """Say of each of a few matrices how much of it the first direction is, and how close to popularity."""
        firsts = {name: found.first for name, found in self.spectra.items()}
        if len(firsts) > _ALIGNED_MATRICES:
            return ""
        told = [
            f"{first['energy']:.0%} in {plain(name)}"
            + ("" if first["cosine"] is None else f" (cosine with popularity {first['cosine']:.2f})")
            for name, first in firsts.items()
            if first["energy"] is not None
        ]
        return f"**Of all squared scores the first direction makes up {', '.join(told)}.**" if told else ""

    def blocks(self) -> list[Block]:
        """Return the table and the charts, for a report of one's own."""
        few, bounded = len(self.spectra) <= _ALIGNED_MATRICES, self._bounded
        charts = [
            *([] if few and not bounded else [self._cosines()]),
            *([self._alignments()] if few else []),
            self._decay(),
        ]
        return [self.table(), *(chart for chart in charts if chart.rows)]

    @property
    def _bounded(self) -> bool:
        return any(found.bound is not None and found.bound.value is not None for found in self.spectra.values())

    def table(self) -> Table:
        """Return cosine, energy and, where the theorem gives any, bound, one row a matrix."""
        columns = [
            Column("matrix", "Matrix"),
            Column(
                "cosine", "Cosine with popularity", format=".3f",
                note="Cosine of the first right singular vector with the popularity of the items, 0 to 1.",
            ),
            Column(
                "bound", "Lower bound",
                note="Smallest cosine that a matrix of zeros and ones with this popularity and sigma 1 can have.",
            ),
            Column(
                "energy", "Energy, sigma 1", format=".1%",
                note="Share of the first direction in the sum of all squared scores.",
            ),
            Column("ratio", "sigma 1 / sigma 2", format=".2f"),
        ]  # fmt: skip
        columns = [column for column in columns if column.key != "bound" or self._bounded]
        return Table(columns, self._rows(), title="Memory effect")

    def _cosines(self) -> Chart:
        rows = [
            {"matrix": row["matrix"], "cosine": value, "value": label}
            for row, found in zip(self._rows(), self.spectra.values(), strict=True)
            for label, value in (
                ("measured", row["cosine"]),
                ("lower bound", None if found.bound is None else found.bound.value),
            )
            if value is not None
        ]
        return Chart(
            "bar", rows, x="matrix", y="cosine", color="value", x_label="", y_format=".2f",
            title="Popularity in the first direction", y_label="cosine with popularity",
            caption="Where there is no lower bound, the theorem says nothing.",
        )  # fmt: skip

    def _alignments(self) -> Chart:
        rows = [
            {"direction": str(k + 1), "alignment": float(cosine), "matrix": name}
            for name, found in self.spectra.items()
            for k, cosine in enumerate([] if found.alignment is None else found.alignment[:_ALIGNED_DIRECTIONS])
            if found.sigma[k] > 0
        ]
        return Chart(
            "bar", rows, x="direction", y="alignment", color="matrix", y_format=".1f",
            title="Popularity in each direction", y_label="cosine with popularity",
            caption="1 means that a direction orders the items exactly as popularity does.",
        )  # fmt: skip

    def _decay(self) -> Chart:
        rows = [
            {"direction": k + 1, "share": float(sigma / found.sigma[0]), "matrix": name}
            for name, found in self.spectra.items()
            for k, sigma in enumerate(found.sigma[:_SHOWN_DIRECTIONS])
            if sigma > 0
        ]
        return Chart(
            "line", rows, x="direction", y="share", color="matrix", y_scale="log", title="Singular values",
            y_label="part of the first", caption="Relative to the first of each matrix.",
        )  # fmt: skip


@checked
def memory_effect(spectra: Mapping[str, Spectrum]) -> MemoryEffect:
    """Set side by side how closely the first direction of several matrices follows popularity.

    Source: Lin et al., WSDM 2025, theorem 1 and the figures beside it.

    Parameters
    ----------
    spectra : mapping from name to Spectrum
        Such as the training data, models, data sets or dimensions, at least one; each with popularity.

    Examples
    --------
    >>> popularity = [30, 20, 10]
    >>> follows = ht.spectrum(np.ones((5, 1)), np.array([[3.0], [2.0], [1.0]]), popularity=popularity)
    >>> ignores = ht.spectrum(np.ones((5, 1)), np.array([[-1.0], [1.0], [1.0]]), popularity=popularity)
    >>> memory_effect({"follows": follows, "ignores": ignores}).to_polars()["cosine"].round(3).to_list()
    [1.0, 0.0]
    """
    if not spectra:
        raise InvalidInputError("spectra is empty; give at least one, such as {'MF': spectrum(queries, items, ...)}.")
    for name, found in spectra.items():
        if found.popularity is None:
            raise InvalidInputError(f"the spectrum of {name!r} has no popularity; make it with popularity=.")
    return MemoryEffect(dict(spectra))
