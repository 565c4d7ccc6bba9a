"""A steered model owns its edit, and an edit that is never made is an error."""

import copy
import io
import pickle
import threading
import warnings

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from headtail.datasets import power_law
from headtail.exceptions import InvalidInputError
from headtail.models import MF, SASRec
from headtail.sae import (
    Direction,
    Excess,
    Steered,
    Steering,
    TopKSAE,
    activations,
    attach,
    contrast,
    find_neurons,
    fit_sae,
    load_steered,
    save_steered,
    states,
    steer,
    steer_direction,
)
from headtail.sae.controls import Noise, random_push
from headtail.training import vectors
from headtail.typing import Vectors

USERS = torch.arange(20)
X = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        return self.linear(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.block = Block()

    def forward(self, x):
        return self.block(x)


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


def pushed(model=None, layer="query"):
    edit = Steering(TopKSAE(8, expansion=4, k=4, rng=0), torch.linspace(-2, 2, 32))
    return Steered(MF(20, 10, 8, rng=0) if model is None else model, edit, layer)


def queries(model):
    return model(USERS).queries.detach()


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_torch_save(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("again", [copy.deepcopy, through_pickle, through_torch_save, AveragedModel])
def test_a_copy_has_a_dial_of_its_own(again):
    steered = pushed()
    plain, moved = queries(steered.model.requires_grad_(False)), queries(steered)
    plain = MF(20, 10, 8, rng=0).users.detach()
    twin = again(steered)
    assert torch.equal(queries(twin), moved)
    steered.edit.shift.zero_()
    assert torch.equal(queries(steered), plain)
    assert torch.equal(queries(twin), moved)
    (twin.module if isinstance(twin, AveragedModel) else twin).edit.shift.zero_()
    assert torch.equal(queries(twin), plain)


def test_a_replaced_edit_is_the_one_that_is_made_and_saved(tmp_path):
    steered = pushed()
    steered.edit = Steering(steered.edit.sae, torch.full((32,), 0.5), keep_error=False)
    assert not torch.equal(queries(steered), queries(pushed()))
    assert torch.equal(queries(load_steered(save_steered(steered, tmp_path / "steered"))), queries(steered))
    steered.edit = Doubled()
    assert torch.equal(queries(steered), 2 * MF(20, 10, 8, rng=0).users)


def test_a_replaced_edit_is_in_the_mode_of_the_model_and_leaves_ours_as_it_is():
    dropout = nn.Dropout(p=1.0)
    steered = pushed().eval()
    steered.edit = dropout
    assert torch.equal(queries(steered), queries(steered.model.eval()))
    assert dropout.training


@pytest.mark.parametrize("layer", ["model.item", "model.query"])
def test_a_model_that_is_steered_twice_is_saved(tmp_path, layer):
    twice = pushed(pushed(), layer)
    again = load_steered(save_steered(twice, tmp_path / "steered"))
    for ours, theirs in zip(again(USERS)[:2], twice(USERS)[:2], strict=True):
        assert torch.equal(ours, theirs)
    twice.model.model.query = Doubled()
    with pytest.raises(InvalidInputError, match=r"MF\.query was changed by a hook"):
        save_steered(twice, tmp_path / "steered")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("edit", lambda x: x, "edit is a function; give a torch.nn.Module"),
        ("edit", None, "edit is a NoneType"),
        ("model", Net(), "the model of a Steered cannot be replaced; make another"),
        ("layer", "", "the layer of a Steered cannot be replaced"),
        ("output", 1, "the output of a Steered cannot be replaced"),
    ],
)
def test_what_makes_a_steered_model_stays(name, value, message):
    with pytest.raises(InvalidInputError, match=message):
        setattr(pushed(), name, value)


def test_names_of_the_state_are_ordinary():
    assert sorted(pushed().state_dict()) == sorted(
        ["model.users", "model.items", "edit.shift", *(f"edit.sae.{n}" for n in TopKSAE(8).state_dict())]
    )


@pytest.mark.parametrize("recorded", [torch.enable_grad, torch.no_grad])
@pytest.mark.parametrize("name", ["steering", "by the user", "autoencoder"])
def test_torch_func_differentiates_and_batches(name, recorded):
    edit, x = EDITS[name](), X.clone().requires_grad_()
    edit(x).square().sum().backward()
    with recorded():
        torch.testing.assert_close(torch.func.grad(lambda v: edit(v).square().sum())(X), x.grad)
        torch.testing.assert_close(torch.vmap(edit)(X[:, None]), edit(X)[:, None])


# -- types and autocast ------------------------------------------------------------------------------------------------

EDITS = {
    "steering": lambda: Steering(TopKSAE(8, expansion=4, k=4, rng=0), torch.linspace(-2, 2, 32)),
    "by the user": lambda: Steering(
        TopKSAE(8, expansion=4, k=4, rng=0), torch.linspace(-2, 2, 32), per_user=Excess(torch.ones(8), 1.0)
    ),
    "autoencoder": lambda: TopKSAE(8, expansion=4, k=4, rng=0),
    "direction": lambda: Direction(torch.ones(8), strength=0.5, mode="project"),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.bfloat16, 0.1)])
def test_other_types(name, dtype, tolerance):
    expected = Steered(Net(), EDITS[name](), "block")(X)
    whole, model_alone = (
        Steered(Net(), EDITS[name](), "block").to(dtype),
        Steered(Net().to(dtype), EDITS[name](), "block"),
    )
    for steered in (whole, model_alone):
        found = steered(X.to(dtype))
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", EDITS)
def test_autocast(name):
    steered = Steered(Net(), EDITS[name](), "block")
    expected = steered(X)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = steered(X)
        with attach(steered.model, EDITS[name](), "block.linear"):  # twice
            steered(X)
    torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0.05)


def test_autoencoders_under_autocast():
    sae = TopKSAE(8, expansion=4, k=4, rng=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = sae(X)
        found.square().sum().backward()
    assert torch.equal(found, sae(X))
    assert torch.isfinite(sae.encoder.grad).all()


# -- an edit that is never made ----------------------------------------------------------------------------------------


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.unused = nn.Linear(8, 8)

    def forward(self, x):
        return self.attention(x, x, x)[0]


class Direct(Net):
    def forward(self, x):
        return self.block.forward(x)  # past the hooks


HIDDEN = {
    "fused attention": (Fused, "attention.out_proj", X[None]),
    "unused": (Fused, "unused", X[None]),
    "called past its hooks": (Direct, "block", X),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_an_edit_that_is_never_made_is_an_error(name):
    make, layer, x = HIDDEN[name]
    with pytest.raises(InvalidInputError, match=r"nothing was edited: layer=.* was not called"):
        Steered(make(), Doubled(), layer)(x)
    model = make()
    with pytest.raises(InvalidInputError, match="nothing was edited"), attach(model, lambda v: v, layer):
        model(x)
    with pytest.raises(InvalidInputError, match="was not called: it is not used, its weights are used without it"):
        activations(model, [x], layer)
    assert not any(part._forward_hooks for part in model.modules())


def test_a_part_that_is_exchanged_later_is_noticed():
    steered = Steered(Net(), Doubled(), "block")
    steered(X)
    steered.model.block = Block()
    with pytest.raises(InvalidInputError, match="nothing was edited"):
        steered(X)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [torch.jit.script, lambda model: torch.jit.trace(model, (X,))])
def test_scripted_and_traced_models_are_refused(make):
    model = make(Net())
    with pytest.raises(InvalidInputError, match="is scripted or traced"):
        Steered(model, Doubled(), "block")
    with (
        pytest.raises(InvalidInputError, match=r"(scripted|compiled) or traced"),
        attach(model, lambda v: v, "block"),
    ):
        pass


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("called", [False, True])
def test_compiled_models(called, fresh_compiler):
    in_place, parent = Net().eval(), Net().eval()
    in_place.compile(backend="eager")
    compiled = torch.compile(parent, backend="eager")
    if called:
        in_place(X), compiled(X)
    for model in (in_place, compiled):
        with pytest.raises(InvalidInputError, match="is compiled; attach to the model as it was"):  # noqa: SIM117
            with attach(model, lambda v: 2 * v, "" if model is compiled else "block"):
                pass
    torch.testing.assert_close(Steered(in_place, Doubled(), "block")(X), 2 * in_place(X))
    try:
        with attach(parent, lambda v: 2 * v, "block"):
            found = compiled(X)
        torch.testing.assert_close(found, 2 * parent(X))
    except InvalidInputError as error:
        assert "nothing was edited" in str(error)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_steered_model_is_compiled_and_exported_whole(fresh_compiler):
    steered = pushed(Net(), "block")
    whole = torch.compile(steered, backend="aot_eager", fullgraph=True)
    with torch.no_grad():  # nothing is traced backwards
        torch.testing.assert_close(whole(X), steered(X))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "While compiling, we found certain side effects")  # that the edit was made
        exported = torch.export.export(steered, (X,), strict=True)
    torch.testing.assert_close(exported.module()(X), steered(X))
    with pytest.raises(InvalidInputError, match="nothing was edited"):
        torch.compile(Steered(Fused(), Doubled(), "unused"), backend="eager")(X[None])


def test_threads_share_a_steered_model():
    steered, errors = Steered(Net(), Doubled(), "block"), []

    def serve():
        try:
            for _ in range(200):
                steered(X)
        except InvalidInputError as error:
            errors.append(error)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


# -- models that torch does not copy -----------------------------------------------------------------------------------


class Keeping(nn.Module):
    """Keeps states that gradients flow through."""

    def __init__(self):
        super().__init__()
        self.linear, self.kept = nn.Linear(8, 8), {}

    def forward(self, x):
        self.last = self.linear(x)
        self.kept["states"] = [self.last, self.last]
        return self.last


def old_weight_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.Linear(8, 8))


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (Keeping, "linear"),
        (lambda: nn.Sequential(old_weight_norm()), "0"),
        (lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))), "0"),
        (lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))), "0"),
    ],
)
def test_models_with_tensors_that_have_a_past(make, layer):
    model = make()
    model(X)
    steered = Steered(model.eval(), Doubled(), layer)
    torch.testing.assert_close(steered(X), 2 * model(X))
    steered(X).sum().backward()
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("hold", [threading.Lock, lambda: (i for i in range(3)), lambda: nn.LazyLinear(3)])
def test_models_that_cannot_be_copied_are_refused(hold):
    model = Net()
    model.held = hold()
    with pytest.raises(InvalidInputError, match=r"Net cannot be copied \(.*\). Edit it in place, with"):
        Steered(model, Doubled(), "block")
    with attach(model, Doubled(), "block"):
        model(X)


def test_states_of_a_sequential_model_are_edited_too():
    from headtail.data import Interactions

    model = SASRec(12, max_length=5, embedding_dim=8, rng=0).eval()
    sequences = torch.randint(12, (3, 5), generator=torch.Generator().manual_seed(0))
    steered = Steered(model, Doubled())
    assert torch.equal(steered.states(sequences).queries, 2 * model.states(sequences).queries)
    users, items = torch.arange(3).repeat_interleave(5).int().numpy(), sequences.flatten().int().numpy()
    train = Interactions(USERS[:3].numpy(), USERS[:12].numpy(), users, items, order=torch.arange(15).numpy() % 5)
    assert torch.equal(states(steered, train), 2 * states(model, train))


def test_vectors_of_an_adapter_are_edited():
    class Adapter(nn.Module):
        def __init__(self):
            super().__init__()
            self.users, self.items = nn.Embedding(20, 8), nn.Embedding(10, 8)

        def forward(self, users):
            return Vectors(self.users(users), self.items.weight)

    model = Adapter()
    assert torch.equal(queries(Steered(model, Doubled(), "users")), 2 * model.users.weight)


@pytest.fixture
def double_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_all_of_it_where_float64_is_the_default(double_by_default):
    train = power_law(60, 30, n_interactions=300, rng=0).interactions
    model, sae = MF(60, 30, 8, rng=0), TopKSAE(8, expansion=4, k=4, rng=0)
    fit_sae(sae, states(model, train), epochs=1, rng=0)
    found = contrast(model, train, rng=0)
    neurons = find_neurons(sae, found, train).with_effects(n_users=20)
    for steered in (
        steer(model, sae, neurons, per_user=Excess(torch.ones(8), 1.0)),
        Steered(model, random_push(neurons, 1.0)),
        Steered(model, Noise(neurons, 1.0)),
        steer_direction(model, found, strength=1.0),
    ):
        assert vectors(steered).queries.dtype == torch.float64
