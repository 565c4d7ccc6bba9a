"""The head's share of lists, of the data and of users' own histories."""

from typing import Any

import numpy as np

from headtail._factors import as_pair
from headtail.data import Interactions, PopularityGroups
from headtail.exceptions import InvalidInputError
from headtail.metrics import Profiles
from headtail.training import vectors
from headtail.typing import Codes, Floats, Vectors


def factors_of(made: Any, train: Interactions) -> Vectors:
    """Return the factors of a model, or those given."""
    if callable(made):
        return vectors(made, interactions=train)
    if not isinstance(made, tuple) or len(made) != 2:
        raise InvalidInputError(f"make returned a {type(made).__name__}; let it return a model, or queries and items.")
    return as_pair(made)


def head_share(items: Codes, groups: PopularityGroups) -> float:
    """Return the share of the filled slots of lists, shape (U, k), that the most popular group has."""
    return float((groups.codes[items[items >= 0]] == 0).mean())


def own_shares(profiles: Profiles) -> Floats:
    """Return the share of each group in each user's own history, shape (n_users, n_groups); NaN without history."""
    counts = profiles.group_counts
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))
