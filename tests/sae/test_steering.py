import numpy as np
import pytest
import torch
from torch import nn

from headtail.data import Interactions
from headtail.datasets import power_law
from headtail.exceptions import InvalidInputError, UnreadableFileError
from headtail.models import MF, SASRec
from headtail.sae import (
    Contrast,
    Excess,
    Steered,
    Steering,
    TopKSAE,
    contrast,
    find_neurons,
    load_sae,
    load_steered,
    personal_strength,
    save_steered,
    steer,
)
from headtail.sae.steering import steering_weights
from headtail.training import recommend, save_model, vectors

TRAIN = power_law(200, 60, n_interactions=1500, rng=0).interactions
MODEL = MF(200, 60, 6, rng=0)
SAE = TopKSAE(6, expansion=4, k=4, rng=0)
NEURONS = find_neurons(SAE, contrast(MODEL, TRAIN), TRAIN)
USERS = torch.arange(200)


def naive(x, shift, scale, keep_error):
    """PopSteer's pass written out, one vector at a time."""
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in SAE.state_dict().items()}

    def code(pre):
        z = np.zeros_like(pre)
        best = np.argsort(-pre)[: SAE.k]
        z[best] = np.maximum(pre[best], 0)
        return z

    rows = []
    for row in x.detach().numpy().astype(np.float64):
        pre = weights["encoder"] @ (row - weights["bias"]) + weights["encoder_bias"]
        steered = (code(pre + shift) * scale) @ weights["decoder"] + weights["bias"]
        plain = code(pre) @ weights["decoder"] + weights["bias"]
        rows.append(row - plain + steered if keep_error else steered)
    return np.array(rows)


@pytest.mark.parametrize("keep_error", [True, False])
@pytest.mark.parametrize("variant", ["v2", "v1", "damp"])
def test_rules_equal_the_papers_written_out(variant, keep_error):
    alphas = {"alpha_popular": 0.7, "alpha_niche": 1.3}
    steered = steer(MODEL, SAE, NEURONS, variant=variant, top=12, keep_error=keep_error, **alphas)
    d = NEURONS.cohens_d
    chosen = np.argsort(-np.abs(d))[:12]
    shift, scale = np.zeros(24), np.ones(24)
    for j in chosen:
        same_sign = [abs(d[i]) for i in chosen if np.sign(d[i]) == np.sign(d[j])]
        alpha = 0.7 if d[j] > 0 else 1.3
        if variant == "v1":
            sizes = [abs(d[i]) for i in chosen]
            w = alpha * (abs(d[j]) - min(sizes)) / (max(sizes) - min(sizes))
            # Popularity neurons go down by the spread over popular users, niche neurons up by that over niche users.
            shift[j] = -w * NEURONS.std_popular[j] if d[j] > 0 else w * NEURONS.std_niche[j]
        elif variant == "v2":
            shift[j] = -np.sign(d[j]) * alpha * abs(d[j]) / max(same_sign) * NEURONS.std[j]
        else:
            scale[j] = max(0.0, 1 - np.sign(d[j]) * alpha * abs(d[j]) / max(same_sign))
    found = steered(USERS).queries.detach().numpy()
    np.testing.assert_allclose(found, naive(MODEL.users, shift, scale, keep_error), atol=1e-5)
    assert not np.allclose(found, naive(MODEL.users, 0 * shift, 0 * scale + 1, keep_error), atol=1e-4)


@pytest.mark.parametrize("variant", ["v2", "v1", "damp"])
def test_no_edit_is_the_original_bit_by_bit(variant):
    off = {"alpha_popular": 0, "alpha_niche": 0, "variant": variant}
    strength = Excess(torch.ones(6), 1.0)
    for same in (steer(MODEL, SAE, NEURONS, **off), steer(MODEL, SAE, NEURONS, per_user=strength, **off)):
        assert torch.equal(same(USERS).queries, MODEL(USERS).queries)
    plain = steer(MODEL, SAE, NEURONS, keep_error=False, **off)
    assert torch.equal(plain(USERS).queries, SAE(MODEL.users))


def test_in_blocks_without_gradients():
    x = torch.randn(3, 200, 6, generator=torch.Generator().manual_seed(0))
    edit = Steering(SAE, torch.linspace(-1, 1, 24), torch.linspace(0, 2, 24))
    whole = edit(x).detach()
    with torch.no_grad():
        torch.testing.assert_close(edit(x), whole)
        assert torch.equal(Steering(SAE, torch.zeros(24))(x), x)
        assert edit(x[:0]).shape == (0, 200, 6)


def test_steering_lowers_the_popularity_of_lists_and_backwards_raises_it():
    model = SASRecWorld.model()
    levels = np.log1p(SASRecWorld.train.popularity)
    neurons = SASRecWorld.neurons(model)

    def popularity(alpha):
        steered = steer(model, SASRecWorld.sae, neurons, alpha_popular=alpha, alpha_niche=alpha)
        return levels[recommend(steered, SASRecWorld.train, k=5).items].mean()

    assert popularity(1.0) < popularity(0.0) < popularity(-1.0)


class SASRecWorld:
    """Item vectors with a popularity direction, so that the answer is known without training."""

    train = Interactions(TRAIN.user_ids, TRAIN.item_ids, TRAIN.users, TRAIN.items, order=np.arange(len(TRAIN)))
    sae = TopKSAE(8, expansion=8, k=8, rng=0)

    @classmethod
    def model(cls):
        model = SASRec(60, max_length=10, embedding_dim=8, dropout=0, rng=0).eval()
        with torch.no_grad():
            model.items[:, 0] = torch.from_numpy(np.log1p(TRAIN.popularity)).float() - 2
        return model

    @classmethod
    def neurons(cls, model):
        return find_neurons(cls.sae, contrast(model, cls.train, rng=0), cls.train)


def test_a_sequential_model_keeps_its_call():
    model = SASRecWorld.model()
    steered = steer(model, SASRecWorld.sae, SASRecWorld.neurons(model))
    assert (steered.max_length, steered.n_items) == (10, 60)
    queries, items = vectors(steered, interactions=SASRecWorld.train)
    lists = recommend((queries, items), SASRecWorld.train, k=5)
    assert np.array_equal(lists.items, recommend(steered, SASRecWorld.train, k=5).items)
    inner = steer(model, SASRecWorld.sae, SASRecWorld.neurons(model), layer="blocks.0", alpha_popular=3)
    assert inner(torch.tensor([[1, 2, 3]])).queries.shape == (1, 8)


def test_the_original_is_not_changed_and_weights_are_shared():
    model = MF(200, 60, 6, rng=0)
    before = model(USERS).queries.clone()
    steered = steer(model, SAE, NEURONS, alpha_popular=5)
    assert not torch.equal(steered(USERS).queries, before)
    assert torch.equal(model(USERS).queries, before)
    assert not any(m._forward_hooks for m in model.modules())
    assert steered.model.users.data_ptr() == model.users.data_ptr()
    with torch.no_grad():
        model.users += 1
    assert torch.equal(steered.model.users, model.users)
    steered.double()  # moves the steered model only
    assert model.users.dtype == torch.float32


def test_a_stranger_with_tied_weights_and_a_gru():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.items = nn.Embedding(12, 6)
            self.gru = nn.GRU(6, 6, batch_first=True)
            self.out = nn.Linear(6, 12, bias=False)
            self.out.weight = self.items.weight

        def forward(self, x):
            return self.out(self.gru(self.items(x))[0][:, -1])

    torch.manual_seed(0)
    net, x = Net(), torch.randint(12, (5, 4))
    still = Steered(net, Steering(SAE), layer="gru")
    assert torch.equal(still(x), net(x))
    assert still.model.out.weight is still.model.items.weight
    pushed = Steered(net, Steering(SAE, torch.linspace(-3, 3, 24)), layer="gru")
    assert not torch.allclose(pushed(x), net(x))


def test_training_mode_is_the_models():
    assert steer(MF(200, 60, 6, rng=0).eval(), SAE, NEURONS).training is False
    assert steer(MF(200, 60, 6, rng=0), SAE, NEURONS).training is True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it traces
@pytest.mark.parametrize("variant", ["v2", "damp"])
def test_export(variant):
    steered = steer(MODEL, SAE, NEURONS, variant=variant, per_user=Excess(torch.ones(6), 1.0)).eval()
    batch = torch.export.Dim("batch", min=2)
    exported = torch.export.export(steered, (USERS,), dynamic_shapes=(({0: batch},),), strict=False)
    for users in (USERS, USERS[:7]):
        torch.testing.assert_close(exported.module()(users), steered(users))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile():
    model = SASRecWorld.model()
    steered = steer(model, SASRecWorld.sae, SASRecWorld.neurons(model))
    x = torch.randint(60, (5, 10))
    with torch.no_grad():  # nothing is traced backwards
        torch.testing.assert_close(torch.compile(steered, backend="aot_eager")(x), steered(x))
    torch._dynamo.reset()


def test_strength_by_the_user():
    strength = Excess(torch.tensor([1.0, 0, 0, 0, 0, 0]), 0.0)
    edit = steer(MODEL, SAE, NEURONS, per_user=strength)
    whole, x = steer(MODEL, SAE, NEURONS)(USERS).queries, MODEL.users
    expected = x + x[:, :1].relu() * (whole - x)
    torch.testing.assert_close(edit(USERS).queries, expected)


def test_weights_of_one_neuron_and_of_one_sign():
    one = NEURONS.select(top=1)
    weight = steering_weights(one, alpha_popular=2.0, alpha_niche=2.0)
    assert abs(weight[0]) == pytest.approx(2 * one.std[0])
    by_v1 = steering_weights(one, alpha_popular=2.0, alpha_niche=2.0, variant="v1")
    assert abs(by_v1[0]) == pytest.approx(2 * (one.std_popular if one.cohens_d[0] > 0 else one.std_niche)[0])
    niche = steering_weights(NEURONS.select(sign="niche"), alpha_popular=9.0, alpha_niche=0.0)
    assert not niche.any()


def test_kept_on_disk(tmp_path):
    strength = Excess(torch.ones(6), 1.0)
    for steered in (
        steer(MODEL, SAE, NEURONS, per_user=strength),
        steer(MODEL, SAE, NEURONS, variant="damp", keep_error=False),
    ):
        again = load_steered(save_steered(steered, tmp_path / "steered"))
        assert torch.equal(again(USERS).queries, steered(USERS).queries)
        assert not again.training
    assert load_sae(tmp_path / "steered" / "sae").n_neurons == 24
    with pytest.raises(InvalidInputError, match="edited by a Dropout"):
        save_steered(Steered(MODEL, torch.nn.Dropout()), tmp_path / "other")
    save_model(MODEL, tmp_path / "model")
    with pytest.raises(UnreadableFileError, match=r"steering.json does not exist"):
        load_steered(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="Steered is not a model of headtail"):
        save_model(steered, tmp_path / "x")
    (tmp_path / "steered" / "sae" / "cfg.json").unlink()
    with pytest.raises(UnreadableFileError):
        load_steered(tmp_path / "steered")
    from headtail.sae import save_sae

    save_sae(TopKSAE(6, expansion=2, k=2, rng=0), tmp_path / "steered" / "sae")
    with pytest.raises(UnreadableFileError, match="is not what was written with steering"):
        load_steered(tmp_path / "steered")


def test_bad_input():
    other = TopKSAE(6, expansion=2, k=4, rng=0)
    with pytest.raises(InvalidInputError, match="of an autoencoder with 24 and this one has 12"):
        steer(MODEL, other, NEURONS)
    with pytest.raises(InvalidInputError, match="alpha_popular=nan is out of range"):
        steer(MODEL, SAE, NEURONS, alpha_popular=float("nan"))
    with pytest.raises(InvalidInputError, match="variant='v3' is not known"):
        steer(MODEL, SAE, NEURONS, variant="v3")
    with pytest.raises(InvalidInputError, match="shift has shape \\(3,\\); give one finite number for each of the 24"):
        Steering(SAE, torch.zeros(3))
    with pytest.raises(InvalidInputError, match="scale has shape"):
        Steering(SAE, scale=torch.full((24,), torch.inf))
    wide = steer(MF(200, 60, 5, rng=0), SAE, NEURONS)
    with pytest.raises(InvalidInputError, match="vectors of 5 numbers and the edit takes 6"):
        wide(USERS)
    with pytest.raises(AttributeError, match="no attribute 'nowhere'"):
        _ = wide.nowhere
    lows = Contrast(torch.randn(5, 6), torch.randn(5, 6), torch.randn(5, 6) - 100, np.arange(5), MODEL.items.detach())
    even = Interactions(np.arange(5), np.arange(60), np.repeat(np.arange(5), 60).astype(np.int32),
                        np.tile(np.arange(60), 5).astype(np.int32))  # fmt: skip
    with pytest.raises(InvalidInputError, match="nothing to correct"):
        personal_strength(lows, even, k=5)
