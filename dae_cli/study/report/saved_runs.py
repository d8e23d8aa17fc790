"""What a results folder keeps of runs, whose own folders may be elsewhere by now.

Run folders are not committed, and a study may be run in parts. curves.csv has the curves of every
run, and each sheet in filters/ tells its run, its grey limit and the place of its tiles. A run's
name holds the digest of its settings, data and numerics, so what is kept of a run is still true.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from dae_cli.csvfile import read_rows, write_rows
from dae_cli.figures.greys import Greys, ImageShape
from dae_cli.figures.series import Curves, simplified
from dae_cli.figures.sheets import Grid, Sheet
from dae_cli.study.report.metrics_curves import metrics_curves
from dae_cli.study.rows import CurveRow
from dae_cli.study.run.job import RUNS

PAGE, CURVES_CSV, FILTERS = "report.html", "curves.csv", "filters"
_LIMIT, _TILES = "Limit", "Tiles"
"""What a sheet of one run says of itself: the weight that is white, and where its tiles are."""
_VALID = "validation error"
_MOST_PIXELS = 3000
"""Of a sheet's width and height."""


@dataclass(frozen=True, eq=False)
class SavedSheet:
    """The filters of a run as its sheet has them.

    Attributes:
        picture: the pixels of the PNG.
        grid, units: where the tiles of so many units are.
        limit: the weight that is white.
    """

    picture: Greys
    grid: Grid
    units: int
    limit: float

    def greys(self, image: ImageShape) -> Greys | None:
        """The greys (units, inputs) of filters of such images; None where its tiles are no such."""
        if any(tile % pixels for tile, pixels in zip(self.grid.tile, image, strict=True)):
            return None
        return self.grid.tiles_of(self.picture, self.units, image).reshape(self.units, -1)


@dataclass
class SavedRuns:
    """What is kept of runs, by their names."""

    curves: Mapping[str, Curves] = field(default_factory=dict)
    sheets: Mapping[str, SavedSheet] = field(default_factory=dict)


def read_saved_runs(out: Path) -> SavedRuns:
    """Read what a results folder keeps; sheets that dae did not draw are passed over.

    Raises:
        RunFolderError: curves.csv is not one that dae wrote.
    """
    return SavedRuns(read_curves(out), _read_sheets(out / FILTERS))


def page_command(out: Path) -> str:
    """Return the command that report.html says it was made by; empty where it says none."""
    with suppress(OSError):
        page = (out / PAGE).read_text(encoding="utf-8", errors="replace")
        if found := re.search('<meta name="dae-command" content="([^"]*)"', page):
            return html.unescape(found[1])
    return ""


def run_curves(out: Path, run: str, saved: SavedRuns) -> Curves | None:
    """Return the curves of a run that is done, thinned out; None where nothing tells them.

    Raises:
        RunFolderError: metrics.csv is damaged.
    """
    found = metrics_curves(out / RUNS / run)
    if found is None:
        return saved.curves.get(run)
    return Curves(simplified(found.valid), tuple(simplified(line) for line in found.cost))


def write_curves(out: Path, runs: Sequence[str], fresh: Collection[str]) -> None:
    """Write curves.csv of runs; whoever holds the tables calls it.

    Args:
        out: the folder of the results.
        runs: all that it is to have; those of which nothing tells are left out.
        fresh: those that are read from their folders, whatever is kept of them.

    Raises:
        RunFolderError: a run's metrics.csv or curves.csv is damaged.
        OutputError: it cannot be written.
    """
    saved = SavedRuns(read_curves(out))
    rows: list[CurveRow] = []
    for run in runs:
        known = None if run in fresh else saved.curves.get(run)
        if (own := known or run_curves(out, run, saved)) is None:
            continue
        rows += [CurveRow(run, f"cost {k}", line) for k, line in enumerate(own.cost, start=1)]
        rows.append(CurveRow(run, _VALID, own.valid))
    write_rows(out / CURVES_CSV, rows, CurveRow)


def read_curves(out: Path) -> dict[str, Curves]:
    """Read curves.csv; none where there is none.

    Raises:
        RunFolderError: it is not one that dae wrote.
    """
    found: dict[str, Curves] = {}
    for row in read_rows(out / CURVES_CSV, CurveRow):
        cost = found[row.run].cost if row.run in found else ()
        valid = row.curve == _VALID
        found[row.run] = Curves(row.points, cost) if valid else Curves((), (*cost, row.points))
    return found


def write_sheet(sheet: Sheet, path: Path, limit: float, metadata: Mapping[str, str]) -> None:
    """Write the sheet of one run such that its filters can be read from it again.

    ``Tiles`` is left, top, size, gap, rows, columns, units; the size is one number for square
    tiles, else height x width.

    Args:
        limit: the weight that is white.
        metadata: with the name of the run as ``Runs``.

    Raises:
        OutputError: it cannot be written.
    """
    grid, units = sheet.grids[0], len(sheet.panels[0].tiles)
    height, width = grid.tile
    size = height if height == width else f"{height}x{width}"
    places = (grid.left, grid.top, size, grid.gap, *grid.shape, units)
    texts = {_LIMIT: repr(limit), _TILES: " ".join(map(str, places))}
    sheet.save(path, {**metadata, **texts})


def _read_sheets(folder: Path) -> dict[str, SavedSheet]:
    found = {}
    for path in sorted(folder.glob("*.png")):
        with suppress(OSError, SyntaxError, KeyError, ValueError, Image.DecompressionBombError):
            run, sheet = _sheet(path)
            found[run] = sheet
    return found


def _sheet(path: Path) -> tuple[str, SavedSheet]:
    """The run of a sheet and its filters; raises as Pillow does, KeyError or ValueError."""
    with Image.open(path, formats=("PNG",)) as image:
        if max(image.size) > _MOST_PIXELS:
            raise ValueError("larger than any that dae draws")
        run, limit = image.info["Runs"], float(image.info[_LIMIT])
        left, top, size, *numbers = image.info[_TILES].split()
        gap, rows, columns, units = map(int, numbers)
        pixels = np.asarray(image.convert("L"))
    height, _, width = size.partition("x")
    grid = Grid(int(left), int(top), (int(height), int(width or height)), gap, (rows, columns))
    bottom, right = grid.top + grid.size[0], grid.left + grid.size[1]
    inside = bottom <= pixels.shape[0] and right <= pixels.shape[1]
    if not (inside and min(grid.left, grid.top, gap) >= 0 and min(*grid.tile, rows, columns) > 0):
        raise ValueError("its tiles are not inside it")
    if not (0 < limit < np.inf and 0 < units <= rows * columns):
        raise ValueError("not laid out as dae does it")
    return run, SavedSheet(pixels, grid, units, limit)
