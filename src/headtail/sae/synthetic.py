"""Users who like only popular items, and users who like only niche ones: made up, or found among the real ones."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headtail._checks import checked, choice, generator, integer, number
from headtail.data import Interactions, PopularityGroups
from headtail.exceptions import InvalidInputError
from headtail.sae.hooks import activations, submodule
from headtail.training.encoding import device_of, inputs
from headtail.typing import RNG, Codes, Vectors

SetBy = Literal["rank", "mass"]
_SHARES = {"rank": 0.1, "mass": 0.2}
_OF_A_RUN = 10  # users of either group from each run of users of like activity


@dataclass(frozen=True, eq=False)
class Contrast:
    """Vectors of one layer for users of opposite tastes, beside those of the real users; made by :func:`contrast`.

    For a model that is not headtail's, make it yourself from :func:`~headtail.sae.activations`.

    Parameters
    ----------
    popular, niche : Tensor of shape (n, d)
        Of users who like popular items, and of users who like niche ones.
    real : Tensor of shape (U, d)
        Of real users.
    users : int array of shape (U,), optional
        Codes of the real users.
    items : Tensor of shape (I, d), optional
        Vectors of the items, where scores are products of the layer's vectors with them. Whatever says something of
        recommendations needs them, and `users`.
    """

    popular: Tensor
    niche: Tensor
    real: Tensor
    users: Codes | None = None
    items: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("popular", "niche", "real", "items"):
            values = getattr(self, name)
            if values is None:
                continue
            if values.ndim != 2 or len(values) < 2 or values.shape[1] != self.real.shape[1]:
                raise InvalidInputError(
                    f"{name} has shape {tuple(values.shape)}; give vectors (n, {self.real.shape[-1]}), at least two."
                )
            if not torch.isfinite(values).all():
                raise InvalidInputError(f"{name} holds values that are NaN or infinite; check that training converged.")
        if self.users is not None and len(self.users) != len(self.real):
            raise InvalidInputError(f"users has {len(self.users)} entries for {len(self.real)} real users.")

    def recommendable(self) -> tuple[Tensor, Codes]:
        """Return the item vectors and the codes of the real users, or say that they are needed."""
        if self.items is None or self.users is None:
            raise InvalidInputError(
                "what is recommended is not known: this contrast has no item vectors, or no codes of its real users. "
                "Give it items= and users=."
            )
        return self.items, self.users

    def __repr__(self) -> str:
        return (
            f"Contrast({len(self.popular):,} popular, {len(self.niche):,} niche and {len(self.real):,} real users, "
            f"d={self.real.shape[1]})"
        )


@checked
def contrast(
    model: nn.Module,
    interactions: Interactions,
    layer: str = "query",
    *,
    by: SetBy = "rank",
    share: float | None = None,
    batch_size: int = 2048,
    rng: RNG = None,
) -> Contrast:
    """Run a model over users of opposite tastes and over the real ones, and keep a layer's vectors.

    A sequential model gets synthetic histories (:func:`synthetic_users`); a model of user ids, for which nobody can
    be made up, the real users of the most and the least popular tastes, among users as active
    (:func:`extreme_users`).

    Parameters
    ----------
    model : torch.nn.Module
        A recommender of headtail or of the same protocol.
    interactions : Interactions
        Training interactions.
    layer : str, default "query"
        Where the vectors are taken.
    by, share
        The sets of items, see :func:`synthetic_users`; for a model of user ids `share` is that of users, by default
        0.1.
    batch_size : int, default 2048
        Users in a block.
    rng : seed or generator
        Draws the synthetic histories.

    Returns
    -------
    Contrast
        Real users are those with interactions. With the layer "query" it has the items' vectors too.

    Examples
    --------
    >>> from headtail.datasets import power_law
    >>> from headtail.models import MF
    >>> train = power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> contrast(MF(200, 50, 4, rng=0), train)
    Contrast(20 popular, 20 niche and 200 real users, d=4)
    """
    random = generator(rng)
    users = np.flatnonzero(interactions.activity).astype(np.int32)
    submodule(model, layer)  # before long work

    def run(batches: Iterable[Tensor]) -> Tensor:
        found: Tensor = activations(model, batches, layer)
        return found

    def real(codes: Codes) -> Iterator[Tensor]:
        return inputs(model, interactions, codes=codes, batch_size=batch_size)

    max_length: Any = getattr(model, "max_length", None)
    if max_length is None:
        sides = [run(real(codes)) for codes in extreme_users(interactions, 0.1 if share is None else share)]
    else:
        length = int(max_length)
        sides = [
            run(torch.split(torch.from_numpy(sequences).long(), batch_size))
            for sequences in (
                synthetic_users(interactions, which, by, share=share, max_length=length, rng=random)
                for which in ("popular", "niche")
            )
        ]
    items = _items(model, next(iter(real(users[:1])))) if layer == "query" else None
    return Contrast(sides[0], sides[1], run(real(users)), users, items)


@torch.no_grad()
def _items(model: nn.Module, batch: Tensor) -> Tensor:
    was_training = model.training
    model.eval()
    try:
        items: Tensor = Vectors(*model(batch.to(device_of(model, None)))).items
        return items.detach().cpu()
    finally:
        model.train(was_training)


@checked
def synthetic_users(
    interactions: Interactions,
    which: Literal["popular", "niche"],
    by: SetBy = "rank",
    *,
    share: float | None = None,
    max_length: int = 50,
    rng: RNG = None,
) -> Codes:
    """Return made-up histories of popular or of niche items, as long as the real ones.

    Every real user's history is replaced by as many draws, with replacement and all items alike, from a set of items:

    * "rank" (the WWW 2026 paper): the most or the least popular 10% of the items;
    * "mass" (the RecSys 2025 paper): the most popular items that hold 20% of the interactions, or the least
      popular ones that do.

    Items without training interactions are in neither set: a model knows nothing of them.

    Parameters
    ----------
    interactions : Interactions
        Training interactions.
    which : {"popular", "niche"}
    by : {"rank", "mass"}, default "rank"
    share : float in (0, 0.5], optional
        Another share than the paper's.
    max_length : int, default 50
        Histories are as long as the last so many interactions of each user.
    rng : seed or generator

    Returns
    -------
    int32 array of shape (U, max_length)
        Item codes, filled with -1 at the left; one row for each user who has interactions.

    Raises
    ------
    InvalidInputError
        If the catalogue is so small that the two sets would touch or be empty.

    References
    ----------
    Ahmadov and Mansoury, RecSys 2025, section 3; WWW 2026, section 3.

    Examples
    --------
    >>> from headtail.datasets import power_law
    >>> train = power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> popular = synthetic_users(train, "popular", rng=0)
    >>> set(popular[popular >= 0].tolist()) == set(np.argsort(-train.popularity, kind="stable")[:5].tolist())
    True
    """
    choice("which", which, ("popular", "niche"))
    max_length = integer("max_length", max_length, low=1)
    chosen = item_sets(interactions, by, share=share)[("popular", "niche").index(which)]
    lengths = np.minimum(interactions.activity[interactions.activity > 0], max_length)
    drawn = generator(rng).choice(chosen, (len(lengths), max_length)).astype(np.int32)
    drawn[np.arange(max_length) < max_length - lengths[:, None]] = -1
    return drawn


@checked
def item_sets(interactions: Interactions, by: SetBy = "rank", *, share: float | None = None) -> tuple[Codes, Codes]:
    """Return the codes of the popular and of the niche items that synthetic users draw from.

    Parameters
    ----------
    interactions, by, share
        As for :func:`synthetic_users`.

    Raises
    ------
    InvalidInputError
        If the sets would touch or be empty.

    Examples
    --------
    >>> from headtail.datasets import power_law
    >>> popular, niche = item_sets(power_law(200, 50, n_interactions=1500, rng=0).interactions, "mass")
    >>> len(popular) < len(niche)
    True
    """
    choice("by", by, tuple(_SHARES))
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

    A user's taste is the mean popularity of the items in the history. It falls with the length of the history, since
    whoever interacts more gets further down the catalogue. Users are therefore compared with others as active: sorted
    by activity, they are cut into runs of about ten users of either group, and each run gives its own extremes.

    Parameters
    ----------
    interactions : Interactions
        Training interactions.
    share : float in (0, 0.5], default 0.1
        Share of the users with interactions that either group has, rounded up within each run.

    Raises
    ------
    InvalidInputError
        If the two groups do not differ in taste, as where there are too few users.

    Notes
    -----
    Without the runs the groups differ in activity as much as in taste, and so do neurons. On MovieLens-1M (ALS, 512
    neurons) they had 30 and 262 interactions a user, with the runs 113 and 121; the share of neurons with |d| > 0.8
    fell from 14% to 5%, and a quarter of all changed their sign. On Last.fm: 31 and 17, then 27 and 27; 17% and 9%.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"user": [1, 1, 2, 3, 4], "item": [10, 20, 10, 10, 40]})
    >>> extreme_users(Interactions.from_frame(frame), share=0.25)
    (array([1], dtype=int32), array([3], dtype=int32))
    """
    share = number("share", share, low=0, high=0.5, low_open=True)
    users = np.flatnonzero(interactions.activity).astype(np.int32)
    taste = (interactions.matrix @ interactions.popularity)[users] / interactions.activity[users]
    by_activity = np.argsort(interactions.activity[users], kind="stable")
    sides: tuple[list[NDArray[np.intp]], ...] = ([], [])
    for run in np.array_split(by_activity, max(1, round(share * len(users) / _OF_A_RUN))):
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
