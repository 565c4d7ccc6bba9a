"""Places labels beside points and lines so that they cover nothing and each other least."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from headtail.reports._values import text_width


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Return the area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)


@dataclass(frozen=True)
class Label:
    """A placed text: its anchor point, its alignment there, its color as a CSS value, and whether it has a halo."""

    x: float
    y: float
    text: str
    color: str
    align: str = "left"
    bold: bool = False
    halo: bool = True


def around(points: Iterable[tuple[float, float]], radius: float) -> list[Box]:
    """Return a square of half-width `radius` around each point."""
    return [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]


def along(points: Sequence[tuple[float, float]], radius: float = 2.0, step: float = 7.0) -> list[Box]:
    """Return small squares along the path through the points."""
    samples: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in pairwise(points):
        n = max(1, int(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 / step))
        samples += [(x0 + (x1 - x0) * i / n, y0 + (y1 - y0) * i / n) for i in range(n + 1)]
    return around(samples, radius)


def _candidates(x: float, y: float, width: float, height: float) -> Iterable[tuple[str, float, float, Box]]:
    for gap in (8.0, 15.0, 26.0):
        d = gap * 0.7
        spots = (
            ("left", x + gap, y), ("right", x - gap, y), ("center", x, y - gap - height / 2 + 1),
            ("center", x, y + gap + height / 2 - 1), ("left", x + d, y - d - 3), ("left", x + d, y + d + 3),
            ("right", x - d, y - d - 3), ("right", x - d, y + d + 3),
        )  # fmt: skip
        for align, ax, ay in spots:
            left = {"left": ax, "right": ax - width, "center": ax - width / 2}[align]
            yield align, ax, ay, Box(left, ay - height / 2, left + width, ay + height / 2)


def _outside(box: Box, frame: Box) -> float:
    area = (box.right - box.left) * (box.bottom - box.top)
    return area - box.overlap(frame)


def place(
    anchors: Sequence[tuple[float, float]], text: str, color: str, *, size: float, frame: Box, obstacles: list[Box],
    needed: bool, bold: bool = False,
) -> Label | None:  # fmt: skip
    """Place `text` beside one of the `anchors` and add it to the obstacles.

    The first spot that covers nothing is taken; if there is none, the label that is not `needed` is left out, and the
    needed one goes where it covers least.
    """
    width, height = text_width(text, size) * (1.06 if bold else 1.0), size + 2
    best: tuple[float, Label, Box] | None = None
    for x, y in anchors:
        for align, ax, ay, box in _candidates(x, y, width, height):
            cost = 4 * _outside(box, frame) + sum(box.overlap(o) for o in obstacles)
            if best is None or cost < best[0] - 1e-9:
                best = (cost, Label(ax, ay, text, color, align, bold), box)
            if cost == 0:
                break
        if best and best[0] == 0:
            break
    if best is None or (best[0] > 0 and not needed):
        return None
    obstacles.append(best[2])
    return best[1]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart to at least `gap`, as little as possible, inside [low, high]; their order is kept.

    Examples
    --------
    >>> spread([10.0, 12.0, 50.0], gap=10.0, low=0.0, high=100.0)
    [6.0, 16.0, 50.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    # Groups of touching labels: each is centered on the mean of what its members want.
    groups: list[list[float]] = []
    for i in order:
        groups.append([wanted[i], 1.0])
        while True:
            _settle(groups[-1], gap, low, high)
            if len(groups) < 2 or groups[-2][0] + _half(groups[-2], gap) + _half(groups[-1], gap) <= groups[-1][0]:
                break
            (a, n), (b, m) = groups[-2], groups[-1]
            groups[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    placed = [center + (k - (n - 1) / 2) * gap for center, n in groups for k in range(int(n))]
    result = [0.0] * len(wanted)
    for i, position in zip(order, placed, strict=True):
        result[i] = position
    return result


def _half(group: list[float], gap: float) -> float:
    return group[1] * gap / 2


def _settle(group: list[float], gap: float, low: float, high: float) -> None:
    reach = (group[1] - 1) * gap / 2
    group[0] = min(max(group[0], low + reach), max(high - reach, low + reach))
