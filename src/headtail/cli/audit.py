"""``headtail audit``."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from headtail.cli._app import AtLeastOne, Json, Output, Titles, app
from headtail.cli._inputs import ids
from headtail.cli._output import check_output, complain, show
from headtail.cli._tables import PLAIN, Tables
from headtail.exceptions import InvalidInputError


@app.command
def audit(
    recs: Path,
    train: Path,
    *,
    test: Path | None = None,
    users: Path | None = None,
    titles: Titles = None,
    catalogue: Path | None = None,
    k: Annotated[list[AtLeastOne] | None, Parameter(alias="-k", negative="")] = None,
    groups: Literal["mass", "rank", "equal-mass"] = "mass",
    strict: bool = True,
    n_bootstrap: int = 200,
    fail_if: Annotated[list[str] | None, Parameter(negative="")] = None,
    baseline: Path | None = None,
    output: Output = None,
    json: Json = False,
    tables: Tables = PLAIN,
) -> int:
    """Measure popularity bias of a file of recommendations.

    Parameters
    ----------
    recs
        Recommendations: user, item, and rank (1 = first) or score.
    train
        The training interactions.
    test
        Held-out interactions, for accuracy.
    users
        A user column and others; each of those splits the users into groups that are measured apart.
    catalogue
        File with the ids of all items, if more can be recommended than the training interactions show.
    k
        Cut-off; may be repeated. 10 and 20, as far as the lists reach.
    groups
        Head, mid and tail by share of interactions or of items, or five groups of equal interactions.
    strict
        Refuse users without training history and test interactions that are in training; otherwise note them.
    n_bootstrap
        Resamples for the intervals; 0 for none.
    fail_if
        Exit with status 1 if this holds, such as "gini@10 > 0.9", or "gini@10 rises", "ndcg@10 falls by 2%" from the
        baseline beyond chance, and with 2 if it cannot be judged, as where the metric is NaN; may be repeated.
    baseline
        Report in JSON of an earlier audit, with which conditions of a change compare.
    """
    from headtail import metrics
    from headtail.data import PopularityGroups, read_table
    from headtail.metrics.gating import read_baseline

    check_output(output)
    groupings: dict[str, Any] = {
        "mass": PopularityGroups.by_mass,
        "rank": PopularityGroups.by_rank,
        "equal-mass": PopularityGroups.equal_mass,
    }
    _check_conditions(fail_if or [], k, groupings[groups] if test else None, baseline, n_bootstrap)
    earlier = None if baseline is None else read_baseline(baseline)
    result = metrics.audit(
        tables.lists(recs),
        tables.interactions(train, titles=titles),
        None if test is None else tables.interactions(test),
        k=k,
        users=None if users is None else read_table(users),
        groups=groupings[groups],
        catalogue=None if catalogue is None else ids(catalogue, "item_id"),
        strict=strict,
        n_bootstrap=n_bootstrap,
    )
    show(result, output, json)
    judged = metrics.gate(result, fail_if or [], baseline=earlier)
    for judgement in judged:
        if judgement.met:
            complain("failed", judgement.text)
    return int(any(judgement.met for judgement in judged))


def _check_conditions(
    conditions: list[str], cutoffs: list[int] | None, grouping: Any, baseline: Path | None, n_bootstrap: int
) -> None:
    """Refuse a condition that cannot be read, or is of a metric or cut-off that this audit will not have."""
    import re

    from headtail.metrics.built_in import metrics_of
    from headtail.metrics.gating import parse

    metrics = metrics_of(None if grouping is None else grouping([5, 4, 3, 2, 1]).names, vectors=False)
    trends = 0
    for text in conditions:
        found = cutoffs or [int(k) for k in re.findall(r"@(\d+)", text)[:1]]
        names = [f"{metric}@{k}" for metric in metrics for k in found]
        trends += parse(text, names, baseline=baseline is not None).trend
    if baseline is not None and not trends:
        raise InvalidInputError('--baseline is there for conditions of a change. Give one: --fail-if "gini@10 rises".')
    if trends and not n_bootstrap:
        raise InvalidInputError("--n-bootstrap 0 leaves out what tells a change from chance. Leave it out.")
