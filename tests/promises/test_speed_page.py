import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_page_of_speed_is_that_of_its_record(tmp_path):
    page = tmp_path / "speed.md"
    command = [sys.executable, str(ROOT / "benchmarks" / "speed.py"), "--page", str(page)]
    subprocess.run(command, check=True)
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
