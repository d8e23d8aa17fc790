"""Which test rows a run got wrong: kept in its folder, one bit a row, and read strictly.

Two models are compared on the same test rows (`tables/comparisons.py`); their counts alone cannot
tell how often they fail on different rows. `wrong_rows.npy` holds uint8, the bits of
`numpy.packbits`: bit 7 of byte 0 is the first test row, and it is 1 where the row was classified
wrongly.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import RunFolderError, plain
from dae_cli.files import write_whole
from dae_cli.study.run.job import WRONG_ROWS

_MOST_HEADER = 10_000
"""Bytes; the header that numpy writes has 128."""


def keep_wrong_rows(folder: Path, wrong: NDArray[np.bool_]) -> None:
    """Write wrong_rows.npy whole.

    Args:
        folder: of the run; it must be there.
        wrong: for each test row, in the order of the split, whether it was classified wrongly.

    Raises:
        OutputError: it cannot be written.
    """
    content = io.BytesIO()
    np.save(content, np.packbits(wrong), allow_pickle=False)
    write_whole(folder / WRONG_ROWS, content.getvalue(), make_folder=False)


def load_wrong_rows(folder: Path, n_test: int, n_wrong: int) -> NDArray[np.bool_]:
    """Read wrong_rows.npy of a run of so many test rows, so many of them wrong.

    Raises:
        RunFolderError: it is not there, is no such file, or tells of another number of rows or of
            wrong ones.
    """
    path = folder / WRONG_ROWS
    n_bytes = -(-n_test // 8)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_HEADER + n_bytes + 1)
    except FileNotFoundError:
        raise RunFolderError(f"{path}: is not there; dae replicate counts it again") from None
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror or error})") from error
    try:
        return unpack(_body(path, content, n_bytes), n_test, n_wrong)
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def unpack(bits: bytes, n_test: int, n_wrong: int) -> NDArray[np.bool_]:
    """Return which of so many test rows are wrong, so many of them.

    Raises:
        ValueError: the bits tell of another number of rows or of wrong ones.
    """
    if len(bits) != -(-n_test // 8):
        raise ValueError(f"holds {len(bits)} bytes, expected {-(-n_test // 8)}, a bit a row")
    wrong = np.unpackbits(np.frombuffer(bits, dtype=np.uint8)).astype(np.bool_)
    if wrong[n_test:].any():
        raise ValueError(f"bits are set beyond the {n_test} test rows")
    if (found := int(wrong.sum())) != n_wrong:
        raise ValueError(f"tells of {found} wrong rows, expected {n_wrong}, the run's n_wrong")
    return wrong[:n_test]


def _body(path: Path, content: bytes, n_bytes: int) -> bytes:
    """Return the bytes after the header of a .npy file, which must announce just these.

    Not `numpy.load`: it would also open archives, and make room for whatever a header announces.
    """
    file = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of .npy")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MOST_HEADER)
    except Exception as error:  # numpy hands on whatever Python's tokenizer says of a header
        why = plain(" ".join(str(error).split())[:100])
        raise _damaged(path, f"is no .npy file of packed bits ({why})") from error
    body = content[file.tell() :]
    if dtype != np.uint8 or shape != (n_bytes,):
        raise _damaged(path, f"holds {dtype} {shape}, expected uint8 {(n_bytes,)}, a bit a row")
    if len(body) != n_bytes:
        raise _damaged(path, f"has not the {n_bytes} bytes that its header announces")
    return body


def _damaged(path: Path, why: str) -> RunFolderError:
    return RunFolderError(f"{path}: {why}; remove it, dae replicate counts it again")
