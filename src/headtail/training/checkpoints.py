"""Models and training runs on disk: folders of safetensors and JSON, each written whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import headtail._torch  # noqa: F401 - first, for its error

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from headtail import _files
from headtail._checks import checked
from headtail._sealed import FORMAT, check_settings, read_json, write_json
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, TrainingDivergedError, UnreadableFileError
from headtail.models import classes, from_config
from headtail.training.encoding import device_of


@checked
def save_model(model: nn.Module, folder: str | os.PathLike[str]) -> Path:
    """Write a model of headtail as a folder: ``model.safetensors`` (weights) and ``model.json`` (which model it is).

    Parameters
    ----------
    model : torch.nn.Module
        One of :mod:`headtail.models`.
    folder : path
        Where to write; a folder that is there is replaced as a whole, or where that fails, left as it is.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    InvalidInputError
        If the model is not of a class of :mod:`headtail.models`, so that it could not be loaded again.
    UnreadableFileError
        If the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from headtail.models import MF
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = save_model(MF(n_users=4, n_items=6, embedding_dim=2, rng=0), f"{place}/mf")
    ...     print(load_model(folder).config)
    {'model': 'MF', 'n_users': 4, 'n_items': 6, 'embedding_dim': 2}
    """
    name = type(model).__name__
    if classes().get(name) is not type(model):
        raise InvalidInputError(
            f"{name} is not a model of headtail ({', '.join(classes())}), so load_model could not make it again. "
            f"Save its state_dict with safetensors.torch.save_file instead."
        )
    with _files.atomic_folder(folder) as temporary:
        write_model(model, temporary)
    return Path(folder)


def write_model(model: nn.Module, folder: Path) -> None:
    """Write weights and configuration into a folder that is there, with checksums of all that it holds by then."""
    write_tensors(model.state_dict(), folder / "model.safetensors")
    write_json({"format": FORMAT, "config": config_of(model)}, folder / "model.json", folder.iterdir())


@checked
def load_model(folder: str | os.PathLike[str], *, device: str | torch.device | None = None) -> nn.Module:
    """Read a model that :func:`save_model` wrote, or the last state of a training run's checkpoint.

    Nothing but numbers and names is read: the class is looked up among headtail's own, weights are safetensors.

    Parameters
    ----------
    folder : path
        The folder.
    device : str or torch.device, optional
        Where to put the weights; the CPU without it.

    Returns
    -------
    torch.nn.Module
        In evaluation mode.

    Raises
    ------
    UnreadableFileError
        If a file is missing, truncated or not what it should be.
    CheckpointMismatchError
        If it names a class that headtail does not have, or the weights do not fit the configuration.
    """
    folder = _files.to_path(folder)
    if not (folder / "model.json").exists():
        epochs = saved_epochs(folder)
        folder = epochs[-1] if epochs else folder
    config = read_json(folder / "model.json").get("config")
    if not isinstance(config, dict) or "model" not in config:
        raise UnreadableFileError(f"{folder / 'model.json'} does not say which model it is. Save the model again.")
    try:
        model = from_config(config)
    except InvalidInputError as error:
        raise CheckpointMismatchError(f"{folder / 'model.json'} fits no model. {error}") from None
    load_weights(model, read_tensors(folder / "model.safetensors"), folder)
    model.eval()
    return model if device is None else model.to(device_of(model, device))


def config_of(model: nn.Module) -> dict[str, Any]:
    """Return what identifies a model: its ``config``, or for a stranger's its class and the shapes of its weights."""
    config = getattr(model, "config", None)
    if isinstance(config, dict):
        return dict(config)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return {"model": type(model).__name__, **shapes}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    """Put weights into a model, or say which of them do not fit."""
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    if own != given:
        differing = [
            f"{name}: {given.get(name, 'absent')} in the file, {own.get(name, 'absent')} in the model"
            for name in sorted(own.keys() | given.keys())
            if own.get(name) != given.get(name)
        ]
        raise CheckpointMismatchError(f"{source} holds the weights of another model. {'; '.join(differing)}.")
    model.load_state_dict(dict(weights))


# -- a training run: one folder for the latest saved epoch, named epoch-00012 ------------------------------------------


@contextlib.contextmanager
def opened(checkpoint: str | os.PathLike[str] | None, *, writes: bool = True) -> Iterator[Path | None]:
    """Yield the folder of a run, which no other process may write meanwhile; what stops it tells what is kept there."""
    folder = None if checkpoint is None else Path(checkpoint)
    written = folder if writes else None
    with contextlib.nullcontext() if written is None else _files.writing(written), kept(folder):
        if written is not None:
            for leftover in written.glob(".epoch-*.tmp"):  # of a run that was killed
                shutil.rmtree(leftover, ignore_errors=True)
        try:
            yield folder
        except TrainingDivergedError as error:
            kept_there = "" if folder is None else f" The last checkpoint in {folder} is kept."
            raise TrainingDivergedError(f"{error}{kept_there}") from None


@contextlib.contextmanager
def kept(folder: Path | None) -> Iterator[None]:
    """Add to Ctrl-C, unless it says so already, what is kept of a run and how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if not hasattr(stop, "__notes__"):
            epochs = [] if folder is None else saved_epochs(folder)
            if epochs:
                done = f"Epoch {int(epochs[-1].name.partition('-')[2])} is kept in {folder}"
                stop.add_note(f"{done}; run the same again to go on from there.")
            elif folder is None:
                stop.add_note("Nothing is kept; with a folder for checkpoint=, a run that is stopped can go on.")
            else:
                stop.add_note("Nothing is kept, for no epoch was saved yet.")
        raise


@dataclass
class Run:
    """All that changes from epoch to epoch, beside the weights and the optimizer."""

    epoch: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best_value: float | None = None
    best_epoch: int | None = None
    stale: int = 0
    best: dict[str, Tensor] | None = None

    def judge(self, model: nn.Module, epoch: int, value: float, *, higher: bool) -> None:
        """Keep the model's weights if `value` is better than all before."""
        if self.best_value is None or (value > self.best_value if higher else value < self.best_value):
            self.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            self.best_value, self.best_epoch, self.stale = value, epoch, 0
        else:
            self.stale += 1

    def to_dict(self) -> dict[str, Any]:
        """Return what goes into JSON: everything but the best weights."""
        return {name: getattr(self, name) for name in _STATE}


_STATE = ("epoch", "rows", "best_value", "best_epoch", "stale")


def saved_epochs(folder: Path) -> list[Path]:
    """Return the saved epochs of a run, oldest first."""
    return sorted(folder.glob("epoch-*"))


def save_epoch(
    folder: Path,
    model: nn.Module,
    best: Mapping[str, Tensor] | None,
    optimizer: torch.optim.Optimizer | None,
    kept: Mapping[str, Tensor],
    state: Mapping[str, Any],
) -> None:
    """Write the state after an epoch, then remove earlier ones; at every moment one whole state is there."""
    earlier = saved_epochs(folder)
    target = folder / f"epoch-{state['epoch']:05d}"
    with _files.atomic_folder(target) as temporary:
        write_model(model, temporary)
        if best is not None:
            write_tensors(best, temporary / "best.safetensors")
        moments = {
            f"{index}.{name}": value
            for index, values in ({} if optimizer is None else optimizer.state_dict()["state"]).items()
            for name, value in values.items()
        }
        write_tensors({**moments, **kept}, temporary / "optimizer.safetensors")
        # The weights have their checksum in model.json.
        others = [file for file in temporary.iterdir() if file.name != "model.safetensors"]
        write_json({"format": FORMAT, **state}, temporary / "state.json", others)
    for old in earlier:
        if old != target:
            shutil.rmtree(old)


def restore_epoch(
    folder: Path,
    settings: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    random: np.random.Generator,
    device: torch.device,
) -> tuple[Run, dict[str, Tensor]]:
    """Put what :func:`save_epoch` wrote back; return the run, and the tensors saved beside the optimizer's."""
    state = read_json(folder / "state.json")
    read_json(folder / "model.json")
    try:
        check_settings(state["settings"], settings, folder)
        run = Run(**{name: state[name] for name in _STATE})
        rng_state = state["rng"]
    except KeyError as error:
        raise UnreadableFileError(
            f"{folder / 'state.json'} lacks {error}. Delete the folder and train again."
        ) from None
    weights = read_tensors(folder / "model.safetensors")
    tensors = read_tensors(folder / "optimizer.safetensors")
    if run.best_epoch is not None:
        run.best = {name: value.to(device) for name, value in read_tensors(folder / "best.safetensors").items()}
    load_weights(model, weights, folder)
    if optimizer is not None:
        restore_optimizer(optimizer, tensors)
    random.bit_generator.state = rng_state
    return run, tensors


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the moments that :func:`save_epoch` wrote back into a fresh optimizer of the same parameters."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        if index.isdecimal():
            moments.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


# -- files -------------------------------------------------------------------------------------------------------------


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors."""
    save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors, or say what is wrong with the file."""
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise UnreadableFileError(f"{path} does not exist. Check the folder's path.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UnreadableFileError(
            f"{path} cannot be read as safetensors ({error}); it may be truncated. Delete its folder and train again."
        ) from None
