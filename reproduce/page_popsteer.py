"""The page on PopSteer: how it stands beside its rivals, and the README's table of SASRec."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import ablations
import neurons
import page_parts as parts

from headtail.dials import CONTROLS
from headtail.reports import Block, Chart, Column, Report, Section, Table, Text
from headtail.tradeoffs import Estimate, Frontier
from headtail.tradeoffs.points import Reading, summary

CHEAP = ("ndcg@10", "gini@10", "coverage@10", "ilad@10", "arp@10", "pce@10")
WITH_ENDS = CHEAP[:2]
EXCHANGED = {"gini@10": "Gini", "arp@10": "mean popularity", "pce@10": "calibration error"}  # for NDCG@10
MOVED = EXCHANGED | {"ilad@10": "distance within lists"}  # the last is better higher
SASREC = {"ml-1m": "MovieLens-1M", "amazon-beauty": "Amazon Beauty", "movietweetings": "MovieTweetings"}
SETS, BACKBONES = SASREC | {"lastfm": "Last.fm"}, {"sasrec": "SASRec", "lightgcn": "LightGCN"}
STEERINGS = tuple(each.name for each in neurons.STEERED if each not in CONTROLS)
MEETING = tuple(name for name in STEERINGS if "SPREE" in name or "by user" in name or "menu" in name)
ALONE = ("allocation, most hits", "allocation", "tilt (alpha-fair)", "IPR")  # without an autoencoder
STEERED_SHOWN = (
    ("ndcg@10", ".4f"), ("gini@10", ".4f"), ("coverage@10", ".1%"), ("coverage_5@10", ".1%"),
    ("tail_coverage@10", ".1%"),
    ("arp@10", ",.0f"), ("ilad@10", ".4f"), ("ndcg_head@10", ".4f"), ("ndcg_mid@10", ".4f"), ("ndcg_tail@10", ".4f"),
)  # fmt: skip
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

NEURONS = f"""What does steering through a sparse autoencoder buy, beside corrections that need none? In each cell a
backbone was trained, then an autoencoder on its frozen states, and every dial was swept with {len(neurons.SEEDS)} seeds
(each trains both anew). Settings are chosen on the validation part; all figures are of the test part, means over the
seeds.

{parts.INTERVALS}

Everything here is made by `python reproduce/page.py` from `reproduce/records/`; a record is made by
`python reproduce/neurons.py CELL`, with the cell's name as it stands below its headline."""

METHODS = """**PopSteer**: the rule of the extended paper (v2) on the autoencoder's pre-activations, the reconstruction
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

**By calibration error**, its own measure, is steering per user the best of all dials for the same 1%: {each}.

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


def popsteer_page() -> Report:
    """Return the page on PopSteer."""
    found = list(parts.read("popsteer", neurons.CELLS))
    anew = list(parts.read("popsteer", [f"{name}-some-dials" for name in neurons.CELLS]))
    of_today = [cell for cell in found if set(STEERINGS) <= set(cell.frontier.methods)]
    blocks: list[Block] = [Section("In short", [Text(_found(found, of_today))]), Text(METHODS)]
    if found:
        tables = [_cheap(found, loss) for loss in neurons.LOSSES]
        tables += [parts.equal(found, "Every", *level) for level in neurons.LEVELS]
        blocks.append(Section("What it comes to", tables))
        blocks += map(_today, of_today)
        blocks.append(Section("The autoencoders", [_autoencoders(found)]))
    ablated = list(parts.read("ablation", ablations.CELLS))
    if ablated:
        blocks.append(Section("Taken apart", [Text(ABLATIONS), *(_ablations(cell) for cell in ablated)]))
    if anew:
        blocks.append(Section("Some dials anew", [Text(ANEW), *(_cheap(anew, loss) for loss in neurons.LOSSES)]))
    there = {cell.name for cell in ablated}
    further = [f"ablations of {name}" for name in ablations.CELLS if name not in there]
    blocks += [*parts.sections(found, STEERED_SHOWN), parts.not_run(found, neurons.CELLS, further)]
    return Report("PopSteer beside its rivals", blocks, NEURONS)


def _cheap(found: Sequence[parts.Cell], max_loss: float) -> Table:
    """Return what the setting chosen for little loss changes on the test, method by method."""
    rows: list[dict[str, Any]] = []
    for cell in found:
        for chosen in cell.chosen(max_loss):
            method, setting = chosen["method"], chosen["setting"]
            row: dict[str, Any] = {
                "cell": parts.short(cell.name),
                "method": method,
                "setting": parts.setting_of(cell.frontier, method, setting),
                "over": chosen["changes"]["ndcg@10"].over,
            }
            changes = {name: each if name in WITH_ENDS else each.value for name, each in chosen["changes"].items()}
            rows.append(row | dict.fromkeys(CHEAP) | changes)
    columns = [Column("cell", "Cell"), Column("method", "Method"), Column("setting", "Chosen")]
    columns += [*(Column(name, name, "+.1%") for name in CHEAP), parts.OVER]
    return Table(
        columns, rows, title=f"Chosen on validation for at most {100 * max_loss:g}% of NDCG@10: changes on the test",
        caption="Against the method's own first setting, seed by seed; for dials that drop the error that is the "
        "unsteered autoencoder.",
    )  # fmt: skip


def _today(cell: parts.Cell) -> Section:
    """Return what every steering of today reaches on one backbone, beside the other dials."""
    tables = [_reached(cell), *(_exchange(cell, loss) for loss in neurons.LOSSES)]
    return Section(f"Every steering: {parts.short(cell.name)}", [*_curves(cell), *tables])


def _exchange(cell: parts.Cell, loss: float) -> Table:
    """Return what each method reaches along its curve on test where so much accuracy is lost."""
    rows = [{"method": chosen["method"], **chosen["along"]} for chosen in cell.chosen(loss)]
    rows.sort(key=lambda row: math.inf if math.isnan(row["gini@10"].value) else row["gini@10"].value)
    columns = [Column("method", "Method")]
    columns += [Column(name, what, "+.1%") for name, what in EXCHANGED.items()]
    return Table(
        columns, rows, title=f"Where NDCG@10 on the test is {100 * loss:g}% lower: changes along each method's curve",
        caption="Settings picked on validation; +0.0% where no setting but 0 is on it, empty where none keeps so much.",
    )  # fmt: skip


def _found(cells_of_all: Sequence[parts.Cell], of_today: Sequence[parts.Cell]) -> str:
    """Return the page in short, its figures read from the records."""
    reached = {name: _changes(_swept(name, ALONE[0]), ALONE[0]) for name in SASREC}
    said = {name: "NDCG {} and Gini {}".format(*changes) for name, changes in reached.items()}
    said["corrected"] = "; ".join(map(_corrected, of_today))
    said["each"] = "; ".join(map(_met, of_today))
    published = [
        cell.frontier.estimate("PopSteer", cell.frontier.choose("PopSteer", 0.005), "gini@10", relative=True)
        for cell in cells_of_all
    ]
    said["published"] = f"{-min(each.value for each in published):.1%}"
    return FOUND.format_map(said)


def _corrected(cell: parts.Cell) -> str:
    """Return what the best steering lowers for 1% of the accuracy, and what the best of all dials does."""
    picked = {
        what: [_picked(cell.frontier, methods, measure, 0.01) for methods in (STEERINGS, cell.frontier.methods)]
        for measure, what in EXCHANGED.items()
    }
    changes = (f"{what} {best} (of all dials {of_all})" for what, (best, of_all) in picked.items())
    backbone, name, _ = cell.name.split("/")
    return f"for {BACKBONES[backbone]} on {SETS[name]} {', '.join(changes)}"


def _met(cell: parts.Cell) -> str:
    """Return whether any dial that meets each user brings popularity closest to the user's own, for 1% of accuracy."""
    each, best = (_picked(cell.frontier, methods, "pce@10", 0.01) for methods in (MEETING, cell.frontier.methods))
    said, (backbone, name, _) = f"{each.method} {_with_ends(each.change)}", cell.name.split("/")
    answer = f"yes ({said})" if each == best else f"no ({said}; {best.method} {_with_ends(best.change)})"
    return f"for {BACKBONES[backbone]} on {SETS[name]} {answer}"


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
    """Return the method that betters a measure most on validation for at most so much of the accuracy there."""
    by, sign = replace(frontier, unfairness=measure), -1 if measure == "ilad@10" else 1
    if sign < 0:
        turned = (replace(p, validation=p.validation | {measure: -p.validation[measure]}) for p in by.points)
        by = replace(by, points=tuple(turned))
    chosen = {method: by.choose(method, loss) for method in methods if method in frontier.methods}
    on_validation = {
        pair: sign * by.estimate(*pair, measure, part="validation", relative=True).value for pair in chosen.items()
    }
    method, setting = min(on_validation, key=lambda pair: on_validation[pair])
    points = {(p.setting, p.seed): p.test[measure] for p in frontier.points if p.method == method}
    first = frontier.settings(method)[0]
    return Picked(method, tuple(points[setting, seed] / points[first, seed] - 1 for seed in frontier.seeds(method)))


def _reached(cell: parts.Cell) -> Table:
    """Return, for each measure, the best of all dials, of the steerings, and of those that meet each user."""
    kinds = {"all": cell.frontier.methods, "steering": STEERINGS, "each": MEETING}
    rows = []
    for loss, (measure, what) in product(neurons.LOSSES, MOVED.items()):
        row: dict[str, Any] = {"loss": f"{100 * loss:g}%", "measure": what}
        best = {kind: _picked(cell.frontier, methods, measure, loss) for kind, methods in kinds.items()}
        for kind, found in best.items():
            row |= {f"{kind} name": found.method, kind: found.change}
        rows.append(row | {"behind": best["steering"].less(best["all"])})
    columns = [Column("loss", "NDCG@10 lost, at most"), Column("measure", "Measure")]
    for kind, said in (("all", "Best of all"), ("steering", "Best steering"), ("each", "Best that meets each user")):
        columns += [Column(f"{kind} name", said), Column(kind, "by", "+.1%")]
    columns.append(Column("behind", "Steering less best", "+.1%"))
    return Table(
        columns, rows, title="Who betters what most, picked on validation: changes on the test",
        caption="Dial and setting are those of the lowest value of the measure itself on validation (of the distance "
        "within lists the highest), for at most so much of NDCG@10 there; differences seed by seed.",
    )  # fmt: skip


def _curves(cell: parts.Cell) -> Iterator[Text]:
    """Draw NDCG against each measure, by users, by items and by both, beside the main rivals."""
    mean = cell.frontier.mean
    for name, label in PICTURES:
        rows = [
            {"method": pair[0], "x": mean(*pair, name), "y": mean(*pair, cell.frontier.accuracy)}
            for pair in cell.drawn(SIDES)
        ]
        title = f"NDCG@10 and {label}"
        chart = Chart("line", rows, x="x", y="y", color="method", x_label=label, y_label="NDCG@10", title=title)
        yield parts.figure_of(chart, f"{title} of {parts.titled(cell.name)}", f"{cell.stem}-{name.partition('@')[0]}")


def _autoencoders(found: Sequence[parts.Cell]) -> Table:
    """Return how good the autoencoders are."""
    rows = []
    for cell in found:
        for seed, measured in zip(neurons.SEEDS, cell.record["autoencoders"], strict=True):
            fidelity = {key: measured["fidelity"][key] for key in ("ndcg", "lost", "low", "high", "overlap")}
            shown = {key: measured[key] for key in ("neurons", "fvu", "firing", "large_d", "popular", "niche")}
            row = {"cell": parts.short(cell.name), "seed": seed, "stability": cell.record["stability"]}
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


def _ablations(cell: parts.Cell) -> Table:
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
            Column(f"{metric} {share}", f"NDCG@10 at {parts.LEVELS[metric]} -{share:.0%}", format="+.1%")
            for metric, share in neurons.LEVELS
        ),
    ]
    return Table(
        columns, rows, title=parts.titled(cell.name), caption="Empty where no setting of the dial gets so far."
    )


def _changes(cell: parts.Cell, method: str) -> list[str]:
    """Return what the setting chosen for the least loss changes on the test, of NDCG and of Gini."""
    changes = next(row for row in cell.chosen(neurons.LOSSES[0]) if row["method"] == method)["changes"]
    found = [changes[name] for name in ("ndcg@10", "gini@10")]
    return list(map(_with_ends, found))


def _with_ends(change: Estimate) -> str:
    return f"{change.value:+.1%} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"


def _swept(name: str, method: str) -> parts.Cell:
    """Return the record of SASRec on a set that holds a method, the newest if there are several."""
    cell = f"sasrec/{name}/leave-last"
    found = parts.read("popsteer", [f"{cell}-some-dials", cell])
    return next(each for each in found if method in each.frontier.methods)


def sasrec_table() -> list[str]:
    """Return the lines on the neuron papers' own backbone: what each method changes for .5% of NDCG@10."""
    titles = [f"{title}: NDCG | Gini" for title in SASREC.values()]
    lines = [f"| Method | {' | '.join(titles)} |", "|---|" + "---:|" * (2 * len(SASREC))]
    for method in (*ALONE, "PopSteer"):
        row = [text for name in SASREC for text in _changes(_swept(name, method), method)]
        lines.append(f"| {' | '.join([method, *row])} |")
    return lines
