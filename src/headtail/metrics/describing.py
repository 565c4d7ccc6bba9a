"""Description of interactions, before any recommender."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headtail._checks import checked
from headtail._stats import gini
from headtail.data import Interactions, PopularityGroups
from headtail.data.interactions import rating_notes, read_pairs
from headtail.exceptions import InvalidInputError
from headtail.metrics.charts import concentration_chart, exposure_chart, groups_text, top_percent
from headtail.reports import Column, Figure, Figures, Report, Result, Table, Text
from headtail.typing import IntoFrame, Ints

_LISTED = 10  # most popular items


@dataclass(frozen=True, eq=False, repr=False)
class Description(Result):
    """Size, density and popularity of interactions; made by :func:`describe`.

    Attributes
    ----------
    n_users, n_items, n_interactions : int
    density : float
        Interactions over all (user, item) pairs.
    gini : float
        Inequality of popularity over the items, 0 to 1.
    activity : dict of str to float
        Least, median and most interactions of a user.
    popularity : dict of str to float
        Least, median and most interactions of an item.
    groups : PopularityGroups
    most_popular : tuple of dict
        Items with most interactions: `item_id`, `title`, `interactions`, `share`.
    columns : tuple of str
        What is known of each interaction beside its user and item.
    notes : tuple of str
        What a reader should know about the input.
    """

    n_users: int
    n_items: int
    n_interactions: int
    density: float
    gini: float
    activity: dict[str, float]
    popularity: dict[str, float]
    groups: PopularityGroups
    most_popular: tuple[dict[str, Any], ...]
    columns: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as JSON-able values."""
        return {"kind": "description"} | vars(self) | {
            "groups": {"description": self.groups.description, "items": self.groups.sizes},
            "most_popular": list(self.most_popular), "columns": list(self.columns), "notes": list(self.notes),
        }  # fmt: skip

    def _rows(self) -> list[dict[str, Any]]:
        figures = ("n_users", "n_items", "n_interactions", "density", "gini")
        return [{"figure": name, "value": float(getattr(self, name))} for name in figures]

    def report(self) -> Report:
        """Return the description as a page."""
        items, popularity = np.array(list(self.groups.sizes.values())), self.groups.popularity
        (n_top, held), half = top_percent(popularity), np.median(popularity)
        shares = {
            "items": dict(zip(self.groups.names, (items / items.sum()).tolist(), strict=True)),
            "interactions": dict(zip(self.groups.names, self.groups.shares(popularity).tolist(), strict=True)),
        }
        spread = [
            {"of": "interactions of a user", **self.activity},
            {"of": "interactions of an item", **self.popularity},
        ]
        return Report(
            f"{self.n_interactions:,} interactions of {self.n_users:,} users with {self.n_items:,} items",
            [
                Figures([
                    Figure("Users", self.n_users, format=",d"),
                    Figure("Items", self.n_items, format=",d"),
                    Figure("Interactions", self.n_interactions, format=",d"),
                    Figure("Density", self.density, format=".2%", note="Interactions over all (user, item) pairs."),
                    Figure("Gini of popularity", self.gini, note="Inequality of popularity over the items: 0 if "
                           "all have as many interactions, near 1 if a few hold them all."),
                ]),
                Text(" ".join([f"Known of each interaction: {', '.join(('user_id', 'item_id', *self.columns))}.",
                               *self.notes])),
                Table([Column("of", "Range of"), Column("least", format=",.0f"), Column("median", format=",.0f"),
                       Column("most", format=",.0f")], spread),
                exposure_chart(shares, "Which share of the items holds which share of the interactions.",
                               "Items and interactions by popularity group"),
                concentration_chart({"interactions": popularity}, "Who holds the interactions"),
                Text(groups_text(self.groups)),
                Table([Column("title", "Item"), Column("interactions", "Interactions", format=",d"),
                       Column("share", "Share", format=".2%")], self.most_popular, title="Most popular items"),
            ],
            f"**{held:.0%}** of the interactions are with the {f'{n_top:,} ' * (n_top > 1)}most popular of "
            f"{self.n_items:,} items ({n_top / self.n_items:.0%}); "
            f"half of the items have {half:,.0f}{' or fewer' * bool(popularity.min() < half)} each.",
        )  # fmt: skip


@checked
def describe(interactions: "Interactions | IntoFrame") -> Description:
    """Describe interactions: size, density, how unequal popularity is, and the most popular items.

    Parameters
    ----------
    interactions : Interactions or frame

    Examples
    --------
    >>> frame = pl.DataFrame({"user_id": [1, 1, 2, 3], "item_id": ["a", "b", "a", "a"]})
    >>> description = describe(Interactions.from_frame(frame))
    >>> description.gini, description.most_popular[0]["interactions"]
    (0.25, 3)
    """
    interactions, columns = read_pairs(interactions, "interactions")
    notes = rating_notes(interactions, columns, "the interactions")
    if not len(interactions):
        raise InvalidInputError("interactions is empty; there is nothing to describe.")
    popularity = interactions.popularity
    top = np.argsort(-popularity, kind="stable")[:_LISTED]
    titles = interactions.item_labels

    def spread(counts: Ints) -> dict[str, float]:
        return {"least": float(counts.min()), "median": float(np.median(counts)), "most": float(counts.max())}

    return Description(
        n_users=interactions.n_users,
        n_items=interactions.n_items,
        n_interactions=len(interactions),
        density=len(interactions) / (interactions.n_users * interactions.n_items),
        gini=gini(popularity),
        activity=spread(interactions.activity),
        popularity=spread(popularity),
        groups=PopularityGroups.by_mass(popularity),
        most_popular=tuple(
            {
                "item_id": interactions.item_ids[i : i + 1].tolist()[0],
                "title": str(titles[i]),
                "interactions": int(popularity[i]),
                "share": float(popularity[i] / len(interactions)),
            }
            for i in top
        ),
        columns=columns,
        notes=tuple(notes),
    )
