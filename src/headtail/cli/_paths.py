"""Paths among the arguments of a verb: ~ is the home, and an output that is an input is refused before any work."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from headtail._files import to_path
from headtail.exceptions import HeadtailError, InvalidInputError

_OUTPUTS = ("output", "to")
# What verbs write into their folders and others read; pages and lists may be written beside it.
_WITHIN = ("interactions.parquet", "model.json", "model.safetensors", "steering.json", "explorer.json", "neurons.json")


def at_home(value: Any) -> Any:
    """Return an argument with ~ at the beginning of its paths replaced, as shells leave --flag=~/file."""
    if isinstance(value, Path):
        before, data_set, path = str(value).rpartition("movielens:")
        return Path(before + data_set + os.path.expanduser(path))  # noqa: PTH111 - a Path raises without a home
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: at_home(getattr(value, field.name)) for field in fields(value)})
    return value


def check_apart(given: Mapping[str, Any]) -> None:
    """Raise if an output among the arguments of a verb is one of its inputs, by whatever path or link."""
    paths = list(_paths(given))
    outputs = [file for name, path in paths if name in _OUTPUTS for file in _written(path)]
    for path in (path for name, path in paths if outputs and name not in _OUTPUTS):
        files, is_table = _files(path)
        for output in outputs:
            if output.exists() and any(file.exists() and output.samefile(file) for file in files):
                raise InvalidInputError(
                    f"{output} would be written over {path}, which this command reads. Give another path."
                )
            if is_table and (
                path.resolve() in output.resolve().parents or output.absolute().match(f"{path.absolute()}")
            ):
                raise InvalidInputError(f"{output} would become a part of the table {path}. Give a path elsewhere.")


def _paths(given: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield the arguments that are paths, those of groups of arguments included."""
    for name, value in given.items():
        if isinstance(value, Path):
            yield name, value
        elif is_dataclass(value) and not isinstance(value, type):
            yield from _paths({field.name: getattr(value, field.name) for field in fields(value)})


def _written(path: Path) -> list[Path]:
    output = to_path(path)
    return [output, output.with_suffix(".item")] if output.suffix == ".inter" else [output]  # with its titles


def _files(path: Path) -> tuple[list[Path], bool]:
    """Return what a path stands for, and the folder it is in; and whether it is a table in parts."""
    from headtail.data.parts import parts_of
    from headtail.datasets.real import movielens_files

    files, parts = [path, path.resolve().parent], None
    with suppress(HeadtailError, OSError, ValueError):  # it is read later, and refused there
        if str(path).startswith("movielens:"):
            files += movielens_files(str(path)[10:])[1:]
        elif within := [path / name for name in _WITHIN if (path / name).exists()]:
            files += within
        else:
            parts = parts_of(path)
            files += [part.file for part in parts or ()]
    return files, parts is not None
