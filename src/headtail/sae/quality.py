"""How faithful a sparse autoencoder is: to the vectors, and to what is recommended with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headtail._checks import checked, list_length
from headtail._printable import kind_of
from headtail._stats import influence_interval, mean_influence
from headtail._tensors import as_tensor
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.metrics import audit, ndcg
from headtail.reports import Block, Chart, Figure, Figures, Report, Result
from headtail.sae.autoencoder import TopKSAE, fired
from headtail.sae.rows import blocks, check_vectors
from headtail.training.ranking import recommend
from headtail.typing import Array, ArrayLike2D, Vectors


@dataclass(frozen=True)
class Fidelity:
    """What recommendations keep when queries are replaced by their reconstructions; part of :class:`SAEQuality`.

    Attributes
    ----------
    k : int
    ndcg, ndcg_reconstructed : float
        NDCG@k of the original queries, and of their reconstructions, the error dropped.
    lost, low, high : float
        ``1 - ndcg_reconstructed / ndcg`` and its 95% interval over users, by their paired differences; below 0 where
        the reconstructions rank better.
    overlap : float
        Mean share of a user's k items that is the same with both, from 0 to 1; higher is better.
    n_users : int
        Users in the test part.
    """

    k: int
    ndcg: float
    ndcg_reconstructed: float
    lost: float
    low: float
    high: float
    overlap: float
    n_users: int

    def told(self) -> str:
        """Say in a sentence what lists keep."""
        turn = "lose" if self.lost >= 0 else "gain"
        return (
            f"Lists made from its reconstructions hold {self.overlap:.0%} of the same items and {turn} "
            f"{abs(self.lost):.1%} of NDCG (95% interval of the loss {self.low:.1%} to {self.high:.1%})."
        )

    def figures(self) -> list[Figure]:
        """Return the figures for a report."""
        k = self.k
        return [
            Figure(f"NDCG@{k}", self.ndcg, format=".4f", note="Of the original queries."),
            Figure(f"NDCG@{k}, reconstructed", self.ndcg_reconstructed, format=".4f", note="The error dropped."),
            Figure("NDCG lost", self.lost, self.low, self.high, format=".2%", note="Relative, with its 95% interval."),
            Figure(f"Same items in the top {k}", self.overlap, format=".1%", note="Mean over the test's users."),
        ]


@dataclass(frozen=True, eq=False)
class SAEQuality(Result):
    """How good a sparse autoencoder is; made by :func:`sae_quality`.

    Attributes
    ----------
    n_rows : int
        Vectors it was measured on.
    fvu : float
        Fraction of their variance (about their mean) that is unexplained; 0 is perfect, 1 no better than the mean.
    dead, mean_active : float
        Share of neurons that were active for none of them, and mean number of active neurons of a vector, at most k.
    density : array of shape (N,)
        For each neuron the share of vectors that it was active for.
    fidelity : Fidelity, optional
        What recommendations keep.
    """

    n_rows: int
    fvu: float
    dead: float
    mean_active: float
    density: Array
    fidelity: Fidelity | None = None

    def report(self) -> Report:
        """Return the figures, and how often neurons are active."""
        figures = [
            Figure("FVU", self.fvu, format=".4f", note="Fraction of variance unexplained: 0 is perfect, 1 the mean."),
            Figure("Dead neurons", self.dead, format=".1%", note="Active for none of the vectors."),
            Figure("Mean active", self.mean_active, format=".1f", note="Active neurons of a vector."),
        ]
        parts: list[Block] = [Figures(figures)]
        if self.fidelity is not None:
            parts.append(Figures(self.fidelity.figures()))
        rows = self._histogram()
        title = "How often neurons are active"
        parts.append(Chart("bar", rows, x="share of vectors", y="neurons", title=title))
        lede = f"**The autoencoder explains {1 - self.fvu:.0%} of what tells the vectors apart.**"
        if self.fidelity is not None:
            lede += f" {self.fidelity.told()}"
        return Report("Quality of a sparse autoencoder", parts, lede)

    def _histogram(self) -> list[dict[str, Any]]:
        edges = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
        alive = self.density[self.density > 0]
        counts = np.histogram(alive, bins=edges)[0].tolist()
        names = ["up to .001%", ".001 to .01%", ".01 to .1%", ".1 to 1%", "1 to 10%", "10 to 100%"]
        rows = [{"share of vectors": "none", "neurons": len(self.density) - len(alive)}]
        return rows + [{"share of vectors": n, "neurons": c} for n, c in zip(names, counts, strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures by name, `density` as a list."""
        fidelity = None if self.fidelity is None else dict(vars(self.fidelity))
        return {**vars(self), "density": self.density.tolist(), "fidelity": fidelity}

    def _rows(self) -> list[dict[str, Any]]:
        return [{"neuron": j, "density": share} for j, share in enumerate(self.density.tolist())]


@checked
@torch.no_grad()
def sae_quality(
    sae: TopKSAE,
    activations: ArrayLike2D,
    *,
    vectors: "Vectors | tuple[ArrayLike2D, ArrayLike2D] | None" = None,
    train: Interactions | None = None,
    test: Interactions | None = None,
    k: int | None = None,
) -> SAEQuality:
    """Measure an autoencoder on vectors of a model.

    Parameters
    ----------
    sae : TopKSAE
    activations : array or tensor of shape (n, d)
        Vectors that it was not trained on, ideally.
    vectors : Vectors or (Q, V), optional
        For recommendation fidelity, with `train` and `test`: queries with one row for each user of `train` and items
        with one row for each item, such as :func:`headtail.training.vectors` returns.
    train, test : Interactions, optional
        What is known of the users, which is not recommended, and what they did later. Only the test's users count.
    k : int, optional
        Length of the lists; by default 20, or the size of the catalogue.

    Examples
    --------
    >>> sae = TopKSAE(d_in=2, expansion=2, k=1, rng=0)
    >>> quality = sae_quality(sae, sae.decoder.detach() * 3)  # each input is one neuron's direction
    >>> round(quality.fvu, 3), quality.dead, quality.mean_active
    (0.0, 0.0, 1.0)
    """
    check_vectors("activations", activations, sae.d_in)
    device, n_rows = sae.bias.device, len(activations)
    everything = np.arange(n_rows)
    mean = sum(block.double().sum(dim=0) for block in blocks(activations, everything, "activations")) / n_rows
    error = variance = 0.0
    active = torch.zeros(sae.n_neurons, dtype=torch.int64, device=device)
    for block in blocks(activations, everything, "activations"):
        x = block.to(device)
        code = sae.encode(x)
        error += float((sae.decode(code) - x).double().square().sum())
        variance += float((block.double() - mean).square().sum())
        active += fired(code, sae.n_neurons)
    if not variance:
        raise InvalidInputError(f"all {n_rows} activations are the same vector. Check the layer they were taken from.")
    given = (vectors, train, test)
    if any(part is None for part in given) and any(part is not None for part in given):
        raise InvalidInputError("recommendation fidelity needs vectors, train and test; give all three or none.")
    return SAEQuality(
        n_rows=n_rows,
        fvu=error / variance,
        dead=float((active == 0).double().mean()),
        mean_active=float(active.sum()) / n_rows,
        density=(active.double() / n_rows).cpu().numpy(),
        fidelity=None if vectors is None or train is None or test is None else fidelity(sae, vectors, train, test, k=k),
    )


def fidelity(
    sae: TopKSAE,
    vectors: "Vectors | tuple[ArrayLike2D, ArrayLike2D]",
    train: Interactions,
    test: Interactions,
    *,
    k: int | None = None,
) -> Fidelity:
    """Compare recommendations of queries with those of their reconstructions, the error dropped."""
    k = list_length(k, train.n_items)
    if not isinstance(vectors, tuple) or len(vectors) != 2:
        raise InvalidInputError(f"vectors is {kind_of(vectors)}; give the pair (Q, V).")
    queries, items = (as_tensor(*part).detach() for part in zip(("queries", "items"), vectors, strict=True))
    check_vectors("queries", queries, sae.d_in)
    rebuilt = sae(queries.to(sae.bias.device, torch.float32)).to(queries.device)
    users = np.flatnonzero(test.activity)
    ids = train.user_ids, train.item_ids
    lists = [recommend(Vectors(q, items, *ids), train, codes=users, k=k) for q in (queries.float(), rebuilt)]
    audits = [audit(each, train, test, k=k, metrics={"ndcg": ndcg}, n_bootstrap=0) for each in lists]
    before, after = (found.user_values[f"ndcg@{k}"] for found in audits)
    if not before.mean() > 0:
        raise InvalidInputError(
            f"the original queries rank no test item in the top {k}; there is nothing to lose. Raise k."
        )
    kept = float(after.mean() / before.mean())
    low, high = influence_interval(1 - kept, mean_influence(kept * before - after) / before.mean())
    first, second = (each.items for each in lists)
    same = (first[:, :, None] == second[:, None, :]) & (first >= 0)[:, :, None]
    return Fidelity(
        k=k,
        ndcg=float(before.mean()),
        ndcg_reconstructed=float(after.mean()),
        lost=1 - kept,
        low=float(low),
        high=float(high),
        overlap=float((same.any(axis=2).sum(axis=1) / np.maximum(1, (first >= 0).sum(axis=1))).mean()),
        n_users=len(users),
    )


@checked
@torch.no_grad()
def stability(saes: Sequence[TopKSAE], activations: "ArrayLike2D | None" = None) -> float:
    """Return how much autoencoders of other seeds found the same directions, -1 to 1; higher is better.

    For each decoder row the largest cosine with any row of another autoencoder, averaged over rows and over all ordered
    pairs of autoencoders: 1 when all directions are found again. Random directions do not give 0; compare with
    untrained autoencoders of the same sizes.

    Parameters
    ----------
    saes : sequence of TopKSAE
        At least two, of the same width.
    activations : array or tensor of shape (n, d), optional
        Vectors for which a row counts by how often its neuron fires. Without them all rows count alike, also those of
        neurons that never fire, which stay about where they began and so agree on nothing.

    Examples
    --------
    >>> one = TopKSAE(d_in=4, expansion=2, k=2, rng=0)
    >>> round(stability([one, one]), 3)
    1.0
    """
    if not all(isinstance(sae, TopKSAE) for sae in saes):
        raise InvalidInputError("saes holds what is no TopKSAE. Give autoencoders.")
    widths = sorted({sae.d_in for sae in saes})
    if len(saes) < 2 or len(widths) > 1:
        raise InvalidInputError(
            f"stability compares autoencoders of one width; these are {len(saes)} of the widths {widths}. Give at "
            f"least two, of different seeds."
        )
    rows = [torch.nn.functional.normalize(sae.decoder, dim=1).cpu().double() for sae in saes]
    weights = [
        torch.ones(len(each), dtype=torch.float64, device="cpu") if activations is None else _fired(sae, activations)
        for sae, each in zip(saes, rows, strict=True)
    ]
    if not all(each.any() for each in weights):
        raise InvalidInputError("an autoencoder has no neuron that fires for these activations. Train it on such ones.")
    cosines = []
    for (mine, w), (theirs, _) in permutations(zip(rows, weights, strict=True), 2):
        cosines.append(float(w @ (mine @ theirs.T).amax(dim=1) / w.sum()))
    return float(np.mean(cosines))


def _fired(sae: TopKSAE, activations: ArrayLike2D) -> Tensor:
    """Return for how many vectors each neuron is active, (N,)."""
    check_vectors("activations", activations, sae.d_in)
    found = blocks(activations, np.arange(len(activations)), "activations")
    counts = (fired(sae.encode(block.to(sae.bias.device)), sae.n_neurons) for block in found)
    return torch.stack(list(counts)).sum(dim=0).double().cpu()
