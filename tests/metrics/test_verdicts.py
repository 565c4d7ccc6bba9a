"""The sentences that reports open with, on tables small enough to check them by hand."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from headtail.metrics import audit, compare, ndcg
from headtail.reports import Chart

TRAIN = pl.DataFrame({"user_id": [*range(8), *range(8), 0, 1], "item_id": ["a"] * 8 + ["b", "c"] * 4 + ["d", "e"]})
COLUMNS = {"schema": ["user_id", "item_id"], "orient": "row"}


def lists(**items):
    rows = [
        (user, item, rank) for name, row in items.items() for user in USERS[name] for rank, item in enumerate(row, 1)
    ]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "rank"], orient="row")


USERS = {"everyone": range(8), "even": range(0, 8, 2), "odd": range(1, 8, 2)}
OWN = (6 * (8 + 4) / 2 + 2 * (8 + 4 + 1) / 3) / 8  # mean popularity of the users' own items
POPULAR = lists(everyone=["a"])
RARE = lists(even=["d"], odd=["e"])


def of(recs, **options):
    return audit(recs, TRAIN, strict=False, k=1, **options)


def test_lists_of_the_most_popular_item():
    lede = of(POPULAR).report().lede
    assert lede.startswith("**Popular items are shown more than they are chosen.**")
    assert "All recommended places go to 1 of 5 items; that one holds 44% of what people chose." in lede
    assert f"{8 / OWN - 1:.0%} more popular than their own" in lede
    assert "4 items (80%) are never shown." in lede


def test_a_world_of_one_item_and_one_user_is_told_in_the_singular():
    alone = pl.DataFrame({"user_id": [0], "item_id": ["a"]})
    page = audit(alone, alone, strict=False, k=1).report()
    assert page.title == "Popularity audit of 1 user"
    assert "All recommended places go to 1 of 1 item; that one holds 100% of what people chose." in page.lede
    assert all(said in page.to_markdown() for said in ("Of the 1 item here: ", "Share of the top item (1 of 1): "))


def test_what_opens_a_page_is_not_said_again_in_its_notes():
    found = dataclasses.replace(of(POPULAR), notes=("A note.", "A doubt."), doubts=("A doubt.",))
    page = found.report().to_markdown()
    assert page.count("A doubt.") == page.count("A note.") == 1


def test_lists_of_rare_items():
    lede = of(RARE).report().lede
    assert lede.startswith("**Popular items are not shown more than they are chosen.**")
    assert "82% less popular than their own" in lede  # 1 beside OWN
    # Two of five items take all places, none of them the head: more uneven than training, and yet not towards it.
    # Training holds 1, 1, 4, 4, 8: (-4 - 2 + 8 + 32) / (5 * 18).
    assert "- Measures disagree: exposure is more uneven than what people chose (Gini 0.600, training 0.378)" in lede


def test_references_are_those_of_training_and_of_lists_for_the_same_users():
    found = of(RARE).references
    assert list(found) == ["training", "most popular", "random"]
    assert found["training"]["arp"] == pytest.approx(OWN) and found["training"]["upd"] == 0
    assert found["training"]["head_share"] == pytest.approx(8 / 18) and found["training"]["coverage"] == 1
    assert found["most popular"]["arp"] == 4  # everyone has met a, and either b or c
    assert "ndcg" not in found["training"]


def test_a_metric_of_ones_own_has_no_reference():
    def gini(top):
        """Not the Gini."""
        return 0.5

    assert "gini" not in of(RARE, metrics=[gini]).references["random"]


def test_before_and_after():
    rng = np.random.default_rng(0)
    train = pl.DataFrame(
        {"user_id": np.repeat(np.arange(200), 3), "item_id": (rng.pareto(1, 600) % 40).astype(int)}
    ).unique()
    test = pl.DataFrame({"user_id": np.arange(200), "item_id": np.full(200, 1)})
    one = pl.DataFrame({"user_id": np.arange(200), "item_id": np.full(200, 1)})
    some = pl.DataFrame({"user_id": np.arange(200), "item_id": np.where(np.arange(200) < 100, 1, 2)})
    found = compare(
        {name: audit(recs, train, test, k=1, strict=False) for name, recs in {"one": one, "some": some}.items()}
    )
    lede, shown = found.report().lede, train["item_id"].unique()
    assert lede.startswith(
        "**some** instead of **one** makes exposure **more even**: half of the places go to 1 item, as before, and "
    )
    assert f" {len(shown) - 2} items are never shown, before {len(shown) - 1} (Gini " in lede
    assert "stands at the top): lists find 50.0% of what people wanted, before 100.0%." in lede
    assert "Accuracy falls (NDCG 1.0000 to 0.5000, -50.0%, 95% interval " in lede
    assert "; 0 is even, 1 is all for one item)" in lede and "; 1 if all that people wanted stands at the top)" in lede
    page = found.to_markdown()
    assert "↓ -0.5000" in page and "| most popular |" in page and page.count("(ndcg, higher is better)") == 1
    same = compare(
        {"one": audit(one, train, test, k=1, strict=False), "again": audit(one, train, test, k=1, strict=False)}
    )
    assert "Accuracy stays the same (NDCG 1.0000 to 1.0000" in same.report().lede
    assert "within noise" not in same.report().lede
    assert "lists find 100.0% of what people wanted, as before." in same.report().lede
    alone = compare({"one": audit(one, train, test, k=1, strict=False)}).report()
    assert alone.title == "one beside the references" and alone.lede.startswith(
        "one: **Nearly all people are shown the same few items"
    )


def test_one_recommender_beside_random_items_has_no_trade_off():
    pair = {name: audit(r, TRAIN, TRAIN, strict=False, k=1) for name, r in (("popular", POPULAR), ("rare", RARE))}
    said = [compare(pair).report(), compare({"popular": pair["popular"], "random": pair["rare"]}).report()]
    drawn = [[block.title for block in page.blocks if isinstance(block, Chart)] for page in said]
    assert drawn == [["Accuracy against even exposure"], []]


def test_several_name_the_most_accurate_and_the_most_even():
    audits = {"popular": of(POPULAR), "rare": of(RARE), "mixed": of(lists(even=["a"], odd=["d"]))}
    lede = compare(audits).report().lede
    assert "**rare** spreads exposure most evenly (Gini 0.600" in lede  # as mixed does, and the first of them is named
    only = {
        name: audit(recs, TRAIN, TRAIN, strict=False, k=1, metrics=[ndcg])
        for name, recs in (("a", POPULAR), ("b", RARE), ("c", RARE))
    }
    assert "Of 3 recommenders **a** is the most accurate" in compare(only).report().lede


def test_fewer_wanted_items_are_told_though_ndcg_does_not_fall():
    def of_users(rows):
        return pl.DataFrame([(user, item) for user in range(300) for item in rows(user)], **COLUMNS)

    def told(order):
        ranked = [(user, item, rank) for user in range(300) for rank, item in enumerate(order(user), 1)]
        recs = pl.DataFrame(ranked, schema=["user_id", "item_id", "rank"], orient="row")
        return audit(recs, train, wanted, k=4, strict=False)

    train, wanted = of_users(lambda user: "abcdxywvz"[user % 4 :: 3]), of_users(lambda _: "xy")
    late = told(lambda user: "zwxy" if user % 9 else "zwvy")
    early = told(lambda user: "xzwv" if user % 7 else "zxwv")
    assert early["ndcg@4"] > late["ndcg@4"] and early["recall@4"] < late["recall@4"]
    said = compare({"late": late, "early": early}).report().to_markdown()
    assert "NDCG does not fall beyond noise, but fewer wanted items are found" in said


def test_lists_that_random_items_outdo_are_said_to_be():
    """Sixty readers know twenty old articles and want new ones, five of which somebody has met."""
    known = [*((user, item) for user in range(60) for item in range(20)), *((60, item) for item in range(30, 35))]
    train = pl.DataFrame(known, schema=["user_id", "item_id"], orient="row")
    later = pl.DataFrame({"user_id": range(60), "item_id": [30 + user % 10 for user in range(60)]})
    for first, outdone in ((20, True), (30, False)):
        recs = pl.DataFrame({"user_id": range(60), "item_id": [[*range(first, first + 5)]] * 60}).explode("item_id")
        doubts = audit(recs, train, later, k=5, catalogue=range(40), strict=False).doubts
        assert any("no more accurate than the most popular" in doubt for doubt in doubts)
        assert any("Even random items would be more accurate" in doubt for doubt in doubts) == outdone


def test_one_list_that_changes_where_most_do_not_says_so():
    train = pl.DataFrame({"user_id": [1, 2, 3, 4], "item_id": ["a", "b", "c", "d"]})
    lists = [pl.DataFrame({"user_id": [1, 2, 3], "item_id": items}) for items in (["b", "c", "d"], ["c", "c", "d"])]
    page = compare({name: audit(recs, train, k=1) for name, recs in zip("xy", lists, strict=True)}).to_markdown()
    assert "This person's list gets 1 new item of 1, and half of all people's none." in page
