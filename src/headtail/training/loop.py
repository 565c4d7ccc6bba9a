"""The one training loop."""

import hashlib
import inspect
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import headtail._torch  # noqa: F401 - first, for its error

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headtail._checks import generator, integer, number
from headtail._progress import progress_bar
from headtail._tensors import check_module, learning, no_autocast, release_memory
from headtail.data import Interactions
from headtail.exceptions import CheckpointMismatchError, InvalidInputError, TrainingDivergedError
from headtail.losses import Loss, bpr
from headtail.metrics import Metric, ndcg
from headtail.models.lookup import rows_of
from headtail.penalties import Penalty
from headtail.training import checkpoints
from headtail.training.batches import Batches, Pairs, Windows
from headtail.training.encoding import check_sizes, device_of
from headtail.training.history import History
from headtail.training.scores import catalogue_loss, pair_scores
from headtail.training.validation import Validation
from headtail.typing import RNG, Array

logger = logging.getLogger("headtail")

Callback = Callable[[nn.Module, dict[str, Any]], object]

_FIT = "make the model with the sizes of train"
_CHECK_EVERY = 64  # batches between looks at the losses, each of which makes a GPU wait


def fit(
    model: nn.Module,
    train: Interactions,
    *,
    loss: Loss = bpr,
    n_negatives: int | Literal["all"] = 1,
    item_weights: Array | None = None,
    penalties: Sequence[Penalty] = (),
    penalty_every: int = 1,
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
    """Train a model in place on positive items against negatives.

    An epoch goes through every training pair once, in random order. Each pair gets `n_negatives` items drawn uniformly
    from those that its user has not met in `train`, or all other items. The optimizer is Adam.

    A model of users sees the distinct users of a batch once, and the penalties their queries. A sequential model sees
    whole histories, cut into windows of at most `max_length` items where they are longer: each place of a window
    predicts the item after it, and a batch holds windows of like lengths, so that little is computed for padding. The
    penalties see the states at the last place of each window, which are the queries that a user is served by. Penalties
    see the vectors of all items.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place: at the end it holds the weights of the best epoch by `validation`, without it those of the
        last. One of two kinds:

        * of users: ``forward(users)`` takes codes (B,) and returns :class:`~headtail.typing.Vectors`. With a loss of
          its own it has ``forward_with_loss(users, positives)`` as well, which is called instead in training, with the
          items of the batch's pairs, and returns the vectors and a scalar; the scalar is added to the loss.
        * sequential: it has an attribute ``max_length``, ``forward(sequences)`` takes sequences (B, L) and returns
          Vectors, and ``states(sequences)`` returns Vectors with a state for each place, (B, L, d), as
          :meth:`headtail.models.SASRec.states` does.
    train : Interactions, frame or sparse matrix
        Training interactions; every one counts as a positive. For a sequential model, with times or an order.
    loss : callable, default :func:`~headtail.losses.bpr`
        ``loss(positive (B,), negative (B, n)) -> scalar``, such as those of :mod:`headtail.losses`.
    n_negatives : int or "all", default 1
        Negatives of each positive. With ``"all"`` they are all other items, those that the user has met included, and
        the loss is taken in blocks; it must be a mean over the positives. With
        :func:`~headtail.losses.sampled_softmax` that is the full softmax.
    item_weights : array of shape (n_items,), optional
        Weight of the loss of each target by its item, such as :func:`~headtail.losses.inverse_propensity` gives it;
        handed to the loss as ``weight`` of shape (B,). Not with all items as negatives.
    penalties : sequence of callables, optional
        Each ``penalty(queries, items) -> scalar`` is added to the loss, such as :class:`~headtail.penalties.ReSN`.
    penalty_every : int, default 1
        Take the penalties in one batch of so many, and so many times as strongly there (lazy regularization: Karras et
        al., Analyzing and improving the image quality of StyleGAN, CVPR 2020, section 3.1). They cost that much less;
        with 8, MF on MovieLens-1M had the same accuracy and exposure at ReSN's best weight.
    validation : Interactions, frame or sparse matrix, optional
        Held-out interactions of users and items of `train`; choose with them, report on others.
    metric : function of a TopK, default :func:`headtail.metrics.ndcg`
        What is watched on `validation`, by full ranking without the items of `train`; more must be better.
    k : int, default 20
        Cut-off of the metric.
    epochs : int, default 100
        Passes over the training pairs, at most.
    batch_size : int, default 8192
        Pairs of a batch; for a sequential model about so many, in whole windows.
    lr : float, default 0.005
        Adam's learning rate.
    weight_decay : float, default 1e-5
        L2 regularization of all weights as Adam takes it: ``weight_decay * w`` is added to every gradient. It matters
        much. The loss is a mean over pairs, so that the best value falls as they grow in number: 3e-5 to 1e-4 for
        50,000 pairs, 3e-6 to 1e-5 for 800,000. Too much of it leaves nothing but popularity. For a sequential model, 0
        with an `lr` of 0.001 is the usual choice.
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
        Each is called as ``callback(model, row)`` after every epoch with the row of the history; what it adds to the
        row is kept there and in checkpoints.

    Returns
    -------
    History

    Raises
    ------
    InvalidInputError
        If an argument is out of range, the model and the interactions differ in size, `train` is empty, a user has
        met every item, so that there is no negative, or the model is sequential and no time is known.
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
    train = Interactions.of(train, what="train")
    lr = number("lr", lr, low=0, low_open=True)
    weight_decay = number("weight_decay", weight_decay, low=0)
    integer("epochs", epochs, low=1)
    integer("batch_size", batch_size, low=1)
    n_drawn = 0 if n_negatives == "all" else integer("n_negatives", n_negatives, low=1)
    integer("penalty_every", penalty_every, low=1)
    integer("eval_every", eval_every, low=1)
    integer("k", k, low=1)
    if patience is not None:
        integer("patience", patience, low=1)
    _check_model(model, train)
    if item_weights is not None:
        item_weights = _checked_weights(item_weights, train.n_items, loss, n_negatives)
    sequential = hasattr(model, "max_length")
    batches: Batches = Windows(train, n_drawn, model.max_length) if sequential else Pairs(train, n_drawn)  # type: ignore[arg-type]
    if validation is not None:
        validation = Interactions.of(validation, like=train, what="validation")
    validate = None if validation is None else Validation(train, validation, metric, k)
    metric_name = None if validation is None else f"{getattr(metric, '__name__', 'metric')}@{k}"
    random = generator(rng)
    settings = {
        **{f"model.{name}": value for name, value in checkpoints.config_of(model).items()},
        "train": train.fingerprint,
        "validation": None if validation is None else validation.fingerprint,
        "loss": _describe(loss),
        "n_negatives": n_negatives,
        "item_weights": None if item_weights is None else hashlib.sha256(item_weights.tobytes()).hexdigest()[:16],
        "penalties": [_describe(penalty) for penalty in penalties],
        "penalty_every": penalty_every,
        "metric": metric_name,
        "batch_size": batch_size,
        "lr": lr,
        "weight_decay": weight_decay,
        "patience": patience,
        "eval_every": eval_every,
        "rng": _describe_rng(rng),
    }
    names = [*_part_names(penalties), *(["auxiliary"] if hasattr(model, "forward_with_loss") else [])]

    device = device_of(model, device)
    run = checkpoints.Run()
    seed = int(random.integers(2**63))
    with checkpoints.opened(checkpoint) as folder, learning(model), _own_torch_seed(seed, device):
        model.to(device)
        optimizer = torch.optim.Adam(
            model.parameters(), lr=lr, weight_decay=weight_decay, fused=device.type in ("cpu", "cuda")
        )
        weight_of = None if item_weights is None else torch.from_numpy(item_weights).to(device, torch.float32)
        if folder is not None and resume and checkpoints.saved_epochs(folder):
            latest = checkpoints.saved_epochs(folder)[-1]
            run, tensors = checkpoints.restore_epoch(latest, settings, model, optimizer, random, device)
            torch.set_rng_state(tensors["random.cpu"])
            if device.type == "cuda" and "random.cuda" in tensors:
                torch.cuda.set_rng_state(tensors["random.cuda"], device)
            logger.info("fit: resumed %s", latest)
            if run.epoch > epochs:
                raise CheckpointMismatchError(
                    f"{folder} is at epoch {run.epoch}, beyond epochs={epochs}. Give more epochs or another folder."
                )
        n_targets = len(batches)
        n_batches = -(-n_targets // batch_size)
        often = n_batches / -(-n_batches // penalty_every)  # so that the penalties weigh as much over an epoch
        with progress_bar("training", epochs * n_targets, done=run.epoch * n_targets, show=progress) as advance:
            while run.epoch < epochs and not (validate and patience is not None and run.stale >= patience):
                epoch = run.epoch + 1
                started = time.perf_counter()
                model.train()
                parts: list[Tensor] = []  # loss and penalties of every batch
                weights: list[int] = []
                state = f"epoch {run.epoch}  loss {run.rows[-1]['loss']:.4f}" if run.rows else ""
                for i, batch in enumerate(batches.epoch(batch_size, random)):
                    inputs, rows, candidates = (torch.from_numpy(codes).to(device) for codes in batch)
                    # (B, d), (S, d), (I, d): of the targets, those that users are served by, of all items
                    queries, serving, items, auxiliary = _encode(model, inputs, rows, candidates[:, 0])
                    if len(items) != train.n_items:
                        raise InvalidInputError(
                            f"the model has vectors of {len(items)} items and train {train.n_items}; {_FIT}."
                        )
                    with no_autocast(device):
                        if n_drawn:
                            scores = pair_scores(queries, items, candidates)  # (B, 1 + n)
                            weighted = {} if weight_of is None else {"weight": weight_of[candidates[:, 0]]}
                            fitting = loss(scores[:, 0], scores[:, 1:], **weighted)
                        else:
                            fitting = catalogue_loss(loss, queries, items, candidates[:, 0])
                        if i % penalty_every == 0:
                            penalizing = [often * penalty(serving, items) for penalty in penalties]
                        else:
                            penalizing = [fitting.new_zeros(()) for _ in penalties]
                        terms = [fitting, *penalizing, *auxiliary]
                        optimizer.zero_grad(set_to_none=True)
                        torch.autograd.backward(torch.stack(terms).sum())
                        optimizer.step()

                    parts.append(torch.stack(terms).detach())
                    weights.append(len(rows))
                    if len(parts) % _CHECK_EVERY == 0:
                        _check_finite(parts, names, epoch, model, lr, folder)
                        release_memory()
                    advance(len(rows), state)
                _check_finite(parts, names, epoch, model, lr, folder)
                means = np.average(torch.stack(parts).double().cpu().numpy(), axis=0, weights=weights)
                row: dict[str, Any] = {"epoch": epoch, **dict(zip(names, means.tolist(), strict=True))}
                row["seconds"] = time.perf_counter() - started

                last = epoch == epochs or epoch % eval_every == 0
                if validate is not None and metric_name is not None:
                    row[metric_name] = validate(model) if last else None
                    if last:
                        run.judge(model, epoch, row[metric_name], higher=True)
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


def _encode(
    model: nn.Module, inputs: Tensor, rows: Tensor, positives: Tensor
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Return the queries of the targets, those that users are served by, all items, and the model's own loss if any."""
    module: Any = model
    if hasattr(model, "max_length"):
        states, items = module.states(inputs)  # (S, L, d)
        return rows_of(states.flatten(0, 1), rows), states[:, -1], items, []
    if hasattr(model, "forward_with_loss"):
        (queries, items), *auxiliary = module.forward_with_loss(inputs, positives)
    else:
        (queries, items), auxiliary = model(inputs), []
    return rows_of(queries, rows), queries, items, auxiliary


def _check_model(model: nn.Module, train: Interactions) -> None:
    check_module(model)
    check_sizes(model, train, "train", _FIT)
    if hasattr(model, "max_length") and not hasattr(model, "states"):
        raise InvalidInputError(
            f"{type(model).__name__} has max_length, so it is sequential, but no method states(sequences), by which it "
            f"is trained. Add one that returns Vectors of the states (B, L, d) and the items (I, d)."
        )
    if not any(p.requires_grad for p in model.parameters()):
        raise InvalidInputError(
            f"{type(model).__name__} has no weights that gradients train. If it has a fit method, call that instead."
        )


def _checked_weights(item_weights: Array, n_items: int, loss: Loss, n_negatives: int | str) -> NDArray[np.float64]:
    weights = np.asarray(item_weights, dtype=np.float64)
    if weights.shape != (n_items,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise InvalidInputError(
            f"item_weights has shape {weights.shape}, or values that are negative or not finite; give one weight of at "
            f"least 0 for each of the {n_items} items."
        )
    if n_negatives == "all" or "weight" not in inspect.signature(loss).parameters:
        raise InvalidInputError(
            f"item_weights with loss {_describe(loss)} and n_negatives={n_negatives!r} cannot be: give a number of "
            f"negatives and a loss that takes weight=, such as headtail.losses.bpr, bce, mse or sampled_softmax."
        )
    return weights


def _check_finite(
    parts: list[Tensor], names: list[str], epoch: int, model: nn.Module, lr: float, folder: Path | None
) -> None:
    """Raise with the first batch whose loss or penalty is not finite, or if a weight is not."""
    fine = torch.isfinite(torch.stack(parts))  # (batches, parts)
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
