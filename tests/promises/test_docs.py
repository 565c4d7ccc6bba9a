"""The documentation builds without warnings, and its code runs as it stands."""

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", [path.name for path in sorted(DOCS.glob("*.md")) if "```python" in path.read_text()])
def test_blocks_of_a_page_run_as_one_session(page, few_tweets, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in re.findall(
        r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    ):
        exec(compile(block, page, "exec"), namespace)


def _broken(site):
    """Return the links within the site that lead nowhere, anchors too."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    anchors = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    broken = []
    for page, text in pages.items():
        for link in {unescape(link) for link in re.findall(r'\b(?:href|src)="([^"]+)"', text)}:
            path, _, anchor = unquote(link).partition("#")
            target = (page.parent / path.partition("?")[0]).resolve() if path else page
            known = anchors.get(target, {anchor})
            if not re.match(r"[a-z]+:|//", link) and not (target.exists() and (not anchor or anchor in known)):
                broken.append((page.name, link))
    return broken


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
    assert _broken(tmp_path / "site") == []
    headless = [
        page.name for page in DOCS.glob("*.md") if re.search(r"^\| \| .*\n\|-", page.read_text(encoding="utf-8"), re.M)
    ]
    assert headless == []  # a screen reader has no name for such a column
    figures = sorted(path.name for path in (DOCS / "figures").glob("*.svg"))
    assert figures == sorted(path.name for path in (tmp_path / "site" / "_images" / "narrow").iterdir())
    for page in ("explain.html", "scale.html"):  # alone and several in a paragraph
        shown = (tmp_path / "site" / page).read_text(encoding="utf-8")
        assert shown.count("<picture>") == shown.count("<img ") == shown.count('srcset="_images/narrow/') == 4
    assert 'id="headtail.audit"' in (tmp_path / "site" / "generated" / "headtail.html").read_text(encoding="utf-8")
