"""How often `headtail audit --baseline` alarms where nothing drifts, and how often where something does.

    python benchmarks/false_alarms.py                        # about a minute on one core
    python benchmarks/false_alarms.py --output benchmarks/records/false_alarms.json
    python benchmarks/false_alarms.py --page docs/gate.md    # from that record

Each trial audits two samples of users of one world, whose lists are drawn anew from the same distribution, and judges
every condition alone and all of them as one gate. "Drift" draws the second lists from a more popular one. The retrained
models are ALS on MovieTweetings, alike but for the seed.
"""

import argparse
import json
import time
from itertools import combinations
from pathlib import Path

import numpy as np

import headtail as ht
from headtail.metrics import arp, coverage, entropy, gate, gini, gini_by_rank, ndcg, popularity_lift, tail_share
from headtail.metrics.gating import read_baseline

RECORD = Path(__file__).parent / "records" / "false_alarms.json"
METRICS = [ndcg, gini, gini_by_rank, coverage, entropy, tail_share, arp, popularity_lift]
CONDITIONS = [f"{metric.__name__}@10 {way}" for metric in METRICS for way in ("rises", "falls")]
POPULATION, N_ITEMS, K = 8000, 2000, 10

# Users of the baseline, users now, and which share of the latter were in the former.
SAMPLES = {
    "the same users": (1000, 1000, 1.0),
    "half of the users": (1000, 1000, 0.5),
    "other users": (1000, 1000, 0.0),
    "100 users": (100, 100, 0.0),
    "a tenth more": (1000, 1100, 0.0),
    "a tenth fewer": (1100, 1000, 0.0),
    "twice as many": (1000, 2000, 0.0),
}


class World:
    """A population of users with histories and wanted items; lists come from one distribution over the items."""

    def __init__(self, rng):
        odds = np.arange(1, N_ITEMS + 1) ** -0.8
        drawn = self.draw(rng, odds, POPULATION, 15)
        users = np.repeat(np.arange(POPULATION), 15)
        everything = ht.Interactions(np.arange(POPULATION), np.arange(N_ITEMS), users, drawn.ravel())
        wanted = np.tile(np.arange(15) >= 12, POPULATION)
        self.train, self.test = everything.subset(~wanted), everything.subset(wanted)
        self.odds = (self.train.popularity + 1.0) ** 1.1

    @staticmethod
    def draw(rng, odds, n, k):
        """Return k distinct items for each of n users."""
        waits = rng.standard_exponential((n, len(odds)), dtype=np.float32) / odds.astype(np.float32)
        first = np.argpartition(waits, k, axis=1)[:, :k]
        return np.take_along_axis(first, np.argsort(np.take_along_axis(waits, first, axis=1), axis=1), axis=1)

    def audit(self, rng, users, drift):
        """Audit lists of some users."""
        lists = self.draw(rng, self.odds ** (1 + drift), len(users), K).astype(np.int32)
        recs = ht.Recommendations(self.train.user_ids, self.train.item_ids, users.astype(np.int32), lists)
        test = self.test.subset(np.isin(self.test.users, users))
        return ht.audit(recs, self.train, test, k=K, metrics=METRICS, strict=False)


def alarms(pairs):
    """Return the share of pairs of audits in which each condition alone, any, and all as one gate are met."""
    met, whole, n = dict.fromkeys(CONDITIONS, 0), 0, 0
    for before, after in pairs:
        base, n = read_baseline(before), n + 1
        for condition in CONDITIONS:
            met[condition] += gate(after, [condition], baseline=base)[0].met
        whole += any(judgement.met for judgement in gate(after, CONDITIONS, baseline=base))
    return {"trials": n, "gate": whole / n, "alone": {name: count / n for name, count in met.items()}}


def trials(world, n, before, after, share, drift=0.0):
    """Yield pairs of audits."""
    for trial in range(n):
        rng = np.random.default_rng(trial)
        users = rng.permutation(POPULATION)
        kept = int(share * after)
        later = np.concatenate([users[:kept], users[before : before + after - kept]])
        yield world.audit(rng, users[:before], 0.0), world.audit(rng, later, drift)


def retrained(n):
    """Yield pairs of audits of models that differ by their seed, over the same users."""
    split = ht.split_ratio(ht.datasets.movietweetings(), rng=0)
    audits = []
    for seed in range(n):
        model = ht.models.ALS.for_data(split.train, embedding_dim=32, rng=seed)
        ht.fit(model, split.train, epochs=5)
        audits.append(ht.audit(ht.recommend(model, split.train, k=K), split.train, split.test, k=K, metrics=METRICS))
    yield from combinations(audits, 2)


def page(record):
    """Return the page of a record."""
    world, again = record["world"], record["retrained"]
    rows = []
    for name, found in world.items():
        worst = max(found["alone"], key=found["alone"].get)
        mean = float(np.mean(list(found["alone"].values())))
        rows.append(f"| {name} | {found['gate']:.1%} | {mean:.1%} | {found['alone'][worst]:.1%} ({worst}) |")
    table, largest = "\n".join(rows), ", ".join(f"{name} {value:.1%}" for name, value in again["largest"].items())
    return f"""# How often a gate alarms

Made by `python benchmarks/false_alarms.py --page docs/gate.md` from `benchmarks/records/false_alarms.json`, which the
same script made before.

`headtail audit --baseline old.json --fail-if "gini@10 rises"` should alarm in at most 5% of cases where nothing
drifts. Here are two audits of samples of users of one world with {N_ITEMS:,} items, whose lists are drawn anew from the
same distribution, {next(iter(world.values()))["trials"]} times a row. Each of {len(CONDITIONS)} conditions (eight
metrics that rise or fall) was judged alone, and all of them as one gate.

| Users of the second audit | Gate of all conditions | Conditions alone, mean | Worst condition alone |
|---|---|---|---|
{table}

In the last row the second lists lean more to popular items (the odds to the power of 1.05): those alarms are true.

## A model trained anew

The test knows the chance in who the users are, not that of training. Of {again["trials"]} pairs of ALS models of
MovieTweetings that differ in their seed alone, a gate of all conditions stops {again["gate"]:.0%}. The largest
differences, as shares of the first model's value: {largest}. An amount above what retraining
does, such as "ndcg@10 falls by 10%", leaves it out.
"""


def main():
    """Run the simulations, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    if given.page:
        given.page.write_text(page(json.loads(RECORD.read_text())), encoding="utf-8")
        return
    world, started, record = World(np.random.default_rng(0)), time.perf_counter(), {"world": {}}
    for name, sample in SAMPLES.items():
        record["world"][name] = alarms(trials(world, given.trials, *sample))
        print(f"{name}: {record['world'][name]} after {time.perf_counter() - started:.0f} s", flush=True)
    record["world"]["the same users, with drift"] = alarms(trials(world, given.trials, 1000, 1000, 1.0, drift=0.05))
    pairs = list(retrained(6))
    largest = {
        m.__name__: max(abs(b[f"{m.__name__}@10"] / a[f"{m.__name__}@10"] - 1) for a, b in pairs) for m in METRICS
    }
    record["retrained"] = alarms(pairs) | {"largest": largest}
    print(record["retrained"])
    if given.output:
        given.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
