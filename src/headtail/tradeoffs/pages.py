"""The report of a frontier."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from headtail._printable import counted
from headtail.metrics.verdicts import ENDS
from headtail.reports import Block, Chart, Column, Report, Section, Table, Text
from headtail.reports._markdown import bullets, plain
from headtail.reports._values import show_interval
from headtail.tradeoffs.curves import Curves
from headtail.tradeoffs.points import NOTHING, Estimate, Setting
from headtail.tradeoffs.settings import facts_for

FAIRER = (0.05, 0.1, 0.15, 0.2)  # how far below the reference's unfairness accuracy is read off
KEPT = 0.75  # of the accuracy, so that settings that nobody would take do not press the others together
_DRAWN = 8  # most methods of a picture
_SMALL = 0.002  # changes below it are written with more digits
LOSSES = (0.01, 0.02, 0.05, 0.1)  # how far below the reference's accuracy unfairness is read off


def frontier_page(frontier: Curves, max_loss: float) -> Report:
    """Return the page: what was chosen, the curves, the methods at equal levels, and every setting."""
    tables = [table for table in _equal_tables(frontier) if table.rows]
    whole = [Section("Whole curves", [Text(_equal_text(frontier)), *tables], folded=True)] if tables else []
    every = Section("Every setting", [settings_table(frontier, max_loss)], folded=True)
    notes = frontier.notes(max_loss)
    ends = [Section("Notes on the grids", [bullets(notes)], folded=True)] if notes else []
    shown: list[Block] = [picture(frontier, max_loss), _chosen_table(frontier, max_loss), *whole, every, *ends]
    against = "even exposure" if _of_exposure(frontier) else noun(frontier, frontier.unfairness)
    return Report(f"Accuracy against {against}", shown, verdict(frontier, max_loss))


def verdict(frontier: Curves, max_loss: float) -> str:
    """Say which method does most within the loss allowed, what that costs, and what is noise."""
    accuracy, unfairness = frontier.accuracy, frontier.unfairness
    ends = frontier.reference, frontier.best(max_loss)
    if ends[0] == ends[1]:
        return f"No method {sought(frontier)[0]} on validation for {allowed(frontier, max_loss)}."
    sides = {metric: [frontier.mean(*pair, metric) for pair in ends] for metric in (unfairness, accuracy)}
    gain, cost = (change_sentence(frontier, m, both, frontier.change(*ends, m)) for m, both in sides.items())
    return (
        f"Of {len(frontier.curves)} methods **{plain(setting_name(frontier, *ends[1]))}** has {sought(frontier)[1]} on "
        f"validation for {allowed(frontier, max_loss)}. On the test, {gain}, and {cost}."
    )


def change_sentence(frontier: Curves, metric: str, sides: Sequence[float], change: Estimate) -> str:
    """Say in words how a metric changes, with its values before and after; the change is a share of the first."""
    low, high, spec = change.low, change.high, facts_for(frontier, metric).format
    if np.isnan(change.value):  # nothing is a share of 0
        return f"**{noun(frontier, metric)} goes from {sides[0]:{spec}} to {sides[1]:{spec}}** (`{metric}`)"
    noise = low is not None and high is not None and low <= 0 <= high
    digits = 1 if noise or abs(change.value) >= _SMALL else 3
    turn = f"{'rises' if change.value > 0 else 'falls'} by {abs(change.value):.{digits}%}"
    if noise or abs(change.value) < 1e-9:  # a rounding error
        turn = "stays within noise" if noise else "stays the same"
    ends = "" if low is None else f"; 95% interval {show_interval(low, high, f'+.{digits}%')}"
    ends += f"; {meant}" if (meant := ENDS.get(metric.partition("@")[0])) else ""
    return f"**{noun(frontier, metric)} {turn}** (`{metric}` {sides[0]:{spec}} to {sides[1]:{spec}}{ends})"


def sought(frontier: Curves) -> tuple[str, str]:
    """Return what a correction is to do, and what the best of its settings has, in words."""
    if _of_exposure(frontier):
        return "made exposure more even", "the most even exposure"
    low = noun(frontier, frontier.unfairness)
    return f"lowered the {low}", f"the lowest {low}"


def _of_exposure(frontier: Curves) -> bool:
    return facts_for(frontier, frontier.unfairness).family == "exposure"


def allowed(frontier: Curves, max_loss: float) -> str:
    """Say what may be lost on validation where a setting is chosen."""
    return f"at most {100 * max_loss:g}% of accuracy{spare(frontier)}"


def spare(frontier: Curves) -> str:
    """Say by how much more than its loss a setting that is chosen stays within what is allowed."""
    if frontier.margin in (0, 1):
        return ", with a standard error to spare" * bool(frontier.margin)
    return f", with {frontier.margin:g} standard errors to spare"


def noun(frontier: Curves, metric: str) -> str:
    """Return what a metric is called in a sentence."""
    title = "accuracy" if metric == frontier.accuracy else facts_for(frontier, metric).title
    return title if title == metric else title[:1].lower() + title[1:]


def setting_name(frontier: Curves, method: str, setting: Setting) -> str:
    """Return what a setting is called in a sentence; the only one of a method goes by the name of that."""
    return f"{method} at {setting:g}" if method in frontier.curves else method


def curves(frontier: Curves, max_loss: float) -> Chart:
    """Return the curves of all methods on test; the chosen setting of each is marked."""
    chosen = {method: frontier.choose(method, max_loss) for method in frontier.methods}
    rows = []
    for method, setting in frontier.pairs:
        alone = method not in frontier.curves
        rows.append({
            "method": method,
            "setting": None if alone else f"{setting:g}",
            "x": frontier.mean(method, setting, frontier.unfairness),
            "y": frontier.estimate(method, setting, frontier.accuracy),
            "chosen": setting == chosen[method] and not alone,
        })  # fmt: skip
    return Chart(
        "scatter", rows, x="x", y="y", color="method", connect=True, chosen="chosen", label="setting",
        title="Trade-off on the test", y_label=f"accuracy, {frontier.accuracy}",
        x_label=f"{noun(frontier, frontier.unfairness)}, {frontier.unfairness} (lower is better)",
        caption=f"Every point is one setting of one method; large marks are chosen. {_rule(frontier, max_loss)} "
        f"{_intervals(frontier)}",
    )  # fmt: skip


def picture(frontier: Curves, max_loss: float, first: str | None = None) -> Chart:
    """Return the curves of the methods that go furthest, where they keep accuracy; the caption says what is left out.

    The method `first`, by default the best, is drawn in any case.
    """
    chart, first = curves(frontier, max_loss), first or frontier.best(max_loss)[0]
    ends = {
        m: frontier.mean(m, frontier.choose(m, max_loss), frontier.unfairness, part="validation")
        for m in frontier.methods
    }
    order = sorted(ends, key=lambda m: (m != first, m in frontier.curves, np.isnan(ends[m]), ends[m]))
    places = {m: [(row["x"], row["y"]) for row in chart.rows if row["method"] == m] for m in order}
    same = [m for m in order if m != first and places[m] == places[first]]  # which would hide it
    left = [m for m in order if m not in same][_DRAWN:]
    least = KEPT * frontier.mean(*frontier.reference, frontier.accuracy)
    rows = [row for row in chart.rows if row["method"] not in (*left, *same)]
    shown = [row for row in rows if row["chosen"] or row["y"] is None or row["y"] >= least]
    poor = len(rows) - len(shown)
    said = [f"{counted(poor, 'setting')} of less than three quarters of the accuracy"] * bool(poor)
    said += [f"{counted(len(left), 'method')} that {'does' if len(left) == 1 else 'do'} less on validation"] * bool(
        left
    )
    said += [f"{plain(name)}, whose settings are those of {plain(first)}" for name in same]
    caption = f"{chart.caption} Not drawn: {', and '.join(said)}." if said else chart.caption
    return replace(chart, rows=shown, caption=caption)


def _chosen_table(frontier: Curves, max_loss: float) -> Table:
    """Return what each method's chosen setting gains and loses on the test, and its hypervolume."""
    accuracy, unfairness = frontier.accuracy, frontier.unfairness
    rows = []
    for method in frontier.methods:
        setting = frontier.choose(method, max_loss)
        alone = method not in frontier.curves  # a single setting has no reference
        rows.append({
            "method": method,
            "setting": f"{setting:g}",
            "accuracy": frontier.estimate(method, setting, accuracy),
            "unfairness": frontier.estimate(method, setting, unfairness),
            "gain": NOTHING if alone else frontier.estimate(method, setting, accuracy, relative=True),
            "fairer": NOTHING if alone else frontier.estimate(method, setting, unfairness, relative=True),
            "hypervolume": frontier.hypervolume(method),
        })  # fmt: skip
    change = "Change from the method's first setting"
    volume = (
        f"Share of the accuracy of “{plain(setting_name(frontier, *frontier.reference))}” that the method keeps, on "
        f"average over all levels of `{unfairness}` from 0 to its own; what is not reached counts 0."
    )
    columns = [
        Column("method", "Method"),
        Column("setting", "Chosen"),
        _measure(frontier, "accuracy", accuracy, "Accuracy"),
        Column("gain", "Change", "+.1%", note=f"{change}, of `{accuracy}`.", better="higher", change=True),
        _measure(frontier, "unfairness", unfairness),
        Column("fairer", "Change", "+.1%", note=f"{change}, of `{unfairness}`.", better="lower", change=True),
        Column("hypervolume", "Accuracy kept over all levels", ".4f", better="higher", note=volume, code="hypervolume"),
    ]
    return Table(
        columns, rows, title="Chosen on validation, measured on test",
        caption=f"{_rule(frontier, max_loss)} {_intervals(frontier)} Changes are taken user by user and seed by seed.",
    )  # fmt: skip


def settings_table(frontier: Curves, max_loss: float) -> Table:
    """Return all settings with their test metrics."""
    metrics = list(frontier.points[0].test)
    traded = (frontier.accuracy, frontier.unfairness)
    front = set(frontier.front())
    chosen = {method: frontier.choose(method, max_loss) for method in frontier.methods}
    rows = []
    for method, setting in frontier.pairs:
        row: dict[str, Any] = {
            "method": method,
            "setting": f"{setting:g}",
            "front": " ".join(["chosen"] * (setting == chosen[method]) + ["front"] * ((method, setting) in front)),
        }
        for name in metrics:
            found = frontier.estimate(method, setting, name)
            row[name] = found if name in traded else found.value
        rows.append(row)
    columns = [
        Column("method", "Method"),
        Column("setting", "Setting"),
        Column(
            "front", "On validation",
            note=f"Front: on validation no other setting here is better in one of `{frontier.accuracy}` and "
            f"`{frontier.unfairness}` and not worse in the other.",
        ),
        *(_measure(frontier, name, name) for name in metrics),
    ]  # fmt: skip
    return Table(columns, rows, title="All settings on the test", caption=_intervals(frontier))


def _equal_tables(frontier: Curves) -> list[Table]:
    """Return the methods at equal fairness and at equal accuracy, as changes from the reference."""
    accuracy, unfairness = noun(frontier, frontier.accuracy), noun(frontier, frontier.unfairness)
    if not frontier.curves:
        return []
    return [
        _equal_table(
            {m: {at: frontier.accuracy_at(m, -at, relative=True) for at in FAIRER} for m in frontier.curves},
            f"Change of {accuracy} where {unfairness} is lower",
            better="higher",
        ),
        _equal_table(
            {m: {at: frontier.unfairness_at(m, -at, relative=True) for at in LOSSES} for m in frontier.curves},
            f"Change of {unfairness} where {accuracy} is lower",
            better="lower",
        ),
    ]


def _equal_table(cells: dict[str, dict[float, Estimate]], title: str, *, better: Literal["higher", "lower"]) -> Table:
    """Return a row for each method and a column for each level that some method reaches."""
    levels = next(iter(cells.values()))
    reached = [at for at in levels if any(np.isfinite(row[at].value) for row in cells.values())]
    rows = [
        {"method": method} | {str(at): row[at] for at in reached}
        for method, row in cells.items()
        if any(np.isfinite(row[at].value) for at in reached)
    ]
    columns = [Column(str(at), f"{at:.0%} lower", "+.1%", better=better) for at in reached]
    return Table([Column("method", "Method"), *columns], rows, title=title)


def _equal_text(frontier: Curves) -> str:
    method, setting = frontier.reference
    accuracy, unfairness = (frontier.mean(method, setting, name) for name in (frontier.accuracy, frontier.unfairness))
    return (
        f"Changes from “{plain(setting_name(frontier, method, setting))}” (`{frontier.accuracy}` {accuracy:.4f}, "
        f"`{frontier.unfairness}` {unfairness:.4f}), seed by seed, read off straight lines through each method's "
        f"settings that neither another nor a mixture of two others beats on validation. A dash is a level that not "
        f"every seed reaches."
    )


def _rule(frontier: Curves, max_loss: float) -> str:
    return (
        f"The chosen settings are those with {sought(frontier)[1]} on the validation part, of those that lose at most "
        f"{100 * max_loss:.3g}% of the accuracy of the method's first setting there{spare(frontier)}."
    )


def _intervals(frontier: Curves) -> str:
    """Say what the intervals are over, the same for every figure that has one."""
    found = {
        (estimate.over, estimate.n_seeds)
        for pair in frontier.pairs
        for estimate in [frontier.estimate(*pair, frontier.accuracy)]
    }
    words = {"seeds": "over {} (Student's t)", "users and seeds": "over users and {}", "users": "over users, of {}"}
    said = [words[over].format("one seed" if n == 1 else f"{n} seeds") for over, n in sorted(found, key=str) if over]
    if not said:
        return "One seed, without intervals." if {n for _, n in found} == {1} else "Without intervals."
    return f"Intervals are 95% intervals {' or '.join(said)}."


def _measure(frontier: Curves, key: str, metric: str, title: str = "") -> Column:
    facts = facts_for(frontier, metric)
    return Column(key, title or facts.title, facts.format, code=metric if title or facts.title != metric else "")
