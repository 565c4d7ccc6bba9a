"""``headtail probe``."""

from pathlib import Path
from typing import Any, Literal

import headtail as ht
from headtail._files import atomic_folder
from headtail.cli._app import AtLeastOne, Device, Folder, Json, Model, Tags, Whole, with_example
from headtail.cli._folders import read_known, resumable
from headtail.cli._inputs import NO_PAIR, Pair
from headtail.cli._output import say, show
from headtail.cli._tables import PLAIN, Tables
from headtail.exceptions import InvalidInputError

_PROBE = {"autoencoder", "neurons.json", "neurons.safetensors", "neurons.parquet", "report.html", "portraits.json"}
_PROBE |= {"tags.html"}
_TOLD = 200  # strongest neurons whose portraits are written


@with_example("headtail probe model -o neurons")
def probe(
    model: Model | None = None,
    *,
    pair: Pair = NO_PAIR,
    train: Path | None = None,
    output: Folder,
    layer: Literal["query", "item"] = "query",
    tags: Tags = None,
    expansion: AtLeastOne = 16,
    k: AtLeastOne = 8,
    epochs: AtLeastOne = 50,
    batch_size: AtLeastOne = 1024,
    lr: float = 1e-3,
    device: Device = None,
    seed: Whole = 0,
    json: Json = False,
    tables: Tables = PLAIN,
) -> None:
    """Train a sparse autoencoder on vectors, of a model or from files, and find the neurons that carry popularity.

    An interrupted run resumes when the same command is given again.

    Parameters
    ----------
    train
        What the recommender learned from, where vectors are given in place of a model.
    output
        Folder for the autoencoder, its neurons (neurons.parquet), the report on them (report.html), and what the
        strongest listen to and do (portraits.json).
    layer
        Of the queries of users, or of the vectors of items.
    tags
        Tags separated by "|", or a row for each: which neuron speaks for which is printed and written (tags.html).
    expansion
        Neurons for each dimension of the vectors.
    k
        Neurons that are active at a time. The fewer, the more of them another seed would find again, and the less
        steering corrects.
    epochs
        At most; training stops when the held-out part is no longer explained better.
    batch_size
        Vectors a step.
    lr
        Learning rate of Adam.
    seed
        Seed of training and of the synthetic users.
    """
    from headtail.sae.tags import read_tags
    from headtail.training.checkpoints import kept

    tagged = None if tags is None else tables.table(tags, "item_id", attribute="tags")
    with resumable(output, _PROBE) as checkpoint, kept(checkpoint):
        trained, fitted = _read(model, pair, train, device, tables)
        if tagged is not None:
            read_tags(tagged, fitted)  # raises before the training
        learned = ht.sae.states(trained, fitted, layer)
        sae = ht.sae.TopKSAE(learned.shape[1], expansion, k, rng=seed)
        ht.sae.fit_sae(
            sae, learned, epochs=epochs, batch_size=batch_size, lr=lr, checkpoint=checkpoint, device=device, rng=seed
        )  # fmt: skip
        contrast = ht.sae.contrast(trained, fitted, layer, rng=seed)
        neurons = ht.sae.find_neurons(sae, contrast, fitted, rng=seed).with_effects(rng=seed)
        concepts = None if tagged is None else ht.sae.find_concepts(neurons, tagged, rng=seed)
        neurons = neurons if concepts is None else concepts.tagged()
        with atomic_folder(output) as folder:
            ht.sae.save_neurons(neurons, folder)
            neurons.to_html(folder / "report.html")
            ht.data.write_table(neurons.to_polars(), folder / "neurons.parquet")
            neurons.select(top=_TOLD).portraits().to_json(folder / "portraits.json")
            if concepts is not None:
                concepts.to_html(folder / "tags.html")
    show(neurons, None, json, cards=0)  # cards are in the report
    if not json:
        if concepts is not None:
            show(concepts, None, json)
        say(f"Autoencoder, neurons and report written to {output}")


def _read(
    folder: Path | None, pair: Pair, train: Path | None, device: str | None, tables: Tables
) -> "tuple[Any, ht.Interactions]":
    """Return a model and what it was trained on: of a folder, or of vectors from anywhere."""
    vectors = pair.read(folder, tables)
    if (vectors is None) != (train is None):
        raise InvalidInputError(
            "--train goes with --queries and --items, and is needed there. A model's folder has its own."
        )
    if folder is not None:
        return ht.load_model(folder, device=device), read_known(folder)[0]
    from headtail.data.rows import in_order_of, narrowed, widened, with_ids
    from headtail.integrations.pytorch import as_model

    assert vectors is not None and train is not None
    vectors = with_ids(vectors)
    known, gone = narrowed(tables.interactions(train, only_pairs=True), vectors)
    if gone:
        say(gone)
    known = widened(known, vectors)
    return as_model(in_order_of(vectors, known)).to(device or "cpu"), known
