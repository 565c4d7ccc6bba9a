"""Neurons of item vectors, rules that look at each vector, and steering each user to the own taste."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_neurons import FOUND, MODEL, NEURONS, SAE, TRAIN

from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.models import MF, MODELS
from headtail.sae import (
    Contrast,
    Excess,
    Steering,
    TopKSAE,
    contrast,
    contrast_items,
    find_neurons,
    item_sets,
    load_neurons,
    load_steered,
    neuron_edit,
    personal_strength,
    save_neurons,
    save_steered,
    spree,
    states,
    steer,
    steer_direction,
)
from headtail.sae.steering import steering_weights
from headtail.training import recommend, vectors

ITEMS = MODEL.items.detach()
OF_ITEMS = find_neurons(SAE, contrast(MODEL, TRAIN, "item"), TRAIN)
WITH_EFFECTS = NEURONS.with_effects(n_users=100, progress=False)


def dense(x, sae, shift):
    """The edit of a shift written out over all neurons at once."""
    x = x.numpy().astype(np.float64)
    w = {name: value.detach().numpy().astype(np.float64) for name, value in sae.state_dict().items()}
    pre = (x - w["bias"]) @ w["encoder"].T + w["encoder_bias"]

    def decoded(pre):
        z = np.where(pre >= np.sort(pre, axis=1)[:, [-sae.k]], np.maximum(pre, 0), 0)
        return z @ w["decoder"]

    return x + decoded(pre + (shift(pre) if callable(shift) else shift)) - decoded(pre)


def test_item_neurons_tell_popular_items_from_niche_ones():
    popular, niche = item_sets(TRAIN)
    found = contrast_items(ITEMS, TRAIN)
    assert torch.equal(found.popular, ITEMS[torch.from_numpy(popular).long()])
    assert torch.equal(found.niche, ITEMS[torch.from_numpy(niche).long()])
    assert torch.equal(found.real, states(MODEL, TRAIN, "item")) and found.item_codes is not None
    assert torch.equal(contrast(MODEL, TRAIN, "item").popular, found.popular)
    draws = [contrast_items(ITEMS, TRAIN, by="mass", share=0.4, weighted=True, rng=seed) for seed in range(40)]
    sets = [TRAIN.popularity[codes] for codes in item_sets(TRAIN, "mass", share=0.4)]
    levels = {tuple(row): TRAIN.popularity[i] for i, row in enumerate(ITEMS.tolist())}
    for side, p, sign in (("popular", sets[0], 1), ("niche", sets[1], -1)):
        drawn = [levels[tuple(row)] for draw in draws for row in getattr(draw, side).tolist()]
        weights = p if sign > 0 else 1 - p / TRAIN.popularity.max()
        assert len(drawn) == 40 * len(p)
        assert np.mean(drawn) == pytest.approx((weights / weights.sum()) @ p, rel=0.03)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_layer_of_items(name):
    train = type(TRAIN)(TRAIN.user_ids, TRAIN.item_ids, TRAIN.users, TRAIN.items, order=np.arange(len(TRAIN)))
    model = MODELS[name].for_data(train, embedding_dim=6, rng=0).eval()
    neurons = find_neurons(SAE, contrast(model, train, "item"), train)
    plain, steered = (
        vectors(model, interactions=train),
        vectors(steer(model, SAE, neurons, layer="item"), interactions=train),
    )
    assert torch.equal(plain.queries, steered.queries)
    assert torch.equal(steered.items, neuron_edit(SAE, neurons)(plain.items))
    assert not torch.equal(plain.items, steered.items)


def test_items_steered_are_ordinary_item_vectors_and_equal_a_dense_computation():
    shift = np.zeros(24)
    fires = OF_ITEMS.select(min_rate=1e-9)
    shift[fires.index] = steering_weights(fires, alpha_popular=0.7, alpha_niche=1.3)
    items = neuron_edit(SAE, OF_ITEMS, alpha_popular=0.7, alpha_niche=1.3)(ITEMS)
    np.testing.assert_allclose(items.detach().numpy(), dense(ITEMS, SAE, shift), atol=1e-5)
    steered = steer(MODEL, SAE, OF_ITEMS, alpha_popular=0.7, alpha_niche=1.3, layer="item")
    by_model = recommend(steered, TRAIN, k=5).items
    np.testing.assert_array_equal(by_model, recommend((MODEL.users.detach(), items.detach()), TRAIN, k=5).items)


def test_both_sides_at_once():
    once = steer(MODEL, SAE, NEURONS)
    twice = vectors(steer(once, SAE, OF_ITEMS, layer="model.item"), interactions=TRAIN)
    assert torch.equal(twice.queries, vectors(once, interactions=TRAIN).queries)
    assert torch.equal(twice.items, neuron_edit(SAE, OF_ITEMS)(ITEMS))


def test_cards_of_item_neurons_name_items(tmp_path):
    again = load_neurons(save_neurons(OF_ITEMS, tmp_path / "neurons"), TRAIN)
    loudest = int(np.argmax(OF_ITEMS.mean_activation))
    assert "Items that drive it" in str(again.card(loudest)) and "popular items" in str(again.card(loudest))
    bare = find_neurons(SAE, contrast_items(ITEMS, TRAIN), TRAIN)
    with pytest.raises(InvalidInputError, match="this contrast of items has no queries of users"):
        bare.with_effects()
    with pytest.raises(InvalidInputError, match="give one for each of"):
        contrast_items(ITEMS, TRAIN, queries=MODEL.users[:3])


def test_effects_of_item_neurons_equal_lists_made_again_with_all_items_pushed():
    users = MODEL.users.detach()
    measured = find_neurons(SAE, contrast_items(ITEMS, TRAIN, queries=users), TRAIN, k=5).with_effects(n_users=1000)
    codes, levels = np.flatnonzero(TRAIN.activity), np.log1p(TRAIN.popularity)
    assert TRAIN.popularity.all()
    before = recommend((users, ITEMS), TRAIN, codes=codes, k=5).items
    for j in range(0, 24, 5):
        shift = torch.zeros(24)
        shift[j] = measured.std[j]
        after = recommend((users, Steering(SAE, shift)(ITEMS).detach()), TRAIN, codes=codes, k=5).items
        assert measured.effect[j] == pytest.approx((levels[after] - levels[before]).mean(), abs=2e-3)
        new = np.mean([len(set(b) - set(a)) / 5 for a, b in zip(before.tolist(), after.tolist(), strict=True)])
        assert measured.changed[j] == pytest.approx(new, abs=2e-3)
    assert (measured.effect != 0).any()
    of_model = find_neurons(SAE, contrast(MODEL, TRAIN, "item"), TRAIN, k=5).with_effects(n_users=1000)
    assert np.allclose(measured.effect, of_model.effect, atol=1e-6)


def test_a_model_without_a_layer_of_items():
    class Bare(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.tower = torch.nn.Identity(), torch.nn.Linear(6, 6)

    for verb in (lambda: contrast(Bare(), TRAIN, "item"), lambda: states(Bare(), TRAIN, "item"),
                 lambda: steer(Bare(), SAE, OF_ITEMS, layer="item")):  # fmt: skip
        with pytest.raises(MissingColumnError, match=r"Bare has no layer 'item'.*tower"):
            verb()
    with pytest.raises(InvalidInputError, match=f"a vector for each of the {TRAIN.n_items} items"):
        contrast_items(ITEMS[:7], TRAIN)
    with pytest.raises(InvalidInputError, match="layer='norm' is not known"):
        states(MODEL, TRAIN, "norm")


def test_the_gated_rule_moves_outliers_alone():
    table = NEURONS.select(min_rate=1e-9)
    mean, std = ((lambda x: x.mean(axis=0)), (lambda x: x.std(axis=0, ddof=1)))
    with torch.no_grad():
        popular, niche = (SAE.pre_activations(x).double().numpy() for x in (FOUND.popular, FOUND.niche))
    np.testing.assert_allclose(NEURONS.mean_popular, mean(popular), atol=1e-5)
    np.testing.assert_allclose(NEURONS.mean_niche, mean(niche), atol=1e-5)

    def gated(pre):
        shift = np.zeros_like(pre)
        for j, d in zip(table.index, table.cohens_d, strict=True):
            w = 0.8 * abs(d) / max(abs(e) for e in table.cohens_d if (e > 0) == (d > 0))
            for u in range(len(pre)):
                if d > 0 and pre[u, j] > mean(niche)[j] + 2 * std(niche)[j]:
                    shift[u, j] = -w * std(popular)[j]
                if d < 0 and pre[u, j] < mean(popular)[j] - 2 * std(popular)[j]:
                    shift[u, j] = w * std(niche)[j]
        return shift

    edit = neuron_edit(SAE, NEURONS, variant="gated", alpha_popular=0.8, alpha_niche=0.8)
    found = edit(FOUND.real).detach()
    np.testing.assert_allclose(found.numpy(), dense(FOUND.real, SAE, gated), atol=1e-5)
    moved = (found != FOUND.real).any(dim=1)
    assert moved.any() and not moved.all()
    with pytest.raises(InvalidInputError, match="a lower and an upper end for each of the 24"):
        Steering(SAE, torch.zeros(24), gate=torch.zeros(24))


def test_a_gated_model_is_saved_whole(tmp_path):
    model = MF(200, 60, 6, rng=0)
    steered = steer(model, SAE, NEURONS, variant="gated", per_user=Excess(torch.ones(6), 0.0, low=-1, high=2)).eval()
    again = load_steered(save_steered(steered, tmp_path / "steered"))
    assert torch.equal(again(torch.arange(200)).queries, steered(torch.arange(200)).queries)


@pytest.mark.parametrize("kind", ["spree", "direction", "both sides"])
def test_what_steers_is_saved(tmp_path, kind):
    steered = {
        "spree": lambda: spree(MODEL, FOUND, TRAIN, 0.7),
        "direction": lambda: steer_direction(MODEL, FOUND, strength=0.4, mode="project"),
        "both sides": lambda: steer(steer(MODEL, SAE, NEURONS), SAE, OF_ITEMS, layer="model.item"),
    }[kind]().eval()
    again = load_steered(save_steered(steered, tmp_path / "steered"))
    for ours, theirs in zip(again(torch.arange(200)), steered(torch.arange(200)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_neurons_that_never_fire_are_left_alone():
    silent = TopKSAE(6, expansion=4, k=4, rng=0)
    with torch.no_grad():
        silent.encoder_bias[:3] = -100.0
    table = find_neurons(silent, FOUND, TRAIN)
    assert (table.firing_rate[:3] == 0).all()
    for variant in ("v2", "v1", "gated"):
        shift = neuron_edit(silent, table, variant=variant).shift
        assert (shift[table.firing_rate == 0] == 0).all() and (shift != 0).sum() >= 10
    assert (neuron_edit(silent, table, variant="damp").scale[:3] == 1).all()


def test_neurons_by_what_they_do():
    chosen = WITH_EFFECTS.select(by="effect")
    fires = WITH_EFFECTS.firing_rate > 0
    assert ((WITH_EFFECTS.way > 0) & fires).sum() == len(chosen) < fires.sum() and np.isnan(NEURONS.way).all()
    weights = steering_weights(chosen, alpha_popular=0.5, alpha_niche=0.5, by="effect")
    largest = np.where(chosen.effect > 0, chosen.effect.max(initial=0), -chosen.effect.min(initial=0))
    np.testing.assert_allclose(weights, -0.5 * chosen.effect / largest * chosen.std)
    shift = neuron_edit(SAE, WITH_EFFECTS, by="effect").shift.numpy()
    assert set(np.flatnonzero(shift)) <= set(chosen.index)
    with pytest.raises(InvalidInputError, match="needs measured effects"):
        neuron_edit(SAE, NEURONS, by="effect")


def test_cards_say_where_listening_and_pushing_differ():
    still = replace(WITH_EFFECTS, effect=np.where(WITH_EFFECTS.index == 3, 0.0, WITH_EFFECTS.effect))
    said = {1: set(), -1: {"is not what the neuron listens to"}, 0: {"leaves the popularity of all lists as it is"}}
    for neuron, way in zip(still.index, still.way, strict=True):
        card = str(still.card(int(neuron)))
        assert {text for texts in said.values() for text in texts if text in card} == said[way]
        assert "was not measured" not in card and "was not measured" in str(NEURONS.card(int(neuron)))
    assert set(still.way) == {1, -1, 0}
    assert "Push the other way" in str(WITH_EFFECTS.report()) and "Push the other way" not in str(NEURONS.report())


def naive_spree(push, strength, prior, bound):
    """Each user's excess and the slope of a push, written out; x of the real users, steered."""
    x, items = FOUND.real.double().numpy(), FOUND.items.double().numpy()
    level, matrix = np.log1p(TRAIN.popularity), TRAIN.matrix.toarray() > 0

    def shown(x):
        scores = np.where(matrix[FOUND.users], -np.inf, x @ items.T)
        return np.array([level[np.argsort(-row, kind="stable")[:5]].mean() for row in scores])

    n = matrix[FOUND.users].sum(axis=1)
    own = np.array([level[row].mean() for row in matrix[FOUND.users]])
    excess = (shown(x) - own) * n / (n + prior)
    centered = x - x.mean(axis=0)
    ridge = 1e-3 * np.trace(centered.T @ centered) / 6 * np.eye(6)
    weight = np.linalg.solve(centered.T @ centered + ridge, centered.T @ (excess - excess.mean()))
    fitted = excess.mean() + centered @ weight
    limit = bound * np.abs(fitted).mean()
    amount = strength * np.clip(fitted, -limit, limit) / (shown(x) - shown(push(x))).mean()
    return x + amount[:, None] * (push(x) - x), fitted


@pytest.mark.parametrize("through", ["direction", "neurons"])
def test_spree_equals_a_naive_one(through):
    options = {"k": 5, "prior": 4.0, "bound": 1.5}
    if through == "neurons":
        edit = neuron_edit(SAE, NEURONS, alpha_popular=0.5, alpha_niche=0.5)

        def push(x):
            return edit(torch.from_numpy(x).float()).detach().double().numpy()

        steered = spree(MODEL, FOUND, TRAIN, 0.8, neurons=NEURONS, **options)
    else:
        c = (FOUND.popular.mean(dim=0) - FOUND.niche.mean(dim=0)).double().numpy()
        c /= np.linalg.norm(c)
        spread = (FOUND.real.double().numpy() @ c).std(ddof=1)

        def push(x):
            return x - 0.5 * spread * c

        steered = spree(MODEL, FOUND, TRAIN, 0.8, **options)
    expected, fitted = naive_spree(push, 0.8, 4.0, 1.5)
    found = steered(torch.from_numpy(FOUND.users).long()).queries.detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (fitted > 0).any() and (fitted < 0).any()  # both ways


def test_spree_off_and_with_nothing_to_go_by():
    off = spree(MODEL, FOUND, TRAIN, 0.0)
    assert torch.equal(off(torch.arange(200)).queries, MODEL(torch.arange(200)).queries)
    same = Contrast(FOUND.popular, FOUND.niche, torch.ones(200, 6), FOUND.users, FOUND.items)
    with pytest.raises(InvalidInputError, match="at the same place along the direction"):
        spree(MODEL, same, TRAIN)
    alike = Contrast(FOUND.popular, FOUND.popular, FOUND.real, FOUND.users, FOUND.items)
    with pytest.raises(InvalidInputError, match="have the same mean, so that there is no direction"):
        spree(MODEL, alike, TRAIN)
    with pytest.raises(InvalidInputError, match="a contrast of items has none"):
        spree(MODEL, contrast(MODEL, TRAIN, "item"), TRAIN)


def test_short_histories_and_outliers_are_steered_little():
    x = FOUND.real
    free, bounded = (personal_strength(FOUND, TRAIN, k=5, both_ways=True, bound=b)(x) for b in (100.0, 1.25))
    assert float(free.abs().max()) > 1.3 > float(bounded.abs().max())
    assert float(free.abs().mean()) == pytest.approx(1, rel=1e-4)
    assert float(free.min()) < 0
