"""``headtail audit``."""

import math
import operator
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter

from headtail.cli._app import AtLeastOne, Json, Output, Titles, app
from headtail.cli._inputs import ids
from headtail.cli._output import check_output, complain, show
from headtail.cli._tables import PLAIN, Tables
from headtail.exceptions import InvalidInputError, MissingColumnError


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
        Exit with status 1 if this holds, such as "gini@10 > 0.9", and with 2 if the metric is undefined here (NaN); may
        be repeated.
    """
    from headtail import metrics
    from headtail.data import PopularityGroups, read_table

    check_output(output)
    groupings: dict[str, Any] = {
        "mass": PopularityGroups.by_mass,
        "rank": PopularityGroups.by_rank,
        "equal-mass": PopularityGroups.equal_mass,
    }
    conditions = [_condition(text, k, groupings[groups] if test else None) for text in fail_if or ()]
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
    undefined = [condition for condition in conditions if result[condition.name] != result[condition.name]]
    met = [condition for condition in conditions if condition.holds(result[condition.name])]
    for condition in met:
        complain("failed", condition.text)
    if undefined:
        text, name = undefined[0].text, undefined[0].name
        raise InvalidInputError(
            f"--fail-if {text!r} cannot be judged: {name} is undefined (NaN) for this input. It is: "
            f"{result.definitions[name.partition('@')[0]]}"
        )
    return 1 if met else 0


class _Condition(NamedTuple):
    """What ``--fail-if`` asks, such as ``gini@10 > 0.9``."""

    text: str
    name: str
    sign: str
    threshold: float

    def holds(self, value: float) -> bool:
        """Whether a value of the metric meets the condition; NaN meets none."""
        compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[self.sign]
        return bool(compare(value, self.threshold))


def _condition(text: str, cutoffs: "Sequence[int] | None", grouping: Any) -> _Condition:
    """Parse a condition, and refuse one of a metric or a cut-off that this audit will not have."""
    from headtail._checks import nearest
    from headtail.metrics.built_in import metrics_of

    match = re.fullmatch(r"\s*(\w+)@(\d+)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", text)
    threshold = float(match[4]) if match else math.nan
    if match is None or not math.isfinite(threshold):
        raise InvalidInputError(f'--fail-if {text!r} is not of the form "gini@10 > 0.9" (<, <=, > or >=).')
    name = f"{match[1]}@{int(match[2])}"
    metrics = metrics_of(None if grouping is None else grouping([5, 4, 3, 2, 1]).names, vectors=False)
    names = [f"{metric}@{k}" for metric in metrics for k in cutoffs or [int(match[2])]]
    if name not in names:
        raise MissingColumnError(f"--fail-if {text!r}: this audit has no {name!r}. {nearest(name, names)}")
    return _Condition(text, name, match[3], threshold)
