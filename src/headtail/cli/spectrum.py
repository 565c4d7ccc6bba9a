"""``headtail spectrum``."""

from pathlib import Path
from typing import Any

from headtail.cli._app import Json, Model, Output, app
from headtail.cli._folders import interactions_of, load
from headtail.cli._inputs import array
from headtail.cli._output import check_output, show
from headtail.exceptions import InvalidInputError


@app.command
def spectrum(
    model: Model | None = None,
    *,
    queries: Path | None = None,
    items: Path | None = None,
    train: Path | None = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Show how much of a model's scores is popularity: singular values and their alignment.

    Parameters
    ----------
    queries
        In place of a model: a .npy file of user vectors, one row a user.
    items
        A .npy file of item vectors, one row an item, in ascending order of the item ids of --train.
    train
        Training interactions, for the popularity of the items.
    """
    from headtail.data import read_interactions
    from headtail.spectral import spectrum as _spectrum

    check_output(output)
    if (model is None) == (queries is None) or (queries is None) != (items is None):
        raise InvalidInputError("Give either the folder of a model, or both --queries and --items.")
    popularity = None if train is None else read_interactions(train).popularity
    factors: Any
    if model is not None:
        from headtail.training import vectors

        known = read_interactions(interactions_of(model))
        factors = vectors(load(model), interactions=known)
        popularity = known.popularity if popularity is None else popularity
    elif queries is not None and items is not None:
        factors = (array(queries), array(items))
    show(_spectrum(*factors, popularity=popularity), output, json)
