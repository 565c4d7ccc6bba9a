"""What several test modules need: real data that may not ship."""

import os

# Small steps gain nothing from a second thread, and lose much of their time where the machine is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
from hypothesis import settings

SHARED = Path(__file__).parents[2] / "shared" / "data"

# A busy machine is no failure; other examples are drawn in every run, and `make fuzz` draws many.
settings.register_profile("patient", deadline=None, max_examples=40)
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
