"""Reader of IDX files, the format of MNIST: a header, then bytes, plain or packed by gzip.

The header is two zero bytes, the type (8: unsigned byte), the number of dimensions, and each
dimension as four bytes, the highest first. What is expected is known beforehand, so a file
is never unpacked further than that.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from dae_cli.errors import DataError

GZIP_MARK = b"\x1f\x8b"
UNSIGNED_BYTE = 8
REMEDY = "fetch the file again"


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes that must have the given shape; a read-only array.

    Raises DataError with the file and the offset (in the unpacked bytes) for any defect.
    """
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == GZIP_MARK
            stream.seek(0)
            if not packed:
                return _read(stream, shape, path)
            with gzip.GzipFile(fileobj=stream) as unpacked:
                return _read(cast(IO[bytes], unpacked), shape, path)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: damaged or truncated gzip file ({error}); {REMEDY}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_labels(path: Path, n: int, n_classes: int = 10) -> NDArray[np.uint8]:
    """Read an IDX file of ``n`` labels; DataError names the offset of the first impossible one."""
    labels = read_idx(path, (n,))
    wrong = np.flatnonzero(labels >= n_classes)
    if len(wrong) > 0:
        raise DataError(
            f"{path}, offset {_header_size(1) + wrong[0]}: label {labels[wrong[0]]} found, "
            f"expected a whole number from 0 to {n_classes - 1}"
        )
    return labels


def _read(stream: IO[bytes], shape: tuple[int, ...], path: Path) -> NDArray[np.uint8]:
    _check_header(stream.read(_header_size(len(shape))), shape, path)
    size = math.prod(shape)
    data = stream.read(size)
    end = _header_size(len(shape)) + len(data)
    if len(data) < size:
        raise DataError(
            f"{path}: ends at offset {end}, expected {end + size - len(data)} bytes; "
            f"the file is truncated; {REMEDY}"
        )
    # At the end of its data a gzip file is compared with its checksum; one more byte gets there.
    if stream.read(1):
        raise DataError(f"{path}: goes on at offset {end}, expected its end there; {REMEDY}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _check_header(header: bytes, shape: tuple[int, ...], path: Path) -> None:
    if len(header) < _header_size(len(shape)):
        raise DataError(f"{path}: ends at offset {len(header)}, within its header; {REMEDY}")
    magic = header[:4]
    expected = bytes([0, 0, UNSIGNED_BYTE, len(shape)])
    if magic != expected:
        raise DataError(
            f"{path}, offset 0: {magic.hex(' ')} found, expected {expected.hex(' ')} "
            f"(an IDX file of unsigned bytes with {len(shape)} dimensions); is it another file?"
        )
    for i, wanted in enumerate(shape):
        offset = 4 + 4 * i
        found = int.from_bytes(header[offset : offset + 4], "big")
        if found != wanted:
            raise DataError(
                f"{path}, offset {offset}: dimension {i + 1} is {found}, expected {wanted}; "
                "is it another file?"
            )


def _header_size(dimensions: int) -> int:
    return 4 + 4 * dimensions
