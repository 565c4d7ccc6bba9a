"""Many user groups: each has what an audit of its users alone has, in the time of a few."""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import polars as pl
import pytest
import test_gating
import test_intervals

import headtail as ht
from headtail._stats import degrees_of_freedom, mean_influence
from headtail.metrics import arp, audit, coverage, entropy, gini, group_share, measuring
from headtail.metrics.attributes import read_attributes
from headtail.metrics.measuring import measure
from headtail.metrics.user_groups import UserGroups


def test_groups_have_the_figures_and_intervals_of_an_audit_of_their_users():
    known, top = test_gating.KNOWN, test_gating.drawn(range(120), 0).lists
    recs = ht.Recommendations(known.user_ids, known.item_ids, top.users, top.items).to_polars()
    users = pl.DataFrame({"user_id": np.arange(120), "of": [f"g{i % 4}" for i in range(120)]})
    whole = audit(recs, known, k=5, users=users)
    for g in range(4):
        alone = audit(recs.filter(pl.col("user_id") % 4 == g), known, k=5)
        for m in alone.measurements:
            found = whole.measurement(m.name, f"of=g{g}")
            assert (found.value, found.n_users) == (pytest.approx(m.value, nan_ok=True), m.n_users), m.name
            assert (found.low, found.high) == (pytest.approx(m.low), pytest.approx(m.high)), m.name


def test_means_of_all_groups_at_once_are_those_of_each():
    rng = np.random.default_rng(0)
    values = rng.exponential(size=400)
    values[rng.random(400) < 0.2] = np.nan
    values[:3] = np.nan
    values[3:6] = 0.5
    rows = [np.arange(3), np.arange(3, 6), np.array([7]), *np.array_split(rng.permutation(400), 20)]
    groups = UserGroups(None, np.concatenate(rows), np.array([len(some) for some in rows]))
    means, influence, n = groups.mean(values[groups.rows])
    errors, dfs = groups.error(influence)
    for some, mean, error, df, known in zip(rows, means, errors, dfs, n, strict=True):
        x = values[some][~np.isnan(values[some])]
        assert (mean, known) == (pytest.approx(x.mean() if len(x) else np.nan, nan_ok=True), len(x))
        if known > 1:
            assert error == pytest.approx(x.std(ddof=1) / np.sqrt(len(x)))
            assert df == pytest.approx(degrees_of_freedom(mean_influence(x), len(some)), nan_ok=True)


SOME = {
    "gini of train": partial(gini, catalogue="train"),
    "gini of recommended": partial(gini, catalogue="recommended"),
    "coverage from 2": partial(coverage, at_least=2),
    "entropy": partial(entropy, normalize=True),
    "share by rank": partial(group_share, group="mid", by_rank=True),
    "most": lambda top: float(top.slots.max()),
}


def test_hundreds_of_groups_have_what_each_alone_has():
    top = test_intervals.lists(300, 40, 6)
    top = replace(top, items=np.where(np.arange(300)[:, None] < 20, -1, top.items))  # the first groups see nothing
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 12, 120)
    rows = [np.arange(n) if g == 0 else rng.choice(300, n, replace=False) for g, n in enumerate(sizes.tolist())]
    segments = [(f"g{g}", np.sort(some)) for g, some in enumerate([np.arange(300), *rows])]
    items = pl.DataFrame({"item_id": range(40), "genre": [["a", "b", "c"][: 1 + i % 3] for i in range(40)]})
    genre = read_attributes(items, top.profiles.train, [])[0]
    chosen = test_intervals.SCALARS | SOME | {"arp": arp, "gini of genre": genre.unevenness}
    found = iter(measure(top, chosen, segments, 20, 0)[0][len(chosen) :])
    for label, some in segments:
        for name, metric in chosen.items():
            (alone,) = measure(top.take(some), {name: metric}, [], 20, 0)[0]
            together = next(found)
            assert (together.metric, together.users, together.n_users) == (name, label, alone.n_users)
            one, other = ([m.value, m.low or 0, m.high or 0] for m in (together, alone))
            assert one == pytest.approx(other, rel=1e-9, abs=1e-12, nan_ok=True), (label, name)
            assert (together.low is None) == (alone.low is None), (label, name)


def test_blocks_of_groups_change_nothing(monkeypatch):
    top, segments = test_intervals.lists(60, 25, 6), [(str(g), np.arange(g, 60, 7)) for g in range(7)]
    whole = measure(top, test_intervals.SCALARS, segments, 20, 0)[0]
    monkeypatch.setattr(measuring, "_SLOTS", 60)
    for one, other in zip(measure(top, test_intervals.SCALARS, segments, 20, 0)[0], whole, strict=True):
        assert asdict(one) == pytest.approx(asdict(other), nan_ok=True)


def test_a_page_shows_the_largest_of_many_groups():
    known, top = test_gating.KNOWN, test_gating.drawn(range(130), 0).lists
    recs = ht.Recommendations(known.user_ids, known.item_ids, top.users, top.items)
    users = pl.DataFrame({"user_id": np.arange(130), "of": np.append(np.arange(110), np.full(20, 109))})
    result = audit(recs, known, k=5, users=users, metrics=[gini, arp])
    text = result.to_markdown()
    assert "The 20 largest of 110 groups" in text and "User groups 21 to 100 by size" in text
    assert text.count("| of=") == 100
    assert text.index("| of=109 | 21 |") < text.index("| of=1 | 1 |")
    assert len({m["users"] for m in result.to_dict()["measurements"]}) == 111
