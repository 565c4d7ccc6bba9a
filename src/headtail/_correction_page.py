"""How a correction is laid out: its opening, its page, what fits a terminal, and who bears it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headtail._printable import counted
from headtail._stats import mean_influence
from headtail.data import Interactions, Recommendations
from headtail.data.popularity import tastes_of
from headtail.metrics import Comparison, compare, verdicts
from headtail.reports import Block, Chart, Column, Report, Section, Table, Text
from headtail.reports._markdown import bullets, plain
from headtail.reports._values import show_interval
from headtail.tradeoffs.pages import picture, setting_name
from headtail.tradeoffs.points import NOTHING, Estimate, Reading, paired_change
from headtail.tradeoffs.settings import facts_for
from headtail.typing import Floats

if TYPE_CHECKING:
    from headtail.correction import Correction
    from headtail.subjects import Subject
    from headtail.tradeoffs import Frontier

PLAIN, CORRECTED = "as it is", "corrected"
_TIED = 0.05  # of the lists; those of users without a history tie, too
_FAR = 0.05  # a gain of accuracy that no correction brings to a recommender that is well trained
_FEW = 200  # users: of fewer, well-trained models too often show no gap
_LEARNED = 3.0  # standard errors; trained on all 100,000 MovieTweetings -.7 to 2.8, on the training part 9.6 and more
_TITLE = "The recommender, corrected"
_THIRDS = (  # by how much they chose, and by how popular that is
    ("who chose least", "who chose neither much nor little", "who chose most"),
    ("with the rarest tastes", "with tastes in between", "with the most popular tastes"),
)


def biased(found: "Correction") -> tuple[str, str]:
    """Say how biased the recommender is as it is, and what to doubt of its lists."""
    said, _, doubts = verdicts.of_audit(found.comparison.audits[PLAIN]).partition("\n\n")
    return said, doubts


def trained_on(subject: "Subject", seed: int) -> str:
    """Say so if what was held out is scored no lower than what was learned from, as by a model trained on both.

    Of held-out interactions drawn at random from what a model was trained on, the difference has the mean 0.
    """
    relevant = subject.split.validation
    if relevant is None or subject.trains or subject.sequential or not subject.has("vectors"):
        return ""

    def gap() -> float:
        queries, items, *_ = subject.vectors(seed)
        with np.errstate(invalid="ignore", divide="ignore"):
            learned, held_out = (
                np.einsum("ud,ud->u", queries, part.matrix @ items) / part.activity
                for part in (subject.split.train, relevant)
            )
        more = (learned - held_out)[(subject.split.train.activity > 0) & (relevant.activity > 0)]
        if len(more) < _FEW or not more.std():
            return math.inf
        return float(more.mean() / more.std() * len(more) ** 0.5)

    if subject.cached(("gap", seed), gap) > _LEARNED:
        return ""
    return (
        "**Look at the training first.** The recommender scores what was held out no lower than what it learned from. "
        "If it was trained on both, all accuracy here is too good: train it on the training part alone. If it predicts "
        "what comes next, or knows little of single users, that is as it should be.\n\n"
    )


def price(unfairness: str, gain: Estimate, cost: Estimate) -> str:
    """Say what a lost percent of accuracy buys, where both changes are falls beyond noise and it is Gini that falls."""
    if not unfairness.startswith("gini@") or not all(each.high and each.high < 0 for each in (gain, cost)):
        return ""
    return f" {verdicts.price(-gain.value, -cost.value)}"


def unsure(found: "Correction") -> str:
    """Say so where validation cannot tell the loss that is allowed from a far larger one."""
    frontier = found.frontier
    if found.dial is None:
        name, setting = replace(frontier, margin=0).best(found.max_loss)
        if (name, setting) == frontier.reference:
            return ""
        n, change = _chosen_on(frontier, name, setting, found.subject)
        return (
            f" Without that, {plain(setting_name(frontier, name, setting))} would do, for {change.value:+.1%} of "
            f"accuracy ({_interval(change)}): {n:,} users in the validation part are too few to tell. Give more of "
            f"them, or allow a larger loss."
        )
    if found.given:
        return ""
    n, change = _chosen_on(frontier, found.dial.name, found.strength, found.subject)
    if change.low is not None and change.low >= -3 * max(found.max_loss, 0.01):
        return ""
    return (
        f" The choice rests on few users, {n:,} in the validation part ({_interval(change)} of accuracy there), so "
        f"that others may lose more than {100 * found.max_loss:g}%."
    )


def far_better(found: "Correction") -> str:
    """Say where a setting is far more accurate, beyond doubt, than the chosen one or the recommender as it is.

    Validation picks the setting, so that the interval on test does not flatter it.
    """
    frontier = found.frontier
    if found.given:
        return ""
    chosen = frontier.reference if found.dial is None else (found.dial.name, found.strength)
    there = {pair: frontier.mean(*pair, frontier.accuracy, "validation") for pair in frontier.pairs}
    best = max(there, key=lambda pair: np.nan_to_num(there[pair]))
    more, all_gained = (frontier.change(start, best, frontier.accuracy) for start in (chosen, frontier.reference))
    said = ""
    if _far(more):
        figures = (
            f"`{metric}` {frontier.mean(*best, metric):{facts_for(frontier, metric).format}}"
            for metric in (frontier.accuracy, frontier.unfairness)
        )
        plain_is = best == frontier.reference
        name = "The recommender as it is" if plain_is else plain(setting_name(frontier, *best))
        said = (
            f" **{name} is far more accurate**, by {more.value:.1%} ({_interval(more)}; {', '.join(figures)})"
            f"{'' if plain_is else '; give that dial and strength alone to take it'}."
        )
    if _far(all_gained) and not found.witness.trains(best[0]):
        said += (
            f" A gain of {all_gained.value:.0%} without training says that the recommender is far from its best (train "
            f"and tune it first), or that the held-out part asks for less popular items than it learned from."
        )
    return said


def _far(gain: Estimate) -> bool:
    return gain.low is not None and gain.low > _FAR


def ties(lists: Recommendations) -> list[str]:
    """Return a note if the recommender gives neighboring items of a list the same score, in 5% of lists or more."""
    scores = lists.scores
    tied = 0 if scores is None else int((scores[:, 1:] == scores[:, :-1]).any(axis=1).sum())
    if not tied or tied < _TIED * len(lists):
        return []
    return [
        f"The recommender scores several items of {counted(tied, 'list')} of {len(lists):,} alike; their order, and "
        f"which of them are in a list, is that of the rows or of the catalogue."
    ]


def emptied(before: Recommendations, after: Recommendations) -> list[str]:
    """Return a note if the correction fills fewer places than the recommender does."""
    filled, left = (int(lists.slots.sum()) for lists in (before, after))
    if left >= filled:
        return []
    lost = int((~np.isin(before.users, after.users)).sum())
    return [
        f"The correction leaves {filled - left:,} of {filled:,} places empty; "
        f"{counted(lost, 'user', 'has', 'have')} no list any more."
    ]


def grounds(frontier: "Frontier", dial: str, strength: float, subject: "Subject") -> str:
    """Say how many users the choice rests on, and what it costs on validation, with an interval."""
    n, found = _chosen_on(frontier, dial, strength, subject)
    return (
        f"Users in the validation part, on whom the choice rests: {n:,}. Their accuracy changes by {found.value:+.1%} "
        f"({_interval(found)})."
    )


def _chosen_on(frontier: "Frontier", dial: str, strength: float, subject: "Subject") -> tuple[int, Estimate]:
    """Return how many users the choice rests on, and the change of their accuracy."""
    relevant = subject.split.validation
    assert relevant is not None
    found = frontier.estimate(dial, strength, frontier.accuracy, part="validation", relative=True)
    return int(np.count_nonzero(relevant.activity)), found


def _interval(found: Estimate) -> str:
    return "no interval" if found.low is None else f"95% interval {show_interval(found.low, found.high, '+.1%')}"


def page(found: "Correction") -> Report:
    """Return the verdict, the trade-off, before and after on the test, who bears it, and what else was tried."""
    _, *tried = found.frontier.report(found.max_loss).blocks
    pair, title, who = found.comparison, "Before and after, on the test", list[Table]()
    if found.dial is None:
        pair, title = compare({PLAIN: pair.audits[PLAIN]}), "As it is, on the test"
    else:
        who = [bearers(pair, found.subject.split.train, found.frontier.accuracy)]
    # Its chart has but two points of the trade-off above.
    beside = [block for block in pair.report().blocks if not isinstance(block, Chart)]
    how = bullets([found.subject.split.description, *found.notes])
    some = sampled(found)
    of = [Text(f"All figures here are of {some}; those of before and after, of all.")] * bool(some)
    versus, against = _versus(found), list[Section]()
    if versus is not None:
        told = [Text(versus.lede)] * bool(versus.lede)
        against = [Section("Beside the other dials", [*told, *versus.blocks], folded=True)]
    blocks: list[Block] = [
        _trade_off(found),
        Section(title, beside),
        *who,
        Section("What was tried", [*of, *tried]),
        *against,
        Section("How it was chosen", [how], folded=True),
    ]
    return Report(_TITLE, blocks, _opening(found))


def summary(found: "Correction") -> Report:
    """Return what fits a terminal: the verdict, and the best setting of each dial on test, the chosen one first."""
    frontier, rows = found.frontier, list[dict[str, Any]]()
    chosen = None if found.dial is None else found.dial.name
    for method in sorted(frontier.methods, key=lambda name: (name != PLAIN, name != chosen)):
        setting = found.strength if method == chosen else frontier.choose(method, found.max_loss)
        row: dict[str, Any] = {"dial": method, "strength": setting}
        for metric in (frontier.accuracy, frontier.unfairness):
            row[metric] = frontier.mean(method, setting, metric)
            row[f"{metric} change"] = row[metric] / (rows[0][metric] or math.nan) - 1 if rows else 0.0
        rows.append(row)
    columns = [Column("dial", "Dial"), Column("strength", "Strength", format="g")]
    for metric in (frontier.accuracy, frontier.unfairness):
        facts = facts_for(frontier, metric)
        columns += [
            Column(metric, facts.title, format=facts.format, code=metric),
            Column(f"{metric} change", "change", format="+.1%"),
        ]
    said = "The setting that was given" if found.given else "Each dial as validation chooses it"
    of = f" ({some})" if (some := sampled(found)) else ""
    table = Table(columns, rows, title=f"{said}, measured on test{of}")
    versus = _versus(found, [(frontier.unfairness, 0.1)])
    texts = [Text(versus.lede)] if versus and versus.lede else []
    texts += [bullets(found.notes)] if found.notes else []
    return Report(_TITLE, [table, *texts], _opening(found))


def sampled(found: "Correction") -> str:
    """Say on which users settings were measured, where that is a sample and the verdict is of all."""
    some, every = found.witness.subject, found.subject
    return "" if some is every else f"{len(some.users):,} of the {len(every.users):,} users"


def _opening(found: "Correction") -> str:
    """Say how biased the recommender is, what was done about it, and what to doubt."""
    said, of_lists = biased(found)
    of_change = "" if found.dial is None else verdicts.of_comparison(found.comparison).partition("\n\n")[2]
    doubts = "\n".join(part for part in (of_lists, of_change) if part)
    return f"{said}\n\n{found.verdict}\n\n{doubts}".strip()


def _trade_off(found: "Correction") -> Chart:
    """Return the curves where accuracy is kept, with the two points named that the verdict speaks of."""
    names: dict[tuple[Any, Any], str] = {(PLAIN, None): PLAIN}
    if found.dial is not None:
        names[found.dial.name, f"{found.strength:g}"] = setting_name(found.frontier, found.dial.name, found.strength)
    chart = picture(found.frontier, found.max_loss, None if found.dial is None else found.dial.name)
    rows = [{**row, "setting": names.get((row["method"], row["setting"]))} for row in chart.rows]
    of = f" Measured on {some}." if (some := sampled(found)) else ""
    return replace(chart, rows=rows, caption=f"{chart.caption}{of}")


def _versus(found: "Correction", levels: Sequence[tuple[str, float]] | None = None) -> Report | None:
    """Return how the other dials do beside the one that was chosen, at levels of unfairness; None without others."""
    curves = found.frontier.curves
    if found.dial is None or found.dial.name not in curves or len(curves) < 2:
        return None
    return found.frontier.versus(found.dial.name, levels)


def bearers(comparison: Comparison, train: Interactions, accuracy: str) -> Table:
    """Return the changes from the first audit to the second for thirds of the users, with 95% intervals.

    The thirds are by the number of a user's training interactions and by the mean log popularity of their items.
    """
    before, after = comparison.audits.values()
    users, mine, theirs = np.intersect1d(before.user_ids, after.user_ids, return_indices=True)
    codes = train.user_codes(users)
    activity = train.activity.astype(np.float64)
    taste = tastes_of(train.matrix, train.popularity)
    metrics = [name for name in (accuracy, f"arp@{accuracy.partition('@')[2]}") if name in before.user_values]
    rows: list[dict[str, Any]] = []
    for names, values in zip(_THIRDS, (activity, taste), strict=True):
        order = np.argsort(values[codes], kind="stable")
        order = order[: np.isfinite(values[codes]).sum()]  # without a history there is no taste
        for name, members in zip(names, np.array_split(order, 3), strict=True):
            row: dict[str, Any] = {"group": name}
            for metric in metrics:
                row[metric] = _change(
                    before.user_values[metric][mine[members]], after.user_values[metric][theirs[members]]
                )
            rows.append(row)
    columns = [Column("group", "Third of the users")]
    columns += [
        Column(metric, f"{before.facts[metric.partition('@')[0]].title}, change", format="+.1%", code=metric)
        for metric in metrics
    ]
    caption = (
        "Do some people pay more than others? How popular a taste is: the mean log popularity of what a user chose in "
        "training. Changes are taken user by user, as shares of the third's mean before."
    )
    return Table(columns, rows, title="Who bears it", caption=caption)


def _change(before: Floats, after: Floats) -> Estimate:
    known = np.isfinite(before) & np.isfinite(after)
    if known.sum() < 2:
        return NOTHING
    return paired_change(*(Reading(float(part.mean()), mean_influence(part)) for part in (after[known], before[known])))
