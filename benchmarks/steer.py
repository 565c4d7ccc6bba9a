"""What steering adds to the full ranking of a SASRec of MovieLens-1M's size, and what the autoencoder alone takes.

The weights are untrained, which changes no time. The plain and the steered ranking take turns. From the root:

    python benchmarks/steer.py --threads 2
"""

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import polars as pl
import torch

from headtail import recommend
from headtail.data import Interactions
from headtail.models import SASRec
from headtail.sae import Steered, Steering, TopKSAE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=6040)
    parser.add_argument("--items", type=int, default=3416)
    parser.add_argument("--length", type=int, default=160, help="interactions of a user")
    parser.add_argument("--neurons", type=int, default=4096)
    parser.add_argument("--active", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    history = _history(args.users, args.items, args.length)
    model = SASRec(args.items, max_length=100, embedding_dim=64, rng=0)
    sae = TopKSAE(64, args.neurons // 64, args.active, rng=0)
    steered = Steered(model, Steering(sae, shift=0.1 * torch.randn(sae.n_neurons)))
    queries = torch.randn(2048, 64)
    print(f"{history}, {sae.n_neurons} neurons, {args.threads} threads, load {os.getloadavg()[0]:.1f}")

    with torch.no_grad():
        step = min(_seconds(lambda: sae(queries)) for _ in range(5 * args.repeat))
    print(f"autoencoder, 2,048 users: {1e3 * step:.1f} ms")
    times = [
        tuple(_seconds(lambda made=made: recommend(made, history, k=10)) for made in (model, steered))
        for _ in range(args.repeat)
    ]
    plain, changed = np.median(times, axis=0)
    ratio = np.median([b / a for a, b in times])
    print(f"full ranking: {plain:.2f} s, steered {changed:.2f} s, {ratio - 1:+.1%} (median of {args.repeat} pairs)")


def _history(n_users: int, n_items: int, length: int) -> Interactions:
    random = np.random.default_rng(0)
    items = np.concatenate([random.choice(n_items, length, replace=False) for _ in range(n_users)])
    users = np.repeat(np.arange(n_users), length)
    return Interactions.from_frame(
        pl.DataFrame({"user_id": users, "item_id": items, "timestamp": np.arange(len(users))})
    )


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
