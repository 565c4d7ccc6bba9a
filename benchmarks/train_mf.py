"""Speed of MF training and of full ranking, beside what bounds it, on interactions of MovieLens-1M's size.

Every ratio comes from one run. Run from the repository root: python benchmarks/train_mf.py
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from headtail import MF, Interactions, ReSN, fit, losses, recommend
from headtail.training import ranking


def interactions(n_users: int, n_items: int, n: int) -> Interactions:
    """Pairs drawn with popularity falling as 1 / rank^0.8."""
    rng = np.random.default_rng(0)
    weights = np.arange(1, n_items + 1) ** -0.8
    keys = rng.integers(n_users, size=2 * n) * n_items + rng.choice(n_items, size=2 * n, p=weights / weights.sum())
    keys = rng.permutation(np.unique(keys))[:n]
    users, items = np.divmod(keys, n_items)
    return Interactions(np.arange(n_users), np.arange(n_items), users.astype(np.int32), items.astype(np.int32))


def best_of(repeats: int, run: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def seconds_an_epoch(train: Interactions, dim: int, epochs: int, device: str, **settings: object) -> float:
    model = MF(train.n_users, train.n_items, dim, rng=0)
    return min(row["seconds"] for row in fit(model, train, epochs=epochs, rng=0, device=device, **settings).rows)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=6040)
    parser.add_argument("--items", type=int, default=3706)
    parser.add_argument("--pairs", type=int, default=800_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    train = interactions(args.users, args.items, args.pairs)
    print(f"{train}, d = {args.dim}, batch {args.batch_size}, {torch.get_num_threads()} threads, {args.device}")

    cases = {
        "bpr, 1 negative": {},
        "bpr, 1 negative, ReSN linear": {"penalties": [ReSN(1e-4)]},
        "mse, 4 negatives": {"loss": losses.mse, "n_negatives": 4},
        "mse, 4 negatives, ReSN linear": {"loss": losses.mse, "n_negatives": 4, "penalties": [ReSN(1e-4)]},
        "softmax, 8 negatives": {"loss": losses.sampled_softmax, "n_negatives": 8},
    }
    plain = 0.0
    for name, settings in cases.items():
        seconds = seconds_an_epoch(train, args.dim, args.epochs, args.device, batch_size=args.batch_size, **settings)
        cost = f", {seconds / plain - 1:+.1%} over the same without" if "penalties" in settings else ""
        plain = plain if "penalties" in settings else seconds
        print(f"{name:32s} {len(train) / seconds / 1e6:6.2f} M pairs/s{cost}", flush=True)

    source = torch.Generator().manual_seed(0)
    queries = torch.randn(args.users, args.dim, generator=source).to(args.device)
    items = torch.randn(args.items, args.dim, generator=source).to(args.device)
    rows, columns = (ranking._CUDA_USERS, ranking._CUDA_ITEMS) if queries.is_cuda else (ranking._USERS, ranking._ITEMS)

    def bound() -> None:
        for part in queries.split(rows):
            for block in items.split(columns):
                (part @ block.T).topk(20)[1].cpu()

    fastest = best_of(5, bound)
    ours = best_of(5, lambda: recommend((queries, items), train, k=20))
    print(
        f"recommend, k = 20: {args.users / ours:,.0f} users/s, {fastest / ours:.0%} of matmul + topk of the same blocks"
    )


if __name__ == "__main__":
    main()
