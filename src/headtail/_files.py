"""Files that are either whole or absent: everything is written beside its target and then moved into place."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from headtail.exceptions import UnreadableFileError


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Return `path` if a file or folder could be made there; raise before long work, not after it."""
    path = Path(path)
    parent = next((p for p in path.absolute().parents if p.exists()), Path("/"))
    if not parent.is_dir():
        raise UnreadableFileError(f"Cannot write {path}: {parent} is not a folder. Give another path.")
    if not os.access(parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise UnreadableFileError(f"Cannot write {path}: no permission. Give a path in a folder you may write to.")
    return path


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; move it to `path` when the block ends well."""
    path = check_writable(path)
    if path.is_dir():
        raise UnreadableFileError(f"Cannot write {path}: it is a folder. Give the path of a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except PermissionError as error:
        raise UnreadableFileError(f"Cannot write {path}: {error.strerror}.") from error


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder beside the target; put it in the target's place when the block ends well."""
    path = check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            old = _beside(path)
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
