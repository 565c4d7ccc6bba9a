"""An audit says so where lists have collapsed to few items, or are no better than the most popular ones."""

import numpy as np
import polars as pl
import pytest

from headtail import baselines
from headtail.data import split_ratio
from headtail.datasets import power_law
from headtail.metrics import audit

SPLIT = split_ratio(power_law(400, 300, n_interactions=6000, rng=0).interactions, rng=0)


def notes(recs, test=None, k=5):
    return audit(recs, SPLIT.train, test, k=k, n_bootstrap=0, strict=False).notes


def the_same_for_all(n_users):
    ids = SPLIT.train.user_ids[:n_users]
    return pl.DataFrame({"user_id": np.repeat(ids, 5), "item_id": np.tile(SPLIT.train.item_ids[:5], n_users)})


def test_few_items_for_everybody():
    (found,) = [note for note in notes(the_same_for_all(100)) if "collapsed" in note]
    assert found.startswith("The lists may have collapsed to few items: all 100 of them hold 5 of 300 items.")
    found = audit(the_same_for_all(100), SPLIT.train, k=5, n_bootstrap=0, strict=False)
    assert found.report().lede.startswith("**Nearly all people are shown the same few items")


def test_few_lists_cannot_hold_many_items():
    assert not any("collapsed" in note for note in notes(the_same_for_all(2)))


def test_lists_that_cover_the_catalogue():
    random = baselines.random_items(SPLIT.train, 5, rng=0)
    assert not any("collapsed" in note for note in notes(random))


@pytest.mark.parametrize("k", [1, 5, 20])
def test_the_most_popular_items_are_no_more_accurate_than_themselves(k):
    recs = baselines.most_popular(SPLIT.train, k)
    (found,) = [note for note in notes(recs, SPLIT.test, k) if "more accurate" in note]
    value = audit(recs, SPLIT.train, SPLIT.test, k=k, n_bootstrap=0, strict=False)[f"ndcg@{k}"]
    assert f"ndcg@{k} is {value:.4f}, theirs {value:.4f}" in found  # by the users' own histories, exactly


def test_worse_and_better_lists():
    assert any("more accurate" in note for note in notes(baselines.random_items(SPLIT.train, 5, rng=0), SPLIT.test))
    assert not any("more accurate" in note for note in notes(SPLIT.test.to_polars(), SPLIT.test, k=1))


def test_users_without_a_history_are_offered_the_most_popular_of_all():
    train = pl.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "a", "c", "a"]})
    test = pl.DataFrame({"user_id": [9, 1], "item_id": ["a", "c"]})
    recs = pl.DataFrame({"user_id": [9, 1], "item_id": ["b", "c"]})
    (found,) = audit(recs, train, test, k=1, n_bootstrap=0, strict=False).notes[-1:]
    # User 9 would get a, a hit; user 1 has met a and b, and would get c, as in the lists.
    assert "ndcg@1 is 0.5000, theirs 1.0000 (over 2 users, what each of them knows left out)" in found


def test_lists_may_leave_in_what_users_know_where_the_test_repeats_it():
    left_in = baselines.most_popular(SPLIT.train, 5, exclude_seen=False)
    repeated = SPLIT.whole.subset(np.arange(len(SPLIT.whole)) % 4 == 0)
    doubts = audit(left_in, SPLIT.train, repeated, k=5, strict=False).doubts
    assert not any("own training interactions" in doubt for doubt in doubts)


def test_of_a_test_without_interactions_nothing_is_said_of_accuracy():
    split = split_ratio(power_law(80, 40, n_interactions=500, rng=0).interactions, rng=0)
    nothing = split.test.subset(np.zeros(len(split.test), dtype=bool))
    found = audit(baselines.most_popular(split.train, k=5), split.train, nothing, k=5, strict=False)
    assert np.isnan(found["ndcg@5"]) and not np.isnan(found["gini@5"])


def test_lists_of_what_users_know_are_doubted():
    known = power_law(80, 30, n_interactions=400, rng=0).interactions
    as_lists = known.to_polars().select("user_id", "item_id")
    assert "100% of what is recommended stands in its users' own training" in audit(as_lists, known, k=3).doubts[0]
    assert not audit(baselines.most_popular(known, k=3), known, k=3).doubts


def test_lists_that_leave_in_some_of_what_users_know_are_doubted():
    left_in = baselines.most_popular(SPLIT.train, 5, exclude_seen=False)
    (found,) = [note for note in audit(left_in, SPLIT.train, SPLIT.test, k=5).doubts if "Leave these" in note]
    codes = np.repeat(left_in.users, 5), left_in.items.ravel()
    assert found.startswith(
        f"{SPLIT.train.contains(*codes).mean():.0%} of what is recommended stands in its users' own"
    )
    assert not any(
        "of what is recommended" in note for note in notes(baselines.most_popular(SPLIT.train, 5), SPLIT.test)
    )


@pytest.mark.parametrize("n", [1, 14, 15])
def test_few_users_are_told(n):
    recs = baselines.random_items(SPLIT.train, 5, rng=0, users=SPLIT.train.user_ids[:n])
    told = [doubt for doubt in audit(recs, SPLIT.train, k=5, n_bootstrap=0).doubts if "These are the lists of" in doubt]
    assert told == [
        f"These are the lists of {n} user{'s' * (n > 1)}: the figures of others may be quite different."
    ] * (n < 15)


@pytest.mark.parametrize(("n_users", "n_items"), [(15, 20), (14, 20), (100, 20), (100, 300)])
def test_the_same_list_for_all(n_users, n_items):
    ids, items = SPLIT.train.user_ids[:n_users], SPLIT.train.item_ids[:n_items]
    recs = pl.DataFrame({"user_id": np.repeat(ids, n_items), "item_id": np.tile(items, n_users)})
    told = [note for note in notes(recs, k=n_items) if "collapsed" in note]
    assert len(told) == (n_users >= 15 and n_items < 300)  # a list of the whole catalogue is the same for all
    assert all(f"all {n_users} of them hold {n_items} of 300 items" in note for note in told)
    other = recs.with_columns(item_id=pl.when(pl.row_index() == 0).then(items[-1] + 1).otherwise("item_id"))
    assert n_items == 300 or not any("collapsed" in note for note in notes(other, k=n_items))


def test_lists_of_people_without_training_stand_beside_the_most_popular_items_alone():
    train, test = (pl.DataFrame({"user_id": [user], "item_id": [1]}) for user in (1, 2))
    recs = pl.DataFrame({"user_id": [2, 2], "item_id": [1, 3], "rank": [1, 2]})
    notes = " ".join(audit(recs, train, test, k=2, strict=False).notes)
    assert "no more accurate than the most popular items" in notes and "random" not in notes
