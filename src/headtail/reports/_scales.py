"""Axes: positions of values from 0 to 1, and ticks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic axis from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def of(
        cls, values: Iterable[float], *, log: bool = False, zero: bool = False, pad: float = 0.0, middle: bool = False
    ) -> "Scale":
        """Return the axis of the `values`, with a relative margin `pad` at each end except at 0.

        An axis of a single value ends there unless that stands in the `middle`: a share of 100% needs no axis to 150%.
        """
        known = [math.log(v) for v in values] if log else [*values, *([0.0] if zero else [])]
        low, high = min(known, default=0.0), max(known, default=1.0)
        margin = pad * (high - low) if high > low else 0.5 if log else abs(low) / 2 or 1.0
        low, high = low if zero else low - margin, high + margin if zero or middle or low < high else high
        return cls(math.exp(low), math.exp(high), True) if log else cls(low, high)

    def __call__(self, value: float) -> float:
        """Return the position of `value`: 0 at `low`, 1 at `high`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, n: int = 5) -> list[float]:
        """Return about `n` round values on the axis, in ascending order."""
        if self.log:
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for multiples in ((1,), (1, 3), (1, 2, 5)):
                values = (float(f"{m}e{e}") for e in exponents for m in multiples)
                found = [v for v in values if self.low <= v <= self.high]
                if len(found) >= 3:
                    return found[:: math.ceil(len(found) / (n + 2))]
        raw = (self.high - self.low) / n
        magnitude = 10.0 ** math.floor(math.log10(raw))
        step = next(m for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * (1 - 1e-9)) * magnitude
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [float(f"{i * step:.12g}") + 0.0 for i in range(first, last + 1)]


def from_zero(heights: list[float]) -> bool:
    """Whether an axis of these heights starts at 0: if that takes little room, or all are equal."""
    return bool(heights) and min(heights) >= 0 and (min(heights) < 0.5 * max(heights) or min(heights) == max(heights))


def tick_labels(ticks: list[float], spec: str | None = None) -> list[str]:
    """Format ticks with as many digits as distinguish them, in percent if the values' format is."""
    sign = "%" if spec and spec.endswith("%") else ""
    values = [float(f"{tick * 100:.12g}") for tick in ticks] if sign else ticks
    steps = {round(b - a, 12) for a, b in pairwise(values)}
    digits = next((d for d in range(7) if all(round(v, d) == v for v in values)), None)
    spec = ",.10g" if digits is None or len(steps) > 1 else f",.{digits}f"
    texts = (f"{value:{spec}}" for value in values)
    plain = (f"{v:.15f}".rstrip("0") if "e-" in text else text for v, text in zip(values, texts, strict=True))
    return [f"{text}{sign}" for text in plain]
