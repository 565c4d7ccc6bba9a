"""XSimGCL."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headtail._checks import checked, integer, number
from headtail._products import loss_over_products, softmax_terms
from headtail._tensors import take_rows
from headtail.data import Interactions
from headtail.models.lightgcn import LightGCN, mean_of
from headtail.typing import RNG, Vectors


class XSimGCL(LightGCN):
    """LightGCN with noise between its layers and a contrastive loss between two of them.

    In training, each layer's vectors get uniform noise of length `eps`, with their own signs. The final vector is the
    mean over the layers, without the start. The contrastive loss, which :func:`headtail.fit` adds and reports as
    ``auxiliary``, pulls each batch user's final vector towards the same user's vector at `contrast_layer` and away from
    those of the batch's other users (InfoNCE on unit vectors), and does the same for the batch's positive items::

        contrast_weight * mean over i of -log( exp(z_i . y_i / t) / sum over j of exp(z_i . y_j / t) )

    z are final vectors, y those of the contrast layer, t the temperature; users and items are added up. The published
    batches hold 2,048 pairs.

    Source: Yu et al., XSimGCL: towards extremely simple graph contrastive learning for recommendation, TKDE 2023,
    section 4; layers, eps, contrast layer and temperature as in the ReSN authors' set-up (Lin et al., WSDM 2025).

    Parameters
    ----------
    train, embedding_dim, n_layers
        See :class:`LightGCN`; `n_layers` is 2 by default.
    eps : float, default 0.1
        Length of the noise, at least 0.
    contrast_layer : int, default 2
        Layer whose vectors the final ones are compared with, 1 to `n_layers`.
    temperature : float, default 0.2
        t, above 0.
    contrast_weight : float, default 0.05
        At least 0. Worth tuning.
    rng : seed or generator, default 0
        Source of the start vectors. The noise follows torch's random state, which :func:`headtail.fit` seeds.

    Examples
    --------
    >>> model = XSimGCL(ht.datasets.checkerboard(20, 20).train, embedding_dim=4, rng=0).eval()
    >>> users = torch.tensor([0, 3])
    >>> bool((model(users).queries == model(users).queries).all())
    True
    >>> _ = model.train()
    >>> bool((model(users).queries == model(users).queries).all())
    False
    """

    usual: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {**LightGCN.usual, "weight_decay": 1e-7, "epochs": 60, "eval_every": 5}
    )

    @checked
    def __init__(
        self,
        train: Interactions,
        embedding_dim: int = 64,
        n_layers: int = 2,
        *,
        eps: float = 0.1,
        contrast_layer: int = 2,
        temperature: float = 0.2,
        contrast_weight: float = 0.05,
        rng: RNG = 0,
    ) -> None:
        super().__init__(train, embedding_dim, n_layers, rng=rng)
        self.eps = number("eps", eps, low=0)
        self.contrast_layer = integer("contrast_layer", contrast_layer, low=1, high=self.n_layers)
        self.temperature = number("temperature", temperature, low=0, low_open=True)
        self.contrast_weight = number("contrast_weight", contrast_weight, low=0)
        self.config |= {
            "eps": self.eps, "contrast_layer": self.contrast_layer, "temperature": self.temperature,
            "contrast_weight": self.contrast_weight,
        }  # fmt: skip

    def forward_with_loss(self, users: Tensor, rows: Tensor, candidates: Tensor) -> tuple[Vectors, Tensor]:
        """Return what :meth:`forward` does, and the contrastive loss of users (B,) and of the first candidates."""
        layers = self._layers()
        final, contrast = mean_of(layers), layers[self.contrast_layer - 1]
        loss = final[0].new_zeros(())
        for z, y, codes in zip(final, contrast, (users, candidates[:, 0]), strict=True):
            codes = codes.unique()  # type: ignore[no-untyped-call]
            loss = loss + self._contrast(take_rows(z, codes), take_rows(y, codes))
        return Vectors(self.query(take_rows(final[0], users)), self.item(final[1])), self.contrast_weight * loss

    def _layers(self) -> list[tuple[Tensor, Tensor]]:
        """Return the vectors of users and items after each propagation, noisy in training."""
        layers: list[tuple[Tensor, Tensor]] = []
        users: Tensor = self.users
        items: Tensor = self.items
        for _ in range(self.n_layers):
            users, items = self.graph(users, items)
            if self.training and self.eps:
                users, items = self._noisy(users), self._noisy(items)
            layers.append((users, items))
        return layers

    def _noisy(self, table: Tensor) -> Tensor:
        return table + table.detach().sign() * normalize(torch.rand_like(table), dim=1) * self.eps

    def _contrast(self, final: Tensor, other: Tensor) -> Tensor:
        own = torch.arange(len(final), device=final.device)
        unit = normalize(final, dim=1) / self.temperature
        return loss_over_products(softmax_terms, unit, normalize(other, dim=1), own)
