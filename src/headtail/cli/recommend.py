"""``headtail recommend``."""

from pathlib import Path

import headtail as ht
from headtail._printable import counted
from headtail.cli._app import Device, Folder, Length, Model, with_example
from headtail.cli._folders import known_to, load
from headtail.cli._output import say
from headtail.cli._tables import Tables


@with_example("headtail recommend model -o recs.parquet")
def recommend(
    model: Model,
    *,
    output: Folder,
    k: Length = None,
    users: Path | None = None,
    user: str | None = None,
    exclude_seen: bool = True,
    device: Device = None,
) -> None:
    """Write the k best items of each user.

    Parameters
    ----------
    output
        File for the recommendations (.parquet, .csv): user_id, item_id, rank, score.
    users
        File with the ids of the users to serve, each once or more; all without it.
    user
        Column of the users in that file, where it has no usual name.
    exclude_seen
        Leave out what a user has interacted with.
    """
    from headtail.data.files import check_table

    check_table(output)
    interactions = known_to(model)
    wanted = None if users is None else list(dict.fromkeys(Tables(user=user).ids(users, "user_id")))
    lists = ht.recommend(load(model), interactions, users=wanted, k=k, exclude_seen=exclude_seen, device=device)
    ht.data.write_table(lists.to_polars(), output)
    say(f"{counted(len(lists), 'list')} of {lists.k} written to {output}")
