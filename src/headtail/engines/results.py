"""What an audit in an engine returns."""

import math
from dataclasses import dataclass
from typing import Any

from headtail._printable import counted
from headtail.metrics.charts import notes_block
from headtail.metrics.pages import all_metrics, headline_figures, who_gets_the_places
from headtail.metrics.results import Measured
from headtail.metrics.verdicts import of_exposure
from headtail.reports import Report
from headtail.typing import Array


@dataclass(frozen=True, eq=False, repr=False)
class EngineAudit(Measured):
    """What recommendations in an engine do with popularity; made by :func:`headtail.engines.audit`.

    Attributes
    ----------
    measurements, group_shares, over_exposed, under_exposed, groups, definitions, facts, notes, doubts
        As of :class:`headtail.metrics.Audit`; over all users.
    n_users : int
        The users audited.
    item_ids, popularity, slots : arrays of shape (I,)
        The catalogue, training interactions of each item, and lists that each item is in, at the largest cut-off.
    """

    n_users: int
    item_ids: Array
    popularity: Array
    slots: Array

    def to_dict(self) -> dict[str, Any]:
        """Return everything but what is as long as the items as JSON-able values."""
        return {"kind": "engine audit", "n_users": self.n_users} | super().to_dict()

    def report(self) -> Report:
        """Return the audit as a page: the verdict, who gets the places, items, all metrics, and notes."""
        places = who_gets_the_places(self, self.popularity, self.slots)
        blocks = [*headline_figures(self), *places, all_metrics(self), *notes_block(self.notes)]
        k = self.cutoffs[-1]
        lifts = ((m.value, m.low, m.high) for m in self.measurements if (m.metric, m.k) == ("popularity_lift", k))
        lift = next(lifts, (math.nan, None, None))
        verdict = of_exposure(self.slots, self.popularity, self.groups, lift, self.doubts)
        return Report(f"Popularity audit of {counted(self.n_users, 'user')}", blocks, verdict)
