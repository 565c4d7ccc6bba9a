"""Label placement beside the points of a trade-off with the least overlap."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from headtail.reports._values import WIDER, text_width
from headtail.typing import Floats

# Candidate positions of a label: its alignment, and a direction across and down, at four distances.
_SPOTS = (("left", 1, 0), ("right", -1, 0), ("center", 0, -1), ("center", 0, 1), ("left", 0.7, -0.9),
          ("left", 0.7, 0.9), ("right", -0.7, -0.9), ("right", -0.7, 0.9))  # fmt: skip
_TRIED = [(align, gap * across, gap * down) for gap in (8.0, 15.0, 28.0, 44.0) for align, across, down in _SPOTS]
_MOVE = np.array([(across, down) for _, across, down in _TRIED])
_START = np.array([{"left": 0.0, "center": -0.5, "right": -1.0}[align] for align, *_ in _TRIED])  # in widths
_LIFT = np.array([np.sign(down) * (align == "center") for align, _, down in _TRIED])


class Label(NamedTuple):
    """The position of a text in pixels, its alignment, and whether it covers nothing."""

    x: float
    y: float
    align: str
    free: bool


@dataclass
class Placing:
    """A plot in pixels, and the boxes (left, top, right, bottom) occupied by marks and labels."""

    width: float
    height: float
    boxes: Floats = field(default_factory=lambda: np.empty((0, 4)))
    labels: Floats = field(default_factory=lambda: np.empty((0, 4)))

    def take(self, points: Floats, radius: float) -> None:
        """Keep labels off a square around each of the points, (n, 2)."""
        self.boxes = np.concatenate([self.boxes, np.hstack([points - radius, points + radius])])

    def take_path(self, points: Sequence[tuple[float, float]]) -> None:
        """Keep labels off the path through the points."""
        for start, end in pairwise(np.array(points)):
            self.take(np.linspace(start, end, int(np.hypot(*(end - start)) / 7) + 2), radius=2.0)

    def put(self, at: tuple[float, float], text: str, size: float, *, needed: bool, far: bool = False) -> Label | None:
        """Place `text` where it covers least, beside a point or, with `far`, at some distance.

        A text that would cover something is left out unless it is `needed`.
        """
        width, height = WIDER * text_width(text, size), size + 2
        x, y = (np.array(at) + _MOVE).T + np.array([np.zeros_like(_LIFT), _LIFT * (height / 2 - 1)])
        left, top = x + _START * width, y - height / 2
        spots = np.column_stack([left, top, left + width, top + height])
        reach = np.array([width, height]) + 60
        near = ((self.boxes[:, 2:] > at - reach) & (self.boxes[:, :2] < at + reach)).all(axis=1)
        inside = _shared(spots, np.array([[0.0, 0.0, self.width, self.height]])).sum(axis=1)
        covered = _shared(spots, self.boxes[near]).sum(axis=1) + 8 * _shared(spots, self.labels).sum(axis=1)
        cost = np.round(4 * (width * height - inside) + covered, 6)  # of all, two labels on one another are worst
        best = int(np.argmin(cost if far else cost[: -len(_SPOTS)]))
        if cost[best] > 0 and not needed:
            return None
        self.labels = np.concatenate([self.labels, spots[[best]] + np.array([-4.0, -2.0, 4.0, 2.0])])
        return Label(float(x[best]), float(y[best]), _TRIED[best][0], bool(cost[best] == 0))


def _shared(some: Floats, others: Floats) -> Floats:
    """Return the area of overlap of each of `some` boxes with each of the `others`."""
    low, high = np.maximum(some[:, None, :2], others[:, :2]), np.minimum(some[:, None, 2:], others[:, 2:])
    return np.asarray(np.clip(high - low, 0.0, None).prod(axis=2))
