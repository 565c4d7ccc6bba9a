"""Exposure by attributes of items, such as provider, genre or language."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from headtail import _frames
from headtail._columns import normalized, resolve_columns
from headtail._printable import counted
from headtail._spelling import respelled
from headtail._stats import gini
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.metrics.facts import better
from headtail.metrics.topk import Metric, TopK
from headtail.metrics.user_groups import ByGroup, UserGroups
from headtail.typing import Array, Floats, IntoFrame

MISSING = "missing"


@dataclass(frozen=True, eq=False)
class Attribute:
    """The values of one attribute of each item; an item of several values counts in equal parts for each."""

    name: str
    values: Array  # texts, (V,)
    weights: sp.csr_array  # (I, V), of which each item's row sums to 1

    @property
    def metric(self) -> str:
        """Name of the metric of unevenness."""
        return metric_name(self.name)

    def of(self, counts: Array) -> Floats:
        """Sum counts of items, shape (I,), by value: shape (V,)."""
        return np.asarray(counts @ self.weights, dtype=np.float64)

    def shares(self, tops: Mapping[int, TopK]) -> list[dict[str, Any]]:
        """Return a row for each value: its share of the items, the training interactions, and the slots at each k."""
        first = next(iter(tops.values()))
        counts = {"items": np.ones(len(first.popularity)), "training": first.popularity}
        counts |= {f"recommendations@{k}": top.slots for k, top in tops.items()}
        columns = {name: self.of(values) / max(1, values.sum()) for name, values in counts.items()}
        order = np.lexsort((self.values, -columns["training"]))
        return [
            {"attribute": self.name, "value": str(self.values[v])}
            | {name: float(share[v]) for name, share in columns.items()}
            for v in order.tolist()
        ]

    @property
    def unevenness(self) -> Metric:
        """The metric of how unevenly exposure spreads over the values."""
        title, influence = f"Inequality of exposure between values of {self.name}", ByGroup(self._uneven_by_group)
        facts = better("lower", title=title, low=0, high=1, influence=influence, family="exposure")
        return facts(_Unevenness(self))

    def _uneven_by_group(self, groups: UserGroups) -> tuple[Floats, Floats]:
        cells, g = groups.cells, np.arange(len(groups.sizes))
        shown = np.flatnonzero(cells.slots)
        group, picked = cells.group[shown], self.weights[cells.items[shown]]
        of_group = sp.csr_array((cells.slots[shown], (group, np.arange(len(shown)))), shape=(len(g), len(shown)))
        exposure = np.asarray((of_group @ picked).todense(), dtype=np.float64)  # (G, V)
        n, total = exposure.shape[1], exposure.sum(axis=1)
        apart = exposure + (g * (exposure.max(initial=0.0) + 1))[:, None]
        ordered = np.sort(apart, axis=None)
        places = np.searchsorted(ordered, apart) + np.searchsorted(ordered, apart, side="right")
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN without slots
            value = np.sort(exposure, axis=1) @ (2.0 * np.arange(n) + 1 - n) / (n * total)
            # Derivative of the Gini index by the slots of each value; ties count in the middle.
            slope = ((places - (2 * g[:, None] + 1) * n) / n - value[:, None]) / total[:, None]
        picked.data *= slope[np.repeat(group, np.diff(picked.indptr)), picked.indices]
        by_cell = np.zeros(len(cells.slots))
        by_cell[shown] = picked.sum(axis=1)
        return value, groups.where_enough_decide(groups.jackknife(-groups.over_lists(by_cell)))


class _Unevenness:
    """The inequality of exposure between an attribute's values."""

    def __init__(self, of: Attribute) -> None:
        self.of, self.__name__ = of, of.metric
        self.__doc__ = (
            f"Inequality of exposure between the {len(of.values)} values of {of.name}: 0 if all get the same, "
            f"1 - 1/n if one gets all. As `gini`, over values in place of items; an item of several values counts in "
            f"equal parts for each. Range 0 to 1, lower is more even."
        )

    def __call__(self, top: TopK) -> float:
        return gini(self.of.of(top.slots))


def metric_name(attribute: str) -> str:
    """Return the name of the metric of an attribute's unevenness."""
    return f"gini_of_{normalized(attribute)}"


def one_a_row(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return a table with a row for each value of a column of lists, or of text with values separated by "|"."""
    if table[name].dtype == pl.String:
        table = table.with_columns(pl.col(name).str.split("|"))
    return table.explode(name) if isinstance(table[name].dtype, (pl.List, pl.Array)) else table


def read_columns(frame: IntoFrame, role: str, what: str, attribute: str) -> tuple[pl.DataFrame, list[str]]:
    """Return a frame of ids and attributes as a table, and the names of the attributes."""
    frame = _frames.as_native(frame, what, (role, attribute))
    names = _frames.column_names(frame, what)
    key = resolve_columns(names, [role], what=what)[role]
    columns = {str(name): name for name in names if name != key}
    if not columns or len(set(map(normalized, columns))) < len(names) - 1:
        raise InvalidInputError(f"{what} has the columns {names}. Give the ids and attributes, each of another name.")
    given = {role: key} | columns
    return _frames.to_table(frame, required=(role,), optional=list(columns), given=given, what=what), list(columns)


def read_attributes(items: IntoFrame, train: Interactions, notes: list[str]) -> list[Attribute]:
    """Read the attributes of the catalogue's items: all columns except the ids."""
    table, names = read_columns(items, "item_id", "items", "attribute")
    codes = _frames.lookup(table["item_id"], train.item_ids, "items item_id")
    if unknown := int((codes < 0).sum()):
        strange = _frames.to_ids(table["item_id"].filter(codes < 0).unique().sort())
        alike = respelled(strange, train.item_ids, "item_id")
        notes.append(f"Left out: {counted(unknown, 'row')} of items that are not in the catalogue.{alike}")
    table = table.with_columns(item_id=codes).filter(codes >= 0)
    everything = pl.DataFrame({"item_id": np.arange(train.n_items, dtype=np.int32)})
    found = []
    for name in names:
        column = one_a_row(table.select("item_id", value=name), "value")
        column = column.with_columns(value=_frames.labels(column["value"], "items")).unique()
        several = (column["value"] == MISSING) & column["item_id"].is_duplicated()
        column = everything.join(column.filter(~several), on="item_id", how="left").fill_null(MISSING)
        labels, values = _frames.encode(column["value"])
        rows = column["item_id"].to_numpy()
        weights = 1 / np.bincount(rows, minlength=train.n_items)[rows]
        shape = (train.n_items, len(labels))
        found.append(Attribute(name, labels, sp.csr_array((weights, (rows, values)), shape=shape)))
        if lacking := int((column["value"] == MISSING).sum()):
            notes.append(f"Without {name}: {lacking:,} of {counted(train.n_items, 'item')}, shown as {MISSING!r}.")
    return found
