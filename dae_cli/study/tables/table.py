"""table.csv from runs.csv: one row a cell, the mean over its seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from dae_cli.errors import RunFolderError
from dae_cli.study.paper import half_width_95
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.record import with_verdict

_OF_A_RUN = (
    *("cell", "dataset", "data_origin", "trust", "data_sha256", "model", "destruction_percent"),
    *("n_test", "paper_error_percent", "paper_half_width_95", "paper_model", "threads"),
)
"""Columns that a cell has from its first run that is done."""
_LISTED = ("device", "engine", "versions", "commit", "numerics")
"""Columns with every value that the cell's runs have."""


def table_of(rows: Sequence[RunRow]) -> list[TableRow]:
    """Return the table of rows, its cells in their order.

    Raises:
        RunFolderError: the counts of a row, perhaps of an edited runs.csv, cannot be.
    """
    for row in rows:
        if not row.error and not _possible(row.n_wrong, row.n_test):
            raise RunFolderError(
                f"runs.csv: {row.run}: n_wrong is {row.n_wrong} and n_test {row.n_test}, expected "
                f"counts of which the second is not less; remove the row, or make it anew with "
                f"dae replicate --only {row.cell}"
            )
    if not rows:
        return []
    first = {row.cell: row for row in reversed(rows)}
    first |= {row.cell: row for row in reversed(rows) if not row.error}
    return [_row(first[str(cell.Index)], cell) for cell in _by_cell(rows).itertuples()]


def _possible(wrong: int | None, rows: int | None) -> bool:
    return wrong is not None and rows is not None and 0 <= wrong <= rows and rows > 0


def _by_cell(rows: Sequence[RunRow]) -> pd.DataFrame:
    """Return what the runs of each cell come to; NaN where none of them is done."""
    cells = pd.DataFrame([_of_run(row) for row in rows]).groupby("cell", sort=False)
    numbers = cells.agg(
        seeds=("seed", _joined(" ")),
        n_wrong=("n_wrong", _joined(" ")),
        test_error=("test_error", _mean),
        sd=("test_error", _sd),
        valid_error=("valid_error", _mean),
        minutes=("minutes", "sum"),
        error=("error", _joined("; ")),
    )
    return numbers.join(cells[list(_LISTED)].agg(_different))


def _of_run(row: RunRow) -> dict[str, object]:
    """What is taken together of a run, as the CSV has it: rows read back give the same table."""
    values = {
        "cell": row.cell,
        **{name: str(getattr(row, name)) for name in _LISTED},
        "seed": "",
        "n_wrong": "",
        "test_error": math.nan,
        "valid_error": math.nan,
        "minutes": round(row.minutes or 0.0, 1),
        "error": f"seed {row.seed}: {row.error}" if row.error else "",
    }
    if not row.error and row.n_wrong is not None and row.n_test:
        values |= {"seed": str(row.seed), "n_wrong": str(row.n_wrong)}
        values |= {"test_error": 100.0 * row.n_wrong / row.n_test}
        if row.valid_error_percent is not None:
            values |= {"valid_error": round(row.valid_error_percent, 2)}
    return values


def _row(run: RunRow, cell: Any) -> TableRow:
    """Return the row of a cell from a run of it and from the line of `_by_cell`."""
    half_width = math.nan
    if run.n_test:
        half_width = half_width_95(cell.test_error / 100.0 * run.n_test, run.n_test)
    row = TableRow(
        **{name: getattr(run, name) for name in _OF_A_RUN},
        **{name: getattr(cell, name) for name in (*_LISTED, "seeds", "n_wrong", "error")},
        test_error_percent=_rounded(cell.test_error),
        half_width_95=_rounded(half_width),
        sd_over_seeds=_rounded(cell.sd),
        valid_error_percent=_rounded(cell.valid_error),
        verdict="",
        minutes=cell.minutes,
    )
    return with_verdict(row)


def _mean(values: pd.Series[float]) -> float:
    """The mean, exact but for one rounding, so that no order of seeds moves its last digit."""
    return fmean(known) if (known := values.dropna().tolist()) else math.nan


def _sd(values: pd.Series[float]) -> float:
    return stdev(known) if len(known := values.dropna().tolist()) > 1 else math.nan


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 2)


def _different(values: pd.Series[str]) -> str:
    return " / ".join(values.unique())


def _joined(between: str) -> Callable[[pd.Series[str]], str]:
    return lambda texts: between.join(filter(None, texts))
