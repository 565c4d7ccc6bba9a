"""Synthetic worlds, in which the right answer is known."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, log_expit

from headtail._checks import checked, generator, integer, number, user_codes
from headtail.data import Interactions, Split
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Array, Codes, Floats, Ints

_BLOCK = 1 << 19  # candidates drawn at a time: with 16 factors about 100 MB


@checked
def checkerboard(n_users: int = 50, n_items: int = 50, *, validation: bool = False) -> Split:
    """Return a world in which even users like even items and odd users like odd items.

    Each user has met all the items they like but one, that on the diagonal (user u, item u modulo `n_items`), which is
    the test. All items are about equally popular, and a model that has understood the board ranks the withheld item
    first among those unseen.

    With `validation`, the item two places after the diagonal is withheld as well. There are at least 2 users, and an
    even number of items, at least 6.

    Examples
    --------
    >>> split = checkerboard(4, 6)
    >>> split.train.matrix.toarray().astype(int)
    array([[0, 0, 1, 0, 1, 0],
           [0, 0, 0, 1, 0, 1],
           [1, 0, 0, 0, 1, 0],
           [0, 1, 0, 0, 0, 1]])
    >>> split.test.items
    array([0, 1, 2, 3], dtype=int32)
    """
    n_users = integer("n_users", n_users, low=2)
    if integer("n_items", n_items, low=6) % 2:
        raise InvalidInputError(f"n_items={n_items} is odd; give an even number, so that the board repeats itself.")
    users = np.repeat(np.arange(n_users, dtype=np.int32), n_items // 2)
    items = np.tile(np.arange(0, n_items, 2, dtype=np.int32), n_users) + users % 2
    board = Interactions(user_ids=np.arange(n_users), item_ids=np.arange(n_items), users=users, items=items)
    in_test = items == users % n_items
    in_validation = (items == (users + 2) % n_items) & validation
    return Split(
        train=board.subset(~(in_test | in_validation)),
        test=board.subset(in_test),
        validation=board.subset(in_validation) if validation else None,
        description="Even users like even items, odd users odd ones; the diagonal is withheld.",
    )


@checked
@dataclass(frozen=True, eq=False, repr=False)
class World:
    """Interactions together with the true preferences that made them; see :func:`power_law`.

    Parameters
    ----------
    interactions : Interactions
        What was observed: a preference, seen through popularity.
    queries : float array of shape (n_users, d)
        True tastes of the users.
    items : float array of shape (n_items, d)
        True properties of the items.
    offset : float
        The user likes an item, once shown, with probability ``sigmoid(query @ item + offset)``.
    """

    interactions: Interactions
    queries: Floats
    items: Floats
    offset: float

    def __repr__(self) -> str:
        return f"World({self.interactions!r}, {self.queries.shape[1]} tastes)"

    def preferences(self, users: Codes | None = None) -> Floats:
        """Return the probability that each user likes each item once it is shown, whatever its popularity.

        float32 of shape (B, n_items), for the users with these codes, (B,), or all.
        """
        queries = self.queries if users is None else self.queries[user_codes(users, len(self.queries))]
        return np.asarray(expit(queries @ self.items.T + np.float32(self.offset)))

    def _liking(self, users: Array, items: Array) -> Floats:
        logits = np.einsum("nd,nd->n", self.queries[users], self.items[items]) + np.float32(self.offset)
        return np.asarray(expit(logits))


@checked
def power_law(
    n_users: int = 1000,
    n_items: int = 500,
    *,
    n_interactions: int | None = None,
    exponent: float = 0.7,
    embedding_dim: int = 8,
    taste: float = 2.0,
    activity: float = 0.7,
    offset: float = -2.0,
    rng: RNG = 0,
) -> World:
    """Make a world whose item popularity follows a power law and whose users have tastes of their own.

    The item of popularity rank i has ``r_i = r_1 * i ** -exponent`` interactions, rounded; which users they come from
    is drawn without replacement, in proportion to a user's activity times the probability that the user likes the
    item, ``sigmoid(query @ item + offset)``. Popularity is thus a matter of exposure alone: it says nothing about how
    well an item is liked by those who are shown it. Timestamps are a random order of all interactions, 0 to n - 1.

    Parameters
    ----------
    n_users, n_items : int
    n_interactions : int, optional
        Number of interactions, but for rounding; by default as many as make the most popular item reach half of the
        users, and at most as many as make it reach all.
    exponent : float > 0, default 0.7
        Exponent of the power law; larger is more concentrated.
    embedding_dim : int, default 8
        Number of latent tastes.
    taste, activity : float in [0, 100], default 2 and 0.7
        Standard deviations of ``query @ item``, by which users differ in what they like, and of the logarithm of their
        activity; 0 makes all alike.
    offset : float in [-6, 6], default -2
        Logit of the average preference.
    rng : seed or generator, default 0

    Examples
    --------
    >>> world = power_law(200, 50, exponent=1.0, rng=0)
    >>> world
    World(Interactions(200 users, 50 items, 450 interactions, density 4.50%), 8 tastes)
    >>> -np.sort(-world.interactions.popularity)[:5]
    array([100,  50,  33,  25,  20])
    """
    n_users = integer("n_users", n_users, low=2)
    n_items = integer("n_items", n_items, low=2)
    embedding_dim = integer("embedding_dim", embedding_dim, low=1)
    exponent = number("exponent", exponent, low=0, low_open=True)
    taste = number("taste", taste, low=0, high=100)
    activity = number("activity", activity, low=0, high=100)
    offset = number("offset", offset, low=-6, high=6)
    draw = generator(rng)
    counts = _counts(n_users, n_items, n_interactions, exponent)
    # Each factor has variance s^2 with d s^4 = taste^2, the variance of the product.
    scale = np.sqrt(taste) / embedding_dim**0.25
    queries = (scale * draw.standard_normal((n_users, embedding_dim))).astype(np.float32)
    items = (scale * draw.standard_normal((n_items, embedding_dim))).astype(np.float32)
    weights = np.exp(activity * draw.standard_normal(n_users))
    counts = counts[draw.permutation(n_items)]  # so that codes do not tell the popularity
    nobody = np.zeros(0, dtype=np.int32)
    empty = Interactions(user_ids=np.arange(n_users), item_ids=np.arange(n_items), users=nobody, items=nobody)
    world = World(empty, queries, items, float(offset))
    users, codes = np.divmod(np.sort(_draw_pairs(world, counts, weights / weights.sum(), draw)), n_items)
    observed = replace(
        empty, users=users.astype(np.int32), items=codes.astype(np.int32), timestamps=draw.permutation(len(users))
    )
    return replace(world, interactions=observed)


def _counts(n_users: int, n_items: int, n_interactions: int | None, exponent: float) -> Ints:
    """Return the number of interactions of the items by rank."""
    shape = np.arange(1, n_items + 1, dtype=np.float64) ** -exponent
    most = 0.5 * n_users
    if n_interactions is not None:
        most = integer("n_interactions", n_interactions, low=1) / shape.sum()
        if most > n_users:
            raise InvalidInputError(
                f"n_interactions={n_interactions} with exponent={exponent} gives the most popular item {most:,.0f} "
                f"interactions, more than the {n_users:,} users. Give at most {int(n_users * shape.sum()):,}, or a "
                f"lower exponent."
            )
    counts = np.floor(most * shape + 0.5).astype(np.int64)
    if not counts.any():
        raise InvalidInputError(
            f"n_interactions={n_interactions} over {n_items} items leaves each less than half an interaction, which "
            f"rounds to none. Give more, or a higher exponent."
        )
    return counts


def _draw_pairs(world: World, counts: Array, weights: Array, draw: np.random.Generator) -> Ints:
    """Draw for each item its users, and return ``user * n_items + item`` for every interaction."""
    n_users = len(weights)
    # Rejecting repeated users is slow for an item that needs a good part of them: there, weigh all users.
    common = np.flatnonzero(counts > 0.05 * n_users).tolist()
    pairs = [_users_of(world, item, counts[item], weights, draw) * len(counts) + item for item in common]
    rare = np.flatnonzero((counts > 0) & (counts <= 0.05 * n_users))
    # Few candidates are accepted, so a block's interactions are a fraction of the candidates that may be in memory.
    blocks = np.cumsum(counts[rare]) // (_BLOCK // 8)
    parts = [part for part in np.split(rare, np.flatnonzero(np.diff(blocks)) + 1) if len(part)]
    pairs += [_pairs_of(world, part, counts[part], np.cumsum(weights), draw) for part in parts]
    return np.concatenate(pairs)


def _users_of(world: World, item: int, count: int, weights: Array, draw: np.random.Generator) -> Ints:
    """Draw users without replacement by the Gumbel top-k trick (Vieira 2014): the largest perturbed log-weights."""
    logits = world.queries @ world.items[item] + world.offset
    keys = np.log(weights) + log_expit(logits) + draw.gumbel(size=len(weights))
    return np.argpartition(-keys, count - 1)[:count]


def _pairs_of(world: World, block: Array, counts: Array, cumulative: Array, draw: np.random.Generator) -> Ints:
    """Draw users by activity, keep those who like the item, and return the first `count` different ones of each."""
    n_items = len(world.items)
    kept = np.zeros(0, dtype=np.int64)  # place in block * n_users + user, in the order drawn
    n_users = len(cumulative)
    wanted = counts.copy()
    rate = 0.2
    while wanted.any():
        tries = np.ceil(wanted / rate * 1.2).astype(np.int64) + 4 * (wanted > 0)
        tries = np.ceil(tries * min(1.0, _BLOCK / tries.sum())).astype(np.int64)
        places = np.repeat(np.arange(len(block)), tries)
        users = np.minimum(np.searchsorted(cumulative, draw.random(len(places)) * cumulative[-1]), n_users - 1)
        liked = draw.random(len(places), dtype=np.float32) < world._liking(users, block[places])
        rate = max(liked.mean(), 1e-3)
        fresh = np.concatenate([kept, places[liked] * n_users + users[liked]])
        values, first = np.unique(fresh, return_index=True)
        order = np.lexsort((first, values // n_users))  # by item, then as drawn
        item = values[order] // n_users
        starts = np.searchsorted(item, np.arange(len(block)))
        within = np.arange(len(item)) - starts[item] < counts[item]
        kept = values[order][within]
        wanted = counts - np.bincount(kept // n_users, minlength=len(block))
    places, users = np.divmod(kept, n_users)
    return users * n_items + block[places]
