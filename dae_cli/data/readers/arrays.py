"""Reader of an ``.npz`` with X, Y, Xtest, Ytest: grey values in [0, 1], original order.

Images may be rows of 784 or 28 × 28, labels numbers or one-hot, dimensions of 1 anywhere.

Each array is streamed in blocks of rows, after its header was found to be as expected: what a
header claims is never allocated, and nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import tokenize
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dae_cli.data.cache import PROVENANCE
from dae_cli.data.content import Content, canonical_labels, canonical_pixels
from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.readers.shapes import N_PIXELS, Shape, are_images, are_labels, are_one_hot
from dae_cli.data.readers.zipped import listed, opened_zip, require_plain
from dae_cli.errors import DataError

KEYS = ("X", "Y", "Xtest", "Ytest")
BLOCK = 2048
"""Rows decoded at a time, so that no second copy of the set is made."""
HEADER_BYTES = 4096
"""More than the header of any array wanted has."""
LARGEST_NUMBER = 16
"""Bytes of the widest type of number that is read."""


@dataclass(frozen=True)
class _Array:
    """An array in the file, of which only the header was read."""

    key: str
    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool
    starts_at: int


def read_arrays(path: Path, spec: DatasetSpec) -> Content:
    """Read X, Y, Xtest and Ytest; DataError names file, array, row and defect.

    X is (n, 784), or whatever `shapes` takes for it; Y is (n,), or (n, classes) with a single 1 a
    row.
    """
    _require_archive(path)
    with opened_zip(path, ".npz of numbers") as archive:
        arrays = _headers(archive, spec, path)
        _require_shapes(arrays, spec, path)
        for array in arrays.values():
            _require_numbers(array, spec, path)
        pixels = _pixels(archive, arrays["X"], spec, path)
        labels = _labels(archive, arrays["Y"], spec, path)
        test_pixels = _pixels(archive, arrays["Xtest"], spec, path)
        test_labels = _labels(archive, arrays["Ytest"], spec, path)
    return Content(pixels, labels, test_pixels, test_labels)


def _require_archive(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            start = stream.read(len(npy.MAGIC_PREFIX))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if start == npy.MAGIC_PREFIX:
        raise DataError(f"{path}: is a single array, expected an .npz with {listed(KEYS)}")


def _headers(archive: zipfile.ZipFile, spec: DatasetSpec, path: Path) -> dict[str, _Array]:
    names = [member.filename.removesuffix(".npy") for member in archive.infolist()]
    members = dict(zip(names, archive.infolist(), strict=True))
    if PROVENANCE in members:
        raise DataError(
            f"{path}: is an entry of the cache of dae, not a file of the original set; "
            "take it out of the data folder"
        )
    if missing := [key for key in KEYS if key not in members]:
        raise DataError(
            f"{path}: has no {listed(missing)}; expected {listed(KEYS)}, "
            f"found {listed(list(members)) or 'nothing'}"
        )
    if twice := [key for key in KEYS if names.count(key) > 1]:
        raise DataError(f"{path}: has {listed(twice)} more than once; save the arrays again")
    most = max(spec.n_train_file, spec.n_test) * N_PIXELS * LARGEST_NUMBER + HEADER_BYTES
    for key in KEYS:
        require_plain(archive, members[key], most, path)
    return {key: _header(archive, key, members[key], path) for key in KEYS}


def _header(archive: zipfile.ZipFile, key: str, member: zipfile.ZipInfo, path: Path) -> _Array:
    with archive.open(member) as stream:
        start = io.BytesIO(stream.read(HEADER_BYTES))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            read = {
                (1, 0): npy.read_array_header_1_0,
                (2, 0): npy.read_array_header_2_0,
            }[npy.read_magic(start)]
            shape, by_columns, dtype = read(start)
    except (ValueError, TypeError, KeyError, SyntaxError, tokenize.TokenError) as error:
        raise DataError(f"{path}: {key} has a damaged header ({error}); save it again") from error
    except (RecursionError, MemoryError) as error:
        raise DataError(f"{path}: {key} has a damaged header; save it again") from error
    return _Array(key, member, shape, dtype, by_columns, start.tell())


def _require_shapes(arrays: dict[str, _Array], spec: DatasetSpec, path: Path) -> None:
    rows = {key: spec.n_test if key.endswith("test") else spec.n_train_file for key in KEYS}
    for key, n in rows.items():
        found = arrays[key].shape
        if _fits(key, found, n, spec):
            continue
        classes = spec.n_classes
        shapes = (
            f"({n},) or, one-hot, ({n}, {classes})" if key.startswith("Y") else f"{(n, N_PIXELS)}"
        )
        raise DataError(
            f"{path}: {key} has shape {found}, expected {shapes} for {spec.name}; "
            f"{_advice(key, found, rows, spec)}"
        )


def _fits(key: str, shape: Shape, n: int, spec: DatasetSpec) -> bool:
    if key.startswith("X"):
        return are_images(shape, n)
    return are_labels(shape, n) or are_one_hot(shape, n, spec.n_classes)


def _advice(key: str, found: Shape, rows: dict[str, int], spec: DatasetSpec) -> str:
    """What to do about a shape that does not fit."""
    n = rows[key]
    if others := [other for other in KEYS if _fits(other, found, rows[other], spec)]:
        return f"that is the shape of {others[0]}; are arrays swapped?"
    if _fits(key, found[::-1], n, spec):
        return "transpose it"
    if found == (n, N_PIXELS + 1):
        return "is the label one of its columns? leave it out there"
    if found[:1] == (n,):
        return "an image is 28 x 28 grey values" if key.startswith("X") else "a row has one label"
    return "supply the whole set, in its original order"


def _require_numbers(array: _Array, spec: DatasetSpec, path: Path) -> None:
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > LARGEST_NUMBER:
        raise DataError(f"{path}: {array.key} has type {array.dtype}, expected numbers")
    if array.key.startswith("X") and array.dtype == np.float16 and spec.levels not in (1, 256):
        raise DataError(
            f"{path}: {array.key} has type float16, too coarse for the grey values of {spec.name}; "
            "expected float32 or float64"
        )


def _pixels(archive: zipfile.ZipFile, array: _Array, spec: DatasetSpec, path: Path) -> Pixels:
    n_rows, *image = array.shape
    pixels = np.empty((n_rows, N_PIXELS), dtype=np.float32 if spec.levels is None else np.uint8)
    rows_at_once = n_rows if array.by_columns else BLOCK
    with archive.open(array.member) as stream:
        stream.read(array.starts_at)
        for start in range(0, n_rows, rows_at_once):
            n = min(rows_at_once, n_rows - start)
            numbers = _numbers(stream, array, n * N_PIXELS, path)
            images = numbers.reshape(n, *image, order="F" if array.by_columns else "C")
            rows = images.reshape(n, N_PIXELS)
            for first in range(0, n, BLOCK):
                some = slice(start + first, start + min(first + BLOCK, n))
                greys = rows[first : first + BLOCK].astype(np.float64)
                pixels[some] = canonical_pixels(greys, spec, f"{path}, {array.key}", some.start)
        _require_end(stream, array, path)
    return pixels


def _labels(
    archive: zipfile.ZipFile, array: _Array, spec: DatasetSpec, path: Path
) -> NDArray[np.uint8]:
    with archive.open(array.member) as stream:
        stream.read(array.starts_at)
        labels = _numbers(stream, array, math.prod(array.shape), path).astype(np.float64)
        _require_end(stream, array, path)
    where = f"{path}, {array.key}"
    if max(array.shape) < len(labels):
        order: Literal["F", "C"] = "F" if array.by_columns else "C"
        labels = _named_by_column(labels.reshape(array.shape, order=order), where)
    return canonical_labels(labels, spec, where)


def _named_by_column(one_hot: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """The column of the single 1 in each row of (n, classes); DataError names the first bad row."""
    wrong = np.flatnonzero(~np.isin(one_hot, (0, 1)).all(axis=1) | (one_hot.sum(axis=1) != 1))
    if len(wrong) > 0:
        found = ", ".join(f"{value:g}" for value in one_hot[wrong[0]])
        raise DataError(
            f"{where}, row {wrong[0] + 1}: {found} found, expected one-hot labels: a single 1 and "
            f"{one_hot.shape[1] - 1} times 0; or supply a label a row"
        )
    return np.asarray(one_hot.argmax(axis=1), dtype=np.float64)


def _numbers(stream: IO[bytes], array: _Array, n: int, path: Path) -> NDArray[Any]:
    data = stream.read(n * array.dtype.itemsize)
    if len(data) < n * array.dtype.itemsize:
        raise DataError(
            f"{path}: {array.key} ends before its {array.shape} numbers do; save it again"
        )
    return np.frombuffer(data, dtype=array.dtype)


def _require_end(stream: IO[bytes], array: _Array, path: Path) -> None:
    """The end of the member must follow; reaching it also checks its CRC-32."""
    if stream.read(1):
        raise DataError(
            f"{path}: {array.key} has more bytes than its {array.shape} numbers; save it again"
        )
