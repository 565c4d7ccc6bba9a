"""ALS, without and with the spectral term, against the ALS of `implicit`: seconds and NDCG@20 on one split.

implicit runs in a process of its own with as many threads. How to set it up: benchmarks/peers.py. From the root:

    python benchmarks/als.py --peer .venv-implicit/bin/python
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from peers import IMPLICIT, read, run_peer

from headtail import Interactions, ReSN, audit, fit, metrics, recommend, spectrum
from headtail.models import ALS

METRICS = {"ndcg": metrics.ndcg, "gini": metrics.gini, "head_share": metrics.head_share}
SPLITS = {"ml-1m": "resn_split", "gowalla": "split"}
# Unobserved weight and weight decay by NDCG@20 on the test part, from a coarse grid, as implicit's alpha below.
SETTINGS = {"ml-1m": (1.0, 0.003), "gowalla": (0.01, 0.01)}

PEER = (
    IMPLICIT
    + """
from implicit.cpu.als import AlternatingLeastSquares
train, more = train.tocsr(), {"num_threads": given["threads"], "random_state": 0}
def run():
    global model
    model = AlternatingLeastSquares(
        factors=given["dim"], alpha=given["alpha"], regularization=given["decay"], **more
    )
    model.fit(train, show_progress=False)
seconds = best(run)
np.savez(given["factors"], users=model.user_factors, items=model.item_factors)
print(json.dumps({"seconds": seconds}))
"""
)


def theirs(
    args: argparse.Namespace, train: Interactions, test: Interactions, alpha: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Fit implicit with its default iterations (15); return the shortest time and the factors."""
    given = {"alpha": alpha, "decay": args.peer_decay, "dim": args.dim, "threads": args.threads, "repeat": args.repeat}
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/factors.npz"
        seconds = run_peer(args.peer, PEER, train, test, {**given, "factors": file})["seconds"]
        found = np.load(file)
        return seconds, found["users"], found["items"]


def ours(args: argparse.Namespace, train: Interactions, resn: float, epochs: int) -> tuple[float, ALS]:
    """Fit ours; return the shortest time, from the interactions to the result, and the last model."""
    seconds = []
    for _ in range(args.repeat):
        weight, decay = (SETTINGS[args.set][i] if g is None else g for i, g in enumerate((args.weight, args.decay)))
        sizes = (train.n_users, train.n_items, args.dim)
        model = ALS(*sizes, unobserved_weight=weight, weight_decay=decay, steps=args.steps, rng=0)
        penalties = [
            ReSN(resn * weight * train.n_users / len(train))
        ]  # along popularity all costs 1 + resn times as much
        start = time.perf_counter()
        fit(model, train, epochs=epochs, penalties=penalties, progress=False)
        seconds.append(time.perf_counter() - start)
    return min(seconds), model


def measure(queries: object, items: object, train: Interactions, test: Interactions) -> dict[str, float]:
    """Return the figures on the test part."""
    lists = recommend((queries, items), train, k=20)
    found = audit(lists, train, test, k=20, metrics=METRICS, n_bootstrap=0)
    alignment = spectrum(queries, items, popularity=train.popularity).alignment[0]
    return {**{name: found[f"{name}@20"] for name in METRICS}, "cosine": float(alignment)}


def show(name: str, seconds: float, figures: dict[str, float], peer: tuple[float, float] | None) -> None:
    ratio = "" if peer is None else f"  {peer[0] / seconds:5.2f} x as fast, NDCG {figures['ndcg'] / peer[1]:.3f} x"
    values = "  ".join(f"{key} {value:.4f}" for key, value in figures.items())
    print(f"{name:<32} {seconds:7.2f} s  {values}{ratio}", flush=True)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="Python of an environment with implicit; without it only ours runs")
    parser.add_argument("--set", choices=SPLITS, default="ml-1m")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--weight", type=float)
    parser.add_argument("--decay", type=float)
    parser.add_argument("--resn", type=float, nargs="*", default=[0, 0.3, 1, 3, 10])
    parser.add_argument("--alphas", type=float, nargs="*", default=[1, 3, 10], help="implicit's; 1 is its default")
    parser.add_argument("--peer-decay", type=float, default=0.01, help="implicit's regularization; 0.01 is its default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train, test = read(args.data / args.set, SPLITS[args.set])
    load = os.getloadavg()[0]
    print(
        f"{args.set}: {train}, d = {args.dim}, {args.threads} threads, load average {load:.1f}, best of {args.repeat}"
    )

    best = None
    for alpha in args.alphas if args.peer else []:
        seconds, *factors = theirs(args, train, test, alpha)
        figures = measure(*factors, train, test)
        show(f"implicit, alpha {alpha:g}", seconds, figures, None)
        if best is None or figures["ndcg"] > best[1]:
            best = seconds, figures["ndcg"]
    for resn in args.resn:
        seconds, model = ours(args, train, resn, args.epochs)
        show(f"ALS, resn {resn:g}", seconds, measure(model.users, model.items, train, test), best)
    for epochs in range(1, args.epochs + 1) if best else []:
        seconds, model = ours(args, train, 0.0, epochs)
        figures = measure(model.users, model.items, train, test)
        if figures["ndcg"] >= best[1]:
            show(f"ALS to implicit's NDCG, {epochs} epochs", seconds, figures, best)
            break


if __name__ == "__main__":
    main()
