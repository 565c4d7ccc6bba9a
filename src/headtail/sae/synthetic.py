"""Users who like only popular items, and users who like only niche ones: made up, or found among the real ones."""

from typing import Literal

import numpy as np

from headtail._checks import checked, generator, integer, number
from headtail.data import Interactions, PopularityGroups
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Codes, Ints

SetBy = Literal["rank", "mass"]
_SHARES = {"rank": 0.1, "mass": 0.2}
_OF_A_RUN = 10  # users of either group from each run of users of like activity


@checked
def synthetic_users(
    interactions: Interactions,
    which: Literal["popular", "niche"],
    by: SetBy = "rank",
    *,
    share: float | None = None,
    max_length: int = 50,
    rng: RNG = 0,
) -> Codes:
    """Return made-up histories of popular or of niche items, as long as the real ones: item codes, (U, max_length).

    The history of every user who has one is replaced by as many draws, with replacement and all items alike, from a set
    of items:

    * "rank" (the WWW 2026 paper): the most or the least popular 10% of the items;
    * "mass" (the RecSys 2025 paper): the most popular items that hold 20% of the interactions, or the least
      popular ones that do.

    Items without training interactions are in neither set: a model knows nothing of them.

    Source: Ahmadov and Mansoury, RecSys 2025, section 3; WWW 2026, section 3.

    Parameters
    ----------
    interactions : Interactions
        Training interactions.
    which : {"popular", "niche"}
    by : {"rank", "mass"}, default "rank"
    share : float in (0, 0.5], optional
        Another share than the paper's.
    max_length : int, default 50
        A history is at most this long, and filled with -1 at the left.
    rng : seed or generator, default 0

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> popular = synthetic_users(train, "popular", rng=0)
    >>> set(popular[popular >= 0].tolist()) == set(np.argsort(-train.popularity, kind="stable")[:5].tolist())
    True
    """
    max_length = integer("max_length", max_length, low=1)
    chosen = item_sets(interactions, by, share=share)[("popular", "niche").index(which)]
    lengths = np.minimum(interactions.activity[interactions.activity > 0], max_length)
    drawn = generator(rng).choice(chosen, (len(lengths), max_length)).astype(np.int32)
    drawn[np.arange(max_length) < max_length - lengths[:, None]] = -1
    return drawn


@checked
def item_sets(interactions: Interactions, by: SetBy = "rank", *, share: float | None = None) -> tuple[Codes, Codes]:
    """Return the codes of the popular and of the niche items that :func:`synthetic_users` draws from.

    Examples
    --------
    >>> popular, niche = item_sets(ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions, "mass")
    >>> len(popular) < len(niche)
    True
    """
    share = number("share", _SHARES[by] if share is None else share, low=0, high=0.5, low_open=True)
    known = np.flatnonzero(interactions.popularity).astype(np.int32)
    problem = f"by={by!r} with share={share:g}: the {len(known)} items with interactions"
    cure = "Give a larger catalogue or another share."
    if not len(known):
        raise InvalidInputError(f"{problem} are none. Check the split.")
    group = PopularityGroups.by_rank if by == "rank" else PopularityGroups.by_mass
    cuts = (share, 1 - share) if share < 0.5 else (share,)
    groups = group(interactions.popularity[known], cuts)
    popular, niche = known[groups.mask("head")], known[groups.mask("tail")]
    if not len(popular) or not len(niche):
        raise InvalidInputError(f"{problem} make a set that is empty. {cure}")
    if interactions.popularity[popular].min() <= interactions.popularity[niche].max():
        raise InvalidInputError(
            f"{problem} do not differ: the least popular of the popular ones has "
            f"{interactions.popularity[popular].min()} interactions, the most popular of the niche ones "
            f"{interactions.popularity[niche].max()}. {cure}"
        )
    return popular, niche


@checked
def extreme_users(interactions: Interactions, share: float = 0.1) -> tuple[Codes, Codes]:
    """Return the codes of the users with the most and of those with the least popular tastes.

    A user's taste is the mean popularity of the items in the history. It falls with the length of the history, so that
    users are compared with others as active: sorted by activity, they are cut into runs of about ten users of either
    group or, where more are equally active, all of those, and each run gives its own extremes. (Without the runs the
    groups differ in activity as much as in taste: on MovieLens-1M they had 30 and 262 interactions a user, with them
    117 and 126. Of 256 neurons 53 then had a d of another sign.)

    Parameters
    ----------
    interactions : Interactions
        Training interactions.
    share : float in (0, 0.5], default 0.1
        Share of the users with interactions that either group has, rounded up within each run.

    Examples
    --------
    >>> frame = pl.DataFrame({"user": [1, 1, 2, 3, 4], "item": [10, 20, 10, 10, 40]})
    >>> extreme_users(Interactions.from_frame(frame), share=0.25)
    (array([1], dtype=int32), array([3], dtype=int32))
    """
    share = number("share", share, low=0, high=0.5, low_open=True)
    users = np.flatnonzero(interactions.activity).astype(np.int32)
    taste = (interactions.matrix @ interactions.popularity)[users] / interactions.activity[users]
    activity = interactions.activity[users]
    by_activity = np.argsort(activity, kind="stable")
    cuts = np.linspace(0, len(users), max(1, round(share * len(users) / _OF_A_RUN)) + 1)[1:-1]
    steps = np.flatnonzero(np.diff(activity[by_activity])) + 1  # no cut parts users who are as active
    nearest = np.searchsorted((steps[1:] + steps[:-1]) / 2, cuts)
    sides: tuple[list[Ints], ...] = ([], [])
    for run in np.split(by_activity, np.unique(steps[nearest]) if len(steps) else []):
        n = min(len(run) // 2, int(np.ceil(share * len(run) - 1e-9)))
        order = run[np.argsort(-taste[run], kind="stable")]
        for side, extremes in zip(sides, (order[:n], order[::-1][:n]), strict=True):
            side.append(extremes)
    popular, niche = (np.concatenate(side) for side in sides)
    if not len(popular) or taste[popular].mean() <= taste[niche].mean():
        raise InvalidInputError(
            f"share={share:g} of {len(users)} users with interactions makes no two groups of different taste. Give "
            f"more users or another share."
        )
    return users[popular], users[niche]
