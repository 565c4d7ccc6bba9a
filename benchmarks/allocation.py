"""Allocation for a million users and 200,000 items: what it takes in seconds and memory, on synthetic vectors.

Relevance and prices are learned from a sample of the users and serve all of them, block by block. Retrieving the
candidates of all users is the work of an index and no part of this: the sample's candidates stand for those of every
block.

    python benchmarks/allocation.py --users 1_000_000 --items 200_000
"""

import argparse
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

import headtail as ht
from headtail.allocation import allocate, allocation_bias, calibrate
from headtail.data import Interactions

K, CANDIDATES, DIM = 10, 300, 32


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds of a part, and the most memory so far."""
    start = time.perf_counter()
    yield
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what}: {time.perf_counter() - start:.1f} s (peak {memory:.1f} GiB)", flush=True)


def main(n_users: int, n_items: int, sample: int) -> None:
    """Measure each part once."""
    rng = np.random.default_rng(0)
    popularity = np.log(1 / (1 + np.arange(n_items)))
    queries = np.column_stack([rng.normal(size=(n_users, DIM - 1)), np.ones(n_users)]).astype(np.float32)
    items = np.column_stack([rng.normal(size=(n_items, DIM - 1)) / 4, popularity / 4]).astype(np.float32)
    ids = np.arange(n_users), np.arange(n_items)
    draws = np.minimum(rng.zipf(1.5, size=10 * n_users), n_items) - 1
    known = Interactions(*ids, rng.integers(n_users, size=len(draws), dtype=np.int32), draws.astype(np.int32))
    users = np.sort(rng.choice(n_users, sample, replace=False))
    with timed(f"{CANDIDATES} candidates of {sample:,} users"):
        recs = ht.recommend(ht.Vectors(queries, items, *ids), known, codes=users, k=CANDIDATES)
    places = np.minimum(rng.geometric(0.03, size=sample) - 1, CANDIDATES - 1)  # what each of them does next
    relevant = Interactions(*ids, users.astype(np.int32), recs.items[np.arange(sample), places].astype(np.int32))
    with timed("relevance, learned"):
        relevance = calibrate(recs, known, relevant, k=K)
    with timed("prices"):
        prices = allocation_bias(recs, relevance(recs, known), strength=0.1, k=K)
    with timed(f"lists of {n_users:,} users"):
        for start in range(0, n_users, sample):
            block = replace(recs, users=np.arange(start, min(start + sample, n_users)))
            lists = allocate(block, relevance(block, known), prices, k=K)
    before, after = (len(np.unique(each.items)) for each in (recs.head(K), lists))
    print(f"items shown to a block of {sample:,} users: {before:,} before, {after:,} after")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000, dest="n_users")
    parser.add_argument("--items", type=int, default=200_000, dest="n_items")
    parser.add_argument("--sample", type=int, default=20_000, help="divides the users")
    main(**vars(parser.parse_args()))
