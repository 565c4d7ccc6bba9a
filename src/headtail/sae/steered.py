"""A model of which one layer's vectors pass through an edit."""

import copy
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from headtail._checks import checked
from headtail._printable import kind_of
from headtail.exceptions import InvalidInputError
from headtail.sae.hooks import EditHook, register


class Steered(nn.Module):
    """A model of which one layer's vectors pass through an edit; otherwise the same.

    Neither model nor edit is changed: this one has modules of its own over the same weights in memory, so that training
    one trains both. Attributes that it lacks (``n_users``, ``max_length`` ...) are looked up on the model, so that it
    takes the model's place everywhere, ``torch.export`` and ``torch.compile`` included. The attribute `edit` can be
    replaced.

    Parameters
    ----------
    model : torch.nn.Module
    edit : torch.nn.Module
        From vectors (..., d) to vectors of the same shape, such as a :class:`~headtail.sae.Steering`.
    layer, output
        What is edited, see :func:`~headtail.sae.attach`.

    Raises
    ------
    InvalidInputError
        If the model cannot be copied; when it is called, if the layer is not, so that nothing is edited.

    Examples
    --------
    >>> model, users = ht.MF(n_users=5, n_items=6, embedding_dim=3, rng=0), torch.arange(5)
    >>> steered = Steered(model, nn.Dropout(p=1.0))
    >>> bool((steered(users).queries == 0).all()), steered.n_items
    (True, 6)
    """

    @checked
    def __init__(self, model: nn.Module, edit: nn.Module, layer: str = "query", *, output: int | str = 0) -> None:
        super().__init__()
        self.training = model.training
        self.model, self.edit = _twin(model), edit
        self.layer, self.output = layer, output
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
            raise InvalidInputError(f"edit is {kind_of(value)}; give a torch.nn.Module, such as a Steering.")
        super().__setattr__(name, _twin(value).train(self.training) if name == "edit" else value)

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
    """Copies tensors that gradients flow through, such as states that a model keeps, without their graph."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            return args[0].detach()
        return func(*args, **(kwargs or {}))
