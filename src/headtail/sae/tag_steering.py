"""Steering by a tag: more of its items, or less."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from headtail._checks import checked, generator, integer, number
from headtail.exceptions import InvalidInputError
from headtail.sae.concepts import Concepts
from headtail.sae.neurons import Neurons
from headtail.sae.steered import Steered
from headtail.sae.steering import Steering
from headtail.sae.table import list_means
from headtail.typing import Floats

_TURNED = 16  # neurons that are tried
_USERS = 512  # by whose lists


@checked
def steer_tag(model: nn.Module, concepts: Concepts, tag: str, strength: float, *, top: int = _TURNED) -> Steered:
    """Return the model with the neurons pushed that show more of a tag: more of its items, or less below strength 0.

    Neurons are tried in the order of what a push of each alone does to the lists of some users (``concepts.effect``),
    and one is kept if the lists of 512 users show no less with it than without it, for pushes that help alone may
    hinder each other. How well a neuron tells the tag's items from others says little: their scores may rise and those
    of popular items more.

    Parameters
    ----------
    model : torch.nn.Module
    concepts : Concepts
        Found in an autoencoder of its queries.
    tag : str
        One of ``concepts.tags``.
    strength : float
        Standard deviations by which the neuron is pushed that shows most more; the others in proportion to what they
        show more. 0 changes nothing.
    top : int, default 16
        Neurons that are tried.

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> model = ht.MF(200, 50, 4, rng=0)
    >>> neurons = ht.sae.find_neurons(ht.sae.TopKSAE(4, 4, k=3, rng=0), ht.sae.contrast(model, train), train)
    >>> tags = {item: ["even" if item % 2 == 0 else "odd"] for item in train.item_ids.tolist()}
    >>> steer_tag(model, ht.sae.find_concepts(neurons, tags), "even", 2.0)(torch.arange(3)).queries.shape
    torch.Size([3, 4])
    """
    neurons, strength = concepts.neurons, number("strength", strength)
    if neurons.source.contrast.item_codes is not None:
        raise InvalidInputError(
            "these are neurons of item vectors: pushed for all items they favor none. Find the concepts in an "
            "autoencoder of the queries."
        )
    effect = concepts.effect[concepts._place(tag)]
    places = np.argsort(-effect, kind="stable")[: integer("top", top, low=1)]
    places = places[effect[places] > 0]
    if not len(places):
        raise InvalidInputError(
            f"no neuron shows more items with {tag!r} when it is pushed. Choose another tag, or give find_concepts "
            f"more n_users."
        )
    push = strength * effect / effect[places[0]] * neurons.std

    def edit(places: list[int]) -> Steering:
        chosen = np.array(places)
        return Steering(neurons.source.sae, neurons._at(chosen)._among_all(push[chosen]))

    kept = places.tolist()
    if strength:
        kept = _helping(edit, kept, neurons, concepts.items(tag) * np.sign(strength))
    return Steered(model, edit(kept))


@torch.no_grad()
def _helping(edit: Callable[[list[int]], Steering], places: list[int], neurons: Neurons, values: Floats) -> list[int]:
    """Return the places of neurons, one after another, with which lists show no less of values (I,) than without."""
    contrast, kept, most = neurons.source.contrast, list[int](), -np.inf
    some = np.sort(generator(0).permutation(len(contrast.real))[:_USERS])
    queries = contrast.real[torch.from_numpy(some)].to(neurons.source.sae.bias.device)
    users = contrast.recommendable()[1][some]
    for place in places:
        pushed = replace(contrast, real=edit([*kept, place])(queries), users=users)
        shown = list_means(pushed, neurons.source.known, values, neurons.k).mean()
        if shown >= most:
            kept, most = [*kept, place], shown
    return kept
