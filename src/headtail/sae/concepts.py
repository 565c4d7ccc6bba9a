"""Which neurons speak for which tags of items, popularity apart, and how much of a popularity neuron is a tag."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit
from scipy.stats import binomtest, norm, rankdata

from headtail._checks import checked, generator, integer, number
from headtail._printable import counted
from headtail._stats import Z95
from headtail.reports import Chart, Column, Figure, Figures, Report, Result, Table
from headtail.reports._markdown import plain
from headtail.sae.effects import effects_of
from headtail.sae.neurons import Neurons
from headtail.sae.tags import place_of, read_tags
from headtail.typing import RNG, Array, Floats, IntoFrame

_AT_ONCE = 256  # neurons whose numbers are ranked at a time
_CLEAR = 0.7  # the AUC from which a neuron speaks for a tag
_SHOWN = 15  # neurons of the table of popularity and tags
_DEEPER = 3  # times the length of the lists, for tags that no push shows
_AUC = "Chance that an item with the tag has the larger number of two items, one with and one without it; .5 is chance."
_COMPARED = {
    "neuron": "best neuron", "random": "best random direction", "dimension": "best dimension", "probe": "dense probe"
}  # fmt: skip
_HELD_OUT = "Chosen or fitted on one half of the items and measured on the other, both ways."


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Concepts(Result):
    """What neurons have to do with the tags of items; made by :func:`find_concepts`.

    A neuron gives every item a number: of an autoencoder of queries what one unit of it adds to the item's score, of
    one of item vectors the item's pre-activation. "Popularity apart" are the residuals of these numbers after a
    regression on the items' log popularity.

    Attributes
    ----------
    neurons : Neurons
        The table, n neurons.
    tags, n_items : tuple of str and int array of shape (T,)
        Tags with enough items, the most frequent first, and how many of the items with interactions have each.
    auc : float array of shape (T, n)
        How well each neuron tells items with the tag from others, popularity apart: 1 if it raises all of them most, 0
        if it lowers them most, .5 by chance and for a neuron that never fires.
    chance : float array of shape (T,)
        The AUC that none of the T n pairs of a tag and a neuron reaches by chance (95%, Bonferroni).
    best : int array of shape (T,)
        The neuron of the largest AUC, by its number in the autoencoder.
    best_auc, random_auc, dimension_auc, probe_auc : float arrays of shape (T,)
        Of the best neuron, of the best of as many random directions as neurons fire, of the best raw dimension of the
        vectors, of either sign, and of a dense linear probe (ridge regression): chosen or fitted on half of the items
        and measured on the others, popularity apart.
    low, high : float arrays of shape (T,)
        95% interval of ``best_auc`` over items (Hanley and McNeil, 1982, for the logarithm of the odds).
    of_popularity, of_tags, of_both : float arrays of shape (n,)
        Share of the variance of each neuron's numbers that log popularity, all tags, and both explain (adjusted R^2).
    effect : float array of shape (T, n)
        What a push of each neuron alone by one ``std`` does to the share of the recommendations that items with the tag
        have: .001 means one place more in a thousand. Of a tag that no push gives a place, in lists three times as
        long. NaN for an autoencoder of item vectors.
    without, dropped : int and tuple of str
        Items with interactions but no tag, which are left out, and tags with too few items.
    """

    neurons: Neurons
    tags: tuple[str, ...]
    n_items: Array
    auc: Floats
    chance: Floats
    best: Array
    best_auc: Floats
    random_auc: Floats
    dimension_auc: Floats
    probe_auc: Floats
    low: Floats
    high: Floats
    of_popularity: Floats
    of_tags: Floats
    of_both: Floats
    effect: Floats
    without: int
    dropped: tuple[str, ...]
    _has: Array = field(repr=False)  # (I, T)

    def items(self, tag: str) -> Array:
        """Return which items have a tag, as a mask over the codes, (I,)."""
        return np.asarray(self._has[:, self._place(tag)])

    def tags_of(self, neuron: int, *, min_auc: float = _CLEAR) -> list[str]:
        """Return the tags that a neuron speaks for with at least this AUC, and beyond chance, the clearest first."""
        auc = self.auc[:, self.neurons._place(integer("neuron", neuron))]
        least = np.maximum(self.chance, number("min_auc", min_auc, low=0, high=1))
        return [self.tags[t] for t in np.argsort(-auc, kind="stable") if auc[t] >= least[t]]

    def tagged(self, *, min_auc: float = _CLEAR) -> Neurons:
        """Return the neurons with the tags of each, see :meth:`tags_of`, for cards and explorers."""
        tags = ["|".join(self.tags_of(int(i), min_auc=min_auc)) for i in self.neurons.index]
        return replace(self.neurons, tags=np.array(tags, dtype=object))

    def _place(self, tag: str) -> int:
        return place_of(tag, self.tags, self.dropped)

    def report(self) -> Report:
        """Return the tags with their neurons, and the popularity neurons with what of them is a tag."""
        rows = self._rows()
        bars = [{"tag": r["tag"], "auc": r[f"{key}_auc"], "by": name} for r in rows for key, name in _COMPARED.items()]
        medians = {name: float(np.median([row[f"{key}_auc"] for row in rows])) for key, name in _COMPARED.items()}
        figures = [Figure(f"{n.capitalize()}, median", v, format=".2f") for n, v in medians.items()]
        columns = [
            Column("tag", "Tag"),
            Column("items", "Items", format=",d"),
            Column("neuron", "Neuron", format="d", note="That of the largest AUC over all items, popularity apart."),
            Column("cohens_d", "Cohen's d", format=".2f", note="Above 0 it answers to popular tastes as well."),
            Column("neuron_auc", "AUC, best neuron", format=".2f", low="low", high="high"),
            *(Column(f"{key}_auc", f"AUC, {name}", format=".2f") for key, name in _COMPARED.items() if key != "neuron"),
        ]
        notes = f"AUC: {_AUC[0].lower()}{_AUC[1:]} {_HELD_OUT}"
        if self.without:
            notes += f" Left out: {counted(self.without, 'item')} without tags."
        if self.dropped:
            notes += f" Too few items: {', '.join(map(plain, self.dropped))}."
        chart = Chart(
            "bar", bars, x="tag", y="auc", color="by", y_format=".2f", y_label="AUC", x_label="",
            title="Neurons, directions and a dense probe", caption=_HELD_OUT,
        )  # fmt: skip
        table = Table(columns, rows, title="Which neuron speaks for which tag", caption=notes)
        return Report("Neurons and tags", [Figures(figures), table, chart, self._popularity()], self.verdict)

    @property
    def verdict(self) -> str:
        """How well single neurons tell tags, beside what they are compared with, and what those of popularity are."""
        clear, ahead = int((self.best_auc >= _CLEAR).sum()), np.sign(self.best_auc - self.random_auc)
        won, tried = int((ahead > 0).sum()), int((ahead != 0).sum())
        how = "no better"
        if tried and binomtest(won, tried).pvalue < 0.05:
            how = "better" if 2 * won > tried else "worse"
        best, drawn, dimension, probe = (
            np.median(values) for values in (self.best_auc, self.random_auc, self.dimension_auc, self.probe_auc)
        )
        said = [
            f"**Single neurons tell tags apart {how} than as many random directions do.** At the median of "
            f"{len(self.tags):,} tags the best neuron reaches an AUC of {best:.2f} on items that it was not chosen on, "
            f"the best random direction {drawn:.2f}, the best raw dimension {dimension:.2f} and a dense probe "
            f"{probe:.2f}; chance is 0.50. {clear or 'No'} tag{'s have' if clear > 1 else ' has'} a neuron of "
            f"{_CLEAR:g} or more."
        ]
        rows = self._popularity().rows
        if rows:
            own, added = (float(np.median([row[key] for row in rows])) for key in ("popularity", "only"))
            said.append(
                f"Of the {len(rows)} strongest popularity neurons, popularity alone explains {max(own, 0):.0%} of what "
                f"they do to items (median), and tags explain {max(added, 0):.0%} more."
            )
        return " ".join(said)

    def _popularity(self) -> Table:
        d = np.where(self.neurons.firing_rate > 0, np.nan_to_num(self.neurons.cohens_d), 0.0)
        rows = [
            {
                "neuron": int(self.neurons.index[i]),
                "d": float(d[i]),
                "popularity": float(self.of_popularity[i]),
                "tags": float(self.of_tags[i]),
                "only": float(self.of_both[i] - self.of_popularity[i]),
                "best": self.tags[int(np.argmax(self.auc[:, i]))],
                "auc": float(self.auc[:, i].max()),
            }
            for i in np.argsort(-d, kind="stable")[:_SHOWN]
            if d[i] > 0
        ]
        columns = [
            Column("neuron", "Neuron", format="d"),
            Column("d", "Cohen's d", format=".2f"),
            Column("popularity", "Popularity", format=".1%", note="Share of its variance: by log popularity alone."),
            Column("tags", "Tags", format=".1%", note="By all tags alone (adjusted for their number)."),
            Column("only", "Tags only", format=".1%", note="What the tags add to popularity."),
            Column("best", "Clearest tag"),
            Column("auc", "its AUC", format=".2f", note=f"{_AUC} Popularity apart, over all items."),
        ]
        return Table(columns, rows, title="How much of a popularity neuron is a tag")

    def to_dict(self) -> dict[str, Any]:
        """Return the table of tags, and what explains each neuron."""
        explained = {name: getattr(self, name).tolist() for name in ("of_popularity", "of_tags", "of_both")}
        neurons = {"neuron": self.neurons.index.tolist(), **explained}
        return {"kind": "concepts", "tags": self._rows(), "neurons": neurons, "without": self.without}

    def _rows(self) -> list[dict[str, Any]]:
        d = dict(zip(self.neurons.index.tolist(), self.neurons.cohens_d.tolist(), strict=True))
        columns = {
            "tag": self.tags, "items": self.n_items.tolist(), "neuron": self.best.tolist(),
            "cohens_d": [d[i] for i in self.best.tolist()], "neuron_auc": self.best_auc.tolist(),
            "low": self.low.tolist(), "high": self.high.tolist(), "random_auc": self.random_auc.tolist(),
            "dimension_auc": self.dimension_auc.tolist(), "probe_auc": self.probe_auc.tolist(),
        }  # fmt: skip
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@checked
def find_concepts(
    neurons: Neurons,
    tags: "IntoFrame | Mapping[Any, Iterable[str]]",
    *,
    min_items: int = 10,
    n_users: int = 512,
    rng: RNG = 0,
) -> Concepts:
    """Say which neurons speak for which tags of items, such as genres.

    Source: ours; the comparison of single neurons with raw dimensions and a dense probe follows Gao et al., "Scaling
    and evaluating sparse autoencoders", 2024, section 4.2.

    Parameters
    ----------
    neurons : Neurons
        Found with interactions, and for an autoencoder of queries with the items' vectors.
    tags : frame or mapping
        A frame with one row per item (``item_id``, and ``genres`` separated by "|" or as lists) or one per tag of an
        item; or a mapping from item ids to their tags.
    min_items : int, default 10
        Tags with fewer items, or that fewer items lack, are left out.
    n_users : int, default 512
        Real users whose lists are made again with each neuron pushed, as :meth:`Neurons.with_effects` does.
    rng : seed or generator, default 0
        Splits the items into two halves: the best neuron is chosen on one and measured on the other. Draws the users.

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> model = ht.MF(200, 50, 4, rng=0)
    >>> neurons = ht.sae.find_neurons(ht.sae.TopKSAE(4, 4, k=3, rng=0), ht.sae.contrast(model, train), train)
    >>> tags = {item: ["even" if item % 2 == 0 else "odd"] for item in train.item_ids.tolist()}
    >>> concepts = find_concepts(neurons, tags)
    >>> concepts.tags, concepts.auc.shape
    (('even', 'odd'), (2, 16))
    """
    interactions = neurons.source.known
    found = read_tags(tags, interactions, min_items=min_items)
    tagged, labels = found.tagged, found.has[found.tagged]
    vectors, encoder = _space(neurons)
    x = vectors[tagged]
    level = np.log1p(interactions.popularity[tagged])[:, None]
    center = x.mean(axis=0)
    x, apart = x - center, x - center - _projected(x, level)
    random = generator(rng)
    halves = np.array_split(random.permutation(len(tagged)), 2)
    silent = neurons.firing_rate == 0
    heard = np.where(silent[:, None], 0, encoder)
    auc = np.concatenate([aucs(apart @ part.T, labels) for part in _parts(heard)], axis=1)
    bases = [level, labels.astype(np.float64), np.column_stack([level, labels])]
    explained = np.concatenate([[_explained(x @ part.T, basis) for basis in bases] for part in _parts(encoder)], axis=1)
    n_items, pairs = labels.sum(axis=0), auc.size
    spread = np.sqrt((len(tagged) + 1) / (12 * n_items * (len(tagged) - n_items)))  # of an AUC by chance
    probe = np.stack([_probe(apart, labels, half, other) for half, other in (halves, halves[::-1])])
    effect = np.full((len(found.names), len(neurons)), np.nan)
    if neurons.source.contrast.item_codes is None:
        effect = _effect(neurons, found.has, neurons.k, n_users, random)
        if (hidden := ~(effect > 0).any(axis=1)).any():
            effect[hidden] = _effect(neurons, found.has[:, hidden], _DEEPER * neurons.k, n_users, random)
    drawn = random.standard_normal((np.count_nonzero(~silent), encoder.shape[1]))
    axes = np.eye(encoder.shape[1])
    best, *others = (_crossed(apart, each, labels, halves) for each in (heard, drawn, np.concatenate([axes, -axes])))
    low, high = _interval(best, n_items, len(tagged) - n_items)
    return Concepts(
        neurons=neurons,
        tags=found.names,
        n_items=n_items,
        auc=auc,
        chance=np.minimum(0.5 - norm.ppf(0.05 / pairs) * spread, 1.0),
        best=neurons.index[auc.argmax(axis=1)],
        best_auc=best,
        random_auc=others[0],
        dimension_auc=others[1],
        probe_auc=probe.mean(axis=0),
        low=low,
        high=high,
        of_popularity=explained[0],
        of_tags=explained[1],
        of_both=explained[2],
        effect=effect,
        without=int((interactions.popularity > 0).sum()) - len(tagged),
        dropped=found.dropped,
        _has=found.has,
    )


def _effect(neurons: Neurons, has: Array, k: int, n_users: int, random: np.random.Generator) -> Floats:
    """Return what pushes do to the shares of items (I, T) in lists, (T, n)."""
    pushed = neurons.source, neurons.index, neurons.std, has.astype(np.float64)
    return effects_of(*pushed, k=k, n_users=n_users, rng=random, progress=False)[0].T


def _space(neurons: Neurons) -> tuple[Floats, Floats]:
    """Return the vectors of all items (I, d), and the directions (n, d) along which the neurons number them."""
    source, contrast = neurons.source, neurons.source.contrast
    index = torch.from_numpy(neurons.index)
    if contrast.item_codes is None:
        vectors, directions = contrast.recommendable()[0], source.sae.decoder
    else:
        vectors = contrast.real.new_zeros(source.known.n_items, contrast.real.shape[1])
        vectors[torch.from_numpy(contrast.item_codes).long()] = contrast.real
        directions = source.sae.encoder
    return vectors.detach().cpu().double().numpy(), directions.detach().cpu().double().numpy()[index]


def aucs(values: Floats, labels: Array) -> Floats:
    """Return how well each column of values (I, n) ranks what each column of labels (I, T) marks, (T, n)."""
    ranks = rankdata(values, axis=0)
    positives = labels.sum(axis=0)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (labels.T @ ranks - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))
    return np.asarray(np.nan_to_num(found, nan=0.5))


def _parts(directions: Floats) -> list[Floats]:
    return [directions[start : start + _AT_ONCE] for start in range(0, len(directions), _AT_ONCE)]


def _crossed(x: Floats, directions: Floats, labels: Array, halves: Sequence[Array]) -> Floats:
    """Return the AUC of the best of directions (n, d), chosen on one half of x (I, d) and measured on the other, (T,).

    The mean of both ways; .5 without a direction.
    """
    if not len(directions):
        return np.full(labels.shape[1], 0.5)
    auc = [np.concatenate([aucs(x[half] @ part.T, labels[half]) for part in _parts(directions)], 1) for half in halves]
    found = [np.take_along_axis(auc[1 - side], auc[side].argmax(axis=1)[:, None], axis=1)[:, 0] for side in (0, 1)]
    return np.asarray(np.mean(found, axis=0))


def _interval(auc: Floats, inside: Array, outside: Array) -> tuple[Floats, Floats]:
    """Return the 95% interval of areas by the numbers of items inside and outside of each tag."""
    pairs = inside * outside
    a = np.clip(auc, 0.5 / pairs, 1 - 0.5 / pairs)
    one, two = a / (2 - a), 2 * a**2 / (1 + a)  # two items inside lie above one outside, one inside above two outside
    variance = (a * (1 - a) + (inside - 1) * (one - a**2) + (outside - 1) * (two - a**2)) / pairs
    error = Z95 * np.sqrt(variance) / (a * (1 - a))
    return expit(logit(a) - error), expit(logit(a) + error)


def _probe(x: Floats, labels: Array, fitted: Array, measured: Array) -> Floats:
    """Return the AUC of ridge regressions on one part of the items, measured on another, (T,)."""
    a, mean = x[fitted], labels[fitted].mean(axis=0)
    ridge = 1e-2 * np.trace(a.T @ a) / a.shape[1] * np.eye(a.shape[1])
    weights = np.linalg.solve(a.T @ a + ridge, a.T @ (labels[fitted] - mean))
    return np.asarray(np.diagonal(aucs(x[measured] @ weights, labels[measured])))


def _projected(values: Floats, basis: Floats) -> Floats:
    """Return the part of values (I, n), centered, that lies in the span of a centered basis (I, b)."""
    left, sigma, _ = np.linalg.svd(basis - basis.mean(axis=0), full_matrices=False)
    q = left[:, sigma > 1e-9 * sigma[0]]
    return np.asarray(q @ (q.T @ (values - values.mean(axis=0))))


def _explained(values: Floats, basis: Floats) -> Floats:
    """Return the adjusted R^2 of the columns of values (I, n)."""
    total = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    share = np.divide((_projected(values, basis) ** 2).sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    n, b = basis.shape
    return np.asarray(1 - (1 - share) * (n - 1) / max(1, n - b - 1))
