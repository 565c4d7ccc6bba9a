"""``headtail train``."""

import shutil
from typing import TYPE_CHECKING, Any, Literal

from headtail.cli._app import AtLeastOne, Device, File, Folder, Json, KCore, MinRating, Titles, app
from headtail.cli._folders import INTERACTIONS, checkpoint_of, replaced, write_known
from headtail.cli._inputs import read
from headtail.cli._output import say, show

if TYPE_CHECKING:
    from headtail.data import Interactions


@app.command
def train(
    file: File,
    *,
    output: Folder,
    model: Literal["mf", "lightgcn", "sasrec"] = "mf",
    resn: float = 0.0,
    resn_form: Literal["linear", "sigmoid"] = "linear",
    loss: Literal["bpr", "bce", "mse", "sampled-softmax", "softmax"] | None = None,
    n_negatives: AtLeastOne = 8,
    embedding_dim: AtLeastOne = 64,
    max_length: AtLeastOne = 100,
    epochs: AtLeastOne = 100,
    batch_size: AtLeastOne = 8192,
    lr: float | None = None,
    weight_decay: float | None = None,
    validation: float = 0.1,
    k: AtLeastOne = 20,
    patience: int = 5,
    titles: Titles = None,
    min_rating: MinRating = None,
    k_core: KCore = None,
    device: Device = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Train a recommender, with ReSN against popularity bias if wished.

    An interrupted run resumes when the same command is given again.

    Parameters
    ----------
    output
        Folder for the model; the verbs `recommend`, `spectrum`, `probe` and `correct` read it.
    model
        Matrix factorization, LightGCN, or SASRec, which needs times or an order.
    resn
        Weight of the spectral-norm penalty, often between 1e-5 and 1e-3; 0 trains without.
    resn_form
        "linear" penalises the scores, "sigmoid" their sigmoid, as the authors' code does.
    loss
        Loss of a positive against its negatives; "softmax" takes all other items as negatives. Without it mse for mf,
        bpr for lightgcn, softmax for sasrec.
    n_negatives
        Negatives a positive.
    embedding_dim
        Length of the vectors.
    max_length
        Longest history of sasrec.
    epochs
        At most; training stops when the validation no longer improves.
    batch_size
        Pairs a step.
    lr
        Learning rate of Adam; without it 0.005, and 0.001 for sasrec.
    weight_decay
        L2 regularization; without it 1e-5, and 0 for sasrec.
    validation
        Share of each user's interactions held out to decide when to stop, the last one for sasrec; 0 trains all epochs.
    k
        Cut-off of the validation's NDCG.
    patience
        Evaluations without improvement before training stops.
    seed
        Seed of the validation split and of training.
    """
    from headtail import losses
    from headtail._files import atomic_folder
    from headtail.penalties import ReSN
    from headtail.training import fit
    from headtail.training.checkpoints import write_model

    checkpoint = checkpoint_of(output)
    with replaced(output, {"model.json", "model.safetensors", INTERACTIONS}):
        penalties = [ReSN(resn, form=resn_form)] if resn else []
        interactions = read(file, titles=titles, min_rating=min_rating, k_core=k_core)
        fitted, held_out = _hold_out(interactions, validation, seed, last=model == "sasrec")
        made = _make(model, fitted, embedding_dim, max_length, seed)
        usual = {"mf": ("mse", 5e-3, 1e-5), "lightgcn": ("bpr", 5e-3, 1e-5), "sasrec": ("softmax", 1e-3, 0.0)}[model]
        name = loss or usual[0]
        history = fit(
            made,
            fitted,
            loss=losses.sampled_softmax if name == "softmax" else getattr(losses, name.replace("-", "_")),
            n_negatives="all" if name == "softmax" else n_negatives,
            penalties=penalties,
            validation=held_out,
            k=min(k, interactions.n_items),
            epochs=epochs,
            batch_size=batch_size,
            lr=usual[1] if lr is None else lr,
            weight_decay=usual[2] if weight_decay is None else weight_decay,
            patience=patience if held_out is not None else None,
            checkpoint=checkpoint,
            device=device,
            rng=seed,
        )
        with atomic_folder(output) as folder:
            write_known(interactions, fitted, folder / INTERACTIONS)
            write_model(made, folder)
        shutil.rmtree(checkpoint, ignore_errors=True)  # the run is over, and another one may have other settings
    show(history, None, json)
    if not json:
        say(f"Model written to {output}")


def _make(model: str, train: "Interactions", embedding_dim: int, max_length: int, seed: int) -> Any:
    from headtail import models

    if model == "sasrec":
        return models.SASRec(train.n_items, max_length, embedding_dim, rng=seed)
    if model == "lightgcn":
        return models.LightGCN(train, embedding_dim, rng=seed)
    return models.MF(train.n_users, train.n_items, embedding_dim, rng=seed)


def _hold_out(
    interactions: "Interactions", share: float, seed: int, *, last: bool
) -> "tuple[Interactions, Interactions | None]":
    from headtail.data import split_leave_last, split_ratio

    if share == 0:
        return interactions, None
    if last:
        split = split_leave_last(interactions, validation=False)
    else:
        split = split_ratio(interactions, test=share, validation=None, rng=seed)
    return split.train, split.test
