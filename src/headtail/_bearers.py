"""Who bears a correction: what changes for users of little and of much activity, of rare and of popular taste."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headtail._stats import mean_interval
from headtail.data import Interactions
from headtail.data.popularity import tastes_of
from headtail.metrics import Comparison
from headtail.reports import Column, Table
from headtail.typing import Floats

_THIRDS: Mapping[str, tuple[str, str, str]] = {
    "how much they chose": ("the least", "in between", "the most"),
    "how popular that is": ("rarest tastes", "in between", "most popular tastes"),
}


def bearers(comparison: Comparison, train: Interactions, accuracy: str) -> Table:
    """Return the changes from the first audit to the second for thirds of the users, with 95% intervals.

    The thirds are by the number of a user's training interactions and by the mean log popularity of their items.
    """
    before, after = comparison.audits.values()
    codes = train.user_codes(before.user_ids)
    activity = train.activity.astype(np.float64)
    taste = tastes_of(train.matrix, train.popularity)
    metrics = [name for name in (accuracy, f"arp@{accuracy.partition('@')[2]}") if name in before.user_values]
    rows: list[dict[str, Any]] = []
    for (by, names), values in zip(_THIRDS.items(), (activity, taste), strict=True):
        order = np.argsort(values[codes], kind="stable")
        for name, members in zip(names, np.array_split(order, 3), strict=True):
            row: dict[str, Any] = {"by": by, "group": name}
            for metric in metrics:
                row |= _change(metric, before.user_values[metric][members], after.user_values[metric][members])
            rows.append(row)
    columns = [Column("by", "Thirds of the users by"), Column("group", "Third")]
    columns += [
        Column(
            metric, f"{before.facts[metric.partition('@')[0]].title}, change", format="+.1%", code=metric,
            low=f"{metric} low", high=f"{metric} high",
        )
        for metric in metrics
    ]  # fmt: skip
    caption = (
        "Do some people pay more than others? How popular a taste is: the mean log popularity of what a user chose in "
        "training. Changes are taken user by user, as shares of the third's mean before."
    )
    return Table(columns, rows, title="Who bears it", caption=caption)


def _change(metric: str, before: Floats, after: Floats) -> dict[str, Any]:
    known = np.isfinite(before) & np.isfinite(after)
    mean = float(before[known].mean()) if known.any() else 0.0
    if known.sum() < 2 or not mean:
        return {metric: None, f"{metric} low": None, f"{metric} high": None}
    value, low, high = (end / mean for end in mean_interval(after[known] - before[known]))
    return {metric: value, f"{metric} low": low, f"{metric} high": high}
