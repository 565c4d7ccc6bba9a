"""The folders that verbs write and read: a model with what it knows, and what an interrupted run resumes from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headtail.exceptions import UnreadableFileError

if TYPE_CHECKING:
    import polars as pl

    from headtail.data import Interactions

INTERACTIONS, EXPLORED = "interactions.parquet", "explorer.json"


@contextmanager
def replaced(output: Path, names: set[str]) -> Iterator[None]:
    """Keep others from a folder that will be replaced as a whole; refuse one that holds other things than ours."""
    from headtail._checks import shown
    from headtail._files import writing

    with writing(output):
        others = {path.name for path in output.iterdir()} - names if output.is_dir() else ()
        if others:
            raise UnreadableFileError(
                f"{output} would be replaced as a whole, and it holds other things: {shown(sorted(others))}. Give "
                f"another folder."
            )
        yield


def checkpoint_of(output: Path) -> Path:
    """Return where a run that leads to `output` keeps its state."""
    from headtail._files import check_writable

    output = check_writable(output).resolve()
    return output.with_name(f"{output.name}.checkpoint")


def write_known(interactions: "Interactions", fitted: "Interactions", path: Path) -> None:
    """Write what a model knows, and which part of it was held out from training."""
    import polars as pl

    from headtail.data.files import read_table, write_interactions, write_table

    write_interactions(interactions, path)
    learned = pl.Series("split", fitted.contains(interactions.users, interactions.items))
    if not learned.all():
        named = pl.when(learned).then(pl.lit("train")).otherwise(pl.lit("held out")).alias("split")
        write_table(read_table(path).with_columns(named), path)


def _known_table(model: Path) -> "pl.DataFrame":
    """Read the file of what a model knows; raise if it is not the one that was written with the model."""
    from headtail._sealed import read_json
    from headtail.data import read_table

    read_json(model / ("steering.json" if (model / "steering.json").exists() else "model.json"))
    return read_table(model / INTERACTIONS)


def known_to(model: Path) -> "Interactions":
    """Return all that a model knows."""
    from headtail.data import Interactions

    return Interactions.from_frame(_known_table(model))


def read_known(model: Path) -> "tuple[Interactions, Interactions | None]":
    """Return what a model was trained on, and what was held out."""
    from headtail.data import Interactions, Split

    table = _known_table(model)
    if "split" not in table.columns:
        return Interactions.from_frame(table), None
    split = Split.from_frame(table, "split", test="held out")
    return split.train, split.test


def is_model(path: Path) -> bool:
    """Whether this is the folder of a model, and not a table in parts."""
    return any((path / name).exists() for name in ("model.json", "steering.json", INTERACTIONS))


def load(model: Path, device: str | None = None) -> Any:
    """Read a model, plain or steered."""
    from headtail.training import load_model

    if not (model / "steering.json").exists():
        return load_model(model, device=device)
    from headtail.sae import load_steered

    return load_steered(model).to(device or "cpu")
