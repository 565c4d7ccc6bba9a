"""What neurons know of genres, and what "more of a genre" costs: a record, for the tables of docs/explain.md.

MF, LightGCN and SASRec on MovieTweetings and MovieLens-1M, and SASRec with the order of each user's ratings drawn at
random. A stopped run goes on with the models in the folder for work.

    python reproduce/tags.py --data ../shared/data
    python reproduce/tables.py
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cells
import numpy as np
import polars as pl

from headtail import Interactions, Split, load_model, losses, save_model, split_leave_last
from headtail.dials import more_of
from headtail.exceptions import InvalidInputError
from headtail.metrics import TopK, gini, ndcg
from headtail.models import MF, LightGCN, SASRec
from headtail.sae import Concepts, find_concepts
from headtail.sae.tags import read_tags
from headtail.subjects import AUTOENCODER, Subject
from headtail.tradeoffs import sweep
from headtail.tradeoffs.points import Estimate, Reading, combined, summary
from headtail.training import Recipe

RECORD = cells.RECORDS / "tags.json"
TAGS, STRENGTHS, K = ("Documentary", "Animation", "Horror"), (0.0, 1.0, 2.0, 4.0), 10
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


def trained(split: Split, recipe: Recipe, folder: Path) -> Any:
    """Return the model of a folder, trained if there is none."""
    if not folder.exists():
        save_model(recipe.train(split.train, 0, validation=split.validation, k=K), folder)
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


def steered(subject: Subject, tag: str, tags: pl.DataFrame) -> dict[str, Any]:
    """Return a tag's share of the places, and what more of it changes at each strength, on the test, over users."""
    found = read_tags(tags, subject.split.train)
    has = found.has[:, found.place_of(tag)]

    def share(top: TopK) -> Any:
        return top.mean(has)

    dial = more_of(tag, tags)
    metrics = {"ndcg": ndcg, "gini": gini, "share": share}
    try:
        frontier = sweep(dial, subject, STRENGTHS, metrics=metrics, progress=False)
    except InvalidInputError as error:  # no push shows more
        print(f"{tag}: {error}")
        return {"tag": tag, "share": None, "changes": {}}

    def more(strength: float) -> Estimate:
        ends = []
        for setting in (strength, STRENGTHS[0]):
            (point,) = (point for point in frontier.points if point.setting == setting)
            influence = frontier.influences[dial.name, setting, 0, "test"]["share@10"]
            ends.append(Reading(point.test["share@10"], influence))
        return summary([combined(ends[0].value - ends[1].value, [(1, ends[0]), (-1, ends[1])])])

    changes = {
        f"{strength:g}": {
            "share": more(strength),
            **{m: frontier.estimate(dial.name, strength, f"{m}@{K}", relative=True) for m in ("ndcg", "gini")},
        }
        for strength in STRENGTHS[1:]
    }
    return {"tag": tag, "share": frontier.mean(dial.name, STRENGTHS[0], f"share@{K}"), "changes": changes}


def run(data: Path, work: Path) -> Iterator[dict[str, Any]]:
    """Yield what each model's neurons know, and what steering by them does."""
    for (name, model), recipe in RECIPES.items():
        split = split_of(data, name, model)
        tags = cells.frame(data, FOLDERS[name], "items.parquet").select("item_id", "genres").drop_nulls()
        epochs = 5 if model.startswith("SASRec") else 30  # many vectors, or one a user
        backbone = trained(
            split, recipe, work / f"{FOLDERS[name]}-{model.lower().replace(', ', '-').replace(' ', '-')}"
        )
        subject = Subject(backbone, split, k=K, autoencoder={**AUTOENCODER, "epochs": epochs})
        row = {"data": name, "model": model, **known(find_concepts(subject.neurons(0), tags, rng=0))}
        if model == "SASRec":
            row["alike"] = alike(split, tags)
        row["steered"] = [] if model == SHUFFLED else [steered(subject, tag, tags) for tag in TAGS]
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
        ahead = f"{row['ahead']} of {row['tags']}"
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
    value, low, high = (100 * found[name] for name in ("value", "low", "high"))
    return f"{round(value, digits) + 0.0:+.{digits}f} ± {(high - low) / 2:.{digits}f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=Path("runs/tags"), help="folder of the trained models")
    args = parser.parse_args()
    rows = []
    for row in run(args.data, args.work):
        rows.append(row)
        cells.write(RECORD, {"k": K, "seeds": [0], "rows": rows})
        print(row["data"], row["model"], f"AUC {row['best_auc']:.2f}", flush=True)
