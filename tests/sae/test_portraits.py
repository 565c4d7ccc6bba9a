"""Portraits against naive loops, what cards and pages say of them, and what is refused."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from test_neurons import FOUND, MODEL, NEURONS, SAE, TRAIN

from headtail.data import Interactions
from headtail.exceptions import CheckpointMismatchError, InvalidInputError
from headtail.sae import Steering, contrast, find_neurons, load_neurons, save_neurons
from headtail.sae.portraits import PRIOR, portraits
from headtail.training import recommend

MEASURED = NEURONS.with_effects(progress=False).select(top=7)
PORTRAITS = MEASURED.portraits(n_items=4, n_users=3, push=3.0)


def activation(neuron):
    with torch.no_grad():
        values, active = SAE.encode(FOUND.real)
    return (values * (active == neuron)).sum(dim=-1).double().numpy()


def test_what_is_heard_and_who_drives_equal_naive_loops():
    matrix = TRAIN.matrix[FOUND.users].toarray() > 0
    for place, neuron in enumerate(MEASURED.index.tolist()):
        active = activation(neuron)
        heard = [(active[met].sum() + PRIOR * active.mean()) / (met.sum() + PRIOR) for met in matrix.T]
        expected = sorted((h for h, p in zip(heard, TRAIN.popularity, strict=True) if p), reverse=True)[:4]
        assert PORTRAITS.heard[place] == pytest.approx(expected)
        assert np.array(heard)[PORTRAITS.hears[place]] == pytest.approx(expected)
        loudest = sorted((a for a in active.tolist() if a > 0), reverse=True)[:3]
        drivers = [user for user in PORTRAITS.drivers[place].tolist() if user >= 0]
        row_of = {user: row for row, user in enumerate(FOUND.users.tolist())}
        assert [active[row_of[user]] for user in drivers] == pytest.approx(loudest)
        assert PORTRAITS.driven[place, : len(loudest)] == pytest.approx(loudest)
    some = portraits(MEASURED, users=FOUND.users[:9])
    assert set(some.drivers.ravel().tolist()) <= {-1, *FOUND.users[:9].tolist()}


def test_what_is_done_and_the_nearest_neurons():
    added = (MODEL.items @ SAE.decoder.T).detach().double().numpy()
    rows = torch.nn.functional.normalize(SAE.decoder.detach(), dim=1)
    for place, neuron in enumerate(MEASURED.index.tolist()):
        mine = np.where(TRAIN.popularity > 0, added[:, neuron], np.nan)
        assert PORTRAITS.raised[place] == pytest.approx(np.sort(mine[~np.isnan(mine)])[::-1][:4], rel=1e-5)
        assert PORTRAITS.lowered[place] == pytest.approx(np.sort(mine)[:4], rel=1e-5)
        assert mine[PORTRAITS.raises[place]] == pytest.approx(PORTRAITS.raised[place], rel=1e-5)
        cosines = (rows @ rows[neuron]).numpy()
        cosines[neuron] = -2
        assert PORTRAITS.likeness[place] == pytest.approx(np.sort(cosines)[::-1][:5], rel=1e-5)
        assert cosines[PORTRAITS.neighbors[place]] == pytest.approx(PORTRAITS.likeness[place], rel=1e-5)


def test_the_example_is_the_first_driver_before_and_after_a_push():
    seen = 0
    for place, neuron in enumerate(MEASURED.index.tolist()):
        user = int(PORTRAITS.drivers[place, 0])
        if user < 0:
            assert (PORTRAITS.before[place] == -1).all()
            continue
        shift = torch.zeros(24)
        shift[neuron] = 3.0 * MEASURED.std[place]
        queries = torch.zeros(TRAIN.n_users, 6)
        queries[user] = FOUND.real[int(np.searchsorted(FOUND.users, user))]
        for lists, edit in ((PORTRAITS.before, Steering(SAE)), (PORTRAITS.after, Steering(SAE, shift))):
            expected = recommend((edit(queries).detach(), MODEL.items.detach()), TRAIN, codes=[user], k=5).items[0]
            assert lists[place].tolist() == expected.tolist()
        seen += (PORTRAITS.before[place] != PORTRAITS.after[place]).any()
    assert seen


def test_portraits_are_shown_and_written(tmp_path):
    told = json.loads(PORTRAITS.to_json())
    assert [row["neuron"] for row in told["neurons"]] == MEASURED.index.tolist()
    first = told["neurons"][0]
    assert [item["by"] for item in first["raises"]] == pytest.approx(PORTRAITS.raised[0].tolist())
    assert first["example"]["user"] == TRAIN.user_ids[PORTRAITS.drivers[0, 0]]
    page = PORTRAITS.to_html()
    assert set(MEASURED.way) == {1, -1} and "the other way" in page
    ways = {1: "as it listens", -1: "the other way"}
    assert [row["pushes"] for row in told["neurons"]] == [ways[way] for way in MEASURED.way]
    tags = np.array(["war|love", *[""] * 6], dtype=object)
    tagged = type(MEASURED)(**{**vars(MEASURED), "tags": tags})
    again = load_neurons(save_neurons(tagged, tmp_path / "neurons"), TRAIN)
    assert again.tags.tolist() == tags.tolist()
    card = again.card(int(again.index[0]))
    assert "war, love" in card.title and "Nearest neurons" in str(card)
    assert "among items as popular; over all items it may raise others more: war, love." in str(card)
    assert "war, love" in again.portraits().to_html()


def test_neurons_are_not_those_of_the_same_interactions_in_another_order(tmp_path):
    frame = TRAIN.to_polars().drop("timestamp", strict=False).with_row_index("timestamp")
    early, late, timeless = map(
        Interactions.from_frame, (frame, frame.with_columns(-pl.col("timestamp").cast(int)), frame.drop("timestamp"))
    )
    assert early.fingerprint == late.fingerprint == timeless.fingerprint
    folder = save_neurons(find_neurons(SAE, FOUND, early), tmp_path / "neurons")
    for one in (early, timeless, None):
        load_neurons(folder, one)
    with pytest.raises(
        CheckpointMismatchError, match=r"other interactions \(.*, in the order .*\) than these \(.*, in the order "
    ):
        load_neurons(folder, late)


def test_item_neurons_have_portraits_without_users():
    found = find_neurons(SAE, contrast(MODEL, TRAIN, "item"), TRAIN).portraits()
    assert found.drivers.shape == found.before.shape == (24, 0) and found.raises.shape == (24, 0)
    with torch.no_grad():
        values, _ = SAE.encode(MODEL.items[TRAIN.popularity > 0])
    assert found.heard.max() == pytest.approx(values.max().item())
    assert json.loads(found.to_json())["neurons"][0]["example"] is None
    with pytest.raises(InvalidInputError, match="items and users are not known"):
        find_neurons(SAE, FOUND).portraits()
