"""The one figure that early stopping watches."""

import numpy as np
from torch import nn

from headtail._printable import counted
from headtail.data import Interactions, PopularityGroups
from headtail.exceptions import InvalidInputError
from headtail.metrics import Metric, Profiles, TopK
from headtail.metrics.measuring import evaluate
from headtail.metrics.topk import find_ranks
from headtail.training.ranking import recommend


class Validation:
    """Scores a model on held-out interactions by full ranking over the items that are not in a user's training part.

    There must be some, none of them in train, and more of the metric must be better.
    """

    def __init__(self, train: Interactions, held_out: Interactions, metric: Metric, k: int) -> None:
        if not len(held_out):
            raise InvalidInputError("validation holds no interactions; leave it out, or make a larger one.")
        shared = int(train.contains(held_out.users, held_out.items).sum())
        if shared:
            raise InvalidInputError(
                f"{shared} of {counted(len(held_out), 'validation pair')} can be found in train as well; these can "
                f"never be recommended. Remove them from one of the two."
            )
        if getattr(metric, "better", "higher") != "higher":
            raise InvalidInputError(f"metric={metric!r} is better when it is lower; give one that should rise.")
        self.metric, self.k = metric, min(k, train.n_items)
        self.users = np.flatnonzero(held_out.activity).astype(np.int32)
        self.profiles = Profiles(train, PopularityGroups.by_mass(train.popularity))
        relevant = held_out.matrix[self.users]
        self.starts, self.relevant = relevant.indptr.astype(np.int64), relevant.indices.astype(np.int32)
        self.rows = np.repeat(np.arange(len(self.users)), np.diff(self.starts))

    def __call__(self, model: nn.Module) -> float:
        """Return the metric, as its mean over users who have held-out items if it has a value for each."""
        train = self.profiles.train
        lists = recommend(model, train, codes=self.users, k=self.k).items
        ranks = find_ranks(lists, self.rows, self.relevant)
        top = TopK(lists, self.users, self.profiles, self.starts, self.relevant, ranks)
        found = evaluate(top, getattr(self.metric, "__name__", "metric"), self.metric)
        if not np.isfinite(found).any():
            raise InvalidInputError("metric is finite for no user of the validation. Return one number, or several.")
        return float(np.nanmean(found))
