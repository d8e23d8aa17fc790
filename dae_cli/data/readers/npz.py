"""Reader of an ``.npz`` with X, Y, Xtest, Ytest: grey values in [0, 1], original order.

X may hold rows of pixels or images, Y labels or one-hot rows, both dimensions of 1 anywhere.
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
from dae_cli.data.content import Content, canonical_labels, canonical_pixels, holds_rows
from dae_cli.data.dataset import Pixels
from dae_cli.data.datasets import DatasetSpec
from dae_cli.data.readers.zipped import listed, open_member, opened_zip
from dae_cli.errors import DataError

KEYS = ("X", "Y", "Xtest", "Ytest")
BLOCK = 2048
"""Rows decoded at a time, so that no second copy of the set is made."""
HEADER_BYTES = 4096
"""More than the header of any array wanted has."""
LARGEST_NUMBER = 16
"""Bytes of the widest type of number that is read."""
Shape = tuple[int, ...]


@dataclass(frozen=True)
class NpzArray:
    """An array of which only the header was read, at the start of its numbers."""

    stream: IO[bytes]
    key: str
    shape: Shape
    dtype: np.dtype[Any]
    order: Literal["C", "F"]


def read_npz(path: Path, spec: DatasetSpec) -> Content:
    """Read X, Y, Xtest and Ytest; DataError names file, array, row and defect.

    X is (n, n_pixels) or (n, height, width); Y is (n,), or (n, classes) with a single 1 a row.
    """
    _refuse_single_array(path)
    most = max(spec.n_train_file, spec.n_test) * max(spec.n_pixels, spec.n_classes)
    most = most * LARGEST_NUMBER + HEADER_BYTES
    with opened_zip(path, ".npz of numbers") as archive:
        contents: list[Any] = []
        for key, member in _members(archive, path).items():
            with open_member(archive, member, most, path) as stream:
                array = read_header(stream, key, path)
                _require_expected(array, spec, path)
                read = _pixels if key.startswith("X") else _labels
                contents.append(read(array, spec, path))
                if stream.read(1):  # reaching the end also checks the CRC-32
                    raise DataError(
                        f"{path}: {key} has more bytes than its {array.shape} numbers; "
                        "save it again"
                    )
    return Content(*contents)


def _refuse_single_array(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            start = stream.read(len(npy.MAGIC_PREFIX))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if start == npy.MAGIC_PREFIX:
        raise DataError(f"{path}: is a single array, expected an .npz with {listed(KEYS)}")


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The members of the four arrays, in the order of ``KEYS``."""
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
    return {key: members[key] for key in KEYS}


def read_header(stream: io.BufferedReader, key: str, path: Path) -> NpzArray:
    start = io.BytesIO(stream.peek()[:HEADER_BYTES])
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
    stream.read(start.tell())
    return NpzArray(stream, key, shape, dtype, "F" if by_columns else "C")


def _require_expected(array: NpzArray, spec: DatasetSpec, path: Path) -> None:
    """Raise DataError unless shape and type are those of the array of the set."""
    key, found, dtype, classes = array.key, array.shape, array.dtype, spec.n_classes
    if not _fits(key, found, spec):
        n = _rows(key, spec)
        expected = f"({n},) or, one-hot, ({n}, {classes})"
        if key.startswith("X"):
            expected = str((n, spec.n_pixels))
        raise DataError(
            f"{path}: {key} has shape {found}, expected {expected} for {spec.name}; "
            f"{_advice(key, found, spec)}"
        )
    if dtype.kind not in "fiub" or dtype.itemsize > LARGEST_NUMBER:
        raise DataError(f"{path}: {key} has type {dtype}, expected numbers")
    if key.startswith("X") and dtype == np.float16 and spec.levels not in (1, 256):
        raise DataError(
            f"{path}: {key} has type float16, too coarse for the grey values of {spec.name}; "
            "expected float32 or float64"
        )


def _rows(key: str, spec: DatasetSpec) -> int:
    return spec.n_test if key.endswith("test") else spec.n_train_file


def _fits(key: str, shape: Shape, spec: DatasetSpec) -> bool:
    n = _rows(key, spec)
    if key.startswith("X"):
        return holds_rows(shape, n, spec.image)
    return _are_labels(shape, n) or shape == (n, spec.n_classes)


def _are_labels(shape: Shape, n: int) -> bool:
    """Whether it is a number for each of n images, in a row or a column."""
    return math.prod(shape) == n and n in shape


def _advice(key: str, found: Shape, spec: DatasetSpec) -> str:
    """What to do about a shape that does not fit."""
    n, (height, width) = _rows(key, spec), spec.image
    if others := [other for other in KEYS if _fits(other, found, spec)]:
        return f"that is the shape of {others[0]}; are arrays swapped?"
    if _fits(key, found[::-1], spec):
        return "transpose it"
    if found == (n, spec.n_pixels + 1):
        return "is the label one of its columns? leave it out there"
    if found[:1] == (n,) and key.startswith("X"):
        return f"an image is {height} x {width} grey values"
    if found[:1] == (n,):
        return "a row has one label"
    return "supply the whole set, in its original order"


def _pixels(array: NpzArray, spec: DatasetSpec, path: Path) -> Pixels:
    n_rows, *image = array.shape
    pixels = np.empty((n_rows, spec.n_pixels), np.float32 if spec.levels is None else np.uint8)
    rows_at_once = n_rows if array.order == "F" else BLOCK
    for start in range(0, n_rows, rows_at_once):
        n = min(rows_at_once, n_rows - start)
        numbers = read_numbers(array, n * spec.n_pixels, path)
        rows = numbers.reshape(n, *image, order=array.order).reshape(n, spec.n_pixels)
        for first in range(0, n, BLOCK):
            some = slice(start + first, start + min(first + BLOCK, n))
            greys = rows[first : first + BLOCK].astype(np.float64)
            pixels[some] = canonical_pixels(greys, spec, f"{path}, {array.key}", some.start)
    return pixels


def _labels(array: NpzArray, spec: DatasetSpec, path: Path) -> NDArray[np.uint8]:
    where = f"{path}, {array.key}"
    labels = read_numbers(array, math.prod(array.shape), path).astype(np.float64)
    if not _are_labels(array.shape, len(labels)):
        one_hot = labels.reshape(array.shape, order=array.order)
        wrong = np.flatnonzero(~np.isin(one_hot, (0, 1)).all(axis=1) | (one_hot.sum(axis=1) != 1))
        if len(wrong) > 0:
            found = ", ".join(f"{value:g}" for value in one_hot[wrong[0]])
            raise DataError(
                f"{where}, row {wrong[0] + 1}: {found} found, expected one-hot labels: a single 1 "
                f"and {one_hot.shape[1] - 1} times 0; or supply a label a row"
            )
        labels = one_hot.argmax(axis=1).astype(np.float64)
    return canonical_labels(labels, spec, where)


def read_numbers(array: NpzArray, n: int, path: Path) -> NDArray[Any]:
    data = array.stream.read(n * array.dtype.itemsize)
    if len(data) < n * array.dtype.itemsize:
        raise DataError(
            f"{path}: {array.key} ends before its {array.shape} numbers do; save it again"
        )
    return np.frombuffer(data, dtype=array.dtype)
