"""What every verb costs as its data grow a hundredfold: processor seconds, peak memory, their slopes, and a plan.

    python benchmarks/scale.py                        # measures, some five minutes, and writes records/scale.json
    python benchmarks/scale.py --page docs/scale.md   # the tables and figures of the record that stands

Each verb has a process of its own with one thread, and five sizes from a hundredth to the whole. Seconds are those of
the processor, the least of up to three runs; memory is the peak beyond what the process held when the call began.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import numpy as np

import headtail as ht
from headtail import allocation, engines, sae
from headtail.data import Recommendations
from headtail.reports import Chart, chart_svg
from headtail.subjects import Subject

RECORD = Path(__file__).parent / "records" / "scale.json"
FIGURES = Path(__file__).parent.parent / "docs" / "figures"
SHARES = (0.01, 10**-1.5, 0.1, 10**-0.5, 1)
DIM, ITEMS, EACH, LONG = 32, 2000, 10, 100  # items and interactions of a user where they do not grow, and long lists
STRAIGHT = 1.05
LEAST = 1.5  # seconds after which a size is not run again


def world(n_users: int, n_items: int = ITEMS) -> ht.Interactions:
    """Return distinct interactions of which some items have many."""
    rng = np.random.default_rng(0)
    items = (rng.random((n_users, 1)) ** 3 * n_items).astype(np.int64)
    items = (items + np.arange(EACH) * rng.integers(1, n_items // EACH, (n_users, 1))) % n_items
    users = np.repeat(np.arange(n_users, dtype=np.int32), EACH)
    places = np.tile(np.arange(EACH, dtype=np.int64), n_users)
    return ht.Interactions(
        np.arange(n_users), np.arange(n_items), users, items.ravel().astype(np.int32), timestamps=places
    )


def factors(n_users: int, n_items: int = ITEMS) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    queries, items = (rng.normal(size=(n, DIM)).astype(np.float32) for n in (n_users, n_items))
    return queries, items + np.float32(0.2)


def lists(n_users: int, k: int = LONG) -> Recommendations:
    rng = np.random.default_rng(0)
    items = (rng.integers(ITEMS, size=(n_users, 1)) + np.arange(k) * 7) % ITEMS
    scores = -np.sort(-rng.normal(size=(n_users, k)), axis=1)
    return Recommendations(np.arange(n_users), np.arange(ITEMS), np.arange(n_users), items.astype(np.int32), scores)


# -- the verbs: each takes a size, and returns the call that is measured ----------------------------------------------


def reading(n: int) -> Callable[[], object]:
    folder = tempfile.TemporaryDirectory()
    file = Path(folder.name) / "table.parquet"
    world(n // EACH).to_polars().write_parquet(file)
    return lambda folder=folder: ht.read_interactions(file)


def splitting(n: int) -> Callable[[], object]:
    whole = world(n // EACH)
    return lambda: ht.split_ratio(replace(whole), rng=0)


def auditing(n: int) -> Callable[[], object]:
    split, recs = ht.split_ratio(world(n), rng=0), lists(n, 20)
    return lambda: ht.audit(recs, replace(split.train), replace(split.test), strict=False)


def comparing(n: int) -> Callable[[], object]:
    split = ht.split_ratio(world(n), rng=0)
    audits = {str(k): ht.audit(lists(n, k), split.train, split.test, k=10, strict=False) for k in (10, 20)}
    return lambda: ht.compare(audits)


def auditing_there(n: int) -> Callable[[], object]:
    split = ht.split_ratio(world(n), rng=0)
    tables = [part.to_polars().lazy() for part in (lists(n, 20), split.train, split.test)]
    return lambda: engines.audit(*tables, catalogue=range(ITEMS), strict=False)


def training(n: int, make: Callable[[ht.Interactions], Any], **options: Any) -> Callable[[], object]:
    whole = world(n // EACH)
    return lambda: ht.fit(make(whole), replace(whole), epochs=1, rng=0, progress=False, **options)


def ranking(n_users: int, n_items: int) -> Callable[[], object]:
    known = world(n_users, n_items)
    pair = ht.Vectors(*factors(n_users, n_items), known.user_ids, known.item_ids)
    return lambda: ht.recommend(pair, replace(known), k=20)


def tilting(n_users: int, n_items: int) -> Callable[[], object]:
    pair = factors(n_users, n_items)
    return lambda: ht.tilt(*pair, strength=0.1, k=20, n_users=n_users, rounds=5)


def fitted(n_users: int) -> tuple[ht.Split, ht.Vectors]:
    split = ht.split_ratio(world(n_users), rng=0)
    model = ht.models.ALS.for_data(split.train, embedding_dim=DIM, rng=0)
    ht.fit(model, split.train, epochs=3, progress=False)
    return split, ht.vectors(model)


def sweeping(n: int) -> Callable[[], object]:
    split, pair = fitted(n)
    return lambda: ht.tradeoffs.sweep("log penalty", Subject(pair, split, k=20), progress=False)


def exploring(n: int) -> Callable[[], object]:
    split, pair = fitted(n)
    correction = ht.correct(pair, split, dials=["log penalty"], k=20, progress=False)
    return lambda: correction.explore().to_html()


def of_vectors(n: int, verb: Callable[..., object]) -> Callable[[], object]:
    pair = factors(n)
    return lambda: verb(*pair)


def of_lists(n: int, verb: Callable[[Recommendations, Any], object]) -> Callable[[], object]:
    recs = lists(n)
    relevance = np.exp(recs.scores - 3).astype(np.float32).clip(0, 1)
    return lambda: verb(recs, relevance)


def of_histories(n: int, verb: Callable[..., object]) -> Callable[[], object]:
    recs, known = lists(n), world(n)
    return lambda: verb(recs, replace(known), strength=0.3, k=20)


def of_neurons(n: int, verb: Callable[[Any, Any], object]) -> Callable[[], object]:
    activations = factors(n)[0]
    return lambda: verb(sae.TopKSAE(DIM, 8, 8, rng=0), activations)


BIAS = np.linspace(-1, 1, ITEMS)


CACHE = (
    "from about 30,000 users on a batch's rows lie in tables that no cache holds: to read and write a row of three of "
    "these, and no more, takes 0.05 microseconds at 10,000 users, 0.10 at 30,000 and 100,000, 0.15 at a million, and "
    "a batch of 8,192 pairs has rows of 5,600, 7,200, 7,900 and 8,190 users; from 1 to 3.2 million interactions the "
    "slope is 1.06"
)


@dataclass(frozen=True)
class Verb:
    """A verb, what grows, its largest size here and at the plan, and what is known of its slope."""

    make: Callable[[int], Callable[[], object]]
    grows: str
    largest: int
    plan: float
    room: str
    why: str = ""


VERBS = {
    "read_interactions": Verb(reading, "interactions", 5_000_000, 2e10, "reading"),
    "split_ratio": Verb(splitting, "interactions", 5_000_000, 2e10, "reading"),
    "audit": Verb(auditing, "users", 100_000, 1e9, "reading"),
    "compare": Verb(comparing, "users", 100_000, 1e9, "reading"),
    "engines.audit, Polars": Verb(auditing_there, "users", 300_000, 1e9, "reading"),
    "spectrum": Verb(partial(of_vectors, verb=ht.spectrum), "users", 3_000_000, 1e9, "vectors"),
    "shrink": Verb(partial(of_vectors, verb=partial(ht.shrink, strength=0.5)), "users", 3_000_000, 1e9, "vectors"),
    "penalize_popularity": Verb(
        partial(of_vectors, verb=partial(ht.penalize_popularity, popularity=np.arange(ITEMS) + 1, strength=0.1)),
        "users", 3_000_000, 1e9, "vectors",
    ),
    "recommend": Verb(partial(ranking, n_items=ITEMS), "users", 100_000, 1e9, "vectors"),
    "recommend, of more items": Verb(partial(ranking, 1000), "items", 100_000, 1e8, "vectors"),
    "tilt, a round": Verb(partial(tilting, n_items=ITEMS), "users", 20_000, 5e6, "vectors"),
    "tilt, a round, of more items": Verb(partial(tilting, 400), "items", 100_000, 1e8, "vectors"),
    "sweep of the log penalty": Verb(sweeping, "users", 30_000, 1e9, "lists"),
    "explore": Verb(exploring, "users", 20_000, 20_000, "lists"),
    "rerank.add_bias": Verb(
        partial(of_lists, verb=lambda recs, _: ht.rerank.add_bias(recs, BIAS, k=20)), "users", 100_000, 1e9, "lists"
    ),
    "allocate": Verb(
        partial(of_lists, verb=lambda recs, p: allocation.allocate(recs, p, BIAS, k=20)), "users", 100_000, 1e9, "lists"
    ),
    "allocation_bias": Verb(
        partial(of_lists, verb=lambda recs, p: allocation.allocation_bias(
            recs, p, strength=0.2, k=20, n_users=len(recs), rounds=5)),
        "users", 50_000, 5e6, "lists",
    ),
    "rerankers.ipr": Verb(
        partial(of_lists, verb=lambda recs, _: ht.rerankers.ipr(recs, BIAS + 2, strength=0.1, k=20)),
        "users", 100_000, 1e9, "lists",
    ),
    "rerankers.calibrated_popularity": Verb(
        partial(of_histories, verb=ht.rerankers.calibrated_popularity), "users", 30_000, 1e9, "lists"
    ),
    "rerankers.pct": Verb(partial(of_histories, verb=ht.rerankers.pct), "users", 30_000, 1e9, "lists"),
    "rerankers.p_mmf": Verb(
        partial(of_lists, verb=lambda recs, _: ht.rerankers.p_mmf(recs, BIAS + 2, strength=0.1, k=20)),
        "users", 100_000, 1e9, "lists",
    ),
    "fit, MF, an epoch": Verb(
        partial(training, make=lambda x: ht.MF.for_data(x, embedding_dim=DIM, rng=0), loss=ht.losses.bpr,
                n_negatives=1), "interactions", 1_000_000, 2e10, "training", CACHE,
    ),
    "fit, MF with ReSN, an epoch": Verb(
        partial(training, make=lambda x: ht.MF.for_data(x, embedding_dim=DIM, rng=0), loss=ht.losses.bpr,
                n_negatives=1, penalties=[ht.ReSN(1e-3)]), "interactions", 1_000_000, 2e10, "training", CACHE,
    ),
    "fit, ALS, a sweep": Verb(
        partial(training, make=lambda x: ht.models.ALS.for_data(x, embedding_dim=DIM, rng=0)),
        "interactions", 1_000_000, 2e10, "training",
    ),
    "fit, LightGCN, an epoch": Verb(
        partial(training, make=lambda x: ht.models.LightGCN.for_data(x, embedding_dim=DIM, rng=0), batch_size=8192),
        "interactions", 200_000, 2e10, "training",
        "each batch propagates over the whole graph; with as many batches whatever the size it is straight",
    ),
    "fit, SASRec, an epoch": Verb(
        partial(training, make=lambda x: ht.models.SASRec.for_data(x, embedding_dim=DIM, max_length=10, rng=0)),
        "interactions", 100_000, 2e10, "training",
    ),
    "sae.fit_sae, an epoch": Verb(
        partial(of_neurons, verb=lambda net, x: sae.fit_sae(net, x, epochs=1, progress=False, rng=0)),
        "users", 100_000, 1e8, "training",
    ),
}  # fmt: skip


# -- measuring ---------------------------------------------------------------------------------------------------------


def held(kind: str) -> int:
    """Return the bytes that this process holds now (VmRSS), or held at most since it was asked to forget (VmHWM)."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(kind))
    return 1024 * int(line.split()[1])


def measured(verb: Verb) -> list[dict[str, float]]:
    """Return the size, seconds and peak memory of each size."""
    rows = []
    verb.make(round(verb.largest * SHARES[0]))()  # what is imported and compiled the first time
    for share in SHARES:
        size = round(verb.largest * share)
        run = verb.make(size)
        times: list[tuple[float, float]] = []
        Path("/proc/self/clear_refs").write_text("5")  # the peak is that since now
        before = held("VmRSS")
        while len(times) < 3 and sum(used for used, _ in times) < LEAST:
            start = resource.getrusage(resource.RUSAGE_SELF)
            run()
            end = resource.getrusage(resource.RUSAGE_SELF)
            user = end.ru_utime - start.ru_utime
            times.append((user + end.ru_stime - start.ru_stime, user))
        seconds, user = min(times)
        rows.append({"size": size, "seconds": seconds, "user": user, "bytes": max(0, held("VmHWM") - before)})
    return rows


def slope(rows: list[dict[str, Any]], key: str = "seconds") -> float:
    """Return the slope of a straight line through the logarithms."""
    points = [(row["size"], row[key]) for row in rows if row[key] > 0]
    return float(np.polyfit(*np.log(np.array(points)).T, 1)[0]) if len(points) > 1 else float("nan")


# -- the page ----------------------------------------------------------------------------------------------------------

COSTS = "| Verb | Grows | Up to | Seconds | Memory, MB | Slope, two decades | Slope, the last | At | Core-hours there |"


def costs(record: dict[str, Any]) -> list[str]:
    """Return the lines of the table of costs; what is extrapolated goes on from the last size by the last slope."""
    found = [COSTS, "|---|---|" + "---:|" * 7]
    for name, verb in VERBS.items():
        rows = record["verbs"][name]
        last, recent = rows[-1], slope(rows[2:])
        hours = last["seconds"] * (verb.plan / last["size"]) ** max(1.0, recent) / 3600
        found.append(
            f"| {name} | {verb.grows} | {last['size']:,} | {last['seconds']:.2f} | {last['bytes'] / 1e6:,.0f} "
            f"| {slope(rows):.2f} | {recent:.2f} | {verb.plan:.0e} | {float(f'{hours:.2g}'):,g} |"
        )
    return found


def reasons(record: dict[str, Any]) -> list[str]:
    """Return the lines that name every verb that is steeper than straight, and why."""
    found = ["| Steeper than 1.05 in the last decade | Why |", "|---|---|"]
    for name, verb in VERBS.items():
        rows = record["verbs"][name][2:]
        if (steep := slope(rows)) > STRAIGHT:
            user = slope(rows, "user")
            kernel = f"{user:.2f} without the time of the kernel, which hands out fresh memory"
            found.append(
                f"| {name}, {steep:.2f} | {verb.why or (kernel if user < steep - 0.03 else 'not explained')} |"
            )
    return found


PLAN = "| Step for 1e9 users and 1e8 items | Work | Core-hours | Exchanged between machines |"
# The plan; an index looks at so many items for a user, and so many users are a sample.
USERS, CATALOGUE, WIDTH, VISITED, SAMPLE = 1e9, 1e8, 64, 3e4, 5e6


def plan(record: dict[str, Any]) -> list[str]:
    """Return the lines of the plan: what was measured here, times what there is more of there."""

    def each(name: str, of: float = 1.0) -> float:
        """Return the seconds of a unit of a verb's work, of which its other side holds `of`."""
        last = record["verbs"][name][-1]
        return float(last["seconds"] / last["size"] / of)

    score = each("recommend, of more items", 1000) * WIDTH / DIM
    items, table = CATALOGUE * WIDTH * 4, CATALOGUE * 8
    steps = (
        ("lists, exact", "1e17 scores", score * USERS * CATALOGUE,
         f"items of {items / 1e9:.1f} GB to every worker, or shards of them and the best of each shard"),
        ("lists by an approximate index", f"{VISITED:.0e} scores a user", score * USERS * VISITED,
         "the same shards; each sends its 100 best, 1.2 kB a user"),
        ("prices from a sample", f"{SAMPLE:.0e} lists of {LONG}, 30 rounds",
         each("allocation_bias") / 5 * 30 * SAMPLE, f"the sample to the driver; prices of {table / 2e9:.1f} GB back"),
        ("allocation of long lists", f"1e9 lists of {LONG}", each("allocate") * USERS, "nothing: each list is alone"),
        ("audit in the engine", "1e9 lists of 20", each("engines.audit, Polars") * USERS,
         f"item counts of {table / 1e9:.1f} GB to the driver, item values of {9 * table / 1e9:.1f} GB to every worker, "
         "30 sums a user where rows are not kept by user"),
        ("fit, MF with ReSN, an epoch", "2e10 interactions", each("fit, MF with ReSN, an epoch") * 2e10 * WIDTH / DIM,
         f"users in shards: gradients of the items of a batch, {2 * 8192 * WIDTH * 4 / 1e6:.1f} MB, and for ReSN "
         f"{2 * WIDTH + 2} numbers"),
    )  # fmt: skip
    rows = [f"| {step} | {work} | {float(f'{s / 3600:.2g}'):,g} | {sent} |" for step, work, s, sent in steps]
    return [PLAN, "|---|---|---:|---|", *rows]


def draw(record: dict[str, Any]) -> None:
    """Write a figure for each room."""
    charts = {
        room: Chart(
            "line",
            [
                {"verb": name, **row}
                for name, verb in VERBS.items() if verb.room == room
                for row in record["verbs"][name] if row["seconds"] > 0
            ],
            "size", "seconds", color="verb", title=f"Processor seconds: {room}", x_scale="log", y_scale="log",
            x_label="what grows", y_label="processor seconds", x_format=",.0f", y_format=".3g",
        )
        for room in dict.fromkeys(verb.room for verb in VERBS.values())
    }  # fmt: skip
    for room, chart in charts.items():
        for folder, narrow in ((FIGURES, False), (FIGURES / "narrow", True)):
            chart_svg(chart, folder / f"scale-{room}.svg", beside=list(charts.values()), narrow=narrow)


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, help="write the tables and figures of the record that stands")
    parser.add_argument("--only", default="", help="verbs whose name holds this; the record keeps the others")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        import warnings

        warnings.simplefilter("ignore")
        print(json.dumps(measured(VERBS[args.work])))
        return
    if args.page:
        from serving import put

        record = json.loads(RECORD.read_text(encoding="utf-8"))
        for lines in (costs(record), reasons(record), plan(record)):
            put(lines, args.page)
        draw(record)
        return
    from speed import machine

    args.threads, args.scale, args.rounds, args.peer = 1, 1.0, 3, {}
    before = json.loads(RECORD.read_text(encoding="utf-8"))["verbs"] if args.only else {}
    record = machine(args) | {"verbs": before}
    for name in (name for name in VERBS if args.only in name):
        command = [sys.executable, __file__, "--work", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows = record["verbs"][name] = json.loads(done.stdout.splitlines()[-1])
        print(f"{name}: {rows[-1]['seconds']:.2f} s, slopes {slope(rows):.2f} and {slope(rows[2:]):.2f}", flush=True)
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
