"""Models and training runs on disk: folders of safetensors and JSON, each written whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import headtail._torch  # noqa: F401 - first, for its error

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from headtail import _files
from headtail._checks import checked
from headtail._checksums import FORMAT, check_settings, differences, read_json, write_json
from headtail._printable import kind_of
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, TrainingDivergedError, UnreadableFileError
from headtail.models import classes, from_config
from headtail.training.encoding import device_of


@checked
def save_model(model: nn.Module, folder: str | os.PathLike[str]) -> Path:
    """Write a model as a folder, ``model.safetensors`` and ``model.json`` (which model it is), and return its path.

    A folder that is there is replaced as a whole, or where that fails, left as it is.

    Raises
    ------
    UnreadableFileError
        If the folder cannot be written.
    InvalidInputError
        If more than its weights makes the model what it is, such as a hook or a pruning.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = save_model(ht.MF(n_users=4, n_items=6, embedding_dim=2, rng=0), f"{place}/mf")
    ...     print(load_model(folder).config)
    {'model': 'MF', 'n_users': 4, 'n_items': 6, 'embedding_dim': 2}
    """
    check_saved(model)
    with _files.atomic_folder(folder) as temporary:
        write_model(model, temporary)
    return Path(folder)


def check_saved(model: nn.Module, *hooks: Any) -> None:
    """Raise unless class, configuration and weights say all that a model computes, besides these hooks."""
    name, cure = type(model).__name__, "Save its state_dict with safetensors.torch.save_file instead."
    if classes().get(name) is not type(model):
        raise InvalidInputError(
            f"{name} is not a model of headtail ({', '.join(classes())}), so load_model could not make it again. {cure}"
        )
    for path, part in model.named_modules():
        foreign = path.rpartition(".")[2] in ("query", "item") and type(part) is not nn.Identity
        found = chain(part._forward_hooks.values(), part._forward_pre_hooks.values())
        if foreign or is_parametrized(part) or any(all(hook is not own for own in hooks) for hook in found):
            raise InvalidInputError(
                f"{f'{name}.{path}'.rstrip('.')} was changed by a hook, a parametrization or another layer, which "
                f"load_model could not make again. Remove it first. {cure}"
            )


def write_model(model: nn.Module, folder: Path) -> None:
    """Write weights and configuration into a folder that is there, with checksums of all that it holds by then."""
    write_tensors(model.state_dict(), folder / "model.safetensors")
    write_json({"format": FORMAT, "config": config_of(model)}, folder / "model.json", folder.iterdir())


@checked
def load_model(folder: str | os.PathLike[str], *, device: str | torch.device | None = None) -> nn.Module:
    """Read a model that :func:`save_model` wrote, or the last state of a training run, in evaluation mode.

    Nothing but numbers and names is read: the class is looked up among headtail's own, weights are safetensors. They
    are put on `device`, the CPU without it.

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
    if not isinstance(config, dict) or not isinstance(config.get("model"), str):
        raise UnreadableFileError(f"{folder / 'model.json'} does not say which model it is. Save the model again.")
    weights = read_tensors(folder / "model.safetensors")
    stored = sum(tensor.numel() for tensor in weights.values())
    if any(isinstance(size, int) and size > stored for size in config.values()):  # before a model is made as large
        raise CheckpointMismatchError(f"{folder / 'model.json'} fits no weights of {stored:,} numbers: {config}.")
    try:
        model = from_config(config)
    except InvalidInputError as error:
        raise CheckpointMismatchError(f"{folder / 'model.json'} fits no model. {error}") from None
    load_weights(model, weights, folder)
    model.eval()
    return model if device is None else model.to(device_of(model, device))


def config_of(model: nn.Module) -> dict[str, Any]:
    """Return what identifies a model: its ``config``, or for a stranger's its class and the shapes of its weights."""
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise InvalidInputError(
                f"{name} in the state of {type(model).__name__} is {kind_of(value)}; make it a tensor, or leave it "
                f"out of the state."
            )
    config = getattr(model, "config", None)
    if isinstance(config, dict):
        return dict(config)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return {"model": type(model).__name__, **shapes}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: Path) -> None:
    """Put weights into a model, or say which of them do not fit."""
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    if differing := differences(given, own, "in the file", "in the model"):
        raise CheckpointMismatchError(f"{source} holds the weights of another model. {differing}.")
    model.load_state_dict(dict(weights))


# -- a training run: one folder for the latest saved epoch, named epoch-00012 ------------------------------------------


@contextlib.contextmanager
def opened(checkpoint: str | os.PathLike[str] | None, *, writes: bool = True) -> Iterator[Path | None]:
    """Yield the folder of a run, locked against other processes; an error inside says what is kept there."""
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
    """Add a note to Ctrl-C, unless it has one, on what is kept of a run and how to resume it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if not hasattr(stop, "__notes__"):
            epochs = [] if folder is None else saved_epochs(folder)
            if epochs:
                done = f"Epoch {int(epochs[-1].name.partition('-')[2])} is kept in {folder}"
                stop.add_note(f"{done}; run the same again to resume from there.")
            elif folder is None:
                stop.add_note("Nothing is kept; with a folder for checkpoint=, a run that is stopped can be resumed.")
            else:
                stop.add_note("Nothing is kept, for no epoch was saved yet.")
        raise


@dataclass
class Run:
    """A training run: what changes from epoch to epoch, and the `settings` that must be the same for it to resume.

    `buffers` are further tensors that are updated in place. `best` are the weights of the best value of what is
    watched, `stale` evaluations ago.
    """

    model: nn.Module
    random: np.random.Generator
    device: torch.device
    settings: dict[str, Any]
    optimizer: torch.optim.Optimizer | None = None
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    epoch: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best_value: float | None = None
    best_epoch: int | None = None
    stale: int = 0
    best: dict[str, Tensor] | None = None

    def judge(self, epoch: int, value: float, *, higher: bool) -> None:
        """Keep the model's weights if `value` is better than all before."""
        if self.best_value is None or (value > self.best_value if higher else value < self.best_value):
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            self.best_value, self.best_epoch, self.stale = value, epoch, 0
        else:
            self.stale += 1

    def save(self, folder: Path) -> None:
        """Write the state after an epoch, then remove earlier ones; at every moment one whole state is there."""
        earlier, target = saved_epochs(folder), folder / f"epoch-{self.epoch:05d}"
        moments = {} if self.optimizer is None else self.optimizer.state_dict()["state"]
        flat = {f"{index}.{name}": value for index, values in moments.items() for name, value in values.items()}
        state = {name: getattr(self, name) for name in _STATE}
        with _files.atomic_folder(target) as temporary:
            write_model(self.model, temporary)
            if self.best is not None:
                write_tensors(self.best, temporary / "best.safetensors")
            write_tensors({**flat, **_random_state(self.device), **self.buffers}, temporary / "optimizer.safetensors")
            # The weights have their checksum in model.json.
            others = [file for file in temporary.iterdir() if file.name != "model.safetensors"]
            state |= {"rng": self.random.bit_generator.state, "settings": self.settings}
            write_json({"format": FORMAT, **state}, temporary / "state.json", others)
        for old in earlier:
            if old != target:
                shutil.rmtree(old)

    def restore(self, folder: Path) -> None:
        """Put what :meth:`save` wrote back, if it is of a run of the same settings."""
        state = read_json(folder / "state.json")
        read_json(folder / "model.json")
        try:
            check_settings(state["settings"], self.settings, folder)
            for name in _STATE:
                setattr(self, name, state[name])
            rng_state = state["rng"]
        except KeyError as error:
            raise UnreadableFileError(
                f"{folder / 'state.json'} lacks {error}. Delete the folder and train again."
            ) from None
        weights, tensors = (read_tensors(folder / f"{name}.safetensors") for name in ("model", "optimizer"))
        if self.best_epoch is not None:
            best = read_tensors(folder / "best.safetensors")
            self.best = {name: value.to(self.device) for name, value in best.items()}
        load_weights(self.model, weights, folder)
        if self.optimizer is not None:
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                index, _, name = key.partition(".")
                if index.isdecimal():
                    moments.setdefault(int(index), {})[name] = value
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.random.bit_generator.state = rng_state
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
        for name, tensor in self.buffers.items():
            tensor.copy_(tensors[name])


_STATE = ("epoch", "rows", "best_value", "best_epoch", "stale")


def saved_epochs(folder: Path) -> list[Path]:
    """Return the saved epochs of a run, oldest first."""
    return sorted(folder.glob("epoch-*"))


def _random_state(device: torch.device) -> dict[str, Tensor]:
    states = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["random.cuda"] = torch.cuda.get_rng_state(device)
    return states


# -- files -------------------------------------------------------------------------------------------------------------


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, those that share memory one by one."""
    written, memory = dict[str, Tensor](), set[int]()
    for name, value in tensors.items():
        value = value.detach().cpu().contiguous()
        place = value.untyped_storage().data_ptr()
        written[name] = value.clone() if place in memory else value
        memory.add(place)
    save_file(written, path)


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
