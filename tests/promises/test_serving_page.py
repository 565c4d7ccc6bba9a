"""The page on serving holds what its record holds, and the requests that the code writes."""

import json
import re
import shutil
from pathlib import Path

from headtail import serving

ROOT, PAGE = Path(__file__).parents[2], "docs/serving.md"


def test_the_figures_of_the_page_are_made_from_its_record(run, tmp_path):
    for name in ("benchmarks/serving.py", "benchmarks/vector_indexes.py", "benchmarks/records/serving.json", PAGE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    page = tmp_path / PAGE
    text = (
        page.read_text(encoding="utf-8").replace("MovieTweetings | FAISS", "spoilt").replace("of the gain;", "spoilt")
    )
    page.write_text(text, encoding="utf-8")
    run(tmp_path / "benchmarks" / "serving.py", "--page")
    assert page.read_text(encoding="utf-8") == (ROOT / PAGE).read_text(encoding="utf-8")


def test_the_page_shows_the_requests_that_are_written():
    text, bias = (ROOT / PAGE).read_text(encoding="utf-8"), serving.item_bias([0.0])
    qdrant, milvus = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL))
    assert qdrant == json.loads(bias.formula("qdrant")) and milvus == json.loads(bias.formula("milvus"))
    assert bias.formula("pgvector") in text
