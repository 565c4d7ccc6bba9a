"""``headtail probe``."""

import shutil

from headtail.cli._app import AtLeastOne, Device, Folder, Json, Model, app
from headtail.cli._folders import checkpoint_of, read_known, replaced
from headtail.cli._output import say, show

_PROBE = {"autoencoder", "neurons.json", "neurons.safetensors", "neurons.parquet", "report.html"}


@app.command
def probe(
    model: Model,
    *,
    output: Folder,
    expansion: AtLeastOne = 16,
    k: AtLeastOne = 32,
    epochs: AtLeastOne = 50,
    batch_size: AtLeastOne = 1024,
    lr: float = 1e-3,
    device: Device = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Train a sparse autoencoder of a model's vectors and find the neurons that carry popularity.

    An interrupted run resumes when the same command is given again.

    Parameters
    ----------
    output
        Folder for the autoencoder and the report on its neurons (report.html, neurons.parquet).
    expansion
        Neurons for each dimension of the vectors.
    k
        Neurons that are active at a time.
    epochs
        At most; training stops when the held-out part is not explained better.
    batch_size
        Vectors a step.
    lr
        Learning rate of Adam.
    seed
        Seed of training and of the synthetic users.
    """
    from headtail._files import atomic_folder
    from headtail.data import write_table
    from headtail.sae import TopKSAE, contrast, find_neurons, fit_sae, states
    from headtail.sae.neuron_storage import write_neurons
    from headtail.training import load_model
    from headtail.training.checkpoints import kept

    checkpoint = checkpoint_of(output)
    with replaced(output, _PROBE), kept(checkpoint):
        trained, (fitted, _) = load_model(model, device=device), read_known(model)
        learned = states(trained, fitted)
        sae = TopKSAE(learned.shape[1], expansion, k, rng=seed)
        fit_sae(
            sae, learned, epochs=epochs, batch_size=batch_size, lr=lr, checkpoint=checkpoint, device=device, rng=seed
        )
        neurons = find_neurons(sae, contrast(trained, fitted, rng=seed), fitted, rng=seed).with_effects(rng=seed)
        with atomic_folder(output) as folder:
            write_neurons(neurons, folder)
            neurons.to_html(folder / "report.html")
            write_table(neurons.to_polars(), folder / "neurons.parquet")
        shutil.rmtree(checkpoint, ignore_errors=True)
    show(neurons, None, json)
    if not json:
        say(f"Autoencoder, neurons and report written to {output}")
