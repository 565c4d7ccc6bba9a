"""Vectors of a model, row by row: in memory or memory-mapped, checked, centered and scaled."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headtail._checks import number
from headtail._checksums import digest
from headtail._printable import counted, kind_of
from headtail.exceptions import InvalidInputError
from headtail.sae.autoencoder import TopKSAE
from headtail.typing import Array, ArrayLike2D

_READ_ROWS = 65_536  # rows read at a time where order does not matter
_PIECE, _PIECES = 1024, 256  # rows of a piece, and pieces of a window in which a memory-mapped file is shuffled
_HELD_OUT_ROWS = 131_072  # held-out rows are kept in memory


@dataclass(frozen=True)
class Rows:
    """The vectors, which of them to train on, and what centers and scales them."""

    source: ArrayLike2D
    rows: Array  # int64, ascending: the rows of the source to train on
    held_out: Tensor  # (m, d), centered and scaled
    mean: Tensor  # (d,)
    scale: float
    fingerprint: str

    @classmethod
    def prepare(
        cls, source: ArrayLike2D, validation: "ArrayLike2D | float", width: int, random: np.random.Generator
    ) -> "Rows":
        """Check the vectors, hold some out if `validation` is a share, and measure mean and scale of the rest."""
        check_vectors("activations", source, width)
        kept = np.ones(len(source), dtype=bool)
        if isinstance(validation, (torch.Tensor, np.ndarray)):
            check_vectors("validation", validation, width)
            others = torch.cat(list(blocks(validation, np.arange(len(validation)), "validation")))
        else:
            share = number("validation", validation, low=0, high=0.5)
            n_held_out = min(round(share * len(source)), _HELD_OUT_ROWS)
            kept[random.permutation(len(source))[:n_held_out]] = False
            none = torch.empty(0, width, dtype=torch.float32, device="cpu")
            others = torch.cat([none, *blocks(source, np.flatnonzero(~kept), "activations")])
        rows = np.flatnonzero(kept)
        total: Any = sum(block.double().sum(dim=0) for block in blocks(source, rows, "activations"))
        mean = total / len(rows)
        variance = sum(float((b.double() - mean).square().sum()) for b in blocks(source, rows, "activations"))
        variance /= len(rows) * width
        if variance <= 1e-12 * float(mean.square().mean()):
            raise InvalidInputError(
                f"all {len(rows)} activations are the same vector, so there is nothing to explain. Check the layer "
                f"that they were taken from."
            )
        scale = float(np.sqrt(variance))
        fingerprint = digest(mean.numpy(), np.array([variance, len(rows)]), others.numpy())
        mean = mean.float()
        held_out = (others - mean) / scale
        if len(held_out) and float(held_out.square().mean()) < 1e-12:
            raise InvalidInputError(
                "all validation vectors are the mean of the activations, so that they hold nothing to explain. Give "
                "others, or validation=0."
            )
        return cls(source, rows, held_out, mean, scale, fingerprint)

    def batches(self, batch_size: int, random: np.random.Generator, device: torch.device) -> Iterator[Tensor]:
        """Yield every training row once, in random batches (B, d), centered and scaled."""
        mean = self.mean.to(device)
        order = _in_windows(self.rows, random) if isinstance(self.source, np.memmap) else random.permutation(self.rows)
        for start in range(0, len(order), batch_size):
            x = _read(self.source, order[start : start + batch_size]).to(device)
            yield (x - mean) / self.scale

    def held_out_fvu(self, sae: TopKSAE, device: torch.device) -> float:
        """Return the fraction of the held-out rows' variance (about the training mean) that is not explained."""
        error = variance = 0.0
        with torch.no_grad():
            for part in torch.split(self.held_out, _READ_ROWS):
                x = part.to(device)
                error += float((sae(x) - x).double().square().sum(dim=1).sum())
                variance += float(x.double().square().sum(dim=1).sum())
        return error / variance


def check_vectors(name: str, vectors: Any, width: int) -> None:
    """Raise unless there are vectors (n, width) with n of at least two."""
    if isinstance(vectors, torch.Tensor):
        real = not (vectors.is_complex() or vectors.is_sparse or vectors.is_meta)
    else:
        real = isinstance(vectors, np.ndarray) and vectors.dtype.kind in "fiub" and not np.ma.is_masked(vectors)
    if not real or vectors.ndim != 2:
        shape, dtype = (getattr(vectors, name, None) for name in ("shape", "dtype"))
        raise InvalidInputError(
            f"{name} must be an array or tensor of real numbers of shape (n, d); this is {kind_of(vectors)} of "
            f"shape {shape} and type {dtype}."
        )
    if vectors.shape[1] != width:
        raise InvalidInputError(
            f"{name} have width {vectors.shape[1]}, the autoencoder has {width}; make one by "
            f"TopKSAE(d_in={vectors.shape[1]})."
        )
    if len(vectors) < 2:
        raise InvalidInputError(f"{name} hold {counted(len(vectors), 'row')}; give at least two.")


def _read(source: ArrayLike2D, rows: Array) -> Tensor:
    """Return rows as float32, on the source's device."""
    if isinstance(source, torch.Tensor):
        return source.detach()[torch.from_numpy(rows).to(source.device)].float()
    with np.errstate(over="ignore"):  # what is infinite then is refused by those who read it
        return torch.from_numpy(np.asarray(source[rows], dtype=np.float32))


def blocks(source: ArrayLike2D, rows: Array, name: str) -> Iterator[Tensor]:
    """Yield rows in order, as float32 on the CPU, and raise if any is not finite."""
    for start in range(0, len(rows), _READ_ROWS):
        part = rows[start : start + _READ_ROWS]
        block = _read(source, part).cpu()
        bad = (~torch.isfinite(block).all(dim=1)).nonzero()[:, 0]
        if len(bad):
            raise InvalidInputError(
                f"{name} hold values that are not finite, first in row {int(part[int(bad[0])])}. Run the model in "
                f"evaluation mode, and check that its weights are finite."
            )
        yield block


def _in_windows(rows: Array, random: np.random.Generator) -> Array:
    """Shuffle rows so that each window of the result lies in few pieces of the file, which are then read once."""
    pieces = np.array_split(rows, -(-len(rows) // _PIECE))
    order = random.permutation(len(pieces))
    windows = [order[start : start + _PIECES] for start in range(0, len(order), _PIECES)]
    return np.concatenate([random.permutation(np.concatenate([pieces[p] for p in window])) for window in windows])
