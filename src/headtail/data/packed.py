"""Files as their content: mapped, or expanded where they are compressed."""

import bz2
import codecs
import gzip
import lzma
import mmap
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from headtail.exceptions import UnreadableFileError

PACKED = (".gz", ".bz2", ".xz", ".zst")
ZIP = b"PK\3\4"
PIECE = 1 << 20  # bytes
_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_LARGE, _TIMES = 64 * PIECE, 200  # what expands further and by more is no table: those of events shrink tenfold


def _open_zst(packed: BinaryIO) -> Any:
    try:
        return import_module("pyarrow").input_stream(packed, compression="zstd")
    except ImportError:
        raise UnreadableFileError(f"Cannot read {packed.name}: zst takes pyarrow. Install it, or unpack it.") from None


_OPENED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open, b"(\xb5/\xfd": _open_zst}  # fmt: skip


def format_of(path: Path) -> str:
    """Return the ending that tells the form of a file, without that of compression; in a zip, that of its only file."""
    if path.suffix.lower() == ".zip" and len(inside := _members(path)) == 1:
        path = Path(inside[0])
    return (path.with_suffix("") if path.suffix.lower() in PACKED else path).suffix.lower()


def _members(path: Path) -> list[str]:
    """Return the names of the files in a zip, none if it is no zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if name[-1:] != "/" and not name.startswith("__MACOSX/")]
    except (OSError, zipfile.BadZipFile):
        return []


def unpacked(path: Path) -> bytes | mmap.mmap:
    """Return the content of a file, decompressed where its first bytes say that it is compressed."""
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if opened := next((opened for mark, opened in _OPENED.items() if content[: len(mark)] == mark), None):
            with opened(file) as expanding:
                return _expanded(expanding, file)
        if content[: len(ZIP)] == ZIP and len(inside := _members(path)) == 1:
            try:
                with zipfile.ZipFile(file) as archive, archive.open(inside[0]) as expanding:
                    return _expanded(expanding, file)
            except (zipfile.BadZipFile, RuntimeError) as error:  # damaged, or with a password
                raise UnreadableFileError(f"Cannot read {path}: {error}. Unpack it.") from error
    return content


def in_utf8(path: Path) -> bytes | mmap.mmap:
    """Return the content of a file of text, decompressed, and in UTF-8 where its first bytes say that it is wider."""
    content = unpacked(path)
    encoding = next((name for mark, name in _WIDE.items() if content[: len(mark)] == mark), None)
    return content if encoding is None else content[:].decode(encoding).encode()


def _expanded(expanding: Any, file: BinaryIO) -> bytes:
    """Return what a compressed file expands to, unless it is made to fill the memory."""
    pieces, size = [], 0
    while piece := expanding.read(PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > _LARGE and size > _TIMES * file.tell():
            raise UnreadableFileError(
                f"Cannot read {file.name}: it expands to more than {_TIMES} times its size, as no table does. "
                f"If it is one all the same, unpack it."
            )
    return b"".join(pieces)
