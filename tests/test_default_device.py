"""What is computed inside does not depend on ``torch.set_default_device``, which notebooks like to set.

Nothing can be computed on meta, so that whatever is made there by default fails.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

import headtail as ht
from headtail import penalties, sae
from headtail.dials import CONTROLS, DIALS, dial
from headtail.integrations import pytorch
from headtail.subjects import Subject
from headtail.training import Recipe

K = 5


@pytest.fixture(autouse=True)
def nothing_by_default():
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


@pytest.fixture(scope="module")
def split():
    parts = ht.split_ratio(ht.datasets.power_law(200, 80, n_interactions=1800, rng=0).interactions, rng=0)
    return replace(parts, train=replace(parts.train, order=np.arange(len(parts.train))))


@pytest.mark.parametrize("name", ht.models.MODELS)
def test_models(split, tmp_path, name):
    model = ht.models.MODELS[name].for_data(split.train, rng=0, embedding_dim=4)
    more = {} if name == "als" else {"penalties": [penalties.ReSN(1e-4), penalties.ReSN(1e-4, "sigmoid")]}
    ht.fit(model, split.train, validation=split.validation, k=K, epochs=2, checkpoint=tmp_path / "run", **more)
    loaded = ht.load_model(ht.save_model(model, tmp_path / "model"))
    lists = [ht.recommend(each, split.train, k=K).items for each in (model, loaded)]
    np.testing.assert_array_equal(*lists)


@pytest.mark.filterwarnings("ignore:strength=:UserWarning")  # in a world this small biases hardly settle
@pytest.mark.parametrize("name", [each.name for each in (*DIALS, *CONTROLS) if each.works_on == "model"])
def test_dials_of_models(split, name):
    model = ht.models.SASRec.for_data(split.train, rng=0, embedding_dim=8)
    subject = Subject(model, split, k=K, autoencoder={"expansion": 4, "n_active": 4, "epochs": 1})
    lists = subject.recommend(dial(name).at(subject, dial(name).grid[1]), split.train)
    assert len(lists) == split.train.n_users


@pytest.mark.parametrize("name", ["MACR", "LogDet", "PD", "shrink", "allocation"])
def test_dials_of_other_forms(split, name):
    subject = Subject(Recipe(ht.MF, {"embedding_dim": 4}, {"epochs": 1}), split, k=K)
    assert subject.recommend(dial(name).at(subject, dial(name).grid[1]), split.train).k == K


def test_neurons_and_towers(split, tmp_path):
    model = ht.MF.for_data(split.train, rng=0, embedding_dim=4)
    autoencoder = sae.TopKSAE(4, expansion=4, k=4, rng=0)
    states = sae.states(model, split.train)
    sae.fit_sae(autoencoder, states, epochs=1)
    neurons = sae.find_neurons(autoencoder, sae.contrast(model, split.train), split.train, k=K).with_effects()
    neurons.to_html(tmp_path / "neurons.html")
    sae.save_neurons(neurons, tmp_path / "neurons")
    assert sae.sae_quality(autoencoder, states).fvu > 0
    assert sae.stability([autoencoder, autoencoder], states) == pytest.approx(1)
    tags = {item: ["odd" if item % 2 else "even"] for item in split.train.item_ids.tolist()}
    concepts = sae.find_concepts(neurons, tags, n_users=32)
    assert ht.recommend(sae.steer_tag(model, concepts, "even", 1.0), split.train, k=K).k == K
    tables = {"users": torch.nn.Embedding.from_pretrained(model.users.detach()), "items": model.items}
    codes = torch.arange(split.train.n_users, device="cpu")
    made = pytorch.vectors(**tables, user_inputs=codes)
    torch.testing.assert_close(made.queries, model.users.detach())
