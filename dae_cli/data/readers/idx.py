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
MOST_DIMENSIONS = 4
REMEDY = "fetch the file again"


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes that must hold the given shape; a read-only array.

    Raises DataError with the file and the offset (in the unpacked bytes) for any defect.
    """
    return _read_idx(path, shape)[0]


def read_labels(path: Path, n: int, n_classes: int = 10) -> NDArray[np.uint8]:
    """Read an IDX file of ``n`` labels; DataError names the offset of the first impossible one."""
    labels, start = _read_idx(path, (n,))
    wrong = np.flatnonzero(labels >= n_classes)
    if len(wrong) > 0:
        raise DataError(
            f"{path}, offset {start + wrong[0]}: label {labels[wrong[0]]} found, "
            f"expected a whole number from 0 to {n_classes - 1}"
        )
    return labels


def holds_rows(found: tuple[int, ...], n: int, image: tuple[int, ...]) -> bool:
    """Whether an array of that shape can only be ``n`` images, or ``n`` rows of their pixels.

    Dimensions of 1 say nothing: (n, 5, 4, 1), (n, 1, 5, 4) and (n, 20) are n images of 5 by 4.
    """
    sizes, wanted = (tuple(size for size in shape if size != 1) for shape in (found[1:], image))
    return found[:1] == (n,) and sizes in (wanted, (math.prod(image),))


def _read_idx(path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], int]:
    """The array, and the offset of its first byte."""
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


def _read(stream: IO[bytes], shape: tuple[int, ...], path: Path) -> tuple[NDArray[np.uint8], int]:
    start = _header_size(_dimensions(stream, shape, path))
    size = math.prod(shape)
    data = stream.read(size)
    end = start + len(data)
    if len(data) < size:
        raise DataError(
            f"{path}: ends at offset {end}, expected {end + size - len(data)} bytes; "
            f"the file is truncated; {REMEDY}"
        )
    # At the end of its data a gzip file is compared with its checksum; one more byte gets there.
    if stream.read(1):
        raise DataError(f"{path}: goes on at offset {end}, expected its end there; {REMEDY}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape), start


def _dimensions(stream: IO[bytes], shape: tuple[int, ...], path: Path) -> int:
    """Read the header, return how many dimensions it has; DataError unless it fits ``shape``."""
    magic = stream.read(4)
    expected = bytes([0, 0, UNSIGNED_BYTE, len(shape)])
    holds_bytes = len(magic) == 4 and magic[:3] == expected[:3]
    n = magic[3] if holds_bytes and magic[3] <= MOST_DIMENSIONS else len(shape)
    header = magic + stream.read(4 * n)
    if len(header) < _header_size(n):
        raise DataError(f"{path}: ends at offset {len(header)}, within its header; {REMEDY}")
    found = tuple(int.from_bytes(header[k : k + 4], "big") for k in range(4, len(header), 4))
    if holds_bytes and holds_rows(found, shape[0], shape[1:]):
        return n
    if magic != expected:
        raise DataError(
            f"{path}, offset 0: {magic.hex(' ')} found, expected {expected.hex(' ')} "
            f"(an IDX file of unsigned bytes with {len(shape)} dimensions); is it another file?"
        )
    i = next(i for i, wanted in enumerate(shape) if found[i] != wanted)
    raise DataError(
        f"{path}, offset {_header_size(i)}: dimension {i + 1} is {found[i]}, expected {shape[i]}; "
        "is it another file?"
    )


def _header_size(dimensions: int) -> int:
    return 4 + 4 * dimensions
