"""What pushing one neuron alone does to recommendations."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headtail._checks import generator, integer
from headtail._progress import progress_bar
from headtail._tensors import without_autocast
from headtail.exceptions import InvalidInputError
from headtail.sae.table import Source
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
