"""The bias that a correction adds to item scores, for indexes and databases."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from headtail import _frames, posthoc
from headtail._checks import checked, finite, integer, number, shown
from headtail._factors import as_pair, axis_ids, numbers, to_numpy
from headtail._printable import counted
from headtail.data.rows import with_given_ids, with_ids
from headtail.dials.item_bias import ItemBias
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.reports import Column, Report, Result, Table
from headtail.typing import Array, Floats, Vectors

Engine = Literal["qdrant", "milvus", "elasticsearch", "opensearch", "pgvector"]
_SHOWN = 10  # items at each end of the bias


@checked
@dataclass(frozen=True, eq=False, repr=False)
class BiasTable(Result):
    """A number per item that is added to its scores for every user; made by :func:`item_bias`.

    Attributes
    ----------
    item_ids : array of shape (n_items,)
    bias : float array of shape (n_items,)
        Lists hold the items of the highest ``score + bias``.
    order : float
        They are ordered by ``score + order * bias``. Range 0 to 1.
    """

    item_ids: Array
    bias: Floats
    order: float = 1.0

    def __post_init__(self) -> None:
        values = numbers(self.bias)
        if values.ndim != 1 or not len(values) or values.dtype.kind not in "fiub":
            raise InvalidInputError(
                f"The bias has shape {values.shape} and type {values.dtype}; give a number an item."
            )
        values, item_ids = values.astype(np.float64), _frames.unique_ids(self.item_ids, "item_id", len(values))
        finite("bias", values, "Look at where it was computed.")
        if (labels := axis_ids(self.bias, 0)) is not None:
            values = BiasTable(labels, values).of(item_ids)
        object.__setattr__(self, "bias", values)
        object.__setattr__(self, "item_ids", item_ids)
        number("order", self.order, low=0, high=1)

    def of(self, item_ids: Any) -> Floats:
        """Return the bias of these items, in their order."""
        ids = _frames.read_ids(item_ids, "item_id", "item_ids")
        places = _frames.lookup(ids, self.item_ids, "bias")
        if (places < 0).any():
            raise InvalidInputError(
                f"{counted((places < 0).sum(), 'item', 'has', 'have')} no bias, such as "
                f"{shown(ids.filter(places < 0))}. Give each one; a new item that of the least shown, the largest."
            )
        return np.asarray(self.bias[places])

    def added_to(self, vectors: Vectors) -> Vectors:
        """Return vectors with the bias as one more coordinate of the items, and 1 in every query.

        Any inner-product index then returns the corrected lists by itself; :func:`check` says how much of the
        correction an approximate one keeps.
        """
        pair = with_ids(as_pair(vectors))
        if pair.item_ids is None:
            return posthoc.add_bias(pair, bias=self.bias)
        return posthoc.add_bias(pair, bias=self.of(pair.item_ids))

    def formula(self, engine: Engine, *, k: int = 20, n_candidates: int = 200, field: str = "bias") -> str:
        """Return the request with which a database re-scores its candidates by the bias and returns the k best.

        The database scores by inner products of the uncorrected vectors, and holds each item's bias in a field. Fill in
        what is in angle brackets.

        Parameters
        ----------
        engine : {"qdrant", "milvus", "elasticsearch", "opensearch", "pgvector"}
            Qdrant from 1.14 (the body of ``points/query``), Milvus from 3.0 (of ``entities/search``), Elasticsearch and
            OpenSearch (the ``rescore`` of a search, whose scores are inner products plus 1 where those are positive),
            and SQL for Postgres with pgvector, with the bias in the table of :meth:`to_sql`.
        k : int, default 20
        n_candidates : int, default 200
            How many items to re-score; see :func:`fewest_candidates`.
        field : str, default "bias"

        Returns
        -------
        str
            JSON, or SQL.

        Examples
        --------
        >>> table = item_bias([-1.0, 0.5], item_ids=["x", "y"])
        >>> print(table.formula("pgvector", k=2, n_candidates=5))
        SELECT item_id, score + bias AS score
        FROM (SELECT item_id, -(embedding <#> <query>) AS score FROM items ORDER BY embedding <#> <query> LIMIT 5) found
        JOIN item_bias USING (item_id)
        ORDER BY score + bias DESC LIMIT 2
        """
        k = integer("k", k, low=1)
        return _WRITERS[engine](self, k, integer("n_candidates", n_candidates, low=k), field)

    def to_sql(self, table: str = "item_bias") -> str:
        """Return SQL that creates a table of the items and their bias.

        Examples
        --------
        >>> print(item_bias([-1.0, 0.5], item_ids=["x", "o'y"]).to_sql())
        CREATE TABLE item_bias (item_id text PRIMARY KEY, bias real NOT NULL);
        INSERT INTO item_bias VALUES
        ('x', -1),
        ('o''y', 0.5);
        """
        whole = self.item_ids.dtype.kind in "iu"
        ids = [str(i) if whole else "'" + str(i).replace("'", "''") + "'" for i in self.item_ids.tolist()]
        rows = ",\n".join(f"({i}, {b:.7g})" for i, b in zip(ids, self.bias.tolist(), strict=True))
        kind = "bigint" if whole else "text"
        made = f"CREATE TABLE {table} (item_id {kind} PRIMARY KEY, bias real NOT NULL);"
        return f"{made}\nINSERT INTO {table} VALUES\n{rows};"

    def to_dict(self) -> dict[str, Any]:
        """Return items and bias as JSON-able values."""
        return {"kind": "item bias", "order": self.order, "items": self._rows()}

    def _rows(self) -> list[dict[str, Any]]:
        pairs = zip(self.item_ids.tolist(), self.bias.tolist(), strict=True)
        return [{"item_id": item, "bias": bias} for item, bias in pairs]

    def report(self) -> Report:
        """Return the items that the bias lowers and raises most as a page."""
        rows, order = self._rows(), np.argsort(self.bias, kind="stable")
        columns = [Column("item_id", "Item"), Column("bias", "Bias", format="+.4f")]
        tables = [
            Table(columns, [rows[i] | {"item_id": str(rows[i]["item_id"])} for i in some], title=title)
            for title, some in (("Lowered most", order[:_SHOWN]), ("Raised most", order[::-1][:_SHOWN]))
        ]
        lede = "**Add each item's bias to its score**, for every user alike, and show the items whose sums are highest."
        if self.order != 1:
            lede += f" Order them by the score and {self.order:g} of the bias."
        return Report(f"A bias for {counted(len(rows), 'item')}", tables, lede)


@checked
def item_bias(source: Any, *, item_ids: Any = None) -> BiasTable:
    """Return the number that a correction adds to the scores of each item.

    Parameters
    ----------
    source : Correction, Vectors, or array of shape (n_items,)
        A result of :func:`headtail.correct` that chose an item bias (a tilt, the log penalty); vectors with the bias as
        their last coordinate, as :func:`headtail.tilt` and :func:`headtail.penalize_popularity` return; or the numbers.
    item_ids : sequence of ids, optional
        Ids of vectors or numbers without ids; row numbers by default.

    Returns
    -------
    BiasTable
        In the order of the source.

    Raises
    ------
    NotAvailableError
        If the correction adds no bias to items.

    Examples
    --------
    >>> vectors = ht.Vectors(np.eye(2), np.array([[3.0, 1.0], [1.0, 3.0]]), item_ids=["x", "y"])
    >>> item_bias(ht.penalize_popularity(vectors, popularity=[9, 0], strength=0.1)).bias.round(2)
    array([-0.23, -0.  ])
    """
    order = 1.0
    if hasattr(source, "made") and hasattr(source, "subject"):
        source, found = source.made, source
        if not isinstance(source, ItemBias):
            name = found.dial.name if found.dial else "the recommender as it is"
            raise NotAvailableError(
                f"{name} adds no number to items. Serve its .vectors, or its .lists; a tilt or log penalty has a bias."
            )
    if isinstance(source, ItemBias):
        values, order, item_ids = source.bias, source.order, source.subject.split.train.item_ids
    elif isinstance(source, tuple | list) and len(source) == 2 and np.ndim(source[0]) == 2:
        pair = with_given_ids(as_pair(*source)._replace(item_ids=getattr(source, "item_ids", None)), item_ids=item_ids)
        item_ids = pair.item_ids
        if not np.array_equal(to_numpy(pair.queries[:, -1]), np.ones(len(pair.queries))):
            raise InvalidInputError(
                "The last coordinate of the queries is not 1, so that these vectors hold no bias. Give vectors of "
                "tilt or penalize_popularity, or the bias itself."
            )
        values = to_numpy(pair.items[:, -1])
    else:
        values = source
        item_ids = axis_ids(source, 0) if item_ids is None else item_ids
    return BiasTable(np.arange(np.size(values)) if item_ids is None else item_ids, values, order)


# -- requests, each as the documentation of its database has it --------------------------------------------------------


def _qdrant(table: BiasTable, k: int, n: int, field: str) -> str:
    query: dict[str, Any] = {
        "prefetch": {"query": "<query>", "limit": n},
        "query": {"formula": {"sum": ["$score", field]}},
        "limit": k,
    }
    if table.order != 1:
        again = {"sum": ["$score", {"mult": [table.order - 1, field]}]}
        query = {"prefetch": query, "query": {"formula": again}, "limit": k}
    return json.dumps(query, indent=2)


def _milvus(table: BiasTable, k: int, n: int, field: str) -> str:
    def by(weight: float) -> list[dict[str, Any]]:
        added = {"name": "num_combine", "args": [{"column": "$score"}, {"column": field}],
                 "params": {"mode": "weighted", "weights": [1, weight]}}  # fmt: skip
        return [
            {"op": "map", "outputs": ["$score"], "expr": added},
            {"op": "sort", "inputs": ["$score"], "params": {"column": "$score", "desc": True}},
        ]

    ops = [*by(1), {"op": "limit", "params": {"limit": k}}, *(by(table.order - 1) if table.order != 1 else [])]
    chain = {"name": "bias", "stage": "FunctionChainStageL2Rerank", "ops": ops}
    query = {"collectionName": "<collection>", "data": ["<query>"], "annsField": "<vector>", "limit": n}
    return json.dumps({**query, "functionChains": [chain]}, indent=2)


def _rescore(table: BiasTable, k: int, n: int, field: str) -> str:
    def by(source: str, params: dict[str, float], window: int) -> dict[str, Any]:  # no script may be below 0
        script = {"query": {"match_all": {}}, "script": {"source": source, "params": params}}
        query = {"score_mode": "total", "rescore_query": {"script_score": script}}
        return {"window_size": window, "query": query}

    value, low, high = f"doc['{field}'].value", float(table.bias.min()), float(table.bias.max())
    stages = [by(f"Math.max(0, {value} - params.lowest)", {"lowest": low}, n)]
    if table.order != 1:
        source = f"Math.max(0, params.part * (params.highest - {value}))"
        stages.append(by(source, {"highest": high, "part": 1 - table.order}, k))
    return json.dumps({"size": k, "rescore": stages}, indent=2)


def _pgvector(table: BiasTable, k: int, n: int, field: str) -> str:
    asked = f"SELECT item_id, -(embedding <#> <query>) AS score FROM items ORDER BY embedding <#> <query> LIMIT {n}"
    joined = f"FROM ({asked}) found\nJOIN item_bias USING (item_id)\nORDER BY score + {field} DESC LIMIT {k}"
    if table.order == 1:
        return f"SELECT item_id, score + {field} AS score\n{joined}"
    inner = f"SELECT item_id, score, {field}\n{joined}"
    by = f"score + {table.order:g} * {field}"
    return f"SELECT item_id, {by} AS score FROM (\n{inner}\n) best ORDER BY {by} DESC"


_WRITERS: dict[str, Callable[[BiasTable, int, int, str], str]] = {
    "qdrant": _qdrant, "milvus": _milvus, "elasticsearch": _rescore, "opensearch": _rescore, "pgvector": _pgvector,
}  # fmt: skip
