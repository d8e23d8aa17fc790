"""Which cells of a study are done, by its runs.csv: a quick look, at no run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dae_cli.config.experiments import ResolvedExperiment, ResolvedStudy
from dae_cli.study.rows import RUNS_CSV, RunRow, read_results
from dae_cli.study.run.job import config_sha256, with_seed

CellState = Literal["none", "failed", "done"]


def cell_states(study: ResolvedStudy, results: Path) -> dict[str, CellState]:
    """Return by cell whether runs.csv has a result of its settings, with whatever seed.

    Raises:
        RunFolderError: runs.csv is not one that dae wrote.
    """
    rows = read_results(results / RUNS_CSV, RunRow)
    return {cell.cell: _state(cell, rows) for cell in study.cells}


def is_current(row: RunRow, cell: ResolvedExperiment) -> bool:
    """Whether a row is of a cell with the settings that it has now, with whatever seed."""
    experiment = with_seed(cell.experiment, row.seed)
    return row.cell == cell.cell and row.config_sha256 == config_sha256(experiment, row.numerics)


def _state(cell: ResolvedExperiment, rows: Sequence[RunRow]) -> CellState:
    current = [row for row in rows if is_current(row, cell)]
    if any(not row.error for row in current):
        return "done"
    return "failed" if current else "none"
