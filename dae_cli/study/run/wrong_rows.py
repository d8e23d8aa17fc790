"""wrong_rows.npy of a run: which test rows it classified wrongly, one bit per row.

Two models are compared on the same test rows (`tables/comparisons.py`), for which error counts are
not enough: they do not say how often the models fail on different rows. The file contains uint8,
packed by `numpy.packbits`: bit 7 of byte 0 is the first test row, and 1 means wrong.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import RUN_REMEDY, RunFolderError, plain
from dae_cli.files import write_whole
from dae_cli.study.run.job import WRONG_ROWS

ONE_CLASS = "one class for every test row"
_MOST_HEADER = 10_000
"""Largest header in bytes; that of numpy has 128."""


def save_wrong_rows(folder: Path, wrong: NDArray[np.bool_]) -> None:
    """Write wrong_rows.npy atomically; `wrong` is True for each wrong test row.

    Raises OutputError.
    """
    content = io.BytesIO()
    np.save(content, np.packbits(wrong), allow_pickle=False)
    write_whole(folder / WRONG_ROWS, content.getvalue(), make_folder=False)


def remark_on(wrong: NDArray[np.bool_], labels: NDArray[np.integer[Any]]) -> str:
    """Return ONE_CLASS if exactly the rows of one class are right, else an empty string."""
    right = np.unique(labels[~wrong])
    is_one_class = len(right) == 1 and not wrong[labels == right[0]].any()
    return ONE_CLASS if is_one_class and len(np.unique(labels)) > 1 else ""


def load_wrong_rows(folder: Path, n_test: int, n_wrong: int | None) -> NDArray[np.bool_]:
    """Read wrong_rows.npy of a run, given its number of test rows and, if known, of wrong rows.

    Raises RunFolderError if the file is missing or damaged, or if the counts differ.
    """
    path, shape = folder / WRONG_ROWS, (-(-n_test // 8),)
    try:
        with path.open("rb") as file:
            content = io.BytesIO(file.read(_MOST_HEADER + n_test))
        bits = np.load(content, allow_pickle=False)
        if (bits.dtype, bits.shape) != (np.uint8, shape):
            raise ValueError(f"contains {bits.dtype} {bits.shape}")
        if content.read(1):
            raise ValueError("has bytes after the array")
        return unpack(bits.tobytes(), n_test, n_wrong)
    except Exception as error:  # numpy's header parser may raise any error of Python's tokenizer
        why = plain(" ".join(str(getattr(error, "strerror", "") or error).split())[:100])
        expected = f"expected a .npy file with {shape[0]} bytes, uint8 {shape}, one bit per row"
        raise RunFolderError(f"{path}: {why}; {expected}; {RUN_REMEDY}") from error


def unpack(bits: bytes, n_test: int, n_wrong: int | None) -> NDArray[np.bool_]:
    """Return whether each test row is wrong, (n_test,), from packed bits.

    Raises ValueError if the bits do not fit `n_test`, or `n_wrong` if it is given.
    """
    if len(bits) != -(-n_test // 8):
        raise ValueError(f"has {len(bits)} bytes, expected {-(-n_test // 8)}, one bit per row")
    wrong = np.unpackbits(np.frombuffer(bits, dtype=np.uint8)).astype(np.bool_)
    if wrong[n_test:].any():
        raise ValueError(f"marks rows as wrong beyond the {n_test} test rows")
    if n_wrong is not None and (n_set := int(wrong.sum())) != n_wrong:
        raise ValueError(f"marks {n_set} rows as wrong, expected {n_wrong}, the run's n_wrong")
    return wrong[:n_test]
