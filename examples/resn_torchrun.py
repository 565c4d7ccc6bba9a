"""ReSN with several processes: each holds some of the users, and the penalty is that of all users together.

    torchrun --nproc_per_node 2 examples/resn_torchrun.py

It also runs without torchrun, as one process.
"""

import argparse
import os

import torch
import torch.distributed as dist
from torch.nn.functional import softplus
from torch.nn.parallel import DistributedDataParallel

import headtail as ht


def main() -> None:
    """Train BPR-MF with ReSN, and check the penalty against that of one process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    split = ht.split_ratio(ht.datasets.movietweetings(), validation=None, rng=0)
    train = split.train
    model = ht.MF(train.n_users, train.n_items, 32, rng=0)  # the same in every process
    parallel = DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-5)
    resn = ht.ReSN(3e-4, distributed=True)

    mine = torch.from_numpy(train.users % world == rank)  # this process has every world-th user
    users, items = (torch.from_numpy(codes).long()[mine] for codes in (train.users, train.items))
    n_batches = len(train) // (4096 * world)  # as many in every process, for they meet in each
    random = torch.Generator().manual_seed(rank)
    for _ in range(options.epochs):
        for batch in torch.randperm(len(users), generator=random).chunk(n_batches):
            queries, vectors = parallel(users[batch])  # (B, d), (I, d)
            others = torch.randint(train.n_items, (len(batch),), generator=random)
            gap = (queries * (vectors[others] - vectors[items[batch]])).sum(dim=1)  # (B,)
            loss = softplus(gap).mean() + resn(queries, vectors)
            optimizer.zero_grad()
            loss.backward()  # averages gradients over the processes
            optimizer.step()

    with torch.no_grad():
        queries, vectors = model(torch.arange(train.n_users))  # the same in every process
        whole = ht.ReSN(3e-4)(queries, vectors)
        part = resn(queries[rank::world], vectors)
    if rank == 0:
        lists = ht.recommend((queries, vectors), train, k=20)
        metrics = [ht.metrics.ndcg, ht.metrics.gini]
        audit = ht.audit(lists, train, split.test, metrics=metrics, k=20, n_bootstrap=0)
        print(f"{world} processes: ReSN of all users {whole:.6g}, from each process's own {part:.6g}")
        print(f"NDCG@20 {audit['ndcg@20']:.4f}, Gini@20 {audit['gini@20']:.3f}")
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
