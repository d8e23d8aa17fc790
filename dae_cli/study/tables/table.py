"""table.csv from runs.csv: one row a cell, the mean over its seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from dae_cli.errors import RunFolderError
from dae_cli.study.rows import RunRow, TableRow
from dae_cli.study.run.row import with_verdict
from dae_cli.study.verdict import half_width_95

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
    """Return what the runs of each cell come to; NaN where none of them is done.

    Of numbers as the CSV has them: rows that were read back give the same table.
    """
    runs = pd.DataFrame([asdict(row) for row in rows])
    runs["minutes"] = [round(row.minutes or 0.0, 1) for row in rows]
    runs["error"] = [f"seed {row.seed}: {row.error}" if row.error else "" for row in rows]
    done = runs[runs["error"] == ""].astype({"n_wrong": int, "n_test": int})
    done["test_error"] = 100.0 * done["n_wrong"] / done["n_test"]
    done["valid_error"] = done["valid_error_percent"].astype(float).map(lambda p: round(p, 2))
    of_all = runs.groupby("cell", sort=False).agg(
        {"minutes": "sum", **dict.fromkeys(_LISTED, _each_once), "error": _sentences}
    )
    of_done = done.groupby("cell", sort=False).agg(
        seeds=("seed", _numbers),
        n_wrong=("n_wrong", _numbers),
        test_error=("test_error", _mean),
        sd=("test_error", _sd),
        valid_error=("valid_error", _mean),
    )
    return of_all.join(of_done).fillna({"seeds": "", "n_wrong": ""})


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
    return stdev(values.tolist()) if len(values) > 1 else math.nan


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 2)


def _numbers(values: Iterable[object]) -> str:
    return " ".join(map(str, values))


def _each_once(values: Iterable[object]) -> str:
    return " / ".join(map(str, dict.fromkeys(values)))


def _sentences(values: Iterable[str]) -> str:
    return "; ".join(filter(None, values))
