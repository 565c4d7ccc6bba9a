"""Write the pages on the reproductions from the records: python reproduce/page.py."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import ablations
import cells
import comparisons
import neurons
import numpy as np
import spectral

from headtail._stats import holm
from headtail.dials import CONTROLS, DIALS
from headtail.dials.training import FINE_TUNING
from headtail.reports import Block, Chart, Column, Report, Section, Table, Text, chart_svg
from headtail.tradeoffs import Estimate, Frontier, Point
from headtail.tradeoffs.points import Reading, summary

ENDS = {each.name: each.end for each in (*DIALS, *CONTROLS)}
DOCS = Path(__file__).parent.parent / "docs"
MAX_LOSS = cells.MAX_LOSS
DRAWN = (
    "ReSN", "ReSN, fine-tuned", "Zerosum", "IPS", "log penalty", "tilt (entropy)",
    "tilt (alpha-fair)", "allocation", "PopSteer", "PopSteer, by user",
    "dense shift", "IPR",
)  # fmt: skip
DRAWN_ABOVE = 0.8  # of the plain accuracy
ALLOCATION = ("allocation", *comparisons.RIVALS)

CHEAP = ("ndcg@10", "gini@10", "coverage@10", "ilad@10", "arp@10", "pce@10")
EXCHANGED = {"gini@10": "Gini", "arp@10": "mean popularity", "pce@10": "calibration error"}  # for NDCG@10
SASREC = {"ml-1m": "MovieLens-1M", "amazon-beauty": "Amazon Beauty", "movietweetings": "MovieTweetings"}
STEERINGS = tuple(each.name for each in neurons.STEERED if each not in CONTROLS)
MEETING = tuple(name for name in STEERINGS if "SPREE" in name or "by user" in name or "menu" in name)
ALONE = ("allocation, most hits", "allocation", "tilt (alpha-fair)", "IPR")  # without an autoencoder
LEVELS = {"gini@20": "Gini", "head_share@20": "share of the head", "gini@10": "Gini", "arp@10": "mean popularity"}
SHOWN = (
    ("ndcg@20", ".4f"), ("recall@20", ".4f"), ("gini@20", ".4f"), ("coverage@20", ".1%"), ("head_share@20", ".1%"),
    ("tail_exposure@20", ".1%"),
)  # fmt: skip
STEERED_SHOWN = (
    ("ndcg@10", ".4f"), ("gini@10", ".4f"), ("coverage@10", ".1%"), ("coverage_5@10", ".1%"),
    ("tail_coverage@10", ".1%"),
    ("arp@10", ",.0f"), ("ilad@10", ".4f"), ("ndcg_head@10", ".4f"), ("ndcg_mid@10", ".4f"), ("ndcg_tail@10", ".4f"),
)  # fmt: skip

OVER = Column("over", "Intervals over")

LAST = """A setting that is the last of its dial's sweep is marked (last): a stronger one may be better. Sweeps go on
beyond their grid for as long as that happens; records made before they did are marked so more often."""

INTERVALS = """Intervals are of 95%, and tables say what each is over. *Users and seeds*: how far other users and
another training could be off, together. *Seeds*, of older records: how far another training could be off with the same
users (Student's t over the seeds, which is wide for three)."""

SPECTRAL = f"""Does ReSN give better accuracy at the same evenness of exposure, and the reverse, and how does it stand
beside simple corrections? Each cell below is a backbone on a data set under a protocol. The backbone was tuned on the
validation part without any correction; every method's dial was then swept with {len(spectral.SEEDS)} seeds. *Chosen*
is, on the validation part, the setting of the lowest Gini among those that lose at most {MAX_LOSS:.0%} of NDCG@20. All
figures are of the test part, means over the seeds.

{INTERVALS}

Everything here is made by `python reproduce/page.py` from `reproduce/records/`; a record is made by
`python reproduce/spectral.py CELL`, with the cell's name as it stands in its headline."""

PROTOCOLS = f"""*Common*: a random part of each user's interactions is the test. *Debiased*: all items have about
equally many test interactions, the rest of theirs went back to training (Lin et al., WSDM 2025). *Uniform*: the test
items were shown to users at random. The methods: **ReSN**, the spectral-norm penalty (for ALS in closed form);
*fine-tuned*, the plain model trained on with it for {FINE_TUNING:.0%} of its epochs (its setting 0 trains on
without); **LogDet**, a penalty on collapsed dimensions; **Zerosum**, a loss on the sums of scores; **IPS**, positives
weighted by inverse propensity, with propensities clipped at 0.1 or where its name says; and, without retraining,
**shrink** (a part of sigma 1 taken out), **log penalty** (popularity's logarithm subtracted), **tilt** (entropy,
alpha-fair, or towards what popularity earns; see `headtail.tilt`), **IPR** (re-ranking by inverse popularity) and
**allocation** (slots given to items at the least loss of relevance, which is learned on the validation part; see
`headtail.allocation`). Strength 0 is no correction; the weights of ReSN are those of its penalty, for ALS too.

{LAST}

Where there are {spectral.LARGE:,} training pairs or more, LightGCN and XSimGCL have larger batches and larger steps
than elsewhere, and XSimGCL at most {spectral.BACKBONES["xsimgcl"].large["epochs"]} epochs."""


NEURONS = f"""What does steering through a sparse autoencoder buy, beside corrections that need none? In each cell a
backbone was trained, then an autoencoder on its frozen states, and every dial was swept with {len(neurons.SEEDS)} seeds
(each trains both anew). Settings are chosen on the validation part; all figures are of the test part, means over the
seeds.

{INTERVALS}

Everything here is made by `python reproduce/page.py` from `reproduce/records/`; a record is made by
`python reproduce/neurons.py CELL`, with the cell's name as it stands in its headline."""

DIALS = """**PopSteer**: the rule of the extended paper (v2) on the autoencoder's pre-activations, the reconstruction
error passed on. Its variants: *error dropped*, as published (alpha 0 is the unsteered autoencoder); *v1*, the first
paper's rule; *gated*, the extended paper's rule as its code has it; *damped*, activations scaled where they are; *by
effect*, weighted by what a push does to the popularity of lists, neurons that push the other way than they listen left
alone; *by user*, as strong as a user's recommendations are more popular than the history; *items*, *users and items*:
the item vectors are steered, or both; *menu*: each user the one setting of the dial that calibrated relevance and
prices of exposure choose. Neurons that never fire are left alone in all of them. **SPREE**: each user by sign and
amount, towards lists as popular as the user's own history, along the dense direction or through neurons. Controls:
**random neurons** pushed as hard, the sign **reversed**, **noise**. Without an autoencoder: **dense shift** and **dense
projection** along the difference of means of the same synthetic users, **IPR** (re-ranking by inverse popularity),
**log penalty**, **shrink** and **tilt**, as in [the other reproduction](reproduction-resn.md). A tilt *as a shift* is
the best copy of its item biases that one shift of all queries can make: it shows what limits every constant shift.
Histories are masked; ranking is over the whole catalogue. Measured are Gini of exposure, the mean popularity of what is
recommended (ARP), the calibration error of popularity (PCE), lower is better in all, and the distance within lists
(ILAD). A dial is swept beyond its grid while its last setting is chosen for 5% of NDCG@10, and then more finely above
the setting that is chosen for .5%, but where a cell says that it was not."""

ANEW = """The record of all dials of this backbone is older than some of them; these dials were swept since, on
backbones that were trained anew."""

SIDES = (  # whose curves are drawn
    "PopSteer", "PopSteer, items", "PopSteer, users and items", "PopSteer, damped", "SPREE", "tilt (alpha-fair)",
    "allocation", "IPR",
)  # fmt: skip
PICTURES = (
    ("gini@10", "Gini of exposure"), ("arp@10", "mean popularity"), ("coverage@10", "coverage"),
    ("tail_coverage@10", "deep long-tail coverage"), ("pce@10", "calibration error of popularity"),
)  # fmt: skip

STABILITY = (
    "Mean best cosine of decoder rows between two seeds of the autoencoder of one backbone, by how often neurons fire; "
    "in records from before, of all rows alike and between backbones, which is chance."
)

FOUND = """**What steering explains.** A sparse autoencoder says which directions of a user's vector answer to popular
tastes, what each listens to and which items it raises, in items and lists that anybody can read. Its directions are
found again by another seed only where few neurons speak at a time: of SASRec's states on MovieTweetings (54,960
vectors, 64 numbers, 1,024 neurons, 12 epochs) decoder rows, counted by how often their neuron fires, agree with those
of another seed at .43 where 32 speak, .61 where 16 do and .78 where 8 do (random directions: .39). With 8 the
reconstruction's NDCG@10 is that of the states (.3% higher, 95%: 1.3% higher to .8% lower). Started from vectors of the
data, as `headtail probe` does today, they agree at .88 with 32 and .96 with 8, for the data then says where they lie
([more](explain.md)); the records here started at random. Autoencoders of different
backbones live in unrelated spaces, so that the agreement which older records name, .39 to .43, is that of chance. Of
the queries of ALS (4,333 vectors, one a user) it reaches .55 at most: there are too few vectors to learn from.

**What it corrects.** For 1% of NDCG@10, dial and setting picked on validation for each measure, the best steering
changes on the test: {corrected}.

**Where an item-side dial is better.** For exposure, wherever items can be touched: a constant shift of queries is an
item bias confined to the span of the item vectors. Steering is the dial where items cannot be touched, where each user
is to be met, or where what is done has to be said in words. Most of the improvement that is claimed for steering can be
had on its own backbone and data by allocation, chosen on validation for .5% of NDCG@10, with three seeds: on ML-1M
allocation for the most hits has {ml-1m}; on Amazon Beauty {amazon-beauty}; on MovieTweetings {movietweetings}. What is
chosen for .5% on validation may lose more on the test, as it does on Amazon Beauty.

**What was claimed** is 12.6 to 28.3% less Gini for under .5% of NDCG. **What was found** of the published rule, chosen
on validation for at most .5% of NDCG@10 and measured with three seeds: {published} less at best."""

ABLATIONS = """One part of PopSteer is changed at a time, with one seed of the backbone; the records are made by
`python reproduce/ablations.py CELL`. The error is passed on, so that alpha 0 is the plain model in every row."""


@dataclass(frozen=True)
class Cell:
    """A record and the frontier in it."""

    name: str
    stem: str
    record: dict[str, Any]
    frontier: Frontier
    compare: Callable[[Frontier], dict[str, Any]]

    @property
    def plain(self) -> tuple[str, Any]:
        """The method and setting that stand for no correction."""
        method = self.frontier.methods[0]
        return method, self.frontier.settings(method)[0]

    @cached_property
    def _compared(self) -> Mapping[str, Any]:
        """What the record compares, or what its points alone tell of that."""
        found: Mapping[str, Any] = self.record.get("compared") or self.compare(self.frontier)
        return found

    @property
    def plain_figures(self) -> Mapping[str, Any]:
        """The accuracy and the unfairness without a correction, with their intervals."""
        found: Mapping[str, Any] = self._compared["plain"]
        return found

    def level(self, metric: str, share: float) -> dict[str, Any]:
        """Return what is compared where a metric is so far below the plain model's."""
        rows = self._compared["levels"]
        found: dict[str, Any] = next(row for row in rows if (row["metric"], row["share"]) == (metric, share))
        return found

    def chosen(self, loss: float | None) -> list[dict[str, Any]]:
        """Return each method's setting that was chosen for a loss, with its figures."""
        return [row for row in self._compared["losses"] if row["loss"] == loss]


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
            frontier = Frontier(points, found["accuracy"], found["unfairness"])
            yield Cell(name, file.stem, record, frontier, COMPARED[study])


def spectral_page() -> Report:
    """Return the page on ReSN."""
    found = list(read("resn", spectral.CELLS))
    missing = [name for name in spectral.CELLS if name not in {cell.name for cell in found}]
    blocks: list[Block] = [
        Text(PROTOCOLS),
        Section("What it comes to", list(_verdict(found))),
        *_sections(found, SHOWN),
        Section("Not run", [Text(", ".join(f"`{name}`" for name in missing) or "Nothing: all cells are above.")]),
    ]
    return Report("ReSN beside its rivals", blocks, SPECTRAL)


def neurons_page() -> Report:
    """Return the page on PopSteer."""
    found = list(read("popsteer", neurons.CELLS))
    missing = [name for name in neurons.CELLS if name not in {cell.name for cell in found}]
    anew = list(read("popsteer", [f"{name}-some-dials" for name in neurons.CELLS]))
    of_today = [cell for cell in found if set(STEERINGS) <= set(cell.frontier.methods)]
    blocks: list[Block] = [Section("In short", [Text(_found(found, of_today))]), Text(DIALS)]
    if found:
        tables = [_cheap(found, loss) for loss in neurons.LOSSES]
        tables += [_equal(found, "Every", *level) for level in neurons.LEVELS]
        blocks.append(Section("What it comes to", tables))
        blocks += map(_today, of_today)
        blocks.append(Section("The autoencoders", [_autoencoders(found)]))
    taken_apart = list(read("ablation", ablations.CELLS))
    if taken_apart:
        blocks.append(Section("Taken apart", [Text(ABLATIONS), *(_ablations(cell) for cell in taken_apart)]))
    if anew:
        blocks.append(Section("Some dials anew", [Text(ANEW), *(_cheap(anew, loss) for loss in neurons.LOSSES)]))
    missing += [f"ablations of {name}" for name in ablations.CELLS if name not in {cell.name for cell in taken_apart}]
    blocks += _sections(found, STEERED_SHOWN)
    blocks.append(Section("Not run", [Text(", ".join(f"`{name}`" for name in missing) or "Nothing.")]))
    return Report("PopSteer beside its rivals", blocks, NEURONS)


def _cheap(found: Sequence[Cell], max_loss: float) -> Table:
    """Return what the setting chosen for little loss changes on the test, method by method."""
    rows: list[dict[str, Any]] = []
    for cell in found:
        for chosen in cell.chosen(max_loss):
            method, setting = chosen["method"], chosen["setting"]
            row: dict[str, Any] = {
                "cell": _short(cell.name),
                "method": method,
                "setting": _dial(cell.frontier, method, setting),
                "over": chosen["changes"]["ndcg@10"].over,
            }
            row |= dict.fromkeys(CHEAP)
            for name, change in chosen["changes"].items():
                row |= _with_ends(name, change)
            rows.append(row)
    columns = [Column("cell", "Cell"), Column("method", "Method"), Column("setting", "Chosen")]
    for name in CHEAP:
        ends = {"low": f"{name} low", "high": f"{name} high"} if name in ("ndcg@10", "gini@10") else {}
        columns.append(Column(name, name, format="+.1%", **ends))
    columns.append(OVER)
    return Table(
        columns, rows, title=f"Chosen on validation for at most {100 * max_loss:g}% of NDCG@10: changes on the test",
        caption="Against the method's own first setting, seed by seed; for dials that drop the error that is the "
        "unsteered autoencoder.",
    )  # fmt: skip


def _today(cell: Cell) -> Section:
    """Return what every steering of today reaches on one backbone, beside the other dials."""
    tables = [_reached(cell), *(_exchange(cell, loss) for loss in neurons.LOSSES)]
    return Section(f"Every steering: {_short(cell.name)}", [*_curves(cell), *tables])


def _exchange(cell: Cell, loss: float) -> Table:
    """Return what each method reaches along its curve on test where so much accuracy is lost."""
    rows = []
    for chosen in cell.chosen(loss):
        row: dict[str, Any] = {"method": chosen["method"]}
        for name, found in chosen["along"].items():
            row |= _with_ends(name, found)
        rows.append(row)
    rows.sort(key=lambda row: math.inf if row["gini@10"] is None else row["gini@10"])
    columns = [Column("method", "Method")]
    columns += [
        Column(name, what, format="+.1%", low=f"{name} low", high=f"{name} high") for name, what in EXCHANGED.items()
    ]
    return Table(
        columns, rows, title=f"Where NDCG@10 on the test is {100 * loss:g}% lower: changes along each method's curve",
        caption="Settings picked on validation; +0.0% where no setting but 0 is on it, empty where none keeps so much.",
    )  # fmt: skip


def _found(cells_of_all: Sequence[Cell], of_today: Sequence[Cell]) -> str:
    """Return the page in short, its figures read from the records."""
    reached = {name: _changes(_swept(name, ALONE[0]), ALONE[0]) for name in SASREC}
    said = {name: "NDCG {} and Gini {}".format(*changes) for name, changes in reached.items()}
    said["corrected"] = "; ".join(map(_corrected, of_today))
    published = [
        cell.frontier.estimate("PopSteer", cell.frontier.choose("PopSteer", 0.005), "gini@10", relative=True)
        for cell in cells_of_all
    ]
    said["published"] = f"{-min(each.value for each in published):.1%}"
    return FOUND.format_map(said)


def _corrected(cell: Cell) -> str:
    """Return what the best steering lowers for 1% of the accuracy, and what the best of all dials does."""
    picked = {
        what: [_picked(cell.frontier, methods, measure, 0.01) for methods in (STEERINGS, cell.frontier.methods)]
        for measure, what in EXCHANGED.items()
    }
    changes = (f"{what} {best} (of all dials {of_all})" for what, (best, of_all) in picked.items())
    return f"on {SASREC[cell.name.split('/')[1]]} {', '.join(changes)}"


@dataclass(frozen=True)
class Picked:
    """A method and its setting, both picked on validation for a measure, and what it changes on test, seed by seed."""

    method: str
    changes: tuple[float, ...]

    @property
    def change(self) -> Estimate:
        return summary([Reading(change) for change in self.changes])

    def less(self, other: "Picked") -> Estimate:
        """Return the difference from another one, seed by seed."""
        return summary([Reading(a - b) for a, b in zip(self.changes, other.changes, strict=True)])

    def __str__(self) -> str:
        return f"{self.change.value:+.1%} by {self.method}"


def _picked(frontier: Frontier, methods: Sequence[str], measure: str, loss: float) -> Picked:
    """Return the method that lowers a measure most on validation for at most so much of the accuracy there."""
    by = replace(frontier, unfairness=measure)
    chosen = {method: by.choose(method, loss) for method in methods if method in frontier.methods}
    on_validation = {
        pair: by.estimate(*pair, measure, part="validation", relative=True).value for pair in chosen.items()
    }
    method, setting = min(on_validation, key=lambda pair: on_validation[pair])
    points = {(p.setting, p.seed): p.test[measure] for p in frontier.points if p.method == method}
    first = frontier.settings(method)[0]
    return Picked(method, tuple(points[setting, seed] / points[first, seed] - 1 for seed in frontier.seeds(method)))


def _reached(cell: Cell) -> Table:
    """Return, for each measure, the best of all dials, of the steerings, and of those that meet each user."""
    kinds = {"all": cell.frontier.methods, "steering": STEERINGS, "each": MEETING}
    rows = []
    for loss, (measure, what) in product(neurons.LOSSES, EXCHANGED.items()):
        row: dict[str, Any] = {"loss": f"{100 * loss:g}%", "measure": what}
        best = {kind: _picked(cell.frontier, methods, measure, loss) for kind, methods in kinds.items()}
        for kind, found in best.items():
            row |= {f"{kind} name": found.method, **_with_ends(kind, found.change)}
        rows.append(row | _with_ends("behind", best["steering"].less(best["all"])))
    columns = [Column("loss", "NDCG@10 lost, at most"), Column("measure", "Lowered")]
    for kind, said in (("all", "Best of all"), ("steering", "Best steering"), ("each", "Best that meets each user")):
        columns += [
            Column(f"{kind} name", said),
            Column(kind, "by", format="+.1%", low=f"{kind} low", high=f"{kind} high"),
        ]
    columns.append(Column("behind", "Steering less best", format="+.1%", low="behind low", high="behind high"))
    return Table(
        columns, rows, title="Who lowers what most, picked on validation: changes on the test",
        caption="Dial and setting are those of the lowest value of the measure itself on validation, for at most so "
        "much of NDCG@10 there; differences seed by seed.",
    )  # fmt: skip


def _curves(cell: Cell) -> Iterator[Text]:
    """Draw NDCG against each measure, by users, by items and by both, beside the main rivals."""
    frontier = cell.frontier
    least = DRAWN_ABOVE * frontier.mean(*cell.plain, frontier.accuracy)
    for name, label in PICTURES:
        rows = [
            {"method": method, "x": frontier.mean(method, setting, name), "y": accuracy}
            for method in SIDES
            if method in frontier.methods
            for setting in frontier.settings(method)
            if (accuracy := frontier.mean(method, setting, frontier.accuracy)) >= least
        ]
        title = f"NDCG@10 and {label}"
        chart = Chart("line", rows, x="x", y="y", color="method", x_label=label, y_label="NDCG@10", title=title)
        figure = DOCS / "figures" / f"{cell.stem}-{name.partition('@')[0]}.svg"
        chart_svg(chart, figure)
        yield Text(f"![{title} of {cell.name}](figures/{figure.name})")


def _autoencoders(found: Sequence[Cell]) -> Table:
    """Return how good the autoencoders are."""
    rows = []
    for cell in found:
        for seed, measured in zip(neurons.SEEDS, cell.record["autoencoders"], strict=True):
            fidelity = {key: measured["fidelity"][key] for key in ("ndcg", "lost", "low", "high", "overlap")}
            shown = {key: measured[key] for key in ("neurons", "fvu", "firing", "large_d", "popular", "niche")}
            row = {"cell": _short(cell.name), "seed": seed, "stability": cell.record["stability"]}
            rows.append(row | shown | fidelity)
    lost = "Share of NDCG@10 that is lost where the reconstruction takes the query's place, with its 95% interval."
    columns = [
        Column("cell", "Cell"),
        Column("seed", "Seed"),
        Column("ndcg", "NDCG@10", format=".4f"),
        Column("neurons", "Neurons", format=",d"),
        Column("fvu", "FVU", format=".4f", note="Share of the variance of the test's queries left unexplained."),
        Column("firing", "Firing", format=",d", note="Neurons that fire for some training user's query."),
        Column("lost", "NDCG lost", format=".1%", low="low", high="high", note=lost),
        Column("overlap", "Overlap", format=".1%", note="Of the lists with and without the reconstruction."),
        Column("large_d", "|d| > .8", format=".0%", note="Share of the neurons."),
        Column("popular", "Popular", format=",d", note="Firing neurons whose interval of d is above 0."),
        Column("niche", "Niche", format=",d", note="Firing neurons whose interval of d is below 0."),
        Column("stability", "Stability", format=".2f", note=STABILITY),
    ]
    return Table(columns, rows)


def _ablations(cell: Cell) -> Table:
    """Return what each variant loses where exposure is as much more even, and how good its autoencoder is."""
    rows = []
    for measured in cell.record["autoencoders"]:
        row = {key: measured[key] for key in ("variant", "k", "neurons", "fvu", "firing", "large_d")}
        row["lost"] = measured["fidelity"]["lost"]
        for metric, share in neurons.LEVELS:
            frontier = replace(cell.frontier, unfairness=metric)
            change = frontier.accuracy_at(measured["variant"], -share, relative=True).value
            row[f"{metric} {share}"] = None if math.isnan(change) else change
        rows.append(row)
    columns = [
        Column("variant", "Variant"),
        Column("k", "K"),
        Column("neurons", "Neurons", format=",d"),
        Column("fvu", "FVU", format=".4f"),
        Column("firing", "Firing", format=",d"),
        Column("large_d", "|d| > .8", format=".0%"),
        Column("lost", "NDCG lost, error dropped", format=".1%"),
        *(
            Column(f"{metric} {share}", f"NDCG@10 at {LEVELS[metric]} -{share:.0%}", format="+.1%")
            for metric, share in neurons.LEVELS
        ),
    ]
    return Table(columns, rows, title=cell.name, caption="Empty where no setting of the dial gets so far.")


def _verdict(found: Sequence[Cell]) -> Iterator[Block]:
    if allocated := [cell for cell in found if "allocation" in cell.frontier.methods]:
        yield _family(allocated)
        yield _allocation(allocated)
        yield from _added(allocated)
    for protocol in ("common", "debiased", "uniform"):
        of_protocol = [cell for cell in found if cell.name.endswith(protocol)]
        if not of_protocol:
            continue
        for level in (("gini@20", spectral.EVENER[0]), spectral.HEAD):
            yield _equal(of_protocol, protocol.capitalize(), *level)
        yield _chosen_of_all(of_protocol, protocol)


def _family(found: Sequence[Cell]) -> Table:
    """Return how far the family of allocation and tilts is ahead of the best other method at equal evenness."""
    rows: list[dict[str, Any]] = []
    for cell in found:
        seen = tuple(replace(point, test=point.validation, intervals={}) for point in cell.frontier.points)
        seen_at = replace(cell.frontier, points=seen).accuracy_at
        for share in spectral.EVENER:
            level = cell.level("gini@20", share)
            reached = {other: seen_at(other, -share, relative=True).value for other in level["ahead"]}
            reached = {other: change for other, change in reached.items() if not math.isnan(change)}
            best = max(reached, key=lambda other: reached[other], default=None)
            row = {"cell": cell.name, "gini": -share, "best": best or "none gets there"}
            row |= _with_ends("family", level["family"])
            row |= dict.fromkeys(("ahead", "ahead low", "ahead high", "p", "over"))
            if best is not None:
                ahead = level["ahead"][best]
                row |= {**_with_ends("ahead", ahead), "p": ahead.p, "over": ahead.over}
            rows.append(row)
    adjusted = holm(np.array([math.nan if row["p"] is None else row["p"] for row in rows]))
    for row, p in zip(rows, adjusted, strict=True):
        row["p"] = None if math.isnan(p) else float(p)
    sure = sum(row["p"] is not None and row["p"] < 0.05 and row["ahead"] > 0 for row in rows)
    clear = sum(row["ahead low"] is not None and row["ahead low"] > 0 for row in rows)
    behind = sum(row["ahead high"] is not None and row["ahead high"] < 0 for row in rows)
    columns = [
        Column("cell", "Cell"),
        Column("gini", "Gini", format="+.0%"),
        Column("family", "Allocation and tilts", format="+.1%", low="family low", high="family high"),
        Column("best", "Best other"),
        Column("ahead", "Ahead of it by", format="+.1%", low="ahead low", high="ahead high"),
        Column("p", "p (Holm)", format=".3f"),
        OVER,
    ]
    return Table(
        columns, rows, title="Allocation and tilts as one family: change of NDCG@20 where Gini is as far below",
        caption="Of the family, validation chooses the settings of the curve, and so between its members; so it "
        f"does the best other, of those that get so far on the test. Ahead beyond doubt in {clear} of {len(rows)} rows "
        f"({sure} after Holm's correction for all rows), behind beyond doubt in {behind}.",
    )  # fmt: skip


def _allocation(found: Sequence[Cell]) -> Table:
    """Return what allocation loses where exposure is as much more even, and how far it is ahead of others there."""
    rows: list[dict[str, Any]] = []
    for cell in found:
        for share in spectral.EVENER:
            level = cell.level("gini@20", share)
            row: dict[str, Any] = {"cell": cell.name, "gini": -share}
            for name, estimate in level["allocation"].items():
                row |= {"over": estimate.over, **_with_ends(name, estimate)}
            if "allocation" in level["changes"]:
                row |= _with_ends("allocation", level["changes"]["allocation"])
            rows.append(row)
    columns = [Column("cell", "Cell"), Column("gini", "Gini", format="+.0%")]
    columns += [Column(name, name, format="+.1%", low=f"{name} low", high=f"{name} high") for name in ALLOCATION]
    columns = [column for column in [*columns, OVER] if any(row.get(column.key) is not None for row in rows)]
    return Table(
        columns, [dict.fromkeys(column.key for column in columns) | row for row in rows],
        title="Allocation: change of NDCG@20 where Gini is as far below, and how far ahead it is",
        caption="Along each method's own curve, its settings picked on validation: the change with allocation, then "
        "the difference from the change with each other one; empty where one does not get so far.",
    )  # fmt: skip


def _added(found: Sequence[Cell]) -> Iterator[Table]:
    """Return what allocation reaches on a model that was trained with a correction, where that was swept."""
    rows: list[dict[str, Any]] = []
    for cell in found:
        for share in spectral.EVENER:
            for name, reached in cell.level("gini@20", share).get("then", {}).items():
                row: dict[str, Any] = {"cell": cell.name, "gini": -share, "first": name, "over": reached["alone"].over}
                for key, estimate in reached.items():
                    row |= _with_ends(key, estimate)
                rows.append(row)
    columns = [
        Column("cell", "Cell"),
        Column("gini", "Gini", format="+.0%"),
        Column("first", "Trained with"),
        Column("alone", "Then allocation", format="+.1%", low="alone low", high="alone high"),
        Column("allocation", "Ahead of allocation", format="+.1%", low="allocation low", high="allocation high"),
        Column("training", "Ahead of the training", format="+.1%", low="training low", high="training high"),
        OVER,
    ]
    if rows:
        yield Table(
            columns, rows, title="A correction in training, then allocation: change of NDCG@20 at as even an exposure",
            caption="The model is that of the setting of the highest NDCG@20 on validation. Ahead of allocation on the "
            "plain model, and of the correction in training without allocation.",
        )  # fmt: skip


def _equal(found: Sequence[Cell], protocol: str, metric: str, share: float) -> Table:
    """Return what each method loses of the plain accuracy where exposure is as much more even."""
    levels = [cell.level(metric, share) for cell in found]
    changes = {_short(cell.name): level["changes"] for cell, level in zip(found, levels, strict=True)}
    longest = max((cell.frontier.methods for cell in found), key=len)
    rows: list[dict[str, Any]] = [
        {"method": method} | {cell: each[method].value if method in each else None for cell, each in changes.items()}
        for method in longest
    ]
    accuracy = found[0].frontier.accuracy.upper()
    return Table(
        [Column("method", "Method"), *(Column(cell, format="+.1%", better="higher") for cell in changes)],
        [row for row in rows if any(row[cell] is not None for cell in changes)],
        title=f"{protocol} test: change of {accuracy} where the {LEVELS[metric]} is {share:.0%} below the plain one",
        caption=f"Along each method's own curve of {LEVELS[metric]} and {accuracy}, its settings picked on "
        f"validation; empty where none is so even. {_wins(levels)}",
    )  # fmt: skip


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


def _chosen_of_all(found: Sequence[Cell], protocol: str) -> Table:
    """Return ReSN as chosen on validation: the fairest within the loss, and the most accurate."""
    rows = []
    for cell in found:
        frontier = cell.frontier
        row: dict[str, Any] = {"cell": _short(cell.name), "plain": frontier.mean(*cell.plain, frontier.accuracy)}
        for key, loss in (("even", MAX_LOSS), ("accurate", None)):
            chosen = next(each for each in cell.chosen(loss) if each["method"] == "ReSN")
            row |= {key: _dial(frontier, "ReSN", chosen["setting"]), "over": chosen["changes"]["ndcg@20"].over}
            for name, change in chosen["changes"].items():
                row |= _with_ends(f"{key} {name}", change)
        rows.append(row)
    columns = [Column("cell", "Cell"), Column("plain", "plain NDCG@20", format=".4f")]
    for key, label in (("even", "evenest weight"), ("accurate", "most accurate weight")):
        columns.append(Column(key, label))
        for name, shown in (("ndcg@20", "NDCG"), ("gini@20", "Gini"), ("head_share@20", "head")):
            column = f"{key} {name}"
            columns.append(Column(column, shown, format="+.1%", low=f"{column} low", high=f"{column} high"))
    columns.append(OVER)
    return Table(
        columns, rows, title=f"{protocol.capitalize()} test: ReSN at two weights chosen on validation",
        caption=f"The evenest weight that loses at most {MAX_LOSS:.0%} of NDCG@20 there, and the weight of the highest "
        "NDCG@20 there; changes on the test against weight 0.",
    )  # fmt: skip


def _sections(found: Sequence[Cell], shown: Sequence[tuple[str, str]]) -> list[Section]:
    pictures = [_picture(cell) for cell in found]
    return [_section(cell, shown, picture, pictures) for cell, picture in zip(found, pictures, strict=True)]


def _section(cell: Cell, shown: Sequence[tuple[str, str]], picture: Chart, beside: Sequence[Chart]) -> Section:
    record = cell.record
    figure = DOCS / "figures" / f"{cell.stem}.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    chart_svg(picture, figure, beside=beside)
    settings = ", ".join(f"{name} {_plain(value)}" for name, value in record["settings"].items())
    sizes = ", ".join(f"{size:,} {part}" for part, size in record["sizes"].items())
    text = (
        f"{record['users']:,} users, {record['items']:,} items; {sizes}. {record['split']}{_before(cell)} Settings of "
        f"the backbone: {settings}."
    )
    link = f"![Trade-off of {cell.name}](figures/{figure.name})"
    return Section(cell.name, [Text(text), Text(link), _chosen(cell, shown)])


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
    frontier = cell.frontier
    least = DRAWN_ABOVE * frontier.mean(*cell.plain, frontier.accuracy)
    kept = [
        point
        for point in frontier.points
        if point.method in DRAWN and frontier.mean(point.method, point.setting, frontier.accuracy) >= least
    ]
    return replace(replace(frontier, points=tuple(kept)).chart(MAX_LOSS), low=None, high=None)


def _chosen(cell: Cell, shown: Sequence[tuple[str, str]]) -> Table:
    """Return the test's figures of the settings that were chosen."""
    frontier = cell.frontier
    fifths = [name for name in frontier.points[0].test if name.startswith("fifth_")]
    plain = dict(zip(("method", "setting"), cell.plain, strict=True)) | {"figures": cell.plain_figures}
    rows = []
    for chosen in [plain, *cell.chosen(MAX_LOSS)]:
        method, setting = chosen["method"], chosen["setting"]
        row: dict[str, Any] = {"method": method, "setting": _dial(frontier, method, setting)}
        if chosen is plain:
            row = {"method": "plain", "setting": ""}
        row |= {name: frontier.mean(method, setting, name) for name, _ in shown}
        for name, figure in chosen["figures"].items():
            row |= {**_with_ends(name, figure), "over": figure.over}
        row["fifths"] = " ".join(f"{frontier.mean(method, setting, name):.2f}" for name in fifths)
        rows.append(row)
    columns = [Column("method", "Method"), Column("setting", "Chosen")]
    for name, spec in shown:
        ends = {"low": f"{name} low", "high": f"{name} high"} if name in plain["figures"] else {}
        columns.append(Column(name, name, format=spec, **ends))
    columns.append(OVER)
    if not fifths:
        return Table(columns, rows)
    caption = "Fifths: exposure of five groups of items with equal training interactions, the most popular first."
    return Table([*columns, Column("fifths", "Fifths")], rows, caption=caption)


def _dial(frontier: Frontier, method: str, setting: Any) -> str:
    """Return a chosen setting as text, marked where a stronger one might have been chosen."""
    settings, end = frontier.settings(method), ENDS.get(method.partition(",")[0])
    last = len(settings) > 1 and setting == settings[-1] == frontier.choose(method, MAX_LOSS) != end
    return f"{setting:g}" + (" (last)" if last else "")


def _plain(value: Any) -> str:
    """Return a setting, or several of them, as text."""
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items()) + ")"
    return value if isinstance(value, str) else f"{value:g}"


def _with_ends(name: str, estimate: Estimate) -> dict[str, Any]:
    value = None if math.isnan(estimate.value) else estimate.value
    return {name: value, f"{name} low": estimate.low, f"{name} high": estimate.high}


def _short(name: str) -> str:
    return " ".join(name.split("/")[:2])


def _changes(cell: Cell, method: str) -> list[str]:
    """Return what the setting chosen for the least loss changes on the test, of NDCG and of Gini."""
    changes = next(row for row in cell.chosen(neurons.LOSSES[0]) if row["method"] == method)["changes"]
    found = [changes[name] for name in ("ndcg@10", "gini@10")]
    return [f"{each.value:+.1%} ({100 * each.low:+.1f} to {100 * each.high:+.1f})" for each in found]


def _swept(name: str, method: str) -> Cell:
    """Return the record of SASRec on a set that holds a method, the newest if there are several."""
    cell = f"sasrec/{name}/leave-last"
    found = read("popsteer", [f"{cell}-some-dials", cell])
    return next(each for each in found if method in each.frontier.methods)


def sasrec_table() -> list[str]:
    """Return the lines on the neuron papers' own backbone: what each method changes for .5% of NDCG@10."""
    titles = [f"{title}: NDCG | Gini" for title in SASREC.values()]
    lines = [f"| | {' | '.join(titles)} |", "|---|" + "---:|" * (2 * len(SASREC))]
    for method in (*ALONE, "PopSteer"):
        row = [text for name in SASREC for text in _changes(_swept(name, method), method)]
        lines.append(f"| {' | '.join([method, *row])} |")
    return lines


if __name__ == "__main__":
    spectral_page().to_markdown(DOCS / "reproduction-resn.md")
    neurons_page().to_markdown(DOCS / "reproduction-popsteer.md")
