"""implicit: factors out, corrected factors back in.

Its ``model.recommend`` arrays are read by :meth:`headtail.Recommendations.from_arrays`, its matrix by
:meth:`headtail.Interactions.from_matrix`.
"""

import copy
from typing import Any

import numpy as np

from headtail import _frames
from headtail._checks import checked, shown
from headtail._factors import as_pair, to_numpy
from headtail._printable import counted
from headtail.exceptions import InvalidInputError
from headtail.integrations._asking import ask, matrix_of
from headtail.typing import Vectors

_FITTED = "a fitted model of implicit that has factors (ALS, BPR, LMF)"
# What models keep of their factors, and make again where it is None.
_CACHES = ("_user_norms", "_item_norms", "_user_norms_host", "_item_norms_host", "_XtX", "_YtY")


@checked
def vectors(model: Any, user_ids: Any = None, item_ids: Any = None) -> Vectors:
    """Return the factors of a CPU or GPU model, with the ids of the rows and columns it was trained on.

    Parameters
    ----------
    model : implicit model with factors
    user_ids, item_ids : sequences of ids, optional
        Ids of the rows and columns of its matrix. Without them the vectors have no ids, see
        :class:`headtail.Vectors`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> fitted = SimpleNamespace(user_factors=np.eye(2), item_factors=np.eye(2))  # as AlternatingLeastSquares has them
    >>> vectors(fitted, item_ids=[70, 80]).item_ids
    [70, 80]
    """
    queries, items = (matrix_of(model, name, _FITTED) for name in ("user_factors", "item_factors"))
    return Vectors(queries, items, user_ids, item_ids)


@checked
def corrected(model: Any, vectors: Vectors, user_ids: Any = None, item_ids: Any = None) -> Any:
    """Return a copy of a model that recommends by other vectors.

    Parameters
    ----------
    model : implicit model with factors
    vectors : Vectors
        Where they have ids, they are joined by them; without, they are in the order of the model's rows.
    user_ids, item_ids : sequences of ids, optional
        Ids of the rows and columns that the model was trained on, as for :func:`vectors`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> fitted = SimpleNamespace(user_factors=np.eye(2), item_factors=np.eye(2))
    >>> corrected(fitted, Vectors(np.eye(2), 2 * np.eye(2))).item_factors.max().item()
    2.0
    """
    pair, there = as_pair(vectors), {}
    for name, matrix, ids, rows in (
        ("user_factors", pair.queries, pair.user_ids, user_ids),
        ("item_factors", pair.items, pair.item_ids, item_ids),
    ):
        own = ask(model, name, _FITTED)
        if ids is not None:
            matrix = matrix[_places(name, ids, rows, len(own))]
        if len(own) != len(matrix):
            raise InvalidInputError(
                f"{name} has {counted(len(own), 'row')} and the vectors {len(matrix)}; give vectors of the same users "
                f"and items, in the order of the model's."
            )
        matrix = np.ascontiguousarray(to_numpy(matrix), dtype=np.float32)
        there[name] = matrix if isinstance(own, np.ndarray) else type(own)(matrix)
    made = copy.copy(model)
    stale = dict.fromkeys(name for name in _CACHES if hasattr(model, name))
    for name, matrix in (there | stale).items():
        setattr(made, name, matrix)
    return made


def _places(name: str, ids: Any, rows: Any, n: int) -> Any:
    """Return where the vectors of a model's rows are."""
    role = name.replace("factors", "id")
    if rows is None:
        raise InvalidInputError(
            f"The vectors have {role}s. Give those of the model's {name}, in their order: {role}s=..."
        )
    wanted = _frames.unique_ids(rows, role, n)
    places = _frames.lookup(wanted, _frames.unique_ids(ids, role), role)
    if (places < 0).any():
        raise InvalidInputError(
            f"The vectors lack {(places < 0).sum():,} of the model's {n:,} {role}s, such as "
            f"{shown(wanted[places < 0])}. Train the model on what the vectors are of."
        )
    return places
