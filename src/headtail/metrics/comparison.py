"""Several audits side by side, with tests of their differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from headtail._checks import checked, nearest, shown
from headtail._stats import degrees_of_freedom, mean_influence, plain_interval, student
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.metrics.gating import of_as_many
from headtail.metrics.pages import comparison_page, gated
from headtail.metrics.results import Audit, Judgement
from headtail.metrics.user_groups import decided_by_enough
from headtail.metrics.verdicts import of_comparison
from headtail.reports import Report, Result
from headtail.reports._markdown import plain
from headtail.typing import Floats


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Audits of several recommenders on the same users; made by :func:`compare`.

    Attributes
    ----------
    audits : dict of str to Audit
        By the name of the recommender.
    baseline : str
        The recommender that the others are compared with.
    k : int
        The cut-off shown: the largest that all audits share.
    differences : tuple of dict
        For each other recommender and each metric: the difference to the baseline, its 95% interval over the users
        that both speak of (None where no user, or too few of them, make a difference), and whether that leaves out 0.
        Where no user is in both, as in an A/B test, the interval is that of two independent samples.
    notes : tuple of str
        What a reader should know about the input.
    """

    audits: dict[str, Audit]
    baseline: str
    k: int
    differences: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """What changes from the baseline and what it costs, in words; it opens the report."""
        return of_comparison(self)

    @property
    def paired(self) -> bool:
        """Whether users are in several of the audits; in the arms of an A/B test they are not."""
        base = self.audits[self.baseline]
        return any(_shared(audit, base) for name, audit in self.audits.items() if name != self.baseline)

    @cached_property
    def changes(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The differences by recommender and metric (without the cut-off), with the values `before` and `after`."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for row in self.differences:
            name, key = row["recommender"], row["metric"]
            values = {"before": self.audits[self.baseline][key], "after": self.audits[name][key]}
            found.setdefault(name, {})[key.rpartition("@")[0]] = row | values
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return all audits and differences as JSON-able values."""
        return {
            "kind": "comparison",
            "baseline": self.baseline,
            "k": self.k,
            "audits": {name: audit.to_dict() for name, audit in self.audits.items()},
            "differences": list(self.differences),
            "notes": list(self.notes),
        }

    def _rows(self) -> list[dict[str, Any]]:
        return [{"recommender": name} | asdict(m) for name, audit in self.audits.items() for m in audit.measurements]

    def report(self, judged: Sequence[Judgement] = ()) -> Report:
        """Return the comparison as a page, with what a :func:`gate` decided, if that is given."""
        return gated(comparison_page(self), judged)


@checked
def compare(audits: Mapping[str, Audit], *, baseline: str | None = None) -> Comparison:
    """Put audits side by side and test each against a baseline, user by user where users are in both.

    Parameters
    ----------
    audits : mapping from name to Audit
        Made with the same training interactions, catalogue and popularity groups and, where there is one, the same
        test. Other users are noted.
    baseline : str, optional
        Name of the recommender to compare with; the first by default.

    Examples
    --------
    >>> train = pl.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "c", "a"]})
    >>> one = ht.audit(pl.DataFrame({"user_id": [1, 2], "item_id": ["c", "b"]}), train, k=1, metrics=[ht.metrics.arp])
    >>> two = ht.audit(pl.DataFrame({"user_id": [1, 2], "item_id": ["a", "a"]}), train, k=1, metrics=[ht.metrics.arp])
    >>> compare({"rare": one, "popular": two}).differences[0]["difference"]
    2.0
    """
    if not isinstance(audits, Mapping) or not all(isinstance(audit, Audit) for audit in audits.values()):
        raise InvalidInputError("audits is no mapping from names to audits. Give for example {'mf': audit(...), ...}.")
    if unnamed := [name for name in audits if not isinstance(name, str)]:
        raise InvalidInputError(f"audits has the name {shown(unnamed)}, which is not text. Give one such as 'mf'.")
    if not audits:
        raise InvalidInputError("There is nothing to compare. Give at least one audit.")
    baseline = next(iter(audits)) if baseline is None else baseline
    if baseline not in audits:
        raise MissingColumnError(f"There is no audit {baseline!r}. {nearest(baseline, audits)}")
    shared = set.intersection(*(set(audit.cutoffs) for audit in audits.values()))
    if not shared:
        raise InvalidInputError("The audits share no cut-off. Give all of them the same k.")
    k = max(shared)
    base = audits[baseline]
    for name, audit in audits.items():
        _refuse_other_data(name, audit, baseline, base)
    differences = [
        {"recommender": name} | row
        for name, audit in audits.items()
        if name != baseline
        for row in _paired(audit, base, f"@{k}")
    ]
    return Comparison(
        dict(audits), baseline, k, tuple(differences), (*_same_lists(audits, baseline), *_other_users(audits, base))
    )


def _refuse_other_data(name: str, audit: Audit, baseline: str, base: Audit) -> None:
    if not set(audit.definitions) & set(base.definitions):
        raise InvalidInputError(f"The audits of {name!r} and {baseline!r} share no metric. Give both the same metrics.")
    for what, ours in audit.judged_by.items():
        theirs = base.judged_by.get(what, ours)
        if ours != theirs:
            raise InvalidInputError(
                f"The audits of {name!r} and {baseline!r} have different {what} ({ours}; {theirs}), so that their "
                f"values cannot stand side by side. Audit all recommenders with the same train, test, catalogue and "
                f"groups; without train, give each catalogue=... with the items of all."
            )


def _same_lists(audits: Mapping[str, Audit], baseline: str) -> list[str]:
    """Return a note if another recommender's lists are those of the baseline, as where a file is given twice."""
    base = audits[baseline]._fingerprint
    same = [name for name, audit in audits.items() if name != baseline and audit._fingerprint == base]
    return [f"The lists of {plain(name)} are those of {plain(baseline)}." for name in same]


def _other_users(audits: Mapping[str, Audit], base: Audit) -> list[str]:
    """Return a note if not all audits speak of the same users."""
    if all(np.array_equal(np.sort(audit.user_ids), np.sort(base.user_ids)) for audit in audits.values()):
        return []
    counts = ", ".join(f"{name} {len(audit.user_ids):,}" for name, audit in audits.items())
    if not any(_shared(audit, base) for audit in audits.values() if audit is not base):
        return [
            f"No user is in two of the audits ({counts}), as in an A/B test: differences have intervals of independent "
            f"samples. Gini, coverage and others that depend on how many users there are differ as of equally many."
        ]
    return [
        f"The audits speak of different users ({counts}). Gini, coverage and others depend on how many there are, and "
        f"have no paired difference; those of means over users are over the users that both audits have."
    ]


def _shared(audit: Audit, base: Audit) -> int:
    return len(np.intersect1d(audit.user_ids, base.user_ids))


def _paired(audit: Audit, base: Audit, suffix: str) -> list[dict[str, Any]]:
    """Return the difference of each metric, with an interval from paired influences of the users."""
    users, mine, theirs = np.intersect1d(audit.user_ids, base.user_ids, return_indices=True)
    same_users = len(users) == len(audit.user_ids) == len(base.user_ids)
    rows, spread = [], 0.0
    for name in (*audit.user_values, *audit.user_influences):
        if not name.endswith(suffix) or not (name in base.user_values or name in base.user_influences):
            continue
        if not len(users):
            difference, spread, influence = _of_others(audit, base, name)
            n_users = len(influence)
        elif name in audit.user_values and name in base.user_values:
            values = audit.user_values[name][mine] - base.user_values[name][theirs]
            known = values[~np.isnan(values)]
            difference, n_users = known.mean() if len(known) else np.nan, len(known)
            influence = mean_influence(values)
        elif same_users and name in audit.user_influences and name in base.user_influences:
            difference, n_users = audit[name] - base[name], len(users)
            influence = audit.influence(name)[mine] - base.influence(name)[theirs]
        else:
            continue
        if np.isnan(difference):
            continue
        error, df = float(np.sqrt(influence @ influence + spread)), degrees_of_freedom(influence)
        low, high = plain_interval(float(difference), error, student(df))
        shown = not np.isnan(low) and (name in audit.user_values or decided_by_enough(df, n_users))
        rows.append({
            "metric": name, "difference": float(difference), "low": low if shown else None,
            "high": high if shown else None, "n_users": n_users, "significant": bool(shown and (low > 0 or high < 0)),
        })  # fmt: skip
    return rows


def _of_others(audit: Audit, base: Audit, name: str) -> tuple[float, float, Floats]:
    """Return the difference of a metric over other users, the variance of sampling, and what each user adds to it.

    Metrics of counts are compared as of the smaller number of users.
    """
    influence = np.concatenate([audit.influence(name), base.influence(name)])
    n, sides = min(len(audit.user_ids), len(base.user_ids)), [(audit[name], 0.0), (base[name], 0.0)]
    if name not in audit.user_values:
        sides = [
            of_as_many(one, name, n) if len(one.user_ids) > n else side
            for one, side in zip((audit, base), sides, strict=True)
        ]
    (now, spread), (before, more) = sides
    return now - before, spread + more, influence
