"""What each of many neurons listens to and does, all at once, for a page on which they are searched."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from headtail.sae.cards import PRIOR
from headtail.sae.table import NeuronTable, Source
from headtail.typing import Array, Codes

_AT_ONCE = 64  # neurons whose activations are held for every item


@dataclass(frozen=True)
class Portraits:
    """Neurons, the strongest first, with items as codes: shapes (n, E)."""

    neurons: NeuronTable
    hears: Array
    heard: Array
    raises: Array
    raised: Array
    lowers: Array
    lowered: Array
    users: list[list[int]]


def portraits(neurons: NeuronTable, users: Codes, *, n: int, n_items: int, n_users: int = 5) -> Portraits | None:
    """Return what the strongest neurons listen to and do; None where items or users of the contrast are not known.

    A neuron listens to the items whose users drive it most, on average, as on its card; it raises those whose scores
    one unit of it adds most to. Of `users` (codes) those who drive it most are named by their places.
    """
    source, contrast = neurons.source, neurons.source.contrast
    interactions = source.interactions
    if interactions is None or contrast.items is None or contrast.users is None:
        return None
    strongest = neurons.select(top=n)
    active = _activations(source)[:, strongest.index]
    matrix = interactions.matrix[contrast.users]
    met, mean = matrix.sum(axis=0), np.asarray(active.mean(axis=0)).ravel()
    known = np.flatnonzero(interactions.popularity)
    decoder = source.sae.decoder.detach()[torch.from_numpy(strongest.index)]
    columns: dict[str, list[Array]] = {name: [] for name in ("hears", "heard", "raises", "raised", "lowers", "lowered")}
    for start in range(0, len(strongest), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        sums = (matrix.T @ active[:, part]).toarray()
        heard = ((sums + PRIOR * mean[part]) / (met[:, None] + PRIOR)).T  # (n, items)
        added = (decoder[part] @ contrast.items.to(decoder).T).cpu().double().numpy()
        for items, strengths, values, sign in (
            ("hears", "heard", heard, 1), ("raises", "raised", added, 1), ("lowers", "lowered", added, -1),
        ):  # fmt: skip
            best = known[np.argsort(-sign * values[:, known], axis=1, kind="stable")[:, :n_items]]
            columns[items].append(best)
            columns[strengths].append(np.take_along_axis(values, best, axis=1))
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Portraits(strongest, **whole, users=_drivers(active, contrast.users, users, n_users))


@torch.no_grad()
def _activations(source: Source) -> sp.csc_array:
    """Return the activation of every neuron for each real user, sparse (U, N)."""
    blocks = []
    for _, x in source.blocks(source.contrast.real):
        values, active = (part.cpu().numpy() for part in source.sae.encode(x))
        rows = np.repeat(np.arange(len(x)), values.shape[1])
        blocks.append(sp.csr_array((values.ravel(), (rows, active.ravel())), (len(x), source.sae.n_neurons)))
    return sp.csc_array(sp.vstack(blocks))


def _drivers(active: sp.csc_array, real: Codes, users: Codes, n_users: int) -> list[list[int]]:
    """Return the places in `users` of those who drive each neuron most."""
    row_of = dict(zip(real.tolist(), range(len(real)), strict=True))
    places = [place for place, user in enumerate(users.tolist()) if user in row_of]
    driven = active[[row_of[int(users[place])] for place in places]].toarray()  # (users, n)
    order = np.argsort(-driven, axis=0, kind="stable")[:n_users]
    return [
        [places[i] for i in column if driven[i, j] > 0] for j, column in enumerate(order.T.tolist())
    ]  # fmt: skip
