"""The demonstration: one recommender on real data, its popularity bias measured, explained and corrected."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import headtail._torch  # noqa: F401 - first, for its error

import torch

from headtail import baselines, datasets, posthoc
from headtail._files import check_writable
from headtail._printable import printable
from headtail._progress import progress_bar
from headtail.data import Interactions, Recommendations, Split, split_debiased, split_ratio, write_table
from headtail.losses import mse
from headtail.metrics import Audit, Comparison, audit, compare
from headtail.metrics.charts import MEANING
from headtail.metrics.results import items_table
from headtail.models import MF
from headtail.penalties import ReSN
from headtail.reports import Block, Column, Figure, Figures, Report, Section, Table, Text
from headtail.sae import Neurons, TopKSAE, contrast, find_neurons, fit_sae, states, steer
from headtail.spectral import Spectrum, data_spectrum, memory_effect, spectrum
from headtail.tradeoffs import Frontier, Maker, Setting, sweep
from headtail.training import fit, recommend, vectors
from headtail.typing import Vectors

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger("headtail")

K = 20
MAX_LOSS = 0.05
EMBEDDING_DIM = 64
# Found on the validation part with weight 0. The squared loss makes the scores follow the data, popularity included.
TRAINING: dict[str, Any] = {
    "loss": mse,
    "n_negatives": 8,
    "epochs": 24,
    "batch_size": 4096,
    "lr": 5e-3,
    "weight_decay": 3e-5,
}
N_NEURONS, N_ACTIVE = 512, 16
AUTOENCODER: dict[str, Any] = {"epochs": 40, "batch_size": 512, "lr": 3e-3}  # least FVU of those that take seconds
RESN_WEIGHTS = (0.0, 1e-4, 3e-4, 1e-3, 3e-3)
PENALTY_STRENGTHS = (0.0, 0.1, 0.2, 0.4, 0.8)  # in units of the scores' standard deviation, as the tilts'
SHRINK_FACTORS = (1.0, 0.9, 0.8, 0.6, 0.4, 0.2, 0.0)
TILT_STRENGTHS = (0.0, 0.1, 0.2, 0.4, 0.8)
ALPHAS = (0.0, 0.25, 0.5, 1.0, 2.0)  # of PopSteer
EXTENSIONS = 5  # of a grid, at most, where its last setting is the one that is chosen

NAMES = {
    "MF": "MF",
    "ReSN": "MF + ReSN",
    "penalty": "MF - g log(1 + popularity)",
    "shrink": "MF, sigma 1 shrunk",
    "tilt": "MF, exposure tilt",
    "alpha": "MF, alpha-fair tilt",
    "steer": "MF, PopSteer",
    "popular": "most popular",
    "random": "random",
}


@dataclass(frozen=True)
class Protocol:
    """All that one way of splitting leads to."""

    split: Split
    frontier: Frontier
    chosen: dict[str, Setting]
    comparison: Comparison
    plain: Vectors
    corrected: Vectors
    neurons: Neurons


def run_demo(output: Path, *, rng: int = 0, console: "Console | None" = None) -> Path:
    """Measure, explain and correct the popularity bias of matrix factorization on MovieTweetings.

    Parameters
    ----------
    output : Path
        Folder for ``report.html``, ``report.md``, ``report.json``, the corrected model and its recommendations.
    rng : int, default 0
        Seed of the splits and of training.
    console : rich.console.Console, optional
        Where to show the summary; without it neither that nor progress is shown.

    Returns
    -------
    Path
        The HTML report.
    """
    check_writable(output / "report.html")
    start = time.perf_counter()
    interactions = datasets.movietweetings()
    split = split_ratio(interactions, test=0.2, validation=0.1, rng=rng)
    n_steps = 2 * (len(RESN_WEIGHTS) + 7)
    bar = progress_bar("headtail demo", n_steps, done=-1, show=None if console is not None else False)
    with _one_thread(), bar as advance, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)  # of strengths that are of no more use: told in the report
        common = _study(split, "common test", rng, partial(advance, 1))
        debiased = _study(split_debiased(split, rng=rng), "debiased test", rng, partial(advance, 1))
    spectra = {
        "training interactions": data_spectrum(split.train, k=10, popularity=split.train.popularity),
        "MF": spectrum(*common.plain, popularity=split.train.popularity),
        "MF + ReSN": spectrum(*common.corrected, popularity=split.train.popularity),
    }
    seconds = time.perf_counter() - start
    warned = list(dict.fromkeys(str(warning.message) for warning in caught))
    report = _report(interactions, common, debiased, spectra, warned, seconds)
    path = report.to_html(output / "report.html")
    report.to_markdown(output / "report.md")
    report.to_json(output / "report.json")
    lists = recommend(common.corrected, split.known, k=K)
    write_table(lists.to_polars(), output / "recommendations.parquet")
    if console is not None:
        console.print(
            Report("Popularity bias on MovieTweetings, before and after", _summary(common, debiased, spectra))
        )
        console.print(printable(f"Report written to {path}"), markup=False)
    return path


def _study(split: Split, name: str, rng: int, step: Callable[[str], None]) -> Protocol:
    """Sweep every method on one split, choose its setting on validation, and audit the chosen ones on the test."""
    train, popularity = split.train, split.train.popularity
    trained: dict[Setting, Vectors] = {}
    models: list[MF] = []  # the plain one

    def train_mf(weight: Setting, _: int) -> Vectors:
        step(f"{name}: training MF with ReSN weight {weight}")
        model = MF(train.n_users, train.n_items, EMBEDDING_DIM, rng=rng)
        penalties = [ReSN(float(weight))] if weight else []
        fit(model, train, penalties=penalties, rng=rng, progress=False, **TRAINING)
        if not weight:
            models.append(model)
        trained[weight] = Vectors(*(matrix.cpu().numpy() for matrix in vectors(model)))
        return trained[weight]

    frontier = _swept(NAMES["ReSN"], train_mf, RESN_WEIGHTS, split)
    plain, plain_model = trained[0.0], models[0]
    step(f"{name}: a sparse autoencoder of MF")
    sae, neurons = _explain(plain_model, train, rng)

    def steered(alpha: float) -> Vectors:
        return Vectors(*vectors(steer(plain_model, sae, neurons, alpha_popular=alpha, alpha_niche=alpha)))

    def tilted(strength: float, welfare: Literal["entropy", "alpha"]) -> Vectors:
        return posthoc.tilt(*plain, strength=strength, k=K, seen=train, welfare=welfare, rng=rng)

    makers: dict[str, tuple[Callable[[float], Vectors], tuple[float, ...]]] = {
        "penalty": (cache(lambda g: posthoc.penalize_popularity(*plain, popularity, g)), PENALTY_STRENGTHS),
        "shrink": (cache(lambda f: posthoc.shrink(*plain, factor=f)), SHRINK_FACTORS),
        "tilt": (cache(partial(tilted, welfare="entropy")), TILT_STRENGTHS),
        "alpha": (cache(partial(tilted, welfare="alpha")), TILT_STRENGTHS),
        "steer": (cache(steered), ALPHAS),
    }
    for method, (make, grid) in makers.items():
        step(f"{name}: {NAMES[method]}")
        frontier += _swept(NAMES[method], _at(make), grid, split)
    made: dict[str, Callable[[Interactions], Recommendations]] = {
        "popular": lambda seen: baselines.most_popular(seen, K),
        "random": lambda seen: baselines.random_items(seen, K, rng=rng),
    }
    for method, lists in made.items():
        frontier += sweep(NAMES[method], _always(lists), [""], split, k=K)

    chosen = {method: frontier.choose(NAMES[method], MAX_LOSS) for method in ("ReSN", *makers)}
    final: dict[str, Recommendations] = {"MF": recommend(plain, split.known, k=K)}
    final["ReSN"] = recommend(trained[chosen["ReSN"]], split.known, k=K)
    for method, (make, _) in makers.items():
        final[method] = recommend(make(float(chosen[method])), split.known, k=K)
    final |= {method: lists(split.known) for method, lists in made.items()}
    step(f"{name}: audits")
    audits = {
        NAMES[method]: audit(lists, train, split.test, k=(10, K), item_vectors=plain.items, strict=False, rng=rng)
        for method, lists in final.items()
    }
    return Protocol(split, frontier, chosen, compare(audits), plain, trained[chosen["ReSN"]], neurons)


def _explain(model: MF, train: Interactions, rng: int) -> tuple[TopKSAE, Neurons]:
    """Train a sparse autoencoder of the users' vectors and find the neurons that carry popularity."""
    sae = TopKSAE(EMBEDDING_DIM, n_neurons=N_NEURONS, k=N_ACTIVE, rng=rng)
    fit_sae(sae, states(model, train), rng=rng, progress=False, **AUTOENCODER)
    return sae, find_neurons(sae, contrast(model, train, rng=rng), train, k=K, rng=rng)


def _swept(name: str, make: Maker, grid: tuple[float, ...], split: Split) -> Frontier:
    """Sweep a method, and go on beyond its grid for as long as the last setting is the one that is chosen."""
    frontier = sweep(name, make, grid, split, k=K)
    for _ in range(EXTENSIONS):
        before, last = map(float, frontier.settings(name)[-2:])
        if last == 0 or frontier.choose(name, MAX_LOSS) != last:
            break
        frontier += sweep(name, make, [last * last / before if before else 2 * last], split, k=K)
    return frontier


def _at(make: Callable[[float], Vectors]) -> Maker:
    return lambda setting, _: make(float(setting))


def _always(lists: Callable[[Interactions], Recommendations]) -> Maker:
    return lambda *_: lists


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train on one thread: steps this small gain little from a second, and lose much where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _summary(common: Protocol, debiased: Protocol, spectra: dict[str, Spectrum]) -> list[Table]:
    """Return what the terminal shows at the end."""
    return [
        memory_effect(spectra).table(),
        _brief(common, f"Common test, top {K}: a random part of what users did"),
        _brief(debiased, f"Debiased test, top {K}: every item about equally often"),
    ]


def _brief(protocol: Protocol, title: str) -> Table:
    shown = ("ndcg", "gini", "head_share", "popularity_lift")
    audits = protocol.comparison.audits
    rows = [{"recommender": name} | {m: found[f"{m}@{K}"] for m in shown} for name, found in audits.items()]
    facts = next(iter(audits.values())).facts
    columns = [Column(m, m, format=facts[m].format, better=facts[m].better) for m in shown]
    return Table([Column("recommender", "Recommender"), *columns], rows, title=title)


MEMORY_EFFECT = """Every score matrix is a sum of directions. In the training interactions the strongest one is close to
the popularity of the items, and a trained model keeps it (the *memory effect*, Lin et al., WSDM 2025). ReSN penalises
the weight of that direction during training."""
NEURONS = f"""A sparse autoencoder takes MF's vectors of the users apart into {N_NEURONS} neurons, of which {N_ACTIVE}
speak for each user. Some answer to users who like popular films, others to users who do not. PopSteer (Ahmadov and
Mansoury, RecSys 2025) holds the first down and pushes the others up, and the model itself stays as it is."""
COMMON_TEST = "The test is a random part of what users did, so that it holds the popularity bias of the data."
DEBIASED_TEST = """All items have about equally many test interactions, but keep half of theirs for training. What
popularity alone explains earns nothing here (after Lin et al., WSDM 2025)."""


def _report(
    interactions: Interactions,
    common: Protocol,
    debiased: Protocol,
    spectra: dict[str, Spectrum],
    warned: list[str],
    seconds: float,
) -> Report:
    audits = common.comparison.audits
    before, after = audits[NAMES["MF"]], audits[NAMES["ReSN"]]
    figures = [_before_after(name, before, after) for name in ("gini", "head_share", "arp", "popularity_lift", "ndcg")]
    unequal = [
        items_table(before.over_exposed, f"Over-exposed in the top {K}"),
        items_table(before.under_exposed, f"Under-exposed in the top {K}"),
    ]
    return Report(
        "Popularity bias, measured, explained and corrected",
        [
            Text(MEANING),
            Figures(figures),
            _explained(spectra),
            Section("Explained: the neurons that carry popularity", [Text(NEURONS), *common.neurons.report(1).blocks]),
            _corrected(common, "Corrected: the common test", COMMON_TEST),
            _corrected(debiased, "Corrected: the debiased test", DEBIASED_TEST),
            Section("Items most over- and under-exposed by plain MF", unequal),
            _how(common, debiased, warned),
        ],
        f"Matrix factorization on MovieTweetings ({interactions.n_users:,} users, {interactions.n_items:,} films, "
        f"{len(interactions):,} ratings), as it is and corrected in six ways. Every setting was chosen on the "
        f"validation part; all figures are of the test. Made in {seconds:.0f} s by `headtail demo`.",
    )


def _before_after(metric: str, before: Audit, after: Audit) -> Figure:
    m, spec = after.measurement(f"{metric}@{K}"), after.facts[metric].format
    note = f"{after.definitions[metric]} Without ReSN: {before[m.name]:{spec}}."
    return Figure(f"{m.name} with ReSN, was {before[m.name]:{spec}}", m.value, m.low, m.high, format=spec, note=note)


def _explained(spectra: dict[str, Spectrum]) -> Section:
    blocks: list[Block] = [Text(MEMORY_EFFECT), *memory_effect(spectra).blocks()]
    return Section("Explained: the first singular direction is popularity", blocks)


def _corrected(protocol: Protocol, title: str, text: str) -> Section:
    frontier = protocol.frontier
    compared = protocol.comparison.report().blocks
    # Random lists are so even, and find so little, that the other curves would shrink to a point beside them.
    chart = frontier.without(NAMES["random"]).chart(MAX_LOSS)
    return Section(title, [Text(text), chart, *compared, frontier.table(MAX_LOSS)])


def _how(common: Protocol, debiased: Protocol, warned: list[str]) -> Section:
    def chosen(protocol: Protocol) -> str:
        said = []
        for method, setting in protocol.chosen.items():
            last = setting != 0 and setting == protocol.frontier.settings(NAMES[method])[-1]
            said.append(f"{NAMES[method]} {setting:g}" + (" (the last that was tried)" if last else ""))
        return ", ".join(said)

    lines = [
        f"Common split: {common.split.description}",
        f"Debiased split: {debiased.split.description}",
        f"Model: MF of {EMBEDDING_DIM} dimensions, squared loss with {TRAINING['n_negatives']} sampled negatives, "
        f"{TRAINING['epochs']} epochs; all of it chosen on the validation part without any correction.",
        f"Choice: of each method the setting with the lowest Gini on validation among those that lose at most "
        f"{MAX_LOSS:.0%} of plain MF's NDCG@{K} there. Grids go on for as long as their last setting is chosen.",
        f"Chosen for the common test: {chosen(common)}.",
        f"Chosen for the debiased test: {chosen(debiased)}.",
        "Intervals are 95% intervals over users, of one trained model each; they do not hold the spread over seeds.",
    ]
    lines += [f"Warned of on the way: {text}" for text in warned]
    return Section("How this was done", [Text("\n".join(f"- {line}" for line in lines))])
