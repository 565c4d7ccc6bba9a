"""The two effects of Lin et al. (WSDM 2025) on MovieTweetings, as pictures: memory and amplification.

    python examples/two_effects.py --output pictures

Memory: the first singular direction of a model follows popularity. Amplification: it outweighs the others the more, the
fewer dimensions there are and the earlier training stops, and lists become more popular than the users' own histories.
"""

import argparse
from pathlib import Path

import headtail as ht
from headtail.amplification import SpectrumRecorder, by_dimension, in_training, over_history
from headtail.losses import mse
from headtail.models import ALS
from headtail.spectral import memory_effect


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=Path("two-effects"))
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--dims", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64, 128])
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    train = ht.split_ratio(ht.datasets.movietweetings(), test=0.2, rng=0).train

    def als(dimension: int, seed: int) -> ALS:
        model = ALS(train.n_users, train.n_items, dimension, rng=seed)
        ht.fit(model, train)
        return model

    mf = ht.MF(train.n_users, train.n_items, 64, rng=0)
    settings = {"loss": mse, "n_negatives": 8, "batch_size": 4096, "weight_decay": 3e-5}
    history = ht.fit(mf, train, epochs=given.epochs, callbacks=[SpectrumRecorder(train)], rng=0, **settings)
    models = {"MF": ht.vectors(mf), "ALS": ht.vectors(als(64, 0))}
    spectra = {name: ht.spectrum(*made, popularity=train.popularity) for name, made in models.items()}
    results = {
        "memory": memory_effect({"training interactions": ht.data_spectrum(train, k=50), **spectra}),
        "by-dimension": by_dimension(als, train, given.dims),
        "in-training": in_training(history),
        "over-history": over_history({name: ht.recommend(made, train, k=20) for name, made in models.items()}, train),
    }
    for name, result in results.items():
        print(result.to_html(given.output / f"{name}.html"))
        print(result)


if __name__ == "__main__":
    main()
