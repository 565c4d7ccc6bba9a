from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_page_of_speed_is_that_of_its_record(run, tmp_path):
    page = tmp_path / "speed.md"
    run(ROOT / "benchmarks" / "speed.py", "--page", page)
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
