"""ReSN on MovieLens-1M: what each weight costs and gives, on the split of the ReSN authors.

Every rating counts as a positive. A tenth of each user's training part is held out as validation; all weights train for
the same number of epochs, so that only the weight differs; figures are on the test part, over items that are neither
in the training nor in the validation part. Run from the repository root: python benchmarks/resn_ml1m.py
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from peers import read
from rich.console import Console
from rich.table import Table

from headtail import MF, ReSN, Vectors, audit, fit, losses, metrics, recommend, spectrum, split_ratio
from headtail.training import vectors

METRICS = {
    "ndcg": metrics.ndcg,
    "head_share": metrics.head_share,
    "arp": metrics.arp,
    "gini": metrics.gini,
    "coverage": metrics.coverage,
}
LOSSES = {
    "mse": (losses.mse, 4),
    "mse-sigmoid": (partial(losses.mse, link="sigmoid"), 4),
    "bce": (losses.bce, 4),
    "bpr": (losses.bpr, 1),
    "softmax": (losses.sampled_softmax, 8),
}
WEIGHTS = {"linear": (0.0, 3e-5, 1e-4, 3e-4, 1e-3), "sigmoid": (0.0, 1e-4, 3e-4, 1e-3, 3e-3)}


def first_directions(factors: Vectors, form: str, popularity: np.ndarray) -> tuple[float, float, float]:
    """Return cos(q_1, r), sigma_1 / sigma_2 and the share of the scores' energy along r, of the scores of the form."""
    queries, items = (matrix.cpu() for matrix in factors)
    if form == "linear":
        found = spectrum(queries, items, popularity=popularity)
        assert found.alignment is not None
        along = np.sum((found.sigma * found.alignment) ** 2) / found.total_energy
        return found.alignment[0], found.sigma[0] / found.sigma[1], along
    scores = (queries @ items.T).sigmoid()
    r = torch.tensor(popularity / np.linalg.norm(popularity), dtype=scores.dtype)
    torch.manual_seed(0)
    _, sigma, right = torch.svd_lowrank(scores, q=10, niter=8)
    along = (scores @ r).square().sum() / scores.square().sum()
    return abs((right[:, 0] @ r).item()), (sigma[0] / sigma[1]).item(), along.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ml-1m"))
    parser.add_argument("--loss", choices=LOSSES, default="mse")
    parser.add_argument("--form", choices=WEIGHTS, default="linear")
    parser.add_argument("--weights", type=float, nargs="*")
    parser.add_argument("--penalty-every", type=int, default=1, help="batches from one with the penalty to the next")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--weight-decay", type=float, default=5e-6)
    parser.add_argument("--device", default=None)
    args = parser.parse_args()
    known, test = read(args.data)
    split = split_ratio(known, test=0.1, validation=None, rng=0)
    train, validation = split.train, split.test
    loss, n_negatives = LOSSES[args.loss]

    table = Table(title=f"MF {args.loss}, d = {args.dim}, ReSN {args.form}: ml-1m, resn_split, test part")
    headings = ("weight", "validation NDCG@20", "NDCG@20", "head exposure", "ARP", "Gini", "coverage")
    for heading in (*headings, "cos(q1, r)", "sigma1 / sigma2", "energy along r", "seconds"):
        table.add_column(heading, justify="right")
    for weight in WEIGHTS[args.form] if args.weights is None else args.weights:
        model = MF(train.n_users, train.n_items, args.dim, rng=0)
        start = time.perf_counter()
        history = fit(
            model, train, loss=loss, n_negatives=n_negatives, validation=validation, rng=0,
            penalties=[ReSN(weight, args.form)] if weight else [], penalty_every=args.penalty_every,
            epochs=args.epochs, eval_every=args.epochs, batch_size=args.batch_size, lr=args.lr,
            weight_decay=args.weight_decay, device=args.device,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        factors = vectors(model)
        found = audit(recommend(factors, known, k=20), known, test, k=20, metrics=METRICS, n_bootstrap=0)
        cosine, ratio, along = first_directions(factors, args.form, train.popularity)
        row = [f"{weight:g}", f"{history.best_value:.4f}"]
        row += [f"{found[f'{name}@20']:.{1 if name == 'arp' else 4}f}" for name in METRICS]
        table.add_row(*row, f"{cosine:.3f}", f"{ratio:.2f}", f"{along:.3f}", f"{seconds:.0f}")
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
