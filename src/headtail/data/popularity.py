"""Groups of items by popularity: head, mid and tail, by one of three rules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from headtail._checks import checked, integer, nearest, number
from headtail._factors import as_popularity, per_item
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.typing import Array, Floats, Ints, Mask

_TIES = "Items of equal popularity are ordered as in the catalogue, the earlier one counting as more popular."


@checked
@dataclass(frozen=True, eq=False, repr=False)
class PopularityGroups:
    """Items divided by popularity; made by :meth:`by_mass`, :meth:`by_rank` or :meth:`equal_mass`.

    Parameters
    ----------
    names : tuple of str
        Names of the groups, the most popular first.
    codes : int8 array of shape (n_items,)
        Position in `names` of each item's group.
    description : str
        The cuts and how ties are broken, for reports.
    popularity : array of shape (n_items,)
        Training interactions of each item.

    Examples
    --------
    >>> groups = PopularityGroups.by_mass([60, 1, 20, 10, 9])
    >>> groups
    PopularityGroups(head 1 item, mid 1 item, tail 3 items)
    >>> groups.shares(groups.popularity)
    array([0.6, 0.2, 0.2])
    """

    names: tuple[str, ...]
    codes: Ints
    description: str
    popularity: Array

    def __post_init__(self) -> None:
        names, codes, popularity = tuple(self.names), np.asarray(self.codes), np.asarray(self.popularity)
        if codes.dtype.kind not in "iu" or codes.shape != popularity.shape or codes.ndim != 1:
            raise InvalidInputError(
                f"codes has shape {codes.shape} and type {codes.dtype}; give the place in names of the group of each "
                f"of the {popularity.size} items."
            )
        if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise InvalidInputError(f"names={names!r} are not the names of groups; give text, each once.")
        object.__setattr__(self, "names", names)
        if codes.size and not 0 <= codes.min() <= codes.max() < len(names):
            raise InvalidInputError(
                f"codes runs from {codes.min()} to {codes.max()}; give places among the {len(names)} names."
            )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {n:,} {'item' if n == 1 else 'items'}" for name, n in self.sizes.items())
        return f"PopularityGroups({sizes})"

    @classmethod
    def by_mass(cls, popularity: Any, cuts: tuple[float, ...] = (0.2, 0.8)) -> Self:
        """Group items by their share of the interactions.

        The head is the most popular items, as few as hold at least ``cuts[0]`` of all interactions. The tail is the
        least popular items, as few as hold at least ``1 - cuts[1]``; items without interactions belong to it. An item
        that both claim is the head's. The mid lies between. One cut gives a head and a tail alone: with
        ``cuts=(0.8,)`` the head holds 80% of the interactions.

        Source: the sets of popular and unpopular items of Ahmadov and Mansoury, RecSys 2025, section 4.

        Parameters
        ----------
        popularity : array of shape (n_items,)
            Training interactions of each item.
        cuts : tuple of one or two floats in (0, 1), default (0.2, 0.8)
            Shares of the interactions, counted from the most popular item; the second is the larger.

        Examples
        --------
        >>> PopularityGroups.by_mass([60, 1, 20, 10, 9]).names
        ('head', 'mid', 'tail')
        """
        popularity = as_popularity(popularity)
        what = "the most popular items, as few as hold at least {:.4g}% of the training interactions"
        return cls._cut(popularity, popularity / popularity.sum(), cuts, what)

    @classmethod
    def by_rank(cls, popularity: Any, cuts: tuple[float, ...] = (0.2, 0.8)) -> Self:
        """Group items by their place in the order of popularity.

        The head is the first ``cuts[0]`` of the items and the tail the last ``1 - cuts[1]``, each rounded up to whole
        items. One cut gives a head and a tail alone. The parameters are those of :meth:`by_mass`.

        Examples
        --------
        >>> PopularityGroups.by_rank([60, 1, 20, 10, 9]).sizes
        {'head': 1, 'mid': 3, 'tail': 1}
        """
        popularity = as_popularity(popularity)
        each = np.full(len(popularity), 1 / len(popularity))
        return cls._cut(popularity, each, cuts, "the most popular {:.4g}% of the items")

    @classmethod
    def equal_mass(cls, popularity: Any, n: int = 5) -> Self:
        """Divide the items into groups with about the same number of interactions each.

        Starting with the least popular item, a group is filled until it holds at least 1/n of all interactions, then
        the next one begins; what a group holds beyond its share is not deducted from the next. The groups are named
        ``q1`` (the most popular items) to ``qn``.

        Source: the five groups of Lin et al., WSDM 2025.

        Parameters
        ----------
        popularity : array of shape (n_items,)
            Training interactions of each item.
        n : int, default 5
            Number of groups, 2 to 127; so few that each is filled.

        Examples
        --------
        >>> PopularityGroups.equal_mass([4, 4, 1, 2, 1], n=3).sizes
        {'q1': 1, 'q2': 1, 'q3': 3}
        """
        popularity, n = as_popularity(popularity), integer("n", n, low=2, high=127)
        order = np.argsort(-popularity, kind="stable")
        codes = np.zeros(len(order), dtype=np.int8)
        rest = popularity[order] / popularity.sum()
        for group in range(n - 1, 0, -1):
            size = _fewest(rest[::-1], 1 / n)
            codes[order[len(rest) - size : len(rest)]] = group
            rest = rest[: len(rest) - size]
            if not len(rest):
                raise InvalidInputError(
                    f"n={n} groups of equal popularity cannot be filled: too few of the {len(order)} items hold the "
                    f"interactions (the most popular one {popularity.max() / popularity.sum():.0%}). Lower n."
                )
        said = (
            f"{n} groups with about the same number of training interactions each, q1 the most popular items and q{n} "
            f"the rarest: filled from the least popular item on, a group is complete once it holds 1/{n} of all. "
            f"{_TIES}"
        )
        return cls(tuple(f"q{i + 1}" for i in range(n)), codes, said, popularity)

    @classmethod
    def _cut(cls, popularity: Array, mass: Floats, cuts: tuple[float, ...], head: str) -> Self:
        """Cut the items, the most popular first, where as few as hold a share of the mass begin and end."""
        cuts, order = _cuts(cuts), np.argsort(-popularity, kind="stable")
        n_head = _fewest(mass[order], cuts[0])
        n_tail = len(order) - n_head
        if len(cuts) == 2:
            n_tail = min(n_tail, _fewest(mass[order[::-1]], 1 - cuts[1]))
        names = ("head", "tail") if len(cuts) == 1 else ("head", "mid", "tail")
        codes = np.ones(len(order), dtype=np.int8)
        codes[order[:n_head]] = 0
        codes[order[len(order) - n_tail :]] = len(names) - 1
        said = f"Head: {head.format(100 * cuts[0])}. "
        if len(cuts) == 1:
            said += "Tail: all others. "
        else:
            said += f"Tail: {head.replace('most', 'least').format(100 * (1 - cuts[1]))}. Mid: between them. "
        return cls(names, codes, said + _TIES, popularity)

    def mask(self, name: str) -> Mask:
        """Return which items are in the group `name`, bool array of shape (n_items,)."""
        if name not in self.names:
            raise MissingColumnError(f"There is no popularity group {name!r}. {nearest(name, self.names)}")
        return np.asarray(self.codes == self.names.index(name))

    @property
    def sizes(self) -> dict[str, int]:
        """Number of items in each group."""
        counts = np.bincount(self.codes, minlength=len(self.names)).tolist()
        return dict(zip(self.names, counts, strict=True))

    def sum(self, values: Any) -> Floats:
        """Return the sum of `values` (n_items,) in each group, float array of shape (n_groups,)."""
        values = per_item("values", values, len(self.codes))
        return np.bincount(self.codes, weights=values, minlength=len(self.names)).astype(np.float64)

    def shares(self, values: Any) -> Floats:
        """Return each group's part of the sum of `values`, float array of shape (n_groups,); NaN if the sum is 0."""
        sums = self.sum(values)
        total = sums.sum()
        return sums / total if total else np.full_like(sums, np.nan)


Grouping = PopularityGroups | Callable[[Ints], PopularityGroups]


def as_groups(groups: Grouping, popularity: Array) -> PopularityGroups:
    """Return the groups of a catalogue, given as they are or as a function of its popularity."""
    found = groups(popularity) if callable(groups) else groups
    if not isinstance(found, PopularityGroups):
        raise InvalidInputError(
            f"groups={groups!r} is not known. Give PopularityGroups, or a function from popularity to them, such as "
            f"PopularityGroups.by_rank."
        )
    if len(found.codes) != len(popularity):
        raise InvalidInputError(
            f"groups has {len(found.codes)} items and the catalogue {len(popularity)}. Make the groups from the "
            f"popularity of the same training interactions."
        )
    return found


def tastes_of(histories: sp.csr_array, popularity: Array) -> Floats:
    """Return each user's taste for popular items: the mean log(1 + popularity) of the history, NaN where it is empty.

    `histories` is a matrix of ones, a row for each user.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray((histories @ np.log1p(popularity)) / np.diff(histories.indptr))


def _cuts(cuts: tuple[float, ...]) -> tuple[float, ...]:
    if not isinstance(cuts, (tuple, list)):
        raise InvalidInputError(f"cuts={cuts!r} is no tuple; give one or two shares, for example (0.2, 0.8).")
    cuts = tuple(cuts)
    if len(cuts) not in (1, 2):
        raise InvalidInputError(f"cuts={cuts!r} has {len(cuts)} entries; give one or two, for example (0.2, 0.8).")
    cuts = tuple(number("cuts", cut, low=0, high=1, low_open=True, high_open=True) for cut in cuts)
    if len(cuts) == 2 and cuts[0] >= cuts[1]:
        raise InvalidInputError(f"cuts={cuts!r} do not increase; give for example (0.2, 0.8).")
    return cuts


def _fewest(mass: Floats, share: float) -> int:
    """Return how many of the first entries it takes to hold at least `share`."""
    held = np.cumsum(mass)
    # The tolerance keeps 0.1 + 0.2 from falling short of 0.3; one interaction in 1e9 is far below what is counted.
    return min(len(mass), int(np.searchsorted(held, share - 1e-9)) + 1)
