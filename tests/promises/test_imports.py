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

    assert len(headtail.__all__) < 50
    for name in headtail.__all__:
        assert getattr(headtail, name).__doc__, name


def test_without_pytorch_there_is_one_clear_error_and_the_rest_works(tmp_path):
    code = """
import sys
sys.modules["torch"] = None  # as where it is not installed
import numpy as np, headtail as ht
from headtail.cli import main
from headtail.exceptions import NotAvailableError

def refused(act):
    try:
        act()
    except NotAvailableError as error:
        return "pip install 'headtail[torch]'" in str(error)

names = "MF ReSN fit load_model losses penalties models sae amplification vectors".split()
print([name for name in names if not refused(lambda: getattr(ht, name))])
for module in "losses penalties models models.mf sae sae.steering training.loop training.encoding demo".split():
    print(refused(lambda: __import__(f"headtail.{module}")))
print(main(["train", "none.csv", "-o", "model"]), main(["probe", "model", "-o", "probe"]))
train = ht.datasets.movietweetings()
print(len(ht.recommend((np.eye(train.n_users, 2), np.eye(train.n_items, 2)), train, k=5)) == train.n_users)
split = ht.split_ratio(ht.datasets.power_law(200, 60, n_interactions=1500, rng=0).interactions, rng=0)
lists = ht.baselines.most_popular(split.train, 30)
scored = lists.to_polars().with_columns(score=1 / lists.to_polars()["rank"])
options = {"k": 5, "dials": ["IPR", "log penalty"], "max_loss": 0.5, "progress": False}
parts = [part.to_polars() for part in (split.train, split.validation, split.test)]
noise, pop = np.random.default_rng(0).normal(size=(260, 3)), np.log1p(split.train.popularity)
factors = np.column_stack([noise[:200], np.ones(200)]), np.column_stack([noise[200:], pop])
print([ht.correct(source, *parts, **options).strength > 0 for source in (scored, factors)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["[]", *["True"] * 9, "2 2", "True", "[True, True]"]
    assert done.stderr.count("pip install 'headtail[torch]'") == 2


def test_results_become_pandas_frames_without_pyarrow():
    code = """
import sys
sys.modules["pyarrow"] = None
import headtail as ht
world = ht.datasets.power_law(60, 30, n_interactions=300, rng=0).interactions
lists = ht.baselines.most_popular(world, 3)
print(lists.to_pandas().shape, ht.describe(world).to_pandas().empty, ht.audit(lists, world, k=3).to_pandas().empty)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["(180,", "4)", "False", "False"]
