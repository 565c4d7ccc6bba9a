"""Well-known formats that are not tables: refused, with the command that converts them."""

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from zipfile import ZipFile, is_zipfile

from headtail._printable import python_command
from headtail.data.packed import format_of, unpacked
from headtail.exceptions import UnreadableFileError

_MATRIX = "import headtail, numpy, scipy; headtail.Interactions.from_matrix(scipy.sparse.csr_array({}))"
_BY_ENDING = {
    ".xlsx": "import pandas; pandas.read_excel({file})",
    ".xls": "import pandas; pandas.read_excel({file})",
    ".sav": "import pandas; pandas.read_spss({file})",
    ".dta": "import pandas; pandas.read_stata({file})",
    ".npz": _MATRIX.format("scipy.sparse.load_npz({file})"),
    ".npy": _MATRIX.format("numpy.load({file})"),
    ".mtx": _MATRIX.replace("scipy;", "scipy.io;").format("scipy.io.mmread({file})"),
}
# What the fields of a line are, the names of those that are kept, and how awk prints them.
_BY_WORDS = {
    r"\S+ Q0 \S+ \d+ \S+ \S+": ("user_id,item_id,score", 'print $1 "," $3 "," $5'),
    r"\S+ (0|Q0) \S+ -?\d": ("user_id,item_id,rating", 'print $1 "," $3 "," $4'),
    r"\S+ \d+:1 \d+:1": (
        "user_id,item_id,rating", 'split($2, u, ":"); split($3, i, ":"); print u[1] "," i[1] "," $1'
    ),
    r"\S+( \d+:\S+)+": (
        "user_id,item_id,rating", 'for (i = 2; i <= NF; i++) {split($i, f, ":"); print $1 "," f[1] "," f[2]}'
    ),
}  # fmt: skip
_NO_SCORE = rb"(?mi)^\S+\s+Q0\s+\S+\s+\d+\s+([+-]?(?:nan|inf)\w*)\s.*$"  # of a line of a run


def _cure_of_ending(path: Path) -> str:
    """Return the command that converts a file to a table, by its ending; empty where none is known."""
    if (read := _BY_ENDING.get(path.suffix.lower())) is None:
        return ""
    if path.suffix.lower() == ".npz" and is_zipfile(path) and "format.npy" not in ZipFile(path).namelist():
        read = "import numpy, pandas; pandas.DataFrame(dict(numpy.load({file})))"  # columns, as numpy.savez keeps them
    written = repr(f"{path.stem}.table.csv")
    table = f".to_csv({written}, index=False)" if "pandas" in read else f".to_polars().write_csv({written})"
    return f"Make a table of it: {python_command(read.format(file=repr(str(path))) + table)}"


def refuse_ending(path: Path, known: Iterable[str]) -> None:
    """Raise an error that names the known endings of files."""
    cure = _cure_of_ending(path)
    if not cure:
        with path.open("rb") as file:
            first = file.readline(1 << 16)
        line = first.decode("utf-8", "replace").expandtabs().strip()
        if line and line.isprintable() and "\ufffd" not in line:
            refuse_fields(path, line.split())
            cure = f"If it is text, call it so: cp {shlex.quote(str(path))} {shlex.quote(f'{path.name}.txt')}"
    raise UnreadableFileError(
        f"Cannot read {path}: the ending {format_of(path)!r} is not one of {', '.join(known)} (text also with .gz, "
        f".bz2, .xz or .zst, or the only file of a .zip). {cure or 'Unpack it, or save it as one of these.'}"
    )


def refuse_fields(path: Path, words: Sequence[str]) -> None:
    """Raise if a line has the fields of a well-known format that is not a table."""
    name, table = shlex.quote(str(path)), shlex.quote(f"{path.stem}.table.csv")
    for shape, (names, printed) in _BY_WORDS.items():
        if re.fullmatch(shape, " ".join(words)):
            if "score" in names and (none := re.search(_NO_SCORE, unpacked(path))):
                raise UnreadableFileError(
                    f"Cannot read {path}: the score is {none[1].decode()} in the line {none[0].decode().strip()!r}. "
                    f"Leave out items that have no score."
                )
            raise UnreadableFileError(
                f"Cannot read {path}: blanks separate the fields of its lines, which hold more than ids. Make a table "
                f"of it: (echo {names}; awk '{{{printed}}}' {name}) > {table}"
            )


def refuse_films(path: Path, line: str) -> None:
    """Raise if a line names the film of those below, as in Netflix's prize."""
    if re.fullmatch(r"\d+:", line):
        raise UnreadableFileError(
            f"Cannot read {path}: lines such as {line!r} name the film of those below, as in Netflix's prize. Make "
            f'a table of it: (echo item_id,user_id,rating,date; awk \'/:/ {{sub(":.*", ""); film = $0; next}} '
            f'{{print film "," $0}}\' {shlex.quote(str(path))}) > ratings.csv'
        )
