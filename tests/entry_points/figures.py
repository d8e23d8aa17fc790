"""Sheets of filters for images of any size, including sizes that no data set has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dae_cli.figures.filters import Filters, filter_sheet, zoom_sheet
from dae_cli.figures.greys import upright
from dae_cli.study.report.saved_runs import read_saved_runs, write_sheet

__all__ = ["read_run_sheet", "save_run_sheet", "save_sheet", "upright"]

Array = NDArray[Any]


def save_sheet(
    path: Path,
    layers: Sequence[Array],
    images: Sequence[tuple[int, int]],
    tiles: tuple[int, int],
    units: Sequence[int] | None = None,
) -> None:
    """Save a sheet of layers of weights (units, inputs) side by side, or of enlarged units.

    Args:
        images: height and width of the images of each layer.
        tiles: numbers of rows and columns.
    """
    shown = [Filters(weights, image) for weights, image in zip(layers, images, strict=True)]
    sheet = filter_sheet(shown, tiles) if units is None else zoom_sheet(shown, units)
    sheet.save(path, {"Title": "a sheet"})


def save_run_sheet(out: Path, run: str, weights: Array, image: tuple[int, ...]) -> None:
    """Save the sheet of a run in a results folder, like a report; weight 1 is white."""
    sheet = filter_sheet([Filters(weights, image)], (3, 4), limit=1.0, title=run)
    write_sheet(sheet, out / "filters" / f"{run}.png", 1.0, {"Runs": run})


def read_run_sheet(out: Path, run: str, image: tuple[int, ...]) -> tuple[Array | None, float]:
    """Greys (units, inputs) of a run in a results folder, and the weight shown as white."""
    sheet = read_saved_runs(out).sheets[run]
    return sheet.greys(image), sheet.limit
