"""What the processes of a distributed run exchange."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def world_size() -> int:
    """Return the number of processes of the default group; 1 where there is none."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def of_first(value: Any) -> Any:
    """Return the value that the first process has; every process must call it."""
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def average(tensors: Sequence[Tensor]) -> None:
    """Replace tensors by their means over all processes, in one exchange; every process must call it."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world_size()
    start = 0
    for tensor in tensors:
        tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()


def all_sum(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; every process must call it.

    The backward pass sums the gradients of all processes in turn: each process holds the same sum and lets its own
    copy flow into the loss, so that the gradient is that of the sum of all processes' losses.
    """
    if world_size() == 1:
        return values
    result: Tensor = _AllSum.apply(values)  # type: ignore[no-untyped-call]
    return result


class _AllSum(Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes: Tensor) -> Tensor:
        total = slopes.contiguous().clone()
        dist.all_reduce(total)
        return total
