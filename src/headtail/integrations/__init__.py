"""Two lines for a library: its data and vectors with their ids out, corrected vectors or lists back in.

One module a library, imported by name: :mod:`~headtail.integrations.implicit`, :mod:`~headtail.integrations.rectools`,
:mod:`~headtail.integrations.lenskit`, :mod:`~headtail.integrations.recbole`, :mod:`~headtail.integrations.pytorch`.
They ask the objects that they are given and import no library for it. What gives a table or a matrix needs no module:
:meth:`headtail.Interactions.from_matrix` and the ``from_frame``, ``from_arrays`` and ``from_scores`` of
:class:`headtail.Recommendations` read those. What is no object of the kind that is asked for, or has others in number
than there are ids, is an :class:`~headtail.exceptions.InvalidInputError`.
"""

__all__: list[str] = []
