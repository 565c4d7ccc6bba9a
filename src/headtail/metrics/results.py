"""The result of an audit."""

import base64
import hashlib
import platform
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib import metadata
from typing import Any

import numpy as np

from headtail import _frames
from headtail._checks import checked, nearest
from headtail._stats import mean_influence
from headtail.data import PopularityGroups
from headtail.exceptions import MissingColumnError
from headtail.metrics.facts import Better, Facts
from headtail.metrics.pages import audit_page, gated
from headtail.metrics.references import references
from headtail.metrics.topk import Metric, TopK
from headtail.metrics.verdicts import of_audit
from headtail.reports import Report, Result
from headtail.typing import Array, Floats

ALL_USERS = "all"
PARTS = 64  # of the users, in a report; enough to know their spread to a tenth


@dataclass(frozen=True)
class Measurement:
    """One metric at one cut-off for one group of users.

    Attributes
    ----------
    metric : str
        Name without the cut-off.
    k : int
    users : str
        "all", or a user group such as "gender=F".
    value : float
        The metric; NaN where it is not defined.
    low, high : float or None
        95% interval over users; None where there is none that could be trusted (see :func:`audit`).
    n_users : int
        Users that the value speaks of.
    """

    metric: str
    k: int
    users: str
    value: float
    low: float | None
    high: float | None
    n_users: int

    @property
    def name(self) -> str:
        """Name with the cut-off, such as ``ndcg@10``."""
        return f"{self.metric}@{self.k}"


@dataclass(frozen=True)
class Judgement:
    """The outcome of one condition; made by :func:`gate`.

    Attributes
    ----------
    condition : str
        As it was given.
    met : bool
    value : float
        The metric now.
    baseline : float or None
        The metric of the baseline, for conditions of a change; for those of counts as of equally many users.
    p : float or None
        Chance of such a change, or a larger one, where there is none beyond the amount: one-sided, and corrected for
        the number of such conditions.
    text : str
        All of it in a sentence.
    """

    condition: str
    met: bool
    value: float
    baseline: float | None
    p: float | None
    text: str


@dataclass(frozen=True)
class ItemExposure:
    """How much exposure one item gets, beside its share of the training interactions."""

    item_id: Any
    title: str
    group: str
    popularity: int
    slots: int
    interaction_share: float
    exposure_share: float


@dataclass(frozen=True, eq=False, repr=False)
class Measured(Result):
    """What every audit holds; :class:`Audit` says what each is."""

    measurements: tuple[Measurement, ...]
    group_shares: tuple[dict[str, Any], ...]
    over_exposed: tuple[ItemExposure, ...]
    under_exposed: tuple[ItemExposure, ...]
    groups: PopularityGroups
    definitions: dict[str, str]
    facts: dict[str, Facts]
    notes: tuple[str, ...]
    doubts: tuple[str, ...]

    def __getitem__(self, name: str) -> float:
        """Return the value of a metric such as ``"gini@10"`` over all users."""
        return self.measurement(name).value

    def keys(self) -> list[str]:
        """Return the names of the metrics over all users, such as ``"gini@10"``."""
        return [m.name for m in self.measurements if m.users == ALL_USERS]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    @checked
    def measurement(self, name: str, users: str = ALL_USERS) -> Measurement:
        """Return one metric with its interval."""
        if (name, users) in self._by_name:
            return self._by_name[name, users]
        known = dict.fromkeys(m.name if users == ALL_USERS else f"{m.name} of {m.users}" for m in self.measurements)
        wanted = name if users == ALL_USERS else f"{name} of {users}"
        raise MissingColumnError(f"The audit has no {wanted!r}. {nearest(wanted, known)}")

    @property
    def headlines(self) -> list[str]:
        """Metrics that pages show first."""
        return [name for name, facts in self.facts.items() if facts.headline]

    @property
    def cutoffs(self) -> tuple[int, ...]:
        """Cut-offs, ascending."""
        return tuple(sorted({m.k for m in self.measurements}))

    def to_dict(self) -> dict[str, Any]:
        """Return what every audit holds as JSON-able values."""
        return {
            "measurements": self._rows(),
            "groups": {"description": self.groups.description, "items": self.groups.sizes},
            "group_shares": list(self.group_shares),
            "over_exposed": [asdict(i) for i in self.over_exposed],
            "under_exposed": [asdict(i) for i in self.under_exposed],
            "definitions": self.definitions,
            "notes": list(self.notes),
        }

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Measurement]:
        return {(m.name, m.users): m for m in self.measurements}

    def _rows(self) -> list[dict[str, Any]]:
        return [asdict(m) for m in self.measurements]


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Audit(Measured):
    """What recommendations do with popularity; made by :func:`audit`.

    Attributes
    ----------
    measurements : tuple of Measurement
        All metrics, cut-offs and user groups.
    group_shares : tuple of dict
        For each popularity group its share of items, of training interactions, and of the slots at each cut-off.
    over_exposed, under_exposed : tuple of ItemExposure
        Items whose share of the slots is furthest above and below their share of the training interactions.
    groups : PopularityGroups
        What head, mid and tail mean here.
    definitions : dict of str to str
        What each metric means.
    facts : dict of str to Facts
        What each metric says of itself: direction, range, how it is written, whether it is a headline.
    notes : tuple of str
        What a reader should know about the input.
    doubts : tuple of str
        Those of the notes that tell of lists that have collapsed.
    attribute_shares : tuple of dict
        For each value of each attribute of the items its share of items, of training interactions, and of the slots.
    measures : dict of str to function
        What was measured: functions of a :class:`TopK`.
    lists : TopK
        The lists at the largest cut-off, and what they were judged by.
    user_ids : array of shape (U,)
        The users audited.
    user_values : dict of str to float array of shape (U,)
        Per-user values of the metrics that have them, by name with cut-off.
    user_influences : dict of str to float32 array of shape (U,)
        What each user adds to the error of the other metrics; empty without intervals. See :meth:`influence`.
    judged_by : dict of str to str
        Sizes and hashes of the catalogue, the training and test interactions and the groups, by which :func:`compare`
        knows audits that can stand side by side.
    provenance : dict
        How it was made: the arguments that are no tables; from the command line the command and its files too.
    """

    attribute_shares: tuple[dict[str, Any], ...]
    measures: dict[str, Metric]
    lists: TopK
    user_ids: Array
    user_values: dict[str, Floats]
    user_influences: dict[str, Floats]
    judged_by: dict[str, str]
    provenance: dict[str, Any]

    def influence(self, name: str, user_ids: Array | None = None) -> Floats:
        """Return what each user adds to the error of a metric over all users, shape (U,).

        The root of the sum of squares is the metric's standard error. Of two audits of the same users, that of the
        differences is the paired standard error of the difference of the two figures: give `user_ids` of one to the
        other, since each has an order of its own. Of other users than those audited it is NaN.
        """
        if name not in self.user_values and name not in self.user_influences:
            known = {*self.user_values, *self.user_influences}
            raise MissingColumnError(f"The audit has no influences of {name!r}. {nearest(name, sorted(known))}")
        mine = self.user_values.get(name)
        found = self.user_influences[name].astype(np.float64) if mine is None else mean_influence(mine)
        if user_ids is None or np.array_equal(user_ids, self.user_ids):
            return found
        places = _frames.lookup(user_ids, self.user_ids, "user_ids")
        same = len(places) == len(found) and (places >= 0).all()
        return found[places] if same else np.full(len(places), np.nan)

    @property
    def verdict(self) -> str:
        """Who gets the places, and how popular they are, in words; it opens the report."""
        return of_audit(self)

    @property
    def directions(self) -> dict[str, Better]:
        """Which direction of each metric is better, where one is."""
        return {name: facts.better for name, facts in self.facts.items() if facts.better}

    def metrics(self, *, at: str = "@") -> dict[str, float]:
        """Return all metrics over all users as one flat dict, such as trackers of experiments log.

        Parameters
        ----------
        at : str, default "@"
            What stands before the cut-off; ``"_at_"`` for trackers that refuse "@" in a name, such as MLflow.
        """
        return {f"{m.metric}{at}{m.k}": m.value for m in self.measurements if m.users == ALL_USERS}

    @cached_property
    def user_parts(self) -> dict[str, Floats]:
        """What each of 64 parts of the users adds to the error of each metric that has one, for :func:`gate`.

        A user's part is a hash of the id, CRC-32 of its text, so that the same users are together in every audit.
        """
        part = np.array([zlib.crc32(str(user).encode()) % PARTS for user in self.user_ids.tolist()], dtype=np.int64)
        found = {name: self.influence(name) for name in (*self.user_values, *self.user_influences)}
        sums = {name: np.bincount(part, weights=each, minlength=PARTS) for name, each in found.items()}
        return {name: parts.astype(np.float32) for name, parts in sums.items() if np.isfinite(parts).all()}

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the per-user values as JSON-able values.

        What users add to the errors is there in 64 parts (:attr:`user_parts`): for each metric its little-endian
        float32 numbers in Base64.
        """
        coded = {name: base64.b64encode(parts.astype("<f4").tobytes()) for name, parts in self.user_parts.items()}
        return {
            "kind": "audit",
            **super().to_dict(),
            "attribute_shares": list(self.attribute_shares),
            "directions": self.directions,
            "ranges": {name: [facts.low, facts.high] for name, facts in self.facts.items()},
            "judged_by": self.judged_by,
            "provenance": self.provenance | {"versions": _versions(), "lists": self._fingerprint},
            "user_parts": {name: text.decode() for name, text in coded.items()},
        }

    @property
    def _fingerprint(self) -> str:
        """A hash of the lists and of whose they are."""
        digest = hashlib.sha256(np.ascontiguousarray(self.lists.items).tobytes())
        digest.update("\n".join(map(str, self.user_ids.tolist())).encode("utf-8", "backslashreplace"))
        return f"{self.lists.items.shape[0]:,} of up to {self.lists.k} items, sha256 {digest.hexdigest()}"

    def report(self, judged: Sequence[Judgement] = ()) -> Report:
        """Return the audit as a page, with what a :func:`gate` decided, if that is given."""
        return gated(audit_page(self), judged)

    @cached_property
    def references(self) -> dict[str, dict[str, float]]:
        """Metrics of the training interactions, and of the most popular and of random items for the same users."""
        return references(self.lists, self.definitions)


@cache
def _versions() -> dict[str, str]:
    """Return the versions that a figure may depend on."""
    found = {"python": platform.python_version()}
    for name in ("headtail", "numpy", "scipy", "polars"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
