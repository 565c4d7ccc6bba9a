"""The autoencoder: values and gradients of the dense formula, the k largest exactly, compiled and exported, on disk."""

import json
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from headtail.exceptions import CheckpointMismatchError, InvalidInputError, UnreadableFileError
from headtail.sae import TopKSAE, load_sae, save_sae
from headtail.sae.autoencoder import top


def autoencoder(d=8, n=64, k=4, seed=0):
    """One whose weights are all different from each other and from 0."""
    sae = TopKSAE(d, k=k, n_neurons=n, rng=seed)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in sae.parameters():
            p += 0.3 * torch.randn(p.shape, generator=noise)
    return sae


def vectors(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def naive(sae, x, shift=0.0):
    """The formula, dense: reconstruction and z."""
    pre = (x - sae.bias) @ sae.encoder.T + sae.encoder_bias + shift
    values, neurons = pre.relu().topk(sae.k, dim=-1)
    z = torch.zeros_like(pre).scatter(-1, neurons, values)
    return z @ sae.decoder + sae.bias, z


def dense(code, n):
    return torch.zeros(*code.values.shape[:-1], n).scatter(-1, code.neurons, code.values)


def test_by_hand():
    sae = TopKSAE(2, k=1, n_neurons=3)
    with torch.no_grad():
        sae.encoder.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
        sae.decoder.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
        sae.encoder_bias.copy_(torch.tensor([0.0, -1.0, 0.0]))
        sae.bias.copy_(torch.tensor([1.0, 1.0]))
    x = torch.tensor([[4.0, 3.0], [0.0, 6.0], [1.0, 1.5]])
    assert sae.pre_activations(x).tolist() == [[3, 1, -3], [-1, 4, 1], [0, -0.5, 0]]
    assert sae.encode(x).values.tolist() == [[3], [4], [0]]
    assert sae(x).tolist() == [[4, 1], [1, 5], [1, 1]]  # nothing is active for the last: the bias remains


@pytest.mark.parametrize(("n", "k"), [(64, 4), (64, 2), (50, 7), (512, 3), (9, 9)])
def test_values_and_gradients_are_those_of_the_dense_formula(n, k):
    sae, weights = autoencoder(n=n, k=k), vectors(3, 5, 8, seed=2)
    x = vectors(3, 5, 8).requires_grad_()
    (sae(x) * weights).sum().backward()
    ours = [p.grad for p in (x, *sae.parameters())]
    sae.zero_grad()
    other = x.detach().requires_grad_()
    expected, _ = naive(sae, other)
    (expected * weights).sum().backward()
    torch.testing.assert_close(sae(x), expected)
    for mine, p in zip(ours, (other, *sae.parameters()), strict=True):
        torch.testing.assert_close(mine, p.grad, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(sae(x), expected)


def test_gradients_through_the_code_alone():
    sae = autoencoder()
    x = vectors(6, 8)
    sae.encode(x).values.square().sum().backward()
    ours = [p.grad.clone() for p in (sae.encoder, sae.encoder_bias, sae.bias)]
    sae.zero_grad()
    naive(sae, x)[1].square().sum().backward()
    for mine, p in zip(ours, (sae.encoder, sae.encoder_bias, sae.bias), strict=True):
        torch.testing.assert_close(mine, p.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("shape", [(64,), (1, 64), (700, 64)])
def test_a_shift_is_added_before_the_choice(gradients, shape):
    sae, x, shift = autoencoder(), vectors(700, 8), vectors(*shape, seed=5)
    with torch.set_grad_enabled(gradients):
        code = sae.encode(x, shift)
    expected, z = naive(sae, x, shift)
    torch.testing.assert_close(dense(code, 64), z)
    torch.testing.assert_close(sae.decode(code), expected)


def test_a_shift_can_be_learned():
    sae, x = autoencoder(), vectors(6, 8)
    shift = torch.zeros(64, requires_grad=True)
    sae.decode(sae.encode(x, shift)).sum().backward()
    other = torch.zeros(64, requires_grad=True)
    naive(sae, x, other)[0].sum().backward()
    torch.testing.assert_close(shift.grad, other.grad)


def test_blocks_change_nothing():
    sae, x = autoencoder(), vectors(1300, 8)
    with torch.no_grad():
        torch.testing.assert_close(sae(x), torch.cat([sae(part) for part in x.split(100)]))
        assert sae(x[:0]).shape == (0, 8)
        torch.testing.assert_close(sae(x[0]), sae(x)[0])


@given(st.integers(1, 40), st.sampled_from([32, 64, 160, 161, 640]), st.integers(0, 1000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_top_is_exact_with_ties_and_infinities_too(k, n, seed, ties):
    k = min(k, n)
    values = torch.from_numpy(np.random.default_rng(seed).standard_normal((7, n)))
    if ties:
        values = values.round()
    values[0, :3] = -torch.inf
    found, where = top(values, k)
    assert torch.equal(found.sort(descending=True).values, values.topk(k, dim=1).values)
    assert torch.equal(values.gather(1, where), found)
    assert all(len(set(row)) == k for row in where.tolist())


def test_top_with_a_row_that_is_no_number_keeps_the_others():
    values = torch.randn(3, 64, generator=torch.Generator().manual_seed(0)).round()  # many are equal
    values[1] = torch.nan
    found, where = top(values, 4)
    assert found[1].isnan().all()
    for row in (0, 2):
        assert torch.equal(found[row].sort(descending=True).values, values[row].topk(4).values)
        assert torch.equal(values[row, where[row]], found[row])


def test_compiled_it_is_the_same():
    sae, x = autoencoder(), vectors(20, 8)
    compiled = torch.compile(sae, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), sae(x))
    torch._dynamo.reset()


def test_exported_it_is_the_same_for_any_number_of_rows(tmp_path):
    sae = autoencoder().eval()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(sae, (vectors(20, 8),), dynamic_shapes=({0: batch},))
    for rows in (1, 20, 600):
        x = vectors(rows, 8, seed=rows)
        torch.testing.assert_close(program.module()(x), sae(x))


def test_it_starts_from_unit_rows_and_a_tied_encoder():
    one, again, other = (TopKSAE(4, expansion=3, k=2, rng=seed) for seed in (0, 0, 1))
    torch.testing.assert_close(one.decoder.norm(dim=1), torch.ones(12))
    assert torch.equal(one.decoder, one.encoder) and one.n_neurons == 12
    assert torch.equal(one.decoder, again.decoder) and not torch.equal(one.decoder, other.decoder)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"d_in": 0}, "d_in=0 is out of range"),
        ({"d_in": 4, "expansion": 1.5}, "expansion=1.5 is not a whole number"),
        ({"d_in": 4, "expansion": 2, "k": 9}, "k=9 exceeds the 8 neurons"),
        ({"d_in": 4, "k": 0}, "k=0 is out of range"),
    ],
)
def test_bad_sizes_are_refused(sizes, message):
    with pytest.raises(InvalidInputError, match=message):
        TopKSAE(**sizes)


def test_vectors_of_another_width_are_refused():
    with pytest.raises(InvalidInputError, match="vectors of 7 numbers and the autoencoder takes 4"):
        TopKSAE(4, k=2, rng=0)(torch.ones(3, 7))


# -- on disk -----------------------------------------------------------------------------------------------------------


def test_a_saved_autoencoder_comes_back(tmp_path):
    sae = autoencoder(n=50)
    folder = save_sae(sae, tmp_path / "sae")
    back = load_sae(folder)
    assert back.config == sae.config and not back.training
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in sae.state_dict().items())


def test_the_folder_has_the_names_that_sparsify_reads(tmp_path):
    from safetensors.torch import load_file

    folder = save_sae(autoencoder(), tmp_path / "sae")
    weights = load_file(folder / "sae.safetensors")
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "encoder.weight": (64, 8),
        "encoder.bias": (64,),
        "W_dec": (64, 8),
        "b_dec": (8,),
    }
    config = json.loads((folder / "cfg.json").read_text())
    assert (config["d_in"], config["num_latents"], config["k"], config["activation"]) == (8, 64, 4, "topk")


def test_a_folder_of_sparsify_is_read(tmp_path):
    from safetensors.torch import save_file

    sae = autoencoder()
    names = {"encoder": "encoder.weight", "encoder_bias": "encoder.bias", "decoder": "W_dec", "bias": "b_dec"}
    save_file({names[n]: v.to(torch.bfloat16) for n, v in sae.state_dict().items()}, tmp_path / "sae.safetensors")
    config = {
        "expansion_factor": 8,
        "normalize_decoder": True,
        "num_latents": 0,
        "k": 4,
        "multi_topk": False,
        "d_in": 8,
    }
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    back = load_sae(tmp_path)
    assert back.n_neurons == 64 and back.encoder.dtype == torch.float32
    torch.testing.assert_close(back.decoder, sae.decoder, rtol=0.01, atol=0.01)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"transcode": True}, CheckpointMismatchError, "another kind .*transcode=True"),
        ({"activation": "groupmax"}, CheckpointMismatchError, "activation='groupmax'"),
        ({"k": 100}, CheckpointMismatchError, "k=100 exceeds the 64 neurons"),
        ({"num_latents": 32}, CheckpointMismatchError, r"has sizes \(32, 8\), and the encoder beside it \(64, 8\)"),
        ({"d_in": 10**12}, CheckpointMismatchError, "has sizes"),
        ({"d_in": "eight"}, CheckpointMismatchError, "has sizes"),
        ({"k": None, "d_in": None, "num_latents": 0}, UnreadableFileError, "does not describe an autoencoder"),
    ],
)
def test_other_kinds_are_refused(tmp_path, change, error, message):
    folder = save_sae(autoencoder(), tmp_path / "sae")
    config = json.loads((folder / "cfg.json").read_text()) | change
    (folder / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(UnreadableFileError, match="its checksum is wrong"):
        load_sae(folder)
    del config["checksum"]  # as in an autoencoder from elsewhere
    (folder / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(error, match=message):
        load_sae(folder)


def test_damaged_or_missing_files_are_named(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"cfg\.json does not exist"):
        load_sae(tmp_path)
    folder = save_sae(autoencoder(), tmp_path / "sae")
    (folder / "sae.safetensors").write_bytes(b"half")
    with pytest.raises(UnreadableFileError, match=r"sae\.safetensors is not what was written"):
        load_sae(folder)
    (folder / "cfg.json").write_text("{")
    with pytest.raises(UnreadableFileError, match=r"cfg\.json cannot be read as JSON"):
        load_sae(folder)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.parametrize("name", ["sae.pt", "pytorch_model.bin", "ae.pkl"])
def test_a_pickled_checkpoint_is_refused_and_not_run(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    for place in (tmp_path, tmp_path / name):
        with pytest.raises(UnreadableFileError, match=f"{name} is a pickled checkpoint"):
            load_sae(place)
