"""What the benchmarks share: interactions, and peers in processes of their own.

RecBole 1.2.1 needs an older numpy and setuptools, and does not run on current torch and scipy as installed: what it
calls and no longer finds is put back before it is imported. None of that is on a timed path.

    python -m venv .venv-recbole
    .venv-recbole/bin/pip install torch==2.13.0 'setuptools<81' 'numpy<2' recbole==1.2.1
    python -m venv .venv-implicit && .venv-implicit/bin/pip install implicit
    python -m venv .venv-rectools && .venv-rectools/bin/pip install rectools
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from headtail import Interactions, split_ratio
from headtail.datasets import power_law


def read(folder: Path, column: str = "resn_split") -> tuple[Interactions, Interactions]:
    """Return training and test part of MovieLens-1M, or of a power-law world of its size where it is not there."""
    if not folder.exists():
        print(f"{folder} is not there: a power-law world of MovieLens-1M's size instead")
        world = power_law(6040, 3706, n_interactions=1_000_000, exponent=0.4, rng=0)
        split = split_ratio(world.interactions, validation=None, rng=0)
        return split.train, split.test
    frame = pl.read_parquet(folder / "interactions.parquet")
    interactions = Interactions.from_frame(frame)
    in_train = (frame[column] == "train").to_numpy()
    return interactions.subset(in_train), interactions.subset(~in_train)


def environment(threads: int) -> dict[str, str]:
    """Return the variables of this process with this number of threads, and without a kernel forced on OpenBLAS."""
    own = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    return own | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), str(threads))


def version_of(library: str, python: str) -> str:
    """Return the version of a peer in its environment; without it nothing runs."""
    script = f"import {library}; from importlib.metadata import version; print(version({library!r}))"
    return run_python(python, [script])


def run_python(python: str, arguments: list[str], threads: int = 1, **more: Any) -> str:
    """Run a script with the Python of another environment; return the last line that it prints.

    A relative path of that Python is one from where this runs. OpenBLAS gets one thread in it, as implicit asks for.
    """
    python = os.path.abspath(shutil.which(python) or python)  # noqa: PTH100 - a link stays the one of its environment
    own = environment(threads) | {"OPENBLAS_NUM_THREADS": "1"}
    if not os.access(python, os.X_OK):
        raise SystemExit(f"There is no Python to run at {python}. How to set up the peers: benchmarks/peers.py.")
    call = [python, "-W", "ignore", "-c", *arguments]
    done = subprocess.run(call, env=own, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr[-3000:]}")
    return done.stdout.strip().splitlines()[-1]


def run_peer(
    python: str, script: str, train: Interactions, test: Interactions, given: dict[str, Any], **arrays: Any
) -> dict[str, float]:
    """Run a script with the Python of another environment; return what it prints as JSON in its last line.

    It finds both parts as matrices, and the arrays, in the folder of its first argument; the second is `given` as JSON.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, part in (("train", train), ("test", test)):
            sp.save_npz(f"{folder}/{name}.npz", sp.csr_matrix(part.matrix, dtype=np.float32))
        np.savez(f"{folder}/arrays.npz", **arrays)
        last = run_python(python, [script, folder, json.dumps(given)], given["threads"], cwd=folder)
    return json.loads(last)


IMPLICIT = """
import json, sys, time
import numpy as np, scipy.sparse as sp
folder, given = sys.argv[1], json.loads(sys.argv[2])
train, test = (sp.load_npz(f"{folder}/{name}.npz") for name in ("train", "test"))
arrays = np.load(f"{folder}/arrays.npz")
clock = getattr(time, given.get("clock", "perf_counter"))
def best(run, repeats=given.get("repeat", 3)):
    times = []
    run()  # to warm up, as ours is
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)
"""

# The data set: both parts with every user and item that occurs in either, in RecBole's own form.
RECBOLE = (
    IMPLICIT
    + """
import logging, os
import torch
torch.set_num_threads(given["threads"])
load = torch.load
torch.load = lambda *args, **more: load(*args, **{"weights_only": False, **more})
if not hasattr(sp.dok_matrix, "_update"):
    sp.dok_matrix._update = lambda self, new: self._dict.update(new)
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed
os.makedirs(f"{folder}/set")
for name, part in (("train", train), ("valid", test[:100]), ("test", test)):
    rows, columns = part.nonzero()
    with open(f"{folder}/set/set.{name}.inter", "w") as file:
        file.write("user_id:token\\titem_id:token\\n")
        file.writelines(f"{row}\\t{column}\\n" for row, column in zip(rows.tolist(), columns.tolist()))
def trainer_of(model, **more):
    settings = {
        "data_path": folder, "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "embedding_size": given["dim"], "learning_rate": 0.005, "use_gpu": False, "show_progress": False,
        "metrics": ["NDCG", "Recall"], "topk": [20], "valid_metric": "NDCG@20", "state": "ERROR", "eval_args": {
        "split": {"RS": [0.8, 0.1, 0.1]}, "group_by": "user", "order": "RO", "mode": "full"}, **more,
    }
    config = Config(model=model, dataset="set", config_dict=settings)
    init_seed(0, True)
    data = create_dataset(config)
    batches, _, evaluation = data_preparation(config, data)
    made = get_model(model)(config, batches.dataset).to("cpu")
    return get_trainer(config["MODEL_TYPE"], model)(config, made), batches, evaluation
def epoch_seconds(model, batch_size, epochs, **more):
    trainer, batches, _ = trainer_of(model, train_batch_size=batch_size, **more)
    epoch = iter(range(100))
    return best(lambda: trainer._train_epoch(batches, next(epoch)), epochs)
"""
)

# Full ranking of all users, top 20; what implicit has then judges it too.
RANKING = {
    "implicit": IMPLICIT
    + """
from implicit.cpu.als import AlternatingLeastSquares
from implicit.evaluation import ranking_metrics_at_k
model = AlternatingLeastSquares(factors=given["dim"], num_threads=given["threads"])
model.user_factors, model.item_factors = arrays["queries"], arrays["items"]
train, test, users = train.tocsr(), test.tocsr(), np.arange(train.shape[0])
lists = best(lambda: model.recommend(users, train, N=20, filter_already_liked_items=True))
more = dict(K=20, show_progress=False, num_threads=given["threads"])
both = best(lambda: ranking_metrics_at_k(model, train, test, **more))
print(json.dumps({"recommend": lists, "ranking_metrics_at_k": both}))
""",
    "recbole": RECBOLE
    + """
found = {}
for name, size in (("default batch", 4096), ("one batch", 10**9)):
    trainer, _, evaluation = trainer_of("BPR", eval_batch_size=size)
    found[f"evaluate, {name}"] = best(lambda: trainer.evaluate(evaluation, load_best_model=False), 2)
print(json.dumps(found))
""",
}
