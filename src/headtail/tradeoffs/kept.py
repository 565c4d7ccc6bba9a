"""The points of a sweep that are kept in a folder, from which an interrupted one resumes."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np

from headtail._checksums import FORMAT, check_settings, read_json, write_json
from headtail._files import atomic_file, writing
from headtail.exceptions import CheckpointMismatchError, UnreadableFileError
from headtail.tradeoffs.points import Part, Point
from headtail.typing import Floats

Influence = dict[Part, dict[str, Floats]]


def file_name(name: str) -> str:
    """Return a name without characters that file systems reserve, such as the star of FA*IR."""
    return re.sub(r'[<>:"/\\|?*]', "-", name)


def check_same(saved: Point, measured: Point, file: Path) -> None:
    """Raise if a point comes out differently when it is measured again."""
    for part in ("validation", "test"):
        now = getattr(measured, part)
        for name, value in getattr(saved, part).items():
            if not np.isclose(value, now.get(name, np.nan), rtol=1e-6, atol=1e-12, equal_nan=True):
                raise CheckpointMismatchError(
                    f"{file.parent} holds a sweep of something else: {name} on {part} of {saved.method!r} at "
                    f"{saved.setting!r} is {value:.6g} there and {now.get(name, np.nan):.6g} now. Give another folder; "
                    f"if only chance in training differs, say what is swept with identity=..."
                )


def save_point(file: Path, point: Point, owed: Mapping[Part, Mapping[str, Floats]]) -> None:
    """Write the arrays first, since the JSON file marks a point as complete; what killed writers left goes."""
    arrays = {f"{part} {name}": values for part, found in owed.items() for name, values in found.items()}
    beside = file.with_suffix(".npz")
    with writing(file, folder=False), writing(beside, folder=False):
        with atomic_file(beside) as temporary, temporary.open("wb") as opened:
            np.savez(opened, **arrays)  # type: ignore[arg-type]
        _write({"format": FORMAT, **asdict(point)}, file)


def open_folder(folder: Path, plan: dict[str, Any]) -> Path:
    """Return the folder, which must hold this sweep or none."""
    file = folder / "sweep.json"
    if not file.exists():
        with writing(file, folder=False):  # two sweeps may start at once
            if not file.exists() and any(folder.glob("seed-*")):
                raise CheckpointMismatchError(
                    f"{folder} holds points without {file.name}, which said of which sweep. Empty it, or give another."
                )
            if not file.exists():
                _write(plan, file)
    check_settings(read_json(file), plan, folder)
    return folder


def _write(values: dict[str, Any], file: Path) -> None:
    with atomic_file(file) as temporary:
        write_json(values, temporary)


def load_point(file: Path) -> tuple[Point, Influence]:
    """Return a point and each user's influences on its metrics."""
    saved = read_json(file)
    try:
        intervals = {name: (low, high) for name, (low, high) in saved["intervals"].items()}
        point = Point(saved["method"], saved["setting"], saved["seed"], saved["validation"], saved["test"], intervals)
        owed: Influence = {"validation": {}, "test": {}}
        with file.with_suffix(".npz").open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            for key in arrays.files:
                part, _, name = key.partition(" ")
                owed[cast(Part, part)][name] = arrays[key]
    except (KeyError, TypeError, AttributeError, ValueError, OSError, RuntimeError, EOFError, BadZipFile) as error:
        raise UnreadableFileError(f"{file} or the arrays beside it cannot be read: {error}. Remove both.") from error
    return point, owed
