"""Charts as places on a drawing: axes, points and paths for the SVG of the templates.

All places are in the units of an SVG's viewBox, about one CSS pixel on a telephone, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dae_cli.pages.content import CellView, DataSetView, Interval, Line, Point, RunCurves

WIDTH, HEIGHT = 360, 230
STRIP_WIDTH, STRIP_PAD = 190, 12
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 8, 10, 34


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` at places from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        """The place of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True)
class Frame:
    """The axes of a chart."""

    x: Axis
    y: Axis
    title: str = ""

    @property
    def left(self) -> float:
        """Where the vertical axis stands."""
        return self.x.start

    @property
    def bottom(self) -> float:
        """Where the horizontal axis lies."""
        return self.y.start


@dataclass(frozen=True)
class Mark:
    """An error with its interval."""

    x: float
    y: float
    low: float
    high: float
    label: str


@dataclass(frozen=True)
class ErrorChart:
    """Test error over destruction, ours and the paper's."""

    frame: Frame
    ours: tuple[Mark, ...]
    path: str
    paper: tuple[Mark, ...]


@dataclass(frozen=True)
class Trace:
    """A drawn curve; `series` says which colour."""

    path: str
    series: int
    label: str
    again: bool = False
    """Another seed of a series that is drawn already."""
    dot: tuple[float, float] | None = None


@dataclass(frozen=True)
class CurveChart:
    """Lines by epoch."""

    frame: Frame
    traces: tuple[Trace, ...]


@dataclass(frozen=True)
class Bar:
    """An interval on a strip: both ends and the middle."""

    low: float
    at: float
    high: float


def error_chart(dataset: DataSetView) -> ErrorChart | None:
    """Lay out a data set's errors over destruction; None where there is nothing to draw."""
    points = (*dataset.ours, *dataset.paper)
    if not dataset.ours:
        return None
    levels = sorted({point.destruction_percent for point in points})
    low, high = levels[0], levels[-1]
    margin = 0.08 * (high - low) or 5.0
    ticks = [(level, f"{level:g}") for level in levels]
    frame = Frame(
        _axis(low - margin, high + margin, _LEFT, WIDTH - _RIGHT, ticks),
        _values(dataset.ours, dataset.paper),
    )
    shared = {p.destruction_percent for p in dataset.ours} & {
        p.destruction_percent for p in dataset.paper
    }
    ours = [_mark(frame, p, -5.0 * (p.destruction_percent in shared)) for p in dataset.ours]
    paper = [_mark(frame, p, 5.0 * (p.destruction_percent in shared)) for p in dataset.paper]
    path = "".join(
        _path([(m.x, m.y) for m, p in zip(ours, dataset.ours, strict=True) if p.series == series])
        for series in dict.fromkeys(point.series for point in dataset.ours)
    )
    return ErrorChart(frame, tuple(ours), path, tuple(paper))


def valid_chart(runs: Sequence[RunCurves]) -> CurveChart | None:
    """Lay out the validation errors of runs by epoch of fine-tuning."""
    drawn = [run for run in runs if run.curves.valid]
    lines = [run.curves.valid for run in drawn]
    if not drawn:
        return None
    frame = _frame(lines, _LEFT, WIDTH - _RIGHT)
    traces = [
        replace(
            trace,
            dot=None if run.best is None else (frame.x.at(run.best[0]), frame.y.at(run.best[1])),
        )
        for run, trace in zip(drawn, _traces(frame, drawn, lines), strict=True)
    ]
    return CurveChart(frame, tuple(traces))


def cost_charts(runs: Sequence[RunCurves]) -> tuple[CurveChart, ...]:
    """Lay out the reconstruction costs of pretraining, a narrow chart for each layer."""
    depth = max((len(run.curves.cost) for run in runs), default=0)
    width = WIDTH / max(depth, 1)
    charts = []
    for layer in range(depth):
        deep = [run for run in runs if len(run.curves.cost) > layer and run.curves.cost[layer]]
        if deep:
            start = layer * width + _LEFT - 4
            lines = [run.curves.cost[layer] for run in deep]
            frame = _frame(lines, start, (layer + 1) * width - 6, f"layer {layer + 1}")
            charts.append(CurveChart(frame, _traces(frame, deep, lines)))
    return tuple(charts)


def strip_axis(cells: Sequence[CellView]) -> Axis | None:
    """The axis that the intervals of a data set share in the table."""
    known = [i for cell in cells for i in (cell.ours, cell.paper) if i is not None]
    if not known:
        return None
    low, high = min(i.low for i in known), max(i.high for i in known)
    pad = 0.06 * (high - low) or 0.5
    ticks = [(tick, f"{tick:g}") for tick in nice_ticks(low, high, 4)]
    return _axis(low - pad, high + pad, STRIP_PAD, STRIP_WIDTH - STRIP_PAD, ticks)


def bar(axis: Axis, interval: Interval | None) -> Bar | None:
    """An interval on the axis of a strip."""
    if interval is None:
        return None
    return Bar(axis.at(interval.low), axis.at(interval.error_percent), axis.at(interval.high))


def simplified(line: Sequence[tuple[int, float]], tolerance: float = 0.6) -> Line:
    """Leave out points that lie nearer than `tolerance` pixels to the line through the others.

    The line is thought of as filling a chart of 300 by 200 pixels (Ramer, Douglas, Peucker). The
    first, the last and the lowest point always stay.
    """
    if len(line) < 3:
        return tuple(line)
    values = [value for _, value in line]
    spread = (max(values) - min(values)) or 1.0
    length = (line[-1][0] - line[0][0]) or 1
    placed = [(300.0 * x / length, 200.0 * y / spread) for x, y in line]
    keep = {0, len(line) - 1, values.index(min(values))}
    ends = sorted(keep)
    ahead = list(pairwise(ends))
    while ahead:
        first, last = ahead.pop()
        far, distance = _farthest(placed, first, last)
        if distance > tolerance:
            keep.add(far)
            ahead += [(first, far), (far, last)]
    return tuple(line[k] for k in sorted(keep))


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(about, 1) or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _farthest(placed: Sequence[tuple[float, float]], first: int, last: int) -> tuple[int, float]:
    (x0, y0), (x1, y1) = placed[first], placed[last]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    best, distance = first, -1.0
    for k in range(first + 1, last):
        x, y = placed[k]
        away = abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length
        if away > distance:
            best, distance = k, away
    return best, distance


def _axis(
    low: float, high: float, start: float, end: float, ticks: Iterable[tuple[float, str]]
) -> Axis:
    bare = Axis(low, high, round(start, 1), round(end, 1), ())
    placed = tuple(Tick(bare.at(value), text) for value, text in ticks)
    return Axis(bare.low, bare.high, bare.start, bare.end, placed)


def _values(*groups: Sequence[Point]) -> Axis:
    """The vertical axis over all intervals."""
    known = [point.interval for group in groups for point in group]
    return _vertical(min(i.low for i in known), max(i.high for i in known))


def _vertical(low: float, high: float) -> Axis:
    pad = 0.05 * (high - low) or 0.5
    ticks = [(tick, f"{tick:g}") for tick in nice_ticks(low - pad, high + pad)]
    return _axis(low - pad, high + pad, HEIGHT - _BOTTOM, _TOP, ticks)


def _frame(lines: Sequence[Line], start: float, end: float, title: str = "") -> Frame:
    last = max(line[-1][0] for line in lines)
    values = [value for line in lines for _, value in line]
    about = 6 if end - start > 200 else 2
    ticks = [(t, f"{t:g}") for t in nice_ticks(1, max(last, 2), about) if t == int(t)]
    x = _axis(1, max(last, 2), start, end, ticks)
    return Frame(x, _vertical(min(values), max(values)), title)


def _traces(frame: Frame, runs: Sequence[RunCurves], lines: Sequence[Line]) -> tuple[Trace, ...]:
    seen: set[int] = set()
    traces = []
    for run, line in zip(runs, lines, strict=True):
        traces.append(Trace(_line(frame, line), run.series, run.label, run.series in seen))
        seen.add(run.series)
    return tuple(traces)


def _line(frame: Frame, line: Line) -> str:
    return _path([(frame.x.at(epoch), frame.y.at(value)) for epoch, value in line])


def _mark(frame: Frame, point: Point, beside: float) -> Mark:
    interval = point.interval
    return Mark(
        x=round(frame.x.at(point.destruction_percent) + beside, 1),
        y=frame.y.at(interval.error_percent),
        low=frame.y.at(interval.low),
        high=frame.y.at(interval.high),
        label=point.label,
    )


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in places) if places else ""
