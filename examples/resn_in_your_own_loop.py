"""ReSN in a training loop that is not headtail's: a two-tower model, trained with and without the penalty.

headtail's part is one line in the loop, `loss + resn(queries, items)`, and the measuring at the end.

    python examples/resn_in_your_own_loop.py
"""

import argparse

import torch
from torch import nn
from torch.nn.functional import mse_loss

import headtail as ht


def tower(n: int) -> nn.Module:
    """Return a net from an id to a vector."""
    return nn.Sequential(nn.Embedding(n, 64), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32))


class TwoTower(nn.Module):
    """A tower for users and one for items; a score is the inner product of what they return."""

    def __init__(self, n_users: int, n_items: int) -> None:
        super().__init__()
        self.user_tower, self.item_tower = tower(n_users), tower(n_items)
        self.register_buffer("all_items", torch.arange(n_items))

    def forward(self, users: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the queries of users (B,) and the vectors of all items."""
        return self.user_tower(users), self.item_tower(self.all_items)


def train(model: TwoTower, users: torch.Tensor, items: torch.Tensor, epochs: int, resn: ht.ReSN | None) -> None:
    """Train with squared error, 1 for what a user met and 0 for random items."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    for _ in range(epochs):
        for batch in torch.randperm(len(users)).split(2048):
            queries, vectors = model(users[batch])  # (B, d), (I, d)
            others = torch.randint(len(vectors), (len(batch), 4))  # (B, 4): negatives
            candidates = vectors[torch.cat([items[batch][:, None], others], dim=1)]  # (B, 5, d)
            scores = (candidates * queries[:, None]).sum(dim=2)
            labels = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]).expand_as(scores)
            loss = mse_loss(scores, labels)
            if resn is not None:
                loss = loss + resn(queries, vectors)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> None:
    """Train twice, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--weight", type=float, default=1e-4)
    options = parser.parse_args()

    split = ht.split_ratio(ht.datasets.movietweetings(), validation=None, rng=0)
    users, items = (torch.from_numpy(codes).long() for codes in (split.train.users, split.train.items))
    metrics = [ht.metrics.ndcg, ht.metrics.gini, ht.metrics.head_share]
    print("               NDCG@20  Gini@20  head's share  cos(first direction, popularity)")
    for name, resn in (("without ReSN", None), ("with ReSN", ht.ReSN(options.weight))):
        torch.manual_seed(0)
        model = TwoTower(split.train.n_users, split.train.n_items)
        train(model, users, items, options.epochs, resn)
        with torch.no_grad():
            queries, vectors = model(torch.arange(split.train.n_users))
        lists = ht.recommend((queries, vectors), split.train, k=20)
        audit = ht.audit(lists, split.train, split.test, metrics=metrics, k=20, n_bootstrap=0)
        spectrum = ht.spectrum(queries, vectors, popularity=split.train.popularity)
        row = (audit["ndcg@20"], audit["gini@20"], audit["head_share@20"], spectrum.alignment[0])
        print(f"{name:>12}   {row[0]:7.4f}  {row[1]:7.3f}  {row[2]:12.3f}  {row[3]:10.3f}")


if __name__ == "__main__":
    main()
