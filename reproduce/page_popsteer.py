"""The page on PopSteer: how it stands beside its rivals, and the README's table of SASRec."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ablations
import neurons
import page_parts as parts

from headtail.dials import CONTROLS
from headtail.reports import Block, Chart, Column, Report, Section, Table, Text
from headtail.reports._values import show
from headtail.tradeoffs import Estimate, Frontier
from headtail.tradeoffs.points import Reading, summary

CHEAP = ("ndcg@10", "gini@10", "coverage@10", "ilad@10", "arp@10", "pce@10")
WITH_ENDS = CHEAP[:2]
LEAST, SHORT = neurons.LOSSES  # of NDCG@10: what was claimed, and what the page in short is about
EXCHANGED = {"gini@10": "Gini", "arp@10": "mean popularity", "pce@10": "calibration error"}  # for NDCG@10
MOVED = EXCHANGED | {"ilad@10": "distance within lists"}  # the last is better higher
SASREC = {"ml-1m": "MovieLens-1M", "amazon-beauty": "Amazon Beauty", "movietweetings": "MovieTweetings"}
STEERINGS = tuple(each.name for each in neurons.STEERED if each not in CONTROLS)
MEETING = tuple(name for name in STEERINGS if "SPREE" in name or "by user" in name or "menu" in name)
ALONE = ("allocation, most hits", "allocation", "tilt (alpha-fair)", "IPR")  # without an autoencoder
STEERED_SHOWN = (
    ("ndcg@10", ".4f"), ("gini@10", ".4f"), ("coverage@10", ".1%"), ("coverage_5@10", ".1%"),
    ("tail_coverage@10", ".1%"),
    ("arp@10", ",.0f"), ("ilad@10", ".4f"),
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

QUESTION = "What does steering through a sparse autoencoder correct, beside corrections that need none?"

IN_SHORT = """Steering lowers what it is aimed at by a few percent: for at most 1% of NDCG@10, {steered}. Dials that
touch items or lists reach more in {ahead} of {n} rows, most of all of Gini ({all}), and steering is the dial where
items cannot be touched, where each user is to be met, or where what is done has to be said in words. The published
rule was said to lower Gini by 12.6 to 28.3% for under 0.5% of NDCG; chosen on validation for that, and measured with
three seeds, it lowers Gini by {published} at best, and allocation on the same backbones by {allocated}."""

CLAIMED = """A constant shift of queries, which is what such steering is, is an item bias confined to the span of the
item vectors. What is chosen for 0.5% on validation may lose more on the test, where allocation's NDCG@10 changes by
{lost}."""

MEASURED = f"""In each cell a backbone was trained, then an autoencoder on its frozen states, and every dial was swept
with {len(neurons.SEEDS)} seeds (each trains both anew). Settings are chosen on the validation part; all figures are of
the test part, means over the seeds. Histories are masked; ranking is over the whole catalogue. Measured are Gini of
exposure, the mean popularity of what is recommended (ARP), the calibration error of popularity (PCE), lower is better
in all, and the distance within lists (ILAD). A dial is swept beyond its grid while its last setting is chosen for 5%
of NDCG@10, and then more finely above the setting that is chosen for 0.5%, but where a cell says that it was not.

{parts.INTERVALS}

Everything here is made by `python reproduce/page.py` from `reproduce/records/`; a record is made by
`python reproduce/neurons.py CELL`, with the cell's name as it stands below its headline."""

METHODS = """- **PopSteer**: the rule of the extended paper (v2) on the pre-activations of the autoencoder, whose
  reconstruction error is passed on; neurons that never fire are left alone in all its variants.
- *error dropped*: as published (alpha 0 is the unsteered autoencoder).
- *v1*: the first paper's rule.
- *gated*: the extended paper's rule as its code has it.
- *damped*: activations scaled where they are.
- *by effect*: weighted by what a push does to the popularity of lists; neurons that push the other way than they listen
  are left alone.
- *by user*: as strong as a user's recommendations are more popular than the history.
- *items*, *users and items*: the item vectors are steered, or both.
- *menu*: each user the one setting of the dial that calibrated relevance and prices of exposure choose.
- **SPREE**: each user by sign and amount, towards lists as popular as the user's own history, along the dense direction
  or through neurons.
- Controls: **random neurons** pushed as hard, the sign **reversed**, **noise**.
- Without an autoencoder: **dense shift** and **dense projection** along the difference of means of the same synthetic
  users, **IPR** (re-ranking by inverse popularity), **log penalty**, **shrink** and **tilt**, as in
  [the other reproduction](reproduction-resn.md).
- A tilt *as a shift*: the best copy of its item biases that one shift of all queries can make, which shows what limits
  every constant shift."""

ANEW = """The record of all dials of this backbone is older than some of them; these dials were swept since, on
backbones that were trained anew."""

EXPLAINED = """A sparse autoencoder says which directions of a user's vector answer to popular tastes, what each listens
to and which items it raises, in items and lists that anybody can read ([pictures](explain.md)). Its directions are
found again by another seed only where few neurons speak at a time. Of SASRec's states on MovieTweetings (54,960
vectors, 64 numbers, 1,024 neurons, 12 epochs) decoder rows, counted by how often their neuron fires, agree with those
of another seed like this; random directions agree at 0.39:

| Neurons that speak | Start at random, as the records here | Start from vectors of the data, as `headtail probe` |
| ---: | ---: | ---: |
| 32 | 0.43 | 0.88 |
| 16 | 0.61 | – |
| 8 | 0.78 | 0.96 |

With 8 the reconstruction's NDCG@10 is that of the states (0.3% higher, 95%: 1.3% higher to 0.8% lower). Started from
vectors of the data they agree more, for the data then says where they lie. Autoencoders of different backbones live in
unrelated spaces, so that the agreement which older records name, 0.39 to 0.43, is that of chance. Of the queries of ALS
(4,333 vectors, one a user) it reaches 0.55 at most: there are too few vectors to learn from."""

ABLATIONS = """One part of PopSteer is changed at a time, with one seed of the backbone; the records are made by
`python reproduce/ablations.py CELL`. The error is passed on, so that alpha 0 is the plain model in every row."""


def popsteer_page() -> Report:
    """Return the page on PopSteer."""
    found = list(parts.read("popsteer", neurons.CELLS))
    anew = list(parts.read("popsteer", [f"{name}-some-dials" for name in neurons.CELLS]))
    blocks: list[Block] = []
    if of_today := [cell for cell in found if _is_of_today(cell)]:
        blocks.append(Section("In short", _in_short(found, of_today)))
    blocks += parts.sections(found, STEERED_SHOWN, _details)
    if found:
        tables = [parts.equal(found, "Every", *level) for level in neurons.LEVELS]
        blocks.append(Section("At equal evenness", tables))
        blocks.append(Section("What steering explains", [Text(EXPLAINED), _autoencoders(found)]))
    ablated = list(parts.read("ablation", ablations.CELLS))
    if ablated:
        blocks.append(Section("Taken apart", [Text(ABLATIONS), *(_ablations(cell) for cell in ablated)]))
    for cell in anew:
        tables = [_cheap(cell, loss) for loss in neurons.LOSSES]
        blocks.append(Section(f"Some dials anew: {parts.short(cell.name)}", [Text(ANEW), *tables]))
    there = {cell.name for cell in ablated}
    further = [f"ablations of {name}" for name in ablations.CELLS if name not in there]
    blocks += [Section("The methods", [Text(METHODS)]), Section("How it was measured", [Text(MEASURED)])]
    return Report("PopSteer beside its rivals", [*blocks, parts.not_run(found, neurons.CELLS, further)], QUESTION)


def _is_of_today(cell: parts.Cell) -> bool:
    return set(STEERINGS) <= set(cell.frontier.methods)


def _details(cell: parts.Cell) -> Iterator[Block]:
    """Yield what every steering reaches on one backbone, beside the other dials."""
    if _is_of_today(cell):
        yield from (_reached(cell, loss) for loss in neurons.LOSSES)
    yield from (_cheap(cell, loss) for loss in neurons.LOSSES)
    if _is_of_today(cell):
        yield from (_exchange(cell, loss) for loss in neurons.LOSSES)
        yield from _curves(cell)


def _cheap(cell: parts.Cell, max_loss: float) -> Table:
    """Return what the setting chosen for little loss changes on the test, method by method."""
    rows: list[dict[str, Any]] = []
    for chosen in cell.chosen(max_loss):
        method, setting = chosen["method"], chosen["setting"]
        row: dict[str, Any] = {
            "method": method,
            "setting": parts.setting_of(cell.frontier, method, setting),
            "over": chosen["changes"]["ndcg@10"].over,
        }
        changes = {name: each if name in WITH_ENDS else each.value for name, each in chosen["changes"].items()}
        rows.append(row | dict.fromkeys(CHEAP) | changes)
    columns = [Column("method", "Method"), Column("setting", "Chosen")]
    columns += [Column(name, parts.heading(name), "+.1%") for name in CHEAP]
    return parts.table_over(
        columns, rows, f"Every method, chosen for at most {100 * max_loss:g}% of NDCG@10: changes on the test",
        "Against the method's own first setting, seed by seed; for dials that drop the error that is the unsteered "
        "autoencoder.",
    )  # fmt: skip


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


def _in_short(found: Sequence[parts.Cell], of_today: Sequence[parts.Cell]) -> list[Block]:
    """Return the page in three sentences and a table, their figures read from the records."""
    picked = [
        (cell, what, *(_picked(cell.frontier, methods, name, SHORT) for methods in (STEERINGS, cell.frontier.methods)))
        for name, what in EXCHANGED.items()
        for cell in of_today
    ]
    reached = {
        what: [
            _range([each.change.value for _, of, *pair in picked if of == what for each in (pair[side],)])
            for side in (0, 1)
        ]
        for what in EXCHANGED.values()
    }
    published = min(
        cell.frontier.estimate("PopSteer", cell.frontier.choose("PopSteer", LEAST), "gini@10", relative=True).value
        for cell in found
    )
    alone = [_changes(_swept(name, ALONE[0]), ALONE[0]) for name in SASREC]
    said = {
        "steered": ", ".join(f"{what} by {steered}" for what, (steered, _) in reached.items()),
        "all": reached["Gini"][1],
        "ahead": sum(best.change.value < steering.change.value for *_, steering, best in picked),
        "n": len(picked),
        "published": f"{-published:.1%}",
        "allocated": _range([gini.value for _, gini in alone]),
        "lost": ", ".join(
            f"{_with_ends(ndcg)} on {title}" for (ndcg, _), title in zip(alone, SASREC.values(), strict=True)
        ),
    }
    rows = [
        {
            "measure": what[:1].upper() + what[1:], "cell": parts.short(cell.name),
            "steering": steering.change, "by": steering.method, "all": best.change, "of all": best.method,
        }
        for cell, what, steering, best in picked
    ]  # fmt: skip
    columns = [
        Column("measure", "Measure"), Column("cell", "Model"),
        Column("by", "Best steering"), Column("steering", "changes it by", "+.1%"),
        Column("of all", "Best of all dials"), Column("all", "changes it by", "+.1%"),
    ]  # fmt: skip
    table = Table(
        columns, rows, title=f"For at most {SHORT:.0%} of NDCG@10: the best steering and the best of all dials",
        caption="Dial and setting picked on validation for each measure; changes on the test, three seeds.",
    )  # fmt: skip
    return [Text(IN_SHORT.format_map(said)), table, Text(CLAIMED.format_map(said))]


def _range(changes: Sequence[float]) -> str:
    """Return how much lower a measure is, from the least to the most."""
    low, high = sorted((-max(changes), -min(changes)))
    return f"{100 * low:.1f} to {high:.1%}"


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


def _reached(cell: parts.Cell, loss: float) -> Table:
    """Return, for each measure, the best of all dials, of the steerings, and of those that meet each user."""
    kinds = {"all": cell.frontier.methods, "steering": STEERINGS, "each": MEETING}
    rows = []
    for measure, what in MOVED.items():
        row: dict[str, Any] = {"measure": what}
        best = {kind: _picked(cell.frontier, methods, measure, loss) for kind, methods in kinds.items()}
        for kind, found in best.items():
            row |= {f"{kind} name": found.method, kind: found.change}
        rows.append(row | {"behind": best["steering"].less(best["all"])})
    columns = [Column("measure", "Measure")]
    for kind, said in (("all", "Best of all"), ("steering", "Best steering"), ("each", "Best by user")):
        columns += [Column(f"{kind} name", said), Column(kind, "by", "+.1%")]
    columns.append(Column("behind", "Steering less best", "+.1%"))
    return Table(
        columns, rows, title=f"For at most {100 * loss:g}% of NDCG@10: who betters what most",
        caption="Dial and setting are those of the lowest value of the measure itself on validation (of the distance "
        "within lists the highest); changes on the test, differences seed by seed.",
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


def _changes(cell: parts.Cell, method: str) -> list[Estimate]:
    """Return what the setting chosen for the least loss changes on the test, of NDCG and of Gini."""
    changes = next(row for row in cell.chosen(LEAST) if row["method"] == method)["changes"]
    return [changes[name] for name in ("ndcg@10", "gini@10")]


def _with_ends(change: Estimate) -> str:
    """Return a change with its interval, as the tables write them."""
    low, high = (show(100 * end, "+.1f") for end in (change.low, change.high))
    return f"{show(change.value, '+.1%')} ({low} to {high})"


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
        row = [_with_ends(change) for name in SASREC for change in _changes(_swept(name, method), method)]
        lines.append(f"| {' | '.join([method, *row])} |")
    return lines
