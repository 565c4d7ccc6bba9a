"""A metric, a dial, a model and a data set of one's own: one file and, to have it by name everywhere, one row each."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import headtail as ht
from headtail import dials
from headtail.cli import main
from headtail.datasets import DATASETS, power_law
from headtail.dials import Dial
from headtail.losses import bpr
from headtail.metrics import built_in
from headtail.metrics.facts import better
from headtail.models import MODELS
from headtail.typing import Vectors


@better("lower", low=0, family="exposure", format=".2f")
def most_shown(top):
    """Return how many lists hold the item that most of them hold."""
    return float(top.slots.max())


def forget(subject, strength, seed):
    """Take strength times the mean item off each item."""
    queries, items = subject.vectors(seed)
    return Vectors(queries, items - strength * items.mean(axis=0))


class Bilinear(nn.Module):
    """A table of users, a table of items and nothing else."""

    usual = {"loss": bpr, "n_negatives": 1, "lr": 0.01, "batch_size": 256, "epochs": 2}  # noqa: RUF012
    needs_order = False

    def __init__(self, n_users, n_items, embedding_dim=8, *, rng=None):
        super().__init__()
        self.n_users, self.n_items = n_users, n_items
        self.config = {"model": "Bilinear", "n_users": n_users, "n_items": n_items, "embedding_dim": embedding_dim}
        torch.manual_seed(0 if rng is None else int(np.random.default_rng(rng).integers(2**31)))
        self.users, self.items = nn.Embedding(n_users, embedding_dim), nn.Embedding(n_items, embedding_dim)

    @classmethod
    def for_data(cls, train, *, rng=None, **sizes):
        return cls(train.n_users, train.n_items, rng=rng, **sizes)

    def forward(self, users):
        return Vectors(self.users(users), self.items.weight)


def tiny(*, k_core=0):
    assert k_core == 0
    return ht.Interactions.from_frame(power_law(150, 60, n_interactions=1200, rng=0).interactions.to_polars())


@pytest.fixture
def by_name(monkeypatch):
    monkeypatch.setitem(DATASETS, "tiny", tiny)
    monkeypatch.setitem(MODELS, "bilinear", Bilinear)
    mine = Dial("forget the mean", forget, (0, 0.2, 0.4), end=1.0)
    monkeypatch.setattr(dials.built_in, "DIALS", (*dials.DIALS, mine))
    monkeypatch.setitem(built_in.BUILT_IN, "most_shown", most_shown)


def test_one_of_each_is_there_by_name_on_the_command_line(by_name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "tiny", "--output", "m", "--model", "bilinear", "--k-core", "0"]) == 0
    assert isinstance(ht.load_model("m"), Bilinear)
    capsys.readouterr()
    options = ["--dial", "Forget the mean", "--k", "5", "--max-loss", "0.5", "--output", "better", "--json"]
    assert main(["correct", "m", *options]) == 0
    assert "forget the mean" in str(json.loads(capsys.readouterr().out)["frontier"])
    assert main(["audit", "better/recommendations.parquet", "m/interactions.parquet", "--k", "5", "--json"]) == 0
    assert "most_shown" in capsys.readouterr().out


def test_one_of_each_is_taken_as_it_is_from_python():
    split = ht.split_ratio(tiny(), rng=0)
    model = Bilinear.for_data(split.train, rng=0)
    ht.fit(model, split.train, rng=0, progress=False, **Bilinear.usual)
    recs = ht.recommend(model, split.train, k=5)
    audit = ht.audit(recs, split.train, k=5, metrics=[most_shown])
    counts = np.unique(recs.items[:, :5], return_counts=True)[1]
    assert audit["most_shown@5"] == counts.max()
    assert "most_shown" in audit.to_markdown()
    found = ht.correct(model, split, k=5, dials=[Dial("forget the mean", forget, (0, 0.2, 0.4), end=1.0)], max_loss=0.5)
    assert "forget the mean" in found.frontier.methods


def test_a_module_can_be_read_at_once():
    lengths = {path: len(path.read_text().splitlines()) for path in Path(ht.__file__).parent.rglob("*.py")}
    assert not [path for path, length in lengths.items() if length > 400]
