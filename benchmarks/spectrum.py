"""Time of `spectrum` against the floor (reading the factors) and against scipy's svds on a LinearOperator.

    OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 python benchmarks/spectrum.py

The floor of an exact spectrum, n users, m items, d dimensions, factors of b bytes a number:
    bytes: (n + m) d b, each factor once                      1M + 200k, d = 64, float32: 307 MB
    flops: (n + m) d^2, one symmetric product for each factor    the same: 4.9 G in float64
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, svds

from headtail.spectral import spectrum


def timed(work: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Return the shortest and the median time in seconds."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times), statistics.median(times)


def factors(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return random factors in float32 with a decaying spectrum, and a popularity."""
    rng = np.random.default_rng(0)
    decay = (np.arange(1, d + 1) ** -0.5).astype(np.float32)
    queries = rng.standard_normal((n, d), dtype=np.float32) * decay
    items = rng.standard_normal((m, d), dtype=np.float32) * decay
    return queries, items, np.ceil(1e5 / np.arange(1, m + 1))


def operator(queries: np.ndarray, items: np.ndarray) -> LinearOperator:
    """Return the score matrix as an operator that never forms it."""
    return LinearOperator(
        shape=(len(queries), len(items)),
        matvec=lambda x: queries @ (items.T @ x),
        rmatvec=lambda x: items @ (queries.T @ x),
        matmat=lambda x: queries @ (items.T @ x),
        rmatmat=lambda x: items @ (queries.T @ x),
        dtype=queries.dtype,
    )


def compare(n: int, m: int, d: int, repeat: int) -> None:
    """Print the times and ratios for one size."""
    queries, items, popularity = factors(n, m, d)
    ours, median = timed(lambda: spectrum(queries, items, popularity=popularity), repeat)
    print(f"{n:,} users x {m:,} items, d = {d}, float32")
    print(f"  spectrum, all {d} values      {ours:8.3f} s (median {median:.3f}), {(n + m) / ours / 1e6:.1f} M rows/s")
    read, median = timed(lambda: (queries.sum(), items.sum()), repeat)
    print(f"  reading both factors         {read:8.3f} s (median {median:.3f}); ours takes {ours / read:.1f} readings")
    flops = (n + m) * d * d
    print(f"  floor: {queries.nbytes + items.nbytes:,} bytes, {flops:,} flops; ours: {flops / ours / 1e9:.1f} Gflop/s")
    sigma = spectrum(queries, items).sigma
    for k in (10, d):
        theirs, median = timed(lambda k=k: svds(operator(queries, items), k=k, rng=0), 3 if k < d else 1)
        print(f"  svds, first {k} values        {theirs:8.3f} s (median {median:.3f}): {theirs / ours:.1f} times ours")
    other = np.sort(svds(operator(queries, items), k=10, rng=0, return_singular_vectors=False))[::-1]
    print(f"  largest relative difference of the first 10 values: {np.max(np.abs(sigma[:10] / other - 1)):.1e}")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"threads: OPENBLAS_NUM_THREADS={os.environ.get('OPENBLAS_NUM_THREADS', 'default')}; load average {load}")
    for share in (10, 4, 2, 1):  # linear in users plus items: the times should halve with the size
        compare(options.users // share, options.items // share, options.dim, options.repeat)


if __name__ == "__main__":
    main()
