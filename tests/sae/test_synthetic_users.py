import numpy as np
import polars as pl
import pytest
import torch

from headtail.data import Interactions
from headtail.datasets import power_law
from headtail.exceptions import InvalidInputError
from headtail.models import MF, SASRec
from headtail.sae import Contrast, contrast, extreme_users, item_sets, synthetic_users

WORLD = power_law(200, 60, n_interactions=1500, rng=0).interactions


def timed(interactions):
    order = np.arange(len(interactions))
    return Interactions(
        interactions.user_ids, interactions.item_ids, interactions.users, interactions.items, order=order
    )


def test_sets_by_rank_and_by_mass():
    # Popularity 40, 20, 10, 10, 10, 5, 3, 2 (of 100), and an item that nobody met.
    counts = [40, 20, 10, 10, 10, 5, 3, 2]
    users = np.concatenate([np.arange(n) for n in counts]).astype(np.int32)
    items = np.repeat(np.arange(8), counts).astype(np.int32)
    interactions = Interactions(np.arange(40), np.arange(9), users, items)
    popular, niche = item_sets(interactions, "mass")
    assert popular.tolist() == [0]  # 40% is the fewest items with at least 20%
    assert niche.tolist() == [4, 5, 6, 7]  # 10 + 5 + 3 + 2
    popular, niche = item_sets(interactions, "rank", share=0.25)
    assert (popular.tolist(), niche.tolist()) == ([0, 1], [6, 7])


@pytest.mark.parametrize("rule", ["rank", "mass"])
@pytest.mark.parametrize("which", ["popular", "niche"])
def test_histories_keep_their_lengths_and_draw_from_the_set(rule, which):
    made = synthetic_users(WORLD, which, rule, max_length=8, rng=0)
    real = WORLD.activity[WORLD.activity > 0]
    assert ((made >= 0).sum(axis=1) == np.minimum(real, 8)).all()
    assert (made[:, 1:] >= 0)[made[:, :-1] >= 0].all()  # filled at the left only
    chosen = item_sets(WORLD, rule)[which == "niche"]
    drawn, counts = np.unique(made[made >= 0], return_counts=True)
    assert drawn.tolist() == sorted(chosen.tolist())
    assert counts.max() < 3 * counts.mean()  # evenly, not by popularity


def test_same_seed_same_users():
    assert np.array_equal(synthetic_users(WORLD, "niche", rng=3), synthetic_users(WORLD, "niche", rng=3))
    assert not np.array_equal(synthetic_users(WORLD, "niche", rng=3), synthetic_users(WORLD, "niche", rng=4))


def test_extreme_users_have_the_most_and_the_least_popular_tastes_of_users_as_active():
    popular, niche = extreme_users(WORLD, share=0.1)
    taste = np.array([WORLD.popularity[WORLD.items[WORLD.users == u]].mean() for u in range(WORLD.n_users)])
    by_activity = sorted(range(WORLD.n_users), key=lambda u: WORLD.activity[u])
    steps = [n for n in range(1, 200) if WORLD.activity[by_activity[n]] > WORLD.activity[by_activity[n - 1]]]
    cut = min(steps, key=lambda n: abs(n - 100))  # a tenth of either half, which parts no users who are as active
    for group, sign in ((popular, -1), (niche, 1)):
        for half in (by_activity[:cut], by_activity[cut:]):
            extremes = sorted(half, key=lambda u: sign * taste[u])[: -(-len(half) // 10)]
            assert sorted(taste[extremes]) == sorted(taste[np.intersect1d(group, half)])
    assert len(popular) == len(niche) == len(np.union1d(popular, niche)) / 2 == 21


def test_names_do_not_decide_who_is_extreme():
    renamed = np.random.default_rng(0).permutation(WORLD.n_users).astype(np.int32)
    other = Interactions(WORLD.user_ids, WORLD.item_ids, renamed[WORLD.users], WORLD.items)
    taste = np.bincount(WORLD.users, WORLD.popularity[WORLD.items]) / WORLD.activity
    for group, again in zip(extreme_users(WORLD), extreme_users(other), strict=True):
        was = np.argsort(renamed)[again]
        of = [sorted(zip(WORLD.activity[codes], taste[codes], strict=True)) for codes in (was, group)]
        assert of[0] == of[1]


def test_the_groups_of_extreme_users_are_as_active():
    """Half of the users have ten interactions, the others two: whoever has few has met popular items alone."""
    users = np.repeat(np.arange(200), np.where(np.arange(200) < 100, 10, 2)).astype(np.int32)
    place = np.concatenate([np.arange(n) for n in np.bincount(users)])
    items = ((place * (1 + users % 5)) % 40).astype(np.int32)
    interactions = Interactions(np.arange(200), np.arange(40), users, items)
    popular, niche = extreme_users(interactions)
    assert interactions.activity[popular].mean() == interactions.activity[niche].mean() == 6


def test_contrast_of_a_model_of_ids():
    model = MF(200, 60, 4, rng=0)
    found = contrast(model, WORLD)
    popular, niche = extreme_users(WORLD)
    assert torch.equal(found.popular, model.users[popular].detach())
    assert torch.equal(found.niche, model.users[niche].detach())
    assert torch.equal(found.real, model.users[found.users].detach())
    assert torch.equal(found.items, model.items.detach())
    wider, of_items = contrast(model, WORLD, share=0.3), contrast(model, WORLD, "item", by="mass", share=0.3)
    assert torch.equal(wider.popular, model.users[extreme_users(WORLD, 0.3)[0]].detach())
    assert torch.equal(of_items.niche, model.items[item_sets(WORLD, "mass", share=0.3)[1]].detach())


@pytest.mark.parametrize("sets", [{"by": "rank"}, {"by": "mass"}, {"by": "mass", "share": 0.4}])
def test_contrast_of_a_sequential_model(sets):
    train = timed(WORLD)
    model = SASRec(60, max_length=10, embedding_dim=8, rng=0)
    found = contrast(model, train, batch_size=64, rng=0, **sets)
    assert model.training
    model.eval()
    assert found.popular.shape == found.niche.shape == found.real.shape
    with torch.no_grad():
        made = synthetic_users(train, "popular", **sets, max_length=10, rng=0)
        expected = model(torch.from_numpy(made).long()).queries
    torch.testing.assert_close(found.popular, expected)
    hidden = contrast(model, train, "blocks.1", rng=0)
    assert hidden.items is None and hidden.real.shape == found.real.shape


def test_bad_input():
    few = Interactions.from_frame(pl.DataFrame({"user": [1, 1, 2], "item": [10, 20, 10]}))
    with pytest.raises(InvalidInputError, match="the 1 items with interactions make a set that is empty"):
        synthetic_users(few.subset(np.array([0])), "popular")
    even = Interactions.from_frame(pl.DataFrame({"user": [1, 2], "item": [10, 20]}))
    with pytest.raises(InvalidInputError, match="do not differ: the least popular of the popular ones has 1"):
        item_sets(even)
    with pytest.raises(InvalidInputError, match=r"share=0\.1 of 2 users with interactions makes no two groups"):
        extreme_users(even)
    with pytest.raises(InvalidInputError, match=r"share=0.7 is out of range"):
        item_sets(WORLD, share=0.7)
    with pytest.raises(InvalidInputError, match="which='head' is not known"):
        synthetic_users(WORLD, "head")
    with pytest.raises(InvalidInputError, match="popular has shape \\(3, 5\\); give vectors \\(n, 4\\)"):
        Contrast(torch.zeros(3, 5), torch.zeros(3, 4), torch.zeros(3, 4))
    with pytest.raises(InvalidInputError, match="niche holds values that are NaN"):
        Contrast(torch.zeros(3, 4), torch.full((3, 4), torch.nan), torch.zeros(3, 4))
    with pytest.raises(InvalidInputError, match="this contrast has no item vectors"):
        Contrast(torch.zeros(3, 4), torch.zeros(3, 4), torch.zeros(3, 4)).recommendable()
