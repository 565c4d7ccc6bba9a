"""The command line: each verb is a public function, its flags are that function's parameters.

Exit status: 0 when all went well, 1 when a condition of ``audit --fail-if`` was met, 2 when the input was wrong or a
condition could not be judged, 70 for an error that nobody expected, 130 after Ctrl-C, 141 when the reader of the output
went away.
"""

import math
import operator
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from headtail._printable import printable
from headtail.exceptions import (
    CheckpointMismatchError,
    HeadtailError,
    InvalidInputError,
    MissingColumnError,
    UnreadableFileError,
)

if TYPE_CHECKING:
    from headtail.data import Interactions
    from headtail.reports import Result

# Nothing heavy is imported up here, so that --help comes at once.

app = App(
    name="headtail",
    help="Measure, explain and correct popularity bias in recommender systems.",
    help_epilogue="Exit status: 0 well, 1 a --fail-if was met, 2 wrong input, 70 an error of headtail, 130 Ctrl-C.",
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

Output = Annotated[Path | None, Parameter(alias="-o", help="Write a report here: .html, .md or .json.")]
Json = Annotated[bool, Parameter(negative="", help="Print JSON for machines in place of the report.")]
AtLeastOne = Annotated[int, Parameter(validator=Number(gte=1))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    try:
        status = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except (CycloptsError, HeadtailError) as error:
        _complain("error", f"{error}" if isinstance(error, CycloptsError) else f"{type(error).__name__}: {error}")
        return 2
    except KeyboardInterrupt as stop:
        _complain("stopped", " ".join(getattr(stop, "__notes__", ["Nothing was written."])))
        return 130
    except (BrokenPipeError, SystemExit) as end:  # rich makes the second of the first, with the status of a verdict
        if not isinstance(end, BrokenPipeError) and not isinstance(end.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        _complain("internal error", f"{type(error).__name__}: {error}")
        if os.environ.get("HEADTAIL_TRACEBACK"):
            import traceback

            for line in "".join(traceback.format_exception(error)).splitlines():
                _say(line, stderr=True)
        else:
            _say(
                "This is a fault of headtail. Set HEADTAIL_TRACEBACK=1, run it again and report what it says.",
                stderr=True,
            )
        return 70
    return int(status or 0)


@app.command
def demo(*, output: Annotated[Path, Parameter(alias="-o")] = Path("headtail-demo"), seed: int = 0) -> None:
    """Measure, explain and correct the popularity bias of a recommender on real data, and write a report.

    Parameters
    ----------
    output
        Folder for the report (HTML, Markdown, JSON), the corrected model and its recommendations.
    seed
        Seed of the splits and of training.
    """
    from headtail.demo import run_demo

    run_demo(output, rng=seed, console=_console())


@app.command
def data(
    file: Path,
    *,
    titles: Path | None = None,
    min_rating: float | None = None,
    k_core: int | None = None,
    duplicates: Literal["error", "first", "last", "mean"] = "error",
    split: Literal["ratio", "leave-last", "time", "debiased"] | None = None,
    seed: int = 0,
    to: Path | None = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Describe a file of interactions, and convert or split it.

    Parameters
    ----------
    file
        CSV, TSV, Parquet or RecBole .inter, the usual column names are recognised; or "movietweetings", the set that is
        part of the package (its 5-core).
    titles
        File with an item and a title column.
    min_rating
        Keep interactions with at least this rating.
    k_core
        Keep users and items with at least this many interactions; without it all, but of "movietweetings" the 5-core.
    duplicates
        What to do with several rows of one (user, item) pair.
    split
        Split into training, validation and test before writing.
    seed
        Seed of a random split.
    to
        File to convert to (.csv, .tsv, .parquet, .inter); with --split a folder, which gets one Parquet file a part.
    """
    from headtail._files import atomic_folder
    from headtail.data import write_interactions
    from headtail.metrics import describe

    _check_output(output)
    if split and to is None:
        raise InvalidInputError("--split needs --to FOLDER, where the parts are written.")
    interactions = _read(file, titles=titles, min_rating=min_rating, k_core=k_core, duplicates=duplicates)
    if to is not None and split is None:
        write_interactions(interactions, to)
    elif to is not None and split is not None:
        parts = _split(interactions, split, seed).parts
        with _folder(to, {"train.parquet", "validation.parquet", "test.parquet"}), atomic_folder(to) as folder:
            for name, part in parts.items():
                write_interactions(part, folder / f"{name}.parquet")
    _show(describe(interactions), output, json)


@app.command
def audit(
    recs: Path,
    train: Path,
    *,
    test: Path | None = None,
    users: Path | None = None,
    titles: Path | None = None,
    catalogue: Path | None = None,
    k: Annotated[list[AtLeastOne] | None, Parameter(alias="-k", negative="")] = None,
    groups: Literal["mass", "rank", "equal-mass"] = "mass",
    strict: bool = True,
    n_bootstrap: int = 200,
    fail_if: Annotated[list[str] | None, Parameter(negative="")] = None,
    output: Output = None,
    json: Json = False,
) -> int:
    """Measure popularity bias of a file of recommendations.

    Parameters
    ----------
    recs
        Recommendations: user, item, and rank (1 = first) or score.
    train
        The training interactions.
    test
        Held-out interactions, for accuracy.
    users
        A user column and others; each of those splits the users into groups that are measured apart.
    titles
        File with an item and a title column.
    catalogue
        File with the ids of all items, if more can be recommended than the training interactions show.
    k
        Cut-off; may be repeated. 10 and 20, as far as the lists reach.
    groups
        Head, mid and tail by share of interactions or of items, or five groups of equal interactions.
    strict
        Refuse users without training history and test interactions that are in training; otherwise note them.
    n_bootstrap
        Resamples for the intervals; 0 for none.
    fail_if
        Exit with status 1 if this holds, such as "gini@10 > 0.9", and with 2 if the metric is undefined here (NaN); may
        be repeated.
    """
    from headtail import metrics
    from headtail.data import PopularityGroups, read_interactions, read_table

    _check_output(output)
    groupings: dict[str, Any] = {
        "mass": PopularityGroups.by_mass,
        "rank": PopularityGroups.by_rank,
        "equal-mass": PopularityGroups.equal_mass,
    }
    conditions = [_condition(text, k, groupings[groups] if test else None) for text in fail_if or ()]
    result = metrics.audit(
        read_table(recs),
        read_interactions(train, titles=titles),
        None if test is None else read_interactions(test),
        k=k,
        users=None if users is None else read_table(users),
        groups=groupings[groups],
        catalogue=None if catalogue is None else _ids(catalogue, "item_id"),
        strict=strict,
        n_bootstrap=n_bootstrap,
    )
    _show(result, output, json)
    undefined = [condition for condition in conditions if result[condition.name] != result[condition.name]]
    met = [condition for condition in conditions if condition.holds(result[condition.name])]
    for condition in met:
        _complain("failed", condition.text)
    if undefined:
        text, name = undefined[0].text, undefined[0].name
        raise InvalidInputError(
            f"--fail-if {text!r} cannot be judged: {name} is undefined (NaN) for this input. It is: "
            f"{result.definitions[name.partition('@')[0]]}"
        )
    return 1 if met else 0


@app.command
def spectrum(
    model: Path | None = None,
    *,
    queries: Path | None = None,
    items: Path | None = None,
    train: Path | None = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Show how much of a model's scores is popularity: singular values and their alignment.

    Parameters
    ----------
    model
        Folder of a model that `headtail train` wrote.
    queries
        In place of a model: a .npy file of user vectors, one row a user.
    items
        A .npy file of item vectors, one row an item, in ascending order of the item ids of --train.
    train
        Training interactions, for the popularity of the items.
    """
    from headtail.data import read_interactions
    from headtail.spectral import spectrum as _spectrum

    _check_output(output)
    if (model is None) == (queries is None) or (queries is None) != (items is None):
        raise InvalidInputError("Give either the folder of a model, or both --queries and --items.")
    popularity = None if train is None else read_interactions(train).popularity
    if model is not None:
        from headtail.training import vectors

        known = read_interactions(_interactions_of(model))
        factors: Any = vectors(_load(model), interactions=known)
        popularity = known.popularity if popularity is None else popularity
    else:
        factors = (_read_array(queries), _read_array(items))
    _show(_spectrum(*factors, popularity=popularity), output, json)


@app.command
def train(
    file: Path,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
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
    titles: Path | None = None,
    min_rating: float | None = None,
    k_core: int | None = None,
    device: str | None = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Train a recommender, with ReSN against popularity bias if wished.

    A run that is stopped goes on where it was when the same command is given again.

    Parameters
    ----------
    file
        Interactions: CSV, TSV, Parquet or RecBole .inter; or "movietweetings", the 5-core that is part of the package.
    output
        Folder for the model; the verbs `recommend`, `spectrum`, `probe` and `steer` read it.
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
    titles
        File with an item and a title column.
    min_rating
        Keep interactions with at least this rating.
    k_core
        Keep users and items with at least this many interactions; without it all, but of "movietweetings" the 5-core.
    device
        Where to train, such as cuda.
    seed
        Seed of the validation split and of training.
    """
    from headtail import losses
    from headtail._files import atomic_folder
    from headtail.penalties import ReSN
    from headtail.training import fit
    from headtail.training.checkpoints import write_model

    checkpoint = _checkpoint(output)
    with _folder(output, {"model.json", "model.safetensors", _INTERACTIONS}):
        penalties = [ReSN(resn, form=resn_form)] if resn else []
        interactions = _read(file, titles=titles, min_rating=min_rating, k_core=k_core)
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
            _write_known(interactions, held_out, folder / _INTERACTIONS)
            write_model(made, folder)
        shutil.rmtree(checkpoint, ignore_errors=True)  # the run is over, and another one may have other settings
    _show(history, None, json)
    if not json:
        _say(f"Model written to {output}")


def _make(model: str, train: "Interactions", embedding_dim: int, max_length: int, seed: int) -> Any:
    from headtail import models

    if model == "sasrec":
        return models.SASRec(train.n_items, max_length, embedding_dim, rng=seed)
    if model == "lightgcn":
        return models.LightGCN(train, embedding_dim, rng=seed)
    return models.MF(train.n_users, train.n_items, embedding_dim, rng=seed)


@app.command
def probe(
    model: Path,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    expansion: AtLeastOne = 16,
    k: AtLeastOne = 32,
    epochs: AtLeastOne = 50,
    batch_size: AtLeastOne = 1024,
    lr: float = 1e-3,
    device: str | None = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Train a sparse autoencoder of a model's vectors and find the neurons that carry popularity.

    A run that is stopped goes on where it was when the same command is given again.

    Parameters
    ----------
    model
        Folder of a model that `headtail train` wrote.
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
    device
        Where to train, such as cuda.
    seed
        Seed of training and of the synthetic users.
    """
    from headtail._files import atomic_folder
    from headtail.data import write_table
    from headtail.sae import TopKSAE, contrast, find_neurons, fit_sae, states
    from headtail.sae.neuron_storage import write_neurons
    from headtail.training import load_model
    from headtail.training.checkpoints import kept

    checkpoint = _checkpoint(output)
    with _folder(output, _PROBE), kept(checkpoint):
        trained, (fitted, _) = load_model(model, device=device), _read_known(model)
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
    _show(neurons, None, json)
    if not json:
        _say(f"Autoencoder, neurons and report written to {output}")


@app.command
def steer(
    model: Path,
    *,
    probe: Path,
    output: Annotated[Path, Parameter(alias="-o")],
    max_loss: float = 0.05,
    rule: Literal["v2", "v1", "damp"] = "v2",
    alphas: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0),
    by_user: bool = False,
    keep_error: bool = True,
    k: Annotated[AtLeastOne, Parameter(alias="-k")] = 10,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Turn a model's popularity neurons down: measure every setting, choose one, write the steered model.

    What `headtail train` held out is divided between two halves of the users: the setting is chosen on one and reported
    on the other.

    Parameters
    ----------
    model
        Folder of a model that `headtail train` wrote, with a part held out.
    probe
        Folder that `headtail probe` wrote for this model.
    output
        Folder for the steered model, its recommendations and the report.
    max_loss
        Share of the NDCG that may be lost for more even exposure.
    rule
        How neurons are steered: as in the extended paper (v2), as in the first one (v1), or scaled where they are
        active (damp).
    alphas
        Settings of the dial to measure; the first must be 0.
    by_user
        Steer a user the more, the more popular the recommendations are than the user's own history.
    keep_error
        Pass on what the autoencoder misses; the papers do not.
    k
        Length of the lists.
    seed
        Seed of the division of the users into halves.
    """
    from headtail._files import atomic_folder
    from headtail.data import read_interactions, write_table
    from headtail.sae import load_neurons, personal_strength
    from headtail.sae import steer as _steer
    from headtail.sae.steered_storage import write_steered
    from headtail.tradeoffs import sweep
    from headtail.training import load_model
    from headtail.training import recommend as _recommend

    if not alphas or alphas[0] != 0:
        raise InvalidInputError(f"--alphas {' '.join(map(str, alphas))}: the first must be 0, the model as it is.")
    with _folder(output, {"model", "recommendations.parquet", "report.html"}):
        trained, (fitted, held_out) = load_model(model), _read_known(model)
        if held_out is None:
            raise InvalidInputError(
                f"{model} was trained on all its interactions, so that nothing is left to choose on. Train it with "
                f"--validation above 0."
            )
        neurons = load_neurons(probe, fitted)
        _check_probe(trained, fitted, neurons.source.contrast, probe)
        strength = personal_strength(neurons.source.contrast, fitted, k=k) if by_user else None
        options: dict[str, Any] = {"rule": rule, "strength": strength, "keep_error": keep_error}

        def steered(alpha: Any) -> Any:
            return _steer(trained, neurons.source.sae, neurons, alpha_popular=alpha, alpha_niche=alpha, **options)

        frontier = sweep(
            f"PopSteer {rule}{', by user' if by_user else ''}",
            lambda alpha, _: steered(alpha),
            alphas,
            _halves(fitted, held_out, seed),
            k=k,
            n_bootstrap=500,
        )
        chosen = frontier.choose(frontier.methods[0], max_loss)
        known = _interactions_of(model)
        lists = _recommend(steered(chosen), read_interactions(known), k=k)
        with atomic_folder(output) as folder:
            (folder / "model").mkdir()
            shutil.copyfile(known, folder / "model" / _INTERACTIONS)
            write_steered(steered(chosen), folder / "model")
            write_table(lists.to_polars(), folder / "recommendations.parquet")
            frontier.report(max_loss).to_html(folder / "report.html")
    _show(frontier, None, json)
    if not json:
        _say(f"alpha {chosen:g} chosen; model, recommendations and report written to {output}")


def _check_probe(model: Any, fitted: "Interactions", contrast: Any, probe: Path) -> None:
    """Raise if the neurons were found in another model."""
    from headtail.training import vectors

    now = vectors(model, interactions=fitted).items
    if now.shape != contrast.items.shape or (now - contrast.items).abs().max() > 1e-3 * now.abs().max():
        raise CheckpointMismatchError(f"{probe} was made for another model. Run `headtail probe` on this one.")


@app.command
def recommend(
    model: Path,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    k: Annotated[AtLeastOne, Parameter(alias="-k")] = 20,
    users: Path | None = None,
    exclude_seen: bool = True,
    device: str | None = None,
) -> None:
    """Write the k best items of each user.

    Parameters
    ----------
    model
        Folder of a model that `headtail train` wrote.
    output
        File for the recommendations (.parquet, .csv): user_id, item_id, rank, score.
    k
        Length of the lists.
    users
        File with the ids of the users to serve; all without it.
    exclude_seen
        Leave out what a user has interacted with.
    device
        Where to compute, such as cuda.
    """
    from headtail._files import check_writable
    from headtail.data import read_interactions, write_table
    from headtail.training import recommend as _recommend

    check_writable(output)
    interactions = read_interactions(_interactions_of(model))
    wanted = None if users is None else _ids(users, "user_id")
    lists = _recommend(_load(model), interactions, users=wanted, k=k, exclude_seen=exclude_seen, device=device)
    write_table(lists.to_polars(), output)
    _say(f"{len(lists):,} lists of {k} written to {output}")


_INTERACTIONS = "interactions.parquet"
_PROBE = {"autoencoder", "neurons.json", "neurons.safetensors", "neurons.parquet", "report.html"}


@contextmanager
def _folder(output: Path, names: set[str]) -> Iterator[None]:
    """Keep others from a folder that will be replaced as a whole; refuse one that holds other things than ours."""
    from headtail._checks import shown
    from headtail._files import writing

    with writing(output):
        others = {path.name for path in output.iterdir()} - names if output.is_dir() else ()
        if others:
            raise UnreadableFileError(
                f"{output} would be replaced as a whole, and it holds other things: {shown(sorted(others))}. Give "
                f"another folder."
            )
        yield


def _checkpoint(output: Path) -> Path:
    """Return where a run that leads to `output` keeps its state."""
    output = output.resolve()
    return output.with_name(f"{output.name}.checkpoint")


def _console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr)


def _say(text: str, *, stderr: bool = False) -> None:
    """Print one line as it is: nothing in it is read as a style, or by the terminal."""
    _console(stderr=stderr).print(printable(text), markup=False, highlight=False, soft_wrap=True)


def _complain(what: str, text: str) -> None:
    from rich.text import Text

    _console(stderr=True).print(Text(what, style="bold red"), Text(printable(text)), soft_wrap=True)


_WRITERS = {".html": "to_html", ".md": "to_markdown", ".json": "to_json"}


def _check_output(output: Path | None) -> None:
    """Refuse a report that could not be written, before the work and not after it."""
    from headtail._files import check_writable

    if output is not None:
        if output.suffix not in _WRITERS:
            raise InvalidInputError(f"--output {output}: the ending is not one of {', '.join(_WRITERS)}.")
        check_writable(output)


def _show(result: "Result", output: Path | None, json: bool) -> None:
    """Write the result to a file, if one is named, and print it."""
    if output is not None:
        getattr(result, _WRITERS[output.suffix])(output)
    if json:
        sys.stdout.write(result.to_json())
    else:
        _console().print(result)


def _read(file: Path, **options: Any) -> "Interactions":
    if str(file) == "movietweetings" and not file.exists():
        from headtail.datasets import movietweetings

        k_core = 5 if options["k_core"] is None else options["k_core"]
        return movietweetings(k_core=k_core, min_rating=options["min_rating"])
    from headtail.data import read_interactions

    return read_interactions(file, **options | {"k_core": options["k_core"] or 0})


def _split(interactions: "Interactions", rule: str, seed: int) -> Any:
    from headtail.data import split_debiased, split_leave_last, split_ratio, split_time

    if rule == "leave-last":
        return split_leave_last(interactions)
    if rule == "time":
        return split_time(interactions)
    split = split_ratio(interactions, rng=seed)
    return split if rule == "ratio" else split_debiased(split, rng=seed)


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


def _write_known(interactions: "Interactions", held_out: "Interactions | None", path: Path) -> None:
    """Write what a model knows, and which part of it was held out from training."""
    import polars as pl

    from headtail.data import write_interactions
    from headtail.data.files import read_table, write_table

    write_interactions(interactions, path)
    if held_out is not None:
        part = pl.Series("split", held_out.contains(interactions.users, interactions.items))
        named = pl.when(part).then(pl.lit("held out")).otherwise(pl.lit("train")).alias("split")
        write_table(read_table(path).with_columns(named), path)


def _interactions_of(model: Path) -> Path:
    """Return the file of what a model knows; raise if it is not the one that was written with the model."""
    from headtail._sealed import read_json

    read_json(model / ("steering.json" if (model / "steering.json").exists() else "model.json"))
    return model / _INTERACTIONS


def _read_known(model: Path) -> "tuple[Interactions, Interactions | None]":
    """Return what a model was trained on, and what was held out."""
    from headtail.data import Split, read_interactions, read_table

    known = _interactions_of(model)
    table = read_table(known)
    if "split" not in table.columns:
        return read_interactions(known), None
    split = Split.from_frame(table, "split", test="held out")
    return split.train, split.test


def _halves(fitted: "Interactions", held_out: "Interactions", seed: int) -> Any:
    """Return a split whose validation is what one half of the users held out, and whose test that of the other half."""
    import numpy as np

    from headtail.data import Split

    first = np.random.default_rng(seed).permutation(fitted.n_users) % 2 == 0
    chooses = first[held_out.users]
    rule = "What was held out from training, of one half of the users to choose on and of the other half to report on."
    return Split(fitted, held_out.subset(~chooses), held_out.subset(chooses), rule)


def _load(model: Path, device: str | None = None) -> Any:
    """Read a model of `headtail train` or of `headtail steer`."""
    from headtail.training import load_model

    if not (model / "steering.json").exists():
        return load_model(model, device=device)
    from headtail.sae import load_steered

    return load_steered(model).to(device or "cpu")


def _ids(file: Path, role: str) -> "list[Any]":
    """Return the ids of a file that has a column of them, by any of its usual names."""
    from headtail._frames import resolve_columns
    from headtail.data import read_table

    table = read_table(file)
    ids: list[Any] = table[resolve_columns(table.columns, [role], what=str(file))[role]].to_list()
    return ids


def _read_array(path: Path | None) -> Any:
    import numpy as np

    from headtail.exceptions import UnreadableFileError

    try:
        return np.load(str(path), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UnreadableFileError(f"Cannot read {path} as a .npy array: {error}") from None


class _Condition(NamedTuple):
    """What ``--fail-if`` asks, such as ``gini@10 > 0.9``."""

    text: str
    name: str
    sign: str
    threshold: float

    def holds(self, value: float) -> bool:
        """Whether a value of the metric meets the condition; NaN meets none."""
        compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[self.sign]
        return bool(compare(value, self.threshold))


def _condition(text: str, cutoffs: "Sequence[int] | None", grouping: Any) -> _Condition:
    """Parse a condition, and refuse one of a metric or a cut-off that this audit will not have."""
    from headtail._checks import nearest
    from headtail.metrics.built_in import metrics_of

    match = re.fullmatch(r"\s*(\w+)@(\d+)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", text)
    threshold = float(match[4]) if match else math.nan
    if match is None or not math.isfinite(threshold):
        raise InvalidInputError(f'--fail-if {text!r} is not of the form "gini@10 > 0.9" (<, <=, > or >=).')
    name = f"{match[1]}@{int(match[2])}"
    metrics = metrics_of(None if grouping is None else grouping([5, 4, 3, 2, 1]).names, vectors=False)
    names = [f"{metric}@{k}" for metric in metrics for k in cutoffs or [int(match[2])]]
    if name not in names:
        raise MissingColumnError(f"--fail-if {text!r}: this audit has no {name!r}. {nearest(name, names)}")
    return _Condition(text, name, match[3], threshold)
