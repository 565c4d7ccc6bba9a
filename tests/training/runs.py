"""Runs that stop in the middle, and what they are compared by."""

import torch


class StoppedError(Exception):
    """Raised by a callback, to end a run in the middle."""


def stop_at(epoch):
    def callback(m, row):
        if row["epoch"] == epoch:
            raise StoppedError

    return callback


def weights(m):
    return {name: value.clone() for name, value in m.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)
