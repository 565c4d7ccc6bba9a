from importlib import resources

import polars as pl
import pytest

from headtail.data import Interactions
from headtail.datasets import movielens, movietweetings
from headtail.exceptions import UnreadableFileError


class TestMovieTweetings:
    def test_sizes(self):
        core = movietweetings()
        assert (core.n_users, core.n_items, len(core)) == (4333, 2414, 68055)
        assert min(core.activity.min(), core.popularity.min()) == 5
        whole = movietweetings(k_core=0)
        assert (whole.n_users, whole.n_items, len(whole)) == (16554, 10506, 100_000)

    def test_content(self):
        core = movietweetings()
        assert dict(zip(core.item_ids.tolist(), core.item_titles.tolist(), strict=True))[1853728] == (
            "Django Unchained (2012)"
        )
        assert (core.timestamps.min(), core.timestamps.max()) >= (1362062307, 0)
        assert core.ratings.max() == 10

    def test_min_rating(self):
        assert movietweetings(k_core=0, min_rating=8).ratings.min() == 8

    def test_its_licence_comes_with_it(self):
        text = (resources.files("headtail.datasets") / "LICENSE.movietweetings").read_text()
        assert "Copyright (c) 2013 Simon Dooms" in text
        assert "The above copyright notice and this permission notice shall be included" in text

    def test_equals_the_source(self, shared_data):
        source = Interactions.from_frame(pl.read_parquet(shared_data("movietweetings") / "interactions.parquet"))
        assert movietweetings(k_core=0).to_polars().equals(source.to_polars())


RATINGS = [(1, 30, 4, 100), (1, 10, 5, 200), (2, 10, 3, 300)]
EXPECTED = [(user, item, float(rating), time) for user, item, rating, time in RATINGS]


def lines(rows, separator):
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def ml_100k(folder):
    (folder / "u.data").write_text(lines(RATINGS, "\t"))
    films = [(10, "Ten (1979)", "01-Jan-1979", "", "http://x", 0, 1), (30, "Amélie (2001)", "", "", "", 1, 0)]
    (folder / "u.item").write_bytes(lines(films, "|").encode("latin-1"))


def ml_1m(folder):
    (folder / "ratings.dat").write_text(lines(RATINGS, "::"))
    films = [(10, "Ten (1979)", "Comedy"), (30, "Amélie (2001)", "Comedy|Romance")]
    (folder / "movies.dat").write_bytes(lines(films, "::").encode("latin-1"))
    (folder / "users.dat").write_text("1::F::1::10::48067\n")


def ml_10m(folder):
    (folder / "ratings.dat").write_text(lines([(u, i, r / 1.0, t) for u, i, r, t in RATINGS], "::"))
    films = [(10, "Ten (1979)", "Comedy"), (30, "Amélie (2001)", "Comedy|Romance")]
    (folder / "movies.dat").write_text(lines(films, "::"), encoding="utf-8")


def ml_latest(folder):
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + lines(RATINGS, ","))
    films = [(10, "Ten (1979)", "Comedy"), (30, "Amélie (2001)", "Comedy|Romance")]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + lines(films, ","), encoding="utf-8")


class TestMovieLens:
    @pytest.mark.parametrize("layout", [ml_100k, ml_1m, ml_10m, ml_latest])
    def test_layouts(self, tmp_path, layout):
        layout(tmp_path)
        whole = movielens(tmp_path)
        assert whole.to_polars().rows() == EXPECTED
        assert whole.item_titles.tolist() == ["Ten (1979)", "Amélie (2001)"]

    def test_quoted_titles(self, tmp_path):
        ml_latest(tmp_path)
        (tmp_path / "movies.csv").write_text('movieId,title,genres\n10,"Ten, or ""X"" (1979)",Comedy\n')
        assert movielens(str(tmp_path)).item_titles.tolist() == ['Ten, or "X" (1979)', "30"]

    def test_filters(self, tmp_path):
        ml_1m(tmp_path)
        assert movielens(tmp_path, min_rating=4).to_polars().rows() == EXPECTED[:2]
        assert movielens(tmp_path, k_core=1).n_users == 2

    def test_no_folder(self, tmp_path):
        with pytest.raises(UnreadableFileError, match="There is no folder"):
            movielens(tmp_path / "ml-1m")

    def test_another_folder(self, tmp_path):
        (tmp_path / "ml-1m").mkdir()
        with pytest.raises(
            UnreadableFileError, match=r"none of the files u.data.*it holds ml-1m. Is it one level deeper"
        ):
            movielens(tmp_path)

    def test_half_a_folder(self, tmp_path):
        ml_1m(tmp_path)
        (tmp_path / "movies.dat").unlink()
        with pytest.raises(UnreadableFileError, match=r"There is no file .*movies.dat"):
            movielens(tmp_path)

    def test_a_damaged_file(self, tmp_path):
        ml_1m(tmp_path)
        (tmp_path / "ratings.dat").write_text("1::30::4::100\n1::x::5::200\n")
        with pytest.raises(UnreadableFileError, match=r"Cannot read .*ratings.dat"):
            movielens(tmp_path)

    def test_ml_latest_small_equals_the_stored_one(self, tmp_path, shared_data):
        folder = shared_data("ml-latest-small")
        ratings, items = (pl.read_parquet(folder / f"{name}.parquet") for name in ("interactions", "items"))
        renamed = ratings.select(userId="user_id", movieId="item_id", rating="rating", timestamp="timestamp")
        renamed.write_csv(tmp_path / "ratings.csv")
        items.select(movieId="item_id", title="title", genres="genres").write_csv(tmp_path / "movies.csv")
        whole = movielens(tmp_path)
        assert whole.to_polars().equals(Interactions.from_frame(ratings).to_polars())
        assert whole.item_titles[0] == "Toy Story (1995)"
