"""ReSN on MovieLens-1M: what each weight costs and gives, on the split of the ReSN authors.

Every rating counts as a positive; a tenth of each user's training part is held out to choose the epoch; figures are on
the test part. Run from the repository root: python benchmarks/resn_ml1m.py
"""

import argparse
import time
from functools import partial
from pathlib import Path

import polars as pl
import torch
from rich.console import Console
from rich.table import Table

from headtail import MF, Interactions, ReSN, audit, fit, losses, metrics, recommend, spectrum, split_ratio
from headtail.training import vectors

METRICS = {
    "ndcg": metrics.ndcg,
    "head_share": metrics.head_share,
    "arp": metrics.arp,
    "gini": metrics.gini,
    "coverage": metrics.coverage,
}
LOSSES = {
    "bpr": (losses.bpr, 1),
    "softmax": (losses.sampled_softmax, 8),
    "bce": (losses.bce, 4),
    "mse": (losses.mse, 4),
    "mse-identity": (partial(losses.mse, link="identity"), 4),
}
WEIGHTS = {"linear": (0.0, 1e-4, 3e-4, 1e-3, 3e-3), "sigmoid": (0.0, 1e-3, 3e-3, 1e-2, 3e-2)}


def read(folder: Path) -> tuple[Interactions, Interactions, Interactions, Interactions]:
    """Return the part to learn from, the one to choose with, both together, and the test part."""
    frame = pl.read_parquet(folder / "interactions.parquet")
    interactions = Interactions.from_frame(frame)
    in_train = (frame["resn_split"] == "train").to_numpy()
    known, test = interactions.subset(in_train), interactions.subset(~in_train)
    split = split_ratio(known, test=0.1, validation=None, rng=0)
    return split.train, split.test, known, test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ml-1m"))
    parser.add_argument("--loss", choices=LOSSES, default="softmax")
    parser.add_argument("--form", choices=WEIGHTS, default="linear")
    parser.add_argument("--weights", type=float, nargs="*")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--weight-decay", type=float, default=5e-6)
    parser.add_argument("--device", default=None)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train, validation, known, test = read(args.data)
    loss, n_negatives = LOSSES[args.loss]

    title = f"MF {args.loss}, d = {args.dim}, ReSN {args.form}: ml-1m, resn_split, test part"
    table = Table(title=title)
    headings = ("weight", "validation NDCG@20", "NDCG@20", "head exposure", "ARP", "Gini", "coverage", "cos(q1, r)")
    for heading in (*headings, "sigma1 / sigma2", "epochs", "seconds"):
        table.add_column(heading, justify="right")
    for weight in WEIGHTS[args.form] if args.weights is None else args.weights:
        start = time.perf_counter()
        model = MF(train.n_users, train.n_items, args.dim, rng=0)
        history = fit(
            model,
            train,
            loss=loss,
            n_negatives=n_negatives,
            penalties=[ReSN(weight, args.form)] if weight else [],
            validation=validation,
            epochs=args.epochs,
            batch_size=args.batch_size,
            lr=args.lr,
            weight_decay=args.weight_decay,
            patience=3,
            device=args.device,
            rng=0,
        )
        seconds = time.perf_counter() - start
        factors = vectors(model)
        lists = recommend(factors, known, k=20)
        found = audit(lists, known, test, k=20, metrics=METRICS, n_bootstrap=0)
        spectral = spectrum(*(matrix.cpu() for matrix in factors), popularity=train.popularity)
        row = [f"{weight:g}", f"{history.best_value:.4f}", *(f"{found[f'{name}@20']:.4f}" for name in METRICS)]
        row[4] = f"{found['arp@20']:.1f}"
        row += [f"{spectral.alignment[0]:.3f}", f"{spectral.sigma[0] / spectral.sigma[1]:.2f}"]
        table.add_row(*row, f"{history.best_epoch}/{len(history.rows)}", f"{seconds:.0f}")
        print(*row, f"{history.best_epoch}/{len(history.rows)}", f"{seconds:.0f} s", flush=True)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
