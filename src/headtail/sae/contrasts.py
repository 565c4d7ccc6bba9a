"""Vectors of users of opposite tastes, or of popular and of niche items: what tells popularity neurons from others."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from headtail._checks import checked, generator
from headtail._printable import counted
from headtail._tensors import as_tensor, evaluating, finite
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.sae.hooks import activations, submodule
from headtail.sae.synthetic import SetBy, extreme_users, item_sets, synthetic_users
from headtail.training.encoding import device_of, inputs, vectors
from headtail.typing import RNG, ArrayLike2D, Codes

ITEM = "item"  # the layer of a model that its item vectors pass


@dataclass(frozen=True, eq=False)
class Contrast:
    """Vectors of one layer for users of opposite tastes, beside those of the real users; made by :func:`contrast`.

    Or vectors of popular and of niche items, beside those of all items (:func:`contrast_items`). For a model that is
    not headtail's, make it yourself from :func:`~headtail.sae.activations`.

    Parameters
    ----------
    popular, niche : Tensor of shape (n, d)
        Of users who like popular items, and of users who like niche ones; or of popular and of niche items.
    real : Tensor of shape (U, d)
        Of real users; or of the items with interactions.
    users : int array of shape (U,), optional
        Codes of the real users, or of those of `queries`.
    items : Tensor of shape (I, d), optional
        Item vectors whose products with the layer's are scores; what is said of lists needs them, and `users`.
    item_codes : int array of shape (U,), optional
        Codes of the items, where `real` are vectors of items.
    queries : Tensor of shape (U', d), optional
        Where `real` are vectors of items: those of `users`, by whose recommendations effects are measured.
    """

    popular: Tensor
    niche: Tensor
    real: Tensor
    users: Codes | None = None
    items: Tensor | None = None
    item_codes: Codes | None = None
    queries: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("popular", "niche", "real", "items", "queries"):
            values = getattr(self, name)
            if values is None:
                continue
            if values.ndim != 2 or len(values) < 2 or values.shape[1] != self.real.shape[1]:
                raise InvalidInputError(
                    f"{name} has shape {tuple(values.shape)}; give vectors (n, {self.real.shape[-1]}), at least two."
                )
            finite(name, values)
        of_users = self.real if self.queries is None else self.queries
        for name, rows in (("users", of_users), ("item_codes", self.real)):
            codes = getattr(self, name)
            if codes is not None and len(codes) != len(rows):
                raise InvalidInputError(
                    f"{name} holds {counted(len(codes), 'value')} for {counted(len(rows), 'vector')}."
                )

    def recommendable(self) -> tuple[Tensor, Codes]:
        """Return the item vectors and the codes of the real users, or say that they are needed."""
        if self.items is None or self.users is None:
            raise InvalidInputError(
                "what is recommended is not known: this contrast has no item vectors, or no codes of its real users. "
                "Give it items= and users=; a contrast of items has none."
            )
        return self.items, self.users

    def __repr__(self) -> str:
        what = "users" if self.item_codes is None else "items"
        return (
            f"Contrast({len(self.popular):,} popular, {len(self.niche):,} niche and {len(self.real):,} real {what}, "
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
    rng: RNG = 0,
) -> Contrast:
    """Run a model over users of opposite tastes and over the real ones, and keep a layer's vectors.

    A sequential model gets synthetic histories (:func:`synthetic_users`). A model of user ids, which cannot encode
    made-up users, gets the real users of the most and the least popular tastes (:func:`extreme_users`). The layer
    "item" has vectors of items: :func:`contrast_items` compares them.

    Parameters
    ----------
    model : torch.nn.Module
        A recommender of headtail or of the same protocol.
    interactions : Interactions
        Training interactions; the real users are those who have some.
    layer : str, default "query"
        Where the vectors are taken. With "query" the contrast has the items' vectors too.
    by, share
        The sets of items, see :func:`synthetic_users`; for a model of user ids `share` is of users, by default 0.1.
    batch_size : int, default 2048
    rng : seed or generator, default 0
        Draws the synthetic histories.

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> contrast(ht.MF(200, 50, 4, rng=0), train)
    Contrast(21 popular, 21 niche and 200 real users, d=4)
    >>> contrast(ht.MF(200, 50, 4, rng=0), train, "item")
    Contrast(5 popular, 5 niche and 50 real items, d=4)
    """
    random = generator(rng)
    users = np.flatnonzero(interactions.activity).astype(np.int32)
    submodule(model, layer)  # before long work
    if layer == ITEM:
        found = contrast_items(_item_vectors(model, interactions), interactions, by=by, share=share, rng=random)
        queries = as_tensor("queries", vectors(model, interactions=interactions, codes=users).queries).float()
        fits = queries.ndim == 2 and queries.shape[1] == found.real.shape[1]
        return replace(found, queries=queries.cpu(), users=users) if fits else found

    def of_users(codes: Codes) -> Any:
        return activations(model, inputs(model, interactions, codes=codes, batch_size=batch_size), layer)

    def made_up(which: Literal["popular", "niche"]) -> Any:
        found = synthetic_users(interactions, which, by, share=share, max_length=max_length, rng=random)
        return activations(model, torch.split(torch.from_numpy(found).long(), batch_size), layer)

    max_length: Any = getattr(model, "max_length", None)
    if max_length is None:
        popular, niche = map(of_users, extreme_users(interactions, 0.1 if share is None else share))
    else:
        popular, niche = made_up("popular"), made_up("niche")
    items = vectors(model, interactions=interactions, codes=users[:1]).items.cpu() if layer == "query" else None
    return Contrast(popular, niche, of_users(users), users, items)


@checked
def contrast_items(
    items: ArrayLike2D,
    interactions: Interactions,
    *,
    by: SetBy = "rank",
    share: float | None = None,
    weighted: bool = False,
    queries: "ArrayLike2D | None" = None,
    rng: RNG = 0,
) -> Contrast:
    """Compare the vectors of popular items with those of niche ones: any model's, or one half of any pair.

    Source: the item side of Ahmadov and Mansoury, WWW 2026, as its code has it (with `weighted`).

    Parameters
    ----------
    items : array or tensor of shape (I, d)
        One row for each item of the interactions, in the order of the codes.
    interactions : Interactions
        Training interactions.
    by, share
        The sets of items, see :func:`synthetic_users`.
    weighted : bool, default False
        Draw as many items of either set with replacement, a popular one in proportion to its popularity p, a niche one
        to ``1 - p / max p``: the more extreme ones count more.
    queries : array or tensor of shape (U, d), optional
        The other half of the pair, a row for each user of the interactions, for the effects of pushes.
    rng : seed or generator, default 0

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> contrast_items(np.random.default_rng(0).normal(size=(50, 4)), train, by="mass")
    Contrast(2 popular, 21 niche and 50 real items, d=4)
    """
    table = as_tensor("items", items).detach().cpu().float()
    if table.ndim != 2 or len(table) != interactions.n_items:
        raise InvalidInputError(
            f"items has shape {tuple(table.shape)}; give a vector for each of the {interactions.n_items} items."
        )
    sides = list(item_sets(interactions, by, share=share))
    if weighted:
        popularity = interactions.popularity / interactions.popularity.max()
        random = generator(rng)
        for side, weights in enumerate((popularity, 1 - popularity)):
            chosen = weights[sides[side]]
            sides[side] = random.choice(sides[side], len(chosen), p=chosen / chosen.sum())
    known = np.flatnonzero(interactions.popularity).astype(np.int32)
    popular, niche, real = (table[torch.from_numpy(codes).long()] for codes in (*sides, known))
    found = Contrast(popular, niche, real, item_codes=known)
    if queries is None:
        return found
    of_users, users = as_tensor("queries", queries).detach().cpu().float(), np.flatnonzero(interactions.activity)
    if len(of_users) != interactions.n_users:
        raise InvalidInputError(
            f"queries has {counted(len(of_users), 'row')}; give one for each of {interactions.n_users} users."
        )
    return replace(found, queries=of_users[torch.from_numpy(users)], users=users.astype(np.int32))


@checked
@torch.no_grad()
def states(model: nn.Module, interactions: Interactions, layer: str = "query", *, batch_size: int = 256) -> Tensor:
    """Return the vectors (n, d) that an autoencoder of a model's queries, or of its items, learns from.

    Of the layer "query": of a sequential model the states at every place of every history, each the query of a user who
    had come so far; of a model of user ids the queries of all users with interactions. Of the layer "item": the vectors
    of the items with interactions. On the model's device.

    Parameters
    ----------
    model : torch.nn.Module
        Of headtail, or of the same protocol (a sequential one has ``states(sequences)`` too, see :func:`headtail.fit`).
    interactions : Interactions
        What the model was trained on.
    layer : {"query", "item"}, default "query"
    batch_size : int, default 256

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> states(ht.MF(200, 50, 4, rng=0), train).shape
    torch.Size([200, 4])
    """
    users = np.flatnonzero(interactions.activity)
    if layer == ITEM:
        submodule(model, layer)
        known = torch.from_numpy(np.flatnonzero(interactions.popularity))
        return as_tensor("items", _item_vectors(model, interactions)[known])
    if layer != "query":
        raise InvalidInputError(f"layer={layer!r} is not known; give 'query' or 'item', or take the activations.")
    if not hasattr(model, "max_length"):
        return as_tensor("queries", vectors(model, interactions=interactions, codes=users).queries)
    vectors_at: Any = model.states
    device, batches = device_of(model, None), inputs(model, interactions, codes=users, batch_size=batch_size)
    with evaluating(model):
        blocks = [vectors_at(b.to(device)).queries[(b >= 0).to(device)] for b in batches]
    return finite("queries", torch.cat(blocks))


def _item_vectors(model: nn.Module, interactions: Interactions) -> Any:
    """Return what passes the layer of the items, (I, d)."""
    one = np.flatnonzero(interactions.activity)[:1]
    return activations(model, inputs(model, interactions, codes=one), ITEM)
