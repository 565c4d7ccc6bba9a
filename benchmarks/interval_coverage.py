"""How often the 95% intervals of an audit hold what they speak of: nominal against true coverage, metric by metric.

    python benchmarks/interval_coverage.py                        # about three minutes on one core
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
from headtail.metrics.facts import facts_of
from headtail.metrics.measuring import measure, measurements_of
from headtail.metrics.topk import find_ranks
from headtail.metrics.user_groups import UserGroups


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


RECORD = Path(__file__).parent / "records" / "interval_coverage.json"
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


METRICS = metrics_of(("head", "mid", "tail")) | {"group_share mid": partial(group_share, group="mid")}
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
    """Return value, low and high of every metric in every trial, shape (trials, 3).

    Means over users get five times as many trials, for the users' values are at hand; metrics that are evaluated anew
    without groups of users get a third.
    """
    everyone = population(world, POPULATION, rng)

    def drawn() -> np.ndarray:
        return rng.integers(0, len(everyone), world.n_users)

    found = {}
    for name, metric in metrics.items():
        values = np.asarray(metric(everyone))
        if values.ndim:
            found[name] = []
            for _ in range(5 * n_trials):
                sample = UserGroups(everyone, drawn(), np.array([world.n_users]))
                value, influence, n = sample.mean(values[sample.rows])
                figures = value, n, *sample.error(influence)
                found[name] += measurements_of(name, facts_of(metric), world.k, ["all"], figures, per_user=True)
    others = {name: metric for name, metric in metrics.items() if name not in found}
    anew = {name for name, metric in others.items() if facts_of(metric).influence is None}
    found |= {name: [] for name in others}
    for trial in range(n_trials):
        due = {name: metric for name, metric in others.items() if name not in anew or trial < n_trials // 3}
        for m in measure(everyone.take(drawn()), due, [], n_groups, 0)[0]:
            found[m.metric].append(m)
    nan = float("nan"), float("nan")
    return {
        name: np.array([(m.value, *((m.low, m.high) if m.low is not None else nan)) for m in found[name]])
        for name in metrics
    }


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
        cells = {world: metrics[metric] for world, metrics in worlds.items()}
        shown = {world: (share, error) for world, (share, error, part) in cells.items() if part >= often}
        without = ", ".join(world for world in cells if world not in shown) or "-"
        low, high = min(shown.items(), key=lambda pair: pair[1]), max(shown.items(), key=lambda pair: pair[1])
        ends = " | ".join(f"{share:.3f} ± {error:.3f} ({world})" for world, (share, error) in (low, high))
        rows.append(f"| {metric} | {ends} | {without} |")
    return (
        "# How often intervals hold what they should\n\n"
        "Made by `python benchmarks/interval_coverage.py --page docs/intervals.md` from "
        "`benchmarks/records/interval_coverage.json`, which the same script made before.\n\n"
        "An audit's 95% interval speaks of what an audit of as many users of the same kind gives on average. In "
        f"{len(worlds)} simulated worlds many samples of users were audited "
        f"({record['trials']:,}; five times as many for means over users, a third for functions of one's own), and the "
        "intervals were counted that hold that average. Of each metric the lowest and the highest share are shown over "
        "the worlds in which at least half of the trials have an interval, with the standard error of the "
        "simulation. In other worlds too few users decide on the metric, or there is nothing to vary, and an audit "
        "leaves the interval out.\n\n"
        "| Metric | Lowest share | Highest share | Worlds in which most trials have no interval |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n\nThe last two stand for functions of one's own that do not say what they owe to each user: they are "
        "evaluated anew without groups of users, which for counts of items gives intervals that are too wide.\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--output", help="write a JSON record")
    parser.add_argument("--page", help="write the page of the record that stands, without any trial")
    arguments = parser.parse_args()
    if arguments.page:
        Path(arguments.page).write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    record = {}
    for name, world in WORLDS.items():
        start = time.perf_counter()
        found = trials(world, METRICS | OWN, arguments.trials, 200, np.random.default_rng(0))
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
