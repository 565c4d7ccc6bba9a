"""The application, and parameters shared by several verbs."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from cyclopts import App, Group, Parameter
from cyclopts.validators import Number

from headtail.cli._paths import at_home, check_apart

# No verb imports anything heavy before it runs, so that --help comes at once.

_Verb = TypeVar("_Verb", bound=Callable[..., Any])
_STATUS = "Exit status: 0 success, 1 a --fail-if was met, 2 wrong input, 70 an error of headtail, 130 Ctrl-C."
TABLES = Group("How tables are read", sort_key=2)
VECTORS = Group("Vectors in place of a model", sort_key=1)

app = App(
    name="headtail",
    help="Measure, explain and correct popularity bias in recommender systems.",
    help_epilogue=f"Example: headtail demo\n\n{_STATUS}",
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def with_example(example: str) -> Callable[[_Verb], _Verb]:
    """Return the decorator of a verb whose help ends with the example, and which refuses to write over its inputs."""
    register: Any = app.command(help_epilogue=f"Example: {example}\n\n{_STATUS}")

    def decorate(verb: _Verb) -> _Verb:
        @wraps(verb)
        def run(*args: Any, **options: Any) -> Any:
            given = signature(verb).bind(*args, **options)
            given.arguments = {name: at_home(value) for name, value in given.arguments.items()}
            check_apart(given.arguments)
            return verb(*given.args, **given.kwargs)

        return register(run)  # type: ignore[no-any-return]

    return decorate


def _whole(kind: Any, tokens: Any) -> int:
    """Read a whole number; cyclopts itself would round 1.5."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is not a whole number.") from None


Whole: TypeAlias = Annotated[int, Parameter(converter=_whole)]
AtLeastOne: TypeAlias = Annotated[Whole, Parameter(validator=Number(gte=1))]
_LENGTH = "Length of the lists; 20 if not given, or as many as there are items."
Length: TypeAlias = Annotated[AtLeastOne | None, Parameter(alias="-k", help=_LENGTH)]
_FILE = "Interactions: a file, a folder of parts or a pattern, with the usual column names; or a data set: "
_FILE += '"movietweetings", the 5-core that is part of the package, or "movielens:FOLDER".'
File: TypeAlias = Annotated[Path, Parameter(help=_FILE)]
Model: TypeAlias = Annotated[Path, Parameter(help="Folder of a model, of `headtail train` or `headtail correct`.")]
Tags: TypeAlias = Annotated[Path | None, Parameter(help="File with an item column and one of tags or genres.")]
Titles: TypeAlias = Annotated[Path | None, Parameter(help="File with an item and a title column.")]
KCore: TypeAlias = Annotated[
    Whole | None, Parameter(help="Keep users and items with at least this many interactions; 0 keeps all.")
]
Device: TypeAlias = Annotated[str | None, Parameter(help="Where to compute, such as cuda.")]
Folder: TypeAlias = Annotated[Path, Parameter(alias="-o")]
Output: TypeAlias = Annotated[Path | None, Parameter(alias="-o", help="Write a report here: .html, .md or .json.")]
Json: TypeAlias = Annotated[
    bool, Parameter(negative="", show_default=False, help="Print JSON for machines in place of the report.")
]
