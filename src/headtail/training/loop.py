"""Training of recommenders."""

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import headtail._torch  # noqa: F401 - first, for its error

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from headtail._checks import checked, generator, integer, list_length
from headtail._checksums import digest, fingerprint_in_order
from headtail._distributed import of_first, world_size
from headtail._factors import per_item
from headtail._printable import counted
from headtail._tensors import check_module, learning
from headtail.data import Interactions, PopularityGroups
from headtail.exceptions import InvalidInputError
from headtail.losses import Loss, bpr
from headtail.metrics import Metric, Profiles, TopK, ndcg
from headtail.metrics.measuring import evaluate
from headtail.metrics.topk import find_ranks
from headtail.penalties import Penalty
from headtail.training import checkpoints
from headtail.training.encoding import check_call, check_sizes, device_of
from headtail.training.history import History
from headtail.training.passes import FIT, Solving, Stepping, describe
from headtail.training.ranking import recommend
from headtail.training.running import Callback, Watch, train_epochs
from headtail.typing import RNG, Array


def usual(model: Any) -> dict[str, Any]:
    """Return the arguments that :func:`fit` takes for a model, or a class of models, where none are given.

    Without a weight decay here, it is one by the number of training pairs.
    """
    common = {"loss": bpr, "n_negatives": 1, "batch_size": 8192, "lr": 5e-3}
    return {**common, "epochs": 100, "eval_every": 5, **getattr(model, "usual", {})}


@checked
def fit(
    model: nn.Module,
    train: Interactions,
    *,
    loss: Loss | None = None,
    n_negatives: int | Literal["all"] | None = None,
    item_weights: Array | None = None,
    item_values: Array | None = None,
    penalties: Sequence[Penalty] = (),
    penalty_every: int = 1,
    validation: Interactions | None = None,
    metric: Metric = ndcg,
    k: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    patience: int | None = 5,
    eval_every: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
    device: str | torch.device | None = None,
    rng: RNG = 0,
    progress: bool | None = None,
    callbacks: Sequence[Callback] = (),
    distributed: bool = False,
) -> History:
    """Train a model in place.

    An epoch goes through every training pair once, in random order. Each pair gets `n_negatives` items drawn uniformly
    from those that its user has not met in `train`, or all other items. The optimizer is Adam. A model that is solved
    for, such as :class:`~headtail.models.ALS`, solves once an epoch instead.

    Each distinct user of a batch is encoded once; penalties receive those queries, and the vectors of all items. A
    sequential model is given whole histories, cut into windows of at most `max_length` items, each place of which
    predicts the item after it; its penalties receive the states at the last place of each window.

    Where numba is installed (``pip install 'headtail[fast]'``), it compiles the steps of
    :class:`~headtail.models.MF` on a CPU, which then take 70% of the time and are the same to rounding.

    Arguments whose default is None are the usual ones of the model, its attribute ``usual``. What a model does not name
    there is in brackets below.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place: at the end it holds the weights of the best epoch by `validation`, without it those of the
        last. One of three kinds:

        * of users: ``forward(users)`` takes codes (B,) and returns :class:`~headtail.typing.Vectors`. If it takes rows
          of one table and returns another as it is, an attribute ``row_tables`` may name the two; where they are large
          beside a batch, its rows alone are then read and moved (:class:`headtail.training.adam.Adam`).
        * sequential: it has an attribute ``max_length``, ``forward(sequences)`` takes sequences (B, L) and returns
          Vectors, and ``states(sequences)`` returns Vectors with a state for each place, (B, L, d), as
          :meth:`headtail.models.SASRec.states` does.
        * solved for: ``solve(train, penalties=..., item_weights=...)`` returns a function that improves all weights
          once and returns the ``loss`` that is left, as :meth:`headtail.models.ALS.solve` does. It takes no loss and
          no batches, and only the penalties that it knows.

        One of the first two kinds may have a loss of its own, in ``forward_with_loss(inputs, rows, candidates)``. It is
        called in training in place of ``forward`` or ``states``, and returns the same vectors and a scalar that is
        added to the loss. `rows` (B,) tells whose query each pair of the batch has, places among the queries (or among
        all states), and `candidates` (B, 1 + n) are its items, the positive first.
    train : Interactions, frame or sparse matrix
        Training interactions; every one counts as a positive. For a sequential model, with times or an order.
    loss : callable, optional [:func:`~headtail.losses.bpr`]
        ``loss(positive (B,), negative (B, n)) -> scalar``, such as those of :mod:`headtail.losses`.
    n_negatives : int or "all", optional [1]
        Negatives of each positive. With ``"all"`` they are all other items, those that the user has met included, and
        the loss is taken in blocks; it must be a mean over the positives. With
        :func:`~headtail.losses.sampled_softmax` that is the full softmax.
    item_weights : array of shape (n_items,), optional
        Weight of the loss of each target by its item, such as :func:`~headtail.losses.inverse_propensity` gives it;
        handed to the loss as ``weight`` of shape (B,). Not with all items as negatives.
    item_values : array of shape (n_items,), optional
        A number of each item that the loss is told of every candidate, as ``values`` of shape (B, 1 + n), such as
        :func:`~headtail.losses.deconfounded` asks for. Not with all items as negatives.
    penalties : sequence of callables, optional
        Each ``penalty(queries, items) -> scalar`` is added to the loss, such as :class:`~headtail.penalties.ReSN`.
    penalty_every : int, default 1
        Take the penalties in the first of every n batches alone, n times as strongly, or less where an epoch has no
        multiple of n, so that it weighs them alike (lazy regularization: Karras et al., Analyzing and improving the
        image quality of StyleGAN, CVPR 2020, section 3.1). They cost that much less.
    validation : Interactions, frame or sparse matrix, optional
        Held-out interactions of users and items of `train`; choose with them, report on others.
    metric : function of a TopK, default :func:`headtail.metrics.ndcg`
        What is watched on `validation`, by full ranking without the items of `train`; more must be better.
    k : int, optional
        Cut-off of the metric; by default 20, or the size of the catalogue.
    epochs : int, optional [100]
        Passes over the training pairs, at most.
    batch_size : int, optional [8192]
        Pairs in a batch; about as many for a sequential model, whose batches hold whole windows.
    lr : float, optional [0.005]
        Adam's learning rate.
    weight_decay : float, optional [1 / len(train)]
        L2 regularization of all weights as Adam takes it: ``weight_decay * w`` is added to every gradient. It matters
        much: the loss is a mean over pairs, so that the best value falls as they grow in number, and too much of it
        leaves nothing but popularity. For MF the best was between .8 and 4 by the number of pairs, from 500 pairs to
        720,000.
    patience : int or None, default 5
        Evaluations without improvement after which training stops; None never stops early.
    eval_every : int, optional [5]
        Epochs between evaluations, and between checkpoints. The last epoch is always evaluated.
    checkpoint : path, optional
        Folder for checkpoints. The latest stands in ``epoch-...`` inside it; earlier ones are removed.
    resume : bool, default True
        Resume from the checkpoint in that folder if there is one; False starts over and replaces it. On the same
        device, with as many threads and with numba or without, a resumed run ends with the very bits of one that was
        never interrupted. All settings but `epochs` must be the same.
    device : str or torch.device, optional
        Where to train; the model is moved there. Without it, where the model is.
    rng : seed or generator, default 0
        Source of batches, negatives and the model's own randomness. Same seed, same result. The seed that the model was
        made with repeats the numbers of its start; give another where the two are to be independent.
    progress : bool, optional
        Show a progress bar on standard error; without it, only where that is a terminal.
    callbacks : sequence of callables, optional
        Each is called as ``callback(model, row)`` after every epoch with the row of the history; what it adds to the
        row is kept there and in checkpoints.
    distributed : bool, default False
        Train with all processes of torch's default process group, which ``torchrun`` starts: every process calls `fit`
        with the same arguments, takes its share of the users of each batch, and averages the gradients with the others,
        so that training is that of one process, to rounding. Each holds the whole model and `train`; the first gives
        the weights to begin with and writes `checkpoint`, which all must be able to read. The loss must be a mean over
        the positives, and penalties take the users of all processes, as ``ReSN(weight, distributed=True)`` does.
        Without a group, there is one process.

    Raises
    ------
    TrainingDivergedError
        If the loss, a penalty or a weight is not finite; the checkpoint before stays as it is.
    CheckpointMismatchError
        If the checkpoint is of another model, other data or other settings.

    Examples
    --------
    >>> train = Interactions.from_frame(pl.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 3, 4]}))
    >>> model = ht.MF(train.n_users, train.n_items, embedding_dim=4, rng=0)
    >>> history = fit(model, train, epochs=60, lr=0.1, weight_decay=0, rng=0)
    >>> len(history.rows), round(history.rows[-1]["loss"], 1)
    (60, 0.0)
    """
    train = Interactions.of(train, what="train")
    check_module(model)
    check_call(model)
    check_sizes(model, train, "train", FIT)
    if not len(train):
        raise InvalidInputError("train holds no interactions, so there is nothing to learn from. Check the split.")
    given = {
        "loss": loss, "n_negatives": n_negatives, "epochs": epochs, "batch_size": batch_size, "lr": lr,
        "weight_decay": weight_decay, "eval_every": eval_every,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    if hasattr(model, "solve"):
        _check_solved(
            model, *given, *["item_values"] * (item_values is not None), *["penalty_every"] * (penalty_every > 1),
            *["distributed"] * distributed,
        )  # fmt: skip
    how = {"weight_decay": 1 / len(train), **usual(model), **given}
    epochs, eval_every = (integer(name, how.pop(name), low=1) for name in ("epochs", "eval_every"))
    how |= {"penalty_every": integer("penalty_every", penalty_every, low=1), "distributed": distributed}
    watch, watched = _watched(model, train, validation, metric, k, patience)
    of_items = _of_items(train.n_items, item_weights=item_weights, item_values=item_values)
    random, device = generator(rng), device_of(model, device)
    with learning(model):
        model.to(device)
        method = _method(model, train, penalties, device, random, of_items, how)
        settings = {
            **{f"model.{name}": value for name, value in checkpoints.config_of(model).items()},
            "train": fingerprint_in_order(model, train),
            **watched,
            **{name: None if values is None else digest(values) for name, values in of_items.items()},
            "penalties": [describe(penalty) for penalty in penalties],
            "patience": patience,
            "eval_every": eval_every,
            **method.settings,
            "rng": _describe_rng(rng),
        }
        if distributed and world_size() > 1:
            _agree(model, settings, random)
        return train_epochs(
            checkpoints.Run(model, random, device, settings, method.optimizer), method.epoch, title="training",
            epochs=epochs, size=method.size, seed=int(random.integers(2**63)), watch=watch, eval_every=eval_every,
            checkpoint=checkpoint, resume=resume, progress=progress, callbacks=callbacks, distributed=distributed,
        )  # fmt: skip


def _of_items(n_items: int, **given: Array | None) -> dict[str, Any]:
    """Return the numbers of each item, checked, None where they are not given."""
    found = {
        name: None if values is None else per_item(name, values, n_items).astype(np.float64)
        for name, values in given.items()
    }
    if (weights := found["item_weights"]) is not None and weights.min() < 0:
        raise InvalidInputError(
            f"item_weights is {weights.min()} at item {weights.argmin()}; give weights of at least 0."
        )
    return found


def _agree(model: nn.Module, settings: Mapping[str, Any], random: np.random.Generator) -> None:
    """Give every process the weights and the random state of the first, if it has the same settings."""
    theirs, random.bit_generator.state = of_first((settings, random.bit_generator.state))
    if differing := [name for name in settings if settings[name] != theirs.get(name)]:
        name = differing[0]
        raise InvalidInputError(
            f"{name} is {settings[name]!r} in this process and {theirs.get(name)!r} in the first. Give every process "
            f"the same model, interactions and arguments."
        )
    for weights in model.parameters():
        dist.broadcast(weights.data, 0)


def _watched(
    model: nn.Module,
    train: Interactions,
    validation: Interactions | None,
    metric: Metric,
    k: int | None,
    patience: int | None,
) -> tuple[Watch | None, dict[str, Any]]:
    """Return what is watched, and how that is put down in the settings."""
    if patience is not None:
        patience = integer("patience", patience, low=1)
    if validation is None:
        return None, {"validation": None, "metric": None}
    validation = Interactions.of(validation, like=train, what="validation")
    k = list_length(k, train.n_items)
    name = f"{getattr(metric, '__name__', 'metric')}@{k}"
    watch = Watch(name, partial(Validation(train, validation, metric, k), model), patience=patience)
    return watch, {"validation": validation.fingerprint, "metric": f"{describe(metric)}@{k}"}


class Validation:
    """Scores a model on held-out interactions by full ranking over the items that are not in a user's training part.

    There must be some, none of them in train, and more of the metric must be better.
    """

    def __init__(self, train: Interactions, held_out: Interactions, metric: Metric, k: int) -> None:
        if not len(held_out):
            raise InvalidInputError("validation holds no interactions; leave it out, or make a larger one.")
        shared = int(train.contains(held_out.users, held_out.items).sum())
        if shared:
            raise InvalidInputError(
                f"{shared} of {counted(len(held_out), 'validation pair')} can be found in train as well; these can "
                f"never be recommended. Remove them from one of the two."
            )
        if getattr(metric, "better", "higher") != "higher":
            raise InvalidInputError(f"metric={metric!r} is better when it is lower; give one that should rise.")
        self.metric, self.k = metric, min(k, train.n_items)
        self.users = np.flatnonzero(held_out.activity).astype(np.int32)
        self.profiles = Profiles(train, PopularityGroups.by_mass(train.popularity))
        relevant = held_out.matrix[self.users]
        self.starts, self.relevant = relevant.indptr.astype(np.int64), relevant.indices.astype(np.int32)
        self.rows = np.repeat(np.arange(len(self.users)), np.diff(self.starts))

    def __call__(self, model: nn.Module) -> float:
        """Return the metric, as its mean over users who have held-out items if it has a value for each."""
        train = self.profiles.train
        lists = recommend(model, train, codes=self.users, k=self.k).items
        ranks = find_ranks(lists, self.rows, self.relevant)
        top = TopK(lists, self.users, self.profiles, self.starts, self.relevant, ranks)
        found = evaluate(top, getattr(self.metric, "__name__", "metric"), self.metric)
        if not np.isfinite(found).any():
            raise InvalidInputError("metric is finite for no user of the validation. Return one number, or several.")
        return float(np.nanmean(found))


def _method(
    model: nn.Module, train: Interactions, penalties: Sequence[Penalty], device: torch.device,
    random: np.random.Generator, of_items: dict[str, Any], how: dict[str, Any],
) -> Solving | Stepping:  # fmt: skip
    """Return what an epoch does."""
    if hasattr(model, "solve"):
        solve: Any = model.solve
        return Solving(solve(train, penalties=penalties, item_weights=of_items["item_weights"]), device)
    return Stepping(model, train, penalties, device, random, **of_items, **how)


def _check_solved(model: nn.Module, *given: str) -> None:
    if foreign := set(given) - {"epochs", "eval_every"}:
        raise InvalidInputError(
            f"{type(model).__name__} is solved for in closed form, without {' and '.join(sorted(foreign))}; leave that "
            f"out. What there is to choose are arguments of {type(model).__name__}."
        )


def _describe_rng(rng: RNG) -> Any:
    if isinstance(rng, np.random.Generator):
        state = json.dumps(rng.bit_generator.state, sort_keys=True, default=str)
        return f"generator {digest(state.encode())}"
    return None if rng is None else int(rng)
