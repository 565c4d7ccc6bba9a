"""What an epoch does: gradient steps on positive items against negatives, or solving in closed form."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from headtail import _distributed
from headtail._checks import integer, number
from headtail._tensors import evaluating, no_autocast, take_rows
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError, TrainingDivergedError
from headtail.losses import Loss
from headtail.penalties import Penalty
from headtail.training import fused
from headtail.training.adam import Adam
from headtail.training.batches import Batch, Distinct, Pairs, Windows
from headtail.training.encoding import returned
from headtail.training.running import Advance, steps
from headtail.training.scores import catalogue_loss, one_number, pair_scores
from headtail.typing import Floats

_LARGE = 4  # times the rows that a batch takes, a table is large: only those rows are read and moved

FIT = "make the model with the sizes of train"


class Solving:
    """An epoch of a model that is solved for."""

    size, optimizer = 1, None
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, solve: Callable[[], dict[str, float]], device: torch.device) -> None:
        self._solve, self.device = solve, device

    def epoch(self, number: int, advance: Advance) -> dict[str, float]:
        """Solve once; return the loss that is left and its parts."""
        with no_autocast(self.device):
            parts = self._solve()
        if not np.isfinite(parts["loss"]):
            raise TrainingDivergedError(
                f"Epoch {number}: the loss is {parts['loss']}. Likely cause: the model held values that are not "
                f"finite, or too large, before; make a new one."
            )
        advance(1)
        return parts


class Stepping:
    """An epoch of gradient steps, one for each batch."""

    def __init__(
        self,
        model: nn.Module,
        train: Interactions,
        penalties: Sequence[Penalty],
        device: torch.device,
        random: np.random.Generator,
        *,
        item_weights: Floats | None,
        item_values: Floats | None,
        penalty_every: int,
        loss: Loss,
        n_negatives: int | Literal["all"],
        batch_size: int,
        lr: float,
        weight_decay: float,
        distributed: bool = False,
    ) -> None:
        self.model, self.n_items, self.device, self.random = model, train.n_items, device, random
        self.loss, self.penalties, self.penalty_every = loss, penalties, penalty_every
        self.lr = number("lr", lr, low=0, low_open=True)
        self.batch_size = integer("batch_size", batch_size, low=1)
        self.n_drawn = 0 if n_negatives == "all" else integer("n_negatives", n_negatives, low=1)
        weight_decay = number("weight_decay", weight_decay, low=0)
        _check(model)
        self.n_processes = _distributed.world_size() if distributed else 1
        if self.n_processes > 1:
            _check_distributed(model, penalties)
        if item_weights is not None:
            _check_takes(loss, n_negatives, "item_weights", "weight", "bpr, bce, mse or sampled_softmax")
        if item_values is not None:
            _check_takes(loss, n_negatives, "item_values", "values", "deconfounded or pr_entmax")
        length = getattr(model, "max_length", None)
        drawn = train, self.n_drawn
        self.batches: Pairs | Windows = Pairs(*drawn) if length is None else Windows(*drawn, length)
        self.size = len(self.batches)
        n_batches = -(-self.size // self.batch_size)
        self.often = n_batches / -(-n_batches // penalty_every)  # so that the penalties weigh as much over an epoch
        self.weight_of, self.value_of = (
            None if given is None else torch.from_numpy(given).to(device, torch.float32)
            for given in (item_weights, item_values)
        )
        self.names = [*_part_names(penalties), *(["auxiliary"] if hasattr(model, "forward_with_loss") else [])]
        self.tables = self._large()
        self.distinct = Distinct(train.n_items)
        self.optimizer = Adam(
            model.parameters(), [model.get_parameter(name) for name in self.tables if name], lr=lr,
            weight_decay=weight_decay, fused=device.type in ("cpu", "cuda"),
        )  # fmt: skip
        self.settings = {
            "loss": describe(loss), "n_negatives": n_negatives, "penalty_every": penalty_every,
            "batch_size": batch_size, "lr": lr, "weight_decay": weight_decay,
        }  # fmt: skip

    def epoch(self, number: int, advance: Advance) -> dict[str, float]:
        """Take a step for every batch; return the mean loss and penalties."""
        self.model.train()
        self.optimizer.zero_grad()
        plain = self.n_drawn and self.n_processes == 1 and fused.fits(self.model)
        self.fused = fused.Step(self.model, self.optimizer) if plain else None
        batches = self.batches.epoch(self.batch_size, self.random)
        row = steps(batches, self._step, self.model, self.names, self._cause, number, advance)
        self.optimizer.refresh()
        return row

    def _step(self, i: int, batch: Batch) -> tuple[list[Tensor], int]:
        penalizing = bool(self.penalties) and i % self.penalty_every == 0
        whole, batch, share = len(batch.rows), *self._own(batch)
        held, taken = self._rows(batch, all_items=penalizing)
        if self.fused and not penalizing:
            fitting = self.fused(held, partial(self._fitting, batch))
            return [fitting, *(fitting.new_zeros(()) for _ in self.penalties)], whole
        inputs, rows, candidates = (torch.from_numpy(codes).to(self.device) for codes in held)
        # (Q, d), (S, d), (I, d): those of which each target has one, those that users are served by, and items: all or
        # the batch's
        queries, serving, items, auxiliary = _encode(self.model, taken, inputs, rows, candidates)
        if held.candidates is batch.candidates and len(items) != self.n_items:
            raise InvalidInputError(f"the model has vectors of {len(items)} items and train {self.n_items}; {FIT}.")
        with no_autocast(self.device):
            if self.n_drawn:
                fitting = self._fitting(batch, pair_scores(queries, rows, items, candidates))
            else:
                fitting = catalogue_loss(self.loss, take_rows(queries, rows), items, candidates[:, 0])
            if penalizing:
                named = zip(self.names[1:], self.penalties, strict=False)
                found = [one_number(name, penalty(serving, items), constant=True) for name, penalty in named]
                penalties = [self.often * penalty for penalty in found]
            else:
                penalties = [fitting.new_zeros(()) for _ in self.penalties]
            terms = [fitting if share == 1 else fitting * share, *penalties, *auxiliary]
            torch.autograd.backward(torch.stack(terms).sum() if len(terms) > 1 else fitting)
            if self.n_processes > 1:
                terms = [term.detach() for term in terms]
                _distributed.average([*terms, *(p.grad for p in self.model.parameters() if p.grad is not None)])
            self.optimizer.step()
        return terms, whole

    def _fitting(self, batch: Batch, scores: Tensor) -> Tensor:
        """Return the loss of the scores (B, 1 + n) of a batch."""
        told = {} if self.weight_of is None else {"weight": self.weight_of[batch.candidates[:, 0]]}
        told |= {} if self.value_of is None else {"values": self.value_of[batch.candidates]}
        return one_number("loss", self.loss(scores[:, 0], scores[:, 1:], **told))

    def _own(self, batch: Batch) -> tuple[Batch, float]:
        """Return what this process takes of a batch, and its share of the targets, 1 on average over processes."""
        if len(batch.inputs) < self.n_processes:  # too small to share: every process takes it all
            return batch, 1
        own = batch.share(_distributed.rank(), self.n_processes)
        return own, self.n_processes * len(own.rows) / len(batch.rows)

    def _large(self) -> tuple[str | None, str | None]:
        """Return the names of the tables of users and of items, each if it is large beside what a batch takes of it."""
        if not self.n_drawn or self.n_processes > 1:  # processes exchange gradients of whole tables
            return None, None
        users, items = getattr(self.model, "row_tables", None) or (None, None)
        # Not those that a wrapper knows by another name, that are computed from others, or that are frozen.
        tables = {name: weights for name, weights in self.model.named_parameters() if weights.requires_grad}

        def if_large(name: str | None, taken: int) -> str | None:
            return name if name in tables and len(tables[name]) > _LARGE * taken else None

        items = if_large(items, self.batch_size * (1 + self.n_drawn))
        return if_large(users, self.batch_size), items if items and self._returns(tables[items]) else None

    def _returns(self, table: Tensor) -> bool:
        """Whether the model returns a table of items as it is; hooks or a layer after it may change it."""
        with evaluating(self.model), torch.no_grad():
            _, items = returned(self.model, self.model(torch.zeros(1, dtype=torch.int64, device=self.device)), 1)
        return items.data_ptr() == table.data_ptr() and items.shape == table.shape

    def _rows(self, batch: Batch, *, all_items: bool) -> tuple[Batch, dict[str, Tensor]]:
        """Return a batch with the rows that it takes of large tables, by name; its codes then are places among them."""
        users, items = self.tables
        taken = {}
        if users:
            taken[users] = self.optimizer.rows(self.model.get_parameter(users), batch.inputs)
            batch = batch._replace(inputs=np.arange(len(batch.inputs)))
        if items and all_items:
            self.optimizer.refresh(self.model.get_parameter(items))
        elif items:
            codes, candidates = self.distinct(batch.candidates)
            taken[items] = self.optimizer.rows(self.model.get_parameter(items), codes)
            batch = batch._replace(candidates=candidates)
        return batch, taken

    def _cause(self, part: str) -> str:
        if part not in ("loss", "a weight"):
            return f"the weight of {part} is too large beside lr={self.lr:g}: lower either"
        return (
            f"lr={self.lr:g} is too high for this model and loss (try {self.lr / 10:g}), or the weights were not "
            f"finite before"
        )


def _encode(
    model: nn.Module, taken: dict[str, Tensor], inputs: Tensor, rows: Tensor, candidates: Tensor
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Return all queries, those that users are served by, all items, and the model's own loss if any."""
    module: Any = model
    sequential, auxiliary = hasattr(model, "max_length"), []
    if hasattr(model, "forward_with_loss"):
        out, *auxiliary = module.forward_with_loss(inputs, rows, candidates)
    elif sequential:
        out = module.states(inputs)  # (S, L, d)
    else:
        out = functional_call(model, taken, (inputs,)) if taken else model(inputs)
    queries, items = returned(model, out, inputs.numel(), "places of sequences" if sequential else "users")
    serving = queries.view(*inputs.shape, -1)[:, -1] if sequential else queries
    return queries, serving, items, auxiliary


def _check(model: nn.Module) -> None:
    if hasattr(model, "max_length") and not hasattr(model, "states"):
        raise InvalidInputError(
            f"{type(model).__name__} has max_length, so it is sequential, but no method states(sequences), by which it "
            f"is trained. Add one that returns Vectors of the states (B, L, d) and the items (I, d)."
        )
    if not any(p.requires_grad for p in model.parameters()):
        raise InvalidInputError(
            f"{type(model).__name__} has no weights that gradients train, and no solve(train, ...) instead of them."
        )
    if any(p.dtype == torch.float16 for p in model.parameters()):
        raise InvalidInputError(
            f"{type(model).__name__} has weights in float16, in which Adam's steps overflow. Train model.float(), or "
            f"model.bfloat16()."
        )


def _check_takes(loss: Loss, n_negatives: Any, name: str, keyword: str, such: str) -> None:
    if n_negatives == "all" or keyword not in inspect.signature(loss).parameters:
        raise InvalidInputError(
            f"{name} with loss {describe(loss)} and n_negatives={n_negatives!r} cannot be: give a number of negatives "
            f"and a loss with an argument {keyword!r}, such as headtail.losses.{such}."
        )


def _check_distributed(model: nn.Module, penalties: Sequence[Penalty]) -> None:
    if hasattr(model, "forward_with_loss"):
        raise InvalidInputError(
            f"{type(model).__name__} has a loss of its own over all users of a batch, which is no sum over processes. "
            f"Train it with distributed=False."
        )
    if alone := [describe(penalty) for penalty in penalties if not getattr(penalty, "distributed", False)]:
        raise InvalidInputError(
            f"penalties has {alone[0]}, which sees the users of its own process alone. Give one that takes those of "
            f"all, such as ReSN(weight, distributed=True), or leave it out."
        )


def _part_names(penalties: Sequence[Penalty]) -> list[str]:
    """Name the columns of the history: loss, then each penalty by its class; numbered where a name repeats."""
    names = ["loss"]
    for penalty in penalties:
        base = getattr(penalty, "__name__", type(penalty).__name__)
        count = sum(name.split(" ")[0] == base for name in names)
        names.append(f"{base} {count + 1}" if count else base)
    return names


def describe(thing: Any) -> str:
    """Say what a loss or penalty is, the same in every process."""
    if isinstance(thing, partial):
        given = [*map(repr, thing.args), *(f"{name}={value!r}" for name, value in sorted(thing.keywords.items()))]
        return f"{describe(thing.func)}({', '.join(given)})"
    if hasattr(thing, "__qualname__"):
        held = [*(getattr(thing, "__defaults__", None) or ())]
        for cell in getattr(thing, "__closure__", None) or ():
            with suppress(ValueError):  # a name without a value yet
                held.append(cell.cell_contents)
        return _with_numbers(f"{thing.__module__}.{thing.__qualname__}", map(repr, filter(_is_plain, held)))
    text = repr(thing)
    if " at 0x" not in text:
        return text
    own = getattr(thing, "__dict__", {})
    told = (f"{name}={value!r}" for name, value in own.items() if _is_plain(value))
    return _with_numbers(type(thing).__qualname__, told)


def _is_plain(value: Any) -> bool:
    return isinstance(value, (int, float, str))


def _with_numbers(name: str, numbers: Iterable[str]) -> str:
    return f"{name}({text})" if (text := ", ".join(numbers)) else name
