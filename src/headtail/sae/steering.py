"""Steering: a trained model whose vectors pass an edited autoencoder on their way to the scores."""

import copy
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from headtail._checks import checked, choice, number
from headtail._tensors import as_floats
from headtail.exceptions import InvalidInputError
from headtail.sae.autoencoder import Code, TopKSAE
from headtail.sae.hooks import EditHook, register
from headtail.sae.neurons import Neurons
from headtail.typing import Floats

Variant = Literal["v2", "v1", "damp"]

_ROWS = 256  # vectors of a block whose pre-activations stay in a CPU's cache


class Steering(nn.Module):
    """An edit of vectors through an autoencoder: some neurons are pushed, or made louder or quieter.

    With z the code of a vector x, and z' the edited one::

        z' = scale * TopK(ReLU(pre(x) + shift)),        x' = x + strength(x) * (decode(z') - decode(z))

    What the autoencoder cannot reconstruct passes unchanged, so that no edit gives x itself, bit by bit. With
    ``keep_error=False`` the reconstruction takes the place of the first x.

    Parameters
    ----------
    sae : TopKSAE
        Autoencoder of the vectors.
    shift : Tensor of shape (N,), optional
        Added to the pre-activations, before ReLU and TopK: changes which neurons speak. The same for every user.
    scale : Tensor of shape (N,), optional
        Multiplies the activations after TopK: changes how loud a neuron speaks, where it does.
    strength : torch.nn.Module, optional
        From vectors (..., d) to (..., 1): how much of the edit each gets, such as :class:`~headtail.sae.Excess`; 1 for
        all without it.
    keep_error : bool, default True
        Pass on what the autoencoder misses.

    Raises
    ------
    InvalidInputError
        If shift or scale is not one finite number for each neuron.

    Examples
    --------
    >>> sae, x = TopKSAE(d_in=4, expansion=2, k=3, rng=0), torch.ones(5, 4)
    >>> torch.equal(Steering(sae)(x), x)
    True
    >>> torch.equal(Steering(sae, keep_error=False)(x), sae(x))
    True
    """

    shift: Tensor | None
    scale: Tensor | None

    @checked
    def __init__(
        self,
        sae: TopKSAE,
        shift: Tensor | None = None,
        scale: Tensor | None = None,
        *,
        strength: nn.Module | None = None,
        keep_error: bool = True,
    ) -> None:
        super().__init__()
        self.sae, self.strength, self.keep_error = sae, strength, keep_error
        self.d_in = sae.d_in
        for name, values in (("shift", shift), ("scale", scale)):
            if values is not None:
                if as_floats(name, values).shape != (sae.n_neurons,) or not torch.isfinite(values).all():
                    raise InvalidInputError(
                        f"{name} has shape {tuple(values.shape)}; give one finite number for each of the "
                        f"{sae.n_neurons} neurons."
                    )
                values = values.detach().to(sae.encoder)
            self.register_buffer(name, values)

    def extra_repr(self) -> str:
        """Return what its representation shows."""
        return f"keep_error={self.keep_error}"

    def forward(self, x: Tensor) -> Tensor:
        """Return the edited vectors, (..., d) as given."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or x.is_cuda:
            return self._edited(x).to(x.dtype)
        blocks = [self._edited(rows).to(x.dtype) for rows in torch.split(x.reshape(-1, self.d_in), _ROWS)]
        return torch.cat(blocks).reshape(x.shape)

    def _edited(self, x: Tensor) -> Tensor:
        pre = self.sae.pre_activations(x)  # (..., N), shared by both codes
        before = self.sae.select(pre)
        after = before if self.shift is None else self.sae.select(pre + self.shift)
        if self.scale is not None:
            after = Code(after.values * self.scale[after.neurons], after.neurons)
        plain = self.sae.decode(before)
        change = self.sae.decode(after) - plain
        if self.strength is not None:
            change = self.strength(x) * change
        return (x if self.keep_error else plain) + change


class Steered(nn.Module):
    """A model of which one layer's vectors pass through an edit; otherwise the same.

    Neither model nor edit is changed: this one has modules of its own over the same weights in memory. Attributes that
    it has not (``n_users``, ``max_length`` ...) are the model's, so that :func:`headtail.recommend` and
    :func:`headtail.vectors` take it in the model's place. ``torch.export`` and ``torch.compile`` take it too. A copy is
    a model of its own, and the attribute `edit` can be replaced by another module.

    Parameters
    ----------
    model : torch.nn.Module
        Any.
    edit : torch.nn.Module
        From vectors (..., d) to vectors of the same shape, such as a :class:`Steering`.
    layer : str, default "query"
        Path of the sub-module whose output is edited, see :func:`~headtail.sae.attach`.
    output : int or str, default 0
        Which one of a tuple or mapping is edited.

    Raises
    ------
    MissingColumnError
        If there is no such layer.
    InvalidInputError
        If the model cannot be copied; when it is called, if the layer is not, so that nothing is edited.

    Examples
    --------
    >>> from headtail.models import MF
    >>> model, users = MF(n_users=5, n_items=6, embedding_dim=3, rng=0), torch.arange(5)
    >>> steered = Steered(model, nn.Dropout(p=1.0))
    >>> bool((steered(users).queries == 0).all()), steered.n_items
    (True, 6)
    """

    @checked
    def __init__(self, model: nn.Module, edit: nn.Module, layer: str = "query", *, output: int | str = 0) -> None:
        super().__init__()
        self.model, self.edit = _twin(model), _twin(edit).train(model.training)
        self.layer, self.output = layer, output
        self.training = model.training
        self._hook = EditHook(self, layer, output)
        register(self.model, layer, self._hook)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the model returns."""
        with self._hook.called():
            return self.model(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("model", "layer", "output") and "_hook" in self.__dict__:
            raise InvalidInputError(f"the {name} of a Steered cannot be replaced; make another Steered.")
        if name == "edit" and not isinstance(value, nn.Module):
            raise InvalidInputError(f"edit is a {type(value).__name__}; give a torch.nn.Module, such as a Steering.")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":
                raise
            return getattr(self.model, name)


def _twin(model: nn.Module) -> nn.Module:
    """Return a copy of the modules over the same weights."""
    try:
        memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in model.parameters()}
        memo.update((id(buffer), buffer) for buffer in model.buffers())
        with _WithoutHistory():
            return copy.deepcopy(model, memo)
    except Exception as error:  # whatever a stranger's modules hold
        raise InvalidInputError(
            f"{type(model).__name__} cannot be copied ({error}). Edit it in place, with headtail.sae.attach."
        ) from error


class _WithoutHistory(TorchFunctionMode):
    """Lets tensors be copied that gradients flow through, such as states that a model keeps: without their past."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            return args[0].detach()
        return func(*args, **(kwargs or {}))


@checked
def steer(
    model: nn.Module,
    sae: TopKSAE,
    neurons: Neurons,
    *,
    alpha_popular: float = 1.0,
    alpha_niche: float = 1.0,
    variant: Variant = "v2",
    min_d: float | None = None,
    top: int | None = None,
    strength: nn.Module | None = None,
    layer: str = "query",
    output: int | str = 0,
    keep_error: bool = True,
) -> Steered:
    """Return the model with its popularity neurons held down and its niche neurons pushed up, without training.

    A neuron with positive Cohen's d answers to popular items, one with negative d to niche ones. By `variant`, with s_j
    the standard deviation of pre-activation j,

    * "v2": ``w_j = alpha |d_j| / max |d|`` over the neurons of the same sign; pre_j falls by w_j s_j for popular and
      rises by it for niche neurons, s_j taken over real users;
    * "v1": ``w_j = alpha (|d_j| - min |d|) / (max |d| - min |d|)`` over all chosen neurons; s_j taken over the
      synthetic users of the neuron's own sign;
    * "damp": the weights of v2, but activations are multiplied where they are: by ``1 - w_j`` (not below 0) for
      popular and ``1 + w_j`` for niche neurons. Changes each user by what that user shows.

    Parameters
    ----------
    model : torch.nn.Module
        Any; it is not changed.
    sae : TopKSAE
        Autoencoder of the layer's vectors.
    neurons : Neurons
        Found by :func:`~headtail.sae.find_neurons` in this autoencoder; only those in the table are steered.
    alpha_popular, alpha_niche : float, default 1
        The dial, for the two signs: 0 leaves them alone, a negative one steers backwards.
    variant : {"v2", "v1", "damp"}, default "v2"
    min_d : float, optional
        Steer only neurons with ``|d|`` of at least this.
    top : int, optional
        Steer only so many neurons, those with the largest ``|d|``.
    strength : torch.nn.Module, optional
        How much of the edit a user gets, see :class:`Steering`.
    layer, output
        What is edited, see :class:`Steered`.
    keep_error : bool, default True
        Pass on what the autoencoder misses. The papers do not, which costs accuracy before any steering.

    Returns
    -------
    Steered
        Of the same call as the model. With both alphas 0 it is the original exactly (without the error: the
        autoencoder's reconstruction).

    Raises
    ------
    InvalidInputError
        If an alpha is not finite, no neuron is left, or the neurons are those of another autoencoder.
    MissingColumnError
        If there is no such layer.

    References
    ----------
    Ahmadov and Mansoury, Opening the black box: interpretable remedies for popularity bias in recommender systems,
    RecSys 2025 (v1); From insight to intervention, WWW 2026 (v2). The error term and "damp" are ours.

    Examples
    --------
    >>> from headtail.datasets import power_law
    >>> from headtail.models import MF
    >>> from headtail.sae import contrast, find_neurons
    >>> train = power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> model, sae = MF(200, 50, 4, rng=0), TopKSAE(d_in=4, expansion=4, k=3, rng=0)
    >>> neurons = find_neurons(sae, contrast(model, train), train)
    >>> same = steer(model, sae, neurons, alpha_popular=0, alpha_niche=0)
    >>> torch.equal(same(torch.arange(200)).queries, model(torch.arange(200)).queries)
    True
    """
    if neurons.n_neurons != sae.n_neurons:
        raise InvalidInputError(
            f"the neurons are of an autoencoder with {neurons.n_neurons} and this one has {sae.n_neurons}; find them "
            f"again in this one."
        )
    chosen = neurons.select(min_d=min_d, top=top)
    weights = steering_weights(chosen, alpha_popular=alpha_popular, alpha_niche=alpha_niche, variant=variant)
    full = torch.zeros(sae.n_neurons, dtype=torch.float32)
    full[torch.from_numpy(chosen.index)] = torch.from_numpy(weights).float()
    if variant == "damp":
        edit = Steering(sae, scale=(1 + full).clamp_min(0), strength=strength, keep_error=keep_error)
    else:
        edit = Steering(sae, shift=full, strength=strength, keep_error=keep_error)
    return Steered(model, edit, layer, output=output)


@checked
def steering_weights(neurons: Neurons, *, alpha_popular: float, alpha_niche: float, variant: Variant = "v2") -> Floats:
    """Return what a variant adds to the pre-activation (with "damp": relative to the activation) of each neuron.

    Parameters
    ----------
    neurons : Neurons
        Those to steer.
    alpha_popular, alpha_niche, variant
        As for :func:`steer`.

    Returns
    -------
    float array of shape (n,)
        In the order of the table; at most 0 for popular and at least 0 for niche neurons where the alphas are positive.
    """
    choice("variant", variant, ("v2", "v1", "damp"))
    alphas = number("alpha_popular", alpha_popular), number("alpha_niche", alpha_niche)
    d = neurons.cohens_d
    size, popular = np.abs(d), d > 0
    if variant == "v1":
        span = size.max() - size.min()
        relative = (size - size.min()) / span if span > 0 else np.ones_like(size)
        spread = np.where(popular, neurons.std_popular, neurons.std_niche)
    else:
        largest = [size[group].max(initial=0) or 1.0 for group in (popular, ~popular)]
        relative = size / np.where(popular, *largest)
        spread = np.ones_like(size) if variant == "damp" else neurons.std
    return np.where(popular, -alphas[0], alphas[1]) * relative * spread
