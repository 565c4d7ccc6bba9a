"""Values of metrics with their intervals over users."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from headtail._checks import generator, raised_by
from headtail._factors import numbers
from headtail._stats import (
    degrees_of_freedom,
    jackknife_influence,
    plain_interval,
    score_interval,
    student,
)
from headtail.exceptions import InvalidInputError
from headtail.metrics.facts import Facts, facts_of
from headtail.metrics.results import ALL_USERS, Measurement
from headtail.metrics.steps import StepsInfluence
from headtail.metrics.topk import Metric, TopK
from headtail.metrics.user_groups import ByGroup, UserGroups, decided_by_enough
from headtail.typing import RNG, Array, Floats, Ints

MOST_GROUPS = 25  # more of them give no truer intervals (benchmarks/interval_coverage.py)
_LEAST_SINGLE = 2 / 3  # of the variance of a metric of one's own, what single groups of users bring about
_FEWEST = 30  # degrees of freedom of a mean without an upper end: fewer show a value that a few of many users decide
_SLOTS = 1 << 21  # of the groups of users that are measured at a time

Figures = tuple[Array, Array, Array, Array]  # of groups: a metric, its users, its error, and that one's degrees


def measure(
    top: TopK, metrics: Mapping[str, Metric], segments: Sequence[tuple[str, Ints]], n_groups: int, rng: RNG
) -> tuple[list[Measurement], dict[str, Floats], dict[str, Floats]]:
    """Return all metrics at one cut-off, the per-user values of those that have them, and the others' influences."""
    values = {name: evaluate(top, name, metric) for name, metric in metrics.items()}
    facts = {name: facts_of(metric) for name, metric in metrics.items()}
    mine = {name: found for name, found in values.items() if found.ndim}
    influences: dict[str, Floats] = {}
    measurements = []
    for labels, groups in [([ALL_USERS], UserGroups.of_all(top)), *_blocks(top, segments)]:
        found = []
        for name, metric in metrics.items():
            if name in mine:
                value, influence, n = groups.mean(mine[name][groups.rows])
                figures: Figures = value, n, *groups.error(influence)
            elif groups.are_all and not n_groups:
                figures = values[name][None], groups.sizes, *np.full((2, 1), np.nan)
            else:
                value, influence, error, df = _of_one_number(groups, name, metric, n_groups, rng)
                figures = values[name][None] if groups.are_all else value, groups.sizes, error, df
                if groups.are_all:
                    influences[name] = influence.astype(np.float32)
            if not n_groups:
                figures = *figures[:2], *np.full((2, len(labels)), np.nan)
            found.append(measurements_of(name, facts[name], top.k, labels, figures, per_user=name in mine))
        measurements += [measured for of_group in zip(*found, strict=True) for measured in of_group]
    return measurements, mine, influences


def _blocks(top: TopK, segments: Sequence[tuple[str, Ints]]) -> Iterator[tuple[Sequence[str], UserGroups]]:
    """Yield the names of groups of users and their lists, in blocks that bound the memory they take."""
    sizes = np.array([len(rows) for _, rows in segments], dtype=np.int64)
    block = np.cumsum(sizes) * top.k // _SLOTS
    for some in np.split(np.arange(len(segments)), np.flatnonzero(np.diff(block)) + 1):
        if len(some):
            labels, rows = zip(*(segments[g] for g in some.tolist()), strict=True)
            yield labels, UserGroups(top, np.concatenate(rows), sizes[some])


def evaluate(top: TopK, name: str, metric: Metric) -> Floats:
    """Return the metric of these lists: one number, or one for each of them."""
    with raised_by(f"The metric {name!r}"):
        found = numbers(metric(top))
    if found.dtype.kind not in "biuf":
        raise InvalidInputError(f"The metric {name!r} returned {found.dtype}. Return one number, or one for each user.")
    found = found.astype(np.float64, copy=False)
    if found.shape not in ((), (len(top),)):
        raise InvalidInputError(
            f"The metric {name!r} returned an array of shape {found.shape}. Return one number, or one for each of the "
            f"{len(top)} users."
        )
    return found


def _of_one_number(groups: UserGroups, name: str, metric: Metric, n_groups: int, rng: RNG) -> tuple[Array, ...]:
    """Return such a metric of each group of users, what lists add to its error, that error, its degrees of freedom."""
    bound = metric if isinstance(metric, partial) else partial(metric)
    told = facts_of(metric).influence
    if isinstance(told, (ByGroup, StepsInfluence)):
        figure, influence, *single = told.by_group(groups, *bound.args, **bound.keywords)
        return figure, influence, *groups.error(influence, *single)
    found = []
    for top in groups.apart:
        value = np.nan if groups.are_all else float(evaluate(top, name, metric))
        influence, df = np.empty(0), np.nan
        if told is not None and n_groups:
            with raised_by(f"The influence of the metric {name!r}"):
                influence = np.asarray(told(top, *bound.args, **bound.keywords), dtype=np.float64)
            df = degrees_of_freedom(influence, len(top))
        elif n_groups:
            influence, df = _grouped_influence(top, name, metric, min(n_groups // 2, MOST_GROUPS, len(top)), rng)
        found.append((value, float(np.linalg.norm(influence)), df, influence))
    values, errors, dfs, influences = zip(*found, strict=True)
    return np.array(values), np.concatenate(influences), np.array(errors), np.array(dfs)


def _grouped_influence(top: TopK, name: str, metric: Metric, n_groups: int, rng: RNG) -> tuple[Floats, float]:
    """Evaluate a metric again without each of some groups of users, drawn at random, and without pairs of them.

    Where the influence of two groups is not the sum of theirs, as on medians and counts of items, the jackknife is not
    right: what pairs add is taken out, and beyond a third of the variance there is no interval.
    """
    unknown = np.full(len(top), np.nan), np.nan
    if n_groups < 3:
        return unknown
    group = generator(rng).permutation(len(top)) % n_groups

    def without(*out: int) -> float:
        return float(evaluate(top.take(np.flatnonzero(~np.isin(group, out))), name, metric))

    alone = np.array([without(g) for g in range(n_groups)])
    together = np.array([without(g - 1, g % n_groups) for g in range(1, n_groups + 1)]) - alone - np.roll(alone, -1)
    influence = jackknife_influence(alone)
    variance = influence @ influence
    single = 1 - together.var(ddof=1) * n_groups * (n_groups - 1) / 2 / variance if variance > 0 else 1.0
    if not single >= _LEAST_SINGLE or not decided_by_enough(degrees_of_freedom(influence), n_groups):
        return unknown
    # The users of a group share its influence such that theirs have the same sum of squares.
    return (influence * np.sqrt(single / np.bincount(group)))[group], (n_groups - 1.0) * single**2


def measurements_of(
    name: str, facts: Facts, k: int, labels: Sequence[str], figures: Figures, *, per_user: bool
) -> list[Measurement]:
    """Return means over users that have a value, or the one number of each group that is there, with intervals."""
    value, n, error, df = figures
    ends = facts.low, facts.high
    if per_user:
        # Without an upper end a few users may decide, as where all others have one and the same list.
        low, high = score_interval(value, error, student(n - 1.0 if np.isfinite(facts.high) else df), *ends, n=n)
    elif np.isfinite(facts.high):
        low, high = score_interval(value, error, student(df), *ends)
    else:
        low, high = plain_interval(value, error, student(df), facts.low)
    shown = (n >= facts.fewest) & np.isfinite(low) & np.isfinite(high)
    if not np.isfinite(facts.high) and (per_user or facts.family == "popularity"):
        shown &= ~(df < np.minimum(_FEWEST, (n - 1) / 2))
    rows = zip(labels, value.tolist(), low.tolist(), high.tolist(), n.tolist(), shown.tolist(), strict=True)
    return [Measurement(name, k, u, v, lo if s else None, hi if s else None, m) for u, v, lo, hi, m, s in rows]
