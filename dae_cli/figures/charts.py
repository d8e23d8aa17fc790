"""Axes of the charts in report.html: they map values to positions in the templates' SVG.

Positions are in units of the SVG's viewBox (about one CSS pixel on a phone); y points downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dae_cli.figures.series import ErrorSeries, Interval, LearningSeries, Line

WIDTH, HEIGHT = 360, 230
STRIP_WIDTH, STRIP_PAD = 190, 12
ASIDE = 5.0
"""Offset of our point to the left and the paper's to the right if both have a destruction level."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 8, 10, 34


@dataclass(frozen=True)
class Axis:
    """Maps values from ``low`` to ``high`` to positions from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    ticks: Sequence[float] = ()

    def at(self, value: float) -> float:
        """Return the position of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True)
class Chart:
    """Axes of a chart."""

    x: Axis
    y: Axis

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        """Return the SVG path through the points."""
        return "M" + "L".join(f"{self.x.at(x):g} {self.y.at(y):g}" for x, y in points)


def error_chart(series: ErrorSeries) -> Chart:
    """Return axes for test error against destruction."""
    levels = series.levels
    margin = 0.08 * (levels[-1] - levels[0]) or 5.0
    x = Axis(levels[0] - margin, levels[-1] + margin, _LEFT, WIDTH - _RIGHT, levels)
    intervals = [point.interval for point in (*series.ours, *series.paper)]
    return Chart(x, _vertical([end for i in intervals for end in (i.low, i.high)]))


def valid_chart(series: LearningSeries) -> Chart | None:
    """Return axes for validation error by fine-tuning epoch; None without fine-tuning."""
    lines = [run.curves.valid for run in series.runs if run.curves.valid]
    return _curve_chart(lines, (_LEFT, WIDTH - _RIGHT)) if lines else None


def cost_charts(series: LearningSeries) -> list[Chart]:
    """Return axes for the reconstruction costs of pretraining, a narrow chart for each layer."""
    costs = [run.curves.cost for run in series.runs]
    depth = max(map(len, costs), default=0)
    width = WIDTH / max(depth, 1)
    return [
        _curve_chart(
            [cost[layer] for cost in costs if layer < len(cost)],
            (round(layer * width + _LEFT - 4, 1), round((layer + 1) * width - 6, 1)),
        )
        for layer in range(depth)
    ]


def strip_axis(intervals: Iterable[Interval | None]) -> Axis | None:
    """Return the common axis for a data set's intervals in the table; None without intervals."""
    known = [interval for interval in intervals if interval is not None]
    if not known:
        return None
    low, high = min(i.low for i in known), max(i.high for i in known)
    pad = 0.06 * (high - low) or 0.5
    ticks = nice_ticks(low, high, 4)
    return Axis(low - pad, high + pad, STRIP_PAD, STRIP_WIDTH - STRIP_PAD, ticks)


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers from ``low`` to ``high`` in steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _curve_chart(lines: Sequence[Line], room: tuple[float, float]) -> Chart:
    points = [point for line in lines for point in line]
    last = max(2, *(epoch for epoch, _ in points))
    about = 6 if room[1] - room[0] > 200 else 2
    ticks = [tick for tick in nice_ticks(1, last, about) if tick == int(tick)]
    return Chart(Axis(1, last, *room, ticks), _vertical([value for _, value in points]))


def _vertical(values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    pad = 0.05 * (high - low) or 0.5
    ticks = [tick for tick in nice_ticks(low - pad, high + pad) if tick >= min(low, 0.0)]
    return Axis(low - pad, high + pad, HEIGHT - _BOTTOM, _TOP, ticks)
