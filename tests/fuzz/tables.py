"""What lies beside a report and may be a stranger's: valid examples, and reading them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from dae_cli.study.run.folder import WRONG_ROWS
from dae_cli.study.run.wrong_rows import load_wrong_rows
from dae_cli.study.tables.comparisons import (
    MCNEMAR_CSV,
    Comparison,
    comparisons_to_csv,
    read_comparisons,
)
from dae_cli.study.tables.kept_wrong_rows import WRONG_ROWS_CSV, read_kept_rows, wrong_rows_of
from dae_cli.study.tables.trial_rows import TrialRow, digest_of, read_csv, to_csv

WRONG = np.array([True, False, False, True, True, False, False, False, False, True])


def read_search(data: bytes, folder: Path) -> None:
    """Read search.csv; what is accepted is written again as it was."""
    path = folder / "search.csv"
    path.write_bytes(data)
    rows = read_csv(path)
    path.write_text(to_csv(rows), encoding="utf-8", newline="")
    assert digest_of(read_csv(path)) == digest_of(rows)


def read_mcnemar(data: bytes, folder: Path) -> None:
    """Read mcnemar.csv, and write it again."""
    (folder / MCNEMAR_CSV).write_bytes(data)
    comparisons_to_csv(read_comparisons(folder))


def read_kept(data: bytes, folder: Path) -> None:
    """Read wrong_rows.csv; what is accepted has the rows that its counts tell."""
    (folder / WRONG_ROWS_CSV).write_bytes(data)
    for row in read_kept_rows(folder):
        wrong = wrong_rows_of(row, row.n_test, row.n_wrong)
        assert wrong is None or (len(wrong), wrong.sum()) == (row.n_test, row.n_wrong)


def read_wrong_rows(data: bytes, folder: Path) -> None:
    """Read wrong_rows.npy of a run whose counts are known."""
    (folder / WRONG_ROWS).write_bytes(data)
    wrong = load_wrong_rows(folder, len(WRONG), int(WRONG.sum()))
    assert (len(wrong), wrong.sum()) == (len(WRONG), WRONG.sum())


def searches() -> list[bytes]:
    """No trial, and three of two cells: complete, pruned, failed."""
    best = TrialRow(
        *("a-sda-3", "0a1b", 1, "tpe", 0, "complete", 2.5, 50, 2000, 8, 38), settings={"units": "9"}
    )
    pruned = TrialRow("a-sda-3", "0a1b", 2, "tpe", 0, "pruned", settings={"units": "[4, 2]"})
    failed = TrialRow("b-sda-3", "2c3d", 1, "random", 7, "failed", error='said "no", twice')
    return [to_csv(rows).encode() for rows in ([], [best, pruned, failed])]


def mcnemars() -> list[bytes]:
    """No comparison, and one."""
    one = Comparison(
        *("convex", "d" * 64, "convex-0", "convex-25", "SAA-3", "SdA-3", 0, "convex-1", "convex-2"),
        *(10, 3, 1, 40.0, 20.0, 0.625, False, 1.0),
    )
    return [comparisons_to_csv(found).encode() for found in ([], [one])]


def kept() -> list[bytes]:
    """No run, and one."""
    head = "run,n_test,n_wrong,bits\n"
    return [head.encode(), f"{head}convex-1,10,4,mEA=\n".encode()]


def wrong_rows() -> list[bytes]:
    """The bits of ten test rows."""
    content = io.BytesIO()
    np.save(content, np.packbits(WRONG), allow_pickle=False)
    return [content.getvalue()]
