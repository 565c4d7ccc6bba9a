"""Dials of one's own: ``FILE.py:NAME`` or ``MODULE:NAME``, whose code is run."""

import sys
import traceback
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isfunction, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import headtail as ht
from headtail.exceptions import HeadtailError, InvalidInputError, UnreadableFileError

if TYPE_CHECKING:
    from headtail.dials import Dial


def dial_of(typed: str) -> "Dial":
    """Return the dial of a name, or the one that code of the user's makes."""
    where, colon, name = typed.rpartition(":")
    if not colon and not typed.endswith(".py"):
        return ht.dials.dial(typed)
    if not where or not name:
        raise InvalidInputError(
            f"--dial {typed} lacks {'the name of a dial in it' if where or not colon else 'a file or module'}. Give "
            f"FILE.py:NAME or MODULE:NAME."
        )
    from headtail._checks import nearest, raised_by
    from headtail.dials import Dial, is_built_in

    module = _module(where)
    held = {each: value for each, value in vars(module).items() if isinstance(value, Dial)}
    if not hasattr(module, name):
        raise InvalidInputError(f"--dial {typed}: {where} holds no {name!r}. {nearest(name, held)}")
    found: Any = getattr(module, name)
    if isfunction(found) and not signature(found).parameters:
        with raised_by(f"{name} of {where}"):
            found = found()
    if not isinstance(found, Dial):
        made_of = name if isfunction(found) else "function"
        raise InvalidInputError(
            f"--dial {typed} is of type {type(found).__name__}, not a Dial. Make one in {where} of a function of a "
            f"subject, a strength and a seed: mine = headtail.dials.Dial('mine', {made_of}, "
            f"grid=[0, 0.1, 0.3])."
        )
    try:
        ht.dials.dial(found.name)
    except InvalidInputError:
        return found
    if not is_built_in(found):
        raise InvalidInputError(
            f"--dial {typed} is named {found.name!r}, as one of headtail's own. Give it another name."
        )
    return found


def _module(where: str) -> Any:
    """Import a file, or a module; both find what lies beside them, after what is installed."""
    from headtail._checks import raised_by

    file = Path(where) if where.endswith(".py") else None
    if file is not None and not file.is_file():
        raise UnreadableFileError(f"There is no file {file}. Give one with a Dial in it, as FILE.py:NAME.")
    sys.path.append(str(Path() if file is None else file.resolve().parent))
    try:
        with raised_by(where):
            if file is None:
                return import_module(where)
            spec = spec_from_file_location(f"headtail of {file.resolve()}", file)
            assert spec is not None and spec.loader is not None
            module = sys.modules[spec.name] = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    except InvalidInputError as error:
        absent = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if file is None and absent and f"{where}.".startswith(f"{absent}."):
            raise InvalidInputError(
                f"There is no module {where!r}, installed or here. Give MODULE:NAME, or FILE.py:NAME."
            ) from None
        raise
    except SystemExit as end:
        raise InvalidInputError(
            f"{where} ends Python (exit {end.code}) when it is read. Put what a script does under "
            f"`if __name__ == '__main__':`."
        ) from end


def raised_in_it(error: HeadtailError) -> str:
    """Return the traceback of what a user's own code raised, from there on; empty if none did."""
    if error.__cause__ is None or "traceback above" not in str(error):
        return ""
    told = traceback.TracebackException.from_exception(error.__cause__)
    ours = (str(Path(ht.__file__).parent), "<frozen")
    told.stack = traceback.StackSummary.from_list([each for each in told.stack if not each.filename.startswith(ours)])
    return "".join(told.format()).rstrip()
