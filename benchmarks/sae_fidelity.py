"""What an autoencoder of SASRec's states costs in accuracy, with the error dropped, on ml-1m.

It is trained on the states at all positions of the training histories and measured on the queries that users are served
by. Needs a model saved by `headtail.training.save_model`. Run from the repository root:

    python benchmarks/sae_fidelity.py MODEL --neurons 4096 --k 32 --epochs 20
"""

import argparse
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch

from headtail import Interactions
from headtail.data import split_leave_last
from headtail.sae import TopKSAE, fit_sae, load_sae, sae_quality, save_sae
from headtail.training import load_model, vectors


@torch.no_grad()
def states(model: torch.nn.Module, train: Interactions) -> np.ndarray:
    """Return the states (n, d) at all positions of all histories, cut into windows where they are longer."""
    length, ends, found = model.max_length, np.cumsum(train.activity), []
    windows = [
        train.histories[max(end - n, stop - length) : stop]
        for end, n in zip(ends, train.activity, strict=True)
        for stop in range(end, end - n, -length)
    ]
    for start in range(0, len(windows), 256):
        batch = torch.full((len(windows[start : start + 256]), length), -1)
        for row, window in zip(batch, windows[start : start + 256], strict=True):
            row[length - len(window) :] = torch.from_numpy(window.astype(np.int64))
        found.append(model.states(batch).queries[batch >= 0])
    return torch.cat(found).numpy()


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ml-1m"))
    parser.add_argument("--neurons", type=int, default=4096)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--aux", type=float, default=0.5)
    parser.add_argument("--dead-after", type=int)
    parser.add_argument("--states", type=Path, help="file to keep the states in, or to read them from")
    parser.add_argument("--start", type=Path, help="a saved autoencoder to go on from")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    frame = pl.read_parquet(args.data / "interactions.parquet").select("user_id", "item_id", "order")
    split = split_leave_last(Interactions.from_frame(frame, k_core=5))
    model = load_model(args.model).eval()
    if args.states and args.states.exists():
        x = np.load(args.states)
    else:
        x = states(model, split.train)
        if args.states:
            np.save(args.states, x)
    parts = {"validation": (split.train, split.validation), "test": (split.known, split.test)}
    queries = {name: vectors(model, interactions=known) for name, (known, _) in parts.items()}
    sae = load_sae(args.start) if args.start else TopKSAE(x.shape[1], k=args.k, n_neurons=args.neurons, rng=args.seed)
    start = time.perf_counter()
    history = fit_sae(
        sae, x, epochs=args.epochs, lr=args.lr, batch_size=args.batch, aux_weight=args.aux, dead_after=args.dead_after,
        checkpoint=args.checkpoint, rng=args.seed,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    for row in history.rows:
        print({name: round(value, 5) for name, value in row.items()})
    print(f"{vars(args)}: {seconds:.0f} s, FVU {history.best_value:.4f} on held-out states")
    for name, (known, later) in parts.items():
        found = sae_quality(sae, queries[name].queries, vectors=queries[name], train=known, test=later, k=10)
        print(
            f"{name}: FVU of the queries {found.fvu:.4f}, dead {found.dead:.3f}\n  {found.fidelity.to_dict()}",
            flush=True,
        )
    if args.out:
        save_sae(sae, args.out)


if __name__ == "__main__":
    main()
