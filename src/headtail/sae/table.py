"""The table of an autoencoder's neurons, and what it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from headtail._checks import checked, integer, number, shown
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.sae.autoencoder import TopKSAE
from headtail.sae.contrasts import Contrast
from headtail.training.ranking import recommend
from headtail.typing import Array, Floats, Ints, Vectors

_ROWS = 4096  # users in a block: 64 MiB of pre-activations for 4,096 neurons


@dataclass(frozen=True, eq=False)
class Source:
    """What neurons were found with."""

    sae: TopKSAE
    contrast: Contrast
    interactions: Interactions | None

    @property
    def known(self) -> Interactions:
        """The interactions, or an error that asks for them."""
        if self.interactions is None:
            raise InvalidInputError("items and users are not known; give the interactions to find_neurons.")
        return self.interactions

    def blocks(self, x: Tensor) -> Iterator[Tensor]:
        """Yield blocks of rows of vectors, as the autoencoder takes them."""
        return (block.to(self.sae.encoder) for block in torch.split(x, _ROWS))


@dataclass(frozen=True, eq=False, repr=False)
class NeuronTable:
    """The columns of :class:`~headtail.sae.Neurons`, one entry a neuron."""

    index: Ints
    cohens_d: Floats
    low: Floats
    high: Floats
    mean_popular: Floats
    mean_niche: Floats
    std: Floats
    std_popular: Floats
    std_niche: Floats
    firing_rate: Floats
    mean_activation: Floats
    correlation: Floats
    effect: Floats
    changed: Floats
    tags: Array
    n_neurons: int
    k: int
    source: Source = field(repr=False)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def way(self) -> Floats:
        """Where a push moves lists: 1 to what the neuron responds to, -1 away from it, 0 not; NaN if not measured."""
        return np.asarray(np.sign(self.effect) * np.sign(self.cohens_d))

    @checked
    def select(
        self,
        *,
        min_d: float | None = None,
        top: int | None = None,
        by: Literal["cohens_d", "effect"] = "cohens_d",
        sign: Literal["both", "popular", "niche"] = "both",
        min_rate: float = 0.0,
    ) -> Self:
        """Return the neurons that fire and meet all conditions, the strongest first.

        Strength is ``|cohens_d|``, or with `by` "effect" the measured effect of a push, of those neurons whose effect
        has the sign of their d. One at least must be left.

        Parameters
        ----------
        min_d, top : optional
            Neurons with ``|cohens_d|`` of at least `min_d`, and at most the `top` strongest.
        by : {"cohens_d", "effect"}, default "cohens_d"
        sign : {"both", "popular", "niche"}, default "both"
        min_rate : float, default 0
            Neurons that fire for at least this share of the real users; none that never fires.
        """
        fires = self.firing_rate > 0
        keep = fires & ~np.isnan(self.cohens_d) & (self.firing_rate >= number("min_rate", min_rate, low=0, high=1))
        if min_d is not None:
            keep &= np.abs(self.cohens_d) >= number("min_d", min_d, low=0)
        if sign != "both":
            keep &= (self.cohens_d > 0) == (sign == "popular")
        strength = np.abs(self.cohens_d)
        if by == "effect":
            if np.isnan(self.effect).all():
                raise InvalidInputError("by='effect' needs measured effects; call with_effects() first.")
            strength = np.abs(self.effect)
            keep &= self.way > 0
        places = np.flatnonzero(keep)
        places = places[np.argsort(-strength[places], kind="stable")][: None if top is None else integer("top", top)]
        if not len(places):
            raise InvalidInputError(
                f"none of {len(self)} neurons ({int(fires.sum())} fire) is left with min_d={min_d}, top={top}, "
                f"sign={sign!r}, min_rate={min_rate}; the largest |d| is "
                f"{np.nanmax(np.abs(self.cohens_d), initial=0):.3g}. Ask for less."
            )
        return self._at(places)

    def _among_all(self, values: Floats) -> Tensor:
        """Return values of these neurons, (n,), placed among all of the autoencoder's, (N,), with 0 for the others."""
        full = torch.zeros(self.n_neurons, dtype=torch.float32, device="cpu")
        full[torch.from_numpy(self.index)] = torch.from_numpy(values).float()
        return full

    def _place(self, neuron: int) -> int:
        """Return where a neuron of the autoencoder stands in this table."""
        places = np.flatnonzero(self.index == neuron)
        if not len(places):
            raise MissingColumnError(f"neuron {neuron!r} is not in this table; there are {shown(self.index)}.")
        return int(places[0])

    def _at(self, places: Ints) -> Self:
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        kept: dict[str, Any] = {name: v[places] for name, v in columns.items() if isinstance(v, np.ndarray)}
        return replace(self, **kept)

    def rows(self) -> list[dict[str, Any]]:
        """Return one mapping a neuron, of plain numbers."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        columns = {"neuron" if n == "index" else n: v.tolist() for n, v in columns.items() if isinstance(v, np.ndarray)}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def list_popularity(contrast: Contrast, interactions: Interactions, k: int | None) -> Floats:
    """Return the mean log(1 + popularity) of what is recommended to each real user, (U,)."""
    return list_means(contrast, interactions, np.log1p(interactions.popularity), k)


def list_means(contrast: Contrast, interactions: Interactions, values: Floats, k: int | None) -> Floats:
    """Return the mean of values (I,) of what is recommended to each real user, (U,)."""
    items, users = contrast.recommendable()
    if len(items) != interactions.n_items or (len(users) and users.max() >= interactions.n_users):
        raise InvalidInputError(
            f"interactions has {interactions.n_users} users and {interactions.n_items} items, which are not those "
            f"of the contrast; give the interactions that it was made from."
        )
    queries = torch.zeros(interactions.n_users, items.shape[1], dtype=torch.float32, device="cpu")
    queries[torch.from_numpy(users).long()] = contrast.real.float().cpu()
    vectors = Vectors(queries, items, interactions.user_ids, interactions.item_ids)
    lists = recommend(vectors, interactions, codes=users, k=k).items
    values = np.append(values, 0.0)  # the last for places that are not filled
    return np.asarray(values[lists].sum(axis=1) / (lists >= 0).sum(axis=1).clip(1))
