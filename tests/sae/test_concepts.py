"""Concept neurons: areas by counting pairs, planted tags, popularity apart, forms of tags, steering by a tag."""

import numpy as np
import polars as pl
import pytest
import torch

from headtail import Vectors, recommend
from headtail.datasets import power_law
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.sae import (
    Contrast,
    Steered,
    Steering,
    TopKSAE,
    contrast_items,
    find_concepts,
    find_neurons,
    steer_tag,
)
from headtail.sae.concepts import _explained, aucs

TRAIN = power_law(120, 80, n_interactions=1500, exponent=0.6, rng=0).interactions
RNG = np.random.default_rng(0)
TAGGED = {name: RNG.random(80) < share for name, share in (("war", 0.4), ("love", 0.5), ("cult", 0.4))}
LEVEL = np.log1p(TRAIN.popularity)
# The first axis is "war", the second popularity, the third "love" with noise, the fourth nothing.
ITEMS = np.column_stack([TAGGED["war"] * 2.0, LEVEL - LEVEL.mean(), TAGGED["love"] + RNG.normal(size=80), np.zeros(80)])
ITEMS[:, :3] += 0.01 * RNG.normal(size=(80, 3))
TAGS = {item: [name for name, has in TAGGED.items() if has[i]] or ["none"] for i, item in enumerate(TRAIN.item_ids)}


def found(tags=TAGS, *, silent=(), rows=None, **changes):
    sae = TopKSAE(4, k=2, n_neurons=8, rng=0)
    with torch.no_grad():
        sae.decoder.copy_(torch.cat([torch.eye(4), -torch.eye(4)]) if rows is None else rows)
        sae.encoder.copy_(sae.decoder)
        sae.encoder_bias[list(silent)] = -100.0
    queries = torch.from_numpy(np.random.default_rng(1).normal(size=(120, 4))).float()
    items = torch.from_numpy(ITEMS).float()
    sides = Contrast(queries[:60] + 1, queries[60:], queries, np.arange(120, dtype=np.int32), items)
    return find_concepts(find_neurons(sae, sides, TRAIN, k=5), tags, **({"min_items": 10} | changes))


def test_areas_equal_the_share_of_pairs_in_order():
    values = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 3.0], [2.0, 0.0], [5.0, 2.0]])
    labels = np.array([[True, False], [False, True], [True, True], [False, False], [True, False]])
    for t, j in np.ndindex(2, 2):
        inside, outside = values[labels[:, t], j], values[~labels[:, t], j]
        pairs = [(a > b) + (a == b) / 2 for a in inside for b in outside]
        assert aucs(values, labels)[t, j] == pytest.approx(np.mean(pairs))


def test_the_neuron_of_a_planted_tag_is_found_and_measured_on_other_items():
    concepts = found()
    war = concepts.tags.index("war")
    assert concepts.best[war] == 0 and concepts.auc[war, 0] == 1
    assert concepts.auc[war, 4] == 0  # its mirror image lowers every one of them
    assert concepts.best_auc[war] == concepts.dimension_auc[war] == 1 and concepts.probe_auc[war] > 0.99
    assert concepts.best[concepts.tags.index("love")] == 2
    assert concepts.n_items.tolist() == sorted(concepts.n_items.tolist(), reverse=True)
    assert concepts.tags_of(0)[0] == "war" and "war" not in concepts.tags_of(4, min_auc=0.6)
    assert np.array_equal(concepts.items("war"), TAGGED["war"])
    without = found(silent=[0])
    assert without.best[war] != 0 and without.best_auc[war] < 0.75 and without.auc[war, 0] == 0.5


def test_a_tag_of_few_items_is_not_given_to_a_neuron_by_chance():
    largest = []
    for seed in range(8):
        few = set(np.random.default_rng(seed).choice(len(TRAIN.item_ids), 10, replace=False).tolist())
        concepts = found({item: ["few" if i in few else "many"] for i, item in enumerate(TRAIN.item_ids)})
        assert not any(concepts.tagged(min_auc=0.6).tags)
        largest.append(concepts.auc.max())
    assert max(largest) > 0.65  # though some reach that


def directions(n_items, meaning, seed):
    """Return the concepts of an untrained autoencoder, where tags have so much to do with all numbers of an item."""
    rng = np.random.default_rng(seed)
    train = power_law(60, n_items, n_interactions=2000, exponent=0.3, rng=seed).interactions
    has = rng.random((n_items, 8)) < 0.3
    items = torch.from_numpy(rng.normal(size=(n_items, 16)) + meaning * has @ rng.normal(size=(8, 16))).float()
    tags = {item: [f"tag {t}" for t in np.flatnonzero(has[i])] for i, item in enumerate(train.item_ids.tolist())}
    queries = torch.from_numpy(rng.normal(size=(60, 16))).float()
    sae = TopKSAE(16, k=4, n_neurons=128, rng=seed)
    sides = Contrast(queries[:30], queries[30:], queries, np.arange(60, dtype=np.int32), items)
    return find_concepts(find_neurons(sae, sides, train, k=5, n_bootstrap=0), tags, n_users=4, rng=seed)


def test_neurons_of_an_untrained_autoencoder_tell_tags_apart_as_random_directions_do():
    nothing = [directions(150, 0.0, seed) for seed in range(8)]
    aucs = np.array([concepts.best_auc for concepts in nothing])
    assert abs(aucs.mean() - 0.5) < 0.015  # though the best neuron of each, on the items it is chosen on, looks clear
    assert np.mean([concepts.auc.max(axis=1).mean() for concepts in nothing]) > 0.62
    inside = [(concepts.low < 0.5) & (concepts.high > 0.5) for concepts in nothing]
    assert 0.85 < np.mean(inside) <= 1
    something = [directions(150, 1.0, seed) for seed in range(8)]
    medians = np.array([[c.best_auc.mean(), c.random_auc.mean(), c.dimension_auc.mean()] for c in something])
    neuron, drawn, dimension = medians.mean(axis=0)
    assert abs(neuron - drawn) < 0.02 and neuron > dimension + 0.015  # of which there are fewer
    assert sum("no better than as many random" in c.verdict for c in (*nothing, *something)) >= 13


def test_neurons_that_stand_for_tags_are_better_than_random_directions():
    rng, many = np.random.default_rng(0), np.random.default_rng(1).random((80, 8)) < 0.4
    items = many + 0.4 * rng.normal(size=(80, 8))
    tags = {item: [f"tag {t}" for t in np.flatnonzero(many[i])] for i, item in enumerate(TRAIN.item_ids)}
    sae = TopKSAE(8, k=4, n_neurons=8, rng=0)
    with torch.no_grad():
        sae.decoder.copy_(torch.eye(8))
        sae.encoder.copy_(torch.eye(8))
    queries = torch.from_numpy(rng.normal(size=(120, 8))).float()
    sides = Contrast(
        queries[:60], queries[60:], queries, np.arange(120, dtype=np.int32), torch.from_numpy(items).float()
    )
    concepts = find_concepts(find_neurons(sae, sides, TRAIN, k=5), tags)
    assert "tags apart better than as many random directions" in concepts.verdict
    assert (concepts.low <= concepts.best_auc).all() and (concepts.best_auc <= concepts.high).all()
    assert (concepts.low > 0.6).all() and np.median(concepts.random_auc) < 0.8


def test_popularity_is_told_apart_from_taste():
    order = np.argsort(-TRAIN.popularity, kind="stable")
    popular = {item: ["hit" if i in order[:30] else "rare"] for i, item in enumerate(TRAIN.item_ids)}
    concepts, taste = found(popular), found()
    hit = concepts.tags.index("hit")
    assert aucs(ITEMS[:, 1:2], concepts.items("hit")[:, None]) > 0.99  # with popularity the neuron knows every hit
    assert abs(concepts.auc[hit, 1] - 0.5) < 0.2
    assert taste.of_popularity[1] > 0.99 and taste.of_both[1] - taste.of_popularity[1] < 0.01
    assert taste.of_tags[0] > 0.99 and taste.of_popularity[0] < 0.2
    assert np.isclose(taste.of_popularity, taste.of_popularity[[4, 5, 6, 7, 0, 1, 2, 3]]).all()


def test_what_is_explained_is_that_of_least_squares():
    basis, values = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 2))
    for j in range(2):
        fitted = np.column_stack([np.ones(40), basis])
        left = values[:, j] - fitted @ np.linalg.lstsq(fitted, values[:, j], rcond=None)[0]
        expected = 1 - (left @ left / 36) / values[:, j].var(ddof=1)
        assert _explained(values, basis)[j] == pytest.approx(expected)


def test_tags_come_in_rows_in_lists_and_in_one_text():
    ids = list(TAGS)
    forms = (
        pl.DataFrame({"item_id": ids, "genres": ["|".join(TAGS[i]) for i in ids]}),
        pl.DataFrame({"item_id": ids, "tags": [TAGS[i] for i in ids]}),
        pl.DataFrame([(i, tag) for i in ids for tag in TAGS[i]], schema=["item_id", "tag"], orient="row"),
        {i: "|".join(TAGS[i]) for i in ids},
    )
    expected = found()
    for form in forms:
        assert found(form).to_dict() == expected.to_dict()
    few = {i: TAGS[i] for i in ids[:60]} | {"no item": ["war"]}
    assert found(few).without == len(set(ids[60:]) & set(TRAIN.item_ids[TRAIN.popularity > 0].tolist()))
    assert "Left out" in found(few).report().to_text()
    lede = found(few).report().lede
    medians = [np.median(found(few).__dict__[f"{name}_auc"]) for name in ("best", "random", "dimension", "probe")]
    assert all(f"{median:.2f}" in lede for median in medians) and "no better than as many random" in lede


class Pair(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.n_users, self.n_items = torch.nn.Embedding(120, 4), 120, 80
        self.register_buffer("table", torch.from_numpy(ITEMS).float())

    def forward(self, users):
        return Vectors(self.query(users), self.table)


def test_what_a_push_shows_of_a_tag_is_what_lists_made_again_show():
    concepts, model = found(n_users=120), Pair()
    neurons = concepts.neurons
    with torch.no_grad():
        model.query.weight.copy_(neurons.source.contrast.real)
        before = concepts._has[recommend(model, TRAIN, k=5).items].mean(axis=(0, 1))
        for place, neuron in enumerate(neurons.index):
            shift = torch.zeros(8)
            shift[neuron] = neurons.std[place]
            pushed = recommend(Steered(model, Steering(neurons.source.sae, shift)), TRAIN, k=5)
            expected = concepts._has[pushed.items].mean(axis=(0, 1)) - before
            np.testing.assert_allclose(concepts.effect[:, place], expected, atol=1e-7)


def test_steering_pushes_the_neurons_that_show_more_of_the_tag_by_how_much_more():
    concepts, model = found(), Pair()
    sae, war = concepts.neurons.source.sae, concepts.tags.index("war")
    steered = steer_tag(model, concepts, "war", 3.0, top=2)
    effect = concepts.effect[war]
    first, second = np.argsort(-effect, kind="stable")[:2]
    expected = torch.zeros(8)
    expected[int(first)] = 3.0 * concepts.neurons.std[first]
    expected[int(second)] = 3.0 * effect[second] / effect[first] * concepts.neurons.std[second]
    torch.testing.assert_close(steered.edit.shift, expected)
    users = torch.arange(120)
    with torch.no_grad():
        model.query.weight.copy_(concepts.neurons.source.contrast.real)
        assert torch.equal(steer_tag(model, concepts, "war", 0.0)(users).queries, model(users).queries)
        shares = [
            concepts.items("war")[recommend(steer_tag(model, concepts, "war", s), TRAIN, k=5).items].mean()
            for s in (-3.0, 0.0, 3.0)
        ]
    assert shares[0] < shares[1] < shares[2]
    assert sae.decoder.shape == (8, 4)


def test_strength_0_tries_no_neuron(monkeypatch):
    monkeypatch.setattr("headtail.sae.tag_steering.list_means", lambda *_: pytest.fail("no lists are needed"))
    assert not steer_tag(Pair(), found(), "war", 0.0).edit.shift.any()


def test_a_tag_that_no_push_shows_is_looked_for_in_longer_lists(monkeypatch):
    asked = []

    def nothing_at_first(*pushed, k, **options):
        asked.append((k, pushed[3].shape[1]))
        return np.full((8, pushed[3].shape[1]), 0.0 if k == 5 else 0.5), None

    monkeypatch.setattr("headtail.sae.concepts.effects_of", nothing_at_first)
    assert (found().effect == 0.5).all() and asked == [(5, 4), (15, 4)]


def test_a_neuron_that_tells_a_tag_but_shows_less_of_it_is_not_pushed():
    rows = torch.cat([torch.eye(4), -torch.eye(4)])
    rows[0], rows[4] = torch.tensor([0.1, 1.0, 0.0, 0.0]), torch.tensor([0.1, -1.0, 0.0, 0.0])
    concepts = found(rows=rows)
    war = concepts.tags.index("war")
    assert set(np.argsort(-concepts.auc[war])[:2]) == {0, 4}  # popularity apart both speak for the tag
    concepts.effect[war, 4] = -0.1
    assert 4 not in steer_tag(Pair(), concepts, "war", 3.0).edit.shift.nonzero()
    concepts.effect[war] = 0.0
    with pytest.raises(InvalidInputError, match=r"no neuron shows more items with 'war' .* more n_users"):
        steer_tag(Pair(), concepts, "war", 3.0)


def test_what_cannot_be_said_is_refused():
    with pytest.raises(InvalidInputError, match=r"only \d+ of the \d+ items with interactions have a tag"):
        found(dict(list(TAGS.items())[:30]))
    with pytest.raises(InvalidInputError, match=r"tags, '0', .* in the interactions, 0, 1.* ids of the same kind"):
        found({str(item): tags for item, tags in TAGS.items()})
    with pytest.raises(InvalidInputError, match="tags holds no tag"):
        found(dict.fromkeys(TAGS, ""))
    with pytest.raises(InvalidInputError, match=r"tags of .* is None; give a list of tags"):
        found(dict.fromkeys(TAGS))
    with pytest.raises(InvalidInputError, match=r"tags of .* is b'war'; give a list of tags"):
        found(dict.fromkeys(TAGS, b"war"))
    with pytest.raises(InvalidInputError, match=r"tags of .* hold \['war'\]; give each tag as text"):
        found({item: [["war"]] for item in TAGS})
    some = {item: tags + [None, float("nan")] * (i % 2) for i, (item, tags) in enumerate(TAGS.items())}
    assert found(some).tags == found().tags
    with pytest.raises(InvalidInputError, match="none of the 4 tags has 60 items"):
        found(min_items=60)
    with pytest.raises(
        InvalidInputError, match=r"none of the 1 tags .* \('all' has \d+ of \d+\)\. Give coarser or finer"
    ):
        found(dict.fromkeys(TAGS, "all"))
    with pytest.raises(MissingColumnError, match="no column of tags"):
        found(pl.DataFrame({"item_id": list(TAGS), "title": "x"}))
    with pytest.raises(MissingColumnError, match=r"tag 'wars': there is no such tag\. Did you mean 'war'"):
        found().items("wars")
    neurons = found().neurons
    bare = find_neurons(neurons.source.sae, neurons.source.contrast)
    with pytest.raises(InvalidInputError, match="give the interactions to find_neurons"):
        find_concepts(bare, TAGS)
    with pytest.raises(InvalidInputError, match="neurons of item vectors"):
        of_items = find_neurons(neurons.source.sae, contrast_items(ITEMS.astype(np.float32), TRAIN), TRAIN)
        steer_tag(torch.nn.Identity(), find_concepts(of_items, TAGS, min_items=10), "war", 1.0)


@pytest.mark.parametrize("strength", [1.0, 6.0, -6.0])
def test_neurons_are_kept_that_help_those_before_them(strength):
    concepts, model = found(), Pair()
    neurons, war = concepts.neurons, concepts.tags.index("war")
    with torch.no_grad():
        model.query.weight.copy_(neurons.source.contrast.real)
    effect = concepts.effect[war] = np.array([8.0, 7, 6, 5, 4, 3, 2, 1])
    sae, has, kept, most = neurons.source.sae, concepts.items("war"), [], -np.inf
    for j in range(8):
        shift = torch.zeros(8)
        for i in [*kept, j]:
            shift[i] = strength * effect[i] / 8 * neurons.std[i]
        lists = recommend(Steered(model, Steering(sae, shift)), TRAIN, k=5).items
        shown = np.sign(strength) * np.mean([[has[item] for item in items] for items in lists])
        if shown >= most:
            kept, most = [*kept, j], shown
    assert 0 < len(kept) < 8
    pushed = steer_tag(model, concepts, "war", strength).edit.shift.nonzero()[:, 0].tolist()
    assert pushed == kept
