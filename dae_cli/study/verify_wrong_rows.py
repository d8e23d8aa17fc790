"""The kept wrong test rows of a run, against those that come out when they are counted again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.study.differences import Findings
from dae_cli.study.rows import RunRow
from dae_cli.study.run_folder import RUNS, WRONG_ROWS
from dae_cli.study.wrong_rows import load_wrong_rows


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
