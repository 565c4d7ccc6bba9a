"""The same name, other numbers: what other libraries compute, from the same lists, by a parameter of ours.

Each peer's definition is written out once more here, as read from its public code; `docs/definitions.md` lists them.
"""

import math
from functools import partial

import naive
import pytest
from test_metrics import frame, random_world, recs_frame

from headtail.data import Interactions, PopularityGroups
from headtail.metrics import aplt, arp, audit, coverage, entropy, gini, head_share, novelty, tail_exposure, tail_share

K = 6
TRAIN, TEST, RECS = random_world(11)
INTERACTIONS = Interactions.from_frame(frame(TRAIN))
CATALOGUE = INTERACTIONS.item_ids.tolist()
POPULARITY = dict(zip(CATALOGUE, INTERACTIONS.popularity.tolist(), strict=True))
LISTS = naive.lists_of([r for r in RECS if r[1] in POPULARITY], K)
KNOWN = [(u, i, rank) for u, items in LISTS.items() for rank, i in enumerate(items, start=1)]
SLOTS = naive.slots(LISTS)


def ours(metric, **options):
    result = audit(recs_frame(KNOWN), INTERACTIONS, k=max(map(len, LISTS.values())), metrics={"m": metric},
                   n_bootstrap=0, **options)  # fmt: skip
    return result.measurements[0].value


def half_of_mean_difference(x):
    return sum(abs(a - b) for a in x for b in x) / (2 * len(x) * sum(x))


def test_gini():
    exposure = [SLOTS[i] for i in CATALOGUE]
    n = len(CATALOGUE)
    assert ours(gini) == pytest.approx(half_of_mean_difference(exposure))
    with_padding = half_of_mean_difference([*exposure, 0])  # RecBole counts its padding item
    assert ours(gini, catalogue=["padding" if isinstance(CATALOGUE[0], str) else -1]) == pytest.approx(with_padding)
    unbiased = half_of_mean_difference(exposure) * n / (n - 1)  # WarpRec, holisticai: divided by n - 1
    assert ours(gini) * n / (n - 1) == pytest.approx(unbiased)
    only_shown = half_of_mean_difference([e for e in exposure if e])  # evidently
    assert ours(partial(gini, catalogue="recommended")) == pytest.approx(only_shown)
    ascending = sorted(exposure)  # Elliot calls 1 - Gini by that name
    elliot = 1 - sum((2 * (j + 1) - n - 1) * e for j, e in enumerate(ascending)) / (n * sum(ascending))
    assert 1 - ours(gini) == pytest.approx(elliot)


def test_entropy():
    nats = naive.entropy(LISTS)
    assert ours(entropy) == pytest.approx(nats)  # WarpRec, holisticai
    assert ours(partial(entropy, base=2)) == pytest.approx(nats / math.log(2))  # Elliot
    per_shown_item = nats / sum(1 for e in SLOTS.values() if e)  # RecBole
    assert ours(entropy) / (ours(coverage) * len(CATALOGUE)) == pytest.approx(per_shown_item)


def test_average_recommendation_popularity():
    mean = naive.arp(LISTS, POPULARITY)
    assert ours(arp) == pytest.approx(mean)  # RecBole, RecTools, Elliot, WarpRec
    assert ours(partial(arp, normalize="total")) == pytest.approx(mean / len(TRAIN))  # RecTools, normalize=True
    assert ours(partial(arp, normalize="max")) == pytest.approx(mean / max(POPULARITY.values()))  # evidently
    own = {i: SLOTS[i] for i in CATALOGUE}  # holisticai counts popularity in the recommendations themselves
    assert ours(lambda top: top.mean(top.slots)) == pytest.approx(naive.arp(LISTS, own))


def test_novelty():
    users = len({u for u, _ in TRAIN})
    assert ours(novelty) == pytest.approx(naive.novelty(LISTS, POPULARITY, users))  # RecTools' MeanInvUserFreq
    assert ours(partial(novelty, of="interactions")) == pytest.approx(naive.novelty(LISTS, POPULARITY, len(TRAIN)))
    # RePlay's Surprisal divides by what an item of a single user has.
    surprisal = naive.novelty(LISTS, POPULARITY, users) / math.log2(users)
    assert ours(novelty) / math.log2(users) == pytest.approx(surprisal)


def test_long_tail_share():
    by_popularity = sorted(CATALOGUE, key=lambda i: (-POPULARITY[i], i))
    # RecBole's TailPercentage with tail_ratio=0.8: the least popular 80% of the items.
    tail = set(by_popularity[math.ceil(len(by_popularity) * 0.2) :])
    share = sum(SLOTS[i] for i in tail) / sum(SLOTS.values())
    by_rank = partial(PopularityGroups.by_rank, cuts=(0.2, 0.8))
    assert 1 - ours(head_share, groups=by_rank) == pytest.approx(share)
    assert ours(tail_exposure) == pytest.approx(share)
    # Elliot and WarpRec: the tail is what lies outside the head that holds 80% of the interactions.
    held, head = 0, set()
    for i in by_popularity:
        if held >= 0.8 * len(TRAIN):
            break
        head.add(i)
        held += POPULARITY[i]
    outside = set(CATALOGUE) - head
    one_cut = partial(PopularityGroups.by_mass, cuts=(0.8,))
    assert ours(aplt, groups=one_cut) == pytest.approx(naive.aplt(LISTS, outside))
    assert ours(tail_share, groups=one_cut) == pytest.approx(sum(SLOTS[i] for i in outside) / sum(SLOTS.values()))


def test_coverage():
    assert ours(coverage) == pytest.approx(naive.coverage(LISTS, set(CATALOGUE)))
    assert ours(coverage) * len(CATALOGUE) == pytest.approx(len(SLOTS))  # RecTools' default is the count
