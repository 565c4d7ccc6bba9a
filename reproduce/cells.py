"""Cells of the reproductions: their data, their protocols, and the records of what was measured."""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from headtail import Interactions, Split, datasets, split_debiased, split_leave_last, split_ratio
from headtail.dials import Dial
from headtail.metrics.facts import Metrics
from headtail.subjects import Subject
from headtail.tradeoffs import Estimate, Frontier, sweep
from headtail.tradeoffs.sweeping import around_choice

RECORDS = Path(__file__).parent / "records"
MAX_LOSS = 0.05  # of the accuracy on validation, for the settings that are chosen
EXTENSIONS = 6  # of a grid at most
REFINEMENTS = 3  # of a grid at most


def load(data: Path, name: str, protocol: str, seed: int = 0) -> Split:
    """Return the split of a data set under a protocol: common, debiased, uniform or leave-last.

    What is drawn at random is drawn by the seed. ml-1m (common) and gowalla come with a published split of training and
    test; a tenth of each user's training part is then held out to choose on.
    """
    if protocol == "leave-last":
        return split_leave_last(_interactions(data, name))
    if protocol == "uniform":
        return _uniform(data, name, seed)
    split = _published(data, name, seed)
    if split is None:
        split = split_ratio(_interactions(data, name), test=0.2, validation=0.1, rng=seed)
    return split_debiased(split, rng=seed) if protocol == "debiased" else split


def frame(data: Path, name: str, file: str = "interactions.parquet") -> pl.DataFrame:
    """Return a table of a data set; end with what there should be if it is not there."""
    path = data / name / file
    if not path.exists():
        raise SystemExit(
            f"There is no {path}. Give --data a folder with a folder for each set, which holds interactions.parquet "
            f"(user_id, item_id and, where known, rating, timestamp, order and split) and, where items have titles, "
            f"items.parquet (item_id, title, genres)."
        )
    return pl.read_parquet(path)


def _interactions(data: Path, name: str) -> Interactions:
    if name in datasets.DATASETS:
        return datasets.DATASETS[name]()
    titles = data / name / "items.parquet"
    return Interactions.from_frame(
        frame(data, name),
        titles=pl.read_parquet(titles) if titles.exists() else None,
        k_core=5 if name in ("lastfm", "ml-1m") else 0,
    )


def _published(data: Path, name: str, seed: int) -> Split | None:
    column = {"ml-1m": "resn_split", "gowalla": "split"}.get(name)
    if column is None:
        return None
    return Split.from_frame(frame(data, name), column).with_validation(0.1, rng=seed)


def _uniform(data: Path, name: str, seed: int) -> Split:
    """Return a split whose test items were shown at random; ratings from 4 are positives."""
    split = Split.from_frame(frame(data, name), "split", test="test_uniform", min_rating=4, overlap="train")
    return split.with_validation(0.2, rng=seed)


def main(
    study: str,
    cells: Sequence[str],
    run: Callable[..., dict[str, Any]],
    description: str | None,
    dials: Sequence[Dial] = (),
) -> None:
    """Run the cells that the command line names, each into a record of its own.

    With `dials`, some of them can be asked for: `run` gets those, and the record says so in its name.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    told = f"without one, all of these that have no record: {', '.join(cells)}"
    parser.add_argument("cells", nargs="*", metavar="cell", help=told)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder for what a stopped cell goes on from")
    if dials:
        parser.add_argument(
            "--dials",
            nargs="+",
            default=None,
            choices=[each.name for each in dials],
            metavar="dial",
            help="sweep these alone; the work is kept for the whole cell",
        )
    args = parser.parse_args()
    some, asked = "", []
    if dials and args.dials:
        some, asked = "-some-dials", [[each for each in dials if each.name in args.dials]]
    for cell in args.cells or cells:
        if cell not in cells:
            parser.error(f"there is no cell {cell!r}; choose from {', '.join(cells)}")
        file = record(study, cell + some)
        if file.exists() and not args.cells:
            continue
        started, resumed = time.perf_counter(), (args.work / study / cell).exists()
        found = run(cell, args.data, args.work / study / cell, *asked)
        seconds = round(time.perf_counter() - started)
        environment = {"cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__}
        environment["seconds"] = None if resumed else seconds
        write(file, {"cell": cell, "environment": environment, **found})
        print(f"{cell}: {seconds} s, {file}")


def turned(
    dials: Iterable[Dial], subject: Subject, work: Path, *, finely: float | None = None, **options: Any
) -> Frontier:
    """Sweep dials, each in a folder of its own and beyond its grid for as long as its last setting is chosen.

    With `finely`, a loss, settings are then tried between the one that is chosen for that loss and the next stronger.
    """
    parts = []
    for dial in dials:
        kept: dict[str, Any] = {"folder": work, "identity": dial.name, **options}
        part = sweep(dial, subject, extend=EXTENSIONS, max_loss=MAX_LOSS, margin=0, **kept)
        if finely is not None:
            part = sweep(dial, subject, part.settings(dial.name), refine=REFINEMENTS, max_loss=finely, margin=0, **kept)
        parts.append(part)
    return sum(parts[1:], start=parts[0])


def turned_over_splits(
    dial: Dial, subjects: Mapping[int, Subject], work: Path, measured: Callable[[Split], Metrics]
) -> Frontier:
    """Sweep a dial on the subject of each seed, and beyond its grid for as long as its last setting is chosen."""

    def measure(settings: Sequence[float]) -> Frontier:
        parts = [
            sweep(
                dial, subject, settings, seeds=(seed,), metrics=measured(subject.split), folder=work / f"seed-{seed}",
                identity=dial.name, margin=0,
            )
            for seed, subject in subjects.items()
        ]  # fmt: skip
        return sum(parts[1:], start=parts[0])

    return around_choice(dial, measure(dial.grid), measure, extend=EXTENSIONS, max_loss=MAX_LOSS)


def compact(frontier: Frontier) -> dict[str, Any]:
    """Return a frontier for a record; intervals over users are kept only where there are none over seeds."""
    several = {method for method in frontier.methods if len(frontier.seeds(method)) > 1}
    points = [asdict(replace(p, intervals={}) if p.method in several else p) for p in frontier.points]
    return {"accuracy": frontier.accuracy, "unfairness": frontier.unfairness, "points": points}


def about(split: Split) -> dict[str, Any]:
    """Return what a record says of the data."""
    sizes = {part: len(interactions) for part, interactions in split.parts.items()}
    train = split.train
    return {"split": split.description, "sizes": sizes, "users": train.n_users, "items": train.n_items}


def record(study: str, cell: str) -> Path:
    """Return the file that holds the figures of a cell."""
    return RECORDS / f"{study}-{cell.replace('/', '-')}.json"


def write(file: Path, values: Any) -> None:
    """Write a file of JSON with numbers of six digits, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(_rounded(values), separators=(",", ":")) + "\n", encoding="utf-8")
    temporary.replace(file)


def _rounded(values: Any) -> Any:
    if isinstance(values, Estimate):
        values = asdict(values)
    if isinstance(values, dict):
        return {name: _rounded(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_rounded(value) for value in values]
    return float(f"{values:.6g}") if isinstance(values, float) else values
