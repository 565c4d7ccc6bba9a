"""Plain PyTorch: towers, embeddings and vectors as a model.

A model that scores sequences needs no more than ``headtail.vectors``, a matrix of scores
:meth:`headtail.Recommendations.from_scores`.
"""

from collections.abc import Iterable
from typing import Any

import headtail._torch  # noqa: F401 - first, for its error

import torch
from torch import Tensor, nn

from headtail._checks import checked, integer
from headtail._printable import kind_of
from headtail._tensors import as_tensor, evaluating
from headtail.exceptions import InvalidInputError
from headtail.training.encoding import as_model, device_of
from headtail.typing import Vectors

__all__ = ["as_model", "vectors"]


@checked
def vectors(
    users: Any,
    items: Any,
    *,
    user_inputs: Any = None,
    item_inputs: Any = None,
    user_ids: Any = None,
    item_ids: Any = None,
    batch_size: int = 4096,
) -> Vectors:
    """Return the vectors of two towers, run over their inputs in batches without gradients.

    Parameters
    ----------
    users, items : nn.Embedding, nn.Module or matrix
        The towers. An embedding without inputs gives its weights.
    user_inputs, item_inputs : tensor, or tuple of tensors, optional
        Arguments of a tower, with one row per user or item.
    user_ids, item_ids : sequences of ids, optional
        Ids of the rows.
    batch_size : int, default 4096

    Examples
    --------
    >>> users, items = nn.Embedding(3, 4), nn.Linear(2, 4)
    >>> found = vectors(users, items, item_inputs=torch.ones(5, 2), item_ids=[10, 20, 30, 40, 50])
    >>> found.queries.shape, found.items.shape
    (torch.Size([3, 4]), torch.Size([5, 4]))
    """
    size = integer("batch_size", batch_size, low=1)
    queries = _encoded("users", users, user_inputs, size)
    return Vectors(queries, _encoded("items", items, item_inputs, size), user_ids, item_ids)


def _encoded(name: str, tower: Any, inputs: Any, size: int) -> Tensor:
    if inputs is None:
        weight = tower.weight if isinstance(tower, nn.Embedding) else tower
        if isinstance(weight, nn.Module):
            raise InvalidInputError(
                f"{name} is {kind_of(tower)}; give {name[:-1]}_inputs, what it encodes, such as "
                f"torch.arange(n_{name}) where it takes the numbers of embeddings."
            )
        return as_tensor(name, weight).detach().clone()
    if not callable(tower):
        raise InvalidInputError(f"{name} is {kind_of(tower)}, which encodes no inputs. Give a module.")
    parts: Iterable[Any] = inputs if isinstance(inputs, tuple | list) else (inputs,)
    try:
        given = [part if isinstance(part, Tensor) else torch.as_tensor(part, device="cpu") for part in parts]
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{name[:-1]}_inputs is no tensor: {error}. Give one, or a tuple of them.") from None
    if not given or any(part.ndim == 0 or len(part) != len(given[0]) or not len(part) for part in given):
        raise InvalidInputError(
            f"{name[:-1]}_inputs has no row, or not as many in each part. Give one for each vector."
        )
    with evaluating(tower), torch.no_grad():
        batches = zip(*(torch.split(part, size) for part in given), strict=True)
        device = device_of(tower, None)
        try:
            made = [tower(*(part.to(device) for part in batch)) for batch in batches]
        except IndexError as error:
            raise InvalidInputError(
                f"the tower of {name} has no row for one of its inputs: {error}. Give those that it was trained on."
            ) from error
        found = torch.cat([as_tensor(name, part) for part in made])
    if found.ndim != 2 or len(found) != len(given[0]):
        raise InvalidInputError(
            f"{name} made a tensor of shape {tuple(found.shape)} of {len(given[0])} inputs; let it make a row of each."
        )
    return found.detach()
