"""The flat dict of an audit in trackers of experiments, and figures beside peers': `make test-integrations`."""

import math

import pytest

import headtail as ht
from headtail.baselines import random_items
from headtail.metrics import novelty

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend


@pytest.fixture(scope="module")
def split():
    return ht.split_ratio(ht.datasets.power_law(200, 80, n_interactions=1900, rng=0).interactions, rng=0)


def test_mlflow_logs_an_audit(split, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # from 3.7 on it asks for it
    mlflow.set_tracking_uri(tmp_path.as_uri())
    mlflow.set_experiment("audits")
    result = ht.audit(random_items(split.train, 5, rng=0), split.train, split.test, k=[2, 5], strict=False)
    with mlflow.start_run() as run:
        mlflow.log_metrics(result.metrics(at="_at_"))
    stored = mlflow.get_run(run.info.run_id).data.metrics
    assert stored == pytest.approx({name.replace("@", "_at_"): v for name, v in result.metrics().items()}, nan_ok=True)
    assert stored["gini_at_5"] == pytest.approx(result["gini@5"]) and not math.isnan(stored["ndcg_at_5"])


def test_novelty_is_that_of_rectools(split):
    peer = pytest.importorskip("rectools.metrics", reason="rectools is not installed")
    recs = random_items(split.train, 5, rng=0).to_polars().select("user_id", "item_id", "rank")
    theirs = peer.MeanInvUserFreq(k=5).calc(
        recs.to_pandas(), split.train.to_polars().select("user_id", "item_id").to_pandas()
    )
    ours = ht.audit(recs, split.train, k=5, metrics=[novelty], n_bootstrap=0)["novelty@5"]
    assert ours == pytest.approx(theirs, rel=1e-12)
