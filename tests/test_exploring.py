"""What the explorer holds, against lists and items found one by one."""

import base64
import zlib

import numpy as np
import polars as pl
import pytest

import headtail as ht
from headtail.correction import correct
from headtail.dials import Dial, dial
from headtail.exceptions import InvalidInputError, UnreadableFileError
from headtail.exploring import TASTES, Witness
from headtail.reports.explorer import Explorer, packed
from headtail.subjects import Subject
from headtail.tradeoffs import sweep

K = 5


def unpacked(value):
    raw = zlib.decompress(base64.b64decode(value["deflated"]))
    return np.frombuffer(raw, dtype=np.dtype(value["type"]).newbyteorder("<")).reshape(value["shape"])


@pytest.fixture(scope="module")
def subject():
    made = ht.datasets.power_law(200, 60, n_interactions=1600, rng=0).interactions
    frame = made.to_polars().with_columns(timestamp=pl.int_range(len(made)).reverse())
    titles = {int(i): f"title of {i}" for i in made.item_ids}
    split = ht.split_ratio(ht.Interactions.from_frame(frame, titles=titles), rng=0)
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(split.train.n_users, 6)), rng.normal(size=(split.train.n_items, 6))
    factors[0][:, 0], factors[1][:, 0] = 1, np.log1p(split.train.popularity)
    return Subject(factors, split, k=K)


@pytest.fixture(scope="module")
def swept(subject):
    witness = Witness(subject, n_users=23)
    dials = [dial("log penalty"), dial("shrink")]
    frontiers = [sweep(witness.watching(each), subject, grid=[0.0, 0.4], n_bootstrap=20) for each in dials]
    return witness, frontiers[0] + frontiers[1]


def test_lists_and_exposure_are_those_of_every_setting(subject, swept):
    witness, frontier = swept
    data = witness.explore(frontier, chosen=("shrink", 0.4)).data
    lists, exposure = unpacked(data["lists"]), unpacked(data["exposure"])
    ids = np.array([*map(int, data["items"]["ids"])])
    assert data["settings"][data["chosen"]]["strength"] == 0.4
    for setting in data["settings"]:
        made = dial(setting["dial"]).at(subject, setting["strength"])
        plain = subject.recommend(made, subject.split.known)
        for user, found in zip(data["users"]["ids"], lists[setting["row"]], strict=True):
            own = plain.item_ids[plain.items[plain.user_ids == int(user)][0]]
            np.testing.assert_array_equal(ids[found], own)
        counts = {int(i): int((plain.item_ids[plain.items] == i).sum()) for i in ids}
        assert dict(zip(ids.tolist(), exposure[setting["row"]].tolist(), strict=True)) == counts
        value, low, high = setting["values"]["gini@5"]
        assert value == frontier.mean(setting["dial"], setting["strength"], "gini@5")
        assert low < value < high


def test_dials_that_are_off_share_their_lists(swept):
    data = swept[0].explore(swept[1]).data
    assert [setting["row"] for setting in data["settings"]] == [0, 1, 0, 2]
    assert data["lists"]["shape"] == [3, 23, K]
    assert data["chosen"] is None


def test_users_are_drawn_of_every_fifth_of_tastes(subject, swept):
    witness = swept[0]
    users, tastes = swept[0].explore(swept[1]).data["users"], {}
    known = subject.split.known
    for user, name in zip(users["ids"], users["tastes"], strict=True):
        own = known.items[known.user_ids[known.users] == int(user)]
        tastes.setdefault(name, []).append(np.log1p(subject.split.train.popularity[own]).mean())
    assert list(tastes) == list(TASTES)
    assert [len(values) for values in tastes.values()] == [5, 5, 5, 4, 4]
    for one, other in zip(list(tastes)[:-1], list(tastes)[1:], strict=True):
        assert max(tastes[one]) <= min(tastes[other])
    assert (subject.split.test.activity[witness.codes] > 0).all()
    again = Witness(subject, n_users=23)
    np.testing.assert_array_equal(again.codes, witness.codes)


def test_histories_are_the_latest_and_the_test_is_whole(subject, swept):
    data = swept[0].explore(swept[1]).data
    items = {name: unpacked(data["users"][name]["items"]) for name in ("known", "relevant")}
    user, known, test = swept[0].codes[0], subject.split.known, subject.split.test
    own = np.flatnonzero(known.users == user)
    latest = known.items[own[np.argsort(-known.timestamps[own])]][:20]
    names = np.array([*map(int, data["items"]["ids"])])
    counts = data["users"]["known"]["counts"][0], data["users"]["relevant"]["counts"][0]
    np.testing.assert_array_equal(names[items["known"][: counts[0]]], known.item_ids[latest])
    assert set(names[items["relevant"][: counts[1]]]) == set(test.item_ids[test.items[test.users == user]])
    assert data["items"]["titles"][0] == f"title of {names[0]}"


def test_a_page_of_few_items_keeps_what_its_lists_need(swept):
    few = swept[0].explore(swept[1], n_items=1).data
    whole = swept[0].explore(swept[1]).data
    assert len(few["items"]["ids"]) < len(whole["items"]["ids"]) <= few["n_items"]
    name = lambda data: [data["items"]["ids"][i] for i in unpacked(data["lists"]).ravel()]  # noqa: E731
    assert name(few) == name(whole)


def test_settings_that_were_not_seen_are_made(subject, swept):
    frontier = sweep("log penalty", subject, grid=[0.0, 0.4], n_bootstrap=0)
    late = Witness(subject, n_users=23)
    late.watching(dial("log penalty"))
    made, seen = (witness.explore(frontier).data for witness in (late, swept[0]))
    np.testing.assert_array_equal(unpacked(made["lists"]), unpacked(seen["lists"]))
    with pytest.raises(InvalidInputError, match="None of the methods 'log penalty' is a dial that was watched"):
        Witness(subject).explore(frontier)


def test_a_verdict_is_text(swept):
    with pytest.raises(InvalidInputError, match="verdict=b'better' is no text"):
        swept[0].explore(swept[1], verdict=b"better")


def test_ends_of_the_spectrum(subject, swept):
    data = swept[0].explore(swept[1]).data
    found = ht.spectrum(*subject.source, popularity=subject.split.train.popularity)
    ends, ids = unpacked(data["spectrum"]["ends"]), np.array([*map(int, data["items"]["ids"])])
    assert ends.shape == (6, 2, 10)
    for k in range(6):
        order = subject.split.train.item_ids[np.argsort(-found.right(k), kind="stable")]
        np.testing.assert_array_equal(ids[ends[k, 0]], order[:10])
        np.testing.assert_array_equal(ids[ends[k, 1]], order[::-1][:10])
    assert data["neurons"] is None


@pytest.mark.parametrize("form", ["model", "vectors"])
def test_a_neuron_is_turned_as_by_hand(form):
    torch = pytest.importorskip("torch")
    from headtail.exploring import PUSHES

    split = ht.split_ratio(ht.datasets.power_law(80, 40, n_interactions=550, rng=0).interactions, rng=0)
    model = ht.MF(80, 40, 4, rng=0)
    source = model if form == "model" else ht.vectors(model, interactions=split.train)
    subject = Subject(source, split, k=K, autoencoder={"expansion": 2, "n_active": 2, "epochs": 1})
    witness, neurons = Witness(subject, n_users=10), subject.with_layers().neurons(0)
    data = witness.explore(sweep(witness.watching(dial("log penalty")), subject, grid=[0.0], n_bootstrap=0)).data
    found, names = data["neurons"], np.array([*map(int, data["items"]["ids"])])
    turned, sae = unpacked(found["turned"]), neurons.source.sae
    assert turned.shape == (8, len(PUSHES), 10, K)
    queries, items = model(torch.from_numpy(witness.codes.astype(np.int64)))
    for place, neuron in ((0, found["index"][0]), (5, found["index"][5])):
        shift = torch.zeros(8)
        shift[neuron] = 2.0 * neurons.std[neuron]
        pre = sae.pre_activations(queries)
        change = sae.decode(sae.select(pre + shift)) - sae.decode(sae.select(pre))
        scores = ((queries + change) @ items.T).detach().numpy()
        scores[split.known.matrix[witness.codes].toarray() > 0] = -np.inf
        own = split.train.item_ids[np.argsort(-scores, axis=1)[:, :K]]
        np.testing.assert_array_equal(names[turned[place, PUSHES.index(2.0)]], own)


def test_whole_numbers_take_as_few_bytes_as_hold_them():
    for values, kind in (([0, 255], "uint8"), ([0, 256], "uint16"), ([0, 65536], "uint32"), ([-1, 127], "int8"),
                         ([-129, 0], "int16"), ([0.5], "float32"), ([], "uint8")):  # fmt: skip
        made = packed(np.array(values, dtype=None if values else np.int64))
        assert made["type"] == kind
        assert unpacked(made).tolist() == values


def test_a_dial_of_ones_own_says_what_it_does(subject):
    mine = Dial("mine", lambda subject, strength, seed: subject.vectors(seed), (0.0,), about="does nothing")
    witness = Witness(subject, n_users=3)
    data = witness.explore(sweep(witness.watching(mine), subject, n_bootstrap=0)).data
    assert [(each["name"], each["about"], each["built_in"]) for each in data["dials"]] == [
        ("mine", "does nothing", False)
    ]


def test_a_correction_is_explored(subject, tmp_path):
    found = correct(subject, subject.split, dials=["log penalty"], max_loss=0.5, progress=False)
    page = found.to_html(tmp_path / "page.html", explorer=True)
    assert "What the correction changes" in page.read_text(encoding="utf-8")
    assert "What the correction changes" not in found.to_html()
    data = found.explore().data
    chosen = data["settings"][data["chosen"]]
    assert (chosen["dial"], chosen["strength"]) == (found.dial.name, found.strength)
    names, lists = data["items"]["ids"], unpacked(data["lists"])[chosen["row"]]
    own = found.lists.items[found.lists.users == found.witness.codes[3]][0]
    assert [names[i] for i in lists[3]] == [str(found.lists.item_ids[i]) for i in own]


def test_a_setting_from_the_explorer_is_made_again(subject):
    options = {"dials": ["log penalty"], "progress": False}
    found = correct(subject, subject.split, strength=0.1, **options)
    assert (found.dial.name, found.strength) == ("log penalty", 0.1)
    assert found.frontier.settings("log penalty") == (0.0, 0.1)
    assert "was given, not chosen" in found.verdict
    lists = subject.recommend(dial("log penalty").at(subject, 0.1), subject.split.known)
    np.testing.assert_array_equal(found.lists.items, lists.items)
    for wrong in ({"strength": 0.0}, {"strength": 0.1, "dials": None}, {"strength": 0.1, "dials": ["IPR", "shrink"]}):
        with pytest.raises(InvalidInputError, match="where one dial is to stand"):
            correct(subject, subject.split, **(options | wrong))


def test_data_are_kept_whole(swept, tmp_path):
    made = swept[0].explore(swept[1])
    path = made.to_json(tmp_path / "explorer.json")
    assert Explorer.read(path).to_html() == made.to_html()
    path.write_text(path.read_text(encoding="utf-8").replace("title of 1", "title of 2", 1), encoding="utf-8")
    with pytest.raises(UnreadableFileError, match="its checksum is wrong"):
        Explorer.read(path)


def test_a_page_needs_the_recommender_as_it_is(subject):
    witness = Witness(subject, n_users=3)
    frontier = sweep(witness.watching(dial("log penalty")), subject, grid=[0.3, 1.0], n_bootstrap=0)
    with pytest.raises(InvalidInputError, match=r"'log penalty' at 0.3, would pass for .* Sweep from 0"):
        witness.explore(frontier)
