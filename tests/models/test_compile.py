"""Models under torch.compile: the same training, up to rounding."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from headtail.datasets import checkerboard
from headtail.models import MF, LightGCN, SASRec, XSimGCL
from headtail.penalties import ReSN
from headtail.training import fit, vectors

BOARD = checkerboard(20, 20).train
TRAIN = replace(BOARD, order=np.arange(len(BOARD)))
BUILD = {
    "MF": lambda: MF(20, 20, 4, rng=0),
    "LightGCN": lambda: LightGCN(TRAIN, 4, rng=0),
    "SASRec": lambda: SASRec(20, 6, 4, n_layers=1, dropout=0, rng=0),  # its states() runs uncompiled
    "XSimGCL": lambda: XSimGCL(TRAIN, 4, eps=0, rng=0),  # its loss of its own runs uncompiled
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it traces an autograd function
@pytest.mark.parametrize("name", BUILD)
def test_trains_under_compile(name):
    plain, compiled = BUILD[name](), BUILD[name]()
    for model in (plain, torch.compile(compiled, backend="aot_eager")):
        fit(model, TRAIN, penalties=[ReSN(1e-3)], epochs=2, batch_size=64, rng=0)
    runs = vectors(torch.compile(compiled, backend="aot_eager"), interactions=TRAIN), vectors(plain, interactions=TRAIN)
    for ours, theirs in zip(*runs, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch._dynamo.reset()
