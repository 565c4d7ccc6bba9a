"""What happened during training."""

from dataclasses import dataclass
from typing import Any, Literal

from headtail.reports import Block, Chart, Column, Figure, Figures, Report, Table
from headtail.reports.report import Rows


@dataclass(frozen=True, repr=False)
class History(Rows):
    """The course of a training run; what :func:`headtail.fit` returns.

    Attributes
    ----------
    rows : tuple of dict
        One for each epoch: ``epoch`` (1 first), ``loss`` and each penalty by its name (means over the training pairs;
        the loss is without the penalties), the parts of the loss where the model reports them, ``seconds`` of training,
        and the validation metric, None where it was not taken.
    settings : dict
        The model's configuration, fingerprints of the data, and all arguments that bear on the result.
    metric : str or None
        Name of the validation metric, such as ``"ndcg@20"``; None without validation.
    best_epoch, best_value : int or None, float or None
        The epoch whose weights the model holds, and the validation metric there; None without validation (the last).
    better : {"higher", "lower"}
        Which way the validation metric should go.
    """

    settings: dict[str, Any]
    metric: str | None = None
    best_epoch: int | None = None
    best_value: float | None = None
    better: Literal["higher", "lower"] = "higher"

    def report(self) -> Report:
        """Return the run as a document: key figures, curves, one row an epoch."""
        # Callbacks may record more than a table shows, which then has a report of its own.
        rows = [{name: v for name, v in row.items() if not isinstance(v, (dict, list, tuple))} for row in self.rows]
        last = rows[-1]
        penalties = [name for name in last if name not in ("epoch", "loss", "seconds", self.metric)]
        figures = [
            Figure("Epochs", len(rows), format="d"),
            Figure("Loss", last["loss"], format=".4f", note="Mean over the last epoch."),
        ]
        charts = [Chart("line", rows, x="epoch", y="loss", title="Training loss")]
        if self.metric is not None:
            note = f"Best {self.metric} on the validation part, and the epoch it was reached in."
            figures += [
                Figure(f"Validation {self.metric}", self.best_value, format=".4f", note=note),
                Figure("Best epoch", self.best_epoch, format="d", note=note),
            ]
            measured = [row for row in rows if row[self.metric] is not None]
            charts.append(Chart("line", measured, x="epoch", y=self.metric, title=f"Validation {self.metric}"))
        figures.append(Figure("Seconds of training", sum(row["seconds"] for row in rows), format=".1f"))
        columns = [
            Column("epoch"),
            *(Column(name, format=".4g") for name in ("loss", *penalties)),
            *([] if self.metric is None else [Column(self.metric, format=".4f", better=self.better)]),
            Column("seconds", format=".2f"),
        ]
        blocks: list[Block] = [Figures(figures), *charts, Table(columns, rows, title="Epochs")]
        return Report(f"Training of {self.settings.get('model.model', 'a model')}", blocks)
