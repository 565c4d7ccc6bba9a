"""More items with a tag, as a goal of `headtail correct`."""

from typing import TYPE_CHECKING, Any

import headtail as ht
from headtail.cli._output import console

if TYPE_CHECKING:
    from headtail.sae.tags import TaggedItems


def towards(tag: str, table: Any, train: "ht.Interactions") -> "tuple[TaggedItems, dict[str, Any]]":
    """Return the tags of items, and what makes `correct` give one of them as many places as the loss allows."""
    from headtail.metrics.built_in import HEADLINES
    from headtail.sae.tags import read_tags

    tagged = read_tags(table, train)
    has = tagged.has[:, tagged.place_of(tag)]

    @ht.metrics.better("lower", title=f"Share of places without {tag}", low=0, high=1, format=".2%")
    def without_tag(top: ht.metrics.TopK) -> Any:
        return 1 - top.mean(has)

    metrics = {**HEADLINES, "without_tag": without_tag}
    return tagged, {"dials": [ht.dials.more_of(tag, table)], "metrics": metrics, "unfairness": "without_tag"}


def say_shares(found: Any, tagged: "TaggedItems", tag: str) -> None:
    """Print what share of the places a tag has before and after, and then the others, those that change most first."""
    before, after = (
        each.lists.sum(tagged.has).sum(axis=0) / each.lists.slots.sum() for each in found.comparison.audits.values()
    )
    rows = [
        {
            "tag": tagged.names[t],
            "before": float(before[t]),
            "after": float(after[t]),
            "change": float(after[t] - before[t]),
        }
        for t in sorted(range(len(after)), key=lambda t: (tagged.names[t] != tag, -abs(after[t] - before[t])))
    ]
    columns = [
        ht.reports.Column("tag", "Tag"),
        ht.reports.Column("before", "As it is", format=".2%"),
        ht.reports.Column("after", "Corrected", format=".2%"),
        ht.reports.Column("change", "Change", format="+.2p"),
    ]
    console().print(ht.reports.Report("Tags", [ht.reports.Table(columns, rows, title="Share of the places, on test")]))
