"""``headtail dials``."""

import sys
from json import dumps
from typing import Any

import headtail as ht
from headtail.cli._app import Json, with_example
from headtail.cli._output import console


@with_example("headtail dials")
def dials(*, json: Json = False) -> None:
    """List the corrections, what each works on and what it does; as JSON with the strengths that are tried."""
    controls = ht.dials.CONTROLS
    rows: list[dict[str, Any]] = [
        {
            "dial": each.name,
            "does": each.about,
            "works_on": each.works_on,
            "strengths": list(each.grid),
            "control": each in controls,
        }
        for each in (*ht.dials.DIALS, *controls)
    ]
    if json:
        sys.stdout.write(dumps(rows, indent=2) + "\n")
        return
    titles = {"dial": "Dial", "works_on": "Works on", "does": "What it does"}
    columns = [ht.reports.Column(key, title) for key, title in titles.items()]
    console().print(
        ht.reports.Report("Dials", [ht.reports.Table(columns, [{key: row[key] for key in titles} for row in rows])])
    )
