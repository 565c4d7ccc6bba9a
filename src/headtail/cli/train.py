"""``headtail train``."""

from inspect import signature
from typing import Any, Literal

import headtail as ht
from headtail._files import atomic_folder
from headtail._printable import counted
from headtail.cli._app import AtLeastOne, Device, File, Folder, Json, KCore, Titles, Whole, with_example
from headtail.cli._folders import INTERACTIONS, resumable, write_known
from headtail.cli._output import say, show
from headtail.cli._tables import PLAIN, Tables
from headtail.exceptions import InvalidInputError


@with_example("headtail train movietweetings --model als -o model")
def train(
    file: File,
    *,
    output: Folder,
    model: str = "mf",
    resn: float = 0.0,
    resn_form: Literal["linear", "sigmoid"] = "linear",
    loss: Literal["bpr", "bce", "mse", "sampled-softmax", "softmax"] | None = None,
    n_negatives: AtLeastOne | None = None,
    embedding_dim: AtLeastOne | None = None,
    max_length: AtLeastOne | None = None,
    epochs: AtLeastOne | None = None,
    batch_size: AtLeastOne | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    validation: float = 0.1,
    k: AtLeastOne | None = None,
    patience: Whole = 5,
    titles: Titles = None,
    k_core: KCore = None,
    device: Device = None,
    seed: Whole = 0,
    json: Json = False,
    tables: Tables = PLAIN,
) -> None:
    """Train a recommender, with ReSN against popularity bias if --resn is given.

    Settings that are not given are those usual for the model. An interrupted run resumes when the same command is given
    again.

    Parameters
    ----------
    output
        Folder for the model; the verbs `recommend`, `spectrum`, `probe` and `correct` read it.
    model
        mf or als (matrix factorization), lightgcn or xsimgcl (graphs), or sasrec (sequences, which need times or an
        order).
    resn
        Weight of the spectral-norm penalty, often between 1e-5 and 1e-3; 0 trains without.
    resn_form
        "linear" penalizes the scores, "sigmoid" their sigmoid, as the authors' code does.
    loss
        Loss of a positive against its negatives; "softmax" takes all other items as negatives.
    n_negatives
        Negatives a positive; with a --loss 8 if not given.
    embedding_dim
        Length of the vectors.
    max_length
        Longest history of a model of sequences.
    epochs
        At most; training stops when the validation no longer improves.
    batch_size
        Pairs a step.
    lr
        Learning rate of Adam.
    weight_decay
        L2 regularization.
    validation
        Share of each user's interactions held out to decide when to stop; of a model of sequences always the last one.
        0 trains all epochs.
    k
        Cut-off of the validation's NDCG.
    patience
        Evaluations without improvement before training stops.
    seed
        Seed of the validation split and of training.
    """
    from headtail._checks import choice, number
    from headtail.training.checkpoints import write_model

    kind: Any = ht.models.MODELS[choice("model", model.lower(), ht.models.MODELS)]
    sizes = {"embedding_dim": embedding_dim, "max_length": max_length}
    sizes = {name: size for name, size in sizes.items() if size is not None}
    if foreign := sizes.keys() - signature(kind).parameters.keys():
        raise InvalidInputError(f"{kind.__name__} has no {', '.join(foreign)}. Leave the flag out.")
    negatives: Any = n_negatives or (None if loss is None else 8)
    if loss == "softmax":
        if n_negatives is not None:
            raise InvalidInputError(
                f"--loss softmax takes all other items as negatives. Leave out --n-negatives {n_negatives}, or give "
                f"--loss sampled-softmax."
            )
        loss, negatives = "sampled-softmax", "all"
    with resumable(output, {"model.json", "model.safetensors", INTERACTIONS}) as checkpoint:
        given = tables.interactions(file, titles=titles, k_core=k_core)
        interactions = given.compact()  # only what is written beside the model
        fitted, held_out = _hold_out(interactions, validation, seed, last=kind.needs_order)
        made = kind.for_data(fitted, rng=seed, **sizes)
        history = ht.training.fit(
            made,
            fitted,
            loss=None if loss is None else getattr(ht.losses, loss.replace("-", "_")),
            n_negatives=negatives,
            penalties=[ht.ReSN(number("resn", resn, low=0), form=resn_form)] if resn else [],
            validation=held_out,
            k=k,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            weight_decay=weight_decay,
            patience=patience if held_out is not None else None,
            checkpoint=checkpoint,
            device=device,
            rng=seed,
        )
        with atomic_folder(output) as folder:
            write_known(interactions, fitted, folder / INTERACTIONS)
            write_model(made, folder)
    show(history, None, json)
    if not json:
        tables.say_positives(interactions)
        idle = given.n_users - interactions.n_users, given.n_items - interactions.n_items
        if any(idle):
            say(f"Left out: {counted(idle[0], 'user')} and {counted(idle[1], 'item')} without interactions.")
        say(f"Model written to {output}")


def _hold_out(
    interactions: "ht.Interactions", share: float, seed: int, *, last: bool
) -> "tuple[ht.Interactions, ht.Interactions | None]":
    from headtail._checks import number

    if number("validation", share, low=0, high=1, high_open=True) == 0:
        return interactions, None
    if last:
        split = ht.split_leave_last(interactions, validation=False)
    else:
        split = ht.split_ratio(interactions, test=share, validation=None, rng=seed)
    return split.train, split.test
