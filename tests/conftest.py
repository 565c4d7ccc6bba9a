"""What several test modules need: real data that may not ship, and a Spark session."""

import os

# Small steps gain nothing from a second thread, and lose much of their time where the machine is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

SHARED = Path(__file__).parents[2] / "shared" / "data"

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared_data():
    """Return a function from the name of a set to its folder; it skips the test where there is none."""

    def folder(name):
        path = SHARED / name
        if not path.is_dir():
            pytest.skip(f"the data set {name} is not at {path}; it may not ship with the package")
        return path

    return folder


@pytest.fixture(scope="session")
def spark():
    """Return a small local Spark session."""
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("Spark needs Java, and there is none on this machine")
    sql = pytest.importorskip("pyspark.sql")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers know what this process knows
    session = (
        sql.SparkSession.builder.master("local[1]")
        .appName("headtail-tests")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    yield session
    session.stop()
