"""``headtail data``."""

from pathlib import Path
from typing import Any, Literal

import headtail as ht
from headtail._files import atomic_folder
from headtail._printable import counted
from headtail.cli._app import File, Json, KCore, Output, Titles, Whole, with_example
from headtail.cli._folders import replaced
from headtail.cli._output import check_output, say, show
from headtail.cli._tables import PLAIN, Tables
from headtail.exceptions import InvalidInputError


@with_example("headtail data clicks.csv -o clicks.html")
def data(
    file: File,
    *,
    titles: Titles = None,
    k_core: KCore = None,
    split: Literal["ratio", "leave-last", "time", "debiased"] | None = None,
    seed: Whole = 0,
    to: Path | None = None,
    output: Output = None,
    json: Json = False,
    tables: Tables = PLAIN,
) -> None:
    """Describe a file of interactions, and convert or split it.

    Parameters
    ----------
    split
        Split into training, validation and test before writing.
    seed
        Seed of a random split.
    to
        File to convert to (.csv, .tsv, .parquet, .inter); with --split a folder, which gets one Parquet file a part.
    """
    check_output(output)
    if split and to is None:
        raise InvalidInputError("--split needs --to FOLDER, where the parts are written.")
    interactions = tables.interactions(file, titles=titles, k_core=k_core)
    if to is not None and split is None:
        ht.data.write_interactions(interactions, to)
    elif to is not None and split is not None:
        parts = _split(interactions, split, seed).parts
        with replaced(to, {"train.parquet", "validation.parquet", "test.parquet"}), atomic_folder(to) as folder:
            for name, part in parts.items():
                ht.data.write_interactions(part, folder / f"{name}.parquet")
    show(ht.describe(interactions), output, json)
    if not json:
        tables.say_positives(interactions)
        if to is not None and split is not None:
            for name, part in parts.items():
                users, items = ((counts > 0).sum() for counts in (part.activity, part.popularity))
                say(
                    f"{to / name}.parquet: {counted(len(part), 'interaction')} of {counted(users, 'user')} with "
                    f"{counted(items, 'item')}"
                )


def _split(interactions: "ht.Interactions", by: str, seed: int) -> Any:
    if by == "leave-last":
        return ht.split_leave_last(interactions)
    if by == "time":
        return ht.split_time(interactions)
    split = ht.split_ratio(interactions, rng=seed)
    return split if by == "ratio" else ht.split_debiased(split, rng=seed)
