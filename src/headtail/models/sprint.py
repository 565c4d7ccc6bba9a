"""SPRINT."""

from typing import Any

import torch
from torch import Tensor

from headtail._checks import checked, number
from headtail.models.sasrec import SASRec
from headtail.typing import RNG, Vectors


class SPRINT(SASRec):
    """SASRec with a penalty on what lets few items, the popular ones, have all the say in a deep transformer.

    The scores' spectral norm is at most the product of those of all attention matrices and weights. In each block::

        attention_weight * log( log sum over columns of exp(column sum) ) + inner_weight * ( log ||W_1|| + log ||W_2|| )

    The columns are those of the attention matrices of all sequences and heads, without places that hold no item; the
    soft maximum of their sums bounds the matrices' spectral norms, as rows sum up to 1. ``||W||`` is that of a
    feed-forward layer, exact here, where the authors take a power step. :func:`headtail.fit` adds the sum over the
    blocks to the loss and reports it as ``auxiliary``.

    Source: Yang et al., The pitfall of scaling up: uncovering and mitigating popularity bias amplification in scaling
    transformer-based recommenders, KDD 2026, equations 4.3 to 4.5 (tau = 1).

    Parameters
    ----------
    n_items : int
    attention_weight, inner_weight : float, default 2.5 and 1e-3
        At least 0. The authors look between 2.5 and 10, and between 1e-4 and 0.1.
    rng : seed or generator, default 0
    **sizes
        As of :class:`SASRec`.

    Examples
    --------
    >>> model = SPRINT(n_items=6, max_length=4, embedding_dim=8, rng=0)
    >>> _, loss = model.forward_with_loss(torch.tensor([[-1, -1, 3, 5], [-1, -1, -1, -1]]))
    >>> bool(loss > 0)
    True
    """

    @checked
    def __init__(
        self, n_items: int, *, attention_weight: float = 2.5, inner_weight: float = 1e-3, rng: RNG = 0, **sizes: Any
    ) -> None:
        super().__init__(n_items, rng=rng, **sizes)
        self.attention_weight = number("attention_weight", attention_weight, low=0)
        self.inner_weight = number("inner_weight", inner_weight, low=0)
        self.config |= {"attention_weight": self.attention_weight, "inner_weight": self.inner_weight}

    def forward_with_loss(self, sequences: Tensor, *_: Tensor) -> tuple[Vectors, Tensor]:
        """Return the states (B, L, d) at all positions of sequences (B, L), the items (I, d), and the penalty."""
        x, allowed = self._embed(sequences)
        real = allowed[:, :, -1:].mT  # (B, 1, L, 1): the last place sees them all
        loss = x.new_zeros(())
        block: Any
        for block in self.blocks:
            looked_at = torch.where(real, block.attention(x, allowed), 0).sum(dim=2)  # (B, H, L)
            most = looked_at.masked_fill(~real[..., 0], -torch.inf).flatten().logsumexp(dim=0)
            weights = torch.stack([block.inner.weight, block.outer.weight.mT])
            norms = torch.linalg.matrix_norm(weights.to(torch.promote_types(weights.dtype, torch.float32)), 2)
            norms = norms.clamp_min(torch.finfo(norms.dtype).tiny)  # of weights that are all 0, too
            loss = loss + self.attention_weight * most.log() + self.inner_weight * norms.log().sum()
            x = block(x, allowed)
        return Vectors(self.query(self.norm(x)), self.item(self.items)), loss
