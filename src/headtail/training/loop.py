"""The one training loop."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headtail._checks import generator, integer, number
from headtail._files import check_writable
from headtail._progress import progress_bar
from headtail.data import Interactions
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, TrainingDivergedError, UnreadableFileError
from headtail.losses import Loss, bpr
from headtail.metrics import Metric, ndcg
from headtail.models.lookup import rows_of
from headtail.penalties import Penalty
from headtail.training import checkpoints
from headtail.training.batches import Sampler
from headtail.training.history import History
from headtail.training.ranking import device_of
from headtail.training.scores import pair_scores
from headtail.training.validation import Validation
from headtail.typing import RNG

logger = logging.getLogger("headtail")

Callback = Callable[[nn.Module, Mapping[str, Any]], object]

_CHECK_EVERY = 64  # batches between looks at the losses, each of which makes a GPU wait


@dataclass
class _Run:
    """All that changes from epoch to epoch, beside the weights and the optimizer."""

    epoch: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    best_value: float | None = None
    best_epoch: int | None = None
    stale: int = 0
    best: dict[str, Tensor] | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "stale": self.stale,
        }


def fit(
    model: nn.Module,
    train: Interactions,
    *,
    loss: Loss = bpr,
    n_negatives: int = 1,
    penalties: Sequence[Penalty] = (),
    validation: Interactions | None = None,
    metric: Metric = ndcg,
    k: int = 20,
    epochs: int = 100,
    batch_size: int = 8192,
    lr: float = 5e-3,
    weight_decay: float = 1e-5,
    patience: int | None = 5,
    eval_every: int = 5,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
    device: str | torch.device | None = None,
    rng: RNG = None,
    progress: bool | None = None,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train a model in place on positive pairs against sampled negatives.

    An epoch goes through every training pair once, in random order. Each pair gets `n_negatives` items drawn uniformly
    from those that its user has not met in `train`. The distinct users of a batch go through the model once; the
    penalties see their queries, each user once, and the vectors of all items. The optimizer is Adam.

    Parameters
    ----------
    model : torch.nn.Module
        ``forward(users)`` takes codes (B,) and returns :class:`~headtail.typing.Vectors`. Changed in place: at the
        end it holds the weights of the best epoch by `validation`, without it those of the last. A model with a loss of
        its own has ``forward_with_loss(users, positives)`` as well, which is called instead in training, with the items
        of the batch's pairs, and returns the vectors and a scalar; the scalar is added to the loss.
    train : Interactions
        Training interactions; every one counts as a positive.
    loss : callable, default :func:`~headtail.losses.bpr`
        ``loss(positive (B,), negative (B, n)) -> scalar``, such as those of :mod:`headtail.losses`.
    n_negatives : int, default 1
        Negatives of each positive.
    penalties : sequence of callables, optional
        Each ``penalty(queries, items) -> scalar`` is added to the loss, such as :class:`~headtail.penalties.ReSN`.
    validation : Interactions, optional
        Held-out interactions with the users and items of `train`; choose with them, report on others.
    metric : function of a TopK, default :func:`headtail.metrics.ndcg`
        What is watched on `validation`, by full ranking without the items of `train`; more must be better.
    k : int, default 20
        Cut-off of the metric.
    epochs : int, default 100
        Passes over the training pairs, at most.
    batch_size : int, default 8192
        Pairs of a batch.
    lr : float, default 0.005
        Adam's learning rate.
    weight_decay : float, default 1e-5
        L2 regularization of all weights as Adam takes it: ``weight_decay * w`` is added to every gradient. It matters
        much. The loss is a mean over pairs, so that the best value falls as they grow in number: 3e-5 to 1e-4 for
        50,000 pairs, 3e-6 to 1e-5 for 800,000. Too much of it leaves nothing but popularity.
    patience : int or None, default 5
        Evaluations without improvement after which training stops; None never stops early.
    eval_every : int, default 5
        Epochs between evaluations, and between checkpoints. The last epoch is always evaluated.
    checkpoint : path, optional
        Folder for checkpoints. The latest stands in ``epoch-...`` inside it; earlier ones are removed.
    resume : bool, default True
        Go on from the checkpoint in that folder if there is one, else start over and replace it. On the same device and
        with as many threads, the end result has the very bits of a run that was never stopped. All settings but
        `epochs` must be the same.
    device : str or torch.device, optional
        Where to train; the model is moved there. Without it, where the model is.
    rng : int, numpy Generator or None
        Source of batches, negatives and the model's own randomness. Same seed, same result.
    progress : bool, optional
        Show a progress bar on standard error; without it, only where that is a terminal.
    callbacks : sequence of callables, optional
        Each is called as ``callback(model, row)`` after every epoch with the row of the history.

    Returns
    -------
    History

    Raises
    ------
    InvalidInputError
        If an argument is out of range, the model and the interactions differ in size, `train` is empty, or a user has
        met every item, so that there is no negative.
    TrainingDivergedError
        If the loss, a penalty or a weight is not finite; the checkpoint before stays as it is.
    CheckpointMismatchError
        If the checkpoint is of another model, other data or other settings.
    UnreadableFileError
        If the checkpoint cannot be read or written.

    Examples
    --------
    >>> import polars as pl
    >>> from headtail.models import MF
    >>> train = Interactions.from_frame(pl.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 3, 4]}))
    >>> model = MF(train.n_users, train.n_items, embedding_dim=4, rng=0)
    >>> history = fit(model, train, epochs=60, lr=0.1, rng=0)
    >>> len(history.rows), round(history.rows[-1]["loss"], 1)
    (60, 0.0)
    """
    lr = number("lr", lr, low=0, low_open=True)
    weight_decay = number("weight_decay", weight_decay, low=0)
    integer("epochs", epochs, low=1)
    integer("batch_size", batch_size, low=1)
    integer("n_negatives", n_negatives, low=1)
    integer("eval_every", eval_every, low=1)
    integer("k", k, low=1)
    if patience is not None:
        integer("patience", patience, low=1)
    _check_model(model, train)
    sampler = Sampler(train, n_negatives)
    validate = None if validation is None else Validation(train, validation, metric, k)
    metric_name = None if validation is None else f"{getattr(metric, '__name__', 'metric')}@{k}"
    random = generator(rng)
    settings = {
        **{f"model.{name}": value for name, value in checkpoints.config_of(model).items()},
        "train": train.fingerprint,
        "validation": None if validation is None else validation.fingerprint,
        "loss": _describe(loss),
        "n_negatives": n_negatives,
        "penalties": [_describe(penalty) for penalty in penalties],
        "metric": metric_name,
        "batch_size": batch_size,
        "lr": lr,
        "weight_decay": weight_decay,
        "patience": patience,
        "eval_every": eval_every,
        "rng": _describe_rng(rng),
    }
    own_loss = getattr(model, "forward_with_loss", None)
    names = [*_part_names(penalties), *(["auxiliary"] if own_loss else [])]

    device = device_of(model, device)
    model.to(device)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=lr, weight_decay=weight_decay, fused=device.type in ("cpu", "cuda")
    )
    run = _Run()
    with _own_torch_seed(int(random.integers(2**63)), device):
        folder = None if checkpoint is None else check_writable(checkpoint)
        if folder is not None:
            checkpoints.clear_leftovers(folder)
            if resume and checkpoints.saved_epochs(folder):
                run = _restore(checkpoints.saved_epochs(folder)[-1], settings, model, optimizer, random, device)
                if run.epoch > epochs:
                    raise CheckpointMismatchError(
                        f"{folder} is at epoch {run.epoch}, beyond epochs={epochs}. Give more epochs or another folder."
                    )
        n_batches = -(-len(sampler) // batch_size)
        with progress_bar("training", epochs * n_batches, done=run.epoch * n_batches, show=progress) as advance:
            while run.epoch < epochs and not (validate and patience is not None and run.stale >= patience):
                epoch = run.epoch + 1
                started = time.perf_counter()
                model.train()
                parts = torch.zeros(n_batches, len(names), device=device)  # loss and penalties of every batch
                weights = np.zeros(n_batches)
                state = f"epoch {run.epoch}  loss {run.rows[-1]['loss']:.4f}" if run.rows else ""
                for i, batch in enumerate(sampler.epoch(batch_size, random)):
                    users, rows, candidates = (torch.from_numpy(codes).to(device) for codes in batch)
                    if own_loss is None:
                        (queries, items), auxiliary = model(users), []  # (D, d), (I, d)
                    else:
                        (queries, items), *auxiliary = own_loss(users, candidates[:, 0])
                    scores = pair_scores(rows_of(queries, rows), items, candidates)  # (B, 1 + n)
                    terms = [loss(scores[:, 0], scores[:, 1:]), *(penalty(queries, items) for penalty in penalties)]
                    terms += auxiliary
                    optimizer.zero_grad(set_to_none=True)
                    torch.autograd.backward(torch.stack(terms).sum())
                    optimizer.step()

                    parts[i] = torch.stack(terms).detach()
                    weights[i] = len(batch.rows)
                    if (i + 1) % _CHECK_EVERY == 0:
                        _check_finite(parts[: i + 1], names, epoch, model, lr, folder)
                    advance(1, state)
                _check_finite(parts, names, epoch, model, lr, folder)
                means = np.average(parts.double().cpu().numpy(), axis=0, weights=weights)
                row: dict[str, Any] = {"epoch": epoch, **dict(zip(names, means.tolist(), strict=True))}
                row["seconds"] = time.perf_counter() - started

                last = epoch == epochs or epoch % eval_every == 0
                if validate is not None and metric_name is not None:
                    row[metric_name] = validate(model) if last else None
                    if last:
                        _keep_best(run, model, epoch, row[metric_name])
                for callback in callbacks:
                    callback(model, row)
                run.epoch = epoch
                run.rows.append(row)
                if folder is not None and last:
                    checkpoints.save_epoch(
                        folder,
                        epoch,
                        model=model,
                        best=run.best,
                        optimizer=optimizer,
                        random=_torch_random(device),
                        state={**run.to_dict(), "rng": random.bit_generator.state, "settings": settings},
                    )
    if run.best is not None:
        model.load_state_dict(run.best)
    model.eval()
    logger.info("fit: %d epochs, best %s %s", run.epoch, metric_name or "loss", run.best_value or run.rows[-1]["loss"])
    return History(
        rows=tuple(run.rows),
        settings=settings,
        metric=metric_name,
        best_epoch=run.best_epoch,
        best_value=run.best_value,
    )


def _keep_best(run: _Run, model: nn.Module, epoch: int, value: float) -> None:
    if run.best_value is None or value > run.best_value:
        run.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        run.best_value, run.best_epoch, run.stale = value, epoch, 0
    else:
        run.stale += 1


def _check_model(model: nn.Module, train: Interactions) -> None:
    for name in ("n_users", "n_items"):
        own = getattr(model, name, None)
        if own != getattr(train, name):
            raise InvalidInputError(
                f"the model has {name}={own} and train {getattr(train, name)}; make the model with the sizes of train."
            )
    if not any(p.requires_grad for p in model.parameters()):
        raise InvalidInputError(
            f"{type(model).__name__} has no weights that gradients train. If it has a fit method, call that instead."
        )


def _check_finite(
    parts: Tensor, names: list[str], epoch: int, model: nn.Module, lr: float, folder: Path | None
) -> None:
    """Raise with the first batch whose loss or penalty is not finite, or if a weight is not."""
    fine = torch.isfinite(parts)  # (batches, parts)
    if bool(fine.all()) and all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        return
    bad = (~fine).nonzero()
    batch = int(bad[0, 0]) + 1 if len(bad) else len(parts)
    what = names[int(bad[0, 1])] if len(bad) else "a weight"
    if what not in ("loss", "a weight"):
        cause = f"the weight of {what} is too large beside lr={lr:g}: lower either"
    else:
        cause = (
            f"lr={lr:g} is too high for this model and loss (try {lr / 10:g}), or the weights were not finite before"
        )
    kept = f" The last checkpoint in {folder} is kept." if folder is not None else ""
    raise TrainingDivergedError(f"Epoch {epoch}, batch {batch}: {what} is not finite. Likely cause: {cause}.{kept}")


def _part_names(penalties: Sequence[Penalty]) -> list[str]:
    """Name the columns of the history: loss, then each penalty by its class; numbered where a name repeats."""
    names = ["loss"]
    for penalty in penalties:
        base = getattr(penalty, "__name__", type(penalty).__name__)
        count = sum(name.split(" ")[0] == base for name in names)
        names.append(f"{base} {count + 1}" if count else base)
    return names


def _describe(thing: Any) -> str:
    """Say what a loss or penalty is, the same in every process."""
    if isinstance(thing, partial):
        given = [*map(repr, thing.args), *(f"{name}={value!r}" for name, value in sorted(thing.keywords.items()))]
        return f"{_describe(thing.func)}({', '.join(given)})"
    if hasattr(thing, "__qualname__"):
        return f"{thing.__module__}.{thing.__qualname__}"
    text = repr(thing)
    return type(thing).__qualname__ if " at 0x" in text else text


def _describe_rng(rng: RNG) -> Any:
    if isinstance(rng, np.random.Generator):
        state = json.dumps(rng.bit_generator.state, sort_keys=True, default=str)
        return f"generator {hashlib.sha256(state.encode()).hexdigest()[:16]}"
    return None if rng is None else int(rng)


def _restore(
    folder: Path,
    settings: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    random: np.random.Generator,
    device: torch.device,
) -> _Run:
    """Put a saved epoch back into the model, the optimizer and all random states."""
    state = checkpoints.read_json(folder / "state.json")
    try:
        checkpoints.check_settings(state["settings"], settings, folder)
        run = _Run(
            epoch=state["epoch"],
            rows=state["rows"],
            best_value=state["best_value"],
            best_epoch=state["best_epoch"],
            stale=state["stale"],
        )
        rng_state = state["rng"]
    except KeyError as error:
        raise UnreadableFileError(
            f"{folder / 'state.json'} lacks {error}. Delete the folder and train again."
        ) from None
    weights = checkpoints.read_tensors(folder / "model.safetensors")
    tensors = checkpoints.read_tensors(folder / "optimizer.safetensors")
    if run.best_epoch is not None:
        run.best = {
            name: value.to(device) for name, value in checkpoints.read_tensors(folder / "best.safetensors").items()
        }
    checkpoints.load_weights(model, weights, folder)
    checkpoints.restore_optimizer(optimizer, tensors)
    torch.set_rng_state(tensors["random.cpu"])
    if device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], device)
    random.bit_generator.state = rng_state
    logger.info("fit: resumed %s", folder)
    return run


@contextmanager
def _own_torch_seed(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch for the model's own randomness, and give the caller's random state back at the end."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _torch_random(device: torch.device) -> dict[str, Tensor]:
    states = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["random.cuda"] = torch.cuda.get_rng_state(device)
    return states
