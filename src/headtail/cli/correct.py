"""``headtail correct``."""

import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Parameter

import headtail as ht
from headtail._files import atomic_folder
from headtail.cli._app import AtLeastOne, Device, Json, Length, Tags, Whole, with_example
from headtail.cli._evidence import command_of
from headtail.cli._folders import EXPLORED, INTERACTIONS, is_model, known_to, load, read_known, resumable, write_known
from headtail.cli._inputs import NO_PAIR, Pair
from headtail.cli._output import console, say, show
from headtail.cli._own import dial_of
from headtail.cli._tables import PLAIN, Tables
from headtail.exceptions import CheckpointMismatchError, InvalidInputError

if TYPE_CHECKING:
    from headtail.correction import Correction
    from headtail.dials import Dial
    from headtail.sae.tags import TaggedItems

_Parts: TypeAlias = tuple[Path | None, Path | None, Path | None]  # training, validation and test
_WRITTEN = {"report.html", "correction.json", EXPLORED, "explorer.html", "recommendations.parquet", "model"}
_WRITTEN |= {"queries.npy", "items.npy", "user_ids.parquet", "item_ids.parquet"}
_OF_A_SETTING = {"dial", "strength", "max_loss", "output", "json"}  # what a command of another setting says itself


@with_example("headtail correct model -o corrected")
def correct(
    source: Path | None = None,
    *,
    train: Path | None = None,
    validation: Path | None = None,
    test: Path | None = None,
    pair: Pair = NO_PAIR,
    dial: Annotated[list[str] | None, Parameter(negative="")] = None,
    strength: float | None = None,
    max_loss: float = 0.02,
    n_users: AtLeastOne = 20_000,
    k: Length = None,
    probe: Path | None = None,
    more: str | None = None,
    tags: Tags = None,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    device: Device = None,
    seed: Whole = 0,
    json: Json = False,
    tables: Tables = PLAIN,
) -> None:
    """Correct a recommender: try corrections, choose one on validation, report it on test.

    A model is corrected by what `headtail train` held out, vectors and lists by --train and --validation. Without
    --test, half of the users choose and the other half report. With --output, an interrupted run resumes when the same
    command is given again.

    Parameters
    ----------
    source
        Folder of a model, or a table of long lists (such as 200 a user): user, item and score.
    train
        What the recommender learned from.
    validation
        What users did later, to choose on.
    test
        What users did after that, to report on; it is not left out of the new lists.
    dial
        Correction to try, as `headtail dials` names it, or one of your own: FILE.py:NAME or MODULE:NAME of a Dial,
        whose code is run. May be repeated; without it all that need no training.
    strength
        Strength of the one dial of --dial, as found with `headtail explore`, in place of a choice.
    max_loss
        Share of the NDCG on validation that may be lost for more even exposure, a standard error included.
    n_users
        Where there are more, settings are tried on so many of them.
    probe
        Folder that `headtail probe` wrote for this model, or these vectors, for the dials that steer neurons.
    more
        Tag of --tags to show more of, by steering neurons: as much more as --max-loss allows, or at --strength.
    output
        Folder for the report, the recommendations, and the corrected vectors or the steered model.
    seed
        Seed of the halves of the users, and of samples.
    """
    again = command_of(correct, {name: value for name, value in locals().items() if name not in _OF_A_SETTING})
    from headtail.subjects import Subject

    if (more is None) != (tags is None) or (more is not None and dial):
        raise InvalidInputError("--more names a tag of the file --tags, and takes the place of --dial. Give the two.")
    own = {each: dial_of(each) for each in dial or ()}
    with nullcontext() if output is None else resumable(output, _WRITTEN) as checkpoint:
        given = _given(source, (train, validation, test), pair, probe, k, device, seed, tables)
        wanted: dict[str, Any] = {"dials": None if dial is None else [own[each] for each in dial]}
        if more is not None and tags is not None:
            if not isinstance(given[0], Subject):
                raise InvalidInputError("--more steers a model or vectors; lists have no neurons. Give one of these.")
            tagged, wanted = _towards(more, tables.table(tags, "item_id", attribute="tags"), given[1].train)
        found = ht.correct(
            *given, strength=strength, max_loss=max_loss, n_users=n_users, k=k, seeds=(seed,), rng=seed,
            folder=checkpoint, **wanted,
        )  # fmt: skip
        if output is not None:
            _write(found, output, again, own, reported=test is not None)
    show(found if json else found.summary(), None, json)
    if more is not None and not json:
        _say_shares(found, tagged, more)
    if output is not None and not json:
        say(f"Report, recommendations and what makes them written to {output}")
        say(f"To move the dials yourself: headtail explore {shlex.quote(str(output))}")


def _given(
    source: Path | None,
    parts: _Parts,
    pair: Pair,
    probe: Path | None,
    k: int | None,
    device: str | None,
    seed: int,
    tables: Tables,
) -> tuple[Any, ...]:
    """Return what `ht.correct` takes first: a recommender, and the data that it is judged by."""
    from headtail.data.files import check_exists, readable
    from headtail.data.parts import parts_of
    from headtail.joining import subject_of
    from headtail.subjects import Subject

    vectors = pair.read(source, tables, "the folder of a model, a file of lists")
    if source is not None and is_model(source):
        model, split = load(source, device), _split_of(source, *parts, seed, tables)
        return Subject(model, split, k=k, neurons=_neurons(probe, model, read_known(source)[0])), split
    if vectors is None and probe is not None:
        raise InvalidInputError(
            "--probe holds the neurons of a model, or of vectors. Give its folder as SOURCE, or them."
        )
    if source is not None and parts_of(source) is None:
        with readable(source):
            check_exists(source)
    if parts[0] is None or parts[1] is None:
        raise InvalidInputError(
            "Give what the recommender learned from as --train, and what users did later as --validation."
        )
    data: Any = [None if file is None else tables.interactions(file, only_pairs=True) for file in parts]
    if source is not None:
        return tables.lists(source), *data
    of = subject_of(vectors, *data, k=k, rng=seed)
    if probe is not None:
        model = of.with_layers().source
        of = Subject(model, of.split, k=k, neurons=_neurons(probe, model, of.split.train))
    return of, of.split


def _split_of(
    model: Path, train: Path | None, validation: Path | None, test: Path | None, seed: int, tables: Tables
) -> "ht.Split":
    """Return what a model learned from, and what was held out, or later files, to choose and to report on."""
    from headtail.joining import split_of

    if train is not None:
        raise InvalidInputError(f"--train {train}: {model} has what it was trained on. Leave the flag out.")
    fitted, later = read_known(model)
    if validation is not None:
        fitted, later = known_to(model), tables.interactions(validation, only_pairs=True)
    if later is None:
        raise InvalidInputError(
            f"{model} was trained on all its interactions, so that nothing is left to choose on. Train it with "
            f"--validation above 0, or give later interactions as --validation."
        )
    return split_of(fitted, later, None if test is None else tables.interactions(test, only_pairs=True), rng=seed)


def _neurons(probe: Path | None, model: Any, fitted: "ht.Interactions") -> Any:
    """Read the neurons of a model, if there is a probe; raise if they were found in another one."""
    if probe is None:
        return None
    neurons = ht.sae.load_neurons(probe, fitted)
    if neurons.source.contrast.item_codes is not None:
        raise InvalidInputError(f"{probe} holds neurons of item vectors, and --probe takes those of queries.")
    now, then = ht.vectors(model, interactions=fitted).items.cpu(), neurons.source.contrast.items
    if then is None or now.shape != then.shape or (now - then).abs().max() > 1e-3 * now.abs().max():
        raise CheckpointMismatchError(f"{probe} was made for another model. Run `headtail probe` on this one.")
    return neurons


def _write(found: "Correction", output: Path, again: list[str], own: "dict[str, Dial]", *, reported: bool) -> None:
    """Write the correction as a folder; the lists leave out all that is known, but a test that was given."""
    import numpy as np
    import polars as pl

    from headtail.reports.explorer import Explorer

    made, split = found.made, found.subject.split
    known = split.known if reported else split.whole
    lists = found.lists if reported else found.subject.recommend(made, known)
    with atomic_folder(output) as folder:
        found.to_html(folder / "report.html")
        found.to_json(folder / "correction.json")
        typed = {each.name: as_typed for as_typed, each in own.items()}
        Explorer({**found.explore().data, "command": again, "typed": typed}).to_json(folder / EXPLORED)
        ht.data.write_table(lists.to_polars(), folder / "recommendations.parquet")
        if _steered(made):
            from headtail.sae.storage import write_steered

            (folder / "model").mkdir()
            write_known(known, split.train, folder / "model" / INTERACTIONS)
            write_steered(made, folder / "model")
        elif found.has_vectors:
            for role, matrix in zip(("queries", "items"), found.vectors[:2], strict=True):
                np.save(folder / f"{role}.npy", matrix)
            for role in ("user_id", "item_id"):
                ids = pl.DataFrame({role: getattr(split.train, f"{role}s").tolist()})
                ht.data.write_table(ids, folder / f"{role}s.parquet")


def _steered(made: Any) -> bool:
    """Whether this is a model whose edit can be written, of a model that can."""
    if not hasattr(made, "edit"):
        return False
    within = _steered(made.model) if hasattr(made.model, "edit") else hasattr(made.model, "config")
    return within and isinstance(made.edit, (ht.sae.Steering, ht.sae.Direction))


def _towards(tag: str, table: Any, train: "ht.Interactions") -> "tuple[TaggedItems, dict[str, Any]]":
    """Return the tags of items, and what makes `correct` give one of them as many places as the loss allows."""
    from headtail.metrics.built_in import HEADLINES
    from headtail.sae.tags import place_of, read_tags

    tagged = read_tags(table, train)
    has = tagged.has[:, place_of(tag, tagged.names, tagged.dropped)]

    @ht.metrics.better("lower", title=f"Share of places without {tag}", low=0, high=1, format=".2%")
    def without_tag(top: ht.metrics.TopK) -> Any:
        return 1 - top.mean(has)

    metrics = {**HEADLINES, "without_tag": without_tag}
    return tagged, {"dials": [ht.dials.more_of(tag, table)], "metrics": metrics, "unfairness": "without_tag"}


def _say_shares(found: Any, tagged: "TaggedItems", tag: str) -> None:
    """Print what share of the places a tag has before and after, and then the others, those that change most first."""
    audits = found.comparison.audits.values()
    before, after = ((each.lists.sum(tagged.has).sum(axis=0) / each.lists.slots.sum()).tolist() for each in audits)
    rows = [
        {"tag": name, "before": then, "after": now, "change": now - then}
        for name, then, now in zip(tagged.names, before, after, strict=True)
    ]
    rows.sort(key=lambda row: (row["tag"] != tag, -abs(row["change"])))
    columns = [
        ht.reports.Column("tag", "Tag"),
        ht.reports.Column("before", "As it is", format=".2%"),
        ht.reports.Column("after", "Corrected", format=".2%"),
        ht.reports.Column("change", "Change", format="+.2p"),
    ]
    console().print(ht.reports.Report("Tags", [ht.reports.Table(columns, rows, title="Share of the places, on test")]))
