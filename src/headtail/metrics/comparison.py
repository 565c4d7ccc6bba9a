"""Several audits side by side, with the differences told apart from noise."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from headtail._checks import nearest
from headtail._stats import Z95, standard_error
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.metrics.auditing import Audit
from headtail.reports import Report, Result


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
        For each other recommender and each metric with per-user values: the mean difference to the baseline, user by
        user, its 95% interval, and whether that leaves out 0.
    """

    audits: dict[str, Audit]
    baseline: str
    k: int
    differences: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all audits and differences as JSON-able values."""
        return {
            "kind": "comparison",
            "baseline": self.baseline,
            "k": self.k,
            "audits": {name: audit.to_dict() for name, audit in self.audits.items()},
            "differences": list(self.differences),
        }

    def _rows(self) -> list[dict[str, Any]]:
        return [{"recommender": name} | asdict(m) for name, audit in self.audits.items() for m in audit.measurements]

    def report(self) -> Report:
        """Return the comparison as a page."""
        from headtail.metrics.pages import comparison_page

        return comparison_page(self)


def compare(audits: Mapping[str, Audit], *, baseline: str | None = None) -> Comparison:
    """Put audits side by side and test each against a baseline, user by user.

    Parameters
    ----------
    audits : mapping from name to Audit
        Made with the same training interactions.
    baseline : str, optional
        Name of the recommender to compare with; the first by default.

    Raises
    ------
    InvalidInputError
        If there are no audits, or they share no cut-off.
    MissingColumnError
        If the baseline is not one of them.

    Examples
    --------
    >>> import polars as pl
    >>> from headtail.metrics import arp, audit, compare
    >>> train = pl.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "c", "a"]})
    >>> one = audit(pl.DataFrame({"user_id": [1, 2], "item_id": ["c", "b"]}), train, k=1, metrics=[arp])
    >>> two = audit(pl.DataFrame({"user_id": [1, 2], "item_id": ["a", "a"]}), train, k=1, metrics=[arp])
    >>> compare({"rare": one, "popular": two}).differences[0]["difference"]
    2.0
    """
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
    differences = [
        {"recommender": name} | row
        for name, audit in audits.items()
        if name != baseline
        for row in _paired(audit, base, f"@{k}")
    ]
    return Comparison(dict(audits), baseline, k, tuple(differences))


def _paired(audit: Audit, base: Audit, suffix: str) -> list[dict[str, Any]]:
    """Return the mean difference of each metric over the users that both audits have a value for."""
    _, mine, theirs = np.intersect1d(audit.user_ids, base.user_ids, return_indices=True)
    rows = []
    for name, values in audit.user_values.items():
        if not name.endswith(suffix) or name not in base.user_values:
            continue
        difference = values[mine] - base.user_values[name][theirs]
        known = difference[~np.isnan(difference)]
        if not len(known):
            continue
        mean, margin = float(known.mean()), Z95 * standard_error(known)
        rows.append({
            "metric": name, "difference": mean, "low": mean - margin, "high": mean + margin, "n_users": len(known),
            "told_apart": bool(abs(mean) > margin),
        })  # fmt: skip
    return rows
