"""A test whose items were shown at random: how its split is read, and what a model scores on it."""

from functools import partial

import numpy as np
import polars as pl
import pytest

from headtail.data import PopularityGroups, Split
from headtail.datasets import uniform_exposure
from headtail.exceptions import InvalidInputError, UnreadableFileError
from headtail.metrics import audit, group_share, ndcg, recall, tail_exposure
from headtail.models import ALS
from headtail.training import fit, recommend


@pytest.fixture(scope="module")
def coat(shared_data):
    frame = pl.read_parquet(shared_data("coat") / "interactions.parquet")
    return Split.from_frame(frame, test="test_uniform", min_rating=4, overlap="train")


def test_pairs_in_both_parts_count_as_training_alone_and_that_is_told(coat, shared_data):
    frame = pl.read_parquet(shared_data("coat") / "interactions.parquet")
    with pytest.raises(InvalidInputError, match=r"share 91 \(user, item\) pairs.*overlap='train'"):
        Split.from_frame(frame, test="test_uniform", min_rating=4)
    assert {name: len(part) for name, part in coat.parts.items()} == {"train": 1905, "test": 860 - 91}
    assert "Kept in train alone: 91 pairs that test has as well." in coat.description
    assert (coat.train.n_users, coat.train.n_items) == (290, 300)
    # The published sizes of the five groups, from the rarest items on.
    sizes = PopularityGroups.equal_mass(coat.train.popularity).sizes
    assert [sizes[f"q{i}"] for i in (5, 4, 3, 2, 1)] == [160, 61, 39, 27, 13]


def test_the_files_of_coat_as_they_are_published(coat, shared_data, tmp_path):
    frame = pl.read_parquet(shared_data("coat") / "interactions.parquet")
    for part, name in (("train", "train"), ("test_uniform", "test")):
        rows = frame.filter(pl.col("split") == part)
        ratings = np.zeros((290, 300), dtype=int)
        ratings[rows["user_id"] - frame["user_id"].min(), rows["item_id"] - frame["item_id"].min()] = rows["rating"]
        np.savetxt(tmp_path / f"{name}.ascii", ratings, fmt="%d")
    split = uniform_exposure(tmp_path)
    for name, part in coat.parts.items():
        np.testing.assert_array_equal(split.parts[name].matrix.toarray(), part.matrix.toarray())
    assert uniform_exposure(tmp_path, min_rating=5).train.matrix.nnz < len(coat.train)


def test_the_files_of_yahoo_r3(tmp_path):
    train, test = (tmp_path / f"ydata-ymusic-rating-study-v1_0-{part}.txt" for part in ("train", "test"))
    train.write_text("1\t14\t5\n1\t35\t1\n2\t7\t4\n")
    test.write_text("1\t7\t5\n2\t14\t2\n1\t14\t4\n")
    split = uniform_exposure(tmp_path)
    assert split.train.to_polars().select("user_id", "item_id").rows() == [(1, 14), (2, 7)]
    assert split.test.to_polars().select("user_id", "item_id").rows() == [(1, 7)], "what is in training stays there"
    train.write_text("1\t14\tfive\n")
    with pytest.raises(UnreadableFileError, match=r"Cannot read .*train.txt: it holds text"):
        uniform_exposure(tmp_path)


@pytest.mark.parametrize("content", ["0 x 0\n", "0 1\n1 2 3\n", ""])
def test_files_of_coat_that_are_damaged_or_missing(content, tmp_path):
    (tmp_path / "train.ascii").write_text("5 0 4\n0 4 1\n")
    with pytest.raises(UnreadableFileError, match=r"has neither train.ascii and test.ascii nor .*it holds train.ascii"):
        uniform_exposure(tmp_path)
    (tmp_path / "test.ascii").write_text(content)
    with pytest.raises(UnreadableFileError, match=r"Cannot read .*test.ascii: .* Unpack the set again"):
        uniform_exposure(tmp_path)


def test_from_the_file_to_the_audit(coat):
    split = coat.with_validation(0.2, rng=0)
    assert len(split.train) + len(split.validation) == len(coat.train)
    assert split.test is coat.test
    model = ALS(split.train.n_users, split.train.n_items, 8, unobserved_weight=0.3, rng=0)
    fit(model, split.train, epochs=4)
    five = {f"q{i}": partial(group_share, group=f"q{i}") for i in range(1, 6)}
    metrics = {"ndcg": ndcg, "recall": recall, "tail_exposure": tail_exposure, **five}
    lists = recommend(model, split.known, k=20)
    found = audit(
        lists, split.train, split.test, k=20, metrics=metrics, groups=PopularityGroups.equal_mass, strict=False,
        n_bootstrap=0,
    )  # fmt: skip
    assert sum(found[f"{name}@20"] for name in five) == pytest.approx(1)
    assert found["q1@20"] > 13 / 300  # the few most popular items get more than their number
    assert found["tail_exposure@20"] < 0.8
    assert found.measurement("ndcg@20").n_users == (split.test.activity > 0).sum()
    assert 0.05 < found["recall@20"] < 1
    # What is known is not recommended again, so that no test item is lost to it.
    assert not split.known.contains(split.test.users, split.test.items).any()


def test_with_validation_takes_from_training_alone():
    frame = pl.DataFrame({"user_id": [1] * 10 + [2], "item_id": [*range(10), 0], "split": ["train"] * 9 + ["test"] * 2})
    split = Split.from_frame(frame)
    held = split.with_validation(0.3, rng=0)
    assert {name: len(part) for name, part in held.parts.items()} == {"train": 6, "validation": 3, "test": 2}
    again = split.with_validation(0.3, rng=0)
    assert again.validation.to_polars().equals(held.validation.to_polars())
    assert "0.3 of each user's training interactions at random" in held.description
    with pytest.raises(InvalidInputError, match="has a validation part of 3 interactions"):
        held.with_validation()
    with pytest.raises(InvalidInputError, match="share=1"):
        split.with_validation(1)
