"""Write the pages on the reproductions from the records: python reproduce/page.py."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cells
import spectral

from headtail.reports import Block, Column, Report, Section, Table, Text
from headtail.tradeoffs import Estimate, Frontier, Point

DOCS = Path(__file__).parent.parent / "docs"
MAX_LOSS = 0.05
EVENER = {"gini@20": ("Gini", 0.05), "head_share@20": ("share of the head", 0.2)}  # how far below the plain model's

SPECTRAL = f"""Does ReSN give better accuracy at the same evenness of exposure, and the reverse, and how does it stand
beside simple corrections? Each cell below is a backbone on a data set under a protocol. The backbone was tuned on the
validation part without any correction; every method's dial was then swept with {len(spectral.SEEDS)} seeds. *Chosen*
is, on the validation part, the setting of the lowest Gini among those that lose at most {MAX_LOSS:.0%} of NDCG@20. All
figures are of the test part, means over the seeds with 95% intervals over the seeds (Student's t, of one split: how far
another training may be off, not how far other users may).

Everything here is made by `python reproduce/page.py` from `reproduce/records/`; a record is made by
`python reproduce/spectral.py CELL`, with the cell's name as it stands in its headline."""

PROTOCOLS = """*Common*: a random part of each user's interactions is the test. *Debiased*: all items have about equally
many test interactions, the rest of theirs went back to training (Lin et al., WSDM 2025). *Uniform*: the test items were
shown to users at random. The methods: **ReSN**, the spectral-norm penalty (for ALS in closed form); **LogDet**, a
penalty on collapsed dimensions; **Zerosum**, a loss on the sums of scores; **IPS**, positives weighted by inverse
propensity; and, without retraining, **shrink** (sigma 1 scaled down), **log penalty** (popularity's logarithm
subtracted), **tilt** (entropy, or towards what popularity earns; see `headtail.tilt`)."""


@dataclass(frozen=True)
class Cell:
    """A record and the frontier in it."""

    name: str
    record: dict[str, Any]
    frontier: Frontier

    @property
    def plain(self) -> tuple[str, Any]:
        """The method and setting that stand for no correction."""
        method = self.frontier.methods[0]
        return method, self.frontier.settings(method)[0]


def read(names: Sequence[str]) -> Iterator[Cell]:
    """Yield the cells that have a record."""
    for name in names:
        file = cells.record(name)
        if file.exists():
            record = json.loads(file.read_text(encoding="utf-8"))
            found = record["frontier"]
            points = tuple(Point(**point) for point in found["points"])
            yield Cell(name, record, Frontier(points, found["accuracy"], found["unfairness"]))


def spectral_page() -> Report:
    """Return the page on ReSN."""
    found = list(read(spectral.CELLS))
    missing = [name for name in spectral.CELLS if name not in {cell.name for cell in found}]
    blocks: list[Block] = [
        Text(PROTOCOLS),
        Section("What it comes to", list(_verdict(found))),
        *(_section(cell) for cell in found),
        Section("Not run", [Text(", ".join(f"`{name}`" for name in missing) or "Nothing: all cells are above.")]),
    ]
    return Report("ReSN beside its rivals", blocks, SPECTRAL)


def _verdict(found: Sequence[Cell]) -> Iterator[Block]:
    for protocol in ("common", "debiased", "uniform"):
        of_protocol = [cell for cell in found if cell.name.endswith(protocol)]
        if not of_protocol:
            continue
        for metric in EVENER:
            yield _equal(of_protocol, protocol, metric)
        yield _chosen_of_all(of_protocol, protocol)


def _equal(found: Sequence[Cell], protocol: str, metric: str) -> Table:
    """Return what each method loses of the plain accuracy where exposure is as much more even."""
    what, share = EVENER[metric]
    rows: list[dict[str, Any]] = []
    for cell in found:
        frontier = replace(cell.frontier, unfairness=metric)
        row: dict[str, Any] = {"cell": _short(cell.name)}
        for method in frontier.methods:
            change = frontier.accuracy_at(method, -share, relative=True).value
            row[method] = None if math.isnan(change) else change
        rows.append(row)
    methods = [name for name in found[-1].frontier.methods if any(row.get(name) is not None for row in rows)]
    return Table(
        [Column("cell", "Cell"), *(Column(name, name, format="+.1%") for name in methods)],
        [dict.fromkeys(methods) | row for row in rows],
        title=f"{protocol.capitalize()} test: change of NDCG@20 where the {what} is {share:.0%} below the plain one",
        caption=f"Along each method's own curve of {what} and NDCG@20; empty where no setting is so even. "
        + _wins(rows, methods),
    )  # fmt: skip


def _wins(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> str:
    """Say which method loses least, in how many cells."""
    reached = [{name: row[name] for name in methods if row.get(name) is not None} for row in rows]
    counted = Counter(max(kept, key=lambda name: kept[name]) for kept in reached if kept)
    return "Best: " + ", ".join(f"{name} in {n}" for name, n in counted.most_common()) + f" of {len(rows)} cells."


def _chosen_of_all(found: Sequence[Cell], protocol: str) -> Table:
    """Return ReSN as chosen on validation: the fairest within the loss, and the most accurate."""
    rows = []
    for cell in found:
        frontier = cell.frontier
        row: dict[str, Any] = {"cell": _short(cell.name), "plain": frontier.mean(*cell.plain, frontier.accuracy)}
        accurate = max(
            frontier.settings("ReSN"), key=lambda s: frontier.mean("ReSN", s, frontier.accuracy, "validation")
        )
        for key, setting in (("even", frontier.choose("ReSN", MAX_LOSS)), ("accurate", accurate)):
            row[key] = f"{setting:g}"
            for name in (frontier.accuracy, frontier.unfairness, "head_share@20"):
                change = frontier.estimate("ReSN", setting, name, relative=True)
                row |= _with_ends(f"{key} {name}", change)
        rows.append(row)
    columns = [Column("cell", "Cell"), Column("plain", "plain NDCG@20", format=".4f")]
    for key, label in (("even", "evenest weight"), ("accurate", "most accurate weight")):
        columns.append(Column(key, label))
        for name, shown in (("ndcg@20", "NDCG"), ("gini@20", "Gini"), ("head_share@20", "head")):
            column = f"{key} {name}"
            columns.append(Column(column, shown, format="+.1%", low=f"{column} low", high=f"{column} high"))
    return Table(
        columns, rows, title=f"{protocol.capitalize()} test: ReSN at two weights chosen on validation",
        caption=f"The evenest weight that loses at most {MAX_LOSS:.0%} of NDCG@20 there, and the weight of the highest "
        "NDCG@20 there; changes on the test against weight 0, seed by seed.",
    )  # fmt: skip


def _section(cell: Cell) -> Section:
    frontier, record = cell.frontier, cell.record
    figure = DOCS / "figures" / f"{cells.record(cell.name).stem}.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    frontier.without(*(m for m in frontier.methods if m == "most popular")).chart(MAX_LOSS).to_svg(figure)
    settings = ", ".join(f"{name} {value:g}" for name, value in record["settings"].items())
    sizes = ", ".join(f"{size:,} {part}" for part, size in record["sizes"].items())
    text = (
        f"{record['users']:,} users, {record['items']:,} items; {sizes}. {record['split']} Settings of the backbone: "
        f"{settings}."
    )
    picture = f"![Trade-off of {cell.name}](figures/{figure.name})"
    return Section(cell.name, [Text(text), Text(picture), _chosen(cell)])


def _chosen(cell: Cell) -> Table:
    frontier = cell.frontier
    shown = (
        ("ndcg@20", ".4f"), ("recall@20", ".4f"), ("gini@20", ".4f"), ("coverage@20", ".1%"), ("head_share@20", ".1%"),
        ("tail_exposure@20", ".1%"),
    )  # fmt: skip
    fifths = [f"fifth_{i}@20" for i in range(1, 6)]
    pairs = [("plain", *cell.plain)]
    pairs += [(method, method, frontier.choose(method, MAX_LOSS)) for method in frontier.methods]
    rows = []
    for label, method, setting in pairs:
        row: dict[str, Any] = {"method": label, "setting": "" if label == "plain" else str(setting)}
        for name, _ in shown:
            row |= _with_ends(name, frontier.estimate(method, setting, name))
        if all(f"{name}" in frontier.points[0].test for name in fifths):
            row["fifths"] = " ".join(f"{frontier.mean(method, setting, name):.2f}" for name in fifths)
        rows.append(row)
    ends = {"ndcg@20", "gini@20"}
    columns = [
        Column("method", "Method"),
        Column("setting", "Chosen"),
        *(
            Column(n, n, format=f, **({"low": f"{n} low", "high": f"{n} high"} if n in ends else {}))
            for n, f in shown
        ),
        Column("fifths", "Fifths"),
    ]  # fmt: skip
    caption = "Fifths: exposure of five groups of items with equal training interactions, the most popular first."
    return Table(columns, rows, caption=caption)


def _with_ends(name: str, estimate: Estimate) -> dict[str, Any]:
    return {name: estimate.value, f"{name} low": estimate.low, f"{name} high": estimate.high}


def _short(name: str) -> str:
    return " ".join(name.split("/")[:2])


if __name__ == "__main__":
    spectral_page().to_markdown(DOCS / "reproduction-resn.md")
