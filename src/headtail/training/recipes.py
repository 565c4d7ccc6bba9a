"""How a model is made and trained."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headtail._checks import checked
from headtail._printable import kind_of
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError


@checked
@dataclass(frozen=True)
class Recipe:
    """How a model is made and trained, so that it can be trained again with a correction.

    Parameters
    ----------
    model : class
        Of a model, with ``for_data(train, rng=..., **sizes)``, such as those of :data:`headtail.models.MODELS`.
    sizes : mapping
        What it is made with beside the data, such as ``embedding_dim``.
    training : mapping
        Arguments of :func:`headtail.fit` that differ from the model's usual ones.

    Examples
    --------
    >>> Recipe(ht.MF, {"embedding_dim": 32}).epochs, Recipe(ht.MF, training={"epochs": 20}).epochs
    (60, 20)
    """

    model: Any
    sizes: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.model, type) or not hasattr(self.model, "for_data"):
            name = getattr(self.model, "__name__", kind_of(self.model))
            raise InvalidInputError(
                f"model of a Recipe is {name}, no class with for_data(train, rng=..., **sizes). Give one, such as MF; "
                f"a model that is trained already needs no Recipe."
            )

    @property
    def epochs(self) -> int:
        """How many epochs the plain model is trained."""
        from headtail.training.loop import usual

        return int({**usual(self.model), **self.training}["epochs"])

    def train(self, train: Interactions, seed: int, *, start: Any = None, **changes: Any) -> Any:
        """Return a trained model: a new one, or a copy of `start`, which is trained on by gradients.

        `changes` are arguments of ``fit``.
        """
        import torch

        from headtail.training import fit

        if start is not None and hasattr(start, "solve"):
            raise InvalidInputError(
                f"{self.model.__name__} is solved for anew in every epoch, so that nothing is tuned by training it on. "
                f"Train it with the correction from the start."
            )
        with torch.inference_mode(False):  # also where the caller is in it
            model = self.model.for_data(train, rng=seed, **self.sizes) if start is None else copy.deepcopy(start)
        fit(model, train, rng=seed, progress=False, **{**self.training, **changes})
        return model
