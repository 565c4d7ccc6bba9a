"""The page on scale holds what its records hold."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_of_the_page_are_made_from_its_records(tmp_path):
    scripts = ("scale.py", "engines.py", "commands.py", "devices.py", "serving.py", "vector_indexes.py")
    for name in (*scripts, *(f"records/{each}.json" for each in ("scale", "engines", "commands", "devices"))):
        (tmp_path / "benchmarks" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "benchmarks" / name, tmp_path / "benchmarks" / name)
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    page = tmp_path / "docs" / "scale.md"
    page.parent.mkdir()
    page.write_text(
        text.replace("| split_ratio |", "| spoilt |")
        .replace("| duckdb", "| spoilt")
        .replace("| `headtail audit", "| `spoilt")
        .replace("| fit, MF", "| spoilt"),
        encoding="utf-8",
    )
    for name in scripts[:4]:
        subprocess.run([sys.executable, str(tmp_path / "benchmarks" / name), "--page", str(page)], check=True)
    assert page.read_text(encoding="utf-8") == text
    drawn, shown = (sorted(file.name for file in (root / "docs/figures").glob("scale-*")) for root in (tmp_path, ROOT))
    assert drawn == shown
