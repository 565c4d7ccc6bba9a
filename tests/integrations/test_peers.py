"""Against the real libraries, each where it is installed: `make test-integrations` has an environment for that."""

import logging
import re
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp

import headtail as ht
from headtail.exceptions import InvalidInputError

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend
K = 5


@pytest.fixture(scope="module")
def split():
    """Text ids whose order is not that of any library's codes."""
    world = ht.datasets.power_law(200, 80, n_interactions=1900, rng=0).interactions.to_polars()
    shuffled = np.random.default_rng(0).permutation(1000)
    named = world.select(
        user_id=pl.lit("u") + pl.Series(shuffled[world["user_id"].to_numpy()]).cast(pl.String),
        item_id=pl.lit("i") + pl.Series(shuffled[world["item_id"].to_numpy()]).cast(pl.String),
    )
    return ht.split_ratio(named.sample(fraction=1, shuffle=True, seed=0), rng=0)


@pytest.fixture(scope="module")
def table(split):
    return split.train.to_polars().to_pandas().assign(weight=1.0, datetime="2020-01-01")


def same_lists(ours, theirs, share=1.0):
    """Whether two tables hold the same lists, but for ties."""
    ours, theirs = (t.select("user_id", "item_id", "rank").sort("user_id", "rank") for t in (ours, theirs))
    same = (ours["user_id"] == theirs["user_id"]) & (ours["item_id"] == theirs["item_id"])
    return len(ours) == len(theirs) and same.mean() >= share


def corrects(vectors, split, caplog):
    """Correct vectors in one line; their ids join them, so that nothing is said of an order."""
    better = ht.correct(vectors, split, dials=["log penalty"], k=K, max_loss=0.9, progress=False)
    assert better.subject.order is None and "no ids" not in caplog.text
    before, after = better.comparison.audits.values()
    assert after["gini@5"] < before["gini@5"]
    return better


def lines_of_the_guide(library, **names):
    """Run what docs/journeys.md shows for a library, with fewer dials, and return what it names."""
    guide = (Path(__file__).parents[2] / "docs" / "journeys.md").read_text()
    imports, *shown = re.search(r"```py\n(from headtail.integrations import.*?)\n```", guide, re.S)[1].split("\n\n")
    lines = next(part for part in shown if part.startswith(f"# {library}:"))
    assert len(lines.splitlines()) == 3  # a comment and two lines
    few = partial(ht.correct, dials=["log penalty"], k=K, max_loss=0.9, progress=False)
    names |= {"ht": SimpleNamespace(correct=few)}
    exec(f"{imports}\n{lines}", names)
    return names


def test_implicit(split, caplog):
    als = pytest.importorskip("implicit.als", reason="implicit is not installed")
    from headtail.integrations import implicit

    order = np.random.default_rng(1).permutation(split.train.n_items)  # the order of the library's own codes
    matrix, item_ids = sp.csr_matrix(split.train.matrix[:, order]), split.train.item_ids[order]
    model = als.AlternatingLeastSquares(factors=8, random_state=0, num_threads=1)
    model.fit(matrix, show_progress=False)
    found = implicit.vectors(model, split.train.user_ids, item_ids)  # line one
    better = corrects(found, split, caplog)  # line two
    theirs = ht.Recommendations.from_arrays(
        *model.recommend(np.arange(split.train.n_users), matrix, N=K), user_ids=split.train.user_ids, item_ids=item_ids
    )
    assert same_lists(ht.recommend(found, split.train, k=K).to_polars(), theirs.to_polars(), 0.99)

    caplog.set_level(logging.WARNING)  # the trap: the same factors without their ids
    ht.recommend(implicit.vectors(model), split.train, k=K)
    assert "do not seem to be in the order" in caplog.text

    back = implicit.corrected(model, better.vectors, split.train.user_ids, item_ids)
    served = ht.Recommendations.from_arrays(
        *back.recommend(np.arange(split.train.n_users), matrix, N=K), user_ids=split.train.user_ids, item_ids=item_ids
    )
    ours = ht.recommend(better.vectors, split.train, k=K)
    assert same_lists(ours.to_polars(), served.to_polars(), 0.99)
    assert model.item_factors.shape[1] == 8  # the model itself stays as it was
    with pytest.raises(InvalidInputError, match="user_factors has 200 rows and the vectors 3"):
        implicit.corrected(model, ht.Vectors(np.eye(3), np.eye(80, 3)))
    names = {"user_ids": split.train.user_ids, "item_ids": item_ids}
    told = lines_of_the_guide("implicit", model=model, split=split, **names)["model"]
    np.testing.assert_array_equal(told.item_factors, back.item_factors)


@pytest.mark.parametrize("kind", ["PureSVDModel", "ImplicitALSWrapperModel", "ImplicitBPRWrapperModel"])
def test_rectools(split, table, caplog, kind):
    pytest.importorskip("rectools", reason="RecTools is not installed")
    from rectools import models
    from rectools.dataset import Dataset

    from headtail.integrations import rectools

    dataset = Dataset.construct(table)
    if kind == "PureSVDModel":
        model = models.PureSVDModel(factors=8)
    elif kind == "ImplicitALSWrapperModel":
        from implicit.als import AlternatingLeastSquares

        model = models.ImplicitALSWrapperModel(AlternatingLeastSquares(factors=8, random_state=0, num_threads=1))
    else:
        from implicit.bpr import BayesianPersonalizedRanking

        model = models.ImplicitBPRWrapperModel(BayesianPersonalizedRanking(factors=8, random_state=0, num_threads=1))
    model.fit(dataset)
    read = rectools.interactions(dataset)
    assert sorted(read.to_polars().select("user_id", "item_id").rows()) == sorted(
        split.train.to_polars().select("user_id", "item_id").rows()
    )
    found = rectools.vectors(model, dataset)
    corrects(found, split, caplog)
    theirs = model.recommend(users=table["user_id"].unique(), dataset=dataset, k=K, filter_viewed=True)
    lists = ht.Recommendations.from_frame(theirs)
    assert len(lists) == split.train.n_users
    ours = ht.recommend(found, split.train, k=K)
    assert same_lists(ours.to_polars(), lists.to_polars(), 0.97)
    audit = ht.audit(theirs, table, split.test, k=K, n_bootstrap=0, strict=False)  # their tables as they are
    assert audit["gini@5"] == pytest.approx(ht.audit(ours, split.train, k=K, n_bootstrap=0)["gini@5"], abs=0.02)
    from rectools.metrics import MAP, calc_metrics

    back = lines_of_the_guide("RecTools", model=model, dataset=dataset, split=split)["table"]
    assert calc_metrics({"MAP": MAP(K)}, back, split.test.to_polars().to_pandas())["MAP"] >= 0


def test_lenskit(split, table, caplog):
    pytest.importorskip("lenskit", reason="LensKit is not installed")
    from lenskit.als import BiasedMFScorer, ImplicitMFScorer
    from lenskit.batch import recommend
    from lenskit.data import from_interactions_df
    from lenskit.pipeline import topn_pipeline

    from headtail.integrations import lenskit

    rated = table.assign(rating=1.0 + np.arange(len(table)) % 5)[["user_id", "item_id", "rating"]]
    dataset = from_interactions_df(rated)
    read = lenskit.interactions(dataset)
    assert sorted(read.to_polars().rows()) == sorted(pl.from_pandas(rated).rows())
    pipe = topn_pipeline(ImplicitMFScorer(embedding_size=8, user_embeddings="prefer"), n=K)
    pipe.train(dataset)
    found = lenskit.vectors(pipe)
    corrects(found, split, caplog)
    theirs = recommend(pipe, sorted(set(rated["user_id"])), K, n_jobs=1)
    lists = ht.Recommendations.from_frame(theirs.to_df())
    assert same_lists(ht.recommend(found, split.train, k=K).to_polars(), lists.to_polars(), 0.97)
    back = lines_of_the_guide("LensKit", pipeline=pipe, split=split)["lists"]
    assert len(back) == split.train.n_users and next(iter(back.lists())).ordered

    biased = BiasedMFScorer(embedding_size=4, user_embeddings="prefer")
    biased.train(dataset)
    found = lenskit.vectors(biased)
    from lenskit.data import ItemList, RecQuery

    user = found.user_ids[3]
    scored = biased(RecQuery(user_id=user), ItemList(item_ids=found.item_ids))
    np.testing.assert_allclose(found.queries[3] @ found.items.T, scored.scores(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["BPR", "LightGCN"])
def test_recbole(split, tmp_path, caplog, kind):
    pytest.importorskip("recbole", reason="RecBole is not installed")
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model import general_recommender

    from headtail.integrations import recbole

    (tmp_path / "tiny").mkdir()
    ht.data.write_interactions(split.train, tmp_path / "tiny" / "tiny.inter")
    settings = {"data_path": str(tmp_path), "embedding_size": 8, "device": "cpu", "use_gpu": False,
                "checkpoint_dir": str(tmp_path), "state": "ERROR", "show_progress": False, "reproducibility": True,
                "eval_args": {"split": {"RS": [1, 0, 0]}, "order": "RO", "group_by": "user", "mode": "full"},
                "load_col": {"inter": ["user_id", "item_id"]}}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = Config(model=kind, dataset="tiny", config_dict=settings)
        dataset = create_dataset(config)
        train_data = data_preparation(config, dataset)[0]
    torch.manual_seed(0)
    try:
        model = getattr(general_recommender, kind)(config, train_data.dataset)
    except AttributeError as error:
        pytest.skip(f"RecBole's {kind} does not run with this SciPy: {error}")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(20):
        for batch in train_data:
            optimizer.zero_grad()
            model.calculate_loss(batch).backward()
            optimizer.step()
    read = recbole.interactions(dataset)
    assert sorted(read.to_polars().rows()) == sorted(split.train.to_polars().rows())
    found = recbole.vectors(model, dataset)
    corrects(found, split, caplog)
    assert len(lines_of_the_guide("RecBole", model=model, dataset=dataset, split=split)["lists"]) == K * 200
    user, item = "u" + read.user_ids[0][1:], read.item_ids[3]
    from recbole.data.interaction import Interaction

    pair = Interaction({"user_id": torch.tensor([dataset.token2id("user_id", user)]),
                        "item_id": torch.tensor([dataset.token2id("item_id", item)])})  # fmt: skip
    score = found.queries[list(found.user_ids).index(user)] @ found.items[list(found.item_ids).index(item)]
    assert score == pytest.approx(float(model.predict(pair)), rel=1e-4)
    torch.save({"config": config, "state_dict": model.state_dict(), "other_parameter": None}, tmp_path / "x.pth")
    if kind == "BPR":
        np.testing.assert_allclose(recbole.vectors(tmp_path / "x.pth", dataset).items, found.items)
    else:
        with pytest.raises(InvalidInputError, match="checkpoint is of LightGCN, whose vectors are not its embeddings"):
            recbole.vectors(tmp_path / "x.pth", dataset)


def test_pytorch(split):
    nn, ids = pytest.importorskip("torch").nn, {"user_ids": split.train.user_ids, "item_ids": split.train.item_ids}
    users, items = nn.Embedding(split.train.n_users, 4), nn.Embedding(split.train.n_items, 4)
    told = lines_of_the_guide("PyTorch", users=users, items=items, split=split, **ids)
    assert len(told["better"].lists) == split.train.n_users


def test_cornac(split, table):
    """Its vectors hold the items' biases, which its factors alone leave out."""
    cornac = pytest.importorskip("cornac", reason="cornac is not installed")
    data = cornac.data.Dataset.from_uir(table[["user_id", "item_id", "weight"]].itertuples(index=False), seed=0)
    model = cornac.models.BPR(k=8, max_iter=5, seed=0).fit(data)
    found = ht.Vectors(model.get_user_vectors(), model.get_item_vectors(), data.user_ids, data.item_ids)
    for user in (0, 7):
        np.testing.assert_allclose(found.queries[user] @ found.items.T, model.score(user), atol=1e-5)
    assert ht.recommend(found, split.train, k=K).k == K


def test_surprise(table):
    """Its predictions are lists in one line: user, item and estimate."""
    surprise = pytest.importorskip("surprise", reason="scikit-surprise is not installed")
    frame = table[["user_id", "item_id", "weight"]]
    trained = surprise.Dataset.load_from_df(frame, surprise.Reader(rating_scale=(0, 1))).build_full_trainset()
    model = surprise.SVD(n_factors=4, n_epochs=2, random_state=0).fit(trained)
    predictions = model.test(trained.build_anti_testset())
    rows = [(p.uid, p.iid, p.est) for p in predictions]
    lists = ht.Recommendations.from_frame(predictions).head(K)
    best = pl.DataFrame(rows, schema=["user_id", "item_id", "score"], orient="row").group_by("user_id").max()
    first = lists.to_polars().filter(pl.col("rank") == 1).join(best, on="user_id", suffix="_best")
    assert len(first) == len(best) and (first["score"] - first["score_best"]).abs().max() < 1e-6
