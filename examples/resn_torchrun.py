"""Training with ReSN by several processes: each takes a share of the users, and all together train as one would.

    torchrun --nproc_per_node 2 examples/resn_torchrun.py

It also runs without torchrun, as one process.
"""

import argparse
import os

import torch
import torch.distributed as dist
import torch.distributed.fsdp  # before there is a group: else it keeps that, whose threads may abort the exit

import headtail as ht


def main() -> None:
    """Train MF with ReSN, and check the penalty against that of one process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    split = ht.split_ratio(ht.datasets.movietweetings(), validation=None, rng=0)
    train = split.train
    model, resn = ht.MF.for_data(train, embedding_dim=32, rng=0), ht.ReSN(3e-4, distributed=True)
    ht.fit(model, train, penalties=[resn], epochs=options.epochs, distributed=True, progress=False)

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
