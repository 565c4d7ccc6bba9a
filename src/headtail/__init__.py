"""headtail measures, explains and corrects popularity bias in recommender systems.

Where to enter:

- a table of recommendations: :func:`audit`, :func:`compare`
- embeddings of users and items: :func:`spectrum`, :func:`shrink`, :func:`tilt`, :func:`penalize_popularity`
- a training loop of your own: :class:`ReSN`, a penalty to add to your loss
- interactions only: :func:`read_interactions` or :class:`Interactions`, the splits, :class:`MF`, :func:`fit`,
  :func:`recommend`

Nothing is imported before it is used, so that measuring needs no PyTorch.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
