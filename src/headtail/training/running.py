"""The run that all trainings share: epochs, what is watched, stopping, checkpoints, and resuming from one."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from headtail import _distributed
from headtail._progress import progress_bar
from headtail._tensors import release_memory
from headtail.exceptions import CheckpointMismatchError, TrainingDivergedError
from headtail.training import checkpoints
from headtail.training.checkpoints import Run
from headtail.training.history import History

logger = logging.getLogger("headtail")

Callback = Callable[[nn.Module, dict[str, Any]], object]
Advance = Callable[[int], object]
Batch = TypeVar("Batch")

_CHECK_EVERY = 64  # batches between looks at the losses, each of which makes a GPU wait


@dataclass(frozen=True)
class Watch:
    """The figure by which the best epoch is found, and training stops."""

    name: str
    measure: Callable[[], float]
    better: Literal["higher", "lower"] = "higher"
    patience: int | None = None


def train_epochs(
    run: Run,
    epoch: Callable[[int, Advance], Mapping[str, float]],
    *,
    title: str,
    epochs: int,
    size: int,
    seed: int = 0,
    watch: Watch | None = None,
    eval_every: int = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
    progress: bool | None = None,
    callbacks: Sequence[Callback] = (),
    distributed: bool = False,
) -> History:
    """Train from the start or from a checkpoint, and leave the model with the weights of the best epoch.

    ``epoch(number, advance)`` goes through the data once and returns the figures of the history's row; it calls
    `advance` with the share of `size` that is done since. `seed` is that of torch's random state inside; the caller's
    is given back at the end. What is watched is measured after every `eval_every` epochs and the last, and checkpoints
    are written then. The others are as for :func:`headtail.fit`.
    """
    n_processes, process = (_distributed.world_size(), _distributed.rank()) if distributed else (1, 0)
    with checkpoints.opened(checkpoint, writes=process == 0) as folder, _own_random_state(seed, run.device):
        if folder is not None and resume:
            _resume(run, folder, title, epochs)
        patience = None if watch is None else watch.patience
        show = False if process else progress
        bar = progress_bar(title, epochs * size, done=run.epoch * size, show=show, at_most=patience is not None)
        with bar as advance:
            while run.epoch < epochs and (patience is None or run.stale < patience):
                number, started = run.epoch + 1, time.perf_counter()
                if n_processes > 1:  # each has its own dropout, and a resumed run the same
                    torch.manual_seed(seed + number * n_processes + process)
                state = f"epoch {run.epoch}  loss {run.rows[-1]['loss']:.4f}" if run.rows else ""
                row: dict[str, Any] = {"epoch": number, **epoch(number, partial(advance, state=state))}
                row["seconds"] = time.perf_counter() - started
                last = number == epochs or number % eval_every == 0
                if watch is not None:
                    row[watch.name] = watch.measure() if last else None
                    if last:
                        run.judge(number, row[watch.name], higher=watch.better == "higher")
                for callback in callbacks:
                    callback(run.model, row)
                run.epoch = number
                run.rows.append(row)
                if folder is not None and last and process == 0:
                    run.save(folder)
                if n_processes > 1:
                    _distributed.of_first(None)  # every process waits for the checkpoint
    if run.best is not None:
        run.model.load_state_dict(run.best)
    run.model.eval()
    if watch is None:
        logger.info("%s: %d epochs, loss %s", title, run.epoch, run.rows[-1]["loss"])
        return History(tuple(run.rows), run.settings)
    logger.info("%s: %d epochs, best %s %s", title, run.epoch, watch.name, run.best_value)
    return History(tuple(run.rows), run.settings, watch.name, run.best_epoch, run.best_value, watch.better)


def _resume(run: Run, folder: Path, title: str, epochs: int) -> None:
    """Put the run where its last checkpoint is, if there is one."""
    if saved := checkpoints.saved_epochs(folder):
        run.restore(saved[-1])
        logger.info("%s: resumed %s", title, saved[-1])
        if run.epoch > epochs:
            raise CheckpointMismatchError(
                f"{folder} is at epoch {run.epoch}, beyond epochs={epochs}. Give more epochs or another folder."
            )


def steps(
    batches: Iterable[Batch],
    step: Callable[[int, Batch], tuple[list[Tensor], int]],
    model: nn.Module,
    names: Sequence[str],
    cause: Callable[[str], str],
    epoch: int,
    advance: Advance,
) -> dict[str, float]:
    """Take a step for every batch and return the mean of each part of the loss; what is not finite raises.

    ``step(i, batch)`` returns the parts, scalars, and of how many targets they are means. ``cause(part)`` says what may
    have made a part infinite.
    """
    parts: list[Tensor] = []
    sizes: list[int] = []
    for i, batch in enumerate(batches):
        terms, size = step(i, batch)
        parts.append(torch.stack(terms).detach())
        sizes.append(size)
        if len(parts) % _CHECK_EVERY == 0:
            _check_finite(parts, names, cause, epoch)
            release_memory()
        advance(size)
    _check_finite(parts, names, cause, epoch)
    # A NaN anywhere is both the least and the most; to look at each weight takes many times as long.
    if not all(bool(torch.isfinite(torch.stack(p.detach().aminmax())).all()) for p in model.parameters() if p.numel()):
        raise _diverged(epoch, len(parts), "a weight", cause)
    means = np.average(torch.stack(parts).double().cpu().numpy(), axis=0, weights=sizes)
    return dict(zip(names, means.tolist(), strict=True))


def _check_finite(parts: list[Tensor], names: Sequence[str], cause: Callable[[str], str], epoch: int) -> None:
    """Raise with the first batch of which a part is not finite."""
    bad = (~torch.isfinite(torch.stack(parts))).nonzero()  # (batches, parts)
    if len(bad):
        raise _diverged(epoch, int(bad[0, 0]) + 1, names[int(bad[0, 1])], cause)


def _diverged(epoch: int, batch: int, what: str, cause: Callable[[str], str]) -> TrainingDivergedError:
    return TrainingDivergedError(f"Epoch {epoch}, batch {batch}: {what} is not finite. Likely cause: {cause(what)}.")


@contextmanager
def _own_random_state(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside, and give the caller's random state back at the end."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
