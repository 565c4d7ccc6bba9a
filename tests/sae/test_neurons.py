from dataclasses import replace

import numpy as np
import pytest
import torch

from headtail.data import Interactions
from headtail.datasets import power_law
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.models import ALS, MF
from headtail.sae import Contrast, TopKSAE, contrast, find_neurons, personal_strength
from headtail.training import fit, recommend

TRAIN = power_law(200, 60, n_interactions=1500, rng=0).interactions


def trained():
    model = ALS(200, 60, 6, rng=0)
    fit(model, TRAIN)
    return model


MODEL = trained()
SAE = TopKSAE(6, expansion=4, k=4, rng=0)
with torch.no_grad():
    SAE.bias += 0.05
    SAE.encoder_bias += torch.linspace(-0.1, 0.1, 24)
FOUND = contrast(MODEL, TRAIN)
NEURONS = find_neurons(SAE, FOUND, TRAIN, k=5)


def pre(x):
    with torch.no_grad():
        return SAE.pre_activations(x.double().float()).double().numpy()


def cohens_d(a, b):
    """Difference of means over the pooled standard deviation, column by column."""
    pooled = ((len(a) - 1) * a.var(axis=0, ddof=1) + (len(b) - 1) * b.var(axis=0, ddof=1)) / (len(a) + len(b) - 2)
    return (a.mean(axis=0) - b.mean(axis=0)) / np.sqrt(pooled)


def test_cohens_d_by_hand():
    # One neuron, which passes its input on. Means 2 and 1; sums of squares 2 and 2 over 3 degrees of freedom.
    sae = TopKSAE(1, n_neurons=1, k=1)
    with torch.no_grad():
        sae.encoder.fill_(1.0)
    found = Contrast(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0]]))
    assert find_neurons(sae, found, n_bootstrap=0).cohens_d[0] == pytest.approx(1 / np.sqrt(4 / 3), rel=1e-5)


def test_scores_equal_those_of_the_pre_activations_themselves():
    np.testing.assert_allclose(NEURONS.cohens_d, cohens_d(pre(FOUND.popular), pre(FOUND.niche)), rtol=1e-4)
    for name, x in (("std", FOUND.real), ("std_popular", FOUND.popular), ("std_niche", FOUND.niche)):
        np.testing.assert_allclose(getattr(NEURONS, name), pre(x).std(axis=0, ddof=1), rtol=1e-4)


def test_far_from_the_origin_d_is_the_same():
    far = 1000.0
    moved = Contrast(FOUND.popular.double() + far, FOUND.niche.double() + far, FOUND.real.double() + far)
    np.testing.assert_allclose(find_neurons(SAE, moved).cohens_d, NEURONS.cohens_d, rtol=1e-6)


def test_bootstrap_is_near_the_textbook_error_of_d():
    rng = np.random.default_rng(0)
    n = 600  # more than there are groups, so that groups are drawn
    sides = [torch.from_numpy(rng.normal(size=(n, 6)) + m).float() for m in (0.4, 0.0)]
    found = find_neurons(SAE, Contrast(*sides, sides[0]), n_bootstrap=400)
    error = (found.high - found.low) / 2 / 1.96
    np.testing.assert_allclose(error, np.sqrt(2 / n + found.cohens_d**2 / (4 * n)), rtol=0.25)
    assert np.isnan(find_neurons(SAE, Contrast(*sides, sides[0]), n_bootstrap=0).low).all()


def test_firing_counts():
    with torch.no_grad():
        values, neurons = SAE.encode(FOUND.real)
    dense = torch.zeros(len(FOUND.real), 24).scatter_(1, neurons, values).numpy()
    np.testing.assert_allclose(NEURONS.firing_rate, (dense > 0).mean(axis=0))
    expected = [column[column > 0].mean() if (column > 0).any() else 0.0 for column in dense.T]
    np.testing.assert_allclose(NEURONS.mean_activation, expected, rtol=1e-5)


def test_correlation_with_what_is_recommended():
    lists = recommend(MODEL, TRAIN, users=TRAIN.user_ids[FOUND.users], k=5).items
    popularity = np.log1p(TRAIN.popularity)[lists].mean(axis=1)
    expected = [np.corrcoef(column, popularity)[0, 1] for column in pre(FOUND.real).T]
    np.testing.assert_allclose(NEURONS.correlation, expected, atol=1e-4)


def test_effects_equal_lists_made_again_with_one_neuron_pushed():
    measured = NEURONS.with_effects(n_users=1000)
    levels = np.log1p(TRAIN.popularity)
    ids = TRAIN.user_ids[FOUND.users]

    def lists(x):
        queries = torch.zeros(TRAIN.n_users, 6)
        queries[FOUND.users.astype(np.int64)] = x
        return recommend((queries, MODEL.items), TRAIN, users=ids, k=5).items

    before = lists(FOUND.real)
    for j in range(24):
        shift = torch.zeros(24)
        shift[j] = float(NEURONS.std[j])
        with torch.no_grad():
            code, pushed = SAE.encode(FOUND.real), SAE.encode(FOUND.real, shift)
            after = lists(FOUND.real + SAE.decode(pushed) - SAE.decode(code))
        assert measured.effect[j] == pytest.approx((levels[after] - levels[before]).mean(), abs=2e-3)
        changed = np.mean([len(set(a) - set(b)) / 5 for a, b in zip(after, before, strict=True)])
        assert measured.changed[j] == pytest.approx(changed, abs=2e-3)
    assert (measured.effect != 0).any()
    fewer = NEURONS.with_effects(n_users=20)
    assert np.array_equal(fewer.effect, NEURONS.with_effects(n_users=20).effect)
    part = NEURONS.select(top=3)
    np.testing.assert_allclose(part.with_effects(n_users=1000).effect, measured.effect[part.index], atol=1e-6)


def test_effects_are_those_of_the_items_that_are_left_to_a_user():
    rng = np.random.default_rng(0)
    met = rng.random((40, 12)) < 0.75  # fewer than five are left to most
    met[0] = True
    train, model = Interactions.from_matrix(met), MF(40, 12, 6, rng=0)
    found = contrast(model, train)
    neurons = find_neurons(SAE, found, train, k=5).with_effects(n_users=40, progress=False)
    assert neurons.changed.max() > 0
    levels = np.log1p(train.popularity)

    def lists(x):
        scores = np.where(met, -np.inf, x.numpy() @ found.items.numpy().T)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        return [[i for i in own if not met[u, i]] for u, own in enumerate(order)]

    before = lists(found.real)
    for j in range(24):
        shift = torch.zeros(24)
        shift[j] = float(neurons.std[j])
        with torch.no_grad():
            after = lists(found.real + SAE.decode(SAE.encode(found.real, shift)) - SAE.decode(SAE.encode(found.real)))
        pairs = [(a, b) for a, b in zip(after, before, strict=True) if b]
        assert neurons.effect[j] == pytest.approx(
            sum(levels[a].mean() - levels[b].mean() for a, b in pairs) / 40, abs=1e-5
        )
        assert neurons.changed[j] == pytest.approx(sum(len(set(b) - set(a)) / len(b) for a, b in pairs) / 40, abs=1e-5)


def test_selection():
    d, order = NEURONS.cohens_d, [j for j in np.argsort(-abs(NEURONS.cohens_d)) if NEURONS.firing_rate[j]]
    assert NEURONS.select(min_d=0.5).index.tolist() == [j for j in order if abs(d[j]) >= 0.5]
    assert NEURONS.select(top=3).index.tolist() == order[:3]
    silent = replace(NEURONS, firing_rate=np.where(NEURONS.index == order[0], 0.0, NEURONS.firing_rate))
    assert silent.select(top=3).index.tolist() == order[1:4]
    page = silent.to_markdown()  # whose charts are not drawn
    assert f"Neuron {order[0]} (" not in page and f"Neuron {order[1]} (" in page and "It fires for no" not in page
    assert "None of 24 neurons fires" in str(replace(NEURONS, firing_rate=0 * d).report())
    assert (NEURONS.select(sign="niche").cohens_d < 0).all()
    assert len(NEURONS.select(min_rate=0.05)) == (NEURONS.firing_rate >= 0.05).sum()
    measured = NEURONS.with_effects()
    causal = measured.select(by="effect", top=4)
    assert (np.sign(causal.effect) == np.sign(causal.cohens_d)).all()
    assert (np.diff(np.abs(causal.effect)) <= 0).all()
    nested = NEURONS.select(top=5).select(sign="popular")
    assert set(nested.index) <= set(NEURONS.select(top=5).index)
    with pytest.raises(InvalidInputError, match=r"\(\d+ fire\) is left with min_d=50"):
        NEURONS.select(min_d=50)
    with pytest.raises(InvalidInputError, match=r"call with_effects\(\) first"):
        NEURONS.select(by="effect")


def test_report_and_cards():
    measured = NEURONS.with_effects()
    page = measured.report(cards=1).to_html()
    strongest = int(measured.select(top=1).index[0])
    assert f"Neuron {strongest} (" in page
    assert "What d says and what a push does" in page
    assert len(measured.to_polars()) == 24
    assert "popularity" in repr(NEURONS.select(top=3)).lower()
    with pytest.raises(MissingColumnError, match="neuron 99 is not in this table"):
        measured.card(99)


def test_cards_without_items_or_titles():
    plain = find_neurons(SAE, Contrast(FOUND.popular, FOUND.niche, FOUND.real))
    assert np.isnan(plain.correlation).all()
    assert "Direct effect on scores" not in plain.to_markdown()
    with pytest.raises(InvalidInputError, match="has no item vectors"):
        plain.with_effects()


def test_a_card_shows_the_items_that_a_neuron_raises_most():
    j = int(NEURONS.select(top=1).index[0])
    with torch.no_grad():
        added = (MODEL.items @ SAE.decoder[j]).numpy()
    added[TRAIN.popularity == 0] = -np.inf
    best = TRAIN.item_ids[added.argmax()]
    table = next(block for block in NEURONS.card(j).blocks if getattr(block, "title", "") == "Direct effect on scores")
    assert table.rows[0]["up"] == str(best)
    assert table.rows[0]["plus"] == pytest.approx(added.max(), rel=1e-5)


@pytest.mark.parametrize("prior", [0, 4])
def test_personal_strength_is_a_regression_on_the_vector(prior):
    strength = personal_strength(FOUND, TRAIN, k=5, prior=prior)
    lists = recommend(MODEL, TRAIN, users=TRAIN.user_ids[FOUND.users], k=5).items
    levels = np.log1p(TRAIN.popularity)
    taste = [levels[TRAIN.items[TRAIN.users == u]].mean() for u in FOUND.users]
    n = TRAIN.activity[FOUND.users]
    excess = (levels[lists].mean(axis=1) - taste) * n / (n + prior)
    x = FOUND.real.double().numpy() - FOUND.real.double().numpy().mean(axis=0)
    ridge = 1e-3 * np.trace(x.T @ x) / 6 * np.eye(6)
    fitted = excess.mean() + x @ np.linalg.solve(x.T @ x + ridge, x.T @ excess)
    expected = np.maximum(fitted, 0) / np.maximum(fitted, 0).mean()
    np.testing.assert_allclose(strength(FOUND.real)[:, 0].numpy(), expected, atol=1e-4)
    assert strength.r_squared == pytest.approx(1 - ((excess - fitted) ** 2).sum() / excess.var() / len(excess))


def test_bad_input():
    with pytest.raises(InvalidInputError, match="vectors have 6 numbers and the autoencoder takes 5"):
        find_neurons(TopKSAE(5, k=2, rng=0), FOUND)
    same = torch.ones(10, 6)
    with pytest.raises(InvalidInputError, match="all real users have the same vector"):
        find_neurons(SAE, Contrast(FOUND.popular, FOUND.niche, same))
