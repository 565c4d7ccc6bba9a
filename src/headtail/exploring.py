"""The data of an explorer: lists of sampled users and the exposure of every item at each setting of each dial."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import Any

import numpy as np

from headtail._checks import checked, generator, integer, shown
from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.data.popularity import tastes_of
from headtail.data.recommendations import items_of
from headtail.dials import Dial, is_built_in
from headtail.exceptions import InvalidInputError
from headtail.metrics.built_in import BUILT_IN
from headtail.metrics.facts import definition
from headtail.reports.explorer import Explorer, packed
from headtail.spectral import spectrum
from headtail.subjects import Lists, Subject
from headtail.tradeoffs import Frontier
from headtail.tradeoffs.pages import KEPT, spare
from headtail.tradeoffs.settings import facts_for
from headtail.typing import RNG, Array, Codes

TASTES = ("niche tastes", "rather niche tastes", "tastes in between", "rather popular tastes", "popular tastes")
N_KNOWN = 20  # items shown of a history
N_DIRECTIONS, N_ENDS = 24, 10  # shown of a spectrum, and items at either end of each
N_NEURONS, N_ITEMS = 1000, 8  # the strongest neurons, and items that each responds to, raises and lowers
N_TURNED, PUSHES = 24, [-4.0, -2.0, -1.0, 1.0, 2.0, 4.0]  # neurons that are pushed one by one, in units of `std`
PLAIN = "", 0.0  # every dial at strength 0


@dataclass(frozen=True, eq=False)
class Shown:
    """What users are shown at one setting: the sampled users' lists, and each item's exposure over all users."""

    lists: Codes  # (U, k)
    exposure: Array  # (I,)


@checked
@dataclass(frozen=True, eq=False)
class Witness:
    """Records what users are shown on the test at each setting of the dials that it watches.

    Parameters
    ----------
    subject : Subject
        What is corrected.
    n_users : int, default 200
        Users whose lists are kept, equally many from each fifth of tastes, from niche to popular.
    seed : int, default 0
        Of the recommenders whose lists are kept.
    rng : seed or generator, default 0
        Draws the users, from those with a history and a test.

    Examples
    --------
    >>> split = ht.split_ratio(ht.datasets.power_law(300, 100, n_interactions=3000, rng=0).interactions, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> subject = Subject((rng.normal(size=(300, 4)), rng.normal(size=(100, 4))), split, k=5)
    >>> witness = Witness(subject, n_users=20)
    >>> frontier = ht.tradeoffs.sweep(witness.watching(ht.dials.dial("log penalty")), subject, grid=[0.0, 1.0])
    >>> witness.explore(frontier).data["lists"]["shape"]
    [2, 20, 5]
    """

    subject: Subject
    n_users: int = 200
    seed: int = 0
    rng: RNG = 0
    _dials: dict[str, Dial] = field(default_factory=dict, init=False, repr=False)
    _seen: dict[tuple[str, float], Shown] = field(default_factory=dict, init=False, repr=False)
    _sample: list[Codes] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        integer("n_users", self.n_users, low=1)
        integer("seed", self.seed)
        self._sample.extend(_by_taste(self.subject, self.n_users, self.rng))

    @property
    def codes(self) -> Codes:
        """Codes of the users whose lists are kept, those of niche tastes first."""
        return np.concatenate(self._sample)

    def watching(self, dial: Dial) -> Dial:
        """Return the same dial, with every list that it makes for the test recorded."""
        self._dials[dial.name] = dial
        return replace(dial, make=wraps(dial.make)(partial(self._watched, dial)))

    def trains(self, method: str) -> bool:
        """Whether a method is a watched dial that trains the recommender again."""
        return method in self._dials and self._dials[method].works_on == "training"

    def _watched(self, dial: Dial, subject: Subject, strength: float, seed: int) -> Lists:
        return partial(self._lists, (dial.name, strength), subject, dial.at(subject, strength, seed), seed)

    def _lists(
        self, key: tuple[str, float], subject: Subject, made: Any, seed: int, known: Interactions
    ) -> Recommendations:
        found = subject.recommend(made, known)
        if seed == self.seed and known.fingerprint == self.subject.split.known.fingerprint:
            self._keep(key, found)
        return found

    def shown(self, dial: Dial, strength: float) -> Shown:
        """Return what is shown at a setting, made now if it was not recorded."""
        key = PLAIN if strength == 0 and dial.off_at_zero else (dial.name, strength)
        if key not in self._seen:
            made = dial.at(self.subject, strength, self.seed)
            self._keep(key, dial.lists(made, self.subject, strength, self.subject.split.known))
        return self._seen[key]

    def _keep(self, key: tuple[str, float], found: Recommendations) -> None:
        """Record the exposure of all lists, and the sampled users' lists, empty where a user has none."""
        exposure = found.slots
        self._seen[key] = Shown(items_of(found, self.codes)[:, : self.subject.k], exposure)

    def explore(
        self,
        frontier: Frontier,
        *,
        chosen: tuple[str, float] | None = None,
        verdict: str = "",
        max_loss: float = 0.02,
        n_items: int = 20_000,
    ) -> Explorer:
        """Return a page on which any dial can be moved and users' lists change with it.

        The lists leave out all that was known before the test. Neurons are shown where the subject has them, and the
        spectrum where it has vectors. The page holds ids, histories and lists of its users.

        Parameters
        ----------
        frontier : Frontier
            The measured settings; for methods that are not watched dials only the figures are shown.
        chosen : (method, strength), optional
            Where the page begins.
        verdict : str
            What stands on top of it.
        max_loss : float, default 0.02
            By which the setting of each dial is chosen on validation, as by :meth:`Frontier.choose`.
        n_items : int, default 20,000
            Searchable items: those in the lists, then the most exposed and most popular ones.
        """
        if not any(name in self._dials for name in frontier.methods):
            raise InvalidInputError(
                f"None of the methods {shown(frontier.methods, 50)} is a dial that was watched. Sweep what "
                f"watching(dial) returns."
            )
        if frontier.reference[1] != 0:
            name, strength = frontier.reference
            raise InvalidInputError(
                f"The first setting, {name!r} at {strength:g}, would pass for the recommender as it is. Sweep from 0."
            )
        if not isinstance(verdict, str):
            raise InvalidInputError(f"verdict={verdict!r} is no text. Give a sentence, or leave it out.")
        return Explorer(_Gathering(self, frontier, max_loss, integer("n_items", n_items, low=1)).data(chosen, verdict))


def _by_taste(subject: Subject, n_users: int, rng: RNG) -> list[Codes]:
    """Return users drawn from each fifth of tastes, with a history and, where anybody has one, a test."""
    split, random = subject.split, generator(rng)
    known = split.known
    served = known.activity > 0
    if subject.codes is not None:
        served &= np.isin(np.arange(known.n_users), subject.codes)
    eligible = served & (split.test.activity > 0)
    users = np.flatnonzero(eligible if eligible.any() else served)
    taste = tastes_of(known.matrix, split.train.popularity)[users]
    fifths = np.array_split(users[np.argsort(taste, kind="stable")], len(TASTES))
    sizes = [len(part) for part in np.array_split(np.arange(n_users), len(TASTES))]
    drawn = [random.permutation(fifth)[:size] for fifth, size in zip(fifths, sizes, strict=True)]
    return [np.sort(part).astype(np.int32) for part in drawn]


class _Gathering:
    """Gathers the content of a page, and the items that it names."""

    def __init__(self, witness: Witness, frontier: Frontier, max_loss: float, n_items: int) -> None:
        self.witness, self.frontier, self.max_loss = witness, frontier, max_loss
        self.subject, self.split = witness.subject, witness.subject.split
        self.rows: list[Shown] = []
        self.settings, self.dials = self._settings()
        self.exposure = np.stack([shown.exposure for shown in self.rows])  # (S, I)
        self.known = [self._history(user) for user in witness.codes]
        matrix = self.split.test.matrix
        self.relevant = [matrix.indices[matrix.indptr[u] : matrix.indptr[u + 1]] for u in witness.codes]
        self.spectrum, self.neurons = self._spectrum(), self._neurons()
        self.items = self._named(n_items)
        self.places = np.full(self.split.train.n_items, -1)
        self.places[self.items] = np.arange(len(self.items))
        for part, name in self._codes():
            part[name] = packed(self._placed(part[name]))

    def data(self, chosen: tuple[str, float] | None, verdict: str) -> dict[str, Any]:
        frontier, train = self.frontier, self.split.train
        groups = PopularityGroups.by_mass(train.popularity)
        return {
            "kind": "explorer",
            "verdict": verdict,
            "k": self.subject.k,
            "n_users": len(self.subject.users),
            "n_items": train.n_items,
            "max_loss": self.max_loss,
            "spare": spare(self.frontier),
            "kept": KEPT,
            "split": self.split.description,
            "accuracy": frontier.accuracy,
            "unfairness": frontier.unfairness,
            "metrics": [_metric(frontier, name) for name in frontier.points[0].test],
            "dials": self.dials,
            "settings": self.settings,
            "chosen": next((i for i, s in enumerate(self.settings) if chosen == (s["dial"], s["strength"])), None),
            "users": {
                "ids": [str(train.user_ids[user]) for user in self.witness.codes],
                "tastes": [name for name, part in zip(TASTES, self.witness._sample, strict=True) for _ in part],
                "n_known": self.split.known.activity[self.witness.codes].tolist(),
                "known": self._ragged(self.known),
                "relevant": self._ragged(self.relevant),
            },
            "items": {
                "ids": [str(train.item_ids[i]) for i in self.items],
                "titles": [str(train.item_labels[i]) for i in self.items],
                "popularity": packed(train.popularity[self.items]),
                "groups": list(groups.names),
                "group": packed(groups.codes[self.items]),
            },
            "lists": packed(self._placed(np.stack([shown.lists for shown in self.rows]))),
            "exposure": packed(self.exposure[:, self.items]),
            "spectrum": self.spectrum,
            "neurons": self.neurons,
        }

    def _codes(self) -> Iterator[tuple[dict[str, Any], str]]:
        """Yield the parts, other than lists, that hold items as codes of the catalogue."""
        for part, names in ((self.spectrum, ("ends",)), (self.neurons, ("hears", "raises", "lowers", "turned"))):
            yield from ((part, name) for name in names if part is not None)

    def _settings(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return every setting with its figures and the row of its lists, and every dial."""
        frontier, settings, dials = self.frontier, list[dict[str, Any]](), list[dict[str, Any]]()
        for method in frontier.methods:
            dial = self.witness._dials.get(method)
            best = frontier.choose(method, self.max_loss)
            strengths = frontier.settings(method)
            own = dial is None or not is_built_in(dial)
            works_on = None if dial is None else dial.works_on
            about = "" if dial is None else dial.about
            dials.append({"name": method, "built_in": not own, "works_on": works_on, "about": about})
            for strength in strengths:
                values = {m: _estimate(frontier, method, strength, m) for m in frontier.points[0].test}
                traded = (frontier.accuracy, frontier.unfairness)
                settings.append({
                    "dial": method,
                    "strength": strength,
                    "chosen": strength == best and len(strengths) > 1,
                    "row": None if dial is None else self._row(dial, strength),
                    "values": values,
                    "changes": {m: _estimate(frontier, method, strength, m, relative=True) for m in traded},
                })  # fmt: skip
        return settings, dials

    def _row(self, dial: Dial, strength: float) -> int:
        """Return the row of a setting's lists; all dials that are off share one."""
        shown = self.witness.shown(dial, strength)
        if shown not in self.rows:
            self.rows.append(shown)
        return self.rows.index(shown)

    def _history(self, user: int) -> Codes:
        """Return a user's latest known items, or the most popular of them where no time is known."""
        known = self.split.known
        own = slice(*known.matrix.indptr[user : user + 2])
        if known.time_rank is not None:
            return known.histories[own][::-1][:N_KNOWN]
        items = known.matrix.indices[own]
        return np.asarray(items[np.argsort(-known.popularity[items], kind="stable")][:N_KNOWN])

    def _named(self, n_items: int) -> Array:
        """Return the codes of the items that the page names, ascending."""
        needed = np.zeros(self.split.train.n_items, dtype=bool)
        groups = [*(shown.lists for shown in self.rows), *self.known, *self.relevant]
        groups += [part[name] for part, name in self._codes()]
        for codes in groups:
            needed[codes[codes >= 0]] = True
        rank = np.where(needed, np.inf, self.exposure.max(axis=0) + self.split.train.popularity)
        n = max(n_items, int(needed.sum()))
        return np.sort(np.argsort(-rank, kind="stable")[:n])

    def _placed(self, codes: Codes) -> Array:
        """Return items by their place on the page; padding becomes the number of items."""
        return np.where(codes >= 0, self.places[codes], len(self.items))

    def _ragged(self, parts: Iterable[Codes]) -> dict[str, Any]:
        parts = list(parts)
        return {"items": packed(self._placed(np.concatenate(parts))), "counts": [len(part) for part in parts]}

    def _spectrum(self) -> dict[str, Any] | None:
        """Return the singular directions of the plain scores, with the items at either end of each."""
        if not self.subject.has("vectors"):
            return None
        found = spectrum(*self.subject.vectors(self.witness.seed), popularity=self.split.train.popularity)
        n = min(N_DIRECTIONS, found.rank)
        n_ends = min(N_ENDS, self.split.train.n_items)
        ends, loadings = [], []
        for k in range(n):
            right = found.right(k)
            order = np.argsort(-right, kind="stable")
            both = np.stack([order[:n_ends], order[::-1][:n_ends]])  # (2, E)
            ends.append(both)
            loadings.append(right[both])
        return {
            "rank": found.rank,
            "sigma": found.sigma[:n].tolist(),
            "energy": found.energy[:n].tolist(),
            "alignment": None if found.alignment is None else found.alignment[:n].tolist(),
            "ends": np.array(ends, dtype=np.int64).reshape(n, 2, n_ends),
            "loadings": packed(np.array(loadings).reshape(n, 2, n_ends)),
        }

    def _neurons(self) -> dict[str, Any] | None:
        """Return the subject's neurons, with the items that each responds to, raises and lowers."""
        neurons = self.subject.found_neurons(self.witness.seed)
        if neurons is None:
            return None
        contrast = neurons.source.contrast
        unknown = neurons.source.interactions is None or contrast.items is None or contrast.users is None
        if unknown or not (neurons.firing_rate > 0).any():
            return None
        from headtail.sae.portraits import portraits

        table = neurons.select(top=N_NEURONS)
        if np.isnan(table.effect).any():
            table = table.with_effects(progress=False)
        found = portraits(table, users=self.witness.codes, n_items=N_ITEMS)
        place_of = {user: place for place, user in enumerate(self.witness.codes.tolist())}
        figures = {"d": table.cohens_d, "low": table.low, "high": table.high, "rate": table.firing_rate}
        figures |= {"correlation": table.correlation, "effect": table.effect, "likeness": found.likeness}
        return {
            "n": table.n_neurons,
            "index": table.index.tolist(),
            "tags": [text.split("|") if text else [] for text in table.tags.tolist()],
            "neighbors": found.neighbors.tolist(),
            "users": [[place_of[user] for user in row if user >= 0] for row in found.drivers.tolist()],
            "pushes": PUSHES,
            "turned": self._turned(neurons, table.index[:N_TURNED], table.std[:N_TURNED]),
            **{name: packed(values) for name, values in figures.items()},
            **{name: packed(getattr(found, name)) for name in ("heard", "raised", "lowered")},
            **{name: getattr(found, name) for name in ("hears", "raises", "lowers")},
        }

    def _turned(self, neurons: Any, index: Array, std: Array) -> Codes:
        """Return the lists of the users with one neuron pushed, for every push: (neurons, pushes, U, k)."""
        import torch

        from headtail.sae import Steered, Steering
        from headtail.training import recommend

        sae, known, k = neurons.source.sae, self.split.known, self.subject.k
        steered = Steered(self.subject.with_layers().plain(self.witness.seed), Steering(sae))
        lists = np.empty((len(index), len(PUSHES), len(self.witness.codes), k), dtype=np.int32)
        for i, j in np.ndindex(lists.shape[:2]):
            shift = torch.zeros(sae.n_neurons, device="cpu")
            shift[int(index[i])] = PUSHES[j] * float(std[i])
            steered.edit = Steering(sae, shift)
            lists[i, j] = recommend(steered, known, codes=self.witness.codes, k=k).items
        return lists


def _metric(frontier: Frontier, name: str) -> dict[str, Any]:
    """Describe a metric for the page."""
    facts, known = facts_for(frontier, name), BUILT_IN.get(name.partition("@")[0])
    return {
        "name": name,
        "title": facts.title,
        "format": facts.format,
        "better": facts.better,
        "definition": "" if known is None else definition(known),
    }


def _estimate(
    frontier: Frontier, method: str, strength: float, metric: str, *, relative: bool = False
) -> list[float | None]:
    """Return a figure on the test with its interval."""
    found = frontier.estimate(method, strength, metric, relative=relative)
    return [found.value, found.low, found.high]
