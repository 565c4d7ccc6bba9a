"""SASRec: a naive implementation, what padding and time must not change, users without history, bad input."""

import math

import numpy as np
import pytest
import torch

from headtail.exceptions import InvalidInputError
from headtail.models import SASRec
from headtail.typing import Recommender, Vectors

N_ITEMS, LENGTH, DIM, HEADS = 9, 6, 8, 2


def build(seed=0, **more):
    """A model whose weights are far from their small start, so that every part matters."""
    model = SASRec(N_ITEMS, LENGTH, DIM, n_layers=2, n_heads=HEADS, inner_dim=12, rng=seed, **more).eval()
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=source) * 0.5)
    return model


def padded(*histories, length=LENGTH):
    return torch.tensor([[-1] * (length - len(h)) + list(h) for h in histories])


def normalize(x, weight, bias):
    mean = x.mean()
    return (x - mean) / ((x - mean).square().mean() + 1e-5).sqrt() * weight + bias


def naive_query(model, history):
    """One history at a time, one position at a time, one head at a time."""
    w = {name: value.double() for name, value in model.state_dict().items()}
    history = history[-LENGTH:]
    x = [w["items"][i] + w["positions"][LENGTH - len(history) + at] for at, i in enumerate(history)]
    if len(history) < LENGTH:
        x = [w["start"], *x]
    for layer in range(2):
        p = {name.split(f"blocks.{layer}.")[1]: v for name, v in w.items() if name.startswith(f"blocks.{layer}.")}

        def linear(name, value, p=p):
            return p[f"{name}.weight"] @ value + p[f"{name}.bias"]

        normed = [normalize(v, p["norm_attention.weight"], p["norm_attention.bias"]) for v in x]
        after = []
        for at in range(len(x)):
            query, parts = linear("of_query", normed[at]), []
            for head in range(HEADS):
                own = slice(head * DIM // HEADS, (head + 1) * DIM // HEADS)
                keys = [linear("of_key_value", v)[:DIM][own] for v in normed[: at + 1]]
                values = [linear("of_key_value", v)[DIM:][own] for v in normed[: at + 1]]
                weights = torch.stack([query[own] @ key / math.sqrt(DIM / HEADS) for key in keys]).softmax(dim=0)
                parts.append(sum(weight * value for weight, value in zip(weights, values, strict=True)))
            y = x[at] + linear("out", torch.cat(parts))
            inner = linear("inner", normalize(y, p["norm_inner.weight"], p["norm_inner.bias"]))
            inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
            after.append(y + linear("outer", inner))
        x = after
    return normalize(x[-1], w["norm.weight"], w["norm.bias"])


@pytest.mark.parametrize("history", [[], [4], [0, 3, 3, 8, 1], [5, 0, 2, 7, 1, 6], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_equals_a_naive_implementation(history):
    model = build().double()
    out = model(padded(history[-LENGTH:]))
    assert isinstance(out, Vectors)
    assert isinstance(model, Recommender)
    torch.testing.assert_close(out.queries[0], naive_query(model, history))
    assert torch.equal(out.items, model.items)


@pytest.mark.parametrize("history", [[], [4], [0, 3, 2, 8, 1]])
def test_the_length_of_the_filling_changes_nothing(history):
    model = build()
    whole = model(padded(history)).queries
    for length in range(max(1, len(history)), LENGTH):
        torch.testing.assert_close(model(padded(history, length=length)).queries, whole)
    beside = model(padded(history, [1, 2, 3, 4, 5, 6])).queries[:1]  # nor do the others in the batch
    torch.testing.assert_close(beside, whole)


def test_the_query_is_the_last_state_and_states_do_not_see_the_future():
    model = build()
    sequences = padded([3, 1, 4, 1, 5], [2, 6])
    states, items = model.states(sequences)
    assert states.shape == (2, LENGTH, DIM)
    assert torch.equal(items, model.items)
    torch.testing.assert_close(states[:, -1], model(sequences).queries)
    changed = sequences.clone()
    changed[:, -1] = 7
    torch.testing.assert_close(model.states(changed).queries[:, :-1], states[:, :-1])
    assert not torch.allclose(model.states(changed).queries[:, -1], states[:, -1])


def test_the_state_before_the_first_item_is_the_query_without_history():
    model = build()
    states = model.states(padded([3, 1, 4], [])).queries
    without = model(padded([])).queries[0]
    torch.testing.assert_close(states[0, LENGTH - 4], without)
    torch.testing.assert_close(states[1, -1], without)
    assert torch.isfinite(states).all()
    assert without.abs().sum() > 0


def test_order_matters():
    model = build()
    queries = model(padded([3, 1, 4], [1, 3, 4])).queries
    assert not torch.allclose(queries[0], queries[1])


def test_every_weight_gets_a_gradient_and_filling_gives_item_0_none():
    model = build().train()
    model.states(padded([3, 1], [2, 4, 5])).queries.square().sum().backward()
    unused = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert unused == []
    assert model.items.grad[0].abs().sum() == 0
    assert model.start.grad.abs().sum() > 0


def test_queries_pass_through_the_module_named_query():
    model, seen = build(), []
    model.query.register_forward_hook(lambda m, args, out: seen.append(out) or out + 1)
    queries = model(padded([3, 1], [2])).queries
    assert seen[0].shape == (2, DIM)
    torch.testing.assert_close(queries, seen[0] + 1)


def test_dropout_is_for_training_only():
    model = build(dropout=0.5)
    sequences = padded([3, 1, 4])
    assert torch.equal(model(sequences).queries, model(sequences).queries)
    model.train()
    assert not torch.equal(model(sequences).queries, model(sequences).queries)


def test_same_seed_same_model_and_no_global_seed():
    before = torch.get_rng_state()
    first, second, third = (SASRec(5, embedding_dim=4, rng=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["items"], third["items"])
    assert torch.equal(before, torch.get_rng_state())


def test_exports_and_the_export_serves_any_batch():
    model = build()
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (padded([3, 1], [2]),), dynamic_shapes=({0: batch},))
    sequences = padded([1], [], [5, 0, 2, 7, 1, 6])
    torch.testing.assert_close(program.module()(sequences)[0], model(sequences).queries)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_items": 0}, "n_items=0 is out of range"),
        ({"max_length": 2.5}, "max_length=2.5 is not a whole number"),
        ({"n_layers": 0}, "n_layers=0 is out of range"),
        ({"n_layers": 2**31 - 1}, "at most 1000"),  # built layer by layer, without an end
        ({"n_heads": 0}, "n_heads=0 is out of range"),
        ({"n_heads": 3}, "embedding_dim=64 is not a multiple of n_heads=3"),
        ({"inner_dim": 0}, "inner_dim=0 is out of range"),
        ({"dropout": 1}, "dropout=1 is out of range"),
        ({"rng": "x"}, "rng='x' is neither a seed"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    with pytest.raises(InvalidInputError, match=message):
        SASRec(**{"n_items": 5, **change})


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        (torch.tensor([1, 2]), r"sequences have shape \(2,\); give \(B, L\) with L of 1 to max_length=6"),
        (torch.zeros(2, 7, dtype=torch.int64), r"shape \(2, 7\)"),
        (torch.zeros(2, 0, dtype=torch.int64), r"shape \(2, 0\)"),
        (torch.tensor([[2, 3, -1]]), "-1 after an item; fill them at the left"),
    ],
)
def test_bad_sequences_are_refused(sequences, message):
    with pytest.raises(InvalidInputError, match=message):
        build()(sequences)


def test_numpy_sequences_of_interactions_fit():
    sequences = np.array([[-1, -1, 2]], dtype=np.int32)
    assert build()(torch.from_numpy(sequences)).queries.shape == (1, DIM)
