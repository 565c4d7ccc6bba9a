"""How the tables of a user are laid out, and what of them counts: parameters that every verb that reads one shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from headtail.cli._inputs import read
from headtail.cli._output import say
from headtail.exceptions import HeadtailError

if TYPE_CHECKING:
    import polars as pl

    from headtail.data import Interactions

_Name: TypeAlias = str | None


@Parameter(name="*")
@dataclass(frozen=True)
class Tables:
    """Names of columns, and what to do with rows; the same for all tables of a command."""

    user: Annotated[_Name, Parameter(help="Column of the users, where it has no usual name.")] = None
    item: Annotated[_Name, Parameter(help="Column of the items.")] = None
    rating: Annotated[_Name, Parameter(help="Column of ratings, play counts or other strengths.")] = None
    timestamp: Annotated[_Name, Parameter(help="Column of times.")] = None
    order: Annotated[_Name, Parameter(help="Column of the place in the user's own order, where no time is known.")] = (
        None
    )
    score: Annotated[_Name, Parameter(help="Column of the scores of recommendations.")] = None
    columns: Annotated[_Name, Parameter(help="Names for text files without a header, such as user,item,rating.")] = None
    duplicates: Annotated[
        Literal["error", "first", "last", "mean", "sum"],
        Parameter(help="What to do with several rows of one (user, item) pair; sums and means are of ratings."),
    ] = "error"
    min_rating: Annotated[float | None, Parameter(help="Keep interactions with at least this rating.")] = None

    def interactions(self, file: Path, *, k_core: int | None = 0, titles: Path | None = None) -> "Interactions":
        """Read interactions from a file, or a data set by its name."""
        roles = {role: getattr(self, role) for role in ("user", "item", "rating", "timestamp", "order")}
        options = roles | {"titles": titles, "min_rating": self.min_rating, "duplicates": self.duplicates}
        with naming(file):
            return read(file, k_core=k_core, names=self._names(file), **options)

    def lists(self, file: Path) -> "pl.DataFrame":
        """Read recommendations, their columns renamed to what they are."""
        from headtail._columns import resolve_columns
        from headtail.data import read_table

        table = read_table(file, names=self._names(file))
        given: dict[str, Any] = {"user_id": self.user, "item_id": self.item}
        # These name columns of all tables; where this one has the usual names in their place, those are meant.
        usual = resolve_columns(table.columns, (), given, what=str(file))
        given = {role: None if name not in table.columns and role in usual else name for role, name in given.items()}
        given |= {} if self.score is None else {"score": self.score}
        named = resolve_columns(table.columns, given, given=given, what=str(file))
        named = {role: name for role, name in named.items() if role != name}
        return table.drop([role for role in named if role in table.columns]).rename({v: k for k, v in named.items()})

    def _names(self, file: Path) -> list[str] | None:
        """Return the names of the columns of a file, if it is a text without a first line of names."""
        from headtail.data.files import names_in
        from headtail.data.text_files import TEXT, form_of

        if self.columns is None or form_of(file) not in TEXT or not file.exists():
            return None
        names = [name.strip() for name in self.columns.split(",")]
        return None if names_in(file, names) else names

    def say_positives(self, interactions: "Interactions") -> None:
        """Print which rows count as positive."""
        ratings = interactions.ratings
        if ratings is None or not len(ratings):
            return
        if self.min_rating is not None:
            say(f"Positives: the {len(ratings):,} rows with a rating of at least {self.min_rating:g}.")
        elif ratings.min() < ratings.max():
            say(
                f"Positives: all {len(ratings):,} rows, whatever their rating ({ratings.min():g} to "
                f"{ratings.max():g}); --min-rating keeps those from a value on."
            )


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Say of which file an error speaks."""
    try:
        yield
    except HeadtailError as error:
        if str(file) not in str(error):
            error.args = (f"{file}: {error}",)
        raise


PLAIN: Any = Tables()
