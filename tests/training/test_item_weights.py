from functools import partial

import numpy as np
import pytest

from headtail import MF, fit, recommend
from headtail.datasets import movietweetings, power_law
from headtail.exceptions import InvalidInputError
from headtail.losses import inverse_propensity, mse, pr_entmax, zerosum

WORLD = power_law(60, 30, n_interactions=300, rng=0).interactions


def test_inverse_propensity_takes_slots_from_the_head():
    train = movietweetings()
    head = np.argsort(-train.popularity)[:100]
    weights = {"none": None, "equal": np.ones(train.n_items), "ips": inverse_propensity(train.popularity)}
    share = {}
    for name, given in weights.items():
        model = MF(train.n_users, train.n_items, 8, rng=0)
        fit(
            model,
            train,
            loss=mse,
            n_negatives=4,
            epochs=8,
            weight_decay=1e-5,
            rng=0,
            progress=False,
            item_weights=given,
        )
        share[name] = np.isin(recommend(model, train, k=10).items, head).mean()
    assert share["equal"] == pytest.approx(share["none"], abs=1e-2)
    assert share["ips"] < share["none"] - 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": zerosum, "item_weights": np.ones(30)}, "argument .weight."),
        ({"item_weights": np.ones(3)}, "item_weights has shape"),
        ({"item_values": np.ones(30)}, "argument .values."),
        ({"loss": pr_entmax, "item_values": np.ones(3)}, "item_values has shape"),
        ({"loss": pr_entmax, "item_values": np.full(30, np.nan)}, "item_values holds 30 values that are not finite"),
        ({"loss": pr_entmax, "item_values": np.ones(30), "n_negatives": "all"}, "n_negatives='all' cannot be"),
    ],
)
def test_refused(options, message):
    with pytest.raises(InvalidInputError, match=message):
        fit(MF(60, 30, 4, rng=0), WORLD, epochs=1, progress=False, **options)


def test_the_loss_is_told_the_values_of_all_candidates():
    told = []

    def loss(positive, negative, *, values):
        told.append(values)
        return pr_entmax(positive, negative, values=values)

    fit(MF(60, 30, 4, rng=0), WORLD, loss=loss, n_negatives=3, epochs=1, item_values=np.arange(30), rng=0)
    first = np.concatenate([values[:, 0].numpy() for values in told]).astype(int)
    assert told[0].shape[1] == 4 and (np.bincount(first, minlength=30) == WORLD.popularity).all()


def test_a_loss_with_options_takes_weights_too():
    loss = partial(mse, link="sigmoid")
    history = fit(MF(60, 30, 4, rng=0), WORLD, loss=loss, epochs=1, item_weights=np.ones(30), rng=0, progress=False)
    assert history.rows[0]["loss"] > 0
