"""PopSteer taken apart: which neurons, how many, what autoencoder, which rule.

A cell steers the backbone of the same cell of neurons.py, which it reads from the work folder or trains there. One part
is changed at a time, from the autoencoder and the rule used there; the dial of each variant is swept. For one seed of
the backbone, so that intervals are over the users.

    python reproduce/ablations.py sasrec/ml-1m/leave-last
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cells
import neurons
from neurons import SETTINGS, Steered

from headtail.dials import Dial, dial
from headtail.sae import steer
from headtail.subjects import Subject

CELLS = ["sasrec/ml-1m/leave-last", "lightgcn/lastfm/common"]
SEED = 0
RESAMPLES = 200  # of the users, for intervals


@dataclass(frozen=True)
class Variant:
    """What differs from the autoencoder and the steering of the main study."""

    autoencoder: Mapping[str, Any] = field(default_factory=dict)
    neurons: Mapping[str, Any] = field(default_factory=dict)
    steering: Mapping[str, Any] = field(default_factory=dict)
    alphas: tuple[float, ...] = dial("PopSteer").grid


VARIANTS = {
    "as in the study": Variant(),
    **{f"{n:,} neurons": Variant(neurons={"top": n}) for n in (16, 64, 256)},
    **{f"{n:,} neurons by effect": Variant(neurons={"top": n, "by": "effect"}) for n in (16, 64, 256)},
    **{f"|d| of at least {d:g}": Variant(neurons={"min_d": d}) for d in (0.8, 2.0)},
    "popular neurons alone": Variant(steering={"alpha_niche": 0.0}),
    "niche neurons alone": Variant(steering={"alpha_popular": 0.0}),
    "rule v1": Variant(steering={"variant": "v1"}),
    "rule damp": Variant(steering={"variant": "damp"}, alphas=(0.0, 0.1, 0.25, 0.5, 1.0, 2.0)),
    **{f"K = {k}": Variant(autoencoder={"k": k}) for k in (16, 64)},
    **{f"N = {n} d": Variant(autoencoder={"expansion": n}) for n in (4, 16, 64)},
}


def run(cell: str, data: Path, work: Path) -> dict[str, Any]:
    """Run a cell, or go on with it; return its record."""
    backbone, name, protocol = cell.split("/")
    base = SETTINGS[f"{backbone}/{name}"]
    split = cells.load(data, name, protocol)
    home = work.parents[3] / "popsteer" / cell / f"seed-{SEED}"
    study = Steered(backbone, base, split, lambda _: home)
    metrics = neurons.metrics(study.vectors(SEED).items)
    parts, measured = [], []
    for label, variant in VARIANTS.items():
        if any(base.autoencoder[key] == value for key, value in variant.autoencoder.items()):
            continue  # that of the study
        subject = study
        if variant.autoencoder:
            settings = {**base.autoencoder, **variant.autoencoder}
            subject = study.with_autoencoder(settings, lambda _, label=label: work / label)
        dial = Dial(label, partial(_steered, variant), variant.alphas, "model")
        parts.append(cells.turned([dial], subject, work, n_bootstrap=RESAMPLES, metrics=metrics, seeds=(SEED,)))
        sae = subject.neurons(SEED).source.sae
        measured.append({"variant": label, "k": sae.k, **neurons.described(subject, SEED)})
    return {
        "settings": {"backbone": dict(base.backbone), "autoencoder": dict(base.autoencoder)},
        "autoencoders": measured,
        "frontier": cells.compact(sum(parts[1:], start=parts[0])),
    }


def _steered(variant: Variant, subject: Subject, strength: float, seed: int) -> Any:
    """Return the model steered as a variant says."""
    table = subject.neurons(seed)
    sae = table.source.sae
    if variant.neurons.get("by") == "effect":
        table = table.with_effects(progress=False)
    if variant.neurons:
        table = table.select(**variant.neurons)
    options = {"alpha_popular": strength, "alpha_niche": strength, **variant.steering}
    return steer(subject.plain(seed), sae, table, **options)


if __name__ == "__main__":
    cells.main("ablation", CELLS, run, __doc__)
