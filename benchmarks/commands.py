"""What whole commands of the command line take on large tables: seconds, processor seconds and peak memory.

    python benchmarks/commands.py                        # measures, into records/commands.json
    python benchmarks/commands.py --page docs/scale.md   # the table of the record that stands

Tables and vectors are made once: 12 interactions a user, vectors of ALS with 32 dimensions. Each command is a process
of its own with one thread, what it imports and reads included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np

import headtail as ht
from headtail.datasets import power_law

RECORD = Path(__file__).parent / "records" / "commands.json"
TABLES = ("--train train.parquet", "--validation validation.parquet", "--test test.parquet")
VECTORS = "--queries queries.npy --items items.npy --user-ids user_ids.npy --item-ids item_ids.npy"

# users, items, and the command
COMMANDS: dict[str, tuple[int, int, str]] = {
    "audit, 10 million rows": (
        500_000, 50_000, "audit lists.parquet train.parquet --test test.parquet --k 20 --no-strict",
    ),
    "probe": (200_000, 50_000, f"probe {VECTORS} {TABLES[0]} -o neurons"),
    "correct": (200_000, 50_000, f"correct {VECTORS} {' '.join(TABLES)} -o corrected"),
    "explore": (200_000, 50_000, "explore corrected"),
    "correct --dial shrink": (200_000, 50_000, f"correct {VECTORS} {' '.join(TABLES)} --dial shrink -o shrunk"),
}  # fmt: skip


def write(folder: Path, n_users: int, n_items: int) -> None:
    """Write a split, vectors that were fitted to its training part, and lists of 20 of their neighbors."""
    whole = power_law(n_users, n_items, n_interactions=12 * n_users, rng=0).interactions
    split = ht.split_ratio(whole, rng=0)
    for name in ("train", "validation", "test"):
        getattr(split, name).to_polars().write_parquet(folder / f"{name}.parquet")
    np.save(folder / "user_ids.npy", split.train.user_ids)
    np.save(folder / "item_ids.npy", split.train.item_ids)
    model = ht.models.ALS.for_data(split.train, embedding_dim=32, rng=0)
    ht.fit(model, split.train, epochs=3, progress=False)
    for name, vectors in zip(("queries", "items"), ht.vectors(model)[:2], strict=True):
        np.save(folder / f"{name}.npy", vectors.numpy())
    users = np.arange(n_users)
    first = np.random.default_rng(0).integers(n_items, size=(n_users, 1))
    lists = ht.data.Recommendations(
        split.train.user_ids, split.train.item_ids, users, ((first + 7 * np.arange(20)) % n_items).astype(np.int32)
    )
    lists.to_polars().write_parquet(folder / "lists.parquet")


def measured(command: str, folder: Path) -> dict[str, Any]:
    """Run a command in a folder and return what it took."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "headtail", *command.split()], cwd=folder, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"headtail {command} ended with {process.returncode}:\n{said[-2000:]}")
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_gb": round(used.ru_maxrss / 2**20, 2),
        "load_before": round(os.getloadavg()[0], 1),
    }


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of the table of the record."""
    lines = ["| Command | Users | Items | Processor seconds | Seconds | Load | Peak memory |", "|---|" + "---:|" * 6]
    for name, run in record["commands"].items():
        n_users, n_items, _ = COMMANDS[name]
        verb, comma, of = name.partition(",")
        lines.append(
            f"| `headtail {verb}`{comma}{of} | {n_users:,} | {n_items:,} | {run['processor_seconds']} "
            f"| {run['seconds']} | {run['load_before']} | {run['peak_gb']} GB |"
        )
    return lines


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="commands whose name holds this; the record keeps the others")
    parser.add_argument("--page", type=Path, help="write the table of the record that stands")
    args = parser.parse_args()
    before = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"commands": {}}
    if args.page:
        from serving import put

        put(table(before), args.page)
        return
    from speed import machine

    args.threads, args.scale, args.rounds, args.peer = 1, 1.0, 1, {}
    record = machine(args) | {"commands": before["commands"]}
    sizes = dict.fromkeys((n_users, n_items) for name, (n_users, n_items, _) in COMMANDS.items() if args.only in name)
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), *size)
            for name, (n_users, n_items, command) in COMMANDS.items():
                if args.only in name and (n_users, n_items) == size:
                    record["commands"][name] = run = measured(command, Path(folder))
                    print(name, run, flush=True)
                    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
