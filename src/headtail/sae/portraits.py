"""What each neuron listens to and does, all at once: what its card, a page of many neurons and the explorer show."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headtail._factors import to_numpy
from headtail._tensors import without_autocast
from headtail.reports import Column, Report, Result, Table
from headtail.sae.table import NeuronTable, Source
from headtail.typing import Array, Codes, Floats

PRIOR = 5.0  # users that an item's mean activation is drawn to the overall mean by
_AT_ONCE = 64  # neurons whose numbers are held for every item
_NAMED = 3  # items named in a row of the page
TELLS = "Tags that it tells from others among items as popular; over all items it may raise others more"
WAYS = {1: "as it listens", -1: "the other way", 0: "nowhere"}


@dataclass(frozen=True, eq=False, repr=False)
class Portraits(Result):
    """Everything that is shown of each neuron; made by :meth:`Neurons.portraits`.

    Items and users are codes of the interactions. Pairs of int and float arrays of shape (n, E) hold the strongest
    first; for neurons of item vectors those of users and of recommendations are of shape (n, 0).

    Attributes
    ----------
    neurons : NeuronTable
        The n neurons.
    hears, heard
        The items whose users drive a neuron most, with their mean activation, shrunk towards that of all users as if by
        five more users; of an autoencoder of item vectors the items themselves. -1 and 0 where it is silent.
    raises, raised, lowers, lowered
        The items that one unit of it adds most to the scores of, and takes most from.
    drivers, driven
        The users who drive it most, with their activation; -1 and 0 where there are fewer.
    neighbors, likeness
        The neurons of the nearest decoder rows, by their number in the autoencoder, and the cosines.
    before, after : int arrays of shape (n, k)
        Recommendations to its first driver, and with the neuron pushed by `push` standard deviations; -1 where it has
        none.
    push : float
    """

    neurons: NeuronTable
    hears: Array
    heard: Floats
    raises: Array
    raised: Floats
    lowers: Array
    lowered: Floats
    drivers: Array
    driven: Floats
    neighbors: Array
    likeness: Floats
    before: Array
    after: Array
    push: float

    def report(self) -> Report:
        """Return one row a neuron, the strongest first."""
        columns = [
            Column("neuron", "Neuron", format="d"),
            Column("cohens_d", "Cohen's d", format=".2f", note="Above 0 it listens to popular tastes, below to niche."),
            Column("firing_rate", "Fires", format=".1%"),
            Column("effect", "Effect", format="+.4f", note="Of a push, on the log popularity of recommendations."),
            Column("pushes", "Pushes", note="Where a push moves lists: to where the neuron listens, or the other way."),
            Column("tags", "Tags", note=f"{TELLS}."),
            *(Column(name, name.capitalize()) for name in ("hears", "raises", "lowers")),
        ]
        rows = sorted(self._rows(), key=lambda row: -abs(row["cohens_d"]))
        lede = (
            f"**{len(rows):,} neurons, those first that best tell popular from niche tastes.** Each answers to people "
            f"who like what it *hears*; the more it does, the further up goes what it *raises*, down what it *lowers*."
        )
        kept = [c for c in columns if c.key in ("neuron", "cohens_d") or any(row[c.key] for row in rows)]
        kept = [c for c in kept if c.key != "effect" or not np.isnan(self.neurons.effect).all()]
        return Report("Neurons: what they listen to and what they do", [Table(kept, rows)], lede)

    def to_dict(self) -> dict[str, Any]:
        """Return a mapping a neuron: its figures, and items, users and neighbors by id, with titles and strengths."""
        rows = [self._row(place, row) for place, row in enumerate(self.neurons.rows())]
        return {"kind": "portraits", "k": self.neurons.k, "push": self.push, "neurons": rows}

    def _row(self, place: int, figures: dict[str, Any]) -> dict[str, Any]:
        known = self.neurons.source.known

        def items(codes: Array, strengths: Floats | None = None) -> list[dict[str, Any]]:
            named = [
                {"item": known.item_ids[i], "title": str(known.item_labels[i]), "popularity": int(known.popularity[i])}
                for i in codes[place]
                if i >= 0
            ]
            if strengths is None:
                return named
            by = strengths[place][codes[place] >= 0]
            return [row | {"by": float(each)} for row, each in zip(named, by, strict=True)]

        drivers = [
            {"user": known.user_ids[u], "activation": float(by)}
            for u, by in zip(self.drivers[place], self.driven[place], strict=True)
            if u >= 0
        ]
        example = {"before": items(self.before), "after": items(self.after)}
        return {
            **figures,
            "pushes": WAYS.get(self.neurons.way[place], ""),
            "hears": items(self.hears, self.heard),
            "raises": items(self.raises, self.raised),
            "lowers": items(self.lowers, self.lowered),
            "drivers": drivers,
            "neighbors": [
                {"neuron": int(j), "cosine": float(c)}
                for j, c in zip(self.neighbors[place], self.likeness[place], strict=True)
            ],
            "example": {"user": drivers[0]["user"], **example} if drivers and self.before.shape[1] else None,
        }

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                **{name: row[name] for name in ("neuron", "cohens_d", "firing_rate", "effect", "pushes")},
                "tags": row["tags"].replace("|", ", "),
                **{n: "; ".join(item["title"] for item in row[n][:_NAMED]) for n in ("hears", "raises", "lowers")},
            }
            for row in self.to_dict()["neurons"]
        ]


def portraits(
    neurons: NeuronTable, *, users: Codes | None = None, n_items: int = 8, n_users: int = 5, push: float = 2.0
) -> Portraits:
    """Return what neurons listen to and do, in the order of the table; drivers are of `users` (codes) alone."""
    source, contrast = neurons.source, neurons.source.contrast
    of_items = contrast.item_codes is not None
    n, k = len(neurons), neurons.k
    known = np.flatnonzero(source.known.popularity)
    active = _activations(source)[:, neurons.index]
    found: dict[str, Array] = {}
    for part in np.split(np.arange(n), range(_AT_ONCE, n, _AT_ONCE)):
        for name, values in _numbers(neurons, active, part):
            sign = -1 if name == "lowers" else 1
            best = known[np.argsort(-sign * values[:, known], axis=1, kind="stable")[:, :n_items]]
            by = np.take_along_axis(values, best, axis=1)
            shown = {name: np.where((by > 0) | (name != "hears"), best, -1), _STRENGTHS[name]: by}
            for key, rows in shown.items():
                found.setdefault(key, np.empty((n, rows.shape[1]), rows.dtype))[part] = rows
    for name, strength in _STRENGTHS.items():
        found.setdefault(name, np.empty((n, 0), dtype=np.int64))
        found.setdefault(strength, np.empty((n, 0)))
    drivers: Array = np.full((n, 0), -1)
    driven: Floats = np.empty((n, 0))
    if not of_items and contrast.users is not None:
        drivers, driven = _drivers(active, contrast.users, contrast.users if users is None else users, n_users)
    lists = np.full((2, n, 0), -1)
    if not of_items and contrast.items is not None and drivers.shape[1]:
        lists = _lists(neurons, drivers[:, 0], push, min(k, len(contrast.items)))
    near, cosines = _neighbors(neurons)
    return Portraits(
        neurons, **found, drivers=drivers, driven=driven, neighbors=near, likeness=cosines, before=lists[0],
        after=lists[1], push=push,
    )  # fmt: skip


_STRENGTHS = {"hears": "heard", "raises": "raised", "lowers": "lowered"}


def _numbers(neurons: NeuronTable, active: sp.csc_array, part: Array) -> Iterator[tuple[str, Floats]]:
    """Yield the numbers (m, I) of some neurons for each item, by what is shown by them."""
    source, contrast = neurons.source, neurons.source.contrast
    if contrast.item_codes is not None:
        values = np.zeros((active[:, part].shape[1], source.known.n_items))
        values[:, contrast.item_codes] = active[:, part].toarray().T
        yield "hears", values
        return
    if contrast.users is not None:
        matrix, mean = source.known.matrix[contrast.users], np.asarray(active[:, part].mean(axis=0)).ravel()
        sums, met = (matrix.T @ active[:, part]).toarray(), matrix.sum(axis=0)
        yield "hears", ((sums + PRIOR * mean) / (met[:, None] + PRIOR)).T
    if contrast.items is not None:
        decoder = source.sae.decoder.detach()[torch.from_numpy(neurons.index[part])]
        added = (decoder @ contrast.items.to(decoder).T).cpu().double().numpy()
        yield from (("raises", added), ("lowers", added))


@torch.no_grad()
def _activations(source: Source) -> sp.csc_array:
    """Return the activation of every neuron for each real user, or item, sparse (U, N)."""
    blocks = []
    for x in source.blocks(source.contrast.real):
        values, active = map(to_numpy, source.sae.encode(x))
        rows = np.repeat(np.arange(len(x)), values.shape[1])
        blocks.append(sp.csr_array((values.ravel(), (rows, active.ravel())), (len(x), source.sae.n_neurons)))
    return sp.csc_array(sp.vstack(blocks))


def _drivers(active: sp.csc_array, real: Codes, users: Codes, n_users: int) -> tuple[Array, Floats]:
    """Return those of `users` who drive each neuron most, and how much."""
    row_of = dict(zip(real.tolist(), range(len(real)), strict=True))
    users = np.array([user for user in users.tolist() if user in row_of], dtype=np.int64)
    some = active[np.array([row_of[user] for user in users.tolist()], dtype=np.int64)]
    n_users = min(n_users, len(users))
    codes, strengths = np.full((active.shape[1], n_users), -1), np.zeros((active.shape[1], n_users))
    for start in range(0, active.shape[1], _AT_ONCE):
        driven = some[:, start : start + _AT_ONCE].toarray()  # (users, m)
        order = np.argsort(-driven, axis=0, kind="stable")[:n_users]
        values = np.take_along_axis(driven, order, axis=0).T
        codes[start : start + _AT_ONCE, : len(order)] = np.where(values > 0, users[order].T, -1)
        strengths[start : start + _AT_ONCE, : len(order)] = values
    return codes, strengths


def _neighbors(neurons: NeuronTable) -> tuple[Array, Floats]:
    """Return the neurons of the nearest decoder rows, and the cosines."""
    rows = normalize(neurons.source.sae.decoder.detach(), dim=1)
    n = min(5, len(rows) - 1)
    found: list[tuple[Tensor, ...]] = []
    for part in torch.split(torch.from_numpy(neurons.index).to(rows.device), _AT_ONCE):
        cosines = rows[part] @ rows.T
        cosines.scatter_(1, part[:, None], -2.0)
        found.append(tuple(cosines.topk(n)))
    values, near = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
    return near.numpy(), values.double().numpy()


@torch.no_grad()
@without_autocast
def _lists(neurons: NeuronTable, users: Array, push: float, k: int) -> Array:
    """Return the recommendations to one user for each neuron, without and with it pushed, (2, n, k)."""
    source, (items, real) = neurons.source, neurons.source.contrast.recommendable()
    sae, row_of = source.sae, dict(zip(real.tolist(), range(len(real)), strict=True))
    lists = np.full((2, len(users), k), -1, dtype=np.int64)
    size = torch.from_numpy(push * neurons.std).to(sae.encoder)
    for part in np.array_split(np.flatnonzero(users >= 0), max(1, len(users) // _AT_ONCE)):
        if not len(part):
            continue
        x = source.contrast.real[[row_of[user] for user in users[part].tolist()]].to(sae.encoder)
        shift = x.new_zeros(len(part), sae.n_neurons)
        shift[torch.arange(len(part), device="cpu"), torch.from_numpy(neurons.index[part])] = size[
            torch.from_numpy(part)
        ]
        pushed = x + (sae.decode(sae.encode(x, shift)) - sae.decode(sae.encode(x)))
        seen = torch.from_numpy(source.known.matrix[users[part]].toarray() > 0).to(x.device)
        for side, queries in enumerate((x, pushed)):
            scores = (queries @ items.to(x).T).masked_fill_(seen, -torch.inf)
            best = scores.topk(k)
            lists[side, part] = torch.where(torch.isinf(best.values), -1, best.indices).cpu().numpy()
    return lists
