"""The best correction of a recommender: every fitting dial is swept, and one setting is chosen on validation."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headtail import _correction_page
from headtail._checks import checked, integer, number
from headtail._correction_page import CORRECTED, PLAIN
from headtail._progress import Forecast, Show, progress_bar
from headtail.data import Recommendations
from headtail.dials import Dial
from headtail.dials.built_in import dials_to_try
from headtail.dials.item_bias import ItemBias
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.exploring import Witness
from headtail.joining import subject_of
from headtail.metrics import Comparison, audit, compare, verdicts
from headtail.metrics.built_in import metrics_of
from headtail.metrics.facts import by_name
from headtail.metrics.gains import gains
from headtail.reports import Report, Result
from headtail.reports._markdown import plain
from headtail.reports.explorer import Explorer
from headtail.subjects import Subject
from headtail.tradeoffs import Estimate, Frontier, sweep
from headtail.tradeoffs.pages import allowed, change_sentence, setting_name, sought, spare
from headtail.tradeoffs.points import Reading, paired_change
from headtail.typing import RNG, Vectors


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Correction(Result):
    """A recommender corrected as validation says; made by :func:`correct`.

    Attributes
    ----------
    subject : Subject
        What was corrected.
    dial : Dial or None
        The dial that was chosen; None if no setting of any made exposure more even within the loss allowed.
    strength : float
        Where it stands, 0 without a dial.
    made : model, vectors, or function from the interactions to leave out to Recommendations
        The corrected recommender as the dial makes it.
    frontier : Frontier
        All settings that were tried, after the recommender "as it is".
    comparison : Comparison
        The recommender on test, "as it is" and "corrected".
    lists : Recommendations
        The corrected lists, made of all that is known before the test.
    max_loss : float
        The accuracy that could be lost on validation, as a share.
    seed : int
        Of the corrected recommender.
    notes : tuple of str
        What a reader should know, such as dials that could not be tried and settings without effect.
    witness : Witness
        What users were shown at each setting, for :meth:`explore`.
    given : bool
        Whether the strength was given, and not chosen on validation.
    """

    subject: Subject
    dial: Dial | None
    strength: float
    made: Any
    frontier: Frontier
    comparison: Comparison
    lists: Recommendations
    max_loss: float
    seed: int
    notes: tuple[str, ...]
    witness: Witness
    given: bool = False

    @property
    def vectors(self) -> Vectors:
        """The corrected vectors with their ids, to be served by any index.

        With a bias they retrieve the items of each list; how these are ordered, ``made.order``, is among the notes.

        Raises
        ------
        NotAvailableError
            If the correction works on lists, or queries depend on what is known of a user.
        """
        if not self.has_vectors:
            raise NotAvailableError(
                f"{self._named} corrects lists, not vectors; take .lists, or .made for other interactions."
            )
        made, known = self.made, self.subject.split.known
        return made.vectors(known) if isinstance(made, ItemBias) else self.subject.vectors_of(made, known)

    @property
    def has_vectors(self) -> bool:
        """Whether the corrected recommender has :attr:`vectors`, and not lists alone."""
        if isinstance(self.made, ItemBias):
            return self.subject.has("vectors")
        return not callable(self.made) or hasattr(self.made, "parameters")

    @property
    def _named(self) -> str:
        return "No correction" if self.dial is None else setting_name(self.frontier, self.dial.name, self.strength)

    @property
    def verdict(self) -> str:
        """What was chosen, why, and what it did on test; a wrong order of rows comes first."""
        if self.dial is None:
            return self._brief + _correction_page.unsure(self) + _correction_page.far_better(self)
        audits = [self.comparison.audits[name] for name in (PLAIN, CORRECTED)]
        changes = {metric: self._change(metric) for metric in (self.frontier.unfairness, self.frontier.accuracy)}
        even, accurate = (
            change_sentence(self.frontier, m, [found[m] for found in audits], change) for m, change in changes.items()
        )
        gain, cost = changes.values()
        beyond = f" That is {more}" if (more := self._beyond(cost)) else ""
        if not any(found[self.frontier.accuracy] for found in audits):
            beyond = " No list holds anything of the test, so that it says nothing of accuracy."
        rest = ("" if beyond else _correction_page.unsure(self)) + _correction_page.far_better(self)
        price = _correction_page.price(self.frontier.unfairness, gain, cost)
        return f"{self._counts} So {even}, and {accurate}.{beyond}{price} {self._why}{rest}"

    @property
    def _brief(self) -> str:
        """What was chosen, what it did on test in counts, and why; a wrong order of rows comes first."""
        if self.dial is None:
            return self._counts
        metric, before, after = self.frontier.accuracy, *self.comparison.audits.values()
        cost = self._change(metric)
        told = change_sentence(self.frontier, metric, [before[metric], after[metric]], cost).partition(" (")[0]
        more = f", {more}" if (more := self._beyond(cost)) else "."
        return f"{self._counts[:-1]}; {told} ({metric}){more} {self._why}"

    def _beyond(self, cost: Estimate) -> str:
        """Say so where more accuracy is lost on test, beyond noise, than validation was to lose."""
        if self.given or cost.high is None or cost.high >= -self.max_loss:
            return ""
        return f"more than the {100 * self.max_loss:g}% that could be lost on validation."

    @property
    def _counts(self) -> str:
        order = self.subject.order
        doubt = "" if order is None or order.fits else f"**Look at the rows first.** {order}\n\n"
        doubt = doubt or _correction_page.trained_on(self.subject, self.seed)
        if self.dial is None:
            return (
                f"{doubt}No correction {sought(self.frontier)[0]} on validation for "
                f"{allowed(self.frontier, self.max_loss)}; the recommender stays as it is."
            )
        counts = [told(self.comparison, CORRECTED) for told in (verdicts.places, verdicts.finds)]
        return f"{doubt}With **{plain(self._named)}**, {'; '.join(filter(None, counts))}."

    @property
    def _why(self) -> str:
        if self.given:
            return "All this is on the test; the setting was given, not chosen on validation."
        return (
            f"All this is on the test; of all settings that lose at most {100 * self.max_loss:g}% of accuracy on "
            f"validation{spare(self.frontier)}, this one has {sought(self.frontier)[1]} there."
        )

    def _change(self, metric: str) -> Estimate:
        """Return the relative change of a metric on test; NaN if it was 0.

        It has a paired 95% interval where the difference has one: where enough users decide.
        """
        audits, users = self.comparison.audits, self.comparison.audits[PLAIN].user_ids
        before, after = (
            Reading(
                audit[metric],
                audit.influence(metric, users) if metric in (*audit.user_values, *audit.user_influences) else None,
            )
            for audit in audits.values()
        )
        found, (name, _, _) = paired_change(after, before), metric.rpartition("@")
        told = self.comparison.changes.get(CORRECTED, {}).get(name, {"low": None})["low"] is not None
        return found if told else replace(found, low=None, high=None, over=None, p=None)

    def to_dict(self) -> dict[str, Any]:
        """Return the choice, the trade-off and the audits as JSON-able values."""
        return {
            "kind": "correction",
            "dial": None if self.dial is None else self.dial.name,
            "strength": self.strength,
            "order": self.made.order if isinstance(self.made, ItemBias) else None,
            "max_loss": self.max_loss,
            "verdict": self.verdict,
            "split": self.subject.split.description,
            "notes": list(self.notes),
            "frontier": self.frontier.to_dict(),
            "comparison": self.comparison.to_dict(),
        }

    def _rows(self) -> list[dict[str, Any]]:
        return self.comparison._rows()

    def to_html(self, path: Any = None, *, explorer: bool = False, **options: Any) -> Any:
        """Return one self-contained HTML page, or write it and return the path.

        Parameters
        ----------
        path : path, optional
            Where to write it.
        explorer : bool, default False
            Make the page of :meth:`explore` in place of the report.
        **options
            What :meth:`explore` or :meth:`report` takes.
        """
        return self.explore(**options).to_html(path) if explorer else super().to_html(path, **options)

    def explore(self, n_items: int = 20_000) -> Explorer:
        """Return a page on which any dial that was tried can be moved and users' lists change with it.

        Parameters
        ----------
        n_items : int, default 20,000
            Items to search, as in :meth:`Witness.explore <headtail.exploring.Witness.explore>`.
        """
        chosen = (PLAIN if self.dial is None else self.dial.name), self.strength
        biased, _ = _correction_page.biased(self)
        said = f"{biased.partition('.**')[0]}. {self._brief}".replace("**", "")
        if some := _correction_page.sampled(self):
            said += f" The figures of the settings below are of {some}."
        return self.witness.explore(self.frontier, chosen=chosen, verdict=said, max_loss=self.max_loss, n_items=n_items)

    def summary(self) -> Report:
        """Return what fits a terminal: the verdict, the best setting of each dial on test, and the others beside it."""
        return _correction_page.summary(self)

    def report(self) -> Report:
        """Return the correction as a page: the verdict, the trade-off, before and after, and what else was tried."""
        return _correction_page.page(self)


@checked
def correct(
    source: Any,
    data: Any,
    validation: Any = None,
    test: Any = None,
    *,
    dials: Iterable[str | Dial] | None = None,
    strength: float | None = None,
    max_loss: float = 0.02,
    k: int | None = None,
    user_ids: Any = None,
    item_ids: Any = None,
    seeds: Sequence[int] = (0,),
    n_users: int = 20_000,
    refine: int = 2,
    extend: int = 3,
    rng: RNG = 0,
    progress: Show = None,
    **options: Any,
) -> Correction:
    """Correct the popularity bias of a recommender: try what fits, choose on validation, report on test.

    Parameters
    ----------
    source : torch.nn.Module, Recipe, (Q, V), Recommendations, frame of long lists, or Subject
        The recommender, trained on the training part alone. A frame has a user, an item and a score, and lists longer
        than `k`.
    data : Split, Interactions or frame
        A split with a validation part, or the training interactions.
    validation, test : Interactions or frame, optional
        What users did later, where `data` is the training part; interactions with users or items that neither it nor
        the recommender knows are left out and counted. Without a test, half of the users' validation part takes its
        place, and the setting is chosen on the other half.
    dials : names or Dials, optional
        Which corrections to try; without it all that need neither training nor an autoencoder.
    strength : float, optional
        Strength of the one dial of `dials`, as found in the explorer, in place of a choice on validation.
    max_loss : float, default 0.02
        Accuracy (NDCG, counted as :func:`headtail.tradeoffs.sweep` does) that may be lost on validation, as a share of
        that without correction; the loss and its standard error together stay below it, since the best of many
        settings looks better there than it is.
    k : int, optional
        Length of the lists that users see; by default 20, or the size of the catalogue.
    user_ids, item_ids : sequences of ids, optional
        Ids of the rows of Q and V; by default those of the training part, ascending.
    n_users : int, default 20,000
        Settings are tried on a random sample of at most this many users with held-out interactions. The chosen one is
        made and reported for all; relevance and prices are learned from at most 30,000 users.
    rng : seed or generator, default 0
        Divides users where there is no test, and draws those on whom settings are tried.
    seeds, refine, extend, progress, **options
        As for :func:`headtail.tradeoffs.sweep`, for all dials: `metrics` and `unfairness` for another goal than even
        exposure, `folder` to resume after a stop.

    Examples
    --------
    >>> world = ht.datasets.power_law(400, 120, n_interactions=4000, rng=0)
    >>> split = ht.split_ratio(world.interactions, rng=0)
    >>> rng = np.random.default_rng(0)
    >>> Q = np.column_stack([rng.normal(size=(400, 8)), np.ones(400)])
    >>> V = np.column_stack([rng.normal(size=(120, 8)), np.log1p(split.train.popularity)])
    >>> better = correct((Q, V), split, dials=["log penalty"], max_loss=0.5, k=10, progress=False)
    >>> before, after = better.comparison.audits.values()
    >>> after["gini@10"] < before["gini@10"], better.vectors.items.shape
    (True, (120, 10))
    """
    max_loss = number("max_loss", max_loss, low=0, high=1)
    refine, extend = (integer(name, n) * (strength is None) for name, n in (("refine", refine), ("extend", extend)))
    if not len(seeds):
        raise InvalidInputError("seeds is empty; give at least one, such as (0,).")
    subject = subject_of(source, data, validation, test, k=k, user_ids=user_ids, item_ids=item_ids, rng=rng)
    chosen = dials_to_try(dials, subject, strength)
    if any(each.name == PLAIN for each in chosen):
        raise InvalidInputError(
            f"{PLAIN!r} is what results call the recommender without a dial. Give the dial another name."
        )
    split, seed = subject.split, seeds[0]
    notes = [str(subject.order)] if subject.order is not None and subject.order.fits else []
    sample = subject.sample(integer("n_users", n_users, low=1), rng)
    if sample is not subject:
        notes.append(f"Settings were tried on {n_users:,} of {split.train.n_users:,} users; the one chosen is for all.")
    witness = Witness(sample, seed=seed)
    _check_hits(sample, seed)
    plain = Dial(PLAIN, _as_it_is, (0.0,), "lists")
    frontier = sweep(witness.watching(plain), sample, seeds=seeds, progress=False, **options)
    turned = {"seeds": seeds, "refine": refine, "extend": extend, "max_loss": max_loss, **options}
    frontier = sum(_swept(chosen, witness, turned, notes, named=dials is not None, progress=progress), start=frontier)
    name, stands = frontier.best(max_loss) if strength is None else (chosen[0].name, float(strength))
    best = next((each for each in chosen if each.name == name), None)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # noted above
        made = subject.plain(seed) if best is None else best.at(subject, stands, seed)
    if best is not None and strength is None:
        notes.append(_correction_page.grounds(frontier, best.name, stands, sample))
    notes += (decided := subject.decisions(seed))
    notes += [f"Where settings were tried: {note}" for note in sample.decisions(seed) if note not in decided]
    notes += [made.note] if isinstance(made, ItemBias) else []
    both = {PLAIN: (plain, subject.plain(seed)), CORRECTED: (best or plain, made)}
    lists = {name: dial.lists(one, subject, stands, split.known) for name, (dial, one) in both.items()}
    notes += _correction_page.ties(lists[PLAIN]) + _correction_page.emptied(lists[PLAIN], lists[CORRECTED])
    comparison = _on_test(lists, subject, options.get("metrics"))
    return Correction(
        subject, best, stands, made, frontier, comparison, lists[CORRECTED], max_loss, seed, tuple(notes), witness,
        given=strength is not None,
    )  # fmt: skip


def _on_test(lists: dict[str, Recommendations], subject: Subject, metrics: Any) -> Comparison:
    """Audit lists on the test; `metrics` of one's own come beside the usual ones."""
    if metrics is not None:
        metrics = metrics_of(("head", "mid", "tail")) | by_name(metrics)
    split = subject.split
    return compare({
        name: audit(each, split.train, split.test, k=subject.k, metrics=metrics, strict=False)
        for name, each in lists.items()
    })  # fmt: skip


def _as_it_is(subject: Subject, strength: float, seed: int) -> Any:
    return subject.plain(seed)


def _check_hits(subject: Subject, seed: int) -> None:
    """Raise if the recommender has no hit in the validation part, so that there is no accuracy to lose."""
    relevant = subject.split.validation
    if relevant is None or not gains(subject.recommend(subject.plain(seed), subject.split.train), relevant).any():
        raise InvalidInputError(
            f"No interaction of validation is among the first {subject.k} recommendations, so that there is no "
            f"accuracy to keep. Check that the recommender's ids are those of the data and that it leaves out no "
            f"more than the training part, or raise k."
        )


def _swept(
    dials: Sequence[Dial], witness: Witness, options: dict[str, Any], notes: list[str], *, named: bool, progress: Show
) -> list[Frontier]:
    """Sweep each dial, adding to the notes; dials that were not `named` may be left out."""
    tried = []
    n_seeds, tail = len(options["seeds"]), options["extend"] + options["refine"]
    n_settings = sum(len(each.grid) + tail for each in dials)
    forecast = Forecast({d.name: (n_seeds * (len(d.grid) + tail // 2), d.cost_on(witness.subject)) for d in dials})
    with progress_bar("correct", n_seeds * n_settings, show=progress, forecast=forecast) as advance:
        for each in dials:
            forecast.begin(each.name)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                try:
                    tried.append(sweep(witness.watching(each), witness.subject, progress=advance, **options))
                except InvalidInputError as error:
                    if named:
                        raise
                    notes.append(f"{each.name} was left out. {error}")
            if told := list(dict.fromkeys(str(warning.message) for warning in caught)):
                notes.append(f"{each.name}: {told[-1]}" + f" {len(told)} settings are like this." * (len(told) > 1))
    if not tried:
        raise InvalidInputError("No dial could be tried. " + " ".join(notes))
    return tried
