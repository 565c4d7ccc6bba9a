"""Who gets the slots: metrics of how exposure spreads over the catalogue."""

import math
from functools import partial
from typing import Literal

import numpy as np

from headtail._checks import checked, number
from headtail._stats import entropy as _entropy, gini as _gini
from headtail.metrics.facts import better
from headtail.metrics.steps import Steps, StepsInfluence
from headtail.metrics.topk import TopK, blocks, discounts
from headtail.metrics.user_groups import ByGroup, UserGroups
from headtail.typing import Array, Floats, Ints, Mask

FEW_SLOTS = 20  # with fewer slots in a popularity group, unevenness over groups has no interval

_as_share = partial(better, low=0, high=1, family="exposure", format=".1%", needs=("popularity",))


def _gini_steps(groups: UserGroups, *, catalogue: str = "all") -> Steps:
    levels, counted = groups.levels, _counted(groups.top, catalogue)
    items = levels.items(counted)
    if catalogue == "recommended":
        items = np.where(levels.slots > 0, items, 0)
    n, total = levels.sum(items), levels.sum(items * levels.slots)
    below = np.cumsum(items) - items  # items with fewer than each number of slots
    below -= below[levels.starts][levels.group]
    of, whole = n[levels.group], (n * total)[levels.group]
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN without slots
        value = levels.sum(items * levels.slots * (2 * below + items - of)) / (n * total)
        steps = (2 * below + 1 - of) / whole
        if catalogue == "recommended":  # the items that lose their only slot are counted no more
            steps -= np.where(levels.slots == 1, ((1 - value) / n)[levels.group], 0.0)
        return Steps(value, steps, levels, counted, items, value / total)


def _counted(top: TopK, catalogue: str) -> Mask:
    if catalogue == "all":
        return np.ones(len(top.popularity), dtype=bool)
    if catalogue == "train":
        return top.popularity > 0
    return top.slots > 0


_of_places = StepsInfluence(_gini_steps)


@better(
    "lower", title="Inequality of exposure", low=0, high=1, influence=_of_places, family="exposure", headline=True,
)  # fmt: skip
@checked
def gini(top: TopK, *, catalogue: Literal["all", "train", "recommended"] = "all") -> float:
    """Inequality of exposure: 0 if every item is recommended equally often, 1 - 1/n if one item takes every slot.

    Formula: sum_i (2 i - n - 1) e_i / (n sum_i e_i), over items in ascending order of exposure e (lists that the item
    is in), i from 1. Range 0 to 1, lower is fairer.

    Source: Fleder and Hosanagar, "Blockbuster culture's next rise or fall", Management Science 2009.

    Parameters
    ----------
    top : TopK
    catalogue : {"all", "train", "recommended"}, default "all"
        The n items counted: the whole catalogue, those with training interactions (LensKit), or only those that were
        recommended at least once (evidently), which hides the items that never are.
    """
    return _gini(top.slots[_counted(top, catalogue)])


def _gini_by_rank_by_group(groups: UserGroups) -> tuple[Floats, ...]:
    cells, n = groups.cells, len(groups.top.popularity)
    shown = np.flatnonzero(cells.slots)
    shown = shown[np.lexsort((groups.attention[shown], cells.group[shown]))]
    exposure, group = np.append(groups.attention[shown], 0.0), cells.group[shown]
    items = np.bincount(group, minlength=len(groups.sizes))  # that lists of each group hold
    first, unseen = np.cumsum(items) - items, n - items
    below = np.append(0.0, np.cumsum(exposure[:-1]))
    total = below[first + items] - below[first]
    apart = exposure.max() + 2.0  # between the groups, one after another
    keys = exposure[:-1] + group * apart

    def away(x: Array, group: Array) -> Array:  # from all items, together; quick because x ascends
        place = np.searchsorted(keys, x + group * apart)
        count = place - first[group] + np.where(x > 0, unseen[group], 0)
        return np.asarray(x * (2 * count - n) + total[group] - 2 * (below[place] - below[first[group]]))

    places = np.arange(len(shown)) + (unseen - first)[group]
    sums = np.bincount(group, (2 * places + 1 - n) * exposure[:-1], minlength=len(items))
    worth, lengths = discounts(groups.top.k), groups.top.lengths[groups.rows]
    change, present = np.zeros(len(lengths)), away(exposure[:-1], group)
    alone = np.zeros(len(cells.slots) + 1)  # the last, where a list has ended
    for rank, less in enumerate(worth):
        here, held = cells.place[:, rank].astype(np.intp), np.zeros(len(alone), dtype=bool)
        held[here] = True
        some = np.flatnonzero(held[shown])
        alone[shown[some]] = away(exposure[some] - less, group[some]) - present[some]
        change += alone[here]
    # Each alone is judged by where the others of its list were; what stays where it was adds nothing here.
    of_cells = np.append(np.where(cells.slots > 0, groups.attention, 0.0), 0.0)
    for part in blocks(len(change)):
        before = of_cells[cells.place[part]]
        after = np.maximum(before - worth, 0.0)  # 0, as before, where a list has ended
        both = np.concatenate([before, after], axis=1)
        change[part] += 2 * _apart(before) + 2 * _apart(after) - _apart(both)  # which sorts them
    kept = groups.each(total) - np.append(0.0, np.cumsum(worth))[lengths]
    kept[lengths == groups.each(groups.sum(lengths))] = np.nan  # without its only list nothing is left
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (groups.each(sums) + change) / (n * kept)
        single = _of_places.by_group(groups)[2]  # of the inequality of slots, which is about the same
        influence = groups.where_enough_decide(groups.jackknife(without))
        return sums / (n * total), influence * groups.each(np.sqrt(single)), single


def _apart(values: Floats) -> Floats:
    """Return the differences between the numbers of each row, each pair's once, summed up; the rows are sorted."""
    k = values.shape[1]
    values.sort(axis=1)
    return np.asarray(values @ (2.0 * np.arange(k) + 1 - k))


@better(
    "lower", title="Inequality of exposure, high ranks first", low=0, high=1, influence=ByGroup(_gini_by_rank_by_group),
    family="exposure", headline=True,
)  # fmt: skip
@checked
def gini_by_rank(top: TopK) -> float:
    """Inequality of the attention that items get: as :func:`gini`, a place at rank r counting 1 / log2(r + 1).

    The order of lists moves it, where :func:`gini` counts only which items they hold. Range 0 to 1, lower is fairer.

    Source: Singh and Joachims, "Fairness of exposure in rankings", KDD 2018 (exposure by rank, discounted as in DCG).

    Parameters
    ----------
    top : TopK
    """
    return _gini(top.attention)


def _coverage_steps(groups: UserGroups, *, at_least: int = 1, of_tail: bool = False) -> Steps:
    levels, counted = groups.levels, _tail(groups.top) if of_tail else _counted(groups.top, "all")
    items, n = levels.items(counted), int(counted.sum())
    there = levels.sum(items * (levels.slots >= at_least))
    with np.errstate(invalid="ignore"):
        figure = there / np.float64(n)
    steps = (levels.slots == at_least) / max(n, 1)
    return Steps(figure, steps, levels, counted, items, most=(n - there) / max(n, 1) ** 2)


@_as_share(
    "higher", title="Items shown to anybody", influence=StepsInfluence(_coverage_steps), headline=True,
    needs=("catalogue",),
)  # fmt: skip
@checked
def coverage(top: TopK, *, at_least: int = 1) -> float:
    """Share of the catalogue that is recommended to at least one user. Range 0 to 1, higher is broader.

    Source: Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy", RecSys 2010.

    Parameters
    ----------
    top : TopK
    at_least : int, default 1
        Count an item from this many lists on.
    """
    return float((top.slots >= at_least).mean())


def _tail(top: TopK) -> Mask:
    return top.groups.mask(top.groups.names[-1])


@_as_share(
    "higher", title="Tail items shown to anybody", influence=StepsInfluence(partial(_coverage_steps, of_tail=True))
)
def tail_coverage(top: TopK) -> float:
    """Share of the tail's items that are recommended to at least one user. Range 0 to 1, higher is broader.

    The tail is the last of the popularity groups. PopSteer (RecSys 2025) calls it deep long-tail coverage.
    """
    tail = _tail(top)
    return float((top.slots[tail] > 0).mean()) if tail.any() else math.nan


def _entropy_steps(groups: UserGroups, *, base: float = math.e, normalize: bool = False) -> Steps:
    levels, counted = groups.levels, _counted(groups.top, "all")
    items, e = levels.items(counted), levels.slots.astype(np.float64)
    total = levels.sum(items * e)
    scale = math.log(len(counted) if normalize else base)
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN without slots
        share = np.where(e > 0, e / total[levels.group], 1.0)
        figure = np.where(total > 0, 0.0 - levels.sum(items * share * np.log(share)) / scale, np.nan)
        steps = (_e_log_e(e - 1) - _e_log_e(e)) / (scale * total)[levels.group]
        held = levels.sum(items * _e_log_e(e)) / total
        return Steps(figure, steps, levels, counted, items, -(1 + held) / (scale * total))


def _e_log_e(e: Floats) -> Floats:
    return e * np.log(np.maximum(e, 1))


@better(
    "higher", title="Spread of exposure", low=0, influence=StepsInfluence(_entropy_steps), family="exposure",
    format=".2f",
)  # fmt: skip
@checked
def entropy(top: TopK, *, base: float = math.e, normalize: bool = False) -> float:
    """Shannon entropy of the shares of exposure: 0 if one item takes every slot, log(n) if all n items get the same.

    Formula: -sum_i p_i log p_i, p_i = e_i / sum e. In nats; higher is broader.

    Parameters
    ----------
    top : TopK
    base : float, default e
        Base of the logarithm; 2 for bits (Elliot).
    normalize : bool, default False
        Divide by the entropy of equal exposure over the catalogue, which gives 0 to 1.
    """
    base = number("base", base, low=1, low_open=True)
    value = _entropy(top.slots, base)
    return value / (math.log(len(top.slots)) / math.log(base)) if normalize else value


def _share(top: TopK, mask: Array) -> float:
    taken = top.slots.sum()
    return float(top.slots[mask].sum() / taken) if taken else math.nan


def _attention(top: TopK, group: str) -> tuple[Floats, Floats]:
    """Return the attention that each list gives to a group, and to all items."""
    worth, there = discounts(top.k), top.items >= 0
    return (top.groups.mask(group)[top.items] & there) @ worth, there @ worth


def _group_share_by_group(groups: UserGroups, *, group: str, by_rank: bool = False) -> tuple[Floats, Floats]:
    top = groups.top
    if by_rank:
        return groups.of_sums(np.divide, *_attention(top, group))
    return groups.of_sums(np.divide, top.group_slots[:, top.groups.names.index(group)], top.lengths)


@better(None, low=0, high=1, influence=ByGroup(_group_share_by_group), format=".1%", needs=("popularity",))
@checked
def group_share(top: TopK, *, group: str, by_rank: bool = False) -> float:
    """Share of all slots that go to items of one popularity group. Range 0 to 1.

    Parameters
    ----------
    top : TopK
    group : str
    by_rank : bool, default False
        Share of the attention instead, as in :func:`gini_by_rank`: a place at rank r counts 1 / log2(r + 1).
    """
    if by_rank:
        taken, given = (part.sum() for part in _attention(top, group))
        return float(taken / given) if given else math.nan
    return _share(top, top.groups.mask(group))


@_as_share(
    "lower",
    title="Places for the head",
    headline=True,
    influence=ByGroup(lambda groups: _group_share_by_group(groups, group=groups.top.groups.names[0])),
)
def head_share(top: TopK) -> float:
    """Share of all slots that go to the head, the most popular group of items. Range 0 to 1, lower favors it less."""
    return group_share(top, group=top.groups.names[0])


@_as_share(
    "higher",
    title="Places for the tail",
    influence=ByGroup(lambda groups: _group_share_by_group(groups, group=groups.top.groups.names[-1])),
    headline=True,
)
def tail_share(top: TopK) -> float:
    """Share of all slots that go to the tail, the least popular group of items. Range 0 to 1, higher favors it more."""
    return group_share(top, group=top.groups.names[-1])


@_as_share(
    "higher", title="Places for the rarest 80% of items",
    influence=ByGroup(lambda g: g.of_sums(np.divide, g.top.sum(g.top.profiles.rare), g.top.lengths)),
)  # fmt: skip
def tail_exposure(top: TopK) -> float:
    """Share of all slots that go to the least popular 80% of the items, by rank. Range 0 to 1, higher favors them more.

    Unlike :func:`tail_share` it does not depend on the popularity groups of the audit. The rest of the slots go to the
    head of ``PopularityGroups.by_rank``, whose `cuts` give other shares.

    Source: Reported by Yang et al., "The pitfall of scaling up", KDD 2026, to measure ReSN and its successors.
    """
    return _share(top, top.profiles.rare)


def _rsp_by_group(groups: UserGroups) -> tuple[Floats, Floats]:
    value, influence = groups.of_sums(variation, groups.top.group_slots, groups.top.chances)
    enough = np.min(groups.sum(groups.top.group_slots[groups.rows]), axis=1) >= FEW_SLOTS
    # The spread of fewer is not seen in them.
    return value, groups.where_enough_decide(np.where(groups.each(np.asarray(enough)), influence, np.nan))


@better(
    "lower", title="Uneven chances to be shown", low=0, influence=ByGroup(_rsp_by_group), family="exposure", fewest=100,
    needs=("popularity",),
)  # fmt: skip
def pop_rsp(top: TopK) -> float:
    """Unevenness over popularity groups of the chance to be recommended: 0 if each group has the same chance.

    Formula: std_g(P_g) / mean_g(P_g), P_g = slots of group g / (user, item) pairs of g that could have been
    recommended, a user's training items excluded. Range 0 to sqrt(groups - 1), lower is fairer. Ranking-based
    statistical parity over popularity groups.

    Source: Zhu, Wang and Caverlee, "Measuring and mitigating item under-recommendation bias", SIGIR 2020.
    """
    return _unevenness(top.group_slots, top.chances)


def _found(top: TopK) -> tuple[Ints, Ints]:
    """Return the found and all test items of each group and user."""
    top.require_targets("pop_reo")
    return top.group_hits, top.group_targets


@better(
    "lower", title="Uneven chances to be found", low=0,
    influence=ByGroup(lambda groups: groups.of_sums(variation, *_found(groups.top))), family="exposure",
    needs=("popularity", "targets"), fewest=200,
)  # fmt: skip
def pop_reo(top: TopK) -> float:
    """Unevenness over popularity groups of the chance of a wanted item to be recommended: 0 if it is the same in all.

    Formula: std_g(R_g) / mean_g(R_g), R_g = test interactions with group g that are in the lists / all of them.
    Range 0 to sqrt(groups - 1), lower is fairer. Ranking-based equal opportunity over popularity groups. Needs a test.

    Source: Zhu, Wang and Caverlee, "Measuring and mitigating item under-recommendation bias", SIGIR 2020.
    """
    return _unevenness(*_found(top))


def _unevenness(parts: Array, wholes: Array) -> float:
    """Return the coefficient of variation over groups of parts / wholes, both given by user and group."""
    return float(variation(parts.sum(axis=0), wholes.sum(axis=0)))


def variation(parts: Array, wholes: Array) -> Floats:
    """Return the coefficient of variation of parts / wholes over the last axis, those with a whole."""
    known = wholes > 0
    n = known.sum(axis=-1)
    rates = np.divide(parts, wholes, out=np.zeros_like(parts, dtype=np.float64), where=known)
    with np.errstate(invalid="ignore"):  # NaN where no group has a whole, or none a part
        mean = rates.sum(axis=-1) / n
        spread = np.subtract(rates, mean[..., None], out=rates, where=known)
        spread *= spread
        return np.asarray(np.sqrt(spread.sum(axis=-1) / n) / mean)
