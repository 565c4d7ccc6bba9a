"""Messages in the terms of the command line: ``--item user_id`` in place of Python's ``item='user_id'``."""

import logging
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cyclopts import CoercionError, CycloptsError, UnusedCliTokensError

from headtail.cli._app import app
from headtail.cli._output import say

_VALUE = r"'[^']*'|\"[^\"]*\"|\.\.\.|\[[^\]]*\]|\([^)]*\)|[-+]?\w+(?:[.+-]\w+)*"
_KEYWORD = re.compile(rf"(?<![\w.-])(\w+)=({_VALUE}|)")
_CALL = re.compile(r"[A-Z]\w*(?:\.\w+)?\(([^()]*)\)")
_BARE = re.compile(r"\b([Ll]ower|[Rr]aise) ([a-z_]+)\b")
_PARSE = re.compile(r"frame\.with_columns\(pl\.col\([^()]*\)\.str\.to_datetime\(('[^']*')\)\) in Polars")
_CAST = re.compile(r"Cast the column, such as by: frame\.with_columns\(.*?\) in Polars, or |Cast the column, or ")
_DROP = re.compile(r"drop the column '([^']*)'")
_OTHERWISE = {"names": "columns", "rng": "seed", "dials": "dial"}  # flags with other names than their keywords


def as_typed(text: str, arguments: Sequence[str] | None) -> str:
    """Return a message with Python keywords that are flags of the current verb written as flags."""
    flags = _flags_of(arguments)

    def flag(found: "re.Match[str]") -> str:
        name, value = _OTHERWISE.get(found[1], found[1]), found[2]
        if name not in flags:
            return found[0]
        typed = "--" + name.replace("_", "-")
        if flags[name] is bool and value in ("True", "False"):
            return typed if value == "True" else f"--no-{typed[2:]}"
        given = ",".join(re.findall(r"[\w.+-]*\w", value))
        if not given:
            return f"{typed} {'FILE' if 'Path' in str(flags[name]) else 'VALUE'}"
        return f"{typed} {given if value[0] in '[(' else shlex.quote(value.strip(chr(39) + chr(34)))}"

    def call(found: "re.Match[str]") -> str:
        inside = [flag(keyword) for keyword in _KEYWORD.finditer(found[1])]
        return " ".join(inside) if inside and all(word.startswith("--") for word in inside) else found[0]

    if "time_format" in flags:
        text = _DROP.sub(
            lambda found: f"leave it out by --drop {shlex.quote(found[1])}", _PARSE.sub(r"--time-format \1", text)
        )
        text = _CAST.sub("", text).replace(". leave it", ". Leave it")
    text = _KEYWORD.sub(flag, _CALL.sub(call, text))
    if "columns" in flags:
        text = text.replace("name its columns where it is read", "name its columns by --columns")
    if "score" in flags:
        text = text.replace("name it 'score'", "name it by --score")
    text = _BARE.sub(lambda m: f"{m[1]} --{m[2].replace('_', '-')}" if m[2] in flags else m[0], text)
    if "split" in flags:
        return re.sub(r"\bsplit_(\w+)", lambda m: f"--split {m[1].replace('_', '-')}", text)
    return re.sub(r",? or use split_\w+(?: or split_\w+)*", "", text)


def usage(error: CycloptsError, arguments: Sequence[str] | None) -> str:
    """Return what is wrong with the arguments, and what a flag means that got no number."""
    if "-" in (sys.argv[1:] if arguments is None else arguments):
        return "Standard input and output (-) are not taken: give files."
    if isinstance(error, UnusedCliTokensError):
        return f"{error} Name further files by flags; --help lists them."
    if not isinstance(error, CoercionError) or error.argument is None or error.argument.get_choices():
        return str(error)
    kind = "whole number" if error.target_type is int else "number"
    said = re.sub(r'unable to convert "(.*)" into \w+', rf"'\1' is not a {kind}", str(error), flags=re.DOTALL)
    meant = next(str(one.parameter.help) for one in _arguments(arguments) if one.names == error.argument.names)
    return f"{said} It is: {' '.join(meant.split()).partition('. ')[0].rstrip('.')}."


def _flags_of(arguments: Sequence[str] | None) -> dict[str, Any]:
    """Return the type of each flag of the current verb, by parameter name."""
    there = _arguments(arguments)
    return {argument.names[0].removeprefix("--").replace("-", "_"): argument.hint for argument in there}


def _arguments(arguments: Sequence[str] | None) -> Iterable[Any]:
    """Return the arguments that the current verb takes, with their help."""
    verbs = app.parse_commands(arguments)[0]
    return app[verbs[0]].assemble_argument_collection(parse_docstring=True) if verbs else ()


@contextmanager
def warnings_as_typed(arguments: Sequence[str] | None) -> Iterator[None]:
    """Print headtail's warnings on standard error."""

    class Spoken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(as_typed(record.getMessage(), arguments), stderr=True)

    logger, spoken = logging.getLogger("headtail"), Spoken(logging.WARNING)
    logger.addHandler(spoken)
    try:
        yield
    finally:
        logger.removeHandler(spoken)
