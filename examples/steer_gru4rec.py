"""Steering a model that knows nothing of headtail: a GRU over sequences of items, trained with plain PyTorch.

headtail reads the states of its GRU, learns an autoencoder of them, finds the neurons that answer to popular and to
niche histories, and returns a model of the same call in which they are turned down and up.

    python examples/steer_gru4rec.py
"""

import argparse

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import headtail as ht
from headtail import sae


class GRU4Rec(nn.Module):
    """Scores of all items after a sequence (B, L) of items, 0 being padding."""

    def __init__(self, n_items: int, dim: int = 48) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items + 1, dim, padding_idx=0)
        self.gru = nn.GRU(dim, dim, batch_first=True)

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """Return the scores (B, n_items)."""
        states, _ = self.gru(self.items(sequences))
        return states[:, -1] @ self.items.weight[1:].T


def train(model: GRU4Rec, sequences: torch.Tensor, targets: torch.Tensor, epochs: int) -> None:
    """Predict each user's last item from those before it."""
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(sequences)).split(256):
            loss = cross_entropy(model(sequences[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> None:
    """Train, find neurons, steer, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()

    split = ht.split_leave_last(ht.datasets.movietweetings())
    known = split.train
    histories = torch.from_numpy(known.sequences(max_length=21)).long() + 1  # (U, 21), 0 at the left
    torch.manual_seed(0)
    model = GRU4Rec(known.n_items)
    train(model, histories[:, :-1], histories[:, -1] - 1, options.epochs)

    def states(sequences: torch.Tensor) -> torch.Tensor:
        return sae.activations(model, sequences.split(512), layer="gru")

    def made_up(which: str) -> torch.Tensor:
        return states(torch.from_numpy(sae.synthetic_users(known, which, max_length=20, rng=0)).long() + 1)

    real = states(histories[:, 1:])
    autoencoder = sae.TopKSAE(real.shape[1], expansion=8, k=16, rng=0)
    sae.fit_sae(autoencoder, real, epochs=options.epochs, batch_size=256, rng=0)
    neurons = sae.find_neurons(autoencoder, sae.Contrast(made_up("popular"), made_up("niche"), real))
    print(neurons.select(top=6))
    print("alpha  NDCG@10  Gini@10  coverage@10")
    for alpha in (0.0, 0.25, 0.5, 1.0):
        steered = sae.steer(model, autoencoder, neurons, alpha_popular=alpha, alpha_niche=alpha, layer="gru")
        with torch.no_grad():
            scores = torch.cat([steered(batch) for batch in histories[:, 1:].split(512)])
        lists = ht.Recommendations.from_scores(scores, k=10, known=known)
        metrics = [ht.metrics.ndcg, ht.metrics.gini, ht.metrics.coverage]
        found = ht.audit(lists, known, split.validation, metrics=metrics, k=10, n_bootstrap=0)
        print(f"{alpha:5.2f}  {found['ndcg@10']:7.4f}  {found['gini@10']:7.4f}  {found['coverage@10']:11.4f}")


if __name__ == "__main__":
    main()
