"""Serving corrected recommenders: how much of a correction an index keeps, and ways to serve a bias.

An approximate index misses some of the best items, and more of those that a correction brings up. :func:`check` says
how much of the correction is kept; :func:`retrieve` and :func:`headtail.rerank.add_bias` serve it from candidates of
the plain vectors, and :func:`fewest_candidates` finds how many that takes; :func:`item_bias` exports it to databases.
"""

from headtail.serving.checking import ServingCheck, check, fewest_candidates
from headtail.serving.exporting import BiasTable, item_bias
from headtail.serving.retrieving import retrieve

__all__ = ["BiasTable", "ServingCheck", "check", "fewest_candidates", "item_bias", "retrieve"]
