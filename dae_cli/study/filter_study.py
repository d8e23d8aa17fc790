"""Results of a filter study: measures of its runs, checks of the figures' claims, and figures."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from io import BytesIO
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dae_cli.config.dump import dump_yaml
from dae_cli.config.experiments import ResolvedStudy
from dae_cli.config.schema import FilterExperiment
from dae_cli.config.study_schema import Expectation, Figure, MeasureName
from dae_cli.csvfile import read_rows
from dae_cli.data.dataset import Prepared, Split
from dae_cli.data.datasets import PHOTOGRAPHS
from dae_cli.data.photographs import load_scenes
from dae_cli.errors import RUN_REMEDY, DataError, RunFolderError
from dae_cli.figures.filters import Filters, filter_sheet, zoom_sheet
from dae_cli.figures.saving import picture_files, remove_pictures
from dae_cli.figures.sheets import Sheet
from dae_cli.filters.measures import UnitMeasures
from dae_cli.filters.summary import Estimate, summarise
from dae_cli.study.report.context import Report
from dae_cli.study.report.datasets import FilterSheets, filter_sheets
from dae_cli.study.report.photographs import Photographs, save_photographs
from dae_cli.study.report.saved_runs import SavedRuns
from dae_cli.study.rows import RunRow, lowest_seeds
from dae_cli.study.run.filters import TILES, as_shown, describe_corruption, run_filters, tiles_for
from dae_cli.study.run.job import FIGURES, FILTERS_CSV, RUNS
from dae_cli.study.tables.cells import origin

FIGURES_CSV = "figures.csv"
PHOTOGRAPHS_PNG = f"{FIGURES}/{PHOTOGRAPHS}.png"
"""Written unless a figure of the study has this name."""
PCA_ROWS = 100_000
OF_IMAGES = ("patches", "components")
"""Kinds of figures that show the input, which does not depend on the network."""
PATCH_ENDS = ("pixel −max", "+max of each patch  (mid grey: 0)")
MEASURES: dict[MeasureName, tuple[str, float, str]] = {
    "gabor_percent": ("gabor_like", 100.0, "percentage of Gabor-like units"),
    "local_percent": ("local", 100.0, "percentage of local units"),
    "extent_pixels": ("extent_pixels", 1.0, "median extent in pixels"),
    "locality": ("locality", 1.0, "median locality"),
    "orientation_selectivity": ("orientation_selectivity", 1.0, "median orientation selectivity"),
}
"""Field of `filters.summary.Summary`, factor, and name in sentences, by measure."""


@dataclass(frozen=True)
class _CellAndSeed:
    cell: str
    seed: int


@dataclass(frozen=True)
class UnitRow(UnitMeasures, _CellAndSeed):
    """Row of a study's filters.csv: one unit of one run. Fields of the last base come first."""


@dataclass(frozen=True)
class FigureRow:
    """Row of figures.csv: measures of one run of a figure, with 95 % intervals over its units."""

    figure: str
    cell: str
    run: str
    seed: int
    units: int
    gabor_percent: float
    gabor_percent_low: float
    gabor_percent_high: float
    local_percent: float
    local_percent_low: float
    local_percent_high: float
    extent_pixels: float
    extent_pixels_low: float
    extent_pixels_high: float
    locality: float
    locality_low: float
    locality_high: float
    orientation_selectivity: float
    orientation_selectivity_low: float
    orientation_selectivity_high: float
    holds: bool | None
    """Whether the figure's claim holds; None if it has no criterion."""


class Number(NamedTuple):
    """A measure of the filters of one run, with its 95 % interval over the units."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if isnan(self.value):
            return "–"
        value, low, high = (f"{v:.1f}" if abs(v) >= 1 else f"{v:.2f}" for v in self)
        return f"{value} ({low} to {high})"


@dataclass(frozen=True)
class MeasuredRun:
    """The measures of every unit of one run."""

    row: RunRow
    units: tuple[UnitRow, ...]

    @cached_property
    def numbers(self) -> dict[MeasureName, Number]:
        """Shares and medians of the units."""
        summary = summarise(self.units)
        numbers = {}
        for name, (field, factor, _) in MEASURES.items():
            estimate: Estimate = getattr(summary, field)
            ends = (estimate.value, *estimate.interval)
            numbers[name] = Number(*(factor * end for end in ends))
        return numbers

    @property
    def columns(self) -> dict[str, float]:
        """The same as in figures.csv: each value and the ends of its interval."""
        return {
            measure + end: value
            for measure, number in self.numbers.items()
            for end, value in zip(("", "_low", "_high"), number, strict=True)
        }

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Name and value of each measure, as text; shapes are measured only of images."""
        numbers = self.numbers.items()
        return [(MEASURES[name][-1], str(n)) for name, n in numbers if not isnan(n.value)]


@dataclass(frozen=True)
class ClaimCheck:
    """Whether the measures support a figure's claim, and the text that says so."""

    holds: bool
    sentence: str
    is_judged: bool = True
    """Whether the outcome is shown."""


@dataclass(frozen=True)
class ShownFigure:
    """A figure in the report."""

    figure: Figure
    picture: Path | None
    """Path of the picture; None if it is not drawn."""
    source: str
    """The paper's figure that it follows, or how it differs from that."""
    check: ClaimCheck | None
    """None if the figure has no criterion or lacks a run."""
    has_runs: bool
    """Whether a cell of the figure has a run, failed or not."""

    @property
    def is_available(self) -> bool:
        """Whether there is something to show."""
        return self.has_runs or self.picture is not None

    @cached_property
    def png(self) -> bytes:
        """Content of the picture's file."""
        return self.picture.read_bytes() if self.picture else b""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        with suppress(OSError, SyntaxError, Image.DecompressionBombError):
            return Image.open(BytesIO(self.png), formats=("PNG",)).size
        return 1, 1


@dataclass(frozen=True, eq=False)
class Slider:
    """Cells of one data set that differ only in destruction, with their first filters."""

    filters: FilterSheets

    @property
    def name(self) -> str:
        """Name of the data set."""
        return self.filters.rows[0].dataset

    @property
    def origin(self) -> str:
        """Origin of its data."""
        return origin(self.filters.rows[0])

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its cells, such as `25 %`."""
        return {row.cell: f"{row.destruction_percent:g} %" for row in self.filters.rows}

    def row_of(self, cell: str) -> RunRow:
        """Return the run that is shown for a cell."""
        return next(row for row in self.filters.rows if row.cell == cell)


@dataclass(frozen=True, eq=False)
class FilterReport(Report):
    """Content of REPORT.md and report.html for a filter study."""

    figures: Sequence[ShownFigure]
    measured: Sequence[MeasuredRun]
    sliders: Sequence[Slider]
    photographs: Photographs | None
    """Small copies of the training photographs; None if the results have none."""

    @property
    def experiments(self) -> list[FilterExperiment]:
        """The experiments of the study."""
        found = (cell.experiment for cell in self.study.all_cells)
        return [one for one in found if isinstance(one, FilterExperiment)]

    @property
    def corruptions(self) -> set[str]:
        """The kinds of corruption."""
        return {one.corruption.kind for one in self.experiments}

    @property
    def levels(self) -> list[float]:
        """The levels of destruction, in percent."""
        masking = (one.corruption for one in self.experiments if one.corruption.kind == "masking")
        return sorted({0.0} | {round(100 * one.destruction, 6) for one in masking})

    @property
    def is_whitened(self) -> bool:
        """Whether patches of photographs are whitened."""
        return any(one.patches and one.patches.whitening != "none" for one in self.experiments)

    def measures_of(self, row: RunRow) -> MeasuredRun:
        """Return the measures of a completed run."""
        return next(run for run in self.measured if run.row is row)

    def first_runs(self, figure: Figure) -> list[RunRow]:
        """Return the runs whose filters a figure shows."""
        return [] if figure.kind in OF_IMAGES else _first_runs(figure, self.rows)

    def command_for(self, figure: Figure) -> str:
        """Return the command that makes the runs of a figure in these results."""
        only = [word for cell in figure.cells for word in ("--only", cell)]
        photos = ["--photos", "DIR"] if self.is_of_own_photographs else []
        with suppress(ValueError):  # damaged quotes
            for option, value in pairwise(shlex.split(self.command)):
                if option in ("--set", "--out"):
                    only += [option, value]
                elif option.startswith(("--set=", "--out=")):
                    only.append(option)
        return shlex.join(["dae", "replicate", self.study.name, *only, *photos])

    @property
    def is_of_own_photographs(self) -> bool:
        """Whether a run learned from the user's photographs."""
        return any(_is_of_own_photographs(row) for row in self.rows)


# The measures of its runs


def measured_runs(source: Path, rows: Sequence[RunRow]) -> list[MeasuredRun]:
    """Return the measures of completed runs, from their folders or from filters.csv.

    Raises RunFolderError if a file is damaged, or if the measures of a run are in neither.
    """
    done = [row for row in rows if not row.error]
    saved: dict[tuple[str, int], list[UnitRow]] = {}
    if any(_is_elsewhere(source, row) for row in done):
        for unit in read_rows(source / FILTERS_CSV, UnitRow):
            saved.setdefault((unit.cell, unit.seed), []).append(unit)
    measured = []
    for row in done:
        path = source / RUNS / row.run / FILTERS_CSV
        if path.exists():
            measured.append(measured_run(path.parent, row))
        elif (row.cell, row.seed) in saved:
            measured.append(MeasuredRun(row, tuple(saved[row.cell, row.seed])))
        else:
            raise RunFolderError(f"{path}: missing; {RUN_REMEDY}")
    return measured


def measured_run(folder: Path, row: RunRow) -> MeasuredRun:
    """Return the measures of a finished run from its folder. Raises RunFolderError."""
    own = read_rows(folder / FILTERS_CSV, UnitMeasures)
    return MeasuredRun(row, tuple(UnitRow(row.cell, row.seed, **asdict(unit)) for unit in own))


def require_measures(out: Path, rows: Sequence[RunRow], *, discarding_runs: bool = False) -> None:
    """Raise RunFolderError if measures that only filters.csv has cannot be read.

    This concerns runs whose folders are elsewhere, or will be removed (`discarding_runs`).
    """
    if any(not row.error and (discarding_runs or _is_elsewhere(out, row)) for row in rows):
        read_rows(out / FILTERS_CSV, UnitRow)


def _is_elsewhere(out: Path, row: RunRow) -> bool:
    return not (out / RUNS / row.run / FILTERS_CSV).exists()


def unit_rows(measured: Sequence[MeasuredRun]) -> list[UnitRow]:
    """Return the rows of the study's filters.csv."""
    return [unit for run in measured for unit in run.units]


def figure_rows(study: ResolvedStudy, measured: Sequence[MeasuredRun]) -> list[FigureRow]:
    """Return one row per cell and seed of each figure."""
    rows = []
    for figure in study.figures:
        check = check_claim(figure, measured)
        for run in (run for run in measured if run.row.cell in figure.cells):
            row = FigureRow(
                figure=figure.name,
                cell=run.row.cell,
                run=run.row.run,
                seed=run.row.seed,
                units=len(run.units),
                holds=check.holds if check else None,
                **run.columns,
            )
            rows.append(row)
    return rows


# The claims of its figures


def check_claim(
    figure: Figure, runs: Sequence[MeasuredRun], not_judged: str = ""
) -> ClaimCheck | None:
    """Check a figure's claim; None if the figure has no criterion or lacks a run.

    With a reason in `not_judged`, the text gives it instead of the outcome.

    A limit must be met by every cell and seed. A measure that grows must do so from cell to cell,
    with intervals that do not overlap, for every seed separately.
    """
    if figure.expect is None:
        return None
    expect, cells = figure.expect, figure.cells
    seeds = sorted({run.row.seed for run in runs if run.row.cell in cells})
    by_place = {(run.row.cell, run.row.seed): run for run in runs}
    holding, sentences = [], []
    for seed in seeds:
        own = [run for cell in cells if (run := by_place.get((cell, seed))) is not None]
        if len(own) < len(cells):
            return None
        numbers = [run.numbers[expect.measure] for run in own]
        each = ", ".join(f"{cell} {n}" for cell, n in zip(cells, numbers, strict=True))
        holding.append(_holds(expect, numbers))
        sentences.append(f"seed {seed}: {each}" if len(seeds) > 1 else each)
    if not holding:
        return None
    outcome = "Supported" if all(holding) else "Not supported"
    if len(holding) > 1:
        outcome += f" ({sum(holding)} of {len(holding)} seeds)"
    if not_judged:
        outcome = f"Not judged: {not_judged}"
    criterion = f"the {MEASURES[expect.measure][-1]} {_criterion(expect)}"
    measured = f"Measured, with 95 % intervals: {'; '.join(sentences)}."
    sentence = f"{outcome}. Criterion: {criterion}. {measured}"
    return ClaimCheck(all(holding), sentence, not not_judged)


def _holds(expect: Expectation, numbers: Sequence[Number]) -> bool:
    if expect.grows:
        return all(below.high < above.low for below, above in pairwise(numbers))
    if expect.at_least is not None:
        return all(number.value >= expect.at_least for number in numbers)
    assert expect.at_most is not None
    return all(number.value <= expect.at_most for number in numbers)


def _criterion(expect: Expectation) -> str:
    if expect.grows:
        return "grows from cell to cell, and the intervals do not overlap"
    if expect.at_least is not None:
        return f"is at least {expect.at_least:g}"
    return f"is at most {expect.at_most:g}"


# Its figures


def _is_of_own_photographs(row: RunRow) -> bool:
    return (row.dataset, row.data_origin) == (PHOTOGRAPHS, "own")


def reason_not_to_judge(study: ResolvedStudy, figure: Figure, rows: Sequence[RunRow]) -> str:
    """Return why runs cannot test a claim about the paper's figure; empty if they can.

    A figure that names no figure of a paper is the user's own, and so is its claim.
    """
    if not figure.paper:
        return ""
    own = {row.cell: row for row in rows if row.cell in figure.cells}
    changed = any(cell.changed for cell in study.all_cells if cell.cell in own)
    reasons = ["settings changed by --set"] if changed else []
    if any(map(_is_of_own_photographs, own.values())):
        reasons.append("your own photographs")
    return " and ".join(reasons)


def source_of(study: ResolvedStudy, figure: Figure, rows: Sequence[RunRow]) -> str:
    """Return the paper's figure that a picture follows, or how the picture differs from it.

    It follows the paper's figure if its cells have their files' settings and the study's data.
    """
    changed = []
    cells = {row.cell for row in rows}.intersection(figure.cells)
    for cell in (cell for cell in study.all_cells if cell.cell in cells):
        what = [w for w in cell.changed if figure.kind not in OF_IMAGES or w.startswith("patches.")]
        if what:
            changed.append(f"{cell.cell}: {', '.join(what)}")
    instead = [f"changed by --set ({'; '.join(changed)})"] if changed else []
    if any(_is_of_own_photographs(row) for row in rows if row.cell in figure.cells):
        instead.append("learned from the user's own photographs")
    if instead:
        return "; ".join(instead)
    return f"after {figure.paper}" if figure.paper else ""


def save_figures(
    study: ResolvedStudy,
    out: Path,
    source: Path,
    rows: Sequence[RunRow],
    data: Mapping[str, Prepared],
    formats: Collection[str] = (),
) -> list[str]:
    """Draw the figures from the runs in the folder `source`, with the first seed of each cell.

    Figures of runs whose folders are elsewhere stay unchanged; figures that the study no longer has
    are removed. `data`: the data available here, by data set; `formats`: see
    `figures.saving.picture_files`. Returns the figures that could not be drawn.
    """
    undrawn = []
    names = {figure.name for figure in study.figures}
    if PHOTOGRAPHS not in names:
        if any(row.dataset == PHOTOGRAPHS for row in rows):
            names |= {PHOTOGRAPHS}
        if PHOTOGRAPHS in data:
            title = f"{study.name}: photographs"
            with suppress(DataError):  # they were removed in the meantime
                save_photographs(load_scenes(data[PHOTOGRAPHS]), out / PHOTOGRAPHS_PNG, title)
    for figure in study.figures:
        panels = _panels(study, source, figure, rows, data)
        if len(panels) == len(figure.cells):
            caption, first = source_of(study, figure, rows), _first_runs(figure, rows)
            about = {
                "Title": f"{study.name}: {figure.title}",
                "Runs": ", ".join(row.run for row in first),
                "Commit": ", ".join(dict.fromkeys(row.commit for row in first)),
                **({"Description": caption} if caption else {}),
            }
            sheet = _figure_sheet(figure, panels, caption)
            for path in picture_files(out / picture_of(figure), formats):
                sheet.save(path, about)
        else:
            undrawn.append(figure.name)
    remove_pictures(out / FIGURES, f"{study.name}: ", names)
    return undrawn


def sliders_of(study: ResolvedStudy, rows: Sequence[RunRow], saved: SavedRuns) -> list[Slider]:
    """Return a slider for each group of cells that differ only in destruction, with first seeds."""
    experiments = {cell.cell: cell.experiment for cell in study.all_cells}
    groups: dict[str, list[RunRow]] = {}
    for row in lowest_seeds(row for row in rows if not row.error).values():
        if isinstance(experiment := experiments.get(row.cell), FilterExperiment):
            corruption = experiment.corruption.model_copy(update={"destruction": 0.0})
            same = experiment.model_copy(update={"corruption": corruption, "seed": 0})
            groups.setdefault(dump_yaml(same), []).append(row)
    found = [
        Slider(filter_sheets(study, sorted(own, key=lambda row: row.destruction_percent), saved))
        for own in groups.values()
        if len({row.destruction_percent for row in own}) > 1
    ]
    return [slider for slider in found if len(slider.filters.shown) > 1]


def picture_of(figure: Figure) -> str:
    """Return the path of a figure, relative to the results folder."""
    return f"{FIGURES}/{figure.name}.png"


def _panels(
    study: ResolvedStudy,
    source: Path,
    figure: Figure,
    rows: Sequence[RunRow],
    data: Mapping[str, Prepared],
) -> list[Filters]:
    """Return the panels of a figure; fewer than its cells if some are not available."""
    if figure.kind in OF_IMAGES:
        asked = {cell.cell: cell.experiment for cell in study.cells}
        experiments = [asked[cell] for cell in figure.cells if cell in asked]
        return [
            _from_images(figure, experiment, data[experiment.dataset])
            for experiment in experiments
            if isinstance(experiment, FilterExperiment) and experiment.dataset in data
        ]
    return [
        as_shown(run_filters(folder), study.dataset(row.dataset), _panel_title(study, figure, row))
        for row in _first_runs(figure, rows)
        if (folder := source / RUNS / row.run).exists()
    ]


def _first_runs(figure: Figure, rows: Sequence[RunRow]) -> list[RunRow]:
    """Return the run with the lowest seed of each cell, in the figure's order."""
    first = lowest_seeds(row for row in rows if not row.error)
    return [first[cell] for cell in figure.cells if cell in first]


def _from_images(figure: Figure, experiment: FilterExperiment, data: Prepared) -> Filters:
    """Return training patches, or their principal components, the strongest first."""
    from dae_cli.training.inputs import images_of  # imports torch, which reports otherwise avoid

    images = images_of(data, experiment)
    rows = images.as_float(slice(PCA_ROWS)) if isinstance(images, Split) else images[:PCA_ROWS]
    if figure.kind == "components":
        from sklearn.decomposition import PCA

        count = min(TILES[0] * TILES[1], rows.shape[1])
        rows = np.asarray(PCA(count, svd_solver="full").fit(rows).components_, np.float32)
    return as_shown(rows[: TILES[0] * TILES[1]], experiment.dataset)


def _figure_sheet(figure: Figure, panels: list[Filters], caption: str) -> Sheet:
    """Return the sheet of a figure; `caption`: its source."""
    if figure.kind == "zoom":
        return zoom_sheet(
            panels, figure.units, title=figure.title, caption=caption, scale=figure.scale
        )
    return filter_sheet(
        panels,
        tiles_for(max(len(panel.weights) for panel in panels)),
        title=figure.title,
        caption=caption,
        scale=figure.scale,
        scale_ends=PATCH_ENDS if figure.kind == "patches" else None,
    )


def _panel_title(study: ResolvedStudy, figure: Figure, row: RunRow) -> str:
    """Return the cell's corruption, with its number of units if the figure's cells differ in it."""
    cells = {cell.cell: cell.experiment for cell in study.all_cells}
    experiment = cells[row.cell]
    assert isinstance(experiment, FilterExperiment)
    corruption = describe_corruption(experiment)
    sizes = {
        e.model.hidden for e in map(cells.get, figure.cells) if isinstance(e, FilterExperiment)
    }
    return corruption if len(sizes) == 1 else f"{experiment.model.hidden[0]} units, {corruption}"
