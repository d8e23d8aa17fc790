"""The filters that a study shows of a data set: from run folders, else from an earlier page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.pages.content import Sheet
from dae_cli.pages.drawing import sheet_greys
from dae_cli.pictures.filters import common_limit
from dae_cli.pictures.greys import weights_of
from dae_cli.study.report.kept_page import Kept
from dae_cli.study.report.labels import has_filters
from dae_cli.study.rows import RunRow
from dae_cli.study.run.filters import first_filters
from dae_cli.study.run.folder import CHECKPOINT, RUNS


@dataclass(frozen=True, eq=False)
class ShownFilters:
    """The first filters of a run, turned as the images are looked at.

    Attributes:
        weights: (units, 784); those of an earlier page are as near as its greys tell.
        elsewhere: whether the run's folder is, so that they are an earlier page's.
    """

    row: RunRow
    weights: NDArray[np.float32]
    elsewhere: bool = False


def shown_filters(
    out: Path, rows: Sequence[RunRow], kept: Kept
) -> tuple[list[ShownFilters], float]:
    """Return the filters of one data set's runs, the first seed of each cell, and their grey limit.

    A run whose folder is elsewhere is shown as the earlier page had it, and then all are drawn on
    that page's grey scale: two are never mixed. What neither tells is left out.
    """
    rows = first_seeds(rows)
    known = {} if _here(out, rows) == rows else _known(out, rows, kept)
    found = []
    for row in rows:
        if row in _here(out, rows):
            found.append(ShownFilters(row, first_filters(out / RUNS / row.run, row.dataset)))
        elif row.run in known:
            sheet, greys = known[row.run]
            found.append(ShownFilters(row, weights_of(greys, sheet.limit), elsewhere=True))
    if known:
        return found, next(iter(known.values()))[0].limit
    return found, common_limit([shown.weights for shown in found]) if found else 1.0


def first_seeds(rows: Sequence[RunRow]) -> list[RunRow]:
    """Return the rows whose filters are shown: of each cell with any, that of its first seed."""
    rows = [row for row in rows if has_filters(row)]
    return [row for row in rows if row.seed == min(r.seed for r in rows if r.cell == row.cell)]


def _here(out: Path, rows: Sequence[RunRow]) -> list[RunRow]:
    return [row for row in rows if (out / RUNS / row.run / CHECKPOINT).is_file()]


def _known(
    out: Path, rows: Sequence[RunRow], kept: Kept
) -> dict[str, tuple[Sheet, NDArray[np.uint8]]]:
    """The sheets, with their greys, of runs that are elsewhere; none where their scales differ."""
    here = _here(out, rows)
    sheets = [kept.sheets[r.run] for r in rows if r not in here and r.run in kept.sheets]
    if len({sheet.limit for sheet in sheets}) > 1:
        return {}
    read = {sheet.run: (sheet, sheet_greys(sheet.png)) for sheet in sheets}
    return {run: (sheet, greys) for run, (sheet, greys) in read.items() if len(greys)}
