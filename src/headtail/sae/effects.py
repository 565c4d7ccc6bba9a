"""What pushing one neuron alone does to recommendations."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from headtail._checks import generator, integer
from headtail._progress import progress_bar
from headtail._tensors import without_autocast
from headtail.exceptions import InvalidInputError
from headtail.sae.contrasts import Contrast
from headtail.sae.table import Source
from headtail.typing import RNG, Codes, Floats, Ints

_SCORES = 2**22  # scores of a block: 16 MiB


@torch.no_grad()
@without_autocast
def effects_of(
    source: Source,
    index: Ints,
    size: Floats,
    values: Floats | None = None,
    *,
    k: int,
    n_users: int,
    rng: RNG,
    progress: bool | None,
) -> tuple[Floats, Floats]:
    """Return how the lists' means of values of items (I, V) change, (n, V), and the share of the lists that does, (n,).

    Without values their log popularity is taken.

    A push by `size` of neuron j has an effect on a vector only where j is active or becomes so, and then what it does
    to it is known in closed form: j's direction is added, and where j is new that of the least active neuron goes. So
    only the scores of those vectors are made again: of users, or of items for all users of the sample.
    """
    queries, users, items, columns = _sides(source.contrast)
    of_users, sae, interactions = source.contrast.item_codes is None, source.sae, source.known
    sample = np.sort(generator(rng).permutation(len(users))[: integer("n_users", n_users, low=1)])
    x, items = queries[torch.from_numpy(sample)].to(sae.encoder), items.to(sae.encoder)
    seen = torch.from_numpy(interactions.matrix[users[sample]][:, columns].toarray() > 0).to(x.device)
    values = np.log1p(interactions.popularity)[:, None] if values is None else values
    plain = (x @ items.T).masked_fill_(seen, -torch.inf)
    lists = _Lists(plain, torch.from_numpy(values[columns]).float().to(x.device), k, len(index))
    gain, lost, least = _push(source, x if of_users else items, index, torch.from_numpy(size).to(sae.encoder))
    directions = sae.decoder[torch.from_numpy(index).to(x.device)]
    rows, neurons = gain.nonzero(as_tuple=True)

    def change(of: Tensor, j: Tensor) -> Tensor:
        return gain[of, j, None] * directions[j] - lost[of, j, None] * sae.decoder[least[of]]

    if of_users:
        step = max(1, _SCORES // len(items))
        with progress_bar("effects", len(rows), show=progress) as advance:
            for u, j in zip(torch.split(rows, step), torch.split(neurons, step), strict=True):
                lists.count(plain[u].addmm_(change(u, j), items.T), u, j)  # what is known keeps its -inf
                advance(len(u), "")
    else:
        everyone = torch.arange(len(x), device=x.device)
        with progress_bar("effects", len(index), show=progress) as advance:
            for j in torch.unique(neurons):
                mine = rows[neurons == j]
                scores = plain.index_add(1, mine, x @ change(mine, j.expand(len(mine))).T)
                lists.count(scores, everyone, j.expand(len(x)))
                advance(1, "")
    return (lists.changes / len(sample)).double().numpy(), (lists.moved / len(sample)).double().numpy()


class _Lists:
    """The lists of S users by their scores, (S, I), and how those of n pushes differ from them, summed over users.

    Attributes
    ----------
    changes, moved : Tensors of shape (n, V) and (n,)
        Of the lists' means of `values`, (I, V), and the share of each list that is replaced.
    """

    def __init__(self, scores: Tensor, values: Tensor, k: int, n: int) -> None:
        self.values, self.k = values, min(k, len(values))
        self.items, self.means = self._made(scores)
        self.lengths = (self.items >= 0).sum(dim=1)
        self.changes = torch.zeros(n, values.shape[1], dtype=torch.float32, device="cpu")
        self.moved = torch.zeros(n, dtype=torch.float32, device="cpu")

    def _made(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return lists, -1 where a user has met what would fill them, (S, k), and their means of values, (S, V)."""
        found = scores.topk(self.k)
        there = (found.values > -torch.inf).to(self.values)
        means = embedding_bag(found.indices, self.values, per_sample_weights=there, mode="sum")
        return found.indices.masked_fill(there == 0, -1), means / there.sum(dim=1, keepdim=True).clamp_min(1)

    def count(self, scores: Tensor, u: Tensor, j: Tensor) -> None:
        """Add the lists of users `u` by new scores, (B, I), to the sums of pushes `j`."""
        new, means = self._made(scores)
        lengths, there = self.lengths[u], (new[:, :, None] == self.items[u][:, None]).any(dim=2) & (new >= 0)
        self.changes.index_add_(0, j.cpu(), (means - self.means[u]).cpu().float())
        self.moved.index_add_(0, j.cpu(), ((lengths - there.sum(dim=1)) / lengths.clamp_min(1)).cpu().float())


def _sides(contrast: Contrast) -> tuple[Tensor, Codes, Tensor, Codes]:
    """Return the queries with their users' codes, and the items with theirs, by which lists are made."""
    if contrast.item_codes is None:
        items, users = contrast.recommendable()
        return contrast.real, users, items, np.arange(len(items), dtype=np.int32)
    if contrast.queries is None or contrast.users is None:
        raise InvalidInputError(
            "effects are measured by recommendations, and this contrast of items has no queries of users. Give them to "
            "contrast_items, or make it of a model."
        )
    return contrast.queries, contrast.users, contrast.real, contrast.item_codes


def _push(source: Source, x: Tensor, index: Ints, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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
