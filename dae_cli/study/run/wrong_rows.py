"""wrong_rows.npy of a run: which test rows it got wrong, one bit a row.

Two models are compared on the same test rows (`tables/comparisons.py`); their counts alone do not
say how often they fail on different rows. The file holds uint8, the bits of `numpy.packbits`:
bit 7 of byte 0 is the first test row, and it is 1 where the row was classified wrongly.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import RunFolderError, plain
from dae_cli.files import write_whole
from dae_cli.study.run.job import WRONG_ROWS

ONE_CLASS = "one class for every test row"
_MOST_HEADER = 10_000
"""Bytes; the header that numpy writes has 128."""
_REMEDY = "remove the folder of the run to have dae replicate make it again"


def save_wrong_rows(folder: Path, wrong: NDArray[np.bool_]) -> None:
    """Write wrong_rows.npy whole, from what is True for each wrong test row; or OutputError."""
    content = io.BytesIO()
    np.save(content, np.packbits(wrong), allow_pickle=False)
    write_whole(folder / WRONG_ROWS, content.getvalue(), make_folder=False)


def remark_on(wrong: NDArray[np.bool_], labels: NDArray[np.integer[Any]]) -> str:
    """What is odd in the answers of a model: of one that is right on one class alone, that."""
    right = np.unique(labels[~wrong])
    is_one_class = len(right) == 1 and not wrong[labels == right[0]].any()
    return ONE_CLASS if is_one_class and len(np.unique(labels)) > 1 else ""


def load_wrong_rows(folder: Path, n_test: int, n_wrong: int | None) -> NDArray[np.bool_]:
    """Read wrong_rows.npy of a run with so many test rows, so many of them wrong, if given.

    Raises RunFolderError: it is missing or damaged, or has other counts.
    """
    path, shape = folder / WRONG_ROWS, (-(-n_test // 8),)
    try:
        with path.open("rb") as file:
            content = io.BytesIO(file.read(_MOST_HEADER + n_test))
        bits = np.load(content, allow_pickle=False)
        if (bits.dtype, bits.shape) != (np.uint8, shape):
            raise ValueError(f"holds {bits.dtype} {bits.shape}")
        if content.read(1):
            raise ValueError("has bytes too many")
        return unpack(bits.tobytes(), n_test, n_wrong)
    except Exception as error:  # numpy passes on whatever Python's tokenizer says of a header
        why = plain(" ".join(str(getattr(error, "strerror", "") or error).split())[:100])
        expected = f"expected a .npy file of {shape[0]} bytes, uint8 {shape}, a bit a row"
        raise RunFolderError(f"{path}: {why}; {expected}; {_REMEDY}") from error


def unpack(bits: bytes, n_test: int, n_wrong: int | None) -> NDArray[np.bool_]:
    """Return which of so many test rows are wrong, so many of them, if given.

    Raises ValueError: the bits are of another number of rows, or of wrong ones.
    """
    if len(bits) != -(-n_test // 8):
        raise ValueError(f"holds {len(bits)} bytes, expected {-(-n_test // 8)}, a bit a row")
    wrong = np.unpackbits(np.frombuffer(bits, dtype=np.uint8)).astype(np.bool_)
    if wrong[n_test:].any():
        raise ValueError(f"bits are set beyond the {n_test} test rows")
    if n_wrong is not None and (n_set := int(wrong.sum())) != n_wrong:
        raise ValueError(f"has {n_set} wrong rows, expected {n_wrong}, the run's n_wrong")
    return wrong[:n_test]
