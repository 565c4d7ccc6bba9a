"""Amplification by dimension: the same model trained at several embedding dimensions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headtail._checks import checked, integer, list_length
from headtail._progress import progress_bar
from headtail.amplification._shares import curves, factors_of, head_share, of_first_direction, of_head, own_shares
from headtail.data import Interactions, PopularityGroups
from headtail.data.popularity import Grouping, as_groups
from headtail.exceptions import InvalidInputError
from headtail.metrics import Profiles
from headtail.reports import Chart, Column, Report, Table, Text
from headtail.reports.report import Rows
from headtail.spectral import spectrum, top_item_bound
from headtail.training import recommend

_ABOUT = """Fewer dimensions leave fewer directions beside the first one, which follows popularity, so that it makes up
more of the scores: the *amplification effect* of a low rank (Lin et al., WSDM 2025). Where it amplifies, more of the
recommended places go to the head than users' own histories hold of it."""


@dataclass(frozen=True, repr=False)
class AmplificationByDimension(Rows):
    """What the embedding dimension does to popularity; made by :func:`by_dimension`.

    Attributes
    ----------
    rows : tuple of dict
        One for each dimension: ``dimension``; ``energy``, the share of sigma_1 in the sum of all squared scores;
        ``ratio``, sigma_1 / sigma_2 (None for one dimension); ``cosine`` of the first direction with popularity;
        ``head_share`` of the slots of the top-k lists; ``top_item_share``, users whose highest score is that of the
        most popular item, seen or not; ``top_item_bound``, the smallest such share that the spectrum allows.
    own_head_share, data_head_share : float
        The head's share in a user's training items, mean over users, and of all training interactions.
    k : int
        Length of the lists.
    description : str
        What the head is.
    """

    own_head_share: float
    data_head_share: float
    k: int
    description: str

    def report(self) -> Report:
        """Return the figures as a document: three charts and a table."""
        first, last = self.rows[0], self.rows[-1]
        lede = (
            f"**With {first['dimension']} dimension{'s' * (first['dimension'] != 1)} the most popular items get "
            f"{first['head_share']:.0%} of the places, and {last['head_share']:.0%} with {last['dimension']}**; of "
            f"what a user chose they are {self.own_head_share:.0%}. The first direction of the scores, which follows "
            f"popularity, has {first['energy']:.0%} and {last['energy']:.0%} of their energy."
        )
        return Report("Amplification by dimension", [Text(_ABOUT), *self.charts(), self.table()], lede)

    def charts(self) -> list[Chart]:
        """Return the pictures: the first direction, the head's exposure, and the most popular item in first place."""
        options: dict[str, Any] = {"x": "dimension", "x_scale": "log", "x_label": "embedding dimension"}
        return [
            of_first_direction(self.rows, **options),
            of_head(
                self.rows, own=self.own_head_share, k=self.k, reference=self.data_head_share,
                caption="*History* is the head's share in a user's own training items, mean over users; the dashed "
                "line is its share of all training interactions.", **options,
            ),
            curves(
                self.rows, series={"top_item_share": "measured", "top_item_bound": "lower bound"}, y_format=".0%",
                title="Users whose highest score is the most popular item's", y_label="share of users",
                caption="Seen items are not left out here. The bound follows from the singular values and vectors "
                "alone, for the worst item; at 0 it says nothing.", **options,
            ),
        ]  # fmt: skip

    def table(self) -> Table:
        """Return all figures, one row a dimension."""
        columns = [
            Column("dimension", "Dimension", format="d"),
            Column("energy", "Energy of sigma 1", format=".1%", note="Share in the sum of all squared scores."),
            Column("ratio", "sigma 1 / sigma 2", format=".2f"),
            Column("cosine", "Cosine with popularity", format=".3f"),
            Column(
                "head_share", f"Head, top {self.k}", format=".1%",
                note=f"Share of the places. The head holds {self.own_head_share:.1%} of a user's own history and "
                f"{self.data_head_share:.1%} of the training interactions. {self.description}",
            ),
            Column("top_item_share", "Most popular item first", format=".1%", note="Share of users, seen items kept."),
            Column("top_item_bound", "Lower bound", format=".1%", note="What the spectrum alone makes certain."),
        ]  # fmt: skip
        return Table(columns, self.rows, title="By dimension")


@checked
def by_dimension(
    make: Callable[[int, int], Any],
    interactions: Interactions,
    dims: Iterable[int] = (8, 16, 32, 64, 128, 256, 512),
    *,
    k: int | None = None,
    groups: Grouping = PopularityGroups.by_mass,
    seed: int = 0,
    progress: bool | None = None,
) -> AmplificationByDimension:
    """Train a model at several embedding dimensions and measure how much of it is popularity.

    Source: Lin et al., WSDM 2025, the amplification effect of low rank.

    Parameters
    ----------
    make : callable
        ``make(dimension, seed)`` returns a trained model, Vectors or a pair of factors with one query for each user.
    interactions : Interactions, frame or sparse matrix
        What they are trained on.
    dims : iterable of int, default (8, 16, 32, 64, 128, 256, 512)
        Embedding dimensions, each once. The bound says something only below about 8: add 1, 2 and 4 to see it.
    k : int, optional
        Length of the lists, whose exposure is measured, without seen items; by default 20 or all items.
    groups : PopularityGroups, or function from popularity to one, default PopularityGroups.by_mass
        What the head is: its first group.
    seed : int, default 0
        Given to `make` at every dimension.
    progress : bool, optional

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 80, n_interactions=1500, rng=0).interactions
    >>> def make(dimension, seed):
    ...     model = ht.models.ALS(train.n_users, train.n_items, dimension, rng=seed)
    ...     ht.fit(model, train, epochs=6, progress=False)
    ...     return model
    >>> found = by_dimension(make, train, [1, 16], k=5)
    >>> found.rows[0]["energy"] > found.rows[1]["energy"], found.rows[0]["head_share"] > found.rows[1]["head_share"]
    (True, True)
    """
    dimensions = sorted(integer("dims", dimension, low=1) for dimension in dims)
    if not dimensions or len(set(dimensions)) < len(dimensions):
        raise InvalidInputError(f"dims={dimensions} is empty or repeats a dimension; give each once, such as (8, 64).")
    interactions = Interactions.of(interactions)
    k = list_length(k, interactions.n_items)
    found = as_groups(groups, interactions.popularity)
    rows = []
    with progress_bar("dimensions", len(dimensions), show=progress) as advance:
        for dimension in dimensions:
            made = factors_of(make(dimension, seed), interactions)
            rows.append({"dimension": dimension, **_measure(made, interactions, found, k)})
            advance(1, f"dimension {dimension}, head {rows[-1]['head_share']:.1%}")
    return AmplificationByDimension(
        rows=tuple(rows),
        own_head_share=float(np.nanmean(own_shares(Profiles(interactions, found))[:, 0])),
        data_head_share=float(found.shares(interactions.popularity)[0]),
        k=k,
        description=found.description,
    )


def _measure(made: Any, interactions: Interactions, groups: PopularityGroups, k: int) -> dict[str, Any]:
    popularity = interactions.popularity
    decomposed = spectrum(*made, popularity=popularity)
    lists = recommend(made, interactions, k=k)
    first = recommend(made, interactions, k=1, exclude_seen=False)
    return {
        **decomposed.first,
        "head_share": head_share(lists.items, groups),
        "top_item_share": float((first.items[:, 0] == popularity.argmax()).mean()),
        "top_item_bound": top_item_bound(decomposed),
    }
