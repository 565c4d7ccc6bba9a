"""Interactions, recommendations, popularity groups and splits: the nouns that the other floors speak about."""

from headtail.data.interactions import Interactions
from headtail.data.recommendations import Recommendations

__all__ = ["Interactions", "Recommendations"]
