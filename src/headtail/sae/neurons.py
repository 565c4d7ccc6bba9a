"""Neurons of an autoencoder: which of them answer to popular and to niche tastes, and what they do to scores."""

import sys
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from headtail._checks import checked, generator, integer, list_length, number
from headtail._stats import Z95
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.reports import Report, Result, Section
from headtail.sae.autoencoder import TopKSAE, fired
from headtail.sae.cards import card, page
from headtail.sae.contrasts import Contrast
from headtail.sae.effects import effects_of
from headtail.sae.portraits import Portraits, portraits
from headtail.sae.table import NeuronTable, Source, list_popularity
from headtail.typing import RNG, Floats

_GROUPS = 256  # groups of users that the bootstrap draws


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Neurons(NeuronTable, Result):
    """A table of neurons; made by :func:`find_neurons`, narrowed by :meth:`select`.

    For an autoencoder of item vectors, "users" below are items, and "tastes" what they are: popular or niche. Arrays
    are of shape (n,).

    Attributes
    ----------
    index : int64 array
        Which neurons of the autoencoder.
    cohens_d, low, high : float arrays
        Mean pre-activation of users of popular tastes less that of users of niche ones, over the pooled standard
        deviation, and its 95% interval (bootstrap). Above 0: a popularity neuron; below 0: a niche one. NaN for a
        neuron that never changes.
    mean_popular, mean_niche, std, std_popular, std_niche : float arrays
        Mean and standard deviation of the pre-activation over users of popular and of niche tastes; `std` over the real
        users.
    firing_rate, mean_activation : float arrays
        Share of the real users for whom the neuron is among the active ones, 0 to 1, and its mean activation there.
    correlation : float array
        Of a real user's pre-activation with the mean log popularity of what is recommended to the user, -1 to 1; NaN
        where the item vectors are not known.
    effect, changed : float arrays
        What a push by one `std` does: mean change of that log popularity (0.1 means 10% more popular items), and share
        of the recommendations that it replaces. NaN until :meth:`with_effects`.
    tags : object array
        Tags that the neuron speaks for, as text with "|" between them; empty until :meth:`Concepts.tagged`.
    n_neurons : int
    k : int
        Length of the lists behind correlation and effect.
    source : Source
        Autoencoder, contrast and interactions, for what is worked out on demand.
    """

    def with_effects(self, *, n_users: int = 256, rng: RNG = 0, progress: bool | None = None) -> Self:
        """Return the same table with the effect of a push measured for every neuron.

        Each neuron alone is pushed by one standard deviation for `n_users` of the real users, drawn with `rng`, and
        their lists are made again.
        """
        effect, changed = effects_of(
            self.source, self.index, self.std, k=self.k, n_users=n_users, rng=rng, progress=progress
        )
        return replace(self, effect=effect[:, 0], changed=changed)

    def portraits(self, *, n_items: int = 8, n_users: int = 5, push: float = 2.0) -> Portraits:
        """Return what the neurons of this table listen to and do: all that their cards, pages and explorers show.

        `n_items` and `n_users` are named of each neuron; in the lists of the user who drives it most it is pushed by
        `push` standard deviations.
        """
        n_items, n_users = integer("n_items", n_items, low=1), integer("n_users", n_users, low=1)
        return portraits(self, n_items=n_items, n_users=n_users, push=number("push", push))

    def card(self, neuron: int) -> Section:
        """Return the portrait of one neuron of `index`: its figures, whom it answers to, what it does to scores."""
        return card(self, integer("neuron", neuron))

    def report(self, cards: int = 3) -> Report:
        """Return an overview and the cards of the strongest popularity and niche neurons, `cards` of each."""
        return page(self, cards)

    def to_dict(self) -> dict[str, Any]:
        """Return the table as lists."""
        return {"kind": "neurons", "n_neurons": self.n_neurons, "k": self.k, "neurons": self.rows()}

    def _rows(self) -> list[dict[str, Any]]:
        return self.rows()


@checked
def find_neurons(
    sae: TopKSAE,
    contrast: Contrast,
    interactions: Interactions | None = None,
    *,
    k: int | None = None,
    n_bootstrap: int = 200,
    rng: RNG = 0,
) -> Neurons:
    """Score every neuron of an autoencoder by how differently it answers to popular and to niche tastes.

    Pre-activations are linear in the vectors, so that their means and variances follow from the mean and the covariance
    of the vectors, in one pass. Intervals are ``d +- 1.96 s``, s the standard deviation of d over bootstrap resamples
    of 256 random groups of each side's users (of the users themselves where there are fewer).

    Source: Ahmadov and Mansoury, RecSys 2025, section 3 (Cohen's d of pre-activations); the intervals, the correlation
    and the effects are ours.

    Parameters
    ----------
    sae : TopKSAE
        Trained on vectors of the same layer.
    contrast : Contrast
        Vectors of users of popular and of niche tastes, and of real users; see :func:`~headtail.sae.contrast`.
    interactions : Interactions, optional
        Training interactions, for what is said of recommendations, and for the items' titles.
    k : int, optional
        Length of the lists that are looked at; by default 20, or the size of the catalogue.
    n_bootstrap : int, default 200
        Resamples; 0 leaves the intervals out.
    rng : seed or generator, default 0

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> sae = TopKSAE(d_in=4, expansion=4, k=3, rng=0)
    >>> neurons = find_neurons(sae, ht.sae.contrast(ht.MF(200, 50, 4, rng=0), train), train)
    >>> len(neurons), len(neurons.select(top=5))
    (16, 5)
    """
    if contrast.real.shape[1] != sae.d_in:
        raise InvalidInputError(
            f"the vectors have {contrast.real.shape[1]} numbers and the autoencoder takes {sae.d_in}; take them where "
            f"it was trained."
        )
    if (n_bootstrap := integer("n_bootstrap", n_bootstrap)) == 1:
        raise InvalidInputError("n_bootstrap=1 gives no interval; give some hundred resamples, or 0 for none.")
    k = list_length(k, sys.maxsize if interactions is None else interactions.n_items)
    source = Source(sae, contrast, interactions)
    random = generator(rng)
    encoder = sae.encoder.detach().cpu().double().numpy()
    center = contrast.real.double().mean(dim=0)
    groups = [_grouped(x, center, random) for x in (contrast.popular, contrast.niche, contrast.real)]
    popular, niche, _ = groups
    whole = [sums.total() for sums in groups]
    if np.trace(whole[2].second) <= 1e-12 * len(contrast.real) * float(center @ center):
        raise InvalidInputError(
            "all real users have the same vector, so that no neuron can tell them apart. Check the layer."
        )
    std_popular, std_niche, std = (np.sqrt(sums.variances(encoder)) for sums in whole)
    at_center = (sae.pre_activations(center.to(sae.encoder)).detach()).cpu().double().numpy()
    means = [at_center + encoder @ (sums.first / sums.n) for sums in whole[:2]]
    d = _cohens_d(whole[0], whole[1], encoder)
    margin = np.full_like(d, np.nan)
    if n_bootstrap:
        resampled = [_cohens_d(popular.resample(random), niche.resample(random), encoder) for _ in range(n_bootstrap)]
        margin = Z95 * np.std(resampled, axis=0, ddof=1)
    rate, mean = _firing(source)
    unknown = np.full_like(d, np.nan)
    return Neurons(
        index=np.arange(sae.n_neurons),
        cohens_d=d,
        low=d - margin,
        high=d + margin,
        mean_popular=means[0],
        mean_niche=means[1],
        std=std,
        std_popular=std_popular,
        std_niche=std_niche,
        firing_rate=rate,
        mean_activation=mean,
        correlation=_correlation(source, encoder, std, k),
        effect=unknown,
        changed=unknown,
        tags=np.full(sae.n_neurons, "", dtype=object),
        n_neurons=sae.n_neurons,
        k=k,
        source=source,
    )


@dataclass(frozen=True)
class _Moments:
    """Sums over users: their number n, their vectors (d,), the outer products (d, d); or such sums by group."""

    n: Floats
    first: Floats
    second: Floats

    def total(self) -> "_Moments":
        return _Moments(self.n.sum(axis=0), self.first.sum(axis=0), self.second.sum(axis=0))

    def resample(self, random: np.random.Generator) -> "_Moments":
        """Return the sums over as many groups as there are, drawn with replacement."""
        groups = len(self.n)
        weights = random.multinomial(groups, np.full(groups, 1 / groups)).astype(np.float64)
        return _Moments(weights @ self.n, weights @ self.first, np.tensordot(weights, self.second, axes=1))

    def variances(self, encoder: Floats) -> Floats:
        """Return the variance of each neuron's pre-activation, n - 1 in the denominator."""
        mean = self.first / self.n
        covariance = (self.second - self.n * np.outer(mean, mean)) / (self.n - 1)
        return np.asarray(np.einsum("nd,nd->n", encoder @ covariance, encoder)).clip(0)


def _grouped(x: Tensor, center: Tensor, random: np.random.Generator) -> _Moments:
    """Return the sums over random groups of users, with `center` taken off against cancellation."""
    sums = []
    for part in np.array_split(random.permutation(len(x)), min(_GROUPS, len(x))):
        block = (x[torch.from_numpy(part)].double() - center).numpy()
        sums.append((float(len(part)), block.sum(axis=0), block.T @ block))
    return _Moments(*(np.array(values) for values in zip(*sums, strict=True)))


def _cohens_d(popular: _Moments, niche: _Moments, encoder: Floats) -> Floats:
    """Return the d of each neuron; the autoencoder's biases cancel."""
    difference = encoder @ (popular.first / popular.n - niche.first / niche.n)
    freedom = [popular.n - 1, niche.n - 1]
    pooled = (freedom[0] * popular.variances(encoder) + freedom[1] * niche.variances(encoder)) / sum(freedom)
    return np.asarray(np.divide(difference, np.sqrt(pooled), out=np.full_like(difference, np.nan), where=pooled > 0))


@torch.no_grad()
def _firing(source: Source) -> tuple[Floats, Floats]:
    """Return the share of real users for whom each neuron is active, and its mean activation there."""
    n = source.sae.n_neurons
    counts, sums = torch.zeros(2, n, dtype=torch.float64, device="cpu")
    for x in source.blocks(source.contrast.real):
        code = source.sae.encode(x)
        counts += fired(code, n).cpu()
        sums.index_add_(0, code.neurons.flatten().cpu(), code.values.flatten().double().cpu())
    return (counts / len(source.contrast.real)).numpy(), (sums / counts.clamp_min(1)).numpy()


def _correlation(source: Source, encoder: Floats, std: Floats, k: int) -> Floats:
    """Return the correlation of pre-activations with the mean log popularity of the users' lists."""
    if source.interactions is None or source.contrast.items is None or source.contrast.users is None:
        return np.full(len(std), np.nan)
    popularity = list_popularity(source.contrast, source.interactions, k)
    spread = popularity.std(ddof=1)
    centered = popularity - popularity.mean()
    covariance = encoder @ (centered @ source.contrast.real.double().numpy()) / (len(popularity) - 1)
    return np.asarray(np.divide(covariance, std * spread, out=np.full_like(std, np.nan), where=std * spread > 0))
