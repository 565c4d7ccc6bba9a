"""ReSN under two processes equals ReSN under one."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from headtail._distributed import all_sum, world_size
from headtail.models import MF
from headtail.penalties import ReSN

FORMS = ("linear", "sigmoid")
SHARES = (7, 4)  # users of each process: not the same number


def model():
    return MF(sum(SHARES), 9, 3, rng=0).double()


def gradients(net, users, form, distributed):
    net.zero_grad()
    value = ReSN(0.7, form, distributed=distributed)(*net(users))
    value.backward()
    return value.detach(), [p.grad.clone() for p in net.parameters()]


def work(rank, place):
    dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
    users = torch.arange(sum(SHARES)).split(SHARES)[rank]
    found = {form: gradients(nn.parallel.DistributedDataParallel(model()), users, form, True) for form in FORMS}
    found["alone"] = gradients(model(), users, "linear", False)
    found["world"] = world_size()
    numbers = torch.tensor([1.0, 2.0 + rank], requires_grad=True)
    total = all_sum(numbers)
    (total * torch.tensor([1.0, 10.0 + rank])).sum().backward()
    found["sum"] = total.detach(), numbers.grad
    torch.save(found, f"{place}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this build of torch has no gloo")
    place = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, args=(place,), nprocs=2)
    return [torch.load(place / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("form", FORMS)
def test_two_processes_equal_one(found, form):
    value, slopes = gradients(model(), torch.arange(sum(SHARES)), form, False)
    for process in found:
        torch.testing.assert_close(process[form][0], value)
        for ours, theirs in zip(process[form][1], slopes, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_without_the_switch_each_process_has_its_own_penalty(found):
    values = [process["alone"][0] for process in found]
    assert values[0] != values[1]
    users = torch.arange(sum(SHARES)).split(SHARES)
    for value, own in zip(values, users, strict=True):
        torch.testing.assert_close(value, gradients(model(), own, "linear", False)[0])


def test_sums_and_their_gradients(found):
    assert [process["world"] for process in found] == [2, 2]
    for process in found:
        total, slopes = process["sum"]
        assert total.tolist() == [2, 5]
        assert slopes.tolist() == [2, 21]  # the gradient of both processes' losses


@pytest.mark.parametrize("form", FORMS)
def test_without_a_process_group_the_switch_changes_nothing(form):
    users = torch.arange(sum(SHARES))
    assert world_size() == 1
    for ours, theirs in zip(
        gradients(model(), users, form, True)[1], gradients(model(), users, form, False)[1], strict=True
    ):
        assert torch.equal(ours, theirs)
