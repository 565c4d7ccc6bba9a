"""Steered models on disk: the model, the autoencoder and the edit, one folder."""

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from headtail import _files
from headtail._checks import checked
from headtail._sealed import FORMAT, read_json, write_json
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, UnreadableFileError
from headtail.sae.controls import Direction
from headtail.sae.steered import Steered
from headtail.sae.steering import Steering
from headtail.sae.storage import load_sae, save_sae
from headtail.sae.taste import Excess
from headtail.training import load_model, save_model
from headtail.training.checkpoints import read_tensors, write_tensors


@checked
def save_steered(steered: Steered, folder: str | os.PathLike[str]) -> Path:
    """Write a steered model of headtail as a folder.

    It holds ``model/`` (see :func:`headtail.save_model`), ``sae/`` (see :func:`~headtail.sae.save_sae`; of neurons),
    ``steering.safetensors`` (the edit) and ``steering.json`` (where it is made).

    Parameters
    ----------
    steered : Steered
        Made by :func:`~headtail.sae.steer`, :func:`~headtail.sae.spree` or :func:`~headtail.sae.steer_direction` of one
        of :mod:`headtail.models`, or of such a steered model.
    folder : path
        Written and returned as by :func:`headtail.save_model`.

    Raises
    ------
    InvalidInputError
        If the model is not one of headtail, or is edited by something of one's own.

    Examples
    --------
    >>> import tempfile
    >>> from headtail.models import MF
    >>> from headtail.sae import TopKSAE
    >>> steered = Steered(MF(5, 6, 4, rng=0), Steering(TopKSAE(d_in=4, expansion=2, k=3, rng=0)))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     load_steered(save_steered(steered, f"{place}/steered")).n_items
    6
    """
    with _files.atomic_folder(folder) as temporary:
        write_steered(steered, temporary)
    return Path(folder)


def write_steered(steered: Steered, folder: Path) -> None:
    """Write a steered model into a folder that is there, with checksums of all that it holds by then."""
    edit = steered.edit
    if not isinstance(edit, (Steering, Direction)) or not isinstance(edit.per_user, (Excess, type(None))):
        raise InvalidInputError(
            f"the model is edited by a {type(edit).__name__} that could not be made again; only what steer(), spree() "
            f"and steer_direction() make can be saved."
        )
    tensors: dict[str, Tensor] = dict(edit.named_buffers(recurse=False))
    if edit.per_user is not None:
        tensors |= {f"per_user.{name}": value for name, value in edit.per_user.named_buffers()}
    settings: dict[str, Any] = {"layer": steered.layer, "output": steered.output}
    if isinstance(edit, Steering):
        settings["keep_error"] = edit.keep_error
        save_sae(edit.sae, folder / "sae")
    else:
        settings |= {"mode": edit.mode, "level": edit.level}
    if isinstance(steered.model, Steered):
        save_steered(steered.model, folder / "model")
    else:
        save_model(steered.model, folder / "model")
    write_tensors(tensors, folder / "steering.safetensors")
    write_json({"format": FORMAT, **settings}, folder / "steering.json", folder.rglob("*"))


@checked
def load_steered(folder: str | os.PathLike[str]) -> Steered:
    """Read a steered model that :func:`save_steered` wrote.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Steered
        In evaluation mode, on the CPU.

    Raises
    ------
    CheckpointMismatchError
        If the parts do not fit each other.
    """
    folder = _files.to_path(folder)
    settings = read_json(folder / "steering.json")
    tensors = read_tensors(folder / "steering.safetensors")
    inner = folder / "model"
    model = load_steered(inner) if (inner / "steering.json").exists() else load_model(inner)
    try:
        per_user = None
        if "per_user.weight" in tensors:
            low, high = tensors["per_user.bounds"].tolist()
            per_user = Excess(tensors["per_user.weight"], float(tensors["per_user.bias"]), low=low, high=high)
        edit: Steering | Direction
        if "mode" in settings:
            options = {"strength": float(tensors["strength"]), "mode": settings["mode"], "level": settings["level"]}
            edit = Direction(tensors["direction"], per_user=per_user, **options)
        else:
            parts = {name: tensors.get(name) for name in ("shift", "scale", "gate")}
            sae, keep_error = load_sae(folder / "sae"), settings["keep_error"]
            edit = Steering(sae, **parts, per_user=per_user, keep_error=keep_error)
        return Steered(model, edit, settings["layer"], output=settings["output"]).eval()
    except KeyError as error:
        raise UnreadableFileError(f"{folder} is not complete: {error}. Save the model again.") from None
    except InvalidInputError as error:
        raise CheckpointMismatchError(f"{folder} holds parts of different models: {error}") from None
