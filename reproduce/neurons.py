"""PopSteer and its rivals: a trained recommender steered through a sparse autoencoder, beside simple corrections.

A cell is a backbone on a data set under a protocol, such as sasrec/ml-1m/leave-last. For each of three seeds the
backbone is trained, an autoencoder is trained on its frozen states, neurons are found, and every dial is swept: all
settings are measured on the validation part, to choose by, and on the test part. A cell that was stopped goes on.

    python reproduce/neurons.py sasrec/movietweetings/leave-last
    python reproduce/neurons.py --data ../shared/data      # all cells that are not done
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import cells
import numpy as np
import torch

from headtail import (
    Interactions,
    Recommendations,
    Split,
    Vectors,
    fit,
    load_model,
    losses,
    recommend,
    rerank,
    save_model,
    vectors,
)
from headtail.metrics import TopK, arp, coverage, gini, head_share, ilad, ndcg, recall, tail_coverage, tail_exposure
from headtail.models import LightGCN, SASRec
from headtail.sae import (
    Contrast,
    Neurons,
    TopKSAE,
    contrast,
    find_neurons,
    fit_sae,
    load_sae,
    personal_strength,
    sae_quality,
    save_sae,
    stability,
    states,
    steer,
    steer_direction,
    steer_noise,
    steer_random,
)  # fmt: skip

K, SEEDS = 10, (0, 1, 2)
CANDIDATES = 250  # of the re-ranker

CELLS = [
    *(f"sasrec/{name}/leave-last" for name in ("ml-1m", "movietweetings", "amazon-beauty")),
    *(f"lightgcn/{name}/common" for name in ("ml-1m", "lastfm")),
]

ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)
DAMPED = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
DIALS: dict[str, tuple[float, ...]] = {
    "PopSteer": ALPHAS,
    "PopSteer, error dropped": ALPHAS,
    "PopSteer v1, error dropped": (0.0, 0.1, 0.25, 0.5, 1.0, 1.5),
    "PopSteer, damped": DAMPED,
    "PopSteer, by user": ALPHAS,
    "PopSteer, damped by user": DAMPED,
    "random neurons": (0.0, 0.3, 0.75, 1.5),
    "reversed": (0.0, -0.3, -0.75, -1.5),
    "noise": (0.0, 0.3, 0.75, 1.5),
    "dense shift": (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6),
    "dense projection": (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0),
    "IPR": (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0),
    "log penalty": (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6),
    "shrink": (1.0, 0.97, 0.94, 0.9, 0.8, 0.6, 0.4),
    "tilt (entropy)": (0.0, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8),
    "tilt (alpha-fair)": (0.0, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8),
    "tilt (popularity)": (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2),
    "tilt (popularity), as a shift": (0.0, 0.05, 0.1, 0.2, 0.4, 0.8),
}


@dataclass(frozen=True)
class Settings:
    """How a backbone and its autoencoder are trained; found on the validation part, without any correction."""

    backbone: Mapping[str, Any]
    autoencoder: Mapping[str, Any]


SASREC = {"max_length": 100, "embedding_dim": 64, "dropout": 0.2, "lr": 1e-3, "batch_size": 4096}
SPARSE = SASREC | {"max_length": 50, "dropout": 0.5}  # for short histories
LONG = {"expansion": 64, "k": 32, "batch_size": 1024, "epochs": 8}
SHORT = {"expansion": 16, "k": 32, "batch_size": 1024, "epochs": 40}
USERS = {"expansion": 16, "k": 32, "batch_size": 1024, "epochs": 300, "patience": 20}  # few vectors, one a user
SETTINGS = {
    "sasrec/ml-1m": Settings(SASREC, LONG),
    "sasrec/movietweetings": Settings(SPARSE, SHORT),
    "sasrec/amazon-beauty": Settings(SPARSE | {"batch_size": 1024, "lr": 2e-3}, SHORT),
    "lightgcn/ml-1m": Settings({"lr": 1e-2, "weight_decay": 1e-7, "batch_size": 32768}, USERS),
    "lightgcn/lastfm": Settings({"lr": 1e-2, "weight_decay": 1e-7, "batch_size": 8192}, USERS),
}
LAST_STRETCH = {"epochs": 2, "lr": 3e-4}  # of every autoencoder


@dataclass(frozen=True)
class Trained:
    """All that one seed leads to: the backbone, its autoencoder, and the neurons in it."""

    model: torch.nn.Module
    sae: TopKSAE
    contrast: Contrast
    neurons: Neurons
    split: Split

    @cached_property
    def factors(self) -> dict[str, Vectors]:
        """Queries and items where the training part is known, and where the validation part is too."""
        split = self.split
        return {seen.fingerprint: vectors(self.model, interactions=seen) for seen in (split.train, split.known)}


def run(cell: str, data: Path, work: Path) -> dict[str, Any]:
    """Run a cell, or go on with it; return its record."""
    backbone, name, protocol = cell.split("/")
    settings = SETTINGS[f"{backbone}/{name}"]
    split = cells.load(data, name, protocol)
    seeds = {seed: train(backbone, settings, split, seed, work / f"seed-{seed}") for seed in SEEDS}
    options: dict[str, Any] = {"k": K, "metrics": metrics(seeds[0].factors[split.train.fingerprint].items.numpy())}
    parts = [
        cells.extended(
            method, partial(_make, method, seeds), dial, split,
            seeds=SEEDS, folder=work / method, **options,
        )
        for method, dial in DIALS.items()
    ]  # fmt: skip
    return {
        "split": split.description,
        "project_to": "niche",
        "sizes": {part: len(interactions) for part, interactions in split.parts.items()},
        "users": split.train.n_users,
        "items": split.train.n_items,
        "settings": {"backbone": dict(settings.backbone), "autoencoder": dict(settings.autoencoder)},
        "autoencoders": [described(trained) for trained in seeds.values()],
        "stability": stability([trained.sae for trained in seeds.values()]),
        "frontier": cells.compact(sum(parts[1:], start=parts[0])),
    }


def train(backbone: str, settings: Settings, split: Split, seed: int, work: Path) -> Trained:
    """Train a backbone and its autoencoder, or read those that are there, and find the neurons."""
    if not (work / "model").exists():
        save_model(_backbone(backbone, dict(settings.backbone), split, seed, work / "training"), work / "model")
    return taken_apart(load_model(work / "model"), settings.autoencoder, split, seed, work)


def taken_apart(model: torch.nn.Module, autoencoder: Mapping[str, Any], split: Split, seed: int, work: Path) -> Trained:
    """Train an autoencoder on a trained model's states, or read the one that is there, and find the neurons."""
    if not (work / "autoencoder").exists():
        options = dict(autoencoder)
        learned = states(model, split.train)
        sae = TopKSAE(learned.shape[1], options.pop("expansion"), options.pop("k"), rng=seed)
        fit_sae(sae, learned, rng=seed, checkpoint=work / "autoencoder-training", progress=False, **options)
        fit_sae(sae, learned, rng=seed, progress=False, **(options | LAST_STRETCH))
        save_sae(sae, work / "autoencoder")
    sae = load_sae(work / "autoencoder")
    seen = contrast(model, split.train, rng=seed)
    return Trained(model, sae, seen, find_neurons(sae, seen, split.train, k=K, rng=seed), split)


def _backbone(name: str, settings: dict[str, Any], split: Split, seed: int, work: Path) -> torch.nn.Module:
    options: dict[str, Any] = {"validation": split.validation, "k": K, "checkpoint": work, "rng": seed}
    if name == "sasrec":
        shape = {key: settings.pop(key) for key in ("max_length", "embedding_dim", "dropout")}
        model: torch.nn.Module = SASRec(split.train.n_items, **shape, rng=seed)
        options |= {"loss": losses.sampled_softmax, "n_negatives": "all", "weight_decay": 0.0, "eval_every": 1}
        options |= {"epochs": 100, "patience": 5}
    else:
        model = LightGCN(split.train, rng=seed)
        options |= {"loss": losses.bpr, "epochs": 600, "eval_every": 10, "patience": 5}
    fit(model, split.train, progress=False, **options, **settings)
    return model


def described(trained: Trained) -> dict[str, Any]:
    """Return how good an autoencoder is on the test's queries, and what its neurons are like."""
    split, d = trained.split, trained.neurons.cohens_d
    queries, items = trained.factors[split.known.fingerprint]
    quality = sae_quality(trained.sae, queries, vectors=(queries, items), train=split.known, test=split.test)
    fires = trained.neurons.firing_rate > 0
    measured = quality.to_dict()
    del measured["density"]  # one number a neuron
    return measured | {
        "neurons": len(d),
        "firing": int(fires.sum()),
        "large_d": float(np.mean(np.abs(d) > 0.8)),
        "popular": int((fires & (trained.neurons.low > 0)).sum()),
        "niche": int((fires & (trained.neurons.high < 0)).sum()),
    }


def metrics(item_vectors: np.ndarray) -> dict[str, Callable[[TopK], Any]]:
    """Return what is measured; distances within lists are those of one and the same item vectors."""
    usual = (ndcg, recall, gini, coverage, tail_coverage, arp, head_share, tail_exposure)
    return {
        **{metric.__name__: metric for metric in usual},
        "coverage_5": partial(coverage, at_least=5),
        "ilad": lambda top: ilad(replace(top, item_vectors=item_vectors)),
        **{f"ndcg_{group}": partial(ndcg, group=group) for group in ("head", "mid", "tail")},
    }  # fmt: skip


def _make(method: str, seeds: Mapping[int, Trained], dial: Any, seed: int) -> Callable[[Interactions], Recommendations]:
    """Return a method at a setting as a function from what is known of the users to their lists."""
    trained = seeds[seed]
    correct = _correction(method, float(dial), trained)

    def lists(seen: Interactions) -> Recommendations:
        corrected = correct(trained.factors[seen.fingerprint], seen)
        if method == "IPR":
            candidates = recommend(corrected, seen, k=CANDIDATES)
            return rerank.ipr(candidates, trained.split.train.popularity, strength=dial, k=K)
        return recommend(corrected, seen, k=K)

    return lists


def _correction(method: str, dial: float, trained: Trained) -> Callable[[Vectors, Interactions], Vectors]:
    """Return what a method does to the factors.

    A steered model's queries are its model's queries after the edit: these are taken, so that a history passes through
    the model once and not for every setting.
    """
    model, sae, neurons, found = trained.model, trained.sae, trained.neurons, trained.contrast
    v2 = partial(steer, model, sae, neurons, alpha_popular=dial, alpha_niche=dial)
    steered: dict[str, Callable[[], torch.nn.Module]] = {
        "PopSteer": v2,
        "PopSteer, error dropped": lambda: v2(keep_error=False),
        "PopSteer v1, error dropped": lambda: v2(variant="v1", keep_error=False),
        "PopSteer, damped": lambda: v2(variant="damp"),
        "PopSteer, by user": lambda: v2(strength=personal_strength(found, trained.split.train, k=K)),
        "PopSteer, damped by user": lambda: v2(
            variant="damp", strength=personal_strength(found, trained.split.train, k=K)
        ),
        "random neurons": lambda: steer_random(model, sae, neurons, dial),
        "reversed": v2,
        "noise": lambda: steer_noise(model, sae, neurons, dial),
        "dense shift": lambda: steer_direction(model, found, dial),
        "dense projection": lambda: steer_direction(model, found, dial, "project"),
    }
    if method in steered:
        edit = steered[method]().edit
        return lambda factors, _: Vectors(edited(edit, factors.queries), factors.items)
    if method == "IPR":  # which re-ranks the plain lists
        return lambda factors, _: factors
    popularity = trained.split.train.popularity
    if method == "tilt (popularity), as a shift":
        return lambda factors, seen: _as_shift(
            cells.correct("tilt (popularity)", dial, factors, seen, popularity, K), factors
        )
    return lambda factors, seen: cells.correct(method, dial, factors, seen, popularity, K)


def _as_shift(tilted: Vectors, factors: Vectors) -> Vectors:
    """Return the one shift of all queries whose item biases come closest to a tilt's, up to a constant.

    It is what any constant shift, through an autoencoder or not, can do of a tilt.
    """
    queries, items = factors
    if tilted is factors:
        return factors
    bias = np.asarray(tilted.items)[:, -1]
    basis = np.column_stack([items.numpy(), np.ones(len(items))])
    shift = np.linalg.lstsq(basis, bias, rcond=None)[0][:-1]
    return Vectors(queries + torch.from_numpy(shift).to(queries), items)


@torch.no_grad()
def edited(edit: torch.nn.Module, queries: torch.Tensor) -> torch.Tensor:
    """Return queries after an edit."""
    return torch.cat([edit(block) for block in queries.split(1024)])


if __name__ == "__main__":
    cells.main("popsteer", CELLS, run, __doc__)
