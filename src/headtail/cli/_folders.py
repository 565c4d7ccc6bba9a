"""The folders that verbs write and read: models with their interactions, and checkpoints of runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import headtail as ht
from headtail._checksums import read_json
from headtail._files import check_writable, remove_folder, writing
from headtail.exceptions import UnreadableFileError

if TYPE_CHECKING:
    import polars as pl

INTERACTIONS, EXPLORED = "interactions.parquet", "explorer.json"


@contextmanager
def replaced(output: Path, names: set[str]) -> Iterator[None]:
    """Lock a folder that will be replaced as a whole; raise if it holds other files than these names."""
    from headtail._checks import shown

    with writing(output):
        others = {path.name for path in output.iterdir()} - names if output.is_dir() else ()
        if others:
            raise UnreadableFileError(
                f"{output} would be replaced as a whole, and it holds other things: {shown(sorted(others))}. Give "
                f"another folder."
            )
        yield


@contextmanager
def resumable(output: Path, names: set[str]) -> Iterator[Path]:
    """As `replaced`; yield a checkpoint folder for the run, which is removed when the run completes."""
    place = check_writable(output, folder=True).resolve()
    checkpoint = place.with_name(f"{place.name}.checkpoint")
    with replaced(output, names):
        try:
            yield checkpoint
        except KeyboardInterrupt as stop:
            if checkpoint.exists() and not hasattr(stop, "__notes__"):
                stop.add_note(f"What was done is kept in {checkpoint}; run the same again to resume.")
            raise
        remove_folder(checkpoint, place)  # the next run may be of other data or settings


def write_known(interactions: "ht.Interactions", fitted: "ht.Interactions", path: Path) -> None:
    """Write a model's interactions, and which of them were held out from training."""
    import polars as pl

    from headtail.data.files import read_table, write_interactions, write_table

    write_interactions(interactions, path)
    learned = pl.Series("split", fitted.contains(interactions.users, interactions.items))
    if not learned.all():
        named = pl.when(learned).then(pl.lit("train")).otherwise(pl.lit("held out")).alias("split")
        write_table(read_table(path).with_columns(named), path)


def _known_table(model: Path) -> "pl.DataFrame":
    """Read the table of a model's interactions; raise if it is not the one written with the model."""
    read_json(model / ("steering.json" if (model / "steering.json").exists() else "model.json"))
    return ht.data.read_table(model / INTERACTIONS)


def known_to(model: Path) -> "ht.Interactions":
    """Return all interactions of a model."""
    return ht.Interactions.from_frame(_known_table(model))


def read_known(model: Path) -> "tuple[ht.Interactions, ht.Interactions | None]":
    """Return a model's training interactions, and the held-out ones."""
    table = _known_table(model)
    if "split" not in table.columns:
        return ht.Interactions.from_frame(table), None
    split = ht.Split.from_frame(table, "split", test="held out")
    return split.train, split.test


def is_model(path: Path) -> bool:
    """Whether this is the folder of a model, and not a table in parts."""
    return any((path / name).exists() for name in ("model.json", "steering.json", INTERACTIONS))


def load(model: Path, device: str | None = None) -> Any:
    """Read a model, plain or steered."""
    if not (model / "steering.json").exists():
        return ht.load_model(model, device=device)
    return ht.sae.load_steered(model).to(device or "cpu")
