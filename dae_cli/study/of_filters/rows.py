"""filters.csv beside the report: a row for each unit of each run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dae_cli.csvfile import read_rows
from dae_cli.errors import RunFolderError
from dae_cli.filters.measures import UnitMeasures
from dae_cli.study.rows import RunRow
from dae_cli.study.run.job import FILTERS_CSV, RUNS


@dataclass(frozen=True)
class _CellAndSeed:
    cell: str
    seed: int


@dataclass(frozen=True)
class UnitRow(UnitMeasures, _CellAndSeed):
    """filters.csv of a study: one unit of one run. Fields of the last base come first."""


@dataclass(frozen=True)
class FigureRow:
    """figures.csv: what one run of a figure comes to, with 95 % intervals over its units."""

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
    """Whether the figure's claim does; None where it claims nothing in numbers."""


@dataclass(frozen=True)
class MeasuredRun:
    """The measures of every unit of one run."""

    row: RunRow
    units: tuple[UnitRow, ...]


def measured_runs(out: Path, rows: Sequence[RunRow]) -> list[MeasuredRun]:
    """Return the measures of runs that are done: from their folders, else from the study's file.

    A run whose folder is elsewhere keeps what the study's filters.csv has of it.

    Raises:
        RunFolderError: a file is not as dae writes it, or there are no measures of a run.
    """
    done = [row for row in rows if not row.error]
    saved: dict[tuple[str, int], list[UnitRow]] = {}
    if any(_is_elsewhere(out, row) for row in done):
        for unit in read_rows(out / FILTERS_CSV, UnitRow):
            saved.setdefault((unit.cell, unit.seed), []).append(unit)
    return [MeasuredRun(row, tuple(_units(out, row, saved))) for row in done]


def _units(out: Path, row: RunRow, saved: Mapping[tuple[str, int], list[UnitRow]]) -> list[UnitRow]:
    path = out / RUNS / row.run / FILTERS_CSV
    if path.exists():
        found = read_rows(path, UnitMeasures)
        return [UnitRow(row.cell, row.seed, **asdict(unit)) for unit in found]
    if (row.cell, row.seed) not in saved:
        raise RunFolderError(f"{path}: is not there; remove the folder to have the run made")
    return saved[row.cell, row.seed]


def require_measures(out: Path, rows: Sequence[RunRow], *, discarding_runs: bool = False) -> None:
    """Make sure that what is known of runs whose folders are elsewhere can be read.

    Args:
        out: the folder of the results.
        rows: of runs.csv.
        discarding_runs: the folders that are here will be removed, to be made one after the other.

    Raises:
        RunFolderError: the study's filters.csv is not one that dae wrote.
    """
    if any(not row.error and (discarding_runs or _is_elsewhere(out, row)) for row in rows):
        read_rows(out / FILTERS_CSV, UnitRow)


def unit_rows(measured: Iterable[MeasuredRun]) -> list[UnitRow]:
    """Return the rows of the study's filters.csv."""
    return [unit for run in measured for unit in run.units]


def _is_elsewhere(out: Path, row: RunRow) -> bool:
    return not (out / RUNS / row.run / FILTERS_CSV).exists()
