"""JSON files with checksums of themselves and of files beside them, so that damage is always detected."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any
from zlib import crc32

from headtail.exceptions import CheckpointMismatchError, UnreadableFileError

FORMAT = 1
_ADDRESS, _DEEPEST = re.compile(r" at 0x[0-9a-f]+"), 20
_CURE = "Take it from a copy, or delete the folder and make it again."


def write_json(values: Mapping[str, Any], path: Path, beside: Iterable[Path] = ()) -> None:
    """Write a dict as JSON, numpy numbers and arrays included, with the checksums of the files `beside` it."""
    sums = {file.relative_to(path.parent).as_posix(): _checksum(file) for file in beside if file.is_file()}
    plain = json.loads(json.dumps({**values, "checksums": sums}, default=_plain))
    path.write_text(json.dumps({**plain, "checksum": _seal(plain)}, indent=1), encoding="utf-8")


def read_json(path: Path, *, foreign: bool = False) -> dict[str, Any]:
    """Read what :func:`write_json` wrote; raise if a file is damaged. A `foreign` one needs no format or checksum."""
    _refuse_pipe(path)
    try:
        values = json.loads(text := path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableFileError(f"{path} does not exist. Check the folder's path.") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = "it is empty" if isinstance(error, ValueError) and not text else f"{error}; it may be truncated"
        raise UnreadableFileError(f"{path} cannot be read as JSON: {reason}. {_CURE}") from None
    if not isinstance(values, dict) or not (foreign or values.get("format") == FORMAT):
        raise UnreadableFileError(f"{path} is not of format {FORMAT}, the one that this version of headtail reads.")
    seal, sums = values.pop("checksum", None), values.get("checksums", {})
    if not (foreign and seal is None) and seal != _seal(values):
        raise UnreadableFileError(
            f"{path} is not what headtail wrote: its checksum is wrong, so it is damaged. {_CURE}"
        )
    for name, known in sums.items() if isinstance(sums, dict) else ():
        if _checksum(path.parent / name) != known:
            raise UnreadableFileError(
                f"{path.parent / name} is not what was written with {path.name}: its checksum is wrong. It is damaged, "
                f"truncated or from elsewhere. {_CURE}"
            )
    return {name: value for name, value in values.items() if name != "checksums"}


def check_settings(saved: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Raise unless a checkpoint has the same settings, naming those that differ."""
    now = json.loads(json.dumps(now, default=str))
    if differing := differences(saved, now, "in the checkpoint", "now"):
        raise CheckpointMismatchError(
            f"{folder} belongs to another run. {differing}. Give another folder, or empty this one to start over."
        )


def differences(saved: Mapping[str, Any], now: Mapping[str, Any], there: str, here: str) -> str:
    """Say by name what two mappings hold where they differ; empty where they do not."""
    return "; ".join(
        f"{name}: {saved.get(name, 'absent')!r} {there}, {now.get(name, 'absent')!r} {here}"
        for name in sorted(saved.keys() | now.keys())
        if saved.get(name) != now.get(name)
    )


def _refuse_pipe(path: Path) -> None:
    """Raise if a path is a pipe or a device, of which there may be no end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UnreadableFileError(f"{path} is a pipe or a device. {_CURE}")


def _checksum(path: Path) -> str:
    _refuse_pipe(path)
    found = 0
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                found = crc32(block, found)
    except OSError as error:
        raise UnreadableFileError(f"{path} cannot be read: {error.strerror}. {_CURE}") from None
    return f"{found:08x}"


def _seal(values: Mapping[str, Any]) -> str:
    return f"{crc32(json.dumps(values, sort_keys=True).encode()):08x}"


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def digest(*parts: Any) -> str:
    """Return a short hash of bytes and of the numbers in arrays."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else part.tobytes())
    return found.hexdigest()[:16]


def fingerprint_in_order(source: Any, part: Any) -> str:
    """Identify interactions, with the order of each history where the source recommends by it."""
    models = source, getattr(source, "model", None)
    ordered = any(hasattr(each, "max_length") or getattr(each, "needs_order", False) for each in models)
    return identity_in_order(part) if ordered else str(part.fingerprint)


def identity_in_order(part: Any) -> str:
    """Identify interactions, with the order of each history where it is known."""
    return str(part.fingerprint) + ("" if part.time_rank is None else f", in the order {digest(part.histories)}")


def parts_of(tensor: Any) -> list[Any]:
    """Return a tensor in a list, of a sparse one its places and numbers."""
    if str(tensor.layout) == "torch.strided":
        return [tensor.dequantize() if tensor.is_quantized else tensor]
    tensor = tensor.detach().to_sparse_coo().coalesce()
    return [tensor.indices(), tensor.values()]


def identity_of(value: Any, within: tuple[int, ...] = ()) -> str:
    """Identify a value by what it holds: arrays by their numbers, functions by module, options, code and closure.

    It is the same in another process, which an address is not. `within` are the values around it.
    """
    kind = value if hasattr(value, "__qualname__") else type(value)
    name, code = f"{kind.__module__}.{kind.__qualname__}", getattr(value, "__code__", None)
    if id(value) in within or len(within) > _DEEPEST:
        return name
    of = partial(identity_of, within=(*within, id(value)))
    if hasattr(value, "fingerprint"):
        return str(value.fingerprint)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={of(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(of, value))}]"
    if isinstance(value, set | frozenset):
        return of(sorted(map(of, value)))
    if getattr(value, "is_sparse", False) or getattr(value, "is_sparse_csr", False):
        return of(parts_of(value))
    if getattr(value, "shape", ()) and hasattr(value, "__array__"):
        array = (value.detach().cpu().double() if hasattr(value, "detach") else value).__array__()
        return of(array.tolist()) if array.dtype.hasobject else f"{array.shape} {array.dtype} {digest(array)}"
    if isinstance(value, partial):
        named = (f"{key}={of(given)}" for key, given in sorted(value.keywords.items()))
        return f"{of(value.func)}({', '.join([*map(of, value.args), *named])})"
    if code is not None:
        said = f"{name} {crc32(_code(code)):08x}"
        # What decorators close over is no option, and headtail's own functions have no other closures.
        held = [] if name.startswith("headtail.") else _held(value)
        return f"{said}({', '.join(map(of, held))})" if held else said
    if kind is value:  # a class, or a function that is not Python's
        return name
    if hasattr(value, "state_dict"):
        return f"{name}({of(value.state_dict())})"
    if is_dataclass(value):
        return f"{name}({of({each.name: getattr(value, each.name) for each in fields(value)})})"
    if hasattr(value, "__dict__"):
        return f"{name}({of(vars(value))})"
    return _ADDRESS.sub("", repr(value))


def _held(function: Any) -> list[Any]:
    """Return what a function has beside its code: the object that it is bound to, defaults, and its closure."""
    own = [] if (of := getattr(function, "__self__", None)) is None else [of]
    own += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # it is still empty
            own.append(cell.cell_contents)
    return own


def _code(code: CodeType) -> bytes:
    constants = [_code(c) if isinstance(c, CodeType) else identity_of(c).encode() for c in code.co_consts]
    return b"".join([code.co_code, *constants, *(name.encode() for name in code.co_names)])
