"""Conditions of an audit: of values, and of what changed since an earlier one, by chance or not."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from test_metrics import RECS, TEST, TRAIN

import headtail as ht
from headtail.exceptions import InvalidInputError, MissingColumnError, UnreadableFileError
from headtail.metrics import arp, audit, coverage, gate, gini, ndcg
from headtail.metrics.gating import read_baseline
from headtail.metrics.results import PARTS

N_ITEMS = 300
RNG = np.random.default_rng(0)
ODDS = np.arange(1, N_ITEMS + 1) ** -0.6
KNOWN = ht.Interactions(
    np.arange(2000), np.arange(N_ITEMS), np.repeat(np.arange(2000), 2),
    np.argsort(-(np.log(ODDS) + RNG.gumbel(size=(2000, N_ITEMS))), axis=1)[:, :2].ravel(),
)  # fmt: skip


def drawn(users, seed, drift=0.0):
    """An audit of lists that are drawn at random, of more popular items with a drift."""
    noise = np.random.default_rng(seed).gumbel(size=(len(users), N_ITEMS))
    items = np.argsort(-(np.log(ODDS) * (1 + drift) + noise), axis=1)[:, :5]
    recs = ht.Recommendations(KNOWN.user_ids, KNOWN.item_ids, np.asarray(users, np.int32), items.astype(np.int32))
    return audit(recs, KNOWN, k=5, metrics=[gini, arp])


def test_a_change_of_a_mean_is_tested_as_welch_and_pairs_would():
    """Other users: near to Welch's test of the per-user values. The same users: near to the paired one."""
    one, two = drawn(range(800), 0), drawn(range(800, 1600), 1, drift=0.03)
    values = [a.user_values["arp@5"] for a in (two, one)]
    welch = stats.ttest_ind(*values, equal_var=False, alternative="greater")
    (found,) = gate(two, ["arp@5 rises"], baseline=one)
    t = stats.norm.isf(found.p)
    assert t == pytest.approx(stats.norm.isf(welch.pvalue), abs=0.6)
    shifted = audit(one_more_popular(one), KNOWN, k=5, metrics=[gini, arp])
    (paired,) = gate(shifted, ["arp@5 rises"], baseline=one)
    expected = stats.ttest_rel(shifted.user_values["arp@5"], one.user_values["arp@5"], alternative="greater")
    assert stats.norm.isf(paired.p) == pytest.approx(stats.norm.isf(expected.pvalue), rel=0.3)
    assert paired.p < 1e-3 < stats.ttest_ind(shifted.user_values["arp@5"], one.user_values["arp@5"]).pvalue


def one_more_popular(audited):
    """The same lists, but for every tenth user the last item is swapped for the most popular one not yet there."""
    items = audited.lists.items.copy()
    for row in range(0, len(items), 10):
        items[row, -1] = next(i for i in np.argsort(-KNOWN.popularity) if i not in items[row])
    return ht.Recommendations(KNOWN.user_ids, KNOWN.item_ids, audited.lists.users, items)


def test_the_page_says_what_the_gate_decided():
    audited = drawn(range(200), 0)
    stopped = audited.to_markdown(judged=gate(audited, ["arp@5 > 1", "gini@5 > 1"]))
    passed = audited.to_markdown(judged=gate(audited, ["gini@5 > 1"]))
    value = f"(it is {audited['gini@5']:.6g})"
    assert "**The gate stops:** arp@5 > 1 (it is" in stopped and value not in stopped
    assert f"**The gate lets it pass;** not met: gini@5 > 1 {value}." in passed
    assert "The gate" not in audited.to_markdown()


def test_parts_of_users_keep_the_standard_error():
    whole = drawn(range(1500), 3)
    for name, parts in whole.user_parts.items():
        error = np.linalg.norm(whole.influence(name))
        assert np.linalg.norm(parts) * np.sqrt(PARTS / (PARTS - 1)) == pytest.approx(error, rel=0.25)


def test_a_gate_rarely_alarms_without_drift_and_sees_one():
    """Of 50 gates that alarm in 5% of cases, more than six do so in 4% of cases (the seeds are fixed)."""
    conditions = ["gini@5 rises", "gini@5 falls", "arp@5 rises"]
    alarms = {0.0: 0, 0.3: 0}
    for drift in alarms:
        for trial in range(10 if drift else 50):
            users = np.random.default_rng(trial).permutation(2000)
            before, after = drawn(users[:200], 2 * trial), drawn(users[100:300], 2 * trial + 1, drift)
            alarms[drift] += any(judgement.met for judgement in gate(after, conditions, baseline=before))
    assert alarms[0.0] <= 6 and alarms[0.3] == 10


def test_page_of_gates_is_that_of_its_record():
    file = Path(__file__).parents[2] / "benchmarks" / "false_alarms.py"
    spec = importlib.util.spec_from_file_location("false_alarms", file)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    record = json.loads(benchmark.RECORD.read_text(encoding="utf-8"))
    assert benchmark.page(record) == (file.parents[1] / "docs" / "gate.md").read_text(encoding="utf-8")
    drifting = record["world"].pop("the same users, with drift")
    assert set(record["world"]) == set(benchmark.SAMPLES) and drifting["gate"] == 1
    assert all(found["gate"] <= 0.05 for found in record["world"].values())


def test_counts_are_compared_as_of_equally_many_users():
    before = drawn(range(400), 0)
    for n in (370, 1600):
        after = drawn(range(400, 400 + n), 1)
        (found,) = gate(after, ["gini@5 falls"], baseline=before)
        assert not found.met
    assert after["gini@5"] < before["gini@5"] - 0.02  # though it is far lower with four times as many
    with pytest.raises(InvalidInputError, match="the baseline has 1,600 users and this audit 400"):
        gate(before, ["gini@5 falls"], baseline=after)
    assert not gate(before, ["arp@5 rises"], baseline=after)[0].met  # a mean does not depend on the number


def test_a_report_in_json_stands_for_the_audit(tmp_path):
    before, after = drawn(range(500), 0), drawn(range(500), 1, drift=0.2)
    before.to_json(tmp_path / "old.json")
    conditions = ["gini@5 rises", "arp@5 rises by 1%", "gini@5 rises by 0.5", "gini@5 > 0.1"]
    found = gate(after, conditions, baseline=tmp_path / "old.json")
    assert found == gate(after, conditions, baseline=before) == gate(after, conditions, baseline=read_baseline(before))
    assert [judgement.met for judgement in found] == [True, True, False, True]
    assert found[0].baseline == before["gini@5"] and found[3].p is None
    assert re.fullmatch(r"gini@5 rises \(0\.\d+ in the baseline, 0\.\d+ now, p (= 0\.\d{3}|< 0\.001)\)", found[0].text)
    # Of 64 parts of the users a few numbers are kept, however many users there are.
    assert len(json.dumps(json.loads((tmp_path / "old.json").read_text())["user_parts"])) < 1500


def test_other_data_are_named():
    before = audit(RECS, TRAIN, k=2, metrics=[arp])
    more = pl.concat([TRAIN, pl.DataFrame({"user_id": [3], "item_id": ["c"]}, schema=TRAIN.schema)])
    after = audit(RECS, more, k=2, metrics=[arp])
    (found,) = gate(after, ["arp@2 falls"], baseline=before)
    assert "other training interactions in the baseline" in found.text


def test_metrics_are_a_flat_dict():
    result = audit(RECS, TRAIN, TEST, k=[1, 2], users=pl.DataFrame({"user_id": [1, 2, 3], "g": ["a", "b", "a"]}))
    flat = result.metrics()
    assert flat["gini@2"] == result["gini@2"] and all(type(value) is float for value in flat.values())
    assert set(flat) == {f"{name}@{k}" for name in result.facts for k in (1, 2)}


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ("gini@5 rises", "is no list of conditions"),
        ([5], "is no list of conditions"),
        (["gini@5 rises by -1"], "is not of the form"),
        (["gini@5 rises by"], "is not of the form"),
        (["gini@5 falls by 2 %%"], "is not of the form"),
        (["gini@5 > 5%"], "is not of the form"),
        (["gini@5 rises by 1e999"], "is not of the form"),
        (["gina@5 rises"], "Did you mean 'gini@5'?"),
        (["gini@5 falls by 2"], "can never be met: gini@5 lies between 0 and 1. Give a number in that range"),
        (["gini@5 falls by 100%"], "can never be met"),
        (["gini@5 > 90"], "can never be met"),
        (["gini@5 <= -0.1"], "can never be met"),
    ],
)
def test_conditions_that_cannot_be_read(conditions, message):
    audited = drawn(range(20), 0)
    with pytest.raises((InvalidInputError, MissingColumnError), match=re.escape(message)):
        gate(audited, conditions, baseline=audited)


def test_conditions_at_the_ends_of_a_range_are_judged():
    audited = drawn(range(20), 0)
    for condition in ("gini@5 > 1", "gini@5 < 0", "gini@5 rises by 200%", "arp@5 > 1e6", "arp@5 falls by 99"):
        assert not gate(audited, [condition], baseline=audited)[0].met


def test_what_cannot_be_judged_is_said(tmp_path):
    audited = drawn(range(50), 0)
    with pytest.raises(InvalidInputError, match=r"speaks of a change\. Give the baseline"):
        gate(audited, ["gini@5 rises"])
    plain = audit(RECS, TRAIN, TEST, k=2, metrics=[gini, ndcg, coverage], n_bootstrap=0)
    with pytest.raises(InvalidInputError, match=r"gini@2 has no interval in one .* these are met: gini@2 > 0"):
        gate(plain, ["gini@2 rises", "gini@2 > 0"], baseline=plain)
    with pytest.raises(MissingColumnError, match="the baseline has no 'gini@2'"):
        gate(plain, ["gini@2 rises"], baseline=audited)

    def other(top):
        """Another one."""
        return 0.5

    with pytest.raises(InvalidInputError, match="gini@2 has another definition in the baseline"):
        gate(plain, ["gini@2 rises"], baseline=audit(RECS, TRAIN, k=2, metrics={"gini": other}))
    report = json.loads(plain.to_json())
    for text in ("{", "[]", '{"measurements": 5}', json.dumps(report | {"user_parts": {"gini@2": "AAAA"}})):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UnreadableFileError, match="is no audit in JSON"):
            gate(plain, ["gini@2 > 0"], baseline=tmp_path / "bad.json")
    with pytest.raises(UnreadableFileError, match=r"none.json is no audit in JSON \(FileNotFoundError"):
        gate(plain, ["gini@2 > 0"], baseline=tmp_path / "none.json")
