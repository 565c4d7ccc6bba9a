"""Files that are either whole or absent: everything is written beside its target and then moved into place."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from headtail.exceptions import UnreadableFileError

_CANNOT_WRITE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENAMETOOLONG, errno.ENOTDIR,
}  # fmt: skip


@contextlib.contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        raise UnreadableFileError(f"Cannot write {path}: {error.strerror}. Give another path or make room.") from error


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Return `path` if a file or folder could be made there; raise before long work, not after it."""
    path = Path(path)
    with _clear_errors(path):
        parent = next((p for p in path.absolute().parents if p.exists()), path)
        writable = os.access(parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
    if not parent.is_dir():
        raise UnreadableFileError(f"Cannot write {path}: {parent} is not a folder. Give another path.")
    if not writable:
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
    temporary = _beside(path)
    with _clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a new folder beside the target; put it in the target's place when the block ends well.

    A former folder of that name is moved aside first and removed last. Should the process be killed between the two
    moves, it is still there under a hidden name in the same parent.
    """
    path = check_writable(path)
    if path.exists() and not path.is_dir():
        raise UnreadableFileError(f"Cannot write {path}: it is a file. Give the path of a folder.")
    temporary, former = _beside(path), _beside(path)
    with _clear_errors(path):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            if path.exists():
                path.rename(former)
            try:
                temporary.rename(path)
            except OSError:
                if former.exists():
                    former.rename(path)
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if path.exists():
                shutil.rmtree(former, ignore_errors=True)
