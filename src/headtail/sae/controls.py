"""What steering through neurons has to beat: edits of the same vectors that know less, or need no autoencoder."""

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from headtail._checks import checked, generator, number
from headtail._tensors import as_floats
from headtail.exceptions import InvalidInputError
from headtail.sae.contrasts import Contrast
from headtail.sae.neurons import Neurons
from headtail.sae.steered import Steered
from headtail.sae.steering import Steering, steering_weights
from headtail.typing import RNG


def random_push(neurons: Neurons, alpha: float, *, rng: RNG = 0) -> Steering:
    """Return an edit that deals the pushes of the variant "v2" out to neurons drawn without replacement."""
    sae = neurons.source.sae
    chosen = neurons.select()
    weights = steering_weights(chosen, alpha_popular=alpha, alpha_niche=alpha)
    drawn = replace(chosen, index=generator(rng).permutation(sae.n_neurons)[: len(weights)])
    return Steering(sae, drawn._among_all(weights))


class Noise(nn.Module):
    """Normal noise of `alpha` standard deviations on each pre-activation; the i-th vector always meets the same."""

    scale: Tensor

    def __init__(self, neurons: Neurons, alpha: float, *, rng: RNG = 0) -> None:
        super().__init__()
        self.sae, self.seed = neurons.source.sae, int(generator(rng).integers(2**31))
        self.d_in = self.sae.d_in
        scale = neurons._among_all(number("alpha", alpha, low=0) * neurons.std)
        self.register_buffer("scale", scale.to(self.sae.encoder))

    def forward(self, x: Tensor) -> Tensor:
        """Return the disturbed vectors, (..., d) as given."""
        pre = self.sae.pre_activations(x)
        source = torch.Generator(x.device).manual_seed(self.seed)
        noise = torch.randn(pre.shape, generator=source, device=x.device, dtype=pre.dtype)
        disturbed = self.sae.select(pre + self.scale * noise)
        return x + (self.sae.decode(disturbed) - self.sae.decode(self.sae.select(pre)))


class Direction(nn.Module):
    """An edit along one direction c of length 1: ``x - strength c`` ("shift") or ``x - strength (x . c - level) c``.

    With `per_user`, each vector gets that much of it.

    Parameters
    ----------
    direction : Tensor of shape (d,)
        Brought to length 1.
    strength : float
    mode : {"shift", "project"}, default "shift"
    level : float, default 0
        Where along c "project" leaves a vector alone; with strength 1 all vectors come to lie there.
    per_user : torch.nn.Module, optional
        From vectors (..., d) to (..., 1), such as :class:`~headtail.sae.Excess`.

    Examples
    --------
    >>> Direction(torch.tensor([2.0, 0.0]), strength=0.5, mode="project")(torch.tensor([[4.0, 1.0]]))
    tensor([[2., 1.]])
    """

    direction: Tensor
    strength: Tensor

    @checked
    def __init__(
        self,
        direction: Tensor,
        *,
        strength: float,
        mode: Literal["shift", "project"] = "shift",
        level: float = 0.0,
        per_user: nn.Module | None = None,
    ) -> None:
        super().__init__()
        length = torch.linalg.vector_norm(as_floats("direction", direction))
        if direction.ndim != 1 or not torch.isfinite(length) or length == 0:
            raise InvalidInputError(
                f"direction has shape {tuple(direction.shape)} and length {float(length)}; give a vector that is not 0."
            )
        self.mode, self.level, self.d_in = mode, level, len(direction)
        self.per_user = per_user
        self.register_buffer("direction", direction / length)
        self.register_buffer("strength", direction.new_tensor(number("strength", strength)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the edited vectors, (..., d) as given."""
        strength = self.strength
        if self.mode == "project":
            strength = strength * ((x @ self.direction)[..., None] - self.level)
        if self.per_user is not None:
            strength = self.per_user(x) * strength
        return x - strength * self.direction


@checked
def steer_direction(
    model: nn.Module,
    contrast: Contrast,
    *,
    strength: float,
    mode: Literal["shift", "project"] = "shift",
    layer: str = "query",
) -> Steered:
    """Return a model steered against one dense direction of popularity, without any autoencoder.

    The direction c is the difference of the mean vectors of users of popular and of niche tastes, the idea of SPREE
    (arXiv 2604.01036, see :func:`~headtail.sae.spree`).

    Parameters
    ----------
    model : torch.nn.Module
    contrast : Contrast
        Of the layer's vectors.
    strength : float
        0 changes nothing. With "shift", in standard deviations of the real users along c: the same for everybody. With
        "project", the share of each vector's way along c to where users of niche tastes lie on average; with 1 all come
        to lie there.
    mode : {"shift", "project"}, default "shift"
    layer : str, default "query"

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> model = ht.MF(200, 50, 4, rng=0)
    >>> steer_direction(model, ht.sae.contrast(model, train), strength=0.5)(torch.arange(3)).queries.shape
    torch.Size([3, 4])
    """
    strength = number("strength", strength)
    direction, spread = popularity_direction(contrast)
    # Projected to 0, users whose vectors point away from c would be pushed towards popular items.
    level = float(contrast.niche.mean(dim=0) @ direction)
    edit = Direction(direction, strength=strength * spread if mode == "shift" else strength, mode=mode, level=level)
    return Steered(model, edit, layer)


def popularity_direction(contrast: Contrast) -> tuple[Tensor, float]:
    """Return the difference of means at length 1, (d,), and the standard deviation of the real vectors along it."""
    direction = contrast.popular.mean(dim=0) - contrast.niche.mean(dim=0)
    length = torch.linalg.vector_norm(direction)
    if not length > 0:
        raise InvalidInputError(
            "vectors of users of popular and of niche tastes have the same mean, so that there is no direction from "
            "one to the other. Check the layer, or give another share."
        )
    direction = direction / length
    spread = float(np.std((contrast.real @ direction).double().numpy(), ddof=1))
    if not spread > 0:
        raise InvalidInputError("all real users lie at the same place along the direction; there is nothing to steer.")
    return direction, spread
