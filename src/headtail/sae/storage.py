"""Autoencoders on disk, in the layout that EleutherAI's sparsify and its models on the Hugging Face Hub use."""

import os
from pathlib import Path

from headtail import _files
from headtail._checks import checked
from headtail._sealed import read_json, write_json
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, UnreadableFileError
from headtail.sae.autoencoder import TopKSAE
from headtail.training import checkpoints

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
        checkpoints.write_tensors(
            {_KEYS[name]: value for name, value in sae.state_dict().items()}, temporary / "sae.safetensors"
        )
        write_json(config, temporary / "cfg.json", temporary.iterdir())
    return Path(folder)


@checked
def load_sae(folder: str | os.PathLike[str]) -> TopKSAE:
    """Read an autoencoder that :func:`save_sae` or EleutherAI's sparsify wrote.

    Parameters
    ----------
    folder : path
        Folder with ``cfg.json`` and ``sae.safetensors``. Fetch one from the Hugging Face Hub with
        ``huggingface_hub.snapshot_download`` and give the folder of one layer.

    Returns
    -------
    TopKSAE
        In evaluation mode, as float32 on the CPU.

    Raises
    ------
    UnreadableFileError
        If a file is missing or not what it should be, or there is a pickled checkpoint instead: unpickling can run any
        code, so headtail never does it.
    CheckpointMismatchError
        If it is of another kind than TopK on one vector (transcoder, skip connection, other activation), or the weights
        do not fit the sizes.
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
            f"{path} describes another kind of autoencoder ({', '.join(other)}); headtail has TopK ones of one vector."
        )
    names = {key: name for name, key in _KEYS.items()}
    weights = checkpoints.read_tensors(folder / "sae.safetensors")
    shape = tuple(weights["encoder.weight"].shape) if "encoder.weight" in weights else None
    if shape != (n_neurons, d_in):  # before any memory is taken for sizes that may be far off
        raise CheckpointMismatchError(f"{path} has sizes {(n_neurons, d_in)}, and the encoder beside it {shape}.")
    try:
        sae = TopKSAE(d_in, k=k, n_neurons=n_neurons, rng=0)
    except InvalidInputError as error:
        raise CheckpointMismatchError(f"{path} has sizes that cannot be: {error}") from None
    checkpoints.load_weights(sae, {names.get(key, key): value.float() for key, value in weights.items()}, folder)
    sae.eval()
    return sae
