"""The algebra of a factor pair: what can be known of ``queries @ items.T`` without forming it.

Matrices are numpy arrays or tensors of any device; tensors are recognized by their methods, so that torch is not
imported. All sums are in float64 over blocks of rows, which bounds the memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from headtail._checks import finite, shown
from headtail._columns import normalized
from headtail._embeddings import is_id, taken_apart
from headtail._printable import kind_of
from headtail._top import slices
from headtail.exceptions import InvalidInputError
from headtail.typing import Array, Floats, Vectors

_BLOCK_ELEMENTS = 2**17  # 1 MiB of float64: stays in the processor's cache between conversion and product
_BLOCK_ELEMENTS_CUDA = 2**25
_TILE = 64  # columns
_ONE_THREAD = 2**18  # multiplications of a product at most, for which OpenBLAS takes no second thread
_MOST = 2**53  # whole numbers up to it are exact in float64


def is_tensor(values: Any) -> bool:
    """Whether `values` is a tensor."""
    return hasattr(values, "detach") and hasattr(values, "cpu")


def to_numpy(values: Any) -> Array:
    """Return values of any kind as a numpy array; tensors leave their device, bfloat16 becomes float32."""
    if not is_tensor(values):
        return np.asarray(values)
    if getattr(values, "is_meta", False):
        raise InvalidInputError("a tensor of the device meta holds no numbers. Load or initialize the weights first.")
    try:
        return np.asarray(values.numpy(force=True))
    except TypeError:  # numpy has no bfloat16
        return np.asarray(values.float().numpy(force=True))


def numbers(values: Any) -> Array:
    """Return values of any kind as a native array, of 32 or 64 bits if floating; of type object if that fails."""
    refuse_ids(values)
    try:
        array = np.asarray(None if np.ma.is_masked(values) else to_numpy(values))
    except (TypeError, ValueError, RuntimeError):  # rows of different lengths, tensors that hold nothing
        array = np.asarray(None)
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        with np.errstate(over="ignore"):  # a long double may be infinite then, which is for its reader to refuse
            return array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def refuse_ids(values: Any) -> None:
    """Raise if a frame for a matrix is lazy, or has a column of ids: one called so, or a first one that may be."""
    if hasattr(values, "collect"):
        raise InvalidInputError(f"{type(values).__name__} holds no numbers yet. Collect it, and give what comes of it.")
    names = [name for name in getattr(values, "columns", ()) if isinstance(name, str)]
    for name in names:
        if is_id(name) and (name == names[0] or normalized(name).endswith("id")):
            raise InvalidInputError(
                f"{type(values).__name__} of numbers has the column {name!r}, whose ids would be taken for numbers. "
                f"Leave it out, and give its ids apart, as user_ids=... or item_ids=..."
            )


def axis_ids(values: Any, axis: int) -> Array | None:
    """Return the labels of rows (0) or columns (1) of what pandas holds; None if they number them, or are not there."""
    axes = getattr(values, "axes", None)
    if not isinstance(axes, list) or len(axes) <= axis:
        return None
    found = np.asarray(axes[axis])
    return None if found.dtype.kind in "iu" and np.array_equal(found, np.arange(len(found))) else found


def as_matrix(name: str, values: Any) -> Any:
    """Return a dense matrix of real numbers: tensors and embeddings detached, anything else as a numpy array."""
    kind = kind_of(values)
    values = values.weight if hasattr(values, "num_embeddings") else values  # torch.nn.Embedding
    if is_tensor(values) and not (values.is_nested or values.is_quantized):
        values = values.detach()
        if values.is_floating_point() and values.element_size() == 1:  # nothing computes with 8 bits
            values = values.float()
        kind += " without data (of the device meta)" * values.is_meta
        real = not (values.is_complex() or values.is_sparse or values.is_meta)
    else:
        values = numbers(values)
        real = values.dtype.kind in "fiub"
    if not real or values.ndim != 2 or 0 in values.shape:
        raise InvalidInputError(
            f"{name} is {kind} of shape {tuple(values.shape)} and type {values.dtype}; "
            f"give a dense matrix of real numbers, (rows, embedding_dim), with at least one row."
        )
    return values


def as_pair(queries: Any, items: Any = None) -> Vectors:
    """Return two matching factors as Vectors, or raise; ids of tables of vectors and labels of pandas become ids."""
    user_ids, item_ids = getattr(queries, "user_ids", None), getattr(queries, "item_ids", None)
    if items is None:
        try:
            queries, items = queries
        except Exception:  # each kind of array and frame has errors of its own
            raise InvalidInputError(
                f"{type(queries).__name__} came in place of vectors; give Vectors, or two factors (queries, items)."
            ) from None
    queries, user_ids = _own_ids("queries", queries, user_ids)
    items, item_ids = _own_ids("items", items, item_ids)
    queries, items = as_matrix("queries", queries), as_matrix("items", items)
    check_widths(queries, items)
    return Vectors(queries, items, user_ids, item_ids)


def check_widths(queries: Any, items: Any) -> None:
    """Raise unless two matrices have the same number of columns."""
    if queries.shape[1] != items.shape[1]:
        raise InvalidInputError(
            f"queries has shape {tuple(queries.shape)} and items {tuple(items.shape)}; the second number, the "
            f"embedding dimension, must be the same. Transpose a matrix that is (embedding_dim, rows)."
        )


def _own_ids(name: str, matrix: Any, ids: Any) -> tuple[Any, Any]:
    """Return a matrix and the ids of its rows: those given, else those of a table of vectors or of a pandas index."""
    if ids is not None:
        return matrix, ids
    return taken_apart(matrix, name) or (matrix, axis_ids(matrix, 0))


def per_item(name: str, given: Any, n_items: int | None, cure: str = "Look at where it was computed.") -> Array:
    """Return one finite number per item, or raise; without `n_items` for any number of items."""
    if (labels := axis_ids(given, 0)) is not None:
        raise InvalidInputError(
            f"{name} has labels ({shown(labels, 3)}), and its numbers would be taken in their order. Bring them into "
            f"that of the items, such as by {name}.reindex(item_ids, fill_value=0).to_numpy()."
        )
    values = numbers(given)
    n_items = values.size if n_items is None else n_items
    if values.shape != (n_items,) or values.dtype.kind not in "fiub":
        raise InvalidInputError(
            f"{name} has shape {values.shape} and type {values.dtype}; give one number for each of the {n_items} items."
        )
    finite(name, values, cure)
    return values


def as_popularity(popularity: Any, n_items: int | None = None) -> Floats:
    """Return the interactions per item as float64, or raise if any is negative or all are zero."""
    cure = "Count the training interactions of each item, 0 where there are none."
    values = per_item("popularity", popularity, n_items, cure).astype(np.float64)
    if (values < 0).any():
        first = int(np.argmax(values < 0))
        raise InvalidInputError(f"popularity is {values[first]} at item {first}; counts cannot be negative.")
    if (values > _MOST).any():
        raise InvalidInputError(f"popularity is {values.max():g} at item {values.argmax()}, which counts nothing real.")
    if not values.any():
        raise InvalidInputError("popularity is 0 for every item; give the interactions per item of the training data.")
    return values


def blocks(matrix: Any) -> Iterator[tuple[slice, Any]]:
    """Yield blocks of rows in float64: numpy arrays, or tensors on the device where a CUDA matrix lies."""
    cuda = bool(getattr(matrix, "is_cuda", False))
    n, width = matrix.shape
    step = max(1, (_BLOCK_ELEMENTS_CUDA if cuda else _BLOCK_ELEMENTS) // width)
    for rows in slices(n, step):
        block = matrix[rows]
        if cuda:
            yield rows, block.double()
        elif is_tensor(block):
            yield rows, block.cpu().double().numpy()
        else:
            yield rows, np.ascontiguousarray(block, dtype=np.float64)


def gram(name: str, matrix: Any, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """Return ``matrix.T @ matrix`` (d, d) and ``matrix.T @ weights`` (d,), zero without weights, in one pass.

    NaN and infinity raise; rows are searched for them only if a sum is not finite.
    """
    total: Any = 0.0
    moment: Any = np.zeros(matrix.shape[1]) if weights is None else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        for rows, block in blocks(matrix):
            total = total + _square(block)
            if weights is not None:
                part = weights[rows]
                moment = moment + (
                    block.new_tensor(part) @ block if is_tensor(block) else np.einsum("i,ij", part, block)
                )
    total, moment = to_numpy(total), to_numpy(moment)
    if not np.isfinite(total).all():
        for rows, block in blocks(matrix):
            _refuse(name, rows.start, to_numpy(block))
        raise InvalidInputError(f"{name} holds values too large to square in float64. Scale it down.")
    return total, moment


def _square(block: Any) -> Any:
    """Return ``block.T @ block``.

    For a tall and narrow block OpenBLAS spends longer on synchronizing its threads than on the product. Stacks of
    small products run on one thread.
    """
    if is_tensor(block):
        return block.T @ block
    n, d = block.shape
    out = np.empty((d, d))
    for i in range(0, d, _TILE):
        for j in range(i, d, _TILE):
            a, b = block[:, i : i + _TILE], block[:, j : j + _TILE]
            rows = _ONE_THREAD // (a.shape[1] * b.shape[1])
            whole = n // rows * rows
            left, right = (part[:whole].reshape(-1, rows, part.shape[1]) for part in (a, b))
            product = np.matmul(left.transpose(0, 2, 1), right).sum(axis=0) + a[whole:].T @ b[whole:]
            out[i : i + _TILE, j : j + _TILE] = product
            out[j : j + _TILE, i : i + _TILE] = product.T
    return out


def _refuse(name: str, start: int, block: Array) -> None:
    bad = ~np.isfinite(block)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InvalidInputError(
            f"{name} holds {block[row, column]} at row {start + row}, column {column}. "
            f"Look for a diverged training run, or an embedding that was never set."
        )


@dataclass(frozen=True, eq=False)
class FactorSVD:
    """Singular value decomposition of ``queries @ items.T``, kept in the d-dimensional space of the factors.

    ``queries @ left`` and ``items @ right`` hold the singular vectors in their columns; a column is zero where the
    singular value is zero. `load` is ``items.T`` times the right singular vectors.
    """

    sigma: Floats
    left: Floats
    right: Floats
    load: Floats
    moment: Floats


def factor_svd(queries: Any, items: Any, weights: Floats | None = None) -> FactorSVD:
    """Decompose the product of a checked pair; `moment` is ``items.T @ weights`` (weights of one by default).

    With Q = W B, W orthonormal and B'B = Q'Q, the product Q V' is W (B_q B_v') W', so that the decomposition of one
    d x d matrix gives all of it.
    """
    (n, d), m = queries.shape, items.shape[0]
    query_gram, _ = gram("queries", queries)
    item_gram, moment = gram("items", items, np.ones(m) if weights is None else weights)
    of_query, of_item = np.diag(query_gram), np.diag(item_gram)
    both = (of_query > 0) & (of_item > 0)
    # Gives each column of both factors the same length, multiplying one and dividing the other.
    unit = np.where(both, of_item, 1.0) ** 0.25 / np.where(both, of_query, 1.0) ** 0.25
    query_root, item_root = _root(query_gram * np.outer(unit, unit)), _root(item_gram / np.outer(unit, unit))
    p, sigma, rt = np.linalg.svd(query_root @ item_root.T)
    keep = min(n, m, d)
    p, sigma, r = p[:, :keep], sigma[:keep], rt[:keep].T
    floor = d * np.finfo(np.float64).eps * np.linalg.norm(query_root) * np.linalg.norm(item_root)
    sigma = np.where(sigma > floor, sigma, 0.0)
    inverse = np.divide(1.0, sigma, out=np.zeros_like(sigma), where=sigma > 0)
    load = (item_root.T @ r) * unit[:, None]
    right = (query_root.T @ p) / unit[:, None]
    return FactorSVD(sigma, load * inverse, right * inverse, load, moment)


def _root(square: Floats) -> Floats:
    """Return B with B'B = `square`, columns first scaled to length one so that large ones do not drown small ones."""
    scale = np.sqrt(np.diag(square))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(square / scale / scale[:, None])
    # Rounding leaves the eigenvalues of missing directions at about this size instead of at zero.
    floor = 10 * len(square) * np.finfo(np.float64).eps * values[-1]
    roots = np.sqrt(np.where(values > floor, values, 0.0))
    return np.asarray(roots[:, None] * vectors.T * scale)


def times(matrix: Any, small: Floats) -> Floats:
    """Return ``matrix @ small`` as a float64 numpy array, block by block."""
    out = np.empty((matrix.shape[0], *small.shape[1:]))
    for rows, block in blocks(matrix):
        out[rows] = to_numpy(product(block, small))
    return out


def product(block: Any, small: Floats) -> Any:
    """Return ``block @ small`` for a tall and narrow block; arrays on one thread, as :func:`_square` says why."""
    if is_tensor(block):
        return block @ block.new_tensor(small)
    rows = max(1, _ONE_THREAD // small.size)
    whole = len(block) // rows * rows
    head = (block[:whole].reshape(-1, rows, block.shape[1]) @ small).reshape(whole, *small.shape[1:])
    return np.concatenate([head, block[whole:] @ small]) if whole < len(block) else head


def stored(matrix: sp.csr_array) -> tuple[Array, Array]:
    """Return the rows and the columns of what a sparse matrix holds, in its order."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices
