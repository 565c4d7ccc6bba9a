"""Files: every byte of them may be another."""

import csv
import gzip
import io
from functools import cache
from pathlib import Path

import hostile
import polars as pl
from hypothesis import given, strategies as st

from headtail import Interactions, data, read_interactions
from headtail.datasets import movielens

ENDINGS = ("csv", "tsv", "txt", "inter", "parquet")


@cache
def seed(ending):
    """The bytes of a good file."""
    table = pl.DataFrame({"user_id": [1, 1, 2, 3], "item_id": ["a", "b", "a", "c,d"], "rating": [1.0, 2.0, 3.5, 4.0],
                          "timestamp": [10, 20, 30, 40], "item_title": ["A", "B", "A", "é"]})  # fmt: skip
    made = Path(f"seed.{'csv' if ending == 'txt' else ending}")
    data.write_interactions(Interactions.from_frame(table), made)
    return made.read_bytes()


def check(path):
    """Read a file that may hold anything."""
    table = hostile.attempt(data.read_table, path)
    found = hostile.attempt(read_interactions, path, duplicates="first")
    if found is not hostile.REFUSED:
        assert table is not hostile.REFUSED
        assert 0 < len(found) <= len(table)
        assert len(found.popularity) == found.n_items
        assert found.popularity.sum() == len(found)


@given(data=st.data(), ending=st.sampled_from(ENDINGS), zipped=st.booleans())
def test_damaged_files(data, ending, zipped):
    content = data.draw(hostile.mutated(seed(ending)))
    path = Path(f"file.{ending}{'.gz' if zipped else ''}")
    path.write_bytes(gzip.compress(content) if zipped and data.draw(st.booleans()) else content)
    check(path)


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), ending=st.sampled_from(ENDINGS))
def test_any_bytes(content, ending):
    path = Path(f"file.{ending}")
    path.write_bytes(content)
    check(path)


@given(table=hostile.tables(), separator=st.sampled_from(",;\t|"), quoting=st.sampled_from([csv.QUOTE_MINIMAL,
csv.QUOTE_ALL]),
       newline=st.sampled_from(["\n", "\r\n", "\r"]), coding=st.sampled_from(["utf-8", "utf-8-sig",
       "utf-16"]))  # fmt: skip
def test_text_is_read_as_it_was_written(table, separator, quoting, newline, coding):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=newline)
    writer.writerow(table.columns)
    writer.writerows(table.rows())
    path = Path("file.csv")
    path.write_bytes(text.getvalue().encode(coding))
    found = hostile.attempt(read_interactions, path)
    if found is not hostile.REFUSED:
        assert hostile.same_pairs(hostile.pairs_of(found), hostile.naive_pairs(table))


@given(table=hostile.tables(), ending=st.sampled_from(ENDINGS))
def test_what_is_written_is_read_back(table, ending):
    given = hostile.attempt(Interactions.from_frame, table)
    if given is hostile.REFUSED or hostile.attempt(data.write_interactions, given, f"file.{ending}") is hostile.REFUSED:
        return
    path = f"file.{ending}"
    found = hostile.attempt(read_interactions, path)
    if ending == "parquet":
        assert found.user_ids.tolist() == given.user_ids.tolist()
    if found is not hostile.REFUSED:
        assert hostile.same_pairs(hostile.pairs_of(found), hostile.pairs_of(given))
        if given.ratings is not None:
            assert sorted(found.ratings.tolist()) == sorted(given.ratings.tolist())


@given(data=st.data(), which=st.sampled_from(["ratings.dat", "movies.dat"]))
def test_damaged_movielens(data, which):
    good = {
        "ratings.dat": b"1::7::5::978300760\n2::7::3::978302109\n",
        "movies.dat": "7::Amélie (2001)::Comedy\n".encode(),
    }
    for name, content in (good | {which: data.draw(hostile.mutated(good[which]))}).items():
        Path(name).write_bytes(content)
    hostile.attempt(movielens, ".")
