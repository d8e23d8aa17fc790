"""The filters that a study shows of a data set: from run folders, else from the sheets it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dae_cli.config.experiments import ResolvedStudy
from dae_cli.data.datasets import spec_of
from dae_cli.figures.filters import Filters
from dae_cli.figures.greys import common_limit, weights_of
from dae_cli.study.report.labels import has_filters
from dae_cli.study.report.saved_runs import SavedRuns
from dae_cli.study.rows import RunRow
from dae_cli.study.run.filters import first_filters
from dae_cli.study.run.folder import CHECKPOINT, RUNS


@dataclass(frozen=True, eq=False)
class ShownFilters:
    """The first filters of a run, turned as the images are looked at.

    Attributes:
        filters: those of a sheet are as near as its greys.
        sheet_limit: the grey limit of the sheet that they are taken from; None: of a run's folder.
    """

    row: RunRow
    filters: Filters
    sheet_limit: float | None = None


def shown_filters(
    study: ResolvedStudy, out: Path, rows: Sequence[RunRow], saved: SavedRuns
) -> tuple[list[ShownFilters], float]:
    """Return the filters of one data set's runs, the first seed of each cell, and their grey limit.

    A run whose folder is elsewhere is shown as its sheet has it. Where such sheets have one grey
    scale, all are drawn on it: two are never mixed. What nothing tells is left out.
    """
    found = [shown for row in first_seeds(rows) if (shown := _shown(study, out, row, saved))]
    limits = {shown.sheet_limit for shown in found} - {None}
    if len(limits) != 1 and found:
        limits = {common_limit([shown.filters.weights for shown in found])}
    return found, float(f"{limits.pop() or 1.0:.4g}") if limits else 1.0


def _shown(
    study: ResolvedStudy, out: Path, row: RunRow, saved: SavedRuns
) -> ShownFilters | None:
    dataset = study.dataset(row.dataset)
    folder, sheet = out / RUNS / row.run, saved.sheets.get(row.run)
    if (folder / CHECKPOINT).is_file():
        return ShownFilters(row, first_filters(folder, dataset))
    image = spec_of(dataset).tile
    if sheet is None or (greys := sheet.greys(image)) is None:
        return None
    return ShownFilters(row, Filters(weights_of(greys, sheet.limit), image), sheet.limit)


def first_seeds(rows: Sequence[RunRow]) -> list[RunRow]:
    """Return the rows whose filters are shown: of each cell with any, that of its first seed."""
    rows = [row for row in rows if has_filters(row)]
    return [row for row in rows if row.seed == min(r.seed for r in rows if r.cell == row.cell)]
