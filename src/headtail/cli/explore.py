"""``headtail explore``."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from headtail._files import check_writable, writing
from headtail.cli._app import Titles, with_example
from headtail.cli._folders import EXPLORED
from headtail.cli._output import say
from headtail.cli._tables import Tables
from headtail.exceptions import InvalidInputError, UnreadableFileError


@with_example("headtail explore corrected")
def explore(
    result: Annotated[Path, Parameter(help="Folder that `headtail correct --output` or `headtail demo` wrote.")],
    *,
    titles: Titles = None,
    item: str | None = None,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
) -> None:
    """Make a page on which every dial that was tried can be moved, and the lists of users change with it.

    Parameters
    ----------
    item
        Column of the items in the file of titles, where it has no usual name.
    output
        Where to write the page; explorer.html in RESULT without it.
    """
    from headtail.reports.explorer import Explorer

    page = result / "explorer.html" if output is None else output
    if page.suffix.lower() not in (".html", ".htm"):
        raise InvalidInputError(f"--output {page}: the page is HTML. Give it the ending .html.")
    check_writable(page)
    if not (result / EXPLORED).is_file():
        raise UnreadableFileError(
            f"{result} holds no {EXPLORED}. Give a folder that `headtail correct --output` or `headtail demo` wrote."
        )
    found = Explorer.read(result / EXPLORED)
    if titles is not None:
        found = Explorer({**found.data, "items": _titled(found.data["items"], titles, item)})
    with writing(page, folder=False):
        found.to_html(page)
    say(f"Open {page} in a browser.")


def _titled(items: dict[str, Any], file: Path, item: str | None) -> dict[str, Any]:
    """Return the items with the titles of a file; one that is not in it keeps what it has."""
    from headtail._frames import first_titles, to_table

    table = Tables(item=item).table(file, "item_id", attribute="title")
    table = first_titles(to_table(table, required=("item_id", "title"), what=str(file)))
    known = dict(zip(map(str, table["item_id"].to_list()), map(str, table["title"].to_list()), strict=True))
    if not known.keys() & set(items["ids"]):
        raise InvalidInputError(
            f"{file} holds none of the items; ids are such as {items['ids'][0]!r} in the result and "
            f"{next(iter(known), None)!r} in the file. Give the titles of these items."
        )
    pairs = zip(items["ids"], items["titles"], strict=True)
    return {**items, "titles": [known.get(item, title) for item, title in pairs]}
