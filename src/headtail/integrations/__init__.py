"""Adapters for other libraries: their data and vectors with ids out, corrected vectors or lists back in.

One module a library, imported by name: :mod:`~headtail.integrations.implicit`, :mod:`~headtail.integrations.rectools`,
:mod:`~headtail.integrations.lenskit`, :mod:`~headtail.integrations.recbole`, :mod:`~headtail.integrations.pytorch`.
They read the objects they are given and import no library for it. Tables and matrices need no adapter:
:meth:`headtail.Interactions.from_matrix` and the ``from_frame``, ``from_arrays`` and ``from_scores`` of
:class:`headtail.Recommendations` read them. Objects of another kind, or with another number of rows than ids, raise
:class:`~headtail.exceptions.InvalidInputError`.
"""

__all__: list[str] = []
