"""What a recommender's scores remember of popularity, read off their singular values.

The scores ``queries @ items.T`` are a sum of directions, each a singular value times a pattern over users times a
pattern over items. In most recommenders one direction outweighs all others, and its pattern over items is almost the
list of popularities (Lin et al. 2025, https://arxiv.org/abs/2404.12008). :func:`spectrum` measures this from the two
factors alone, :func:`data_spectrum` from the training data; :func:`memory_effect` sets several of them side by side.
Shapes that do not match, numbers that are not finite, and popularity that is negative or all 0 are an
:class:`~headtail.exceptions.InvalidInputError`.
"""

from headtail.spectral.bounds import MemoryBound, PowerLaw, fit_power_law, memory_bound, memory_bound_power_law
from headtail.spectral.decomposition import Spectrum, data_spectrum, spectrum
from headtail.spectral.memory import MemoryEffect, memory_effect
from headtail.spectral.top_item import top_item_bound

__all__ = [
    "MemoryBound", "MemoryEffect", "PowerLaw", "Spectrum", "data_spectrum", "fit_power_law", "memory_bound",
    "memory_bound_power_law", "memory_effect", "spectrum", "top_item_bound",
]  # fmt: skip
