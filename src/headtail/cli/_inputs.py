"""How verbs read the files that a user names."""

from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Parameter

from headtail.exceptions import InvalidInputError, UnreadableFileError

if TYPE_CHECKING:
    from headtail.data import Interactions
    from headtail.typing import Vectors

_File: TypeAlias = Path | None
_IDS = (
    "Ids of the rows of --queries: .npy, .txt (one a line) or a table; without it the user ids of --train, ascending."
)


@Parameter(name="*")
@dataclass(frozen=True)
class Pair:
    """Vectors from anywhere in place of a model; parameters that every verb that takes them shares."""

    queries: Annotated[_File, Parameter(help="In place of a model: a .npy file of user vectors, one row a user.")] = (
        None
    )
    items: Annotated[_File, Parameter(help="A .npy file of item vectors, one row an item.")] = None
    user_ids: Annotated[_File, Parameter(help=_IDS)] = None
    item_ids: Annotated[_File, Parameter(help="Ids of the rows of --items, likewise.")] = None

    def read(self, source: Path | None, kind: str = "either the folder of a model") -> "Vectors | None":
        """Return the vectors, or None where a source of another kind is given; raise unless it is one of the two."""
        from headtail.typing import Vectors

        if (self.queries is None) != (self.items is None) or (source is None) == (self.queries is None):
            raise InvalidInputError(f"Give {kind}, or both --queries and --items.")
        if self.queries is None or self.items is None:
            if self.user_ids is not None or self.item_ids is not None:
                raise InvalidInputError(
                    "--user-ids and --item-ids name the rows of --queries and --items. Leave them out."
                )
            return None
        named = {"user_id": self.user_ids, "item_id": self.item_ids}
        of_rows = {f"{role}s": ids(file, role) for role, file in named.items() if file is not None}
        return Vectors(array(self.queries), array(self.items), **of_rows)


NO_PAIR: Any = Pair()


def read(file: Path, *, k_core: int | None, **options: Any) -> "Interactions":
    """Read interactions from a file, or a data set by its name; `k_core` of None is what is usual there."""
    from headtail.data import read_interactions
    from headtail.datasets import DATASETS

    name, _, folder = str(file).partition(":")
    if name in DATASETS and not file.exists():
        if bool(folder) != ("folder" in signature(DATASETS[name]).parameters):
            cure = f"leave out {folder!r}" if folder else f"say where it is, as {name}:FOLDER"
            raise InvalidInputError(f"{file} cannot be read: {cure}.")
        options = {role: value for role, value in options.items() if value is not None and role == "min_rating"}
        options |= {} if k_core is None else {"k_core": k_core}
        return DATASETS[name](*[folder] * bool(folder), **options)
    return read_interactions(file, k_core=k_core or 0, **options)


def ids(file: Path, role: str) -> list[Any]:
    """Return the ids of a .npy array, of the lines of a .txt, or of a table with a column of them."""
    if file.suffix == ".npy":
        return list(array(file).tolist())
    from headtail._columns import resolve_columns
    from headtail.data import read_table

    if file.suffix == ".txt":
        return _lines(file)
    table = read_table(file)
    name = table.columns[0] if table.width == 1 else resolve_columns(table.columns, [role], what=str(file))[role]
    return list(table[name].to_list())


def _lines(file: Path) -> list[Any]:
    """Return the lines of a text: whole numbers, if all of them are."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"Cannot read {file} as text: {error}") from None
    return [int(line) for line in lines] if all(line.isdecimal() for line in lines) else list(lines)


def array(path: Path) -> Any:
    """Read a .npy file without loading it whole."""
    import numpy as np

    try:
        found = np.load(str(path), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableFileError(f"Cannot read {path} as a .npy array: {error}") from None
    if not isinstance(found, np.ndarray):
        raise UnreadableFileError(f"Cannot read {path} as a .npy array: it holds several. Save one with numpy.save.")
    return found
