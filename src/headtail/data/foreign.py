"""Well-known formats that are not tables: refused, with the command that converts them."""

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from zipfile import ZipFile, is_zipfile

from headtail._columns import KNOWN, normalized
from headtail._printable import python_command
from headtail.data.packed import PACKED, format_of, unpacked
from headtail.exceptions import UnreadableFileError

DATA = r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?|\d{4}-\d\d-\d\d.*"  # of a field, and no name
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
_LOADED = {
    ".mat": "scipy.io.loadmat, or from MATLAB 7.3 on h5py.File",
    ".h5": "h5py.File",
    ".hdf5": "h5py.File",
    ".pt": "torch.load",
    ".pth": "torch.load",
    ".pkl": "pandas.read_pickle; only if you trust it, for that may run code",
}
# What the fields of a line are, the names of those that are kept, and how awk prints them.
_BY_WORDS = {
    r"\S+ Q0 \S+ \d+ \S+ \S+": ("user_id,item_id,score", 'print $1 "," $3 "," $5'),
    r"\S+ (0|Q0) \S+ -?\d": ("user_id,item_id,rating", 'print $1 "," $3 "," $4'),
    r"\S+ \d+:1 \d+:1": (
        "user_id,item_id,rating", 'split($2, u, ":"); split($3, i, ":"); print u[1] "," i[1] "," $1'
    ),
    r"\(\d+,\d+\)( \d+)+": ("user_id,item_id", 'split($1, pair, /[(,)]/); print pair[2] "," pair[3]'),  # of NCF
    r"\S+( \d+:[^\s:]+)+": (
        "user_id,item_id,rating", 'for (i = 2; i <= NF; i++) {split($i, f, ":"); print $1 "," f[1] "," f[2]}'
    ),
}  # fmt: skip
_NO_SCORE = rb"(?mi)^\S+\s+Q0\s+\S+\s+\d+\s+([+-]?(?:nan|inf)\w*)\s.*$"  # of a line of a run


def _cure_of_ending(path: Path) -> str:
    """Return how a file becomes a table or what a table does, by its ending; empty where that is not known."""
    if load := _LOADED.get(path.suffix.lower().replace("pickle", "pkl")):
        return (
            f"Load it in Python ({load}), and give a matrix of users by items to headtail.Interactions.from_matrix, "
            f"rows to .from_frame, and embeddings to headtail.Vectors."
        )
    if (read := _BY_ENDING.get(path.suffix.lower())) is None:
        return ""
    if path.suffix.lower() == ".npz" and is_zipfile(path) and "format.npy" not in ZipFile(path).namelist():
        read = "import numpy, pandas; pandas.DataFrame(dict(numpy.load({file})))"  # columns, as numpy.savez keeps them
    written = repr(f"{path.stem}.table.csv")
    table = f".to_csv({written}, index=False)" if "pandas" in read else f".to_polars().write_csv({written})"
    vectors = "Vectors are for --queries and --items of headtail correct. " * (path.suffix.lower() == ".npy")
    return f"{vectors}Make a table of it: {python_command(read.format(file=repr(str(path))) + table)}"


def refuse_ending(path: Path, known: Iterable[str]) -> None:
    """Raise an error that names the known endings of files."""
    cure = _cure_of_ending(path)
    if not cure:
        head = unpacked(path)[: 1 << 16].decode("utf-8", "replace").expandtabs().splitlines()
        lines = [line.strip() for line in head if line.strip()]
        if lines and lines[0].isprintable() and "\ufffd" not in lines[0]:
            refuse_fields(path, [line.split() for line in lines[:-1] or lines])
            packed = path.suffix if path.suffix.lower() in PACKED else ""
            made = f"{path.name.removesuffix(packed)}.txt{packed}"
            cure = f"If it is text, call it so: cp {shlex.quote(str(path))} {shlex.quote(made)}"
    raise UnreadableFileError(
        f"Cannot read {path}: the ending {format_of(path)!r} is not one of {', '.join(known)} (text also with .gz, "
        f".bz2, .xz or .zst, or the only file of a .zip). {cure or 'Unpack it, or save it as one of these.'}"
    )


def refuse_fields(path: Path, lines: Sequence[Sequence[str]]) -> None:
    """Raise if the first line has the fields of a well-known format that is not a table."""
    name, table = shlex.quote(str(path)), shlex.quote(f"{path.stem}.table.csv")
    some = [" ".join(line) for line in lines[:100]]
    for shape, (names, printed) in _BY_WORDS.items():
        if all(re.fullmatch(shape, line) for line in (some if shape.endswith(":1") else some[:1])):
            if "score" in names and (none := re.search(_NO_SCORE, unpacked(path))):
                raise UnreadableFileError(
                    f"Cannot read {path}: the score is {none[1].decode()} in the line {none[0].decode().strip()!r}. "
                    f"Leave out items that have no score."
                )
            more = ""
            if "for" in printed and len({line[0] for line in lines}) < len(lines):
                printed = printed.replace("print $1", "print NR - 1")
                more = ", and the first of them repeats, as a label does, so that a user is the number of the line"
            raise UnreadableFileError(
                f"Cannot read {path}: blanks separate the fields of its lines, which hold more than ids{more}. Make a "
                f"table of it: (echo {names}; awk '{{{printed}}}' {name}) > {table}"
            )


def refuse_words(path: Path, lines: Sequence[Sequence[str]]) -> None:
    """Raise if blanks seem to separate the fields of lines, with the command for what these seem to hold."""
    refuse_fields(path, lines)
    if len(lines[0]) < 2 or not (_names(lines[0]) or _numbered(lines)):
        return
    ending = path.suffix if format_of(path) in (".inter", ".item", ".user") else ".csv"
    name, table = shlex.quote(str(path)), shlex.quote(f"{path.stem}.table{ending}")
    lists = f"(echo user_id,item_id; awk '{{for (i = 2; i <= NF; i++) print $1 \",\" $i}}' {name}) > {table}"
    first, last = lines[0], lines[-1]  # the first line of vectors may hold their number and length
    if ending != ".csv":
        said = f", not tabs. Make it anew: tr ' ' '\\t' < {name} > {table}"
    elif len(last) > 4 and sum("." in word for word in last[1:]) > len(last) / 2 and ":" not in last[0]:
        said = (
            f", which seem to hold ids and vectors. Give those to --queries or --items of headtail correct, as .vec: "
            f"cp {name} {shlex.quote(f'{path.stem}.vec')}"
        )
    elif len(lines) > 1 and all(line[0] == str(len(line) - 1) for line in lines):
        said = (
            f", which seem to hold a user's items behind their number. Make a table of it, where a user is the number "
            f"of the line: {lists.replace('$1', 'NR - 1')}"
        )
    elif len({*map(len, lines)}) > 1 and not _names(first):
        said = (
            f", which seem to hold a user and then their items. Make a table of it: {lists}. If they hold items alone, "
            f"a user is the number of the line: in place of i = 2 and $1, write i = 1 and NR - 1."
        )
    else:
        mark = 'sub(/^#/, ""); ' * first[0].startswith("#")
        said = (
            f". Make a table of it: awk '{{{mark}$1 = $1; print}}' OFS=, {name} > {table}. If each line holds a user "
            f"and then their items: {lists}"
        )
    raise UnreadableFileError(f"Cannot read {path}: blanks separate the fields of its lines{said}")


def _names(words: Sequence[str]) -> bool:
    return any(normalized(word.partition(":")[0]) in KNOWN for word in words)


def _numbered(lines: Sequence[Sequence[str]]) -> bool:
    """Whether several words of the first line are numbers, or those in one place of lines that are as long as it."""
    if sum(bool(re.fullmatch(DATA, word)) for word in lines[0]) > 1:
        return True
    places = zip(*lines[1:], strict=True) if len({*map(len, lines)}) == 1 else ()
    return any(all(re.fullmatch(DATA, word) for word in words) for words in places)


def refuse_rows(path: Path, fields: Sequence[str], separator: str) -> None:
    """Raise if the fields of the first line are those of Netflix's prize, of MIND, or pandas' numbers of columns."""
    name, said = shlex.quote(str(path)), ""
    if re.fullmatch(r"\d+:", fields[0]):
        said = (
            f"lines such as {fields[0]!r} name the film of those below, as in Netflix's prize. Make a table of it: "
            f'(echo item_id,user_id,rating,date; awk \'/:/ {{sub(":.*", ""); film = $0; next}} {{print film "," $0}}\' '
            f"{name}) > ratings.csv"
        )
    elif len(fields) == 5 and re.fullmatch(r"\S+-[01]( \S+-[01])*", fields[4]):
        said = (
            f"its rows hold what was shown and clicked, as MIND's behaviors. Make clicks of it: "
            f'(echo user_id,item_id,timestamp; awk -F\'\\t\' \'{{split($3, t, "[/ :]"); n = split($5, shown, " "); for '
            f'(i = 1; i <= n; i++) if (sub(/-1$/, "", shown[i])) printf "%s,%s,%d-%02d-%02dT%02d:%02d:%02d\\n", $2, '
            f'shown[i], t[3], t[1], t[2], t[4] % 12 + (t[7] == "PM" ? 12 : 0), t[5], t[6]}}\' {name}) > clicks.csv'
        )
    elif len(fields) > 2 and ["", *map(str, range(len(fields) - 1))] == [*fields] and separator != "\t":
        names = ["user_id", "item_id", "rating", "timestamp", *(f"column{i}" for i in range(5, len(fields)))]
        header = shlex.quote(separator.join(names[: len(fields) - 1]))
        said = (
            f"pandas wrote numbers as the names of its columns, and those of its rows before them. Name the columns, "
            f"such as by: (echo {header}; tail -n +2 {name} | cut -d{shlex.quote(separator)} -f2-) > "
            f"{shlex.quote(f'{path.stem}.table.csv')}"
        )
    if said:
        raise UnreadableFileError(f"Cannot read {path}: {said}")
