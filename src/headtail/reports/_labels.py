"""Places labels beside the points of a trade-off, so that they cover nothing, and each other least."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from headtail.reports._values import text_width
from headtail.typing import Floats


@dataclass(frozen=True)
class Label:
    """A placed text: its anchor in pixels, its alignment there, and whether it stands free of everything."""

    x: float
    y: float
    align: str
    free: bool


# Where a label may stand beside its point: its alignment, and directions across and down, at three distances.
_SPOTS = [("left", 1, 0), ("right", -1, 0), ("center", 0, -1), ("center", 0, 1),
          ("left", 0.7, -0.9), ("left", 0.7, 0.9), ("right", -0.7, -0.9), ("right", -0.7, 0.9)]  # fmt: skip
_ALIGN = [spot[0] for spot in _SPOTS] * 3
_SHIFT = {"left": 0.0, "center": -0.5, "right": -1.0}
_START = np.array([_SHIFT[align] for align in _ALIGN])
_ACROSS, _DOWN = (np.concatenate([gap * np.array([s[i] for s in _SPOTS]) for gap in (8.0, 15.0, 28.0)]) for i in (1, 2))
_LEVEL = np.array([align == "center" for align in _ALIGN])


@dataclass
class Placing:
    """A plot of `width` by `height` pixels, and the boxes (left, top, right, bottom) that are taken in it."""

    width: float
    height: float
    boxes: Floats = field(default_factory=lambda: np.empty((0, 4)))

    def take(self, boxes: Floats) -> None:
        """Keep labels off these boxes."""
        self.boxes = np.concatenate([self.boxes, boxes])

    def take_points(self, points: Floats, radius: float = 5.0) -> None:
        """Keep labels off a square around each point, (n, 2)."""
        self.take(np.hstack([points - radius, points + radius]))

    def take_path(self, points: Sequence[tuple[float, float]] | Floats, step: float = 7.0) -> None:
        """Keep labels off the path through the points."""
        points = np.asarray(points, dtype=float).reshape(-1, 2)
        for start, end in zip(points[:-1], points[1:], strict=True):
            n = max(2, int(np.hypot(*(end - start)) / step) + 2)
            self.take_points(np.linspace(start, end, n), radius=2.0)

    def put(self, at: tuple[float, float], text: str, size: float, *, needed: bool) -> Label | None:
        """Place `text` beside a point where it covers least.

        A label that would cover something is left out if it is not `needed`.
        """
        width, height = text_width(text, size), size + 2
        x, y = at[0] + _ACROSS, at[1] + _DOWN + _LEVEL * np.sign(_DOWN) * (height / 2 - 1)
        left, top = x + _START * width, y - height / 2
        spots = np.column_stack([left, top, left + width, top + height])
        inside = _overlap(spots, np.array([[0.0, 0.0, self.width, self.height]]))[:, 0]
        cost = 4 * (width * height - inside) + _overlap(spots, self.boxes).sum(axis=1)
        best = int(np.argmin(np.round(cost, 6)))
        free = bool(cost[best] < 1e-6)
        if not (free or needed):
            return None
        self.take(spots[[best]] + np.array([-4.0, 0.0, 4.0, 0.0]))
        return Label(float(x[best]), float(y[best]), _ALIGN[best], free)


def _overlap(some: Floats, others: Floats) -> Floats:
    """Return the area that each of `some` boxes shares with each of the `others`."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    area: Floats = np.clip(high - low, 0.0, None).prod(axis=2)
    return area
