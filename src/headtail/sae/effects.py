"""What pushing one neuron alone does to recommendations, and how much of a push a user should get."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headtail._checks import checked, generator, integer, number
from headtail._progress import progress_bar
from headtail._tensors import without_autocast
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.sae.synthetic import Contrast
from headtail.sae.table import Source, list_popularity
from headtail.typing import RNG, Floats

_SCORES = 2**22  # scores of a block: 16 MiB


@torch.no_grad()
@without_autocast
def effects_of(
    source: Source, index: NDArray[np.int64], size: Floats, *, k: int, n_users: int, rng: RNG, progress: bool | None
) -> tuple[Floats, Floats]:
    """Return the change of the lists' mean log popularity, and the share of the lists that changes, (n,) each.

    A push by `size` of neuron j has an effect on a user only where j is active or becomes so, and then what it does to
    the vector is known in closed form: j's direction is added, and where j is new that of the least active neuron
    goes. So only those pairs of user and neuron are scored again.
    """
    items, users = source.contrast.recommendable()
    interactions = source.interactions
    if interactions is None:
        raise InvalidInputError("measuring effects needs the interactions; give them to find_neurons.")
    n_users = integer("n_users", n_users, low=1)
    sample = np.sort(generator(rng).permutation(len(users))[:n_users])
    sae = source.sae
    x = source.contrast.real[torch.from_numpy(sample)].to(sae.encoder)
    items = items.to(sae.encoder)
    seen = _seen_mask(interactions.matrix[users[sample]], x)
    k = min(k, len(items))
    levels = torch.from_numpy(np.log1p(interactions.popularity)).to(sae.encoder)
    lists = (x @ items.T).masked_fill_(seen, -torch.inf).topk(k).indices  # (S, k)
    usual = levels[lists].mean(dim=1)
    gain, lost, least = _push(source, x, index, torch.from_numpy(size).to(sae.encoder))
    changes, moved = torch.zeros(2, len(index), dtype=torch.float32)
    rows, columns = gain.nonzero(as_tuple=True)
    step = max(1, _SCORES // len(items))
    with progress_bar("effects", len(rows), show=progress) as advance:
        for u, j in zip(torch.split(rows, step), torch.split(columns, step), strict=True):
            pushed = x[u] + gain[u, j, None] * sae.decoder[torch.from_numpy(index).to(u.device)[j]]
            pushed -= lost[u, j, None] * sae.decoder[least[u]]
            new = (pushed @ items.T).masked_fill_(seen[u], -torch.inf).topk(k).indices
            kept = (new[:, :, None] == lists[u][:, None]).any(dim=2).float().mean(dim=1)
            changes.index_add_(0, j.cpu(), (levels[new].mean(dim=1) - usual[u]).cpu().float())
            moved.index_add_(0, j.cpu(), (1 - kept).cpu().float())
            advance(len(u), "")
    return (changes / len(sample)).double().numpy(), (moved / len(sample)).double().numpy()


def _seen_mask(matrix: object, like: Tensor) -> Tensor:
    return torch.from_numpy(matrix.toarray() > 0).to(like.device)  # type: ignore[attr-defined]


def _push(source: Source, x: Tensor, index: NDArray[np.int64], size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return by how much each neuron's activation rises and that of the least active one falls, and which that is.

    Shapes (S, n), (S, n) and (S,).
    """
    pre = source.sae.pre_activations(x)
    code = source.sae.select(pre)
    threshold, place = code.values.min(dim=1, keepdim=True)
    least = code.neurons.gather(1, place)[:, 0]
    chosen = torch.from_numpy(index).to(x.device)
    active = torch.zeros_like(pre, dtype=torch.bool).scatter_(1, code.neurons, code.values > 0)[:, chosen]
    new = pre[:, chosen] + size
    enters = ~active & (new > threshold) & (new > 0)
    gain = torch.where(active, size.expand_as(new), torch.where(enters, new, 0.0))
    return gain, torch.where(enters, threshold, 0.0), least


class Excess(nn.Module):
    """How far a user's recommendations exceed the user's own taste for popular items, read off the vector.

    ``max(0, x . weight + bias)``, scaled so that its mean over the real users is 1; made by :func:`personal_strength`.

    Parameters
    ----------
    weight : Tensor of shape (d,)
    bias : float
    r_squared : float
        Share of the excess's variation between users that the vector tells, 0 to 1.

    Examples
    --------
    >>> Excess(torch.tensor([1.0, 0.0]), bias=-1.0)(torch.tensor([[3.0, 5.0], [0.0, 5.0]]))
    tensor([[2.],
            [0.]])
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: float, r_squared: float = float("nan")) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().clone())
        self.register_buffer("bias", weight.new_tensor(bias))
        self.r_squared = r_squared

    def forward(self, x: Tensor) -> Tensor:
        """Return one number at least 0 for each vector, (..., 1) of (..., d)."""
        return (x.to(self.weight.dtype) @ self.weight + self.bias).relu()[..., None]


@checked
def personal_strength(contrast: Contrast, interactions: Interactions, *, k: int = 10, ridge: float = 1e-3) -> Excess:
    """Return the strength that steers a user the more, the more popular the recommendations are than the history.

    The excess of a user is the mean log(1 + popularity) of the k recommendations less that of the history. It is
    regressed on the user's vector, so that a steered model needs nothing but the vector, for new users too.

    Parameters
    ----------
    contrast : Contrast
        With item vectors and codes of the real users, as :func:`~headtail.sae.contrast` makes it.
    interactions : Interactions
        Training interactions.
    k : int, default 10
        Length of the lists.
    ridge : float, default 1e-3
        Penalty of the regression, relative to the mean variance of the vectors.

    Returns
    -------
    Excess
        For `strength` of :func:`~headtail.sae.steer`.

    Raises
    ------
    InvalidInputError
        If the contrast has no item vectors, or nobody's recommendations are more popular than the history.

    Examples
    --------
    >>> from headtail.datasets import power_law
    >>> from headtail import fit
    >>> from headtail.models import ALS
    >>> from headtail.sae import contrast
    >>> train = power_law(200, 50, n_interactions=1500, rng=0).interactions
    >>> model = ALS(200, 50, 4, rng=0)
    >>> _ = fit(model, train)
    >>> found = contrast(model, train)
    >>> strength = personal_strength(found, train)
    >>> round(float(strength(found.real).mean()), 4)
    1.0
    """
    recommended, users = list_popularity(contrast, interactions, k), contrast.recommendable()[1]
    if (interactions.activity[users] == 0).any():
        raise InvalidInputError(
            "interactions lacks the histories of users of the contrast; give those that it was made from."
        )
    taste = (interactions.matrix @ np.log1p(interactions.popularity))[users] / interactions.activity[users]
    excess = recommended - taste
    x = contrast.real.double().numpy()
    centered = x - x.mean(axis=0)
    gram = centered.T @ centered
    penalty = number("ridge", ridge, low=0) * np.trace(gram) / len(gram)
    weight = np.linalg.lstsq(gram + penalty * np.eye(len(gram)), centered.T @ (excess - excess.mean()), rcond=None)[0]
    fitted = centered @ weight + excess.mean()
    mean = np.maximum(fitted, 0).mean()
    if not mean > 0:
        raise InvalidInputError(
            "nobody's recommendations are more popular than the user's history, so that there is nothing to correct."
        )
    bias = (excess.mean() - x.mean(axis=0) @ weight) / mean
    unexplained = ((excess - fitted) ** 2).sum() / max(((excess - excess.mean()) ** 2).sum(), np.finfo(float).tiny)
    return Excess(torch.from_numpy(weight / mean).to(contrast.real), float(bias), r_squared=1 - float(unexplained))
