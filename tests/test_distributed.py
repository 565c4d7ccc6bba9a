"""ReSN and training under two processes equal those under one."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

import headtail as ht
from headtail._distributed import all_sum, world_size
from headtail.exceptions import InvalidInputError
from headtail.models import MF, LightGCN, SASRec, XSimGCL
from headtail.penalties import LogDet, ReSN

FORMS = ("linear", "sigmoid")
SHARES = (7, 4)  # users of each process: not the same number


def model():
    return MF(sum(SHARES), 9, 3, rng=0).double()


def gradients(net, users, form, distributed):
    net.zero_grad()
    value = ReSN(0.7, form, distributed=distributed)(*net(users))
    value.backward()
    return value.detach(), [p.grad.clone() for p in net.parameters()]


TRAIN = ht.datasets.power_law(60, 25, n_interactions=241, rng=0).interactions
KINDS = {
    "mf": lambda rng: MF.for_data(TRAIN, embedding_dim=4, rng=rng),
    "lightgcn": lambda rng: LightGCN.for_data(TRAIN, embedding_dim=4, n_layers=2, rng=rng),
    "sasrec": lambda rng: SASRec.for_data(TRAIN, max_length=4, embedding_dim=4, n_layers=1, dropout=0.0, rng=rng),
}


def fitted(kind, distributed=True, epochs=3, model_rng=0, **options):
    """Return the loss and the penalty of each epoch, and the weights; the last batch of an epoch has one pair."""
    net = KINDS[kind](model_rng).double()
    options = {"batch_size": 20, "epochs": epochs, "rng": 0, "lr": 0.05, "eval_every": 1, "progress": False} | options
    penalties = [ReSN(1e-2, distributed=distributed)]
    history = ht.fit(net, TRAIN, penalties=penalties, distributed=distributed, **options)
    return [[row["loss"], row["ReSN"]] for row in history.rows], dict(net.state_dict())


def said(model, **options):
    with pytest.raises(InvalidInputError) as error:
        ht.fit(model, TRAIN, epochs=1, progress=False, **({"distributed": True} | options))
    return str(error.value)


def training(rank, place):
    found = {kind: fitted(kind) for kind in KINDS}
    for epochs in (1, 3):
        found["resumed"] = fitted("mf", checkpoint=place / "run", epochs=epochs)
    found["other weights"] = fitted("mf", rng=None, model_rng=rank)
    found["refused"] = [
        said(XSimGCL.for_data(TRAIN, embedding_dim=4, rng=0)), said(KINDS["mf"](0), penalties=[LogDet(0.1)]),
    ]  # fmt: skip
    return found


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
    found["training"] = training(rank, place)
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


@pytest.mark.parametrize("kind", KINDS)
def test_training_of_two_processes_equals_that_of_one(found, kind):
    figures, weights = fitted(kind, distributed=False)
    assert all(row[1] > 0 for row in figures)
    for process in found:
        ours, of_process = process["training"][kind]
        torch.testing.assert_close(ours, figures, rtol=1e-9, atol=1e-12)
        for name, value in weights.items():
            torch.testing.assert_close(of_process[name], value, rtol=1e-9, atol=1e-12)


def test_a_resumed_run_is_one_that_never_stopped(found):
    for process in found:
        whole, resumed = process["training"]["mf"], process["training"]["resumed"]
        assert whole[0] == resumed[0]
        assert all(torch.equal(value, resumed[1][name]) for name, value in whole[1].items())


def test_the_first_process_gives_random_state_and_weights(found):
    first, second = (process["training"]["other weights"][1] for process in found)
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_what_is_no_sum_over_processes_is_refused(found):
    for process in found:
        own, penalty = process["training"]["refused"]
        assert "XSimGCL has a loss of its own" in own
        assert "LogDet" in penalty and "distributed=True" in penalty
