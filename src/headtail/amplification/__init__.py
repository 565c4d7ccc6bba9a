"""How recommenders amplify the popularity in their data: by low dimension, in training, and over users' own histories.

- :func:`by_dimension` trains a model at several embedding dimensions: the fewer, the more of the scores is popularity.
- :class:`SpectrumRecorder` watches the singular values while a model trains, :func:`in_training` shows them.
- :func:`over_history` sets recommendations beside what the same users chose themselves.
"""

from headtail.amplification.dimensions import AmplificationByDimension, by_dimension
from headtail.amplification.epochs import AmplificationInTraining, SpectrumRecorder, in_training
from headtail.amplification.histories import AmplificationOverHistory, over_history

__all__ = [
    "AmplificationByDimension", "AmplificationInTraining", "AmplificationOverHistory", "SpectrumRecorder",
    "by_dimension", "in_training", "over_history",
]  # fmt: skip
