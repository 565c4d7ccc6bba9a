"""Layout and filters of the user's tables: parameters shared by the verbs that read them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import partial
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

import headtail as ht
from headtail._files import refuse_empty, to_path
from headtail._printable import counted, python_command
from headtail.cli._app import TABLES
from headtail.cli._output import say
from headtail.exceptions import HeadtailError, InvalidInputError, UnreadableFileError

if TYPE_CHECKING:
    import polars as pl

_Name: TypeAlias = str | None
_COLUMNS = "Names for text files without a header, such as user,item,rating; repeat it for files of other widths."
_IDS = ("user_id", "item_id")
_ROLES = (*_IDS, "rating", "timestamp", "order")
_DROP = "Column to leave out, by its name or by its role: timestamp, rating, order, rank or score; may be repeated."
_DROPPED = ("timestamp", "rating", "order", "rank", "score")  # roles that messages may name


@Parameter(name="*", group=TABLES)
@dataclass(frozen=True)
class Tables:
    """Column names and filters, the same for all tables of a command."""

    user: Annotated[_Name, Parameter(help="Column of the users, where it has no usual name.")] = None
    item: Annotated[_Name, Parameter(help="Column of the items.")] = None
    rating: Annotated[_Name, Parameter(help="Column of ratings, play counts or other strengths.")] = None
    timestamp: Annotated[_Name, Parameter(help="Column of times.")] = None
    order: Annotated[_Name, Parameter(help="Column of the place in the user's own order, where no time is known.")] = (
        None
    )
    score: Annotated[_Name, Parameter(help="Column of the scores of recommendations.")] = None
    columns: Annotated[list[str] | None, Parameter(negative="", help=_COLUMNS)] = None
    duplicates: Annotated[
        Literal["error", "first", "last", "mean", "sum"],
        Parameter(help="What to do with several rows of one (user, item) pair; sums and means are of ratings."),
    ] = "error"
    min_rating: Annotated[float | None, Parameter(help="Keep interactions with at least this rating.")] = None
    time_format: Annotated[_Name, Parameter(help="How times are written in text, such as '%d/%m/%Y %H:%M'.")] = None
    drop: Annotated[list[str] | None, Parameter(negative="", help=_DROP)] = None

    def interactions(
        self, file: Path, *, k_core: int | None = 0, titles: Path | None = None, only_pairs: bool = False
    ) -> "ht.Interactions":
        """Read interactions from a file, or a data set by its name; `k_core` of None is what is usual there.

        With `only_pairs`, ratings, times and order that cannot be read are left out, unless a flag speaks of them.
        """
        from headtail._columns import logger
        from headtail.data.files import titles_beside

        titled = None if titles is None else self.table(titles, "item_id", attribute="title")
        with naming(file):
            made = self._data_set(file, k_core)
            if made is not None:
                return made if titled is None else made.with_titles(titled)
            table = listed(self.read(file), file, self.user, self.item)
            read = partial(
                ht.Interactions.from_frame,
                titles=titles_beside(file) if titled is None else titled,
                min_rating=self.min_rating,
                k_core=k_core or 0,
                duplicates=self.duplicates,
                what=str(file),
            )
            named = {role.removesuffix("_id"): name for role, name in self._named(table, file, *_ROLES).items()}
            try:
                return read(table, **named)
            except InvalidInputError as error:
                told = (self.min_rating, *(named[role] for role in ("rating", "timestamp", "order")))
                flagged = self.duplicates != "error" or any(flag is not None for flag in told)
                if flagged or not only_pairs:
                    raise
                pairs = read(self.table(file, *_IDS).select("^(user_id|item_id|item_title)$"))
                logger.warning("%s: %s Until then it is read without ratings, times and order.", file, error)
                return pairs

    def _data_set(self, file: Path, k_core: int | None) -> "ht.Interactions | None":
        """Return a data set by name, or None if there is none or a file has that name."""
        from headtail._columns import logger

        name, _, folder = str(file).partition(":")
        if name not in ht.datasets.DATASETS or file.exists():
            return None
        if bool(folder) != ("folder" in signature(ht.datasets.DATASETS[name]).parameters):
            cure = f"leave out {folder!r}" if folder else f"say where it is, as {name}:FOLDER"
            raise InvalidInputError(f"{file} cannot be read: {cure}.")
        given = {"k_core": k_core, "min_rating": self.min_rating}
        options = {option: value for option, value in given.items() if value is not None}
        of_files = [f"--{name}" for name, value in asdict(self).items() if value != getattr(PLAIN, name)]
        if unused := ", ".join(flag for flag in of_files if flag not in ("--min_rating", "--score")):
            logger.warning("%s is a data set with columns of its own, so %s does not matter to it.", file, unused)
        return ht.datasets.DATASETS[name](*[folder] * bool(folder), **options)

    def table(self, file: Path, *roles: str, attribute: str | None = None) -> "pl.DataFrame":
        """Read a table, with the columns of these roles renamed to them.

        `attribute` is the name of what an object of JSON holds for each id.
        """
        import polars as pl

        from headtail._columns import resolve_columns
        from headtail._frames import unnested

        keyed = None if attribute is None else (roles[0], attribute)
        ids = {role: getattr(self, role.removesuffix("_id")) for role in roles if role in _IDS}
        table: pl.DataFrame = unnested(self.read(file, keyed), str(file), ids, ids).to_native()
        given = self._named(table, file, *roles)
        named = resolve_columns(table.columns, given, given=given, what=str(file))
        roles_of = {name: role for role, name in named.items()}
        kept = [name for name in table.columns if name in roles_of or name not in named]
        return table.select(pl.col(name).alias(roles_of.get(name, name)) for name in kept)

    def lists(self, file: Path) -> "pl.DataFrame":
        """Read recommendations, with lists made of what a text file writes as several ids, or scores, in one field."""
        return listed(self.table(file, "user_id", "item_id", *["score"] * (self.score is not None)), file)

    def vectors(self, file: Path, role: str) -> Any:
        """Return the matrix of a .npy array, or the ids and vectors of a table or of a text as word2vec writes it."""
        if file.suffix in (".npy", ".npz"):
            return array(file)
        words = word_vectors(file) if file.suffix in (".txt", ".vec") else None
        if words is not None:
            return words
        table, name = self.read(file, (role, "vector")), getattr(self, role.removesuffix("_id"))
        return table.rename({name: role}) if name in table.columns else table

    def ids(self, file: Path, role: str) -> Any:
        """Return the ids of a .npy array, of the lines of a .txt, of a list or numbering in JSON, or of a table."""
        if file.suffix == ".npy":
            return list(array(file).tolist())
        if file.suffix == ".txt":
            return _lines(file)
        table = self.read(file, (role, "row"))
        if table.columns == [role, "row"]:
            return dict(table.rows())
        return list((table.to_series() if table.width == 1 else self.table(file, role)[role]).to_list())

    def read(self, file: Path, keyed: tuple[str, str] | None = None) -> "pl.DataFrame":
        """Read a table, with the given column names if it is a text file without a header."""
        from headtail.data.files import names_for

        if self.columns is None:
            return self._mended(ht.data.read_table(file, keyed=keyed), file)
        choices = [[name.strip() for name in names.split(",")] for names in self.columns]
        return self._mended(ht.data.read_table(file, names=names_for(file, choices)), file)

    def _mended(self, table: "pl.DataFrame", file: Path) -> "pl.DataFrame":
        """Return a table without the columns to drop, and with the times and percentages that are text read."""
        import polars as pl

        from headtail._columns import logger, resolve_columns

        for gone in self.drop or ():
            name = gone if gone in table.columns else resolve_columns(table.columns, (), _DROPPED).get(gone)
            if name is None:
                logger.warning("%s has no column %r to leave out.", file, gone)
            else:
                table = table.drop(name)
        for role in ("timestamp", "rating", "score"):
            name = getattr(self, role)
            if name not in table.columns:
                name = resolve_columns(table.columns, (), [role]).get(role)
            if name is None or name in (self.user, self.item) or table[name].dtype != pl.String:
                continue
            if role == "timestamp" and self.time_format is not None:
                read = table[name].str.to_datetime(self.time_format, strict=False)
                wrong = table[name].filter(read.is_null() & table[name].is_not_null())
                if len(wrong):
                    raise InvalidInputError(
                        f"{file}: --time-format {self.time_format} does not fit {wrong[0]!r}. Mend one."
                    )
            elif role != "timestamp" and table[name].str.contains("%", literal=True).all():
                read = table[name].str.strip_chars("% ").cast(pl.Float64, strict=False)
                if read.null_count() > table[name].null_count():
                    continue
            else:
                continue
            logger.info("%s: the text in %r is read as %s", file, name, read.dtype)
            table = table.with_columns(read.alias(name))
        return table

    def _named(self, table: "pl.DataFrame", file: Path, *roles: str) -> dict[str, Any]:
        """Return the column named for each role, or None where this table has a usual id column instead.

        The same flags name the columns of all tables of a command, which may differ.
        """
        from headtail._columns import logger, resolve_columns

        given = {role: getattr(self, role.removesuffix("_id")) for role in roles}
        usual = resolve_columns(table.columns, (), [role for role in roles if role in _IDS], what=str(file))
        for role, name in usual.items():
            if given[role] not in (None, *table.columns) and not get_close_matches(given[role], table.columns):
                logger.warning("%s has no column %r; %r is read in its place.", file, given[role], name)
                given[role] = None
        return given

    def say_positives(self, interactions: "ht.Interactions") -> None:
        """Print which rows count as positives."""
        ratings = interactions.ratings
        if ratings is None or not len(ratings):
            return
        if self.min_rating is not None:
            say(f"Positives: the {counted(len(ratings), 'row')} with a rating of at least {self.min_rating:g}.")
        elif ratings.min() < ratings.max():
            say(
                f"Positives: all {counted(len(ratings), 'row')}, whatever their rating ({ratings.min():g} to "
                f"{ratings.max():g}); --min-rating keeps those from a value on."
            )


def listed(table: "pl.DataFrame", file: Path, user: str | None = None, item: str | None = None) -> "pl.DataFrame":
    """Return a table with lists made of what a text file writes as several ids, or scores, in one field."""
    import polars as pl

    from headtail._columns import logger, resolve_columns
    from headtail._frames import holds_lists
    from headtail.data.text_files import as_numbers

    given = {role: name for role, name in (("user_id", user), ("item_id", item)) if name in table.columns}
    found = given | resolve_columns(table.columns, (), [role for role in _IDS if role not in given])
    if len(found) < 2 or table[found["item_id"]].dtype != pl.String:
        return table
    if not holds_lists(table[found["item_id"]], table[found["user_id"]]):
        return table
    parts = {name: _apart(table[name]) for name in table.columns if table[name].dtype == pl.String}
    n = parts[found["item_id"]].list.len()
    lists = {name: made for name, made in parts.items() if (made.list.len() == n).all() and name != found["user_id"]}
    logger.warning("%s: %s hold several values in one text, and are read as lists.", file, ", ".join(lists))
    kinds = {name: as_numbers(made.explode()).dtype for name, made in lists.items()}
    return table.with_columns(made.cast(pl.List(kinds[name])) for name, made in lists.items())


def _apart(texts: "pl.Series") -> "pl.Series":
    """Return lists of what stands in each text: between quotes or, where there are none, commas or, else, blanks."""
    import polars as pl

    quoted = r"""'[^']*'|"[^"]*\""""
    if texts.str.contains(quoted).any():
        return texts.str.extract_all(quoted).list.eval(pl.element().str.slice(1).str.head(-1))
    between = r",;|" if texts.str.contains(r"[,;|]").any() else r"\s"
    return texts.str.extract_all(rf"[^\[\]{between}]+").list.eval(pl.element().str.strip_chars())


def array(path: Path) -> Any:
    """Read a .npy file without loading it whole."""
    import numpy as np

    path = to_path(path)
    refuse_empty(path)
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy has no error of its own for a damaged header
        cure, name = "", repr(str(path))
        if "Python objects" in str(error):
            values = f"numpy.load({name}, allow_pickle=True).tolist()"
            cure = (
                " Loading those may run code. If the file is your own, save it as text or numbers: "
                + python_command(f"import numpy; numpy.save({name}, numpy.array({values}))")
            )
        raise UnreadableFileError(f"Cannot read {path} as a .npy array: {error}{cure}") from None
    if not isinstance(found, np.ndarray):
        raise UnreadableFileError(
            f"Cannot read {path} as a .npy array: it holds several, {', '.join(found.files)}. Save each on its own: "
            + python_command(f"import numpy; [numpy.save(*each) for each in numpy.load({str(path)!r}).items()]")
        )
    return found


def word_vectors(file: Path) -> "pl.DataFrame | None":
    """Return the ids and vectors of a text with blanks between them, as word2vec, GloVe and fastText write it."""
    import polars as pl

    from headtail.data.files import readable
    from headtail.data.text_files import as_numbers

    with readable(file), to_path(file).open("rb") as text:
        first = text.readline()
        counts = bool(re.fullmatch(rb"\d+ \d+\s*", first))
        fields = (text.readline() if counts else first).split()
        if len(fields) < 3 or re.search(rb"[\t,;|]", first):
            return None
        kinds = {str(i): pl.Float64 if i else pl.String for i in range(len(fields))}
        form: Any = {"separator": " ", "has_header": False, "skip_rows": int(counts), "quote_char": None}
        table = pl.read_csv(to_path(file), **form, new_columns=list(kinds), schema_overrides=kinds)
    return table.select(list(kinds)).rename({"0": "id"}).with_columns(as_numbers(table["0"]).alias("id"))


def _lines(file: Path) -> list[Any]:
    """Return the lines of a text file, as numbers where those of a table would be."""
    import polars as pl

    from headtail.data.text_files import as_numbers

    refuse_empty(file)
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"Cannot read {file} as text: {error}") from None
    return as_numbers(pl.Series(lines, dtype=pl.String)).to_list()


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Prefix errors with the file."""
    try:
        yield
    except HeadtailError as error:
        if str(file)[:200] not in str(error):
            error.args = (f"{file}: {error}",)
        raise


PLAIN: Any = Tables()
