"""What computes with tensors gives on an accelerator what it gives on the CPU.

Skipped where there is none. ``HEADTAIL_DEVICE`` names another than cuda: mps, xpu, or cpu to try the tests themselves.
"""

import copy
import os
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import headtail as ht
from headtail import losses, penalties, sae
from headtail.cli import main
from headtail.dials import CONTROLS, DIALS, dial
from headtail.subjects import Subject
from headtail.training import Recipe

DEVICE = os.environ.get("HEADTAIL_DEVICE", "cuda")

pytestmark = [
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore:strength=:UserWarning"),  # in a world this small biases hardly settle
]
K = 5
close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-4)


def there(made):
    """Return a copy on the device."""
    if isinstance(made, ht.Vectors):
        return replace(made, queries=there(made.queries), items=there(made.items))
    return copy.deepcopy(made).to(DEVICE)


def alike(ours, theirs, share=0.97):
    """Say whether lists agree but for a few near ties, which rounding turns."""
    return (ours.items == theirs.items).mean() >= share


@pytest.fixture(scope="module")
def split():
    parts = ht.split_ratio(ht.datasets.power_law(200, 80, n_interactions=1800, rng=0).interactions, rng=0)
    return replace(parts, train=replace(parts.train, order=np.arange(len(parts.train))))


@pytest.fixture(scope="module")
def models(split):
    made = {name: kind.for_data(split.train, rng=0, embedding_dim=8) for name, kind in ht.models.MODELS.items()}
    for model in made.values():
        ht.fit(model, split.train, epochs=3, rng=0, progress=False)
    return made


@pytest.fixture(scope="module")
def parts(models, split):
    """An autoencoder of SASRec's user states, and the contrast and neurons on either device."""
    model = models["sasrec"]
    autoencoder = sae.TopKSAE(8, expansion=4, k=4, rng=0)
    sae.fit_sae(autoencoder, sae.states(model, split.train), epochs=3, rng=0, progress=False)

    def found(model, autoencoder):
        contrast = sae.contrast(model, split.train, rng=0)
        return contrast, sae.find_neurons(autoencoder, contrast, split.train, k=K, rng=0)

    return autoencoder, found(model, autoencoder), found(there(model), there(autoencoder))


@pytest.mark.parametrize("name", ["bpr", "bce", "mse", "sampled_softmax", "zerosum", "deconfounded", "pr_entmax"])
def test_losses(name):
    random = torch.Generator().manual_seed(0)
    positive, negative = (torch.randn(size, generator=random) for size in ((6,), (6, 4)))
    options = {"values": torch.rand(6, 5, generator=random) + 0.1} if name in ("deconfounded", "pr_entmax") else {}

    def value_and_gradient(device):
        scores = [part.to(device, copy=True).requires_grad_() for part in (positive, negative)]
        value = getattr(losses, name)(*scores, **{key: table.to(device) for key, table in options.items()})
        return [part.cpu() for part in (value.detach(), *torch.autograd.grad(value, scores))]

    for ours, theirs in zip(value_and_gradient("cpu"), value_and_gradient(DEVICE), strict=True):
        close(theirs, ours)


@pytest.mark.parametrize(
    "penalty",
    [
        penalties.ReSN(1.0),
        penalties.ReSN(1.0, "sigmoid"),
        penalties.LogDet(1.0),
    ],
    ids=lambda each: type(each).__name__,
)
def test_penalties(penalty):
    random = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, 6, generator=random) for rows in (40, 30)]

    def value_and_gradient(device):
        pair = [part.to(device, copy=True).requires_grad_() for part in factors]
        value = penalty(*pair)
        return [part.cpu() for part in (value.detach(), *torch.autograd.grad(value, pair))]

    for ours, theirs in zip(value_and_gradient("cpu"), value_and_gradient(DEVICE), strict=True):
        close(theirs, ours)


@pytest.mark.parametrize("name", ht.models.MODELS)
def test_lists_vectors_and_spectra(models, split, name):
    model, moved = models[name], there(models[name])
    assert alike(ht.recommend(model, split.train, k=K), ht.recommend(moved, split.train, k=K))
    assert alike(
        ht.recommend(model, split.train, k=K), ht.recommend(copy.deepcopy(model), split.train, k=K, device=DEVICE)
    )
    ours, theirs = (ht.vectors(each, interactions=split.train) for each in (model, moved))
    close(theirs.queries.cpu(), ours.queries)
    assert alike(ht.recommend(ours, split.train, k=K), ht.recommend(theirs, split.train, k=K))
    first, second = (ht.spectrum(*pair[:2], popularity=split.train.popularity) for pair in (ours, theirs))
    np.testing.assert_allclose(second.sigma, first.sigma, rtol=1e-3)


@pytest.mark.parametrize("options", [{}, {"penalties": [penalties.ReSN(1e-4)], "loss": losses.sampled_softmax}])
@pytest.mark.parametrize("name", ["lightgcn", "mf", "sasrec", "xsimgcl"])
def test_training_judged_kept_and_resumed(split, tmp_path, name, options):
    def train(epochs, folder):
        model = ht.models.MODELS[name].for_data(split.train, rng=0, embedding_dim=8)
        history = ht.fit(
            model, split.train, validation=split.validation, k=K, epochs=epochs, batch_size=256, checkpoint=folder,
            device=DEVICE, rng=0, progress=False, **options,
        )  # fmt: skip
        return model, history

    whole, history = train(4, tmp_path / "whole")
    train(2, tmp_path / "parts")
    resumed, again = train(4, tmp_path / "parts")
    assert len(history.rows) == len(again.rows) == 4
    for ours, theirs in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        close(theirs, ours)
    loaded = ht.load_model(ht.save_model(whole, tmp_path / "saved"))
    assert next(loaded.parameters()).device.type == "cpu"
    assert alike(ht.recommend(loaded, split.train, k=K), ht.recommend(whole, split.train, k=K))


def test_neurons(parts):
    _, (contrast, neurons), (moved, found) = parts
    close(torch.as_tensor(found.cohens_d), torch.as_tensor(neurons.cohens_d), equal_nan=True)
    close(moved.popular.cpu(), contrast.popular)
    assert found.report() and neurons.report()


@pytest.mark.parametrize("options", [{}, {"variant": "v1"}, {"variant": "damp"}, {"keep_error": False}])
def test_steering(models, parts, split, tmp_path, options):
    autoencoder, (_, neurons), (_, found) = parts
    ours = sae.steer(models["sasrec"], autoencoder, neurons, alpha_popular=1.0, alpha_niche=1.0, **options)
    moved = there(models["sasrec"])
    theirs = sae.steer(moved, there(autoencoder), found, alpha_popular=1.0, alpha_niche=1.0, **options)
    lists = ht.recommend(ours, split.train, k=K)
    assert alike(lists, ht.recommend(theirs, split.train, k=K))
    assert alike(lists, ht.recommend(copy.deepcopy(ours).to(DEVICE), split.train, k=K))
    sae.save_steered(theirs, tmp_path / "steered")
    assert alike(lists, ht.recommend(sae.load_steered(tmp_path / "steered"), split.train, k=K))


def test_directions_tags_and_users(models, parts, split):
    model, moved = models["sasrec"], there(models["sasrec"])
    autoencoder, (contrast, neurons), (contrast_there, found) = parts
    tags = {item: ["even"] if item % 2 else ["odd"] for item in split.train.item_ids.tolist()}
    concepts, concepts_there = (sae.find_concepts(each, tags, n_users=64) for each in (neurons, found))
    for make in (
        lambda model, contrast, *_: sae.steer_direction(model, contrast, strength=0.5),
        lambda model, contrast, *_: sae.steer_direction(model, contrast, strength=1.0, mode="project"),
        lambda model, contrast, *_: sae.spree(model, contrast, split.train, k=K),
        lambda model, contrast, neurons, _: sae.spree(model, contrast, split.train, neurons=neurons, k=K),
        lambda model, contrast, neurons, concepts: sae.steer_tag(model, concepts, "even", 1.0),
    ):
        ours, theirs = make(model, contrast, neurons, concepts), make(moved, contrast_there, found, concepts_there)
        assert alike(ht.recommend(ours, split.train, k=K), ht.recommend(theirs, split.train, k=K))
    x = sae.states(model, split.train)
    qualities = [sae.sae_quality(*pair) for pair in ((autoencoder, x), (there(autoencoder), there(x)))]
    assert qualities[0].fvu == pytest.approx(qualities[1].fvu, rel=1e-3)
    assert sae.stability([autoencoder, there(autoencoder)]) == pytest.approx(1)


def test_an_autoencoder_is_trained(models, split):
    x = sae.states(models["mf"], split.train)
    ours, theirs = (sae.TopKSAE(8, expansion=4, k=4, rng=0) for _ in range(2))
    first = sae.fit_sae(ours, x, epochs=3, rng=0, progress=False)
    second = sae.fit_sae(theirs, there(x), epochs=3, device=DEVICE, rng=0, progress=False)
    assert theirs.decoder.device.type == DEVICE
    np.testing.assert_allclose([row["loss"] for row in second.rows], [row["loss"] for row in first.rows], rtol=1e-2)


# Noise is drawn where the vectors lie: another on each device.
ON_MODELS = [each for each in (*DIALS, *CONTROLS) if each.works_on != "training" and each.name != "noise"]


@pytest.mark.parametrize("each", ON_MODELS, ids=lambda each: each.name)
def test_dials(models, split, each):
    autoencoder = {"expansion": 4, "n_active": 4, "epochs": 2}
    name = "sasrec" if each.works_on == "model" else "mf"
    sources = [models[name], there(models[name])]
    if each.works_on == "vectors":
        sources = [ht.vectors(source, interactions=split.train) for source in sources]
    ours, theirs = (Subject(source, split, k=K, autoencoder=autoencoder) for source in sources)
    for strength in each.grid[:2]:
        lists = [of.recommend(each.at(of, strength), split.train) for of in (ours, theirs)]
        assert alike(*lists, share=0.9)


@pytest.mark.parametrize("name", ["ReSN", "PD", "MACR", "Zerosum", "IPS"])
def test_dials_of_training(split, name):
    subject = Subject(Recipe(ht.MF, {"embedding_dim": 8}, {"epochs": 2, "device": DEVICE}), split, k=K)
    each = dial(name)
    lists = subject.recommend(each.at(subject, each.grid[1]), split.train)
    assert len(lists) == split.train.n_users


def test_a_model_is_corrected_where_it_lies(models, split, tmp_path):
    found = ht.correct(
        there(models["sasrec"]), split, dials=["tilt (alpha-fair)", "shrink", "PopSteer"], k=K, progress=False
    )
    assert found.to_html(tmp_path / "page.html").exists()
    assert len(found.lists) == split.train.n_users


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types(models, split, dtype):
    moved = there(models["mf"]).to(dtype)
    lists, expected = (ht.recommend(model, split.train, k=K) for model in (moved, copy.deepcopy(moved).cpu()))
    assert alike(expected, lists)


def test_autocast_changes_no_lists(models, split):
    expected = ht.recommend(models["mf"], split.train, k=K)
    with torch.autocast(DEVICE, torch.bfloat16):
        assert alike(expected, ht.recommend(there(models["mf"]), split.train, k=K))


def test_the_command_line(split, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    split.train.to_polars().write_csv("train.csv")
    on = ["--device", DEVICE]
    assert main(["train", "train.csv", "-o", "model", "--model", "mf", "--epochs", "2", *on]) == 0
    assert main(["recommend", "model", "-o", "lists.csv", "-k", "5", *on]) == 0
    assert main(["probe", "model", "-o", "probe", "--epochs", "2", *on]) == 0
    assert main(["steer", "probe", "-o", "steered.html"]) in (0, 2)
    assert main(["correct", "model", "-o", "corrected", "--dial", "shrink", "-k", "5", *on]) == 0
