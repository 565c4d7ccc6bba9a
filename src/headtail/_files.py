"""Atomic files and folders: everything is written beside its target and then moved into place."""

import contextlib
import errno
import glob
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from headtail.exceptions import HeadtailError, InvalidInputError, UnreadableFileError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

# Errors about files, as opposed to connections or a library's own use of OSError.
ABOUT_FILES = {
    errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EISDIR, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG,
    errno.ENOENT, errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS, errno.ESTALE,
}  # fmt: skip


def to_path(path: Any) -> Path:
    """Return a path; raise if no file can have such a name, or a folder on the way to it may not be entered."""
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise InvalidInputError(f"{path!r} is not a path. Give a str or a pathlib.Path.")
    try:
        os.fspath(path).encode()  # the libraries below open no names but those in UTF-8
        os.stat(f"{os.fspath(path)}/.")  # noqa: PTH116 - of a folder: may it be entered? A Path drops the dot
    except PermissionError as error:
        raise UnreadableFileError(f"Cannot reach {about_path(path, error)}") from error
    except (OSError, ValueError) as error:  # a ValueError tells of NUL and of lone surrogates
        if isinstance(error, ValueError) or error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise UnreadableFileError(f"No file can have this path: {about_path(path, error)}") from error
    return Path(path)


def about_path(path: Any, error: Exception) -> str:
    """Describe a system's error about a path, however long."""
    name = str(path) if len(str(path)) <= 200 else f"{str(path)[:200]} ..."
    return f"{name!r}: {getattr(error, 'strerror', error)}. Give another path."


def refuse_empty(path: Path, cure: str = "") -> None:
    """Raise if a file holds nothing."""
    if path.is_file() and not path.stat().st_size:
        raise UnreadableFileError(f"Cannot read {path}: it is empty. {cure}".rstrip())


def check_writable(path: str | os.PathLike[str], *, folder: bool = False) -> Path:
    """Return `path` if a file, or a folder, can be created there; to be called before long work."""
    path = to_path(path)
    if not path.absolute().name:
        raise UnreadableFileError(f"Cannot write {path}: it is the root of all. Give a path in it.")
    with _clear_errors(path):
        parent = next((p for p in path.absolute().parents if p.exists()), path)
        writable = os.access(parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
    if not parent.is_dir():
        raise UnreadableFileError(f"Cannot write {path}: {parent} is not a folder. Give another path.")
    if not writable:
        raise UnreadableFileError(
            f"Cannot write {path}: no permission, or a read-only disk. Give a path in a folder you may write to."
        )
    if folder and path.exists() and not path.is_dir():
        raise UnreadableFileError(f"Cannot write {path}: it is a file. Give the path of a folder.")
    if not folder and path.is_dir():
        raise UnreadableFileError(f"Cannot write {path}: it is a folder. Give the path of a file.")
    if not folder and path.exists() and not path.is_file():
        raise UnreadableFileError(f"Cannot write {path}: it is a device or a pipe. Give the path of a file.")
    return path


@contextlib.contextmanager
def _clear_errors(*paths: Path) -> Iterator[None]:
    """Turn system errors about any of the paths into an error about writing to the first."""
    try:
        yield
    except HeadtailError:
        raise
    except Exception as error:
        # Polars and safetensors give the system's error only as text, in an error of their own.
        told = re.search(r"([^:(]*) \(os error (\d+)\)", str(error))
        number = getattr(error, "errno", None) or (told and int(told[2]))
        named = getattr(error, "filename", None)
        place = None if named is None else Path(os.fsdecode(named))
        ours = place is None or any(place.is_relative_to(path) or path.is_relative_to(place) for path in paths)
        if number not in ABOUT_FILES or not ours:
            raise
        reason = getattr(error, "strerror", None) or (told and told[1].strip())
        raise UnreadableFileError(f"Cannot write {paths[0]}: {reason}. Give another path or make room.") from error


def _hidden(path: Path) -> Path:
    if path.name in ("", ".."):
        raise UnreadableFileError(
            f"Cannot write {path}: that is no name of its own. Give the path of a new file or folder."
        )
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.tmp")


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the target's folder, which is created and, if it stays empty, removed again."""
    temporary = _hidden(path)
    with _clear_errors(path, temporary):
        new = [folder for folder in path.absolute().parents if not folder.exists()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                for folder in new:
                    folder.rmdir()


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; move it to `path` when the block ends well."""
    path = check_writable(path)
    path = path.resolve() if path.is_symlink() else path
    with _beside(path) as temporary:
        try:
            yield temporary
            _to_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def deliver(path: str | os.PathLike[str] | None, make: Callable[[], str]) -> str | Path:
    """Return a text, or write it as UTF-8, whole or not at all, and return the path; refused before it is made."""
    if path is None:
        return make()
    check_writable(path)
    text = make()
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder; it replaces the target when the block ends well.

    On Linux the two are exchanged in one step. Elsewhere there is an instant in which the former folder has a hidden
    name in its parent.
    """
    path = check_writable(path, folder=True)
    path = path.resolve() if path.is_symlink() else path
    with _beside(path) as temporary:
        temporary.mkdir()
        try:
            yield temporary
            for inner in temporary.rglob("*"):
                _to_disk(inner)
            try:
                temporary.rename(path)
            except OSError:
                if not path.is_dir():
                    raise
                _exchange(temporary, path)
            _to_disk(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Flush a file or folder to the disk."""
    if os.name == "nt":  # there is no such call for folders, nor for files that are open for reading
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(new: Path, former: Path) -> None:
    """Exchange two folders."""
    import ctypes

    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another system
        call = ctypes.CDLL(None).renameat2
        if call(here, os.fsencode(new.absolute()), here, os.fsencode(former.absolute()), exchange) == 0:
            return
    aside = _hidden(former)
    former.rename(aside)
    try:
        new.rename(former)
    except OSError:
        aside.rename(former)
        raise
    aside.rename(new)


def remove_folder(folder: Path, owner: Path) -> None:
    """Remove a folder, in one step for its readers; what a kill leaves goes with the next writer of `owner`."""
    with contextlib.suppress(OSError):
        shutil.rmtree(folder.rename(_hidden(owner)), ignore_errors=True)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], *, folder: bool = True) -> Iterator[None]:
    """Lock a path against other processes, or raise if one is writing it; locks of dead processes are freed."""
    path = check_writable(path, folder=folder).resolve()
    if fcntl is None:
        yield
        return
    file = path.with_name(f".{path.name}.lock")
    with _clear_errors(path, file):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(file, path)
    try:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _remove_left_beside(path)
        yield
    finally:
        file.unlink(missing_ok=True)
        lock.close()


def _remove_left_beside(path: Path) -> None:
    """Remove the temporary files and folders of killed writers of a path whose lock is ours."""
    if _hidden(path).name.startswith(f".{path.name}."):  # else another path's may be called so
        for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.tmp"):
            shutil.rmtree(left, ignore_errors=True)
            with contextlib.suppress(OSError):
                left.unlink(missing_ok=True)


def _locked(file: Path, path: Path) -> IO[str]:
    """Return the lock's file, open and ours."""
    while True:
        lock = file.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read() or "another"
            lock.close()
            raise UnreadableFileError(
                f"Cannot write {path}: process {owner} is writing it. Wait until it is done, or give another path."
            ) from None
        except OSError:  # a file system without locks
            return lock
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), file.stat()):
                return lock
        lock.close()  # its last owner removed it between our two calls
