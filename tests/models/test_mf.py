import numpy as np
import pytest
import torch

from headtail.exceptions import InvalidInputError
from headtail.models import MF
from headtail.typing import Recommender, Vectors


def test_forward_looks_up_the_users_and_returns_all_items():
    model = MF(5, 7, 3, rng=0)
    out = model(torch.tensor([4, 0, 4]))
    assert isinstance(out, Vectors)
    assert torch.equal(out.queries, model.users[[4, 0, 4]])
    assert torch.equal(out.items, model.items)
    assert isinstance(model, Recommender)


def test_xavier_initialization():
    model = MF(300, 200, 50, rng=0)
    for table in (model.users, model.items):
        bound = (6 / sum(table.shape)) ** 0.5
        assert table.abs().max() <= bound
        assert table.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


def test_same_seed_same_model_and_no_global_seed():
    before = torch.get_rng_state()
    first, second, third = MF(5, 7, rng=3), MF(5, 7, rng=3), MF(5, 7, rng=4)
    assert torch.equal(first.users, second.users)
    assert not torch.equal(first.users, third.users)
    assert torch.equal(before, torch.get_rng_state())


def test_a_generator_moves_on():
    rng = np.random.default_rng(0)
    assert not torch.equal(MF(5, 7, rng=rng).users, MF(5, 7, rng=rng).users)


def test_no_biases():
    assert {name for name, _ in MF(5, 7).named_parameters()} == {"users", "items"}


@pytest.mark.parametrize("sizes", [(0, 7, 3), (5, 0, 3), (5, 7, 0), (5, 7, 2.5), (True, 7, 3)])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(InvalidInputError, match=r"give (one|a whole number) of at least 1"):
        MF(*sizes)
