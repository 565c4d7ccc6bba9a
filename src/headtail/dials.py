"""Dials: every correction under one name, with its strengths and with what it makes of a recommender at each.

:data:`DIALS` are the corrections, :data:`CONTROLS` what the neuron dials are compared with; :func:`dial` finds one by
its name. One of your own is a name, a function and a grid::

    mine = Dial("my boost", lambda subject, strength, seed: boosted(*subject.vectors(seed), strength), (0, 0.1, 0.3))

:data:`REFERENCES` are recommenders without a recommender, as dials of the one setting 0.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from headtail import _neuron_dials as steering
from headtail import _reranking_dials as reranking
from headtail import _training_dials as training
from headtail import baselines, posthoc, rerankers
from headtail._allocation_dials import allocation
from headtail._checks import checked, finite, nearest, number
from headtail._item_bias import item_bias, log_penalty, tilt
from headtail._menus import Menu
from headtail._popularity_direction import without_popularity
from headtail.data import Interactions, Recommendations
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.subjects import Form, Subject
from headtail.typing import IntoFrame, Vectors

Make = Callable[[Subject, float, int], Any]


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
        interactions to leave out to Recommendations.
    grid : tuple of float
        Strengths to measure, from 0 on; they may run below 0 where the dial turns both ways.
    works_on : {"training", "model", "vectors", "lists", "data"}, default "vectors"
        What it needs of a recommender; see :class:`~headtail.subjects.Subject`.
    off_at_zero : bool, default True
        Whether strength 0 is the plain recommender itself. Without it `make` is called for 0 as well: a model that is
        trained on without a penalty is not the one that it began as.
    end : float, optional
        The strongest setting, where the dial has a natural one, such as 1 for a share.
    model : str, optional
        Name of the one class of models that it trains, such as "SASRec"; without it, it fits any.

    Raises
    ------
    InvalidInputError
        If `make` is no function, or the grid does not begin with 0, is not monotonic, or holds a number that is not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> import headtail as ht
    >>> split = ht.split_ratio(ht.datasets.power_law(300, 100, n_interactions=3000, rng=0).interactions, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> subject = Subject((rng.normal(size=(300, 4)), rng.normal(size=(100, 4))), split, k=5)
    >>> dial("shrink").at(subject, 0.1).items.shape
    (100, 4)
    """

    name: str
    make: Make
    grid: tuple[float, ...]
    works_on: Form = "vectors"
    off_at_zero: bool = True
    end: float | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.make):
            raise InvalidInputError(f"make={self.make!r} of {self.name!r} is not a function. Give one.")
        steps = np.diff(np.array(self.grid, dtype=np.float64))
        finite(f"grid of {self.name!r}", np.array(self.grid, dtype=np.float64), "Give numbers.")
        if not self.grid or self.grid[0] != 0 or not ((steps > 0).all() or (steps < 0).all()):
            raise InvalidInputError(
                f"The grid of {self.name!r} is {self.grid}; give 0 first, which is off, then ever stronger settings."
            )

    @classmethod
    @checked
    def of(cls, name: str, make: Callable[[float, int], Any], grid: Iterable[float] = (0.0,)) -> Self:
        """Return a dial of a function that makes recommenders by itself, from a strength and a seed."""
        if not callable(make):
            raise InvalidInputError(f"make={make!r} of {name!r} is not a function. Give one.")
        return cls(name, lambda _, strength, seed: make(strength, seed), tuple(grid), "data", off_at_zero=False)

    @checked
    def at(self, subject: Subject, strength: float, seed: int = 0) -> Any:
        """Return the corrected recommender, as :meth:`Subject.recommend` takes it.

        Raises
        ------
        NotAvailableError
            If the subject does not have what the dial works on.
        """
        if not self.fits(subject):
            wanted, there = (
                form + f" of {model}" * bool(self.model)
                for form, model in ((self.works_on, self.model), (subject.form, subject.trains))
            )
            raise NotAvailableError(f"{self.name!r} works on {wanted}, and this is a subject of {there}.")
        if number("strength", strength) == 0 and self.off_at_zero:
            return subject.plain(seed)
        return self.make(subject, strength, seed)

    @checked
    def fits(self, subject: Subject) -> bool:
        """Whether the subject has what the dial works on."""
        return subject.has(self.works_on) and self.model in (None, subject.trains)

    @checked
    def beyond(self, settings: Sequence[float], chosen: float) -> float | None:
        """Return the strength to try next where the last of some settings is chosen, None where another one is.

        It is as large a step, as a ratio, as the last one; none goes beyond the dial's end.
        """
        settings = [number("settings", setting) for setting in settings]
        if len(settings) < 2 or chosen != settings[-1] or chosen == self.end:
            return None
        before, last = settings[-2:]
        further = float(f"{last * (last / before if before else 2.0):.2g}")
        return further if self.end is None else min(further, self.end)

    @checked
    def menu(self, settings: Iterable[float] | None = None) -> "Dial":
        """Return the dial that gives each user one of this dial's settings; without `settings`, of its grid.

        It is the one of the largest ``E[DCG_u] / E[DCG_u of the plain list] + sum of the items' prices``: relevance is
        calibrated on the validation part, and the prices, whose strength is this dial's, are those that the exposure
        which follows calls for, see :func:`headtail.allocation_bias`. The setting of each user:
        ``menu.make.choices(subject, strength, seed, known)``.

        Raises
        ------
        InvalidInputError
            If 0 is not among the settings.
        """
        chosen = tuple(self.grid if settings is None else (number("settings", value) for value in settings))
        if 0 not in chosen:
            raise InvalidInputError(f"The menu of {self.name!r} is {chosen}, without 0. Add it, the list as it is.")
        form: Form = "lists" if self.works_on == "data" else self.works_on
        return Dial(f"{self.name}, menu", Menu(self.name, self.at, chosen), _PRICES, form)


@checked
def dial(name: str) -> Dial:
    """Return a dial of :data:`DIALS` or :data:`CONTROLS`; case, spaces and punctuation of the name do not matter.

    Raises
    ------
    InvalidInputError
        If there is no such dial; the message lists them.

    Examples
    --------
    >>> dial("tilt-entropy").name
    'tilt (entropy)'
    """
    known = {_plain(each.name): each for each in (*DIALS, *CONTROLS)}
    if _plain(name) not in known:
        names = [each.name for each in known.values()]
        raise InvalidInputError(f"There is no dial {name!r}. {nearest(name, names)}")
    return known[_plain(name)]


@checked
def more_of(tag: str, tags: "IntoFrame | Mapping[Any, Iterable[str]]") -> Dial:
    """Return the dial that shows more items of a tag, by the neurons of the queries that speak for it.

    Parameters
    ----------
    tag : str
        Such as "Documentary".
    tags : frame or mapping
        The tags of all items, see :func:`headtail.sae.find_concepts`.

    Examples
    --------
    >>> import headtail as ht
    >>> split = ht.split_ratio(ht.datasets.power_law(200, 60, n_interactions=1600, rng=0).interactions, rng=0)
    >>> tags = {item: ["even" if item % 2 == 0 else "odd"] for item in split.train.item_ids.tolist()}
    >>> more, model = more_of("even", tags), ht.MF(200, 60, 4, rng=0)
    >>> subject = Subject(model, split, k=5, autoencoder={"expansion": 4, "n_active": 3, "epochs": 1})
    >>> shares = [
    ...     (split.train.item_ids[subject.recommend(more.at(subject, strength), split.known).items] % 2 == 0).mean()
    ...     for strength in (0.0, 4.0)
    ... ]
    >>> bool(shares[1] > shares[0])
    True
    """
    return Dial(f"more {tag}", steering.towards_tag(tag, tags), (0.0, 0.5, 1.0, 2.0, 4.0), "model")


@checked
def as_dial(given: str | Dial) -> Dial:
    """Return a dial, by its name or as it is."""
    return given if isinstance(given, Dial) else dial(given)


@checked
def is_built_in(given: Dial) -> bool:
    """Whether the name of a dial says what it does, whatever its grid."""
    return any((given.name, given.make) == (each.name, each.make) for each in (*DIALS, *CONTROLS, *REFERENCES))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


# -- of vectors -------------------------------------------------------------------------------------------------------


def _of_vectors(correct: Callable[[Vectors, Interactions, float], Vectors]) -> Make:
    """Return what makes a correction of vectors, made anew of what is known where queries follow from that."""

    def make(subject: Subject, strength: float, seed: int) -> Any:
        if not subject.sequential:
            return correct(subject.vectors(seed), subject.split.train, strength)

        def lists(known: Interactions) -> Recommendations:
            return subject.recommend(correct(subject.vectors(seed, known), known, strength), known)

        return lists

    return make


def _shrink(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    return posthoc.shrink(vectors, strength=strength)


def _normalize(vectors: Vectors, known: Interactions, strength: float) -> Vectors:
    return posthoc.normalize(vectors, strength=strength)


_WEIGHTS = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
_SHARES = (0.0, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
_PRICES = (0.0, 0.00625, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)  # of a menu
_TOWARDS_ONE = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 1.0)
_PARTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
_ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)

_OWN: tuple[Dial, ...] = (
    Dial("allocation", allocation(), _SHARES, "lists"),
    Dial("allocation, nobody loses 10%", allocation(max_user_loss=0.1), _SHARES, "lists"),
    Dial("allocation, equal shares", allocation(1.0), _SHARES, "lists"),
    Dial("allocation, most hits", allocation(0.0), _SHARES, "lists"),
    Dial("tilt (alpha-fair)", item_bias(tilt("alpha")), _SHARES, "lists"),
    Dial("tilt (entropy)", item_bias(tilt("entropy")), _SHARES, "lists"),
    Dial("tilt (popularity)", item_bias(tilt("popularity")), (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6), "lists"),
    Dial("log penalty", item_bias(log_penalty), (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8), "lists"),
    Dial("IPR", reranking.by_popularity(rerankers.ipr), (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0), "lists"),
    Dial(
        "calibrated popularity", reranking.by_history(rerankers.calibrated_popularity), _TOWARDS_ONE, "lists", end=1.0
    ),
    Dial("xQuAD", reranking.by_history(rerankers.xquad), _TOWARDS_ONE, "lists", end=1.0),
    Dial("FA*IR", reranking.by_popularity(rerankers.fa_ir), (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0), "lists", end=1.0),
    Dial("PCT", reranking.by_history(rerankers.pct), (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0), "lists", end=1.0),
    Dial("P-MMF", reranking.by_popularity(rerankers.p_mmf), (0.0, 0.001, 0.01, 0.1, 1.0), "lists"),
    Dial("TTEN", _of_vectors(_normalize), (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0), end=1.0),
    Dial("PPD", _of_vectors(without_popularity), (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0), end=1.0),
    Dial("shrink", _of_vectors(_shrink), (0.0, 0.03, 0.06, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), end=1.0),
    Dial("PopSteer", steering.by_users(), _ALPHAS, "model"),
    Dial("PopSteer, error dropped", steering.by_users(keep_error=False), _ALPHAS, "model", off_at_zero=False),
    Dial(
        "PopSteer v1, error dropped",
        steering.by_users(variant="v1", keep_error=False),
        _ALPHAS,
        "model",
        off_at_zero=False,
    ),
    Dial("PopSteer, gated", steering.by_users(variant="gated"), _ALPHAS, "model"),
    Dial("PopSteer, damped", steering.by_users(variant="damp"), _ALPHAS, "model"),
    Dial("PopSteer, by effect", steering.by_users(by="effect"), _ALPHAS, "model"),
    Dial("PopSteer, damped by effect", steering.by_users(variant="damp", by="effect"), _ALPHAS, "model"),
    Dial("PopSteer, by user", steering.by_users(per_user=True), _ALPHAS, "model"),
    Dial("PopSteer, damped by user", steering.by_users(variant="damp", per_user=True), _ALPHAS, "model"),
    Dial("PopSteer, items", steering.by_items(), _ALPHAS, "model"),
    Dial("PopSteer, items gated", steering.by_items(variant="gated"), _ALPHAS, "model"),
    Dial("PopSteer, items damped", steering.by_items(variant="damp"), _ALPHAS, "model"),
    Dial("PopSteer, users and items", steering.by_both(), _ALPHAS, "model"),
    Dial("SPREE", steering.to_taste(), _PARTS, "model"),
    Dial("SPREE, neurons", steering.to_taste(neurons=True), _PARTS, "model"),
    Dial("SPREE, damped neurons", steering.to_taste(neurons=True, variant="damp"), _PARTS, "model"),
    Dial("ReSN", training.resn, _WEIGHTS, "training"),
    Dial("ReSN, fine-tuned", training.resn_fine_tuned, _WEIGHTS, "training", off_at_zero=False),
    Dial("LogDet", training.log_det, (0.0, 1e-4, 1e-3, 1e-2, 1e-1), "training"),
    Dial("Zerosum", training.zerosum, (0.0, 0.01, 0.03, 0.1, 0.3), "training", end=1.0),
    Dial("IPS", training.ips, (0.0, 0.25, 0.5, 0.75, 1.0), "training", end=1.0),
    Dial("PD", training.deconfounded, (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25), "training"),
    Dial("PR-Entmax", training.pr_entmax, (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2), "training", off_at_zero=False),
    Dial("MACR", training.macr, (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0), "training", off_at_zero=False),
    Dial("SPRINT", training.sprint, (0.0, 0.1, 0.25, 1.0, 2.5, 5.0, 10.0), "training", model="SASRec"),
)

DIALS: tuple[Dial, ...] = (*_OWN, *(each.menu() for each in _OWN if each.name in ("PopSteer", "PopSteer, damped")))

CONTROLS: tuple[Dial, ...] = (
    Dial("random neurons", steering.random_neurons, (0.0, 0.3, 0.75, 1.5), "model"),
    Dial("reversed", steering.by_users(), (0.0, -0.3, -0.75, -1.5), "model"),
    Dial("noise", steering.noise, (0.0, 0.3, 0.75, 1.5), "model"),
    Dial("dense shift", steering.direction("shift"), (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6), "model"),
    Dial(
        "dense projection", steering.direction("project"), (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), "model", end=1.0
    ),
)


def _most_popular(subject: Subject, strength: float, seed: int) -> Any:
    return lambda known: baselines.most_popular(known, subject.k)


def _random_items(subject: Subject, strength: float, seed: int) -> Any:
    return lambda known: baselines.random_items(known, subject.k, rng=seed)


REFERENCES: tuple[Dial, ...] = (
    Dial("most popular", _most_popular, (0.0,), "data", off_at_zero=False),
    Dial("random", _random_items, (0.0,), "data", off_at_zero=False),
)
