"""Coat and Yahoo!R3, whose test items were shown to users at random."""

import os
import warnings
from pathlib import Path

import numpy as np
import polars as pl

from headtail._checks import checked
from headtail._files import to_path
from headtail.data import Split
from headtail.data.files import read_table, readable
from headtail.exceptions import UnreadableFileError

_COAT = "train.ascii", "test.ascii"
_YAHOO = tuple(f"ydata-ymusic-rating-study-v1_0-{part}.txt" for part in ("train", "test"))
_COLUMNS = "user_id", "item_id", "rating"


@checked
def uniform_exposure(folder: str | os.PathLike[str], *, min_rating: float = 4) -> Split:
    r"""Read the folder of Coat or of Yahoo!R3, as downloaded and unpacked.

    What users rated by themselves is the training part, and what they were shown at random the test, which says how
    accurate a recommender is whatever is popular. Pairs in both stay in training. Neither set may be passed on: Coat is
    at https://www.cs.cornell.edu/~schnabts/mnar/, and Yahoo!R3 is lent by Yahoo Webscope under a signed agreement. A
    folder or file that is missing or damaged is an UnreadableFileError.

    Parameters
    ----------
    folder : path
        With ``train.ascii`` and ``test.ascii``, or with ``ydata-ymusic-rating-study-v1_0-train.txt`` and ``-test.txt``.
    min_rating : float, default 4
        Ratings from this on count as interactions.

    Source: Schnabel et al., Recommendations as treatments, ICML 2016; Marlin and Zemel, Collaborative prediction and
    ranking with non-random missing data, RecSys 2009.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "train.ascii").write_text("5 0 4\n0 4 1\n")
    ...     _ = (Path(folder) / "test.ascii").write_text("0 5 0\n4 0 0\n")
    ...     {name: len(part) for name, part in uniform_exposure(folder).parts.items()}
    {'train': 3, 'test': 2}
    """
    folder = to_path(folder)
    for names, read in ((_COAT, _matrix), (_YAHOO, _rows)):
        files = [folder / name for name in names]
        if all(file.exists() for file in files):
            train, test = (read(file) for file in files)
            return Split.from_frames(train, test, min_rating=min_rating, overlap="train")
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) if folder.is_dir() else ""
    raise UnreadableFileError(
        f"{folder} has neither {' and '.join(_COAT)} nor {' and '.join(_YAHOO)}; it holds {there or 'nothing'}. Give "
        f"the folder of Coat or Yahoo!R3, unpacked."
    )


def _rows(file: Path) -> pl.DataFrame:
    """Read lines of a user, an item and a rating."""
    found = read_table(file, names=list(_COLUMNS))
    if pl.String in found.dtypes:
        raise UnreadableFileError(f"Cannot read {file}: it holds text. Unpack the set again.")
    return found


def _matrix(file: Path) -> pl.DataFrame:
    """Read a row of ratings for each user, 0 where there is none."""
    with readable(file, "Unpack the set again."), warnings.catch_warnings(action="error"):
        try:
            ratings = np.loadtxt(file, ndmin=2)
        except (ValueError, UserWarning) as error:  # no numbers, lines of different lengths, nothing at all
            raise UnreadableFileError(f"Cannot read {file}: {error} Unpack the set again.") from None
    users, items = np.nonzero(ratings)
    return pl.DataFrame(dict(zip(_COLUMNS, (users, items, ratings[users, items]), strict=True)))
