"""Reference points of an audit: the training interactions, the most popular items, and random items."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from headtail.baselines import most_popular, random_items
from headtail.metrics.built_in import BUILT_IN
from headtail.metrics.facts import definition
from headtail.metrics.topk import TopK, find_ranks
from headtail.typing import Codes, Floats

TRAINING, MOST_POPULAR, RANDOM = "training", "most popular", "random"
_OF_TRAINING = ("gini", "coverage", "entropy", "head_share", "tail_share")  # metrics of item counts


def references(top: TopK, definitions: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return built-in metrics by name of the training interactions, and of two baselines for the same users.

    Users without a history, and metrics with other definitions, are left out; training interactions have no accuracy.
    """
    train = top.profiles.train
    if not len(train):
        return {}
    base = top.take(np.flatnonzero(top.users >= 0))
    metrics = {name: BUILT_IN[name] for name in definitions if name in BUILT_IN}
    metrics = {name: metric for name, metric in metrics.items() if definition(metric) == definitions[name]}
    taste = top.profiles.mean_popularity[base.users]
    # One list per interaction makes exposure metrics describe the training interactions.
    single = np.zeros(len(train) + 1, dtype=np.int64)
    history = replace(
        top, items=train.items[:, None], users=train.users, target_starts=single, target_items=train.items[:0],
        target_ranks=single[:0], has_targets=False,
    )  # fmt: skip
    did = {name: measure for name, measure in metrics.items() if name in _OF_TRAINING}
    found = {TRAINING: {name: float(np.mean(measure(history))) for name, measure in did.items()}}
    own = {"arp": float(np.nanmean(taste)) if len(taste) else np.nan, "popularity_lift": 0.0, "upd": 0.0, "pce": 0.0}
    found[TRAINING] |= {name: value for name, value in own.items() if name in metrics}
    if not len(base):
        return found
    users = train.user_ids[base.users]
    lists = {
        MOST_POPULAR: most_popular(train, top.k, users=users),
        RANDOM: random_items(train, top.k, users=users, rng=0),
    }
    for name, recs in lists.items():
        other = with_lists(base, recs.items)
        values = {metric: np.asarray(measure(other), dtype=np.float64) for metric, measure in metrics.items()}
        found[name] = {metric: _mean(value) for metric, value in values.items()}
    return found


def with_lists(top: TopK, items: Codes) -> TopK:
    """Return the same users and targets with other lists, shape (U, k)."""
    ranks = find_ranks(items, top.target_rows, top.target_items)
    return replace(top, items=items, target_ranks=ranks, uncut=None)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan
