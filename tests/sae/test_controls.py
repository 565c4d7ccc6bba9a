import numpy as np
import pytest
import torch
from test_steering import MODEL, NEURONS, SAE, TRAIN, USERS

from headtail.exceptions import InvalidInputError
from headtail.models import MF
from headtail.sae import Contrast, Direction, Steered, contrast, steer, steer_direction
from headtail.sae.controls import Noise, random_push

FOUND = contrast(MODEL, TRAIN)


def test_random_neurons_are_pushed_as_hard():
    chosen = steer(MODEL, SAE, NEURONS.select(top=5)).edit.shift
    dealt = random_push(NEURONS.select(top=5), 1.0, rng=1).shift
    assert sorted(dealt.tolist()) == pytest.approx(sorted(chosen.tolist()))
    assert not torch.equal(dealt, chosen)
    assert torch.equal(dealt, random_push(NEURONS.select(top=5), 1.0, rng=1).shift)


def test_noise_repeats_itself_and_is_as_large_as_said():
    noisy = Steered(MODEL, Noise(NEURONS, 0.5, rng=0))
    first = noisy(USERS).queries
    assert torch.equal(first, noisy(USERS).queries)
    assert not torch.equal(first, MODEL(USERS).queries)
    assert not torch.equal(first, Noise(NEURONS, 0.5, rng=1)(MODEL(USERS).queries))
    np.testing.assert_allclose(noisy.edit.scale.numpy(), 0.5 * NEURONS.std, rtol=1e-5)
    assert torch.equal(Noise(NEURONS, 0.0)(MODEL(USERS).queries), MODEL(USERS).queries)
    state = torch.get_rng_state()
    noisy(USERS)
    assert torch.equal(state, torch.get_rng_state())


def test_the_dense_direction_by_hand():
    c = FOUND.popular.mean(dim=0) - FOUND.niche.mean(dim=0)
    c = c / c.norm()
    x = MODEL.users.detach()
    shifted = steer_direction(MODEL, FOUND, strength=0.5)(USERS).queries
    torch.testing.assert_close(shifted, x - 0.5 * (FOUND.real @ c).std() * c)
    projected = steer_direction(MODEL, FOUND, strength=1.0, mode="project")(USERS).queries
    level = FOUND.niche.mean(dim=0) @ c
    torch.testing.assert_close(projected @ c, level.expand(200))
    torch.testing.assert_close(projected, x - (x @ c - level)[:, None] * c)
    for mode in ("shift", "project"):
        assert torch.equal(steer_direction(MODEL, FOUND, strength=0, mode=mode)(USERS).queries, x)


def test_projection_makes_no_user_more_popular_than_the_niche_ones():
    """Where all vectors point away from c, projecting to 0 would move everybody towards the popular."""
    popular, niche = torch.tensor([[-1.0, 0.0], [-1.0, 2.0]]), torch.tensor([[-5.0, 0.0], [-5.0, 2.0]])
    away = Contrast(popular, niche, torch.eye(2))
    edit = steer_direction(MF(2, 3, 2, rng=0), away, strength=0.5, mode="project").edit
    assert torch.equal(edit(torch.tensor([[-1.0, 7.0], [-5.0, 7.0]])), torch.tensor([[-3.0, 7.0], [-5.0, 7.0]]))


def test_projection_to_a_level():
    edit = Direction(torch.tensor([0.0, 2.0]), strength=1.0, mode="project", level=3.0)
    assert torch.equal(edit(torch.tensor([[1.0, 5.0], [2.0, 3.0]])), torch.tensor([[1.0, 3.0], [2.0, 3.0]]))


def test_bad_input():
    with pytest.raises(InvalidInputError, match=r"length 0\.0; give a vector that is not 0"):
        Direction(torch.zeros(3), strength=1.0)
    with pytest.raises(InvalidInputError, match="mode='scale' is not known"):
        Direction(torch.ones(3), strength=1.0, mode="scale")
    with pytest.raises(InvalidInputError, match="strength=nan"):
        steer_direction(MODEL, FOUND, strength=float("nan"))
    with pytest.raises(InvalidInputError, match="alpha=-1"):
        Noise(NEURONS, -1)
    with pytest.raises(InvalidInputError, match="alpha_popular=inf"):
        random_push(NEURONS, float("inf"))
