"""RecBole: checkpoints read without executing code, models and data sets with their tokens as ids.

Its ``.inter`` files are read by :func:`headtail.read_interactions`.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from headtail._checks import checked
from headtail._factors import to_numpy
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError, UnreadableFileError
from headtail.integrations._asking import ask
from headtail.typing import Array, Vectors

if TYPE_CHECKING:
    import torch

_DATASET = "a RecBole dataset, such as train_data.dataset"
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}


class _Shell:
    """An inert stand-in for any object that is not a tensor."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def _ignore(self, *args: Any, **kwargs: Any) -> "_Shell":
        return self

    __call__ = __setitem__ = append = extend = _ignore

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Tensors(pickle.Unpickler):
    """Resolves the functions that rebuild tensors, and shells for all else."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if (module, name) in _ALLOWED else _Shell


def _content(path: Path) -> Any:
    import headtail._torch  # noqa: F401 - first, for its error

    import torch

    safe = SimpleNamespace(Unpickler=_Tensors, load=lambda *args, **kwargs: _Shell(), __name__="tensors only")
    try:
        return torch.load(path, map_location="cpu", pickle_module=safe, weights_only=False)
    except Exception as error:  # whatever a file that is none makes of the unpickler
        raise UnreadableFileError(f"Cannot read {path} as a checkpoint of RecBole: {error}") from None


@checked
def read_weights(path: str | Path) -> "dict[str, torch.Tensor]":
    """Return the state dict of a checkpoint (``.pth``) without executing code.

    Checkpoints pickle the configuration beside the weights, so that ``torch.load(weights_only=True)`` refuses them, and
    plain unpickling could run any code. Here only tensors are rebuilt; every other object becomes an empty shell.

    Raises
    ------
    UnreadableFileError
        If the file is no checkpoint, or holds no state dict of tensors.
    """
    return _weights(Path(path), _content(Path(path)))


def _weights(path: Path, content: Any) -> "dict[str, torch.Tensor]":
    weights = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(hasattr(value, "detach") for value in weights.values()):
        raise UnreadableFileError(f"{path} holds no state dict of tensors; is it a checkpoint of RecBole?")
    return weights


@checked
def interactions(dataset: Any) -> Interactions:
    """Return the interactions of a data set with its tokens as ids, without the padding."""
    matrix = ask(dataset, "inter_matrix", _DATASET)(form="csr")
    users, items = _tokens(dataset)
    return Interactions.from_matrix(matrix[1:, 1:], user_ids=users, item_ids=items, what="dataset")


def _tokens(dataset: Any) -> tuple[Array, Array]:
    """Return the tokens of users and items without the padding."""
    fields = (ask(dataset, name, _DATASET) for name in ("uid_field", "iid_field"))
    users, items = (np.asarray(dataset.field2id_token[field][1:], dtype=object) for field in fields)
    return users, items


@checked
def vectors(model: Any, dataset: Any) -> Vectors:
    """Return the vectors of a model with the tokens of its data set as ids, without the padding.

    Parameters
    ----------
    model : RecBole model, state dict, or path of a checkpoint
        Matrix factorization (``BPR``), or a model whose ``forward()`` returns all vectors (``LightGCN``, ``NGCF``). A
        checkpoint or state dict must be of matrix factorization, since its embeddings are taken.
    dataset : RecBole dataset

    Raises
    ------
    UnreadableFileError
        If the path is not that of a checkpoint.
    """
    if isinstance(model, str | Path):
        content = _content(Path(model))
        model, name = _weights(Path(model), content), _name_of(content)
        if name not in ("", "BPR"):
            raise InvalidInputError(
                f"The checkpoint is of {name}, whose vectors are not its embeddings. Load it in RecBole and give the "
                f"model."
            )
    users, items = _tokens(dataset)
    if isinstance(model, Mapping):
        pair = [model.get(f"{side}_embedding.weight") for side in ("user", "item")]
    else:
        pair = list(_made(model))
    if any(matrix is None for matrix in pair):
        raise InvalidInputError(
            f"{type(model).__name__} has no embeddings of users and items. Give a model such as BPR."
        )
    queries, of_items = (to_numpy(matrix) for matrix in pair)
    queries, of_items = (
        matrix[1:] if len(matrix) == len(ids) + 1 else matrix  # row 0 is padding
        for matrix, ids in ((queries, users), (of_items, items))
    )
    return Vectors(queries, of_items, users, items)


def _name_of(content: Any) -> str:
    """Return the model's name from a checkpoint's configuration, or an empty text."""
    state = getattr(content.get("config"), "state", None)
    settings = state.get("final_config_dict", state) if isinstance(state, Mapping) else {}
    name = settings.get("model", "") if isinstance(settings, Mapping) else ""
    return name if isinstance(name, str) else ""


def _made(model: Any) -> tuple[Any, Any]:
    """Return the embeddings of all users and items of a model."""
    try:
        queries, items = model()  # graphs
    except (TypeError, ValueError):
        user, item = (getattr(model, f"{side}_embedding", None) for side in ("user", "item"))
        return getattr(user, "weight", None), getattr(item, "weight", None)
    return queries, items
