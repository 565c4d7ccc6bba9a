"""``headtail dials``."""

import sys
from typing import Any

from headtail.cli._app import Json, app
from headtail.cli._output import console


@app.command
def dials(*, json: Json = False) -> None:
    """List the corrections, what each works on, and the strengths that are tried."""
    from headtail.dials import CONTROLS, DIALS

    rows: list[dict[str, Any]] = [
        {"dial": each.name, "works_on": each.works_on, "strengths": list(each.grid), "control": each in CONTROLS}
        for each in (*DIALS, *CONTROLS)
    ]
    if json:
        from json import dumps

        sys.stdout.write(dumps(rows, indent=2) + "\n")
        return
    from headtail.reports import Column, Report, Table

    shown = [row | {"strengths": " ".join(f"{strength:g}" for strength in row["strengths"])} for row in rows]
    columns = [Column("dial", "Dial"), Column("works_on", "Works on"), Column("strengths", "Strengths")]
    console().print(Report("Dials", [Table(columns, shown)]))
