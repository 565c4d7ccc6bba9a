"""Tables of every engine and type: read as they are, or refused."""

import math

import hostile
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, strategies as st

from headtail import (
    MF,
    Interactions,
    Recommendations,
    Split,
    audit,
    baselines,
    compare,
    describe,
    fit,
    recommend,
    split_leave_last,
    split_ratio,
    split_time,
)

ENGINES = (
    lambda t: t,
    lambda t: t.lazy(),
    lambda t: t.to_arrow(),
    lambda t: t.to_arrow().combine_chunks().slice(0),
    lambda t: t.to_pandas(),
    lambda t: t.to_pandas(use_pyarrow_extension_array=True),
    lambda t: t.to_pandas().astype(object),
    lambda t: t.to_pandas().convert_dtypes(),
    lambda t: t.to_pandas().set_index(pd.Index([7] * len(t))),
    lambda t: t.to_pandas().astype({"user_id": "category", "item_id": "category"}),
    lambda t: t.cast({c: pl.Categorical for c in ("user_id", "item_id") if t[c].dtype == pl.String}),
    lambda t: t.select(pl.all().shrink_dtype()) if hasattr(pl.Expr, "shrink_dtype") else t,
    lambda t: t.with_columns(pl.all().reverse().reverse()),
    lambda t: t[::-1][::-1],
    lambda t: t.rename(lambda name: {"user_id": "userId", "item_id": "Movie-ID"}.get(name, name)),
    lambda t: t.select(reversed(t.columns)),
    lambda t: t.with_columns(pl.lit(None).alias("comment"), pl.lit([[1, 2]]).alias("tags"), pl.lit(b"x").alias("raw")),
)
ODD = (
    lambda t: t.cast({c: pl.Float64 for c in ("user_id", "item_id") if t[c].dtype == pl.Int64}),
    lambda t: t.cast({c: pl.Float32 for c in ("user_id", "item_id") if t[c].dtype == pl.Int64}),
    lambda t: t.cast({c: pl.Decimal(38, 0) for c in ("user_id", "item_id") if t[c].dtype == pl.Int64}),
    lambda t: t.cast({c: pl.UInt64 for c in ("user_id", "item_id") if t[c].dtype == pl.Int64}, strict=False),
    lambda t: t.cast({c: pl.Binary for c in ("user_id", "item_id") if t[c].dtype == pl.String}),
    lambda t: t.with_columns(pl.concat_list("user_id").alias("user_id")),
    lambda t: t.with_columns(pl.struct("user_id").alias("user_id")),
    lambda t: t.with_columns(pl.when(pl.int_range(pl.len()) > 0).then(pl.col("item_id")).alias("item_id")),
    lambda t: t.to_pandas().astype(object).iloc[1:].reindex(range(len(t))),
    lambda t: t.with_columns(timestamp=pl.lit(math.nan), rating=pl.lit(math.inf)),
    lambda t: t.with_columns(timestamp=pl.lit("2020-13-45"), rating=pl.lit("good")),
    lambda t: t.with_columns(timestamp=pl.lit(2**63).cast(pl.UInt64), rating=pl.lit(2**63).cast(pl.UInt64)),
    lambda t: t.with_columns(timestamp=pl.datetime(9999, 12, 31, time_zone="UTC"), order=pl.lit(0.5)),
    lambda t: t.with_columns(timestamp=pl.duration(days=1), rating=pl.lit(True)),
    lambda t: t.to_pandas().set_axis(range(t.width), axis=1),
    lambda t: t.to_pandas().pipe(lambda f: f.set_axis(pd.MultiIndex.from_product([["a"], f.columns]), axis=1)),
    lambda t: pd.concat([t.to_pandas(), t.to_pandas()], axis=1),
    lambda t: t.clear(),
    lambda t: pl.concat([t, t]),
)
ENGINE, ODDITY = st.sampled_from(ENGINES), st.sampled_from(ODD)


@given(table=hostile.tables(), engine=ENGINE)
def test_every_engine_gives_the_same_interactions(table, engine):
    found = hostile.attempt(Interactions.from_frame, engine(table))
    if found is hostile.REFUSED:
        assert hostile.names_a_gap(table)
        return
    assert hostile.pairs_of(found) == hostile.naive_pairs(table)
    if "rating" in table.columns:
        assert sorted(found.ratings.tolist()) == sorted(table["rating"].to_list())
    if "timestamp" in table.columns:
        assert found.timestamps.tolist() == table["timestamp"].to_list()


@given(table=hostile.tables(), odd=ODDITY, policy=st.sampled_from(["error", "first", "last", "mean"]))
def test_an_odd_table_is_read_right_or_refused(table, odd, policy):
    found = hostile.attempt(Interactions.from_frame, odd(table), duplicates=policy)
    if found is not hostile.REFUSED:
        assert hostile.pairs_of(found) == hostile.naive_pairs(table)


@given(table=hostile.tables(), engine=ENGINE | ODDITY, other=ENGINE | ODDITY, share=st.sampled_from([0.1, 0.5]))
def test_other_doors_take_the_same_tables(table, engine, other, share):
    hostile.attempt(describe, engine(table))
    hostile.attempt(Split.from_frames, engine(table), other(table), overlap="train")
    popular = hostile.attempt(baselines.most_popular, engine(table), 1, exclude_seen=False)
    if popular is not hostile.REFUSED:
        most = table["item_id"].value_counts()["count"].max()
        best = popular.to_polars()["item_id"].unique().to_list()
        assert len(best) == 1
        assert table.filter(pl.col("item_id").cast(pl.String) == str(best[0])).height == most


SCORES = (
    st.lists(st.integers(-128, 127), min_size=40, max_size=40).map(lambda v: pl.Series(v, dtype=pl.Int8)),
    st.lists(st.integers(0, 255), min_size=40, max_size=40).map(lambda v: pl.Series(v, dtype=pl.UInt8)),
    st.lists(st.integers(0, 2**64 - 1), min_size=40, max_size=40).map(lambda v: pl.Series(v, dtype=pl.UInt64)),
    st.lists(st.floats(width=32), min_size=40, max_size=40).map(lambda v: pl.Series(v, dtype=pl.Float32)),
    st.lists(st.floats(allow_nan=False), min_size=40, max_size=40).map(lambda v: pl.Series(v, dtype=pl.Float64)),
    st.lists(st.booleans(), min_size=40, max_size=40).map(pl.Series),
    st.lists(st.sampled_from(["9", "10", "x"]), min_size=40, max_size=40).map(pl.Series),
)


@given(table=hostile.tables(), scores=st.one_of(SCORES), left=ENGINE | ODDITY, right=ENGINE | ODDITY)
def test_an_audit_is_the_same_in_every_engine_and_ranks_by_score(table, scores, left, right):
    everyone, catalogue = table["user_id"].unique().sort(), table["item_id"].unique().sort()
    recs = pl.DataFrame({"user_id": everyone}).join(pl.DataFrame({"item_id": catalogue}), how="cross")
    recs = recs.with_columns(score=scores[: len(recs)])
    tops = []
    options = {"k": 1, "n_bootstrap": 0, "metrics": {"kept": lambda top: tops.append(top.items[:, 0]) or 1.0}}
    plain = hostile.attempt(audit, recs, table, k=1, n_bootstrap=0)
    twin = hostile.attempt(audit, left(recs), right(table), k=1, n_bootstrap=0)
    if hostile.REFUSED in (plain, twin):
        return
    assert [m.name for m in plain.measurements] == [m.name for m in twin.measurements]
    assert np.allclose([m.value for m in plain.measurements], [m.value for m in twin.measurements], equal_nan=True)
    hostile.attempt(compare, {"a": plain, "b": twin})
    audit(recs, table, **options)
    best = recs.sort("score", descending=True, maintain_order=True).unique("user_id", keep="first", maintain_order=True)
    assert catalogue.gather(tops[0]).to_list() == best.sort("user_id")["item_id"].to_list()
    assert math.isclose(plain["coverage@1"], best["item_id"].n_unique() / len(catalogue))


WRONG = {
    "no item": lambda t: t.drop("item_id"),
    "no user": lambda t: t.drop("user_id"),
    "repeated": lambda t: pl.concat([t, t]),
    "a gap": lambda t: t.with_columns(item_id=pl.lit(None, pl.Int64)),
    "text scores": lambda t: t.with_columns(rating=pl.lit("good"), score=pl.lit("good")),
    "no time": lambda t: t,
}
DOORS = (
    Interactions.from_frame, Interactions.of, Split.from_frames, Split.from_frame, Recommendations.from_frame, describe,
    baselines.most_popular, baselines.random_items, audit, split_ratio, split_leave_last, split_time, recommend, fit,
)  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
@pytest.mark.parametrize("door", DOORS)
def test_what_an_error_of_a_reader_advises_can_be_done(door, fault):
    table = WRONG[fault](pl.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 2]}))
    first = {recommend: [(np.eye(2), np.eye(2))], fit: [MF(2, 2, 2)]}.get(door, [])
    if hostile.attempt(door, *first, table, *[table] * (door in (audit, Split.from_frames))) is not hostile.REFUSED:
        assert fault in ("text scores", "no time")
