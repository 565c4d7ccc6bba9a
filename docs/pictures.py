"""The pictures of docs/explain.md, drawn anew from MovieTweetings in some two minutes: python docs/pictures.py."""

from pathlib import Path

import headtail as ht
from headtail import sae
from headtail.amplification import SpectrumRecorder, by_dimension, in_training
from headtail.losses import mse
from headtail.models import ALS
from headtail.reports import Chart, Result, chart_svg
from headtail.reports.blocks import walk
from headtail.spectral import memory_effect

FIGURES = Path(__file__).parent / "figures"


def draw(result: Result, **titles: str) -> None:
    """Write the charts of a result that have these titles, each to the file of its keyword."""
    charts = {one.title: one for one in walk(result.report().blocks) if isinstance(one, Chart)}
    for file, title in titles.items():
        for folder, narrow in ((FIGURES, False), (FIGURES / "narrow", True)):
            path = folder / f"explain-{file}.svg"
            chart_svg(charts[title], path, beside=list(charts.values()), narrow=narrow)


def main() -> None:
    """Train, explain and draw."""
    train = ht.split_ratio(ht.datasets.movietweetings(), rng=0).train

    def als(dimension: int, seed: int) -> ALS:
        model = ALS(train.n_users, train.n_items, dimension, rng=seed)
        ht.fit(model, train, progress=False)
        return model

    model = ht.MF.for_data(train, embedding_dim=64, rng=0)
    settings = {"loss": mse, "n_negatives": 8, "batch_size": 4096, "lr": 5e-3, "weight_decay": 3e-5}
    history = ht.fit(model, train, epochs=24, callbacks=[SpectrumRecorder(train)], rng=0, **settings)
    spectra = {"MF": ht.spectrum(*ht.vectors(model), popularity=train.popularity)}
    draw(
        memory_effect({"training interactions": ht.data_spectrum(train, k=10), **spectra}),
        directions="Popularity in each direction",
    )
    draw(by_dimension(als, train, [1, 4, 16, 64]), dimensions="Exposure of the head")
    draw(in_training(history), training="The first direction")
    autoencoder = sae.TopKSAE(64, 8, 16, rng=0)
    sae.fit_sae(autoencoder, sae.states(model, train), start="given", epochs=40, batch_size=512, lr=3e-3, rng=0)
    neurons = sae.find_neurons(autoencoder, sae.contrast(model, train, rng=0), train)
    draw(neurons, neurons="Neurons by Cohen's d and firing rate")


if __name__ == "__main__":
    main()
