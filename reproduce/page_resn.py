"""The page on ReSN: how it stands beside its rivals."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import comparisons
import numpy as np
import page_parts as parts
import spectral
from cells import EXTENSIONS, MAX_LOSS

from headtail._stats import holm
from headtail.dials.training import FINE_TUNING
from headtail.reports import Block, Column, Report, Section, Table, Text
from headtail.tradeoffs.points import NOTHING, Estimate

ALLOCATION = ("allocation", *comparisons.RIVALS)
LARGE_MARGIN = 0.02  # of a difference, from which the size of the test is to blame
SHOWN = (
    ("ndcg@20", ".4f"), ("recall@20", ".4f"), ("gini@20", ".4f"), ("coverage@20", ".1%"), ("head_share@20", ".1%"),
    ("tail_exposure@20", ".1%"),
)  # fmt: skip

LAST = f"""A setting that is the last of its dial's sweep is marked (last): a stronger one may be better. Sweeps go on
beyond their grid for as long as that happens, by {EXTENSIONS} settings at most; records made before they did are marked
so more often. A setting of a backbone that is the least or the largest of those tried is marked (end): one beyond may
be better. Grids of backbones are extended likewise, but in records made before."""

SPECTRAL = """Does ReSN give better accuracy at the same evenness of exposure, and the reverse, and how does it stand
beside simple corrections?"""

MEASURED = f"""Each cell below is a backbone on a data set under a protocol. The backbone was tuned on the
validation part of the first split without any correction; every method's dial was then swept with several seeds.
A seed trains anew and draws its own split as well, but for published tests and for records that say otherwise. What
changes the loss keeps the backbone's other settings, but for Zerosum on MF, which has a backbone of its own.
*Chosen* is, on the validation parts, the setting of the lowest Gini among those that lose at most {MAX_LOSS:.0%} of
NDCG@20. All figures are of the test parts, means over the seeds.

{parts.INTERVALS}

Everything here is made by `python reproduce/page.py` from `reproduce/records/`; a record is made by
`python reproduce/spectral.py CELL`, with the cell's name as it stands below its headline."""

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


def resn_page() -> Report:
    """Return the page on ReSN."""
    found = list(parts.read("resn", spectral.CELLS))
    allocated = [cell for cell in found if "allocation" in cell.frontier.methods]
    family = _family_rows(allocated)
    blocks: list[Block] = [
        Section("In short", list(_in_short(found, family))),
        Section("How it was measured", [Text(MEASURED), Text(PROTOCOLS)]),
        Section("What it comes to", [*_verdict(allocated, family), *_by_protocol(found)]),
        *parts.sections(found, SHOWN),
        parts.not_run(found, spectral.CELLS),
    ]
    return Report("ReSN beside its rivals", blocks, SPECTRAL)


def _verdict(allocated: Sequence[parts.Cell], family: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    if allocated:
        yield _family(family)
        yield _allocation(allocated)
        yield from _added(allocated)


def _by_protocol(found: Sequence[parts.Cell]) -> Iterator[Block]:
    for protocol in ("common", "debiased", "uniform"):
        of_protocol = [cell for cell in found if cell.name.endswith(protocol)]
        if not of_protocol:
            continue
        for level in (("gini@20", spectral.EVENER[0]), spectral.HEAD):
            yield parts.equal(of_protocol, protocol.capitalize(), *level)
        for key, loss in (("evenest", MAX_LOSS), ("most accurate", None)):
            yield _chosen_of_all(of_protocol, protocol, key, loss)


def _in_short(found: Sequence[parts.Cell], rows: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Yield what the page finds, in words and by data set; `rows` are those of the family."""
    sure, behind = sum(_clear(row) for row in rows), sum(_behind(row) for row in rows)
    common = [cell for cell in found if cell.name.endswith("common")]
    least = Counter(re.split(r",| \(", cell.level(*spectral.HEAD)["least"] or "none")[0] for cell in common)
    heads = ", ".join(f"{'a tilt' if method == 'tilt' else method} in {n}" for method, n in least.most_common())
    yield Text(
        "Where exposure is more even, headtail's allocation and tilts, between which validation chooses, lose least: "
        f"in {sure} of {len(rows)} comparisons they are beyond doubt ahead of the best other correction, in {behind} "
        "behind. On debiased tests, which ask for rare items as often as for popular ones, accuracy rises as "
        "popularity is taken out, by ReSN and by simpler means. Where the head is to have "
        f"{spectral.HEAD[1]:.0%} less of the places on one of the {len(common)} common tests, the highest mean "
        f"accuracy is that of {heads}, in one of their forms; intervals seldom tell it from the next best."
    )
    table: list[dict[str, Any]] = []
    for data in dict.fromkeys(row["data"] for row in rows):
        of = [row for row in rows if row["data"] == data]
        ahead = [row["ahead"].value for row in of if not math.isnan(row["ahead"].value)]
        table.append({
            "data": data, "rows": len(of), "clear": sum(map(_clear, of)), "median": float(np.median(ahead)),
            "least": min(ahead), "most": max(ahead),
        })  # fmt: skip
    columns = [
        Column("data", "Data set"),
        Column("rows", "Comparisons", format=","),
        Column("clear", "Ahead beyond doubt", format=","),
        Column("median", "Ahead by, median", format="+.1%"),
        Column("least", "least", format="+.1%"),
        Column("most", "most", format="+.1%"),
    ]
    yield Table(
        columns, table, title="Allocation and tilts beside the best other correction at as even an exposure",
        caption="A comparison is of a backbone, a test and a Gini 5, 10 or 20% below the plain one; differences are of "
        "the changes of NDCG@20 on the test.",
    )  # fmt: skip


def _clear(row: Mapping[str, Any]) -> bool:
    return row["ahead"].low is not None and row["ahead"].low > 0


def _behind(row: Mapping[str, Any]) -> bool:
    return row["ahead"].high is not None and row["ahead"].high < 0


def _family_rows(found: Sequence[parts.Cell]) -> list[dict[str, Any]]:
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
            ahead = NOTHING if best is None else level["ahead"][best]
            rows.append({
                "cell": parts.titled(cell.name), "data": cell.data, "gini": -share, "best": best or "none gets there",
                "family": level["family"], "ahead": ahead, "p": ahead.p, "over": ahead.over,
                "doubt": _doubt(ahead, level["changes"].get(best), cell.record),
            })  # fmt: skip
    return rows


def _family(found: Sequence[Mapping[str, Any]]) -> Table:
    """Return the rows on the family, with p-values for all of them together, and what they come to."""
    adjusted = holm(np.array([math.nan if row["p"] is None else row["p"] for row in found]))
    rows = [{**row, "p": None if math.isnan(p) else float(p)} for row, p in zip(found, adjusted, strict=True)]
    sure = sum(row["p"] is not None and row["p"] < 0.05 and row["ahead"].value > 0 for row in rows)

    def clear_by(key: str) -> dict[str, list[bool]]:
        """Return for each value of a column of which of its rows the family is ahead beyond doubt."""
        found: dict[str, list[bool]] = {}
        for row in rows:
            found.setdefault(row[key], []).append(_clear(row))
        return found

    clear, of_cell = clear_by("data"), clear_by("cell")
    shares = sorted(clear.items(), key=lambda each: -sum(each[1]) / len(each[1]))
    n_clear = sum(sum(ahead) for ahead in clear.values())
    by_data_set = ", ".join(f"{data} {sum(ahead)} of {len(ahead)}" for data, ahead in shares)
    behind = sum(map(_behind, rows))
    columns = [
        Column("cell", "Cell"),
        Column("gini", "Gini", format="+.0%"),
        Column("family", "Allocation and tilts", "+.1%"),
        Column("best", "Best other"),
        Column("ahead", "Ahead of it by", "+.1%"),
        Column("p", "p (Holm)", format="<.3f"),
        Column("doubt", "Why not beyond doubt"),
        parts.OVER,
    ]
    return Table(
        columns, rows, title="Allocation and tilts as one family: change of NDCG@20 where Gini is as far below",
        caption="Of the family, validation chooses the settings of the curve, and so between its members; so it "
        f"does the best other, of those that get so far on the test. Ahead beyond doubt in {n_clear} of {len(rows)} "
        f"rows ({sure} after Holm's correction for all rows), behind beyond doubt in {behind}. By data set: "
        f"{by_data_set}. Three rows are of one cell and say much the same: of {len(of_cell)} cells "
        f"{sum(map(all, of_cell.values()))} are ahead beyond doubt in all of theirs, {sum(map(any, of_cell.values()))} "
        "in one at least.",
    )  # fmt: skip


def _doubt(ahead: Estimate, change: Estimate | None, record: Mapping[str, Any]) -> str:
    """Say why a difference from the best other method is not beyond doubt, or nothing where it is."""
    if change is None or ahead.low is None or ahead.high is None or ahead.low > 0:
        return ""
    if ahead.high < 0:
        return "the other is ahead"
    margin = (ahead.high - ahead.low) / 2
    if ahead.over == "seeds":
        return f"±{margin:.1%} over {ahead.n_seeds} seeds; the record keeps no users"
    if margin > LARGE_MARGIN:
        splits = f" in each of {record['splits']} splits" if "splits" in record else ""
        return f"±{margin:.1%} with {record['sizes']['test']:,} test interactions{splits}"
    return f"±{margin:.1%}, and the other's own change is {change.value:+.1%}"


def _allocation(found: Sequence[parts.Cell]) -> Table:
    """Return what allocation loses where exposure is as much more even, and how far it is ahead of others there."""
    rows: list[dict[str, Any]] = []
    for cell in found:
        for share in spectral.EVENER:
            level = cell.level("gini@20", share)
            row: dict[str, Any] = {"cell": parts.titled(cell.name), "gini": -share}
            row |= {name: each for name, each in level["allocation"].items() if not math.isnan(each.value)}
            row["over"] = next((estimate.over for estimate in reversed(level["allocation"].values())), None)
            if "allocation" in level["changes"]:
                row["allocation"] = level["changes"]["allocation"]
            rows.append(row)
    columns = [Column("cell", "Cell"), Column("gini", "Gini", format="+.0%")]
    columns += [Column(name, name, "+.1%") for name in ALLOCATION]
    columns = [column for column in [*columns, parts.OVER] if any(row.get(column.key) is not None for row in rows)]
    return Table(
        columns, [dict.fromkeys(column.key for column in columns) | row for row in rows],
        title="Allocation: change of NDCG@20 where Gini is as far below, and how far ahead it is",
        caption="Along each method's own curve, its settings picked on validation: the change with allocation, then "
        "the difference from the change with each other one; empty where one does not get so far.",
    )  # fmt: skip


def _added(found: Sequence[parts.Cell]) -> Iterator[Table]:
    """Return what allocation reaches on a model that was trained with a correction, where that was swept."""
    rows: list[dict[str, Any]] = []
    for cell in found:
        for share in spectral.EVENER:
            for name, reached in cell.level("gini@20", share).get("then", {}).items():
                row: dict[str, Any] = {
                    "cell": parts.titled(cell.name),
                    "gini": -share,
                    "first": name,
                    "over": reached["alone"].over,
                }
                rows.append(row | reached)
    columns = [
        Column("cell", "Cell"),
        Column("gini", "Gini", format="+.0%"),
        Column("first", "Trained with"),
        Column("alone", "Then allocation", "+.1%"),
        Column("allocation", "Ahead of allocation", "+.1%"),
        Column("training", "Ahead of the training", "+.1%"),
        parts.OVER,
    ]
    if rows:
        yield Table(
            columns, rows, title="A correction in training, then allocation: change of NDCG@20 at as even an exposure",
            caption="The model is that of the setting of the highest NDCG@20 on validation. Ahead of allocation on the "
            "plain model, and of the correction in training without allocation.",
        )  # fmt: skip


def _chosen_of_all(found: Sequence[parts.Cell], protocol: str, key: str, loss: float | None) -> Table:
    """Return ReSN as chosen on validation: the fairest within the loss, or the most accurate."""
    rows = []
    for cell in found:
        chosen = next(each for each in cell.chosen(loss) if each["method"] == "ReSN")
        row: dict[str, Any] = {
            "cell": parts.short(cell.name), "plain": cell.frontier.mean(*cell.plain, cell.frontier.accuracy),
            "weight": parts.setting_of(cell.frontier, "ReSN", chosen["setting"]),
            "over": chosen["changes"]["ndcg@20"].over,
        }  # fmt: skip
        rows.append(row | chosen["changes"])
    columns = [Column("cell", "Cell"), Column("plain", "plain NDCG@20", format=".4f"), Column("weight", "Weight")]
    columns += [Column(name, parts.heading(name), "+.1%") for name in ("ndcg@20", "gini@20", "head_share@20")]
    within = f" that loses at most {loss:.0%} of NDCG@20 there" if loss else ""
    return parts.table_over(
        columns, rows, f"{protocol.capitalize()} test: ReSN at the {key} weight, chosen on validation",
        f"The {key} weight{within}; changes on the test against weight 0.",
    )  # fmt: skip
