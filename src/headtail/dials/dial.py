"""The dial: a correction with a name, a grid of strengths, and what it makes of a recommender at each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np

from headtail._checks import checked, number, raised_by
from headtail._forms import Form
from headtail._printable import kind_of
from headtail.data import Interactions, Recommendations
from headtail.dials.menus import Menu
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.subjects import Make, Subject

_TRAINED = 20.0  # cost of a setting that trains a model or an autoencoder
_PRICES = (0.0, 0.00625, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)  # of a menu


@checked
@dataclass(frozen=True)
class Dial:
    """A correction that can be turned up from nothing.

    Parameters
    ----------
    name : str
        The same in tables, figures, files and on the command line.
    make : callable
        ``make(subject, strength, seed)`` returns the corrected recommender: a model, vectors, or a function from the
        interactions to leave out to lists (Recommendations, or a frame).
    grid : tuple of float
        Strengths to measure, from 0 on; they may run below 0 where the dial turns both ways.
    works_on : {"training", "model", "vectors", "lists", "data"}, default "vectors"
        What it needs; see :class:`~headtail.subjects.Subject`. Vectors become a model where one is needed.
    off_at_zero : bool, default True
        Whether strength 0 is the plain recommender. If not, `make` is called for 0 as well, such as for fine-tuning:
        a model that is trained on without a penalty is not the plain one.
    end : float, optional
        The strongest setting, if the dial has a natural one, such as 1 for a share.
    model : str, optional
        Name of the only model class that it can train, such as "SASRec"; any by default.
    cost : float or function of a Subject, optional
        About how long a setting takes, for forecasts, in times of one that re-orders candidates; by default as long as
        other dials that work on the same.
    about : str, default ""
        What it does, in a line.

    Examples
    --------
    >>> split = ht.split_ratio(ht.datasets.power_law(300, 100, n_interactions=3000, rng=0).interactions, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> subject = Subject((rng.normal(size=(300, 4)), rng.normal(size=(100, 4))), split, k=5)
    >>> ht.dials.dial("shrink").at(subject, 0.1).items.shape
    (100, 4)
    """

    name: str
    make: Make
    grid: tuple[float, ...]
    works_on: Form = "vectors"
    off_at_zero: bool = True
    end: float | None = None
    model: str | None = None
    cost: float | Callable[[Subject], float] | None = None
    about: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InvalidInputError(f"name={self.name!r} of a dial is blank. Give one, for tables and files.")
        if not callable(self.make):
            raise InvalidInputError(f"make={self.make!r} of {self.name!r} is not a function. Give one.")
        steps = np.diff([number(f"grid of {self.name!r}", each) for each in self.grid])
        if not self.grid or self.grid[0] != 0 or not ((steps > 0).all() or (steps < 0).all()):
            raise InvalidInputError(
                f"The grid of {self.name!r} is {self.grid}; give 0 first, which is off, then ever stronger settings."
            )

    @classmethod
    def of(cls, name: str, make: Callable[[float, int], Any], grid: Iterable[float] = (0.0,)) -> Self:
        """Return a dial from a function ``make(strength, seed)`` that needs no subject."""
        if not callable(make):
            raise InvalidInputError(f"make={make!r} of {name!r} is not a function. Give one.")
        return cls(name, partial(_without_subject, make), tuple(grid), "data", off_at_zero=False)

    def at(self, subject: Subject, strength: float, seed: int = 0) -> Any:
        """Return the corrected recommender, as :meth:`Subject.recommend` takes it.

        Raises
        ------
        NotAvailableError
            If the subject does not have what the dial works on.
        """
        if not self.fits(subject):
            needed, there = (
                form + f" of {model}" * bool(self.model)
                for form, model in ((self.works_on, self.model), (subject.form, subject.trains))
            )
            raise NotAvailableError(f"{self.name!r} works on {needed}, and this is a subject of {there}.")
        strength = number("strength", strength)
        if strength == 0 and self.off_at_zero:
            return subject.plain(seed)
        with raised_by(f"The dial {self.name!r} at strength {strength:g}"):
            made = self.make(subject.with_layers() if self.works_on == "model" else subject, strength, seed)
        if not (callable(made) or (hasattr(made, "__len__") and len(made) == 2)):
            raise InvalidInputError(
                f"The dial {self.name!r} at strength {strength:g} returned {kind_of(made)}. Return a model, "
                f"vectors (Q, V), or a function from the interactions to leave out to lists."
            )
        return made

    def lists(self, made: Any, subject: Subject, strength: float, known: Interactions) -> Recommendations:
        """Return the lists of what the dial made at a strength, as :meth:`Subject.recommend` does; errors name both."""
        with raised_by(f"What the dial {self.name!r} made at strength {strength:g}"):
            lists = subject.recommend(made, known)
            if lists.k < subject.k:
                raise InvalidInputError(f"its longest list has {lists.k} of k={subject.k} items. Make lists of k.")
            return lists

    def fits(self, subject: Subject) -> bool:
        """Whether the subject has what the dial works on."""
        needed: Form = "vectors" if self.works_on == "model" else self.works_on
        return subject.has(needed) and self.model in (None, subject.trains)

    def cost_on(self, subject: Subject) -> float:
        """Return the time that a setting takes, in times of one that re-orders candidates."""
        if self.cost is not None:
            return self.cost(subject) if callable(self.cost) else self.cost
        if self.works_on == "vectors":
            return of_products(subject)
        return _TRAINED if self.works_on in ("training", "model") else 1.0

    def beyond(self, settings: Sequence[float], chosen: float) -> float | None:
        """Return the strength to try next if the last of the settings is chosen, else None.

        The step has the same ratio as the last one, and does not go beyond the dial's end.
        """
        settings = [number("settings", setting) for setting in settings]
        if len(settings) < 2 or chosen != settings[-1] or chosen == self.end:
            return None
        further = next_by_ratio(*settings[-2:])
        return further if self.end is None else min(further, self.end)

    def menu(self, settings: Iterable[float] | None = None) -> "Dial":
        """Return a dial that chooses one of this dial's settings, by default of its grid, for each user.

        Each user gets the setting with the largest ``E[DCG_u] / E[DCG_u of the plain list] + sum of the items'
        prices``. Relevance is calibrated on the validation part; the prices, whose strength is the menu's, are at the
        fixed point of the exposure that they lead to, see :func:`headtail.allocation_bias`. The choices are
        ``menu.make.choices(subject, strength, seed, known)``.
        """
        chosen = tuple(self.grid if settings is None else (number("settings", value) for value in settings))
        if 0 not in chosen:
            raise InvalidInputError(f"The menu of {self.name!r} is {chosen}, without 0. Add it, the list as it is.")
        form: Form = "lists" if self.works_on == "data" else self.works_on
        about = f"{self.name}, at the strength that suits each user, at prices that even out exposure"
        return Dial(f"{self.name}, menu", Menu(self, chosen), _PRICES, form, about=about)


def next_by_ratio(before: float, last: float) -> float:
    """Return the number, rounded, that follows two of a grid by their ratio, or twice the last one after 0.

    Examples
    --------
    >>> next_by_ratio(0.1, 0.3)
    0.9
    """
    return float(f"{last * (last / before if before else 2.0):.2g}")


def of_products(subject: Subject) -> float:
    """Return the cost of a setting that scores all items."""
    return 0.5 + subject.split.train.n_items / 10_000


def _without_subject(make: Callable[[float, int], Any], subject: Subject, strength: float, seed: int) -> Any:
    return make(strength, seed)
