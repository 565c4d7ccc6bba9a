"""Metrics written once more, slowly, from their formulas: loops over users and lists of plain ids."""

import itertools
import math
from collections import Counter


def lists_of(recs, k):
    """{user: [items, best first]} from (user, item, rank) rows, cut at k."""
    lists = {}
    for user, item, rank in sorted(recs, key=lambda r: (r[0], r[2])):
        if rank <= k:
            lists.setdefault(user, []).append(item)
    return lists


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else math.nan


def slots(lists):
    return Counter(itertools.chain.from_iterable(lists.values()))


def gini(lists, catalogue):
    x = sorted(slots(lists)[i] for i in catalogue)
    n = len(x)
    return sum(abs(a - b) for a in x for b in x) / (2 * n * sum(x))


def gini_by_rank(lists, catalogue):
    x = [
        sum(1 / math.log2(r + 2) for items in lists.values() for r, j in enumerate(items) if j == i) for i in catalogue
    ]
    return sum(abs(a - b) for a in x for b in x) / (2 * len(x) * sum(x))


def entropy(lists):
    counts = slots(lists)
    total = sum(counts.values())
    return -sum(c / total * math.log(c / total) for c in counts.values())


def coverage(lists, catalogue):
    return len({i for i in slots(lists) if i in catalogue}) / len(catalogue)


def arp(lists, popularity):
    return mean(mean(popularity[i] for i in items) for items in lists.values())


def novelty(lists, popularity, n):
    return mean(mean(-math.log2(max(popularity[i], 1) / n) for i in items) for items in lists.values())


def aplt(lists, tail):
    return mean(mean(i in tail for i in items) for items in lists.values())


def aclt(lists, tail):
    return mean(sum(i in tail for i in items) for items in lists.values())


def popularity_lift(lists, train, popularity):
    own = {u: mean(popularity[i] for i in train[u]) for u in lists}
    p, q = mean(own.values()), arp(lists, popularity)
    return (q - p) / p


def upd(lists, train, group_of, names):
    def kl(p, q):
        return sum(a * math.log2(a / b) for a, b in zip(p, q, strict=True) if a > 0)

    def mix(items):
        return [mean(group_of[i] == name for i in items) for name in names]

    values = []
    for user, items in lists.items():
        p, q = mix(train[user]), mix(items)
        m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        values.append((kl(p, m) + kl(q, m)) / 2)
    return mean(values)


def pce(lists, train, popularity):
    def below(items, level):
        return mean((popularity[i] < level) + (popularity[i] == level) / 2 for i in items)

    def error(own, items):
        return mean(abs(below(items, popularity[j]) - below(own, popularity[j])) for j in own)

    return mean(error(train[user], items) for user, items in lists.items())


def per_test_user(lists, test, value):
    return mean(value(lists.get(u, []), wanted) for u, wanted in test.items() if wanted)


def ndcg(lists, test, k):
    def value(items, wanted):
        gained = sum(1 / math.log2(p + 2) for p, i in enumerate(items) if i in wanted)
        return gained / sum(1 / math.log2(p + 2) for p in range(min(len(wanted), k)))

    return per_test_user(lists, test, value)


def recall(lists, test):
    return per_test_user(lists, test, lambda items, wanted: len(set(items) & wanted) / len(wanted))


def precision(lists, test, k):
    return per_test_user(lists, test, lambda items, wanted: len(set(items) & wanted) / k)


def hit_rate(lists, test):
    return per_test_user(lists, test, lambda items, wanted: bool(set(items) & wanted))


def mrr(lists, test):
    def value(items, wanted):
        return next((1 / (p + 1) for p, i in enumerate(items) if i in wanted), 0)

    return per_test_user(lists, test, value)


def unevenness(rates):
    m = mean(rates)
    return math.sqrt(mean((r - m) ** 2 for r in rates)) / m


def pop_rsp(lists, train, group_of, names, catalogue):
    rates = []
    for name in names:
        members = {i for i in catalogue if group_of[i] == name}
        possible = sum(len(members - train[u]) for u in lists)
        rates.append(sum(i in members for items in lists.values() for i in items) / possible)
    return unevenness(rates)


def pop_reo(lists, test, group_of, names):
    rates = []
    for name in names:
        wanted = [(u, i) for u, items in test.items() for i in items if group_of[i] == name]
        if wanted:
            rates.append(mean(i in lists.get(u, []) for u, i in wanted))
    return unevenness(rates)


def ilad(lists, vectors):
    def distance(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return 1 - dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    return mean(
        mean(distance(vectors[i], vectors[j]) for i, j in itertools.combinations(items, 2))
        for items in lists.values()
        if len(items) > 1
    )
