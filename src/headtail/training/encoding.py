"""Vectors of users and items from a model: its own, or those of any function with the same call."""

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import headtail._torch  # noqa: F401 - first, for its error

import numpy as np
import torch
from torch import Tensor, nn

from headtail._checks import checked, integer, raised_by, user_codes
from headtail._factors import as_pair, check_widths
from headtail._printable import kind_of
from headtail._tensors import as_device, as_tensor, evaluating, finite
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Recommender, Vectors

_ELSE = (
    "Where scores are inner products give both matrices, such as (model.users.weight, model.items.weight). Of two "
    "towers give headtail.integrations.pytorch.vectors(...), of any other model Recommendations.from_scores(...)."
)


def device_of(model: Any, device: str | torch.device | None) -> torch.device:
    """Return the device given, or the one on which the model's parameters lie."""
    if device is not None:
        return as_device(device)
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    return next((p.device for p in parameters), torch.device("cpu"))


def _users_at_once(model: Any) -> int:
    return 1024 if hasattr(model, "max_length") else 65_536


def check_call(model: Any) -> None:
    """Raise if a model cannot be called with users alone."""
    called = model.forward if isinstance(model, nn.Module) else model
    try:
        inspect.signature(called).bind(None)
    except TypeError as error:
        raise InvalidInputError(f"{type(model).__name__} is not called with users alone: {error}. {_ELSE}") from None
    except ValueError:  # it has no signature
        pass


def check_sizes(model: Any, interactions: Interactions, what: str, cure: str) -> None:
    """Raise if a model says of how many items, or by their codes of how many users, it is, and these are others."""
    for name in ("n_items",) if hasattr(model, "max_length") else ("n_users", "n_items"):
        own, given = getattr(model, name, None), getattr(interactions, name)
        if own is not None and own != given:
            raise InvalidInputError(f"the model has {name}={own} and {what} {given}; {cure}.")


def inputs(
    model: Recommender,
    interactions: Interactions,
    users: Iterable[Any] | None = None,
    *,
    codes: Array | None = None,
    batch_size: int = 2048,
) -> Iterator[Tensor]:
    """Yield what a model takes, batch by batch: codes of users, or the histories of a sequential model.

    Parameters
    ----------
    model : torch.nn.Module
        Sequential if it has an attribute ``max_length``.
    interactions : Interactions, frame or sparse matrix
        The histories: for the test, all that is known then, ``split.known``. With times or an order if `model` is
        sequential.
    users : sequence of user ids, optional
        Whose; all users without it.
    codes : int array of shape (U,), optional
        Codes of the users, instead of their ids; one may stand there several times.
    batch_size : int, default 2048

    Yields
    ------
    int64 tensor of shape (B,) or (B, L)
        Codes of users; or of the items of their histories, the latest at the right end, filled with -1 at the left, L
        the length of the batch's longest, at most `max_length`. In the order of `users`.

    Examples
    --------
    >>> frame = pl.DataFrame({"user_id": [1, 1, 2], "item_id": [7, 8, 7], "timestamp": [10, 20, 30]})
    >>> train = Interactions.from_frame(frame)
    >>> list(inputs(ht.models.SASRec(train.n_items, max_length=50, rng=0), train))
    [tensor([[ 0,  1],
            [-1,  0]])]
    """
    batch_size = integer("batch_size", batch_size, low=1)
    interactions = Interactions.of(interactions)
    check_sizes(model, interactions, "the interactions", "give those that it was trained on")
    found = interactions.user_codes(users, codes=codes)
    max_length: Any = getattr(model, "max_length", None)
    for start in range(0, len(found), batch_size):
        part = found[start : start + batch_size]
        if max_length is None:
            yield torch.from_numpy(part.astype(np.int64))
        else:
            longest = int(interactions.activity[part].clip(1, max_length).max())
            yield torch.from_numpy(interactions.sequences(codes=part, max_length=longest).astype(np.int64))


@checked
def vectors(
    model: Recommender,
    users: Iterable[Any] | None = None,
    *,
    interactions: Interactions | None = None,
    codes: Array | None = None,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
) -> Vectors:
    """Run a model over users in blocks, in evaluation mode and without gradients.

    Parameters
    ----------
    model : torch.nn.Module or function
        Called with codes of users or, if it has an attribute ``max_length``, sequences of items, as tensors, it returns
        :class:`~headtail.typing.Vectors`. A model of another library needs a function of one line::

            lambda users: Vectors(theirs.user_factors[users], theirs.item_factors)
    users, codes : optional
        Whose queries, by ids or codes, see :func:`inputs`; all users without them.
    interactions : Interactions, frame or sparse matrix, optional
        The ids, and the histories, which a sequential model needs; see :func:`inputs`.
    device : str or torch.device, optional
        Where to run; the model is moved there. Without it, where the model is.
    batch_size : int, optional
        Users in a block; without it 65,536, or 1,024 for a sequential model.

    Returns
    -------
    Vectors
        Tensors on `device`: queries (U, d), items (I, d); with the ids of `interactions`, where these are given.

    Examples
    --------
    >>> queries, items = vectors(ht.MF(n_users=4, n_items=6, embedding_dim=2, rng=0))
    >>> queries.shape, items.shape
    (torch.Size([4, 2]), torch.Size([6, 2]))
    """
    size = integer("batch_size", batch_size or _users_at_once(model), low=1)
    if interactions is not None:
        batches = inputs(model, interactions, users, codes=codes, batch_size=size)
    else:
        batches = iter(_codes(model, users, codes).split(size))  # type: ignore[no-untyped-call]
    device = device_of(model, device)
    if isinstance(model, nn.Module):
        model.to(device)
    with evaluating(model), torch.no_grad():
        blocks = [_encoded(model, batch.to(device)) for batch in batches]
    for block in blocks[1:]:
        if not _alike(blocks[0].items, block.items):
            raise InvalidInputError(
                f"{_name(model)} returned other items for other users, so that they have no vectors of their own. "
                f"Return the same for all; where scores are no inner products, Recommendations.from_scores(...) takes "
                f"them."
            )
    # Of their own: many models return a table of weights as it is, which training on would change.
    queries, items = torch.cat([b.queries for b in blocks]), blocks[0].items.clone()
    with raised_by(f"What {_name(model)} returned"):
        queries, items = finite("queries", queries), finite("items", items)
    if interactions is None or len(items) != (known := Interactions.of(interactions)).n_items:
        return Vectors(queries, items)
    return Vectors(queries, items, known.user_ids[known.user_codes(users, codes=codes)], known.item_ids)


def within(model: Any) -> Any | None:
    """Return the model of headtail in steered ones, if it computes its vectors and only its ends are edited, or None.

    The ends are its layers "query" and "item", after which it does nothing; one with ``row_tables`` computes nothing.
    """
    layers = [model]
    while hasattr(layers[-1], "edit"):
        layers.append(layers[-1].model)
    inner = layers.pop()
    if not type(inner).__module__.startswith("headtail.models.") or getattr(inner, "row_tables", None):
        return None
    parts = [*layers, *(part for part in inner.modules() if part is not inner.query and part is not inner.item)]
    return None if any(part._forward_hooks or part._forward_pre_hooks for part in parts) else inner


def before_ends(inner: Any, interactions: Interactions, codes: Array | None) -> Vectors:
    """Return the vectors that such a model gives its layers "query" and "item"."""
    bare = copy.copy(inner)
    bare._modules = {**inner._modules, "query": nn.Identity(), "item": nn.Identity()}
    return vectors(bare, interactions=interactions, codes=codes)


def through_ends(model: Any, inner: Any, given: Vectors) -> Vectors:
    """Return what the ends make of these vectors, as :func:`vectors` would return it of `model`."""
    with evaluating(model), torch.no_grad():
        queries = torch.cat([inner.query(part) for part in torch.split(given.queries, _users_at_once(inner))])
        return given._replace(queries=finite("queries", queries), items=finite("items", inner.item(given.items)))


def _codes(model: Any, users: Any, codes: Any) -> Tensor:
    """Return codes of a model of users that come without interactions."""
    if hasattr(model, "max_length"):
        problem = "is sequential, so it needs histories"
    elif users is not None:
        problem = "does not know the ids of users"
    elif codes is None and not hasattr(model, "n_users"):
        problem = "does not say of how many users it is (n_users)"
    else:
        if codes is None:
            return torch.arange(model.n_users, device="cpu")
        return torch.from_numpy(user_codes(codes, getattr(model, "n_users", 2**31))).long()
    raise InvalidInputError(
        f"{type(model).__name__} {problem}; give interactions=..., such as the training interactions."
    )


def _alike(some: Tensor, others: Tensor) -> bool:
    """Whether item vectors are the same, but for rounding."""
    if some.shape != others.shape or some.data_ptr() == others.data_ptr():
        return some.shape == others.shape
    return not (some - others).abs().max() > 0.01 * some.abs().max()


def _encoded(model: Any, batch: Tensor) -> Vectors:
    """Return what the model makes of a batch, detached."""
    check_call(model)
    try:
        out = model(batch)
    except IndexError as error:
        raise InvalidInputError(
            f"{_name(model)} has no row for one of the codes {int(batch.min())} to {int(batch.max())}: {error}. Give "
            f"the interactions that it was trained on, or a model for all their users and items."
        ) from error
    return Vectors(*(matrix.detach() for matrix in returned(model, out, len(batch))))


def _name(model: Any) -> str:
    """Return the name of a function, or of a model's class."""
    return str(getattr(model, "__name__", type(model).__name__))


def returned(model: Any, out: Any, n_rows: int, of: str = "users") -> tuple[Tensor, Tensor]:
    """Return the queries and items that a model returned as matrices, or say what else they are."""
    name = _name(model)
    try:
        if isinstance(out, Mapping):
            raise TypeError
        queries, items = out
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name} returned {kind_of(out)}; return Vectors(queries, items). {_ELSE}") from None
    with raised_by(f"What {name} returned"):
        if of != "users" and getattr(queries, "ndim", 0) == 3:  # (B, L, d), a state for each place
            queries = queries.flatten(0, 1)
        queries, items = as_tensor("queries", queries), as_tensor("items", items)
        check_widths(queries, items)
    if len(queries) != n_rows:
        raise InvalidInputError(
            f"{name} returned queries of shape {tuple(queries.shape)} for {n_rows} {of}; return one row for each."
        )
    return queries, items


class _Factors(nn.Module):
    """Factors as a model of users."""

    def __init__(self, queries: Tensor, items: Tensor) -> None:
        super().__init__()
        self.n_users, self.n_items = len(queries), len(items)
        self.users = nn.Embedding.from_pretrained(queries)  # type: ignore[no-untyped-call]
        self.items = nn.Parameter(items, requires_grad=False)
        self.query, self.item = nn.Identity(), nn.Identity()  # where hooks find queries and items

    def forward(self, users: Tensor) -> Vectors:
        return Vectors(self.query(self.users(users)), self.item(self.items))


@checked
def as_model(vectors: Any) -> nn.Module:
    """Return a model of these vectors, with ``query`` and ``item`` layers for autoencoders to read and steer.

    Parameters
    ----------
    vectors : Vectors or pair (Q, V)
        In the order of the codes of the interactions that the model is used with.

    Examples
    --------
    >>> model = as_model((torch.eye(3), torch.ones(5, 3)))
    >>> model(torch.tensor([0, 2])).queries.shape
    torch.Size([2, 3])
    """
    pair = as_pair(vectors)
    return _Factors(*(as_tensor(name, matrix).float().clone() for name, matrix in zip(pair._fields, pair, strict=True)))
