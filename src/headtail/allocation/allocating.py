"""Slots for the items at prices: each where its probability makes it cheapest."""

from dataclasses import replace
from typing import Any

import numpy as np

from headtail._checks import checked, integer, number
from headtail._exposure import Goal, Welfare, counter, sampled
from headtail._factors import per_item
from headtail.allocation.features import lists_at, probabilities
from headtail.data import Recommendations
from headtail.exceptions import InvalidInputError
from headtail.metrics.topk import discounts, ideal
from headtail.rerank import best, scores_of, spread
from headtail.typing import RNG, Array, Floats

_LEAST = 1e-9  # probability
_HALVINGS = 8  # of the share of the prices that a user is shown


@checked
def allocation_bias(
    recs: Recommendations,
    relevance: Array,
    *,
    strength: float,
    k: int,
    welfare: Welfare = "alpha",
    aversion: float = 0.5,
    gamma: float = 0.5,
    popularity: Any = None,
    n_users: int = 20_000,
    rounds: int = 100,
    rng: RNG = 0,
) -> Floats:
    """Return the price of every item, shape (n_items,), at which its exposure is what the welfare asks for.

    Source: the dual of the most expected relevance for a given welfare of the items: Do et al., Two-sided fairness in
    rankings via Lorenz dominance, NeurIPS 2021; Xu et al., P-MMF, WWW 2023.

    Parameters
    ----------
    recs : Recommendations
        Long lists.
    relevance : float array of shape (U, R)
        Probability of each candidate.
    strength : float
        At least 0. In units of the spread of a list's values, as for :func:`headtail.tilt`.
    k : int
        Length of the lists that users see.
    welfare, aversion, popularity, rounds, rng
        As for :func:`headtail.tilt`.
    gamma : float, default 0.5
        From 0 to 1: a probability is worth ``p ** (1 - gamma) / (1 - gamma)``, with 1 its logarithm. With 0 a slot is
        taken where it costs the fewest hits; with 1 where it costs the smallest share of the item's own chance,
        whatever the user's confidence.
    n_users : int, default 20,000
        Users, drawn without replacement, whose lists are counted. Their prices serve all users.

    Examples
    --------
    >>> recs = Recommendations.from_arrays(np.array([[0, 1], [0, 1]]), item_ids=[0, 1])
    >>> relevance = np.array([[0.9, 0.2], [0.9, 0.8]])
    >>> prices = allocation_bias(recs, relevance, strength=1, k=1)
    >>> allocate(recs, relevance, prices, k=1).items.tolist()  # who loses least gets the other item
    [[0], [1]]
    """
    goal = Goal(strength, welfare, aversion, rounds)
    k = integer("k", k, low=1, high=recs.k)
    rows = sampled(len(recs), n_users, rng)
    relevance = probabilities(recs, relevance)
    some = lists_at(recs, rows)
    items, values, n_items = some.items, values_of(relevance[rows], gamma), len(recs.item_ids)
    unit = spread(replace(some, scores=values))
    count = counter(items, values / np.float32(unit), n_items, k)
    return unit * goal.settle(count, n_slots=len(items) * k, n_items=n_items, popularity=popularity)


@checked
def allocate(
    recs: Recommendations, relevance: Array, bias: Array, *, k: int, gamma: float = 0.5, max_user_loss: float = 1.0
) -> Recommendations:
    """Return the k candidates of each user with the highest value and price, ordered and scored by relevance.

    Parameters
    ----------
    recs, relevance, k, gamma
        As for the prices.
    bias : float array of shape (n_items,)
        Prices, from :func:`allocation_bias`.
    max_user_loss : float, default 1
        The share of the expected DCG that a user may lose, 0 to 1: who would lose more sees the items at lower prices,
        the same share of all of them. Exposure is then less even than the prices are meant for.

    Examples
    --------
    >>> recs = Recommendations.from_arrays(np.array([[0, 1, 2]]), item_ids=[0, 1, 2])
    >>> allocate(recs, np.array([[0.3, 0.2, 0.1]]), np.array([0.0, -9.0, 9.0]), k=2).items.tolist()
    [[0, 2]]
    """
    k = integer("k", k, low=1, high=recs.k)
    relevance, prices = probabilities(recs, relevance), per_item("bias", bias, len(recs.item_ids))
    if (largest := np.abs(prices.astype(np.float64)).max()) >= 1e30:
        raise InvalidInputError(f"bias holds {largest:g}, which no relevance outweighs. Give the prices as computed.")
    values, prices = values_of(relevance, gamma), prices.astype(np.float32)[recs.items]
    judged = replace(recs, scores=relevance)

    def shown(rows: Array, share: Array) -> tuple[Recommendations, Floats]:
        some = lists_at(judged, rows)
        chosen = best(some, values[rows] + share[:, None] * prices[rows], k, keep=some.scores)
        lists = best(chosen, scores_of(chosen, k), k)
        return lists, np.asarray(np.nan_to_num(scores_of(lists, k)) @ discounts(k))

    everyone, whole = np.arange(len(recs)), np.ones(len(recs), dtype=np.float32)
    lists, expected = shown(everyone, whole)
    lost = number("max_user_loss", max_user_loss, low=0, high=1)
    if lost == 1:
        return lists
    least = (1 - lost) * shown(everyone, 0 * whole)[1]
    losing = np.flatnonzero(expected < least)
    low, high = np.zeros((2, len(losing)), dtype=np.float32)
    high += 1
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        kept = shown(losing, middle)[1] >= least[losing]
        low, high = np.where(kept, middle, low), np.where(kept, high, middle)
    anew = shown(losing, low)[0]
    for name in ("items", "scores"):
        getattr(lists, name)[losing] = getattr(anew, name)
    return lists


@checked
def ndcg_worth(recs: Recommendations, relevance: Array, *, k: int) -> Floats:
    """Return what each candidate would add to its user's expected NDCG at the first place, (U, R).

    A hit counts the less the more there are to be had: its probability is divided by the ideal DCG of as many items as
    the user is expected to want among the candidates. Whoever wants one item, as in sequential tests, keeps the
    probabilities.

    Parameters
    ----------
    recs, relevance
        As :func:`allocation_bias` takes them.
    k : int
        Length of the lists that users see.

    Examples
    --------
    >>> recs = Recommendations.from_scores(np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), k=3)
    >>> worth = ndcg_worth(recs, np.array([[0.5, 0.5, 0.0], [0.5, 1.0, 1.0]]), k=2)
    >>> [round(float(each), 3) for each in worth[:, 0]]
    [0.5, 0.307]
    """
    relevance = probabilities(recs, relevance)
    best = ideal(relevance.sum(axis=1, dtype=np.float64), integer("k", k, low=1))
    return np.asarray(relevance / best[:, None], dtype=np.float32)


def values_of(relevance: Array, gamma: float) -> Floats:
    """Return what an item in a user's list is worth, whoever else there is."""
    gamma = number("gamma", gamma, low=0, high=1)
    relevance = np.maximum(relevance, _LEAST).astype(np.float32)
    return np.asarray(np.log(relevance) if gamma == 1 else relevance ** np.float32(1 - gamma) / np.float32(1 - gamma))
