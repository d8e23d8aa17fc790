"""wrong_rows.csv: which test rows each run of a study got wrong, beside its tables.

Run folders stay on the machine that made them. With this file models are compared on the same test
rows wherever they were run.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.csv_rows import csv_text, rows_in
from dae_cli.errors import RunFolderError
from dae_cli.files import write_text
from dae_cli.study.rows import RunRow
from dae_cli.study.run.folder import RUNS
from dae_cli.study.run.wrong_rows import load_wrong_rows, unpack

WRONG_ROWS_CSV = "wrong_rows.csv"

WrongRows = Callable[[RunRow], "NDArray[np.bool_] | None"]
"""Gives the wrong test rows of a run; None where nothing tells them."""


@dataclass(frozen=True)
class KeptRows:
    """The wrong test rows of a run."""

    run: str
    n_test: int
    n_wrong: int
    bits: str
    """Base64 of the bits of wrong_rows.npy: the first bit is the first test row, 1 for wrong."""


def wrong_rows_in(out: Path) -> WrongRows:
    """Return what gives the wrong rows of the runs in a results folder, each file read once.

    A run's folder comes first, then wrong_rows.csv; where that is damaged, it counts as not there.
    """
    try:
        kept = {row.run: row for row in read_kept_rows(out)}
    except RunFolderError:
        kept = {}

    @cache
    def read(run: str, n_test: int, n_wrong: int) -> NDArray[np.bool_] | None:
        if Path(run).name != run or run in ("", ".."):
            return None
        try:
            return load_wrong_rows(out / RUNS / run, n_test, n_wrong)
        except RunFolderError:
            return wrong_rows_of(kept.get(run), n_test, n_wrong)

    return lambda row: read(row.run, row.n_test or 0, row.n_wrong or 0)


def wrong_rows_of(kept: KeptRows | None, n_test: int, n_wrong: int) -> NDArray[np.bool_] | None:
    """Return the kept rows of a run of such counts; None where they are of others."""
    if kept is None or (kept.n_test, kept.n_wrong) != (n_test, n_wrong):
        return None
    try:
        return unpack(b64decode(kept.bits, validate=True), n_test, n_wrong)
    except ValueError:
        return None


def kept_rows_of(rows: Sequence[RunRow], known: WrongRows) -> list[KeptRows]:
    """Return the wrong rows of every run of which something tells them."""
    found = []
    for row in rows:
        wrong = None if row.error else known(row)
        if wrong is not None:
            bits = b64encode(np.packbits(wrong).tobytes()).decode("ascii")
            found.append(KeptRows(row.run, len(wrong), int(wrong.sum()), bits))
    return found


def write_kept_rows(out: Path, rows: Sequence[RunRow], known: WrongRows) -> None:
    """Write wrong_rows.csv of the rows of runs.csv; whoever holds the tables calls it.

    Raises:
        OutputError: it cannot be written.
    """
    lines = (asdict(kept).values() for kept in kept_rows_of(rows, known))
    write_text(out / WRONG_ROWS_CSV, csv_text([[f.name for f in fields(KeptRows)], *lines]))


def read_kept_rows(out: Path) -> list[KeptRows]:
    """Read wrong_rows.csv; none where there is none.

    Raises:
        RunFolderError: it is not one that dae wrote.
    """
    return rows_in(out / WRONG_ROWS_CSV, KeptRows)
