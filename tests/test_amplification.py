"""The amplification effects: by dimension, in training, over users' own histories."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import t

from headtail.amplification import SpectrumRecorder, by_dimension, in_training, over_history
from headtail.baselines import most_popular
from headtail.data import Interactions, PopularityGroups, split_ratio
from headtail.datasets import power_law
from headtail.exceptions import InvalidInputError
from headtail.metrics import audit, popularity_lift, upd
from headtail.models import ALS, MF, SASRec
from headtail.training import fit, vectors


@pytest.fixture(scope="module")
def train():
    return power_law(120, 60, n_interactions=900, rng=0).interactions


def by_halves(popularity):
    return PopularityGroups.by_rank(popularity, (0.5,))


def naive_head_share(queries, items, train, k, groups=PopularityGroups.by_mass):
    head = groups(train.popularity).mask("head")
    scores = queries @ items.T
    scores[train.users, train.items] = -np.inf
    return head[np.argsort(-scores, axis=1)[:, :k]].mean()


def naive_own_head_share(train, users):
    head = PopularityGroups.by_mass(train.popularity).mask("head")
    return np.mean([head[train.items[train.users == user]].mean() for user in users if (train.users == user).any()])


def show(result):
    """Return the Markdown of a result after trying its other forms."""
    assert result.to_json() and result.to_html().startswith("<!") and type(result).__name__ in repr(result)
    assert result.to_polars().height > 0
    return result.report().to_markdown()


# -- by dimension -----------------------------------------------------------------------------------------------------


def test_by_dimension_equals_the_plain_computation(train):
    made = {}

    def make(dimension, seed):
        rng = np.random.default_rng(seed)
        made[dimension] = rng.normal(size=(120, dimension)) + 0.4, rng.normal(size=(60, dimension)) + 0.4
        return made[dimension]

    found = by_dimension(make, train, [16, 1, 4], k=5, seed=3)
    assert [row["dimension"] for row in found.rows] == [1, 4, 16]
    for row in found.rows:
        queries, items = made[row["dimension"]]
        _, sigma, vt = np.linalg.svd(queries @ items.T)
        popularity = train.popularity
        assert row["energy"] == pytest.approx(sigma[0] ** 2 / (sigma**2).sum())
        assert row["cosine"] == pytest.approx(abs(vt[0] @ popularity) / np.linalg.norm(popularity))
        assert row["head_share"] == pytest.approx(naive_head_share(queries, items, train, 5))
        top = (queries @ items.T).argmax(axis=1) == popularity.argmax()
        assert row["top_item_share"] == pytest.approx(top.mean())
        assert row["top_item_bound"] <= row["top_item_share"]
    assert found.rows[0]["ratio"] is None and found.rows[1]["ratio"] >= 1
    assert found.own_head_share == pytest.approx(naive_own_head_share(train, range(120)))
    head = PopularityGroups.by_mass(train.popularity).mask("head")
    assert found.data_head_share == pytest.approx(train.popularity[head].sum() / len(train))
    np.testing.assert_array_equal(made[1][0], np.random.default_rng(3).normal(size=(120, 1)) + 0.4)
    assert "By dimension" in show(found)
    of_halves = by_dimension(make, train, [16], k=5, seed=3, groups=by_halves).rows[0]["head_share"]
    assert of_halves == pytest.approx(naive_head_share(*made[16], train, 5, by_halves))


def test_one_dimension_shows_popularity_to_everybody(train):
    def make(dimension, seed):
        model = ALS(train.n_users, train.n_items, dimension, rng=seed)
        fit(model, train, epochs=8, progress=False)
        return model

    found = by_dimension(make, train, (1, 32), k=5)
    low, high = found.rows
    assert low["energy"] == pytest.approx(1) and high["energy"] < 0.9
    assert low["head_share"] > high["head_share"] and low["top_item_share"] > 0.9 > high["top_item_share"]
    assert low["top_item_bound"] == pytest.approx(low["top_item_share"])  # with one dimension the bound is exact


def test_zero_scores_have_no_direction(train):
    row = by_dimension(lambda d, _: (np.zeros((120, d)), np.zeros((60, d))), train, [2], k=5).rows[0]
    assert (row["energy"], row["ratio"], row["cosine"], row["top_item_bound"]) == (0, None, None, 0)


@pytest.mark.parametrize(
    ("dims", "k", "message"),
    [
        ([], 5, "dims=.. is empty"),
        ([8, 8], 5, r"dims=\[8, 8\] is empty or repeats"),
        ([0], 5, "dims=0 is out of range"),
        ([2.5], 5, "dims=2.5 is not a whole number"),
        ([8], 61, "k=61 exceeds the catalogue of 60"),
    ],
)
def test_by_dimension_refuses(train, dims, k, message):
    with pytest.raises(InvalidInputError, match=message):
        by_dimension(lambda *_: None, train, dims, k=k)


# -- in training ------------------------------------------------------------------------------------------------------


def test_recorder_changes_nothing_and_records_the_truth(train):
    plain, watched = MF(120, 60, 8, rng=0), MF(120, 60, 8, rng=0)
    fit(plain, train, epochs=3, batch_size=256, rng=1)
    history = fit(watched, train, epochs=3, batch_size=256, rng=1, callbacks=[SpectrumRecorder(train, k=5)])
    for name, value in plain.state_dict().items():
        assert (value == watched.state_dict()[name]).all()
    found = in_training(history)
    assert [row["epoch"] for row in found.rows] == [1, 2, 3]
    queries, items = (matrix.double().numpy() for matrix in vectors(watched))
    _, sigma, vt = np.linalg.svd(queries @ items.T)
    last = found.rows[-1]
    np.testing.assert_allclose(last["sigma"], sigma[:6], rtol=1e-6)
    assert last["energy"] == pytest.approx(sigma[0] ** 2 / (sigma**2).sum())
    assert last["cosine"] == pytest.approx(abs(vt[0] @ train.popularity) / np.linalg.norm(train.popularity), rel=1e-6)
    # Fewer users than the sample: all of those with history.
    active = np.flatnonzero(train.activity)
    assert found.own_head_share == pytest.approx(naive_own_head_share(train, active))
    assert found.k == 5
    text = " ".join(show(found).split())
    assert "after epoch 3" in text and "sigma 2" in text


def test_recorder_leaves_the_models_own_randomness_alone(train):
    def trained(callbacks):
        model = SASRec(train.n_items, max_length=6, embedding_dim=8, n_layers=1, n_heads=1, dropout=0.5, rng=0)
        fit(model, train, epochs=2, batch_size=64, rng=1, callbacks=callbacks)
        return model.state_dict()

    plain, watched = trained([]), trained([SpectrumRecorder(train, k=5)])
    assert all((value == watched[name]).all() for name, value in plain.items())


def test_recorded_epochs_and_sample(train):
    recorder = SpectrumRecorder(train, every=3, k=5, n_users=7, rng=1)
    history = fit(MF(120, 60, 4, rng=0), train, epochs=7, rng=0, callbacks=[recorder])
    assert ["spectrum" in row for row in history.rows] == [True, False, True, False, False, True, False]
    assert all(len(row["sigma"]) == 4 for row in in_training(history).rows)
    assert len(recorder._codes) == 7 == len(set(recorder._codes))
    assert "spectrum" not in history.report().to_markdown()  # the history's own table keeps to what a table can show
    assert history.to_polars().height == 7


def test_killed_run_keeps_what_was_recorded(train, tmp_path):
    def run(folder, *, epochs, callbacks=()):
        model = MF(120, 60, 4, rng=0)
        settings = {"rng": 0, "eval_every": 2, "batch_size": 256, "checkpoint": folder}
        callbacks = [SpectrumRecorder(train, k=5, n_users=40), *callbacks]
        return fit(model, train, epochs=epochs, callbacks=callbacks, **settings)

    def kill(model, row):
        if row["epoch"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a", epochs=6, callbacks=[kill])
    resumed, whole = run(tmp_path / "a", epochs=6), run(tmp_path / "b", epochs=6)
    assert in_training(resumed).rows == in_training(whole).rows
    assert len(in_training(resumed).rows) == 6


def test_recorder_with_validation_and_with_als(train):
    split = split_ratio(train, test=0.1, validation=0.2, rng=0)
    history = fit(
        MF(120, 60, 4, rng=0), split.train, validation=split.validation, k=5,
        epochs=4, eval_every=2, rng=0, callbacks=[SpectrumRecorder(split.train, k=5)],
    )  # fmt: skip
    found = in_training(history)
    assert found.metric == "ndcg@5" and [row["ndcg@5"] is None for row in found.rows] == [True, False, True, False]
    assert "Validation ndcg@5" in show(found)
    history = fit(ALS(120, 60, 4, rng=0), train, epochs=2, callbacks=[SpectrumRecorder(train, k=5)])
    assert [row["epoch"] for row in in_training(history).rows] == [1, 2]
    assert "after epoch 2" in show(in_training(history)) and history.report().to_markdown()


def test_recorder_refuses(train):
    for name in ("every", "k", "n_users"):
        with pytest.raises(InvalidInputError, match=f"{name}=0 is out of range"):
            SpectrumRecorder(train, **{name: 0})
    with pytest.raises(InvalidInputError, match="holds no spectrum"):
        in_training(fit(MF(120, 60, 4, rng=0), train, epochs=1, rng=0))


# -- over history -----------------------------------------------------------------------------------------------------


HAND = pl.DataFrame(
    {"user_id": ["a", "a", "a", "a", "b", "b", "c", "d"], "item_id": ["x", "y", "z", "w", "x", "y", "x", "x"]}
)


def hand_groups(popularity):
    return PopularityGroups.by_mass(popularity, cuts=(0.4,))  # x alone is the head: 4 of 8


def test_over_history_by_hand():
    # Shares of x in the histories of a, b, c: 1/4, 1/2, 1. Lists: a gets x and y, b only x and z, c y and z.
    recs = pl.DataFrame({"user_id": ["a", "a", "b", "b", "c", "c"], "item_id": ["x", "y", "x", "z", "y", "z"]})
    found = over_history({"mine": recs}, Interactions.from_frame(HAND), k=2, groups=hand_groups)
    head, tail = found.rows
    assert (head["recommender"], head["group"], tail["group"]) == ("mine", "head", "tail")
    assert head["own"] == pytest.approx((1 / 4 + 1 / 2 + 1) / 3)
    assert head["share"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    differences = np.array([1 / 4, 0, -1])
    assert head["difference"] == pytest.approx(differences.mean())
    squares = np.square(differences - differences.mean())
    df = min(2, 2 / ((squares**2).sum() / squares.sum() ** 2 - 1 / 3))
    margin = t.ppf(0.975, df) * differences.std(ddof=1) / np.sqrt(3)
    assert head["high"] - head["difference"] == pytest.approx(margin)
    assert tail["difference"] == pytest.approx(-head["difference"])
    assert found.summary[0]["amplified"] == pytest.approx(1 / 3)
    assert found.n_users == 3
    assert "mine" in show(found)


def test_calibrated_lists_show_no_amplification():
    train = Interactions.from_frame(HAND.filter(pl.col("user_id") == "a").vstack(
        HAND.filter(pl.col("user_id") == "a").with_columns(user_id=pl.lit("b"))
    ))  # fmt: skip
    found = over_history(
        {"same": train.to_polars()}, train, k=4, groups=lambda r: PopularityGroups.by_rank(r, cuts=(0.5,))
    )
    assert all(row["difference"] == 0 for row in found.rows)
    assert (found.summary[0]["amplified"], found.summary[0]["popularity_lift"], found.summary[0]["upd"]) == (0, 0, 0)


def test_summary_equals_the_metrics(train):
    lists = most_popular(train, 5)
    groups = PopularityGroups.by_mass
    found = over_history({"popular": lists}, train, k=5, groups=groups).summary[0]
    known = audit(lists, train, k=5, metrics=[popularity_lift, upd], strict=False, n_bootstrap=0)
    assert found["popularity_lift"] == pytest.approx(known["popularity_lift@5"])
    assert found["upd"] == pytest.approx(known["upd@5"])


def test_only_users_that_all_have_are_compared():
    train = Interactions.from_frame(HAND)
    one = pl.DataFrame({"user_id": ["a", "b", "new"], "item_id": ["x", "z", "x"]})
    two = pl.DataFrame({"user_id": ["b", "c", "d"], "item_id": ["w", "y", "y"]})
    found = over_history({"one": one, "two": two}, train, k=1, groups=hand_groups)
    assert found.n_users == 1 and {row["own"] for row in found.rows if row["group"] == "head"} == {0.5}
    assert [row["share"] for row in found.rows if row["group"] == "head"] == [0, 0]
    with pytest.raises(InvalidInputError, match="no user has training items and a list of every recommender"):
        over_history({"one": one.head(1), "two": two}, train, k=1, groups=hand_groups)


def test_over_history_refuses(train):
    with pytest.raises(InvalidInputError, match="recommendations is empty"):
        over_history({}, train)
    with pytest.raises(InvalidInputError, match="k=6 is above the longest list"):
        over_history({"popular": most_popular(train, 5)}, train, k=6)


def test_frames_are_taken_as_interactions_are(train):
    train, rng = train.compact(), np.random.default_rng(0)
    frame = train.to_polars().sample(fraction=1, shuffle=True, seed=0)
    made = rng.normal(size=(train.n_users, 4)), rng.normal(size=(train.n_items, 4))
    lists = {"popular": most_popular(train, 5)}
    for measure in (
        lambda known: by_dimension(lambda *_: made, known, [4], k=5, progress=False),
        lambda known: over_history(lists, known, k=5),
        lambda known: in_training(
            fit(ALS.for_data(train, embedding_dim=4), train, epochs=1, callbacks=[SpectrumRecorder(known, k=5)])
        ),
    ):
        assert measure(frame).rows == measure(train).rows
