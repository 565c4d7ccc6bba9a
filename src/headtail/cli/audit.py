"""``headtail audit``."""

import re
import shlex
from contextlib import chdir
from dataclasses import replace
from json import loads
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import CycloptsError, Parameter

import headtail as ht
from headtail._files import refuse_empty
from headtail.cli._app import AtLeastOne, Json, Output, Titles, Whole, app, with_example
from headtail.cli._evidence import command_of, differences, fingerprints, folder_of, other_files, usual
from headtail.cli._output import check_output, complain, say, show
from headtail.cli._tables import PLAIN, Tables
from headtail.exceptions import HeadtailError, InvalidInputError, MissingColumnError, UnreadableFileError


@with_example("headtail audit recs.csv train.csv --test test.csv -o audit.html")
def audit(
    recs: Path | None = None,
    train: Path | None = None,
    *,
    test: Path | None = None,
    users: Path | None = None,
    items: Path | None = None,
    by: Annotated[list[str] | None, Parameter(negative="")] = None,
    titles: Titles = None,
    catalogue: Path | None = None,
    k: Annotated[list[AtLeastOne] | None, Parameter(alias="-k", negative="")] = None,
    groups: Literal["mass", "rank", "equal-mass"] = "mass",
    as_of_event: Annotated[bool, Parameter(negative="")] = False,
    strict: bool = True,
    n_bootstrap: Whole = 200,
    fail_if: Annotated[list[str] | None, Parameter(negative="")] = None,
    baseline: Path | None = None,
    again: Path | None = None,
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
        The training interactions; without them the lists alone are measured.
    test
        Held-out interactions, for accuracy.
    users
        A user column and others; each of those splits the users into groups that are measured apart.
    items
        An item column and others, of which --by names some.
    by
        Column of --items, such as genre: exposure by its values; may be repeated.
    catalogue
        File with the ids of all items, if more can be recommended than the training interactions show.
    k
        Cut-off; may be repeated. 10 and 20, as far as the lists reach.
    groups
        Head, mid and tail by share of interactions or of items, or five groups of equal interactions.
    as_of_event
        Measure popularity as of each user's first test interaction too; needs times.
    strict
        Refuse users and recommended items that training lacks, and test interactions that are in training; otherwise
        note them.
    n_bootstrap
        0 leaves out all intervals.
    fail_if
        Exit with status 1 if this holds, such as "gini@10 > 0.9", or "gini@10 rises", "ndcg@10 falls by 2%" from the
        baseline beyond chance, and with 2 if it cannot be judged, as where the metric is NaN; may be repeated.
    baseline
        What to compare with: other lists for the same data, such as the other arm of an A/B test; or the report in JSON
        of an earlier audit, with which conditions of a change compare.
    again
        JSON report of an earlier audit, in place of all else: run its command again, where its files are (here, or the
        folder of the report or one above it), and say whether the report is equal byte for byte (status 0) or what
        differs (1).
    """
    given = {name: value for name, value in locals().items() if name not in _BESIDE}
    from headtail.metrics.attributes import metric_name
    from headtail.metrics.built_in import metrics_of
    from headtail.metrics.gating import read_baseline

    if again is not None:
        if command_of(audit, given) != ["audit"]:
            raise InvalidInputError("--again takes the command from the report. Leave out all else.")
        return _repeat(again)
    if recs is None:
        raise InvalidInputError("Give the file of recommendations and, for all but exposure, that of training.")
    check_output(output)
    names = metrics_of(_grouping(groups)([5, 4, 3, 2, 1]).names if test else None, ["times"] if as_of_event else [])
    trends = _check_conditions(fail_if or [], k, [*names, *map(metric_name, by or ())], baseline, n_bootstrap)
    if baseline is not None and not _is_report(baseline):
        shown, result, other = _compared(given, baseline)
    elif baseline is not None and not trends:
        raise InvalidInputError('--baseline is there for conditions of a change. Give one: --fail-if "gini@10 rises".')
    else:
        other = None if baseline is None else read_baseline(baseline)
        shown = result = _measured(given)
    try:
        judged = ht.metrics.gate(result, fail_if or [], baseline=other)
    except HeadtailError:
        show(shown, output, json)
        raise
    show(shown, output, json, judged=judged)
    for judgement in judged:
        told = ("failed", "bold red") if judgement.met else ("not met", "green")
        complain(told[0], judgement.text, style=told[1])
    return int(any(judgement.met for judgement in judged))


_BESIDE = {"fail_if", "baseline", "again", "output", "json"}  # arguments that do not change the audit


def _grouping(name: str) -> Any:
    return getattr(ht.PopularityGroups, {"mass": "by_mass", "rank": "by_rank", "equal-mass": "equal_mass"}[name])


def _is_report(path: Path) -> bool:
    """Return whether a file is a report in JSON, or meant as one, and no table."""
    try:
        return path.suffix == ".json" and "kind" in loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return True


def _compared(given: dict[str, Any], other: Path) -> tuple[Any, "ht.metrics.Audit", Any]:
    """Return the comparison of the lists with others, and the audits of both."""
    recs, catalogue = given["recs"], None
    tables = [(file, given["tables"].lists(file)) for file in (other, recs)]
    if other.samefile(recs):
        raise InvalidInputError(f"{recs} is its own baseline. Give another table of lists as --baseline.")
    if given["train"] is None and given["catalogue"] is None:
        both = (ht.Recommendations.from_frame(table).item_ids for _, table in tables)
        catalogue = [item for ids in both for item in ids.tolist()]
    theirs, ours = (_measured(given | {"recs": file}, table, catalogue) for file, table in tables)
    listed = [set(audit.user_ids[audit.lists.lengths > 0].tolist()) for audit in (theirs, ours)]
    if given["test"] is not None and listed[0].isdisjoint(listed[1]):
        raise InvalidInputError(
            f"{recs} and {other} are lists of other users, so that each of them lacks lists for users of the test. "
            f"Leave out --test: of accuracy the arms of an A/B test say more themselves."
        )
    names = [file.stem for file in (other, recs)] if other.stem != recs.stem else [str(other), str(recs)]
    return ht.compare(dict(zip(names, (theirs, ours), strict=True))), ours, theirs


def _measured(given: dict[str, Any], lists: Any = None, catalogue: list[Any] | None = None) -> "ht.metrics.Audit":
    """Return the audit of the arguments of the verb, with the command and fingerprints of its files.

    `lists` and `catalogue` are those of the files where these were read before.
    """
    tables: Tables = given["tables"]
    train, test, users, file = (given[name] for name in ("train", "test", "users", "catalogue"))
    only_pairs = not given["as_of_event"]
    result = ht.metrics.audit(
        tables.lists(given["recs"]) if lists is None else lists,
        None if train is None else tables.interactions(train, titles=given["titles"], only_pairs=only_pairs),
        None if test is None else tables.interactions(test, only_pairs=only_pairs),
        k=given["k"],
        users=None if users is None else tables.table(users, "user_id", attribute="group"),
        items=_attributes(given["items"], given["by"], tables),
        as_of_event=given["as_of_event"],
        groups=_grouping(given["groups"]),
        catalogue=catalogue if file is None else tables.ids(file, "item_id"),
        strict=given["strict"],
        n_bootstrap=given["n_bootstrap"],
    )
    made = {"command": command_of(audit, given), "files": fingerprints(given)}
    return replace(result, provenance=result.provenance | made)


def _repeat(report: Path) -> int:
    """Run the command of a report again and print what differs."""
    refuse_empty(report)
    try:
        text = report.read_bytes()
        old = loads(text)
        words = [str(word) for word in old["provenance"]["command"]]
        files = [str(file["path"]) for file in old["provenance"]["files"].values()]
        verb, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        given = usual(audit) | bound.arguments
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, CycloptsError) as error:
        raise UnreadableFileError(
            f"{report} is no report in JSON that says its command ({type(error).__name__}: {error}). Give what "
            f"`headtail audit --output NAME.json` wrote of one table of lists."
        ) from None
    given = {name: value for name, value in given.items() if name not in _BESIDE}
    if verb is not audit or command_of(audit, given) != words or given["recs"] is None:
        raise InvalidInputError(f"{report} holds a command that `headtail audit` did not write: {shlex.join(words)}.")
    folder = folder_of(report, files)
    if folder != Path():
        say(f"Its files are looked for in {folder}.")
    with chdir(folder):
        try:
            new = _measured(given).to_json()
        except HeadtailError:
            for line in other_files(old["provenance"]["files"], fingerprints(given)):
                complain("differs", line)
            raise
    if new.encode() == text:
        say(f"{report}: recomputed, equal byte for byte.")
        return 0
    for difference in differences(old, loads(new)) or ["The text alone is different, as after an edit."]:
        complain("differs", difference)
    return 1


def _attributes(items: Path | None, by: list[str] | None, tables: Tables) -> Any:
    """Return the ids and the named columns of a table of items."""
    from headtail._checks import nearest

    if items is None and by is None:
        return None
    if items is None or by is None:
        raise InvalidInputError("--items and --by go together: a table of items, and which columns of it to show.")
    table = tables.table(items, "item_id", attribute=by[0])
    for name in by:
        if name not in table.columns:
            raise MissingColumnError(f"{items} has no column {name!r}. {nearest(name, table.columns)}")
    return table.select("item_id", *by)


def _check_conditions(
    conditions: list[str], cutoffs: list[int] | None, metrics: list[str], baseline: Path | None, n_bootstrap: int
) -> int:
    """Refuse a condition that cannot be read, or of what this audit will not have; return how many are of a change."""
    from headtail.metrics.gating import parse

    trends = 0
    for text in conditions:
        found = cutoffs or [int(k) for k in re.findall(r"@(\d+)", text)[:1]]
        names = [f"{metric}@{k}" for metric in metrics for k in found]
        trends += parse(text, names, baseline=baseline is not None).trend
    if trends and not n_bootstrap:
        raise InvalidInputError("--n-bootstrap 0 leaves out what tells a change from chance. Leave it out.")
    return trends
