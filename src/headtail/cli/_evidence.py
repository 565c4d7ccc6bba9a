"""Reproducibility of reports: the command, fingerprints of its files, and what a rerun changes."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from headtail._printable import counted
from headtail.exceptions import UnreadableFileError

_SHOWN = 20  # differences


def usual(verb: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments of a verb that are not given."""
    return {name: parameter.default for name, parameter in inspect.signature(verb).parameters.items()}


def command_of(verb: Callable[..., Any], given: Mapping[str, Any]) -> list[str]:
    """Return a command from the arguments of its verb: paths first, then options that differ from the defaults."""
    parameters, words = inspect.signature(verb).parameters, [verb.__name__]
    options, defaults = (_flat(each) for each in (given, usual(verb)))
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value == defaults.get(name):
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif name in parameters and parameters[name].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            words.append(str(value))
        else:
            words += [f"{flag}={one}" for one in (value if isinstance(value, list) else [value])]
    return words


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with those of groups, such as how tables are read, beside the others."""
    groups = [asdict(value) for value in given.values() if is_dataclass(value) and not isinstance(value, type)]
    single = {name: value for name, value in given.items() if not is_dataclass(value)}
    return {name: value for group in (single, *groups) for name, value in group.items()}


def fingerprints(given: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return path and SHA-256 of each file among the arguments of a verb, one for all parts of a table."""
    from headtail.data.parts import parts_of
    from headtail.datasets.real import movielens_files

    found = {}
    for name, path in given.items():
        if not isinstance(path, Path):
            continue
        parts, listed = parts_of(path), ""
        if parts is not None:
            listed = "".join(f"{part.values} {part.file.name} {_sha256(part.file)}\n" for part in parts)
        elif str(path).startswith("movielens:") and not path.is_file():
            listed = "".join(f"{file.name} {_sha256(file)}\n" for file in movielens_files(str(path)[10:])[1:])
        if listed or path.is_file():
            digest = hashlib.sha256(listed.encode()).hexdigest() if listed else _sha256(path)
            found[name] = {"path": str(path), "sha256": digest}
    return found


def folder_of(report: Path, names: list[str]) -> Path:
    """Return where the files of a report are: here, or in its folder or one above it."""
    from headtail._checks import shown

    for folder in (here := Path(), *report.resolve().parents):
        if not (lacking := [name for name in names if not _is_there(folder / name.removeprefix("movielens:"))]):
            return folder
        if folder == here:
            absent = lacking
    raise UnreadableFileError(
        f"{report} is of files that are neither here nor in its folder or one above it, such as {shown(absent)}. Run "
        f"this where all of them are."
    )


def _is_there(path: Path) -> bool:
    return path.exists() or any(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def other_files(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say which files are others than they were, by their fingerprints."""
    said = []
    for name, was in before.items():
        file = now.get(name, {"path": was["path"], "sha256": "none"})
        if file["sha256"] != was["sha256"]:
            hashes = f"sha256 {was['sha256'][:16]}, now {file['sha256'][:16]}"
            said.append(f"{file['path']} is another file than it was ({hashes}).")
    return said


def differences(old: Any, new: Any) -> list[str]:
    """Say what a rerun changed: files first, then versions, then values."""
    said = other_files(old["provenance"]["files"], new["provenance"]["files"])
    changed = [line for line in _changed("", old, new) if not line.startswith("provenance.files")]
    more = [f"and {counted(len(changed) - _SHOWN, 'more difference')}."] * (len(changed) > _SHOWN)
    return said + changed[:_SHOWN] + more


def _changed(place: str, old: Any, new: Any) -> Iterator[str]:
    """Yield each difference of two nested values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _changed(f"{place}.{key}" if place else key, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (one, other) in enumerate(zip(old, new, strict=True)):
            named = isinstance(other, dict) and "metric" in other and "users" in other
            name = f"{other['metric']}@{other['k']} of {other['users']}" if named else f"{place}[{i}]"
            yield from _changed(name, one, other)
    elif old != new:
        yield f"{place}: {_brief(old)}, now {_brief(new)}."


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
