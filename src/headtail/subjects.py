"""The recommender to correct, in any form, with the split on which corrections are chosen and reported."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias, TypeVar
from zlib import crc32

import numpy as np

from headtail._caching import cached_method, cached_of_all, kept
from headtail._checks import checked, generator, integer, list_length
from headtail._checksums import digest, fingerprint_in_order, identity_of
from headtail._factors import as_pair, to_numpy
from headtail._forms import FORMS, Form, check_lists, encoded, fingerprint_of, form_of, learned_by
from headtail._sampled_exposure import SampledExposure, sampled_exposure
from headtail.allocation import calibrate
from headtail.allocation.calibration import by_item_or_plain
from headtail.allocation.candidates import Reach, scored
from headtail.allocation.features import lists_at, lists_of_parts
from headtail.data import Interactions, Recommendations, Split
from headtail.data.rows import Order, by_codes, in_order_of, order_of, with_ids
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.training.ranking import lists_of, recommend, shortened
from headtail.training.recipes import Recipe
from headtail.typing import RNG, Codes, Vectors

Make: TypeAlias = Callable[["Subject", float, int], Any]
"""From a subject, a strength and a seed to the corrected recommender."""

Lists: TypeAlias = Callable[[Interactions], Recommendations]
"""From the interactions to leave out to lists."""

AUTOENCODER: Mapping[str, Any] = {"expansion": 16, "n_active": 32, "batch_size": 1024, "epochs": 40}
_AT_ONCE = 30_000  # users
_MADE_AGAIN = {"vectors", "encoded", "both", "candidates", "reachable", "calibrated", "_cross_fitted", "longer"}
_MADE_AGAIN |= {"as it is", "exposure"}
_BY_RANK = "The lists have no scores: for dials that ask for one, a place at rank r counts 1 / log2(r + 1)."
_Made = TypeVar("_Made")


@checked
class Subject:
    """A recommender to correct, and the data by which corrections are chosen.

    The trained model, its vectors, candidates and neurons are computed when a dial first needs them, and cached.

    Parameters
    ----------
    source : Recipe, torch.nn.Module, Vectors, (Q, V), Recommendations or None
        How to train the model; the trained model; its two factors, joined with the split by their ids or, without ids,
        with one row for each user and item; or lists longer than `k`, with or without scores. None is for dials that
        make recommenders by themselves.
    split : Split
        With a validation part.
    k : int, optional
        Length of the lists that users see; by default 20, or the size of the catalogue.
    n_candidates : int, default 300
        Length of the lists that are re-ranked.
    neurons : Neurons, optional
        Popularity neurons of the model, for the dials that steer them.
    autoencoder : mapping, optional
        Without `neurons`, how the sparse autoencoder that finds them is made and trained: `expansion` (16), `n_active`
        (32) and arguments of :func:`headtail.sae.fit_sae`.

    Examples
    --------
    >>> split = ht.split_ratio(ht.datasets.power_law(300, 100, n_interactions=3000, rng=0).interactions, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> subject = Subject((rng.normal(size=(300, 4)), rng.normal(size=(100, 4))), split, k=5)
    >>> subject.form, subject.recommend(subject.plain(0), split.train)
    ('vectors', Recommendations(300 users, top-5))
    """

    def __init__(
        self,
        source: Any,
        split: Split,
        *,
        k: int | None = None,
        n_candidates: int = 300,
        neurons: Any = None,
        autoencoder: Mapping[str, Any] | None = None,
    ) -> None:
        self.order: Order | None = None  # check of the row order of vectors without ids
        if isinstance(source, tuple) and len(source) == 2:
            given = with_ids(as_pair(source), like=split.train)
            source = in_order_of(given, split.train)
            if given.user_ids is None or given.item_ids is None:
                self.order = order_of(source, split.train)
        self.source, self.split = source, split
        self.k = list_length(k, split.train.n_items)
        self.n_candidates = min(integer("n_candidates", n_candidates, low=self.k), split.train.n_items)
        self.autoencoder = dict(AUTOENCODER if autoencoder is None else autoencoder)
        self.form = form_of(source)
        self._neurons, self._cache = neurons, dict[Any, Any]()
        self._of: Subject = self  # of a sample, the whole
        self.codes: Codes | None = None  # of the users of a sample
        self._learner: Subject | None = None  # of a block
        if isinstance(source, Recommendations):
            check_lists(source, self.k)
            self.source = scored(source)
        self._by_rank = self.source is not source

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is large and made again in moments out of pickles and copies."""
        again = {key for key in self._cache if (key if isinstance(key, str) else key[0]) in _MADE_AGAIN}
        return vars(self) | {"_cache": {key: made for key, made in self._cache.items() if key not in again}}

    def sample(self, n_users: int, rng: RNG = 0) -> "Subject":
        """Return the recommender for a random sample of its users, those in the held-out parts first.

        Models and vectors stay those of all users; lists, their evaluation and what is learned from them are the
        sample's.
        """
        users = np.arange(self.split.train.n_users) if self.codes is None else self.codes
        if n_users >= len(users):
            return self
        random = generator(rng)

        def draw() -> Subject:
            order = random.permutation(users)
            held_out = sum(part.activity for part in (self.split.validation, self.split.test) if part is not None)
            order = order[np.argsort(np.asarray(held_out)[order] == 0, kind="stable")]
            codes = np.sort(order[:n_users]).astype(np.int32)
            some, drawn = self._of_users(codes), np.isin(np.arange(self.split.train.n_users), codes)
            parts: dict[str, Any] = {
                name: part.subset(drawn[part.users]) for name, part in self.split.parts.items() if name != "train"
            }
            some.split = replace(self.split, **parts)
            return some

        return self.cached(("sample", n_users, rng), draw)

    def _of_users(self, codes: Codes) -> "Subject":
        some = copy.copy(self)
        some.codes, some._cache = codes, {}
        if isinstance(self.source, Recommendations):
            some.source, some._of = some._narrowed(self.source), some
        return some

    @property
    def learner(self) -> "Subject":
        """The users that relevance, prices and biases are learned from: all, or a sample of 30,000."""
        return self._learner or self.sample(_AT_ONCE)

    def blocks(self) -> Iterator["Subject"]:
        """Yield the recommender for 30,000 users at a time, drawn at random so that each block resembles the whole."""
        if self.learner is self:
            yield self
            return
        order = np.random.default_rng(0).permutation(self.users)
        for start in range(0, len(order), _AT_ONCE):
            block = self._of_users(np.sort(order[start : start + _AT_ONCE]))
            block._learner = self.learner
            yield block

    def in_blocks(self, make: Callable[["Subject"], Recommendations]) -> Recommendations:
        """Return the lists that `make` makes, block by block, which bounds the candidates in memory."""
        made = [make(block) for block in self.blocks()]
        return made[0] if len(made) == 1 else lists_of_parts(made, self.users)

    @property
    def users(self) -> Codes:
        """Codes of all users, in the order of the lists."""
        if isinstance(self.source, Recommendations):
            return self.source.users
        return np.arange(self.split.train.n_users, dtype=np.int32) if self.codes is None else self.codes

    @property
    def fingerprint(self) -> str:
        """Identifies this recommender, its split and its lists."""
        parts = [f"{name} {fingerprint_in_order(self.source, part)}" for name, part in self.split.parts.items()]
        options = f"k={self.k}, {self.n_candidates} candidates, autoencoder ({identity_of(self.autoencoder)})"
        if self.codes is not None:
            options += f", {len(self.codes)} users {crc32(self.codes.tobytes()):08x}"
        if self._neurons is not None:
            options += f", neurons {digest(identity_of(self._neurons).encode())}"
        return "; ".join([f"{self.form} {fingerprint_of(self.source)}", options, *parts])

    def has(self, form: Form) -> bool:
        """Whether corrections that need this form of the recommender are possible."""
        return FORMS.index(self.form) <= FORMS.index(form)

    @property
    def trains(self) -> str | None:
        """Name of the model class that can be retrained with a correction, or None."""
        return self.source.model.__name__ if isinstance(self.source, Recipe) else None

    @property
    def sequential(self) -> bool:
        """Whether queries depend on a user's history, so that they differ between validation and test."""
        return self.has("model") and hasattr(self.plain(0), "max_length")

    @cached_of_all
    def plain(self, seed: int = 0) -> Any:
        """Return the recommender without correction, as :meth:`recommend` takes it."""
        if isinstance(self.source, Recommendations):
            return self.lists
        if self.source is None:
            raise NotAvailableError("There is no recommender; give one in place of None.")
        made = self.source.train(self.split.train, seed) if isinstance(self.source, Recipe) else self.source
        self._cache["learned", seed] = learned_by(made)
        return made

    def changed(self, seeds: Iterable[int]) -> bool:
        """Whether the plain recommender is no longer the one that what is cached was made of."""
        both = self._of, self._of._cache.get("with_layers", self._of)
        known = ((of, seed, of._cache.get(("learned", seed))) for of in both for seed in seeds)
        return any(learned and learned_by(of.plain(seed)) != learned for of, seed, learned in known)

    def train(self, seed: int, *, start: Any = None, **changes: Any) -> Any:
        """Return the model trained with other arguments of ``fit``, from scratch or from `start`."""
        if not isinstance(self.source, Recipe):
            raise NotAvailableError(f"A {self.form} cannot be trained again. Give a Recipe in its place.")
        return self.source.train(self.split.train, seed, start=start, **changes)

    def vectors(self, seed: int = 0, known: Interactions | None = None) -> Vectors:
        """Return a copy of queries and items, for the histories `known`, by default the training part."""
        of, key = self._of, ("vectors", seed, None if known is None else known.fingerprint)
        found = of.cached(key, lambda: of.vectors_of(of.plain(seed), known))
        return found._replace(queries=found.queries.copy(), items=found.items.copy())

    def vectors_of(self, made: Any, known: Interactions | None = None) -> Vectors:
        """Return the vectors of a model, or given vectors, as numpy arrays."""
        if not self.has("vectors"):
            raise NotAvailableError("Lists have no vectors. Give vectors or a model for this correction.")
        made = encoded(made, self.split.train if known is None else known, None, self._of._cache)
        found = by_codes(as_pair(made), self.split.train)
        return found._replace(**{name: to_numpy(getattr(found, name)) for name in ("queries", "items")})

    def cached(self, key: Any, make: Callable[[], _Made]) -> _Made:
        """Return the cached result of `make` under a hashable key."""
        if key not in self._cache:
            self._cache[key] = make()
        made: _Made = self._cache[key]
        return made

    @cached_method
    def candidates(self, seed: int, known: Interactions) -> Recommendations:
        """Return long lists with scores, without known items."""
        if isinstance(self.source, Recommendations):
            return self.source.without(known)
        made = encoded(self.plain(seed), known, self.codes, self._cache)
        return recommend(made, known, codes=self.codes, k=self.n_candidates)

    @cached_method
    def reachable(self, seed: int, known: Interactions) -> Recommendations:
        """Return the candidates that calibrated relevance ranks; for vectors those of a ``Reach``."""
        if not self.has("vectors"):
            return self.candidates(seed, known)
        reach = self.learner._reach(seed)
        both = self._of.cached(("both", seed, known.fingerprint), lambda: reach.both(self.vectors(seed, known)))
        return reach.candidates(both, known, self.n_candidates, self.codes)

    @cached_of_all
    def exposure(self, seed: int = 0) -> SampledExposure:
        """Return how the lists of a sample of users respond to a bias, from which tilts of any strength follow."""
        return sampled_exposure(self.vectors(seed), self.k, self.split.train, rng=seed)

    @cached_method
    def _reach(self, seed: int) -> Reach:
        return Reach.of(self.exposure(seed), self.split, self.k, self.n_candidates, seed, self.codes)

    def with_layers(self) -> "Subject":
        """Return the recommender as a model with the layers "query" and "item", which can be steered.

        Vectors are wrapped, and so are those of a model of user ids without these layers; others stay as they are.
        """
        layers = dict(self.source.named_modules()) if self.form == "model" else ()
        if not self.has("vectors") or self.form == "training" or self.sequential or {"query", "item"} <= set(layers):
            return self

        def wrap() -> "Subject":
            from headtail.training.encoding import as_model

            model = copy.copy(self)
            model.source, model.form, model._cache = as_model(self.vectors()), "model", {}
            model._of = model if self._of is self else self._of.with_layers()
            model._learner = self._learner and self._learner.with_layers()
            return model

        return self.cached("with_layers", wrap)

    @cached_of_all
    def contrast(self, seed: int = 0) -> Any:
        """Return the vectors of synthetic users with opposite tastes, see :func:`headtail.sae.contrast`."""
        from headtail.sae import contrast

        if not self.has("model"):
            raise NotAvailableError("Users are contrasted by a model; this subject has none. Give a model or a Recipe.")
        return contrast(self.plain(seed), self.split.train, rng=seed)

    @cached_of_all
    def neurons(self, seed: int = 0, layer: str = "query") -> Any:
        """Return the popularity neurons: those given, or of an autoencoder trained on queries, or on item vectors."""
        if self._neurons is not None and layer == "query":
            return self._neurons
        import torch

        from headtail.sae import TopKSAE, contrast_items, find_neurons, fit_sae, states

        train, options = self.split.train, dict(self.autoencoder)
        if layer == "item":
            queries, items = (torch.from_numpy(part).float() for part in self.vectors(seed)[:2])
            found = contrast_items(items, train, queries=queries)
            learned = items[torch.from_numpy(np.flatnonzero(train.popularity))]
        else:
            found, learned = self.contrast(seed), states(self.plain(seed), train)
        sizes = [options.pop(name, AUTOENCODER[name]) for name in ("expansion", "n_active")]
        with torch.inference_mode(False):  # also where the caller is in it
            sae = TopKSAE(learned.shape[1], *sizes, rng=seed)
        fit_sae(sae, learned, rng=seed, progress=False, **options)
        return find_neurons(sae, found, train, k=self.k, rng=seed)

    @cached_of_all
    def measured_neurons(self, seed: int = 0) -> Any:
        """Return the popularity neurons with their measured effects."""
        return self.neurons(seed).with_effects(rng=seed, progress=False)

    def found_neurons(self, seed: int = 0) -> Any | None:
        """Return the popularity neurons if they are given or cached, else None."""
        of = self._of._cache.get("with_layers", self._of)
        return self._neurons if self._neurons is not None else of._cache.get(("neurons", seed))

    @cached_method
    def calibrated(self, seed: int, known: Interactions) -> Any:
        """Return each :meth:`reachable` candidate's probability of being relevant, fitted on the validation part.

        Where only the training part is known, the fit is cross-fitted over users, so that settings can be chosen on the
        same validation part. Popularity and exposure of the items are features only if that order gains more than a
        standard error of NDCG on validation.
        """
        learner = self.learner
        by_item, of_train, _ = learner._cross_fitted(seed)
        if self is learner and known.fingerprint == self.split.train.fingerprint:
            return of_train
        return learner._relevance(seed, by_item)(self.reachable(seed, known), known)

    @cached_method
    def _cross_fitted(self, seed: int) -> tuple[bool, Any, str]:
        train, relevant, recs = self.split.train, self.split.validation, self.reachable(seed, self.split.train)
        if relevant is None:
            raise InvalidInputError("Relevance is learned from a validation part, and the split has none.")
        found = self._reach(seed).relevance if self.has("vectors") else None
        return by_item_or_plain(recs, train, relevant, found, k=self.k, rng=seed)

    def decisions(self, seed: int = 0) -> list[str]:
        """Return what validation decided for the corrections made so far, for a result's notes."""
        kept = self.learner._cache.get(("_cross_fitted", seed))
        return [_BY_RANK] * self._by_rank + ([] if kept is None else [kept[2]])

    @cached_method
    def _relevance(self, seed: int, by_item: bool) -> Any:
        train, relevant = self.split.train, self.split.validation
        assert relevant is not None
        return calibrate(self.reachable(seed, train), train, relevant, k=self.k, by_item=by_item)

    def lists(self, known: Interactions) -> Recommendations:
        """Return the first k of the long lists, without known items."""
        return self.in_blocks(lambda part: part.candidates(0, known).head(part.k))

    def recommend(self, made: Any, known: Interactions) -> Recommendations:
        """Return the lists that users see.

        Parameters
        ----------
        made : what a dial returns
            A model, vectors, or a function from the interactions to leave out to lists (Recommendations, or a frame).
        known : Interactions
            Left out of the lists, and the histories of sequential models.
        """
        vectors = encoded(made, known, self.codes, self._cache)
        listed = partial(self._listed, made, vectors, known)
        if callable(vectors) or not any(key[0] == "plain" and made is one for key, one in self._of._cache.items()):
            return listed()
        key = "as it is", known.fingerprint  # what all dials show at 0
        return kept(self._cache, key, fingerprint_of(vectors[:2]), listed)

    def _listed(self, made: Any, vectors: Any, known: Interactions) -> Recommendations:
        if vectors is not made:
            return recommend(vectors, known, codes=self.codes, k=self.k)
        if callable(made):
            return self._narrowed(lists_of(made, known, self.k, self.codes))
        split, (of, longer) = self.split, self._cache.pop("longer", (self, None))  # once: arrays may be filled anew
        if self.learner is self and known.fingerprint == split.train.fingerprint:
            longer = lists_of(made, known, min(2 * self.k, known.n_items), self.codes)  # serves test as well
            self._cache["longer"] = made, longer
            return self._narrowed(longer.head(self.k))
        if of is made and known.fingerprint == split.known.fingerprint:
            return self._narrowed(shortened(made, longer, known, self.k))
        return self._narrowed(lists_of(made, known, self.k, self.codes))

    def _narrowed(self, lists: Recommendations) -> Recommendations:
        """Return the sample's lists, if this is a sample."""
        if self.codes is None or np.array_equal(lists.users, self.codes):
            return lists
        return lists_at(lists, np.isin(lists.users, self.codes))
