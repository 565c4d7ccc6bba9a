"""Axes: where a value lies between 0 and 1, and which values get a tick. Shared by all that draws."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic axis from `low` to `high`."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @classmethod
    def of(
        cls, values: Iterable[float | None], *, log: bool = False, zero: bool = False, round_ends: bool = True,
        pad: float = 0.0,
    ) -> "Scale":  # fmt: skip
        """Cover the `values`, widened by `pad` of the range at each end or rounded outward to ticks."""
        known = (
            [v for v in values if v is not None] or [0.0, 1.0] if not log else [v for v in values if v] or [1.0, 10.0]
        )
        low, high = min(known), max(known)
        whole = all(float(v).is_integer() for v in known)
        if log:
            return cls._logarithmic(low, high, round_ends, pad)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
        if low == high:
            margin = abs(low) / 2 or 1.0
            low, high = (low, high + margin) if zero or low == 0 else (low - margin, high + margin)
        margin = pad * (high - low)
        if margin:
            low = low - margin if low != 0 or not zero else low
            high += margin
        if round_ends:
            step = _step(high - low, 5, whole=False)
            low, high = _exact(math.floor(low / step + 1e-9), step), _exact(math.ceil(high / step - 1e-9), step)
        return cls(low, high, whole=whole)

    @classmethod
    def _logarithmic(cls, low: float, high: float, round_ends: bool, pad: float) -> "Scale":
        if low == high:
            low, high = low / 2, high * 2
        margin = (high / low) ** pad
        low, high = low / margin, high * margin
        if round_ends:
            exponent = math.floor(math.log10(low))
            low = max(m * 10.0**exponent for m in (1, 2, 5) if m * 10.0**exponent <= low * (1 + 1e-9))
            exponent = math.floor(math.log10(high))
            high = min(m * 10.0**exponent for m in (1, 2, 5, 10) if m * 10.0**exponent >= high * (1 - 1e-9))
        return cls(low, high, log=True)

    def __call__(self, value: float) -> float:
        """Return the position of `value`: 0 at `low`, 1 at `high`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, n: int = 5) -> list[float]:
        """Return about `n` round values on the axis, in ascending order."""
        if self.log:
            return self._log_ticks(n)
        step = _step(self.high - self.low, n, self.whole)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [_exact(i, step) for i in range(first, last + 1)]

    def _log_ticks(self, n: int) -> list[float]:
        exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)

        def inside(multiples: tuple[int, ...]) -> list[float]:
            values = (float(f"{m}e{e}") for e in exponents for m in multiples)
            return [v for v in values if self.low * (1 - 1e-9) <= v <= self.high * (1 + 1e-9)]

        tens = inside((1,))
        if len(tens) > n:
            return tens[:: math.ceil(len(tens) / n)]
        for multiples in ((1,), (1, 3), (1, 2, 5)):
            if len(inside(multiples)) >= 3:
                return inside(multiples)
        return Scale(self.low, self.high).ticks(n)


def _exact(n: int, step: float) -> float:
    """Return ``n * step`` without rounding noise: an end at 0.6000000000000001 would leave out the tick at 0.6."""
    return float(f"{n * step:.12g}") + 0.0


def _step(span: float, n: int, whole: bool) -> float:
    raw = span / max(n, 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * (1 - 1e-9)) * magnitude
    return max(1.0, math.ceil(step)) if whole else step


def tick_labels(ticks: list[float], spec: str | None = None) -> list[str]:
    """Write ticks with as many digits as tell them apart; in percent if the format of the values is in percent."""
    percent = bool(spec and spec.endswith("%"))
    values = [t * 100 for t in ticks] if percent else ticks
    if not percent and any(v and (abs(v) < 1e-3 or abs(v) >= 1e6) for v in values):
        written = ([_power(v, digits) for v in values] for digits in range(2, 17))
        return next(labels for labels in written if len(set(labels)) == len(set(values)))
    digits = next((d for d in range(7) if all(abs(round(v, d) - v) <= 1e-9 * max(1.0, abs(v)) for v in values)), 7)
    logarithmic = len(values) > 2 and abs((values[1] - values[0]) - (values[2] - values[1])) > 1e-9 * abs(values[2])
    if logarithmic:
        return [f"{v:,.10g}" + "%" * percent for v in values]
    return [f"{v:,.{digits}f}" + "%" * percent for v in values]


def _power(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    power = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return power if mantissa == "1" else f"{mantissa}×{power}"
