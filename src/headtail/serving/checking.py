"""How much of a correction an approximate index keeps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headtail import posthoc, rerank
from headtail._checks import checked, integer, number
from headtail._printable import counted
from headtail._stats import gini, influence_interval
from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.data.coded import pair_keys
from headtail.data.recommendations import check_same_ids
from headtail.exceptions import InvalidInputError
from headtail.metrics import (
    Comparison,
    audit,
    compare,
    coverage,
    gini as gini_of,
    gini_by_rank,
    head_share,
    ndcg,
    tail_share,
)
from headtail.metrics.topk import Metric
from headtail.reports import Column, Report, Result, Table
from headtail.reports._markdown import plain
from headtail.serving.exporting import BiasTable, item_bias
from headtail.serving.retrieving import Joined, join, lists_of
from headtail.training import recommend
from headtail.typing import Vectors

PLAIN, EXACT = "not corrected, exact", "corrected, exact"
PLAIN_SERVED, SERVED = "not corrected, served", "corrected, served"
_ERRORS = 1.05  # a larger share of the gain comes from the index's errors
_METRICS: tuple[Metric, ...] = (gini_of, gini_by_rank, coverage, head_share, tail_share)


@dataclass(frozen=True, eq=False, repr=False)
class ServingCheck(Result):
    """Served lists compared with those of an exact search; made by :func:`check`.

    Attributes
    ----------
    k : int
    n_candidates : int
        How many items the index was asked for per list.
    recall : float
        Share of the exact lists' items that are in the served lists. Range 0 to 1, higher is closer.
    groups : tuple of dict
        Recall by the popularity group of the item: `group`, `items`, `places` of the exact lists, and `recall`.
    comparison : Comparison
        Exposure, and NDCG where there is a test, of the lists "corrected, exact" and "corrected, served", and of both
        "not corrected" where they are known.
    """

    k: int
    n_candidates: int
    recall: float
    groups: tuple[dict[str, Any], ...]
    comparison: Comparison

    @property
    def gain_kept(self) -> tuple[float, float, float]:
        """Share of the gain in Gini that is kept, with its 95% interval over users; NaN where it is not known.

        It is the decrease of Gini as served over the exact decrease. What an index's own errors do to Gini does not
        count where the lists "not corrected, served" are known.
        """
        audits, name = self.comparison.audits, f"gini@{self.k}"
        if PLAIN not in audits or audits[PLAIN][name] == audits[EXACT][name]:
            return np.nan, np.nan, np.nan
        plain, exact, before, after = (
            audits[each] for each in (PLAIN, EXACT, PLAIN_SERVED if PLAIN_SERVED in audits else PLAIN, SERVED)
        )
        gain = plain[name] - exact[name]
        kept = (before[name] - after[name]) / gain
        users = plain.user_ids  # others have none where some of their lists are empty
        pairs = (before, after), (plain, exact)
        own, known = (one.influence(name, users) - other.influence(name, users) for one, other in pairs)
        return kept, *influence_interval(kept, (own - kept * known) / gain)

    @property
    def verdict(self) -> str:
        """Recall and the gain kept, in two or three sentences."""
        worst = min(self.groups, key=lambda row: row["recall"] if row["places"] else np.inf)
        text = (
            f"What is served holds **{self.recall:.1%}** of the items of the exact lists, "
            f"**{worst['recall']:.1%}** of those of the {plain(worst['group'])}."
        )
        kept, low, high = self.gain_kept
        if np.isnan(kept):
            return text
        interval = "" if np.isnan(low) else f" (95% {low:.1%} to {high:.1%})"
        text += f" **{kept:.1%}**{interval} of the gain in Gini@{self.k} is kept."
        more = " What exceeds 100% comes of items that the index misses: look at recall and NDCG."
        return text + more * (kept > _ERRORS)

    def to_dict(self) -> dict[str, Any]:
        """Return recall, the share kept and all measurements as JSON-able values."""
        kept, low, high = self.gain_kept
        return {
            "kind": "serving check", "k": self.k, "n_candidates": self.n_candidates, "recall": self.recall,
            "groups": list(self.groups), "gini_gain_kept": {"value": kept, "low": low, "high": high},
            "comparison": self.comparison.to_dict(),
        }  # fmt: skip

    def _rows(self) -> list[dict[str, Any]]:
        kept = dict(zip(("value", "low", "high"), self.gain_kept, strict=True))
        return [
            *({"lists": SERVED, "measure": "recall", "group": g["group"], "value": g["recall"]} for g in self.groups),
            {"lists": SERVED, "measure": "recall", "group": "all", "value": self.recall},
            {"lists": SERVED, "measure": "gini gain kept", "group": "all", **kept},
            *({"lists": row["recommender"], "measure": f"{row['metric']}@{row['k']}", "group": "all",
               **{end: row[end] for end in ("value", "low", "high")}} for row in self.comparison._rows()),
        ]  # fmt: skip

    def report(self) -> Report:
        """Return the check as a page: recall by group, and exposure not corrected, exact and served."""
        columns = [
            Column("group", "Items"), Column("items", "In the catalogue"), Column("places", "Places, exact"),
            Column("recall", "Recall", format=".1%", note="Places of the exact lists whose item is served, too."),
        ]  # fmt: skip
        everything = {"group": "all", "items": sum(row["items"] for row in self.groups),
                      "places": sum(row["places"] for row in self.groups), "recall": self.recall}  # fmt: skip
        asked = f"The index was asked for {self.n_candidates:,} items for each list of {self.k}."
        table = Table(columns, [*self.groups, everything], title="Which items are served", caption=asked)
        return Report("Served, beside an exact search", [table, *self.comparison.report().blocks], self.verdict)


@checked
def check(
    index: Any,
    vectors: Any,
    train: Any,
    *,
    k: int = 20,
    bias: Any = None,
    n_candidates: int | None = None,
    plain: Any = None,
    plain_index: Any = None,
    test: Any = None,
    groups: Any = PopularityGroups.by_mass,
) -> ServingCheck:
    """Compare what an index serves with an exact search: recall by popularity group, and exposure.

    Parameters
    ----------
    index : FAISS index, hnswlib index, function, or Recommendations
        As :func:`retrieve` takes it; or lists that were served.
    vectors : Vectors or (Q, V), or Recommendations
        What the index holds; for served lists, the exact ones.
    train : Interactions, frame or sparse matrix
        What users know, which is left out; defines popularity.
    k : int, default 20
    bias : BiasTable, or what :func:`item_bias` takes, optional
        For an index of the vectors before a correction: added to the exact scores of `n_candidates` items, of which
        the best k are served. Without it the index returns the corrected lists by itself.
    n_candidates : int, optional
        How many items the index is asked for per list; by default k, and 10 k with a bias.
    plain : Vectors or (Q, V), or Recommendations, optional
        The recommender before its correction, which the gain is measured from; with a bias it is `vectors`.
    plain_index : index, function, or Recommendations, optional
        An index of `plain`, or its lists, to tell the index's own errors from the gain; with a bias it is `index`.
    test : Interactions, optional
        Adds NDCG.
    groups : PopularityGroups, or function from popularity to one, default PopularityGroups.by_mass
        What head, mid and tail mean.

    Examples
    --------
    >>> world = ht.datasets.power_law(300, 60, n_interactions=2000, rng=0)
    >>> vectors = ht.Vectors(world.queries, world.items, world.interactions.user_ids, world.interactions.item_ids)
    >>> tilted = ht.tilt(vectors, strength=0.3, k=5, seen=world.interactions)
    >>> def search(queries, n):  # an exact one
    ...     return vectors.item_ids[np.argsort(-queries @ vectors.items.T, axis=1)[:, :n]]
    >>> found = check(search, vectors, world.interactions, k=5, bias=tilted, n_candidates=60)
    >>> found.recall, found.gain_kept[0]
    (1.0, 1.0)
    """
    if bias is not None and (plain is not None or plain_index is not None or isinstance(index, Recommendations)):
        raise InvalidInputError("A bias is added to what an index of the plain vectors returns; leave out the others.")
    if plain is None and plain_index is not None:
        raise InvalidInputError("plain_index is an index of vectors that were not given; give them as plain.")
    if isinstance(index, Recommendations):
        if n_candidates is not None:
            raise InvalidInputError("index holds lists that were served already; leave out n_candidates.")
        known = Interactions.of(train, what="train")
        lists, n_candidates = {EXACT: _exact(vectors, known, k), SERVED: _served(index, vectors, known, k)}, index.k
    else:
        of = join(vectors, train)
        known, n_items = of.known, len(of.item_ids)
        n_candidates = min(k if bias is None else 10 * k, n_items) if n_candidates is None else n_candidates
        candidates = lists_of(index, of, integer("n_candidates", n_candidates, low=integer("k", k, low=1)))
        lists = {EXACT: _best(of, k), SERVED: candidates.head(k)}
        if bias is not None:
            table = _table(bias, of)
            lists = {PLAIN: lists[EXACT], EXACT: _best(of, k, table), **_biased(candidates, table, k)}
    if plain is not None:
        lists = {PLAIN: _exact(plain, known, k), **lists}
    if plain_index is not None:
        lists[PLAIN_SERVED] = _served(plain_index, plain, known, k)
    return _checked(lists, known, k, n_candidates, test, groups)


@checked
def fewest_candidates(
    index: Any,
    vectors: Any,
    train: Any,
    bias: Any,
    *,
    k: int = 20,
    keep: float = 0.95,
    test: Any = None,
    groups: Any = PopularityGroups.by_mass,
) -> ServingCheck:
    """Find the smallest number of candidates with which a bias keeps enough of its gain in Gini.

    The number is doubled until it does, then bisected, assuming that more candidates keep no less.

    Parameters
    ----------
    index, vectors, train, bias, k, test, groups
        As for :func:`check`; the index holds the vectors before the correction.
    keep : float, default 0.95
        Share of the gain, above 0 and at most 1.

    Returns
    -------
    ServingCheck
        Of ``n_candidates`` items.

    Examples
    --------
    >>> world = ht.datasets.power_law(300, 60, n_interactions=2000, rng=0)
    >>> vectors = ht.Vectors(world.queries, world.items, world.interactions.user_ids, world.interactions.item_ids)
    >>> tilted = ht.tilt(vectors, strength=0.3, k=5, seen=world.interactions)
    >>> def search(queries, n):
    ...     return vectors.item_ids[np.argsort(-queries @ vectors.items.T, axis=1)[:, :n]]
    >>> found = fewest_candidates(search, vectors, world.interactions, tilted, k=5)
    >>> 5 < found.n_candidates < 60, found.gain_kept[0] >= 0.95
    (True, True)
    """
    keep, of = number("keep", keep, low=0, high=1, low_open=True), join(vectors, train)
    table, most = _table(bias, of), len(of.item_ids)
    exact = {PLAIN: _best(of, integer("k", k, low=1)), EXACT: _best(of, k, table)}
    start, goal = (gini(lists.slots) for lists in exact.values())
    if goal >= start:
        raise InvalidInputError(f"The bias has no gain to keep: it changes Gini@{k} from {start:.4f} to {goal:.4f}.")

    def asked(n: int) -> tuple[float, dict[str, Recommendations]]:
        served = _biased(lists_of(index, of, n), table, k)
        before, after = (gini(served[name].slots) for name in (PLAIN_SERVED, SERVED))
        return (before - after) / (start - goal), exact | served

    low, high, (kept, lists) = k - 1, k, asked(k)
    while kept < keep:
        if high == most:
            raise InvalidInputError(
                f"With all {most:,} items as candidates {kept:.1%} of the gain is kept, below keep={keep:g}. Build or "
                f"search the index more exactly (ef, nprobe), or lower keep."
            )
        low, high = high, min(2 * high, most)
        kept, lists = asked(high)
    while high - low > 1:
        middle = (low + high) // 2
        kept, between = asked(middle)
        low, high, lists = (low, middle, between) if kept >= keep else (middle, high, lists)
    return _checked(lists, of.known, k, high, test, groups)


def _best(of: Joined, k: int, table: BiasTable | None = None) -> Recommendations:
    """Return the lists of an exact search."""
    vectors = Vectors(of.queries, of.items, of.known.user_ids[of.users], of.known.item_ids)
    if table is None:
        return recommend(vectors, of.known, codes=of.users, k=k)
    lists = recommend(posthoc.add_bias(vectors, bias=table.bias), of.known, codes=of.users, k=k)
    return rerank.add_bias(lists, (table.order - 1) * table.bias, k=k)


def _biased(candidates: Recommendations, table: BiasTable, k: int) -> dict[str, Recommendations]:
    """Return served lists without and with the bias."""
    served = rerank.add_bias(candidates, table.bias, k=k, order=table.order)
    return {PLAIN_SERVED: candidates.head(k), SERVED: served}


def _exact(source: Any, known: Interactions, k: int) -> Recommendations:
    return source.head(k) if isinstance(source, Recommendations) else _best(join(source, known), k)


def _served(index: Any, vectors: Any, known: Interactions, k: int) -> Recommendations:
    return index.head(k) if isinstance(index, Recommendations) else lists_of(index, join(vectors, known), k)


def _table(bias: Any, of: Joined) -> BiasTable:
    """Return a bias in the order of the interactions' items."""
    table = bias if isinstance(bias, BiasTable) else item_bias(bias, item_ids=of.item_ids)
    return BiasTable(of.known.item_ids, table.of(of.known.item_ids), table.order)


def _checked(
    lists: dict[str, Recommendations], known: Interactions, k: int, n_candidates: int, test: Any, groups: Any
) -> ServingCheck:
    longest = int((lists[SERVED].items >= 0).sum(axis=1).max(initial=0))
    if longest < k:
        raise InvalidInputError(
            f"The longest list that is served has {counted(longest, 'item')}, and k={k}. Let the index return more: "
            f"pgvector returns no more than hnsw.ef_search unless it scans iteratively."
        )
    exact, served = lists[EXACT], lists[SERVED]
    for each in lists.values():
        check_same_ids(each, known)
        if not np.array_equal(np.sort(exact.users), np.sort(each.users)):
            raise InvalidInputError("The lists to compare are of different users. Give all for the same.")
    metrics = _METRICS if test is None else (*_METRICS, ndcg)
    audits = {
        name: audit(lists[name], known, test, k=k, metrics=metrics, groups=groups, strict=False)
        for name in (PLAIN, PLAIN_SERVED, EXACT, SERVED)
        if name in lists
    }
    rows, columns = np.nonzero(exact.items >= 0)
    items, (others, places) = exact.items[rows, columns], np.nonzero(served.items >= 0)
    there = np.isin(pair_keys(exact.users[rows], items), pair_keys(served.users[others], served.items[others, places]))
    of = audits[EXACT].groups
    shares = tuple(
        {"group": name, "items": int(of.sizes[name]), "places": int(mine.sum()),
         "recall": float(there[mine].mean()) if mine.any() else np.nan}
        for name in of.names
        for mine in [of.mask(name)[items]]
    )  # fmt: skip
    return ServingCheck(k, n_candidates, float(there.mean()), shares, compare(audits, baseline=EXACT))
