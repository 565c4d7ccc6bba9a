"""``headtail spectrum``."""

from pathlib import Path
from typing import Any

import headtail as ht
from headtail.cli._app import Json, Model, Output, with_example
from headtail.cli._folders import load, read_known
from headtail.cli._inputs import NO_PAIR, Pair
from headtail.cli._output import check_output, show
from headtail.cli._tables import PLAIN, Tables


@with_example("headtail spectrum model -o spectrum.html")
def spectrum(
    model: Model | None = None,
    *,
    pair: Pair = NO_PAIR,
    train: Path | None = None,
    output: Output = None,
    json: Json = False,
    tables: Tables = PLAIN,
) -> None:
    """Show how much of a model's scores is popularity: singular values and their alignment.

    Parameters
    ----------
    train
        Training interactions, for the popularity of the items.
    """
    check_output(output)
    factors: Any = pair.read(model, tables)
    popularity: Any = None if train is None else tables.interactions(train, only_pairs=True)
    if model is not None:
        known, _ = read_known(model)
        factors = ht.vectors(load(model), interactions=known)
        popularity = known if popularity is None else popularity
    show(ht.spectrum(factors, popularity=popularity), output, json)
