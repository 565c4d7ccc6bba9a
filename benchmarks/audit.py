"""Audit speed: 100,000 users x 50,000 items, top-10, 5 M training interactions, five metrics, from pandas frames.

    python benchmarks/audit.py              # ours alone, in ms
    python benchmarks/audit.py --peer       # beside RecTools' calc_metrics (pip install rectools, apart)

The floor is one read of the columns used: 6 M user and item ids of training and recommendations, 96 MB.
"""

import argparse
import time

import numpy as np
import pandas as pd


def world(n_users=100_000, n_items=50_000, n_train=5_000_000, n_test=1_000_000, k=10, seed=0):
    """Return pandas frames with Zipf-like items: training, test and recommendations."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, n_items + 1) ** 0.8
    weights /= weights.sum()

    def pairs(n):
        drawn = rng.integers(0, n_users, n) * n_items + rng.choice(n_items, n, p=weights)
        return np.unique(drawn)

    both = pairs(n_train + n_test)
    in_test = rng.random(len(both)) < n_test / (n_train + n_test)
    recs = (rng.integers(0, n_items, (n_users, 1)) + np.arange(k) * 7919) % n_items
    frames = [pd.DataFrame({"user_id": p // n_items, "item_id": p % n_items}) for p in (both[~in_test], both[in_test])]
    lists = {"user_id": np.repeat(np.arange(n_users), k), "item_id": recs.ravel()}
    return *frames, pd.DataFrame(lists | {"rank": np.tile(np.arange(1, k + 1), n_users)})


def show(name, run, repeats=7):
    """Time a call after one warm-up, print the median and the range, and return the median in seconds."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    median = float(np.median(times))
    print(f"{name:40} median {median * 1e3:6.0f} ms  ({min(times) * 1e3:.0f} to {max(times) * 1e3:.0f})")
    return median


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="store_true", help="time RecTools' calc_metrics in the same process too")
    arguments = parser.parse_args()
    train, test, recs = world()
    print(f"training {len(train):,}, test {len(test):,}, recommendations {len(recs):,}")

    from headtail import Interactions, audit
    from headtail.metrics import arp, coverage, gini, ndcg, recall

    five = [ndcg, recall, arp, coverage, gini]
    options = {"k": 10, "metrics": five, "n_bootstrap": 0, "catalogue": range(50_000), "strict": False}
    ours = show("headtail, all from frames", lambda: audit(recs, train, test, **options))
    known, held_out = Interactions.from_frame(train), Interactions.from_frame(test)
    again = show("headtail, training and test read before", lambda: audit(recs, known, held_out, **options))
    if arguments.peer:
        from rectools.metrics import NDCG, AvgRecPopularity, CatalogCoverage, MeanInvUserFreq, Recall, calc_metrics

        metrics = {
            "ndcg": NDCG(10),
            "recall": Recall(10),
            "arp": AvgRecPopularity(10),
            "coverage": CatalogCoverage(10),
            "miuf": MeanInvUserFreq(10),
        }
        catalogue = np.arange(50_000)
        data = {"interactions": test, "prev_interactions": train, "catalog": catalogue}
        peer = show("RecTools", lambda: calc_metrics(metrics, recs, **data), repeats=3)
        print(f"RecTools / headtail: {peer / ours:.1f} from frames, {peer / again:.1f} with both read before")


if __name__ == "__main__":
    main()
