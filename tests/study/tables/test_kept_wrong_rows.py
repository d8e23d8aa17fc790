"""wrong_rows.csv: comparisons that need no run folder, and nothing of a file that lies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dae_cli.errors import RunFolderError
from dae_cli.study.rows import RunRow
from dae_cli.study.run.wrong_rows import keep_wrong_rows
from dae_cli.study.tables.comparisons import MCNEMAR_CSV, write_comparisons
from dae_cli.study.tables.kept_wrong_rows import (
    WRONG_ROWS_CSV,
    kept_rows_of,
    read_kept_rows,
    write_kept_rows,
    wrong_rows_in,
)

WRONG = np.array([True, False, False, True, True, False, False, False, False, True])


@pytest.fixture
def row(make_row: Callable[..., RunRow]) -> RunRow:
    """A run whose folder is not here."""
    return make_row(run="one", n_test=10, n_wrong=4)


@pytest.fixture
def kept(tmp_path: Path, row: RunRow) -> Path:
    """The file with that run's rows."""
    write_kept_rows(tmp_path, [row], lambda _: WRONG)
    return tmp_path / WRONG_ROWS_CSV


def test_it_gives_what_was_kept(row: RunRow, kept: Path) -> None:
    found = wrong_rows_in(kept.parent)(row)
    assert found is not None
    assert found.tolist() == WRONG.tolist()
    before = kept.read_bytes()
    write_kept_rows(kept.parent, [row], wrong_rows_in(kept.parent))
    assert kept.read_bytes() == before == b"run,n_test,n_wrong,bits\none,10,4,mEA=\n"


def test_the_runs_folder_comes_first(row: RunRow, kept: Path) -> None:
    other = ~WRONG
    other[np.flatnonzero(other)[:2]] = False
    folder = kept.parent / "runs" / row.run
    folder.mkdir(parents=True)
    keep_wrong_rows(folder, other)
    found = wrong_rows_in(kept.parent)(row)
    assert found is not None
    assert found.tolist() == other.tolist()


@pytest.mark.parametrize(
    "line",
    [
        "one,10,3,mEA=",  # another count than the row's
        "one,10,4,mAA=",  # three are wrong
        "one,10,4,mGA=",  # five
        "one,10,4,mCQ=",  # beyond the tenth
        "one,10,4,mEAA",  # a byte too many
        "one,10,4,mE!A=",
        "other,10,4,mEA=",
        "one,ten,4,mEA=",
    ],
)
def test_what_does_not_agree_with_its_run_counts_as_not_there(
    row: RunRow, kept: Path, line: str
) -> None:
    kept.write_text(f"run,n_test,n_wrong,bits\n{line}\n")
    assert wrong_rows_in(kept.parent)(row) is None
    write_kept_rows(kept.parent, [row], wrong_rows_in(kept.parent))
    assert read_kept_rows(kept.parent) == []


def test_a_file_of_another_kind_is_told(kept: Path) -> None:
    kept.write_text("a,b\n")
    with pytest.raises(RunFolderError, match="its columns are not those that dae writes"):
        read_kept_rows(kept.parent)
    kept.unlink()
    assert read_kept_rows(kept.parent) == []


def test_failed_runs_and_those_of_which_nothing_is_known_have_no_line(
    row: RunRow, make_failed_row: Callable[..., RunRow]
) -> None:
    assert kept_rows_of([make_failed_row()], lambda _: WRONG) == []
    assert kept_rows_of([row], lambda _: None) == []


def test_models_are_compared_where_the_folders_are_elsewhere(
    in_process: Any, tmp_path: Path
) -> None:
    for name in (WRONG_ROWS_CSV, MCNEMAR_CSV):
        shutil.copy(in_process.out / name, tmp_path)
    before = (tmp_path / MCNEMAR_CSV).read_bytes()
    (tmp_path / MCNEMAR_CSV).unlink()
    assert write_comparisons(tmp_path, in_process.outcome.rows)
    assert (tmp_path / MCNEMAR_CSV).read_bytes() == before
