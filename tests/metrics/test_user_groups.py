"""Many user groups: each has what an audit of its users alone has, in the time of a few."""

import numpy as np
import polars as pl
import pytest
import test_gating

import headtail as ht
from headtail.metrics import arp, audit, gini
from headtail.metrics.measuring import _mean, _means


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
    groups = [np.arange(3), np.arange(3, 6), np.array([7]), *np.array_split(rng.permutation(400), 20)]
    for found, rows in zip(_means(values, groups), groups, strict=True):
        expected = _mean(values[rows])
        assert (found[0], *found[2:]) == pytest.approx((expected[0], *expected[2:]), nan_ok=True)
        assert found[1] == pytest.approx(expected[1], nan_ok=True) or not found[3]  # there is no error of nothing


def test_a_page_shows_the_largest_of_many_groups():
    known, top = test_gating.KNOWN, test_gating.drawn(range(130), 0).lists
    recs = ht.Recommendations(known.user_ids, known.item_ids, top.users, top.items)
    users = pl.DataFrame({"user_id": np.arange(130), "of": np.append(np.arange(110), np.full(20, 109))})
    result = audit(recs, known, k=5, users=users, metrics=[gini, arp])
    text = result.to_markdown()
    assert "The 100 largest of 110 groups" in text and text.count("| of=") == 100
    assert text.index("| of=109 | 21 |") < text.index("| of=1 | 1 |")
    assert len({m["users"] for m in result.to_dict()["measurements"]}) == 111
