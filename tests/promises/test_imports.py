"""What importing and measuring may load, and how soon help is there."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "pandas", "pyspark", "altair", "vl_convert", "jinja2")


def loaded_after(code):
    listing = f"{code}\nimport sys; print(' '.join(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import headtail", (*HEAVY, "polars", "numpy", "scipy", "rich")),
        ("import headtail.cli", (*HEAVY, "polars", "numpy", "scipy")),
        (
            "import polars as pl, headtail as ht\n"
            "train = pl.DataFrame({'user_id': [1, 1, 2], 'item_id': [1, 2, 1]})\n"
            "recs = pl.DataFrame({'user_id': [2], 'item_id': [2]})\n"
            "repr(ht.audit(recs, train, k=1))",
            HEAVY,
        ),
        ("import numpy as np, headtail as ht\nht.spectrum(np.eye(3), np.eye(3))", HEAVY),
        (
            "import numpy as np, polars as pl, headtail as ht\n"
            "train = pl.DataFrame({'user_id': [1, 1, 2], 'item_id': [1, 2, 1]})\n"
            "ht.recommend((np.eye(2), np.eye(2)), train, k=1)",
            HEAVY,
        ),
        ("import headtail as ht\nht.split_ratio(ht.datasets.movietweetings(), rng=0)", HEAVY),
    ],
)
def test_what_is_loaded(code, forbidden):
    assert loaded_after(code).isdisjoint(forbidden)


def test_public_names_are_there_and_documented():
    import headtail

    assert len(headtail.__all__) < 45
    for name in headtail.__all__:
        assert getattr(headtail, name).__doc__, name
