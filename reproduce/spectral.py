"""ReSN and its rivals: what each gains in even exposure, and what it costs.

A cell is a backbone on a data set under a protocol, such as als/ml-1m/common. In each, the backbone is tuned on the
validation part without any correction. Then every method's dial is swept with several seeds, of which each draws the
split anew as well, and all settings are measured on the validation part, to choose by, and on the test part. A cell
that was stopped goes on where it was.

    python reproduce/spectral.py als/movietweetings/common
    python reproduce/spectral.py --data ../shared/data      # all cells that are not done
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cells
import comparisons

from headtail import MF, Interactions, PopularityGroups, Split, audit, fit, losses, recommend
from headtail.dials import DIALS, REFERENCES, Dial, dial
from headtail.dials.dial import next_by_ratio
from headtail.losses import inverse_propensity
from headtail.metrics import Metric, arp, coverage, gini, head_share, ndcg, recall, tail_exposure, tail_share
from headtail.models import ALS, LightGCN, XSimGCL
from headtail.subjects import Subject
from headtail.tradeoffs import Frontier
from headtail.training import Recipe

K, DIM = 20, 64
SEEDS, SEEDS_OF_LARGE = 5, 3
EVENER = (0.05, 0.1, 0.2)  # how far Gini is below the plain model's where methods are compared
HEAD = ("head_share@20", 0.2)  # and the share of the head

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


def _ips(clip: float) -> Dial:
    """Return IPS with another smallest propensity than its usual 0.1."""

    def make(subject: Subject, strength: float, seed: int) -> Any:
        weights = inverse_propensity(subject.split.train.popularity, power=strength, clip=clip)
        return subject.train(seed, item_weights=weights)

    return replace(dial("IPS"), name=f"IPS, clip {clip:g}", make=make)


def _then_allocation(name: str, inner: Sequence[Dial], swept: Frontier) -> Dial:
    """Return allocation on the model that these dials train at the setting most accurate on validation.

    Strength 0 is the plain model, as for all others.
    """
    first, at = comparisons.most_accurate(swept, [each.name for each in inner])
    each = next(each for each in inner if each.name == first)
    outer = dial("allocation")

    def make(subject: Subject, strength: float, seed: int) -> Any:
        trained = subject.cached((name, seed), lambda: Subject(each.at(subject, at, seed), subject.split, k=subject.k))
        return outer.at(trained, strength, seed)

    return replace(outer, name=comparisons.then_allocation(name), make=make, works_on="training")


POSTHOC = [each for each in DIALS if each.works_on in ("vectors", "lists")]
SOLVED = [dial("ReSN"), dial("IPS"), _ips(0.01), _ips(0.5), *POSTHOC]
IN_TRAINING = [each for each in DIALS if each.works_on == "training" and each.model is None]
TRAINED = [*IN_TRAINING, _ips(0.01), _ips(0.5), *POSTHOC]
LARGE = 500_000  # training pairs


@dataclass(frozen=True)
class Backbone:
    """A model with how it is trained and tuned; how many epochs is tuned with the rest, unless it is solved for.

    Attributes
    ----------
    model : class
    tuned : mapping
        Values to try of arguments of the model or of ``fit``.
    training : mapping
        Arguments of ``fit`` that differ from the model's usual ones.
    large : mapping
        What changes of these for large sets, where a batch costs much.
    dials : sequence of Dial
    """

    model: Any
    tuned: Mapping[str, Sequence[float]]
    training: Mapping[str, Any] = field(default_factory=dict)
    large: Mapping[str, Any] = field(default_factory=dict)
    dials: Sequence[Dial] = tuple(TRAINED)

    def recipe(self, train: Interactions, settings: Mapping[str, Any]) -> Recipe:
        """Return how the model is trained with settings."""
        of_model = ("unobserved_weight", "contrast_weight", *(("weight_decay",) if self.model is ALS else ()))
        sizes = {name: value for name, value in settings.items() if name in of_model}
        training = {name: value for name, value in settings.items() if name not in of_model}
        large = self.large if len(train) >= LARGE else {}
        return Recipe(self.model, {"embedding_dim": DIM, **sizes}, {**self.training, **large, **training})

    def tune(self, split: Split, settings: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        """Return the accuracy on validation with settings, and the settings with the best number of epochs."""
        recipe = self.recipe(split.train, settings)
        if self.model is ALS:
            return _accuracy(recipe.train(split.train, 0), split), settings
        model = self.model.for_data(split.train, rng=0, **recipe.sizes)
        stop: dict[str, Any] = {"validation": split.validation, "metric": ndcg, "k": K, "patience": 5}
        history = fit(model, split.train, rng=0, progress=False, **recipe.training, **stop)
        assert history.best_value is not None
        return history.best_value, settings | {"epochs": history.best_epoch}

    def grid(self, each: Dial, subject: Subject) -> tuple[float, ...]:
        """Return the strengths of a dial, in units that suit the model."""
        train = subject.split.train
        if each.name == "ReSN" and self.model is ALS:  # along popularity a squared score costs 1 + share times as much
            unit = subject.source.sizes["unobserved_weight"] * train.n_users / len(train)
            return tuple(float(f"{share * unit:.2g}") for share in (0, 0.03, 0.1, 0.3, 1, 3, 10, 30))
        if each.name.startswith("ReSN") and self.large and len(train) >= LARGE:
            return (0.0, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4)
        return each.grid


# Zerosum was published with BPR: on MF, whose loss is another, it begins with a backbone of that loss, tuned for it.
OWN: dict[tuple[str, str], Backbone] = {
    ("mf", "Zerosum"): Backbone(
        MF, {"lr": (1e-3, 5e-3), "weight_decay": (1e-6, 5e-6, 2e-5, 1e-4)}, {"loss": losses.bpr, "n_negatives": 4}
    )
}

# The squared loss makes MF's scores follow the data, popularity included; the graph models have BPR, as published.
BACKBONES: dict[str, Backbone] = {
    "als": Backbone(
        ALS,
        {
            "unobserved_weight": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
            "weight_decay": (0.001, 0.003, 0.01, 0.03, 0.1),
        },
        dials=SOLVED,
    ),
    "mf": Backbone(MF, {"weight_decay": (1e-6, 5e-6, 2e-5, 1e-4)}),
    "lightgcn": Backbone(
        LightGCN, {"weight_decay": (1e-8, 1e-7, 1e-6, 1e-5)}, {"epochs": 600}, large={"batch_size": 131_072, "lr": 2e-2}
    ),
    "xsimgcl": Backbone(
        XSimGCL,
        {"contrast_weight": (0.003, 0.01, 0.02, 0.05, 0.1)},
        {"epochs": 200},
        large={"batch_size": 131_072, "lr": 2e-1, "epochs": 60},
    ),
}


def run(cell: str, data: Path, work: Path) -> dict[str, Any]:
    """Run a cell, or go on with it; return its record."""
    backbone, name, protocol = cell.split("/")
    model, split = BACKBONES[backbone], cells.load(data, name, protocol)
    seeds = range(SEEDS_OF_LARGE if len(split.train) >= LARGE else SEEDS)
    splits = {seed: cells.load(data, name, protocol, seed) for seed in seeds}

    def subjects(of: Backbone, tuning: Sequence[Mapping[str, Any]]) -> dict[int, Subject]:
        return {seed: Subject(of.recipe(each.train, _best(tuning)), each, k=K) for seed, each in splits.items()}

    tuning = _tuning(model, split, work / "tuning.json")
    plain = subjects(model, tuning)
    own = {method: other for (of, method), other in OWN.items() if of == backbone}
    tunings = {method: _tuning(other, split, work / f"tuning {method}.json") for method, other in own.items()}

    parts = []
    for each in model.dials:
        of = subjects(own[each.name], tunings[each.name]) if each.name in own else plain
        dial = replace(each, grid=model.grid(each, of[0]))
        parts.append(cells.turned_over_splits(dial, of, work, _metrics))
    for name, members in comparisons.FIRST.items():
        if inner := [each for each in model.dials if each.name in members]:
            both = _then_allocation(name, inner, sum(parts[1:], start=parts[0]))
            parts.append(cells.turned_over_splits(both, plain, work, _metrics))
    popular, _ = REFERENCES
    parts.append(cells.turned_over_splits(popular, plain, work, _metrics))
    frontier = sum(parts[1:], start=parts[0])
    return {
        **cells.about(split),
        "splits": len(splits),
        "tuning": tuning,
        "settings": _best(tuning),
        "own": {method: {"tuning": rows, "settings": _best(rows)} for method, rows in tunings.items()},
        "frontier": cells.compact(frontier),
        "compared": compared(frontier),
    }


def compared(frontier: Frontier) -> dict[str, Any]:
    """Return what the page compares."""
    levels = [*((frontier.unfairness, share) for share in EVENER), HEAD]
    losses = (cells.MAX_LOSS, None)
    return comparisons.compared(frontier, levels, losses, (frontier.accuracy, frontier.unfairness, HEAD[0]))


def _best(tuning: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return dict(max(tuning, key=lambda row: row["ndcg"])["settings"])


def _tuning(model: Backbone, split: Split, file: Path) -> list[dict[str, Any]]:
    """Measure the backbone on the validation part at every point of its grid; rows are kept as they come.

    Where the best value of an argument is an end of its grid, the grid is extended for as long as that is better.
    """
    rows: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []

    def measure(settings: dict[str, Any]) -> None:
        if not any(settings.items() <= row["settings"].items() for row in rows):
            value, found = model.tune(split, settings)
            rows.append({"settings": found, "ndcg": value})
            cells.write(file, rows)

    for values in itertools.product(*model.tuned.values()):
        measure(dict(zip(model.tuned, values, strict=True)))
    for _ in range(cells.EXTENSIONS):
        best = {name: _best(rows)[name] for name in model.tuned}
        for name in model.tuned:
            if (beyond := _beyond(best[name], {row["settings"][name] for row in rows})) is not None:
                measure(best | {name: beyond})
    return rows


def _beyond(value: float, tried: set[float]) -> float | None:
    """Return the next value of a grid that goes up by ratios, or None if the value is none of its ends."""
    for end, before in (sorted(tried)[:2], sorted(tried)[:-3:-1]):
        if value == end:
            return next_by_ratio(before, end)
    return None


def _accuracy(model: Any, split: Split) -> float:
    assert split.validation is not None
    lists = recommend(model, split.train, k=K)
    return audit(lists, split.train, split.validation, k=K, metrics=[ndcg], n_bootstrap=0, strict=False)[f"ndcg@{K}"]


def _metrics(split: Split) -> dict[str, Metric]:
    """Return the usual metrics, and the exposure of five groups of equal interactions, the most popular first."""
    groups = PopularityGroups.equal_mass(split.train.popularity, n=5)
    exposure = {f"fifth_{i + 1}": lambda top, i=i: float(groups.shares(top.slots)[i]) for i in range(5)}
    usual = (ndcg, recall, gini, coverage, arp, head_share, tail_share, tail_exposure)
    return {metric.__name__: metric for metric in usual} | exposure


if __name__ == "__main__":
    cells.main("resn", CELLS, run, __doc__)
