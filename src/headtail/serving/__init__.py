"""Corrected recommenders on their way to users: what an index keeps of a correction, and ways to serve a bias.

An approximate index returns most of the best items, and misses more of those that a correction brings up. :func:`check`
says how much of the correction is left; :func:`retrieve` and :func:`headtail.rerank.add_bias` serve it from candidates
of the plain vectors, of which :func:`fewest_candidates` finds how many it takes; :func:`item_bias` writes it for vector
databases.
"""

from headtail.serving.checking import ServingCheck, check, fewest_candidates
from headtail.serving.exporting import BiasTable, item_bias
from headtail.serving.retrieving import retrieve

__all__ = ["BiasTable", "ServingCheck", "check", "fewest_candidates", "item_bias", "retrieve"]
