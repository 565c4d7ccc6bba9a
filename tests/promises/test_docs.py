"""The documentation builds without warnings, and its code runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", [path.name for path in sorted(DOCS.glob("*.md")) if "```python" in path.read_text()])
def test_blocks_of_a_page_run_as_one_session(page, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in re.findall(
        r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        exec(compile(block, page, "exec"), namespace)


def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("torch")
    for module in ("sphinx", "furo", "myst_parser", "numpydoc"):
        pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, tmp_path / "site"],
        capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    dictionary = (tmp_path / "site" / "generated" / "metrics.html").read_text(encoding="utf-8")
    assert "Inequality of exposure" in dictionary and "popularity_lift" in dictionary
    assert "(entropy)" in (tmp_path / "site" / "generated" / "dials.html").read_text(encoding="utf-8")
    assert 'id="headtail.audit"' in (tmp_path / "site" / "generated" / "headtail.html").read_text(encoding="utf-8")
