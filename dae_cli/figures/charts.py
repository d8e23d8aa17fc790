"""The charts of the page: where axes, points and lines lie in the SVG of its templates.

Places are in the units of an SVG's viewBox, about one CSS pixel on a telephone, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dae_cli.figures.series import ErrorPoint, ErrorSeries, Interval, LearningSeries, Line

WIDTH, HEIGHT = 360, 230
STRIP_WIDTH, STRIP_PAD = 190, 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 8, 10, 34
_ASIDE = 5.0
"""How far ours is left, and the paper's right, of a destruction at which both are."""


@dataclass(frozen=True)
class Axis:
    """Values from ``low`` to ``high`` at places from ``start`` to ``end``; values with a tick."""

    low: float
    high: float
    start: float
    end: float
    ticks: Sequence[float] = ()

    def at(self, value: float) -> float:
        """The place of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True)
class Mark:
    """Where an error and the ends of its interval are."""

    x: float
    y: float
    low: float
    high: float
    point: ErrorPoint


@dataclass(frozen=True)
class ErrorChart:
    """Test error over destruction, ours and the paper's; ``path`` joins points of one model."""

    x: Axis
    y: Axis
    ours: Sequence[Mark]
    paper: Sequence[Mark]
    path: str


@dataclass(frozen=True)
class Trace:
    """A curve of one run; ``again``: of a series that has another one already."""

    path: str
    series: int
    label: str
    again: bool
    dot: tuple[float, float] | None


@dataclass(frozen=True)
class CurveChart:
    """Curves by epoch."""

    x: Axis
    y: Axis
    traces: Sequence[Trace]
    title: str = ""


def error_chart(series: ErrorSeries) -> ErrorChart:
    """Lay out errors over destruction."""
    levels = series.levels
    margin = 0.08 * (levels[-1] - levels[0]) or 5.0
    x = Axis(levels[0] - margin, levels[-1] + margin, _LEFT, WIDTH - _RIGHT, levels)
    intervals = [point.interval for point in (*series.ours, *series.paper)]
    y = _vertical(min(i.low for i in intervals), max(i.high for i in intervals))
    ours = _marks(x, y, series.ours, series.paper, -_ASIDE)
    paths = [
        _path((mark.x, mark.y) for mark in ours if mark.point.model == model)
        for model in series.lines
    ]
    return ErrorChart(x, y, ours, _marks(x, y, series.paper, series.ours, _ASIDE), "".join(paths))


def valid_chart(series: LearningSeries) -> CurveChart | None:
    """Lay out validation errors by epoch of fine-tuning; None where there are none."""
    return _curve_chart(series, [run.curves.valid for run in series.runs], dots=True)


def cost_charts(series: LearningSeries) -> list[CurveChart]:
    """Lay out the reconstruction costs of pretraining, a narrow chart for each layer."""
    depth = max((len(run.curves.cost) for run in series.runs), default=0)
    width = WIDTH / max(depth, 1)
    charts = []
    for layer in range(depth):
        lines = [
            run.curves.cost[layer] if layer < len(run.curves.cost) else () for run in series.runs
        ]
        room = (layer * width + _LEFT - 4, (layer + 1) * width - 6)
        charts.append(_curve_chart(series, lines, room, f"layer {layer + 1}"))
    return [chart for chart in charts if chart is not None]


def strip_axis(intervals: Iterable[Interval | None]) -> Axis | None:
    """The axis that the intervals of a data set share in the table; None where there are none."""
    known = [interval for interval in intervals if interval is not None]
    if not known:
        return None
    low, high = min(i.low for i in known), max(i.high for i in known)
    pad = 0.06 * (high - low) or 0.5
    ticks = nice_ticks(low, high, 4)
    return Axis(low - pad, high + pad, STRIP_PAD, STRIP_WIDTH - STRIP_PAD, ticks)


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _curve_chart(
    series: LearningSeries,
    lines: Sequence[Line],
    room: tuple[float, float] = (_LEFT, WIDTH - _RIGHT),
    title: str = "",
    dots: bool = False,
) -> CurveChart | None:
    """Lay out a line of each run; an empty one is left out."""
    points = [point for line in lines for point in line]
    if not points:
        return None
    last, values = max(2, *(epoch for epoch, _ in points)), [value for _, value in points]
    about = 6 if room[1] - room[0] > 200 else 2
    ticks = [tick for tick in nice_ticks(1, last, about) if tick == int(tick)]
    x, y = Axis(1, last, round(room[0], 1), round(room[1], 1), ticks), _vertical(*_ends(values))
    traces: list[Trace] = []
    for run, line in zip(series.runs, lines, strict=True):
        if line:
            dot = (x.at(run.kept[0]), y.at(run.kept[1])) if dots and run.kept else None
            traces.append(
                Trace(
                    _path((x.at(epoch), y.at(value)) for epoch, value in line),
                    run.series,
                    series.name_of(run),
                    any(trace.series == run.series for trace in traces),
                    dot,
                )
            )
    return CurveChart(x, y, traces, title)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _vertical(low: float, high: float) -> Axis:
    pad = 0.05 * (high - low) or 0.5
    ticks = nice_ticks(low - pad, high + pad)
    return Axis(low - pad, high + pad, HEIGHT - _BOTTOM, _TOP, ticks)


def _marks(
    x: Axis, y: Axis, points: Sequence[ErrorPoint], others: Sequence[ErrorPoint], aside: float
) -> list[Mark]:
    """Where points lie: aside where another one is at the same destruction."""
    taken = {point.destruction_percent for point in others}
    marks = []
    for point in points:
        level, interval = point.destruction_percent, point.interval
        place = round(x.at(level) + (aside if level in taken else 0.0), 1)
        low, high = y.at(interval.low), y.at(interval.high)
        marks.append(Mark(place, y.at(interval.error_percent), low, high, point))
    return marks


def _path(places: Iterable[tuple[float, float]]) -> str:
    text = "L".join(f"{x:g} {y:g}" for x, y in places)
    return f"M{text}" if text else ""
