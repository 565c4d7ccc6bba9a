"""Errors that say what is wrong, with which value, and what to do about it.

Every error of headtail is a :class:`HeadtailError`, and each is also the built-in error that a caller who has never
heard of headtail would catch. Everywhere, arguments and tables that cannot be right are an :class:`InvalidInputError`,
and names that are not there a :class:`MissingColumnError`; docstrings name what else is raised.
"""

import re

from headtail._printable import printable

_LONGEST = 2000  # characters of a message, which may quote a value of any length


class HeadtailError(Exception):
    """Base of all errors that headtail raises on purpose."""

    def __str__(self) -> str:
        # KeyError prints the repr of its argument, which would show our messages with quotes and escaped newlines.
        text = printable(str(self.args[0])) if self.args else ""
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


class InvalidInputError(HeadtailError, ValueError):
    """An argument or a table holds values that cannot be right."""


class InvalidCallError(HeadtailError, TypeError):
    """A call lacks an argument, or has one that the function does not take."""


class MissingColumnError(HeadtailError, KeyError):
    """A table lacks a column, or a name does not exist among the known ones."""


class NotAvailableError(HeadtailError, ImportError):
    """An optional dependency is needed and not installed."""


class UnreadableFileError(HeadtailError, OSError):
    """A file cannot be read or written."""


class NotEnoughMemoryError(HeadtailError, MemoryError):
    """What was asked for does not fit into memory."""

    cure = "Give less at a time, or take a machine with more memory."

    @staticmethod
    def is_meant_by(error: BaseException) -> bool:
        """Whether an error, of Python or of a library, says that there is not enough memory."""
        return isinstance(error, MemoryError) or bool(re.search("(allocate|out of) memory", f"{error}", re.IGNORECASE))


class CheckpointMismatchError(HeadtailError, RuntimeError):
    """A checkpoint belongs to another model, another run or another data set."""


class TrainingDivergedError(HeadtailError, FloatingPointError):
    """Training produced a value that is not finite."""
