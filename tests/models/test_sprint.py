"""SPRINT: SASRec itself but for its penalty, which equals one computed entry by entry."""

import math

import numpy as np
import pytest
import torch

from headtail.models import SPRINT, SASRec
from headtail.training import load_model, save_model

SIZES = {"max_length": 5, "embedding_dim": 4, "n_layers": 2, "n_heads": 2, "inner_dim": 6, "dropout": 0.0}
HISTORIES = torch.tensor([[-1, -1, -1, 3, 1], [2, 0, 4, 4, 1], [-1, -1, -1, -1, 6]])


def build(**weights):
    model = SPRINT(7, rng=0, **weights, **SIZES).double()
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=source) * 0.5)
    return model


def naive_attention(block, x):
    """The attention matrices of the heads of one sequence, without filling: position by position."""
    normed = block.norm_attention(x)
    queries, keys = block.of_query(normed), block.of_key_value(normed)[:, :4]
    for head in (slice(0, 2), slice(2, 4)):
        matrix = np.zeros((len(x), len(x)))
        for at in range(len(x)):
            answers = [math.exp(queries[at, head] @ keys[to, head] / math.sqrt(2)) for to in range(at + 1)]
            matrix[at, : at + 1] = np.array(answers) / sum(answers)
        yield matrix


@torch.no_grad()
def test_penalty_equals_a_naive_one():
    model = build(attention_weight=2.0, inner_weight=0.3)
    sums = [[], []]
    for history in HISTORIES.tolist():
        items = [item for item in history if item >= 0]
        x = [model.items[item] + model.positions[5 - len(items) + at] for at, item in enumerate(items)]
        x = torch.stack([model.start, *x] if len(items) < 5 else x)
        for layer, block in enumerate(model.blocks):
            sums[layer] += [total for matrix in naive_attention(block, x) for total in matrix.sum(axis=0)]
            x = block(x[None], torch.ones(1, 1, len(x), len(x), dtype=torch.bool).tril())[0]
    expected = 0.0
    for of_layer, block in zip(sums, model.blocks, strict=True):
        norms = [np.linalg.svd(layer.weight.numpy())[1][0] for layer in (block.inner, block.outer)]
        expected += 2.0 * math.log(math.log(sum(math.exp(total) for total in of_layer))) + 0.3 * np.log(norms).sum()
    assert model.forward_with_loss(HISTORIES)[1].item() == pytest.approx(expected, rel=1e-9)


def test_the_rest_is_sasrec():
    model, plain = build(), SASRec(7, **SIZES).double()
    plain.load_state_dict(model.state_dict())
    states, items = model.forward_with_loss(HISTORIES)[0]
    torch.testing.assert_close(states[:, -1], plain(HISTORIES).queries)
    torch.testing.assert_close(states[:, -1], plain.states(HISTORIES).queries[:, -1])
    assert torch.equal(items, plain.items)


def test_saved_with_its_weights(tmp_path):
    model = build(attention_weight=1.0, inner_weight=0.1)
    again = load_model(save_model(model, tmp_path / "sprint"))
    assert (again.attention_weight, again.inner_weight, again.dropout.p) == (1.0, 0.1, 0.0)


def test_weights_of_half_precision_have_a_penalty():
    model = build(inner_weight=0.1)
    full = model.forward_with_loss(HISTORIES)[1].item()
    assert model.bfloat16().forward_with_loss(HISTORIES)[1].item() == pytest.approx(full, rel=0.02)


@pytest.mark.parametrize("inner_weight", [0.1, 0.0])
def test_neither_histories_of_filling_nor_weights_of_zero_make_it_infinite(inner_weight):
    model = build(inner_weight=inner_weight)
    with torch.no_grad():
        for block in model.blocks:
            block.inner.weight.zero_()
    penalty = model.forward_with_loss(torch.full((2, 3), -1))[1]
    penalty.backward()
    assert torch.isfinite(penalty)
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters() if weight.grad is not None)
