"""Steering factors that the library `implicit` has trained, and writing steered factors for a vector index.

Factors are two arrays, whoever made them. Where `implicit` is not installed, headtail's own alternating least squares
stands in for it, and the first line of the output says so.

    python examples/steer_implicit_factors.py --out factors.npz
"""

import argparse

import numpy as np

import headtail as ht
from headtail import sae
from headtail.integrations import implicit
from headtail.integrations.pytorch import as_model
from headtail.models import ALS


def trained_factors(train: ht.Interactions, dim: int) -> ht.Vectors:
    """Return the factors of users and items, with their ids."""
    try:
        from implicit.als import AlternatingLeastSquares
    except ImportError:
        print("implicit is not installed: these factors are by headtail.models.ALS instead")
        model = ALS(train.n_users, train.n_items, dim, rng=0)
        ht.fit(model, train, progress=False)
        return ht.vectors(model, interactions=train)
    print("these factors are by implicit")
    learner = AlternatingLeastSquares(factors=dim, random_state=0, num_threads=1)
    learner.fit(train.matrix, show_progress=False)
    return implicit.vectors(learner, train.user_ids, train.item_ids)


def main() -> None:
    """Train or read factors, find neurons, steer, compare, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", help="an .npz file for the last steered factors")
    options = parser.parse_args()

    split = ht.split_ratio(ht.datasets.movietweetings(), rng=0)
    model = as_model(trained_factors(split.train, dim=64))
    found = sae.contrast(model, split.train, layer="users")
    autoencoder = sae.TopKSAE(64, expansion=8, k=16, rng=0)
    sae.fit_sae(autoencoder, found.real, epochs=options.epochs, batch_size=512, lr=2e-3, rng=0)
    neurons = sae.find_neurons(autoencoder, found, split.train)
    metrics = [ht.metrics.ndcg, ht.metrics.gini, ht.metrics.coverage]
    print("alpha  NDCG@10  Gini@10  coverage@10")
    for alpha in (0.0, 0.25, 0.5, 1.0):
        steered = sae.steer(
            model, autoencoder, neurons, alpha_popular=alpha, alpha_niche=alpha, variant="damp", layer="users"
        )
        lists = ht.recommend(steered, split.known, k=10)
        audit = ht.audit(lists, split.train, split.test, metrics=metrics, k=10, strict=False, n_bootstrap=0)
        print(f"{alpha:5.2f}  {audit['ndcg@10']:7.4f}  {audit['gini@10']:7.4f}  {audit['coverage@10']:11.4f}")
    if options.out:
        queries, items = ht.vectors(steered)
        np.savez(options.out, users=queries.numpy(), items=items.numpy())


if __name__ == "__main__":
    main()
