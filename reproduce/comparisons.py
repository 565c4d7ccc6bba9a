"""What the pages compare, worked out where a cell runs: records do not keep each user's part in errors.

Every figure is an estimate with its interval and what that is over: users and seeds together where both are at hand,
seeds alone where a page works it out anew from the points of a record that was made without.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from headtail.tradeoffs import Frontier
from headtail.tradeoffs.points import NOTHING

FAMILY = (  # of headtail, one family of which validation chooses
    "allocation", "allocation, nobody loses 10%", "allocation, equal shares", "allocation, most hits",
    "tilt (alpha-fair)", "tilt (entropy)", "tilt (popularity)",
)  # fmt: skip
FIRST = {  # dials that train, from which validation takes a model that allocation then works on
    "ReSN, fine-tuned": ("ReSN, fine-tuned",),
    "IPS": ("IPS", "IPS, clip 0.01", "IPS, clip 0.5"),
}
RIVALS = (  # of allocation alone
    "allocation, equal shares", "allocation, most hits", "tilt (alpha-fair)",
    "tilt (entropy)", "log penalty", "IPR", "ReSN",
)  # fmt: skip


def then_allocation(name: str) -> str:
    """Return the name of allocation on a model that is trained with a correction of this name."""
    return f"{name}, then allocation"


def compared(
    frontier: Frontier,
    levels: Sequence[tuple[str, float]],
    losses: Sequence[float | None],
    metrics: Sequence[str],
    along: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a page compares: the plain model's figures, all methods at levels of unfairness, and at losses."""
    return {
        "plain": _figures(frontier, *frontier.reference),
        "levels": [*_at_levels(frontier, levels)],
        "losses": [*_at_losses(frontier, losses, metrics, along)],
    }


def _at_levels(frontier: Frontier, levels: Sequence[tuple[str, float]]) -> Iterator[dict[str, Any]]:
    """Yield how the accuracy changes where metrics of unfairness lie so far below the plain model's, as shares.

    A row holds the change with each method that gets there, which of them loses least and whether it surely does; the
    change with the family, and how far that is ahead of each method outside and of all of them as one family; how far
    allocation is ahead of rivals; and of allocation after a correction in training, how far that is ahead of allocation
    alone and of the training alone.
    """
    family = [method for method in frontier.methods if method in FAMILY]
    both = {name: then_allocation(name) for name in FIRST if then_allocation(name) in frontier.methods}
    others = [method for method in frontier.methods if method not in (*FAMILY, *both.values())]
    for metric, share in levels:
        at = partial(replace(frontier, unfairness=metric).accuracy_at, unfairness=-share, relative=True)
        changes = {method: at(method) for method in frontier.methods}
        reached = {method: change for method, change in changes.items() if not math.isnan(change.value)}
        least = max(reached, key=lambda method: reached[method].value, default=None)
        row: dict[str, Any] = {"metric": metric, "share": share, "least": least, "changes": reached}
        if least is not None:
            ahead = [at(least, against=method) for method in reached if method != least]
            row["surely"] = all(each.low is not None and each.low > 0 for each in ahead)
        if family:
            row["family"] = at(family)
            row["ahead"] = {method: at(family, against=method) for method in others if method in reached}
            row["rivals"] = at(family, against=others) if others else NOTHING  # of which validation chooses likewise
        rivals = [method for method in RIVALS if method in reached and "allocation" in reached]
        row["allocation"] = {method: at("allocation", against=method) for method in rivals}
        row["then"] = {
            name: {
                "alone": at(method),
                "allocation": at(method, against="allocation"),
                "training": at(method, against=[each for each in FIRST[name] if each in frontier.methods]),
            }
            for name, method in both.items()
        }
        yield row


def _at_losses(
    frontier: Frontier, losses: Sequence[float | None], metrics: Sequence[str], along: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """Yield each method's setting that validation chooses for a loss of accuracy, or for the most of it where None.

    A row holds the figures of accuracy and unfairness on the test, the changes of `metrics` from the method's first
    setting, and the least that the metrics `along` come to on the method's whole curve where so much is lost there.
    """
    curves = {name: replace(frontier, unfairness=name) for name in along}
    for loss in losses:
        for method in frontier.methods:
            setting = most_accurate(frontier, [method])[1] if loss is None else frontier.choose(method, loss)
            row = {"method": method, "loss": loss, "setting": setting, "figures": _figures(frontier, method, setting)}
            row["changes"] = {name: frontier.estimate(method, setting, name, relative=True) for name in metrics}
            if loss is not None:
                row["along"] = {
                    name: curve.unfairness_at(method, -loss, relative=True) for name, curve in curves.items()
                }
            yield row


def _figures(frontier: Frontier, method: str, setting: float) -> dict[str, Any]:
    names = (frontier.accuracy, frontier.unfairness)
    return {name: frontier.estimate(method, setting, name) for name in names}


def most_accurate(frontier: Frontier, methods: Sequence[str]) -> tuple[str, float]:
    """Return the method and its setting of the highest accuracy on validation."""
    settings = [(method, setting) for method in methods for setting in frontier.settings(method)]
    return max(settings, key=lambda pair: frontier.mean(*pair, frontier.accuracy, "validation"))
