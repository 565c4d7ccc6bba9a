"""Real interactions: MovieTweetings, which comes with the package, and MovieLens, which a user downloads."""

import os
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import polars as pl

from headtail._checks import checked
from headtail._files import to_path
from headtail.data import Interactions
from headtail.data.files import check_exists, read_table, readable
from headtail.exceptions import UnreadableFileError


@checked
def movietweetings(*, k_core: int = 5, min_rating: float | None = None) -> Interactions:
    """Return MovieTweetings: ratings of films that people posted on Twitter, with titles and times.

    The snapshot of 100,000 ratings, 0 to 10 (February to September 2013), by 16,554 users of 10,506 films, collected
    and published by Simon Dooms at https://github.com/sidooms/MovieTweetings under the MIT licence, which comes with it
    (``LICENSE.movietweetings``). The 5-core has 4,333 users, 2,414 items and 68,055 interactions.

    `k_core` and `min_rating` are as for :meth:`headtail.Interactions.from_frame`.

    Source: Dooms, De Pessemier and Martens, MovieTweetings: a movie rating dataset collected from Twitter, CrowdRec
    2013.

    Examples
    --------
    >>> movietweetings()
    Interactions(4,333 users, 2,414 items, 68,055 interactions, density 0.65%)
    """
    folder = resources.files("headtail.datasets")
    ratings, titles = (
        pl.read_parquet((folder / name).read_bytes())
        for name in ("movietweetings.parquet", "movietweetings_titles.parquet")
    )
    return Interactions.from_frame(ratings, titles=titles, k_core=k_core, min_rating=min_rating)


class _Layout(NamedTuple):
    """How a release of MovieLens is laid out."""

    ratings: str
    films: str
    separator: str
    header: bool


_LAYOUTS = (
    _Layout("u.data", "u.item", "|", header=False),  # ml-100k
    _Layout("ratings.dat", "movies.dat", "::", header=False),  # ml-1m, ml-10m
    _Layout("ratings.csv", "movies.csv", ",", header=True),  # ml-20m, ml-25m, ml-32m, ml-latest
)


@checked
def movielens(folder: str | os.PathLike[str], *, k_core: int = 0, min_rating: float | None = None) -> Interactions:
    r"""Read the folder of an official MovieLens release, as downloaded and unpacked.

    All releases of ratings are known: ml-100k, ml-1m, ml-10m, ml-20m, ml-25m, ml-32m, ml-latest and ml-latest-small.
    The sets themselves may not be passed on and are at https://grouplens.org/datasets/movielens/. Ratings, timestamps
    and titles are read; a folder or file that is missing or damaged is an UnreadableFileError.

    `k_core` and `min_rating` are as for :meth:`headtail.Interactions.from_frame`.

    Source: Harper and Konstan, The MovieLens datasets: history and context, ACM TiiS 2015.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "ratings.dat").write_text("1::7::5::978300760\n2::7::3::978302109\n")
    ...     _ = (Path(folder) / "movies.dat").write_text("7::Sabrina (1995)::Comedy\n")
    ...     movielens(folder).item_titles.tolist()
    ['Sabrina (1995)']
    """
    layout, ratings_file, films = movielens_files(folder)
    names = None if layout.header else ["user_id", "item_id", "rating", "timestamp"]
    ratings = read_table(ratings_file, names=names)
    if pl.String in ratings.dtypes:
        raise UnreadableFileError(f"Cannot read {ratings_file}: it holds text. Unpack the release again.")
    titles = read_table(films) if layout.header else _titles(films, layout.separator)
    return Interactions.from_frame(ratings, titles=titles, k_core=k_core, min_rating=min_rating)


def movielens_files(folder: str | os.PathLike[str]) -> tuple[_Layout, Path, Path]:
    """Return the layout of a MovieLens release, and its files of ratings and of films."""
    folder = to_path(folder)
    if not folder.is_dir():
        raise UnreadableFileError(f"There is no folder {folder}. Give the folder of an unpacked MovieLens release.")
    layout = next((one for one in _LAYOUTS if (folder / one.ratings).exists()), None)
    if layout is None:
        wanted = ", ".join(one.ratings for one in _LAYOUTS)
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise UnreadableFileError(f"{folder} has none of the files {wanted}; it holds {there}. Is it one level deeper?")
    return layout, folder / layout.ratings, folder / layout.films


def _titles(path: Path, separator: str) -> pl.DataFrame:
    """Read item and title from the older releases, whose other fields are no concern here."""
    with readable(path, "Unpack the release again."):
        check_exists(path)
        content = path.read_bytes()
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = content.decode("latin-1")
        rows = [line.split(separator)[:2] for line in text.split("\n") if line.strip()]
        return pl.DataFrame(rows, {"item_id": pl.String, "title": pl.String}, orient="row").cast({"item_id": pl.Int64})


DATASETS: Mapping[str, Callable[..., Interactions]] = {"movielens": movielens, "movietweetings": movietweetings}
"""Readers by name, as the command line takes it. Those of sets that must be downloaded take their folder."""
