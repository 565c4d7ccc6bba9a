"""The built-in metrics, and which of them an audit measures."""

from collections.abc import Iterable
from functools import partial

from headtail.metrics import accuracy, diversity, exposure, popularity
from headtail.metrics.facts import facts_of
from headtail.metrics.topk import Metric

BUILT_IN: dict[str, Metric] = {
    name: metric
    for module in (accuracy, exposure, popularity, diversity)
    for name, metric in vars(module).items()
    if not name.startswith("_") and facts_of(metric).family
}
HEADLINES: dict[str, Metric] = {name: metric for name, metric in BUILT_IN.items() if facts_of(metric).headline}


def metrics_of(targets: Iterable[str] | None, extras: Iterable[str] = ()) -> dict[str, Metric]:
    """Return what an audit measures: `targets` are the groups of the test's items, None without a test.

    `extras` are what it has besides that metrics may need: "vectors", "times".
    """
    there = {"popularity", "catalogue", *extras} | (set() if targets is None else {"targets"})
    found = {name: metric for name, metric in BUILT_IN.items() if there.issuperset(facts_of(metric).needs)}
    by_target = {
        f"{metric.__name__}_{group}": partial(metric, group=group)
        for metric in (accuracy.ndcg, accuracy.recall)
        for group in targets or ()
    }
    first = {name: metric for name, metric in found.items() if facts_of(metric).family == "accuracy"}
    return first | by_target | found
