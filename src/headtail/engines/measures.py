"""The metrics of an audit as sums over users that an engine can compute."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import narwhals as nw
import numpy as np

from headtail._checks import number, shown
from headtail.engines.moments import Moments, Part
from headtail.engines.sums import UserSums
from headtail.engines.tables import either
from headtail.exceptions import InvalidInputError
from headtail.metrics import accuracy, exposure, popularity
from headtail.metrics.facts import facts_of
from headtail.metrics.steps import StepsInfluence
from headtail.metrics.topk import Metric, TopK, discounts
from headtail.metrics.user_groups import UserGroups, decided_by_enough
from headtail.typing import Array

_no_interval = (math.nan, math.nan)


def _ones(top: TopK) -> Array:
    return np.ones(len(top.popularity))


def _where(condition: Any, value: Any) -> Any:
    return nw.when(condition).then(value)  # null for all others


def by_group(top: TopK) -> list[Array]:
    """Return which items are in each popularity group."""
    return [top.groups.codes == code for code in range(len(top.groups.names))]


def _per_slot(top: TopK, values: Array) -> float:
    return float(top.slots @ values / max(1, top.slots.sum()))


# -- a value a user, of which the metric is the mean: expression and a number near the mean ---------------------------


def _over_list(top: TopK, sums: UserSums, values: Array) -> tuple[Any, float]:
    """Return the mean of item values over a list, of users who have one."""
    n = sums.list(_ones(top), top.k)
    return _where(n > 0, sums.list(values, top.k) / n), _per_slot(top, values)


def _arp(top: TopK, sums: UserSums, *, normalize: str | None = None) -> tuple[Any, float]:
    scale = {None: 1, "max": top.popularity.max(), "total": top.popularity.sum()}[normalize]
    return _over_list(top, sums, top.popularity / scale)


def _aplt(top: TopK, sums: UserSums) -> tuple[Any, float]:
    return _over_list(top, sums, by_group(top)[-1])


def _aclt(top: TopK, sums: UserSums) -> tuple[Any, float]:
    tail = by_group(top)[-1]
    return _where(sums.list(_ones(top), top.k) > 0, sums.list(tail, top.k)), _per_slot(top, tail) * top.k


def _upd(top: TopK, sums: UserSums) -> tuple[Any, float]:
    own = [sums.history(mask) for mask in by_group(top)]
    given = [sums.list(mask, top.k) for mask in by_group(top)]
    n_own, n_given = sum(own), sum(given)

    def divergence(p: Any, middle: Any) -> Any:
        return p * either(p > 0, p / middle, 1.0).log(2)

    pairs = [(a / n_own, b / n_given) for a, b in zip(own, given, strict=True)]
    both = sum(divergence(p, (p + q) / 2) + divergence(q, (p + q) / 2) for p, q in pairs)
    return _where((n_own > 0) & (n_given > 0), both / 2), 0.0


def _of_wanted(value: Callable[[UserSums, Array, int, Any], Any]) -> Callable[..., tuple[Any, float]]:
    """Return a metric of users with test items, of all items or of one group, made of its value for a user."""

    def of(top: TopK, sums: UserSums, *, group: str | None = None) -> tuple[Any, float]:
        items = _ones(top) if group is None else top.groups.mask(group)
        wanted = sums.wanted(items)
        return _where(wanted > 0, value(sums, items, top.k, wanted)), 0.0

    return of


def _ndcg(top: TopK, sums: UserSums, *, group: str | None = None, scale: float = 1.0) -> tuple[Any, float]:
    scale = number("scale", scale, low=0, low_open=True)
    return _of_wanted(partial(_of_ideal, scale=scale))(top, sums, group=group)


def _of_ideal(sums: UserSums, items: Array, k: int, wanted: Any, *, scale: float) -> Any:
    wanted = scale * wanted
    first, *later = discounts(k).tolist()
    more = (either(wanted > r, worth * either(wanted < r + 1, wanted - r, 1.0)) for r, worth in enumerate(later, 1))
    return sums.gain(items, k) / sum(more, start=first)


_MEANS: dict[Any, Callable[..., tuple[Any, float]]] = {
    accuracy.ndcg: _ndcg,
    accuracy.recall: _of_wanted(lambda sums, items, k, wanted: sums.hits(items, k) / wanted),
    accuracy.hit_rate: _of_wanted(lambda sums, items, k, _: either(sums.hits(items, k) > 0, 1.0)),
    accuracy.mrr: _of_wanted(lambda sums, items, k, _: sums.first(items, k)),
    accuracy.precision: _of_wanted(lambda sums, items, k, _: sums.hits(items, k) / float(k)),
    popularity.arp: _arp, popularity.aplt: _aplt, popularity.aclt: _aclt, popularity.upd: _upd,
}  # fmt: skip
_SHARES: dict[Any, Callable[..., Array]] = {
    exposure.group_share: lambda top, group, by_rank=False: top.groups.mask(group),
    exposure.head_share: lambda top: top.groups.mask(top.groups.names[0]),
    exposure.tail_share: lambda top: top.groups.mask(top.groups.names[-1]),
    exposure.tail_exposure: lambda top: top.profiles.rare,
}


# -- one number of all users ------------------------------------------------------------------------------------------


def _if_enough(moments: Moments, n_users: int) -> tuple[float, float]:
    error, df = moments.jackknife(n_users)
    return (error, df) if decided_by_enough(df, n_users) else _no_interval


def _of_steps(top: TopK, sums: UserSums, steps: Any) -> tuple[Any, float, Any]:
    """Return what the figure falls by without each user, its mean, and how its interval comes of it."""
    weights, n, per_slot = steps.by_cell, sums.list(_ones(top), top.k), float(np.squeeze(steps.per_slot))
    falls = sums.list(weights, top.k) - n * per_slot

    def finish(moments: Moments, n_users: int) -> tuple[float, float]:
        error, df = _if_enough(moments, n_users)
        error *= n_users / max(n_users - 1, 1)  # to first order a mean changes by a distance / n, not / (n - 1)
        single = float(steps.of_single(np.array([error**2]))[0])
        return error * math.sqrt(single), df * single**2

    return falls, (_per_slot(top, weights) - per_slot) * top.k, finish


def _of_share(top: TopK, sums: UserSums, mask: Array) -> Any:
    """Return by how much the share of the slots changes without each user's list."""
    n, taken, total = sums.list(_ones(top), top.k), sums.list(mask, top.k), float(top.slots.sum())
    share = float(top.slots[mask].sum() / total)
    return _where(n < total, (n * share - taken) / (nw.lit(total) - n))


def _of_unevenness(parts: list[Any], wholes: list[Any], of_all: tuple[Array, Array]) -> Any:
    """Return the unevenness over groups without each user."""
    rates, known = [], []
    for part, whole, part_of_all, whole_of_all in zip(parts, wholes, *map(np.ndarray.tolist, of_all), strict=True):
        left = nw.lit(whole_of_all) - whole
        known.append(either(left > 0, 1.0))
        rates.append((nw.lit(part_of_all) - part) * known[-1] / either(left > 0, left, 1.0))
    n = sum(known)
    mean = sum(rates) / either(n > 0, n, 1.0)
    spread = sum(there * (rate - mean) ** 2 for rate, there in zip(rates, known, strict=True))
    return _where(mean > 0, (spread / n).sqrt() / mean)


class Measures:
    """Turns metrics into parts of the query over users.

    `heard`, (I,), are the training interactions of each item by the `n_listed` users who have a list; `targets`, (I,),
    its test interactions, and `hits` those of them that are in the lists, by cut-off; none without a test.
    """

    def __init__(self, sums: UserSums, heard: Array, n_listed: float, hits: dict[int, Array], targets: Any) -> None:
        self.sums, self.heard, self.n_listed, self.hits, self.targets = sums, heard, n_listed, hits, targets

    def part(self, name: str, metric: Metric, top: TopK) -> Part:
        """Return a metric at one cut-off, whose item counts `top` holds, as a value by user."""
        function, options = function_of(metric), metric.keywords if isinstance(metric, partial) else {}
        make = partial(Part, name, metric, top.k)
        if function in _MEANS:
            value, center = _MEANS[function](top, self.sums, **options)
            return make((value,), (float(center),), None, Moments.interval)
        if function is popularity.popularity_lift:
            return self._lift(make, top)
        figure = float(metric(top)) if function not in (exposure.pop_rsp, exposure.pop_reo) else math.nan
        if function in _SHARES:
            return make(
                (_of_share(top, self.sums, _SHARES[function](top, **options)),), (0.0,), figure, Moments.jackknife
            )
        influence = facts_of(metric).influence
        if isinstance(influence, StepsInfluence):
            value, center, finish = _of_steps(top, self.sums, influence.steps(UserGroups.of_all(top), **options))
            return make((value,), (center,), figure, finish)
        return self._uneven(make, top, function is exposure.pop_reo)

    def _lift(self, make: Callable[..., Part], top: TopK) -> Part:
        own, n_own = self.sums.history(top.popularity), self.sums.history(_ones(top))
        given, n = self.sums.list(top.popularity, top.k), self.sums.list(_ones(top), top.k)
        known = (n_own > 0) & (n > 0)
        counts = top.popularity.astype(np.float64)
        centers = _per_slot(top, counts), float(counts @ counts / counts.sum())
        return make((_where(known, given / n), _where(known, own / n_own)), centers, None, Moments.interval)

    def _uneven(self, make: Callable[..., Part], top: TopK, found: bool) -> Part:
        masks, of_groups = by_group(top), top.groups.sum
        finish: Callable[..., tuple[float, float]] = Moments.jackknife
        if found:
            of_all = of_groups(self.hits[top.k]), of_groups(self.targets)
            parts = [self.sums.hits(mask, top.k) for mask in masks]
            wholes = [self.sums.wanted(mask) for mask in masks]
        else:
            sizes = np.bincount(top.groups.codes, minlength=len(masks)).astype(np.float64)
            of_all = of_groups(top.slots), sizes * self.n_listed - of_groups(self.heard)
            parts = [self.sums.list(mask, top.k) for mask in masks]
            listed = self.sums.list(_ones(top), top.k) > 0
            wholes = [
                either(listed, nw.lit(size) - self.sums.history(mask))
                for size, mask in zip(sizes.tolist(), masks, strict=True)
            ]
            too_few = bool((of_groups(top.slots) < exposure.FEW_SLOTS).any())
            finish = (lambda *_: _no_interval) if too_few else _if_enough
        figure = float(exposure.variation(*of_all))
        return make((_of_unevenness(parts, wholes, of_all),), (0.0 if math.isnan(figure) else figure,), figure, finish)


def function_of(metric: Metric) -> Any:
    """Return the function of a metric, without the options that are set."""
    return metric.func if isinstance(metric, partial) else metric


_ONES = (popularity.popularity_lift, exposure.pop_rsp, exposure.pop_reo)


def is_sum(metric: Metric) -> bool:
    """Whether a metric is made of sums over items and users."""
    function = function_of(metric)
    if isinstance(metric, partial) and metric.keywords.get("by_rank"):
        return False
    return function in (*_MEANS, *_SHARES, *_ONES) or isinstance(facts_of(metric).influence, StepsInfluence)


def refuse_others(metrics: dict[str, Metric]) -> None:
    """Raise if a metric is not made of sums over items and users."""
    if others := [name for name, metric in metrics.items() if not is_sum(metric)]:
        known = ", ".join(one.__name__ for one in (*_MEANS, *_SHARES, *_ONES))
        raise InvalidInputError(
            f"metrics has {shown(others)}, which an engine cannot sum up user by user; it can {known}, gini, coverage, "
            f"tail_coverage and entropy. Leave them out, or collect the tables and give them to headtail.audit."
        )
