"""MNIST's four files: how they are read and, where they are not here, fetched.

They circulate packed in different ways and under slightly different names, so the content decides:
its SHA-256 is known. The cache keeps what was fetched as it was published, beside the entry.

Their format, IDX, is a header, then bytes, plain or packed by gzip. The header is two zero bytes,
the type (8: unsigned byte), the number of dimensions, and each dimension as four bytes, the highest
first. What is expected is known beforehand, so a file is never unpacked further than that.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from dae_cli.data.cache import file_digest, unwritable_cache
from dae_cli.data.dataset import Content, content_digest
from dae_cli.data.datasets import MNIST, MNIST_ADDRESSES, MNIST_FILES, DatasetSpec
from dae_cli.data.download import addresses_of, fetched
from dae_cli.data.readers import unreadable
from dae_cli.errors import DataError, DownloadError
from dae_cli.files import cache_folder

GZIP_MARK = b"\x1f\x8b"
UNSIGNED_BYTE = 8
REMEDY = "fetch the file again"


def read_mnist(
    train_images: Path, train_labels: Path, test_images: Path, test_labels: Path, spec: DatasetSpec
) -> Content:
    """Read the four files; DataError for a defect, or sound files that are not MNIST's."""
    content = Content(
        read_idx(train_images, (spec.n_train_file, *spec.image)).reshape(-1, spec.n_pixels),
        read_labels(train_labels, spec.n_train_file),
        read_idx(test_images, (spec.n_test, *spec.image)).reshape(-1, spec.n_pixels),
        read_labels(test_labels, spec.n_test),
    )
    if (found := content_digest(spec, content)) not in spec.known_sha256:
        (known,) = spec.known_sha256
        raise DataError(
            f"{train_images.parent}: the four files are sound but do not hold MNIST: their content "
            f"has SHA-256 {found[:12]}…, expected {known[:12]}…; other sets (Fashion-MNIST, for "
            "one) use the same names"
        )
    return content


def fetch_mnist(looked_in: Path | None) -> Content:
    """Fetch the files that the cache does not have yet, and read them.

    Raises DownloadError, with what to do, where a file cannot be had.
    """
    folder = cache_folder() / MNIST.name
    for name, md5 in MNIST_FILES.items():
        path = folder / f"{name}.gz"
        if path.is_file() and file_digest(path, "md5") == md5:
            continue
        addresses = addresses_of(path.name, MNIST_ADDRESSES)
        try:
            with fetched(path.name, addresses, f"md5:{md5}") as temporary:
                folder.mkdir(exist_ok=True)
                temporary.replace(path)
        except OSError as error:
            raise unwritable_cache(path, error) from error
        except DownloadError as error:
            where = f"neither in {looked_in} nor in {folder}" if looked_in else f"not in {folder}"
            *first, last = (f"{name}.gz" for name in MNIST_FILES)
            raise DownloadError(
                f"MNIST cannot be had: its files are {where}, and {error}. Put "
                f"{', '.join(first)} and {last} (from {' or '.join(MNIST_ADDRESSES)}) into a "
                "folder, and name it with --data-dir or DAE_DATA_DIR"
            ) from error
    images, labels, test_images, test_labels = (folder / f"{name}.gz" for name in MNIST_FILES)
    return read_mnist(images, labels, test_images, test_labels, MNIST)


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes that must hold the given shape; a read-only array.

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
        raise unreadable(path, error) from error


def read_labels(path: Path, n: int, n_classes: int = 10) -> NDArray[np.uint8]:
    """Read an IDX file of ``n`` labels; DataError names the offset of the first impossible one."""
    labels = read_idx(path, (n,))
    wrong = np.flatnonzero(labels >= n_classes)
    if len(wrong) > 0:
        raise DataError(
            f"{path}, offset {8 + wrong[0]}: label {labels[wrong[0]]} found, "
            f"expected a whole number from 0 to {n_classes - 1}"
        )
    return labels


def _read(stream: IO[bytes], shape: tuple[int, ...], path: Path) -> NDArray[np.uint8]:
    magic = bytes([0, 0, UNSIGNED_BYTE, len(shape)])
    for k, expected in enumerate((magic, *(size.to_bytes(4, "big") for size in shape))):
        found = stream.read(4)
        if len(found) < 4:
            end = 4 * k + len(found)
            raise DataError(f"{path}: ends at offset {end}, within its header; {REMEDY}")
        if found != expected:
            values = [f"{int.from_bytes(word, 'big')}" for word in (found, expected)]
            found_value, expected_value = values if k else (found.hex(" "), expected.hex(" "))
            raise DataError(
                f"{path}, offset {4 * k}: {found_value} found, expected {expected_value} in an IDX "
                f"file of {'x'.join(map(str, shape))} unsigned bytes; is it another file?"
            )
    start, size = 4 + 4 * len(shape), math.prod(shape)
    data = stream.read(size)
    end = start + len(data)
    if len(data) < size:
        raise DataError(
            f"{path}: ends at offset {end}, expected {start + size} bytes; the file is truncated; "
            f"{REMEDY}"
        )
    # At the end of its data a gzip file is compared with its checksum; one more byte gets there.
    if stream.read(1):
        raise DataError(f"{path}: goes on at offset {end}, expected its end there; {REMEDY}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
