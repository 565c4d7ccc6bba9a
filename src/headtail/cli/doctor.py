"""``headtail doctor``."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import headtail as ht
from headtail._printable import counted, python_command
from headtail.cli._app import with_example
from headtail.cli._output import console, say
from headtail.cli._tables import PLAIN, Tables, listed
from headtail.cli._words import as_typed
from headtail.exceptions import HeadtailError, InvalidInputError, MissingColumnError

if TYPE_CHECKING:
    import polars as pl

_KINDS = ("event", "event_type", "event_name", "action", "action_type", "behavior", "behavior_type", "behaviour")
_SCORES = re.compile(r"score|pred|logit|prob")
_TIMES = re.compile(r"dat(e|um)|time|_at$")
_ROLES = {"user_id": "--user", "item_id": "--item", "rating": "--rating", "timestamp": "--timestamp"}


@with_example("headtail doctor clicks.csv")
def doctor(file: Path, *, tables: Tables = PLAIN) -> int:
    """Say what would be read from a table, what is odd about it, and which flags to pass.

    Parameters
    ----------
    file
        Interactions or recommendations: CSV, TSV, Parquet or RecBole .inter.
    """
    from headtail._frames import unnested
    from headtail.data.text_files import NoNamesError, first_fields

    flags, odd, steps = list[str](), list[str](), list[str]()
    try:
        table = tables.read(file)
    except NoNamesError as error:
        say(as_typed(str(error), ["doctor"]))
        guessed = _guessed(first_fields(file))
        such = f"headtail doctor {shlex.quote(str(file))} --columns {','.join(guessed)}"
        say(f"Pass: a name for each column, such as: {such}")
        if len(guessed) > 30:
            say("If each line is a user and each column an item, it is a matrix: in Python, give what numpy.loadtxt")
            say("reads to headtail.Interactions.from_matrix, with 0 where there is nothing.")
        return 2
    given = {role: getattr(tables, role.removesuffix("_id")) for role in _ROLES}
    named = {role: name for role, name in given.items() if name is not None}
    flat = table.columns
    table = listed(table, file, given["user_id"], given["item_id"])
    table = unnested(table, str(file), given=given).to_native()
    found = _roles(table, named, odd)
    _show(file, table, found)
    lacking = [role for role in ("user_id", "item_id") if role not in found]
    if lacking == ["user_id"] and table[found["item_id"]].n_unique() == len(table) > 1:
        odd.append("No item comes twice. If the table describes items, give it to --titles or --items of another verb.")
    likely = _likely_ids(table, found) if lacking else []
    guesses = likely if len(likely) >= len(lacking) else [None] * len(lacking)  # of one column nobody knows which it is
    for role, name in zip(lacking, guesses, strict=False):
        guess = "Name it" if name is None else f"If {name!r} is that, name it"
        odd.append(f"No column has a usual name of {role.removesuffix('_id')}s. {guess} by {_ROLES[role]}.")
        flags.append(f"{_ROLES[role]} {'NAME' if name is None else shlex.quote(name)}")
    ranked = None if lacking else _ranked(table, tables)
    if not lacking:
        flags += [f"--columns {names}" for names in tables.columns or ()]
        flags += [f"{_ROLES[role]} {shlex.quote(name)}" for role, name in named.items()]
        _look(table, found, odd, flags, steps)
        roles: dict[str, Any] = {role.removesuffix("_id"): name for role, name in found.items()}
        policy: Any = "first" if tables.duplicates == "error" else tables.duplicates
        try:
            read = ht.Interactions.from_frame(table, duplicates=policy, min_rating=tables.min_rating, **roles)
            say(f"Read as: {read!r}")
            if ranked is not None and (wrong := _unreadable_lists(table, found, tables.score)):
                odd.append(f"If its rows are recommendations, they cannot be read: {wrong}")
                ranked = None
        except HeadtailError as error:
            odd.append(f"It cannot be read: {error}")
    for line in odd:
        say(f"- {as_typed(line, ['doctor'])}")
    if steps and table.columns == flat:
        names = f", names={tables.columns[0].split(',')!r}" if tables.columns else ""
        source = f"read_table({str(file)!r}{names}){''.join(steps)}"
        target = f"{file.stem}.mended.parquet"
        code = f"import polars as pl; from headtail.data import *; write_table({source}, {target!r})"
        say(f"Mend, leaving out what is not meant: {python_command(code)}")
    if not odd:
        say("Nothing is odd.")
    elif odd[-1].startswith("It cannot be read"):
        return 0
    say(f"Pass: headtail data {shlex.quote(str(file))} {' '.join(dict.fromkeys(flags))}".rstrip())
    if ranked is not None:
        columns = [flag for flag in dict.fromkeys(flags) if flag.startswith(("--user", "--item", "--columns"))]
        line = " ".join(["headtail audit", shlex.quote(str(file)), "TRAIN", *columns, *ranked])
        say(f"If its rows are recommendations: {line}")
    return 0


def _ranked(table: "pl.DataFrame", tables: Tables) -> list[str] | None:
    """Return the flags by which recommendations are ranked; None where no column looks like a rank, score or list."""
    from headtail._columns import ALIASES, normalized

    scores = {"score", *ALIASES["score"]}
    usual = [name for name in map(normalized, table.columns) if name in scores or name in {"rank", *ALIASES["rank"]}]
    likely = [name for name in table.columns if _SCORES.search(normalized(name)) and table[name].dtype.is_float()]
    score = tables.score or next(iter([] if scores & {*usual} else likely), None)
    lists = any(dtype.is_nested() for dtype in table.dtypes)
    return [f"--score {shlex.quote(score)}"] if score else [] if usual or lists else None


def _unreadable_lists(table: "pl.DataFrame", found: dict[str, str], score: str | None) -> str:
    """Return why ranks or scores cannot be read, empty where they can, or pairs repeat, which is said already."""
    from headtail._columns import ranking_columns

    named = {} if score is None else {"score": score}
    pair = {role: found[role] for role in ("user_id", "item_id")}
    if table.select(pair.values()).is_duplicated().any():
        return ""
    ranking = ranking_columns(table.columns, "lists")[0].values()
    try:
        ht.Recommendations.from_frame(table.select(*(ranking if score is None else ()), **pair | named))
    except HeadtailError as error:
        return str(error)
    return ""


def _guessed(fields: list[str]) -> list[str]:
    """Return a name for each column by what the first line holds: ids, stars and a time of Unix, or an item's title."""
    names = ["user", "item", *(f"column{i}" for i in range(3, len(fields) + 1))]
    if re.search(r"[^\W\d_]{2}.* ", "".join(fields[1:2])):
        return ["item", "title", *names[2:]]
    for name, like in (("rating", r"\d(\.\d+)?|10"), ("timestamp", r"\d{9,13}(\.\d*)?")):
        place = next((i for i, field in enumerate(fields) if i > 1 and re.fullmatch(like, field.strip())), None)
        if place is not None:
            names[place] = name
    return names


def _roles(table: "pl.DataFrame", named: dict[str, str], odd: list[str]) -> dict[str, str]:
    """Return which column plays which role, and note names that are given and not there."""
    from headtail._columns import resolve_columns

    found = dict[str, str]()
    for role in _ROLES:
        try:
            found |= resolve_columns(table.columns, [], [role], {role: named[role]} if role in named else None)
        except (InvalidInputError, MissingColumnError) as error:
            odd.append(str(error))
    return found


def _likely_ids(table: "pl.DataFrame", found: dict[str, str]) -> list[str]:
    """Return the columns without a role that may hold ids, in their order: lists, text or numbers that repeat."""
    import polars as pl

    from headtail._columns import normalized
    from headtail._frames import holds_lists

    return [
        name
        for name in table.columns
        if name not in found.values()
        and (table[name].dtype.is_integer() or table[name].dtype == pl.String)
        and (1 < table[name].n_unique() < len(table) or (table[name].dtype == pl.String and holds_lists(table[name])))
        and not _TIMES.search(normalized(name))
    ]


def _show(file: Path, table: "pl.DataFrame", found: dict[str, str]) -> None:
    """Print the columns, what they are read as, and what they hold."""
    from headtail._checks import shown
    from headtail.reports import Column, Report, Table

    of = {name: role for role, name in found.items()}
    rows = [
        {
            "column": name,
            "role": of.get(name, "not read"),
            "type": str(table[name].dtype),
            "missing": table[name].null_count(),
            "first": shown([float(f"{v:.6g}") if isinstance(v, float) else v for v in table[name].head(3).to_list()]),
        }
        for name in table.columns
    ]
    columns = [Column("column", "Column"), Column("role", "Read as"), Column("type", "Type"),
               Column("missing", "Missing", format=",d"), Column("first", "First values")]  # fmt: skip
    console().print(Report(f"{file.name}: {counted(len(table), 'row')}", [Table(columns, rows)]))


def _look(table: "pl.DataFrame", found: dict[str, str], odd: list[str], flags: list[str], steps: list[str]) -> None:
    """Note what is odd about users, items, ratings and repeated pairs, and the steps of Polars that mend it."""
    import polars as pl

    from headtail._columns import normalized

    pair = [found["user_id"], found["item_id"]]
    rating = table[found["rating"]].drop_nulls() if "rating" in found else None
    if rating is None or not rating.dtype.is_numeric() or rating.n_unique() < 2:
        rating = None
    stars = rating is not None and _are_stars(rating)
    for name in pair:
        _look_at_ids(table[name], odd, steps)
    if rating is not None and (n := int((~rating.is_finite()).sum())):
        odd.append(f"{rating.name!r} is not finite in {counted(n, 'row')}. Leave out what is not.")
        steps.append(f".filter(pl.col({rating.name!r}).is_finite())")
    _look_at_kinds(table, odd, steps)
    repeated = len(table) - table.select(pair).n_unique()
    if repeated:
        odd.append(f"{counted(repeated, 'row', 'repeats', 'repeat')} a (user, item) pair.")
        flags.append("--duplicates last" if stars else "--duplicates sum")
    _look_at_users(table[pair[0]], odd, steps, lists=isinstance(table[pair[1]].dtype, pl.List))
    if rating is not None:
        low, high = float(rating.min()), float(rating.max())  # type: ignore[arg-type]
        odd.append(
            f"{rating.name!r} goes from {low:g} to {high:g}, and every row counts as positive, whatever it says."
        )
        if repeated and low < 0 < high and not stars:
            taken = int((rating < 0).sum())
            odd.append(
                f"{rating.name!r} is negative in {counted(taken, 'row')}, such as returns; their sum says what was "
                f"kept."
            )
        if low <= 0 < high and not stars:
            flags.append(f"--min-rating {float(rating.filter(rating > 0).min()):g}")  # type: ignore[arg-type]
    if "timestamp" not in found:
        times = [name for name in table.columns if name not in found.values() and _TIMES.search(normalized(name))]
        odd += [f"{name!r} may hold times. If so, pass --timestamp {shlex.quote(name)}." for name in times]
    if stars and (least := round(low + 0.75 * (high - low))) > low:
        flags.append(f"--min-rating {least:g}")


def _are_stars(rating: "pl.Series") -> bool:
    """Say whether numbers look like stars, and not like counts, most of which are 1."""
    positive = rating.filter(rating > 0)
    few = rating.max() <= 10 and rating.n_unique() <= 20  # type: ignore[operator]
    return bool(few and not (positive == 1).mean() > 0.5)  # type: ignore[operator]


def _look_at_ids(ids: "pl.Series", odd: list[str], steps: list[str]) -> None:
    """Note missing ids, blanks around them, and words that say that there is none."""
    import polars as pl

    from headtail._checks import shown
    from headtail._frames import MISSING

    name = ids.name
    if n := ids.null_count():
        odd.append(f"{counted(n, 'row', 'has', 'have')} no {name!r}. Leave out what has none.")
        steps.append(f".drop_nulls({name!r})")
    if ids.dtype != pl.String:
        return
    if n := int((ids.str.strip_chars() != ids).sum()):
        odd.append(f"{name!r} begins or ends with blanks in {counted(n, 'row')}, which makes other ids. Take them off.")
        steps.append(f".with_columns(pl.col({name!r}).str.strip_chars())")
    if len(words := ids.filter(ids.str.strip_chars().is_in(MISSING)).str.strip_chars()):
        written = words.unique().sort().to_list()
        odd.append(
            f"{counted(len(words), 'row', 'has', 'have')} {shown(written)} as {name!r}, which says that there is none. "
            f"Leave them out."
        )
        steps.append(f".filter(~pl.col({name!r}).str.strip_chars().is_in({written}))")


def _look_at_kinds(table: "pl.DataFrame", odd: list[str], steps: list[str]) -> None:
    """Note columns that tell kinds of rows apart, such as views and purchases."""
    from headtail._checks import shown
    from headtail._columns import normalized

    for name in table.columns:
        if normalized(name) in _KINDS and 1 < (kinds := table[name].drop_nulls().n_unique()) <= 20:
            said = table[name].drop_nulls().unique(maintain_order=True).to_list()
            odd.append(
                f"{name!r} holds {kinds} kinds of rows ({shown(said)}), and each counts as positive. Keep those meant."
            )
            steps.append(f".filter(pl.col({name!r}).is_in({said}))")


def _look_at_users(ids: "pl.Series", odd: list[str], steps: list[str], *, lists: bool) -> None:
    """Note a user with very many rows, and users with only one, or with several where rows hold `lists`."""
    users = ids.drop_nulls().value_counts(sort=True)
    rows = users["count"]
    if len(rows) and rows[0] > max(len(ids) / 20, 20 * rows.mean()):  # type: ignore[operator]
        odd.append(
            f"{users[0, 0]!r} alone has {rows[0]:,} of {len(ids):,} rows, and half of all users have at most "
            f"{rows.quantile(0.5, 'lower'):,.0f}. Leave it out if it is no person."
        )
        steps.append(f".filter(pl.col({ids.name!r}) != {users[0, 0]!r})")
    singles = int((rows == 1).sum())
    if lists and singles < len(rows):
        odd.append(f"{len(rows) - singles:,} of {counted(len(rows), 'user')} have several lists. Keep one of each.")
    if singles and not lists:
        odd.append(f"A single row is all of {singles:,} of {counted(len(rows), 'user')}; none of it can be held out.")
