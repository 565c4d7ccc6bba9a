"""How spectra are laid out as reports."""

from typing import TYPE_CHECKING

import numpy as np

from headtail.reports import Block, Chart, Column, Figure, Figures, Report, Section, Table, Text
from headtail.spectral.bounds import PowerLaw
from headtail.typing import Array, Floats

if TYPE_CHECKING:
    from headtail.spectral.decomposition import Spectrum

_SHOWN_RANKS = 150
_SHOWN_DIRECTIONS = 20


def spectrum_page(found: "Spectrum") -> Report:
    """Return the report of one spectrum."""
    share, n = found.energy[0], len(found.sigma)
    lede = f"The strongest of {n} directions carries {share:.1%} of the energy"
    if found.alignment is not None and found.rank:
        lede += f", and it follows popularity with a cosine of {found.alignment[0]:.3f}"
    return Report("Spectrum", _blocks(found), lede + ".")


def _blocks(found: "Spectrum") -> list[Block]:
    rows = found._rows()
    numbers = [
        Figure("Energy of the first direction", float(found.energy[0]), format=".1%", note="of all squared scores"),
        Figure("Singular values above zero", found.rank, format="d"),
    ]
    if found.alignment is not None and found.rank:
        note = "cosine, 1 = the first direction is popularity itself"
        numbers.insert(1, Figure("Popularity in the first direction", float(found.alignment[0]), note=note))
    about = (
        "The scores are a sum of directions. Each has a *singular value* (its strength), a pattern over users and a "
        "pattern over items. Its *energy* is its share in the sum of all squared scores. Its *alignment* is the cosine "
        "between its pattern over items and the number of training interactions of each item: 1 means that the "
        "direction orders items by popularity and nothing else, 0 that it ignores popularity. Where the first "
        "direction has most of the energy and an alignment near 1, the model mostly repeats popularity to everyone."
    )
    positive = [row for row in rows if row["sigma"]]
    blocks: list[Block] = [
        Text(about),
        Figures(numbers),
        Chart(
            kind="line", rows=positive, x="direction", y="sigma", y_scale="log", title="Strength of the directions",
            x_label="direction", y_label="singular value",
        ),
    ]  # fmt: skip
    columns = [
        Column("direction", "Direction"),
        Column("sigma", "Singular value", format=".4g"),
        Column("energy", "Energy", format=".1%", note="share in the sum of all squared scores"),
    ]
    if found.alignment is not None:
        blocks.append(
            Chart(
                kind="bar", rows=positive[:_SHOWN_DIRECTIONS], x="direction", y="alignment", y_format=".2f",
                title="Alignment of the first directions with popularity",
                x_label="direction", y_label="cosine with popularity",
            )
        )  # fmt: skip
        columns.append(
            Column("alignment", "Alignment", format=".3f", note="cosine with popularity without its sign, 0 to 1")
        )
    shown = rows[:10]
    blocks.append(Table(columns=columns, rows=shown, title=f"The first {len(shown)} of {len(rows)} directions"))
    if found.power_law is not None:
        blocks.append(Section("How unequal popularity is", _power_law_blocks(found, found.power_law)))
    if found.bound is not None:
        blocks.append(Section("What theory says about the first direction", [Text(_bounds_text(found))]))
    return blocks


def _power_law_blocks(found: "Spectrum", law: PowerLaw) -> list[Block]:
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
    zero = f"; {law.n_zero:,} items without interactions are left out" if law.n_zero else ""
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


def _bounds_text(found: "Spectrum") -> str:
    names = {
        "for any distribution of popularity": found.bound,
        "for an exact power law with the fitted exponent": found.bound_power_law,
    }
    meaning = {
        "vacuous": "vacuous: the theorem says nothing here, and the measured cosine stands on its own",
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
