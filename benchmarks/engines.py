"""An audit where the data is, of as many rows as you like: time, processor time and memory of each engine.

    python benchmarks/engines.py --rows 100_000_000    # into records/engines.json, in place of runs of as many rows
    python benchmarks/engines.py --page docs/scale.md  # the table of the record that stands

Rows are made once as Parquet files and read from there by Polars, which streams them, and by DuckDB. Each engine has a
process of its own, and the peak of its memory is reported.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import polars as pl

RECORD = Path(__file__).parent / "records" / "engines.json"
K, HISTORY, PART = 10, 3, 10_000_000  # items of a list and of a history; rows of a file


def write(folder: Path, rows: int, n_items: int) -> None:
    """Write lists of 10 items, histories of 3 and a test of 1 for a tenth of the users; the popular items first."""
    for part, start in enumerate(range(0, rows, PART)):
        n = min(PART, rows - start) // K
        users = pl.select(user_id=start // K + pl.int_range(n, dtype=pl.Int64))
        unit = pl.col("user_id").hash(1) / 2.0**64
        first = (unit**3 * n_items).cast(pl.Int64)

        def items(count: int, step: int, first: pl.Expr = first) -> pl.Expr:
            return pl.concat_list([((first + step * r) % n_items).cast(pl.Int32) for r in range(1, count + 1)])

        ranks = pl.lit(list(range(1, K + 1)), dtype=pl.List(pl.Int8))
        lists = users.select("user_id", item_id=items(K, n_items // 101), rank=ranks).explode("item_id", "rank")
        histories = users.select("user_id", item_id=items(HISTORY, n_items // 53)).explode("item_id")
        place = n_items // 101 * (pl.col("user_id") // 10 % (2 * K) + 1)  # in half of the lists
        wanted = users.filter(pl.col("user_id") % 10 == 0).select("user_id", item_id=(first + place) % n_items)
        for name, table in (("recs", lists), ("train", histories), ("test", wanted)):
            table.write_parquet(folder / f"{name}-{part}.parquet")


def work(engine: str, folder: Path) -> dict:
    """Audit the files by one engine."""
    from headtail import engines

    names = ("recs", "train", "test")
    if engine == "polars":
        tables = [pl.scan_parquet(folder / f"{name}-*.parquet") for name in names]
    else:
        import duckdb

        database = duckdb.connect(config={"memory_limit": "3GB", "temp_directory": str(folder / "spill")})
        tables = [database.read_parquet(str(folder / f"{name}-*.parquet")) for name in names]
    wall, used = time.perf_counter(), time.process_time()
    found = engines.audit(*tables, k=K)
    return {
        "engine": engine, "seconds": round(time.perf_counter() - wall, 1),
        "processor_seconds": round(time.process_time() - used, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "figures": {name: found[f"{name}@{K}"] for name in ("ndcg", "gini", "arp", "upd")},
    }  # fmt: skip


def table(runs: list[dict]) -> list[str]:
    """Return the lines of the table of all runs, the fewest rows first."""
    lines = ["| Engine | Rows | Processor seconds | Seconds | Load before | Peak memory |", "|---|" + "---:|" * 5]
    return lines + [
        f"| {run['version']} | {run['rows'] / 1e6:g} million | {run['processor_seconds']} | {run['seconds']} "
        f"| {run['load_before']} | {run['peak_gb']} GB |"
        for run in sorted(runs, key=lambda run: (run["rows"], run["version"]))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--engines", default="polars,duckdb")
    parser.add_argument("--page", type=Path, help="write the table of the record that stands")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work[0], Path(options.work[1]))))
        return
    runs = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else []
    if options.page:
        from serving import put

        put(table(runs), options.page)
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options.rows, options.items)
        for engine in options.engines.split(","):
            command = [sys.executable, __file__, "--work", engine, folder]
            about = {
                "version": f"{engine} {version(engine)}", "rows": options.rows, "items": options.items,
                "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d"), "load_before": round(os.getloadavg()[0], 1),
            }  # fmt: skip
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            run = about | json.loads(done.stdout.splitlines()[-1])
            print(run)
            same = ("engine", "rows", "items")
            runs = [each for each in runs if any(each[key] != run[key] for key in same)] + [run]
            RECORD.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
