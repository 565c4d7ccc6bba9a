"""What a query sums up for each user: over the list, the history, the wanted items, and those that were found."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from headtail._frames import from_ids
from headtail.engines.tables import either, in_parts, placed_beside
from headtail.typing import Array

USERS = 6_000_000  # whose sums Polars holds at a time, some 30 numbers each
RANKS = 50  # a float counts as many powers of two exactly


class UserSums:
    """Sums that metrics ask for, each known by a column's name, and the one table of all users that holds them.

    `groups` are masks (I,) of items, each item in one: sums over all items need no column of their own beside those
    over each. `k` is the longest list that counts; `recs`, `train` and `test` are lazy tables.
    """

    def __init__(
        self, item_ids: Array, groups: Sequence[Array], k: int, recs: Any, train: Any, test: Any = None
    ) -> None:
        self.item_ids, self.groups, self.k = item_ids, groups, k
        self._tables = {"list": recs, "history": train, "wanted": test, "hit": None}
        if test is not None:
            self._tables["hit"] = test.join(recs.filter(nw.col("rank") <= k), on=["user_id", "item_id"], how="inner")
        self._values: list[Array] = []
        self._sums: dict[str, dict[tuple[str, int, int | None], Any]] = {name: {} for name in self._tables}

    def list(self, values: Array, k: int) -> Any:
        """Return the sum of item values over the first k places of a user's list."""
        return self._asked("list", values, k)

    def history(self, values: Array) -> Any:
        """Return the sum of item values over a user's training interactions."""
        return self._asked("history", values)

    def wanted(self, values: Array) -> Any:
        """Return the sum of item values over a user's test interactions."""
        return self._asked("wanted", values)

    def wants(self) -> Any:
        """Return whether a user has test interactions."""
        there = self._tables["wanted"] is not None
        return self.wanted(np.ones(len(self.item_ids))) > 0 if there else nw.lit(False)

    def hits(self, values: Array, k: int) -> Any:
        """Return the sum of item values over the test items in the first k places."""
        return self._asked("hit", values, k)

    def gain(self, values: Array, k: int) -> Any:
        """Return the same, each place at rank r counting 1 / log2(r + 1)."""
        return self._asked("hit", values, k, "gain")

    def first(self, values: Array, k: int) -> Any:
        """Return 1 / rank of the first such test item whose value is not 0; 0 where there is none."""
        return self._asked("hit", values, k, "first")

    def _column(self, values: Array) -> int:
        """Return the place of a column of item values, which is stored once."""
        values = np.asarray(values, dtype=np.float64)
        for place, known in enumerate(self._values):
            if np.array_equal(known, values):
                return place
        self._values.append(values)
        return len(self._values) - 1

    def _asked(self, table: str, values: Array, k: int | None = None, form: str = "sum") -> Any:
        column = self._column(values)
        value = nw.col(f"v{column}")
        if form == "gain":
            value = value / (nw.col("rank") + 1).log(2)
        elif form == "first":
            value = value / nw.col("rank")
        if k is not None and k < self.k:
            value = either(nw.col("rank") <= k, value)
        name = _name(table, form, column, k)
        self._sums[table][form, column, k] = value.alias(name)
        return nw.col(name)

    def _totals(self) -> dict[str, Any]:
        """Return the sums over all items, as sums of those over the groups where all of these are asked for."""
        everything, *groups = map(self._column, (np.ones(len(self.item_ids)), *self.groups))
        return {
            _name(table, form, everything, k): reduce(add, (nw.col(_name(table, form, group, k)) for group in groups))
            for table, sums in self._sums.items()
            for form, column, k in sums
            if column == everything
            and everything not in groups
            and form != "first"
            and all((form, group, k) in sums for group in groups)
        }

    def gaps(self) -> Any:
        """Return whether the first k ranks of a user are other than 1, 2, 3 ... as far as the list reaches."""
        wrong = nw.lit(False)
        for start in range(0, self.k, RANKS):
            end = min(RANKS, self.k - start)
            n = nw.col("n") - start
            places = either(n > 0, nw.when(n > end).then(nw.lit(float(end))).otherwise(n))
            wrong = wrong | (nw.col(f"filled_{start}") != nw.lit(2.0) ** places - 1)
        return wrong

    def tables(self, n_users: float) -> Iterator[Any]:
        """Yield tables with a row for each user who has a list or wants something, with all sums that were asked for.

        Beside them `n` and `high`, the number of items of the whole list and its last rank. Where the engine holds all
        groups in memory, there are as many tables as keep that from growing with the users.
        """
        yield from map(self._table, in_parts(self._tables, n_users / USERS))

    def _table(self, tables: Mapping[str, Any]) -> Any:
        wants, totals = self.wants(), self._totals()
        ids = from_ids(self.item_ids, np.arange(len(self.item_ids), dtype=np.int32))
        values = {f"v{n}": column for n, column in enumerate(self._values)}
        items = placed_beside(self._tables["list"], pl.DataFrame({"item_id": ids} | values))
        parts = []
        for what, table in tables.items():
            sums = {_name(what, *key): (*key, value) for key, value in self._sums[what].items()}
            sums = {name: found for name, found in sums.items() if name not in totals}
            if not sums and what != "list":
                continue
            columns = list(dict.fromkeys(f"v{column}" for _, column, *_ in sums.values()))
            rows = table.join(items.select("item_id", *columns), on="item_id", how="left") if columns else table
            asked = [value.alias(name) for name, (*_, value) in sums.items()]
            highest = [name for name, (form, *_) in sums.items() if form == "first"]
            if what == "list":
                inside = nw.col("rank") <= self.k
                asked = [either(inside, value).alias(name) for name, (*_, value) in sums.items()]
                asked += [*_filled(self.k), nw.lit(1.0).alias("n"), nw.col("rank").cast(nw.Float64).alias("high")]
                highest = ["high"]
            rows = rows.select("user_id", *asked)
            names = rows.collect_schema().names()[1:]
            total = [nw.col(name).max() if name in highest else nw.col(name).sum() for name in names]
            parts.append(rows.group_by("user_id").agg(*total))
        names = list(dict.fromkeys(name for part in parts for name in part.collect_schema().names()))
        whole = []
        for part in parts:
            there = part.collect_schema().names()
            whole.append(part.select(*[nw.col(c) if c in there else nw.lit(0.0).alias(c) for c in names]))
        users = nw.concat(whole, how="vertical").group_by("user_id").agg(nw.col(*names[1:]).sum())
        return users.select(nw.all(), **totals).filter((nw.col("n") > 0) | wants)


def _name(table: str, form: str, column: int, k: int | None) -> str:
    return f"{table}_{form}_{column}_{k}"


def _filled(k: int) -> list[Any]:
    """Return columns whose sums over a list of n places are 2^n - 1 only if each of its ranks is there once.

    A sum of n powers of two has n ones in binary only if they are distinct; so for each 50 ranks.
    """
    rank, found = nw.col("rank"), []
    for start in range(0, k, RANKS):
        inside = (rank > start) & (rank <= min(start + RANKS, k))
        power = either(inside, (rank - start - 1).cast(nw.Float64))
        found.append(either(inside, nw.lit(2.0) ** power).alias(f"filled_{start}"))
    return found
