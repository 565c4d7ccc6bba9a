"""How often a correction loses more on test than was allowed on validation, with and without a standard error to spare.

Samples of users of the bundled MovieTweetings, and of other sets where they are at hand, each with splits of its own;
ALS, every dial that needs no training, at most 2% of NDCG@20.

    python benchmarks/allowed_loss.py --data ../shared/data --trials 5
"""

import argparse
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

import headtail as ht

ALLOWED, MARGINS = 0.02, (0.0, 0.5, 1.0, 2.0)
USERS = {"movietweetings": 1000, "lastfm": 300, "ml-1m": 150, "ml-latest-small": 300, "coat": 290}


def drawn(name: str, folder: Path, n_users: int, seed: int) -> ht.Split | None:
    """Return a split of the interactions of a few users, None where the set is not at hand."""
    if name == "movietweetings":
        rows = ht.datasets.movietweetings().to_polars()
    elif not (file := folder / name / "interactions.parquet").exists():
        return None
    else:
        rows = pl.read_parquet(file)
    if name == "coat":
        rows = rows.filter((pl.col("split") == "train") & (pl.col("rating") >= 4))
    users = rows["user_id"].unique().sort()
    users = users.sample(min(n_users, len(users)), seed=seed)
    rows = rows.filter(pl.col("user_id").is_in(users.implode())).select("user_id", "item_id")
    return ht.split_ratio(rows, test=0.2, validation=0.1, rng=seed)


def main() -> None:
    """Print for each margin what was lost on the tests, and how often more than was allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the other sets")
    parser.add_argument("--trials", type=int, default=5, help="samples of users of each set")
    args = parser.parse_args()
    found: dict[float, list[tuple[float, float]]] = {margin: [] for margin in MARGINS}
    for seed in range(args.trials):
        for name, n_users in USERS.items():
            if (split := drawn(name, args.data, n_users, seed)) is None:
                continue
            model = ht.models.ALS.for_data(split.train, rng=seed)
            with warnings.catch_warnings(action="ignore"):
                ht.fit(model, split.train, validation=split.validation, rng=seed, progress=False)
                frontier = ht.correct(model, split, max_loss=ALLOWED, rng=seed, progress=False).frontier
            print(f"\n{name}, {n_users} users, seed {seed}:", end="", flush=True)
            for margin, changes in found.items():
                best = replace(frontier, margin=margin).best(ALLOWED)
                lost, evener = (
                    frontier.change(frontier.reference, best, metric).value
                    for metric in (frontier.accuracy, frontier.unfairness)
                )
                changes.append((lost, evener))
                print(f"  {margin:g} {best[0]} {best[1]:g} ({lost:+.1%}, Gini {evener:+.1%})", end="")
    print("\n\nstandard errors to spare, worlds, NDCG (mean, median), more lost than allowed, more than twice, Gini")
    for margin, changes in found.items():
        lost, evener = np.transpose(changes)
        print(
            f"{margin:>4g}{len(changes):>6}{lost.mean():>+9.1%}{np.median(lost):>+9.1%}{np.mean(lost < -ALLOWED):>8.0%}"
            f"{np.mean(lost < -2 * ALLOWED):>8.0%}{evener.mean():>+9.1%}"
        )


if __name__ == "__main__":
    main()
