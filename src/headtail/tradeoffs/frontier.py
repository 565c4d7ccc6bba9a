"""The trade-off between accuracy and even exposure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from headtail._checks import checked
from headtail.exceptions import InvalidInputError
from headtail.reports import Chart, Report, Result, Table
from headtail.tradeoffs import pages
from headtail.tradeoffs.curves import Curves
from headtail.tradeoffs.versus import versus_page


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Curves, Result):
    """The trade-off between accuracy and even exposure of methods' settings; made by :func:`sweep`.

    Settings are chosen on validation (:meth:`choose`), and figures are of the test, as means over seeds. Intervals are
    over users and seeds with three seeds or more, else over users alone. Differences are paired by user and seed.

    Attributes
    ----------
    points : tuple of Point
        In the order of the grids; the first setting of a method is its reference, such as no correction.
    accuracy : str
        Metric of which more is better, with its cut-off.
    unfairness : str
        Metric of which less is better, with its cut-off.
    influences : mapping from (method, setting, seed, part) to {metric: float array of shape (n_users,)}
        What each user adds to the error of a metric; without it intervals are those of the points or over seeds.
    facts : mapping from metric to Facts
        What metrics say of themselves: titles, formats; those of headtail's own metrics by default.
    margin : float, default 1.0
        Standard errors of the loss of accuracy on validation that must be allowed with it where a setting is chosen
        (the one-standard-error rule; Breiman et al., 1984), since the best of many settings looks better there than it
        is. Where no user's accuracy changes, the share of users is judged who may lose theirs nevertheless. At 0, and
        where users' accuracy was not kept, the loss alone is judged.
    seconds : mapping from (method, setting, seed) to (float, float)
        What making the recommender took, and then the list of one user; only for points measured in this process.
    judged_by : mapping from seed to str
        Fingerprint of the test interactions, where known.

    Examples
    --------
    >>> def point(method, setting, ndcg, gini):
    ...     measured = {"ndcg@20": ndcg, "gini@20": gini}
    ...     return ht.tradeoffs.Point(method, setting, 0, measured, measured, {})
    >>> points = point("tilt", 0.0, 0.30, 0.90), point("tilt", 0.1, 0.29, 0.80), point("tilt", 0.2, 0.25, 0.70)
    >>> frontier = Frontier(points, "ndcg@20", "gini@20")
    >>> frontier.choose("tilt", max_loss=0.05)
    0.1
    >>> round(frontier.accuracy_at("tilt", unfairness=0.75).value, 3)
    0.27
    """

    def __add__(self, other: "Frontier") -> "Frontier":
        """Join the points of two sweeps of the same metrics."""
        if (self.accuracy, self.unfairness) != (other.accuracy, other.unfairness):
            raise InvalidInputError(
                f"The sweeps measure {self.accuracy}, {self.unfairness} and {other.accuracy}, {other.unfairness}. "
                f"Join sweeps of the same metrics and cut-offs."
            )
        others = {seed for seed, test in self.judged_by.items() if other.judged_by.get(seed, test) != test}
        if others:
            raise InvalidInputError(
                f"The sweeps are judged by other test interactions at seed {min(others)}, so that their figures cannot "
                f"stand side by side. Sweep both on the same split."
            )
        if twice := self._index.keys() & other._index.keys():
            method, setting, seed = min(twice, key=str)
            raise InvalidInputError(
                f"Both sweeps hold method {method!r} at setting {setting!r} with seed {seed}. Give one of them another "
                f"name, or leave the method out with without()."
            )
        joined: dict[str, Any] = {
            name: {**getattr(self, name), **getattr(other, name)}
            for name in ("influences", "facts", "seconds", "judged_by")
        }
        return replace(self, points=self.points + other.points, **joined)

    def to_dict(self) -> dict[str, Any]:
        """Return all points as JSON-able values."""
        return {
            "kind": "frontier",
            "accuracy": self.accuracy,
            "unfairness": self.unfairness,
            "points": [asdict(point) for point in self.points],
            "front": [list(pair) for pair in self.front()],
        }

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "method": p.method,
                "setting": str(p.setting),
                "seed": p.seed,
                "part": part,
                "metric": name,
                "value": value,
            }
            for p in self.points
            for part, metrics in (("validation", p.validation), ("test", p.test))
            for name, value in metrics.items()
        ]

    def report(self, max_loss: float = 0.05) -> Report:
        """Return the trade-off as a page, with the setting marked that :meth:`choose` picks for each method."""
        return pages.frontier_page(self, max_loss)

    def versus(self, method: str, levels: Sequence[tuple[str, float]] | None = None) -> Report:
        """Return how the other methods do beside one: at equal evenness, over whole curves, and in seconds.

        Parameters
        ----------
        method : str
            Choose it without looking at the test, such as by validation.
        levels : sequence of (str, float), optional
            Metrics of unfairness, with how far each is to lie below the reference, as a share. Without it
            :attr:`unfairness` at 5, 10 and 20%, and the head's share at 20% where it was measured.

        Examples
        --------
        >>> def point(method, setting, ndcg, gini):
        ...     measured = {"ndcg@20": ndcg, "gini@20": gini}
        ...     return ht.tradeoffs.Point(method, setting, 0, measured, measured, {})
        >>> tilt = point("tilt", 0.0, 0.30, 0.90), point("tilt", 0.1, 0.29, 0.80), point("tilt", 0.2, 0.25, 0.70)
        >>> other = point("other", 0.0, 0.30, 0.90), point("other", 0.1, 0.27, 0.80), point("other", 0.2, 0.20, 0.75)
        >>> table = Frontier(tilt + other, "ndcg@20", "gini@20").versus("tilt", [("gini@20", 0.1)]).blocks[0]
        >>> round(table.rows[0]["ndcg@20 at gini@20 -10%"], 3)
        -0.06
        """
        return versus_page(self, method, levels)

    def chart(self, max_loss: float = 0.05) -> Chart:
        """Return the curves of all methods on test; the chosen setting of each is marked."""
        return pages.curves(self, max_loss)

    def table(self, max_loss: float = 0.05) -> Table:
        """Return all settings with their test metrics."""
        return pages.settings_table(self, max_loss)
