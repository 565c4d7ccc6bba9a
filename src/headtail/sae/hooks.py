"""Reading and editing the vectors inside a model, whichever ``torch.nn.Module`` it is."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from headtail import _files
from headtail._checks import checked, nearest
from headtail._columns import logger
from headtail._printable import kind_of
from headtail._progress import progress_bar
from headtail._tensors import evaluating, no_autocast
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.training.encoding import device_of

Position: TypeAlias = Literal["last", "all"] | Callable[[Tensor, Any], Tensor]


@checked
def activations(
    model: nn.Module,
    batches: Iterable[Any],
    layer: str = "query",
    *,
    position: Position = "last",
    output: int | str = 0,
    path: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Any:
    """Return the vectors that a layer puts out, (n, d) on the CPU, in evaluation mode and without gradients.

    Parameters
    ----------
    model : torch.nn.Module
    batches : iterable
        What the model takes: a tensor, a tuple of positional or a dict of keyword arguments. For a model of headtail,
        :func:`headtail.training.inputs` yields them.
    layer : str, default "query"
        Path of a sub-module as in ``model.named_modules()``, such as ``"encoder.layers.1"``; ``""`` is the model.
    position : {"last", "all"} or callable, default "last"
        Which vectors of an output (B, L, d): the last position of each sequence, or all of them, stacked.
        A callable gets the output and the batch and returns the vectors (n, d), such as those that are no padding.
        An output (B, d) is taken whole.
    output : int or str, default 0
        Which one of a tuple or mapping, where the layer puts out several: a recurrent layer's states are 0.
    path : path, optional
        Write the vectors to this ``.npy`` file as they are made and return it memory-mapped, for more than fits.
    progress : bool, optional

    Examples
    --------
    >>> model = ht.MF(n_users=5, n_items=6, embedding_dim=3, rng=0)
    >>> activations(model, [torch.tensor([0, 1]), torch.tensor([4])]).shape
    torch.Size([3, 3])
    """
    blocks = _blocks(model, batches, layer, position, output, progress)
    return torch.cat(list(blocks)) if path is None else _write(blocks, Path(path))


def _blocks(
    model: nn.Module, batches: Iterable[Any], layer: str, position: Position, output: int | str, progress: bool | None
) -> Iterator[Tensor]:
    submodule(model, layer)
    device = device_of(model, None)
    if not callable(position) and position not in ("last", "all"):
        raise InvalidInputError(f"position={position!r} is not known. Give 'last', 'all' or a callable.")
    total = len(batches) if isinstance(batches, Sized) else 0
    caught, told = list[Tensor](), False
    handle = register(model, layer, lambda _module, _args, out: caught.append(vectors_in(out, layer, output)))
    try:
        with evaluating(model), progress_bar("activations", total, show=progress if total else False) as step:
            for batch in batches:
                caught.clear()
                with torch.no_grad():
                    _call(model, batch, device)
                if not caught:
                    raise InvalidInputError(f"{_not_called(layer)}.")
                if len(caught) > 1 and not told:
                    told = True
                    logger.warning("layer=%r is called %d times a batch; the last call is read.", layer, len(caught))
                block = _positions(caught[-1], batch, position, layer)
                if not torch.isfinite(block).all():
                    raise InvalidInputError(
                        f"layer={layer!r} puts out values that are NaN or infinite; check that training converged, and "
                        f"that padding is left out."
                    )
                yield block.detach().cpu()
                step(1, "")
        if not caught:
            raise InvalidInputError("batches is empty; give at least one batch that the model takes.")
    finally:
        handle.remove()


def _call(model: nn.Module, batch: Any, device: torch.device) -> Any:
    def placed(value: Any) -> Any:
        return value.to(device) if isinstance(value, Tensor) else value

    if isinstance(batch, Mapping):
        return model(**{name: placed(value) for name, value in batch.items()})
    return model(*map(placed, batch if isinstance(batch, (tuple, list)) else (batch,)))


def _positions(out: Tensor, batch: Any, position: Position, layer: str) -> Tensor:
    if callable(position):
        chosen = position(out, batch)
        if not isinstance(chosen, Tensor) or chosen.ndim != 2:
            raise InvalidInputError(f"position returned {_described(chosen)}; return a tensor of vectors (n, d).")
        return chosen
    if out.ndim == 2:
        return out
    if out.ndim == 3:
        return out[:, -1] if position == "last" else out.flatten(0, 1)
    raise InvalidInputError(
        f"layer={layer!r} puts out {_described(out)}, neither (B, d) nor (B, L, d); say with a callable as position "
        f"which vectors are meant."
    )


def _write(blocks: Iterator[Tensor], path: Path) -> Any:
    """Write blocks to a .npy file, whose header gets the number of rows once all are there."""
    if path.suffix != ".npy":
        raise InvalidInputError(f"path={str(path)!r} does not end in .npy, the format that is written. Name it so.")
    with _files.atomic_file(path) as temporary, temporary.open("wb") as file:
        rows, width = 0, 0

        def header() -> None:
            described = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
            np.lib.format.write_array_header_1_0(file, described)  # leaves room for the number of rows to grow

        for block in blocks:
            if not rows:
                width = block.shape[1]
                header()
            rows += len(block)
            file.write(np.ascontiguousarray(block.float().numpy(), dtype="<f4").data)
        file.seek(0)
        header()
    return np.load(path, mmap_mode="r")


@contextmanager
def attach(
    model: nn.Module, edit: Callable[[Tensor], Tensor], layer: str = "query", *, output: int | str = 0
) -> Iterator[nn.Module]:
    """Pass what a layer puts out through `edit` while the block runs; afterwards the model is as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Not copied; the block gets it.
    edit : callable
        From vectors (..., d) to vectors of the same shape: an autoencoder (its reconstruction then takes the place of
        the vectors), a :class:`~headtail.sae.Steering` (which passes on what the autoencoder misses), or a function.
    layer, output
        As in :func:`activations`; the other parts of a tuple or mapping pass.

    Raises
    ------
    InvalidInputError
        When the model is called: if the layer puts out something other than vectors, or of another width. When the
        block ends: if the layer was never called, so that nothing was edited. At once: if the model is compiled, which
        leaves out what is attached later, or keeps it.

    Notes
    -----
    Where activations are computed again for the backward pass (:mod:`torch.utils.checkpoint`), that belongs into the
    block, too.

    Examples
    --------
    >>> model, users = ht.MF(n_users=5, n_items=6, embedding_dim=3, rng=0), torch.arange(5)
    >>> with attach(model, lambda x: 2 * x):
    ...     doubled = model(users).queries
    >>> torch.equal(doubled, 2 * model(users).queries)
    True
    """
    if not callable(edit):
        raise InvalidInputError(f"edit={edit!r} is no function of the vectors that a layer puts out. Give one.")
    if isinstance(model, nn.Module) and any(
        getattr(part, "_compiled_call_impl", None) or hasattr(part, "_orig_mod") for part in model.modules()
    ):
        raise InvalidInputError(f"{type(model).__name__} is compiled; attach to the model as it was before.")
    hook = EditHook(SimpleNamespace(edit=edit), layer, output)
    handle = register(model, layer, hook)
    try:
        with hook.called():
            yield model
    finally:
        handle.remove()


def register(model: nn.Module, layer: str, hook: Callable[[nn.Module, Any, Any], Any]) -> RemovableHandle:
    """Call a hook with what a layer puts out, from now on; say so if the layer stands in several places."""
    found = submodule(model, layer)
    places = [
        f"{path}.{name}".lstrip(".")
        for path, part in model.named_modules()
        for name, child in part._modules.items()
        if child is found
    ]
    if len(places) > 1:
        logger.warning("%s are one layer, and each use of it is meant.", " and ".join(map(repr, places)))
    try:
        return found.register_forward_hook(hook)
    except RuntimeError:  # torch has none there
        raise InvalidInputError(
            f"{type(model).__name__} is scripted or traced, so that nobody can look into it; give the model as it was "
            f"before."
        ) from None


class EditHook:
    """Passes what a layer puts out through the edit that its owner holds at the time.

    An object, not a closure, so that a copy of the owner has a hook of its own, with its own edit.
    """

    def __init__(self, owner: Any, layer: str, output: int | str) -> None:
        self.owner, self.layer, self.output = owner, layer, output
        self._waiting: object = None  # the last call whose edit has not been made

    def __call__(self, _module: nn.Module, _args: Any, out: Any) -> Any:
        """Return the layer's output with the edited vectors in it."""
        edit = self.owner.edit
        x = vectors_in(out, self.layer, self.output, getattr(edit, "d_in", None))
        edited = _edited(edit, x)
        if not isinstance(edited, Tensor) or edited.shape != x.shape:
            raise InvalidInputError(
                f"the edit of {self.layer!r} made {_described(edited)} of {_described(x)}; keep the shape."
            )
        self._waiting = None
        return _with(out, edited.to(x.dtype), self.output)

    @contextmanager
    def called(self) -> Iterator[None]:
        """Raise at the end unless the edit has been made meanwhile."""
        # A mark of this call alone: where threads share a model, another's edit may hide that one is missing, but none
        # that was made is missed.
        mark: list[None] = []
        self._waiting = mark
        yield
        if self._waiting is mark:
            raise InvalidInputError(f"nothing was edited: {_not_called(self.layer)}.")


def _edited(edit: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the edited vectors; a module gets them in the type of its own numbers, also under autocast."""
    numbers = chain(edit.parameters(), edit.buffers()) if isinstance(edit, nn.Module) else ()
    dtype = next((values.dtype for values in numbers if values.is_floating_point()), None)
    if dtype is None:
        return edit(x)
    with no_autocast(x.device):
        return edit(x.to(dtype))


def _not_called(layer: str) -> str:
    return (
        f"layer={layer!r} was not called: it is not used, its weights are used without it (as fused attention does), "
        f"or the model is compiled or traced. Choose a layer around it, or the model as it was before"
    )


def submodule(model: nn.Module, layer: str) -> nn.Module:
    """Return a sub-module by its path, or say which paths are most like it."""
    if not isinstance(model, nn.Module) or not isinstance(layer, str):
        raise InvalidInputError(
            f"model is {kind_of(model)} and layer={layer!r}; give a torch.nn.Module and the path of one of its "
            f"sub-modules."
        )
    known: dict[str, nn.Module] = dict(model.named_modules())
    if layer in known:
        return known[layer]
    listed = nearest(layer, filter(None, known))
    raise MissingColumnError(f"{type(model).__name__} has no layer {layer!r}. {listed} The model itself is layer=''.")


def vectors_in(out: Any, layer: str, output: int | str = 0, width: int | None = None) -> Tensor:
    """Return the vectors in what a layer puts out, or say why there are none."""
    found = out
    if not isinstance(out, Tensor):
        try:
            found = list(out.values())[output] if isinstance(out, Mapping) and isinstance(output, int) else out[output]
        except (TypeError, LookupError):
            raise InvalidInputError(
                f"layer={layer!r} puts out {_described(out)}, which has no output={output!r}. Choose another layer, or "
                f"name the output."
            ) from None
    if not isinstance(found, Tensor) or found.is_nested or found.ndim < 2 or not found.is_floating_point():
        raise InvalidInputError(
            f"layer={layer!r} puts out {_described(found)}; give a layer that puts out vectors (B, d) or (B, L, d)."
        )
    if width is not None and found.shape[-1] != width:
        raise InvalidInputError(
            f"layer={layer!r} puts out vectors of {found.shape[-1]} numbers and the edit takes {width}; attach "
            f"it where it was trained."
        )
    return found


def _with(out: Any, new: Tensor, output: int | str) -> Any:
    """Return the layer's output with one of its parts replaced."""
    if isinstance(out, Tensor):
        return new
    if isinstance(out, Mapping):
        key = list(out)[output] if isinstance(output, int) else output
        changed: Any = type(out)(out)  # type: ignore[call-arg]
        changed[key] = new
        return changed
    parts = list(out)
    parts[output] = new  # type: ignore[index]
    return type(out)(*parts) if hasattr(out, "_fields") else type(out)(parts)


def _described(value: Any) -> str:
    if isinstance(value, Tensor) and value.is_nested:
        return "a nested tensor (see enable_nested_tensor of torch.nn.TransformerEncoder)"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    return kind_of(value)
