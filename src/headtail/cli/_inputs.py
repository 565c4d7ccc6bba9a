"""Vectors from the files that a user names."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter

import headtail as ht
from headtail.cli._app import VECTORS
from headtail.cli._tables import Tables
from headtail.exceptions import InvalidInputError

_File: TypeAlias = Path | None
_QUERIES = (
    "In place of a model: vectors of users, a .npy array with a row a user, or a table of ids and vectors "
    "(a list, or text such as [0.1,0.2], or a column each); .vec as word2vec writes it."
)
_IDS = (
    "Ids of the rows of --queries: .npy, .txt (one a line) or a table; without it the user ids of --train, ascending."
)


@Parameter(name="*", group=VECTORS)
@dataclass(frozen=True)
class Pair:
    """Vectors in place of a model: parameters shared by the verbs that take them."""

    queries: Annotated[_File, Parameter(help=_QUERIES)] = None
    items: Annotated[_File, Parameter(help="Vectors of items, likewise.")] = None
    user_ids: Annotated[_File, Parameter(help=_IDS)] = None
    item_ids: Annotated[_File, Parameter(help="Ids of the rows of --items, likewise.")] = None

    def read(
        self, source: Path | None, tables: Tables, kind: str = "either the folder of a model"
    ) -> "ht.Vectors | None":
        """Return the vectors, or None if another source is given; raise unless it is exactly one of the two."""
        if (self.queries is None) != (self.items is None) or (source is None) == (self.queries is None):
            raise InvalidInputError(f"Give {kind}, or both --queries and --items.")
        if self.queries is None or self.items is None:
            if self.user_ids is not None or self.item_ids is not None:
                raise InvalidInputError(
                    "--user-ids and --item-ids name the rows of --queries and --items. Leave them out."
                )
            return None
        named = {"user_id": self.user_ids, "item_id": self.item_ids}
        of_rows = {f"{role}s": tables.ids(file, role) for role, file in named.items() if file is not None}
        return ht.Vectors(tables.vectors(self.queries, "user_id"), tables.vectors(self.items, "item_id"), **of_rows)


NO_PAIR: Any = Pair()
