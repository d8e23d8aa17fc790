"""Readers of a data set's original files: text (``.amat``), zip archive, and ``.npz``.

Files and archive members are streamed in small pieces, and their size is limited by what the data
set can contain. Nothing is extracted to disk, and nothing is unpickled.

Text: each line is an example, the grey values of the image row by row and then the label. The
originals print every number as ``   0.0000000e+00``. The reader accepts any number format and
width, separated by blanks, tabs or commas.

``.npz``: X, Y, Xtest, Ytest, grey values in [0, 1] in the original order. X contains rows of pixels
or images, Y labels or one-hot rows; extra dimensions of size 1 are ignored. An array is read only
if its header is as expected, so memory is never allocated on the word of a header.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dae_cli.data.dataset import Content, Pixels, canonical_labels, canonical_pixels
from dae_cli.data.datasets import DatasetSpec
from dae_cli.errors import DataError, shown

BUFFER = 1 << 18
"""Number of bytes read or decompressed at a time."""
LONGEST_NUMBER = 64
"""Maximum number of characters per number; bounds the length of a line."""
NUMBERS_AT_ONCE = 1 << 15
KEYS = ("X", "Y", "Xtest", "Ytest")
BLOCK = 2048
"""Number of rows decoded at a time."""
HEADER_BYTES = 4096
"""Maximum size of an array header."""
LARGEST_NUMBER = 16
"""Maximum number of bytes per number."""
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)
"""Exceptions that zipfile raises for a damaged or truncated file."""
DAMAGED_HEADER = (KeyError, TypeError, SyntaxError, tokenize.TokenError, MemoryError)
"""Further exceptions that numpy raises for a damaged array header."""


@contextmanager
def opened_zip(path: Path, kind: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip; any damage found while it is open raises DataError. ``kind`` is for messages.

    zipfile verifies the CRC-32 of members that are read to their end.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DAMAGE as error:
        raise DataError(
            f"{path}: damaged or truncated {kind} ({error}); download or copy the file again"
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def open_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, most_bytes: int, path: Path
) -> io.BufferedReader:
    """Open a member that can be streamed safely; DataError for any other.

    It must be unique, unencrypted, stored or deflated (other methods may decompress large pieces
    at once), and no larger than ``most_bytes``.
    """
    where = f"{path}, member {shown(member.filename)}"
    if archive.namelist().count(member.filename) > 1:
        raise DataError(f"{where}: occurs more than once; supply an archive with only one")
    if member.flag_bits & 1:
        raise DataError(
            f"{where}: is encrypted; extract it with the password and supply the extracted files"
        )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"{where}: uses compression method {member.compress_type}, expected 0 or 8 (deflate); "
            "extract it and supply the extracted files"
        )
    if member.file_size > most_bytes:
        raise DataError(
            f"{where}: has {member.file_size} bytes when decompressed, expected at most "
            f"{most_bytes}; do not use this archive"
        )
    stream: Any = archive.open(member)
    return io.BufferedReader(stream, BUFFER)


def unreadable(path: object, error: OSError) -> DataError:
    """Error for a file that cannot be read."""
    return DataError(f"{path}: cannot be read ({error.strerror or error})")


def _listed(names: Sequence[str]) -> str:
    """The first few names, shortened for a message."""
    return ", ".join(shown(name[:80]) for name in names[:6]) + (" …" if len(names) > 6 else "")


# ---------------------------------------------------------------- text


def read_text(train: Path, test: Path, spec: DatasetSpec) -> Content:
    """Read the training and the test file; DataError names file, row and defect."""
    arrays: list[Any] = []
    for path, n_rows in ((train, spec.n_train_file), (test, spec.n_test)):
        try:
            with path.open("rb", BUFFER) as stream:
                arrays += _read_rows(stream, spec, n_rows, str(path))
        except OSError as error:
            raise unreadable(path, error) from error
    return Content(*arrays)


def read_archive(path: Path, spec: DatasetSpec) -> Content:
    """Read the training and the test member of a zip; DataError names archive, member and row."""
    assert spec.archive is not None, f"{spec.name} has no archive"
    arrays: list[Any] = []
    with opened_zip(path, "zip archive") as archive:
        train, test = (_member(archive, name, path) for name in spec.archive.members)
        for member, n_rows in ((train, spec.n_train_file), (test, spec.n_test)):
            with open_member(archive, member, _most_bytes(spec), path) as stream:
                where = f"{path}, member {shown(member.filename)}"
                arrays += _read_rows(stream, spec, n_rows, where)
    return Content(*arrays)


def _member(archive: zipfile.ZipFile, wanted: str, path: Path) -> zipfile.ZipInfo:
    """Find the member `wanted`, or the only one with its file name in another folder."""
    files = [member for member in archive.infolist() if not member.filename.endswith("/")]
    name = PurePosixPath(wanted).name
    alike = [member for member in files if member.filename == wanted] or [
        member for member in files if PurePosixPath(member.filename).name == name
    ]
    if len({member.filename for member in alike}) == 1:
        return alike[0]
    found = _listed([member.filename for member in alike or files]) or "no members"
    raise DataError(f"{path}: contains {found}, expected one {wanted}; is it of another data set?")


def _read_rows(
    stream: IO[bytes], spec: DatasetSpec, n_rows: int, where: str
) -> tuple[Pixels, NDArray[np.uint8]]:
    """Read exactly ``n_rows`` rows from a text stream; ``where`` names it in errors.

    Returns pixels (n_rows, n_pixels), uint8 or float32, and labels (n_rows,).
    Raises DataError, with the row, for any defect. Time and memory are bounded for any stream.
    """
    pixels = np.empty((n_rows, spec.n_pixels), np.float32 if spec.levels is None else np.uint8)
    labels = np.empty(n_rows, np.uint8)
    end = 0
    for lines in _blocks(stream, spec, where):
        start, end = end, end + len(lines)
        if start <= n_rows:  # report an invalid row before the wrong number of rows
            values = _numbers(lines, spec, where, start)
        if end <= n_rows:
            pixels[start:end] = canonical_pixels(values[:, :-1], spec, where, start)
            labels[start:end] = canonical_labels(values[:, -1], spec, where, start)
        elif end > _most_rows(spec):
            break
    if end != n_rows:
        raise DataError(_wrong_count(end, spec, n_rows, where))
    return pixels, labels


def _most_rows(spec: DatasetSpec) -> int:
    return max(spec.n_train_file, spec.n_test)


def _longest_row(spec: DatasetSpec) -> int:
    return (spec.n_pixels + 1) * LONGEST_NUMBER


def _most_bytes(spec: DatasetSpec) -> int:
    """Upper bound on the size of either text file, in any layout."""
    return _most_rows(spec) * _longest_row(spec)


def _blocks(stream: IO[bytes], spec: DatasetSpec, where: str) -> Iterator[list[bytes]]:
    """Yield the non-empty lines in blocks."""
    n_fields, longest, most = spec.n_pixels + 1, _longest_row(spec), _most_bytes(spec)
    lines: list[bytes] = []
    received = 0
    while line := stream.readline(longest + 1):
        if received == 0:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise DataError(f"{where}: is UTF-16 text; save it as ASCII or UTF-8")
            line = line.removeprefix(b"\xef\xbb\xbf")  # byte order mark
        received += len(line)
        if len(line) > longest or received > most:
            raise DataError(
                f"{where}: a line has more than {longest} bytes, or the file more than {most}; "
                f"expected {n_fields} fields per line; supply one of the original text files"
            )
        if line and not line.isspace():
            lines.append(line)
        if len(lines) * n_fields >= NUMBERS_AT_ONCE:
            yield lines
            lines = []
    if lines:
        yield lines


def _numbers(
    lines: list[bytes], spec: DatasetSpec, where: str, first_row: int
) -> NDArray[np.float64]:
    """Parse lines to numbers, (len(lines), n_pixels + 1); DataError names the first bad field."""
    shape = (len(lines), spec.n_pixels + 1)
    comma = "," if any(b"," in line for line in lines) else None
    try:
        values = np.loadtxt(lines, delimiter=comma, comments=None, ndmin=2)
        if values.shape == shape:
            return values
    except ValueError:
        pass  # its row number is relative to the block, and it misses some defects
    remedy = "truncated, damaged or not an original text file; supply the original"
    for i, line in enumerate(lines, first_row + 1):
        fields = line.decode("ascii", "replace").split(comma)
        if len(fields) != shape[1]:
            raise DataError(
                f"{where}, row {i}: {len(fields)} fields, expected {shape[1]} ({spec.n_pixels} "
                f"pixels and the label); {remedy}"
            )
        for k, field in enumerate(fields):
            if not is_number(field):
                raise DataError(
                    f"{where}, row {i}, field {k + 1}: {field.strip()[:20]!r} is not a number; "
                    f"{remedy}"
                )
    raise DataError(f"{where}, from row {first_row + 1}: a field is not a number; {remedy}")


def is_number(text: str) -> bool:
    """Whether the text is a number; unlike Python, 1_0 does not count as one."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _wrong_count(rows: int, spec: DatasetSpec, n_rows: int, where: str) -> str:
    part, other, n_other = "training", "test", spec.n_test
    if n_rows == spec.n_test:
        part, other, n_other = other, part, spec.n_train_file
    most = _most_rows(spec)
    count = f"more than {most}" if rows > most else str(rows or "no")
    advice = f"supply the complete file of {spec.name}"
    if rows == n_other:
        advice = f"that is the size of the {other} file: are the two swapped?"
    return (
        f"{where}: contains {count} rows, expected {n_rows} in the {part} file of {spec.name}; "
        f"{advice}"
    )


# ---------------------------------------------------------------- arrays


@dataclass(frozen=True)
class NpzArray:
    """An array whose header has been read; the stream is at the first number."""

    stream: IO[bytes]
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]


def read_npz(path: Path, spec: DatasetSpec) -> Content:
    """Read X, Y, Xtest and Ytest; DataError names file, array, row and defect.

    X is (n, n_pixels) or (n, height, width); Y is (n,), or (n, classes) if one-hot.
    """
    most = _most_rows(spec) * max(spec.n_pixels, spec.n_classes) * LARGEST_NUMBER + HEADER_BYTES
    with opened_zip(path, f".npz with {_listed(KEYS)}") as archive:
        names = archive.namelist()
        if missing := [key for key in KEYS if f"{key}.npy" not in names]:
            found = _listed([name.removesuffix(".npy") for name in names]) or "nothing"
            raise DataError(
                f"{path}: has no {_listed(missing)}; expected arrays {_listed(KEYS)}, found {found}"
            )
        contents: list[Any] = []
        for key in KEYS:
            with open_member(archive, archive.getinfo(f"{key}.npy"), most, path) as stream:
                array = read_header(stream, key, path)
                _require_expected(array, spec, path)
                read = _pixels if key.startswith("X") else _labels
                contents.append(read(array, spec, path))
                if stream.read(1):  # reading to the end also verifies the CRC-32
                    raise DataError(
                        f"{path}: {key} has more bytes than its shape {array.shape} needs; "
                        "save it again"
                    )
    return Content(*contents)


def read_header(stream: io.BufferedReader, key: str, path: Path) -> NpzArray:
    """Read the header of an array; DataError if it is damaged."""
    start = io.BytesIO(stream.peek()[:HEADER_BYTES])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns of headers written by Python 2
            read = {
                (1, 0): npy.read_array_header_1_0,
                (2, 0): npy.read_array_header_2_0,
            }[npy.read_magic(start)]
            shape, by_columns, dtype = read(start)
    except (ValueError, RecursionError, *DAMAGED_HEADER) as error:
        raise DataError(f"{path}: {key} has a damaged header; save it again") from error
    stream.read(start.tell())
    return NpzArray(stream, key, shape, dtype, "F" if by_columns else "C")


def _require_expected(array: NpzArray, spec: DatasetSpec, path: Path) -> None:
    """Raise DataError unless shape and type are as expected."""
    key, found, dtype = array.key, array.shape, array.dtype
    if not _fits(key, found, spec):
        n = _rows(key, spec)
        expected = f"({n},), or ({n}, {spec.n_classes}) if one-hot,"
        if key.startswith("X"):
            expected = f"({n}, {spec.n_pixels}) or {(n, *spec.image)}"
        advice = "supply the whole data set, in its original order"
        if others := [other for other in KEYS if _fits(other, found, spec)]:
            advice = f"that is the shape of {others[0]}: are arrays swapped?"
        elif _fits(key, found[::-1], spec):
            advice = "transpose it"
        raise DataError(
            f"{path}: {key} has shape {found}, expected {expected} for {spec.name}; {advice}"
        )
    if dtype.kind not in "fiub" or dtype.itemsize > LARGEST_NUMBER:
        raise DataError(f"{path}: {key} has type {dtype}, expected real numbers; convert it")


def _rows(key: str, spec: DatasetSpec) -> int:
    return spec.n_test if key.endswith("test") else spec.n_train_file


def _fits(key: str, shape: tuple[int, ...], spec: DatasetSpec) -> bool:
    """Whether the shape is that of the array `key`; image dimensions of size 1 are ignored."""
    n = _rows(key, spec)
    if key.startswith("X"):
        sizes, image = (tuple(d for d in dims if d != 1) for dims in (shape[1:], spec.image))
        return shape[:1] == (n,) and sizes in (image, (spec.n_pixels,))
    return _are_labels(shape, n) or shape == (n, spec.n_classes)


def _are_labels(shape: tuple[int, ...], n: int) -> bool:
    """Whether the shape is that of n labels, as a row or a column."""
    return math.prod(shape) == n and n in shape


def _pixels(array: NpzArray, spec: DatasetSpec, path: Path) -> Pixels:
    n_rows = len(numbers := _all_numbers(array, path))
    pixels = np.empty((n_rows, spec.n_pixels), np.float32 if spec.levels is None else np.uint8)
    for start in range(0, n_rows, BLOCK):
        rows = slice(start, start + BLOCK)
        greys = numbers[rows].reshape(-1, spec.n_pixels).astype(np.float64)
        pixels[rows] = canonical_pixels(greys, spec, f"{path}, {array.key}", start)
    return pixels


def _labels(array: NpzArray, spec: DatasetSpec, path: Path) -> NDArray[np.uint8]:
    where = f"{path}, {array.key}"
    labels = _all_numbers(array, path).astype(np.float64)
    if _are_labels(array.shape, labels.size):
        labels = labels.reshape(-1)
    else:
        one_hot = labels
        wrong = np.flatnonzero(~np.isin(one_hot, (0, 1)).all(axis=1) | (one_hot.sum(axis=1) != 1))
        if len(wrong) > 0:
            found = ", ".join(f"{value:g}" for value in one_hot[wrong[0]])
            raise DataError(
                f"{where}, row {wrong[0] + 1}: {found} is not a one-hot label; expected a single "
                f"1 and {one_hot.shape[1] - 1} zeros, or one label per row"
            )
        labels = one_hot.argmax(axis=1).astype(np.float64)
    return canonical_labels(labels, spec, where)


def _all_numbers(array: NpzArray, path: Path) -> NDArray[Any]:
    numbers = read_numbers(array, math.prod(array.shape), path)
    return numbers.reshape(array.shape, order=array.order)


def read_numbers(array: NpzArray, n: int, path: Path) -> NDArray[Any]:
    """Read the next ``n`` numbers of an array; DataError if it ends too early."""
    data = array.stream.read(n * array.dtype.itemsize)
    if len(data) < n * array.dtype.itemsize:
        raise DataError(f"{path}: {array.key} is truncated (shape {array.shape}); save it again")
    return np.frombuffer(data, dtype=array.dtype)
