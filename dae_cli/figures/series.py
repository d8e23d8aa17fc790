"""Data of the charts, used by the plots (``plots``) and by report.html (``charts``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Line = tuple[tuple[int, float], ...]
"""(epoch, value) of a curve; points that make no visible difference may be omitted."""


@dataclass(frozen=True)
class Interval:
    """An error in percent with half the width of its 95 % interval."""

    error_percent: float
    half_width: float

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.error_percent - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.error_percent + self.half_width

    def __str__(self) -> str:
        return f"{self.error_percent:.2f} ± {self.half_width:.2f}"


@dataclass(frozen=True)
class ErrorPoint:
    """A test error at one level of destruction.

    Attributes:
        destruction_percent: ν in percent of the inputs.
        interval: the error; our intervals cover test rows, and seeds if there are several.
        label: text with the source, position and value of the point.
        model: the paper's name of the model, such as ``SAA-3``. For our points, the model whose
            points a line joins; empty if all points have the same model.
        seeds: for our points, the error of each seed in percent if there are several.
    """

    destruction_percent: float
    interval: Interval
    label: str
    model: str = ""
    seeds: tuple[float, ...] = ()


@dataclass(frozen=True)
class ErrorSeries:
    """Test error against destruction on one data set; points are sorted by destruction.

    Attributes:
        data_mark: note on data that are not known to be the originals; else empty.
        over_seeds: whether an interval also covers the spread over several seeds.
    """

    dataset: str
    ours: tuple[ErrorPoint, ...]
    paper: tuple[ErrorPoint, ...]
    data_mark: str = ""
    over_seeds: bool = False

    @property
    def levels(self) -> list[float]:
        """All levels of destruction, the lowest first."""
        return sorted({point.destruction_percent for point in (*self.ours, *self.paper)})

    @property
    def shared_levels(self) -> set[float]:
        """Levels of destruction at which both we and the paper have a point."""
        ours = {point.destruction_percent for point in self.ours}
        return ours & {point.destruction_percent for point in self.paper}

    @property
    def lines(self) -> dict[str, list[ErrorPoint]]:
        """Our points by model; a line joins those of each model."""
        lines: dict[str, list[ErrorPoint]] = {}
        for point in self.ours:
            lines.setdefault(point.model, []).append(point)
        return lines


@dataclass(frozen=True)
class Curves:
    """Learning curves: validation error in percent by fine-tuning epoch, and reconstruction cost by
    pretraining epoch with a line for each layer."""

    valid: Line
    cost: tuple[Line, ...] = ()


@dataclass(frozen=True)
class RunCurves:
    """The curves of one run.

    Attributes:
        series: index of the run's cell in ``LearningSeries.labels``; seeds of a cell share it.
        best: epoch and validation error of the weights that were kept; None if unknown.
    """

    run: str
    series: int
    seed: int
    curves: Curves
    best: tuple[int, float] | None


@dataclass(frozen=True)
class LearningSeries:
    """The curves of all runs on one data set.

    Attributes:
        labels: name of each series.
        models: model of each series.
    """

    dataset: str
    labels: tuple[str, ...]
    models: tuple[str, ...]
    runs: tuple[RunCurves, ...]

    @property
    def cells(self) -> list[list[RunCurves]]:
        """Runs grouped by series; series without runs are omitted."""
        places = sorted({run.series for run in self.runs})
        return [[run for run in self.runs if run.series == place] for place in places]

    def name_of(self, runs: Sequence[RunCurves]) -> str:
        """Return the name of the curve of one run or of several seeds."""
        label, seeds = self.labels[runs[0].series], ", ".join(str(run.seed) for run in runs)
        return f"{label}, seed {seeds}" if len(runs) == 1 else f"{label}, mean of seeds {seeds}"


@dataclass(frozen=True)
class Spread:
    """The combined curves of a cell's seeds: the mean, and a band from the lowest to the highest.

    They end at the last epoch that all seeds have; `tails` contains the rest of longer curves. A
    single seed has its curve and no band.
    """

    mean: Line
    low: Line = ()
    high: Line = ()
    tails: tuple[Line, ...] = ()


def spread_of(lines: Sequence[Line]) -> Spread:
    """Return the spread of several curves; values between points are interpolated linearly."""
    if len(lines) == 1:
        return Spread(lines[0])
    first, last = max(line[0][0] for line in lines), min(line[-1][0] for line in lines)
    if first > last:
        return Spread((), tails=tuple(lines))
    epochs = range(first, last + 1)
    points = (np.transpose(line) for line in lines)
    values = np.array([np.interp(epochs, *own) for own in points])
    mean, low, high = (
        simplified(list(zip(epochs, map(float, each), strict=True)))
        for each in (values.mean(axis=0), values.min(axis=0), values.max(axis=0))
    )
    tails = (
        ((last, float(own[-1])), *(point for point in line if point[0] > last))
        for line, own in zip(lines, values, strict=True)
    )
    return Spread(mean, low, high, tuple(tail for tail in tails if len(tail) > 1))


def simplified(line: Sequence[tuple[int, float]], tolerance: float = 0.6) -> Line:
    """Remove points within ``tolerance`` pixels of the line through the remaining points.

    Uses the Ramer–Douglas–Peucker algorithm as if the line filled a chart of 300 by 200 pixels. The
    first, the last and the lowest point are always kept.
    """
    if len(line) < 3:
        return tuple(line)
    values = [value for _, value in line]
    spread = (max(values) - min(values)) or 1.0
    length = (line[-1][0] - line[0][0]) or 1
    placed = [(300.0 * x / length, 200.0 * y / spread) for x, y in line]
    keep = {0, len(line) - 1, values.index(min(values))}
    pieces = list(pairwise(sorted(keep)))
    while pieces:
        first, last = pieces.pop()
        far, distance = _farthest(placed, first, last)
        if distance > tolerance:
            keep.add(far)
            pieces += [(first, far), (far, last)]
    return tuple(line[k] for k in sorted(keep))


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
