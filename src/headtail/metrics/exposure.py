"""Who gets the slots: metrics of how exposure spreads over the catalogue."""

import math

import numpy as np

from headtail._stats import entropy as _entropy
from headtail._stats import gini as _gini
from headtail.exceptions import InvalidInputError
from headtail.metrics.topk import TopK, better
from headtail.typing import Array


@better("lower", low=0, high=1)
def gini(top: TopK, *, catalogue: str = "all") -> float:
    """Inequality of exposure: 0 if every item is recommended equally often, 1 - 1/n if one item takes every slot.

    Formula: sum_i (2 i - n - 1) e_i / (n sum_i e_i), over items in ascending order of exposure e (lists that the item
    is in), i from 1. Range 0 to 1, lower is fairer.

    Parameters
    ----------
    top : TopK
    catalogue : {"all", "train", "recommended"}, default "all"
        The n items counted: the whole catalogue, those with training interactions (LensKit), or only those that were
        recommended at least once (evidently), which hides the items that never are.

    References
    ----------
    Fleder and Hosanagar, "Blockbuster culture's next rise or fall", Management Science 2009.
    """
    if catalogue == "all":
        return _gini(top.slots)
    if catalogue == "train":
        return _gini(top.slots[top.popularity > 0])
    if catalogue == "recommended":
        return _gini(top.slots[top.slots > 0])
    raise InvalidInputError(f"catalogue={catalogue!r} is not known; give 'all', 'train' or 'recommended'.")


@better("higher", low=0, high=1)
def coverage(top: TopK, *, at_least: int = 1) -> float:
    """Share of the catalogue that is recommended to at least one user. Range 0 to 1, higher is broader.

    Parameters
    ----------
    top : TopK
    at_least : int, default 1
        Count an item from this many lists on.

    References
    ----------
    Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy", RecSys 2010.
    """
    return float((top.slots >= at_least).mean())


@better("higher", low=0, high=1)
def tail_coverage(top: TopK) -> float:
    """Share of the tail's items that are recommended to at least one user. Range 0 to 1, higher is broader.

    The tail is the last of the popularity groups. PopSteer (RecSys 2025) calls it deep long-tail coverage.
    """
    tail = top.groups.mask(top.groups.names[-1])
    return float((top.slots[tail] > 0).mean()) if tail.any() else math.nan


@better("higher", low=0)
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
    value = _entropy(top.slots, base)
    return value / (math.log(len(top.slots)) / math.log(base)) if normalize else value


def group_share(top: TopK, *, group: str) -> float:
    """Share of all slots that go to items of one popularity group. Range 0 to 1."""
    taken = top.slots.sum()
    return float(top.slots[top.groups.mask(group)].sum() / taken) if taken else math.nan


@better("lower", low=0, high=1)
def head_share(top: TopK) -> float:
    """Share of all slots that go to the head, the most popular group of items. Range 0 to 1, lower favors it less."""
    return group_share(top, group=top.groups.names[0])


@better("higher", low=0, high=1)
def tail_share(top: TopK) -> float:
    """Share of all slots that go to the tail, the least popular group of items. Range 0 to 1, higher favors it more."""
    return group_share(top, group=top.groups.names[-1])


@better("higher", low=0, high=1)
def tail_exposure(top: TopK) -> float:
    """Share of all slots that go to the least popular 80% of the items, by rank. Range 0 to 1, higher favors them more.

    Unlike :func:`tail_share` it does not depend on the popularity groups of the audit. The rest of the slots go to the
    head of ``PopularityGroups.by_rank``, whose `cuts` give other shares.

    References
    ----------
    Reported by Yang et al., "The pitfall of scaling up", KDD 2026, to measure ReSN and its successors.
    """
    taken = top.slots.sum()
    return float(top.slots[top.profiles.rare].sum() / taken) if taken else math.nan


@better("lower", low=0)
def pop_rsp(top: TopK) -> float:
    """Unevenness over popularity groups of the chance to be recommended: 0 if each group has the same chance.

    Formula: std_g(P_g) / mean_g(P_g), P_g = slots of group g / (user, item) pairs of g that could have been
    recommended, a user's training items excluded. Range 0 to sqrt(groups - 1), lower is fairer. Ranking-based
    statistical parity over popularity groups.

    References
    ----------
    Zhu, Wang and Caverlee, "Measuring and mitigating item under-recommendation bias", SIGIR 2020.
    """
    listed = top.lengths > 0
    seen = top.profiles.group_counts[top.users[listed & (top.users >= 0)]].sum(axis=0)
    sizes = np.bincount(top.groups.codes, minlength=len(top.groups.names))
    return _unevenness(top.groups.sum(top.slots), listed.sum() * sizes - seen)


@better("lower", low=0)
def pop_reo(top: TopK) -> float:
    """Unevenness over popularity groups of the chance of a wanted item to be recommended: 0 if it is the same in all.

    Formula: std_g(R_g) / mean_g(R_g), R_g = test interactions with group g that are in the lists / all of them.
    Range 0 to sqrt(groups - 1), lower is fairer. Ranking-based equal opportunity over popularity groups. Needs a test.

    References
    ----------
    Zhu, Wang and Caverlee, "Measuring and mitigating item under-recommendation bias", SIGIR 2020.
    """
    top.require_targets("pop_reo")
    groups, n_groups = top.groups.codes[top.target_items], len(top.groups.names)
    hits = np.bincount(groups, weights=top.target_ranks < top.k, minlength=n_groups)
    return _unevenness(hits, np.bincount(groups, minlength=n_groups))


def _unevenness(parts: Array, wholes: Array) -> float:
    rates = parts[wholes > 0] / wholes[wholes > 0]
    return float(rates.std() / rates.mean()) if len(rates) and rates.mean() > 0 else math.nan
