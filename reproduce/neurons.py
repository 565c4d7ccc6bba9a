"""PopSteer and its rivals: a trained recommender steered through a sparse autoencoder, beside simple corrections.

A cell is a backbone on a data set under a protocol, such as sasrec/ml-1m/leave-last. For each of three seeds the
backbone is trained, an autoencoder is trained on its frozen states, neurons are found, and every dial is swept: all
settings are measured on the validation part, to choose by, and on the test part. A cell that was stopped goes on.

    python reproduce/neurons.py sasrec/movietweetings/leave-last
    python reproduce/neurons.py sasrec/ml-1m/leave-last --dials allocation "tilt (alpha-fair)"    # a record of its own
    python reproduce/neurons.py --data ../shared/data      # all cells that are not done
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import cells
import comparisons
import numpy as np

from headtail import Interactions, Split, Vectors, load_model, losses, posthoc, save_model
from headtail.dials import CONTROLS, DIALS, Dial, dial
from headtail.metrics import (
    TopK,
    arp,
    coverage,
    gini,
    gini_by_rank,
    head_share,
    ilad,
    ndcg,
    pce,
    recall,
    tail_coverage,
    tail_exposure,
)
from headtail.models import LightGCN, SASRec
from headtail.sae import (
    Neurons,
    TopKSAE,
    contrast,
    find_neurons,
    fit_sae,
    load_sae,
    sae_quality,
    save_sae,
    stability,
    states,
)
from headtail.subjects import Subject
from headtail.tradeoffs import Frontier
from headtail.training import Recipe

K, SEEDS = 10, (0, 1, 2)
LOSSES = (0.005, 0.01)  # of NDCG; settings are tried finely for the first
CHANGED = ("ndcg@10", "gini@10", "coverage@10", "ilad@10", "arp@10", "pce@10")  # by what is chosen for those
EXCHANGED = ("gini@10", "arp@10", "pce@10")  # for so much
LEVELS = (("gini@10", 0.02), ("gini@10", 0.05), ("arp@10", 0.1))  # below the plain model's, as shares
CANDIDATES = 250  # of the re-ranker

CELLS = [
    *(f"sasrec/{name}/leave-last" for name in ("ml-1m", "movietweetings", "amazon-beauty", "ml-latest-small")),
    *(f"lightgcn/{name}/common" for name in ("ml-1m", "lastfm", "movietweetings", "amazon-beauty")),
]


def _shift(subject: Subject, strength: float, seed: int) -> Callable[[Interactions], Any]:
    """Return the one shift of all queries whose item biases come closest to a tilt's, up to a constant.

    It is what any constant shift, through an autoencoder or not, can do of a tilt.
    """
    vectors, train = subject.vectors(seed), subject.split.train
    options: dict[str, Any] = {"strength": strength, "k": subject.k, "seen": train, "welfare": "popularity"}
    bias = np.asarray(posthoc.tilt(*vectors, rng=seed, **options).items)[:, -1]
    basis = np.column_stack([vectors.items, np.ones(len(bias))])
    shift = np.linalg.lstsq(basis, bias, rcond=None)[0][:-1].astype(vectors.queries.dtype)

    def lists(known: Interactions) -> Any:
        queries, items = subject.vectors(seed, known)
        return subject.recommend(Vectors(queries + shift, items), known)

    return lists


SHIFT = Dial("tilt (popularity), as a shift", _shift, (0.0, 0.05, 0.1, 0.2, 0.4, 0.8))
STEERED = (*(each for each in DIALS if each.works_on == "model"), *CONTROLS)
RIVALS = (
    "allocation", "allocation, most hits", "tilt (alpha-fair)", "tilt (popularity)",
    "log penalty", "shrink", "IPR", "FA*IR", "PCT", "P-MMF", "calibrated popularity",
)  # fmt: skip
TURNED = (*STEERED, *map(dial, RIVALS), SHIFT)


@dataclass(frozen=True)
class Settings:
    """How a backbone and its autoencoder are trained; found on the validation part, without any correction."""

    backbone: Mapping[str, Any]
    autoencoder: Mapping[str, Any]


SASREC = {"max_length": 100, "embedding_dim": 64, "dropout": 0.2, "lr": 1e-3, "batch_size": 4096}
SPARSE = SASREC | {"max_length": 50, "dropout": 0.5}  # for short histories
LONG = {"expansion": 64, "k": 32, "batch_size": 1024, "epochs": 8}
SHORT = {"expansion": 16, "k": 32, "batch_size": 1024, "epochs": 40}
ITEMS = {"expansion": 8, "k": 16, "batch_size": 256, "epochs": 300, "patience": 20}  # of every model's item vectors
USERS = {"expansion": 16, "k": 32, "batch_size": 1024, "epochs": 300, "patience": 20}  # few vectors, one a user
SETTINGS = {
    "sasrec/ml-1m": Settings(SASREC, LONG),
    "sasrec/movietweetings": Settings(SPARSE, SHORT),
    "sasrec/amazon-beauty": Settings(SPARSE | {"batch_size": 1024, "lr": 2e-3, "patience": 10}, SHORT),
    "sasrec/ml-latest-small": Settings(SASREC | {"batch_size": 1024}, SHORT),
    "lightgcn/ml-1m": Settings({"lr": 1e-2, "weight_decay": 1e-7, "batch_size": 32768}, USERS),
    **{
        f"lightgcn/{name}": Settings({"lr": 1e-2, "weight_decay": 1e-7, "batch_size": 8192}, USERS)
        for name in ("lastfm", "movietweetings", "amazon-beauty")
    },
}
LAST_STRETCH = {"epochs": 2, "lr": 3e-4}  # of every autoencoder


class Steered(Subject):
    """A backbone with its autoencoder, each trained once for a seed and kept in a folder."""

    def __init__(self, backbone: str, settings: Settings, split: Split, work: Callable[[int], Path]) -> None:
        super().__init__(_recipe(backbone, settings), split, k=K, n_candidates=CANDIDATES)
        self.backbone, self.settings, self.work = backbone, settings, work
        self.plain, self.neurons = cache(self._trained), cache(self._taken_apart)  # type: ignore[method-assign]

    def with_autoencoder(self, autoencoder: Mapping[str, Any], work: Callable[[int], Path]) -> "Steered":
        """Return the same backbone with another autoencoder."""
        other = Steered(self.backbone, replace(self.settings, autoencoder=autoencoder), self.split, work)
        other.plain = self.plain  # type: ignore[method-assign]
        return other

    def _trained(self, seed: int = 0) -> Any:
        folder = self.work(seed) / "model"
        if not folder.exists():
            watched = {"validation": self.split.validation, "k": K, "checkpoint": self.work(seed) / "training"}
            save_model(self.source.train(self.split.train, seed, **watched), folder)
        return load_model(folder)

    def sae(self, seed: int, layer: str = "query", *, rng: int | None = None) -> TopKSAE:
        """Return the autoencoder of a backbone's layer; `rng` is its own seed, that of the backbone without it."""
        name = "autoencoder" if layer == "query" else f"autoencoder-{layer}"
        folder = self.work(seed) / (name if rng is None else f"{name}-rng-{rng}")
        if not folder.exists():
            rng = seed if rng is None else rng
            options = dict(self.settings.autoencoder if layer == "query" else ITEMS)
            learned = states(self.plain(seed), self.split.train, layer)
            sae = TopKSAE(learned.shape[1], options.pop("expansion"), options.pop("k"), rng=rng)
            checkpoint = folder.with_name(f"{folder.name}-training")
            fit_sae(sae, learned, start="given", rng=rng, checkpoint=checkpoint, progress=False, **options)
            fit_sae(sae, learned, rng=rng, progress=False, **(options | LAST_STRETCH))
            save_sae(sae, folder)
        return load_sae(folder)

    def _taken_apart(self, seed: int = 0, layer: str = "query") -> Neurons:
        found = contrast(self.plain(seed), self.split.train, layer, rng=seed)
        return find_neurons(self.sae(seed, layer), found, self.split.train, k=K, rng=seed)


def _recipe(backbone: str, settings: Settings) -> Recipe:
    """Return how a backbone is trained, but for the validation that stops it."""
    options = dict(settings.backbone)
    if backbone == "sasrec":
        shape = {key: options.pop(key) for key in ("max_length", "embedding_dim", "dropout")}
        usual: dict[str, Any] = {"loss": losses.sampled_softmax, "n_negatives": "all", "weight_decay": 0.0}
        return Recipe(SASRec, shape, usual | {"eval_every": 1, "epochs": 100} | options)
    return Recipe(LightGCN, {}, {"epochs": 600} | options)


def run(cell: str, data: Path, work: Path, dials: Sequence[Dial] = TURNED) -> dict[str, Any]:
    """Run a cell, or go on with it; return its record, with autoencoders only where all dials are swept."""
    backbone, name, protocol = cell.split("/")
    settings = SETTINGS[f"{backbone}/{name}"]
    split = cells.load(data, name, protocol)
    subject = Steered(backbone, settings, split, lambda seed: work / f"seed-{seed}")
    whole = dials is TURNED
    measured = metrics(subject.vectors(SEEDS[0]).items)
    frontier = cells.turned(dials, subject, work, finely=LOSSES[0], seeds=SEEDS, metrics=measured)
    two = [subject.sae(SEEDS[0]), subject.sae(SEEDS[0], rng=1000)] if whole else []
    return {
        **cells.about(split),
        "project_to": "niche",
        "equally_active": "together",
        "seeds": list(SEEDS),
        "settings": {"backbone": dict(settings.backbone), "autoencoder": dict(settings.autoencoder), "items": ITEMS},
        "autoencoders": [described(subject, seed) for seed in SEEDS] if whole else [],
        "stability": stability(two, subject.vectors(SEEDS[0], split.known).queries) if whole else None,
        "frontier": cells.compact(frontier),
        "compared": compared(frontier),
    }


def compared(frontier: Frontier) -> dict[str, Any]:
    """Return what the page compares."""
    changed, exchanged = ([name for name in names if name in frontier.points[0].test] for names in (CHANGED, EXCHANGED))
    return comparisons.compared(frontier, LEVELS, (*LOSSES, cells.MAX_LOSS), changed, exchanged)


def described(subject: Subject, seed: int) -> dict[str, Any]:
    """Return how good an autoencoder is on the test's queries, and what its neurons are like."""
    split, found = subject.split, subject.neurons(seed)
    vectors = subject.vectors(seed, split.known)
    quality = sae_quality(found.source.sae, vectors.queries, vectors=vectors, train=split.known, test=split.test)
    fires = found.firing_rate > 0
    measured = quality.to_dict()
    del measured["density"]  # one number a neuron
    return measured | {
        "neurons": len(found.cohens_d),
        "firing": int(fires.sum()),
        "large_d": float(np.mean(np.abs(found.cohens_d) > 0.8)),
        "popular": int((fires & (found.low > 0)).sum()),
        "niche": int((fires & (found.high < 0)).sum()),
    }


def metrics(item_vectors: np.ndarray) -> dict[str, Callable[[TopK], Any]]:
    """Return what is measured; distances within lists are those of one and the same item vectors."""
    usual = (ndcg, recall, gini, gini_by_rank, coverage, tail_coverage, arp, pce, head_share, tail_exposure)
    return {
        **{metric.__name__: metric for metric in usual},
        "coverage_5": partial(coverage, at_least=5),
        "ilad": lambda top: ilad(replace(top, item_vectors=item_vectors)),
        **{f"ndcg_{group}": partial(ndcg, group=group) for group in ("head", "mid", "tail")},
    }  # fmt: skip


if __name__ == "__main__":
    cells.main("popsteer", CELLS, run, __doc__, TURNED)
