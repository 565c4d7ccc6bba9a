"""How often the 95% intervals of an audit hold what they speak of: nominal against true coverage, metric by metric.

    python benchmarks/interval_coverage.py                        # about five minutes on one core
    python benchmarks/interval_coverage.py --output record.json

A world is a large population of users with histories, lists and wanted items over one fixed catalogue. Each trial
audits a sample of them. The value that an interval must hold is the mean of the metric over all trials: what an audit
of that many users gives on average. A trial without an interval is counted apart.
"""

import argparse
import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from headtail.data import Interactions, PopularityGroups
from headtail.metrics import Profiles, TopK, group_share
from headtail.metrics.built_in import metrics_of
from headtail.metrics.measuring import measure
from headtail.metrics.topk import find_ranks


@dataclass(frozen=True)
class World:
    """A population of users and how many of them an audit sees.

    Attributes
    ----------
    n_users, n_items, k : int
        Users of a sample, items of the catalogue, length of a list.
    concentration : float
        Lists are drawn with probabilities that fall with the item's rank to this power; 0 is even.
    hits : float
        Share of the wanted items that are drawn from the user's list.
    collapsed : bool
        Most users get one and the same list.
    """

    n_users: int
    n_items: int = 2000
    k: int = 10
    concentration: float = 0.8
    hits: float = 0.1
    collapsed: bool = False


HISTORY, WANTED = 12, 3  # items of a user
POPULATION = 10_000

WORLDS = {
    "300 users, 2,000 items": World(300),
    "50 users": World(50),
    "2,000 users": World(2000),
    "sparse: 20,000 items": World(300, n_items=20_000),
    "sparse and even": World(300, n_items=3000, concentration=0.0),
    "dense: 200 items": World(300, n_items=200),
    "steep": World(300, concentration=1.4),
    "rare hits": World(300, hits=0.01),
    "hardly a hit": World(200, hits=0.0),
    "short lists": World(300, k=2),
    "collapsed": World(300, collapsed=True),
}


def own_coverage(top):
    """Share of the catalogue that is recommended, as a stranger would write it."""
    return float(np.mean(np.bincount(top.items[top.items >= 0], minlength=len(top.popularity)) > 0))


def own_top_share(top):
    """Share of the slots that the ten most recommended items take."""
    return float(np.sort(top.slots)[-10:].sum() / top.slots.sum())


METRICS = metrics_of(("head", "mid", "tail"), vectors=False) | {"group_share mid": partial(group_share, group="mid")}
OWN = {"one's own: coverage": own_coverage, "one's own: top share": own_top_share}


def population(world: World, n: int, rng: np.random.Generator) -> TopK:
    """Return the lists of a whole population."""

    def draw(power: float, size: int) -> np.ndarray:
        """Draw items without repeats within a row: those of the largest weights with Gumbel noise."""
        weights = -power * np.log(np.arange(1, world.n_items + 1))
        rows = [np.argpartition(-(weights + rng.gumbel(size=world.n_items)), size)[:size] for _ in range(n)]
        return np.array(rows, dtype=np.int32)

    history, lists, wanted = draw(0.9, HISTORY), draw(world.concentration, world.k), draw(0.7, WANTED)
    lists = rng.permuted(lists, axis=1)
    if world.collapsed:
        lists[rng.random(n) < 0.97] = np.arange(world.k)
    shown = lists[np.arange(n)[:, None], rng.integers(0, world.k, wanted.shape)]
    wanted = np.where(rng.random(wanted.shape) < world.hits, shown, wanted)
    rows, items = np.divmod(np.unique(np.arange(n)[:, None] * world.n_items + wanted), world.n_items)
    train = Interactions(
        np.arange(n), np.arange(world.n_items), np.repeat(np.arange(n, dtype=np.int32), HISTORY), history.ravel()
    )
    profiles = Profiles(train, PopularityGroups.by_mass(train.popularity))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    ranks = find_ranks(lists, rows, items.astype(np.int32))
    return TopK(lists, np.arange(n, dtype=np.int32), profiles, starts, items.astype(np.int32), ranks)


def trials(world: World, metrics, n_trials: int, n_groups: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return value, low and high of every metric in every trial, shape (n_trials, 3)."""
    everyone = population(world, POPULATION, rng)
    found = {name: np.full((n_trials, 3), np.nan) for name in metrics}
    for trial in range(n_trials):
        sample = everyone.take(rng.integers(0, len(everyone), world.n_users))
        for m in measure(sample, metrics, [], n_groups, 0)[0]:
            found[m.metric][trial] = m.value, *((m.low, m.high) if m.low is not None else (np.nan, np.nan))
    return found


def held(values: np.ndarray) -> tuple[float, float]:
    """Return the share of the intervals shown that hold the mean value, and the share of trials that show one."""
    value, low, high = values.T
    truth, shown = np.nanmean(value), ~np.isnan(low)
    inside = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
    return float(inside[shown].mean()) if shown.any() else float("nan"), float(shown.mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--output", help="write a JSON record")
    arguments = parser.parse_args()
    record = {}
    for name, world in WORLDS.items():
        start = time.perf_counter()
        found = trials(world, METRICS | OWN, arguments.trials, 200, np.random.default_rng(0))
        record[name] = {metric: held(values) for metric, values in found.items()}
        print(f"\n{name}  ({time.perf_counter() - start:.0f} s)")
        for metric, (share, shown) in record[name].items():
            print(f"  {metric:22} {share:.3f} of {shown:4.0%} of the trials", flush=True)
    if arguments.output:
        rounded = {
            world: {metric: [round(share, 3), round(shown, 3)] for metric, (share, shown) in shares.items()}
            for world, shares in record.items()
        }
        text = json.dumps({"trials": arguments.trials, "held and shown": rounded}, indent=1)
        Path(arguments.output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
