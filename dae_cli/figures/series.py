"""The points of the charts: what the plots (``plots``) and the page (``charts``) both draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Line = tuple[tuple[int, float], ...]
"""(epoch, value) of a curve, of which points that the eye would miss may be left out."""


@dataclass(frozen=True)
class Interval:
    """An error in percent and half the width of its 95 % interval."""

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
    """A test error at a destruction.

    Attributes:
        destruction_percent: ν in percent of the inputs.
        interval: of ours, over test rows and over seeds where there are several.
        label: whose it is, where, and how large, in words.
        model: of the paper, its name there, such as ``SAA-3``; of ours, the model whose points
            alone a line joins, empty where all are of one.
        seeds: of ours, the error of each seed in percent where there are several.
    """

    destruction_percent: float
    interval: Interval
    label: str
    model: str = ""
    seeds: tuple[float, ...] = ()


@dataclass(frozen=True)
class ErrorSeries:
    """Test error against destruction on one data set; points in the order of destruction.

    Attributes:
        data_mark: what is to be said of data that are not known to be the originals; else empty.
        over_seeds: whether an interval covers the spread over several seeds as well.
    """

    dataset: str
    ours: tuple[ErrorPoint, ...]
    paper: tuple[ErrorPoint, ...]
    data_mark: str = ""
    over_seeds: bool = False

    @property
    def levels(self) -> list[float]:
        """Every destruction of a point, the lowest first."""
        return sorted({point.destruction_percent for point in (*self.ours, *self.paper)})

    @property
    def shared_levels(self) -> set[float]:
        """Every destruction at which both ours and the paper's are."""
        ours = {point.destruction_percent for point in self.ours}
        return ours & {point.destruction_percent for point in self.paper}

    @property
    def lines(self) -> dict[str, list[ErrorPoint]]:
        """Our points that a line joins, by model."""
        lines: dict[str, list[ErrorPoint]] = {}
        for point in self.ours:
            lines.setdefault(point.model, []).append(point)
        return lines


@dataclass(frozen=True)
class Curves:
    """How training went: validation error in percent by epoch of fine-tuning; and by epoch of
    pretraining the reconstruction cost, a line for each layer."""

    valid: Line
    cost: tuple[Line, ...] = ()


@dataclass(frozen=True)
class RunCurves:
    """The curves of one run.

    Attributes:
        series: place of its cell in ``LearningSeries.labels``; several seeds share it.
        best: epoch and validation error of the network whose weights stay; None where not known.
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
        labels: the name of each series.
        models: the model of each series.
    """

    dataset: str
    labels: tuple[str, ...]
    models: tuple[str, ...]
    runs: tuple[RunCurves, ...]

    @property
    def cells(self) -> list[list[RunCurves]]:
        """The runs of each series that has any."""
        places = sorted({run.series for run in self.runs})
        return [[run for run in self.runs if run.series == place] for place in places]

    def name_of(self, runs: Sequence[RunCurves]) -> str:
        """What the curve of one run or of several seeds is called."""
        label, seeds = self.labels[runs[0].series], ", ".join(str(run.seed) for run in runs)
        return f"{label}, seed {seeds}" if len(runs) == 1 else f"{label}, mean of seeds {seeds}"


@dataclass(frozen=True)
class Spread:
    """The curves of a cell's seeds as one: their mean, and a band from the lowest to the highest.

    Up to the last epoch that all seeds have; where the others go on, as `tails`. Of one seed, its
    curve without a band.
    """

    mean: Line
    low: Line = ()
    high: Line = ()
    tails: tuple[Line, ...] = ()


def spread_of(lines: Sequence[Line]) -> Spread:
    """Return the spread of some curves, whose values lie on a line between their points."""
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
    """Leave out points that lie nearer than ``tolerance`` pixels to the line through the others.

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
