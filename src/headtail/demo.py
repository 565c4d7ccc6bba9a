"""The demonstration: one recommender on real data, its popularity bias measured, explained and corrected."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import headtail._torch  # noqa: F401 - first, for its error

import torch

from headtail import datasets
from headtail._checks import checked
from headtail._files import check_writable
from headtail._printable import printable
from headtail._progress import progress_bar
from headtail.correction import Correction, correct
from headtail.data import Interactions, Split, split_debiased, split_ratio, write_table
from headtail.dials import REFERENCES, dial
from headtail.losses import mse
from headtail.metrics import Comparison, audit, compare
from headtail.metrics.charts import MEANING
from headtail.metrics.pages import figure_of, items_table, metric_column
from headtail.metrics.verdicts import of_audit, of_comparison
from headtail.models import MF
from headtail.reports import Column, Figures, Report, Section, Table, Text
from headtail.reports._markdown import bullets
from headtail.spectral import Spectrum, data_spectrum, memory_effect, spectrum
from headtail.subjects import Subject
from headtail.tradeoffs import sweep
from headtail.training.recipes import Recipe
from headtail.typing import Vectors

if TYPE_CHECKING:
    from rich.console import Console

K = 20
MAX_LOSS = 0.05
# Found on the validation part without correction. The squared loss makes the scores follow the data, popularity too.
TRAINING = {"loss": mse, "n_negatives": 8, "epochs": 24, "batch_size": 4096, "lr": 5e-3, "weight_decay": 3e-5}
RECIPE = Recipe(MF, {"embedding_dim": 64}, TRAINING)
# Least FVU of those that take seconds.
AUTOENCODER = {"expansion": 8, "n_active": 16, "epochs": 40, "batch_size": 512, "lr": 3e-3}
N_CANDIDATES = 200
EXTENSIONS = 3  # of a grid, at most

_TILTS = (0.0, 0.1, 0.2, 0.4, 0.8)
GRIDS = {
    "ReSN": (0.0, 1e-4, 3e-4, 1e-3, 3e-3),
    "log penalty": (0.0, 0.1, 0.2, 0.4, 0.8),
    "shrink": (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0),
    "tilt (entropy)": _TILTS,
    "tilt (alpha-fair)": _TILTS,
    "allocation": _TILTS,
    "PopSteer": (0.0, 0.25, 0.5, 1.0, 2.0),
}
"""The dials that are shown, coarser than usual, so that all of it takes some minutes."""

PLAIN = "MF"


@checked
@dataclass(frozen=True)
class Study:
    """All that one way of splitting leads to: the best correction, and every method as validation sets it."""

    correction: Correction
    chosen: dict[str, float]
    comparison: Comparison
    resn: Vectors

    @property
    def best(self) -> str:
        """The method that validation chooses of all."""
        return self.correction.frontier.best(MAX_LOSS)[0]


def run_demo(output: Path, *, rng: int = 0, console: "Console | None" = None) -> Path:
    """Measure, explain and correct the popularity bias of matrix factorization on MovieTweetings.

    The output folder gets ``report.html``, which is returned, the same as Markdown and JSON, ``explorer.html``, and the
    corrected recommendations. `rng` is the seed of the splits and of training. Progress and a summary are shown where
    there is a console.
    """
    check_writable(output / "report.html")
    start = time.perf_counter()
    interactions = datasets.movietweetings()
    split = split_ratio(interactions, test=0.2, validation=0.1, rng=rng)
    n_settings = sum(len(grid) + EXTENSIONS for grid in GRIDS.values())
    bar = progress_bar("headtail demo", 2 * n_settings, show=None if console is not None else False)
    with _one_thread(), bar as advance:
        common = _study(split, "common test", rng, advance)
        debiased = _study(split_debiased(split, rng=rng), "debiased test", rng, advance)
    popularity = split.train.popularity
    spectra = {
        "training interactions": data_spectrum(split.train, k=10, popularity=popularity),
        PLAIN: spectrum(*common.correction.subject.vectors(rng), popularity=popularity),
        "ReSN": spectrum(*common.resn, popularity=popularity),
    }
    seconds = time.perf_counter() - start
    report = _report(interactions, common, debiased, spectra, seconds)
    path = report.to_html(output / "report.html")
    report.to_markdown(output / "report.md")
    report.to_json(output / "report.json")
    write_table(common.correction.lists.to_polars(), output / "recommendations.parquet")
    explorer = common.correction.explore()
    explorer.to_json(output / "explorer.json")
    page = explorer.to_html(output / "explorer.html")
    if console is not None:
        shown = [
            memory_effect(spectra).table(),
            _brief(common, f"Common test, top {K}: a random part of what users did"),
            _brief(debiased, f"Debiased test, top {K}: every item about equally often"),
        ]
        console.print(Report("Popularity bias on MovieTweetings", shown, _verdict(common)))
        console.print("Open in a browser:")
        for file, what in ((path, "the report"), (page, "move the dials and see lists change")):
            console.print(printable(f"  {file} ({what})"), markup=False, soft_wrap=True)
    return path


def _study(split: Split, name: str, seed: int, advance: Callable[..., None]) -> Study:
    """Correct MF by every dial on one split, and audit each setting that validation chooses beside the baselines."""
    subject = Subject(RECIPE, split, k=K, n_candidates=N_CANDIDATES, autoencoder=AUTOENCODER)
    # What is made is kept, for the settings that will be chosen.
    dials = {method: replace(dial(method), grid=grid, make=cache(dial(method).make)) for method, grid in GRIDS.items()}
    better = correct(
        subject, split, dials=dials.values(), max_loss=MAX_LOSS, seeds=(seed,), refine=0, extend=EXTENSIONS,
        progress=lambda steps, state: advance(steps, f"{name}: {state}"),
    )  # fmt: skip
    references = (sweep(better.witness.watching(one), subject, seeds=(seed,), progress=False) for one in REFERENCES)
    # MF as it is stands at the beginning of each dial already.
    frontier = better.frontier.without(better.frontier.reference[0])
    better = replace(better, frontier=sum(references, start=frontier))
    chosen = {method: better.frontier.choose(method, MAX_LOSS) for method in GRIDS}
    made = {PLAIN: subject.plain(seed)}
    made |= {method: dials[method].at(subject, strength, seed) for method, strength in chosen.items()}
    made |= {one.name: one.at(subject, 0.0, seed) for one in REFERENCES}
    audits = {
        method: audit(
            subject.recommend(one, split.known), split.train, split.test, k=(10, K), strict=False, rng=seed,
            item_vectors=subject.vectors(seed).items,
        )
        for method, one in made.items()
    }  # fmt: skip
    return Study(better, chosen, compare(audits), subject.vectors_of(made["ReSN"]))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train on one thread: steps this small gain little from a second, and lose much where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _brief(study: Study, title: str) -> Table:
    shown = ("ndcg", "gini", "head_share", "popularity_lift")
    audits = study.comparison.audits
    rows = [{"recommender": name} | {m: found[f"{m}@{K}"] for m in shown} for name, found in audits.items()]
    first = audits[PLAIN]
    columns = [metric_column(first, m, K, better=first.facts[m].better) for m in shown]
    return Table([Column("recommender", "Recommender"), *columns], rows, title=title)


MEMORY_EFFECT = """Every score matrix is a sum of directions. In the training interactions the strongest one is close to
the popularity of the items, and a trained model keeps it (the *memory effect*, Lin et al., WSDM 2025). ReSN penalizes
the weight of that direction during training."""
NEURONS = f"""A sparse autoencoder takes MF's vectors of the users apart into neurons, of which
{AUTOENCODER["n_active"]} speak for each user. Some answer to users who like popular films, others to users who do not.
PopSteer (Ahmadov and Mansoury, RecSys 2025) holds the first down and pushes the others up, and the model itself stays
as it is."""
COMMON_TEST = "The test is a random part of what users did, so that it holds the popularity bias of the data."
DEBIASED_TEST = """All items have about equally many test interactions, but keep half of theirs for training. What
popularity alone explains earns nothing here (after Lin et al., WSDM 2025)."""


def _report(
    interactions: Interactions, common: Study, debiased: Study, spectra: dict[str, Spectrum], seconds: float
) -> Report:
    audits = common.comparison.audits
    before, best = audits[PLAIN], common.best
    neurons = common.correction.subject.neurons(common.correction.seed)
    shown = ("gini", "head_share", "arp", "popularity_lift", "ndcg")
    figures = [figure_of(audits[best], name, before[f"{name}@{K}"]) for name in shown]
    unequal = [
        items_table(before.over_exposed, f"Over-exposed in the top {K}"),
        items_table(before.under_exposed, f"Under-exposed in the top {K}"),
    ]
    return Report(
        "Popularity bias, measured, explained and corrected",
        [
            Text(
                f"Matrix factorization on MovieTweetings ({interactions.n_users:,} users, {interactions.n_items:,} "
                f"films, {len(interactions):,} ratings), as it is and corrected in {len(GRIDS)} ways. Every setting "
                f"was chosen on the validation part; all figures are of the test. Below: {best} beside plain MF."
            ),
            Figures(figures),
            _corrected(common, "Corrected: the common test", COMMON_TEST),
            Section(
                "Explained: the first singular direction is popularity",
                [Text(MEMORY_EFFECT), *memory_effect(spectra).blocks()],
            ),
            Section(
                "Explained: the neurons that carry popularity",
                [Text(NEURONS), *neurons.report(1).blocks],
                folded=True,
            ),
            Section("Items most over- and under-exposed by plain MF", unequal, folded=True),
            _corrected(debiased, "Corrected: the debiased test", DEBIASED_TEST, folded=True),
            _how(common, debiased, seconds),
        ],
        _verdict(common),
    )


def _verdict(study: Study) -> str:
    """Say how biased the plain model is, and what the best correction changes."""
    best, audits = study.best, study.comparison.audits
    measured = of_audit(audits[PLAIN]).partition("\n\n")[0]
    return f"{measured}\n\n{of_comparison(compare({name: audits[name] for name in (PLAIN, best)}))}"


def _corrected(study: Study, title: str, text: str, *, folded: bool = False) -> Section:
    frontier = study.correction.frontier
    compared = [  # after the trade-off of the chosen settings, which is in that of all
        replace(block, folded=True) if isinstance(block, Section) else block
        for block in study.comparison.report().blocks[1:]
    ]
    # Random lists are so even, and find so little, that the other curves would shrink to a point beside them.
    chart = frontier.without("random").chart(MAX_LOSS)
    every = Section("Every setting", [frontier.table(MAX_LOSS)], folded=True)
    return Section(title, [Text(text), chart, *compared, every], folded)


def _how(common: Study, debiased: Study, seconds: float) -> Section:
    def chosen(study: Study) -> str:
        said = []
        for method, setting in study.chosen.items():
            last = setting != 0 and setting == study.correction.frontier.settings(method)[-1]
            said.append(f"{method} {setting:g}" + (" (the last that was tried)" if last else ""))
        return ", ".join(said)

    lines = [
        f"Common split: {common.correction.subject.split.description}",
        f"Debiased split: {debiased.correction.subject.split.description}",
        f"Model: MF of {RECIPE.sizes['embedding_dim']} dimensions, squared loss with {TRAINING['n_negatives']} sampled "
        f"negatives, {TRAINING['epochs']} epochs; all of it chosen on the validation part without any correction.",
        f"Choice: of each method the setting with the lowest Gini on validation among those that lose at most "
        f"{MAX_LOSS:.0%} of plain MF's NDCG@{K} there, with a standard error to spare. Grids go on for as long as "
        f"their last setting is chosen.",
        f"Chosen for the common test: {chosen(common)}.",
        f"Chosen for the debiased test: {chosen(debiased)}.",
        "Intervals are 95% intervals over users, of one trained model each; they do not hold the spread over seeds.",
        *(f"Common test: {note}" for note in common.correction.notes),
        *(f"Debiased test: {note}" for note in debiased.correction.notes),
        f"Made in {seconds:.0f} s by `headtail demo`.",
    ]
    return Section("How this was done", [Text(MEANING), bullets(lines)], folded=True)
