"""Read MNIST's four files, and download them if they are missing.

Copies differ in compression and names, so they are identified by the known SHA-256 of their
content. The cache keeps downloaded files unchanged, next to its entry.

The format, IDX, is a header followed by the values, plain or compressed with gzip. The header is
two zero bytes, the type (8: unsigned byte), the number of dimensions, and each dimension as a
big-endian 32-bit integer. The expected shape is known, so no more than that is decompressed.
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
REMEDY = "download or copy the file again"


def read_mnist(
    train_images: Path, train_labels: Path, test_images: Path, test_labels: Path, spec: DatasetSpec
) -> Content:
    """Read the four files; DataError if one is damaged or the content is not MNIST."""
    content = Content(
        read_idx(train_images, (spec.n_train_file, *spec.image)).reshape(-1, spec.n_pixels),
        read_labels(train_labels, spec.n_train_file),
        read_idx(test_images, (spec.n_test, *spec.image)).reshape(-1, spec.n_pixels),
        read_labels(test_labels, spec.n_test),
    )
    if (found := content_digest(spec, content)) not in spec.known_sha256:
        (known,) = spec.known_sha256
        raise DataError(
            f"{train_images.parent}: the four files are readable but not MNIST (SHA-256 of the "
            f"content {found[:12]}…, expected {known[:12]}…); other data sets, such as "
            "Fashion-MNIST, use the same file names; supply the files of MNIST"
        )
    return content


def fetch_mnist(looked_in: Path | None) -> Content:
    """Download the files that are not in the cache, and read them all.

    Raises DownloadError, with the remedy, if a file cannot be downloaded.
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
            where = f"{looked_in} or {folder}" if looked_in else str(folder)
            *first, last = (f"{name}.gz" for name in MNIST_FILES)
            raise DownloadError(
                f"MNIST not found in {where}, and {error}\n"
                f"  to use your own copy, put {', '.join(first)} and {last} into a folder and "
                "pass it with --data-dir or DAE_DATA_DIR"
            ) from error
    images, labels, test_images, test_labels = (folder / f"{name}.gz" for name in MNIST_FILES)
    return read_mnist(images, labels, test_images, test_labels, MNIST)


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes that must have the given shape; a read-only array.

    Raises DataError, with file and offset (in the decompressed bytes), for any defect.
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
    """Read an IDX file of ``n`` labels; DataError names the offset of the first invalid one."""
    labels = read_idx(path, (n,))
    wrong = np.flatnonzero(labels >= n_classes)
    if len(wrong) > 0:
        raise DataError(
            f"{path}, offset {8 + wrong[0]}: label {labels[wrong[0]]} is not an integer from 0 to "
            f"{n_classes - 1}; {REMEDY}"
        )
    return labels


def _read(stream: IO[bytes], shape: tuple[int, ...], path: Path) -> NDArray[np.uint8]:
    magic = bytes([0, 0, UNSIGNED_BYTE, len(shape)])
    for k, expected in enumerate((magic, *(size.to_bytes(4, "big") for size in shape))):
        found = stream.read(4)
        if len(found) < 4:
            end = 4 * k + len(found)
            raise DataError(f"{path}: truncated: ends at offset {end}, inside the header; {REMEDY}")
        if found != expected:
            values = [f"{int.from_bytes(word, 'big')}" for word in (found, expected)]
            found_value, expected_value = values if k else (found.hex(" "), expected.hex(" "))
            raise DataError(
                f"{path}, offset {4 * k}: found {found_value}, expected {expected_value} (IDX "
                f"header of {'x'.join(map(str, shape))} unsigned bytes); is this another file?"
            )
    start, size = 4 + 4 * len(shape), math.prod(shape)
    data = stream.read(size)
    end = start + len(data)
    if len(data) < size:
        raise DataError(
            f"{path}: truncated: ends at offset {end}, expected {start + size} bytes; {REMEDY}"
        )
    # gzip verifies its checksum only when reading past the end, so ask for one more byte.
    if stream.read(1):
        raise DataError(f"{path}: has data after offset {end}, expected its end there; {REMEDY}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
