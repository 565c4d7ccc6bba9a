"""Tensors in the types and modes that computations need, whatever the caller's."""

import ctypes
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, reduce, wraps
from typing import Any, ParamSpec, TypeVar

import headtail._torch  # noqa: F401 - first, for its error

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from torch.nn.parameter import is_lazy

from headtail._factors import as_matrix
from headtail._printable import kind_of
from headtail.exceptions import InvalidInputError

P = ParamSpec("P")
R = TypeVar("R")

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def as_tensor(name: str, values: Any) -> Tensor:
    """Return a dense matrix of real numbers as a tensor, which shares memory and gradient where possible."""
    matrix = as_matrix(name, values)
    if isinstance(values, Tensor):
        return values
    return torch.from_numpy(np.require(matrix, None if matrix.dtype.kind == "f" else np.float64, ("C", "W")))


def as_floats(name: str, values: Any) -> Tensor:
    """Return a tensor if it is dense and floating-point, else raise."""
    if (
        not isinstance(values, Tensor)
        or not values.is_floating_point()
        or values.layout is not torch.strided
        or values.is_meta
    ):
        kind = f"a {values.dtype}" if isinstance(values, Tensor) else kind_of(values)
        raise InvalidInputError(f"{name} is {kind}; give a dense tensor of floating-point numbers.")
    return values


def finite(name: str, values: Tensor) -> Tensor:
    """Return a tensor if it holds no NaN and nothing infinite, else raise."""
    if not torch.isfinite(values).all():
        raise InvalidInputError(f"{name} holds values that are NaN or infinite; check that training converged.")
    return values


def as_device(device: Any) -> torch.device:
    """Return the device of that name, or raise."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InvalidInputError(f"device={device!r} cannot be used here: {error}. Give 'cpu', or none.") from error


def full(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return tensors in their common type of at least 32 bits."""
    common = reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)
    return tuple(tensor.to(common) for tensor in tensors)


def sparse_rows(starts: Tensor, columns: Tensor, shape: tuple[int, int], like: Tensor, *, check: bool) -> Tensor:
    """Return a sparse matrix with zeros in the places that its row starts and columns give, in the type of `like`.

    With `check` the columns of each row must ascend.
    """
    _accept_sparse()
    zeros = like.new_zeros(len(columns))
    return torch.sparse_csr_tensor(starts, columns, zeros, shape, device=like.device, check_invariants=check)


def sampled_products(queries: Tensor, items: Tensor, starts: Tensor, columns: Tensor) -> Tensor:
    """Return the products of queries (Q, d) with the items (I, d) that row starts (Q + 1,) and columns (n,) give; (n,).

    As elements of a sparse matrix, which takes a fraction of gathering the items.
    """
    places = sparse_rows(starts, columns, (len(queries), len(items)), queries, check=False)
    torch.sparse.sampled_addmm(places, queries, items.T, beta=0.0, out=places)
    return places.values()


@cache
def _accept_sparse() -> None:
    """Hear, once and without a word, torch's warning that its sparse matrices are in beta."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        torch.sparse_csr_tensor([0, 0], [], [], (1, 1), device="cpu")


def take_rows(table: Tensor, codes: Tensor) -> Tensor:
    """Return the rows (B, d) of a table (N, d) whose codes (B,) are given.

    Of torch's two look-ups ``index_select`` has the faster backward pass on a CPU, and ``embedding`` a deterministic
    one on CUDA.
    """
    return embedding(codes, table) if table.is_cuda else table.index_select(0, codes)


def transformed() -> bool:
    """Whether torch.func differentiates or batches what is computed, which then must be plain operations."""
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


def traced() -> bool:
    """Whether torch.compile, torch.export or torch.func follows what is computed."""
    return torch.compiler.is_compiling() or transformed()


def no_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Disable autocast, where the caller has it on."""
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()


def without_autocast(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function to run without autocast."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with no_autocast(torch.device("cpu")), no_autocast(torch.device("cuda")):
            return function(*args, **kwargs)

    return inside


@contextmanager
def learning(model: nn.Module) -> Iterator[None]:
    """Record gradients even where the caller has disabled them; raise if the weights cannot change."""
    check_module(model)
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put a module into evaluation mode, and restore the mode of each of its parts afterwards."""
    if not isinstance(model, nn.Module):
        yield
        return
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def check_module(model: Any) -> None:
    """Raise unless it is a module whose weights can change."""
    if not isinstance(model, nn.Module):
        raise InvalidInputError(f"{type(model).__name__} cannot be trained; give a torch.nn.Module.")
    weights = [*model.parameters(), *model.buffers()]
    if any(map(is_lazy, weights)):
        raise InvalidInputError(
            f"{type(model).__name__} has lazy layers, whose sizes are not known before it is called. Call it once."
        )
    if any(weight.is_inference() for weight in weights):
        raise InvalidInputError(
            f"{type(model).__name__} was made under torch.inference_mode(), so that its weights can never change. Make "
            f"it outside."
        )


def release_memory() -> None:
    """Return free memory to the system.

    The gradient of a large table is reallocated at every step; fragmentation would let a long training hold several
    times what it needs.
    """
    if _trim is not None:
        _trim(0)
