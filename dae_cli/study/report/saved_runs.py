"""Curves and filters of runs, from their folders or from copies in the results folder.

Run folders are not committed, and a study may be run in parts. So curves.csv has the curves of all
runs, and each sheet in filters/ names its run, its grey limit and the positions of its tiles. The
name of a run contains the digest of its settings, data and numerics, so copies never get outdated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dae_cli.csvfile import read_rows, write_rows
from dae_cli.data.datasets import is_drawn
from dae_cli.errors import RUN_REMEDY, RunFolderError
from dae_cli.figures.filters import Filters
from dae_cli.figures.greys import Greys, ImageShape, common_limit, weights_of
from dae_cli.figures.series import Curves, simplified
from dae_cli.figures.sheets import Grid, Sheet
from dae_cli.study.rows import CurveRow, EpochRow, RunRow, lowest_seeds
from dae_cli.study.run.filters import first_filters
from dae_cli.study.run.job import CHECKPOINT, METRICS, RUNS, SHEETS

CURVES_CSV = "curves.csv"
_LIMIT, _TILES = "Limit", "Tiles"
"""Metadata keys of a sheet of one run: the weight shown as white, and positions of the tiles."""
_VALID = "validation error"
_MOST_PIXELS = 3000
"""Maximum width and height of a sheet."""
_WITHOUT_FILTERS = ("NNet", "SVM")
"""Beginnings of the names of models without a pretrained first layer."""


@dataclass(frozen=True, eq=False)
class SavedSheet:
    """The filters of a run, read from its sheet."""

    picture: Greys
    """The pixels of the PNG."""
    grid: Grid
    units: int
    """Number of units in the grid."""
    limit: float
    """The weight shown as white."""

    def greys(self, image: ImageShape) -> Greys | None:
        """Return the greys (units, inputs) of the filters; None if tiles do not fit the image."""
        of_colours = (self.picture.ndim > 2, len(image) > 2)
        sides = zip(self.grid.tile, image[:2], strict=True)
        if len(set(of_colours)) > 1 or any(tile % pixels for tile, pixels in sides):
            return None
        return self.grid.tiles_of(self.picture, self.units, image).reshape(self.units, -1)


@dataclass(frozen=True, eq=False)
class ShownFilters:
    """The first-layer filters of a run, oriented like the images."""

    row: RunRow
    filters: Filters
    """Weights read from a sheet are rounded to its greys."""
    sheet_limit: float | None = None
    """Grey limit of the sheet they were read from; None if read from a run's folder."""


@dataclass(frozen=True, eq=False)
class SavedRuns:
    """Run folders, and saved curves and sheets by the names of runs."""

    runs: Path
    """The folder that contains the run folders."""
    curves: Mapping[str, Curves]
    """Curves in the results folder."""
    sheets: Mapping[str, SavedSheet]

    def curves_of(self, run: str) -> Curves | None:
        """Return the thinned curves of a completed run; None if they are not available.

        Raises RunFolderError if its metrics.csv is damaged.
        """
        path = self.runs / run / METRICS
        if not path.is_file():
            return self.curves.get(run)
        valid: list[tuple[int, float]] = []
        cost: dict[int, list[tuple[int, float]]] = {}
        for row in read_rows(path, EpochRow, remedy=RUN_REMEDY):
            value = row.cost if row.phase == "pretrain" else row.valid_error_percent
            if value is None:
                raise RunFolderError(
                    f"{path}: epoch {row.epoch} of fine-tuning has no validation error; "
                    f"{RUN_REMEDY}"
                )
            line = cost.setdefault(row.layer or 0, []) if row.phase == "pretrain" else valid
            line.append((row.epoch, float(f"{value:.4g}")))  # visible precision
        return Curves(simplified(valid), tuple(simplified(cost[layer]) for layer in sorted(cost)))

    def shown_filters(
        self, rows: Sequence[RunRow], dataset: str, image: ImageShape | None
    ) -> tuple[list[ShownFilters], float]:
        """Return the filters of each cell's first seed on a data set, and their grey limit.

        If a run's folder is not here, its filters are read from its sheet. If all such sheets have
        the same grey scale, all filters use it; scales are never mixed. Raises RunFolderError for a
        damaged checkpoint.
        """
        shown = [one for row in first_seeds(rows) if (one := self._shown(row, dataset, image))]
        limits = {one.sheet_limit for one in shown} - {None}
        if len(limits) != 1 and shown:
            limits = {common_limit([one.filters.weights for one in shown])}
        return shown, float(f"{limits.pop() or 1.0:.4g}") if limits else 1.0

    def _shown(self, row: RunRow, dataset: str, image: ImageShape | None) -> ShownFilters | None:
        if not is_drawn(dataset):
            return None
        if (self.runs / row.run / CHECKPOINT).is_file():
            return ShownFilters(row, first_filters(self.runs / row.run, dataset))
        sheet = self.sheets.get(row.run)
        if sheet is None or image is None or (greys := sheet.greys(image)) is None:
            return None
        return ShownFilters(row, Filters(weights_of(greys, sheet.limit), image), sheet.limit)


def first_seeds(rows: Sequence[RunRow]) -> list[RunRow]:
    """Return the rows whose filters are shown: the first seed of each cell that has filters."""
    rows = [row for row in rows if not row.model.startswith(_WITHOUT_FILTERS)]
    first = lowest_seeds(rows)
    return [row for row in rows if row is first[row.cell]]


def read_saved_runs(out: Path) -> SavedRuns:
    """Read curves.csv of a results folder, and the sheets in it that dae drew."""
    sheets = {}
    for path in sorted((out / SHEETS).glob("*.png")):
        with suppress(OSError, SyntaxError, KeyError, ValueError, Image.DecompressionBombError):
            run, sheet = read_sheet(path)
            sheets[run] = sheet
    return SavedRuns(out / RUNS, read_curves(out), sheets)


def read_curves(out: Path) -> dict[str, Curves]:
    """Read curves.csv, if there is one; RunFolderError if dae did not write it."""
    curves: dict[str, Curves] = {}
    for row in read_rows(out / CURVES_CSV, CurveRow):
        cost = curves[row.run].cost if row.run in curves else ()
        valid = row.curve == _VALID
        curves[row.run] = Curves(row.points, cost) if valid else Curves((), (*cost, row.points))
    return curves


def write_curves(out: Path, curves: Mapping[str, Curves]) -> None:
    """Write curves.csv; the caller has locked the tables."""
    rows: list[CurveRow] = []
    for run, own in curves.items():
        rows += [CurveRow(run, f"cost {k}", line) for k, line in enumerate(own.cost, start=1)]
        rows.append(CurveRow(run, _VALID, own.valid))
    write_rows(out / CURVES_CSV, rows, CurveRow)


def write_sheet(sheet: Sheet, path: Path, limit: float, metadata: Mapping[str, str]) -> None:
    """Write the sheet of one run so that its filters can be read from it again.

    ``Tiles`` is left, top, size, gap, rows, columns, units; the size is one number for square
    tiles, otherwise height x width. `metadata` has the name of the run as ``Runs``.
    """
    grid, units = sheet.grids[0], len(sheet.panels[0].tiles)
    height, width = grid.tile
    size = height if height == width else f"{height}x{width}"
    places = (grid.left, grid.top, size, grid.gap, *grid.shape, units)
    texts = {_LIMIT: repr(limit), _TILES: " ".join(map(str, places))}
    sheet.save(path, {**metadata, **texts})


def read_sheet(path: Path) -> tuple[str, SavedSheet]:
    """Return the run of a sheet and its filters; raises Pillow's errors, KeyError or ValueError."""
    with Image.open(path, formats=("PNG",)) as image:
        if max(image.size) > _MOST_PIXELS:
            raise ValueError("the picture is larger than any sheet of dae")
        run, limit = image.info["Runs"], float(image.info[_LIMIT])
        left, top, size, *numbers = image.info[_TILES].split()
        gap, rows, columns, units = map(int, numbers)
        pixels = np.asarray(image if image.mode == "RGB" else image.convert("L"))
    height, _, width = size.partition("x")
    grid = Grid(int(left), int(top), (int(height), int(width or height)), gap, (rows, columns))
    bottom, right = grid.top + grid.size[0], grid.left + grid.size[1]
    inside = bottom <= pixels.shape[0] and right <= pixels.shape[1]
    if not (inside and min(grid.left, grid.top, gap) >= 0 and min(*grid.tile, rows, columns) > 0):
        raise ValueError("the tiles are not inside the picture")
    if not (0 < limit < np.inf and 0 < units <= rows * columns):
        raise ValueError("the layout is not that of dae's sheets")
    return run, SavedSheet(pixels, grid, units, limit)
