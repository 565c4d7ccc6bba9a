"""ReSN and its rivals: what each gains in even exposure, and what it costs.

A cell is a backbone on a data set under a protocol, such as als/ml-1m/common. In each, the backbone is tuned on the
validation part without any correction. Then every method's dial is swept with three seeds, and all settings are
measured on the validation part, to choose by, and on the test part. A cell that was stopped goes on where it was.

    python reproduce/spectral.py als/movietweetings/common
    python reproduce/spectral.py --data ../shared/data      # all cells that are not done
"""

import copy
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import cells
import torch

from headtail import (
    MF,
    Interactions,
    PopularityGroups,
    ReSN,
    Split,
    Vectors,
    audit,
    baselines,
    fit,
    losses,
    recommend,
    vectors,
)  # fmt: skip
from headtail.losses import inverse_propensity
from headtail.metrics import Metric, arp, coverage, gini, head_share, ndcg, recall, tail_exposure, tail_share
from headtail.models import ALS, LightGCN, XSimGCL
from headtail.penalties import LogDet
from headtail.tradeoffs import sweep
from headtail.training import History

K, DIM, SEEDS = 20, 64, (0, 1, 2)
RESAMPLES = 200  # of the users, for intervals where there are no seeds

SETS = ("ml-1m", "lastfm", "movietweetings")
PROTOCOLS = ("common", "debiased")
CELLS = [
    *(f"als/{name}/{protocol}" for name in (*SETS, "amazon-beauty", "gowalla") for protocol in PROTOCOLS),
    "als/coat/uniform",
    *(
        cell
        for backbone in ("mf", "lightgcn", "xsimgcl")
        for cell in (*(f"{backbone}/{name}/{p}" for name in SETS for p in PROTOCOLS), f"{backbone}/coat/uniform")
    ),
]

RESN = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
FINE_TUNED, FINE_TUNING = "ReSN, fine-tuned", 0.25  # of the plain model's epochs, from there
CLIPS = {"IPS": 0.1, "IPS, clip 0.01": 0.01, "IPS, clip 0.5": 0.5}  # the smallest propensity
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
TRAINED = {
    "ReSN": RESN,
    FINE_TUNED: RESN,
    "LogDet": (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1),
    "Zerosum": (0.0, 0.01, 0.03, 0.1, 0.3, 0.6),
    **dict.fromkeys(CLIPS, POWERS),
}
SMALL = (0.0, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4)  # weights of ReSN for graph models on a large set
LARGE = 500_000  # training pairs
SOLVED = {"ReSN": (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0), **dict.fromkeys(CLIPS, (0.0, 0.1, 0.25, 0.5, 0.75, 1.0))}
POSTHOC = {
    "shrink": (1.0, 0.9, 0.8, 0.6, 0.4, 0.2, 0.0),
    "log penalty": (0.0, 0.05, 0.1, 0.2, 0.4, 0.8),
    "tilt (entropy)": (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0),
    "tilt (alpha-fair)": (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0),
    "tilt (popularity)": (0.0, 0.2, 0.4, 0.8, 1.6, 3.2),
}


class Solved:
    """ALS, whose vectors are solved for; ReSN and IPS have a closed form there, the other penalties have none."""

    tuned: Mapping[str, Sequence[float]] = {
        "unobserved_weight": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
        "weight_decay": (0.001, 0.003, 0.01, 0.03, 0.1),
    }

    def dials(self, train: Interactions) -> Mapping[str, Sequence[float]]:
        return SOLVED | POSTHOC

    def tune(self, split: Split, settings: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        return _accuracy(vectors(self.plain(split.train, settings, 0)), split), settings

    def plain(self, train: Interactions, settings: dict[str, Any], seed: int) -> ALS:
        return self._fit(train, settings, seed)

    def corrected(
        self, plain: ALS, train: Interactions, settings: dict[str, Any], method: str, dial: float, seed: int
    ) -> ALS:
        if method == "ReSN":  # along popularity a squared score costs 1 + dial times what it costs elsewhere
            unit = settings["unobserved_weight"] * train.n_users / len(train)
            return self._fit(train, settings, seed, penalties=[ReSN(dial * unit)])
        return self._fit(train, settings, seed, **_changes(method, dial, train))

    def _fit(self, train: Interactions, settings: dict[str, Any], seed: int, **options: Any) -> ALS:
        model = ALS(train.n_users, train.n_items, DIM, rng=seed, **settings)
        fit(model, train, progress=False, **options)
        return model


@dataclass(frozen=True)
class Stepped:
    """A backbone that gradient steps train; how many epochs is tuned with the rest."""

    make: Callable[[Interactions, dict[str, Any], int], torch.nn.Module]
    training: Mapping[str, Any]
    tuned: Mapping[str, Sequence[float]]
    large: Mapping[str, Any] = field(default_factory=dict)  # what changes for large sets, where a batch costs much

    def dials(self, train: Interactions) -> Mapping[str, Sequence[float]]:
        small = dict.fromkeys(("ReSN", FINE_TUNED), SMALL) if self.large and len(train) >= LARGE else {}
        return TRAINED | small | POSTHOC

    def tune(self, split: Split, settings: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        stop = {"validation": split.validation, "metric": ndcg, "k": K, "patience": 5}
        model = self.make(split.train, settings, 0)
        history = self._fit(model, split.train, settings | stop, 0)
        assert history.best_value is not None
        return history.best_value, settings | {"epochs": history.best_epoch}

    def plain(self, train: Interactions, settings: dict[str, Any], seed: int) -> torch.nn.Module:
        model = self.make(train, settings, seed)
        self._fit(model, train, settings, seed)
        return model

    def corrected(
        self, plain: torch.nn.Module, train: Interactions, settings: dict[str, Any], method: str, dial: float, seed: int
    ) -> torch.nn.Module:
        if method == FINE_TUNED:
            model, changes = copy.deepcopy(plain), {"penalties": [ReSN(dial)]}
            changes["epochs"] = math.ceil(FINE_TUNING * settings["epochs"])
        else:
            model, changes = self.make(train, settings, seed), _changes(method, dial, train)
        self._fit(model, train, settings | changes, seed)
        return model

    def _fit(self, model: torch.nn.Module, train: Interactions, settings: dict[str, Any], seed: int) -> History:
        options = {**self.training, **(self.large if len(train) >= LARGE else {}), **settings}
        options.pop("contrast_weight", None)  # the model's own
        return fit(model, train, rng=seed, progress=False, **options)


def _changes(method: str, dial: float, train: Interactions) -> dict[str, Any]:
    """Return what a method changes in the training."""
    if method in CLIPS:
        return {"item_weights": inverse_propensity(train.popularity, power=dial, clip=CLIPS[method])}
    if method == "Zerosum":
        return {"loss": partial(losses.zerosum, share=dial)}
    return {"penalties": [{"ReSN": ReSN, "LogDet": LogDet}[method](dial)]}


def _mf(train: Interactions, settings: dict[str, Any], seed: int) -> MF:
    return MF(train.n_users, train.n_items, DIM, rng=seed)


def _lightgcn(train: Interactions, settings: dict[str, Any], seed: int) -> LightGCN:
    return LightGCN(train, DIM, rng=seed)


def _xsimgcl(train: Interactions, settings: dict[str, Any], seed: int) -> XSimGCL:
    return XSimGCL(train, DIM, contrast_weight=settings["contrast_weight"], rng=seed)


# Zerosum was published with BPR: on MF, whose loss is another, it begins with a backbone of that loss, tuned for it.
OWN: dict[tuple[str, str], Stepped] = {
    ("mf", "Zerosum"): Stepped(
        _mf,
        {"loss": losses.bpr, "n_negatives": 4, "epochs": 60, "eval_every": 2},
        {"lr": (1e-3, 5e-3), "weight_decay": (1e-6, 5e-6, 2e-5, 1e-4)},
    )
}

# The squared loss makes MF's scores follow the data, popularity included; the graph models have BPR, as published.
BACKBONES: dict[str, Solved | Stepped] = {
    "als": Solved(),
    "mf": Stepped(
        _mf,
        {"loss": losses.mse, "n_negatives": 4, "lr": 5e-3, "epochs": 60, "eval_every": 2},
        {"weight_decay": (1e-6, 5e-6, 2e-5, 1e-4)},
    ),
    "lightgcn": Stepped(
        _lightgcn,
        {"loss": losses.bpr, "lr": 1e-2, "epochs": 600, "eval_every": 10},
        {"weight_decay": (1e-8, 1e-7, 1e-6, 1e-5)},
        large={"batch_size": 131_072, "lr": 2e-2},
    ),
    "xsimgcl": Stepped(
        _xsimgcl,
        {"loss": losses.bpr, "lr": 1e-2, "epochs": 200, "eval_every": 5, "weight_decay": 1e-7},
        {"contrast_weight": (0.003, 0.01, 0.02, 0.05, 0.1)},
        large={"batch_size": 131_072, "lr": 2e-1, "epochs": 60},
    ),
}


def run(cell: str, data: Path, work: Path) -> dict[str, Any]:
    """Run a cell, or go on with it; return its record."""
    backbone, name, protocol = cell.split("/")
    split = cells.load(data, name, protocol)
    base = Base(BACKBONES[backbone], split, work / "tuning.json")
    own = {
        method: Base(model, split, work / f"tuning {method}.json")
        for (of, method), model in OWN.items()
        if of == backbone
    }

    def make(method: str, dial: float, seed: int) -> Vectors:
        begun = own.get(method, base)
        if method in POSTHOC:
            return cells.correct(method, dial, begun.factors(seed), split.train, split.train.popularity, K)
        if not dial and method != FINE_TUNED:  # where 0 is as much more training without the penalty
            return begun.factors(seed)
        plain, settings = begun.plain(seed), begun.settings
        return vectors(begun.model.corrected(plain, split.train, settings, method, dial, seed))

    options: dict[str, Any] = {"k": K, "metrics": _metrics(split)}
    parts = [
        cells.extended(method, partial(make, method), dial, split, seeds=SEEDS, folder=work / method, **options)
        for method, dial in base.model.dials(split.train).items()
    ]
    options |= {"n_bootstrap": RESAMPLES, "folder": work / "most popular"}
    parts.append(sweep("most popular", lambda *_: _most_popular, ["-"], split, **options))
    return {
        "split": split.description,
        "sizes": {part: len(interactions) for part, interactions in split.parts.items()},
        "users": split.train.n_users,
        "items": split.train.n_items,
        "tuning": base.tuning,
        "settings": base.settings,
        "own": {method: {"tuning": begun.tuning, "settings": begun.settings} for method, begun in own.items()},
        "frontier": cells.compact(sum(parts[1:], start=parts[0])),
    }


class Base:
    """A backbone on a split, tuned without any correction, and trained once for each seed."""

    def __init__(self, model: Solved | Stepped, split: Split, file: Path) -> None:
        self.model, self.split = model, split
        self.tuning = _tuning(model, split, file)
        self.settings: dict[str, Any] = max(self.tuning, key=lambda row: row["ndcg"])["settings"]
        self.plain, self.factors = cache(self._plain), cache(self._factors)

    def _plain(self, seed: int) -> Any:
        return self.model.plain(self.split.train, self.settings, seed)

    def _factors(self, seed: int) -> Vectors:
        return vectors(self.plain(seed))


def _tuning(model: Solved | Stepped, split: Split, file: Path) -> list[dict[str, Any]]:
    """Measure the backbone on the validation part at every point of its grid; rows are kept as they come."""
    rows: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    for values in list(itertools.product(*model.tuned.values()))[len(rows) :]:
        value, settings = model.tune(split, dict(zip(model.tuned, values, strict=True)))
        rows.append({"settings": settings, "ndcg": value})
        cells.write(file, rows)
    return rows


def _accuracy(factors: Vectors, split: Split) -> float:
    assert split.validation is not None
    lists = recommend(factors, split.train, k=K)
    return audit(lists, split.train, split.validation, k=K, metrics=[ndcg], n_bootstrap=0, strict=False)[f"ndcg@{K}"]


def _metrics(split: Split) -> dict[str, Metric]:
    """Return the usual metrics, and the exposure of five groups of equal interactions, the most popular first."""
    groups = PopularityGroups.equal_mass(split.train.popularity, n=5)
    exposure = {f"fifth_{i + 1}": lambda top, i=i: float(groups.shares(top.slots)[i]) for i in range(5)}
    usual = (ndcg, recall, gini, coverage, arp, head_share, tail_share, tail_exposure)
    return {metric.__name__: metric for metric in usual} | exposure


def _most_popular(seen: Interactions) -> Any:
    return baselines.most_popular(seen, K)


if __name__ == "__main__":
    cells.main("resn", CELLS, run, __doc__)
