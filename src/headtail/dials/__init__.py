"""Dials: every correction under one name, with a grid of strengths and the recommender it makes at each.

:data:`DIALS` are the corrections, :data:`CONTROLS` the controls of the neuron dials; :func:`dial` finds one by name.
One of your own is a name, a function and a grid::

    mine = Dial("my boost", lambda subject, strength, seed: boosted(*subject.vectors(seed), strength), (0, 0.1, 0.3))

:data:`REFERENCES` are the trivial baselines, as dials with the single setting 0.
"""

from headtail.dials.built_in import CONTROLS, DIALS, REFERENCES, as_dial, dial, is_built_in, more_of
from headtail.dials.dial import Dial

__all__ = ["CONTROLS", "DIALS", "REFERENCES", "Dial", "as_dial", "dial", "is_built_in", "more_of"]
