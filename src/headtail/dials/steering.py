"""Dials that steer through neurons or along one direction; torch is imported only when one is used."""

from dataclasses import dataclass
from typing import Any

from headtail.subjects import Subject


def by_users(subject: Subject, strength: float, seed: int, *, per_user: bool = False, **options: Any) -> Any:
    """Steer the queries; `options` are those of :func:`headtail.sae.neuron_edit`."""
    from headtail.sae import personal_strength

    neurons = _neurons(subject, seed, options)
    found, train = neurons.source.contrast, subject.split.train
    how = personal_strength(found, train, k=subject.k) if per_user else None
    return _pushed(subject.plain(seed), neurons, strength, per_user=how, **options)


def by_items(subject: Subject, strength: float, seed: int, **options: Any) -> Any:
    """Steer the item vectors."""
    return _pushed(subject.plain(seed), subject.neurons(seed, "item"), strength, layer="item", **options)


def by_both(subject: Subject, strength: float, seed: int) -> Any:
    """Steer both queries and item vectors."""
    steered = by_users(subject, strength, seed)
    return _pushed(steered, subject.neurons(seed, "item"), strength, layer="model.item")


def _pushed(model: Any, neurons: Any, strength: float, **options: Any) -> Any:
    from headtail.sae import steer

    return steer(model, neurons.source.sae, neurons, alpha_popular=strength, alpha_niche=strength, **options)


def to_taste(subject: Subject, strength: float, seed: int, *, neurons: bool = False, **options: Any) -> Any:
    """Steer each user towards the popularity of their own history, along one direction or through neurons."""
    from headtail.sae import spree

    table = _neurons(subject, seed, options) if neurons else None
    found, train = subject.contrast(seed), subject.split.train
    return spree(subject.plain(seed), found, train, strength, neurons=table, k=subject.k, **options)


@dataclass(frozen=True, eq=False)
class TowardsTag:
    """Pushes the neurons that show more of a tag."""

    tag: str
    tags: Any

    def __call__(self, subject: Subject, strength: float, seed: int) -> Any:
        """Return the steered model."""
        from headtail.sae import find_concepts, steer_tag

        concepts = subject.cached((self, seed), lambda: find_concepts(subject.neurons(seed), self.tags, rng=seed))
        return steer_tag(subject.plain(seed), concepts, self.tag, strength)


def _neurons(subject: Subject, seed: int, options: dict[str, Any]) -> Any:
    return subject.measured_neurons(seed) if options.get("by") == "effect" else subject.neurons(seed)


def random_neurons(subject: Subject, strength: float, seed: int) -> Any:
    """Push as many random neurons, as hard."""
    from headtail.sae import Steered
    from headtail.sae.controls import random_push

    return Steered(subject.plain(seed), random_push(subject.neurons(seed), strength, rng=seed))


def noise(subject: Subject, strength: float, seed: int) -> Any:
    """Add noise to the pre-activations."""
    from headtail.sae import Steered
    from headtail.sae.controls import Noise

    return Steered(subject.plain(seed), Noise(subject.neurons(seed), strength, rng=seed))


def direction(subject: Subject, strength: float, seed: int, *, mode: Any) -> Any:
    """Steer everybody along the same direction."""
    from headtail.sae import steer_direction

    return steer_direction(subject.plain(seed), subject.contrast(seed), strength=strength, mode=mode)
