"""Amplification over history: recommendations beside what the same users chose themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np

from headtail._checks import checked, list_length
from headtail._stats import influence_interval, mean_influence
from headtail.amplification._shares import own_shares
from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.data.popularity import Grouping, as_groups
from headtail.exceptions import InvalidInputError
from headtail.metrics import Metric, TopK, arp, audit, popularity_lift, upd
from headtail.metrics.facts import definition, facts_of
from headtail.reports import Block, Chart, Column, Report, Table, Text
from headtail.reports._markdown import plain
from headtail.reports.report import Rows
from headtail.typing import Floats, IntoFrame

_ABOUT = """Not everything popular in a list is the recommender's doing: people choose popular items themselves. A list
is *calibrated* if popular and rare items have the same shares in it as in the user's own history (Steck, RecSys 2018;
Abdollahpouri et al., RecSys 2020). What a recommender gives to popular items beyond that is its own amplification."""


@dataclass(frozen=True, eq=False, repr=False)
class AmplificationOverHistory(Rows):
    """Exposure by popularity beside the users' own histories; made by :func:`over_history`.

    Attributes
    ----------
    rows : tuple of dict
        One for each recommender and popularity group: ``recommender``, ``group``, ``share`` of the group in a list,
        ``own``, its share in the same user's history (what calibrated lists would give it), both as means over users,
        their ``difference`` with its 95% interval ``low`` to ``high`` over users.
    summary : tuple of dict
        One for each recommender: ``amplified``, the share of users whose list holds more of the most popular group than
        their history; ``popularity_lift`` and ``upd``.
    groups : PopularityGroups
    k, n_users : int
        Length of the lists, and users measured: those with history and a list of every recommender.
    """

    summary: tuple[dict[str, Any], ...]
    groups: PopularityGroups
    k: int
    n_users: int

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as plain values."""
        return super().to_dict() | {"summary": list(self.summary), "groups": self.groups.description}

    def report(self) -> Report:
        """Return the comparison as a document: the shares by popularity, a table, and what the groups are."""
        first = self.rows[0]
        lede = (
            f"**In the top {self.k} of {plain(first['recommender'])} the most popular items get {first['share']:.1%} "
            f"of the places**; of what the same {self.n_users:,} users chose they are {first['own']:.1%}."
        )
        blocks: list[Block] = [
            Text(_ABOUT),
            self.chart(),
            self.table(),
            Text(f"**Groups.** {plain(self.groups.description)}"),
        ]
        return Report("Amplification over users' own histories", blocks, lede)

    def chart(self) -> Chart:
        """Return the share of each popularity group in the lists of each recommender, and in the histories."""
        names, n = self.groups.names, len(self.groups.names)
        rows = [
            {"group": names.index(row["group"]) + 1, "share": row[key], "of": label or row["recommender"]}
            for key, label, part in (("own", "history", self.rows[:n]), ("share", "", self.rows))
            for row in part
        ]
        return Chart(
            "line", rows, x="group", y="share", color="of", y_format=".0%",
            title=f"Shares by popularity, in users' histories and in their top {self.k}", y_label="share of a list",
            x_label="popularity group",
            caption=f"Group 1 is {plain(names[0])}, the most popular items, {n} is {plain(names[-1])}, the rarest. "
            "Calibrated lists would lie on the line of the history. Means over users.",
        )  # fmt: skip

    def table(self) -> Table:
        """Return the most popular group's share in lists and histories, one row a recommender."""
        top = [row for row in self.rows if row["group"] == self.groups.names[0]]
        rows = [a | b for a, b in zip(top, self.summary, strict=True)]
        beside: dict[str, Metric] = {"popularity_lift": popularity_lift, "upd": upd}
        columns = [
            Column("recommender", "Recommender"),
            Column("own", "In histories", format=".1%", note="Share of the most popular group, mean over users."),
            Column("share", f"In the top {self.k}", format=".1%"),
            Column("difference", "Difference", format="+.1p", low="low", high="high", note="With 95% interval."),
            Column(
                "amplified", "Users amplified", format=".0%",
                note="Users whose list holds more of the most popular group than their own history.",
            ),
            *(
                Column(name, facts.title, format=facts.format, note=f"`{name}`: {definition(metric)}", code=name)
                for name, metric in beside.items()
                for facts in [facts_of(metric)]
            ),
        ]  # fmt: skip
        return Table(columns, rows, title="The most popular group")


@checked
def over_history(
    recommendations: "Mapping[str, Recommendations | IntoFrame]",
    train: Interactions,
    *,
    k: int | None = None,
    groups: Grouping = PopularityGroups.equal_mass,
) -> AmplificationOverHistory:
    """Set the popularity of recommendations beside that of the same users' own histories.

    The baseline is calibration: the exposure that each popularity group would get if every user's list held it in the
    proportion of that user's training items. Users without training items, or without a list of every recommender, are
    left out. As lists usually leave out what a user has seen, people who have seen most of the head can be shown little
    of it, so that in a small catalogue the difference understates the amplification.

    Source: Steck, Calibrated recommendations, RecSys 2018. Abdollahpouri et al., The connection between popularity
    bias, calibration, and fairness in recommendation, RecSys 2020.

    Parameters
    ----------
    recommendations : mapping from name to Recommendations or frame
        Lists, as :func:`headtail.audit` takes them; at least one.
    train : Interactions, frame or sparse matrix
        Training interactions: the histories.
    k : int, optional
        Length of the lists; by default 20, or the size of the catalogue.
    groups : PopularityGroups, or function from popularity to one, default PopularityGroups.equal_mass

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 80, n_interactions=1500, rng=0).interactions
    >>> lists = {"popular": ht.baselines.most_popular(train, 5), "random": ht.baselines.random_items(train, 5, rng=0)}
    >>> found = over_history(lists, train, k=5, groups=PopularityGroups.by_mass)
    >>> [row["difference"] > 0 for row in found.rows if row["group"] == "head"]
    [True, False]
    """
    if not recommendations:
        raise InvalidInputError("recommendations is empty; give at least one, such as {'MF': recommend(model, train)}.")
    train = Interactions.of(train, what="train")
    found, k = as_groups(groups, train.popularity), list_length(k, train.n_items)
    metrics: dict[str, Metric] = {"upd": upd, "arp": arp}
    metrics["own popularity"] = lambda top: top.profiles.mean_popularity[top.users]
    for name in found.names:
        metrics |= {f"share of {name}": partial(_share, group=name), f"own {name}": partial(_own_share, group=name)}
    audits = [
        audit(lists, train, k=k, metrics=metrics, groups=found, strict=False, n_bootstrap=0)
        for lists in recommendations.values()
    ]
    users = reduce(np.intersect1d, (one.user_ids[~np.isnan(one.user_values[f"upd@{k}"])] for one in audits))
    if not len(users):
        raise InvalidInputError("no user has training items and a list of every recommender. Check the user ids.")
    rows, summary = [], []
    for recommender, one in zip(recommendations, audits, strict=True):
        _, _, places = np.intersect1d(users, one.user_ids, return_indices=True)
        values = {name.removesuffix(f"@{k}"): each[places] for name, each in one.user_values.items()}
        for name in found.names:
            share, own = values[f"share of {name}"], values[f"own {name}"]
            difference = float((share - own).mean())
            low, high = influence_interval(difference, mean_influence(share - own))
            rows.append({
                "recommender": recommender, "group": name, "share": float(share.mean()), "own": float(own.mean()),
                "difference": difference, "low": float(low), "high": float(high),
            })  # fmt: skip
        first = found.names[0]
        summary.append({
            "recommender": recommender,
            "amplified": float((values[f"share of {first}"] > values[f"own {first}"]).mean()),
            "popularity_lift": float(values["arp"].mean() / values["own popularity"].mean() - 1),
            "upd": float(values["upd"].mean()),
        })  # fmt: skip
    return AmplificationOverHistory(tuple(rows), tuple(summary), found, k, len(users))


def _share(top: TopK, *, group: str) -> Floats:
    return top.mean(top.groups.mask(group))


def _own_share(top: TopK, *, group: str) -> Floats:
    return np.asarray(own_shares(top.profiles)[top.users, top.groups.names.index(group)])
