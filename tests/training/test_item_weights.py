import numpy as np, pytest, torch
from functools import partial
from headtail import fit, MF, recommend
from headtail.datasets import movietweetings
from headtail.exceptions import InvalidInputError
from headtail.losses import bpr, inverse_propensity, mse, zerosum
def test_weights_reach_the_loss_by_item():
    train = movietweetings()
    head = np.argsort(-train.popularity)[:100]
    share, tables = {}, {}
    for name, w in {"none": None, "equal": np.ones(train.n_items), "ips": inverse_propensity(train.popularity)}.items():
        m = MF(train.n_users, train.n_items, 8, rng=0)
        fit(m, train, loss=mse, n_negatives=4, epochs=8, rng=0, progress=False, item_weights=w)
        share[name] = np.isin(recommend(m, train, k=10).items, head).mean()
    assert share["equal"] == pytest.approx(share["none"], abs=1e-2)
    assert share["ips"] < share["none"] - 0.02
    with pytest.raises(InvalidInputError, match="takes weight="):
        fit(m, train, loss=zerosum, item_weights=np.ones(train.n_items))
    with pytest.raises(InvalidInputError, match="item_weights has shape"):
        fit(m, train, item_weights=np.ones(3))
    fit(m, train, loss=partial(mse, link="sigmoid"), epochs=1, item_weights=np.ones(train.n_items))
