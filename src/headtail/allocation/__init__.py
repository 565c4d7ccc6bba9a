"""Allocation: exposure is spread over the items where that costs the least expected relevance.

A score says little about what a user loses with another item: the same difference means one thing at the top of one
user's list and another at the end of another's. So scores are calibrated first, into the probability that an item is
what the user wants (:func:`calibrate`). The slots of all lists are then given to the items as a welfare of their
exposure asks, each where its probability makes it cheapest (:func:`allocation_bias`, :func:`allocate`).
"""

from headtail.allocation.allocating import allocate, allocation_bias, ndcg_worth
from headtail.allocation.calibration import Relevance, calibrate, cross_fitted, load_relevance, save_relevance

__all__ = [
    "Relevance", "allocate", "allocation_bias", "calibrate", "cross_fitted", "load_relevance", "ndcg_worth",
    "save_relevance",
]  # fmt: skip
