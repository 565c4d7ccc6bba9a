"""What training, autoencoders and lists take on an accelerator, and on the processor beside it.

    python benchmarks/devices.py                       # measures, into records/devices.json
    python benchmarks/devices.py --page docs/scale.md  # the table of the record that stands

The processor's threads are those of OMP_NUM_THREADS.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

import headtail as ht
from headtail import losses, penalties, sae

RECORD = Path(__file__).parent / "records" / "devices.json"
DIM = 64


def interactions(n_users: int, n_items: int, n: int) -> ht.Interactions:
    """Return random pairs, items with low codes more often."""
    random = np.random.default_rng(0)
    items = np.minimum((n_items * random.random(n) ** 2.5).astype(int), n_items - 1)
    matrix = sp.csr_matrix((np.ones(n), (random.integers(0, n_users, n), items)), shape=(n_users, n_items))
    return ht.Interactions.of(matrix.astype(bool))


def training(device: str) -> dict[str, float]:
    """Return seconds of an epoch, the second of two."""
    train = interactions(100_000, 30_000, 3_000_000)
    fewer, few = interactions(100_000, 30_000, 1_000_000), interactions(6_000, 3_500, 200_000)
    ordered = ht.Interactions(few.user_ids, few.item_ids, few.users, few.items, order=np.arange(len(few)))
    usual: dict[str, Any] = {"loss": losses.bpr, "batch_size": 131_072}
    runs: dict[str, tuple[Any, ht.Interactions, dict[str, Any]]] = {
        "MF, BPR, batches of 8,192": (ht.MF, train, usual | {"batch_size": 8192}),
        "MF, BPR, batches of 131,072": (ht.MF, train, usual),
        "MF, BPR and ReSN, batches of 131,072": (ht.MF, train, usual | {"penalties": [penalties.ReSN(1e-4)]}),
        "LightGCN, BPR, batches of 131,072": (ht.models.LightGCN, fewer, usual),
        "SASRec, softmax over all items": (ht.models.SASRec, ordered, {}),
    }
    found = {}
    for name, (kind, data, options) in runs.items():
        model = kind.for_data(data, embedding_dim=DIM, rng=0)
        history = ht.fit(model, data, epochs=2, device=device, progress=False, **options)
        found[f"fit, {name}: an epoch of {len(data):,} pairs"] = history.rows[-1]["seconds"]
    return found


def autoencoders(device: str) -> dict[str, float]:
    """Return seconds of a step."""
    rows, found = 100_000, {}
    for width in (64, 256):
        x = torch.randn(rows, width, generator=torch.Generator().manual_seed(0)).to(device)
        autoencoder = sae.TopKSAE(width, expansion=16, k=32, rng=0)
        history = sae.fit_sae(autoencoder, x, epochs=2, batch_size=2048, validation=0.02, device=device, progress=False)
        name = f"fit_sae, {16 * width:,} neurons of {width} dimensions: a step of 2,048"
        found[name] = history.rows[-1]["seconds"] / (0.98 * rows / 2048)
    return found


def lists(device: str) -> dict[str, float]:
    """Return seconds of lists, and of their product and top-k alone."""
    known = interactions(20_000, 200_000, 400_000)
    random = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, DIM, generator=random).to(device) for rows in (known.n_users, known.n_items)]
    vectors = ht.Vectors(*factors, known.user_ids, known.item_ids)

    def bare() -> None:
        for block in factors[0].split(1024):
            (block @ factors[1].T).topk(20)[1].cpu()

    name = f"{known.n_users:,} lists of 20 of {known.n_items:,} items"
    return {
        f"recommend, {name}": _least(lambda: ht.recommend(vectors, known, k=20)),
        f"product and top-k alone, {name}": _least(bare),
    }


def _least(work: Callable[[], object], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of the page."""
    lines = [
        f"| Work | {record['accelerator']} | {record['threads']} threads beside it |", "|---|---:|---:|",
    ]  # fmt: skip
    for name, (there, here) in record["seconds"].items():
        lines.append(f"| {name} | {_told(there)} | {_told(here)} |")
    return lines


def _told(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--page", type=Path, help="write the table of the record that stands")
    args = parser.parse_args()
    if args.page:
        from serving import put

        put(table(json.loads(args.record.read_text(encoding="utf-8"))), args.page)
        return
    seconds: dict[str, list[float]] = {}
    for device in (args.device, "cpu"):
        for work in (training, autoencoders, lists):
            for name, taken in work(device).items():
                seconds.setdefault(name, []).append(float(f"{taken:.3g}"))
                print(device, name, seconds[name][-1], flush=True)
    accelerator = torch.cuda.get_device_name() if args.device == "cuda" else args.device
    record = {
        "accelerator": accelerator, "threads": torch.get_num_threads(), "cores": os.cpu_count(),
        "torch": torch.__version__, "seconds": seconds,
    }  # fmt: skip
    args.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
