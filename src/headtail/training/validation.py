"""The one figure that early stopping watches."""

import numpy as np
from torch import nn

from headtail.data import Interactions, Recommendations
from headtail.exceptions import InvalidInputError
from headtail.training.ranking import recommend, vectors

METRICS = ("ndcg", "recall")


class Validation:
    """Scores a model on held-out interactions by full ranking over the items that are not in a user's training part.

    Raises
    ------
    InvalidInputError
        If the validation part is empty, has other users or items than train, or shares pairs with it.
    """

    def __init__(self, train: Interactions, held_out: Interactions, metric: str, k: int) -> None:
        if (held_out.n_users, held_out.n_items) != (train.n_users, train.n_items):
            raise InvalidInputError(
                f"validation has {held_out.n_users} users and {held_out.n_items} items, train {train.n_users} and "
                f"{train.n_items}; take both from one split, so that a code means the same in each."
            )
        if not len(held_out):
            raise InvalidInputError("validation holds no interactions; leave it out, or make a larger one.")
        keys, known = _keys(held_out), _keys(train)
        shared = int(np.isin(keys, known).sum())
        if shared:
            raise InvalidInputError(
                f"{shared} of {len(keys)} validation pairs are in train as well; they can never be recommended. "
                f"Remove them from one of the two."
            )
        self.train, self.metric, self.k = train, metric, min(k, train.n_items)
        self.keys = np.sort(keys)
        self.users = np.flatnonzero(held_out.activity)
        self.relevant = held_out.activity[self.users]

    def __call__(self, model: nn.Module) -> float:
        """Return the metric's mean over users who have held-out items."""
        factors = vectors(model)
        ids = self.train.user_ids[self.users]
        return self.score(recommend(factors, self.train, users=ids, k=self.k))

    def score(self, lists: Recommendations) -> float:
        """Score the lists of ``self.users``."""
        keys = self.users[:, None] * self.train.n_items + lists.items  # (U, k)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        hits = (self.keys[at] == keys) & (lists.items >= 0)  # (U, k)
        if self.metric == "recall":
            return float((hits.sum(axis=1) / self.relevant).mean())
        gains = 1 / np.log2(np.arange(2, self.k + 2))
        ideal = np.cumsum(gains)[np.minimum(self.relevant, self.k) - 1]  # (U,)
        return float((hits @ gains / ideal).mean())


def _keys(interactions: Interactions) -> np.ndarray:
    return interactions.users.astype(np.int64) * interactions.n_items + interactions.items
