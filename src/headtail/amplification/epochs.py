"""Amplification in training: the singular values by epoch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from headtail._checks import checked, integer, list_length
from headtail._exposure import sampled
from headtail.amplification._shares import curves, factors_of, head_share, of_first_direction, of_head, own_shares
from headtail.data import Interactions, PopularityGroups
from headtail.data.popularity import Grouping, as_groups
from headtail.exceptions import InvalidInputError
from headtail.metrics import Profiles
from headtail.reports import Block, Chart, Column, Report, Table, Text
from headtail.reports.report import Rows
from headtail.spectral import spectrum
from headtail.training import History, recommend
from headtail.typing import RNG

_ABOUT = """Gradient descent makes large singular values grow faster than small ones. So the first direction, which
follows popularity, is learned first, and those that tell users apart come later (Lin et al., WSDM 2025): a model whose
training is stopped early can recommend more of the head than it would at the end."""


_N_SIGMA = 6  # singular values that are recorded


@checked
class SpectrumRecorder:
    """Callback that records the singular values, the first direction's popularity and the head's exposure by epoch.

    Pass it to :func:`headtail.fit` as one of the `callbacks`, then give the history to :func:`in_training`. The figures
    become part of the history's rows, under ``"spectrum"``, and of checkpoints. Nothing of the training changes.

    Parameters
    ----------
    train : Interactions, frame or sparse matrix
        What the model is trained on.
    every : int, default 1
        Record every n-th epoch; the first is always recorded.
    k, groups
        Length of the lists whose exposure is measured, and what the head is, as for :func:`by_dimension`.
    n_users : int, default 500
        Users whose lists are made, drawn once from those with history; exposure is a mean over them.
    rng : seed or generator, default 0

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 80, n_interactions=1500, rng=0).interactions
    >>> recorder = SpectrumRecorder(train, every=2, k=5)
    >>> history = ht.fit(ht.MF(200, 80, 8, rng=0), train, epochs=4, callbacks=[recorder], rng=0)
    >>> [row["epoch"] for row in in_training(history).rows]
    [1, 2, 4]
    """

    def __init__(
        self,
        train: Interactions,
        *,
        every: int = 1,
        k: int | None = None,
        n_users: int = 500,
        groups: Grouping = PopularityGroups.by_mass,
        rng: RNG = 0,
    ) -> None:
        self.train = train = Interactions.of(train, what="train")
        self.every = integer("every", every, low=1)
        self.k = list_length(k, train.n_items)
        self.groups = as_groups(groups, train.popularity)
        active = np.flatnonzero(train.activity)
        self._codes = active[sampled(len(active), n_users, rng)]
        self._own = float(own_shares(Profiles(train, self.groups))[self._codes, 0].mean())

    def __call__(self, model: nn.Module, row: dict[str, Any]) -> None:
        """Add ``row["spectrum"]``, if it is the turn of this epoch."""
        epoch = row["epoch"]
        if epoch > 1 and epoch % self.every:
            return
        made = factors_of(model, self.train)
        found = spectrum(*made, popularity=self.train.popularity)
        lists = recommend(made, self.train, codes=self._codes, k=self.k)
        row["spectrum"] = {
            "sigma": found.sigma[:_N_SIGMA].tolist(),
            "energy": found.first["energy"],
            "cosine": found.first["cosine"],
            "head_share": head_share(lists.items, self.groups),
            "own_head_share": self._own,
            "k": self.k,
        }


@dataclass(frozen=True, repr=False)
class AmplificationInTraining(Rows):
    """How popularity is learned before everything else; made by :func:`in_training`.

    Attributes
    ----------
    rows : tuple of dict
        One for each recorded epoch: ``epoch``, ``sigma`` (list, descending), ``energy`` of sigma_1
        in the sum of all squared scores, ``cosine`` of the first direction with popularity, ``head_share`` of the slots
        of the sampled users' lists, and the validation metric where the history has one.
    own_head_share : float
        The head's share in the sampled users' own training items.
    k : int
        Length of the lists.
    metric : str or None
    """

    own_head_share: float
    k: int
    metric: str | None = None

    def report(self) -> Report:
        """Return the course of training as a document: charts and one row a recorded epoch."""
        last = self.rows[-1]
        most = max(self.rows, key=lambda row: row["head_share"])
        peak = f"{most['head_share']:.0%} of the places after epoch {most['epoch']}"
        if most is not last:
            peak = f"up to {peak}, and {last['head_share']:.0%} after the last, {last['epoch']}"
        lede = (
            f"**The most popular items get {peak}**; of what the same users chose they are {self.own_head_share:.0%}."
        )
        blocks: list[Block] = [Text(_ABOUT), *self.charts(), self.table()]
        return Report("Amplification in training", blocks, lede)

    def charts(self) -> list[Chart]:
        """Return the pictures: singular values, the first direction, exposure, and the validation metric if any."""
        names = [f"sigma {i + 1}" for i in range(len(self.rows[0]["sigma"]))]
        rows = [
            row | {name: value if value > 0 else None for name, value in zip(names, row["sigma"], strict=True)}
            for row in self.rows
        ]
        charts = [
            curves(
                rows, "epoch", {name: name for name in names}, x_label="epoch", y_scale="log",
                title="Singular values", y_label="singular value", caption="On a log scale.",
            ),
            of_first_direction(rows, "epoch", x_label="epoch"),
            of_head(
                rows, "epoch", self.own_head_share, self.k, x_label="epoch",
                caption="*History* is the head's share in the same users' own training items.",
            ),
        ]  # fmt: skip
        if self.metric is not None and any(row[self.metric] is not None for row in rows):
            about = {"title": f"Validation {self.metric}", "y_label": self.metric, "x_label": "epoch"}
            charts.append(curves(rows, "epoch", {self.metric: self.metric}, **about))
        return charts

    def table(self) -> Table:
        """Return the figures, one row a recorded epoch."""
        rows = [
            {key: value for key, value in row.items() if key != "sigma"}
            | {f"sigma_{i + 1}": value for i, value in enumerate(row["sigma"][:2])}
            for row in self.rows
        ]
        columns = [
            Column("epoch", "Epoch", format="d"),
            Column("sigma_1", "sigma 1", format="#.4g"),
            Column("sigma_2", "sigma 2", format="#.4g"),
            Column("energy", "Energy of sigma 1", format=".1%", note="Share in the sum of all squared scores."),
            Column("cosine", "Cosine with popularity", format=".3f"),
            Column("head_share", f"Head, top {self.k}", format=".1%", note="Share of the sampled users' places."),
            *([] if self.metric is None else [Column(self.metric, f"Validation {self.metric}", format=".4f")]),
        ]
        return Table(columns, rows, title="By epoch")


@checked
def in_training(history: History) -> AmplificationInTraining:
    """Return what a :class:`SpectrumRecorder` among the callbacks of a run recorded, as a result with charts.

    Source: Lin et al., WSDM 2025, the amplification effect in training; Arora et al., Implicit regularization in deep
    matrix factorization, NeurIPS 2019 (why large singular values grow faster).

    Examples
    --------
    >>> train = ht.datasets.power_law(200, 80, n_interactions=1500, rng=0).interactions
    >>> history = ht.fit(ht.models.ALS(200, 80, 8, rng=0), train, epochs=3, callbacks=[SpectrumRecorder(train, k=5)])
    >>> [len(row["sigma"]) for row in in_training(history).rows]
    [6, 6, 6]
    """
    metric = history.metric
    recorded = [row for row in history.rows if "spectrum" in row]
    if not recorded:
        raise InvalidInputError("the history holds no spectrum; train with callbacks=[SpectrumRecorder(train)].")
    about = {"k", "own_head_share"}
    rows = [
        {"epoch": row["epoch"]}
        | {key: value for key, value in row["spectrum"].items() if key not in about}
        | ({} if metric is None else {metric: row[metric]})
        for row in recorded
    ]
    last = recorded[-1]["spectrum"]
    return AmplificationInTraining(tuple(rows), last["own_head_share"], last["k"], metric)
