"""Training of MF and LightGCN on MovieLens-1M: pairs a second, with and without ReSN, beside RecBole and implicit.

All on the same pairs, dimensions and number of threads. MF: RecBole at its own batch size and at ours, implicit one
pair at a time, as it does. LightGCN: RecBole at our batch size. Every ratio comes from one run. How to set up the
peers: benchmarks/peers.py. From the root:

    python benchmarks/train_users.py --peer recbole=.venv-recbole/bin/python --peer implicit=.venv-implicit/bin/python
    python benchmarks/train_users.py --model lightgcn --peer recbole=.venv-recbole/bin/python
    python benchmarks/train_users.py --pairs 2e5 2e6 2e7    # as the data and the tables grow, in CPU seconds
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import IMPLICIT, RECBOLE, read, run_peer

from headtail import MF, Interactions, ReSN, fit, losses
from headtail.models import LightGCN

PEERS = {
    "implicit": IMPLICIT
    + """
from implicit.cpu.bpr import BayesianPersonalizedRanking
train = train.tocsr()
def run():
    more = dict(num_threads=given["threads"], random_state=0)
    model = BayesianPersonalizedRanking(factors=given["dim"], iterations=5, **more)
    model.fit(train, show_progress=False)
print(json.dumps({"BPR": best(run) / 5}))
""",
    "recbole": RECBOLE
    + """
name, layers = ("LightGCN", {"n_layers": given["layers"]}) if "layers" in given else ("BPR", {})
sizes = {given["batch"]} if layers else {2048, given["batch"]}
print(json.dumps({f"{name}, batch {size}": epoch_seconds(name, size, given["epochs"], **layers) for size in sizes}))
""",
}


BPR: dict[str, Any] = {"loss": losses.bpr, "n_negatives": 1}
MSE: dict[str, Any] = {"loss": losses.mse, "n_negatives": 4}
CASES: dict[str, dict[str, dict[str, Any]]] = {
    "mf": {
        "bpr, 1 negative": BPR,
        "bpr, 1 negative, ReSN linear": BPR | {"penalties": [ReSN(1e-4)]},
        "bpr, 1 negative, ReSN sigmoid": BPR | {"penalties": [ReSN(1e-4, "sigmoid")]},
        "mse, 4 negatives": MSE,
        "mse, 4 negatives, ReSN linear": MSE | {"penalties": [ReSN(1e-4)]},
        "softmax, 8 negatives": {"loss": losses.sampled_softmax, "n_negatives": 8},
    },
    "lightgcn": {"bpr, 1 negative": BPR, "bpr, 1 negative, ReSN linear": BPR | {"penalties": [ReSN(1e-4)]}},
}


def seconds_an_epoch(args: argparse.Namespace, train: Interactions, settings: dict[str, Any]) -> float:
    if args.model == "mf":
        model: Any = MF(train.n_users, train.n_items, args.dim, rng=0)
    else:
        model = LightGCN(train, args.dim, args.layers, rng=0)
    how = {"epochs": args.epochs, "batch_size": args.batch_size, "device": args.device, "rng": 0, "progress": False}
    return min(row["seconds"] for row in fit(model, train, **how, **settings).rows)


def world(n_pairs: int) -> Interactions:
    """Return pairs of users with 10 each, among a hundredth as many items, the popular ones drawn more often."""
    rng = np.random.default_rng(0)
    n_users, n_items = n_pairs // 10, n_pairs // 100
    items = np.minimum((n_items * rng.random(n_pairs) ** 2).astype(np.int64), n_items - 1)
    keys = np.unique(np.repeat(np.arange(n_users), 10)[:n_pairs] * n_items + items)
    users, items = (keys // n_items).astype(np.int32), (keys % n_items).astype(np.int32)
    return Interactions(np.arange(n_users), np.arange(n_items), users, items)


def growth(sizes: list[float], **settings: Any) -> None:
    """Print pairs a second of a second epoch for data of these sizes, and the slope of its CPU time over them."""
    found = []
    for size in sizes:
        train, ends = world(int(size)), []
        model = MF(train.n_users, train.n_items, 64, rng=0)
        stamp = lambda *_, ends=ends: ends.append(time.process_time())  # noqa: E731
        fit(model, train, epochs=2, rng=0, progress=False, callbacks=[stamp], **BPR, **settings)
        found.append((len(train), ends[1] - ends[0]))
        users, items = f"{train.n_users:,} users", f"{train.n_items:,} items"
        print(f"{len(train):12,} pairs, {users}, {items}: {len(train) / found[-1][1] / 1e6:.3f} M pairs/s", flush=True)
    if len(sizes) > 1:
        print(f"slope {np.polyfit(*np.log(found).T, 1)[0]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=CASES, default="mf")
    parser.add_argument("--layers", type=int, default=3, help="of LightGCN")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help=f"one of {', '.join(PEERS)}")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ml-1m"))
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bpr-only", action="store_true")
    parser.add_argument("--pairs", type=float, nargs="+", help="only BPR, on random data of these sizes")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    load = os.getloadavg()[0]
    if args.pairs:
        print(f"MF with BPR, d = 64, batch {args.batch_size}, {args.threads} threads, load {load:.1f}")
        growth(args.pairs, batch_size=args.batch_size)
        return
    train, test = read(args.data)
    print(f"{train}, d = {args.dim}, batch {args.batch_size}, {args.threads} threads, {args.device}, load {load:.1f}")

    plain = bpr = 0.0
    for name, settings in list(CASES[args.model].items())[: 1 if args.bpr_only else None]:
        seconds = seconds_an_epoch(args, train, settings)
        cost = f", {seconds / plain - 1:+.1%} over the same without" if "penalties" in settings else ""
        plain = plain if "penalties" in settings else seconds
        bpr = bpr or seconds
        print(f"{name:32s} {len(train) / seconds / 1e6:6.2f} M pairs/s{cost}", flush=True)
    given = {"dim": args.dim, "batch": args.batch_size, "epochs": args.epochs, "threads": args.threads}
    given |= {"layers": args.layers} if args.model == "lightgcn" else {}
    for peer in args.peer:
        library, python = peer.split("=", 1)
        for name, seconds in run_peer(python, PEERS[library], train, test, given).items():
            speed = len(train) / seconds / 1e6
            print(
                f"{library + ' ' + name:32s} {speed:6.2f} M pairs/s, ours is {seconds / bpr:.2f} x as fast", flush=True
            )


if __name__ == "__main__":
    main()
