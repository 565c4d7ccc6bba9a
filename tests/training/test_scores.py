from functools import partial

import pytest
import torch

from headtail import _products, losses
from headtail._tensors import take_rows
from headtail.training.scores import catalogue_loss, pair_scores


def naive(queries, items, candidates):
    return torch.stack([torch.stack([q @ items[c] for c in row]) for q, row in zip(queries, candidates, strict=True)])


@pytest.mark.parametrize("n", [1, 2, 5])  # with 5 there are more candidates than pairs
def test_values_and_gradients_equal_the_naive_ones(n):
    source = torch.Generator().manual_seed(0)
    queries = torch.randn(6, 3, generator=source, dtype=torch.float64, requires_grad=True)
    items = torch.randn(4, 3, generator=source, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([0, 0, 1, 3, 3, 3, 5])  # some queries are of several candidates, some of none
    candidates = torch.randint(4, (7, n), generator=source)
    found = pair_scores(queries, rows, items, candidates)
    torch.testing.assert_close(found, naive(queries[rows], items, candidates))
    assert torch.autograd.gradcheck(lambda q, i: pair_scores(q, rows, i, candidates), (queries, items))


def test_only_one_side_may_need_a_gradient():
    queries, rows, items = torch.ones(2, 3), torch.arange(2), torch.ones(4, 3)
    candidates = torch.tensor([[0, 1], [3, 3]])
    alone = queries.clone().requires_grad_()
    pair_scores(alone, rows, items, candidates).sum().backward()
    assert alone.grad.tolist() == [[2.0] * 3] * 2
    alone = items.clone().requires_grad_()
    pair_scores(queries, rows, alone, candidates).sum().backward()
    assert alone.grad[:, 0].tolist() == [1, 1, 0, 2]


def test_rows_of_a_table_with_its_gradient():
    table = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    codes = torch.tensor([3, 0, 3])
    assert torch.equal(take_rows(table, codes), table[codes])
    assert torch.autograd.gradcheck(lambda t: take_rows(t, codes), (table,))


LOSSES = {
    "bpr": losses.bpr,
    "bce": losses.bce,
    "mse": losses.mse,
    "sampled_softmax": partial(losses.sampled_softmax, temperature=0.7),
    "zerosum": losses.zerosum,
}


@pytest.mark.parametrize("block", [1, 14, 10**6])  # a target at a time, two, all at once
@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_over_the_catalogue_equals_the_naive_one(monkeypatch, name, block):
    monkeypatch.setattr(_products, "_BLOCK", block)
    source = torch.Generator().manual_seed(0)
    queries = torch.randn(5, 3, generator=source, dtype=torch.float64, requires_grad=True)
    items = torch.randn(7, 3, generator=source, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 6, 3, 3, 1])  # the first and the last item among them
    found = catalogue_loss(LOSSES[name], queries, items, targets)
    others = torch.tensor([[i for i in range(7) if i != t] for t in targets.tolist()])
    expected = LOSSES[name](
        naive(queries, items, targets[:, None])[:, 0],
        naive(queries, items, others),
    )
    torch.testing.assert_close(found, expected)
    ours = torch.autograd.grad(3 * found, (queries, items))
    theirs = torch.autograd.grad(3 * expected, (queries, items))
    torch.testing.assert_close(ours, theirs)


def test_full_softmax_is_the_cross_entropy_of_all_scores():
    source = torch.Generator().manual_seed(0)
    queries, items = (torch.randn(n, 3, generator=source, dtype=torch.float64) for n in (5, 7))
    targets = torch.tensor([0, 6, 3, 3, 1])
    found = catalogue_loss(losses.sampled_softmax, queries, items, targets)
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(queries @ items.T, targets))


def test_full_softmax_of_products_beyond_the_exponential():
    queries, items = torch.tensor([[1000.0], [-1000.0]], requires_grad=True), torch.tensor([[1.0], [-1.0]])
    loss = catalogue_loss(losses.sampled_softmax, queries, items, torch.tensor([0, 0]))
    assert loss.item() == 1000  # 0 for the first, 2000 for the second
    assert torch.autograd.grad(loss, queries)[0].tolist() == [[0.0], [-1.0]]
