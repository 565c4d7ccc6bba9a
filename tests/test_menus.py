"""Each user gets one of a dial's settings, at one price of exposure for all."""

import itertools

import numpy as np
import pytest

import headtail as ht
from headtail._stats import entropy
from headtail.dials import Dial, dial, is_built_in
from headtail.dials.menus import chosen, prices, worth
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.subjects import Subject

K = 5


def toy(seed=0):
    """Five users, three settings, lists of two of six items."""
    rng = np.random.default_rng(seed)
    items = np.array([[rng.choice(6, 2, replace=False) for _ in range(3)] for _ in range(5)], dtype=np.int32)
    items[0, 2, 1] = -1
    candidates = np.tile(np.arange(4, dtype=np.int32), (5, 1))
    candidates[1, 3] = -1
    return items, candidates, rng.random((5, 4)) * (candidates >= 0)


def test_worth_by_hand():
    items, candidates, relevance = toy()
    found = worth(items, candidates, relevance, 0, 6)
    for u, s in itertools.product(range(5), range(3)):

        def expected(at, u=u):
            known = dict(zip(candidates[u], relevance[u], strict=True))
            least = min(p for i, p in known.items() if i >= 0)
            shown = [i for i in items[u, at] if i >= 0]
            return sum(known.get(i, least) / np.log2(rank + 2) for rank, i in enumerate(shown))

        assert found[u, s] == pytest.approx(expected(s) / expected(0))


@pytest.mark.filterwarnings("ignore:strength=:UserWarning")  # five users make no smooth exposure
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strength", [0.0, 0.1, 0.5])
def test_choices_equal_brute_force(seed, strength):
    items, candidates, relevance = toy(seed)
    values = worth(items, candidates, relevance, 0, 6)
    price = prices(items, values, strength, 6)

    def total(settings):
        slots = [i for u, s in enumerate(settings) for i in items[u, s] if i >= 0]
        return sum(values[u, s] for u, s in enumerate(settings)) + sum(price[i] for i in slots)

    best = max(itertools.product(range(3), repeat=5), key=total)
    assert tuple(chosen(items, values, price)) == best
    assert strength or not price.any()


def test_entropy_of_slots_that_are_next_to_none():
    assert entropy(np.array([5e-324, 1.0, 1.0])) == pytest.approx(np.log(2))


@pytest.fixture(scope="module")
def subject():
    split = ht.split_ratio(ht.datasets.power_law(300, 80, n_interactions=2800, rng=0).interactions, rng=0)
    model = ht.models.ALS(300, 80, 8, rng=0)
    ht.fit(model, split.train)
    return Subject(tuple(part.detach().numpy() for part in (model.users, model.items)), split, k=K)


@pytest.mark.filterwarnings("ignore:strength=:UserWarning")
def test_a_menu_of_a_dial_spreads_exposure_by_whole_lists_of_it(subject):
    base = dial("log penalty")
    menu, known = base.menu([0, 0.1, 0.4]), subject.split.train
    parts = {s: subject.recommend(base.at(subject, s), known).items for s in (0, 0.1, 0.4)}
    ginis = []
    for strength in (0.0, 0.1, 0.8):
        lists = subject.recommend(menu.at(subject, strength), known)
        if strength:
            settings = menu.make.choices(subject, strength, 0, known)
            expected = np.stack([parts[s][u] for u, s in enumerate(settings)])
            np.testing.assert_array_equal(lists.items, expected)
            assert len(set(settings)) > 1
        ginis.append(ht.audit(lists, known, k=K, n_bootstrap=0)["gini@5"])
    assert ginis[0] > ginis[1] > ginis[2]
    np.testing.assert_array_equal(subject.recommend(menu.at(subject, 0.0), known).items, parts[0])


def test_settings_are_made_once(subject):
    calls = []

    def make(subject, strength, seed):
        calls.append(strength)
        return subject.vectors(seed)

    menu = Dial("mine", make, (0, 1, 2)).menu()
    for strength in (0.1, 0.2):
        menu.at(subject, strength)(subject.split.train)
        menu.at(subject, strength)(subject.split.known)
    assert calls == [1, 2]  # 0 is the plain recommender


def test_menus_that_are_none(subject):
    with pytest.raises(InvalidInputError, match=r"menu of 'shrink' is \(0.5, 1.0\), without 0"):
        dial("shrink").menu([0.5, 1])
    with pytest.raises(InvalidInputError, match="settings"):
        dial("shrink").menu(["a"])
    with pytest.raises(NotAvailableError, match="works on model"):
        dial("PopSteer, menu").at(Subject(subject.candidates(0, subject.split.train), subject.split, k=K), 0.1)
    assert is_built_in(dial("PopSteer, menu")) and not is_built_in(dial("shrink").menu())
