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
from neurons import ALPHAS, DAMPED, SETTINGS, K, Trained

from headtail import Interactions, Recommendations, Vectors, recommend
from headtail.sae import Neurons, steer

CELLS = ["sasrec/ml-1m/leave-last", "lightgcn/lastfm/common"]
SEED = 0
RESAMPLES = 200  # of the users, for intervals


@dataclass(frozen=True)
class Variant:
    """What differs from the autoencoder and the steering of the main study."""

    autoencoder: Mapping[str, Any] = field(default_factory=dict)
    neurons: Mapping[str, Any] = field(default_factory=dict)
    steering: Mapping[str, Any] = field(default_factory=dict)
    alphas: tuple[float, ...] = ALPHAS


VARIANTS = {
    "as in the study": Variant(),
    **{f"{n:,} neurons": Variant(neurons={"top": n}) for n in (16, 64, 256)},
    **{f"{n:,} neurons by effect": Variant(neurons={"top": n, "by": "effect"}) for n in (16, 64, 256)},
    **{f"|d| of at least {d:g}": Variant(neurons={"min_d": d}) for d in (0.8, 2.0)},
    "popular neurons alone": Variant(steering={"alpha_niche": 0.0}),
    "niche neurons alone": Variant(steering={"alpha_popular": 0.0}),
    "rule v1": Variant(steering={"variant": "v1"}),
    "rule damp": Variant(steering={"variant": "damp"}, alphas=DAMPED),
    **{f"K = {k}": Variant(autoencoder={"k": k}) for k in (16, 64)},
    **{f"N = {n} d": Variant(autoencoder={"expansion": n}) for n in (4, 16, 64)},
}


def run(cell: str, data: Path, work: Path) -> dict[str, Any]:
    """Run a cell, or go on with it; return its record."""
    backbone, name, protocol = cell.split("/")
    base = SETTINGS[f"{backbone}/{name}"]
    split = cells.load(data, name, protocol)
    home = work.parents[3] / "popsteer" / cell / f"seed-{SEED}"
    study = neurons.train(backbone, base, split, SEED, home)
    options: dict[str, Any] = {"k": K, "metrics": neurons.metrics(study.factors[split.train.fingerprint].items.numpy())}
    parts, measured = [], []
    for label, variant in VARIANTS.items():
        if any(base.autoencoder[key] == value for key, value in variant.autoencoder.items()):
            continue  # that of the study
        trained = study
        if variant.autoencoder:
            settings = {**base.autoencoder, **variant.autoencoder}
            trained = neurons.taken_apart(study.model, settings, split, SEED, work / label)
        make, folder = partial(_make, variant, trained, _chosen(variant, trained)), work / label / "points"
        parts.append(
            cells.extended(label, make, variant.alphas, split, n_bootstrap=RESAMPLES, folder=folder, **options)
        )
        measured.append({"variant": label, "k": trained.sae.k, **neurons.described(trained)})
    return {
        "settings": {"backbone": dict(base.backbone), "autoencoder": dict(base.autoencoder)},
        "autoencoders": measured,
        "frontier": cells.compact(sum(parts[1:], start=parts[0])),
    }


def _chosen(variant: Variant, trained: Trained) -> Neurons:
    """Return the neurons that a variant steers."""
    table = trained.neurons
    if variant.neurons.get("by") == "effect":
        table = table.with_effects(progress=False)
    return table.select(**variant.neurons) if variant.neurons else table


def _make(variant: Variant, trained: Trained, table: Neurons, alpha: Any, seed: int) -> Any:
    options = {"alpha_popular": float(alpha), "alpha_niche": float(alpha), **variant.steering}
    edit = steer(trained.model, trained.sae, table, **options).edit

    def lists(seen: Interactions) -> Recommendations:
        queries, items = trained.factors[seen.fingerprint]
        return recommend(Vectors(neurons.edited(edit, queries), items), seen, k=K)

    return lists


if __name__ == "__main__":
    cells.main("ablation", CELLS, run, __doc__)
