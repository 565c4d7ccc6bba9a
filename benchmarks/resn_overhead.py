"""What ReSN adds to an epoch of MF with BPR, at the size of Gowalla: a power-law world, made here.

The plain and the penalized epochs take turns, so that a busy moment of the machine falls on all; the CPU time of an
epoch, which other programs change less, stands beside the time on the clock. From the root:

    python benchmarks/resn_overhead.py
"""

import argparse
import os
import time

import torch

from headtail import MF, ReSN, fit
from headtail.datasets import power_law


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=29_858)
    parser.add_argument("--items", type=int, default=40_981)
    parser.add_argument("--pairs", type=int, default=1_027_370)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=3, help="of each, best counts; one more each to warm up")
    parser.add_argument("--forms", nargs="*", default=["linear", "sigmoid"], choices=["linear", "sigmoid"])
    parser.add_argument("--every", type=int, default=10, help="batches from one with the penalty to the next, too")
    parser.add_argument("--share", type=float, default=0.05, help="of the pairs, for the sigmoid form")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train = power_law(args.users, args.items, n_interactions=args.pairs, rng=0).interactions
    load = os.getloadavg()[0]
    print(f"{train}, d = {args.dim}, batch {args.batch_size}, {args.threads} threads, load {load:.1f}")

    for form in args.forms:
        part = train
        if form == "sigmoid":  # so slow that a few batches say it
            part = train.subset(torch.arange(len(train)).numpy() % round(1 / args.share) == 0)
        best: dict[str, tuple[float, float]] = {}
        for _ in range(args.epochs):
            cases = {"plain": ([], 1), form: ([ReSN(1e-4, form)], 1)}
            cases[f"{form}, every {args.every}"] = ([ReSN(1e-4, form)], args.every)
            for name, (penalties, every) in cases.items():
                ends: list[float] = [0.0]
                mark = lambda model, row, ends=ends: ends.append(time.process_time())  # noqa: E731
                model = MF(args.users, args.items, args.dim, rng=0)
                rows = fit(
                    model,
                    part,
                    penalties=penalties,
                    penalty_every=every,
                    epochs=2,
                    batch_size=args.batch_size,
                    rng=0,
                    progress=False,
                    callbacks=[mark],
                ).rows
                found = rows[1]["seconds"], ends[2] - ends[1]
                best[name] = tuple(map(min, best.get(name, found), found))  # type: ignore[assignment]
        steps = -(-len(part) // args.batch_size)
        for name, (seconds, busy) in best.items():
            cost = [f"{a / b - 1:+.0%}" for a, b in zip((seconds, busy), best["plain"], strict=True)]
            added = "" if name == "plain" else f"  {cost[0]} on the clock, {cost[1]} of CPU time"
            print(
                f"{name:18} {seconds / steps * 1e3:7.1f} ms a step, CPU {busy / steps * 1e3:7.1f} ms{added}", flush=True
            )


if __name__ == "__main__":
    main()
