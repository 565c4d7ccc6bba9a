"""Every re-ranking against a plain one, list by list and item by item."""

from dataclasses import replace
from math import comb, log2, sqrt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import minimize

from headtail.data import Interactions, PopularityGroups, Recommendations
from headtail.exceptions import InvalidInputError
from headtail.rerank import penalize_popularity
from headtail.rerankers import calibrated_popularity, fa_ir, fewest_protected, ipr, p_mmf, pct, xquad
from headtail.rerankers.max_min import nearest_prices
from headtail.rerankers.two_sided import targets

POPULARITY = np.array([100, 50, 10, 1, 0])
K = 6


def lists(items, scores):
    return Recommendations(np.arange(len(items)), np.arange(5), np.arange(len(items)), np.array(items), scores)


def world(seed, n_users=40, n_items=30, length=18):
    """Long lists, some of them short, with scores of few values, so that many are equal; two users have no history."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, n_items + 1)
    pairs = {(u, i) for u in range(n_users - 2) for i in rng.choice(n_items, 5, p=weights / weights.sum())}
    pairs |= {(0, i) for i in range(n_items)}
    users, drawn = (np.array(codes) for codes in zip(*sorted(pairs), strict=True))
    known = Interactions(user_ids=np.arange(n_users), item_ids=np.arange(n_items), users=users, items=drawn)
    items = np.stack([rng.permutation(n_items)[:length] for _ in range(n_users)]).astype(np.int32)
    scores = -np.sort(-rng.integers(0, 8, size=items.shape) / 8.0, axis=1) + 0.0
    ended = np.arange(length) >= rng.integers(2, length + 12, size=n_users)[:, None]
    items[ended], scores[ended] = -1, np.nan
    return Recommendations(known.user_ids, known.item_ids, rng.permutation(n_users), items, scores), known


def candidates(recs, row):
    """Items of a list with their scores, from 0 to 1."""
    items = [int(i) for i in recs.items[row] if i >= 0]
    scores = [float(s) for s in recs.scores[row][: len(items)]]
    low, high = min(scores), max(scores)
    return items, [(s - low) / (high - low) if high > low else 0.0 for s in scores]


def history(known, user):
    return [int(i) for u, i in zip(known.users, known.items, strict=True) if u == user]


def greedy(recs, objective):
    """Return the lists that grow by the candidate with the largest objective(row, items, scores, chosen, candidate)."""
    found = []
    for row in range(len(recs)):
        items, scores = candidates(recs, row)
        chosen = []
        while len(chosen) < min(K, len(items)):
            left = [c for c in range(len(items)) if c not in chosen]
            chosen.append(max(left, key=lambda c: (objective(row, items, scores, chosen, c), -c)))
        found.append([items[c] for c in chosen] + [-1] * (K - len(chosen)))
    return found


def divergence(p, q):
    """Jensen-Shannon divergence in bits."""
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return sum(sum(x * log2(x / y) for x, y in zip(a, m, strict=True) if x) for a in (p, q)) / 2


def mix(items, codes, n):
    return [sum(codes[i] == g for i in items) / len(items) for g in range(n)]


STRENGTHS = (0.0, 0.3, 0.7, 0.95, 1.0)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("seed", range(3))
def test_calibrated_popularity(seed, strength):
    recs, known = world(seed)
    codes = PopularityGroups.by_mass(known.popularity).codes

    def objective(row, items, scores, chosen, c):
        own = history(known, recs.users[row])
        apart = divergence(mix(own, codes, 3), mix([items[i] for i in [*chosen, c]], codes, 3)) if own else 0.0
        return round((1 - strength) * sum(scores[i] for i in [*chosen, c]) - strength * apart, 9)

    found = calibrated_popularity(recs, known, strength=strength, k=K)
    assert found.items.tolist() == greedy(recs, objective)


def by_halves(popularity):
    return PopularityGroups.by_rank(popularity, (0.5,))


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize(
    ("variant", "groups"),
    [("smooth", PopularityGroups.by_mass), ("binary", PopularityGroups.by_mass), ("smooth", by_halves)],
)
def test_xquad(variant, groups, strength):
    recs, known = world(5)
    tail = groups(known.popularity).mask("tail")

    def objective(row, items, scores, chosen, c):
        own = history(known, recs.users[row])
        same = [i for i in chosen if tail[items[i]] == tail[items[c]]]
        covered = len(same) / max(len(chosen), 1) if variant == "smooth" else float(bool(same))
        share = sum(tail[i] == tail[items[c]] for i in own) / len(own) if own else 0.0
        return round((1 - strength) * scores[c] + strength * share * (1 - covered), 9)

    found = xquad(recs, known, strength=strength, k=K, variant=variant, groups=groups)
    assert found.items.tolist() == greedy(recs, objective)


def enough(share, k, alpha):
    """Fewest protected items in the first 1 .. k places with F > alpha, by summing binomials."""
    found = []
    for n in range(1, k + 1):
        m, below = 0, (1 - share) ** n
        while below <= alpha:
            m += 1
            below += comb(n, m) * share**m * (1 - share) ** (n - m)
        found.append(m)
    return found


def fails(share, fewest):
    """Probability that the lottery fails a test, by going through all lists of protected and other items."""
    total = 0.0
    for bits in range(2 ** len(fewest)):
        drawn = [bits >> i & 1 for i in range(len(fewest))]
        if any(sum(drawn[: n + 1]) < least for n, least in enumerate(fewest)):
            total += share ** sum(drawn) * (1 - share) ** (len(drawn) - sum(drawn))
    return total


@pytest.mark.parametrize(
    ("share", "k", "significance"), [(0.5, 10, 0.1), (0.3, 9, 0.15), (0.8, 8, 0.05), (0.6, 1, 0.3)]
)
def test_the_corrected_test_of_fa_ir(share, k, significance):
    found = tuple(fewest_protected(share, k, significance=significance).tolist())
    tables = {tuple(enough(share, k, alpha)) for alpha in np.linspace(0, significance, 1001)[1:]}
    assert found == max(table for table in tables if fails(share, table) <= significance)
    uncorrected = fails(share, enough(share, k, significance))
    assert uncorrected > significance or found == tuple(enough(share, k, significance))


def test_the_paper_s_table_of_fa_ir_before_the_correction():
    assert enough(0.5, 12, 0.1) == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4]  # Zehlike et al., table 2
    table = [*[0] * 8, *[1] * 6, *[2] * 5, 3]
    assert enough(0.25, 20, 0.1) == table  # of the authors' package, which corrects it too far
    corrected, theirs = fewest_protected(0.25, 20), np.array([*[0] * 11, *[1] * 7, 2, 2])
    drawn = (np.random.default_rng(0).random((100_000, 20)) < 0.25).cumsum(axis=1)
    failed = [float((drawn < fewest).any(axis=1).mean()) for fewest in (table, corrected, theirs)]
    np.testing.assert_allclose(failed, [0.147, 0.090, 0.049], atol=0.004)
    assert fewest_protected(0.0, 3).tolist() == [0, 0, 0] and fewest_protected(1.0, 3).tolist() == [1, 2, 3]


@pytest.mark.parametrize(("significance", "groups"), [(0.1, PopularityGroups.by_mass), (0.3, by_halves)])
@pytest.mark.parametrize("strength", (0.0, 0.2, 0.6, 1.0))
def test_fa_ir(strength, significance, groups):
    recs, known = world(7)
    tail = groups(known.popularity).mask("tail")
    fewest = fewest_protected(strength, K, significance=significance)

    def objective(row, items, scores, chosen, c):
        short = sum(tail[items[i]] for i in chosen) < fewest[len(chosen)]
        return (tail[items[c]] if short else 0, -c)

    found = fa_ir(recs, known.popularity, strength=strength, k=K, significance=significance, groups=groups)
    assert found.items.tolist() == greedy(recs, objective)


@pytest.mark.parametrize("strength", (0.02, 0.2, 0.5, 1.0))
@pytest.mark.parametrize(
    ("relevance", "groups"), [*((each, PopularityGroups.by_mass) for each in (0.0, 0.5, 1.0)), (0.5, by_halves)]
)
def test_pct(strength, relevance, groups):
    recs, known = world(9)
    tail = groups(known.popularity).mask("tail").astype(int)
    own = [history(known, u) for u in recs.users]
    shares = {row: sum(tail[i] for i in items) / len(items) for row, items in enumerate(own) if items}
    moved = dict(zip(shares, targets(np.array([*shares.values()]), strength), strict=True))
    weights = [1 / log2(r + 2) for r in range(K)]
    wanted = []
    for row in range(len(recs)):
        items, share = candidates(recs, row)[0], moved.get(row, strength)
        target = [(1 - share) * sum(weights), share * sum(weights)]
        exposure, slots = [0.0, 0.0], [None] * K
        for r in range(K):
            for c, i in enumerate(items):
                if c not in slots and exposure[tail[i]] + weights[r] <= target[tail[i]] + 1e-9:
                    slots[r] = c
                    exposure[tail[i]] += weights[r]
                    break
        for r in range(K):
            best = (-np.inf, None)
            for c, i in enumerate(items):
                if (
                    slots[r] is None
                    and c not in slots
                    and not any(d not in slots and tail[items[d]] == tail[i] for d in range(c))
                ):
                    after = [e + weights[r] * (group == tail[i]) for group, e in enumerate(exposure)]
                    away = sum((e - t) ** 2 for e, t in zip(after, target, strict=True))
                    value = relevance / (c + 1) - (1 - relevance) * away / 2
                    best = max(
                        best,
                        (value, c),
                        key=lambda pair: (round(pair[0], 9), -(pair[1] if pair[1] is not None else 99)),
                    )
            if best[1] is not None:
                slots[r] = best[1]
                exposure[tail[items[best[1]]]] += weights[r]
        wanted.append([items[c] for c in slots if c is not None] + [-1] * slots.count(None))
    assert pct(recs, known, strength=strength, k=K, relevance=relevance, groups=groups).items.tolist() == wanted


def test_p_mmf_fills_no_place_with_what_rounding_leaves():
    lists, counts = Recommendations.from_scores([[5.0, 4.0, 3.0, 2.0, 1.0]] * 20, k=5), np.array([7, 1, 10, 2, 4])
    groups = PopularityGroups(tuple("abcde"), np.arange(5, dtype=np.int8), "one item each", counts)
    found = p_mmf(lists, counts, strength=1e-9, k=1, groups=groups, lr=1e-9)
    # 20 places * 6 / 5 * 7 / 24 is 7, but 7.000000000000001 in floating point.
    assert np.bincount(found.items[:, 0], minlength=5).tolist() == [7, 1, 10, 2, 0]


@pytest.mark.parametrize("turn", range(5))
def test_pct_gives_the_tail_all_places_whoever_comes_first(turn):
    recs, known = world(9)
    rows = np.random.default_rng(turn).permutation(len(recs))
    turned = replace(recs, users=recs.users[rows], items=recs.items[rows], scores=recs.scores[rows])
    for k in range(1, 8):
        found, other = (pct(each, known, strength=1.0, k=k) for each in (recs, turned))
        np.testing.assert_array_equal(other.items, found.items[rows])
        tail = PopularityGroups.by_mass(known.popularity).mask("tail")
        there = np.where(recs.items >= 0, tail[recs.items], False).sum(axis=1)
        assert (np.where(found.items >= 0, tail[found.items], False).sum(axis=1) == np.minimum(there, k)).all()


@given(st.lists(st.integers(0, 8), min_size=1, max_size=12), st.floats(0, 1))
def test_targets_have_the_mean_and_move_evenly(shares, mean):
    shares = np.array(shares) / 8
    moved = targets(shares, mean)
    assert moved.mean() == pytest.approx(mean, abs=1e-9) and 0 <= moved.min() <= moved.max() <= 1
    free = (moved > 1e-12) & (moved < 1 - 1e-12)
    assert np.ptp((moved - shares)[free]) < 1e-9 if free.any() else True


@pytest.mark.parametrize(
    ("strength", "lr", "window", "momentum"), [(0.1, 1e-3, 256, 0.1), (0.05, 0.5, 15, 0.4), (2.0, 3.0, 7, 1.0)]
)
def test_p_mmf(strength, lr, window, momentum):
    recs, known = world(11)
    groups = PopularityGroups.equal_mass(known.popularity, 3)
    n = len(groups.names)
    rho = (1 + 1 / n) * groups.shares(known.popularity)
    wanted = [None] * len(recs)
    order = np.random.default_rng(3).permutation(len(recs))
    for users in np.array_split(order, -(-len(recs) // window)):
        room, prices, slope = len(users) * K * rho, np.zeros(n), np.zeros(n)
        for row in users:
            items, scores = candidates(recs, row)
            owner = [groups.codes[i] for i in items]
            rank = [s - (prices[g] if room[g] > 0 else 1e4) for s, g in zip(scores, owner, strict=True)]
            best = sorted(sorted(range(len(items)), key=lambda c: (-rank[c], c))[:K])
            wanted[row] = [items[c] for c in best] + [-1] * (K - len(best))
            exposure = np.bincount([owner[c] for c in best], minlength=n)
            room = room - exposure
            slope = momentum * (room / (len(users) * K) - exposure / K) + (1 - momentum) * slope
            prices = prices - lr / sqrt(len(users)) * slope / rho**2
            if sum(min(v, 0) for v in prices * rho) < -strength:
                over = sorted(-v for v in prices * rho if v < 0)
                while sum(over) > strength:  # raise all that are left until the smallest is 0, or enough
                    least = min(v for v in over if v > 0)
                    alive = sum(v > 0 for v in over)
                    step = min(least, (sum(over) - strength) / alive)
                    over = [max(v - step, 0) for v in over]
                    if step < least:
                        break
                raised = max(-v for v in prices * rho) - max(over)
                prices = np.where(prices < 0, np.minimum(prices * rho + raised, 0), prices * rho) / rho
    options = {"groups": groups, "lr": lr, "window": window, "momentum": momentum, "rng": 3}
    found = p_mmf(recs, known.popularity, strength=strength, k=K, **options)
    assert found.items.tolist() == wanted
    kept = found.items >= 0
    places = np.argmax(recs.items[:, :, None] == found.items[:, None, :], axis=1)
    np.testing.assert_array_equal(found.scores[kept], np.take_along_axis(recs.scores, places, axis=1)[kept])


def test_nearest_prices_are_those_of_a_solver():
    rng = np.random.default_rng(0)
    for strength in (0.05, 0.5, 5.0):
        rho, prices = rng.uniform(0.2, 1.5, 4), rng.normal(size=4)
        found = nearest_prices(prices[None], rho, strength)[0]
        favors = [  # as in the paper: no set of groups is favored by more
            {"type": "ineq", "fun": lambda x, among=among, rho=rho, most=strength: most + (rho * x)[among].sum()}
            for among in (np.array([bits >> i & 1 for i in range(4)], dtype=bool) for bits in range(1, 16))
        ]
        solved = minimize(
            lambda x, rho=rho, prices=prices: float(((rho * (x - prices)) ** 2).sum()),
            np.zeros(4),
            method="SLSQP",
            constraints=favors,
            options={"ftol": 1e-15},
        )
        np.testing.assert_allclose(found, solved.x, atol=1e-4)


BY_HISTORY = {"calibrated_popularity": calibrated_popularity, "xquad": xquad, "pct": pct}
EVERY = {**BY_HISTORY, "fa_ir": fa_ir, "p_mmf": p_mmf, "ipr": ipr}


def reranked(name, recs, known, **options):
    what = known if name in BY_HISTORY else known.popularity
    return EVERY[name](recs, what, **{"strength": 0.4, "k": K, **options})


@pytest.mark.parametrize("name", EVERY)
def test_strength_0_shortens_and_lists_stand_in_the_order_of_their_scores(name):
    recs, known = world(1)
    off = reranked(name, recs, known, strength=0.0)
    np.testing.assert_array_equal(off.items, recs.items[:, :K])
    first, again = (reranked(name, recs, known) for _ in range(2))
    np.testing.assert_array_equal(first.items, again.items)
    rows = first.items >= 0
    assert (np.diff(first.scores, axis=1)[rows[:, 1:]] <= 0).all()
    for ours, long in zip(first.items, recs.items, strict=True):
        kept = ours[ours >= 0]
        assert len(set(kept)) == len(kept) == min(K, (long >= 0).sum()) and set(kept) <= set(long)


@pytest.mark.parametrize("name", EVERY)
def test_lists_that_are_not_in_the_order_of_their_scores_are_ordered_first(name):
    recs, known = world(2)
    full = (recs.items >= 0).all(axis=1)
    rng, distinct = np.random.default_rng(0), -np.sort(-np.random.default_rng(1).random(recs.items[full].shape), axis=1)
    straight = Recommendations(recs.user_ids, recs.item_ids, recs.users[full], recs.items[full], distinct)
    mixed = rng.permuted(np.tile(np.arange(recs.k), (full.sum(), 1)), axis=1)
    shuffled = Recommendations(
        recs.user_ids, recs.item_ids, recs.users[full],
        np.take_along_axis(straight.items, mixed, 1), np.take_along_axis(distinct, mixed, 1),
    )  # fmt: skip
    np.testing.assert_array_equal(reranked(name, straight, known).items, reranked(name, shuffled, known).items)


@pytest.mark.parametrize("name", EVERY)
def test_bad_input_of_all(name):
    recs, known = world(1)
    with pytest.raises(InvalidInputError, match="have no scores"):
        reranked(name, Recommendations(recs.user_ids, recs.item_ids, recs.users, recs.items), known)
    with pytest.raises(InvalidInputError, match=r"k=19 is out of range; .* at most 18"):
        reranked(name, recs, known, k=19)
    with pytest.raises(InvalidInputError, match="strength=-1"):
        reranked(name, recs, known, strength=-1)
    empty = Recommendations(recs.user_ids, recs.item_ids, recs.users[:0], recs.items[:0], recs.scores[:0])
    assert len(reranked(name, empty, known)) == 0


def test_bad_input_of_some():
    recs, known = world(1)
    other = Interactions.of(pl.DataFrame({"user_id": [1], "item_id": [1]}))
    with pytest.raises(InvalidInputError, match="different user_ids"):
        xquad(recs, other, strength=0.1, k=2)
    with pytest.raises(InvalidInputError, match="popularity has shape"):
        fa_ir(recs, [1, 2], strength=0.1, k=2)
    with pytest.raises(InvalidInputError, match="group 'tail' has no interactions"):
        p_mmf(lists([[0, 1, 2]], np.array([[3.0, 2.0, 2.0]])), [9, 0, 0, 0, 0], strength=0.1, k=1)
    with pytest.raises(InvalidInputError, match="variant='binry'"):
        xquad(recs, known, strength=0.1, k=2, variant="binry")


def test_ipr_by_hand():
    given_ = lists([[0, 1, 2], [3, 0, -1]], np.array([[4.0, 3.0, 2.0], [-1.0, -1.2, np.nan]]))
    found = ipr(given_, POPULARITY, strength=1.0, k=3)
    # Factors 1, 1.5, 1.9 and 1.99.
    assert found.items.tolist() == [[1, 0, 2], [3, 0, -1]]
    np.testing.assert_allclose(found.scores, [[4.5, 4.0, 3.8], [-1 / 1.99, -1.2, np.nan]])


@given(st.lists(st.floats(-5, 5), min_size=5, max_size=5), st.floats(0, 2), st.floats(0, 2))
def test_more_ipr_never_favors_popular_items(scores, low, high):
    low, high = sorted((low, high))
    order = np.argsort(-np.array(scores), kind="stable")
    given_ = lists([order], np.array([np.array(scores)[order]]))
    means = [POPULARITY[ipr(given_, POPULARITY, strength=s, k=1).items[0]].mean() for s in (low, high)]
    assert means[1] <= means[0] + 1e-9 or np.isclose(*sorted(scores)[-2:], atol=1e-6)


@pytest.mark.parametrize("rerank", [ipr, p_mmf, fa_ir, penalize_popularity])
def test_popularity_of_any_form(rerank):
    ids = [f"i{i}" for i in range(8)]
    rng = np.random.default_rng(0)
    pairs = {(int(u), int(i * i / 8)) for u, i in rng.integers(0, 8, (60, 2))} | {(0, i) for i in range(8)}
    known = Interactions.from_frame({"user_id": [u for u, _ in pairs], "item_id": [ids[i] for _, i in pairs]})
    recs = Recommendations.from_scores(rng.normal(size=(8, 8)), k=8, item_ids=ids)
    expected = rerank(recs, known.popularity, strength=0.4, k=3).items
    by_id = pd.Series(known.popularity, index=known.item_ids)
    for form in (known, known.to_polars(), by_id, by_id.sort_values()):
        assert np.array_equal(rerank(recs, form, strength=0.4, k=3).items, expected)
