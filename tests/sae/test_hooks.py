import warnings
from collections import OrderedDict, namedtuple
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from headtail.datasets import power_law
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.models import MF, SASRec
from headtail.sae import TopKSAE, activations, attach, states


class GRUModel(nn.Module):
    """A stranger's model: embeddings, a GRU and a head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(11, 6)
        self.drop = nn.Dropout(0.5)
        self.gru = nn.GRU(6, 4, batch_first=True)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        states, _ = self.gru(self.drop(self.embed(x)))
        return self.head(states[:, -1])


Out = namedtuple("Out", "vectors extra")


class Wrapped(nn.Module):
    """Puts out one of several containers."""

    def __init__(self, kind):
        super().__init__()
        self.inner = self.Inner(kind)

    class Inner(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.kind = kind

        def forward(self, x):
            if self.kind == "dict":
                return OrderedDict(vectors=x, extra=None)
            return {"tuple": (x, None), "list": [x, None], "namedtuple": Out(x, None), "scalar": x.sum()}[self.kind]

    def forward(self, x):
        return self.inner(x)


X = torch.arange(12).reshape(3, 4) % 11


def test_factors_of_mf():
    model = MF(7, 5, 3, rng=0)
    found = activations(model, torch.arange(7).split(3))
    assert torch.equal(found, model.users)
    assert not found.requires_grad


def test_recurrent_states_in_evaluation_mode_and_as_they_were():
    model = GRUModel()
    model.embed.eval()  # a part that its owner froze stays so
    found = activations(model, [X], layer="gru")
    modes = [m.training for m in (model, model.embed, model.drop, model.gru)]
    assert modes == [True, False, True, True]
    model.eval()
    states, last = model.gru(model.embed(X))
    assert torch.allclose(found, states[:, -1])
    of_output = activations(model, [X], layer="gru", output=1, position=lambda h, batch: h[-1])
    assert torch.allclose(of_output, last[0])
    assert activations(model, [X], layer="gru", position="all").shape == (12, 4)
    assert not model.training


def test_transformer_layer_and_embedding():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.Embedding(11, 8), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
    found = activations(model, [X], layer="1.layers.0")
    model.eval()
    assert torch.allclose(found, model[1].layers[0](model[0](X))[:, -1], atol=1e-6)
    assert torch.equal(activations(model, [X], layer="0", position="all"), model[0](X).detach().flatten(0, 1))


def test_positions_by_the_batch():
    model = nn.Sequential(nn.Embedding(11, 8))
    chosen = activations(model, [X], layer="0", position=lambda out, batch: out[batch > 5])
    assert len(chosen) == int((X > 5).sum())


def test_batches_as_tuples_and_dicts():
    model = GRUModel().eval()
    expected = activations(model, [X], layer="gru")
    assert torch.equal(activations(model, [(X,)], layer="gru"), expected)
    assert torch.equal(activations(model, [{"x": X}], layer="gru"), expected)


def test_memory_mapped(tmp_path):
    model = MF(1000, 5, 3, rng=0)
    found = activations(model, torch.arange(1000).split(64), path=tmp_path / "x.npy")
    assert isinstance(found, np.memmap) and found.shape == (1000, 3)
    assert np.array_equal(found, model.users.detach().numpy())
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


def test_nothing_is_left_behind_after_an_error(tmp_path):
    model = GRUModel()
    with pytest.raises(IndexError):
        activations(model, [X, X + 100], layer="gru", path=tmp_path / "x.npy")
    with pytest.raises(RuntimeError, match="mine"), attach(model, lambda x: x, layer="gru"):
        raise RuntimeError("mine")
    assert model.training and model.drop.training
    assert all(not m._forward_hooks for m in model.modules())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["tuple", "list", "namedtuple", "dict"])
def test_attach_keeps_the_container(kind):
    model, x = Wrapped(kind), torch.ones(2, 3)
    with attach(model, lambda v: v + 1, layer="inner"):
        out = model(x)
    assert type(out) is type(model(x))
    vectors, extra = out.values() if kind == "dict" else out
    assert torch.equal(vectors, x + 1) and extra is None
    named = activations(model, [x], layer="inner", output="vectors") if kind == "dict" else x
    assert torch.equal(named, x)


@pytest.mark.parametrize(("kind", "output"), [("tuple", 1), ("dict", 1), ("dict", "last")])
def test_attach_changes_the_output_that_is_named(kind, output):
    class Two(nn.Module):
        def forward(self, x):
            return {"first": x, "last": 2 * x} if kind == "dict" else (x, 2 * x)

    model, x = nn.Sequential(Two()), torch.ones(2, 3)
    with attach(model, lambda v: v + 1, layer="0", output=output):
        out = model(x)
    first, last = out.values() if kind == "dict" else out
    assert torch.equal(first, x) and torch.equal(last, 2 * x + 1)


def test_attach_changes_what_comes_after_and_ends():
    model = GRUModel().eval()
    before = model(X)
    with attach(model, torch.zeros_like, layer="gru") as attached:
        assert attached is model
        assert torch.allclose(model(X), model.head.bias.expand(3, -1))
    assert torch.equal(model(X), before)


def test_an_autoencoder_takes_the_place_of_the_vectors():
    model, sae = MF(7, 5, 4, rng=0), TopKSAE(4, expansion=4, k=3, rng=0)
    with attach(model, sae):
        assert torch.equal(model(torch.arange(7)).queries, sae(model.users))


@pytest.mark.parametrize("position", ["last", "all"])
def test_unusual_layers_are_refused(position):
    model = GRUModel()
    with pytest.raises(MissingColumnError, match=r"GRUModel has no layer 'grru'. Did you mean 'gru'"):
        activations(model, [X], layer="grru", position=position)
    with pytest.raises(MissingColumnError, match="no layer 'query'"), attach(model, lambda x: x):
        pass
    with pytest.raises(InvalidInputError, match="a tensor of shape \\(\\) and type float32; give a layer that puts"):
        activations(Wrapped("scalar"), [torch.ones(2, 3)], layer="inner", position=position)


def test_bad_input():
    model, sae = GRUModel(), TopKSAE(5, expansion=4, k=3, rng=0)
    with pytest.raises(InvalidInputError, match="vectors of 4 numbers and the edit takes 5"):  # noqa: SIM117
        with attach(model, sae, layer="gru"):
            model(X)
    with (
        pytest.raises(InvalidInputError, match=r"the edit of 'gru' made .* \(3, 4, 2\) .* of .* \(3, 4, 4\)"),
        attach(model, lambda x: x[..., :2], layer="gru"),
    ):
        model(X)
    with pytest.raises(InvalidInputError, match="batches is empty"):
        activations(model, [], layer="gru")
    with pytest.raises(InvalidInputError, match="has no output=5"):
        activations(model, [X], layer="gru", output=5)
    with pytest.raises(InvalidInputError, match="position='first' is not known"):
        activations(model, [X], layer="gru", position="first")
    with pytest.raises(InvalidInputError, match="neither \\(B, d\\) nor \\(B, L, d\\)"):
        activations(Wrapped("tuple"), [torch.ones(2, 3, 4, 5)], layer="inner")
    with pytest.raises(InvalidInputError, match="position returned a tensor of shape \\(3,\\)"):
        activations(model, [X], layer="gru", position=lambda out, batch: out[:, 0, 0])
    with pytest.raises(InvalidInputError, match=r"does not end in .npy"):
        activations(model, [X], layer="gru", path="x.bin")
    with warnings.catch_warnings():  # a prototype, says torch once
        warnings.simplefilter("ignore")
        nested = torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(1, 4)])
    with pytest.raises(InvalidInputError, match=r"puts out a nested tensor \(see enable_nested_tensor"):
        activations(nn.Identity(), [nested], layer="")
    model.unused = nn.Linear(2, 2)
    with pytest.raises(InvalidInputError, match="'unused' was not called"):
        activations(model, [X], layer="unused")
    with torch.no_grad():
        model.embed.weight.fill_(torch.nan)
    with pytest.raises(InvalidInputError, match="NaN or infinite"):
        activations(model, [X], layer="gru")


def test_states_are_the_queries_of_every_place():
    train = power_law(40, 20, n_interactions=150, rng=0).interactions
    train = replace(train, order=np.arange(len(train)))
    model = SASRec(20, max_length=4, embedding_dim=4, n_heads=1, rng=0)
    found = states(model, train, batch_size=7)
    users = np.flatnonzero(train.activity)
    assert len(found) == np.minimum(train.activity, 4).sum()
    ends = np.cumsum(np.minimum(train.activity[users], 4)) - 1
    with torch.no_grad():
        last = model.eval()(torch.from_numpy(train.sequences(codes=users, max_length=4).astype(np.int64))).queries
    torch.testing.assert_close(found[ends], last)
    assert len(states(MF(40, 20, 4, rng=0), train)) == len(users)
    with torch.no_grad():
        next(model.parameters())[0] = torch.nan
    with pytest.raises(InvalidInputError, match="queries holds values that are NaN"):
        states(model, train)


def test_a_layer_in_several_places_is_told(caplog):
    shared = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), shared, nn.Linear(4, 4), nn.Sequential(shared))
    with attach(model, lambda x: x * 0 + 7, "1"):
        assert (model(torch.ones(2, 4)) == 7).all()
    assert caplog.messages == ["'1' and '3.0' are one layer, and each use of it is meant."]


def test_a_layer_that_is_called_several_times_a_batch_is_told(caplog):
    class TwoTowers(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Identity()

        def forward(self, user):
            return self.encoder(user), self.encoder(user + 1)

    found = activations(TwoTowers(), [torch.zeros(2, 3), torch.zeros(1, 3)], "encoder")
    assert (found == 1).all()
    assert caplog.messages == ["layer='encoder' is called 2 times a batch; the last call is read."]
