"""Scripts, run in this process, and the bundled data in little, for what only has to run."""

import runpy
import sys

import pytest

from headtail import datasets


@pytest.fixture
def few_tweets(monkeypatch):
    """Let every door to MovieTweetings give a fourth of its users, and its better known items."""
    whole = datasets.movietweetings()
    few = whole.subset((whole.users % 4 == 0) & (whole.popularity[whole.items] > 40)).compact()
    monkeypatch.setattr(datasets, "movietweetings", lambda: few)
    monkeypatch.setitem(datasets.DATASETS, "movietweetings", lambda **_: few)


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs a script as from a shell and returns what it prints."""

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
        monkeypatch.syspath_prepend(script.parent)
        runpy.run_path(str(script), run_name="__main__")
        for name, module in list(sys.modules.items()):  # of the same folder, which may be a copy
            if str(getattr(module, "__file__", "")).startswith(str(script.parent)):
                del sys.modules[name]
        return capsys.readouterr().out

    return run
