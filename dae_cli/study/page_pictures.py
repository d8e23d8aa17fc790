"""Curves and filters of a study's page: from run folders, else as the page had them before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dae_cli.pages.charts import simplified
from dae_cli.pages.content import Curves, Sheet
from dae_cli.pages.drawing import sheet_png
from dae_cli.pictures.filters import common_limit, greys
from dae_cli.study.figures import first_filters
from dae_cli.study.kept_page import Kept
from dae_cli.study.labels import has_filters
from dae_cli.study.metrics_curves import metrics_curves
from dae_cli.study.rows import RunRow
from dae_cli.study.run_folder import CHECKPOINT, RUNS


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

    Where a folder is not here, all are left as the earlier page had them: two grey scales are
    never mixed.
    """
    rows = [row for row in rows if has_filters(row)]
    rows = [row for row in rows if row.seed == min(r.seed for r in rows)]
    if rows and all((out / RUNS / row.run / CHECKPOINT).is_file() for row in rows):
        weights = [first_filters(out / RUNS / row.run, row.dataset) for row in rows]
        limit = float(f"{common_limit(weights):.4g}")
        drawn = [sheet_png(greys(w, limit)) for w in weights]
        return [
            (row, Sheet(row.run, png, size, limit))
            for row, (png, size) in zip(rows, drawn, strict=True)
        ]
    known = [(row, kept.sheets[row.run]) for row in rows if row.run in kept.sheets]
    return known if len({sheet.limit for _, sheet in known}) == 1 else []
