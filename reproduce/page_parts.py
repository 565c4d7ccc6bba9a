"""What the pages on the reproductions share: a record as a cell, and the tables and pictures of every cell."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cells
import neurons
import spectral

from headtail.dials import CONTROLS, DIALS
from headtail.reports import Block, Chart, Column, Section, Table, Text, chart_svg
from headtail.tradeoffs import Estimate, Frontier, Point

ENDS = {each.name: each.end for each in (*DIALS, *CONTROLS)}
WRITTEN = {
    "als": "ALS", "mf": "MF", "lightgcn": "LightGCN", "xsimgcl": "XSimGCL", "sasrec": "SASRec", "ml-1m": "MovieLens-1M",
    "lastfm": "Last.fm", "movietweetings": "MovieTweetings", "amazon-beauty": "Amazon Beauty", "coat": "Coat",
    "gowalla": "Gowalla",
}  # fmt: skip
DOCS = Path(__file__).parent.parent / "docs"
DRAWN = (
    "ReSN", "ReSN, fine-tuned", "Zerosum", "IPS", "log penalty", "tilt (entropy)",
    "tilt (alpha-fair)", "allocation", "PopSteer", "PopSteer, by user",
    "dense shift", "IPR",
)  # fmt: skip
DRAWN_ABOVE = 0.8  # of the plain accuracy
LEVELS = {"gini@20": "Gini", "head_share@20": "share of the head", "gini@10": "Gini", "arp@10": "mean popularity"}
OVER = Column("over", "Intervals over")
HEADINGS = {
    "ndcg": "NDCG", "recall": "Recall", "gini": "Gini", "coverage": "Coverage", "coverage_5": "Shown 5 times",
    "tail_coverage": "Tail coverage", "head_share": "Head", "tail_exposure": "Tail", "arp": "Popularity",
    "pce": "Calibration error", "ilad": "Distance in lists",
}  # fmt: skip

INTERVALS = """Intervals are of 95%, and tables say what each is over. *Users and seeds*: how far other users and
another training could be off, together, and another split where each seed draws its own. *Seeds*, of older records: how
far another training could be off with the same users (Student's t over the seeds, which is wide for three).

A method's curve runs through those of its settings that neither another one nor a mixture of two others beats on
validation. What records compare over users and seeds was worked out when they were made, along all settings that no
other one beats. Without intervals both can be worked out from the points: today's curves lose up to 0.7% of NDCG@20
less for the family of allocation and tilts, at most 0.3% more, and differ more than that on Coat alone. The NDCG of
validation is that of as many wanted items a user as the test has; records made before have it as it is."""


@dataclass(frozen=True)
class Cell:
    """A record and the frontier in it."""

    name: str
    stem: str
    record: dict[str, Any]
    frontier: Frontier
    compare: Callable[[Frontier], dict[str, Any]]

    @property
    def backbone(self) -> str:
        return WRITTEN[self.name.split("/")[0]]

    @property
    def data(self) -> str:
        return WRITTEN[self.name.split("/")[1]]

    @property
    def plain(self) -> tuple[str, Any]:
        """The method and setting that stand for no correction."""
        method = self.frontier.methods[0]
        return method, self.frontier.settings(method)[0]

    @cached_property
    def _compared(self) -> Mapping[str, Any]:
        """What the record compares, or what its points alone tell of that."""
        return self.record.get("compared") or self.compare(self.frontier)

    @property
    def plain_figures(self) -> Mapping[str, Any]:
        """The accuracy and the unfairness without a correction, with their intervals."""
        return self._compared["plain"]

    def level(self, metric: str, share: float) -> dict[str, Any]:
        """Return what is compared where a metric is so far below the plain model's."""
        rows = self._compared["levels"]
        return next(row for row in rows if (row["metric"], row["share"]) == (metric, share))

    def chosen(self, loss: float | None) -> list[dict[str, Any]]:
        """Return each method's setting that was chosen for a loss, with its figures."""
        return [row for row in self._compared["losses"] if row["loss"] == loss]

    def drawn(self, methods: Sequence[str]) -> list[tuple[str, Any]]:
        """Return the settings of these methods that lose little of the plain accuracy."""
        frontier = self.frontier
        least = DRAWN_ABOVE * frontier.mean(*self.plain, frontier.accuracy)
        pairs = [(each, setting) for each in methods if each in frontier.methods for setting in frontier.settings(each)]
        return [pair for pair in pairs if frontier.mean(*pair, frontier.accuracy) >= least]


COMPARED = {"resn": spectral.compared, "popsteer": neurons.compared, "ablation": neurons.compared}


def _estimates(values: dict[str, Any]) -> Any:
    return Estimate(**values) if "n_seeds" in values else values


def read(study: str, names: Sequence[str]) -> Iterator[Cell]:
    """Yield the cells that have a record."""
    for name in names:
        file = cells.record(study, name)
        if file.exists():
            record = json.loads(file.read_text(encoding="utf-8"), object_hook=_estimates)
            found = record["frontier"]
            points = tuple(Point(**point) for point in found["points"])
            frontier = Frontier(points, found["accuracy"], found["unfairness"], margin=0)
            yield Cell(name, file.stem, record, frontier, COMPARED[study])


def not_run(found: Sequence[Cell], names: Sequence[str], further: Sequence[str] = ()) -> Section:
    """Return which cells have no record."""
    there = {cell.name for cell in found}
    missing = [*(name for name in names if name not in there), *further]
    return Section("Not run", [Text(", ".join(f"`{name}`" for name in missing) or "Nothing: all cells are above.")])


def figure_of(chart: Chart, title: str, name: str, beside: Sequence[Chart] = ()) -> Text:
    """Draw a chart into the folder of figures, and return the line that shows it."""
    for folder, narrow in (("figures", False), ("figures/narrow", True)):  # the site shows the second on small screens
        chart_svg(chart, DOCS / folder / f"{name}.svg", beside=beside, narrow=narrow)
    return Text(f"![{title}](figures/{name}.svg)")


def equal(found: Sequence[Cell], protocol: str, metric: str, share: float) -> Section:
    """Return what each method loses of the plain accuracy where exposure is as much more even, by data set."""
    levels = {cell.name: cell.level(metric, share) for cell in found}
    accuracy = found[0].frontier.accuracy.upper()
    longest = max((cell.frontier.methods for cell in found), key=len)
    tables = []
    for data in dict.fromkeys(cell.data for cell in found):
        changes = {cell.backbone: levels[cell.name]["changes"] for cell in found if cell.data == data}
        rows: list[dict[str, Any]] = [
            {"method": method}
            | {name: each[method].value if method in each else None for name, each in changes.items()}
            for method in longest
        ]
        columns = [Column("method", "Method"), *(Column(name, format="+.1%", better="higher") for name in changes)]
        tables.append(
            Table(columns, [row for row in rows if any(row[name] is not None for name in changes)], title=data)
        )
    said = (
        f"Along each method's own curve of {LEVELS[metric]} and {accuracy}, its settings picked on validation; empty "
        f"where none is so even. {_wins(list(levels.values()))}"
    )
    title = f"{protocol} test: change of {accuracy} where the {LEVELS[metric]} is {share:.0%} below the plain one"
    return Section(title, [Text(said), *tables])


def _wins(levels: Sequence[Mapping[str, Any]]) -> str:
    """Say which method loses least, in how many cells, and in how many of these beyond doubt."""
    least = [level for level in levels if level["least"] is not None]
    clear = Counter(level["least"] for level in least if level["surely"])
    counted = Counter(level["least"] for level in least).most_common()
    shown = ", ".join(f"{method} in {n} ({clear[method]})" for method, n in counted)
    return (
        f"Loses least: {shown}; in brackets, the cells where the 95% interval of its difference from every other "
        f"method is above 0."
    )


def heading(metric: str) -> str:
    """Return what stands above a column of a metric's figures; the length of lists is the page's."""
    return HEADINGS[metric.partition("@")[0]]


def table_over(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], title: str, caption: str) -> Table:
    """Return a table that says in its caption what intervals are over, and row by row only where rows differ."""
    over = {row["over"] for row in rows} - {None}
    if len(over) > 1:
        return Table([*columns, OVER], rows, title=title, caption=caption)
    return Table(columns, rows, title=title, caption=" ".join([caption, *(f"Intervals over {it}." for it in over)]))


def sections(
    found: Sequence[Cell],
    shown: Sequence[tuple[str, str]],
    details: Callable[[Cell], Iterable[Block]] = lambda _: (),
) -> list[Section]:
    """Return a section for each cell: its data, the picture of its curves, details, and what was chosen."""
    pictures = [_picture(cell) for cell in found]
    return [
        Section(titled(cell.name), [*_data(cell, picture, pictures), *details(cell), _chosen(cell, shown)])
        for cell, picture in zip(found, pictures, strict=True)
    ]


def _data(cell: Cell, picture: Chart, beside: Sequence[Chart]) -> list[Block]:
    record = cell.record
    sizes = ", ".join(f"{size:,} {part}" for part, size in record["sizes"].items())
    text = (
        f"`{cell.name}`: {record['users']:,} users, {record['items']:,} items; {sizes}. "
        f"{record['split']}{_seeds(cell)}{_before(cell)} Settings of the backbone: {_settings(record)}."
    )
    for method, own in record.get("own", {}).items():
        text += f" Those of {method}, which has its own: {_settings(own)}."
    return [Text(text), figure_of(picture, f"Trade-off of {titled(cell.name)}", cell.stem, beside)]


def _seeds(cell: Cell) -> str:
    """Say how many seeds a cell of the spectral study has, and whether each has its own split."""
    n = len(cell.frontier.seeds(cell.frontier.methods[0]))
    if not cell.stem.startswith("resn"):
        return ""
    return f" {n} seeds, each with a split of its own." if "splits" in cell.record else f" {n} seeds on one split."


def _settings(tuned: Mapping[str, Any]) -> str:
    """Return the settings of a backbone as text, marked where one is the least or the largest that was tried."""
    said = []
    for name, value in tuned["settings"].items():
        tried = {row["settings"][name] for row in tuned.get("tuning", [])} if name != "epochs" else set()
        at_end = len(tried) > 1 and value in (min(tried), max(tried))
        said.append(f"{name} {_plain(value)}" + (" (end)" if at_end else ""))
    return ", ".join(said)


def _before(cell: Cell) -> str:
    """Say what was otherwise when a record was made, where that matters to its figures."""
    said = ""
    if cell.name.endswith("debiased") and "one, in training" not in cell.record["split"]:
        said += (
            " This split is that of the paper, under which all of an item's interactions may leave training; today's "
            "keeps half of them there."
        )
    if cell.name.startswith("mf/") and "own" not in cell.record:
        said += " Zerosum has the settings that were found for the squared loss, not for its own."
    if "dense projection" in cell.frontier.methods and "project_to" not in cell.record:
        said += " The dense projection goes to 0, not to where users of niche tastes lie, as today's does."
    if cell.stem.startswith("popsteer-lightgcn") and "equally_active" not in cell.record:
        said += " Of users who are as active their order decided whom each was compared with; today they stay together."
    if "tilt (entropy)" in cell.frontier.methods and "PCT" not in cell.frontier.methods:
        said += (
            " Its tilts had not all settled and did not order lists apart from the bias; dials of today are missing."
        )
    turned = [
        each for each in neurons.TURNED if cell.stem.startswith("popsteer") and each.name in cell.frontier.methods
    ]
    coarse = [each.name for each in turned if not _between(cell.frontier.settings(each.name), each.grid)]
    if len(coarse) == len(turned) > 0:
        said += " No dial was swept finely."
    elif coarse:
        said += f" Not swept finely, or at its last setting: {', '.join(coarse)}."
    return said


def _between(settings: Sequence[Any], grid: Sequence[float]) -> list[float]:
    """Return the settings that lie within a grid and are not of it."""
    return [setting for setting in settings if setting not in grid and abs(setting) < abs(grid[-1])]


def _picture(cell: Cell) -> Chart:
    """Return the curves of the main methods, where they lose little accuracy, without the intervals of the tables."""
    kept = set(cell.drawn(DRAWN))
    points = tuple(point for point in cell.frontier.points if (point.method, point.setting) in kept)
    return replace(replace(cell.frontier, points=points).chart(cells.MAX_LOSS), low=None, high=None)


def _chosen(cell: Cell, shown: Sequence[tuple[str, str]]) -> Table:
    """Return the test's figures of the settings that were chosen."""
    frontier = cell.frontier
    label, spec, grouped = "Exposure of fifths", ".2f", [name for name in frontier.points[0].test if "fifth_" in name]
    caption = "Fifths: five groups of items with equal training interactions, the most popular first."
    if not grouped:
        label, spec, grouped = "NDCG of head, mid, tail", ".3f", [f"ndcg_{name}@10" for name in ("head", "mid", "tail")]
        caption = "Shown 5 times: share of items in at least five lists. Head, mid, tail: of the wanted items there."
    plain = dict(zip(("method", "setting"), cell.plain, strict=True)) | {"figures": cell.plain_figures}
    rows = []
    for chosen in [plain, *cell.chosen(cells.MAX_LOSS)]:
        method, setting = chosen["method"], chosen["setting"]
        row: dict[str, Any] = {"method": method, "setting": setting_of(frontier, method, setting)}
        if chosen is plain:
            row = {"method": "plain", "setting": ""}
        row |= {name: frontier.mean(method, setting, name) for name, _ in shown}
        row |= {**chosen["figures"], "over": chosen["figures"][frontier.unfairness].over}
        row["grouped"] = " ".join(f"{frontier.mean(method, setting, name):{spec}}" for name in grouped)
        rows.append(row)
    columns = [Column("method", "Method"), Column("setting", "Chosen")]
    columns += [Column(name, heading(name), format=spec) for name, spec in shown]
    columns.append(Column("grouped", label))
    title = f"Every method, chosen for at most {cells.MAX_LOSS:.0%} of {frontier.accuracy.upper()}: figures on the test"
    return table_over(columns, rows, title, caption)


def setting_of(frontier: Frontier, method: str, setting: Any) -> str:
    """Return a chosen setting as text, marked where a stronger one might have been chosen."""
    settings, end = frontier.settings(method), ENDS.get(method.partition(",")[0])
    last = len(settings) > 1 and setting == settings[-1] == frontier.choose(method, cells.MAX_LOSS) != end
    return f"{setting:g}" + (" (last)" if last else "")


def _plain(value: Any) -> str:
    """Return a setting, or several of them, as text."""
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items()) + ")"
    return value if isinstance(value, str) else f"{value:g}"


def short(name: str) -> str:
    """Return the backbone and the data set of a cell, as they are written."""
    backbone, data, _ = (WRITTEN.get(part, part) for part in name.split("/"))
    return f"{backbone} on {data}"


def titled(name: str) -> str:
    """Return the backbone, the data set and the protocol of a cell, as they are written."""
    return f"{short(name)}, {name.rpartition('/')[2]}"
