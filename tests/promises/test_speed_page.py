import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_page_of_speed_is_that_of_its_record(run, tmp_path):
    page = tmp_path / "speed.md"
    run(ROOT / "benchmarks" / "speed.py", "--page", page)
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_bench_needs_no_peers():
    said = subprocess.run(["make", "-n", "bench"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert any(line.strip().endswith("benchmarks/speed.py --threads 1") for line in said.splitlines())
