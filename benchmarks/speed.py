"""Every verb beside a floor or a peer in one run, the sides in turn; writes a record, and the page that shows it.

    make bench                                             # beside what is installed
    make bench PEERS="--peer implicit=.venv-implicit/bin/python --peer recbole=.venv-recbole/bin/python"
    python benchmarks/speed.py --page docs/speed.md        # the page of the record that stands, nothing timed

Times are CPU seconds of all threads: other programs on the machine change them least, and with one thread, the default,
they are those of a quiet clock. A peer runs in an environment of its own (how to set up: peers.py), with as many
threads. No kernel of OpenBLAS is forced on either side. With `--scale 0.1` there are a tenth of the users.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import train_users
from peers import IMPLICIT, RANKING, environment, read, run_peer, version_of
from scipy.sparse.linalg import LinearOperator, svds

import headtail as ht
from headtail import Interactions, _factors, metrics
from headtail.data import Recommendations
from headtail.datasets import power_law
from headtail.subjects import Subject
from headtail.tradeoffs import sweep
from headtail.training import fused

RECORD = Path(__file__).parent / "records" / "speed.json"
EPOCHS = 5  # as many as iterations that implicit is given, so that what comes before the first counts alike
FIVE = [metrics.ndcg, metrics.recall, metrics.arp, metrics.coverage, metrics.gini]
RECTOOLS = (
    IMPLICIT
    + """
import pandas as pd
from rectools.metrics import NDCG, AvgRecPopularity, CatalogCoverage, MeanInvUserFreq, Recall, calc_metrics
def frame(part):
    rows, columns = part.nonzero()
    return pd.DataFrame({"user_id": rows, "item_id": columns})
k = arrays["items"].shape[1]
recs = pd.DataFrame({"user_id": np.repeat(np.arange(len(arrays["items"])), k), "item_id": arrays["items"].ravel(),
                     "rank": np.tile(np.arange(1, k + 1), len(arrays["items"]))})
five = {"ndcg": NDCG(k), "recall": Recall(k), "arp": AvgRecPopularity(k), "coverage": CatalogCoverage(k),
        "miuf": MeanInvUserFreq(k)}
data = {"interactions": frame(test), "prev_interactions": frame(train), "catalog": np.arange(train.shape[1])}
print(json.dumps({"calc_metrics": best(lambda: calc_metrics(five, recs, **data), 1)}))
"""
)

Seconds = Callable[[], "dict[str, float]"]


@dataclass(frozen=True)
class Case:
    """A piece of work, and what runs beside it: each returns its seconds, by name."""

    work: str
    size: str
    ours: Callable[[], object]
    beside: dict[str, Callable[[], object]] = field(default_factory=dict)
    peers: dict[str, Seconds] = field(default_factory=dict)


def seconds(run: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def peer(
    args: argparse.Namespace, library: str, script: str, world: ht.Split, times: int = 1, **arrays: np.ndarray
) -> Seconds:
    """Return what runs a script of `peers.py` in the environment of a library, once; it counts so many `times`."""
    given = {"dim": 64, "batch": 8192, "epochs": 1, "repeat": 1, "threads": args.threads, "clock": "process_time"}

    def run() -> dict[str, float]:
        found = run_peer(args.peer[library], script, world.train, world.test, given, **arrays)
        return {f"{library} {name}": times * value for name, value in found.items()}

    return run


def lists_of(world: ht.Split, k: int) -> Recommendations:
    """Return lists of items near to one that is drawn by popularity, so that some are shown to many users."""
    train, rng = world.train, np.random.default_rng(0)
    first = rng.choice(train.items, train.n_users)
    steps = rng.integers(1, max(2, train.n_items // k), train.n_users)
    items = (first[:, None] + np.arange(k) * steps[:, None]) % train.n_items
    return Recommendations(train.user_ids, train.item_ids, np.arange(train.n_users), items.astype(np.int32))


def fresh(part: Interactions) -> Interactions:
    """Return interactions of which nothing has been worked out yet."""
    return Interactions(part.user_ids, part.item_ids, part.users, part.items)


def factors(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return random factors in float32 with a decaying spectrum, and a popularity."""
    rng = np.random.default_rng(0)
    decay = (np.arange(1, d + 1) ** -0.5).astype(np.float32)
    queries = rng.standard_normal((n, d), dtype=np.float32) * decay
    items = rng.standard_normal((m, d), dtype=np.float32) * decay
    return queries, items, np.ceil(1e5 / np.arange(1, m + 1))


def operator(queries: np.ndarray, items: np.ndarray) -> LinearOperator:
    """Return the score matrix as an operator that never forms it."""
    return LinearOperator(
        shape=(len(queries), len(items)),
        matvec=lambda x: queries @ (items.T @ x),
        rmatvec=lambda x: items @ (queries.T @ x),
        matmat=lambda x: queries @ (items.T @ x),
        rmatmat=lambda x: items @ (queries.T @ x),
        dtype=queries.dtype,
    )


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """Yield the cases of the parts asked for, each with its data, which are free again when the next one comes."""

    def n(size: int) -> int:
        return max(100, int(size * args.scale))

    for part in args.part:
        yield from PARTS[part](args, n)


def of_lists(args: argparse.Namespace, n: Callable[[int], int]) -> Iterator[Case]:
    """Yield audits of lists."""
    for n_users in (n(100_000), n(1_000_000)):
        whole = power_law(n_users, 20_000, n_interactions=6 * n_users, rng=0).interactions
        split = ht.split_ratio(whole, test=1 / 6, validation=None, rng=0)
        recs, size = lists_of(split, 20), f"{n_users:,} lists of 20, {len(split.train):,} training rows"
        run = lambda recs=recs, split=split: ht.audit(recs, fresh(split.train), fresh(split.test), strict=False)  # noqa: E731
        yield Case("audit, all metrics and intervals", size, run)


def of_tables(args: argparse.Namespace, n: Callable[[int], int]) -> Iterator[Case]:
    """Yield what takes tables, and what reads them."""
    world = ht.split_ratio(
        power_law(n(100_000), 50_000, n_interactions=n(6_000_000), rng=0).interactions, validation=None, rng=0
    )
    recs = lists_of(world, 10)
    if find_spec("pandas") is None:
        print("pandas is not installed: no audit of its frames")
    else:
        import pandas as pd

        frames = [pd.DataFrame(part.to_polars().to_dict(as_series=False)) for part in (recs, world.train, world.test)]
        catalogue = world.train.item_ids
        options: dict[str, Any] = {"k": 10, "metrics": FIVE, "n_bootstrap": 0, "catalogue": catalogue, "strict": False}
        yield Case(
            "audit, five metrics, from pandas frames",
            f"{len(recs):,} lists of 10, {len(world.train):,} training rows",
            lambda: ht.audit(*frames, **options),
            peers={"rectools": peer(args, "rectools", RECTOOLS, world, items=recs.items)},
        )
    whole = world.whole
    users, chances = whole.users, np.random.default_rng(0).random(len(whole))
    yield Case(
        "split_ratio",
        f"{len(whole):,} rows",
        lambda: ht.split_ratio(fresh(whole), rng=0),
        {"np.lexsort of users and chances": lambda: np.lexsort((chances, users))},
    )
    with tempfile.TemporaryDirectory() as folder:
        table = whole.to_polars().with_columns(
            rating=pl.Series(np.random.default_rng(0).integers(1, 11, len(whole)) / 2),
            timestamp=pl.Series(np.random.default_rng(1).integers(8 * 10**8, 15 * 10**8, len(whole))),
        )
        for ending, read in ((".parquet", pl.read_parquet), (".csv", pl.read_csv)):
            path = Path(folder) / f"table{ending}"
            getattr(table, f"write_{ending[1:]}")(path)
            yield Case(
                f"read_interactions, {ending}",
                f"{len(whole):,} rows, 4 columns",
                lambda path=path: ht.read_interactions(path),
                {f"pl.read_{ending[1:]}": lambda path=path, read=read: read(path)},
            )


def of_vectors(args: argparse.Namespace, n: Callable[[int], int]) -> Iterator[Case]:
    """Yield what takes two factors."""
    queries, items, popularity = factors(n(1_000_000), n(200_000), 64)
    size = f"{len(queries):,} users, {len(items):,} items, 64 dimensions"
    yield Case(
        "spectrum",
        size,
        lambda: ht.spectrum(queries, items),
        {"scipy svds, 10 values": lambda: svds(operator(queries, items), k=10, rng=0)},
    )
    pair = queries, items
    wider = lambda table: np.column_stack([table, np.ones(len(table), table.dtype)])  # noqa: E731
    yield Case(
        "penalize_popularity",
        size,
        lambda: ht.penalize_popularity(*pair, popularity, strength=0.1),
        {"a copy of both, one column wider": lambda: [wider(table) for table in pair]},
    )
    yield Case(
        "shrink",
        size,
        lambda: ht.shrink(*pair, strength=0.5),
        {
            "a copy of both": lambda: [table.copy() for table in pair],
            "what it decomposes, each with itself in float64": lambda: [_factors.gram("", table) for table in pair],
        },
    )
    few, rounds = items[: n(20_000)] + np.float32(0.2), 10

    def products(of_block: Callable[[torch.Tensor], object] = lambda scores: None) -> None:
        vectors, table = torch.from_numpy(queries[:4000]), torch.from_numpy(few).T
        for _ in range(rounds + 1):  # the lists are counted once more at the end
            for part in vectors.split(100):
                of_block(part @ table)

    yield Case(
        f"tilt, {rounds} rounds",
        f"4,000 users sampled, {len(few):,} items",
        lambda: ht.tilt(queries, few, strength=0.2, k=20, rounds=rounds),
        {"its products alone": products, "product and top-k alone": partial(products, lambda scores: scores.topk(20))},
    )


def plainly(fit: Callable[..., object], **more: Any) -> object:
    """Train without numba."""
    with unittest.mock.patch.object(fused, "fits", return_value=False):
        return fit(**more)


def of_training(args: argparse.Namespace, n: Callable[[int], int]) -> Iterator[Case]:
    """Yield training and ranking of MovieLens-1M, or of a world of its size."""
    world = ht.Split(*read(args.data))
    train, test = world.train, world.test
    model, name = ht.MF(train.n_users, train.n_items, 64, rng=0), args.data.name if args.data.exists() else "made up"
    size = f"{len(train):,} pairs ({name}), 1 negative, 64 dimensions, batches of 8,192"
    bpr = partial(ht.fit, model, train, loss=ht.losses.bpr, n_negatives=1, epochs=EPOCHS, rng=0, progress=False)
    peers = {name: peer(args, name, script, world, times=EPOCHS) for name, script in train_users.PEERS.items()}
    yield Case(f"fit, MF with BPR, {EPOCHS} epochs", size, partial(plainly, bpr), peers=peers)
    if find_spec("numba"):
        plain = {"without numba": partial(plainly, bpr)}
        yield Case(f"fit, MF with BPR, {EPOCHS} epochs, compiled by numba", size, bpr, plain, peers)
    bpr = partial(plainly, bpr)
    resn = partial(bpr, penalties=[ht.ReSN(1e-4)])
    yield Case(
        f"fit, MF with BPR and ReSN, {EPOCHS} epochs",
        size,
        resn,
        {"without ReSN": bpr, "with ReSN in every 10th batch": partial(resn, penalty_every=10)},
    )
    queries, items = ht.vectors(model)

    def bound() -> None:
        for part in queries.split(1024):
            (part @ items.T).topk(20)

    split = world.with_validation(0.1)
    pair, grid = (np.asarray(queries), np.asarray(items)), [0.0, 0.1, 0.2, 0.3, 0.4]
    yield Case(
        "sweep of five strengths of the log penalty, validation and test",
        f"{train.n_users:,} users, {train.n_items:,} items, top 20",
        lambda: sweep("log penalty", Subject(pair, split, k=20), grid, progress=False),
        {"its ten recommends alone": lambda: [ht.recommend(pair, part) for part in (split.train, split.known) * 5]},
    )
    arrays = {"queries": np.asarray(queries, dtype=np.float32), "items": np.asarray(items, dtype=np.float32)}
    yield Case(
        "recommend and audit, NDCG and recall",
        f"{train.n_users:,} users, {train.n_items:,} items, top 20",
        lambda: ht.audit(
            ht.recommend((queries, items), train, k=20), train, test, k=20, metrics=FIVE[:2], n_bootstrap=0
        ),
        {"product and top-k alone": bound},
        {name: peer(args, name, RANKING[name], world, **arrays) for name in RANKING},
    )


PARTS = {"lists": of_lists, "tables": of_tables, "vectors": of_vectors, "training": of_training}


def measured(case: Case, args: argparse.Namespace) -> dict[str, Any]:
    """Run a case and what is beside it in turn, and return a row of the record."""
    found: dict[str, list[float]] = {}
    sides = [("headtail", case.ours), *case.beside.items()]
    case.ours()  # to warm up
    for turn in range(args.rounds):
        first = turn % len(sides)  # by turns: who comes first pays for memory that the system has to clear
        for name, run in sides[first:] + sides[:first]:
            found.setdefault(name, []).append(seconds(run))
        for library, run_theirs in case.peers.items():
            for name, value in run_theirs().items() if library in args.peer else ():
                found.setdefault(name, []).append(value)
    row = {"work": case.work, "size": case.size, "seconds": {name: spread(values) for name, values in found.items()}}
    print(line(row), flush=True)
    return row


def spread(values: list[float]) -> dict[str, float]:
    """Return the least, median and most."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def machine(args: argparse.Namespace) -> dict[str, Any]:
    """Return where and with what the record is made."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else [f"model name: {platform.processor()}"]
    model = next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), platform.machine())
    packages = ("headtail", "numpy", "scipy", "polars", "torch", "numba")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{model}, {os.cpu_count()} cores",
        "threads": args.threads,
        "load": round(os.getloadavg()[0], 1),
        "scale": args.scale,
        "rounds": args.rounds,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in packages if find_spec(name)},
        "peers": {name: version_of(name, python) for name, python in sorted(args.peer.items())},
    }


def line(row: dict[str, Any]) -> str:
    """Return a row as one of a Markdown table."""
    ours = row["seconds"]["headtail"]
    others = [
        f"{name} {figures(other)}: {times(other['median'] / ours['median'])}"
        for name, other in row["seconds"].items()
        if name != "headtail"
    ]
    return f"| {row['work']} | {row['size']} | {figures(ours)} | {'; '.join(others) or '-'} |"


def figures(seconds: dict[str, float]) -> str:
    """Return the median, and in brackets the least and most."""
    return f"{seconds['median']:.3g} s ({seconds['min']:.3g} to {seconds['max']:.3g})"


def times(ratio: float) -> str:
    """Return how the time of another is to ours in words."""
    return f"headtail is {ratio:.1f} times as fast" if ratio >= 1 else f"headtail takes {1 / ratio:.1f} times that"


def page(record: dict[str, Any]) -> str:
    """Return the page of documentation that shows a record."""
    versions = ", ".join(f"{name} {number}" for name, number in (record["versions"] | record["peers"]).items())
    return (
        "# Speed\n\n"
        "Made by `make bench`, which writes `benchmarks/records/speed.json` and this page of it.\n\n"
        f"On {record['date']}, {record['processor']}, threads: {record['threads']}, load {record['load']}; {versions}. "
        f"CPU seconds, median of {record['rounds']} runs (least to most), all sides in turn"
        + (f"; sizes are {record['scale']:g} of the full ones" if record["scale"] != 1 else "")
        + ". Where numba is installed (`pip install 'headtail[fast]'`), `fit` has the steps of `MF` compiled by itself."
        + "\n\n| Work | Size | headtail | Beside it |\n|---|---|---|---|\n"
        + "\n".join(line(row) for row in record["rows"])
        + "\n"
    )


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = {"rectools", *train_users.PEERS, *RANKING}
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=PYTHON", help=f"see above; {', '.join(sorted(names))}"
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ml-1m"))
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes but those of training")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=[*PARTS], help="with less than all of them")
    parser.add_argument("--only", default="", help="or works whose name holds this alone, nothing is written")
    parser.add_argument("--page", type=Path, help="write the page of the record that stands, without timing")
    args = parser.parse_args()
    if args.page:
        args.page.write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
        return
    args.peer = dict(given.partition("=")[::2] for given in args.peer)
    if unknown := args.peer.keys() - names:
        parser.error(f"there is no peer {min(unknown)!r}; give one of {', '.join(sorted(names))}")
    if (wanted := environment(args.threads)) != os.environ:  # libraries read it as they are loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)
    torch.set_num_threads(args.threads)
    record = machine(args)
    record["rows"] = [measured(case, args) for case in cases(args) if args.only in case.work]
    if not args.only and args.part == [*PARTS]:
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
