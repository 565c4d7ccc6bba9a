"""Corrections of a trained recommender through its two factors, without training it again.

Each takes the factors, queries (n, d), a row for each user, and items (m, d), as arrays or tensors or as one pair, and
returns :class:`~headtail.typing.Vectors` of their kind, type (NumPy's float16 becomes float32) and device whose product
is the corrected scores, so that any vector index serves them. The correction lives in the items (one more coordinate,
or changed vectors): queries made later need only a 1 appended where a coordinate was added. Shapes that do not match,
numbers out of range and values that are not finite are an :class:`~headtail.exceptions.InvalidInputError`, and so are
scores that are the same for all items where a strength is in units of their spread.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from headtail import _factors
from headtail._checks import checked, integer, number
from headtail._exposure import Goal, Welfare
from headtail._sampled_exposure import sampled_exposure, score_spread
from headtail.data.rows import popularity_of
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Vectors

_USERS = 2**16  # at most, whose scores give the unit of a strength


@checked
def add_bias(queries: Any, items: Any = None, bias: Any = None) -> Vectors:
    """Add a number to the scores of each item, `bias` (m,): 1 in every query, the bias as a coordinate of the item.

    Examples
    --------
    >>> queries, items = add_bias(np.eye(2), np.array([[3.0, 4.0]]), [-1.0])
    >>> queries @ items.T
    array([[2.],
           [3.]])
    """
    queries, items = pair = _factors.as_pair(queries, items)
    values = _factors.per_item("bias", bias, items.shape[0])
    return pair._replace(queries=_append(queries, np.ones(len(queries))), items=_append(items, values))


def _append(matrix: Any, column: Any) -> Any:
    out = _empty_like(matrix, (matrix.shape[0], matrix.shape[1] + 1))
    out[:, :-1] = matrix
    with np.errstate(over="ignore"):
        out[:, -1] = _like(column, out)
    return _finite(out)


def _finite(out: Any) -> Any:
    """Return new factors; raise if they hold values that are not finite, given so or rounded to their type."""
    with np.errstate(invalid="ignore", over="ignore"):
        # A finite sum has finite terms, and takes no memory; that of finite terms may overflow, so look at each then.
        wrong = not np.isfinite(float(out.sum())) and bool((out - out != 0).any())
    if wrong:
        raise InvalidInputError(
            f"the new vectors hold values that are not finite, or too large for {out.dtype}. Look for a diverged "
            f"training run, lower the strength, or give vectors of a wider type."
        )
    return out


def _empty_like(matrix: Any, shape: tuple[int, int]) -> Any:
    """Return an empty matrix of the same kind, device and type (whole numbers become floats)."""
    if _factors.is_tensor(matrix):
        return (matrix if matrix.is_floating_point() else matrix.float()).new_empty(shape)
    return np.empty(shape, dtype=matrix.dtype if matrix.dtype.kind == "f" else np.float64)


@checked
def penalize_popularity(queries: Any, items: Any = None, popularity: Any = None, *, strength: float) -> Vectors:
    """Lower the score of popular items: ``score - strength * spread * log(1 + popularity)``.

    The simplest correction, and a strong one: it belongs on every trade-off curve. `spread` is the standard deviation
    of a user's scores over all items, as in :func:`tilt`. `popularity`, (m,), are the training interactions per item,
    or the interactions themselves, joined by the ids of the vectors. Strength 0 changes nothing, a negative one favors
    popular items; useful values lie between 0.02 and 1.

    Examples
    --------
    >>> scores = np.array([[0.0, 4.0]])  # of standard deviation 2
    >>> queries, items = penalize_popularity(np.ones((1, 1)), scores.T, [0, 99], strength=0.5)
    >>> (queries @ items.T).round(2)
    array([[ 0.  , -0.61]])
    """
    pair = _factors.as_pair(queries, items)
    strength = number("strength", strength)
    popularity = popularity_of(popularity, pair)
    some = pair.queries[:: -(-len(pair.queries) // _USERS)]
    spread = score_spread(_factors.gram("queries", some)[0] / len(some), pair.items)
    return add_bias(pair, bias=-strength * spread * np.log1p(popularity))


@checked
def normalize(queries: Any, items: Any = None, *, strength: float = 1.0) -> Vectors:
    """Divide each item's vector by its length, or a power of it: the longer a vector, the more popular its item.

    A score becomes ``score / length ** strength``, strength from 0, which changes nothing, to 1: items are ranked by
    their cosine with the query then. Queries stay as they are, and so does an item vector of length 0.

    Source: Kim et al., Test-time embedding normalization for popularity bias mitigation, CIKM 2023 (TTEN).

    Examples
    --------
    >>> normalize(np.eye(2), np.array([[3.0, 4.0], [0.0, 0.5]])).items
    array([[0.6, 0.8],
           [0. , 1. ]])
    """
    pair = _factors.as_pair(queries, items)
    strength = number("strength", strength, low=0, high=1)

    def divided(rows: slice, block: Any) -> Any:
        if not strength:
            return block
        largest = abs(block).amax(1) if _factors.is_tensor(block) else abs(block).max(1)
        largest[largest == 0] = 1
        block = block / largest[:, None]  # so that no square overflows, and lengths are 0 or at least 1
        lengths = ((block**2).sum(1) ** 0.5).clip(1)
        return block * (largest ** (1 - strength) / lengths**strength)[:, None]

    return pair._replace(queries=_finite(pair.queries), items=_rewrite(_finite(pair.items), divided))


@checked
def shrink(
    queries: Any,
    items: Any = None,
    *,
    strength: float,
    directions: int | Sequence[int] | None = None,
    popularity: Any = None,
) -> Vectors:
    """Take out a part of some directions of the scores, by default of the strongest one; all others stay as they are.

    With the decomposition of the scores into sigma_k p_k q_k', each chosen sigma_k is multiplied by ``1 - strength``;
    or, with `popularity`, what every user's scores hold along the popularity vector is. Scores are never formed: the
    item vectors are multiplied by a d x d matrix (or changed along one direction), in time linear in users and items.
    Queries stay as they are.

    Source: Lin et al., WSDM 2025, penalize sigma_1 during training; this is what can be had of it afterwards.

    Parameters
    ----------
    queries, items : array or tensor of shape (n, d) and (m, d), or Vectors as the first
    strength : float
        At most 1: 0 changes nothing, 1 removes the directions, below 0 strengthens them.
    directions : int or sequence of int, optional
        Which directions, each once, 0 the strongest (see :func:`headtail.spectrum`); by default 0.
    popularity : array of shape (m,) or Interactions, optional
        Instead of directions: scale along this vector, the training interactions per item.

    Examples
    --------
    >>> queries, items = shrink(np.eye(2), np.diag([3.0, 1.0]), strength=0.5)
    >>> (queries @ items.T).round(6)
    array([[1.5, 0. ],
           [0. , 1. ]])
    """
    queries, items = pair = _factors.as_pair(queries, items)
    strength = number("strength", strength, high=1)
    if popularity is None:
        svd = _factors.factor_svd(queries, items)
        chosen = _directions(directions, len(svd.sigma))
        change = np.eye(items.shape[1]) - strength * svd.right[:, chosen] @ svd.load[:, chosen].T
        changed = _rewrite(items, lambda rows, block: _factors.product(block, change))
        left, whole = np.delete(svd.sigma, chosen).max(initial=0), svd.sigma[0]
        return pair._replace(items=_unless_gone(changed, left, whole) if strength == 1 else changed)
    if directions is not None:
        raise InvalidInputError(f"directions={directions!r} and popularity are both given; choose one of them.")
    popularity = popularity_of(popularity, pair)
    unit = popularity / np.linalg.norm(popularity)
    lowered = strength * _factors.gram("items", items, unit)[1]
    changed = _rewrite(items, lambda rows, block: block - _like(np.outer(unit[rows], lowered), block))
    if strength == 1:
        changed = _unless_gone(changed, abs(changed).max(), abs(items).max())
    return pair._replace(items=changed)


def _unless_gone(items: Any, left: float, whole: float) -> Any:
    """Return item vectors, zeros where all that they said is taken out and rounding alone would order the items."""
    rounding = {8: 1e-14, 4: 1e-6}.get(items.itemsize, 1e-2)
    return items * 0 if left <= rounding * whole else items


def _directions(directions: int | Sequence[int] | None, n: int) -> list[int]:
    chosen = list(directions) if isinstance(directions, Iterable) else [0 if directions is None else directions]
    if not chosen:
        raise InvalidInputError("directions is empty; give at least one, or None for the strongest.")
    for k in chosen:
        integer("directions", k, high=n - 1)
    if len(set(chosen)) < len(chosen):
        raise InvalidInputError(f"directions={chosen} names a direction twice; give each once.")
    return [int(k) for k in chosen]


def _like(values: Any, other: Any) -> Any:
    """Return numbers as a tensor if `other` is one."""
    return other.new_tensor(values) if _factors.is_tensor(other) and not _factors.is_tensor(values) else values


def _rewrite(matrix: Any, change: Callable[[slice, Any], Any]) -> Any:
    """Apply `change` to float64 blocks of rows and return the result in the kind and type of `matrix`."""
    out = _empty_like(matrix, tuple(matrix.shape))
    for rows, block in _factors.blocks(matrix):
        with np.errstate(over="ignore"):
            out[rows] = _like(change(rows, block), out)
    return _finite(out)


# -- exposure ---------------------------------------------------------------------------------------------------------


@checked
def tilt(
    queries: Any,
    items: Any = None,
    *,
    strength: float,
    k: int,
    seen: Any = None,
    welfare: Welfare = "alpha",
    aversion: float = 0.5,
    popularity: Any = None,
    n_users: int = 4000,
    rounds: int = 100,
    rng: RNG = 0,
) -> Vectors:
    """Spread the exposure that the model itself gives, by one number added to the score of each item.

    Items are penalized for the slots they get in users' top-k lists, not for their popularity. With e_i the slots of
    item i over the mean number of slots, the bias b is a fixed point: ``b_i = strength * spread * f(e_i(b))`` up to a
    constant, which maximizes the total score of the lists plus a welfare of the exposure. `f` is, by `welfare`,

    * "entropy": ``-log(e_i + c)``. At strength 0.1, an item shown 2.7 times as often as another loses a tenth of the
      spread of the scores against it;
    * "alpha": ``((e_i + c)**-aversion - 1) / aversion``, alpha-fairness, which cares more for the least shown items the
      larger `aversion` is, and becomes "entropy" as it goes to 0; on all sets tried it was best of the three or level;
    * "popularity": ``log(t_i + c) - log(e_i + c)``, t_i the interactions of item i over the mean of all items: removes
      only the exposure beyond what popularity earns, and often costs no accuracy.

    c is 0.03, or one slot of the sample if that is more. `spread` is the standard deviation of a user's scores over all
    items (root mean square over the sampled users), so that the same strength means the same for scores of any scale.
    The bias, of mean 0, is ``items[:, -1]`` of what is returned; an item that is new since gets that of the least shown
    ones, the largest.

    Each round counts the exposure under the present bias, in which an item close to the end of a list counts in part,
    and takes a Newton step towards the bias that this exposure calls for; ten to forty rounds settle most tilts. The
    cost is at most that of scoring `n_users` users once a round, whatever the number of users; of a large catalogue,
    once in all where no item beyond a user's highest scores can come near the list.

    Source: derived for headtail. The bias is the dual variable of exposure constraints, as in P-MMF (Xu et al., WWW
    2023), and the welfare functions are those of fair rankings by concave welfare (Do et al., NeurIPS 2021). Jaspal and
    Agarwal (arXiv 2503.23630) change scores at retrieval by a learned probability of exposure, without a goal for it.

    Parameters
    ----------
    queries, items : array or tensor of shape (n, d) and (m, d), or Vectors as the first
    strength : float
        At least 0; 0 changes nothing. Useful values lie between 0.02 and 1; choose on validation.
    k : int
        Length of the lists whose exposure counts.
    seen : Interactions, frame or sparse matrix, optional
        Training interactions, which are not recommended again, joined by the ids of the vectors where they have any; of
        a matrix the entries that are not zero, each counted once. Without it nothing is left out.
    welfare : {"entropy", "alpha", "popularity"}, default "alpha"
    aversion : float, default 0.5
        From 1e-6, where it is "entropy", to 2; for "alpha" only.
    popularity : array of shape (m,) or Interactions, optional
        For "popularity" only: training interactions per item, by default counted from `seen`, one of which is needed.
    n_users : int, default 4000
        Users, drawn without replacement, whose lists are counted, but for queries of zeros, which prefer nothing and
        follow any bias at once. About 1,000 suffice for some thousands of items; the more items, the more users.
    rounds : int, default 100
        Rounds at most; it stops where the bias differs by less than 2% (root mean square over items) from the one that
        its own exposure calls for.
    rng : seed or generator, default 0
        Draws those users.

    Warns
    -----
    UserWarning
        If the bias has not settled, or more than a third of the slots stay with other items than it is meant for,
        because users are so alike that their lists change at once: a larger strength is then of no use.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> queries, items = rng.normal(size=(200, 8)) + 0.5, rng.normal(size=(50, 8))
    >>> tilted = tilt(queries, items, strength=0.3, k=5)
    >>> most = [np.bincount(np.argsort(-q @ v.T)[:, :5].ravel()).max() for q, v in ((queries, items), tilted)]
    >>> bool(most[1] < most[0]), tilted.items.shape
    (True, (50, 9))
    """
    pair, goal = _factors.as_pair(queries, items), Goal(strength, welfare, aversion, rounds)
    return add_bias(pair, bias=sampled_exposure(pair, k, seen, n_users, rng).bias(goal, popularity))
