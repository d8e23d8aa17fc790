"""What a searched setting may be: a range of numbers, or a few values."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

Value = str | int | float | bool


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both included; whole ones if both are whole."""

    low: int | float
    high: int | float
    log: bool = False
    """Drawn evenly on a logarithmic scale."""
    step: int | float | None = None
    """Only low, low + step, …, high."""

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that a range must be legal at."""
        return (self.low, self.high)

    def on_step(self, value: float) -> float:
        """Return the nearest of low, low + step, …, with no more digits than it has."""
        if self.step is None:
            return value
        first, apart = Decimal(repr(self.low)), Decimal(repr(self.step))
        return float(first + round((Decimal(value) - first) / apart) * apart)


@dataclass(frozen=True)
class Choices:
    """A few values, in no order."""

    values: tuple[Value, ...]

    @property
    def ends(self) -> tuple[Value, ...]:
        """Every one of them must be legal."""
        return self.values


Domain = Range | Choices
