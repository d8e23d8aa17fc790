"""What a study's page shows, as plain values; the templates decide how it looks."""

from __future__ import annotations

from dataclasses import dataclass

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
class CellView:
    """One cell of the study, over its seeds."""

    name: str
    """The cell's name inside the study."""
    label: str
    """Model and destruction, such as `SdA-3, 25 %`."""
    ours: Interval | None
    """None where no seed has a result."""
    sd: str
    """Standard deviation over seeds, in percent; empty for one seed."""
    bold: bool
    """Ours is the best of its data set, or its interval overlaps the best one's."""
    paper: Interval | None
    paper_model: str
    gap: str
    verdict: str
    """better, matches, worse, no reference, calibrated or failed."""
    data_mark: str
    """What stands beside the verdict where the data are not known to be the authors'."""
    details: tuple[tuple[str, str], ...]
    """(what, value) of seeds, counts, time, data and code."""
    runs: tuple[int, ...]
    """Places of its runs in the page's list of runs."""


@dataclass(frozen=True)
class Point:
    """An error at a destruction; of us or of the paper."""

    destruction_percent: float
    interval: Interval
    """Of ours, over test rows and seeds where there are several."""
    label: str
    series: str = ""
    """The model, of whose points alone a line is drawn; empty where all are of one."""


@dataclass(frozen=True)
class Curves:
    """How a run went: what metrics.csv tells, thinned out."""

    valid: Line
    """Validation error in percent by epoch of fine-tuning."""
    cost: tuple[Line, ...] = ()
    """Reconstruction cost by epoch of pretraining, one line a layer."""


@dataclass(frozen=True)
class RunCurves:
    """The curves of one run, and which cell of its data set it belongs to."""

    run: str
    series: int
    """Place of the cell in the data set's legend; several seeds share it."""
    label: str
    best: tuple[int, float] | None
    """(epoch, validation error) of the parameters that were kept."""
    curves: Curves


@dataclass(frozen=True)
class Sheet:
    """The first filters of a run: a PNG of tiles side by side, ten in a row."""

    run: str
    png: bytes
    size: tuple[int, int]
    """(width, height) in pixels, one a weight."""
    limit: float
    """The weight that is drawn white; its negative is black."""


@dataclass(frozen=True)
class Stop:
    """One position of the slider of filters."""

    label: str
    error: str
    """Test and validation error of the run's cell, in words."""
    sheet: Sheet


@dataclass(frozen=True)
class DataSetView:
    """Everything of one data set."""

    name: str
    origin: str
    cells: tuple[CellView, ...]
    ours: tuple[Point, ...]
    """By destruction; empty where two cells share a place."""
    paper: tuple[Point, ...]
    curves: tuple[RunCurves, ...]
    legend: tuple[str, ...]
    stops: tuple[Stop, ...]
    stops_by: str
    """What the slider goes through: destruction, or model."""
    same_start: bool
    """The sheets' units start from the same weights."""

    @property
    def has_levels(self) -> bool:
        """Whether there are errors of ours at several destructions."""
        return len(self.ours) > 1

    def series_with_curves(self) -> list[tuple[int, str]]:
        """Return the places and labels of the legend of which there are curves."""
        drawn = {run.series for run in self.curves}
        return [(k, label) for k, label in enumerate(self.legend) if k in drawn]


@dataclass(frozen=True)
class GridCell:
    """A cell of the table as the paper prints it."""

    ours: str
    bold: bool
    paper: str
    paper_bold: bool
    verdict: str
    """Empty where there is nothing to compare."""
    data_mark: str
    """As of a `CellView`."""
    run: int
    """Place of its first run in the page's list of runs; of no meaning where nothing was run."""
    note: str
    """Which destruction was selected, where the model has one; the spread over seeds."""


@dataclass(frozen=True)
class Grid:
    """The table as the paper prints it: a row a data set, a column a model."""

    models: tuple[str, ...]
    rows: tuple[tuple[str, tuple[GridCell, ...]], ...]
    """(data set, its cells)."""
    sources: str = ""
    """Where the paper's numbers are from."""


@dataclass(frozen=True)
class RunView:
    """A line of the list of runs; texts, empty where there is none."""

    run: str
    test_error: str
    wrong: str
    valid_error: str
    selected: str
    """The best epoch, or the SVM."""
    minutes: str
    commit: str
    error: str


@dataclass(frozen=True)
class Page:
    """A study's page."""

    title: str
    paper: str
    command: str
    made_verb: str
    """What the command did to the page: all of it, or the last part."""
    made: str
    warning: str
    """Which makes the rows are of, where they are of several."""
    datasets: tuple[DataSetView, ...]
    grid: Grid | None
    claims: tuple[str, ...]
    duels: tuple[tuple[str, ...], ...]
    """What the claims rest on, two models on a data set; the first line names the columns."""
    levels: tuple[float, ...]
    """Destructions that occur, in percent, for the drawing of what corruption is."""
    runs: tuple[RunView, ...]
    selected_heading: str
    """Of the column of what was selected of each run."""
    data: tuple[tuple[str, str, str], ...]
    """(data set, origin, SHA-256)."""
    provenance: tuple[tuple[str, str], ...]

    @property
    def any_regenerated(self) -> bool:
        """Whether some data set was made anew."""
        return any(dataset.origin == "regenerated" for dataset in self.datasets)

    @property
    def any_unverified(self) -> bool:
        """Whether nothing shows of some data set that it is the authors'."""
        return any("unverified" in dataset.origin for dataset in self.datasets)

    @property
    def several_seeds(self) -> bool:
        """Whether some cell has several seeds with a result."""
        return any(cell.sd for dataset in self.datasets for cell in dataset.cells)
