"""The explorer's page as text: complete in itself, allowed by its own policy, and safe from what others wrote."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from headtail.reports.explorer import MODULES, Explorer

HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(1)> <!-- ]]> & "' \u2028 \u202e \0 \ud800"""


class Parts(HTMLParser):
    """Collects elements with their attributes, and the text in scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inner, self.open = [], {}, None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open = (tag, dict(attrs).get("type")) if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open:
            self.inner[self.open] = self.inner.get(self.open, "") + data


@pytest.fixture(scope="module")
def page():
    return Explorer({"verdict": HOSTILE, "items": {"titles": [HOSTILE]}, "value": float("nan")}).to_html()


def test_what_others_wrote_stays_data(page):
    parts = Parts(page)
    assert [tag for tag, _ in parts.tags].count("script") == 2
    assert not [tag for tag, _ in parts.tags if tag in ("img", "link", "iframe", "object")]
    data = json.loads(parts.inner["script", "application/json"])
    assert data == {"verdict": HOSTILE, "items": {"titles": [HOSTILE]}, "value": None, "looks": []}
    assert "\u2028" not in page and "alert(1)</" not in page
    page.encode("utf-8")


def test_the_policy_allows_this_script_and_style_and_nothing_else(page):
    parts = Parts(page)
    policy = next(attrs["content"] for tag, attrs in parts.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for rule, key in (("script-src", ("script", "module")), ("style-src", ("style", None))):
        digest = base64.b64encode(hashlib.sha256(parts.inner[key].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not [name for _, attrs in parts.tags for name in attrs if name.startswith("on") or name == "style"]
    assert not [attrs for _, attrs in parts.tags if "src" in attrs or "href" in attrs]
    outside = set(re.findall(r"https?://[\w./]+", page))
    assert outside == {"http://www.w3.org/2000/svg"}


def test_modules_are_joined_in_an_order_that_holds(page):
    script = Parts(page).inner["script", "module"]
    assert not re.search(r"^(import|export) ", script, flags=re.M)
    seen, own = set(), resources.files("headtail.reports.explorer")
    for name in MODULES:
        text = own.joinpath(f"{name}.js").read_text(encoding="utf-8")
        assert set(re.findall(r'^import .* from "\./(\w+)\.js";$', text, flags=re.M)) <= seen
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|\bFunction\(|fetch\(", text)
        seen.add(name)
    assert seen == {path.name[:-3] for path in own.iterdir() if path.name.endswith(".js")}
    names = re.findall(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", script, flags=re.M)
    assert sorted(set(names)) == sorted(names), "two modules name the same, which their joint scope cannot hold"


def test_same_data_same_bytes(page):
    assert Explorer({"verdict": "a", "k": 1}).to_html() == Explorer({"verdict": "a", "k": 1}).to_html() != page
