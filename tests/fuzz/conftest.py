"""How long to fuzz: briefly with every test run, HEADTAIL_FUZZ inputs a test where that is set (`make fuzz`)."""

import os

import hostile
import pytest
from hypothesis import HealthCheck, Phase, settings

LONG = int(os.environ.get("HEADTAIL_FUZZ", "0"))
_COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
_COMMON["phases"] = [phase for phase in Phase if phase is not Phase.explain]


settings.register_profile("fuzz", max_examples=LONG or 100, **_COMMON)
settings.register_profile("fuzz, in short", max_examples=3, derandomize=True, database=None, **_COMMON)


def pytest_collection_modifyitems(items):
    """Give the tests of this folder, and no others, the profile of fuzzing."""
    profile = settings.get_profile("fuzz" if LONG else "fuzz, in short")
    for item in items:
        function = getattr(item, "obj", None)
        if item.path.parent == hostile.HERE and hasattr(function, "hypothesis"):
            function._hypothesis_internal_use_settings = profile


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Let what a hostile path makes land in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def pytest_sessionfinish(session):
    """Hand what this process has counted to the one that reports, where several share the tests."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["outcomes"] = dict(hostile.OUTCOMES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Add what a process has counted."""
    hostile.OUTCOMES.update(getattr(node, "workeroutput", {}).get("outcomes", {}))


def pytest_terminal_summary(terminalreporter):
    """Say how many inputs went through, where fuzzing was asked for."""
    if LONG:
        refused, accepted = hostile.OUTCOMES["refused"], hostile.OUTCOMES["accepted"]
        terminalreporter.write_line(f"{refused + accepted:,} inputs: {accepted:,} accepted, {refused:,} refused")
