"""Neurons on disk: the table, the vectors it was found with and the autoencoder, one folder."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headtail import _files
from headtail._checks import checked
from headtail._sealed import FORMAT, read_json, write_json
from headtail.data import Interactions
from headtail.exceptions import CheckpointMismatchError
from headtail.sae.contrasts import Contrast
from headtail.sae.neurons import Neurons
from headtail.sae.storage import load_sae, save_sae
from headtail.sae.table import Source
from headtail.training.checkpoints import read_tensors, write_tensors


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
    >>> from headtail.datasets import power_law
    >>> from headtail.models import MF
    >>> from headtail.sae import TopKSAE, contrast, find_neurons
    >>> train = power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> neurons = find_neurons(TopKSAE(4, 4, k=3, rng=0), contrast(MF(200, 50, 4, rng=0), train), train)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     again = load_neurons(save_neurons(neurons, f"{place}/neurons"), train)
    >>> again.to_polars().equals(neurons.to_polars(), null_equal=True)
    True
    """
    with _files.atomic_folder(folder) as temporary:
        write_neurons(neurons, temporary)
    return Path(folder)


def write_neurons(neurons: Neurons, folder: Path) -> None:
    """Write neurons into a folder that is there."""
    source = neurons.source
    table = {f.name: getattr(neurons, f.name) for f in fields(neurons)}
    vectors = {f"contrast.{f.name}": getattr(source.contrast, f.name) for f in fields(source.contrast)}
    tensors = {
        name: torch.as_tensor(value).clone()
        for name, value in (table | vectors).items()
        if isinstance(value, (np.ndarray, torch.Tensor)) and name != "tags"
    }
    settings = {
        "n_neurons": neurons.n_neurons,
        "k": neurons.k,
        "tags": neurons.tags.tolist(),
        "interactions": None if source.interactions is None else source.interactions.fingerprint,
    }
    save_sae(source.sae, folder / "autoencoder")
    write_tensors(tensors, folder / "neurons.safetensors")
    write_json({"format": FORMAT, **settings}, folder / "neurons.json", folder.rglob("*"))


@checked
def load_neurons(folder: str | os.PathLike[str], interactions: Interactions | None = None) -> Neurons:
    """Read neurons that :func:`save_neurons` wrote.

    Parameters
    ----------
    folder : path
    interactions : Interactions, optional
        Those that the neurons were found with, for what is worked out on demand: cards, effects and what is
        recommended to whom. Without them the table and steering by it are there, and the rest is refused.

    Returns
    -------
    Neurons
        With the autoencoder on the CPU.

    Raises
    ------
    CheckpointMismatchError
        If the interactions are others than those that the neurons were found with.
    """
    folder = _files.to_path(folder)
    settings = read_json(folder / "neurons.json")
    known = settings["interactions"]
    if interactions is not None and interactions.fingerprint != known:
        raise CheckpointMismatchError(
            f"{folder} was made with other interactions ({known or 'none'}) than these ({interactions.fingerprint})."
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
