"""Names that examples in docstrings take for granted."""

import numpy as np
import polars as pl
import pytest
import torch

import headtail as ht


@pytest.fixture(scope="session", autouse=True)
def names_of_examples(doctest_namespace):
    """Let examples stand without the usual imports, as they are read."""
    doctest_namespace.update(ht=ht, np=np, pl=pl, torch=torch)
