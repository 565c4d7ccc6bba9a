"""An audit by queries of an engine says what one in memory says."""

from functools import partial

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings, strategies as st

import headtail as ht
from headtail import engines
from headtail.exceptions import InvalidInputError
from headtail.metrics import coverage, entropy, gini, gini_by_rank, group_share, ndcg, precision

DATABASE = duckdb.connect()  # before 1.5 a relation does not keep its connection
LAZY = {"polars": pl.DataFrame.lazy, "duckdb": lambda table: DATABASE.from_arrow(table.to_arrow())}


@pytest.fixture(scope="module")
def tables():
    """Lists, training and test with all that is odd: short lists, users without a list, a history or a test."""
    world = ht.datasets.power_law(400, 80, n_interactions=3000, rng=0)
    split = ht.split_ratio(world.interactions, rng=0)
    queries = world.queries + 0.3 * np.random.default_rng(0).normal(size=world.queries.shape)
    recs = ht.recommend((queries, world.items), split.train, k=20).to_polars()
    train, test = (part.to_polars().select("user_id", "item_id") for part in (split.train, split.test))
    short, unlisted = pl.col("user_id") % 17 == 3, pl.col("user_id") == test["user_id"][0]
    recs = recs.filter(~(short & (pl.col("rank") > 12)) & ~unlisted)
    return recs, train.filter(pl.col("user_id") != recs["user_id"][5]), test


def same(ours, theirs, names=None):
    names = names or [m.name for m in theirs.measurements]
    assert [m.name for m in ours.measurements] == names
    for name in names:
        a, b = ours.measurement(name), theirs.measurement(name)
        for field in ("value", "low", "high", "n_users"):
            x, y = getattr(a, field), getattr(b, field)
            assert (x is None) == (y is None), (name, field, x, y)
            if x is not None:
                assert x == pytest.approx(y, rel=1e-12, abs=1e-14, nan_ok=True), (name, field)
    assert ours.group_shares == theirs.group_shares
    assert ours.over_exposed == theirs.over_exposed
    assert ours.under_exposed == theirs.under_exposed


def check(lazy, tables, **options):
    theirs = ht.audit(*tables, strict=False, **options)
    ours = engines.audit(*map(lazy, tables), strict=False, **options)
    there = {m.name for m in ours.measurements}
    assert len(there) == 50 or options
    same(ours, theirs, [m.name for m in theirs.measurements if m.name in there])
    said = ("1 test user has no rec", "recs or test have 3 users without training history", "24 users have fewer")
    assert all(any(note.startswith(start) for note in ours.notes) for start in said)


@pytest.mark.parametrize("engine", LAZY)
def test_every_metric_and_interval_is_that_of_the_tables_in_memory(engine, tables):
    check(LAZY[engine], tables)


def test_users_in_parts_give_the_sums_of_all(tables, monkeypatch):
    monkeypatch.setattr("headtail.engines.sums.USERS", 150)
    check(LAZY["polars"], tables)


@st.composite
def small_worlds(draw):
    """Lists of uneven length, training and test of a few users and items, some in one table alone, rarely NULL."""
    named = draw(st.sampled_from([int, "u{}".format]))
    users, items = (list(map(named, range(1, draw(st.integers(*most)) + 1))) for most in ((2, 7), (2, 9)))
    pairs = st.lists(st.tuples(st.sampled_from(users), st.sampled_from(items)), min_size=1, max_size=25, unique=True)
    listed = st.lists(st.sampled_from(items), unique=True, max_size=6)
    recs = [(u, i, rank) for u in users for rank, i in enumerate(draw(listed), start=1)] or [(users[0], items[0], 1)]
    train, test = draw(pairs), draw(pairs)
    if draw(st.integers(0, 9)) == 9:
        place = draw(st.integers(0, 2))
        (recs, train, test)[place].append((None, items[0], 1)[: 2 + (place == 0)])
    frame = partial(pl.DataFrame, orient="row")
    return tuple(frame(rows, ["user_id", "item_id", *["rank"] * (rows is recs)]) for rows in (recs, train, test))


ONE = pl.DataFrame({"user_id": [1], "item_id": [1]})


@settings(max_examples=5)
@given(world=small_worlds(), with_test=st.booleans(), k=st.integers(1, 6))
@example(world=(ONE.with_columns(rank=1), ONE, ONE), with_test=True, k=1)
@pytest.mark.parametrize("engine", LAZY)
def test_small_worlds_have_the_figures_of_the_tables_in_memory(engine, world, with_test, k):
    world, options = world[: 2 + with_test], {"k": min(k, int(world[0]["rank"].max())), "strict": False}
    try:
        theirs = ht.audit(*world, **options)
    except InvalidInputError:
        with pytest.raises(InvalidInputError):
            engines.audit(*map(LAZY[engine], world), **options)
        return
    ours = engines.audit(*map(LAZY[engine], world), **options)
    there = {m.name for m in ours.measurements}
    same(ours, theirs, [m.name for m in theirs.measurements if m.name in there])


def test_options(tables):
    metrics = {
        "few": partial(coverage, at_least=3), "bits": partial(entropy, base=2, normalize=True), "found": precision,
        "own": partial(gini, catalogue="train"), "shown": partial(gini, catalogue="recommended"),
        "q2": partial(group_share, group="q2"), "ndcg_q3": partial(ndcg, group="q3"),
        "scaled": partial(ndcg, scale=1.7), "less": partial(ndcg, scale=0.4, group="q2"),
    }  # fmt: skip
    options = {"k": (3, 7), "metrics": metrics, "strict": False, "catalogue": range(100)}
    options["groups"] = partial(ht.PopularityGroups.equal_mass, n=3)
    same(engines.audit(*map(LAZY["polars"], tables), **options), ht.audit(*tables, **options))


@pytest.mark.parametrize("scale", [0, -1.0, float("nan")])
def test_a_scale_that_is_none_is_refused(tables, scale):
    for audit, make in ((engines.audit, LAZY["polars"]), (ht.audit, lambda table: table)):
        with pytest.raises(InvalidInputError, match="scale="):
            audit(*map(make, tables), k=3, metrics={"scaled": partial(ndcg, scale=scale)}, strict=False)


def test_lists_of_one_item_for_everybody_have_no_false_intervals():
    """Values that do not vary have no error, though sums of their squares round."""
    train = pl.DataFrame({"user_id": np.arange(3000) % 1000, "item_id": np.arange(3000) // 1000 + 0})
    recs = pl.DataFrame({"user_id": range(1000), "item_id": 0, "rank": 1})
    same(*(audit(*map(make, (recs, train)), k=1, strict=False, metrics=METRICS)
           for audit, make in ((engines.audit, LAZY["polars"]), (ht.audit, lambda table: table))))  # fmt: skip


METRICS = [getattr(ht.metrics, name) for name in ("arp", "aclt", "upd", "popularity_lift", "gini", "pop_rsp")]


def test_the_result_shows_itself(tables):
    found = engines.audit(*map(LAZY["polars"], tables), strict=False, k=5)
    assert f"{found.n_users:,} users" in repr(found)
    assert found.to_dict()["n_users"] == found.n_users == 400
    assert found.slots.sum() == 5 * 399
    assert len(found.item_ids) == len(found.popularity) == len(found.slots)
    verdict = ht.audit(*tables, strict=False, k=5).report().lede
    assert found.report().lede == verdict.split("\n\n- The lists are no more accurate")[0]
    bare = engines.audit(*map(LAZY["polars"], tables), strict=False, k=5, metrics=[ht.metrics.gini]).report().lede
    assert bare.startswith("**") and "Half of all recommended places go to" in bare and "People are" not in bare


def wrong(tables, message, change, **options):
    recs, train, test = (table.lazy() for table in tables)
    with pytest.raises(InvalidInputError, match=message):
        engines.audit(*change(recs, train, test), **options)


@pytest.mark.parametrize("change, message", [
    (lambda r, a, b: (r.with_columns(rank=pl.col("rank") + 1), a, b), "recs has no row of rank 1"),
    (lambda r, a, b: (r.with_columns(rank=pl.when(pl.col("rank") == 4).then(3).otherwise("rank")), a, b), "1, 2, 3"),
    (lambda r, a, b: (r.filter(pl.col("rank") != 2), a, b), "1, 2, 3"),
    (lambda r, a, b: (r.filter(rank=1).with_columns(rank=pl.lit(0)), a, b), "recs has no row of rank 1"),
    (lambda r, a, b: (r.with_columns(item_id=pl.col("item_id") + 1000), a, b), "not in the catalogue"),
    (lambda r, a, b: (r.with_columns(pl.when(pl.col("rank") > 1).then("user_id")), a, b), "missing values"),
    (lambda r, a, b: (r.with_columns(pl.col("item_id").cast(pl.String)), a, b), "Int64 in recs|String in recs"),
    (lambda r, a, b: (r.with_columns(pl.col("rank").cast(pl.Float64)), a, b), "Float64 in 'rank'"),
    (lambda r, a, b: (r.filter(False), a, b), "recs has no rows"),
    (lambda r, a, b: (r.with_columns(rank=pl.lit(None, pl.Int64)), a, b), "recs has no row of rank 1"),
    (lambda r, a, b: (r.with_columns(pl.col("nowhere")), a, b), "recs cannot be read: .*nowhere"),
    (lambda r, a, b: (r.collect(), a, b), "DataFrame, not a lazy table"),
    (lambda r, a, b: (LAZY["duckdb"](r.collect()), a, b), "Read both in one engine"),
])  # fmt: skip
def test_what_cannot_be_right_is_refused(tables, change, message):
    wrong(tables, message, change, strict=False)


@pytest.mark.parametrize("word", [None, "", " NULL "])
@pytest.mark.parametrize("place", range(3), ids=("recs", "train", "test"))
@pytest.mark.parametrize("engine", LAZY)
def test_users_without_a_name_are_refused_wherever_they_are(engine, place, word):
    pairs = {"user_id": ["u", "v"], "item_id": ["a", "b"]}
    tables = [pl.DataFrame({**pairs, "rank": 1}), pl.DataFrame(pairs), pl.DataFrame({**pairs, "item_id": ["b", "a"]})]
    tables[place] = tables[place].with_columns(user_id=pl.Series([word, "v"]))
    with pytest.raises(InvalidInputError, match=r"^(recs|train|test) has 1 missing value"):
        engines.audit(*map(LAZY[engine], tables), strict=False)


@pytest.mark.parametrize("engine", LAZY)
def test_all_items_in_one_popularity_group(engine):
    recs = pl.DataFrame({"user_id": [1, 2], "item_id": [7, 7], "rank": 1})
    options = {"strict": False, "metrics": [ht.metrics.gini, ht.metrics.arp]}
    same(engines.audit(*map(LAZY[engine], (recs, recs[:1])), **options), ht.audit(recs, recs[:1], **options))


@pytest.mark.parametrize("n_rows", [10**6, 700])
@pytest.mark.parametrize("engine", LAZY)
def test_pairs_that_repeat_are_refused_as_in_memory(engine, n_rows, tables, monkeypatch):
    monkeypatch.setattr("headtail.engines.auditing._PAIRS", n_rows)
    for place, what in enumerate(("recs", "train", "test")):
        doubled = [pl.concat([t, t.filter(t["item_id"] == t["item_id"][0])]) if i == place else t
                   for i, t in enumerate(tables)]  # fmt: skip
        n = len(doubled[place]) - len(tables[place])
        with pytest.raises(InvalidInputError, match=f"^{what} has {n} rows that repeat a pair"):
            engines.audit(*map(LAZY[engine], doubled), strict=False)
        with pytest.raises(InvalidInputError):
            ht.audit(*doubled, strict=False)


@pytest.mark.parametrize("engine", LAZY)
def test_test_interactions_in_training_count_as_in_memory(engine, tables):
    recs, train, test = tables
    both = recs, pl.concat([train, test.head(40)]).unique(), test
    found, theirs = (audit(*map(make, both), strict=False, metrics=[ndcg, gini])
                     for audit, make in ((engines.audit, LAZY[engine]), (ht.audit, lambda table: table)))  # fmt: skip
    same(found, theirs)
    n = len(test.join(both[1], on=["user_id", "item_id"], how="semi"))
    assert any(note.startswith(f"train holds {n} test interactions as well") for note in found.notes)
    wrong(both, f"train holds {n} test interactions as well", lambda *tables: tables)
    wrong(tables, "without training history", lambda *tables: tables)


def test_metrics_that_compare_items_of_a_list_are_named(tables):
    wrong(tables, "'gini_by_rank', 'mine'", lambda *t: t, metrics={"gini_by_rank": gini_by_rank, "mine": len})
    wrong(tables, "ndcg needs test interactions", lambda r, a, b: (r, a), metrics=[ndcg], strict=False)
    wrong(tables, "k=30 is above the longest list", lambda *t: t, k=30, strict=False)


@pytest.mark.parametrize("engine", LAZY)
@pytest.mark.parametrize("n", [10, 60])
def test_few_lists_are_doubted_as_in_memory(engine, n, tables):
    recs, train, test = tables
    few = recs.filter(pl.col("user_id").is_in(recs["user_id"].unique(maintain_order=True)[:n].to_list())), train, test
    theirs = [d for d in ht.audit(*few, k=5, strict=False).doubts if "than the most popular" not in d]
    assert list(engines.audit(*map(LAZY[engine], few), k=5, strict=False).doubts) == theirs
    assert len(theirs) == 1 + (n == 10)
