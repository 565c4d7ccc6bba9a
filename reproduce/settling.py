"""Whether the prices of allocation and the biases of the tilts settle: a record, for the table of docs/figures.md.

ALS on seven sets, no user or item left out (the bundled MovieTweetings is a 5-core), every setting of each dial's grid.
The residual is the distance between a bias and the one that its own lists call for, as a share of the latter's size.
Below .03 a bias counts as settled, and above it a warning is given.

    python reproduce/settling.py --data ../shared/data
    python reproduce/tables.py
"""

import argparse
import json
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cells

from headtail import Interactions, Split, datasets, fit, split_ratio
from headtail.dials import Dial, dial
from headtail.models import ALS
from headtail.subjects import Subject

RECORD = cells.RECORDS / "settling.json"
SETS = ("coat", "ml-latest-small", "movietweetings", "lastfm", "amazon-beauty", "ml-1m", "gowalla")
DIALS = (
    "allocation, most hits",
    "allocation, equal shares",
    "tilt (alpha-fair)",
    "tilt (entropy)",
    "tilt (popularity)",
)
SETTLED, K = 0.03, 20


def split_of(data: Path, name: str) -> Split:
    """Return a random split of all interactions, or Coat's own, where ratings from 4 are positives."""
    if name == "coat":
        return cells.load(data, name, "uniform")
    if name in datasets.DATASETS:
        return split_ratio(datasets.DATASETS[name](), rng=0)
    return split_ratio(Interactions.from_frame(cells.frame(data, name).select("user_id", "item_id")), rng=0)


def residuals(subject: Subject, turned: Dial) -> dict[str, float]:
    """Return the residual at each strength of a dial's grid but 0."""
    found: dict[str, float] = {}
    for strength in turned.grid[1:]:
        with logged_residuals() as seen:
            turned.at(subject, strength)(subject.split.train)
        found[f"{strength:g}"] = seen[-1]
    return found


@contextmanager
def logged_residuals() -> Iterator[list[float]]:
    """Collect the residuals that headtail logs within."""
    logger, seen = logging.getLogger("headtail"), list[float]()

    def keep(record: logging.LogRecord) -> bool:
        seen.extend([record.residual] if hasattr(record, "residual") else [])
        return True

    level = logger.level
    logger.addFilter(keep)
    logger.setLevel(logging.DEBUG)
    try:
        yield seen
    finally:
        logger.removeFilter(keep)
        logger.setLevel(level)


def measured(data: Path, name: str) -> dict[str, Any]:
    """Return the residuals of all dials on a set."""
    split, started = split_of(data, name), time.process_time()
    model = ALS.for_data(split.train, rng=0)
    fit(model, split.train, validation=split.validation, rng=0, progress=False)
    subject = Subject(model, split, k=K)
    found = {each: residuals(subject, dial(each)) for each in DIALS}
    sizes = {"users": split.train.n_users, "items": split.train.n_items, "train": len(split.train)}
    return {"set": name, **sizes, "residuals": found, "seconds": round(time.process_time() - started)}


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of the table: each dial's largest residual, and the strengths at which it has not settled."""
    lines = [f"| Largest residual | {' | '.join(DIALS)} |", "|:---|" + "---:|" * len(DIALS)]
    for row in record["rows"]:
        told = [f"{row['set']} ({row['users']:,} × {row['items']:,})"]
        for each in DIALS:
            found = row["residuals"][each]
            above = [strength for strength, residual in found.items() if residual >= SETTLED]
            told.append(f"{max(found.values()):.3f}"[1:] + f" (at {', '.join(above)})" * bool(above))
        lines.append(f"| {' | '.join(told)} |")
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="set", help=f"those that are measured anew: {list(SETS)}")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    args = parser.parse_args()
    rows = json.loads(RECORD.read_text(encoding="utf-8"))["rows"] if RECORD.exists() else []
    for name in args.sets or SETS:
        if name not in SETS:
            parser.error(f"there is no set {name!r}; choose from {', '.join(SETS)}")
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            row = measured(args.data, name)
        rows = sorted([row, *(each for each in rows if each["set"] != name)], key=lambda each: SETS.index(each["set"]))
        cells.write(RECORD, {"model": "ALS", "k": K, "rows": rows})
        print(name, {each: max(of.values()) for each, of in row["residuals"].items()}, flush=True)
