"""filters.csv of a run's folder: a row for each unit."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.csv_rows import csv_text, rows_in, yes_or_no
from dae_cli.errors import RunFolderError
from dae_cli.filters.measures import UnitMeasures, measure
from dae_cli.filters.tiles import Shape
from dae_cli.study.run.folder import FILTERS_CSV

MEASURES = [f.name for f in fields(UnitMeasures)]


def measures_csv(weights: NDArray[np.float32], shape: Shape | None = None) -> str:
    """Measure filters (units, pixels) of a shape, and return a line for each with a header."""
    return csv_text([MEASURES, *(measure_texts(unit) for unit in measure(weights, shape))])


def measures_in(folder: Path) -> list[UnitMeasures]:
    """Return the measures of a run, as its folder tells them.

    Raises:
        RunFolderError: filters.csv is not there, or not as dae writes it.
    """
    path = folder / FILTERS_CSV
    if not path.exists():
        raise RunFolderError(f"{path}: is not there; remove the folder to have the run made")
    return rows_in(path, UnitMeasures)


def measure_texts(unit: UnitMeasures) -> list[str]:
    """Return the measures of a unit as they stand in the files, in the order of `MEASURES`."""
    return [_text(getattr(unit, name)) for name in MEASURES]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return yes_or_no(value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)
