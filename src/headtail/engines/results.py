"""What an audit in an engine returns."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from headtail.metrics.charts import concentration_chart, frequency_chart, groups_text, notes_block
from headtail.metrics.collapse import few_items
from headtail.metrics.pages import items_table
from headtail.metrics.results import Measured
from headtail.metrics.verdicts import of_exposure
from headtail.reports import Block, Column, Report, Section, Table, Text
from headtail.typing import Array


@dataclass(frozen=True, eq=False, repr=False)
class EngineAudit(Measured):
    """What recommendations in an engine do with popularity; made by :func:`headtail.engines.audit`.

    Attributes
    ----------
    measurements, group_shares, over_exposed, under_exposed, groups, definitions, facts, notes
        As of :class:`headtail.metrics.Audit`; over all users.
    n_users : int
        The users audited.
    item_ids : array of shape (I,)
        The catalogue.
    popularity : int array of shape (I,)
        Training interactions of each item.
    slots : int array of shape (I,)
        Lists that each item is in, at the largest cut-off.
    """

    n_users: int
    item_ids: Array
    popularity: Array
    slots: Array

    def to_dict(self) -> dict[str, Any]:
        """Return everything but what is as long as the items as JSON-able values."""
        return {
            "kind": "engine audit",
            "n_users": self.n_users,
            "measurements": self._rows(),
            "groups": {"description": self.groups.description, "items": self.groups.sizes},
            "group_shares": list(self.group_shares),
            "over_exposed": [asdict(i) for i in self.over_exposed],
            "under_exposed": [asdict(i) for i in self.under_exposed],
            "definitions": self.definitions,
            "notes": list(self.notes),
        }

    def report(self) -> Report:
        """Return the audit as a page: the verdict, all metrics, who gets the places, items, and notes."""
        columns = [
            Column("title", "Metric", notes="note"),
            Column("name", "In code"),
            Column("value", "Value", formats="format", low="low", high="high"),
        ]
        rows = [
            asdict(m)
            | {"title": self.facts[m.metric].title or m.metric, "name": m.name, "format": self.facts[m.metric].format}
            | {"note": self.definitions[m.metric]}
            for m in self.measurements
        ]
        places: list[Block] = [
            Text(groups_text(self.groups)),
            concentration_chart({"training": self.popularity, "recommendations": self.slots}),
            frequency_chart(self.popularity, {"recommendations": self.slots}),
        ]
        tables = [items_table(self.over_exposed, "Over-exposed"), items_table(self.under_exposed, "Under-exposed")]
        blocks: list[Block] = [Table(columns, rows, title="All metrics"), Section("Who gets the places", places)]
        blocks += [Section("Items", [table for table in tables if table.rows]), *notes_block(self.notes)]
        k = max(m.k for m in self.measurements)
        lifts = ((m.value, m.low, m.high) for m in self.measurements if (m.metric, m.k) == ("popularity_lift", k))
        lift = next(lifts, (math.nan, None, None))
        doubts = few_items(self.slots, self.n_users)
        verdict = of_exposure(self.slots, self.popularity, self.groups, lift, doubts)
        return Report(f"Popularity audit of {self.n_users:,} users", blocks, verdict)
