"""Autoencoders, neurons and steered models on disk: a folder of safetensors and one sealed JSON each."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headtail import _files
from headtail._checks import checked
from headtail._checksums import FORMAT, identity_in_order, read_json, write_json
from headtail._printable import kind_of
from headtail.data import Interactions
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, UnreadableFileError
from headtail.sae.autoencoder import TopKSAE
from headtail.sae.contrasts import Contrast
from headtail.sae.controls import Direction
from headtail.sae.neurons import Neurons
from headtail.sae.steered import Steered
from headtail.sae.steering import Steering
from headtail.sae.table import Source
from headtail.sae.taste import Excess
from headtail.training import load_model
from headtail.training.checkpoints import check_saved, load_weights, read_tensors, write_model, write_tensors

# Those of EleutherAI's sparsify and its models on the Hugging Face Hub.
_KEYS = {"encoder": "encoder.weight", "encoder_bias": "encoder.bias", "decoder": "W_dec", "bias": "b_dec"}
_PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


@checked
def save_sae(sae: TopKSAE, folder: str | os.PathLike[str]) -> Path:
    """Write an autoencoder as a folder of ``sae.safetensors`` (weights) and ``cfg.json`` (sizes).

    The layout is that of EleutherAI's sparsify, whose ``SparseCoder.load_from_disk`` reads it; the folder can be put on
    the Hugging Face Hub as it is.

    Parameters
    ----------
    sae : TopKSAE
    folder : path
        Written and returned as by :func:`headtail.save_model`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = save_sae(TopKSAE(d_in=4, expansion=2, k=3, rng=0), f"{place}/sae")
    ...     print(sorted(path.name for path in folder.iterdir()), load_sae(folder))
    ['cfg.json', 'sae.safetensors'] TopKSAE(d_in=4, n_neurons=8, k=3)
    """
    config = {
        "activation": "topk",
        "expansion_factor": max(1, sae.n_neurons // sae.d_in),
        "normalize_decoder": True,
        "num_latents": sae.n_neurons,
        "k": sae.k,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": sae.d_in,
    }
    with _files.atomic_folder(folder) as temporary:
        write_tensors({_KEYS[name]: value for name, value in sae.state_dict().items()}, temporary / "sae.safetensors")
        write_json(config, temporary / "cfg.json", temporary.iterdir())
    return Path(folder)


@checked
def load_sae(folder: str | os.PathLike[str]) -> TopKSAE:
    """Read an autoencoder that :func:`save_sae` or EleutherAI's sparsify wrote: as float32, in evaluation mode.

    Parameters
    ----------
    folder : path
        Folder with ``cfg.json`` and ``sae.safetensors``. Fetch one from the Hugging Face Hub with
        ``huggingface_hub.snapshot_download`` and give the folder of one layer.

    Raises
    ------
    UnreadableFileError
        If a file is missing or not what it should be, or there is a pickled checkpoint instead, which could run any
        code when it is read.
    CheckpointMismatchError
        If it is of another kind than TopK on one vector, or the weights do not fit the sizes.
    """
    folder = _files.to_path(folder)
    pickled = [folder] if folder.is_file() else sorted(folder.glob("*"))
    pickled = [path for path in pickled if path.suffix in _PICKLED]
    if pickled and not (folder / "sae.safetensors").exists():
        raise UnreadableFileError(
            f"{pickled[0]} is a pickled checkpoint, which can run any code when it is read; headtail reads "
            f"safetensors. Convert it where it was made, with safetensors.torch.save_file."
        )
    path = folder / "cfg.json"
    config = read_json(path, foreign=True)
    try:
        d_in, k = config["d_in"], config["k"]
        n_neurons = config.get("num_latents") or d_in * config["expansion_factor"]
    except (KeyError, TypeError) as error:
        raise UnreadableFileError(f"{path} does not describe an autoencoder ({error!r}). Save it again.") from None
    kinds = {"activation": "topk", "skip_connection": False, "transcode": False}
    other = [f"{name}={config[name]!r}" for name, plain in kinds.items() if config.get(name, plain) != plain]
    if other:
        raise CheckpointMismatchError(
            f"{path} describes another kind of autoencoder ({', '.join(other)}); give a TopK one of one vector."
        )
    names = {key: name for name, key in _KEYS.items()}
    weights = read_tensors(folder / "sae.safetensors")
    shape = tuple(weights["encoder.weight"].shape) if "encoder.weight" in weights else None
    if shape != (n_neurons, d_in):  # before any memory is taken for sizes that may be far off
        raise CheckpointMismatchError(
            f"{path} has sizes {(n_neurons, d_in)}, and the encoder beside it {shape}. Save it again."
        )
    try:
        sae = TopKSAE(d_in, k=k, n_neurons=n_neurons, rng=0)
    except InvalidInputError as error:
        raise CheckpointMismatchError(f"{path} has sizes that cannot be: {error}") from None
    load_weights(sae, {names.get(key, key): value.float() for key, value in weights.items()}, folder)
    sae.eval()
    return sae


@checked
def save_neurons(neurons: Neurons, folder: str | os.PathLike[str]) -> Path:
    """Write neurons as a folder, so that they can be shown and steered by another process.

    It holds ``autoencoder/`` (see :func:`~headtail.sae.save_sae`), ``neurons.safetensors`` (the table and the vectors
    of its contrast) and ``neurons.json``. The interactions are not written.

    Parameters
    ----------
    neurons : Neurons
        Made by :func:`~headtail.sae.find_neurons`, or a part of them.
    folder : path
        Written and returned as by :func:`headtail.save_model`.

    Examples
    --------
    >>> import tempfile
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> contrast = ht.sae.contrast(ht.MF(200, 50, 4, rng=0), train)
    >>> neurons = ht.sae.find_neurons(TopKSAE(4, 4, k=3, rng=0), contrast, train)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     again = load_neurons(save_neurons(neurons, f"{place}/neurons"), train)
    >>> again.to_polars().equals(neurons.to_polars(), null_equal=True)
    True
    """
    source = neurons.source
    table = {f.name: getattr(neurons, f.name) for f in fields(neurons)}
    vectors = {f"contrast.{f.name}": getattr(source.contrast, f.name) for f in fields(source.contrast)}
    tensors = {
        name: torch.as_tensor(value, device="cpu").clone()
        for name, value in (table | vectors).items()
        if isinstance(value, (np.ndarray, torch.Tensor)) and name != "tags"
    }
    settings = {
        "n_neurons": neurons.n_neurons,
        "k": neurons.k,
        "tags": neurons.tags.tolist(),
        "interactions": None if source.interactions is None else identity_in_order(source.interactions),
    }
    with _files.atomic_folder(folder) as temporary:
        save_sae(source.sae, temporary / "autoencoder")
        write_tensors(tensors, temporary / "neurons.safetensors")
        write_json({"format": FORMAT, **settings}, temporary / "neurons.json", temporary.rglob("*"))
    return Path(folder)


@checked
def load_neurons(folder: str | os.PathLike[str], interactions: Interactions | None = None) -> Neurons:
    """Read neurons that :func:`save_neurons` wrote.

    Parameters
    ----------
    folder : path
    interactions : Interactions, optional
        Those that the neurons were found with, for cards, effects and what is recommended to whom; without them these
        are refused.

    Raises
    ------
    CheckpointMismatchError
        If the interactions are others, or in another order.
    """
    folder = _files.to_path(folder)
    settings = read_json(folder / "neurons.json")
    known = settings["interactions"] or "none"
    these = "" if interactions is None else identity_in_order(interactions)
    if not known.startswith(these) and not these.startswith(known):  # one may lack the order
        raise CheckpointMismatchError(
            f"{folder} was made with other interactions ({known}) than these ({these}); give those, or none. "
            f"Of a model that headtail train wrote they are the part 'train' by the column 'split' of its "
            f"interactions.parquet, see Split.from_frame."
        )
    tensors = read_tensors(folder / "neurons.safetensors")
    table = {name: value.numpy() for name, value in tensors.items() if not name.startswith("contrast.")}
    prefix = "contrast."
    vectors: dict[str, Any] = {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}
    codes = {name: vectors.pop(name).numpy() for name in ("users", "item_codes") if name in vectors}
    contrast = Contrast(**(vectors | codes))
    tags = np.array(settings["tags"], dtype=object)
    source = Source(load_sae(folder / "autoencoder"), contrast, interactions)
    return Neurons(**table, tags=tags, n_neurons=settings["n_neurons"], k=settings["k"], source=source)


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

    Examples
    --------
    >>> import tempfile
    >>> steered = Steered(ht.MF(5, 6, 4, rng=0), Steering(ht.sae.TopKSAE(d_in=4, expansion=2, k=3, rng=0)))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     load_steered(save_steered(steered, f"{place}/steered")).n_items
    6
    """
    with _files.atomic_folder(folder) as temporary:
        write_steered(steered, temporary)
    return Path(folder)


def write_steered(steered: Steered, folder: Path, *outer: Any) -> None:
    """Write a steered model into a folder that is there, with checksums of all that it holds by then.

    `outer` are the hooks of models that steer this one further.
    """
    edit = steered.edit
    if not isinstance(edit, (Steering, Direction)) or not isinstance(edit.per_user, (Excess, type(None))):
        raise InvalidInputError(
            f"the model is edited by {kind_of(edit)} that could not be made again; only what steer(), spree() "
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
    inner, hooks = folder / "model", (*outer, steered._hook)
    inner.mkdir()
    if isinstance(steered.model, Steered):
        write_steered(steered.model, inner, *hooks)
    else:
        check_saved(steered.model, *hooks)
        write_model(steered.model, inner)
    write_tensors(tensors, folder / "steering.safetensors")
    write_json({"format": FORMAT, **settings}, folder / "steering.json", folder.rglob("*"))


@checked
def load_steered(folder: str | os.PathLike[str]) -> Steered:
    """Read a steered model that :func:`save_steered` wrote, in evaluation mode on the CPU.

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
