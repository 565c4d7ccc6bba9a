"""Full ranking of MovieLens-1M, top 20, then NDCG and recall, beside implicit, RecBole and the bare product and top-k.

All rank factors of the same size and leave out what a user has met. The bound is the matrix product and top-k of the
same blocks, nothing else. RecBole runs with its default evaluation batch and with one of all users. How to set up the
peers: benchmarks/peers.py. From the root:

    python benchmarks/recommend.py --peer recbole=.venv-recbole/bin/python --peer implicit=.venv-implicit/bin/python
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from peers import IMPLICIT, RECBOLE, best_of, read, run_peer

from headtail import MF, audit, fit, metrics, recommend, vectors
from headtail.training import ranking

PEERS = {
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help=f"one of {', '.join(PEERS)}")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/ml-1m"))
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train, test = read(args.data)
    load = os.getloadavg()[0]
    print(f"{train}, d = {args.dim}, {args.threads} threads, load {load:.1f}")

    model = MF(train.n_users, train.n_items, args.dim, rng=0)
    fit(model, train, epochs=3, rng=0, progress=False)
    queries, items = vectors(model)

    def bound() -> None:
        for part in queries.split(ranking._USERS):
            for block in items.split(ranking._ITEMS):
                (part @ block.T).topk(20)[1].cpu()

    def both() -> None:
        lists = recommend((queries, items), train, k=20)
        audit(lists, train, test, k=20, metrics=[metrics.ndcg, metrics.recall], n_bootstrap=0)

    least = best_of(args.repeat, bound)
    lists = best_of(args.repeat, lambda: recommend((queries, items), train, k=20))
    whole = best_of(args.repeat, both)

    def show(name: str, seconds: float, note: str) -> None:
        print(f"{name:34} {seconds:7.3f} s {train.n_users / seconds:9,.0f} users/s  {note}", flush=True)

    show("product and top-k alone", least, "")
    show("recommend", lists, f"{least / lists:.0%} of the speed of that")
    show("recommend, audit: NDCG, recall", whole, f"{least / whole:.0%}")
    given = {"dim": args.dim, "threads": args.threads, "repeat": args.repeat}
    arrays = {"queries": np.asarray(queries, dtype=np.float32), "items": np.asarray(items, dtype=np.float32)}
    for peer in args.peer:
        library, python = peer.split("=", 1)
        for name, seconds in run_peer(python, PEERS[library], train, test, given, **arrays).items():
            ours = lists if name == "recommend" else whole
            show(f"{library} {name}", seconds, f"ours is {seconds / ours:.2f} x as fast")


if __name__ == "__main__":
    main()
