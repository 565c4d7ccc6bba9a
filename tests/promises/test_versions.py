"""The versions that the tests run with are those that pyproject.toml speaks of."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.lower().split("==") for line in lines if "==" in line)


def floors():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    stated = [*project["dependencies"], *extras["torch"], *extras["spark"], *extras["dev"]]
    return dict(re.split(">=", line.lower()) for line in stated if ">=" in line)


def test_the_lowest_versions_tested_are_the_floors():
    lowest = pins("constraints-oldest.txt")
    del lowest["torch"]  # earlier builds are only had with gigabytes of CUDA
    assert lowest == {name: floor for name, floor in floors().items() if name in lowest}
    assert {"numpy", "scipy", "narwhals", "polars", "rich", "cyclopts", "pandas", "duckdb"} < set(lowest)


def test_every_dependency_is_pinned():
    assert set(floors()) <= set(pins("constraints.txt"))
