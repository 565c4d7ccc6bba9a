"""What neurons know of genres, and what "more of a genre" costs: a record, for the tables of docs/explain.md.

MF, LightGCN and SASRec on MovieTweetings and MovieLens-1M, and SASRec with the order of each user's ratings drawn at
random; three trainings of each. Every seed has a folder of its own for its work, from which a stopped run goes on, so
that seeds can run side by side:

    python reproduce/tags.py --data ../shared/data --seed 0
    python reproduce/tags.py --data ../shared/data --seed 1
    python reproduce/tags.py --data ../shared/data --seed 2
    python reproduce/tags.py --data ../shared/data
    python reproduce/tables.py

The fourth joins them into the record, and runs what is not there yet.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import cells
import numpy as np
import polars as pl
import torch

from headtail import Interactions, Recommendations, Split, load_model, losses, recommend, save_model, split_leave_last
from headtail.dials import Dial
from headtail.exceptions import InvalidInputError
from headtail.metrics import TopK, gini, ndcg
from headtail.models import MF, LightGCN, SASRec
from headtail.sae import Concepts, find_concepts, steer_tag
from headtail.sae.tags import place_of, read_tags
from headtail.subjects import AUTOENCODER, Subject
from headtail.tradeoffs import Frontier, sweep
from headtail.tradeoffs.points import Reading, combined, summary
from headtail.training import Recipe

RECORD = cells.RECORDS / "tags.json"
TAGS, STRENGTHS, K = ("Documentary", "Animation", "Horror"), (0.0, 1.0, 2.0, 4.0), 10
SEEDS = (0, 1, 2)
SHOWN = ("1", "2")  # strengths, in the table
SHUFFLED = "SASRec, order drawn at random"

GRAPH = {"lr": 1e-2, "weight_decay": 1e-7}
SEQUENCES = {"loss": losses.sampled_softmax, "n_negatives": "all", "weight_decay": 0.0, "lr": 2e-3, "eval_every": 1}
LONG = Recipe(
    SASRec, {"max_length": 50, "embedding_dim": 64, "dropout": 0.2}, SEQUENCES | {"batch_size": 8192, "epochs": 8}
)
RECIPES = {
    ("MovieTweetings", "MF"): Recipe(MF),
    ("MovieTweetings", "LightGCN"): Recipe(LightGCN, {}, GRAPH | {"batch_size": 8192, "epochs": 80}),
    ("MovieTweetings", "SASRec"): Recipe(
        SASRec, {"max_length": 50, "embedding_dim": 64, "dropout": 0.5}, SEQUENCES | {"batch_size": 4096, "epochs": 20}
    ),
    ("MovieLens-1M", "MF"): Recipe(MF, {}, {"epochs": 30}),
    ("MovieLens-1M", "LightGCN"): Recipe(LightGCN, {}, GRAPH | {"batch_size": 32768, "epochs": 40}),
    ("MovieLens-1M", "SASRec"): LONG,
    ("MovieLens-1M", SHUFFLED): LONG,
}
FOLDERS = {"MovieTweetings": "movietweetings", "MovieLens-1M": "ml-1m"}


def split_of(data: Path, name: str, model: str) -> Split:
    """Return the last interactions of each user held out for SASRec, random ones for the others."""
    if model != SHUFFLED:
        return cells.load(data, FOLDERS[name], "leave-last" if model == "SASRec" else "common")
    rows = cells.frame(data, FOLDERS[name]).select("user_id", "item_id")
    rows = rows.with_columns(drawn=pl.Series(np.random.default_rng(0).random(len(rows))))
    rows = rows.with_columns(order=pl.col("drawn").rank("ordinal").over("user_id")).drop("drawn")
    return split_leave_last(Interactions.from_frame(rows, k_core=5))


def trained(split: Split, recipe: Recipe, folder: Path, seed: int) -> Any:
    """Return the model of a folder, trained if there is none."""
    if not folder.exists():
        save_model(recipe.train(split.train, seed, validation=split.validation, k=K), folder)
    return load_model(folder)


def alike(split: Split, tags: pl.DataFrame) -> dict[str, float]:
    """Return how often a user's next item shares a tag with the one before, and how often any two of theirs do."""
    has = read_tags(tags, split.train, min_items=1).has
    order = np.lexsort(
        (split.train.order if split.train.order is not None else split.train.timestamps, split.train.users)
    )
    drawn = np.lexsort((np.random.default_rng(0).random(len(order)), split.train.users))
    found = {}
    for name, rows in (("next", order), ("any", drawn)):
        users, items = split.train.users[rows], split.train.items[rows]
        same = users[1:] == users[:-1]
        found[name] = float((has[items[1:][same]] & has[items[:-1][same]]).any(axis=1).mean())
    return found


def known(concepts: Concepts) -> dict[str, Any]:
    """Return how well neurons tell tags, at the median of the tags."""
    names = ("best_auc", "random_auc", "dimension_auc", "probe_auc")
    medians = {name: float(np.median(getattr(concepts, name))) for name in names}
    popularity = concepts.neurons.source.known.popularity
    return medians | {
        "tags": len(concepts.tags),
        "ahead": int((concepts.best_auc > concepts.random_auc).sum()),
        "firing": int((concepts.neurons.firing_rate > 0).sum()),
        "interactions": float(np.median(popularity[popularity > 0])),
        "of_popularity": float(np.median(concepts.of_popularity)),
        "of_tags": float(np.median(concepts.of_tags)),
        "each": {tag: [float(auc[t]) for auc in (concepts.best_auc, concepts.low, concepts.high)]
                 for t, tag in enumerate(concepts.tags)},
    }  # fmt: skip


def share(top: TopK, *, has: Any) -> Any:
    """Return the share of each list that has a tag."""
    return top.mean(has)


def turned(subject: Subject, concepts: Callable[[], Concepts], tag: str, has: Any, seed: int, work: Path) -> Frontier:
    """Return what more of a tag changes at each strength; the histories of users are encoded once for all strengths."""

    def at(subject: Subject, strength: float, seed: int) -> Callable[[Interactions], Recommendations]:
        edit: Callable[[Any], Any] = torch.nn.Identity()
        if strength:
            try:
                edit = steer_tag(subject.plain(seed), concepts(), tag, strength).edit
            except InvalidInputError as error:  # no push shows more: lists stay as they are
                print(f"seed {seed}, {tag}: {error}", flush=True)

        def lists(known: Interactions) -> Recommendations:
            plain = subject.vectors(seed, known)
            with torch.no_grad():
                queries = edit(torch.from_numpy(plain.queries)).numpy()
            return recommend(plain._replace(queries=queries), known, k=subject.k)

        return lists

    dial = Dial(f"more {tag}", at, STRENGTHS, "model", off_at_zero=False)
    metrics = {"ndcg": ndcg, "gini": gini, "share": partial(share, has=has)}
    return sweep(dial, subject, seeds=(seed,), metrics=metrics, folder=work, identity=tag, progress=False)


def steered(tag: str, frontier: Frontier) -> dict[str, Any]:
    """Return a tag's share of the places, and what more of it changes at each strength, on the test."""
    name, share_at = f"more {tag}", f"share@{K}"

    def reading(strength: float, seed: int) -> Reading:
        (point,) = (each for each in frontier.points if (each.setting, each.seed) == (strength, seed))
        return Reading(point.test[share_at], frontier.influences[name, strength, seed, "test"][share_at])

    def more(strength: float, seed: int) -> Reading:
        after, before = reading(strength, seed), reading(STRENGTHS[0], seed)
        return combined(after.value - before.value, [(1, after), (-1, before)])

    changes = {
        f"{strength:g}": {
            "share": summary([more(strength, seed) for seed in frontier.seeds(name)]),
            **{m: frontier.estimate(name, strength, f"{m}@{K}", relative=True) for m in ("ndcg", "gini")},
        }
        for strength in STRENGTHS[1:]
    }
    return {"tag": tag, "share": frontier.mean(name, STRENGTHS[0], share_at), "changes": changes}


def studied(
    split: Split, recipe: Recipe, tags: pl.DataFrame, epochs: int, asked: Sequence[str], seed: int, work: Path
) -> tuple[dict[str, Any], list[Frontier]]:
    """Return what the neurons of one training know, and what steering by them does to each tag that is asked for."""
    backbone = trained(split, recipe, work / "model", seed)
    subject = Subject(backbone, split, k=K, autoencoder={**AUTOENCODER, "epochs": epochs})

    @cache
    def concepts() -> Concepts:
        return find_concepts(subject.neurons(seed), tags, rng=seed)

    if not (file := work / "known.json").exists():
        cells.write(file, known(concepts()))
    found = read_tags(tags, split.train)
    at = {tag: found.has[:, place_of(tag, found.names, found.dropped)] for tag in asked}
    frontiers = [turned(subject, concepts, tag, has, seed, work / "steered") for tag, has in at.items()]
    return json.loads(file.read_text(encoding="utf-8")), frontiers


def run(data: Path, work: Path, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield what each model's neurons know, and what steering by them does."""
    for (name, model), recipe in RECIPES.items():
        split = split_of(data, name, model)
        tags = cells.frame(data, FOLDERS[name], "items.parquet").select("item_id", "genres").drop_nulls()
        epochs = 5 if model.startswith("SASRec") else 30  # many vectors, or one a user
        asked = () if model == SHUFFLED else TAGS
        slug = f"{FOLDERS[name]}-{model.lower().replace(', ', '-').replace(' ', '-')}"
        found = [studied(split, recipe, tags, epochs, asked, seed, work / f"seed-{seed}" / slug) for seed in seeds]
        by_seed = [each for each, _ in found]
        means = {key: float(np.mean([each[key] for each in by_seed])) for key in by_seed[0] if key != "each"}
        row = {"data": name, "model": model, **means, "by_seed": by_seed}
        if model == "SASRec":
            row["alike"] = alike(split, tags)
        joined = [sum(of_tag[1:], start=of_tag[0]) for of_tag in zip(*(each for _, each in found), strict=True)]
        row["steered"] = [steered(tag, frontier) for tag, frontier in zip(asked, joined, strict=True)]
        yield row


# -- the tables --------------------------------------------------------------------------------------------------------


def known_table(record: dict[str, Any]) -> list[str]:
    """Return the lines of the table of how well neurons tell tags."""
    lines = [
        "| Data | Model | Interactions of a film | Best neuron | Random direction | Raw dimension | Dense probe "
        "| Neuron ahead of random |",
        "|:---|:---|" + "---:|" * 6,
    ]
    for row in record["rows"]:
        aucs = [f"{row[f'{name}_auc']:.3f}"[1:] for name in ("best", "random", "dimension", "probe")]
        of_seeds = summary([Reading(each["best_auc"], None) for each in row.get("by_seed", ())])
        if of_seeds.high is not None:
            aucs[0] += f" ± {of_seeds.high - of_seeds.value:.3f}".replace("0.", ".")
        ahead = f"{row['ahead']:.3g} of {row['tags']:g}"
        lines.append(f"| {row['data']} | {row['model']} | {row['interactions']:g} | {' | '.join(aucs)} | {ahead} |")
    return lines


def steered_table(record: dict[str, Any]) -> list[str]:
    """Return the lines of the table of what more of a tag changes."""
    header = " | ".join(f"strength {strength}: places | NDCG@{K}" for strength in SHOWN)
    lines = [f"| Data | Model | Tag, share of places | {header} | Gini at 2 |", "|:---|:---|:---|" + "---:|" * 5]
    for row in record["rows"]:
        for each in row["steered"]:
            parts = [row["data"], row["model"], f"{each['tag']} {each['share']:.2%}"]
            for strength in SHOWN:
                found = each["changes"][strength]
                parts += [_written(found["share"], 2), _written(found["ndcg"], 1) + "%"]
            lines.append(f"| {' | '.join(parts)} | {round(each['changes']['2']['gini']['value'], 3) + 0.0:+.1%} |")
    return lines


def _written(found: dict[str, Any], digits: int) -> str:
    """Return an estimate and half the width of its interval, in percent."""
    value, low, high = (found[name] for name in ("value", "low", "high"))
    half = "" if high is None else f" ± {50 * (high - low):.{digits}f}"
    return f"{round(100 * value, digits) + 0.0:+.{digits}f}{half}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=Path("runs/tags"), help="folder with a folder for each seed")
    parser.add_argument("--seed", type=int, choices=SEEDS, help="do the work of this seed alone, without the record")
    args = parser.parse_args()
    rows = []
    for row in run(args.data, args.work, SEEDS if args.seed is None else [args.seed]):
        rows.append(row)
        print(row["data"], row["model"], f"AUC {row['best_auc']:.2f}", flush=True)
    if args.seed is None:
        cells.write(RECORD, {"k": K, "seeds": SEEDS, "rows": rows})
