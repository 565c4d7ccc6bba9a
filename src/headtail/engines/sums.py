"""What a query sums up for each user: over the list, the history, the wanted items, and those that were found."""

from typing import Any

import narwhals as nw
import numpy as np

from headtail._frames import from_ids
from headtail.engines.tables import placed_beside
from headtail.typing import Array

RANKS = 50  # a float counts as many powers of two exactly


class UserSums:
    """Sums that metrics ask for, each known by a column's name, and the one table of all users that holds them.

    Parameters
    ----------
    item_ids : array of shape (I,)
        The catalogue.
    k : int
        The longest list that counts.
    recs, train : lazy tables
    test : lazy table, optional
    """

    def __init__(self, item_ids: Array, k: int, recs: Any, train: Any, test: Any = None) -> None:
        self.item_ids, self.k = item_ids, k
        self._tables = {"list": recs, "history": train, "wanted": test, "hit": None}
        if test is not None:
            self._tables["hit"] = test.join(recs.filter(nw.col("rank") <= k), on=["user_id", "item_id"], how="inner")
        self._values: list[Array] = []
        self._sums: dict[str, dict[str, Any]] = {name: {} for name in self._tables}

    def list(self, values: Array, k: int) -> Any:
        """Return the sum of item values over the first k places of a user's list."""
        return self._asked("list", f"v{self._column(values)}", k)

    def history(self, values: Array) -> Any:
        """Return the sum of item values over a user's training interactions."""
        return self._asked("history", f"v{self._column(values)}")

    def wanted(self, values: Array) -> Any:
        """Return the sum of item values over a user's test interactions."""
        return self._asked("wanted", f"v{self._column(values)}")

    def hits(self, values: Array, k: int) -> Any:
        """Return the sum of item values over the test items in the first k places."""
        return self._asked("hit", f"v{self._column(values)}", k)

    def gain(self, values: Array, k: int) -> Any:
        """Return the same, each place at rank r counting 1 / log2(r + 1)."""
        return self._asked("hit", f"v{self._column(values)}", k, "gain")

    def first(self, values: Array, k: int) -> Any:
        """Return 1 / rank of the first such test item whose value is not 0; 0 where there is none."""
        return self._asked("hit", f"v{self._column(values)}", k, "first")

    def _column(self, values: Array) -> int:
        """Return the place of a column of item values, which is stored once."""
        values = np.asarray(values, dtype=np.float64)
        for place, known in enumerate(self._values):
            if np.array_equal(known, values):
                return place
        self._values.append(values)
        return len(self._values) - 1

    def _asked(self, table: str, column: str, k: int | None = None, form: str = "sum") -> Any:
        value = nw.col(column)
        if form == "gain":
            value = value / (nw.col("rank") + 1).log(2)
        elif form == "first":
            value = value / nw.col("rank")
        if k is not None and k < self.k:
            value = nw.when(nw.col("rank") <= k).then(value).otherwise(nw.lit(0.0))
        name = f"{table}_{form}_{column}_{k}"
        self._sums[table][name] = value.alias(name)
        return nw.col(name)

    @property
    def has_test(self) -> bool:
        """Whether there are wanted items."""
        return self._tables["wanted"] is not None

    def gaps(self) -> Any:
        """Return whether the first k ranks of a user are other than 1, 2, 3 ... as far as the list reaches."""
        wrong = nw.lit(False)
        for start in range(0, self.k, RANKS):
            end = min(RANKS, self.k - start)
            n = nw.col("n") - start
            places = nw.when(n < 0).then(nw.lit(0.0)).otherwise(nw.when(n > end).then(nw.lit(float(end))).otherwise(n))
            wrong = wrong | (nw.col(f"filled_{start}") != nw.lit(2.0) ** places - 1)
        return wrong

    def table(self) -> Any:
        """Return a row for each user who has a list or wants something, with all sums that were asked for.

        Beside them `n` and `high`, the number of items of the whole list and its last rank.
        """
        import polars as pl

        wants = self.wanted(np.ones(len(self.item_ids))) > 0 if self.has_test else nw.lit(False)
        ids = from_ids(self.item_ids, np.arange(len(self.item_ids), dtype=np.int32))
        values = {f"v{n}": column for n, column in enumerate(self._values)}
        items = placed_beside(self._tables["list"], pl.DataFrame({"item_id": ids} | values))
        parts = []
        for name, table in self._tables.items():
            if table is None or (not (sums := self._sums[name]) and name != "list"):
                continue
            columns = [column for column in values if any(f"_{column}_" in key for key in sums)]
            rows = table.join(items.select("item_id", *columns), on="item_id", how="left") if columns else table
            if name == "list":
                inside = nw.col("rank") <= self.k
                kept = [nw.when(inside).then(value).otherwise(nw.lit(0.0)).alias(key) for key, value in sums.items()]
                rows = rows.select(
                    "user_id", *kept, *_filled(self.k), n=nw.lit(1.0), high=nw.col("rank").cast(nw.Float64)
                )
                total = [nw.col(c).max() if c == "high" else nw.col(c).sum() for c in rows.collect_schema().names()[1:]]
            else:
                rows = rows.select("user_id", *sums.values())
                total = [nw.col(c).max() if "_first_" in c else nw.col(c).sum() for c in sums]
            parts.append(rows.group_by("user_id").agg(*total))
        names = list(dict.fromkeys(name for part in parts for name in part.collect_schema().names()))
        whole = []
        for part in parts:
            there = part.collect_schema().names()
            whole.append(part.select(*[nw.col(c) if c in there else nw.lit(0.0).alias(c) for c in names]))
        users = nw.concat(whole, how="vertical").group_by("user_id").agg(nw.col(*names[1:]).sum())
        return users.filter((nw.col("n") > 0) | wants)


def _filled(k: int) -> list[Any]:
    """Return columns whose sums over a list of n places are 2^n - 1 only if each of its ranks is there once.

    A sum of n powers of two has n ones in binary only if they are distinct; so for each 50 ranks.
    """
    rank, found = nw.col("rank"), []
    for start in range(0, k, RANKS):
        inside = (rank > start) & (rank <= min(start + RANKS, k))
        power = nw.when(inside).then(rank - start - 1).otherwise(nw.lit(0)).cast(nw.Float64)
        found.append(nw.when(inside).then(nw.lit(2.0) ** power).otherwise(nw.lit(0.0)).alias(f"filled_{start}"))
    return found
