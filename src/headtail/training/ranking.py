"""Vectors of a trained model, and the exact best items of every user."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headtail._checks import integer
from headtail.data import Interactions, Recommendations
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, ArrayLike2D, Codes, Vectors

_USERS, _ITEMS = 512, 1 << 14  # scores of one block on a CPU: at most 32 MiB as float32
_CUDA_USERS, _CUDA_ITEMS = 4096, 1 << 16  # 1 GiB


def device_of(model: nn.Module, device: str | torch.device | None) -> torch.device:
    """Return the device given, or the one on which the model's parameters lie."""
    if device is not None:
        return torch.device(device)
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def check_sizes(model: nn.Module, interactions: Interactions, what: str, cure: str) -> None:
    """Raise unless a model has as many items and, if it knows users by their codes, users as the interactions."""
    for name in ("n_items",) if hasattr(model, "max_length") else ("n_users", "n_items"):
        own, given = getattr(model, name, None), getattr(interactions, name)
        if own != given:
            raise InvalidInputError(f"the model has {name}={own} and {what} {given}; {cure}.")


def inputs(
    model: nn.Module, interactions: Interactions, users: Array | None = None, *, batch_size: int = 2048
) -> Iterator[Tensor]:
    """Yield what a model takes, batch by batch: codes of users, or the histories of a sequential model.

    Parameters
    ----------
    model : torch.nn.Module
        Sequential if it has an attribute ``max_length``.
    interactions : Interactions
        The histories: for the test, all that is known then, ``split.known``. With times or an order if `model` is
        sequential.
    users : int array of shape (U,), optional
        Codes of users; all without it.
    batch_size : int, default 2048
        Users in a batch.

    Yields
    ------
    int64 tensor of shape (B,) or (B, L)
        Codes of users; or of the items of their histories, the latest at the right end, filled with -1 at the left, L
        the length of the batch's longest, at most `max_length`. In the order of `users`.

    Raises
    ------
    InvalidInputError
        If no user is given, a code is not that of a user, or a sequential model meets interactions without time.

    Examples
    --------
    >>> import polars as pl
    >>> from headtail.models import SASRec
    >>> frame = pl.DataFrame({"user_id": [1, 1, 2], "item_id": [7, 8, 7], "timestamp": [10, 20, 30]})
    >>> train = Interactions.from_frame(frame)
    >>> list(inputs(SASRec(train.n_items, max_length=50, rng=0), train))
    [tensor([[ 0,  1],
            [-1,  0]])]
    """
    integer("batch_size", batch_size, low=1)
    codes = _codes(interactions.n_users, users)
    max_length: Any = getattr(model, "max_length", None)
    for start in range(0, len(codes), batch_size):
        part = codes[start : start + batch_size]
        if max_length is None:
            yield torch.from_numpy(part)
        else:
            longest = int(interactions.activity[part].clip(1, max_length).max())
            yield torch.from_numpy(interactions.sequences(part, longest).astype(np.int64))


def _codes(n_users: Any, users: Any) -> Array:
    codes: Array = np.arange(n_users) if users is None else np.array(users, dtype=np.int64)
    if not len(codes):
        raise InvalidInputError("users is empty; give at least one user, or None for all.")
    return codes


@torch.no_grad()
def vectors(
    model: nn.Module,
    users: Array | None = None,
    *,
    interactions: Interactions | None = None,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
) -> Vectors:
    """Run a model over users in blocks, in evaluation mode and without gradients.

    Parameters
    ----------
    model : torch.nn.Module
        Its ``forward`` takes codes of users or, if it has an attribute ``max_length``, sequences of items, and returns
        :class:`~headtail.typing.Vectors`.
    users : int array of shape (U,), optional
        Codes of users; all without it.
    interactions : Interactions, optional
        The histories, which a sequential model needs; see :func:`inputs`.
    device : str or torch.device, optional
        Where to run; the model is moved there. Without it, where the model is.
    batch_size : int, optional
        Users in a block; without it 65,536, or 1,024 for a sequential model.

    Returns
    -------
    Vectors
        Tensors on `device`: queries (U, d), items (I, d).

    Raises
    ------
    InvalidInputError
        If no user is given, or the model is sequential and the interactions are missing or without time.

    Examples
    --------
    >>> from headtail.models import MF
    >>> queries, items = vectors(MF(n_users=4, n_items=6, embedding_dim=2, rng=0))
    >>> queries.shape, items.shape
    (torch.Size([4, 2]), torch.Size([6, 2]))
    """
    sequential = hasattr(model, "max_length")
    size = integer("batch_size", batch_size or (1024 if sequential else 65_536), low=1)
    if sequential and interactions is None:
        raise InvalidInputError(
            f"{type(model).__name__} is sequential, so it needs histories; give interactions=..., such as the training "
            f"interactions."
        )
    device = device_of(model, device)
    model.to(device)
    if interactions is not None:
        batches = inputs(model, interactions, users, batch_size=size)
    else:
        batches = iter(torch.from_numpy(_codes(model.n_users, users)).split(size))  # type: ignore[no-untyped-call]
    was_training = model.training
    model.eval()
    try:
        blocks = [Vectors(*model(batch.to(device))) for batch in batches]
    finally:
        model.train(was_training)
    return Vectors(torch.cat([block.queries for block in blocks]).detach(), blocks[0].items.detach())


def recommend(
    model: "nn.Module | Vectors | tuple[ArrayLike2D, ArrayLike2D]",
    interactions: Interactions,
    *,
    users: Any = None,
    k: int = 10,
    exclude_seen: bool = True,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
) -> Recommendations:
    """Return the k best items of each user, exactly, over the whole catalogue.

    Scores ``queries @ items.T`` are made in blocks of `batch_size` users by 16,384 items (65,536 on CUDA) and merged,
    so that beside the factors and the result at most one block of scores is held: 32 MiB with the defaults (1 GiB on
    CUDA). Equal scores are ranked by item code, lowest first, as a full stable sort would do; equal means equal after
    rounding in the factors' precision (float32, or float64 where both factors are).

    Parameters
    ----------
    model : torch.nn.Module, Vectors or (Q, V)
        A model whose ``forward`` takes users or sequences and returns vectors, as in :func:`vectors`, or the two
        factors as numpy arrays or tensors: queries with one row for each user of `interactions`, items with one row for
        each item, in the order of the codes.
    interactions : Interactions
        What is known: the ids, the items that a user has seen, and the histories of a sequential model.
    users : sequence of user ids, optional
        Whom to serve; all users without it.
    k : int, default 10
        Length of the lists, at most the number of items.
    exclude_seen : bool, default True
        Leave out the items of a user's own `interactions`. A list is shorter than k (filled with -1 at its end) where
        fewer items remain.
    device : str or torch.device, optional
        Where to compute; without it, where the model or the factors are.
    batch_size : int, optional
        Users in a block; 512 (4,096 on CUDA) without it.

    Returns
    -------
    Recommendations
        With scores, in the order of `users`.

    Raises
    ------
    InvalidInputError
        If the factors do not fit the interactions, hold values that are not finite or are so large that scores would
        overflow, if k exceeds the number of items, or if a user is unknown or repeated.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> frame = pl.DataFrame({"user_id": ["ann", "bob"], "item_id": ["x", "y"]})
    >>> train = Interactions.from_frame(frame)
    >>> recommend((np.eye(2), np.eye(2)), train, k=2).to_polars().rows()
    [('ann', 'y', 1, 0.0), ('bob', 'x', 1, 0.0)]
    """
    if integer("k", k, low=1) > interactions.n_items:
        raise InvalidInputError(f"k={k} exceeds the catalogue of {interactions.n_items} items; lower k.")
    codes = interactions.user_codes(users)
    queries, items = _factors(model, interactions, codes, device)
    cuda = queries.is_cuda
    n_rows = integer("batch_size", batch_size or (_CUDA_USERS if cuda else _USERS), low=1)
    n_columns = _CUDA_ITEMS if cuda else _ITEMS

    best_items = np.empty((len(codes), k), dtype=np.int32)
    best_scores = np.empty((len(codes), k), dtype=np.float64 if queries.dtype == torch.float64 else np.float32)
    for start in range(0, len(codes), n_rows):
        part = slice(start, start + n_rows)
        scores, best = _best(queries[part], items, codes[part], interactions if exclude_seen else None, k, n_columns)
        absent = scores == -torch.inf
        best_items[part] = best.masked_fill(absent, -1).cpu().numpy()
        best_scores[part] = scores.masked_fill(absent, torch.nan).cpu().numpy()
    return Recommendations(interactions.user_ids, interactions.item_ids, codes, best_items, best_scores)


def _factors(model: Any, interactions: Interactions, codes: Codes, device: Any) -> tuple[Tensor, Tensor]:
    """Return the queries of the users asked for and the vectors of all items, checked."""
    if isinstance(model, nn.Module):
        cure = "recommend with the interactions that the model was trained on"
        check_sizes(model, interactions, "the interactions", cure)
        queries, items = vectors(model, codes, interactions=interactions, device=device)
    else:
        queries, items = (torch.as_tensor(m).detach() for m in model)
        expected = (interactions.n_users, interactions.n_items)
        if queries.ndim != 2 or items.ndim != 2 or (len(queries), len(items)) != expected:
            raise InvalidInputError(
                f"queries have shape {tuple(queries.shape)} and items {tuple(items.shape)}; give one row for each "
                f"of the {expected[0]} users and {expected[1]} items of the interactions."
            )
        device = queries.device if device is None else torch.device(device)
        if len(codes) < len(queries) or (codes[1:] < codes[:-1]).any():
            queries = queries[torch.from_numpy(codes.astype(np.int64)).to(queries.device)]
        queries, items = queries.to(device), items.to(device)
    if queries.shape[1] != items.shape[1]:
        raise InvalidInputError(
            f"queries have dimension {queries.shape[1]} and items {items.shape[1]}; they must match."
        )
    both = torch.float64 if queries.dtype == items.dtype == torch.float64 else torch.float32
    queries, items = queries.to(both), items.to(both)
    # No score is above the product of the two largest lengths, so that scores need no check of their own.
    largest = torch.linalg.vector_norm(queries, dim=1).amax() * torch.linalg.vector_norm(items, dim=1).amax()
    if not torch.isfinite(largest):
        raise InvalidInputError(
            "queries or items hold values that are NaN, infinite or too large to score; check that training converged."
        )
    return queries, items


def _best(
    queries: Tensor, items: Tensor, codes: Codes, seen: Interactions | None, k: int, n_columns: int
) -> tuple[Tensor, Tensor]:
    """Return scores and item codes, (B, k) each, of one block of users over all blocks of items."""
    found: list[tuple[Tensor, Tensor]] = []
    for start, block in _blocks(items, n_columns):
        scores = queries @ block.T  # (B, columns)
        if seen is not None:
            rows, columns = _seen(seen, codes, start, start + len(block))
            scores[torch.from_numpy(rows).to(scores.device), torch.from_numpy(columns).to(scores.device)] = -torch.inf
        values, columns_ = _top(scores, min(k, len(block)))
        found.append((values, columns_ + start))
        if len(found) > 1:  # keep k of those so far; a stable sort ranks equal scores by block, so by item code
            values, columns_ = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
            values, order = values.sort(dim=1, descending=True, stable=True)
            found = [(values[:, :k], columns_.gather(1, order)[:, :k])]
    return found[0]


def _blocks(items: Tensor, n_columns: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(items), n_columns):
        yield start, items[start : start + n_columns]


def _seen(interactions: Interactions, codes: Codes, low: int, high: int) -> tuple[Any, Any]:
    """Return the positions of seen items within a block of scores (users `codes`, items from `low` to `high`)."""
    matrix = interactions.matrix
    starts, counts = matrix.indptr[codes], interactions.activity[codes]
    rows = np.repeat(np.arange(len(codes)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = matrix.indices[np.repeat(starts, counts) + within].astype(np.int64)
    if low > 0 or high < interactions.n_items:
        inside = (columns >= low) & (columns < high)
        rows, columns = rows[inside], columns[inside]
    return rows, columns - low


def _top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k highest values of each row and their columns; of equal values the lowest columns, ascending."""
    values, columns = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    # topk leaves the order of equal values open. One more value than asked for shows where that matters.
    tied = ((values[:, 1:] == values[:, :-1]) & (values[:, 1:] > -torch.inf)).any(dim=1).nonzero()[:, 0]
    values, columns = values[:, :k], columns[:, :k]
    for rows in torch.split(tied, max(1, len(scores) // 8)):
        sorted_values, order = scores[rows].sort(dim=1, descending=True, stable=True)
        values[rows], columns[rows] = sorted_values[:, :k], order[:, :k]
    return values, columns
