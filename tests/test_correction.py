import pickle
import re
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest

import headtail as ht
from headtail._correction_page import bearers
from headtail._stats import degrees_of_freedom, mean_influence, student
from headtail.correction import correct
from headtail.data import Split
from headtail.data.popularity import tastes_of
from headtail.data.splits import union
from headtail.dials import Dial, as_dial
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.metrics import gini, ndcg
from headtail.reports import Table
from headtail.subjects import Subject
from headtail.tradeoffs import Estimate, Frontier, Point
from headtail.tradeoffs.pages import change_sentence

K = 5
AT = Dial.at


@pytest.fixture(scope="module")
def split():
    return ht.split_ratio(ht.datasets.power_law(300, 80, n_interactions=2200, rng=0).interactions, rng=0)


@pytest.fixture(scope="module")
def factors(split):
    model = ht.models.ALS(300, 80, 8, rng=0)
    ht.fit(model, split.train)
    return ht.Vectors(*(matrix.numpy() for matrix in ht.vectors(model)))


def better(source, *data, **options):
    return correct(source, *data, **{"k": K, "progress": False, "max_loss": 0.1, "dials": ["log penalty"]} | options)


def test_chosen_on_validation_within_the_loss_allowed(split, factors, capsys):
    found = better(factors, split, dials=["log penalty", "shrink"], progress=True)
    shown = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("correct ━") for line in shown) == 1, "one bar for all dials"
    frontier = found.frontier
    plain = frontier.reference
    for name in frontier.methods:
        for setting in frontier.settings(name):
            lost = frontier.change(plain, (name, setting), "ndcg@5", "validation")
            error = 0.0 if lost.low is None else (lost.value - lost.low) / 1.959963984540054
            if lost.value - error >= -0.1:
                reached = frontier.mean(found.dial.name, found.strength, "gini@5", "validation")
                assert reached <= frontier.mean(name, setting, "gini@5", "validation")
            elif (name, setting) == (found.dial.name, found.strength):
                pytest.fail(f"{name} at {setting} loses more than a tenth, with a standard error to spare")
    before, after = found.comparison.audits.values()
    assert after["gini@5"] < before["gini@5"]
    assert found.verdict.startswith(
        f"With **{found.dial.name} at {found.strength:g}**, half of the places go to "
    ) and found.verdict.endswith("exposure there.")
    row = next(row for row in found.comparison.differences if row["metric"] == "gini@5")
    assert "**inequality of exposure falls by" in found.verdict and "(`gini@5` " in found.verdict
    assert "; 0 is even, 1 is all for one item)" in found.verdict
    ends = re.search(r"`gini@5` .*?95% interval (\S+)% to (\S+)%; 0 is even", found.verdict).groups()
    paired = [100 * row[end] / before["gini@5"] for end in ("low", "high")]
    assert [float(end) for end in ends] == pytest.approx(paired, abs=0.3), "what it was before varies as well"
    other = {"log penalty": "shrink", "shrink": "log penalty"}[found.dial.name]
    beside = next(block for block in found.report().blocks if getattr(block, "title", "") == "Beside the other dials")
    against = next(block for block in beside.blocks if isinstance(block, Table)).rows
    table, *texts = found.summary().blocks
    assert [row["dial"] for row in table.rows] == ["as it is", found.dial.name, other], "the chosen one first"
    assert any(re.search(rf"\*\*{found.dial.name}\*\* (keeps more|is not told)", text.markdown) for text in texts)
    paired = frontier.accuracy_at(other, -0.1, relative=True, against=found.dial.name)
    assert [row["method"] for row in against] == [other]
    assert (against[0]["ndcg@5 at gini@5 -10%"] == paired.value) or np.isnan(paired.value)


def test_a_choice_says_how_many_users_it_rests_on(split, factors):
    users = np.unique(split.validation.users)[:40]
    few = replace(split, validation=split.validation.subset(np.isin(split.validation.users, users)))
    found = better(factors, few, max_loss=0.99)
    change = found.frontier.estimate(found.dial.name, found.strength, "ndcg@5", part="validation", relative=True)
    assert any(
        f"the choice rests: 40. Their accuracy changes by {change.value:+.1%} (95% interval {change.low:+.1%} to"
        in note
        for note in found.notes
    )


def test_one_subtraction_re_sorts_what_an_index_returns(split, factors):
    found = better(factors, split, dials=["tilt (entropy)"])
    assert found.made.order < 1
    assert f"subtract {1 - found.made.order:g} of the item's last coordinate" in found.notes[-1]
    lists = ht.recommend(found.vectors, split.known, k=K)
    bias = found.vectors.items[:, -1]
    order = np.argsort(-(lists.scores - (1 - found.made.order) * bias[lists.items]), axis=1, kind="stable")
    np.testing.assert_array_equal(np.take_along_axis(lists.items, order, axis=1), found.lists.items)
    assert found.to_dict()["order"] == found.made.order


def test_a_loss_on_test_beyond_what_was_allowed_is_said(split, factors):
    found = better(factors, split)
    assert "could be lost" not in found.verdict + found.explore().data["verdict"]
    before, after = found.comparison.audits.values()
    measured = [replace(m, value=0.1 * before[m.name]) if m.name == "ndcg@5" else m for m in after.measurements]
    audits = {"as it is": before, "corrected": replace(after, measurements=tuple(measured))}
    worse = replace(found, comparison=replace(found.comparison, audits=audits))
    assert "That is more than the 10% that could be lost on validation. For each percent of accuracy" in worse.verdict
    gini, ndcg = (worse._change(metric).value for metric in ("gini@5", "ndcg@5"))
    more = f"; accuracy falls by {-ndcg:.1%} (ndcg@5), more than the 10% that could be lost on validation. All this is"
    assert more in worse.explore().data["verdict"]
    assert "(ndcg@5). All this is on the test; of all" in found.explore().data["verdict"]
    assert f"that is lost, exposure gets {gini / ndcg:.2g}% more even. All this is on the test" in worse.verdict
    assert (
        "For each percent"
        not in replace(found, comparison=replace(found.comparison, audits=audits | {"corrected": before})).verdict
    )


def test_a_change_that_few_users_decide_has_no_interval_anywhere(split, factors):
    found = better(factors, split)
    gini = next(row for row in found.comparison.differences if row["metric"] == "gini@5")
    assert found._change("gini@5").low is not None
    few = tuple({**row, "low": None, "high": None} if row is gini else row for row in found.comparison.differences)
    found = replace(found, comparison=replace(found.comparison, differences=few))
    assert "The change of Gini has no interval" in found.summary().lede and found._change("gini@5").low is None
    assert "; 0 is even" in found.verdict and "; 95% interval" not in found.verdict.partition("0 is even")[0]


def test_a_metric_that_was_0_has_no_change_in_percent(split, factors):
    found = better(factors, split)
    before, after = found.comparison.audits.values()
    measured = [replace(m, value=0.0) if m.name == "ndcg@5" else m for m in before.measurements]
    audits = {"as it is": replace(before, measurements=tuple(measured)), "corrected": after}
    other = [row for row in found.comparison.differences if row["metric"] != "ndcg@5"]
    none = replace(found, comparison=replace(found.comparison, audits=audits, differences=tuple(other)))
    assert f"**accuracy goes from 0.0000 to {after['ndcg@5']:.4f}** (`ndcg@5`)" in none.to_markdown()


def test_lists_and_vectors_come_to_the_same(split, factors):
    long = ht.recommend(factors, split.train, k=80)
    from_lists = better(long.to_polars().sample(fraction=1.0, shuffle=True, seed=0), split)
    from_vectors = better(factors, split)
    ginis = [found.comparison.audits["corrected"]["gini@5"] for found in (from_lists, from_vectors)]
    assert ginis[0] == pytest.approx(ginis[1], abs=0.02)
    with pytest.raises(NotAvailableError, match="corrects lists, not vectors"):
        from_lists.vectors  # noqa: B018


def test_the_order_of_a_models_own_vectors_is_never_in_doubt(split, caplog):
    random = np.random.default_rng(0)
    untrained = ht.Vectors(random.normal(size=(split.train.n_users, 4)), random.normal(size=(split.train.n_items, 4)))
    subject = Subject(tuple(untrained), split, k=5)
    assert "do not seem to be in the order" in caplog.text  # rows in no order at all, of which it is said once
    caplog.clear()
    for name in ("shrink", "TTEN", "PPD", "log penalty", "tilt (entropy)", "allocation"):
        as_dial(name).at(subject, 0.2, 0)
    correct(subject, split, dials=["shrink", "tilt (entropy)"], max_loss=0.5)
    assert "order of the interactions" not in caplog.text


def test_rows_of_vectors_are_found_by_their_ids(split, factors, caplog):
    users, items = np.random.default_rng(0).permutation(300), np.random.default_rng(1).permutation(80)
    shuffled = factors.queries[users], factors.items[items]
    ids = {"user_ids": split.train.user_ids[users], "item_ids": split.train.item_ids[items]}
    parts = split.train.to_polars(), split.validation.to_polars(), split.test.to_polars()
    found, plain = better(shuffled, *parts, **ids), better(factors, split)
    assert found.strength == plain.strength
    name = "ndcg@5"
    assert found.comparison.audits["as it is"][name] == pytest.approx(plain.comparison.audits["as it is"][name])
    # Those without a vector are left out of the training part, as of a split's, and with a word.
    fewer = factors.queries[:-10], factors.items
    some, of_split = (better(fewer, *data, user_ids=split.train.user_ids[:-10]) for data in (parts, [split]))
    assert some.comparison.audits["as it is"][name] == of_split.comparison.audits["as it is"][name]
    assert some.subject.split.train.n_users == 290 and "10 of 295 users, such as" in some.subject.split.description
    assert "have no vector; left out with" in caplog.text
    with pytest.raises(InvalidInputError, match=r"queries has 290 rows and the interactions \d+ ids"):
        better((factors.queries[:-10], factors.items), *parts)


def test_without_a_test_one_half_of_the_users_reports(split, factors):
    found = better(factors, split.train, split.test)
    users = {name: set(part.users.tolist()) for name, part in found.subject.split.parts.items()}
    assert not users["validation"] & users["test"]
    assert "one half of the users" in found.subject.split.description


def test_a_choice_at_the_end_of_a_grid_extends_it_and_neighbors_are_tried(split, factors):
    short = Dial("short", ht.dials.dial("log penalty").make, (0.0, 0.02, 0.04))
    found = better(factors, split, dials=[short], refine=1, extend=2)
    strengths = [float(setting) for setting in found.frontier.settings("short")]
    assert strengths == sorted(strengths)
    assert max(strengths) == 0.16


def test_nothing_is_corrected_where_nothing_helps(split, factors):
    worse = Dial(
        "worse", lambda subject, strength, seed: ht.Vectors(factors.queries * 0 + 1, factors.items), (0.0, 1.0)
    )
    found = better(factors, split, dials=[worse], max_loss=0.0)
    assert found.dial is None
    assert found.strength == 0
    assert "stays as it is" in found.verdict


def test_a_far_more_accurate_setting_and_a_weak_recommender_are_told(split, factors):
    random = np.random.default_rng(0)
    weak, even = (tuple(random.normal(size=(n, 8)) for n in (300, 80)) for _ in range(2))
    dial = Dial("mend", lambda subject, strength, seed: ht.Vectors(*(even, factors)[strength == 1.0]), (0.0, 1.0, 2.0))
    found = better(weak, split, dials=[dial], max_loss=0.9, refine=0, extend=0)
    assert found.strength == 2
    of_chosen = found.frontier.change(("mend", 2.0), ("mend", 1.0), "ndcg@5")
    of_plain = found.frontier.change(found.frontier.reference, ("mend", 1.0), "ndcg@5")
    assert (
        f"**mend at 1 is far more accurate**, by {of_chosen.value:.1%} (95% interval {of_chosen.low:+.1%} to"
        in found.verdict
    )
    assert "give that dial and strength alone to take it. A gain of" in found.verdict
    assert f"A gain of {of_plain.value:.0%} without training says that the recommender is far" in found.verdict
    taken = better(weak, split, dials=[dial], strength=1.0)
    assert next(block.rows[1] for block in taken.summary().blocks if isinstance(block, Table))["strength"] == 1
    assert taken.strength == 1 and "far more accurate" not in taken.verdict and "A gain of" not in taken.verdict
    itself = better(weak, split, dials=[replace(dial, grid=(0.0, 1.0))], refine=0, extend=0)
    assert (itself.strength == 1) == ("far more accurate" not in itself.verdict)
    assert "A gain of" in itself.verdict
    assert "A gain of" not in better(factors, split, dials=["tilt (popularity)"]).verdict, "a good recommender"
    found.witness._dials["mend"] = replace(dial, works_on="training")
    assert "far more accurate" in found.verdict and "without training" not in found.verdict


def test_what_does_not_change_neither_rises_nor_falls(split, factors):
    frontier = better(factors, split).frontier
    for value, said in ((0.0, "stays the same"), (-1e-16, "stays the same"), (-0.02, "falls by 2.0%")):
        change = Estimate(value, None, None, None, 1)
        assert f"**accuracy {said}**" in change_sentence(frontier, "ndcg@5", (0.5, 0.5), change)


@pytest.mark.parametrize("together", [True, False])
def test_only_users_who_have_lists_choose_and_report(split, factors, together, caplog):
    users = split.train.user_ids[:100]
    lists = ht.recommend(factors, split.train, users=users, k=40).to_polars()
    parts = {name: part.to_polars() for name, part in split.parts.items()}
    given = [split] if together else [parts[name] for name in ("train", "validation", "test")]
    found = better(lists, *given)
    listed = found.subject.split
    for name in ("validation", "test"):
        n = (~parts[name]["user_id"].is_in(users.tolist())).sum()
        said = f"{n} interactions of {name} were left out, whose users have no list."
        assert said in listed.description and said in caplog.text
        assert set(listed.parts[name].user_ids[listed.parts[name].users]) <= set(users)
    assert not any("have recommendations" in doubt for doubt in found.comparison.audits["as it is"].doubts)


def test_an_audit_says_that_most_users_have_no_list_and_compares_the_others_with_popular_items(split):
    few = ht.baselines.most_popular(split.train, k=K).to_polars().filter(pl.col("user_id") < 20)
    wanting = set(split.test.user_ids[split.test.users])
    first, second = ht.audit(few, split.train, split.test, k=K).doubts[-2:]
    assert first.startswith(f"Of {len(wanting)} users of the test {len(wanting & set(range(20)))} have recommendations")
    found, theirs = re.findall(r"is ([\d.]+),|theirs ([\d.]+)", second)
    assert found[0] == theirs[1]  # these are the most popular items


@pytest.mark.parametrize("good", [True, False])
def test_a_recommender_that_is_no_better_than_the_most_popular_items_is_said_to_be(split, good):
    wanted = (split.validation.matrix + split.test.matrix).toarray()
    queries = 9 * good * wanted + np.random.default_rng(0).normal(size=wanted.shape)
    found = better((queries, np.eye(80)), split)
    for said in (found.summary().lede, found.report().lede):
        assert said.startswith("**Popular items are ") or said.startswith("**Whether popular items are ")
        assert ("no more accurate than the most popular items" in said) == (not good)


def test_the_page(split, factors, tmp_path):
    found = better(factors, split)
    page = found.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "log penalty" in page
    assert found.to_dict()["strength"] == found.strength
    assert found.to_polars().height > 10


def test_refusals(split, factors):
    with pytest.raises(InvalidInputError, match=r"dials holds 'log penalty' 2 times. Give each dial once"):
        better(factors, split, dials=["log penalty", "shrink", "Log-penalty"])
    with pytest.raises(InvalidInputError, match=r"There is no dial 'tilt'. Did you mean 'tilt .alpha-fair.'"):
        better(factors, split, dials=["tilt"])
    with pytest.raises(InvalidInputError, match="dials is empty"):
        better(factors, split, dials=[])
    with pytest.raises(InvalidInputError, match="validation is missing"):
        better(factors, split.train)
    with pytest.raises(InvalidInputError, match="max_loss"):
        better(factors, split, max_loss=float("nan"))
    lists = pl.DataFrame({"user_id": [0, 0], "item_id": [1, 1], "score": [1.0, 2.0]})
    with pytest.raises(InvalidInputError, match="item 1 more than once for user 0"):
        better(lists, split)
    with pytest.raises(InvalidInputError, match="1 user_ids that the interactions do not have"):
        better(lists.with_columns(user_id=pl.lit(10**6)), split)
    named = ht.Vectors(*factors, split.train.user_ids, split.train.item_ids)
    with pytest.raises(InvalidInputError, match="item_ids differs from the ids that the vectors have already"):
        better(named, split, item_ids=split.train.item_ids[::-1])


def test_a_subject_is_not_given_what_it_has(split, factors):
    subject = Subject(tuple(factors), split, k=K)
    assert better(subject, split, dials="log penalty").dial.name == "log penalty"
    other = ht.split_ratio(split.known, rng=1)
    for data, options in (((other,), {}), ((split,), {"k": 7}), ((split, other.validation), {})):
        with pytest.raises(InvalidInputError, match="A Subject has its own interactions, ids and k"):
            better(subject, *data, **options)


def test_what_cannot_be_tried_is_left_out_with_a_note(split, factors, monkeypatch):
    def refuse(*_):
        raise InvalidInputError("there is nothing to learn from")

    known = ht.dials.dial("log penalty"), Dial("impossible", refuse, (0.0, 1.0))
    monkeypatch.setattr("headtail.dials.built_in.DIALS", known)
    found = better(factors, split, dials=None)
    assert found.frontier.methods == ("as it is", "log penalty")
    said = "impossible was left out. The dial 'impossible' at strength 1: there is nothing to learn from"
    assert said in found.notes


def test_the_picture_leaves_out_what_nobody_would_take_and_names_what_the_verdict_speaks_of(split, factors):
    found = better(factors, split, dials=["log penalty", "shrink"])
    chart = found.report().blocks[0]
    least = 0.75 * found.frontier.mean(*found.frontier.reference, "ndcg@5")
    left_out = [pair for pair in found.frontier.pairs if found.frontier.mean(*pair, "ndcg@5") < least]
    assert (
        left_out and f"Not drawn: {len(left_out)} settings of less than three quarters of the accuracy" in chart.caption
    )
    assert len(chart.rows) == len(found.frontier.pairs) - len(left_out)
    assert {row["setting"] for row in chart.rows} - {None} == {"as it is", found._named}


def test_the_picture_has_the_dials_that_go_furthest(split, factors):
    found = better(factors, split, dials=None)
    frontier = found.frontier
    chart = found.report().blocks[0]
    ends = {m: frontier.mean(m, frontier.choose(m, found.max_loss), "gini@5", "validation") for m in frontier.curves}
    drawn = {row["method"] for row in chart.rows}
    assert len(drawn) == 8 < len(frontier.methods) and "as it is" in drawn
    assert drawn - {"as it is", found.dial.name} == set(sorted(ends.keys() - {found.dial.name}, key=ends.get)[:6])
    assert f"{len(frontier.methods) - 8} methods that do less on validation." in chart.caption
    assert frontier.report(found.max_loss).blocks[0].caption == chart.caption


def test_the_picture_leaves_out_what_would_hide_the_chosen_dial(split, factors):
    twin = replace(ht.dials.dial("log penalty"), name="twin")
    chart = better(factors, split, dials=["log penalty", twin], refine=0).report().blocks[0]
    assert {row["method"] for row in chart.rows} == {"as it is", "log penalty"}
    assert chart.caption.endswith("twin, whose settings are those of log penalty.")


def test_the_page_says_who_bears_the_change(split, factors):
    found = better(factors, split)
    before, after = found.comparison.audits.values()
    table = next(block for block in found.report().blocks if getattr(block, "title", "") == "Who bears it")
    codes = split.train.user_codes(before.user_ids)
    least = np.argsort(split.train.activity[codes], kind="stable")[: -(-len(codes) // 3)]
    values = [audit.user_values["ndcg@5"][least] for audit in (before, after)]
    start, end = (part[~np.isnan(values).any(axis=0)] for part in values)
    expected = end.mean() / start.mean() - 1
    assert len(table.rows) == 6 and table.rows[0]["group"] == "who chose least"
    assert table.rows[0]["ndcg@5"] == pytest.approx(expected)
    # The mean before, of which the change is a share, varies with the users too: the delta method of a ratio.
    influence = mean_influence((end - end.mean() / start.mean() * start) / start.mean())
    margin = student(degrees_of_freedom(influence)) * np.linalg.norm(influence)
    ends = table.rows[0]["ndcg@5 low"], table.rows[0]["ndcg@5 high"]
    assert ends == pytest.approx((expected - margin, expected + margin))
    assert all(row["arp@5"] < 0 for row in table.rows)  # everybody's lists are less popular
    # Users are paired, and not rows: the same of lists in another order.
    lists, names = found.lists, found.comparison.audits
    turned = replace(lists, users=lists.users[::-1], items=lists.items[::-1], scores=lists.scores[::-1])
    again = ht.audit(turned, split.train, split.test, k=5, strict=False)
    other = replace(found, comparison=ht.compare(dict(zip(names, (before, again), strict=True))))
    assert not np.array_equal(again.user_ids, after.user_ids)
    page = next(block for block in other.report().blocks if getattr(block, "title", "") == "Who bears it")
    assert page.rows[0] == pytest.approx(table.rows[0])
    for metric in ("gini@5", "ndcg@5"):
        assert other._change(metric).low == pytest.approx(found._change(metric).low)
    assert np.isnan(again.influence("gini@5", before.user_ids[1:])).all()


def test_users_without_a_history_have_no_taste_that_bears_anything(split, factors):
    new = np.arange(split.train.n_users) < 60
    train = split.train.subset(~new[split.train.users])
    before, after = (
        ht.audit(ht.recommend(pair, train, k=5), train, split.test, k=5, strict=False)
        for pair in (factors, ht.posthoc.penalize_popularity(factors, popularity=train, strength=0.3))
    )
    rows = bearers(ht.compare({"as it is": before, "corrected": after}), train, "ndcg@5").rows
    known = np.flatnonzero(~new)
    most = known[np.argsort(tastes_of(train.matrix, train.popularity)[known], kind="stable")][-len(known) // 3 :]
    values = [audit.user_values["arp@5"][np.isin(train.user_codes(audit.user_ids), most)] for audit in (before, after)]
    assert rows[-1]["group"] == "with the most popular tastes"
    assert rows[-1]["arp@5"] == pytest.approx(values[1].mean() / values[0].mean() - 1, abs=2e-3)


@pytest.mark.parametrize(("learned", "kind"), [("all", "vectors"), ("all", "model"), ("train", "vectors")])
def test_a_recommender_that_learned_what_is_held_out_is_found_out(split, learned, kind):
    whole = union(split.known, split.test)  # as if the split had been made afterwards
    model = ht.models.ALS(300, 80, 8, rng=0)
    ht.fit(model, whole if learned == "all" else split.train)
    source = model if kind == "model" else ht.Vectors(*ht.vectors(model))
    found = better(source, split, refine=0)
    told = found.verdict.startswith("**Look at the training first.** The recommender scores what was held out no lower")
    assert told == (learned == "all")


def test_what_a_recommender_learned_is_not_judged_by_few_users():
    split = ht.split_ratio(ht.datasets.power_law(150, 80, n_interactions=1400, rng=0).interactions, rng=0)
    model = ht.models.ALS(150, 80, 8, rng=0)
    ht.fit(model, union(split.known, split.test))
    assert "Look at the training" not in better(model, split, refine=0).verdict


@pytest.mark.parametrize("form", ["vectors", "lists", "model"])
def test_settings_are_tried_on_a_sample_of_users_and_the_chosen_one_serves_all(split, factors, form):
    model = ht.models.ALS(300, 80, 8, rng=0)
    ht.fit(model, split.train)
    of = {"vectors": factors, "lists": ht.recommend(factors, split.train, k=60), "model": model}[form]
    dials = ["log penalty", "tilt (entropy)", "allocation", "PCT"] + ["shrink"] * (form != "lists")
    found = better(of, split, dials=dials, n_users=120)
    assert "Settings were tried on 120 of 300 users; the one chosen is for all." in found.notes
    assert sum(note.startswith("Calibrated relevance") for note in found.notes) <= 1, "decided for all, and where tried"
    assert sum(note.startswith("Where settings were tried: Calibrated relevance") for note in found.notes) == 1
    assert [len(audit.user_ids) for audit in found.comparison.audits.values()] == [300, 300]
    assert len(found.lists) == 300

    assert found.explore().data["n_users"] == 120, "whose lists the page counts"
    assert "figures of the settings below are of 120 of the 300 users" in found.explore().data["verdict"]
    table, *_ = (block for block in found.summary().blocks if isinstance(block, Table))
    assert table.title == "Each dial as validation chooses it, measured on test (120 of the 300 users)"
    page = found.to_html()
    assert "Measured on 120 of the 300 users." in page
    assert "All figures here are of 120 of the 300 users; those of before and after, of all." in page
    sample = found.witness.subject
    assert len(sample.codes) == 120
    assert np.isin(found.witness.codes, sample.codes).all()
    plain = ht.recommend(factors, split.train, codes=sample.codes, k=K)  # what a setting's figures are of
    theirs = split.validation.subset(np.isin(split.validation.users, sample.codes))  # others would count as missed
    figures = ht.audit(plain, split.train, theirs, k=K)
    of_all = ht.audit(ht.recommend(factors, split.train, k=K), split.train, split.validation, k=K).measurement("ndcg@5")
    assert of_all.low < figures["ndcg@5"] < of_all.high
    at_scale = partial(ndcg, scale=sample.split.scale)
    expected = ht.audit(plain, split.train, theirs, k=K, metrics={"ndcg": at_scale, "gini": gini})
    for metric in ("ndcg@5", "gini@5"):
        for method in found.frontier.methods:
            value = found.frontier.mean(method, 0.0, metric, "validation")
            assert value == pytest.approx(expected[metric]), (method, metric)
    tried = {point.setting for point in found.frontier.points if point.method == found.dial.name}
    assert found.strength in tried


def test_a_sample_draws_users_of_the_held_out_parts_first_and_shares_what_is_of_all(split, factors):
    train, (rows, items) = split.train, split.validation.matrix.nonzero()
    held_out, nothing = (
        ht.Interactions(train.user_ids, train.item_ids, rows[some].astype(np.int32), items[some].astype(np.int32))
        for some in (rows < 30, rows < 0)
    )
    whole = Subject(factors, replace(split, validation=held_out, test=nothing), k=K)
    sample = whole.sample(40, rng=1)
    assert {*np.flatnonzero(held_out.activity)} <= {*sample.codes} and len(sample.codes) == 40
    assert whole.sample(300) is whole
    for mine, all_of_them in zip(sample.vectors(0)[:2], whole.vectors(0)[:2], strict=True):
        np.testing.assert_array_equal(mine, all_of_them)
    assert ("vectors", 0, None) in whole._cache and not sample._cache  # made once
    assert sample.fingerprint not in (whole.fingerprint, whole.sample(40, rng=2).fingerprint)
    for lists in (sample.candidates(0, train), sample.reachable(0, train)):
        np.testing.assert_array_equal(lists.users, sample.codes)
    every = whole.candidates(0, train)
    np.testing.assert_array_equal(sample.candidates(0, train).items, every.items[sample.codes])


def test_a_stopped_correction_goes_on_where_it_was(split, factors, tmp_path, monkeypatch):
    options = {"dials": ["log penalty", "shrink", "FA*IR"], "extend": 0, "refine": 0}
    whole, made = better(factors, split, **options), []
    shrink = as_dial("shrink")

    def stopped(subject, strength, seed):
        made.append(strength)
        if len(made) == 3:
            stop = KeyboardInterrupt()
            stop.add_note("Nothing is kept; with a folder for checkpoint=, a run that is stopped can be resumed.")
            raise stop
        return shrink.make(subject, strength, seed)

    with pytest.raises(KeyboardInterrupt) as stop:
        better(factors, split, **options | {"dials": ["log penalty", replace(shrink, make=stopped)]}, folder=tmp_path)
    assert stop.value.__notes__ == [f"What was measured is kept in {tmp_path}; run the same again to resume."]
    shutil.rmtree(tmp_path / "shrink")  # of a dial of one's own
    asked = []
    log_penalty = as_dial("log penalty")
    monkeypatch.setattr(type(log_penalty), "at", lambda *given: asked.append(given[0].name) or AT(*given))
    again = better(factors, split, **options, folder=tmp_path)
    assert asked.count("log penalty") == (again.dial.name == "log penalty"), "all settings were there"
    assert again.frontier.points == whole.frontier.points
    assert {path.name for path in tmp_path.iterdir()} == {"as it is", "log penalty", "shrink", "FA-IR"}


@pytest.mark.parametrize("dial", ["log penalty", "allocation", "shrink"])
def test_a_correction_is_the_same_after_pickling(split, factors, dial):
    found = better(factors, split, dials=[dial], max_loss=0.5)
    again = pickle.loads(pickle.dumps(found))
    assert again.to_html() == found.to_html() and again.explore().to_html() == found.explore().to_html()
    lists = [each.subject.recommend(each.made, each.subject.split.known).items for each in (again, found)]
    np.testing.assert_array_equal(*lists)


@pytest.mark.parametrize("dial", ["log penalty", "tilt (alpha-fair)", "shrink", "TTEN"])
def test_corrected_vectors_keep_their_ids(dial):
    split = ht.split_ratio(ht.datasets.power_law(200, 80, n_interactions=1900, rng=0).interactions, rng=0)
    rng = np.random.default_rng(0)
    queries, items = rng.normal(size=(split.train.n_users, 4)), rng.normal(size=(split.train.n_items, 4))
    order = rng.permutation(len(items))
    given = ht.Vectors(queries, items[order], split.train.user_ids, split.train.item_ids[order])
    found = ht.correct(given, split, dials=[dial], k=5, max_loss=0.99, refine=0, progress=False).vectors
    assert found.user_ids.tolist() == split.train.user_ids.tolist()
    assert found.item_ids.tolist() == split.train.item_ids.tolist()


@pytest.mark.parametrize("kind", ["vectors", "lists"])
def test_items_that_nobody_chose_are_recommended_whether_data_are_a_split_or_its_parts(split, factors, kind):
    new = [f"new {i}" for i in range(30)]
    text = Split.from_frames(
        **{name: part.to_polars().with_columns(pl.col("item_id").cast(pl.String)) for name, part in split.parts.items()}
    )
    ids = [*map(str, split.train.item_ids), *new]
    items = np.concatenate([factors.items, np.asarray(factors.items)[:30] * 1.1])
    users = text.train.user_ids
    source = ht.Vectors(np.asarray(factors.queries)[users], items, users, np.array(ids, dtype=object))
    if kind == "lists":
        source = ht.recommend(source, text.train, k=60).to_polars()
    whole, parts = better(source, text), better(source, text.train, text.validation, text.test)
    assert whole.subject.split.train.n_items == len(ids)
    assert whole.subject.split.description.endswith("Added: 30 items that only the recommender knows.")
    assert whole.verdict == parts.verdict
    assert whole.lists.to_polars().equals(parts.lists.to_polars())
    assert set(new) & set(whole.lists.to_polars()["item_id"])
    if kind == "vectors":
        assert set(whole.vectors.item_ids) == set(ids)


def test_the_verdict_says_where_few_users_choose(split, factors):
    few = replace(split, validation=split.validation.subset(split.validation.users < 100))
    found = better(factors, few, refine=0, extend=0, max_loss=0.2)
    n = np.count_nonzero(few.validation.activity)
    loss = found.frontier.estimate(found.dial.name, found.strength, "ndcg@5", part="validation", relative=True)
    assert "rests on few users" not in found.verdict
    said = replace(found, max_loss=0.02).verdict
    assert f"The choice rests on few users, {n} in the validation part (95% interval {loss.low:+.1%}" in said
    assert said.endswith("so that others may lose more than 2%.")


def test_a_standard_error_is_spared_without_intervals_as_well(split, factors):
    chosen = [better(factors, split, n_bootstrap=n, max_loss=0.03).strength for n in (0, 200)]
    by_loss = better(factors, split, max_loss=0.03).frontier
    assert chosen[0] == chosen[1] != replace(by_loss, margin=0).choose("log penalty", 0.03)


def test_a_loss_allowed_but_for_its_standard_error_is_told(split, factors):
    few = replace(split, validation=split.validation.subset(split.validation.users < 60))
    found = better(factors, few, refine=0, extend=0)
    name, setting = replace(found.frontier, margin=0).best(0.1)
    loss = found.frontier.estimate(name, setting, "ndcg@5", part="validation", relative=True)
    assert found.dial is None and loss.value >= -0.1
    assert (
        f"Without that, {name} at {setting:g} would do, for {loss.value:+.1%} of accuracy (95% interval "
        f"{loss.low:+.1%} to {loss.high:+.1%}): {np.count_nonzero(few.validation.activity)} users" in found.verdict
    )
    none = better(factors, few, refine=0, extend=0, max_loss=0)
    assert none.dial is None and none.verdict.endswith("the recommender stays as it is.")


def test_a_test_that_no_list_finds_says_nothing_of_accuracy(split, factors):
    scores = np.asarray(factors.queries) @ np.asarray(factors.items).T
    scores[split.known.users, split.known.items] = np.inf
    low = scores < np.median(scores, axis=1, keepdims=True)  # of these the most popular is wanted
    items = np.where(low, split.train.popularity, -1).argmax(axis=1)
    users = np.flatnonzero(split.train.activity)
    wanted = pl.DataFrame({"user_id": split.train.user_ids[users], "item_id": split.train.item_ids[items[users]]})
    unseen = replace(split, test=ht.Interactions.of(wanted, like=split.train))
    found = better(factors, unseen, refine=0, extend=0)
    assert "No list holds anything of the test, so that it says nothing of accuracy. All this" in found.verdict


@pytest.mark.parametrize(
    ("ends", "said"),
    [((-0.0021, 0.0004), "-0.2% to 0.0%"), ((-0.0015, -0.0005), "-0.150% to -0.050%")],
    ids=["noise has one digit", "a small change has more"],
)
def test_a_change_is_written_with_the_digits_that_it_has(ends, said):
    values = {"ndcg@10": 0.2, "gini@10": 0.4}
    points = tuple(Point("tilt", x, 0, values, values, {}) for x in (0.0, 1.0))
    change = Estimate(sum(ends) / 2, *ends, "users", 1)
    frontier = Frontier(points, "ndcg@10", "gini@10")
    assert f"95% interval {said};" in change_sentence(frontier, "ndcg@10", (0.2, 0.1998), change)


@pytest.mark.parametrize("names", [["log penalty", "shrink"], ["allocation", "FA*IR"]])
def test_names_that_keep_the_order_the_order_of_rows_and_the_unit_of_scores_do_not_matter(split, factors, names):
    rng = np.random.default_rng(0)
    users, items = split.train.user_ids, split.train.item_ids
    queries = factors.queries + 1e-4 * rng.normal(size=(300, 8))  # without ties, which go by the place
    dials = [replace(as_dial(name), grid=as_dial(name).grid[:3]) for name in names]
    parts = [part.to_polars().select("user_id", "item_id") for part in split.parts.values()]
    options = {"dials": dials, "extend": 0, "refine": 0}
    one = better(ht.Vectors(queries, factors.items, users, items), *parts, **options)

    def renamed(table):
        return table.with_columns(pl.format("é{}", pl.col("user_id") + 1000), pl.col("item_id") * 7 - 40)

    u, i = rng.permutation(300), rng.permutation(80)
    ids = [f"é{user + 1000}" for user in users[u]], items[i] * 7 - 40
    others = [renamed(part).sample(fraction=1, shuffle=True, seed=1) for part in parts]
    other = better(ht.Vectors(queries[u] * 8, factors.items[i], *ids), *others, **options)
    for mine, theirs in zip(one.frontier.points, other.frontier.points, strict=True):
        assert theirs.validation == pytest.approx(mine.validation, rel=1e-6, nan_ok=True)
        assert theirs.test == pytest.approx(mine.test, rel=1e-6, nan_ok=True)
    assert one.strength == other.strength
    lists = [found.lists.to_polars().select("user_id", "item_id", "rank") for found in (one, other)]
    assert renamed(lists[0]).sort("user_id", "rank").rows() == lists[1].sort("user_id", "rank").rows()


@pytest.mark.parametrize("digits", [1, 6])
def test_a_recommender_whose_scores_tie_is_told(split, factors, digits):
    lists = ht.recommend(factors, split.train, k=40).to_polars().drop("rank")
    found = better(lists.with_columns(pl.col("score").round(digits)), split, dials=["IPR"])
    plain = found.subject.recommend(found.subject.plain(0), split.known)
    n = sum(len(set(row.tolist())) < K for row in plain.scores)
    told = [note for note in found.notes if "alike" in note]
    assert bool(told) == (digits == 1) and all(f"items of {n} lists of 300 alike" in note for note in told)


def test_a_summary_shows_the_setting_that_was_given(split, factors):
    found = better(factors, split, dials=["log penalty"], strength=4.0)  # far more than validation would choose
    table = next(block for block in found.summary().blocks if isinstance(block, Table))
    assert table.title == "The setting that was given, measured on test"
    assert found.frontier.choose("log penalty", found.max_loss) == 0
    assert table.rows[1]["strength"] == 4
    assert table.rows[1]["ndcg@5"] == pytest.approx(found.comparison.audits["corrected"]["ndcg@5"])
