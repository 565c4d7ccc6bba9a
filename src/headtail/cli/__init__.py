"""The command line: each verb is a public function in a file of its own, its flags are that function's parameters.

Exit status: 0 when all went well, 1 when a condition of ``audit --fail-if`` was met, 2 when the input was wrong or too
large, or a condition could not be judged, 70 for an error that nobody expected, 130 after Ctrl-C, 141 when the reader
of the output went away.
"""

import io
import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from headtail._files import ABOUT_FILES, about_path
from headtail.cli import audit, correct, data, demo, dials, doctor, explore, probe, recommend, spectrum, train  # noqa: F401
from headtail.cli._app import app
from headtail.cli._folders import read_known as _read_known  # for scripts that ask what a trained folder holds
from headtail.cli._output import complain, say
from headtail.cli._own import raised_in_it
from headtail.cli._words import as_typed, usage, warnings_as_typed
from headtail.exceptions import HeadtailError, NotEnoughMemoryError

__all__ = ["_read_known", "app", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    if sys.stdout is None:  # closed by the shell (>&-)
        sys.stdout = io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):  # characters that the encoding lacks become "?"
        sys.stdout.reconfigure(errors="replace")
    try:
        with warnings_as_typed(arguments):
            status = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        complain("error", usage(error, arguments))
        return 2
    except HeadtailError as error:
        for line in raised_in_it(error).splitlines():
            say(line, stderr=True)
        complain("error", as_typed(f"{type(error).__name__}: {error}", arguments))
        return 2
    except KeyboardInterrupt as stop:
        complain("stopped", " ".join(getattr(stop, "__notes__", ["Nothing was written."])))
        return 130
    except (BrokenPipeError, SystemExit) as end:  # rich turns a broken pipe into a SystemExit of status 1
        if not isinstance(end, BrokenPipeError) and not isinstance(end.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except BaseException as error:  # a panic of Polars is not an Exception, and would exit with status 1
        if isinstance(error, OSError) and error.errno in ABOUT_FILES:
            complain("error", about_path(error.filename or "standard output", error))
            return 2
        if NotEnoughMemoryError.is_meant_by(error):
            complain("out of memory", f"{error}. {NotEnoughMemoryError.cure}".lstrip(". "))
            return 2
        complain("internal error", f"{type(error).__name__}: {error}")
        if os.environ.get("HEADTAIL_TRACEBACK"):
            import traceback

            for line in "".join(traceback.format_exception(error)).splitlines():
                say(line, stderr=True)
        else:
            say(
                "This is a fault of headtail. Set HEADTAIL_TRACEBACK=1, run it again and report what it says.",
                stderr=True,
            )
        return 70
    return int(status or 0)
