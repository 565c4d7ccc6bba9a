"""The exact best items of every user. Nothing here imports torch, unless a model or a GPU is to be used."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from headtail._checks import checked, integer, list_length, shown
from headtail._factors import as_pair, is_tensor, stored, to_numpy
from headtail._top import highest, slices
from headtail.data import Interactions, Recommendations
from headtail.data.coded import order_by, recoded
from headtail.data.interactions import read_pairs
from headtail.data.rows import by_codes, check_order, in_order_of, joined_with
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, ArrayLike2D, Codes, Floats, Recommender, Vectors

if TYPE_CHECKING:
    import torch

_USERS, _ITEMS = 512, 1 << 14  # of one block on a CPU
_FEWER, _CACHED = 96, 1 << 21  # users in its parts where it has more scores: those of a part stay in the cache
_CUDA_USERS, _CUDA_SCORES = 4096, 1 << 28  # 1 GiB: all items at once, of up to half a million


@checked
def recommend(
    model: "Recommender | Vectors | tuple[ArrayLike2D, ArrayLike2D]",
    interactions: Interactions,
    *,
    users: Iterable[Any] | None = None,
    codes: Array | None = None,
    k: int | None = None,
    exclude_seen: bool = True,
    device: "str | torch.device | None" = None,
    batch_size: int | None = None,
) -> Recommendations:
    """Return the k best items of each user with their scores, exactly, over the whole catalogue.

    Scores ``queries @ items.T`` are made in blocks and merged, so that at most one block of scores is held: 12 MiB with
    the defaults (1 GiB on an accelerator). Equal scores, after rounding in the factors' precision (float32, or float64
    where both factors are), are ranked by item code, lowest first.

    Parameters
    ----------
    model : torch.nn.Module, function, Vectors or (Q, V)
        What takes users or sequences and returns vectors, as for :func:`vectors`, or the two factors as numpy arrays or
        tensors. Those that have ids (:class:`~headtail.Vectors`) are joined with the interactions by them: users and
        items that only they know are served and recommended as well, items without a vector are left out and counted
        in the log, and users without one not served. Without ids there is one row for each user and item of
        `interactions`, in the order of the codes; where interactions then score no higher than those of users exchanged
        at random, a warning is logged.
    interactions : Interactions, frame or sparse matrix
        What is known: the ids, the items that a user has seen, and the histories of a sequential model. The codes of a
        frame are its ids in ascending order, those of a matrix its rows and columns.
    users, codes : optional
        Whom to serve, by ids or by codes, each once; all users without them.
    k : int, optional
        Length of the lists, at most the number of items; by default 20, or as many as there are.
    exclude_seen : bool, default True
        Leave out the items of a user's own `interactions`. A list is shorter than k (filled with -1 at its end) where
        fewer items remain.
    device : str or torch.device, optional
        Where to compute; without it, where the model or the factors are.
    batch_size : int, optional
        Users in a block; without it 512, of a large catalogue 96 to 191 (up to 4,096 on an accelerator).

    Examples
    --------
    >>> frame = pl.DataFrame({"user_id": ["ann", "bob"], "item_id": ["x", "y"]})
    >>> recommend((np.eye(2), np.eye(2)), frame, k=2).to_polars().rows()
    [('ann', 'y', 1, 0.0), ('bob', 'x', 1, 0.0)]
    """
    if callable(model):
        interactions = Interactions.of(interactions)
    else:  # vectors need no times
        model, interactions = joined_with(as_pair(model), read_pairs(interactions, "interactions")[0])
        if users is None and codes is None and model.user_ids is not None:
            users = model.user_ids if len(model.user_ids) < interactions.n_users else None
    k = list_length(k, interactions.n_items)
    found = interactions.user_codes(users, codes=codes)
    if len(np.unique(found)) < len(found):
        raise InvalidInputError("codes names a user more than once; give each user once.")
    queries, items = _factors(model, interactions, found, device)
    seen = partial(_seen_places, interactions) if exclude_seen else None
    of_block: Any = _best_of_block
    n_rows = _USERS
    n_fewer = _FEWER if batch_size is None and n_rows * min(len(items), _ITEMS) > _CACHED else None
    if is_tensor(queries):
        from headtail.training.device import best_of_block

        of_block = best_of_block
        n_rows, n_fewer = min(_CUDA_USERS, max(_USERS, _CUDA_SCORES // len(items))), None
    n_rows = integer("batch_size", batch_size or n_rows, low=1)
    n_columns = max(1, _CUDA_SCORES // n_rows) if is_tensor(queries) else _ITEMS

    best_items = np.empty((len(found), k), dtype=np.int32)
    best_scores = np.empty((len(found), k), dtype=np.float64 if str(items.dtype).endswith("float64") else np.float32)
    for part in _parts(len(found), n_rows, n_fewer or n_rows):
        scores, columns = _best(queries[part], items, found[part], seen, k, n_columns, of_block)
        absent = scores == -np.inf
        best_items[part] = np.where(absent, -1, columns)
        best_scores[part] = np.where(absent, np.nan, scores)
    return Recommendations(interactions.user_ids, interactions.item_ids, found, best_items, best_scores)


def _parts(n: int, n_rows: int, n_fewer: int) -> Iterator[slice]:
    """Yield the users of each block of `n_rows`, `n_fewer` at a time, and all that are left with the last of them.

    Kernels of BLAS take up to 48 rows at once, which divides `_FEWER`, so that products round as those of the block.
    """
    for block in slices(n, n_rows):
        ends = [block.start, *range(block.start + n_fewer, block.stop - n_fewer + 1, n_fewer), block.stop]
        yield from (slice(*part) for part in pairwise(ends))


def lists_of(made: Any, known: Interactions, k: int, codes: Codes | None = None) -> Recommendations:
    """Return the lists of what :func:`recommend` takes, or of a function from the interactions to leave out to lists.

    Such a function may return a frame as well. With `codes`, of these users alone, if lists are made here. A function
    that does not take interactions, or makes vectors of them, is one of users (:class:`~headtail.typing.Recommender`),
    and recommends.
    """
    if hasattr(made, "parameters"):
        return recommend(made, known, codes=codes, k=k)
    if not callable(made):
        return recommend(by_codes(as_pair(made), known), known, codes=codes, k=k)
    try:
        lists = made(known)
        if isinstance(lists, tuple):
            return recommend(made, known, codes=codes, k=k)
        own = isinstance(lists, Recommendations)
        lists = _coded_like(known, lists) if own else Recommendations.from_frame(lists, known)
        return lists.head(k) if lists.k > k else lists
    except Exception as error:
        try:
            return recommend(made, known, codes=codes, k=k)
        except Exception:
            raise error from None


def _coded_like(known: Interactions, lists: Recommendations) -> Recommendations:
    """Return lists with the ids, and so the codes, of interactions, in the order of the users there."""
    codes = {}
    for name, own in (("users", lists.users), ("items", lists.items)):
        ours, theirs = (getattr(each, f"{name[:-1]}_ids") for each in (lists, known))
        codes[name] = recoded(own, ours, theirs, f"lists {name}")
        if (lost := (codes[name] < 0) & (own >= 0)).any():
            raise InvalidInputError(
                f"The lists have {name} that the interactions do not have, such as {shown(ours[own[lost][:1]])}. "
                f"Leave them out."
            )
    order = order_by(codes["users"])
    scores = None if lists.scores is None else lists.scores[order]
    return Recommendations(known.user_ids, known.item_ids, codes["users"][order], codes["items"][order], scores)


def shortened(made: Any, longer: Recommendations, known: Interactions, k: int) -> Recommendations:
    """Return lists of k without what is known, from longer ones of vectors that leave out only a part of it.

    They save another pass over all scores; users who know too many of the longer list are served anew.
    """
    lists = longer.without(known).head(k)
    return served_anew(lists, (lists.items[:, -1] < 0) & (longer.items[:, -1] >= 0), made, known)


def served_anew(lists: Recommendations, which: Array, made: Any, known: Interactions) -> Recommendations:
    """Return lists in which some users, (U,), have those that :func:`lists_of` makes."""
    few = np.flatnonzero(which)
    if len(few):
        anew = lists_of(made, known, lists.k, lists.users[few])
        for name in ("items", "scores"):
            getattr(lists, name)[few] = getattr(anew, name)
    return lists


def _factors(model: Any, interactions: Interactions, codes: Codes, device: Any) -> tuple[Any, Any]:
    """Return the queries of the users asked for and the vectors of all items, checked, as arrays where on the CPU."""
    if callable(model):
        from headtail.training.encoding import vectors

        queries, items = as_pair(vectors(model, codes=codes, interactions=interactions, device=device))
        if len(items) != interactions.n_items:
            raise InvalidInputError(
                f"items has {len(items)} rows and the interactions {interactions.n_items} items; give one row for each."
            )
        if not hasattr(model, "parameters") and not hasattr(model, "max_length"):
            check_order(Vectors(queries, items), interactions, codes)
    else:
        queries, items = in_order_of(model, interactions, codes)
    if any(is_tensor(m) and m.device.type != "cpu" for m in (queries, items)) or str(device or "cpu") != "cpu":
        from headtail.training.device import placed

        queries, items = placed(queries, items, device)
    else:
        queries, items = _of_one_type(to_numpy(queries), to_numpy(items))
    # No score is above the product of the two largest lengths, so that scores need no check of their own.
    with np.errstate(over="ignore", invalid="ignore"):
        largest = _longest(queries) * _longest(items)
    if not np.isfinite(largest):
        raise InvalidInputError(
            "queries or items hold values that are NaN, infinite or too large to score; check that training converged."
        )
    if largest < 1e6 * np.finfo(largest.dtype).tiny and all(bool((m != 0).any()) for m in (queries, items)):
        raise InvalidInputError(
            f"queries or items hold values so small that their products vanish in {largest.dtype}, and the order of "
            f"items with them. Scale the vectors up."
        )
    return queries, items


def _of_one_type(queries: Array, items: Array) -> tuple[Floats, Floats]:
    """Return both as float32, or as float64 if neither fits into less."""
    wide = all(np.result_type(m.dtype, np.float32) == np.float64 for m in (queries, items))
    of_type = np.float64 if wide else np.float32
    return queries.astype(of_type, copy=False), items.astype(of_type, copy=False)


def _longest(matrix: Any) -> Any:
    """Return the length of the longest row, infinite where its square overflows."""
    if is_tensor(matrix):
        return np.float32(matrix.norm(dim=1).max().item())
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sqrt(np.einsum("ij,ij->i", matrix, matrix).max())


def _best(queries: Any, items: Any, codes: Codes, seen: Any, k: int, n_columns: int, of_block: Any) -> Any:
    """Return scores and codes of the best items, (B, k) each, of one block of users over all blocks of items."""
    found: list[tuple[Array, Array]] = []
    for part in slices(len(items), n_columns):
        places = None if seen is None else seen(codes, part.start, part.stop)
        values, columns = of_block(queries, items[part], places, k, floor=found[0][0][:, -1] if found else None)
        found.append((values, columns + part.start))
        if len(found) > 1:  # keep k of those so far; a stable sort ranks equal scores by block, so by item code
            values, columns = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
            order = np.argsort(-values, axis=1, kind="stable")[:, :k]
            found = [(np.take_along_axis(values, order, axis=1), np.take_along_axis(columns, order, axis=1))]
    return found[0]


def _best_of_block(
    queries: Floats, block: Floats, seen: tuple[Array, Array] | None, k: int, *, floor: Floats | None
) -> tuple[Array, Array]:
    """Return the k highest scores of each query with a block of items, (B, k), and their columns.

    Those below the `floor`, (B,), need not be among them.
    """
    scores = queries @ block.T  # (B, columns)
    if seen is not None:
        scores[seen] = -np.inf
    return highest(scores, k, floor)


def _seen_places(interactions: Interactions, codes: Codes, low: int, high: int) -> tuple[Array, Array]:
    """Return the positions of seen items within a block of scores (users `codes`, items from `low` to `high`)."""
    rows, columns = stored(interactions.matrix[codes])
    if low > 0 or high < interactions.n_items:
        inside = (columns >= low) & (columns < high)
        rows, columns = rows[inside], columns[inside]
    return rows, columns.astype(np.int64) - low
