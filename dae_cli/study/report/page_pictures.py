"""The filters of a study's page: from run folders, else as the results folder keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dae_cli.pages.content import Sheet
from dae_cli.pages.drawing import sheet_png
from dae_cli.pictures.filters import greys
from dae_cli.study.report.saved_runs import SavedRuns
from dae_cli.study.report.shown_filters import shown_filters
from dae_cli.study.rows import RunRow


def sheets_of(out: Path, rows: Sequence[RunRow], saved: SavedRuns) -> list[tuple[RunRow, Sheet]]:
    """Return the filters of one data set's runs, the first seed of each cell, on one grey scale."""
    found, limit = shown_filters(out, rows, saved)
    sheets = []
    for shown in found:
        png, size = sheet_png(greys(shown.weights, limit))
        sheets.append((shown.row, Sheet(shown.row.run, png, size, limit)))
    return sheets
