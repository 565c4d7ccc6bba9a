"""Put the tables of the README and of the pages, and what the demo found, in their places, from the records.

headtail demo --output headtail-demo
python reproduce/tables.py headtail-demo    # keeps the figures of the demo as a record
python reproduce/tables.py                  # from the records as they are
"""

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import settling
import tags
from page_popsteer import sasrec_table

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "reproduce" / "records" / "demo.json"
PAGES = (ROOT / "README.md", ROOT / "docs" / "figures.md", ROOT / "docs" / "explain.md")
FIRST = ROOT / "docs" / "index.md"
TESTS = {"common": "Corrected: the common test", "debiased": "Corrected: the debiased test"}
METRICS = ("ndcg", "gini", "head_share")
HEADER = "| Method | common test: NDCG | Gini | head's share | debiased test: NDCG | Gini | head's share |"


def record_of(folder: Path) -> dict[str, Any]:
    """Return what the table shows of a demo's report, by test and recommender, and what the report opens with."""
    report = json.loads((folder / "report.json").read_text())
    blocks = {block.get("title"): block for block in report["blocks"]}
    found: dict[str, Any] = {"verdict": report["lede"]}
    for test, title in TESTS.items():
        tables = [block for block in blocks[title]["blocks"] if str(block.get("title")).startswith("Side by side")]
        found[test] = {
            row["recommender"]: {metric: round(row[metric], 6) for metric in METRICS}
            for row in tables[0]["rows"]
            if row.get("ndcg") is not None and row["recommender"] != "random"
        }
    return found


def table(record: dict[str, Any]) -> list[str]:
    """Return the lines of the table."""
    lines = [HEADER, "|---|" + "---:|" * (len(TESTS) * len(METRICS))]
    for name in record["common"]:
        cells = []
        for test in TESTS:
            row = record[test][name]
            cells += [f"{row['ndcg']:.4f}"[1:], f"{row['gini']:.3f}"[1:], f"{row['head_share']:.1%}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def quote(record: dict[str, Any]) -> list[str]:
    """Return the lines of a quotation of what the demo's report opens with."""
    parts = re.sub(r"(?<![\w-])-(?=\d)", "−", record["verdict"]).split("\n\n")
    quoted = ["> " + line for part in parts for line in (*textwrap.wrap(part, 116, break_on_hyphens=False), "")]
    return [line.rstrip() for line in quoted[:-1]]


def put(lines: list[str], page: Path) -> None:
    """Put a table in place of the one with the same header, or a quotation in place of the first."""
    text = page.read_text(encoding="utf-8").splitlines()
    mark = lines[0][0]  # of the lines of a table or a quotation
    start = text.index(lines[0]) if mark == "|" else next(i for i, line in enumerate(text) if line.startswith(mark))
    end = next(i for i in range(start, len(text)) if not text[i].startswith(mark))
    page.write_text("\n".join([*text[:start], *lines, *text[end:]]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        RECORD.write_text(json.dumps(record_of(Path(sys.argv[1])), indent=1) + "\n", encoding="utf-8")
    known = json.loads(tags.RECORD.read_text(encoding="utf-8"))
    demo = json.loads(RECORD.read_text(encoding="utf-8"))
    put(quote(demo), FIRST)
    made = [table(demo), sasrec_table()]
    made += [tags.known_table(known), tags.steered_table(known)]
    made.append(settling.table(json.loads(settling.RECORD.read_text(encoding="utf-8"))))
    for page in PAGES:
        for lines in made:
            if lines[0] in page.read_text(encoding="utf-8"):
                put(lines, page)
