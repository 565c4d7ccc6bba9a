"""How often the 95% intervals of an audit hold what they speak of: nominal against true coverage, metric by metric.

    python benchmarks/interval_coverage.py                        # about ten minutes on one core
    python benchmarks/interval_coverage.py --output benchmarks/records/interval_coverage.json
    python benchmarks/interval_coverage.py --page docs/intervals.md    # from that record

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
from headtail.metrics.results import ALL_USERS
from headtail.metrics.topk import find_ranks
from headtail.typing import Array


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
    heavy_tailed : bool
        Users differ much: in how their lists fall with rank, how long these are, and how much history there is.
    """

    n_users: int
    n_items: int = 2000
    k: int = 10
    concentration: float = 0.8
    hits: float = 0.1
    collapsed: bool = False
    heavy_tailed: bool = False


RECORD = Path(__file__).parent / "records" / "interval_coverage.json"
HISTORY, WANTED = 12, 3  # items of a user
POPULATION = 100_000  # many, so that no sample has a user more than once too often

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
    "heavy-tailed users": World(150, n_items=500, heavy_tailed=True),
    "50 heavy-tailed users": World(50, n_items=500, heavy_tailed=True),
    "25 users": World(25),
    "25 users, steep lists of 20": World(25, k=20, concentration=2.0),
    "100 users, sparse and even": World(100, n_items=3000, concentration=0.0),
    "even and dense": World(1000, n_items=300, k=5, concentration=0.0),
}


def own_tail_share(top):
    """Share of the slots that go to the tail, as a stranger would write it."""
    return float(top.group_slots[:, -1].sum() / top.lengths.sum())


def own_coverage(top):
    """Share of the catalogue that is recommended, as a stranger would write it."""
    return float(np.mean(np.bincount(top.items[top.items >= 0], minlength=len(top.popularity)) > 0))


def own_top_share(top):
    """Share of the slots that the ten most recommended items take."""
    return float(np.sort(top.slots)[-10:].sum() / top.slots.sum())


METRICS = metrics_of(("head", "mid", "tail")) | {"group_share mid": partial(group_share, group="mid")}
OWN = {
    "one's own: tail share": own_tail_share,
    "one's own: top share": own_top_share,
    "one's own: coverage": own_coverage,
}
OWN_WORLDS = (
    "300 users, 2,000 items",
    "sparse and even",
    "heavy-tailed users",
    "50 heavy-tailed users",
    "even and dense",
)
FEWER = 10  # times fewer trials of functions of one's own


def draw(power: Array, n_items: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw distinct items for each user, one after another, with odds that fall with the rank to a user's power."""
    items = np.empty((len(power), size), dtype=np.int32)
    for value in np.unique(power):
        odds = np.cumsum(np.arange(1.0, n_items + 1) ** -value)
        rows, n = np.flatnonzero(power == value), 2 * size + 4
        while len(rows):
            drawn = np.searchsorted(odds, odds[-1] * rng.random((len(rows), n))).clip(0, n_items - 1)
            order = np.argsort(drawn, axis=1, kind="stable")
            repeated = np.diff(np.take_along_axis(drawn, order, axis=1), axis=1, prepend=-1) == 0
            np.put_along_axis(repeated, order, repeated.copy(), axis=1)
            enough = (~repeated).sum(axis=1) >= size
            first = np.argsort(repeated[enough], axis=1, kind="stable")[:, :size]
            items[rows[enough]] = np.take_along_axis(drawn[enough], first, axis=1)
            rows, n = rows[~enough], 2 * n
    return items


def population(world: World, n: int, rng: np.random.Generator) -> TopK:
    """Return the lists of a whole population."""
    activity, steepness = np.full(n, HISTORY), np.full(n, world.concentration)
    if world.heavy_tailed:
        activity = np.minimum(3 + 4 * rng.pareto(1.2, n), 5 * HISTORY).astype(int)
        steepness = rng.lognormal(-0.5, 0.9, n).clip(0, 2).round(1)
    history = draw(np.full(n, 0.9), world.n_items, activity.max(), rng)
    lists, wanted = draw(steepness, world.n_items, world.k, rng), draw(np.full(n, 0.7), world.n_items, WANTED, rng)
    lists = rng.permuted(lists, axis=1)
    if world.collapsed:
        lists[rng.random(n) < 0.97] = np.arange(world.k)
    shown = lists[np.arange(n)[:, None], rng.integers(0, world.k, wanted.shape)]
    wanted = np.where(rng.random(wanted.shape) < world.hits, shown, wanted)
    rows, items = np.divmod(np.unique(np.arange(n)[:, None] * world.n_items + wanted), world.n_items)
    if world.heavy_tailed:
        lists[np.arange(world.k) >= rng.geometric(0.12, n)[:, None]] = -1
    users, places = np.nonzero(np.arange(activity.max()) < activity[:, None])
    train = Interactions(np.arange(n), np.arange(world.n_items), users.astype(np.int32), history[users, places])
    profiles = Profiles(train, PopularityGroups.by_mass(train.popularity))
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    ranks = find_ranks(lists, rows, items.astype(np.int32))
    return TopK(lists, np.arange(n, dtype=np.int32), profiles, starts, items.astype(np.int32), ranks)


def trials(world: World, metrics, n_trials: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return value, low and high of every metric in every trial, a sample of users, shape (trials, 3)."""
    everyone = population(world, POPULATION, rng)
    samples = [(f"trial={trial}", rng.integers(0, len(everyone), world.n_users)) for trial in range(n_trials)]
    found = {name: [] for name in metrics}
    for m in measure(everyone, metrics, samples, 200, 0)[0]:
        if m.users != ALL_USERS:
            found[m.metric].append((m.value, *((m.low, m.high) if m.low is not None else (np.nan, np.nan))))
    return {name: np.array(rows) for name, rows in found.items()}


def held(values: np.ndarray) -> tuple[float, float, float]:
    """Return the share of the intervals shown that hold the mean value, its error, and the share of trials with one."""
    value, low, high = values.T
    truth, shown = np.nanmean(value), ~np.isnan(low)
    if not shown.any():
        return float("nan"), float("nan"), 0.0
    inside = (low <= truth + 1e-12) & (truth - 1e-12 <= high)
    return float(inside[shown].mean()), float(np.sqrt(0.95 * 0.05 / shown.sum())), float(shown.mean())


def page(record: dict) -> str:
    """Return the page of documentation that shows a record."""
    worlds, often = record["held, error, shown"], 0.5
    rows = []
    for metric in next(iter(worlds.values())):
        cells = {world: metrics[metric] for world, metrics in worlds.items() if metric in metrics}
        shown = {world: (share, error) for world, (share, error, part) in cells.items() if part >= often}
        without = ", ".join(world for world in cells if world not in shown) or "-"
        missed = [part * (1 - (share or 0)) for world, (share, _, part) in cells.items() if world not in shown]
        misses = f"{max(missed):.1%}" if missed else "-"
        ascending = sorted(shown.items(), key=lambda pair: pair[1])
        ends = " | ".join(
            f"{share:.3f} ± {error:.3f} ({world})" for world, (share, error) in (*ascending[:1], *ascending[-1:])
        )
        rows.append(f"| {metric} | {ends or '- | -'} | {without} | {misses} |")
    return (
        "# How often intervals hold what they should\n\n"
        "Made by `python benchmarks/interval_coverage.py --page docs/intervals.md` from "
        "`benchmarks/records/interval_coverage.json`, which the same script made before.\n\n"
        "An audit's 95% interval speaks of what an audit of as many users of the same kind gives on average. In "
        f"{len(worlds)} simulated worlds many samples of users were audited "
        f"({record['trials']:,}, of 2,000 users half as many; of functions of one's own {record['trials'] // FEWER}, "
        f"in {len(OWN_WORLDS)} worlds), and the intervals that hold that average were counted. Of each metric the "
        "lowest and the highest share are shown over the worlds in which at least half of the trials have an interval, "
        "with the standard error of the simulation: by chance alone the "
        f"lowest and the highest of {len(worlds)} shares lie some 1.7 such errors off. In other worlds too few users "
        "decide on the metric, or there is nothing to vary, and an audit leaves the interval out; the last column says "
        "in how many trials at most there is one all the same that does not hold the average.\n\n"
        "| Metric | Lowest share | Highest share | Worlds in which most trials have no interval | There, misses |\n"
        "|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\nThe last three stand for functions of one's own that return one number and do not say what they owe to "
        "each user. They are evaluated again without groups of users and without pairs of these. Where the influence "
        "of a pair is not the sum of both, as it is not for counts of distinct items, medians and other quantiles, "
        "there is no interval, for nothing is known of the function that would make one right. Say what the function "
        "owes to each user (`headtail.metrics.better`), or return one value for each user.\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--output", help="write a JSON record")
    parser.add_argument("--page", help="write the page of the record that stands, without any trial")
    arguments = parser.parse_args()
    if arguments.page:
        Path(arguments.page).write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    record = {}
    for name, world in WORLDS.items():
        start = time.perf_counter()
        n_trials = arguments.trials if world.n_users < 2000 else arguments.trials // 2
        found = trials(world, METRICS, n_trials, np.random.default_rng(0))
        if name in OWN_WORLDS:
            found |= trials(world, OWN, arguments.trials // FEWER, np.random.default_rng(0))
        record[name] = {metric: held(values) for metric, values in found.items()}
        print(f"\n{name}  ({time.perf_counter() - start:.0f} s)")
        for metric, (share, error, shown) in record[name].items():
            print(f"  {metric:22} {share:.3f} +- {error:.3f} of {shown:4.0%} of the trials", flush=True)
    if arguments.output:
        rows = [
            f"  {json.dumps(world)}: {{\n"
            + ",\n".join(
                f"   {json.dumps(metric)}: {json.dumps([None if np.isnan(x) else round(x, 3) for x in cells])}"
                for metric, cells in metrics.items()
            )
            + "\n  }"
            for world, metrics in record.items()
        ]
        text = f'{{"trials": {arguments.trials}, "held, error, shown": {{\n' + ",\n".join(rows) + "\n}}\n"
        Path(arguments.output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
