"""Where the data is: audits by queries of DuckDB, Spark or Polars, and lists made there batch by batch.

The verbs have the names of those for tables in memory, and give the same figures::

    from headtail import engines

    headtail.audit(recs, train, test)  # collects the tables first
    engines.audit(recs, train, test)  # does not

They are apart because they return less: of an audit only what is as long as the items, and lists as a lazy table.
"""

from headtail.engines.auditing import audit
from headtail.engines.listing import recommend, rerank
from headtail.engines.results import EngineAudit

__all__ = ["EngineAudit", "audit", "recommend", "rerank"]
