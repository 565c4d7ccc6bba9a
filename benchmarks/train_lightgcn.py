"""An epoch of LightGCN with BPR on MovieLens-1M beside RecBole's: three layers, the same batch size and threads.

How to set up RecBole: benchmarks/peers.py. From the root:

    python benchmarks/train_lightgcn.py --peer .venv-recbole/bin/python
"""

import argparse
import os
from pathlib import Path

import torch
from peers import RECBOLE, read, run_peer

from headtail import fit
from headtail.models import LightGCN

PEER = (
    RECBOLE
    + """
print(json.dumps({"seconds": epoch_seconds("LightGCN", given["batch"], given["epochs"], n_layers=given["layers"])}))
"""
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", metavar="PYTHON", help="Python of an environment with RecBole")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ml-1m"))
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train, test = read(args.data)
    load = os.getloadavg()[0]
    sizes = f"d = {args.dim}, {args.layers} layers, batch {args.batch_size}, {args.threads} threads"
    print(f"{train}, {sizes}, load {load:.1f}")

    model = LightGCN(train, args.dim, args.layers, rng=0)
    rows = fit(model, train, epochs=args.epochs, batch_size=args.batch_size, rng=0, progress=False).rows
    ours = min(row["seconds"] for row in rows)
    print(f"headtail {ours:7.2f} s an epoch, {len(train) / ours / 1e3:.0f} k pairs/s", flush=True)
    if args.peer:
        given = {
            "dim": args.dim,
            "batch": args.batch_size,
            "epochs": args.epochs,
            "layers": args.layers,
            "threads": args.threads,
        }
        seconds = run_peer(args.peer, PEER, train, test, given)["seconds"]
        print(f"RecBole  {seconds:7.2f} s an epoch, ours is {seconds / ours:.2f} x as fast")


if __name__ == "__main__":
    main()
