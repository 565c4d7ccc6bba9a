"""Spark reads, audits and makes lists as one machine does; all in one file, so that one process starts Spark."""

import os
import shutil
import sys

import polars as pl
import pytest

import headtail as ht
from headtail import allocation, engines
from headtail.metrics import gini, ndcg

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
    # Plans of small tables take longer to compile and to adapt than to run.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


@pytest.fixture(scope="module")
def spark():
    """Return a local Spark session of two executing threads."""
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("Spark needs Java, and there is none on this machine")
    sql = pytest.importorskip("pyspark.sql")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers know what this process knows
    session = sql.SparkSession.builder.master("local[2]").appName("headtail-tests").config(map=SETTINGS).getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def split():
    world = ht.datasets.power_law(60, 30, n_interactions=350, rng=0)
    return world, ht.split_ratio(world.interactions, rng=0)


def placed(spark, table, *columns):
    table = table.to_polars().select(*columns) if columns else table
    return spark.createDataFrame(table.to_arrow())


def test_an_audit_in_spark_is_that_in_memory(spark, split):
    """A mean over users and a number of counts: Spark takes seconds for each query, however small."""
    world, parts = split
    pair, options = ("user_id", "item_id"), {"metrics": [ndcg, gini], "k": 5, "strict": False}
    recs = ht.recommend((world.queries, world.items), parts.train, k=20)
    theirs = ht.audit(recs, parts.train, parts.test, **options)
    recs = pl.DataFrame({name: recs.to_polars()[name].cast(pl.Int64) for name in (*pair, "rank")})
    ours = engines.audit(
        placed(spark, recs), placed(spark, parts.train, *pair), placed(spark, parts.test, *pair), **options
    )
    assert [m.name for m in ours.measurements] == ["ndcg@5", "gini@5"]
    for a, b in zip(ours.measurements, theirs.measurements, strict=True):
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), rel=1e-12)
    assert ours.over_exposed == theirs.over_exposed


def test_an_allocation_in_two_partitions_is_that_of_one_machine(spark, split):
    world, parts = split
    vectors = ht.Vectors(world.queries, world.items, parts.train.user_ids, parts.train.item_ids)
    users = pl.DataFrame({"user_id": vectors.user_ids, "vector": world.queries.tolist()}).join(
        parts.train.to_polars().group_by("user_id").agg(seen="item_id"), on="user_id", how="left"
    )
    long = ht.recommend(vectors, parts.train, k=12)
    relevance = allocation.calibrate(long, parts.train, parts.test, k=5)
    prices = allocation.allocation_bias(long, relevance(long, parts.train), strength=0.2, k=5, n_users=30)

    def correct(recs, known):
        return allocation.allocate(recs, relevance(recs, known), prices, k=5)

    there = engines.recommend(
        placed(spark, users).repartition(2), vectors.items, vectors.item_ids, k=12, correct=correct
    )
    ours = pl.DataFrame([row.asDict() for row in there.collect()]).sort("user_id", "rank")
    theirs = correct(long, parts.train).to_polars().sort("user_id", "rank")
    assert ours.select("user_id", "item_id", "rank").rows() == theirs.select("user_id", "item_id", "rank").rows()


def test_a_spark_frame_is_read_as_any_other(spark):
    columns = {"userId": ["ann", "bob", "ann"], "movieId": [30, 10, 10], "rating": [4.5, 1.0, 3.0]}
    columns["junk"] = ["x", None, "y"]
    expected, found = (
        ht.Interactions.from_frame(make(pl.DataFrame(columns)), min_rating=2)
        for make in (pl.DataFrame, lambda table: placed(spark, table))
    )
    assert sorted(found.to_polars().rows()) == sorted(expected.to_polars().rows())
    assert found.user_ids.tolist() == expected.user_ids.tolist() == ["ann"]
