"""Quality: FVU, dead neurons and density by hand, fidelity against a naive ranking, stability."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import t

from headtail.data import Interactions
from headtail.exceptions import InvalidInputError
from headtail.sae import TopKSAE, sae_quality, stability
from headtail.sae.quality import fidelity


def axes(k=1):
    """Neurons along +x, +y, -x and one that never speaks."""
    sae = TopKSAE(2, k=k, n_neurons=4, rng=0)
    with torch.no_grad():
        rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 1.0]])
        sae.encoder.copy_(rows)
        sae.decoder.copy_(rows)
        sae.encoder_bias.copy_(torch.tensor([0.0, 0.0, 0.0, -100.0]))
    return sae


X = np.array([[3.0, 1.0], [0.0, 2.0], [-2.0, 0.0], [-1.0, -3.0]])  # the mean is 0


def test_by_hand():
    found = sae_quality(axes(), X)
    errors = 1**2 + 0 + 0 + 3**2  # (3, 0), (0, 2), (-2, 0), (-1, 0)
    assert found.fvu == pytest.approx(errors / (10 + 4 + 4 + 10))
    assert found.density.tolist() == [0.25, 0.25, 0.5, 0]
    assert (found.dead, found.mean_active, found.n_rows) == (0.25, 1.0, 4)
    assert sae_quality(axes(k=2), X).mean_active == pytest.approx(5 / 4)  # (3, 1) has two, the others one
    assert found.fidelity is None


def test_it_is_a_result():
    found = sae_quality(axes(), X)
    assert found.to_polars()["density"].to_list() == [0.25, 0.25, 0.5, 0]
    assert "FVU" in repr(found) and "Dead neurons" in found.to_html()
    assert sum(row["neurons"] for row in found._histogram()) == 4
    assert found.to_dict()["fidelity"] is None


def parts(n_users=30, n_items=40, seed=0):
    """Random interactions: some in train, one a user in test; a few users have no test item."""
    rng = np.random.default_rng(seed)
    pairs = [(u, i, n) for u in range(n_users) for n, i in enumerate(rng.permutation(n_items)[:6].tolist())]
    pairs += [(0, i, 9) for i in range(n_items) if (0, i) not in {p[:2] for p in pairs}]  # so that every item is there
    every = Interactions.from_frame(pl.DataFrame(pairs, schema=["user_id", "item_id", "n"], orient="row"))
    last = np.array([n for *_, n in pairs]) == 5
    kept = last & (np.array([u for u, *_ in pairs]) > 3)
    return every.subset(~last), every.subset(kept)


def test_fidelity_equals_a_naive_count():
    train, test = parts()
    rng = np.random.default_rng(1)
    queries, items = rng.standard_normal((train.n_users, 6)), rng.standard_normal((train.n_items, 6))
    sae = TopKSAE(6, expansion=4, k=3, rng=0)
    with torch.no_grad():
        rebuilt = sae(torch.from_numpy(queries).float()).double().numpy()

    def ranking(q, user):
        scores = items @ q[user]
        scores[train.items[train.users == user]] = -np.inf
        return np.argsort(-scores)[:10]

    def gains(q):
        return np.array(
            [
                sum(1 / np.log2(r + 2) for r, i in enumerate(ranking(q, u)) if i == test.items[test.users == u][0])
                for u in np.unique(test.users)
            ]
        )

    found = fidelity(sae, (queries, items), train, test, k=10)
    before, after = gains(queries), gains(rebuilt)
    same = [len(set(ranking(queries, u)) & set(ranking(rebuilt, u))) / 10 for u in np.unique(test.users)]
    assert found.n_users == 26
    assert found.ndcg == pytest.approx(before.mean())
    assert found.ndcg_reconstructed == pytest.approx(after.mean())
    assert found.lost == pytest.approx(1 - after.mean() / before.mean())
    assert found.overlap == pytest.approx(np.mean(same))
    without = [np.delete(after, u).mean() / np.delete(before, u).mean() for u in range(26)]  # the jackknife
    error = np.sqrt(25) * np.std(without)
    squares = np.square(after - after.mean() / before.mean() * before)
    df = min(25, 2 / ((squares**2).sum() / squares.sum() ** 2 - 1 / 26))
    assert found.high - found.low == pytest.approx(2 * t.ppf(0.975, df) * error, rel=0.03)
    whole = sae_quality(sae, queries, vectors=(queries, items), train=train, test=test, k=10)
    assert whole.fidelity == found
    assert "NDCG lost" in whole.report().to_text()
    assert f"hold {found.overlap:.0%} of the same items" in whole.report().lede


def test_nothing_is_lost_by_a_perfect_autoencoder():
    train, test = parts()
    sae = axes(k=2)
    queries = np.random.default_rng(0).standard_normal((train.n_users, 2))
    queries[:, 1] = abs(queries[:, 1])
    items = np.random.default_rng(1).standard_normal((train.n_items, 2))
    found = fidelity(sae, (queries, items), train, test, k=10)
    assert found.lost == pytest.approx(0, abs=1e-9) and found.overlap == 1


def test_stability_by_hand():
    turned = axes()
    with torch.no_grad():
        turned.decoder.copy_(torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))
    best = np.sqrt(0.5)  # of (1,0) twice ... and of -x, which has none nearer than -sqrt(.5)
    assert stability([axes(), turned]) == pytest.approx(np.mean([np.mean([best, best, -best, best]), best]))
    assert stability([axes(), axes(), axes()]) == pytest.approx(1)
    fired = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])  # rows 0, 2 and 1 of `axes`, or one of four
    ours, theirs = (stability([one, two], fired) for one, two in ((axes(), turned), (turned, axes())))
    assert ours == pytest.approx(theirs) == pytest.approx(np.mean([np.mean([best, best, best, -best]), best]))
    with pytest.raises(InvalidInputError, match="no neuron that fires"):
        stability([axes(), axes()], np.zeros((2, 2)))


def test_what_cannot_be_measured_is_refused():
    train, test = parts()
    with pytest.raises(InvalidInputError, match="activations have width 2, the autoencoder has 3"):
        sae_quality(TopKSAE(3, rng=0, expansion=2, k=1), X)
    with pytest.raises(InvalidInputError, match="not finite, first in row 1"):
        sae_quality(axes(), np.array([[1.0, 1.0], [np.nan, 0.0]]))
    with pytest.raises(InvalidInputError, match="all 5 activations are the same vector"):
        sae_quality(axes(), np.ones((5, 2)))
    with pytest.raises(InvalidInputError, match="give all three or none"):
        sae_quality(axes(), X, train=train)
    with pytest.raises(InvalidInputError, match=r"user_ids holds .* ids for 4 rows"):
        fidelity(axes(), (X, np.ones((train.n_items, 2))), train, test)
    with pytest.raises(InvalidInputError, match="rank no test item in the top 1"):
        zeros = np.zeros((train.n_users, 2)), np.zeros((train.n_items, 2))  # the first unseen item is recommended
        fidelity(axes(), zeros, train, test.subset(test.items > 10), k=1)
    with pytest.raises(InvalidInputError, match="of one width; these are 2 of the widths"):
        stability([axes(), TopKSAE(3, expansion=2, k=1)])
    with pytest.raises(InvalidInputError, match="Give at least two"):
        stability([axes()])
