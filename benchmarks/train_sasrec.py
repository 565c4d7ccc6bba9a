"""Training of SASRec with the full softmax, against RecTools': seconds for two epochs at MovieLens-100k's size.

Both get one architecture, RecTools' defaults unless told otherwise, and the same interactions, threads and number of
epochs. RecTools runs in a process of its own, with the Python of an environment that has it; it trains on each user's
latest items up to the session's length, ours on all of them, so targets a second are shown as well. The times are those
of fit() alone. Run from the repository root:

    python -m venv .venv-rectools && .venv-rectools/bin/pip install "rectools[torch]"
    python benchmarks/train_sasrec.py --peer .venv-rectools/bin/python
"""

import argparse
import os
import tempfile
import time

import numpy as np
import torch
from peers import run_python

from headtail import Interactions, fit, losses
from headtail.models import SASRec

PEER = """
import logging, sys, time, warnings
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
import pandas as pd, torch
from pytorch_lightning import Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
path, length, dim, layers, heads, dropout, epochs, threads = sys.argv[1], *map(float, sys.argv[2:])
torch.set_num_threads(int(threads))
frame = pd.read_csv(path)
frame[Columns.Datetime] = pd.to_datetime(frame[Columns.Datetime], unit="s")
dataset = Dataset.construct(frame.assign(**{Columns.Weight: 1}))

def trainer():
    return Trainer(
        max_epochs=int(epochs), min_epochs=int(epochs), accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False,
    )

model = SASRecModel(
    session_max_len=int(length), n_factors=int(dim), n_blocks=int(layers), n_heads=int(heads), dropout_rate=dropout,
    epochs=int(epochs), loss="softmax", get_trainer_func=trainer, dataloader_num_workers=0,
)
start = time.perf_counter()
model.fit(dataset)
print(time.perf_counter() - start)
"""


def interactions(n_users: int, n_items: int, n: int) -> Interactions:
    """Pairs with popularity falling as 1 / rank^0.8 and activity as lognormal, one a second."""
    rng = np.random.default_rng(0)
    popularity, activity = np.arange(1, n_items + 1) ** -0.8, rng.lognormal(sigma=0.9, size=n_users)
    users = rng.choice(n_users, size=3 * n, p=activity / activity.sum())
    items = rng.choice(n_items, size=3 * n, p=popularity / popularity.sum())
    keys = rng.permutation(np.unique(users * n_items + items))[:n]
    users, items = np.divmod(keys, n_items)
    codes = users.astype(np.int32), items.astype(np.int32)
    return Interactions(np.arange(n_users), np.arange(n_items), *codes, timestamps=np.arange(n))


def ours(args: argparse.Namespace, train: Interactions) -> float:
    # RecTools' feed-forward layers are as wide as the embeddings.
    sizes = (train.n_items, args.length, args.dim, args.layers, args.heads, args.dim)
    model = SASRec(*sizes, args.dropout, rng=0)
    start = time.perf_counter()
    fit(
        model,
        train,
        loss=losses.sampled_softmax,
        n_negatives="all",
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=1e-3,
        weight_decay=0,
        rng=0,
        progress=False,
    )
    return time.perf_counter() - start


def theirs(args: argparse.Namespace, train: Interactions) -> float:
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        train.to_polars().rename({"timestamp": "datetime"}).write_csv(file.name)
        given = [args.length, args.dim, args.layers, args.heads, args.dropout, args.epochs, args.threads]
        return float(run_python(args.peer, [PEER, file.name, *map(str, given)], args.threads))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="Python of an environment with rectools[torch]; without it only ours runs")
    parser.add_argument("--users", type=int, default=943)
    parser.add_argument("--items", type=int, default=1682)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8192, help="targets; RecTools takes 128 users, its default")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeat", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train = interactions(args.users, args.items, args.pairs)
    print(f"{train}, {vars(args)}, load average {os.getloadavg()[0]:.1f}, best of {args.repeat}")

    runs = {"headtail": ours, **({"RecTools": theirs} if args.peer else {})}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.repeat):  # by turns, so that a busy machine is as busy for both
        for name, run in runs.items():
            seconds[name].append(run(args, train))
    best = {name: min(times) for name, times in seconds.items()}
    latest = int(np.minimum(train.activity - 1, args.length).sum())
    for name, targets in (("headtail", len(train)), ("RecTools", latest)):
        if name not in best:
            continue
        speed = args.epochs * targets / best[name]
        ratio = f", {best[name] / best['headtail']:.2f} x the time of ours" if name != "headtail" else ""
        print(f"{name:<9} {best[name]:6.2f} s, {targets:,} targets an epoch, {speed / 1e3:5.1f} k targets/s{ratio}")


if __name__ == "__main__":
    main()
