"""``headtail spectrum``."""

from pathlib import Path
from typing import Any

from headtail.cli._app import Json, Model, Output, app
from headtail.cli._folders import interactions_of, load
from headtail.cli._inputs import array, ids
from headtail.cli._output import check_output, show
from headtail.cli._tables import PLAIN, Tables
from headtail.exceptions import InvalidInputError


@app.command
def spectrum(
    model: Model | None = None,
    *,
    queries: Path | None = None,
    items: Path | None = None,
    train: Path | None = None,
    user_ids: Path | None = None,
    item_ids: Path | None = None,
    output: Output = None,
    json: Json = False,
    tables: Tables = PLAIN,
) -> None:
    """Show how much of a model's scores is popularity: singular values and their alignment.

    Parameters
    ----------
    queries
        In place of a model: a .npy file of user vectors, one row a user.
    items
        A .npy file of item vectors, one row an item.
    train
        Training interactions, for the popularity of the items.
    user_ids
        Ids of the rows of --queries: .npy, .txt (one a line) or a table; without it those of --train, ascending.
    item_ids
        Ids of the rows of --items, likewise.
    """
    from headtail.data import read_interactions
    from headtail.spectral import spectrum as _spectrum
    from headtail.typing import Vectors

    check_output(output)
    if (model is None) == (queries is None) or (queries is None) != (items is None):
        raise InvalidInputError("Give either the folder of a model, or both --queries and --items.")
    popularity: Any = None if train is None else tables.interactions(train)
    factors: Any
    if model is not None:
        from headtail.training import vectors

        known = read_interactions(interactions_of(model))
        factors = vectors(load(model), interactions=known)
        popularity = known if popularity is None else popularity
    elif queries is not None and items is not None:
        named = {"user_id": user_ids, "item_id": item_ids}
        of_rows = {f"{role}s": ids(file, role) for role, file in named.items() if file is not None}
        factors = Vectors(array(queries), array(items), **of_rows)
    show(_spectrum(factors, popularity=popularity), output, json)
