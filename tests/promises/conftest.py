"""The bundled data in little, for pages and examples that only have to run."""

import pytest

from headtail import datasets


@pytest.fixture
def few_tweets(monkeypatch):
    """Let every door to MovieTweetings give a sixth of its users and half of its items."""
    whole = datasets.movietweetings()
    few = whole.subset((whole.users % 6 == 0) & (whole.items % 2 == 0)).compact()
    monkeypatch.setattr(datasets, "movietweetings", lambda: few)
    monkeypatch.setitem(datasets.DATASETS, "movietweetings", lambda **_: few)
