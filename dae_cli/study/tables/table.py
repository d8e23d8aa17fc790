"""table.csv computed from runs.csv: one row per cell, with means over the seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from dae_cli.errors import RunFolderError
from dae_cli.study.paper import half_width_95
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.record import with_verdict

_OF_A_RUN = (
    *("cell", "dataset", "data_origin", "trust", "data_sha256", "model", "destruction_percent"),
    "settings",
    *("n_test", "paper_error_percent", "paper_half_width_95", "paper_model", "threads"),
)
"""Columns copied from the first completed run of a cell."""
_LISTED = ("device", "engine", "versions", "commit", "numerics")
"""Columns that list all values of the cell's runs."""


def table_of(rows: Sequence[RunRow]) -> list[TableRow]:
    """Return the table of rows, cells in order; RunFolderError if counts are impossible."""
    for row in rows:
        wrong, of = row.n_wrong, row.n_test
        if not row.error and (wrong is None or not of or not 0 <= wrong <= of):
            raise RunFolderError(
                f"runs.csv: {row.run}: n_wrong is {wrong} and n_test {of}, expected 0 ≤ n_wrong ≤ "
                f"n_test; remove the row, or rewrite it with dae replicate --only {row.cell}"
            )
    if not rows:
        return []
    first = {row.cell: row for row in reversed(rows)}
    first |= {row.cell: row for row in reversed(rows) if not row.error}
    runs = pd.DataFrame(map(_columns, rows))
    return [_row(first[str(cell)], own) for cell, own in runs.groupby("cell", sort=False)]


def _columns(row: RunRow) -> dict[str, object]:
    """Return the columns of a run to aggregate, rounded as in the CSV so that tables agree."""
    error = valid = math.nan
    if not row.error and row.n_wrong is not None and row.n_test:
        error = 100.0 * row.n_wrong / row.n_test
        valid = math.nan if row.valid_error_percent is None else round(row.valid_error_percent, 2)
    return {
        "cell": row.cell,
        "seed": "" if row.error else str(row.seed),
        "n_wrong": "" if row.error else str(row.n_wrong),
        "test_error": error,
        "valid_error": valid,
        "minutes": round(row.minutes or 0.0, 1),
        "error": f"seed {row.seed}: {row.error}" if row.error else "",
        **{name: str(getattr(row, name)) for name in _LISTED},
    }


def _row(run: RunRow, cell: pd.DataFrame) -> TableRow:
    """Return the row of a cell from one of its runs and the columns of all of them."""
    errors, valid = (cell[name].dropna().tolist() for name in ("test_error", "valid_error"))
    # Means are rounded once, so the order of the seeds cannot change the last digit.
    half_width = None
    if errors and run.n_test:
        half_width = round(half_width_95(fmean(errors) / 100.0 * run.n_test, run.n_test), 2)
    listed: dict[str, Any] = {name: " / ".join(cell[name].unique()) for name in _LISTED}
    row = TableRow(
        **{name: getattr(run, name) for name in _OF_A_RUN},
        **listed,
        seeds=" ".join(filter(None, cell["seed"])),
        n_wrong=" ".join(filter(None, cell["n_wrong"])),
        test_error_percent=round(fmean(errors), 2) if errors else None,
        half_width_95=half_width,
        sd_over_seeds=round(stdev(errors), 2) if len(errors) > 1 else None,
        valid_error_percent=round(fmean(valid), 2) if valid else None,
        verdict="",
        minutes=float(cell["minutes"].sum()),
        error="; ".join(filter(None, cell["error"])),
    )
    return with_verdict(row)
