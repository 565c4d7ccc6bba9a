"""Shared by the results: the head's share of lists and histories, and curves of figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headtail._factors import as_pair
from headtail._printable import kind_of
from headtail.data import Interactions, PopularityGroups
from headtail.exceptions import InvalidInputError
from headtail.metrics import Profiles
from headtail.reports import Chart
from headtail.training import vectors
from headtail.typing import Codes, Floats, Vectors


def curves(rows: Sequence[dict[str, Any]], x: str, series: dict[str, str], **options: Any) -> Chart:
    """Return a line for each of some figures, by its label, where there is one."""
    points = [
        {"x": row[x], "value": row[key], "of": label}
        for key, label in series.items()
        for row in rows
        if row[key] is not None
    ]
    return Chart("line", points, x="x", y="value", color="of", **options)


def of_first_direction(rows: Sequence[dict[str, Any]], x: str, **options: Any) -> Chart:
    """Return how much of the scores the first direction makes up, and how closely it follows popularity."""
    return curves(
        rows, x, {"energy": "energy of sigma 1", "cosine": "cosine with popularity"}, title="The first direction",
        y_label="share, cosine", y_format=".0%", caption="Energy: the first direction's share in the sum of all "
        "squared scores. Cosine: how closely it follows popularity.", **options,
    )  # fmt: skip


def of_head(rows: Sequence[dict[str, Any]], x: str, own: float, k: int, **options: Any) -> Chart:
    """Return the head's share of the lists, beside its share in the users' own histories."""
    return curves(
        [row | {"history": own} for row in rows], x, {"head_share": f"top-{k} lists", "history": "history"},
        title="Exposure of the head", y_label="share of the head", y_format=".0%", **options,
    )  # fmt: skip


def factors_of(made: Any, train: Interactions) -> Vectors:
    """Return the factors of a model, or those given."""
    if callable(made):
        return vectors(made, interactions=train)
    if not isinstance(made, tuple) or len(made) != 2:
        raise InvalidInputError(f"make returned {kind_of(made)}; let it return a model, or queries and items.")
    return as_pair(made)


def head_share(items: Codes, groups: PopularityGroups) -> float:
    """Return the share of the filled slots of lists, shape (U, k), that the most popular group has."""
    return float((groups.codes[items[items >= 0]] == 0).mean())


def own_shares(profiles: Profiles) -> Floats:
    """Return the share of each group in each user's own history, shape (n_users, n_groups); NaN without history."""
    counts = profiles.group_counts
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))
