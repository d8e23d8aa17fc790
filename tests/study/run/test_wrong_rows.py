"""Which test rows a run got wrong: kept, and read strictly."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dae_cli.errors import RunFolderError
from dae_cli.study.run.folder import WRONG_ROWS
from dae_cli.study.run.wrong_rows import keep_wrong_rows, load_wrong_rows
from tests.fuzz.mutations import WORDS, bytes_and


@pytest.fixture
def wrong() -> NDArray[np.bool_]:
    """Thirteen rows, which fill no whole byte; four of them wrong."""
    rows = np.zeros(13, dtype=np.bool_)
    rows[[0, 3, 8, 12]] = True
    return rows


@pytest.mark.parametrize("n", [1, 7, 8, 9, 13, 5000])
def test_what_was_kept_is_read_back(tmp_path: Path, n: int) -> None:
    rows = np.random.default_rng(n).random(n) < 0.3
    keep_wrong_rows(tmp_path, rows)
    assert (load_wrong_rows(tmp_path, n, int(rows.sum())) == rows).all()


def test_numpy_reads_it_too(tmp_path: Path, wrong: NDArray[np.bool_]) -> None:
    keep_wrong_rows(tmp_path, wrong)
    bits = np.load(tmp_path / WRONG_ROWS, allow_pickle=False)
    assert (np.unpackbits(bits)[:13] == wrong).all()


def _npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def _archive() -> bytes:
    file = io.BytesIO()
    np.savez(file, np.zeros(2, np.uint8))
    return file.getvalue()


SOUND = _npy(np.packbits(np.arange(13) < 4))
HUGE = _npy(np.zeros(2, np.uint8)).replace(b"(2,), }", b"(2000000000000,), }")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (_npy(np.packbits(np.arange(13) < 5)), "tells of 5 wrong rows, expected 4"),
        (_npy(np.array([240, 1], np.uint8)), "bits are set beyond the 13 test rows"),
        (_npy(np.zeros(3, np.uint8)), "holds uint8 (3,), expected uint8 (2,)"),
        (_npy(np.zeros(2, np.int8)), "holds int8 (2,), expected uint8 (2,)"),
        (_npy(np.array([{}, {}]), allow_pickle=True), "holds object (2,)"),
        (_npy(np.zeros((2, 1), np.uint8)), "holds uint8 (2, 1)"),
        (HUGE, "holds uint8 (2000000000000,)"),
        (SOUND[:-1], "has not the 2 bytes"),
        (SOUND + b"\0", "has not the 2 bytes"),
        (SOUND[:20], "is no .npy file"),
        (_archive(), "is no .npy file"),
        (b"", "is no .npy file"),
    ],
)
def test_anything_else_is_refused_with_the_file(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / WRONG_ROWS).write_bytes(content)
    with pytest.raises(RunFolderError) as caught:
        load_wrong_rows(tmp_path, 13, 4)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / WRONG_ROWS))
    assert why in message
    assert "dae replicate counts it again" in message


def test_altered_files_are_read_or_refused_in_plain_words(tmp_path: Path) -> None:
    mutate, random = bytes_and(WORDS["npy"]), Random(0)
    refused = 0
    for _ in range(500):
        (tmp_path / WRONG_ROWS).write_bytes(mutate(SOUND, random))
        try:
            assert load_wrong_rows(tmp_path, 13, 4).sum() == 4
        except RunFolderError as error:
            refused += 1
            assert str(error).isprintable()
    assert refused > 250


def test_where_there_is_none_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not there; dae replicate counts it again"):
        load_wrong_rows(tmp_path, 13, 4)


def test_a_run_keeps_as_many_wrong_rows_as_it_counts(in_process: Any) -> None:
    for row in in_process.outcome.rows:
        if not row.error:
            rows = load_wrong_rows(in_process.out / "runs" / row.run, row.n_test, row.n_wrong)
            assert len(rows) == 200
