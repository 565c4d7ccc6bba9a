"""Verdicts on audits and comparisons: sentences made from their numbers."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headtail._printable import counted
from headtail._stats import gini
from headtail.data import PopularityGroups
from headtail.metrics.collapse import few_items
from headtail.metrics.popularity import popularity_lift
from headtail.metrics.references import MOST_POPULAR, RANDOM
from headtail.reports._markdown import plain
from headtail.reports._values import show, show_interval
from headtail.typing import Array

if TYPE_CHECKING:
    from headtail.metrics.comparison import Comparison
    from headtail.metrics.results import Audit, Judgement

ENDS = {"gini": "0 is even, 1 is all for one item", "ndcg": "1 if all that people wanted stands at the top"}
"""What the ends of a scale mean, for those who do not know the metric."""


def of_audit(audit: "Audit") -> str:
    """Say how few items get half of the places, how popular they are for those who see them, and what to doubt."""
    top, lift = audit.lists, f"popularity_lift@{audit.cutoffs[-1]}"
    ends: tuple[float | None, float | None] = None, None
    if not len(top.profiles.train):
        return _with([f"{_most_places(top.slots)} (Gini {gini(top.slots):.3f}; {ENDS['gini']})."], audit.doubts)
    if "popularity_lift" in audit.facts:
        measured = audit.measurement(lift)
        ends = measured.low, measured.high
    return of_exposure(top.slots, top.popularity, top.groups, (popularity_lift(top), *ends), audit.doubts)


def of_gate(judged: Sequence["Judgement"]) -> str:
    """Say whether a gate stops, and on what."""
    met = [judgement for judgement in judged if judgement.met]
    told = plain("; ".join(judgement.text for judgement in met or judged))
    return f"**The gate stops:** {told}." if met else f"**The gate lets it pass;** not met: {told}."


def of_exposure(
    slots: Array,
    popularity: Array,
    groups: PopularityGroups,
    lifted: tuple[float, float | None, float | None],
    doubts: Sequence[str],
) -> str:
    """Say the same of lists by how many of them hold each item, (I,), and by its training interactions, (I,).

    `lifted` is the popularity lift with its interval, NaN where it was not measured; `doubts` come first.
    """
    n = _half(slots)
    held = popularity[np.argsort(-slots, kind="stable")[:n]].sum() / max(1, popularity.sum())
    lift, low, high = lifted
    noise = low is not None and high is not None and low <= 0 <= high
    sign = 0.0 if noise else float(np.sign(lift))
    head, own = (float(groups.shares(counts)[0]) for counts in (slots, popularity))
    opening = "**Whether popular items are favored depends on the measure.**"
    known = np.isfinite(lift)
    if (sign > 0 or not known) and head > own:
        opening = "**Popular items are shown more than they are chosen.**"
    elif (sign <= 0 or not known) and head <= own:
        opening = "**Popular items are not shown more than they are chosen.**"
    if few_items(slots, 0):
        opening = "**Nearly all people are shown the same few items" + (
            ", which are popular.**" if opening.startswith("**Popular items are shown") else ".**"
        )
    said = [
        f"{opening} {_most_places(slots)}; "
        f"{'that one holds' if n == 1 else 'those hold'} {held:.0%} of what people chose."
    ]
    if known:
        said.append(f"People are shown items {_times(lift, sign)} their own.")
    if never := _never(slots):
        are = "is" if never == 1 else "are"
        said.append(f"{counted(never, 'item')} ({never / len(slots):.0%}) {are} never shown.")
    uneven, before = gini(slots), gini(popularity)
    if uneven > before and head < own:
        doubts = [
            *doubts,
            f"Measures disagree: exposure is more uneven than what people chose (Gini {uneven:.3f}, training "
            f"{before:.3f}), and yet the head gets less of it ({head:.1%}, training {own:.1%}). The places go to few "
            f"items, but not to the most popular ones.",
        ]
    return _with(said, doubts)


def _most_places(slots: Array) -> str:
    part = "All" if _half(slots) == np.count_nonzero(slots) else "Half of all"
    return f"{part} recommended places go to {_half(slots):,} of {counted(len(slots), 'item')}"


def _half(slots: Array) -> int:
    """Return how many items, at least, get half of the places."""
    return int(np.searchsorted(np.cumsum(np.sort(slots)[::-1]), slots.sum() / 2)) + 1


def _never(slots: Array) -> int:
    return int((slots == 0).sum())


def of_comparison(comparison: "Comparison") -> str:
    """Say what changes from the baseline, what that costs, and where measures disagree or a change is within noise."""
    others = [name for name in comparison.audits if name not in (comparison.baseline, MOST_POPULAR, RANDOM)]
    changes = {name: comparison.changes.get(name, {}) for name in others}
    doubts = [doubt for name in others for doubt in _disagreements(name, changes[name], len(others) > 1)]
    if not others:  # only references stand beside it
        return f"{plain(comparison.baseline)}: {of_audit(comparison.audits[comparison.baseline])}"
    if len(others) == 1:
        return _with(_one_change(comparison, others[0], changes[others[0]]), doubts)
    return _with(_many(comparison, changes), doubts)


def _one_change(comparison: "Comparison", name: str, changes: dict[str, dict[str, Any]]) -> list[str]:
    """Say what one recommender changes: evenness, the head's places, accuracy, and what one costs of the other."""
    said = []
    even, accuracy, head = (changes.get(metric) for metric in ("gini", "ndcg", "head_share"))
    if even:
        turn = "about as even" if _noise(even) else "more even" if even["difference"] < 0 else "less even"
        said.append(
            f"**{plain(name)}** instead of **{plain(comparison.baseline)}** makes exposure **{turn}**: "
            f"{places(comparison, name)} (Gini {_from_to(even)}; {ENDS['gini']})."
        )
    if head:
        before = _before(head["before"], head["after"], ".1%")
        said.append(f"The most popular items get {head['after']:.1%} of the places, {before}.")
    if accuracy:
        turn = "rises" if accuracy["difference"] > 0 else "falls"
        if _noise(accuracy):
            turn = "stays within noise" if accuracy["difference"] else "stays the same"
        wanted = f": {wanted}" if (wanted := finds(comparison, name)) else ""
        said.append(f"Accuracy {turn} (NDCG {_from_to(accuracy)}; {ENDS['ndcg']}){wanted}.")
    if even and accuracy and not _noise(even) and even["difference"] < 0:
        if not _noise(accuracy) and accuracy["difference"] < 0:
            said.append(price(*(-change["difference"] / change["before"] for change in (even, accuracy))))
        elif _noise(accuracy):
            said.append("That costs no accuracy that could be measured.")
    return said


def price(gain: float, cost: float) -> str:
    """Say how much more even exposure gets, for shares by which Gini and accuracy fall."""
    ratio = f"{gain / cost:{'.1f' if gain >= 0.1 * cost else '.2g'}}"
    return f"For each percent of accuracy that is lost, exposure gets {ratio}% more even."


def places(comparison: "Comparison", name: str) -> str:
    """Say in counts who gets the places in the lists of `name`, and who did in those of the baseline."""
    before, after = (comparison.audits[one].lists.at(comparison.k).slots for one in (comparison.baseline, name))
    (few, many), (nobody, still) = ([count(slots) for slots in (before, after)] for count in (_half, _never))
    said = f"half of the places go to {counted(many, 'item')}, {_before(few, many)}"
    if nobody or still:
        said += f", and {counted(still, 'item', 'is', 'are')} never shown, {_before(nobody, still)}"
    return said


def _before(then: float, now: float, spec: str = ",") -> str:
    return "as before" if f"{then:{spec}}" == f"{now:{spec}}" else f"before {then:{spec}}"


def finds(comparison: "Comparison", name: str) -> str:
    """Say which part of what people wanted the lists find, and which part they found; empty where nobody measured."""
    found = comparison.changes.get(name, {}).get("recall")
    if not found:
        return ""
    return f"lists find {found['after']:.1%} of what people wanted, {_before(found['before'], found['after'], '.1%')}"


def _many(comparison: "Comparison", changes: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Say which of several recommenders is the most accurate, which the most even, and what that one costs."""
    measured = {name: audit for name, audit in comparison.audits.items() if name not in (MOST_POPULAR, RANDOM)}
    accuracy, evenness = (
        {name: audit[f"{metric}@{comparison.k}"] for name, audit in measured.items() if metric in audit.facts}
        for metric in ("ndcg", "gini")
    )
    said: list[str] = []
    if len(accuracy) == len(measured) > 1:
        best = max(accuracy, key=lambda name: accuracy[name])
        said.append(
            f"Of {len(measured)} recommenders **{plain(best)}** is the most accurate (NDCG {accuracy[best]:.4f}"
            f"{_beside(comparison, changes, best, 'ndcg')}; {ENDS['ndcg']})."
        )
    if len(evenness) == len(measured) > 1:
        even = min(evenness, key=lambda name: evenness[name])
        cost = changes.get(even, {}).get("ndcg")
        said.append(
            f"**{plain(even)}** spreads exposure most evenly (Gini {evenness[even]:.3f}"
            f"{_beside(comparison, changes, even, 'gini')}; {ENDS['gini']})"
            + (f"; its NDCG changes by {cost['difference'] / cost['before']:+.1%}." if cost and cost["before"] else ".")
        )
    return said


def _beside(comparison: "Comparison", changes: dict[str, dict[str, dict[str, Any]]], name: str, metric: str) -> str:
    change = changes.get(name, {}).get(metric)
    if not change:
        return ""
    noise = ", within noise" if _noise(change) else ""
    return f"; {plain(comparison.baseline)} {change['before']:.4f}{noise}"


def _disagreements(name: str, changes: dict[str, dict[str, Any]], named: bool) -> list[str]:
    """Say where one measure of bias, or of accuracy, gets worse while another one does not."""
    of = f" for {plain(name)}" if named else ""
    found = []
    even = changes.get("gini")
    for metric, what, spec in (
        ("head_share", "the head's share of the places", ".1%"),
        ("arp", "the popularity of what is shown", ",.0f"),
    ):
        other = changes.get(metric)
        sure = even and other and even["significant"] and other["significant"]
        if even and other and sure and even["difference"] * other["difference"] < 0:
            turns = ("falls", "rises") if even["difference"] < 0 else ("rises", "falls")
            found.append(
                f"Measures disagree{of}: inequality of exposure {turns[0]} (Gini {even['before']:.3f} to "
                f"{even['after']:.3f}) while {what} {turns[1]} ({other['before']:{spec}} to {other['after']:{spec}})."
            )
    first, all_found = (changes.get(metric) for metric in ("ndcg", "recall"))
    if first and all_found and not _falls(first) and _falls(all_found):
        found.append(
            f"Measures disagree{of}: NDCG does not fall beyond noise, but fewer wanted items are found (recall "
            f"{all_found['before']:.4f} to {all_found['after']:.4f})."
        )
    if even and _noise(even) and even["difference"]:
        found.append(f"The change of Gini{of} is within noise.")
    for title, one in (("Gini", even), ("NDCG", first)):
        if one and one["low"] is None and one["difference"]:
            found.append(f"The change of {title}{of} has no interval, so that how much of it is noise is not known.")
    return found


def _falls(change: dict[str, Any]) -> bool:
    return bool(change["significant"]) and change["difference"] < 0


def _noise(change: dict[str, Any]) -> bool:
    return not change["significant"] and (change["low"] is not None or not change["difference"])


def _from_to(change: dict[str, Any]) -> str:
    """Write a change: from, to, and by how much with its paired interval."""
    before, after = change["before"], change["after"]
    text = f"{before:.4f} to {after:.4f}"
    if not before:
        return text
    text += f", {show(change['difference'] / before, '+.1%')}"
    if change["low"] is None:
        return text
    low, high = sorted((change["low"] / before, change["high"] / before))
    return f"{text}, 95% interval {show_interval(low, high, '+.1%')}"


def _times(lift: float, sign: float) -> str:
    """Write how popular lists are beside the users' own items."""
    if sign == 0 or abs(lift) < 0.005:
        return "about as popular as"
    if lift >= 0.95:
        return f"{1 + lift:.1f} times as popular as"
    return f"{abs(lift):.0%} {'more' if lift > 0 else 'less'} popular than"


def _with(said: Iterable[str], doubts: Iterable[str]) -> str:
    """Return a paragraph, and below it what to doubt as a list."""
    return "\n\n".join(part for part in (" ".join(said), "\n".join(f"- {doubt}" for doubt in doubts)) if part)
