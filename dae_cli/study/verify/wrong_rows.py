"""What runs got wrong, rows and counts, against what comes out when it is counted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.csvfile import column_texts, read_rows
from dae_cli.study.results_folder import RUNS_CSV
from dae_cli.study.rows import RunRow, SavedWrongRows
from dae_cli.study.run.job import RUNS, STATUS, WRONG_ROWS
from dae_cli.study.run.record import Status
from dae_cli.study.run.wrong_rows import load_wrong_rows
from dae_cli.study.tables.comparisons import (
    WRONG_ROWS_CSV,
    wrong_rows_in,
    wrong_rows_to_save,
)
from dae_cli.study.verify.differences import Findings


def check_kept_rows(out: Path, rows: Sequence[RunRow], found: Findings) -> None:
    """Compare wrong_rows.csv with the rows of runs.csv and with the run folders that are here.

    A run is missing in it where its folder tells its wrong rows.
    """
    known, told = {row.run: row for row in rows}, wrong_rows_in(out)
    with found.going_on(WRONG_ROWS_CSV):
        every = read_rows(out / WRONG_ROWS_CSV, SavedWrongRows)
        for kept in every:
            row = known.get(kept.run)
            if row is None:
                found.compare(WRONG_ROWS_CSV, kept.run, "a row", "no run of runs.csv")
                continue
            counts = (f"{r.n_wrong} of {r.n_test} wrong" for r in (kept, row))
            found.compare(WRONG_ROWS_CSV, kept.run, *counts)
            again = wrong_rows_to_save([row], told)
            if [kept.bits] != [one.bits for one in again]:
                found.compare(WRONG_ROWS_CSV, f"{kept.run}: bits", "others", "those of its run")
        for run in sorted(known.keys() - {kept.run for kept in every}):
            if wrong_rows_to_save([known[run]], told):
                found.compare(WRONG_ROWS_CSV, run, "no row", "a row")


def compare_result(
    row: RunRow,
    status: Status | None,
    again: Mapping[str, object],
    found: Findings,
    how: str = "",
) -> None:
    """Compare values that were computed again, by column, with the row and with status.json."""
    kept = column_texts(row)
    for name, value in again.items():
        found.compare(RUNS_CSV, f"{row.run}: {name}", kept[name], str(value), how)
        if status and status.n_test is not None:
            recorded = getattr(status, name)
            recorded = f"{recorded:.2f}" if isinstance(recorded, float) else recorded
            found.compare(f"{RUNS}/{row.run}/{STATUS}", name, recorded, value, how)


def compare_wrong_rows(
    row: RunRow, wrong: NDArray[np.bool_], folder: Path, found: Findings, how: str
) -> None:
    """The test rows that wrong_rows.npy tells, against those that come out wrong now.

    Raises:
        RunFolderError: the file is not there, or tells of other counts than runs.csv.
    """
    kept = load_wrong_rows(folder, row.n_test or 0, row.n_wrong or 0)
    if len(kept) == len(wrong) and (differ := np.flatnonzero(kept != wrong)).size:
        first = int(differ[0])
        more = f" and {differ.size - 1} more" if differ.size > 1 else ""
        told = {False: "right", True: "wrong"}
        found.compare(
            f"{RUNS}/{row.run}/{WRONG_ROWS}",
            f"test row {first}{more}",
            told[bool(kept[first])],
            told[bool(wrong[first])],
            how,
        )
