"""Dials: every correction under one name, with its strengths and with what it makes of a recommender at each.

:data:`DIALS` are the corrections, :data:`CONTROLS` what the neuron dials are compared with; :func:`dial` finds one by
its name. One of your own is a name, a function and a grid::

    mine = Dial("my boost", lambda subject, strength, seed: boosted(*subject.vectors(seed), strength), (0, 0.1, 0.3))

:data:`REFERENCES` are recommenders without a recommender, as dials of the one setting 0.
"""

from headtail.dials.built_in import CONTROLS, DIALS, REFERENCES, as_dial, dial, is_built_in, more_of
from headtail.dials.dial import Dial

__all__ = ["CONTROLS", "DIALS", "REFERENCES", "Dial", "as_dial", "dial", "is_built_in", "more_of"]
