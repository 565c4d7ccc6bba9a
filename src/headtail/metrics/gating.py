"""Conditions that an audit must not meet, on its values or on changes since an earlier audit."""

import base64
import json
import math
import operator
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from headtail._checks import checked, nearest
from headtail._files import refuse_empty, to_path
from headtail._stats import degrees_of_freedom, holm, two_sided
from headtail.exceptions import InvalidInputError, MissingColumnError, UnreadableFileError
from headtail.metrics.results import PARTS, Audit, Judgement
from headtail.reports._values import show
from headtail.typing import Floats

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FORM = re.compile(
    rf"\s*(\w+)@(\d+)\s*(?:(<=|>=|<|>)\s*([-+]?{_NUMBER})|(rises|falls)(?:\s+by\s+({_NUMBER})\s*(%?))?)\s*"
)
_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ALARM = 0.05
_DRAWS = 8  # samples of users by which a count is estimated for fewer of them
_MOST_USERS = 1.1  # times as many in the baseline: beyond, extrapolated counts are unreliable


class Condition(NamedTuple):
    """A parsed condition: a `sign` and a limit, or ``rises`` or ``falls`` by more than an amount."""

    text: str
    name: str
    sign: str
    amount: float
    relative: bool

    @property
    def trend(self) -> bool:
        """Whether it is about a change."""
        return self.sign not in _SIGNS


class Baseline(NamedTuple):
    """What a JSON report holds of an audit."""

    measured: dict[str, tuple[float, int]]
    parts: dict[str, Floats]
    definitions: dict[str, str]
    judged_by: dict[str, str]


@checked
def gate(
    audit: Audit, fail_if: Sequence[str], *, baseline: "Audit | Baseline | str | os.PathLike[str] | None" = None
) -> tuple[Judgement, ...]:
    """Judge conditions of an audit, such as a pipeline stops on.

    Parameters
    ----------
    audit : Audit
    fail_if : sequence of str
        Of a value, "gini@10 > 0.9" (<, <=, >, >=), or of a change from the baseline: "gini@10 rises", "ndcg@10 falls",
        with an amount "ndcg@10 falls by 2%" (of the baseline's value) or "gini@10 rises by 0.01".
    baseline : Audit or path, optional
        An earlier audit, or its report in JSON.

    Returns
    -------
    tuple of Judgement
        One a condition, in their order.

    Raises
    ------
    UnreadableFileError
        If the file holds no audit.

    Notes
    -----
    A change is tested by Student's t, one-sided, at 5% for all conditions of changes together (Holm): without one
    beyond the amount, at most 5% of gates alarm. The errors come from what each of 64 parts of the users, drawn by a
    hash of their ids, adds to the error of a metric; the report keeps just those. Where users are in both audits, they
    are in the same part of both, so that what they have in common cancels; other users add their own error. Metrics of
    counts, such as Gini and coverage, change with the number of users alone: they are compared as of the baseline's
    number, by samples of the users of `audit`, or extrapolated where the baseline has up to a tenth more.

    The test accounts for chance in who the users are, and for nothing else: a model trained anew from another seed
    differs from itself by more. An amount above that leaves it out. ``benchmarks/false_alarms.py`` measures both.

    Examples
    --------
    >>> train = pl.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "c", "a"]})
    >>> recs = pl.DataFrame({"user_id": [1, 2, 3], "item_id": ["c", "b", "c"]})
    >>> rare = ht.audit(recs, train, k=1, metrics=[ht.metrics.arp])
    >>> same, high = gate(rare, ["arp@1 rises", "arp@1 > 0.5"], baseline=rare)
    >>> same.met, high.met
    (False, True)
    """
    if isinstance(fail_if, str) or not all(isinstance(text, str) for text in fail_if):
        raise InvalidInputError(f'fail_if={fail_if!r} is no list of conditions. Give such as ["gini@10 rises"].')
    wanted = [parse(text, audit.metrics(), baseline=baseline is not None) for text in fail_if]
    base = None if baseline is None else read_baseline(baseline)
    for condition in wanted:
        _refuse_never(condition, audit)
        if condition.trend and base is not None:
            _refuse_other_metric(condition, audit, base)
    changes = [_change(c, audit, base) if c.trend and base is not None else None for c in wanted]
    p = iter(holm(np.array([np.nan if found is None else found[1] for found in changes])).tolist())
    other = [what for what, said in audit.judged_by.items() if base and base.judged_by.get(what, said) != said]
    apart = "".join(f"; other {what} in the baseline" for what in other)
    judged, undefined = list[Judgement](), list[str]()
    for condition, change, chance in zip(wanted, changes, p, strict=True):
        value = audit[condition.name]
        if math.isnan(value) or (change is not None and math.isnan(chance)):
            undefined.append(_why(condition, audit, base))
            continue
        if change is None or base is None:
            met = bool(_SIGNS[condition.sign](value, condition.amount))
            judged.append(Judgement(condition.text, met, value, None, None, f"{condition.text} (it is {value:.6g})"))
            continue
        p_value = show(chance, "<.3f")
        sign = "" if p_value.startswith("<") else "= "
        text = f"{condition.text} ({change[0]:.6g} in the baseline, {value:.6g} now, p {sign}{p_value}{apart})"
        judged.append(Judgement(condition.text, chance < _ALARM, value, change[0], chance, text))
    if undefined:
        met_too = "; ".join(judgement.text for judgement in judged if judgement.met)
        raise InvalidInputError(" ".join(undefined) + (f" Of the others these are met: {met_too}." if met_too else ""))
    return tuple(judged)


def parse(text: str, names: Iterable[str], *, baseline: bool) -> Condition:
    """Parse a condition; raise if its metric is not among `names`, or it is about a change without a baseline."""
    match = _FORM.fullmatch(text)
    amount = float(match[4] or match[6] or 0) if match else math.nan
    if match is None or not math.isfinite(amount):
        raise InvalidInputError(
            f'The condition {text!r} is not of the form "gini@10 > 0.9" (<, <=, > or >=), nor "gini@10 rises" or '
            f'"falls", with an amount "by 0.01" or "by 2%".'
        )
    name, names = f"{match[1]}@{int(match[2])}", list(names)
    if name not in names:
        raise MissingColumnError(f"The condition {text!r}: this audit has no {name!r}. {nearest(name, names)}")
    condition = Condition(text, name, match[3] or match[5], amount / 100 if match[7] else amount, bool(match[7]))
    if condition.trend and not baseline:
        raise InvalidInputError(f"The condition {text!r} speaks of a change. Give the baseline from which.")
    return condition


def _refuse_never(condition: Condition, audit: Audit) -> None:
    """Raise if the range of the metric alone keeps a condition from ever being met."""
    facts, amount = audit.facts[condition.name.rpartition("@")[0]], condition.amount
    if not condition.trend:
        never = amount > facts.high if condition.sign.startswith(">") else amount < facts.low
    elif condition.relative:
        never = condition.sign == "falls" and facts.low == 0 and amount >= 1
    else:
        never = amount > facts.high - facts.low
    if never:
        raise InvalidInputError(
            f"The condition {condition.text!r} can never be met: {condition.name} lies between {facts.low:g} and "
            f"{facts.high:g}. Give a number in that range or, for a share of the baseline's value, such as 2%."
        )


def read_baseline(baseline: "Audit | Baseline | str | os.PathLike[str]") -> Baseline:
    """Read an audit, or its JSON report, as a baseline."""
    if isinstance(baseline, Baseline):
        return baseline
    if isinstance(baseline, Audit):
        return _baseline(baseline.to_dict())
    path = to_path(baseline)
    refuse_empty(path)
    try:
        return _baseline(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableFileError(
            f"{path} is no audit in JSON ({type(error).__name__}: {error}). Give what Audit.to_json() or `headtail "
            f"audit --output NAME.json` wrote."
        ) from None


def _baseline(report: dict[str, Any]) -> Baseline:
    measured = {
        f"{m['metric']}@{m['k']}": (math.nan if m["value"] is None else float(m["value"]), int(m["n_users"]))
        for m in report["measurements"]
        if m["users"] == "all"
    }
    parts = {name: np.frombuffer(base64.b64decode(text), "<f4") for name, text in report["user_parts"].items()}
    if any(part.shape != (PARTS,) for part in parts.values()):
        raise ValueError(f"user_parts are not {PARTS} numbers")
    return Baseline(measured, parts, dict(report["definitions"]), dict(report["judged_by"]))


def _refuse_other_metric(condition: Condition, audit: Audit, base: Baseline) -> None:
    metric = condition.name.partition("@")[0]
    if condition.name not in base.measured:
        hint = nearest(condition.name, base.measured)
        raise MissingColumnError(f"The condition {condition.text!r}: the baseline has no {condition.name!r}. {hint}")
    if base.definitions.get(metric) != audit.definitions[metric]:
        raise InvalidInputError(
            f"{condition.name} has another definition in the baseline ({base.definitions.get(metric)}) than here "
            f"({audit.definitions[metric]}). Make the baseline anew."
        )


def _change(condition: Condition, audit: Audit, base: Baseline) -> tuple[float, float]:
    """Return the baseline's value and the p-value of the change, NaN where it cannot be tested."""
    name, (before, n_before) = condition.name, base.measured[condition.name]
    ours, theirs = audit.user_parts.get(name), base.parts.get(name)
    if ours is None or theirs is None:
        return before, math.nan
    now, spread = audit[name], 0.0
    if name not in audit.user_values and n_before != len(audit.user_ids):
        now, spread = of_as_many(audit, name, n_before)
    beyond = (now - before) * (1 if condition.sign == "rises" else -1)
    beyond -= condition.amount * (abs(before) if condition.relative else 1)
    influence = ours.astype(np.float64) - theirs
    error = math.sqrt(float(influence @ influence) * PARTS / (PARTS - 1) + spread)
    if not error > 0:
        return before, math.nan if math.isnan(beyond) or beyond > 0 else 1.0
    p = two_sided(beyond / error, degrees_of_freedom(influence)) / 2
    return before, p if beyond > 0 else 1 - p


def of_as_many(audit: Audit, name: str, n: int) -> tuple[float, float]:
    """Estimate a metric for `n` users from samples of users, and the variance due to sampling."""
    metric, _, k = name.partition("@")
    top, rng = audit.lists.at(int(k)), np.random.default_rng(0)
    here = len(top)
    if n > _MOST_USERS * here:
        return math.nan, 0.0

    def of(size: float) -> tuple[float, float]:
        some = (top.take(rng.permutation(here)[: max(1, round(size))]) for _ in range(_DRAWS))
        found = [float(audit.measures[metric](lists)) for lists in some]
        return float(np.mean(found)), float(np.var(found, ddof=1)) / _DRAWS

    if n < here:
        return of(n)
    # Extrapolates a parabola in the logarithm of the number of users.
    (fewer, spread), (fewest, more) = of(here * here / n), of(here * (here / n) ** 2)
    return 3 * audit[name] - 3 * fewer + fewest, 9 * spread + more


def _why(condition: Condition, audit: Audit, base: Baseline | None) -> str:
    """Say why a condition cannot be judged."""
    name = condition.name
    said = f"The condition {condition.text!r} cannot be judged:"
    if math.isnan(audit[name]) or (base is not None and condition.trend and math.isnan(base.measured[name][0])):
        where = "for this input" if math.isnan(audit[name]) else "in the baseline"
        return f"{said} {name} is undefined (NaN) {where}. It is: {audit.definitions[name.partition('@')[0]]}"
    assert base is not None
    if base.measured[name][1] > _MOST_USERS * len(audit.user_ids):
        return (
            f"{said} the baseline has {base.measured[name][1]:,} users and this audit {len(audit.user_ids):,}, and "
            f"{name} depends on how many. Audit as many users each time."
        )
    return (
        f"{said} {name} has no interval in one of the two audits, or changes alike for all users, so that its change "
        f"cannot be told from chance. Audit more users, and with intervals (n_bootstrap above 0)."
    )
