"""Curves and filters of a study's page: from run folders, else as the page had them before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dae_cli.pages.charts import simplified
from dae_cli.pages.content import Curves, Sheet
from dae_cli.pages.drawing import sheet_png
from dae_cli.pictures.filters import greys
from dae_cli.study.report.kept_page import Kept
from dae_cli.study.report.metrics_curves import metrics_curves
from dae_cli.study.report.shown_filters import ShownFilters, shown_filters
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import RUNS


def run_curves(out: Path, row: RunRow, kept: Kept) -> Curves | None:
    """Return the curves of a run that is done, thinned out; None where nothing tells them.

    Raises:
        RunFolderError: metrics.csv is damaged.
    """
    found = metrics_curves(out / RUNS / row.run)
    if found is None:
        return kept.curves.get(row.run)
    return Curves(simplified(found.valid), tuple(simplified(line) for line in found.cost))


def sheets_of(out: Path, rows: Sequence[RunRow], kept: Kept) -> list[tuple[RunRow, Sheet]]:
    """Return the filters of one data set's runs, the first seed of each cell, on one grey scale.

    Those of a run whose folder is elsewhere stay as the earlier page had them.
    """
    found, exact = shown_filters(out, rows, kept)
    limit = float(f"{exact:.4g}")
    return [(shown.row, _drawn(shown, limit)) for shown in found]


def _drawn(shown: ShownFilters, limit: float) -> Sheet:
    png, size = sheet_png(greys(shown.weights, limit))
    return Sheet(shown.row.run, png, size, limit)
